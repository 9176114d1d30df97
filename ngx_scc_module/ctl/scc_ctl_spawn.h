
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_SPAWN_H_INCLUDED_
#define _SCC_CTL_SPAWN_H_INCLUDED_


#include "scc_ctl.h"


#define SCC_CTL_SPAWN_TEXT  4096


/*
 * A shell command with an input, a deadline, and what it writes to standard
 * output: its digest, or its first bytes.  It is a process group of its own,
 * all of which is killed at the deadline.
 */

typedef struct {
    const char     *command;
    scc_str_t       in;             /* a file: it can be read again */
    uint64_t        timeout;        /* ns */
    bool            sha256;         /* take the output's digest */

    int             code;           /* 128 + signal, as in a shell */
    uint8_t         digest[32];
    uint64_t        size;           /* of the output */
    scc_str_t       text;           /* without sha256: of it the first
                                       SCC_CTL_SPAWN_TEXT bytes, valid until
                                       the next call */
} scc_ctl_spawn_t;


typedef enum {
    SCC_CTL_SPAWN_DONE = 0,
    SCC_CTL_SPAWN_EXIT,             /* not 0, or killed */
    SCC_CTL_SPAWN_LATE,             /* stopped at the deadline */
    SCC_CTL_SPAWN_ERROR,            /* errno */
} scc_ctl_spawn_rc_t;


scc_ctl_spawn_rc_t scc_ctl_spawn(scc_ctl_spawn_t *sp);


#endif /* _SCC_CTL_SPAWN_H_INCLUDED_ */
