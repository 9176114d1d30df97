
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_query.h"


#define BBOX  "bbox=126.9,37.5,127.1,37.6"


static const scc_query_conf_t  test_conf = { 500, 2000, 256 };


static scc_rc_t
test_args(const char *path, scc_str_t args, scc_query_t *q, scc_err_t *err)
{
    memset(q, 0xee, sizeof(scc_query_t));

    assert_int_equal(scc_query_path(q, &test_conf, scc_test_z(path), err),
                     SCC_OK);

    return scc_query_args(q, &test_conf, args, err);
}


static void
test_good(void **state)
{
    uint8_t      block[128];
    scc_buf_t    b;
    scc_err_t    err;
    scc_query_t  q;

    (void) state;

    assert_int_equal(test_args("places", S(BBOX), &q, &err), SCC_OK);
    assert_str(q.bbox, "126.9,37.5,127.1,37.6");
    assert_int_equal(q.area.n, 1);
    assert_int_equal(q.area.box[0].w, 1269000000);
    assert_int_equal(q.limit, 500);
    assert_false(q.filter.any);
    assert_false(q.cursor.set);

    scc_buf_fixed(&b, block, sizeof(block));
    scc_buf_text(&b, "has_slope=false&level_max=2&registered=true"
                 "&b%62ox=1%2C2%2c3,4&limit=7&category=%EC%B9%B4+%2B&cursor=");
    scc_cursor_write(&b, 3662373667u, S("a/b"));
    assert_false(b.error);

    assert_int_equal(test_args("places", scc_buf_get(&b), &q, &err), SCC_OK);
    assert_str(q.bbox, "1,2,3,4");
    assert_int_equal(q.limit, 7);
    assert_true(q.filter.any);
    assert_int_equal(q.filter.level_max, 2);
    assert_int_equal(q.filter.registered, SCC_YES);
    assert_int_equal(q.filter.slope, SCC_NO);
    assert_str(q.filter.category, "카 +");
    assert_true(q.cursor.set);
    assert_int_equal(q.cursor.cell, 3662373667u);
    assert_str(q.cursor.id, "a/b");

    /* nothing of it points into the arguments */

    memset(block, 0, sizeof(block));
    assert_str(q.bbox, "1,2,3,4");
    assert_str(q.filter.category, "카 +");
    assert_str(q.cursor.id, "a/b");

    assert_int_equal(test_args("places", S(BBOX "&limit=2000"), &q, &err),
                     SCC_OK);
    assert_int_equal(q.limit, 2000);

    assert_int_equal(test_args("places", S(BBOX "&limit=2001"), &q, &err),
                     SCC_OK);
    assert_int_equal(q.limit, 2000);

    assert_int_equal(test_args("places", S(BBOX
                               "&limit=99999999999999999999999999999999999"),
                               &q, &err), SCC_OK);
    assert_int_equal(q.limit, 2000);

    assert_int_equal(test_args("places", S(BBOX "&registered=false"), &q,
                               &err), SCC_OK);
    assert_int_equal(q.filter.registered, SCC_NO);
    assert_true(q.filter.any);

    /* the longest there is */

    assert_int_equal(test_args("places",
        S("bbox="
          "0000000000000000000000000000000000000000000000000000000000000001,"
          "0000000000000000000000000000000000000000000000000000000000000002,"
          "0000000000000000000000000000000000000000000000000000000000000003,"
          "0000000000000000000000000000000000000000000000000000000000000004,"
          "0000000000000000000000000000000000000000000000000000000000000005,"
          "0000000000000000000000000000000000000000000000000000000000000006"
          "&category="
          "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"),
        &q, &err), SCC_OK);
    assert_int_equal(q.bbox.len, 6 * 65 - 1);
    assert_int_equal(q.area.box[0].e, 40000000);
    assert_int_equal(q.filter.category.len, 64);

    assert_int_equal(test_args("nearby", S("lat=37.5&lng=127"), &q, &err),
                     SCC_OK);
    assert_int_equal(q.lon, 1270000000);
    assert_int_equal(q.lat, 375000000);
    assert_int_equal(q.k, 20);
    assert_int_equal(q.radius, 1000);
    assert_false(q.filter.any);

    assert_int_equal(test_args("nearby", S("lng=-180&lat=-90&k=50"
                               "&radius=5000&registered=false&level_max=0"
                               "&has_slope=true&category=a"), &q, &err),
                     SCC_OK);
    assert_int_equal(q.lon, -1800000000);
    assert_int_equal(q.lat, -900000000);
    assert_int_equal(q.k, 50);
    assert_int_equal(q.radius, 5000);
    assert_int_equal(q.filter.registered, SCC_NO);
    assert_int_equal(q.filter.level_max, 0);
    assert_int_equal(q.filter.slope, SCC_YES);
    assert_str(q.filter.category, "a");

    assert_int_equal(test_args("nearby", S("lng=1.00000005&lat=-1e-7"), &q,
                               &err), SCC_OK);
    assert_int_equal(q.lon, 10000001);
    assert_int_equal(q.lat, -1);

    assert_int_equal(test_args("places/1", S(""), &q, &err), SCC_OK);
    assert_int_equal(test_args("tiles.json", S(""), &q, &err), SCC_OK);
    assert_int_equal(test_args("tiles/13/1/2.json", S(""), &q, &err),
                     SCC_OK);
    assert_int_equal(test_args("cells/16/1-2/3-4.json", S(""), &q, &err),
                     SCC_OK);
}


#define UNKNOWN  "unknown parameter; allowed: bbox, limit, cursor, "          \
                 "level_max, registered, has_slope, category"


#define NEARBY  "lng=127&lat=37.5"

#define POSITION  "is required: the position's lng and lat in degrees"


static void
test_bad_nearby(void **state)
{
    size_t       i;
    scc_err_t    err;
    scc_query_t  q;

    static const struct {
        scc_str_t    args;
        const char  *field;
        const char  *text;
    } bad[] = {
        { scc_null_string, "lng", POSITION },
        { scc_string("lat=1"), "lng", POSITION },
        { scc_string("lng=1&k=3"), "lat", POSITION },
        { scc_string("lng=180.1&lat=1"), "lng",
          "must be degrees, -180..180" },
        { scc_string("lng=-180.0000001&lat=1"), "lng",
          "must be degrees, -180..180" },
        { scc_string("lng=1,2&lat=1"), "lng", "must be degrees, -180..180" },
        { scc_string("lng=&lat=1"), "lng", "must be degrees, -180..180" },
        { scc_string("lng=nan&lat=1"), "lng", "must be degrees, -180..180" },
        { scc_string("lng=1&lat=90.0000001"), "lat",
          "must be degrees, -90..90" },
        { scc_string("lng=1&lat=-91"), "lat", "must be degrees, -90..90" },
        { scc_string("lng=1&lat=x"), "lat", "must be degrees, -90..90" },
        { scc_string(NEARBY "&lat=1"), "lat", "given twice; give it once" },
        { scc_string(NEARBY "&k=0"), "k", "must be a whole number, 1..50" },
        { scc_string(NEARBY "&k=51"), "k", "must be a whole number, 1..50" },
        { scc_string(NEARBY "&k=1.5"), "k", "must be a whole number, 1..50" },
        { scc_string(NEARBY "&radius=0"), "radius",
          "must be whole metres, 1..5000" },
        { scc_string(NEARBY "&radius=5001"), "radius",
          "must be whole metres, 1..5000" },
        { scc_string(NEARBY "&radius=99999999999999999999"), "radius",
          "must be whole metres, 1..5000" },
        { scc_string(NEARBY "&radius=-1"), "radius",
          "must be whole metres, 1..5000" },
        { scc_string(NEARBY "&level_max=6"), "level_max", "must be 0..5" },
        { scc_string(NEARBY "&registered=no"), "registered",
          "must be true or false" },
        { scc_string(NEARBY "&bbox=1,2,3,4"), "bbox",
          "unknown parameter; allowed: lng, lat, k, radius, level_max, "
          "registered, has_slope, category" },
        { scc_string(NEARBY "&limit=5"), "limit",
          "unknown parameter; allowed: lng, lat, k, radius, level_max, "
          "registered, has_slope, category" },
        { scc_string(NEARBY "&lon=5"), "lon",
          "unknown parameter; allowed: lng, lat, k, radius, level_max, "
          "registered, has_slope, category" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(bad); i++) {
        assert_int_equal(test_args("nearby", bad[i].args, &q, &err),
                         SCC_DECLINED);
        assert_str(err.field, bad[i].field);
        assert_string_equal(err.text, bad[i].text);
    }

    assert_int_equal(test_args("places", S(BBOX "&k=5"), &q, &err),
                     SCC_DECLINED);
    assert_string_equal(err.text, UNKNOWN);
}


static void
test_bad(void **state)
{
    size_t       i;
    scc_err_t    err;
    scc_query_t  q;

    static const struct {
        scc_str_t    args;
        const char  *field;
        const char  *text;
    } bad[] = {
        { scc_null_string, "bbox",
          "is required: west,south,east,north in degrees" },
        { scc_string("limit=5"), "bbox",
          "is required: west,south,east,north in degrees" },
        { scc_string(BBOX "&zoom=3"), "zoom", UNKNOWN },
        { scc_string("bbox2=1"), "bbox2", UNKNOWN },
        { scc_string("bbo=1"), "bbo", UNKNOWN },
        { scc_string("BBOX=1,2,3,4"), "BBOX", UNKNOWN },
        { scc_string("bbox%=1,2,3,4"), "bbox%", UNKNOWN },
        { scc_string("<\"=1"), "<\"", UNKNOWN },
        { scc_string(BBOX "&"), "", UNKNOWN },
        { scc_string("&" BBOX), "", UNKNOWN },
        { scc_string(BBOX "&&limit=1"), "", UNKNOWN },
        { scc_string("="), "", UNKNOWN },
        { scc_string("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
          UNKNOWN },
        { scc_string(BBOX "&" BBOX), "bbox", "given twice; give it once" },
        { scc_string(BBOX "&limit=1&l%69mit=1"), "limit",
          "given twice; give it once" },
        { scc_string("bbox"), "bbox",
          "must be four numbers in degrees: west,south,east,north" },
        { scc_string("bbox="), "bbox",
          "must be four numbers in degrees: west,south,east,north" },
        { scc_string("bbox=%"), "bbox",
          "must be four numbers in degrees: west,south,east,north" },
        { scc_string("bbox=1+,2,3,4"), "bbox",
          "must be four numbers in degrees: west,south,east,north" },
        { scc_string("bbox=1,3,3,2"), "bbox",
          "has its south beyond its north; "
          "the order is west,south,east,north" },
        { scc_string(BBOX "&limit=0"), "limit",
          "must be a whole number, 1 or more" },
        { scc_string(BBOX "&limit="), "limit",
          "must be a whole number, 1 or more" },
        { scc_string(BBOX "&limit=-1"), "limit",
          "must be a whole number, 1 or more" },
        { scc_string(BBOX "&limit=+1"), "limit",
          "must be a whole number, 1 or more" },
        { scc_string(BBOX "&limit=1.0"), "limit",
          "must be a whole number, 1 or more" },
        { scc_string(BBOX "&limit=1e2"), "limit",
          "must be a whole number, 1 or more" },
        { scc_string(BBOX "&limit=1=2"), "limit",
          "must be a whole number, 1 or more" },
        { scc_string(BBOX "&level_max=6"), "level_max", "must be 0..5" },
        { scc_string(BBOX "&level_max=-1"), "level_max", "must be 0..5" },
        { scc_string(BBOX "&level_max=05"), "level_max", "must be 0..5" },
        { scc_string(BBOX "&level_max"), "level_max", "must be 0..5" },
        { scc_string(BBOX "&registered=1"), "registered",
          "must be true or false" },
        { scc_string(BBOX "&registered=True"), "registered",
          "must be true or false" },
        { scc_string(BBOX "&has_slope=null"), "has_slope",
          "must be true or false" },
        { scc_string(BBOX "&category="), "category",
          "must be 1 to 64 bytes of UTF-8" },
        { scc_string(BBOX "&category=%ff"), "category",
          "must be 1 to 64 bytes of UTF-8" },
        { scc_string(BBOX "&category=a%00"), "category",
          "must be 1 to 64 bytes of UTF-8" },
        { scc_string(BBOX "&category=%2"), "category",
          "must be 1 to 64 bytes of UTF-8" },
        { scc_string(BBOX "&category=ccccccccccccccccccccccccccccccccccccccc"
                     "cccccccccccccccccccccccccc"), "category",
          "must be 1 to 64 bytes of UTF-8" },
        { scc_string(BBOX "&cursor="), "cursor", NULL },
        { scc_string(BBOX "&cursor=abc"), "cursor", NULL },
        { scc_string(BBOX "&cursor=AQAAAABh="), "cursor", NULL },
    };

    (void) state;

    for (i = 0; i < scc_test_items(bad); i++) {

        if (test_args("places", bad[i].args, &q, &err) != SCC_DECLINED) {
            fail_msg("taken: %.*s", (int) bad[i].args.len,
                     (const char *) bad[i].args.data);
        }

        assert_str(err.field, bad[i].field);
        assert_string_equal(err.text, bad[i].text ? bad[i].text
                            : "is not a cursor of this server; follow the "
                              "\"next\" link of a page");
    }

    assert_int_equal(test_args("places/1", S("rav=2"), &q, &err),
                     SCC_DECLINED);
    assert_str(err.field, "rav");
    assert_string_equal(err.text, "unknown parameter; allowed: rev");

    assert_int_equal(test_args("tiles.json", S("rev=2"), &q, &err),
                     SCC_DECLINED);
    assert_str(err.field, "rev");
    assert_string_equal(err.text,
                        "unknown parameter; this address takes none");

    assert_int_equal(test_args("cells/16/1-2/3-4.json", S(BBOX), &q, &err),
                     SCC_DECLINED);
    assert_str(err.field, "bbox");

    assert_int_equal(test_args("tiles.json", S("&"), &q, &err),
                     SCC_DECLINED);
    assert_str(err.field, "");
}


static void
test_rev(void **state)
{
    unsigned     i;
    scc_err_t    err;
    scc_query_t  q;

    static const struct {
        scc_str_t  args;
        uint64_t   rev;             /* 0: refused */
    } cases[] = {
        { scc_string(""), 0 },
        { scc_string("rev=1"), 1 },
        { scc_string("rev=42"), 42 },
        { scc_string("rev=007"), 7 },
        { scc_string("rev=9223372036854775807"), INT64_MAX },
        { scc_string("rev=99999999999999999999999"), INT64_MAX },
        { scc_string("rev=0"), 0 },
        { scc_string("rev="), 0 },
        { scc_string("rev"), 0 },
        { scc_string("rev=-1"), 0 },
        { scc_string("rev=1.0"), 0 },
        { scc_string("rev=1&rev=2"), 0 },
        { scc_string("rev=1&limit=1"), 0 },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(test_args("places/a%2Fb", cases[i].args, &q, &err),
                         cases[i].rev || i == 0 ? SCC_OK : SCC_DECLINED);

        if (cases[i].rev || i == 0) {
            assert_int_equal(q.rev, cases[i].rev);
        }
    }
}


static void
test_filter(void **state)
{
    int           i, r, level, reg, slope, has, max, want_reg, want_slope,
                  want_cat;
    bool          pass;
    uint16_t      flags;
    scc_filter_t  f;

    (void) state;

    /* levels 0..7, registered, slope unknown/yes/no, category */

    for (i = 0; i < 8 * 2 * 3 * 3 * 7 * 3 * 3 * 3; i++) {
        r = i;
        level = r % 8;
        r /= 8;
        reg = r % 2;
        r /= 2;
        slope = r % 3;
        r /= 3;
        has = r % 3;
        r /= 3;
        max = r % 7;
        r /= 7;
        want_reg = r % 3 - 1;
        r /= 3;
        want_slope = r % 3 - 1;
        r /= 3;
        want_cat = r;

        memset(&f, 0, sizeof(scc_filter_t));
        f.any = true;
        f.level_max = (uint8_t) (max == 6 ? SCC_LEVEL_UNKNOWN : max);
        f.registered = (scc_tri_t) want_reg;
        f.slope = (scc_tri_t) want_slope;

        /* 0: not asked, 1: number 1, 2: not in the blob */

        if (want_cat) {
            f.category = S("c");
        }

        flags = (uint16_t) (level | (reg ? SCC_FLAG_REGISTERED : 0)
                            | (slope == 1 ? SCC_FLAG_SLOPE_YES : 0)
                            | (slope == 2 ? SCC_FLAG_SLOPE_NO : 0));

        pass = (max == 6 || (level <= 5 && level <= max))
               && (want_reg == -1 || want_reg == reg)
               && (want_slope == -1 || (want_slope == 1 && slope == 1)
                   || (want_slope == 0 && slope == 2))
               && (want_cat == 0 || (want_cat == 1 && has == 1));

        assert_int_equal(scc_filter_pass(&f, flags,
                                         (uint16_t) (has == 2 ? 0xffff : has),
                                         (uint16_t) (want_cat == 1 ? 1
                                                                   : 0xffff)),
                         pass);
    }
}


static void
test_cursor(void **state)
{
    int           i;
    size_t        n, j;
    uint8_t       id[SCC_ID_MAX], block[128], store[SCC_ID_MAX];
    uint32_t      cell;
    uint64_t      seed;
    scc_str_t     s;
    scc_buf_t     b;
    scc_cursor_t  c;

    static const char *const  bad[] = {
        "", "A", "AQ", "AQAAAAA", "AQAAAABh=", "AQAAAABh ", "AQAAAABhA",
        "AgAAAABh", "AQAAAAA", "AQAAAAAA", "AQAAAAD_", "AQAAAABhYR",
        "+QAAAABh", "AQAAAABh\n",
    };

    (void) state;

    seed = 6;

    for (i = 0; i < 5000; i++) {
        cell = (uint32_t) scc_test_random(&seed);
        n = (size_t) scc_test_range(&seed, 1, SCC_ID_MAX);

        for (j = 0; j < n; j++) {
            id[j] = (uint8_t) scc_test_range(&seed, 1, 127);
        }

        s = scc_test_str((char *) id, n);

        scc_buf_fixed(&b, block, sizeof(block));
        scc_cursor_write(&b, cell, s);
        assert_false(b.error);

        memset(&c, 0, sizeof(scc_cursor_t));
        assert_int_equal(scc_cursor_parse(scc_buf_get(&b), store, &c),
                         SCC_OK);
        assert_true(c.set);
        assert_int_equal(c.cell, cell);
        assert_true(scc_str_eq(c.id, s));
        assert_ptr_equal(c.id.data, store);

        /* no other text means the same */

        block[scc_test_range(&seed, 0, (int64_t) b.used - 1)] ^= 1;

        if (scc_cursor_parse(scc_buf_get(&b), store, &c) == SCC_OK) {
            assert_false(c.cell == cell && scc_str_eq(c.id, s));
        }
    }

    assert_int_equal(scc_cursor_parse(S("AQAAAABh"), store, &c), SCC_OK);
    assert_int_equal(c.cell, 0);
    assert_str(c.id, "a");

    for (i = 0; i < (int) scc_test_items(bad); i++) {
        if (scc_cursor_parse(scc_test_z(bad[i]), store, &c) == SCC_OK) {
            fail_msg("taken: %s", bad[i]);
        }
    }

    /* 65 bytes of id */

    memset(block, 'A', sizeof(block));
    block[1] = 'Q';
    memset(block + 7, 'Y', 90);
    assert_int_equal(scc_cursor_parse(scc_test_str((char *) block, 94),
                                      store, &c), SCC_DECLINED);

    scc_buf_fixed(&b, block, sizeof(block));
    scc_cursor_write(&b, 1, S(""));
    assert_true(b.error);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_bad_nearby),
        cmocka_unit_test(test_rev),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_cursor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
