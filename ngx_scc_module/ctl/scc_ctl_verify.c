
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <string.h>

#include "scc_ctl_verify.h"


typedef struct {
    PGconn               *pg;
    uint8_t               store[16];
    scc_ctl_journal_t     journal;
    scc_ctl_compare_t     compared;
    scc_ctl_progress_t    progress;
    uint64_t              found;
} scc_ctl_check_t;


static int scc_ctl_verify(const scc_ctl_args_t *args);
static int scc_ctl_verify_options(const scc_ctl_args_t *args,
    uint64_t *generation);
static int scc_ctl_verify_all(scc_ctl_check_t *ck,
    const scc_ctl_args_t *args, uint64_t generation);
static int scc_ctl_verify_journals(scc_ctl_check_t *ck,
    const scc_ctl_args_t *args);


enum {
    SCC_CTL_VERIFY_PG = 0,
    SCC_CTL_VERIFY_JOURNAL,
    SCC_CTL_VERIFY_QUEUE,
    SCC_CTL_VERIFY_REDIS,
    SCC_CTL_VERIFY_GENERATION,
};

static const scc_ctl_opt_t  scc_ctl_verify_opts[] = {
    SCC_CTL_PG_OPT,
    { "journal", "DIR", "a journal; more of them may follow as arguments" },
    SCC_CTL_QUEUE_OPT,
    SCC_CTL_REDIS_OPT,
    { "generation", "N", "the cache's scc_cache_generation (default: 1)" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_verify_cmd = {
    "verify", "[--journal DIR [DIR...]]",
    "compare journals, queue, ledger, map and cache",
    "Reads and changes nothing; nginx may be running.  Compares what is "
    "named:\n\n"
    "  journal  every record is whole, and in the ledger with the same body "
    "or a\n           dead letter\n"
    "  queue    every record can be read, and is in the ledger or waiting "
    "for less\n           than a minute\n"
    "  ledger   every body has its digest; the map, the contributors and the "
    "numbers\n           are what the ledger says when it is folded again; "
    "cells and squares\n           count what is there\n"
    "  cache    every cell and page that claims to be current is what the "
    "store says\n\n"
    "What is on its way (just written, just changed) is looked at a second "
    "time and\nis no difference.  Digests do not depend on any order: equal "
    "digests mean the\nsame events with the same bodies.\n",
    scc_ctl_verify_opts, scc_ctl_verify
};


static int
scc_ctl_verify(const scc_ctl_args_t *args)
{
    int               rc;
    uint64_t          generation;
    const char       *conninfo;
    scc_ctl_check_t   ck;

    generation = 1;
    memset(&ck, 0, sizeof(scc_ctl_check_t));

    if (scc_ctl_verify_options(args, &generation) != SCC_CTL_OK) {
        return SCC_CTL_USAGE;
    }

    conninfo = scc_ctl_pg_conninfo("verify", args->opt[SCC_CTL_VERIFY_PG]);

    if (conninfo == NULL) {
        return SCC_CTL_USAGE;
    }

    scc_ctl_progress_init(&ck.progress, false);

    ck.pg = scc_ctl_store_connect(conninfo, false, ck.store);

    if (ck.pg == NULL) {
        return SCC_CTL_FAILED;
    }

    rc = scc_ctl_verify_all(&ck, args, generation);

    scc_ctl_progress_clear(&ck.progress);
    scc_ctl_journal_free(&ck.journal);
    PQfinish(ck.pg);

    if (rc != 0) {
        return SCC_CTL_FAILED;
    }

    if (ck.found > 0) {
        printf("%llu differences\n", (unsigned long long) ck.found);
        return SCC_CTL_FINDINGS;
    }

    printf("no difference\n");

    return SCC_CTL_OK;
}


static int
scc_ctl_verify_options(const scc_ctl_args_t *args, uint64_t *generation)
{
    const char  *text;

    if (args->argc > 0 && args->opt[SCC_CTL_VERIFY_JOURNAL] == NULL) {
        return scc_ctl_usage("verify", "name the journals: --journal DIR "
                             "[DIR...]");
    }

    text = args->opt[SCC_CTL_VERIFY_GENERATION];

    if (text == NULL) {
        return SCC_CTL_OK;
    }

    if (args->opt[SCC_CTL_VERIFY_REDIS] == NULL) {
        return scc_ctl_usage("verify", "--generation goes with --redis");
    }

    if (scc_ctl_number(text, 0, UINT32_MAX, generation) != 0) {
        return scc_ctl_usage("verify", "--generation: \"%s\" is no number",
                             text);
    }

    return SCC_CTL_OK;
}


static int
scc_ctl_verify_all(scc_ctl_check_t *ck, const scc_ctl_args_t *args,
    uint64_t generation)
{
    int                rc;
    bool               journals;
    redisContext      *redis;

    /* scc_app plans by key only; this reads everything */

    if (scc_ctl_pg_do(ck->pg, "settings", "SET timezone = 'UTC';"
                      " SET enable_seqscan = on; SET enable_hashjoin = on;"
                      " SET enable_mergejoin = on; SET jit = off;"
                      " SET default_transaction_read_only = on")
        != 0)
    {
        return -1;
    }

    journals = args->opt[SCC_CTL_VERIFY_JOURNAL] != NULL;

    if (journals && scc_ctl_verify_journals(ck, args) != 0) {
        return -1;
    }

    if (args->opt[SCC_CTL_VERIFY_QUEUE] != NULL) {
        redis = scc_ctl_redis_connect("queue",
                                      args->opt[SCC_CTL_VERIFY_QUEUE]);
        if (redis == NULL) {
            return -1;
        }

        rc = scc_ctl_verify_queue(redis, ck->pg,
                                  journals ? &ck->journal : NULL, &ck->found);
        redisFree(redis);

        if (rc != 0) {
            return -1;
        }
    }

    if (scc_ctl_verify_store(ck->pg, journals ? &ck->compared : NULL,
                             &ck->found)
        != 0)
    {
        return -1;
    }

    if (args->opt[SCC_CTL_VERIFY_REDIS] != NULL) {
        redis = scc_ctl_redis_connect("redis",
                                      args->opt[SCC_CTL_VERIFY_REDIS]);
        if (redis == NULL) {
            return -1;
        }

        rc = scc_ctl_verify_cache(redis, ck->pg, generation, &ck->progress,
                                  &ck->found);
        redisFree(redis);

        if (rc != 0) {
            return -1;
        }
    }

    return 0;
}


static int
scc_ctl_verify_journals(scc_ctl_check_t *ck, const scc_ctl_args_t *args)
{
    scc_ctl_compare_t  *c;

    if (scc_ctl_compare_open(&ck->journal,
                             args->opt[SCC_CTL_VERIFY_JOURNAL], args)
        != 0)
    {
        return -1;
    }

    printf("journal    ");
    fflush(stdout);

    if (scc_ctl_journal_verify(&ck->journal) != SCC_CTL_OK) {
        ck->found++;
    }

    c = &ck->compared;

    if (scc_ctl_compare_journals(c, &ck->journal, ck->pg, ck->store,
                                 &ck->progress)
        != 0)
    {
        return -1;
    }

    ck->found += c->missing + c->other + c->unreadable;

    printf("journal    in the ledger %llu, repeated %llu, dead letters %llu, "
           "on their way %llu, copies %llu\n",
           (unsigned long long) c->ledger, (unsigned long long) c->repeats,
           (unsigned long long) c->dead, (unsigned long long) c->coming,
           (unsigned long long) c->copies);

    printf("journal    missing %llu, with another body %llu, unreadable "
           "%llu\n",
           (unsigned long long) c->missing, (unsigned long long) c->other,
           (unsigned long long) c->unreadable);

    printf("journal    digest %s\n", scc_ctl_compare_hex(c->digest));

    return 0;
}
