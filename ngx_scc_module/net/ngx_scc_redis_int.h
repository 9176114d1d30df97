
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_REDIS_INT_H_INCLUDED_
#define _NGX_SCC_REDIS_INT_H_INCLUDED_


/*
 * What the files of the Redis client share: ngx_scc_redis.c (the pool and
 * its calls), ngx_scc_redis_conn.c (a connection's life),
 * ngx_scc_redis_handshake.c (what is said first) and ngx_scc_redis_reply.c
 * (the only file that knows hiredis).  Not for others.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_scc_redis.h"
#include "ngx_scc_backoff.h"


typedef struct ngx_scc_redis_conn_s  ngx_scc_redis_conn_t;


typedef enum {
    NGX_SCC_REDIS_CLOSED = 0,           /* waits for its timer */
    NGX_SCC_REDIS_CONNECTING,
    NGX_SCC_REDIS_HANDSHAKE,
    NGX_SCC_REDIS_READY,
    NGX_SCC_REDIS_DRAINING,             /* takes no new commands */
} ngx_scc_redis_state_t;


typedef enum {
    NGX_SCC_REDIS_COMMAND = 0,          /* somebody's */
    NGX_SCC_REDIS_AUTH,
    NGX_SCC_REDIS_SELECT,
    NGX_SCC_REDIS_SETNAME,
    NGX_SCC_REDIS_INFO,
    NGX_SCC_REDIS_LOAD,
    NGX_SCC_REDIS_PING,                 /* the last of the handshake */
} ngx_scc_redis_step_t;


struct ngx_scc_redis_call_s {
    ngx_queue_t                  queue;
    ngx_scc_redis_conn_t        *conn;
    ngx_scc_redis_handler_pt     handler;   /* NULL: cancelled, or a step */
    void                        *data;
    ngx_msec_t                   deadline;
    ngx_scc_redis_step_t         step;
    ngx_scc_redis_script_t      *script;    /* of a LOAD or an EVALSHA */
    ngx_str_t                    tail;      /* of an EVALSHA, for EVAL */
    ngx_uint_t                   tail_argc;
};


typedef struct {
    u_char                      *start;
    u_char                      *pos;       /* sent up to here */
    u_char                      *last;
    u_char                      *end;
} ngx_scc_redis_out_t;


struct ngx_scc_redis_conn_s {
    ngx_scc_redis_pool_t        *pool;
    ngx_connection_t            *connection;
    ngx_scc_redis_state_t        state;
    void                        *reader;
    ngx_scc_redis_out_t          out;
    ngx_queue_t                  calls;     /* in the order sent */
    ngx_uint_t                   pending;   /* calls in it */
    ngx_uint_t                   live;      /* those with a handler */
    ngx_event_t                  timer;     /* connect limit, or backoff */
    ngx_event_t                  deadline;  /* of the oldest calls */
    ngx_scc_backoff_t            backoff;
    u_char                       run_id[40];
    unsigned                     run_id_known:1;
    char                         reason[128];   /* the last error reply */
};


struct ngx_scc_redis_pool_s {
    ngx_scc_redis_conf_t        *conf;
    ngx_log_t                   *log;
    ngx_log_t                    quiet;     /* says nothing below emerg */
    ngx_connection_t             dumb;      /* for debug logs of timers */
    ngx_scc_redis_conn_t        *conns;
    ngx_uint_t                   next;      /* round robin of equals */
    ngx_uint_t                   ready;     /* connections */
    ngx_array_t                  scripts;   /* ngx_scc_redis_script_t * */
    ngx_queue_t                  free;      /* calls */
    ngx_uint_t                   incarnation;
    u_char                       run_id[40];
    unsigned                     run_id_known:1;
    ngx_scc_trouble_t            trouble;
};


/* ngx_scc_redis.c */

ngx_scc_redis_call_t *ngx_scc_redis_call_get(ngx_scc_redis_pool_t *pool);
void ngx_scc_redis_call_free(ngx_scc_redis_pool_t *pool,
    ngx_scc_redis_call_t *call);

/* Sends EVAL for a call whose EVALSHA found no script. */
ngx_int_t ngx_scc_redis_eval_again(ngx_scc_redis_call_t *call);

/* Appends a command, with text after its arguments (counted in argc, ready
   formatted), and its call.  Nothing is sent before the event loop turns. */
ngx_int_t ngx_scc_redis_append(ngx_scc_redis_conn_t *conn,
    ngx_scc_redis_call_t *call, ngx_uint_t argc, const ngx_str_t *argv,
    ngx_uint_t tail_argc, ngx_str_t *tail);

size_t ngx_scc_redis_args_size(ngx_uint_t argc, const ngx_str_t *argv);
u_char *ngx_scc_redis_args(u_char *p, ngx_uint_t argc,
    const ngx_str_t *argv);


/* ngx_scc_redis_conn.c */

void ngx_scc_redis_conn_init(ngx_scc_redis_conn_t *conn,
    ngx_scc_redis_pool_t *pool);
u_char *ngx_scc_redis_conn_reserve(ngx_scc_redis_conn_t *conn, size_t size);
void ngx_scc_redis_conn_deadline(ngx_scc_redis_conn_t *conn,
    ngx_msec_t deadline);
void ngx_scc_redis_conn_ready(ngx_scc_redis_conn_t *conn);

/* Closes quietly, for ever; handlers are not called. */
void ngx_scc_redis_conn_destroy(ngx_scc_redis_conn_t *conn);


/* ngx_scc_redis_handshake.c; an error: conn->reason says why */

ngx_int_t ngx_scc_redis_handshake(ngx_scc_redis_conn_t *conn);
ngx_int_t ngx_scc_redis_handshake_reply(ngx_scc_redis_conn_t *conn,
    ngx_scc_redis_call_t *call, ngx_scc_redis_reply_t *reply);


/* ngx_scc_redis_reply.c */

void *ngx_scc_redis_reader_create(void);
void ngx_scc_redis_reader_free(void *reader);
ngx_int_t ngx_scc_redis_reader_feed(void *reader, u_char *buf, size_t len);

/* NGX_OK and a reply to free, NGX_AGAIN, or NGX_ERROR: not the protocol, or
   no memory; the text is the reader's. */
ngx_int_t ngx_scc_redis_reader_next(void *reader,
    ngx_scc_redis_reply_t **reply, const char **err);
void ngx_scc_redis_reply_free(ngx_scc_redis_reply_t *reply);
ngx_uint_t ngx_scc_redis_reply_is(ngx_scc_redis_reply_t *reply,
    const char *error);


#endif /* _NGX_SCC_REDIS_INT_H_INCLUDED_ */
