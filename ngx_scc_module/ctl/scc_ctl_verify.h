
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

/* The cache's cells and pages of a generation against the store. */
int scc_ctl_verify_cache(redisContext *redis, PGconn *pg,
    uint64_t generation, scc_ctl_progress_t *progress, uint64_t *found);


/*
 * The pages among the cache's keys, a batch at a time.  One differs if it
 * claims its cell's version, or one that is yet to come, and is not the
 * document of the store.
 */

typedef struct scc_ctl_pages_s  scc_ctl_pages_t;

scc_ctl_pages_t *scc_ctl_pages_open(redisContext *redis, PGconn *pg,
    uint64_t generation);
void scc_ctl_pages_free(scc_ctl_pages_t *pp);

/* A key; what is no page's is left out.  0, or -1 after saying why. */
int scc_ctl_pages_add(scc_ctl_pages_t *pp, const char *key, size_t len);

/* The rest, and the summary. */
int scc_ctl_pages_end(scc_ctl_pages_t *pp, uint64_t *found);


#endif /* _SCC_CTL_VERIFY_H_INCLUDED_ */
