
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

/* the source, so that the table is tested on machines that do not use it */

#include "scc_crc32c.c"


static void
test_vectors(void **state)
{
    uint8_t  b[48];
    size_t   n;

    /* RFC 3720, B.4 */

    static const uint8_t  read10[] = {
        0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
        0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0
    };

    (void) state;

    memset(b, 0, 32);
    assert_int_equal(scc_crc32c(0, b, 32), 0x8a9136aa);

    memset(b, 0xff, 32);
    assert_int_equal(scc_crc32c(0, b, 32), 0x62a8ab43);

    for (n = 0; n < 32; n++) {
        b[n] = (uint8_t) n;
    }

    assert_int_equal(scc_crc32c(0, b, 32), 0x46dd794e);
    assert_int_equal(scc_crc32c(0, read10, 48), 0xd9963a56);
    assert_int_equal(scc_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(scc_crc32c(0, NULL, 0), 0);
}


/* Beside a bit by bit one: in all lengths, in two pieces, by the table. */

static void
test_lengths(void **state)
{
    size_t    n, cut;
    uint8_t   b[5000];
    uint64_t  seed;
    uint32_t  crc, bit;

    (void) state;

    seed = 11;

    for (n = 0; n < sizeof(b); n++) {
        b[n] = (uint8_t) scc_test_random(&seed);
    }

    crc = UINT32_MAX;

    for (n = 0; n <= sizeof(b); n++) {
        assert_int_equal(scc_crc32c(0, b, n), ~crc);

        cut = (size_t) scc_test_range(&seed, 0, (int64_t) n);
        assert_int_equal(scc_crc32c(scc_crc32c(0, b, cut), b + cut, n - cut),
                         ~crc);

        if (n % 16 < 2) {
            assert_int_equal(scc_crc_table(UINT32_MAX, b, n), crc);
        }

        if (n < sizeof(b)) {
            crc ^= b[n];

            for (bit = 0; bit < 8; bit++) {
                crc = crc >> 1 ^ ((crc & 1) ? SCC_CRC_POLY : 0);
            }
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
