
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_CACHE_H_INCLUDED_
#define _NGX_SCC_CACHE_H_INCLUDED_


#include "ngx_scc_redis.h"
#include "ngx_scc_guard.h"
#include "ngx_scc_zone.h"
#include "scc_view.h"


/*
 * "Give me these cells": from the zone, from Redis, or from the store with
 * both filled on the way (README.md).  One ngx_scc_cache_t per process, on
 * its cycle.
 */

typedef struct {
    ngx_uint_t               generation;
    ngx_msec_t               lease_time;
    ngx_msec_t               lease_wait;
    time_t                   ttl;           /* seconds, +-20 % per entry */
    ngx_scc_zone_t          *zone;          /* NULL: none */
} ngx_scc_cache_conf_t;


typedef struct {
    ngx_scc_redis_script_t   lease;
    ngx_scc_redis_script_t   fill;
    ngx_scc_redis_script_t   change;
    ngx_scc_redis_script_t   release;
} ngx_scc_lease_scripts_t;


typedef struct {
    ngx_scc_cache_conf_t    *conf;
    ngx_scc_redis_pool_t    *redis;         /* NULL: there is no cache */
    ngx_scc_pg_pool_t       *pg;
    ngx_scc_zone_t          *zone;          /* NULL: none */
    ngx_scc_guard_t         *guard;         /* NULL: off; set by who made it */
    ngx_log_t               *log;

    ngx_scc_lease_scripts_t  scripts;
    u_char                   blank[SCC_BLOB_HEADER];
    uint64_t                 token;         /* of the next lease */

    ngx_rbtree_t             flights;       /* cells being filled, by key */
    ngx_rbtree_t             renewals;      /* pages being read, by hash */
    ngx_rbtree_node_t        sentinel;

    scc_blob_builder_t       builder;
} ngx_scc_cache_t;


/* redis may be NULL; pg must not.  NULL if out of memory. */
ngx_scc_cache_t *ngx_scc_cache_create(ngx_cycle_t *cycle,
    ngx_scc_cache_conf_t *conf, ngx_scc_redis_pool_t *redis,
    ngx_scc_pg_pool_t *pg);
void ngx_scc_cache_destroy(ngx_scc_cache_t *cache);


/*
 * A job: one request's cells.  The caller fills in the first part, on its
 * own pool, with keys ascending and each once.
 */

typedef struct ngx_scc_cells_s   ngx_scc_cells_t;
typedef struct ngx_scc_flight_s  ngx_scc_flight_t;
typedef struct ngx_scc_fill_s    ngx_scc_fill_t;

/* rc: NGX_OK, or NGX_ERROR: a cell has no copy anywhere.  The cells and
   their bytes are valid only inside the handler, which may end the
   request; those of the zone as long as they are held. */
typedef void (*ngx_scc_cells_pt)(ngx_scc_cells_t *job, ngx_int_t rc);


/*
 * What a finished job knows of cell i beside cells[i].key and .blob (whose
 * ver is the cell's version): where its bytes are, whether they are an old
 * copy, and its features deflated, or NULL.
 */

typedef enum {
    NGX_SCC_FROM_NONE = 0,
    NGX_SCC_FROM_ZONE,                      /* this host's shared memory */
    NGX_SCC_FROM_REDIS,
    NGX_SCC_FROM_STORE,
} ngx_scc_from_t;

typedef struct {
    ngx_scc_from_t           from;
    ngx_uint_t               stale;
    const scc_gzip_slice_t  *gzip;          /* with the bytes of the zone */
} ngx_scc_cell_t;


typedef struct {
    ngx_queue_t              queue;         /* in the flight's waits */
    ngx_scc_cells_t         *job;
    ngx_scc_fill_t          *fill;          /* pinned once delivered */
    ngx_uint_t               i;
    unsigned                 waiting:1;
} ngx_scc_wait_t;


struct ngx_scc_cells_s {
    ngx_scc_cache_t         *cache;
    ngx_pool_t              *pool;
    ngx_log_t               *log;
    const uint32_t          *keys;
    ngx_uint_t               n;
    ngx_scc_cells_pt         handler;
    void                    *data;
    unsigned                 version:1;     /* of one cell, blob.ver alone is
                                               wanted: the rest may be old */

    /* the result */
    scc_view_cell_t         *cells;         /* n, in the order of keys */
    ngx_scc_cell_t          *known;         /* n, in the same order */
    ngx_uint_t               zone;          /* of them, from the zone */
    ngx_uint_t               hits;          /* fresh, zone or Redis */
    ngx_uint_t               filled;        /* read from the store */
    ngx_uint_t               stale;         /* old copies, store silent */
    ngx_uint_t               young;         /* of the hits: old, but not
                                               older than is promised */
    unsigned                 bypass:1;      /* Redis was not usable */
    unsigned                 unvouched:1;   /* nobody vouches for it */
    uint64_t                 moves;         /* all is fresh and from the zone,
                                               of which this was noted; or 0
                                               */

    /* private */
    ngx_scc_redis_call_t    *call;
    ngx_uint_t               asked;         /* of Redis */
    ngx_scc_zone_note_t      note;
    ngx_scc_zone_item_t     *items;         /* n, or NULL: no zone */
    ngx_scc_wait_t          *waits;         /* n, or NULL */
    scc_str_t               *old;           /* n stale copies, or NULL */
    u_char                  *have;
    ngx_uint_t               waiting;
    ngx_uint_t               failed;
};


/*
 * NGX_AGAIN: the handler will be called, once, unless the job is cancelled;
 * otherwise the job is done with that rc and the handler is not called: the
 * caller uses the cells, then calls ngx_scc_cells_cancel().
 */
ngx_int_t ngx_scc_cells_get(ngx_scc_cells_t *job);

/* From the request's cleanup; lets go of everything, at any time. */
void ngx_scc_cells_cancel(ngx_scc_cells_t *job);

/*
 * In a finished job's handler: the bytes (gzip's too) of the cells FROM the
 * zone stay valid and unchanged until the pool is destroyed, whatever becomes
 * of the job: bufs may point into them.  Take the request's pool, which
 * outlives its output.  The others have to be copied.
 */
ngx_int_t ngx_scc_cells_hold(ngx_scc_cells_t *job, ngx_pool_t *pool);

/* Before that: the caller has deflated the features (blob.frags) of cell i;
   if it is FROM the zone, the slice is copied for who comes later. */
void ngx_scc_cells_gzip(ngx_scc_cells_t *job, ngx_uint_t i,
    const scc_gzip_slice_t *slice);


/*
 * The feed vouches for all copies by a key that lives for a short time and
 * is set again after each round.  While it is missing, copies are old
 * copies: the store is asked, and where it is silent they are STALE.  As
 * ngx_scc_redis_command().
 */
ngx_scc_redis_call_t *ngx_scc_cache_vouch(ngx_scc_cache_t *cache,
    ngx_msec_t life, ngx_scc_redis_handler_pt handler, void *data);

/* Takes the voucher back. */
ngx_scc_redis_call_t *ngx_scc_cache_disown(ngx_scc_cache_t *cache,
    ngx_scc_redis_handler_pt handler, void *data);


/*
 * Whose copies these are: keeps the store's identity where there is none
 * yet; the reply is the one that was there, or nil.  As
 * ngx_scc_redis_command().
 */
ngx_scc_redis_call_t *ngx_scc_cache_identify(ngx_scc_cache_t *cache,
    ngx_str_t *identity, ngx_scc_redis_handler_pt handler, void *data);

/* The same when all copies of another one were removed: its own from now
   on. */
ngx_scc_redis_call_t *ngx_scc_cache_own(ngx_scc_cache_t *cache,
    ngx_str_t *identity, ngx_scc_redis_handler_pt handler, void *data);


/* The key of a cell; p needs NGX_SCC_CACHE_KEY_LEN bytes. */
#define NGX_SCC_CACHE_KEY_LEN  (sizeof("scc:c::65535:65535") + NGX_INT_T_LEN)
u_char *ngx_scc_cache_key(ngx_scc_cache_t *cache, u_char *p, uint32_t key);

/* The key that is there while the feed vouches; as much room. */
u_char *ngx_scc_cache_vouch_key(ngx_scc_cache_t *cache, u_char *p);

/* An entry's life in milliseconds as text, with its jitter. */
u_char *ngx_scc_cache_ttl(ngx_scc_cache_t *cache, u_char *p);

/* The store's cell has this version: an older copy becomes STALE.  As
   ngx_scc_redis_command(). */
ngx_scc_redis_call_t *ngx_scc_cache_change(ngx_scc_cache_t *cache,
    uint32_t key, uint64_t ver, ngx_scc_redis_handler_pt handler,
    void *data);


/* private to cache/ */

typedef enum {
    NGX_SCC_LEASE_BUSY = 0,
    NGX_SCC_LEASE_GRANTED = 1,
    NGX_SCC_LEASE_FILLED = 2,
} ngx_scc_lease_t;

void ngx_scc_lease_init(ngx_scc_cache_t *cache);
ngx_int_t ngx_scc_lease_register(ngx_scc_cache_t *cache);
ngx_scc_redis_call_t *ngx_scc_lease_acquire(ngx_scc_cache_t *cache,
    uint32_t key, uint64_t token, ngx_scc_redis_handler_pt handler,
    void *data);
void ngx_scc_lease_fill(ngx_scc_cache_t *cache, uint32_t key,
    uint64_t token, scc_str_t blob);
void ngx_scc_lease_release(ngx_scc_cache_t *cache, uint32_t key,
    uint64_t token);

/* Attaches the job's missing cells to flights, starting a fill for those
   that have none.  Counts job->waiting and job->failed. */
void ngx_scc_fill_cells(ngx_scc_cells_t *job);

/* The same of those that the job shows old copies of, and nobody brings: the
   job does not wait for them. */
void ngx_scc_fill_behind(ngx_scc_cells_t *job);
void ngx_scc_fill_unpin(ngx_scc_fill_t *fill);
void ngx_scc_fill_leave(ngx_scc_wait_t *wait);

/* A waited-for cell has come (blob; entry: pinned, if from the zone) or
   failed (NULL). */
void ngx_scc_cells_deliver(ngx_scc_wait_t *wait, const scc_blob_t *blob,
    ngx_scc_zone_entry_t *entry, ngx_scc_from_t from);


#endif /* _NGX_SCC_CACHE_H_INCLUDED_ */
