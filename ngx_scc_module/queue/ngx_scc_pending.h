
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_PENDING_H_INCLUDED_
#define _NGX_SCC_PENDING_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_journal.h"
#include "scc_audit.h"


/*
 * What this host's processes tell each other about contributions: how far
 * the recent ones have come, the counters of the write path, and the last
 * hlc.  A shared memory zone of a fixed table: what is forgotten costs
 * speed, never a contribution; the journal and the ledger are the truth.
 */

#define NGX_SCC_PENDING_SIZE  (8 * 1024 * 1024)     /* ~ 160,000 events */


/* In the order of a contribution's life; it never goes back. */

typedef enum {
    NGX_SCC_PENDING_NONE = 0,
    NGX_SCC_PENDING_WRITING,            /* not known to be durable */
    NGX_SCC_PENDING_JOURNALED,
    NGX_SCC_PENDING_QUEUED,
    NGX_SCC_PENDING_SYNCED,             /* queued, and on the queue's disk */
    NGX_SCC_PENDING_DEAD,               /* a dead letter; may be redriven */
    NGX_SCC_PENDING_APPLIED,
} ngx_scc_pending_state_t;


typedef struct {
    u_char                   id[16];    /* of the event */
    uint64_t                 hlc;
    u_char                   print[8];  /* first bytes of body's sha256 */
    uint32_t                 sender;    /* crc32c of the contributor's id */
    uint32_t                 time;      /* of its last change, seconds */
    uint32_t                 state;
    uint32_t                 spare;
} ngx_scc_pending_entry_t;


/* Why a request was refused before anything was written. */

typedef enum {
    NGX_SCC_REJECT_CONTRIBUTOR = 0,     /* 401: nobody */
    NGX_SCC_REJECT_TYPE,                /* 415 */
    NGX_SCC_REJECT_SIZE,                /* 411, 413 */
    NGX_SCC_REJECT_KEY,                 /* 400: Idempotency-Key, query */
    NGX_SCC_REJECT_BODY,                /* 400: faults */
    NGX_SCC_REJECT_CONFLICT,            /* 422: same id, other body */
    NGX_SCC_REJECT_RIGHT,               /* 403: somebody else's */
    NGX_SCC_REJECT_N,
} ngx_scc_reject_t;


/* Counted from the start of nginx; never reset. */

typedef struct {
    ngx_atomic_t             accepted;  /* answered 201 or 202 */
    ngx_atomic_t             repeated;  /* of these: known already */
    ngx_atomic_t             waited;    /* of these: 201 */
    ngx_atomic_t             rejected[NGX_SCC_REJECT_N];
    ngx_atomic_t             refused;   /* 503: nothing was taken */
    ngx_atomic_t             unknown;   /* 503: not reached in time */
    ngx_atomic_t             fallback;  /* 202 below the level asked for */
    ngx_atomic_t             left;      /* client gone before the answer */
    ngx_atomic_t             queued;    /* XADD answered */
    ngx_atomic_t             unqueued;  /* left to the reconcile pass */
    ngx_atomic_t             applied;   /* this host's helper's, also of
                                           other hosts' */
    ngx_atomic_t             known;     /* of these: in the ledger already */
    ngx_atomic_t             dead;
    ngx_atomic_t             retries;   /* statements that had to wait */
    ngx_atomic_t             future;    /* applied, and dated a day after
                                           the store's clock */
    ngx_atomic_t             forgotten; /* entries pushed out unapplied */
    ngx_scc_journal_stat_t   journal;

    /* gauges of what is known here, counted every second */
    ngx_atomic_t             pending;   /* durable, neither applied nor dead */
    ngx_atomic_t             oldest;    /* of these, hlc >> 16; 0: none */
} ngx_scc_write_stat_t;


/*
 * What the audit has found, by the helper for all processes
 * (ngx_scc_caps.h).  Words that are read without the lock are written whole;
 * times are milliseconds since boot, 0: never.
 */

typedef struct {
    uint64_t                 key;       /* of the journal's directives */
    uint64_t                 journal;   /* when it was last tried */
    uint64_t                 queue;     /* when the rest was last asked */
    uint64_t                 store;
    uint64_t                 caps;      /* SCC_CAP_... */
    uint64_t                 again;     /* somebody doubts: at once */
    uint64_t                 audits;

    /* for the next look; the helper's alone */
    uint64_t                 known_key;
    uint64_t                 known_dev[SCC_AUDIT_DIRS];
    uint64_t                 known_ino[SCC_AUDIT_DIRS];
    char                     known_run_id[SCC_AUDIT_WORD];
    char                     known_last_id[SCC_AUDIT_WORD];
    uint64_t                 known_added;
    char                     known_file[SCC_AUDIT_TEXT];
    uint64_t                 known_file_ino;

    scc_report_t             report;    /* under the mutex */
} ngx_scc_audit_shared_t;


typedef struct {
    uint64_t                 magic;     /* layout and its sizes */
    uint64_t                 hlc;       /* the last given out or seen */
    scc_clock_t              clock;     /* each number by itself */
    ngx_uint_t               seeded;    /* hlc: the journal was read */
    uint64_t                 lost;      /* milliseconds since boot when last
                                           something was forgotten, or the
                                           zone made */
    uint64_t                 passed;    /* when the last pass over all of
                                           the journal began */
    uint64_t                 hurry;     /* when somebody last waited for
                                           "applied", milliseconds since
                                           boot */
    ngx_scc_write_stat_t     stat;
    ngx_scc_audit_shared_t   audit;
    ngx_uint_t               buckets;
    ngx_scc_pending_entry_t  entries[1];
} ngx_scc_pending_shared_t;


struct ngx_scc_pending_s {
    ngx_scc_pending_shared_t  *sh;
    ngx_slab_pool_t           *shpool;  /* its mutex guards the entries */
};


/* At configuration time; sh is set when the zone is made.  NULL on error,
   which has been logged. */
ngx_scc_pending_t *ngx_scc_pending_add(ngx_conf_t *cf, size_t size,
    void *tag);

/* NGX_OK: entry is a copy; NGX_DECLINED: not known here. */
ngx_int_t ngx_scc_pending_find(ngx_scc_pending_t *pending,
    const u_char *id, ngx_scc_pending_entry_t *entry);

/* Adds it, or raises its state; of one that is there the rest is kept. */
void ngx_scc_pending_put(ngx_scc_pending_t *pending,
    const ngx_scc_pending_entry_t *entry);

/* Raises the state if it is known here. */
void ngx_scc_pending_raise(ngx_scc_pending_t *pending, const u_char *id,
    ngx_scc_pending_state_t state);

/* Forgets what never became durable. */
void ngx_scc_pending_drop(ngx_scc_pending_t *pending, const u_char *id);

/* Counts what waits, and how old it is. */
void ngx_scc_pending_count(ngx_scc_pending_t *pending);

/*
 * All that was in the journal at "boot" (ngx_scc_pending_boot()) is in the
 * store.  And: is what is neither here nor there in no journal of this host?
 */
void ngx_scc_pending_passed(ngx_scc_pending_t *pending, uint64_t boot);
ngx_uint_t ngx_scc_pending_sure(ngx_scc_pending_t *pending);

/*
 * A request waits until its contribution is applied; to be called again
 * while it does.  And: did one, a moment ago?  (No zone: nobody.)
 */
void ngx_scc_pending_hurry(ngx_scc_pending_t *pending);
ngx_uint_t ngx_scc_pending_hurried(ngx_scc_pending_t *pending);

/* Milliseconds since boot. */
uint64_t ngx_scc_pending_boot(void);

/* The number that stands for a contributor in an entry. */
uint32_t ngx_scc_pending_sender(const scc_str_t *contributor_id);

/*
 * The next hlc of this host at wall clock "msec" (scc_clock_read(); "off":
 * by how many seconds it was doubted).  And: no later hlc is below "hlc",
 * which was seen in a journal or the ledger.
 */
uint64_t ngx_scc_pending_hlc(ngx_scc_pending_t *pending, uint64_t msec,
    scc_doubt_t *doubt, int64_t *off);
void ngx_scc_pending_hlc_seen(ngx_scc_pending_t *pending, uint64_t hlc);

/*
 * The store's clock, milliseconds, as it said a moment ago, and what it is
 * now by that; 0: not known.
 */
void ngx_scc_pending_set_store(ngx_scc_pending_t *pending, uint64_t msec);
uint64_t ngx_scc_pending_store(ngx_scc_pending_t *pending);


#endif /* _NGX_SCC_PENDING_H_INCLUDED_ */
