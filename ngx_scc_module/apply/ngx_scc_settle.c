
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_settle.h"
#include "ngx_scc_backoff.h"
#include "ngx_scc_clock.h"
#include "ngx_scc_store.h"
#include "scc_contribution.h"


#define NGX_SCC_SETTLE_MIN    200       /* ms until the next try */
#define NGX_SCC_SETTLE_DOWN   2000      /* at most, while nobody answers */
#define NGX_SCC_SETTLE_STOP   5000      /* while it has stopped */
#define NGX_SCC_SETTLE_MAX    30000     /* at most */
#define NGX_SCC_SETTLE_NUMBER 100       /* ms, until it has its numbers */
#define NGX_SCC_SETTLE_UUID   36
#define NGX_SCC_SETTLE_ROOM   200       /* elements, at first */


static void ngx_scc_settle_next(ngx_scc_settle_t *s);
static void ngx_scc_settle_timer(ngx_event_t *ev);
static void ngx_scc_settle_soon(ngx_scc_settle_t *s, ngx_msec_t delay);
static void ngx_scc_settle_push(ngx_scc_settle_t *s, ngx_uint_t from,
    ngx_uint_t to);
static ngx_uint_t ngx_scc_settle_waiting(ngx_scc_item_t *items,
    ngx_uint_t n);
static ngx_int_t ngx_scc_settle_prepare(ngx_scc_settle_t *s,
    ngx_scc_item_t *items, ngx_uint_t n);
static void ngx_scc_settle_early(ngx_scc_settle_t *s, ngx_scc_item_t *items,
    ngx_uint_t n);
static void ngx_scc_settle_send(ngx_scc_settle_t *s,
    const ngx_scc_pg_stmt_t *stmt, ngx_str_t *values,
    ngx_scc_pg_handler_pt handler);
static void ngx_scc_settle_sent(void *data);
static void ngx_scc_settle_tell(ngx_scc_settle_t *s);
static void ngx_scc_settle_answer(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static void ngx_scc_settle_taken(ngx_scc_settle_t *s,
    ngx_scc_pg_result_t *result);
static void ngx_scc_settle_mismatched(ngx_scc_settle_t *s, ngx_str_t *text,
    ngx_uint_t from, ngx_uint_t to);
static void ngx_scc_settle_failed(ngx_scc_settle_t *s,
    ngx_scc_pg_status_t status, ngx_scc_pg_result_t *result);
static ngx_uint_t ngx_scc_settle_too_long(ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static void ngx_scc_settle_split(ngx_scc_settle_t *s,
    ngx_scc_pg_result_t *result);
static void ngx_scc_settle_bury(ngx_scc_settle_t *s);
static void ngx_scc_settle_buried(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static void ngx_scc_settle_log_dead(ngx_scc_settle_t *s);


void
ngx_scc_settle_init(ngx_scc_settle_t *s, ngx_scc_apply_t *apply,
    ngx_scc_settle_pt handler, ngx_scc_settle_pt sent, void *data)
{
    ngx_memzero(s, sizeof(ngx_scc_settle_t));

    s->apply = apply;
    s->handler = handler;
    s->sent = sent;
    s->data = data;

    scc_buf_heap(&s->params, 0);

    s->dumb.fd = (ngx_socket_t) -1;
    s->timer.data = &s->dumb;
    s->timer.log = apply->log;
    s->timer.handler = ngx_scc_settle_timer;
    s->timer.cancelable = 1;
}


void
ngx_scc_settle_destroy(ngx_scc_settle_t *s)
{
    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    scc_buf_free(&s->params);
}


void
ngx_scc_settle(ngx_scc_settle_t *s, ngx_scc_item_t *items, ngx_uint_t n)
{
    ngx_uint_t  i;

    s->items = items;
    s->n = n;
    s->next = 0;
    s->n_ranges = 0;
    s->n_dead = 0;
    s->grave = NULL;
    s->tries = 0;
    s->untold = 1;

    for (i = 0; i < n; i++) {
        if (items[i].bad) {
            s->n_dead++;
        }
    }

    ngx_scc_settle_next(s);
}


void
ngx_scc_settle_known(ngx_scc_apply_t *apply, ngx_scc_item_t *items,
    ngx_uint_t n)
{
    ngx_uint_t       i;
    ngx_scc_item_t  *item;

    if (apply->pending == NULL) {
        return;
    }

    for (i = 0; i < n; i++) {
        item = &items[i];

        if (!item->done || item->told || item->bad || item->dead) {
            continue;
        }

        item->told = 1;

        ngx_scc_pending_raise(apply->pending, item->record.event_id,
                              NGX_SCC_PENDING_APPLIED);
        ngx_scc_clock_check(apply, &item->record);
    }
}


void
ngx_scc_settle_ahead(ngx_scc_settle_t *s, ngx_scc_item_t *items,
    ngx_uint_t n)
{
    /* unless a statement of this call comes before */

    if (s->next == s->n && s->n_ranges == 1 && s->n_dead == 0
        && s->tries == 0)
    {
        ngx_scc_settle_early(s, items, n);
    }
}


/* Graves first: what is known to be bad is safe before others are tried. */

static void
ngx_scc_settle_next(ngx_scc_settle_t *s)
{
    ngx_uint_t       n, waiting;
    ngx_scc_item_t  *items;

    if (s->n_dead != 0) {
        ngx_scc_settle_bury(s);
        return;
    }

    /* what is numbered before old numbers are back might get them */

    if (ngx_scc_guard_unnumbered(s->apply->guard)) {
        ngx_add_timer(&s->timer, NGX_SCC_SETTLE_NUMBER);
        ngx_scc_settle_tell(s);
        return;
    }

    while (s->n_ranges != 0 || s->next != s->n) {

        if (s->n_ranges == 0) {
            n = ngx_min(s->n - s->next, NGX_SCC_SETTLE_ITEMS);
            ngx_scc_settle_push(s, s->next, s->next + n);
            s->next += n;
        }

        items = &s->items[s->ranges[s->n_ranges - 1].from];
        n = s->ranges[s->n_ranges - 1].to - s->ranges[s->n_ranges - 1].from;

        waiting = ngx_scc_settle_waiting(items, n);

        if (waiting == 0) {
            s->n_ranges--;
            continue;
        }

        if ((s->ready != items || s->n_ready != n || waiting != n)
            && ngx_scc_settle_prepare(s, items, n) != NGX_OK)
        {
            ngx_scc_settle_soon(s, NGX_SCC_SETTLE_MIN);
            return;
        }

        s->ready = NULL;

        ngx_scc_guard_floor(s->apply->guard, &s->floor);
        ngx_scc_store_contribute_floor(s->values, s->floor.events);

        ngx_scc_settle_send(s, &ngx_scc_store_contribute, s->values,
                            ngx_scc_settle_answer);
        return;
    }

    /* what one large batch needed is not kept for ever */

    if (s->params.size > 16 * 1024 * 1024 && s->ready == NULL) {
        scc_buf_free(&s->params);
    }

    ngx_scc_settle_tell(s);

    s->handler(s->data);
}


static void
ngx_scc_settle_timer(ngx_event_t *ev)
{
    ngx_scc_settle_t  *s;

    s = ngx_scc_event_owner(ev, ngx_scc_settle_t, timer);

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    ngx_scc_settle_next(s);
}


static void
ngx_scc_settle_soon(ngx_scc_settle_t *s, ngx_msec_t delay)
{
    s->apply->stat.retries++;
    s->tries++;

    if (s->apply->pending != NULL) {
        (void) ngx_atomic_fetch_add(&s->apply->pending->sh->stat.retries, 1);
    }

    ngx_add_timer(&s->timer, delay);

    ngx_scc_settle_tell(s);
}


static void
ngx_scc_settle_push(ngx_scc_settle_t *s, ngx_uint_t from, ngx_uint_t to)
{
    s->ranges[s->n_ranges].from = from;
    s->ranges[s->n_ranges].to = to;
    s->n_ranges++;
}


static ngx_uint_t
ngx_scc_settle_waiting(ngx_scc_item_t *items, ngx_uint_t n)
{
    ngx_uint_t  i, waiting;

    waiting = 0;

    for (i = 0; i < n; i++) {
        waiting += ngx_scc_item_waits(&items[i]);
    }

    return waiting;
}


static ngx_int_t
ngx_scc_settle_prepare(ngx_scc_settle_t *s, ngx_scc_item_t *items,
    ngx_uint_t n)
{
    s->ready = NULL;

    if (ngx_scc_store_contribute_params(&s->params, items, n,
                                        s->apply->store, s->values)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    s->ready = items;
    s->n_ready = n;

    return NGX_OK;
}


/* Of so many items, those of the next statement, if all of them wait. */

static void
ngx_scc_settle_early(ngx_scc_settle_t *s, ngx_scc_item_t *items,
    ngx_uint_t n)
{
    n = ngx_min(n, NGX_SCC_SETTLE_ITEMS);

    if (ngx_scc_settle_waiting(items, n) == n) {
        (void) ngx_scc_settle_prepare(s, items, n);
    }
}


static void
ngx_scc_settle_send(ngx_scc_settle_t *s, const ngx_scc_pg_stmt_t *stmt,
    ngx_str_t *values, ngx_scc_pg_handler_pt handler)
{
    ngx_scc_pg_call_t    *call;
    ngx_scc_pg_status_t   status;

    call = ngx_scc_pg_query(s->apply->pg, stmt, values, handler, s, &status);

    if (call == NULL) {
        ngx_scc_settle_failed(s, status, NULL);
        return;
    }

    ngx_scc_pg_sent(call, ngx_scc_settle_sent);
}


static void
ngx_scc_settle_sent(void *data)
{
    ngx_scc_settle_t *s = data;

    ngx_scc_settle_tell(s);

    /* of many items, the next ones */

    if (s->n_ranges == 1 && s->n_dead == 0 && s->next != s->n) {
        ngx_scc_settle_early(s, &s->items[s->next], s->n - s->next);
    }
}


static void
ngx_scc_settle_tell(ngx_scc_settle_t *s)
{
    if (s->untold) {
        s->untold = 0;

        if (s->sent != NULL) {
            s->sent(s->data);
        }
    }
}


static void
ngx_scc_settle_answer(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_settle_t *s = data;

    ngx_str_t   text;
    ngx_uint_t  from;

    if (status != NGX_SCC_PG_OK || ngx_scc_pg_rows(result) == 0) {
        ngx_scc_settle_failed(s, status, result);
        return;
    }

    if (ngx_scc_pg_value(result, 0, 1, &text) != NGX_OK) {
        ngx_scc_guard_behind(s->apply->guard, &s->floor);
        ngx_scc_settle_soon(s, NGX_SCC_SETTLE_MIN);
        return;
    }

    ngx_scc_apply_well(s->apply);
    ngx_scc_settle_taken(s, result);

    s->tries = 0;
    s->n_ranges--;

    /* else it is over, and the caller knows a better time */

    if (s->n_ranges != 0 || s->next != s->n || s->n_dead != 0) {
        from = s->ranges[s->n_ranges].from;

        ngx_scc_settle_known(s->apply, &s->items[from],
                             s->ranges[s->n_ranges].to - from);
    }

    ngx_scc_settle_next(s);
}


static void
ngx_scc_settle_taken(ngx_scc_settle_t *s, ngx_scc_pg_result_t *result)
{
    ngx_str_t              text;
    uint64_t               events, hlc;
    ngx_int_t              fresh, known;
    ngx_uint_t             i, from, to, dead;
    ngx_scc_item_t        *item;
    ngx_scc_write_stat_t  *stat;

    from = s->ranges[s->n_ranges - 1].from;
    to = s->ranges[s->n_ranges - 1].to;

    fresh = (ngx_scc_pg_value(result, 0, 1, &text) == NGX_OK)
            ? ngx_atoi(text.data, text.len) : 0;
    known = (ngx_scc_pg_value(result, 0, 2, &text) == NGX_OK)
            ? ngx_atoi(text.data, text.len) : 0;

    if (ngx_scc_store_number(result, 0, 4, &events) != NGX_OK
        || ngx_scc_store_number(result, 0, 5, &hlc) != NGX_OK)
    {
        events = 0;
        hlc = 0;
    }

    dead = s->n_dead;

    if (ngx_scc_pg_value(result, 0, 3, &text) == NGX_OK) {
        ngx_scc_settle_mismatched(s, &text, from, to);
    }

    s->apply->stat.applied += ngx_max(fresh, 0);

    known = ngx_max(known, 0) - (ngx_int_t) (s->n_dead - dead);
    s->apply->stat.duplicates += known;

    if (s->apply->pending != NULL) {
        stat = &s->apply->pending->sh->stat;

        (void) ngx_atomic_fetch_add(&stat->applied, ngx_max(fresh, 0));
        (void) ngx_atomic_fetch_add(&stat->known, known);
    }

    for (i = from; i < to; i++) {
        item = &s->items[i];

        if (!ngx_scc_item_waits(item)) {
            continue;
        }

        item->done = 1;
        hlc = ngx_max(hlc, item->record.hlc);
    }

    if (events != 0) {
        ngx_scc_guard_raise(s->apply->guard, &s->floor,
                            events + (uint64_t) ngx_max(fresh, 0), hlc);
    }
}


/* "{2,5}": positions among those sent, from 1, in order */

static void
ngx_scc_settle_mismatched(ngx_scc_settle_t *s, ngx_str_t *text,
    ngx_uint_t from, ngx_uint_t to)
{
    u_char           *p, *end;
    ngx_uint_t        i, at, n;

    p = text->data;
    end = p + text->len;
    i = from;
    at = 0;

    while (p < end) {

        if (*p < '0' || *p > '9') {
            p++;
            continue;
        }

        for (n = 0; p < end && *p >= '0' && *p <= '9'; p++) {
            n = n * 10 + (*p - '0');
        }

        for ( /* void */ ; i < to; i++) {

            if (ngx_scc_item_waits(&s->items[i]) && ++at == n) {
                s->items[i].dead = 1;
                s->n_dead++;
                i++;
                break;
            }
        }
    }
}


static void
ngx_scc_settle_failed(ngx_scc_settle_t *s, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_uint_t        from, to;
    ngx_scc_judge_t   judge;

    judge = ngx_scc_apply_judge(s->apply, status, result,
                                status == NGX_SCC_PG_OK);

    if (judge == NGX_SCC_JUDGE_SPLIT && s->grave == NULL) {
        ngx_scc_settle_split(s, result);
        return;
    }

    /* a letter that cannot be buried is the store's fault, not the letter's;
       a batch that takes too long is tried in halves */

    if (s->grave == NULL && ngx_scc_settle_too_long(status, result)) {
        from = s->ranges[s->n_ranges - 1].from;
        to = s->ranges[s->n_ranges - 1].to;

        if (to - from > 1 && s->n_ranges < NGX_SCC_SETTLE_RANGES) {
            s->n_ranges--;
            ngx_scc_settle_push(s, from + (to - from) / 2, to);
            ngx_scc_settle_push(s, from, from + (to - from) / 2);
        }
    }

    ngx_scc_settle_soon(s, ngx_scc_apply_delay(judge, status, s->tries));
}


static ngx_uint_t
ngx_scc_settle_too_long(ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    return status == NGX_SCC_PG_TIMEOUT
           || (status == NGX_SCC_PG_FAILED
               && ngx_strcmp(ngx_scc_pg_sqlstate(result), "57014") == 0);
}


static void
ngx_scc_settle_split(ngx_scc_settle_t *s, ngx_scc_pg_result_t *result)
{
    u_char      *start, *last;
    scc_str_t    text;
    ngx_uint_t   from, to;

    s->n_ranges--;

    from = s->ranges[s->n_ranges].from;
    to = s->ranges[s->n_ranges].to;

    if (to - from > 1) {
        ngx_scc_settle_push(s, from + (to - from) / 2, to);
        ngx_scc_settle_push(s, from, from + (to - from) / 2);
        ngx_scc_settle_next(s);
        return;
    }

    ngx_memcpy(s->sqlstate, ngx_scc_pg_sqlstate(result),
               sizeof(s->sqlstate));

    start = (u_char *) s->reason;
    last = ngx_slprintf(start, start + sizeof(s->reason) - 1, "refused: %s",
                        ngx_scc_pg_message(result));

    /* it may have been cut within a character */

    text.data = start;

    for (text.len = last - start; !scc_utf8_valid(text); text.len--) {
        /* void */
    }

    start[text.len] = '\0';

    s->grave = &s->items[from];
    s->grave->dead = 1;
    s->n_dead++;

    ngx_scc_settle_bury(s);
}


static void
ngx_scc_settle_bury(ngx_scc_settle_t *s)
{
    ngx_uint_t   i;
    ngx_str_t    values[NGX_SCC_STORE_BURY_PARAMS];

    if (s->grave == NULL) {

        for (i = 0; i < s->n; i++) {
            if ((s->items[i].bad || s->items[i].dead) && !s->items[i].done) {
                break;
            }
        }

        s->grave = &s->items[i];
        s->sqlstate[0] = '\0';

        *ngx_cpymem(s->reason, s->grave->bad ? "bad-record"
                                             : "idem-mismatch",
                    s->grave->bad ? sizeof("bad-record") - 1
                                  : sizeof("idem-mismatch") - 1) = '\0';
    }

    s->ready = NULL;

    if (ngx_scc_store_bury_params(&s->params, s->grave, s->reason,
                                  s->sqlstate[0] ? s->sqlstate : NULL,
                                  s->apply->store, values)
        != NGX_OK)
    {
        ngx_scc_settle_soon(s, NGX_SCC_SETTLE_MIN);
        return;
    }

    ngx_scc_settle_send(s, &ngx_scc_store_bury, values,
                        ngx_scc_settle_buried);
}


static void
ngx_scc_settle_buried(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_settle_t *s = data;

    ngx_str_t         text;
    ngx_scc_apply_t  *apply;

    if (status != NGX_SCC_PG_OK || ngx_scc_pg_rows(result) == 0) {
        ngx_scc_settle_failed(s, status, result);
        return;
    }

    apply = s->apply;

    ngx_scc_apply_well(apply);

    if (ngx_scc_pg_value(result, 0, 1, &text) == NGX_OK
        && text.data[0] == 't')
    {
        apply->stat.dead++;

        if (apply->pending != NULL) {
            (void) ngx_atomic_fetch_add(&apply->pending->sh->stat.dead, 1);
        }

        ngx_scc_settle_log_dead(s);
    }

    if (!s->grave->bad && apply->pending != NULL) {
        ngx_scc_pending_raise(apply->pending, s->grave->record.event_id,
                              NGX_SCC_PENDING_DEAD);
    }

    s->grave->done = 1;
    s->grave = NULL;
    s->n_dead--;
    s->tries = 0;

    ngx_scc_settle_next(s);
}


static void
ngx_scc_settle_log_dead(ngx_scc_settle_t *s)
{
    char        text[256];
    u_char      id[NGX_SCC_SETTLE_UUID];
    scc_buf_t   b;
    ngx_str_t   name;

    ngx_str_set(&name, "what is no contribution");

    if (!s->grave->bad) {
        scc_buf_fixed(&b, id, sizeof(id));
        scc_uuid_write(&b, s->grave->record.event_id);

        name.len = b.used;
        name.data = id;
    }

    ngx_log_error(NGX_LOG_ERR, s->apply->log, 0,
                  "scc: %V cannot be applied and is kept as a dead letter: "
                  "%s %s", &name,
                  ngx_scc_net_text(text, sizeof(text), s->reason,
                                   ngx_strlen(s->reason)), s->sqlstate);
}


ngx_scc_judge_t
ngx_scc_apply_judge(ngx_scc_apply_t *apply, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result, ngx_uint_t foreign)
{
    char         text[256];
    u_char       id[NGX_SCC_SETTLE_UUID];
    scc_buf_t    b;
    ngx_str_t    uuid;
    const char  *state, *message;

    if (foreign) {

        if (!apply->stopped) {
            apply->stopped = 1;

            scc_buf_fixed(&b, id, sizeof(id));
            scc_uuid_write(&b, apply->store);

            uuid.len = b.used;
            uuid.data = id;

            ngx_log_error(NGX_LOG_ERR, apply->log, 0,
                          "scc: the store is not the one that the journal "
                          "belongs to (%V): nothing is applied to it; give "
                          "nginx that store back, or this one a journal of "
                          "its own", &uuid);
        }

        return NGX_SCC_JUDGE_STOP;
    }

    if (status != NGX_SCC_PG_FAILED) {

        if (!apply->waiting) {
            apply->waiting = 1;
            ngx_log_error(NGX_LOG_ERR, apply->log, 0,
                          "scc: the store does not take contributions (%s); "
                          "they wait",
                          (status == NGX_SCC_PG_TIMEOUT) ? "no answer in time"
                                                         : "no answer");
        }

        return NGX_SCC_JUDGE_AGAIN;
    }

    state = ngx_scc_pg_sqlstate(result);

    switch (state[0] << 8 | state[1]) {

    case '2' << 8 | '2':            /* data exception */
    case '2' << 8 | '3':            /* integrity constraint violation */
        return NGX_SCC_JUDGE_SPLIT;

    case '0' << 8 | '8':            /* connection */
    case '2' << 8 | '5':            /* transaction state: read-only */
    case '4' << 8 | '0':            /* rollback */
    case '5' << 8 | '3':            /* resources */
    case '5' << 8 | '5':            /* object not in the right state */
    case '5' << 8 | '7':            /* operator intervention */
    case '5' << 8 | '8':            /* system error */
    case 'X' << 8 | 'X':

        if (!apply->waiting) {
            apply->waiting = 1;
            message = ngx_scc_pg_message(result);

            ngx_log_error(NGX_LOG_ERR, apply->log, 0,
                          "scc: the store does not take contributions now "
                          "(SQLSTATE %s, \"%s\"); they wait", state,
                          ngx_scc_net_text(text, sizeof(text), message,
                                           ngx_strlen(message)));
        }

        return NGX_SCC_JUDGE_AGAIN;

    default:

        /* above all 42, 3D and 3F: a store that was emptied or changed */

        if (!apply->stopped) {
            apply->stopped = 1;
            message = ngx_scc_pg_message(result);

            ngx_log_error(NGX_LOG_ERR, apply->log, 0,
                          "scc: the store is not as it should be (SQLSTATE "
                          "%s, \"%s\"): applying has stopped, contributions "
                          "wait; see \"sccctl migrate --dry-run\"", state,
                          ngx_scc_net_text(text, sizeof(text), message,
                                           ngx_strlen(message)));
        }

        return NGX_SCC_JUDGE_STOP;
    }
}


void
ngx_scc_apply_well(ngx_scc_apply_t *apply)
{
    if (apply->stopped || apply->waiting) {
        apply->stopped = 0;
        apply->waiting = 0;

        ngx_log_error(NGX_LOG_NOTICE, apply->log, 0,
                      "scc: the store takes contributions again");
    }
}


ngx_msec_t
ngx_scc_apply_delay(ngx_scc_judge_t judge, ngx_scc_pg_status_t status,
    ngx_uint_t tries)
{
    ngx_msec_t  delay, max;

    if (judge == NGX_SCC_JUDGE_STOP) {
        return NGX_SCC_SETTLE_STOP;
    }

    /* the connections have a backoff of their own */

    max = (status == NGX_SCC_PG_DOWN || status == NGX_SCC_PG_BUSY)
          ? NGX_SCC_SETTLE_DOWN : NGX_SCC_SETTLE_MAX;

    for (delay = NGX_SCC_SETTLE_MIN; tries != 0 && delay < max; tries--) {
        delay *= 2;
    }

    delay = ngx_min(delay, max);

    return delay - (ngx_msec_t) ngx_random() % (delay / 2 + 1);
}


void *
ngx_scc_apply_room(void *all, ngx_uint_t n, ngx_uint_t *size, size_t each,
    ngx_log_t *log)
{
    void        *more;
    ngx_uint_t   wanted;

    if (n < *size) {
        return all;
    }

    wanted = *size ? 2 * *size : NGX_SCC_SETTLE_ROOM;

    more = ngx_alloc(wanted * each, log);
    if (more == NULL) {
        return NULL;
    }

    if (all != NULL) {
        ngx_memcpy(more, all, n * each);
        ngx_free(all);
    }

    *size = wanted;

    return more;
}
