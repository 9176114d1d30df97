
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_SWEEP_H_INCLUDED_
#define _NGX_SCC_SWEEP_H_INCLUDED_


#include "ngx_scc_cache.h"


/*
 * Over all of Redis's copies of this generation, cells, pages and aggregates:
 * removes them (they are of an earlier epoch or life of the store), or keeps
 * them from expiring (nobody can write them again now).  In the background,
 * some at a time.
 */

typedef struct ngx_scc_sweep_s  ngx_scc_sweep_t;

typedef enum {
    NGX_SCC_SWEEP_REMOVE = 0,
    NGX_SCC_SWEEP_KEEP,
} ngx_scc_sweep_what_t;

/* NGX_OK: it went over all; NGX_ERROR: Redis did not answer. */
typedef void (*ngx_scc_sweep_pt)(void *data, ngx_int_t rc);

ngx_scc_sweep_t *ngx_scc_sweep_create(ngx_cycle_t *cycle,
    ngx_scc_cache_t *cache, ngx_scc_sweep_pt handler, void *data);

/* NGX_OK: the handler will be called, never from within; NGX_BUSY: one is
   under way; NGX_DECLINED: not now. */
ngx_int_t ngx_scc_sweep(ngx_scc_sweep_t *sweep, ngx_scc_sweep_what_t what);


#endif /* _NGX_SCC_SWEEP_H_INCLUDED_ */
