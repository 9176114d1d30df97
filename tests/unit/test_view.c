
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_view.h"


#define TEST_PLACES  160
#define TEST_CELLS   4096


typedef struct {
    uint32_t            key;
    char                id[32];
    scc_place_t         place;
} test_place_t;


typedef struct {
    size_t              n;
    test_place_t        place[TEST_PLACES];

    size_t              n_blobs;        /* of cells that hold a place */
    uint32_t            key[TEST_PLACES];
    scc_buf_t           blob[TEST_PLACES];
    scc_buf_t           empty;
    scc_blob_builder_t  bb;

    uint32_t            keys[TEST_CELLS];
    scc_view_cell_t     cells[TEST_CELLS];
} test_data_t;


static const scc_query_conf_t  test_conf = { 10, 1000, 256 };

static const scc_str_t  test_categories[] = {
    scc_null_string, scc_string("CAFE"), scc_string("카페 & bar")
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


/* Places around a corner of four cells, some stacked, some of them off. */

static void
test_make(test_data_t *d, uint64_t *seed, int32_t lon, int32_t lat,
    size_t n)
{
    size_t        i, j;
    test_place_t  *tp;
    scc_place_t   *p;

    d->n = n;

    for (i = 0; i < n; i++) {
        tp = &d->place[i];
        p = &tp->place;

        memset(p, 0, sizeof(scc_place_t));
        (void) snprintf(tp->id, sizeof(tp->id), "%s%llu-%zu",
                        (i % 7) ? "" : "길/",
                        (unsigned long long) scc_test_range(seed, 0, 999),
                        i);

        p->name = S("이름 \"1\"");
        p->lon = lon + (int32_t) scc_test_range(seed, -60000, 60000);
        p->lat = lat + (int32_t) scc_test_range(seed, -50000, 50000);

        if (i && scc_test_range(seed, 0, 3) == 0) {
            p->lon = d->place[i - 1].place.lon;
            p->lat = d->place[i - 1].place.lat;
        }

        if (p->lon > SCC_LON_MAX) {
            p->lon = (int32_t) (p->lon - 2 * (int64_t) SCC_LON_MAX);
        }

        p->category = test_categories[scc_test_range(seed, 0, 2)];
        p->registered = scc_test_range(seed, 0, 2) > 0;
        p->first_floor = SCC_YES;
        p->stair = (scc_stair_t) scc_test_range(seed, 0, 4);
        p->slope = (scc_tri_t) scc_test_range(seed, -1, 1);

        tp->key = scc_cell_key(scc_cell_x(p->lon), scc_cell_y(p->lat));
    }

    qsort(d->place, n, sizeof(test_place_t), test_order);

    d->n_blobs = 0;

    for (i = 0; i < n; i = j) {
        scc_blob_begin(&d->bb);

        for (j = i; j < n && d->place[j].key == d->place[i].key; j++) {
            tp = &d->place[j];
            tp->place.id = scc_test_z(tp->id);
            assert_int_equal(scc_blob_add(&d->bb, &tp->place), SCC_OK);
        }

        scc_buf_reset(&d->blob[d->n_blobs]);
        assert_int_equal(scc_blob_finish(&d->bb, 1, &d->blob[d->n_blobs]),
                         SCC_OK);
        d->key[d->n_blobs++] = d->place[i].key;
    }
}


static test_data_t *
test_data(void)
{
    size_t        i;
    test_data_t  *d;

    d = test_calloc(1, sizeof(test_data_t));

    for (i = 0; i < TEST_PLACES; i++) {
        scc_buf_heap(&d->blob[i], 0);
    }

    scc_buf_heap(&d->empty, 0);
    scc_blob_builder_init(&d->bb);
    scc_blob_begin(&d->bb);
    assert_int_equal(scc_blob_finish(&d->bb, 0, &d->empty), SCC_OK);

    return d;
}


static void
test_data_free(test_data_t *d)
{
    size_t  i;

    for (i = 0; i < TEST_PLACES; i++) {
        scc_buf_free(&d->blob[i]);
    }

    scc_buf_free(&d->empty);
    scc_blob_builder_free(&d->bb);
    test_free(d);
}


/* The cells of a query, as the cache would give them. */

static size_t
test_cells(test_data_t *d, const scc_query_t *q)
{
    size_t      i, j, n;
    scc_buf_t  *b;

    n = (q->route == SCC_ROUTE_PLACES)
        ? scc_area_keys(&q->area, d->keys, TEST_CELLS)
        : scc_cells_keys(&q->cells, d->keys, TEST_CELLS);

    assert_true(n <= TEST_CELLS);

    for (i = 0, j = 0; i < n; i++) {

        while (j < d->n_blobs && d->key[j] < d->keys[i]) {
            j++;
        }

        b = (j < d->n_blobs && d->key[j] == d->keys[i]) ? &d->blob[j]
                                                         : &d->empty;
        d->cells[i].key = d->keys[i];
        assert_int_equal(scc_blob_open(scc_buf_get(b), &d->cells[i].blob),
                         SCC_OK);
    }

    return n;
}


static bool
test_wanted(const scc_query_t *q, const test_place_t *tp)
{
    unsigned             level;
    const scc_place_t   *p;
    const scc_filter_t  *f;

    p = &tp->place;
    f = &q->filter;
    level = scc_place_level(p);

    return scc_area_has(&q->area, p->lon, p->lat)
           && (f->level_max == SCC_LEVEL_UNKNOWN
               || (level <= SCC_LEVEL_MAX && level <= f->level_max))
           && (f->registered == SCC_UNKNOWN
               || (f->registered == SCC_YES) == p->registered)
           && (f->slope == SCC_UNKNOWN || f->slope == p->slope)
           && (f->category.len == 0
               || scc_str_eq(f->category, p->category));
}


/* The page as it must be, from the places themselves. */

static void
test_expect(test_data_t *d, const scc_query_t *q, scc_buf_t *b,
    size_t *matched, size_t *returned, bool *more, scc_str_t *href)
{
    size_t               i, at;
    scc_buf_t            features;
    const test_place_t  *tp, *last;
    const scc_filter_t  *f;

    scc_buf_heap(&features, 0);

    *matched = 0;
    *returned = 0;
    *more = false;
    last = NULL;
    f = &q->filter;

    for (i = 0; i < d->n; i++) {
        tp = &d->place[i];

        if (!test_wanted(q, tp)) {
            continue;
        }

        ++*matched;

        if (q->cursor.set
            && (tp->key < q->cursor.cell
                || (tp->key == q->cursor.cell
                    && scc_str_cmp(tp->place.id, q->cursor.id) <= 0)))
        {
            continue;
        }

        if (*returned == q->limit) {
            *more = true;
            continue;
        }

        scc_buf_text(&features, *returned ? "," : "");
        scc_place_feature(&features, &tp->place);
        ++*returned;
        last = tp;
    }

    scc_buf_reset(b);
    scc_buf_text(b, "{\"type\":\"FeatureCollection\",\"numberMatched\":");
    scc_buf_uint(b, *matched);
    scc_buf_text(b, ",\"numberReturned\":");
    scc_buf_uint(b, *returned);
    scc_buf_text(b, ",\"links\":[");

    href->len = 0;
    at = 0;

    if (*more) {
        scc_buf_text(b, "{\"rel\":\"next\",\"type\":\"application/geo+json\""
                     ",\"href\":\"");

        at = b->used;

        scc_buf_text(b, "places?bbox=");
        scc_buf_urlencode(b, q->bbox);
        scc_buf_text(b, "&limit=");
        scc_buf_uint(b, q->limit);

        if (f->level_max != SCC_LEVEL_UNKNOWN) {
            scc_buf_text(b, "&level_max=");
            scc_buf_uint(b, f->level_max);
        }

        if (f->registered != SCC_UNKNOWN) {
            scc_buf_text(b, "&registered=");
            scc_buf_text(b, f->registered == SCC_YES ? "true" : "false");
        }

        if (f->slope != SCC_UNKNOWN) {
            scc_buf_text(b, "&has_slope=");
            scc_buf_text(b, f->slope == SCC_YES ? "true" : "false");
        }

        if (f->category.len) {
            scc_buf_text(b, "&category=");
            scc_buf_urlencode(b, f->category);
        }

        scc_buf_text(b, "&cursor=");
        scc_cursor_write(b, last->key, last->place.id);

        href->len = b->used - at;

        scc_buf_text(b, "\"}");
    }

    scc_buf_text(b, "],\"features\":[");
    scc_buf_str(b, scc_buf_get(&features));
    scc_buf_text(b, "]}");

    assert_false(b->error || features.error);

    href->data = b->start + at;

    scc_buf_free(&features);
}


/* A part lies where it says; a whole cell is its blob's one slice. */

static void
test_part(void *data, const scc_view_part_t *part)
{
    const scc_str_t   *frags;
    const scc_view_t  *v = data;

    if (part->cell == SCC_VIEW_NO_CELL) {
        assert_false(part->whole);
        return;
    }

    assert_true(part->cell < v->n_cells);
    assert_true(part->bytes.len != 0);

    frags = &v->cells[part->cell].blob.frags;

    assert_true(part->bytes.data >= frags->data);
    assert_true(part->bytes.data + part->bytes.len
                <= frags->data + frags->len);
    assert_int_equal(part->whole, part->bytes.len == frags->len);
}


static void
test_measure_and_write(test_data_t *d, const scc_query_t *q, scc_view_t *v,
    scc_str_t expect)
{
    uint8_t  *out;

    memset(v, 0xee, sizeof(scc_view_t));
    v->q = q;
    v->cells = d->cells;
    v->n_cells = test_cells(d, q);

    assert_int_equal(scc_view_measure(v), SCC_OK);
    assert_int_equal(v->size, expect.len);

    out = test_malloc(v->size);
    assert_ptr_equal(scc_view_write(v, out), out + v->size);
    assert_memory_equal(out, expect.data, expect.len);
    test_free(out);

    scc_view_parts(v, test_part, v);
}


static void
test_decimal(char *text, size_t size, int64_t w, int64_t s, int64_t e,
    int64_t n)
{
    (void) snprintf(text, size, "bbox=%lld.%07lld,%lld.%07lld,"
                    "%lld.%07lld,%lld.%07lld",
                    (long long) (w / 10000000), (long long) (w % 10000000),
                    (long long) (s / 10000000), (long long) (s % 10000000),
                    (long long) (e / 10000000), (long long) (e % 10000000),
                    (long long) (n / 10000000), (long long) (n % 10000000));
}


/* Follows "next" from page to page, as a client would. */

static size_t
test_walk(test_data_t *d, const char *args)
{
    char         next[4096];
    bool         more;
    size_t       matched, returned, first, sum, pages;
    scc_rc_t     rc;
    scc_str_t    href, path;
    scc_buf_t    expect;
    scc_err_t    err;
    scc_view_t   v;
    scc_query_t  q;

    scc_buf_heap(&expect, 0);

    (void) snprintf(next, sizeof(next), "places?%s", args);
    path = S("places");
    sum = 0;
    first = 0;
    pages = 0;

    do {
        assert_int_equal(scc_query_path(&q, &test_conf, path, &err), SCC_OK);

        rc = scc_query_args(&q, &test_conf, scc_test_z(next + 7), &err);

        if (rc != SCC_OK) {
            fail_msg("%s: %s", next, err.text);
        }

        test_expect(d, &q, &expect, &matched, &returned, &more, &href);
        test_measure_and_write(d, &q, &v, scc_buf_get(&expect));

        assert_int_equal(v.matched, matched);
        assert_int_equal(v.returned, returned);
        assert_int_equal(v.more, more);

        if (pages++ == 0) {
            first = matched;
        }

        assert_int_equal(matched, first);
        sum += returned;

        if (more) {
            assert_true(href.len < sizeof(next));
            memcpy(next, href.data, href.len);
            next[href.len] = '\0';
        }

    } while (more);

    /* a page that is just full is the last one */

    assert_int_equal(sum, first);
    assert_int_equal(pages, sum ? (sum + q.limit - 1) / q.limit : 1);

    scc_buf_free(&expect);

    return sum;
}


static void
test_pages(void **state)
{
    int           round, i;
    char          args[512];
    size_t        found;
    int64_t       w, s, e, n, t;
    uint64_t      seed;
    test_data_t  *d;

    /* corners of four cells; the last has its places across +-180 */

    static const int32_t  lon = 1269799804, lat = 375662000;

    static const char *const  limits[] = {
        "", "&limit=1", "&limit=2", "&limit=3", "&limit=7", "&limit=1000"
    };

    static const char *const  filters[] = {
        "", "", "", "&registered=true", "&registered=false",
        "&has_slope=true", "&has_slope=false", "&level_max=2",
        "&level_max=5&registered=true", "&category=CAFE",
        "&category=%EC%B9%B4%ED%8E%98+%26+bar&level_max=3", "&category=X"
    };

    (void) state;

    d = test_data();
    seed = 8;
    found = 0;

    for (round = 0; round < 60; round++) {
        test_make(d, &seed, lon, lat,
                  (size_t) scc_test_range(&seed, 0, TEST_PLACES));

        for (i = 0; i < 12; i++) {

            w = lon + scc_test_range(&seed, -90000, 90000);
            e = lon + scc_test_range(&seed, -90000, 90000);
            s = lat + scc_test_range(&seed, -90000, 90000);
            n = lat + scc_test_range(&seed, -90000, 90000);

            if (i % 3 == 0) {
                w = lon - 90000;
                e = lon + 90000;
                s = lat - 90000;
                n = lat + 90000;

            } else if (i % 3 == 1 && d->n) {

                /* edges through places, or one place's point */

                w = d->place[scc_test_range(&seed, 0, (int64_t) d->n - 1)]
                    .place.lon;
                s = d->place[scc_test_range(&seed, 0, (int64_t) d->n - 1)]
                    .place.lat;

                if (i == 1) {
                    w = d->place[0].place.lon;
                    s = d->place[0].place.lat;
                    e = w;
                    n = s;
                }
            }

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

            test_decimal(args, sizeof(args), w, s, e, n);

            (void) snprintf(args + strlen(args), 200, "%s%s",
                            limits[scc_test_range(&seed, 0, 5)],
                            filters[scc_test_range(&seed, 0, 11)]);

            found += test_walk(d, args);
        }
    }

    assert_true(found > 5000);

    test_data_free(d);
}


static void
test_antimeridian(void **state)
{
    int           i;
    size_t        j, found;
    uint64_t      seed;
    test_data_t  *d;
    scc_place_t  *p;

    (void) state;

    d = test_data();
    seed = 12;

    for (i = 0; i < 10; i++) {
        test_make(d, &seed, 1799950000, 375662000, 40);
        found = test_walk(d, "bbox=179.98,37.5,-179.98,37.6&limit=7");
        assert_int_equal(found, test_walk(d, "bbox=179.98,37.5,180.02,37.6"));
        assert_int_equal(found, test_walk(d,
                                       "bbox=-180.02,37.5,-179.98,37.6"));

        for (j = 0; j < d->n; j++) {
            p = &d->place[j].place;
            found -= (p->lon >= 1799800000 || p->lon <= -1799800000);
        }

        assert_int_equal(found, 0);
    }

    test_data_free(d);
}


static void
test_whole_cells(void **state)
{
    size_t        i, n;
    uint64_t      seed;
    scc_buf_t     expect;
    scc_err_t     err;
    scc_view_t    v;
    scc_query_t   q;
    test_data_t  *d;

    static const char *const  paths[] = {
        "cells/16/55880-55885/25376-25382.json", "tiles/13/6985/3172.json",
        "cells/16/0-0/0-0.json"
    };

    (void) state;

    d = test_data();
    seed = 3;
    scc_buf_heap(&expect, 0);

    for (i = 0; i < 60; i++) {
        test_make(d, &seed, 1269799804, 375662000,
                  (size_t) scc_test_range(&seed, 0, TEST_PLACES));

        assert_int_equal(scc_query_path(&q, &test_conf,
                                        scc_test_z(paths[i % 3]), &err),
                         SCC_OK);

        scc_buf_reset(&expect);
        scc_buf_text(&expect, "{\"type\":\"FeatureCollection\","
                     "\"numberMatched\":");
        n = (i % 3 == 2) ? 0 : d->n;
        scc_buf_uint(&expect, n);
        scc_buf_text(&expect, ",\"numberReturned\":");
        scc_buf_uint(&expect, n);
        scc_buf_text(&expect, ",\"features\":[");

        for (n = 0; n < d->n && i % 3 != 2; n++) {
            scc_buf_text(&expect, n ? "," : "");
            scc_place_feature(&expect, &d->place[n].place);
        }

        scc_buf_text(&expect, "]}");

        test_measure_and_write(d, &q, &v, scc_buf_get(&expect));
        assert_false(v.more);
    }

    scc_buf_free(&expect);
    test_data_free(d);
}


static void
test_head(void **state)
{
    uint8_t       block[512];
    scc_buf_t     b;
    scc_err_t     err;
    scc_query_t   q;
    scc_cursor_t  next;

    (void) state;

    assert_int_equal(scc_query_path(&q, &test_conf, S("places"), &err),
                     SCC_OK);
    assert_int_equal(scc_query_args(&q, &test_conf, S("bbox=1,2,3,4"), &err),
                     SCC_OK);

    scc_buf_fixed(&b, block, sizeof(block));
    scc_view_head(&b, &q, UINT64_MAX, 0, NULL);
    scc_view_tail(&b);
    assert_str(scc_buf_get(&b), "{\"type\":\"FeatureCollection\","
               "\"numberReturned\":0,\"links\":[],\"features\":[]}");

    next.set = true;
    next.cell = 0;
    next.id = S("a");

    scc_buf_fixed(&b, block, sizeof(block));
    scc_view_head(&b, &q, 9, 2, &next);
    assert_str(scc_buf_get(&b), "{\"type\":\"FeatureCollection\","
               "\"numberMatched\":9,\"numberReturned\":2,\"links\":["
               "{\"rel\":\"next\",\"type\":\"application/geo+json\","
               "\"href\":\"places?bbox=1%2C2%2C3%2C4&limit=10"
               "&cursor=AQAAAABh\"}],\"features\":[");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_antimeridian),
        cmocka_unit_test(test_whole_cells),
        cmocka_unit_test(test_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
