
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_ctl_verify.h"


#define SCC_CTL_VERIFY_SHOWN  20


/* Rows that are wrong, and why: "name" with a colon, the row's own text. */

typedef struct {
    const char  *name;
    const char  *what;
    const char  *query;
} scc_ctl_drift_t;


static int scc_ctl_verify_ledger(PGconn *pg,
    const scc_ctl_compare_t *journals, uint64_t *found);
static int scc_ctl_verify_bits(const char *bits, uint8_t digest[32]);
static int scc_ctl_verify_drift(PGconn *pg, const scc_ctl_drift_t *d,
    uint64_t *found);
static int scc_ctl_verify_doubts(PGconn *pg);


static const scc_ctl_drift_t  scc_ctl_drifts[] = {

    { "ledger", "bodies that are not what their digest says",
      "SELECT event_id::text FROM scc.contribution"
      " WHERE body_sha256 <> sha256(convert_to(body, 'UTF8'))" },

    { "map", "rows that are not what the ledger says",
      "SELECT kind || ' ' || target || ': ' || why FROM scc.fold_drift" },

    { "tally", "counters that do not count their rows",
      "SELECT w.name || ': ' || w.counted || ' instead of ' || w.n"
      " FROM scc.tally t CROSS JOIN LATERAL (VALUES"
      " ('events', t.events, (SELECT count(*) FROM scc.contribution)),"
      " ('places', t.places, (SELECT count(*) FROM scc.place)),"
      " ('accessibilities', t.place_accessibilities,"
      "  (SELECT count(*) FROM scc.place_accessibility)),"
      " ('buildings', t.buildings, (SELECT count(*) FROM scc.building)),"
      " ('building accessibilities', t.building_accessibilities,"
      "  (SELECT count(*) FROM scc.building_accessibility)),"
      " ('contributors', t.contributors,"
      "  (SELECT count(*) FROM scc.contributor)))"
      " w(name, counted, n) WHERE w.counted <> w.n" },

    { "numbers", "numbers beyond their counter",
      "SELECT n.kind || ' ' || n.number FROM scc.number n"
      " JOIN scc.counter c ON c.kind = n.kind WHERE n.number > c.value" },

    { "cells", "cells that do not count their places",
      "SELECT cell || ': ' || coalesce(n, 0) || ' instead of '"
      " || coalesce(n_true, 0) FROM scc.cell_drift" },

    /* but for what the next roll-up will look at */

    { "squares", "squares that are not the sum of their cells",
      "SELECT d.z || '/' || d.quad || ': ' || coalesce(d.n, 0)"
      " || ' instead of ' || coalesce(d.n_true, 0)"
      " FROM scc.aggregate_drift d CROSS JOIN scc.rollup r"
      " JOIN pg_control_system() s"
      "  ON s.system_identifier = r.system_identifier"
      " WHERE (d.z, d.quad) NOT IN (SELECT l.z::smallint,"
      "   scc.quad(c.cell >> 16, c.cell & 65535) >> 2 * (16 - l.z)"
      "   FROM scc.cell c CROSS JOIN generate_series(9, 15) l(z)"
      "   WHERE c.changed_xid >= r.horizon)" },
};


int
scc_ctl_verify_store(PGconn *pg, const scc_ctl_compare_t *journals,
    uint64_t *found)
{
    size_t  i;

    if (scc_ctl_verify_ledger(pg, journals, found) != 0) {
        return -1;
    }

    for (i = 0; i < sizeof(scc_ctl_drifts) / sizeof(scc_ctl_drifts[0]); i++)
    {
        if (scc_ctl_verify_drift(pg, &scc_ctl_drifts[i], found) != 0) {
            return -1;
        }
    }

    return scc_ctl_verify_doubts(pg);
}


static int
scc_ctl_verify_ledger(PGconn *pg, const scc_ctl_compare_t *journals,
    uint64_t *found)
{
    int        rc;
    uint8_t    digest[32];
    uint64_t   events;
    PGresult  *res;

    res = scc_ctl_pg_exec(pg, "adding the ledger up",
                          "SELECT count(*), bit_xor(('x' || encode(sha256("
                          "uuid_send(event_id) || body_sha256), 'hex'))"
                          "::bit(256)),"
                          " (SELECT count(*) FROM scc.dead_letter),"
                          " (SELECT count(*) FROM scc.dead_letter"
                          "  WHERE resolved_at IS NULL)"
                          " FROM scc.contribution");
    if (res == NULL) {
        return -1;
    }

    rc = scc_ctl_verify_bits(PQgetvalue(res, 0, 1), digest);

    events = strtoull(PQgetvalue(res, 0, 0), NULL, 10);

    if (rc == 0) {
        printf("ledger     events %s, dead letters %s (%s not resolved)\n",
               PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 2),
               PQgetvalue(res, 0, 3));
        printf("ledger     digest %s\n", scc_ctl_compare_hex(digest));
    }

    PQclear(res);

    if (rc != 0 || journals == NULL) {
        return rc;
    }

    if (events > journals->ledger) {
        printf("note       the ledger has %llu events that are not in these "
               "journals: a rebuild from\n           them alone would lose "
               "these; name all journals, those of imports too\n",
               (unsigned long long) (events - journals->ledger));

    } else if (events == journals->ledger
               && memcmp(digest, journals->digest, 32) != 0)
    {
        (*found)++;
        printf("DIFFERS ledger and journals have as many events, but not "
               "the same\n");
    }

    return 0;
}


/* What bit_xor() gives, as text; NULL's text is empty: no event. */

static int
scc_ctl_verify_bits(const char *bits, uint8_t digest[32])
{
    size_t  i, len;

    len = strlen(bits);
    memset(digest, 0, 32);

    if (len != 0 && len != 256) {
        scc_ctl_error("adding the ledger up: the server's answer is no "
                      "digest");
        return -1;
    }

    for (i = 0; i < len; i++) {
        if (bits[i] == '1') {
            digest[i / 8] |= (uint8_t) (0x80 >> i % 8);
        }
    }

    return 0;
}


static int
scc_ctl_verify_drift(PGconn *pg, const scc_ctl_drift_t *d, uint64_t *found)
{
    int        i, n;
    char      *text;
    PGresult  *res;

    if (asprintf(&text, "SELECT count(*) OVER (), d.* FROM (%s) d(what)"
                 " LIMIT %d", d->query, SCC_CTL_VERIFY_SHOWN)
        == -1)
    {
        scc_ctl_error("out of memory");
        return -1;
    }

    res = scc_ctl_pg_exec(pg, d->what, text);

    free(text);

    if (res == NULL) {
        return -1;
    }

    n = PQntuples(res);

    for (i = 0; i < n; i++) {
        printf("DIFFERS %s\n", PQgetvalue(res, i, 1));
    }

    printf("%-10s %s: %s\n", d->name, d->what,
           n > 0 ? PQgetvalue(res, 0, 0) : "0");

    if (n > 0) {
        *found += strtoull(PQgetvalue(res, 0, 0), NULL, 10);
    }

    PQclear(res);

    return 0;
}


/* Nothing is wrong with the store: which of the two counts is settled. */

static int
scc_ctl_verify_doubts(PGconn *pg)
{
    int        i, n;
    PGresult  *res;

    res = scc_ctl_pg_exec(pg, "asking for doubtful numbers",
                          "SELECT count(*) OVER (),"
                          " d.kind || ' ' || d.number || ' of ' || d.id"
                          " FROM scc.number_doubt d"
                          " ORDER BY d.kind, d.number, d.id LIMIT 20");
    if (res == NULL) {
        return -1;
    }

    n = PQntuples(res);

    if (n > 0) {
        printf("note       %s order numbers are another's than a journal "
               "says, or were given\n           anew: the store's count; who "
               "was told another one is in scc.number_doubt\n",
               PQgetvalue(res, 0, 0));
    }

    for (i = 0; i < n; i++) {
        printf("note       the journal says %s\n", PQgetvalue(res, i, 1));
    }

    PQclear(res);

    return 0;
}
