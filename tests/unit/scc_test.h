
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_TEST_H_INCLUDED_
#define _SCC_TEST_H_INCLUDED_


#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scc.h"


/* Literals may hold NUL bytes. */

#define S(text)  scc_test_str(text, sizeof(text) - 1)

#define scc_test_items(a)  (sizeof(a) / sizeof((a)[0]))


static inline scc_str_t
scc_test_str(const char *text, size_t len)
{
    scc_str_t  s = { len, (const uint8_t *) text };

    return s;
}


static inline scc_str_t
scc_test_z(const char *text)
{
    return scc_test_str(text, strlen(text));
}


/* xorshift64*: the same numbers in every run, so that a failure repeats. */

static inline uint64_t
scc_test_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;

    return *seed * 2685821657736338717ULL;
}


/* lo..hi, both included */

static inline int64_t
scc_test_range(uint64_t *seed, int64_t lo, int64_t hi)
{
    uint64_t  n;

    n = (uint64_t) hi - (uint64_t) lo + 1;

    return (int64_t) ((uint64_t) lo + scc_test_random(seed) % n);
}


#define assert_str(s, text)                                                   \
    do {                                                                      \
        scc_str_t  scc_have = (s);                                            \
        scc_str_t  scc_want = scc_test_z(text);                               \
                                                                              \
        assert_int_equal(scc_have.len, scc_want.len);                         \
        if (scc_have.len) {                                                   \
            assert_memory_equal(scc_have.data, scc_want.data, scc_have.len);  \
        }                                                                     \
    } while (0)


#endif /* _SCC_TEST_H_INCLUDED_ */
