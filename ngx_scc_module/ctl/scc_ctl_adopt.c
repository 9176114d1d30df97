
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scc_anchor.h"
#include "scc_contribution.h"
#include "scc_ctl_compare.h"
#include "scc_ctl_disk.h"


#define SCC_CTL_ADOPT_HOST  "adopt"


typedef struct {
    uint8_t               store[16];
    const char           *name;         /* the store, as it was named */
    uint64_t              epoch;
    uint64_t              incomplete;   /* missing, and said so */
    bool                  dry_run;

    scc_ctl_journal_t     journal;
    scc_ctl_compare_t     compared;
    scc_ctl_progress_t    progress;

    bool                  again;        /* it was adopted, and interrupted */
    scc_buf_t             text;         /* the anchor that is written */
    bool                  anchored;     /* there is an anchor of the store */
    scc_anchor_t          anchor;       /* the highest one of the journals */
    uint64_t              since;        /* ns; when the store was lost */
} scc_ctl_adopt_t;


static int scc_ctl_adopt(const scc_ctl_args_t *args);
static int scc_ctl_adopt_options(scc_ctl_adopt_t *ad,
    const scc_ctl_args_t *args);
static int scc_ctl_adopt_all(scc_ctl_adopt_t *ad, const char *conninfo);
static int scc_ctl_adopt_journals(scc_ctl_adopt_t *ad);
static int scc_ctl_adopt_anchor(scc_ctl_adopt_t *ad, const char *dir,
    scc_anchor_t *a);
static int scc_ctl_adopt_identity(scc_ctl_adopt_t *ad, PGconn *pg);
static int scc_ctl_adopt_compare(scc_ctl_adopt_t *ad, PGconn *pg);
static int scc_ctl_adopt_write(scc_ctl_adopt_t *ad, const char *conninfo);
static int scc_ctl_adopt_commit(scc_ctl_adopt_t *ad, PGconn *pg);
static int scc_ctl_adopt_witness(scc_ctl_adopt_t *ad, PGconn *pg);
static int scc_ctl_adopt_files(scc_ctl_adopt_t *ad);
static int scc_ctl_adopt_file(scc_ctl_adopt_t *ad, const char *dir);


enum {
    SCC_CTL_ADOPT_STORE = 0,
    SCC_CTL_ADOPT_EPOCH,
    SCC_CTL_ADOPT_JOURNAL,
    SCC_CTL_ADOPT_PG,
    SCC_CTL_ADOPT_INCOMPLETE,
    SCC_CTL_ADOPT_DRY_RUN,
};

static const scc_ctl_opt_t  scc_ctl_adopt_opts[] = {
    { "store", "UUID", "the store that is believed from now on, as DIR/store "
                       "has it" },
    { "epoch", "N", "one more than before: the number in DIR/anchor" },
    { "journal", "DIR", "a journal; more of them may follow as arguments" },
    SCC_CTL_PG_OPT,
    { "incomplete", "N", "adopt it although N contributions of the journals "
                         "are\nmissing in it" },
    { "dry-run", NULL, "look, and say what would be done" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_adopt_cmd = {
    "adopt", "--store UUID --epoch N --journal DIR [DIR...]",
    "believe a store that was rebuilt",
    "After a store was lost, nginx believes no other one by itself, be it "
    "empty or\nwhole.  This says that the one of --pg is the right one: it "
    "looks up every\nrecord of the journals in it, gives it the next epoch, "
    "and writes an anchor of\nit into each journal.  nginx goes on by itself "
    "within its scc_audit_interval.\n\n"
    "It refuses (exit code 4) another store, an epoch that was used, and a "
    "store that\nlacks what the journals have.  Contributions that came after "
    "the store was lost\nmay be missing: nginx applies them then.\n\n"
    "On other hosts nothing is to be done: their nginx finds the anchor in "
    "the store.\nRun it again if it was interrupted.\n",
    scc_ctl_adopt_opts, scc_ctl_adopt
};


static int
scc_ctl_adopt(const scc_ctl_args_t *args)
{
    int               rc;
    const char       *conninfo;
    scc_ctl_adopt_t   ad;

    memset(&ad, 0, sizeof(scc_ctl_adopt_t));

    if (scc_ctl_adopt_options(&ad, args) != SCC_CTL_OK) {
        return SCC_CTL_USAGE;
    }

    conninfo = scc_ctl_pg_conninfo("adopt", args->opt[SCC_CTL_ADOPT_PG]);

    if (conninfo == NULL) {
        return SCC_CTL_USAGE;
    }

    scc_ctl_progress_init(&ad.progress, false);
    scc_buf_heap(&ad.text, 0);

    rc = SCC_CTL_FAILED;

    if (scc_ctl_compare_open(&ad.journal, args->opt[SCC_CTL_ADOPT_JOURNAL],
                             args)
        == 0)
    {
        rc = scc_ctl_adopt_all(&ad, conninfo);
    }

    scc_ctl_progress_clear(&ad.progress);
    scc_ctl_journal_free(&ad.journal);
    scc_buf_free(&ad.text);

    return rc;
}


static int
scc_ctl_adopt_options(scc_ctl_adopt_t *ad, const scc_ctl_args_t *args)
{
    scc_str_t    text;
    const char  *value;

    ad->name = args->opt[SCC_CTL_ADOPT_STORE];
    value = args->opt[SCC_CTL_ADOPT_EPOCH];

    if (ad->name == NULL || value == NULL) {
        return scc_ctl_usage("adopt", "name the store and its new epoch: "
                             "--store UUID --epoch N; they are how you say "
                             "that you mean it");
    }

    text.data = (const uint8_t *) ad->name;
    text.len = strlen(ad->name);

    if (scc_uuid_parse(text, ad->store) != SCC_OK) {
        return scc_ctl_usage("adopt", "--store: \"%s\" is not a UUID; take "
                             "the one in the journal's file \"store\"",
                             ad->name);
    }

    if (scc_ctl_number(value, 1, INT32_MAX, &ad->epoch) != 0) {
        return scc_ctl_usage("adopt", "--epoch: \"%s\" is not a number from "
                             "1 on", value);
    }

    if (args->opt[SCC_CTL_ADOPT_JOURNAL] == NULL) {
        return scc_ctl_usage("adopt", "name the journals: --journal DIR "
                             "[DIR...]");
    }

    value = args->opt[SCC_CTL_ADOPT_INCOMPLETE];

    if (value != NULL
        && scc_ctl_number(value, 1, INT64_MAX, &ad->incomplete) != 0)
    {
        return scc_ctl_usage("adopt", "--incomplete: \"%s\" is not how many "
                             "contributions are missing", value);
    }

    ad->dry_run = args->opt[SCC_CTL_ADOPT_DRY_RUN] != NULL;

    return SCC_CTL_OK;
}


static int
scc_ctl_adopt_all(scc_ctl_adopt_t *ad, const char *conninfo)
{
    int      rc;
    PGconn  *pg;
    uint8_t  store[16];

    rc = scc_ctl_adopt_journals(ad);

    if (rc != SCC_CTL_OK) {
        return rc;
    }

    pg = scc_ctl_store_connect(conninfo, false, store);

    if (pg == NULL) {
        return SCC_CTL_FAILED;
    }

    if (memcmp(store, ad->store, 16) != 0) {
        scc_ctl_error("the store of --pg is another one than %s; nothing was "
                      "done", ad->name);
        rc = SCC_CTL_FORBIDDEN;
    }

    if (rc == SCC_CTL_OK) {
        rc = scc_ctl_adopt_identity(ad, pg);
    }

    if (rc == SCC_CTL_OK && !ad->again) {
        rc = scc_ctl_adopt_compare(ad, pg);
    }

    PQfinish(pg);

    if (rc != SCC_CTL_OK) {
        return rc;
    }

    if (ad->dry_run) {
        printf("dry run: store %s would be adopted with epoch %llu\n",
               ad->name, (unsigned long long) ad->epoch);
        return SCC_CTL_OK;
    }

    return scc_ctl_adopt_write(ad, conninfo);
}


/* All of this store; and how far it had come when it was lost. */

static int
scc_ctl_adopt_journals(scc_ctl_adopt_t *ad)
{
    int           rc;
    size_t        i;
    uint8_t       store[16];
    const char   *dir;
    scc_anchor_t  a;

    if (ad->journal.n_journals == 0) {
        scc_ctl_error("name the journals' directories, not their segments");
        return SCC_CTL_USAGE;
    }

    for (i = 0; i < ad->journal.n_journals; i++) {
        dir = ad->journal.journals[i];
        rc = scc_ctl_journal_store(dir, store);

        if (rc < 0) {
            return SCC_CTL_FAILED;
        }

        if (rc > 0 || memcmp(store, ad->store, 16) != 0) {
            scc_ctl_error("\"%s\" is no journal of store %s; nothing was "
                          "done", dir, ad->name);
            return SCC_CTL_FORBIDDEN;
        }

        rc = scc_ctl_adopt_anchor(ad, dir, &a);

        if (rc < 0) {
            return SCC_CTL_FAILED;
        }

        if (rc == 0 && !ad->anchored) {
            ad->anchored = true;
            ad->anchor = a;

        } else if (rc == 0) {
            (void) scc_anchor_merge(&ad->anchor, &a);
        }
    }

    ad->since = UINT64_MAX;

    if (ad->anchored) {
        ad->since = ad->anchor.verdict.state == SCC_GUARD_QUARANTINE
                    ? ad->anchor.since : ad->anchor.written;
        ad->since *= 1000000;
    }

    return SCC_CTL_OK;
}


/* 1: there is none of this store. */

static int
scc_ctl_adopt_anchor(scc_ctl_adopt_t *ad, const char *dir, scc_anchor_t *a)
{
    int         rc;
    char       *path;
    scc_buf_t   b;

    if (asprintf(&path, "%s/" SCC_ANCHOR_FILE, dir) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    scc_buf_heap(&b, 0);
    rc = scc_ctl_disk_read(path, SCC_ANCHOR_MAX, &b);

    if (rc < 0) {
        scc_ctl_error("\"%s\": %s", path, strerror(errno));

    } else if (rc == 0
               && (scc_anchor_read(scc_buf_get(&b), a) != SCC_OK
                   || memcmp(a->high.store, ad->store, 16) != 0))
    {
        scc_ctl_error("\"%s\" is damaged or of another store; it is "
                      "replaced", path);
        rc = 1;
    }

    scc_buf_free(&b);
    free(path);

    return rc;
}


/*
 * An epoch is used once: whoever has seen an anchor of it would not notice
 * that the store is another one.  With the anchor of this epoch in the store,
 * an adoption was interrupted: only files are missing.
 */

static int
scc_ctl_adopt_identity(scc_ctl_adopt_t *ad, PGconn *pg)
{
    uint64_t       epoch;
    PGresult      *res;
    scc_str_t      text;
    scc_anchor_t   a;

    res = scc_ctl_pg_exec(pg, "reading the store's identity",
                          "SELECT i.epoch, (SELECT a.body FROM scc.anchor a"
                          " WHERE a.host = '" SCC_CTL_ADOPT_HOST "')"
                          " FROM scc.identity i");
    if (res == NULL) {
        return SCC_CTL_FAILED;
    }

    epoch = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
    text.data = (const uint8_t *) PQgetvalue(res, 0, 1);
    text.len = (size_t) PQgetlength(res, 0, 1);

    ad->again = epoch == ad->epoch
                && scc_anchor_read(text, &a) == SCC_OK
                && memcmp(a.high.store, ad->store, 16) == 0
                && a.high.epoch == ad->epoch;

    if (ad->again) {
        scc_buf_str(&ad->text, text);
    }

    PQclear(res);

    if (ad->again) {
        return SCC_CTL_OK;
    }

    if (ad->anchored && ad->epoch <= ad->anchor.high.epoch) {
        scc_ctl_error("epoch %llu is used up: the journals' anchor has %u; "
                      "say --epoch %u", (unsigned long long) ad->epoch,
                      ad->anchor.high.epoch, ad->anchor.high.epoch + 1);
        return SCC_CTL_FORBIDDEN;
    }

    if (ad->epoch < epoch) {
        scc_ctl_error("the store has epoch %llu already; say --epoch %llu or "
                      "more", (unsigned long long) epoch,
                      (unsigned long long) epoch);
        return SCC_CTL_FORBIDDEN;
    }

    return SCC_CTL_OK;
}


static int
scc_ctl_adopt_compare(scc_ctl_adopt_t *ad, PGconn *pg)
{
    uint64_t            lacks;
    scc_ctl_compare_t  *c;

    c = &ad->compared;

    if (scc_ctl_compare_since(c, &ad->journal, pg, ad->store, ad->since,
                              &ad->progress)
        != 0)
    {
        return SCC_CTL_FAILED;
    }

    lacks = c->missing + c->coming + c->other + c->unreadable;

    printf("records %llu: in the store %llu, dead letters %llu, written since "
           "the store was lost %llu, missing %llu\n",
           (unsigned long long) c->records,
           (unsigned long long) c->ledger + c->repeats,
           (unsigned long long) c->dead, (unsigned long long) c->waiting,
           (unsigned long long) lacks);

    if (c->records == 0) {
        scc_ctl_error("there is no record in these journals: nothing says "
                      "that this store is whole; name the right journals");
        return SCC_CTL_FORBIDDEN;
    }

    if (lacks == ad->incomplete) {
        return SCC_CTL_OK;
    }

    if (ad->incomplete > 0) {
        scc_ctl_error("%llu contributions are missing, not %llu; nothing was "
                      "done", (unsigned long long) lacks,
                      (unsigned long long) ad->incomplete);

    } else {
        scc_ctl_error("the store lacks %llu contributions that the journals "
                      "have; nothing was done.  Rebuild it from all journals; "
                      "or, if these are given up, say --incomplete %llu",
                      (unsigned long long) lacks,
                      (unsigned long long) lacks);
    }

    return SCC_CTL_FORBIDDEN;
}


/* Store first: there the other hosts find it. */

static int
scc_ctl_adopt_write(scc_ctl_adopt_t *ad, const char *conninfo)
{
    int      rc;
    PGconn  *pg;

    if (!ad->again) {
        pg = scc_ctl_pg_connect(conninfo, false);

        if (pg == NULL) {
            return SCC_CTL_FAILED;
        }

        rc = scc_ctl_adopt_commit(ad, pg);

        PQfinish(pg);

        if (rc != 0) {
            return SCC_CTL_FAILED;
        }
    }

    if (scc_ctl_adopt_files(ad) != 0) {
        return SCC_CTL_FAILED;
    }

    printf("store %s is adopted, epoch %llu\n", ad->name,
           (unsigned long long) ad->epoch);

    return SCC_CTL_OK;
}


static int
scc_ctl_adopt_commit(scc_ctl_adopt_t *ad, PGconn *pg)
{
    char         epoch[24];
    PGresult    *res;
    const char  *params[2];

    snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long) ad->epoch);

    if (scc_ctl_pg_do(pg, "beginning", "BEGIN;"
                      " SET LOCAL synchronous_commit = on;"
                      " SET LOCAL search_path = pg_catalog, pg_temp;"
                      " SET LOCAL ROLE scc_owner")
        != 0)
    {
        scc_ctl_error("adopting needs an account that may become scc_owner, "
                      "such as the one that ran \"sccctl init\"");
        return -1;
    }

    params[0] = ad->name;
    params[1] = epoch;

    res = scc_ctl_pg_query(pg, "raising the epoch",
                           "UPDATE scc.identity SET epoch = $2"
                           " WHERE store_uuid = $1 AND epoch <= $2", 2,
                           params);
    if (res == NULL) {
        return -1;
    }

    if (strcmp(PQcmdTuples(res), "1") != 0) {
        scc_ctl_error("the store has changed meanwhile; nothing was done");
        PQclear(res);
        return -1;
    }

    PQclear(res);

    if (scc_ctl_adopt_witness(ad, pg) != 0) {
        return -1;
    }

    params[0] = SCC_CTL_ADOPT_HOST;
    params[1] = (const char *) ad->text.start;

    res = scc_ctl_pg_query(pg, "writing scc.anchor",
                           "INSERT INTO scc.anchor AS a (host, body)"
                           " VALUES ($1, $2) ON CONFLICT (host) DO UPDATE"
                           " SET body = excluded.body,"
                           " at = clock_timestamp()", 2, params);
    if (res == NULL) {
        return -1;
    }

    PQclear(res);

    ad->text.used--;                     /* the NUL was for the parameter */

    return scc_ctl_pg_do(pg, "committing", "COMMIT");
}


/* What the store says of itself, as the anchor that starts its epoch. */

static int
scc_ctl_adopt_witness(scc_ctl_adopt_t *ad, PGconn *pg)
{
    scc_str_t         word;
    PGresult         *res;
    scc_anchor_t      a;
    scc_witness_t     w;
    struct timespec   ts;

    res = scc_ctl_pg_exec(pg, "asking the store who it is",
                          "SELECT scc.witness()");
    if (res == NULL) {
        return -1;
    }

    word.data = (const uint8_t *) PQgetvalue(res, 0, 0);
    word.len = (size_t) PQgetlength(res, 0, 0);

    if (scc_witness_parse(word, &w) != SCC_OK
        || memcmp(w.store, ad->store, 16) != 0 || w.epoch != ad->epoch)
    {
        scc_ctl_error("asking the store who it is: its answer makes no "
                      "sense; is it a standby, or being changed?");
        PQclear(res);
        return -1;
    }

    PQclear(res);

    if (w.hollow != 0) {
        scc_ctl_error("a table of the store is empty that should not be; "
                      "rebuild it into a new database");
        return -1;
    }

    memset(&a, 0, sizeof(scc_anchor_t));

    scc_anchor_raise(&a, &w);

    clock_gettime(CLOCK_REALTIME, &ts);

    a.verdict.state = SCC_GUARD_HEALTHY;
    a.verdict.reason = SCC_GUARD_NONE;
    a.since = (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
    a.written = a.since;

    scc_anchor_write(&ad->text, &a);
    scc_buf_byte(&ad->text, '\0');

    if (ad->text.error) {
        scc_ctl_error("out of memory");
        return -1;
    }

    return 0;
}


static int
scc_ctl_adopt_files(scc_ctl_adopt_t *ad)
{
    size_t  i;

    for (i = 0; i < ad->journal.n_journals; i++) {
        if (scc_ctl_adopt_file(ad, ad->journal.journals[i]) != 0) {
            return -1;
        }
    }

    return 0;
}


/* Over what is older: nginx may have gone on from it already. */

static int
scc_ctl_adopt_file(scc_ctl_adopt_t *ad, const char *dir)
{
    int            rc;
    char          *path;
    scc_anchor_t   a;

    if (scc_ctl_adopt_anchor(ad, dir, &a) == 0 && a.high.epoch >= ad->epoch)
    {
        return 0;
    }

    if (asprintf(&path, "%s/" SCC_ANCHOR_FILE, dir) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    rc = scc_ctl_disk_write(path, scc_buf_get(&ad->text));

    if (rc != 0) {
        scc_ctl_error("\"%s\": %s; the store has its epoch already: run "
                      "this again when it can be written", path,
                      strerror(errno));
    }

    free(path);

    return rc;
}
