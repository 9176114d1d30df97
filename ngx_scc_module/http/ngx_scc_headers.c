
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


/* tiles below have no places of their own */
#define NGX_SCC_PLACES_Z      13

#define NGX_SCC_CONTROL_LEN                                                   \
    (sizeof("public, max-age=, stale-while-revalidate=, stale-if-error=")     \
     + 3 * NGX_TIME_T_LEN)


/* The default of what "scc_cache_control" says, in seconds. */

typedef struct {
    ngx_str_t             name;
    time_t                times[6];
} ngx_scc_control_class_t;


static ngx_str_t *ngx_scc_control_make(ngx_conf_t *cf,
    ngx_scc_control_t *control, const time_t *times);
static ngx_int_t ngx_scc_keys(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
static ngx_scc_life_t ngx_scc_life(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx);
static const char *ngx_scc_cache_status(ngx_scc_ctx_t *ctx);
static ngx_int_t ngx_scc_header_vary(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx);
static ngx_int_t ngx_scc_header_link(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx);
static ngx_int_t ngx_scc_header_as_of(ngx_http_request_t *r, time_t as_of);


static const char  *ngx_scc_control_params[] = {
    "max_age=", "swr=", "sie=", "cdn_max_age=", "cdn_swr=", "cdn_sie="
};


/* by life, from NGX_SCC_LIFE_FIRST on; what is 0 is not said, but a life
   of 0 is "no-cache", and at the edge "no-store" */

static ngx_scc_control_class_t  ngx_scc_control_classes[] = {
    { ngx_string("tile"),      { 30,  600,   86400, 600,  30,  604800 } },
    { ngx_string("aggregate"), { 60,  3600,  86400, 60,   600, 604800 } },
    { ngx_string("place"),     { 0,   0,     0,     600,  30,  604800 } },
    { ngx_string("nearby"),    { 15,  0,     0,     30,   0,   0      } },
    { ngx_string("meta"),      { 300, 0,     0,     3600, 0,   0      } },
    { ngx_string("missing"),   { 0,   0,     0,     10,   0,   0      } },
    { ngx_string("invalid"),   { 60,  0,     0,     3600, 0,   0      } },
};


/* the lives that cannot be configured */

static ngx_scc_control_t  ngx_scc_control_fixed[] = {
    { ngx_string("no-store"), ngx_string("no-store") },
    { ngx_string("no-cache"), ngx_string("no-store") },
    { ngx_string("public, max-age=2, stale-if-error=86400"),
      ngx_string("max-age=2, stale-if-error=86400") },
};


/* scc_cache_control class off | time=...; */

char *
ngx_scc_conf_control(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_scc_loc_conf_t *slcf = conf;

    size_t                    len;
    time_t                    times[6];
    ngx_str_t                *value, text;
    ngx_uint_t                i, n;
    ngx_scc_control_t        *control;
    ngx_scc_control_class_t  *class;

    value = cf->args->elts;

    class = NULL;

    for (n = 0; n < NGX_SCC_LIVES - NGX_SCC_LIFE_FIRST; n++) {
        if (ngx_strcmp(value[1].data, ngx_scc_control_classes[n].name.data)
            == 0)
        {
            class = &ngx_scc_control_classes[n];
            break;
        }
    }

    if (class == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid class \"%V\" of \"scc_cache_control\"; "
                           "it must be tile, aggregate, place, nearby, "
                           "meta, missing or invalid", &value[1]);
        return NGX_CONF_ERROR;
    }

    control = &slcf->control[NGX_SCC_LIFE_FIRST + n];

    if (control->browser.data != NULL) {
        return "is duplicate";
    }

    if (cf->args->nelts == 3 && ngx_strcmp(value[2].data, "off") == 0) {
        ngx_str_set(&control->browser, "");
        ngx_str_set(&control->cdn, "");
        return NGX_CONF_OK;
    }

    ngx_memcpy(times, class->times, sizeof(times));

    for (i = 2; i < cf->args->nelts; i++) {

        len = 0;

        for (n = 0; n < 6; n++) {
            len = ngx_strlen(ngx_scc_control_params[n]);

            if (ngx_strncmp(value[i].data, ngx_scc_control_params[n], len)
                == 0)
            {
                break;
            }
        }

        if (n == 6) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of "
                               "\"scc_cache_control\"; allowed: off, or "
                               "max_age=, swr=, sie=, cdn_max_age=, "
                               "cdn_swr=, cdn_sie= and a time", &value[i]);
            return NGX_CONF_ERROR;
        }

        text.data = value[i].data + len;
        text.len = value[i].len - len;

        times[n] = ngx_parse_time(&text, 1);

        if (times[n] == (time_t) NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid time in \"%V\" of "
                               "\"scc_cache_control\"; give it as 90, 10m "
                               "or 1d", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return (ngx_scc_control_make(cf, control, times) != NULL)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_scc_control_merge(ngx_conf_t *cf, ngx_scc_control_t *prev,
    ngx_scc_control_t *conf)
{
    ngx_uint_t                i;
    ngx_scc_control_class_t  *class;

    for (i = 0; i < NGX_SCC_LIVES; i++) {

        if (i < NGX_SCC_LIFE_FIRST) {
            conf[i] = ngx_scc_control_fixed[i];
            continue;
        }

        if (conf[i].browser.data != NULL) {
            continue;
        }

        if (prev[i].browser.data == NULL) {
            class = &ngx_scc_control_classes[i - NGX_SCC_LIFE_FIRST];

            if (ngx_scc_control_make(cf, &prev[i], class->times) == NULL) {
                return NGX_CONF_ERROR;
            }
        }

        conf[i] = prev[i];
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_scc_validate(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    scc_etag_kind_t kind, uint64_t hash, size_t size)
{
    scc_str_t            list, etag;
    ngx_table_elt_t     *match, *none;
    ngx_scc_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    ctx->validated = 1;
    ctx->kind = kind;
    ctx->hash = hash;
    ctx->size = size;
    ctx->coding = (slcf->gzip && size >= NGX_SCC_GZIP_MIN
                   && ngx_scc_gzip_wanted(r))
                  ? SCC_CODING_GZIP : SCC_CODING_IDENTITY;

    (void) scc_etag_write(ctx->etag, kind, hash, ctx->coding);

    /* a subrequest has the headers of another request */

    if (r != r->main) {
        return NGX_DECLINED;
    }

    etag.data = ctx->etag;
    etag.len = SCC_ETAG_LEN;

    match = r->headers_in.if_match;
    none = r->headers_in.if_none_match;

    if (match != NULL) {
        list.data = match->value.data;
        list.len = match->value.len;

        if (!scc_etag_match(list, etag, false)) {
            return ngx_scc_problem(r, ctx, NGX_HTTP_PRECONDITION_FAILED,
                                   "If-Match has no validator of what is "
                                   "here now; ask again without it", NULL);
        }
    }

    if (none != NULL) {
        list.data = none->value.data;
        list.len = none->value.len;

        if (scc_etag_match(list, etag, true)) {
            return ngx_scc_not_modified(r, ctx);
        }
    }

    return NGX_DECLINED;
}


ngx_int_t
ngx_scc_headers(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    const char          *cache, *expose;
    ngx_str_t            etag, *state;
    ngx_scc_life_t       life;
    ngx_table_elt_t     *h;
    ngx_scc_control_t   *control;
    ngx_scc_loc_conf_t  *slcf;

    static ngx_str_t  star = ngx_string("*");
    static ngx_str_t  nosniff = ngx_string("nosniff");

    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    /* conditions are judged in ngx_scc_validate(): nginx's own filter would
       take the want of a Last-Modified for a failed If-Unmodified-Since */

    r->disable_not_modified = 1;

    if (ngx_scc_keys(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    life = ngx_scc_life(r, ctx);
    control = &slcf->control[life];

    if (control->browser.len != 0
        && (ngx_scc_header_push(r, "Cache-Control", &control->browser)
               == NULL
            || ngx_scc_header_push(r, "CDN-Cache-Control", &control->cdn)
               == NULL
            || ngx_scc_header_push(r, "Surrogate-Control", &control->cdn)
               == NULL))
    {
        return NGX_ERROR;
    }

    if (life != NGX_SCC_LIFE_NONE && ctx->keys.len != 0
        && ngx_scc_header_push(r, "Surrogate-Key", &ctx->keys) == NULL)
    {
        return NGX_ERROR;
    }

    if (ctx->validated && r->headers_out.status < NGX_HTTP_BAD_REQUEST) {
        etag.data = ctx->etag;
        etag.len = SCC_ETAG_LEN;

        h = ngx_scc_header_push(r, "ETag", &etag);
        if (h == NULL) {
            return NGX_ERROR;
        }

        /* a filter that changes the body weakens it */

        r->headers_out.etag = h;

        if (ngx_scc_header_vary(r, ctx) != NGX_OK
            || ngx_scc_header_link(r, ctx) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ctx->as_of != 0 && ngx_scc_header_as_of(r, ctx->as_of) != NGX_OK) {
        return NGX_ERROR;
    }

    cache = ngx_scc_cache_status(ctx);

    if (cache != NULL && ngx_scc_header(r, "Cache-Status", cache) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->status != NGX_SCC_CACHE_NONE) {
        state = ngx_scc_data_state(r, ctx);

        if (state != NULL
            && ngx_scc_header_push(r, "SCC-Data-State", state) == NULL)
        {
            return NGX_ERROR;
        }
    }

    expose = (ctx->query.route == SCC_ROUTE_CONTRIBUTIONS)
             ? "Location, Preference-Applied, Retry-After, SCC-Durability"
             : (ctx->query.route == SCC_ROUTE_PLACE)
               ? "ETag, Cache-Status, SCC-Data-State, SCC-Rev"
               : (ctx->query.route == SCC_ROUTE_TILE)
                 ? "ETag, Cache-Status, SCC-Data-State, SCC-As-Of"
                 : "ETag, Cache-Status, SCC-Data-State";

    if (ngx_scc_header_push(r, "Access-Control-Allow-Origin", &star) == NULL
        || ngx_scc_header(r, "Access-Control-Expose-Headers", expose)
           != NGX_OK
        || ngx_scc_header_push(r, "Timing-Allow-Origin", &star) == NULL
        || ngx_scc_header_push(r, "X-Content-Type-Options", &nosniff)
           == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_table_elt_t *
ngx_scc_header_push(ngx_http_request_t *r, char *name, ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    h->key.len = ngx_strlen(name);
    h->key.data = (u_char *) name;
    h->value = *value;

    return h;
}


ngx_int_t
ngx_scc_header(ngx_http_request_t *r, char *name, const char *value)
{
    ngx_str_t  copy;

    copy.len = ngx_strlen(value);

    copy.data = ngx_pnalloc(r->pool, copy.len + 1);
    if (copy.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(copy.data, value, copy.len + 1);

    return (ngx_scc_header_push(r, name, &copy) != NULL) ? NGX_OK
                                                         : NGX_ERROR;
}


static ngx_str_t *
ngx_scc_control_make(ngx_conf_t *cf, ngx_scc_control_t *control,
    const time_t *times)
{
    u_char      *p;
    ngx_str_t   *s;
    ngx_uint_t   i;

    for (i = 0; i < 2; i++, times += 3) {
        s = (i == 0) ? &control->browser : &control->cdn;

        p = ngx_pnalloc(cf->pool, NGX_SCC_CONTROL_LEN);
        if (p == NULL) {
            return NULL;
        }

        s->data = p;

        if (times[0] == 0) {
            p = ngx_sprintf(p, (i == 0) ? "no-cache" : "no-store");

        } else {
            p = ngx_sprintf(p, "%smax-age=%T", (i == 0) ? "public, " : "",
                            times[0]);

            if (times[1] != 0) {
                p = ngx_sprintf(p, ", stale-while-revalidate=%T", times[1]);
            }

            if (times[2] != 0) {
                p = ngx_sprintf(p, ", stale-if-error=%T", times[2]);
            }
        }

        s->len = p - s->data;
    }

    return &control->browser;
}


/*
 * What an answer is purged by.  What has no keys of its own, for want of few
 * enough of them, is not told of changes: it lives as an aggregate does.
 */

static ngx_int_t
ngx_scc_keys(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    u_char       *p, *last;
    unsigned      i, n;
    scc_cells_t   cells[2];
    scc_query_t  *q;

    q = &ctx->query;

    if (r->headers_out.status >= NGX_HTTP_BAD_REQUEST
        && ctx->life != NGX_SCC_LIFE_MISSING)
    {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, SCC_KEYS_AREA * (SCC_KEY_MAX + 1)
                             + sizeof(" " SCC_KEY_ALL));
    if (p == NULL) {
        return NGX_ERROR;
    }

    switch (q->route) {

    case SCC_ROUTE_PLACE:
        last = scc_key_place(p, q->id);

        if (ctx->page.copy || ctx->page.json.len != 0) {
            *last++ = ' ';
            last = scc_key_cell(last, SCC_KEY_Z_FINE, ctx->page.page.cell);
        }

        break;

    case SCC_ROUTE_OGC_ITEM:
        last = scc_key_place(p, q->id);

        if (ctx->n_features != 0) {
            *last++ = ' ';
            last = scc_key_cell(last, SCC_KEY_Z_FINE, ctx->item);
        }

        break;

    case SCC_ROUTE_NEARBY:
        last = ngx_scc_nearby_keys(ctx, p);

        /* the shortest life, whether or not it is told of changes */

        if (last == p) {
            return NGX_OK;
        }

        break;

    case SCC_ROUTE_TILEJSON:
        last = ngx_cpymem(p, "meta", sizeof("meta") - 1);
        break;

    case SCC_ROUTE_PLACES:
        n = q->area.n;

        for (i = 0; i < n; i++) {
            scc_cell_cover(&q->area.box[i], &cells[i]);
        }

        last = scc_keys_area(p, cells, n);
        break;

    case SCC_ROUTE_TILE:
        last = (q->z < NGX_SCC_PLACES_Z) ? p
                                         : scc_keys_area(p, &q->cells, 1);
        break;

    case SCC_ROUTE_CELLS:
        last = scc_keys_area(p, &q->cells, 1);
        break;

    default:
        return NGX_OK;
    }

    ctx->keys.data = p;

    if (last == p) {
        ctx->life = NGX_SCC_LIFE_AGGREGATE;
        last = ngx_cpymem(p, "agg", sizeof("agg") - 1);

    } else if (q->route != SCC_ROUTE_TILEJSON) {
        last = ngx_cpymem(last, " " SCC_KEY_ALL, sizeof(" " SCC_KEY_ALL) - 1);
    }

    ctx->keys.len = last - p;

    return NGX_OK;
}


static ngx_scc_life_t
ngx_scc_life(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_uint_t    status;
    scc_query_t  *q;

    q = &ctx->query;
    status = r->headers_out.status;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) || ctx->early) {
        return NGX_SCC_LIFE_NONE;
    }

    if (status >= NGX_HTTP_BAD_REQUEST) {

        if (ctx->life == NGX_SCC_LIFE_MISSING) {
            return NGX_SCC_LIFE_MISSING;
        }

        /* nothing but the URL was looked at, and that of a read */

        return (ctx->status == NGX_SCC_CACHE_NONE
                && q->route != SCC_ROUTE_CONTRIBUTION
                && (status == NGX_HTTP_BAD_REQUEST
                    || (status == NGX_HTTP_NOT_FOUND
                        && q->route == SCC_ROUTE_NONE)))
               ? NGX_SCC_LIFE_INVALID : NGX_SCC_LIFE_NONE;
    }

    /* what is newer is on its way: an edge that was just purged asks again */

    if (ctx->status == NGX_SCC_CACHE_STALE || ctx->young
        || (ctx->status != NGX_SCC_CACHE_NONE && ngx_scc_data_state(r, ctx)))
    {
        return NGX_SCC_LIFE_STALE;
    }

    if (ctx->life != NGX_SCC_LIFE_NONE) {
        return ctx->life;
    }

    switch (q->route) {

    case SCC_ROUTE_PLACES:
    case SCC_ROUTE_CELLS:
    case SCC_ROUTE_TILE:
        return NGX_SCC_LIFE_TILE;

    case SCC_ROUTE_PLACE:
        return (q->rev == 0) ? NGX_SCC_LIFE_PLACE : NGX_SCC_LIFE_REACHED;

    case SCC_ROUTE_OGC_ITEM:
        return NGX_SCC_LIFE_PLACE;

    case SCC_ROUTE_NEARBY:
        return NGX_SCC_LIFE_NEARBY;

    case SCC_ROUTE_TILEJSON:
        return NGX_SCC_LIFE_META;

    default:
        return NGX_SCC_LIFE_NONE;
    }
}


/* NULL: nothing is wrong with what is answered.  One read of shared memory. */

ngx_str_t *
ngx_scc_data_state(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_scc_main_conf_t  *smcf;

    static ngx_str_t  stale = ngx_string("stale");
    static ngx_str_t  rewound = ngx_string("rewound");
    static ngx_str_t  quarantine = ngx_string("quarantine");

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    switch (ngx_scc_guard_state(smcf->guard)) {

    case SCC_GUARD_REWOUND:
        return &rewound;

    case SCC_GUARD_QUARANTINE:
        return &quarantine;

    default:
        return (ctx->status == NGX_SCC_CACHE_STALE) ? &stale : NULL;
    }
}


static const char *
ngx_scc_cache_status(ngx_scc_ctx_t *ctx)
{
    switch (ctx->status) {

    case NGX_SCC_CACHE_HIT:
        return ctx->zone ? "scc; hit; detail=l1" : "scc; hit; detail=redis";

    case NGX_SCC_CACHE_MISS:
        return ctx->unkept ? "scc; fwd=miss; detail=pg"
               : ctx->partial ? "scc; fwd=partial; stored; detail=pg"
                              : "scc; fwd=miss; stored; detail=pg";

    case NGX_SCC_CACHE_STALE:
        return "scc; hit; ttl=-1; detail=redis-stale";

    case NGX_SCC_CACHE_PG:
    case NGX_SCC_CACHE_WIDE:
        return "scc; fwd=bypass; detail=pg";

    default:
        return NULL;
    }
}


/*
 * nginx's gzip filter, which would do it once more and weaken the ETag, keeps
 * off what has a coding: "identity" is one that is not sent.
 */

static ngx_int_t
ngx_scc_header_vary(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_table_elt_t     *h;
    ngx_scc_loc_conf_t  *slcf;

    static ngx_str_t  gzip = ngx_string("gzip");
    static ngx_str_t  vary = ngx_string("Accept-Encoding");

    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    if (!slcf->gzip) {
        return NGX_OK;
    }

    if (ngx_scc_header_push(r, "Vary", &vary) == NULL) {
        return NGX_ERROR;
    }

    if (r->headers_out.status != NGX_HTTP_OK) {
        return NGX_OK;
    }

    if (ctx->coding == SCC_CODING_GZIP) {
        h = ngx_scc_header_push(r, "Content-Encoding", &gzip);
        if (h == NULL) {
            return NGX_ERROR;
        }

    } else {
        h = ngx_pcalloc(r->pool, sizeof(ngx_table_elt_t));
        if (h == NULL) {
            return NGX_ERROR;
        }

        ngx_str_set(&h->key, "Content-Encoding");
        ngx_str_set(&h->value, "identity");
    }

    r->headers_out.content_encoding = h;

    return NGX_OK;
}


/*
 * A box's answer is no other URL's: that of its cells is a superset, which
 * is what RFC 6596 calls canonical, and never Content-Location.
 */

static ngx_int_t
ngx_scc_header_link(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    u_char       *p;
    ngx_str_t     value;
    scc_cells_t   cells;
    scc_query_t  *q;

    q = &ctx->query;

    if (q->route != SCC_ROUTE_PLACES || ctx->status == NGX_SCC_CACHE_WIDE
        || q->area.n != 1 || q->ogc)
    {
        return NGX_OK;
    }

    scc_cell_cover(&q->area.box[0], &cells);

    p = ngx_pnalloc(r->pool, sizeof("<cells/16/65535-65535/65535-65535.json>"
                                    "; rel=\"canonical\""));
    if (p == NULL) {
        return NGX_ERROR;
    }

    value.data = p;
    value.len = ngx_sprintf(p, "<cells/16/%uD-%uD/%uD-%uD.json>; "
                            "rel=\"canonical\"", cells.x0, cells.x1,
                            cells.y0, cells.y1)
                - p;

    return (ngx_scc_header_push(r, "Link", &value) != NULL) ? NGX_OK
                                                            : NGX_ERROR;
}


/* Every change that was committed before is counted. */

static ngx_int_t
ngx_scc_header_as_of(ngx_http_request_t *r, time_t as_of)
{
    u_char    text[sizeof("1970-01-01T00:00:00Z") + NGX_INT_T_LEN];
    ngx_tm_t  tm;

    ngx_gmtime(as_of, &tm);

    *ngx_sprintf(text, "%4d-%02d-%02dT%02d:%02d:%02dZ", tm.ngx_tm_year,
                 tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                 tm.ngx_tm_min, tm.ngx_tm_sec) = '\0';

    return ngx_scc_header(r, "SCC-As-Of", (char *) text);
}
