
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_LIVE_H_INCLUDED_
#define _SCC_CTL_LIVE_H_INCLUDED_


#include "scc_ctl_pg.h"


/* The ledgers of two stores, event by event. */

typedef struct {
    uint64_t            both;           /* equal */
    uint64_t            differ;         /* with another body */
    uint64_t            only_live;
    uint64_t            only_copy;
    uint64_t            oldest;         /* of only_live: received, ms since
                                           1970; 0: none */
    uint64_t            newest;         /* the same, the newest */
} scc_ctl_live_t;


/* Both are read side by side, each in one snapshot; memory is two rows.  -1
   after saying why not. */
int scc_ctl_live_compare(PGconn *live, PGconn *copy, scc_ctl_live_t *result);


#endif /* _SCC_CTL_LIVE_H_INCLUDED_ */
