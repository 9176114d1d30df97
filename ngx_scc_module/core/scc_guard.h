
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_GUARD_H_INCLUDED_
#define _SCC_GUARD_H_INCLUDED_


#include "scc.h"


/*
 * The guard: whether the store that answers is the one that is known, whole,
 * and not older than it was.  Pure: who asks brings what was seen.
 */

typedef enum {
    SCC_GUARD_BOOTSTRAP = 0,            /* nothing is known yet */
    SCC_GUARD_HEALTHY,
    SCC_GUARD_STALE,                    /* it does not answer */
    SCC_GUARD_REWOUND,                  /* it is older than it was */
    SCC_GUARD_QUARANTINE,
} scc_guard_state_t;

#define SCC_GUARD_STATES  5


typedef enum {
    SCC_GUARD_NONE = 0,
    SCC_GUARD_SILENT,                   /* STALE: no answer */
    SCC_GUARD_BEHIND,                   /* REWOUND: fewer events, or older
                                           ones, than there were */
    SCC_GUARD_LOG,                      /* REWOUND: its log goes back */
    SCC_GUARD_EMPTY,                    /* QUARANTINE, this and the rest */
    SCC_GUARD_FOREIGN,
    SCC_GUARD_PARTIAL,
    SCC_GUARD_UNADOPTED,                /* of a later epoch: rebuilt, but
                                           nobody has said that it is done */
} scc_guard_reason_t;

#define SCC_GUARD_REASONS  8


/*
 * What a store says of itself, in the snapshot of what it answers with.
 * Its text (scc.witness) is words with a blank between: store, epoch, system
 * identifier, timeline, flushed log as PostgreSQL writes it or "-" on a
 * standby, events, removals, places, contributors, last hlc, hollow.
 */

typedef struct {
    uint8_t             store[16];
    uint32_t            epoch;          /* >= 1 */
    uint64_t            system;
    uint32_t            timeline;
    uint64_t            lsn;            /* 0: a standby, which may be late */
    uint64_t            events;         /* in the ledger */
    uint64_t            removals;       /* of these: retract, remove */
    uint64_t            places;         /* rows, closed ones too */
    uint64_t            contributors;
    uint64_t            hlc;            /* the greatest of the ledger */
    uint32_t            hollow;         /* SCC_GUARD_HOLLOW_...: tables that
                                           are empty and should not be */
} scc_witness_t;

#define SCC_WITNESS_MAX  320            /* bytes of its text */

#define SCC_GUARD_HOLLOW_LEDGER  1
#define SCC_GUARD_HOLLOW_PLACE   2


/* What was looked for in the store, and what of it was there. */

typedef struct {
    uint32_t            events;         /* that the journal knows applied */
    uint32_t            events_there;
    uint64_t            rows;           /* places that cells count */
    uint64_t            rows_there;
} scc_sample_t;


typedef enum {
    SCC_SEEN_SILENCE = 0,               /* no answer */
    SCC_SEEN_NO_STORE,                  /* it answers, but has no database,
                                           tables, identity or role of ours */
    SCC_SEEN_WITNESS,
} scc_seen_t;


typedef struct {
    scc_guard_state_t   state;
    scc_guard_reason_t  reason;
} scc_verdict_t;


/* DECLINED: it is none. */
scc_rc_t scc_witness_parse(scc_str_t text, scc_witness_t *w);

/*
 * known: the greatest witness ever seen of it (core/scc_anchor.h), or NULL;
 * before: the verdict until now, which silence does not better; journal: the
 * store that the journal names, or NULL; w: with SCC_SEEN_WITNESS; sample:
 * NULL if none was taken.  BOOTSTRAP: nothing was known, and it may be
 * believed.
 */
scc_verdict_t scc_guard_judge(const scc_witness_t *known,
    scc_verdict_t before, const uint8_t *journal, scc_seen_t seen,
    const scc_witness_t *w, const scc_sample_t *sample);

/* May be answered from, and kept: BOOTSTRAP, HEALTHY, and STALE, where the
   next answer brings its own witness. */
bool scc_guard_open(scc_guard_state_t state);

/* Static text: "healthy", "foreign". */
scc_str_t scc_guard_state_name(scc_guard_state_t state);
scc_str_t scc_guard_reason_name(scc_guard_reason_t reason);
scc_rc_t scc_guard_state_parse(scc_str_t name, scc_guard_state_t *state);
scc_rc_t scc_guard_reason_parse(scc_str_t name, scc_guard_reason_t *reason);


/* For core/scc_anchor.c too.  Digits only, no leading zeros but "0" itself;
   "16/B374D848". */
scc_rc_t scc_guard_decimal(scc_str_t text, uint64_t max, uint64_t *n);
scc_rc_t scc_guard_lsn(scc_str_t text, uint64_t *lsn);


#endif /* _SCC_GUARD_H_INCLUDED_ */
