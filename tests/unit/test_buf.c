
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_buf.h"


static void
test_fixed(void **state)
{
    uint8_t    block[8];
    scc_buf_t  b;

    (void) state;

    memset(block, '#', sizeof(block));
    scc_buf_fixed(&b, block, 7);

    scc_buf_text(&b, "seven.");
    scc_buf_byte(&b, '7');
    assert_false(b.error);
    assert_str(scc_buf_get(&b), "seven.7");

    scc_buf_mem(&b, "", 0);
    assert_false(b.error);

    scc_buf_byte(&b, 'x');
    assert_true(b.error);
    assert_int_equal(block[7], '#');

    /* sticky, and nothing is lost or added */

    b.used = 0;
    scc_buf_text(&b, "abc");
    assert_int_equal(b.used, 0);
    assert_null(scc_buf_reserve(&b, 0));

    scc_buf_reset(&b);
    scc_buf_text(&b, "abc");
    assert_false(b.error);
    assert_str(scc_buf_get(&b), "abc");

    scc_buf_text(&b, "12345");
    assert_true(b.error);
    assert_str(scc_buf_get(&b), "abc");
}


static void
test_heap(void **state)
{
    size_t     i;
    scc_buf_t  b;

    (void) state;

    scc_buf_heap(&b, 0);

    for (i = 0; i < 100000; i++) {
        scc_buf_byte(&b, (uint8_t) i);
    }

    assert_false(b.error);
    assert_int_equal(b.used, 100000);

    for (i = 0; i < 100000; i++) {
        assert_int_equal(b.start[i], (uint8_t) i);
    }

    assert_null(scc_buf_reserve(&b, SIZE_MAX - 5));
    assert_true(b.error);
    assert_int_equal(b.used, 100000);

    scc_buf_free(&b);
    scc_buf_text(&b, "again");
    assert_str(scc_buf_get(&b), "again");
    scc_buf_free(&b);

    scc_buf_heap(&b, 1000);
    assert_non_null(scc_buf_reserve(&b, 1000));
    assert_null(scc_buf_reserve(&b, 1));
    assert_true(b.error);
    scc_buf_free(&b);
}


typedef struct {
    int                 left;
    unsigned            calls;
} test_grow_t;


static void *
test_grow_limited(void *ctx, void *old, size_t used, size_t size)
{
    void         *p;
    test_grow_t  *grow;

    grow = ctx;
    grow->calls++;

    if (grow->left-- == 0) {
        return NULL;
    }

    p = test_malloc(size);

    if (used) {
        memcpy(p, old, used);
    }

    test_free(old);

    return p;
}


static void
test_grow(void **state)
{
    int          i;
    scc_buf_t    b;
    test_grow_t  grow = { 3, 0 };

    (void) state;

    scc_buf_init(&b, test_grow_limited, &grow, 0);
    assert_int_equal(grow.calls, 0);

    for (i = 0; i < 10000 && !b.error; i++) {
        scc_buf_text(&b, "0123456789");
    }

    /* the fourth block was refused; the third is kept whole */

    assert_true(b.error);
    assert_int_equal(grow.calls, 4);
    assert_in_range(b.used, 1000, 1024);
    assert_memory_equal(b.start + b.used - 10, "0123456789", 10);

    test_free(b.start);
}


static void
test_numbers(void **state)
{
    size_t     i;
    uint8_t    block[64];
    scc_buf_t  b;

    static const struct {
        int32_t      e7;
        const char  *text;
    } e7[] = {
        { 0, "0" },
        { 1, "0.0000001" },
        { -1, "-0.0000001" },
        { 10000000, "1" },
        { -10000000, "-1" },
        { 1269725780, "126.972578" },
        { 375665000, "37.5665" },
        { -375665001, "-37.5665001" },
        { 1800000000, "180" },
        { -1800000000, "-180" },
        { 9999999, "0.9999999" },
        { 10000010, "1.000001" },
        { INT32_MIN, "-214.7483648" },
        { INT32_MAX, "214.7483647" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(e7); i++) {
        scc_buf_fixed(&b, block, sizeof(block));
        scc_buf_e7(&b, e7[i].e7);
        assert_str(scc_buf_get(&b), e7[i].text);
    }

    scc_buf_fixed(&b, block, sizeof(block));
    scc_buf_uint(&b, 0);
    scc_buf_byte(&b, ' ');
    scc_buf_uint(&b, UINT64_MAX);
    scc_buf_byte(&b, ' ');
    scc_buf_int(&b, INT64_MIN);
    scc_buf_byte(&b, ' ');
    scc_buf_int(&b, 7);
    assert_str(scc_buf_get(&b),
               "0 18446744073709551615 -9223372036854775808 7");

    scc_buf_fixed(&b, block, sizeof(block));
    scc_buf_le16(&b, 0x0102);
    scc_buf_le32(&b, 0x03040506);
    scc_buf_le64(&b, 0x0708090a0b0c0d0e);
    assert_int_equal(b.used, 14);
    assert_memory_equal(block, "\2\1\6\5\4\3\x0e\x0d\x0c\x0b\x0a\x09\x08\x07",
                        14);
    assert_int_equal(scc_le16(block), 0x0102);
    assert_int_equal(scc_le32(block + 2), 0x03040506);
    assert_true(scc_le64(block + 6) == 0x0708090a0b0c0d0e);
}


static void
test_json(void **state)
{
    size_t     i;
    uint8_t    block[128];
    scc_buf_t  b;

    static const struct {
        scc_str_t    s;
        const char  *text;
    } json[] = {
        { scc_null_string, "\"\"" },
        { scc_string("plain"), "\"plain\"" },
        { scc_string("\"\\/"), "\"\\\"\\\\/\"" },
        { scc_string("a\nb\rc\td"), "\"a\\nb\\rc\\td\"" },
        { scc_string("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\"" },
        { scc_string("계단 🦽"), "\"계단 🦽\"" },
        { scc_string("\xff\xea\xb3"),
          "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { scc_string("a\xed\xa0\x80z"),
          "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"" },
        { scc_string("<b>&'"), "\"<b>&'\"" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(json); i++) {
        scc_buf_fixed(&b, block, sizeof(block));
        scc_buf_json(&b, json[i].s);
        assert_str(scc_buf_get(&b), json[i].text);
    }

    scc_buf_fixed(&b, block, sizeof(block));
    scc_buf_urlencode(&b, S("aZ09-._~ +/,%\xea\0"));
    assert_str(scc_buf_get(&b), "aZ09-._~%20%2B%2F%2C%25%EA%00");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_fixed),
        cmocka_unit_test(test_heap),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
