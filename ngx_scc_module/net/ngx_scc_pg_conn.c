
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_pg_int.h"

#if (NGX_OPENSSL)
#include <openssl/ssl.h>
#endif


/* Names of statements are ours and short. */

#define NGX_SCC_PG_DEALLOCATE_LEN  128

#define NGX_SCC_PG_LOG_INTERVAL    1000


static void ngx_scc_pg_handler(ngx_event_t *ev);
static void ngx_scc_pg_timer_handler(ngx_event_t *ev);
static void ngx_scc_pg_notice(void *data, const char *message);
static void ngx_scc_pg_poll(ngx_scc_pg_conn_t *conn);
static ngx_int_t ngx_scc_pg_attach(ngx_scc_pg_conn_t *conn);
static void ngx_scc_pg_detach(ngx_scc_pg_conn_t *conn);
static void ngx_scc_pg_established(ngx_scc_pg_conn_t *conn);
static void ngx_scc_pg_send(ngx_scc_pg_conn_t *conn);
static ngx_int_t ngx_scc_pg_flush(ngx_scc_pg_conn_t *conn);
static void ngx_scc_pg_receive(ngx_scc_pg_conn_t *conn);
static ngx_int_t ngx_scc_pg_consume(ngx_scc_pg_conn_t *conn);
static void ngx_scc_pg_step_done(ngx_scc_pg_conn_t *conn);
static void ngx_scc_pg_refused(ngx_scc_pg_conn_t *conn);
static void ngx_scc_pg_finish(ngx_scc_pg_conn_t *conn,
    ngx_scc_pg_status_t status);
static void ngx_scc_pg_idle(ngx_scc_pg_conn_t *conn);
static void ngx_scc_pg_failed(ngx_scc_pg_conn_t *conn, const char *what);
static void ngx_scc_pg_message_state(const char *message, char state[6]);
static ngx_uint_t ngx_scc_pg_is_prepared(ngx_scc_pg_conn_t *conn,
    const ngx_scc_pg_stmt_t *stmt);
static ngx_int_t ngx_scc_pg_prepared(ngx_scc_pg_conn_t *conn,
    const ngx_scc_pg_stmt_t *stmt);
static void ngx_scc_pg_forget(ngx_scc_pg_conn_t *conn,
    const ngx_scc_pg_stmt_t *stmt);


void
ngx_scc_pg_conn_init(ngx_scc_pg_conn_t *conn, ngx_scc_pg_pool_t *pool)
{
    conn->pool = pool;
    conn->state = NGX_SCC_PG_CLOSED;

    conn->timer.handler = ngx_scc_pg_timer_handler;
    conn->timer.data = &pool->dumb;
    conn->timer.log = pool->log;
    conn->timer.cancelable = 1;
}


void
ngx_scc_pg_conn_destroy(ngx_scc_pg_conn_t *conn)
{
    ngx_scc_pg_conn_close(conn);

    if (conn->prepared != NULL) {
        ngx_free((void *) conn->prepared);
        conn->prepared = NULL;
        conn->nalloc = 0;
    }
}


void
ngx_scc_pg_conn_open(ngx_scc_pg_conn_t *conn)
{
    ngx_scc_pg_pool_t  *pool;

    pool = conn->pool;

    conn->state = NGX_SCC_PG_CONNECTING;
    pool->connecting++;

    ngx_add_timer(&conn->timer, pool->conf->connect_timeout);

    conn->pg = PQconnectStartParams((const char *const *)
                                    pool->conf->keywords,
                                    (const char *const *)
                                    pool->conf->values, 0);

    if (conn->pg == NULL
        || PQstatus(conn->pg) == CONNECTION_BAD
        || PQsetnonblocking(conn->pg, 1) != 0)
    {
        ngx_scc_pg_failed(conn, "is down");
        return;
    }

    (void) PQsetNoticeProcessor(conn->pg, ngx_scc_pg_notice, pool);

    /* with the SQLSTATE, for which libpq has no other place */

    (void) PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);

    if (ngx_scc_pg_attach(conn) != NGX_OK
        || ngx_scc_borrow_watch(conn->connection->write, NGX_WRITE_EVENT, 1)
           != NGX_OK)
    {
        ngx_scc_pg_failed(conn, "no event for a connection");
    }
}


void
ngx_scc_pg_conn_run(ngx_scc_pg_conn_t *conn, ngx_scc_pg_call_t *call)
{
    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    conn->pool->idle--;
    conn->pool->running++;

    conn->state = NGX_SCC_PG_RUNNING;
    conn->call = call;
    call->conn = conn;

    conn->step = ngx_scc_pg_is_prepared(conn, call->stmt)
                 ? NGX_SCC_PG_EXECUTE : NGX_SCC_PG_PREPARE;

    ngx_scc_pg_send(conn);
}


void
ngx_scc_pg_conn_close(ngx_scc_pg_conn_t *conn)
{
    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    switch (conn->state) {

    case NGX_SCC_PG_CLOSED:
        return;

    case NGX_SCC_PG_CONNECTING:
        conn->pool->connecting--;
        break;

    case NGX_SCC_PG_IDLE:
        conn->pool->idle--;
        break;

    case NGX_SCC_PG_RUNNING:
        conn->pool->running--;
        break;
    }

    conn->state = NGX_SCC_PG_CLOSED;
    conn->call = NULL;
    conn->nprepared = 0;

    if (conn->result != NULL) {
        PQclear(conn->result);
        conn->result = NULL;
    }

    /* libpq closes the descriptor, so nginx must have let go of it */

    ngx_scc_pg_detach(conn);

    if (conn->pg != NULL) {
        PQfinish(conn->pg);
        conn->pg = NULL;
    }
}


static void
ngx_scc_pg_handler(ngx_event_t *ev)
{
    ngx_connection_t   *c;
    ngx_scc_pg_conn_t  *conn;

    c = ev->data;
    conn = c->data;

    if (c->close) {
        ngx_scc_pg_failed(conn, "the worker process shuts down");
        return;
    }

    switch (conn->state) {

    case NGX_SCC_PG_CONNECTING:
        ngx_scc_pg_poll(conn);
        break;

    case NGX_SCC_PG_IDLE:
        ngx_scc_pg_idle(conn);
        break;

    case NGX_SCC_PG_RUNNING:

        if (ev->write) {
            if (ngx_scc_pg_flush(conn) != NGX_OK) {
                ngx_scc_pg_failed(conn, "the connection was lost");
            }

        } else {
            ngx_scc_pg_receive(conn);
        }

        break;

    case NGX_SCC_PG_CLOSED:
        break;
    }
}


static void
ngx_scc_pg_timer_handler(ngx_event_t *ev)
{
    ngx_scc_pg_conn_t  *conn;

    conn = ngx_scc_event_owner(ev, ngx_scc_pg_conn_t, timer);

    if (conn->state == NGX_SCC_PG_CONNECTING) {
        ngx_scc_pg_failed(conn, "connecting timed out");

    } else {
        ngx_scc_pg_conn_close(conn);
    }
}


static void
ngx_scc_pg_notice(void *data, const char *message)
{
    char                text[256];
    ngx_scc_pg_pool_t  *pool;

    pool = data;

    ngx_log_error(NGX_LOG_INFO, pool->log, 0, "postgres %V says: %s",
                  &pool->conf->name,
                  ngx_scc_net_text(text, sizeof(text), message,
                                   ngx_strlen(message)));
}


/*
 * PQconnectPoll() may close its socket and open another, often under the
 * same number; epoll then has silently lost it.  So nginx lets go of the
 * descriptor before each call, while it is still that one, and takes what
 * there is afterwards.
 */

static void
ngx_scc_pg_poll(ngx_scc_pg_conn_t *conn)
{
    ngx_int_t                  rc;
    ngx_connection_t          *c;
    PostgresPollingStatusType  status;

    ngx_scc_pg_detach(conn);

    status = PQconnectPoll(conn->pg);

    if (status == PGRES_POLLING_FAILED) {
        ngx_scc_pg_failed(conn, "is down");
        return;
    }

    rc = ngx_scc_pg_attach(conn);

    if (rc == NGX_OK) {

        c = conn->connection;

        rc = (status == PGRES_POLLING_WRITING)
             ? ngx_scc_borrow_watch(c->write, NGX_WRITE_EVENT, 1)
             : ngx_scc_borrow_watch(c->read, NGX_READ_EVENT, 1);
    }

    if (rc != NGX_OK) {
        ngx_scc_pg_failed(conn, "no event for a connection");
        return;
    }

    if (status == PGRES_POLLING_OK) {
        ngx_scc_pg_established(conn);
    }
}


static ngx_int_t
ngx_scc_pg_attach(ngx_scc_pg_conn_t *conn)
{
    int  fd;

    fd = PQsocket(conn->pg);

    if (fd < 0) {
        return NGX_ERROR;
    }

    conn->connection = ngx_scc_borrow(fd, ngx_scc_pg_handler, conn,
                                      conn->pool->log);

    return (conn->connection != NULL) ? NGX_OK : NGX_ERROR;
}


static void
ngx_scc_pg_detach(ngx_scc_pg_conn_t *conn)
{
    ngx_uint_t         flags;
    ngx_connection_t  *c;

    c = conn->connection;

    if (c == NULL) {
        return;
    }

    /* libpq closes a broken socket by itself; epoll has forgotten it then */

    flags = (PQsocket(conn->pg) == c->fd) ? 0 : NGX_CLOSE_EVENT;

    ngx_scc_borrow_return(c, flags);

    conn->connection = NULL;
}


static void
ngx_scc_pg_established(ngx_scc_pg_conn_t *conn)
{
    ngx_scc_pg_pool_t  *pool;

    pool = conn->pool;

    pool->connecting--;
    pool->idle++;
    conn->state = NGX_SCC_PG_IDLE;

    (void) PQsetErrorVerbosity(conn->pg, PQERRORS_DEFAULT);

    /* ngx_add_timer() alone would keep a timer less than 300 ms away */

    if (conn->timer.timer_set) {
        ngx_del_timer(&conn->timer);
    }

    ngx_add_timer(&conn->timer, pool->conf->idle);

    ngx_scc_pg_up(pool);
}


static void
ngx_scc_pg_send(ngx_scc_pg_conn_t *conn)
{
    int                       ok;
    u_char                    sql[NGX_SCC_PG_DEALLOCATE_LEN];
    ngx_scc_pg_call_t        *call;
    const ngx_scc_pg_stmt_t  *stmt;

    call = conn->call;
    stmt = call->stmt;

    switch (conn->step) {

    case NGX_SCC_PG_PREPARE:
        ok = PQsendPrepare(conn->pg, stmt->name, stmt->sql,
                           (int) stmt->nparams, NULL);
        break;

    case NGX_SCC_PG_DEALLOCATE:

        /* the name is a constant of ours; DEALLOCATE takes no parameters */

        (void) ngx_snprintf(sql, sizeof(sql), "DEALLOCATE \"%s\"%Z",
                            stmt->name);

        ok = PQsendQueryParams(conn->pg, (char *) sql, 0, NULL, NULL, NULL,
                               NULL, 0);
        break;

    default: /* NGX_SCC_PG_EXECUTE */

        if (conn->pool->gate != NULL
            && ngx_scc_pg_class(stmt) == NGX_SCC_PG_READ)
        {
            conn->pool->gate->note(conn->pool->gate->data, call->note);
        }

        ok = PQsendQueryPrepared(conn->pg, stmt->name, (int) stmt->nparams,
                                 (const char *const *) call->values,
                                 call->lengths, call->formats, 0);
    }

    if (!ok || ngx_scc_pg_flush(conn) != NGX_OK) {
        ngx_scc_pg_failed(conn, "the connection was lost");
    }
}


static ngx_int_t
ngx_scc_pg_flush(ngx_scc_pg_conn_t *conn)
{
    int                  rc;
    ngx_scc_pg_call_t   *call;
    ngx_scc_pg_sent_pt   sent;

    rc = PQflush(conn->pg);

    if (rc < 0
        || ngx_scc_borrow_watch(conn->connection->write, NGX_WRITE_EVENT,
                                rc == 1)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    call = conn->call;

    if (rc == 0 && conn->step == NGX_SCC_PG_EXECUTE && call->sent != NULL) {
        sent = call->sent;
        call->sent = NULL;

        sent(call->data);
    }

    return NGX_OK;
}


static void
ngx_scc_pg_receive(ngx_scc_pg_conn_t *conn)
{
    PGresult  *result;

    if (ngx_scc_pg_consume(conn) != NGX_OK) {
        ngx_scc_pg_failed(conn, "the connection was lost");
        return;
    }

    /* the server may have stopped reading until its answer is taken */

    if (conn->connection->write->active && ngx_scc_pg_flush(conn) != NGX_OK) {
        ngx_scc_pg_failed(conn, "the connection was lost");
        return;
    }

    while (!PQisBusy(conn->pg)) {
        result = PQgetResult(conn->pg);

        if (result == NULL) {
            ngx_scc_pg_step_done(conn);
            return;
        }

        switch (PQresultStatus(result)) {

        case PGRES_COPY_IN:
        case PGRES_COPY_OUT:
        case PGRES_COPY_BOTH:
            PQclear(result);
            ngx_scc_pg_failed(conn, "a statement was a COPY");
            return;

        default:
            break;
        }

        if (conn->result == NULL) {
            conn->result = result;

        } else {
            PQclear(result);
        }
    }
}


static ngx_int_t
ngx_scc_pg_consume(ngx_scc_pg_conn_t *conn)
{
#if (NGX_OPENSSL)
    SSL  *ssl;
#endif

    if (!PQconsumeInput(conn->pg)) {
        return NGX_ERROR;
    }

#if (NGX_OPENSSL)

    /* bytes OpenSSL has already taken do not make the socket readable */

    if (PQsslInUse(conn->pg)) {
        ssl = PQsslStruct(conn->pg, "OpenSSL");

        while (ssl != NULL && PQisBusy(conn->pg) && SSL_pending(ssl) > 0) {

            if (!PQconsumeInput(conn->pg)) {
                return NGX_ERROR;
            }
        }
    }

#endif

    return NGX_OK;
}


static void
ngx_scc_pg_step_done(ngx_scc_pg_conn_t *conn)
{
    const ngx_scc_pg_stmt_t  *stmt;

    stmt = conn->call->stmt;

    switch (PQresultStatus(conn->result)) {

    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:

        if (conn->step == NGX_SCC_PG_EXECUTE) {
            ngx_scc_pg_finish(conn, NGX_SCC_PG_OK);
            return;
        }

        break;

    default:

        if (conn->step != NGX_SCC_PG_DEALLOCATE) {
            ngx_scc_pg_refused(conn);
            return;
        }
    }

    PQclear(conn->result);
    conn->result = NULL;

    if (conn->step == NGX_SCC_PG_DEALLOCATE) {
        conn->step = NGX_SCC_PG_PREPARE;

    } else {
        conn->step = NGX_SCC_PG_EXECUTE;

        if (ngx_scc_pg_prepared(conn, stmt) != NGX_OK) {
            ngx_scc_pg_failed(conn, "no memory");
            return;
        }
    }

    ngx_scc_pg_send(conn);
}


/*
 * Prepared statements vanish (DISCARD ALL, a pooler in between), stay
 * (the pooler again) or outlive a changed table: each is mended once per
 * call, and nothing was executed by then.
 */

static void
ngx_scc_pg_refused(ngx_scc_pg_conn_t *conn)
{
    char                     *function, text[256];
    const char               *state, *primary;
    ngx_uint_t                lost, stale, there;
    ngx_scc_pg_pool_t        *pool;
    const ngx_scc_pg_stmt_t  *stmt;

    pool = conn->pool;
    stmt = conn->call->stmt;
    state = ngx_scc_pg_sqlstate((ngx_scc_pg_result_t *) conn->result);

    /* the text of 0A000 depends on lc_messages, the function does not */

    function = PQresultErrorField(conn->result, PG_DIAG_SOURCE_FUNCTION);

    lost = conn->step == NGX_SCC_PG_EXECUTE
           && ngx_strcmp(state, "26000") == 0;
    stale = conn->step == NGX_SCC_PG_EXECUTE
            && ngx_strcmp(state, "0A000") == 0
            && function != NULL
            && ngx_strcmp(function, "RevalidateCachedQuery") == 0;
    there = conn->step == NGX_SCC_PG_PREPARE
            && ngx_strcmp(state, "42P05") == 0;

    if ((lost || stale || there) && !conn->call->again) {
        conn->call->again = 1;
        conn->step = lost ? NGX_SCC_PG_PREPARE : NGX_SCC_PG_DEALLOCATE;

        PQclear(conn->result);
        conn->result = NULL;

        ngx_scc_pg_forget(conn, stmt);
        ngx_scc_pg_send(conn);
        return;
    }

    if (ngx_strncmp(state, "08", 2) == 0
        || ngx_strncmp(state, "57P0", 4) == 0
        || ngx_strcmp(state, "53300") == 0
        || PQstatus(conn->pg) == CONNECTION_BAD)
    {
        ngx_scc_pg_failed(conn, "the connection was lost");
        return;
    }

    if (ngx_strcmp(state, "57014") == 0) {

        /* statement_timeout, a moment before our own */

        ngx_scc_pg_finish(conn, NGX_SCC_PG_TIMEOUT);
        return;
    }

    /* messages of classes 22 and 23 quote values */

    primary = "";

    if (ngx_strncmp(state, "22", 2) != 0 && ngx_strncmp(state, "23", 2) != 0)
    {
        primary = PQresultErrorField(conn->result, PG_DIAG_MESSAGE_PRIMARY);
        primary = ngx_scc_net_text(text, sizeof(text),
                                   primary ? primary : "",
                                   primary ? ngx_strlen(primary) : 0);
    }

    if (!pool->refused
        || ngx_current_msec - pool->refused_at >= NGX_SCC_PG_LOG_INTERVAL)
    {
        pool->refused = 1;
        pool->refused_at = ngx_current_msec;

        ngx_log_error(NGX_LOG_ERR, pool->log, 0,
                      "postgres %V refused statement \"%s\": SQLSTATE %s %s",
                      &pool->conf->name, stmt->name, state, primary);
    }

    ngx_scc_pg_finish(conn, NGX_SCC_PG_FAILED);
}


static void
ngx_scc_pg_finish(ngx_scc_pg_conn_t *conn, ngx_scc_pg_status_t status)
{
    PGresult           *result;
    ngx_scc_pg_pool_t  *pool;
    ngx_scc_pg_call_t  *call;

    pool = conn->pool;
    call = conn->call;
    result = conn->result;

    conn->call = NULL;
    conn->result = NULL;
    conn->state = NGX_SCC_PG_IDLE;

    pool->running--;
    pool->idle++;

    ngx_add_timer(&conn->timer, pool->conf->idle);

    if (pool->nwaiting) {
        ngx_scc_pg_dispatch(pool);
    }

    /* from here on the connection may be another's */

    ngx_scc_pg_call_done(call, status,
                         status == NGX_SCC_PG_TIMEOUT ? NULL : result);

    PQclear(result);
}


/* Nobody asked: a notice, a changed setting, or the end. */

static void
ngx_scc_pg_idle(ngx_scc_pg_conn_t *conn)
{
    PGnotify  *notify;

    if (ngx_scc_pg_consume(conn) != NGX_OK
        || PQstatus(conn->pg) == CONNECTION_BAD)
    {
        ngx_log_error(NGX_LOG_INFO, conn->pool->log, 0,
                      "postgres %V closed an idle connection",
                      &conn->pool->conf->name);

        ngx_scc_pg_conn_close(conn);
        return;
    }

    (void) PQisBusy(conn->pg);

    while ((notify = PQnotifies(conn->pg)) != NULL) {
        PQfreemem(notify);
    }
}


static void
ngx_scc_pg_failed(ngx_scc_pg_conn_t *conn, const char *what)
{
    char                 text[256], state[6];
    const char          *message;
    ngx_uint_t           connecting;
    ngx_scc_pg_pool_t   *pool;
    ngx_scc_pg_call_t   *call;

    pool = conn->pool;
    call = conn->call;
    connecting = (conn->state == NGX_SCC_PG_CONNECTING);

    message = conn->pg ? PQerrorMessage(conn->pg) : "";

    state[0] = '\0';

    if (connecting) {
        ngx_scc_pg_message_state(message, state);
    }

    ngx_scc_pg_trouble(pool, what,
                       ngx_scc_net_text(text, sizeof(text), message,
                                        ngx_strlen(message)));

    ngx_scc_pg_conn_close(conn);

    if (connecting) {

        if (state[0] != '\0' && pool->gate != NULL) {
            pool->gate->refused(pool->gate->data, state);
        }

        ngx_scc_pg_down(pool);
    }

    if (pool->nwaiting) {
        ngx_scc_pg_dispatch(pool);
    }

    if (call != NULL) {
        ngx_scc_pg_call_done(call, NGX_SCC_PG_DOWN, NULL);
    }
}


/*
 * "... FATAL:  3D000: database ... does not exist", the first word in the
 * server's language: five capitals and digits between two colons.  Of several
 * addresses the last one's counts.
 */

static void
ngx_scc_pg_message_state(const char *message, char state[6])
{
    size_t       i;
    const char  *p;

    for (p = strchr(message, ':'); p != NULL; p = strchr(p + 1, ':')) {

        for (i = 1; p[i] == ' '; i++) { /* void */ }

        p += i - 1;

        for (i = 1; i <= 5; i++) {
            if ((p[i] < '0' || p[i] > '9') && (p[i] < 'A' || p[i] > 'Z')) {
                break;
            }
        }

        if (i == 6 && p[6] == ':') {
            ngx_memcpy(state, p + 1, 5);
            state[5] = '\0';
        }
    }
}


static ngx_uint_t
ngx_scc_pg_is_prepared(ngx_scc_pg_conn_t *conn, const ngx_scc_pg_stmt_t *stmt)
{
    ngx_uint_t  i;

    for (i = 0; i < conn->nprepared; i++) {

        if (conn->prepared[i] == stmt) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_scc_pg_prepared(ngx_scc_pg_conn_t *conn, const ngx_scc_pg_stmt_t *stmt)
{
    ngx_uint_t                 n;
    const ngx_scc_pg_stmt_t  **p;

    if (conn->nprepared == conn->nalloc) {
        n = conn->nalloc ? 2 * conn->nalloc : 8;

        p = ngx_alloc(n * sizeof(ngx_scc_pg_stmt_t *), conn->pool->log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        if (conn->prepared != NULL) {
            ngx_memcpy(p, conn->prepared,
                       conn->nprepared * sizeof(ngx_scc_pg_stmt_t *));
            ngx_free((void *) conn->prepared);
        }

        conn->prepared = p;
        conn->nalloc = n;
    }

    conn->prepared[conn->nprepared++] = stmt;

    return NGX_OK;
}


static void
ngx_scc_pg_forget(ngx_scc_pg_conn_t *conn, const ngx_scc_pg_stmt_t *stmt)
{
    ngx_uint_t  i;

    for (i = 0; i < conn->nprepared; i++) {

        if (conn->prepared[i] == stmt) {
            conn->prepared[i] = conn->prepared[--conn->nprepared];
            return;
        }
    }
}
