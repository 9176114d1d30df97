
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_blob.h"

#include <string.h>


#define SCC_CRC_POLY  0x82f63b78        /* Castagnoli, reflected */

#if (defined __x86_64__ && defined __GNUC__)
#define SCC_CRC_SSE42  1
#else
#define SCC_CRC_SSE42  0
#endif


static uint32_t scc_crc_table(uint32_t crc, const uint8_t *p, size_t n);

#if (SCC_CRC_SSE42)

#define SCC_CRC_TARGET  __attribute__ ((target ("sse4.2,pclmul")))

static uint64_t scc_crc_word(const uint8_t *p);
static uint32_t scc_crc_shift(uint64_t crc, uint32_t by) SCC_CRC_TARGET;
static uint32_t scc_crc_sse42(uint32_t crc, const uint8_t *p, size_t n)
    SCC_CRC_TARGET;

#endif


/* The table of four bits at a time: small enough to stay in the cache. */

static const uint32_t  scc_crc_nibble[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
    0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
    0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75
};


uint32_t
scc_crc32c(uint32_t crc, const void *p, size_t n)
{
    if (n == 0) {
        return crc;
    }

#if (SCC_CRC_SSE42)

    if (__builtin_cpu_supports("sse4.2")
        && __builtin_cpu_supports("pclmul"))
    {
        return ~scc_crc_sse42(~crc, p, n);
    }

#endif

    return ~scc_crc_table(~crc, p, n);
}


static uint32_t
scc_crc_table(uint32_t crc, const uint8_t *p, size_t n)
{
    while (n--) {
        crc ^= *p++;
        crc = crc >> 4 ^ scc_crc_nibble[crc & 0xf];
        crc = crc >> 4 ^ scc_crc_nibble[crc & 0xf];
    }

    return crc;
}


#if (SCC_CRC_SSE42)

/*
 * The instruction takes three cycles but one can start every cycle, so
 * three lanes of SCC_CRC_LANE bytes run side by side.  A lane's result is
 * then moved over the lanes behind it: times x^(8n - 33) mod P without
 * carries, and reduced by the same instruction.
 */

#define SCC_CRC_LANE    512
#define SCC_CRC_SHIFT1  0xdd7e3b0c        /* by one lane */
#define SCC_CRC_SHIFT2  0x170076fa        /* by two */

typedef long long  scc_crc_v2_t __attribute__ ((vector_size (16)));


static uint64_t
scc_crc_word(const uint8_t *p)
{
    uint64_t  word;

    memcpy(&word, p, 8);

    return word;
}


static uint32_t
scc_crc_shift(uint64_t crc, uint32_t by)
{
    scc_crc_v2_t  a, b;

    a = (scc_crc_v2_t) { (long long) crc, 0 };
    b = (scc_crc_v2_t) { (long long) by, 0 };

    a = __builtin_ia32_pclmulqdq128(a, b, 0);

    return (uint32_t) __builtin_ia32_crc32di(0, (uint64_t) a[0]);
}


static uint32_t
scc_crc_sse42(uint32_t crc, const uint8_t *p, size_t n)
{
    size_t    i;
    uint64_t  a, b, c;

    a = crc;

    while (n >= 3 * SCC_CRC_LANE) {
        b = 0;
        c = 0;

        for (i = 0; i < SCC_CRC_LANE; i += 8) {
            a = __builtin_ia32_crc32di(a, scc_crc_word(p + i));
            b = __builtin_ia32_crc32di(b,
                                       scc_crc_word(p + SCC_CRC_LANE + i));
            c = __builtin_ia32_crc32di(c, scc_crc_word(p + 2 * SCC_CRC_LANE
                                                       + i));
        }

        a = scc_crc_shift(a, SCC_CRC_SHIFT2)
            ^ scc_crc_shift(b, SCC_CRC_SHIFT1) ^ c;

        p += 3 * SCC_CRC_LANE;
        n -= 3 * SCC_CRC_LANE;
    }

    for ( ; n >= 8; n -= 8, p += 8) {
        a = __builtin_ia32_crc32di(a, scc_crc_word(p));
    }

    crc = (uint32_t) a;

    for ( ; n; n--, p++) {
        crc = __builtin_ia32_crc32qi(crc, *p);
    }

    return crc;
}

#endif
