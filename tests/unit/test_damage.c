
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test_scan.h"


/* One bit, at every byte: seen, never taken for a torn tail, and all records
   but the one that was hit are still read. */

static void
test_flip(test_image_t *im, bool sealed)
{
    size_t       i, end, size;
    uint8_t      bit;
    unsigned     n, hit, lost;
    scc_str_t    bytes;
    scc_record_t r;
    test_read_t  rd;

    end = im->at[im->n_batches] + (sealed ? SCC_JOURNAL_BLOCK : 0);

    for (i = 0; i < im->bytes.used; i++) {
        bit = (uint8_t) (1 << (i * 5 + i / 8) % 8);
        im->bytes.start[i] ^= bit;

        test_read(&rd, im->bytes.start, im->bytes.used);

        lost = 0;
        hit = im->n;

        for (n = 0; n < im->n; n++) {
            if (!rd.found[n]) {
                lost++;
                hit = n;
            }
        }

        if (i < end) {
            assert_int_equal(rd.end, SCC_END_CORRUPT);

        } else if (sealed) {
            assert_int_equal(rd.end, SCC_END_CORRUPT);
            assert_int_equal(lost, 0);

        } else {
            assert_int_not_equal(rd.end, SCC_END_CLEAN);
            assert_int_equal(lost, 0);
        }

        assert_int_equal(rd.begin, i < SCC_JOURNAL_BLOCK ? SCC_DECLINED
                                                         : SCC_OK);
        assert_true(lost <= 1);

        im->bytes.start[i] ^= bit;

        if (lost) {

            /* then the bit is within that record */

            for (n = 0; im->upto[n] <= hit; n++) { /* void */ }

            bytes.data = im->bytes.start + im->at[n] + SCC_JOURNAL_BATCH;
            bytes.len = im->len[n] - SCC_JOURNAL_BATCH;

            for ( ;; ) {
                assert_int_equal(scc_record_read(bytes, &r, &size), SCC_OK);

                if (scc_test_number(&r) == hit) {
                    break;
                }

                bytes.data += size;
                bytes.len -= size;
            }

            assert_true(im->bytes.start + i >= bytes.data
                        && im->bytes.start + i < bytes.data + size);
        }
    }
}


static void
test_flip_open(void **state)
{
    test_image_t  im;

    (void) state;

    test_typical(&im);
    test_zeros(&im, SCC_JOURNAL_BLOCK);
    test_flip(&im, false);
    scc_buf_free(&im.bytes);
}


static void
test_flip_sealed(void **state)
{
    test_image_t  im;

    (void) state;

    test_typical(&im);
    test_seal(&im);
    test_flip(&im, true);
    scc_buf_free(&im.bytes);
}


/* Any damage in front of a batch that is still there. */

static void
test_damage(void **state)
{
    size_t         at, len, i;
    uint64_t       seed;
    unsigned       round, n, before;
    scc_buf_t      copy;
    test_read_t    rd;
    test_image_t   im;

    (void) state;

    test_typical(&im);
    test_zeros(&im, SCC_JOURNAL_BLOCK);
    scc_buf_heap(&copy, 0);
    seed = 9;

    for (round = 0; round < 4000; round++) {
        scc_buf_reset(&copy);
        scc_buf_str(&copy, scc_buf_get(&im.bytes));

        at = (size_t) scc_test_range(&seed, SCC_JOURNAL_BLOCK,
                                     (int64_t) im.at[5] - 1);
        len = (size_t) scc_test_range(&seed, 1,
                                      (int64_t) (im.at[5] - at));

        switch (round % 3) {

        case 0:
            memset(copy.start + at, 0, len);
            break;

        case 1:
            for (i = 0; i < len; i++) {
                copy.start[at + i] = (uint8_t) scc_test_random(&seed);
            }
            break;

        default:
            memmove(copy.start + at, copy.start + SCC_JOURNAL_BLOCK, len);
        }

        if (memcmp(copy.start, im.bytes.start, copy.used) == 0) {
            continue;
        }

        test_read(&rd, copy.start, copy.used);
        assert_int_equal(rd.begin, SCC_OK);
        assert_int_equal(rd.end, SCC_END_CORRUPT);

        /* batches outside of the damage */

        for (n = 0; n < im.n; n++) {
            for (i = 0; im.upto[i] <= n; i++) { /* void */ }

            if (im.at[i] + im.len[i] <= at || im.at[i] >= at + len) {
                assert_true(rd.found[n]);
            }
        }

        for (before = 0; im.at[before + 1] <= at; before++) { /* void */ }

        assert_in_range(rd.scanned, before ? im.upto[before - 1] : 0,
                        im.upto[4]);
    }

    scc_buf_free(&copy);
    scc_buf_free(&im.bytes);
}


/* Valid batches that do not belong where they are. */

static void
test_misplaced(void **state)
{
    size_t         i, len;
    uint8_t       *p, block[SCC_JOURNAL_BLOCK];
    uint32_t       chain;
    unsigned       round;
    scc_buf_t      b;
    test_read_t    rd;
    scc_chain_t    c;
    scc_segment_t  s;
    test_image_t   im;

    (void) state;

    scc_buf_heap(&b, 0);

    for (round = 0; round < 6; round++) {
        test_typical(&im);

        switch (round) {

        case 0:
            /* another segment's, with the right number */
            scc_test_segment(&s, 6);
            chain = scc_segment_write(block, &s);
            scc_chain_begin(&c, &s, chain);
            c.next = im.chain.next;
            break;

        case 1:
            /* this segment's, but after another history */
            c = im.chain;
            c.chain ^= 1;
            break;

        case 2:
            /* one is missing */
            c = im.chain;
            c.next++;
            break;

        case 3:
        case 4:
            /* the one before once more; then with a hole */
            c = im.chain;
            c.next--;
            break;

        default:
            /* not on a block's beginning: no batch at all */
            c = im.chain;
            break;
        }

        scc_test_batch(&b, &c, im.n, 3, 200);

        if (round == 4) {
            memset(b.start + 512, 0, 512);
        }

        if (round == 5) {
            memmove(b.start + 8, b.start, b.used - 8);
            memset(b.start, 'x', 8);
        }

        scc_buf_str(&im.bytes, scc_buf_get(&b));
        test_zeros(&im, SCC_JOURNAL_BLOCK);

        test_read_cut(&rd, &im, im.bytes.used);
        assert_int_equal(rd.end, SCC_END_CORRUPT);
        assert_int_equal(rd.scanned, im.n);
        assert_int_equal(rd.pos, im.at[im.n_batches]);

        for (i = 0; i < 3 && round != 4; i++) {
            assert_true(rd.found[im.n + i]);
        }

        assert_int_equal(rd.whole, round == 1 || round == 2);

        scc_buf_free(&im.bytes);
    }

    /* a seal that counts other records, its crcs true */

    test_typical(&im);
    im.chain.records++;
    test_seal(&im);
    test_read_cut(&rd, &im, im.bytes.used);
    assert_int_equal(rd.end, SCC_END_CORRUPT);
    assert_int_equal(rd.scanned, im.n);
    scc_buf_free(&im.bytes);

    /* a header that counts other records */

    test_typical(&im);
    c = im.chain;
    scc_test_batch(&b, &c, im.n, 3, 200);
    p = b.start;
    p[24]++;
    chain = im.chain.chain;
    memcpy(block, &chain, 4);
    chain = scc_crc32c(scc_crc32c(0, block, 4), p, 52);
    memcpy(p + 52, &chain, 4);
    chain = scc_crc32c(0, p, 56);
    memcpy(p + 56, &chain, 4);
    scc_buf_str(&im.bytes, scc_buf_get(&b));

    len = im.bytes.used;
    test_read_cut(&rd, &im, len);
    assert_int_equal(rd.end, SCC_END_CORRUPT);
    assert_int_equal(rd.scanned, im.n);

    for (i = 0; i < 3; i++) {
        assert_true(rd.found[im.n + i]);
    }

    scc_buf_free(&im.bytes);
    scc_buf_free(&b);
}


/* Where one is sure that more was acknowledged, a torn tail can be searched
   too. */

static void
test_salvage_torn(void **state)
{
    size_t        i;
    test_read_t   rd;
    test_image_t  im;

    (void) state;

    test_typical(&im);
    test_add(&im, 10, 1000);

    /* its last block is lost: its first records are whole */

    test_read_cut(&rd, &im, im.bytes.used - SCC_JOURNAL_BLOCK);
    assert_int_equal(rd.end, SCC_END_TORN);
    assert_int_equal(rd.scanned, im.upto[5]);

    for (i = im.upto[5]; i < im.n; i++) {
        assert_int_equal(rd.found[i], i < im.n - 3);
    }

    scc_buf_free(&im.bytes);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_flip_open),
        cmocka_unit_test(test_flip_sealed),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_misplaced),
        cmocka_unit_test(test_salvage_torn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
