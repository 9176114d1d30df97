
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_place.h"


#define TEST_NULL  (-1.0)


/*
 * Stair Crusher Club's AccessibilityScore of August 2025 as it reads, in
 * its own doubles; null is TEST_NULL.
 */

static double
test_part(scc_stair_t stair, bool slope)
{
    if (slope) {
        return (stair == SCC_STAIR_NONE) ? 0.0 : 1.0;
    }

    switch (stair) {

    case SCC_STAIR_NONE:
        return 0.0;

    case SCC_STAIR_ONE:
        return 2.0;

    case SCC_STAIR_TWO_TO_FIVE:
        return 3.0;

    case SCC_STAIR_OVER_SIX:
        return 5.0;

    default:
        return TEST_NULL;
    }
}


static double
test_score(const scc_place_t *p)
{
    int     i, count, threes;
    bool    slope;
    double  part[3], max;

    part[0] = test_part(p->stair, p->slope == SCC_YES);

    if (p->first_floor == SCC_YES) {
        return part[0];
    }

    if (!p->building_registered) {
        return TEST_NULL;
    }

    if (p->elevator == SCC_NO) {
        return 5.0;
    }

    slope = (p->building_slope == SCC_YES);
    part[1] = test_part(p->entrance_stair, slope);
    part[2] = test_part(p->elevator_stair, slope);

    count = 0;
    threes = 0;
    max = TEST_NULL;

    for (i = 0; i < 3; i++) {
        count += (part[i] >= 0.0);
        threes += (part[i] >= 3.0 && part[i] <= 3.0);

        if (part[i] > max) {
            max = part[i];
        }
    }

    if (count == 0) {
        return TEST_NULL;
    }

    if (max <= 0.0) {
        return 0.0;
    }

    if (max <= 1.0) {
        return 1.0;
    }

    if (max <= 2.0) {
        return 2.0;
    }

    if (max <= 3.0) {
        return (threes == 1) ? 3.0 : 4.0;
    }

    return 5.0;
}


/* The levels that filling in the unknown inputs can give, as bits. */

static unsigned
test_possible(scc_place_t p)
{
    int          i;
    double       score;
    scc_tri_t   *in[4];
    scc_place_t  yes, no;

    in[0] = &p.first_floor;
    in[1] = &p.slope;
    in[2] = &p.building_slope;
    in[3] = &p.elevator;

    for (i = 0; i < 4; i++) {

        if (*in[i] == SCC_UNKNOWN) {
            *in[i] = SCC_YES;
            yes = p;
            *in[i] = SCC_NO;
            no = p;

            return test_possible(yes) | test_possible(no);
        }
    }

    score = test_score(&p);

    return 1u << (score < 0.0 ? SCC_LEVEL_UNKNOWN : (unsigned) score);
}


/* All inputs there are. */

static void
test_all(void **state)
{
    int          i, r, f, s, b, e, br, st, en, el;
    unsigned     level, want, possible, seen;
    scc_place_t  p;

    (void) state;

    memset(&p, 0, sizeof(scc_place_t));
    seen = 0;

    for (i = 0; i < 2 * 2 * 81 * 125; i++) {

        r = i;
        p.registered = r % 2;
        r /= 2;
        br = r % 2;
        p.building_registered = br;
        r /= 2;
        p.first_floor = (scc_tri_t) (f = r % 3 - 1);
        r /= 3;
        p.slope = (scc_tri_t) (s = r % 3 - 1);
        r /= 3;
        p.building_slope = (scc_tri_t) (b = r % 3 - 1);
        r /= 3;
        p.elevator = (scc_tri_t) (e = r % 3 - 1);
        r /= 3;
        p.stair = (scc_stair_t) (st = r % 5);
        r /= 5;
        p.entrance_stair = (scc_stair_t) (en = r % 5);
        r /= 5;
        p.elevator_stair = (scc_stair_t) (el = r);

        level = scc_place_level(&p);
        possible = test_possible(p);

        want = SCC_LEVEL_UNKNOWN;

        if (p.registered && (possible & (possible - 1)) == 0) {
            want = 0;

            while (!(possible & 1u << want)) {
                want++;
            }
        }

        if (level != want) {
            fail_msg("level %u, not %u: first floor %d slope %d stair %d "
                     "building %d slope %d elevator %d stairs %d %d",
                     level, want, f, s, st, br, b, e, en, el);
        }

        seen |= 1u << level;

        assert_int_equal(scc_place_flags(&p),
                         level
                         | (p.registered ? SCC_FLAG_REGISTERED : 0)
                         | (s == 1 ? SCC_FLAG_SLOPE_YES : 0)
                         | (s == 0 ? SCC_FLAG_SLOPE_NO : 0));
    }

    assert_int_equal(seen, 0xbf);
}


static void
test_told(void **state)
{
    scc_place_t  p;

    (void) state;

    memset(&p, 0, sizeof(scc_place_t));

    /* a place of which nothing is known is not inaccessible */

    p.first_floor = p.slope = p.building_slope = p.elevator = SCC_UNKNOWN;
    assert_int_equal(scc_place_level(&p), SCC_LEVEL_UNKNOWN);

    p.registered = true;
    p.first_floor = SCC_YES;
    p.stair = SCC_STAIR_NONE;
    assert_int_equal(scc_place_level(&p), 0);

    p.stair = SCC_STAIR_ONE;
    assert_int_equal(scc_place_level(&p), SCC_LEVEL_UNKNOWN);

    p.slope = SCC_NO;
    assert_int_equal(scc_place_level(&p), 2);

    p.slope = SCC_YES;
    assert_int_equal(scc_place_level(&p), 1);

    /* slope wins over stairs that were not counted */

    p.stair = SCC_STAIR_UNDEFINED;
    assert_int_equal(scc_place_level(&p), 1);

    /* upstairs, and the building is not known */

    p.first_floor = SCC_NO;
    assert_int_equal(scc_place_level(&p), SCC_LEVEL_UNKNOWN);

    p.building_registered = true;
    p.elevator = SCC_NO;
    assert_int_equal(scc_place_level(&p), 5);

    /* two flights of 2..5 are worse than one */

    p.elevator = SCC_YES;
    p.slope = SCC_NO;
    p.building_slope = SCC_NO;
    p.stair = SCC_STAIR_TWO_TO_FIVE;
    p.entrance_stair = SCC_STAIR_NONE;
    assert_int_equal(scc_place_level(&p), 3);

    p.entrance_stair = SCC_STAIR_TWO_TO_FIVE;
    assert_int_equal(scc_place_level(&p), 4);
}


static void
test_names(void **state)
{
    int           i;
    scc_stair_t   stair;
    scc_height_t  height;

    (void) state;

    for (i = SCC_STAIR_UNDEFINED; i <= SCC_STAIR_OVER_SIX; i++) {
        assert_int_equal(scc_stair_parse(scc_stair_name((scc_stair_t) i),
                                         &stair), SCC_OK);
        assert_int_equal(stair, i);
    }

    for (i = SCC_HEIGHT_UNKNOWN; i <= SCC_HEIGHT_OVER_THUMB; i++) {
        assert_int_equal(scc_height_parse(scc_height_name((scc_height_t) i),
                                          &height), SCC_OK);
        assert_int_equal(height, i);
    }

    assert_str(scc_stair_name(SCC_STAIR_TWO_TO_FIVE), "TWO_TO_FIVE");
    assert_str(scc_height_name(SCC_HEIGHT_HALF_THUMB), "HALF_THUMB");
    assert_int_equal(scc_height_name(SCC_HEIGHT_UNKNOWN).len, 0);

    assert_int_equal(scc_stair_parse(S("none"), &stair), SCC_DECLINED);
    assert_int_equal(scc_stair_parse(S(""), &stair), SCC_DECLINED);
    assert_int_equal(scc_stair_parse(S("NONE\0"), &stair), SCC_DECLINED);
    assert_int_equal(scc_height_parse(S("HALF"), &height), SCC_DECLINED);
}


static void
test_feature(void **state)
{
    uint8_t      block[2048];
    scc_buf_t    b;
    scc_place_t  p;

    (void) state;

    memset(&p, 0, sizeof(scc_place_t));

    p.id = S("a/b:1");
    p.name = S("계단 \"카페\" <1>\n");
    p.category = S("CAFE");
    p.address = S("서울");
    p.lon = 1269725780;
    p.lat = -375665001;
    p.registered = true;
    p.first_floor = SCC_NO;
    p.stair = SCC_STAIR_ONE;
    p.height = SCC_HEIGHT_THUMB;
    p.slope = SCC_NO;
    p.building_registered = true;
    p.building_slope = SCC_YES;
    p.elevator = SCC_YES;
    p.entrance_stair = SCC_STAIR_TWO_TO_FIVE;
    p.elevator_stair = SCC_STAIR_NONE;

    scc_buf_fixed(&b, block, sizeof(block));
    scc_place_feature(&b, &p);
    assert_false(b.error);
    assert_str(scc_buf_get(&b),
        "{\"type\":\"Feature\",\"id\":\"a/b:1\",\"geometry\":{"
        "\"type\":\"Point\",\"coordinates\":[126.972578,-37.5665001]},"
        "\"properties\":{\"name\":\"계단 \\\"카페\\\" <1>\\n\","
        "\"category\":\"CAFE\",\"address\":\"서울\",\"level\":2,"
        "\"registered\":true,\"stairInfo\":\"ONE\","
        "\"stairHeightLevel\":\"THUMB\",\"hasSlope\":false,"
        "\"isFirstFloor\":false,\"buildingRegistered\":true,"
        "\"buildingEntranceStairInfo\":\"TWO_TO_FIVE\","
        "\"buildingHasSlope\":true,\"buildingHasElevator\":true,"
        "\"buildingElevatorStairInfo\":\"NONE\"}}");

    memset(&p, 0, sizeof(scc_place_t));

    p.id = S("1");
    p.first_floor = p.slope = p.building_slope = p.elevator = SCC_UNKNOWN;

    scc_buf_fixed(&b, block, sizeof(block));
    scc_place_feature(&b, &p);
    assert_str(scc_buf_get(&b),
        "{\"type\":\"Feature\",\"id\":\"1\",\"geometry\":{"
        "\"type\":\"Point\",\"coordinates\":[0,0]},"
        "\"properties\":{\"name\":\"\",\"category\":null,\"address\":null,"
        "\"level\":null,\"registered\":false,\"stairInfo\":null,"
        "\"stairHeightLevel\":null,\"hasSlope\":null,"
        "\"isFirstFloor\":null,\"buildingRegistered\":false,"
        "\"buildingEntranceStairInfo\":null,\"buildingHasSlope\":null,"
        "\"buildingHasElevator\":null,"
        "\"buildingElevatorStairInfo\":null}}");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_feature),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
