
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_store_write.h"
#include "scc_contribution.h"
#include "scc_params.h"


typedef void (*ngx_scc_store_write_pt)(scc_buf_t *b,
    const ngx_scc_item_t *item);


/* An array of a parameter: its elements' type, and who writes one. */

typedef struct {
    uint32_t                type;
    ngx_uint_t              nulls;
    ngx_scc_store_write_pt  write;
} ngx_scc_store_column_t;


static void ngx_scc_store_array(scc_buf_t *b, const ngx_scc_item_t *items,
    ngx_uint_t n, const ngx_scc_store_column_t *column);
static ngx_int_t ngx_scc_store_cut(scc_buf_t *b, const size_t *ends,
    ngx_str_t *values, ngx_uint_t n);
static void ngx_scc_store_end(scc_buf_t *b, size_t **end);
static void ngx_scc_store_int8(scc_buf_t *b, uint64_t n);
static void ngx_scc_store_hex(scc_buf_t *b, const u_char *p, size_t len);
static void ngx_scc_store_event_id(scc_buf_t *b, const ngx_scc_item_t *item);
static void ngx_scc_store_hlc(scc_buf_t *b, const ngx_scc_item_t *item);
static void ngx_scc_store_kind(scc_buf_t *b, const ngx_scc_item_t *item);
static void ngx_scc_store_contributor_id(scc_buf_t *b,
    const ngx_scc_item_t *item);
static void ngx_scc_store_contributor_name(scc_buf_t *b,
    const ngx_scc_item_t *item);
static void ngx_scc_store_key(scc_buf_t *b, const ngx_scc_item_t *item);
static void ngx_scc_store_received(scc_buf_t *b, const ngx_scc_item_t *item);
static void ngx_scc_store_segment(scc_buf_t *b, const ngx_scc_item_t *item);
static void ngx_scc_store_body(scc_buf_t *b, const ngx_scc_item_t *item);
static void ngx_scc_store_sha256(scc_buf_t *b, const ngx_scc_item_t *item);


/* OFFSET keeps the call behind the store's own check. */

const ngx_scc_pg_stmt_t  ngx_scc_store_contribute = {
    "scc_contribute_1",
    "SELECT set_config('synchronous_commit', 'on', true),"
    " (x.a).events_new, (x.a).events_old, (x.a).mismatched,"
    " s.events, s.hlc"
    " FROM (SELECT t.events, t.hlc FROM scc.identity i CROSS JOIN scc.tally t"
        " WHERE i.store_uuid = $10::uuid) s"
    " LEFT JOIN (SELECT scc.contribute($1::uuid[], $2::bigint[], $3::text[],"
        " $4::text[], $5::text[], $6::text[], $7::timestamptz[],"
        " $8::uuid[], $9::text[]) AS a"
        " FROM scc.identity i CROSS JOIN scc.tally t"
        " WHERE i.store_uuid = $10::uuid AND t.events >= $11::bigint"
        " OFFSET 0) x ON true",
    NGX_SCC_STORE_CONTRIBUTE_PARAMS,
    NGX_SCC_PG_WRITE|NGX_SCC_PG_BINARY
};


const ngx_scc_pg_stmt_t  ngx_scc_store_missing = {
    "scc_missing_1",
    "SELECT m.i, m.dead FROM scc.identity s"
    " LEFT JOIN LATERAL scc.missing($1::uuid[], $2::bytea[]) m ON true"
    " WHERE s.store_uuid = $3::uuid ORDER BY m.i",
    NGX_SCC_STORE_MISSING_PARAMS,
    NGX_SCC_PG_WRITE|NGX_SCC_PG_BINARY
};


const ngx_scc_pg_stmt_t  ngx_scc_store_bury = {
    "scc_bury_1",
    "SELECT set_config('synchronous_commit', 'on', true),"
    " scc.bury($1::uuid, $2::uuid, $3::text, $4::text, $5::bytea)"
    " FROM scc.identity i WHERE i.store_uuid = $6::uuid",
    NGX_SCC_STORE_BURY_PARAMS,
    NGX_SCC_PG_WRITE
};


/* The ledger is only added to: what is newest is in its last pages. */

const ngx_scc_pg_stmt_t  ngx_scc_store_clock = {
    "scc_clock_1",
    "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,"
    " coalesce((SELECT max(c.hlc) FROM scc.contribution c"
        " WHERE c.ctid >= (SELECT format('(%s,0)', greatest(0,"
            " pg_relation_size('scc.contribution')"
            " / current_setting('block_size')::bigint - 16))::tid)), 0)"
    " FROM scc.identity i WHERE i.store_uuid = $1::uuid",
    1,
    NGX_SCC_PG_HELD
};


const ngx_scc_pg_stmt_t  ngx_scc_store_numbers = {
    "scc_numbers_1",
    "SELECT n.kind, n.number, n.id, t.events"
    " FROM scc.identity s CROSS JOIN scc.tally t"
    " LEFT JOIN LATERAL scc.numbers_due($1::int, '{contributor,place}',"
        " ARRAY[$3::bigint, $4::bigint]) n ON true"
    " WHERE s.store_uuid = $2::uuid ORDER BY n.kind, n.number",
    NGX_SCC_STORE_NUMBERS_PARAMS,
    NGX_SCC_PG_HELD
};


const ngx_scc_pg_stmt_t  ngx_scc_store_numbers_kept = {
    "scc_numbers_kept_1",
    "SELECT scc.numbers_kept('{contributor,place}',"
    " ARRAY[$1::bigint, $2::bigint])"
    " FROM scc.identity s CROSS JOIN scc.tally t"
    " WHERE s.store_uuid = $3::uuid AND t.events >= $4::bigint",
    NGX_SCC_STORE_NUMBERS_KEPT_PARAMS,
    NGX_SCC_PG_HELD
};


const ngx_scc_pg_stmt_t  ngx_scc_store_numbers_restore = {
    "scc_numbers_restore_1",
    "SELECT set_config('synchronous_commit', 'on', true),"
    " (x.r).given, (x.r).doubtful, x.events, x.hlc"
    " FROM (SELECT t.events, t.hlc,"
        " scc.numbers_restore($1::text[], $2::bigint[], $3::text[]) AS r"
        " FROM scc.identity i CROSS JOIN scc.tally t"
        " WHERE i.store_uuid = $4::uuid AND i.epoch = $5::bigint OFFSET 0) x",
    NGX_SCC_STORE_NUMBERS_RESTORE_PARAMS,
    NGX_SCC_PG_WRITE|NGX_SCC_PG_BINARY
};


ngx_int_t
ngx_scc_store_contribute_params(scc_buf_t *b, const ngx_scc_item_t *items,
    ngx_uint_t n, const u_char *store, ngx_str_t *values)
{
    size_t      ends[NGX_SCC_STORE_CONTRIBUTE_PARAMS], *end;
    ngx_uint_t  i;

    static const ngx_scc_store_column_t  columns[] = {
        { SCC_OID_UUID, 0, ngx_scc_store_event_id },
        { SCC_OID_INT8, 0, ngx_scc_store_hlc },
        { SCC_OID_TEXT, 0, ngx_scc_store_kind },
        { SCC_OID_TEXT, 0, ngx_scc_store_contributor_id },
        { SCC_OID_TEXT, 1, ngx_scc_store_contributor_name },
        { SCC_OID_TEXT, 1, ngx_scc_store_key },
        { SCC_OID_TIME, 0, ngx_scc_store_received },
        { SCC_OID_UUID, 1, ngx_scc_store_segment },
        { SCC_OID_TEXT, 0, ngx_scc_store_body }
    };

    scc_buf_reset(b);
    end = ends;

    for (i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        ngx_scc_store_array(b, items, n, &columns[i]);
        ngx_scc_store_end(b, &end);
    }

    scc_buf_mem(b, store, 16);
    ngx_scc_store_end(b, &end);

    ngx_scc_store_int8(b, 0);
    ngx_scc_store_end(b, &end);

    return ngx_scc_store_cut(b, ends, values,
                             NGX_SCC_STORE_CONTRIBUTE_PARAMS);
}


void
ngx_scc_store_contribute_floor(ngx_str_t *values, uint64_t events)
{
    scc_buf_t   b;
    ngx_str_t  *value;

    value = &values[NGX_SCC_STORE_CONTRIBUTE_PARAMS - 1];

    scc_buf_fixed(&b, value->data, value->len);
    ngx_scc_store_int8(&b, events);
}


ngx_int_t
ngx_scc_store_missing_params(scc_buf_t *b, const ngx_scc_item_t *items,
    ngx_uint_t n, const u_char *store, ngx_str_t *values)
{
    size_t  ends[NGX_SCC_STORE_MISSING_PARAMS], *end;

    static const ngx_scc_store_column_t  ids = {
        SCC_OID_UUID, 0, ngx_scc_store_event_id
    };
    static const ngx_scc_store_column_t  digests = {
        SCC_OID_BYTEA, 0, ngx_scc_store_sha256
    };

    scc_buf_reset(b);
    end = ends;

    ngx_scc_store_array(b, items, n, &ids);
    ngx_scc_store_end(b, &end);

    ngx_scc_store_array(b, items, n, &digests);
    ngx_scc_store_end(b, &end);

    scc_buf_mem(b, store, 16);
    ngx_scc_store_end(b, &end);

    return ngx_scc_store_cut(b, ends, values, NGX_SCC_STORE_MISSING_PARAMS);
}


/* What is no record is known by its bytes: told again, it is the same. */

ngx_int_t
ngx_scc_store_bury_params(scc_buf_t *b, const ngx_scc_item_t *item,
    const char *reason, const char *sqlstate, const u_char *store,
    ngx_str_t *values)
{
    u_char     id[16], sha256[32];
    size_t     ends[NGX_SCC_STORE_BURY_PARAMS], *end;
    scc_str_t  raw;

    scc_buf_reset(b);
    end = ends;

    if (item->bad) {
        raw.len = item->raw.len;
        raw.data = item->raw.data;

        scc_sha256(sha256, raw);
        scc_uuid_v8(id, sha256);
        scc_uuid_write(b, id);

    } else {
        scc_uuid_write(b, item->record.event_id);
    }

    ngx_scc_store_end(b, &end);

    if (item->has_segment) {
        scc_uuid_write(b, item->segment);
    }

    ngx_scc_store_end(b, &end);

    scc_buf_text(b, reason);
    ngx_scc_store_end(b, &end);

    if (sqlstate != NULL) {
        scc_buf_text(b, sqlstate);
    }

    ngx_scc_store_end(b, &end);

    scc_buf_text(b, "\\x");
    ngx_scc_store_hex(b, item->raw.data, item->raw.len);
    ngx_scc_store_end(b, &end);

    scc_uuid_write(b, store);
    ngx_scc_store_end(b, &end);

    if (ngx_scc_store_cut(b, ends, values, NGX_SCC_STORE_BURY_PARAMS)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!item->has_segment) {
        values[1].len = NGX_SCC_PG_NULL;
    }

    if (sqlstate == NULL) {
        values[3].len = NGX_SCC_PG_NULL;
    }

    return NGX_OK;
}


ngx_int_t
ngx_scc_store_numbers_restore_params(scc_buf_t *b,
    const scc_number_t *numbers, ngx_uint_t n, const u_char *store,
    uint32_t epoch, ngx_str_t *values)
{
    size_t      ends[NGX_SCC_STORE_NUMBERS_RESTORE_PARAMS], *end;
    scc_str_t   kind;
    ngx_uint_t  i;

    scc_buf_reset(b);
    end = ends;

    scc_params_array(b, SCC_OID_TEXT, n, 0);

    for (i = 0; i < n; i++) {
        kind = scc_number_kind_name(numbers[i].kind);
        scc_params_mem(b, kind.data, kind.len);
    }

    ngx_scc_store_end(b, &end);
    scc_params_array(b, SCC_OID_INT8, n, 0);

    for (i = 0; i < n; i++) {
        scc_params_int8(b, numbers[i].number);
    }

    ngx_scc_store_end(b, &end);
    scc_params_array(b, SCC_OID_TEXT, n, 0);

    for (i = 0; i < n; i++) {
        scc_params_mem(b, numbers[i].id, numbers[i].len);
    }

    ngx_scc_store_end(b, &end);

    scc_buf_mem(b, store, 16);
    ngx_scc_store_end(b, &end);

    ngx_scc_store_int8(b, epoch);
    ngx_scc_store_end(b, &end);

    return ngx_scc_store_cut(b, ends, values,
                             NGX_SCC_STORE_NUMBERS_RESTORE_PARAMS);
}


static void
ngx_scc_store_array(scc_buf_t *b, const ngx_scc_item_t *items, ngx_uint_t n,
    const ngx_scc_store_column_t *column)
{
    ngx_uint_t  i, waiting;

    waiting = 0;

    for (i = 0; i < n; i++) {
        waiting += ngx_scc_item_waits(&items[i]);
    }

    scc_params_array(b, column->type, waiting, column->nulls);

    for (i = 0; i < n; i++) {

        if (ngx_scc_item_waits(&items[i])) {
            column->write(b, &items[i]);
        }
    }
}


/* A value ends here; the buffer may still move. */

static void
ngx_scc_store_end(scc_buf_t *b, size_t **end)
{
    **end = b->used;
    (*end)++;
}


static ngx_int_t
ngx_scc_store_cut(scc_buf_t *b, const size_t *ends, ngx_str_t *values,
    ngx_uint_t n)
{
    size_t      start;
    ngx_uint_t  i;

    if (b->error) {
        scc_buf_free(b);
        return NGX_ERROR;
    }

    start = 0;

    for (i = 0; i < n; i++) {
        values[i].data = b->start + start;
        values[i].len = ends[i] - start;
        start = ends[i];
    }

    return NGX_OK;
}


/* A parameter of its own; scc_params_int8() writes elements of arrays. */

static void
ngx_scc_store_int8(scc_buf_t *b, uint64_t n)
{
    int  shift;

    for (shift = 56; shift >= 0; shift -= 8) {
        scc_buf_byte(b, (uint8_t) (n >> shift));
    }
}


static void
ngx_scc_store_hex(scc_buf_t *b, const u_char *p, size_t len)
{
    uint8_t  *dst;

    dst = scc_buf_reserve(b, 2 * len);

    if (dst != NULL) {
        (void) ngx_hex_dump(dst, (u_char *) p, len);
    }
}


static void
ngx_scc_store_event_id(scc_buf_t *b, const ngx_scc_item_t *item)
{
    scc_params_mem(b, item->record.event_id, 16);
}


/* Beyond bigint it is negative, which the ledger refuses, this event alone. */

static void
ngx_scc_store_hlc(scc_buf_t *b, const ngx_scc_item_t *item)
{
    scc_params_int8(b, item->record.hlc);
}


static void
ngx_scc_store_kind(scc_buf_t *b, const ngx_scc_item_t *item)
{
    scc_params_str(b, scc_kind_name(item->record.kind));
}


static void
ngx_scc_store_contributor_id(scc_buf_t *b, const ngx_scc_item_t *item)
{
    scc_params_str(b, item->record.contributor_id);
}


static void
ngx_scc_store_contributor_name(scc_buf_t *b, const ngx_scc_item_t *item)
{
    scc_params_null_if_empty(b, item->record.contributor_name);
}


static void
ngx_scc_store_key(scc_buf_t *b, const ngx_scc_item_t *item)
{
    scc_params_null_if_empty(b, item->record.key);
}


static void
ngx_scc_store_received(scc_buf_t *b, const ngx_scc_item_t *item)
{
    scc_params_time(b, item->record.received);
}


static void
ngx_scc_store_segment(scc_buf_t *b, const ngx_scc_item_t *item)
{
    if (item->has_segment) {
        scc_params_mem(b, item->segment, 16);

    } else {
        scc_params_null(b);
    }
}


static void
ngx_scc_store_body(scc_buf_t *b, const ngx_scc_item_t *item)
{
    scc_params_str(b, item->record.body);
}


static void
ngx_scc_store_sha256(scc_buf_t *b, const ngx_scc_item_t *item)
{
    scc_params_mem(b, item->record.sha256, 32);
}
