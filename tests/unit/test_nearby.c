
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_nearby.h"

#include <math.h>


#define TEST_PLACES  600
#define TEST_HITS    SCC_NEARBY_K_MAX


typedef struct {
    uint32_t            key;
    uint64_t            distance;
    char                id[32];
    scc_place_t         place;
} test_place_t;


typedef struct {
    size_t              n;
    test_place_t        place[TEST_PLACES];

    size_t              n_blobs;        /* of cells that hold a place */
    uint32_t            key[TEST_PLACES];
    scc_buf_t           blob[TEST_PLACES];
    scc_blob_builder_t  bb;
} test_data_t;


static const scc_query_conf_t  test_conf = { 10, 1000, 256 };

/* where the search could go wrong, and Seoul */

static const struct {
    int32_t             lon;
    int32_t             lat;
} test_centres[] = {
    { 1269780000, 375665000 },
    { 1269780000, -375665000 },
    { 0, 0 },
    { 1799999000, 375665000 },
    { -1800000000, 0 },
    { 1800000000, -665000000 },
    { 245000000, 600000000 },
    { -1799999990, 850400000 },         /* beside the last row */
    { 10, 850511287 },
    { -900000000, -850700000 },
    { 1799990000, 878000000 },
    { 450000000, 899700000 },           /* the pole is within the radius */
    { -450000000, -899999990 },
    { 123, 900000000 },
};


static int
test_by_cell(const void *a, const void *b)
{
    const test_place_t  *x, *y;

    x = a;
    y = b;

    if (x->key != y->key) {
        return (x->key > y->key) - (x->key < y->key);
    }

    return strcmp(x->id, y->id);
}


static int
test_by_distance(const void *a, const void *b)
{
    const test_place_t  *x, *y;

    x = *(const test_place_t *const *) a;
    y = *(const test_place_t *const *) b;

    if (x->distance != y->distance) {
        return (x->distance > y->distance) - (x->distance < y->distance);
    }

    return strcmp(x->id, y->id);
}


static int32_t
test_turn(int64_t lon)
{
    if (lon > SCC_LON_MAX) {
        lon -= 2 * (int64_t) SCC_LON_MAX;
    }

    if (lon < -SCC_LON_MAX) {
        lon += 2 * (int64_t) SCC_LON_MAX;
    }

    return (int32_t) lon;
}


/* Places within some metres of a centre, many of them stacked. */

static void
test_make(test_data_t *d, uint64_t *seed, int32_t lon, int32_t lat,
    int64_t spread, size_t n)
{
    size_t        i, j;
    double        c;
    int64_t       dlon, dlat, at;
    test_place_t  *tp;
    scc_place_t   *p;

    d->n = n;

    /* 90 e7 units are a metre of latitude */

    dlat = spread * 90;
    c = cos(lat * 3.14159265358979 / 180e7);
    dlon = (c * 1800000000.0 > (double) dlat) ? (int64_t) ((double) dlat / c)
                                              : 1800000000;

    for (i = 0; i < n; i++) {
        tp = &d->place[i];
        p = &tp->place;

        memset(p, 0, sizeof(scc_place_t));
        (void) snprintf(tp->id, sizeof(tp->id), "%03llu-%zu",
                        (unsigned long long) scc_test_range(seed, 0, 999), i);

        p->name = S("이름");
        p->lon = test_turn(lon + scc_test_range(seed, -dlon, dlon));

        at = lat + scc_test_range(seed, -dlat, dlat);

        if (at > SCC_LAT_MAX || at < -SCC_LAT_MAX) {
            at = (at > 0) ? SCC_LAT_MAX : -SCC_LAT_MAX;
        }

        p->lat = (int32_t) at;

        switch (i ? scc_test_range(seed, 0, 7) : 7) {

        case 0:
            p->lon = d->place[i - 1].place.lon;
            p->lat = d->place[i - 1].place.lat;
            break;

        case 1:
            /* as far away on the other side */
            p->lon = test_turn(2 * (int64_t) lon
                               - d->place[i - 1].place.lon);
            p->lat = d->place[i - 1].place.lat;
            break;
        }

        p->registered = scc_test_range(seed, 0, 2) > 0;
        p->first_floor = SCC_YES;
        p->stair = (scc_stair_t) scc_test_range(seed, 0, 4);
        p->slope = (scc_tri_t) scc_test_range(seed, -1, 1);
        p->category = scc_test_range(seed, 0, 1) ? S("CAFE") : S("카페");

        tp->key = scc_cell_key(scc_cell_x(p->lon), scc_cell_y(p->lat));
    }

    qsort(d->place, n, sizeof(test_place_t), test_by_cell);

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


static void
test_query(scc_query_t *q, int32_t lon, int32_t lat, uint32_t k,
    uint32_t radius, const char *filter)
{
    uint8_t    block[256];
    scc_buf_t  b;
    scc_err_t  err;

    scc_buf_fixed(&b, block, sizeof(block));
    scc_buf_text(&b, "lng=");
    scc_buf_e7(&b, lon);
    scc_buf_text(&b, "&lat=");
    scc_buf_e7(&b, lat);
    scc_buf_text(&b, "&k=");
    scc_buf_uint(&b, k);
    scc_buf_text(&b, "&radius=");
    scc_buf_uint(&b, radius);
    scc_buf_text(&b, filter);

    assert_int_equal(scc_query_path(q, &test_conf, S("nearby"), &err),
                     SCC_OK);
    assert_int_equal(scc_query_args(q, &test_conf, scc_buf_get(&b), &err),
                     SCC_OK);
}


static void
test_search(const test_data_t *d, scc_nearby_t *nb, const scc_query_t *q,
    size_t max, size_t *cells)
{
    size_t       i, j, n;
    uint32_t     keys[64], last;
    unsigned     c;
    scc_blob_t   blob;

    scc_nearby_init(nb, q);

    *cells = 0;
    last = 0;

    while ((n = scc_nearby_next(nb, keys, max)) != 0) {
        assert_true(n <= max);
        *cells += n;

        for (i = 0; i < n; i++) {
            assert_true(i == 0 || keys[i] > last);
            last = keys[i];

            for (c = 0; c < nb->n_cover; c++) {
                if (scc_cell_key_x(last) >= nb->cover[c].x0
                    && scc_cell_key_x(last) <= nb->cover[c].x1
                    && scc_cell_key_y(last) >= nb->cover[c].y0
                    && scc_cell_key_y(last) <= nb->cover[c].y1)
                {
                    break;
                }
            }

            assert_true(c < nb->n_cover);

            for (j = 0; j < d->n_blobs; j++) {
                if (d->key[j] == last) {
                    assert_int_equal(scc_blob_open(scc_buf_get(&d->blob[j]),
                                                   &blob), SCC_OK);
                    scc_nearby_cell(nb, &blob);
                }
            }
        }
    }
}


/* The same without cells, rings or bounds. */

static void
test_compare(test_data_t *d, const scc_nearby_t *nb)
{
    size_t               i, n;
    unsigned             level;
    test_place_t        *tp, *want[TEST_PLACES];
    const scc_query_t   *q;
    const scc_filter_t  *f;

    q = nb->q;
    f = &q->filter;
    n = 0;

    for (i = 0; i < d->n; i++) {
        tp = &d->place[i];
        level = scc_place_level(&tp->place);

        tp->distance = scc_nearby_distance(nb, tp->place.lon, tp->place.lat);

        if (tp->distance > q->radius * UINT64_C(1000000)
            || (f->level_max != SCC_LEVEL_UNKNOWN
                && (level == SCC_LEVEL_UNKNOWN || level > f->level_max))
            || (f->registered != SCC_UNKNOWN
                && tp->place.registered != (f->registered == SCC_YES))
            || (f->slope != SCC_UNKNOWN && tp->place.slope != f->slope)
            || (f->category.len
                && !scc_str_eq(f->category, tp->place.category)))
        {
            continue;
        }

        want[n++] = tp;
    }

    qsort(want, n, sizeof(test_place_t *), test_by_distance);

    assert_int_equal(nb->n, (n < q->k) ? n : q->k);

    for (i = 0; i < nb->n; i++) {
        assert_str(nb->hits[i].id, want[i]->id);
        assert_true(nb->hits[i].distance == want[i]->distance);
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

    scc_blob_builder_init(&d->bb);

    return d;
}


static void
test_data_free(test_data_t *d)
{
    size_t  i;

    for (i = 0; i < TEST_PLACES; i++) {
        scc_buf_free(&d->blob[i]);
    }

    scc_blob_builder_free(&d->bb);
    test_free(d);
}


static void
test_brute_force(void **state)
{
    size_t        i, j, cells;
    int64_t       spread;
    uint32_t      k, radius;
    uint64_t      seed, found;
    test_data_t  *d;
    scc_query_t   q;
    scc_nearby_t  nb;

    static const char *const  filters[] = {
        "", "", "", "", "&registered=false", "&registered=true&level_max=2",
        "&has_slope=true", "&has_slope=false&category=CAFE",
        "&category=none"
    };
    static const int64_t   spreads[] = { 30, 600, 3000, 9000 };
    static const uint32_t  radii[] = { 1, 50, 300, 1000, 2500, 5000 };

    (void) state;

    seed = 7;
    found = 0;
    d = test_data();

    for (i = 0; i < scc_test_items(test_centres) * 4; i++) {
        spread = spreads[i % 4];

        test_make(d, &seed, test_centres[i / 4].lon, test_centres[i / 4].lat,
                  spread, (i % 3) ? TEST_PLACES : 40);

        for (j = 0; j < 18; j++) {
            k = (uint32_t) scc_test_range(&seed, 1, 50);
            radius = radii[scc_test_range(&seed, 0, 5)];

            if (j % 2) {
                test_query(&q, test_centres[i / 4].lon,
                           test_centres[i / 4].lat, k, radius,
                           filters[j % scc_test_items(filters)]);

            } else {
                /* on a place, or beside it */
                test_query(&q, test_turn(d->place[j].place.lon
                                         + (int64_t) (j % 4)),
                           d->place[j].place.lat, k, radius,
                           filters[j % scc_test_items(filters)]);
            }

            test_search(d, &nb, &q,
                        (size_t) scc_test_range(&seed, 1, 64), &cells);
            test_compare(d, &nb);

            found += nb.n;
        }
    }

    assert_true(found > 8000);

    test_data_free(d);
}


/* Bounds hold for every place, whatever the direction. */

static void
test_bounds(void **state)
{
    size_t        i, j;
    double        x, y, lo, hi, d, wrap;
    int32_t       lon, lat;
    uint64_t      seed;
    scc_query_t   q;
    scc_nearby_t  nb;

    (void) state;

    seed = 11;

    for (i = 0; i < scc_test_items(test_centres); i++) {
        test_query(&q, test_centres[i].lon, test_centres[i].lat, 1, 5000,
                   "");
        scc_nearby_init(&nb, &q);

        for (j = 0; j < 2000; j++) {
            lon = test_turn(q.lon + scc_test_range(&seed, -900000, 900000));
            lat = q.lat + (int32_t) scc_test_range(&seed, -450000, 450000);

            if (lat > SCC_LAT_MAX || lat < -SCC_LAT_MAX) {
                continue;
            }

            d = (double) scc_nearby_distance(&nb, lon, lat) / 1e6;

            if (d > 5000) {
                continue;
            }

            wrap = fabs((double) lon - q.lon);
            x = fmin(wrap, 3600000000.0 - wrap);
            y = fabs((double) lat - q.lat);

            lo = hypot(x * nb.lo_lon, y * nb.lo_lat);
            hi = hypot(x * nb.hi_lon, y * nb.hi_lat);

            assert_true(lo <= d + 2e-6);
            assert_true(hi >= d - 2e-6);
        }
    }
}


/* By PROJ's geodesic (C. Karney), as PostGIS uses it. */

static void
test_distance(void **state)
{
    size_t        i;
    uint64_t      d;
    scc_query_t   q;
    scc_nearby_t  nb;

    static const struct {
        int32_t         lon1, lat1, lon2, lat2;
        double          metres;
    } known[] = {
        { 1269780000, 375665000, 1269780001, 375665000,
          0.0088347 },
        { 1269780000, 375665000, 1269780000, 375665001,
          0.01109883 },
        { 1269780000, 375665000, 1270210000, 375900000,
          4607.61528907 },
        { 1269780000, 375665000, 1269280000, 375300000,
          5994.46170583 },
        { 0, 0, 449157, 0,
          4999.99285262 },
        { 0, 0, 0, 450000,
          4975.84242225 },
        { 0, 0, 300000, -300000,
          4707.10405253 },
        { 1799999000, 375665000, -1799800000, 375600000,
          1916.79398347 },
        { 1800000000, -665000000, -1800000000, -665000000,
          0 },
        { 450000000, 899700000, -1350000000, 899800000,
          5584.69897394 },
        { 123, 900000000, -900000000, 899900000,
          1116.93979548 },
        { -450000000, -899999990, 1350000000, -899999990,
          0.22338796 },
        { 245000000, 600000000, 245800000, 600200000,
          4988.02168799 },
        { 1269780000, 375665000, 1269779321, 375666457,
          17.24778497 },
    };

    (void) state;

    for (i = 0; i < scc_test_items(known); i++) {
        test_query(&q, known[i].lon1, known[i].lat1, 1, 1, "");
        scc_nearby_init(&nb, &q);

        d = scc_nearby_distance(&nb, known[i].lon2, known[i].lat2);
        assert_true(fabs((double) d / 1e6 - known[i].metres) < 1.5e-6);

        /* and back */

        test_query(&q, known[i].lon2, known[i].lat2, 1, 1, "");
        scc_nearby_init(&nb, &q);

        d = scc_nearby_distance(&nb, known[i].lon1, known[i].lat1);
        assert_true(fabs((double) d / 1e6 - known[i].metres) < 1.5e-6);
    }
}


/* A dense place costs few cells, an empty one no more than the radius. */

static void
test_cells(void **state)
{
    size_t        cells;
    uint64_t      seed;
    test_data_t  *d;
    scc_query_t   q;
    scc_nearby_t  nb;

    (void) state;

    seed = 3;
    d = test_data();

    test_make(d, &seed, 1269780000, 375665000, 400, TEST_PLACES);

    test_query(&q, 1269780000, 375665000, 20, 5000, "");
    test_search(d, &nb, &q, 64, &cells);
    assert_int_equal(nb.n, 20);
    assert_true(cells <= 9);

    /* of the others only those that are near enough */

    test_query(&q, 1269780000, 375665000, 50, 1000, "&category=none");
    test_search(d, &nb, &q, 64, &cells);
    assert_int_equal(nb.n, 0);
    assert_true(cells <= 36);

    test_query(&q, 1269780000, 375665000, 50, 5000, "&category=none");
    test_search(d, &nb, &q, 64, &cells);
    assert_true(cells > 300 && cells < 484);

    test_data_free(d);
}


/* A place that moved while the cells were read counts once. */

static void
test_twice(void **state)
{
    scc_query_t   q;
    scc_nearby_t  nb;

    (void) state;

    test_query(&q, 1269780000, 375665000, 2, 1000, "");
    scc_nearby_init(&nb, &q);

    scc_nearby_place(&nb, 1269780100, 375665000, S("b"), S("{far}}"));
    scc_nearby_place(&nb, 1269780050, 375665000, S("a"), S("{}}"));
    scc_nearby_place(&nb, 1269780010, 375665000, S("b"), S("{near}}"));
    scc_nearby_place(&nb, 1269780090, 375665000, S("b"), S("{far}}"));
    scc_nearby_place(&nb, 1269780050, 375665000, S("c"), S("{}}"));
    scc_nearby_place(&nb, 1269780050, 375665000, S("a"), S("{again}}"));

    assert_int_equal(nb.n, 2);
    assert_str(nb.hits[0].id, "b");
    assert_str(nb.hits[0].frag, "{near}}");
    assert_str(nb.hits[1].id, "a");
    assert_str(nb.hits[1].frag, "{}}");

    /* the same distance: by id, also when the later is already there */

    scc_nearby_init(&nb, &q);

    scc_nearby_place(&nb, 1269780050, 375665000, S("d"), S("{}}"));
    scc_nearby_place(&nb, 1269779950, 375665000, S("c"), S("{}}"));
    scc_nearby_place(&nb, 1269780050, 375665000, S("a"), S("{}}"));
    scc_nearby_place(&nb, 1269779950, 375665000, S("ab"), S("{}}"));

    assert_int_equal(nb.n, 2);
    assert_str(nb.hits[0].id, "a");
    assert_str(nb.hits[1].id, "ab");
}


static void *
test_grow(void *ctx, void *old, size_t used, size_t size)
{
    uint8_t  **p = ctx;
    uint8_t   *block;

    (void) old;
    (void) used;

    block = *p;

    if (block) {
        *p = block + size;
    }

    return block;
}


static void
test_write(void **state)
{
    char          id[] = "a", frag[] = "{\"p\":{\"x\":1}}";
    uint8_t       block[256], mem[64], *p;
    scc_buf_t     b;
    scc_query_t   q;
    scc_nearby_t  nb;

    (void) state;

    test_query(&q, 1269780000, 375665000, 2, 1000, "");
    scc_nearby_init(&nb, &q);

    scc_buf_fixed(&b, block, sizeof(block));
    scc_nearby_write(&nb, &b);
    assert_str(scc_buf_get(&b), "{\"type\":\"FeatureCollection\","
               "\"numberReturned\":0,\"features\":[]}");

    scc_nearby_place(&nb, 1269780000, 375665900, scc_test_z(id),
                     scc_test_z(frag));

    p = NULL;
    assert_int_equal(scc_nearby_keep(&nb, test_grow, &p), SCC_ERROR);

    p = mem;
    assert_int_equal(scc_nearby_keep(&nb, test_grow, &p), SCC_OK);
    assert_true(p == mem + 14);

    memset(id, 0, sizeof(id));
    memset(frag, 0, sizeof(frag));

    scc_nearby_place(&nb, 1269780000, 375665000, S("b"), S("{\"p\":{\"\"}}"));

    p = mem + 14;
    assert_int_equal(scc_nearby_keep(&nb, test_grow, &p), SCC_OK);
    assert_true(p == mem + 14 + 11);

    scc_buf_fixed(&b, block, sizeof(block));
    scc_nearby_write(&nb, &b);
    assert_str(scc_buf_get(&b), "{\"type\":\"FeatureCollection\","
               "\"numberReturned\":2,\"features\":["
               "{\"p\":{\"\",\"distance\":0.0}},"
               "{\"p\":{\"x\":1,\"distance\":10.0}}]}");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_brute_force),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
