
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_params.h"


static void
test_array(void **state)
{
    scc_buf_t             b;
    static const uint8_t  want[] = {
        0, 0, 0, 1,  0, 0, 0, 1,  0, 0, 0, 25,  0, 0, 0, 3,  0, 0, 0, 1,
        0, 0, 0, 2, 'a', '"',
        0xff, 0xff, 0xff, 0xff,
        0, 0, 0, 0
    };

    (void) state;

    scc_buf_heap(&b, 0);

    scc_params_array(&b, SCC_OID_TEXT, 3, true);
    scc_params_null_if_empty(&b, scc_test_z("a\""));
    scc_params_null_if_empty(&b, scc_test_z(""));
    scc_params_str(&b, scc_test_z(""));

    assert_false(b.error);
    assert_int_equal(b.used, sizeof(want));
    assert_memory_equal(b.start, want, sizeof(want));

    scc_buf_free(&b);
}


static void
test_empty(void **state)
{
    uint8_t               block[16];
    scc_buf_t             b;
    static const uint8_t  want[] = {
        0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0x0b, 0x86
    };

    (void) state;

    scc_buf_fixed(&b, block, sizeof(block));

    scc_params_array(&b, SCC_OID_UUID, 0, false);

    assert_false(b.error);
    assert_int_equal(b.used, sizeof(want));
    assert_memory_equal(block, want, sizeof(want));

    scc_params_int8(&b, 1);
    assert_true(b.error);
}


static void
test_numbers(void **state)
{
    uint8_t               block[36];
    scc_buf_t             b;
    static const uint8_t  want[] = {
        0, 0, 0, 8,  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,

        /* 2000-01-01 00:00:01.000002+00 and 1970-01-01 00:00:00+00 */
        0, 0, 0, 8,  0, 0, 0, 0, 0, 0x0f, 0x42, 0x42,
        0, 0, 0, 8,  0xff, 0xfc, 0xa2, 0xfe, 0xc4, 0xc8, 0x20, 0x00
    };

    (void) state;

    scc_buf_fixed(&b, block, sizeof(block));

    scc_params_int8(&b, 0x0102030405060708);
    scc_params_time(&b, 946684801000002999);
    scc_params_time(&b, 0);

    assert_false(b.error);
    assert_int_equal(b.used, sizeof(want));
    assert_memory_equal(block, want, sizeof(want));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_array),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
