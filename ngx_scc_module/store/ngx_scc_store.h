
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_STORE_H_INCLUDED_
#define _NGX_SCC_STORE_H_INCLUDED_


#include "ngx_scc_pg.h"
#include "scc_export.h"
#include "scc_nearby.h"
#include "scc_place.h"
#include "scc_query.h"


/*
 * What nginx asks the store: each statement with the meaning of its
 * parameters and columns.  nginx only reads here; parameters are bound.
 *
 * The last column of each, in its first row, is the store's witness
 * (NGX_SCC_PG_READ), which the guard has judged before anybody sees the rest.
 */


/*
 * FILL: all that is needed to answer and cache a set of cells, in one
 * snapshot.  $1 cells (bigint[]).  A row per place, ordered by (cell, id):
 * 0 cell, 1 version, 2 the place's columns (ngx_scc_store_place()),
 * NGX_SCC_STORE_FILL_N how many places the cell counts, and behind it how
 * many registered ones; a cell without places has one row whose place is
 * NULL.
 */
#define NGX_SCC_STORE_FILL_N  19
extern const ngx_scc_pg_stmt_t  ngx_scc_store_fill;

/*
 * WIDE: a page of a box too large for cells.  A row per place, ordered by
 * (cell, id): 0 number matched (NULL if filtered), 1 the place's columns
 * beginning with its cell; one row with a NULL place if the page is empty.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_wide;
#define NGX_SCC_STORE_WIDE_PARAMS  19

/* PAGE: $1 id.  0 cell, 1 version, 2 document, 3 its revision, NULL if there
   is no such place; 4 then says whether there should be one. */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_page;

/* FEATURE: $1 id.  0 the place's columns, beginning with its cell; NULL if
   there is no such place, or a closed one; NGX_SCC_STORE_FEATURE_LOST then
   says whether there should be one. */
#define NGX_SCC_STORE_FEATURE_LOST  17
extern const ngx_scc_pg_stmt_t  ngx_scc_store_feature;

/*
 * CHANGED: $1 a transaction id (xid8).  A row per cell changed by that
 * transaction or a later one, at least one row: 0 the store's identity,
 * 1 the oldest transaction still running in this snapshot, which is the
 * next call's $1, 2 cell or NULL, 3 version.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_changed;

/*
 * FORGOTTEN: the same of places whose pages showed the name of somebody who
 * was erased: 2 place's id or NULL.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_forgotten;

/*
 * EVENT: what became of a contribution.  $1 event id.  0 NULL: neither the
 * ledger nor the dead letters know it; true: in the ledger, false: a dead
 * letter, and the columns marked * are NULL.  1* sha256 of the body in
 * hexadecimal, 2* contributor's id, 3* hlc, 4* kind, 5* target, 6* received
 * at and 7 applied or dead since, as JSON, 8 NULL or why it is dead.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_event;

/*
 * EXPORT: a page of all places.  $1 the last id of the page before ("" for
 * the first), $2 rows.  A row per place, ordered by id: 0 the store's
 * identity, 1 scc.export's columns (ngx_scc_store_export_row()); one row
 * with a NULL place after the last; no row if the store has no identity.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_export;

/* TOTAL: one row, 0 the store's identity, 1 number of places, 2 when one of
   them changed last, or NULL. */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_total;


/*
 * NEARBY: all places that may be among the k nearest, and few more, in no
 * order.  A row per place: 0 its columns, beginning with its cell; one row
 * of NULLs if there are none.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_nearby;
#define NGX_SCC_STORE_NEARBY_PARAMS  18


/*
 * PURGE: $1 a transaction id (xid8) or NULL, $2 most cells, $3 most places.
 * What that transaction or a later one has changed; nothing if NULL.  At
 * least one row: 0 the store's identity, 1 as CHANGED's, 2 how many cells,
 * 3 the sum of their versions, 4 cell, 5 version, 6 a place's id, or NULL in
 * the cell's own row.  In the order (cell, own row first); columns 4 to 6 are
 * NULL if there is no cell, or more than $2.  No more than $3 places.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_purge;


/*
 * CHECK, of the guard's helper: $1 events (uuid[]), $2 a cell, $3 a number of
 * cells.  One row: 0 the witness or NULL, 1 how many of these events there
 * are (dead letters count), of that many cells after $2: 2 the last one, or
 * -1, 3 how many places they count, 4 how many of these there are; 5 the
 * anchors kept in the store, a line each, or NULL.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_check;

/* KEEP: $1 host, $2 an anchor without its newline.  Kept in the store. */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_keep;


/* Whether a cell, one of whose rows of FILL this is, has fewer places than
   the writers of the places have counted, in the same snapshot; logged. */
ngx_uint_t ngx_scc_store_short(ngx_scc_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t n, ngx_uint_t registered, ngx_log_t *log);

/* True if a column of the first row has a value, or is true. */
ngx_uint_t ngx_scc_store_there(ngx_scc_pg_result_t *res, ngx_uint_t column);
ngx_uint_t ngx_scc_store_true(ngx_scc_pg_result_t *res, ngx_uint_t column);


/*
 * Reads the place in the columns from "column" on: cell, id, name, ...  The
 * strings point into the result.  NGX_DECLINED if there is none (NULL),
 * NGX_ERROR if the store sent what no place can be; logged.
 */
ngx_int_t ngx_scc_store_place(ngx_scc_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column, uint32_t *cell, scc_place_t *place, ngx_log_t *log);

/* The same for the columns of scc.export. */
ngx_int_t ngx_scc_store_export_row(ngx_scc_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column, scc_export_t *e, ngx_log_t *log);

/* An unsigned number in a column; NGX_ERROR if it is NULL or none. */
ngx_int_t ngx_scc_store_number(ngx_scc_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column, uint64_t *n);

/* The array literal of FILL's $1: room needed per cell, and its writing. */
#define NGX_SCC_STORE_CELL_LEN  (NGX_INT64_LEN + 1)
u_char *ngx_scc_store_cells(u_char *p, const uint32_t *keys, ngx_uint_t n);

/* WIDE's parameters from a checked query; strings live on the pool. */
ngx_int_t ngx_scc_store_wide_params(ngx_pool_t *pool, const scc_query_t *q,
    ngx_str_t *values);

/* NEARBY's, from a search that has begun. */
ngx_int_t ngx_scc_store_nearby_params(ngx_pool_t *pool,
    const scc_nearby_t *nb, ngx_str_t *values);


/* private to store/ */

#define NGX_SCC_STORE_PLACE                                                   \
    "f.cell, f.id, f.name, f.category, f.address, f.lon_e7, f.lat_e7, "       \
    "f.registered, f.is_first_floor, f.stair_info, f.stair_height_level, "    \
    "f.has_slope, f.building_registered, f.building_has_slope, "              \
    "f.building_has_elevator, f.building_entrance_stair_info, "               \
    "f.building_elevator_stair_info"

/* the scalar sub-select is evaluated once per statement */
#define NGX_SCC_STORE_WITNESS  "(SELECT scc.witness())"

/* the witness in the first row of those in this order */
#define NGX_SCC_STORE_WITNESS_FIRST(order)                                    \
    "CASE WHEN row_number() OVER (" order ") = 1"                             \
    " THEN " NGX_SCC_STORE_WITNESS " END"

ngx_int_t ngx_scc_store_int(ngx_pool_t *pool, ngx_str_t *value, int64_t n);

/* level_max, registered, has_slope, category: four values, NULL: not asked */
ngx_int_t ngx_scc_store_filter(ngx_pool_t *pool, const scc_filter_t *f,
    ngx_str_t *values);


#endif /* _NGX_SCC_STORE_H_INCLUDED_ */
