
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_store.h"

#include <math.h>


#define NGX_SCC_STORE_PM  1e12          /* picometres in a metre */


const ngx_scc_pg_stmt_t  ngx_scc_store_nearby = {
    "scc_nearby_1",
    "SELECT " NGX_SCC_STORE_PLACE ", " NGX_SCC_STORE_WITNESS_FIRST("")
    " FROM (SELECT) one LEFT JOIN scc.nearby($1::int, $2::int,"
        " $3::bigint, $4::bigint, $5::bigint,"
        " $6::bigint, $7::bigint, $8::bigint, $9::bigint, $10::bigint,"
        " $11::bigint, $12::bigint, $13::int, $14::int, $15::int,"
        " $16::boolean, $17::boolean, $18::text) f ON true",
    NGX_SCC_STORE_NEARBY_PARAMS,
    NGX_SCC_PG_READ
};


ngx_int_t
ngx_scc_store_nearby_params(ngx_pool_t *pool, const scc_nearby_t *nb,
    ngx_str_t *values)
{
    int64_t             n[14];
    ngx_uint_t          i;
    const scc_query_t  *q;
    const scc_cells_t  *c;

    q = nb->q;
    c = nb->cover;

    n[0] = q->lon;
    n[1] = q->lat;
    n[2] = c[0].x0;
    n[3] = c[0].x1;
    n[4] = (nb->n_cover > 1) ? c[1].x0 : 1;
    n[5] = (nb->n_cover > 1) ? c[1].x1 : 0;
    n[6] = c[0].y0;
    n[7] = c[0].y1;
    n[8] = (int64_t) floor(nb->lo_lon * NGX_SCC_STORE_PM);
    n[9] = (int64_t) floor(nb->lo_lat * NGX_SCC_STORE_PM);
    n[10] = (int64_t) ceil(nb->hi_lon * NGX_SCC_STORE_PM);
    n[11] = (int64_t) ceil(nb->hi_lat * NGX_SCC_STORE_PM);
    n[12] = q->radius;
    n[13] = q->k;

    for (i = 0; i < 14; i++) {
        if (ngx_scc_store_int(pool, &values[i], n[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_scc_store_filter(pool, &q->filter, &values[14]);
}
