
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_SETTLE_H_INCLUDED_
#define _NGX_SCC_SETTLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_scc_guard.h"
#include "ngx_scc_pending.h"
#include "ngx_scc_store_write.h"


/*
 * Makes the store take records: each ends in the ledger or as a dead
 * letter, however long the store is away and whatever it says meanwhile.
 */

/* Counted from the helper's start. */

typedef struct {
    uint64_t                  applied;      /* new in the ledger */
    uint64_t                  duplicates;
    uint64_t                  dead;
    uint64_t                  retries;
    uint64_t                  oldest;       /* received, ns, of what is being
                                               settled; 0: nothing is */
} ngx_scc_apply_stat_t;


/* What the parts of the applier share. */

typedef struct {
    ngx_log_t                *log;
    ngx_scc_pg_pool_t        *pg;
    ngx_scc_journal_conf_t   *journal;
    ngx_scc_pending_t        *pending;
    ngx_scc_guard_t          *guard;        /* NULL: off */
    ngx_scc_apply_stat_t      stat;
    ngx_msec_t                backlog;      /* when the queue's consumer last
                                               settled a full batch; 0 */
    ngx_msec_t                heard;        /* when it began, or asked what
                                               was answered last; 0 */

    u_char                    store[16];    /* whose the journal is */
    unsigned                  have_store:1;
    unsigned                  stopped:1;    /* the store is not as it should
                                               be, and that was said */
    unsigned                  waiting:1;    /* no answer; that was said */
    unsigned                  busy:1;       /* the consumer has a full batch */
    unsigned                  dated:1;      /* one of the future was told of */
    ngx_msec_t                dated_at;
} ngx_scc_apply_t;


typedef enum {
    NGX_SCC_JUDGE_AGAIN = 0,            /* not now: soon again */
    NGX_SCC_JUDGE_STOP,                 /* the store is not as it should be:
                                           nothing is anybody's fault */
    NGX_SCC_JUDGE_SPLIT,                /* one of them is bad */
} ngx_scc_judge_t;


typedef void (*ngx_scc_settle_pt)(void *data);

/* Records in a statement, at most; and wished, of a batch. */
#define NGX_SCC_SETTLE_ITEMS   8000

/* Halves of halves of these. */
#define NGX_SCC_SETTLE_RANGES  64

typedef struct {
    ngx_scc_apply_t          *apply;
    ngx_scc_settle_pt         handler;
    ngx_scc_settle_pt         sent;
    void                     *data;

    ngx_scc_item_t           *items;
    ngx_uint_t                n;
    ngx_uint_t                next;         /* the first in no range yet */

    struct {
        ngx_uint_t            from;
        ngx_uint_t            to;
    }                         ranges[NGX_SCC_SETTLE_RANGES];
    ngx_uint_t                n_ranges;

    ngx_scc_guard_floor_t     floor;        /* of what was sent */
    ngx_scc_item_t           *grave;        /* being buried */
    char                      reason[256];
    char                      sqlstate[6];
    ngx_uint_t                n_dead;       /* to be buried */

    /* parameters, once those of ready[0], ready[1], ... are built */
    scc_buf_t                 params;
    ngx_str_t                 values[NGX_SCC_STORE_CONTRIBUTE_PARAMS];
    ngx_scc_item_t           *ready;        /* NULL: of nothing */
    ngx_uint_t                n_ready;

    unsigned                  untold:1;     /* "sent" was not called yet */
    ngx_event_t               timer;
    ngx_connection_t          dumb;
    ngx_uint_t                tries;        /* in vain, in a row */
} ngx_scc_settle_t;


/* sent may be NULL. */
void ngx_scc_settle_init(ngx_scc_settle_t *s, ngx_scc_apply_t *apply,
    ngx_scc_settle_pt handler, ngx_scc_settle_pt sent, void *data);

void ngx_scc_settle_destroy(ngx_scc_settle_t *s);

/*
 * n > 0 items, settle's until the handler is called; never from within.  One
 * call at a time.  Before the handler, sent is called, once: the store has
 * all of the first statement and works, or there is trouble.  What is better
 * done then takes no time from the store.  After the handler the zone is to
 * be told, too.
 */
void ngx_scc_settle(ngx_scc_settle_t *s, ngx_scc_item_t *items,
    ngx_uint_t n);

/* Who waits for these items, or asks, learns which of them are in the ledger;
   each is told of once.  Those that are dead are told of by settle. */
void ngx_scc_settle_known(ngx_scc_apply_t *apply, ngx_scc_item_t *items,
    ngx_uint_t n);

/* During a call, after sent: the next call's items, unchanged until then.
   What is sent of them first is built while the store works. */
void ngx_scc_settle_ahead(ngx_scc_settle_t *s, ngx_scc_item_t *items,
    ngx_uint_t n);


/*
 * What an answer that is no good means; logs it once.  result may be NULL;
 * "foreign": the answer was of another store.
 */
ngx_scc_judge_t ngx_scc_apply_judge(ngx_scc_apply_t *apply,
    ngx_scc_pg_status_t status, ngx_scc_pg_result_t *result,
    ngx_uint_t foreign);

/* The store has answered well. */
void ngx_scc_apply_well(ngx_scc_apply_t *apply);

/* Milliseconds to wait, after so many tries in vain. */
ngx_msec_t ngx_scc_apply_delay(ngx_scc_judge_t judge,
    ngx_scc_pg_status_t status, ngx_uint_t tries);


/* An array of n elements, with room for "size": itself, or at another place
   with room for one more.  NULL: no memory, it is as it was. */
void *ngx_scc_apply_room(void *all, ngx_uint_t n, ngx_uint_t *size,
    size_t each, ngx_log_t *log);


#endif /* _NGX_SCC_SETTLE_H_INCLUDED_ */
