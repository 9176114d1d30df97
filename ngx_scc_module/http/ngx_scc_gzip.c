
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


/*
 * gzip answers.  Cells of many features have a slice that joins; the rest is
 * deflated when it is sent, and what was deflated is kept, whole
 * (ngx_scc_answer.c).  Whether a cell joins depends on the cell alone, so the
 * bytes of an answer, and with them its strong ETag, do not depend on where
 * its cells came from.
 */

#define NGX_SCC_GZIP_SCRATCH  (1024 * 1024)     /* kept between answers */


struct ngx_scc_gzip_s {
    scc_gzip_deflater_t       *deflaters[SCC_GZIP_LEVEL_MAX + 1];
    u_char                    *scratch;
    size_t                     scratch_size;
};


/* An answer being made. */

typedef struct {
    const scc_view_t          *view;
    scc_gzip_deflater_t       *run;
    scc_gzip_deflater_t       *whole;
    scc_gzip_join_t            join;
    scc_gzip_slice_t          *slices;
    ngx_uint_t                 n;
    u_char                    *out;
    u_char                    *end;
    unsigned                   running:1;
    unsigned                   error:1;
} ngx_scc_gzip_make_t;


static ngx_int_t ngx_scc_gzip_begin(ngx_http_request_t *r,
    ngx_scc_gzip_make_t *make, scc_buf_t *own, size_t size, ngx_uint_t n);
static void ngx_scc_gzip_part(void *data, const scc_view_part_t *part);
static void ngx_scc_gzip_slice(ngx_scc_gzip_make_t *make,
    scc_gzip_deflater_t *deflater, scc_str_t bytes);
static void ngx_scc_gzip_run_end(ngx_scc_gzip_make_t *make);
static ngx_int_t ngx_scc_gzip_done(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, ngx_scc_gzip_make_t *make);
static void ngx_scc_gzip_copy(ngx_scc_gzip_make_t *make, u_char *p);
static scc_gzip_deflater_t *ngx_scc_gzip_deflater(ngx_scc_gzip_t *gzip,
    ngx_uint_t level);


ngx_scc_gzip_t *
ngx_scc_gzip_create(ngx_cycle_t *cycle)
{
    return ngx_pcalloc(cycle->pool, sizeof(ngx_scc_gzip_t));
}


void
ngx_scc_gzip_destroy(ngx_scc_gzip_t *gzip)
{
    ngx_uint_t  i;

    for (i = 0; i <= SCC_GZIP_LEVEL_MAX; i++) {
        scc_gzip_deflater_free(gzip->deflaters[i]);
        gzip->deflaters[i] = NULL;
    }

    if (gzip->scratch != NULL) {
        ngx_free(gzip->scratch);
        gzip->scratch = NULL;
    }
}


/*
 * As nginx's own, with "*" and weights, and without gzip_proxied: what
 * proxies have to know is in Vary.
 */

ngx_uint_t
ngx_scc_gzip_wanted(ngx_http_request_t *r)
{
    scc_str_t                  value;
#if (NGX_HTTP_GZIP)
    ngx_http_core_loc_conf_t  *clcf;
#endif

    if (r != r->main || r->headers_in.accept_encoding == NULL) {
        return 0;
    }

#if (NGX_HTTP_GZIP)

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->http_version < clcf->gzip_http_version) {
        return 0;
    }

#if (NGX_PCRE)

    if (clcf->gzip_disable && r->headers_in.user_agent
        && ngx_regex_exec_array(clcf->gzip_disable,
                                &r->headers_in.user_agent->value,
                                r->connection->log)
           != NGX_DECLINED)
    {
        return 0;
    }

#endif
#endif

    value.data = r->headers_in.accept_encoding->value.data;
    value.len = r->headers_in.accept_encoding->value.len;

    return scc_gzip_accepted(value);
}


ngx_int_t
ngx_scc_gzip_view(ngx_http_request_t *r, ngx_scc_ctx_t *ctx, ngx_str_t *type,
    const scc_view_t *view)
{
    ngx_int_t            rc;
    scc_buf_t            own;
    ngx_scc_gzip_make_t  make;

    scc_buf_init(&own, ngx_scc_pool_grow, r->pool, 0);

    /* between any two slices is one that was made here, at most */

    rc = ngx_scc_gzip_begin(r, &make, &own, view->size,
                            2 * view->n_cells + 2);
    if (rc != NGX_OK) {
        return rc;
    }

    make.view = view;

    scc_view_parts(view, ngx_scc_gzip_part, &make);

    return ngx_scc_gzip_done(r, ctx, type, &make);
}


ngx_int_t
ngx_scc_gzip_body(ngx_http_request_t *r, ngx_scc_ctx_t *ctx, ngx_str_t *type,
    u_char *body, size_t len)
{
    ngx_int_t            rc;
    scc_buf_t            own;
    scc_str_t            bytes;
    ngx_scc_gzip_make_t  make;

    rc = ngx_scc_answer_kept(r, ctx);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    scc_buf_init(&own, ngx_scc_pool_grow, r->pool, 0);

    rc = ngx_scc_gzip_begin(r, &make, &own, len, 1);
    if (rc != NGX_OK) {
        return rc;
    }

    bytes.data = body;
    bytes.len = len;

    ngx_scc_gzip_slice(&make, make.run, bytes);

    return ngx_scc_gzip_done(r, ctx, type, &make);
}


/* For n slices of "size" bytes of text together. */

static ngx_int_t
ngx_scc_gzip_begin(ngx_http_request_t *r, ngx_scc_gzip_make_t *make,
    scc_buf_t *own, size_t size, ngx_uint_t n)
{
    ngx_scc_gzip_t       *gzip;
    scc_gzip_piece_t     *pieces;
    ngx_scc_loc_conf_t   *slcf;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);
    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    gzip = smcf->gzip;

    ngx_memzero(make, sizeof(ngx_scc_gzip_make_t));

    make->run = ngx_scc_gzip_deflater(gzip, slcf->gzip_level);
    make->whole = ngx_scc_gzip_deflater(gzip, SCC_GZIP_SLICE_LEVEL);

    make->slices = ngx_palloc(r->pool, n * sizeof(scc_gzip_slice_t));
    pieces = ngx_palloc(r->pool, (2 * n + 1) * sizeof(scc_gzip_piece_t));

    if (make->run == NULL || make->whole == NULL || make->slices == NULL
        || pieces == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    size = scc_gzip_bound(size) + n * scc_gzip_bound(0);

    if (size > gzip->scratch_size) {

        if (size <= NGX_SCC_GZIP_SCRATCH) {
            if (gzip->scratch != NULL) {
                ngx_free(gzip->scratch);
            }

            gzip->scratch_size = 0;
            gzip->scratch = ngx_alloc(NGX_SCC_GZIP_SCRATCH,
                                      r->connection->log);
            if (gzip->scratch != NULL) {
                gzip->scratch_size = NGX_SCC_GZIP_SCRATCH;
            }

            make->out = gzip->scratch;

        } else {
            make->out = ngx_palloc(r->pool, size);
        }

        if (make->out == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

    } else {
        make->out = gzip->scratch;
    }

    make->end = make->out + size;

    scc_gzip_join_begin(&make->join, own, pieces, 2 * n + 1);

    return NGX_OK;
}


static void
ngx_scc_gzip_part(void *data, const scc_view_part_t *part)
{
    ngx_scc_gzip_make_t *make = data;

    if (part->whole
        && make->view->cells[part->cell].blob.n >= SCC_GZIP_SLICE_N)
    {
        ngx_scc_gzip_run_end(make);
        ngx_scc_gzip_slice(make, make->whole, part->bytes);
        return;
    }

    if (make->running) {
        scc_gzip_slice_add(make->run, part->bytes);
        return;
    }

    if (part->cell == SCC_VIEW_NO_CELL) {
        scc_gzip_join_text(&make->join, part->bytes);
        return;
    }

    make->running = 1;

    scc_gzip_slice_begin(make->run, make->out, make->end - make->out);
    scc_gzip_slice_add(make->run, part->bytes);
}


static void
ngx_scc_gzip_slice(ngx_scc_gzip_make_t *make, scc_gzip_deflater_t *deflater,
    scc_str_t bytes)
{
    scc_gzip_slice_t  *slice;

    slice = &make->slices[make->n++];

    if (scc_gzip_slice(deflater, bytes, make->out, make->end - make->out,
                       slice)
        != SCC_OK)
    {
        make->error = 1;
        return;
    }

    make->out += slice->len;

    scc_gzip_join_slice(&make->join, slice);
}


static void
ngx_scc_gzip_run_end(ngx_scc_gzip_make_t *make)
{
    scc_gzip_slice_t  *slice;

    if (!make->running) {
        return;
    }

    make->running = 0;

    slice = &make->slices[make->n++];

    if (scc_gzip_slice_end(make->run, slice) != SCC_OK) {
        make->error = 1;
        return;
    }

    make->out += slice->len;

    scc_gzip_join_slice(&make->join, slice);
}


static ngx_int_t
ngx_scc_gzip_done(ngx_http_request_t *r, ngx_scc_ctx_t *ctx, ngx_str_t *type,
    ngx_scc_gzip_make_t *make)
{
    u_char  *p;
    size_t   len;

    ngx_scc_gzip_run_end(make);

    if (scc_gzip_join_end(&make->join) != SCC_OK || make->error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    len = make->join.len;

    p = ngx_scc_answer_room(r, ctx, type, len);

    if (p == NULL) {
        p = ngx_pnalloc(r->pool, len);
        if (p == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ngx_scc_gzip_copy(make, p);

    return ngx_scc_send_coded(r, ctx, type, p, len);
}


static void
ngx_scc_gzip_copy(ngx_scc_gzip_make_t *make, u_char *p)
{
    size_t                   i;
    const scc_gzip_piece_t  *piece;

    for (i = 0; i < make->join.n; i++) {
        piece = &make->join.pieces[i];

        p = ngx_cpymem(p, piece->data ? piece->data
                          : make->join.own->start + piece->at, piece->len);
    }
}


static scc_gzip_deflater_t *
ngx_scc_gzip_deflater(ngx_scc_gzip_t *gzip, ngx_uint_t level)
{
    if (gzip->deflaters[level] == NULL) {
        gzip->deflaters[level] = scc_gzip_deflater_create((int) level);
    }

    return gzip->deflaters[level];
}
