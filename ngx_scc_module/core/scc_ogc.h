
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_OGC_H_INCLUDED_
#define _SCC_OGC_H_INCLUDED_


#include "scc_query.h"


/*
 * OGC API - Features - Part 1, 1.0 (OGC 17-069r4: core, geojson, oas30) and
 * OGC API - Tiles - Part 1, 1.0 (OGC 20-057) over the map: other addresses
 * and links, the same places.  Paths below the facade's prefix:
 *
 *   (empty)                          SCC_ROUTE_OGC_LANDING
 *   api                              SCC_ROUTE_OGC_API
 *   conformance                      SCC_ROUTE_OGC_CONFORMANCE
 *   collections                      SCC_ROUTE_OGC_COLLECTIONS
 *   collections/places               SCC_ROUTE_OGC_COLLECTION
 *   collections/places/items         SCC_ROUTE_PLACES
 *   collections/places/items/{id}    SCC_ROUTE_OGC_ITEM
 *   tiles                            SCC_ROUTE_OGC_TILESETS
 *   tiles/WebMercatorQuad            SCC_ROUTE_OGC_TILESET
 *   tiles/WebMercatorQuad/{z}/{y}/{x}  SCC_ROUTE_TILE, as .mvt
 *
 * The query says "ogc" in all of them.
 */

scc_rc_t scc_ogc_path(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t path, scc_err_t *err);

/* True for an instant or an interval as RFC 3339 and 17-069r4 7.15.4 have
   it: "2026-11-23", "2026-11-23T01:02:03Z/..", "/2026-11-23". */
bool scc_ogc_datetime(scc_str_t text);


/* What the documents tell; texts that are empty are left out. */

typedef struct {
    scc_str_t   base;           /* URL with a '/' at its end, as the inside
                                   of a JSON string */
    scc_str_t   bounds;         /* "w,s,e,n" */
    scc_str_t   license;        /* URL, needs no escapes */
    scc_str_t   attribution;
    uint32_t    limit;
    uint32_t    limit_max;
} scc_ogc_conf_t;

/* The JSON document of an OGC_ route, all but ITEM. */
void scc_ogc_document(scc_buf_t *b, scc_route_t route,
    const scc_ogc_conf_t *conf);

/* OpenAPI 3.0.3; a part of the above. */
void scc_ogc_api(scc_buf_t *b, const scc_ogc_conf_t *conf);

/* The links of a page of items, without brackets; next may be NULL.  At
   most SCC_OGC_LINKS bytes with a base of at most SCC_OGC_BASE_MAX. */
#define SCC_OGC_BASE_MAX  1024
#define SCC_OGC_LINKS     (2 * 4096 + 3 * SCC_OGC_BASE_MAX)
void scc_ogc_links(scc_buf_t *b, const scc_query_t *q,
    const scc_cursor_t *next);

/* A Feature by itself, with its links. */
void scc_ogc_item(scc_buf_t *b, const scc_query_t *q,
    const scc_place_t *place);


#endif /* _SCC_OGC_H_INCLUDED_ */
