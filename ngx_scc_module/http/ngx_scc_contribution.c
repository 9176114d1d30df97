
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"
#include "ngx_scc_store.h"


static void ngx_scc_contribution_handler(void *data,
    ngx_scc_pg_status_t status, ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_contribution_stored(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_contribution_pending(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_uint_t silent);
static void ngx_scc_contribution_begin(scc_buf_t *b, ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_scc_told_status_t status);
static void ngx_scc_contribution_text(scc_buf_t *b,
    ngx_scc_pg_result_t *result, ngx_uint_t column, const char *name);
static ngx_int_t ngx_scc_contribution_send(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, scc_buf_t *b);


/* GET contributions/{id}: the ledger, the dead letters, then what this host
   has taken and the store may not know yet. */

ngx_int_t
ngx_scc_contribution(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    u_char                text[NGX_SCC_UUID_LEN];
    scc_buf_t             b;
    ngx_str_t             id;
    ngx_scc_main_conf_t  *smcf;
    ngx_scc_pg_status_t   status;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    scc_buf_fixed(&b, text, sizeof(text));
    scc_uuid_write(&b, ctx->query.event);

    id.len = b.used;
    id.data = text;

    ctx->pg_call = ngx_scc_pg_query(smcf->pg_pool, &ngx_scc_store_event, &id,
                                    ngx_scc_contribution_handler, ctx,
                                    &status);

    return (ctx->pg_call != NULL) ? NGX_AGAIN
                                  : ngx_scc_contribution_pending(r, ctx, 1);
}


static void
ngx_scc_contribution_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_ctx_t *ctx = data;

    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;
    ctx->pg_call = NULL;

    if (status == NGX_SCC_PG_OK && ngx_scc_store_there(result, 0)) {
        rc = ngx_scc_contribution_stored(r, ctx, result);

    } else {
        rc = ngx_scc_contribution_pending(r, ctx, status != NGX_SCC_PG_OK);
    }

    ngx_scc_finish(ctx, rc);
}


static ngx_int_t
ngx_scc_contribution_stored(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_scc_pg_result_t *result)
{
    scc_buf_t            b;
    ngx_str_t            text;
    ngx_uint_t           applied;
    ngx_scc_main_conf_t *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    applied = (ngx_scc_pg_value(result, 0, 0, &text) == NGX_OK
               && text.len == 1 && text.data[0] == 't');

    if (smcf->pending != NULL) {
        ngx_scc_pending_raise(smcf->pending, ctx->query.event,
                              applied ? NGX_SCC_PENDING_APPLIED
                                      : NGX_SCC_PENDING_DEAD);
    }

    ngx_scc_contribution_begin(&b, r, ctx, applied ? NGX_SCC_TOLD_APPLIED
                                                   : NGX_SCC_TOLD_DEAD);

    ngx_scc_contribution_text(&b, result, 3, "hlc");
    ngx_scc_contribution_text(&b, result, 4, "kind");
    ngx_scc_contribution_text(&b, result, 5, "target");
    ngx_scc_contribution_text(&b, result, 6, "receivedAt");
    ngx_scc_contribution_text(&b, result, 7, applied ? "appliedAt"
                                                     : "deadSince");
    ngx_scc_contribution_text(&b, result, 8, "reason");

    return ngx_scc_contribution_send(r, ctx, &b);
}


/*
 * "There is none" is said only when the store has answered, and has all that
 * this host's journal had before the zone began to remember.
 */

static ngx_int_t
ngx_scc_contribution_pending(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_uint_t silent)
{
    scc_buf_t                 b;
    ngx_scc_main_conf_t      *smcf;
    ngx_scc_told_status_t     status;
    ngx_scc_pending_entry_t   entry;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    if (smcf->pending != NULL
        && ngx_scc_pending_find(smcf->pending, ctx->query.event, &entry)
           == NGX_OK
        && entry.state != NGX_SCC_PENDING_WRITING)
    {
        status = ngx_scc_told_status(entry.state);

        ngx_scc_contribution_begin(&b, r, ctx, status);

        scc_buf_text(&b, ",\"hlc\":\"");
        scc_buf_uint(&b, entry.hlc);
        scc_buf_byte(&b, '"');

        return ngx_scc_contribution_send(r, ctx, &b);
    }

    if (silent) {
        return ngx_scc_problem_later(r, ctx, "the store does not answer now, "
                                     "and this host has not seen the "
                                     "contribution lately; try again after "
                                     "Retry-After seconds");
    }

    if (smcf->pending != NULL && !ngx_scc_pending_sure(smcf->pending)) {
        return ngx_scc_problem_later(r, ctx, "the store does not know the "
                                     "contribution, but it may wait in this "
                                     "host's journal, which has not been "
                                     "read since nginx started; try again "
                                     "after Retry-After seconds");
    }

    return ngx_scc_problem(r, ctx, NGX_HTTP_NOT_FOUND,
                           "neither the store nor this host knows a "
                           "contribution with this id; if it was "
                           "acknowledged elsewhere a moment ago, try again",
                           NULL);
}


static void
ngx_scc_contribution_begin(scc_buf_t *b, ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_scc_told_status_t status)
{
    ngx_str_t  *name;

    scc_buf_init(b, ngx_scc_pool_grow, r->pool, 0);

    name = &ngx_scc_told_names[status];

    scc_buf_text(b, "{\"id\":\"");
    scc_uuid_write(b, ctx->query.event);
    scc_buf_text(b, "\",\"status\":\"");
    scc_buf_mem(b, name->data, name->len);
    scc_buf_byte(b, '"');
}


static void
ngx_scc_contribution_text(scc_buf_t *b, ngx_scc_pg_result_t *result,
    ngx_uint_t column, const char *name)
{
    scc_str_t  s;
    ngx_str_t  text;

    if (ngx_scc_pg_value(result, 0, column, &text) != NGX_OK) {
        return;
    }

    s.len = text.len;
    s.data = text.data;

    scc_buf_text(b, ",\"");
    scc_buf_text(b, name);
    scc_buf_text(b, "\":");
    scc_buf_json(b, s);
}


static ngx_int_t
ngx_scc_contribution_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    scc_buf_t *b)
{
    scc_buf_text(b, "}\n");

    if (b->error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_send_private(r, ctx, NGX_HTTP_OK, b->start, b->used);
}
