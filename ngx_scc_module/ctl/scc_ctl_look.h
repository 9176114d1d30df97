
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_LOOK_H_INCLUDED_
#define _SCC_CTL_LOOK_H_INCLUDED_


#include "scc_audit.h"
#include "scc_ctl_pg.h"
#include "scc_ctl_redis.h"


/*
 * The facts of a queue and a store for the audit (core/scc_audit.h), asked by
 * hand; nginx asks the same on its events (queue/ngx_scc_ask.h,
 * apply/ngx_scc_auditor.h).  What does not answer is a fact, too.
 */

/* q->name is the address; the stream "scc:canary" gets one entry.  cache:
   the cache's address, NULL: none. */
void scc_ctl_look_queue(scc_audit_queue_t *q, const char *address,
    const char *cache);

/* s->name is "the one of --pg", or where it is. */
void scc_ctl_look_store(scc_audit_store_t *s, const char *conninfo);


#endif /* _SCC_CTL_LOOK_H_INCLUDED_ */
