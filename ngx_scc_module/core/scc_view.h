
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_VIEW_H_INCLUDED_
#define _SCC_VIEW_H_INCLUDED_


#include "scc_blob.h"
#include "scc_query.h"


/*
 * A GeoJSON FeatureCollection made from cells, in two passes over opened
 * blobs: measure() counts and weighs, write() copies into a block of just
 * that size.  Cells come in ascending order of key; the features' order is
 * (cell, id).
 *
 *   {"type":"FeatureCollection","numberMatched":9,"numberReturned":2,
 *    "links":[{"rel":"next","type":"application/geo+json","href":"..."}],
 *    "features":[...]}
 *
 * "links" is there only for PLACES, and empty on the last page.  CELLS and
 * TILE have no filter, limit or cursor: their features are whole slices.
 */

typedef struct {
    uint32_t            key;
    scc_blob_t          blob;
} scc_view_cell_t;


typedef struct {
    /* in */
    const scc_query_t  *q;
    const scc_view_cell_t  *cells;
    size_t              n_cells;

    /* set by measure() */
    uint64_t            matched;
    uint64_t            returned;
    bool                more;       /* a next page exists */
    uint32_t            last_cell;  /* key and id of the last feature */
    scc_str_t           last_id;
    size_t              size;       /* bytes that write() will write */
} scc_view_t;


/* ERROR if the answer would exceed SIZE_MAX/2; else OK. */
scc_rc_t scc_view_measure(scc_view_t *v);

/* Writes exactly v->size bytes; returns the end. */
uint8_t *scc_view_write(const scc_view_t *v, uint8_t *p);

/*
 * The same bytes in parts, in order: text (head, commas, tail), and features
 * of a cell, as they lie in its blob; "whole" if these are all of the cell's.
 * Text is valid only within the call.
 */

#define SCC_VIEW_NO_CELL  SIZE_MAX

typedef struct {
    scc_str_t           bytes;
    size_t              cell;       /* index, or SCC_VIEW_NO_CELL: text */
    bool                whole;
} scc_view_part_t;

typedef void (*scc_view_part_pt)(void *data, const scc_view_part_t *part);

void scc_view_parts(const scc_view_t *v, scc_view_part_pt part, void *data);

/*
 * For pages that come as rows of one statement instead of cells: the
 * collection's head and tail.  numberMatched is left out if matched is
 * UINT64_MAX (unknown).
 * The features between them are joined by ',' by the caller.
 */
void scc_view_head(scc_buf_t *b, const scc_query_t *q, uint64_t matched,
    uint64_t returned, const scc_cursor_t *next);
void scc_view_tail(scc_buf_t *b);


#endif /* _SCC_VIEW_H_INCLUDED_ */
