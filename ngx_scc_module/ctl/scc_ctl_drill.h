
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_DRILL_H_INCLUDED_
#define _SCC_CTL_DRILL_H_INCLUDED_


#include "scc_ctl_compare.h"
#include "scc_ctl_live.h"
#include "scc_ctl_rebuild.h"


#define SCC_CTL_DRILL_STAMP  "drill.json"       /* in DEST/STORE */
#define SCC_CTL_DRILL_MARK   "drilled"          /* in a journal */

#define SCC_CTL_DRILL_HOSTS  256


/* What a drill is about, and what came of it; in memory that two processes
   share, so without pointers. */

typedef struct {
    char                dest[4096];     /* DEST/STORE */
    char                uuid[37];
    char                conninfo[512];  /* of the store to throw away */
    bool                compare;        /* with the live store */

    uint64_t            hosts;
    uint64_t            objects;        /* sealed segments */
    uint64_t            tails;
    uint64_t            bytes;

    scc_ctl_rebuilt_t   rebuilt;
    scc_ctl_compare_t   compared;       /* records with the restored store */
    scc_ctl_live_t      live;
    uint64_t            parts;          /* digests unlike the live store's */
    uint64_t            names;          /* of those who were erased */
    uint64_t            newest;         /* received, ms since 1970 */

    uint64_t            findings;
    uint64_t            began;          /* s since 1970 */
    double              check;          /* seconds each took */
    double              init;
    double              rebuild;
    double              look;
    double              total;
    uint64_t            peak;           /* KiB, of sccctl */
    uint64_t            server;         /* of the largest server process */
    bool                done;
} scc_ctl_drill_t;


/* In the process that may be killed: all of it, but for the server. */
int scc_ctl_drill_work(scc_ctl_drill_t *d, const char *live);

/* The objects of DEST/STORE: counted, and each compared with the digest that
   is beside it.  The hosts' folders, on the heap, are the caller's. */
int scc_ctl_drill_objects(scc_ctl_drill_t *d,
    char *hosts[SCC_CTL_DRILL_HOSTS]);

/* As text on standard output; as a line of JSON. */
void scc_ctl_drill_print(const scc_ctl_drill_t *d);
void scc_ctl_drill_json(const scc_ctl_drill_t *d, scc_buf_t *b);


#endif /* _SCC_CTL_DRILL_H_INCLUDED_ */
