
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_REMOTE_H_INCLUDED_
#define _SCC_CTL_REMOTE_H_INCLUDED_


#include <sys/stat.h>

#include "scc_ctl.h"


/*
 * Where copies are kept: a directory, or commands of the user's.  A copy is
 * there when its bytes, read back, have the digest that they should have;
 * what a command's exit code says is not enough.
 *
 * A command runs as "/bin/sh -c COMMAND" with SCC_OBJECT (the name, with
 * slashes), SCC_SIZE and SCC_SHA256 in its environment: "put" gets the bytes
 * on standard input, "get" writes them to standard output, "sum" writes
 * their SHA-256 in hexadecimal.  It has a deadline, and dies with all that it
 * started when that is over.
 */

typedef struct {
    const char     *dir;            /* or NULL */
    const char     *put;            /* may be NULL where nothing is put */
    const char     *get;            /* one of these two */
    const char     *sum;
    uint64_t        timeout;        /* ns, of one command */
} scc_ctl_remote_t;


/* From the values of options, NULL where not given; -1 after saying what is
   wrong with them ("command" is the one of sccctl). */
int scc_ctl_remote_init(scc_ctl_remote_t *r, const char *command,
    const char *dir, const char *put, const char *get, const char *sum,
    const char *timeout, bool write);

/*
 * Puts the object, whole or not at all, over what was there, and reads it
 * back.  0: it is there; -1 after saying what failed.  Folders below the
 * directory are made.
 */
int scc_ctl_remote_put(const scc_ctl_remote_t *r, const char *object,
    scc_str_t bytes, const uint8_t sha256[32]);

/*
 * Reads the object, past the page cache where that is possible.  0 and its
 * digest; 1: there is no such object (a command cannot say that: its failure
 * is -1); -1 after saying why it cannot be read.
 */
int scc_ctl_remote_sum(const scc_ctl_remote_t *r, const char *object,
    uint64_t size, const uint8_t expected[32], uint8_t sha256[32]);

/* The object is of no use any more: removed, or, by commands, made empty. */
int scc_ctl_remote_drop(const scc_ctl_remote_t *r, const char *object);

/*
 * Whether the directory is there and, where "known" is true, has the folder
 * "object": a file system that is not mounted is an empty directory.  -1
 * after saying what to do.  By commands: always 0.
 */
int scc_ctl_remote_there(const scc_ctl_remote_t *r, const char *object,
    bool known);

/* Whether what is kept there is on the device of st. */
bool scc_ctl_remote_same(const scc_ctl_remote_t *r, const struct stat *st);


#endif /* _SCC_CTL_REMOTE_H_INCLUDED_ */
