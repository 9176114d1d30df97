
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_ogc.h"


static const scc_query_conf_t  test_conf = { 500, 2000, 256 };


static scc_rc_t
test_path(const char *path, scc_query_t *q)
{
    scc_err_t  err;

    memset(q, 0xee, sizeof(scc_query_t));

    return scc_ogc_path(q, &test_conf, scc_test_z(path), &err);
}


static void
test_routes(void **state)
{
    size_t       i;
    scc_query_t  q;

    static const struct {
        const char   *path;
        scc_route_t   route;
    } ok[] = {
        { "", SCC_ROUTE_OGC_LANDING },
        { "api", SCC_ROUTE_OGC_API },
        { "conformance", SCC_ROUTE_OGC_CONFORMANCE },
        { "collections", SCC_ROUTE_OGC_COLLECTIONS },
        { "collections/places", SCC_ROUTE_OGC_COLLECTION },
        { "collections/places/items", SCC_ROUTE_PLACES },
        { "collections/places/items/a", SCC_ROUTE_OGC_ITEM },
        { "tiles", SCC_ROUTE_OGC_TILESETS },
        { "tiles/WebMercatorQuad", SCC_ROUTE_OGC_TILESET },
        { "tiles/WebMercatorQuad/14/6344/13970", SCC_ROUTE_TILE },
    };

    static const char *const  none[] = {
        "/", "places", "places/a", "collections/", "collections/places/",
        "collections/placesx", "collections/place/items", "tiles/",
        "tiles.json", "tiles/14/13970/6344.mvt", "tiles/WebMercatorQuad/",
        "tiles/WebMercatorQuad/14", "tiles/WebMercatorQuad/14/1",
        "tiles/WebMercatorQuad/14/1/2.mvt", "tiles/WebMercatorQuad/14/1/2/3",
        "tiles/WebMercatorQuad/14/1/2/", "tiles/webmercatorquad/14/1/2",
        "tiles/WebMercatorQuad/"
        "14/11111111111111111111111111111111111111111111111111111111/2",
        "contributions", "export.geojsonl", "nearby",
    };

    (void) state;

    for (i = 0; i < scc_test_items(ok); i++) {
        if (test_path(ok[i].path, &q) != SCC_OK || q.route != ok[i].route
            || !q.ogc)
        {
            fail_msg("%s: route %d", ok[i].path, q.route);
        }
    }

    for (i = 0; i < scc_test_items(none); i++) {
        if (test_path(none[i], &q) != SCC_DECLINED
            || q.route != SCC_ROUTE_NONE || !q.ogc)
        {
            fail_msg("%s: route %d", none[i], q.route);
        }
    }

    /* row before column */

    assert_int_equal(test_path("tiles/WebMercatorQuad/14/6344/13970", &q),
                     SCC_OK);
    assert_int_equal(q.z, 14);
    assert_int_equal(q.x, 13970);
    assert_int_equal(q.y, 6344);
    assert_true(q.mvt);

    assert_int_equal(test_path("tiles/WebMercatorQuad/14/16384/0", &q),
                     SCC_DECLINED);
    assert_int_equal(q.route, SCC_ROUTE_TILE);
}


static void
test_ids(void **state)
{
    size_t       i;
    char         path[512];
    scc_query_t  q;

    (void) state;

    assert_int_equal(test_path("collections/places/items/node%2F1", &q),
                     SCC_OK);
    assert_true(scc_str_eq(q.id, scc_test_z("node/1")));

    /* 64 bytes, each escaped; and one more */

    strcpy(path, "collections/places/items/");

    for (i = 0; i < 64; i++) {
        strcat(path, "%41");
    }

    assert_int_equal(test_path(path, &q), SCC_OK);
    assert_int_equal(q.id.len, 64);

    strcat(path, "%41");
    assert_int_equal(test_path(path, &q), SCC_DECLINED);
    assert_int_equal(q.route, SCC_ROUTE_OGC_ITEM);

    assert_int_equal(test_path("collections/places/items/", &q),
                     SCC_DECLINED);
    assert_int_equal(q.route, SCC_ROUTE_OGC_ITEM);
}


static scc_rc_t
test_args(const char *path, const char *args, scc_query_t *q)
{
    scc_err_t  err;

    assert_int_equal(test_path(path, q), SCC_OK);

    return scc_query_args(q, &test_conf, scc_test_z(args), &err);
}


static void
test_parameters(void **state)
{
    scc_query_t  q;

    static const char  items[] = "collections/places/items";

    (void) state;

    assert_int_equal(test_args(items, "", &q), SCC_OK);
    assert_int_equal(q.area.n, 1);
    assert_int_equal(q.area.box[0].w, -SCC_LON_MAX);
    assert_int_equal(q.area.box[0].n, SCC_LAT_MAX);
    assert_int_equal(q.limit, 500);

    assert_int_equal(test_args(items, "bbox=1,2,-9,3,4,9&limit=99999&f=json"
                               "&datetime=..%2F2026-01-01&registered=true",
                               &q), SCC_OK);
    assert_int_equal(q.area.box[0].w, 10000000);
    assert_int_equal(q.area.box[0].e, 30000000);
    assert_int_equal(q.limit, 2000);
    assert_int_equal(q.filter.registered, SCC_YES);

    assert_int_equal(test_args(items, "f=html", &q), SCC_DECLINED);
    assert_int_equal(test_args(items, "f=", &q), SCC_DECLINED);
    assert_int_equal(test_args(items, "rev=1", &q), SCC_DECLINED);
    assert_int_equal(test_args("", "f=json", &q), SCC_OK);
    assert_int_equal(test_args("", "limit=1", &q), SCC_DECLINED);
    assert_int_equal(test_args("tiles/WebMercatorQuad/14/1/1", "f=json", &q),
                     SCC_DECLINED);
}


static void
test_datetime(void **state)
{
    size_t  i;

    static const char *const  good[] = {
        "2026-11-23", "2026-11-23T01:02:03Z", "2026-11-23t01:02:03z",
        "2026-11-23T01:02:60.123456+09:00", "2026-11-23/..", "../2026-11-23",
        "/2026-11-23", "2026-11-23/", "2026-11-23T00:00:00Z/2026-11-24",
    };

    static const char *const  bad[] = {
        "", "now", "/", "..", "../..", "/..", "2026", "2026-11", "2026-13-01",
        "2026-11-32", "2026-11-23T", "2026-11-23T01:02Z", "2026-11-23T24:00:0",
        "2026-11-23T01:02:03", "2026-11-23T01:02:03.Z",
        "2026-11-23T01:02:03+9:00", "2026-11-23T01:02:03+0900",
        "2026-11-23/2026-11-24/2026-11-25", "2026-11-23 ", " 2026-11-23",
        "2026-11-23/x", "x/2026-11-23", "2026-11-23T01:02:03Zx",
    };

    (void) state;

    for (i = 0; i < scc_test_items(good); i++) {
        if (!scc_ogc_datetime(scc_test_z(good[i]))) {
            fail_msg("\"%s\" was refused", good[i]);
        }
    }

    for (i = 0; i < scc_test_items(bad); i++) {
        if (scc_ogc_datetime(scc_test_z(bad[i]))) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
    }
}


/* The longest links there can be fit where a view writes them. */

static void
test_longest_links(void **state)
{
    char          base[SCC_OGC_BASE_MAX], text[4096];
    uint8_t       block[SCC_OGC_LINKS];
    scc_buf_t     b;
    scc_err_t     err;
    scc_query_t   q;
    scc_cursor_t  next;

    static const char  zeros[] = "000000000000000000000000000000000000000000"
                                 "00000000000";

    (void) state;

    memset(base, 'h', sizeof(base));

    snprintf(text, sizeof(text),
             "bbox=1.%s,1.%s,-1.%s,2.%s,2.%s,1.%s&category=%%EF%%BF%%BD"
             "%%EF%%BF%%BD%%EF%%BF%%BD%%EF%%BF%%BD%%EF%%BF%%BD%%EF%%BF%%BD"
             "%%EF%%BF%%BD%%EF%%BF%%BD%%EF%%BF%%BD%%EF%%BF%%BD%%EF%%BF%%BD"
             "%%EF%%BF%%BD%%EF%%BF%%BD%%EF%%BF%%BD%%EF%%BF%%BD%%EF%%BF%%BD"
             "%%EF%%BF%%BD%%EF%%BF%%BD%%EF%%BF%%BD%%EF%%BF%%BD%%EF%%BF%%BD"
             "&level_max=5&registered=false&has_slope=false&limit=2000", zeros,
             zeros, zeros, zeros, zeros, zeros);

    assert_int_equal(test_path("collections/places/items", &q), SCC_OK);
    assert_int_equal(scc_query_args(&q, &test_conf, scc_test_z(text), &err),
                     SCC_OK);

    q.base = scc_test_str(base, sizeof(base));

    q.cursor.set = true;
    q.cursor.cell = UINT32_MAX;
    q.cursor.id = scc_test_str(base, SCC_ID_MAX);
    next = q.cursor;

    scc_buf_fixed(&b, block, sizeof(block));
    scc_ogc_links(&b, &q, &next);

    assert_false(b.error);
    assert_true(b.used > 3 * SCC_OGC_BASE_MAX + 2 * 600);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_datetime),
        cmocka_unit_test(test_longest_links),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
