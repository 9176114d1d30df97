
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_INTAKE_H_INCLUDED_
#define _SCC_CTL_INTAKE_H_INCLUDED_


#include "scc_ctl_apply.h"
#include "scc_import.h"


/*
 * An import's rows become events: first in the journal, then in the store.
 * A batch is asked for what the ledger does not have yet, and only that is
 * journaled; it is durable there before it is applied.
 */

typedef struct scc_ctl_intake_s  scc_ctl_intake_t;


typedef struct {
    const char         *conninfo;
    const char         *journal;            /* a directory; NULL: none */
    uint32_t            batch;              /* events */
    scc_str_t           contributor_id;     /* of rows that name none */
    scc_str_t           contributor_name;   /* may be empty */

    /* A row that was refused, by the journal or by the server; -1 stops. */
    int               (*refused)(void *ctx, uint64_t line, scc_str_t id,
                                 const char *message);
    void               *ctx;
} scc_ctl_intake_conf_t;                    /* copied; strings borrowed */


/* What the command line says of it; NULL: not given. */

typedef struct {
    const char         *journal;        /* --journal, or else SCC_JOURNAL */
    const char         *no_journal;
    const char         *contributor;    /* "import" */
    const char         *name;           /* "Import" */
    const char         *batch;          /* "5000" */
} scc_ctl_intake_opts_t;

/* Sets journal, batch and contributor; an exit code, USAGE after saying what
   is wrong with them.  Without "needed" there may be no journal. */
int scc_ctl_intake_conf(scc_ctl_intake_conf_t *conf, const char *command,
    const scc_ctl_intake_opts_t *opts, bool needed);

/* Connects, checks store and journal; NULL after saying why not. */
scc_ctl_intake_t *scc_ctl_intake_create(const scc_ctl_intake_conf_t *conf);

/* Seals the journal's segment; takes NULL. */
void scc_ctl_intake_free(scc_ctl_intake_t *in);

/* A row with bodies, copied.  -1 after saying why the import must stop. */
int scc_ctl_intake_row(scc_ctl_intake_t *in, const scc_import_row_t *row);

/* Sends what is left and waits until all is committed. */
int scc_ctl_intake_flush(scc_ctl_intake_t *in);

const scc_ctl_apply_stats_t *scc_ctl_intake_stats(const scc_ctl_intake_t *in);

/* Events written to the journal; rows refused. */
uint64_t scc_ctl_intake_journaled(const scc_ctl_intake_t *in);
uint64_t scc_ctl_intake_refused(const scc_ctl_intake_t *in);


#endif /* _SCC_CTL_INTAKE_H_INCLUDED_ */
