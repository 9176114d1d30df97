
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


/* less is copied: a buf of its own costs as much */
#define NGX_SCC_MAP_REFER  2048
#define NGX_SCC_MAP_CHUNK  16384


typedef struct {
    ngx_pool_t             *pool;
    const ngx_scc_cell_t   *known;
    ngx_chain_t            *out;
    ngx_chain_t           **last;
    ngx_buf_t              *copy;       /* the last buf, if it may grow */
    u_char                 *free;       /* of the chunk */
    u_char                 *end;
    unsigned                error:1;
} ngx_scc_map_chain_t;
#include "ngx_scc_store.h"


static void ngx_scc_map_handler(ngx_scc_cells_t *job, ngx_int_t rc);
static ngx_int_t ngx_scc_map_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_int_t rc);
static ngx_int_t ngx_scc_map_answer(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx);
static ngx_int_t ngx_scc_map_chain(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, const scc_view_t *view);
static void ngx_scc_map_part(void *data, const scc_view_part_t *part);
static ngx_buf_t *ngx_scc_map_buf(ngx_scc_map_chain_t *chain);
static ngx_int_t ngx_scc_map_validate(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx);
static void ngx_scc_map_status(ngx_scc_ctx_t *ctx);
static void ngx_scc_wide_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_wide_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_scc_pg_result_t *result);


/* A view: places in a box, a rectangle of cells, a tile. */

ngx_int_t
ngx_scc_map(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    size_t                n;
    uint32_t             *keys;
    ngx_int_t             rc;
    scc_query_t          *q;
    ngx_scc_cells_t      *job;
    ngx_scc_loc_conf_t   *slcf;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);
    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    rc = ngx_scc_answer_hot(r, ctx);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    q = &ctx->query;

    keys = ngx_palloc(r->pool, slcf->cells_max * sizeof(uint32_t));
    if (keys == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (q->route == SCC_ROUTE_PLACES) {
        n = scc_area_keys(&q->area, keys, slcf->cells_max);

        if (n == SIZE_MAX) {
            return ngx_scc_wide(r, ctx);
        }

    } else {
        n = scc_cells_keys(&q->cells, keys, slcf->cells_max);

        if (n == SIZE_MAX) {
            return ngx_scc_problem(r, ctx, NGX_HTTP_BAD_REQUEST,
                                   "more cells than scc_cells_max allows; "
                                   "ask for smaller pieces", NULL);
        }
    }

    ctx->n_cells = n;

    if (n == 0) {
        return ngx_scc_map_send(r, ctx, NGX_OK);
    }

    job = &ctx->cells;

    job->cache = smcf->cells;
    job->pool = r->pool;
    job->log = r->connection->log;
    job->keys = keys;
    job->n = n;
    job->handler = ngx_scc_map_handler;
    job->data = ctx;

    rc = ngx_scc_cells_get(job);

    return (rc == NGX_AGAIN) ? NGX_AGAIN : ngx_scc_map_send(r, ctx, rc);
}


static void
ngx_scc_map_handler(ngx_scc_cells_t *job, ngx_int_t rc)
{
    ngx_scc_ctx_t *ctx = job->data;

    ngx_scc_finish(ctx, ngx_scc_map_send(ctx->request, ctx, rc));
}


static ngx_int_t
ngx_scc_map_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx, ngx_int_t rc)
{
    if (rc != NGX_OK) {
        return ngx_scc_unavailable(r, ctx);
    }

    ngx_scc_map_status(ctx);

    rc = ngx_scc_map_answer(r, ctx);

    /* the answer holds its own bytes, however long it takes to be sent */

    ngx_scc_cells_cancel(&ctx->cells);

    return rc;
}


static ngx_int_t
ngx_scc_map_answer(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    u_char      *body;
    ngx_int_t    rc;
    scc_view_t   view;

    rc = ngx_scc_map_validate(r, ctx);

    if (rc != NGX_DECLINED) {
        ngx_scc_answer_note(r, ctx);
        return rc;
    }

    rc = ngx_scc_answer_kept(r, ctx);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ctx->query.mvt) {
        return ngx_scc_tile_send(r, ctx, &ctx->cells);
    }

    ngx_memzero(&view, sizeof(scc_view_t));

    view.q = &ctx->query;
    view.cells = ctx->cells.cells;
    view.n_cells = ctx->cells.n;

    if (scc_view_measure(&view) != SCC_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->n_features = view.returned;

    if (ctx->coding == SCC_CODING_GZIP) {
        return ngx_scc_gzip_view(r, ctx, &ngx_scc_type_geojson, &view);
    }

    body = ngx_scc_answer_copy(r, ctx, &ngx_scc_type_geojson, view.size);

    if (body != NULL) {
        (void) scc_view_write(&view, body);

        return ngx_scc_send_coded(r, ctx, &ngx_scc_type_geojson, body,
                                  view.size);
    }

    if (ctx->cells.zone != 0) {
        return ngx_scc_map_chain(r, ctx, &view);
    }

    body = ngx_pnalloc(r->pool, view.size);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) scc_view_write(&view, body);

    return ngx_scc_send_coded(r, ctx, &ngx_scc_type_geojson, body,
                              view.size);
}


/* What lies in the zone is sent from there; the rest is copied. */

static ngx_int_t
ngx_scc_map_chain(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    const scc_view_t *view)
{
    ngx_scc_map_chain_t  chain;

    if (ngx_scc_cells_hold(&ctx->cells, r->pool) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&chain, sizeof(ngx_scc_map_chain_t));

    chain.pool = r->pool;
    chain.known = ctx->cells.known;
    chain.last = &chain.out;

    scc_view_parts(view, ngx_scc_map_part, &chain);

    if (chain.error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_send_chain(r, ctx, &ngx_scc_type_geojson, chain.out,
                              view->size);
}


static void
ngx_scc_map_part(void *data, const scc_view_part_t *part)
{
    ngx_scc_map_chain_t *chain = data;

    size_t      n, len;
    u_char     *p;
    ngx_buf_t  *b;

    if (part->cell != SCC_VIEW_NO_CELL
        && chain->known[part->cell].from == NGX_SCC_FROM_ZONE
        && part->bytes.len >= NGX_SCC_MAP_REFER)
    {
        b = ngx_scc_map_buf(chain);

        if (b != NULL) {
            b->pos = (u_char *) part->bytes.data;
            b->last = b->pos + part->bytes.len;
        }

        chain->copy = NULL;
        return;
    }

    p = (u_char *) part->bytes.data;

    for (len = part->bytes.len; len != 0; len -= n) {

        if (chain->free == chain->end) {
            chain->free = ngx_pnalloc(chain->pool, NGX_SCC_MAP_CHUNK);
            if (chain->free == NULL) {
                chain->end = NULL;
                chain->error = 1;
                return;
            }

            chain->end = chain->free + NGX_SCC_MAP_CHUNK;
            chain->copy = NULL;
        }

        if (chain->copy == NULL) {
            b = ngx_scc_map_buf(chain);
            if (b == NULL) {
                return;
            }

            b->pos = chain->free;
            b->last = chain->free;
            chain->copy = b;
        }

        n = ngx_min(len, (size_t) (chain->end - chain->free));

        chain->free = ngx_cpymem(chain->free, p, n);
        chain->copy->last = chain->free;
        p += n;
    }
}


static ngx_buf_t *
ngx_scc_map_buf(ngx_scc_map_chain_t *chain)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(chain->pool);
    b = ngx_calloc_buf(chain->pool);

    if (cl == NULL || b == NULL) {
        chain->error = 1;
        return NULL;
    }

    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;

    *chain->last = cl;
    chain->last = &cl->next;

    return b;
}


/* Versions are enough to know whether the client has the answer already. */

static ngx_int_t
ngx_scc_map_validate(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    size_t            size;
    uint64_t          hash;
    ngx_uint_t        i;
    ngx_scc_cells_t  *job;

    job = &ctx->cells;
    size = 0;

    for (i = 0; i < job->n; i++) {
        size += job->cells[i].blob.frags.len;
    }

    hash = scc_etag_cells(scc_etag_query(&ctx->query), job->cells, job->n);

    return ngx_scc_validate(r, ctx, SCC_ETAG_CELLS, hash, size);
}


static void
ngx_scc_map_status(ngx_scc_ctx_t *ctx)
{
    ngx_scc_cells_t  *job;

    job = &ctx->cells;

    ctx->young = (job->young != 0);

    if (job->stale) {
        ctx->status = NGX_SCC_CACHE_STALE;

    } else if (job->filled == 0) {
        ctx->status = (job->n != 0) ? NGX_SCC_CACHE_HIT : NGX_SCC_CACHE_NONE;
        ctx->zone = (job->zone == job->n);

    } else if (job->bypass || job->unvouched) {
        ctx->status = NGX_SCC_CACHE_PG;

    } else {
        ctx->status = NGX_SCC_CACHE_MISS;
        ctx->partial = (job->hits != 0);
    }
}


/* A box of more cells than fit a view: one page by one statement. */

ngx_int_t
ngx_scc_wide(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_str_t             values[NGX_SCC_STORE_WIDE_PARAMS];
    ngx_scc_pg_status_t   status;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    if (ngx_scc_store_wide_params(r->pool, &ctx->query, values) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->pg_call = ngx_scc_pg_query(smcf->pg_pool, &ngx_scc_store_wide,
                                    values, ngx_scc_wide_handler, ctx,
                                    &status);

    return (ctx->pg_call != NULL) ? NGX_AGAIN : ngx_scc_unavailable(r, ctx);
}


static void
ngx_scc_wide_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_ctx_t *ctx = data;

    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;
    ctx->pg_call = NULL;

    if (status == NGX_SCC_PG_OK) {
        ctx->status = NGX_SCC_CACHE_WIDE;
        rc = ngx_scc_wide_send(r, ctx, result);

    } else {
        if (status == NGX_SCC_PG_FAILED) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "scc: the store refused to read a box, SQLSTATE "
                          "%s; see the store's log",
                          ngx_scc_pg_sqlstate(result));
        }

        rc = ngx_scc_unavailable(r, ctx);
    }

    ngx_scc_finish(ctx, rc);
}


static ngx_int_t
ngx_scc_wide_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_scc_pg_result_t *result)
{
    uint32_t       cell;
    uint64_t       matched;
    scc_buf_t      b;
    scc_query_t   *q;
    ngx_uint_t     i, n, rows;
    scc_place_t    place;
    scc_cursor_t   next;

    q = &ctx->query;
    rows = ngx_scc_pg_rows(result);

    if (ngx_scc_store_number(result, 0, 0, &matched) != NGX_OK) {
        matched = UINT64_MAX;
    }

    /* the one row of an empty page has no place */

    if (rows == 1
        && ngx_scc_store_place(result, 0, 1, &cell, &place,
                               r->connection->log)
           == NGX_DECLINED)
    {
        rows = 0;
    }

    /* fewer than the cells count; a filter leaves matched unknown */

    if (!q->cursor.set && matched != UINT64_MAX
        && rows < ngx_min(matched, (uint64_t) q->limit + 1))
    {
        ngx_scc_doubt(r, 0);
        return ngx_scc_unavailable(r, ctx);
    }

    n = ngx_min(rows, q->limit);

    ngx_memzero(&next, sizeof(scc_cursor_t));

    if (rows > n) {
        if (ngx_scc_store_place(result, n - 1, 1, &next.cell, &place,
                                r->connection->log)
            != NGX_OK)
        {
            return ngx_scc_unavailable(r, ctx);
        }

        next.set = 1;
        next.id = place.id;
    }

    scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);

    scc_view_head(&b, q, matched, n, next.set ? &next : NULL);

    for (i = 0; i < n; i++) {
        if (ngx_scc_store_place(result, i, 1, &cell, &place,
                                r->connection->log)
            != NGX_OK)
        {
            return ngx_scc_unavailable(r, ctx);
        }

        if (i != 0) {
            scc_buf_byte(&b, ',');
        }

        scc_place_feature(&b, &place);
    }

    scc_view_tail(&b);

    if (b.error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->n_features = n;

    return ngx_scc_send(r, ctx, &ngx_scc_type_geojson, b.start, b.used);
}
