
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_OSM_H_INCLUDED_
#define _SCC_OSM_H_INCLUDED_


#include "scc_place.h"


/*
 * OpenStreetMap's tags as SCC's fields, only where a tag says just what the
 * field means; README.md of this folder has the table.  Everything else
 * stays unknown: a wrong "no stairs" leads a person to a stair.
 */

typedef struct {
    scc_str_t       key;
    scc_str_t       value;
} scc_osm_tag_t;


typedef struct {
    scc_stair_t     stair;
    scc_tri_t       slope;
    scc_tri_t       first_floor;
    bool            automatic_door;     /* false: doors are unknown */
} scc_osm_access_t;


/* The same tag twice: the first counts. */
void scc_osm_access(const scc_osm_tag_t *tags, size_t n,
    scc_osm_access_t *access);

/* Enough for an accessibility record: the floor alone is not. */
static inline bool
scc_osm_access_known(const scc_osm_access_t *a)
{
    return a->stair != SCC_STAIR_UNDEFINED || a->slope != SCC_UNKNOWN
           || a->automatic_door;
}

/* The tag that says what the object is ("amenity=cafe"); NULL if none. */
const scc_osm_tag_t *scc_osm_category(const scc_osm_tag_t *tags, size_t n);

/* "node/1", "way/25", "relation/9" */
bool scc_osm_id(scc_str_t id);


#endif /* _SCC_OSM_H_INCLUDED_ */
