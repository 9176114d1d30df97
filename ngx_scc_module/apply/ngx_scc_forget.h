
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_FORGET_H_INCLUDED_
#define _NGX_SCC_FORGET_H_INCLUDED_


#include "ngx_scc_cache.h"


/*
 * Removes from Redis the pages that show the name of somebody who was
 * erased: the feed alone would leave them to be answered as old copies
 * while the store is silent.  In nginx's helper process; several at once do
 * no harm.
 */

typedef struct ngx_scc_forget_s  ngx_scc_forget_t;

/*
 * Starts at once; one per process, lives as long as it does.  grace, ms: for
 * so long a page that a worker read before the erasure may still be written.
 */
ngx_scc_forget_t *ngx_scc_forget_create(ngx_cycle_t *cycle,
    ngx_scc_cache_t *cache, ngx_msec_t interval, ngx_msec_t grace);


#endif /* _NGX_SCC_FORGET_H_INCLUDED_ */
