
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_APPLIER_H_INCLUDED_
#define _NGX_SCC_APPLIER_H_INCLUDED_


#include "ngx_scc_redis.h"
#include "ngx_scc_settle.h"


/*
 * Moves contributions from the queue into the store, and from the journal
 * what the queue does not have (ngx_scc_reconcile.h).  It runs in nginx's
 * helper process; several at once, on one host or many, do no harm
 * (README.md).
 */

typedef struct ngx_scc_applier_s  ngx_scc_applier_t;


typedef struct {
    ngx_scc_pg_conf_t       *pg;        /* with a timeout for batches */
    ngx_scc_redis_conf_t    *queue;     /* no address: there is none */
    ngx_scc_journal_conf_t  *journal;
    ngx_scc_pending_t       *pending;   /* may be NULL */
    ngx_scc_guard_t         *guard;     /* NULL: off */
} ngx_scc_applier_conf_t;


/* Starts at once; one per process, lives as long as it does. */
ngx_scc_applier_t *ngx_scc_applier_create(ngx_cycle_t *cycle,
    ngx_scc_applier_conf_t *conf);

/* The store was rewound: a pass over all of the journal, soon. */
void ngx_scc_applier_replay(ngx_scc_applier_t *applier);

/* From exit_process. */
void ngx_scc_applier_destroy(ngx_scc_applier_t *applier);


#endif /* _NGX_SCC_APPLIER_H_INCLUDED_ */
