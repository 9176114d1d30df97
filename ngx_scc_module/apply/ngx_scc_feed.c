
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_scc_feed.h"
#include "ngx_scc_store.h"


/*
 * A round: ask the store for the cells changed since the last round's
 * snapshot, send each one's version to Redis, and only when Redis has taken
 * all of them vouch for its copies for a while, and let the next round begin
 * at this snapshot.  So every change is sent at least once, however a round
 * ends, and copies are believed only while rounds succeed.
 */

#define NGX_SCC_FEED_WINDOW    256
#define NGX_SCC_FEED_SOON      50       /* ms, while Redis is away */
#define NGX_SCC_FEED_IDENTITY  128


typedef struct {
    uint32_t               cell;
    uint64_t               ver;
} ngx_scc_feed_change_t;


struct ngx_scc_feed_s {
    ngx_scc_cache_t       *cache;
    ngx_msec_t             interval;
    ngx_event_t            timer;
    ngx_connection_t       dumb;            /* for the timer's debug log */

    u_char                 since[NGX_INT64_LEN];    /* transaction id */
    size_t                 since_len;
    u_char                 identity[NGX_SCC_FEED_IDENTITY];
    size_t                 identity_len;
    ngx_uint_t             incarnation;     /* of Redis, last told all */

    /* the round */
    u_char                 next[NGX_INT64_LEN];
    size_t                 next_len;
    ngx_scc_feed_change_t *changes;
    ngx_uint_t             n;
    ngx_uint_t             sent;
    ngx_uint_t             answered;
    unsigned               failed:1;
    unsigned               down:1;          /* said so in the log */
    unsigned               foreign:1;       /* so too: the cache is not
                                               this store's */
};


static void ngx_scc_feed_timer(ngx_event_t *ev);
static void ngx_scc_feed_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_feed_take(ngx_scc_feed_t *feed,
    ngx_scc_pg_result_t *result);
static void ngx_scc_feed_identify(ngx_scc_feed_t *feed);
static void ngx_scc_feed_identified(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static void ngx_scc_feed_send(ngx_scc_feed_t *feed);
static void ngx_scc_feed_answer(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_feed_vouched(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_feed_end(ngx_scc_feed_t *feed);
static void ngx_scc_feed_from_start(ngx_scc_feed_t *feed);


ngx_scc_feed_t *
ngx_scc_feed_create(ngx_cycle_t *cycle, ngx_scc_cache_t *cache,
    ngx_msec_t interval)
{
    ngx_scc_feed_t  *feed;

    feed = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_feed_t));
    if (feed == NULL) {
        return NULL;
    }

    feed->cache = cache;
    feed->interval = interval;

    feed->dumb.fd = (ngx_socket_t) -1;
    feed->timer.data = &feed->dumb;
    feed->timer.log = cycle->log;
    feed->timer.handler = ngx_scc_feed_timer;
    feed->timer.cancelable = 1;

    ngx_scc_feed_from_start(feed);

    ngx_add_timer(&feed->timer, 1);

    return feed;
}


static void
ngx_scc_feed_timer(ngx_event_t *ev)
{
    ngx_connection_t *dumb = ev->data;

    ngx_str_t             since;
    ngx_uint_t            incarnation;
    ngx_scc_feed_t       *feed;
    ngx_scc_pg_status_t   status;

    feed = (ngx_scc_feed_t *)
               ((u_char *) dumb - offsetof(ngx_scc_feed_t, dumb));

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    /* another Redis, or the same restarted, may hold copies of any age */

    incarnation = ngx_scc_redis_incarnation(feed->cache->redis);

    if (incarnation != feed->incarnation) {
        feed->incarnation = incarnation;
        ngx_scc_feed_from_start(feed);
    }

    if (incarnation == 0 || !ngx_scc_redis_ready(feed->cache->redis)) {
        ngx_add_timer(&feed->timer, NGX_SCC_FEED_SOON);
        return;
    }

    since.len = feed->since_len;
    since.data = feed->since;

    if (ngx_scc_pg_query(feed->cache->pg, &ngx_scc_store_changed, &since,
                         ngx_scc_feed_handler, feed, &status)
        == NULL)
    {
        ngx_add_timer(&feed->timer, feed->interval);
    }
}


static void
ngx_scc_feed_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_feed_t *feed = data;

    feed->n = 0;
    feed->sent = 0;
    feed->answered = 0;
    feed->failed = 0;

    if (status != NGX_SCC_PG_OK) {

        if (!feed->down) {
            feed->down = 1;
            ngx_log_error(NGX_LOG_ERR, feed->timer.log, 0,
                          "scc: the store does not say what has changed "
                          "(%s); copies in the cache may be old until it "
                          "does", (status == NGX_SCC_PG_FAILED)
                                  ? ngx_scc_pg_sqlstate(result)
                                  : "no answer");
        }

        feed->failed = 1;

    } else if (ngx_scc_feed_take(feed, result) != NGX_OK) {
        feed->n = 0;
        feed->failed = 1;

    } else if (feed->down) {
        feed->down = 0;
        ngx_log_error(NGX_LOG_NOTICE, feed->timer.log, 0,
                      "scc: the store says again what has changed");
    }

    ngx_scc_feed_identify(feed);
}


static ngx_int_t
ngx_scc_feed_take(ngx_scc_feed_t *feed, ngx_scc_pg_result_t *result)
{
    uint64_t     cell, ver;
    ngx_str_t    identity, next, text;
    ngx_uint_t   i, rows;

    rows = ngx_scc_pg_rows(result);

    if (rows == 0
        || ngx_scc_pg_value(result, 0, 0, &identity) != NGX_OK
        || ngx_scc_pg_value(result, 0, 1, &next) != NGX_OK
        || identity.len > NGX_SCC_FEED_IDENTITY
        || next.len > NGX_INT64_LEN)
    {
        ngx_log_error(NGX_LOG_ERR, feed->timer.log, 0,
                      "scc: the store has no identity; run \"sccctl init\"");
        return NGX_ERROR;
    }

    if (identity.len != feed->identity_len
        || ngx_memcmp(identity.data, feed->identity, identity.len) != 0)
    {
        /* transaction ids of another store say nothing about this one's */

        ngx_memcpy(feed->identity, identity.data, identity.len);
        feed->identity_len = identity.len;

        if (feed->since_len != 1 || feed->since[0] != '0') {
            ngx_scc_feed_from_start(feed);
            return NGX_ERROR;
        }
    }

    feed->changes = ngx_alloc(rows * sizeof(ngx_scc_feed_change_t),
                              feed->timer.log);
    if (feed->changes == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < rows; i++) {

        if (ngx_scc_pg_value(result, i, 2, &text) != NGX_OK) {
            continue;
        }

        if (ngx_scc_store_number(result, i, 2, &cell) != NGX_OK
            || ngx_scc_store_number(result, i, 3, &ver) != NGX_OK)
        {
            return NGX_ERROR;
        }

        feed->changes[feed->n].cell = (uint32_t) cell;
        feed->changes[feed->n].ver = ver;
        feed->n++;
    }

    ngx_memcpy(feed->next, next.data, next.len);
    feed->next_len = next.len;

    return NGX_OK;
}


/*
 * Versions compare only within one store.  Copies of another one are not
 * touched, since it may come back, and not vouched for: a person decides.
 */

static void
ngx_scc_feed_identify(ngx_scc_feed_t *feed)
{
    ngx_str_t  identity;

    identity.len = feed->identity_len;
    identity.data = feed->identity;

    if (feed->failed
        || ngx_scc_cache_identify(feed->cache, &identity,
                                  ngx_scc_feed_identified, feed)
           == NULL)
    {
        feed->failed = 1;
        ngx_scc_feed_end(feed);
    }
}


static void
ngx_scc_feed_identified(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_feed_t *feed = data;

    ngx_str_t    text;
    ngx_uint_t   foreign;

    foreign = 0;

    if (status != NGX_SCC_REDIS_OK
        || ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR)
    {
        feed->failed = 1;

    } else if (ngx_scc_reply_type(reply) == NGX_SCC_REPLY_STRING) {

        text = ngx_scc_reply_str(reply);

        foreign = text.len != feed->identity_len
                  || ngx_memcmp(text.data, feed->identity, text.len) != 0;

        if (foreign && !feed->foreign) {
            ngx_log_error(NGX_LOG_CRIT, feed->timer.log, 0,
                          "scc: the cache holds copies of store \"%V\", but "
                          "the store is \"%*s\": they are not used; if the "
                          "store was changed on purpose, raise "
                          "\"scc_cache_generation\" on all hosts, else look "
                          "for the right store", &text,
                          feed->identity_len, feed->identity);
        }
    }

    feed->foreign = foreign;

    if (foreign) {
        feed->failed = 1;

        if (ngx_scc_cache_disown(feed->cache, ngx_scc_feed_vouched, feed)
            != NULL)
        {
            return;
        }
    }

    if (feed->failed) {
        ngx_scc_feed_end(feed);
        return;
    }

    ngx_scc_feed_send(feed);
}


static void
ngx_scc_feed_send(ngx_scc_feed_t *feed)
{
    ngx_scc_feed_change_t  *change;

    while (!feed->failed
           && feed->sent < feed->n
           && feed->sent - feed->answered < NGX_SCC_FEED_WINDOW)
    {
        change = &feed->changes[feed->sent];

        if (ngx_scc_cache_change(feed->cache, change->cell, change->ver,
                                 ngx_scc_feed_answer, feed)
            == NULL)
        {
            feed->failed = 1;
            break;
        }

        feed->sent++;
    }

    if (feed->answered != feed->sent
        || (!feed->failed && feed->sent != feed->n))
    {
        return;
    }

    /* a life of a few rounds: one may be late, not two */

    if (feed->failed
        || ngx_scc_redis_incarnation(feed->cache->redis)
           != feed->incarnation
        || ngx_scc_cache_vouch(feed->cache, 3 * feed->interval + 1000,
                               ngx_scc_feed_vouched, feed)
           == NULL)
    {
        feed->failed = 1;
        ngx_scc_feed_end(feed);
    }
}


static void
ngx_scc_feed_answer(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_feed_t *feed = data;

    ngx_str_t       text;

    feed->answered++;

    if (status != NGX_SCC_REDIS_OK) {
        feed->failed = 1;

    } else if (ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR) {

        if (!feed->failed) {
            text = ngx_scc_reply_str(reply);
            ngx_log_error(NGX_LOG_ERR, feed->timer.log, 0,
                          "scc: redis did not take a changed cell: \"%V\"; "
                          "trying again", &text);
        }

        feed->failed = 1;
    }

    ngx_scc_feed_send(feed);
}


static void
ngx_scc_feed_vouched(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_feed_t *feed = data;

    if (status != NGX_SCC_REDIS_OK
        || ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR)
    {
        feed->failed = 1;
    }

    ngx_scc_feed_end(feed);
}


static void
ngx_scc_feed_end(ngx_scc_feed_t *feed)
{
    if (!feed->failed) {
        ngx_memcpy(feed->since, feed->next, feed->next_len);
        feed->since_len = feed->next_len;
    }

    if (feed->changes != NULL) {
        ngx_free(feed->changes);
        feed->changes = NULL;
    }

    if (!feed->timer.timer_set) {
        ngx_add_timer(&feed->timer, feed->interval);
    }
}


static void
ngx_scc_feed_from_start(ngx_scc_feed_t *feed)
{
    feed->since[0] = '0';
    feed->since_len = 1;
}
