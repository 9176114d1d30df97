
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <libpq-fe.h>

#include "ngx_scc_pg.h"


typedef struct {
    const char  *name;
    const char  *value;         /* unless given */
} ngx_scc_pg_param_t;


static char *ngx_scc_pg_check(ngx_conf_t *cf, PQconninfoOption *options);
static char *ngx_scc_pg_host(ngx_conf_t *cf, PQconninfoOption *options,
    char **hostaddr);
static char *ngx_scc_pg_resolve(ngx_conf_t *cf, const char *host,
    char **hostaddr);
static char *ngx_scc_pg_fill(ngx_conf_t *cf, ngx_scc_pg_conf_t *conf,
    PQconninfoOption *options, char *hostaddr);
static const char *ngx_scc_pg_get(PQconninfoOption *options,
    const char *name);
static char *ngx_scc_pg_dup(ngx_conf_t *cf, const char *value);
static char *ngx_scc_pg_error(ngx_conf_t *cf, const char *fmt,
    const char *arg);


/* A dead peer is noticed in half a minute even by an idle connection. */

static ngx_scc_pg_param_t  ngx_scc_pg_defaults[] = {
    { "application_name", "ngx_scc_module" },
    { "keepalives", "1" },
    { "keepalives_idle", "15" },
    { "keepalives_interval", "5" },
    { "keepalives_count", "3" },
    { "tcp_user_timeout", "15000" },
    { NULL, NULL }
};


static ngx_scc_pg_param_t  ngx_scc_pg_forced[] = {

    /* negotiating GSS opens a second socket */

    { "gssencmode", "disable" },
    { "client_encoding", "UTF8" },
    { NULL, NULL }
};


char *
ngx_scc_pg_conninfo(ngx_conf_t *cf, ngx_scc_pg_conf_t *conf)
{
    char              *text, *err, *hostaddr, *message;
    PQconninfoOption  *options;

    text = ngx_pnalloc(cf->pool, conf->conninfo.len + 1);
    if (text == NULL) {
        return "no memory";
    }

    *ngx_cpymem(text, conf->conninfo.data, conf->conninfo.len) = '\0';

    message = NULL;
    options = PQconninfoParse(text, &message);

    ngx_explicit_memzero(text, conf->conninfo.len);

    if (message != NULL) {

        /* not shown: it quotes what may be a piece of the password */

        PQfreemem(message);
    }

    if (options == NULL) {
        return "is not a PostgreSQL connection string: write "
               "\"host=... dbname=... user=...\" or "
               "\"postgresql://user@host/dbname\", and check the names "
               "and the quotes";
    }

    hostaddr = NULL;

    err = ngx_scc_pg_check(cf, options);

    if (err == NULL) {
        err = ngx_scc_pg_host(cf, options, &hostaddr);
    }

    if (err == NULL) {
        err = ngx_scc_pg_fill(cf, conf, options, hostaddr);
    }

    PQconninfoFree(options);

    return err;
}


static char *
ngx_scc_pg_check(ngx_conf_t *cf, PQconninfoOption *options)
{
    ngx_int_t     port;
    ngx_uint_t    i;
    const char   *value;

    static const char  *single[] = { "host", "hostaddr", "port", NULL };
    static const char  *modes[] = {
        "disable", "allow", "prefer", "require", "verify-ca", "verify-full",
        NULL
    };

    if (ngx_scc_pg_get(options, "service") != NULL) {
        return "has \"service\", which is not supported: write the "
               "parameters themselves";
    }

    for (i = 0; single[i] != NULL; i++) {
        value = ngx_scc_pg_get(options, single[i]);

        if (value != NULL && ngx_strchr(value, ',') != NULL) {
            return ngx_scc_pg_error(cf, "has several values of \"%s\": name "
                                    "one server", single[i]);
        }
    }

    value = ngx_scc_pg_get(options, "port");

    if (value != NULL) {
        port = ngx_atoi((u_char *) value, ngx_strlen(value));

        if (port < 1 || port > 65535) {
            return ngx_scc_pg_error(cf, "has port \"%s\": give a number "
                                    "from 1 to 65535", value);
        }
    }

    value = ngx_scc_pg_get(options, "sslmode");

    if (value != NULL) {

        for (i = 0; modes[i] != NULL; i++) {
            if (ngx_strcmp(value, modes[i]) == 0) {
                return NULL;
            }
        }

        return ngx_scc_pg_error(cf, "has sslmode \"%s\": give one of disable,"
                                " allow, prefer, require, verify-ca, "
                                "verify-full", value);
    }

    return NULL;
}


/*
 * libpq looks names up while it connects, and blocks; so it is always given
 * the address, and the name only to check the certificate by.
 */

static char *
ngx_scc_pg_host(ngx_conf_t *cf, PQconninfoOption *options, char **hostaddr)
{
    ngx_str_t    text;
    ngx_addr_t   addr;
    const char  *value;

    value = ngx_scc_pg_get(options, "hostaddr");

    if (value != NULL) {
        text.data = (u_char *) value;
        text.len = ngx_strlen(value);

        if (ngx_parse_addr(cf->pool, &addr, text.data, text.len) != NGX_OK) {
            return ngx_scc_pg_error(cf, "has hostaddr \"%s\": give an IP "
                                    "address, and names in \"host\"", value);
        }

        *hostaddr = ngx_scc_pg_dup(cf, value);
        return *hostaddr ? NULL : "no memory";
    }

    value = ngx_scc_pg_get(options, "host");

    if (value == NULL || value[0] == '/' || value[0] == '@') {
        return NULL;
    }

    return ngx_scc_pg_resolve(cf, value, hostaddr);
}


static char *
ngx_scc_pg_resolve(ngx_conf_t *cf, const char *host, char **hostaddr)
{
    u_char      *p;
    size_t       len;
    ngx_url_t    u;
    ngx_addr_t   addr;

    len = ngx_strlen(host);

    if (ngx_parse_addr(cf->pool, &addr, (u_char *) host, len) == NGX_OK) {
        *hostaddr = ngx_scc_pg_dup(cf, host);
        return *hostaddr ? NULL : "no memory";
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.host.data = ngx_pnalloc(cf->pool, len + 1);
    if (u.host.data == NULL) {
        return "no memory";
    }

    *ngx_cpymem(u.host.data, host, len) = '\0';
    u.host.len = len;
    u.url = u.host;
    u.port = 5432;

    if (ngx_inet_resolve_host(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        return ngx_scc_pg_error(cf, "has host \"%s\", which does not resolve:"
                                " give its address, or add hostaddr=", host);
    }

    p = ngx_pnalloc(cf->pool, NGX_SOCKADDR_STRLEN + 1);
    if (p == NULL) {
        return "no memory";
    }

    len = ngx_sock_ntop(u.addrs[0].sockaddr, u.addrs[0].socklen, p,
                        NGX_SOCKADDR_STRLEN, 0);
    p[len] = '\0';

    *hostaddr = (char *) p;

    return NULL;
}


static char *
ngx_scc_pg_fill(ngx_conf_t *cf, ngx_scc_pg_conf_t *conf,
    PQconninfoOption *options, char *hostaddr)
{
    u_char              *p;
    size_t               len;
    ngx_uint_t           n, i;
    const char          *given, *host, *port, *dbname;
    PQconninfoOption    *o;
    ngx_scc_pg_param_t  *param;

    for (n = 0; options[n].keyword != NULL; n++) { /* void */ }

    conf->keywords = ngx_pcalloc(cf->pool, (n + 1) * sizeof(char *));
    conf->values = ngx_pcalloc(cf->pool, (n + 1) * sizeof(char *));

    if (conf->keywords == NULL || conf->values == NULL) {
        return "no memory";
    }

    i = 0;

    for (o = options; o->keyword != NULL; o++) {

        given = (o->val != NULL && o->val[0] != '\0') ? o->val : NULL;

        for (param = ngx_scc_pg_defaults; param->name != NULL; param++) {
            if (given == NULL && ngx_strcmp(o->keyword, param->name) == 0) {
                given = param->value;
            }
        }

        for (param = ngx_scc_pg_forced; param->name != NULL; param++) {
            if (ngx_strcmp(o->keyword, param->name) == 0) {
                given = param->value;
            }
        }

        if (ngx_strcmp(o->keyword, "hostaddr") == 0) {
            given = hostaddr;
        }

        if (ngx_strcmp(o->keyword, "connect_timeout") == 0) {

            /* the timer of the pool does this */

            continue;
        }

        if (ngx_strcmp(o->keyword, "options") == 0) {

            /* the last one wins */

            len = (given ? ngx_strlen(given) : 0)
                  + sizeof(" -c statement_timeout=") + NGX_INT_T_LEN;

            p = ngx_pnalloc(cf->pool, len);
            if (p == NULL) {
                return "no memory";
            }

            ngx_sprintf(p, "%s%s-c statement_timeout=%M%Z",
                        given ? given : "", given ? " " : "", conf->timeout);

            conf->keywords[i] = "options";
            conf->values[i++] = (char *) p;
            continue;
        }

        if (given == NULL) {
            continue;
        }

        conf->keywords[i] = ngx_scc_pg_dup(cf, o->keyword);
        conf->values[i] = ngx_scc_pg_dup(cf, given);

        if (conf->keywords[i] == NULL || conf->values[i] == NULL) {
            return "no memory";
        }

        i++;
    }

    host = ngx_scc_pg_get(options, "host");
    port = ngx_scc_pg_get(options, "port");
    dbname = ngx_scc_pg_get(options, "dbname");

    if (host == NULL) {
        host = hostaddr ? hostaddr : "local";
    }

    port = port ? port : "5432";
    dbname = dbname ? dbname : "";

    len = ngx_strlen(host) + ngx_strlen(port) + ngx_strlen(dbname) + 2;

    conf->name.data = ngx_pnalloc(cf->pool, len);
    if (conf->name.data == NULL) {
        return "no memory";
    }

    p = ngx_sprintf(conf->name.data, "%s:%s/%s", host, port, dbname);
    conf->name.len = (size_t) (p - conf->name.data);

    return NULL;
}


static const char *
ngx_scc_pg_get(PQconninfoOption *options, const char *name)
{
    PQconninfoOption  *o;

    for (o = options; o->keyword != NULL; o++) {

        if (ngx_strcmp(o->keyword, name) == 0) {
            return (o->val != NULL && o->val[0] != '\0') ? o->val : NULL;
        }
    }

    return NULL;
}


static char *
ngx_scc_pg_dup(ngx_conf_t *cf, const char *value)
{
    char    *p;
    size_t   len;

    len = ngx_strlen(value) + 1;

    p = ngx_pnalloc(cf->pool, len);

    if (p != NULL) {
        ngx_memcpy(p, value, len);
    }

    return p;
}


static char *
ngx_scc_pg_error(ngx_conf_t *cf, const char *fmt, const char *arg)
{
    u_char  *p;
    size_t   len;

    len = ngx_strlen(fmt) + ngx_strlen(arg) + 1;

    p = ngx_pnalloc(cf->pool, len);
    if (p == NULL) {
        return "no memory";
    }

    *ngx_sprintf(p, fmt, arg) = '\0';

    return (char *) p;
}
