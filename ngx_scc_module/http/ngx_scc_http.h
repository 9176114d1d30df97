
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_HTTP_H_INCLUDED_
#define _NGX_SCC_HTTP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_scc_cache.h"
#include "ngx_scc_feed.h"
#include "ngx_scc_page.h"
#include "scc_query.h"
#include "scc_view.h"


#define NGX_SCC_RETRY_AFTER  2          /* seconds, said with a 503 */


typedef struct {
    ngx_uint_t                 api;             /* an scc_api is used */

    ngx_scc_redis_conf_t       redis;
    ngx_scc_pg_conf_t          pg;
    ngx_scc_cache_conf_t       cache;

    ngx_path_t                *state_path;
    ngx_msec_t                 feed_interval;

    /* of this process, made when it starts */
    ngx_scc_redis_pool_t      *redis_pool;
    ngx_scc_pg_pool_t         *pg_pool;
    ngx_scc_cache_t           *cells;
    ngx_scc_feed_t            *feed;
} ngx_scc_main_conf_t;


typedef struct {
    ngx_flag_t                 api;
    scc_query_conf_t           query;
    ngx_uint_t                 limit;
    ngx_uint_t                 limit_max;
    ngx_uint_t                 cells_max;
    ngx_http_complex_value_t  *base_url;
    ngx_str_t                  attribution;
    ngx_str_t                  bounds;
} ngx_scc_loc_conf_t;


/* What answered, for $scc_cache_status and Cache-Status (RFC 9211). */

typedef enum {
    NGX_SCC_CACHE_NONE = 0,             /* "-": no backend was asked */
    NGX_SCC_CACHE_HIT,                  /* all from Redis */
    NGX_SCC_CACHE_MISS,                 /* some read from the store, kept */
    NGX_SCC_CACHE_STALE,                /* old copies: the store is silent */
    NGX_SCC_CACHE_PG,                   /* Redis not usable: the store */
    NGX_SCC_CACHE_WIDE,                 /* a box too large for cells */
    NGX_SCC_CACHE_ERROR,                /* nobody could answer */
} ngx_scc_cache_status_t;


typedef struct {
    ngx_http_request_t        *request;
    scc_query_t                query;

    ngx_scc_cells_t            cells;
    ngx_scc_page_t             page;
    ngx_scc_pg_call_t         *pg_call;         /* a wide page */

    ngx_scc_cache_status_t     status;
    ngx_uint_t                 n_cells;
    ngx_uint_t                 n_features;
    unsigned                   partial:1;       /* MISS, but some hit */
    unsigned                   unkept:1;        /* MISS, nothing to keep */
} ngx_scc_ctx_t;


/* ngx_scc_conf.c */
void *ngx_scc_create_main_conf(ngx_conf_t *cf);
char *ngx_scc_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_scc_create_loc_conf(ngx_conf_t *cf);
char *ngx_scc_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);
char *ngx_scc_conf_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_conf_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_conf_postgres(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_conf_state_path(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_scc_conf_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_conf_not_zero(ngx_conf_t *cf, void *post, void *data);
char *ngx_scc_conf_not_zero_sec(ngx_conf_t *cf, void *post, void *data);
char *ngx_scc_conf_bounds(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* ngx_scc_process.c */
ngx_int_t ngx_scc_process_start(ngx_cycle_t *cycle,
    ngx_scc_main_conf_t *smcf);
void ngx_scc_process_end(ngx_scc_main_conf_t *smcf);
ngx_msec_t ngx_scc_helper(void *data);          /* ngx_path_manager_pt */
ngx_int_t ngx_scc_helper_start(ngx_cycle_t *cycle,
    ngx_scc_main_conf_t *smcf);

/* ngx_scc_handler.c */
ngx_int_t ngx_scc_handler(ngx_http_request_t *r);
/* Ends a request from a backend's event; rc as from a content handler. */
void ngx_scc_finish(ngx_scc_ctx_t *ctx, ngx_int_t rc);

/* The routes: a content handler's rc, or NGX_AGAIN: ngx_scc_finish()
   will be called. */
ngx_int_t ngx_scc_map(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
ngx_int_t ngx_scc_wide(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
ngx_int_t ngx_scc_place(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
ngx_int_t ngx_scc_tilejson(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);

/* ngx_scc_response.c: each sends and returns a content handler's rc */
ngx_int_t ngx_scc_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, u_char *body, size_t len);
ngx_int_t ngx_scc_problem(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_uint_t status, const char *detail, scc_str_t *parameter);
ngx_int_t ngx_scc_unavailable(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);

/* scc_buf_grow_pt on an ngx_pool_t */
void *ngx_scc_pool_grow(void *pool, void *old, size_t used, size_t size);

/* ngx_scc_variables.c */
ngx_int_t ngx_scc_add_variables(ngx_conf_t *cf);


extern ngx_module_t  ngx_scc_module;

extern ngx_str_t  ngx_scc_type_geojson;
extern ngx_str_t  ngx_scc_type_json;


#endif /* _NGX_SCC_HTTP_H_INCLUDED_ */
