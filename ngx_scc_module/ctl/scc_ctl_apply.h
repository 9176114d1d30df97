
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_APPLY_H_INCLUDED_
#define _SCC_CTL_APPLY_H_INCLUDED_


#include "scc_ctl_batch.h"


/*
 * Events into the store, through scc.contribute() and nothing else: batches,
 * each one transaction that is durable when it is counted.  While the server
 * works on one batch the caller fills the next.
 *
 * A batch the server could not take for a passing reason (deadlock, lost
 * connection, restart) is sent again; one whose data it refuses is cut in
 * halves until the bad row stands alone.  Sending a row twice is harmless:
 * its events have the same ids.
 */

typedef struct scc_ctl_apply_s  scc_ctl_apply_t;


typedef struct {
    const char         *conninfo;
    uint32_t            batch;              /* rows, and events */

    /* The handlers may ask the store; -1, after saying why, stops. */

    /* before a batch is sent, the one before it being done; may be NULL */
    int               (*before)(void *ctx, scc_ctl_batch_t *b);

    /* a row that the server refused; "culprit" is NULL where it does not
       say which event it was */
    int               (*refused)(void *ctx, const scc_ctl_batch_t *b,
                                 const scc_ctl_row_t *row,
                                 const scc_ctl_event_t *culprit,
                                 const char *sqlstate, const char *message);

    /* the ledger has this event's id, or its contributor's idempotency key,
       with another body; may be NULL */
    int               (*mismatch)(void *ctx, const scc_ctl_batch_t *b,
                                  const scc_ctl_event_t *ev);
    void               *ctx;
} scc_ctl_apply_conf_t;                     /* copied; strings borrowed */


typedef struct {
    uint64_t            events_new;
    uint64_t            events_old;
    uint64_t            mismatched;         /* of the old ones */
    uint64_t            kinds[SCC_KIND_LAST + 1];   /* events taken */
    uint64_t            refused;            /* rows */
    uint64_t            retries;
} scc_ctl_apply_stats_t;


/* Connects and checks the store; NULL after saying why not. */
scc_ctl_apply_t *scc_ctl_apply_create(const scc_ctl_apply_conf_t *conf);
void scc_ctl_apply_free(scc_ctl_apply_t *a);

const uint8_t *scc_ctl_apply_store(const scc_ctl_apply_t *a);   /* its UUID */

/* The batch to add the next row to; it has room for it. */
scc_ctl_batch_t *scc_ctl_apply_batch(scc_ctl_apply_t *a);

/* A row was added, whole; the batch may be sent.  -1 after saying why it
   cannot go on. */
int scc_ctl_apply_added(scc_ctl_apply_t *a);

/* Sends what is left and waits until all is committed. */
int scc_ctl_apply_flush(scc_ctl_apply_t *a);

const scc_ctl_apply_stats_t *scc_ctl_apply_stats(const scc_ctl_apply_t *a);


/*
 * A statement beside the batches, in a transaction of its own, while none is
 * in flight (as in a handler, or after a flush).  It is sent again like a
 * batch, so it has to be one that may run twice.  The result is the
 * caller's; NULL after saying "what: server's message".
 */

#define SCC_CTL_ASK_PARAMS  5

typedef struct {
    const char         *what;
    const char         *text;
    int                 n;
    Oid                 types[SCC_CTL_ASK_PARAMS];
    const char         *values[SCC_CTL_ASK_PARAMS];
    int                 lengths[SCC_CTL_ASK_PARAMS];
    int                 formats[SCC_CTL_ASK_PARAMS];    /* 1: binary */
} scc_ctl_ask_t;

PGresult *scc_ctl_apply_ask(scc_ctl_apply_t *a, const scc_ctl_ask_t *ask);


#endif /* _SCC_CTL_APPLY_H_INCLUDED_ */
