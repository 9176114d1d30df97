
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_clock.h"
#include "ngx_scc_backoff.h"
#include "ngx_scc_store.h"


#define NGX_SCC_CLOCK_TICK   1000       /* ms */
#define NGX_SCC_CLOCK_SOON   50         /* ms, until the store has answered */
#define NGX_SCC_CLOCK_ASK    10000      /* ms between questions */
#define NGX_SCC_CLOCK_LATE   2000       /* ms; an answer that took longer
                                           says nothing */
#define NGX_SCC_CLOCK_QUIET  60000      /* ms between two complaints */
#define NGX_SCC_CLOCK_DAY    ((uint64_t) 24 * 60 * 60 * 1000)
#define NGX_SCC_CLOCK_UUID   36


struct ngx_scc_clock_s {
    ngx_scc_apply_t       *apply;
    ngx_event_t            timer;
    ngx_connection_t       dumb;
    ngx_msec_t             asked;
    ngx_msec_t             counted;
    unsigned               asking:1;
    unsigned               known:1;     /* it has answered once */
};


static void ngx_scc_clock_timer(ngx_event_t *ev);
static void ngx_scc_clock_ask(ngx_scc_clock_t *c);
static void ngx_scc_clock_answer(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);


ngx_scc_clock_t *
ngx_scc_clock_create(ngx_cycle_t *cycle, ngx_scc_apply_t *apply)
{
    ngx_scc_clock_t  *c;

    c = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_clock_t));
    if (c == NULL) {
        return NULL;
    }

    c->apply = apply;
    c->counted = ngx_current_msec;

    c->dumb.fd = (ngx_socket_t) -1;
    c->timer.data = &c->dumb;
    c->timer.log = apply->log;
    c->timer.handler = ngx_scc_clock_timer;
    c->timer.cancelable = 1;

    ngx_add_timer(&c->timer, 1);

    return c;
}


void
ngx_scc_clock_destroy(ngx_scc_clock_t *c)
{
    if (c->timer.timer_set) {
        ngx_del_timer(&c->timer);
    }
}


/*
 * Its order is that of the journal, whatever it is, or a rebuilt store would
 * differ.  It wins over every later contribution to the same target, until a
 * person retracts it.
 */

void
ngx_scc_clock_check(ngx_scc_apply_t *apply, const scc_record_t *record)
{
    u_char      id[NGX_SCC_CLOCK_UUID];
    uint64_t    now;
    scc_buf_t   b;
    ngx_str_t   name;

    now = ngx_scc_pending_store(apply->pending);

    if (now == 0) {
        now = (uint64_t) ngx_time() * 1000;
    }

    if (record->hlc >> 16 <= now + NGX_SCC_CLOCK_DAY) {
        return;
    }

    (void) ngx_atomic_fetch_add(&apply->pending->sh->stat.future, 1);

    if (apply->dated
        && ngx_current_msec - apply->dated_at < NGX_SCC_CLOCK_QUIET)
    {
        return;
    }

    apply->dated = 1;
    apply->dated_at = ngx_current_msec;

    scc_buf_fixed(&b, id, sizeof(id));
    scc_uuid_write(&b, record->event_id);

    name.len = b.used;
    name.data = id;

    ngx_log_error(NGX_LOG_CRIT, apply->log, 0,
                  "scc: contribution %V is dated %uL seconds ahead of the "
                  "store's clock: until then nothing newer replaces it; set "
                  "the clock of the host that took it, or the store's, and "
                  "have it retracted and sent again", &name,
                  ((record->hlc >> 16) - now) / 1000);
}


static void
ngx_scc_clock_timer(ngx_event_t *ev)
{
    ngx_scc_clock_t  *c;

    c = ngx_scc_event_owner(ev, ngx_scc_clock_t, timer);

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    if (ngx_current_msec - c->counted >= NGX_SCC_CLOCK_TICK) {
        c->counted = ngx_current_msec;
        ngx_scc_pending_count(c->apply->pending);
    }

    if (!c->asking
        && c->apply->have_store
        && (!c->known
            || ngx_current_msec - c->asked >= NGX_SCC_CLOCK_ASK))
    {
        ngx_scc_clock_ask(c);
    }

    ngx_add_timer(ev, c->known ? NGX_SCC_CLOCK_TICK : NGX_SCC_CLOCK_SOON);
}


static void
ngx_scc_clock_ask(ngx_scc_clock_t *c)
{
    u_char                text[NGX_SCC_CLOCK_UUID];
    scc_buf_t             b;
    ngx_str_t             id;
    ngx_scc_pg_status_t   status;

    scc_buf_fixed(&b, text, sizeof(text));
    scc_uuid_write(&b, c->apply->store);

    id.len = b.used;
    id.data = text;

    c->asked = ngx_current_msec;

    c->asking = (ngx_scc_pg_query(c->apply->pg, &ngx_scc_store_clock, &id,
                                  ngx_scc_clock_answer, c, &status)
                 != NULL);
}


static void
ngx_scc_clock_answer(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_clock_t *c = data;

    uint64_t            msec, newest;
    ngx_scc_pending_t  *pending;

    c->asking = 0;

    ngx_time_update();

    if (status != NGX_SCC_PG_OK
        || ngx_scc_pg_rows(result) == 0
        || ngx_scc_store_number(result, 0, 0, &msec) != NGX_OK
        || ngx_scc_store_number(result, 0, 1, &newest) != NGX_OK
        || ngx_current_msec - c->asked > NGX_SCC_CLOCK_LATE)
    {
        return;
    }

    pending = c->apply->pending;
    c->known = 1;

    ngx_scc_pending_set_store(pending, msec);

    /* what is dated after it is not made anybody else's clock */

    if (newest >> 16 <= msec + NGX_SCC_CLOCK_DAY) {
        ngx_scc_pending_hlc_seen(pending, newest);
    }
}
