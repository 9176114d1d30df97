
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_HTTP_H_INCLUDED_
#define _NGX_SCC_HTTP_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_scc_anchor.h"
#include "ngx_scc_applier.h"
#include "ngx_scc_auditor.h"
#include "ngx_scc_cache.h"
#include "ngx_scc_feed.h"
#include "ngx_scc_forget.h"
#include "ngx_scc_forward.h"
#include "ngx_scc_grid.h"
#include "ngx_scc_page.h"
#include "ngx_scc_rollup.h"
#include "ngx_scc_purge.h"
#include "ngx_scc_watch.h"
#include "scc_etag.h"
#include "scc_gzip.h"
#include "scc_keys.h"
#include "scc_query.h"
#include "scc_tile.h"
#include "scc_view.h"


#define NGX_SCC_UUID_LEN     36
#define NGX_SCC_RETRY_AFTER  2          /* seconds, said with a 503 */
#define NGX_SCC_GZIP_MIN     256        /* smaller bodies are not worth it */


typedef struct ngx_scc_gzip_s     ngx_scc_gzip_t;
typedef struct ngx_scc_answers_s  ngx_scc_answers_t;


typedef struct {
    ngx_uint_t                 api;             /* an scc_api is used */

    ngx_scc_redis_conf_t       redis;
    ngx_scc_pg_conf_t          pg;
    ngx_scc_cache_conf_t       cache;

    ngx_path_t                *state_path;
    ngx_msec_t                 feed_interval;
    ngx_scc_rollup_conf_t      rollup_conf;
    time_t                     aggregates_valid;    /* seconds */

    /* contributions; without a journal none are taken */
    ngx_scc_journal_conf_t     journal;
    ngx_str_t                  journal_pool;
    u_char                    *journal_file;    /* of "scc_journal" */
    ngx_uint_t                 journal_line;
    ngx_scc_redis_conf_t       queue;
    ngx_scc_pending_t         *pending;         /* NULL without a journal */
    ngx_scc_forward_conf_t     forward_conf;
    ngx_scc_pg_conf_t          apply_pg;        /* pg, with more time */
    ngx_scc_applier_conf_t     applier_conf;
    ngx_scc_caps_conf_t        caps;            /* set if a journal is */
    ngx_scc_auditor_conf_t     auditor_conf;
    size_t                     contribution_max;
    ngx_uint_t                 export_limit;    /* of each worker */
    size_t                     answer_cache;    /* of each worker */

    ngx_scc_guard_t           *guard;           /* NULL: off */
    ngx_flag_t                 store_guard;
    ngx_scc_watch_conf_t       watch_conf;
    ngx_scc_redis_conf_t       watch_redis;     /* queue, else redis */

    ngx_array_t               *purges;          /* ngx_scc_purge_conf_t */
    ngx_shm_zone_t            *purge_zone;      /* data: the stat */

    /* of this process, made when it starts */
    ngx_scc_redis_pool_t      *redis_pool;
    ngx_scc_pg_pool_t         *pg_pool;
    ngx_scc_cache_t           *cells;
    scc_mvt_t                  mvt;             /* one tile at a time */
    ngx_scc_grids_t           *grids;
    ngx_scc_feed_t            *feed;
    ngx_scc_forget_t          *forget;
    ngx_scc_forward_t         *forward;         /* of a worker */
    ngx_scc_applier_t         *applier;         /* of the helper */
    ngx_scc_rollup_t          *rollup;          /* too */
    ngx_scc_auditor_t         *auditor;         /* too */
    ngx_scc_watch_t           *watch;           /* too */
    ngx_scc_curl_t            *curl;            /* of the helper */
    ngx_scc_purge_t          **purgers;         /* one for each of purges */
    ngx_scc_gzip_t            *gzip;            /* of a worker */
    ngx_scc_answers_t         *answers;         /* too */
    ngx_uint_t                 helping;         /* all of it has begun */
    ngx_uint_t                 exports;         /* under way */
} ngx_scc_main_conf_t;


/* How long an answer may be kept, by browsers and at the edge. */

typedef enum {
    NGX_SCC_LIFE_NONE = 0,                      /* not at all */
    NGX_SCC_LIFE_REACHED,                       /* asked for by revision */
    NGX_SCC_LIFE_STALE,                         /* an old copy */
    NGX_SCC_LIFE_TILE,                          /* whole cells, views */
    NGX_SCC_LIFE_AGGREGATE,                     /* z <= 12, wide boxes */
    NGX_SCC_LIFE_PLACE,
    NGX_SCC_LIFE_NEARBY,
    NGX_SCC_LIFE_META,                          /* tiles.json */
    NGX_SCC_LIFE_MISSING,                       /* 404 of a place */
    NGX_SCC_LIFE_INVALID,                       /* 400 that its URL earns */
    NGX_SCC_LIVES
} ngx_scc_life_t;

#define NGX_SCC_LIFE_FIRST  NGX_SCC_LIFE_TILE   /* that can be configured */


/* Values of Cache-Control, and of CDN-Cache-Control and Surrogate-Control;
   no data: not set, no length: not sent. */

typedef struct {
    ngx_str_t                  browser;
    ngx_str_t                  cdn;
} ngx_scc_control_t;


/* What a contribution has to reach before it is acknowledged. */

typedef enum {
    NGX_SCC_ACK_JOURNAL = 0,
    NGX_SCC_ACK_QUEUE,
    NGX_SCC_ACK_APPLIED,
} ngx_scc_ack_t;


typedef struct {
    ngx_flag_t                 api;
    ngx_flag_t                 ogc;             /* the facade instead */
    ngx_str_t                  prefix;          /* of the API's paths */
    scc_query_conf_t           query;
    ngx_uint_t                 limit;
    ngx_uint_t                 limit_max;
    ngx_uint_t                 cells_max;
    ngx_http_complex_value_t  *base_url;
    ngx_str_t                  attribution;
    ngx_str_t                  license;         /* a URL */
    ngx_str_t                  bounds;
    ngx_uint_t                 empty_tile;      /* status of a vector tile
                                                   with nothing in it */

    ngx_flag_t                 gzip;
    ngx_int_t                  gzip_level;
    ngx_scc_control_t          control[NGX_SCC_LIVES];

    ngx_http_complex_value_t  *contributor;
    ngx_http_complex_value_t  *contributor_name;
    ngx_http_complex_value_t  *moderator;
    ngx_uint_t                 ack;             /* ngx_scc_ack_t */
    ngx_msec_t                 ack_timeout;
    ngx_flag_t                 ack_fallback;
} ngx_scc_loc_conf_t;


/* What answered, for $scc_cache_status and Cache-Status (RFC 9211). */

typedef enum {
    NGX_SCC_CACHE_NONE = 0,             /* "-": no backend was asked */
    NGX_SCC_CACHE_HIT,                  /* all from the zone or Redis */
    NGX_SCC_CACHE_MISS,                 /* some read from the store, kept */
    NGX_SCC_CACHE_STALE,                /* old copies: the store is silent */
    NGX_SCC_CACHE_PG,                   /* Redis not usable: the store */
    NGX_SCC_CACHE_WIDE,                 /* a box too large for cells */
    NGX_SCC_CACHE_ERROR,                /* nobody could answer */
} ngx_scc_cache_status_t;


/* What a contributor was told, for the answer and the variables. */

typedef enum {
    NGX_SCC_TOLD_NONE = 0,
    NGX_SCC_TOLD_REJECTED,              /* 4xx: nothing was taken */
    NGX_SCC_TOLD_REFUSED,               /* 503: nothing was taken */
    NGX_SCC_TOLD_UNKNOWN,               /* 503: it may be durable */
    NGX_SCC_TOLD_JOURNALED,
    NGX_SCC_TOLD_QUEUED,
    NGX_SCC_TOLD_DEAD,
    NGX_SCC_TOLD_APPLIED,
} ngx_scc_told_status_t;

extern ngx_str_t  ngx_scc_told_names[];         /* by status */

typedef struct {
    ngx_scc_told_status_t      status;
    u_char                     id[16];
    uint64_t                   hlc;
    ngx_uint_t                 journal;         /* disks */
    unsigned                   queue:1;
    unsigned                   applied:1;
    unsigned                   kept:1;          /* applied, and durably */
    unsigned                   has_id:1;
} ngx_scc_told_t;

/* SCC-Durability's value */
#define NGX_SCC_DURABILITY_LEN                                                \
    (sizeof("journal=, queue=0, applied=0") + NGX_INT_T_LEN)
u_char *ngx_scc_durability(u_char *p, ngx_scc_told_t *told);
ngx_scc_told_status_t ngx_scc_told_status(ngx_uint_t state);


typedef struct ngx_scc_export_s  ngx_scc_export_t;


typedef struct {
    ngx_http_request_t        *request;
    scc_query_t                query;

    ngx_scc_cells_t            cells;
    ngx_scc_page_t             page;
    ngx_scc_grid_t             grid;
    ngx_scc_pg_call_t         *pg_call;         /* of the route's own */
    ngx_scc_export_t          *export;

    struct ngx_scc_nearby_s   *nearby;          /* GET nearby */
    struct ngx_scc_contribute_s  *contribute;   /* POST contributions */
    ngx_scc_told_t             told;

    uint32_t                   item;            /* GET items/{id}: its cell */
    ngx_scc_life_t             life;            /* NONE: as its route */
    ngx_str_t                  keys;            /* Surrogate-Key, if any */
    scc_etag_kind_t            kind;
    uint64_t                   hash;            /* of the ETag */
    size_t                     size;            /* of the text, about */
    scc_coding_t               coding;
    u_char                     etag[SCC_ETAG_LEN];

    time_t                     as_of;           /* of aggregates */
    time_t                     until;           /* they are fresh, or 0 */
    uint64_t                   epoch;           /* of the zone, before */

    ngx_scc_cache_status_t     status;
    ngx_uint_t                 n_cells;
    ngx_uint_t                 n_features;
    unsigned                   zone:1;          /* HIT, all from the zone */
    unsigned                   partial:1;       /* MISS, but some hit */
    unsigned                   unkept:1;        /* MISS, nothing to keep */
    unsigned                   early:1;         /* older than was asked */
    unsigned                   young:1;         /* HIT, but there is newer */
    unsigned                   validated:1;     /* kind, hash, size, coding,
                                                   etag */
    unsigned                   dear:1;          /* to make: kept at once */
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
char *ngx_scc_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_conf_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_conf_not_zero(ngx_conf_t *cf, void *post, void *data);
char *ngx_scc_conf_not_zero_sec(ngx_conf_t *cf, void *post, void *data);
/* One line of a file, on the cycle's pool. */
char *ngx_scc_conf_password(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *password);
char *ngx_scc_conf_bounds(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_conf_license(ngx_conf_t *cf, void *post, void *data);

/* ngx_scc_write_conf.c */
ngx_int_t ngx_scc_write_create_conf(ngx_conf_t *cf,
    ngx_scc_main_conf_t *smcf);
char *ngx_scc_write_init_conf(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf);
char *ngx_scc_apply_init_conf(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf);
char *ngx_scc_conf_journal(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_conf_journal_pool(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_scc_audit_conf.c */
char *ngx_scc_conf_allow_fs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_conf_offsite(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
/* The journal as it can be seen without writing: an error if strict. */
char *ngx_scc_audit_init_conf(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf);
/* A copy of cf that stands at the line of "scc_journal". */
void ngx_scc_conf_at_journal(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf,
    ngx_conf_t *copy, ngx_conf_file_t *file);

/* ngx_scc_purge_conf.c */
char *ngx_scc_conf_purge(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* ngx_scc_process.c */
ngx_int_t ngx_scc_process_start(ngx_cycle_t *cycle,
    ngx_scc_main_conf_t *smcf);
ngx_int_t ngx_scc_write_start(ngx_cycle_t *cycle,
    ngx_scc_main_conf_t *smcf);                 /* workers only */
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
ngx_int_t ngx_scc_tile(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
/* A vector tile of places; job's cells are used within the call. */
ngx_int_t ngx_scc_tile_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_scc_cells_t *job);
ngx_int_t ngx_scc_nearby(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
/* Surrogate-Key of its answer, as scc_keys_area(). */
u_char *ngx_scc_nearby_keys(ngx_scc_ctx_t *ctx, u_char *p);
ngx_int_t ngx_scc_tilejson(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
ngx_int_t ngx_scc_contribution(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
ngx_int_t ngx_scc_ogc(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
ngx_int_t ngx_scc_ogc_item(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
ngx_int_t ngx_scc_export(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
ngx_int_t ngx_scc_export_about(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);

/* POST contributions: a content handler of its own, which reads the body. */
ngx_int_t ngx_scc_contribute(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);

/* ngx_scc_headers.c */
char *ngx_scc_conf_control(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_control_merge(ngx_conf_t *cf, ngx_scc_control_t *prev,
    ngx_scc_control_t *conf);
/*
 * Before any work on a body of about "size" bytes: chooses its coding, makes
 * its ETag and compares.  NGX_DECLINED: the body is wanted; else the answer,
 * 304 or 412, is sent, with this rc.
 */
ngx_int_t ngx_scc_validate(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    scc_etag_kind_t kind, uint64_t hash, size_t size);
/* All headers but those of the body. */
ngx_int_t ngx_scc_headers(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
/* Adds a header; name is static text, value stays. */
ngx_table_elt_t *ngx_scc_header_push(ngx_http_request_t *r, char *name,
    ngx_str_t *value);
/* The same with a copy of value. */
ngx_int_t ngx_scc_header(ngx_http_request_t *r, char *name,
    const char *value);

/*
 * ngx_scc_answer.c: finished answers, kept.  Hot: the whole of it is there and
 * nothing has changed, before anything is looked up.  Kept: as ctx->hash and
 * ctx->coding say.  Both send; NGX_DECLINED: it is not there.
 */
ngx_scc_answers_t *ngx_scc_answers_create(ngx_cycle_t *cycle, size_t size);
void ngx_scc_answers_destroy(ngx_scc_answers_t *answers);
ngx_int_t ngx_scc_answer_hot(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
ngx_int_t ngx_scc_answer_kept(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
/* Room for len bytes, valid as long as the request, that the caller fills
   and sends; NULL: it is not to be kept.  copy: the same of an answer that
   is not dear to make, from the second time on. */
u_char *ngx_scc_answer_room(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, size_t len);
u_char *ngx_scc_answer_copy(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, size_t len);
/* The validator alone: a condition was answered. */
void ngx_scc_answer_note(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);

/* ngx_scc_gzip.c */
ngx_scc_gzip_t *ngx_scc_gzip_create(ngx_cycle_t *cycle);
void ngx_scc_gzip_destroy(ngx_scc_gzip_t *gzip);
ngx_uint_t ngx_scc_gzip_wanted(ngx_http_request_t *r);
/* As the senders of ngx_scc_response.c; ctx->coding is gzip. */
ngx_int_t ngx_scc_gzip_view(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, const scc_view_t *view);
ngx_int_t ngx_scc_gzip_body(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, u_char *body, size_t len);

/* ngx_scc_headers.c: SCC-Data-State's value, or NULL. */
ngx_str_t *ngx_scc_data_state(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);

/* ngx_scc_response.c: each sends and returns a content handler's rc */
ngx_int_t ngx_scc_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, u_char *body, size_t len);
/* The same of a chain with "len" bytes in ctx->coding; out's last buf ends
   the body. */
ngx_int_t ngx_scc_send_chain(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, ngx_chain_t *out, off_t len);
/* The same of one run of bytes. */
ngx_int_t ngx_scc_send_coded(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, u_char *body, size_t len);
/* 204: the same headers, no body. */
ngx_int_t ngx_scc_send_nothing(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
/* The same with another status, and never cached. */
ngx_int_t ngx_scc_send_private(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_uint_t status, u_char *body, size_t len);
/* 304, without a body; and what a preflight asks (204). */
ngx_int_t ngx_scc_not_modified(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
ngx_int_t ngx_scc_options(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
ngx_int_t ngx_scc_problem(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_uint_t status, const char *detail, scc_str_t *parameter);
/* 400 with the list of faulty fields. */
ngx_int_t ngx_scc_problem_faults(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    const char *detail, const scc_faults_t *faults);
/* 503 with Retry-After. */
ngx_int_t ngx_scc_problem_later(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    const char *detail);
ngx_int_t ngx_scc_unavailable(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);
void ngx_scc_doubt(ngx_http_request_t *r, uint32_t cell);

/* ngx_scc_ogc.c: sets what the facade's links begin with; NGX_DECLINED: the
   Host is too long. */
ngx_int_t ngx_scc_ogc_base(ngx_http_request_t *r, ngx_scc_ctx_t *ctx);

/* ngx_scc_tilejson.c: the location's URL with a '/' at its end; room for a
   tile's template is behind it. */
ngx_int_t ngx_scc_base(ngx_http_request_t *r, ngx_str_t *base);

/* ngx_scc_export.c: adds a Link with rel=license, if there is a license. */
ngx_int_t ngx_scc_license_link(ngx_http_request_t *r);

/* scc_buf_grow_pt on an ngx_pool_t */
void *ngx_scc_pool_grow(void *pool, void *old, size_t used, size_t size);

/* ngx_scc_variables.c */
ngx_int_t ngx_scc_add_variables(ngx_conf_t *cf);
ngx_int_t ngx_scc_init_variables(ngx_conf_t *cf);
ngx_int_t ngx_scc_add_write_variables(ngx_conf_t *cf);
ngx_int_t ngx_scc_add_audit_variables(ngx_conf_t *cf);


extern ngx_module_t  ngx_scc_module;

extern ngx_str_t  ngx_scc_type_geojson;
extern ngx_str_t  ngx_scc_type_json;
extern ngx_str_t  ngx_scc_type_mvt;


#endif /* _NGX_SCC_HTTP_H_INCLUDED_ */
