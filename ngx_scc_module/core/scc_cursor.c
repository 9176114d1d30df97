
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_query.h"

#include <string.h>


#define SCC_CURSOR_VERSION  1
#define SCC_CURSOR_HEAD     5
#define SCC_CURSOR_SIZE     (SCC_CURSOR_HEAD + SCC_ID_MAX)


static int scc_base64url_value(uint8_t c);
static size_t scc_base64url_decode(scc_str_t text, uint8_t *dst, size_t n);


static const char  scc_base64url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";


void
scc_cursor_write(scc_buf_t *b, uint32_t cell, scc_str_t id)
{
    size_t    i, n, bits;
    uint8_t   raw[SCC_CURSOR_SIZE];
    uint32_t  acc;

    if (id.len == 0 || id.len > SCC_ID_MAX) {
        b->error = true;
        return;
    }

    raw[0] = SCC_CURSOR_VERSION;
    raw[1] = (uint8_t) (cell >> 24);
    raw[2] = (uint8_t) (cell >> 16);
    raw[3] = (uint8_t) (cell >> 8);
    raw[4] = (uint8_t) cell;
    memcpy(raw + SCC_CURSOR_HEAD, id.data, id.len);

    n = SCC_CURSOR_HEAD + id.len;
    acc = 0;
    bits = 0;

    for (i = 0; i < n; i++) {
        acc = (acc << 8 | raw[i]) & 0xffff;
        bits += 8;

        while (bits >= 6) {
            bits -= 6;
            scc_buf_byte(b, (uint8_t) scc_base64url[acc >> bits & 0x3f]);
        }
    }

    if (bits) {
        scc_buf_byte(b, (uint8_t) scc_base64url[acc << (6 - bits) & 0x3f]);
    }
}


scc_rc_t
scc_cursor_parse(scc_str_t text, uint8_t *store, scc_cursor_t *cursor)
{
    size_t     n;
    uint8_t    raw[SCC_CURSOR_SIZE];
    scc_str_t  id;

    n = scc_base64url_decode(text, raw, sizeof(raw));

    if (n == SIZE_MAX || n <= SCC_CURSOR_HEAD
        || raw[0] != SCC_CURSOR_VERSION)
    {
        return SCC_DECLINED;
    }

    id.data = raw + SCC_CURSOR_HEAD;
    id.len = n - SCC_CURSOR_HEAD;

    if (!scc_utf8_valid(id) || memchr(id.data, 0, id.len)) {
        return SCC_DECLINED;
    }

    memcpy(store, id.data, id.len);

    cursor->set = true;
    cursor->cell = (uint32_t) raw[1] << 24 | (uint32_t) raw[2] << 16
                   | (uint32_t) raw[3] << 8 | raw[4];
    cursor->id.data = store;
    cursor->id.len = id.len;

    return SCC_OK;
}


/* Only the one canonical text of some bytes is taken. */

static size_t
scc_base64url_decode(scc_str_t text, uint8_t *dst, size_t n)
{
    int       v;
    size_t    i, used, bits;
    uint32_t  acc;

    acc = 0;
    bits = 0;
    used = 0;

    for (i = 0; i < text.len; i++) {
        v = scc_base64url_value(text.data[i]);

        if (v < 0) {
            return SIZE_MAX;
        }

        acc = (acc << 6 | (uint32_t) v) & 0xffff;
        bits += 6;

        if (bits < 8) {
            continue;
        }

        if (used == n) {
            return SIZE_MAX;
        }

        bits -= 8;
        dst[used++] = (uint8_t) (acc >> bits);
    }

    if (bits == 6 || (acc & ((1u << bits) - 1))) {
        return SIZE_MAX;
    }

    return used;
}


static int
scc_base64url_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    if (c == '-') {
        return 62;
    }

    return (c == '_') ? 63 : -1;
}
