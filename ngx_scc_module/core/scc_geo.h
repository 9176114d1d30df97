
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_GEO_H_INCLUDED_
#define _SCC_GEO_H_INCLUDED_


#include "scc.h"


/*
 * Coordinates are WGS 84 integers in units of 1e-7 degrees ("e7"), about
 * 1 cm; lon in [-1800000000, 1800000000], lat in [-900000000, 900000000].
 */

#define SCC_LON_MAX  1800000000
#define SCC_LAT_MAX  900000000


typedef enum {
    SCC_E7_NEAREST,             /* half away from zero, as SQL's round() */
    SCC_E7_FLOOR,
    SCC_E7_CEIL,
} scc_e7_round_t;


/* All four edges belong to the box; w <= e, s <= n. */

typedef struct {
    int32_t     w;
    int32_t     s;
    int32_t     e;
    int32_t     n;
} scc_box_t;


/*
 * What a "bbox" parameter covers: no box (it lies between two neighbours of
 * the 1e-7 grid, so no place can be in it), one, or two, where it crosses
 * the antimeridian (RFC 7946, 5.2); then box[0] is the western part in
 * numbers (starts at -180), box[1] the eastern (ends at 180).
 */

typedef struct {
    unsigned    n;
    scc_box_t   box[2];
} scc_area_t;


/*
 * Exact conversion of decimal text: [+-]digits[.digits][e[+-]digits], up to
 * 64 bytes; no float is involved, so that "inside" never depends on
 * rounding.  |result| may exceed the world; DECLINED if the text is not a
 * number or |value| > 1000.
 */
scc_rc_t scc_e7_parse(scc_str_t text, scc_e7_round_t round, int64_t *e7);

/*
 * "w,s,e,n" (or six numbers, then the heights are ignored) -> area.  Inward
 * rounding: w, s up; e, n down.  Latitudes beyond the poles are cut.
 * Longitudes may lie in [-540, 540], as maps send them that were dragged
 * around the world: a span of 360 or more is the whole circle, others are
 * turned into [-180, 180], where one that holds the antimeridian holds both
 * its names, -180 and 180.  w > e crosses the antimeridian and is taken
 * only when both lie in [-180, 180].  s > n, text that is no number, not
 * four or six numbers -> DECLINED with err (field "bbox").
 */
scc_rc_t scc_area_parse(scc_str_t text, scc_area_t *area, scc_err_t *err);

static inline bool
scc_box_has(const scc_box_t *b, int32_t lon, int32_t lat)
{
    return lon >= b->w && lon <= b->e && lat >= b->s && lat <= b->n;
}

static inline bool
scc_area_has(const scc_area_t *a, int32_t lon, int32_t lat)
{
    return (a->n > 0 && scc_box_has(&a->box[0], lon, lat))
           || (a->n > 1 && scc_box_has(&a->box[1], lon, lat));
}


#endif /* _SCC_GEO_H_INCLUDED_ */
