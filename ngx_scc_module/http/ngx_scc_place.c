
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


static void ngx_scc_place_handler(ngx_scc_page_t *job, ngx_int_t rc);
static ngx_int_t ngx_scc_place_send(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_int_t rc);


ngx_int_t
ngx_scc_place(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_int_t             rc;
    ngx_scc_page_t       *job;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    job = &ctx->page;

    job->cache = smcf->cells;
    job->pool = r->pool;
    job->log = r->connection->log;
    job->id = ctx->query.id;
    job->rev_min = ctx->query.rev;
    job->handler = ngx_scc_place_handler;
    job->data = ctx;

    rc = ngx_scc_page_get(job);

    return (rc == NGX_AGAIN) ? NGX_AGAIN : ngx_scc_place_send(r, ctx, rc);
}


static void
ngx_scc_place_handler(ngx_scc_page_t *job, ngx_int_t rc)
{
    ngx_scc_ctx_t *ctx = job->data;

    ngx_scc_finish(ctx, ngx_scc_place_send(ctx->request, ctx, rc));
}


static ngx_int_t
ngx_scc_place_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx, ngx_int_t rc)
{
    u_char          *body, rev[NGX_INT64_LEN + 1];
    ngx_scc_page_t  *job;

    job = &ctx->page;

    if (rc == NGX_DECLINED) {
        ctx->status = job->bypass ? NGX_SCC_CACHE_PG : NGX_SCC_CACHE_MISS;
        ctx->unkept = 1;

        /* of one that is on its way it is not said for long */

        if (ctx->query.rev == 0) {
            ctx->life = NGX_SCC_LIFE_MISSING;
        }

        return ngx_scc_problem(r, ctx, NGX_HTTP_NOT_FOUND,
                               "the store knows no place with this id",
                               NULL);
    }

    if (rc != NGX_OK) {
        return ngx_scc_unavailable(r, ctx);
    }

    ctx->young = job->young;

    if (job->stale) {
        ctx->status = NGX_SCC_CACHE_STALE;

    } else if (job->bypass) {
        ctx->status = NGX_SCC_CACHE_PG;

    } else {
        ctx->status = job->hit ? NGX_SCC_CACHE_HIT : NGX_SCC_CACHE_MISS;
    }

    body = ngx_pnalloc(r->pool, job->json.len);
    if (body == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(body, job->json.data, job->json.len);

    *ngx_sprintf(rev, "%uL", job->rev) = '\0';

    if (ngx_scc_header(r, "SCC-Rev", (char *) rev) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* what was asked for is on its way: nobody keeps this instead */

    ctx->early = (job->rev < ctx->query.rev);

    return ngx_scc_send(r, ctx, &ngx_scc_type_json, body, job->json.len);
}
