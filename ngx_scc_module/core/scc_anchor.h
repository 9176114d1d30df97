
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_ANCHOR_H_INCLUDED_
#define _SCC_ANCHOR_H_INCLUDED_


#include "scc_buf.h"
#include "scc_guard.h"


/*
 * An anchor: the greatest witness ever seen of a store, and the guard's
 * state, as it is kept in several places: one line of JSON,
 *
 *     {"anchor":1,"store":"...",...,"crc":"0123abcd"}
 *
 * crc: crc32c of what is before its comma, 8 hex digits.  "system", "lsn"
 * (as PostgreSQL writes it) and "hlc" are strings, since JSON's readers
 * round large numbers.  Members that are not known are left out of account.
 */

#define SCC_ANCHOR_FILE  "anchor"       /* in a directory of the journal */
#define SCC_ANCHOR_KEY   "scc:anchor"   /* in Redis */
#define SCC_ANCHOR_MAX   1024           /* bytes, with the newline */


typedef struct {
    scc_witness_t       high;           /* hollow is 0 */
    uint32_t            life;           /* how often it has come back from
                                           being rewound */
    scc_verdict_t       verdict;
    uint64_t            since;          /* of the verdict; ms since 1970 */
    uint64_t            written;        /* ms since 1970 */
} scc_anchor_t;


/* With the newline. */
void scc_anchor_write(scc_buf_t *b, const scc_anchor_t *a);

/* DECLINED: it is none, or was damaged; ERROR: no memory.  A newline at the
   end may be there. */
scc_rc_t scc_anchor_read(scc_str_t text, scc_anchor_t *a);

/*
 * The high-water of both, in "a": of the higher epoch, then of the longer
 * life; of equal ones all counters at their highest.  The verdict is that of
 * the one that was written last.  DECLINED: they are of different stores,
 * nothing was changed.
 */
scc_rc_t scc_anchor_merge(scc_anchor_t *a, const scc_anchor_t *b);

/*
 * A witness that is believed.  Counters only rise, but for places, which fall
 * by what was removed; another epoch takes the place of all.
 */
void scc_anchor_raise(scc_anchor_t *a, const scc_witness_t *w);

/* The same of a store that was rewound and has everything again: its log
   begins anew. */
void scc_anchor_restart(scc_anchor_t *a, const scc_witness_t *w);


#endif /* _SCC_ANCHOR_H_INCLUDED_ */
