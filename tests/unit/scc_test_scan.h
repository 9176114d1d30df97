
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_TEST_SCAN_H_INCLUDED_
#define _SCC_TEST_SCAN_H_INCLUDED_


#include "scc_test_journal.h"


#define TEST_RECORDS  64
#define TEST_BATCHES  16


/* A segment in memory, and where everything of it lies. */

typedef struct {
    scc_buf_t           bytes;
    scc_chain_t         chain;
    unsigned            n;              /* records */
    unsigned            n_batches;      /* without the seal */
    size_t              at[TEST_BATCHES + 1];
    size_t              len[TEST_BATCHES];      /* header and records */
    unsigned            upto[TEST_BATCHES];     /* records up to here */
} test_image_t;


/* What a reader got out of bytes. */

typedef struct {
    scc_rc_t            begin;
    scc_segment_end_t   end;
    size_t              pos;
    unsigned            scanned;        /* records in order, from 0 */
    bool                found[TEST_RECORDS];    /* by scan or salvage */
    unsigned            whole;          /* batches that salvage found */
} test_read_t;


static inline void
test_begin(test_image_t *im)
{
    uint8_t        *block;
    uint32_t        chain;
    scc_segment_t   s;

    memset(im, 0, sizeof(test_image_t));
    scc_buf_heap(&im->bytes, 0);
    block = scc_buf_reserve(&im->bytes, SCC_JOURNAL_BLOCK);
    assert_non_null(block);

    scc_test_segment(&s, 5);
    chain = scc_segment_write(block, &s);
    scc_chain_begin(&im->chain, &s, chain);

    im->at[0] = SCC_JOURNAL_BLOCK;
}


static inline void
test_add(test_image_t *im, unsigned n, size_t body_len)
{
    scc_buf_t  b;

    assert_true(im->n + n <= TEST_RECORDS);
    assert_true(im->n_batches < TEST_BATCHES);

    scc_buf_heap(&b, 0);
    scc_test_batch(&b, &im->chain, im->n, n, body_len);
    scc_buf_str(&im->bytes, scc_buf_get(&b));

    im->n += n;
    im->len[im->n_batches] = SCC_JOURNAL_BATCH + scc_le32(b.start + 28);
    im->upto[im->n_batches] = im->n;
    im->at[++im->n_batches] = im->bytes.used;

    scc_buf_free(&b);
}


static inline void
test_seal(test_image_t *im)
{
    scc_buf_t  b;

    scc_buf_heap(&b, 0);
    assert_int_equal(scc_batch_seal(&b, &im->chain), SCC_OK);
    scc_buf_str(&im->bytes, scc_buf_get(&b));
    scc_buf_free(&b);
}


static inline void
test_zeros(test_image_t *im, size_t n)
{
    uint8_t  *p;

    p = scc_buf_reserve(&im->bytes, n);
    assert_non_null(p);
    memset(p, 0, n);
}


/* Batches of one block and of several, with one record and with many. */

static inline void
test_typical(test_image_t *im)
{
    test_begin(im);
    test_add(im, 3, 200);
    test_add(im, 1, 40);
    test_add(im, 12, 700);
    test_add(im, 1, 4000);
    test_add(im, 9, 900);
    test_add(im, 5, 300);
}


/* Records are what was written, or it is no record. */

static inline unsigned
test_records(test_read_t *rd, scc_str_t records, bool ordered)
{
    size_t        size;
    unsigned      n;
    uint64_t      number;
    scc_record_t  r, *want;

    static char          bodies[TEST_RECORDS][SCC_TEST_BODY_MAX];
    static scc_record_t  written[TEST_RECORDS];

    for (n = 0; records.len; n++) {
        assert_int_equal(scc_record_read(records, &r, &size), SCC_OK);

        number = scc_test_number(&r);
        assert_true(number < TEST_RECORDS);

        if (ordered) {
            assert_int_equal(number, rd->scanned + n);
        }

        want = &written[number];

        if (want->body.len != r.body.len) {
            scc_test_record(want, number, r.body.len, bodies[number]);
        }

        assert_int_equal(r.kind, want->kind);
        assert_int_equal(r.hlc, want->hlc);
        assert_true(scc_str_eq(r.body, want->body));
        assert_true(scc_str_eq(r.key, want->key));
        assert_memory_equal(r.event_id, want->event_id, 16);
        assert_memory_equal(r.sha256, want->sha256, 32);

        rd->found[number] = true;
        records.data += size;
        records.len -= size;
    }

    return n;
}


static inline void
test_read(test_read_t *rd, const uint8_t *p, size_t len)
{
    uint64_t          next;
    unsigned          n;
    scc_str_t         bytes;
    scc_scan_t        s;
    scc_scan_batch_t  batch;

    memset(rd, 0, sizeof(test_read_t));

    bytes.data = p;
    bytes.len = len;
    next = 0;

    rd->begin = scc_scan_begin(&s, bytes);

    if (rd->begin == SCC_OK) {
        assert_int_equal(s.end, SCC_END_NONE);

        while (scc_scan_next(&s, &batch) == SCC_OK) {
            assert_int_equal(batch.number, next++);
            n = test_records(rd, batch.records, true);
            assert_int_equal(n, batch.n);
            assert_int_equal(batch.first_hlc, 1000 + rd->scanned);
            rd->scanned += n;
            assert_int_equal(batch.last_hlc, 999 + rd->scanned);
        }

        assert_int_equal(s.chain.records, rd->scanned);
        assert_int_equal(scc_scan_next(&s, &batch), SCC_DONE);

    } else {
        assert_int_equal(rd->begin, SCC_DECLINED);
        assert_int_equal(scc_scan_next(&s, &batch), SCC_DONE);
    }

    assert_int_not_equal(s.end, SCC_END_NONE);
    rd->end = s.end;
    rd->pos = s.pos;

    while (scc_scan_salvage(&s, &batch) == SCC_OK) {
        n = test_records(rd, batch.records, false);
        assert_int_equal(n, batch.n);
        rd->whole += (batch.records.data - bytes.data) % SCC_JOURNAL_BLOCK
                     == SCC_JOURNAL_BATCH && n > 1;
    }

    assert_int_equal(s.end, rd->end);
    assert_int_equal(scc_scan_salvage(&s, &batch), SCC_DONE);
}


/* The same on a copy that ends where it ends, for the sanitizer. */

static inline void
test_read_cut(test_read_t *rd, const test_image_t *im, size_t len)
{
    uint8_t  *copy;

    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, im->bytes.start, len);

    test_read(rd, copy, len);

    free(copy);
}


#endif /* _SCC_TEST_SCAN_H_INCLUDED_ */
