
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_export.h"


/* A place with everything, in scc.export's columns. */

static const char *const  test_full[SCC_EXPORT_COLUMNS] = {
    "id;1", "a \"b\", c\n", "CAFE", "one, two", "1269700298", "-1",
    "t", "f", "-1;0;12", "t", "ONE", "HALF_THUMB", "f", "Hinged;ETC",
    "b 1", "t", "NONE", "THUMB", "None", "t", "t", "OVER_SIX", "OVER_THUMB",
    "survey", "f", "2026-11-23T12:39:20.929Z",
};

/* And one of which nothing is known. */

static const char *const  test_bare[SCC_EXPORT_COLUMNS] = {
    "x", "", NULL, NULL, "0", "0",
    "f", NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, "f", NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, "t", "2026-11-23T12:39:20.929Z",
};


static scc_rc_t
test_row(const char *const *text, int changed, const char *value,
    scc_export_t *e)
{
    int        i;
    scc_str_t  column[SCC_EXPORT_COLUMNS];

    for (i = 0; i < SCC_EXPORT_COLUMNS; i++) {
        const char  *t = (i == changed) ? value : text[i];

        column[i].data = (const uint8_t *) t;
        column[i].len = t ? strlen(t) : 0;
    }

    memset(e, 0xee, sizeof(scc_export_t));

    return scc_export_row(column, e);
}


static void
test_text(const scc_export_t *e, void (*write)(scc_buf_t *b,
    const scc_export_t *e), const char *want)
{
    char       block[4096];
    scc_buf_t  b;

    scc_buf_fixed(&b, block, sizeof(block) - 1);
    write(&b, e);

    assert_false(b.error);
    block[b.used] = '\0';
    assert_string_equal(block, want);
}


static void
test_full_place(void **state)
{
    scc_export_t  e;

    (void) state;

    assert_int_equal(test_row(test_full, -1, NULL, &e), SCC_OK);

    test_text(&e, scc_export_feature,
        "{\"type\":\"Feature\",\"id\":\"id;1\",\"geometry\":{\"type\":"
        "\"Point\",\"coordinates\":[126.9700298,-0.0000001]},\"properties\":"
        "{\"name\":\"a \\\"b\\\", c\\n\",\"category\":\"CAFE\","
        "\"address\":\"one, two\",\"level\":2,\"registered\":true,"
        "\"stairInfo\":\"ONE\",\"stairHeightLevel\":\"HALF_THUMB\","
        "\"hasSlope\":false,\"isFirstFloor\":false,"
        "\"buildingRegistered\":true,\"buildingEntranceStairInfo\":\"NONE\","
        "\"buildingHasSlope\":true,\"buildingHasElevator\":true,"
        "\"buildingElevatorStairInfo\":\"OVER_SIX\",\"buildingId\":\"b 1\","
        "\"floors\":[-1,0,12],\"isStairOnlyOption\":true,"
        "\"entranceDoorTypes\":[\"Hinged\",\"ETC\"],"
        "\"buildingEntranceStairHeightLevel\":\"THUMB\","
        "\"buildingEntranceDoorTypes\":[\"None\"],"
        "\"buildingElevatorStairHeightLevel\":\"OVER_THUMB\","
        "\"source\":\"survey\",\"synthetic\":false,"
        "\"updatedAt\":\"2026-11-23T12:39:20.929Z\"}}");

    test_text(&e, scc_export_csv,
        "id;1,\"a \"\"b\"\", c\n\",CAFE,126.9700298,-0.0000001,"
        "\"one, two\",b 1,survey,false,2,true,ONE,HALF_THUMB,false,false,"
        "-1;0;12,true,Hinged;ETC,true,NONE,THUMB,None,true,true,OVER_SIX,"
        "OVER_THUMB,2026-11-23T12:39:20.929Z\n");
}


/* Unknown stays unknown: null, or nothing between the commas. */

static void
test_bare_place(void **state)
{
    scc_export_t  e;

    (void) state;

    assert_int_equal(test_row(test_bare, -1, NULL, &e), SCC_OK);

    test_text(&e, scc_export_feature,
        "{\"type\":\"Feature\",\"id\":\"x\",\"geometry\":{\"type\":"
        "\"Point\",\"coordinates\":[0,0]},\"properties\":{\"name\":\"\","
        "\"category\":null,\"address\":null,\"level\":null,"
        "\"registered\":false,\"stairInfo\":null,\"stairHeightLevel\":null,"
        "\"hasSlope\":null,\"isFirstFloor\":null,"
        "\"buildingRegistered\":false,\"buildingEntranceStairInfo\":null,"
        "\"buildingHasSlope\":null,\"buildingHasElevator\":null,"
        "\"buildingElevatorStairInfo\":null,\"buildingId\":null,"
        "\"floors\":null,\"isStairOnlyOption\":null,"
        "\"entranceDoorTypes\":null,"
        "\"buildingEntranceStairHeightLevel\":null,"
        "\"buildingEntranceDoorTypes\":null,"
        "\"buildingElevatorStairHeightLevel\":null,\"source\":null,"
        "\"synthetic\":true,\"updatedAt\":\"2026-11-23T12:39:20.929Z\"}}");

    test_text(&e, scc_export_csv,
        "x,,,0,0,,,,true,,false,,,,,,,,false,,,,,,,,"
        "2026-11-23T12:39:20.929Z\n");

    /* a record that says nothing is a record */

    assert_int_equal(test_row(test_bare, 6, "t", &e), SCC_OK);

    test_text(&e, scc_export_csv,
        "x,,,0,0,,,,true,,true,UNDEFINED,,,,,,,false,,,,,,,,"
        "2026-11-23T12:39:20.929Z\n");
}


static void
test_refused(void **state)
{
    size_t        i;
    scc_export_t  e;

    static const struct {
        int          column;
        const char  *value;
    } bad[] = {
        { 0, NULL }, { 0, "" },
        { 0, "12345678901234567890123456789012345678901234567890"
             "123456789012345" },
        { 4, NULL }, { 4, "" }, { 4, "-" }, { 4, "1.5" }, { 4, "1800000001" },
        { 4, "99999999999" }, { 5, "-900000001" }, { 5, "9e8" },
        { 6, NULL }, { 6, "true" }, { 15, NULL }, { 24, NULL },
        { 7, "x" }, { 9, "" }, { 12, "tt" }, { 19, "1" }, { 20, "T" },
        { 8, ";" }, { 8, "1;;2" }, { 8, "01" }, { 8, "-" }, { 8, "1,2" },
        { 10, "FEW" }, { 16, "" }, { 21, "none" },
        { 11, "TALL" }, { 17, "thumb" }, { 22, "x" },
        { 25, NULL }, { 25, "" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(bad); i++) {
        if (test_row(test_full, bad[i].column, bad[i].value, &e)
            != SCC_DECLINED)
        {
            fail_msg("column %d was taken with \"%s\"", bad[i].column,
                     bad[i].value ? bad[i].value : "NULL");
        }
    }
}


/* As many names as cells. */

static void
test_head(void **state)
{
    char          block[2048], *p;
    size_t        names, cells;
    scc_buf_t     b;
    scc_export_t  e;

    (void) state;

    scc_buf_fixed(&b, block, sizeof(block) - 1);
    scc_export_csv_head(&b);

    assert_false(b.error);
    block[b.used] = '\0';

    names = 0;

    for (p = block; *p; p++) {
        names += (*p == ',' || *p == '\n');
    }

    assert_int_equal(strncmp(block, "id,name,category,lng,lat,", 25), 0);

    assert_int_equal(test_row(test_bare, -1, NULL, &e), SCC_OK);
    scc_buf_reset(&b);
    scc_export_csv(&b, &e);

    block[b.used] = '\0';

    cells = 0;

    for (p = block; *p; p++) {
        cells += (*p == ',' || *p == '\n');
    }

    assert_int_equal(names, cells);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_full_place),
        cmocka_unit_test(test_bare_place),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
