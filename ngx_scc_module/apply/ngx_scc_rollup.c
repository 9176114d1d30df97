
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_scc_backoff.h"
#include "ngx_scc_rollup.h"
#include "ngx_scc_store_aggregate.h"


struct ngx_scc_rollup_s {
    ngx_scc_rollup_conf_t  *conf;
    ngx_scc_pg_pool_t      *pg;
    ngx_event_t             timer;
    ngx_connection_t        dumb;           /* for the timer's debug log */
    unsigned                down:1;         /* said so in the log */
};


static void ngx_scc_rollup_timer(ngx_event_t *ev);
static void ngx_scc_rollup_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);


ngx_scc_rollup_t *
ngx_scc_rollup_create(ngx_cycle_t *cycle, ngx_scc_rollup_conf_t *conf)
{
    ngx_scc_rollup_t  *rollup;

    rollup = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_rollup_t));
    if (rollup == NULL) {
        return NULL;
    }

    rollup->pg = ngx_scc_pg_pool_create(cycle, &conf->pg);
    if (rollup->pg == NULL) {
        return NULL;
    }

    rollup->conf = conf;
    ngx_scc_guard_pool(conf->guard, rollup->pg, cycle->log);

    rollup->dumb.fd = (ngx_socket_t) -1;
    rollup->timer.data = &rollup->dumb;
    rollup->timer.log = cycle->log;
    rollup->timer.handler = ngx_scc_rollup_timer;
    rollup->timer.cancelable = 1;

    ngx_add_timer(&rollup->timer, 1);

    return rollup;
}


void
ngx_scc_rollup_destroy(ngx_scc_rollup_t *rollup)
{
    if (rollup->timer.timer_set) {
        ngx_del_timer(&rollup->timer);
    }

    ngx_scc_pg_pool_destroy(rollup->pg);
}


static void
ngx_scc_rollup_timer(ngx_event_t *ev)
{
    ngx_scc_rollup_t     *rollup;
    ngx_scc_pg_status_t   status;

    rollup = ngx_scc_event_owner(ev, ngx_scc_rollup_t, timer);

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    if (ngx_scc_pg_query(rollup->pg, &ngx_scc_store_roll_up, NULL,
                         ngx_scc_rollup_handler, rollup, &status)
        == NULL)
    {
        ngx_add_timer(&rollup->timer, rollup->conf->interval);
    }
}


static void
ngx_scc_rollup_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_rollup_t *rollup = data;

    ngx_log_t  *log;
    ngx_str_t   changed;

    log = rollup->timer.log;

    if (status == NGX_SCC_PG_OK) {

        if (ngx_scc_pg_value(result, 0, 0, &changed) == NGX_OK) {
            ngx_log_debug1(NGX_LOG_DEBUG_CORE, log, 0,
                           "scc: rolled up, %V squares changed", &changed);
        }

        if (rollup->down) {
            rollup->down = 0;
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "scc: the store rolls its aggregates up again");
        }

    } else if (!rollup->down) {
        rollup->down = 1;

        if (status == NGX_SCC_PG_FAILED) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "scc: the store does not roll up its aggregates, "
                          "SQLSTATE %s: %s; tiles of low zooms stay as they "
                          "are until it does; compare the schema with "
                          "\"sccctl migrate --dry-run\"",
                          ngx_scc_pg_sqlstate(result),
                          ngx_scc_pg_message(result));

        } else {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "scc: the store does not roll up its aggregates "
                          "(%s); tiles of low zooms stay as they are until "
                          "it does",
                          (status == NGX_SCC_PG_TIMEOUT) ? "it takes too long"
                                                         : "no answer");
        }
    }

    ngx_add_timer(&rollup->timer, rollup->conf->interval);
}
