
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "scc_contribution.h"
#include "scc_ctl_dead.h"
#include "scc_ctl_merge.h"
#include "scc_ctl_numbers.h"
#include "scc_ctl_progress.h"
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


static int scc_ctl_rebuild(const scc_ctl_args_t *args);
static int scc_ctl_rebuild_journal(scc_ctl_rebuild_t *rb,
    const scc_ctl_args_t *args);
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
    const char *conninfo);
static int scc_ctl_rebuild_digest(PGconn *pg, const char *name,
    const char *const *queries);
static int scc_ctl_rebuild_copy(PGconn *pg, EVP_MD_CTX *md,
    const char *query);


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
    "  createdb scc, sccctl init --store UUID --epoch N, sccctl rebuild ...\n"
    "where UUID is in the file DIR/store, and N is one more than before.\n"
    "Then set another scc_cache_generation in nginx's configuration: cells' "
    "versions\nbegin anew.\n",
    scc_ctl_rebuild_opts, scc_ctl_rebuild
};


/* What is compared: all but when and how often a row was written. */

static const char *const  scc_ctl_rebuild_ledger[] = {
    "SELECT event_id, hlc, received_at, segment_id, schema_ver, kind, target,"
    " contributor_id, contributor_name, idem_key, body_sha256, body"
    " FROM scc.contribution ORDER BY hlc, event_id",
    NULL
};

static const char *const  scc_ctl_rebuild_places[] = {
    "SELECT id, name, category, address, source, extra, building_id,"
    " synthetic, is_closed, registered, level, lon_e7, lat_e7, hlc, event_id"
    " FROM scc.place ORDER BY id",
    "SELECT place_id, floors, is_first_floor, is_stair_only_option,"
    " stair_info, stair_height_level, has_slope, entrance_door_types,"
    " image_urls, recovered_from, confidence, recoverer, original_time,"
    " contributor_id, as_of, hlc, event_id"
    " FROM scc.place_accessibility ORDER BY place_id",
    "SELECT id, name, address, lon_e7, lat_e7, contributor_id, hlc, event_id"
    " FROM scc.building ORDER BY id",
    "SELECT building_id, entrance_stair_info, entrance_stair_height_level,"
    " entrance_door_types, has_slope, has_elevator, elevator_stair_info,"
    " elevator_stair_height_level, image_urls, recovered_from, confidence,"
    " recoverer, original_time, contributor_id, as_of, hlc, event_id"
    " FROM scc.building_accessibility ORDER BY building_id",
    "SELECT event_id, place_id, building_id, comment, contributor_id, hlc"
    " FROM scc.comment ORDER BY event_id",
    "SELECT event_id, place_id, reason, detail, contributor_id, hlc"
    " FROM scc.report ORDER BY event_id",
    "SELECT number, id FROM scc.number WHERE kind = 'place' ORDER BY number",
    NULL
};

static const char *const  scc_ctl_rebuild_roster[] = {
    "SELECT c.id, c.display_name, c.hlc, n.number, c.erased_hlc"
    " FROM scc.contributor c"
    " LEFT JOIN scc.number n ON n.kind = 'contributor' AND n.id = c.id"
    " ORDER BY c.id",
    NULL
};


static int
scc_ctl_rebuild(const scc_ctl_args_t *args)
{
    int                rc;
    const char        *conninfo;
    scc_ctl_rebuild_t  rb;

    memset(&rb, 0, sizeof(scc_ctl_rebuild_t));

    if (args->opt[SCC_CTL_REBUILD_JOURNAL] == NULL) {
        return scc_ctl_usage("rebuild", "name the journals: --journal DIR "
                             "[DIR...]");
    }

    conninfo = NULL;

    if (args->opt[SCC_CTL_REBUILD_DRY_RUN] == NULL) {
        conninfo = scc_ctl_pg_conninfo("rebuild",
                                       args->opt[SCC_CTL_REBUILD_PG]);
        if (conninfo == NULL) {
            return SCC_CTL_USAGE;
        }
    }

    scc_ctl_progress_init(&rb.progress, false);

    rc = scc_ctl_rebuild_journal(&rb, args);

    if (rc == 0 && conninfo != NULL) {
        rc = scc_ctl_rebuild_store(&rb, conninfo);
    }

    /* the whole journal is checked before anything is written */

    if (rc == 0 && scc_ctl_journal_verify(&rb.journal) != SCC_CTL_OK
        && args->opt[SCC_CTL_REBUILD_SALVAGE] == NULL)
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
        rc = scc_ctl_rebuild_report(&rb, conninfo);
    }

    scc_ctl_apply_free(rb.apply);
    scc_ctl_journal_free(&rb.journal);

    return rc == 0 ? SCC_CTL_OK : SCC_CTL_FAILED;
}


static int
scc_ctl_rebuild_journal(scc_ctl_rebuild_t *rb, const scc_ctl_args_t *args)
{
    int      i, rc;
    char   **dirs;
    size_t   k;

    dirs = calloc((size_t) args->argc + 1, sizeof(char *));
    if (dirs == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    dirs[0] = strdup(args->opt[SCC_CTL_REBUILD_JOURNAL]);

    for (i = 0; i < args->argc; i++) {
        dirs[i + 1] = args->argv[i];
    }

    if (dirs[0] == NULL) {
        scc_ctl_error("out of memory");
        rc = -1;

    } else {
        rc = scc_ctl_journal_list(&rb->journal, args->argc + 1, dirs);
    }

    free(dirs[0]);
    free(dirs);

    if (rc != 0 || scc_ctl_journal_look(&rb->journal) != 0) {
        return -1;
    }

    if (rb->journal.n == 0) {
        scc_ctl_error("there is no segment in these journals");
        return -1;
    }

    for (k = 0; k < rb->journal.n; k++) {
        rb->bytes += rb->journal.segments[k].pos;
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
scc_ctl_rebuild_report(scc_ctl_rebuild_t *rb, const char *conninfo)
{
    int        rc;
    double     seconds;
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

    seconds = (double) (scc_ctl_now() - rb->progress.start) / 1e9;

    if (conninfo == NULL) {
        printf("dry run: nothing was written to a store\n");
        return 0;
    }

    pg = scc_ctl_store_connect(conninfo, false, store);
    if (pg == NULL) {
        return -1;
    }

    rc = -1;

    if (scc_ctl_pg_do(pg, "settings", "SET timezone = 'UTC';"
                      " SET datestyle = 'ISO, YMD';"
                      " SET enable_seqscan = on")
        == 0
        && scc_ctl_pg_number(pg, "counting the ledger", "SELECT count(*)"
                             " FROM scc.contribution", &ledger)
           == 0
        && scc_ctl_pg_number(pg, "counting dead letters", "SELECT count(*)"
                             " FROM scc.dead_letter", &dead)
           == 0)
    {
        printf("events %lld, duplicates %lld, dead letters %lld\n",
               (long long) ledger,
               (long long) rb->records - (long long) (ledger + dead),
               (long long) dead);

        if (scc_ctl_rebuild_digest(pg, "ledger", scc_ctl_rebuild_ledger) == 0
            && scc_ctl_rebuild_digest(pg, "places", scc_ctl_rebuild_places)
               == 0
            && scc_ctl_rebuild_digest(pg, "roster", scc_ctl_rebuild_roster)
               == 0)
        {
            printf("%.2f s, %.0f records/s\n", seconds,
                   (double) rb->records / seconds);
            rc = 0;
        }
    }

    PQfinish(pg);

    return rc;
}


static int
scc_ctl_rebuild_digest(PGconn *pg, const char *name,
    const char *const *queries)
{
    int          i, rc;
    unsigned     n;
    uint8_t      digest[32];
    EVP_MD_CTX  *md;

    md = EVP_MD_CTX_new();
    rc = (md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1) ? 0
                                                                        : -1;

    for (i = 0; rc == 0 && queries[i] != NULL; i++) {
        rc = scc_ctl_rebuild_copy(pg, md, queries[i]);
    }

    if (rc == 0 && EVP_DigestFinal_ex(md, digest, &n) == 1) {
        printf("%s sha256 ", name);

        for (i = 0; i < 32; i++) {
            printf("%02x", digest[i]);
        }

        putchar('\n');
    }

    EVP_MD_CTX_free(md);

    return rc;
}


static int
scc_ctl_rebuild_copy(PGconn *pg, EVP_MD_CTX *md, const char *query)
{
    int        n;
    char      *text;
    PGresult  *res;

    if (asprintf(&text, "COPY (%s) TO STDOUT", query) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    res = PQexec(pg, text);
    free(text);

    if (PQresultStatus(res) != PGRES_COPY_OUT) {
        scc_ctl_error("reading the store: %s", scc_ctl_pg_message(pg, res));
        PQclear(res);
        return -1;
    }

    PQclear(res);

    while ((n = PQgetCopyData(pg, &text, 0)) > 0) {
        (void) EVP_DigestUpdate(md, text, (size_t) n);
        PQfreemem(text);
    }

    res = PQgetResult(pg);

    if (n != -1 || PQresultStatus(res) != PGRES_COMMAND_OK) {
        scc_ctl_error("reading the store: %s", scc_ctl_pg_message(pg, res));
        PQclear(res);
        return -1;
    }

    PQclear(res);
    PQclear(PQgetResult(pg));

    return 0;
}
