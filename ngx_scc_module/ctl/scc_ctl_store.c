
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_ctl_store.h"


static int scc_ctl_store_identity(PGconn *pg, uint8_t uuid[16]);
static int scc_ctl_store_role(PGconn *pg);


PGconn *
scc_ctl_store_connect(const char *conninfo, bool quiet, uint8_t uuid[16])
{
    PGconn  *pg;

    pg = scc_ctl_pg_connect(conninfo, quiet);

    if (pg == NULL) {
        return NULL;
    }

    if (scc_ctl_store_identity(pg, uuid) != 0
        || scc_ctl_store_role(pg) != 0)
    {
        PQfinish(pg);
        return NULL;
    }

    return pg;
}


static int
scc_ctl_store_identity(PGconn *pg, uint8_t uuid[16])
{
    int64_t           version;
    PGresult         *res;
    scc_ctl_store_t   store;

    if (scc_ctl_pg_store(pg, &store) != 0) {
        return -1;
    }

    if (store != SCC_CTL_STORE_OURS) {
        scc_ctl_error("this database has no store of this program; run "
                      "\"sccctl init\" first, or check SCC_PG");
        return -1;
    }

    if (scc_ctl_pg_number(pg, "reading scc.migration",
                          "SELECT coalesce(max(version), 0)"
                          " FROM scc.migration", &version)
        != 0)
    {
        return -1;
    }

    if (version < (int64_t) scc_ctl_sql_n) {
        scc_ctl_error("the store's schema is older than this program; run "
                      "\"sccctl migrate\" first");
        return -1;
    }

    res = PQexecParams(pg, "SELECT uuid_send(store_uuid)"
                       " FROM scc.identity", 0, NULL, NULL, NULL, NULL, 1);

    if (PQresultStatus(res) != PGRES_TUPLES_OK) {
        scc_ctl_error("reading the store's identity: %s",
                      scc_ctl_pg_message(pg, res));
        PQclear(res);
        return -1;
    }

    if (PQntuples(res) != 1 || PQgetlength(res, 0, 0) != 16) {
        scc_ctl_error("the store has no identity; run \"sccctl init\"");
        PQclear(res);
        return -1;
    }

    memcpy(uuid, PQgetvalue(res, 0, 0), 16);
    PQclear(res);

    return 0;
}


/* Least privilege: an owner or superuser works as scc_app. */

static int
scc_ctl_store_role(PGconn *pg)
{
    int64_t  may;

    if (scc_ctl_pg_number(pg, "looking for role scc_app",
                          PQserverVersion(pg) >= 160000
                          ? "SELECT coalesce((SELECT"
                            " pg_has_role(oid, 'SET')::int FROM pg_roles"
                            " WHERE rolname = 'scc_app'), 0)"
                          : "SELECT coalesce((SELECT"
                            " pg_has_role(oid, 'MEMBER')::int FROM pg_roles"
                            " WHERE rolname = 'scc_app'), 0)", &may)
        != 0)
    {
        return -1;
    }

    if (!may) {
        return 0;
    }

    return scc_ctl_pg_do(pg, "becoming scc_app", "SET ROLE scc_app");
}
