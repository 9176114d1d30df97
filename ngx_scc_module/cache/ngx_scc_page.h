
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_PAGE_H_INCLUDED_
#define _NGX_SCC_PAGE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_scc_cache.h"
#include "scc_page.h"


/*
 * One place's document: from Redis while the version of its cell says that
 * it is current, or while it is young (ngx_scc_zone.h), and then the store
 * is asked behind the answer; else from the store.  Of a document older than
 * "rev_min" the store is asked, and asked again for a second, until it is
 * there; then what there is is the answer.  The caller fills in the first
 * part.
 */

typedef struct ngx_scc_page_s  ngx_scc_page_t;

/* rc: NGX_OK, NGX_DECLINED: the store says there is no such place,
   NGX_ERROR: the store is silent and there is no copy.  json is valid only
   inside the handler. */
typedef void (*ngx_scc_page_pt)(ngx_scc_page_t *job, ngx_int_t rc);


struct ngx_scc_page_s {
    ngx_scc_cache_t        *cache;
    ngx_pool_t             *pool;
    ngx_log_t              *log;
    scc_str_t               id;
    uint64_t                rev_min;        /* 0: any */
    ngx_scc_page_pt         handler;
    void                   *data;

    /* the result */
    scc_str_t               json;
    uint64_t                rev;            /* of json */
    unsigned                hit:1;          /* Redis, current or young */
    unsigned                young:1;        /* the store said so, less than
                                               the zone's bound ago */
    unsigned                stale:1;        /* an old copy, store silent */
    unsigned                bypass:1;       /* Redis was not usable */

    /* private */
    ngx_str_t               key;
    scc_page_t              page;
    unsigned                copy:1;         /* page is set */
    uint32_t                cell;
    ngx_scc_cells_t         cells;
    ngx_scc_redis_call_t   *redis_call;
    ngx_scc_pg_call_t      *pg_call;
    uint64_t                clock;          /* when the store was asked */
    uint64_t                taken;
    ngx_event_t             timer;          /* until it is asked again */
    ngx_connection_t       *dumb;           /* for its debug log */
    ngx_msec_t              asked;          /* when, first */
    unsigned                asking:1;
};


/* As ngx_scc_cells_get() and ngx_scc_cells_cancel(). */
ngx_int_t ngx_scc_page_get(ngx_scc_page_t *job);
void ngx_scc_page_cancel(ngx_scc_page_t *job);


#endif /* _NGX_SCC_PAGE_H_INCLUDED_ */
