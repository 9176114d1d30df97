
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_ogc.h"

#include <string.h>


static scc_rc_t scc_ogc_tile(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t rest, scc_err_t *err);


scc_rc_t
scc_ogc_path(scc_query_t *q, const scc_query_conf_t *conf, scc_str_t path,
    scc_err_t *err)
{
    size_t     i;
    uint8_t    block[sizeof("places/") + SCC_ID_MAX * 3];
    scc_rc_t   rc;
    scc_buf_t  b;
    scc_str_t  rest;

    static const scc_str_t  none = scc_null_string;

    static const struct {
        scc_str_t    path;
        scc_route_t  route;
    } routes[] = {
        { scc_string(""), SCC_ROUTE_OGC_LANDING },
        { scc_string("api"), SCC_ROUTE_OGC_API },
        { scc_string("conformance"), SCC_ROUTE_OGC_CONFORMANCE },
        { scc_string("collections"), SCC_ROUTE_OGC_COLLECTIONS },
        { scc_string("collections/places"), SCC_ROUTE_OGC_COLLECTION },
        { scc_string("tiles"), SCC_ROUTE_OGC_TILESETS },
        { scc_string("tiles/WebMercatorQuad"), SCC_ROUTE_OGC_TILESET },
    };

    static const scc_str_t  places = scc_string("places");
    static const scc_str_t  items = scc_string("collections/places/items");

    /* the world, until a bbox says less */

    static const scc_area_t  world = {
        1, { { -SCC_LON_MAX, -SCC_LAT_MAX, SCC_LON_MAX, SCC_LAT_MAX },
             { 0, 0, 0, 0 } }
    };

    if (scc_str_eq(path, items)) {
        rc = scc_query_path(q, conf, places, err);
        q->ogc = true;
        q->area = world;

        return rc;
    }

    rest = path;

    if (scc_str_skip(&rest, "collections/places/items/")) {

        /* an id is checked where ids are checked */

        scc_buf_fixed(&b, block, sizeof(block));
        scc_buf_text(&b, "places/");
        scc_buf_str(&b, rest);

        rc = scc_query_path(q, conf, scc_buf_get(&b), err);
        q->ogc = true;
        q->route = SCC_ROUTE_OGC_ITEM;

        if (b.error) {
            rc = SCC_DECLINED;
        }

        return rc;
    }

    if (scc_str_skip(&rest, "tiles/WebMercatorQuad/")) {
        return scc_ogc_tile(q, conf, rest, err);
    }

    (void) scc_query_path(q, conf, none, err);
    q->ogc = true;

    for (i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (scc_str_eq(path, routes[i].path)) {
            q->route = routes[i].route;
            return SCC_OK;
        }
    }

    return SCC_DECLINED;
}


/* Row before column: what the map's own tiles call z/x/y. */

static scc_rc_t
scc_ogc_tile(scc_query_t *q, const scc_query_conf_t *conf, scc_str_t rest,
    scc_err_t *err)
{
    uint8_t         block[64];
    scc_rc_t        rc;
    scc_buf_t       b;
    scc_str_t       part[3];
    unsigned        i;
    const uint8_t  *end;

    for (i = 0; i < 3; i++) {
        end = (rest.len != 0) ? memchr(rest.data, '/', rest.len) : NULL;

        part[i].data = rest.data;
        part[i].len = (end != NULL && i < 2)
                      ? (size_t) (end - rest.data) : rest.len;

        rest.data += part[i].len + (end != NULL && i < 2);
        rest.len -= part[i].len + (end != NULL && i < 2);
    }

    scc_buf_fixed(&b, block, sizeof(block));

    scc_buf_text(&b, "tiles/");
    scc_buf_str(&b, part[0]);
    scc_buf_byte(&b, '/');
    scc_buf_str(&b, part[2]);
    scc_buf_byte(&b, '/');
    scc_buf_str(&b, part[1]);
    scc_buf_text(&b, ".mvt");

    if (b.error) {
        b.used = 0;
    }

    rc = scc_query_path(q, conf, scc_buf_get(&b), err);
    q->ogc = true;

    return rc;
}
