
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_pg_int.h"


static ngx_uint_t ngx_scc_pg_reachable(ngx_scc_pg_pool_t *pool);
static ngx_int_t ngx_scc_pg_judge(ngx_scc_pg_call_t *call,
    ngx_scc_pg_status_t status, PGresult *result);
static void ngx_scc_pg_dispatch_handler(ngx_event_t *ev);
static void ngx_scc_pg_retry(ngx_scc_pg_pool_t *pool);
static void ngx_scc_pg_retry_handler(ngx_event_t *ev);
static void ngx_scc_pg_deadline_handler(ngx_event_t *ev);
static ngx_scc_pg_conn_t *ngx_scc_pg_find(ngx_scc_pg_pool_t *pool,
    ngx_scc_pg_state_t state);
static ngx_uint_t ngx_scc_pg_may_connect(ngx_scc_pg_pool_t *pool);
static ngx_scc_pg_call_t *ngx_scc_pg_call_get(ngx_scc_pg_pool_t *pool);
static ngx_int_t ngx_scc_pg_copy(ngx_scc_pg_call_t *call,
    const ngx_str_t *values);


ngx_scc_pg_pool_t *
ngx_scc_pg_pool_create(ngx_cycle_t *cycle, ngx_scc_pg_conf_t *conf)
{
    ngx_uint_t          i;
    ngx_scc_pg_pool_t  *pool;

    if (ngx_test_config
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE
            && ngx_process != NGX_PROCESS_HELPER))
    {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "a postgres pool belongs to a worker process");
        return NULL;
    }

    pool = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_pg_pool_t));
    if (pool == NULL) {
        return NULL;
    }

    pool->conns = ngx_pcalloc(cycle->pool, conf->connections
                                           * sizeof(ngx_scc_pg_conn_t));
    if (pool->conns == NULL) {
        return NULL;
    }

    pool->conf = conf;
    pool->log = cycle->log;
    pool->dumb.fd = (ngx_socket_t) -1;

    ngx_queue_init(&pool->waiting);
    ngx_queue_init(&pool->free);

    pool->dispatch.handler = ngx_scc_pg_dispatch_handler;
    pool->dispatch.data = &pool->dumb;
    pool->dispatch.log = pool->log;

    pool->retry.handler = ngx_scc_pg_retry_handler;
    pool->retry.data = &pool->dumb;
    pool->retry.log = pool->log;
    pool->retry.cancelable = 1;

    ngx_scc_backoff_init(&pool->backoff, conf->backoff_min,
                         conf->backoff_max);

    for (i = 0; i < conf->connections; i++) {
        ngx_scc_pg_conn_init(&pool->conns[i], pool);
    }

    return pool;
}


void
ngx_scc_pg_pool_gate(ngx_scc_pg_pool_t *pool, const ngx_scc_pg_gate_t *gate)
{
    pool->gate = gate;
}


void
ngx_scc_pg_pool_destroy(ngx_scc_pg_pool_t *pool)
{
    ngx_uint_t          i;
    ngx_queue_t        *q;
    ngx_scc_pg_call_t  *call;

    for (i = 0; i < pool->conf->connections; i++) {
        call = pool->conns[i].call;

        ngx_scc_pg_conn_destroy(&pool->conns[i]);

        if (call != NULL) {
            ngx_queue_insert_tail(&pool->waiting, &call->queue);
            pool->nwaiting++;
            call->conn = NULL;
        }
    }

    while (!ngx_queue_empty(&pool->waiting)) {
        q = ngx_queue_head(&pool->waiting);

        call = ngx_queue_data(q, ngx_scc_pg_call_t, queue);
        call->handler = NULL;
        ngx_scc_pg_call_done(call, NGX_SCC_PG_DOWN, NULL);
    }

    while (!ngx_queue_empty(&pool->free)) {
        q = ngx_queue_head(&pool->free);
        ngx_queue_remove(q);

        call = ngx_queue_data(q, ngx_scc_pg_call_t, queue);
        ngx_free(call);
    }

    if (pool->retry.timer_set) {
        ngx_del_timer(&pool->retry);
    }

    if (pool->dispatch.posted) {
        ngx_delete_posted_event(&pool->dispatch);
    }
}


ngx_scc_pg_call_t *
ngx_scc_pg_query(ngx_scc_pg_pool_t *pool, const ngx_scc_pg_stmt_t *stmt,
    const ngx_str_t *values, ngx_scc_pg_handler_pt handler, void *data,
    ngx_scc_pg_status_t *status)
{
    ngx_scc_pg_call_t  *call;

    if (pool->gate != NULL
        && ngx_scc_pg_class(stmt) != NGX_SCC_PG_FREE
        && pool->gate->pass(pool->gate->data, ngx_scc_pg_class(stmt))
           != NGX_OK)
    {
        *status = NGX_SCC_PG_DOWN;
        return NULL;
    }

    if (!ngx_scc_pg_reachable(pool)) {
        *status = NGX_SCC_PG_DOWN;
        return NULL;
    }

    if (pool->nwaiting + pool->running
        >= pool->conf->connections + pool->conf->queue)
    {
        *status = NGX_SCC_PG_BUSY;
        return NULL;
    }

    call = ngx_scc_pg_call_get(pool);
    if (call == NULL) {
        *status = NGX_SCC_PG_BUSY;
        return NULL;
    }

    call->stmt = stmt;
    call->handler = handler;
    call->data = data;

    if (ngx_scc_pg_copy(call, values) != NGX_OK) {
        ngx_queue_insert_head(&pool->free, &call->queue);
        *status = NGX_SCC_PG_BUSY;
        return NULL;
    }

    ngx_queue_insert_tail(&pool->waiting, &call->queue);
    pool->nwaiting++;

    ngx_add_timer(&call->timer, pool->conf->timeout);

    ngx_scc_pg_dispatch(pool);

    return call;
}


void
ngx_scc_pg_sent(ngx_scc_pg_call_t *call, ngx_scc_pg_sent_pt sent)
{
    call->sent = sent;
}


void
ngx_scc_pg_cancel(ngx_scc_pg_call_t *call)
{
    call->handler = NULL;
    call->sent = NULL;
    call->data = NULL;

    if (call->conn == NULL) {
        ngx_scc_pg_call_done(call, NGX_SCC_PG_DOWN, NULL);
        return;
    }

    /* its deadline still bounds the statement, but holds no worker */

    call->timer.cancelable = 1;
}


ngx_uint_t
ngx_scc_pg_ready(ngx_scc_pg_pool_t *pool)
{
    if (pool->gate != NULL
        && pool->gate->pass(pool->gate->data, NGX_SCC_PG_READ) != NGX_OK)
    {
        return 0;
    }

    return ngx_scc_pg_reachable(pool);
}


/* While a server that was down is being tried, one caller waits for it. */

static ngx_uint_t
ngx_scc_pg_reachable(ngx_scc_pg_pool_t *pool)
{
    ngx_uint_t  answered;

    answered = (pool->gate != NULL) ? pool->gate->answered(pool->gate->data)
                                    : 0;

    if (answered != pool->answered) {
        pool->answered = answered;
        pool->down = 0;
    }

    if (!pool->down || pool->idle + pool->running) {
        return 1;
    }

    return pool->connecting == 0
           && (ngx_msec_int_t) (pool->down_until - ngx_current_msec) <= 0;
}


ngx_uint_t
ngx_scc_pg_rows(ngx_scc_pg_result_t *result)
{
    return (ngx_uint_t) PQntuples((PGresult *) result);
}


ngx_int_t
ngx_scc_pg_value(ngx_scc_pg_result_t *result, ngx_uint_t row,
    ngx_uint_t column, ngx_str_t *value)
{
    PGresult  *res;

    res = (PGresult *) result;

    if (row >= (ngx_uint_t) PQntuples(res)
        || column >= (ngx_uint_t) PQnfields(res)
        || PQgetisnull(res, (int) row, (int) column))
    {
        ngx_str_null(value);
        return NGX_DECLINED;
    }

    value->len = (size_t) PQgetlength(res, (int) row, (int) column);
    value->data = (u_char *) PQgetvalue(res, (int) row, (int) column);

    return NGX_OK;
}


const char *
ngx_scc_pg_sqlstate(ngx_scc_pg_result_t *result)
{
    char  *state;

    state = PQresultErrorField((PGresult *) result, PG_DIAG_SQLSTATE);

    return (state != NULL && ngx_strlen(state) == 5) ? state : "-----";
}


const char *
ngx_scc_pg_message(ngx_scc_pg_result_t *result)
{
    char  *text;

    text = PQresultErrorField((PGresult *) result, PG_DIAG_MESSAGE_PRIMARY);

    return (text != NULL) ? text : "";
}


/*
 * Calls always go through the queue and a posted event: so a handler is
 * never called from within ngx_scc_pg_query(), whatever libpq says at once.
 */

void
ngx_scc_pg_dispatch(ngx_scc_pg_pool_t *pool)
{
    ngx_post_event(&pool->dispatch, &ngx_posted_events);
}


static void
ngx_scc_pg_dispatch_handler(ngx_event_t *ev)
{
    ngx_queue_t        *q;
    ngx_scc_pg_pool_t  *pool;
    ngx_scc_pg_call_t  *call;

    pool = ngx_scc_event_owner(ev, ngx_scc_pg_pool_t, dispatch);

    while (pool->nwaiting && pool->idle) {
        q = ngx_queue_head(&pool->waiting);
        ngx_queue_remove(q);
        pool->nwaiting--;

        call = ngx_queue_data(q, ngx_scc_pg_call_t, queue);

        ngx_scc_pg_conn_run(ngx_scc_pg_find(pool, NGX_SCC_PG_IDLE), call);
    }

    while (pool->connecting < pool->nwaiting + pool->probe
           && ngx_scc_pg_may_connect(pool))
    {
        pool->probe = 0;
        ngx_scc_pg_conn_open(ngx_scc_pg_find(pool, NGX_SCC_PG_CLOSED));
    }

    pool->probe = 0;
}


/*
 * Asked or not: in a process that nobody asks for a while, a server that is
 * back would go on being down, and of the next callers only one would wait.
 */

static void
ngx_scc_pg_retry(ngx_scc_pg_pool_t *pool)
{
    ngx_msec_int_t  left;

    if (pool->retry.timer_set) {
        return;
    }

    left = (ngx_msec_int_t) (pool->down_until - ngx_current_msec);

    ngx_add_timer(&pool->retry, (ngx_msec_t) ngx_max(left, 1));
}


static void
ngx_scc_pg_retry_handler(ngx_event_t *ev)
{
    ngx_scc_pg_pool_t  *pool;

    pool = ngx_scc_event_owner(ev, ngx_scc_pg_pool_t, retry);

    if (pool->down && pool->connecting == 0) {
        pool->probe = 1;
    }

    ngx_scc_pg_dispatch(pool);
}


static ngx_uint_t
ngx_scc_pg_may_connect(ngx_scc_pg_pool_t *pool)
{
    if (pool->connecting + pool->idle + pool->running
        >= pool->conf->connections)
    {
        return 0;
    }

    return !pool->down
           || (pool->connecting == 0
               && (ngx_msec_int_t) (pool->down_until - ngx_current_msec)
                  <= 0);
}


static ngx_scc_pg_conn_t *
ngx_scc_pg_find(ngx_scc_pg_pool_t *pool, ngx_scc_pg_state_t state)
{
    ngx_uint_t  i;

    /* the first of them: those behind grow idle and close */

    for (i = 0; i < pool->conf->connections - 1; i++) {

        if (pool->conns[i].state == state) {
            break;
        }
    }

    return &pool->conns[i];
}


static void
ngx_scc_pg_deadline_handler(ngx_event_t *ev)
{
    ngx_scc_pg_call_t  *call;
    ngx_scc_pg_conn_t  *conn;
    ngx_scc_pg_pool_t  *pool;

    call = ngx_scc_event_owner(ev, ngx_scc_pg_call_t, timer);
    conn = call->conn;
    pool = call->pool;

    if (conn != NULL) {
        ngx_scc_pg_trouble(pool, "a statement was not answered in time",
                           call->stmt->name);

        ngx_scc_pg_conn_close(conn);
        ngx_scc_pg_dispatch(pool);
    }

    ngx_scc_pg_call_done(call, NGX_SCC_PG_TIMEOUT, NULL);
}


void
ngx_scc_pg_up(ngx_scc_pg_pool_t *pool)
{
    pool->down = 0;
    ngx_scc_backoff_up(&pool->backoff);

    if (pool->retry.timer_set) {
        ngx_del_timer(&pool->retry);
    }

    if (ngx_scc_trouble_over(&pool->trouble)) {
        ngx_log_error(NGX_LOG_NOTICE, pool->log, 0,
                      "postgres %V is up again", &pool->conf->name);
    }

    ngx_scc_pg_dispatch(pool);
}


void
ngx_scc_pg_down(ngx_scc_pg_pool_t *pool)
{
    ngx_msec_t          delay;
    ngx_queue_t        *q, waiting;
    ngx_scc_pg_call_t  *call;

    /* connections that fail together are one failure */

    if (!pool->down
        || (ngx_msec_int_t) (pool->down_until - ngx_current_msec) <= 0)
    {
        delay = ngx_scc_backoff_down(&pool->backoff);

        pool->down = 1;
        pool->down_until = ngx_current_msec + delay;
    }

    ngx_scc_pg_retry(pool);

    if (pool->idle + pool->running + pool->connecting) {
        return;
    }

    /* what the handlers ask for meanwhile is refused: no endless loop */

    if (ngx_queue_empty(&pool->waiting)) {
        return;
    }

    ngx_queue_init(&waiting);
    ngx_queue_add(&waiting, &pool->waiting);
    ngx_queue_init(&pool->waiting);

    while (!ngx_queue_empty(&waiting)) {
        q = ngx_queue_head(&waiting);

        call = ngx_queue_data(q, ngx_scc_pg_call_t, queue);
        ngx_scc_pg_call_done(call, NGX_SCC_PG_DOWN, NULL);
    }
}


void
ngx_scc_pg_trouble(ngx_scc_pg_pool_t *pool, const char *what,
    const char *text)
{
    char  reason[NGX_SCC_TROUBLE_TEXT];

    (void) ngx_snprintf((u_char *) reason, sizeof(reason) - 1, "%s%s%s%Z",
                        what, text[0] ? ": " : "", text);
    reason[sizeof(reason) - 1] = '\0';

    if (ngx_scc_trouble(&pool->trouble, reason)) {
        ngx_log_error(NGX_LOG_ERR, pool->log, 0, "postgres %V %s",
                      &pool->conf->name, reason);
    }
}


void
ngx_scc_pg_call_done(ngx_scc_pg_call_t *call, ngx_scc_pg_status_t status,
    PGresult *result)
{
    void                   *data;
    ngx_scc_pg_pool_t      *pool;
    ngx_scc_pg_handler_pt   handler;

    pool = call->pool;
    handler = call->handler;
    data = call->data;

    if (ngx_scc_pg_judge(call, status, result) != NGX_OK) {
        status = NGX_SCC_PG_DOWN;
        result = NULL;
    }

    if (call->conn == NULL) {
        ngx_queue_remove(&call->queue);
        pool->nwaiting--;
    }

    if (call->timer.timer_set) {
        ngx_del_timer(&call->timer);
    }

    if (call->values != NULL) {
        ngx_free(call->values);
    }

    ngx_memzero(call, sizeof(ngx_scc_pg_call_t));
    ngx_queue_insert_head(&pool->free, &call->queue);

    if (handler != NULL) {
        handler(data, status, (ngx_scc_pg_result_t *) result);
    }
}


static ngx_int_t
ngx_scc_pg_judge(ngx_scc_pg_call_t *call, ngx_scc_pg_status_t status,
    PGresult *result)
{
    ngx_str_t                 word;
    ngx_scc_pg_result_t      *res;
    const ngx_scc_pg_gate_t  *gate;

    gate = call->pool->gate;

    if (gate == NULL || result == NULL
        || ngx_scc_pg_class(call->stmt) == NGX_SCC_PG_FREE)
    {
        return NGX_OK;
    }

    res = (ngx_scc_pg_result_t *) result;

    if (status == NGX_SCC_PG_FAILED) {
        gate->refused(gate->data, ngx_scc_pg_sqlstate(res));
        return NGX_OK;
    }

    if (status != NGX_SCC_PG_OK
        || ngx_scc_pg_class(call->stmt) != NGX_SCC_PG_READ)
    {
        return NGX_OK;
    }

    (void) ngx_scc_pg_value(res, 0, (ngx_uint_t) PQnfields(result) - 1,
                            &word);

    return gate->judge(gate->data, call->note, &word);
}


static ngx_scc_pg_call_t *
ngx_scc_pg_call_get(ngx_scc_pg_pool_t *pool)
{
    ngx_queue_t        *q;
    ngx_scc_pg_call_t  *call;

    if (ngx_queue_empty(&pool->free)) {
        call = ngx_alloc(sizeof(ngx_scc_pg_call_t), pool->log);
        if (call == NULL) {
            return NULL;
        }

    } else {
        q = ngx_queue_head(&pool->free);
        ngx_queue_remove(q);

        call = ngx_queue_data(q, ngx_scc_pg_call_t, queue);
    }

    ngx_memzero(call, sizeof(ngx_scc_pg_call_t));

    call->pool = pool;
    call->timer.handler = ngx_scc_pg_deadline_handler;
    call->timer.data = &pool->dumb;
    call->timer.log = pool->log;

    return call;
}


static ngx_int_t
ngx_scc_pg_copy(ngx_scc_pg_call_t *call, const ngx_str_t *values)
{
    char        *p;
    size_t       size;
    ngx_uint_t   i, n;

    n = call->stmt->nparams;

    if (n == 0) {
        return NGX_OK;
    }

    /* values, lengths, formats, bytes */

    size = n * (sizeof(char *) + 2 * sizeof(int));

    for (i = 0; i < n; i++) {
        if (values[i].len != NGX_SCC_PG_NULL) {
            size += values[i].len + 1;
        }
    }

    call->values = ngx_alloc(size, call->pool->log);
    if (call->values == NULL) {
        return NGX_ERROR;
    }

    call->lengths = (int *) &call->values[n];
    call->formats = &call->lengths[n];
    p = (char *) &call->formats[n];

    for (i = 0; i < n; i++) {
        call->lengths[i] = 0;
        call->formats[i] = (call->stmt->flags & NGX_SCC_PG_BINARY) != 0;

        if (values[i].len == NGX_SCC_PG_NULL) {
            call->values[i] = NULL;
            continue;
        }

        call->values[i] = p;
        call->lengths[i] = (int) values[i].len;

        if (values[i].len) {
            p = (char *) ngx_cpymem(p, values[i].data, values[i].len);
        }

        *p++ = '\0';
    }

    return NGX_OK;
}
