
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_MERGE_H_INCLUDED_
#define _SCC_CTL_MERGE_H_INCLUDED_


#include "scc_ctl_journal.h"


/*
 * The records of many segments, by (hlc, event id).  A segment is in memory
 * only from its first record's time to its last one's: as many at once as
 * there were writers at a time.
 */

typedef struct {
    scc_ctl_segment_t   *segment;
    scc_ctl_record_t     cr;
    uint64_t             first;         /* hlc */
} scc_ctl_source_t;


typedef struct {
    scc_ctl_source_t    *sources;       /* by first */
    size_t               n;
    size_t               next;          /* to be opened */
    scc_ctl_source_t   **heap;          /* open ones */
    size_t               n_heap;
    bool                 taken;         /* the top was handed out */
    uint64_t             last_hlc;      /* handed out */
    uint8_t              last_id[16];
    uint8_t              last_sha256[32];
    uint64_t             copies;        /* records seen before, left out */
} scc_ctl_merge_t;


/* Of a journal that was looked at; of segments found sealed and whole only
   one copy is read, else all.  -1 and a message without memory. */
int scc_ctl_merge_init(scc_ctl_merge_t *m, scc_ctl_journal_t *j);
void scc_ctl_merge_free(scc_ctl_merge_t *m);

/* 1 and the next record, valid until the next call; 0 at the end; -1 and a
   message if a segment cannot be read. */
int scc_ctl_merge_next(scc_ctl_merge_t *m, const scc_ctl_source_t **source);


#endif /* _SCC_CTL_MERGE_H_INCLUDED_ */
