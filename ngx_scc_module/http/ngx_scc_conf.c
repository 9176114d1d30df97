
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


#define NGX_SCC_PASSWORD_MAX    4096
#define NGX_SCC_ROLLUP_TIMEOUT  60000       /* ms: the first one does all */


static char *ngx_scc_conf_guard(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf);
static char *ngx_scc_conf_redis_option(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_scc_redis_conf_t *redis, ngx_str_t *option);
static ngx_int_t ngx_scc_conf_path(ngx_conf_t *cf,
    ngx_scc_main_conf_t *smcf, ngx_str_t *name);
static void ngx_scc_conf_zone_tag(ngx_scc_main_conf_t *smcf);


void *
ngx_scc_create_main_conf(ngx_conf_t *cf)
{
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_pcalloc(cf->pool, sizeof(ngx_scc_main_conf_t));
    if (smcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     smcf->api = 0;
     *     smcf->redis.addr, user, password, db = none;
     *     smcf->pg.conninfo, keywords, values, name = none;
     *     smcf->cache.zone = NULL;
     *     smcf->state_path = NULL;
     */

    smcf->redis.connections = NGX_CONF_UNSET_UINT;
    smcf->redis.pending_max = NGX_CONF_UNSET_UINT;
    smcf->redis.connect_timeout = NGX_CONF_UNSET_MSEC;
    smcf->redis.timeout = NGX_CONF_UNSET_MSEC;
    smcf->redis.backoff_min = 50;
    smcf->redis.backoff_max = 2000;

    smcf->pg.connections = NGX_CONF_UNSET_UINT;
    smcf->pg.queue = NGX_CONF_UNSET_UINT;
    smcf->pg.connect_timeout = NGX_CONF_UNSET_MSEC;
    smcf->pg.timeout = NGX_CONF_UNSET_MSEC;
    smcf->pg.idle = NGX_CONF_UNSET_MSEC;
    smcf->pg.backoff_min = 50;
    smcf->pg.backoff_max = 2000;

    smcf->cache.generation = NGX_CONF_UNSET_UINT;
    smcf->cache.lease_time = NGX_CONF_UNSET_MSEC;
    smcf->cache.lease_wait = NGX_CONF_UNSET_MSEC;
    smcf->cache.ttl = NGX_CONF_UNSET;

    smcf->store_guard = NGX_CONF_UNSET;

    smcf->feed_interval = NGX_CONF_UNSET_MSEC;
    smcf->export_limit = NGX_CONF_UNSET_UINT;
    smcf->rollup_conf.interval = NGX_CONF_UNSET_MSEC;
    smcf->aggregates_valid = NGX_CONF_UNSET;
    smcf->answer_cache = NGX_CONF_UNSET_SIZE;

    return (ngx_scc_write_create_conf(cf, smcf) == NGX_OK) ? smcf : NULL;
}


char *
ngx_scc_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_scc_main_conf_t *smcf = conf;

    char       *error;
    ngx_str_t   path;

    ngx_conf_init_uint_value(smcf->redis.connections, 2);
    ngx_conf_init_uint_value(smcf->redis.pending_max, 1024);
    ngx_conf_init_msec_value(smcf->redis.connect_timeout, 500);
    ngx_conf_init_msec_value(smcf->redis.timeout, 200);

    ngx_conf_init_uint_value(smcf->pg.connections, 4);
    ngx_conf_init_uint_value(smcf->pg.queue, 256);
    ngx_conf_init_msec_value(smcf->pg.connect_timeout, 1000);
    ngx_conf_init_msec_value(smcf->pg.timeout, 2000);
    ngx_conf_init_msec_value(smcf->pg.idle, 60000);

    ngx_conf_init_uint_value(smcf->cache.generation, 1);
    ngx_conf_init_msec_value(smcf->cache.lease_time, 3000);
    ngx_conf_init_msec_value(smcf->cache.lease_wait, 50);
    ngx_conf_init_value(smcf->cache.ttl, 86400);

    ngx_conf_init_value(smcf->store_guard, 1);

    ngx_conf_init_msec_value(smcf->feed_interval, 500);
    ngx_conf_init_uint_value(smcf->export_limit, 2);
    ngx_conf_init_msec_value(smcf->rollup_conf.interval, 10000);
    ngx_conf_init_value(smcf->aggregates_valid, 60);
    ngx_conf_init_size_value(smcf->answer_cache, 16 * 1024 * 1024);

    if (ngx_scc_write_init_conf(cf, smcf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (!smcf->api) {
        return NGX_CONF_OK;
    }

    if (smcf->pg.conninfo.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"scc_api\" needs the store: add \"scc_postgres\" "
                           "to the \"http\" block");
        return NGX_CONF_ERROR;
    }

    error = ngx_scc_pg_conninfo(cf, &smcf->pg);

    if (error != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"scc_postgres\": %s", error);
        return NGX_CONF_ERROR;
    }

    smcf->rollup_conf.pg = smcf->pg;
    smcf->rollup_conf.pg.connections = 1;
    smcf->rollup_conf.pg.queue = 1;
    smcf->rollup_conf.pg.timeout = ngx_max(smcf->pg.timeout,
                                           NGX_SCC_ROLLUP_TIMEOUT);

    error = ngx_scc_pg_conninfo(cf, &smcf->rollup_conf.pg);

    if (error == NULL) {
        error = ngx_scc_apply_init_conf(cf, smcf);
    }

    if (error != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"scc_postgres\": %s", error);
        return NGX_CONF_ERROR;
    }

    if (smcf->cache.lease_time <= smcf->pg.timeout) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"scc_lease_time\" (%M ms) must be longer than "
                           "\"scc_postgres_timeout\" (%M ms), or a slow "
                           "answer of the store could never be kept",
                           smcf->cache.lease_time, smcf->pg.timeout);
        return NGX_CONF_ERROR;
    }

    if (smcf->cache.zone != NULL) {
        ngx_scc_conf_zone_tag(smcf);
    }

    if (smcf->state_path == NULL) {
        ngx_str_set(&path, "scc");

        if (ngx_scc_conf_path(cf, smcf, &path) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return smcf->store_guard ? ngx_scc_conf_guard(cf, smcf) : NGX_CONF_OK;
}


static char *
ngx_scc_conf_guard(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf)
{
    ngx_uint_t  i;

    smcf->guard = ngx_scc_guard_add(cf, &ngx_scc_module);
    if (smcf->guard == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < smcf->journal.n_dirs; i++) {
        ngx_scc_guard_dir(smcf->guard, &smcf->journal.dirs[i], 1);
    }

    ngx_scc_guard_dir(smcf->guard, &smcf->state_path->name, 0);

    /* one connection, with the queue, which keeps what it is given */

    smcf->watch_redis = (smcf->queue.addr.sockaddr != NULL) ? smcf->queue
                                                            : smcf->redis;
    smcf->watch_redis.connections = 1;

    smcf->watch_conf.interval = smcf->caps.interval;
    smcf->watch_conf.redis = &smcf->watch_redis;
    smcf->watch_conf.journal = &smcf->journal;

    smcf->rollup_conf.guard = smcf->guard;
    smcf->applier_conf.guard = smcf->guard;

    return NGX_CONF_OK;
}


void *
ngx_scc_create_loc_conf(ngx_conf_t *cf)
{
    ngx_scc_loc_conf_t  *slcf;

    slcf = ngx_pcalloc(cf->pool, sizeof(ngx_scc_loc_conf_t));
    if (slcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     slcf->prefix = { 0, NULL };
     *     slcf->bounds = { 0, NULL };
     *     slcf->license = { 0, NULL };
     *     slcf->control = { { 0, NULL }, { 0, NULL } };
     */

    slcf->api = NGX_CONF_UNSET;
    slcf->ogc = NGX_CONF_UNSET;
    slcf->limit = NGX_CONF_UNSET_UINT;
    slcf->limit_max = NGX_CONF_UNSET_UINT;
    slcf->cells_max = NGX_CONF_UNSET_UINT;
    slcf->base_url = NGX_CONF_UNSET_PTR;
    slcf->empty_tile = NGX_CONF_UNSET_UINT;
    slcf->gzip = NGX_CONF_UNSET;
    slcf->gzip_level = NGX_CONF_UNSET;
    slcf->contributor = NGX_CONF_UNSET_PTR;
    slcf->contributor_name = NGX_CONF_UNSET_PTR;
    slcf->moderator = NGX_CONF_UNSET_PTR;
    slcf->ack = NGX_CONF_UNSET_UINT;
    slcf->ack_timeout = NGX_CONF_UNSET_MSEC;
    slcf->ack_fallback = NGX_CONF_UNSET;

    return slcf;
}


char *
ngx_scc_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_scc_loc_conf_t *prev = parent;
    ngx_scc_loc_conf_t *conf = child;

    /* a handler is not inherited, as with other content handlers */

    ngx_conf_merge_uint_value(conf->limit, prev->limit, 1000);
    ngx_conf_merge_uint_value(conf->limit_max, prev->limit_max, 10000);
    ngx_conf_merge_uint_value(conf->cells_max, prev->cells_max, 256);
    ngx_conf_merge_ptr_value(conf->base_url, prev->base_url, NULL);
    ngx_conf_merge_str_value(conf->attribution, prev->attribution, "");
    ngx_conf_merge_str_value(conf->license, prev->license, "");
    ngx_conf_merge_str_value(conf->bounds, prev->bounds,
                             "-180,-85.0511287,180,85.0511287");
    ngx_conf_merge_uint_value(conf->empty_tile, prev->empty_tile,
                              NGX_HTTP_OK);
    ngx_conf_merge_value(conf->gzip, prev->gzip, 1);
    ngx_conf_merge_value(conf->gzip_level, prev->gzip_level, 3);
    ngx_conf_merge_ptr_value(conf->contributor, prev->contributor, NULL);
    ngx_conf_merge_ptr_value(conf->contributor_name, prev->contributor_name,
                             NULL);
    ngx_conf_merge_ptr_value(conf->moderator, prev->moderator, NULL);
    ngx_conf_merge_uint_value(conf->ack, prev->ack, NGX_SCC_ACK_JOURNAL);
    ngx_conf_merge_msec_value(conf->ack_timeout, prev->ack_timeout, 2000);
    ngx_conf_merge_value(conf->ack_fallback, prev->ack_fallback, 1);

    conf->query.limit = (uint32_t) conf->limit;
    conf->query.limit_max = (uint32_t) conf->limit_max;
    conf->query.cells_max = (uint32_t) conf->cells_max;

    return ngx_scc_control_merge(cf, prev->control, conf->control);
}


/* scc_api|scc_ogc [prefix]; a location for a part of the API names the whole
   one's prefix.  The command's offset says which of the two. */

char *
ngx_scc_conf_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_scc_loc_conf_t *slcf = conf;

    ngx_str_t                 *value;
    ngx_scc_main_conf_t       *smcf;
    ngx_http_core_loc_conf_t  *clcf;

    if (slcf->api != NGX_CONF_UNSET || slcf->ogc != NGX_CONF_UNSET) {
        return "is duplicate: a location has one \"scc_api\" or \"scc_ogc\"";
    }

    *(ngx_flag_t *) ((u_char *) slcf + cmd->offset) = 1;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

#if (NGX_PCRE)
    if (clcf->regex || clcf->named) {
        return "cannot be used in a named location or one given by a regular "
               "expression: its paths begin with the location's prefix";
    }
#endif

    slcf->prefix = clcf->name;

    if (cf->args->nelts == 2) {
        value = cf->args->elts;

        slcf->prefix = value[1];

        if (value[1].len == 0 || value[1].len > clcf->name.len
            || value[1].data[0] != '/'
            || ngx_strncmp(value[1].data, clcf->name.data, value[1].len) != 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V %V\" must name the beginning of its "
                               "location, \"%V\"",
                               &cmd->name, &value[1], &clcf->name);
            return NGX_CONF_ERROR;
        }
    }

    clcf->handler = ngx_scc_handler;

    /* clients are given the facade's address with and without its '/' */

    if (slcf->ogc == 1 && clcf->name.len > 1
        && clcf->name.data[clcf->name.len - 1] == '/')
    {
        clcf->auto_redirect = 1;
    }

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_scc_module);
    smcf->api = 1;

    return NGX_CONF_OK;
}


/* scc_redis|scc_queue address [user=name] [password_file=file] [db=number];
   the command's offset says which */

char *
ngx_scc_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                  *rv;
    ngx_url_t              u;
    ngx_str_t             *value;
    ngx_uint_t             i;
    ngx_scc_redis_conf_t  *redis;

    redis = (ngx_scc_redis_conf_t *) ((u_char *) conf + cmd->offset);

    if (redis->addr.sockaddr != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = value[1];
    u.default_port = 6379;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid address \"%V\" in \"%V\": %s; "
                           "give host:port or unix:/path",
                           &u.url, &cmd->name, u.err ? u.err : "no address");
        return NGX_CONF_ERROR;
    }

    redis->addr = u.addrs[0];

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_scc_conf_redis_option(cf, cmd, redis, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (redis->user.len != 0 && redis->password.len == 0) {
        return "has \"user=\" without \"password_file=\"";
    }

    return NGX_CONF_OK;
}


char *
ngx_scc_conf_postgres(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_scc_main_conf_t *smcf = conf;

    char                *error;
    ngx_str_t           *value;
    ngx_scc_pg_conf_t    check;

    if (smcf->pg.conninfo.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    smcf->pg.conninfo = value[1];

    /* checked here, for the line; parsed for good when the timeouts are
       known, since the server is told of them */

    check = smcf->pg;
    check.timeout = 1000;

    error = ngx_scc_pg_conninfo(cf, &check);

    if (error != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"scc_postgres\": %s", error);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_scc_conf_state_path(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_scc_main_conf_t *smcf = conf;

    ngx_str_t  *value;

    if (smcf->state_path != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    return (ngx_scc_conf_path(cf, smcf, &value[1]) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* scc_zone name:size */

char *
ngx_scc_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_scc_main_conf_t *smcf = conf;

    u_char     *p;
    ssize_t     size;
    ngx_str_t  *value, name, text;

    if (smcf->cache.zone != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    name = value[1];
    p = (u_char *) ngx_strchr(name.data, ':');

    if (p == NULL || p == name.data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"scc_zone\" \"%V\": give name:size, "
                           "as in \"scc_zone scc:64m\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    text.data = p + 1;
    text.len = name.data + name.len - text.data;
    name.len = p - name.data;

    size = ngx_parse_size(&text);

    if (size == NGX_ERROR || (size_t) size < NGX_SCC_ZONE_MIN
        || (size_t) size > NGX_SCC_ZONE_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of \"scc_zone\": it must be "
                           "256k to 64g", &text);
        return NGX_CONF_ERROR;
    }

    smcf->cache.zone = ngx_scc_zone_add(cf, &name, size, &ngx_scc_module);

    return (smcf->cache.zone != NULL) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* scc_limit default max; */

char *
ngx_scc_conf_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_scc_loc_conf_t *slcf = conf;

    ngx_int_t   n, max;
    ngx_str_t  *value;

    if (slcf->limit != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_atoi(value[1].data, value[1].len);
    max = ngx_atoi(value[2].data, value[2].len);

    if (n == NGX_ERROR || n < 1 || max == NGX_ERROR || max < n
        || max > 100000)
    {
        return "needs two numbers, the default and the maximum of \"limit\", "
               "with 1 <= default <= maximum <= 100000";
    }

    slcf->limit = n;
    slcf->limit_max = max;

    return NGX_CONF_OK;
}


/* scc_bounds w,s,e,n; kept as the numbers of a JSON array */

char *
ngx_scc_conf_bounds(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_scc_loc_conf_t *slcf = conf;

    u_char      *p;
    scc_buf_t    b;
    scc_err_t    err;
    scc_str_t    text;
    ngx_str_t   *value;
    scc_area_t   area;

    if (slcf->bounds.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    text.len = value[1].len;
    text.data = value[1].data;

    if (scc_area_parse(text, &area, &err) != SCC_OK || area.n != 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid \"scc_bounds\" \"%V\": give "
                           "west,south,east,north in degrees", &value[1]);
        return NGX_CONF_ERROR;
    }

    p = ngx_pnalloc(cf->pool, 64);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    scc_buf_fixed(&b, p, 64);

    scc_buf_e7(&b, area.box[0].w);
    scc_buf_byte(&b, ',');
    scc_buf_e7(&b, area.box[0].s);
    scc_buf_byte(&b, ',');
    scc_buf_e7(&b, area.box[0].e);
    scc_buf_byte(&b, ',');
    scc_buf_e7(&b, area.box[0].n);

    slcf->bounds.data = p;
    slcf->bounds.len = b.used;

    return NGX_CONF_OK;
}


/* A URL that can stand in a Link header as it is. */

char *
ngx_scc_conf_license(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t *url = data;

    size_t  i;

    if (ngx_strncmp(url->data, "https://", 8) != 0
        && ngx_strncmp(url->data, "http://", 7) != 0)
    {
        return "must be the URL of a license, beginning with \"https://\" or "
               "\"http://\"";
    }

    for (i = 0; i < url->len; i++) {
        if (url->data[i] <= ' ' || url->data[i] >= 0x7f
            || url->data[i] == '<' || url->data[i] == '>'
            || url->data[i] == '"')
        {
            return "holds a character that no URL has; percent-encode it";
        }
    }

    return NGX_CONF_OK;
}


/* A duration that must not be zero: a wait without an end, or a busy loop. */

char *
ngx_scc_conf_not_zero(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t *msec = data;

    return (*msec == 0) ? "must not be zero" : NGX_CONF_OK;
}


char *
ngx_scc_conf_not_zero_sec(ngx_conf_t *cf, void *post, void *data)
{
    time_t *sec = data;

    return (*sec == 0) ? "must not be zero" : NGX_CONF_OK;
}


static char *
ngx_scc_conf_redis_option(ngx_conf_t *cf, ngx_command_t *cmd,
    ngx_scc_redis_conf_t *redis, ngx_str_t *option)
{
    ngx_int_t  n;
    ngx_str_t  value;

    if (ngx_strncmp(option->data, "user=", 5) == 0 && option->len > 5) {
        redis->user.len = option->len - 5;
        redis->user.data = option->data + 5;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(option->data, "password_file=", 14) == 0
        && option->len > 14)
    {
        value.len = option->len - 14;
        value.data = option->data + 14;

        return ngx_scc_conf_password(cf, &value, &redis->password);
    }

    if (ngx_strncmp(option->data, "db=", 3) == 0) {
        n = ngx_atoi(option->data + 3, option->len - 3);

        if (n != NGX_ERROR && n <= 65535) {
            redis->db = n;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"%V\"; allowed: "
                       "user=name, password_file=file, db=number", option,
                       &cmd->name);

    return NGX_CONF_ERROR;
}


char *
ngx_scc_conf_password(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *password)
{
    u_char   *buf;
    ssize_t   n;
    ngx_fd_t  fd;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    buf = ngx_pnalloc(cf->pool, NGX_SCC_PASSWORD_MAX);
    if (buf == NULL) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot open password_file \"%V\"", name);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_fd(fd, buf, NGX_SCC_PASSWORD_MAX);

    if (ngx_close_file(fd) == NGX_FILE_ERROR || n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot read password_file \"%V\"", name);
        return NGX_CONF_ERROR;
    }

    while (n > 0 && (buf[n - 1] == LF || buf[n - 1] == CR)) {
        n--;
    }

    if (n == 0 || n == NGX_SCC_PASSWORD_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "password_file \"%V\" must hold one line of 1 to "
                           "%d bytes", name, NGX_SCC_PASSWORD_MAX - 1);
        return NGX_CONF_ERROR;
    }

    password->len = n;
    password->data = buf;

    return NGX_CONF_OK;
}


/* Its manager is what makes nginx start the helper process. */

static ngx_int_t
ngx_scc_conf_path(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf,
    ngx_str_t *name)
{
    ngx_path_t  *path;

    path = ngx_pcalloc(cf->pool, sizeof(ngx_path_t));
    if (path == NULL) {
        return NGX_ERROR;
    }

    path->name = *name;

    if (path->name.len != 0
        && path->name.data[path->name.len - 1] == '/')
    {
        path->name.len--;
    }

    if (ngx_conf_full_name(cf->cycle, &path->name, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    path->manager = ngx_scc_helper;
    path->data = smcf;
    path->conf_file = cf->conf_file->file.name.data;
    path->line = cf->conf_file->line;

    if (ngx_add_path(cf, &path) != NGX_OK) {
        return NGX_ERROR;
    }

    smcf->state_path = path;

    return NGX_OK;
}


/*
 * Workers of before a reload and of after it may share the zone only if
 * their copies are of the same cells: another store, Redis or generation is
 * another zone.
 */

static void
ngx_scc_conf_zone_tag(ngx_scc_main_conf_t *smcf)
{
    ngx_str_t  parts[4];

    parts[0] = smcf->pg.conninfo;
    parts[1] = smcf->redis.addr.name;

    parts[2].data = (u_char *) &smcf->redis.db;
    parts[2].len = sizeof(smcf->redis.db);

    parts[3].data = (u_char *) &smcf->cache.generation;
    parts[3].len = sizeof(smcf->cache.generation);

    ngx_scc_zone_tag(smcf->cache.zone, parts, 4);
}
