
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_GEOMETRY_H_INCLUDED_
#define _SCC_GEOMETRY_H_INCLUDED_


#include "scc_geojson.h"


/*
 * A GeoJSON geometry, event by event as JSON gives it, and then the point
 * that stands for it: a Point's own, a MultiPoint's first, half way along a
 * line (the longest), inside a polygon (the largest), the first usable of a
 * GeometryCollection.  Members may come in any order.
 */

typedef enum {
    SCC_GEOMETRY_NULL = 0,
    SCC_GEOMETRY_NUMBER,
    SCC_GEOMETRY_STRING,
    SCC_GEOMETRY_OTHER,             /* a boolean */
    SCC_GEOMETRY_KEY,
    SCC_GEOMETRY_OBJECT,
    SCC_GEOMETRY_OBJECT_END,
    SCC_GEOMETRY_ARRAY,
    SCC_GEOMETRY_ARRAY_END,
} scc_geometry_event_t;


typedef struct scc_geometry_s  scc_geometry_t;


/* NULL if there is no memory. */
scc_geometry_t *scc_geometry_create(void);
void scc_geometry_free(scc_geometry_t *g);

/* Before a geometry; then its value: null, or an object to its end. */
void scc_geometry_reset(scc_geometry_t *g);
void scc_geometry_event(scc_geometry_t *g, scc_geometry_event_t event,
    scc_str_t text);

/* The point in e7, or why there is none. */
scc_feature_fault_t scc_geometry_point(const scc_geometry_t *g, int64_t *lon,
    int64_t *lat);

/* True if memory ran out since the reset. */
bool scc_geometry_failed(const scc_geometry_t *g);


#endif /* _SCC_GEOMETRY_H_INCLUDED_ */
