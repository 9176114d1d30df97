
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_query.h"


#define TEST_UUID                                                             \
    "must be a UUID of 36 characters, as in the answer to the contribution"


static const scc_query_conf_t  test_conf = { 500, 2000, 256 };


static scc_rc_t
test_path(const char *path, scc_query_t *q, scc_err_t *err)
{
    memset(q, 0xee, sizeof(scc_query_t));

    return scc_query_path(q, &test_conf, scc_test_z(path), err);
}


static void
test_routes(void **state)
{
    size_t       i;
    scc_err_t    err;
    scc_query_t  q;

    static const char *const  none[] = {
        "", "/", "place", "placesx", "Places", "places?", "cells",
        "cells/", "cells/16", "cells/16/1-2/3-4", "cells/16/1-2/3-4.mvt",
        "cells/16/1-2/3-4.json/", "cells/16/1/3-4.json",
        "cells/16/-1-2/3-4.json", "cells/16/1--2/3-4.json",
        "cells/x/1-2/3-4.json", "cells/16/1-2/3-4.jsonx",
        "cells/16/0x1-2/3-4.json", "cells/16//3-4.json",
        "cells/16/1-2/3-4%2ejson", "tiles", "tiles/", "tiles.jso",
        "tiles.json/", "tiles/13/1/2.pbf", "tiles/13/1/2", "tiles/13/1.json",
        "tiles/13/1/-2.json", "tiles/13/+1/2.json", "tiles/13/1/2.json?",
        "tiles/z/1/2.json", "tiles/13/1/2/3.json", "%70laces",
        "contribution", "contributionsx", "Contributions",
        "export", "export.geojson", "export.geojsonlx", "export.json/",
    };

    static const uint8_t  event[16] = {
        0x01, 0x89, 0x0a, 0x5d, 0xac, 0x96, 0x77, 0x4b,
        0xbc, 0xce, 0xb3, 0x02, 0x09, 0x9a, 0x80, 0x57
    };

    (void) state;

    assert_int_equal(test_path("places", &q, &err), SCC_OK);
    assert_int_equal(q.route, SCC_ROUTE_PLACES);
    assert_int_equal(q.limit, 500);
    assert_int_equal(q.filter.level_max, SCC_LEVEL_UNKNOWN);
    assert_int_equal(q.filter.registered, SCC_UNKNOWN);
    assert_int_equal(q.filter.slope, SCC_UNKNOWN);
    assert_int_equal(q.filter.category.len, 0);
    assert_false(q.filter.any);
    assert_false(q.cursor.set);

    assert_int_equal(test_path("nearby", &q, &err), SCC_OK);
    assert_int_equal(q.route, SCC_ROUTE_NEARBY);

    assert_int_equal(test_path("nearby/", &q, &err), SCC_DECLINED);
    assert_int_equal(q.route, SCC_ROUTE_NONE);

    assert_int_equal(test_path("tiles.json", &q, &err), SCC_OK);
    assert_int_equal(q.route, SCC_ROUTE_TILEJSON);
    assert_int_equal(q.z, 16);

    assert_int_equal(test_path("cells/16/55883-55886/25379-25380.json", &q,
                               &err), SCC_OK);
    assert_int_equal(q.route, SCC_ROUTE_CELLS);
    assert_int_equal(q.cells.x0, 55883);
    assert_int_equal(q.cells.x1, 55886);
    assert_int_equal(q.cells.y0, 25379);
    assert_int_equal(q.cells.y1, 25380);

    assert_int_equal(test_path("cells/16/0-15/65520-65535.json", &q, &err),
                     SCC_OK);

    assert_int_equal(test_path("tiles/14/13970/6344.json", &q, &err),
                     SCC_OK);
    assert_int_equal(q.route, SCC_ROUTE_TILE);
    assert_int_equal(q.z, 14);
    assert_int_equal(q.x, 13970);
    assert_int_equal(q.y, 6344);
    assert_int_equal(q.cells.x0, 55880);
    assert_int_equal(q.cells.x1, 55883);
    assert_int_equal(q.cells.y0, 25376);
    assert_int_equal(q.cells.y1, 25379);
    assert_false(q.mvt);

    assert_int_equal(test_path("tiles/14/13970/6344.mvt", &q, &err),
                     SCC_OK);
    assert_int_equal(q.route, SCC_ROUTE_TILE);
    assert_int_equal(q.cells.x1, 55883);
    assert_true(q.mvt);

    assert_int_equal(test_path("tiles/16/65535/0.json", &q, &err), SCC_OK);
    assert_int_equal(test_path("tiles/13/8191/8191.json", &q, &err), SCC_OK);

    assert_int_equal(test_path("contributions", &q, &err), SCC_OK);
    assert_int_equal(q.route, SCC_ROUTE_CONTRIBUTIONS);

    assert_int_equal(test_path("contributions/"
                               "01890a5d-ac96-774b-bcce-b302099a8057", &q,
                               &err), SCC_OK);
    assert_int_equal(q.route, SCC_ROUTE_CONTRIBUTION);
    assert_memory_equal(q.event, event, 16);

    assert_int_equal(test_path("export.geojsonl", &q, &err), SCC_OK);
    assert_int_equal(q.route, SCC_ROUTE_EXPORT);

    assert_int_equal(test_path("export.json", &q, &err), SCC_OK);
    assert_int_equal(q.route, SCC_ROUTE_EXPORT_ABOUT);

    for (i = 0; i < scc_test_items(none); i++) {

        if (test_path(none[i], &q, &err) != SCC_DECLINED
            || q.route != SCC_ROUTE_NONE)
        {
            fail_msg("%s: route %d", none[i], q.route);
        }

        assert_int_equal(err.field.len, 0);
        assert_true(strlen(err.text) > 0);
    }
}


static void
test_bad_parts(void **state)
{
    size_t       i;
    scc_err_t    err;
    scc_query_t  q;

    static const struct {
        const char   *path;
        scc_route_t   route;
        const char   *field;
        const char   *text;
    } bad[] = {
        { "cells/15/1-2/3-4.json", SCC_ROUTE_CELLS, "z", "must be 16" },
        { "cells/016/1-2/3-4.json", SCC_ROUTE_CELLS, "z", "must be 16" },
        { "cells/16/01-2/3-4.json", SCC_ROUTE_CELLS, "x0",
          "must be 0..65535, without leading zeros" },
        { "cells/16/1-65536/3-4.json", SCC_ROUTE_CELLS, "x1",
          "must be 0..65535, without leading zeros" },
        { "cells/16/1-2/00-4.json", SCC_ROUTE_CELLS, "y0",
          "must be 0..65535, without leading zeros" },
        { "cells/16/1-2/3-4294967299.json", SCC_ROUTE_CELLS, "y1",
          "must be 0..65535, without leading zeros" },
        { "cells/16/2-1/3-4.json", SCC_ROUTE_CELLS, "x0",
          "must not be above x1" },
        { "cells/16/1-2/5-4.json", SCC_ROUTE_CELLS, "y0",
          "must not be above y1" },
        { "cells/16/0-256/0-0.json", SCC_ROUTE_CELLS, "cells",
          "at most 256 cells in one request; ask for a smaller rectangle" },
        { "cells/16/0-65535/0-65535.json", SCC_ROUTE_CELLS, "cells",
          "at most 256 cells in one request; ask for a smaller rectangle" },
        { "tiles/4/1/2.json", SCC_ROUTE_TILE, "z", "must be 5..16" },
        { "tiles/17/1/2.json", SCC_ROUTE_TILE, "z", "must be 5..16" },
        { "tiles/013/1/2.json", SCC_ROUTE_TILE, "z", "must be 5..16" },
        { "tiles/99999999999999999999/1/2.json", SCC_ROUTE_TILE, "z",
          "must be 5..16" },
        { "tiles/13/8192/2.json", SCC_ROUTE_TILE, "x",
          "must be 0..8191, without leading zeros" },
        { "tiles/14/1/16384.json", SCC_ROUTE_TILE, "y",
          "must be 0..16383, without leading zeros" },
        { "tiles/14/1/02.json", SCC_ROUTE_TILE, "y",
          "must be 0..16383, without leading zeros" },
        { "places/", SCC_ROUTE_PLACE, "id", NULL },
        { "places/%", SCC_ROUTE_PLACE, "id", NULL },
        { "places/%4", SCC_ROUTE_PLACE, "id", NULL },
        { "places/%4g", SCC_ROUTE_PLACE, "id", NULL },
        { "places/a%00b", SCC_ROUTE_PLACE, "id", NULL },
        { "places/%ff", SCC_ROUTE_PLACE, "id", NULL },
        { "places/%ed%a0%80", SCC_ROUTE_PLACE, "id", NULL },
        { "places/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaaa", SCC_ROUTE_PLACE, "id", NULL },
        { "contributions/", SCC_ROUTE_CONTRIBUTION, "id",
          TEST_UUID },
        { "contributions/1", SCC_ROUTE_CONTRIBUTION, "id",
          TEST_UUID },
        { "contributions/01890a5d-ac96-774b-bcce-b302099a805",
          SCC_ROUTE_CONTRIBUTION, "id",
          TEST_UUID },
        { "contributions/01890a5d-ac96-774b-bcce-b302099a80571",
          SCC_ROUTE_CONTRIBUTION, "id",
          TEST_UUID },
        { "contributions/01890a5d-ac96-774b-bcce-b302099a805g",
          SCC_ROUTE_CONTRIBUTION, "id",
          TEST_UUID },
    };

    (void) state;

    for (i = 0; i < scc_test_items(bad); i++) {

        if (test_path(bad[i].path, &q, &err) != SCC_DECLINED
            || q.route != bad[i].route)
        {
            fail_msg("%s: route %d", bad[i].path, q.route);
        }

        assert_str(err.field, bad[i].field);
        assert_string_equal(err.text, bad[i].text ? bad[i].text
                            : "must be 1 to 64 bytes of UTF-8, "
                              "percent-encoded");
    }
}


static void
test_ids(void **state)
{
    size_t       i;
    scc_err_t    err;
    scc_query_t  q;

    static const struct {
        const char  *path;
        const char  *id;
    } good[] = {
        { "places/1234567", "1234567" },
        { "places/a/b", "a/b" },
        { "places//", "/" },
        { "places/osm%3Anode%2F1", "osm:node/1" },
        { "places/a+b%2Bc", "a+b+c" },
        { "places/%EA%B3%84%EB%8B%A8", "계단" },
        { "places/계단", "계단" },
        { "places/%2525", "%25" },
        { "places/..", ".." },
        { "places/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaa%61", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaaaaaaaaa" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(good); i++) {
        assert_int_equal(test_path(good[i].path, &q, &err), SCC_OK);
        assert_int_equal(q.route, SCC_ROUTE_PLACE);
        assert_str(q.id, good[i].id);
    }
}


static void
test_urldecode(void **state)
{
    uint8_t  b[8];

    (void) state;

    assert_int_equal(scc_urldecode(S(""), true, b, 0), 0);
    assert_int_equal(scc_urldecode(S("a+%2b%2B"), true, b, 8), 4);
    assert_memory_equal(b, "a ++", 4);
    assert_int_equal(scc_urldecode(S("a+%2b%2B"), false, b, 4), 4);
    assert_memory_equal(b, "a+++", 4);
    assert_true(scc_urldecode(S("abcd"), false, b, 3) == SIZE_MAX);
    assert_true(scc_urldecode(S("%"), false, b, 8) == SIZE_MAX);
    assert_true(scc_urldecode(S("%2"), false, b, 8) == SIZE_MAX);
    assert_true(scc_urldecode(S("%2x"), false, b, 8) == SIZE_MAX);
    assert_true(scc_urldecode(S("%x2"), false, b, 8) == SIZE_MAX);
    assert_int_equal(scc_urldecode(S("%00%fF"), false, b, 8), 2);
    assert_memory_equal(b, "\0\xff", 2);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_bad_parts),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_urldecode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
