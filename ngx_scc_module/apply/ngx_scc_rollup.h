
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_ROLLUP_H_INCLUDED_
#define _NGX_SCC_ROLLUP_H_INCLUDED_


#include "ngx_scc_guard.h"


/*
 * Has the store roll its cells up into the aggregates of low zooms, again
 * and again.  It runs in nginx's helper process; of several helpers one
 * does it at a time (README.md).
 */

typedef struct {
    ngx_scc_guard_t         *guard;         /* NULL: off */
    ngx_scc_pg_conf_t        pg;            /* a connection of its own */
    ngx_msec_t               interval;
} ngx_scc_rollup_conf_t;

typedef struct ngx_scc_rollup_s  ngx_scc_rollup_t;

/* Starts at once; NULL if out of memory. */
ngx_scc_rollup_t *ngx_scc_rollup_create(ngx_cycle_t *cycle,
    ngx_scc_rollup_conf_t *conf);
void ngx_scc_rollup_destroy(ngx_scc_rollup_t *rollup);


#endif /* _NGX_SCC_ROLLUP_H_INCLUDED_ */
