
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_BATCH_H_INCLUDED_
#define _SCC_CTL_BATCH_H_INCLUDED_


#include "scc_ctl_pg.h"
#include "scc_journal.h"


/*
 * Rows on their way to the store, with their events; the bytes of all of
 * them lie in "text", which may move while it grows: hence slices.
 */

#define SCC_CTL_ROW_EVENTS  4               /* at most, of a row */


typedef struct {
    size_t              start;
    size_t              len;
} scc_ctl_slice_t;


typedef struct {
    uint8_t             id[16];
    scc_kind_t          kind;
    uint64_t            hlc;
    uint64_t            received;           /* ns */
    uint8_t             sha256[32];         /* of the body */
    scc_ctl_slice_t     key;                /* empty: NULL */
    scc_ctl_slice_t     target;
    scc_ctl_slice_t     contributor_id;
    scc_ctl_slice_t     contributor_name;   /* empty: NULL */
    scc_ctl_slice_t     body;

    bool                journaled;
    uint8_t             segment[16];        /* if it is */
    int64_t             letter;             /* the dead letter that has it,
                                               or 0 */
} scc_ctl_event_t;


typedef struct {
    uint64_t            line;               /* in a file, or 0 */
    scc_ctl_slice_t     id;
    size_t              first;              /* event */
    size_t              n;
} scc_ctl_row_t;


typedef struct {
    scc_ctl_row_t      *rows;
    scc_ctl_event_t    *events;
    size_t              max;
    size_t              n_rows;
    size_t              n_events;
    scc_buf_t           text;
} scc_ctl_batch_t;


/* Room for "max" rows and as many events, and those of one row more.  -1:
   no memory. */
int scc_ctl_batch_init(scc_ctl_batch_t *b, size_t max);
void scc_ctl_batch_free(scc_ctl_batch_t *b);
void scc_ctl_batch_reset(scc_ctl_batch_t *b);

/* To be passed on before the next row. */
bool scc_ctl_batch_full(const scc_ctl_batch_t *b);

/* A row, and after it its events, copied: not journaled, no letter. */
scc_ctl_row_t *scc_ctl_batch_row(scc_ctl_batch_t *b, uint64_t line,
    scc_str_t id);
scc_ctl_event_t *scc_ctl_batch_event(scc_ctl_batch_t *b,
    const scc_record_t *r);

/* The row that was added last, and its events, were never there. */
void scc_ctl_batch_drop(scc_ctl_batch_t *b);

scc_str_t scc_ctl_batch_str(const scc_ctl_batch_t *b, scc_ctl_slice_t s);

/* The event as the journal has it; strings point into the batch. */
void scc_ctl_batch_record(const scc_ctl_batch_t *b,
    const scc_ctl_event_t *ev, scc_record_t *r);

/* The events of rows [from, to), from < to. */
size_t scc_ctl_batch_events(const scc_ctl_batch_t *b, size_t from, size_t to,
    scc_ctl_event_t **first);


/*
 * The parameters of scc.contribute() in PostgreSQL's binary form, so that
 * there is nothing to escape.  The buffers are kept from call to call.
 */

#define SCC_CTL_PARAMS  9

typedef struct {
    scc_buf_t           p[SCC_CTL_PARAMS];
} scc_ctl_params_t;

void scc_ctl_params_init(scc_ctl_params_t *ps);
void scc_ctl_params_free(scc_ctl_params_t *ps);

/* Rows [from, to); -1: no memory. */
int scc_ctl_params_fill(scc_ctl_params_t *ps, const scc_ctl_batch_t *b,
    size_t from, size_t to);

/* As PQsendQueryParams(): 1, or 0 with the reason in the connection.  The
   answer is a row: events_new, events_old, mismatched. */
int scc_ctl_params_send(const scc_ctl_params_t *ps, PGconn *pg);


/* Arrays of the ids, and of the bodies' digests, of n events, for other
   statements. */

void scc_ctl_params_ids(scc_buf_t *p, const scc_ctl_event_t *ev, size_t n);
void scc_ctl_params_digests(scc_buf_t *p, const scc_ctl_event_t *ev,
    size_t n);


#endif /* _SCC_CTL_BATCH_H_INCLUDED_ */
