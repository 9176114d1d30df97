
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_store_aggregate.h"


#define NGX_SCC_SQUARE_SUMS                                                   \
    "s.n, s.n_registered, s.n_unknown, s.n_level0, s.n_level1, s.n_level2, "  \
    "s.n_level3, s.n_level4, s.n_level5, s.sum_lon, s.sum_lat"


static uint64_t ngx_scc_store_quad(uint32_t x, uint32_t y,
    ngx_uint_t bits);
static ngx_int_t ngx_scc_store_count(ngx_scc_pg_result_t *result,
    ngx_uint_t row, ngx_uint_t column, uint32_t *n);
static ngx_int_t ngx_scc_store_sum(ngx_scc_pg_result_t *result,
    ngx_uint_t row, ngx_uint_t column, int64_t *sum);


const ngx_scc_pg_stmt_t  ngx_scc_store_squares = {
    "scc_squares_1",
    "SELECT CASE WHEN r.at IS NOT NULL"
        " THEN greatest(extract(epoch FROM clock_timestamp() - r.at), 0)"
        "::bigint END, s.quad & 255, " NGX_SCC_SQUARE_SUMS ", "
    NGX_SCC_STORE_WITNESS_FIRST("")
    " FROM (SELECT) one LEFT JOIN scc.rollup r ON true"
    " LEFT JOIN scc.aggregate s ON s.z = $1::smallint"
    " AND s.quad BETWEEN $2::bigint AND $2::bigint + 255 AND s.n > 0"
    " AND r.at IS NOT NULL",
    2,
    NGX_SCC_PG_READ
};


const ngx_scc_pg_stmt_t  ngx_scc_store_square_cells = {
    "scc_square_cells_1",
    "SELECT 0, s.cell, " NGX_SCC_SQUARE_SUMS ", "
    NGX_SCC_STORE_WITNESS_FIRST("")
    " FROM (SELECT) one LEFT JOIN (generate_series($1::bigint,"
        " $1::bigint + 15) x(x) JOIN scc.cell s"
        " ON s.cell BETWEEN (x.x << 16) + $2::bigint"
            " AND (x.x << 16) + $2::bigint + 15 AND s.n > 0) ON true",
    2,
    NGX_SCC_PG_READ
};


const ngx_scc_pg_stmt_t  ngx_scc_store_roll_up = {
    "scc_roll_up_1",
    "SELECT scc.roll_up()",
    0,
    NGX_SCC_PG_HELD
};


const ngx_scc_pg_stmt_t *
ngx_scc_store_grid(const scc_tile_t *tile, u_char *text, ngx_str_t *values)
{
    uint64_t  quad;

    values[0].data = text;
    values[1].data = text + NGX_INT64_LEN;

    if (tile->z + SCC_GRID_ZOOM == SCC_CELL_Z) {
        values[0].len = ngx_sprintf(values[0].data, "%uD",
                                    tile->x << SCC_GRID_ZOOM)
                        - values[0].data;
        values[1].len = ngx_sprintf(values[1].data, "%uD",
                                    tile->y << SCC_GRID_ZOOM)
                        - values[1].data;

        return &ngx_scc_store_square_cells;
    }

    quad = ngx_scc_store_quad(tile->x, tile->y, tile->z);

    values[0].len = ngx_sprintf(values[0].data, "%ui",
                                (ngx_uint_t) tile->z + SCC_GRID_ZOOM)
                    - values[0].data;
    values[1].len = ngx_sprintf(values[1].data, "%uL",
                                quad << (2 * SCC_GRID_ZOOM))
                    - values[1].data;

    return &ngx_scc_store_squares;
}


ngx_int_t
ngx_scc_store_grid_read(ngx_scc_pg_result_t *result, const scc_tile_t *tile,
    time_t now, scc_grid_t *grid, ngx_log_t *log)
{
    uint64_t       age, i;
    ngx_str_t      text;
    ngx_uint_t     row, rows, level;
    scc_square_t  *s, square;

    rows = ngx_scc_pg_rows(result);

    if (!ngx_scc_store_there(result, 0)) {
        return NGX_DECLINED;
    }

    if (ngx_scc_store_number(result, 0, 0, &age) != NGX_OK) {
        goto invalid;
    }

    grid->tile = *tile;
    grid->n = 0;
    grid->read = (uint64_t) now;
    grid->as_of = (age < (uint64_t) now) ? (uint64_t) now - age : 0;

    /* the one row of a tile without places has no square */

    if (rows == 1 && ngx_scc_pg_value(result, 0, 1, &text) != NGX_OK) {
        return NGX_OK;
    }

    if (rows > SCC_GRID_MAX) {
        goto invalid;
    }

    /* each to its place, where n is still 0; then close ranks */

    ngx_memzero(grid->squares, sizeof(grid->squares));

    for (row = 0; row < rows; row++) {
        s = &square;

        if (ngx_scc_store_number(result, row, 1, &i) != NGX_OK) {
            goto invalid;
        }

        if (tile->z + SCC_GRID_ZOOM == SCC_CELL_Z) {
            i = ngx_scc_store_quad(scc_cell_key_x(i), scc_cell_key_y(i),
                                   SCC_GRID_ZOOM);
        }

        if (i >= SCC_GRID_MAX
            || ngx_scc_store_count(result, row, 2, &s->n) != NGX_OK
            || ngx_scc_store_count(result, row, 3, &s->registered) != NGX_OK
            || ngx_scc_store_count(result, row, 4, &s->unknown) != NGX_OK
            || ngx_scc_store_sum(result, row, 11, &s->sum_lon) != NGX_OK
            || ngx_scc_store_sum(result, row, 12, &s->sum_lat) != NGX_OK)
        {
            goto invalid;
        }

        s->i = (unsigned) i;

        for (level = 0; level <= SCC_LEVEL_MAX; level++) {
            if (ngx_scc_store_count(result, row, 5 + level, &s->level[level])
                != NGX_OK)
            {
                goto invalid;
            }
        }

        if (!scc_square_valid(s) || grid->squares[i].n != 0) {
            goto invalid;
        }

        grid->squares[i] = square;
    }

    for (i = 0; i < SCC_GRID_MAX; i++) {
        if (grid->squares[i].n != 0) {
            grid->squares[grid->n++] = grid->squares[i];
        }
    }

    return NGX_OK;

invalid:

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "scc: the store sent aggregates that cannot be for tile "
                  "%ui/%uD/%uD; look at scc.cell_drift and "
                  "scc.aggregate_drift, and compare the schema with "
                  "\"sccctl migrate --dry-run\"",
                  (ngx_uint_t) tile->z, tile->x, tile->y);

    return NGX_ERROR;
}


/* The lowest bits of x and y, interleaved. */

static uint64_t
ngx_scc_store_quad(uint32_t x, uint32_t y, ngx_uint_t bits)
{
    uint64_t    quad;
    ngx_uint_t  bit;

    quad = 0;

    for (bit = 0; bit < bits; bit++) {
        quad |= (uint64_t) (x >> bit & 1) << (2 * bit);
        quad |= (uint64_t) (y >> bit & 1) << (2 * bit + 1);
    }

    return quad;
}


static ngx_int_t
ngx_scc_store_count(ngx_scc_pg_result_t *result, ngx_uint_t row,
    ngx_uint_t column, uint32_t *n)
{
    uint64_t  value;

    if (ngx_scc_store_number(result, row, column, &value) != NGX_OK
        || value > NGX_MAX_UINT32_VALUE)
    {
        return NGX_ERROR;
    }

    *n = (uint32_t) value;

    return NGX_OK;
}


static ngx_int_t
ngx_scc_store_sum(ngx_scc_pg_result_t *result, ngx_uint_t row,
    ngx_uint_t column, int64_t *sum)
{
    off_t       value;
    ngx_str_t   text;
    ngx_uint_t  minus;

    if (ngx_scc_pg_value(result, row, column, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    minus = (text.len != 0 && text.data[0] == '-');

    value = ngx_atoof(text.data + minus, text.len - minus);

    if (value == NGX_ERROR) {
        return NGX_ERROR;
    }

    *sum = minus ? -(int64_t) value : (int64_t) value;

    return NGX_OK;
}
