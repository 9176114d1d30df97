
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_KEYS_H_INCLUDED_
#define _SCC_KEYS_H_INCLUDED_


#include "scc_cell.h"


/*
 * What answers are purged by at the edge (Surrogate-Key, xkey, Cache-Tag):
 * short words of [A-Za-z0-9._~-], the same wherever an answer is made and
 * wherever a change is told.
 *
 *   c14-13972-6347   the tile of z 14 (4 x 4 cells) that holds a cell
 *   c11-1746-793     the tile of z 11 (32 x 32 cells)
 *   p-ab12           a place, by its id; p-~1jx0q6d7wk2vz by a hash of it,
 *                    where the id has any other byte
 *
 * A change of a cell or place concerns the answers with any of its three.
 */

/* the one that all answers have that are purged by cells or places */
#define SCC_KEY_ALL       "lay-places"

#define SCC_KEY_Z_FINE    14
#define SCC_KEY_Z_COARSE  11

#define SCC_KEY_MAX       (2 + SCC_ID_MAX)  /* bytes of one key */
#define SCC_KEYS_AREA     9                 /* keys of an area at most */

/* Writes the key of z (FINE or COARSE) of a cell; returns the end. */
uint8_t *scc_key_cell(uint8_t *p, unsigned z, uint32_t cell);

/* Writes the key of a place, at most SCC_KEY_MAX bytes; returns the end. */
uint8_t *scc_key_place(uint8_t *p, scc_str_t id);

/*
 * Writes the keys of one or two rectangles of cells, joined by blanks: fine
 * ones if SCC_KEYS_AREA are enough, else coarse ones.  "p" has room for
 * SCC_KEYS_AREA * (SCC_KEY_MAX + 1) bytes.  Returns p if neither are enough.
 */
uint8_t *scc_keys_area(uint8_t *p, const scc_cells_t *cells, unsigned n);


#endif /* _SCC_KEYS_H_INCLUDED_ */
