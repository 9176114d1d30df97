
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_contribution.h"


static const uint8_t  test_id[16] = {
    0x01, 0x98, 0xc0, 0xde, 0x7d, 0x4e, 0x7c, 0x3a,
    0x9f, 0x21, 0x5b, 0x6a, 0x7c, 0x8d, 0x9e, 0x0f
};


static void
test_hex(const uint8_t *bytes, size_t n, const char *hex)
{
    char    text[80];
    size_t  i;

    for (i = 0; i < n; i++) {
        (void) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }

    assert_string_equal(text, hex);
}


static void
test_text(void **state)
{
    size_t     i;
    uint8_t    id[16], block[36];
    scc_buf_t  b;

    static const char * const  bad[] = {
        "",
        "0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0",
        "0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0f0",
        "0198c0de7d4e7c3a9f215b6a7c8d9e0f",
        "{198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0}",
        "0198c0d-e7d4e-7c3a-9f21-5b6a7c8d9e0f",
        "0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0g",
        "0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0/",
        "0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0:",
        "0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0@",
        "0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0\x10",
        "0198c0de_7d4e-7c3a-9f21-5b6a7c8d9e0f",
        "0198c0de-7d4e-7c3a-9f21+5b6a7c8d9e0f",
        " 198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0f"
    };

    (void) state;

    assert_int_equal(scc_uuid_parse(S("0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0f"),
                                    id), SCC_OK);
    assert_memory_equal(id, test_id, 16);

    memset(id, 0, sizeof(id));
    assert_int_equal(scc_uuid_parse(S("0198C0DE-7D4E-7c3a-9F21-5B6A7C8D9E0F"),
                                    id), SCC_OK);
    assert_memory_equal(id, test_id, 16);

    for (i = 0; i < scc_test_items(bad); i++) {
        assert_int_equal(scc_uuid_parse(scc_test_z(bad[i]), id),
                         SCC_DECLINED);
        assert_memory_equal(id, test_id, 16);
    }

    scc_buf_fixed(&b, block, sizeof(block));
    scc_uuid_write(&b, id);
    assert_false(b.error);
    assert_str(scc_buf_get(&b), "0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0f");

    scc_buf_fixed(&b, block, 35);
    scc_uuid_write(&b, id);
    assert_true(b.error);
    assert_int_equal(b.used, 0);
}


static void
test_random_text(void **state)
{
    size_t     i, n;
    uint8_t    id[16], back[16], block[36];
    uint64_t   seed;
    scc_buf_t  b;

    (void) state;

    seed = 7;

    for (n = 0; n < 1000; n++) {

        for (i = 0; i < 16; i++) {
            id[i] = (uint8_t) (scc_test_random(&seed) >> 32);
        }

        scc_buf_fixed(&b, block, sizeof(block));
        scc_uuid_write(&b, id);
        assert_int_equal(scc_uuid_parse(scc_buf_get(&b), back), SCC_OK);
        assert_memory_equal(back, id, 16);
    }
}


static void
test_v7(void **state)
{
    unsigned  i;
    uint8_t   id[16], next[16];

    static const uint8_t  ones[10] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
    };
    static const uint8_t  zeros[10];

    /* RFC 9562, appendix A.6: 2022-02-22 14:22:22.00 GMT-5 */

    static const uint8_t  random[10] = {
        0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f
    };

    (void) state;

    scc_uuid_v7(id, 0x017f22e279b0, random);
    test_hex(id, 16, "017f22e279b07cc398c4dc0c0c07398f");
    assert_true(scc_uuid_is_v7(id));

    scc_uuid_v7(id, 0, zeros);
    test_hex(id, 16, "00000000000070008000000000000000");
    assert_true(scc_uuid_is_v7(id));

    scc_uuid_v7(id, 0xffffffffffff, ones);
    test_hex(id, 16, "ffffffffffff7fffbfffffffffffffff");
    assert_true(scc_uuid_is_v7(id));

    /* a later millisecond sorts behind, whatever is random */

    scc_uuid_v7(id, 1000, ones);
    scc_uuid_v7(next, 1001, zeros);
    assert_true(memcmp(id, next, 16) < 0);

    for (i = 0; i < 256; i++) {
        memcpy(id, test_id, 16);
        id[6] = (uint8_t) i;
        assert_int_equal(scc_uuid_is_v7(id), i >> 4 == 7);

        memcpy(id, test_id, 16);
        id[8] = (uint8_t) i;
        assert_int_equal(scc_uuid_is_v7(id), i >= 0x80 && i < 0xc0);
    }
}


static void
test_sha256(void **state)
{
    char     text[1000];
    uint8_t  out[32];

    (void) state;

    /* FIPS 180-4's examples */

    scc_sha256(out, S(""));
    test_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb924"
                      "27ae41e4649b934ca495991b7852b855");

    scc_sha256(out, S("abc"));
    test_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223"
                      "b00361a396177a9cb410ff61f20015ad");

    memset(text, 'a', sizeof(text));
    scc_sha256(out, scc_test_str(text, sizeof(text)));
    test_hex(out, 32, "41edece42d63e8d9bf515a9ba6932e1c"
                      "20cbc9f5a5d134645adb5db1b9737ea3");
}


static void
test_v8(void **state)
{
    uint8_t  id[16], sha256[32];

    (void) state;

    memset(sha256, 0xff, sizeof(sha256));
    scc_uuid_v8(id, sha256);
    test_hex(id, 16, "ffffffffffff8fffbfffffffffffffff");

    memset(sha256, 0, sizeof(sha256));
    scc_uuid_v8(id, sha256);
    test_hex(id, 16, "00000000000080008000000000000000");

    assert_false(scc_uuid_is_v7(id));
}


static void
test_key(void **state)
{
    uint8_t  id[16], other[16], want[16], sha256[32];
    uint8_t  store[16];

    static const char  text[] = "0123456789abcdef" "c1\0key\0" "k 1";

    (void) state;

    memcpy(store, "0123456789abcdef", 16);

    scc_sha256(sha256, scc_test_str(text, sizeof(text) - 1));
    scc_uuid_v8(want, sha256);

    scc_event_id_of_key(id, store, S("c1"), S("k 1"));
    assert_memory_equal(id, want, 16);

    scc_event_id_of_key(other, store, S("c"), S("k 1"));
    assert_memory_not_equal(other, id, 16);

    scc_event_id_of_key(other, store, S("c1"), S("k 2"));
    assert_memory_not_equal(other, id, 16);

    store[15]++;
    scc_event_id_of_key(other, store, S("c1"), S("k 1"));
    assert_memory_not_equal(other, id, 16);

    scc_event_id_of_key(id, store, S(""), S(""));
    scc_event_id_of_key(other, store, S(""), S(""));
    assert_memory_equal(other, id, 16);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_random_text),
        cmocka_unit_test(test_v7),
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_v8),
        cmocka_unit_test(test_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
