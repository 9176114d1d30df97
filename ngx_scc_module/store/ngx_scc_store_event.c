
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_store.h"


/* A dead letter that was redriven is in the ledger: the ledger's word goes
   first. */

const ngx_scc_pg_stmt_t  ngx_scc_store_event = {
    "scc_event_1",
    "SELECT e.*, " NGX_SCC_STORE_WITNESS " FROM (SELECT) one LEFT JOIN ("
    "SELECT true, encode(c.body_sha256, 'hex'), c.contributor_id, c.hlc,"
        " c.kind, c.target, scc.json_time(c.received_at),"
        " scc.json_time(c.applied_at), NULL, 0::bigint AS n"
    " FROM scc.contribution c WHERE c.event_id = $1::uuid"
    " UNION ALL "
    "SELECT false, NULL, NULL, NULL, NULL, NULL, NULL,"
        " scc.json_time(d.at), d.reason, d.id"
    " FROM scc.dead_letter d WHERE d.event_id = $1::uuid"
        " AND NOT EXISTS (SELECT FROM scc.contribution c"
            " WHERE c.event_id = $1::uuid)"
    " ORDER BY n DESC LIMIT 1) e ON true",
    1,
    NGX_SCC_PG_READ
};
