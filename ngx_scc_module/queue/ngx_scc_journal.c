
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_journal.h"
#include "ngx_scc_disk.h"
#include "ngx_scc_last.h"
#include "ngx_scc_pending.h"
#include "ngx_scc_segment.h"

#include <sys/random.h>


/*
 * Group commit without a delay: while one batch is being written and synced
 * in a thread, records gather in the other; and before it begins, those are
 * read that have come in already.  The thread owns the segments and the
 * batch it was given; the event loop owns all else, and touches neither
 * until the thread has told it.
 */

#define NGX_SCC_JOURNAL_TURNS  8        /* of the event loop, to gather */
#define NGX_SCC_JOURNAL_PAUSE  1000     /* ms after a batch was lost */
#define NGX_SCC_JOURNAL_QUIET  60       /* s between two same complaints */


typedef struct {
    scc_buf_t                 records;      /* header, records, padding */
    scc_batch_t               batch;
    ngx_queue_t               waits;
    size_t                    size;
} ngx_scc_journal_batch_t;


struct ngx_scc_journal_s {
    ngx_scc_journal_conf_t   *conf;
    ngx_scc_journal_stat_t   *stat;
    ngx_scc_journal_pt        handler;
    void                     *data;
    ngx_log_t                *log;

    u_char                    store[16];
    ngx_uint_t                have_store;
    time_t                    looked;
    time_t                    complained;   /* about the store */
    time_t                    suspected;    /* about the clock */

    ngx_msec_t                pause_end;
    ngx_scc_journal_batch_t   batches[2];
    ngx_uint_t                current;      /* gathers records */
    ngx_thread_task_t        *task;
    ngx_uint_t                busy;         /* gathering, or the task is
                                               under way */
    ngx_event_t               gather;
    ngx_uint_t                turns;        /* spent on gathering */
    ngx_uint_t                gathered;     /* before this turn */

    /* the thread's, while busy */
    ngx_scc_segment_t         segments[NGX_SCC_JOURNAL_DIRS];
    u_char                    owner[16];    /* the store, when it began */
    u_char                    writer[16];
    u_char                    previous[16];
    uint32_t                  previous_chain;
    uint64_t                  number;       /* of segments begun */
    ngx_uint_t                names;        /* given to files, even in vain */
    uint64_t                  opened_hlc;   /* last before the batch */
    u_char                    host[SCC_JOURNAL_HOST_MAX];
    size_t                    host_len;

    ngx_scc_journal_batch_t  *job;
    ngx_err_t                 err;          /* 0: the batch is durable */
    ngx_err_t                 first_err;    /* of the first try */
    ngx_err_t                 seal_err;
    ngx_uint_t                failed_dir;
    ngx_uint_t                opened;       /* segments made */
    ngx_uint_t                reserves;     /* of these from the reserve */
    uint64_t                  usec;
};


static ngx_int_t ngx_scc_journal_look(ngx_scc_journal_t *journal);
static void ngx_scc_journal_complain(ngx_scc_journal_t *journal,
    ngx_uint_t level, const char *text, ngx_str_t *dir);
static void ngx_scc_journal_seed(ngx_scc_journal_t *journal);
static uint64_t ngx_scc_journal_hlc(ngx_scc_journal_t *journal);
static void ngx_scc_journal_begin(ngx_scc_journal_batch_t *b);
static void ngx_scc_journal_gather_begin(ngx_scc_journal_t *journal,
    ngx_queue_t *posted);
static void ngx_scc_journal_gather(ngx_event_t *ev);
static ngx_int_t ngx_scc_journal_post(ngx_scc_journal_t *journal);
static void ngx_scc_journal_thread(void *data, ngx_log_t *log);
static ngx_err_t ngx_scc_journal_write(ngx_scc_journal_t *journal,
    ngx_uint_t again);
static ngx_err_t ngx_scc_journal_open(ngx_scc_journal_t *journal);
static void ngx_scc_journal_close(ngx_scc_journal_t *journal);
static void ngx_scc_journal_done(ngx_event_t *ev);
static void ngx_scc_journal_log(ngx_scc_journal_t *journal);
static void ngx_scc_journal_count(ngx_scc_journal_t *journal,
    ngx_scc_journal_batch_t *b);
static void ngx_scc_journal_tell(ngx_scc_journal_t *journal,
    ngx_scc_journal_batch_t *b, ngx_int_t rc);


ngx_scc_journal_t *
ngx_scc_journal_create(ngx_cycle_t *cycle, ngx_scc_journal_conf_t *conf,
    ngx_scc_journal_stat_t *stat, ngx_scc_journal_pt handler, void *data)
{
    ngx_uint_t          i;
    ngx_scc_journal_t  *journal;

    journal = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_journal_t));
    if (journal == NULL) {
        return NULL;
    }

    journal->conf = conf;
    journal->stat = stat;
    journal->handler = handler;
    journal->data = data;
    journal->log = cycle->log;

    journal->task = ngx_thread_task_alloc(cycle->pool,
                                          sizeof(ngx_scc_journal_t *));
    if (journal->task == NULL) {
        return NULL;
    }

    *(ngx_scc_journal_t **) journal->task->ctx = journal;
    journal->task->handler = ngx_scc_journal_thread;
    journal->task->event.data = journal;
    journal->task->event.handler = ngx_scc_journal_done;

    journal->gather.handler = ngx_scc_journal_gather;
    journal->gather.data = journal;
    journal->gather.log = cycle->log;

    if (getrandom(journal->writer, 16, 0) != 16) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "scc: getrandom() failed");
        return NULL;
    }

    journal->host_len = ngx_min(cycle->hostname.len, SCC_JOURNAL_HOST_MAX);
    ngx_memcpy(journal->host, cycle->hostname.data, journal->host_len);

    for (i = 0; i < NGX_SCC_JOURNAL_DIRS; i++) {
        journal->segments[i].fd = NGX_INVALID_FILE;
    }

    for (i = 0; i < 2; i++) {
        scc_buf_heap(&journal->batches[i].records,
                     SCC_JOURNAL_BATCH_MAX + NGX_SCC_JOURNAL_ROOM);
        ngx_queue_init(&journal->batches[i].waits);
        ngx_scc_journal_begin(&journal->batches[i]);
    }

    (void) ngx_scc_journal_look(journal);

    ngx_scc_journal_seed(journal);

    return journal;
}


void
ngx_scc_journal_destroy(ngx_scc_journal_t *journal)
{
    ngx_scc_journal_batch_t  *b;

    /* the pool's threads have ended: what they did is done */

    b = &journal->batches[journal->current];

    if (b->batch.n != 0) {
        journal->job = b;
        journal->opened_hlc = b->batch.first_hlc - 1;
        ngx_memcpy(journal->owner, journal->store, 16);

        ngx_scc_journal_thread(&journal, journal->log);
        ngx_scc_journal_log(journal);
        ngx_scc_journal_count(journal, b);
    }

    ngx_scc_journal_close(journal);

    scc_buf_free(&journal->batches[0].records);
    scc_buf_free(&journal->batches[1].records);
}


const u_char *
ngx_scc_journal_store(ngx_scc_journal_t *journal)
{
    return (ngx_scc_journal_look(journal) == NGX_OK) ? journal->store : NULL;
}


ngx_int_t
ngx_scc_journal_append(ngx_scc_journal_t *journal, scc_record_t *record,
    ngx_scc_append_t *append)
{
    size_t                    size, offset;
    ngx_scc_journal_batch_t  *b;

    size = scc_record_size(record);

    if (size == 0 || ngx_scc_journal_look(journal) != NGX_OK) {
        return NGX_ERROR;
    }

    b = &journal->batches[journal->current];

    if ((ngx_msec_int_t) (journal->pause_end - ngx_current_msec) > 0
        || b->size + size > journal->conf->pending_max)
    {
        return NGX_BUSY;
    }

    record->hlc = ngx_scc_journal_hlc(journal);
    offset = b->records.used;

    scc_record_write(&b->records, record);

    if (b->records.error) {

        /* no memory: what is in the batch already stays as it is */

        b->records.used = offset;
        b->records.error = false;

        return NGX_BUSY;
    }

    scc_batch_add(&b->batch, record);

    b->size += size;

    append->hlc = record->hlc;
    append->offset = offset;
    append->size = size;
    ngx_queue_insert_tail(&b->waits, &append->queue);

    if (!journal->busy) {
        ngx_scc_journal_gather_begin(journal, &ngx_posted_events);
    }

    return NGX_AGAIN;
}


/* DIR/store says whose journal this is; a person put it there. */

static ngx_int_t
ngx_scc_journal_look(ngx_scc_journal_t *journal)
{
    u_char      other[16];
    ngx_str_t  *dir;
    ngx_uint_t  i;

    if (journal->have_store) {
        return NGX_OK;
    }

    if (journal->looked == ngx_time()) {
        return NGX_ERROR;
    }

    journal->looked = ngx_time();

    for (i = 0; i < journal->conf->n_dirs; i++) {
        dir = &journal->conf->dirs[i];

        if (ngx_scc_disk_store(dir, i ? other : journal->store)
            != NGX_OK)
        {
            ngx_scc_journal_complain(journal, NGX_LOG_ERR, "scc: the journal "
                                     "in \"%V\" belongs to no store, "
                                     "contributions are refused; run "
                                     "\"sccctl journal init %V\"", dir);
            return NGX_ERROR;
        }

        if (i && ngx_memcmp(other, journal->store, 16) != 0) {
            ngx_scc_journal_complain(journal, NGX_LOG_CRIT, "scc: the journal "
                                     "in \"%V\" belongs to another store "
                                     "than the first one, contributions are "
                                     "refused; see \"%V/store\"", dir);
            return NGX_ERROR;
        }
    }

    journal->have_store = 1;
    journal->complained = 0;

    return NGX_OK;
}


static void
ngx_scc_journal_complain(ngx_scc_journal_t *journal, ngx_uint_t level,
    const char *text, ngx_str_t *dir)
{
    if (journal->complained == 0
        || ngx_time() - journal->complained >= NGX_SCC_JOURNAL_QUIET)
    {
        journal->complained = ngx_time();
        ngx_log_error(level, journal->log, 0, text, dir, dir);
    }
}


/*
 * After a start of nginx, before anything is taken: no hlc below what this
 * host has given out.  Workers that begin together each look.
 */

static void
ngx_scc_journal_seed(ngx_scc_journal_t *journal)
{
    uint64_t                   hlc;
    ngx_scc_pending_shared_t  *sh;

    sh = journal->conf->pending->sh;

    if (__atomic_load_n(&sh->seeded, __ATOMIC_ACQUIRE)) {
        return;
    }

    hlc = ngx_scc_last_hlc(&journal->conf->dirs[0], journal->log);

    ngx_scc_pending_hlc_seen(journal->conf->pending, hlc);

    __atomic_store_n(&sh->seeded, 1, __ATOMIC_RELEASE);
}


static uint64_t
ngx_scc_journal_hlc(ngx_scc_journal_t *journal)
{
    int64_t       off;
    uint64_t      hlc;
    ngx_time_t   *tp;
    scc_doubt_t   doubt;

    tp = ngx_timeofday();

    hlc = ngx_scc_pending_hlc(journal->conf->pending,
                              (uint64_t) tp->sec * 1000 + tp->msec,
                              &doubt, &off);

    if (doubt == SCC_DOUBT_NONE
        || (journal->suspected != 0
            && tp->sec - journal->suspected < NGX_SCC_JOURNAL_QUIET))
    {
        return hlc;
    }

    journal->suspected = tp->sec;

    if (doubt == SCC_DOUBT_STORE) {
        ngx_log_error(NGX_LOG_CRIT, journal->log, 0,
                      "scc: the clock has jumped ahead, or the store's is "
                      "late: they differ by %L seconds, the store's is "
                      "followed; check the time of both hosts", off);

    } else {
        ngx_log_error(NGX_LOG_CRIT, journal->log, 0,
                      "scc: the clock has jumped ahead by %L seconds and is "
                      "not followed; check the host's time, or restart "
                      "nginx if it is right", off);
    }

    return hlc;
}


static void
ngx_scc_journal_begin(ngx_scc_journal_batch_t *b)
{
    scc_buf_reset(&b->records);
    scc_batch_begin(&b->batch, &b->records);

    b->size = 0;
}


/*
 * A sync costs the same for one record and for many.  So the loop turns on,
 * without waiting, as long as each turn brings more; clients who were just
 * answered are among them.
 */

static void
ngx_scc_journal_gather_begin(ngx_scc_journal_t *journal, ngx_queue_t *posted)
{
    journal->busy = 1;
    journal->turns = 0;
    journal->gathered = journal->batches[journal->current].batch.n;

    ngx_post_event(&journal->gather, posted);
}


static void
ngx_scc_journal_gather(ngx_event_t *ev)
{
    ngx_scc_journal_t *journal = ev->data;

    ngx_scc_journal_batch_t  *b;

    b = &journal->batches[journal->current];

    if (b->batch.n > journal->gathered
        && journal->turns < NGX_SCC_JOURNAL_TURNS)
    {
        journal->turns++;
        journal->gathered = b->batch.n;

        ngx_post_event(ev, &ngx_posted_next_events);
        return;
    }

    if (ngx_scc_journal_post(journal) == NGX_OK) {
        return;
    }

    /* the pool's queue is full */

    ngx_scc_journal_tell(journal, b, NGX_ERROR);
    ngx_scc_journal_begin(b);

    journal->busy = 0;
}


static ngx_int_t
ngx_scc_journal_post(ngx_scc_journal_t *journal)
{
    ngx_scc_journal_batch_t  *b;

    b = &journal->batches[journal->current];

    journal->job = b;
    journal->opened_hlc = b->batch.first_hlc - 1;
    ngx_memcpy(journal->owner, journal->store, 16);

    if (ngx_thread_task_post(journal->conf->pool, journal->task) != NGX_OK) {
        return NGX_ERROR;
    }

    journal->current ^= 1;

    return NGX_OK;
}


/*
 * A failed descriptor is given up with its segment: what the kernel did with
 * the pages is unknown, and asking again would be answered with a lie.  The
 * batch, still in memory, is written once more, to new segments.
 */

static void
ngx_scc_journal_thread(void *data, ngx_log_t *log)
{
    ngx_scc_journal_t *journal = *(ngx_scc_journal_t **) data;

    struct timespec  from, to;

    journal->first_err = 0;
    journal->seal_err = 0;
    journal->opened = 0;
    journal->reserves = 0;

    (void) clock_gettime(CLOCK_MONOTONIC, &from);

    journal->err = ngx_scc_journal_write(journal, 0);

    if (journal->err) {
        journal->first_err = journal->err;

        ngx_scc_journal_close(journal);

        journal->err = ngx_scc_journal_write(journal, 1);

        if (journal->err) {
            ngx_scc_journal_close(journal);
        }
    }

    (void) clock_gettime(CLOCK_MONOTONIC, &to);

    journal->usec = (uint64_t) (to.tv_sec - from.tv_sec) * 1000000
                    + (uint64_t) to.tv_nsec / 1000
                    - (uint64_t) from.tv_nsec / 1000;
}


static ngx_err_t
ngx_scc_journal_write(ngx_scc_journal_t *journal, ngx_uint_t again)
{
    ngx_err_t                 err;
    ngx_uint_t                i;
    scc_rc_t                  rc;
    scc_chain_t               chain;
    ngx_scc_segment_t        *s;
    ngx_scc_journal_batch_t  *b;

    b = journal->job;
    s = journal->segments;

    if (s->fd != NGX_INVALID_FILE
        && s->pos + (off_t) b->size + NGX_SCC_JOURNAL_ROOM > s->size)
    {
        ngx_scc_journal_close(journal);
    }

    if (s->fd == NGX_INVALID_FILE) {
        err = ngx_scc_journal_open(journal);

        if (err) {
            return err;
        }
    }

    chain = s->chain;

    rc = again ? scc_batch_move(&b->batch, &chain)
               : scc_batch_finish(&b->batch, &chain);

    if (rc != SCC_OK) {
        return NGX_ENOMEM;
    }

    for (i = 0; i < journal->conf->n_dirs; i++) {
        err = ngx_scc_segment_append(&s[i], b->records.start,
                                     b->records.used);
        if (err) {
            journal->failed_dir = i;
            return err;
        }

        s[i].chain = chain;
    }

    return 0;
}


/* The same segment in every directory: same id, same bytes. */

static ngx_err_t
ngx_scc_journal_open(ngx_scc_journal_t *journal)
{
    char             name[NGX_SCC_SEGMENT_NAME];
    u_char           store[16];
    ngx_err_t        err;
    ngx_uint_t       i, reserve;
    const char      *dir;
    scc_segment_t    head;
    struct timespec  now;

    ngx_memzero(&head, sizeof(scc_segment_t));

    if (getrandom(head.segment, 16, 0) != 16) {
        return ngx_errno;
    }

    (void) clock_gettime(CLOCK_REALTIME, &now);

    ngx_memcpy(head.writer, journal->writer, 16);
    ngx_memcpy(head.store, journal->owner, 16);
    ngx_memcpy(head.previous, journal->previous, 16);

    head.previous_chain = journal->previous_chain;
    head.number = journal->number;
    head.created = (uint64_t) now.tv_sec * 1000000000
                   + (uint64_t) now.tv_nsec;
    head.last_hlc = journal->opened_hlc;
    head.host.data = journal->host;
    head.host.len = journal->host_len;

    *ngx_sprintf((u_char *) name, "%016xL-%08xD-%04xD",
                 head.created / 1000000, (uint32_t) ngx_pid,
                 (uint32_t) (journal->names++ & 0xffff)) = '\0';

    for (i = 0; i < journal->conf->n_dirs; i++) {
        dir = (const char *) journal->conf->dirs[i].data;
        reserve = 0;

        /* it may be another directory than when the store was looked at */

        if (ngx_scc_disk_store(&journal->conf->dirs[i], store)
            != NGX_OK)
        {
            err = NGX_ENOENT;

        } else if (ngx_memcmp(store, journal->owner, 16) != 0) {
            err = ESTALE;

        } else {
            err = ngx_scc_segment_create(&journal->segments[i], dir, name,
                                         journal->conf->segment_size, &head,
                                         &reserve);
        }

        journal->reserves += reserve;

        if (err) {
            journal->failed_dir = i;

            while (i-- > 0) {
                ngx_scc_segment_remove(&journal->segments[i]);
            }

            return err;
        }

        if (!reserve) {
            ngx_scc_segment_reserve(dir, journal->conf->segment_size);
        }
    }

    journal->number++;
    journal->opened++;

    return 0;
}


static void
ngx_scc_journal_close(ngx_scc_journal_t *journal)
{
    ngx_err_t           err;
    ngx_uint_t          i;
    ngx_scc_segment_t  *s;

    s = journal->segments;

    if (s->fd == NGX_INVALID_FILE) {
        return;
    }

    ngx_memcpy(journal->previous, s->id, 16);
    journal->previous_chain = s->chain.chain;

    for (i = 0; i < journal->conf->n_dirs; i++) {

        if (s[i].fd == NGX_INVALID_FILE) {
            continue;
        }

        /* sealing may fail like any write; the helper then adopts it */

        err = ngx_scc_segment_seal(&s[i]);

        if (err) {
            journal->seal_err = err;
            journal->failed_dir = i;

        } else if (i == 0 && !s->failed) {
            journal->previous_chain = s->chain.chain;
        }
    }
}


static void
ngx_scc_journal_done(ngx_event_t *ev)
{
    ngx_scc_journal_t *journal = ev->data;

    ngx_scc_journal_batch_t  *b;

    b = journal->job;

    ngx_scc_journal_log(journal);
    ngx_scc_journal_count(journal, b);

    if (journal->err) {
        journal->pause_end = ngx_current_msec + NGX_SCC_JOURNAL_PAUSE;
        journal->have_store = 0;
    }

    /* a request that ends may begin another, whose record waits in the
       other one: the journal stays busy until this batch is empty again */

    ngx_scc_journal_tell(journal, b, journal->err ? NGX_ERROR : NGX_OK);
    ngx_scc_journal_begin(b);

    if (journal->batches[journal->current].batch.n == 0) {
        journal->busy = 0;
        return;
    }

    ngx_scc_journal_gather_begin(journal, &ngx_posted_next_events);
}


static void
ngx_scc_journal_log(ngx_scc_journal_t *journal)
{
    ngx_str_t  *dir;

    dir = &journal->conf->dirs[journal->failed_dir];

    if (journal->err) {
        ngx_log_error(NGX_LOG_CRIT, journal->log, journal->err,
                      "scc: the journal in \"%V\" cannot be written, "
                      "contributions were refused with 503; free or repair "
                      "the disk", dir);

    } else if (journal->first_err) {
        ngx_log_error(NGX_LOG_CRIT, journal->log, journal->first_err,
                      "scc: the journal in \"%V\" could not be written; its "
                      "batch was written to a new segment, check the disk",
                      dir);

    } else if (journal->seal_err) {
        ngx_log_error(NGX_LOG_ERR, journal->log, journal->seal_err,
                      "scc: a segment in \"%V\" could not be sealed; the "
                      "helper will do it, check the disk", dir);
    }

    if (journal->reserves) {
        ngx_log_error(NGX_LOG_CRIT, journal->log, 0,
                      "scc: the journal's disk is full: the reserve of \"%V\" "
                      "is in use, contributions will soon be refused; make "
                      "room", &journal->conf->dirs[0]);
    }
}


static void
ngx_scc_journal_count(ngx_scc_journal_t *journal, ngx_scc_journal_batch_t *b)
{
    ngx_uint_t               i;
    ngx_scc_journal_stat_t  *stat;

    static const uint64_t  times[] = NGX_SCC_JOURNAL_TIMES;

    stat = journal->stat;

    if (journal->first_err || journal->seal_err) {
        (void) ngx_atomic_fetch_add(&stat->errors, 1);
    }

    (void) ngx_atomic_fetch_add(&stat->segments, journal->opened);
    (void) ngx_atomic_fetch_add(&stat->reserves, journal->reserves);

    if (journal->err) {
        (void) ngx_atomic_fetch_add(&stat->failed, b->batch.n);
        return;
    }

    (void) ngx_atomic_fetch_add(&stat->records, b->batch.n);
    (void) ngx_atomic_fetch_add(&stat->batches, 1);
    (void) ngx_atomic_fetch_add(&stat->bytes, b->records.used);
    (void) ngx_atomic_fetch_add(&stat->sync_usec, journal->usec);

    for (i = 0; i < NGX_SCC_JOURNAL_TIMES_N - 1; i++) {
        if (journal->usec <= times[i]) {
            break;
        }
    }

    (void) ngx_atomic_fetch_add(&stat->sync_times[i], 1);
}


static void
ngx_scc_journal_tell(ngx_scc_journal_t *journal, ngx_scc_journal_batch_t *b,
    ngx_int_t rc)
{
    ngx_queue_t       *q;
    ngx_scc_append_t  *append;

    for (q = ngx_queue_head(&b->waits);
         rc == NGX_OK && q != ngx_queue_sentinel(&b->waits);
         q = ngx_queue_next(q))
    {
        append = ngx_queue_data(q, ngx_scc_append_t, queue);

        ngx_memcpy(append->segment, journal->segments[0].id, 16);
        append->record.data = b->records.start + append->offset;
        append->record.len = append->size;
    }

    if (!ngx_queue_empty(&b->waits)) {
        journal->handler(journal->data, &b->waits, rc);
    }
}
