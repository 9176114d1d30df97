
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_scc_backoff.h"
#include "ngx_scc_forget.h"
#include "ngx_scc_store.h"


/*
 * A round: ask the store whose pages were forgotten since a horizon, remove
 * them.  The horizon is that of a snapshot as old as the grace: so each page
 * is removed in every round until the last worker that may have read it
 * before the erasure has written it, and once more.
 */

#define NGX_SCC_FORGET_KEYS      100        /* in a command */
#define NGX_SCC_FORGET_KEY       (sizeof("scc:p::") - 1 + NGX_INT_T_LEN       \
                                  + SCC_ID_MAX)
#define NGX_SCC_FORGET_IDENTITY  128


typedef struct {
    u_char                 text[NGX_INT64_LEN];     /* transaction id */
    size_t                 len;
} ngx_scc_forget_xid_t;


struct ngx_scc_forget_s {
    ngx_scc_cache_t       *cache;
    ngx_msec_t             interval;
    ngx_msec_t             grace;
    ngx_event_t            timer;
    ngx_connection_t       dumb;            /* for the timer's debug log */

    ngx_scc_forget_xid_t   since;
    ngx_scc_forget_xid_t   next;            /* since, when the grace is over */
    ngx_msec_t             seen;            /* when next was */
    u_char                 identity[NGX_SCC_FORGET_IDENTITY];
    size_t                 identity_len;
    ngx_uint_t             incarnation;     /* of Redis */

    /* the round */
    ngx_scc_forget_xid_t   horizon;
    ngx_msec_t             asked;
    ngx_pool_t            *pool;
    ngx_str_t             *keys;
    ngx_uint_t             n;
    ngx_uint_t             answers;         /* to come */
    unsigned               failed:1;
};


static void ngx_scc_forget_timer(ngx_event_t *ev);
static void ngx_scc_forget_from_start(ngx_scc_forget_t *f);
static void ngx_scc_forget_rows(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_forget_take(ngx_scc_forget_t *f,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_forget_key(ngx_scc_forget_t *f, ngx_str_t *id);
static void ngx_scc_forget_identified(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static void ngx_scc_forget_send(ngx_scc_forget_t *f);
static void ngx_scc_forget_gone(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_forget_end(ngx_scc_forget_t *f);


ngx_scc_forget_t *
ngx_scc_forget_create(ngx_cycle_t *cycle, ngx_scc_cache_t *cache,
    ngx_msec_t interval, ngx_msec_t grace)
{
    ngx_scc_forget_t  *f;

    f = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_forget_t));
    if (f == NULL) {
        return NULL;
    }

    f->cache = cache;
    f->interval = interval;
    f->grace = grace;

    f->dumb.fd = (ngx_socket_t) -1;
    f->timer.data = &f->dumb;
    f->timer.log = cycle->log;
    f->timer.handler = ngx_scc_forget_timer;
    f->timer.cancelable = 1;

    ngx_scc_forget_from_start(f);

    ngx_add_timer(&f->timer, 1);

    return f;
}


static void
ngx_scc_forget_timer(ngx_event_t *ev)
{
    ngx_str_t             since;
    ngx_uint_t            incarnation;
    ngx_scc_forget_t     *f;
    ngx_scc_pg_status_t   status;

    f = ngx_scc_event_owner(ev, ngx_scc_forget_t, timer);

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    /* another Redis may hold pages of any age */

    incarnation = ngx_scc_redis_incarnation(f->cache->redis);

    if (incarnation != f->incarnation) {
        f->incarnation = incarnation;
        ngx_scc_forget_from_start(f);
    }

    f->asked = ngx_current_msec;

    since.len = f->since.len;
    since.data = f->since.text;

    if (incarnation == 0
        || !ngx_scc_redis_ready(f->cache->redis)
        || ngx_scc_pg_query(f->cache->pg, &ngx_scc_store_forgotten, &since,
                            ngx_scc_forget_rows, f, &status)
           == NULL)
    {
        ngx_add_timer(&f->timer, f->interval);
    }
}


static void
ngx_scc_forget_from_start(ngx_scc_forget_t *f)
{
    f->since.text[0] = '0';
    f->since.len = 1;
    f->next.len = 0;
}


static void
ngx_scc_forget_rows(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_forget_t *f = data;

    ngx_str_t   identity;

    f->n = 0;
    f->failed = 0;

    if (status != NGX_SCC_PG_OK
        || ngx_scc_forget_take(f, result) != NGX_OK)
    {
        f->failed = 1;
        ngx_scc_forget_end(f);
        return;
    }

    if (f->n == 0) {
        ngx_scc_forget_end(f);
        return;
    }

    /* copies of another store may be all that is left of it */

    identity.len = f->identity_len;
    identity.data = f->identity;

    if (ngx_scc_cache_identify(f->cache, &identity,
                               ngx_scc_forget_identified, f)
        == NULL)
    {
        f->failed = 1;
        ngx_scc_forget_end(f);
    }
}


static ngx_int_t
ngx_scc_forget_take(ngx_scc_forget_t *f, ngx_scc_pg_result_t *result)
{
    u_char      buf[NGX_SCC_GUARD_IDENTITY];
    ngx_str_t   identity, horizon, id, text;
    ngx_uint_t  i, rows;

    rows = ngx_scc_pg_rows(result);

    if (rows == 0
        || ngx_scc_pg_value(result, 0, 0, &identity) != NGX_OK
        || ngx_scc_pg_value(result, 0, 1, &horizon) != NGX_OK
        || identity.len > NGX_SCC_FORGET_IDENTITY
        || horizon.len > NGX_INT64_LEN)
    {
        return NGX_ERROR;
    }

    identity = *ngx_scc_guard_identity(f->cache->guard, &identity, &text,
                                       buf);

    if (identity.len != f->identity_len
        || ngx_memcmp(identity.data, f->identity, identity.len) != 0)
    {
        /* transaction ids of another store say nothing about this one's */

        ngx_memcpy(f->identity, identity.data, identity.len);
        f->identity_len = identity.len;

        if (f->since.len != 1 || f->since.text[0] != '0') {
            ngx_scc_forget_from_start(f);
            return NGX_ERROR;
        }
    }

    ngx_memcpy(f->horizon.text, horizon.data, horizon.len);
    f->horizon.len = horizon.len;

    if (ngx_scc_pg_value(result, 0, 2, &id) != NGX_OK) {
        return NGX_OK;
    }

    f->pool = ngx_create_pool(4096, f->timer.log);
    if (f->pool == NULL) {
        return NGX_ERROR;
    }

    f->keys = ngx_palloc(f->pool, rows * sizeof(ngx_str_t));
    if (f->keys == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < rows; i++) {

        if (ngx_scc_pg_value(result, i, 2, &id) != NGX_OK
            || id.len > SCC_ID_MAX)
        {
            continue;
        }

        if (ngx_scc_forget_key(f, &id) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_scc_forget_key(ngx_scc_forget_t *f, ngx_str_t *id)
{
    u_char  *p;

    p = ngx_pnalloc(f->pool, NGX_SCC_FORGET_KEY);
    if (p == NULL) {
        return NGX_ERROR;
    }

    f->keys[f->n].data = p;
    f->keys[f->n].len = ngx_sprintf(p, "scc:p:%ui:%V",
                                    f->cache->conf->generation, id) - p;
    f->n++;

    return NGX_OK;
}


static void
ngx_scc_forget_identified(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_forget_t *f = data;

    ngx_str_t  text;

    if (status != NGX_SCC_REDIS_OK
        || ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR)
    {
        f->failed = 1;

    } else if (ngx_scc_reply_type(reply) == NGX_SCC_REPLY_STRING) {

        text = ngx_scc_reply_str(reply);

        f->failed = text.len != f->identity_len
                    || ngx_memcmp(text.data, f->identity, text.len) != 0;
    }

    if (f->failed) {
        ngx_scc_forget_end(f);
        return;
    }

    ngx_scc_forget_send(f);
}


static void
ngx_scc_forget_send(ngx_scc_forget_t *f)
{
    ngx_str_t   argv[NGX_SCC_FORGET_KEYS + 1];
    ngx_uint_t  i, n;

    ngx_str_set(&argv[0], "DEL");
    f->answers = 0;

    for (i = 0; i < f->n; i += n) {
        n = ngx_min(f->n - i, NGX_SCC_FORGET_KEYS);

        ngx_memcpy(&argv[1], &f->keys[i], n * sizeof(ngx_str_t));

        if (ngx_scc_redis_command(f->cache->redis, n + 1, argv, 0,
                                  ngx_scc_forget_gone, f)
            == NULL)
        {
            f->failed = 1;
            break;
        }

        f->answers++;
    }

    if (f->answers == 0) {
        ngx_scc_forget_end(f);
    }
}


static void
ngx_scc_forget_gone(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_forget_t *f = data;

    if (status != NGX_SCC_REDIS_OK
        || ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR)
    {
        f->failed = 1;
    }

    if (--f->answers == 0) {
        ngx_scc_forget_end(f);
    }
}


static void
ngx_scc_forget_end(ngx_scc_forget_t *f)
{
    if (f->pool != NULL) {
        ngx_destroy_pool(f->pool);
        f->pool = NULL;
    }

    if (!f->failed
        && ngx_scc_redis_incarnation(f->cache->redis) == f->incarnation)
    {
        if (f->next.len != 0 && f->asked - f->seen >= f->grace) {
            f->since = f->next;
            f->next.len = 0;
        }

        if (f->next.len == 0) {
            f->next = f->horizon;
            f->seen = f->asked;
        }
    }

    ngx_add_timer(&f->timer, f->interval);
}
