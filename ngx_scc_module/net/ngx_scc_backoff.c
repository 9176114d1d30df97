
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_backoff.h"


void
ngx_scc_backoff_init(ngx_scc_backoff_t *b, ngx_msec_t min, ngx_msec_t max)
{
    b->min = ngx_max(min, 1);
    b->max = ngx_max(max, b->min);
    b->up_since = 0;
    b->failures = 0;
    b->up = 0;
}


void
ngx_scc_backoff_up(ngx_scc_backoff_t *b)
{
    if (!b->up) {
        b->up = 1;
        b->up_since = ngx_current_msec;
    }
}


ngx_msec_t
ngx_scc_backoff_down(ngx_scc_backoff_t *b)
{
    ngx_uint_t  i;
    ngx_msec_t  delay;

    if (b->up && ngx_current_msec - b->up_since >= b->max) {
        b->failures = 0;
    }

    b->up = 0;

    delay = b->min;

    for (i = 0; i < b->failures && delay < b->max; i++) {
        delay *= 2;
    }

    if (delay < b->max) {
        b->failures++;

    } else {
        delay = b->max;
    }

    return delay - (ngx_msec_t) ngx_random() % (delay / 2 + 1);
}


char *
ngx_scc_net_text(char *dst, size_t size, const char *src, size_t len)
{
    char    ch;
    size_t  i;

    for (i = 0; i + 1 < size && i < len; i++) {
        ch = src[i];

        if (ch == '\0' || ch == '\r' || ch == '\n') {
            break;
        }

        dst[i] = (ch >= 0x20 && ch < 0x7f) ? ch : '?';
    }

    dst[i] = '\0';

    return dst;
}
