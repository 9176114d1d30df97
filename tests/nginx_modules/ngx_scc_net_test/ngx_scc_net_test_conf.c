
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_net_test.h"


static char *ngx_scc_net_options(ngx_conf_t *cf, ngx_str_t *names,
    ngx_uint_t **numbers, ngx_str_t **strings);


void *
ngx_scc_net_create_main_conf(ngx_conf_t *cf)
{
    ngx_scc_net_main_conf_t  *nmcf;

    nmcf = ngx_pcalloc(cf->pool, sizeof(ngx_scc_net_main_conf_t));
    if (nmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&nmcf->scripts, cf->pool, 4, sizeof(void *))
        != NGX_OK
        || ngx_array_init(&nmcf->stmts, cf->pool, 4, sizeof(void *))
           != NGX_OK)
    {
        return NULL;
    }

    nmcf->redis.connections = 2;
    nmcf->redis.pending_max = 1024;
    nmcf->redis.connect_timeout = 1000;
    nmcf->redis.timeout = 1000;
    nmcf->redis.backoff_min = 20;
    nmcf->redis.backoff_max = 200;

    nmcf->pg.connections = 2;
    nmcf->pg.queue = 1024;
    nmcf->pg.connect_timeout = 1000;
    nmcf->pg.timeout = 2000;
    nmcf->pg.idle = 60000;
    nmcf->pg.backoff_min = 20;
    nmcf->pg.backoff_max = 200;

    return nmcf;
}


char *
ngx_scc_net_init_main_conf(ngx_conf_t *cf, void *conf)
{
    char                     *err;
    ngx_scc_net_main_conf_t  *nmcf = conf;

    if (nmcf->pg.conninfo.data == NULL) {
        return NGX_CONF_OK;
    }

    err = ngx_scc_pg_conninfo(cf, &nmcf->pg);

    if (err != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "scc_net_pg %s", err);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_scc_net_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_url_t                 u;
    ngx_str_t                *value;
    ngx_scc_redis_conf_t     *rcf;
    ngx_scc_net_main_conf_t  *nmcf = conf;

    static ngx_str_t  names[] = {
        ngx_string("user"), ngx_string("password"), ngx_string("db"),
        ngx_string("connections"), ngx_string("pending"),
        ngx_string("connect_timeout"), ngx_string("timeout"),
        ngx_string("backoff_min"), ngx_string("backoff_max"),
        ngx_null_string
    };

    rcf = &nmcf->redis;

    ngx_uint_t  *numbers[] = {
        NULL, NULL, &rcf->db, &rcf->connections, &rcf->pending_max,
        &rcf->connect_timeout, &rcf->timeout, &rcf->backoff_min,
        &rcf->backoff_max
    };

    ngx_str_t  *strings[] = {
        &rcf->user, &rcf->password, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    };

    value = cf->args->elts;

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url = value[1];
    u.default_port = 6379;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        return "invalid address";
    }

    rcf->addr = u.addrs[0];

    return ngx_scc_net_options(cf, names, numbers, strings);
}


char *
ngx_scc_net_script(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                *value;
    ngx_scc_redis_script_t   *script, **slot;
    ngx_scc_net_main_conf_t  *nmcf = conf;

    value = cf->args->elts;

    script = ngx_pcalloc(cf->pool, sizeof(ngx_scc_redis_script_t));
    slot = ngx_array_push(&nmcf->scripts);

    if (script == NULL || slot == NULL) {
        return NGX_CONF_ERROR;
    }

    script->name = value[1];
    script->text = value[2];
    *slot = script;

    return NGX_CONF_OK;
}


char *
ngx_scc_net_pg(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                *value;
    ngx_scc_pg_conf_t        *pcf;
    ngx_scc_net_main_conf_t  *nmcf = conf;

    static ngx_str_t  names[] = {
        ngx_string("connections"), ngx_string("queue"),
        ngx_string("connect_timeout"), ngx_string("timeout"),
        ngx_string("idle"), ngx_string("backoff_min"),
        ngx_string("backoff_max"), ngx_null_string
    };

    pcf = &nmcf->pg;

    ngx_uint_t  *numbers[] = {
        &pcf->connections, &pcf->queue, &pcf->connect_timeout,
        &pcf->timeout, &pcf->idle, &pcf->backoff_min, &pcf->backoff_max
    };

    value = cf->args->elts;

    pcf->conninfo = value[1];

    return ngx_scc_net_options(cf, names, numbers, NULL);
}


char *
ngx_scc_net_statement(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                 n;
    ngx_str_t                *value;
    ngx_scc_pg_stmt_t        *stmt, **slot;
    ngx_scc_net_main_conf_t  *nmcf = conf;

    value = cf->args->elts;

    n = ngx_atoi(value[2].data, value[2].len);

    stmt = ngx_pcalloc(cf->pool, sizeof(ngx_scc_pg_stmt_t));
    slot = ngx_array_push(&nmcf->stmts);

    if (n == NGX_ERROR || stmt == NULL || slot == NULL) {
        return NGX_CONF_ERROR;
    }

    stmt->name = (char *) value[1].data;
    stmt->nparams = (ngx_uint_t) n;
    stmt->sql = (char *) value[3].data;
    *slot = stmt;

    return NGX_CONF_OK;
}


/* NAME=VALUE after the first argument. */

static char *
ngx_scc_net_options(ngx_conf_t *cf, ngx_str_t *names, ngx_uint_t **numbers,
    ngx_str_t **strings)
{
    ngx_int_t    n;
    ngx_str_t   *value, text;
    ngx_uint_t   i, k;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        for (k = 0; names[k].len; k++) {

            if (value[i].len <= names[k].len
                || value[i].data[names[k].len] != '='
                || ngx_strncmp(value[i].data, names[k].data, names[k].len)
                   != 0)
            {
                continue;
            }

            text.data = value[i].data + names[k].len + 1;
            text.len = value[i].len - names[k].len - 1;

            if (strings != NULL && strings[k] != NULL) {
                *strings[k] = text;
                break;
            }

            n = ngx_atoi(text.data, text.len);
            if (n == NGX_ERROR) {
                return "invalid number";
            }

            *numbers[k] = (ngx_uint_t) n;
            break;
        }

        if (names[k].len == 0) {
            return "unknown option";
        }
    }

    return NGX_CONF_OK;
}
