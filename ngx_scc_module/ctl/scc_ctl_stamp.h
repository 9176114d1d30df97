
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_STAMP_H_INCLUDED_
#define _SCC_CTL_STAMP_H_INCLUDED_


#include "scc_ctl_pg.h"


/* Backups and drills, as the store remembers them. */

/* began: s since 1970, by this host's clock; note: JSON, or empty.  -1 after
   saying why not. */
int scc_ctl_stamp_add(const char *conninfo, const char *kind, uint64_t began,
    bool ok, scc_str_t note);


#endif /* _SCC_CTL_STAMP_H_INCLUDED_ */
