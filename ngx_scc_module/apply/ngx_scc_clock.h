
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_CLOCK_H_INCLUDED_
#define _NGX_SCC_CLOCK_H_INCLUDED_


#include "ngx_scc_settle.h"


/*
 * Tells the workers, through the zone, what the store's clock says and how
 * far its ledger has come, and counts what waits (ngx_scc_pending.h).
 */

typedef struct ngx_scc_clock_s  ngx_scc_clock_t;


/* Starts at once. */
ngx_scc_clock_t *ngx_scc_clock_create(ngx_cycle_t *cycle,
    ngx_scc_apply_t *apply);
void ngx_scc_clock_destroy(ngx_scc_clock_t *clock);

/* Says so if a contribution is dated after the store's clock, by more than
   a day; it is applied all the same. */
void ngx_scc_clock_check(ngx_scc_apply_t *apply, const scc_record_t *record);


#endif /* _NGX_SCC_CLOCK_H_INCLUDED_ */
