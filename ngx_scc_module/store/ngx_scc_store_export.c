
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_store.h"


/* Every page says whose it is: a store that was replaced between two pages
   would end the export early, and nobody would see. */

#define NGX_SCC_STORE_WHO                                                     \
    "i.store_uuid::text || '/' || i.epoch || '/' || s.system_identifier"


const ngx_scc_pg_stmt_t  ngx_scc_store_export = {
    "scc_export_1",
    "SELECT " NGX_SCC_STORE_WHO ", e.*, "
    NGX_SCC_STORE_WITNESS_FIRST("ORDER BY e.id")
    " FROM scc.identity i CROSS JOIN pg_control_system() s"
    " LEFT JOIN scc.export_page($1::text, $2::int) e ON true"
    " ORDER BY e.id",
    2,
    NGX_SCC_PG_READ
};


const ngx_scc_pg_stmt_t  ngx_scc_store_total = {
    "scc_total_1",
    "SELECT " NGX_SCC_STORE_WHO ", coalesce(sum(c.n), 0)::bigint,"
        " scc.json_time(max(c.changed_at)), " NGX_SCC_STORE_WITNESS
    " FROM scc.identity i CROSS JOIN pg_control_system() s"
    " LEFT JOIN scc.cell c ON c.n > 0"
    " GROUP BY 1",
    0,
    NGX_SCC_PG_READ
};


ngx_int_t
ngx_scc_store_export_row(ngx_scc_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column, scc_export_t *e, ngx_log_t *log)
{
    ngx_str_t   text;
    scc_str_t   columns[SCC_EXPORT_COLUMNS];
    ngx_uint_t  i;

    ngx_memzero(columns, sizeof(columns));

    for (i = 0; i < SCC_EXPORT_COLUMNS; i++) {
        if (ngx_scc_pg_value(res, row, column + i, &text) == NGX_OK) {
            columns[i].len = text.len;
            columns[i].data = text.data;
        }
    }

    if (columns[0].data == NULL) {
        return NGX_DECLINED;
    }

    if (scc_export_row(columns, e) == SCC_OK) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "scc: the store sent an invalid place in row %ui of an "
                  "export; compare the schema with \"sccctl migrate "
                  "--dry-run\"", row);

    return NGX_ERROR;
}
