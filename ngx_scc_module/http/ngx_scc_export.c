
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"
#include "ngx_scc_store.h"


#define NGX_SCC_EXPORT_ROWS      1000   /* of a page */
#define NGX_SCC_EXPORT_WHO       128    /* bytes of a store's identity */

/* A store that is gone for a moment is waited for, once bytes are out. */

#define NGX_SCC_EXPORT_PAUSE     250
#define NGX_SCC_EXPORT_PATIENCE  5000


/*
 * An export under way.  It has one page of lines in memory: the store is
 * asked for the next one when the last byte of this one is with the kernel.
 */

struct ngx_scc_export_s {
    ngx_scc_ctx_t        *ctx;
    ngx_scc_main_conf_t  *smcf;

    scc_buf_t             lines;
    ngx_buf_t             buf;          /* over them */

    u_char                after[SCC_ID_MAX];
    size_t                after_len;
    u_char                who[NGX_SCC_EXPORT_WHO];
    size_t                who_len;

    ngx_event_t           retry;
    ngx_msec_t            silent;       /* since, if retrying */
    unsigned              begun:1;      /* the header is out */
    unsigned              retrying:1;
};


static ngx_int_t ngx_scc_export_ask(ngx_scc_export_t *e,
    ngx_scc_pg_status_t *status);
static void ngx_scc_export_page(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_export_lines(ngx_scc_export_t *e,
    ngx_scc_pg_result_t *result, ngx_uint_t *last);
static ngx_int_t ngx_scc_export_send(ngx_scc_export_t *e, ngx_uint_t last);
static void ngx_scc_export_writer(ngx_http_request_t *r);
static ngx_int_t ngx_scc_export_wait(ngx_http_request_t *r);
static ngx_int_t ngx_scc_export_next(ngx_scc_export_t *e);
static ngx_int_t ngx_scc_export_silent(ngx_scc_export_t *e);
static void ngx_scc_export_retry(ngx_event_t *ev);
static ngx_int_t ngx_scc_export_cut(ngx_scc_export_t *e, const char *why);
static ngx_int_t ngx_scc_export_header(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx);
static ngx_int_t ngx_scc_export_date(ngx_http_request_t *r);
static void ngx_scc_export_cleanup(void *data);
static void ngx_scc_total_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_total_send(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_scc_pg_result_t *result);


static ngx_str_t  ngx_scc_type_lines = ngx_string("application/x-ndjson");


/* GET export.geojsonl: all places, a Feature per line, by id. */

ngx_int_t
ngx_scc_export(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_scc_export_t     *e;
    ngx_http_cleanup_t   *cln;
    ngx_scc_pg_status_t   status;
    ngx_scc_main_conf_t  *smcf;

    if (r->method == NGX_HTTP_HEAD) {
        return ngx_scc_export_header(r, ctx);
    }

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    if (smcf->exports >= smcf->export_limit) {
        return ngx_scc_problem_later(r, ctx,
                                     "as many exports as \"scc_export_limit\" "
                                     "allows are under way; try again after "
                                     "Retry-After seconds");
    }

    e = ngx_pcalloc(r->pool, sizeof(ngx_scc_export_t));
    if (e == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    e->ctx = ctx;
    e->smcf = smcf;

    e->retry.handler = ngx_scc_export_retry;
    e->retry.data = e;
    e->retry.log = r->connection->log;

    scc_buf_init(&e->lines, ngx_scc_pool_grow, r->pool, 0);

    cln->handler = ngx_scc_export_cleanup;
    cln->data = e;

    ctx->export = e;
    smcf->exports++;

    if (ngx_scc_export_ask(e, &status) != NGX_OK) {
        return ngx_scc_unavailable(r, ctx);
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_scc_export_ask(ngx_scc_export_t *e, ngx_scc_pg_status_t *status)
{
    u_char     rows[NGX_INT_T_LEN];
    ngx_str_t  values[2];

    values[0].len = e->after_len;
    values[0].data = e->after;

    values[1].len = ngx_sprintf(rows, "%d", NGX_SCC_EXPORT_ROWS) - rows;
    values[1].data = rows;

    e->ctx->pg_call = ngx_scc_pg_query(e->smcf->pg_pool,
                                       &ngx_scc_store_export, values,
                                       ngx_scc_export_page, e, status);

    return (e->ctx->pg_call != NULL) ? NGX_OK : NGX_DECLINED;
}


static void
ngx_scc_export_page(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_export_t *e = data;

    ngx_int_t            rc;
    ngx_uint_t           last;
    ngx_http_request_t  *r;

    r = e->ctx->request;
    e->ctx->pg_call = NULL;
    last = 0;

    ngx_http_set_log_request(r->connection->log, r);

    if (status == NGX_SCC_PG_OK) {
        rc = ngx_scc_export_lines(e, result, &last);

        if (rc == NGX_OK) {
            rc = ngx_scc_export_send(e, last);
        }

    } else {
        if (status == NGX_SCC_PG_FAILED) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "scc: the store refused to read a page of an "
                          "export, SQLSTATE %s; see the store's log",
                          ngx_scc_pg_sqlstate(result));
        }

        rc = ngx_scc_export_silent(e);
    }

    if (rc == NGX_AGAIN) {
        ngx_http_run_posted_requests(r->connection);
        return;
    }

    ngx_scc_finish(e->ctx, rc);
}


/* A page's lines; what is wrong with it ends the export. */

static ngx_int_t
ngx_scc_export_lines(ngx_scc_export_t *e, ngx_scc_pg_result_t *result,
    ngx_uint_t *last)
{
    ngx_int_t      rc;
    ngx_str_t      who;
    ngx_uint_t     i, rows;
    scc_export_t   row;

    rows = ngx_scc_pg_rows(result);

    if (rows == 0
        || ngx_scc_pg_value(result, 0, 0, &who) != NGX_OK
        || who.len > NGX_SCC_EXPORT_WHO)
    {
        return ngx_scc_export_cut(e, "the store has no identity; run "
                                  "\"sccctl init\"");
    }

    if (!e->begun) {
        ngx_memcpy(e->who, who.data, who.len);
        e->who_len = who.len;

    } else if (who.len != e->who_len
               || ngx_memcmp(who.data, e->who, who.len) != 0)
    {
        return ngx_scc_export_cut(e, "another store is there now");
    }

    scc_buf_reset(&e->lines);

    row.place.id.len = 0;

    for (i = 0; i < rows; i++) {
        rc = ngx_scc_store_export_row(result, i, 1, &row,
                                      e->ctx->request->connection->log);

        if (rc == NGX_DECLINED && rows == 1) {
            rows = 0;
            break;
        }

        if (rc != NGX_OK) {
            return ngx_scc_export_cut(e, "the store sent an invalid place");
        }

        scc_export_feature(&e->lines, &row);
        scc_buf_byte(&e->lines, '\n');
    }

    if (e->lines.error) {
        return ngx_scc_export_cut(e, "there is no memory");
    }

    if (rows != 0) {
        ngx_memcpy(e->after, row.place.id.data, row.place.id.len);
        e->after_len = row.place.id.len;
    }

    e->retrying = 0;
    e->ctx->n_features += rows;
    *last = (rows < NGX_SCC_EXPORT_ROWS);

    return NGX_OK;
}


/* NGX_AGAIN: more follows; else how the request ends. */

static ngx_int_t
ngx_scc_export_send(ngx_scc_export_t *e, ngx_uint_t last)
{
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_chain_t          out;
    ngx_http_request_t  *r;

    r = e->ctx->request;

    if (!e->begun) {
        e->begun = 1;
        e->ctx->status = NGX_SCC_CACHE_WIDE;

        rc = ngx_scc_export_header(r, e->ctx);

        if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
            return rc;
        }
    }

    b = &e->buf;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->pos = e->lines.start;
    b->last = e->lines.start + e->lines.used;
    b->memory = (e->lines.used != 0);
    b->flush = !last;
    b->last_buf = (last && r == r->main);
    b->last_in_chain = last;
    b->sync = (last && r != r->main);

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_output_filter(r, &out);

    if (last || rc == NGX_ERROR) {
        return rc;
    }

    return ngx_scc_export_wait(r);
}


static void
ngx_scc_export_writer(ngx_http_request_t *r)
{
    ngx_int_t          rc;
    ngx_event_t       *wev;
    ngx_connection_t  *c;

    c = r->connection;
    wev = c->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "client timed out");
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    rc = NGX_OK;

    if (!wev->delayed) {
        rc = ngx_http_output_filter(r, NULL);
    }

    if (rc != NGX_ERROR) {
        rc = ngx_scc_export_wait(r);
    }

    if (rc != NGX_AGAIN) {
        ngx_http_finalize_request(r, rc);
    }
}


/* Waits for the client, or goes on if it has taken everything. */

static ngx_int_t
ngx_scc_export_wait(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_scc_ctx_t             *ctx;
    ngx_scc_export_t          *e;
    ngx_http_core_loc_conf_t  *clcf;

    ctx = ngx_http_get_module_ctx(r, ngx_scc_module);
    e = ctx->export;

    wev = r->connection->write;

    if (wev->delayed
        || ngx_buf_size(&e->buf) != 0
        || r->buffered || r->postponed
        || (r == r->main && r->connection->buffered))
    {
        r->write_event_handler = ngx_scc_export_writer;

        clcf = ngx_http_get_module_loc_conf(r->main, ngx_http_core_module);

        if (!wev->delayed) {
            ngx_add_timer(wev, clcf->send_timeout);
        }

        return (ngx_handle_write_event(wev, clcf->send_lowat) == NGX_OK)
               ? NGX_AGAIN : NGX_ERROR;
    }

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    return ngx_scc_export_next(e);
}


static ngx_int_t
ngx_scc_export_next(ngx_scc_export_t *e)
{
    ngx_scc_pg_status_t  status;

    if (ngx_scc_export_ask(e, &status) == NGX_OK) {
        return NGX_AGAIN;
    }

    return ngx_scc_export_silent(e);
}


/* The store does not answer: 503 before the first byte; later a while of
   patience, since the client would have to begin anew. */

static ngx_int_t
ngx_scc_export_silent(ngx_scc_export_t *e)
{
    if (!e->begun) {
        return ngx_scc_unavailable(e->ctx->request, e->ctx);
    }

    if (!e->retrying) {
        e->retrying = 1;
        e->silent = ngx_current_msec;

    } else if (ngx_current_msec - e->silent >= NGX_SCC_EXPORT_PATIENCE) {
        return ngx_scc_export_cut(e, "the store does not answer");
    }

    ngx_add_timer(&e->retry, NGX_SCC_EXPORT_PAUSE);

    return NGX_AGAIN;
}


static void
ngx_scc_export_retry(ngx_event_t *ev)
{
    ngx_scc_export_t *e = ev->data;

    ngx_int_t  rc;

    ngx_http_set_log_request(e->ctx->request->connection->log,
                             e->ctx->request);

    rc = ngx_scc_export_next(e);

    if (rc != NGX_AGAIN) {
        ngx_scc_finish(e->ctx, rc);
    }
}


/*
 * Ends an export that is not whole so that nobody takes it for one: without
 * the last chunk, or by a reset where the end of the connection is all that
 * a client has to go by (HTTP/1.0, many proxies).
 */

static ngx_int_t
ngx_scc_export_cut(ngx_scc_export_t *e, const char *why)
{
    struct linger        linger;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = e->ctx->request;
    c = r->connection;

    ngx_log_error(NGX_LOG_ERR, c->log, 0,
                  "scc: an export was cut off after %ui places: %s; the "
                  "client sees that it is not whole",
                  e->ctx->n_features, why);

    e->ctx->status = NGX_SCC_CACHE_ERROR;

    if (!e->begun) {
        return ngx_scc_unavailable(r, e->ctx);
    }

#if (NGX_HTTP_V2)
    if (r->stream != NULL) {
        return NGX_ERROR;
    }
#endif

    if (!r->main->chunked) {
        linger.l_onoff = 1;
        linger.l_linger = 0;

        if (setsockopt(c->fd, SOL_SOCKET, SO_LINGER,
                       (const void *) &linger, sizeof(struct linger))
            == -1)
        {
            ngx_log_error(NGX_LOG_ALERT, c->log, ngx_socket_errno,
                          "setsockopt(SO_LINGER) failed");
        }
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_scc_export_header(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    r->headers_out.status = NGX_HTTP_OK;

    r->headers_out.content_type = ngx_scc_type_lines;
    r->headers_out.content_type_len = ngx_scc_type_lines.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = -1;

    ngx_http_clear_accept_ranges(r);

    if (ngx_scc_export_date(r) != NGX_OK
        || ngx_scc_license_link(r) != NGX_OK
        || ngx_scc_header(r, "Cache-Control", "no-store") != NGX_OK
        || (ctx->status == NGX_SCC_CACHE_WIDE
            && ngx_scc_header(r, "Cache-Status",
                              "scc; fwd=bypass; detail=pg")
               != NGX_OK)
        || ngx_scc_header(r, "Access-Control-Allow-Origin", "*") != NGX_OK
        || ngx_scc_header(r, "Access-Control-Expose-Headers",
                          "Cache-Status, Content-Disposition, Link")
           != NGX_OK
        || ngx_scc_header(r, "X-Content-Type-Options", "nosniff") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_send_header(r);
}


/* Adds a Link with rel=license, if there is one. */

ngx_int_t
ngx_scc_license_link(ngx_http_request_t *r)
{
    u_char              *p;
    ngx_scc_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    if (slcf->license.len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, slcf->license.len
                             + sizeof("<>; rel=\"license\""));
    if (p == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf(p, "<%V>; rel=\"license\"", &slcf->license) = '\0';

    return ngx_scc_header(r, "Link", (char *) p);
}


/* A name with the day in it, for whoever saves the file. */

static ngx_int_t
ngx_scc_export_date(ngx_http_request_t *r)
{
    u_char    text[sizeof("attachment; filename=\"places-20000101.geojsonl\"")
                   + NGX_INT_T_LEN];
    ngx_tm_t  tm;

    ngx_gmtime(ngx_time(), &tm);

    *ngx_sprintf(text, "attachment; filename=\"places-%d%02d%02d.geojsonl\"",
                 tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday) = '\0';

    return ngx_scc_header(r, "Content-Disposition", (char *) text);
}


static void
ngx_scc_export_cleanup(void *data)
{
    ngx_scc_export_t *e = data;

    if (e->retry.timer_set) {
        ngx_del_timer(&e->retry);
    }

    e->smcf->exports--;
}


/* GET export.json: what an export is, whose, how much and how old. */

ngx_int_t
ngx_scc_export_about(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_scc_pg_status_t   status;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    ctx->pg_call = ngx_scc_pg_query(smcf->pg_pool, &ngx_scc_store_total,
                                    NULL, ngx_scc_total_handler, ctx,
                                    &status);

    return (ctx->pg_call != NULL) ? NGX_AGAIN : ngx_scc_unavailable(r, ctx);
}


static void
ngx_scc_total_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_ctx_t *ctx = data;

    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = ctx->request;
    ctx->pg_call = NULL;

    if (status == NGX_SCC_PG_OK && ngx_scc_pg_rows(result) == 1) {
        ctx->status = NGX_SCC_CACHE_WIDE;
        rc = ngx_scc_total_send(r, ctx, result);

    } else {
        rc = ngx_scc_unavailable(r, ctx);
    }

    ngx_scc_finish(ctx, rc);
}


static ngx_int_t
ngx_scc_total_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_scc_pg_result_t *result)
{
    uint64_t             places;
    scc_buf_t            b;
    scc_str_t            s;
    ngx_str_t            text;
    ngx_scc_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    if (ngx_scc_store_number(result, 0, 1, &places) != NGX_OK) {
        return ngx_scc_unavailable(r, ctx);
    }

    scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);

    scc_buf_text(&b, "{\"href\":\"export.geojsonl\","
                     "\"type\":\"application/x-ndjson\",\"places\":");
    scc_buf_uint(&b, places);

    if (ngx_scc_pg_value(result, 0, 2, &text) == NGX_OK) {
        scc_buf_text(&b, ",\"changedAt\":");
        s.len = text.len;
        s.data = text.data;
        scc_buf_json(&b, s);
    }

    if (slcf->license.len != 0) {
        scc_buf_text(&b, ",\"license\":");
        s.len = slcf->license.len;
        s.data = slcf->license.data;
        scc_buf_json(&b, s);
    }

    if (slcf->attribution.len != 0) {
        scc_buf_text(&b, ",\"attribution\":");
        s.len = slcf->attribution.len;
        s.data = slcf->attribution.data;
        scc_buf_json(&b, s);
    }

    scc_buf_text(&b, "}\n");

    if (b.error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_send_private(r, ctx, NGX_HTTP_OK, b.start, b.used);
}
