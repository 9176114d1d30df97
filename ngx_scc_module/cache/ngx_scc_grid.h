
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_GRID_H_INCLUDED_
#define _NGX_SCC_GRID_H_INCLUDED_


#include "ngx_scc_cache.h"
#include "scc_tile_grid.h"


/*
 * "Give me this tile's aggregates": from Redis for a while after they left
 * the store, else by one statement, however many ask for the tile at once
 * (README.md).  One ngx_scc_grids_t per process, on its cycle.
 */

typedef struct {
    ngx_scc_cache_t          *cache;
    time_t                    valid;        /* seconds a copy is fresh */
    time_t                    late;         /* seconds; as_of of an answer
                                               older than this is stale */
    ngx_queue_t               flights;      /* tiles being read */
} ngx_scc_grids_t;


ngx_scc_grids_t *ngx_scc_grids_create(ngx_cycle_t *cycle,
    ngx_scc_cache_t *cache, time_t valid, time_t late);
void ngx_scc_grids_destroy(ngx_scc_grids_t *grids);


typedef struct ngx_scc_grid_s         ngx_scc_grid_t;
typedef struct ngx_scc_grid_flight_s  ngx_scc_grid_flight_t;

/* rc: NGX_OK; NGX_DECLINED: nothing was ever rolled up; NGX_ERROR: the store
   is silent and there is no copy.  grid is valid only inside the handler. */
typedef void (*ngx_scc_grid_pt)(ngx_scc_grid_t *job, ngx_int_t rc);


/* The caller fills in the first part. */

struct ngx_scc_grid_s {
    ngx_scc_grids_t          *grids;
    ngx_pool_t               *pool;
    ngx_log_t                *log;
    scc_tile_t                tile;
    ngx_scc_grid_pt           handler;
    void                     *data;

    /* the result */
    const scc_grid_t         *grid;
    unsigned                  hit:1;        /* from Redis, fresh */
    unsigned                  stale:1;      /* as_of is older than promised */
    unsigned                  bypass:1;     /* Redis was not usable, or
                                               nobody vouches for it */

    /* private */
    scc_grid_t               *copy;         /* an old one */
    ngx_scc_redis_call_t     *call;
    ngx_scc_grid_flight_t    *flight;
    ngx_queue_t               queue;        /* in the flight's jobs */
};


/* As ngx_scc_cells_get() and ngx_scc_cells_cancel(). */
ngx_int_t ngx_scc_grid_get(ngx_scc_grid_t *job);
void ngx_scc_grid_cancel(ngx_scc_grid_t *job);


#endif /* _NGX_SCC_GRID_H_INCLUDED_ */
