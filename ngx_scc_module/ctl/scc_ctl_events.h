
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_EVENTS_H_INCLUDED_
#define _SCC_CTL_EVENTS_H_INCLUDED_


#include "scc_ctl_journal.h"
#include "scc_ctl_pg.h"
#include "scc_roster.h"


/*
 * All contributions there are, of a store or of journals alone, for those
 * who do not care which.  Of a store they are those of one moment.
 */

typedef struct {
    PGconn             *pg;             /* NULL: journals */
    scc_ctl_journal_t   journal;
    uint8_t             store[16];
    uint64_t            unreadable;     /* records of another program */
} scc_ctl_events_t;


/* Anything but 0 stops; it has said why. */
typedef int (*scc_ctl_event_pt)(void *ctx, const scc_roster_event_t *e);


/*
 * The store of "conninfo", or the journals "dirs" where that is NULL; with
 * "salvage" what is whole of damaged segments.  -1 after saying why not; free
 * it all the same.
 */
int scc_ctl_events_open(scc_ctl_events_t *ev, const char *conninfo,
    int n, char **dirs, bool salvage);
void scc_ctl_events_free(scc_ctl_events_t *ev);

/* Those of the kinds in the set (1 << kind); bodies of those in "bodies",
   others may be empty.  In no order that means anything. */
int scc_ctl_events_read(scc_ctl_events_t *ev, unsigned kinds,
    unsigned bodies, scc_ctl_event_pt handler, void *ctx);

/* The numbers that contributors were given. */
int scc_ctl_events_numbers(scc_ctl_events_t *ev, scc_roster_t *r);


#endif /* _SCC_CTL_EVENTS_H_INCLUDED_ */
