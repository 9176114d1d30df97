
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_ctl_live.h"


#define SCC_CTL_LIVE_UUID   36
#define SCC_CTL_LIVE_HEX    64


typedef struct {
    PGconn             *pg;
    bool                end;
    uint64_t            hlc;
    uint64_t            received;
    char                id[SCC_CTL_LIVE_UUID + 1];
    char                sha256[SCC_CTL_LIVE_HEX + 1];
} scc_ctl_ledger_t;


static int scc_ctl_live_begin(scc_ctl_ledger_t *l, PGconn *pg);
static int scc_ctl_live_next(scc_ctl_ledger_t *l);
static int scc_ctl_live_row(scc_ctl_ledger_t *l, const char *row);
static int scc_ctl_live_end(scc_ctl_ledger_t *l);
static int scc_ctl_live_cmp(const scc_ctl_ledger_t *a,
    const scc_ctl_ledger_t *b);


int
scc_ctl_live_compare(PGconn *live, PGconn *copy, scc_ctl_live_t *result)
{
    int               rc, cmp;
    scc_ctl_ledger_t  a, b;

    memset(result, 0, sizeof(scc_ctl_live_t));

    if (scc_ctl_live_begin(&a, live) != 0
        || scc_ctl_live_begin(&b, copy) != 0)
    {
        return -1;
    }

    rc = 0;

    while (rc == 0 && !(a.end && b.end)) {
        cmp = scc_ctl_live_cmp(&a, &b);

        if (cmp == 0) {
            if (strcmp(a.sha256, b.sha256) == 0) {
                result->both++;
            } else {
                result->differ++;
            }

        } else if (cmp < 0) {
            result->only_live++;

            if (result->oldest == 0 || a.received < result->oldest) {
                result->oldest = a.received;
            }

            if (a.received > result->newest) {
                result->newest = a.received;
            }

        } else {
            result->only_copy++;
        }

        rc = (cmp <= 0) ? scc_ctl_live_next(&a) : 0;

        if (rc == 0 && cmp >= 0) {
            rc = scc_ctl_live_next(&b);
        }
    }

    if (rc == 0) {
        rc = scc_ctl_live_end(&a);
    }

    return rc == 0 ? scc_ctl_live_end(&b) : -1;
}


static int
scc_ctl_live_begin(scc_ctl_ledger_t *l, PGconn *pg)
{
    PGresult  *res;

    memset(l, 0, sizeof(scc_ctl_ledger_t));
    l->pg = pg;

    if (scc_ctl_pg_do(pg, "beginning to compare", "BEGIN READ ONLY;"
                      " SET LOCAL enable_seqscan = on")
        != 0)
    {
        return -1;
    }

    res = PQexec(pg, "COPY (SELECT hlc, event_id, encode(body_sha256, 'hex'),"
                 " (extract(epoch FROM received_at) * 1000)::bigint"
                 " FROM scc.contribution ORDER BY hlc, event_id) TO STDOUT");

    if (PQresultStatus(res) != PGRES_COPY_OUT) {
        scc_ctl_error("reading a ledger: %s", scc_ctl_pg_message(pg, res));
        PQclear(res);
        return -1;
    }

    PQclear(res);

    return scc_ctl_live_next(l);
}


static int
scc_ctl_live_next(scc_ctl_ledger_t *l)
{
    int    n, rc;
    char  *row;

    n = PQgetCopyData(l->pg, &row, 0);

    if (n == -1) {
        l->end = true;
        return 0;
    }

    if (n <= 0) {
        scc_ctl_error("reading a ledger: %s",
                      scc_ctl_pg_message(l->pg, NULL));
        return -1;
    }

    rc = scc_ctl_live_row(l, row);
    PQfreemem(row);

    return rc;
}


static int
scc_ctl_live_row(scc_ctl_ledger_t *l, const char *row)
{
    char  *end;

    l->hlc = strtoull(row, &end, 10);

    if (*end != '\t' || strlen(end) < 3 + SCC_CTL_LIVE_UUID
                                      + SCC_CTL_LIVE_HEX)
    {
        scc_ctl_error("reading a ledger: a row that was not asked for");
        return -1;
    }

    memcpy(l->id, end + 1, SCC_CTL_LIVE_UUID);
    memcpy(l->sha256, end + 2 + SCC_CTL_LIVE_UUID, SCC_CTL_LIVE_HEX);

    l->received = strtoull(end + 3 + SCC_CTL_LIVE_UUID + SCC_CTL_LIVE_HEX,
                           NULL, 10);
    return 0;
}


static int
scc_ctl_live_end(scc_ctl_ledger_t *l)
{
    PGresult  *res;

    res = PQgetResult(l->pg);

    if (PQresultStatus(res) != PGRES_COMMAND_OK) {
        scc_ctl_error("reading a ledger: %s", scc_ctl_pg_message(l->pg, res));
        PQclear(res);
        return -1;
    }

    PQclear(res);
    PQclear(PQgetResult(l->pg));

    return scc_ctl_pg_do(l->pg, "ending to compare", "COMMIT");
}


/* The server's order of UUIDs is that of their text. */

static int
scc_ctl_live_cmp(const scc_ctl_ledger_t *a, const scc_ctl_ledger_t *b)
{
    if (a->end || b->end) {
        return a->end - b->end;
    }

    if (a->hlc != b->hlc) {
        return a->hlc < b->hlc ? -1 : 1;
    }

    return strcmp(a->id, b->id);
}
