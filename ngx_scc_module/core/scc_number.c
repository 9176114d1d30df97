
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_blob.h"
#include "scc_contribution.h"
#include "scc_number.h"


#define SCC_NUMBER_CRC  8


static void scc_number_end(scc_buf_t *b, size_t start);
static scc_rc_t scc_number_text(scc_str_t line, scc_str_t *text);
static bool scc_number_word(scc_str_t *text, scc_str_t *word);
static scc_rc_t scc_number_id(scc_str_t text, scc_number_t *n);
static int scc_number_digit(uint8_t c);


static const scc_str_t  scc_number_kinds[SCC_NUMBER_KINDS] = {
    scc_string("contributor"),
    scc_string("place")
};

static const scc_str_t  scc_number_first = scc_string("numbers");


scc_str_t
scc_number_kind_name(scc_number_kind_t kind)
{
    return scc_number_kinds[kind];
}


scc_rc_t
scc_number_kind_parse(scc_str_t name, scc_number_kind_t *kind)
{
    unsigned  i;

    for (i = 0; i < SCC_NUMBER_KINDS; i++) {
        if (scc_str_eq(name, scc_number_kinds[i])) {
            *kind = (scc_number_kind_t) i;
            return SCC_OK;
        }
    }

    return SCC_DECLINED;
}


void
scc_number_head(scc_buf_t *b, const uint8_t store[16])
{
    size_t  start;

    start = b->used;

    scc_buf_str(b, scc_number_first);
    scc_buf_byte(b, ' ');
    scc_uuid_write(b, store);

    scc_number_end(b, start);
}


void
scc_number_write(scc_buf_t *b, const scc_number_t *n)
{
    size_t     start;
    scc_str_t  id = { n->len, n->id };

    start = b->used;

    scc_buf_str(b, scc_number_kinds[n->kind]);
    scc_buf_byte(b, ' ');
    scc_buf_uint(b, n->number);
    scc_buf_byte(b, ' ');
    scc_buf_urlencode(b, id);

    scc_number_end(b, start);
}


scc_rc_t
scc_number_head_read(scc_str_t line, uint8_t store[16])
{
    scc_str_t  text, word;

    if (scc_number_text(line, &text) != SCC_OK
        || !scc_number_word(&text, &word)
        || !scc_str_eq(word, scc_number_first))
    {
        return SCC_DECLINED;
    }

    return scc_uuid_parse(text, store);
}


scc_rc_t
scc_number_read(scc_str_t line, scc_number_t *n)
{
    size_t     i;
    uint64_t   digit;
    scc_str_t  text, kind, number;

    if (scc_number_text(line, &text) != SCC_OK
        || !scc_number_word(&text, &kind)
        || !scc_number_word(&text, &number)
        || scc_number_kind_parse(kind, &n->kind) != SCC_OK
        || number.len == 0)
    {
        return SCC_DECLINED;
    }

    n->number = 0;

    for (i = 0; i < number.len; i++) {

        if (number.data[i] < '0' || number.data[i] > '9') {
            return SCC_DECLINED;
        }

        digit = (uint64_t) (number.data[i] - '0');

        if (n->number > (INT64_MAX - digit) / 10) {
            return SCC_DECLINED;
        }

        n->number = n->number * 10 + digit;
    }

    return n->number != 0 ? scc_number_id(text, n) : SCC_DECLINED;
}


static void
scc_number_end(scc_buf_t *b, size_t start)
{
    int                shift;
    uint32_t           crc;

    static const char  hex[] = "0123456789abcdef";

    if (b->error) {
        return;
    }

    crc = scc_crc32c(0, b->start + start, b->used - start);

    scc_buf_byte(b, ' ');

    for (shift = 28; shift >= 0; shift -= 4) {
        scc_buf_byte(b, (uint8_t) hex[crc >> shift & 15]);
    }

    scc_buf_byte(b, '\n');
}


/* What the line says, if its crc is right. */

static scc_rc_t
scc_number_text(scc_str_t line, scc_str_t *text)
{
    int       digit;
    size_t    i;
    uint32_t  crc;

    if (line.len < SCC_NUMBER_CRC + 2 || line.len >= SCC_NUMBER_LINE) {
        return SCC_DECLINED;
    }

    text->data = line.data;
    text->len = line.len - SCC_NUMBER_CRC - 1;

    if (line.data[text->len] != ' ') {
        return SCC_DECLINED;
    }

    crc = 0;

    for (i = text->len + 1; i < line.len; i++) {
        digit = scc_number_digit(line.data[i]);

        if (digit < 0) {
            return SCC_DECLINED;
        }

        crc = crc << 4 | (uint32_t) digit;
    }

    return scc_crc32c(0, text->data, text->len) == crc ? SCC_OK
                                                       : SCC_DECLINED;
}


/* Cuts off the first word and the blank behind it. */

static bool
scc_number_word(scc_str_t *text, scc_str_t *word)
{
    const uint8_t  *blank;

    blank = memchr(text->data, ' ', text->len);

    if (blank == NULL) {
        return false;
    }

    word->data = text->data;
    word->len = (size_t) (blank - text->data);

    text->data = blank + 1;
    text->len -= word->len + 1;

    return true;
}


static scc_rc_t
scc_number_id(scc_str_t text, scc_number_t *n)
{
    int      high, low;
    size_t   i;
    uint8_t  c;

    n->len = 0;

    for (i = 0; i < text.len; i++) {
        c = text.data[i];

        if (c == '%') {

            if (text.len - i < 3) {
                return SCC_DECLINED;
            }

            high = scc_number_digit(text.data[i + 1]);
            low = scc_number_digit(text.data[i + 2]);

            if (high < 0 || low < 0) {
                return SCC_DECLINED;
            }

            c = (uint8_t) (high << 4 | low);
            i += 2;
        }

        if (n->len == SCC_ID_MAX) {
            return SCC_DECLINED;
        }

        n->id[n->len++] = c;
    }

    return n->len != 0 ? SCC_OK : SCC_DECLINED;
}


static int
scc_number_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return (c >= 'A' && c <= 'F') ? c - 'A' + 10 : -1;
}
