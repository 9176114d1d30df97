
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_page.h"


static void
test_round_trip(void **state)
{
    uint8_t     bytes[SCC_PAGE_HEADER + 16];
    scc_buf_t   b;
    scc_page_t  page, got;

    (void) state;

    page.cell = 0xdeadbeef;
    page.ver = UINT64_MAX - 1;
    page.rev = 7;
    page.clock = UINT64_MAX;
    page.taken = 1234567890123;
    page.json.data = (const uint8_t *) "{\"name\":\"\"}";
    page.json.len = 11;

    scc_buf_fixed(&b, bytes, sizeof(bytes));
    scc_page_write(&b, &page);

    assert_false(b.error);
    assert_int_equal(b.used, SCC_PAGE_HEADER + 11);
    assert_int_equal(scc_page_open(scc_buf_get(&b), &got), SCC_OK);

    assert_true(got.cell == page.cell);
    assert_true(got.ver == page.ver);
    assert_true(got.rev == page.rev);
    assert_true(got.clock == page.clock);
    assert_true(got.taken == page.taken);
    assert_str(got.json, "{\"name\":\"\"}");

    scc_buf_fixed(&b, bytes, SCC_PAGE_HEADER + 10);
    scc_page_write(&b, &page);
    assert_true(b.error);
}


static void
test_damaged(void **state)
{
    size_t      i;
    uint8_t     bytes[SCC_PAGE_HEADER + 16];
    unsigned    bit;
    scc_buf_t   b;
    scc_str_t   s;
    scc_page_t  page;

    (void) state;

    memset(&page, 0, sizeof(page));
    page.json.data = (const uint8_t *) "{}";
    page.json.len = 2;

    scc_buf_fixed(&b, bytes, sizeof(bytes));
    scc_page_write(&b, &page);

    s = scc_buf_get(&b);
    assert_int_equal(scc_page_open(s, &page), SCC_OK);

    for (i = 0; i < s.len * 8; i++) {
        bit = 1u << i % 8;

        bytes[i / 8] ^= (uint8_t) bit;
        assert_int_equal(scc_page_open(s, &page), SCC_DECLINED);
        bytes[i / 8] ^= (uint8_t) bit;
    }

    while (s.len-- != 0) {
        assert_int_equal(scc_page_open(s, &page), SCC_DECLINED);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
