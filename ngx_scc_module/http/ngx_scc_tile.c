
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


static void ngx_scc_tile_handler(ngx_scc_grid_t *job, ngx_int_t rc);
static ngx_int_t ngx_scc_tile_grid_send(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_scc_tile_output(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, scc_buf_t *b);


/* A tile: of places, as any view; or, below, of aggregates. */

ngx_int_t
ngx_scc_tile(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_scc_grid_t       *job;
    ngx_scc_main_conf_t  *smcf;

    if (ctx->query.z >= SCC_TILE_PLACES_Z) {
        return ngx_scc_map(r, ctx);
    }

    rc = ngx_scc_answer_hot(r, ctx);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    if (smcf->cells->zone != NULL) {
        ctx->epoch = ngx_scc_zone_epoch(smcf->cells->zone);
    }

    job = &ctx->grid;

    job->grids = smcf->grids;
    job->pool = r->pool;
    job->log = r->connection->log;
    job->tile.z = ctx->query.z;
    job->tile.x = ctx->query.x;
    job->tile.y = ctx->query.y;
    job->handler = ngx_scc_tile_handler;
    job->data = ctx;

    rc = ngx_scc_grid_get(job);

    return (rc == NGX_AGAIN) ? NGX_AGAIN : ngx_scc_tile_grid_send(r, ctx, rc);
}


/*
 * Cells -> bytes.  The writer belongs to the process and is done before
 * anything else happens; the answer holds its own bytes.
 */

ngx_int_t
ngx_scc_tile_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_scc_cells_t *job)
{
    scc_rc_t              rc;
    scc_buf_t             b;
    scc_tile_t            tile;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    tile.z = ctx->query.z;
    tile.x = ctx->query.x;
    tile.y = ctx->query.y;

    scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);

    rc = scc_tile_places(&smcf->mvt, &tile, job->cells, job->n, &b);

    ngx_scc_cells_cancel(job);

    if (rc == SCC_DECLINED) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "scc: a cell of tile %ui/%uD/%uD holds features of "
                      "another version of this module; raise "
                      "\"scc_cache_generation\" on all hosts",
                      (ngx_uint_t) tile.z, tile.x, tile.y);

        return ngx_scc_unavailable(r, ctx);
    }

    if (rc != SCC_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->n_features = smcf->mvt.n;
    ctx->dear = 1;

    return ngx_scc_tile_output(r, ctx, &b);
}


static void
ngx_scc_tile_handler(ngx_scc_grid_t *job, ngx_int_t rc)
{
    ngx_scc_ctx_t *ctx = job->data;

    ngx_scc_finish(ctx, ngx_scc_tile_grid_send(ctx->request, ctx, rc));
}


static ngx_int_t
ngx_scc_tile_grid_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_int_t rc)
{
    scc_buf_t             b;
    ngx_scc_grid_t       *job;
    ngx_scc_main_conf_t  *smcf;

    job = &ctx->grid;

    if (rc == NGX_DECLINED) {
        ctx->status = NGX_SCC_CACHE_ERROR;

        return ngx_scc_problem_later(r, ctx,
                                     "the store has not rolled up its "
                                     "aggregates yet; the helper does so "
                                     "soon, see nginx's log if it does not");
    }

    if (rc != NGX_OK) {
        return ngx_scc_unavailable(r, ctx);
    }

    ctx->n_features = job->grid->n;
    ctx->status = job->stale ? NGX_SCC_CACHE_STALE
                  : job->hit ? NGX_SCC_CACHE_HIT
                  : job->bypass ? NGX_SCC_CACHE_PG : NGX_SCC_CACHE_MISS;

    ctx->as_of = (time_t) job->grid->as_of;
    ctx->dear = 1;

    if (!job->stale && !job->bypass) {
        ctx->until = (time_t) job->grid->read + job->grids->valid;
    }

    scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);

    if (ctx->query.mvt) {
        smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

        if (scc_grid_mvt(&smcf->mvt, job->grid, &b) != SCC_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_scc_tile_output(r, ctx, &b);
    }

    scc_grid_json(&b, job->grid);

    if (b.error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_send(r, ctx, &ngx_scc_type_geojson, b.start, b.used);
}


static ngx_int_t
ngx_scc_tile_output(ngx_http_request_t *r, ngx_scc_ctx_t *ctx, scc_buf_t *b)
{
    ngx_scc_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    if (ctx->n_features == 0 && slcf->empty_tile == NGX_HTTP_NO_CONTENT) {
        return ngx_scc_send_nothing(r, ctx);
    }

    return ngx_scc_send(r, ctx, &ngx_scc_type_mvt, b->start, b->used);
}
