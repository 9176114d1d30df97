
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_PURGE_FILE_H_INCLUDED_
#define _NGX_SCC_PURGE_FILE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_SCC_PURGE_IDENTITY  128

/* Up to where an edge has been told what has changed, and in which store. */

typedef struct {
    uint64_t         since;         /* transaction id; 0: not known */
    size_t           identity_len;
    u_char           identity[NGX_SCC_PURGE_IDENTITY];
} ngx_scc_purge_mark_t;


/* mark is left as it is where there is no file, or none of ours. */
void ngx_scc_purge_read(u_char *file, ngx_scc_purge_mark_t *mark);

/* By way of tmp; NGX_ERROR: ngx_errno says why. */
ngx_int_t ngx_scc_purge_write(u_char *file, u_char *tmp,
    const ngx_scc_purge_mark_t *mark);


#endif /* _NGX_SCC_PURGE_FILE_H_INCLUDED_ */
