
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_JOURNAL_H_INCLUDED_
#define _NGX_SCC_JOURNAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>

#include "scc_contribution.h"
#include "scc_journal.h"


#if !(NGX_THREADS)
#error "ngx_scc_module needs nginx built --with-threads"
#endif


/*
 * A worker's journal: records become durable here before anybody is told
 * so (README.md).  One per process, on its cycle; one segment is open at a
 * time, in each directory; all I/O happens in a thread of a named pool.
 */

#define NGX_SCC_JOURNAL_DIRS  2

/* a batch's room in its segment beside the records: header, padding, seal */
#define NGX_SCC_JOURNAL_ROOM  (3 * SCC_JOURNAL_BLOCK)

/* upper bounds of the histogram, microseconds; the last has none */
#define NGX_SCC_JOURNAL_TIMES  { 250, 500, 1000, 2500, 5000, 10000, 25000,    \
                                 50000, 100000, 250000, 1000000 }
#define NGX_SCC_JOURNAL_TIMES_N  12


typedef struct ngx_scc_pending_s  ngx_scc_pending_t;


typedef struct {
    ngx_str_t            dirs[NGX_SCC_JOURNAL_DIRS];    /* full, no slash */
    ngx_uint_t           n_dirs;        /* 1 or 2; both must be durable */
    off_t                segment_size;  /* bytes, whole blocks */
    size_t               pending_max;   /* bytes of records not yet sent */
    ngx_thread_pool_t   *pool;
    ngx_scc_pending_t   *pending;       /* the host's clock */
} ngx_scc_journal_conf_t;


typedef struct ngx_scc_journal_s  ngx_scc_journal_t;


/* One record's way to the disk; the caller's memory until it is told. */

typedef struct {
    ngx_queue_t          queue;
    uint64_t             hlc;           /* set by append() */

    /* set when it is told, if NGX_OK; valid in the handler */
    u_char               segment[16];
    scc_str_t            record;        /* as the journal has it */

    /* private */
    size_t               offset;
    size_t               size;
} ngx_scc_append_t;


/*
 * A batch's appends, in the journal's order; never none.  rc: NGX_OK: on disk
 * in every directory; NGX_ERROR: on none for certain, and it will not be
 * retried here.  The queue is the handler's, who takes all from it.
 */
typedef void (*ngx_scc_journal_pt)(void *data, ngx_queue_t *appends,
    ngx_int_t rc);


typedef struct {
    ngx_atomic_t         records;       /* made durable */
    ngx_atomic_t         batches;
    ngx_atomic_t         bytes;
    ngx_atomic_t         failed;        /* records refused by the disk */
    ngx_atomic_t         errors;        /* I/O errors */
    ngx_atomic_t         segments;
    ngx_atomic_t         reserves;      /* the disk was full */
    ngx_atomic_t         sync_usec;     /* sum over batches */
    ngx_atomic_t         sync_times[NGX_SCC_JOURNAL_TIMES_N];
} ngx_scc_journal_stat_t;


ngx_scc_journal_t *ngx_scc_journal_create(ngx_cycle_t *cycle,
    ngx_scc_journal_conf_t *conf, ngx_scc_journal_stat_t *stat,
    ngx_scc_journal_pt handler, void *data);

/* From exit_process, after the threads have ended: what waits is written,
   the segments are sealed. */
void ngx_scc_journal_destroy(ngx_scc_journal_t *journal);

/* The store that the journal belongs to; NULL while DIR/store cannot be
   read: then nothing can be taken. */
const u_char *ngx_scc_journal_store(ngx_scc_journal_t *journal);

/*
 * Copies the record into the next batch; its hlc is set here.  NGX_AGAIN:
 * the handler will be told, never from within.  NGX_BUSY: too much is
 * waiting, or the last batch failed a moment ago: 503; the record may become
 * durable all the same.  NGX_ERROR: the record exceeds a limit, or there is
 * no store.
 */
ngx_int_t ngx_scc_journal_append(ngx_scc_journal_t *journal,
    scc_record_t *record, ngx_scc_append_t *append);


#endif /* _NGX_SCC_JOURNAL_H_INCLUDED_ */
