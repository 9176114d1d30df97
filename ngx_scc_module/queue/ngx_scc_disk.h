
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_DISK_H_INCLUDED_
#define _NGX_SCC_DISK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * What all who touch the journal's files do with a disk.  Blocking calls
 * without a pool or a log, for a thread as well.  NGX_ERROR: errno says why.
 */

/* All of it, at offset; a disk that takes nothing has no room. */
ngx_int_t ngx_scc_disk_write(ngx_fd_t fd, const u_char *p, size_t size,
    off_t offset);

/* Makes names in the directory durable. */
ngx_int_t ngx_scc_disk_sync_dir(const char *dir);

/* The UUID in DIR/store, as bytes.  NGX_ERROR: there is none to be read. */
ngx_int_t ngx_scc_disk_store(const ngx_str_t *dir, u_char store[16]);


#endif /* _NGX_SCC_DISK_H_INCLUDED_ */
