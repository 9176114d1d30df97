
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_buf.h"

#include <stdlib.h>
#include <string.h>


#define SCC_BUF_FIRST  256


static bool scc_buf_more(scc_buf_t *b, size_t n);
static void *scc_buf_realloc(void *ctx, void *old, size_t used, size_t size);
static bool scc_buf_json_plain(uint8_t c);


static const char  scc_hex_lower[] = "0123456789abcdef";
static const char  scc_hex_upper[] = "0123456789ABCDEF";


void
scc_buf_fixed(scc_buf_t *b, void *block, size_t size)
{
    memset(b, 0, sizeof(scc_buf_t));

    b->start = block;
    b->size = size;
}


void
scc_buf_init(scc_buf_t *b, scc_buf_grow_pt grow, void *ctx, size_t max_size)
{
    memset(b, 0, sizeof(scc_buf_t));

    b->grow = grow;
    b->ctx = ctx;
    b->max_size = max_size;
}


void
scc_buf_heap(scc_buf_t *b, size_t max_size)
{
    scc_buf_init(b, scc_buf_realloc, NULL, max_size);
}


void
scc_buf_free(scc_buf_t *b)
{
    free(b->start);

    b->start = NULL;
    b->used = 0;
    b->size = 0;
    b->error = false;
}


void
scc_buf_reset(scc_buf_t *b)
{
    b->used = 0;
    b->error = false;
}


uint8_t *
scc_buf_reserve(scc_buf_t *b, size_t n)
{
    uint8_t  *p;

    if (b->error) {
        return NULL;
    }

    if ((b->start == NULL || n > b->size - b->used) && !scc_buf_more(b, n)) {
        return NULL;
    }

    p = b->start + b->used;
    b->used += n;

    return p;
}


void
scc_buf_mem(scc_buf_t *b, const void *p, size_t n)
{
    uint8_t  *to;

    if (n == 0) {
        return;
    }

    to = scc_buf_reserve(b, n);

    if (to) {
        memcpy(to, p, n);
    }
}


void
scc_buf_str(scc_buf_t *b, scc_str_t s)
{
    scc_buf_mem(b, s.data, s.len);
}


void
scc_buf_text(scc_buf_t *b, const char *text)
{
    scc_buf_mem(b, text, strlen(text));
}


void
scc_buf_byte(scc_buf_t *b, uint8_t c)
{
    uint8_t  *to;

    to = scc_buf_reserve(b, 1);

    if (to) {
        *to = c;
    }
}


void
scc_buf_uint(scc_buf_t *b, uint64_t n)
{
    uint8_t  digits[20], *p;

    p = digits + sizeof(digits);

    do {
        *--p = (uint8_t) ('0' + n % 10);
        n /= 10;
    } while (n);

    scc_buf_mem(b, p, (size_t) (digits + sizeof(digits) - p));
}


void
scc_buf_int(scc_buf_t *b, int64_t n)
{
    if (n < 0) {
        scc_buf_byte(b, '-');
        scc_buf_uint(b, 0 - (uint64_t) n);
        return;
    }

    scc_buf_uint(b, (uint64_t) n);
}


void
scc_buf_e7(scc_buf_t *b, int32_t e7)
{
    size_t    i, n;
    uint8_t   digits[7];
    uint32_t  m, frac;

    m = (e7 < 0) ? 0 - (uint32_t) e7 : (uint32_t) e7;

    if (e7 < 0) {
        scc_buf_byte(b, '-');
    }

    scc_buf_uint(b, m / 10000000);

    frac = m % 10000000;

    if (frac == 0) {
        return;
    }

    n = 0;

    for (i = 7; i > 0; i--) {
        digits[i - 1] = (uint8_t) ('0' + frac % 10);
        frac /= 10;

        if (n == 0 && digits[i - 1] != '0') {
            n = i;
        }
    }

    scc_buf_byte(b, '.');
    scc_buf_mem(b, digits, n);
}


void
scc_buf_json(scc_buf_t *b, scc_str_t s)
{
    size_t          n;
    uint8_t        *to;
    const uint8_t  *p, *run, *end;

    scc_buf_byte(b, '"');

    if (s.len == 0) {
        scc_buf_byte(b, '"');
        return;
    }

    p = run = s.data;
    end = p + s.len;

    while (p < end) {

        if (scc_buf_json_plain(*p)) {
            p++;
            continue;
        }

        if (*p >= 0x80) {
            n = scc_utf8_seq(p, (size_t) (end - p));

            if (n) {
                p += n;
                continue;
            }
        }

        scc_buf_mem(b, run, (size_t) (p - run));

        switch (*p) {

        case '"':
            scc_buf_text(b, "\\\"");
            break;

        case '\\':
            scc_buf_text(b, "\\\\");
            break;

        case '\n':
            scc_buf_text(b, "\\n");
            break;

        case '\r':
            scc_buf_text(b, "\\r");
            break;

        case '\t':
            scc_buf_text(b, "\\t");
            break;

        default:

            if (*p >= 0x80) {
                scc_buf_text(b, "\xef\xbf\xbd");
                break;
            }

            to = scc_buf_reserve(b, 6);

            if (to) {
                memcpy(to, "\\u00", 4);
                to[4] = (uint8_t) scc_hex_lower[*p >> 4];
                to[5] = (uint8_t) scc_hex_lower[*p & 0xf];
            }
        }

        run = ++p;
    }

    scc_buf_mem(b, run, (size_t) (p - run));
    scc_buf_byte(b, '"');
}


void
scc_buf_urlencode(scc_buf_t *b, scc_str_t s)
{
    size_t   i;
    uint8_t  c, *to;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
            || (c >= '0' && c <= '9')
            || c == '-' || c == '.' || c == '_' || c == '~')
        {
            scc_buf_byte(b, c);
            continue;
        }

        to = scc_buf_reserve(b, 3);

        if (to) {
            to[0] = '%';
            to[1] = (uint8_t) scc_hex_upper[c >> 4];
            to[2] = (uint8_t) scc_hex_upper[c & 0xf];
        }
    }
}


void
scc_buf_le16(scc_buf_t *b, uint16_t n)
{
    uint8_t  *to;

    to = scc_buf_reserve(b, 2);

    if (to) {
        to[0] = (uint8_t) n;
        to[1] = (uint8_t) (n >> 8);
    }
}


void
scc_buf_le32(scc_buf_t *b, uint32_t n)
{
    scc_buf_le16(b, (uint16_t) n);
    scc_buf_le16(b, (uint16_t) (n >> 16));
}


void
scc_buf_le64(scc_buf_t *b, uint64_t n)
{
    scc_buf_le32(b, (uint32_t) n);
    scc_buf_le32(b, (uint32_t) (n >> 32));
}


static bool
scc_buf_more(scc_buf_t *b, size_t n)
{
    void    *p;
    size_t   need, size;

    if (b->grow == NULL || n > SIZE_MAX / 4 - b->used) {
        goto failed;
    }

    need = b->used + n;

    if (b->max_size && need > b->max_size) {
        goto failed;
    }

    size = (b->size < SCC_BUF_FIRST / 2) ? SCC_BUF_FIRST : b->size * 2;

    if (size < need) {
        size = need;
    }

    if (b->max_size && size > b->max_size) {
        size = b->max_size;
    }

    p = b->grow(b->ctx, b->start, b->used, size);

    if (p == NULL) {
        goto failed;
    }

    b->start = p;
    b->size = size;

    return true;

failed:

    b->error = true;

    return false;
}


static void *
scc_buf_realloc(void *ctx, void *old, size_t used, size_t size)
{
    (void) ctx;
    (void) used;

    return realloc(old, size);
}


static bool
scc_buf_json_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}
