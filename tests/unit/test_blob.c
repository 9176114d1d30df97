
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_blob.h"


#define TEST_PLACES  40


typedef struct {
    char                id[SCC_ID_MAX + 1];
    scc_place_t         place;
} test_place_t;


static void
test_random_places(uint64_t *seed, test_place_t *tp, size_t n)
{
    size_t        i, j, len;
    scc_place_t  *p;

    static const scc_str_t  names[] = {
        scc_null_string, scc_string("CAFE"), scc_string("병원"),
        scc_string("A"), scc_string("CAFETERIA")
    };

    for (i = 0; i < n; i++) {
        p = &tp[i].place;
        memset(p, 0, sizeof(scc_place_t));

        /* ascending by the leading letters, of all lengths */

        tp[i].id[0] = (char) ('A' + i / 26);
        tp[i].id[1] = (char) ('a' + i % 26);
        len = (size_t) scc_test_range(seed, 2, SCC_ID_MAX);

        for (j = 2; j < len; j++) {
            tp[i].id[j] = (char) scc_test_range(seed, ' ', '~');
        }

        p->id = scc_test_str(tp[i].id, len);
        p->name = scc_test_str(tp[i].id, (size_t) scc_test_range(seed, 0,
                               (int64_t) len));
        p->category = names[scc_test_range(seed, 0, 4)];
        p->address = names[scc_test_range(seed, 0, 4)];
        p->lon = (int32_t) scc_test_range(seed, -SCC_LON_MAX, SCC_LON_MAX);
        p->lat = (int32_t) scc_test_range(seed, -SCC_LAT_MAX, SCC_LAT_MAX);
        p->registered = scc_test_range(seed, 0, 1);
        p->first_floor = (scc_tri_t) scc_test_range(seed, -1, 1);
        p->stair = (scc_stair_t) scc_test_range(seed, 0, 4);
        p->slope = (scc_tri_t) scc_test_range(seed, -1, 1);
    }
}


static void
test_build(scc_blob_builder_t *bb, const test_place_t *tp, size_t n,
    uint64_t ver, scc_buf_t *out)
{
    size_t  i;

    scc_blob_begin(bb);
    scc_buf_reset(out);

    for (i = 0; i < n; i++) {
        assert_int_equal(scc_blob_add(bb, &tp[i].place), SCC_OK);
    }

    assert_int_equal(scc_blob_finish(bb, ver, out), SCC_OK);
}


static void
test_round_trip(void **state)
{
    int                 round;
    size_t              i, n;
    uint64_t            seed;
    scc_buf_t           out, all, one;
    test_place_t        tp[TEST_PLACES];
    scc_blob_t          blob;
    scc_blob_entry_t    e;
    scc_blob_builder_t  bb;

    (void) state;

    seed = 2;
    scc_blob_builder_init(&bb);
    scc_buf_heap(&out, 0);
    scc_buf_heap(&all, 0);
    scc_buf_heap(&one, 0);

    for (round = 0; round < 300; round++) {
        n = (size_t) scc_test_range(&seed, 0, TEST_PLACES);
        test_random_places(&seed, tp, n);
        test_build(&bb, tp, n, 77 + (uint64_t) round, &out);

        assert_int_equal(scc_blob_open(scc_buf_get(&out), &blob), SCC_OK);
        assert_int_equal(blob.state, SCC_BLOB_VAL);
        assert_true(blob.body);
        assert_int_equal(blob.ver, 77 + round);
        assert_int_equal(blob.lease, 0);
        assert_int_equal(blob.lease_end, 0);
        assert_int_equal(blob.n, n);

        scc_buf_reset(&all);

        for (i = 0; i < n; i++) {
            scc_blob_entry(&blob, (uint32_t) i, &e);

            scc_buf_reset(&one);
            scc_place_feature(&one, &tp[i].place);
            scc_buf_text(&all, i ? "," : "");
            scc_buf_str(&all, scc_buf_get(&one));

            assert_true(scc_str_eq(e.id, tp[i].place.id));
            assert_true(scc_str_eq(e.frag, scc_buf_get(&one)));
            assert_int_equal(e.lon, tp[i].place.lon);
            assert_int_equal(e.lat, tp[i].place.lat);
            assert_int_equal(e.flags, scc_place_flags(&tp[i].place));

            if (tp[i].place.category.len) {
                assert_int_not_equal(e.cat, SCC_BLOB_NO_CAT);
                assert_int_equal(e.cat, scc_blob_cat(&blob,
                                                     tp[i].place.category));
            } else {
                assert_int_equal(e.cat, SCC_BLOB_NO_CAT);
            }

            assert_int_equal(scc_blob_after(&blob, e.id), i + 1);

            /* a beginning of it that no other has sorts just before it */

            if (e.id.len > 2) {
                e.id.len--;
                assert_int_equal(scc_blob_after(&blob, e.id), i);
            }
        }

        assert_true(scc_str_eq(blob.frags, scc_buf_get(&all)));
        assert_int_equal(scc_blob_after(&blob, S("\x01")), 0);
        assert_int_equal(scc_blob_after(&blob, S("\xff")), n);
        assert_int_equal(scc_blob_cat(&blob, S("nothing")), SCC_BLOB_NO_CAT);
        assert_int_equal(scc_blob_cat(&blob, S("")), SCC_BLOB_NO_CAT);
    }

    /* finish() appends */

    scc_buf_reset(&out);
    scc_buf_text(&out, "before");
    assert_int_equal(scc_blob_finish(&bb, 1, &out), SCC_OK);
    assert_int_equal(scc_blob_open(scc_test_str((char *) out.start + 6,
                                                out.used - 6), &blob),
                     SCC_OK);

    scc_blob_builder_free(&bb);
    scc_buf_free(&out);
    scc_buf_free(&all);
    scc_buf_free(&one);
}


static void
test_refused(void **state)
{
    char                text[SCC_ID_MAX + 2];
    uint8_t             block[16];
    scc_buf_t           out;
    scc_place_t         p;
    scc_blob_builder_t  bb;

    (void) state;

    memset(text, 'x', sizeof(text));
    memset(&p, 0, sizeof(scc_place_t));

    scc_blob_builder_init(&bb);
    scc_blob_begin(&bb);

    assert_int_equal(scc_blob_add(&bb, &p), SCC_DECLINED);

    p.id = scc_test_str(text, SCC_ID_MAX + 1);
    assert_int_equal(scc_blob_add(&bb, &p), SCC_DECLINED);

    p.id = S("b");
    p.category = scc_test_str(text, SCC_CATEGORY_MAX + 1);
    assert_int_equal(scc_blob_add(&bb, &p), SCC_DECLINED);

    p.category.len = SCC_CATEGORY_MAX;
    p.lon = SCC_LON_MAX + 1;
    assert_int_equal(scc_blob_add(&bb, &p), SCC_DECLINED);

    p.lon = SCC_LON_MAX;
    p.lat = -SCC_LAT_MAX - 1;
    assert_int_equal(scc_blob_add(&bb, &p), SCC_DECLINED);

    p.lat = -SCC_LAT_MAX;
    assert_int_equal(scc_blob_add(&bb, &p), SCC_OK);
    assert_int_equal(scc_blob_add(&bb, &p), SCC_DECLINED);

    p.id = S("a~");
    assert_int_equal(scc_blob_add(&bb, &p), SCC_DECLINED);

    p.id = S("b\x80");
    assert_int_equal(scc_blob_add(&bb, &p), SCC_OK);

    scc_buf_fixed(&out, block, sizeof(block));
    assert_int_equal(scc_blob_finish(&bb, 1, &out), SCC_ERROR);

    scc_blob_builder_free(&bb);
}


static bool
test_same(const scc_blob_t *a, const scc_blob_t *b)
{
    return a->n == b->n && a->n_cat == b->n_cat
           && scc_str_eq(a->frags, b->frags)
           && memcmp(a->index, b->index, (size_t) a->n * SCC_BLOB_ENTRY)
              == 0;
}


/* One damaged bit anywhere: declined, or only the header's state differs. */

static void
test_damage(void **state)
{
    size_t              i, size;
    uint8_t            *copy;
    uint64_t            seed;
    unsigned            bit;
    scc_rc_t            rc;
    scc_buf_t           out;
    test_place_t        tp[TEST_PLACES];
    scc_blob_t          blob, flipped;
    scc_blob_builder_t  bb;

    (void) state;

    seed = 4;
    scc_blob_builder_init(&bb);
    scc_buf_heap(&out, 0);

    test_random_places(&seed, tp, 5);
    test_build(&bb, tp, 5, 9, &out);
    assert_int_equal(scc_blob_open(scc_buf_get(&out), &blob), SCC_OK);

    size = out.used;

    /* blocks of just that size, so that a sanitizer sees a read too far */

    copy = test_malloc(size);

    for (i = 0; i < size; i++) {
        for (bit = 0; bit < 9; bit++) {
            memcpy(copy, out.start, size);
            copy[i] ^= (uint8_t) (bit < 8 ? 1u << bit : 0xff);

            rc = scc_blob_open(scc_test_str((char *) copy, size), &flipped);

            if (i < 5 || i == 7 || i >= 40) {
                assert_int_equal(rc, SCC_DECLINED);

            } else if (rc == SCC_OK) {
                assert_true(test_same(&blob, &flipped));

            } else {
                assert_in_range(i, 5, 6);
            }
        }
    }

    test_free(copy);

    for (i = 0; i < size; i++) {
        copy = test_malloc(i + 1);
        memcpy(copy, out.start, i);
        assert_int_equal(scc_blob_open(scc_test_str((char *) copy, i),
                                       &flipped), SCC_DECLINED);
        test_free(copy);
    }

    scc_buf_byte(&out, ' ');
    assert_int_equal(scc_blob_open(scc_buf_get(&out), &flipped),
                     SCC_DECLINED);

    scc_blob_builder_free(&bb);
    scc_buf_free(&out);
}


static void
test_put(uint8_t *p, uint32_t v, size_t n)
{
    for ( ; n; n--, v >>= 8) {
        *p++ = (uint8_t) v;
    }
}


/* Lies with a true checksum. */

static void
test_forged(void **state)
{
    size_t              i, size, at;
    uint8_t            *p, zero[4] = { 0 };
    uint32_t            crc;
    scc_buf_t           out;
    scc_blob_t          blob;
    scc_place_t         place;
    scc_blob_builder_t  bb;

    /* two places, "a" (category C) and "b" (none) */

    enum { A = SCC_BLOB_HEADER, B = A + SCC_BLOB_ENTRY,
           CATS = B + SCC_BLOB_ENTRY, IDS = CATS + 2, FRAGS = IDS + 2 };

    static const struct {
        size_t    at;
        uint32_t  value;
        size_t    n;
        size_t    at2;
        uint32_t  value2;
        size_t    n2;
    } lies[] = {
        { 40, 1, 4, 0, 0, 0 },
        { 40, 3, 4, 0, 0, 0 },
        { 40, 0, 4, 0, 0, 0 },
        { 40, 0xffffffff, 4, 0, 0, 0 },
        { 44, 0, 4, 0, 0, 0 },
        { 44, 2, 4, 0, 0, 0 },
        { 44, 0xffffffff, 4, 0, 0, 0 },
        { 48, 1, 4, 0, 0, 0 },
        { 48, 0xffffffff, 4, 0, 0, 0 },
        { 52, 1, 4, 0, 0, 0 },
        { 52, 3, 4, 0, 0, 0 },
        { 56, 0, 4, 0, 0, 0 },
        { 56, 0xffffffff, 4, 0, 0, 0 },
        { A + 8, 1, 4, 0, 0, 0 },
        { A + 8, 0xffffffff, 4, 0, 0, 0 },
        { A + 12, 0, 4, 0, 0, 0 },
        { A + 12, 1, 4, 0, 0, 0 },
        { A + 12, 0xffffffff, 4, 0, 0, 0 },
        { A + 16, 1, 4, 0, 0, 0 },
        { A + 20, 0, 2, 0, 0, 0 },
        { A + 20, 2, 2, 0, 0, 0 },
        { A + 20, 0xffff, 2, 0, 0, 0 },
        { A + 22, 1, 2, 0, 0, 0 },
        { A + 26, 1, 2, 0, 0, 0 },
        { B + 8, 0, 4, 0, 0, 0 },
        { B + 12, 1, 4, 0, 0, 0 },
        { B + 12, 0xffffffff, 4, 0, 0, 0 },
        { B + 16, 0, 4, 0, 0, 0 },
        { B + 16, 2, 4, 0, 0, 0 },
        { B + 16, 0xffffffff, 4, 0, 0, 0 },
        { B + 20, 0, 2, 0, 0, 0 },
        { B + 20, 2, 2, 0, 0, 0 },
        { B + 22, 7, 2, 0, 0, 0 },
        { CATS, 0, 1, 0, 0, 0 },
        { CATS, 2, 1, 0, 0, 0 },
        { CATS, 255, 1, 0, 0, 0 },
        { IDS, 'b', 1, 0, 0, 0 },
        { IDS, 'c', 1, 0, 0, 0 },

        /* no category, but bytes of one */
        { A + 22, 0xffff, 2, 44, 0, 4 },
    };

    (void) state;

    memset(&place, 0, sizeof(scc_place_t));
    scc_blob_builder_init(&bb);
    scc_buf_heap(&out, 0);

    for (i = 0; i <= scc_test_items(lies) + 1; i++) {
        scc_blob_begin(&bb);
        scc_buf_reset(&out);

        place.id = S("a");
        place.category = S("C");
        assert_int_equal(scc_blob_add(&bb, &place), SCC_OK);
        at = FRAGS + bb.frags.used;

        place.id = S("b");
        place.category.len = 0;
        assert_int_equal(scc_blob_add(&bb, &place), SCC_OK);
        assert_int_equal(scc_blob_finish(&bb, 9, &out), SCC_OK);

        p = out.start;
        size = out.used;

        if (i < scc_test_items(lies)) {
            test_put(p + lies[i].at, lies[i].value, lies[i].n);
            test_put(p + lies[i].at2, lies[i].value2, lies[i].n2);

        } else if (i == scc_test_items(lies)) {
            assert_int_equal(p[at], ',');
            p[at] = ';';
        }

        crc = scc_crc32c(0, p + 40, 20);
        crc = scc_crc32c(crc, zero, 4);
        crc = scc_crc32c(crc, p + 64, size - 64);
        test_put(p + 60, crc, 4);

        if (scc_blob_open(scc_buf_get(&out), &blob)
            != (i <= scc_test_items(lies) ? SCC_DECLINED : SCC_OK))
        {
            fail_msg("lie %zu", i);
        }
    }

    scc_blob_builder_free(&bb);
    scc_buf_free(&out);
}


static void
test_bare_header(void **state)
{
    uint8_t     h[SCC_BLOB_HEADER + 1];
    scc_str_t   bytes;
    scc_blob_t  blob;

    (void) state;

    memset(h, 0xee, sizeof(h));
    scc_blob_blank(h);
    bytes = scc_test_str((char *) h, SCC_BLOB_HEADER);

    assert_int_equal(scc_blob_open(bytes, &blob), SCC_OK);
    assert_int_equal(blob.state, SCC_BLOB_LEASE);
    assert_false(blob.body);
    assert_int_equal(blob.n, 0);
    assert_int_equal(blob.frags.len, 0);
    assert_int_equal(scc_blob_after(&blob, S("a")), 0);

    h[16] = 5;
    h[24] = 6;
    h[32] = 7;
    assert_int_equal(scc_blob_open(bytes, &blob), SCC_OK);
    assert_int_equal(blob.floor, 5);
    assert_int_equal(blob.lease, 6);
    assert_int_equal(blob.lease_end, 7);

    h[5] = SCC_BLOB_STALE;
    assert_int_equal(scc_blob_open(bytes, &blob), SCC_OK);

    h[5] = SCC_BLOB_VAL;
    assert_int_equal(scc_blob_open(bytes, &blob), SCC_DECLINED);

    h[5] = SCC_BLOB_LEASE;
    bytes.len++;
    assert_int_equal(scc_blob_open(bytes, &blob), SCC_DECLINED);

    bytes.len = 0;
    bytes.data = NULL;
    assert_int_equal(scc_blob_open(bytes, &blob), SCC_DECLINED);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_bare_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
