
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


/*
 * For tests only.  GET /?op=...
 *
 *   op=redis&a=GET&a=key          a command
 *   op=eval&script=S&key=K&a=...  a script
 *   op=pg&stmt=S&v=...            a statement; a bare "n" is a NULL
 *   op=state                      ready and incarnation of the pools
 *
 * timeout=MS; fill=N replaces the last argument by N bytes; repeat=N sends
 * again from the handler; cancel=1 cancels what was sent and answers.
 */

#include "ngx_scc_net_test.h"


#define NGX_SCC_NET_ARGS  64


typedef struct {
    ngx_http_request_t      *request;
    ngx_str_t                op;
    ngx_str_t                script;
    ngx_str_t                key;
    ngx_str_t                stmt;
    ngx_str_t                args[NGX_SCC_NET_ARGS];
    ngx_uint_t               nargs;
    ngx_uint_t               repeat;
    ngx_msec_t               timeout;
    ngx_scc_redis_call_t    *redis_call;
    ngx_scc_pg_call_t       *pg_call;
    unsigned                 cancel:1;
    unsigned                 sending:1;
} ngx_scc_net_ctx_t;


static ngx_int_t ngx_scc_net_handler(ngx_http_request_t *r);
static ngx_int_t ngx_scc_net_parse(ngx_scc_net_ctx_t *ctx);
static ngx_int_t ngx_scc_net_state(ngx_http_request_t *r);
static const char *ngx_scc_net_run(ngx_scc_net_ctx_t *ctx);
static void ngx_scc_net_redis_done(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_net_pg_done(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static size_t ngx_scc_net_reply_size(ngx_scc_redis_reply_t *reply);
static u_char *ngx_scc_net_reply(u_char *p, ngx_scc_redis_reply_t *reply);
static void ngx_scc_net_finish(ngx_scc_net_ctx_t *ctx, ngx_str_t *text);
static ngx_int_t ngx_scc_net_send(ngx_http_request_t *r, ngx_str_t *text);
static void ngx_scc_net_cleanup(void *data);
static char *ngx_scc_net_test(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_scc_net_init_process(ngx_cycle_t *cycle);
static void ngx_scc_net_exit_process(ngx_cycle_t *cycle);


static ngx_scc_redis_pool_t  *ngx_scc_net_redis_pool;
static ngx_scc_pg_pool_t     *ngx_scc_net_pg_pool;


static ngx_command_t  ngx_scc_net_commands[] = {

    { ngx_string("scc_net_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_scc_net_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_net_script"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_scc_net_script,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_net_pg"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_scc_net_pg,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_net_statement"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE3,
      ngx_scc_net_statement,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_net_test"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_scc_net_test,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_scc_net_test_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_scc_net_create_main_conf,          /* create main configuration */
    ngx_scc_net_init_main_conf,            /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_scc_net_test_module = {
    NGX_MODULE_V1,
    &ngx_scc_net_test_module_ctx,          /* module context */
    ngx_scc_net_commands,                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_scc_net_init_process,              /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_scc_net_exit_process,              /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_scc_net_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_str_t            text;
    const char          *refused;
    ngx_scc_net_ctx_t   *ctx;
    ngx_http_cleanup_t  *cln;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_scc_net_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->request = r;

    if (ngx_scc_net_parse(ctx) != NGX_OK) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (ctx->op.len == 5 && ngx_strncmp(ctx->op.data, "state", 5) == 0) {
        return ngx_scc_net_state(r);
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_scc_net_cleanup;
    cln->data = ctx;

    refused = ngx_scc_net_run(ctx);

    if (refused == NULL && ctx->cancel) {
        ngx_scc_net_cleanup(ctx);
        refused = "CANCELLED\n";
    }

    if (refused != NULL) {
        text.data = (u_char *) refused;
        text.len = ngx_strlen(refused);
        return ngx_scc_net_send(r, &text);
    }

    r->read_event_handler = ngx_http_test_reading;
    r->main->count++;

    return NGX_DONE;
}


static ngx_int_t
ngx_scc_net_parse(ngx_scc_net_ctx_t *ctx)
{
    u_char              *p, *last, *end, *eq, *dst, *src;
    ngx_int_t            n, fill;
    ngx_str_t            name, value;
    ngx_http_request_t  *r;

    r = ctx->request;
    fill = 0;

    p = r->args.data;
    last = p + r->args.len;

    for ( /* void */ ; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');
        if (end == NULL) {
            end = last;
        }

        eq = ngx_strlchr(p, end, '=');

        name.data = p;
        name.len = (eq ? eq : end) - p;

        dst = ngx_pnalloc(r->pool, end - p + 1);
        if (dst == NULL) {
            return NGX_ERROR;
        }

        value.data = dst;
        src = eq ? eq + 1 : end;
        ngx_unescape_uri(&dst, &src, end - src, 0);
        value.len = dst - value.data;

        n = ngx_atoi(value.data, value.len);

#define ngx_scc_net_is(s)                                                     \
    (name.len == sizeof(s) - 1                                                \
     && ngx_strncmp(name.data, s, sizeof(s) - 1) == 0)

        if (ngx_scc_net_is("op")) {
            ctx->op = value;

        } else if (ngx_scc_net_is("script")) {
            ctx->script = value;

        } else if (ngx_scc_net_is("key")) {
            ctx->key = value;

        } else if (ngx_scc_net_is("stmt")) {
            ctx->stmt = value;

        } else if (ngx_scc_net_is("timeout") && n > 0) {
            ctx->timeout = (ngx_msec_t) n;

        } else if (ngx_scc_net_is("repeat") && n > 0) {
            ctx->repeat = (ngx_uint_t) n - 1;

        } else if (ngx_scc_net_is("cancel")) {
            ctx->cancel = 1;

        } else if (ngx_scc_net_is("fill") && n > 0) {
            fill = n;

        } else if (ctx->nargs < NGX_SCC_NET_ARGS
                   && (ngx_scc_net_is("a") || ngx_scc_net_is("v")))
        {
            ctx->args[ctx->nargs++] = value;

        } else if (ctx->nargs < NGX_SCC_NET_ARGS && ngx_scc_net_is("n")) {
            ctx->args[ctx->nargs].len = NGX_SCC_PG_NULL;
            ctx->args[ctx->nargs++].data = NULL;

        } else {
            return NGX_ERROR;
        }
    }

    if (fill && ctx->nargs) {
        value.data = ngx_pnalloc(r->pool, (size_t) fill);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        ngx_memset(value.data, 'x', (size_t) fill);
        value.len = (size_t) fill;

        ctx->args[ctx->nargs - 1] = value;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_scc_net_state(ngx_http_request_t *r)
{
    u_char     *p;
    ngx_str_t   text;

    p = ngx_pnalloc(r->pool, 256);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text.data = p;

    if (ngx_scc_net_redis_pool) {
        p = ngx_sprintf(p, "redis=%ui incarnation=%ui\n",
                        ngx_scc_redis_ready(ngx_scc_net_redis_pool),
                        ngx_scc_redis_incarnation(ngx_scc_net_redis_pool));
    }

    if (ngx_scc_net_pg_pool) {
        p = ngx_sprintf(p, "pg=%ui\n", ngx_scc_pg_ready(ngx_scc_net_pg_pool));
    }

    p = ngx_sprintf(p, "pid=%P\n", ngx_pid);

    text.len = p - text.data;

    return ngx_scc_net_send(r, &text);
}


static const char *
ngx_scc_net_run(ngx_scc_net_ctx_t *ctx)
{
    ngx_uint_t                 i;
    ngx_scc_pg_status_t        status;
    ngx_scc_pg_stmt_t        **stmt;
    ngx_scc_redis_script_t   **script;
    ngx_scc_net_main_conf_t   *nmcf;

    nmcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_scc_net_test_module);

    ctx->sending = 1;

    if (ctx->op.len == 5 && ngx_strncmp(ctx->op.data, "redis", 5) == 0
        && ctx->nargs && ngx_scc_net_redis_pool)
    {
        ctx->redis_call = ngx_scc_redis_command(ngx_scc_net_redis_pool,
                                                ctx->nargs, ctx->args,
                                                ctx->timeout,
                                                ngx_scc_net_redis_done, ctx);
        ctx->sending = 0;
        return ctx->redis_call ? NULL : "NONE\n";
    }

    if (ctx->op.len == 4 && ngx_strncmp(ctx->op.data, "eval", 4) == 0
        && ngx_scc_net_redis_pool)
    {
        script = nmcf->scripts.elts;

        for (i = 0; i < nmcf->scripts.nelts; i++) {

            if (script[i]->name.len != ctx->script.len
                || ngx_strncmp(script[i]->name.data, ctx->script.data,
                               ctx->script.len) != 0)
            {
                continue;
            }

            ctx->redis_call = ngx_scc_redis_eval(ngx_scc_net_redis_pool,
                                                 script[i], &ctx->key,
                                                 ctx->nargs, ctx->args,
                                                 ctx->timeout,
                                                 ngx_scc_net_redis_done,
                                                 ctx);
            ctx->sending = 0;
            return ctx->redis_call ? NULL : "NONE\n";
        }
    }

    if (ctx->op.len == 2 && ngx_strncmp(ctx->op.data, "pg", 2) == 0
        && ngx_scc_net_pg_pool)
    {
        stmt = nmcf->stmts.elts;

        for (i = 0; i < nmcf->stmts.nelts; i++) {

            if (ngx_strlen(stmt[i]->name) != ctx->stmt.len
                || ngx_strncmp(stmt[i]->name, ctx->stmt.data, ctx->stmt.len)
                   != 0
                || stmt[i]->nparams != ctx->nargs)
            {
                continue;
            }

            ctx->pg_call = ngx_scc_pg_query(ngx_scc_net_pg_pool, stmt[i],
                                            ctx->args, ngx_scc_net_pg_done,
                                            ctx, &status);
            ctx->sending = 0;

            if (ctx->pg_call) {
                return NULL;
            }

            return status == NGX_SCC_PG_BUSY ? "BUSY\n" : "NODOWN\n";
        }
    }

    return "WHAT\n";
}


static void
ngx_scc_net_redis_done(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    u_char             *p;
    ngx_str_t           text;
    const char         *refused;
    ngx_scc_net_ctx_t  *ctx = data;

    ctx->redis_call = NULL;

    if (ctx->sending) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "handler called from within the sending function");
    }

    if ((status == NGX_SCC_REDIS_OK) != (reply != NULL)) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "status and reply do not fit");
    }

    if (status == NGX_SCC_REDIS_OK && ctx->repeat) {
        ctx->repeat--;

        refused = ngx_scc_net_run(ctx);

        if (refused == NULL) {
            return;
        }

        text.data = (u_char *) refused;
        text.len = ngx_strlen(refused);
        ngx_scc_net_finish(ctx, &text);
        return;
    }

    if (status == NGX_SCC_REDIS_LOST) {
        ngx_str_set(&text, "LOST\n");
        ngx_scc_net_finish(ctx, &text);
        return;
    }

    text.len = sizeof("OK\n") - 1 + ngx_scc_net_reply_size(reply);
    text.data = ngx_pnalloc(ctx->request->pool, text.len);

    if (text.data == NULL) {
        ngx_scc_net_finish(ctx, NULL);
        return;
    }

    p = ngx_cpymem(text.data, "OK\n", 3);
    p = ngx_scc_net_reply(p, reply);
    text.len = p - text.data;

    ngx_scc_net_finish(ctx, &text);
}


static void
ngx_scc_net_pg_done(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    u_char             *p;
    size_t              size;
    ngx_str_t           text, value;
    ngx_uint_t          row, column;
    const char         *refused;
    ngx_scc_net_ctx_t  *ctx = data;

    static ngx_str_t  names[] = {
        ngx_string("OK"), ngx_string("FAILED"), ngx_string("DOWN"),
        ngx_string("TIMEOUT"), ngx_string("BUSY")
    };

    ctx->pg_call = NULL;

    if (ctx->sending) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "handler called from within the sending function");
    }

    if (status == NGX_SCC_PG_OK && ctx->repeat) {
        ctx->repeat--;

        refused = ngx_scc_net_run(ctx);

        if (refused == NULL) {
            return;
        }

        text.data = (u_char *) refused;
        text.len = ngx_strlen(refused);
        ngx_scc_net_finish(ctx, &text);
        return;
    }

    size = 64;

    if (status == NGX_SCC_PG_OK) {
        for (row = 0; row < ngx_scc_pg_rows(result); row++) {
            for (column = 0; column < 16; column++) {
                (void) ngx_scc_pg_value(result, row, column, &value);
                size += value.len + NGX_SIZE_T_LEN + 4;
            }
        }
    }

    text.data = ngx_pnalloc(ctx->request->pool, size);

    if (text.data == NULL) {
        ngx_scc_net_finish(ctx, NULL);
        return;
    }

    p = ngx_sprintf(text.data, "%V", &names[status]);

    if (status == NGX_SCC_PG_FAILED) {
        p = ngx_sprintf(p, " %s", ngx_scc_pg_sqlstate(result));
    }

    *p++ = LF;

    if (status == NGX_SCC_PG_OK) {

        for (row = 0; row < ngx_scc_pg_rows(result); row++) {

            for (column = 0; column < 16; column++) {

                if (ngx_scc_pg_value(result, row, column, &value)
                    == NGX_OK)
                {
                    p = ngx_sprintf(p, "%uz:%V ", value.len, &value);

                } else {
                    p = ngx_sprintf(p, "N ");
                }
            }

            *p++ = LF;
        }
    }

    text.len = p - text.data;

    ngx_scc_net_finish(ctx, &text);
}


static size_t
ngx_scc_net_reply_size(ngx_scc_redis_reply_t *reply)
{
    size_t      size;
    ngx_uint_t  i;

    size = NGX_INT64_LEN + 4 + ngx_scc_reply_str(reply).len;

    for (i = 0; i < ngx_scc_reply_elements(reply); i++) {
        size += ngx_scc_net_reply_size(ngx_scc_reply_element(reply, i));
    }

    return size;
}


static u_char *
ngx_scc_net_reply(u_char *p, ngx_scc_redis_reply_t *reply)
{
    ngx_str_t   str;
    ngx_uint_t  i;

    str = ngx_scc_reply_str(reply);

    switch (ngx_scc_reply_type(reply)) {

    case NGX_SCC_REPLY_NIL:
        return ngx_sprintf(p, "N\n");

    case NGX_SCC_REPLY_STRING:
        return ngx_sprintf(p, "S%uz:%V\n", str.len, &str);

    case NGX_SCC_REPLY_ERROR:
        return ngx_sprintf(p, "E%uz:%V\n", str.len, &str);

    case NGX_SCC_REPLY_INTEGER:
        return ngx_sprintf(p, "I%L\n", ngx_scc_reply_integer(reply));

    case NGX_SCC_REPLY_ARRAY:
        p = ngx_sprintf(p, "A%ui\n", ngx_scc_reply_elements(reply));

        for (i = 0; i < ngx_scc_reply_elements(reply); i++) {
            p = ngx_scc_net_reply(p, ngx_scc_reply_element(reply, i));
        }
    }

    return p;
}


static void
ngx_scc_net_finish(ngx_scc_net_ctx_t *ctx, ngx_str_t *text)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    rc = text ? ngx_scc_net_send(r, text) : NGX_HTTP_INTERNAL_SERVER_ERROR;

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static ngx_int_t
ngx_scc_net_send(ngx_http_request_t *r, ngx_str_t *text)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = text->len;
    ngx_str_set(&r->headers_out.content_type, "text/plain");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = text->data;
    b->last = text->data + text->len;
    b->memory = 1;
    b->last_buf = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static void
ngx_scc_net_cleanup(void *data)
{
    ngx_scc_net_ctx_t  *ctx = data;

    if (ctx->redis_call) {
        ngx_scc_redis_cancel(ctx->redis_call);
        ctx->redis_call = NULL;
    }

    if (ctx->pg_call) {
        ngx_scc_pg_cancel(ctx->pg_call);
        ctx->pg_call = NULL;
    }
}


static char *
ngx_scc_net_test(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_scc_net_handler;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_scc_net_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                 i;
    ngx_scc_redis_script_t   **script;
    ngx_scc_net_main_conf_t   *nmcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    nmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_scc_net_test_module);
    if (nmcf == NULL) {
        return NGX_OK;
    }

    if (nmcf->redis.addr.sockaddr != NULL) {

        ngx_scc_net_redis_pool = ngx_scc_redis_pool_create(cycle,
                                                           &nmcf->redis);
        if (ngx_scc_net_redis_pool == NULL) {
            return NGX_ERROR;
        }

        script = nmcf->scripts.elts;

        for (i = 0; i < nmcf->scripts.nelts; i++) {

            if (ngx_scc_redis_script(ngx_scc_net_redis_pool, script[i])
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    if (nmcf->pg.conninfo.data != NULL) {

        ngx_scc_net_pg_pool = ngx_scc_pg_pool_create(cycle, &nmcf->pg);
        if (ngx_scc_net_pg_pool == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_scc_net_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_scc_net_redis_pool != NULL) {
        ngx_scc_redis_pool_destroy(ngx_scc_net_redis_pool);
        ngx_scc_net_redis_pool = NULL;
    }

    if (ngx_scc_net_pg_pool != NULL) {
        ngx_scc_pg_pool_destroy(ngx_scc_net_pg_pool);
        ngx_scc_net_pg_pool = NULL;
    }
}
