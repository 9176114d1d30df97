
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"


static void
test_compare(void **state)
{
    scc_str_t  null = scc_null_string;

    (void) state;

    assert_int_equal(scc_str_cmp(null, null), 0);
    assert_int_equal(scc_str_cmp(null, S("a")), -1);
    assert_int_equal(scc_str_cmp(S("a"), null), 1);
    assert_int_equal(scc_str_cmp(S("a"), S("ab")), -1);
    assert_int_equal(scc_str_cmp(S("b"), S("ab")), 1);
    assert_int_equal(scc_str_cmp(S("\x7f"), S("\x80")), -1);
    assert_int_equal(scc_str_cmp(S("a\0b"), S("a\0c")), -1);
    assert_int_equal(scc_str_cmp(S("a\0b"), S("a\0b")), 0);

    assert_true(scc_str_eq(null, S("")));
    assert_true(scc_str_eq(S("a\0b"), S("a\0b")));
    assert_false(scc_str_eq(S("a\0b"), S("a\0c")));
    assert_false(scc_str_eq(S("a"), S("ab")));
}


static void
test_skip(void **state)
{
    scc_str_t  s = scc_string("cells/16");

    (void) state;

    assert_false(scc_str_skip(&s, "cells/17"));
    assert_false(scc_str_skip(&s, "cells/16/"));
    assert_true(scc_str_skip(&s, ""));
    assert_true(scc_str_eq(s, S("cells/16")));
    assert_true(scc_str_skip(&s, "cells/"));
    assert_true(scc_str_eq(s, S("16")));
    assert_true(scc_str_skip(&s, "16"));
    assert_int_equal(s.len, 0);
    assert_false(scc_str_skip(&s, "1"));
}


/* Every code point in every length, well-formed only where RFC 3629 says. */

static void
test_utf8_all(void **state)
{
    size_t    len, best;
    uint8_t   b[4];
    uint32_t  c;

    (void) state;

    for (c = 0; c < 0x200000; c++) {
        best = (c < 0x80) ? 1 : (c < 0x800) ? 2 : (c < 0x10000) ? 3 : 4;

        for (len = best; len <= 4; len++) {

            if (len == 1) {
                b[0] = (uint8_t) c;

            } else if (len == 2) {
                b[0] = (uint8_t) (0xc0 | c >> 6);
                b[1] = (uint8_t) (0x80 | (c & 0x3f));

            } else if (len == 3) {
                b[0] = (uint8_t) (0xe0 | c >> 12);
                b[1] = (uint8_t) (0x80 | (c >> 6 & 0x3f));
                b[2] = (uint8_t) (0x80 | (c & 0x3f));

            } else {
                b[0] = (uint8_t) (0xf0 | c >> 18);
                b[1] = (uint8_t) (0x80 | (c >> 12 & 0x3f));
                b[2] = (uint8_t) (0x80 | (c >> 6 & 0x3f));
                b[3] = (uint8_t) (0x80 | (c & 0x3f));
            }

            if (len == best && c <= 0x10ffff
                && (c < 0xd800 || c > 0xdfff))
            {
                assert_int_equal(scc_utf8_seq(b, len), len);

            } else {
                assert_int_equal(scc_utf8_seq(b, len), 0);
            }

            if (len > 1) {
                assert_int_equal(scc_utf8_seq(b, len - 1), 0);
            }
        }
    }
}


static void
test_utf8_text(void **state)
{
    scc_str_t  null = scc_null_string;

    (void) state;

    assert_true(scc_utf8_valid(null));
    assert_true(scc_utf8_valid(S("plain\0text")));
    assert_true(scc_utf8_valid(S("계단뿌셔클럽 🦽")));
    assert_false(scc_utf8_valid(S("\x80")));
    assert_false(scc_utf8_valid(S("a\xff")));
    assert_false(scc_utf8_valid(S("계단\xea\xb3")));
    assert_false(scc_utf8_valid(S("\xea" "a\x84")));
    assert_false(scc_utf8_valid(S("\xea\xb3" "a")));
    assert_false(scc_utf8_valid(S("\xf0\x9f\xa6" "a")));
    assert_false(scc_utf8_valid(S("\xf8\x88\x80\x80\x80")));
}


static void
test_error(void **state)
{
    char       text[SCC_ERR_TEXT + 50], field[SCC_ID_MAX + 10];
    scc_err_t  err;

    (void) state;

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memset(field, 'f', sizeof(field));

    scc_err_set(&err, scc_test_str(field, sizeof(field)), text);

    assert_int_equal(err.field.len, SCC_ID_MAX);
    assert_ptr_equal(err.field.data, field);
    assert_int_equal(strlen(err.text), SCC_ERR_TEXT - 1);

    scc_err_set(&err, S("bbox"), "is required");

    assert_str(err.field, "bbox");
    assert_string_equal(err.text, "is required");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_skip),
        cmocka_unit_test(test_utf8_all),
        cmocka_unit_test(test_utf8_text),
        cmocka_unit_test(test_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
