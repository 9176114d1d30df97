
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_STORE_H_INCLUDED_
#define _SCC_CTL_STORE_H_INCLUDED_


#include "scc_ctl_pg.h"


/*
 * A connection to a store whose schema is this program's, as role scc_app
 * where the session may become it; "uuid" is set to the store's.  NULL after
 * saying why not; "quiet" leaves out that there is no connection.
 */
PGconn *scc_ctl_store_connect(const char *conninfo, bool quiet,
    uint8_t uuid[16]);

#endif /* _SCC_CTL_STORE_H_INCLUDED_ */
