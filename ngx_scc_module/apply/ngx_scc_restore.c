
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_restore.h"
#include "ngx_scc_backoff.h"
#include "ngx_scc_numbers.h"
#include "ngx_scc_numbers_read.h"
#include "ngx_scc_store.h"


#define NGX_SCC_RESTORE_TICK   100      /* ms; is there anything to do? */
#define NGX_SCC_RESTORE_AGAIN  1000     /* ms, after trouble with a disk */
#define NGX_SCC_RESTORE_TRIES  10       /* of these, with another directory */


struct ngx_scc_restore_s {
    ngx_scc_apply_t         *apply;
    ngx_scc_numbers_t       *numbers;
    ngx_scc_numbers_read_t   read;
    ngx_event_t              timer;
    ngx_connection_t         dumb;
    scc_buf_t                params;
    ngx_scc_guard_floor_t    floor;         /* of what was sent */
    ngx_uint_t               due;           /* for the guard; 0: to know only */
    uint64_t                 given;
    uint64_t                 doubtful;
    ngx_uint_t               tries;         /* at the store, in a row */
    ngx_uint_t               troubles;      /* with a directory, in a row */
    unsigned                 reading:1;
    unsigned                 asked:1;       /* a piece has yet to be taken */
    unsigned                 known:1;       /* what the files have */
};


static void ngx_scc_restore_timer(ngx_event_t *ev);
static void ngx_scc_restore_begin(ngx_scc_restore_t *rs);
static void ngx_scc_restore_step(ngx_scc_restore_t *rs);
static void ngx_scc_restore_send(ngx_scc_restore_t *rs);
static void ngx_scc_restore_answer(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static void ngx_scc_restore_failed(ngx_scc_restore_t *rs,
    ngx_scc_pg_status_t status, ngx_scc_pg_result_t *result);
static void ngx_scc_restore_passed(ngx_scc_restore_t *rs);
static void ngx_scc_restore_say(ngx_scc_restore_t *rs);


ngx_scc_restore_t *
ngx_scc_restore_create(ngx_cycle_t *cycle, ngx_scc_apply_t *apply)
{
    ngx_scc_restore_t  *rs;

    rs = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_restore_t));
    if (rs == NULL) {
        return NULL;
    }

    rs->apply = apply;

    rs->numbers = ngx_scc_numbers_create(cycle, apply);
    if (rs->numbers == NULL) {
        return NULL;
    }

    scc_buf_heap(&rs->params, 0);
    ngx_scc_numbers_read_init(&rs->read, apply);

    rs->dumb.fd = (ngx_socket_t) -1;
    rs->timer.data = &rs->dumb;
    rs->timer.log = apply->log;
    rs->timer.handler = ngx_scc_restore_timer;
    rs->timer.cancelable = 1;

    ngx_add_timer(&rs->timer, 1);

    return rs;
}


void
ngx_scc_restore_destroy(ngx_scc_restore_t *rs)
{
    if (rs->timer.timer_set) {
        ngx_del_timer(&rs->timer);
    }

    ngx_scc_numbers_read_end(&rs->read);
    ngx_scc_numbers_destroy(rs->numbers);
    scc_buf_free(&rs->params);
}


static void
ngx_scc_restore_timer(ngx_event_t *ev)
{
    ngx_uint_t          due;
    ngx_scc_restore_t  *rs;

    rs = ngx_scc_event_owner(ev, ngx_scc_restore_t, timer);

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    due = ngx_scc_guard_unnumbered(rs->apply->guard);

    if (!rs->apply->have_store || (due == 0 && rs->known)) {
        rs->reading = 0;
        ngx_scc_numbers_read_end(&rs->read);
        ngx_add_timer(&rs->timer, NGX_SCC_RESTORE_TICK);
        return;
    }

    if (!rs->reading || due != rs->due) {
        rs->due = due;
        ngx_scc_restore_begin(rs);
        return;
    }

    ngx_scc_restore_step(rs);
}


static void
ngx_scc_restore_begin(ngx_scc_restore_t *rs)
{
    rs->asked = 0;
    rs->tries = 0;
    rs->given = 0;
    rs->doubtful = 0;
    rs->reading = (ngx_scc_numbers_read_begin(&rs->read) == NGX_OK);

    ngx_add_timer(&rs->timer, rs->reading ? 1 : NGX_SCC_RESTORE_AGAIN);
}


static void
ngx_scc_restore_step(ngx_scc_restore_t *rs)
{
    if (rs->asked) {
        ngx_scc_restore_send(rs);
        return;
    }

    if (ngx_scc_numbers_read(&rs->read) == NGX_DONE) {
        ngx_scc_restore_passed(rs);
        return;
    }

    if (rs->due && rs->read.n != 0) {
        ngx_scc_restore_send(rs);
        return;
    }

    ngx_add_timer(&rs->timer, 1);
}


/* To the store of the epoch that is believed, and to no other. */

static void
ngx_scc_restore_send(ngx_scc_restore_t *rs)
{
    ngx_str_t            values[NGX_SCC_STORE_NUMBERS_RESTORE_PARAMS];
    scc_anchor_t         anchor;
    ngx_scc_pg_status_t  status;

    rs->asked = 1;

    if (ngx_scc_guard_get(rs->apply->guard, &anchor) != NGX_OK) {
        ngx_add_timer(&rs->timer, NGX_SCC_RESTORE_TICK);
        return;
    }

    ngx_scc_guard_floor(rs->apply->guard, &rs->floor);

    if (ngx_scc_store_numbers_restore_params(&rs->params, rs->read.numbers,
                                             rs->read.n, rs->apply->store,
                                             anchor.high.epoch, values)
        != NGX_OK)
    {
        ngx_add_timer(&rs->timer, NGX_SCC_RESTORE_AGAIN);
        return;
    }

    if (ngx_scc_pg_query(rs->apply->pg, &ngx_scc_store_numbers_restore,
                         values, ngx_scc_restore_answer, rs, &status)
        == NULL)
    {
        ngx_scc_restore_failed(rs, status, NULL);
    }
}


static void
ngx_scc_restore_answer(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_restore_t *rs = data;

    uint64_t  given, doubtful, events, hlc;

    if (status != NGX_SCC_PG_OK || ngx_scc_pg_rows(result) == 0
        || ngx_scc_store_number(result, 0, 1, &given) != NGX_OK
        || ngx_scc_store_number(result, 0, 2, &doubtful) != NGX_OK
        || ngx_scc_store_number(result, 0, 3, &events) != NGX_OK
        || ngx_scc_store_number(result, 0, 4, &hlc) != NGX_OK)
    {
        ngx_scc_restore_failed(rs, status, result);
        return;
    }

    rs->tries = 0;
    rs->asked = 0;
    rs->given += given;
    rs->doubtful += doubtful;

    ngx_scc_apply_well(rs->apply);

    /* once more, while this went on: what was given so far is gone */

    if (events < rs->floor.events) {
        ngx_scc_guard_behind(rs->apply->guard, &rs->floor);

    } else {
        ngx_scc_guard_raise(rs->apply->guard, &rs->floor, events, hlc);
    }

    ngx_add_timer(&rs->timer, 1);
}


static void
ngx_scc_restore_failed(ngx_scc_restore_t *rs, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_judge_t  judge;

    /* another store, or epoch, since the last look */

    if (status == NGX_SCC_PG_OK) {
        ngx_scc_guard_ask(rs->apply->guard);
        ngx_add_timer(&rs->timer, NGX_SCC_RESTORE_AGAIN);
        return;
    }

    judge = ngx_scc_apply_judge(rs->apply, status, result, 0);

    ngx_add_timer(&rs->timer, ngx_scc_apply_delay(judge, status,
                                                  rs->tries++));
}


/*
 * Directories are copies of each other: if one stays unreadable another one
 * counts.  Without any nothing is applied.
 */

static void
ngx_scc_restore_passed(ngx_scc_restore_t *rs)
{
    uint64_t    last[SCC_NUMBER_KINDS];
    ngx_uint_t  i, k, n;

    rs->reading = 0;
    n = rs->apply->journal->n_dirs;

    if (rs->read.whole < n
        && (rs->read.whole == 0 || !rs->due
            || ++rs->troubles < NGX_SCC_RESTORE_TRIES))
    {
        ngx_add_timer(&rs->timer, NGX_SCC_RESTORE_AGAIN);
        return;
    }

    rs->troubles = 0;

    for (k = 0; k < SCC_NUMBER_KINDS; k++) {
        last[k] = rs->read.last[0][k];

        for (i = 1; i < n; i++) {
            last[k] = ngx_min(last[k], rs->read.last[i][k]);
        }
    }

    if (!rs->known) {
        rs->known = 1;
        ngx_scc_numbers_begin(rs->numbers, last);
    }

    if (rs->due) {
        ngx_scc_restore_say(rs);
        ngx_scc_guard_numbered(rs->apply->guard, rs->due);
        rs->due = 0;
    }

    ngx_add_timer(&rs->timer, NGX_SCC_RESTORE_TICK);
}


static void
ngx_scc_restore_say(ngx_scc_restore_t *rs)
{
    ngx_log_error(NGX_LOG_NOTICE, rs->apply->log, 0,
                  "scc: %uL order numbers that the store lacked were given "
                  "back to it; contributions are applied to it now",
                  rs->given);

    if (rs->doubtful != 0) {
        ngx_log_error(NGX_LOG_ERR, rs->apply->log, 0,
                      "scc: %uL order numbers of the journal are another's "
                      "in the store, or their owners have others: the store's "
                      "count; they are in its table scc.number_doubt, and "
                      "\"sccctl verify\" names them", rs->doubtful);
    }

    if (rs->read.unreadable != 0 || rs->read.whole
                                    < rs->apply->journal->n_dirs)
    {
        ngx_log_error(NGX_LOG_ERR, rs->apply->log, 0,
                      "scc: %ui lines of the journal's order numbers could "
                      "not be read, and %ui of %ui directories could: what "
                      "only they had is numbered anew", rs->read.unreadable,
                      rs->read.whole, rs->apply->journal->n_dirs);
    }
}
