
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_H_INCLUDED_
#define _SCC_CTL_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "scc.h"


#define SCC_CTL_VERSION  "0.1.0"


/* Exit codes; part of the interface, written down in --help. */

#define SCC_CTL_OK         0
#define SCC_CTL_FAILED     1
#define SCC_CTL_USAGE      2
#define SCC_CTL_REJECTS    3    /* an import finished, some rows did not */
#define SCC_CTL_FINDINGS   3    /* it was looked at, and something is wrong */
#define SCC_CTL_FORBIDDEN  4    /* a safety rule says no; nothing was done */


/*
 * An option of a command: "--name value" or "--name=value" where "arg" is
 * the value's name in the help, "--name" alone where it is NULL.
 */

typedef struct {
    const char         *name;
    const char         *arg;
    const char         *help;       /* lines separated by '\n' */
} scc_ctl_opt_t;


/*
 * The command line of a command, checked against its table.  opt[i] is the
 * value of the command's i-th option, "" where it takes none, NULL where it
 * was not given.
 */

#define SCC_CTL_OPTS_MAX  16

typedef struct {
    const char         *opt[SCC_CTL_OPTS_MAX];
    int                 argc;
    char              **argv;       /* operands, NULL-terminated */
} scc_ctl_args_t;


/*
 * A command.  A new one is a handler here and a line in the table of
 * scc_ctl.c; help, unknown options and suggestions come from the tables.
 */

typedef struct scc_ctl_cmd_s  scc_ctl_cmd_t;

struct scc_ctl_cmd_s {
    const char           *name;
    const char           *operands;     /* in the usage line; NULL: none */
    const char           *summary;
    const char           *help;
    const scc_ctl_opt_t  *opts;         /* ends with name == NULL */
    int                 (*handler)(const scc_ctl_args_t *args);
};


/* A migration of the store, embedded at build time by embed_sql.sh. */

typedef struct {
    int                 version;
    const char         *name;
    const char         *text;       /* NUL-terminated, "len" without it */
    size_t              len;
} scc_ctl_sql_t;

extern const scc_ctl_sql_t  scc_ctl_sql[];      /* by version, ascending */
extern const size_t         scc_ctl_sql_n;


extern const scc_ctl_cmd_t  scc_ctl_init_cmd;
extern const scc_ctl_cmd_t  scc_ctl_migrate_cmd;
extern const scc_ctl_cmd_t  scc_ctl_import_cmd;
extern const scc_ctl_cmd_t  scc_ctl_export_cmd;
extern const scc_ctl_cmd_t  scc_ctl_sample_cmd;
extern const scc_ctl_cmd_t  scc_ctl_journal_cmd;
extern const scc_ctl_cmd_t  scc_ctl_rebuild_cmd;
extern const scc_ctl_cmd_t  scc_ctl_ship_cmd;
extern const scc_ctl_cmd_t  scc_ctl_doctor_cmd;
extern const scc_ctl_cmd_t  scc_ctl_verify_cmd;
extern const scc_ctl_cmd_t  scc_ctl_drill_cmd;
extern const scc_ctl_cmd_t  scc_ctl_prune_cmd;
extern const scc_ctl_cmd_t  scc_ctl_adopt_cmd;
extern const scc_ctl_cmd_t  scc_ctl_dead_cmd;
extern const scc_ctl_cmd_t  scc_ctl_roster_cmd;
extern const scc_ctl_cmd_t  scc_ctl_photos_cmd;
extern const scc_ctl_cmd_t  scc_ctl_worklist_cmd;


/* "sccctl: ..." and a newline on stderr; the message names the thing, the
   fault and the cure. */

void scc_ctl_error(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/* The same, followed by where to read on; returns SCC_CTL_USAGE. */

int scc_ctl_usage(const char *command, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Strict decimal in [min, max]; -1 and untouched "n" otherwise. */

int scc_ctl_number(const char *text, uint64_t min, uint64_t max,
    uint64_t *n);

/* SHA-256 by libcrypto; -1 (with a message) if it refuses. */

int scc_ctl_sha256(const void *p, size_t len, uint8_t out[32]);

/* 64 digits and a NUL. */

void scc_ctl_hex(char text[65], const uint8_t sha256[32]);

/* From 64 digits; -1: the text does not begin with them. */

int scc_ctl_unhex(uint8_t sha256[32], const char *text);

/* "30s", "5m", "2h", "90d" as ns; -1 and untouched "ns" otherwise. */

int scc_ctl_duration(const char *text, uint64_t *ns);


#endif /* _SCC_CTL_H_INCLUDED_ */
