
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_FILL_H_INCLUDED_
#define _NGX_SCC_FILL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_scc_cache.h"


/*
 * A fill brings cells that Redis did not have: it belongs to no request, so
 * that a client who leaves takes nothing from the others.  Each of its
 * cells is a flight, found by its key: a request that wants a cell in
 * flight waits for it, so one process reads a cell once at a time.  The
 * states of a flight are in README.md.
 */

typedef enum {
    NGX_SCC_FLIGHT_LEASE = 0,       /* asked Redis for the lease */
    NGX_SCC_FLIGHT_WAIT,            /* another process of this host does it */
    NGX_SCC_FLIGHT_POLL,            /* somebody else fills it */
    NGX_SCC_FLIGHT_READ,            /* is to be read from the store */
    NGX_SCC_FLIGHT_READING,         /* the statement runs */
    NGX_SCC_FLIGHT_DONE,
} ngx_scc_flight_state_t;


struct ngx_scc_flight_s {
    ngx_rbtree_node_t         node;         /* must be first; key: cell */
    ngx_queue_t               waits;
    ngx_scc_fill_t           *fill;
    ngx_scc_flight_state_t    state;
    uint64_t                  token;        /* 0: nothing to fill */
    ngx_scc_zone_note_t       note;         /* before the store was asked */
    uint32_t                  gen;
    scc_str_t                 bytes;        /* that the store brought, */
    scc_blob_t                blob;         /* opened */
    unsigned                  claimed:1;
    unsigned                  around:1;     /* Redis is not asked */
};


struct ngx_scc_fill_s {
    ngx_scc_cache_t          *cache;
    ngx_pool_t               *pool;
    ngx_uint_t                refs;

    ngx_scc_flight_t         *flights;      /* keys ascending */
    ngx_uint_t                n;
    ngx_uint_t                left;         /* flights not DONE */

    ngx_uint_t                leases;       /* lease replies to come */
    ngx_uint_t                reading;      /* a statement is running */
    ngx_uint_t                polling;      /* an MGET is running */
    ngx_uint_t                late;         /* it began after poll_end */
    ngx_msec_t                poll_end;
    ngx_msec_t                wait_end;
    ngx_event_t               poll;
    ngx_connection_t          dumb;         /* for the timer's debug log */
};


/* ngx_scc_fill.c */

/* Its next state: LEASE, or READ if Redis is not asked. */
void ngx_scc_flight_start(ngx_scc_flight_t *flight);
/* DONE: out of the table, then its jobs are told; no blob: it failed. */
void ngx_scc_flight_done(ngx_scc_flight_t *flight, const scc_blob_t *blob,
    ngx_scc_zone_entry_t *entry, ngx_scc_from_t from);
/* After any reply: what is next; the fill may be gone when it returns. */
void ngx_scc_fill_go_on(ngx_scc_fill_t *fill);
ngx_uint_t ngx_scc_fill_count(ngx_scc_fill_t *fill,
    ngx_scc_flight_state_t state);


/* ngx_scc_fill_poll.c: the timer's handler, while somebody else brings
   cells (WAIT, POLL) */

void ngx_scc_fill_poll(ngx_event_t *ev);


#endif /* _NGX_SCC_FILL_H_INCLUDED_ */
