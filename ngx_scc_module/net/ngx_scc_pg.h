
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_PG_H_INCLUDED_
#define _NGX_SCC_PG_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Connections to one PostgreSQL server, driven by nginx events; the only
 * user of libpq's asynchronous API.  One statement at a time per
 * connection; at most "connections" of them per process, so that a lost
 * cache cannot drag the store down; callers beyond wait in a bounded queue.
 * Connections open on demand and close after "idle"; a server that refuses
 * is tried again with backoff, and meanwhile queries fail at once.
 */

typedef struct ngx_scc_pg_pool_s    ngx_scc_pg_pool_t;
typedef struct ngx_scc_pg_call_s    ngx_scc_pg_call_t;
typedef struct ngx_scc_pg_result_s  ngx_scc_pg_result_t;       /* opaque */


typedef struct {
    ngx_str_t        conninfo;          /* as given, checked at config time;
                                           never logged */
    char           **keywords;          /* for PQconnectStartParams, NULL- */
    char           **values;            /* terminated; host resolved to
                                           hostaddr, so libpq asks no DNS */
    ngx_str_t        name;              /* host:port/dbname, for the log */
    ngx_uint_t       connections;       /* per process, >= 1 */
    ngx_uint_t       queue;             /* callers that may wait */
    ngx_msec_t       connect_timeout;
    ngx_msec_t       timeout;           /* of a query, waiting included */
    ngx_msec_t       idle;
    ngx_msec_t       backoff_min;
    ngx_msec_t       backoff_max;
} ngx_scc_pg_conf_t;


/* What a pool's gate has to do with a statement. */
typedef enum {
    NGX_SCC_PG_FREE = 0,                /* nothing */
    NGX_SCC_PG_READ,                    /* asks, and judges the answer: the
                                           last column of its first row */
    NGX_SCC_PG_HELD,                    /* asks */
    NGX_SCC_PG_WRITE,                   /* asks; it may be let pass when the
                                           others are not */
} ngx_scc_pg_class_t;

/* Added to the class: all parameters are in binary format. */
#define NGX_SCC_PG_BINARY  0x10


/* A statement, prepared once per connection under its name; static. */
typedef struct {
    const char          *name;
    const char          *sql;
    ngx_uint_t           nparams;
    ngx_uint_t           flags;         /* class, NGX_SCC_PG_BINARY */
} ngx_scc_pg_stmt_t;

#define ngx_scc_pg_class(stmt)                                                \
    ((ngx_scc_pg_class_t) ((stmt)->flags & ~(ngx_uint_t) NGX_SCC_PG_BINARY))


typedef enum {
    NGX_SCC_PG_OK = 0,                  /* rows (maybe none) */
    NGX_SCC_PG_FAILED,                  /* the server said no: sqlstate */
    NGX_SCC_PG_DOWN,                    /* no connection, or it was lost */
    NGX_SCC_PG_TIMEOUT,                 /* the deadline passed, ours or
                                           the server's (57014) */
    NGX_SCC_PG_BUSY,                    /* the queue was full, or no
                                           memory */
} ngx_scc_pg_status_t;


/* result is valid only inside the handler; NULL unless OK or FAILED.  The
   handler may query and cancel others; its own call is over. */
typedef void (*ngx_scc_pg_handler_pt)(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);


/*
 * Parses a conninfo string at configuration time.  host must be an address,
 * a socket directory, or a name that resolves now.  Returns an error text
 * for ngx_conf_log_error or NULL.  Sets what must be ours: client_encoding,
 * gssencmode=disable, options with statement_timeout; and, unless given,
 * application_name, keepalives and tcp_user_timeout.  Call it when
 * conf->timeout is known: in init_main_conf.
 */
char *ngx_scc_pg_conninfo(ngx_conf_t *cf, ngx_scc_pg_conf_t *conf);

ngx_scc_pg_pool_t *ngx_scc_pg_pool_create(ngx_cycle_t *cycle,
    ngx_scc_pg_conf_t *conf);

/*
 * The gate: who owns it may refuse to have the server asked, which is then
 * DOWN, and answers.
 *
 *   pass    NGX_OK, or NGX_DECLINED: it is not asked
 *   answered  how often the server was found well, by any process: a pool
 *           that holds it for down tries at once then
 *   note    a READ statement is sent now: what to remember of this moment
 *   judge   its answer; word: the last column of the first row, which may
 *           be NULL (no data); NGX_DECLINED: the caller is told DOWN
 *   refused the server refused a connection, or a statement that is not
 *           FREE, with this SQLSTATE
 */
#define NGX_SCC_PG_NOTE  192            /* bytes */

typedef struct {
    void            *data;
    ngx_int_t      (*pass)(void *data, ngx_scc_pg_class_t class);
    ngx_uint_t     (*answered)(void *data);
    void           (*note)(void *data, void *note);
    ngx_int_t      (*judge)(void *data, const void *note, ngx_str_t *word);
    void           (*refused)(void *data, const char *sqlstate);
} ngx_scc_pg_gate_t;

/* Once, right after the pool was created. */
void ngx_scc_pg_pool_gate(ngx_scc_pg_pool_t *pool,
    const ngx_scc_pg_gate_t *gate);

/* For exit_process, where it must be called.  Handlers of calls still
   waiting or running are not called. */
void ngx_scc_pg_pool_destroy(ngx_scc_pg_pool_t *pool);

/*
 * Runs a statement; values are in the statement's format, copied before
 * return; len of a value NGX_SCC_PG_NULL means NULL.  Returns NULL and sets
 * *status (DOWN or BUSY), handler never called, or a call whose handler is
 * called exactly once, never from within this function, unless it is
 * cancelled.
 */
#define NGX_SCC_PG_NULL  ((size_t) -1)

ngx_scc_pg_call_t *ngx_scc_pg_query(ngx_scc_pg_pool_t *pool,
    const ngx_scc_pg_stmt_t *stmt, const ngx_str_t *values,
    ngx_scc_pg_handler_pt handler, void *data, ngx_scc_pg_status_t *status);

/* Right after ngx_scc_pg_query(): sent(data) is called once, when all of the
   statement has gone to the server; not if the call is over before. */
typedef void (*ngx_scc_pg_sent_pt)(void *data);

void ngx_scc_pg_sent(ngx_scc_pg_call_t *call, ngx_scc_pg_sent_pt sent);

/* The handler will not be called.  A waiting query is dropped; a running
   one is left to end (its connection is then used again). */
void ngx_scc_pg_cancel(ngx_scc_pg_call_t *call);

/* False while the server is known to be down (backoff), or while the gate
   is closed to READ. */
ngx_uint_t ngx_scc_pg_ready(ngx_scc_pg_pool_t *pool);

ngx_uint_t ngx_scc_pg_rows(ngx_scc_pg_result_t *result);

/* NGX_DECLINED if the value is NULL. */
ngx_int_t ngx_scc_pg_value(ngx_scc_pg_result_t *result, ngx_uint_t row,
    ngx_uint_t column, ngx_str_t *value);

/* Five characters, or "-----" if there is none. */
const char *ngx_scc_pg_sqlstate(ngx_scc_pg_result_t *result);

/* What a server said that failed, in its words; "" if nothing. */
const char *ngx_scc_pg_message(ngx_scc_pg_result_t *result);


#endif /* _NGX_SCC_PG_H_INCLUDED_ */
