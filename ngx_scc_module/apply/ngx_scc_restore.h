
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_RESTORE_H_INCLUDED_
#define _NGX_SCC_RESTORE_H_INCLUDED_


#include "ngx_scc_settle.h"


/*
 * Gives a store that went back the order numbers that this host's journal
 * has, before anything is applied to it: who is in its lost stretch gets the
 * number he had, and nobody else does.  At a start it reads them too, so
 * that the writer (ngx_scc_numbers.h), which is its own, knows what its files
 * have.
 */

typedef struct ngx_scc_restore_s  ngx_scc_restore_t;

/* Starts at once; NULL: no memory. */
ngx_scc_restore_t *ngx_scc_restore_create(ngx_cycle_t *cycle,
    ngx_scc_apply_t *apply);

void ngx_scc_restore_destroy(ngx_scc_restore_t *restore);


#endif /* _NGX_SCC_RESTORE_H_INCLUDED_ */
