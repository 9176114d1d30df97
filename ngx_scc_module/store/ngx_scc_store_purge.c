
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_store.h"


/*
 * As ngx_scc_store_changed, with the places whose row is new.  A row's xmin
 * is 32 bits of the transaction's id; what is less than half of their circle
 * ahead of $1 is later.
 */

const ngx_scc_pg_stmt_t  ngx_scc_store_purge = {
    "scc_purge_1",
    "WITH c AS MATERIALIZED ("
        "SELECT cell, ver FROM scc.cell"
        " WHERE changed_xid >= $1::text::xid8"
    "), t AS MATERIALIZED ("
        "SELECT count(*) AS n, coalesce(sum(ver), 0)::bigint AS sum FROM c"
    ")"
    " SELECT i.store_uuid::text || '/' || i.epoch || '/'"
        " || s.system_identifier,"
        " pg_snapshot_xmin(pg_current_snapshot())::text,"
        " t.n, t.sum, k.cell, k.ver, k.id, "
    NGX_SCC_STORE_WITNESS_FIRST("ORDER BY k.cell, k.id NULLS FIRST")
    " FROM scc.identity i CROSS JOIN pg_control_system() s CROSS JOIN t"
    " LEFT JOIN ("
        "SELECT cell, ver, NULL::text COLLATE \"C\" AS id FROM c"
        " WHERE (SELECT n FROM t) <= $2::int"
        " UNION ALL ("
        "SELECT c.cell, c.ver, p.id FROM c CROSS JOIN LATERAL ("
            "SELECT r.id FROM scc.place r WHERE r.cell = c.cell"
            " AND (r.xmin::text::bigint - $1::text::bigint) & 4294967295"
            " < 2147483648 OFFSET 0) p"
        " WHERE (SELECT n FROM t) <= $2::int LIMIT $3::int)"
    ") k ON true"
    " ORDER BY k.cell, k.id NULLS FIRST",
    3,
    NGX_SCC_PG_READ
};
