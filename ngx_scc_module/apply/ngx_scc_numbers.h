
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_NUMBERS_H_INCLUDED_
#define _NGX_SCC_NUMBERS_H_INCLUDED_


#include "ngx_scc_settle.h"
#include "scc_number.h"


/*
 * Keeps the numbers that the store gives in the journal's directories
 * (core/scc_number.h), so that a store that is rebuilt, or went back, gives
 * the same ones.  Every host keeps all of them; several at once, on one host,
 * keep some twice.
 */

typedef struct ngx_scc_numbers_s  ngx_scc_numbers_t;

/* Starts at once; NULL: no memory. */
ngx_scc_numbers_t *ngx_scc_numbers_create(ngx_cycle_t *cycle,
    ngx_scc_apply_t *apply);

/* What every directory of this host has already: it writes from there on.
   Before this call it does nothing. */
void ngx_scc_numbers_begin(ngx_scc_numbers_t *numbers,
    const uint64_t has[SCC_NUMBER_KINDS]);

void ngx_scc_numbers_destroy(ngx_scc_numbers_t *numbers);


#endif /* _NGX_SCC_NUMBERS_H_INCLUDED_ */
