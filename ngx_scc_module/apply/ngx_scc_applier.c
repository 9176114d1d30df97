
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_applier.h"
#include "ngx_scc_ack.h"
#include "ngx_scc_backoff.h"
#include "ngx_scc_clock.h"
#include "ngx_scc_consumers.h"
#include "ngx_scc_reconcile.h"
#include "ngx_scc_restore.h"


/*
 * Read entries, settle them, acknowledge them, read again; while there is
 * more than a batch, the next one is read while the store works.  Whatever
 * goes wrong with the queue, an entry stays pending for this consumer, or
 * for the one that claims it; and all of it is in some host's journal.
 *
 * A batch costs the store less per entry the larger it is.  So after one
 * that was not full the applier rests, in proportion to the time it took:
 * in a storm batches grow, and readers have the processors meanwhile.
 */

#define NGX_SCC_APPLIER_POLL       20       /* ms, of an empty queue */
#define NGX_SCC_APPLIER_POLL_MAX   250
#define NGX_SCC_APPLIER_REST       10       /* times what the batch took */
#define NGX_SCC_APPLIER_REST_MAX   250      /* ms */
#define NGX_SCC_APPLIER_PAUSE      1000     /* ms, after an error of Redis */
#define NGX_SCC_APPLIER_TIMEOUT    5000     /* ms, of a command */
#define NGX_SCC_APPLIER_CLAIM      15000    /* ms between claims */
#define NGX_SCC_APPLIER_NEAR       500      /* while this host has others */
#define NGX_SCC_APPLIER_IDLE       "60000"  /* ms, of what is claimed */
#define NGX_SCC_APPLIER_RECONCILE  10000    /* ms between passes */
#define NGX_SCC_APPLIER_ALONE      1000     /* without a queue */
#define NGX_SCC_APPLIER_FULL       50       /* entries: there are more */
#define NGX_SCC_APPLIER_SUMMARY    60000    /* ms between lines in the log */


static ngx_str_t  ngx_scc_applier_stream = ngx_string("scc:queue");
static ngx_str_t  ngx_scc_applier_group = ngx_string("apply");


struct ngx_scc_applier_s {
    ngx_scc_apply_t         apply;
    ngx_scc_reconcile_t    *reconcile;
    ngx_scc_clock_t        *clock;          /* NULL: nobody to tell */
    ngx_scc_restore_t      *restore;
    ngx_scc_redis_pool_t   *queue;          /* NULL: there is none */
    ngx_scc_consumers_t     consumers;
    ngx_event_t             timer;
    ngx_event_t             summary;
    ngx_connection_t        dumb;
    ngx_uint_t              incarnation;    /* of the queue's server */
    ngx_msec_t              poll;
    ngx_msec_t              claimed;        /* when it was last tried */
    ngx_msec_t              asked;          /* the same, of a read */
    ngx_msec_t              began;          /* to settle the batch */
    ngx_scc_apply_stat_t    said;           /* in the log */

    unsigned                grouped:1;      /* the group is there */
    unsigned                owed:1;         /* entries may be pending here */
    unsigned                claim:1;        /* claiming goes on at "cursor" */
    unsigned                told:1;         /* of trouble, in the log */
    unsigned                asking:1;       /* an answer is to come, other
                                               than to XACK and XDEL */
    unsigned                settling:1;
    unsigned                ahead:1;        /* the next batch is here */
    unsigned                full:1;         /* the last one read was */
    unsigned                debts:1;        /* asked for: what is pending */
    ngx_scc_entry_id_t      cursor;

    /* the batch, and the next one */
    ngx_scc_settle_t        settle;
    ngx_scc_entries_t       entries[2];
    ngx_uint_t              current;
    ngx_scc_entries_t      *settled;        /* and not told of, or NULL */
    ngx_scc_ack_t           ack;
};


static void ngx_scc_applier_timer(ngx_event_t *ev);
static void ngx_scc_applier_soon(ngx_scc_applier_t *a, ngx_msec_t delay);
static void ngx_scc_applier_step(ngx_scc_applier_t *a);
static void ngx_scc_applier_go_on(ngx_scc_applier_t *a);
static ngx_msec_t ngx_scc_applier_rest(ngx_scc_applier_t *a);
static ngx_uint_t ngx_scc_applier_claim_due(ngx_scc_applier_t *a);
static void ngx_scc_applier_send(ngx_scc_applier_t *a, ngx_uint_t argc,
    ngx_str_t *argv, ngx_scc_redis_handler_pt handler);
static void ngx_scc_applier_make_group(ngx_scc_applier_t *a);
static void ngx_scc_applier_group_made(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static void ngx_scc_applier_read(ngx_scc_applier_t *a);
static void ngx_scc_applier_entries(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static void ngx_scc_applier_claim(ngx_scc_applier_t *a);
static void ngx_scc_applier_claimed(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static void ngx_scc_applier_looked(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static ngx_int_t ngx_scc_applier_trouble(ngx_scc_applier_t *a,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static void ngx_scc_applier_batch(ngx_scc_applier_t *a);
static void ngx_scc_applier_sent(void *data);
static void ngx_scc_applier_settled(void *data);
static void ngx_scc_applier_acknowledge(ngx_scc_applier_t *a);
static void ngx_scc_applier_acked(void *data, ngx_uint_t failed);
static void ngx_scc_applier_summary(ngx_event_t *ev);


ngx_scc_applier_t *
ngx_scc_applier_create(ngx_cycle_t *cycle, ngx_scc_applier_conf_t *conf)
{
    ngx_scc_applier_t  *a;

    a = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_applier_t));
    if (a == NULL) {
        return NULL;
    }

    a->apply.log = cycle->log;
    a->apply.journal = conf->journal;
    a->apply.pending = conf->pending;
    a->apply.pg = ngx_scc_pg_pool_create(cycle, conf->pg);
    if (a->apply.pg == NULL) {
        return NULL;
    }

    a->apply.guard = conf->guard;
    ngx_scc_guard_pool(conf->guard, a->apply.pg, cycle->log);

    a->dumb.fd = (ngx_socket_t) -1;

    a->summary.data = &a->dumb;
    a->summary.log = cycle->log;
    a->summary.handler = ngx_scc_applier_summary;
    a->summary.cancelable = 1;

    ngx_add_timer(&a->summary, NGX_SCC_APPLIER_SUMMARY);

    a->reconcile = ngx_scc_reconcile_create(cycle, &a->apply,
        conf->queue->addr.sockaddr != NULL ? NGX_SCC_APPLIER_RECONCILE
                                           : NGX_SCC_APPLIER_ALONE);
    if (a->reconcile == NULL) {
        return NULL;
    }

    if (conf->pending != NULL) {
        a->clock = ngx_scc_clock_create(cycle, &a->apply);
        if (a->clock == NULL) {
            return NULL;
        }
    }

    a->restore = ngx_scc_restore_create(cycle, &a->apply);
    if (a->restore == NULL) {
        return NULL;
    }

    if (conf->queue->addr.sockaddr == NULL) {
        return a;
    }

    a->queue = ngx_scc_redis_pool_create(cycle, conf->queue);
    if (a->queue == NULL) {
        return NULL;
    }

    a->consumers.queue = a->queue;
    a->consumers.stream = &ngx_scc_applier_stream;
    a->consumers.group = &ngx_scc_applier_group;
    a->consumers.timeout = NGX_SCC_APPLIER_TIMEOUT;

    if (ngx_scc_consumers_init(&a->consumers, cycle) != NGX_OK) {
        return NULL;
    }

    ngx_scc_settle_init(&a->settle, &a->apply, ngx_scc_applier_settled,
                        ngx_scc_applier_sent, a);
    ngx_scc_entries_init(&a->entries[0], cycle->log);
    ngx_scc_entries_init(&a->entries[1], cycle->log);

    a->ack.log = cycle->log;
    a->ack.queue = a->queue;
    a->ack.stream = &ngx_scc_applier_stream;
    a->ack.group = &ngx_scc_applier_group;
    a->ack.timeout = NGX_SCC_APPLIER_TIMEOUT;
    a->ack.handler = ngx_scc_applier_acked;
    a->ack.data = a;

    a->apply.heard = ngx_current_msec;
    a->poll = NGX_SCC_APPLIER_POLL;
    a->claim = 1;

    a->timer.data = &a->dumb;
    a->timer.log = cycle->log;
    a->timer.handler = ngx_scc_applier_timer;
    a->timer.cancelable = 1;

    ngx_add_timer(&a->timer, 1);

    return a;
}


void
ngx_scc_applier_replay(ngx_scc_applier_t *a)
{
    ngx_scc_reconcile_now(a->reconcile);
}


void
ngx_scc_applier_destroy(ngx_scc_applier_t *a)
{
    ngx_scc_reconcile_destroy(a->reconcile);
    ngx_scc_restore_destroy(a->restore);

    if (a->clock != NULL) {
        ngx_scc_clock_destroy(a->clock);
    }

    if (a->summary.timer_set) {
        ngx_del_timer(&a->summary);
    }

    if (a->queue != NULL) {
        ngx_scc_redis_pool_destroy(a->queue);
        ngx_scc_settle_destroy(&a->settle);
        ngx_scc_entries_free(&a->entries[0]);
        ngx_scc_entries_free(&a->entries[1]);

        if (a->timer.timer_set) {
            ngx_del_timer(&a->timer);
        }
    }

    ngx_scc_pg_pool_destroy(a->apply.pg);
}


static void
ngx_scc_applier_timer(ngx_event_t *ev)
{
    ngx_scc_applier_t  *a;

    a = ngx_scc_event_owner(ev, ngx_scc_applier_t, timer);

    ngx_scc_applier_step(a);
}


static void
ngx_scc_applier_soon(ngx_scc_applier_t *a, ngx_msec_t delay)
{
    ngx_add_timer(&a->timer, delay);
}


static void
ngx_scc_applier_step(ngx_scc_applier_t *a)
{
    ngx_uint_t  incarnation;

    if (a->asking || a->settling
        || ngx_exiting || ngx_terminate || ngx_quit)
    {
        return;
    }

    if (!a->apply.have_store || !ngx_scc_redis_ready(a->queue)) {
        ngx_scc_applier_soon(a, NGX_SCC_APPLIER_POLL_MAX);
        return;
    }

    /* another server, or the same restarted: who knows what it has kept */

    incarnation = ngx_scc_redis_incarnation(a->queue);

    if (incarnation != a->incarnation) {

        if (a->incarnation != 0) {
            ngx_scc_reconcile_now(a->reconcile);
        }

        a->incarnation = incarnation;
        a->grouped = 0;
    }

    if (!a->grouped) {
        ngx_scc_applier_make_group(a);
        return;
    }

    if (ngx_scc_applier_claim_due(a)) {
        ngx_scc_applier_claim(a);
        return;
    }

    ngx_scc_applier_read(a);
}


/* When nothing is under way any more: the next step, after a rest. */

static void
ngx_scc_applier_go_on(ngx_scc_applier_t *a)
{
    ngx_msec_t  rest;

    if (a->asking || a->settling || a->ack.answers != 0
        || a->timer.timer_set)
    {
        return;
    }

    if (a->owed) {
        ngx_scc_applier_soon(a, NGX_SCC_APPLIER_POLL_MAX);
        return;
    }

    rest = ngx_scc_applier_rest(a);

    if (rest != 0) {
        ngx_scc_applier_soon(a, rest);
        return;
    }

    ngx_scc_applier_step(a);
}


static ngx_msec_t
ngx_scc_applier_rest(ngx_scc_applier_t *a)
{
    ngx_msec_t  took;

    if (a->full || ngx_scc_pending_hurried(a->apply.pending)) {
        return 0;
    }

    took = ngx_current_msec - a->began;

    return (took < NGX_SCC_APPLIER_REST_MAX / NGX_SCC_APPLIER_REST)
           ? NGX_SCC_APPLIER_REST * took : NGX_SCC_APPLIER_REST_MAX;
}


static ngx_uint_t
ngx_scc_applier_claim_due(ngx_scc_applier_t *a)
{
    return a->claim
           || ngx_current_msec - a->claimed >= (a->consumers.near
                                                ? NGX_SCC_APPLIER_NEAR
                                                : NGX_SCC_APPLIER_CLAIM);
}


static void
ngx_scc_applier_send(ngx_scc_applier_t *a, ngx_uint_t argc, ngx_str_t *argv,
    ngx_scc_redis_handler_pt handler)
{
    if (ngx_scc_redis_command(a->queue, argc, argv, NGX_SCC_APPLIER_TIMEOUT,
                              handler, a)
        == NULL)
    {
        ngx_scc_applier_soon(a, NGX_SCC_APPLIER_POLL_MAX);
        return;
    }

    a->asking = 1;
}


/* From 0: what was sent while there was no group is not passed over. */

static void
ngx_scc_applier_make_group(ngx_scc_applier_t *a)
{
    ngx_str_t  argv[6];

    ngx_str_set(&argv[0], "XGROUP");
    ngx_str_set(&argv[1], "CREATE");
    argv[2] = ngx_scc_applier_stream;
    argv[3] = ngx_scc_applier_group;
    ngx_str_set(&argv[4], "0");
    ngx_str_set(&argv[5], "MKSTREAM");

    ngx_scc_applier_send(a, 6, argv, ngx_scc_applier_group_made);
}


static void
ngx_scc_applier_group_made(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_applier_t *a = data;

    ngx_str_t           text;

    a->asking = 0;

    if (status == NGX_SCC_REDIS_OK
        && ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR)
    {
        text = ngx_scc_reply_str(reply);

        if (ngx_scc_entries_is(&text, "BUSYGROUP")) {
            a->grouped = 1;
            ngx_scc_applier_step(a);
            return;
        }
    }

    if (ngx_scc_applier_trouble(a, status, reply) != NGX_OK) {
        return;
    }

    a->grouped = 1;
    ngx_scc_applier_step(a);
}


static void
ngx_scc_applier_read(ngx_scc_applier_t *a)
{
    u_char     count[NGX_INT_T_LEN];
    ngx_str_t  argv[9];

    ngx_str_set(&argv[0], "XREADGROUP");
    ngx_str_set(&argv[1], "GROUP");
    argv[2] = ngx_scc_applier_group;
    argv[3] = a->consumers.own;
    ngx_str_set(&argv[4], "COUNT");
    argv[5].data = count;
    argv[5].len = ngx_sprintf(count, "%ui",
                              a->entries[a->current ^ 1].count) - count;
    ngx_str_set(&argv[6], "STREAMS");
    argv[7] = ngx_scc_applier_stream;

    /*
     * An answer that was lost on its way left entries pending here; what one
     * that has ended left is read in its name.
     */

    a->debts = (a->owed || a->consumers.gone.len != 0);

    if (a->debts) {
        ngx_str_set(&argv[8], "0");

        if (!a->owed) {
            argv[3] = a->consumers.gone;
        }

    } else {
        ngx_str_set(&argv[8], ">");
    }

    a->asked = ngx_current_msec;

    ngx_scc_applier_send(a, 9, argv, ngx_scc_applier_entries);
}


static void
ngx_scc_applier_entries(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_applier_t *a = data;

    ngx_uint_t              asked;
    ngx_scc_entries_t      *e;
    ngx_scc_redis_reply_t  *stream;

    a->asking = 0;

    if (ngx_scc_applier_trouble(a, status, reply) != NGX_OK) {
        return;
    }

    a->apply.heard = a->asked;

    e = &a->entries[a->current ^ 1];
    asked = e->count;

    stream = ngx_scc_reply_element(reply, 0);

    if (ngx_scc_entries_take(e, stream != NULL
                                ? ngx_scc_reply_element(stream, 1) : NULL)
        != NGX_OK)
    {
        a->owed = 1;
        ngx_scc_applier_soon(a, NGX_SCC_APPLIER_PAUSE);
        return;
    }

    a->full = (e->n_ids >= asked);

    if (e->n_ids != 0) {
        a->poll = NGX_SCC_APPLIER_POLL;
        a->ahead = 1;

        if (a->settling) {
            ngx_scc_settle_ahead(&a->settle, e->items, e->n_items);

        } else {
            ngx_scc_applier_batch(a);
        }

        return;
    }

    if (a->settling) {
        return;
    }

    if (a->debts) {

        if (a->owed) {
            a->owed = 0;

        } else {
            a->consumers.gone.len = 0;
            a->claim = 1;               /* there may be more of them */
        }

        ngx_scc_applier_step(a);
        return;
    }

    if (ngx_scc_pending_hurried(a->apply.pending)) {
        a->poll = NGX_SCC_APPLIER_POLL;
    }

    ngx_scc_applier_soon(a, a->poll);

    a->poll = ngx_min(2 * a->poll, NGX_SCC_APPLIER_POLL_MAX);
}


/* What another consumer took and never settled. */

static void
ngx_scc_applier_claim(ngx_scc_applier_t *a)
{
    u_char     count[NGX_INT_T_LEN];
    ngx_str_t  argv[8];

    a->claimed = ngx_current_msec;

    if (a->cursor.len == 0) {
        a->cursor.len = sizeof("0-0") - 1;
        ngx_memcpy(a->cursor.data, "0-0", a->cursor.len);
    }

    ngx_str_set(&argv[0], "XAUTOCLAIM");
    argv[1] = ngx_scc_applier_stream;
    argv[2] = ngx_scc_applier_group;
    argv[3] = a->consumers.own;
    ngx_str_set(&argv[4], NGX_SCC_APPLIER_IDLE);
    argv[5].len = a->cursor.len;
    argv[5].data = a->cursor.data;
    ngx_str_set(&argv[6], "COUNT");
    argv[7].data = count;
    argv[7].len = ngx_sprintf(count, "%ui",
                              a->entries[a->current ^ 1].count) - count;

    ngx_scc_applier_send(a, 8, argv, ngx_scc_applier_claimed);
}


/*
 * [cursor, entries, ids of pending entries that are gone]: those were
 * settled and removed by a consumer that could not acknowledge them, or
 * somebody trimmed the stream; the journal knows.
 */

static void
ngx_scc_applier_claimed(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_applier_t *a = data;

    ngx_str_t                argv[4], text;
    ngx_uint_t               gone;
    ngx_scc_redis_reply_t   *part;

    a->asking = 0;

    if (ngx_scc_applier_trouble(a, status, reply) != NGX_OK) {
        return;
    }

    a->claim = 0;

    part = ngx_scc_reply_element(reply, 0);

    if (part != NULL) {
        text = ngx_scc_reply_str(part);

        if (text.len <= NGX_SCC_ENTRY_ID) {
            a->cursor.len = text.len;
            ngx_memcpy(a->cursor.data, text.data, text.len);

            a->claim = !ngx_scc_entries_is(&text, "0-0");
        }
    }

    part = ngx_scc_reply_element(reply, 2);
    gone = (part != NULL) ? ngx_scc_reply_elements(part) : 0;

    if (gone != 0) {
        ngx_log_error(NGX_LOG_WARN, a->apply.log, 0,
                      "scc: %ui entries are gone from the queue that nobody "
                      "had acknowledged; the journal is searched for what "
                      "the store lacks", gone);

        ngx_scc_reconcile_now(a->reconcile);
    }

    part = ngx_scc_reply_element(reply, 1);

    if (ngx_scc_entries_take(&a->entries[a->current ^ 1], part) != NGX_OK) {
        a->owed = 1;
        ngx_scc_applier_soon(a, NGX_SCC_APPLIER_PAUSE);
        return;
    }

    if (a->entries[a->current ^ 1].n_ids != 0) {
        a->ahead = 1;
        a->full = 0;
        ngx_scc_applier_batch(a);
        return;
    }

    ngx_scc_consumers_ask(&a->consumers, argv);

    ngx_scc_applier_send(a, 4, argv, ngx_scc_applier_looked);
}


static void
ngx_scc_applier_looked(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_applier_t *a = data;

    a->asking = 0;

    if (ngx_scc_applier_trouble(a, status, reply) != NGX_OK) {
        return;
    }

    ngx_scc_consumers_look(&a->consumers, reply);

    ngx_scc_applier_step(a);
}


/* NGX_OK: the reply is what was asked for; else a try later is arranged. */

static ngx_int_t
ngx_scc_applier_trouble(ngx_scc_applier_t *a, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    char       buf[256];
    ngx_str_t  text;

    if (status != NGX_SCC_REDIS_OK) {
        a->owed = 1;
        ngx_scc_applier_soon(a, NGX_SCC_APPLIER_POLL_MAX);
        return NGX_ERROR;
    }

    if (ngx_scc_reply_type(reply) != NGX_SCC_REPLY_ERROR) {

        if (a->told) {
            a->told = 0;
            ngx_log_error(NGX_LOG_NOTICE, a->apply.log, 0,
                          "scc: the queue answers again");
        }

        return NGX_OK;
    }

    text = ngx_scc_reply_str(reply);

    if (ngx_scc_entries_is(&text, "NOGROUP")) {

        /* emptied, removed or restored */

        ngx_log_error(NGX_LOG_WARN, a->apply.log, 0,
                      "scc: the queue was emptied or replaced; the journal "
                      "is searched for what the store lacks");

        a->grouped = 0;
        a->owed = 0;
        a->cursor.len = 0;
        a->consumers.gone.len = 0;

        ngx_scc_reconcile_now(a->reconcile);
        ngx_scc_applier_soon(a, NGX_SCC_APPLIER_POLL);

        return NGX_ERROR;
    }

    if (!a->told) {
        a->told = 1;
        ngx_log_error(NGX_LOG_ERR, a->apply.log, 0,
                      "scc: the queue cannot be read: \"%s\"; contributions "
                      "are taken from the journal until it can",
                      ngx_scc_net_text(buf, sizeof(buf), (char *) text.data,
                                       text.len));

        ngx_scc_reconcile_now(a->reconcile);
    }

    ngx_scc_applier_soon(a, NGX_SCC_APPLIER_PAUSE);

    return NGX_ERROR;
}


static void
ngx_scc_applier_batch(ngx_scc_applier_t *a)
{
    ngx_scc_entries_t  *e;

    a->current ^= 1;
    a->ahead = 0;
    a->settling = 1;
    a->began = ngx_current_msec;

    e = &a->entries[a->current];

    if (e->n_items == 0) {
        ngx_scc_applier_settled(a);
        return;
    }

    a->apply.busy = (e->n_items >= NGX_SCC_APPLIER_FULL);
    a->apply.stat.oldest = e->items[0].bad ? 0 : e->items[0].record.received;

    ngx_scc_settle(&a->settle, e->items, e->n_items);
}


/* The store works: the batch before is told of, the next one is read. */

static void
ngx_scc_applier_sent(void *data)
{
    ngx_scc_applier_t *a = data;

    ngx_scc_applier_acknowledge(a);

    if (a->full && !a->owed && a->consumers.gone.len == 0
        && !a->timer.timer_set
        && !ngx_scc_applier_claim_due(a)
        && ngx_scc_redis_ready(a->queue)
        && ngx_scc_redis_incarnation(a->queue) == a->incarnation)
    {
        ngx_scc_applier_read(a);
    }
}


static void
ngx_scc_applier_settled(void *data)
{
    ngx_scc_applier_t *a = data;

    a->settling = 0;
    a->apply.busy = 0;
    a->apply.stat.oldest = 0;

    if (a->entries[a->current].n_items >= NGX_SCC_APPLIER_FULL) {
        a->apply.backlog = ngx_current_msec;
    }

    ngx_scc_applier_acknowledge(a);

    a->settled = &a->entries[a->current];

    if (a->ahead && !ngx_exiting && !ngx_terminate && !ngx_quit) {
        ngx_scc_applier_batch(a);
        return;
    }

    ngx_scc_applier_acknowledge(a);
    ngx_scc_applier_go_on(a);
}


static void
ngx_scc_applier_acknowledge(ngx_scc_applier_t *a)
{
    ngx_scc_entries_t  *e;

    e = a->settled;

    if (e == NULL) {
        return;
    }

    a->settled = NULL;

    ngx_scc_settle_known(&a->apply, e->items, e->n_items);

    if (ngx_scc_ack(&a->ack, e) != NGX_OK) {
        a->owed = 1;
    }
}


static void
ngx_scc_applier_acked(void *data, ngx_uint_t failed)
{
    ngx_scc_applier_t *a = data;

    if (failed) {
        a->owed = 1;
    }

    ngx_scc_applier_go_on(a);
}


static void
ngx_scc_applier_summary(ngx_event_t *ev)
{
    ngx_scc_applier_t     *a;
    ngx_scc_apply_stat_t  *stat;

    a = ngx_scc_event_owner(ev, ngx_scc_applier_t, summary);
    stat = &a->apply.stat;

    if (stat->applied != a->said.applied
        || stat->duplicates != a->said.duplicates
        || stat->dead != a->said.dead
        || stat->retries != a->said.retries)
    {
        a->said = *stat;

        ngx_log_error(NGX_LOG_INFO, a->apply.log, 0,
                      "scc: contributions applied: %uL, known already: %uL, "
                      "dead letters: %uL, retries: %uL", stat->applied,
                      stat->duplicates, stat->dead, stat->retries);
    }

    ngx_add_timer(ev, NGX_SCC_APPLIER_SUMMARY);
}
