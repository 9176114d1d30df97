
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _FUZZ_FEED_H_INCLUDED_
#define _FUZZ_FEED_H_INCLUDED_


#include <stdlib.h>
#include <string.h>

#include "scc.h"


typedef scc_rc_t (*fuzz_feed_pt)(void *to, const uint8_t *p, size_t n,
    scc_err_t *err);


/*
 * The input, "piece" bytes at a time; each in memory of its own, so that a
 * byte read beyond it, or kept of it, is seen.
 */

static scc_rc_t
fuzz_feed(fuzz_feed_pt feed, void *to, const uint8_t *p, size_t size,
    size_t piece, scc_err_t *err)
{
    size_t     n;
    uint8_t   *copy;
    scc_rc_t   rc;

    rc = SCC_OK;
    memset(err, 0, sizeof(scc_err_t));

    while (size > 0 && rc == SCC_OK) {
        n = (size < piece) ? size : piece;

        copy = malloc(n);
        if (copy == NULL) {
            abort();
        }

        memcpy(copy, p, n);
        rc = feed(to, copy, n, err);
        free(copy);

        p += n;
        size -= n;
    }

    return rc;
}


#endif /* _FUZZ_FEED_H_INCLUDED_ */
