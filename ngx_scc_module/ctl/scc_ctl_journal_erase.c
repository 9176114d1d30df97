
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scc_contribution.h"
#include "scc_ctl_disk.h"
#include "scc_ctl_journal.h"
#include "scc_ctl_store.h"


/*
 * Segments are written anew, record by record, with what the ledger has kept
 * of those who were erased; all else stays: segment, batches, ids, clocks.
 */

typedef struct {
    PGconn             *pg;
    PGresult           *roster;         /* id, hlc of the erasure; by id */
    uint8_t             store[16];
    uint64_t            segments;
    uint64_t            records;
    uint64_t            waiting;        /* segments with names, not sealed
                                           or not applied */
} scc_ctl_erase_t;


static int scc_ctl_erase_segment(scc_ctl_erase_t *e, scc_ctl_segment_t *s);
static uint64_t scc_ctl_erase_names(const scc_ctl_erase_t *e,
    const scc_ctl_segment_t *s, bool *readable);
static bool scc_ctl_erase_named(const scc_ctl_erase_t *e,
    const scc_record_t *r);
static uint64_t scc_ctl_erase_until(const scc_ctl_erase_t *e, scc_str_t id);
static bool scc_ctl_erase_applied(const scc_ctl_segment_t *s);
static int scc_ctl_erase_copy(scc_ctl_erase_t *e, const scc_ctl_segment_t *s,
    scc_buf_t *out);
static int scc_ctl_erase_batch(scc_ctl_erase_t *e,
    const scc_scan_batch_t *from, scc_chain_t *chain, scc_buf_t *b);
static PGresult *scc_ctl_erase_record(scc_ctl_erase_t *e, scc_record_t *r);
static bool scc_ctl_erase_true(const scc_ctl_segment_t *s,
    const scc_buf_t *out);
static int scc_ctl_erase_replace(const scc_ctl_segment_t *s,
    const scc_buf_t *out);


int
scc_ctl_journal_erase(scc_ctl_journal_t *j, const char *conninfo)
{
    int              rc;
    size_t           i;
    scc_ctl_erase_t  e;

    memset(&e, 0, sizeof(scc_ctl_erase_t));

    e.pg = scc_ctl_store_connect(conninfo, false, e.store);

    if (e.pg == NULL) {
        return SCC_CTL_FAILED;
    }

    e.roster = scc_ctl_pg_exec(e.pg, "reading who was erased",
                               "SELECT id, erased_hlc FROM scc.contributor"
                               " WHERE erased_hlc IS NOT NULL ORDER BY id");

    rc = (e.roster == NULL) ? -1 : 0;

    for (i = 0; i < j->n && rc == 0; i++) {
        rc = scc_ctl_segment_load(&j->segments[i]);

        rc = (rc == 0) ? scc_ctl_erase_segment(&e, &j->segments[i])
                       : (rc < 0 ? -1 : 0);

        scc_ctl_segment_unload(&j->segments[i]);
    }

    if (rc == 0) {
        printf("%d erased contributors; %llu records of %llu segments lost "
               "names or keys; %llu segments with names have to wait\n",
               PQntuples(e.roster), (unsigned long long) e.records,
               (unsigned long long) e.segments,
               (unsigned long long) e.waiting);
    }

    PQclear(e.roster);
    PQfinish(e.pg);

    return rc == 0 ? SCC_CTL_OK : SCC_CTL_FAILED;
}


static int
scc_ctl_erase_segment(scc_ctl_erase_t *e, scc_ctl_segment_t *s)
{
    int        rc;
    bool       readable;
    uint64_t   n;
    scc_buf_t  out;

    if (!s->known || memcmp(s->head.store, e->store, 16) != 0) {
        printf("note  %s: not a segment of this store, left alone\n",
               s->path);
        return 0;
    }

    n = scc_ctl_erase_names(e, s, &readable);

    if (n == 0) {
        return 0;
    }

    if (s->state != SCC_CTL_SEGMENT_SEALED || !readable
        || !scc_ctl_erase_applied(s))
    {
        printf("note  %s: it is %s%s, names stay in it; run this again "
               "later\n", s->path, scc_ctl_segment_word(s->state),
               !readable ? " and has records of another version"
                         : ", or was not applied yet");
        e->waiting++;
        return 0;
    }

    scc_buf_heap(&out, 0);

    rc = scc_ctl_erase_copy(e, s, &out);

    if (rc == 0 && !scc_ctl_erase_true(s, &out)) {
        scc_ctl_error("\"%s\": the copy without names is not what it should "
                      "be, the segment is left as it is; please report "
                      "this", s->path);
        rc = -1;
    }

    if (rc == 0) {
        rc = scc_ctl_erase_replace(s, &out);
    }

    scc_buf_free(&out);

    if (rc == 0) {
        e->segments++;
        e->records += n;
    }

    return rc;
}


static uint64_t
scc_ctl_erase_names(const scc_ctl_erase_t *e, const scc_ctl_segment_t *s,
    bool *readable)
{
    uint64_t          n;
    scc_ctl_record_t  cr;

    n = 0;
    *readable = true;

    scc_ctl_record_begin(&cr, s);

    while (scc_ctl_record_next(&cr)) {

        if (!cr.readable) {
            *readable = false;

        } else if (scc_ctl_erase_named(e, &cr.r)) {
            n++;
        }
    }

    return n;
}


static bool
scc_ctl_erase_named(const scc_ctl_erase_t *e, const scc_record_t *r)
{
    static const char  field[] = "\"displayName\"";

    if (r->contributor_name.len == 0 && r->key.len == 0
        && (r->kind != SCC_KIND_CONTRIBUTOR
            || memmem(r->body.data, r->body.len, field, sizeof(field) - 1)
               == NULL))
    {
        return false;
    }

    return r->hlc <= scc_ctl_erase_until(e, r->contributor_id);
}


/* The server's order of ids is that of bytes. */

static uint64_t
scc_ctl_erase_until(const scc_ctl_erase_t *e, scc_str_t id)
{
    int        low, high, mid, cmp;
    scc_str_t  other;

    low = 0;
    high = PQntuples(e->roster);

    while (low < high) {
        mid = low + (high - low) / 2;

        other.data = (const uint8_t *) PQgetvalue(e->roster, mid, 0);
        other.len = (size_t) PQgetlength(e->roster, mid, 0);

        cmp = scc_str_cmp(id, other);

        if (cmp == 0) {
            return strtoull(PQgetvalue(e->roster, mid, 1), NULL, 10);
        }

        if (cmp < 0) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }

    return 0;
}


/* Then nginx does not read it any more. */

static bool
scc_ctl_erase_applied(const scc_ctl_segment_t *s)
{
    int    len;
    bool   there;
    char  *path;

    len = (int) strcspn(s->name, ".");

    if (asprintf(&path, "%.*s%.*s.applied", (int) (s->name - s->path),
                 s->path, len, s->name)
        == -1)
    {
        return false;
    }

    there = (access(path, F_OK) == 0);
    free(path);

    return there;
}


static int
scc_ctl_erase_copy(scc_ctl_erase_t *e, const scc_ctl_segment_t *s,
    scc_buf_t *out)
{
    uint8_t          *block;
    scc_buf_t         b;
    scc_scan_t        scan;
    scc_chain_t       chain;
    scc_scan_batch_t  batch;

    if (scc_scan_begin(&scan, s->bytes) != SCC_OK) {
        return -1;
    }

    block = scc_buf_reserve(out, SCC_JOURNAL_BLOCK);

    if (block == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    memcpy(block, s->bytes.data, SCC_JOURNAL_BLOCK);

    scc_chain_begin(&chain, &scan.segment, scc_segment_erase(block));
    scc_buf_heap(&b, 0);

    while (scc_scan_next(&scan, &batch) == SCC_OK) {

        if (scc_ctl_erase_batch(e, &batch, &chain, &b) != 0) {
            scc_buf_free(&b);
            return -1;
        }

        scc_buf_mem(out, b.start, b.used);
    }

    if (scan.end == SCC_END_SEALED && scc_batch_seal(&b, &chain) == SCC_OK) {
        scc_buf_mem(out, b.start, b.used);

    } else {
        out->error = true;
    }

    scc_buf_free(&b);

    if (out->error) {
        scc_ctl_error("out of memory");
        return -1;
    }

    return 0;
}


static int
scc_ctl_erase_batch(scc_ctl_erase_t *e, const scc_scan_batch_t *from,
    scc_chain_t *chain, scc_buf_t *b)
{
    size_t        size;
    PGresult     *res;
    scc_str_t     left;
    scc_batch_t   batch;
    scc_record_t  r;

    scc_batch_begin(&batch, b);

    for (left = from->records; left.len > 0; left.len -= size) {

        if (scc_record_read(left, &r, &size) != SCC_OK) {
            return -1;
        }

        res = NULL;

        if (scc_ctl_erase_named(e, &r)) {
            res = scc_ctl_erase_record(e, &r);

            if (res == NULL) {
                return -1;
            }
        }

        scc_record_write(b, &r);
        scc_batch_add(&batch, &r);

        PQclear(res);
        left.data += size;
    }

    if (scc_batch_finish(&batch, chain) != SCC_OK) {
        scc_ctl_error("out of memory");
        return -1;
    }

    return 0;
}


/* What the ledger has of it; the record points into the result. */

static PGresult *
scc_ctl_erase_record(scc_ctl_erase_t *e, scc_record_t *r)
{
    char               text[37];
    PGresult          *res;
    scc_buf_t          b;
    const char        *params[1];

    static const char  query[] =
        "SELECT coalesce(l.body, '{}') FROM (SELECT) one"
        " LEFT JOIN scc.contribution l ON l.event_id = $1::uuid";

    scc_buf_fixed(&b, text, sizeof(text));
    scc_uuid_write(&b, r->event_id);
    scc_buf_byte(&b, '\0');

    params[0] = text;

    res = scc_ctl_pg_query(e->pg, "reading the ledger", query, 1, params);

    if (res == NULL) {
        return NULL;
    }

    r->key.len = 0;
    r->contributor_name.len = 0;

    if (r->kind == SCC_KIND_CONTRIBUTOR) {
        r->body.data = (const uint8_t *) PQgetvalue(res, 0, 0);
        r->body.len = (size_t) PQgetlength(res, 0, 0);

        scc_sha256(r->sha256, r->body);
    }

    return res;
}


/* As many batches and records, of the same ids and times, and sealed. */

static bool
scc_ctl_erase_true(const scc_ctl_segment_t *s, const scc_buf_t *out)
{
    uint64_t          batches;
    scc_scan_t        scan;
    scc_scan_batch_t  batch;

    if (scc_scan_begin(&scan, scc_buf_get(out)) != SCC_OK) {
        return false;
    }

    for (batches = 0; scc_scan_next(&scan, &batch) == SCC_OK; batches++) {
        /* void */
    }

    return scan.end == SCC_END_SEALED
           && batches == s->batches
           && scan.chain.records == s->chain.records
           && scan.chain.first_hlc == s->chain.first_hlc
           && scan.chain.last_hlc == s->chain.last_hlc
           && memcmp(scan.chain.ids, s->chain.ids, 16) == 0
           && memcmp(scan.segment.segment, s->head.segment, 16) == 0;
}


/* Whole, or as it was: written beside, synced, then renamed. */

static int
scc_ctl_erase_replace(const scc_ctl_segment_t *s, const scc_buf_t *out)
{
    int          fd, rc;
    char        *tmp;
    struct stat  st;

    if (asprintf(&tmp, "%s.erase", s->path) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    rc = -1;
    fd = open(tmp, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600);

    /* nginx's user reads it, whoever runs this */

    if (fd != -1
        && stat(s->path, &st) == 0
        && fchown(fd, st.st_uid, st.st_gid) == 0
        && fchmod(fd, st.st_mode & 07777) == 0
        && scc_ctl_disk_put(fd, scc_buf_get(out)) == 0
        && fsync(fd) == 0)
    {
        rc = scc_ctl_disk_rename(tmp, s->path);
    }

    if (rc != 0) {
        scc_ctl_error("cannot write \"%s\" without names: %s", s->path,
                      strerror(errno));
        (void) unlink(tmp);
    }

    if (fd != -1) {
        (void) close(fd);
    }

    free(tmp);

    return rc;
}
