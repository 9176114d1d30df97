
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_QUERY_H_INCLUDED_
#define _SCC_QUERY_H_INCLUDED_


#include "scc_cell.h"
#include "scc_place.h"


/*
 * A GET's path below the API's prefix, and its query string, as a checked
 * query.  Paths (after percent-decoding of the id only):
 *
 *   places                           SCC_ROUTE_PLACES
 *   places/{id}                      SCC_ROUTE_PLACE     id may hold '/'
 *   nearby                           SCC_ROUTE_NEARBY
 *   cells/16/{x0}-{x1}/{y0}-{y1}.json  SCC_ROUTE_CELLS
 *   tiles.json                       SCC_ROUTE_TILEJSON
 *   tiles/{z}/{x}/{y}.json|mvt       SCC_ROUTE_TILE      z 5..16
 *   contributions                    SCC_ROUTE_CONTRIBUTIONS
 *   contributions/{id}               SCC_ROUTE_CONTRIBUTION  a UUID
 *   export.geojsonl                  SCC_ROUTE_EXPORT
 *   export.json                      SCC_ROUTE_EXPORT_ABOUT
 *
 * Anything else is SCC_ROUTE_NONE (404).
 */

typedef enum {
    SCC_ROUTE_NONE = 0,
    SCC_ROUTE_PLACES,
    SCC_ROUTE_PLACE,
    SCC_ROUTE_NEARBY,
    SCC_ROUTE_CELLS,
    SCC_ROUTE_TILEJSON,
    SCC_ROUTE_TILE,
    SCC_ROUTE_CONTRIBUTIONS,
    SCC_ROUTE_CONTRIBUTION,
    SCC_ROUTE_EXPORT,
    SCC_ROUTE_EXPORT_ABOUT,
    SCC_ROUTE_OGC_LANDING,          /* these: see scc_ogc.h */
    SCC_ROUTE_OGC_API,
    SCC_ROUTE_OGC_CONFORMANCE,
    SCC_ROUTE_OGC_COLLECTIONS,
    SCC_ROUTE_OGC_COLLECTION,
    SCC_ROUTE_OGC_ITEM,
    SCC_ROUTE_OGC_TILESETS,
    SCC_ROUTE_OGC_TILESET,
} scc_route_t;


typedef struct {
    bool            any;            /* one of the filters below is set */
    uint8_t         level_max;      /* 0..5; SCC_LEVEL_UNKNOWN: not asked;
                                       an unknown level never passes one */
    scc_tri_t       registered;     /* SCC_UNKNOWN: not asked */
    scc_tri_t       slope;          /* unknown slope passes neither */
    scc_str_t       category;       /* exact; len 0: not asked */
} scc_filter_t;


/* Keyset: features after (cell, id) in the order (cell, id). */

typedef struct {
    bool            set;
    uint32_t        cell;
    scc_str_t       id;
} scc_cursor_t;


typedef struct {
    scc_route_t     route;
    bool            ogc;            /* by scc_ogc_path(): other links */
    scc_str_t       base;           /* ogc: what links begin with, escaped
                                       for JSON */
    scc_str_t       bbox;           /* decoded text, for links */
    scc_area_t      area;           /* PLACES */
    scc_cells_t     cells;          /* CELLS, TILE */
    unsigned        z;              /* TILE, TILEJSON max */
    uint32_t        x;
    uint32_t        y;
    bool            mvt;            /* TILE: as a vector tile */
    scc_str_t       id;             /* PLACE */
    uint64_t        rev;            /* PLACE: at least this; 0: not asked */
    uint8_t         event[16];      /* CONTRIBUTION */
    scc_filter_t    filter;         /* PLACES, NEARBY */
    scc_cursor_t    cursor;
    uint32_t        limit;
    int32_t         lon;            /* NEARBY: from here */
    int32_t         lat;
    uint32_t        k;              /* NEARBY: at most so many places */
    uint32_t        radius;         /* NEARBY: within so many metres */

    uint8_t         store[1024];    /* decoded strings live here */
    size_t          store_used;
} scc_query_t;


#define SCC_NEARBY_K           20
#define SCC_NEARBY_K_MAX       50
#define SCC_NEARBY_RADIUS      1000         /* metres */
#define SCC_NEARBY_RADIUS_MAX  5000


typedef struct {
    uint32_t        limit;          /* default of limit= */
    uint32_t        limit_max;      /* a larger limit= is cut to this */
    uint32_t        cells_max;      /* of a cells/ request */
} scc_query_conf_t;


/*
 * The route of a path without its prefix (raw, as on the request line,
 * still percent-encoded) and its numbers.  OK, or DECLINED: q->route says
 * which it was meant to be: NONE -> 404; else the err names the bad part
 * -> 400.  An id is percent-decoded, 1..SCC_ID_MAX bytes of UTF-8 without
 * NUL.
 */
scc_rc_t scc_query_path(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t path, scc_err_t *err);

/*
 * The query string of that route.  PLACES: bbox (required), limit, cursor,
 * level_max, registered, has_slope, category.  NEARBY: lng and lat
 * (required), k, radius, and those filters.  PLACE: rev.  Others take none.
 * Of the facade, PLACES: the same, bbox not required, datetime, f; TILE none;
 * others f.
 * Unknown or repeated parameter, bad value -> DECLINED, err names the
 * parameter and says what is allowed.  A position is rounded to 1e-7
 * degrees; a k or radius above its limit is refused, not cut: a smaller
 * circle than was asked for would say "nothing there" of places it left out.
 */
scc_rc_t scc_query_args(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t args, scc_err_t *err);

/* Appends the filter as "&name=value" parts of a query string. */
void scc_filter_write(scc_buf_t *b, const scc_filter_t *f);

/* True if a feature with these flags and category number passes.  "cat" is
   the wanted category's number in its blob (scc_blob_cat). */
bool scc_filter_pass(const scc_filter_t *f, uint16_t flags, uint16_t has,
    uint16_t cat);


/*
 * The cursor on the wire: base64url without padding of version byte 1, cell
 * as 4 bytes big-endian, id.  Decoding writes the id into store[SCC_ID_MAX].
 */
void scc_cursor_write(scc_buf_t *b, uint32_t cell, scc_str_t id);
scc_rc_t scc_cursor_parse(scc_str_t text, uint8_t *store,
    scc_cursor_t *cursor);

/* Percent-decodes (and '+' as space if plus) into dst of size n.  Returns
   the length or SIZE_MAX if an escape is broken or dst too small. */
size_t scc_urldecode(scc_str_t src, bool plus, uint8_t *dst, size_t n);


#endif /* _SCC_QUERY_H_INCLUDED_ */
