
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_TILE_H_INCLUDED_
#define _SCC_TILE_H_INCLUDED_


#include "scc_mvt.h"
#include "scc_view.h"


/*
 * Vector tiles.  A place is in the one tile of a zoom that holds its cell:
 * half-open towards east and south, nothing twice, no buffer.
 *
 * From SCC_TILE_PLACES_Z on a tile has one layer "places", below one layer
 * "aggregates" (scc_tile_grid.h).  A tile without places has the layer
 * without features: 15 bytes, which every decoder takes.
 */

#define SCC_TILE_Z_MIN      5
#define SCC_TILE_PLACES_Z   13          /* .. SCC_CELL_Z */


typedef struct {
    unsigned        z;
    uint32_t        x;
    uint32_t        y;
} scc_tile_t;


/*
 * Where a coordinate of the tile lies on its 4096 x 4096 units, from its
 * north-western corner: the nearest unit, and the last one where that would
 * belong to a neighbour.
 */
void scc_tile_point(const scc_tile_t *tile, int32_t lon, int32_t lat,
    uint32_t *x, uint32_t *y);

/*
 * A feature's number, as maps want one: FNV-1a of the place's id, 64 bits,
 * folded to 53 (upper 11 bits xor lower 53), so that it is exact in doubles.
 * The same in every tile and for ever.  Two places may share one (of a
 * million places, once in 20,000 data sets); the attribute "id" is exact.
 */
uint64_t scc_tile_id(scc_str_t id);

/*
 * Appends the layer "places" of the tile's cells, ascending, as they were
 * opened.  Features in the order (cell, id), with
 *
 *   id          string
 *   name        string
 *   category    string; absent: none
 *   level       0..5; absent: unknown
 *   registered  boolean
 *   hasSlope    boolean; absent: unknown
 *
 * the GeoJSON feature's properties of the same names, where "absent" is
 * null.  DECLINED if a fragment is not one that scc_place_feature() wrote;
 * ERROR as scc_mvt_finish().
 */
scc_rc_t scc_tile_places(scc_mvt_t *m, const scc_tile_t *tile,
    const scc_view_cell_t *cells, size_t n, scc_buf_t *out);


#endif /* _SCC_TILE_H_INCLUDED_ */
