
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_ZONE_H_INCLUDED_
#define _NGX_SCC_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "scc_blob.h"
#include "scc_gzip.h"


/*
 * L1: copies of cells in this host's shared memory, for all its processes
 * (README.md).  It may lose, refuse or drop any copy at any time.  Times
 * are ngx_scc_zone_now()'s: milliseconds of a clock that all processes of
 * the host share and that never goes back.
 */

#define NGX_SCC_ZONE_MIN  ((size_t) 256 * 1024)
#define NGX_SCC_ZONE_MAX  ((size_t) 64 * 1024 * 1024 * 1024)

typedef struct ngx_scc_zone_s        ngx_scc_zone_t;
typedef struct ngx_scc_zone_entry_s  ngx_scc_zone_entry_t;  /* opaque */


/* Counted from the zone's making. */

typedef struct {
    ngx_uint_t               hits;          /* fresh copies given */
    ngx_uint_t               misses;        /* none, or not fresh */
    ngx_uint_t               inserts;
    ngx_uint_t               dropped;       /* inserts that came too late */
    ngx_uint_t               refused;       /* no room, or all is pinned */
    ngx_uint_t               evictions;
    ngx_uint_t               marked;        /* made old by a change */
    ngx_uint_t               stale;         /* old copies answered with */
    ngx_uint_t               repairs;       /* after a process's death */
    ngx_uint_t               entries;       /* now */
    ngx_uint_t               size;          /* bytes for copies, in all */
    ngx_uint_t               free;          /* of these */
    ngx_uint_t               epoch;
    ngx_uint_t               moves;         /* times that kept answers were
                                               to be looked up again */
} ngx_scc_zone_stat_t;


/*
 * At configuration time.  ngx_scc_zone_tag(), from init_main_conf, says what
 * the copies are copies of: after a reload with another tag, size or build
 * of the module the zone begins empty; else it keeps its content.
 */
ngx_scc_zone_t *ngx_scc_zone_add(ngx_conf_t *cf, ngx_str_t *name,
    size_t size, void *module);
void ngx_scc_zone_tag(ngx_scc_zone_t *zone, const ngx_str_t *parts,
    ngx_uint_t n);

/* In each process that uses the zone, before anything else and when it
   ends.  NGX_ERROR if out of memory; NGX_DECLINED: there are too many
   processes, this one goes without (which has been logged). */
ngx_int_t ngx_scc_zone_join(ngx_scc_zone_t *zone, ngx_log_t *log);
void ngx_scc_zone_leave(ngx_scc_zone_t *zone);

uint64_t ngx_scc_zone_now(void);
void ngx_scc_zone_stat(ngx_scc_zone_t *zone, ngx_scc_zone_stat_t *stat);
void ngx_scc_zone_stale(ngx_scc_zone_t *zone, ngx_uint_t n);


/*
 * Readers.  What was noted at the lookup goes with the bytes that were read
 * after it: a change heard of in between drops them.
 */

typedef struct {
    uint64_t                 epoch;
    uint64_t                 moves;
    uint64_t                 taken;         /* the time */
    ngx_uint_t               told;          /* Redis knows all changes */
} ngx_scc_zone_note_t;

typedef struct {
    ngx_scc_zone_entry_t    *entry;         /* pinned; NULL: none */
    uint32_t                 gen;           /* part of the note */
    unsigned                 fresh:1;
    unsigned                 bearable:1;    /* old, but had been vouched for
                                               until later than now */
    unsigned                 young:1;       /* old, but the store said so
                                               less than the bound ago */
    unsigned                 claimed:1;     /* not fresh, and being brought */
} ngx_scc_zone_item_t;

void ngx_scc_zone_get(ngx_scc_zone_t *zone, const uint32_t *keys,
    ngx_uint_t n, ngx_scc_zone_note_t *note, ngx_scc_zone_item_t *items);
void ngx_scc_zone_unpin(ngx_scc_zone_t *zone, ngx_scc_zone_entry_t *entry);

/*
 * Without the mutex: whether a lookup of cells that were all fresh at a
 * lookup with this note's moves would find the same, were none evicted; and
 * that it was made, of n cells.  The epoch, or 0: nobody vouches for it now.
 */
ngx_uint_t ngx_scc_zone_unmoved(ngx_scc_zone_t *zone, uint64_t moves);
void ngx_scc_zone_again(ngx_scc_zone_t *zone, ngx_uint_t n);
uint64_t ngx_scc_zone_epoch(ngx_scc_zone_t *zone);

/*
 * For what the store said and others keep: whose clock it is and which store,
 * noted with the time before the store is asked; and whether such a word is
 * young, as an item of the zone is.
 */
uint64_t ngx_scc_zone_clock(ngx_scc_zone_t *zone);
ngx_uint_t ngx_scc_zone_young(ngx_scc_zone_t *zone, uint64_t clock,
    uint64_t taken);

/* Once more, of an entry that this process has pinned. */
void ngx_scc_zone_pin(ngx_scc_zone_t *zone, ngx_scc_zone_entry_t *entry);

/* Of an entry that is pinned; gzip: its features deflated, or NULL. */
const scc_blob_t *ngx_scc_zone_blob(ngx_scc_zone_entry_t *entry);
const scc_gzip_slice_t *ngx_scc_zone_gzip(ngx_scc_zone_entry_t *entry);

/* Keeps a slice of a pinned entry's features with it, for later lookups;
   this entry itself does not change. */
void ngx_scc_zone_put_gzip(ngx_scc_zone_t *zone, ngx_scc_zone_entry_t *entry,
    const scc_gzip_slice_t *slice);

/* The note alone, for a read that begins now. */
void ngx_scc_zone_note(ngx_scc_zone_t *zone, uint32_t key,
    ngx_scc_zone_note_t *note, uint32_t *gen);

/* Keeps a copy of bytes, which blob was opened on; from_redis: else they
   are the store's.  It may well not. */
void ngx_scc_zone_put(ngx_scc_zone_t *zone, uint32_t key,
    const ngx_scc_zone_note_t *note, uint32_t gen, ngx_uint_t from_redis,
    scc_str_t bytes, const scc_blob_t *blob);


/*
 * One process of this host brings a cell at a time.  All that are wanted are
 * claimed at once, so that two who want the same do not get a part each and
 * ask the store twice.  For each key: NGX_OK, it is the caller, who releases
 * it; NGX_BUSY, another one, for at most "life" milliseconds from when it
 * began; NGX_DECLINED, the zone does not say, now.
 */
void ngx_scc_zone_claim(ngx_scc_zone_t *zone, const uint32_t *keys,
    ngx_uint_t n, ngx_msec_t life, ngx_int_t *rcs);
void ngx_scc_zone_release(ngx_scc_zone_t *zone, uint32_t key);


/*
 * The feed.  A round begins with ngx_scc_zone_round(), before the store is
 * asked for the changes from "since" on.
 */

typedef struct {
    uint64_t                 began;
    uint64_t                 epoch;
    uint64_t                 silence;
    uint64_t                 since;         /* transaction id */
    ngx_uint_t               told;
} ngx_scc_zone_round_t;

typedef struct {
    uint32_t                 cell;
    uint64_t                 ver;
} ngx_scc_zone_change_t;

void ngx_scc_zone_round(ngx_scc_zone_t *zone, ngx_scc_zone_round_t *round);

/* NGX_OK: the zone's copies are of this store.  NGX_DECLINED: they were of
   another and are gone; this round is over. */
ngx_int_t ngx_scc_zone_identify(ngx_scc_zone_t *zone,
    ngx_scc_zone_round_t *round, ngx_str_t *identity);

/*
 * The round's changes; told: Redis has taken all of them before.  Then, in
 * a call of its own, that the zone knows all up to "next": its copies may be
 * believed for "bound" milliseconds from the round's beginning, and for as
 * long what the store was asked for is young.
 */
void ngx_scc_zone_change(ngx_scc_zone_t *zone, ngx_scc_zone_round_t *round,
    const ngx_scc_zone_change_t *changes, ngx_uint_t n, ngx_uint_t told);
void ngx_scc_zone_vouch(ngx_scc_zone_t *zone, ngx_scc_zone_round_t *round,
    uint64_t next, ngx_msec_t bound);

/* Redis has now taken the round's changes and all that came before; and:
   it cannot be told any more. */
void ngx_scc_zone_told(ngx_scc_zone_t *zone, ngx_scc_zone_round_t *round);
void ngx_scc_zone_untold(ngx_scc_zone_t *zone);

/* Gives free what processes held that have died. */
void ngx_scc_zone_reap(ngx_scc_zone_t *zone);


#endif /* _NGX_SCC_ZONE_H_INCLUDED_ */
