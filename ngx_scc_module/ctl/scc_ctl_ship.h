
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_SHIP_H_INCLUDED_
#define _SCC_CTL_SHIP_H_INCLUDED_


#include "scc_ctl_mark.h"
#include "scc_ctl_remote.h"
#include "scc_ctl_segment.h"


/*
 * A file of a journal, and what of it is off-site.  A segment keeps its entry
 * when it is sealed: what its open part had is known.
 */

typedef struct {
    char               *name;           /* without .open, .seg */
    unsigned            dir;
    bool                segment;
    bool                seen;           /* in this round */
    bool                own;            /* a tail beside the first
                                           directory's was shipped */

    bool                whole;          /* off-site as it was when seen: */
    uint64_t            inode;
    uint64_t            mtime;
    uint64_t            size;
    uint64_t            pos;            /* of a segment: bytes off-site */
    uint8_t             sha256[32];     /* if sealed and whole */

    uint64_t            oldest;         /* received, ns: the first record that
                                           is not off-site; 0: none */
    bool                failing;
    unsigned            failures;
    uint64_t            retry;          /* scc_ctl_now(), or 0 */
} scc_ctl_ship_file_t;


typedef struct {
    char               *path;
    uint8_t             store[16];
} scc_ctl_ship_dir_t;


typedef struct {
    scc_ctl_remote_t        remote;
    scc_ctl_ship_dir_t     *dirs;
    unsigned                n_dirs;
    char                    uuid[37];   /* of the store */
    const char             *host;
    char                    to[4096];   /* for marks */
    bool                    dry_run;
    bool                    known;      /* copies are there from before */

    scc_ctl_ship_file_t    *files;
    size_t                  n;
    size_t                  size;

    uint64_t                segments;   /* shipped by this process */
    uint64_t                tails;
    uint64_t                others;
    uint64_t                bytes;
    uint64_t                verified;   /* when last; s since 1970 */
} scc_ctl_ship_t;


/*
 * Brings what of the file is not off-site there.  file->whole, oldest,
 * failing and retry are set.  Never fails: what went wrong was said.
 */
void scc_ctl_ship_file(scc_ctl_ship_t *sh, scc_ctl_ship_file_t *file);

/* A mark says that it was shipped to where we ship to. */
bool scc_ctl_ship_before(const scc_ctl_ship_t *sh,
    const scc_ctl_ship_file_t *file);

/* Wall clock, ns since 1970. */
uint64_t scc_ctl_ship_wall(void);


#endif /* _SCC_CTL_SHIP_H_INCLUDED_ */
