
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scc_contribution.h"
#include "scc_ctl_apply.h"
#include "scc_ctl_dead.h"
#include "scc_ctl_progress.h"
#include "scc_ctl_store.h"


#define SCC_CTL_RETRY_FIRST   100           /* ms */
#define SCC_CTL_RETRY_MAX     5000
#define SCC_CTL_RETRY_LIMIT   UINT64_C(60000000000)     /* ns */

typedef enum {
    SCC_CTL_TAKEN = 0,
    SCC_CTL_REFUSED,                        /* the data */
    SCC_CTL_PASSING,                        /* worth trying again */
    SCC_CTL_BROKEN,
} scc_ctl_outcome_t;


typedef struct {
    uint64_t                start;
    unsigned                pause;          /* ms, the next; 0: none yet */
} scc_ctl_retry_t;


struct scc_ctl_apply_s {
    scc_ctl_apply_conf_t    conf;
    scc_ctl_apply_stats_t   stats;
    PGconn                 *pg;
    uint8_t                 store[16];
    scc_ctl_batch_t         batch[2];
    unsigned                current;
    bool                    in_flight;      /* the other one */
    scc_ctl_params_t        params;
    char                   *mismatched;     /* "{1,5}", of the last answer */
    char                    message[1024];
    char                    detail[256];
    char                    sqlstate[8];
};


static int scc_ctl_apply_again(scc_ctl_apply_t *a);
static int scc_ctl_apply_pass_on(scc_ctl_apply_t *a);
static int scc_ctl_apply_settle(scc_ctl_apply_t *a);
static int scc_ctl_apply_range(scc_ctl_apply_t *a, scc_ctl_batch_t *b,
    size_t from, size_t to, scc_ctl_outcome_t outcome);
static const scc_ctl_event_t *scc_ctl_apply_culprit(scc_ctl_apply_t *a,
    scc_ctl_batch_t *b, size_t from, size_t to, size_t *row);
static int scc_ctl_apply_refuse(scc_ctl_apply_t *a, scc_ctl_batch_t *b,
    size_t row, const scc_ctl_event_t *culprit);
static int scc_ctl_apply_taken(scc_ctl_apply_t *a, scc_ctl_batch_t *b,
    size_t from, size_t to);
static scc_ctl_outcome_t scc_ctl_apply_retry(scc_ctl_apply_t *a,
    scc_ctl_batch_t *b, size_t from, size_t to);
static bool scc_ctl_apply_pause(scc_ctl_apply_t *a, scc_ctl_retry_t *r);
static int scc_ctl_apply_send(scc_ctl_apply_t *a, scc_ctl_batch_t *b,
    size_t from, size_t to);
static scc_ctl_outcome_t scc_ctl_apply_wait(scc_ctl_apply_t *a,
    scc_ctl_batch_t *b, size_t from, size_t to);
static bool scc_ctl_apply_result(scc_ctl_apply_t *a, const PGresult *res,
    uint64_t n[2]);
static void scc_ctl_apply_fault(scc_ctl_apply_t *a, const PGresult *res);
static scc_ctl_outcome_t scc_ctl_apply_judge(scc_ctl_apply_t *a);
static void scc_ctl_sleep(unsigned ms);


scc_ctl_apply_t *
scc_ctl_apply_create(const scc_ctl_apply_conf_t *conf)
{
    unsigned          i;
    scc_ctl_apply_t  *a;

    a = calloc(1, sizeof(scc_ctl_apply_t));

    if (a == NULL) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    a->conf = *conf;

    scc_ctl_params_init(&a->params);

    for (i = 0; i < 2; i++) {
        if (scc_ctl_batch_init(&a->batch[i], a->conf.batch) != 0) {
            scc_ctl_error("out of memory");
            scc_ctl_apply_free(a);
            return NULL;
        }
    }

    a->pg = scc_ctl_store_connect(a->conf.conninfo, false, a->store);

    if (a->pg == NULL) {
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
    free(a->mismatched);
    free(a);
}


const uint8_t *
scc_ctl_apply_store(const scc_ctl_apply_t *a)
{
    return a->store;
}


scc_ctl_batch_t *
scc_ctl_apply_batch(scc_ctl_apply_t *a)
{
    return &a->batch[a->current];
}


int
scc_ctl_apply_added(scc_ctl_apply_t *a)
{
    scc_ctl_batch_t  *b;

    b = &a->batch[a->current];

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


PGresult *
scc_ctl_apply_ask(scc_ctl_apply_t *a, const scc_ctl_ask_t *ask)
{
    PGresult           *res;
    scc_ctl_retry_t     retry;
    scc_ctl_outcome_t   outcome;

    memset(&retry, 0, sizeof(scc_ctl_retry_t));

    do {
        res = PQexecParams(a->pg, ask->text, ask->n, ask->types, ask->values,
                           ask->lengths, ask->formats, 0);

        if (PQresultStatus(res) == PGRES_TUPLES_OK) {
            return res;
        }

        scc_ctl_apply_fault(a, res);
        PQclear(res);

        outcome = scc_ctl_apply_judge(a);

    } while (outcome == SCC_CTL_PASSING && scc_ctl_apply_pause(a, &retry));

    scc_ctl_error("%s: %s%s%s%s", ask->what, a->message,
                  a->sqlstate[0] != '\0' ? " [" : "", a->sqlstate,
                  a->sqlstate[0] != '\0' ? "]" : "");

    return NULL;
}


/* After a loss: nothing is said, and the store must be the one it was. */

static int
scc_ctl_apply_again(scc_ctl_apply_t *a)
{
    uint8_t  store[16];

    PQfinish(a->pg);

    a->pg = scc_ctl_store_connect(a->conf.conninfo, true, store);

    if (a->pg == NULL) {
        return -1;
    }

    if (memcmp(a->store, store, 16) != 0) {
        scc_ctl_error("another store answers now than the one this began "
                      "with; nothing more is written");
        exit(SCC_CTL_FAILED);
    }

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

    if (a->conf.before != NULL && a->conf.before(a->conf.ctx, b) != 0) {
        return -1;
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
    size_t                  i, n, bad, half, edge[3][2];
    const scc_ctl_event_t  *culprit;

    if (outcome == SCC_CTL_PASSING) {
        outcome = scc_ctl_apply_retry(a, b, from, to);
    }

    if (outcome == SCC_CTL_TAKEN) {
        return scc_ctl_apply_taken(a, b, from, to);
    }

    if (outcome != SCC_CTL_REFUSED) {
        scc_ctl_error("the store does not take the events: %s%s%s%s",
                      a->message, a->sqlstate[0] != '\0' ? " [" : "",
                      a->sqlstate, a->sqlstate[0] != '\0' ? "]" : "");
        return -1;
    }

    culprit = scc_ctl_apply_culprit(a, b, from, to, &bad);

    if (to - from == 1) {
        bad = from;
    }

    n = 0;

    if (bad < to) {
        if (scc_ctl_apply_refuse(a, b, bad, culprit) != 0) {
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


/* The event named in the server's detail, and its row; NULL and "to" if
   there is none. */

static const scc_ctl_event_t *
scc_ctl_apply_culprit(scc_ctl_apply_t *a, scc_ctl_batch_t *b, size_t from,
    size_t to, size_t *row)
{
    size_t                  j;
    uint8_t                 id[16];
    scc_str_t               text;
    const scc_ctl_event_t  *ev;

    text.data = (const uint8_t *) a->detail;
    text.len = strlen(a->detail);

    if (scc_uuid_parse(text, id) == SCC_OK) {

        for (*row = from; *row < to; (*row)++) {
            for (j = 0; j < b->rows[*row].n; j++) {

                ev = &b->events[b->rows[*row].first + j];

                if (memcmp(ev->id, id, 16) == 0) {
                    return ev;
                }
            }
        }
    }

    *row = to;

    return NULL;
}


static int
scc_ctl_apply_refuse(scc_ctl_apply_t *a, scc_ctl_batch_t *b, size_t row,
    const scc_ctl_event_t *culprit)
{
    char         sqlstate[sizeof(a->sqlstate)], message[sizeof(a->message)];
    const char  *text;

    /* "event UUID: ..." says nothing to the reader of a file */

    text = a->message;

    if (strncmp(text, "event ", 6) == 0 && a->detail[0] != '\0'
        && strlen(text) > 6 + 36 + 2)
    {
        text += 6 + 36 + 2;
    }

    /* copied: the handler may ask the store for something */

    snprintf(message, sizeof(message), "%s", text);
    snprintf(sqlstate, sizeof(sqlstate), "%s", a->sqlstate);

    a->stats.refused++;

    return a->conf.refused(a->conf.ctx, b, &b->rows[row], culprit, sqlstate,
                           message);
}


static int
scc_ctl_apply_taken(scc_ctl_apply_t *a, scc_ctl_batch_t *b, size_t from,
    size_t to)
{
    int               rc;
    char             *p, *end, *mismatched;
    size_t            i, n;
    unsigned long     at;
    scc_ctl_event_t  *ev;

    n = scc_ctl_batch_events(b, from, to, &ev);

    mismatched = a->mismatched;
    a->mismatched = NULL;
    rc = 0;

    for (p = mismatched; p != NULL && rc == 0; p = end) {

        at = (*p == '{' || *p == ',') ? strtoul(p + 1, &end, 10) : 0;

        if (at < 1 || at > n) {
            break;
        }

        a->stats.mismatched++;

        if (a->conf.mismatch != NULL) {
            rc = a->conf.mismatch(a->conf.ctx, b, &ev[at - 1]);
        }
    }

    free(mismatched);

    for (i = 0; i < n && rc == 0; i++) {
        if (ev[i].letter != 0) {
            rc = scc_ctl_dead_resolve(a, ev[i].letter, ev[i].sha256);
        }
    }

    return rc;
}


static scc_ctl_outcome_t
scc_ctl_apply_retry(scc_ctl_apply_t *a, scc_ctl_batch_t *b, size_t from,
    size_t to)
{
    scc_ctl_retry_t    retry;
    scc_ctl_outcome_t  outcome;

    memset(&retry, 0, sizeof(scc_ctl_retry_t));

    do {
        if (!scc_ctl_apply_pause(a, &retry)) {
            return SCC_CTL_PASSING;
        }

        if (scc_ctl_apply_send(a, b, from, to) != 0) {
            return SCC_CTL_BROKEN;
        }

        outcome = scc_ctl_apply_wait(a, b, from, to);

    } while (outcome == SCC_CTL_PASSING);

    return outcome;
}


/* Waits, until there is a connection too; false when it was long enough. */

static bool
scc_ctl_apply_pause(scc_ctl_apply_t *a, scc_ctl_retry_t *r)
{
    if (r->pause == 0) {
        r->start = scc_ctl_now();
        r->pause = SCC_CTL_RETRY_FIRST;
    }

    while (scc_ctl_now() - r->start < SCC_CTL_RETRY_LIMIT) {

        scc_ctl_error("the server could not take a batch now (%s); trying "
                      "again in %u.%u s", a->message, r->pause / 1000,
                      r->pause / 100 % 10);

        scc_ctl_sleep(r->pause);

        r->pause = (r->pause * 2 > SCC_CTL_RETRY_MAX) ? SCC_CTL_RETRY_MAX
                                                      : r->pause * 2;
        a->stats.retries++;

        if (PQstatus(a->pg) == CONNECTION_OK || scc_ctl_apply_again(a) == 0)
        {
            return true;
        }

        snprintf(a->message, sizeof(a->message), "no connection to "
                 "PostgreSQL");
    }

    return false;
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
    bool                ok, synced;
    size_t              i, count;
    unsigned            nulls;
    uint64_t            n[2];
    PGresult           *res;
    ExecStatusType      status;
    scc_ctl_event_t    *ev;
    scc_ctl_outcome_t   outcome;

    a->message[0] = '\0';
    a->detail[0] = '\0';
    a->sqlstate[0] = '\0';

    free(a->mismatched);
    a->mismatched = NULL;

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
    ExecStatusType  status;

    status = PQresultStatus(res);

    if (status == PGRES_TUPLES_OK && PQntuples(res) == 1
        && PQnfields(res) == 3)
    {
        n[0] = strtoull(PQgetvalue(res, 0, 0), NULL, 10);
        n[1] = strtoull(PQgetvalue(res, 0, 1), NULL, 10);

        free(a->mismatched);
        a->mismatched = strdup(PQgetvalue(res, 0, 2));

        return true;
    }

    /* COMMIT of a failed transaction is answered with ROLLBACK. */

    if (status == PGRES_COMMAND_OK
        && strcmp(PQcmdStatus((PGresult *) res), "ROLLBACK") != 0)
    {
        return true;
    }

    scc_ctl_apply_fault(a, res);

    return false;
}


static void
scc_ctl_apply_fault(scc_ctl_apply_t *a, const PGresult *res)
{
    const char  *detail;

    detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);

    snprintf(a->sqlstate, sizeof(a->sqlstate), "%s",
             scc_ctl_pg_sqlstate(res));
    snprintf(a->message, sizeof(a->message), "%s",
             scc_ctl_pg_message(a->pg, res));
    snprintf(a->detail, sizeof(a->detail), "%s",
             detail != NULL ? detail : "");
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
