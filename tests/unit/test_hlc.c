
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_contribution.h"


#define DAY  ((uint64_t) 24 * 60 * 60 * 1000)
#define NOW  ((uint64_t) 1795392000000)         /* 2026-11-23 */


static void
test_follows(void **state)
{
    bool  suspect;

    (void) state;

    /* the first value is the wall clock's, however late it is */

    suspect = true;
    assert_int_equal(scc_hlc_next(0, NOW, &suspect), NOW << 16);
    assert_false(suspect);

    suspect = true;
    assert_int_equal(scc_hlc_next(NOW << 16, NOW + 1, &suspect),
                     (NOW + 1) << 16);
    assert_false(suspect);

    assert_int_equal(scc_hlc_next(NOW << 16 | 0xffff, NOW + 1, &suspect),
                     (NOW + 1) << 16);
    assert_false(suspect);
}


static void
test_never_back(void **state)
{
    bool  suspect;

    (void) state;

    assert_int_equal(scc_hlc_next(NOW << 16, NOW, &suspect), NOW << 16 | 1);
    assert_false(suspect);

    assert_int_equal(scc_hlc_next(NOW << 16, NOW - 1, &suspect),
                     NOW << 16 | 1);
    assert_false(suspect);

    assert_int_equal(scc_hlc_next(NOW << 16, 0, &suspect), NOW << 16 | 1);
    assert_false(suspect);

    assert_int_equal(scc_hlc_next(0, 0, &suspect), 1);
    assert_false(suspect);

    /* a full counter runs into the next millisecond */

    assert_int_equal(scc_hlc_next(NOW << 16 | 0xffff, NOW, &suspect),
                     (NOW + 1) << 16);
    assert_false(suspect);
}


static void
test_jump(void **state)
{
    bool  suspect;

    (void) state;

    assert_int_equal(scc_hlc_next(NOW << 16, NOW + DAY, &suspect),
                     (NOW + DAY) << 16);
    assert_false(suspect);

    assert_int_equal(scc_hlc_next(NOW << 16, NOW + DAY + 1, &suspect),
                     NOW << 16 | 1);
    assert_true(suspect);

    /* and is followed once it is right again */

    assert_int_equal(scc_hlc_next(NOW << 16 | 1, NOW + 5, &suspect),
                     (NOW + 5) << 16);
    assert_false(suspect);
}


static void
test_end(void **state)
{
    bool  suspect;

    (void) state;

    assert_int_equal(scc_hlc_next(0, (uint64_t) 1 << 47, &suspect), 1);
    assert_true(suspect);

    assert_int_equal(scc_hlc_next(0, UINT64_MAX, &suspect), 1);
    assert_true(suspect);

    assert_int_equal(scc_hlc_next(0, ((uint64_t) 1 << 47) - 1, &suspect),
                     (((uint64_t) 1 << 47) - 1) << 16);
    assert_false(suspect);

    assert_int_equal(scc_hlc_next(INT64_MAX - 1, NOW, &suspect), INT64_MAX);
    assert_false(suspect);

    assert_int_equal(scc_hlc_next(INT64_MAX, NOW, &suspect), INT64_MAX);
    assert_true(suspect);

    assert_int_equal(scc_hlc_next(UINT64_MAX, NOW, &suspect), UINT64_MAX);
    assert_true(suspect);
}


/* Whatever the wall clock does, values rise. */

static void
test_rises(void **state)
{
    bool      suspect;
    unsigned  i;
    uint64_t  seed, last, next, msec;

    (void) state;

    seed = 3;
    last = 0;
    msec = NOW;

    for (i = 0; i < 100000; i++) {
        msec += (uint64_t) scc_test_range(&seed, -3, 4);

        if (i % 1000 == 0) {
            msec += (uint64_t) scc_test_range(&seed, -(int64_t) DAY,
                                              (int64_t) (2 * DAY));
        }

        next = scc_hlc_next(last, msec, &suspect);
        assert_true(next > last);

        if (last) {
            assert_int_equal(suspect, msec > (last >> 16) + DAY);
        }

        assert_true(suspect || next >> 16 >= msec);
        last = next;
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_follows),
        cmocka_unit_test(test_never_back),
        cmocka_unit_test(test_jump),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_rises),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
