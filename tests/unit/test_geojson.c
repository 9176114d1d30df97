
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include <malloc.h>

#include "scc_geojson.h"
#include "scc_json_object.h"
#include "scc_point.h"


#define POINT(x, y)  "{\"type\":\"Point\",\"coordinates\":[" x "," y "]}"

#define FEATURE(geometry)                                                     \
    "{\"type\":\"Feature\",\"id\":1,\"geometry\":" geometry                   \
    ",\"properties\":{}}"


typedef struct {
    scc_buf_t      text;        /* a line for each feature */
    scc_feature_t  last;        /* without what does not live on */
    size_t         features;
    size_t         stop;
} feature_log_t;


static scc_rc_t
log_feature(void *ctx, const scc_feature_t *f)
{
    size_t          i;
    feature_log_t  *log = ctx;

    log->features++;
    log->last = *f;

    scc_buf_uint(&log->text, f->seq);
    scc_buf_byte(&log->text, '@');
    scc_buf_uint(&log->text, f->line);
    scc_buf_byte(&log->text, ' ');

    if (f->fault) {
        scc_buf_byte(&log->text, '!');
        scc_buf_uint(&log->text, f->fault);
        scc_buf_byte(&log->text, ' ');
    }

    scc_buf_str(&log->text, f->id);
    scc_buf_byte(&log->text, ' ');
    scc_buf_int(&log->text, f->lon);
    scc_buf_byte(&log->text, ',');
    scc_buf_int(&log->text, f->lat);

    for (i = 0; i < f->n_props; i++) {
        scc_buf_byte(&log->text, ' ');
        scc_buf_str(&log->text, f->props[i].key);
        scc_buf_byte(&log->text, '=');
        scc_buf_str(&log->text, f->props[i].value);
    }

    scc_buf_byte(&log->text, ' ');
    scc_buf_str(&log->text, f->extra);
    scc_buf_byte(&log->text, '\n');

    return log->features == log->stop ? SCC_DONE : SCC_OK;
}


static void
log_init(feature_log_t *log)
{
    memset(log, 0, sizeof(feature_log_t));
    scc_buf_heap(&log->text, 0);
}


static scc_rc_t
parse(feature_log_t *log, scc_str_t text, size_t piece, scc_err_t *err)
{
    size_t          n;
    uint8_t        *copy;
    scc_rc_t        rc;
    scc_geojson_t  *g;

    g = scc_geojson_create(log_feature, log);
    assert_non_null(g);

    rc = SCC_OK;
    memset(err, 0, sizeof(scc_err_t));

    while (rc == SCC_OK && text.len > 0) {
        n = (text.len < piece) ? text.len : piece;

        copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, text.data, n);

        rc = scc_geojson_feed(g, copy, n, err);

        free(copy);

        text.data += n;
        text.len -= n;
    }

    if (rc == SCC_OK) {
        rc = scc_geojson_end(g, err);

    } else {
        assert_int_equal(scc_geojson_feed(g, "{", 1, err), rc);
    }

    scc_geojson_free(g);

    return rc;
}


static void
check(const char *text, const char *want)
{
    size_t         piece;
    scc_err_t      err;
    feature_log_t  log;

    for (piece = 1; piece < 200; piece = piece * 2 + 1) {
        log_init(&log);

        if (parse(&log, scc_test_z(text), piece, &err) != SCC_OK) {
            fail_msg("%s: %s", text, err.text);
        }

        if (!scc_str_eq(scc_buf_get(&log.text), scc_test_z(want))) {
            fail_msg("%s\ngives: %.*s\nnot:   %s", text, (int) log.text.used,
                     (const char *) log.text.start, want);
        }

        scc_buf_free(&log.text);
    }
}


static void
test_collections(void **state)
{
    (void) state;

    check("{\"type\":\"FeatureCollection\",\"features\":[]}", "");

    check("{\"type\":\"FeatureCollection\",\"name\":\"x\",\"features\":[\n"
          "{\"type\":\"Feature\",\"id\":\"node/1\",\"geometry\":"
          POINT("126.9725780", "37.55687849999") ",\"properties\":"
          "{\"a\":\"b\",\"n\":1.50,\"t\":true,\"z\":null,"
          "\"o\":{\"x\":[1,{}],\"y\":\"\\u00e9\\n\"},\"l\":[]}},\n"
          FEATURE(POINT("-1", "-2")) "\n],\"bbox\":[1,2,3,4]}\n",
          "1@2 node/1 1269725780,375568785 a=b n=1.50 t=true "
          "o={\"x\":[1,{}],\"y\":\"\xc3\xa9\\n\"} l=[] "
          "{\"a\":\"b\",\"n\":1.50,\"t\":true,\"z\":null,"
          "\"o\":{\"x\":[1,{}],\"y\":\"\xc3\xa9\\n\"},\"l\":[]}\n"
          "2@3 1 -10000000,-20000000 {}\n");

    /* "features" before and after other members; one that looks like it */

    check("{\"id\":9,\"properties\":{\"features\":[1]},\"features\":["
          FEATURE(POINT("1", "2")) "],\"type\":\"FeatureCollection\","
          "\"geometry\":null,\"more\":{\"features\":[{}]}}",
          "1@1 1 10000000,20000000 {}\n");

    /* one after another, with and without newlines, and a mark first */

    check("\xef\xbb\xbf" FEATURE(POINT("1", "2")) "\n\n"
          FEATURE(POINT("3", "4")) FEATURE(POINT("5", "6")) " ",
          "1@1 1 10000000,20000000 {}\n"
          "2@3 1 30000000,40000000 {}\n"
          "3@3 1 50000000,60000000 {}\n");

    check("{\"features\":[" FEATURE(POINT("1", "2")) "]}\n"
          FEATURE(POINT("3", "4")),
          "1@1 1 10000000,20000000 {}\n"
          "2@2 1 30000000,40000000 {}\n");
}


static void
test_members(void **state)
{
    (void) state;

    /* any order, the last of a repeated one, @id where there is no id */

    check("{\"properties\":{\"@id\":\"way/5\"},\"geometry\":"
          "{\"coordinates\":[1,2,3],\"type\":\"Point\"},\"type\":\"Feature\"}",
          "1@1 way/5 10000000,20000000 @id=way/5 {\"@id\":\"way/5\"}\n");

    check("{\"type\":\"Feature\",\"id\":\"\\uD55C\\uae00\",\"geometry\":"
          POINT("1", "2") ",\"properties\":{\"@id\":\"x\"},"
          "\"properties\":{\"b\":\"\",\"\":\"c\"},\"id\":-1.0e2,"
          "\"geometry\":" POINT("3e0", "4E-1") "}",
          "1@1 -1.0e2 30000000,4000000 b= =c {\"b\":\"\",\"\":\"c\"}\n");

    check("{\"type\":\"Feature\",\"id\":null,\"geometry\":" POINT("1", "2")
          ",\"properties\":null}", "1@1  10000000,20000000 {}\n");

    /* pairs of surrogates, and a replacement character, are text */

    check("{\"type\":\"Feature\",\"id\":1,\"geometry\":" POINT("1", "2")
          ",\"properties\":{\"a\":\"\\ud83d\\ude00\\ufffd\\\\u0000\"}}",
          "1@1 1 10000000,20000000 a=\xf0\x9f\x98\x80\xef\xbf\xbd\\u0000 "
          "{\"a\":\"\xf0\x9f\x98\x80\xef\xbf\xbd\\\\u0000\"}\n");

    /* the text of names comes back as it was: not NFC, markup, formula */

    check("{\"type\":\"Feature\",\"id\":1,\"geometry\":" POINT("1", "2")
          ",\"properties\":{\"name\":\"e\xcc\x81<b>&'\\\"=SUM(A1)\"}}",
          "1@1 1 10000000,20000000 name=e\xcc\x81<b>&'\"=SUM(A1) "
          "{\"name\":\"e\xcc\x81<b>&'\\\"=SUM(A1)\"}\n");
}


static void
test_faults(void **state)
{
    size_t         i, piece;
    scc_err_t      err;
    feature_log_t  log;

    static const struct {
        const char           *text;
        scc_feature_fault_t   fault;
    } rows[] = {
        { "{}", SCC_FEATURE_NOT_ONE },
        { "{\"type\":\"feature\"}", SCC_FEATURE_NOT_ONE },
        { "{\"features\":[1]}", SCC_FEATURE_NOT_ONE },
        { "{\"features\":[null]}", SCC_FEATURE_NOT_ONE },
        { "{\"features\":[[" FEATURE("null") "]]}", SCC_FEATURE_NOT_ONE },
        { POINT("1", "2"), SCC_FEATURE_NOT_ONE },
        { "{\"type\":\"Feature\"}", SCC_FEATURE_NO_POINT },
        { FEATURE("null"), SCC_FEATURE_NO_POINT },
        { FEATURE("{\"type\":\"Point\"}"), SCC_FEATURE_NO_POINT },
        { FEATURE("{\"type\":\"Point\",\"coordinates\":[]}"),
          SCC_FEATURE_NO_POINT },
        { FEATURE("{\"type\":\"Polygon\",\"coordinates\":[[]]}"),
          SCC_FEATURE_NO_POINT },
        { FEATURE("{\"type\":\"GeometryCollection\",\"geometries\":[]}"),
          SCC_FEATURE_NO_POINT },
        { FEATURE("{\"type\":\"MultiPoint\",\"coordinates\":null}"),
          SCC_FEATURE_NO_POINT },
        { FEATURE("7"), SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("[1,2]"), SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("{}"), SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("{\"type\":\"Circle\",\"coordinates\":[1,2]}"),
          SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("{\"type\":\"Point\",\"coordinates\":[1]}"),
          SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("{\"type\":\"Point\",\"coordinates\":[[1,2]]}"),
          SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("{\"type\":\"Point\",\"coordinates\":{\"lng\":1}}"),
          SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("{\"type\":\"Point\",\"coordinates\":\"1,2\"}"),
          SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("{\"type\":\"LineString\",\"coordinates\":[1,2]}"),
          SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("{\"type\":\"LineString\",\"coordinates\":[[1,2],3]}"),
          SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("{\"type\":\"LineString\",\"coordinates\":[1,[2,3]]}"),
          SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("{\"type\":\"Polygon\",\"coordinates\":[[1,2],[[3,4]]]}"),
          SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("{\"type\":\"Polygon\",\"coordinates\":[[[[[1,2]]]]]}"),
          SCC_FEATURE_BAD_GEOMETRY },
        { FEATURE("{\"type\":\"Point\",\"coordinates\":[\"1\",\"2\"]}"),
          SCC_FEATURE_BAD_NUMBER },
        { FEATURE("{\"type\":\"Point\",\"coordinates\":[null,null]}"),
          SCC_FEATURE_BAD_NUMBER },
        { FEATURE("{\"type\":\"Point\",\"coordinates\":[true,1,2]}"),
          SCC_FEATURE_BAD_NUMBER },
        { "{\"type\":\"Feature\",\"id\":\"\\u0000\"}",
          SCC_FEATURE_BAD_TEXT },
        { "{\"type\":\"Feature\",\"id\":\"\xff\"}", SCC_FEATURE_BAD_TEXT },
        { "{\"type\":\"Feature\",\"properties\":{\"a\":\"\\ud800\"}}",
          SCC_FEATURE_BAD_TEXT },
        { "{\"type\":\"Feature\",\"properties\":{\"a\":\"\\ud800\\n\"}}",
          SCC_FEATURE_BAD_TEXT },
        { "{\"type\":\"Feature\",\"properties\":{\"a\":\"\\ud800x\"}}",
          SCC_FEATURE_BAD_TEXT },
        { "{\"type\":\"Feature\",\"properties\":{\"a\":\"\\ud800\\ud800"
          "\\udc00\"}}", SCC_FEATURE_BAD_TEXT },
        { "{\"type\":\"Feature\",\"properties\":{\"\\udc00\":1}}",
          SCC_FEATURE_BAD_TEXT },
        { "{\"type\":\"Feature\",\"properties\":{\"a\":[{\"b\":"
          "\"\xed\xa0\x80\"}]}}", SCC_FEATURE_BAD_TEXT },
        { "{\"type\":\"Feature\",\"properties\":{\"a\":\"\xc0\x80\"}}",
          SCC_FEATURE_BAD_TEXT },
        { "{\"type\":\"Feature\",\"properties\":{\"a\":1e401}}",
          SCC_FEATURE_BAD_TEXT },
        { "{\"type\":\"Feature\",\"properties\":{\"a\":1e-99999999999999}}",
          SCC_FEATURE_BAD_TEXT },
    };

    (void) state;

    for (i = 0; i < scc_test_items(rows); i++) {

        for (piece = 1; piece < 200; piece = piece * 3) {
            log_init(&log);

            if (parse(&log, scc_test_z(rows[i].text), piece, &err) != SCC_OK)
            {
                fail_msg("%s: %s", rows[i].text, err.text);
            }

            if (log.features != 1 || log.last.fault != rows[i].fault) {
                fail_msg("%s: fault %d", rows[i].text, log.last.fault);
            }

            scc_buf_free(&log.text);
        }
    }

    /* and the next one is read as if nothing had been */

    log_init(&log);
    assert_int_equal(parse(&log, S("{\"type\":\"Feature\",\"id\":"
                                   "\"\\ud800\",\"properties\":"
                                   "{\"\xff\":{\"a\":[1]},\"b\":2}}"
                                   FEATURE("{\"type\":\"Point\","
                                           "\"coordinates\":[\"1\"]}")
                                   FEATURE(POINT("1", "2"))), 5, &err),
                     SCC_OK);
    assert_int_equal(log.features, 3);
    assert_int_equal(log.last.fault, SCC_FEATURE_OK);
    assert_int_equal(log.last.lon, 10000000);
    assert_int_equal(log.last.n_props, 0);
    scc_buf_free(&log.text);
}


static void
test_refused(void **state)
{
    size_t         i, piece;
    scc_err_t      err;
    feature_log_t  log;

    static const struct {
        const char  *text;
        const char  *begin;
    } bad[] = {
        { "", "line 1, byte" },
        { " \n", "line 2, byte" },
        { "[]", "line 1: " },
        { "\n\n3 ", "line 3: " },
        { "\n\"x\"", "line 2: " },
        { "{\"a\":}", "line 1, byte 6: " },
        { "{\n\"features\":[\n{]}", "line 3, byte 17: " },
        { "{\"features\":[" FEATURE(POINT("1", "2")), "line 1, byte" },
        { "{\"a\":nul}", "line 1, byte" },
        { "{\"a\":1.}", "line 1, byte" },
        { "{\"a\":\"\\x\"}", "line 1, byte" },
        { "{\"a\":\"\\u12g4\"}", "line 1, byte" },
        { "{\"a\":\"\n\"}", "line " },
        { "{}\"x", "line 1, byte 4: " },
        { "{}\n{}\n \"", "line 3, byte 8: " },
        { "{} // comment", "line 1, byte" },
        { "{}\x01", "line 1, byte" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(bad); i++) {

        for (piece = 1; piece < 200; piece = piece * 3) {
            log_init(&log);

            assert_int_equal(parse(&log, scc_test_z(bad[i].text), piece,
                                   &err), SCC_DECLINED);

            if (memcmp(err.text, bad[i].begin, strlen(bad[i].begin)) != 0) {
                fail_msg("%s: %s", bad[i].text, err.text);
            }

            scc_buf_free(&log.text);
        }
    }
}


static void
test_depth(void **state)
{
    size_t         i;
    scc_buf_t      text;
    scc_err_t      err;
    feature_log_t  log;

    (void) state;

    scc_buf_heap(&text, 0);

    /* 64 deep is read, 65 not; a million brackets end no process */

    for (i = 0; i < 3; i++) {
        size_t  k, depth;

        depth = (i == 0) ? 62 : (i == 1) ? 63 : 1000000;

        scc_buf_reset(&text);
        scc_buf_text(&text, "{\"type\":\"Feature\",\"properties\":{\"a\":");

        for (k = 0; k < depth; k++) {
            scc_buf_byte(&text, '[');
        }

        for (k = 0; k < depth; k++) {
            scc_buf_byte(&text, ']');
        }

        scc_buf_text(&text, "}}");

        log_init(&log);
        assert_int_equal(parse(&log, scc_buf_get(&text), 1 << 20, &err),
                         i == 0 ? SCC_OK : SCC_DECLINED);
        assert_int_equal(log.features, i == 0 ? 1 : 0);

        if (i) {
            assert_non_null(strstr(err.text, "deep"));
        }

        scc_buf_free(&log.text);
    }

    scc_buf_free(&text);
}


static void
test_sizes(void **state)
{
    size_t         i;
    scc_buf_t      text;
    scc_err_t      err;
    feature_log_t  log;

    (void) state;

    scc_buf_heap(&text, 0);
    log_init(&log);

    /* a feature of 5 MiB is left out, the next one is read */

    scc_buf_text(&text, "{\"features\":[{\"type\":\"Feature\",\"id\":1,"
                 "\"geometry\":{\"type\":\"LineString\",\"coordinates\":[");

    while (text.used < 5 * 1024 * 1024) {
        scc_buf_text(&text, "[126.9725780,37.5568780],");
    }

    scc_buf_text(&text, "[1,2]]},\"properties\":{\"a\":1}},");
    scc_buf_text(&text, FEATURE(POINT("1", "2")) "]}");

    assert_int_equal(parse(&log, scc_buf_get(&text), 65536, &err), SCC_OK);
    assert_str(scc_buf_get(&log.text),
               "1@1 !6 1 0,0 {}\n2@1 1 10000000,20000000 {}\n");

    /* a collection may be of any size, before its features too */

    scc_buf_reset(&text);
    scc_buf_reset(&log.text);
    scc_buf_text(&text, "{\"properties\":{");

    for (i = 0; text.used < 6 * 1024 * 1024; i++) {
        scc_buf_byte(&text, '"');
        scc_buf_uint(&text, i);
        scc_buf_text(&text, "\":\"some text\",\n");
    }

    scc_buf_text(&text, "\"z\":0},\"features\":[" FEATURE(POINT("1", "2"))
                 "]}");

    assert_int_equal(parse(&log, scc_buf_get(&text), 65536, &err), SCC_OK);
    assert_int_equal(log.last.fault, SCC_FEATURE_OK);
    assert_int_equal(log.last.line, i + 1);

    /* more properties than 1024 */

    scc_buf_reset(&text);
    scc_buf_text(&text, "{\"type\":\"Feature\",\"properties\":{");

    for (i = 0; i < 1024; i++) {
        scc_buf_text(&text, i ? ",\"" : "\"");
        scc_buf_uint(&text, i);
        scc_buf_text(&text, "\":1");
    }

    scc_buf_text(&text, "}}\n");

    assert_int_equal(parse(&log, scc_buf_get(&text), 65536, &err), SCC_OK);
    assert_int_equal(log.last.fault, SCC_FEATURE_NO_POINT);

    text.used -= 3;
    scc_buf_text(&text, ",\"x\":1}}");

    assert_int_equal(parse(&log, scc_buf_get(&text), 65536, &err), SCC_OK);
    assert_int_equal(log.last.fault, SCC_FEATURE_TOO_LARGE);

    /* one string without an end */

    scc_buf_reset(&text);
    scc_buf_text(&text, "{\"a\":\"");

    while (text.used < 5 * 1024 * 1024) {
        scc_buf_text(&text, "0123456789abcdef");
    }

    assert_int_equal(parse(&log, scc_buf_get(&text), 65536, &err),
                     SCC_DECLINED);
    assert_non_null(strstr(err.text, "too large"));

    scc_buf_free(&text);
    scc_buf_free(&log.text);
}


static void
test_stopped(void **state)
{
    scc_err_t      err;
    feature_log_t  log;

    (void) state;

    log_init(&log);
    log.stop = 1;

    assert_int_equal(parse(&log, S("{\"features\":[" FEATURE("null") ","
                                   FEATURE("null") "]}"), 1000, &err),
                     SCC_DONE);
    assert_int_equal(log.features, 1);

    scc_buf_free(&log.text);
}


static void
test_points(void **state)
{
    size_t         i;
    scc_err_t      err;
    feature_log_t  log;

    static const struct {
        const char  *geometry;
        int64_t      lon;
        int64_t      lat;
    } rows[] = {
        { POINT("126.97257805", "-0.00000005"), 1269725781, -1 },
        { POINT("1000.5", "-1e300"), SCC_GEOJSON_FAR, -SCC_GEOJSON_FAR },
        { "{\"type\":\"MultiPoint\",\"coordinates\":[[1,2],[3,4]]}",
          10000000, 20000000 },
        { "{\"type\":\"LineString\",\"coordinates\":[[1,0],[1,2],[1,8]]}",
          10000000, 40000000 },
        { "{\"type\":\"LineString\",\"coordinates\":[[1,2]]}",
          10000000, 20000000 },
        { "{\"type\":\"LineString\",\"coordinates\":[[1,2],[1,2],[1,2]]}",
          10000000, 20000000 },
        { "{\"type\":\"MultiLineString\",\"coordinates\":"
          "[[[0,0],[1,0]],[[5,5],[5,9]],[[0,1],[1,1]]]}",
          50000000, 70000000 },
        { "{\"type\":\"Polygon\",\"coordinates\":"
          "[[[0,0],[4,0],[4,4],[0,4],[0,0]]]}", 20000000, 20000000 },
        /* a hole moves the centroid away, whichever way it winds */
        { "{\"type\":\"Polygon\",\"coordinates\":"
          "[[[0,0],[8,0],[8,8],[0,8],[0,0]],"
          "[[5,5],[5,7],[7,7],[7,5],[5,5]]]}", 38666667, 38666667 },
        { "{\"type\":\"Polygon\",\"coordinates\":"
          "[[[0,0],[0,8],[8,8],[8,0]],[[5,5],[5,7],[7,7],[7,5]]]}",
          38666667, 38666667 },
        /* a hole in the middle: beside it */
        { "{\"type\":\"Polygon\",\"coordinates\":"
          "[[[0,0],[10,0],[10,10],[0,10],[0,0]],"
          "[[1,1],[1,9],[7,9],[7,1],[1,1]]]}", 85000000, 50000000 },
        /* a U: in its wider arm, between the vertices about the middle */
        { "{\"type\":\"Polygon\",\"coordinates\":"
          "[[[0,0],[9,0],[9,9],[6,9],[6,1],[2,1],[2,9],[0,9],[0,0]]]}",
          75000000, 50000000 },
        { "{\"type\":\"MultiPolygon\",\"coordinates\":"
          "[[[[0,0],[1,0],[1,1],[0,0]]],"
          "[[[10,10],[14,10],[14,14],[10,14],[10,10]]]]}",
          120000000, 120000000 },
        /* no area: half way along */
        { "{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[0,4],[0,0]]]}",
          0, 40000000 },
        { "{\"type\":\"GeometryCollection\",\"geometries\":["
          "{\"type\":\"Point\",\"coordinates\":[]},"
          "{\"type\":\"Blob\"},"
          "{\"type\":\"GeometryCollection\",\"geometries\":["
          POINT("1", "2") "]}," POINT("3", "4") "]}", 10000000, 20000000 },
        { "{\"geometries\":[" POINT("3", "4") "],"
          "\"type\":\"GeometryCollection\"}", 30000000, 40000000 },
        { "{\"bbox\":[9,9,9,9],\"coordinates\":[1,2],\"x\":{\"type\":"
          "\"LineString\"},\"type\":\"Point\"}", 10000000, 20000000 },
    };

    (void) state;

    for (i = 0; i < scc_test_items(rows); i++) {
        scc_buf_t  text;

        scc_buf_heap(&text, 0);
        scc_buf_text(&text, "{\"type\":\"Feature\",\"geometry\":");
        scc_buf_text(&text, rows[i].geometry);
        scc_buf_byte(&text, '}');

        log_init(&log);
        assert_int_equal(parse(&log, scc_buf_get(&text), 7, &err), SCC_OK);

        if (log.last.fault || log.last.lon != rows[i].lon
            || log.last.lat != rows[i].lat)
        {
            fail_msg("%s: fault %d, %lld,%lld", rows[i].geometry,
                     log.last.fault, (long long) log.last.lon,
                     (long long) log.last.lat);
        }

        scc_buf_free(&log.text);
        scc_buf_free(&text);
    }
}


/*
 * The same question by another way, in integers: the crossings of a ray to
 * the east, with a cross product in place of a division.
 */

static bool
inside_exact(const scc_pos_t *pos, size_t n, scc_pos_t p)
{
    bool    inside;
    size_t  i;

    inside = false;

    for (i = 0; i < n; i++) {
        scc_pos_t  a = pos[i], b = pos[(i + 1) % n], low, high;
        __int128   cross;

        if ((a.y > p.y) == (b.y > p.y)) {
            continue;
        }

        low = (a.y < b.y) ? a : b;
        high = (a.y < b.y) ? b : a;

        cross = (__int128) (high.x - low.x) * (__int128) (p.y - low.y)
                - (__int128) (p.x - low.x) * (__int128) (high.y - low.y);

        if (cross > 0) {
            inside = !inside;
        }
    }

    return inside;
}


static void
test_inside(void **state)
{
    size_t       i, k, n, end, outside;
    uint64_t     seed;
    scc_buf_t    work;
    scc_pos_t    pos[40], point;
    scc_rings_t  rings;

    (void) state;

    seed = 7;
    outside = 0;
    scc_buf_heap(&work, 0);

    /* two ragged sides, the left one always to the left of the right one */

    for (i = 0; i < 20000; i++) {
        int64_t  x, y, size;

        x = scc_test_range(&seed, -1700000000, 1700000000);
        y = scc_test_range(&seed, -800000000, 800000000);
        size = scc_test_range(&seed, 1, 16);
        size = (int64_t) 10 << size;
        n = (size_t) scc_test_range(&seed, 3, 40);

        for (k = 0; k < n; k++) {
            pos[k].x = (double) (x + scc_test_range(&seed, 0, size));
            pos[k].y = (double) y + (double) size * 4
                       * (double) (k < n / 2 ? k : n - 1 - k);

            if (k >= n / 2) {
                pos[k].x += (double) (scc_test_range(&seed, 1, size) + size);
            }
        }

        end = n;
        rings.pos = pos;
        rings.start = 0;
        rings.end = &end;
        rings.n = 1;

        assert_int_equal(scc_point_polygon(&rings, &work, &point), SCC_OK);
        assert_true(point.x == (double) (int64_t) point.x);
        assert_true(point.y == (double) (int64_t) point.y);

        if (!inside_exact(pos, n, point)) {
            outside++;
        }
    }

    assert_int_equal(outside, 0);

    scc_buf_free(&work);
}


/* A file of any length: what is kept does not grow.  (Sanitizers have an
   allocator of their own; there both numbers are 0.) */

static void
test_constant_memory(void **state)
{
    size_t          i, n, early;
    char            text[256];
    scc_err_t       err;
    feature_log_t   log;
    scc_geojson_t  *g;

    (void) state;

    log_init(&log);
    log.text.max_size = 1;              /* log nothing, but count */
    early = 0;

    g = scc_geojson_create(log_feature, &log);
    assert_non_null(g);

    assert_int_equal(scc_geojson_feed(g, "{\"features\":[\n", 14, &err),
                     SCC_OK);

    for (i = 0; i < 200000; i++) {
        n = (size_t) snprintf(text, sizeof(text), "%s{\"type\":\"Feature\","
                              "\"id\":\"way/%zu\",\"geometry\":"
                              POINT("126.9", "37.5")
                              ",\"properties\":{\"a\":\"b\"}}\n",
                              i ? "," : "", i);

        assert_int_equal(scc_geojson_feed(g, text, n, &err), SCC_OK);

        if (i == 1000) {
            early = mallinfo2().uordblks;
        }
    }

    assert_int_equal(mallinfo2().uordblks, early);

    assert_int_equal(scc_geojson_feed(g, "]}", 2, &err), SCC_OK);
    assert_int_equal(scc_geojson_end(g, &err), SCC_OK);
    assert_int_equal(log.features, 200000);
    assert_int_equal(log.last.line, 200001);

    scc_geojson_free(g);
    scc_buf_free(&log.text);
}


static scc_rc_t
log_member(void *ctx, scc_str_t key, scc_str_t value)
{
    scc_buf_t  *b = ctx;

    scc_buf_str(b, key);
    scc_buf_byte(b, '=');
    scc_buf_str(b, value);
    scc_buf_byte(b, ';');

    return SCC_OK;
}


static void
test_object(void **state)
{
    size_t     i;
    char       text[200];
    scc_buf_t  b;
    scc_err_t  err;

    static const char *const  bad[] = {
        "", " ", "[]", "1", "null", "true", "\"a\"", "{", "{}{}", "{} x",
        "{\"a\"}", "{\"a\":1,}", "{\"a\":\"\\u0000\"}", "{\"\\ud800\":1}",
        "{\"a\":[\"\xff\"]}", "{\"a\":{\"b\":1e999}}", "{'a':1}",
        "{\"a\":01}", "{\"a\":NaN}", "{\"a\":1}\n,"
    };

    (void) state;

    scc_buf_heap(&b, 0);

    assert_int_equal(scc_json_object(S(" {\"a\":\"b\\n\",\"n\":1.0,"
                                       "\"z\":null,\"t\":true,"
                                       "\"o\":{\"x\":\"y\"},\"l\":[\"p\"],"
                                       "\"\":\"\"}\n"), log_member, &b,
                                     &err), SCC_OK);
    assert_str(scc_buf_get(&b), "a=b\n;n=1.0;=;");

    assert_int_equal(scc_json_object(S("{}"), NULL, NULL, &err), SCC_OK);

    for (i = 0; i < scc_test_items(bad); i++) {
        err.text[0] = '\0';

        if (scc_json_object(scc_test_z(bad[i]), NULL, NULL, &err)
            != SCC_DECLINED)
        {
            fail_msg("taken: %s", bad[i]);
        }

        assert_true(err.text[0] != '\0');
    }

    /* a key longer than the block for it; 32 deep and one more */

    scc_buf_reset(&b);
    scc_buf_text(&b, "{\"");

    for (i = 0; i < 1000; i++) {
        scc_buf_byte(&b, 'k');
    }

    scc_buf_text(&b, "\":\"v\",\"k\":2}");

    {
        scc_buf_t  seen;

        scc_buf_heap(&seen, 0);
        assert_int_equal(scc_json_object(scc_buf_get(&b), log_member, &seen,
                                         &err), SCC_OK);
        assert_int_equal(seen.used, 1000 + 3 + 4);
        scc_buf_free(&seen);
    }

    (void) snprintf(text, sizeof(text), "{\"a\":%.31s1%.31s}",
                    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
                    "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    assert_int_equal(scc_json_object(scc_test_z(text), NULL, NULL, &err),
                     SCC_OK);

    (void) snprintf(text, sizeof(text), "{\"a\":%.32s1%.32s}",
                    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
                    "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
    assert_int_equal(scc_json_object(scc_test_z(text), NULL, NULL, &err),
                     SCC_DECLINED);

    scc_buf_free(&b);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_collections),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_points),
        cmocka_unit_test(test_inside),
        cmocka_unit_test(test_constant_memory),
        cmocka_unit_test(test_object),
    };

    return cmocka_run_group_tests_name("geojson", tests, NULL, NULL);
}
