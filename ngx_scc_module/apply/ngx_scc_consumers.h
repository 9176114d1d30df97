
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_CONSUMERS_H_INCLUDED_
#define _NGX_SCC_CONSUMERS_H_INCLUDED_


#include "ngx_scc_redis.h"


/*
 * The names in the queue's group.  Helpers end at once, whatever they do, and
 * leave behind their names, and entries that they have read.  A name says
 * which host's process it was, so that the next helper of this host can know
 * that nobody works at them any more.
 */

typedef struct {
    ngx_scc_redis_pool_t   *queue;
    const ngx_str_t        *stream;
    const ngx_str_t        *group;
    ngx_msec_t              timeout;        /* of a command */

    ngx_str_t               own;            /* HOST:PID:TIME */
    ngx_str_t               gone;           /* one that owes entries; or
                                               empty */
    unsigned                near:1;         /* others of this host live, or
                                               did a moment ago */

    /* private */
    size_t                  host;           /* bytes of the name */
    size_t                  size;           /* of gone */
} ngx_scc_consumers_t;


/* The first four are set.  NGX_ERROR: no memory. */
ngx_int_t ngx_scc_consumers_init(ngx_scc_consumers_t *c, ngx_cycle_t *cycle);

void ngx_scc_consumers_ask(ngx_scc_consumers_t *c, ngx_str_t argv[4]);

/* The answer: sets gone and near, and removes names that are of no use. */
void ngx_scc_consumers_look(ngx_scc_consumers_t *c,
    ngx_scc_redis_reply_t *reply);


#endif /* _NGX_SCC_CONSUMERS_H_INCLUDED_ */
