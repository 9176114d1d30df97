
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


static ngx_int_t ngx_scc_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_scc_init_process(ngx_cycle_t *cycle);
static void ngx_scc_exit_process(ngx_cycle_t *cycle);


static ngx_conf_num_bounds_t  ngx_scc_connections_bounds = {
    ngx_conf_check_num_bounds, 1, 1000
};

static ngx_conf_num_bounds_t  ngx_scc_queue_bounds = {
    ngx_conf_check_num_bounds, 0, 1000000
};

static ngx_conf_num_bounds_t  ngx_scc_pending_bounds = {
    ngx_conf_check_num_bounds, 1, 1000000
};

static ngx_conf_num_bounds_t  ngx_scc_cells_bounds = {
    ngx_conf_check_num_bounds, 1, 4096
};

static ngx_conf_num_bounds_t  ngx_scc_export_bounds = {
    ngx_conf_check_num_bounds, 1, 1000
};

static ngx_conf_num_bounds_t  ngx_scc_gzip_level_bounds = {
    ngx_conf_check_num_bounds, SCC_GZIP_LEVEL_MIN, SCC_GZIP_LEVEL_MAX
};

static ngx_conf_num_bounds_t  ngx_scc_generation_bounds = {
    ngx_conf_check_num_bounds, 0, 2147483647
};


static ngx_conf_post_t  ngx_scc_not_zero = { ngx_scc_conf_not_zero };
static ngx_conf_post_t  ngx_scc_not_zero_sec = { ngx_scc_conf_not_zero_sec };
static ngx_conf_post_t  ngx_scc_license_post = { ngx_scc_conf_license };


static ngx_conf_enum_t  ngx_scc_acks[] = {
    { ngx_string("journal"), NGX_SCC_ACK_JOURNAL },
    { ngx_string("queue"), NGX_SCC_ACK_QUEUE },
    { ngx_string("applied"), NGX_SCC_ACK_APPLIED },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_scc_audits[] = {
    { ngx_string("warn"), 0 },
    { ngx_string("strict"), 1 },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_scc_empty_tiles[] = {
    { ngx_string("200"), NGX_HTTP_OK },
    { ngx_string("204"), NGX_HTTP_NO_CONTENT },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_scc_commands[] = {

    { ngx_string("scc_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_scc_conf_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, api),
      NULL },

    { ngx_string("scc_ogc"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_scc_conf_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, ogc),
      NULL },

    { ngx_string("scc_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_scc_conf_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_cells_max"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, cells_max),
      &ngx_scc_cells_bounds },

    { ngx_string("scc_base_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, base_url),
      NULL },

    { ngx_string("scc_attribution"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, attribution),
      NULL },

    { ngx_string("scc_bounds"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_scc_conf_bounds,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, bounds),
      NULL },

    { ngx_string("scc_empty_tile"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, empty_tile),
      ngx_scc_empty_tiles },

    { ngx_string("scc_license"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, license),
      &ngx_scc_license_post },

    { ngx_string("scc_export_limit"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, export_limit),
      &ngx_scc_export_bounds },

    { ngx_string("scc_gzip"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, gzip),
      NULL },

    { ngx_string("scc_gzip_level"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, gzip_level),
      &ngx_scc_gzip_level_bounds },

    { ngx_string("scc_answer_cache"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, answer_cache),
      NULL },

    { ngx_string("scc_cache_control"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_scc_conf_control,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_redis"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_scc_conf_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, redis),
      NULL },

    { ngx_string("scc_redis_connections"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, redis.connections),
      &ngx_scc_connections_bounds },

    { ngx_string("scc_redis_pending"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, redis.pending_max),
      &ngx_scc_pending_bounds },

    { ngx_string("scc_redis_connect_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, redis.connect_timeout),
      &ngx_scc_not_zero },

    { ngx_string("scc_redis_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, redis.timeout),
      &ngx_scc_not_zero },

    { ngx_string("scc_postgres"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_scc_conf_postgres,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_postgres_connections"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, pg.connections),
      &ngx_scc_connections_bounds },

    { ngx_string("scc_postgres_queue"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, pg.queue),
      &ngx_scc_queue_bounds },

    { ngx_string("scc_postgres_connect_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, pg.connect_timeout),
      &ngx_scc_not_zero },

    { ngx_string("scc_postgres_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, pg.timeout),
      &ngx_scc_not_zero },

    { ngx_string("scc_postgres_idle"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, pg.idle),
      &ngx_scc_not_zero },

    { ngx_string("scc_state_path"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_scc_conf_state_path,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_purge"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_scc_conf_purge,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_store_guard"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, store_guard),
      NULL },

    { ngx_string("scc_feed_interval"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, feed_interval),
      &ngx_scc_not_zero },

    { ngx_string("scc_rollup_interval"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, rollup_conf.interval),
      &ngx_scc_not_zero },

    { ngx_string("scc_aggregates_valid"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, aggregates_valid),
      &ngx_scc_not_zero_sec },

    { ngx_string("scc_lease_time"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, cache.lease_time),
      &ngx_scc_not_zero },

    { ngx_string("scc_lease_wait"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, cache.lease_wait),
      NULL },

    { ngx_string("scc_cache_ttl"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, cache.ttl),
      &ngx_scc_not_zero_sec },

    { ngx_string("scc_cache_generation"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, cache.generation),
      &ngx_scc_generation_bounds },

    { ngx_string("scc_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_scc_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_journal"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_scc_conf_journal,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_journal_segment"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_off_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, journal.segment_size),
      NULL },

    { ngx_string("scc_journal_thread_pool"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_scc_conf_journal_pool,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_journal_pending"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, journal.pending_max),
      NULL },

    { ngx_string("scc_queue"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_scc_conf_redis,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, queue),
      NULL },

    { ngx_string("scc_audit"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, caps.strict),
      ngx_scc_audits },

    { ngx_string("scc_audit_interval"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, caps.interval),
      &ngx_scc_not_zero },

    { ngx_string("scc_journal_allow_fs"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_scc_conf_allow_fs,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_offsite"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_scc_conf_offsite,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("scc_contribution_max"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_scc_main_conf_t, contribution_max),
      NULL },

    { ngx_string("scc_contributor"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, contributor),
      NULL },

    { ngx_string("scc_contributor_name"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, contributor_name),
      NULL },

    { ngx_string("scc_moderator"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, moderator),
      NULL },

    { ngx_string("scc_ack"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, ack),
      ngx_scc_acks },

    { ngx_string("scc_ack_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, ack_timeout),
      &ngx_scc_not_zero },

    { ngx_string("scc_ack_fallback"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_scc_loc_conf_t, ack_fallback),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_scc_module_ctx = {
    ngx_scc_add_variables,         /* preconfiguration */
    ngx_scc_init_variables,        /* postconfiguration */

    ngx_scc_create_main_conf,      /* create main configuration */
    ngx_scc_init_main_conf,        /* init main configuration */

    NULL,                          /* create server configuration */
    NULL,                          /* merge server configuration */

    ngx_scc_create_loc_conf,       /* create location configuration */
    ngx_scc_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_scc_module = {
    NGX_MODULE_V1,
    &ngx_scc_module_ctx,           /* module context */
    ngx_scc_commands,              /* module directives */
    NGX_HTTP_MODULE,               /* module type */
    NULL,                          /* init master */
    ngx_scc_init_module,           /* init module */
    ngx_scc_init_process,          /* init process */
    NULL,                          /* init thread */
    NULL,                          /* exit thread */
    ngx_scc_exit_process,          /* exit process */
    NULL,                          /* exit master */
    NGX_MODULE_V1_PADDING
};


/* Before there are workers; "nginx -t" looks at no journal. */

static ngx_int_t
ngx_scc_init_module(ngx_cycle_t *cycle)
{
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_scc_module);

    if (smcf != NULL && smcf->guard != NULL && !ngx_test_config) {
        ngx_scc_anchor_load(smcf->guard, cycle->log);
    }

    return NGX_OK;
}


/*
 * Workers ask the backends for their requests.  The helper has no hook of
 * its own: it begins in ngx_scc_helper(), as the manager of the state path;
 * without a master process the only process does both.
 */

static ngx_int_t
ngx_scc_init_process(ngx_cycle_t *cycle)
{
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_scc_module);

    if (smcf == NULL
        || !smcf->api
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    if (ngx_scc_process_start(cycle, smcf) != NGX_OK
        || ngx_scc_write_start(cycle, smcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_process == NGX_PROCESS_SINGLE) {
        return ngx_scc_helper_start(cycle, smcf);
    }

    return NGX_OK;
}


static void
ngx_scc_exit_process(ngx_cycle_t *cycle)
{
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_scc_module);

    if (smcf != NULL) {
        ngx_scc_process_end(smcf);
    }
}
