
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_RECONCILE_H_INCLUDED_
#define _NGX_SCC_RECONCILE_H_INCLUDED_


#include "ngx_scc_settle.h"


/*
 * Walks this host's journal and has the store take what it lacks, so that
 * a queue that loses everything loses nothing.  A sealed segment of which
 * nothing is missing is marked with an empty file NAME.applied and not read
 * again.
 */

typedef struct ngx_scc_reconcile_s  ngx_scc_reconcile_t;

/* A first pass begins at once, others every "interval" ms. */
ngx_scc_reconcile_t *ngx_scc_reconcile_create(ngx_cycle_t *cycle,
    ngx_scc_apply_t *apply, ngx_msec_t interval);

/* The queue may have lost something: a pass, soon. */
void ngx_scc_reconcile_now(ngx_scc_reconcile_t *reconcile);

void ngx_scc_reconcile_destroy(ngx_scc_reconcile_t *reconcile);


#endif /* _NGX_SCC_RECONCILE_H_INCLUDED_ */
