
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_redis_int.h"


static ngx_int_t ngx_scc_redis_step(ngx_scc_redis_conn_t *conn,
    ngx_scc_redis_step_t step, ngx_scc_redis_script_t *script,
    ngx_uint_t argc, const ngx_str_t *argv);
static void ngx_scc_redis_refused(ngx_scc_redis_conn_t *conn,
    ngx_scc_redis_call_t *call, ngx_scc_redis_reply_t *reply);
static void ngx_scc_redis_learn_id(ngx_scc_redis_conn_t *conn,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_redis_incarnate(ngx_scc_redis_conn_t *conn);


/* All steps go out at once: one round trip. */

ngx_int_t
ngx_scc_redis_handshake(ngx_scc_redis_conn_t *conn)
{
    u_char                    db[NGX_INT_T_LEN];
    ngx_str_t                 argv[3];
    ngx_uint_t                i, n;
    ngx_scc_redis_conf_t     *conf;
    ngx_scc_redis_script_t  **script;

    conf = conn->pool->conf;

    conn->run_id_known = 0;

    if (conf->password.len) {
        n = 0;
        ngx_str_set(&argv[n], "AUTH");
        n++;

        if (conf->user.len) {
            argv[n++] = conf->user;
        }

        argv[n++] = conf->password;

        if (ngx_scc_redis_step(conn, NGX_SCC_REDIS_AUTH, NULL, n, argv)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (conf->db) {
        ngx_str_set(&argv[0], "SELECT");
        argv[1].data = db;
        argv[1].len = (size_t) (ngx_sprintf(db, "%ui", conf->db) - db);

        if (ngx_scc_redis_step(conn, NGX_SCC_REDIS_SELECT, NULL, 2, argv)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_str_set(&argv[0], "CLIENT");
    ngx_str_set(&argv[1], "SETNAME");
    ngx_str_set(&argv[2], "scc");

    if (ngx_scc_redis_step(conn, NGX_SCC_REDIS_SETNAME, NULL, 3, argv)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "INFO");
    ngx_str_set(&argv[1], "server");

    if (ngx_scc_redis_step(conn, NGX_SCC_REDIS_INFO, NULL, 2, argv)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    script = conn->pool->scripts.elts;

    for (i = 0; i < conn->pool->scripts.nelts; i++) {
        ngx_str_set(&argv[0], "SCRIPT");
        ngx_str_set(&argv[1], "LOAD");
        argv[2] = script[i]->text;

        if (ngx_scc_redis_step(conn, NGX_SCC_REDIS_LOAD, script[i], 3, argv)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_str_set(&argv[0], "PING");

    return ngx_scc_redis_step(conn, NGX_SCC_REDIS_PING, NULL, 1, argv);
}


/*
 * INFO and CLIENT answer even while the server loads its data or has lost
 * its master; PING does not, so it goes last and has the say.  A user whose
 * rights leave out SETNAME, INFO or PING is served all the same.
 */

ngx_int_t
ngx_scc_redis_handshake_reply(ngx_scc_redis_conn_t *conn,
    ngx_scc_redis_call_t *call, ngx_scc_redis_reply_t *reply)
{
    if (ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR) {
        ngx_scc_redis_refused(conn, call, reply);

        if (call->step == NGX_SCC_REDIS_SETNAME
            || call->step == NGX_SCC_REDIS_INFO)
        {
            return NGX_OK;
        }

        if (call->step != NGX_SCC_REDIS_PING
            || !ngx_scc_redis_reply_is(reply, "NOPERM"))
        {
            return NGX_ERROR;
        }
    }

    if (call->step == NGX_SCC_REDIS_INFO) {
        ngx_scc_redis_learn_id(conn, reply);
    }

    if (call->step == NGX_SCC_REDIS_PING) {
        ngx_scc_redis_incarnate(conn);
        ngx_scc_redis_conn_ready(conn);
    }

    return NGX_OK;
}


static void
ngx_scc_redis_refused(ngx_scc_redis_conn_t *conn, ngx_scc_redis_call_t *call,
    ngx_scc_redis_reply_t *reply)
{
    u_char     *p, *last;
    char        text[96];
    ngx_str_t   str;

    static const char  *steps[] = {
        "", "AUTH", "SELECT", "CLIENT SETNAME", "INFO", "SCRIPT LOAD", "PING"
    };

    str = ngx_scc_reply_str(reply);
    (void) ngx_scc_net_text(text, sizeof(text), (char *) str.data, str.len);

    p = (u_char *) conn->reason;
    last = p + sizeof(conn->reason) - 1;

    p = ngx_slprintf(p, last, "%s", steps[call->step]);

    if (call->script != NULL) {
        p = ngx_slprintf(p, last, " of \"%V\"", &call->script->name);
    }

    p = ngx_slprintf(p, last, ": %s", text);
    *p = '\0';
}


static ngx_int_t
ngx_scc_redis_step(ngx_scc_redis_conn_t *conn, ngx_scc_redis_step_t step,
    ngx_scc_redis_script_t *script, ngx_uint_t argc, const ngx_str_t *argv)
{
    ngx_scc_redis_call_t  *call;

    call = ngx_scc_redis_call_get(conn->pool);
    if (call == NULL) {
        return NGX_ERROR;
    }

    call->step = step;
    call->script = script;

    if (ngx_scc_redis_append(conn, call, argc, argv, 0, NULL) != NGX_OK) {
        ngx_scc_redis_call_free(conn->pool, call);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_scc_redis_learn_id(ngx_scc_redis_conn_t *conn,
    ngx_scc_redis_reply_t *reply)
{
    u_char     *p, *last;
    ngx_str_t   str;

    str = ngx_scc_reply_str(reply);

    if (str.len == 0) {
        return;
    }

    p = ngx_strlcasestrn(str.data, str.data + str.len,
                         (u_char *) "\nrun_id:", sizeof("\nrun_id:") - 2);
    if (p == NULL) {
        return;
    }

    p += sizeof("\nrun_id:") - 1;
    last = str.data + str.len;

    if ((size_t) (last - p) < sizeof(conn->run_id)) {
        return;
    }

    ngx_memcpy(conn->run_id, p, sizeof(conn->run_id));
    conn->run_id_known = 1;
}


/*
 * A server that does not tell its run_id is taken for another one whenever
 * no connection was left to vouch for it.
 */

static void
ngx_scc_redis_incarnate(ngx_scc_redis_conn_t *conn)
{
    ngx_uint_t             same;
    ngx_scc_redis_pool_t  *pool;

    pool = conn->pool;

    if (pool->incarnation == 0) {
        same = 0;

    } else if (conn->run_id_known && pool->run_id_known) {
        same = ngx_memcmp(conn->run_id, pool->run_id, sizeof(pool->run_id))
               == 0;

    } else {
        same = (conn->run_id_known == pool->run_id_known && pool->ready != 0);
    }

    if (same) {
        return;
    }

    pool->incarnation++;
    pool->run_id_known = conn->run_id_known;
    ngx_memcpy(pool->run_id, conn->run_id, sizeof(pool->run_id));

    ngx_log_debug1(NGX_LOG_DEBUG_EVENT, pool->log, 0,
                   "scc redis incarnation:%ui", pool->incarnation);
}
