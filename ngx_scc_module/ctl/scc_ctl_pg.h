
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_PG_H_INCLUDED_
#define _SCC_CTL_PG_H_INCLUDED_


#include <libpq-fe.h>

#include "scc_ctl.h"


#define SCC_CTL_PG_OPT                                                       \
    { "pg", "CONNINFO", "PostgreSQL connection string or URI\n"              \
                        "(default: the environment's SCC_PG)" }


/*
 * The connection string: "option" if not NULL, else SCC_PG.  NULL (and a
 * message) if neither is there or libpq cannot read it; the message never
 * shows the string, it may hold a password.
 */
const char *scc_ctl_pg_conninfo(const char *command, const char *option);

/*
 * A connection with client_encoding UTF8; notices below WARNING are kept
 * quiet.  NULL if it cannot be made; "quiet" leaves the message out.
 */
PGconn *scc_ctl_pg_connect(const char *conninfo, bool quiet);

/*
 * Runs text (several statements are allowed) and wants it to succeed;
 * the result is the caller's.  NULL after saying "what: server's message".
 */
PGresult *scc_ctl_pg_exec(PGconn *pg, const char *what, const char *text);

/* The same, with nothing to return: 0 or -1. */
int scc_ctl_pg_do(PGconn *pg, const char *what, const char *text);

/* One statement with bound text parameters. */
PGresult *scc_ctl_pg_query(PGconn *pg, const char *what, const char *text,
    int n, const char *const *params);

/* A field; NULL is empty.  It lives as long as the result. */
scc_str_t scc_ctl_pg_cell(const PGresult *res, int row, int column);

/* One row, one column, as an integer; -1 and a message otherwise. */
int scc_ctl_pg_number(PGconn *pg, const char *what, const char *text,
    int64_t *n);

/* The server's message of a failed result without its trailing newline,
   in a static buffer. */
const char *scc_ctl_pg_message(PGconn *pg, const PGresult *res);

/* Five characters; "" if the failure has no SQLSTATE (a lost connection). */
const char *scc_ctl_pg_sqlstate(const PGresult *res);


/* What "scc" is in this database. */

typedef enum {
    SCC_CTL_STORE_NONE,             /* no schema scc */
    SCC_CTL_STORE_FOREIGN,          /* a schema scc that is not ours */
    SCC_CTL_STORE_OURS,             /* it has scc.migration */
} scc_ctl_store_t;

int scc_ctl_pg_store(PGconn *pg, scc_ctl_store_t *store);


#endif /* _SCC_CTL_PG_H_INCLUDED_ */
