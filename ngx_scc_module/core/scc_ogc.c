
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_ogc.h"

#include <string.h>


#define SCC_OGC_JSON     "application/json"
#define SCC_OGC_GEOJSON  "application/geo+json"

/* 17-069r4 7.3 wants this one, letter by letter */

#define SCC_OGC_OPENAPI  "application/vnd.oai.openapi+json;version=3.0"

#define SCC_OGC_CRS84    "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
#define SCC_OGC_3857     "http://www.opengis.net/def/crs/EPSG/0/3857"
#define SCC_OGC_QUAD                                                         \
    "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad"
#define SCC_OGC_REL      "http://www.opengis.net/def/rel/ogc/1.0/"

#define SCC_OGC_FEATURES                                                     \
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/"
#define SCC_OGC_TILES                                                        \
    "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/"

#define SCC_OGC_TILE_Z_MIN  5


static void scc_ogc_landing(scc_buf_t *b, const scc_ogc_conf_t *conf);
static void scc_ogc_conformance(scc_buf_t *b);
static void scc_ogc_collections(scc_buf_t *b, const scc_ogc_conf_t *conf);
static void scc_ogc_collection(scc_buf_t *b, const scc_ogc_conf_t *conf);
static void scc_ogc_tilesets(scc_buf_t *b, const scc_ogc_conf_t *conf);
static void scc_ogc_tileset(scc_buf_t *b, const scc_ogc_conf_t *conf);
static void scc_ogc_link(scc_buf_t *b, scc_str_t base, const char *rel,
    const char *type, const char *title, const char *path);
static void scc_ogc_license(scc_buf_t *b, const scc_ogc_conf_t *conf);
static void scc_ogc_text(scc_buf_t *b, const char *key, scc_str_t value);
static void scc_ogc_page(scc_buf_t *b, const scc_query_t *q,
    const scc_cursor_t *cursor);
static bool scc_ogc_time(scc_str_t s);
static bool scc_ogc_zone(scc_str_t s);
static bool scc_ogc_digits(scc_str_t *s, unsigned n, unsigned max,
    char after);


void
scc_ogc_document(scc_buf_t *b, scc_route_t route,
    const scc_ogc_conf_t *conf)
{
    switch (route) {

    case SCC_ROUTE_OGC_LANDING:
        scc_ogc_landing(b, conf);
        break;

    case SCC_ROUTE_OGC_API:
        scc_ogc_api(b, conf);
        break;

    case SCC_ROUTE_OGC_CONFORMANCE:
        scc_ogc_conformance(b);
        break;

    case SCC_ROUTE_OGC_COLLECTIONS:
        scc_ogc_collections(b, conf);
        break;

    case SCC_ROUTE_OGC_COLLECTION:
        scc_ogc_collection(b, conf);
        break;

    case SCC_ROUTE_OGC_TILESETS:
        scc_ogc_tilesets(b, conf);
        break;

    default:
        scc_ogc_tileset(b, conf);
    }

    scc_buf_byte(b, '\n');
}


void
scc_ogc_links(scc_buf_t *b, const scc_query_t *q, const scc_cursor_t *next)
{
    scc_buf_text(b, "{\"rel\":\"self\",\"type\":\"" SCC_OGC_GEOJSON "\","
                    "\"title\":\"This page\",\"href\":\"");
    scc_ogc_page(b, q, &q->cursor);

    if (next != NULL && next->set) {
        scc_buf_text(b, "\"},{\"rel\":\"next\",\"type\":\""
                        SCC_OGC_GEOJSON "\",\"title\":\"The next page\","
                        "\"href\":\"");
        scc_ogc_page(b, q, next);
    }

    scc_buf_text(b, "\"},");
    scc_ogc_link(b, q->base, "collection", SCC_OGC_JSON, "Places",
                 "collections/places");
}


void
scc_ogc_item(scc_buf_t *b, const scc_query_t *q, const scc_place_t *place)
{
    scc_place_feature_open(b, place);

    scc_buf_text(b, "},\"links\":[{\"rel\":\"self\",\"type\":\""
                    SCC_OGC_GEOJSON "\",\"href\":\"");
    scc_buf_str(b, q->base);
    scc_buf_text(b, "collections/places/items/");
    scc_buf_urlencode(b, place->id);
    scc_buf_text(b, "\"},");
    scc_ogc_link(b, q->base, "collection", SCC_OGC_JSON, "Places",
                 "collections/places");
    scc_buf_text(b, "]}\n");
}


bool
scc_ogc_datetime(scc_str_t text)
{
    bool            open;
    scc_str_t       side[2];
    unsigned        i, n;
    const uint8_t  *slash;

    slash = (text.len != 0) ? memchr(text.data, '/', text.len) : NULL;

    if (slash == NULL) {
        return scc_ogc_time(text);
    }

    side[0].data = text.data;
    side[0].len = (size_t) (slash - text.data);
    side[1].data = slash + 1;
    side[1].len = text.len - side[0].len - 1;

    n = 0;

    for (i = 0; i < 2; i++) {
        open = side[i].len == 0
               || (side[i].len == 2 && memcmp(side[i].data, "..", 2) == 0);

        if (!open && !scc_ogc_time(side[i])) {
            return false;
        }

        n += open;
    }

    return n < 2;
}


static void
scc_ogc_landing(scc_buf_t *b, const scc_ogc_conf_t *conf)
{
    scc_buf_text(b, "{\"title\":\"Stair map\",\"description\":\"Places, and "
                    "whether a wheelchair can get in. What is not known is "
                    "null, which is not no.\"");
    scc_ogc_text(b, ",\"attribution\":", conf->attribution);
    scc_buf_text(b, ",\"links\":[");

    scc_ogc_link(b, conf->base, "self", SCC_OGC_JSON, "This document", "");
    scc_buf_byte(b, ',');
    scc_ogc_link(b, conf->base, "service-desc", SCC_OGC_OPENAPI,
                 "The API's definition", "api");
    scc_buf_byte(b, ',');
    scc_ogc_link(b, conf->base, "conformance", SCC_OGC_JSON,
                 "What this API conforms to", "conformance");
    scc_buf_byte(b, ',');
    scc_ogc_link(b, conf->base, "data", SCC_OGC_JSON, "Collections",
                 "collections");
    scc_buf_byte(b, ',');
    scc_ogc_link(b, conf->base, SCC_OGC_REL "tilesets-vector", SCC_OGC_JSON,
                 "Vector tiles", "tiles");
    scc_ogc_license(b, conf);

    scc_buf_text(b, "]}");
}


static void
scc_ogc_conformance(scc_buf_t *b)
{
    scc_buf_text(b, "{\"conformsTo\":["
                    "\"" SCC_OGC_FEATURES "core\","
                    "\"" SCC_OGC_FEATURES "geojson\","
                    "\"" SCC_OGC_FEATURES "oas30\","
                    "\"" SCC_OGC_TILES "core\","
                    "\"" SCC_OGC_TILES "tileset\","
                    "\"" SCC_OGC_TILES "tilesets-list\","
                    "\"" SCC_OGC_TILES "dataset-tilesets\","
                    "\"" SCC_OGC_TILES "mvt\"]}");
}


static void
scc_ogc_collections(scc_buf_t *b, const scc_ogc_conf_t *conf)
{
    scc_buf_text(b, "{\"links\":[");
    scc_ogc_link(b, conf->base, "self", SCC_OGC_JSON, "This document",
                 "collections");
    scc_ogc_license(b, conf);
    scc_buf_text(b, "],\"collections\":[");
    scc_ogc_collection(b, conf);
    scc_buf_text(b, "]}");
}


/* The same by itself and in the list. */

static void
scc_ogc_collection(scc_buf_t *b, const scc_ogc_conf_t *conf)
{
    scc_buf_text(b, "{\"id\":\"places\",\"title\":\"Places\","
                    "\"description\":\"Places with their access level, 0 (no "
                    "obstacle) to 5, and what it is made from; null is "
                    "unknown.\"");
    scc_ogc_text(b, ",\"attribution\":", conf->attribution);
    scc_buf_text(b, ",\"itemType\":\"feature\","
                    "\"crs\":[\"" SCC_OGC_CRS84 "\"],"
                    "\"extent\":{\"spatial\":{\"bbox\":[[");
    scc_buf_str(b, conf->bounds);
    scc_buf_text(b, "]],\"crs\":\"" SCC_OGC_CRS84 "\"}},\"links\":[");

    scc_ogc_link(b, conf->base, "self", SCC_OGC_JSON, "This collection",
                 "collections/places");
    scc_buf_byte(b, ',');
    scc_ogc_link(b, conf->base, "items", SCC_OGC_GEOJSON, "The places",
                 "collections/places/items");
    scc_ogc_license(b, conf);

    scc_buf_text(b, "]}");
}


static void
scc_ogc_tilesets(scc_buf_t *b, const scc_ogc_conf_t *conf)
{
    scc_buf_text(b, "{\"links\":[");
    scc_ogc_link(b, conf->base, "self", SCC_OGC_JSON, "This document",
                 "tiles");
    scc_buf_text(b, "],\"tilesets\":[{\"title\":\"Places\","
                    "\"dataType\":\"vector\",\"crs\":\"" SCC_OGC_3857 "\","
                    "\"tileMatrixSetURI\":\"" SCC_OGC_QUAD "\",\"links\":[");
    scc_ogc_link(b, conf->base, "self", SCC_OGC_JSON, "The tileset",
                 "tiles/WebMercatorQuad");
    scc_buf_text(b, "]}]}");
}


static void
scc_ogc_tileset(scc_buf_t *b, const scc_ogc_conf_t *conf)
{
    unsigned  z;

    scc_buf_text(b, "{\"title\":\"Places\",\"dataType\":\"vector\","
                    "\"crs\":\"" SCC_OGC_3857 "\","
                    "\"tileMatrixSetURI\":\"" SCC_OGC_QUAD "\","
                    "\"tileMatrixSetLimits\":[");

    for (z = SCC_OGC_TILE_Z_MIN; z <= SCC_CELL_Z; z++) {
        scc_buf_text(b, (z > SCC_OGC_TILE_Z_MIN) ? ",{\"tileMatrix\":\""
                                                 : "{\"tileMatrix\":\"");
        scc_buf_uint(b, z);
        scc_buf_text(b, "\",\"minTileRow\":0,\"maxTileRow\":");
        scc_buf_uint(b, (1u << z) - 1);
        scc_buf_text(b, ",\"minTileCol\":0,\"maxTileCol\":");
        scc_buf_uint(b, (1u << z) - 1);
        scc_buf_byte(b, '}');
    }

    scc_buf_text(b, "],\"links\":[");
    scc_ogc_link(b, conf->base, "self", SCC_OGC_JSON, "This document",
                 "tiles/WebMercatorQuad");
    scc_buf_text(b, ",{\"rel\":\"" SCC_OGC_REL "tiling-scheme\",\"type\":\""
                    SCC_OGC_JSON "\",\"href\":\"" SCC_OGC_QUAD "\"},"
                    "{\"rel\":\"item\",\"templated\":true,\"type\":"
                    "\"application/vnd.mapbox-vector-tile\",\"href\":\"");
    scc_buf_str(b, conf->base);
    scc_buf_text(b, "tiles/WebMercatorQuad/{tileMatrix}/{tileRow}/"
                    "{tileCol}\"}]}");
}


static void
scc_ogc_link(scc_buf_t *b, scc_str_t base, const char *rel,
    const char *type, const char *title, const char *path)
{
    scc_buf_text(b, "{\"rel\":\"");
    scc_buf_text(b, rel);
    scc_buf_text(b, "\",\"type\":\"");
    scc_buf_text(b, type);
    scc_buf_text(b, "\",\"title\":\"");
    scc_buf_text(b, title);
    scc_buf_text(b, "\",\"href\":\"");
    scc_buf_str(b, base);
    scc_buf_text(b, path);
    scc_buf_text(b, "\"}");
}


static void
scc_ogc_license(scc_buf_t *b, const scc_ogc_conf_t *conf)
{
    if (conf->license.len == 0) {
        return;
    }

    scc_buf_text(b, ",{\"rel\":\"license\",\"title\":\"License\",\"href\":");
    scc_buf_json(b, conf->license);
    scc_buf_byte(b, '}');
}


static void
scc_ogc_text(scc_buf_t *b, const char *key, scc_str_t value)
{
    if (value.len != 0) {
        scc_buf_text(b, key);
        scc_buf_json(b, value);
    }
}


/* A page's address; what it was asked with, in one order. */

static void
scc_ogc_page(scc_buf_t *b, const scc_query_t *q, const scc_cursor_t *cursor)
{
    scc_buf_str(b, q->base);
    scc_buf_text(b, "collections/places/items?limit=");
    scc_buf_uint(b, q->limit);

    if (q->bbox.len != 0) {
        scc_buf_text(b, "&bbox=");
        scc_buf_urlencode(b, q->bbox);
    }

    scc_filter_write(b, &q->filter);

    if (cursor->set) {
        scc_buf_text(b, "&cursor=");
        scc_cursor_write(b, cursor->cell, cursor->id);
    }
}


/* A full-date or date-time of RFC 3339. */

static bool
scc_ogc_time(scc_str_t s)
{
    if (!scc_ogc_digits(&s, 4, 9999, '-')
        || !scc_ogc_digits(&s, 2, 12, '-')
        || !scc_ogc_digits(&s, 2, 31, '\0'))
    {
        return false;
    }

    if (s.len == 0) {
        return true;
    }

    if (s.data[0] != 'T' && s.data[0] != 't') {
        return false;
    }

    s.data++;
    s.len--;

    if (!scc_ogc_digits(&s, 2, 23, ':')
        || !scc_ogc_digits(&s, 2, 59, ':')
        || !scc_ogc_digits(&s, 2, 60, '\0'))
    {
        return false;
    }

    if (s.len != 0 && s.data[0] == '.') {
        size_t  n;

        for (n = 1; n < s.len; n++) {
            if (s.data[n] < '0' || s.data[n] > '9') {
                break;
            }
        }

        if (n == 1) {
            return false;
        }

        s.data += n;
        s.len -= n;
    }

    return scc_ogc_zone(s);
}


static bool
scc_ogc_zone(scc_str_t s)
{
    if (s.len == 1) {
        return s.data[0] == 'Z' || s.data[0] == 'z';
    }

    if (s.len != 6 || (s.data[0] != '+' && s.data[0] != '-')) {
        return false;
    }

    s.data++;
    s.len--;

    return scc_ogc_digits(&s, 2, 23, ':') && scc_ogc_digits(&s, 2, 59, '\0');
}


/* Takes n digits and the byte after them, unless it is NUL. */

static bool
scc_ogc_digits(scc_str_t *s, unsigned n, unsigned max, char after)
{
    size_t    i, used;
    unsigned  value;

    used = n + (after != '\0');

    if (s->len < used) {
        return false;
    }

    value = 0;

    for (i = 0; i < n; i++) {
        if (s->data[i] < '0' || s->data[i] > '9') {
            return false;
        }

        value = value * 10 + (unsigned) (s->data[i] - '0');
    }

    if (value > max || (after != '\0' && s->data[n] != (uint8_t) after)) {
        return false;
    }

    s->data += used;
    s->len -= used;

    return true;
}
