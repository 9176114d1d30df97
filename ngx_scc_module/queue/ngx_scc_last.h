
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_LAST_H_INCLUDED_
#define _NGX_SCC_LAST_H_INCLUDED_


#include "ngx_scc_journal.h"


/*
 * The greatest hlc in a journal's directory: of the segments that were not
 * sealed, and of the newest of those that were.  0: none, or it cannot be
 * read.  Blocks; reads headers only.
 */
uint64_t ngx_scc_last_hlc(const ngx_str_t *dir, ngx_log_t *log);


#endif /* _NGX_SCC_LAST_H_INCLUDED_ */
