
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_CLUSTER_H_INCLUDED_
#define _SCC_CTL_CLUSTER_H_INCLUDED_


#include <sys/types.h>

#include "scc_ctl.h"


/*
 * A PostgreSQL to throw away: made in a directory of its own, reached by a
 * socket in there and by nothing else, never synced.  It dies with this
 * process.  Run by root, it runs as user postgres.
 */

typedef struct {
    char                dir[256];       /* made by this; "" before */
    char                bin[256];       /* initdb and postgres */
    char                conninfo[512];  /* of database "scc" */
    pid_t               pid;
    uid_t               uid;
    gid_t               gid;
} scc_ctl_cluster_t;


/* In a new directory below "under"; bin: where the programs are, NULL to
   look for them.  0 when database "scc", empty, can be connected to; -1 after
   saying why not: stop() is still to be called. */
int scc_ctl_cluster_start(scc_ctl_cluster_t *c, const char *under,
    const char *bin);

/* The server ends and, without "keep", the directory is removed. */
void scc_ctl_cluster_stop(scc_ctl_cluster_t *c, bool keep);


#endif /* _SCC_CTL_CLUSTER_H_INCLUDED_ */
