
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_NEARBY_H_INCLUDED_
#define _SCC_NEARBY_H_INCLUDED_


#include "scc_blob.h"
#include "scc_query.h"


/*
 * The k places nearest to a position, within a radius, from cells.
 *
 * Distance is the geodesic's length on the WGS 84 ellipsoid, as PostGIS's
 * ST_Distance(geography): T. Vincenty's inverse formula, Survey Review 23
 * (176), 1975.  For lines this short its series and doubles are off by some
 * nanometres, so it is kept in whole micrometres.  Places at the same number
 * of micrometres come in the order of their ids.
 *
 * The search asks for cells ring by ring around the position's cell, each
 * ring twice as wide as all before, and only for cells that can still matter.
 * What a cell may hold is judged by a bound from below: in the band of
 * latitudes that the radius spans, a geodesic is nowhere shorter than with
 * the smallest radii of curvature of the band,
 *
 *   d >= sqrt((M(lat_min) dlat)^2 + (N(lat_max) cos(lat_max) dlon)^2),
 *
 * lat_min and lat_max being the least and the greatest |latitude|; a band
 * that reaches the pole has cos = 0, and then nothing is excluded by its
 * longitude.  With the greatest radii the same is a bound from above.
 */

typedef struct {
    uint64_t            distance;       /* micrometres */
    scc_str_t           id;
    scc_str_t           frag;           /* the place's Feature */
    bool                kept;           /* both on the caller's memory */
} scc_nearby_hit_t;


typedef struct {
    uint32_t            n;              /* hits, nearest first */
    scc_nearby_hit_t    hits[SCC_NEARBY_K_MAX];

    /* bounds in metres per 1e-7 degree, for the store's statement */
    double              lo_lon;
    double              lo_lat;
    double              hi_lon;
    double              hi_lat;

    /* columns and rows of cells that may hold a place within the radius:
       one or two rectangles, where it crosses the antimeridian */
    unsigned            n_cover;
    scc_cells_t         cover[2];

    /* private */
    const scc_query_t  *q;
    double              sin_u;          /* of the reduced latitude */
    double              cos_u;
    uint64_t            bound;          /* a farther place cannot matter */
    uint32_t            x;              /* the position's cell */
    uint32_t            y;
    int32_t             west;           /* how far the cover goes from it, */
    int32_t             east;           /* in cells */
    int32_t             north;
    int32_t             south;
    int32_t             inner;          /* rings that are done */
    int32_t             outer;          /* and the last of this step */
    int32_t             dx;             /* next cell of this step */
    int32_t             dy;
} scc_nearby_t;


/* q is a checked NEARBY query; it is borrowed until the end. */
void scc_nearby_init(scc_nearby_t *nb, const scc_query_t *q);

/*
 * The next cells to look at, at most max > 0, ascending and each once over
 * the whole search.  Give what they hold to scc_nearby_cell() before the next
 * call; 0: the hits are the answer.
 */
size_t scc_nearby_next(scc_nearby_t *nb, uint32_t *keys, size_t max);

/* All places of a cell.  The hits borrow the blob's bytes until they are
   kept. */
void scc_nearby_cell(scc_nearby_t *nb, const scc_blob_t *blob);

/* One place, which has passed the filter. */
void scc_nearby_place(scc_nearby_t *nb, int32_t lon, int32_t lat,
    scc_str_t id, scc_str_t frag);

/* Copies what is borrowed to memory from "grow"; ERROR if there is none. */
scc_rc_t scc_nearby_keep(scc_nearby_t *nb, scc_buf_grow_pt grow, void *ctx);

/* Micrometres from the position. */
uint64_t scc_nearby_distance(const scc_nearby_t *nb, int32_t lon,
    int32_t lat);

/*
 * The FeatureCollection: the places' Features, nearest first, each with one
 * more property, "distance", in metres with one decimal.
 */
void scc_nearby_write(const scc_nearby_t *nb, scc_buf_t *b);


#endif /* _SCC_NEARBY_H_INCLUDED_ */
