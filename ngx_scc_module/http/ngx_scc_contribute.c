
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_backoff.h"
#include "ngx_scc_contribute.h"
#include "ngx_scc_store.h"

#include <sys/random.h>


/*
 * POST contributions.  No 2xx leaves before the whole record is durable in
 * the journal; how much more is waited for, scc_ack and "Prefer: wait" say,
 * and SCC-Durability says what was reached.
 */

#define NGX_SCC_BODY_DEPTH  16
#define NGX_SCC_LOOK_TIME   250         /* ms for the ledger before a write */
#define NGX_SCC_POLL_MIN    4           /* ms between looks at the zone */
#define NGX_SCC_POLL_MAX    40
#define NGX_SCC_ASK_MIN     100         /* ms between questions to the */
#define NGX_SCC_ASK_MAX     1000        /* ledger, which another host fills */


static void ngx_scc_contribute_body(ngx_http_request_t *r);
static ngx_int_t ngx_scc_contribute_read(ngx_scc_contribute_t *c,
    scc_str_t *body);
static ngx_int_t ngx_scc_contribute_parse(ngx_scc_contribute_t *c);
static ngx_int_t ngx_scc_contribute_identify(ngx_scc_contribute_t *c);
static ngx_int_t ngx_scc_contribute_begin(ngx_scc_contribute_t *c);
static ngx_int_t ngx_scc_contribute_known(ngx_scc_contribute_t *c,
    ngx_scc_pending_entry_t *entry);
static ngx_int_t ngx_scc_contribute_write(ngx_scc_contribute_t *c);
static void ngx_scc_contribute_letter(void *data,
    ngx_scc_letter_event_t event);
static ngx_int_t ngx_scc_contribute_decide(ngx_scc_contribute_t *c);
static ngx_int_t ngx_scc_contribute_less(ngx_scc_contribute_t *c,
    const char *detail);
static void ngx_scc_contribute_timer(ngx_event_t *ev);
static void ngx_scc_contribute_poll(ngx_event_t *ev);
static ngx_int_t ngx_scc_contribute_ask(ngx_scc_contribute_t *c);
static void ngx_scc_contribute_ledger(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_contribute_stored(ngx_scc_contribute_t *c,
    ngx_scc_pg_result_t *result);
static void ngx_scc_contribute_stop(ngx_scc_contribute_t *c);
static void ngx_scc_contribute_cleanup(void *data);


ngx_int_t
ngx_scc_contribute(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_int_t              rc;
    ngx_event_t           *ev;
    ngx_http_cleanup_t    *cln;
    ngx_scc_main_conf_t   *smcf;
    ngx_scc_contribute_t  *c;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    if (smcf->forward == NULL || r != r->main) {

        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        return (r != r->main)
               ? ngx_scc_problem(r, ctx, NGX_HTTP_FORBIDDEN,
                                 "a subrequest cannot contribute", NULL)
               : ngx_scc_problem(r, ctx, NGX_HTTP_NOT_FOUND,
                                 "contributions are not taken here", NULL);
    }

    c = ngx_pcalloc(r->pool, sizeof(ngx_scc_contribute_t));
    if (c == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    c->request = r;
    c->ctx = ctx;
    c->smcf = smcf;
    c->slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    ev = &c->timer;

    ev->data = r->connection;
    ev->log = r->connection->log;
    ev->handler = ngx_scc_contribute_timer;

    ev = &c->poll;

    ev->data = r->connection;
    ev->log = r->connection->log;
    ev->handler = ngx_scc_contribute_poll;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_scc_contribute_cleanup;
    cln->data = c;

    rc = ngx_scc_contribute_head(c);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    ctx->contribute = c;
    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_scc_contribute_body);

    if (rc == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        r->keepalive = 0;
        r->lingering_close = 1;

        return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_SIZE, rc,
                                         "the contribution is larger than "
                                         "this server takes", NULL);
    }

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


static void
ngx_scc_contribute_body(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_scc_ctx_t         *ctx;
    ngx_scc_contribute_t  *c;

    ctx = ngx_http_get_module_ctx(r, ngx_scc_module);
    c = ctx->contribute;

    rc = ngx_scc_contribute_read(c, &c->record.body);

    if (rc == NGX_DECLINED) {
        rc = ngx_scc_contribute_parse(c);
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_scc_contribute_identify(c);
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_scc_contribute_begin(c);
    }

    if (rc == NGX_AGAIN) {

        /* a client who leaves is noticed */

        c->waiting = 1;
        r->read_event_handler = ngx_http_test_reading;
        r->write_event_handler = ngx_http_request_empty_handler;
        return;
    }

    ngx_scc_contribute_stop(c);
    ngx_http_finalize_request(r, rc);
}


/*
 * Reading, parsing, identifying: NGX_DECLINED: go on; else the rc of an
 * answer that was sent.  The body is wanted in one piece; it may be in
 * several buffers, or in a file.
 */

static ngx_int_t
ngx_scc_contribute_read(ngx_scc_contribute_t *c, scc_str_t *body)
{
    off_t                size;
    u_char              *p;
    ssize_t              n;
    ngx_buf_t           *b;
    ngx_chain_t         *cl, *first;
    ngx_http_request_t  *r;

    r = c->request;
    first = (r->request_body != NULL) ? r->request_body->bufs : NULL;
    size = 0;

    for (cl = first; cl != NULL; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size == 0) {
        return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_BODY,
                                         NGX_HTTP_BAD_REQUEST,
                                         "the body is empty: send a "
                                         "contribution as a JSON object",
                                         NULL);
    }

    if (size > (off_t) c->smcf->contribution_max) {
        return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_SIZE,
                                         NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                         "the contribution is larger than "
                                         "this server takes", NULL);
    }

    body->len = (size_t) size;

    if (ngx_buf_in_memory(first->buf)
        && (size_t) (first->buf->last - first->buf->pos) == body->len)
    {
        body->data = first->buf->pos;
        return NGX_DECLINED;
    }

    p = ngx_pnalloc(r->pool, body->len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body->data = p;

    for (cl = first; cl != NULL; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
            continue;
        }

        size = ngx_buf_size(b);

        while (size > 0) {
            n = ngx_read_file(b->file, p, (size_t) size,
                              b->file_last - size);

            if (n <= 0) {
                ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                              "scc: a contribution's body could not be read "
                              "from its temporary file");
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }

            p += n;
            size -= n;
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_scc_contribute_parse(ngx_scc_contribute_t *c)
{
    scc_rc_t                  rc;
    scc_faults_t             *faults;
    scc_contribution_conf_t   conf;

    faults = ngx_palloc(c->request->pool, sizeof(scc_faults_t));
    if (faults == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    conf.max_size = c->smcf->contribution_max;
    conf.max_depth = NGX_SCC_BODY_DEPTH;

    rc = scc_contribution_parse(&c->body, &conf, c->record.body, faults);

    if (rc == SCC_OK) {
        (void) ngx_pfree(c->request->pool, faults);
        return NGX_DECLINED;
    }

    if (rc != SCC_DECLINED) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_atomic_fetch_add(
                    &c->smcf->pending->sh->stat.rejected[NGX_SCC_REJECT_BODY],
                    1);

    c->ctx->told.status = NGX_SCC_TOLD_REJECTED;

    return ngx_scc_problem_faults(c->request, c->ctx,
                                  "the contribution has faults, each listed "
                                  "in \"errors\"; nothing was taken", faults);
}


/* The record, and the event's id: the client's, the key's, or a new one. */

static ngx_int_t
ngx_scc_contribute_identify(ngx_scc_contribute_t *c)
{
    u_char            text[NGX_SCC_UUID_LEN], noise[10];
    scc_buf_t         b;
    ngx_time_t       *tp;
    const u_char     *store;
    scc_record_t     *record;
    struct timespec   now;

    record = &c->record;

    store = ngx_scc_forward_store(c->smcf->forward);

    if (store == NULL) {
        return ngx_scc_contribute_refuse(c, NGX_SCC_TOLD_REFUSED,
                                         "the journal is not ready, nothing "
                                         "was taken; try again after "
                                         "Retry-After seconds");
    }

    record->kind = c->body.kind;
    record->target = c->body.target;

    scc_sha256(record->sha256, record->body);

    (void) clock_gettime(CLOCK_REALTIME, &now);

    record->received = (uint64_t) now.tv_sec * 1000000000
                       + (uint64_t) now.tv_nsec;

    if (c->body.has_id) {
        ngx_memcpy(record->event_id, c->body.id, 16);

        if (record->key.len != 0) {
            scc_buf_fixed(&b, text, sizeof(text));
            scc_uuid_write(&b, c->body.id);

            if (record->key.len != b.used
                || ngx_strncasecmp((u_char *) record->key.data, text, b.used)
                   != 0)
            {
                return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_KEY,
                                                 NGX_HTTP_BAD_REQUEST,
                                                 "differs from the body's "
                                                 "\"id\": give one of them, "
                                                 "or the same twice",
                                                 "Idempotency-Key");
            }
        }

        c->given = 1;

    } else if (record->key.len != 0) {
        scc_event_id_of_key(record->event_id, store, record->contributor_id,
                            record->key);
        c->given = 1;

    } else {
        if (getrandom(noise, sizeof(noise), 0) != sizeof(noise)) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        tp = ngx_timeofday();

        scc_uuid_v7(record->event_id,
                    (uint64_t) tp->sec * 1000 + tp->msec, noise);
    }

    ngx_memcpy(c->ctx->told.id, record->event_id, 16);
    c->ctx->told.has_id = 1;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_scc_contribute_begin(ngx_scc_contribute_t *c)
{
    ngx_int_t    rc;
    const char  *refused;

    refused = ngx_scc_caps_refused(&c->smcf->caps);

    if (refused != NULL) {
        return ngx_scc_contribute_refuse(c, NGX_SCC_TOLD_REFUSED, refused);
    }

    c->ack_end = ngx_current_msec + c->slcf->ack_timeout;

    if (c->prefer != 0) {
        c->wait = c->prefer * 1000;

    } else if (c->slcf->ack == NGX_SCC_ACK_APPLIED) {
        c->wait = c->slcf->ack_timeout;
    }

    c->wait_end = ngx_current_msec + c->wait;

    rc = ngx_scc_contribute_right(c);

    return (rc == NGX_DECLINED) ? ngx_scc_contribute_start(c) : rc;
}


ngx_int_t
ngx_scc_contribute_start(ngx_scc_contribute_t *c)
{
    ngx_int_t                rc;
    ngx_scc_pending_entry_t  entry;

    if (!c->given) {
        return ngx_scc_contribute_write(c);
    }

    if (ngx_scc_pending_find(c->smcf->pending, c->record.event_id, &entry)
        == NGX_OK)
    {
        rc = ngx_scc_contribute_known(c, &entry);

        return (rc == NGX_DECLINED) ? ngx_scc_contribute_write(c) : rc;
    }

    if (c->wait != 0 && ngx_scc_contribute_ask(c) == NGX_OK) {
        c->step = NGX_SCC_STEP_LOOK;
        return ngx_scc_contribute_until(c, ngx_current_msec
                                           + NGX_SCC_LOOK_TIME);
    }

    return ngx_scc_contribute_write(c);
}


/*
 * This host has had the event.  What it has not made durable yet, or not
 * as durable as is asked for, is simply written again: the ledger takes an
 * event once.
 */

static ngx_int_t
ngx_scc_contribute_known(ngx_scc_contribute_t *c,
    ngx_scc_pending_entry_t *entry)
{
    ngx_scc_told_t  *told;

    if (ngx_memcmp(entry->print, c->record.sha256, sizeof(entry->print)) != 0
        || entry->sender
           != ngx_scc_pending_sender(&c->record.contributor_id))
    {
        return ngx_scc_contribute_conflict(c);
    }

    if (entry->state < NGX_SCC_PENDING_JOURNALED
        || (c->slcf->ack == NGX_SCC_ACK_QUEUE
            && entry->state < NGX_SCC_PENDING_SYNCED))
    {
        return NGX_DECLINED;
    }

    told = &c->ctx->told;

    told->hlc = entry->hlc;
    told->journal = ngx_scc_caps_copies(&c->smcf->caps);
    told->queue = (entry->state == NGX_SCC_PENDING_SYNCED);
    told->applied = (entry->state == NGX_SCC_PENDING_APPLIED);
    told->status = ngx_scc_told_status(entry->state);

    c->dead = (entry->state == NGX_SCC_PENDING_DEAD);
    c->repeated = 1;
    c->queue_done = 1;
    c->step = NGX_SCC_STEP_WAIT;

    return ngx_scc_contribute_decide(c);
}


static ngx_int_t
ngx_scc_contribute_write(ngx_scc_contribute_t *c)
{
    ngx_int_t  rc;

    rc = ngx_scc_forward_send(c->smcf->forward, &c->record, c->given,
                              ngx_scc_contribute_letter, c, &c->letter);

    if (rc == NGX_BUSY) {
        return ngx_scc_contribute_refuse(c, NGX_SCC_TOLD_REFUSED,
                                         "the journal's disk is too slow or "
                                         "full now, nothing was taken; try "
                                         "again after Retry-After seconds");
    }

    if (rc != NGX_AGAIN) {
        return ngx_scc_contribute_refuse(c, NGX_SCC_TOLD_REFUSED,
                                         "the journal is not ready, nothing "
                                         "was taken; try again after "
                                         "Retry-After seconds");
    }

    c->ctx->told.hlc = c->record.hlc;
    c->step = NGX_SCC_STEP_WRITE;

    return ngx_scc_contribute_until(c, c->ack_end);
}


static void
ngx_scc_contribute_letter(void *data, ngx_scc_letter_event_t event)
{
    ngx_scc_contribute_t *c = data;

    ngx_int_t        rc;
    ngx_scc_told_t  *told;

    told = &c->ctx->told;

    switch (event) {

    case NGX_SCC_LETTER_FAILED:
        c->letter = NULL;

        rc = ngx_scc_contribute_refuse(c, NGX_SCC_TOLD_UNKNOWN,
                                       "the journal's disk has failed, the "
                                       "contribution is not known to be "
                                       "kept; try again after Retry-After "
                                       "seconds, with the same "
                                       "Idempotency-Key");

        ngx_scc_contribute_finish(c, rc);
        return;

    case NGX_SCC_LETTER_JOURNALED:
        told->journal = ngx_scc_caps_copies(&c->smcf->caps);
        told->status = NGX_SCC_TOLD_JOURNALED;
        c->step = NGX_SCC_STEP_WAIT;
        break;

    case NGX_SCC_LETTER_SYNCED:
        told->queue = 1;
        /* fall through */

    case NGX_SCC_LETTER_QUEUED:
        told->status = NGX_SCC_TOLD_QUEUED;
        /* fall through */

    default: /* NGX_SCC_LETTER_UNQUEUED */
        c->letter = NULL;
        c->queue_done = 1;
    }

    ngx_scc_contribute_finish(c, ngx_scc_contribute_decide(c));
}


/* The record is durable: is it time to say so, and what? */

static ngx_int_t
ngx_scc_contribute_decide(ngx_scc_contribute_t *c)
{
    ngx_uint_t       ack;
    ngx_scc_told_t  *told;

    told = &c->ctx->told;
    ack = c->slcf->ack;

    if (told->applied) {
        told->kept = (ngx_scc_caps(&c->smcf->caps) & SCC_CAP_APPLY) != 0;

        if (ack != NGX_SCC_ACK_APPLIED || told->kept) {
            return ngx_scc_contribute_answer(c, c->wait ? NGX_HTTP_CREATED
                                                        : NGX_HTTP_ACCEPTED);
        }

        /* of a store that is not known to keep it: no 201 */

        return ngx_scc_contribute_less(c, "outcome unknown: kept in the "
                                       "journal and applied, but the store "
                                       "is not known to be durable; retry "
                                       "with the same Idempotency-Key");
    }

    if (c->dead) {
        return ngx_scc_contribute_answer(c, NGX_HTTP_ACCEPTED);
    }

    if (c->wait != 0
        && (ngx_msec_int_t) (c->wait_end - ngx_current_msec) > 0)
    {
        if (!c->poll.timer_set) {
            c->pause = NGX_SCC_POLL_MIN;
            c->ask_pause = NGX_SCC_ASK_MIN;
            c->ask_next = ngx_current_msec + c->ask_pause;

            ngx_scc_pending_hurry(c->smcf->pending);
            ngx_add_timer(&c->poll, c->pause);
        }

        return ngx_scc_contribute_until(c, c->wait_end);
    }

    if (ack == NGX_SCC_ACK_JOURNAL
        || (ack == NGX_SCC_ACK_QUEUE && told->queue))
    {
        return ngx_scc_contribute_answer(c, NGX_HTTP_ACCEPTED);
    }

    if (ack == NGX_SCC_ACK_QUEUE
        && !c->queue_done
        && (ngx_msec_int_t) (c->ack_end - ngx_current_msec) > 0)
    {
        return ngx_scc_contribute_until(c, c->ack_end);
    }

    return ngx_scc_contribute_less(c, (ack == NGX_SCC_ACK_QUEUE)
                                   ? "outcome unknown: kept in the journal, "
                                     "but the queue has not taken it for "
                                     "certain; retry with the same "
                                     "Idempotency-Key"
                                   : "outcome unknown: kept in the journal, "
                                     "but not applied in time; retry with "
                                     "the same Idempotency-Key");
}


/* Durable, but not as far as "scc_ack" asks. */

static ngx_int_t
ngx_scc_contribute_less(ngx_scc_contribute_t *c, const char *detail)
{
    if (c->slcf->ack_fallback) {
        (void) ngx_atomic_fetch_add(&c->smcf->pending->sh->stat.fallback, 1);

        return ngx_scc_contribute_answer(c, NGX_HTTP_ACCEPTED);
    }

    return ngx_scc_contribute_refuse(c, NGX_SCC_TOLD_UNKNOWN, detail);
}


ngx_int_t
ngx_scc_contribute_until(ngx_scc_contribute_t *c, ngx_msec_t end)
{
    ngx_msec_int_t  left;

    if (c->timer.timer_set) {
        ngx_del_timer(&c->timer);
    }

    left = (ngx_msec_int_t) (end - ngx_current_msec);

    ngx_add_timer(&c->timer, (ngx_msec_t) ngx_max(left, 1));

    return NGX_AGAIN;
}


static void
ngx_scc_contribute_timer(ngx_event_t *ev)
{
    ngx_int_t              rc;
    ngx_scc_contribute_t  *c;

    c = ngx_scc_event_owner(ev, ngx_scc_contribute_t, timer);

    switch (c->step) {

    case NGX_SCC_STEP_RIGHT:
    case NGX_SCC_STEP_LOOK:

        if (c->pg_call != NULL) {
            ngx_scc_pg_cancel(c->pg_call);
            c->pg_call = NULL;
        }

        rc = (c->step == NGX_SCC_STEP_RIGHT) ? ngx_scc_contribute_start(c)
                                             : ngx_scc_contribute_write(c);
        break;

    case NGX_SCC_STEP_WRITE:
        rc = ngx_scc_contribute_refuse(c, NGX_SCC_TOLD_UNKNOWN,
                                       "outcome unknown: the journal's disk "
                                       "has not answered in time; retry with "
                                       "the same Idempotency-Key");
        break;

    default: /* NGX_SCC_STEP_WAIT */
        rc = ngx_scc_contribute_decide(c);
    }

    ngx_scc_contribute_finish(c, rc);
}


/* The helper of this host tells by the zone; of another, only the ledger. */

static void
ngx_scc_contribute_poll(ngx_event_t *ev)
{
    ngx_scc_told_t           *told;
    ngx_scc_contribute_t     *c;
    ngx_scc_pending_entry_t   entry;

    c = ngx_scc_event_owner(ev, ngx_scc_contribute_t, poll);
    told = &c->ctx->told;

    if (ngx_scc_pending_find(c->smcf->pending, c->record.event_id, &entry)
        == NGX_OK
        && entry.state >= NGX_SCC_PENDING_DEAD)
    {
        if (entry.state == NGX_SCC_PENDING_APPLIED
            && (c->given || c->repeated))
        {
            /* the ledger may have another body under the client's id */

            c->ask_next = ngx_current_msec;

        } else {
            told->status = ngx_scc_told_status(entry.state);
            told->applied = (entry.state == NGX_SCC_PENDING_APPLIED);
            c->dead = !told->applied;

            ngx_scc_contribute_finish(c, ngx_scc_contribute_decide(c));
            return;
        }
    }

    if (c->pg_call == NULL
        && (ngx_msec_int_t) (c->ask_next - ngx_current_msec) <= 0)
    {
        (void) ngx_scc_contribute_ask(c);

        c->ask_pause = ngx_min(c->ask_pause * 2, NGX_SCC_ASK_MAX);
        c->ask_next = ngx_current_msec + c->ask_pause;
    }

    ngx_scc_pending_hurry(c->smcf->pending);

    c->pause = ngx_min(c->pause + c->pause / 2, NGX_SCC_POLL_MAX);

    ngx_add_timer(ev, c->pause);
}


static ngx_int_t
ngx_scc_contribute_ask(ngx_scc_contribute_t *c)
{
    u_char               text[NGX_SCC_UUID_LEN];
    scc_buf_t            b;
    ngx_str_t            id;
    ngx_scc_pg_status_t  status;

    if (!ngx_scc_pg_ready(c->smcf->pg_pool)) {
        return NGX_DECLINED;
    }

    scc_buf_fixed(&b, text, sizeof(text));
    scc_uuid_write(&b, c->record.event_id);

    id.len = b.used;
    id.data = text;

    c->pg_call = ngx_scc_pg_query(c->smcf->pg_pool, &ngx_scc_store_event,
                                  &id, ngx_scc_contribute_ledger, c,
                                  &status);

    return (c->pg_call != NULL) ? NGX_OK : NGX_DECLINED;
}


static void
ngx_scc_contribute_ledger(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_contribute_t *c = data;

    ngx_int_t  rc;

    c->pg_call = NULL;

    if (status == NGX_SCC_PG_OK && ngx_scc_store_there(result, 0)) {
        rc = ngx_scc_contribute_stored(c, result);

        if (rc != NGX_DECLINED) {
            ngx_scc_contribute_finish(c, rc);
            return;
        }
    }

    if (c->step == NGX_SCC_STEP_LOOK) {
        ngx_scc_contribute_finish(c, ngx_scc_contribute_write(c));
    }
}


static ngx_int_t
ngx_scc_contribute_stored(ngx_scc_contribute_t *c,
    ngx_scc_pg_result_t *result)
{
    u_char           hex[64];
    uint64_t         hlc;
    ngx_str_t        text, sha256, sender;
    ngx_scc_told_t  *told;

    told = &c->ctx->told;

    if (ngx_scc_pg_value(result, 0, 0, &text) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (text.len != 1 || text.data[0] != 't') {

        /* a dead letter; before the write: it may do better now */

        if (c->step != NGX_SCC_STEP_WAIT) {
            return NGX_DECLINED;
        }

        told->status = NGX_SCC_TOLD_DEAD;
        c->dead = 1;

        return ngx_scc_contribute_decide(c);
    }

    if (ngx_scc_pg_value(result, 0, 1, &sha256) != NGX_OK
        || ngx_scc_pg_value(result, 0, 2, &sender) != NGX_OK
        || ngx_scc_store_number(result, 0, 3, &hlc) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    (void) ngx_hex_dump(hex, c->record.sha256, 32);

    if (sha256.len != 64 || ngx_memcmp(sha256.data, hex, 64) != 0
        || sender.len != c->record.contributor_id.len
        || ngx_memcmp(sender.data, c->record.contributor_id.data, sender.len)
           != 0)
    {
        return ngx_scc_contribute_conflict(c);
    }

    if (c->step == NGX_SCC_STEP_LOOK) {
        c->repeated = 1;
    }

    ngx_scc_pending_raise(c->smcf->pending, c->record.event_id,
                          NGX_SCC_PENDING_APPLIED);

    told->hlc = hlc;
    told->applied = 1;
    told->status = NGX_SCC_TOLD_APPLIED;

    return ngx_scc_contribute_decide(c);
}


void
ngx_scc_contribute_finish(ngx_scc_contribute_t *c, ngx_int_t rc)
{
    if (rc == NGX_AGAIN) {
        return;
    }

    ngx_scc_contribute_stop(c);
    ngx_scc_finish(c->ctx, rc);
}


static void
ngx_scc_contribute_stop(ngx_scc_contribute_t *c)
{
    c->waiting = 0;

    if (c->timer.timer_set) {
        ngx_del_timer(&c->timer);
    }

    if (c->poll.timer_set) {
        ngx_del_timer(&c->poll);
    }

    if (c->letter != NULL) {
        ngx_scc_forward_leave(c->letter);
        c->letter = NULL;
    }

    if (c->pg_call != NULL) {
        ngx_scc_pg_cancel(c->pg_call);
        c->pg_call = NULL;
    }
}


/* A client who left: the record goes its way all the same. */

static void
ngx_scc_contribute_cleanup(void *data)
{
    ngx_scc_contribute_t *c = data;

    if (c->waiting) {
        (void) ngx_atomic_fetch_add(&c->smcf->pending->sh->stat.left, 1);
    }

    ngx_scc_contribute_stop(c);
}
