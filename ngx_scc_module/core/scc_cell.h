
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CELL_H_INCLUDED_
#define _SCC_CELL_H_INCLUDED_


#include "scc_geo.h"


/*
 * A cell is a Web Mercator tile at z = 16, half-open towards east and south;
 * its key is x << 16 | y.  lon = 180 belongs to x = 65535; latitudes beyond
 * the projection's +-85.05 to the first and last row.  x is computed in
 * integers: floor((lon + 180e7) * 65536 / 360e7), at most 65535; y in
 * doubles, and the store computes both too (scc.cell_of).  The store's word
 * decides where a place lives, so a cover is a millionth of a cell higher
 * than its box and never depends on the last bit of a logarithm.
 */

#define SCC_CELL_Z      16
#define SCC_CELL_SIDE   65536


typedef struct {
    uint32_t    x0;             /* inclusive; x0 <= x1 <= 65535 */
    uint32_t    x1;
    uint32_t    y0;
    uint32_t    y1;
} scc_cells_t;                  /* a rectangle of cells */


static inline uint32_t
scc_cell_key(uint32_t x, uint32_t y)
{
    return x << 16 | y;
}

#define scc_cell_key_x(key)  ((uint32_t) (key) >> 16)
#define scc_cell_key_y(key)  ((uint32_t) (key) & 0xffff)


uint32_t scc_cell_x(int32_t lon);
uint32_t scc_cell_y(int32_t lat);

/* y with its fraction: 0..65536, from north to south. */
double scc_cell_yf(int32_t lat);

/* The cells that may hold a place of the box. */
void scc_cell_cover(const scc_box_t *box, scc_cells_t *cells);

/* The cells all of whose places surely lie in the box; false if none. */
bool scc_cell_core(const scc_box_t *box, scc_cells_t *cells);

/* The outermost coordinates that a place of the cell may have. */
void scc_cell_box(uint32_t key, scc_box_t *box);

/* How many cells the area's one or two covers hold together, each once. */
uint64_t scc_area_cells(const scc_area_t *area);

/*
 * The keys of the area's cells, ascending, each once, into keys[max].
 * Returns the number, or DECLINED's value as SIZE_MAX if more than max.
 */
size_t scc_area_keys(const scc_area_t *area, uint32_t *keys, size_t max);

/* The same for a rectangle of cells. */
size_t scc_cells_keys(const scc_cells_t *cells, uint32_t *keys, size_t max);

/* Tile z/x/y, z <= 16, x, y < 2^z, as a rectangle of cells. */
void scc_tile_cells(unsigned z, uint32_t x, uint32_t y, scc_cells_t *cells);

static inline uint64_t
scc_cells_count(const scc_cells_t *c)
{
    return (uint64_t) (c->x1 - c->x0 + 1) * (c->y1 - c->y0 + 1);
}

/* True if every place of the cell surely lies in the area: it is in the
   core of a box of it.  Then no place needs a test of its own. */
bool scc_cell_inside(uint32_t key, const scc_area_t *area);


#endif /* _SCC_CELL_H_INCLUDED_ */
