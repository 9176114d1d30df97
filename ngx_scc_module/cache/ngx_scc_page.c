
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_backoff.h"
#include "ngx_scc_page.h"
#include "ngx_scc_store.h"


#define NGX_SCC_PAGE_POLL  50           /* ms, for a revision that was asked */
#define NGX_SCC_PAGE_WAIT  1000         /* ms, in all */


/* A page that is read for the next who asks. */

typedef struct {
    ngx_rbtree_node_t       node;           /* must be first; key: of the id */
    ngx_scc_page_t          job;            /* on a pool of its own */
} ngx_scc_page_renewal_t;


static ngx_int_t ngx_scc_page_key(ngx_scc_page_t *job);
static void ngx_scc_page_get_handler(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static ngx_int_t ngx_scc_page_copy(ngx_scc_page_t *job, ngx_str_t *bytes);
static ngx_int_t ngx_scc_page_check(ngx_scc_page_t *job);
static void ngx_scc_page_cells_handler(ngx_scc_cells_t *cells,
    ngx_int_t rc);
static ngx_int_t ngx_scc_page_judge(ngx_scc_page_t *job, ngx_int_t rc);
static ngx_uint_t ngx_scc_page_young(ngx_scc_page_t *job);
static void ngx_scc_page_renew(ngx_scc_page_t *job);
static void ngx_scc_page_renewed(ngx_scc_page_t *job, ngx_int_t rc);
static ngx_int_t ngx_scc_page_read(ngx_scc_page_t *job);
static void ngx_scc_page_read_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_page_wait(ngx_scc_page_t *job);
static void ngx_scc_page_timer(ngx_event_t *ev);
static ngx_int_t ngx_scc_page_old(ngx_scc_page_t *job);
static void ngx_scc_page_store(ngx_scc_page_t *job);


ngx_int_t
ngx_scc_page_get(ngx_scc_page_t *job)
{
    ngx_str_t  argv[2];

    if (job->cache->redis != NULL
        && ngx_scc_redis_ready(job->cache->redis)
        && ngx_scc_page_key(job) == NGX_OK)
    {
        ngx_str_set(&argv[0], "GET");
        argv[1] = job->key;

        job->redis_call = ngx_scc_redis_command(job->cache->redis, 2, argv,
                                                0, ngx_scc_page_get_handler,
                                                job);
        if (job->redis_call != NULL) {
            return NGX_AGAIN;
        }
    }

    job->bypass = 1;

    return ngx_scc_page_read(job);
}


void
ngx_scc_page_cancel(ngx_scc_page_t *job)
{
    if (job->redis_call != NULL) {
        ngx_scc_redis_cancel(job->redis_call);
        job->redis_call = NULL;
    }

    if (job->pg_call != NULL) {
        ngx_scc_pg_cancel(job->pg_call);
        job->pg_call = NULL;
    }

    if (job->timer.timer_set) {
        ngx_del_timer(&job->timer);
    }

    ngx_scc_cells_cancel(&job->cells);
}


static ngx_int_t
ngx_scc_page_key(ngx_scc_page_t *job)
{
    size_t   size;
    u_char  *p;

    size = sizeof("scc:p::") + NGX_INT_T_LEN + job->id.len;

    p = ngx_pnalloc(job->pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    job->key.data = p;

    p = ngx_sprintf(p, "scc:p:%ui:", job->cache->conf->generation);
    p = ngx_cpymem(p, job->id.data, job->id.len);

    job->key.len = p - job->key.data;

    return NGX_OK;
}


static void
ngx_scc_page_get_handler(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_page_t *job = data;

    ngx_int_t       rc;
    ngx_str_t       bytes;

    job->redis_call = NULL;

    if (status != NGX_SCC_REDIS_OK
        || ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR)
    {
        job->bypass = (status != NGX_SCC_REDIS_OK);

    } else if (ngx_scc_reply_type(reply) == NGX_SCC_REPLY_STRING) {

        bytes = ngx_scc_reply_str(reply);

        if (ngx_scc_page_copy(job, &bytes) == NGX_OK) {
            job->copy = 1;
        }
    }

    rc = job->copy ? ngx_scc_page_check(job) : ngx_scc_page_read(job);

    if (rc != NGX_AGAIN) {
        job->handler(job, rc);
    }
}


static ngx_int_t
ngx_scc_page_copy(ngx_scc_page_t *job, ngx_str_t *bytes)
{
    u_char     *p;
    scc_str_t   s;

    p = ngx_pnalloc(job->pool, bytes->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, bytes->data, bytes->len);

    s.len = bytes->len;
    s.data = p;

    return (scc_page_open(s, &job->page) == SCC_OK) ? NGX_OK : NGX_DECLINED;
}


static ngx_int_t
ngx_scc_page_check(ngx_scc_page_t *job)
{
    ngx_int_t         rc;
    ngx_scc_cells_t  *cells;

    job->cell = job->page.cell;

    cells = &job->cells;

    cells->cache = job->cache;
    cells->pool = job->pool;
    cells->log = job->log;
    cells->keys = &job->cell;
    cells->n = 1;
    cells->handler = ngx_scc_page_cells_handler;
    cells->data = job;
    cells->version = 1;

    rc = ngx_scc_cells_get(cells);

    return (rc == NGX_AGAIN) ? NGX_AGAIN : ngx_scc_page_judge(job, rc);
}


static void
ngx_scc_page_cells_handler(ngx_scc_cells_t *cells, ngx_int_t rc)
{
    ngx_scc_page_t *job = cells->data;

    rc = ngx_scc_page_judge(job, rc);

    if (rc != NGX_AGAIN) {
        job->handler(job, rc);
    }
}


static ngx_int_t
ngx_scc_page_judge(ngx_scc_page_t *job, ngx_int_t rc)
{
    if (rc != NGX_OK || job->cells.stale != 0) {
        return ngx_scc_page_old(job);
    }

    if (job->page.rev < job->rev_min) {
        return ngx_scc_page_read(job);
    }

    if (job->cells.cells[0].blob.ver != job->page.ver) {

        if (!ngx_scc_page_young(job)) {
            return ngx_scc_page_read(job);
        }

        job->young = 1;
        ngx_scc_page_renew(job);
    }

    job->json = job->page.json;
    job->rev = job->page.rev;
    job->hit = 1;

    return NGX_OK;
}


static ngx_uint_t
ngx_scc_page_young(ngx_scc_page_t *job)
{
    return job->cache->zone != NULL
           && ngx_scc_zone_young(job->cache->zone, job->page.clock,
                                 job->page.taken);
}


/* At most one of a page in a process; of two with the same hash the other
   one's turn comes when it is asked for again. */

static void
ngx_scc_page_renew(ngx_scc_page_t *job)
{
    u_char                  *p;
    uint32_t                 hash;
    ngx_pool_t              *pool;
    ngx_scc_cache_t         *cache;
    ngx_rbtree_node_t       *node;
    ngx_scc_page_renewal_t  *renewal;

    cache = job->cache;
    hash = ngx_murmur_hash2((u_char *) job->id.data, job->id.len);

    node = cache->renewals.root;

    while (node != &cache->sentinel) {

        if (hash == node->key) {
            return;
        }

        node = (hash < node->key) ? node->left : node->right;
    }

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, cache->log);
    if (pool == NULL) {
        return;
    }

    renewal = ngx_pcalloc(pool, sizeof(ngx_scc_page_renewal_t));
    p = ngx_pnalloc(pool, job->id.len + job->key.len);

    if (renewal == NULL || p == NULL) {
        ngx_destroy_pool(pool);
        return;
    }

    renewal->job.cache = cache;
    renewal->job.pool = pool;
    renewal->job.log = cache->log;
    renewal->job.handler = ngx_scc_page_renewed;
    renewal->job.data = renewal;

    renewal->job.id.data = p;
    renewal->job.id.len = job->id.len;
    p = ngx_cpymem(p, job->id.data, job->id.len);

    renewal->job.key.data = p;
    renewal->job.key.len = job->key.len;
    ngx_memcpy(p, job->key.data, job->key.len);

    renewal->node.key = hash;
    ngx_rbtree_insert(&cache->renewals, &renewal->node);

    if (ngx_scc_page_read(&renewal->job) != NGX_AGAIN) {
        ngx_scc_page_renewed(&renewal->job, NGX_ERROR);
    }
}


static void
ngx_scc_page_renewed(ngx_scc_page_t *job, ngx_int_t rc)
{
    ngx_scc_page_renewal_t *renewal = job->data;

    ngx_rbtree_delete(&job->cache->renewals, &renewal->node);
    ngx_destroy_pool(job->pool);
}


static ngx_int_t
ngx_scc_page_read(ngx_scc_page_t *job)
{
    ngx_str_t            id;
    ngx_scc_pg_status_t  status;

    id.len = job->id.len;
    id.data = (u_char *) job->id.data;

    if (job->cache->zone != NULL) {
        job->clock = ngx_scc_zone_clock(job->cache->zone);
        job->taken = ngx_scc_zone_now();
    }

    job->pg_call = ngx_scc_pg_query(job->cache->pg, &ngx_scc_store_page, &id,
                                    ngx_scc_page_read_handler, job, &status);

    return (job->pg_call != NULL) ? NGX_AGAIN : ngx_scc_page_old(job);
}


static void
ngx_scc_page_read_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_page_t *job = data;

    uint64_t        cell, rev;
    ngx_str_t       text;

    job->pg_call = NULL;

    if (status != NGX_SCC_PG_OK) {
        if (status == NGX_SCC_PG_FAILED) {
            ngx_log_error(NGX_LOG_ERR, job->log, 0,
                          "scc: the store refused to read a place, SQLSTATE "
                          "%s; see the store's log",
                          ngx_scc_pg_sqlstate(result));
        }

        job->handler(job, ngx_scc_page_old(job));
        return;
    }

    if (ngx_scc_pg_value(result, 0, 2, &text) != NGX_OK) {

        if (ngx_scc_store_true(result, 4)) {
            ngx_log_error(NGX_LOG_ERR, job->log, 0,
                          "scc: the store has lost a place that its ledger "
                          "knows; it is not said to be gone; see \"sccctl "
                          "verify\"");

            ngx_scc_guard_doubt(job->cache->guard, 0);
            job->handler(job, ngx_scc_page_old(job));
            return;
        }

        if (job->rev_min == 0 || ngx_scc_page_wait(job) != NGX_AGAIN) {
            job->handler(job, NGX_DECLINED);
        }

        return;
    }

    if (ngx_scc_store_number(result, 0, 3, &rev) == NGX_OK
        && rev < job->rev_min
        && ngx_scc_page_wait(job) == NGX_AGAIN)
    {
        return;
    }

    if (ngx_scc_store_number(result, 0, 0, &cell) != NGX_OK
        || ngx_scc_store_number(result, 0, 1, &job->page.ver) != NGX_OK
        || ngx_scc_store_number(result, 0, 3, &job->page.rev) != NGX_OK)
    {
        job->handler(job, ngx_scc_page_old(job));
        return;
    }

    job->page.cell = (uint32_t) cell;
    job->page.clock = job->clock;
    job->page.taken = job->taken;
    job->page.json.len = text.len;
    job->page.json.data = text.data;
    job->json = job->page.json;
    job->rev = job->page.rev;

    if (job->key.data != NULL && !job->bypass) {
        ngx_scc_page_store(job);
    }

    job->handler(job, NGX_OK);
}


/* NGX_AGAIN: the store is asked again in a moment. */

static ngx_int_t
ngx_scc_page_wait(ngx_scc_page_t *job)
{
    if (!job->asking) {
        job->dumb = ngx_pcalloc(job->pool, sizeof(ngx_connection_t));
        if (job->dumb == NULL) {
            return NGX_ERROR;
        }

        job->asking = 1;
        job->asked = ngx_current_msec;

        job->dumb->fd = (ngx_socket_t) -1;
        job->timer.data = job->dumb;
        job->timer.log = job->log;
        job->timer.handler = ngx_scc_page_timer;

    } else if (ngx_current_msec - job->asked >= NGX_SCC_PAGE_WAIT) {
        return NGX_DONE;
    }

    ngx_add_timer(&job->timer, NGX_SCC_PAGE_POLL);

    return NGX_AGAIN;
}


static void
ngx_scc_page_timer(ngx_event_t *ev)
{
    ngx_int_t        rc;
    ngx_scc_page_t  *job;

    job = ngx_scc_event_owner(ev, ngx_scc_page_t, timer);

    rc = ngx_scc_page_read(job);

    if (rc != NGX_AGAIN) {
        job->handler(job, rc);
    }
}


static ngx_int_t
ngx_scc_page_old(ngx_scc_page_t *job)
{
    if (!job->copy) {
        return NGX_ERROR;
    }

    job->json = job->page.json;
    job->rev = job->page.rev;
    job->stale = 1;

    return NGX_OK;
}


static void
ngx_scc_page_store(ngx_scc_page_t *job)
{
    u_char     *p, ttl[NGX_INT64_LEN];
    size_t      size;
    scc_buf_t   b;
    ngx_str_t   argv[5];

    size = SCC_PAGE_HEADER + job->page.json.len;

    p = ngx_pnalloc(job->pool, size);
    if (p == NULL) {
        return;
    }

    scc_buf_fixed(&b, p, size);
    scc_page_write(&b, &job->page);

    if (b.error) {
        return;
    }

    ngx_str_set(&argv[0], "SET");
    argv[1] = job->key;
    argv[2].len = b.used;
    argv[2].data = p;
    ngx_str_set(&argv[3], "PX");
    argv[4].data = ttl;
    argv[4].len = ngx_scc_cache_ttl(job->cache, ttl) - ttl;

    (void) ngx_scc_redis_command(job->cache->redis, 5, argv, 0,
                                 ngx_scc_redis_ignore, NULL);
}
