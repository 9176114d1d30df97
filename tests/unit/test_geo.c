
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_geo.h"


#define W  SCC_LON_MAX


static void
test_e7_table(void **state)
{
    size_t   i;
    int64_t  e7;

    static const struct {
        const char  *text;
        int64_t      nearest, floor, ceil;
    } good[] = {
        { "0", 0, 0, 0 },
        { "-0", 0, 0, 0 },
        { "+0.0", 0, 0, 0 },
        { "0e999999999999999999999", 0, 0, 0 },
        { "126.972578", 1269725780, 1269725780, 1269725780 },
        { "126.97257805", 1269725781, 1269725780, 1269725781 },
        { "126.97257804999999999", 1269725780, 1269725780, 1269725781 },
        { "-126.97257805", -1269725781, -1269725781, -1269725780 },
        { "-126.972578049", -1269725780, -1269725781, -1269725780 },
        { "126.97257801234567", 1269725780, 1269725780, 1269725781 },
        { "37.566535000000001", 375665350, 375665350, 375665351 },
        { "0.00000004", 0, 0, 1 },
        { "0.00000005", 1, 0, 1 },
        { "-0.00000005", -1, -1, 0 },
        { "0.000000049999999999999999999999999999999999", 0, 0, 1 },
        { "1e-7", 1, 1, 1 },
        { "1E-8", 0, 0, 1 },
        { "5e-8", 1, 0, 1 },
        { "-1e-400", 0, -1, 0 },
        { "1e-99999999999999999999999999999999", 0, 0, 1 },
        { "1.26972578e2", 1269725780, 1269725780, 1269725780 },
        { "1.26972578e+02", 1269725780, 1269725780, 1269725780 },
        { "1269725780e-7", 1269725780, 1269725780, 1269725780 },
        { "0.0000000000000000000126e22", 1260000000, 1260000000,
          1260000000 },
        { "1000", 10000000000, 10000000000, 10000000000 },
        { "-1000.0000", -10000000000, -10000000000, -10000000000 },
        { "999.99999999", 10000000000, 9999999999, 10000000000 },
        { "00000000000000000000000000000180", 1800000000, 1800000000,
          1800000000 },
        { "0.0000000000000000000000000000000000000000000000000000000000001",
          0, 0, 1 },
    };

    static const char *const  bad[] = {
        "", "+", "-", ".", ".5", "5.", "-.5", "1.", "1e", "1e+", "e5",
        "1e5", "1000.00000001", "-1000.000000000000001", "1e3000",
        "99999999999999999999", "--1", "+-1", "1,2", " 1", "1 ", "1.2.3",
        "0x10", "nan", "inf", "1e1e1", "1f", "１",
        "1e99999999999999999999999999999999999999",
        "000000000000000000000000000000000000000000000000000000000000000001",
    };

    (void) state;

    for (i = 0; i < scc_test_items(good); i++) {
        assert_int_equal(scc_e7_parse(scc_test_z(good[i].text),
                                      SCC_E7_NEAREST, &e7), SCC_OK);
        assert_int_equal(e7, good[i].nearest);

        assert_int_equal(scc_e7_parse(scc_test_z(good[i].text),
                                      SCC_E7_FLOOR, &e7), SCC_OK);
        assert_int_equal(e7, good[i].floor);

        assert_int_equal(scc_e7_parse(scc_test_z(good[i].text),
                                      SCC_E7_CEIL, &e7), SCC_OK);
        assert_int_equal(e7, good[i].ceil);
    }

    for (i = 0; i < scc_test_items(bad); i++) {
        assert_int_equal(scc_e7_parse(scc_test_z(bad[i]), SCC_E7_NEAREST,
                                      &e7), SCC_DECLINED);
    }

    assert_int_equal(scc_e7_parse(S("1\0"), SCC_E7_FLOOR, &e7),
                     SCC_DECLINED);
}


/* A number of 16 decimals as an integer, written in several ways. */

static void
test_e7_random(void **state)
{
    int       i, j, exp;
    char      text[128];
    int64_t   v, e7, floor, ceil, nearest, rest;
    uint64_t  seed, m;

    (void) state;

    seed = 1;

    for (i = 0; i < 40000; i++) {

        /* below 900 degrees in units of 1e-16; often near a grid point */

        v = scc_test_range(&seed, -9000000000000000000, 9000000000000000000);

        if (i % 3 == 0) {
            v = v / 1000000000 * 1000000000
                + scc_test_range(&seed, -2, 2);

        } else if (i % 3 == 1) {
            v = v / 1000000000 * 1000000000
                + (v < 0 ? -500000000 : 500000000)
                + scc_test_range(&seed, -1, 1);
        }

        floor = v / 1000000000;
        rest = v % 1000000000;

        if (rest < 0) {
            floor--;
            rest += 1000000000;
        }

        ceil = floor + (rest != 0);
        nearest = (rest > 500000000 || (rest == 500000000 && v > 0))
                  ? ceil : floor;

        m = (v < 0) ? 0 - (uint64_t) v : (uint64_t) v;

        for (j = 0; j < 3; j++) {

            if (j == 0) {
                (void) snprintf(text, sizeof(text), "%s%llu.%016llu",
                                v < 0 ? "-" : "",
                                (unsigned long long) (m / 10000000000000000),
                                (unsigned long long) (m % 10000000000000000));

            } else if (j == 1) {
                (void) snprintf(text, sizeof(text), "%s%llue-16",
                                v < 0 ? "-" : "+", (unsigned long long) m);

            } else {
                exp = (int) scc_test_range(&seed, 0, 30);
                (void) snprintf(text, sizeof(text), "%s0.%0*d%llue%d",
                                v < 0 ? "-" : "", exp + 1, 0,
                                (unsigned long long) m,
                                (m ? (int) snprintf(NULL, 0, "%llu",
                                         (unsigned long long) m) : 0)
                                + exp + 1 - 16);
            }

            assert_int_equal(scc_e7_parse(scc_test_z(text), SCC_E7_FLOOR,
                                          &e7), SCC_OK);
            assert_int_equal(e7, floor);

            assert_int_equal(scc_e7_parse(scc_test_z(text), SCC_E7_CEIL,
                                          &e7), SCC_OK);
            assert_int_equal(e7, ceil);

            assert_int_equal(scc_e7_parse(scc_test_z(text), SCC_E7_NEAREST,
                                          &e7), SCC_OK);
            assert_int_equal(e7, nearest);
        }
    }
}


static void
test_area_table(void **state)
{
    size_t      i;
    unsigned    n;
    scc_err_t   err;
    scc_area_t  area;

    static const struct {
        const char  *text;
        unsigned     n;
        scc_box_t    box[2];
    } good[] = {
        { "126.9,37.5,127.1,37.6", 1,
          { { 1269000000, 375000000, 1271000000, 376000000 } } },
        { "126.9,37.5,-100,127.1,37.6,8848.86", 1,
          { { 1269000000, 375000000, 1271000000, 376000000 } } },
        { "1,2,-999999,3,4,1e9", 1,
          { { 10000000, 20000000, 30000000, 40000000 } } },
        { "0,0,0,0", 1, { { 0, 0, 0, 0 } } },
        { "-180,-90,180,90", 1, { { -W, -900000000, W, 900000000 } } },
        { "-180,-95,180,1000", 1, { { -W, -900000000, W, 900000000 } } },
        { "0.00000001,0.00000001,0.00000019,0.00000019", 1,
          { { 1, 1, 1, 1 } } },

        /* between two neighbours of the grid */
        { "0.00000001,0,0.00000002,1", 0, { { 0 } } },
        { "0,0.00000011,1,0.00000019", 0, { { 0 } } },
        { "0,91,1,99", 0, { { 0 } } },
        { "0,-99,1,-90.000000000001", 0, { { 0 } } },
        { "0,90,1,99", 1, { { 0, 900000000, 10000000, 900000000 } } },

        /* across the antimeridian */
        { "170,-10,-170,10", 2,
          { { -W, -100000000, -1700000000, 100000000 },
            { 1700000000, -100000000, W, 100000000 } } },
        { "180,0,-180,1", 2,
          { { -W, 0, -W, 10000000 }, { W, 0, W, 10000000 } } },
        { "1.00000002,0,1.00000001,1", 2,
          { { -W, 0, 10000000, 10000000 }, { 10000001, 0, W, 10000000 } } },

        /* turned around the world */
        { "170,0,190,1", 2,
          { { -W, 0, -1700000000, 10000000 },
            { 1700000000, 0, W, 10000000 } } },
        { "-190,0,-170,1", 2,
          { { -W, 0, -1700000000, 10000000 },
            { 1700000000, 0, W, 10000000 } } },
        { "181,0,190,1", 1,
          { { -1790000000, 0, -1700000000, 10000000 } } },
        { "-540,0,-530,1", 2,
          { { -W, 0, -1700000000, 10000000 }, { W, 0, W, 10000000 } } },
        { "-539,0,-530,1", 1,
          { { -1790000000, 0, -1700000000, 10000000 } } },
        { "486.9,37.5,487.1,37.6", 1,
          { { 1269000000, 375000000, 1271000000, 376000000 } } },
        { "-540,0,540,1", 1, { { -W, 0, W, 10000000 } } },
        { "-200,0,160,1", 1, { { -W, 0, W, 10000000 } } },
        { "-200,0,159.9999999,1", 1, { { -W, 0, W, 10000000 } } },
        { "-200,0,159.9999998,1", 2,
          { { -W, 0, 1599999998, 10000000 },
            { 1600000000, 0, W, 10000000 } } },
        { "180.00000001,0,180.00000002,1", 0, { { 0 } } },
    };

    static const struct {
        const char  *text;
        const char  *about;
    } bad[] = {
        { "", "four numbers" },
        { "1,2,3", "four numbers" },
        { "1,2,3,4,5", "four numbers" },
        { "1,2,3,4,5,6,7", "four numbers" },
        { "1,2,3,4,", "four numbers" },
        { ",1,2,3", "four numbers" },
        { "1,2,,3", "four numbers" },
        { "1;2;3;4", "four numbers" },
        { "1, 2,3,4", "four numbers" },
        { "a,b,c,d", "four numbers" },
        { "NaN,NaN,NaN,NaN", "four numbers" },
        { "1,2,x,3,4,5", "four numbers" },
        { "1,2,3,1001", "beyond 1000" },
        { "1,-1e9,3,4", "beyond 1000" },
        { "-540.0000000000001,0,0,1", "beyond 540" },
        { "0,0,540.0000000000001,1", "beyond 540" },
        { "541,0,0,1", "beyond 540" },
        { "0,2,1,1", "south beyond its north" },
        { "0,0.00000002,1,0.00000001", "south beyond its north" },
        { "190,0,170,1", "west beyond its east" },
        { "170,0,-190,1", "west beyond its east" },
        { "180.000000000000000000001,0,170,1", "west beyond its east" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(good); i++) {
        assert_int_equal(scc_area_parse(scc_test_z(good[i].text), &area,
                                        &err), SCC_OK);
        assert_int_equal(area.n, good[i].n);

        for (n = 0; n < area.n; n++) {
            assert_memory_equal(&area.box[n], &good[i].box[n],
                                sizeof(scc_box_t));
        }
    }

    for (i = 0; i < scc_test_items(bad); i++) {
        assert_int_equal(scc_area_parse(scc_test_z(bad[i].text), &area,
                                        &err), SCC_DECLINED);
        assert_str(err.field, "bbox");

        if (strstr(err.text, bad[i].about) == NULL) {
            fail_msg("%s: %s", bad[i].text, err.text);
        }
    }
}


/* In units of 1e-8 degrees: whether the text's numbers hold the place. */

static bool
test_area_holds(int64_t w, int64_t s, int64_t e, int64_t n, int64_t lon,
    int64_t lat)
{
    int      turn;
    int64_t  world;

    world = 10 * (int64_t) W;

    if (lat < s || lat > n) {
        return false;
    }

    if (w > e) {
        return lon >= w || lon <= e;
    }

    /* what matters is the grid points in it */

    if (w > -world - 10 && e < world + 10) {
        return lon >= w && lon <= e;
    }

    for (turn = -3; turn <= 3; turn++) {
        if (lon + turn * 2 * world >= w && lon + turn * 2 * world <= e) {
            return true;
        }
    }

    return false;
}


static int64_t
test_near(uint64_t *seed, int64_t v, int64_t max)
{
    v += scc_test_range(seed, -3, 3);

    return (v > max) ? max : (v < -max) ? -max : v;
}


static void
test_area_random(void **state)
{
    int         i, j;
    bool        valid;
    char        text[256];
    int64_t     w, s, e, n, lon, lat, t, v[4];
    uint64_t    seed;
    unsigned    k;
    scc_rc_t    rc;
    scc_err_t   err;
    scc_area_t  area;

    static const int64_t  places[] = {
        -W, -W + 1, W, W - 1, 0, 1269000000, -1700000000
    };

    (void) state;

    seed = 7;

    for (i = 0; i < 60000; i++) {

        w = scc_test_range(&seed, -58 * (int64_t) W / 2,
                           58 * (int64_t) W / 2);
        e = scc_test_range(&seed, -58 * (int64_t) W / 2,
                           58 * (int64_t) W / 2);
        s = scc_test_range(&seed, -12000000000, 12000000000);
        n = scc_test_range(&seed, -12000000000, 12000000000);

        if (i % 4 == 0) {
            e = w + scc_test_range(&seed, -30, 30);
            n = s + scc_test_range(&seed, -30, 30);

        } else if (i % 4 == 1) {
            t = 10 * (int64_t) W;
            w = scc_test_range(&seed, -3, 3) * t
                + scc_test_range(&seed, -20, 20);
            e = scc_test_range(&seed, -3, 3) * t
                + scc_test_range(&seed, -20, 20);

        } else if (i % 4 == 2) {
            e = w + 20 * (int64_t) W + scc_test_range(&seed, -20, 20);
        }

        v[0] = w;
        v[1] = s;
        v[2] = e;
        v[3] = n;
        text[0] = '\0';

        for (j = 0; j < 4; j++) {
            t = v[j] < 0 ? -v[j] : v[j];
            (void) snprintf(text + strlen(text), 64, "%s%s%lld.%08lld",
                            j ? "," : "", v[j] < 0 ? "-" : "",
                            (long long) (t / 100000000),
                            (long long) (t % 100000000));
        }

        valid = s <= n && w >= -54000000000 && w <= 54000000000
                && e >= -54000000000 && e <= 54000000000
                && (w <= e || (w <= 18000000000 && e >= -18000000000));

        rc = scc_area_parse(scc_test_z(text), &area, &err);

        if (rc != (valid ? SCC_OK : SCC_DECLINED)) {
            fail_msg("%s: %d %s", text, rc, valid ? "" : err.text);
        }

        if (!valid) {
            continue;
        }

        assert_in_range(area.n, 0, 2);

        for (k = 0; k < area.n; k++) {
            assert_true(area.box[k].w <= area.box[k].e);
            assert_true(area.box[k].s <= area.box[k].n);
            assert_true(area.box[k].w >= -W && area.box[k].e <= W);
        }

        if (area.n == 2) {
            assert_int_equal(area.box[0].w, -W);
            assert_int_equal(area.box[1].e, W);
            assert_true(area.box[0].e < area.box[1].w);
        }

        for (j = 0; j < 30; j++) {

            /* on and beside the edges, and the world's own */

            t = (j % 2) ? w / 10 : e / 10;

            while (t > W) {
                t -= 2 * (int64_t) W;
            }

            while (t < -W) {
                t += 2 * (int64_t) W;
            }

            lon = (j % 3 == 0) ? places[(unsigned) j / 3
                                        % scc_test_items(places)]
                  : (j % 3 == 1) ? test_near(&seed, t, W)
                  : scc_test_range(&seed, -W, W);
            lat = (j % 5 == 0) ? scc_test_range(&seed, -900000000, 900000000)
                  : test_near(&seed, (j % 2 ? s : n) / 10, 900000000);

            if (scc_area_has(&area, (int32_t) lon, (int32_t) lat)
                != test_area_holds(w, s, e, n, lon * 10, lat * 10))
            {
                fail_msg("%s and %lld %lld", text, (long long) lon,
                         (long long) lat);
            }
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_e7_table),
        cmocka_unit_test(test_e7_random),
        cmocka_unit_test(test_area_table),
        cmocka_unit_test(test_area_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
