
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


static ngx_int_t ngx_scc_problem_send(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_uint_t status, const char *detail,
    scc_str_t *parameter, const scc_faults_t *faults);
static ngx_int_t ngx_scc_output(ngx_http_request_t *r, ngx_str_t *type,
    u_char *body, size_t len);
static ngx_int_t ngx_scc_output_chain(ngx_http_request_t *r,
    ngx_str_t *type, ngx_chain_t *out, off_t len);
static ngx_int_t ngx_scc_output_nothing(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_uint_t status);
static const char *ngx_scc_title(ngx_uint_t status);


ngx_str_t  ngx_scc_type_geojson = ngx_string("application/geo+json");
ngx_str_t  ngx_scc_type_json = ngx_string("application/json");
ngx_str_t  ngx_scc_type_mvt =
    ngx_string("application/vnd.mapbox-vector-tile");

static ngx_str_t  ngx_scc_type_problem =
    ngx_string("application/problem+json");


ngx_int_t
ngx_scc_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx, ngx_str_t *type,
    u_char *body, size_t len)
{
    u_char     *p;
    ngx_int_t   rc;
    scc_str_t   bytes;

    if (!ctx->validated && !ctx->early) {
        bytes.data = body;
        bytes.len = len;

        rc = ngx_scc_validate(r, ctx, SCC_ETAG_BYTES,
                              scc_etag_bytes(0, bytes), len);
        if (rc != NGX_DECLINED) {

            if (ctx->dear) {
                ngx_scc_answer_note(r, ctx);
            }

            return rc;
        }
    }

    if (ctx->validated && ctx->coding == SCC_CODING_GZIP) {
        return ngx_scc_gzip_body(r, ctx, type, body, len);
    }

    if (ctx->dear) {
        p = ngx_scc_answer_room(r, ctx, type, len);

        if (p != NULL) {
            ngx_memcpy(p, body, len);
            body = p;
        }
    }

    return ngx_scc_send_coded(r, ctx, type, body, len);
}


ngx_int_t
ngx_scc_send_coded(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, u_char *body, size_t len)
{
    r->headers_out.status = NGX_HTTP_OK;

    if (ngx_scc_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_output(r, type, body, len);
}


ngx_int_t
ngx_scc_send_chain(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, ngx_chain_t *out, off_t len)
{
    r->headers_out.status = NGX_HTTP_OK;

    if (ngx_scc_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_output_chain(r, type, out, len);
}


ngx_int_t
ngx_scc_send_nothing(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    return ngx_scc_output_nothing(r, ctx, NGX_HTTP_NO_CONTENT);
}


ngx_int_t
ngx_scc_not_modified(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    return ngx_scc_output_nothing(r, ctx, NGX_HTTP_NOT_MODIFIED);
}


/*
 * A preflight (fetch.spec.whatwg.org, "CORS protocol"): pages of any origin
 * may read, and contribute with a token of their own; cookies are not
 * offered.
 */

ngx_int_t
ngx_scc_options(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_uint_t   write;
    const char  *methods, *headers;

    write = (ctx->query.route == SCC_ROUTE_CONTRIBUTIONS);

    methods = write ? "POST, OPTIONS" : "GET, HEAD, OPTIONS";
    headers = write ? "Authorization, Content-Type, Idempotency-Key, Prefer"
                    : "If-Match, If-None-Match";

    if (ngx_scc_header(r, "Allow", methods) != NGX_OK
        || ngx_scc_header(r, "Access-Control-Allow-Methods", methods)
           != NGX_OK
        || ngx_scc_header(r, "Access-Control-Allow-Headers", headers)
           != NGX_OK
        || ngx_scc_header(r, "Access-Control-Max-Age", "86400") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_output_nothing(r, ctx, NGX_HTTP_NO_CONTENT);
}


ngx_int_t
ngx_scc_send_private(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_uint_t status, u_char *body, size_t len)
{
    r->headers_out.status = status;

    if (ngx_scc_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_output(r, &ngx_scc_type_json, body, len);
}


/* RFC 9457.  detail is plain text; parameter, if there is one, is what the
   client wrote. */

ngx_int_t
ngx_scc_problem(ngx_http_request_t *r, ngx_scc_ctx_t *ctx, ngx_uint_t status,
    const char *detail, scc_str_t *parameter)
{
    return ngx_scc_problem_send(r, ctx, status, detail, parameter, NULL);
}


ngx_int_t
ngx_scc_problem_faults(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    const char *detail, const scc_faults_t *faults)
{
    return ngx_scc_problem_send(r, ctx, NGX_HTTP_BAD_REQUEST, detail, NULL,
                                faults);
}


ngx_int_t
ngx_scc_problem_later(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    const char *detail)
{
    u_char  text[NGX_INT_T_LEN + 1];

    *ngx_sprintf(text, "%d", NGX_SCC_RETRY_AFTER) = '\0';

    if (ngx_scc_header(r, "Retry-After", (char *) text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_problem(r, ctx, NGX_HTTP_SERVICE_UNAVAILABLE, detail,
                           NULL);
}


/* The store has contradicted itself: the helper looks at it now. */

void
ngx_scc_doubt(ngx_http_request_t *r, uint32_t cell)
{
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "scc: the store has fewer places than it counts, or than "
                  "its ledger knows: that is not answered; see \"sccctl "
                  "verify\"");

    ngx_scc_guard_doubt(smcf->guard, cell);
}


ngx_int_t
ngx_scc_unavailable(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ctx->status = NGX_SCC_CACHE_ERROR;

    return ngx_scc_problem_later(r, ctx,
                                 "neither the cache nor the store can answer "
                                 "now; nothing is lost, try again after "
                                 "Retry-After seconds");
}


static ngx_int_t
ngx_scc_problem_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_uint_t status, const char *detail, scc_str_t *parameter,
    const scc_faults_t *faults)
{
    scc_buf_t  b;
    scc_str_t  s;

    scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);

    scc_buf_text(&b, "{\"type\":\"about:blank\",\"title\":\"");
    scc_buf_text(&b, ngx_scc_title(status));
    scc_buf_text(&b, "\",\"status\":");
    scc_buf_uint(&b, status);
    scc_buf_text(&b, ",\"detail\":");

    s.data = (const uint8_t *) detail;
    s.len = ngx_strlen(detail);
    scc_buf_json(&b, s);

    if (parameter != NULL) {
        scc_buf_text(&b, ",\"parameter\":");
        scc_buf_json(&b, *parameter);
    }

    if (faults != NULL) {
        scc_buf_byte(&b, ',');
        scc_faults_write(&b, faults);
    }

    scc_buf_text(&b, "}\n");

    if (b.error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = status;

    if (ngx_scc_headers(r, ctx) != NGX_OK
        || (status == NGX_HTTP_NOT_ALLOWED
            && ngx_scc_header(r, "Allow",
                              (ctx->query.route == SCC_ROUTE_CONTRIBUTIONS)
                              ? "POST, OPTIONS" : "GET, HEAD, OPTIONS")
               != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_output(r, &ngx_scc_type_problem, b.start, b.used);
}


void *
ngx_scc_pool_grow(void *pool, void *old, size_t used, size_t size)
{
    void  *p;

    p = ngx_pnalloc(pool, size);
    if (p == NULL) {
        return NULL;
    }

    if (old != NULL) {
        ngx_memcpy(p, old, used);
        (void) ngx_pfree(pool, old);
    }

    return p;
}


static ngx_int_t
ngx_scc_output(ngx_http_request_t *r, ngx_str_t *type, u_char *body,
    size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = body;
    b->last = body + len;
    b->memory = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_scc_output_chain(r, type, &out, len);
}


static ngx_int_t
ngx_scc_output_chain(ngx_http_request_t *r, ngx_str_t *type,
    ngx_chain_t *out, off_t len)
{
    ngx_int_t     rc;
    ngx_chain_t  *last;

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = len;

    ngx_http_clear_accept_ranges(r);

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    if (r->header_only) {
        return NGX_OK;
    }

    for (last = out; last->next != NULL; last = last->next) { /* void */ }

    last->buf->last_buf = (r == r->main);
    last->buf->last_in_chain = 1;

    rc = ngx_http_output_filter(r, out);

    /* NGX_AGAIN, a slow client, is nginx's own affair; to the handler it
       would mean that a backend is waited for */

    return (rc == NGX_AGAIN) ? NGX_OK : rc;
}


static ngx_int_t
ngx_scc_output_nothing(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_uint_t status)
{
    ngx_int_t  rc;

    r->headers_out.status = status;

    if (ngx_scc_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->header_only = 1;

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);

    rc = ngx_http_send_header(r);

    return (rc == NGX_AGAIN) ? NGX_OK : rc;
}


static const char *
ngx_scc_title(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_BAD_REQUEST:
        return "Bad Request";

    case NGX_HTTP_UNAUTHORIZED:
        return "Unauthorized";

    case NGX_HTTP_FORBIDDEN:
        return "Forbidden";

    case NGX_HTTP_NOT_FOUND:
        return "Not Found";

    case NGX_HTTP_NOT_ALLOWED:
        return "Method Not Allowed";

    case NGX_HTTP_CONFLICT:
        return "Conflict";

    case NGX_HTTP_LENGTH_REQUIRED:
        return "Length Required";

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return "Content Too Large";

    case NGX_HTTP_UNSUPPORTED_MEDIA_TYPE:
        return "Unsupported Media Type";

    case NGX_HTTP_PRECONDITION_FAILED:
        return "Precondition Failed";

    case 422:
        return "Unprocessable Content";

    default:
        return "Service Unavailable";
    }
}
