
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_VERIFY_H_INCLUDED_
#define _SCC_CTL_VERIFY_H_INCLUDED_


#include "scc_ctl_compare.h"
#include "scc_ctl_redis.h"


/*
 * The parts of "sccctl verify".  Each prints what it found and counts what
 * differs in *found; 0, or -1 after saying why it could not look.
 */

/* The ledger against itself, the projections against it, cells and squares
   against them.  "journals" may be NULL. */
int scc_ctl_verify_store(PGconn *pg, const scc_ctl_compare_t *journals,
    uint64_t *found);

/* The queue's records against the ledger; "j" may be NULL. */
int scc_ctl_verify_queue(redisContext *redis, PGconn *pg,
    const scc_ctl_journal_t *j, uint64_t *found);

/* The cache's cells of a generation against the store. */
int scc_ctl_verify_cache(redisContext *redis, PGconn *pg,
    uint64_t generation, scc_ctl_progress_t *progress, uint64_t *found);


#endif /* _SCC_CTL_VERIFY_H_INCLUDED_ */
