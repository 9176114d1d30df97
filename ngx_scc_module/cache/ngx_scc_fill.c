
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_scc_fill.h"
#include "ngx_scc_store.h"


#define NGX_SCC_POLL_STEP  5                /* ms */


static ngx_uint_t ngx_scc_fill_lacks(ngx_scc_cells_t *job, ngx_uint_t i);
static ngx_scc_fill_t *ngx_scc_fill_create(ngx_scc_cache_t *cache,
    ngx_uint_t n);
static void ngx_scc_flight_init(ngx_scc_flight_t *flight,
    ngx_scc_fill_t *fill, uint32_t key);
static void ngx_scc_fill_start(ngx_scc_fill_t *fill);
static ngx_int_t *ngx_scc_fill_claim(ngx_scc_fill_t *fill);
static void ngx_scc_fill_lease_handler(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static void ngx_scc_fill_read(ngx_scc_fill_t *fill);
static void ngx_scc_fill_read_handler(void *data,
    ngx_scc_pg_status_t status, ngx_scc_pg_result_t *result);
static void ngx_scc_fill_read_failed(ngx_scc_fill_t *fill);
static ngx_int_t ngx_scc_fill_cell(ngx_scc_fill_t *fill,
    ngx_scc_flight_t *flight, ngx_scc_pg_result_t *result, ngx_uint_t *row);
static ngx_scc_flight_t *ngx_scc_flight_find(ngx_scc_cache_t *cache,
    uint32_t key);
static void *ngx_scc_fill_grow(void *ctx, void *old, size_t used,
    size_t size);


void
ngx_scc_fill_cells(ngx_scc_cells_t *job)
{
    ngx_uint_t         i, n;
    ngx_scc_fill_t    *fill;
    ngx_scc_wait_t    *wait;
    ngx_scc_flight_t  *flight;

    n = 0;

    for (i = 0; i < job->n; i++) {
        if (job->have[i]) {
            continue;
        }

        wait = &job->waits[i];
        wait->job = job;
        wait->i = i;

        flight = ngx_scc_flight_find(job->cache, job->keys[i]);

        if (flight == NULL) {
            n++;
            continue;
        }

        ngx_queue_insert_tail(&flight->waits, &wait->queue);
        wait->waiting = 1;
        job->waiting++;
    }

    if (n == 0) {
        return;
    }

    /* while the store is known to be down, no lease is taken for nothing */

    fill = ngx_scc_pg_ready(job->cache->pg)
           ? ngx_scc_fill_create(job->cache, n) : NULL;

    if (fill == NULL) {
        job->failed += n;
        return;
    }

    flight = fill->flights;

    for (i = 0; i < job->n; i++) {
        wait = &job->waits[i];

        if (job->have[i] || wait->waiting) {
            continue;
        }

        ngx_scc_flight_init(flight, fill, job->keys[i]);

        /* what nobody vouches for is read around; and nothing is kept, for
           it may be another store that answers */

        flight->around = (job->bypass || job->unvouched);

        ngx_queue_insert_tail(&flight->waits, &wait->queue);
        wait->waiting = 1;
        job->waiting++;

        flight++;
    }

    ngx_scc_fill_start(fill);
}


void
ngx_scc_fill_behind(ngx_scc_cells_t *job)
{
    ngx_uint_t         i, n;
    ngx_scc_fill_t    *fill;
    ngx_scc_flight_t  *flight;

    n = 0;

    for (i = 0; i < job->n; i++) {
        n += ngx_scc_fill_lacks(job, i);
    }

    if (n == 0 || !ngx_scc_pg_ready(job->cache->pg)) {
        return;
    }

    fill = ngx_scc_fill_create(job->cache, n);
    if (fill == NULL) {
        return;
    }

    flight = fill->flights;

    for (i = 0; i < job->n; i++) {

        if (ngx_scc_fill_lacks(job, i)) {
            ngx_scc_flight_init(flight, fill, job->keys[i]);
            flight->around = (job->cache->redis == NULL);
            flight++;
        }
    }

    ngx_scc_fill_start(fill);
}


void
ngx_scc_fill_leave(ngx_scc_wait_t *wait)
{
    ngx_queue_remove(&wait->queue);
    wait->waiting = 0;
}


void
ngx_scc_fill_unpin(ngx_scc_fill_t *fill)
{
    if (--fill->refs == 0) {
        ngx_destroy_pool(fill->pool);
    }
}


/* An old copy is shown, and nobody of this host is bringing a newer one. */

static ngx_uint_t
ngx_scc_fill_lacks(ngx_scc_cells_t *job, ngx_uint_t i)
{
    return job->have[i] && !job->items[i].fresh && !job->items[i].claimed
           && ngx_scc_flight_find(job->cache, job->keys[i]) == NULL;
}


static ngx_scc_fill_t *
ngx_scc_fill_create(ngx_scc_cache_t *cache, ngx_uint_t n)
{
    ngx_pool_t      *pool;
    ngx_scc_fill_t  *fill;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, cache->log);
    if (pool == NULL) {
        return NULL;
    }

    fill = ngx_pcalloc(pool, sizeof(ngx_scc_fill_t));
    if (fill == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    fill->flights = ngx_pcalloc(pool, n * sizeof(ngx_scc_flight_t));
    if (fill->flights == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    fill->cache = cache;
    fill->pool = pool;
    fill->refs = 1;
    fill->n = n;
    fill->left = n;

    fill->dumb.fd = (ngx_socket_t) -1;
    fill->poll.data = &fill->dumb;
    fill->poll.log = cache->log;
    fill->poll.handler = ngx_scc_fill_poll;

    return fill;
}


static void
ngx_scc_flight_init(ngx_scc_flight_t *flight, ngx_scc_fill_t *fill,
    uint32_t key)
{
    flight->node.key = key;
    flight->fill = fill;

    ngx_queue_init(&flight->waits);
    ngx_rbtree_insert(&fill->cache->flights, &flight->node);
}


/*
 * Nothing here calls a waiting job at once: what fails at once is found by
 * the timer, in a turn of the event loop of its own.
 */

static void
ngx_scc_fill_start(ngx_scc_fill_t *fill)
{
    ngx_int_t         *rcs;
    ngx_uint_t         i;
    ngx_scc_cache_t   *cache;
    ngx_scc_flight_t  *flight;

    cache = fill->cache;

    fill->wait_end = ngx_current_msec + cache->conf->lease_time;

    rcs = ngx_scc_fill_claim(fill);

    for (i = 0; i < fill->n; i++) {
        flight = &fill->flights[i];

        if (rcs != NULL) {
            flight->claimed = (rcs[i] == NGX_OK);

            if (rcs[i] == NGX_BUSY) {
                flight->state = NGX_SCC_FLIGHT_WAIT;
                continue;
            }
        }

        ngx_scc_flight_start(flight);
    }

    if (fill->leases == 0) {
        ngx_add_timer(&fill->poll, 0);
    }
}


static ngx_int_t *
ngx_scc_fill_claim(ngx_scc_fill_t *fill)
{
    uint32_t    *keys;
    ngx_int_t   *rcs;
    ngx_uint_t   i;

    if (fill->cache->zone == NULL) {
        return NULL;
    }

    keys = ngx_palloc(fill->pool, fill->n * sizeof(uint32_t));
    rcs = ngx_palloc(fill->pool, fill->n * sizeof(ngx_int_t));

    if (keys == NULL || rcs == NULL) {
        return NULL;
    }

    for (i = 0; i < fill->n; i++) {
        keys[i] = (uint32_t) fill->flights[i].node.key;
    }

    ngx_scc_zone_claim(fill->cache->zone, keys, fill->n,
                       fill->cache->conf->lease_time, rcs);

    return rcs;
}


void
ngx_scc_flight_start(ngx_scc_flight_t *flight)
{
    ngx_scc_fill_t   *fill;
    ngx_scc_cache_t  *cache;

    fill = flight->fill;
    cache = fill->cache;

    if (!flight->around) {
        flight->token = cache->token++;

        if (ngx_scc_lease_acquire(cache, (uint32_t) flight->node.key,
                                  flight->token, ngx_scc_fill_lease_handler,
                                  flight))
        {
            flight->state = NGX_SCC_FLIGHT_LEASE;
            fill->leases++;
            return;
        }

        flight->token = 0;
    }

    flight->state = NGX_SCC_FLIGHT_READ;
}


static void
ngx_scc_fill_lease_handler(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_flight_t *flight = data;

    ngx_scc_fill_t   *fill;

    fill = flight->fill;

    if (status == NGX_SCC_REDIS_OK
        && ngx_scc_reply_type(reply) == NGX_SCC_REPLY_INTEGER)
    {
        switch (ngx_scc_reply_integer(reply)) {

        case NGX_SCC_LEASE_GRANTED:
            flight->state = NGX_SCC_FLIGHT_READ;
            break;

        default:            /* BUSY, FILLED */
            flight->state = NGX_SCC_FLIGHT_POLL;
            flight->token = 0;
        }

    } else {
        flight->state = NGX_SCC_FLIGHT_READ;
        flight->token = 0;
    }

    if (--fill->leases == 0) {
        fill->poll_end = ngx_current_msec + fill->cache->conf->lease_wait;
        ngx_scc_fill_go_on(fill);
    }
}


/* May free the fill. */

void
ngx_scc_fill_go_on(ngx_scc_fill_t *fill)
{
    if (!fill->reading && ngx_scc_fill_count(fill, NGX_SCC_FLIGHT_READ)) {
        ngx_scc_fill_read(fill);
    }

    if (fill->left == 0) {
        ngx_scc_fill_unpin(fill);
        return;
    }

    if (!fill->polling && !fill->poll.timer_set
        && (ngx_scc_fill_count(fill, NGX_SCC_FLIGHT_POLL)
            || ngx_scc_fill_count(fill, NGX_SCC_FLIGHT_WAIT)))
    {
        ngx_add_timer(&fill->poll, NGX_SCC_POLL_STEP);
    }
}


static void
ngx_scc_fill_read(ngx_scc_fill_t *fill)
{
    uint32_t             *keys;
    ngx_str_t             cells;
    ngx_uint_t            i, n;
    ngx_scc_flight_t     *flight;
    ngx_scc_pg_status_t   status;

    n = ngx_scc_fill_count(fill, NGX_SCC_FLIGHT_READ);

    keys = ngx_palloc(fill->pool, n * sizeof(uint32_t));
    cells.data = ngx_pnalloc(fill->pool, n * NGX_SCC_STORE_CELL_LEN + 2);

    n = 0;

    for (i = 0; i < fill->n; i++) {
        if (fill->flights[i].state == NGX_SCC_FLIGHT_READ) {
            flight = &fill->flights[i];
            flight->state = NGX_SCC_FLIGHT_READING;

            if (fill->cache->zone != NULL) {
                ngx_scc_zone_note(fill->cache->zone,
                                  (uint32_t) flight->node.key,
                                  &flight->note, &flight->gen);
            }

            if (keys != NULL) {
                keys[n++] = (uint32_t) flight->node.key;
            }
        }
    }

    if (keys != NULL && cells.data != NULL) {
        cells.len = ngx_scc_store_cells(cells.data, keys, n) - cells.data;

        if (ngx_scc_pg_query(fill->cache->pg, &ngx_scc_store_fill, &cells,
                             ngx_scc_fill_read_handler, fill, &status)
            != NULL)
        {
            fill->reading = 1;
            return;
        }
    }

    ngx_scc_fill_read_failed(fill);
}


/*
 * A store of which one cell is short has lost more than that: nothing of its
 * answer is kept, so all of it is looked at first.
 */

static void
ngx_scc_fill_read_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_fill_t *fill = data;

    ngx_uint_t          i, row;
    ngx_scc_flight_t   *flight;

    fill->reading = 0;

    if (status == NGX_SCC_PG_FAILED) {
        ngx_log_error(NGX_LOG_ERR, fill->cache->log, 0,
                      "scc: the store refused to read cells, SQLSTATE %s; "
                      "see the store's log", ngx_scc_pg_sqlstate(result));
    }

    if (status != NGX_SCC_PG_OK) {
        ngx_scc_fill_read_failed(fill);
        ngx_scc_fill_go_on(fill);
        return;
    }

    row = 0;

    for (i = 0; i < fill->n; i++) {
        flight = &fill->flights[i];

        if (flight->state != NGX_SCC_FLIGHT_READING) {
            continue;
        }

        if (ngx_scc_fill_cell(fill, flight, result, &row) != NGX_OK) {
            ngx_scc_fill_read_failed(fill);
            ngx_scc_fill_go_on(fill);
            return;
        }
    }

    for (i = 0; i < fill->n; i++) {
        flight = &fill->flights[i];

        if (flight->state != NGX_SCC_FLIGHT_READING) {
            continue;
        }

        if (flight->token) {
            ngx_scc_lease_fill(fill->cache, (uint32_t) flight->node.key,
                               flight->token, flight->bytes);
        }

        if (fill->cache->zone != NULL) {
            ngx_scc_zone_put(fill->cache->zone, (uint32_t) flight->node.key,
                             &flight->note, flight->gen, 0, flight->bytes,
                             &flight->blob);
        }

        ngx_scc_flight_done(flight, &flight->blob, NULL, NGX_SCC_FROM_STORE);
    }

    ngx_scc_fill_go_on(fill);
}


static void
ngx_scc_fill_read_failed(ngx_scc_fill_t *fill)
{
    ngx_uint_t         i;
    ngx_scc_flight_t  *flight;

    for (i = 0; i < fill->n; i++) {
        flight = &fill->flights[i];

        if (flight->state != NGX_SCC_FLIGHT_READING) {
            continue;
        }

        if (flight->token) {
            ngx_scc_lease_release(fill->cache, (uint32_t) flight->node.key,
                                  flight->token);
        }

        ngx_scc_flight_done(flight, NULL, NULL, NGX_SCC_FROM_NONE);
    }
}


/* The rows of one cell, the result's next, as a blob on the fill's pool. */

static ngx_int_t
ngx_scc_fill_cell(ngx_scc_fill_t *fill, ngx_scc_flight_t *flight,
    ngx_scc_pg_result_t *result, ngx_uint_t *row)
{
    uint32_t              cell;
    uint64_t              key, ver;
    ngx_int_t             rc;
    scc_buf_t             out;
    ngx_uint_t            rows, n, registered;
    scc_place_t           place;
    scc_blob_builder_t   *bb;

    bb = &fill->cache->builder;
    rows = ngx_scc_pg_rows(result);
    ver = 0;

    scc_blob_begin(bb);

    if (*row == rows
        || ngx_scc_store_number(result, *row, 0, &key) != NGX_OK
        || key != flight->node.key
        || ngx_scc_store_number(result, *row, 1, &ver) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, fill->cache->log, 0,
                      "scc: the store's answer lacks cell %ui",
                      (ngx_uint_t) flight->node.key);
        return NGX_ERROR;
    }

    n = 0;
    registered = 0;

    for ( /* void */ ; *row < rows; (*row)++) {

        if (ngx_scc_store_number(result, *row, 0, &key) != NGX_OK
            || key != flight->node.key)
        {
            break;
        }

        rc = ngx_scc_store_place(result, *row, 2, &cell, &place,
                                 fill->cache->log);

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (rc != NGX_OK || scc_blob_add(bb, &place) != SCC_OK) {
            return NGX_ERROR;
        }

        n++;
        registered += place.registered;
    }

    if (fill->cache->guard != NULL
        && ngx_scc_store_short(result, *row - 1, n, registered,
                               fill->cache->log))
    {
        ngx_scc_guard_doubt(fill->cache->guard, flight->node.key);
        return NGX_ERROR;
    }

    scc_buf_init(&out, ngx_scc_fill_grow, fill->pool, SCC_BLOB_MAX);

    if (scc_blob_finish(bb, ver, &out) != SCC_OK) {
        return NGX_ERROR;
    }

    flight->bytes = scc_buf_get(&out);

    return (scc_blob_open(flight->bytes, &flight->blob) == SCC_OK)
           ? NGX_OK : NGX_ERROR;
}


static ngx_scc_flight_t *
ngx_scc_flight_find(ngx_scc_cache_t *cache, uint32_t key)
{
    ngx_rbtree_node_t  *node;

    node = cache->flights.root;

    while (node != &cache->sentinel) {

        if (key == node->key) {
            return (ngx_scc_flight_t *) node;
        }

        node = (key < node->key) ? node->left : node->right;
    }

    return NULL;
}


/*
 * Each waiting job is called.  A job that ends may run other requests that
 * want the same cell: so the flight is gone before the first is called.
 */

void
ngx_scc_flight_done(ngx_scc_flight_t *flight, const scc_blob_t *blob,
    ngx_scc_zone_entry_t *entry, ngx_scc_from_t from)
{
    ngx_queue_t     *q;
    ngx_scc_fill_t  *fill;
    ngx_scc_wait_t  *wait;

    fill = flight->fill;

    if (flight->claimed) {
        ngx_scc_zone_release(fill->cache->zone, (uint32_t) flight->node.key);
    }

    ngx_rbtree_delete(&fill->cache->flights, &flight->node);

    flight->state = NGX_SCC_FLIGHT_DONE;
    fill->left--;


    while (!ngx_queue_empty(&flight->waits)) {
        q = ngx_queue_head(&flight->waits);
        wait = ngx_queue_data(q, ngx_scc_wait_t, queue);

        ngx_scc_fill_leave(wait);

        if (blob != NULL) {
            wait->fill = fill;
            fill->refs++;
        }

        ngx_scc_cells_deliver(wait, blob, entry, from);
    }
}


ngx_uint_t
ngx_scc_fill_count(ngx_scc_fill_t *fill, ngx_scc_flight_state_t state)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < fill->n; i++) {
        n += (fill->flights[i].state == state);
    }

    return n;
}


static void *
ngx_scc_fill_grow(void *ctx, void *old, size_t used, size_t size)
{
    void  *p;

    p = ngx_palloc(ctx, size);

    if (p != NULL && used != 0) {
        ngx_memcpy(p, old, used);
    }

    return p;
}
