
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"
#include "ngx_scc_store.h"


/*
 * The nearest places: rings of cells, a batch at a time, until no farther
 * ring can matter; from each batch only the nearest places are kept.  Where
 * that takes more than scc_cells_max cells, few of them can hold much that
 * passes, and one statement is cheaper.  When the store is silent the search
 * goes on in the cells, as far as copies carry it.
 *
 * The position is personal data: it stands in no key and in no message of
 * ours.  So nothing here logs with the connection's log, to whose lines nginx
 * adds the request.
 */

#define NGX_SCC_NEARBY_BATCH    64
#define NGX_SCC_NEARBY_BEYOND   4096    /* cells, when the store is silent */


typedef struct ngx_scc_nearby_s  ngx_scc_nearby_t;

struct ngx_scc_nearby_s {
    scc_nearby_t   search;
    ngx_uint_t     n;                   /* keys of the next batch */
    ngx_uint_t     stale;
    ngx_uint_t     filled;
    ngx_uint_t     hits;
    ngx_uint_t     zone;
    unsigned       bypass:1;
    unsigned       silent:1;            /* the store, when it was asked */
    uint32_t       keys[NGX_SCC_NEARBY_BATCH];
};


static ngx_int_t ngx_scc_nearby_search(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx);
static void ngx_scc_nearby_handler(ngx_scc_cells_t *job, ngx_int_t rc);
static ngx_int_t ngx_scc_nearby_take(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx);
static ngx_int_t ngx_scc_nearby_store(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx);
static void ngx_scc_nearby_store_handler(void *data,
    ngx_scc_pg_status_t status, ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_nearby_rows(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_nearby_send(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx);


ngx_int_t
ngx_scc_nearby(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_scc_nearby_t  *nb;

    nb = ngx_pcalloc(r->pool, sizeof(ngx_scc_nearby_t));
    if (nb == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->nearby = nb;

    scc_nearby_init(&nb->search, &ctx->query);

    return ngx_scc_nearby_search(r, ctx);
}


/* Of all cells that could hold a nearer place: they say no more of the
   position than what is answered does. */

u_char *
ngx_scc_nearby_keys(ngx_scc_ctx_t *ctx, u_char *p)
{
    scc_nearby_t  *search;

    search = &ctx->nearby->search;

    return scc_keys_area(p, search->cover, search->n_cover);
}


static ngx_int_t
ngx_scc_nearby_search(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_uint_t            max;
    ngx_scc_cells_t      *job;
    ngx_scc_nearby_t     *nb;
    ngx_scc_loc_conf_t   *slcf;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);
    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    nb = ctx->nearby;
    job = &ctx->cells;

    for ( ;; ) {

        if (nb->n == 0) {
            nb->n = scc_nearby_next(&nb->search, nb->keys,
                                    NGX_SCC_NEARBY_BATCH);
        }

        if (nb->n == 0) {
            return ngx_scc_nearby_send(r, ctx);
        }

        max = nb->silent ? NGX_SCC_NEARBY_BEYOND : slcf->cells_max;

        if (ctx->n_cells + nb->n > max) {
            return nb->silent ? ngx_scc_unavailable(r, ctx)
                              : ngx_scc_nearby_store(r, ctx);
        }

        ngx_memzero(job, sizeof(ngx_scc_cells_t));

        job->cache = smcf->cells;
        job->pool = r->pool;
        job->log = ngx_cycle->log;
        job->keys = nb->keys;
        job->n = nb->n;
        job->handler = ngx_scc_nearby_handler;
        job->data = ctx;

        rc = ngx_scc_cells_get(job);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc != NGX_OK) {
            return ngx_scc_unavailable(r, ctx);
        }

        if (ngx_scc_nearby_take(r, ctx) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }
}


static void
ngx_scc_nearby_handler(ngx_scc_cells_t *job, ngx_int_t rc)
{
    ngx_scc_ctx_t *ctx = job->data;

    ngx_http_request_t  *r;

    r = ctx->request;

    if (rc != NGX_OK) {
        rc = ngx_scc_unavailable(r, ctx);

    } else if (ngx_scc_nearby_take(r, ctx) != NGX_OK) {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    } else {
        rc = ngx_scc_nearby_search(r, ctx);
    }

    if (rc != NGX_AGAIN) {
        ngx_scc_finish(ctx, rc);
    }
}


/* What matters of a batch is kept, and its cells are given back. */

static ngx_int_t
ngx_scc_nearby_take(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_uint_t         i;
    ngx_scc_cells_t   *job;
    ngx_scc_nearby_t  *nb;

    nb = ctx->nearby;
    job = &ctx->cells;

    for (i = 0; i < job->n; i++) {
        scc_nearby_cell(&nb->search, &job->cells[i].blob);
    }

    if (scc_nearby_keep(&nb->search, ngx_scc_pool_grow, r->pool) != SCC_OK) {
        return NGX_ERROR;
    }

    ctx->n_cells += job->n;

    nb->n = 0;
    nb->hits += job->hits;
    nb->zone += job->zone;
    nb->filled += job->filled;
    nb->stale += job->stale;

    if (job->young) {
        ctx->young = 1;
    }

    if (job->bypass || job->unvouched) {
        nb->bypass = 1;
    }

    ngx_scc_cells_cancel(job);

    return NGX_OK;
}


static ngx_int_t
ngx_scc_nearby_store(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_str_t             values[NGX_SCC_STORE_NEARBY_PARAMS];
    ngx_scc_pg_status_t   status;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    if (ngx_scc_store_nearby_params(r->pool, &ctx->nearby->search, values)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->pg_call = ngx_scc_pg_query(smcf->pg_pool, &ngx_scc_store_nearby,
                                    values, ngx_scc_nearby_store_handler,
                                    ctx, &status);

    if (ctx->pg_call != NULL) {
        return NGX_AGAIN;
    }

    ctx->nearby->silent = 1;

    return ngx_scc_nearby_search(r, ctx);
}


static void
ngx_scc_nearby_store_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_ctx_t *ctx = data;

    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;
    ctx->pg_call = NULL;

    if (status == NGX_SCC_PG_OK) {
        ctx->status = NGX_SCC_CACHE_WIDE;
        rc = ngx_scc_nearby_rows(r, ctx, result);

    } else {
        if (status == NGX_SCC_PG_FAILED) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "scc: the store refused to find the nearest "
                          "places, SQLSTATE %s; see the store's log",
                          ngx_scc_pg_sqlstate(result));
        }

        ctx->nearby->silent = 1;
        rc = ngx_scc_nearby_search(r, ctx);
    }

    if (rc != NGX_AGAIN) {
        ngx_scc_finish(ctx, rc);
    }
}


/* The store's word, of one moment, replaces what the cells have said. */

static ngx_int_t
ngx_scc_nearby_rows(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_scc_pg_result_t *result)
{
    uint32_t       cell;
    scc_buf_t      b;
    ngx_uint_t     i, rows;
    scc_place_t    place;
    scc_nearby_t  *search;

    search = &ctx->nearby->search;

    scc_nearby_init(search, &ctx->query);

    rows = ngx_scc_store_there(result, 0) ? ngx_scc_pg_rows(result) : 0;

    for (i = 0; i < rows; i++) {
        if (ngx_scc_store_place(result, i, 0, &cell, &place, ngx_cycle->log)
            != NGX_OK)
        {
            return ngx_scc_unavailable(r, ctx);
        }

        scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);
        scc_place_feature(&b, &place);

        if (b.error) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        scc_nearby_place(search, place.lon, place.lat, place.id,
                         scc_buf_get(&b));
    }

    return ngx_scc_nearby_send(r, ctx);
}


static ngx_int_t
ngx_scc_nearby_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    scc_buf_t          b;
    ngx_scc_nearby_t  *nb;

    nb = ctx->nearby;

    if (ctx->status == NGX_SCC_CACHE_WIDE) {
        /* void */

    } else if (nb->stale) {
        ctx->status = NGX_SCC_CACHE_STALE;

    } else if (nb->filled == 0) {
        ctx->status = NGX_SCC_CACHE_HIT;
        ctx->zone = (nb->zone == ctx->n_cells);

    } else if (nb->bypass) {
        ctx->status = NGX_SCC_CACHE_PG;

    } else {
        ctx->status = NGX_SCC_CACHE_MISS;
        ctx->partial = (nb->hits != 0);
    }

    ctx->n_features = nb->search.n;

    scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);
    scc_nearby_write(&nb->search, &b);

    if (b.error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_send(r, ctx, &ngx_scc_type_geojson, b.start, b.used);
}
