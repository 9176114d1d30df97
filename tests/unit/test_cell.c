
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include <math.h>

#include "scc_cell.h"


#define W  SCC_LON_MAX
#define N  SCC_LAT_MAX


/* The row in long doubles, by another formula. */

static long double
test_yf(int32_t lat)
{
    long double  pi, s;

    pi = acosl(-1.0L);
    s = sinl((long double) lat / 1e7L * pi / 180);

    return (0.5L - logl((1 + s) / (1 - s)) / (4 * pi)) * SCC_CELL_SIDE;
}


static int32_t
test_lat(double y)
{
    double  pi;

    pi = acos(-1.0);

    return (int32_t) llrint(atan(sinh(pi * (1 - 2 * y / SCC_CELL_SIDE)))
                            * (180e7 / pi));
}


static int32_t
test_lon(double x)
{
    return (int32_t) llrint(x * 3600e6 / SCC_CELL_SIDE - W);
}


static uint32_t
test_key(int32_t lon, int32_t lat)
{
    return scc_cell_key(scc_cell_x(lon), scc_cell_y(lat));
}


static void
test_table(void **state)
{
    uint32_t  x;
    int64_t   edge;

    (void) state;

    assert_int_equal(scc_cell_x(-W), 0);
    assert_int_equal(scc_cell_x(W), 65535);
    assert_int_equal(scc_cell_x(W - 1), 65535);
    assert_int_equal(scc_cell_x(0), 32768);
    assert_int_equal(scc_cell_x(-1), 32767);
    assert_int_equal(scc_cell_y(0), 32768);
    assert_int_equal(scc_cell_y(1), 32767);
    assert_int_equal(scc_cell_y(-1), 32768);
    assert_int_equal(scc_cell_y(N), 0);
    assert_int_equal(scc_cell_y(-N), 65535);
    assert_int_equal(scc_cell_y(850511287), 0);
    assert_int_equal(scc_cell_y(850511288), 0);
    assert_int_equal(scc_cell_y(-850511288), 65535);

    /* Seoul's city hall */

    assert_int_equal(scc_cell_x(1269779692), 55883);
    assert_int_equal(scc_cell_y(375662952), 25379);

    assert_int_equal(scc_cell_key(55883, 25379), 3662373667u);
    assert_int_equal(scc_cell_key_x(3662373667u), 55883);
    assert_int_equal(scc_cell_key_y(3662373667u), 25379);
    assert_int_equal(scc_cell_key_x(scc_cell_key(65535, 65535)), 65535);

    /* every 128th edge lies on the grid: half-open towards the east */

    for (x = 128; x < 65536; x += 128) {
        edge = (int64_t) x * 2 * W / SCC_CELL_SIDE - W;
        assert_int_equal(scc_cell_x((int32_t) edge), x);
        assert_int_equal(scc_cell_x((int32_t) edge - 1), x - 1);
    }
}


static void
test_random_rows(void **state)
{
    int          i;
    int32_t      lat;
    uint64_t     seed;
    uint32_t     y;
    long double  yf;

    (void) state;

    seed = 3;

    for (i = 0; i < 50000; i++) {
        lat = (int32_t) scc_test_range(&seed, -850511287, 850511287);

        if (i % 2) {
            lat = test_lat((double) scc_test_range(&seed, 1, 65535))
                  + (int32_t) scc_test_range(&seed, -1, 1);
        }

        yf = test_yf(lat);
        y = scc_cell_y(lat);

        if (fabsl(yf - roundl(yf)) > 1e-8L) {
            assert_int_equal(y, (uint32_t) yf);

        } else {
            assert_in_range(y, (uint32_t) (yf - 1e-8L),
                            (uint32_t) (yf + 1e-8L));
        }
    }
}


static int
test_cmp_key(const void *a, const void *b)
{
    uint32_t  x, y;

    x = *(const uint32_t *) a;
    y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}


static bool
test_has_key(const uint32_t *keys, size_t n, uint32_t key)
{
    return bsearch(&key, keys, n, sizeof(uint32_t), test_cmp_key) != NULL;
}


static int32_t
test_clip(int64_t v, int64_t max)
{
    return (int32_t) (v > max ? max : v < -max ? -max : v);
}


/* A box of some cells' size whose edges are often edges of cells. */

static void
test_random_area(uint64_t *seed, scc_area_t *area)
{
    int64_t  w, s, e, n, x, y, t;

    switch (scc_test_range(seed, 0, 5)) {

    case 0:
        x = scc_test_range(seed, 0, 65535);
        y = scc_test_range(seed, 0, 65520);
        w = test_lon((double) x) + scc_test_range(seed, -2, 2);
        e = test_lon((double) (x + scc_test_range(seed, 0, 5)))
            + scc_test_range(seed, -2, 2);
        n = test_lat((double) y) + scc_test_range(seed, -2, 2);
        s = test_lat((double) (y + scc_test_range(seed, 0, 5)))
            + scc_test_range(seed, -2, 2);
        break;

    case 1:

        /* the poles and the antimeridian */

        w = scc_test_range(seed, 0, 1) ? -W : W - 60000;
        e = w + scc_test_range(seed, 0, 60000);
        n = scc_test_range(seed, 0, 1) ? N : -850000000;
        s = n - scc_test_range(seed, 0, 50000000);
        break;

    case 2:

        /* one point */

        w = e = scc_test_range(seed, -W, W);
        s = n = scc_test_range(seed, -N, N);
        break;

    default:
        w = scc_test_range(seed, -W, W);
        e = w + scc_test_range(seed, 0, 300000);
        s = scc_test_range(seed, -N, N);
        n = s + scc_test_range(seed, 0, 200000);
    }

    w = test_clip(w, W);
    e = test_clip(e, W);
    s = test_clip(s, N);
    n = test_clip(n, N);

    if (w > e) {
        t = w;
        w = e;
        e = t;
    }

    if (s > n) {
        t = s;
        s = n;
        n = t;
    }

    area->n = 1;
    area->box[0].w = (int32_t) w;
    area->box[0].s = (int32_t) s;
    area->box[0].e = (int32_t) e;
    area->box[0].n = (int32_t) n;

    if (scc_test_range(seed, 0, 7) == 0) {
        area->n = 2;
        area->box[1] = area->box[0];
        area->box[0].w = -W;
        area->box[0].e = test_clip(-W + scc_test_range(seed, 0, 100000), W);
        area->box[1].w = test_clip(W - scc_test_range(seed, 0, 100000), W);
        area->box[1].e = W;
    }
}


static void
test_cover(void **state)
{
    int               i, j, d;
    size_t            n, k, max;
    int32_t           lon, lat;
    uint32_t         *keys, key;
    uint64_t          seed, covers, wasted;
    scc_area_t        area;
    const scc_box_t  *box;

    (void) state;

    seed = 5;
    max = 20000;
    keys = test_malloc(max * sizeof(uint32_t));
    covers = 0;
    wasted = 0;

    for (i = 0; i < 4000; i++) {
        test_random_area(&seed, &area);

        n = scc_area_keys(&area, keys, max);

        if (n == SIZE_MAX) {
            assert_true(scc_area_cells(&area) > max);
            continue;
        }

        assert_int_equal(n, scc_area_cells(&area));
        assert_true(n > 0);

        if (n > 1) {
            assert_true(scc_area_keys(&area, keys, n - 1) == SIZE_MAX);
        }

        assert_int_equal(scc_area_keys(&area, keys, n), n);

        for (k = 1; k < n; k++) {
            assert_true(keys[k - 1] < keys[k]);
        }

        for (j = 0; j < 60; j++) {

            /* in, on and beside the box */

            box = &area.box[scc_test_range(&seed, 0, area.n - 1)];
            d = (int) scc_test_range(&seed, -2, 2);

            lon = test_clip((j % 4 == 0) ? (int64_t) box->w + d
                            : (j % 4 == 1) ? (int64_t) box->e + d
                            : scc_test_range(&seed, box->w, box->e), W);
            d = (int) scc_test_range(&seed, -2, 2);
            lat = test_clip((j % 5 == 0) ? (int64_t) box->s + d
                            : (j % 5 == 1) ? (int64_t) box->n + d
                            : scc_test_range(&seed, box->s, box->n), N);

            key = test_key(lon, lat);

            if (scc_area_has(&area, lon, lat)) {
                assert_true(test_has_key(keys, n, key));

            } else {
                assert_false(scc_cell_inside(key, &area));
            }
        }

        /* no cell of the cover lies wholly outside, but for rounding */

        if (area.n == 1 && n < 400) {
            covers += n;

            for (k = 0; k < n; k++) {
                lat = test_lat(scc_cell_key_y(keys[k]));
                wasted += (lat < area.box[0].s - 1
                           && scc_cell_key_y(keys[k]) != 0);
                lat = test_lat(scc_cell_key_y(keys[k]) + 1.0);
                wasted += (lat > area.box[0].n + 1
                           && scc_cell_key_y(keys[k]) != 65535);
            }
        }
    }

    assert_true(covers > 1000);
    assert_int_equal(wasted, 0);

    test_free(keys);
}


/* "Inside" is not only safe but found: a cell's own box holds that cell. */

static void
test_core(void **state)
{
    int          i;
    uint32_t     x, y, key;
    uint64_t     seed;
    scc_area_t   area;
    scc_cells_t  cells;

    (void) state;

    seed = 9;

    for (i = 0; i < 5000; i++) {
        x = (uint32_t) scc_test_range(&seed, 1, 65533);
        y = (uint32_t) scc_test_range(&seed, 1, 65533);
        key = scc_cell_key(x, y);

        area.n = 1;
        area.box[0].w = test_lon(x) - 1;
        area.box[0].e = test_lon(x + 1.0) + 1;
        area.box[0].n = test_lat(y) + 1;
        area.box[0].s = test_lat(y + 1.0) - 1;

        assert_true(scc_cell_inside(key, &area));
        assert_false(scc_cell_inside(scc_cell_key(x + 1, y), &area));
        assert_false(scc_cell_inside(scc_cell_key(x - 1, y), &area));
        assert_false(scc_cell_inside(scc_cell_key(x, y + 1), &area));
        assert_false(scc_cell_inside(scc_cell_key(x, y - 1), &area));

        assert_true(scc_cell_core(&area.box[0], &cells));
        assert_int_equal(cells.x0, x);
        assert_int_equal(cells.x1, x);
        assert_int_equal(cells.y0, y);
        assert_int_equal(cells.y1, y);

        area.box[0].w += 3;
        assert_false(scc_cell_inside(key, &area));
        assert_false(scc_cell_core(&area.box[0], &cells));
        area.box[0].w -= 3;

        area.box[0].s += 3;
        assert_false(scc_cell_inside(key, &area));
        area.box[0].s -= 3;

        area.n = 0;
        assert_false(scc_cell_inside(key, &area));
    }
}


static void
test_whole(void **state)
{
    uint32_t     keys[16];
    scc_area_t   area;
    scc_cells_t  cells;

    static const scc_box_t  world = { -W, -N, W, N };
    static const scc_box_t  west = { -W, 0, 0, 0 };
    static const scc_box_t  east = { 1, 0, W, 0 };

    (void) state;

    area.n = 1;
    area.box[0] = world;

    assert_true(scc_area_cells(&area) == 65536ULL * 65536);
    assert_true(scc_area_keys(&area, keys, 16) == SIZE_MAX);
    assert_true(scc_cell_inside(0, &area));
    assert_true(scc_cell_inside(UINT32_MAX, &area));

    assert_true(scc_cell_core(&area.box[0], &cells));
    assert_true(scc_cells_count(&cells) == 65536ULL * 65536);
    assert_true(scc_cells_keys(&cells, keys, 16) == SIZE_MAX);

    /* a circle with a gap: the column of both ends counts once */

    area.n = 2;
    area.box[0] = west;
    area.box[1] = east;

    scc_cell_cover(&area.box[0], &cells);
    assert_true(scc_area_cells(&area)
                == 65536ULL * (cells.y1 - cells.y0 + 1));

    area.n = 0;
    assert_true(scc_area_cells(&area) == 0);
    assert_int_equal(scc_area_keys(&area, keys, 16), 0);
}


static void
test_tiles(void **state)
{
    uint32_t     keys[64];
    scc_cells_t  cells;

    (void) state;

    scc_tile_cells(16, 55883, 25379, &cells);
    assert_int_equal(cells.x0, 55883);
    assert_int_equal(cells.x1, 55883);
    assert_int_equal(cells.y0, 25379);
    assert_int_equal(cells.y1, 25379);

    scc_tile_cells(13, 8191, 8191, &cells);
    assert_int_equal(cells.x0, 65528);
    assert_int_equal(cells.x1, 65535);
    assert_int_equal(cells.y0, 65528);
    assert_int_equal(cells.y1, 65535);
    assert_int_equal(scc_cells_keys(&cells, keys, 64), 64);
    assert_int_equal(keys[0], scc_cell_key(65528, 65528));
    assert_int_equal(keys[1], scc_cell_key(65528, 65529));
    assert_int_equal(keys[63], UINT32_MAX);
    assert_true(scc_cells_keys(&cells, keys, 63) == SIZE_MAX);

    scc_tile_cells(0, 0, 0, &cells);
    assert_true(scc_cells_count(&cells) == 65536ULL * 65536);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_random_rows),
        cmocka_unit_test(test_cover),
        cmocka_unit_test(test_core),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_tiles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
