
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_ZONE_INT_H_INCLUDED_
#define _NGX_SCC_ZONE_INT_H_INCLUDED_


#include "ngx_scc_zone.h"


/*
 * The zone's inside, between its own files.  Memory is given out in runs of
 * units; an entry is one run: this header, then the blob, then perhaps its
 * features deflated.  owner[] says for
 * each unit whose it is, and is the truth: all the rest (free lists, table,
 * queues) can be made again from it and the entries' headers.
 */

#define NGX_SCC_ZONE_UNIT      512
#define NGX_SCC_ZONE_NONE      0xff         /* in order[]: no free run
                                               begins here */
#define NGX_SCC_ZONE_ORDERS    32
#define NGX_SCC_ZONE_WORDS     4            /* of 64 processes each */
#define NGX_SCC_ZONE_PROCS     (64 * NGX_SCC_ZONE_WORDS)
#define NGX_SCC_ZONE_IDENTITY  128
#define NGX_SCC_ZONE_WAYS      8


typedef enum {
    NGX_SCC_ZONE_FREE = 0,
    NGX_SCC_ZONE_FILLING,                   /* its bytes are being written */
    NGX_SCC_ZONE_LIVE,                      /* in the table */
    NGX_SCC_ZONE_DETACHED,                  /* until nobody pins it */
} ngx_scc_zone_state_t;


struct ngx_scc_zone_entry_s {
    uint32_t                 unit;          /* its first */
    uint32_t                 units;
    uint32_t                 key;
    uint32_t                 state;         /* ngx_scc_zone_state_t */
    uint64_t                 pins[NGX_SCC_ZONE_WORDS];  /* by process */
    ngx_queue_t              queue;         /* of use, or detached */
    ngx_scc_zone_entry_t    *next;          /* in its bucket */
    uint64_t                 epoch;
    uint64_t                 used;          /* when it was last moved */
    uint64_t                 until;         /* of an old one: until when it
                                               had been vouched for */
    uint64_t                 taken;         /* when the store was asked for
                                               it; 0: not known */
    ngx_uint_t               old;
    size_t                   len;           /* of the bytes that follow */
    scc_blob_t               blob;          /* opened on them */
    scc_gzip_slice_t         gzip;          /* after them; no data: none */
};

#define NGX_SCC_ZONE_HEADER                                                   \
    ngx_align(sizeof(ngx_scc_zone_entry_t), NGX_ALIGNMENT)


typedef struct {
    uint32_t                 key;
    ngx_pid_t                pid;           /* 0: no claim */
    uint64_t                 until;
} ngx_scc_zone_claim_t;


typedef struct {
    uint64_t                 magic;         /* layout and its sizes */
    uint64_t                 busy;          /* pid of who changes it now */
    uint64_t                 moves;         /* raised before what a lookup
                                               finds becomes something else */

    /* what the feed knows */
    uint64_t                 epoch;
    uint64_t                 silence;       /* times that changes were not
                                               told to Redis first */
    ngx_uint_t               told;
    uint64_t                 since;
    uint64_t                 fresh_until;
    uint64_t                 bound;         /* how old an answer may be */
    uint64_t                 clock;         /* random, of this memory */
    size_t                   identity_len;
    u_char                   identity[NGX_SCC_ZONE_IDENTITY];

    ngx_scc_zone_stat_t      stat;
    ngx_pid_t                procs[NGX_SCC_ZONE_PROCS];

    ngx_queue_t              lru;           /* first: used last */
    ngx_queue_t              detached;

    uint32_t                 units;
    uint32_t                 units_free;
    uint32_t                 gens_mask;
    uint32_t                 buckets_mask;
    uint32_t                 claims_mask;
    uint32_t                 free[NGX_SCC_ZONE_ORDERS];  /* unit + 1 */

    uint32_t                *gens;
    uint32_t                *lost;          /* by slot, as gens: moves when
                                               a copy not marked was evicted
                                               last, their lower half */
    ngx_scc_zone_entry_t   **buckets;
    ngx_scc_zone_claim_t    *claims;
    uint32_t                *owner;         /* entry's unit + 1; 0: free */
    u_char                  *order;         /* of free runs, at their first */
    u_char                  *data;
} ngx_scc_zone_shared_t;


struct ngx_scc_zone_s {
    ngx_scc_zone_shared_t   *sh;
    ngx_slab_pool_t         *shpool;        /* its mutex guards all of sh */
    ngx_shm_zone_t          *shm_zone;
    void                    *module;
    ngx_log_t               *log;

    /* of this process */
    uint32_t                *pins;          /* by unit: of how many jobs */
    ngx_uint_t               slot;
    ngx_uint_t               joined;
};


#define ngx_scc_zone_entry(sh, unit)                                          \
    ((ngx_scc_zone_entry_t *)                                                 \
         ((sh)->data + (size_t) (unit) * NGX_SCC_ZONE_UNIT))

static ngx_inline uint32_t
ngx_scc_zone_hash(uint32_t key)
{
    return (uint32_t) (key * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}


/* Takes the mutex; what a process left that died with it is repaired. */
void ngx_scc_zone_lock(ngx_scc_zone_t *zone);
void ngx_scc_zone_unlock(ngx_scc_zone_t *zone);

/* The mutex is held, and what was known of answers is void from here on. */
static ngx_inline void
ngx_scc_zone_move(ngx_scc_zone_shared_t *sh)
{
    __atomic_store_n(&sh->moves, sh->moves + 1, __ATOMIC_SEQ_CST);
}


/* Whether an answer may be kept of a copy of this key that was evicted. */
static ngx_inline ngx_uint_t
ngx_scc_zone_lost(ngx_scc_zone_shared_t *sh, uint32_t key)
{
    return sh->lost[ngx_scc_zone_hash(key) & sh->gens_mask]
           == (uint32_t) sh->moves;
}


/* ngx_scc_zone_entry.c; the mutex is held */

ngx_uint_t ngx_scc_zone_pinned(const ngx_scc_zone_entry_t *e);
ngx_scc_zone_entry_t *ngx_scc_zone_find(ngx_scc_zone_shared_t *sh,
    uint32_t key);
void ngx_scc_zone_attach(ngx_scc_zone_shared_t *sh, ngx_scc_zone_entry_t *e,
    uint64_t now);
/* Out of the table; free at once if nobody pins it. */
void ngx_scc_zone_detach(ngx_scc_zone_shared_t *sh, ngx_scc_zone_entry_t *e);
/* Room for so many units, FILLING, or NULL; older entries may go. */
ngx_scc_zone_entry_t *ngx_scc_zone_make(ngx_scc_zone_shared_t *sh,
    uint32_t units);
void ngx_scc_zone_free(ngx_scc_zone_shared_t *sh, ngx_scc_zone_entry_t *e);
/* Lets go of all that a process pinned. */
void ngx_scc_zone_sweep(ngx_scc_zone_shared_t *sh, ngx_uint_t slot);
void ngx_scc_zone_repair(ngx_scc_zone_shared_t *sh);

/* ngx_scc_zone_room.c: runs of units by the buddy system; the mutex is
   held */

void ngx_scc_zone_room_init(ngx_scc_zone_shared_t *sh);
ngx_uint_t ngx_scc_zone_room_order(uint32_t units);
/* The first unit, or sh->units if there is no such run. */
uint32_t ngx_scc_zone_room_get(ngx_scc_zone_shared_t *sh, uint32_t units);
void ngx_scc_zone_room_put(ngx_scc_zone_shared_t *sh, uint32_t unit,
    uint32_t units);


#endif /* _NGX_SCC_ZONE_INT_H_INCLUDED_ */
