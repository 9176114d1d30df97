
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_contribution.h"
#include "scc_ctl_events.h"
#include "scc_ctl_merge.h"
#include "scc_ctl_numbers.h"
#include "scc_ctl_store.h"


#define SCC_CTL_EVENTS_PAGE  "5000"


static int scc_ctl_events_store(scc_ctl_events_t *ev, const char *conninfo);
static int scc_ctl_events_journals(scc_ctl_events_t *ev, int n, char **dirs,
    bool salvage);
static int scc_ctl_events_owner(scc_ctl_events_t *ev);
static int scc_ctl_events_ledger(scc_ctl_events_t *ev, unsigned kinds,
    unsigned bodies, scc_ctl_event_pt handler, void *ctx);
static int scc_ctl_events_rows(const PGresult *res, scc_ctl_event_pt handler,
    void *ctx);
static int scc_ctl_events_merge(scc_ctl_events_t *ev, unsigned kinds,
    scc_ctl_event_pt handler, void *ctx);
static void scc_ctl_events_kinds(scc_buf_t *b, unsigned kinds);


int
scc_ctl_events_open(scc_ctl_events_t *ev, const char *conninfo, int n,
    char **dirs, bool salvage)
{
    memset(ev, 0, sizeof(scc_ctl_events_t));

    if (conninfo != NULL) {
        return scc_ctl_events_store(ev, conninfo);
    }

    return scc_ctl_events_journals(ev, n, dirs, salvage);
}


void
scc_ctl_events_free(scc_ctl_events_t *ev)
{
    PQfinish(ev->pg);
    scc_ctl_journal_free(&ev->journal);
}


int
scc_ctl_events_read(scc_ctl_events_t *ev, unsigned kinds, unsigned bodies,
    scc_ctl_event_pt handler, void *ctx)
{
    ev->unreadable = 0;

    if (ev->pg != NULL) {
        return scc_ctl_events_ledger(ev, kinds, bodies, handler, ctx);
    }

    return scc_ctl_events_merge(ev, kinds, handler, ctx);
}


int
scc_ctl_events_numbers(scc_ctl_events_t *ev, scc_roster_t *r)
{
    int                rc, row;
    size_t             i;
    PGresult          *res;
    scc_str_t          id;
    scc_ctl_numbers_t  ns;

    if (ev->pg != NULL) {
        res = scc_ctl_pg_exec(ev->pg, "reading order numbers",
                              "SELECT id, number FROM scc.number"
                              " WHERE kind = 'contributor'");
        if (res == NULL) {
            return -1;
        }

        for (row = 0; row < PQntuples(res); row++) {
            (void) scc_roster_number(r, scc_ctl_pg_cell(res, row, 0),
                                     strtoull(PQgetvalue(res, row, 1), NULL,
                                              10));
        }

        PQclear(res);

        return 0;
    }

    memset(&ns, 0, sizeof(scc_ctl_numbers_t));
    rc = 0;

    for (i = 0; i < ev->journal.n_journals && rc == 0; i++) {
        rc = scc_ctl_numbers_read(&ns, ev->journal.journals[i], ev->store);
    }

    scc_ctl_numbers_sort(&ns);

    /* the last one told counts: a contributor's lower number, as a store
       that is rebuilt has it */

    for (i = ns.n; i > 0 && rc == 0; i--) {

        if (ns.list[i - 1].kind == SCC_NUMBER_CONTRIBUTOR) {
            id.len = ns.list[i - 1].len;
            id.data = ns.list[i - 1].id;

            (void) scc_roster_number(r, id, ns.list[i - 1].number);
        }
    }

    scc_ctl_numbers_free(&ns);

    return rc;
}


static int
scc_ctl_events_store(scc_ctl_events_t *ev, const char *conninfo)
{
    ev->pg = scc_ctl_store_connect(conninfo, false, ev->store);

    if (ev->pg == NULL) {
        return -1;
    }

    /* scc_app plans by key only; this reads everything */

    return scc_ctl_pg_do(ev->pg, "beginning to read",
                         "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                         "SET LOCAL enable_seqscan = on;"
                         "SET LOCAL enable_hashjoin = on");
}


static int
scc_ctl_events_journals(scc_ctl_events_t *ev, int n, char **dirs,
    bool salvage)
{
    size_t                    i;
    const scc_ctl_segment_t  *s;

    if (scc_ctl_journal_list(&ev->journal, n, dirs) != 0
        || scc_ctl_journal_look(&ev->journal) != 0)
    {
        return -1;
    }

    if (ev->journal.n == 0) {
        scc_ctl_error("there is no segment in these journals; name the "
                      "directories of all hosts, or an off-site copy");
        return -1;
    }

    for (i = 0; i < ev->journal.n && !salvage; i++) {
        s = &ev->journal.segments[i];

        if (s->state == SCC_CTL_SEGMENT_DAMAGED && !s->copy) {
            scc_ctl_error("\"%s\" is damaged: name a journal that has a copy "
                          "of it, too, or take what is whole with --salvage "
                          "(\"sccctl journal verify\" says what is not)",
                          s->path);
            return -1;
        }
    }

    return scc_ctl_events_owner(ev);
}


/* All of one store: two rosters in one would be nobody's. */

static int
scc_ctl_events_owner(scc_ctl_events_t *ev)
{
    bool                      known;
    size_t                    i;
    const scc_ctl_segment_t  *s;

    known = false;

    for (i = 0; i < ev->journal.n; i++) {
        s = &ev->journal.segments[i];

        if (!s->known) {
            continue;
        }

        if (!known) {
            memcpy(ev->store, s->head.store, 16);
            known = true;
        }

        if (memcmp(ev->store, s->head.store, 16) != 0) {
            scc_ctl_error("\"%s\" is of another store than the segments "
                          "before it: name journals of one store", s->path);
            return -1;
        }
    }

    if (!known) {
        scc_ctl_error("no segment of these journals says whose it is");
        return -1;
    }

    return 0;
}


static int
scc_ctl_events_ledger(scc_ctl_events_t *ev, unsigned kinds, unsigned bodies,
    scc_ctl_event_pt handler, void *ctx)
{
    int        rc, n;
    scc_buf_t  b;
    PGresult  *res;

    scc_buf_heap(&b, 0);
    scc_buf_text(&b, "DECLARE events NO SCROLL CURSOR FOR SELECT event_id,"
                     " hlc, kind, contributor_id, contributor_name,"
                     " CASE WHEN kind IN (");
    scc_ctl_events_kinds(&b, bodies);
    scc_buf_text(&b, ") THEN body END FROM scc.contribution WHERE kind IN (");
    scc_ctl_events_kinds(&b, kinds);
    scc_buf_text(&b, ")");
    scc_buf_byte(&b, '\0');

    if (b.error) {
        scc_ctl_error("out of memory");
        scc_buf_free(&b);
        return -1;
    }

    rc = scc_ctl_pg_do(ev->pg, "reading the ledger", (const char *) b.start);
    scc_buf_free(&b);

    for (n = 1; rc == 0 && n > 0; /* void */) {
        res = scc_ctl_pg_exec(ev->pg, "reading the ledger",
                              "FETCH " SCC_CTL_EVENTS_PAGE " FROM events");
        if (res == NULL) {
            return -1;
        }

        n = PQntuples(res);
        rc = scc_ctl_events_rows(res, handler, ctx);

        PQclear(res);
    }

    if (rc != 0) {
        return -1;
    }

    return scc_ctl_pg_do(ev->pg, "reading the ledger", "CLOSE events");
}


static int
scc_ctl_events_rows(const PGresult *res, scc_ctl_event_pt handler, void *ctx)
{
    int                  row;
    uint8_t              id[16];
    scc_roster_event_t   e;

    for (row = 0; row < PQntuples(res); row++) {

        e.hlc = strtoull(PQgetvalue(res, row, 1), NULL, 10);
        e.event_id = id;
        e.contributor_id = scc_ctl_pg_cell(res, row, 3);
        e.contributor_name = scc_ctl_pg_cell(res, row, 4);
        e.body = scc_ctl_pg_cell(res, row, 5);

        if (scc_uuid_parse(scc_ctl_pg_cell(res, row, 0), id) != SCC_OK
            || scc_kind_parse(scc_ctl_pg_cell(res, row, 2), &e.kind)
               != SCC_OK)
        {
            scc_ctl_error("the ledger has an event %s of a kind \"%s\" that "
                          "this program does not know; take a newer one",
                          PQgetvalue(res, row, 0), PQgetvalue(res, row, 2));
            return -1;
        }

        if (handler(ctx, &e) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
scc_ctl_events_merge(scc_ctl_events_t *ev, unsigned kinds,
    scc_ctl_event_pt handler, void *ctx)
{
    int                      rc;
    scc_ctl_merge_t          m;
    scc_roster_event_t       e;
    const scc_record_t      *r;
    const scc_ctl_source_t  *source;

    if (scc_ctl_merge_init(&m, &ev->journal) != 0) {
        return -1;
    }

    while ((rc = scc_ctl_merge_next(&m, &source)) > 0) {

        if (!source->cr.readable) {
            ev->unreadable++;
            continue;
        }

        r = &source->cr.r;

        if ((kinds & (1u << r->kind)) == 0) {
            continue;
        }

        e.kind = r->kind;
        e.hlc = r->hlc;
        e.event_id = r->event_id;
        e.contributor_id = r->contributor_id;
        e.contributor_name = r->contributor_name;
        e.body = r->body;

        rc = handler(ctx, &e);

        if (rc != 0) {
            break;
        }
    }

    scc_ctl_merge_free(&m);

    return rc == 0 ? 0 : -1;
}


static void
scc_ctl_events_kinds(scc_buf_t *b, unsigned kinds)
{
    unsigned  kind;

    scc_buf_text(b, "''");

    for (kind = 1; kind <= SCC_KIND_LAST; kind++) {

        if (kinds & (1u << kind)) {
            scc_buf_text(b, ",'");
            scc_buf_str(b, scc_kind_name((scc_kind_t) kind));
            scc_buf_byte(b, '\'');
        }
    }
}
