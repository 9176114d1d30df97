
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_FEED_H_INCLUDED_
#define _NGX_SCC_FEED_H_INCLUDED_


#include "ngx_scc_cache.h"


/*
 * The feed tells Redis and the zone which cells the store has changed,
 * whoever changed them.  It runs in nginx's helper process, for the whole
 * host; several at once do no harm (README.md).
 */

typedef struct ngx_scc_feed_s  ngx_scc_feed_t;

/* Starts at once; one per process, lives as long as it does. */
ngx_scc_feed_t *ngx_scc_feed_create(ngx_cycle_t *cycle,
    ngx_scc_cache_t *cache, ngx_msec_t interval);


#endif /* _NGX_SCC_FEED_H_INCLUDED_ */
