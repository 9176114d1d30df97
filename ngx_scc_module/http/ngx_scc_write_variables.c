
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


/* The counters of the write path, $scc_write_...: of all processes, from the
   start of nginx on (queue/ngx_scc_pending.h). */

typedef struct {
    ngx_str_t   name;
    size_t      offset;                 /* in ngx_scc_write_stat_t */
} ngx_scc_write_var_t;


static ngx_int_t ngx_scc_write_variable_add(ngx_conf_t *cf, ngx_str_t *name,
    ngx_http_get_variable_pt handler, uintptr_t data);
static ngx_int_t ngx_scc_write_variable_count(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_write_variable_oldest(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_write_variable_times(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_scc_write_stat_t *ngx_scc_write_stat(ngx_http_request_t *r);
static void ngx_scc_write_variable_set(ngx_http_variable_value_t *v,
    u_char *start, u_char *end);


static ngx_scc_write_var_t  ngx_scc_write_vars[] = {

    { ngx_string("scc_write_accepted"),
      offsetof(ngx_scc_write_stat_t, accepted) },

    { ngx_string("scc_write_repeated"),
      offsetof(ngx_scc_write_stat_t, repeated) },

    { ngx_string("scc_write_waited"),
      offsetof(ngx_scc_write_stat_t, waited) },

    { ngx_string("scc_write_rejected_contributor"),
      offsetof(ngx_scc_write_stat_t, rejected[NGX_SCC_REJECT_CONTRIBUTOR]) },

    { ngx_string("scc_write_rejected_type"),
      offsetof(ngx_scc_write_stat_t, rejected[NGX_SCC_REJECT_TYPE]) },

    { ngx_string("scc_write_rejected_size"),
      offsetof(ngx_scc_write_stat_t, rejected[NGX_SCC_REJECT_SIZE]) },

    { ngx_string("scc_write_rejected_key"),
      offsetof(ngx_scc_write_stat_t, rejected[NGX_SCC_REJECT_KEY]) },

    { ngx_string("scc_write_rejected_body"),
      offsetof(ngx_scc_write_stat_t, rejected[NGX_SCC_REJECT_BODY]) },

    { ngx_string("scc_write_rejected_conflict"),
      offsetof(ngx_scc_write_stat_t, rejected[NGX_SCC_REJECT_CONFLICT]) },

    { ngx_string("scc_write_rejected_right"),
      offsetof(ngx_scc_write_stat_t, rejected[NGX_SCC_REJECT_RIGHT]) },

    { ngx_string("scc_write_refused"),
      offsetof(ngx_scc_write_stat_t, refused) },

    { ngx_string("scc_write_unknown"),
      offsetof(ngx_scc_write_stat_t, unknown) },

    { ngx_string("scc_write_fallback"),
      offsetof(ngx_scc_write_stat_t, fallback) },

    { ngx_string("scc_write_left"),
      offsetof(ngx_scc_write_stat_t, left) },

    { ngx_string("scc_write_journaled"),
      offsetof(ngx_scc_write_stat_t, journal.records) },

    { ngx_string("scc_write_journal_batches"),
      offsetof(ngx_scc_write_stat_t, journal.batches) },

    { ngx_string("scc_write_journal_bytes"),
      offsetof(ngx_scc_write_stat_t, journal.bytes) },

    { ngx_string("scc_write_journal_failed"),
      offsetof(ngx_scc_write_stat_t, journal.failed) },

    { ngx_string("scc_write_journal_errors"),
      offsetof(ngx_scc_write_stat_t, journal.errors) },

    { ngx_string("scc_write_journal_segments"),
      offsetof(ngx_scc_write_stat_t, journal.segments) },

    { ngx_string("scc_write_journal_reserves"),
      offsetof(ngx_scc_write_stat_t, journal.reserves) },

    { ngx_string("scc_write_sync_usec"),
      offsetof(ngx_scc_write_stat_t, journal.sync_usec) },

    { ngx_string("scc_write_queued"),
      offsetof(ngx_scc_write_stat_t, queued) },

    { ngx_string("scc_write_unqueued"),
      offsetof(ngx_scc_write_stat_t, unqueued) },

    { ngx_string("scc_write_applied"),
      offsetof(ngx_scc_write_stat_t, applied) },

    { ngx_string("scc_write_known"),
      offsetof(ngx_scc_write_stat_t, known) },

    { ngx_string("scc_write_dead"),
      offsetof(ngx_scc_write_stat_t, dead) },

    { ngx_string("scc_write_retries"),
      offsetof(ngx_scc_write_stat_t, retries) },

    { ngx_string("scc_write_future"),
      offsetof(ngx_scc_write_stat_t, future) },

    { ngx_string("scc_write_forgotten"),
      offsetof(ngx_scc_write_stat_t, forgotten) },

    { ngx_string("scc_write_pending"),
      offsetof(ngx_scc_write_stat_t, pending) },

    { ngx_null_string, 0 }
};


static ngx_str_t  ngx_scc_write_oldest = ngx_string("scc_write_oldest");
static ngx_str_t  ngx_scc_write_times = ngx_string("scc_write_sync_times");


ngx_int_t
ngx_scc_add_write_variables(ngx_conf_t *cf)
{
    ngx_scc_write_var_t  *var;

    for (var = ngx_scc_write_vars; var->name.len; var++) {

        if (ngx_scc_write_variable_add(cf, &var->name,
                                       ngx_scc_write_variable_count,
                                       var->offset)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_scc_write_variable_add(cf, &ngx_scc_write_oldest,
                                   ngx_scc_write_variable_oldest, 0)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_scc_write_variable_add(cf, &ngx_scc_write_times,
                                      ngx_scc_write_variable_times, 0);
}


static ngx_int_t
ngx_scc_write_variable_add(ngx_conf_t *cf, ngx_str_t *name,
    ngx_http_get_variable_pt handler, uintptr_t data)
{
    ngx_http_variable_t  *var;

    var = ngx_http_add_variable(cf, name, NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = handler;
    var->data = data;

    return NGX_OK;
}


static ngx_int_t
ngx_scc_write_variable_count(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                *p;
    ngx_atomic_t          *count;
    ngx_scc_write_stat_t  *stat;

    stat = ngx_scc_write_stat(r);

    if (stat == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_ATOMIC_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    count = (ngx_atomic_t *) ((u_char *) stat + data);

    ngx_scc_write_variable_set(v, p, ngx_sprintf(p, "%uA", *count));

    return NGX_OK;
}


/* Seconds; 0 if nothing waits. */

static ngx_int_t
ngx_scc_write_variable_oldest(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                *p;
    time_t                 age;
    ngx_scc_write_stat_t  *stat;

    stat = ngx_scc_write_stat(r);

    if (stat == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    age = stat->oldest ? ngx_time() - (time_t) (stat->oldest / 1000) : 0;

    ngx_scc_write_variable_set(v, p, ngx_sprintf(p, "%T", ngx_max(age, 0)));

    return NGX_OK;
}


/* Batches by the time that write and sync took, each class by itself. */

static ngx_int_t
ngx_scc_write_variable_times(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                *p, *last;
    ngx_uint_t             i;
    ngx_scc_write_stat_t  *stat;

    stat = ngx_scc_write_stat(r);

    if (stat == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool,
                    NGX_SCC_JOURNAL_TIMES_N * (NGX_ATOMIC_T_LEN + 1));
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = p;

    for (i = 0; i < NGX_SCC_JOURNAL_TIMES_N; i++) {
        last = ngx_sprintf(last, i ? ",%uA" : "%uA",
                           stat->journal.sync_times[i]);
    }

    ngx_scc_write_variable_set(v, p, last);

    return NGX_OK;
}


/* NULL: contributions are not taken here. */

static ngx_scc_write_stat_t *
ngx_scc_write_stat(ngx_http_request_t *r)
{
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    return (smcf->pending != NULL) ? &smcf->pending->sh->stat : NULL;
}


static void
ngx_scc_write_variable_set(ngx_http_variable_value_t *v, u_char *start,
    u_char *end)
{
    v->len = (unsigned) (end - start);
    v->data = start;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}
