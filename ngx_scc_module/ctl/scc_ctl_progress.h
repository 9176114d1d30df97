
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_PROGRESS_H_INCLUDED_
#define _SCC_CTL_PROGRESS_H_INCLUDED_


#include "scc_ctl.h"


/*
 * One line on a terminal's stderr, drawn at most ten times a second; nothing
 * at all where stderr is no terminal.
 */

typedef struct {
    bool                on;
    bool                drawn;
    uint64_t            start;      /* ns */
    uint64_t            last;
} scc_ctl_progress_t;


void scc_ctl_progress_init(scc_ctl_progress_t *p, bool quiet);

/*
 * "done" of "total" bytes (0: unknown) and "rows" so far, of "label";
 * cheap to call often.
 */
void scc_ctl_progress_update(scc_ctl_progress_t *p, const char *label,
    uint64_t done, uint64_t total, uint64_t rows);

/* Takes the line away, before a message or at the end. */
void scc_ctl_progress_clear(scc_ctl_progress_t *p);

/* Nanoseconds of a clock that only goes forward. */
uint64_t scc_ctl_now(void);

/* 1234567 as "1,234,567", in a static buffer of eight. */
const char *scc_ctl_grouped(uint64_t n);


#endif /* _SCC_CTL_PROGRESS_H_INCLUDED_ */
