
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_DEAD_H_INCLUDED_
#define _SCC_CTL_DEAD_H_INCLUDED_


#include "scc_ctl_apply.h"


/*
 * What cannot be applied becomes a dead letter: the event's record, as the
 * journal has it, and why.  Both ask the store; -1 after saying why not.
 */

/* "sqlstate" may be NULL: a fault that no server named. */
int scc_ctl_dead_bury(scc_ctl_apply_t *a, const scc_ctl_batch_t *b,
    const scc_ctl_event_t *ev, const char *sqlstate, const char *reason);

/* The same of bytes that are no record that can be read; "segment" may be
   NULL. */
int scc_ctl_dead_bury_raw(scc_ctl_apply_t *a, const uint8_t *segment,
    scc_str_t raw, const char *reason);

/* The letter is resolved if the ledger has its event with this body. */
int scc_ctl_dead_resolve(scc_ctl_apply_t *a, int64_t letter,
    const uint8_t sha256[32]);


#endif /* _SCC_CTL_DEAD_H_INCLUDED_ */
