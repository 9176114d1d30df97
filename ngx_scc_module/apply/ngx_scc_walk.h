
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_WALK_H_INCLUDED_
#define _NGX_SCC_WALK_H_INCLUDED_


#include "ngx_scc_settle.h"


/*
 * This host's journal, read piece by piece, a bounded one at each turn:
 * segments that are sealed, those of dead writers, which are finished
 * first, and what live writers made durable a moment ago.
 */

#define NGX_SCC_WALK_NAME  100


/* A segment's file.  Up to "scan" the store has everything. */

typedef struct {
    ngx_queue_t            queue;
    ngx_uint_t             dir;
    char                   base[NGX_SCC_WALK_NAME];     /* no suffix */
    ino_t                  ino;
    scc_scan_t             scan;
    unsigned               begun:1;         /* scan is set */
    unsigned               sealed:1;        /* its name ends in .seg */
    unsigned               damaged:1;       /* read what can be read */
    unsigned               over:1;          /* nothing more to do */
    unsigned               seen:1;          /* in this pass */
    unsigned               adopted:1;       /* tried, in this pass */
    unsigned               rests:1;         /* until the next pass */
} ngx_scc_unit_t;


typedef struct {
    ngx_scc_apply_t       *apply;
    ngx_queue_t            units;
    ngx_scc_unit_t        *unit;            /* NULL: between passes */

    /* the piece */
    ngx_scc_item_t        *items;
    ngx_uint_t             n_items;
    unsigned               ended:1;         /* it is the unit's last one */
    unsigned               all:1;           /* of this pass: marked ones too,
                                               and what is young */
    uint64_t               since;           /* when it began, s */
    unsigned               partial:1;       /* of this pass something could
                                               not be read */

    /* private */
    ngx_uint_t             items_size;
    u_char                *window;
    size_t                 window_size;
    scc_scan_t             scan;            /* after the piece */
} ngx_scc_walk_t;


/* Whose journal this is; NGX_ERROR: not clear. */
ngx_int_t ngx_scc_walk_store(ngx_scc_walk_t *w);

void ngx_scc_walk_init(ngx_scc_walk_t *w, ngx_scc_apply_t *apply);
void ngx_scc_walk_destroy(ngx_scc_walk_t *w);

/* A pass: what there is now (all: from its beginning, what is marked as
   applied too); then each unit; the end.  NGX_DONE: there is no further
   one. */
void ngx_scc_walk_list(ngx_scc_walk_t *w, ngx_uint_t all);
ngx_int_t ngx_scc_walk_next(ngx_scc_walk_t *w);
void ngx_scc_walk_end(ngx_scc_walk_t *w);

/*
 * The unit's next piece.  NGX_OK: there are items, or this is the end, or
 * another way to read it is tried next; they live until the next call.
 * NGX_DONE: nothing is new, NGX_ERROR: it cannot be read now.
 */
ngx_int_t ngx_scc_walk_read(ngx_scc_walk_t *w);

/* The store has the piece. */
void ngx_scc_walk_taken(ngx_scc_walk_t *w);

/* Private. */
void ngx_scc_walk_forget(ngx_scc_unit_t *unit);


#endif /* _NGX_SCC_WALK_H_INCLUDED_ */
