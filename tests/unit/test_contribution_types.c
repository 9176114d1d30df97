
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_place.h"
#include "scc_test_body.h"


/* A body with "add" in it is good, or has faults in this field. */

static bool
test_taken(const char *body, const char *add, const char *field)
{
    char                *text;
    scc_rc_t             rc;
    unsigned             i;
    scc_faults_t         faults;
    scc_contribution_t   c;

    text = test_body(body, add);
    rc = scc_contribution_parse(&c, &test_conf, scc_test_z(text), &faults);
    free(text);

    if (rc == SCC_OK) {
        return true;
    }

    assert_int_equal(rc, SCC_DECLINED);

    for (i = 0; i < faults.n; i++) {

        if (strncmp(faults.fault[i].field, field, strlen(field)) != 0) {
            fail_msg("%s\n%s: %s", add, faults.fault[i].field,
                     faults.fault[i].text);
        }
    }

    return false;
}


/* ,'field':'xxxx' of n times "unit", which may be an escape. */

static bool
test_long(const char *body, const char *field, const char *unit, size_t n)
{
    bool     taken;
    char    *text, *p;

    text = malloc(strlen(field) + strlen(unit) * n + 16);
    assert_non_null(text);

    p = text + sprintf(text, ",'%s':'", field);

    while (n-- > 0) {
        p += sprintf(p, "%s", unit);
    }

    (void) sprintf(p, "'");

    taken = test_taken(body, text, field);
    free(text);

    return taken;
}


static void
test_strings(void **state)
{
    size_t  i;

    static const struct {
        const char  *body;
        const char  *field;
        size_t       min;
        size_t       bytes;
    } lines[] = {
        { "{'kind':'report','reason':'CLOSED'%}", "placeId", 1, 64 },
        { "{'kind':'building'%}", "buildingId", 1, 64 },
        { PLACE, "buildingId", 1, 64 },
        { "{'kind':'place','placeId':'p'," LOC "%}", "name", 1, 512 },
        { PLACE, "category", 0, 64 },
        { PLACE, "address", 0, 512 },
        { PLACE, "source", 0, 64 },
        { BUILDING, "name", 0, 512 },
        { BUILDING, "address", 0, 512 },
        { "{'kind':'contributor'%}", "displayName", 1, 512 },
    };

    static const struct {
        const char  *body;
        const char  *field;
        size_t       min;
    } texts[] = {
        { NEW, "comment", 0 },
        { NEW, "entranceComment", 0 },
        { NEW, "floorMovingMethodComment", 0 },
        { NEW, "floorMovingElevatorComment", 0 },
        { BFULL, "comment", 0 },
        { "{'kind':'building_accessibility','buildingId':'b',"
          "'entranceStairInfo':'NONE','hasSlope':false,'hasElevator':true,"
          "'elevatorStairInfo':'NONE','doorDirectionType':'ETC'%}",
          "doorDirectionEtcComment", 1 },
        { "{'kind':'comment','placeId':'p'%}", "comment", 1 },
        { "{'kind':'report','placeId':'p','reason':'CLOSED'%}", "detail",
          0 },
    };

    static const char * const  bad[] = {
        "\\u0000", "\\u0001", "\\u001f", "\\u007f", "\\u0080", "\\u009f",
        "\\ud800", "\\udc00x", "\\ud800\\u0041", "\xff", "\xc0\x80",
        "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe3\x80"
    };

    static const char * const  good[] = {
        "\\u00a0x", "\\\\", "\\/", "\\\"", "\\ud83d\\ude00", "😀", "계단",
        "%", "<script>", "\xef\xbf\xbf"
    };

    (void) state;

    for (i = 0; i < scc_test_items(lines); i++) {
        assert_int_equal(test_long(lines[i].body, lines[i].field, "a", 0),
                         lines[i].min == 0);
        assert_true(test_long(lines[i].body, lines[i].field, "a", 1));
        assert_true(test_long(lines[i].body, lines[i].field, "a",
                              lines[i].bytes));
        assert_false(test_long(lines[i].body, lines[i].field, "a",
                               lines[i].bytes + 1));
        assert_true(test_long(lines[i].body, lines[i].field, "\\u00e9",
                              lines[i].bytes / 2));
        assert_false(test_long(lines[i].body, lines[i].field, "é",
                               lines[i].bytes / 2 + 1));
        assert_false(test_long(lines[i].body, lines[i].field, "a\\t", 1));
        assert_false(test_long(lines[i].body, lines[i].field, "a\\n", 1));
    }

    for (i = 0; i < scc_test_items(texts); i++) {
        assert_int_equal(test_long(texts[i].body, texts[i].field, "", 1),
                         texts[i].min == 0);
        assert_int_equal(test_long(texts[i].body, texts[i].field, "\\n", 3),
                         texts[i].min == 0);
        assert_true(test_long(texts[i].body, texts[i].field, "a", 2000));
        assert_false(test_long(texts[i].body, texts[i].field, "a", 2001));
        assert_true(test_long(texts[i].body, texts[i].field, "계", 2000));
        assert_false(test_long(texts[i].body, texts[i].field, "계", 2001));
        assert_true(test_long(texts[i].body, texts[i].field, "😀", 2000));
        assert_true(test_long(texts[i].body, texts[i].field, "a\\r\\n\\t",
                              9));
    }

    for (i = 0; i < scc_test_items(bad); i++) {
        assert_false(test_long(PLACE, "category", bad[i], 1));
        assert_false(test_long(NEW, "comment", bad[i], 1));
    }

    for (i = 0; i < scc_test_items(good); i++) {

        if (!test_long(PLACE, "category", good[i], 1)
            || !test_long(NEW, "comment", good[i], 1))
        {
            fail_msg("not taken: %s", good[i]);
        }
    }
}


static void
test_blanks(void **state)
{
    size_t  i;

    static const char * const  blank[] = {
        " ", "   ", "\\u00a0", "\\u00ad", "\\u115f", "\\u1160", "\\u1680",
        "\\u180e", "\\u2000", "\\u200b", "\\u200d", "\\u200f", "\\u2028",
        "\\u202f", "\\u205f", "\\u2060", "\\u2800", "\\u3000", "\\u3164",
        "\\ufe0f", "\\ufeff", "\\uffa0", " \\u3164 \\u3000"
    };

    static const char * const  good[] = {
        "a", ".", "계", "\\u3164.", " a ", "😀", "\\u2010", "\\u3001",
        "\\u115e", "\\u1161"
    };

    (void) state;

    for (i = 0; i < scc_test_items(blank); i++) {

        if (test_long("{'kind':'contributor'%}", "displayName", blank[i], 1)
            || test_long("{'kind':'comment','placeId':'p'%}", "comment",
                         blank[i], 1))
        {
            fail_msg("taken: %s", blank[i]);
        }
    }

    for (i = 0; i < scc_test_items(good); i++) {

        if (!test_long("{'kind':'contributor'%}", "displayName", good[i], 1)
            || !test_long("{'kind':'comment','placeId':'p'%}", "comment",
                          good[i], 1))
        {
            fail_msg("not taken: %s", good[i]);
        }
    }
}


static void
test_times(void **state)
{
    size_t  i;

    static const char * const  good[] = {
        "2026-11-23T12:00:00Z", "2026-11-23t12:00:00z",
        "2026-11-23T12:00:00.1Z", "2026-11-23T12:00:00.123456789+09:00",
        "2026-11-23T23:59:60Z", "2026-11-23T00:00:00-00:00",
        "2024-02-29T00:00:00Z", "2000-02-29T00:00:00Z",
        "1900-01-01T00:00:00Z", "2999-12-31T23:59:59Z",
        "2026-04-30T00:00:00+15:59", "2026-01-31T00:00:00-15:59"
    };

    static const char * const  bad[] = {
        "", "2026", "2026-11-23", "2026-11-23T12:00Z", "2026-11-23T12:00:00",
        "2026-11-23 12:00:00Z", "2026-11-23T12:00:00.Z",
        "2026-11-23T12:00:00,5Z", "2026-11-23T24:00:00Z",
        "2026-11-23T12:60:00Z", "2026-11-23T12:00:61Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z",
        "2026-04-31T00:00:00Z", "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z", "2024-02-30T00:00:00Z",
        "1899-12-31T23:59:59Z", "3000-01-01T00:00:00Z",
        "0026-11-23T12:00:00Z", "2026-11-23T23:59:60.5Z",
        "2026-11-23T12:00:00+9:00",
        "2026-11-23T12:00:00+0900", "2026-11-23T12:00:00+09",
        "2026-11-23T12:00:00+16:00", "2026-11-23T12:00:00+09:60",
        "2026-11-23T12:00:00Z ", " 2026-11-23T12:00:00Z",
        "2026-11-23T12:00:00ZZ", "2026-1-23T12:00:00Z",
        "2026-11-23T12:00:00.123456789012345678901Z", "+026-11-23T12:00:00Z",
        "2026-11-23T12:00:00.000000000\\u0000Z"
    };

    (void) state;

    for (i = 0; i < scc_test_items(good); i++) {

        if (!test_long(NEW, "observedAt", good[i], 1)) {
            fail_msg("not taken: %s", good[i]);
        }
    }

    for (i = 0; i < scc_test_items(bad); i++) {

        if (test_long(NEW, "observedAt", bad[i], 1)) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}


static bool
test_url(const char *url)
{
    char  text[1024];

    (void) snprintf(text, sizeof(text), ",'imageUrls':['%s']", url);

    return test_taken(NEW, text, "imageUrls[0]");
}


static void
test_urls(void **state)
{
    char    url[600];
    size_t  i;

    static const char * const  good[] = {
        "https://a", "http://a", "HTTPS://A/b", "Http://a",
        "https://img.example/20230501120000_0011AABB.jpeg?x=1&y=%20#z",
        "http://127.0.0.1:8080/", "https://[::1]/", "https://예.kr/사진.jpg"
    };

    static const char * const  bad[] = {
        "", "h", "http", "http:", "http:/", "http://", "https://",
        "https:///x", "http://?", "http://#", "http://:80/", "http://@x",
        "ftp://a", "httpx://a", "httpss://a", "//a", "a.jpg", "/a.jpg",
        "javascript:alert(1)", "data:image/png;base64,AA", "https://a b",
        "https://a\\tb", "https://a\\n", " https://a", "https://a\\u007f",
        "https://a\\u0085", "https://a\\\"b", "https://a<b", "https://a>b",
        "https://a\\\\b", "https:\\\\\\\\a", "https://a\\u0000",
        "https:/\\/"
    };

    (void) state;

    for (i = 0; i < scc_test_items(good); i++) {

        if (!test_url(good[i])) {
            fail_msg("not taken: %s", good[i]);
        }
    }

    for (i = 0; i < scc_test_items(bad); i++) {

        if (test_url(bad[i])) {
            fail_msg("taken: %s", bad[i]);
        }
    }

    memset(url, 'a', sizeof(url));
    memcpy(url, "https://", 8);

    url[512] = '\0';
    assert_true(test_url(url));

    url[512] = 'a';
    url[513] = '\0';
    assert_false(test_url(url));
}


/* ,'field':[...] of n times "item"; NULL: floors, rising. */

static bool
test_list(const char *field, const char *item, size_t n, long from)
{
    char    text[32768], *p;
    size_t  i;

    p = text + sprintf(text, ",'%s':[", field);

    for (i = 0; i < n; i++) {

        if (item) {
            p += sprintf(p, "%s%s", i ? "," : "", item);

        } else {
            from += (from == 0);
            p += sprintf(p, "%s%ld", i ? "," : "", from++);
        }
    }

    (void) sprintf(p, "]");

    return test_taken(item ? NEW : FLOORS, text, field);
}


static void
test_lists(void **state)
{
    assert_true(test_list("imageUrls", "'https://a'", 0, 0));
    assert_true(test_list("imageUrls", "'https://a'", 20, 0));
    assert_false(test_list("imageUrls", "'https://a'", 21, 0));

    assert_true(test_list("features", "'a'", 64, 0));
    assert_false(test_list("features", "'a'", 65, 0));
    assert_true(test_list("features", "'1234567890123456789012345678901234"
                          "567890123456789012345678901234'", 1, 0));
    assert_false(test_list("features", "'1234567890123456789012345678901234"
                           "5678901234567890123456789012345'", 1, 0));

    assert_false(test_list("floors", NULL, 0, 0));
    assert_true(test_list("floors", NULL, 1, -20));
    assert_true(test_list("floors", NULL, 220, -20));
    assert_false(test_list("floors", NULL, 221, -20));
    assert_false(test_list("floors", NULL, 4000, -20));

    (void) state;
}


/* The rules' names are in the order of scc_stair_t. */

static void
test_stairs(void **state)
{
    int        i;
    char       text[80];
    scc_str_t  name;

    (void) state;

    for (i = SCC_STAIR_UNDEFINED; i <= SCC_STAIR_OVER_SIX; i++) {
        name = scc_stair_name((scc_stair_t) i);

        (void) snprintf(text, sizeof(text), ",'floorMovingElevator"
                        "Accessibility':{'stairInfo':'%.*s'}",
                        (int) name.len, (const char *) name.data);

        assert_int_equal(test_taken(NEW, text,
                                    "floorMovingElevatorAccessibility."
                                    "stairHeightLevel"),
                         i != SCC_STAIR_ONE);
    }

    for (i = SCC_HEIGHT_HALF_THUMB; i <= SCC_HEIGHT_OVER_THUMB; i++) {
        name = scc_height_name((scc_height_t) i);

        (void) snprintf(text, sizeof(text), ",'stairHeightLevel':'%.*s',"
                        "'stairInfo':'ONE'", (int) name.len,
                        (const char *) name.data);

        assert_true(test_taken("{'kind':'place_accessibility',"
                               "'placeId':'p','hasSlope':true,'floors':[1],"
                               "'entranceDoorTypes':['None']%}", text, "?"));
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_blanks),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_stairs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
