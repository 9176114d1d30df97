
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_ANCHOR_H_INCLUDED_
#define _NGX_SCC_ANCHOR_H_INCLUDED_


#include "ngx_scc_guard.h"


/* DIR/anchor (core/scc_anchor.h).  All calls block. */

/* NGX_DECLINED: there is none, or it cannot be read, which is logged. */
ngx_int_t ngx_scc_anchor_read(const ngx_str_t *dir, scc_anchor_t *anchor,
    ngx_log_t *log);

/* Written beside it, synced, renamed, the directory synced.  NGX_ERROR is
   logged. */
ngx_int_t ngx_scc_anchor_write(const ngx_str_t *dir, scc_str_t text,
    ngx_log_t *log);

/* Once after a start, before anybody is answered: what the guard's
   directories know.  A guard that knows something already is left alone. */
void ngx_scc_anchor_load(ngx_scc_guard_t *guard, ngx_log_t *log);

/* Whose the journal is, by its first directory; NGX_DECLINED: there is no
   journal, or it does not say. */
ngx_int_t ngx_scc_anchor_journal(ngx_scc_guard_t *guard, u_char store[16]);


#endif /* _NGX_SCC_ANCHOR_H_INCLUDED_ */
