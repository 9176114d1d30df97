
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_DIGEST_H_INCLUDED_
#define _SCC_CTL_DIGEST_H_INCLUDED_


#include "scc_ctl_pg.h"


/*
 * What a store holds, as one number for each part: SHA-256 of the rows in
 * order, all but when and how often they were written.  The same for every
 * store that was filled from the same records.
 */

typedef enum {
    SCC_CTL_DIGEST_LEDGER = 0,
    SCC_CTL_DIGEST_PLACES,
    SCC_CTL_DIGEST_ROSTER,
} scc_ctl_digest_part_t;

#define SCC_CTL_DIGEST_PARTS  3


typedef struct {
    uint8_t             sha256[SCC_CTL_DIGEST_PARTS][32];
} scc_ctl_digest_t;


/* Of one snapshot; memory is one row.  -1 after saying why not. */
int scc_ctl_digest(PGconn *pg, scc_ctl_digest_t *d);

/* "ledger sha256 ..." and so on, a line each. */
void scc_ctl_digest_print(const scc_ctl_digest_t *d);

const char *scc_ctl_digest_name(scc_ctl_digest_part_t part);


#endif /* _SCC_CTL_DIGEST_H_INCLUDED_ */
