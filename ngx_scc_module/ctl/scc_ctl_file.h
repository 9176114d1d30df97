
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_FILE_H_INCLUDED_
#define _SCC_CTL_FILE_H_INCLUDED_


#include <stdio.h>

#include "scc_ctl.h"


/*
 * A file that appears whole or not at all: written under another name in
 * its folder, synced, then renamed over what was there.  SIGHUP, SIGINT and
 * SIGTERM remove the half of it.  One at a time.
 */

typedef struct {
    FILE           *file;
    const char     *path;           /* the caller's; NULL: standard output */
    char           *temp;
} scc_ctl_file_t;


/* path NULL: standard output, which nothing can take back.  All return 0,
   or -1 after saying what is wrong. */
int scc_ctl_file_open(scc_ctl_file_t *f, const char *path);
int scc_ctl_file_write(scc_ctl_file_t *f, const void *p, size_t len);
int scc_ctl_file_commit(scc_ctl_file_t *f);

/* Removes what was written; nothing after a commit. */
void scc_ctl_file_abort(scc_ctl_file_t *f);


#endif /* _SCC_CTL_FILE_H_INCLUDED_ */
