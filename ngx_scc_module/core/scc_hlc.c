
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_contribution.h"


#define SCC_HLC_MAX    INT64_MAX            /* PostgreSQL's bigint */

/* milliseconds */
#define SCC_HLC_MINUTE ((uint64_t) 60 * 1000)
#define SCC_HLC_DAY    ((uint64_t) 24 * 60 * SCC_HLC_MINUTE)
#define SCC_HLC_MONTH  (31 * SCC_HLC_DAY)
#define SCC_HLC_YEAR   (366 * SCC_HLC_DAY)


static uint64_t scc_clock_at(int64_t offset, uint64_t boot);


uint64_t
scc_hlc_next(uint64_t last, uint64_t msec)
{
    if (msec > SCC_HLC_MAX >> 16) {
        msec = SCC_HLC_MAX >> 16;
    }

    if (msec << 16 > last) {
        return msec << 16;
    }

    return (last < SCC_HLC_MAX) ? last + 1 : last;
}


/*
 * The store's clock may be this host's own, and wrong with it: when both
 * agree they are believed more, not without end.
 */

scc_doubt_t
scc_clock_read(scc_clock_t *c, uint64_t wall, uint64_t boot, uint64_t last,
    uint64_t *msec)
{
    uint64_t     expected, store, seen, limit;
    scc_doubt_t  doubt;

    seen = last >> 16;
    expected = scc_clock_at(c->wall, boot);
    store = scc_clock_at(c->store, boot);

    if (store + SCC_HLC_DAY < seen) {
        store = 0;                      /* it is behind what has happened */
    }

    doubt = SCC_DOUBT_NONE;
    *msec = wall;

    if (store != 0 && wall > store + SCC_HLC_MINUTE) {
        doubt = SCC_DOUBT_STORE;
        *msec = store;
    }

    limit = 0;

    if (expected != 0 && expected + SCC_HLC_DAY >= seen) {
        limit = expected + SCC_HLC_DAY;
    }

    if (seen != 0 && (limit == 0 || store != 0)) {
        seen += (store != 0) ? SCC_HLC_YEAR : SCC_HLC_MONTH;
        limit = (limit > seen) ? limit : seen;
    }

    if (limit != 0 && *msec > limit) {

        if (c->guess == 0) {
            c->guess = (int64_t) (last >> 16) - (int64_t) boot;
        }

        *msec = scc_clock_at(c->guess, boot);

        if (*msec < expected) {
            *msec = expected;
        }

        return SCC_DOUBT_JUMP;
    }

    if (doubt == SCC_DOUBT_NONE) {
        c->wall = (int64_t) wall - (int64_t) boot;
        c->guess = 0;
    }

    return doubt;
}


/* 0: nothing is known of that clock. */

static uint64_t
scc_clock_at(int64_t offset, uint64_t boot)
{
    int64_t  at;

    at = (int64_t) boot + offset;

    return (offset != 0 && at > 0) ? (uint64_t) at : 0;
}
