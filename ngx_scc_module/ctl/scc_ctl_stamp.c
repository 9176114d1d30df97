
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_ctl_stamp.h"
#include "scc_ctl_store.h"


int
scc_ctl_stamp_add(const char *conninfo, const char *kind, uint64_t began,
    bool ok, scc_str_t note)
{
    int          rc;
    char         since[24], *text;
    PGconn      *pg;
    uint8_t      store[16];
    PGresult    *res;
    const char  *params[4];

    pg = scc_ctl_store_connect(conninfo, false, store);
    if (pg == NULL) {
        return -1;
    }

    snprintf(since, sizeof(since), "%llu", (unsigned long long) began);

    text = strndup((const char *) note.data, note.len);

    params[0] = kind;
    params[1] = since;
    params[2] = ok ? "true" : "false";
    params[3] = text;

    rc = -1;

    if (text == NULL) {
        scc_ctl_error("out of memory");

    } else {
        res = scc_ctl_pg_query(pg, "stamping the store",
                               "SELECT scc.stamp_add($1::text,"
                               " to_timestamp($2::bigint), $3::bool,"
                               " $4::text)", 4, params);
        rc = (res != NULL) ? 0 : -1;
        PQclear(res);
    }

    free(text);
    PQfinish(pg);

    return rc;
}
