
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_ASK_H_INCLUDED_
#define _NGX_SCC_ASK_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_redis.h"
#include "scc_audit.h"


/*
 * Asks a queue what the audit has to know of it (core/scc_audit.h): its
 * state and settings, and "full" what its user may do, how long an entry
 * takes, its stream and its group.  Nothing is changed but the stream
 * "scc:canary", which has one entry.
 */

typedef struct ngx_scc_ask_s  ngx_scc_ask_t;

/* ask->lost: not all of it was answered, or not by one server. */
typedef void (*ngx_scc_ask_pt)(ngx_scc_ask_t *ask);


struct ngx_scc_ask_s {
    ngx_scc_redis_pool_t  *pool;
    ngx_scc_ask_pt         handler;     /* never called from within ask() */
    void                  *data;
    ngx_uint_t             full;

    scc_audit_queue_t      facts;       /* known_..., files: the caller's */
    ngx_uint_t             incarnation; /* that was asked */
    ngx_uint_t             lost;

    /* private */
    ngx_uint_t             waiting;     /* answers to come */
    ngx_uint_t             step;
    ngx_uint_t             right;
    char                   user[SCC_AUDIT_WORD];
    struct timespec        sent;
    uint32_t               canaries[5];
};


/* NGX_DECLINED: no connection, handler is not called.  One question at a
   time: not before the last one's handler. */
ngx_int_t ngx_scc_ask(ngx_scc_ask_t *ask);


#endif /* _NGX_SCC_ASK_H_INCLUDED_ */
