
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_TILE_GRID_H_INCLUDED_
#define _SCC_TILE_GRID_H_INCLUDED_


#include "scc_tile.h"


/*
 * A tile below SCC_TILE_PLACES_Z shows numbers, not places: its 16 x 16
 * squares, each a tile of zoom z + 4, and of each that has places how many
 * they are.  Sums, nothing estimated: a square's numbers are those of the
 * four squares inside it, down to the cells.
 *
 * A square's number "i" in its tile is 0..255, its x and y interleaved, y's
 * bits above x's: a path from quarter to quarter.  So squares in ascending
 * order of i are in the store's order too.
 */

#define SCC_GRID_ZOOM   4
#define SCC_GRID_MAX    256


typedef struct {
    unsigned        i;
    uint32_t        n;              /* places, not 0 */
    uint32_t        registered;     /* an accessibility record exists */
    uint32_t        unknown;        /* their level is not known */
    uint32_t        level[SCC_LEVEL_MAX + 1];
    int64_t         sum_lon;        /* e7 */
    int64_t         sum_lat;
} scc_square_t;


typedef struct {
    scc_tile_t      tile;
    uint64_t        as_of;          /* seconds since the epoch: every change
                                       until then is counted */
    uint64_t        read;           /* the same: left the store */
    uint32_t        n;
    scc_square_t    squares[SCC_GRID_MAX];      /* by i, each once */
} scc_grid_t;


/*
 * True if the numbers of a square can be: n > 0, levels and unknown make n,
 * no more registered than there are, an average that is in the world.
 */
bool scc_square_valid(const scc_square_t *s);

/* The average of the square's places, rounded half away from zero. */
void scc_square_centroid(const scc_square_t *s, int32_t *lon, int32_t *lat);

/* The address of the square, a tile of zoom tile->z + 4. */
void scc_square_tile(const scc_tile_t *tile, unsigned i, scc_tile_t *square);


/*
 * Appends the layer "aggregates": a point per square, where its places are
 * on average, number x << 16 | y of the square's address, with
 *
 *   n               places
 *   level0..level5  how many of each level
 *   unknown         how many of no known level
 *   unregistered    how many without an accessibility record
 *
 * all integers; level0..level5 and unknown add up to n.  As
 * scc_mvt_finish().
 */
scc_rc_t scc_grid_mvt(scc_mvt_t *m, const scc_grid_t *grid, scc_buf_t *out);

/* The same as a GeoJSON FeatureCollection. */
void scc_grid_json(scc_buf_t *b, const scc_grid_t *grid);


/*
 * A grid as the cache keeps it, format 1.  Little-endian.
 *
 *   0  4  magic "SCCT"
 *   4  1  format, 1
 *   5  1  z
 *   6  2  n
 *   8  4  x       12  4  y
 *  16  8  as_of   24  8  read
 *  32  4  crc32c of all other bytes, those of this field as 0
 *  36  4  0
 *  40     n squares of 56 bytes: 1 i, 3 bytes 0, 4 n, 4 registered,
 *         4 unknown, 6 x 4 levels, 8 sum_lon, 8 sum_lat
 */

#define SCC_GRID_HEADER  40
#define SCC_GRID_ENTRY   56
#define SCC_GRID_FORMAT  1

void scc_grid_write(scc_buf_t *b, const scc_grid_t *grid);

/* DECLINED if anything is wrong, or it is of another tile; the caller then
   treats it as absent. */
scc_rc_t scc_grid_open(scc_str_t bytes, const scc_tile_t *tile,
    scc_grid_t *grid);


#endif /* _SCC_TILE_GRID_H_INCLUDED_ */
