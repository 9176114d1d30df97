
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_contribution.h"


#define SCC_UUID_TEXT  36


static int scc_uuid_digit(uint8_t ch);


scc_rc_t
scc_uuid_parse(scc_str_t text, uint8_t id[16])
{
    int       high, low;
    size_t    i, n;
    uint8_t   parsed[16];

    if (text.len != SCC_UUID_TEXT) {
        return SCC_DECLINED;
    }

    i = 0;

    for (n = 0; n < 16; n++) {

        if (n == 4 || n == 6 || n == 8 || n == 10) {

            if (text.data[i++] != '-') {
                return SCC_DECLINED;
            }
        }

        high = scc_uuid_digit(text.data[i]);
        low = scc_uuid_digit(text.data[i + 1]);

        if (high < 0 || low < 0) {
            return SCC_DECLINED;
        }

        parsed[n] = (uint8_t) (high << 4 | low);
        i += 2;
    }

    memcpy(id, parsed, 16);

    return SCC_OK;
}


void
scc_uuid_write(scc_buf_t *b, const uint8_t id[16])
{
    size_t    n;
    uint8_t  *p;

    static const char  digits[] = "0123456789abcdef";

    p = scc_buf_reserve(b, SCC_UUID_TEXT);

    if (p == NULL) {
        return;
    }

    for (n = 0; n < 16; n++) {

        if (n == 4 || n == 6 || n == 8 || n == 10) {
            *p++ = '-';
        }

        *p++ = (uint8_t) digits[id[n] >> 4];
        *p++ = (uint8_t) digits[id[n] & 15];
    }
}


bool
scc_uuid_is_v7(const uint8_t id[16])
{
    return id[6] >> 4 == 7 && id[8] >> 6 == 2;
}


void
scc_uuid_v7(uint8_t id[16], uint64_t msec, const uint8_t random[10])
{
    unsigned  n;

    for (n = 0; n < 6; n++) {
        id[n] = (uint8_t) (msec >> (40 - 8 * n));
    }

    memcpy(id + 6, random, 10);

    id[6] = (uint8_t) (0x70 | (id[6] & 0x0f));
    id[8] = (uint8_t) (0x80 | (id[8] & 0x3f));
}


void
scc_uuid_v8(uint8_t id[16], const uint8_t sha256[32])
{
    memcpy(id, sha256, 16);

    id[6] = (uint8_t) (0x80 | (id[6] & 0x0f));
    id[8] = (uint8_t) (0x80 | (id[8] & 0x3f));
}


static int
scc_uuid_digit(uint8_t ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    ch |= 0x20;

    if (ch >= 'a' && ch <= 'f') {
        return ch - 'a' + 10;
    }

    return -1;
}
