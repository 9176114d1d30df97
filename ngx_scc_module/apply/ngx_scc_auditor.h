
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_AUDITOR_H_INCLUDED_
#define _NGX_SCC_AUDITOR_H_INCLUDED_


#include "ngx_scc_caps.h"
#include "ngx_scc_pg.h"
#include "ngx_scc_redis.h"


/*
 * The durability audit, in nginx's helper process: every interval, at each
 * connect to another queue, and when a worker doubts.  It asks the queue,
 * then the store, then has a thread try the journal's disk; what
 * core/scc_audit.h makes of it goes to the zone, and what is new to the log.
 */

typedef struct {
    ngx_scc_caps_conf_t     *caps;
    ngx_scc_redis_conf_t    *queue;     /* no address: there is none */
    ngx_scc_pg_conf_t        pg;        /* a connection of its own */
} ngx_scc_auditor_conf_t;

typedef struct ngx_scc_auditor_s  ngx_scc_auditor_t;

/* cache may be NULL.  Starts at once; NULL if out of memory. */
ngx_scc_auditor_t *ngx_scc_auditor_create(ngx_cycle_t *cycle,
    ngx_scc_auditor_conf_t *conf, ngx_scc_redis_pool_t *cache);
void ngx_scc_auditor_destroy(ngx_scc_auditor_t *auditor);


#endif /* _NGX_SCC_AUDITOR_H_INCLUDED_ */
