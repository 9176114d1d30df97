
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_REDIS_H_INCLUDED_
#define _NGX_SCC_REDIS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Pipelined connections to one Redis server, driven by nginx events; the
 * only user of hiredis (its reply parser).  A pool belongs to one process
 * and lives on its cycle: make it in init_process (worker, helper or
 * single), never earlier.
 * It connects by itself, in the background, with backoff; while it is down
 * commands fail at once.  Every command has a deadline; when one passes,
 * its connection is dropped (replies are positional) and the commands on it
 * fail with NGX_SCC_REDIS_LOST.
 */

typedef struct ngx_scc_redis_pool_s   ngx_scc_redis_pool_t;
typedef struct ngx_scc_redis_call_s   ngx_scc_redis_call_t;
typedef struct ngx_scc_redis_reply_s  ngx_scc_redis_reply_t;   /* opaque */


typedef struct {
    ngx_addr_t       addr;              /* numeric or unix; never a name */
    ngx_str_t        user;              /* empty: none */
    ngx_str_t        password;          /* empty: none; never logged */
    ngx_uint_t       db;
    ngx_uint_t       connections;       /* per process, >= 1 */
    ngx_uint_t       pending_max;       /* per connection */
    ngx_msec_t       connect_timeout;
    ngx_msec_t       timeout;           /* of a command */
    ngx_msec_t       backoff_min;
    ngx_msec_t       backoff_max;
} ngx_scc_redis_conf_t;


typedef enum {
    NGX_SCC_REDIS_OK = 0,               /* a reply, maybe an error reply */
    NGX_SCC_REDIS_LOST,                 /* connection lost or timed out */
} ngx_scc_redis_status_t;


/* reply is valid only inside the handler; NULL unless status is OK.  The
   handler may send further commands and cancel others; the call it is the
   handler of is over, and must not be cancelled any more. */
typedef void (*ngx_scc_redis_handler_pt)(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);

/* The handler of a command that may as well fail. */
void ngx_scc_redis_ignore(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);


ngx_scc_redis_pool_t *ngx_scc_redis_pool_create(ngx_cycle_t *cycle,
    ngx_scc_redis_conf_t *conf);

/* For exit_process, where it must be called: connections stay open during a
   graceful shutdown, for the requests that are finishing.  Handlers of
   commands still pending are not called. */
void ngx_scc_redis_pool_destroy(ngx_scc_redis_pool_t *pool);

/* Scripts are loaded at each connect, before it is called ready.  sha1 is
   filled in (40 hex digits) by ngx_scc_redis_script(), which keeps script;
   call it right after the pool was created. */
typedef struct {
    ngx_str_t        name;              /* for the log */
    ngx_str_t        text;
    u_char           sha1[40];
} ngx_scc_redis_script_t;

ngx_int_t ngx_scc_redis_script(ngx_scc_redis_pool_t *pool,
    ngx_scc_redis_script_t *script);

/* True if a connection is ready and not full: a command may succeed. */
ngx_uint_t ngx_scc_redis_ready(ngx_scc_redis_pool_t *pool);

/*
 * Sends one command; argv is copied before return.  NULL, and handler is
 * never called, if there is no ready connection, too many are pending, or
 * no memory.  Otherwise handler is called exactly once, never from within
 * this function, unless the call is cancelled.  With timeout 0 the pool's.
 */
ngx_scc_redis_call_t *ngx_scc_redis_command(ngx_scc_redis_pool_t *pool,
    ngx_uint_t argc, const ngx_str_t *argv, ngx_msec_t timeout,
    ngx_scc_redis_handler_pt handler, void *data);

/* EVALSHA of a registered script with one key; on NOSCRIPT once more as
   EVAL.  Otherwise as ngx_scc_redis_command(). */
ngx_scc_redis_call_t *ngx_scc_redis_eval(ngx_scc_redis_pool_t *pool,
    ngx_scc_redis_script_t *script, const ngx_str_t *key, ngx_uint_t argc,
    const ngx_str_t *argv, ngx_msec_t timeout,
    ngx_scc_redis_handler_pt handler, void *data);

/* The handler will not be called; the command may still take effect. */
void ngx_scc_redis_cancel(ngx_scc_redis_call_t *call);


typedef enum {
    NGX_SCC_REPLY_NIL = 0,
    NGX_SCC_REPLY_STRING,               /* bulk or status */
    NGX_SCC_REPLY_INTEGER,
    NGX_SCC_REPLY_ARRAY,
    NGX_SCC_REPLY_ERROR,                /* str: "WRONGTYPE ...", "OOM ..." */
} ngx_scc_reply_type_t;

ngx_scc_reply_type_t ngx_scc_reply_type(ngx_scc_redis_reply_t *reply);
ngx_str_t ngx_scc_reply_str(ngx_scc_redis_reply_t *reply);
int64_t ngx_scc_reply_integer(ngx_scc_redis_reply_t *reply);
ngx_uint_t ngx_scc_reply_elements(ngx_scc_redis_reply_t *reply);
ngx_scc_redis_reply_t *ngx_scc_reply_element(ngx_scc_redis_reply_t *reply,
    ngx_uint_t i);

/* Bumped at each connect to a server whose run_id differs from the last
   one's (so: its content may be another); 0 before the first. */
ngx_uint_t ngx_scc_redis_incarnation(ngx_scc_redis_pool_t *pool);

/* The server's run_id as of the last connect; "-" where it tells none. */
ngx_str_t ngx_scc_redis_run_id(ngx_scc_redis_pool_t *pool);


#endif /* _NGX_SCC_REDIS_H_INCLUDED_ */
