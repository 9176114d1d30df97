
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_contribution.h"


#define SCC_HLC_MAX   INT64_MAX             /* PostgreSQL's bigint */
#define SCC_HLC_DAY   ((uint64_t) 24 * 60 * 60 * 1000)


uint64_t
scc_hlc_next(uint64_t last, uint64_t msec, bool *suspect)
{
    bool  ahead;

    ahead = msec > SCC_HLC_MAX >> 16
            || (last > 0 && msec > (last >> 16) + SCC_HLC_DAY);

    *suspect = ahead || last >= SCC_HLC_MAX;

    if (!ahead && msec << 16 > last) {
        return msec << 16;
    }

    return (last < SCC_HLC_MAX) ? last + 1 : last;
}
