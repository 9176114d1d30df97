
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_redis_int.h"
#include <ngx_event_connect.h>


/* Bigger gains nothing: the reader moves what follows each reply. */

#define NGX_SCC_REDIS_READ   32768

#define NGX_SCC_REDIS_OUT    4096

/* An output buffer that grew beyond this is freed once it was sent. */

#define NGX_SCC_REDIS_KEEP   (256 * 1024)


static void ngx_scc_redis_timer_handler(ngx_event_t *ev);
static void ngx_scc_redis_deadline_handler(ngx_event_t *ev);
static void ngx_scc_redis_read_handler(ngx_event_t *rev);
static void ngx_scc_redis_write_handler(ngx_event_t *wev);
static void ngx_scc_redis_connect(ngx_scc_redis_conn_t *conn);
static ngx_int_t ngx_scc_redis_connected(ngx_scc_redis_conn_t *conn);
static ngx_int_t ngx_scc_redis_replies(ngx_scc_redis_conn_t *conn);
static void ngx_scc_redis_deliver(ngx_scc_redis_conn_t *conn,
    ngx_scc_redis_call_t *call, ngx_scc_redis_reply_t *reply);
static void ngx_scc_redis_flush(ngx_scc_redis_conn_t *conn);
static void ngx_scc_redis_drain(ngx_scc_redis_conn_t *conn,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_redis_close(ngx_scc_redis_conn_t *conn, ngx_err_t err,
    const char *reason);
static void ngx_scc_redis_release(ngx_scc_redis_conn_t *conn);
static void ngx_scc_redis_trouble(ngx_scc_redis_pool_t *pool, ngx_err_t err,
    const char *reason);


void
ngx_scc_redis_conn_init(ngx_scc_redis_conn_t *conn,
    ngx_scc_redis_pool_t *pool)
{
    conn->pool = pool;
    conn->state = NGX_SCC_REDIS_CLOSED;

    ngx_queue_init(&conn->calls);

    conn->timer.handler = ngx_scc_redis_timer_handler;
    conn->timer.data = &pool->dumb;
    conn->timer.log = pool->log;
    conn->timer.cancelable = 1;

    conn->deadline.handler = ngx_scc_redis_deadline_handler;
    conn->deadline.data = &pool->dumb;
    conn->deadline.log = pool->log;
    conn->deadline.cancelable = 1;

    ngx_scc_backoff_init(&conn->backoff, pool->conf->backoff_min,
                         pool->conf->backoff_max);

    /* from the event loop, when the pool has its scripts */

    ngx_add_timer(&conn->timer, 1);
}


void
ngx_scc_redis_conn_destroy(ngx_scc_redis_conn_t *conn)
{
    ngx_queue_t           *q;
    ngx_scc_redis_call_t  *call;

    ngx_scc_redis_release(conn);

    while (!ngx_queue_empty(&conn->calls)) {
        q = ngx_queue_head(&conn->calls);
        ngx_queue_remove(q);

        call = ngx_queue_data(q, ngx_scc_redis_call_t, queue);
        ngx_scc_redis_call_free(conn->pool, call);
    }

    conn->pending = 0;
    conn->live = 0;
}


u_char *
ngx_scc_redis_conn_reserve(ngx_scc_redis_conn_t *conn, size_t size)
{
    size_t                used, capacity;
    u_char               *p;
    ngx_scc_redis_out_t  *out;

    out = &conn->out;

    if ((size_t) (out->end - out->last) >= size) {
        return out->last;
    }

    used = (size_t) (out->last - out->pos);
    capacity = (size_t) (out->end - out->start);

    if (capacity - used >= size && capacity / 2 >= used) {
        ngx_memmove(out->start, out->pos, used);

    } else {
        if (capacity == 0) {
            capacity = NGX_SCC_REDIS_OUT;
        }

        while (capacity - used < size) {

            if (capacity > NGX_MAX_SIZE_T_VALUE / 2) {
                return NULL;
            }

            capacity *= 2;
        }

        p = ngx_alloc(capacity, conn->pool->log);
        if (p == NULL) {
            return NULL;
        }

        if (out->start != NULL) {
            ngx_memcpy(p, out->pos, used);
            ngx_free(out->start);
        }

        out->start = p;
        out->end = p + capacity;
    }

    out->pos = out->start;
    out->last = out->start + used;

    return out->last;
}


/*
 * The timer is never set later than the oldest deadline; that it is often
 * set earlier costs one look at the queue per timeout, not per command.
 */

void
ngx_scc_redis_conn_deadline(ngx_scc_redis_conn_t *conn, ngx_msec_t deadline)
{
    ngx_event_t     *ev;
    ngx_msec_int_t   left;

    ev = &conn->deadline;

    ev->cancelable = (conn->live == 0);

    if (ev->timer_set
        && (ngx_msec_int_t) (deadline - ev->timer.key) >= 0)
    {
        return;
    }

    /* ngx_add_timer() alone would keep a timer less than 300 ms away */

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    left = (ngx_msec_int_t) (deadline - ngx_current_msec);

    ngx_add_timer(ev, (ngx_msec_t) ngx_max(left, 1));
}


void
ngx_scc_redis_conn_ready(ngx_scc_redis_conn_t *conn)
{
    ngx_scc_redis_pool_t  *pool;

    pool = conn->pool;

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    conn->state = NGX_SCC_REDIS_READY;
    conn->reason[0] = '\0';
    ngx_scc_backoff_up(&conn->backoff);

    if (ngx_scc_trouble_over(&pool->trouble)) {
        ngx_log_error(NGX_LOG_NOTICE, pool->log, 0,
                      "redis %V is up again", &pool->conf->addr.name);

    } else if (pool->ready == 0) {
        ngx_log_error(NGX_LOG_INFO, pool->log, 0,
                      "redis %V is up", &pool->conf->addr.name);
    }

    pool->ready++;
}


static void
ngx_scc_redis_timer_handler(ngx_event_t *ev)
{
    ngx_scc_redis_conn_t  *conn;

    conn = ngx_scc_event_owner(ev, ngx_scc_redis_conn_t, timer);

    if (conn->state == NGX_SCC_REDIS_CLOSED) {
        ngx_scc_redis_connect(conn);
        return;
    }

    ngx_scc_redis_close(conn, 0,
                        conn->state == NGX_SCC_REDIS_CONNECTING
                        ? "connecting timed out"
                        : "it took the connection but does not answer");
}


static void
ngx_scc_redis_deadline_handler(ngx_event_t *ev)
{
    ngx_msec_t             oldest;
    ngx_queue_t           *q;
    ngx_scc_redis_conn_t  *conn;
    ngx_scc_redis_call_t  *call;

    conn = ngx_scc_event_owner(ev, ngx_scc_redis_conn_t, deadline);

    if (ngx_queue_empty(&conn->calls)) {
        return;
    }

    q = ngx_queue_head(&conn->calls);
    call = ngx_queue_data(q, ngx_scc_redis_call_t, queue);
    oldest = call->deadline;

    for (q = ngx_queue_next(q);
         q != ngx_queue_sentinel(&conn->calls);
         q = ngx_queue_next(q))
    {
        call = ngx_queue_data(q, ngx_scc_redis_call_t, queue);

        if ((ngx_msec_int_t) (call->deadline - oldest) < 0) {
            oldest = call->deadline;
        }
    }

    if ((ngx_msec_int_t) (oldest - ngx_current_msec) > 0) {
        ngx_scc_redis_conn_deadline(conn, oldest);
        return;
    }

    ngx_scc_redis_close(conn, 0, "a command was not answered in time");
}


static void
ngx_scc_redis_connect(ngx_scc_redis_conn_t *conn)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_scc_redis_pool_t   *pool;
    ngx_peer_connection_t   pc;

    pool = conn->pool;

    ngx_memzero(&pc, sizeof(ngx_peer_connection_t));

    pc.sockaddr = pool->conf->addr.sockaddr;
    pc.socklen = pool->conf->addr.socklen;
    pc.name = &pool->conf->addr.name;
    pc.get = ngx_event_get_peer;
    pc.log = &pool->quiet;
    pc.log_error = NGX_ERROR_INFO;
    pc.so_keepalive = 1;

    ngx_set_socket_errno(0);

    rc = ngx_event_connect_peer(&pc);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        ngx_scc_redis_close(conn, ngx_socket_errno, "connect() failed");
        return;
    }

    c = pc.connection;

    c->log = pool->log;
    c->read->log = pool->log;
    c->write->log = pool->log;
    c->read->handler = ngx_scc_redis_read_handler;
    c->write->handler = ngx_scc_redis_write_handler;
    c->data = conn;

    conn->connection = c;
    conn->state = NGX_SCC_REDIS_CONNECTING;

    ngx_add_timer(&conn->timer, pool->conf->connect_timeout);

    conn->reader = ngx_scc_redis_reader_create();

    if (conn->reader == NULL) {
        ngx_scc_redis_close(conn, 0, "no memory");
        return;
    }

    if (rc == NGX_OK) {
        (void) ngx_scc_redis_connected(conn);
    }
}


static ngx_int_t
ngx_scc_redis_connected(ngx_scc_redis_conn_t *conn)
{
    int                err;
    socklen_t          len;
    ngx_connection_t  *c;

    c = conn->connection;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err) {
        ngx_scc_redis_close(conn, err, "connect() failed");
        return NGX_ERROR;
    }

    if (conn->pool->conf->addr.sockaddr->sa_family != AF_UNIX
        && ngx_tcp_nodelay(c) != NGX_OK)
    {
        ngx_scc_redis_close(conn, 0, "TCP_NODELAY was refused");
        return NGX_ERROR;
    }

    conn->state = NGX_SCC_REDIS_HANDSHAKE;
    conn->reason[0] = '\0';

    if (ngx_scc_redis_handshake(conn) != NGX_OK) {
        ngx_scc_redis_close(conn, 0, "no memory");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_scc_redis_read_handler(ngx_event_t *rev)
{
    u_char                 buf[NGX_SCC_REDIS_READ];
    ssize_t                n;
    ngx_connection_t      *c;
    ngx_scc_redis_conn_t  *conn;

    c = rev->data;
    conn = c->data;

    if (c->close) {
        ngx_scc_redis_close(conn, 0, "the worker process shuts down");
        return;
    }

    if (conn->state == NGX_SCC_REDIS_CONNECTING
        && ngx_scc_redis_connected(conn) != NGX_OK)
    {
        return;
    }

    do {
        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0 || n == NGX_ERROR) {
            ngx_scc_redis_close(conn, n == 0 ? 0 : ngx_socket_errno,
                                conn->reason[0] ? conn->reason
                                                : "it closed the connection");
            return;
        }

        if (ngx_scc_redis_reader_feed(conn->reader, buf, (size_t) n)
            != NGX_OK)
        {
            ngx_scc_redis_close(conn, 0, "no memory for a reply");
            return;
        }

        if (ngx_scc_redis_replies(conn) != NGX_OK) {
            return;
        }

    } while (rev->ready);

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_scc_redis_close(conn, 0, "no event");
    }
}


static void
ngx_scc_redis_write_handler(ngx_event_t *wev)
{
    ngx_connection_t      *c;
    ngx_scc_redis_conn_t  *conn;

    c = wev->data;
    conn = c->data;

    if (conn->state == NGX_SCC_REDIS_CONNECTING
        && ngx_scc_redis_connected(conn) != NGX_OK)
    {
        return;
    }

    ngx_scc_redis_flush(conn);
}


static void
ngx_scc_redis_flush(ngx_scc_redis_conn_t *conn)
{
    ssize_t               n;
    ngx_connection_t     *c;
    ngx_scc_redis_out_t  *out;

    c = conn->connection;
    out = &conn->out;

    while (out->pos < out->last && c->write->ready) {
        n = c->send(c, out->pos, (size_t) (out->last - out->pos));

        if (n == NGX_ERROR) {
            ngx_scc_redis_close(conn, ngx_socket_errno,
                                "it closed the connection");
            return;
        }

        if (n <= 0) {
            break;
        }

        out->pos += n;
    }

    if (out->pos == out->last) {

        if (out->end - out->start > NGX_SCC_REDIS_KEEP) {
            ngx_free(out->start);
            ngx_memzero(out, sizeof(ngx_scc_redis_out_t));

        } else {
            out->pos = out->start;
            out->last = out->start;
        }
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_scc_redis_close(conn, 0, "no event");
    }
}


static ngx_int_t
ngx_scc_redis_replies(ngx_scc_redis_conn_t *conn)
{
    char                    text[96];
    ngx_int_t               rc;
    const char             *err;
    ngx_queue_t            *q;
    ngx_scc_redis_call_t   *call;
    ngx_scc_redis_reply_t  *reply;

    for ( ;; ) {
        rc = ngx_scc_redis_reader_next(conn->reader, &reply, &err);

        if (rc == NGX_AGAIN) {
            break;
        }

        if (rc == NGX_ERROR) {
            ngx_scc_redis_close(conn, 0,
                                ngx_scc_net_text(text, sizeof(text), err,
                                                 ngx_strlen(err)));
            return NGX_ERROR;
        }

        if (ngx_queue_empty(&conn->calls)) {

            ngx_scc_redis_reply_free(reply);
            ngx_scc_redis_close(conn, 0, "it sent a reply nobody asked for");
            return NGX_ERROR;
        }

        q = ngx_queue_head(&conn->calls);
        ngx_queue_remove(q);
        conn->pending--;

        call = ngx_queue_data(q, ngx_scc_redis_call_t, queue);

        if (call->step != NGX_SCC_REDIS_COMMAND) {
            rc = ngx_scc_redis_handshake_reply(conn, call, reply);

            ngx_scc_redis_call_free(conn->pool, call);

        } else {
            ngx_scc_redis_deliver(conn, call, reply);
        }

        ngx_scc_redis_reply_free(reply);

        if (rc == NGX_ERROR) {
            ngx_scc_redis_close(conn, 0, conn->reason);
            return NGX_ERROR;
        }
    }

    if (conn->state == NGX_SCC_REDIS_DRAINING && conn->pending == 0) {
        ngx_scc_redis_close(conn, 0, conn->reason);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_scc_redis_deliver(ngx_scc_redis_conn_t *conn, ngx_scc_redis_call_t *call,
    ngx_scc_redis_reply_t *reply)
{
    void                      *data;
    ngx_scc_redis_handler_pt   handler;

    if (call->handler != NULL) {
        conn->live--;
    }

    if (ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR) {

        if (call->script != NULL
            && call->handler != NULL
            && ngx_scc_redis_reply_is(reply, "NOSCRIPT")
            && ngx_scc_redis_eval_again(call) == NGX_OK)
        {
            return;
        }

        if (conn->state == NGX_SCC_REDIS_READY
            && (ngx_scc_redis_reply_is(reply, "LOADING")
                || ngx_scc_redis_reply_is(reply, "NOAUTH")
                || ngx_scc_redis_reply_is(reply, "MASTERDOWN")))
        {
            ngx_scc_redis_drain(conn, reply);
        }
    }

    conn->deadline.cancelable = (conn->live == 0);

    handler = call->handler;
    data = call->data;

    ngx_scc_redis_call_free(conn->pool, call);

    if (handler != NULL) {
        handler(data, NGX_SCC_REDIS_OK, reply);
    }
}


/* What was sent may still be answered, each with its own error. */

static void
ngx_scc_redis_drain(ngx_scc_redis_conn_t *conn, ngx_scc_redis_reply_t *reply)
{
    ngx_str_t  str;

    str = ngx_scc_reply_str(reply);

    (void) ngx_scc_net_text(conn->reason, sizeof(conn->reason),
                            (char *) str.data, str.len);

    if (conn->state == NGX_SCC_REDIS_READY) {
        conn->state = NGX_SCC_REDIS_DRAINING;
        conn->pool->ready--;
    }
}


static void
ngx_scc_redis_close(ngx_scc_redis_conn_t *conn, ngx_err_t err,
    const char *reason)
{
    void                      *data;
    ngx_queue_t                calls, *q;
    ngx_scc_redis_pool_t      *pool;
    ngx_scc_redis_call_t      *call;
    ngx_scc_redis_handler_pt   handler;

    pool = conn->pool;

    ngx_scc_redis_trouble(pool, err, reason);

    ngx_scc_redis_release(conn);

    ngx_add_timer(&conn->timer, ngx_scc_backoff_down(&conn->backoff));

    if (ngx_queue_empty(&conn->calls)) {
        return;
    }

    /* the handlers see a closed connection, and may cancel one another */

    ngx_queue_init(&calls);
    ngx_queue_add(&calls, &conn->calls);
    ngx_queue_init(&conn->calls);

    conn->pending = 0;
    conn->live = 0;

    for (q = ngx_queue_head(&calls);
         q != ngx_queue_sentinel(&calls);
         q = ngx_queue_next(q))
    {
        call = ngx_queue_data(q, ngx_scc_redis_call_t, queue);
        call->conn = NULL;
    }

    while (!ngx_queue_empty(&calls)) {
        q = ngx_queue_head(&calls);
        ngx_queue_remove(q);

        call = ngx_queue_data(q, ngx_scc_redis_call_t, queue);

        handler = call->handler;
        data = call->data;

        ngx_scc_redis_call_free(pool, call);

        if (handler != NULL) {
            handler(data, NGX_SCC_REDIS_LOST, NULL);
        }
    }
}


static void
ngx_scc_redis_release(ngx_scc_redis_conn_t *conn)
{
    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    if (conn->deadline.timer_set) {
        ngx_del_timer(&conn->deadline);
    }

    conn->deadline.cancelable = 1;

    if (conn->connection != NULL) {
        ngx_close_connection(conn->connection);
        conn->connection = NULL;
    }

    if (conn->reader != NULL) {
        ngx_scc_redis_reader_free(conn->reader);
        conn->reader = NULL;
    }

    if (conn->out.start != NULL) {
        ngx_free(conn->out.start);
        ngx_memzero(&conn->out, sizeof(ngx_scc_redis_out_t));
    }

    if (conn->state == NGX_SCC_REDIS_READY) {
        conn->pool->ready--;
    }

    conn->state = NGX_SCC_REDIS_CLOSED;
}


static void
ngx_scc_redis_trouble(ngx_scc_redis_pool_t *pool, ngx_err_t err,
    const char *reason)
{
    if (ngx_scc_trouble(&pool->trouble, reason)) {
        ngx_log_error(NGX_LOG_ERR, pool->log, err,
                      "redis %V is down: %s; trying again",
                      &pool->conf->addr.name, reason);
    }
}
