
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"
#include "scc_ogc.h"


static ngx_int_t ngx_scc_path(ngx_http_request_t *r, scc_str_t *path);
static void ngx_scc_cleanup(void *data);


ngx_int_t
ngx_scc_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    scc_rc_t                   parsed;
    scc_err_t                  err;
    scc_str_t                  path, args;
    ngx_scc_ctx_t             *ctx;
    ngx_scc_loc_conf_t        *slcf;
    ngx_http_cleanup_t        *cln;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_scc_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->request = r;

    ngx_http_set_ctx(r, ctx, ngx_scc_module);

    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    if (ngx_scc_path(r, &path) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (slcf->ogc == 1) {
        parsed = scc_ogc_path(&ctx->query, &slcf->query, path, &err);

    } else {
        parsed = scc_query_path(&ctx->query, &slcf->query, path, &err);
    }

    if (ctx->query.route == SCC_ROUTE_CONTRIBUTIONS
        && r->method == NGX_HTTP_POST)
    {
        return ngx_scc_contribute(r, ctx);
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = parsed;

    if (rc != SCC_OK && ctx->query.route == SCC_ROUTE_NONE) {
        return ngx_scc_problem(r, ctx, NGX_HTTP_NOT_FOUND,
                               "there is nothing at this path; see the "
                               "API's paths in README.md", NULL);
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        return ngx_scc_options(r, ctx);
    }

    if (ctx->query.route == SCC_ROUTE_CONTRIBUTIONS) {
        return ngx_scc_problem(r, ctx, NGX_HTTP_NOT_ALLOWED,
                               "only POST is allowed here", NULL);
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_scc_problem(r, ctx, NGX_HTTP_NOT_ALLOWED,
                               "only GET and HEAD are allowed here", NULL);
    }

    if (rc == SCC_OK) {
        args.len = r->args.len;
        args.data = r->args.data;

        rc = scc_query_args(&ctx->query, &slcf->query, args, &err);
    }

    if (rc != SCC_OK) {
        return ngx_scc_problem(r, ctx, NGX_HTTP_BAD_REQUEST, err.text,
                               &err.field);
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_scc_cleanup;
    cln->data = ctx;

    if (ctx->query.ogc) {
        rc = ngx_scc_ogc_base(r, ctx);

        if (rc == NGX_DECLINED) {
            return ngx_scc_problem(r, ctx, NGX_HTTP_BAD_REQUEST,
                                   "the Host is too long for links to it",
                                   NULL);
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    switch (ctx->query.route) {

    case SCC_ROUTE_PLACE:
        rc = ngx_scc_place(r, ctx);
        break;

    case SCC_ROUTE_NEARBY:
        rc = ngx_scc_nearby(r, ctx);
        break;

    case SCC_ROUTE_CONTRIBUTION:
        rc = ngx_scc_contribution(r, ctx);
        break;

    case SCC_ROUTE_OGC_LANDING:
    case SCC_ROUTE_OGC_API:
    case SCC_ROUTE_OGC_CONFORMANCE:
    case SCC_ROUTE_OGC_COLLECTIONS:
    case SCC_ROUTE_OGC_COLLECTION:
    case SCC_ROUTE_OGC_TILESETS:
    case SCC_ROUTE_OGC_TILESET:
        rc = ngx_scc_ogc(r, ctx);
        break;

    case SCC_ROUTE_OGC_ITEM:
        rc = ngx_scc_ogc_item(r, ctx);
        break;

    case SCC_ROUTE_EXPORT:
        rc = ngx_scc_export(r, ctx);
        break;

    case SCC_ROUTE_EXPORT_ABOUT:
        rc = ngx_scc_export_about(r, ctx);
        break;

    case SCC_ROUTE_TILE:
        rc = ngx_scc_tile(r, ctx);
        break;

    case SCC_ROUTE_TILEJSON:
        rc = ngx_scc_tilejson(r, ctx);
        break;

    default:
        rc = ngx_scc_map(r, ctx);
    }

    if (rc != NGX_AGAIN) {
        return rc;
    }

    /* a client who leaves is noticed while the backends are waited for */

    r->read_event_handler = ngx_http_test_reading;
    r->main->count++;

    return NGX_DONE;
}


void
ngx_scc_finish(ngx_scc_ctx_t *ctx, ngx_int_t rc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


/*
 * The path below the prefix, as the client wrote it: an id may hold an
 * encoded '/', which nginx has decoded and merged in r->uri.  After an
 * internal redirect only r->uri is there; it is encoded again.
 */

static ngx_int_t
ngx_scc_path(ngx_http_request_t *r, scc_str_t *path)
{
    u_char              *p, *end;
    size_t               prefix, n;
    ngx_str_t            raw;
    ngx_scc_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    raw = r->unparsed_uri;
    prefix = slcf->prefix.len;

    p = ngx_strlchr(raw.data, raw.data + raw.len, '?');
    if (p != NULL) {
        raw.len = p - raw.data;
    }

    if (!r->internal
        && raw.len >= prefix
        && ngx_strncmp(raw.data, slcf->prefix.data, prefix) == 0)
    {
        path->data = raw.data + prefix;
        path->len = raw.len - prefix;

    } else if (r->uri.len >= prefix
               && ngx_strncmp(r->uri.data, slcf->prefix.data, prefix) == 0)
    {
        p = r->uri.data + prefix;
        n = r->uri.len - prefix;

        path->len = n + 2 * ngx_escape_uri(NULL, p, n, NGX_ESCAPE_URI);

        end = ngx_pnalloc(r->pool, path->len + 1);
        if (end == NULL) {
            return NGX_ERROR;
        }

        path->data = end;
        (void) ngx_escape_uri(end, p, n, NGX_ESCAPE_URI);

    } else {
        path->len = 0;
        path->data = NULL;
    }

    /* "location /v1" and "location /v1/" are the same to us */

    if (path->len != 0 && path->data[0] == '/') {
        path->data++;
        path->len--;
    }

    return NGX_OK;
}


static void
ngx_scc_cleanup(void *data)
{
    ngx_scc_ctx_t *ctx = data;

    ngx_scc_cells_cancel(&ctx->cells);
    ngx_scc_page_cancel(&ctx->page);
    ngx_scc_grid_cancel(&ctx->grid);

    if (ctx->pg_call != NULL) {
        ngx_scc_pg_cancel(ctx->pg_call);
        ctx->pg_call = NULL;
    }
}
