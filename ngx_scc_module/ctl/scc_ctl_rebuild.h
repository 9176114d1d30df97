
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_REBUILD_H_INCLUDED_
#define _SCC_CTL_REBUILD_H_INCLUDED_


#include "scc_ctl_digest.h"


typedef struct {
    const char         *conninfo;       /* of an empty store; NULL: a dry
                                           run */
    char              **dirs;           /* journals */
    int                 n_dirs;
    bool                salvage;
} scc_ctl_rebuild_conf_t;


typedef struct {
    uint64_t            records;        /* read, copies left out */
    uint64_t            copies;
    uint64_t            unreadable;
    uint64_t            events;         /* in the ledger now */
    uint64_t            dead;
    double              seconds;        /* without the digests */
    scc_ctl_digest_t    digest;
} scc_ctl_rebuilt_t;


/* Fills the store and says what it did; -1 after saying why not. */
int scc_ctl_rebuild_run(const scc_ctl_rebuild_conf_t *conf,
    scc_ctl_rebuilt_t *result);


#endif /* _SCC_CTL_REBUILD_H_INCLUDED_ */
