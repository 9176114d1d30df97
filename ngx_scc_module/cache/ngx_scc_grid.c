
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_grid.h"
#include "ngx_scc_store_aggregate.h"


#define NGX_SCC_GRID_KEY_LEN                                                  \
    (sizeof("scc:t::12:4095:4095") + NGX_INT_T_LEN)
#define NGX_SCC_GRID_SIZE                                                     \
    (SCC_GRID_HEADER + SCC_GRID_MAX * SCC_GRID_ENTRY)


/* A tile being read.  It ends by itself, also when nobody waits any more:
   the next one who asks finds the copy. */

struct ngx_scc_grid_flight_s {
    ngx_queue_t               queue;        /* in the process's flights */
    ngx_queue_t               jobs;
    ngx_scc_grids_t          *grids;
    ngx_pool_t               *pool;
    ngx_scc_pg_call_t        *call;
    scc_grid_t                grid;
    unsigned                  keep:1;       /* somebody vouches */
};


static ngx_int_t ngx_scc_grid_mget(ngx_scc_grid_t *job);
static u_char *ngx_scc_grid_key(ngx_scc_grids_t *grids,
    const scc_tile_t *tile, u_char *p);
static void ngx_scc_grid_mget_handler(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static ngx_int_t ngx_scc_grid_copy(ngx_scc_grid_t *job,
    ngx_scc_redis_reply_t *element);
static ngx_int_t ngx_scc_grid_read(ngx_scc_grid_t *job);
static ngx_scc_grid_flight_t *ngx_scc_grid_flight(ngx_scc_grid_t *job);
static void ngx_scc_grid_read_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_grid_take(ngx_scc_grid_t *job,
    const scc_grid_t *grid);
static ngx_int_t ngx_scc_grid_old(ngx_scc_grid_t *job, ngx_int_t rc);
static void ngx_scc_grid_keep(ngx_scc_grid_flight_t *flight);


ngx_scc_grids_t *
ngx_scc_grids_create(ngx_cycle_t *cycle, ngx_scc_cache_t *cache,
    time_t valid, time_t late)
{
    ngx_scc_grids_t  *grids;

    grids = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_grids_t));
    if (grids == NULL) {
        return NULL;
    }

    grids->cache = cache;
    grids->valid = valid;
    grids->late = late;

    ngx_queue_init(&grids->flights);

    return grids;
}


void
ngx_scc_grids_destroy(ngx_scc_grids_t *grids)
{
    ngx_queue_t            *q;
    ngx_scc_grid_flight_t  *flight;

    while (!ngx_queue_empty(&grids->flights)) {
        q = ngx_queue_head(&grids->flights);
        flight = ngx_queue_data(q, ngx_scc_grid_flight_t, queue);

        ngx_queue_remove(q);
        ngx_destroy_pool(flight->pool);
    }
}


ngx_int_t
ngx_scc_grid_get(ngx_scc_grid_t *job)
{
    ngx_scc_cache_t  *cache;

    cache = job->grids->cache;

    if (cache->redis != NULL
        && ngx_scc_redis_ready(cache->redis)
        && ngx_scc_grid_mget(job) == NGX_OK)
    {
        return NGX_AGAIN;
    }

    job->bypass = 1;

    return ngx_scc_grid_read(job);
}


void
ngx_scc_grid_cancel(ngx_scc_grid_t *job)
{
    if (job->call != NULL) {
        ngx_scc_redis_cancel(job->call);
        job->call = NULL;
    }

    if (job->flight != NULL) {
        ngx_queue_remove(&job->queue);
        job->flight = NULL;
    }
}


static ngx_int_t
ngx_scc_grid_mget(ngx_scc_grid_t *job)
{
    u_char            vouch[NGX_SCC_CACHE_KEY_LEN];
    u_char            key[NGX_SCC_GRID_KEY_LEN];
    ngx_str_t         argv[3];
    ngx_scc_cache_t  *cache;

    cache = job->grids->cache;

    ngx_str_set(&argv[0], "MGET");
    argv[1].data = vouch;
    argv[1].len = ngx_scc_cache_vouch_key(cache, vouch) - vouch;
    argv[2].data = key;
    argv[2].len = ngx_scc_grid_key(job->grids, &job->tile, key) - key;

    job->call = ngx_scc_redis_command(cache->redis, 3, argv, 0,
                                      ngx_scc_grid_mget_handler, job);

    return (job->call != NULL) ? NGX_OK : NGX_ERROR;
}


static u_char *
ngx_scc_grid_key(ngx_scc_grids_t *grids, const scc_tile_t *tile, u_char *p)
{
    return ngx_sprintf(p, "scc:t:%ui:%ui:%uD:%uD",
                       grids->cache->conf->generation,
                       (ngx_uint_t) tile->z, tile->x, tile->y);
}


static void
ngx_scc_grid_mget_handler(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_grid_t *job = data;

    time_t          now, read;
    ngx_int_t       rc;

    job->call = NULL;

    if (status != NGX_SCC_REDIS_OK
        || ngx_scc_reply_type(reply) != NGX_SCC_REPLY_ARRAY
        || ngx_scc_reply_elements(reply) != 2)
    {
        job->bypass = 1;

    } else {
        job->bypass = (ngx_scc_reply_type(ngx_scc_reply_element(reply, 0))
                       != NGX_SCC_REPLY_STRING);

        if (ngx_scc_grid_copy(job, ngx_scc_reply_element(reply, 1))
            == NGX_OK
            && !job->bypass)
        {
            now = ngx_time();
            read = (time_t) job->copy->read;

            /* a copy from another host's future is not fresh for longer */

            if (read <= now + job->grids->valid
                && read > now - job->grids->valid)
            {
                job->hit = 1;
                job->handler(job, ngx_scc_grid_take(job, job->copy));
                return;
            }
        }
    }

    rc = ngx_scc_grid_read(job);

    if (rc != NGX_AGAIN) {
        job->handler(job, rc);
    }
}


static ngx_int_t
ngx_scc_grid_copy(ngx_scc_grid_t *job, ngx_scc_redis_reply_t *element)
{
    scc_str_t    s;
    ngx_str_t    bytes;
    scc_grid_t  *grid;

    if (ngx_scc_reply_type(element) != NGX_SCC_REPLY_STRING) {
        return NGX_DECLINED;
    }

    grid = ngx_palloc(job->pool, sizeof(scc_grid_t));
    if (grid == NULL) {
        return NGX_ERROR;
    }

    bytes = ngx_scc_reply_str(element);

    s.len = bytes.len;
    s.data = bytes.data;

    if (scc_grid_open(s, &job->tile, grid) != SCC_OK) {
        return NGX_DECLINED;
    }

    job->copy = grid;

    return NGX_OK;
}


static ngx_int_t
ngx_scc_grid_read(ngx_scc_grid_t *job)
{
    ngx_scc_grid_flight_t  *flight;

    flight = ngx_scc_grid_flight(job);

    if (flight == NULL) {
        return ngx_scc_grid_old(job, NGX_ERROR);
    }

    if (!job->bypass) {
        flight->keep = 1;
    }

    job->flight = flight;
    ngx_queue_insert_tail(&flight->jobs, &job->queue);

    return NGX_AGAIN;
}


/* The one that brings the job's tile, begun if there is none. */

static ngx_scc_grid_flight_t *
ngx_scc_grid_flight(ngx_scc_grid_t *job)
{
    u_char                    text[NGX_SCC_STORE_GRID_LEN];
    ngx_str_t                 values[2];
    ngx_pool_t               *pool;
    ngx_queue_t              *q, *flights;
    ngx_scc_pg_status_t       status;
    ngx_scc_grid_flight_t    *flight;
    const ngx_scc_pg_stmt_t  *stmt;

    /* no more than statements may wait for the store */

    flights = &job->grids->flights;

    for (q = ngx_queue_head(flights);
         q != ngx_queue_sentinel(flights);
         q = ngx_queue_next(q))
    {
        flight = ngx_queue_data(q, ngx_scc_grid_flight_t, queue);

        if (flight->grid.tile.z == job->tile.z
            && flight->grid.tile.x == job->tile.x
            && flight->grid.tile.y == job->tile.y)
        {
            return flight;
        }
    }

    pool = ngx_create_pool(sizeof(scc_grid_t) + 2 * NGX_SCC_GRID_SIZE,
                           job->grids->cache->log);
    if (pool == NULL) {
        return NULL;
    }

    flight = ngx_palloc(pool, sizeof(ngx_scc_grid_flight_t));
    if (flight == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    flight->grids = job->grids;
    flight->pool = pool;
    flight->grid.tile = job->tile;
    flight->keep = 0;

    ngx_queue_init(&flight->jobs);

    stmt = ngx_scc_store_grid(&job->tile, text, values);

    flight->call = ngx_scc_pg_query(job->grids->cache->pg, stmt, values,
                                    ngx_scc_grid_read_handler, flight,
                                    &status);

    if (flight->call == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    ngx_queue_insert_tail(flights, &flight->queue);

    return flight;
}


static void
ngx_scc_grid_read_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_grid_flight_t *flight = data;

    ngx_int_t         rc;
    ngx_log_t        *log;
    scc_tile_t        tile;
    ngx_queue_t      *q;
    ngx_scc_grid_t   *job;

    log = flight->grids->cache->log;
    tile = flight->grid.tile;

    /* ending a job may ask for the same tile again */

    ngx_queue_remove(&flight->queue);

    if (status == NGX_SCC_PG_OK) {
        rc = ngx_scc_store_grid_read(result, &tile, ngx_time(),
                                     &flight->grid, log);

        if (rc == NGX_OK && flight->keep) {
            ngx_scc_grid_keep(flight);
        }

    } else {
        rc = NGX_ERROR;

        if (status == NGX_SCC_PG_FAILED) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "scc: the store refused to read aggregates, "
                          "SQLSTATE %s; see the store's log",
                          ngx_scc_pg_sqlstate(result));
        }
    }

    while (!ngx_queue_empty(&flight->jobs)) {
        q = ngx_queue_head(&flight->jobs);
        job = ngx_queue_data(q, ngx_scc_grid_t, queue);

        ngx_queue_remove(q);
        job->flight = NULL;

        job->handler(job, (rc == NGX_OK)
                          ? ngx_scc_grid_take(job, &flight->grid)
                          : ngx_scc_grid_old(job, rc));
    }

    ngx_destroy_pool(flight->pool);
}


static ngx_int_t
ngx_scc_grid_take(ngx_scc_grid_t *job, const scc_grid_t *grid)
{
    job->grid = grid;
    job->stale = ((time_t) grid->as_of < ngx_time() - job->grids->late);

    return NGX_OK;
}


/* The old copy, or rc if there is none. */

static ngx_int_t
ngx_scc_grid_old(ngx_scc_grid_t *job, ngx_int_t rc)
{
    if (job->copy == NULL) {
        return rc;
    }

    job->grid = job->copy;
    job->stale = 1;

    return NGX_OK;
}


static void
ngx_scc_grid_keep(ngx_scc_grid_flight_t *flight)
{
    u_char            *p, ttl[NGX_INT64_LEN], key[NGX_SCC_GRID_KEY_LEN];
    scc_buf_t          b;
    ngx_str_t          argv[5];
    ngx_scc_cache_t   *cache;

    cache = flight->grids->cache;

    p = ngx_pnalloc(flight->pool, NGX_SCC_GRID_SIZE);
    if (p == NULL) {
        return;
    }

    scc_buf_fixed(&b, p, NGX_SCC_GRID_SIZE);
    scc_grid_write(&b, &flight->grid);

    if (b.error) {
        return;
    }

    /* kept for longer than it is fresh: for when the store is silent */

    ngx_str_set(&argv[0], "SET");
    argv[1].data = key;
    argv[1].len = ngx_scc_grid_key(flight->grids, &flight->grid.tile, key)
                  - key;
    argv[2].data = p;
    argv[2].len = b.used;
    ngx_str_set(&argv[3], "PX");
    argv[4].data = ttl;
    argv[4].len = ngx_scc_cache_ttl(cache, ttl) - ttl;

    (void) ngx_scc_redis_command(cache->redis, 5, argv, 0,
                                 ngx_scc_redis_ignore, NULL);
}
