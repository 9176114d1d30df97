
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


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
    ngx_scc_loc_conf_t   *slcf;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);
    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

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

    if (smcf->mvt.n == 0 && slcf->empty_tile == NGX_HTTP_NO_CONTENT) {
        return ngx_scc_send_nothing(r, ctx);
    }

    return ngx_scc_send(r, ctx, &ngx_scc_type_mvt, b.start, b.used);
}
