
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yajl/yajl_parse.h>

#include "scc_json.h"


/* yajl keeps an unfinished token; it is weighed after each piece */
#define SCC_JSON_PIECE         65536

#define SCC_JSON_NUMBER_MAX    256
#define SCC_JSON_EXPONENT_MAX  400


/* Where in an escape the scan for bad ones is. */

typedef enum {
    JSON_TEXT = 0,
    JSON_BACKSLASH,
    JSON_HEX,
    JSON_HIGH,                  /* after the high half of a pair */
} scc_json_scan_t;


struct scc_json_s {
    const scc_json_events_t  *events;
    void                     *ctx;
    scc_json_limits_t         limits;
    yajl_handle               yajl;

    unsigned                  depth;
    unsigned                  bom;      /* bytes of it seen; 3: past it */

    scc_json_scan_t           scan;
    unsigned                  digits;
    uint32_t                  code;
    bool                      high;
    bool                      unsound;  /* the string being read */

    const uint8_t            *piece;    /* what yajl is at */
    const uint8_t            *counted;  /* lines are, up to here */
    uint64_t                  offset;   /* of the piece in the input */
    uint64_t                  line;
    uint64_t                  token;    /* offset of the last event */
    bool                      rest;     /* not only blanks since then */

    scc_rc_t                  rc;
    bool                      own;      /* rc is ours, err is set */
    scc_err_t                 err;
};


static scc_rc_t scc_json_parse(scc_json_t *j, const uint8_t *p,
    const uint8_t *last);
static scc_rc_t scc_json_push(scc_json_t *j, const uint8_t *p, size_t n);
static void scc_json_rest(scc_json_t *j, const uint8_t *p, size_t n);
static const uint8_t *scc_json_bad_blank(const uint8_t *p, size_t n);
static const uint8_t *scc_json_bad_escape(scc_json_t *j, const uint8_t *p,
    const uint8_t *last);
static scc_rc_t scc_json_failed(scc_json_t *j, yajl_status status);
static scc_rc_t scc_json_refuse(scc_json_t *j, const char *text);
static int scc_json_event(scc_json_t *j, scc_rc_t rc);
static bool scc_json_text_sound(scc_json_t *j, scc_str_t text);
static bool scc_json_number_sound(scc_str_t text);

static int scc_json_on_null(void *ctx);
static int scc_json_on_boolean(void *ctx, int value);
static int scc_json_on_number(void *ctx, const char *p, size_t n);
static int scc_json_on_string(void *ctx, const unsigned char *p, size_t n);
static int scc_json_on_key(void *ctx, const unsigned char *p, size_t n);
static int scc_json_on_object(void *ctx);
static int scc_json_on_object_end(void *ctx);
static int scc_json_on_array(void *ctx);
static int scc_json_on_array_end(void *ctx);


static const uint8_t  scc_json_bom[] = { 0xef, 0xbb, 0xbf };


static const yajl_callbacks  scc_json_callbacks = {
    scc_json_on_null,
    scc_json_on_boolean,
    NULL,
    NULL,
    scc_json_on_number,
    scc_json_on_string,
    scc_json_on_object,
    scc_json_on_key,
    scc_json_on_object_end,
    scc_json_on_array,
    scc_json_on_array_end
};


scc_json_t *
scc_json_create(const scc_json_events_t *events, void *ctx,
    const scc_json_limits_t *limits)
{
    scc_json_t  *j;

    j = calloc(1, sizeof(scc_json_t));
    if (j == NULL) {
        return NULL;
    }

    j->yajl = yajl_alloc(&scc_json_callbacks, NULL, j);
    if (j->yajl == NULL) {
        free(j);
        return NULL;
    }

    /* strings are checked here: one bad string does not end the file */

    (void) yajl_config(j->yajl, yajl_dont_validate_strings, 1);

    if (limits->many) {
        (void) yajl_config(j->yajl, yajl_allow_multiple_values, 1);
    }

    j->events = events;
    j->ctx = ctx;
    j->limits = *limits;
    j->line = 1;

    return j;
}


void
scc_json_free(scc_json_t *j)
{
    if (j == NULL) {
        return;
    }

    yajl_free(j->yajl);
    free(j);
}


scc_rc_t
scc_json_feed(scc_json_t *j, const void *data, size_t len, scc_err_t *err)
{
    size_t          n;
    unsigned        seen;
    const uint8_t  *p, *last;

    if (len == 0) {
        return j->rc;
    }

    p = data;
    last = p + len;

    while (j->rc == SCC_OK && j->bom < 3 && p < last) {

        if (*p == scc_json_bom[j->bom]) {
            j->bom++;
            p++;

            if (j->bom == 3 && !j->limits.mark) {
                j->offset = 1;
                j->rc = scc_json_refuse(j, "a byte order mark; leave it out");
            }

            continue;
        }

        seen = j->bom;
        j->bom = 3;
        j->rc = scc_json_parse(j, scc_json_bom, scc_json_bom + seen);
    }

    while (j->rc == SCC_OK && p < last) {
        n = (size_t) (last - p);

        if (n > SCC_JSON_PIECE) {
            n = SCC_JSON_PIECE;
        }

        j->rc = scc_json_parse(j, p, p + n);
        p += n;

        if (j->rc == SCC_OK && j->offset - j->token > j->limits.token_max) {
            j->rc = scc_json_refuse(j, "a string or number, or the space "
                                    "between two, is too large");
        }
    }

    if (j->own) {
        *err = j->err;
    }

    return j->rc;
}


scc_rc_t
scc_json_end(scc_json_t *j, scc_err_t *err)
{
    yajl_status  status;

    if (j->rc == SCC_OK) {
        j->piece = (const uint8_t *) " ";      /* as yajl does */
        j->counted = j->piece;

        status = yajl_complete_parse(j->yajl);

        if (status != yajl_status_ok) {
            j->rc = scc_json_failed(j, status);

        } else if (j->rest) {
            j->piece = NULL;
            j->rc = scc_json_refuse(j, "a string is not closed");
        }
    }

    if (j->own) {
        *err = j->err;
    }

    return j->rc;
}


uint64_t
scc_json_offset(const scc_json_t *j)
{
    return j->offset + yajl_get_bytes_consumed(j->yajl);
}


uint64_t
scc_json_line(scc_json_t *j)
{
    const uint8_t  *p, *last;

    last = j->piece + yajl_get_bytes_consumed(j->yajl);

    for (p = j->counted; p < last; p++) {
        p = memchr(p, '\n', (size_t) (last - p));

        if (p == NULL) {
            break;
        }

        j->line++;
    }

    if (j->counted < last) {
        j->counted = last;
    }

    return j->line;
}


static scc_rc_t
scc_json_parse(scc_json_t *j, const uint8_t *p, const uint8_t *last)
{
    scc_rc_t        rc;
    const uint8_t  *bad;

    while (p < last) {
        bad = scc_json_bad_escape(j, p, last);

        rc = scc_json_push(j, p, (size_t) ((bad ? bad : last) - p));

        if (rc != SCC_OK) {
            return rc;
        }

        if (bad == NULL) {
            break;
        }

        /* the string it is in is not at its end yet */

        j->unsound = true;

        rc = scc_json_push(j, bad, 1);

        if (rc != SCC_OK) {
            return rc;
        }

        p = bad + 1;
    }

    return SCC_OK;
}


static scc_rc_t
scc_json_push(scc_json_t *j, const uint8_t *p, size_t n)
{
    yajl_status     status;
    const uint8_t  *bad;

    if (n == 0) {
        return SCC_OK;
    }

    bad = scc_json_bad_blank(p, n);

    if (bad) {
        n = (size_t) (bad - p);
    }

    j->piece = p;
    j->counted = p;

    status = yajl_parse(j->yajl, p, n);

    if (status != yajl_status_ok) {
        return scc_json_failed(j, status);
    }

    (void) scc_json_line(j);
    scc_json_rest(j, p, n);
    j->offset += n;

    /* yajl's own count is of the last piece; it is at this one's end */

    j->piece = NULL;

    if (bad) {
        return scc_json_refuse(j, "a vertical tab or form feed is no blank");
    }

    return SCC_OK;
}


/*
 * Looks for more than blanks after the last event: yajl takes a string that
 * is not closed for nothing once it has its value.
 */

static void
scc_json_rest(scc_json_t *j, const uint8_t *p, size_t n)
{
    const uint8_t  *last;

    last = p + n;
    p += (j->token > j->offset) ? j->token - j->offset : 0;

    while (!j->rest && p < last) {
        j->rest = (*p != ' ' && *p != '\n' && *p != '\r' && *p != '\t');
        p++;
    }
}


/*
 * The first byte that yajl takes for a blank, but RFC 8259 and PostgreSQL
 * do not.  It is not in a string: yajl refuses control characters there.
 */

static const uint8_t *
scc_json_bad_blank(const uint8_t *p, size_t n)
{
    const uint8_t  *bad, *other;

    bad = memchr(p, '\v', n);
    other = memchr(p, '\f', bad ? (size_t) (bad - p) : n);

    return other ? other : bad;
}


/*
 * The byte at which an escape turns out to stand for U+0000 or half of a
 * surrogate pair: yajl would pass '?' or garbage.  Backslashes are only in
 * strings, or yajl refuses the text.
 */

static const uint8_t *
scc_json_bad_escape(scc_json_t *j, const uint8_t *p, const uint8_t *last)
{
    bool      bad;
    uint8_t   ch;

    while (p < last) {

        if (j->scan == JSON_TEXT) {
            p = memchr(p, '\\', (size_t) (last - p));

            if (p == NULL) {
                return NULL;
            }

            j->scan = JSON_BACKSLASH;
            p++;
            continue;
        }

        ch = *p;
        bad = false;

        switch (j->scan) {

        case JSON_HIGH:
            bad = (ch != '\\');
            j->scan = bad ? JSON_TEXT : JSON_BACKSLASH;
            j->high = !bad;
            break;

        case JSON_BACKSLASH:

            if (ch == 'u') {
                j->scan = JSON_HEX;
                j->digits = 0;
                j->code = 0;
                break;
            }

            bad = j->high;
            j->high = false;
            j->scan = JSON_TEXT;
            break;

        default: /* JSON_HEX */

            j->code <<= 4;

            if (ch >= '0' && ch <= '9') {
                j->code += (uint32_t) (ch - '0');

            } else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f') {
                j->code += (uint32_t) ((ch | 0x20) - 'a' + 10);
            }

            if (++j->digits < 4) {
                break;
            }

            j->scan = JSON_TEXT;

            if (j->high) {
                bad = (j->code < 0xdc00 || j->code > 0xdfff);
                j->high = false;
                break;
            }

            if (j->code >= 0xd800 && j->code <= 0xdbff) {
                j->high = true;
                j->scan = JSON_HIGH;
                break;
            }

            bad = (j->code == 0 || (j->code >= 0xdc00 && j->code <= 0xdfff));
            break;
        }

        if (bad) {
            return p;
        }

        p++;
    }

    return NULL;
}


static scc_rc_t
scc_json_failed(scc_json_t *j, yajl_status status)
{
    size_t          n;
    scc_rc_t        rc;
    unsigned char  *text;

    if (status == yajl_status_client_canceled && j->rc != SCC_OK) {
        return j->rc;
    }

    text = yajl_get_error(j->yajl, 0, NULL, 0);

    if (text == NULL) {
        (void) scc_json_refuse(j, "out of memory");
        return SCC_ERROR;
    }

    n = strlen((char *) text);

    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '.')) {
        text[--n] = '\0';
    }

    rc = scc_json_refuse(j, (char *) text);

    yajl_free_error(j->yajl, text);

    return rc;
}


static scc_rc_t
scc_json_refuse(scc_json_t *j, const char *text)
{
    uint64_t  line, offset;

    line = j->line;
    offset = j->offset;

    if (j->piece) {
        line = scc_json_line(j);
        offset = scc_json_offset(j);
    }

    j->own = true;
    j->err.field.len = 0;
    j->err.field.data = NULL;

    (void) snprintf(j->err.text, SCC_ERR_TEXT,
                    "line %llu, byte %llu: %s",
                    (unsigned long long) line, (unsigned long long) offset,
                    text);

    return SCC_DECLINED;
}


/* The end of each of yajl's callbacks. */

static int
scc_json_event(scc_json_t *j, scc_rc_t rc)
{
    j->rc = rc;
    j->token = scc_json_offset(j);
    j->rest = false;

    return rc == SCC_OK;
}


static bool
scc_json_text_sound(scc_json_t *j, scc_str_t text)
{
    bool  unsound;

    unsound = j->unsound;
    j->unsound = false;

    return !unsound && scc_utf8_valid(text);
}


static bool
scc_json_number_sound(scc_str_t text)
{
    size_t    i;
    unsigned  e;

    if (text.len > SCC_JSON_NUMBER_MAX) {
        return false;
    }

    for (i = 0; i < text.len && (text.data[i] | 0x20) != 'e'; i++) {
        /* void */
    }

    e = 0;

    for (i++; i < text.len; i++) {

        if (text.data[i] < '0' || text.data[i] > '9') {
            continue;
        }

        e = e * 10 + (unsigned) (text.data[i] - '0');

        if (e > SCC_JSON_EXPONENT_MAX) {
            return false;
        }
    }

    return true;
}


static int
scc_json_on_null(void *ctx)
{
    scc_json_t  *j = ctx;

    return scc_json_event(j, j->events->null(j->ctx));
}


static int
scc_json_on_boolean(void *ctx, int value)
{
    scc_json_t  *j = ctx;

    return scc_json_event(j, j->events->boolean(j->ctx, value != 0));
}


static int
scc_json_on_number(void *ctx, const char *p, size_t n)
{
    scc_str_t    text;
    scc_json_t  *j = ctx;

    text.len = n;
    text.data = (const uint8_t *) p;

    return scc_json_event(j, j->events->number(j->ctx, text,
                                               scc_json_number_sound(text)));
}


static int
scc_json_on_string(void *ctx, const unsigned char *p, size_t n)
{
    scc_str_t    text;
    scc_json_t  *j = ctx;

    text.len = n;
    text.data = p;

    return scc_json_event(j, j->events->string(j->ctx, text,
                                               scc_json_text_sound(j, text)));
}


static int
scc_json_on_key(void *ctx, const unsigned char *p, size_t n)
{
    scc_str_t    text;
    scc_json_t  *j = ctx;

    text.len = n;
    text.data = p;

    return scc_json_event(j, j->events->key(j->ctx, text,
                                            scc_json_text_sound(j, text)));
}


static int
scc_json_on_object(void *ctx)
{
    scc_json_t  *j = ctx;

    if (++j->depth > j->limits.depth_max) {
        return scc_json_event(j, scc_json_refuse(j, "nested too deep"));
    }

    return scc_json_event(j, j->events->object(j->ctx));
}


static int
scc_json_on_object_end(void *ctx)
{
    scc_json_t  *j = ctx;

    j->depth--;

    return scc_json_event(j, j->events->object_end(j->ctx));
}


static int
scc_json_on_array(void *ctx)
{
    scc_json_t  *j = ctx;

    if (++j->depth > j->limits.depth_max) {
        return scc_json_event(j, scc_json_refuse(j, "nested too deep"));
    }

    return scc_json_event(j, j->events->array(j->ctx));
}


static int
scc_json_on_array_end(void *ctx)
{
    scc_json_t  *j = ctx;

    j->depth--;

    return scc_json_event(j, j->events->array_end(j->ctx));
}
