
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_PRUNE_H_INCLUDED_
#define _SCC_CTL_PRUNE_H_INCLUDED_


#include "scc_ctl_mark.h"
#include "scc_ctl_pg.h"
#include "scc_ctl_remote.h"
#include "scc_ctl_segment.h"


#define SCC_CTL_PRUNE_TRASH  ".trash-"          /* and s since 1970 */


/* The rules; all must hold before a segment is deleted. */

typedef enum {
    SCC_CTL_PRUNE_AGE = 0,
    SCC_CTL_PRUNE_SEALED,
    SCC_CTL_PRUNE_DISK,
    SCC_CTL_PRUNE_APPLIED,
    SCC_CTL_PRUNE_OFFSITE,
    SCC_CTL_PRUNE_BACKUP,
} scc_ctl_prune_rule_t;

#define SCC_CTL_PRUNE_RULES  6


typedef struct {
    PGconn             *pg;
    uint8_t             store[16];
    scc_ctl_remote_t    remote;
    bool                named;          /* remote is; else marks say where */
    uint64_t            keep;           /* s */
    uint64_t            now;            /* s since 1970: the earlier one of
                                           this host's and the store's */
    bool                dry_run;
    bool                quick;          /* of what is young nothing else is
                                           looked at */
} scc_ctl_prune_t;


typedef struct {
    bool                looked[SCC_CTL_PRUNE_RULES];
    bool                holds[SCC_CTL_PRUNE_RULES];
    char                why[SCC_CTL_PRUNE_RULES][192];  /* not */
    bool                all;
    scc_ctl_mark_t      mark;
} scc_ctl_prune_verdict_t;


const char *scc_ctl_prune_rule_name(scc_ctl_prune_rule_t rule);

/* 0 and the verdict; 1: the file is gone; -1 after saying why it cannot be
   judged. */
int scc_ctl_prune_judge(scc_ctl_prune_t *pr, scc_ctl_segment_t *s,
    scc_ctl_prune_verdict_t *v);

/* Whether the copy that a mark tells of is there, read again: 0; 1 and the
   reason; -1 after saying why it cannot be read. */
int scc_ctl_prune_offsite(const scc_ctl_prune_t *pr, const scc_ctl_mark_t *m,
    char why[192]);


#endif /* _SCC_CTL_PRUNE_H_INCLUDED_ */
