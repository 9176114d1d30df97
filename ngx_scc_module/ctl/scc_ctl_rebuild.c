
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_contribution.h"
#include "scc_ctl_dead.h"
#include "scc_ctl_disk.h"
#include "scc_ctl_mark.h"
#include "scc_ctl_merge.h"
#include "scc_ctl_numbers.h"
#include "scc_ctl_progress.h"
#include "scc_ctl_rebuild.h"
#include "scc_ctl_store.h"


#define SCC_CTL_REBUILD_BATCH  5000


typedef struct {
    scc_ctl_journal_t     journal;
    scc_ctl_apply_t      *apply;        /* NULL in a dry run */
    scc_ctl_progress_t    progress;
    uint64_t              bytes;
    uint64_t              done;
    uint64_t              records;
    uint64_t              copies;
    uint64_t              erasures;
    uint64_t              unreadable;
    uint64_t              kinds[SCC_KIND_LAST + 1];
} scc_ctl_rebuild_t;


/* Segments that prune has deleted, and no other directory has. */

typedef struct {
    const scc_ctl_journal_t  *journal;
    uint64_t                  n;
    scc_ctl_mark_t            last;
} scc_ctl_gone_t;


static int scc_ctl_rebuild(const scc_ctl_args_t *args);
static int scc_ctl_rebuild_journal(scc_ctl_rebuild_t *rb,
    const scc_ctl_rebuild_conf_t *conf);
static int scc_ctl_rebuild_pruned(const scc_ctl_rebuild_t *rb,
    const char *dir);
static int scc_ctl_rebuild_gone(void *data, const char *dir,
    const char *name);
static int scc_ctl_rebuild_store(scc_ctl_rebuild_t *rb,
    const char *conninfo);
static int scc_ctl_rebuild_owner(const scc_ctl_rebuild_t *rb,
    const uint8_t store[16]);
static int scc_ctl_rebuild_empty(scc_ctl_rebuild_t *rb);
static int scc_ctl_rebuild_numbers(scc_ctl_rebuild_t *rb);
static int scc_ctl_rebuild_pass(scc_ctl_rebuild_t *rb, bool erasures);
static int scc_ctl_rebuild_record(scc_ctl_rebuild_t *rb,
    const scc_ctl_source_t *source);
static int scc_ctl_rebuild_refused(void *ctx, const scc_ctl_batch_t *b,
    const scc_ctl_row_t *row, const scc_ctl_event_t *culprit,
    const char *sqlstate, const char *message);
static int scc_ctl_rebuild_mismatch(void *ctx, const scc_ctl_batch_t *b,
    const scc_ctl_event_t *ev);
static int scc_ctl_rebuild_report(scc_ctl_rebuild_t *rb,
    const char *conninfo, scc_ctl_rebuilt_t *result);


enum {
    SCC_CTL_REBUILD_PG = 0,
    SCC_CTL_REBUILD_JOURNAL,
    SCC_CTL_REBUILD_SALVAGE,
    SCC_CTL_REBUILD_DRY_RUN,
};

static const scc_ctl_opt_t  scc_ctl_rebuild_opts[] = {
    SCC_CTL_PG_OPT,
    { "journal", "DIR", "a journal; more of them may follow as arguments" },
    { "salvage", NULL, "go on where segments are damaged, with what is "
                       "whole" },
    { "dry-run", NULL, "read and check the journals, touch no store" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_rebuild_cmd = {
    "rebuild", "--journal DIR [DIR...]",
    "fill an empty store from journals alone",
    "Reads all segments of the journals, checks every byte, and applies "
    "their records\nto an empty store, by time, erasures last: ledger, "
    "places, contributors.  Name\nthe journals of all hosts; what is in two "
    "of them counts once.\n\n"
    "A lost store is brought back so:\n"
    "  createdb scc, sccctl init --store UUID --epoch N, sccctl rebuild ...,\n"
    "  sccctl adopt --store UUID --epoch N ...\n"
    "where UUID is in the file DIR/store, and N is one more than before: the "
    "number\nin DIR/anchor.  nginx believes it after the last step only.\n",
    scc_ctl_rebuild_opts, scc_ctl_rebuild
};


static int
scc_ctl_rebuild(const scc_ctl_args_t *args)
{
    int                      i, rc;
    char                   **dirs;
    scc_ctl_rebuilt_t        result;
    scc_ctl_rebuild_conf_t   conf;

    memset(&conf, 0, sizeof(scc_ctl_rebuild_conf_t));

    if (args->opt[SCC_CTL_REBUILD_JOURNAL] == NULL) {
        return scc_ctl_usage("rebuild", "name the journals: --journal DIR "
                             "[DIR...]");
    }

    if (args->opt[SCC_CTL_REBUILD_DRY_RUN] == NULL) {
        conf.conninfo = scc_ctl_pg_conninfo("rebuild",
                                            args->opt[SCC_CTL_REBUILD_PG]);
        if (conf.conninfo == NULL) {
            return SCC_CTL_USAGE;
        }
    }

    dirs = calloc((size_t) args->argc + 1, sizeof(char *));

    if (dirs == NULL
        || (dirs[0] = strdup(args->opt[SCC_CTL_REBUILD_JOURNAL])) == NULL)
    {
        scc_ctl_error("out of memory");
        free(dirs);
        return SCC_CTL_FAILED;
    }

    for (i = 0; i < args->argc; i++) {
        dirs[i + 1] = args->argv[i];
    }

    conf.dirs = dirs;
    conf.n_dirs = args->argc + 1;
    conf.salvage = args->opt[SCC_CTL_REBUILD_SALVAGE] != NULL;

    rc = scc_ctl_rebuild_run(&conf, &result);

    free(dirs[0]);
    free(dirs);

    return rc == 0 ? SCC_CTL_OK : SCC_CTL_FAILED;
}


int
scc_ctl_rebuild_run(const scc_ctl_rebuild_conf_t *conf,
    scc_ctl_rebuilt_t *result)
{
    int                rc;
    scc_ctl_rebuild_t  rb;

    memset(&rb, 0, sizeof(scc_ctl_rebuild_t));
    memset(result, 0, sizeof(scc_ctl_rebuilt_t));

    scc_ctl_progress_init(&rb.progress, false);

    rc = scc_ctl_rebuild_journal(&rb, conf);

    if (rc == 0 && conf->conninfo != NULL) {
        rc = scc_ctl_rebuild_store(&rb, conf->conninfo);
    }

    /* the whole journal is checked before anything is written */

    if (rc == 0 && scc_ctl_journal_verify(&rb.journal) != SCC_CTL_OK
        && !conf->salvage)
    {
        scc_ctl_error("the journals have faults, see above; add journals "
                      "that have a copy, or take what is whole with "
                      "--salvage");
        rc = -1;
    }

    if (rc == 0) {
        rc = scc_ctl_rebuild_numbers(&rb);
    }

    if (rc == 0) {
        rc = scc_ctl_rebuild_pass(&rb, false);
    }

    if (rc == 0 && rb.erasures > 0) {
        rc = scc_ctl_rebuild_pass(&rb, true);
    }

    scc_ctl_progress_clear(&rb.progress);

    if (rc == 0) {
        rc = scc_ctl_rebuild_report(&rb, conf->conninfo, result);
    }

    scc_ctl_apply_free(rb.apply);
    scc_ctl_journal_free(&rb.journal);

    return rc;
}


static int
scc_ctl_rebuild_journal(scc_ctl_rebuild_t *rb,
    const scc_ctl_rebuild_conf_t *conf)
{
    size_t  k;

    if (scc_ctl_journal_list(&rb->journal, conf->n_dirs, conf->dirs) != 0
        || scc_ctl_journal_look(&rb->journal) != 0)
    {
        return -1;
    }

    if (rb->journal.n == 0) {
        scc_ctl_error("there is no segment in these journals");
        return -1;
    }

    for (k = 0; k < rb->journal.n_journals && !conf->salvage; k++) {
        if (scc_ctl_rebuild_pruned(rb, rb->journal.journals[k]) != 0) {
            return -1;
        }
    }

    for (k = 0; k < rb->journal.n; k++) {
        rb->bytes += rb->journal.segments[k].pos;
    }

    return 0;
}


/* What was deleted here has to come from its copy. */

static int
scc_ctl_rebuild_pruned(const scc_ctl_rebuild_t *rb, const char *dir)
{
    int              len;
    const char      *end;
    scc_ctl_gone_t   gone;

    memset(&gone, 0, sizeof(scc_ctl_gone_t));
    gone.journal = &rb->journal;

    if (scc_ctl_disk_list(dir, scc_ctl_rebuild_gone, &gone) != 0) {
        return -1;
    }

    if (gone.n == 0) {
        return 0;
    }

    end = strrchr(gone.last.object, '/');
    len = (end != NULL) ? (int) (end - gone.last.object) : 0;

    scc_ctl_error("%llu segments of \"%s\" were deleted by prune; name "
                  "their copies too: --journal %s %s%s%.*s",
                  (unsigned long long) gone.n, dir, dir, gone.last.to,
                  gone.last.to[0] != '\0' ? "/" : "", len,
                  gone.last.object);

    return -1;
}


static int
scc_ctl_rebuild_gone(void *data, const char *dir, const char *name)
{
    scc_ctl_gone_t *gone = data;

    char             path[4096];
    size_t           i, len;
    const char      *dot;
    scc_ctl_mark_t   mark;

    dot = strchr(name, '.');

    if (dot == NULL || strcmp(dot, SCC_CTL_MARK_PRUNED) != 0) {
        return 0;
    }

    len = (size_t) (dot - name) + 1;

    for (i = 0; i < gone->journal->n; i++) {
        if (strncmp(gone->journal->segments[i].name, name, len) == 0) {
            return 0;
        }
    }

    gone->n++;

    if (snprintf(path, sizeof(path), "%s/%s", dir, name)
        < (int) sizeof(path)
        && scc_ctl_mark_read(path, SCC_CTL_MARK_PRUNED, &mark) == 0)
    {
        gone->last = mark;
    }

    return 0;
}


static int
scc_ctl_rebuild_store(scc_ctl_rebuild_t *rb, const char *conninfo)
{
    scc_ctl_apply_conf_t  ac;

    memset(&ac, 0, sizeof(scc_ctl_apply_conf_t));

    ac.conninfo = conninfo;
    ac.batch = SCC_CTL_REBUILD_BATCH;
    ac.refused = scc_ctl_rebuild_refused;
    ac.mismatch = scc_ctl_rebuild_mismatch;
    ac.ctx = rb;

    rb->apply = scc_ctl_apply_create(&ac);

    if (rb->apply == NULL) {
        return -1;
    }

    if (scc_ctl_rebuild_empty(rb) != 0) {
        return -1;
    }

    return scc_ctl_rebuild_owner(rb, scc_ctl_apply_store(rb->apply));
}


static int
scc_ctl_rebuild_owner(const scc_ctl_rebuild_t *rb, const uint8_t store[16])
{
    size_t                    i;
    uint8_t                   text[37];
    scc_buf_t                 b;
    const scc_ctl_segment_t  *s;

    for (i = 0; i < rb->journal.n; i++) {
        s = &rb->journal.segments[i];

        if (!s->known || memcmp(s->head.store, store, 16) == 0) {
            continue;
        }

        scc_buf_fixed(&b, text, sizeof(text));
        scc_uuid_write(&b, s->head.store);

        scc_ctl_error("\"%s\" is of store %.36s, which this one is not; to "
                      "rebuild that one, make the empty store it with "
                      "\"sccctl init --store %.36s --epoch N\", N being one "
                      "more than before", s->path, (char *) text,
                      (char *) text);
        return -1;
    }

    return 0;
}


static int
scc_ctl_rebuild_empty(scc_ctl_rebuild_t *rb)
{
    int        rc;
    PGresult  *res;

    static const scc_ctl_ask_t  ask = {
        "counting what the store has",
        "SELECT (SELECT count(*) FROM scc.contribution),"
        " (SELECT count(*) FROM scc.dead_letter),"
        " (SELECT count(*) FROM scc.place)", 0,
        { 0 }, { NULL }, { 0 }, { 0 }
    };

    res = scc_ctl_apply_ask(rb->apply, &ask);

    if (res == NULL) {
        return -1;
    }

    rc = 0;

    if (strcmp(PQgetvalue(res, 0, 0), "0") != 0
        || strcmp(PQgetvalue(res, 0, 1), "0") != 0
        || strcmp(PQgetvalue(res, 0, 2), "0") != 0)
    {
        scc_ctl_error("the store is not empty: it has %s contributions, %s "
                      "dead letters and %s places; rebuild into a new "
                      "database, and keep this one",
                      PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1),
                      PQgetvalue(res, 0, 2));
        rc = -1;
    }

    PQclear(res);

    return rc;
}


/* What was given once is not given to somebody else. */

static int
scc_ctl_rebuild_numbers(scc_ctl_rebuild_t *rb)
{
    int                rc;
    size_t             i;
    const uint8_t     *store;
    scc_ctl_numbers_t  ns;

    memset(&ns, 0, sizeof(scc_ctl_numbers_t));

    store = rb->apply != NULL ? scc_ctl_apply_store(rb->apply) : NULL;
    rc = 0;

    for (i = 0; i < rb->journal.n_journals && rc == 0; i++) {
        rc = scc_ctl_numbers_read(&ns, rb->journal.journals[i], store);
    }

    scc_ctl_numbers_sort(&ns);

    if (rc == 0 && rb->apply != NULL) {
        rc = scc_ctl_numbers_restore(&ns, rb->apply);
    }

    if (rc == 0) {
        printf("numbers of contributors %llu, of places %llu, doubtful %llu, "
               "unreadable %llu\n",
               (unsigned long long) ns.counts[SCC_NUMBER_CONTRIBUTOR],
               (unsigned long long) ns.counts[SCC_NUMBER_PLACE],
               (unsigned long long) ns.doubtful,
               (unsigned long long) ns.unreadable);
    }

    scc_ctl_numbers_free(&ns);

    return rc;
}


static int
scc_ctl_rebuild_pass(scc_ctl_rebuild_t *rb, bool erasures)
{
    int                      rc;
    bool                     erase;
    scc_ctl_merge_t          m;
    const scc_ctl_source_t  *source;

    if (scc_ctl_merge_init(&m, &rb->journal) != 0) {
        return -1;
    }

    for ( ;; ) {
        rc = scc_ctl_merge_next(&m, &source);

        if (rc <= 0) {
            break;
        }

        erase = source->cr.readable && source->cr.r.kind == SCC_KIND_ERASE;

        if (!erasures) {
            rb->done += source->cr.bytes.len;
            rb->records++;
            rb->erasures += erase;

            scc_ctl_progress_update(&rb->progress, "journals", rb->done,
                                    rb->bytes, rb->records);
        }

        if (erase == erasures && scc_ctl_rebuild_record(rb, source) != 0) {
            rc = -1;
            break;
        }
    }

    if (!erasures) {
        rb->copies = m.copies;
    }

    scc_ctl_merge_free(&m);

    if (rc == 0 && rb->apply != NULL) {
        rc = scc_ctl_apply_flush(rb->apply);
    }

    return rc;
}


static int
scc_ctl_rebuild_record(scc_ctl_rebuild_t *rb, const scc_ctl_source_t *source)
{
    scc_str_t                 none = scc_null_string;
    scc_ctl_batch_t          *b;
    scc_ctl_event_t          *ev;
    const scc_ctl_segment_t  *s;

    s = source->segment;

    if (!source->cr.readable) {
        rb->unreadable++;

        if (rb->apply == NULL) {
            return 0;
        }

        if (scc_ctl_apply_flush(rb->apply) != 0) {
            return -1;
        }

        return scc_ctl_dead_bury_raw(rb->apply,
                                     s->known ? s->head.segment : NULL,
                                     source->cr.bytes, "bad-record");
    }

    rb->kinds[source->cr.r.kind]++;

    if (rb->apply == NULL) {
        return 0;
    }

    b = scc_ctl_apply_batch(rb->apply);

    (void) scc_ctl_batch_row(b, 0, none);
    ev = scc_ctl_batch_event(b, &source->cr.r);

    if (s->known) {
        ev->journaled = true;
        memcpy(ev->segment, s->head.segment, 16);
    }

    return scc_ctl_apply_added(rb->apply);
}


static int
scc_ctl_rebuild_refused(void *ctx, const scc_ctl_batch_t *b,
    const scc_ctl_row_t *row, const scc_ctl_event_t *culprit,
    const char *sqlstate, const char *message)
{
    char                reason[1100];
    scc_ctl_rebuild_t  *rb = ctx;

    (void) culprit;

    snprintf(reason, sizeof(reason), "refused: %s", message);

    return scc_ctl_dead_bury(rb->apply, b, &b->events[row->first], sqlstate,
                             reason);
}


static int
scc_ctl_rebuild_mismatch(void *ctx, const scc_ctl_batch_t *b,
    const scc_ctl_event_t *ev)
{
    scc_ctl_rebuild_t  *rb = ctx;

    return scc_ctl_dead_bury(rb->apply, b, ev, NULL, "idem-mismatch");
}


static int
scc_ctl_rebuild_report(scc_ctl_rebuild_t *rb, const char *conninfo,
    scc_ctl_rebuilt_t *result)
{
    int        rc;
    PGconn    *pg;
    uint8_t    store[16];
    int64_t    ledger, dead;
    unsigned   kind;
    scc_str_t  name;

    for (kind = 1; kind <= SCC_KIND_LAST; kind++) {
        if (rb->kinds[kind] > 0) {
            name = scc_kind_name((scc_kind_t) kind);
            printf("%-22.*s  %llu\n", (int) name.len,
                   (const char *) name.data,
                   (unsigned long long) rb->kinds[kind]);
        }
    }

    printf("records %llu, copies left out %llu, unreadable %llu\n",
           (unsigned long long) rb->records, (unsigned long long) rb->copies,
           (unsigned long long) rb->unreadable);

    result->records = rb->records;
    result->copies = rb->copies;
    result->unreadable = rb->unreadable;
    result->seconds = (double) (scc_ctl_now() - rb->progress.start) / 1e9;

    if (conninfo == NULL) {
        printf("dry run: nothing was written to a store\n");
        return 0;
    }

    pg = scc_ctl_store_connect(conninfo, false, store);
    if (pg == NULL) {
        return -1;
    }

    rc = -1;

    if (scc_ctl_pg_number(pg, "counting the ledger", "SELECT count(*)"
                          " FROM scc.contribution", &ledger)
        == 0
        && scc_ctl_pg_number(pg, "counting dead letters", "SELECT count(*)"
                             " FROM scc.dead_letter", &dead)
           == 0
        && scc_ctl_digest(pg, &result->digest) == 0)
    {
        printf("events %lld, duplicates %lld, dead letters %lld\n",
               (long long) ledger,
               (long long) rb->records - (long long) (ledger + dead),
               (long long) dead);

        scc_ctl_digest_print(&result->digest);

        printf("%.2f s, %.0f records/s\n", result->seconds,
               (double) rb->records / result->seconds);

        result->events = (uint64_t) ledger;
        result->dead = (uint64_t) dead;
        rc = 0;
    }

    PQfinish(pg);

    return rc;
}
