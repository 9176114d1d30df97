
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"
#include "ngx_scc_store.h"
#include "scc_ogc.h"


static void ngx_scc_ogc_item_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_ogc_item_send(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_scc_pg_result_t *result);
static scc_str_t ngx_scc_ogc_str(ngx_str_t *s);


static ngx_str_t  ngx_scc_type_openapi =
    ngx_string("application/vnd.oai.openapi+json;version=3.0");


/*
 * Where links begin: they are absolute, as QGIS and GDAL want them, so they
 * are made from the Host that the client sent.
 */

ngx_int_t
ngx_scc_ogc_base(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    scc_buf_t  b;
    ngx_str_t  base;

    if (ngx_scc_base(r, &base) != NGX_OK) {
        return NGX_ERROR;
    }

    scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);
    scc_buf_json(&b, ngx_scc_ogc_str(&base));

    if (b.error) {
        return NGX_ERROR;
    }

    /* without its quotes */

    ctx->query.base.data = b.start + 1;
    ctx->query.base.len = b.used - 2;

    return (ctx->query.base.len <= SCC_OGC_BASE_MAX) ? NGX_OK : NGX_DECLINED;
}


/* The documents that describe; they need no backend. */

ngx_int_t
ngx_scc_ogc(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    scc_buf_t            b;
    scc_ogc_conf_t       conf;
    ngx_scc_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    conf.base = ctx->query.base;
    conf.bounds = ngx_scc_ogc_str(&slcf->bounds);
    conf.license = ngx_scc_ogc_str(&slcf->license);
    conf.attribution = ngx_scc_ogc_str(&slcf->attribution);
    conf.limit = slcf->query.limit;
    conf.limit_max = slcf->query.limit_max;

    scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);
    scc_ogc_document(&b, ctx->query.route, &conf);

    if (b.error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->life = NGX_SCC_LIFE_META;

    return ngx_scc_send(r, ctx, (ctx->query.route == SCC_ROUTE_OGC_API)
                                ? &ngx_scc_type_openapi
                                : &ngx_scc_type_json,
                        b.start, b.used);
}


/* One place as a Feature. */

ngx_int_t
ngx_scc_ogc_item(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_str_t             id;
    ngx_scc_pg_status_t   status;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    id.len = ctx->query.id.len;
    id.data = (u_char *) ctx->query.id.data;

    ctx->pg_call = ngx_scc_pg_query(smcf->pg_pool, &ngx_scc_store_feature,
                                    &id, ngx_scc_ogc_item_handler, ctx,
                                    &status);

    return (ctx->pg_call != NULL) ? NGX_AGAIN : ngx_scc_unavailable(r, ctx);
}


static void
ngx_scc_ogc_item_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_ctx_t *ctx = data;

    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;
    ctx->pg_call = NULL;

    if (status == NGX_SCC_PG_OK) {
        ctx->status = NGX_SCC_CACHE_PG;
        rc = ngx_scc_ogc_item_send(r, ctx, result);

    } else {
        rc = ngx_scc_unavailable(r, ctx);
    }

    ngx_scc_finish(ctx, rc);
}


static ngx_int_t
ngx_scc_ogc_item_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_scc_pg_result_t *result)
{
    scc_buf_t    b;
    scc_place_t  place;

    if (!ngx_scc_store_there(result, 0)) {

        if (ngx_scc_store_true(result, NGX_SCC_STORE_FEATURE_LOST)) {
            ngx_scc_doubt(r, 0);
            return ngx_scc_unavailable(r, ctx);
        }

        ctx->life = NGX_SCC_LIFE_MISSING;

        return ngx_scc_problem(r, ctx, NGX_HTTP_NOT_FOUND,
                               "there is no place with this id", NULL);
    }

    if (ngx_scc_store_place(result, 0, 0, &ctx->item, &place,
                            r->connection->log)
        != NGX_OK)
    {
        return ngx_scc_unavailable(r, ctx);
    }

    scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);
    scc_ogc_item(&b, &ctx->query, &place);

    if (b.error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->n_features = 1;

    return ngx_scc_send(r, ctx, &ngx_scc_type_geojson, b.start, b.used);
}


static scc_str_t
ngx_scc_ogc_str(ngx_str_t *s)
{
    scc_str_t  out;

    out.len = s->len;
    out.data = s->data;

    return out;
}
