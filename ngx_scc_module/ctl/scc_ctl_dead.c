
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_contribution.h"
#include "scc_ctl_dead.h"
#include "scc_ctl_journal.h"
#include "scc_ctl_store.h"
#include "scc_params.h"


#define SCC_CTL_DEAD_PAGE   500             /* letters asked for at once */
#define SCC_CTL_DEAD_BATCH  100             /* events in one transaction */
#define SCC_CTL_DEAD_TEXT   120             /* of a reason, in a list */


/* Of the store's answer to SCC_CTL_DEAD_SELECT. */

enum {
    SCC_CTL_DEAD_ID = 0,
    SCC_CTL_DEAD_EVENT,
    SCC_CTL_DEAD_SEGMENT,
    SCC_CTL_DEAD_REASON,
    SCC_CTL_DEAD_STATE,
    SCC_CTL_DEAD_AT,
    SCC_CTL_DEAD_RESOLVED,
    SCC_CTL_DEAD_RAW,
};

#define SCC_CTL_DEAD_TIME(column)                                            \
    "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

#define SCC_CTL_DEAD_SELECT                                                  \
    "SELECT d.id, d.event_id, d.segment_id, d.reason, d.sqlstate, "          \
    SCC_CTL_DEAD_TIME("d.at") ", " SCC_CTL_DEAD_TIME("d.resolved_at") ", "


typedef struct {
    scc_ctl_apply_t    *apply;
    uint64_t            letters;
    uint64_t            failed;
} scc_ctl_redrive_t;


static int scc_ctl_dead(const scc_ctl_args_t *args);
static int scc_ctl_dead_ls(const scc_ctl_args_t *args, PGconn *pg);
static void scc_ctl_dead_line(const PGresult *res, int i);
static int scc_ctl_dead_show(const scc_ctl_args_t *args, PGconn *pg);
static int scc_ctl_dead_print(const PGresult *res, int i);
static void scc_ctl_dead_record(scc_str_t raw);
static int scc_ctl_dead_redrive(const scc_ctl_args_t *args, PGconn *pg);
static int scc_ctl_dead_all(scc_ctl_redrive_t *rd, PGconn *pg);
static int scc_ctl_dead_some(scc_ctl_redrive_t *rd, PGresult *res);
static int scc_ctl_dead_add(scc_ctl_redrive_t *rd, const PGresult *res,
    int i);
static int scc_ctl_dead_refused(void *ctx, const scc_ctl_batch_t *b,
    const scc_ctl_row_t *row, const scc_ctl_event_t *culprit,
    const char *sqlstate, const char *message);
static int scc_ctl_dead_mismatch(void *ctx, const scc_ctl_batch_t *b,
    const scc_ctl_event_t *ev);
static PGresult *scc_ctl_dead_get(PGconn *pg, const char *id);
static int scc_ctl_dead_ids(const scc_ctl_args_t *args);
static int scc_ctl_dead_raw(const PGresult *res, int i, scc_str_t *raw);
static int scc_ctl_dead_insert(scc_ctl_apply_t *a, const uint8_t *event,
    const uint8_t *segment, scc_str_t raw, const char *sqlstate,
    const char *reason);
static void scc_ctl_dead_member(const char *name, scc_str_t value);
static void scc_ctl_dead_text(scc_str_t text, size_t max);


enum {
    SCC_CTL_DEAD_OPT_PG = 0,
    SCC_CTL_DEAD_OPT_ALL,
};

static const scc_ctl_opt_t  scc_ctl_dead_opts[] = {
    SCC_CTL_PG_OPT,
    { "all", NULL, "ls: those that are resolved too; redrive: all that are "
                   "not" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_dead_cmd = {
    "dead-letter", "ls|show|redrive [ID...]",
    "look at contributions that could not be applied, and try again",
    "What the store refuses for a reason in its data, is kept as a dead "
    "letter: the\nrecord as it was acknowledged, and the server's reason.\n\n"
    "  ls       a line per letter that is not resolved: id, time, state, "
    "SQLSTATE,\n           kind, event, reason\n"
    "  show     all of one: what was contributed, by whom, why it was "
    "refused\n"
    "  redrive  applies them again, after whatever stood in their way was "
    "put right.\n           What is in the ledger then, is marked as "
    "resolved, and stays listed\n           with ls --all; exit code 1 if "
    "one was refused again\n",
    scc_ctl_dead_opts, scc_ctl_dead
};


static int
scc_ctl_dead(const scc_ctl_args_t *args)
{
    int          rc;
    PGconn      *pg;
    size_t       i;
    uint8_t      uuid[16];
    const char  *conninfo;

    static const struct {
        const char  *name;
        int        (*handler)(const scc_ctl_args_t *args, PGconn *pg);
    } parts[] = {
        { "ls", scc_ctl_dead_ls },
        { "show", scc_ctl_dead_show },
        { "redrive", scc_ctl_dead_redrive },
    };

    if (args->argc == 0) {
        return scc_ctl_usage("dead-letter", "say what to do: ls, show or "
                             "redrive");
    }

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(args->argv[0], parts[i].name) == 0) {
            break;
        }
    }

    if (i == sizeof(parts) / sizeof(parts[0])) {
        return scc_ctl_usage("dead-letter", "there is no \"%s\"; it is ls, "
                             "show or redrive", args->argv[0]);
    }

    if (scc_ctl_dead_ids(args) != SCC_CTL_OK) {
        return SCC_CTL_USAGE;
    }

    conninfo = scc_ctl_pg_conninfo("dead-letter",
                                   args->opt[SCC_CTL_DEAD_OPT_PG]);
    if (conninfo == NULL) {
        return SCC_CTL_USAGE;
    }

    pg = scc_ctl_store_connect(conninfo, false, uuid);
    if (pg == NULL) {
        return SCC_CTL_FAILED;
    }

    rc = parts[i].handler(args, pg);

    PQfinish(pg);

    return rc;
}


int
scc_ctl_dead_bury(scc_ctl_apply_t *a, const scc_ctl_batch_t *b,
    const scc_ctl_event_t *ev, const char *sqlstate, const char *reason)
{
    int           rc;
    scc_buf_t     raw;
    scc_record_t  r;

    scc_buf_heap(&raw, 0);

    scc_ctl_batch_record(b, ev, &r);
    scc_record_write(&raw, &r);

    if (raw.error) {
        scc_ctl_error("out of memory");
        rc = -1;

    } else {
        rc = scc_ctl_dead_insert(a, ev->id, ev->journaled ? ev->segment
                                                          : NULL,
                                 scc_buf_get(&raw), sqlstate, reason);
    }

    scc_buf_free(&raw);

    return rc;
}


int
scc_ctl_dead_bury_raw(scc_ctl_apply_t *a, const uint8_t *segment,
    scc_str_t raw, const char *reason)
{
    return scc_ctl_dead_insert(a, NULL, segment, raw, NULL, reason);
}


int
scc_ctl_dead_resolve(scc_ctl_apply_t *a, int64_t letter,
    const uint8_t sha256[32])
{
    char        id[24];
    PGresult   *res;

    scc_ctl_ask_t  ask = {
        "resolving a dead letter",
        "SELECT set_config('synchronous_commit', 'on', true),"
        " scc.resolve($1, $2)", 2,
        { SCC_OID_INT8, SCC_OID_BYTEA }, { NULL }, { 0, 32 }, { 0, 1 }
    };

    snprintf(id, sizeof(id), "%lld", (long long) letter);

    ask.values[0] = id;
    ask.values[1] = (const char *) sha256;

    res = scc_ctl_apply_ask(a, &ask);

    if (res == NULL) {
        return -1;
    }

    PQclear(res);

    return 0;
}


static int
scc_ctl_dead_ls(const scc_ctl_args_t *args, PGconn *pg)
{
    int          i, n;
    char         last[24];
    uint64_t     letters;
    PGresult    *res;
    const char  *params[2];

    params[0] = last;
    params[1] = args->opt[SCC_CTL_DEAD_OPT_ALL] != NULL ? "t" : "f";

    letters = 0;
    strcpy(last, "0");

    do {
        res = scc_ctl_pg_query(pg, "reading dead letters",
                               SCC_CTL_DEAD_SELECT
                               "encode(substring(d.raw FROM 1 FOR 88), 'hex')"
                               " FROM scc.dead_letter d WHERE d.id > $1"
                               " AND (d.resolved_at IS NULL OR $2)"
                               " ORDER BY d.id LIMIT 500", 2, params);
        if (res == NULL) {
            return SCC_CTL_FAILED;
        }

        n = PQntuples(res);

        if (n > 0 && letters == 0) {
            printf("%-6s %-20s  %-8s  %-5s  %-22s  %-36s  %s\n", "ID", "AT",
                   "STATE", "CODE", "KIND", "EVENT", "REASON");
        }

        for (i = 0; i < n; i++) {
            scc_ctl_dead_line(res, i);
            letters++;
        }

        if (n > 0) {
            snprintf(last, sizeof(last), "%s",
                     PQgetvalue(res, n - 1, SCC_CTL_DEAD_ID));
        }

        PQclear(res);

    } while (n == SCC_CTL_DEAD_PAGE);

    if (letters == 0) {
        printf("no dead letter\n");
    }

    return SCC_CTL_OK;
}


static void
scc_ctl_dead_line(const PGresult *res, int i)
{
    char          byte[3] = "";
    scc_str_t     raw, kind, reason;
    unsigned      number;
    const char   *hex;

    /* the kind's byte of a record */

    hex = PQgetvalue(res, i, SCC_CTL_DEAD_RAW);
    raw.len = (size_t) PQgetlength(res, i, SCC_CTL_DEAD_RAW);
    number = 0;

    if (raw.len == 2 * SCC_JOURNAL_RECORD) {
        memcpy(byte, hex + 20, 2);
        number = (unsigned) strtoul(byte, NULL, 16);
    }

    kind = scc_kind_name((scc_kind_t) number);

    printf("%-6s %-20s  %-8s  %-5s  %-22.*s  %-36s  ",
           PQgetvalue(res, i, SCC_CTL_DEAD_ID),
           PQgetvalue(res, i, SCC_CTL_DEAD_AT),
           PQgetisnull(res, i, SCC_CTL_DEAD_RESOLVED) ? "open" : "resolved",
           PQgetisnull(res, i, SCC_CTL_DEAD_STATE)
           ? "-" : PQgetvalue(res, i, SCC_CTL_DEAD_STATE),
           kind.len != 0 ? (int) kind.len : 1,
           kind.len != 0 ? (const char *) kind.data : "-",
           PQgetisnull(res, i, SCC_CTL_DEAD_EVENT)
           ? "-" : PQgetvalue(res, i, SCC_CTL_DEAD_EVENT));

    reason.data = (const uint8_t *) PQgetvalue(res, i, SCC_CTL_DEAD_REASON);
    reason.len = (size_t) PQgetlength(res, i, SCC_CTL_DEAD_REASON);

    scc_ctl_dead_text(reason, SCC_CTL_DEAD_TEXT);
    putchar('\n');
}


static int
scc_ctl_dead_show(const scc_ctl_args_t *args, PGconn *pg)
{
    int         i, k;
    PGresult   *res;

    for (i = 1; i < args->argc; i++) {

        res = scc_ctl_dead_get(pg, args->argv[i]);
        if (res == NULL) {
            return SCC_CTL_FAILED;
        }

        for (k = 0; k < PQntuples(res); k++) {

            if (i > 1 || k > 0) {
                putchar('\n');
            }

            if (scc_ctl_dead_print(res, k) != 0) {
                PQclear(res);
                return SCC_CTL_FAILED;
            }
        }

        PQclear(res);
    }

    return SCC_CTL_OK;
}


static int
scc_ctl_dead_print(const PGresult *res, int i)
{
    size_t     n;
    scc_str_t  raw, value;

    static const struct {
        const char  *name;
        int          column;
    } lines[] = {
        { "letter", SCC_CTL_DEAD_ID },
        { "at", SCC_CTL_DEAD_AT },
        { "resolved", SCC_CTL_DEAD_RESOLVED },
        { "event", SCC_CTL_DEAD_EVENT },
        { "segment", SCC_CTL_DEAD_SEGMENT },
        { "reason", SCC_CTL_DEAD_REASON },
        { "sqlstate", SCC_CTL_DEAD_STATE },
    };

    if (scc_ctl_dead_raw(res, i, &raw) != 0) {
        return -1;
    }

    for (n = 0; n < sizeof(lines) / sizeof(lines[0]); n++) {
        value.data = (uint8_t *) PQgetvalue(res, i, lines[n].column);
        value.len = (size_t) PQgetlength(res, i, lines[n].column);

        scc_ctl_dead_member(lines[n].name, value);
    }

    scc_ctl_dead_record(raw);

    PQfreemem((void *) raw.data);

    return 0;
}


static void
scc_ctl_dead_record(scc_str_t raw)
{
    char           time[SCC_CTL_TIME];
    size_t         i, size;
    uint8_t        text[65];
    scc_record_t   r;

    if (scc_record_read(raw, &r, &size) != SCC_OK || size != raw.len) {

        /* as od prints it: who looks at this looks at bytes */

        printf("%-12s %zu bytes that are no record", "raw", raw.len);

        for (i = 0; i < raw.len; i++) {
            printf(i % 32 == 0 ? "\n  %02x" : " %02x", raw.data[i]);
        }

        putchar('\n');

        return;
    }

    scc_ctl_dead_member("kind", scc_kind_name(r.kind));
    printf("%-12s %llu\n", "hlc", (unsigned long long) r.hlc);
    printf("%-12s %s\n", "time", scc_ctl_hlc(time, r.hlc));
    printf("%-12s %s\n", "received", scc_ctl_time(time, r.received, 9));
    scc_ctl_dead_member("target", r.target);
    scc_ctl_dead_member("contributor", r.contributor_id);
    scc_ctl_dead_member("name", r.contributor_name);
    scc_ctl_dead_member("key", r.key);

    for (i = 0; i < 32; i++) {
        snprintf((char *) text + 2 * i, 3, "%02x", r.sha256[i]);
    }

    printf("%-12s %s\n", "sha256", (char *) text);
    scc_ctl_dead_member("body", r.body);
}


static int
scc_ctl_dead_redrive(const scc_ctl_args_t *args, PGconn *pg)
{
    int                           i, rc;
    scc_ctl_redrive_t             rd;
    scc_ctl_apply_conf_t          ac;
    const scc_ctl_apply_stats_t  *stats;

    memset(&rd, 0, sizeof(scc_ctl_redrive_t));
    memset(&ac, 0, sizeof(scc_ctl_apply_conf_t));

    ac.conninfo = scc_ctl_pg_conninfo("dead-letter",
                                      args->opt[SCC_CTL_DEAD_OPT_PG]);
    ac.batch = SCC_CTL_DEAD_BATCH;
    ac.refused = scc_ctl_dead_refused;
    ac.mismatch = scc_ctl_dead_mismatch;
    ac.ctx = &rd;

    rd.apply = scc_ctl_apply_create(&ac);
    if (rd.apply == NULL) {
        return SCC_CTL_FAILED;
    }

    rc = 0;

    if (args->opt[SCC_CTL_DEAD_OPT_ALL] != NULL) {
        rc = scc_ctl_dead_all(&rd, pg);
    }

    for (i = 1; i < args->argc && rc == 0; i++) {
        rc = scc_ctl_dead_some(&rd, scc_ctl_dead_get(pg, args->argv[i]));
    }

    if (rc == 0) {
        rc = scc_ctl_apply_flush(rd.apply);
    }

    stats = scc_ctl_apply_stats(rd.apply);

    if (rc == 0) {
        printf("%llu letters: %llu applied, %llu were in the ledger already, "
               "%llu refused\n", (unsigned long long) rd.letters,
               (unsigned long long) stats->events_new,
               (unsigned long long) (stats->events_old - stats->mismatched),
               (unsigned long long) rd.failed);
    }

    scc_ctl_apply_free(rd.apply);

    return rc == 0 && rd.failed == 0 ? SCC_CTL_OK : SCC_CTL_FAILED;
}


static int
scc_ctl_dead_all(scc_ctl_redrive_t *rd, PGconn *pg)
{
    int          n, rc;
    char         last[24];
    PGresult    *res;
    const char  *params[1];

    params[0] = last;
    strcpy(last, "0");

    do {
        res = scc_ctl_pg_query(pg, "reading dead letters",
                               SCC_CTL_DEAD_SELECT "d.raw"
                               " FROM scc.dead_letter d WHERE d.id > $1"
                               " AND d.resolved_at IS NULL"
                               " ORDER BY d.id LIMIT 20", 1, params);
        if (res == NULL) {
            return -1;
        }

        n = PQntuples(res);

        if (n > 0) {
            snprintf(last, sizeof(last), "%s",
                     PQgetvalue(res, n - 1, SCC_CTL_DEAD_ID));
        }

        rc = scc_ctl_dead_some(rd, res);

    } while (n > 0 && rc == 0);

    return rc;
}


/* Takes the result, and NULL for a failure that was told. */

static int
scc_ctl_dead_some(scc_ctl_redrive_t *rd, PGresult *res)
{
    int  i, rc;

    if (res == NULL) {
        return -1;
    }

    rc = 0;

    for (i = 0; i < PQntuples(res) && rc == 0; i++) {
        rc = scc_ctl_dead_add(rd, res, i);
    }

    PQclear(res);

    return rc;
}


static int
scc_ctl_dead_add(scc_ctl_redrive_t *rd, const PGresult *res, int i)
{
    int               rc;
    size_t            size;
    scc_str_t         raw, id, segment;
    scc_record_t      r;
    scc_ctl_batch_t  *b;
    scc_ctl_event_t  *ev;

    id.data = (uint8_t *) PQgetvalue(res, i, SCC_CTL_DEAD_ID);
    id.len = (size_t) PQgetlength(res, i, SCC_CTL_DEAD_ID);

    if (!PQgetisnull(res, i, SCC_CTL_DEAD_RESOLVED)) {
        printf("%s: resolved already\n", (const char *) id.data);
        return 0;
    }

    if (scc_ctl_dead_raw(res, i, &raw) != 0) {
        return -1;
    }

    rd->letters++;
    rc = 0;

    if (scc_record_read(raw, &r, &size) != SCC_OK || size != raw.len) {
        printf("%s: it is no record that this program can read\n",
               (const char *) id.data);
        rd->failed++;

    } else {
        b = scc_ctl_apply_batch(rd->apply);

        (void) scc_ctl_batch_row(b, 0, id);
        ev = scc_ctl_batch_event(b, &r);
        ev->letter = strtoll((const char *) id.data, NULL, 10);

        segment.data = (uint8_t *) PQgetvalue(res, i, SCC_CTL_DEAD_SEGMENT);
        segment.len = (size_t) PQgetlength(res, i, SCC_CTL_DEAD_SEGMENT);

        ev->journaled = scc_uuid_parse(segment, ev->segment) == SCC_OK;

        rc = scc_ctl_apply_added(rd->apply);
    }

    PQfreemem((void *) raw.data);

    return rc;
}


static int
scc_ctl_dead_refused(void *ctx, const scc_ctl_batch_t *b,
    const scc_ctl_row_t *row, const scc_ctl_event_t *culprit,
    const char *sqlstate, const char *message)
{
    scc_str_t           id, text;
    scc_ctl_redrive_t  *rd = ctx;

    (void) culprit;

    id = scc_ctl_batch_str(b, row->id);
    text.data = (const uint8_t *) message;
    text.len = strlen(message);

    printf("%.*s: refused again: ", (int) id.len, (const char *) id.data);
    scc_ctl_dead_text(text, text.len);
    printf(" [%s]\n", sqlstate);

    rd->failed++;

    return 0;
}


static int
scc_ctl_dead_mismatch(void *ctx, const scc_ctl_batch_t *b,
    const scc_ctl_event_t *ev)
{
    scc_ctl_redrive_t  *rd = ctx;

    (void) b;

    printf("%lld: refused again: the ledger has this event, or this "
           "contributor's idempotency key, with another body\n",
           (long long) ev->letter);

    rd->failed++;

    return 0;
}


/* A letter by its number, or those of an event; NULL after saying that
   there is none. */

static PGresult *
scc_ctl_dead_get(PGconn *pg, const char *id)
{
    uint8_t     uuid[16];
    scc_str_t   text;
    PGresult   *res;

    text.data = (const uint8_t *) id;
    text.len = strlen(id);

    res = scc_ctl_pg_query(pg, "reading dead letters",
                           scc_uuid_parse(text, uuid) == SCC_OK
                           ? SCC_CTL_DEAD_SELECT "d.raw"
                             " FROM scc.dead_letter d WHERE d.event_id = $1"
                             " ORDER BY d.id"
                           : SCC_CTL_DEAD_SELECT "d.raw"
                             " FROM scc.dead_letter d WHERE d.id = $1",
                           1, &id);

    if (res != NULL && PQntuples(res) == 0) {
        scc_ctl_error("there is no dead letter \"%s\"; see: sccctl "
                      "dead-letter ls --all", id);
        PQclear(res);
        return NULL;
    }

    return res;
}


static int
scc_ctl_dead_ids(const scc_ctl_args_t *args)
{
    int          i;
    bool         all, ls;
    uint8_t      uuid[16];
    uint64_t     n;
    scc_str_t    text;
    const char  *what;

    what = args->argv[0];
    ls = strcmp(what, "ls") == 0;
    all = args->opt[SCC_CTL_DEAD_OPT_ALL] != NULL;

    if (ls && args->argc > 1) {
        return scc_ctl_usage("dead-letter", "ls takes no id; did you mean "
                             "show?");
    }

    if (all && strcmp(what, "show") == 0) {
        return scc_ctl_usage("dead-letter", "show takes ids, not --all");
    }

    if (!ls && all == (args->argc > 1)) {
        return scc_ctl_usage("dead-letter", "say which: %s ID...%s", what,
                             strcmp(what, "show") == 0 ? "" : ", or --all");
    }

    for (i = 1; i < args->argc; i++) {
        text.data = (const uint8_t *) args->argv[i];
        text.len = strlen(args->argv[i]);

        if (scc_ctl_number(args->argv[i], 1, INT64_MAX, &n) != 0
            && scc_uuid_parse(text, uuid) != SCC_OK)
        {
            return scc_ctl_usage("dead-letter", "\"%s\" is neither a "
                                 "letter's id nor an event's UUID",
                                 args->argv[i]);
        }
    }

    return SCC_CTL_OK;
}


/* To be freed with PQfreemem(). */

static int
scc_ctl_dead_raw(const PGresult *res, int i, scc_str_t *raw)
{
    raw->data = PQunescapeBytea(
        (const unsigned char *) PQgetvalue(res, i, SCC_CTL_DEAD_RAW),
        &raw->len);

    if (raw->data == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    return 0;
}


static int
scc_ctl_dead_insert(scc_ctl_apply_t *a, const uint8_t *event,
    const uint8_t *segment, scc_str_t raw, const char *sqlstate,
    const char *reason)
{
    PGresult  *res;

    scc_ctl_ask_t  ask = {
        "keeping a dead letter",
        "SELECT set_config('synchronous_commit', 'on', true),"
        " scc.bury($1, $2, $3, $4, $5)", 5,
        { SCC_OID_UUID, SCC_OID_UUID, SCC_OID_TEXT,
          SCC_OID_TEXT, SCC_OID_BYTEA },
        { NULL }, { 16, 16, 0, 0, 0 }, { 1, 1, 0, 0, 1 }
    };

    ask.values[0] = (const char *) event;
    ask.values[1] = (const char *) segment;
    ask.values[2] = reason;
    ask.values[3] = sqlstate;
    ask.values[4] = (const char *) raw.data;
    ask.lengths[4] = (int) raw.len;

    res = scc_ctl_apply_ask(a, &ask);

    if (res == NULL) {
        return -1;
    }

    PQclear(res);

    return 0;
}


static void
scc_ctl_dead_member(const char *name, scc_str_t value)
{
    printf("%-12s ", name);

    if (value.len > 0) {
        scc_ctl_dead_text(value, value.len);
    } else {
        putchar('-');
    }

    putchar('\n');
}


/* What people wrote must not speak to the terminal. */

static void
scc_ctl_dead_text(scc_str_t text, size_t max)
{
    size_t  i, n;

    for (i = 0; i < text.len; i += n) {

        n = scc_utf8_seq(text.data + i, text.len - i);

        if (i + (n != 0 ? n : 1) > max) {
            fputs("...", stdout);
            return;
        }

        if (n == 0 || text.data[i] < 0x20 || text.data[i] == 0x7f
            || (n == 2 && text.data[i] == 0xc2 && text.data[i + 1] < 0xa0))
        {
            putchar('?');
            n += (n == 0);
            continue;
        }

        (void) fwrite(text.data + i, 1, n, stdout);
    }
}
