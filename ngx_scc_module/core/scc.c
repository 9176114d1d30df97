
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc.h"

#include <stdlib.h>
#include <string.h>


int
scc_str_cmp(scc_str_t a, scc_str_t b)
{
    int     rc;
    size_t  n;

    n = (a.len < b.len) ? a.len : b.len;

    if (n) {
        rc = memcmp(a.data, b.data, n);

        if (rc) {
            return (rc < 0) ? -1 : 1;
        }
    }

    return (a.len > b.len) - (a.len < b.len);
}


bool
scc_str_eq(scc_str_t a, scc_str_t b)
{
    return a.len == b.len
           && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


scc_str_t
scc_str_trim(scc_str_t s)
{
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len > 0
           && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
    {
        s.len--;
    }

    return s;
}


bool
scc_str_skip(scc_str_t *s, const char *prefix)
{
    size_t  n;

    n = strlen(prefix);

    if (s->len < n || memcmp(s->data, prefix, n) != 0) {
        return false;
    }

    s->data += n;
    s->len -= n;

    return true;
}


scc_rc_t
scc_str_copy(scc_str_t *to, scc_str_t s)
{
    uint8_t  *data;

    data = malloc(s.len + 1);

    if (data == NULL) {
        return SCC_ERROR;
    }

    if (s.len > 0) {
        memcpy(data, s.data, s.len);
    }

    to->data = data;
    to->len = s.len;

    return SCC_OK;
}


void
scc_str_free(scc_str_t *s)
{
    void  *data;

    /* the copy's own memory: without a cast that takes "const" away */

    memcpy(&data, &s->data, sizeof(void *));
    free(data);

    s->data = NULL;
    s->len = 0;
}


bool
scc_utf8_valid(scc_str_t s)
{
    size_t  i, n;

    for (i = 0; i < s.len; i += n) {

        if (s.data[i] < 0x80) {
            n = 1;
            continue;
        }

        n = scc_utf8_seq(s.data + i, s.len - i);

        if (n == 0) {
            return false;
        }
    }

    return true;
}


size_t
scc_utf8_seq(const uint8_t *p, size_t n)
{
    size_t   len, i;
    uint8_t  lo, hi;

    if (p[0] < 0x80) {
        return 1;
    }

    lo = 0x80;
    hi = 0xbf;

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        len = 2;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        len = 3;

        if (p[0] == 0xe0) {
            lo = 0xa0;

        } else if (p[0] == 0xed) {
            hi = 0x9f;
        }

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        len = 4;

        if (p[0] == 0xf0) {
            lo = 0x90;

        } else if (p[0] == 0xf4) {
            hi = 0x8f;
        }

    } else {
        return 0;
    }

    if (n < len || p[1] < lo || p[1] > hi) {
        return 0;
    }

    for (i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return len;
}


void
scc_err_set(scc_err_t *err, scc_str_t field, const char *text)
{
    size_t  n;

    if (field.len > SCC_ID_MAX) {
        field.len = SCC_ID_MAX;
    }

    err->field = field;

    n = strlen(text);

    if (n >= SCC_ERR_TEXT) {
        n = SCC_ERR_TEXT - 1;
    }

    memcpy(err->text, text, n);
    err->text[n] = '\0';
}
