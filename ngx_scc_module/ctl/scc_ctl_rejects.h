
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_REJECTS_H_INCLUDED_
#define _SCC_CTL_REJECTS_H_INCLUDED_


#include <stdio.h>

#include "scc_buf.h"
#include "scc_ctl.h"


/*
 * The file of rows that were not taken: CSV with the columns line, id,
 * field, reason, text, file.  It is created with the first of them.  Cells
 * that a spreadsheet would take for a formula begin with an apostrophe;
 * bytes that are no UTF-8 are written as \xHH.
 */

typedef struct {
    const char         *given;      /* --rejects, or NULL */
    char               *path;       /* of the file in hand */
    FILE               *file;       /* NULL until a row is rejected */
    char              **created;    /* paths written in this run */
    size_t              n_created;
    scc_buf_t           buf;
} scc_ctl_rejects_t;


void scc_ctl_rejects_init(scc_ctl_rejects_t *rj, const char *given);
void scc_ctl_rejects_free(scc_ctl_rejects_t *rj);

/*
 * Before an input file: names the rejects file, rejects-NAME.csv in the
 * current directory unless one was given.  -1 and a message if it is the
 * input itself ("fd") or there is no memory.
 */
int scc_ctl_rejects_begin(scc_ctl_rejects_t *rj, const char *input, int fd);

/* -1 after saying why. */
int scc_ctl_rejects_add(scc_ctl_rejects_t *rj, const char *input,
    uint64_t line, scc_str_t id, scc_str_t field, scc_str_t reason,
    const char *text);

/* After an input file; -1 if not all of it could be written. */
int scc_ctl_rejects_end(scc_ctl_rejects_t *rj);


#endif /* _SCC_CTL_REJECTS_H_INCLUDED_ */
