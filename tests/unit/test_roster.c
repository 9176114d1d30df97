
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_roster.h"
#include "scc_time.h"


/* Events in any order: the fold itself; what stores and journals make of
   them is in the integration tests. */

typedef struct {
    scc_kind_t   kind;
    uint64_t     msec;
    uint8_t      id;
    const char  *by;
    const char  *name;
    const char  *body;
} test_event_t;


static scc_str_t
test_text(const char *text)
{
    scc_str_t  s = { strlen(text), (const uint8_t *) text };

    return s;
}


static void
test_time(void **state)
{
    size_t     i;
    int64_t    msec, day, again;
    uint8_t    text[64];
    scc_buf_t  b;

    static const struct {
        const char  *text;
        int64_t      msec;
    } good[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "1970-01-01t09:00:00.0019+09:00", 1 },
        { "1969-12-31T23:59:59.999z", -1 },
        { "2023-05-01T00:00:00Z", 1682899200000 },
        { "2023-04-30T23:59:60Z", 1682899200000 },
        { "2000-02-29T12:00:00-15:59", 951825600000 + 57540000 },
        { "2999-12-31T23:59:59.9999999999999Z", 32503679999999 },
        { "1900-01-01T00:00:00Z", -2208988800000 },
    };

    static const char *const  bad[] = {
        "", "2023-05-01", "2023-05-01T00:00:00", "2023-02-29T00:00:00Z",
        "2023-05-01 00:00:00Z", "2023-05-01T24:00:00Z",
        "2023-05-01T00:60:00Z", "2023-05-01T00:00:61Z",
        "2023-05-01T00:00:00.Z", "2023-05-01T00:00:00+16:00",
        "2023-05-01T00:00:00+9:00", "1899-05-01T00:00:00Z",
        "3000-05-01T00:00:00Z", "2023-13-01T00:00:00Z",
        "2023-00-01T00:00:00Z", "2023-05-00T00:00:00Z",
    };

    (void) state;

    for (i = 0; i < scc_test_items(good); i++) {
        assert_int_equal(scc_time_parse(test_text(good[i].text), &msec),
                         SCC_OK);
        assert_true(msec == good[i].msec);
    }

    for (i = 0; i < scc_test_items(bad); i++) {
        if (scc_time_parse(test_text(bad[i]), &msec) != SCC_DECLINED) {
            fail_msg("taken: %s", bad[i]);
        }
    }

    /* every day there is, both ways */

    assert_int_equal(scc_day_parse(S("1900-01-01"), false, &day), SCC_OK);

    for (again = day; again < 376200; again++) {
        scc_buf_fixed(&b, text, sizeof(text));
        scc_day_write(&b, again % 2 == 0, again);
        assert_int_equal(scc_day_parse(scc_buf_get(&b), again % 2 == 0,
                                       &day), SCC_OK);
        assert_true(day == again);
    }

    scc_buf_fixed(&b, text, sizeof(text));
    scc_time_write(&b, -1);
    scc_time_write(&b, 1682899200007);
    text[b.used] = '\0';
    assert_string_equal((char *) text,
                        "1969-12-31T23:59:59.999Z2023-05-01T00:00:00.007Z");
}


static void
test_words(void **state)
{
    uint32_t     i;
    char         text[16];
    scc_words_t  w;

    (void) state;

    memset(&w, 0, sizeof(scc_words_t));

    assert_int_equal(scc_words_find(&w, S("")), SCC_WORD_NONE);

    for (i = 0; i < 5000; i++) {
        snprintf(text, sizeof(text), "%u", i);
        assert_int_equal(scc_words_add(&w, test_text(text)), i);
        assert_int_equal(scc_words_add(&w, test_text(text)), i);
    }

    assert_int_equal(scc_words_add(&w, S("")), 5000);
    assert_int_equal(scc_words_find(&w, S("4999")), 4999);
    assert_int_equal(scc_words_find(&w, S("5000")), SCC_WORD_NONE);
    assert_int_equal(scc_words_find(&w, S("1\0")), SCC_WORD_NONE);

    scc_words_free(&w);
}


static scc_seasons_t *
test_seasons(const char *text)
{
    scc_err_t       err;
    scc_seasons_t  *s;

    s = scc_seasons_create(540);
    assert_non_null(s);

    assert_int_equal(scc_seasons_feed(s, text, strlen(text), &err), SCC_OK);
    assert_int_equal(scc_seasons_end(s, &err), SCC_OK);

    return s;
}


static void
test_season(void **state)
{
    int64_t         msec;
    scc_seasons_t  *s;

    (void) state;

    s = test_seasons("지부, Season ,FROM,to,area,contributors\n"
                     "강남,봄,2023-03-04,2023-05-28,"
                     "127.0/37.4;127.2/37.4;127.0/37.6,\n"
                     ",봄,2023-03-04,,,\" u1 ;; u2,,u3\"\n"
                     "모두,옛날,,2023-03-03,,\n");

    assert_int_equal(scc_seasons_n(s), 3);
    assert_true(scc_seasons_boxed(s));

    assert_int_equal(scc_time_parse(S("2023-03-03T15:00:00Z"), &msec),
                     SCC_OK);

    assert_int_equal(scc_seasons_find(s, S("u9"), msec, true, 1270500000,
                                      374500000), 0);
    assert_int_equal(scc_seasons_find(s, S("u9"), msec, true, 1271500000,
                                      375900000), 3);
    assert_int_equal(scc_seasons_find(s, S("u9"), msec, false, 0, 0), 3);
    assert_int_equal(scc_seasons_find(s, S("u2"), msec, false, 0, 0), 1);
    assert_int_equal(scc_seasons_find(s, S("u3"), msec, false, 0, 0), 1);
    assert_int_equal(scc_seasons_find(s, S(""), msec, false, 0, 0), 3);
    assert_int_equal(scc_seasons_find(s, S("u2"), msec - 1, false, 0, 0), 2);

    scc_seasons_free(s);
}


static const test_event_t  test_events[] = {
    { SCC_KIND_PLACE_ACCESSIBILITY, 5, 1, "u1", "One", "{\"placeId\":\"p\"}" },
    { SCC_KIND_PLACE_ACCESSIBILITY, 3, 2, "u2", "Two", "{\"placeId\":\"q\"}" },
    { SCC_KIND_BUILDING_ACCESSIBILITY, 9, 3, "u1", "one",
      "{\"buildingId\":\"b\"}" },
    { SCC_KIND_COMMENT, 9, 4, "u2", "", "{\"placeId\":\"p\"}" },
    { SCC_KIND_REPORT, 7, 5, "u3", "Three", "{\"placeId\":\"p\"}" },
    { SCC_KIND_RETRACT, 8, 6, "u2", "",
      "{\"eventId\":\"02000000-0000-0000-0000-000000000000\"}" },
    { SCC_KIND_REMOVE, 8, 7, "u9", "",
      "{\"eventId\":\"01000000-0000-0000-0000-000000000000\"}" },
    { SCC_KIND_REINSTATE, 9, 8, "u8", "",
      "{\"eventId\":\"01000000-0000-0000-0000-000000000000\"}" },
    { SCC_KIND_RETRACT, 9, 9, "u8", "",         /* not u8's to take back */
      "{\"eventId\":\"01000000-0000-0000-0000-000000000000\"}" },
    { SCC_KIND_ERASE, 6, 10, "u4", "Four", "{}" },
    { SCC_KIND_PLACE_ACCESSIBILITY, 6, 11, "u4", "Four",
      "{\"placeId\":\"p\"}" },
    { SCC_KIND_CONTRIBUTOR, 9, 12, "u3", "", "{\"displayName\":\"3\"}" },
    { SCC_KIND_PLACE_ACCESSIBILITY, 9, 13, "u7", "broken", "[1]" },
};


static void
test_fold_one(const size_t *order, size_t n, scc_buf_t *out)
{
    size_t               i;
    unsigned             pass;
    uint8_t              id[16];
    scc_roster_t        *r;
    scc_roster_event_t   e;

    r = scc_roster_create(NULL);
    assert_non_null(r);

    memset(id, 0, sizeof(id));

    for (pass = 0; pass < 2; pass++) {
        for (i = 0; i < n; i++) {
            const test_event_t  *t = &test_events[order[i]];

            id[0] = t->id;

            e.kind = t->kind;
            e.hlc = t->msec << 16;
            e.event_id = id;
            e.contributor_id = test_text(t->by);
            e.contributor_name = test_text(t->name);
            e.body = test_text(t->body);

            assert_int_equal(pass ? scc_roster_tell(r, &e)
                                  : scc_roster_learn(r, &e), SCC_OK);
        }
    }

    assert_int_equal(scc_roster_number(r, S("u1"), 7), SCC_OK);
    assert_int_equal(scc_roster_number(r, S("gone"), 9), SCC_OK);
    assert_int_equal(scc_roster_end(r), SCC_OK);

    for (i = 0; i < scc_roster_n(r); i++) {
        scc_roster_json(out, r, i, false);
        scc_buf_byte(out, '\n');
    }

    assert_int_equal(scc_roster_erased(r), 1);
    assert_int_equal(scc_roster_top(r), 12);

    scc_roster_free(r);
}


static void
test_fold(void **state)
{
    size_t     i, k, t, n, order[64];
    unsigned   turn;
    uint32_t   seed;
    scc_buf_t  first, again;

    static const char  want[] =
        "{\"order\":7,\"id\":\"u1\",\"name\":\"one\",\"names\":["
        "{\"name\":\"One\",\"first\":\"1970-01-01T00:00:00.005Z\","
        "\"last\":\"1970-01-01T00:00:00.005Z\"},{\"name\":\"one\","
        "\"first\":\"1970-01-01T00:00:00.009Z\","
        "\"last\":\"1970-01-01T00:00:00.009Z\"}],"
        "\"first\":\"1970-01-01T00:00:00.005Z\","
        "\"last\":\"1970-01-01T00:00:00.009Z\","
        "\"places\":1,\"buildings\":1,\"comments\":0,\"reports\":0,"
        "\"photos\":0}\n"
        "{\"order\":10,\"id\":\"u2\",\"name\":\"Two\",\"names\":["
        "{\"name\":\"Two\",\"first\":\"1970-01-01T00:00:00.003Z\","
        "\"last\":\"1970-01-01T00:00:00.003Z\"}],"
        "\"first\":\"1970-01-01T00:00:00.003Z\","
        "\"last\":\"1970-01-01T00:00:00.009Z\","
        "\"places\":0,\"buildings\":0,\"comments\":1,\"reports\":0,"
        "\"photos\":0}\n";

    (void) state;

    scc_buf_heap(&first, 0);
    scc_buf_heap(&again, 0);

    n = scc_test_items(test_events);

    for (i = 0; i < n; i++) {
        order[i] = i;
    }

    test_fold_one(order, n, &first);

    assert_true(first.used > sizeof(want));
    assert_memory_equal(first.start, want, sizeof(want) - 1);

    for (turn = 0, seed = 1; turn < 200; turn++) {

        for (i = n - 1; i > 0; i--) {
            seed = seed * 1664525 + 1013904223;
            k = (seed >> 8) % (i + 1);
            t = order[i];
            order[i] = order[k];
            order[k] = t;
        }

        /* and some twice */

        for (i = 0; i < 5; i++) {
            order[n + i] = order[i];
        }

        scc_buf_reset(&again);
        test_fold_one(order, n + turn % 6, &again);

        assert_int_equal(again.used, first.used);
        assert_memory_equal(again.start, first.start, first.used);
    }

    scc_buf_free(&first);
    scc_buf_free(&again);
}


static void
test_cells(void **state)
{
    size_t     i;
    uint8_t    text[64];
    scc_buf_t  b;

    static const struct {
        const char  *in;
        const char  *out;
    } cases[] = {
        { "", "" }, { "a b", "a b" }, { "a,b", "\"a,b\"" },
        { "\"", "\"\"\"\"" }, { "a\nb", "\"a\nb\"" }, { "=1", "'=1" },
        { "+1", "'+1" }, { "-1", "'-1" }, { "@a", "'@a" },
        { "\t=1", "'\t=1" }, { "=\"a\"", "\"'=\"\"a\"\"\"" },
        { "\xff" "a", "\\xffa" }, { "한", "한" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(cases); i++) {
        scc_buf_fixed(&b, text, sizeof(text) - 1);
        scc_csv_cell(&b, test_text(cases[i].in));
        text[b.used] = '\0';
        assert_string_equal((char *) text, cases[i].out);
    }
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_season),
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_cells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
