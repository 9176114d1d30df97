
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_backoff.h"


#define NGX_SCC_TROUBLE_QUIET  1000


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


ngx_uint_t
ngx_scc_trouble(ngx_scc_trouble_t *t, const char *text)
{
    /* a process that leaves closes its connections by itself */

    if (ngx_exiting || ngx_terminate) {
        return 0;
    }

    if (t->on && ngx_strncmp(t->text, text, sizeof(t->text) - 1) == 0) {
        return 0;
    }

    if (t->seen && ngx_current_msec - t->at < NGX_SCC_TROUBLE_QUIET) {
        return 0;
    }

    (void) ngx_cpystrn((u_char *) t->text, (u_char *) text, sizeof(t->text));

    t->at = ngx_current_msec;
    t->on = 1;
    t->seen = 1;

    return 1;
}


ngx_uint_t
ngx_scc_trouble_over(ngx_scc_trouble_t *t)
{
    ngx_uint_t  on;

    on = t->on;
    t->on = 0;

    return on;
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
