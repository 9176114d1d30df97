
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_STORE_AGGREGATE_H_INCLUDED_
#define _NGX_SCC_STORE_AGGREGATE_H_INCLUDED_


#include "ngx_scc_store.h"
#include "scc_tile_grid.h"


/*
 * SQUARES, SQUARE_CELLS: the squares of a tile that have places, in any
 * order.  $1 zoom of the squares, $2 the first one's quad; $1 x, $2 y of the
 * first cell.  A row per square: 0 seconds since the roll-up they are from,
 * 1 i, or the cell, 2 n, 3 registered, 4 unknown, 5..10 by level, 11 sum of
 * lon, 12 of lat; one row whose i is NULL if there are none; no row if
 * nothing was rolled up yet.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_squares;
extern const ngx_scc_pg_stmt_t  ngx_scc_store_square_cells;

/* ROLL_UP: no parameter.  0 how many squares changed, NULL: another helper
   is at it. */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_roll_up;


/* The statement for a tile of SCC_TILE_Z_MIN..SCC_TILE_PLACES_Z - 1, and its
   two values, written to text. */
#define NGX_SCC_STORE_GRID_LEN  (2 * NGX_INT64_LEN)
const ngx_scc_pg_stmt_t *ngx_scc_store_grid(const scc_tile_t *tile,
    u_char *text, ngx_str_t *values);

/* NGX_DECLINED: nothing was rolled up yet; NGX_ERROR: the store sent what
   cannot be, logged. */
ngx_int_t ngx_scc_store_grid_read(ngx_scc_pg_result_t *result,
    const scc_tile_t *tile, time_t now, scc_grid_t *grid, ngx_log_t *log);


#endif /* _NGX_SCC_STORE_AGGREGATE_H_INCLUDED_ */
