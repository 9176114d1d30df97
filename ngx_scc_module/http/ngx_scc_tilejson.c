
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


/*
 * TileJSON 3.0.0; needs no backend.  Maps are told to stop at z 15 and to
 * draw its tiles larger from there on: a unit of a tile is a foot then, and
 * a fourth of the tiles is enough (tiles of z 16 are there for who asks).
 */

ngx_int_t
ngx_scc_tilejson(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    scc_buf_t            b;
    scc_str_t            s;
    ngx_str_t            base;
    ngx_scc_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    if (ngx_scc_base(r, &base) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);

    scc_buf_text(&b, "{\"tilejson\":\"3.0.0\",\"name\":\"Stair map\","
                     "\"version\":\"1.0.0\",\"scheme\":\"xyz\",\"tiles\":[");

    s.data = base.data;
    s.len = ngx_sprintf(base.data + base.len, "tiles/{z}/{x}/{y}.mvt")
            - base.data;

    scc_buf_json(&b, s);

    scc_buf_text(&b, "],\"minzoom\":5,\"maxzoom\":15,\"bounds\":[");

    s.len = slcf->bounds.len;
    s.data = slcf->bounds.data;

    scc_buf_str(&b, s);
    scc_buf_byte(&b, ']');

    if (slcf->attribution.len != 0) {
        scc_buf_text(&b, ",\"attribution\":");

        s.len = slcf->attribution.len;
        s.data = slcf->attribution.data;

        scc_buf_json(&b, s);
    }

    scc_buf_text(&b,
        ",\"vector_layers\":[{\"id\":\"places\","
        "\"description\":\"Places and whether a wheelchair can get in; "
        "an attribute that is absent is unknown\","
        "\"minzoom\":13,\"maxzoom\":15,\"fields\":{"
        "\"id\":\"String: as in places/{id}\","
        "\"name\":\"String\","
        "\"category\":\"String, or absent\","
        "\"level\":\"Number: access level 0 (no obstacle) to 5, or "
        "absent: unknown\","
        "\"registered\":\"Boolean: an accessibility record exists\","
        "\"hasSlope\":\"Boolean, or absent: unknown\"}},"
        "{\"id\":\"aggregates\",\"description\":\"How many places there "
        "are in each of 16 x 16 squares, where they are on average\","
        "\"minzoom\":5,\"maxzoom\":12,\"fields\":{"
        "\"n\":\"Number: places\","
        "\"level0\":\"Number: of level 0\","
        "\"level1\":\"Number: of level 1\","
        "\"level2\":\"Number: of level 2\","
        "\"level3\":\"Number: of level 3\","
        "\"level4\":\"Number: of level 4\","
        "\"level5\":\"Number: of level 5\","
        "\"unknown\":\"Number: of no known level\","
        "\"unregistered\":\"Number: without an accessibility "
        "record\"}}]}");

    if (b.error) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_send(r, ctx, &ngx_scc_type_json, b.start, b.used);
}


/*
 * scc_base_url, or what the client wrote: scheme, Host and the location's
 * prefix.  With room for the tiles' template behind it.
 */

ngx_int_t
ngx_scc_base(ngx_http_request_t *r, ngx_str_t *base)
{
    u_char              *p, address[NGX_SOCKADDR_STRLEN];
    size_t               len;
    ngx_str_t            url, host;
    ngx_scc_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    ngx_str_null(&url);

    if (slcf->base_url != NULL
        && ngx_http_complex_value(r, slcf->base_url, &url) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->headers_in.host != NULL) {
        host = r->headers_in.host->value;

    } else {

        /* HTTP/1.0: where the connection came to */

        host.len = NGX_SOCKADDR_STRLEN;
        host.data = address;

        if (ngx_connection_local_sockaddr(r->connection, &host, 1)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    len = sizeof("https://") + url.len + host.len + slcf->prefix.len
          + sizeof("/tiles/{z}/{x}/{y}.mvt");

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    base->data = p;

    if (url.len != 0) {
        p = ngx_cpymem(p, url.data, url.len);

    } else {
#if (NGX_HTTP_SSL)
        if (r->connection->ssl) {
            p = ngx_cpymem(p, "https://", sizeof("https://") - 1);
        } else
#endif
        {
            p = ngx_cpymem(p, "http://", sizeof("http://") - 1);
        }

        p = ngx_cpymem(p, host.data, host.len);
        p = ngx_cpymem(p, slcf->prefix.data, slcf->prefix.len);
    }

    if (p == base->data || p[-1] != '/') {
        *p++ = '/';
    }

    base->len = p - base->data;

    return NGX_OK;
}
