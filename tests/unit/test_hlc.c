
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_contribution.h"


#define MINUTE  ((uint64_t) 60 * 1000)
#define DAY     (24 * 60 * MINUTE)
#define YEAR    (366 * DAY)
#define NOW     ((uint64_t) 1795392000000)      /* 2026-11-23 */
#define BOOT    ((uint64_t) 5000000)
#define LATER   (NOW + 64 * YEAR)


static uint64_t  at;


static scc_doubt_t
look(scc_clock_t *c, uint64_t wall, uint64_t passed, uint64_t seen)
{
    return scc_clock_read(c, wall, BOOT + passed, seen << 16, &at);
}


static int64_t
offset(uint64_t msec)
{
    return (int64_t) msec - (int64_t) BOOT;
}


static void
test_follows(void **state)
{
    (void) state;

    assert_int_equal(scc_hlc_next(0, NOW), NOW << 16);
    assert_int_equal(scc_hlc_next(NOW << 16, NOW + 1), (NOW + 1) << 16);
    assert_int_equal(scc_hlc_next(NOW << 16 | 0xffff, NOW + 1),
                     (NOW + 1) << 16);
}


static void
test_never_back(void **state)
{
    (void) state;

    assert_int_equal(scc_hlc_next(NOW << 16, NOW), NOW << 16 | 1);
    assert_int_equal(scc_hlc_next(NOW << 16, NOW - 1), NOW << 16 | 1);
    assert_int_equal(scc_hlc_next(NOW << 16, 0), NOW << 16 | 1);
    assert_int_equal(scc_hlc_next(0, 0), 1);

    /* a full counter runs into the next millisecond */

    assert_int_equal(scc_hlc_next(NOW << 16 | 0xffff, NOW),
                     (NOW + 1) << 16);
}


static void
test_end(void **state)
{
    (void) state;

    assert_int_equal(scc_hlc_next(0, ((uint64_t) 1 << 47) - 1),
                     (((uint64_t) 1 << 47) - 1) << 16);
    assert_int_equal(scc_hlc_next(0, UINT64_MAX),
                     (((uint64_t) 1 << 47) - 1) << 16);
    assert_int_equal(scc_hlc_next(INT64_MAX - 1, NOW), INT64_MAX);
    assert_int_equal(scc_hlc_next(INT64_MAX, NOW), INT64_MAX);
    assert_int_equal(scc_hlc_next(UINT64_MAX, NOW), UINT64_MAX);
}


static void
test_clock_nothing_known(void **state)
{
    scc_clock_t  c = { 0, 0, 0 };

    (void) state;

    assert_int_equal(look(&c, LATER, 0, 0), SCC_DOUBT_NONE);
    assert_int_equal(at, LATER);
    assert_int_equal(c.wall, offset(LATER));
}


/* Days without a contribution are no jump, and going back is none. */

static void
test_clock_goes_on(void **state)
{
    scc_clock_t  c = { 0, 0, 0 };

    (void) state;

    assert_int_equal(look(&c, NOW, 0, 0), SCC_DOUBT_NONE);
    assert_int_equal(look(&c, NOW + 9 * DAY, 9 * DAY, NOW), SCC_DOUBT_NONE);
    assert_int_equal(at, NOW + 9 * DAY);

    assert_int_equal(look(&c, NOW, 9 * DAY, NOW + 9 * DAY), SCC_DOUBT_NONE);
    assert_int_equal(at, NOW);

    /* and forward again: it was behind what has happened */

    assert_int_equal(look(&c, NOW + 10 * DAY, 10 * DAY, NOW + 9 * DAY),
                     SCC_DOUBT_NONE);
}


static void
test_clock_jumps(void **state)
{
    scc_clock_t  c = { 0, 0, 0 };

    (void) state;

    assert_int_equal(look(&c, NOW, 0, 0), SCC_DOUBT_NONE);
    assert_int_equal(look(&c, NOW + DAY, 0, NOW), SCC_DOUBT_NONE);

    c.wall = offset(NOW);

    assert_int_equal(look(&c, NOW + DAY + 1, 0, NOW), SCC_DOUBT_JUMP);
    assert_int_equal(at, NOW);

    /* time goes on meanwhile */

    assert_int_equal(look(&c, LATER, 700, NOW), SCC_DOUBT_JUMP);
    assert_int_equal(at, NOW + 700);

    /* and it is followed once it is right again */

    assert_int_equal(look(&c, NOW + 900, 900, NOW), SCC_DOUBT_NONE);
    assert_int_equal(at, NOW + 900);
    assert_int_equal(c.guess, 0);
}


/* After a start only the journal tells: a month of silence may be. */

static void
test_clock_at_start(void **state)
{
    scc_clock_t  c = { 0, 0, 0 };

    (void) state;

    assert_int_equal(look(&c, LATER, 0, NOW), SCC_DOUBT_JUMP);
    assert_int_equal(at, NOW);
    assert_int_equal(look(&c, LATER + 500, 500, NOW), SCC_DOUBT_JUMP);
    assert_int_equal(at, NOW + 500);
    assert_int_equal(c.wall, 0);

    assert_int_equal(look(&c, NOW + 31 * DAY + 1, 0, NOW), SCC_DOUBT_JUMP);
    assert_int_equal(look(&c, NOW + 31 * DAY, 0, NOW), SCC_DOUBT_NONE);
    assert_int_equal(at, NOW + 31 * DAY);

    /* far behind: what has happened is newer, and is gone on from */

    c = (scc_clock_t) { 0, 0, 0 };

    assert_int_equal(look(&c, NOW - 25 * YEAR, 0, NOW), SCC_DOUBT_NONE);
    assert_int_equal(look(&c, NOW + DAY, DAY, NOW), SCC_DOUBT_NONE);
    assert_int_equal(at, NOW + DAY);
}


static void
test_clock_and_the_store(void **state)
{
    scc_clock_t  c = { 0, 0, 0 };

    (void) state;

    c.store = offset(NOW);

    assert_int_equal(look(&c, LATER, 0, 0), SCC_DOUBT_STORE);
    assert_int_equal(at, NOW);
    assert_int_equal(c.wall, 0);
    assert_int_equal(look(&c, LATER, 800, NOW), SCC_DOUBT_STORE);
    assert_int_equal(at, NOW + 800);

    assert_int_equal(look(&c, NOW + MINUTE + 1, 0, NOW), SCC_DOUBT_STORE);
    assert_int_equal(look(&c, NOW + MINUTE, 0, NOW), SCC_DOUBT_NONE);
    assert_int_equal(at, NOW + MINUTE);
    assert_int_equal(look(&c, NOW - DAY, 0, NOW), SCC_DOUBT_NONE);
    assert_int_equal(at, NOW - DAY);

    /* half a year of silence, as both clocks say */

    c = (scc_clock_t) { 0, 0, 0 };
    c.store = offset(NOW);

    assert_int_equal(look(&c, NOW, 0, NOW - YEAR / 2), SCC_DOUBT_NONE);
    assert_int_equal(at, NOW);

    /* it was behind, by its own fault, and is put right */

    c.wall = offset(NOW - 5 * DAY);

    assert_int_equal(look(&c, NOW, 0, NOW - 5 * DAY), SCC_DOUBT_NONE);
    assert_int_equal(at, NOW);
}


/* On one machine the store's clock is the host's, wrong or not. */

static void
test_clock_of_one_machine(void **state)
{
    scc_clock_t  c = { 0, 0, 0 };

    (void) state;

    c.store = offset(LATER);

    assert_int_equal(look(&c, LATER, 0, NOW), SCC_DOUBT_JUMP);
    assert_int_equal(at, NOW);

    c.wall = offset(NOW);

    assert_int_equal(look(&c, LATER, 50, NOW), SCC_DOUBT_JUMP);
    assert_int_equal(at, NOW + 50);

    /* the store's alone is ahead */

    assert_int_equal(look(&c, NOW + 60, 60, NOW), SCC_DOUBT_NONE);
    assert_int_equal(at, NOW + 60);

    /* or far behind what it has itself: it is not asked */

    c = (scc_clock_t) { 0, 0, 0 };
    c.store = offset(NOW - 25 * YEAR);

    assert_int_equal(look(&c, NOW + DAY, 0, NOW), SCC_DOUBT_NONE);
    assert_int_equal(at, NOW + DAY);
}


/* Whatever the clocks do, values rise, and not by years. */

static void
test_rises(void **state)
{
    unsigned     i;
    uint64_t     seed, last, next, wall;
    scc_clock_t  c = { 0, 0, 0 };

    (void) state;

    seed = 3;
    last = NOW << 16;
    wall = NOW;

    for (i = 0; i < 100000; i++) {
        wall += (uint64_t) scc_test_range(&seed, -3, 4);

        if (i % 1000 == 0) {
            wall = NOW + i + (uint64_t) scc_test_range(&seed,
                                                       -(int64_t) YEAR * 30,
                                                       (int64_t) YEAR * 70);
        }

        if (i % 1000 == 500) {
            wall = NOW + i;
        }

        if (i % 3000 == 0) {
            c.store = offset(NOW);
        }

        (void) scc_clock_read(&c, wall, BOOT + i, last, &at);

        next = scc_hlc_next(last, at);
        assert_true(next > last);
        last = next;
    }

    assert_true(last >> 16 < NOW + 40 * DAY);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_follows),
        cmocka_unit_test(test_never_back),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_clock_nothing_known),
        cmocka_unit_test(test_clock_goes_on),
        cmocka_unit_test(test_clock_jumps),
        cmocka_unit_test(test_clock_at_start),
        cmocka_unit_test(test_clock_and_the_store),
        cmocka_unit_test(test_clock_of_one_machine),
        cmocka_unit_test(test_rises),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
