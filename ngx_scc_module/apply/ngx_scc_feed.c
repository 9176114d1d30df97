
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_scc_backoff.h"
#include "ngx_scc_feed.h"
#include "ngx_scc_store.h"
#include "ngx_scc_sweep.h"


/*
 * A round: ask the store for the cells changed since the last round's
 * snapshot; tell Redis each one's version; when Redis has taken all, tell
 * the zone, and vouch for its copies, and for those of Redis, for a while.
 * So every change is told at least once, however a round ends, and copies
 * are believed only while rounds succeed.
 *
 * Redis and the zone each have a horizon of their own.  While Redis cannot
 * be told, or is being told of everything, the zone goes on from the store
 * alone, and nothing that was read from Redis enters it (cache/README.md).
 */

#define NGX_SCC_FEED_WINDOW    256
#define NGX_SCC_FEED_SOON      50       /* ms, while Redis is away */
#define NGX_SCC_FEED_GRACE     1000     /* ms that the zone's copies are
                                           believed past a missed round */
#define NGX_SCC_FEED_REAP      1000     /* ms between looks for the dead */
#define NGX_SCC_FEED_IDENTITY  128
#define NGX_SCC_FEED_UUID      36


/* What Redis is told: the changes of a round. */

typedef struct {
    ngx_scc_zone_change_t *changes;
    ngx_uint_t             n;
    ngx_uint_t             sent;
    ngx_uint_t             answered;
    uint64_t               next;
    ngx_scc_zone_round_t   round;
    unsigned               active:1;
    unsigned               failed:1;
    unsigned               first:1;         /* the zone waits for it */
} ngx_scc_feed_tell_t;


struct ngx_scc_feed_s {
    ngx_scc_cache_t       *cache;
    ngx_msec_t             interval;
    ngx_event_t            timer;
    ngx_connection_t       dumb;            /* for the timer's debug log */

    uint64_t               since;           /* Redis's horizon */
    u_char                 identity[NGX_SCC_FEED_IDENTITY];
    size_t                 identity_len;
    ngx_uint_t             incarnation;     /* of Redis, last told all */

    /* the round */
    ngx_scc_zone_round_t   round;
    ngx_scc_zone_change_t *changes;
    ngx_uint_t             n;
    uint64_t               next;
    unsigned               telling:1;       /* Redis is to be told of it */

    ngx_scc_feed_tell_t    tell;

    ngx_scc_sweep_t       *sweep;           /* of an earlier epoch's copies */

    ngx_msec_t             reaped;
    unsigned               down:1;          /* said so in the log */
    unsigned               foreign:1;       /* so too: the cache is not
                                               this store's */
};


static void ngx_scc_feed_timer(ngx_event_t *ev);
static ngx_uint_t ngx_scc_feed_redis(ngx_scc_feed_t *feed);
static void ngx_scc_feed_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_feed_take(ngx_scc_feed_t *feed,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_feed_store(ngx_scc_feed_t *feed,
    ngx_str_t *identity);
static void ngx_scc_feed_zone(ngx_scc_feed_t *feed,
    ngx_scc_zone_round_t *round, ngx_scc_zone_change_t *changes,
    ngx_uint_t n, uint64_t next, ngx_uint_t told);
static void ngx_scc_feed_tell(ngx_scc_feed_t *feed);
static void ngx_scc_feed_identified(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static ngx_uint_t ngx_scc_feed_later(ngx_scc_feed_t *feed, ngx_str_t *text);
static ngx_int_t ngx_scc_feed_age(ngx_str_t *identity, uint64_t *age);
static void ngx_scc_feed_swept(void *data, ngx_int_t rc);
static void ngx_scc_feed_send(ngx_scc_feed_t *feed);
static void ngx_scc_feed_answer(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_feed_vouched(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_feed_told(ngx_scc_feed_t *feed);
static void ngx_scc_feed_again(ngx_scc_feed_t *feed);


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

    feed->sweep = ngx_scc_sweep_create(cycle, cache, ngx_scc_feed_swept,
                                       feed);
    if (feed->sweep == NULL) {
        return NULL;
    }

    feed->dumb.fd = (ngx_socket_t) -1;
    feed->timer.data = &feed->dumb;
    feed->timer.log = cycle->log;
    feed->timer.handler = ngx_scc_feed_timer;
    feed->timer.cancelable = 1;

    ngx_add_timer(&feed->timer, 1);

    return feed;
}


static void
ngx_scc_feed_timer(ngx_event_t *ev)
{
    u_char                buf[NGX_INT64_LEN];
    uint64_t              since;
    ngx_str_t             text;
    ngx_scc_feed_t       *feed;
    ngx_scc_zone_t       *zone;
    ngx_scc_pg_status_t   status;

    feed = ngx_scc_event_owner(ev, ngx_scc_feed_t, timer);

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    zone = feed->cache->zone;
    feed->telling = ngx_scc_feed_redis(feed);

    if (zone == NULL) {

        if (!feed->telling) {
            ngx_add_timer(ev, NGX_SCC_FEED_SOON);
            return;
        }

        since = feed->since;

    } else {

        if (ngx_current_msec - feed->reaped >= NGX_SCC_FEED_REAP) {
            feed->reaped = ngx_current_msec;
            ngx_scc_zone_reap(zone);
        }

        ngx_scc_zone_round(zone, &feed->round);

        since = feed->round.since;

        if (feed->telling) {
            since = ngx_min(since, feed->since);
        }
    }

    text.data = buf;
    text.len = ngx_sprintf(buf, "%uL", since) - buf;

    if (ngx_scc_pg_query(feed->cache->pg, &ngx_scc_store_changed, &text,
                         ngx_scc_feed_handler, feed, &status)
        == NULL)
    {
        ngx_scc_feed_again(feed);
    }
}


/* True if Redis can be told of this round. */

static ngx_uint_t
ngx_scc_feed_redis(ngx_scc_feed_t *feed)
{
    ngx_uint_t             incarnation;
    ngx_scc_redis_pool_t  *redis;

    redis = feed->cache->redis;

    if (redis == NULL) {
        return 0;
    }

    /* another Redis, or the same restarted, may hold copies of any age */

    incarnation = ngx_scc_redis_incarnation(redis);

    if (incarnation != feed->incarnation) {
        feed->incarnation = incarnation;
        feed->since = 0;

        if (feed->cache->zone != NULL) {
            ngx_scc_zone_untold(feed->cache->zone);
        }
    }

    return !feed->tell.active && incarnation != 0
           && ngx_scc_redis_ready(redis);
}


static void
ngx_scc_feed_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_feed_t *feed = data;

    ngx_scc_feed_tell_t  *tell;

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

        ngx_scc_feed_again(feed);
        return;
    }

    if (ngx_scc_feed_take(feed, result) != NGX_OK) {
        ngx_scc_feed_again(feed);
        return;
    }

    if (feed->down) {
        feed->down = 0;
        ngx_log_error(NGX_LOG_NOTICE, feed->timer.log, 0,
                      "scc: the store says again what has changed");
    }

    tell = &feed->tell;

    if (feed->telling) {
        tell->changes = feed->changes;
        tell->n = feed->n;
        tell->next = feed->next;
        tell->round = feed->round;
        tell->sent = 0;
        tell->answered = 0;
        tell->failed = 0;
        tell->active = 1;
        tell->first = (feed->cache->zone == NULL || feed->round.told);

        feed->changes = NULL;

        /* what is read from Redis may enter the zone only while Redis is
           told first; else the zone need not wait */

        if (!tell->first) {
            ngx_scc_feed_zone(feed, &tell->round, tell->changes, tell->n,
                              tell->next, 0);
            ngx_scc_feed_again(feed);
        }

        ngx_scc_feed_tell(feed);
        return;
    }

    ngx_scc_feed_zone(feed, &feed->round, feed->changes, feed->n, feed->next,
                      0);

    ngx_free(feed->changes);
    feed->changes = NULL;

    ngx_scc_feed_again(feed);
}


static ngx_int_t
ngx_scc_feed_take(ngx_scc_feed_t *feed, ngx_scc_pg_result_t *result)
{
    u_char       buf[NGX_SCC_GUARD_IDENTITY];
    uint64_t     cell;
    ngx_str_t    identity, text;
    ngx_uint_t   i, rows;

    rows = ngx_scc_pg_rows(result);

    if (rows == 0
        || ngx_scc_pg_value(result, 0, 0, &identity) != NGX_OK
        || ngx_scc_store_number(result, 0, 1, &feed->next) != NGX_OK
        || identity.len > NGX_SCC_FEED_IDENTITY)
    {
        ngx_log_error(NGX_LOG_ERR, feed->timer.log, 0,
                      "scc: the store has no identity; run \"sccctl init\"");
        return NGX_ERROR;
    }

    identity = *ngx_scc_guard_identity(feed->cache->guard, &identity, &text,
                                       buf);

    if (ngx_scc_feed_store(feed, &identity) != NGX_OK) {
        return NGX_DECLINED;
    }

    feed->n = 0;
    feed->changes = ngx_alloc(rows * sizeof(ngx_scc_zone_change_t),
                              feed->timer.log);
    if (feed->changes == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < rows; i++) {

        if (ngx_scc_pg_value(result, i, 2, &text) != NGX_OK) {
            continue;
        }

        if (ngx_scc_store_number(result, i, 2, &cell) != NGX_OK
            || ngx_scc_store_number(result, i, 3, &feed->changes[feed->n].ver)
               != NGX_OK)
        {
            ngx_free(feed->changes);
            feed->changes = NULL;
            return NGX_ERROR;
        }

        feed->changes[feed->n++].cell = (uint32_t) cell;
    }

    return NGX_OK;
}


/*
 * Transaction ids and versions of another store say nothing about this
 * one's: what was asked from the other's horizon is asked again.
 */

static ngx_int_t
ngx_scc_feed_store(ngx_scc_feed_t *feed, ngx_str_t *identity)
{
    ngx_int_t  rc;

    rc = NGX_OK;

    if (identity->len != feed->identity_len
        || ngx_memcmp(identity->data, feed->identity, identity->len) != 0)
    {
        ngx_memcpy(feed->identity, identity->data, identity->len);
        feed->identity_len = identity->len;

        if (feed->since != 0) {
            feed->since = 0;
            rc = NGX_DECLINED;
        }

        feed->tell.failed = 1;
    }

    if (feed->cache->zone != NULL
        && ngx_scc_zone_identify(feed->cache->zone, &feed->round, identity)
           != NGX_OK)
    {
        rc = NGX_DECLINED;
    }

    return rc;
}


/*
 * Copies are believed for as long as the next round may take and a second
 * more, counted from before the store was asked.
 */

static void
ngx_scc_feed_zone(ngx_scc_feed_t *feed, ngx_scc_zone_round_t *round,
    ngx_scc_zone_change_t *changes, ngx_uint_t n, uint64_t next,
    ngx_uint_t told)
{
    ngx_scc_zone_t  *zone;

    zone = feed->cache->zone;

    if (zone != NULL) {
        ngx_scc_zone_change(zone, round, changes, n, told);
        ngx_scc_zone_vouch(zone, round, next,
                           feed->interval + NGX_SCC_FEED_GRACE);
    }
}


/*
 * Versions compare only within one store.  Copies of another one are not
 * touched, since it may come back, and not vouched for: a person decides.
 */

static void
ngx_scc_feed_tell(ngx_scc_feed_t *feed)
{
    ngx_str_t  identity;

    identity.len = feed->identity_len;
    identity.data = feed->identity;

    if (ngx_scc_cache_identify(feed->cache, &identity,
                               ngx_scc_feed_identified, feed)
        == NULL)
    {
        feed->tell.failed = 1;
        ngx_scc_feed_told(feed);
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
        feed->tell.failed = 1;

    } else if (ngx_scc_reply_type(reply) == NGX_SCC_REPLY_STRING) {

        text = ngx_scc_reply_str(reply);

        foreign = text.len != feed->identity_len
                  || ngx_memcmp(text.data, feed->identity, text.len) != 0;

        if (foreign && ngx_scc_feed_later(feed, &text)) {

            /* goes on with the rounds */

            if (ngx_scc_sweep(feed->sweep, NGX_SCC_SWEEP_REMOVE) == NGX_OK) {
                ngx_log_error(NGX_LOG_NOTICE, feed->timer.log, 0,
                              "scc: the cache holds copies of an earlier "
                              "state of this store, \"%V\": they are being "
                              "removed", &text);
            }

        } else if (foreign && !feed->foreign) {
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
        feed->tell.failed = 1;

        if (ngx_scc_cache_disown(feed->cache, ngx_scc_feed_vouched, feed)
            != NULL)
        {
            return;
        }
    }

    if (feed->tell.failed) {
        ngx_scc_feed_told(feed);
        return;
    }

    ngx_scc_feed_send(feed);
}


/*
 * The same store, adopted or replayed since: its versions have begun anew,
 * and what is left of it in the cache would never be replaced.
 */

static ngx_uint_t
ngx_scc_feed_later(ngx_scc_feed_t *feed, ngx_str_t *text)
{
    uint64_t   then, now;
    ngx_str_t  identity;

    identity.len = feed->identity_len;
    identity.data = feed->identity;

    return feed->cache->guard != NULL
           && ngx_scc_guard_state(feed->cache->guard) == SCC_GUARD_HEALTHY
           && text->len > NGX_SCC_FEED_UUID
           && identity.len > NGX_SCC_FEED_UUID
           && ngx_memcmp(text->data, identity.data, NGX_SCC_FEED_UUID) == 0
           && ngx_scc_feed_age(text, &then) == NGX_OK
           && ngx_scc_feed_age(&identity, &now) == NGX_OK
           && now > then;
}


/* "uuid/epoch/system[/life]": epoch, then life. */

static ngx_int_t
ngx_scc_feed_age(ngx_str_t *identity, uint64_t *age)
{
    u_char     *p, *end, *slash;
    ngx_int_t   epoch, life;

    p = identity->data + NGX_SCC_FEED_UUID;
    end = identity->data + identity->len;

    if (*p++ != '/') {
        return NGX_ERROR;
    }

    slash = ngx_strlchr(p, end, '/');

    if (slash == NULL) {
        return NGX_ERROR;
    }

    epoch = ngx_atoi(p, slash - p);
    slash = ngx_strlchr(slash + 1, end, '/');
    life = (slash != NULL) ? ngx_atoi(slash + 1, end - slash - 1) : 0;

    if (epoch == NGX_ERROR || life == NGX_ERROR) {
        return NGX_ERROR;
    }

    *age = (uint64_t) epoch << 32 | (uint32_t) life;

    return NGX_OK;
}


static void
ngx_scc_feed_swept(void *data, ngx_int_t rc)
{
    ngx_scc_feed_t *feed = data;

    ngx_str_t  identity;

    identity.len = feed->identity_len;
    identity.data = feed->identity;

    /* what could not be done is begun again by the next round */

    if (rc == NGX_OK
        && (feed->cache->guard == NULL
            || ngx_scc_guard_open(feed->cache->guard)))
    {
        (void) ngx_scc_cache_own(feed->cache, &identity,
                                 ngx_scc_redis_ignore, NULL);
    }
}


static void
ngx_scc_feed_send(ngx_scc_feed_t *feed)
{
    ngx_scc_feed_tell_t    *tell;
    ngx_scc_zone_change_t  *change;

    tell = &feed->tell;

    while (!tell->failed
           && tell->sent < tell->n
           && tell->sent - tell->answered < NGX_SCC_FEED_WINDOW)
    {
        change = &tell->changes[tell->sent];

        if (ngx_scc_cache_change(feed->cache, change->cell, change->ver,
                                 ngx_scc_feed_answer, feed)
            == NULL)
        {
            tell->failed = 1;
            break;
        }

        tell->sent++;
    }

    if (tell->answered != tell->sent
        || (!tell->failed && tell->sent != tell->n))
    {
        return;
    }

    /* a life of a few rounds: one may be late, not two */

    if (tell->failed
        || ngx_scc_redis_incarnation(feed->cache->redis)
           != feed->incarnation
        || ngx_scc_cache_vouch(feed->cache, 3 * feed->interval + 1000,
                               ngx_scc_feed_vouched, feed)
           == NULL)
    {
        tell->failed = 1;
        ngx_scc_feed_told(feed);
    }
}


static void
ngx_scc_feed_answer(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_feed_t *feed = data;

    ngx_str_t       text;

    feed->tell.answered++;

    if (status != NGX_SCC_REDIS_OK) {
        feed->tell.failed = 1;

    } else if (ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR) {

        if (!feed->tell.failed) {
            text = ngx_scc_reply_str(reply);
            ngx_log_error(NGX_LOG_ERR, feed->timer.log, 0,
                          "scc: redis did not take a changed cell: \"%V\"; "
                          "trying again", &text);
        }

        feed->tell.failed = 1;
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
        feed->tell.failed = 1;
    }

    ngx_scc_feed_told(feed);
}


/* Redis has taken all of it, or not. */

static void
ngx_scc_feed_told(ngx_scc_feed_t *feed)
{
    ngx_scc_feed_tell_t  *tell;

    tell = &feed->tell;

    if (!tell->failed) {
        feed->since = tell->next;
    }

    if (tell->first) {
        ngx_scc_feed_zone(feed, &tell->round, tell->changes, tell->n,
                          tell->next, !tell->failed);
        ngx_scc_feed_again(feed);

    } else if (!tell->failed) {
        ngx_scc_zone_told(feed->cache->zone, &tell->round);
    }

    ngx_free(tell->changes);

    tell->changes = NULL;
    tell->active = 0;
}


static void
ngx_scc_feed_again(ngx_scc_feed_t *feed)
{
    if (!feed->timer.timer_set) {
        ngx_add_timer(&feed->timer, feed->interval);
    }
}
