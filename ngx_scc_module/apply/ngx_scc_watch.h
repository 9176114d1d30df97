
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_WATCH_H_INCLUDED_
#define _NGX_SCC_WATCH_H_INCLUDED_


#include "ngx_scc_applier.h"
#include "ngx_scc_cache.h"


/*
 * The guard's loop in the helper: looks at the store every "interval" and
 * when somebody asks, decides whether it may be believed, and keeps the
 * anchor in the directories, in Redis and in the store (README.md).
 */

typedef struct ngx_scc_watch_s  ngx_scc_watch_t;


typedef struct {
    ngx_msec_t               interval;
    ngx_scc_redis_conf_t    *redis;     /* where the anchor is kept; no
                                           address: nowhere */
    ngx_scc_journal_conf_t  *journal;
} ngx_scc_watch_conf_t;


/* Starts at once; one per process, lives as long as it does.  applier: told
   of what is to be replayed; may be NULL. */
ngx_scc_watch_t *ngx_scc_watch_create(ngx_cycle_t *cycle,
    ngx_scc_watch_conf_t *conf, ngx_scc_guard_t *guard,
    ngx_scc_cache_t *cache, ngx_scc_applier_t *applier);

/* From exit_process. */
void ngx_scc_watch_destroy(ngx_scc_watch_t *watch);


/*
 * ngx_scc_sample.c: ids of events that the journal knows applied, as an array
 * literal; from a few segments and batches taken by chance.  Blocks for a few
 * milliseconds.  Returns how many.
 */
#define NGX_SCC_SAMPLE_IDS  32
#define NGX_SCC_SAMPLE_LEN  (NGX_SCC_SAMPLE_IDS * 37 + 2)

ngx_uint_t ngx_scc_sample_ids(const ngx_scc_journal_conf_t *journal,
    ngx_str_t *ids, ngx_log_t *log);


#endif /* _NGX_SCC_WATCH_H_INCLUDED_ */
