
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_COMPARE_H_INCLUDED_
#define _SCC_CTL_COMPARE_H_INCLUDED_


#include "scc_ctl_journal.h"
#include "scc_ctl_progress.h"
#include "scc_ctl_store.h"


/*
 * What journals hold, looked for in a store: each record must be in the
 * ledger with the same body, or a dead letter.  Look-ups go in batches;
 * memory does not grow with the number of records.
 */

typedef struct {
    uint64_t            records;        /* read, copies left out */
    uint64_t            copies;
    uint64_t            ledger;         /* that the ledger took */
    uint64_t            repeats;        /* the ledger took the same event
                                           from another record */
    uint64_t            dead;           /* kept as dead letters */
    uint64_t            other;          /* the ledger has another body */
    uint64_t            missing;        /* neither */
    uint64_t            coming;         /* neither, but just written: nginx
                                           is about to apply them */
    uint64_t            waiting;        /* neither, received since "since":
                                           nginx will apply them */
    uint64_t            unreadable;     /* by this program */
    uint8_t             digest[32];     /* of "ledger" */
} scc_ctl_compare_t;


/*
 * A digest of a set of events: SHA-256(event id || SHA-256 of the body),
 * XORed over all of them.  The order does not matter; each counts once.
 */
int scc_ctl_compare_digest(uint8_t digest[32], const uint8_t id[16],
    const uint8_t sha256[32]);

/* 64 hexadecimal digits in a static buffer of two. */
const char *scc_ctl_compare_hex(const uint8_t digest[32]);

/*
 * Of journals that were looked at; the first records that are missing are
 * named on stdout.  0, or -1 after saying what is wrong: a segment of
 * another store, no memory, no answer.
 */
int scc_ctl_compare_journals(scc_ctl_compare_t *c, scc_ctl_journal_t *j,
    PGconn *pg, const uint8_t store[16], scc_ctl_progress_t *progress);

/* The same; what was received after "since", ns of the wall clock, into a
   segment that nginx has not finished with, may wait. */
int scc_ctl_compare_since(scc_ctl_compare_t *c, scc_ctl_journal_t *j,
    PGconn *pg, const uint8_t store[16], uint64_t since,
    scc_ctl_progress_t *progress);

/* The journals of an option and the arguments behind it, looked at; -1 after
   saying what is wrong. */
int scc_ctl_compare_open(scc_ctl_journal_t *j, const char *first,
    const scc_ctl_args_t *args);


#endif /* _SCC_CTL_COMPARE_H_INCLUDED_ */
