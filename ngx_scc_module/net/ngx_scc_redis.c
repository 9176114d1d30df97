
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_redis_int.h"
#include <ngx_sha1.h>


static ngx_scc_redis_conn_t *ngx_scc_redis_pick(ngx_scc_redis_pool_t *pool);
static ngx_scc_redis_call_t *ngx_scc_redis_send(ngx_scc_redis_pool_t *pool,
    ngx_uint_t argc, const ngx_str_t *argv, ngx_str_t *tail,
    ngx_uint_t tail_argc, ngx_msec_t timeout,
    ngx_scc_redis_handler_pt handler, void *data);


ngx_scc_redis_pool_t *
ngx_scc_redis_pool_create(ngx_cycle_t *cycle, ngx_scc_redis_conf_t *conf)
{
    ngx_uint_t             i;
    ngx_scc_redis_pool_t  *pool;

    if (ngx_test_config
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE
            && ngx_process != NGX_PROCESS_HELPER))
    {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "a redis pool belongs to a worker process");
        return NULL;
    }

    pool = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_redis_pool_t));
    if (pool == NULL) {
        return NULL;
    }

    pool->conns = ngx_pcalloc(cycle->pool, conf->connections
                                           * sizeof(ngx_scc_redis_conn_t));
    if (pool->conns == NULL) {
        return NULL;
    }

    if (ngx_array_init(&pool->scripts, cycle->pool, 4,
                       sizeof(ngx_scc_redis_script_t *))
        != NGX_OK)
    {
        return NULL;
    }

    pool->conf = conf;
    pool->log = cycle->log;

    /* nginx logs each failed connect() by itself, the pool once a burst */

    pool->quiet = *cycle->log;
    pool->quiet.log_level = NGX_LOG_EMERG;

    pool->dumb.fd = (ngx_socket_t) -1;

    ngx_queue_init(&pool->free);

    for (i = 0; i < conf->connections; i++) {
        ngx_scc_redis_conn_init(&pool->conns[i], pool);
    }

    return pool;
}


void
ngx_scc_redis_pool_destroy(ngx_scc_redis_pool_t *pool)
{
    ngx_uint_t             i;
    ngx_queue_t           *q;
    ngx_scc_redis_call_t  *call;

    for (i = 0; i < pool->conf->connections; i++) {
        ngx_scc_redis_conn_destroy(&pool->conns[i]);
    }

    while (!ngx_queue_empty(&pool->free)) {
        q = ngx_queue_head(&pool->free);
        ngx_queue_remove(q);

        call = ngx_queue_data(q, ngx_scc_redis_call_t, queue);
        ngx_free(call);
    }
}


ngx_int_t
ngx_scc_redis_script(ngx_scc_redis_pool_t *pool,
    ngx_scc_redis_script_t *script)
{
    u_char                    hash[20];
    ngx_sha1_t                sha1;
    ngx_scc_redis_script_t  **slot;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, script->text.data, script->text.len);
    ngx_sha1_final(hash, &sha1);

    (void) ngx_hex_dump(script->sha1, hash, sizeof(hash));

    slot = ngx_array_push(&pool->scripts);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = script;

    return NGX_OK;
}


ngx_uint_t
ngx_scc_redis_ready(ngx_scc_redis_pool_t *pool)
{
    return ngx_scc_redis_pick(pool) != NULL;
}


ngx_scc_redis_call_t *
ngx_scc_redis_command(ngx_scc_redis_pool_t *pool, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_msec_t timeout,
    ngx_scc_redis_handler_pt handler, void *data)
{
    return ngx_scc_redis_send(pool, argc, argv, NULL, 0, timeout, handler,
                              data);
}


ngx_scc_redis_call_t *
ngx_scc_redis_eval(ngx_scc_redis_pool_t *pool,
    ngx_scc_redis_script_t *script, const ngx_str_t *key, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_msec_t timeout,
    ngx_scc_redis_handler_pt handler, void *data)
{
    u_char                *p;
    ngx_str_t              head[2], fixed[2], tail;
    ngx_scc_redis_call_t  *call;

    ngx_str_set(&head[0], "EVALSHA");
    head[1].len = sizeof(script->sha1);
    head[1].data = script->sha1;

    ngx_str_set(&fixed[0], "1");
    fixed[1] = *key;

    /* kept until the reply: after NOSCRIPT the same arguments go to EVAL */

    tail.data = ngx_alloc(ngx_scc_redis_args_size(2, fixed)
                          + ngx_scc_redis_args_size(argc, argv), pool->log);
    if (tail.data == NULL) {
        return NULL;
    }

    p = ngx_scc_redis_args(tail.data, 2, fixed);
    p = ngx_scc_redis_args(p, argc, argv);
    tail.len = (size_t) (p - tail.data);

    call = ngx_scc_redis_send(pool, 2, head, &tail, argc + 2, timeout,
                              handler, data);
    if (call == NULL) {
        ngx_free(tail.data);
        return NULL;
    }

    call->script = script;
    call->tail = tail;
    call->tail_argc = argc + 2;

    return call;
}


void
ngx_scc_redis_cancel(ngx_scc_redis_call_t *call)
{
    ngx_scc_redis_conn_t  *conn;

    if (call->handler == NULL) {
        return;
    }

    call->handler = NULL;
    call->data = NULL;

    conn = call->conn;

    if (conn != NULL) {
        conn->live--;
        conn->deadline.cancelable = (conn->live == 0);
    }
}


ngx_uint_t
ngx_scc_redis_incarnation(ngx_scc_redis_pool_t *pool)
{
    return pool->incarnation;
}


ngx_str_t
ngx_scc_redis_run_id(ngx_scc_redis_pool_t *pool)
{
    ngx_str_t  id;

    if (pool->run_id_known) {
        id.len = sizeof(pool->run_id);
        id.data = pool->run_id;

    } else {
        ngx_str_set(&id, "-");
    }

    return id;
}


static ngx_scc_redis_conn_t *
ngx_scc_redis_pick(ngx_scc_redis_pool_t *pool)
{
    ngx_uint_t             i, n;
    ngx_scc_redis_conn_t  *conn, *best;

    if (pool->ready == 0) {
        return NULL;
    }

    best = NULL;
    n = pool->conf->connections;

    for (i = 0; i < n; i++) {
        conn = &pool->conns[(pool->next + i) % n];

        if (conn->state != NGX_SCC_REDIS_READY
            || conn->pending >= pool->conf->pending_max)
        {
            continue;
        }

        if (best == NULL || conn->pending < best->pending) {
            best = conn;
        }
    }

    return best;
}


static ngx_scc_redis_call_t *
ngx_scc_redis_send(ngx_scc_redis_pool_t *pool, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_str_t *tail, ngx_uint_t tail_argc,
    ngx_msec_t timeout, ngx_scc_redis_handler_pt handler, void *data)
{
    ngx_scc_redis_conn_t  *conn;
    ngx_scc_redis_call_t  *call;

    conn = ngx_scc_redis_pick(pool);
    if (conn == NULL) {
        return NULL;
    }

    call = ngx_scc_redis_call_get(pool);
    if (call == NULL) {
        return NULL;
    }

    call->handler = handler;
    call->data = data;
    call->deadline = ngx_current_msec
                     + (timeout ? timeout : pool->conf->timeout);

    if (ngx_scc_redis_append(conn, call, argc, argv, tail_argc, tail)
        != NGX_OK)
    {
        ngx_scc_redis_call_free(pool, call);
        return NULL;
    }

    if (++pool->next >= pool->conf->connections) {
        pool->next = 0;
    }

    return call;
}


ngx_int_t
ngx_scc_redis_append(ngx_scc_redis_conn_t *conn, ngx_scc_redis_call_t *call,
    ngx_uint_t argc, const ngx_str_t *argv, ngx_uint_t tail_argc,
    ngx_str_t *tail)
{
    size_t   size;
    u_char  *p;

    size = sizeof("*" CRLF) - 1 + NGX_INT_T_LEN
           + ngx_scc_redis_args_size(argc, argv);

    if (tail != NULL) {
        size += tail->len;
    }

    p = ngx_scc_redis_conn_reserve(conn, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(p, "*%ui" CRLF, argc + tail_argc);
    p = ngx_scc_redis_args(p, argc, argv);

    if (tail != NULL) {
        p = ngx_cpymem(p, tail->data, tail->len);
    }

    conn->out.last = p;

    call->conn = conn;
    ngx_queue_insert_tail(&conn->calls, &call->queue);
    conn->pending++;

    if (call->step == NGX_SCC_REDIS_COMMAND) {

        if (call->handler != NULL) {
            conn->live++;
        }

        ngx_scc_redis_conn_deadline(conn, call->deadline);
    }

    /* all that this turn of the event loop has to say goes in one send() */

    ngx_post_event(conn->connection->write, &ngx_posted_events);

    return NGX_OK;
}


ngx_int_t
ngx_scc_redis_eval_again(ngx_scc_redis_call_t *call)
{
    ngx_str_t  head[2];

    ngx_str_set(&head[0], "EVAL");
    head[1] = call->script->text;

    call->script = NULL;

    return ngx_scc_redis_append(call->conn, call, 2, head, call->tail_argc,
                                &call->tail);
}


size_t
ngx_scc_redis_args_size(ngx_uint_t argc, const ngx_str_t *argv)
{
    size_t      size;
    ngx_uint_t  i;

    size = 0;

    for (i = 0; i < argc; i++) {
        size += sizeof("$" CRLF CRLF) - 1 + NGX_SIZE_T_LEN + argv[i].len;
    }

    return size;
}


u_char *
ngx_scc_redis_args(u_char *p, ngx_uint_t argc, const ngx_str_t *argv)
{
    ngx_uint_t  i;

    for (i = 0; i < argc; i++) {
        p = ngx_sprintf(p, "$%uz" CRLF, argv[i].len);

        if (argv[i].len) {
            p = ngx_cpymem(p, argv[i].data, argv[i].len);
        }

        *p++ = CR;
        *p++ = LF;
    }

    return p;
}


ngx_scc_redis_call_t *
ngx_scc_redis_call_get(ngx_scc_redis_pool_t *pool)
{
    ngx_queue_t           *q;
    ngx_scc_redis_call_t  *call;

    if (ngx_queue_empty(&pool->free)) {
        call = ngx_alloc(sizeof(ngx_scc_redis_call_t), pool->log);
        if (call == NULL) {
            return NULL;
        }

    } else {
        q = ngx_queue_head(&pool->free);
        ngx_queue_remove(q);

        call = ngx_queue_data(q, ngx_scc_redis_call_t, queue);
    }

    ngx_memzero(call, sizeof(ngx_scc_redis_call_t));

    return call;
}


void
ngx_scc_redis_call_free(ngx_scc_redis_pool_t *pool,
    ngx_scc_redis_call_t *call)
{
    if (call->tail.data != NULL) {
        ngx_free(call->tail.data);
    }

    ngx_memzero(call, sizeof(ngx_scc_redis_call_t));

    ngx_queue_insert_head(&pool->free, &call->queue);
}


void
ngx_scc_redis_ignore(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
}
