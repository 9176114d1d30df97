
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_APPLY_H_INCLUDED_
#define _SCC_CTL_APPLY_H_INCLUDED_


#include "scc_ctl.h"
#include "scc_import.h"


/*
 * Rows into the store, through scc.apply() and nothing else: batches, each
 * one transaction that is durable when it is counted.  While the server
 * works on one batch the caller fills the next.
 *
 * A batch the server could not take for a passing reason (deadlock, lost
 * connection, restart) is sent again; one whose data it refuses is cut in
 * halves until the bad row stands alone.  Sending a row twice is harmless:
 * its events have the same ids.
 */

typedef struct scc_ctl_apply_s  scc_ctl_apply_t;


typedef struct {
    const char         *conninfo;
    uint32_t            batch;              /* events */
    scc_str_t           contributor_id;     /* of rows that name none */
    scc_str_t           contributor_name;   /* may be empty */

    /* A row that the server refused; -1 stops the import. */
    int               (*refused)(void *ctx, uint64_t line, scc_str_t id,
                                 const char *message);
    void               *ctx;
} scc_ctl_apply_conf_t;                     /* copied; strings borrowed */


typedef struct {
    uint64_t            events_new;
    uint64_t            events_old;
    uint64_t            kinds[SCC_IMPORT_BODIES];   /* events taken */
    uint64_t            refused;                    /* rows */
    uint64_t            retries;
} scc_ctl_apply_stats_t;


/* Connects and checks the store; NULL after saying why not. */
scc_ctl_apply_t *scc_ctl_apply_create(const scc_ctl_apply_conf_t *conf);
void scc_ctl_apply_free(scc_ctl_apply_t *a);

/* A row with bodies, copied.  -1 after saying why the import must stop. */
int scc_ctl_apply_row(scc_ctl_apply_t *a, const scc_import_row_t *row);

/* Sends what is left and waits until all is committed. */
int scc_ctl_apply_flush(scc_ctl_apply_t *a);

const scc_ctl_apply_stats_t *scc_ctl_apply_stats(const scc_ctl_apply_t *a);


#endif /* _SCC_CTL_APPLY_H_INCLUDED_ */
