
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_blob.h"
#include "scc_number.h"


static const uint8_t  test_store[16] = {
    0x01, 0x98, 0xc0, 0xde, 0x7d, 0x4e, 0x7c, 0x3a,
    0x9f, 0x21, 0x5b, 0x6a, 0x7c, 0x8d, 0x9e, 0x0f
};


static scc_str_t
test_line(const scc_buf_t *b)
{
    scc_str_t  line = { b->used, b->start };

    assert_false(b->error);
    assert_int_equal(b->start[b->used - 1], '\n');
    line.len--;

    return line;
}


static void
test_same(const char *id, size_t len, scc_number_kind_t kind,
    uint64_t number)
{
    scc_buf_t     b;
    uint8_t       block[SCC_NUMBER_LINE];
    scc_number_t  n, m;

    n.kind = kind;
    n.number = number;
    n.len = len;
    memcpy(n.id, id, len);

    scc_buf_fixed(&b, block, sizeof(block));
    scc_number_write(&b, &n);

    assert_int_equal(scc_number_read(test_line(&b), &m), SCC_OK);
    assert_int_equal(m.kind, kind);
    assert_true(m.number == number);
    assert_int_equal(m.len, len);
    assert_memory_equal(m.id, id, len);
}


static void
test_round(void **state)
{
    char       id[SCC_ID_MAX];
    uint8_t    store[16], block[SCC_NUMBER_LINE];
    unsigned   i;
    scc_buf_t  b;

    (void) state;

    for (i = 0; i < SCC_ID_MAX; i++) {
        id[i] = (char) (i * 5 + 1);
    }

    test_same("p1", 2, SCC_NUMBER_PLACE, 1);
    test_same("a b%\n", 5, SCC_NUMBER_CONTRIBUTOR, 17);
    test_same("계단", 6, SCC_NUMBER_PLACE, INT64_MAX);
    test_same(id, SCC_ID_MAX, SCC_NUMBER_CONTRIBUTOR, 58000);

    memset(id, 0xff, SCC_ID_MAX);
    test_same(id, SCC_ID_MAX, SCC_NUMBER_CONTRIBUTOR, INT64_MAX);

    scc_buf_fixed(&b, block, sizeof(block));
    scc_number_head(&b, test_store);

    assert_int_equal(scc_number_head_read(test_line(&b), store), SCC_OK);
    assert_memory_equal(store, test_store, 16);
}


/* No byte of a line may change, and none may be missing. */

static void
test_damage(void **state)
{
    unsigned      bit;
    size_t        i;
    uint8_t       block[SCC_NUMBER_LINE], store[16];
    scc_buf_t     b;
    scc_str_t     line;
    scc_number_t  n = { SCC_NUMBER_PLACE, 41, 3, "p\t1" };

    (void) state;

    scc_buf_fixed(&b, block, sizeof(block));
    scc_number_write(&b, &n);
    line = test_line(&b);

    for (i = 0; i < line.len; i++) {

        for (bit = 0; bit < 8; bit++) {
            block[i] ^= (uint8_t) (1 << bit);

            /* in the crc's digits, case does not matter */

            if (!(i >= line.len - 8 && bit == 5)) {
                assert_int_equal(scc_number_read(line, &n), SCC_DECLINED);
            }

            block[i] ^= (uint8_t) (1 << bit);
        }
    }

    assert_int_equal(scc_number_read(line, &n), SCC_OK);
    assert_int_equal(scc_number_head_read(line, store), SCC_DECLINED);

    while (line.len > 0) {
        line.len--;
        assert_int_equal(scc_number_read(line, &n), SCC_DECLINED);
    }
}


static void
test_lies(void **state)
{
    size_t        i;
    uint8_t       block[2 * SCC_NUMBER_LINE];
    scc_buf_t     b;
    scc_number_t  n;

    static const char *const  lies[] = {
        "",
        "place",
        "place 1",
        "place 1 ",
        "place 0 p",
        "place -1 p",
        "place  p",
        "place 9223372036854775808 p",
        "place 99999999999999999999999 p",
        "place 1x p",
        "places 1 p",
        "place 1 %4",
        "place 1 %4g",
        "place 1 0123456789012345678901234567890123456789"
        "0123456789012345678901234",
    };

    (void) state;

    for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        char      crc[10];
        scc_str_t text = { strlen(lies[i]), (const uint8_t *) lies[i] };

        (void) snprintf(crc, sizeof(crc), " %08x",
                        scc_crc32c(0, text.data, text.len));

        scc_buf_fixed(&b, block, sizeof(block));
        scc_buf_str(&b, text);
        scc_buf_text(&b, crc);

        assert_int_equal(scc_number_read(scc_buf_get(&b), &n), SCC_DECLINED);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_lies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
