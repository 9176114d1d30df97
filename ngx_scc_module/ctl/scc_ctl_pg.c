
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_ctl_pg.h"


static PGresult *scc_ctl_pg_check(PGconn *pg, const char *what,
    PGresult *res);
static void scc_ctl_pg_notice(void *arg, const PGresult *res);


const char *
scc_ctl_pg_conninfo(const char *command, const char *option)
{
    char              *error;
    const char        *conninfo;
    PQconninfoOption  *opts;

    conninfo = (option != NULL) ? option : getenv("SCC_PG");

    if (conninfo == NULL || *conninfo == '\0') {
        scc_ctl_usage(command, "no PostgreSQL server named; set SCC_PG or "
                      "give --pg \"host=... dbname=...\"");
        return NULL;
    }

    opts = PQconninfoParse(conninfo, &error);

    if (opts == NULL) {
        PQfreemem(error);
        scc_ctl_usage(command, "%s is not a PostgreSQL connection string; "
                      "write \"host=... port=... dbname=... user=...\" or "
                      "\"postgresql://...\"",
                      option != NULL ? "the value of --pg" : "SCC_PG");
        return NULL;
    }

    PQconninfoFree(opts);

    return conninfo;
}


PGconn *
scc_ctl_pg_connect(const char *conninfo, bool quiet)
{
    PGconn             *pg;
    static const char  *keys[] = { "dbname", "client_encoding",
                                   "fallback_application_name", NULL };
    const char         *values[] = { conninfo, "UTF8", "sccctl", NULL };

    pg = PQconnectdbParams(keys, values, 1);

    if (pg == NULL) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    if (PQstatus(pg) != CONNECTION_OK) {
        if (!quiet) {
            scc_ctl_error("cannot connect to PostgreSQL: %s",
                          scc_ctl_pg_message(pg, NULL));
        }

        PQfinish(pg);
        return NULL;
    }

    PQsetNoticeReceiver(pg, scc_ctl_pg_notice, NULL);

    return pg;
}


PGresult *
scc_ctl_pg_exec(PGconn *pg, const char *what, const char *text)
{
    return scc_ctl_pg_check(pg, what, PQexec(pg, text));
}


int
scc_ctl_pg_do(PGconn *pg, const char *what, const char *text)
{
    PGresult  *res;

    res = scc_ctl_pg_exec(pg, what, text);
    if (res == NULL) {
        return -1;
    }

    PQclear(res);

    return 0;
}


PGresult *
scc_ctl_pg_query(PGconn *pg, const char *what, const char *text, int n,
    const char *const *params)
{
    return scc_ctl_pg_check(pg, what, PQexecParams(pg, text, n, NULL, params,
                                                   NULL, NULL, 0));
}


scc_str_t
scc_ctl_pg_cell(const PGresult *res, int row, int column)
{
    scc_str_t  s;

    s.data = (const uint8_t *) PQgetvalue(res, row, column);
    s.len = (size_t) PQgetlength(res, row, column);

    return s;
}


int
scc_ctl_pg_number(PGconn *pg, const char *what, const char *text,
    int64_t *n)
{
    int        rc;
    PGresult  *res;

    res = scc_ctl_pg_exec(pg, what, text);
    if (res == NULL) {
        return -1;
    }

    rc = -1;

    if (PQntuples(res) == 1 && PQnfields(res) == 1
        && !PQgetisnull(res, 0, 0))
    {
        *n = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
        rc = 0;

    } else {
        scc_ctl_error("%s: the server gave no answer", what);
    }

    PQclear(res);

    return rc;
}


const char *
scc_ctl_pg_message(PGconn *pg, const PGresult *res)
{
    char         *p;
    size_t        len;
    const char   *text;
    static char   buf[1024];

    text = (res != NULL) ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY)
                         : NULL;
    if (text == NULL) {
        text = PQerrorMessage(pg);
    }

    len = strlen(text);

    while (len > 0 && text[len - 1] == '\n') {
        len--;
    }

    if (len > sizeof(buf) - 1) {
        len = sizeof(buf) - 1;
    }

    memcpy(buf, text, len);
    buf[len] = '\0';

    for (p = buf; *p != '\0'; p++) {
        if (*p == '\n' || *p == '\t') {
            *p = ' ';
        }
    }

    return buf;
}


const char *
scc_ctl_pg_sqlstate(const PGresult *res)
{
    const char  *state;

    state = (res != NULL) ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;

    return (state != NULL) ? state : "";
}


int
scc_ctl_pg_store(PGconn *pg, scc_ctl_store_t *store)
{
    int64_t  n;

    if (scc_ctl_pg_number(pg, "looking for schema scc",
                          "SELECT CASE"
                          " WHEN to_regnamespace('scc') IS NULL THEN 0"
                          " WHEN NOT EXISTS (SELECT FROM pg_class c"
                          "   WHERE c.relname = 'migration'"
                          "     AND c.relkind = 'r'"
                          "     AND c.relnamespace"
                          "         = to_regnamespace('scc')) THEN 1"
                          " ELSE 2 END", &n)
        != 0)
    {
        return -1;
    }

    *store = (n == 0) ? SCC_CTL_STORE_NONE
             : (n == 1) ? SCC_CTL_STORE_FOREIGN : SCC_CTL_STORE_OURS;

    return 0;
}


static PGresult *
scc_ctl_pg_check(PGconn *pg, const char *what, PGresult *res)
{
    const char      *detail, *hint;
    ExecStatusType   status;

    status = PQresultStatus(res);

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        return res;
    }

    detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
    hint = PQresultErrorField(res, PG_DIAG_MESSAGE_HINT);

    scc_ctl_error("%s: %s%s%s%s%s%s", what, scc_ctl_pg_message(pg, res),
                  *scc_ctl_pg_sqlstate(res) ? " [" : "",
                  scc_ctl_pg_sqlstate(res),
                  *scc_ctl_pg_sqlstate(res) ? "]" : "",
                  detail != NULL ? "; " : "", detail != NULL ? detail : "");

    if (hint != NULL) {
        scc_ctl_error("hint: %s", hint);
    }

    PQclear(res);

    return NULL;
}


static void
scc_ctl_pg_notice(void *arg, const PGresult *res)
{
    const char  *severity, *text;

    (void) arg;

    severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

    if (severity == NULL || text == NULL
        || strcmp(severity, "WARNING") != 0)
    {
        return;
    }

    scc_ctl_error("PostgreSQL warns: %s", text);
}
