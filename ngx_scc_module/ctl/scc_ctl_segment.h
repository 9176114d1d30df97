
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_SEGMENT_H_INCLUDED_
#define _SCC_CTL_SEGMENT_H_INCLUDED_


#include "scc_ctl.h"
#include "scc_journal.h"


/*
 * A journal's files, read as they are: nothing is locked, changed or
 * refused, and nginx may be writing meanwhile.
 */

typedef enum {
    SCC_CTL_SEGMENT_SEALED,
    SCC_CTL_SEGMENT_LIVE,               /* a writer holds its lock */
    SCC_CTL_SEGMENT_OPEN,               /* no writer, whole: to be sealed */
    SCC_CTL_SEGMENT_TORN,               /* no writer, an unfinished batch */
    SCC_CTL_SEGMENT_UNUSED,             /* no block 0, no batch */
    SCC_CTL_SEGMENT_DAMAGED,
} scc_ctl_segment_state_t;


typedef struct {
    char                     *path;
    const char               *name;     /* in path */
    const char               *journal;  /* its directory; "" if named alone */
    bool                      seg;      /* .seg, not .open */

    /* set by load() */
    scc_ctl_segment_state_t   state;
    scc_segment_end_t         end;
    bool                      known;    /* head is valid, but its host */
    scc_segment_t             head;
    uint64_t                  batches;
    scc_chain_t               chain;    /* totals, and the last chain */
    size_t                    pos;      /* after the last valid batch */
    size_t                    size;     /* of the file */
    bool                      copy;     /* a better one is in the list */
    bool                      erased;   /* names in it were */

    /* between load() and unload() */
    uint8_t                  *block;
    scc_str_t                 bytes;    /* in block */
} scc_ctl_segment_t;


typedef struct {
    scc_ctl_segment_t        *segments;
    size_t                    n;
    size_t                    size;
    char                    **journals; /* directories */
    size_t                    n_journals;
} scc_ctl_journal_t;


/* "sealed", "damaged" ... */
const char *scc_ctl_segment_word(scc_ctl_segment_state_t state);

/*
 * The segments of directories, and segments named themselves, by journal
 * and name: a writer's in the order it wrote them.  -1 and a message if one
 * cannot be read.
 */
int scc_ctl_journal_list(scc_ctl_journal_t *j, int n, char **paths);
void scc_ctl_journal_free(scc_ctl_journal_t *j);

/*
 * Loads and unloads all once, then marks as copies those whose segment is
 * in the list a second time, as good or better.
 */
int scc_ctl_journal_look(scc_ctl_journal_t *j);

/* Reads the file and judges it; 1 if it is gone, -1 and a message if it
   cannot be read. */
int scc_ctl_segment_load(scc_ctl_segment_t *s);
void scc_ctl_segment_unload(scc_ctl_segment_t *s);

/* The store in DIR/store: 0, 1 if there is none, -1 and a message if it
   cannot be read or is no UUID. */
int scc_ctl_journal_store(const char *dir, uint8_t store[16]);

/* A name as nginx gives it, .open or .seg. */
bool scc_ctl_segment_name(const char *name);


#endif /* _SCC_CTL_SEGMENT_H_INCLUDED_ */
