
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_ACK_H_INCLUDED_
#define _NGX_SCC_ACK_H_INCLUDED_


#include "ngx_scc_entries.h"


/*
 * Entries that are settled leave the queue: they are removed, and
 * acknowledged to the group.
 */

/* An answer has come; "failed": it is not what was asked for, so that some
   entries may still be pending. */
typedef void (*ngx_scc_ack_pt)(void *data, ngx_uint_t failed);


typedef struct {
    ngx_log_t              *log;
    ngx_scc_redis_pool_t   *queue;
    const ngx_str_t        *stream;
    const ngx_str_t        *group;
    ngx_msec_t              timeout;        /* of a command */
    ngx_scc_ack_pt          handler;
    void                   *data;
    ngx_uint_t              answers;        /* to come */
} ngx_scc_ack_t;


/* All but "answers" is set.  The entries' items are not needed any more, the
   ids are copied.  NGX_ERROR: not all of it could be sent. */
ngx_int_t ngx_scc_ack(ngx_scc_ack_t *ack, ngx_scc_entries_t *e);


#endif /* _NGX_SCC_ACK_H_INCLUDED_ */
