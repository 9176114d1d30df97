
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_forward.h"
#include "ngx_scc_ask.h"
#include "ngx_scc_backoff.h"
#include "ngx_scc_caps.h"


#define NGX_SCC_FORWARD_CHECK  30000    /* ms between looks at the queue */
#define NGX_SCC_FORWARD_SOON   20       /* ms, while nothing is known of it */
#define NGX_SCC_FORWARD_AGAIN  1000     /* ms, when the helper knows better */
#define NGX_SCC_FORWARD_HOLD   20       /* ms between tries to send */
#define NGX_SCC_FORWARD_GATHER 5        /* ms between entries, if nobody waits
                                           for the queue */
#define NGX_SCC_FORWARD_BUNDLE 32768    /* bytes of an entry, but for one
                                           record that is larger */

static const ngx_str_t  ngx_scc_forward_stream = ngx_string("scc:queue");


struct ngx_scc_forward_s {
    ngx_scc_forward_conf_t   *conf;
    ngx_scc_journal_t        *journal;
    ngx_scc_redis_pool_t     *queue;        /* NULL: there is none */
    ngx_scc_write_stat_t     *stat;
    ngx_log_t                *log;
    time_t                    complained;

    ngx_queue_t               held;         /* bundles the queue will get */
    size_t                    held_size;
    ngx_event_t               hold_timer;
    ngx_msec_t                sent;         /* the last time */

    /* does the queue sync every command, and keep it? */
    ngx_event_t               check_timer;
    ngx_uint_t                asked;        /* incarnation of the question */
    ngx_msec_t                asked_at;
    ngx_uint_t                answered;     /* of the last good answer; 0 */
    ngx_uint_t                checking;
    ngx_scc_ask_t             ask;
    scc_report_t              report;

    ngx_connection_t          dumb;         /* for the timers' debug log */
};


/* Not the request's: it may leave before the record has arrived. */

struct ngx_scc_letter_s {
    ngx_scc_append_t          append;       /* its queue: of a bundle, too */
    ngx_scc_forward_t        *forward;
    ngx_scc_letter_pt         handler;      /* NULL: nobody waits */
    void                     *data;

    ngx_scc_pending_entry_t   entry;
};


/* Letters that go together, as one entry. */

typedef struct {
    ngx_scc_forward_t        *forward;
    ngx_queue_t               letters;
    u_char                   *records;      /* the journal's; while held a
                                               copy */
    size_t                    len;

    ngx_queue_t               queue;        /* in held */
    ngx_msec_t                deadline;     /* while held */
} ngx_scc_bundle_t;


static void ngx_scc_forward_journaled(void *data, ngx_queue_t *appends,
    ngx_int_t rc);
static ngx_scc_bundle_t *ngx_scc_forward_bundle(ngx_scc_forward_t *forward,
    ngx_queue_t *letters);
static ngx_int_t ngx_scc_forward_xadd(ngx_scc_bundle_t *bundle);
static void ngx_scc_forward_reply(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);
static ngx_int_t ngx_scc_forward_hold(ngx_scc_bundle_t *bundle);
static ngx_int_t ngx_scc_forward_join(ngx_scc_bundle_t *bundle);
static void ngx_scc_forward_held(ngx_scc_forward_t *forward);
static void ngx_scc_forward_hold_timer(ngx_event_t *ev);
static ngx_uint_t ngx_scc_forward_tell(ngx_queue_t *letters);
static void ngx_scc_forward_end(ngx_scc_forward_t *forward,
    ngx_queue_t *letters, ngx_scc_letter_event_t event);
static void ngx_scc_forward_doubt(ngx_scc_forward_t *forward);
static void ngx_scc_forward_check_timer(ngx_event_t *ev);
static void ngx_scc_forward_checked(ngx_scc_ask_t *ask);


ngx_scc_forward_t *
ngx_scc_forward_create(ngx_cycle_t *cycle, ngx_scc_forward_conf_t *conf)
{
    ngx_event_t        *ev;
    ngx_scc_forward_t  *forward;

    forward = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_forward_t));
    if (forward == NULL) {
        return NULL;
    }

    forward->conf = conf;
    forward->stat = &conf->pending->sh->stat;
    forward->log = cycle->log;
    forward->dumb.fd = (ngx_socket_t) -1;

    ngx_queue_init(&forward->held);

    forward->journal = ngx_scc_journal_create(cycle, conf->journal,
                                              &forward->stat->journal,
                                              ngx_scc_forward_journaled,
                                              forward);
    if (forward->journal == NULL) {
        return NULL;
    }

    if (conf->queue->addr.sockaddr == NULL) {
        return forward;
    }

    forward->queue = ngx_scc_redis_pool_create(cycle, conf->queue);
    if (forward->queue == NULL) {
        return NULL;
    }

    forward->ask.pool = forward->queue;
    forward->ask.handler = ngx_scc_forward_checked;
    forward->ask.data = forward;

    /* letters that are held are waited for when the worker is to end */

    ev = &forward->hold_timer;

    ev->data = &forward->dumb;
    ev->log = cycle->log;
    ev->handler = ngx_scc_forward_hold_timer;

    ev = &forward->check_timer;

    ev->data = &forward->dumb;
    ev->log = cycle->log;
    ev->handler = ngx_scc_forward_check_timer;
    ev->cancelable = 1;

    ngx_add_timer(ev, 1);

    return forward;
}


void
ngx_scc_forward_destroy(ngx_scc_forward_t *forward)
{
    if (forward->queue != NULL) {
        ngx_scc_redis_pool_destroy(forward->queue);
    }

    ngx_scc_journal_destroy(forward->journal);
}


const u_char *
ngx_scc_forward_store(ngx_scc_forward_t *forward)
{
    return ngx_scc_journal_store(forward->journal);
}


ngx_int_t
ngx_scc_forward_send(ngx_scc_forward_t *forward, scc_record_t *record,
    ngx_uint_t given, ngx_scc_letter_pt handler, void *data,
    ngx_scc_letter_t **letter)
{
    ngx_int_t                 rc;
    ngx_scc_letter_t         *l;
    ngx_scc_pending_entry_t  *entry;

    l = ngx_calloc(sizeof(ngx_scc_letter_t), forward->log);
    if (l == NULL) {
        return NGX_BUSY;
    }

    rc = ngx_scc_journal_append(forward->journal, record, &l->append);

    if (rc != NGX_AGAIN) {
        ngx_free(l);
        return rc;
    }

    l->forward = forward;
    l->handler = handler;
    l->data = data;

    entry = &l->entry;

    ngx_memcpy(entry->id, record->event_id, 16);
    ngx_memcpy(entry->print, record->sha256, sizeof(entry->print));
    entry->hlc = record->hlc;
    entry->sender = ngx_scc_pending_sender(&record->contributor_id);
    entry->state = NGX_SCC_PENDING_WRITING;

    if (given) {
        ngx_scc_pending_put(forward->conf->pending, entry);
    }

    *letter = l;

    return NGX_AGAIN;
}


void
ngx_scc_forward_leave(ngx_scc_letter_t *letter)
{
    letter->handler = NULL;
    letter->data = NULL;
}


static void
ngx_scc_forward_journaled(void *data, ngx_queue_t *appends, ngx_int_t rc)
{
    ngx_scc_forward_t *forward = data;

    ngx_uint_t         waited;
    ngx_queue_t       *q;
    ngx_scc_letter_t  *letter;
    ngx_scc_bundle_t  *bundle;

    for (q = ngx_queue_head(appends);
         q != ngx_queue_sentinel(appends);
         q = ngx_queue_next(q))
    {
        letter = ngx_queue_data(q, ngx_scc_letter_t, append.queue);

        if (rc != NGX_OK) {
            ngx_scc_pending_drop(forward->conf->pending, letter->entry.id);
            continue;
        }

        letter->entry.state = NGX_SCC_PENDING_JOURNALED;
        ngx_scc_pending_put(forward->conf->pending, &letter->entry);
    }

    if (rc != NGX_OK) {
        ngx_scc_forward_end(forward, appends, NGX_SCC_LETTER_FAILED);
        return;
    }

    while (!ngx_queue_empty(appends)) {
        bundle = (forward->queue != NULL)
                 ? ngx_scc_forward_bundle(forward, appends) : NULL;

        if (bundle == NULL) {
            (void) ngx_scc_forward_tell(appends);
            ngx_scc_forward_end(forward, appends, NGX_SCC_LETTER_UNQUEUED);
            return;
        }

        /* sent first: a handler may end its request, and that take a while */

        rc = (ngx_queue_empty(&forward->held)
              && ngx_current_msec - forward->sent >= NGX_SCC_FORWARD_GATHER)
             ? ngx_scc_forward_xadd(bundle) : NGX_DECLINED;

        waited = ngx_scc_forward_tell(&bundle->letters);

        if (rc == NGX_OK) {
            continue;
        }

        if (ngx_scc_forward_hold(bundle) != NGX_OK) {
            ngx_scc_forward_end(forward, &bundle->letters,
                                NGX_SCC_LETTER_UNQUEUED);
            ngx_free(bundle);
            continue;
        }

        if (waited) {
            ngx_scc_forward_held(forward);
        }
    }
}


/* Takes letters as long as their records are one piece; NULL: no memory. */

static ngx_scc_bundle_t *
ngx_scc_forward_bundle(ngx_scc_forward_t *forward, ngx_queue_t *letters)
{
    scc_str_t         *record;
    ngx_queue_t       *q;
    ngx_scc_letter_t  *letter;
    ngx_scc_bundle_t  *bundle;

    bundle = ngx_calloc(sizeof(ngx_scc_bundle_t), forward->log);
    if (bundle == NULL) {
        return NULL;
    }

    bundle->forward = forward;
    ngx_queue_init(&bundle->letters);

    while (!ngx_queue_empty(letters)) {
        q = ngx_queue_head(letters);
        letter = ngx_queue_data(q, ngx_scc_letter_t, append.queue);
        record = &letter->append.record;

        if (bundle->len == 0) {
            bundle->records = (u_char *) record->data;

        } else if (record->data != bundle->records + bundle->len
                   || bundle->len + record->len > NGX_SCC_FORWARD_BUNDLE)
        {
            break;
        }

        bundle->len += record->len;

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&bundle->letters, q);
    }

    return bundle;
}


static ngx_int_t
ngx_scc_forward_xadd(ngx_scc_bundle_t *bundle)
{
    ngx_str_t           argv[7];
    ngx_scc_letter_t   *first;
    ngx_scc_forward_t  *forward;

    forward = bundle->forward;
    first = ngx_queue_data(ngx_queue_head(&bundle->letters),
                           ngx_scc_letter_t, append.queue);

    ngx_str_set(&argv[0], "XADD");
    argv[1] = ngx_scc_forward_stream;
    ngx_str_set(&argv[2], "*");
    ngx_str_set(&argv[3], "r");
    argv[4].len = bundle->len;
    argv[4].data = bundle->records;
    ngx_str_set(&argv[5], "s");
    argv[6].len = sizeof(first->append.segment);
    argv[6].data = first->append.segment;

    if (ngx_scc_redis_command(forward->queue, 7, argv, 0,
                              ngx_scc_forward_reply, bundle)
        == NULL)
    {
        return NGX_DECLINED;
    }

    forward->sent = ngx_current_msec;

    return NGX_OK;
}


static void
ngx_scc_forward_reply(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_bundle_t *bundle = data;

    ngx_str_t                text;
    ngx_scc_forward_t       *forward;
    ngx_scc_letter_event_t   event;

    forward = bundle->forward;
    event = NGX_SCC_LETTER_UNQUEUED;

    if (status == NGX_SCC_REDIS_OK) {

        if (ngx_scc_reply_type(reply) == NGX_SCC_REPLY_STRING) {
            event = (forward->answered != 0
                     && forward->answered
                        == ngx_scc_redis_incarnation(forward->queue)
                     && ngx_scc_caps_queue(forward->conf->pending))
                    ? NGX_SCC_LETTER_SYNCED : NGX_SCC_LETTER_QUEUED;

        } else if (forward->complained != ngx_time()) {
            forward->complained = ngx_time();

            text = ngx_scc_reply_str(reply);

            ngx_log_error(NGX_LOG_ERR, forward->log, 0,
                          "scc: the queue %V does not take contributions: "
                          "\"%V\"; they stay in the journal",
                          &forward->conf->queue->addr.name, &text);
        }
    }

    if (event != NGX_SCC_LETTER_SYNCED) {
        ngx_scc_forward_doubt(forward);
    }

    ngx_scc_forward_end(forward, &bundle->letters, event);

    ngx_free(bundle);
}


/*
 * It was sent a moment ago: Redis syncs once for what comes together.  Or the
 * connection is not up yet, has just been lost, or is full: a moment later it
 * may do, and saves the helper a search.  NGX_OK: the bundle is held, or gone
 * into the one before it.
 */

static ngx_int_t
ngx_scc_forward_hold(ngx_scc_bundle_t *bundle)
{
    u_char             *p;
    ngx_scc_forward_t  *forward;

    forward = bundle->forward;

    if (forward->held_size + bundle->len
        > forward->conf->journal->pending_max)
    {
        return NGX_DECLINED;
    }

    if (ngx_scc_forward_join(bundle) == NGX_OK) {
        return NGX_OK;
    }

    p = ngx_alloc(ngx_max(bundle->len, NGX_SCC_FORWARD_BUNDLE),
                  forward->log);
    if (p == NULL) {
        return NGX_DECLINED;
    }

    ngx_memcpy(p, bundle->records, bundle->len);

    bundle->records = p;
    bundle->deadline = ngx_current_msec + forward->conf->queue->timeout;

    ngx_queue_insert_tail(&forward->held, &bundle->queue);
    forward->held_size += bundle->len;

    if (!forward->hold_timer.timer_set) {
        ngx_add_timer(&forward->hold_timer, NGX_SCC_FORWARD_GATHER);
    }

    return NGX_OK;
}


/* An entry has the records of one segment. */

static ngx_int_t
ngx_scc_forward_join(ngx_scc_bundle_t *bundle)
{
    ngx_scc_letter_t   *mine, *its;
    ngx_scc_bundle_t   *last;
    ngx_scc_forward_t  *forward;

    forward = bundle->forward;

    if (ngx_queue_empty(&forward->held)) {
        return NGX_DECLINED;
    }

    last = ngx_queue_data(ngx_queue_last(&forward->held), ngx_scc_bundle_t,
                          queue);

    mine = ngx_queue_data(ngx_queue_head(&bundle->letters), ngx_scc_letter_t,
                          append.queue);
    its = ngx_queue_data(ngx_queue_head(&last->letters), ngx_scc_letter_t,
                         append.queue);

    if (last->len + bundle->len > NGX_SCC_FORWARD_BUNDLE
        || ngx_memcmp(mine->append.segment, its->append.segment, 16) != 0)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(last->records + last->len, bundle->records, bundle->len);

    last->len += bundle->len;
    forward->held_size += bundle->len;

    ngx_queue_add(&last->letters, &bundle->letters);
    ngx_free(bundle);

    return NGX_OK;
}


static void
ngx_scc_forward_held(ngx_scc_forward_t *forward)
{
    ngx_int_t          rc;
    ngx_queue_t       *q;
    ngx_scc_bundle_t  *bundle;

    while (!ngx_queue_empty(&forward->held)) {
        q = ngx_queue_head(&forward->held);
        bundle = ngx_queue_data(q, ngx_scc_bundle_t, queue);

        rc = ngx_scc_forward_xadd(bundle);

        if (rc != NGX_OK
            && (ngx_msec_int_t) (bundle->deadline - ngx_current_msec) > 0)
        {
            break;
        }

        ngx_queue_remove(q);
        forward->held_size -= bundle->len;

        ngx_free(bundle->records);

        if (rc != NGX_OK) {
            ngx_scc_forward_end(forward, &bundle->letters,
                                NGX_SCC_LETTER_UNQUEUED);
            ngx_free(bundle);
        }
    }

    if (ngx_queue_empty(&forward->held)) {

        if (forward->hold_timer.timer_set) {
            ngx_del_timer(&forward->hold_timer);
        }

    } else if (!forward->hold_timer.timer_set) {
        ngx_add_timer(&forward->hold_timer, NGX_SCC_FORWARD_HOLD);
    }
}


static void
ngx_scc_forward_hold_timer(ngx_event_t *ev)
{
    ngx_scc_forward_held(ngx_scc_event_owner(ev, ngx_scc_forward_t,
                                             hold_timer));
}


/* True if somebody waits for what the queue says, too. */

static ngx_uint_t
ngx_scc_forward_tell(ngx_queue_t *letters)
{
    ngx_uint_t         waited;
    ngx_queue_t       *q;
    ngx_scc_letter_t  *letter;

    waited = 0;

    for (q = ngx_queue_head(letters);
         q != ngx_queue_sentinel(letters);
         q = ngx_queue_next(q))
    {
        letter = ngx_queue_data(q, ngx_scc_letter_t, append.queue);

        if (letter->handler != NULL) {
            letter->handler(letter->data, NGX_SCC_LETTER_JOURNALED);
        }

        /* unless it has left */

        waited |= (letter->handler != NULL);
    }

    return waited;
}


/* The last event: the letters are gone. */

static void
ngx_scc_forward_end(ngx_scc_forward_t *forward, ngx_queue_t *letters,
    ngx_scc_letter_event_t event)
{
    void               *data;
    ngx_queue_t        *q;
    ngx_scc_letter_t   *letter;
    ngx_scc_letter_pt   handler;

    while (!ngx_queue_empty(letters)) {
        q = ngx_queue_head(letters);
        ngx_queue_remove(q);

        letter = ngx_queue_data(q, ngx_scc_letter_t, append.queue);

        switch (event) {

        case NGX_SCC_LETTER_SYNCED:
        case NGX_SCC_LETTER_QUEUED:
            (void) ngx_atomic_fetch_add(&forward->stat->queued, 1);
            ngx_scc_pending_raise(forward->conf->pending, letter->entry.id,
                                  event == NGX_SCC_LETTER_SYNCED
                                  ? NGX_SCC_PENDING_SYNCED
                                  : NGX_SCC_PENDING_QUEUED);
            break;

        case NGX_SCC_LETTER_UNQUEUED:
            (void) ngx_atomic_fetch_add(&forward->stat->unqueued, 1);
            break;

        default:
            break;
        }

        handler = letter->handler;
        data = letter->data;

        ngx_free(letter);

        if (handler != NULL) {
            handler(data, event);
        }
    }
}


/*
 * An answer says "on disk" only if Redis syncs before each answer, and keeps
 * what it has when its memory is full.  Whether it does is asked at each
 * connect to another process of it, and again from time to time; what cannot
 * be known is taken for no.  The helper, who asks more, tells people.
 */

static void
ngx_scc_forward_doubt(ngx_scc_forward_t *forward)
{
    if (forward->answered == 0
        && forward->asked == ngx_scc_redis_incarnation(forward->queue)
        && (ngx_current_msec - forward->asked_at < NGX_SCC_FORWARD_AGAIN
            || !ngx_scc_caps_queue(forward->conf->pending)))
    {
        return;                 /* it was asked, and the answer was no */
    }

    if (forward->answered != 0) {
        forward->answered = 0;
        ngx_scc_caps_doubt(forward->conf->pending);
    }

    if (forward->checking) {
        return;                 /* its end looks again */
    }

    if (forward->check_timer.timer_set) {
        ngx_del_timer(&forward->check_timer);
    }

    ngx_add_timer(&forward->check_timer, 1);
}


static void
ngx_scc_forward_check_timer(ngx_event_t *ev)
{
    ngx_scc_forward_t  *forward;

    forward = ngx_scc_event_owner(ev, ngx_scc_forward_t, check_timer);

    if (forward->checking) {
        return;                 /* its end is told */
    }

    forward->asked = ngx_scc_redis_incarnation(forward->queue);
    forward->asked_at = ngx_current_msec;

    ngx_memzero(&forward->ask.facts, sizeof(scc_audit_queue_t));
    forward->ask.facts.name = "";

    if (ngx_scc_ask(&forward->ask) == NGX_OK) {
        forward->checking = 1;
        return;
    }

    forward->answered = 0;
    ngx_add_timer(ev, NGX_SCC_FORWARD_SOON);
}


static void
ngx_scc_forward_checked(ngx_scc_ask_t *ask)
{
    ngx_scc_forward_t  *forward;

    forward = ask->data;
    forward->checking = 0;

    if (ask->lost
        || ask->incarnation != forward->asked
        || !ngx_scc_redis_ready(forward->queue))
    {
        forward->answered = 0;
        ngx_add_timer(&forward->check_timer, NGX_SCC_FORWARD_SOON);
        return;
    }

    scc_audit_begin(&forward->report);
    scc_audit_queue_look(&forward->report, &ask->facts);

    forward->answered = (scc_audit_caps(&forward->report) & SCC_CAP_QUEUE)
                        ? forward->asked : 0;

    ngx_add_timer(&forward->check_timer, NGX_SCC_FORWARD_CHECK);
}
