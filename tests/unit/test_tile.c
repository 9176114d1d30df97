
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test_mvt.h"

#include <math.h>

#include "scc_tile.h"


#define TEST_MAX  600


typedef struct {
    uint32_t            key;
    char                id[40];
    char                name[96];
    scc_place_t         place;
} test_place_t;


typedef struct {
    size_t              n;
    test_place_t        place[TEST_MAX];
    size_t              n_cells;
    scc_view_cell_t     cells[TEST_MAX];
    scc_buf_t           blobs[TEST_MAX];
    scc_blob_builder_t  bb;
    scc_mvt_t           mvt;
    scc_buf_t           out;
} test_tiles_t;


static test_tiles_t  test_tiles;

static const scc_str_t  test_categories[] = {
    scc_null_string, scc_string("CAFE"), scc_string("카페 \"1\""),
    scc_string("7")
};

/* names with all that JSON escapes, alone, first, last and in a row */

static const char *const  test_names[] = {
    "", "a", "\"", "\\", "\\\"", "계단뿌셔클럽", "a\"b\\c/d", "\b\f\n\r\t",
    "\x01\x1f\x7f", "끝\n", "\"처음", "1", "CAFE", "\\u0041", "😀",
};


static int
test_order(const void *a, const void *b)
{
    const test_place_t  *x, *y;

    x = a;
    y = b;

    if (x->key != y->key) {
        return (x->key > y->key) - (x->key < y->key);
    }

    return strcmp(x->id, y->id);
}


static int32_t
test_clamp(int64_t n, int64_t max)
{
    return (int32_t) ((n < -max) ? -max : (n > max) ? max : n);
}


/* Blobs of the cells that d->place[] lie in. */

static void
test_blobs(test_tiles_t *d)
{
    size_t            i, j;
    test_place_t     *tp;
    scc_view_cell_t  *cell;

    for (i = 0; i < d->n; i++) {
        tp = &d->place[i];
        tp->key = scc_cell_key(scc_cell_x(tp->place.lon),
                               scc_cell_y(tp->place.lat));
    }

    qsort(d->place, d->n, sizeof(test_place_t), test_order);

    d->n_cells = 0;

    for (i = 0; i < d->n; i = j) {
        scc_blob_begin(&d->bb);

        for (j = i; j < d->n && d->place[j].key == d->place[i].key; j++) {
            tp = &d->place[j];
            tp->place.id = scc_test_z(tp->id);
            tp->place.name = scc_test_z(tp->name);
            assert_int_equal(scc_blob_add(&d->bb, &tp->place), SCC_OK);
        }

        scc_buf_reset(&d->blobs[d->n_cells]);
        assert_int_equal(scc_blob_finish(&d->bb, 1, &d->blobs[d->n_cells]),
                         SCC_OK);

        cell = &d->cells[d->n_cells];
        cell->key = d->place[i].key;
        assert_int_equal(scc_blob_open(scc_buf_get(&d->blobs[d->n_cells]),
                                       &cell->blob),
                         SCC_OK);
        d->n_cells++;
    }
}


static const test_value_t *
test_tag(const test_layer_t *layer, const test_feature_t *f,
    const char *key)
{
    size_t  i;

    for (i = 0; i < layer->n_keys; i++) {
        if (scc_str_eq(layer->keys[i], scc_test_z(key))) {
            return f->tag[i];
        }
    }

    fail();

    return NULL;
}


static void
test_is_str(const test_value_t *v, scc_str_t s)
{
    if (s.data == NULL) {
        assert_null(v);
        return;
    }

    assert_non_null(v);
    assert_int_equal(v->type, 1);
    assert_true(scc_str_eq(v->str, s));
}


static void
test_is_bool(const test_value_t *v, scc_tri_t tri)
{
    if (tri == SCC_UNKNOWN) {
        assert_null(v);
        return;
    }

    assert_non_null(v);
    assert_int_equal(v->type, 7);
    assert_int_equal(v->n, tri);
}


/* The position by other means: long doubles and the textbook's formula. */

static void
test_is_at(const test_feature_t *f, const scc_tile_t *t,
    const scc_place_t *p)
{
    long double  side, x, y, s;

    side = (long double) ((uint64_t) 1 << t->z) * 4096;

    x = ((long double) p->lon / 1e7L + 180) / 360 * side
        - (long double) t->x * 4096;

    s = sinl((long double) p->lat / 1e7L * 3.14159265358979323846L / 180);
    y = (0.5L - logl((1 + s) / (1 - s)) / (4 * 3.14159265358979323846L))
        * side - (long double) t->y * 4096;

    if (x > 4095) {
        x = 4095;
    }

    y = (y < 0) ? 0 : (y > 4095) ? 4095 : y;

    assert_true(fabsl(x - (long double) f->x) <= 0.5001L);
    assert_true(fabsl(y - (long double) f->y) <= 0.5001L);
}


/* The tile holds just the places it should, in order, with all they are. */

static void
test_check(test_tiles_t *d, const scc_tile_t *t)
{
    size_t               i, k, first, n;
    unsigned             level;
    scc_cells_t          r;
    test_layer_t         layer;
    const scc_place_t   *p;
    const test_value_t  *v;

    scc_view_cell_t      in[TEST_MAX];
    const test_place_t  *want[TEST_MAX];

    scc_tile_cells(t->z, t->x, t->y, &r);

    n = 0;

    for (i = 0; i < d->n_cells; i++) {
        if (scc_cell_key_x(d->cells[i].key) >= r.x0
            && scc_cell_key_x(d->cells[i].key) <= r.x1
            && scc_cell_key_y(d->cells[i].key) >= r.y0
            && scc_cell_key_y(d->cells[i].key) <= r.y1)
        {
            in[n++] = d->cells[i];
        }
    }

    first = n;
    n = 0;

    for (i = 0; i < d->n; i++) {
        if (scc_cell_x(d->place[i].place.lon) >> (16 - t->z) == t->x
            && scc_cell_y(d->place[i].place.lat) >> (16 - t->z) == t->y)
        {
            want[n++] = &d->place[i];
        }
    }

    scc_buf_reset(&d->out);
    assert_int_equal(scc_tile_places(&d->mvt, t, in, first, &d->out),
                     SCC_OK);

    test_mvt_read(scc_buf_get(&d->out), &layer);

    assert_true(scc_str_eq(layer.name, S("places")));
    assert_int_equal(layer.n, n);

    for (k = 0; k < n; k++) {
        p = &want[k]->place;

        assert_true(layer.features[k].id == scc_tile_id(p->id));
        test_is_at(&layer.features[k], t, p);

        test_is_str(test_tag(&layer, &layer.features[k], "id"), p->id);
        test_is_str(test_tag(&layer, &layer.features[k], "name"), p->name);
        test_is_str(test_tag(&layer, &layer.features[k], "category"),
                    p->category);
        test_is_bool(test_tag(&layer, &layer.features[k], "registered"),
                     p->registered ? SCC_YES : SCC_NO);
        test_is_bool(test_tag(&layer, &layer.features[k], "hasSlope"),
                     p->slope);

        level = scc_place_level(p);
        v = test_tag(&layer, &layer.features[k], "level");

        if (level == SCC_LEVEL_UNKNOWN) {
            assert_null(v);

        } else {
            assert_non_null(v);
            assert_int_equal(v->type, 5);
            assert_int_equal(v->n, level);
        }
    }

    test_mvt_free(&layer);
}


static void
test_random(void **state)
{
    size_t         i, round, rounds;
    int32_t        lon, lat;
    uint64_t       seed;
    scc_tile_t     t;
    scc_place_t   *p;
    test_place_t  *tp;
    test_tiles_t  *d = &test_tiles;

    (void) state;

    seed = 17;

    for (round = 0; round < 60; round++) {

        lon = (int32_t) scc_test_range(&seed, -SCC_LON_MAX, SCC_LON_MAX);
        lat = (int32_t) scc_test_range(&seed, -860000000, 860000000);

        if (round % 5 == 0) {
            lon = (round % 2) ? SCC_LON_MAX : -SCC_LON_MAX;
        }

        d->n = (size_t) scc_test_range(&seed, 0,
                                       (round % 10) ? 40 : TEST_MAX);

        for (i = 0; i < d->n; i++) {
            tp = &d->place[i];
            p = &tp->place;

            memset(p, 0, sizeof(scc_place_t));

            (void) snprintf(tp->id, sizeof(tp->id), "%s%zu",
                            (i % 5) ? "" : "길\"\\/\n", i);
            (void) snprintf(tp->name, sizeof(tp->name), "%s%s",
                            test_names[scc_test_range(&seed, 0, 14)],
                            test_names[scc_test_range(&seed, 0, 14)]);

            p->lon = test_clamp(lon + scc_test_range(&seed, -90000, 90000),
                                SCC_LON_MAX);
            p->lat = test_clamp(lat + scc_test_range(&seed, -90000, 90000),
                                SCC_LAT_MAX);

            p->category = test_categories[scc_test_range(&seed, 0, 3)];
            p->registered = scc_test_range(&seed, 0, 2) > 0;
            p->first_floor = (scc_tri_t) scc_test_range(&seed, -1, 1);
            p->stair = (scc_stair_t) scc_test_range(&seed, 0, 4);
            p->slope = (scc_tri_t) scc_test_range(&seed, -1, 1);
        }

        test_blobs(d);

        rounds = 0;

        for (t.z = SCC_TILE_PLACES_Z; t.z <= SCC_CELL_Z; t.z++) {
            for (i = 0; i < d->n; i += 1 + d->n / 8) {
                t.x = scc_cell_x(d->place[i].place.lon) >> (16 - t.z);
                t.y = scc_cell_y(d->place[i].place.lat) >> (16 - t.z);
                test_check(d, &t);
                rounds++;
            }
        }

        assert_true(rounds > 0 || d->n == 0);
    }
}


/* A tile's corners, its last units, and the world's. */

static void
test_edges(void **state)
{
    size_t      i;
    uint32_t    x, y;
    scc_tile_t  t;

    static const struct {
        scc_tile_t  tile;
        int32_t     lon;
        int32_t     lat;
        uint32_t    x;
        uint32_t    y;
    } edges[] = {
        { { 13, 4096, 4096 }, 0, 0, 0, 0 },
        { { 16, 32768, 32768 }, 0, 0, 0, 0 },

        /* just west, just north: the last unit of the neighbour */
        { { 16, 32767, 32768 }, -1, 0, 4095, 0 },
        { { 16, 32768, 32767 }, 0, 1, 0, 4095 },

        /* half a unit: 360 / 2^28 / 2 degrees is 6.7 e7 units */
        { { 16, 32768, 32768 }, 6, -6, 0, 0 },
        { { 16, 32768, 32768 }, 7, -7, 1, 1 },

        { { 13, 0, 0 }, -SCC_LON_MAX, SCC_LAT_MAX, 0, 0 },
        { { 13, 8191, 8191 }, SCC_LON_MAX, -SCC_LAT_MAX, 4095, 4095 },
        { { 16, 65535, 65535 }, SCC_LON_MAX, -SCC_LAT_MAX, 4095, 4095 },
    };

    (void) state;

    for (i = 0; i < scc_test_items(edges); i++) {
        t = edges[i].tile;

        assert_int_equal(scc_cell_x(edges[i].lon) >> (16 - t.z), t.x);
        assert_int_equal(scc_cell_y(edges[i].lat) >> (16 - t.z), t.y);

        scc_tile_point(&t, edges[i].lon, edges[i].lat, &x, &y);

        assert_int_equal(x, edges[i].x);
        assert_int_equal(y, edges[i].y);
    }
}


static void
test_empty(void **state)
{
    test_tiles_t  *d = &test_tiles;

    static const scc_tile_t  t = { 14, 13972, 6343 };
    static const uint8_t  want[] = {
        0x1a, 0x0d, 0x0a, 0x06, 'p', 'l', 'a', 'c', 'e', 's', 0x78, 0x02,
        0x28, 0x80, 0x20
    };

    (void) state;

    scc_buf_reset(&d->out);
    assert_int_equal(scc_tile_places(&d->mvt, &t, NULL, 0, &d->out), SCC_OK);
    assert_int_equal(d->out.used, 15);
    assert_memory_equal(d->out.start, want, 15);
}


static void
test_ids(void **state)
{
    (void) state;

    /* FNV-1a's own test vectors, folded */

    assert_true(scc_tile_id(S("a")) == (0xaf63dc4c8601ec8c >> 53
                                 ^ (0xaf63dc4c8601ec8c & 0x1fffffffffffff)));
    assert_true(scc_tile_id(S("foobar")) == (0x85944171f73967e8 >> 53
                                 ^ (0x85944171f73967e8 & 0x1fffffffffffff)));
}


/* A blob that is sound, with fragments nobody of us wrote. */

static void
test_foreign(void **state)
{
    size_t           i, at, size;
    uint8_t         *p;
    uint32_t         crc;
    scc_str_t        frag;
    test_tiles_t    *d = &test_tiles;
    scc_view_cell_t  cell;

    static const scc_tile_t  t = { 16, 32768, 32768 };
    static const uint8_t  zero[4];
    static const struct {
        const char  *find;
        const char  *put;
    } changes[] = {
        { "Feature", "feature" },
        { "\"id\":\"", "\"id\":[\"" },
        { "Point", "point" },
        { "name", "nama" },
        { "\"name\":\"", "\"name\":nul" },
        { "\\n", "\\q" },
        { "\\u0001", "\\uD834" },
        { "\\u0001", "\\u00e9" },
    };

    (void) state;

    d->n = 1;
    memset(&d->place[0], 0, sizeof(test_place_t));
    (void) strcpy(d->place[0].id, "1");
    (void) strcpy(d->place[0].name, "x\n\x01");

    for (i = 0; i < scc_test_items(changes); i++) {
        test_blobs(d);

        p = d->blobs[0].start;
        size = d->blobs[0].used;
        frag = d->cells[0].blob.frags;

        for (at = (size_t) (frag.data - p); at < size; at++) {
            if (memcmp(p + at, changes[i].find, strlen(changes[i].find))
                == 0)
            {
                memcpy(p + at, changes[i].put, strlen(changes[i].put));
                break;
            }
        }

        assert_true(at < size);

        crc = scc_crc32c(0, p + 40, 20);
        crc = scc_crc32c(crc, zero, 4);
        crc = scc_crc32c(crc, p + SCC_BLOB_HEADER, size - SCC_BLOB_HEADER);

        for (at = 0; at < 4; at++) {
            p[60 + at] = (uint8_t) (crc >> (8 * at));
        }

        cell.key = d->cells[0].key;
        assert_int_equal(scc_blob_open(scc_buf_get(&d->blobs[0]),
                                       &cell.blob), SCC_OK);

        scc_buf_reset(&d->out);
        assert_int_equal(scc_tile_places(&d->mvt, &t, &cell, 1, &d->out),
                         SCC_DECLINED);
    }
}


/* The longest name the store may hold, all of it escaped. */

static void
test_long_name(void **state)
{
    char                  name[SCC_NAME_MAX + 1];
    test_layer_t          layer;
    test_tiles_t         *d = &test_tiles;
    const test_value_t   *v;

    static const scc_tile_t  t = { 16, 32768, 32768 };

    (void) state;

    memset(name, 1, SCC_NAME_MAX);
    name[SCC_NAME_MAX] = '\0';

    d->n = 1;
    memset(&d->place[0], 0, sizeof(test_place_t));
    (void) strcpy(d->place[0].id, "1");
    d->place[0].place.id = S("1");
    d->place[0].place.name = scc_test_z(name);

    scc_blob_begin(&d->bb);
    assert_int_equal(scc_blob_add(&d->bb, &d->place[0].place), SCC_OK);
    scc_buf_reset(&d->blobs[0]);
    assert_int_equal(scc_blob_finish(&d->bb, 1, &d->blobs[0]), SCC_OK);
    assert_int_equal(scc_blob_open(scc_buf_get(&d->blobs[0]),
                                   &d->cells[0].blob), SCC_OK);

    scc_buf_reset(&d->out);
    assert_int_equal(scc_tile_places(&d->mvt, &t, d->cells, 1, &d->out),
                     SCC_OK);

    test_mvt_read(scc_buf_get(&d->out), &layer);
    v = test_tag(&layer, &layer.features[0], "name");
    test_is_str(v, scc_test_z(name));
    test_mvt_free(&layer);
}


/* The writer says no instead of writing what is no tile. */

static void
test_writer(void **state)
{
    uint32_t       i;
    test_tiles_t  *d = &test_tiles;
    scc_mvt_t     *m = &d->mvt;

    static const scc_str_t  name = scc_string("n");
    static const scc_str_t  keys[] = { scc_string("a"), scc_string("b") };

    (void) state;

    for (i = 0; i < 4; i++) {
        scc_buf_reset(&d->out);
        scc_mvt_begin(m, &name, keys, 2);
        scc_mvt_feature(m, 1, (i == 0) ? 4096 : 0, (i == 1) ? 4096 : 0);
        scc_mvt_tag_uint(m, (i == 2) ? 2 : 1, UINT64_MAX);
        scc_mvt_feature_end(m);

        assert_int_equal(scc_mvt_finish(m, &d->out),
                         (i < 3) ? SCC_ERROR : SCC_OK);
    }

    scc_mvt_begin(m, &name, keys, 2);
    scc_mvt_feature(m, 1, 0, 0);

    for (i = 0; i <= SCC_MVT_TAGS_MAX; i++) {
        scc_mvt_tag_bool(m, 0, true);
    }

    scc_mvt_feature_end(m);
    assert_int_equal(scc_mvt_finish(m, &d->out), SCC_ERROR);
}


/* Numbers and strings that look alike stay apart; large tables grow. */

static void
test_values(void **state)
{
    char                  text[16];
    uint64_t              i;
    test_layer_t          layer;
    test_tiles_t         *d = &test_tiles;
    scc_mvt_t            *m = &d->mvt;

    static const scc_str_t  name = scc_string("n");
    static const scc_str_t  keys[] = {
        scc_string("u"), scc_string("s"), scc_string("b")
    };

    (void) state;

    scc_mvt_begin(m, &name, keys, 3);

    for (i = 0; i < 2000; i++) {
        (void) snprintf(text, sizeof(text), "%u", (unsigned) i / 2);
        scc_mvt_feature(m, i, (uint32_t) i, 4095 - (uint32_t) i);
        scc_mvt_tag_uint(m, 0, i / 2);
        scc_mvt_tag_str(m, 1, scc_test_z(text));
        scc_mvt_tag_bool(m, 2, i & 1);
        scc_mvt_feature_end(m);
    }

    scc_buf_reset(&d->out);
    assert_int_equal(scc_mvt_finish(m, &d->out), SCC_OK);

    test_mvt_read(scc_buf_get(&d->out), &layer);

    assert_int_equal(layer.n, 2000);
    assert_int_equal(layer.n_values, 2002);

    for (i = 0; i < 2000; i++) {
        (void) snprintf(text, sizeof(text), "%u", (unsigned) i / 2);
        assert_int_equal(layer.features[i].tag[0]->n, i / 2);
        assert_int_equal(layer.features[i].tag[0]->type, 5);
        test_is_str(layer.features[i].tag[1], scc_test_z(text));
        test_is_bool(layer.features[i].tag[2], (i & 1) ? SCC_YES : SCC_NO);
    }

    test_mvt_free(&layer);
}


static int
test_setup(void **state)
{
    size_t         i;
    test_tiles_t  *d = &test_tiles;

    (void) state;

    for (i = 0; i < TEST_MAX; i++) {
        scc_buf_heap(&d->blobs[i], 0);
    }

    scc_blob_builder_init(&d->bb);
    scc_mvt_init(&d->mvt);
    scc_buf_heap(&d->out, 0);

    return 0;
}


static int
test_teardown(void **state)
{
    size_t         i;
    test_tiles_t  *d = &test_tiles;

    (void) state;

    for (i = 0; i < TEST_MAX; i++) {
        scc_buf_free(&d->blobs[i]);
    }

    scc_blob_builder_free(&d->bb);
    scc_mvt_free(&d->mvt);
    scc_buf_free(&d->out);

    return 0;
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_writer),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
