
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


static ngx_int_t ngx_scc_purgers_start(ngx_cycle_t *cycle,
    ngx_scc_main_conf_t *smcf);
static void ngx_scc_purgers_end(ngx_scc_main_conf_t *smcf);


ngx_int_t
ngx_scc_process_start(ngx_cycle_t *cycle, ngx_scc_main_conf_t *smcf)
{
    smcf->pg_pool = ngx_scc_pg_pool_create(cycle, &smcf->pg);
    if (smcf->pg_pool == NULL) {
        return NGX_ERROR;
    }

    ngx_scc_guard_pool(smcf->guard, smcf->pg_pool, cycle->log);

    if (smcf->redis.addr.sockaddr != NULL) {
        smcf->redis_pool = ngx_scc_redis_pool_create(cycle, &smcf->redis);
        if (smcf->redis_pool == NULL) {
            return NGX_ERROR;
        }
    }

    scc_mvt_init(&smcf->mvt);

    smcf->cells = ngx_scc_cache_create(cycle, &smcf->cache, smcf->redis_pool,
                                       smcf->pg_pool);

    if (smcf->cells == NULL) {
        return NGX_ERROR;
    }

    smcf->cells->guard = smcf->guard;

    /* three roll-ups late is late */

    smcf->grids = ngx_scc_grids_create(cycle, smcf->cells,
                      smcf->aggregates_valid,
                      smcf->aggregates_valid
                      + (time_t) (3 * smcf->rollup_conf.interval / 1000)
                      + 10);

    smcf->gzip = ngx_scc_gzip_create(cycle);
    smcf->answers = ngx_scc_answers_create(cycle, smcf->answer_cache);

    return (smcf->grids != NULL && smcf->gzip != NULL
            && smcf->answers != NULL) ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_scc_write_start(ngx_cycle_t *cycle, ngx_scc_main_conf_t *smcf)
{
    if (smcf->journal.n_dirs == 0) {
        return NGX_OK;
    }

    ngx_scc_caps_start(&smcf->caps, cycle->log);

    smcf->forward = ngx_scc_forward_create(cycle, &smcf->forward_conf);

    return (smcf->forward != NULL) ? NGX_OK : NGX_ERROR;
}


void
ngx_scc_process_end(ngx_scc_main_conf_t *smcf)
{
    if (smcf->forward != NULL) {
        ngx_scc_forward_destroy(smcf->forward);
        smcf->forward = NULL;
    }

    ngx_scc_purgers_end(smcf);

    if (smcf->watch != NULL) {
        ngx_scc_watch_destroy(smcf->watch);
        smcf->watch = NULL;
    }

    if (smcf->applier != NULL) {
        ngx_scc_applier_destroy(smcf->applier);
        smcf->applier = NULL;
    }

    if (smcf->auditor != NULL) {
        ngx_scc_auditor_destroy(smcf->auditor);
        smcf->auditor = NULL;
    }

    if (smcf->rollup != NULL) {
        ngx_scc_rollup_destroy(smcf->rollup);
        smcf->rollup = NULL;
    }

    if (smcf->redis_pool != NULL) {
        ngx_scc_redis_pool_destroy(smcf->redis_pool);
        smcf->redis_pool = NULL;
    }

    if (smcf->pg_pool != NULL) {
        ngx_scc_pg_pool_destroy(smcf->pg_pool);
        smcf->pg_pool = NULL;
    }

    if (smcf->grids != NULL) {
        ngx_scc_grids_destroy(smcf->grids);
        smcf->grids = NULL;
    }

    if (smcf->cells != NULL) {
        ngx_scc_cache_destroy(smcf->cells);
        smcf->cells = NULL;
    }

    if (smcf->gzip != NULL) {
        ngx_scc_gzip_destroy(smcf->gzip);
        smcf->gzip = NULL;
    }

    if (smcf->answers != NULL) {
        ngx_scc_answers_destroy(smcf->answers);
        smcf->answers = NULL;
    }

    scc_mvt_free(&smcf->mvt);
}


/*
 * Called again whenever any path's manager is due: only the first call
 * starts anything.  A failure is tried again after a second.
 */

ngx_msec_t
ngx_scc_helper(void *data)
{
    ngx_scc_main_conf_t *smcf = data;

    if (smcf->api && !smcf->helping) {

        if (smcf->cells == NULL
            && ngx_scc_process_start((ngx_cycle_t *) ngx_cycle, smcf)
               != NGX_OK)
        {
            ngx_scc_process_end(smcf);
            return 1000;
        }

        if (ngx_scc_helper_start((ngx_cycle_t *) ngx_cycle, smcf)
            != NGX_OK)
        {
            return 1000;
        }
    }

    return 3600 * 1000;
}


ngx_int_t
ngx_scc_helper_start(ngx_cycle_t *cycle, ngx_scc_main_conf_t *smcf)
{
    /* no cache: nobody to tell; no journal: nothing to apply */

    if ((smcf->redis_pool != NULL || smcf->cells->zone != NULL)
        && smcf->feed == NULL)
    {
        smcf->feed = ngx_scc_feed_create(cycle, smcf->cells,
                                         smcf->feed_interval);
        if (smcf->feed == NULL) {
            return NGX_ERROR;
        }
    }

    /* no page is written later than a statement and a command may take */

    if (smcf->redis_pool != NULL && smcf->forget == NULL) {
        smcf->forget = ngx_scc_forget_create(cycle, smcf->cells,
                                             smcf->feed_interval,
                                             2 * smcf->pg.timeout + 5000);
        if (smcf->forget == NULL) {
            return NGX_ERROR;
        }
    }

    if (smcf->journal.n_dirs != 0 && smcf->applier == NULL) {
        smcf->applier = ngx_scc_applier_create(cycle, &smcf->applier_conf);
        if (smcf->applier == NULL) {
            return NGX_ERROR;
        }
    }

    if (smcf->journal.n_dirs != 0 && smcf->auditor == NULL) {
        ngx_scc_caps_start(&smcf->caps, cycle->log);

        smcf->auditor = ngx_scc_auditor_create(cycle, &smcf->auditor_conf,
                                               smcf->redis_pool);
        if (smcf->auditor == NULL) {
            return NGX_ERROR;
        }
    }

    if (smcf->guard != NULL && smcf->watch == NULL) {
        smcf->watch = ngx_scc_watch_create(cycle, &smcf->watch_conf,
                                           smcf->guard, smcf->cells,
                                           smcf->applier);
        if (smcf->watch == NULL) {
            return NGX_ERROR;
        }
    }

    if (smcf->rollup == NULL) {
        smcf->rollup = ngx_scc_rollup_create(cycle, &smcf->rollup_conf);
        if (smcf->rollup == NULL) {
            return NGX_ERROR;
        }
    }

    if (smcf->purges != NULL && smcf->purgers == NULL
        && ngx_scc_purgers_start(cycle, smcf) != NGX_OK)
    {
        ngx_scc_purgers_end(smcf);
        return NGX_ERROR;
    }

    smcf->helping = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_scc_purgers_start(ngx_cycle_t *cycle, ngx_scc_main_conf_t *smcf)
{
    ngx_uint_t             i, n;
    ngx_scc_purge_conf_t  *conf;

    n = smcf->purges->nelts;
    conf = smcf->purges->elts;

    smcf->purgers = ngx_pcalloc(cycle->pool, n * sizeof(ngx_scc_purge_t *));
    if (smcf->purgers == NULL) {
        return NGX_ERROR;
    }

    smcf->curl = ngx_scc_curl_create(cycle);
    if (smcf->curl == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        /* the feed tells the origin's own caches at about the same time */

        conf[i].wait = smcf->feed_interval;

        smcf->purgers[i] = ngx_scc_purge_create(cycle, &conf[i],
                                                smcf->pg_pool, smcf->curl,
                                                &smcf->state_path->name,
                                                smcf->purge_zone->data);
        if (smcf->purgers[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_scc_purgers_end(ngx_scc_main_conf_t *smcf)
{
    ngx_uint_t  i;

    /* calls first: they answer to the purgers */

    if (smcf->curl != NULL) {
        ngx_scc_curl_destroy(smcf->curl);
        smcf->curl = NULL;
    }

    if (smcf->purgers == NULL) {
        return;
    }

    for (i = 0; i < smcf->purges->nelts; i++) {
        if (smcf->purgers[i] != NULL) {
            ngx_scc_purge_destroy(smcf->purgers[i]);
        }
    }

    smcf->purgers = NULL;
}
