
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_NUMBERS_H_INCLUDED_
#define _SCC_CTL_NUMBERS_H_INCLUDED_


#include "scc_ctl_apply.h"
#include "scc_number.h"


/* The numbers that a lost store gave, as its journals keep them. */

typedef struct {
    scc_number_t       *list;
    size_t              n;
    size_t              size;
    uint64_t            unreadable;     /* lines */
    uint64_t            doubtful;       /* contradict another one */
    uint64_t            counts[SCC_NUMBER_KINDS];
} scc_ctl_numbers_t;


/*
 * All files of a directory, added to what is there already; -1 after saying
 * why not.  Those of another store than "store", unless that is NULL, are
 * left alone.
 */
int scc_ctl_numbers_read(scc_ctl_numbers_t *ns, const char *dir,
    const uint8_t *store);

/* In order, each once; counts and doubtful are set. */
void scc_ctl_numbers_sort(scc_ctl_numbers_t *ns);

/* Into an empty store; -1 after saying why not. */
int scc_ctl_numbers_restore(const scc_ctl_numbers_t *ns, scc_ctl_apply_t *a);

void scc_ctl_numbers_free(scc_ctl_numbers_t *ns);


#endif /* _SCC_CTL_NUMBERS_H_INCLUDED_ */
