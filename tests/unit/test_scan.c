
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test_scan.h"


#define TEST_SECTOR  512


/* Headers alone, one after the other. */

static void
test_peek(void **state)
{
    size_t             at, size;
    uint8_t            header[SCC_JOURNAL_BATCH];
    uint32_t           chain;
    unsigned           i, n;
    uint64_t           last;
    test_image_t       im;
    scc_segment_t      s;
    scc_scan_batch_t   batch;

    (void) state;

    test_typical(&im);
    test_seal(&im);
    assert_int_equal(scc_segment_read(im.bytes.start, &s, &chain), SCC_OK);

    at = SCC_JOURNAL_BLOCK;
    n = 0;
    last = 0;

    for (i = 0; i < im.n_batches; i++) {
        assert_int_equal(at, im.at[i]);
        memcpy(header, im.bytes.start + at, sizeof(header));

        assert_int_equal(scc_scan_peek(&s, header, &batch, &size), SCC_OK);
        assert_int_equal(batch.number, i);
        assert_true(batch.n != 0 && batch.first_hlc <= batch.last_hlc);
        assert_null(batch.records.data);

        last = batch.last_hlc > last ? batch.last_hlc : last;
        n += batch.n;
        at += size;
    }

    assert_int_equal(n, im.n);

    /* the seal, which is the last block */

    assert_int_equal(at, im.bytes.used - SCC_JOURNAL_BLOCK);
    memcpy(header, im.bytes.start + at, sizeof(header));
    assert_int_equal(scc_scan_peek(&s, header, &batch, &size), SCC_OK);
    assert_int_equal(batch.n, 0);
    assert_int_equal(batch.last_hlc, last);
    assert_int_equal(size, SCC_JOURNAL_BLOCK);

    /* not of this segment, and with any bit wrong */

    for (i = 0; i < 8 * sizeof(header); i++) {
        header[i / 8] ^= (uint8_t) (1 << i % 8);
        assert_int_equal(scc_scan_peek(&s, header, &batch, &size),
                         SCC_DECLINED);
        header[i / 8] ^= (uint8_t) (1 << i % 8);
    }

    s.segment[0] ^= 1;
    assert_int_equal(scc_scan_peek(&s, header, &batch, &size), SCC_DECLINED);

    scc_buf_free(&im.bytes);
}


static void
test_ends(void **state)
{
    size_t        len;
    unsigned      i;
    test_read_t   rd;
    test_image_t  im;

    (void) state;

    test_typical(&im);

    /* at each boundary, and with a preallocated rest of any length */

    for (i = 0; i <= im.n_batches; i++) {
        test_read_cut(&rd, &im, im.at[i]);
        assert_int_equal(rd.begin, SCC_OK);
        assert_int_equal(rd.end, SCC_END_CLEAN);
        assert_int_equal(rd.pos, im.at[i]);
        assert_int_equal(rd.scanned, i ? im.upto[i - 1] : 0);
    }

    len = im.bytes.used;
    test_zeros(&im, 3 * SCC_JOURNAL_BLOCK);

    for ( ; len <= im.bytes.used; len += 37) {
        test_read_cut(&rd, &im, len);
        assert_int_equal(rd.end, SCC_END_CLEAN);
        assert_int_equal(rd.pos, im.at[im.n_batches]);
        assert_int_equal(rd.scanned, im.n);
    }

    scc_buf_free(&im.bytes);

    /* sealed; what follows a seal may only be zeros */

    test_typical(&im);
    test_seal(&im);
    len = im.bytes.used;
    test_zeros(&im, 2 * SCC_JOURNAL_BLOCK);

    for ( ; len <= im.bytes.used; len += 99) {
        test_read_cut(&rd, &im, len);
        assert_int_equal(rd.end, SCC_END_SEALED);
        assert_int_equal(rd.scanned, im.n);
    }

    for (len = 0; len < 2 * SCC_JOURNAL_BLOCK; len += 97) {
        im.bytes.start[im.bytes.used - 1 - len] = 1;
        test_read_cut(&rd, &im, im.bytes.used);
        assert_int_equal(rd.end, SCC_END_CORRUPT);
        assert_int_equal(rd.scanned, im.n);
        im.bytes.start[im.bytes.used - 1 - len] = 0;
    }

    scc_buf_free(&im.bytes);

    /* an empty segment can be sealed */

    test_begin(&im);
    test_seal(&im);
    test_read_cut(&rd, &im, im.bytes.used);
    assert_int_equal(rd.end, SCC_END_SEALED);
    assert_int_equal(rd.scanned, 0);
    scc_buf_free(&im.bytes);
}


/* Files that are no segment. */

static void
test_no_segment(void **state)
{
    size_t        len;
    uint8_t       junk[3 * SCC_JOURNAL_BLOCK];
    test_read_t   rd;
    test_image_t  im;

    (void) state;

    test_read(&rd, NULL, 0);
    assert_int_equal(rd.begin, SCC_DECLINED);
    assert_int_equal(rd.end, SCC_END_CLEAN);

    memset(junk, 0, sizeof(junk));

    for (len = 1; len < sizeof(junk); len += 61) {
        test_read(&rd, junk, len);
        assert_int_equal(rd.begin, SCC_DECLINED);
        assert_int_equal(rd.end, SCC_END_CLEAN);
    }

    memset(junk, 0xff, sizeof(junk));

    for (len = 1; len < sizeof(junk); len += 61) {
        test_read(&rd, junk, len);
        assert_int_equal(rd.begin, SCC_DECLINED);
        assert_int_equal(rd.end, len <= SCC_JOURNAL_BLOCK ? SCC_END_TORN
                                                          : SCC_END_CORRUPT);
    }

    /* block 0 half written, nothing behind it */

    test_begin(&im);

    for (len = 1; len < SCC_JOURNAL_BLOCK; len += 3) {
        test_read_cut(&rd, &im, len);
        assert_int_equal(rd.begin, SCC_DECLINED);
        assert_int_equal(rd.end, SCC_END_TORN);
    }

    scc_buf_free(&im.bytes);

    /* block 0 lost, everything behind it found */

    test_typical(&im);
    test_zeros(&im, SCC_JOURNAL_BLOCK);
    memset(im.bytes.start, 0, SCC_JOURNAL_BLOCK);
    test_read_cut(&rd, &im, im.bytes.used);
    assert_int_equal(rd.begin, SCC_DECLINED);
    assert_int_equal(rd.end, SCC_END_CORRUPT);

    for (len = 0; len < im.n; len++) {
        assert_true(rd.found[len]);
    }

    assert_int_equal(rd.whole, 4);
    scc_buf_free(&im.bytes);
}


/*
 * The last batch cut at every byte, by the file's end and by zeros in a
 * preallocated file.
 */

static void
test_torn_everywhere(void **state)
{
    size_t        cut, at, end, used, line;
    unsigned      earlier, last;
    test_read_t   rd;
    test_image_t  im, full;

    (void) state;

    for (last = 0; last < 3; last++) {
        test_typical(&im);
        test_typical(&full);

        if (last < 2) {
            test_add(&im, last ? 7 : 1, last ? 800 : 60);
            test_add(&full, last ? 7 : 1, last ? 800 : 60);

        } else {
            test_seal(&im);
            test_seal(&full);
        }

        at = im.at[6];
        end = im.bytes.used;
        used = last < 2 ? im.len[6] : 128;
        earlier = im.upto[5];

        test_zeros(&im, SCC_JOURNAL_BLOCK);
        test_zeros(&full, SCC_JOURNAL_BLOCK);

        for (cut = end - 1; cut >= at; cut--) {
            test_read_cut(&rd, &im, cut);
            assert_int_equal(rd.begin, SCC_OK);
            assert_int_equal(rd.scanned, earlier);
            assert_int_equal(rd.pos, at);
            assert_int_equal(rd.end, cut > at ? SCC_END_TORN
                                              : SCC_END_CLEAN);

            im.bytes.start[cut] = 0;
            test_read(&rd, im.bytes.start, im.bytes.used);
            assert_int_equal(rd.begin, SCC_OK);

            if (memcmp(im.bytes.start, full.bytes.start, end) == 0) {
                assert_int_equal(rd.scanned, im.n);
                assert_int_equal(rd.end, last < 2 ? SCC_END_CLEAN
                                                  : SCC_END_SEALED);
                continue;
            }

            assert_int_equal(rd.scanned, earlier);
            assert_int_equal(rd.pos, at);

            /* no disk cuts within a line: the last may be taken for damage,
               in a seal also the only one, whose end is zeros */

            line = (used - 1) / 64 * 64;

            if (cut == at) {
                assert_int_equal(rd.end, SCC_END_CLEAN);

            } else if (cut - at <= line) {
                assert_int_equal(rd.end, SCC_END_TORN);

            } else {
                assert_true(rd.end == SCC_END_TORN
                            || rd.end == SCC_END_CORRUPT);
            }
        }

        scc_buf_free(&im.bytes);
        scc_buf_free(&full.bytes);
    }
}


/* The sectors of the last write reach the disk in any order, or do not. */

static void
test_torn_sectors(void **state)
{
    size_t        at, i, sectors;
    uint64_t      seed, mask;
    unsigned      round, torn;
    test_read_t   rd;
    test_image_t  im, full;

    static const uint8_t  zeros[32 * TEST_SECTOR];

    (void) state;

    test_typical(&im);
    test_add(&im, 11, 1000);
    test_zeros(&im, 2 * SCC_JOURNAL_BLOCK);
    test_typical(&full);
    test_add(&full, 11, 1000);
    test_zeros(&full, 2 * SCC_JOURNAL_BLOCK);

    at = im.at[6];
    sectors = (im.at[7] - at) / TEST_SECTOR;
    assert_int_equal(sectors, 24 + 8);

    seed = 1;
    torn = 0;

    for (round = 0; round < 5000; round++) {

        /* each alone missing, each alone there, then any */

        mask = round < sectors ? ~(1ULL << round)
               : round < 2 * sectors ? 1ULL << (round - sectors)
               : scc_test_random(&seed);

        for (i = 0; i < sectors; i++) {
            if (mask & 1ULL << i) {
                memcpy(im.bytes.start + at + i * TEST_SECTOR,
                       full.bytes.start + at + i * TEST_SECTOR, TEST_SECTOR);

            } else {
                memset(im.bytes.start + at + i * TEST_SECTOR, 0,
                       TEST_SECTOR);
            }
        }

        test_read(&rd, im.bytes.start, im.bytes.used);
        assert_int_equal(rd.begin, SCC_OK);

        if (memcmp(im.bytes.start, full.bytes.start, im.bytes.used) == 0) {
            assert_int_equal(rd.end, SCC_END_CLEAN);
            assert_int_equal(rd.scanned, im.n);
            continue;
        }

        /* where only padding arrived, it is as if nothing had */

        assert_int_equal(rd.end, memcmp(im.bytes.start + at, zeros,
                                        sizeof(zeros)) == 0
                                 ? SCC_END_CLEAN : SCC_END_TORN);
        assert_int_equal(rd.pos, at);
        assert_int_equal(rd.scanned, im.upto[5]);
        torn += rd.end == SCC_END_TORN;
    }

    assert_true(torn > 4000);

    scc_buf_free(&im.bytes);
    scc_buf_free(&full.bytes);
}


/* A torn batch has nothing behind it, be it no batch either. */

static void
test_behind(void **state)
{
    size_t        i;
    test_read_t   rd;
    test_image_t  im;

    (void) state;

    test_typical(&im);
    test_add(&im, 6, 1000);
    memset(im.bytes.start + im.at[6] + 2048, 0, TEST_SECTOR);
    test_zeros(&im, 2 * SCC_JOURNAL_BLOCK);

    test_read_cut(&rd, &im, im.bytes.used);
    assert_int_equal(rd.end, SCC_END_TORN);

    for (i = im.at[7]; i < im.bytes.used; i += 333) {
        im.bytes.start[i] = 'x';
        test_read_cut(&rd, &im, im.bytes.used);
        assert_int_equal(rd.end, SCC_END_CORRUPT);
        assert_int_equal(rd.scanned, im.upto[5]);
        im.bytes.start[i] = 0;
    }

    scc_buf_free(&im.bytes);
}


/*
 * The last batch lost its first block, or a block within; a later block of
 * the file holds what looks like a header.  Only one of this segment with a
 * higher number, true to its crc, on a block's beginning, is one.
 */

static void
test_look_ahead(void **state)
{
    size_t        where;
    uint8_t      *p;
    uint32_t      crc;
    unsigned      round, lost;
    scc_buf_t     later;
    test_read_t   rd;
    scc_chain_t   c;
    test_image_t  im;

    static const struct {
        const char         *what;
        scc_segment_end_t   end;
    } cases[] = {
        { "nothing", SCC_END_TORN },
        { "a later header", SCC_END_CORRUPT },
        { "its crc is wrong", SCC_END_TORN },
        { "another salt", SCC_END_TORN },
        { "the same number", SCC_END_TORN },
        { "a lower number", SCC_END_TORN },
        { "not on a block's beginning", SCC_END_TORN },
        { "another magic", SCC_END_TORN },
    };

    (void) state;

    scc_buf_heap(&later, 0);

    for (lost = 0; lost < 2; lost++) {
        for (round = 0; round < scc_test_items(cases); round++) {
            test_typical(&im);
            test_add(&im, 12, 1000);
            p = im.bytes.start + im.at[6];

            /* a later header, in the middle of the batch's own bytes */

            c = im.chain;
            c.next = round == 4 ? 6 : round == 5 ? 0 : 7;
            c.salt[7] ^= (uint8_t) (round == 3);

            scc_test_batch(&later, &c, im.n, 1, 40);
            later.start[0] ^= (uint8_t) (round == 7);
            crc = scc_crc32c(0, later.start, 56);
            memcpy(later.start + 56, &crc, 4);
            later.start[56] ^= (uint8_t) (round == 2);

            where = 2 * SCC_JOURNAL_BLOCK + (round == 6 ? 64 : 0);

            if (round) {
                memcpy(p + where, later.start, 64);
            }

            memset(p + (lost ? SCC_JOURNAL_BLOCK : 0), 0,
                   SCC_JOURNAL_BLOCK);
            test_zeros(&im, SCC_JOURNAL_BLOCK);

            test_read_cut(&rd, &im, im.bytes.used);

            if (rd.end != cases[round].end) {
                print_message("%s, block %u lost\n", cases[round].what,
                              lost);
            }

            assert_int_equal(rd.end, cases[round].end);
            assert_int_equal(rd.scanned, im.upto[5]);
            assert_int_equal(rd.pos, im.at[6]);
            scc_buf_free(&im.bytes);
        }
    }

    scc_buf_free(&later);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_peek),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_no_segment),
        cmocka_unit_test(test_torn_everywhere),
        cmocka_unit_test(test_torn_sectors),
        cmocka_unit_test(test_behind),
        cmocka_unit_test(test_look_ahead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
