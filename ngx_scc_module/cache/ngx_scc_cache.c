
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_cache.h"

#include <sys/random.h>


typedef struct {
    ngx_scc_zone_t          *zone;
    ngx_uint_t               n;
    ngx_scc_zone_entry_t    *entries[1];
} ngx_scc_cells_hold_t;


static ngx_int_t ngx_scc_cells_zone(ngx_scc_cells_t *job);
static void ngx_scc_cells_zone_again(ngx_scc_cells_t *job);
static void ngx_scc_cells_unhold(void *data);
static ngx_int_t ngx_scc_cells_mget(ngx_scc_cells_t *job);
static ngx_uint_t ngx_scc_cells_vouched(ngx_scc_cells_t *job,
    ngx_scc_redis_reply_t *element);
static ngx_int_t ngx_scc_cells_take(ngx_scc_cells_t *job, ngx_uint_t i,
    ngx_scc_redis_reply_t *element, ngx_uint_t vouched);
static void ngx_scc_cells_discard(ngx_scc_cells_t *job, ngx_uint_t i);
static void ngx_scc_cells_mget_handler(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static ngx_int_t ngx_scc_cells_keep(ngx_scc_cells_t *job,
    ngx_scc_redis_reply_t *reply);
static ngx_int_t ngx_scc_cells_miss(ngx_scc_cells_t *job);
static ngx_int_t ngx_scc_cells_result(ngx_scc_cells_t *job);
static ngx_int_t ngx_scc_cells_old(ngx_scc_cells_t *job, ngx_uint_t i);
static ngx_int_t ngx_scc_cells_copy(ngx_pool_t *pool, ngx_str_t *bytes,
    scc_str_t *copy);


ngx_scc_cache_t *
ngx_scc_cache_create(ngx_cycle_t *cycle, ngx_scc_cache_conf_t *conf,
    ngx_scc_redis_pool_t *redis, ngx_scc_pg_pool_t *pg)
{
    ngx_scc_cache_t  *cache;

    cache = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_cache_t));
    if (cache == NULL) {
        return NULL;
    }

    cache->conf = conf;
    cache->redis = redis;
    cache->pg = pg;
    cache->log = cycle->log;

    if (getrandom(&cache->token, sizeof(cache->token), 0)
        != sizeof(cache->token))
    {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "scc: getrandom() failed");
        return NULL;
    }

    ngx_rbtree_init(&cache->flights, &cache->sentinel,
                    ngx_rbtree_insert_value);
    ngx_rbtree_init(&cache->renewals, &cache->sentinel,
                    ngx_rbtree_insert_value);

    scc_blob_builder_init(&cache->builder);

    ngx_scc_lease_init(cache);

    if (redis != NULL && ngx_scc_lease_register(cache) != NGX_OK) {
        return NULL;
    }

    if (conf->zone != NULL) {

        switch (ngx_scc_zone_join(conf->zone, cycle->log)) {

        case NGX_OK:
            cache->zone = conf->zone;
            break;

        case NGX_ERROR:
            return NULL;
        }
    }

    return cache;
}


void
ngx_scc_cache_destroy(ngx_scc_cache_t *cache)
{
    if (cache->zone != NULL) {
        ngx_scc_zone_leave(cache->zone);
        cache->zone = NULL;
    }

    scc_blob_builder_free(&cache->builder);
}


ngx_int_t
ngx_scc_cells_get(ngx_scc_cells_t *job)
{
    ngx_uint_t  i;

    job->cells = ngx_pcalloc(job->pool, job->n * sizeof(scc_view_cell_t));
    job->known = ngx_pcalloc(job->pool, job->n * sizeof(ngx_scc_cell_t));
    job->have = ngx_pcalloc(job->pool, job->n);

    if (job->cells == NULL || job->known == NULL || job->have == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < job->n; i++) {
        job->cells[i].key = job->keys[i];
    }

    if (job->cache->zone != NULL) {

        if (ngx_scc_cells_zone(job) != NGX_OK) {
            return NGX_ERROR;
        }

        if (job->hits == job->n) {
            return NGX_OK;
        }
    }

    if (job->cache->redis != NULL
        && ngx_scc_redis_ready(job->cache->redis)
        && ngx_scc_cells_mget(job) == NGX_OK)
    {
        return NGX_AGAIN;
    }

    job->bypass = 1;

    return ngx_scc_cells_miss(job);
}


void
ngx_scc_cells_cancel(ngx_scc_cells_t *job)
{
    ngx_uint_t  i;

    if (job->call != NULL) {
        ngx_scc_redis_cancel(job->call);
        job->call = NULL;
    }

    if (job->items != NULL) {

        for (i = 0; i < job->n; i++) {
            if (job->items[i].entry != NULL) {
                ngx_scc_zone_unpin(job->cache->zone, job->items[i].entry);
                job->items[i].entry = NULL;
            }
        }

        job->items = NULL;
    }

    if (job->waits == NULL) {
        return;
    }

    for (i = 0; i < job->n; i++) {
        if (job->waits[i].waiting) {
            ngx_scc_fill_leave(&job->waits[i]);
        }

        if (job->waits[i].fill != NULL) {
            ngx_scc_fill_unpin(job->waits[i].fill);
            job->waits[i].fill = NULL;
        }
    }

    job->waits = NULL;
}


ngx_int_t
ngx_scc_cells_hold(ngx_scc_cells_t *job, ngx_pool_t *pool)
{
    size_t                 size;
    ngx_uint_t             i;
    ngx_pool_cleanup_t    *cln;
    ngx_scc_cells_hold_t  *hold;

    if (job->zone == 0 || job->items == NULL) {
        return NGX_OK;
    }

    size = sizeof(ngx_scc_cells_hold_t)
           + job->zone * sizeof(ngx_scc_zone_entry_t *);

    cln = ngx_pool_cleanup_add(pool, size);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    hold = cln->data;
    hold->zone = job->cache->zone;
    hold->n = 0;

    for (i = 0; i < job->n; i++) {

        if (job->known[i].from == NGX_SCC_FROM_ZONE
            && job->items[i].entry != NULL)
        {
            hold->entries[hold->n++] = job->items[i].entry;
            job->items[i].entry = NULL;
        }
    }

    cln->handler = ngx_scc_cells_unhold;

    return NGX_OK;
}


void
ngx_scc_cells_gzip(ngx_scc_cells_t *job, ngx_uint_t i,
    const scc_gzip_slice_t *slice)
{
    if (job->known[i].from == NGX_SCC_FROM_ZONE
        && job->items != NULL && job->items[i].entry != NULL)
    {
        ngx_scc_zone_put_gzip(job->cache->zone, job->items[i].entry, slice);
    }
}


u_char *
ngx_scc_cache_key(ngx_scc_cache_t *cache, u_char *p, uint32_t key)
{
    return ngx_sprintf(p, "scc:c:%ui:%uD:%uD", cache->conf->generation,
                       scc_cell_key_x(key), scc_cell_key_y(key));
}


ngx_scc_redis_call_t *
ngx_scc_cache_vouch(ngx_scc_cache_t *cache, ngx_msec_t life,
    ngx_scc_redis_handler_pt handler, void *data)
{
    u_char     key[NGX_SCC_CACHE_KEY_LEN], msec[NGX_INT64_LEN];
    ngx_str_t  argv[5];

    ngx_str_set(&argv[0], "SET");
    argv[1].data = key;
    argv[1].len = ngx_scc_cache_vouch_key(cache, key) - key;
    argv[2] = ngx_scc_redis_run_id(cache->redis);
    ngx_str_set(&argv[3], "PX");
    argv[4].data = msec;
    argv[4].len = ngx_sprintf(msec, "%M", life) - msec;

    return ngx_scc_redis_command(cache->redis, 5, argv, 0, handler, data);
}


ngx_scc_redis_call_t *
ngx_scc_cache_disown(ngx_scc_cache_t *cache,
    ngx_scc_redis_handler_pt handler, void *data)
{
    u_char     key[NGX_SCC_CACHE_KEY_LEN];
    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "DEL");
    argv[1].data = key;
    argv[1].len = ngx_scc_cache_vouch_key(cache, key) - key;

    return ngx_scc_redis_command(cache->redis, 2, argv, 0, handler, data);
}


ngx_scc_redis_call_t *
ngx_scc_cache_identify(ngx_scc_cache_t *cache, ngx_str_t *identity,
    ngx_scc_redis_handler_pt handler, void *data)
{
    u_char     key[NGX_SCC_CACHE_KEY_LEN];
    ngx_str_t  argv[5];

    ngx_str_set(&argv[0], "SET");
    argv[1].data = key;
    argv[1].len = ngx_sprintf(key, "scc:i:%ui", cache->conf->generation)
                  - key;
    argv[2] = *identity;
    ngx_str_set(&argv[3], "NX");
    ngx_str_set(&argv[4], "GET");

    return ngx_scc_redis_command(cache->redis, 5, argv, 0, handler, data);
}


ngx_scc_redis_call_t *
ngx_scc_cache_own(ngx_scc_cache_t *cache, ngx_str_t *identity,
    ngx_scc_redis_handler_pt handler, void *data)
{
    u_char     key[NGX_SCC_CACHE_KEY_LEN];
    ngx_str_t  argv[3];

    ngx_str_set(&argv[0], "SET");
    argv[1].data = key;
    argv[1].len = ngx_sprintf(key, "scc:i:%ui", cache->conf->generation)
                  - key;
    argv[2] = *identity;

    return ngx_scc_redis_command(cache->redis, 3, argv, 0, handler, data);
}


u_char *
ngx_scc_cache_ttl(ngx_scc_cache_t *cache, u_char *p)
{
    uint64_t  msec;

    /* entries that were filled together must not expire together */

    msec = (uint64_t) cache->conf->ttl * 800;
    msec += (uint64_t) ngx_random() % ((uint64_t) cache->conf->ttl * 400 + 1);

    return ngx_sprintf(p, "%uL", msec);
}


void
ngx_scc_cells_deliver(ngx_scc_wait_t *wait, const scc_blob_t *blob,
    ngx_scc_zone_entry_t *entry, ngx_scc_from_t from)
{
    ngx_int_t             rc;
    ngx_scc_cells_t      *job;
    ngx_scc_zone_item_t  *item;

    job = wait->job;

    if (blob == NULL) {
        job->failed++;

    } else {
        job->cells[wait->i].blob = *blob;
        job->known[wait->i].from = from;
        job->have[wait->i] = 1;

        if (from == NGX_SCC_FROM_STORE) {
            job->filled++;

        } else {
            job->hits++;
        }

        if (entry != NULL) {
            item = &job->items[wait->i];

            ngx_scc_zone_pin(job->cache->zone, entry);

            if (item->entry != NULL) {
                ngx_scc_zone_unpin(job->cache->zone, item->entry);
            }

            item->entry = entry;
            job->known[wait->i].gzip = ngx_scc_zone_gzip(entry);
            job->zone++;
        }
    }

    if (--job->waiting != 0) {
        return;
    }

    rc = ngx_scc_cells_result(job);

    job->handler(job, rc);
}


/*
 * What the zone has is pinned: what is fresh for the answer, what is old in
 * case that nobody knows better.  A copy that became old while it was
 * vouched for may be shown until that was to end anyway: so a crowd need not
 * wait for the one who brings the new one.  Nor need he, if the store said it
 * so lately that it is no older than any answer may be.
 */

static ngx_int_t
ngx_scc_cells_zone(ngx_scc_cells_t *job)
{
    ngx_uint_t            i, fresh;
    ngx_scc_zone_item_t  *item;

    fresh = 0;

    job->items = ngx_palloc(job->pool, job->n * sizeof(ngx_scc_zone_item_t));
    if (job->items == NULL) {
        return NGX_ERROR;
    }

    ngx_scc_zone_get(job->cache->zone, job->keys, job->n, &job->note,
                     job->items);

    for (i = 0; i < job->n; i++) {
        item = &job->items[i];

        fresh += item->fresh;

        if (!item->fresh && job->version) {
            continue;
        }

        if (item->fresh || item->young || (item->bearable && item->claimed))
        {
            job->cells[i].blob = *ngx_scc_zone_blob(item->entry);
            job->known[i].from = NGX_SCC_FROM_ZONE;
            job->known[i].gzip = ngx_scc_zone_gzip(item->entry);
            job->have[i] = 1;
            job->hits++;
            job->zone++;
        }
    }

    if (fresh == job->n) {
        job->moves = job->note.moves;
    }

    job->young = job->hits - fresh;

    if (job->young != 0) {
        ngx_scc_fill_behind(job);
    }

    return NGX_OK;
}


/*
 * Redis's answer may have waited behind those of a crowd, while another job
 * brought what it lacks.
 */

static void
ngx_scc_cells_zone_again(ngx_scc_cells_t *job)
{
    ngx_uint_t            i;
    ngx_scc_zone_item_t   item;
    ngx_scc_zone_note_t   note;

    if (job->items == NULL) {
        return;
    }

    for (i = 0; i < job->n; i++) {

        if (job->have[i]) {
            continue;
        }

        ngx_scc_zone_get(job->cache->zone, &job->keys[i], 1, &note, &item);

        if (!item.fresh) {

            if (item.entry != NULL) {
                ngx_scc_zone_unpin(job->cache->zone, item.entry);
            }

            continue;
        }

        if (job->items[i].entry != NULL) {
            ngx_scc_zone_unpin(job->cache->zone, job->items[i].entry);
        }

        job->items[i].entry = item.entry;

        job->cells[i].blob = *ngx_scc_zone_blob(item.entry);
        job->known[i].from = NGX_SCC_FROM_ZONE;
        job->known[i].gzip = ngx_scc_zone_gzip(item.entry);
        job->have[i] = 1;
        job->hits++;
        job->zone++;
    }
}


static void
ngx_scc_cells_unhold(void *data)
{
    ngx_scc_cells_hold_t *hold = data;

    ngx_uint_t  i;

    for (i = 0; i < hold->n; i++) {
        ngx_scc_zone_unpin(hold->zone, hold->entries[i]);
    }
}


static ngx_int_t
ngx_scc_cells_mget(ngx_scc_cells_t *job)
{
    u_char      *p;
    ngx_str_t   *argv;
    ngx_uint_t   i, n;

    n = job->n - job->hits;

    argv = ngx_palloc(job->pool, (n + 2) * sizeof(ngx_str_t));
    p = ngx_pnalloc(job->pool, (n + 1) * NGX_SCC_CACHE_KEY_LEN);

    if (argv == NULL || p == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "MGET");

    argv[1].data = p;
    p = ngx_scc_cache_vouch_key(job->cache, p);
    argv[1].len = p - argv[1].data;

    n = 2;

    for (i = 0; i < job->n; i++) {
        if (job->have[i]) {
            continue;
        }

        argv[n].data = p;
        p = ngx_scc_cache_key(job->cache, p, job->keys[i]);
        argv[n].len = p - argv[n].data;
        n++;
    }

    job->asked = n - 2;

    job->call = ngx_scc_redis_command(job->cache->redis, n, argv, 0,
                                      ngx_scc_cells_mget_handler, job);

    return (job->call != NULL) ? NGX_OK : NGX_DECLINED;
}


static void
ngx_scc_cells_mget_handler(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_cells_t *job = data;

    ngx_int_t               rc;
    ngx_str_t               text;
    ngx_uint_t              i, n, vouched;
    ngx_scc_redis_reply_t  *element;

    job->call = NULL;

    if (status != NGX_SCC_REDIS_OK
        || ngx_scc_reply_type(reply) != NGX_SCC_REPLY_ARRAY
        || ngx_scc_reply_elements(reply) != job->asked + 1)
    {
        if (status == NGX_SCC_REDIS_OK
            && ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR)
        {
            text = ngx_scc_reply_str(reply);
            ngx_log_error(NGX_LOG_WARN, job->log, 0,
                          "scc: redis refused to read cells: \"%V\"; "
                          "reading from the store", &text);
        }

        ngx_scc_cells_zone_again(job);

        if (job->hits == job->n) {
            job->handler(job, NGX_OK);
            return;
        }

        job->bypass = 1;
        goto miss;
    }

    vouched = ngx_scc_cells_vouched(job, ngx_scc_reply_element(reply, 0));

    n = 1;

    for (i = 0; i < job->n; i++) {
        if (job->have[i]) {
            continue;
        }

        element = ngx_scc_reply_element(reply, n++);

        if (ngx_scc_cells_take(job, i, element, vouched) == NGX_OK) {
            job->known[i].from = NGX_SCC_FROM_REDIS;
            job->have[i] = 1;
            job->hits++;
        }
    }

    if (job->hits < job->n) {

        /* before the zone is asked: cells from there count as not asked for */

        if (ngx_scc_cells_keep(job, reply) != NGX_OK) {
            job->handler(job, NGX_ERROR);
            return;
        }

        ngx_scc_cells_zone_again(job);
    }

    if (job->hits == job->n) {
        job->handler(job, NGX_OK);
        return;
    }

    job->unvouched = !vouched;

miss:

    rc = ngx_scc_cells_miss(job);

    if (rc != NGX_AGAIN) {
        job->handler(job, rc);
    }
}


/*
 * A voucher holds for the server it was given to: one that was restored
 * from a file does not bring copies of any age back to life.
 */

static ngx_uint_t
ngx_scc_cells_vouched(ngx_scc_cells_t *job, ngx_scc_redis_reply_t *element)
{
    ngx_str_t  id, voucher;

    if (ngx_scc_reply_type(element) != NGX_SCC_REPLY_STRING) {
        return 0;
    }

    id = ngx_scc_redis_run_id(job->cache->redis);
    voucher = ngx_scc_reply_str(element);

    return voucher.len == id.len
           && ngx_memcmp(voucher.data, id.data, id.len) == 0;
}


/* NGX_OK: a copy to be believed; NGX_DECLINED: none, or an old one, kept. */

static ngx_int_t
ngx_scc_cells_take(ngx_scc_cells_t *job, ngx_uint_t i,
    ngx_scc_redis_reply_t *element, ngx_uint_t vouched)
{
    ngx_str_t    bytes;
    scc_str_t    s;
    scc_blob_t  *blob;

    if (ngx_scc_reply_type(element) != NGX_SCC_REPLY_STRING) {
        return NGX_DECLINED;
    }

    bytes = ngx_scc_reply_str(element);

    s.len = bytes.len;
    s.data = bytes.data;

    blob = &job->cells[i].blob;

    if (scc_blob_open(s, blob) != SCC_OK) {
        ngx_scc_cells_discard(job, i);
        return NGX_DECLINED;
    }

    if (!blob->body) {
        return NGX_DECLINED;
    }

    /* an entry with a body was a VAL and has been told of all changes since */

    if (job->version && vouched && blob->state != SCC_BLOB_VAL) {
        blob->ver = blob->floor;
        return NGX_OK;
    }

    if (blob->state == SCC_BLOB_VAL && vouched) {

        if (job->items != NULL) {
            ngx_scc_zone_put(job->cache->zone, job->keys[i], &job->note,
                             job->items[i].gen, 1, s, blob);
        }

        return NGX_OK;
    }

    if (job->old == NULL) {
        job->old = ngx_pcalloc(job->pool, job->n * sizeof(scc_str_t));
        if (job->old == NULL) {
            return NGX_DECLINED;
        }
    }

    (void) ngx_scc_cells_copy(job->pool, &bytes, &job->old[i]);

    return NGX_DECLINED;
}


/* A damaged entry would be in the way of every fill: its header may be
   whole.  Losing an entry is always safe. */

static void
ngx_scc_cells_discard(ngx_scc_cells_t *job, ngx_uint_t i)
{
    u_char     buf[NGX_SCC_CACHE_KEY_LEN];
    ngx_str_t  argv[2];

    ngx_str_set(&argv[0], "DEL");

    argv[1].data = buf;
    argv[1].len = ngx_scc_cache_key(job->cache, buf, job->keys[i]) - buf;

    ngx_log_error(NGX_LOG_WARN, job->log, 0,
                  "scc: the copy of a cell in redis is damaged and removed: "
                  "%V", &argv[1]);

    (void) ngx_scc_redis_command(job->cache->redis, 2, argv, 0,
                                 ngx_scc_redis_ignore, NULL);
}


/* The reply goes away before the job is done: its cells move to the pool. */

static ngx_int_t
ngx_scc_cells_keep(ngx_scc_cells_t *job, ngx_scc_redis_reply_t *reply)
{
    ngx_str_t   bytes;
    scc_str_t   copy;
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < job->n; i++) {

        if (job->known[i].from == NGX_SCC_FROM_ZONE) {
            continue;
        }

        n++;

        if (!job->have[i]) {
            continue;
        }

        bytes = ngx_scc_reply_str(ngx_scc_reply_element(reply, n));

        if (ngx_scc_cells_copy(job->pool, &bytes, &copy) != NGX_OK
            || scc_blob_open(copy, &job->cells[i].blob) != SCC_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_scc_cells_miss(ngx_scc_cells_t *job)
{
    job->waits = ngx_pcalloc(job->pool, job->n * sizeof(ngx_scc_wait_t));
    if (job->waits == NULL) {
        return NGX_ERROR;
    }

    ngx_scc_fill_cells(job);

    return (job->waiting != 0) ? NGX_AGAIN : ngx_scc_cells_result(job);
}


/* All that could come has come: old copies stand in for what failed. */

static ngx_int_t
ngx_scc_cells_result(ngx_scc_cells_t *job)
{
    ngx_uint_t  i;

    if (job->failed == 0) {
        return NGX_OK;
    }

    for (i = 0; i < job->n; i++) {
        if (job->have[i]) {
            continue;
        }

        if (ngx_scc_cells_old(job, i) != NGX_OK) {
            return NGX_ERROR;
        }

        job->known[i].stale = 1;
        job->have[i] = 1;
        job->stale++;
    }

    if (job->items != NULL) {
        ngx_scc_zone_stale(job->cache->zone, job->stale);
    }

    return NGX_OK;
}


/* The newer of the two copies that there may be. */

static ngx_int_t
ngx_scc_cells_old(ngx_scc_cells_t *job, ngx_uint_t i)
{
    scc_blob_t            *blob;
    const scc_blob_t      *kept;
    ngx_scc_zone_entry_t  *entry;

    blob = &job->cells[i].blob;
    entry = (job->items != NULL) ? job->items[i].entry : NULL;

    if (job->old != NULL && job->old[i].data != NULL
        && scc_blob_open(job->old[i], blob) == SCC_OK)
    {
        job->known[i].from = NGX_SCC_FROM_REDIS;

    } else if (entry == NULL) {
        return NGX_ERROR;
    }

    if (entry != NULL) {
        kept = ngx_scc_zone_blob(entry);

        if (job->known[i].from == NGX_SCC_FROM_NONE || kept->ver > blob->ver)
        {
            *blob = *kept;
            job->known[i].from = NGX_SCC_FROM_ZONE;
            job->known[i].gzip = ngx_scc_zone_gzip(entry);
            job->zone++;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_scc_cells_copy(ngx_pool_t *pool, ngx_str_t *bytes, scc_str_t *copy)
{
    u_char  *p;

    p = ngx_pnalloc(pool, bytes->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, bytes->data, bytes->len);

    copy->len = bytes->len;
    copy->data = p;

    return NGX_OK;
}


u_char *
ngx_scc_cache_vouch_key(ngx_scc_cache_t *cache, u_char *p)
{
    return ngx_sprintf(p, "scc:v:%ui", cache->conf->generation);
}
