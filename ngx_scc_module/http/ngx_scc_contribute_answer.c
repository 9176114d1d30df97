
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_contribute.h"


#define NGX_SCC_UNPROCESSABLE  422


ngx_str_t  ngx_scc_told_names[] = {
    ngx_null_string,                    /* NGX_SCC_TOLD_NONE */
    ngx_string("rejected"),
    ngx_string("refused"),
    ngx_string("unknown"),
    ngx_string("journaled"),
    ngx_string("queued"),
    ngx_string("dead-letter"),
    ngx_string("applied"),
};


ngx_int_t
ngx_scc_contribute_conflict(ngx_scc_contribute_t *c)
{
    return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_CONFLICT,
                                     NGX_SCC_UNPROCESSABLE,
                                     "this id or Idempotency-Key was used "
                                     "for another contribution; a new one "
                                     "needs a new key", c->body.has_id
                                     ? "id" : "Idempotency-Key");
}


ngx_int_t
ngx_scc_contribute_refuse(ngx_scc_contribute_t *c,
    ngx_scc_told_status_t status, const char *detail)
{
    ngx_scc_write_stat_t  *stat;

    stat = &c->smcf->pending->sh->stat;

    (void) ngx_atomic_fetch_add((status == NGX_SCC_TOLD_UNKNOWN)
                                ? &stat->unknown : &stat->refused, 1);

    c->ctx->told.status = status;

    return ngx_scc_problem_later(c->request, c->ctx, detail);
}


ngx_int_t
ngx_scc_contribute_answer(ngx_scc_contribute_t *c, ngx_uint_t status)
{
    u_char                 text[NGX_SCC_DURABILITY_LEN + 1];
    size_t                 at;
    scc_buf_t              b;
    ngx_str_t             *name, *prefix;
    ngx_scc_told_t        *told;
    ngx_http_request_t    *r;
    ngx_scc_write_stat_t  *stat;

    r = c->request;
    told = &c->ctx->told;
    stat = &c->smcf->pending->sh->stat;

    prefix = &c->slcf->prefix;
    name = &ngx_scc_told_names[told->status];

    scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);

    scc_buf_text(&b, "{\"id\":\"");
    scc_uuid_write(&b, told->id);
    scc_buf_text(&b, "\",\"hlc\":\"");
    scc_buf_uint(&b, told->hlc);
    scc_buf_text(&b, "\",\"status\":\"");
    scc_buf_mem(&b, name->data, name->len);
    scc_buf_text(&b, "\",\"href\":\"");

    at = b.used;

    scc_buf_mem(&b, prefix->data, prefix->len);

    if (prefix->len == 0 || prefix->data[prefix->len - 1] != '/') {
        scc_buf_byte(&b, '/');
    }

    scc_buf_text(&b, "contributions/");
    scc_uuid_write(&b, told->id);
    scc_buf_byte(&b, '\0');

    if (b.error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *ngx_scc_durability(text, told) = '\0';

    if (ngx_scc_header(r, "Location", (char *) b.start + at) != NGX_OK
        || ngx_scc_header(r, "SCC-Durability", (char *) text) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (status == NGX_HTTP_CREATED && c->preferred) {
        *ngx_sprintf(text, "wait=%ui", c->prefer) = '\0';

        if (ngx_scc_header(r, "Preference-Applied", (char *) text)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    b.used--;
    scc_buf_text(&b, "\"}\n");

    if (b.error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_atomic_fetch_add(&stat->accepted, 1);
    (void) ngx_atomic_fetch_add(&stat->repeated, c->repeated);
    (void) ngx_atomic_fetch_add(&stat->waited, status == NGX_HTTP_CREATED);

    return ngx_scc_send_private(r, c->ctx, status, b.start, b.used);
}


ngx_scc_told_status_t
ngx_scc_told_status(ngx_uint_t state)
{
    switch (state) {

    case NGX_SCC_PENDING_JOURNALED:
        return NGX_SCC_TOLD_JOURNALED;

    case NGX_SCC_PENDING_QUEUED:
    case NGX_SCC_PENDING_SYNCED:
        return NGX_SCC_TOLD_QUEUED;

    case NGX_SCC_PENDING_DEAD:
        return NGX_SCC_TOLD_DEAD;

    default:
        return NGX_SCC_TOLD_APPLIED;
    }
}


u_char *
ngx_scc_durability(u_char *p, ngx_scc_told_t *told)
{
    return ngx_sprintf(p, "journal=%ui, queue=%d, applied=%d", told->journal,
                       told->queue ? 1 : 0,
                       (told->applied && told->kept) ? 1 : 0);
}
