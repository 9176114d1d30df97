
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_GUARD_H_INCLUDED_
#define _NGX_SCC_GUARD_H_INCLUDED_


#include "ngx_scc_pg.h"
#include "scc_anchor.h"


/*
 * May the store be believed?  One answer for all processes of this host, in
 * shared memory.  Every statement that answers from the store brings its
 * witness; a bad one closes the store to all at once, and only the helper
 * (apply/ngx_scc_watch.h) opens it again.  A reload keeps it; after a start
 * it is known from the anchors of the host's directories.
 */

#define NGX_SCC_GUARD_DIRS      3       /* of the journal, and the state's */
#define NGX_SCC_GUARD_IDENTITY  128     /* bytes of an identity */


typedef struct {
    ngx_shmtx_sh_t             lock;
    ngx_atomic_t               state;   /* scc_guard_state_t; read without
                                           the lock */
    ngx_atomic_t               reason;
    ngx_atomic_t               asked;   /* somebody wants it looked at */
    ngx_atomic_t               checks;
    ngx_atomic_t               opened;  /* how often it became HEALTHY */
    ngx_atomic_t               refused; /* answers that were not believed */
    ngx_atomic_t               replayed;    /* given back to a store that was
                                               rewound */
    ngx_atomic_t               wanted;  /* passes over the whole journal: how
                                           many were called for, ... */
    ngx_atomic_t               passed;  /* ... which one was the last, ... */
    ngx_atomic_t               numbered;    /* ... and for which the store has
                                               its order numbers back */
    uint64_t                   floor;   /* events that its ledger had, as
                                           writers know; since "wanted" */
    uint64_t                   floor_hlc;   /* the greatest of these */
    uint64_t                   doubt;   /* a cell with fewer places than it
                                           counts, + 1; 0: none */
    ngx_uint_t                 loaded;  /* the anchors have been looked for */
    ngx_uint_t                 has_journal;
    u_char                     journal[16]; /* whose it is, as of the start */
    ngx_uint_t                 known;   /* anchor.high is set */
    scc_anchor_t               anchor;
} ngx_scc_guard_shared_t;


typedef struct {
    ngx_scc_guard_shared_t    *sh;
    ngx_slab_pool_t           *shpool;
    ngx_log_t                 *log;
    ngx_scc_pg_gate_t          gate;

    ngx_uint_t                 absent;  /* the server knows no database or
                                           role of ours, as of the last
                                           connection of this process */

    ngx_str_t                  dirs[NGX_SCC_GUARD_DIRS];
    ngx_uint_t                 n_dirs;
    ngx_uint_t                 n_journal;   /* the first of these */
} ngx_scc_guard_t;


/* At configuration time; the directories are added before the end of it. */
ngx_scc_guard_t *ngx_scc_guard_add(ngx_conf_t *cf, void *tag);
void ngx_scc_guard_dir(ngx_scc_guard_t *guard, ngx_str_t *dir,
    ngx_uint_t journal);

/* Of a process: its pool asks and tells the guard from now on. */
void ngx_scc_guard_pool(ngx_scc_guard_t *guard, ngx_scc_pg_pool_t *pool,
    ngx_log_t *log);

/* One read of shared memory; guard may be NULL: HEALTHY. */
static ngx_inline scc_guard_state_t
ngx_scc_guard_state(ngx_scc_guard_t *guard)
{
    return (guard != NULL) ? (scc_guard_state_t) guard->sh->state
                           : SCC_GUARD_HEALTHY;
}

#define ngx_scc_guard_open(guard)                                             \
    scc_guard_open(ngx_scc_guard_state(guard))

/* A cell has fewer places than it counts: the helper looks at it now. */
void ngx_scc_guard_doubt(ngx_scc_guard_t *guard, uint32_t cell);

/* The helper looks at the store as soon as it can. */
void ngx_scc_guard_ask(ngx_scc_guard_t *guard);

/* The anchor and the verdict as they are now.  NGX_DECLINED: no store is
   known yet, only the verdict is set. */
ngx_int_t ngx_scc_guard_get(ngx_scc_guard_t *guard, scc_anchor_t *anchor);

/* What an anchor says, merged.  NGX_DECLINED: it is of another store. */
ngx_int_t ngx_scc_guard_merge(ngx_scc_guard_t *guard,
    const scc_anchor_t *anchor);

/*
 * A pass over all of the journal, marked or not: called for when the store
 * may lack what it once had.  begun() says which one is due, or 0; passed()
 * that it has ended well; found: what the store did lack.
 */
ngx_uint_t ngx_scc_guard_begun(ngx_scc_guard_t *guard);
void ngx_scc_guard_passed(ngx_scc_guard_t *guard, ngx_uint_t pass);
void ngx_scc_guard_found(ngx_scc_guard_t *guard, ngx_uint_t found);

/*
 * Before that pass, and before anything is applied, the store gets its order
 * numbers back (apply/ngx_scc_restore.h): for which pass they are due, or 0;
 * and that this has been done.
 */
ngx_uint_t ngx_scc_guard_unnumbered(ngx_scc_guard_t *guard);
void ngx_scc_guard_numbered(ngx_scc_guard_t *guard, ngx_uint_t pass);

/*
 * What a writer asks of the store: a ledger of that many events at least.  A
 * store that has fewer went back, and nobody has noticed yet: it takes
 * nothing.  wanted: as it was; answers to what was asked before are void.
 */
typedef struct {
    uint64_t                   events;
    ngx_uint_t                 wanted;
} ngx_scc_guard_floor_t;

/* guard may be NULL: no events. */
void ngx_scc_guard_floor(ngx_scc_guard_t *guard,
    ngx_scc_guard_floor_t *floor);

/* What was asked for is there, and so many events now, the greatest hlc of
   which is known; or it is not. */
void ngx_scc_guard_raise(ngx_scc_guard_t *guard,
    const ngx_scc_guard_floor_t *floor, uint64_t events, uint64_t hlc);
void ngx_scc_guard_behind(ngx_scc_guard_t *guard,
    const ngx_scc_guard_floor_t *floor);

/* The helper's verdict.  w: what the store said, NULL if nothing; it raises
   the anchor where it is believed.  restart: it was rewound, and is whole
   again. */
void ngx_scc_guard_set(ngx_scc_guard_t *guard, scc_verdict_t verdict,
    const scc_witness_t *w, ngx_uint_t restart);

/*
 * An identity as the store tells it, with how often it came back from being
 * rewound: what is kept by identity is then of another store.  Returns
 * identity, or what is in buf.
 */
ngx_str_t *ngx_scc_guard_identity(ngx_scc_guard_t *guard,
    ngx_str_t *identity, ngx_str_t *text,
    u_char buf[NGX_SCC_GUARD_IDENTITY]);


#endif /* _NGX_SCC_GUARD_H_INCLUDED_ */
