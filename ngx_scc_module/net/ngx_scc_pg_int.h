
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_PG_INT_H_INCLUDED_
#define _NGX_SCC_PG_INT_H_INCLUDED_


/*
 * What the files of the PostgreSQL client share: ngx_scc_pg.c (the pool,
 * its queue and its calls) and ngx_scc_pg_conn.c (a connection's life).
 * Not for others.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <libpq-fe.h>

#include "ngx_scc_pg.h"
#include "ngx_scc_backoff.h"
#include "ngx_scc_borrow.h"


typedef struct ngx_scc_pg_conn_s  ngx_scc_pg_conn_t;


typedef enum {
    NGX_SCC_PG_CLOSED = 0,
    NGX_SCC_PG_CONNECTING,
    NGX_SCC_PG_IDLE,
    NGX_SCC_PG_RUNNING,
} ngx_scc_pg_state_t;


typedef enum {
    NGX_SCC_PG_EXECUTE = 0,
    NGX_SCC_PG_PREPARE,
    NGX_SCC_PG_DEALLOCATE,
} ngx_scc_pg_step_t;


struct ngx_scc_pg_call_s {
    ngx_queue_t                queue;
    ngx_scc_pg_pool_t         *pool;
    ngx_scc_pg_conn_t         *conn;        /* NULL: waiting */
    const ngx_scc_pg_stmt_t   *stmt;
    char                     **values;      /* one block with what follows */
    int                       *lengths;
    int                       *formats;
    ngx_scc_pg_handler_pt      handler;     /* NULL: cancelled */
    ngx_scc_pg_sent_pt         sent;        /* NULL: nobody wants to know */
    void                      *data;
    ngx_event_t                timer;
    unsigned                   again:1;     /* prepared once more already */
    uint64_t                   note[NGX_SCC_PG_NOTE / sizeof(uint64_t)];
};


struct ngx_scc_pg_conn_s {
    ngx_scc_pg_pool_t         *pool;
    PGconn                    *pg;          /* owns the descriptor */
    ngx_connection_t          *connection;  /* borrows it */
    ngx_scc_pg_state_t         state;
    ngx_scc_pg_step_t          step;
    ngx_scc_pg_call_t         *call;
    PGresult                  *result;      /* of this step */
    ngx_event_t                timer;       /* connect limit, or idle */
    const ngx_scc_pg_stmt_t  **prepared;
    ngx_uint_t                 nprepared;
    ngx_uint_t                 nalloc;
};


struct ngx_scc_pg_pool_s {
    ngx_scc_pg_conf_t         *conf;
    const ngx_scc_pg_gate_t   *gate;        /* NULL: none */
    ngx_uint_t                 answered;    /* as the gate said last */
    ngx_log_t                 *log;
    ngx_connection_t           dumb;        /* for debug logs of timers */
    ngx_scc_pg_conn_t         *conns;
    ngx_uint_t                 connecting;
    ngx_uint_t                 idle;
    ngx_uint_t                 running;
    ngx_queue_t                waiting;     /* calls, oldest first */
    ngx_uint_t                 nwaiting;
    ngx_queue_t                free;        /* calls */
    ngx_event_t                dispatch;    /* posted */
    ngx_event_t                retry;       /* while down */
    ngx_scc_backoff_t          backoff;
    ngx_msec_t                 down_until;
    ngx_scc_trouble_t          trouble;
    ngx_msec_t                 refused_at;
    unsigned                   refused:1;   /* "refused_at" is set */
    unsigned                   down:1;      /* the last connect failed */
    unsigned                   probe:1;     /* connect with nobody waiting */
};


/* ngx_scc_pg.c */

/* The call, taken from its connection or the queue, is over. */
void ngx_scc_pg_call_done(ngx_scc_pg_call_t *call,
    ngx_scc_pg_status_t status, PGresult *result);

/* Looks, soon, whether a waiting call and a connection fit. */
void ngx_scc_pg_dispatch(ngx_scc_pg_pool_t *pool);

/* A connection was made, or could not be. */
void ngx_scc_pg_up(ngx_scc_pg_pool_t *pool);
void ngx_scc_pg_down(ngx_scc_pg_pool_t *pool);

void ngx_scc_pg_trouble(ngx_scc_pg_pool_t *pool, const char *what,
    const char *text);


/* ngx_scc_pg_conn.c */

void ngx_scc_pg_conn_init(ngx_scc_pg_conn_t *conn, ngx_scc_pg_pool_t *pool);
void ngx_scc_pg_conn_open(ngx_scc_pg_conn_t *conn);
void ngx_scc_pg_conn_run(ngx_scc_pg_conn_t *conn, ngx_scc_pg_call_t *call);

/* Closes it; its call, if any, is left to the caller. */
void ngx_scc_pg_conn_close(ngx_scc_pg_conn_t *conn);
void ngx_scc_pg_conn_destroy(ngx_scc_pg_conn_t *conn);


#endif /* _NGX_SCC_PG_INT_H_INCLUDED_ */
