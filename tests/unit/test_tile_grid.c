
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test_mvt.h"

#include "scc_tile_grid.h"


static scc_grid_t  test_grid;
static scc_grid_t  test_opened;


/* A square whose places are all somewhere within its own tile. */

static void
test_square(scc_square_t *s, const scc_tile_t *tile, unsigned i,
    uint64_t *seed)
{
    int64_t     left;
    unsigned    level;
    scc_tile_t  at;

    memset(s, 0, sizeof(scc_square_t));

    scc_square_tile(tile, i, &at);

    s->i = i;
    s->n = (uint32_t) scc_test_range(seed, 1, 5000);
    s->registered = (uint32_t) scc_test_range(seed, 0, s->n);

    left = s->n;

    for (level = 0; level <= SCC_LEVEL_MAX; level++) {
        s->level[level] = (uint32_t) scc_test_range(seed, 0, left);
        left -= s->level[level];
    }

    s->unknown = (uint32_t) left;

    /* the western edge, and a bit */

    s->sum_lon = ((int64_t) at.x * 3600000000 / (1 << at.z) - 1799999990)
                 * s->n;
    s->sum_lat = scc_test_range(seed, -800000000, 800000000)
                 * (int64_t) s->n;
}


static void
test_fill(uint64_t *seed, uint32_t n)
{
    unsigned  i;

    memset(&test_grid, 0, sizeof(scc_grid_t));

    test_grid.tile.z = (unsigned) scc_test_range(seed, 5, 12);
    test_grid.tile.x = (uint32_t) scc_test_range(seed, 0,
                                         (1 << test_grid.tile.z) - 1);
    test_grid.tile.y = (uint32_t) scc_test_range(seed, 0,
                                         (1 << test_grid.tile.z) - 1);
    test_grid.as_of = scc_test_random(seed);
    test_grid.read = scc_test_random(seed);

    for (i = 0; i < SCC_GRID_MAX && test_grid.n < n; i++) {
        if (SCC_GRID_MAX - i <= n - test_grid.n
            || scc_test_range(seed, 0, 2) == 0)
        {
            test_square(&test_grid.squares[test_grid.n++], &test_grid.tile,
                        i, seed);
        }
    }
}


static void
test_codec(void **state)
{
    size_t     i, n;
    uint8_t   *copy;
    uint64_t   seed;
    scc_buf_t  b;
    scc_str_t  s;

    (void) state;

    seed = 5;
    scc_buf_heap(&b, 0);

    for (i = 0; i < 40; i++) {
        test_fill(&seed, (i == 0) ? 0 : (i == 1) ? SCC_GRID_MAX
                         : (uint32_t) scc_test_range(&seed, 0, 20));

        scc_buf_reset(&b);
        scc_buf_text(&b, "before");
        scc_grid_write(&b, &test_grid);
        assert_false(b.error);

        s.data = b.start + 6;
        s.len = b.used - 6;

        assert_int_equal(s.len, SCC_GRID_HEADER
                                + test_grid.n * SCC_GRID_ENTRY);
        assert_int_equal(scc_grid_open(s, &test_grid.tile, &test_opened),
                         SCC_OK);
        assert_memory_equal(&test_opened, &test_grid,
                            offsetof(scc_grid_t, squares));
        assert_memory_equal(test_opened.squares, test_grid.squares,
                            test_grid.n * sizeof(scc_square_t));

        /* no byte may change, none be missing, none be too many */

        copy = malloc(s.len + 1);
        assert_non_null(copy);

        for (n = 0; n < 60; n++) {
            size_t  at = (size_t) scc_test_range(&seed, 0,
                                                 (int64_t) s.len - 1);

            memcpy(copy, s.data, s.len);
            copy[at] ^= (uint8_t) scc_test_range(&seed, 1, 255);

            assert_int_equal(scc_grid_open(scc_test_str((char *) copy,
                                                        s.len),
                                           &test_grid.tile, &test_opened),
                             SCC_DECLINED);
            assert_int_equal(scc_grid_open(scc_test_str((char *) copy, at),
                                           &test_grid.tile, &test_opened),
                             SCC_DECLINED);
        }

        memcpy(copy, s.data, s.len);
        copy[s.len] = 0;
        assert_int_equal(scc_grid_open(scc_test_str((char *) copy,
                                                    s.len + 1),
                                       &test_grid.tile, &test_opened),
                         SCC_DECLINED);
        free(copy);

        test_grid.tile.x ^= 1;
        assert_int_equal(scc_grid_open(s, &test_grid.tile, &test_opened),
                         SCC_DECLINED);
    }

    scc_buf_free(&b);
}


/* Numbers that cannot be, with a true checksum. */

static void
test_invalid(void **state)
{
    size_t        i;
    uint64_t      seed;
    scc_buf_t     b;
    scc_square_t  *s;

    (void) state;

    seed = 6;
    scc_buf_heap(&b, 0);

    for (i = 0; i < 9; i++) {
        test_fill(&seed, 3);
        s = &test_grid.squares[1];

        switch (i) {
        case 1:
            s->unknown++;
            break;
        case 2:
            s->registered = s->n + 1;
            break;
        case 3:
            memset(s, 0, sizeof(scc_square_t));
            s->i = test_grid.squares[0].i + 1;
            break;
        case 4:
            s->sum_lon = (int64_t) s->n * SCC_LON_MAX + 1;
            break;
        case 5:
            s->sum_lat = -(int64_t) s->n * SCC_LAT_MAX - 1;
            break;
        case 6:
            s->i = test_grid.squares[0].i;
            break;
        case 7:
            s->i = test_grid.squares[2].i + 1;
            break;
        case 8:
            s->sum_lat = INT64_MIN;
            break;
        }

        scc_buf_reset(&b);
        scc_grid_write(&b, &test_grid);

        assert_int_equal(scc_grid_open(scc_buf_get(&b), &test_grid.tile,
                                       &test_opened),
                         (i == 0) ? SCC_OK : SCC_DECLINED);
    }

    scc_buf_free(&b);
}


static void
test_centroid(void **state)
{
    size_t        i;
    int32_t       lon, lat;
    scc_square_t  s;

    static const struct {
        uint32_t  n;
        int64_t   sum;
        int32_t   mean;
    } means[] = {
        { 1, 7, 7 }, { 2, 3, 2 }, { 2, -3, -2 }, { 3, 4, 1 }, { 3, 5, 2 },
        { 3, -4, -1 }, { 3, -5, -2 }, { 2, 0, 0 },
        { 4294967295u, 4294967295LL * 900000000, 900000000 },
    };

    (void) state;

    for (i = 0; i < scc_test_items(means); i++) {
        s.n = means[i].n;
        s.sum_lon = -means[i].sum;
        s.sum_lat = means[i].sum;

        scc_square_centroid(&s, &lon, &lat);

        assert_int_equal(lon, -means[i].mean);
        assert_int_equal(lat, means[i].mean);
    }
}


static void
test_address(void **state)
{
    bool        seen[16][16] = { { false } };
    unsigned    i;
    scc_tile_t  at;

    static const scc_tile_t  t = { 12, 3493, 1586 };

    (void) state;

    for (i = 0; i < SCC_GRID_MAX; i++) {
        scc_square_tile(&t, i, &at);

        assert_int_equal(at.z, 16);
        assert_int_equal(at.x >> 4, t.x);
        assert_int_equal(at.y >> 4, t.y);
        assert_false(seen[at.x & 15][at.y & 15]);

        seen[at.x & 15][at.y & 15] = true;
    }

    scc_square_tile(&t, 1, &at);
    assert_int_equal(at.x & 15, 1);
    assert_int_equal(at.y & 15, 0);

    scc_square_tile(&t, 0x80, &at);
    assert_int_equal(at.x & 15, 0);
    assert_int_equal(at.y & 15, 8);
}


static void
test_layer(void **state)
{
    size_t               i, k, level;
    int32_t              lon, lat;
    uint32_t             x, y;
    uint64_t             seed;
    scc_mvt_t            mvt;
    scc_buf_t            b;
    scc_tile_t           at;
    test_layer_t         layer;
    const scc_square_t  *s;

    (void) state;

    seed = 8;
    scc_mvt_init(&mvt);
    scc_buf_heap(&b, 0);

    for (i = 0; i < 30; i++) {
        test_fill(&seed, (i == 0) ? 0 : (i == 1) ? SCC_GRID_MAX
                         : (uint32_t) scc_test_range(&seed, 0, 40));

        scc_buf_reset(&b);
        assert_int_equal(scc_grid_mvt(&mvt, &test_grid, &b), SCC_OK);

        test_mvt_read(scc_buf_get(&b), &layer);

        assert_true(scc_str_eq(layer.name, S("aggregates")));
        assert_int_equal(layer.n, test_grid.n);
        assert_int_equal(layer.n_keys, test_grid.n ? 9 : 0);

        for (k = 0; k < layer.n; k++) {
            s = &test_grid.squares[k];

            scc_square_tile(&test_grid.tile, s->i, &at);
            scc_square_centroid(s, &lon, &lat);
            scc_tile_point(&test_grid.tile, lon, lat, &x, &y);

            assert_int_equal(layer.features[k].id, at.x << 16 | at.y);
            assert_int_equal(layer.features[k].x, x);
            assert_int_equal(layer.features[k].y, y);

            /* in its own square */
            assert_int_equal(x >> 8, at.x & 15);

            assert_int_equal(layer.features[k].tag[0]->n, s->n);

            for (level = 0; level <= SCC_LEVEL_MAX; level++) {
                assert_int_equal(layer.features[k].tag[1 + level]->n,
                                 s->level[level]);
            }

            assert_int_equal(layer.features[k].tag[7]->n, s->unknown);
            assert_int_equal(layer.features[k].tag[8]->n,
                             s->n - s->registered);
        }

        test_mvt_free(&layer);
    }

    scc_buf_free(&b);
    scc_mvt_free(&mvt);
}


static void
test_json(void **state)
{
    scc_buf_t  b;

    (void) state;

    memset(&test_grid, 0, sizeof(scc_grid_t));
    scc_buf_heap(&b, 0);

    test_grid.tile.z = 12;
    test_grid.tile.x = 3493;
    test_grid.tile.y = 1586;

    scc_grid_json(&b, &test_grid);
    assert_str(scc_buf_get(&b), "{\"type\":\"FeatureCollection\","
               "\"numberMatched\":0,\"numberReturned\":0,\"features\":[]}");

    test_grid.n = 2;
    test_grid.squares[0].i = 1;
    test_grid.squares[0].n = 2;
    test_grid.squares[0].unknown = 2;
    test_grid.squares[0].sum_lon = 2539594001;
    test_grid.squares[0].sum_lat = 751331999;
    test_grid.squares[1].i = 2;
    test_grid.squares[1].n = 1;
    test_grid.squares[1].registered = 1;
    test_grid.squares[1].level[5] = 1;
    test_grid.squares[1].sum_lon = 1269797000;
    test_grid.squares[1].sum_lat = 375665999;

    scc_buf_reset(&b);
    scc_grid_json(&b, &test_grid);
    assert_str(scc_buf_get(&b), "{\"type\":\"FeatureCollection\","
        "\"numberMatched\":2,\"numberReturned\":2,\"features\":["
        "{\"type\":\"Feature\",\"id\":3662766880,\"geometry\":"
        "{\"type\":\"Point\",\"coordinates\":[126.9797001,37.5666]},"
        "\"properties\":{\"n\":2,\"level0\":0,\"level1\":0,\"level2\":0,"
        "\"level3\":0,\"level4\":0,\"level5\":0,\"unknown\":2,"
        "\"unregistered\":2}},"
        "{\"type\":\"Feature\",\"id\":3662701345,\"geometry\":"
        "{\"type\":\"Point\",\"coordinates\":[126.9797,37.5665999]},"
        "\"properties\":{\"n\":1,\"level0\":0,\"level1\":0,\"level2\":0,"
        "\"level3\":0,\"level4\":0,\"level5\":1,\"unknown\":0,"
        "\"unregistered\":0}}]}");

    scc_buf_free(&b);
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_centroid),
        cmocka_unit_test(test_codec),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_layer),
        cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
