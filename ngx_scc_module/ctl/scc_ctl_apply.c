
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "scc_ctl_apply.h"
#include "scc_ctl_batch.h"
#include "scc_ctl_progress.h"


#define SCC_CTL_RETRY_FIRST   100           /* ms */
#define SCC_CTL_RETRY_MAX     5000
#define SCC_CTL_RETRY_LIMIT   UINT64_C(60000000000)     /* ns */

typedef enum {
    SCC_CTL_TAKEN = 0,
    SCC_CTL_REFUSED,                        /* the data */
    SCC_CTL_PASSING,                        /* worth trying again */
    SCC_CTL_BROKEN,
} scc_ctl_outcome_t;


struct scc_ctl_apply_s {
    scc_ctl_apply_conf_t    conf;
    scc_ctl_apply_stats_t   stats;
    PGconn                 *pg;
    uint8_t                 store[16];
    EVP_MD_CTX             *md;
    EVP_MD                 *sha256;
    uint64_t                hlc;
    scc_ctl_batch_t         batch[2];
    unsigned                current;
    bool                    in_flight;      /* the other one */
    scc_ctl_params_t        params;
    char                    message[1024];
    char                    detail[256];
    char                    sqlstate[8];
};


static int scc_ctl_apply_start(scc_ctl_apply_t *a);
static int scc_ctl_apply_connect(scc_ctl_apply_t *a, bool again);
static int scc_ctl_apply_identity(scc_ctl_apply_t *a, bool again);
static int scc_ctl_apply_role(scc_ctl_apply_t *a);
static int scc_ctl_apply_event(scc_ctl_apply_t *a, scc_ctl_batch_t *b,
    const scc_import_row_t *row, const scc_import_body_t *body);
static int scc_ctl_apply_event_id(scc_ctl_apply_t *a, uint8_t id[16],
    scc_str_t contributor, const scc_import_body_t *body);
static int scc_ctl_apply_pass_on(scc_ctl_apply_t *a);
static int scc_ctl_apply_settle(scc_ctl_apply_t *a);
static int scc_ctl_apply_range(scc_ctl_apply_t *a, scc_ctl_batch_t *b,
    size_t from, size_t to, scc_ctl_outcome_t outcome);
static size_t scc_ctl_apply_culprit(scc_ctl_apply_t *a, scc_ctl_batch_t *b,
    size_t from, size_t to);
static int scc_ctl_apply_refuse(scc_ctl_apply_t *a, scc_ctl_batch_t *b,
    size_t i);
static scc_ctl_outcome_t scc_ctl_apply_retry(scc_ctl_apply_t *a,
    scc_ctl_batch_t *b, size_t from, size_t to);
static int scc_ctl_apply_send(scc_ctl_apply_t *a, scc_ctl_batch_t *b,
    size_t from, size_t to);
static scc_ctl_outcome_t scc_ctl_apply_wait(scc_ctl_apply_t *a,
    scc_ctl_batch_t *b, size_t from, size_t to);
static bool scc_ctl_apply_result(scc_ctl_apply_t *a, const PGresult *res,
    uint64_t n[2]);
static scc_ctl_outcome_t scc_ctl_apply_judge(scc_ctl_apply_t *a);
static void scc_ctl_sleep(unsigned ms);


scc_ctl_apply_t *
scc_ctl_apply_create(const scc_ctl_apply_conf_t *conf)
{
    scc_ctl_apply_t  *a;

    a = calloc(1, sizeof(scc_ctl_apply_t));

    if (a == NULL) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    a->conf = *conf;

    if (scc_ctl_apply_start(a) != 0 || scc_ctl_apply_connect(a, false) != 0) {
        scc_ctl_apply_free(a);
        return NULL;
    }

    return a;
}


void
scc_ctl_apply_free(scc_ctl_apply_t *a)
{
    unsigned  i;

    if (a == NULL) {
        return;
    }

    PQfinish(a->pg);

    for (i = 0; i < 2; i++) {
        scc_ctl_batch_free(&a->batch[i]);
    }

    scc_ctl_params_free(&a->params);
    EVP_MD_CTX_free(a->md);
    EVP_MD_free(a->sha256);
    free(a);
}


int
scc_ctl_apply_row(scc_ctl_apply_t *a, const scc_import_row_t *row)
{
    unsigned          i;
    scc_ctl_row_t    *r;
    scc_ctl_batch_t  *b;

    b = &a->batch[a->current];

    r = &b->rows[b->n_rows++];
    r->line = row->line;
    r->id = scc_ctl_batch_text(b, row->id);
    r->first = b->n_events;
    r->n = row->n;

    for (i = 0; i < row->n; i++) {
        if (scc_ctl_apply_event(a, b, row, &row->body[i]) != 0) {
            return -1;
        }
    }

    if (b->text.error) {
        scc_ctl_error("out of memory");
        return -1;
    }

    return scc_ctl_batch_full(b) ? scc_ctl_apply_pass_on(a) : 0;
}


int
scc_ctl_apply_flush(scc_ctl_apply_t *a)
{
    if (scc_ctl_apply_pass_on(a) != 0) {
        return -1;
    }

    return scc_ctl_apply_settle(a);
}


const scc_ctl_apply_stats_t *
scc_ctl_apply_stats(const scc_ctl_apply_t *a)
{
    return &a->stats;
}


static int
scc_ctl_apply_start(scc_ctl_apply_t *a)
{
    unsigned  i;

    scc_ctl_params_init(&a->params);

    for (i = 0; i < 2; i++) {
        if (scc_ctl_batch_init(&a->batch[i], a->conf.batch) != 0) {
            scc_ctl_error("out of memory");
            return -1;
        }
    }

    a->md = EVP_MD_CTX_new();
    a->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);

    if (a->md == NULL || a->sha256 == NULL) {
        scc_ctl_error("libcrypto has no SHA-256; is its configuration or "
                      "FIPS module broken?");
        return -1;
    }

    return 0;
}


/* "again": after a loss; then nothing is said and the store must be the
   one the import began with. */

static int
scc_ctl_apply_connect(scc_ctl_apply_t *a, bool again)
{
    PQfinish(a->pg);

    a->pg = scc_ctl_pg_connect(a->conf.conninfo, again);

    if (a->pg == NULL) {
        return -1;
    }

    if (scc_ctl_apply_identity(a, again) != 0
        || scc_ctl_apply_role(a) != 0)
    {
        PQfinish(a->pg);
        a->pg = NULL;
        return -1;
    }

    return 0;
}


static int
scc_ctl_apply_identity(scc_ctl_apply_t *a, bool again)
{
    int64_t           version;
    PGresult         *res;
    scc_ctl_store_t   store;

    if (scc_ctl_pg_store(a->pg, &store) != 0) {
        return -1;
    }

    if (store != SCC_CTL_STORE_OURS) {
        scc_ctl_error("this database has no store of this program; run "
                      "\"sccctl init\" first, or check SCC_PG");
        return -1;
    }

    if (scc_ctl_pg_number(a->pg, "reading scc.migration",
                          "SELECT coalesce(max(version), 0)"
                          " FROM scc.migration", &version)
        != 0)
    {
        return -1;
    }

    if (version < (int64_t) scc_ctl_sql_n) {
        scc_ctl_error("the store's schema is older than this program; run "
                      "\"sccctl migrate\" first");
        return -1;
    }

    res = PQexecParams(a->pg, "SELECT uuid_send(store_uuid)"
                       " FROM scc.identity", 0, NULL, NULL, NULL, NULL, 1);

    if (PQresultStatus(res) != PGRES_TUPLES_OK) {
        scc_ctl_error("reading the store's identity: %s",
                      scc_ctl_pg_message(a->pg, res));
        PQclear(res);
        return -1;
    }

    if (PQntuples(res) != 1 || PQgetlength(res, 0, 0) != 16) {
        scc_ctl_error("the store has no identity; run \"sccctl init\"");
        PQclear(res);
        return -1;
    }

    if (again && memcmp(a->store, PQgetvalue(res, 0, 0), 16) != 0) {
        scc_ctl_error("another store answers now than the one the import "
                      "began with; nothing more is written");
        PQclear(res);
        exit(SCC_CTL_FAILED);
    }

    memcpy(a->store, PQgetvalue(res, 0, 0), 16);
    PQclear(res);

    return 0;
}


/* Least privilege: an owner or superuser imports as scc_app. */

static int
scc_ctl_apply_role(scc_ctl_apply_t *a)
{
    int64_t  may;

    if (scc_ctl_pg_number(a->pg, "looking for role scc_app",
                          PQserverVersion(a->pg) >= 160000
                          ? "SELECT coalesce((SELECT"
                            " pg_has_role(oid, 'SET')::int FROM pg_roles"
                            " WHERE rolname = 'scc_app'), 0)"
                          : "SELECT coalesce((SELECT"
                            " pg_has_role(oid, 'MEMBER')::int FROM pg_roles"
                            " WHERE rolname = 'scc_app'), 0)", &may)
        != 0)
    {
        return -1;
    }

    if (!may) {
        return 0;
    }

    return scc_ctl_pg_do(a->pg, "becoming scc_app", "SET ROLE scc_app");
}


static int
scc_ctl_apply_event(scc_ctl_apply_t *a, scc_ctl_batch_t *b,
    const scc_import_row_t *row, const scc_import_body_t *body)
{
    uint64_t          now;
    scc_str_t         id, name;
    struct timespec   ts;
    scc_ctl_event_t  *ev;

    id = a->conf.contributor_id;
    name = a->conf.contributor_name;

    if (row->contributor_id.len > 0
        && (body->kind == SCC_IMPORT_PLACE_ACCESSIBILITY
            || body->kind == SCC_IMPORT_BUILDING_ACCESSIBILITY))
    {
        id = row->contributor_id;
        name = row->contributor_name;
    }

    ev = &b->events[b->n_events++];

    if (scc_ctl_apply_event_id(a, ev->id, id, body) != 0) {
        return -1;
    }

    /* A hybrid logical clock: milliseconds and a counter, never back. */

    clock_gettime(CLOCK_REALTIME, &ts);
    now = ((uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000)
          << 16;

    a->hlc = (now > a->hlc) ? now : a->hlc + 1;

    ev->hlc = a->hlc;
    ev->kind = body->kind;
    ev->kind_name = scc_ctl_batch_text(b, body->kind_name);
    ev->contributor_id = scc_ctl_batch_text(b, id);
    ev->contributor_name = scc_ctl_batch_text(b, name);
    ev->body = scc_ctl_batch_text(b, body->body);

    return 0;
}


static int
scc_ctl_apply_event_id(scc_ctl_apply_t *a, uint8_t id[16],
    scc_str_t contributor, const scc_import_body_t *body)
{
    uint8_t  digest[32];

    if (EVP_DigestInit_ex(a->md, a->sha256, NULL) != 1
        || EVP_DigestUpdate(a->md, a->store, 16) != 1
        || EVP_DigestUpdate(a->md, contributor.data, contributor.len) != 1
        || EVP_DigestUpdate(a->md, "", 1) != 1
        || EVP_DigestUpdate(a->md, body->kind_name.data,
                            body->kind_name.len) != 1
        || EVP_DigestUpdate(a->md, "", 1) != 1
        || EVP_DigestUpdate(a->md, body->target.data, body->target.len) != 1
        || EVP_DigestUpdate(a->md, "", 1) != 1
        || EVP_DigestUpdate(a->md, body->body.data, body->body.len) != 1
        || EVP_DigestFinal_ex(a->md, digest, NULL) != 1)
    {
        scc_ctl_error("libcrypto cannot compute SHA-256");
        return -1;
    }

    memcpy(id, digest, 16);

    id[6] = (uint8_t) ((id[6] & 0x0f) | 0x80);      /* UUID version 8 */
    id[8] = (uint8_t) ((id[8] & 0x3f) | 0x80);      /* its variant */

    return 0;
}


/* The batch in hand goes to the server, as soon as the one before is in. */

static int
scc_ctl_apply_pass_on(scc_ctl_apply_t *a)
{
    scc_ctl_batch_t  *b;

    if (scc_ctl_apply_settle(a) != 0) {
        return -1;
    }

    b = &a->batch[a->current];

    if (b->n_rows == 0) {
        return 0;
    }

    /* A failure to send shows when its outcome is asked for. */

    if (scc_ctl_apply_send(a, b, 0, b->n_rows) != 0) {
        return -1;
    }

    a->in_flight = true;
    a->current = !a->current;

    scc_ctl_batch_reset(&a->batch[a->current]);

    return 0;
}


static int
scc_ctl_apply_settle(scc_ctl_apply_t *a)
{
    scc_ctl_batch_t    *b;
    scc_ctl_outcome_t   outcome;

    if (!a->in_flight) {
        return 0;
    }

    a->in_flight = false;

    b = &a->batch[!a->current];
    outcome = scc_ctl_apply_wait(a, b, 0, b->n_rows);

    return scc_ctl_apply_range(a, b, 0, b->n_rows, outcome);
}


/*
 * Brings rows [from, to) to an end whose first outcome is known.  The store
 * says which event was the first bad one: what is before its row is good,
 * what is behind is tried in halves; where it does not say, all is.
 */

static int
scc_ctl_apply_range(scc_ctl_apply_t *a, scc_ctl_batch_t *b, size_t from,
    size_t to, scc_ctl_outcome_t outcome)
{
    size_t  i, n, bad, half, edge[3][2];

    if (outcome == SCC_CTL_PASSING) {
        outcome = scc_ctl_apply_retry(a, b, from, to);
    }

    if (outcome == SCC_CTL_TAKEN) {
        return 0;
    }

    if (outcome != SCC_CTL_REFUSED) {
        scc_ctl_error("the store does not take the import: %s%s%s%s",
                      a->message, a->sqlstate[0] != '\0' ? " [" : "",
                      a->sqlstate, a->sqlstate[0] != '\0' ? "]" : "");
        return -1;
    }

    bad = (to - from == 1) ? from : scc_ctl_apply_culprit(a, b, from, to);

    n = 0;

    if (bad < to) {
        if (scc_ctl_apply_refuse(a, b, bad) != 0) {
            return -1;
        }

        edge[n][0] = from;
        edge[n++][1] = bad;
        from = bad + 1;
    }

    half = from + (to - from) / 2;

    edge[n][0] = from;
    edge[n++][1] = half;
    edge[n][0] = half;
    edge[n++][1] = to;

    for (i = 0; i < n; i++) {

        if (edge[i][0] >= edge[i][1]) {
            continue;
        }

        if (scc_ctl_apply_send(a, b, edge[i][0], edge[i][1]) != 0) {
            return -1;
        }

        outcome = scc_ctl_apply_wait(a, b, edge[i][0], edge[i][1]);

        if (scc_ctl_apply_range(a, b, edge[i][0], edge[i][1], outcome) != 0)
        {
            return -1;
        }
    }

    return 0;
}


/* The row of the event named in the server's detail; "to" if there is none. */

static size_t
scc_ctl_apply_culprit(scc_ctl_apply_t *a, scc_ctl_batch_t *b, size_t from,
    size_t to)
{
    char                    text[37];
    size_t                  i, j;
    const uint8_t          *id;
    const scc_ctl_event_t  *ev;

    for (i = from; i < to; i++) {
        for (j = 0; j < b->rows[i].n; j++) {

            ev = &b->events[b->rows[i].first + j];
            id = ev->id;

            snprintf(text, sizeof(text), "%02x%02x%02x%02x-%02x%02x-"
                     "%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[0],
                     id[1], id[2], id[3], id[4], id[5], id[6], id[7], id[8],
                     id[9], id[10], id[11], id[12], id[13], id[14], id[15]);

            if (strcmp(text, a->detail) == 0) {
                return i;
            }
        }
    }

    return to;
}


static int
scc_ctl_apply_refuse(scc_ctl_apply_t *a, scc_ctl_batch_t *b, size_t i)
{
    const char  *text;

    /* "event UUID: ..." says nothing to the reader of a file. */

    text = a->message;

    if (strncmp(text, "event ", 6) == 0 && a->detail[0] != '\0'
        && strlen(text) > 6 + 36 + 2)
    {
        text += 6 + 36 + 2;
    }

    a->stats.refused++;

    return a->conf.refused(a->conf.ctx, b->rows[i].line,
                           scc_ctl_batch_str(b, b->rows[i].id), text);
}


static scc_ctl_outcome_t
scc_ctl_apply_retry(scc_ctl_apply_t *a, scc_ctl_batch_t *b, size_t from,
    size_t to)
{
    unsigned           pause;
    uint64_t           start;
    scc_ctl_outcome_t  outcome;

    start = scc_ctl_now();
    pause = SCC_CTL_RETRY_FIRST;
    outcome = SCC_CTL_PASSING;

    while (outcome == SCC_CTL_PASSING
           && scc_ctl_now() - start < SCC_CTL_RETRY_LIMIT)
    {
        scc_ctl_error("the server could not take a batch now (%s); trying "
                      "again in %u.%u s", a->message, pause / 1000,
                      pause / 100 % 10);

        scc_ctl_sleep(pause);

        pause = (pause * 2 > SCC_CTL_RETRY_MAX) ? SCC_CTL_RETRY_MAX
                                                : pause * 2;
        a->stats.retries++;

        if (PQstatus(a->pg) != CONNECTION_OK
            && scc_ctl_apply_connect(a, true) != 0)
        {
            snprintf(a->message, sizeof(a->message), "no connection to "
                     "PostgreSQL");
            continue;
        }

        if (scc_ctl_apply_send(a, b, from, to) != 0) {
            return SCC_CTL_BROKEN;
        }

        outcome = scc_ctl_apply_wait(a, b, from, to);
    }

    return outcome;
}


/* Sends rows [from, to) as one transaction.  Only a lack of memory is an
   error here; what the connection has to say, the waiting finds out. */

static int
scc_ctl_apply_send(scc_ctl_apply_t *a, scc_ctl_batch_t *b, size_t from,
    size_t to)
{
    if (scc_ctl_params_fill(&a->params, b, from, to) != 0) {
        scc_ctl_error("out of memory");
        return -1;
    }

    (void) (PQenterPipelineMode(a->pg)
            && PQsendQueryParams(a->pg, "BEGIN ISOLATION LEVEL"
                                 " READ COMMITTED", 0, NULL, NULL, NULL,
                                 NULL, 0)
            && PQsendQueryParams(a->pg, "SET LOCAL synchronous_commit = on",
                                 0, NULL, NULL, NULL, NULL, 0)
            && scc_ctl_params_send(&a->params, a->pg)
            && PQsendQueryParams(a->pg, "COMMIT", 0, NULL, NULL, NULL, NULL,
                                 0)
            && PQpipelineSync(a->pg));

    return 0;
}


static scc_ctl_outcome_t
scc_ctl_apply_wait(scc_ctl_apply_t *a, scc_ctl_batch_t *b, size_t from,
    size_t to)
{
    bool                    ok, synced;
    size_t                  i, count;
    unsigned                nulls;
    uint64_t                n[2];
    PGresult               *res;
    ExecStatusType          status;
    scc_ctl_outcome_t       outcome;
    const scc_ctl_event_t  *ev;

    a->message[0] = '\0';
    a->detail[0] = '\0';
    a->sqlstate[0] = '\0';

    ok = true;
    synced = false;
    nulls = 0;
    n[0] = n[1] = 0;

    /* A NULL ends one statement's results; two in a row end everything. */

    while (!synced && nulls < 2) {

        res = PQgetResult(a->pg);

        if (res == NULL) {
            nulls++;
            continue;
        }

        nulls = 0;
        status = PQresultStatus(res);

        if (status == PGRES_PIPELINE_SYNC) {
            synced = true;

        } else if (status != PGRES_PIPELINE_ABORTED && ok) {
            ok = scc_ctl_apply_result(a, res, n);
        }

        PQclear(res);
    }

    if (!synced || PQstatus(a->pg) != CONNECTION_OK) {

        if (a->message[0] == '\0') {
            snprintf(a->message, sizeof(a->message), "%s",
                     scc_ctl_pg_message(a->pg, NULL));
        }

        /* Also where the pipeline never began: a new connection cures it. */

        PQfinish(a->pg);
        a->pg = NULL;

        return SCC_CTL_PASSING;
    }

    PQexitPipelineMode(a->pg);

    if (!ok) {
        outcome = scc_ctl_apply_judge(a);
        PQclear(PQexec(a->pg, "ROLLBACK"));
        return outcome;
    }

    a->stats.events_new += n[0];
    a->stats.events_old += n[1];

    count = scc_ctl_batch_events(b, from, to, &ev);

    for (i = 0; i < count; i++) {
        a->stats.kinds[ev[i].kind]++;
    }

    return SCC_CTL_TAKEN;
}


static bool
scc_ctl_apply_result(scc_ctl_apply_t *a, const PGresult *res, uint64_t n[2])
{
    const char      *detail;
    ExecStatusType   status;

    status = PQresultStatus(res);

    if (status == PGRES_TUPLES_OK && PQntuples(res) == 1
        && PQnfields(res) == 2)
    {
        n[0] = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
        n[1] = strtoull(PQgetvalue(res, 0, 1), NULL, 10);
        return true;
    }

    /* COMMIT of a failed transaction is answered with ROLLBACK. */

    if (status == PGRES_COMMAND_OK
        && strcmp(PQcmdStatus((PGresult *) res), "ROLLBACK") != 0)
    {
        return true;
    }

    detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);

    snprintf(a->sqlstate, sizeof(a->sqlstate), "%s",
             scc_ctl_pg_sqlstate(res));
    snprintf(a->message, sizeof(a->message), "%s",
             scc_ctl_pg_message(a->pg, res));
    snprintf(a->detail, sizeof(a->detail), "%s",
             detail != NULL ? detail : "");

    return false;
}


static scc_ctl_outcome_t
scc_ctl_apply_judge(scc_ctl_apply_t *a)
{
    const char  *s;

    s = a->sqlstate;

    if (strncmp(s, "22", 2) == 0 || strncmp(s, "23", 2) == 0) {
        return SCC_CTL_REFUSED;
    }

    if (s[0] == '\0' || strncmp(s, "40", 2) == 0 || strncmp(s, "08", 2) == 0
        || strncmp(s, "57P", 3) == 0)
    {
        return SCC_CTL_PASSING;
    }

    return SCC_CTL_BROKEN;
}


static void
scc_ctl_sleep(unsigned ms)
{
    struct timespec  ts = { ms / 1000, (long) (ms % 1000) * 1000000 };

    nanosleep(&ts, NULL);
}
