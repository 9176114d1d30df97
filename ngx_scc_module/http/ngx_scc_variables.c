
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


#define NGX_SCC_VARIABLES_HASH  2048


static ngx_int_t ngx_scc_variable_cache_status(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_variable_route(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_variable_event_id(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_variable_durability(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_variable_contribution(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_variable_zone(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_variable_purge(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_variable_data_state(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_variable_guard(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_variable_verdict(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_variable_count(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, ngx_atomic_uint_t n);
static ngx_int_t ngx_scc_variable_set(ngx_http_variable_value_t *v,
    ngx_str_t *value);


#define ngx_scc_zone_variable(name)                                           \
    { ngx_string("scc_zone_" #name), NULL, ngx_scc_variable_zone,             \
      offsetof(ngx_scc_zone_stat_t, name), NGX_HTTP_VAR_NOCACHEABLE, 0 }


#define ngx_scc_purge_variable(name)                                          \
    { ngx_string("scc_purge_" #name), NULL, ngx_scc_variable_purge,           \
      offsetof(ngx_scc_purge_stat_t, name), NGX_HTTP_VAR_NOCACHEABLE, 0 }


#define ngx_scc_guard_variable(name)                                          \
    { ngx_string("scc_guard_" #name), NULL, ngx_scc_variable_guard,           \
      offsetof(ngx_scc_guard_shared_t, name), NGX_HTTP_VAR_NOCACHEABLE, 0 }


static ngx_http_variable_t  ngx_scc_vars[] = {

    { ngx_string("scc_cache_status"), NULL,
      ngx_scc_variable_cache_status, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("scc_route"), NULL,
      ngx_scc_variable_route, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("scc_cells"), NULL,
      ngx_scc_variable_number, offsetof(ngx_scc_ctx_t, n_cells),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("scc_features"), NULL,
      ngx_scc_variable_number, offsetof(ngx_scc_ctx_t, n_features),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("scc_event_id"), NULL,
      ngx_scc_variable_event_id, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("scc_durability"), NULL,
      ngx_scc_variable_durability, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("scc_contribution_status"), NULL,
      ngx_scc_variable_contribution, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    ngx_scc_zone_variable(hits),
    ngx_scc_zone_variable(misses),
    ngx_scc_zone_variable(inserts),
    ngx_scc_zone_variable(dropped),
    ngx_scc_zone_variable(refused),
    ngx_scc_zone_variable(evictions),
    ngx_scc_zone_variable(marked),
    ngx_scc_zone_variable(stale),
    ngx_scc_zone_variable(repairs),
    ngx_scc_zone_variable(entries),
    ngx_scc_zone_variable(size),
    ngx_scc_zone_variable(free),
    ngx_scc_zone_variable(epoch),
    ngx_scc_zone_variable(moves),

    { ngx_string("scc_data_state"), NULL,
      ngx_scc_variable_data_state, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("scc_guard_state"), NULL,
      ngx_scc_variable_verdict, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("scc_guard_reason"), NULL,
      ngx_scc_variable_verdict, 1, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("scc_guard_since"), NULL,
      ngx_scc_variable_verdict, 2, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    ngx_scc_guard_variable(checks),
    ngx_scc_guard_variable(refused),
    ngx_scc_guard_variable(replayed),

    ngx_scc_purge_variable(keys),
    ngx_scc_purge_variable(calls),
    ngx_scc_purge_variable(failures),
    ngx_scc_purge_variable(everything),

      ngx_http_null_variable
};


static ngx_str_t  ngx_scc_cache_statuses[] = {
    ngx_null_string,                    /* NGX_SCC_CACHE_NONE */
    ngx_string("HIT"),
    ngx_string("MISS"),
    ngx_string("STALE"),
    ngx_string("PG"),
    ngx_string("WIDE"),
    ngx_string("ERROR"),
};


static ngx_str_t  ngx_scc_routes[] = {
    ngx_null_string,                    /* SCC_ROUTE_NONE */
    ngx_string("places"),
    ngx_string("place"),
    ngx_string("nearby"),
    ngx_string("cells"),
    ngx_string("tilejson"),
    ngx_string("tile"),
    ngx_string("contributions"),
    ngx_string("contribution"),
    ngx_string("export"),
    ngx_string("export-about"),
    ngx_string("ogc-landing"),
    ngx_string("ogc-api"),
    ngx_string("ogc-conformance"),
    ngx_string("ogc-collections"),
    ngx_string("ogc-collection"),
    ngx_string("ogc-item"),
    ngx_string("ogc-tilesets"),
    ngx_string("ogc-tileset"),
};


ngx_int_t
ngx_scc_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_scc_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return (ngx_scc_add_write_variables(cf) == NGX_OK)
           ? ngx_scc_add_audit_variables(cf) : NGX_ERROR;
}


/* Room for ours beside nginx's, or it warns at every start. */

ngx_int_t
ngx_scc_init_variables(ngx_conf_t *cf)
{
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    cmcf->variables_hash_max_size = ngx_max(cmcf->variables_hash_max_size,
                                            NGX_SCC_VARIABLES_HASH);

    return NGX_OK;
}


static ngx_int_t
ngx_scc_variable_cache_status(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_scc_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_scc_module);

    return ngx_scc_variable_set(v, (ctx != NULL)
                                   ? &ngx_scc_cache_statuses[ctx->status]
                                   : &ngx_scc_cache_statuses[0]);
}


static ngx_int_t
ngx_scc_variable_route(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_scc_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_scc_module);

    return ngx_scc_variable_set(v, (ctx != NULL)
                                   ? &ngx_scc_routes[ctx->query.route]
                                   : &ngx_scc_routes[0]);
}


static ngx_int_t
ngx_scc_variable_number(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_scc_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_scc_module);

    if (ctx == NULL || ctx->status == NGX_SCC_CACHE_NONE) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_scc_variable_count(r, v,
                                  *(ngx_uint_t *) ((u_char *) ctx + data));
}


static ngx_int_t
ngx_scc_variable_event_id(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    scc_buf_t       b;
    ngx_str_t       value;
    ngx_scc_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_scc_module);

    ngx_str_null(&value);

    if (ctx != NULL && ctx->told.has_id) {
        value.data = ngx_pnalloc(r->pool, NGX_SCC_UUID_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        scc_buf_fixed(&b, value.data, NGX_SCC_UUID_LEN);
        scc_uuid_write(&b, ctx->told.id);

        value.len = b.used;
    }

    return ngx_scc_variable_set(v, &value);
}


static ngx_int_t
ngx_scc_variable_durability(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t       value;
    ngx_scc_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_scc_module);

    ngx_str_null(&value);

    if (ctx != NULL && ctx->told.status >= NGX_SCC_TOLD_JOURNALED) {
        value.data = ngx_pnalloc(r->pool, NGX_SCC_DURABILITY_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_scc_durability(value.data, &ctx->told) - value.data;
    }

    return ngx_scc_variable_set(v, &value);
}


static ngx_int_t
ngx_scc_variable_contribution(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_scc_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_scc_module);

    return ngx_scc_variable_set(v, (ctx != NULL)
                                   ? &ngx_scc_told_names[ctx->told.status]
                                   : &ngx_scc_told_names[0]);
}


static ngx_int_t
ngx_scc_variable_zone(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_scc_zone_stat_t   stat;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    if (smcf->cache.zone == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_scc_zone_stat(smcf->cache.zone, &stat);

    return ngx_scc_variable_count(r, v,
                                  *(ngx_uint_t *) ((u_char *) &stat + data));
}


static ngx_int_t
ngx_scc_variable_purge(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    if (smcf->purge_zone == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_scc_variable_count(r, v, *(ngx_atomic_t *)
                                  ((u_char *) smcf->purge_zone->data + data));
}


static ngx_int_t
ngx_scc_variable_data_state(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t      *state, none;
    ngx_scc_ctx_t  *ctx;

    ngx_str_null(&none);

    ctx = ngx_http_get_module_ctx(r, ngx_scc_module);
    state = (ctx != NULL) ? ngx_scc_data_state(r, ctx) : NULL;

    return ngx_scc_variable_set(v, (state != NULL) ? state : &none);
}


static ngx_int_t
ngx_scc_variable_guard(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    if (smcf->guard == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_scc_variable_count(r, v, *(ngx_atomic_t *)
                                  ((u_char *) smcf->guard->sh + data));
}


/* state, reason; since, in milliseconds of the epoch */

static ngx_int_t
ngx_scc_variable_verdict(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char               *p;
    scc_str_t             name;
    ngx_str_t             value;
    scc_anchor_t          anchor;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    ngx_str_null(&value);

    if (smcf->guard != NULL) {
        (void) ngx_scc_guard_get(smcf->guard, &anchor);

        if (data == 2) {
            p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
            if (p == NULL) {
                return NGX_ERROR;
            }

            value.data = p;
            value.len = ngx_sprintf(p, "%uL", anchor.since) - p;

        } else {
            name = (data == 0) ? scc_guard_state_name(anchor.verdict.state)
                               : scc_guard_reason_name(anchor.verdict.reason);
            value.data = (u_char *) name.data;
            value.len = name.len;
        }
    }

    return ngx_scc_variable_set(v, &value);
}


static ngx_int_t
ngx_scc_variable_count(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    ngx_atomic_uint_t n)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_ATOMIC_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%uA", n) - value.data;

    return ngx_scc_variable_set(v, &value);
}


static ngx_int_t
ngx_scc_variable_set(ngx_http_variable_value_t *v, ngx_str_t *value)
{
    if (value->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = value->len;
    v->data = value->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
