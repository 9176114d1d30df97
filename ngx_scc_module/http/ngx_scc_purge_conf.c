
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


/* four counters and the slab allocator's own */
#define NGX_SCC_PURGE_ZONE  (8 * ngx_pagesize)


static ngx_int_t ngx_scc_purge_zone_init(ngx_shm_zone_t *zone, void *data);
static ngx_int_t ngx_scc_conf_purge_key(ngx_conf_t *cf, ngx_str_t *option,
    ngx_str_t *key);


/* scc_purge url [key_file=file]; */

char *
ngx_scc_conf_purge(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_scc_main_conf_t *smcf = conf;

    u_char                *p;
    ngx_str_t             *value;
    ngx_uint_t             i;
    ngx_scc_purge_conf_t  *purge, *other;

    static ngx_str_t  zone = ngx_string("scc_purge");

    value = cf->args->elts;

    if (smcf->purges == NULL) {
        smcf->purges = ngx_array_create(cf->pool, 2,
                                        sizeof(ngx_scc_purge_conf_t));
        if (smcf->purges == NULL) {
            return NGX_CONF_ERROR;
        }

        smcf->purge_zone = ngx_shared_memory_add(cf, &zone,
                                                 NGX_SCC_PURGE_ZONE,
                                                 &ngx_scc_module);
        if (smcf->purge_zone == NULL) {
            return NGX_CONF_ERROR;
        }

        smcf->purge_zone->init = ngx_scc_purge_zone_init;
    }

    if (!ngx_scc_curl_url((char *) value[1].data)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\" in \"%V\"; give the address "
                           "that takes purges, as in "
                           "http://127.0.0.1:6081/scc-purge",
                           &value[1], &cmd->name);
        return NGX_CONF_ERROR;
    }

    other = smcf->purges->elts;

    for (i = 0; i < smcf->purges->nelts; i++) {
        if (other[i].url.len == value[1].len
            && ngx_strcmp(other[i].url.data, value[1].data) == 0)
        {
            return "is duplicate";
        }
    }

    purge = ngx_array_push(smcf->purges);
    if (purge == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(purge, sizeof(ngx_scc_purge_conf_t));

    purge->url = value[1];
    purge->name = value[1];

    p = ngx_strlchr(value[1].data, value[1].data + value[1].len, '?');

    if (p != NULL) {
        purge->name.len = p - value[1].data;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    return (ngx_scc_conf_purge_key(cf, &value[2], &purge->key) == NGX_OK)
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_scc_purge_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data != NULL) {
        zone->data = data;
        return NGX_OK;
    }

    if (zone->shm.exists) {
        zone->data = shpool->data;
        return NGX_OK;
    }

    zone->data = ngx_slab_calloc(shpool, sizeof(ngx_scc_purge_stat_t));
    if (zone->data == NULL) {
        return NGX_ERROR;
    }

    shpool->data = zone->data;

    return NGX_OK;
}


static ngx_int_t
ngx_scc_conf_purge_key(ngx_conf_t *cf, ngx_str_t *option, ngx_str_t *key)
{
    ngx_str_t   name;
    ngx_uint_t  i;

    if (ngx_strncmp(option->data, "key_file=", 9) != 0 || option->len == 9) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of \"scc_purge\"; "
                           "allowed: key_file=file", option);
        return NGX_ERROR;
    }

    name.len = option->len - 9;
    name.data = option->data + 9;

    if (ngx_scc_conf_password(cf, &name, key) != NGX_CONF_OK) {
        return NGX_ERROR;
    }

    /* it becomes a header */

    for (i = 0; i < key->len; i++) {
        if (key->data[i] <= 0x20 || key->data[i] >= 0x7f) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" holds what a header cannot: only "
                               "printable ASCII without blanks is allowed",
                               option);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
