
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_JOURNAL_H_INCLUDED_
#define _SCC_CTL_JOURNAL_H_INCLUDED_


#include "scc_ctl_segment.h"


/* The parts of "sccctl journal": an exit code each. */

int scc_ctl_journal_ls(scc_ctl_journal_t *j);
int scc_ctl_journal_stat(scc_ctl_journal_t *j);
int scc_ctl_journal_cat(scc_ctl_journal_t *j);
int scc_ctl_journal_verify(scc_ctl_journal_t *j);
int scc_ctl_journal_init(char *dir, const uint8_t store[16]);
int scc_ctl_journal_erase(scc_ctl_journal_t *j, const char *conninfo);


/*
 * The next record of a segment: those of its batches, then, of a damaged
 * one, what salvage finds.  A record that cannot be read has a bytes of its
 * own only.
 */

typedef struct {
    scc_scan_t          scan;
    scc_scan_batch_t    batch;
    scc_str_t           left;       /* of the batch */
    bool                salvaged;
    bool                readable;   /* r is set; else what is in bytes is
                                       for another program */
    scc_str_t           bytes;      /* as stored, with padding */
    scc_record_t        r;
} scc_ctl_record_t;

void scc_ctl_record_begin(scc_ctl_record_t *cr, const scc_ctl_segment_t *s);
bool scc_ctl_record_next(scc_ctl_record_t *cr);

#define SCC_CTL_TIME  sizeof("2026-11-23T01:02:03.456789012Z")

/* UTC, with 3 or 9 decimals; "-" for 0 or what no calendar has. */
const char *scc_ctl_time(char text[SCC_CTL_TIME], uint64_t ns,
    unsigned decimals);

/* The same of a hybrid logical clock. */
const char *scc_ctl_hlc(char text[SCC_CTL_TIME], uint64_t hlc);


#endif /* _SCC_CTL_JOURNAL_H_INCLUDED_ */
