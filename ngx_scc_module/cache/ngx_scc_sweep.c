
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_sweep.h"


#define NGX_SCC_SWEEP_COUNT  "500"      /* keys that SCAN looks at */
#define NGX_SCC_SWEEP_KEYS   2000       /* most that it may find, at once */


struct ngx_scc_sweep_s {
    ngx_scc_cache_t        *cache;
    ngx_scc_sweep_pt        handler;
    void                   *data;
    ngx_scc_sweep_what_t    what;
    ngx_uint_t              active;
    u_char                  cursor[NGX_INT64_LEN];
    size_t                  cursor_len;
};


static ngx_int_t ngx_scc_sweep_scan(ngx_scc_sweep_t *sweep);
static void ngx_scc_sweep_found(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);
static ngx_int_t ngx_scc_sweep_keys(ngx_scc_sweep_t *sweep,
    ngx_scc_redis_reply_t *keys);
static void ngx_scc_sweep_done(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_sweep_next(ngx_scc_sweep_t *sweep);
static void ngx_scc_sweep_end(ngx_scc_sweep_t *sweep, ngx_int_t rc);


/* What has a time to live gets a whole one again. */

static ngx_str_t  ngx_scc_sweep_script = ngx_string(
    "for i = 1, #KEYS do"
    " local t = redis.call('PTTL', KEYS[i])"
    " if t >= 0 and t < tonumber(ARGV[1]) then"
    " redis.call('PEXPIRE', KEYS[i], ARGV[1]) end end return 0");


ngx_scc_sweep_t *
ngx_scc_sweep_create(ngx_cycle_t *cycle, ngx_scc_cache_t *cache,
    ngx_scc_sweep_pt handler, void *data)
{
    ngx_scc_sweep_t  *sweep;

    sweep = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_sweep_t));
    if (sweep == NULL) {
        return NULL;
    }

    sweep->cache = cache;
    sweep->handler = handler;
    sweep->data = data;

    return sweep;
}


ngx_int_t
ngx_scc_sweep(ngx_scc_sweep_t *sweep, ngx_scc_sweep_what_t what)
{
    if (sweep->active) {
        return NGX_BUSY;
    }

    sweep->what = what;
    sweep->cursor[0] = '0';
    sweep->cursor_len = 1;

    if (sweep->cache->redis == NULL || ngx_scc_sweep_scan(sweep) != NGX_OK) {
        return NGX_DECLINED;
    }

    sweep->active = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_scc_sweep_scan(ngx_scc_sweep_t *sweep)
{
    u_char     match[sizeof("scc:[cpt]::*") + NGX_INT_T_LEN];
    ngx_str_t  argv[6];

    ngx_str_set(&argv[0], "SCAN");
    argv[1].data = sweep->cursor;
    argv[1].len = sweep->cursor_len;
    ngx_str_set(&argv[2], "MATCH");
    argv[3].data = match;
    argv[3].len = ngx_sprintf(match, "scc:[cpt]:%ui:*",
                              sweep->cache->conf->generation)
                  - match;
    ngx_str_set(&argv[4], "COUNT");
    ngx_str_set(&argv[5], NGX_SCC_SWEEP_COUNT);

    return (ngx_scc_redis_command(sweep->cache->redis, 6, argv, 0,
                                  ngx_scc_sweep_found, sweep)
            != NULL) ? NGX_OK : NGX_ERROR;
}


static void
ngx_scc_sweep_found(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_sweep_t *sweep = data;

    ngx_str_t               cursor;
    ngx_scc_redis_reply_t  *keys;

    if (status != NGX_SCC_REDIS_OK
        || ngx_scc_reply_type(reply) != NGX_SCC_REPLY_ARRAY
        || ngx_scc_reply_elements(reply) != 2)
    {
        ngx_scc_sweep_end(sweep, NGX_ERROR);
        return;
    }

    cursor = ngx_scc_reply_str(ngx_scc_reply_element(reply, 0));
    keys = ngx_scc_reply_element(reply, 1);

    if (cursor.len == 0 || cursor.len > sizeof(sweep->cursor)) {
        ngx_scc_sweep_end(sweep, NGX_ERROR);
        return;
    }

    ngx_memcpy(sweep->cursor, cursor.data, cursor.len);
    sweep->cursor_len = cursor.len;

    if (ngx_scc_reply_type(keys) != NGX_SCC_REPLY_ARRAY
        || ngx_scc_reply_elements(keys) == 0)
    {
        ngx_scc_sweep_next(sweep);
        return;
    }

    if (ngx_scc_sweep_keys(sweep, keys) != NGX_OK) {
        ngx_scc_sweep_end(sweep, NGX_ERROR);
    }
}


static ngx_int_t
ngx_scc_sweep_keys(ngx_scc_sweep_t *sweep, ngx_scc_redis_reply_t *keys)
{
    u_char                 number[NGX_INT64_LEN], ttl[NGX_INT64_LEN];
    ngx_str_t             *argv;
    ngx_uint_t             i, n, argc;
    ngx_scc_redis_call_t  *call;

    n = ngx_scc_reply_elements(keys);

    if (n > NGX_SCC_SWEEP_KEYS) {
        return NGX_ERROR;
    }

    argv = ngx_alloc((n + 4) * sizeof(ngx_str_t), sweep->cache->log);
    if (argv == NULL) {
        return NGX_ERROR;
    }

    argc = 0;

    if (sweep->what == NGX_SCC_SWEEP_REMOVE) {
        ngx_str_set(&argv[argc], "UNLINK");
        argc++;

    } else {
        ngx_str_set(&argv[argc], "EVAL");
        argc++;
        argv[argc++] = ngx_scc_sweep_script;
        argv[argc].data = number;
        argv[argc].len = ngx_sprintf(number, "%ui", n) - number;
        argc++;
    }

    for (i = 0; i < n; i++) {
        argv[argc++] = ngx_scc_reply_str(ngx_scc_reply_element(keys, i));
    }

    if (sweep->what == NGX_SCC_SWEEP_KEEP) {
        argv[argc].data = ttl;
        argv[argc].len = ngx_scc_cache_ttl(sweep->cache, ttl) - ttl;
        argc++;
    }

    call = ngx_scc_redis_command(sweep->cache->redis, argc, argv, 0,
                                 ngx_scc_sweep_done, sweep);

    ngx_free(argv);

    return (call != NULL) ? NGX_OK : NGX_ERROR;
}


static void
ngx_scc_sweep_done(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_sweep_t *sweep = data;

    if (status != NGX_SCC_REDIS_OK
        || ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR)
    {
        ngx_scc_sweep_end(sweep, NGX_ERROR);
        return;
    }

    ngx_scc_sweep_next(sweep);
}


static void
ngx_scc_sweep_next(ngx_scc_sweep_t *sweep)
{
    if (sweep->cursor_len == 1 && sweep->cursor[0] == '0') {
        ngx_scc_sweep_end(sweep, NGX_OK);
        return;
    }

    if (ngx_scc_sweep_scan(sweep) != NGX_OK) {
        ngx_scc_sweep_end(sweep, NGX_ERROR);
    }
}


static void
ngx_scc_sweep_end(ngx_scc_sweep_t *sweep, ngx_int_t rc)
{
    sweep->active = 0;
    sweep->handler(sweep->data, rc);
}
