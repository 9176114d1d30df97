
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_PURGE_H_INCLUDED_
#define _NGX_SCC_PURGE_H_INCLUDED_


#include "ngx_scc_curl.h"
#include "ngx_scc_pg.h"


/*
 * Tells an edge (a CDN, Varnish with docker/varnish/scc.vcl) which answers
 * are old: soft purges by Surrogate-Key, for every cell and place that the
 * store has changed, whoever changed it.  It runs in nginx's helper process;
 * several at once do no harm (README.md).
 *
 * POST url
 * Surrogate-Key: up to NGX_SCC_PURGE_KEYS keys, joined by blanks
 * Fastly-Soft-Purge: 1
 * Fastly-Key: the secret, if there is one
 *
 * Any 2xx means that it is done.
 */

#define NGX_SCC_PURGE_KEYS  100

/* What all of this nginx have done, in shared memory; kept by a reload. */
typedef struct {
    ngx_atomic_t             keys;          /* each time they are taken */
    ngx_atomic_t             calls;         /* answered with 2xx */
    ngx_atomic_t             failures;      /* calls that were not */
    ngx_atomic_t             everything;    /* purges of it */
} ngx_scc_purge_stat_t;


typedef struct {
    ngx_str_t                url;           /* NUL-terminated */
    ngx_str_t                key;           /* the secret; never logged */
    ngx_str_t                name;          /* url without its query */
    ngx_msec_t               wait;          /* ms until the caches of the
                                               origin know of a change */
} ngx_scc_purge_conf_t;


typedef struct ngx_scc_purge_s  ngx_scc_purge_t;

/* Starts at once; lives as long as its process does.  state: a directory for
   its horizon. */
ngx_scc_purge_t *ngx_scc_purge_create(ngx_cycle_t *cycle,
    ngx_scc_purge_conf_t *conf, ngx_scc_pg_pool_t *pg, ngx_scc_curl_t *curl,
    ngx_str_t *state, ngx_scc_purge_stat_t *stat);

void ngx_scc_purge_destroy(ngx_scc_purge_t *purge);


#endif /* _NGX_SCC_PURGE_H_INCLUDED_ */
