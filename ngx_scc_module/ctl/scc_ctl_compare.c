
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "scc_contribution.h"
#include "scc_ctl_compare.h"
#include "scc_ctl_merge.h"


#define SCC_CTL_COMPARE_BATCH  2000
#define SCC_CTL_COMPARE_KEPT   1000         /* asked for a second time */
#define SCC_CTL_COMPARE_SHOWN  20
#define SCC_CTL_COMPARE_YOUNG  10           /* seconds */
#define SCC_CTL_COMPARE_PAUSE  2


typedef struct {
    uint8_t                   id[16];
    uint8_t                   sha256[32];
    uint64_t                  hlc;
    uint64_t                  received;
    scc_kind_t                kind;
    const scc_ctl_segment_t  *segment;
} scc_ctl_entry_t;


typedef struct {
    scc_ctl_compare_t        *c;
    PGconn                   *pg;
    uint64_t                  since;
    scc_ctl_entry_t          *batch;
    size_t                    n;
    scc_ctl_entry_t          *kept;
    size_t                    n_kept;
    scc_buf_t                 ids;
    scc_buf_t                 digests;
    scc_buf_t                 hlcs;
} scc_ctl_comparing_t;


/* What the ledger does not have as the record has it: nothing, where all is
   well.  An erased body is compared with what was left of it. */

static const char  scc_ctl_compare_query[] =
    "SELECT u.i, l.event_id IS NOT NULL,"
    " l.body_sha256 = u.sha256 OR scc.erased(l.kind, l.body) IS TRUE,"
    " l.hlc = u.hlc,"
    " EXISTS (SELECT FROM scc.dead_letter d WHERE d.event_id = u.event_id),"
    " encode(l.body_sha256, 'hex')"
    " FROM unnest($1::uuid[], $2::bytea[], $3::bigint[]) WITH ORDINALITY"
    "  AS u(event_id, sha256, hlc, i)"
    " LEFT JOIN scc.contribution l ON l.event_id = u.event_id"
    " WHERE (l.body_sha256, l.hlc) IS DISTINCT FROM (u.sha256, u.hlc)"
    " ORDER BY u.i";


static int scc_ctl_compare_owner(const scc_ctl_journal_t *j,
    const uint8_t store[16]);
static int scc_ctl_compare_flush(scc_ctl_comparing_t *cg);
static PGresult *scc_ctl_compare_ask(scc_ctl_comparing_t *cg,
    const scc_ctl_entry_t *entries, size_t n);
static int scc_ctl_compare_row(scc_ctl_comparing_t *cg, const PGresult *res,
    int i);
static bool scc_ctl_compare_applied(const scc_ctl_segment_t *s);
static int scc_ctl_compare_again(scc_ctl_comparing_t *cg);
static void scc_ctl_compare_show(const scc_ctl_entry_t *e);


int
scc_ctl_compare_digest(uint8_t digest[32], const uint8_t id[16],
    const uint8_t sha256[32])
{
    size_t   i;
    uint8_t  both[48], one[32];

    memcpy(both, id, 16);
    memcpy(both + 16, sha256, 32);

    if (scc_ctl_sha256(both, sizeof(both), one) != 0) {
        return -1;
    }

    for (i = 0; i < 32; i++) {
        digest[i] ^= one[i];
    }

    return 0;
}


const char *
scc_ctl_compare_hex(const uint8_t digest[32])
{
    size_t           i;
    char            *text;
    static char      buf[2][65];
    static unsigned  next;

    text = buf[next++ % 2];

    for (i = 0; i < 32; i++) {
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }

    return text;
}


int
scc_ctl_compare_open(scc_ctl_journal_t *j, const char *first,
    const scc_ctl_args_t *args)
{
    int     i, rc;
    char  **dirs;

    dirs = calloc((size_t) args->argc + 1, sizeof(char *));

    if (dirs == NULL || (dirs[0] = strdup(first)) == NULL) {
        scc_ctl_error("out of memory");
        free(dirs);
        return -1;
    }

    for (i = 0; i < args->argc; i++) {
        dirs[i + 1] = args->argv[i];
    }

    rc = scc_ctl_journal_list(j, args->argc + 1, dirs);

    free(dirs[0]);
    free(dirs);

    return rc == 0 ? scc_ctl_journal_look(j) : -1;
}


int
scc_ctl_compare_journals(scc_ctl_compare_t *c, scc_ctl_journal_t *j,
    PGconn *pg, const uint8_t store[16], scc_ctl_progress_t *progress)
{
    return scc_ctl_compare_since(c, j, pg, store, UINT64_MAX, progress);
}


int
scc_ctl_compare_since(scc_ctl_compare_t *c, scc_ctl_journal_t *j,
    PGconn *pg, const uint8_t store[16], uint64_t since,
    scc_ctl_progress_t *progress)
{
    int                      rc;
    size_t                   i;
    uint64_t                 bytes, done;
    scc_ctl_entry_t         *e;
    scc_ctl_merge_t          m;
    const scc_ctl_source_t  *source;
    scc_ctl_comparing_t      cg;

    memset(c, 0, sizeof(scc_ctl_compare_t));
    memset(&cg, 0, sizeof(scc_ctl_comparing_t));

    if (scc_ctl_compare_owner(j, store) != 0
        || scc_ctl_merge_init(&m, j) != 0)
    {
        return -1;
    }

    cg.c = c;
    cg.pg = pg;
    cg.since = since;
    cg.batch = calloc(SCC_CTL_COMPARE_BATCH, sizeof(scc_ctl_entry_t));
    cg.kept = calloc(SCC_CTL_COMPARE_KEPT, sizeof(scc_ctl_entry_t));

    scc_buf_heap(&cg.ids, 0);
    scc_buf_heap(&cg.digests, 0);
    scc_buf_heap(&cg.hlcs, 0);

    rc = 1;

    if (cg.batch == NULL || cg.kept == NULL) {
        scc_ctl_error("out of memory");
        rc = -1;
    }

    bytes = 0;
    done = 0;

    for (i = 0; i < j->n; i++) {
        bytes += j->segments[i].pos;
    }

    while (rc > 0 && (rc = scc_ctl_merge_next(&m, &source)) > 0) {

        c->records++;
        done += source->cr.bytes.len;
        scc_ctl_progress_update(progress, "journals", done, bytes,
                                c->records);

        if (!source->cr.readable) {
            c->unreadable++;
            continue;
        }

        e = &cg.batch[cg.n++];

        memcpy(e->id, source->cr.r.event_id, 16);
        memcpy(e->sha256, source->cr.r.sha256, 32);
        e->hlc = source->cr.r.hlc;
        e->received = source->cr.r.received;
        e->kind = source->cr.r.kind;
        e->segment = source->segment;

        if (cg.n == SCC_CTL_COMPARE_BATCH && scc_ctl_compare_flush(&cg) != 0)
        {
            rc = -1;
        }
    }

    if (rc == 0 && cg.n > 0) {
        rc = scc_ctl_compare_flush(&cg);
    }

    scc_ctl_progress_clear(progress);

    if (rc == 0) {
        c->copies = m.copies;
        rc = scc_ctl_compare_again(&cg);
    }

    scc_ctl_merge_free(&m);
    scc_buf_free(&cg.ids);
    scc_buf_free(&cg.digests);
    scc_buf_free(&cg.hlcs);
    free(cg.batch);
    free(cg.kept);

    return rc;
}


static int
scc_ctl_compare_owner(const scc_ctl_journal_t *j, const uint8_t store[16])
{
    size_t                    i;
    uint8_t                   text[37];
    scc_buf_t                 b;
    const scc_ctl_segment_t  *s;

    for (i = 0; i < j->n; i++) {
        s = &j->segments[i];

        if (!s->known || memcmp(s->head.store, store, 16) == 0) {
            continue;
        }

        scc_buf_fixed(&b, text, sizeof(text));
        scc_uuid_write(&b, s->head.store);

        scc_ctl_error("\"%s\" is of store %.36s, which this one is not; "
                      "name the right store or the right journal", s->path,
                      (char *) text);
        return -1;
    }

    return 0;
}


/* All of the batch count as taken; the rows that come back say which not. */

static int
scc_ctl_compare_flush(scc_ctl_comparing_t *cg)
{
    int        i, rc;
    size_t     k;
    PGresult  *res;

    for (k = 0; k < cg->n; k++) {
        if (scc_ctl_compare_digest(cg->c->digest, cg->batch[k].id,
                                   cg->batch[k].sha256)
            != 0)
        {
            return -1;
        }
    }

    cg->c->ledger += cg->n;

    res = scc_ctl_compare_ask(cg, cg->batch, cg->n);

    if (res == NULL) {
        return -1;
    }

    rc = 0;

    for (i = 0; i < PQntuples(res) && rc == 0; i++) {
        rc = scc_ctl_compare_row(cg, res, i);
    }

    PQclear(res);
    cg->n = 0;

    return rc;
}


static PGresult *
scc_ctl_compare_ask(scc_ctl_comparing_t *cg, const scc_ctl_entry_t *entries,
    size_t n)
{
    size_t       i, k;
    const char  *params[3];

    static const char  hex[] = "0123456789abcdef";

    scc_buf_reset(&cg->ids);
    scc_buf_reset(&cg->digests);
    scc_buf_reset(&cg->hlcs);

    for (i = 0; i < n; i++) {
        scc_buf_byte(&cg->ids, i == 0 ? '{' : ',');
        scc_uuid_write(&cg->ids, entries[i].id);

        scc_buf_text(&cg->digests, i == 0 ? "{\"\\\\x" : ",\"\\\\x");

        for (k = 0; k < 32; k++) {
            scc_buf_byte(&cg->digests,
                         (uint8_t) hex[entries[i].sha256[k] >> 4]);
            scc_buf_byte(&cg->digests,
                         (uint8_t) hex[entries[i].sha256[k] & 15]);
        }

        scc_buf_byte(&cg->digests, '"');

        scc_buf_byte(&cg->hlcs, i == 0 ? '{' : ',');
        scc_buf_uint(&cg->hlcs, entries[i].hlc);
    }

    scc_buf_mem(&cg->ids, "}", 2);
    scc_buf_mem(&cg->digests, "}", 2);
    scc_buf_mem(&cg->hlcs, "}", 2);

    if (cg->ids.error || cg->digests.error || cg->hlcs.error) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    params[0] = (const char *) cg->ids.start;
    params[1] = (const char *) cg->digests.start;
    params[2] = (const char *) cg->hlcs.start;

    return scc_ctl_pg_query(cg->pg, "looking journals up in the ledger",
                            scc_ctl_compare_query, 3, params);
}


static int
scc_ctl_compare_row(scc_ctl_comparing_t *cg, const PGresult *res, int i)
{
    bool                there, same, hlc;
    size_t              k;
    uint8_t             left[32];
    scc_ctl_compare_t  *c;
    scc_ctl_entry_t    *e;

    c = cg->c;
    k = (size_t) strtoul(PQgetvalue(res, i, 0), NULL, 10) - 1;

    if (k >= cg->n) {
        scc_ctl_error("looking journals up in the ledger: a row that was not "
                      "asked for");
        return -1;
    }

    e = &cg->batch[k];
    there = *PQgetvalue(res, i, 1) == 't';
    same = *PQgetvalue(res, i, 2) == 't';
    hlc = *PQgetvalue(res, i, 3) == 't';

    /* taken out again */

    c->ledger--;

    if (scc_ctl_compare_digest(c->digest, e->id, e->sha256) != 0) {
        return -1;
    }

    if (there && same && hlc) {
        c->ledger++;                    /* erased: what the ledger has */

        if (scc_ctl_unhex(left, PQgetvalue(res, i, 5)) != 0) {
            scc_ctl_error("the ledger has a digest that is none");
            return -1;
        }

        return scc_ctl_compare_digest(c->digest, e->id, left);
    }

    if (there && same) {
        c->repeats++;
        return 0;
    }

    if (*PQgetvalue(res, i, 4) == 't') {
        c->dead++;
        return 0;
    }

    if (there) {
        if (c->other++ < SCC_CTL_COMPARE_SHOWN) {
            printf("DIFFERS ");
            scc_ctl_compare_show(e);
        }

        return 0;
    }

    if (e->received >= cg->since && !scc_ctl_compare_applied(e->segment)) {
        c->waiting++;
        return 0;
    }

    c->missing++;

    if (cg->n_kept < SCC_CTL_COMPARE_KEPT) {
        cg->kept[cg->n_kept++] = *e;
    }

    return 0;
}


/* NAME.applied: nginx looks at NAME.seg no more. */

static bool
scc_ctl_compare_applied(const scc_ctl_segment_t *s)
{
    int    len;
    bool   there;
    char  *path;

    len = (int) strlen(s->path) - (s->seg ? 4 : 5);

    if (asprintf(&path, "%.*s.applied", len, s->path) == -1) {
        return true;
    }

    there = access(path, F_OK) == 0;
    free(path);

    return there;
}


/* What was written a moment ago may have been applied meanwhile. */

static int
scc_ctl_compare_again(scc_ctl_comparing_t *cg)
{
    int               n;
    size_t            i, k, shown;
    bool              young;
    int64_t           now;
    PGresult         *res;
    scc_ctl_entry_t  *e;

    if (cg->n_kept == 0) {
        return 0;
    }

    now = (int64_t) time(NULL);
    young = false;

    for (i = 0; i < cg->n_kept; i++) {
        young |= now - (int64_t) (cg->kept[i].received / 1000000000)
                 < SCC_CTL_COMPARE_YOUNG;
    }

    if (young) {
        sleep(SCC_CTL_COMPARE_PAUSE);
    }

    res = scc_ctl_compare_ask(cg, cg->kept, cg->n_kept);

    if (res == NULL) {
        return -1;
    }

    n = PQntuples(res);
    shown = 0;

    /* those that are there now are not in the answer, or there with it */

    for (i = 0, k = 0; i < cg->n_kept; i++) {
        e = &cg->kept[i];

        if (k < (size_t) n
            && strtoul(PQgetvalue(res, (int) k, 0), NULL, 10) == i + 1)
        {
            k++;

            if (*PQgetvalue(res, (int) k - 1, 1) == 't'
                || *PQgetvalue(res, (int) k - 1, 4) == 't')
            {
                cg->c->missing--;
                cg->c->repeats += *PQgetvalue(res, (int) k - 1, 1) == 't';
                cg->c->dead += *PQgetvalue(res, (int) k - 1, 1) != 't';
                continue;
            }

            if (now - (int64_t) (e->received / 1000000000)
                < SCC_CTL_COMPARE_YOUNG)
            {
                cg->c->missing--;
                cg->c->coming++;
                continue;
            }

            if (shown++ < SCC_CTL_COMPARE_SHOWN) {
                printf("MISSING ");
                scc_ctl_compare_show(e);
            }

            continue;
        }

        cg->c->missing--;
        cg->c->ledger++;

        if (scc_ctl_compare_digest(cg->c->digest, e->id, e->sha256) != 0) {
            PQclear(res);
            return -1;
        }
    }

    PQclear(res);

    return 0;
}


static void
scc_ctl_compare_show(const scc_ctl_entry_t *e)
{
    char       when[SCC_CTL_TIME];
    uint8_t    text[37];
    scc_str_t  kind;
    scc_buf_t  b;

    scc_buf_fixed(&b, text, sizeof(text));
    scc_uuid_write(&b, e->id);
    kind = scc_kind_name(e->kind);

    printf("%.36s  %s  %.*s  in %s\n", (char *) text,
           scc_ctl_time(when, e->received, 3), (int) kind.len,
           (const char *) kind.data, e->segment->path);
}
