
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_MARK_H_INCLUDED_
#define _SCC_CTL_MARK_H_INCLUDED_


#include <sys/stat.h>

#include "scc_ctl.h"


/*
 * What stands beside a segment that has a verified copy off-site, in
 * NAME.shipped; and, in NAME.pruned, where it was before it was deleted.  One
 * line of JSON.
 */

#define SCC_CTL_MARK_SHIPPED  ".shipped"
#define SCC_CTL_MARK_PRUNED   ".pruned"

typedef struct {
    uint8_t             sha256[32];
    uint64_t            size;
    uint64_t            records;
    uint64_t            at;             /* verified; s since 1970 */
    uint64_t            inode;          /* of the segment as it was */
    uint64_t            mtime;          /* ns */
    char                object[512];
    char                to[4096];       /* directory; "" for a command */
} scc_ctl_mark_t;


/* "path" is the segment's, which may be gone: 0; 1 if there is no mark, or
   none that can be read; -1 after saying why. */
int scc_ctl_mark_read(const char *path, const char *suffix,
    scc_ctl_mark_t *m);
int scc_ctl_mark_write(const char *path, const char *suffix,
    const scc_ctl_mark_t *m);

/* The mark's file, on the heap; NULL after saying why. */
char *scc_ctl_mark_path(const char *path, const char *suffix);

/* The file is the one that was shipped. */
bool scc_ctl_mark_fits(const scc_ctl_mark_t *m, const struct stat *st);
void scc_ctl_mark_stat(scc_ctl_mark_t *m, const struct stat *st);


#endif /* _SCC_CTL_MARK_H_INCLUDED_ */
