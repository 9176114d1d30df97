
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_STORE_WRITE_H_INCLUDED_
#define _NGX_SCC_STORE_WRITE_H_INCLUDED_


#include "ngx_scc_pg.h"
#include "scc_journal.h"
#include "scc_number.h"


/*
 * What the helper asks of the store.  Every statement names the store that
 * it means; of another one it answers no row and does nothing.  Those that
 * write are durable when they have answered, whatever the server's default.
 */


/* A record on its way to the store. */

typedef struct {
    scc_record_t     record;            /* unless bad */
    ngx_str_t        raw;               /* its bytes, as they came */
    u_char           segment[16];       /* where it is in a journal */
    unsigned         has_segment:1;
    unsigned         bad:1;             /* raw is no record */
    unsigned         dead:1;            /* to be a dead letter */
    unsigned         done:1;            /* the store has it, ... */
    unsigned         told:1;            /* ... as the zone was told */
} ngx_scc_item_t;


/*
 * CONTRIBUTE: one row: 1 how many were new, 2 old, 3 the positions of those
 * whose id or key the ledger has with another body ("{1,7}"); 4 how many
 * events there were before, 5 their greatest hlc.  NULL but for these: fewer
 * than were asked for, and nothing was done.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_contribute;
#define NGX_SCC_STORE_CONTRIBUTE_PARAMS  11

/*
 * MISSING: rows, in order, of 0 the position, from 1, of an event that the
 * ledger does not have with this body, 1 whether it is a dead letter; one
 * row of NULL if there is none.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_missing;
#define NGX_SCC_STORE_MISSING_PARAMS  3

/* BURY: one row; a dead letter that is there already is not added. */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_bury;
#define NGX_SCC_STORE_BURY_PARAMS  6

/*
 * NUMBERS: $1 most of a kind, $2 the store, $3 $4 what this host's journal
 * has, contributors and places.  Rows of 0 kind, 1 number, 2 id, each kind's
 * in order, of those that it, or every journal, lacks; 3 how many events the
 * ledger has.  One row, of NULL but for that, if there are none.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_numbers;
#define NGX_SCC_STORE_NUMBERS_PARAMS  4

/* NUMBERS_KEPT: a journal has them up to $1 (contributors), $2 (places); 0:
   nothing new.  $3 the store, $4 the events that it had when it was asked:
   one that has fewer went back, and is told nothing. */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_numbers_kept;
#define NGX_SCC_STORE_NUMBERS_KEPT_PARAMS  4

/*
 * NUMBERS_RESTORE: $1 kinds, $2 numbers, $3 ids, $4 the store, $5 its epoch.
 * One row: 1 how many were put in, 2 how many contradict the store and were
 * not known to, 3 how many events the ledger has, 4 their greatest hlc.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_numbers_restore;
#define NGX_SCC_STORE_NUMBERS_RESTORE_PARAMS  5


/*
 * CLOCK: one row: 0 the store's clock, milliseconds, 1 the greatest hlc of
 * what the ledger took last, 0 if it is empty.  Parameter: the store's UUID;
 * no row: it is another store.
 */
extern const ngx_scc_pg_stmt_t  ngx_scc_store_clock;


/*
 * Parameters; they live in the buffer, which is emptied first.  Items that
 * do not wait are left out: positions count the others.  NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_scc_store_contribute_params(scc_buf_t *b,
    const ngx_scc_item_t *items, ngx_uint_t n, const u_char *store,
    ngx_str_t *values);
ngx_int_t ngx_scc_store_missing_params(scc_buf_t *b,
    const ngx_scc_item_t *items, ngx_uint_t n, const u_char *store,
    ngx_str_t *values);
ngx_int_t ngx_scc_store_bury_params(scc_buf_t *b, const ngx_scc_item_t *item,
    const char *reason, const char *sqlstate, const u_char *store,
    ngx_str_t *values);
ngx_int_t ngx_scc_store_numbers_restore_params(scc_buf_t *b,
    const scc_number_t *numbers, ngx_uint_t n, const u_char *store,
    uint32_t epoch, ngx_str_t *values);

/* Of CONTRIBUTE's, when they are sent: the ledger has that many events at
   least; 0 before that. */
void ngx_scc_store_contribute_floor(ngx_str_t *values, uint64_t events);

/* Neither bad, dead nor done. */
#define ngx_scc_item_waits(item)                                              \
    (!(item)->bad && !(item)->dead && !(item)->done)


#endif /* _NGX_SCC_STORE_WRITE_H_INCLUDED_ */
