
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>

#include <utf8proc.h>

#include "scc_ctl_alike.h"


static void scc_ctl_alike(scc_buf_t *b, scc_str_t name, int options,
    bool blanks);


void
scc_ctl_alike_same(scc_buf_t *b, scc_str_t name)
{
    scc_ctl_alike(b, name, UTF8PROC_STABLE | UTF8PROC_COMPOSE, true);
}


void
scc_ctl_alike_key(scc_buf_t *b, scc_str_t name)
{
    scc_ctl_alike(b, name, UTF8PROC_STABLE | UTF8PROC_COMPOSE
                  | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE,
                  false);
}


static void
scc_ctl_alike(scc_buf_t *b, scc_str_t name, int options, bool blanks)
{
    bool               blank;
    size_t             start, end;
    uint8_t           *text;
    utf8proc_int32_t   code;
    utf8proc_ssize_t   len, n, at;

    len = utf8proc_map(name.data, (utf8proc_ssize_t) name.len, &text,
                       (utf8proc_option_t) options);

    if (len < 0) {
        scc_buf_str(b, name);
        return;
    }

    start = b->used;
    end = start;

    for (at = 0; at < len; at += n) {
        n = utf8proc_iterate(text + at, len - at, &code);

        if (n <= 0) {
            break;
        }

        blank = code == '\t'
                || utf8proc_category(code) == UTF8PROC_CATEGORY_ZS;

        /* those at the end are cut off below */

        if (blank && (!blanks || b->used == start)) {
            continue;
        }

        scc_buf_mem(b, text + at, (size_t) n);

        if (!blank) {
            end = b->used;
        }
    }

    if (!b->error) {
        b->used = end;
    }

    free(text);
}
