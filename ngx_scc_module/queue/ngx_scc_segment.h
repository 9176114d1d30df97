
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_SEGMENT_H_INCLUDED_
#define _NGX_SCC_SEGMENT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "scc_journal.h"


/*
 * One segment's file, for a thread: blocking system calls, no pools, no
 * ngx_cycle.  After an error of write or fdatasync the descriptor is never
 * synced again: the segment is failed and only closed.
 */

#define NGX_SCC_SEGMENT_NAME     (16 + 1 + 8 + 1 + 4 + sizeof(".open"))
#define NGX_SCC_SEGMENT_RESERVE  "reserve"      /* in each directory */


typedef struct {
    ngx_fd_t             fd;            /* -1: none */
    char                 path[NGX_MAX_PATH];    /* of the .open file */
    size_t               dir_len;
    dev_t                dir_dev;       /* the directory, as it was */
    ino_t                dir_ino;
    off_t                pos;           /* where the next batch goes */
    off_t                size;          /* preallocated */
    off_t                zeros;         /* written as far as here */
    scc_chain_t          chain;
    u_char               id[16];
    ngx_uint_t           failed;        /* unsigned  failed:1; */
} ngx_scc_segment_t;


/*
 * Creates, locks, preallocates, writes block 0 and syncs the file and its
 * directory.  With no room left the directory's reserve becomes the segment
 * (*reserve is set).  0 or the errno.
 */
ngx_err_t ngx_scc_segment_create(ngx_scc_segment_t *s, const char *dir,
    const char *name, off_t size, const scc_segment_t *head,
    ngx_uint_t *reserve);

/*
 * Keeps a file of that size in the directory for the day the disk is full,
 * so that contributions are taken while somebody makes room; it may be
 * removed at any time.
 */
void ngx_scc_segment_reserve(const char *dir, off_t size);

/* Writes at the end and syncs the data, from time to time with zeros behind
   it.  0 or the errno; after an errno the segment is failed. */
ngx_err_t ngx_scc_segment_append(ngx_scc_segment_t *s, const u_char *p,
    size_t size);

/*
 * Seals it: a last batch, sync, rename to .seg, sync of the directory.  A
 * failed segment is only closed: recovery will judge it.
 */
ngx_err_t ngx_scc_segment_seal(ngx_scc_segment_t *s);

/* Closes the descriptor; the lock goes with it. */
void ngx_scc_segment_close(ngx_scc_segment_t *s);

/* Of one just created and still empty: closes and removes it. */
void ngx_scc_segment_remove(ngx_scc_segment_t *s);


#endif /* _NGX_SCC_SEGMENT_H_INCLUDED_ */
