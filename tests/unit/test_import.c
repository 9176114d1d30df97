
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_buf.h"
#include "scc_import.h"
#include "scc_json_object.h"


#define P(id, rest)                                                           \
    "place " id " {\"placeId\":\"" id "\"," rest "}\n"

#define A(id, rest)                                                           \
    "place_accessibility " id " {\"placeId\":\"" id "\"," rest "}\n"

#define NAMED  "\"name\":\"n\",\"location\":{\"lng\":1,\"lat\":2}"


typedef struct {
    scc_buf_t  text;            /* "kind target body\n", "!reason field\n" */
    uint64_t   rejects[SCC_REJECTS];
    uint64_t   line;
    uint64_t   row;
    char       why[SCC_ERR_TEXT];
    uint64_t   stop;
} row_log_t;


static scc_rc_t
log_row(void *ctx, const scc_import_row_t *row)
{
    unsigned    i;
    scc_err_t   err;
    row_log_t  *log = ctx;

    log->rejects[row->reject]++;
    log->line = row->line;
    log->row = row->row;

    if (row->reject) {
        assert_int_equal(row->n, 0);
        assert_true(row->field.len > 0);
        assert_true(row->text[0] != '\0');

        (void) snprintf(log->why, sizeof(log->why), "%s", row->text);

    } else {
        assert_true(row->n > 0);
        assert_int_equal(row->body[0].kind, SCC_IMPORT_PLACE);
    }

    for (i = 0; i < row->n; i++) {
        /* every body is an object as jsonb takes it */

        if (scc_json_object(row->body[i].body, NULL, NULL, &err) != SCC_OK) {
            fail_msg("%.*s: %s", (int) row->body[i].body.len,
                     (const char *) row->body[i].body.data, err.text);
        }
    }

    if (row->reject) {
        scc_buf_byte(&log->text, '!');
        scc_buf_str(&log->text, scc_reject_name(row->reject));
        scc_buf_byte(&log->text, ' ');
        scc_buf_str(&log->text, row->field);
        scc_buf_byte(&log->text, '\n');
    }

    for (i = 0; i < row->n; i++) {
        scc_buf_str(&log->text, row->body[i].kind_name);
        scc_buf_byte(&log->text, ' ');
        scc_buf_str(&log->text, row->body[i].target);
        scc_buf_byte(&log->text, ' ');
        scc_buf_str(&log->text, row->body[i].body);
        scc_buf_byte(&log->text, '\n');
    }

    if (row->contributor_id.len > 0) {
        scc_buf_text(&log->text, "by ");
        scc_buf_str(&log->text, row->contributor_id);
        scc_buf_byte(&log->text, ' ');
        scc_buf_str(&log->text, row->contributor_name);
        scc_buf_byte(&log->text, '\n');
    }

    return row->row == log->stop ? SCC_DONE : SCC_OK;
}


static void
log_init(row_log_t *log)
{
    memset(log, 0, sizeof(row_log_t));
    scc_buf_heap(&log->text, 0);
}


static scc_import_t *
import_create(row_log_t *log, const char *map, const char *bounds)
{
    scc_err_t           err;
    scc_import_t       *im;
    scc_import_conf_t   conf;

    conf.format = SCC_IMPORT_AUTO;
    conf.map = scc_test_z(map);
    conf.bounds = scc_test_z(bounds);

    im = scc_import_create(&conf, log_row, log, &err);

    if (im == NULL) {
        fail_msg("%s", err.text);
    }

    return im;
}


static scc_rc_t
import(row_log_t *log, const char *map, const char *bounds, scc_str_t text,
    size_t piece, scc_err_t *err)
{
    size_t         n;
    uint8_t       *copy;
    scc_rc_t       rc;
    scc_import_t  *im;

    im = import_create(log, map, bounds);

    rc = SCC_OK;
    memset(err, 0, sizeof(scc_err_t));

    while (rc == SCC_OK && text.len > 0) {
        n = (text.len < piece) ? text.len : piece;

        copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, text.data, n);

        rc = scc_import_feed(im, copy, n, err);

        free(copy);

        text.data += n;
        text.len -= n;
    }

    if (rc == SCC_OK) {
        rc = scc_import_end(im, err);
    }

    if (rc != SCC_OK) {
        assert_int_equal(scc_import_feed(im, "x", 1, err), rc);
        assert_int_equal(scc_import_end(im, err), rc);
    }

    scc_import_free(im);

    return rc;
}


static void
check_with(const char *map, const char *bounds, scc_str_t text,
    const char *want)
{
    size_t     piece;
    scc_err_t  err;
    row_log_t  log;

    for (piece = 1; piece < 2000; piece = piece * 7) {
        log_init(&log);

        if (import(&log, map, bounds, text, piece, &err) != SCC_OK) {
            fail_msg("%.*s: %s", (int) text.len, (const char *) text.data,
                     err.text);
        }

        if (!scc_str_eq(scc_buf_get(&log.text), scc_test_z(want))) {
            fail_msg("%.*s\ngives: %.*s\nnot:   %s\n%s", (int) text.len,
                     (const char *) text.data, (int) log.text.used,
                     (const char *) log.text.start, want, log.why);
        }

        scc_buf_free(&log.text);
    }
}


static void
check(const char *text, const char *want)
{
    check_with("", "", scc_test_z(text), want);
}


static void
test_places(void **state)
{
    (void) state;

    check("id,name,lng,lat\n"
          "a,n,1,2\n"
          "서울:1/x,,126.97257805,-37.5000000\n"
          "b,\"<b>&'\"\"\\ =SUM(A1)\", 1 ,2e0\n",
          P("a", NAMED)
          P("서울:1/x", "\"name\":\"\",\"location\":"
            "{\"lng\":126.9725781,\"lat\":-37.5}")
          "place b {\"placeId\":\"b\",\"name\":\"<b>&'\\\"\\\\ =SUM(A1)\","
          "\"location\":{\"lng\":1,\"lat\":2}}\n");

    /* every member, in its order whatever the columns' */

    check("synthetic,is_closed,extra,source,address,category,lat,lng,name,id,"
          "building_id\n"
          "yes,F,\"{ \"\"k\"\" : 1 }\",src,adr,cat,2,1,n,a,bld\n",
          P("a", NAMED ",\"category\":\"cat\",\"address\":\"adr\","
            "\"buildingId\":\"bld\",\"source\":\"src\",\"isClosed\":false,"
            "\"synthetic\":true,\"extra\":{ \"k\" : 1 }")
          "building bld {\"buildingId\":\"bld\"}\n");

    /* text that is odd but text: a replacement character, not NFC, U+FEFF */

    check("id,name,lng,lat\na,\xef\xbf\xbd" "e\xcc\x81\xef\xbb\xbf\t,1,2\n",
          P("a", "\"name\":\"\xef\xbf\xbd" "e\xcc\x81\xef\xbb\xbf\\t\","
            "\"location\":{\"lng\":1,\"lat\":2}"));

    /* no extra of the file's own: other columns become one */

    check("id,name,lng,lat, floor ,note\na,n,1,2,B1,\"x\"\"y\"\nb,n,1,2,,\n",
          P("a", NAMED ",\"extra\":{\"floor\":\"B1\",\"note\":\"x\\\"y\"}")
          P("b", NAMED));

    /* one without a name is called by its number */

    check("id,name,lng,lat,\na,n,1,2,\nb,n,1,2,x\n",
          P("a", NAMED) P("b", NAMED ",\"extra\":{\"column 5\":\"x\"}"));

    /* else they are not imported; an empty object is none */

    check("id,name,lng,lat,note,extra\na,n,1,2,x,{}\nb,n,1,2,x,\n",
          P("a", NAMED) P("b", NAMED));

    /* a mark, CRLF, columns with blanks around */

    check("\xef\xbb\xbf id , name,lng ,lat\r\na,n,1,2\r\n", P("a", NAMED));

    check_with("id=nr,lng= x ,lat=y", "",
               S("nr,name,x,y,id,lng\na,n,1,2,foo,bar\n"),
               P("a", NAMED ",\"extra\":{\"id\":\"foo\",\"lng\":\"bar\"}"));
}


static void
test_access(void **state)
{
    (void) state;

    check("id,name,lng,lat,stair_info,has_slope,is_first_floor,floors,"
          "is_stair_only_option,stair_height_level,entrance_door_types\n"
          "a,n,1,2,ONE,true,no,\"1,,2;-3\",0,HALF_THUMB,Hinged; ETC\n"
          "b,n,1,2,,,,,,,\n"
          "c,n,1,2,,,1,,,,\n"
          "d,n,1,2, NONE ,unknown,null, ; ,,,\n"
          "e,n,1,2,UNDEFINED,,,,,,None\n",
          P("a", NAMED)
          A("a", "\"stairInfo\":\"ONE\",\"isFirstFloor\":false,"
            "\"floors\":[1,2,-3],\"isStairOnlyOption\":false,"
            "\"stairHeightLevel\":\"HALF_THUMB\",\"hasSlope\":true,"
            "\"entranceDoorTypes\":[\"Hinged\",\"ETC\"]")
          P("b", NAMED)
          P("c", NAMED)
          A("c", "\"stairInfo\":\"UNDEFINED\",\"isFirstFloor\":true")
          P("d", NAMED)
          A("d", "\"stairInfo\":\"NONE\"")
          P("e", NAMED)
          A("e", "\"stairInfo\":\"UNDEFINED\","
            "\"entranceDoorTypes\":[\"None\"]"));

    check("id,name,lng,lat,building_id,building_name,building_address,"
          "building_has_slope,building_has_elevator,"
          "building_entrance_stair_info,building_elevator_stair_info,"
          "building_entrance_stair_height_level,"
          "building_elevator_stair_height_level,"
          "contributor_id,contributor_name\n"
          "a,n,1,2,x/+=,빌딩,addr,no,yes,ONE,ONE,THUMB,OVER_THUMB,u1,정복자\n"
          "b,n,1,2,y,,,,no,,,,,u2,\n",
          P("a", NAMED ",\"buildingId\":\"x/+=\"")
          "building x/+= {\"buildingId\":\"x/+=\",\"name\":\"빌딩\","
          "\"address\":\"addr\"}\n"
          "building_accessibility x/+= {\"buildingId\":\"x/+=\","
          "\"entranceStairInfo\":\"ONE\",\"hasElevator\":true,"
          "\"hasSlope\":false,\"entranceStairHeightLevel\":\"THUMB\","
          "\"elevatorStairInfo\":\"ONE\","
          "\"elevatorStairHeightLevel\":\"OVER_THUMB\"}\n"
          "by u1 정복자\n"
          P("b", NAMED ",\"buildingId\":\"y\"")
          "building y {\"buildingId\":\"y\"}\n"
          "building_accessibility y {\"buildingId\":\"y\","
          "\"entranceStairInfo\":\"UNDEFINED\",\"hasElevator\":false,"
          "\"elevatorStairInfo\":\"UNDEFINED\"}\n"
          "by u2 \n");
}


static void
test_osm_rows(void **state)
{
    (void) state;

    check("id,name,lng,lat,category,source,wheelchair,extra\n"
          "a,n,1,2,railway=tram_stop,osm:x,yes,\n"
          "node/1,n,1,2,,,,\"{\"\"step_count\"\":\"\"3\"\"}\"\n"
          "node/2,n,1,2,,,yes,\"{\"\"step_count\"\":3,\"\"level\"\":1}\"\n"
          "node/3,n,1,2,,,yes,\"{\"\"ramp\"\":{\"\"ramp\"\":\"\"yes\"\"}}\"\n"
          "node/4,n,1,2,highway=steps,osm,limited,\n"
          "c,n,1,2,railway=tram_stop,other,yes,"
          "\"{\"\"step_count\"\":\"\"3\"\"}\"\n",
          P("a", NAMED ",\"category\":\"railway=tram_stop\","
            "\"source\":\"osm:x\"")
          A("a", "\"stairInfo\":\"NONE\",\"isFirstFloor\":true")
          P("node/1", NAMED ",\"extra\":{\"step_count\":\"3\"}")
          A("node/1", "\"stairInfo\":\"TWO_TO_FIVE\"")
          P("node/2", NAMED ",\"extra\":{\"step_count\":3,\"level\":1}")
          P("node/3", NAMED ",\"extra\":{\"ramp\":{\"ramp\":\"yes\"}}")
          A("node/3", "\"stairInfo\":\"NONE\"")
          P("node/4", NAMED ",\"category\":\"highway=steps\","
            "\"source\":\"osm\"")
          P("c", NAMED ",\"category\":\"railway=tram_stop\","
            "\"source\":\"other\",\"extra\":{\"step_count\":\"3\"}"));

    /* SCC's own columns win, as a whole */

    check("id,name,lng,lat,wheelchair,has_slope,extra\n"
          "node/1,n,1,2,yes,no,\n",
          P("node/1", NAMED)
          A("node/1", "\"stairInfo\":\"UNDEFINED\",\"hasSlope\":false"));

    /* without an extra column, the tag is collected and read */

    check("id,name,lng,lat,wheelchair\nnode/1,n,1,2,yes\nx,n,1,2,yes\n",
          P("node/1", NAMED ",\"extra\":{\"wheelchair\":\"yes\"}")
          A("node/1", "\"stairInfo\":\"NONE\"")
          P("x", NAMED ",\"extra\":{\"wheelchair\":\"yes\"}"));
}


static void
test_features(void **state)
{
    (void) state;

    check("{\"type\":\"Feature\",\"id\":\"way/1\",\"geometry\":"
          "{\"type\":\"LineString\",\"coordinates\":[[1,2],[1,2]]},"
          "\"properties\":{\"name\":\"n\",\"highway\":\"steps\","
          "\"step_count\":\"12\",\"addr:city\":\"C\",\"addr:street\":\"S\","
          "\"addr:housenumber\":\"5\",\"addr:postcode\":\"69115\"}}",
          P("way/1", NAMED ",\"category\":\"highway=steps\","
            "\"address\":\"S 5 69115 C\",\"source\":\"osm\",\"extra\":"
            "{\"name\":\"n\",\"highway\":\"steps\",\"step_count\":\"12\","
            "\"addr:city\":\"C\",\"addr:street\":\"S\","
            "\"addr:housenumber\":\"5\",\"addr:postcode\":\"69115\"}")
          A("way/1", "\"stairInfo\":\"OVER_SIX\",\"isFirstFloor\":true"));

    /* not OSM's: no tags are read into fields, no source is made up */

    check("{\"type\":\"Feature\",\"id\":7,\"geometry\":"
          "{\"type\":\"Point\",\"coordinates\":[1,2]},"
          "\"properties\":{\"name\":\"n\",\"category\":\"cafe\","
          "\"address\":\"adr\",\"wheelchair\":\"yes\"}}",
          P("7", NAMED ",\"category\":\"cafe\",\"address\":\"adr\","
            "\"extra\":{\"name\":\"n\",\"category\":\"cafe\","
            "\"address\":\"adr\",\"wheelchair\":\"yes\"}"));

    check("{\"type\":\"Feature\",\"id\":\"node/1\",\"geometry\":"
          "{\"type\":\"Point\",\"coordinates\":[1,2]},\"properties\":null}",
          P("node/1", "\"name\":\"\",\"location\":{\"lng\":1,\"lat\":2},"
            "\"source\":\"osm\""));

    /* a category that does not fit stays in extra only */

    check("{\"type\":\"Feature\",\"id\":\"node/1\",\"geometry\":"
          "{\"type\":\"Point\",\"coordinates\":[1,2]},\"properties\":"
          "{\"shop\":\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee"
          "ffffffffff\"}}",
          P("node/1", "\"name\":\"\",\"location\":{\"lng\":1,\"lat\":2},"
            "\"source\":\"osm\",\"extra\":{\"shop\":\"aaaaaaaaaabbbbbbbbbb"
            "ccccccccccddddddddddeeeeeeeeeeffffffffff\"}"));

    check("{\"features\":[3,{\"type\":\"Feature\"},"
          "{\"type\":\"Feature\",\"id\":1,\"geometry\":{\"type\":\"x\"}},"
          "{\"type\":\"Feature\",\"id\":1,\"geometry\":{\"type\":\"Point\","
          "\"coordinates\":[\"1\",2]}},"
          "{\"type\":\"Feature\",\"id\":\"\\u0000\"},"
          "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\","
          "\"coordinates\":[1,2]}},"
          "{\"type\":\"Feature\",\"id\":1,\"geometry\":{\"type\":\"Point\","
          "\"coordinates\":[37.5,126.9]}},"
          "{\"type\":\"Feature\",\"id\":1,\"geometry\":{\"type\":\"Point\","
          "\"coordinates\":[950000,1950000]}}]}",
          "!bad_json type\n!missing geometry\n!bad_geometry geometry\n"
          "!not_a_number coordinates\n!bad_json properties\n!missing id\n"
          "!swapped lng\n!out_of_range lng\n");
}


static void
test_rejected(void **state)
{
    size_t     i;
    scc_buf_t  text, want;

    static const char  header[] =
        "id,name,lng,lat,category,address,source,extra,is_closed,stair_info,"
        "stair_height_level,floors,entrance_door_types,building_id,"
        "building_has_elevator,building_elevator_stair_info,contributor_id,"
        "contributor_name\n";

    static const struct {
        const char  *row;
        const char  *want;
    } rows[] = {
        { ",n,1,2,,,,,,,,,,,,,,", "missing id" },
        { "a,n,,2,,,,,,,,,,,,,,", "missing lng" },
        { "a,n,1, ,,,,,,,,,,,,,,", "missing lat" },
        { "a,n,x,2,,,,,,,,,,,,,,", "not_a_number lng" },
        { "a,n,1,2.3.4,,,,,,,,,,,,,,", "not_a_number lat" },
        { "a,n,1,0x10,,,,,,,,,,,,,,", "not_a_number lat" },
        { "a,n,1,37°,,,,,,,,,,,,,,", "not_a_number lat" },
        { "a,n,nan,2,,,,,,,,,,,,,,", "not_a_number lng" },
        { "a,n,1,12345.6.7,,,,,,,,,,,,,,", "not_a_number lat" },
        { "a,n,181,2,,,,,,,,,,,,,,", "out_of_range lng" },
        { "a,n,-180.0000001,2,,,,,,,,,,,,,,", "out_of_range lng" },
        { "a,n,180,2,,,,,,,,,,,,,,", "" },
        { "a,n,-180.00000004,90.00000004,,,,,,,,,,,,,,", "" },
        { "a,n,950123.4,1950123.4,,,,,,,,,,,,,,", "out_of_range lng" },
        { "a,n,1,-1e99,,,,,,,,,,,,,,", "out_of_range lat" },
        { "a,n,120,-100,,,,,,,,,,,,,,", "out_of_range lat" },
        { "a,n,37,127,,,,,,,,,,,,,,", "swapped lng" },
        { "a,n,1,-90.0000001,,,,,,,,,,,,,,", "swapped lng" },
        { "0123456789012345678901234567890123456789012345678901234567890123,"
          "n,1,2,,,,,,,,,,,,,,", "" },
        { "01234567890123456789012345678901234567890123456789012345678901234"
          ",n,1,2,,,,,,,,,,,,,,", "bad_id id" },
        { "a\xff,n,1,2,,,,,,,,,,,,,,", "bad_id id" },
        { "a,\xed\xa0\x80,1,2,,,,,,,,,,,,,,", "bad_name name" },
        { "a,n,1,2,\xff,,,,,,,,,,,,,", "bad_value category" },
        { "a,n,1,2,,\xff,,,,,,,,,,,,", "bad_value address" },
        { "a,n,1,2,,,\xff,,,,,,,,,,,", "bad_value source" },
        { "a,n,1,2,0123456789012345678901234567890123456789012345678901234567"
          "8901234,,,,,,,,,,,,,", "bad_value category" },
        { "a,n,1,2,,,,[],,,,,,,,,,", "bad_json extra" },
        { "a,n,1,2,,,,\"{\"\"a\"\":}\",,,,,,,,,,", "bad_json extra" },
        { "a,n,1,2,,,,\"{\"\"a\"\":\"\"\\u0000\"\"}\",,,,,,,,,,",
          "bad_json extra" },
        { "a,n,1,2,,,,\"{}\"\"}\",,,,,,,,,,", "bad_json extra" },
        { "a,n,1,2,,,,\"\xef\xbb\xbf{\"\"a\"\":1}\",,,,,,,,,,",
          "bad_json extra" },
        { "a,n,1,2,,,,\"{\"\"a\"\":1e999}\",,,,,,,,,,", "bad_json extra" },
        { "a,n,1,2,,,,,maybe,,,,,,,,,", "bad_value is_closed" },
        { "a,n,1,2,,,,,,none,,,,,,,,", "bad_value stair_info" },
        { "a,n,1,2,,,,,,ONE,TALL,,,,,,,", "bad_value stair_height_level" },
        { "a,n,1,2,,,,,,NONE,THUMB,,,,,,,", "bad_value stair_height_level" },
        { "a,n,1,2,,,,,,,,1;x,,,,,,", "bad_value floors" },
        { "a,n,1,2,,,,,,,,1000,,,,,,", "bad_value floors" },
        { "a,n,1,2,,,,,,,,-,,,,,,", "bad_value floors" },
        { "a,n,1,2,,,,,,,,,Folding,,,,,", "bad_value entrance_door_types" },
        { "a,n,1,2,,,,,,,,,Hinged;Hinged,,,,,",
          "bad_value entrance_door_types" },
        { "a,n,1,2,,,,,,,,,ETC;None,,,,,", "bad_value entrance_door_types" },
        { "a,n,1,2,,,,,,,,,None;ETC,,,,,", "bad_value entrance_door_types" },
        { "a,n,1,2,,,,,,,,,,,yes,,,", "missing building_id" },
        { "a,n,1,2,,,,,,,,,,b\xff,,,,", "bad_id building_id" },
        { "a,n,1,2,,,,,,,,,,b,no,NONE,,",
          "bad_value building_elevator_stair_info" },
        { "a,n,1,2,,,,,,,,,,,,,,who", "missing contributor_id" },
        { "a,n,1,2,,,,,,,,,,,,,u,\xff", "bad_name contributor_name" },
        { "a,n,1,2,,,,,,,,,,,,,\xff,", "bad_id contributor_id" },
        { "a,n,1,2", "bad_value columns" },
        { "a,n,1,2,,,,,,,,,,,,,,,", "bad_value columns" },
    };

    (void) state;

    scc_buf_heap(&text, 0);
    scc_buf_heap(&want, 0);

    for (i = 0; i < scc_test_items(rows); i++) {
        scc_err_t  err;
        row_log_t  log;

        scc_buf_reset(&text);
        scc_buf_text(&text, header);
        scc_buf_text(&text, rows[i].row);

        scc_buf_reset(&want);

        if (rows[i].want[0]) {
            scc_buf_byte(&want, '!');
            scc_buf_text(&want, rows[i].want);
            scc_buf_byte(&want, '\n');
        }

        log_init(&log);

        assert_int_equal(import(&log, "", "", scc_buf_get(&text), 9, &err),
                         SCC_OK);
        assert_int_equal(log.line, 2);
        assert_int_equal(log.row, 1);

        if (want.used ? !scc_str_eq(scc_buf_get(&log.text),
                                    scc_buf_get(&want))
                      : log.rejects[SCC_REJECT_NONE] != 1)
        {
            fail_msg("%s\ngives: %.*s\nnot:   %s\n%s", rows[i].row,
                     (int) log.text.used, (const char *) log.text.start,
                     rows[i].want, log.why);
        }

        scc_buf_free(&log.text);
    }

    /* NUL bytes, and names of more than 512 */

    check_with("", "", S("id,name,lng,lat,x\na\0,n,1,2,\na,n\0,1,2,\n"
                         "a,n,1,2,\0\na,n,1\0,2,\n"),
               "!bad_id id\n!bad_name name\n!bad_value x\n"
               "!not_a_number lng\n");

    scc_buf_reset(&text);
    scc_buf_text(&text, "id,lng,lat,name\na,1,2,");

    for (i = 0; i < 513; i++) {
        scc_buf_byte(&text, 'n');
    }

    check_with("", "", scc_buf_get(&text), "!bad_name name\n");

    scc_buf_free(&text);
    scc_buf_free(&want);
}


static void
test_bounds(void **state)
{
    (void) state;

    check_with("", "124,33,132,39",
               S("id,name,lng,lat\na,n,126,37\na,n,37,126\na,n,123,37\n"
                 "a,n,126,40\na,n,0,0\na,n,33,124\na,n,132,39\n"
                 "a,n,132.0000001,39\n"),
               "place a {\"placeId\":\"a\",\"name\":\"n\",\"location\":"
               "{\"lng\":126,\"lat\":37}}\n"
               "!swapped lng\n!out_of_range lng\n!out_of_range lng\n"
               "!out_of_range lng\n!swapped lng\n"
               "place a {\"placeId\":\"a\",\"name\":\"n\",\"location\":"
               "{\"lng\":132,\"lat\":39}}\n"
               "!out_of_range lng\n");

    /* across the antimeridian */

    check_with("", "179,-20,-179,20", S("id,name,lng,lat\na,n,0,0\n"),
               "!out_of_range lng\n");
}


static void
test_configuration(void **state)
{
    size_t             i;
    scc_err_t          err;
    row_log_t          log;
    scc_import_t      *im;
    scc_import_conf_t  conf;

    static const struct {
        const char  *map;
        const char  *bounds;
        const char  *field;
        const char  *word;
    } bad[] = {
        { "lng", "", "map", "\"lng\" has no '='" },
        { "lng=x,lat", "", "map", "\"lat\" has no '='" },
        { "longitude=x", "", "map", "\"longitude\" is not a field" },
        { "=x", "", "map", "is not a field" },
        { "lng=", "", "map", "field lng has no column" },
        { "lng= ,lat=y", "", "map", "field lng has no column" },
        { "lng=x,lng=y", "", "map", "field lng is mapped twice" },
        { "", "1,2,3", "bounds", "four numbers" },
        { "", "a,b,c,d", "bounds", "four numbers" },
        { "", "1,9,2,8", "bounds", "south" },
        { "", "1.00000001,1,1.00000002,2", "bounds", "no point" },
    };

    (void) state;

    log_init(&log);

    conf.format = SCC_IMPORT_CSV;

    for (i = 0; i < scc_test_items(bad); i++) {
        conf.map = scc_test_z(bad[i].map);
        conf.bounds = scc_test_z(bad[i].bounds);

        im = scc_import_create(&conf, log_row, &log, &err);
        assert_null(im);
        assert_str(err.field, bad[i].field);

        if (strstr(err.text, bad[i].word) == NULL) {
            fail_msg("%s", err.text);
        }
    }

    scc_buf_free(&log.text);
}


static void
test_refused_files(void **state)
{
    size_t     i, piece;
    scc_err_t  err;
    row_log_t  log;

    static const struct {
        const char  *map;
        const char  *text;
        const char  *field;
        const char  *want;
    } bad[] = {
        { "", "", "", "the file is empty" },
        { "", "\n \n", "", "the file is empty" },
        { "", "\n ,\n", "", "line 2: no column \"id\"" },
        { "", "\r\n\n", "", "the file is empty" },
        { "", "a,b", "id", "line 1: no column \"id\"; map one with "
          "id=column; there are: a, b" },
        { "", "\n\nid,name,lon,lat\n", "lng", "line 3: no column \"lng\"" },
        { "lng=lon", "id,name,lng,lat\n", "lng", "no column \"lon\"" },
        { "id=a,name=a", "a,lng,lat\n", "name", "mapped to both id and name" },
        { "lng=lat", "id,name,lat\n", "lat", "no column \"lat\"" },
        { "", "id,name,lng,lat,id\n", "id", "two columns \"id\"" },
        { "category=x", "id,name,lng,lat,x,x\n", "category",
          "two columns \"x\"" },
        { "", "id,\xff,lng,lat\n", "", "column 2 is not UTF-8" },
        { "", "id,name,lng,lat\na,\"n,1,2\n", "", "line 2: " },
        { "", "id,name,lng,lat\na,n\"n,1,2\n", "", "line 2: " },
        { "lng=x", "{}", "map", "leave it out" },
        { "", "{\"features\":[}", "", "line 1, byte 14: " },
        { "", "[]", "", "line 1: " },
        { "", " \n\xef\xbb\xbf[1]", "", "line " },
        { "", "{\"type\":", "", "line 1, byte " },
    };

    (void) state;

    for (i = 0; i < scc_test_items(bad); i++) {

        for (piece = 1; piece < 100; piece *= 3) {
            log_init(&log);

            assert_int_equal(import(&log, bad[i].map, "",
                                    scc_test_z(bad[i].text), piece, &err),
                             SCC_DECLINED);

            if (strstr(err.text, bad[i].want) == NULL
                || (bad[i].field[0]
                    && !scc_str_eq(err.field, scc_test_z(bad[i].field))))
            {
                fail_msg("%s: %.*s %s", bad[i].text, (int) err.field.len,
                         (const char *) err.field.data, err.text);
            }

            assert_int_equal(log.text.used, 0);
            scc_buf_free(&log.text);
        }
    }
}


static void
test_stopped(void **state)
{
    scc_err_t  err;
    row_log_t  log;

    (void) state;

    log_init(&log);
    log.stop = 2;

    assert_int_equal(import(&log, "", "", S("id,name,lng,lat\na,n,1,2\n"
                                            "b,n,1,2\nc,n,1,2\n"), 100,
                            &err), SCC_DONE);
    assert_int_equal(log.row, 2);

    scc_buf_free(&log.text);
}


static void
test_ignored(void **state)
{
    scc_err_t      err;
    row_log_t      log;
    scc_import_t  *im;

    (void) state;

    log_init(&log);
    im = import_create(&log, "", "");

    assert_int_equal(scc_import_feed(im, "id,name,x,lng,lat,extra,y \n", 27,
                                     &err), SCC_OK);
    assert_str(scc_import_ignored(im), "x, y");
    scc_import_free(im);

    im = import_create(&log, "", "");
    assert_int_equal(scc_import_feed(im, "id,name,x,lng,lat\n", 18, &err),
                     SCC_OK);
    assert_str(scc_import_ignored(im), "");
    scc_import_free(im);

    assert_string_equal(scc_import_field(0), "id");
    assert_non_null(scc_import_field(28));
    assert_null(scc_import_field(29));

    scc_buf_free(&log.text);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_osm_rows),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_rejected),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_refused_files),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_ignored),
    };

    return cmocka_run_group_tests_name("import", tests, NULL, NULL);
}
