
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_ROSTER_H_INCLUDED_
#define _SCC_CTL_ROSTER_H_INCLUDED_


#include "scc_ctl_events.h"


/* What the parts of "sccctl roster" work with. */

typedef struct {
    scc_roster_t       *roster;
    scc_seasons_t      *seasons;    /* NULL: no --seasons */
    uint8_t             store[16];
    int64_t             zone;       /* minutes */
    bool                json;
    bool                names;      /* CSV: spellings */
    bool                dry_run;
    bool                fewer;      /* believe a roster that shrank */
    const char         *season;     /* NULL: all */
    const char         *chapter;    /* NULL: all */
    const char         *output;     /* NULL: standard output */
    const char         *to;
} scc_ctl_roster_t;


/* An exit code each. */
int scc_ctl_roster_export(const scc_ctl_roster_t *ro);
int scc_ctl_roster_digest(const scc_ctl_roster_t *ro);
int scc_ctl_roster_snapshot(const scc_ctl_roster_t *ro);
int scc_ctl_roster_reconcile(const scc_ctl_roster_t *ro, const char *sheet);

/* The whole roster as JSON, with its head and digest. */
void scc_ctl_roster_write(scc_buf_t *b, const scc_ctl_roster_t *ro,
    bool seasons);

/* Whether a row of the seasons file is one that --season and --chapter
   ask for. */
bool scc_ctl_roster_asked(const scc_ctl_roster_t *ro, size_t season);

/* All of b into the file, or to standard output where it is NULL; -1 after
   saying why not. */
int scc_ctl_roster_put(const char *path, const scc_buf_t *b);

/* A byte order mark: spreadsheets then know that it is UTF-8. */
#define SCC_CTL_BOM  "\xef\xbb\xbf"


#endif /* _SCC_CTL_ROSTER_H_INCLUDED_ */
