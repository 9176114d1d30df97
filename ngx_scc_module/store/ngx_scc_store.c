
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_store.h"


static ngx_int_t ngx_scc_store_e7(ngx_str_t *text, int32_t *e7);
static ngx_int_t ngx_scc_store_tri(ngx_scc_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column, scc_tri_t *tri);
static scc_str_t ngx_scc_store_text(ngx_scc_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column);
static ngx_int_t ngx_scc_store_stair(ngx_scc_pg_result_t *res,
    ngx_uint_t row, ngx_uint_t column, scc_stair_t *stair);
static void ngx_scc_store_null(ngx_str_t *value);


const ngx_scc_pg_stmt_t  ngx_scc_store_fill = {
    "scc_fill_1",
    "SELECT k.cell, coalesce(c.ver, 0), " NGX_SCC_STORE_PLACE
    ", coalesce(c.n, 0), coalesce(c.n_registered, 0), "
    NGX_SCC_STORE_WITNESS_FIRST("ORDER BY k.cell, f.id")
    " FROM unnest($1::bigint[]) AS k(cell)"
    " LEFT JOIN scc.cell c ON c.cell = k.cell"
    " LEFT JOIN scc.feature f ON f.cell = k.cell"
    " ORDER BY k.cell, f.id",
    1,
    NGX_SCC_PG_READ
};


/*
 * The page is the store's own function, which walks cells until it is full.
 * Counting takes a cell's number where the cell lies inside the box, and
 * looks at the places of its border only.
 */

const ngx_scc_pg_stmt_t  ngx_scc_store_wide = {
    "scc_wide_1",
    "WITH total AS ("
        "SELECT CASE WHEN $15::int IS NULL AND $16::boolean IS NULL"
        " AND $17::boolean IS NULL AND $18::text IS NULL THEN ("
            "SELECT coalesce(sum(CASE WHEN"
            " (c.cell >> 16 > $1::bigint AND c.cell >> 16 < $2::bigint"
              " OR c.cell >> 16 > $3::bigint AND c.cell >> 16 < $4::bigint)"
            " AND c.cell & 65535 > $5::bigint"
            " AND c.cell & 65535 < $6::bigint"
            " THEN c.n ELSE ("
                "SELECT count(*) FROM scc.place p WHERE p.cell = c.cell"
                " AND NOT p.is_closed"
                " AND (p.lon_e7 BETWEEN $7::int AND $8::int"
                  " OR p.lon_e7 BETWEEN $9::int AND $10::int)"
                " AND p.lat_e7 BETWEEN $11::int AND $12::int"
            ") END), 0)::bigint"
            " FROM scc.cell c WHERE c.n > 0"
            " AND (c.cell >> 16 BETWEEN $1 AND $2"
              " OR c.cell >> 16 BETWEEN $3 AND $4)"
            " AND c.cell & 65535 BETWEEN $5 AND $6"
        ") END AS matched"
    ")"
    " SELECT t.matched, " NGX_SCC_STORE_PLACE ", "
    NGX_SCC_STORE_WITNESS_FIRST("ORDER BY f.cell, f.id")
    " FROM total t LEFT JOIN scc.wide_page($1, $2, $3, $4, $5, $6, $7, $8,"
        " $9, $10, $11, $12, $13::bigint, $14::text, $15, $16, $17, $18,"
        " $19::int) f ON true"
    " ORDER BY f.cell, f.id",
    NGX_SCC_STORE_WIDE_PARAMS,
    NGX_SCC_PG_READ
};


const ngx_scc_pg_stmt_t  ngx_scc_store_page = {
    "scc_page_2",
    "SELECT p.cell, coalesce(c.ver, 0), scc.place_page(p.id), p.rev,"
    " CASE WHEN p.id IS NULL THEN scc.place_lost($1::text) END, "
    NGX_SCC_STORE_WITNESS
    " FROM (SELECT) one LEFT JOIN scc.place p ON p.id = $1::text"
    " LEFT JOIN scc.cell c ON c.cell = p.cell",
    1,
    NGX_SCC_PG_READ
};


const ngx_scc_pg_stmt_t  ngx_scc_store_feature = {
    "scc_feature_1",
    "SELECT " NGX_SCC_STORE_PLACE
    ", CASE WHEN f.id IS NULL THEN scc.place_lost($1::text) END, "
    NGX_SCC_STORE_WITNESS
    " FROM (SELECT) one LEFT JOIN scc.feature f"
    " ON f.id = $1::text COLLATE \"C\"",
    1,
    NGX_SCC_PG_READ
};


/*
 * Every transaction before the snapshot's oldest running one has ended and
 * was seen; so the next call loses nothing by beginning there, however long
 * a transaction ran before it committed.
 */

const ngx_scc_pg_stmt_t  ngx_scc_store_changed = {
    "scc_changed_1",
    "SELECT i.store_uuid::text || '/' || i.epoch || '/'"
    " || s.system_identifier,"
    " pg_snapshot_xmin(pg_current_snapshot())::text, c.cell, c.ver, "
    NGX_SCC_STORE_WITNESS_FIRST("")
    " FROM scc.identity i CROSS JOIN pg_control_system() s"
    " LEFT JOIN scc.cell c ON c.changed_xid >= $1::text::xid8",
    1,
    NGX_SCC_PG_READ
};


const ngx_scc_pg_stmt_t  ngx_scc_store_forgotten = {
    "scc_forgotten_1",
    "SELECT i.store_uuid::text || '/' || i.epoch || '/'"
    " || s.system_identifier,"
    " pg_snapshot_xmin(pg_current_snapshot())::text, f.place_id, "
    NGX_SCC_STORE_WITNESS_FIRST("")
    " FROM scc.identity i CROSS JOIN pg_control_system() s"
    " LEFT JOIN scc.forgotten f ON f.xid >= $1::text::xid8",
    1,
    NGX_SCC_PG_READ
};


const ngx_scc_pg_stmt_t  ngx_scc_store_check = {
    "scc_check_1",
    "SELECT scc.witness(),"
    " (SELECT count(*) FROM unnest($1::uuid[]) AS u(id)"
        " WHERE EXISTS (SELECT FROM scc.contribution l"
            " WHERE l.event_id = u.id)"
        " OR EXISTS (SELECT FROM scc.dead_letter d"
            " WHERE d.event_id = u.id)),"
    " s.last, s.due, s.there,"
    " (SELECT string_agg(a.body, E'\\n') FROM scc.anchor a),"
    " CASE WHEN $4::bigint IS NOT NULL THEN"
        " (SELECT count(*) FROM scc.contribution l WHERE l.hlc > $4) END"
    " FROM scc.cells_sample($2::bigint, $3::int) s",
    4,
    NGX_SCC_PG_FREE
};


const ngx_scc_pg_stmt_t  ngx_scc_store_keep = {
    "scc_keep_1",
    "INSERT INTO scc.anchor (host, body) VALUES ($1::text, $2::text)"
    " ON CONFLICT (host) DO UPDATE SET body = excluded.body,"
        " at = clock_timestamp()",
    2,
    NGX_SCC_PG_HELD
};


ngx_int_t
ngx_scc_store_place(ngx_scc_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column, uint32_t *cell, scc_place_t *place, ngx_log_t *log)
{
    uint64_t   n;
    ngx_str_t  text;
    scc_str_t  height;

    if (ngx_scc_pg_value(res, row, column, &text) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_memzero(place, sizeof(scc_place_t));

    if (ngx_scc_store_number(res, row, column, &n) != NGX_OK
        || n > NGX_MAX_UINT32_VALUE)
    {
        goto invalid;
    }

    *cell = (uint32_t) n;

    place->id = ngx_scc_store_text(res, row, column + 1);
    place->name = ngx_scc_store_text(res, row, column + 2);
    place->category = ngx_scc_store_text(res, row, column + 3);
    place->address = ngx_scc_store_text(res, row, column + 4);

    if (place->id.len == 0 || place->id.len > SCC_ID_MAX
        || ngx_scc_pg_value(res, row, column + 5, &text) != NGX_OK
        || ngx_scc_store_e7(&text, &place->lon) != NGX_OK
        || ngx_scc_pg_value(res, row, column + 6, &text) != NGX_OK
        || ngx_scc_store_e7(&text, &place->lat) != NGX_OK)
    {
        goto invalid;
    }

    if (ngx_scc_pg_value(res, row, column + 7, &text) != NGX_OK) {
        goto invalid;
    }

    place->registered = (text.data[0] == 't');

    if (ngx_scc_pg_value(res, row, column + 12, &text) != NGX_OK) {
        goto invalid;
    }

    place->building_registered = (text.data[0] == 't');

    height = ngx_scc_store_text(res, row, column + 10);

    if (scc_height_parse(height, &place->height) != SCC_OK
        || ngx_scc_store_tri(res, row, column + 8, &place->first_floor)
           != NGX_OK
        || ngx_scc_store_stair(res, row, column + 9, &place->stair)
           != NGX_OK
        || ngx_scc_store_tri(res, row, column + 11, &place->slope) != NGX_OK
        || ngx_scc_store_tri(res, row, column + 13, &place->building_slope)
           != NGX_OK
        || ngx_scc_store_tri(res, row, column + 14, &place->elevator)
           != NGX_OK
        || ngx_scc_store_stair(res, row, column + 15, &place->entrance_stair)
           != NGX_OK
        || ngx_scc_store_stair(res, row, column + 16, &place->elevator_stair)
           != NGX_OK)
    {
        goto invalid;
    }

    return NGX_OK;

invalid:

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "scc: the store sent an invalid place in column %ui of row "
                  "%ui; compare the schema with \"sccctl migrate --dry-run\"",
                  column, row);

    return NGX_ERROR;
}


ngx_int_t
ngx_scc_store_number(ngx_scc_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column, uint64_t *n)
{
    off_t      value;
    ngx_str_t  text;

    if (ngx_scc_pg_value(res, row, column, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    value = ngx_atoof(text.data, text.len);

    if (value == NGX_ERROR) {
        return NGX_ERROR;
    }

    *n = (uint64_t) value;

    return NGX_OK;
}


ngx_uint_t
ngx_scc_store_short(ngx_scc_pg_result_t *res, ngx_uint_t row, ngx_uint_t n,
    ngx_uint_t registered, ngx_log_t *log)
{
    uint64_t  key, due, due_registered;

    key = 0;

    if (ngx_scc_store_number(res, row, 0, &key) == NGX_OK
        && ngx_scc_store_number(res, row, NGX_SCC_STORE_FILL_N, &due)
           == NGX_OK
        && ngx_scc_store_number(res, row, NGX_SCC_STORE_FILL_N + 1,
                                &due_registered)
           == NGX_OK
        && n >= due && registered >= due_registered)
    {
        return 0;
    }

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "scc: cell %uL has %ui places, %ui registered: fewer than "
                  "the store counts; that is not answered; see \"sccctl "
                  "verify\"", key, n, registered);

    return 1;
}


ngx_uint_t
ngx_scc_store_there(ngx_scc_pg_result_t *res, ngx_uint_t column)
{
    ngx_str_t  text;

    return ngx_scc_pg_value(res, 0, column, &text) == NGX_OK;
}


ngx_uint_t
ngx_scc_store_true(ngx_scc_pg_result_t *res, ngx_uint_t column)
{
    ngx_str_t  text;

    return ngx_scc_pg_value(res, 0, column, &text) == NGX_OK
           && text.len == 1 && text.data[0] == 't';
}


u_char *
ngx_scc_store_cells(u_char *p, const uint32_t *keys, ngx_uint_t n)
{
    ngx_uint_t  i;

    *p++ = '{';

    for (i = 0; i < n; i++) {
        if (i != 0) {
            *p++ = ',';
        }

        p = ngx_sprintf(p, "%uD", keys[i]);
    }

    *p++ = '}';

    return p;
}


ngx_int_t
ngx_scc_store_wide_params(ngx_pool_t *pool, const scc_query_t *q,
    ngx_str_t *values)
{
    int64_t             numbers[14];
    ngx_uint_t          i;
    scc_cells_t         a, b;
    const scc_box_t    *boxes;

    boxes = q->area.box;

    scc_cell_cover(&boxes[0], &a);

    if (q->area.n > 1) {
        scc_cell_cover(&boxes[1], &b);

    } else {
        b.x0 = 1;
        b.x1 = 0;
    }

    numbers[0] = a.x0;
    numbers[1] = a.x1;
    numbers[2] = b.x0;
    numbers[3] = b.x1;
    numbers[4] = a.y0;
    numbers[5] = a.y1;
    numbers[6] = boxes[0].w;
    numbers[7] = boxes[0].e;
    numbers[8] = (q->area.n > 1) ? boxes[1].w : 1;
    numbers[9] = (q->area.n > 1) ? boxes[1].e : 0;
    numbers[10] = boxes[0].s;
    numbers[11] = boxes[0].n;
    numbers[12] = q->cursor.set ? (int64_t) q->cursor.cell : 0;

    for (i = 0; i < 13; i++) {
        if (ngx_scc_store_int(pool, &values[i], numbers[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_str_set(&values[13], "");

    if (q->cursor.set) {
        values[13].len = q->cursor.id.len;
        values[13].data = (u_char *) q->cursor.id.data;
    }

    if (ngx_scc_store_filter(pool, &q->filter, &values[14]) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_scc_store_int(pool, &values[18], (int64_t) q->limit + 1);
}


ngx_int_t
ngx_scc_store_filter(ngx_pool_t *pool, const scc_filter_t *f,
    ngx_str_t *values)
{
    ngx_uint_t  i;

    static ngx_str_t  yes = ngx_string("true");
    static ngx_str_t  no = ngx_string("false");

    for (i = 0; i < 4; i++) {
        ngx_scc_store_null(&values[i]);
    }

    if (f->level_max != SCC_LEVEL_UNKNOWN
        && ngx_scc_store_int(pool, &values[0], f->level_max) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (f->registered != SCC_UNKNOWN) {
        values[1] = (f->registered == SCC_YES) ? yes : no;
    }

    if (f->slope != SCC_UNKNOWN) {
        values[2] = (f->slope == SCC_YES) ? yes : no;
    }

    if (f->category.len != 0) {
        values[3].len = f->category.len;
        values[3].data = (u_char *) f->category.data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_scc_store_int(ngx_pool_t *pool, ngx_str_t *value, int64_t n)
{
    value->data = ngx_pnalloc(pool, NGX_INT64_LEN);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len = ngx_sprintf(value->data, "%L", n) - value->data;

    return NGX_OK;
}


static ngx_int_t
ngx_scc_store_e7(ngx_str_t *text, int32_t *e7)
{
    u_char    *p;
    size_t     len;
    ngx_int_t  n, sign;

    p = text->data;
    len = text->len;
    sign = 1;

    if (len > 1 && *p == '-') {
        p++;
        len--;
        sign = -1;
    }

    n = ngx_atoi(p, len);

    if (n == NGX_ERROR || n > SCC_LON_MAX) {
        return NGX_ERROR;
    }

    *e7 = (int32_t) (sign * n);

    return NGX_OK;
}


static ngx_int_t
ngx_scc_store_tri(ngx_scc_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column, scc_tri_t *tri)
{
    ngx_str_t  text;

    if (ngx_scc_pg_value(res, row, column, &text) != NGX_OK) {
        *tri = SCC_UNKNOWN;
        return NGX_OK;
    }

    if (text.len != 1 || (text.data[0] != 't' && text.data[0] != 'f')) {
        return NGX_ERROR;
    }

    *tri = (text.data[0] == 't') ? SCC_YES : SCC_NO;

    return NGX_OK;
}


static scc_str_t
ngx_scc_store_text(ngx_scc_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column)
{
    ngx_str_t  text;
    scc_str_t  s = scc_null_string;

    if (ngx_scc_pg_value(res, row, column, &text) == NGX_OK) {
        s.len = text.len;
        s.data = text.data;
    }

    return s;
}


static ngx_int_t
ngx_scc_store_stair(ngx_scc_pg_result_t *res, ngx_uint_t row,
    ngx_uint_t column, scc_stair_t *stair)
{
    scc_str_t  name;

    name = ngx_scc_store_text(res, row, column);

    if (name.data == NULL) {
        *stair = SCC_STAIR_UNDEFINED;
        return NGX_OK;
    }

    return (scc_stair_parse(name, stair) == SCC_OK) ? NGX_OK : NGX_ERROR;
}


static void
ngx_scc_store_null(ngx_str_t *value)
{
    value->len = NGX_SCC_PG_NULL;
    value->data = NULL;
}
