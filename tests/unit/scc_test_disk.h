
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_TEST_DISK_H_INCLUDED_
#define _SCC_TEST_DISK_H_INCLUDED_


#include "scc_test_journal.h"


/*
 * Every state a crash can leave.  Writers, with the real encoding, leave a
 * log of what they ask of the disk.  For every prefix of the log, and every
 * choice of at most three operations that were not synced by then and are
 * lost or torn (a write: any of its 512-byte sectors missing; a file that
 * grows: its end missing), the directory is made as the next start would
 * find it, and read by the real scan.
 *
 * On each: what was acknowledged is recovered, nothing is that was not
 * written, and a disk that kept its word is not called damaged.
 */

#define DISK_FILES     6
#define DISK_SIZE      (48 * 1024)
#define DISK_OPS       200
#define DISK_PENDING   12
#define DISK_RECORDS   128
#define DISK_SECTOR    512
#define DISK_FAULTS    3
#define DISK_VARIANTS  320
#define DISK_SEGMENT   (32 * 1024)
#define DISK_AHEAD     (2 * SCC_JOURNAL_BLOCK)


typedef enum {
    OP_CREATE,
    OP_SIZE,                            /* fallocate and ftruncate */
    OP_WRITE,
    OP_SYNC,
    OP_SYNC_FAILED,
    OP_SYNC_DIR,
    OP_RENAME,                          /* .open to .seg */
    OP_ACK,
} op_type_t;


typedef struct {
    op_type_t      type;
    unsigned       file;
    size_t         at;
    size_t         len;
    uint8_t       *data;
    unsigned       first;               /* records of a write or ack */
    unsigned       n;
} op_t;


typedef struct {
    op_t           ops[DISK_OPS];
    unsigned       n;
} log_t;


/* What became of an operation: sectors of a write, and the file's size. */

typedef struct {
    uint64_t       sectors;             /* bit by bit: those that arrived */
    bool           cut;                 /* the size ends with the last */
    bool           lost;                /* nothing happened */
} fault_t;


typedef struct {
    uint8_t        bytes[DISK_SIZE];
    size_t         size;
    size_t         dirty;               /* bytes that may not be zeros */
    bool           open;                /* names that exist */
    bool           sealed;
} file_t;


/* A worker at its segment. */

typedef struct {
    log_t         *log;
    unsigned       file;
    size_t         pos;
    scc_chain_t    chain;
    scc_buf_t      buf;
    size_t         prealloc;            /* 0: the file grows */
    size_t         zeros;               /* written as far as here */
    unsigned       bad;                 /* what it does wrong */
} writer_t;

#define BAD_ACK_FIRST    0x01
#define BAD_NO_DIR       0x02
#define BAD_SYNC_AGAIN   0x04
#define BAD_RENAME       0x08
#define BAD_PIPELINE     0x10
#define BAD_ZEROS        0x20


static const log_t   *disk_log;
static unsigned       disk_prefix;
static unsigned       disk_pending[DISK_PENDING];
static unsigned       disk_n_pending;
static fault_t        disk_faults[DISK_PENDING];
static bool           disk_faulty[DISK_PENDING];
static file_t         disk_files[DISK_FILES];
static uint64_t       disk_states;
static uint64_t       disk_torn;
static uint64_t       disk_wrong;
static const char    *disk_why;

static scc_buf_t      disk_records[DISK_RECORDS];   /* as encoded */


static void disk_enumerate(const log_t *log);
static void disk_choose(unsigned at, unsigned left, unsigned total);
static unsigned disk_variants(const op_t *op, unsigned total,
    fault_t *variants);
static bool disk_synced(unsigned i);
static void disk_make(void);
static void disk_write(file_t *f, const op_t *op, const fault_t *fault);
static void disk_check(void);
static bool disk_recover(const file_t *f, unsigned file, bool *found,
    const bool *written);
static bool disk_repair(const file_t *f, size_t pos,
    const scc_chain_t *chain);


static op_t *
log_op(log_t *log, op_type_t type, unsigned file)
{
    op_t  *op;

    assert_true(log->n < DISK_OPS);

    op = &log->ops[log->n++];
    memset(op, 0, sizeof(op_t));
    op->type = type;
    op->file = file;

    return op;
}


static void
log_write(log_t *log, unsigned file, size_t at, scc_str_t bytes,
    unsigned first, unsigned n)
{
    op_t  *op;

    assert_true(at + bytes.len <= DISK_SIZE);
    assert_true(bytes.len <= 64 * DISK_SECTOR);

    op = log_op(log, OP_WRITE, file);
    op->at = at;
    op->len = bytes.len;
    op->first = first;
    op->n = n;
    op->data = malloc(bytes.len);
    assert_non_null(op->data);
    memcpy(op->data, bytes.data, bytes.len);
}


static void
log_free(log_t *log)
{
    unsigned  i;

    for (i = 0; i < log->n; i++) {
        free(log->ops[i].data);
    }

    log->n = 0;
}


static void
writer_create(writer_t *w, log_t *log, unsigned file, size_t prealloc,
    unsigned bad)
{
    uint8_t        block[SCC_JOURNAL_BLOCK];
    uint32_t       chain;
    scc_segment_t  s;

    memset(w, 0, sizeof(writer_t));
    scc_buf_heap(&w->buf, 0);
    w->log = log;
    w->file = file;
    w->prealloc = prealloc;
    w->bad = bad;
    w->pos = SCC_JOURNAL_BLOCK;
    w->zeros = SCC_JOURNAL_BLOCK;

    scc_test_segment(&s, file);
    chain = scc_segment_write(block, &s);
    scc_chain_begin(&w->chain, &s, chain);

    log_op(log, OP_CREATE, file);

    if (prealloc) {
        log_op(log, OP_SIZE, file)->at = prealloc;
    }

    log_write(log, file, 0, scc_test_str((char *) block, sizeof(block)), 0,
              0);
    log_op(log, OP_SYNC, file);

    if (!(bad & BAD_NO_DIR)) {
        log_op(log, OP_SYNC_DIR, file);
    }
}


static void
writer_ack(writer_t *w, size_t at, size_t len, unsigned first, unsigned n)
{
    op_t  *op;

    op = log_op(w->log, OP_ACK, w->file);
    op->at = at;
    op->len = len;
    op->first = first;
    op->n = n;
}


/* Where room was taken: zeros behind a batch that passes the last ones. */

static void
writer_ahead(writer_t *w, size_t end)
{
    size_t                from, to;
    static const uint8_t  zeros[DISK_SEGMENT];

    if (end <= w->zeros || w->prealloc == 0) {
        return;
    }

    from = (w->bad & BAD_ZEROS) ? w->pos - SCC_JOURNAL_BLOCK : end;
    to = end + DISK_AHEAD < w->prealloc ? end + DISK_AHEAD : w->prealloc;
    w->zeros = to;

    if (to > from) {
        log_write(w->log, w->file, from,
                  scc_test_str((const char *) zeros, to - from), 0, 0);
    }
}


/* n records as a batch, up to the sync. */

static void
writer_batch(writer_t *w, scc_batch_t *batch, unsigned first, unsigned n,
    size_t body_len)
{
    char          body[SCC_TEST_BODY_MAX];
    unsigned      i;
    scc_record_t  r;

    scc_batch_begin(batch, &w->buf);

    for (i = first; i < first + n; i++) {
        assert_true(i < DISK_RECORDS);

        scc_test_record(&r, i, body_len, body);
        scc_record_write(&w->buf, &r);
        scc_batch_add(batch, &r);

        scc_buf_reset(&disk_records[i]);
        scc_record_write(&disk_records[i], &r);
    }

    assert_int_equal(scc_batch_finish(batch, &w->chain), SCC_OK);

    writer_ahead(w, w->pos + w->buf.used);
    log_write(w->log, w->file, w->pos, scc_buf_get(&w->buf), first, n);
}


static void
writer_append(writer_t *w, unsigned first, unsigned n, size_t body_len)
{
    scc_batch_t  batch;

    writer_batch(w, &batch, first, n, body_len);

    if (w->bad & BAD_ACK_FIRST) {
        writer_ack(w, w->pos, w->buf.used, first, n);
    }

    if (!(w->bad & BAD_PIPELINE)) {
        log_op(w->log, OP_SYNC, w->file);
    }

    if (!(w->bad & (BAD_ACK_FIRST|BAD_PIPELINE))) {
        writer_ack(w, w->pos, w->buf.used, first, n);
    }

    w->pos += w->buf.used;
}


static void
writer_seal(writer_t *w)
{
    assert_int_equal(scc_batch_seal(&w->buf, &w->chain), SCC_OK);

    writer_ahead(w, w->pos + w->buf.used);
    log_write(w->log, w->file, w->pos, scc_buf_get(&w->buf), 0, 0);
    w->pos += w->buf.used;

    if (!(w->bad & BAD_RENAME)) {
        log_op(w->log, OP_SYNC, w->file);
    }

    if (w->prealloc) {
        log_op(w->log, OP_SIZE, w->file)->at = w->pos;

        if (!(w->bad & BAD_RENAME)) {
            log_op(w->log, OP_SYNC, w->file);
        }
    }

    log_op(w->log, OP_RENAME, w->file);
    log_op(w->log, OP_SYNC_DIR, w->file);
}


static void
writer_free(writer_t *w)
{
    scc_buf_free(&w->buf);
}


/* The disk refuses the sync: the batch goes to a new segment. */

static void
writer_move(writer_t *w, unsigned file, unsigned first, unsigned n,
    size_t body_len)
{
    writer_t     to;
    scc_batch_t  batch;

    writer_batch(w, &batch, first, n, body_len);
    log_op(w->log, OP_SYNC_FAILED, w->file);

    if (w->bad & BAD_SYNC_AGAIN) {
        log_op(w->log, OP_SYNC, w->file);
        writer_ack(w, w->pos, w->buf.used, first, n);
        w->pos += w->buf.used;
        return;
    }

    writer_create(&to, w->log, file, w->prealloc, w->bad);

    assert_int_equal(scc_batch_move(&batch, &to.chain), SCC_OK);

    writer_ahead(&to, to.pos + w->buf.used);
    log_write(to.log, to.file, to.pos, scc_buf_get(&w->buf), first, n);
    log_op(to.log, OP_SYNC, to.file);
    writer_ack(&to, to.pos, w->buf.used, first, n);
    to.pos += w->buf.used;

    /* goes on there, with the buffer it had */

    scc_buf_free(&to.buf);
    to.buf = w->buf;
    *w = to;
}


/* The operations of two logs, each in its order. */

static void
log_merge(log_t *to, const log_t *a, const log_t *b, uint64_t *seed)
{
    unsigned    i, j;
    const op_t  *op;

    i = j = 0;

    while (i < a->n || j < b->n) {
        if (j == b->n || (i < a->n && scc_test_range(seed, 0, 1))) {
            op = &a->ops[i++];
        } else {
            op = &b->ops[j++];
        }

        assert_true(to->n < DISK_OPS);
        to->ops[to->n] = *op;

        if (op->data) {
            to->ops[to->n].data = malloc(op->len);
            assert_non_null(to->ops[to->n].data);
            memcpy(to->ops[to->n].data, op->data, op->len);
        }

        to->n++;
    }
}


static void
disk_run(const char *what, log_t *log)
{
    uint64_t  states, torn;

    states = disk_states;
    torn = disk_torn;
    disk_wrong = 0;

    disk_enumerate(log);

    print_message("%-44s %8llu states, %llu with a torn segment\n", what,
                  (unsigned long long) (disk_states - states),
                  (unsigned long long) (disk_torn - torn));

    if (disk_wrong) {
        print_message("%llu of them wrong: %s\n",
                      (unsigned long long) disk_wrong, disk_why);
    }

    log_free(log);
}


static void
disk_enumerate(const log_t *log)
{
    unsigned  i, faults;

    disk_log = log;

    for (disk_prefix = 0; disk_prefix <= log->n; disk_prefix++) {

        disk_n_pending = 0;

        for (i = 0; i < disk_prefix; i++) {
            if (!disk_synced(i)) {
                assert_true(disk_n_pending < DISK_PENDING);
                disk_pending[disk_n_pending++] = i;
            }
        }

        for (faults = 0; faults <= DISK_FAULTS; faults++) {
            disk_choose(0, faults, faults);
        }
    }
}


/* Exactly "left" of the pending operations from "at" on fail. */

static void
disk_choose(unsigned at, unsigned left, unsigned total)
{
    unsigned  i, n;
    fault_t   variants[DISK_VARIANTS];

    if (left > disk_n_pending - at) {
        return;
    }

    if (at == disk_n_pending) {
        disk_make();
        disk_check();
        return;
    }

    disk_faulty[at] = false;
    disk_choose(at + 1, left, total);

    if (left == 0) {
        return;
    }

    disk_faulty[at] = true;
    n = disk_variants(&disk_log->ops[disk_pending[at]], total, variants);

    for (i = 0; i < n; i++) {
        disk_faults[at] = variants[i];
        disk_choose(at + 1, left - 1, total);
    }
}


/* One fault alone: every mask of eight sectors, many of more.  With others:
   fewer, the product counts. */

static unsigned
disk_variants(const op_t *op, unsigned total, fault_t *variants)
{
    unsigned  i, k, n, sectors;
    uint64_t  all, seed;

    memset(variants, 0, DISK_VARIANTS * sizeof(fault_t));
    n = 0;

    variants[n++].lost = true;

    if (op->type != OP_WRITE) {
        return n;
    }

    sectors = (unsigned) (op->len / DISK_SECTOR);
    all = sectors == 64 ? UINT64_MAX : (1ULL << sectors) - 1;

    variants[n++].sectors = 0;
    variants[n++].sectors = all & ~1ULL;
    variants[n++].sectors = 1;
    variants[n].cut = true;
    variants[n++].sectors = 1;

    if (total == 3) {
        return n;
    }

    variants[n++].sectors = all >> 8;                   /* but a page */
    variants[n++].sectors = all & ~0xffULL;
    variants[n++].sectors = all & 0x5555555555555555ULL;
    variants[n++].sectors = all & 0xaaaaaaaaaaaaaaaaULL;
    variants[n].cut = true;
    variants[n++].sectors = all >> 1;

    if (total == 2) {
        return n;
    }

    if (sectors == 8) {
        for (i = 1; i < all; i++) {
            variants[n++].sectors = i;
        }

    } else {
        for (i = 0; i < sectors; i++) {
            variants[n++].sectors = all & ~(1ULL << i);
            variants[n++].sectors = 1ULL << i;
            variants[n++].sectors = all >> i & (all - 1);
            variants[n++].sectors = all << i & all & ~1ULL;
        }

        seed = 1 + op->at;

        for (i = 0; i < 60; i++) {
            variants[n++].sectors = scc_test_random(&seed) & all;
        }
    }

    for (k = 2; k < sectors && k < 40; k++) {
        variants[n].cut = true;
        variants[n++].sectors = (1ULL << k) - 1;
    }

    assert_true(n <= DISK_VARIANTS);

    return n;
}


/* Whether no crash after the prefix can undo operation i of it. */

static bool
disk_synced(unsigned i)
{
    unsigned     j;
    const op_t  *op, *by;

    op = &disk_log->ops[i];

    switch (op->type) {

    case OP_CREATE:
    case OP_RENAME:

        for (j = i + 1; j < disk_prefix; j++) {
            if (disk_log->ops[j].type == OP_SYNC_DIR) {
                return true;
            }
        }

        return false;

    case OP_SIZE:
    case OP_WRITE:

        /* what one sync failed for is lost to all later ones: the kernel
           has forgotten that it was to be written */

        for (j = i + 1; j < disk_prefix; j++) {
            by = &disk_log->ops[j];

            if (by->file == op->file
                && (by->type == OP_SYNC || by->type == OP_SYNC_FAILED))
            {
                return by->type == OP_SYNC;
            }
        }

        return false;

    default:
        return true;
    }
}


static void
disk_make(void)
{
    file_t         *f;
    unsigned        i, k;
    const op_t     *op;
    const fault_t  *fault;

    for (i = 0; i < DISK_FILES; i++) {
        f = &disk_files[i];
        memset(f->bytes, 0, f->dirty);
        f->dirty = 0;
        f->size = 0;
        f->open = false;
        f->sealed = false;
    }

    for (i = 0, k = 0; i < disk_prefix; i++) {
        op = &disk_log->ops[i];
        f = &disk_files[op->file];
        fault = NULL;

        if (k < disk_n_pending && disk_pending[k] == i) {
            fault = disk_faulty[k] ? &disk_faults[k] : NULL;
            k++;
        }

        if (fault && fault->lost) {
            continue;
        }

        switch (op->type) {

        case OP_CREATE:
            f->open = true;
            break;

        case OP_RENAME:
            f->open = false;
            f->sealed = true;
            break;

        case OP_SIZE:
            if (op->at < f->dirty) {
                memset(f->bytes + op->at, 0, f->dirty - op->at);
                f->dirty = op->at;
            }

            f->size = op->at;
            break;

        case OP_WRITE:
            disk_write(f, op, fault);
            break;

        default:
            break;
        }
    }
}


static void
disk_write(file_t *f, const op_t *op, const fault_t *fault)
{
    size_t    at, end;
    unsigned  i;

    end = op->at + op->len;

    if (fault) {
        for (i = 0; i < op->len / DISK_SECTOR; i++) {
            if (fault->sectors & 1ULL << i) {
                at = i * DISK_SECTOR;
                memcpy(f->bytes + op->at + at, op->data + at, DISK_SECTOR);

                if (fault->cut) {
                    end = op->at + at + DISK_SECTOR;
                }
            }
        }

    } else {
        memcpy(f->bytes + op->at, op->data, op->len);
    }

    if (end > f->size) {
        f->size = end;
    }

    if (op->at + op->len > f->dirty) {
        f->dirty = op->at + op->len;
    }
}


static void
disk_check(void)
{
    bool         ok, found[DISK_RECORDS], written[DISK_RECORDS];
    unsigned     i, n;
    const op_t  *op;

    disk_states++;
    ok = true;

    memset(found, 0, sizeof(found));
    memset(written, 0, sizeof(written));

    for (i = 0; i < disk_prefix; i++) {
        op = &disk_log->ops[i];

        for (n = 0; op->type == OP_WRITE && n < op->n; n++) {
            written[op->first + n] = true;
        }
    }

    for (i = 0; i < DISK_FILES && ok; i++) {
        if (disk_files[i].open || disk_files[i].sealed) {
            ok = disk_recover(&disk_files[i], i, found, written);
        }
    }

    for (i = 0; i < disk_prefix && ok; i++) {
        op = &disk_log->ops[i];

        for (n = 0; op->type == OP_ACK && n < op->n; n++) {
            if (!found[op->first + n]) {
                disk_why = "an acknowledged record is not recovered";
                ok = false;
            }
        }
    }

    disk_wrong += !ok;
}


static bool
disk_recover(const file_t *f, unsigned file, bool *found,
    const bool *written)
{
    size_t             size;
    unsigned           i;
    scc_rc_t           rc;
    uint64_t           number;
    scc_scan_t         s;
    scc_str_t          bytes, left;
    const op_t        *op;
    scc_record_t       r;
    scc_scan_batch_t   batch;

    bytes.data = f->bytes;
    bytes.len = f->size;

    rc = scc_scan_begin(&s, bytes);

    while (rc == SCC_OK && scc_scan_next(&s, &batch) == SCC_OK) {

        left = batch.records;

        while (left.len) {
            if (scc_record_read(left, &r, &size) != SCC_OK) {
                disk_why = "a record in a valid batch cannot be read";
                return false;
            }

            number = scc_test_number(&r);

            if (number >= DISK_RECORDS || !written[number]
                || disk_records[number].used != size
                || memcmp(disk_records[number].start, left.data, size) != 0)
            {
                disk_why = "a record was never written";
                return false;
            }

            found[number] = true;
            left.data += size;
            left.len -= size;
        }
    }

    if (s.end == SCC_END_CORRUPT) {
        disk_why = "an honest disk is called damaged";
        return false;
    }

    if (f->sealed && s.end != SCC_END_SEALED) {
        disk_why = "a .seg is not sealed";
        return false;
    }

    for (i = 0; i < disk_prefix; i++) {
        op = &disk_log->ops[i];

        if (op->type == OP_ACK && op->file == file
            && op->at + op->len > s.pos)
        {
            disk_why = "an acknowledged batch is in a torn part";
            return false;
        }
    }

    if (rc == SCC_OK && s.end == SCC_END_TORN) {
        disk_torn++;
        return disk_repair(f, s.pos, &s.chain);
    }

    return true;
}


/* Cut and sealed, the segment is whole, and says the same. */

static bool
disk_repair(const file_t *f, size_t pos, const scc_chain_t *chain)
{
    scc_buf_t          b;
    scc_str_t          bytes;
    scc_chain_t        c;
    scc_scan_t         s;
    scc_scan_batch_t   batch;

    static uint8_t  copy[DISK_SIZE + SCC_JOURNAL_BLOCK];

    disk_why = "a repaired segment is not what it was";

    c = *chain;
    memcpy(copy, f->bytes, pos);
    scc_buf_fixed(&b, copy + pos, SCC_JOURNAL_BLOCK);

    if (scc_batch_seal(&b, &c) != SCC_OK) {
        return false;
    }

    bytes.data = copy;
    bytes.len = pos + b.used;

    if (scc_scan_begin(&s, bytes) != SCC_OK) {
        return false;
    }

    while (scc_scan_next(&s, &batch) == SCC_OK) { /* void */ }

    return s.end == SCC_END_SEALED && s.chain.records == chain->records
           && memcmp(s.chain.ids, chain->ids, 16) == 0;
}


#endif /* _SCC_TEST_DISK_H_INCLUDED_ */
