
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_reconcile.h"
#include "ngx_scc_backoff.h"
#include "ngx_scc_walk.h"


#define NGX_SCC_RECONCILE_GAP    1000       /* ms, least between passes */
#define NGX_SCC_RECONCILE_WAIT   60000      /* ms, most, for the queue */
#define NGX_SCC_RECONCILE_HEAR   3000       /* ms, while it is silent */
#define NGX_SCC_RECONCILE_ASK    500        /* events, in a question */
#define NGX_SCC_RECONCILE_BYTES  (4 * 1024 * 1024)      /* of these */


struct ngx_scc_reconcile_s {
    ngx_scc_apply_t       *apply;
    ngx_msec_t             interval;
    ngx_msec_t             began;           /* the last pass */
    uint64_t               boot;            /* the same, since boot */
    ngx_event_t            timer;
    ngx_connection_t       dumb;
    ngx_msec_t             waits;           /* for the queue, since; 0 */
    ngx_uint_t             again;           /* another pass, soon */
    ngx_uint_t             tries;           /* in vain, in a row */
    ngx_uint_t             found;           /* missing, in this pass */
    ngx_uint_t             pass;            /* it is over all of the journal,
                                               for the guard; 0 */

    ngx_scc_walk_t         walk;
    ngx_uint_t             from;            /* asked about: items[from] */
    ngx_uint_t             to;              /* up to, without, this one */
    ngx_scc_settle_t       settle;
    scc_buf_t              params;
};


static void ngx_scc_reconcile_timer(ngx_event_t *ev);
static ngx_uint_t ngx_scc_reconcile_wait(ngx_scc_reconcile_t *r);
static ngx_msec_t ngx_scc_reconcile_patience(ngx_scc_apply_t *apply);
static void ngx_scc_reconcile_step(ngx_scc_reconcile_t *r);
static void ngx_scc_reconcile_passed(ngx_scc_reconcile_t *r);
static void ngx_scc_reconcile_end(ngx_scc_reconcile_t *r, ngx_msec_t delay);
static void ngx_scc_reconcile_ask(ngx_scc_reconcile_t *r);
static void ngx_scc_reconcile_answer(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static void ngx_scc_reconcile_settled(void *data);
static void ngx_scc_reconcile_failed(ngx_scc_reconcile_t *r,
    ngx_scc_pg_status_t status, ngx_scc_pg_result_t *result);


ngx_scc_reconcile_t *
ngx_scc_reconcile_create(ngx_cycle_t *cycle, ngx_scc_apply_t *apply,
    ngx_msec_t interval)
{
    ngx_scc_reconcile_t  *r;

    r = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_reconcile_t));
    if (r == NULL) {
        return NULL;
    }

    r->apply = apply;
    r->interval = interval;

    scc_buf_heap(&r->params, 0);
    ngx_scc_walk_init(&r->walk, apply);
    ngx_scc_settle_init(&r->settle, apply, ngx_scc_reconcile_settled, NULL,
                        r);

    r->dumb.fd = (ngx_socket_t) -1;
    r->timer.data = &r->dumb;
    r->timer.log = apply->log;
    r->timer.handler = ngx_scc_reconcile_timer;
    r->timer.cancelable = 1;

    ngx_add_timer(&r->timer, 1);

    return r;
}


void
ngx_scc_reconcile_destroy(ngx_scc_reconcile_t *r)
{
    if (r->timer.timer_set) {
        ngx_del_timer(&r->timer);
    }

    ngx_scc_settle_destroy(&r->settle);
    ngx_scc_walk_destroy(&r->walk);
    scc_buf_free(&r->params);
}


void
ngx_scc_reconcile_now(ngx_scc_reconcile_t *r)
{
    ngx_msec_t  passed;

    if (r->walk.unit != NULL) {
        r->again = 1;
        return;
    }

    /* in trouble the next try has its time */

    if (r->tries == 0) {
        passed = ngx_current_msec - r->began;

        ngx_add_timer(&r->timer, (passed < NGX_SCC_RECONCILE_GAP)
                                 ? NGX_SCC_RECONCILE_GAP - passed : 1);
    }
}


static void
ngx_scc_reconcile_timer(ngx_event_t *ev)
{
    ngx_scc_reconcile_t  *r;

    r = ngx_scc_event_owner(ev, ngx_scc_reconcile_t, timer);

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    if (ngx_scc_reconcile_wait(r)) {
        ngx_add_timer(&r->timer, NGX_SCC_RECONCILE_GAP);
        return;
    }

    if (r->walk.unit == NULL) {

        if (ngx_scc_walk_store(&r->walk) != NGX_OK) {
            ngx_add_timer(&r->timer, NGX_SCC_RECONCILE_GAP);
            return;
        }

        r->began = ngx_current_msec;
        r->boot = ngx_scc_pending_boot();
        r->again = 0;
        r->pass = ngx_scc_guard_begun(r->apply->guard);

        ngx_scc_walk_list(&r->walk, r->pass != 0);

        if (ngx_scc_walk_next(&r->walk) != NGX_OK) {
            ngx_scc_reconcile_passed(r);
            return;
        }
    }

    ngx_scc_reconcile_step(r);
}


/*
 * While the queue's consumer works off a backlog, a pass would apply the
 * same records a second time, and take the store's time from it.  A store
 * that went back lacks what the queue has no more.
 */

static ngx_uint_t
ngx_scc_reconcile_wait(ngx_scc_reconcile_t *r)
{
    ngx_msec_t  patience;

    if (ngx_scc_guard_begun(r->apply->guard)) {
        return 0;
    }

    patience = ngx_scc_reconcile_patience(r->apply);

    if (patience == 0) {
        r->waits = 0;
        return 0;
    }

    if (r->waits == 0) {
        r->waits = ngx_current_msec;
    }

    return ngx_current_msec - r->waits < patience;
}


/*
 * With the store in trouble a batch says nothing.  A queue that has been
 * silent may just not have been asked: this process was stopped, or had no
 * processor.
 */

static ngx_msec_t
ngx_scc_reconcile_patience(ngx_scc_apply_t *apply)
{
    if (apply->busy && !apply->waiting && !apply->stopped) {
        return NGX_SCC_RECONCILE_WAIT;
    }

    if (apply->backlog != 0
        && ngx_current_msec - apply->backlog < NGX_SCC_RECONCILE_GAP)
    {
        return NGX_SCC_RECONCILE_WAIT;
    }

    if (apply->heard != 0
        && ngx_current_msec - apply->heard >= NGX_SCC_RECONCILE_GAP)
    {
        return NGX_SCC_RECONCILE_HEAR;
    }

    return 0;
}


/* The unit's next piece; when there is none, the next unit's. */

static void
ngx_scc_reconcile_step(ngx_scc_reconcile_t *r)
{
    ngx_int_t  rc;

    do {
        rc = ngx_scc_walk_read(&r->walk);

        if (rc == NGX_ERROR) {
            r->walk.partial = 1;
        }

        if (rc == NGX_OK) {

            if (r->walk.n_items != 0) {
                r->from = 0;
                ngx_scc_reconcile_ask(r);

            } else {
                ngx_scc_walk_taken(&r->walk);
                ngx_add_timer(&r->timer, 1);
            }

            return;
        }

    } while (ngx_scc_walk_next(&r->walk) == NGX_OK);

    ngx_scc_reconcile_passed(r);
}


/*
 * All of the journal is in the store.  A zone that is younger than what a
 * pass leaves to the queue learns it from the next one, which comes soon.
 */

static void
ngx_scc_reconcile_passed(ngx_scc_reconcile_t *r)
{
    ngx_uint_t          pass;
    ngx_msec_t          delay;
    ngx_scc_pending_t  *pending;

    pending = r->apply->pending;
    delay = r->again ? NGX_SCC_RECONCILE_GAP : r->interval;

    if (pending != NULL && !r->walk.partial) {
        ngx_scc_pending_passed(pending, r->boot);

        if (!ngx_scc_pending_sure(pending)) {
            delay = NGX_SCC_RECONCILE_GAP;
        }
    }

    pass = r->pass;

    ngx_scc_reconcile_end(r, delay);

    if (pass != 0 && !r->walk.partial) {
        ngx_scc_guard_passed(r->apply->guard, pass);
    }
}


static void
ngx_scc_reconcile_end(ngx_scc_reconcile_t *r, ngx_msec_t delay)
{
    ngx_scc_walk_end(&r->walk);

    if (r->found != 0) {
        ngx_log_error(NGX_LOG_NOTICE, r->apply->log, 0,
                      "scc: %ui contributions of the journal were not in the "
                      "store; they were given to it", r->found);

        if (r->pass != 0) {
            ngx_scc_guard_found(r->apply->guard, r->found);
        }

        r->found = 0;
    }

    r->pass = 0;

    ngx_add_timer(&r->timer, delay);
}


static void
ngx_scc_reconcile_ask(ngx_scc_reconcile_t *r)
{
    size_t               bytes;
    ngx_str_t            values[NGX_SCC_STORE_MISSING_PARAMS];
    ngx_scc_pg_status_t  status;

    bytes = 0;

    for (r->to = r->from; r->to < r->walk.n_items; r->to++) {
        bytes += r->walk.items[r->to].raw.len;

        if (r->to > r->from
            && (bytes > NGX_SCC_RECONCILE_BYTES
                || r->to - r->from == NGX_SCC_RECONCILE_ASK))
        {
            break;
        }
    }

    if (ngx_scc_store_missing_params(&r->params, &r->walk.items[r->from],
                                     r->to - r->from, r->apply->store,
                                     values)
        != NGX_OK)
    {
        ngx_scc_reconcile_end(r, r->interval);
        return;
    }

    if (ngx_scc_pg_query(r->apply->pg, &ngx_scc_store_missing, values,
                         ngx_scc_reconcile_answer, r, &status)
        == NULL)
    {
        ngx_scc_reconcile_failed(r, status, NULL);
    }
}


static void
ngx_scc_reconcile_answer(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_reconcile_t *r = data;

    ngx_str_t                 text;
    ngx_uint_t                i, rows, row, missing;
    ngx_scc_item_t           *item;
    ngx_scc_pending_state_t   state;

    if (status != NGX_SCC_PG_OK || ngx_scc_pg_rows(result) == 0) {
        ngx_scc_reconcile_failed(r, status, result);
        return;
    }

    /* that it can be read says nothing about whether it takes anything */

    r->tries = 0;

    rows = ngx_scc_pg_rows(result);
    row = 0;
    missing = 0;

    for (i = r->from; i < r->to; i++) {
        item = &r->walk.items[i];
        state = NGX_SCC_PENDING_APPLIED;

        if (row < rows
            && ngx_scc_pg_value(result, row, 0, &text) == NGX_OK
            && ngx_atoi(text.data, text.len)
               == (ngx_int_t) (i - r->from + 1))
        {
            if (ngx_scc_pg_value(result, row++, 1, &text) == NGX_OK
                && text.data[0] != 't')
            {
                missing++;
                continue;
            }

            state = NGX_SCC_PENDING_DEAD;
        }

        item->done = 1;
        item->told = 1;

        if (r->apply->pending != NULL) {
            ngx_scc_pending_raise(r->apply->pending, item->record.event_id,
                                  state);
        }
    }

    if (missing == 0) {
        ngx_scc_reconcile_settled(r);
        return;
    }

    r->found += missing;

    ngx_scc_settle(&r->settle, &r->walk.items[r->from], r->to - r->from);
}


static void
ngx_scc_reconcile_settled(void *data)
{
    ngx_scc_reconcile_t *r = data;

    ngx_scc_settle_known(r->apply, &r->walk.items[r->from], r->to - r->from);

    r->from = r->to;

    if (r->from < r->walk.n_items) {
        ngx_scc_reconcile_ask(r);
        return;
    }

    ngx_scc_walk_taken(&r->walk);

    ngx_add_timer(&r->timer, 1);
}


static void
ngx_scc_reconcile_failed(ngx_scc_reconcile_t *r, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_judge_t  judge;

    judge = ngx_scc_apply_judge(r->apply, status, result,
                                status == NGX_SCC_PG_OK);

    ngx_scc_reconcile_end(r, ngx_scc_apply_delay(judge, status, r->tries++));
}
