
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_nearby.h"
#include "scc_ogc.h"


/*
 * A request line's path and query string, divided at the first '?', through
 * the router and the parser; what they take must keep their promises.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_request(scc_str_t path, scc_str_t args);
static void fuzz_facade(scc_str_t path, scc_str_t args);
static void fuzz_links(const scc_query_t *q);
static void fuzz_error(const scc_err_t *err);
static void fuzz_nearby(const scc_query_t *q);
static void fuzz_query(const scc_query_t *q);


static const scc_query_conf_t  fuzz_conf = { 500, 2000, 256 };


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t    *copy;
    scc_str_t   path, args;

    copy = malloc(size ? size : 1);

    if (copy == NULL) {
        return 0;
    }

    if (size) {
        memcpy(copy, data, size);
    }

    path.data = copy;

    for (path.len = 0; path.len < size; path.len++) {
        if (copy[path.len] == '?') {
            break;
        }
    }

    args.data = copy + path.len + (path.len < size);
    args.len = size - path.len - (path.len < size);

    fuzz_request(path, args);
    fuzz_facade(path, args);

    free(copy);

    return 0;
}


static void
fuzz_request(scc_str_t path, scc_str_t args)
{
    scc_err_t    err;
    scc_query_t  q;

    if (scc_query_path(&q, &fuzz_conf, path, &err) != SCC_OK
        || scc_query_args(&q, &fuzz_conf, args, &err) != SCC_OK)
    {
        fuzz_error(&err);
        return;
    }

    fuzz_query(&q);
}


static void
fuzz_facade(scc_str_t path, scc_str_t args)
{
    scc_err_t    err;
    scc_query_t  q;

    if (scc_ogc_path(&q, &fuzz_conf, path, &err) != SCC_OK
        || scc_query_args(&q, &fuzz_conf, args, &err) != SCC_OK)
    {
        fuzz_error(&err);
        return;
    }

    if (!q.ogc) {
        abort();
    }

    fuzz_query(&q);

    if (q.route == SCC_ROUTE_PLACES) {
        fuzz_links(&q);
    }
}


/* The links fit, and lead to the same query. */

static void
fuzz_links(const scc_query_t *q)
{
    uint8_t         block[SCC_OGC_LINKS];
    scc_buf_t       b;
    scc_err_t       err;
    scc_str_t       args;
    scc_query_t     again;
    const uint8_t  *p, *end;

    scc_buf_fixed(&b, block, sizeof(block));
    scc_ogc_links(&b, q, &q->cursor);

    if (b.error) {
        abort();
    }

    p = memchr(block, '?', b.used);

    if (p == NULL) {
        abort();
    }

    p++;
    end = memchr(p, '"', (size_t) (block + b.used - p));

    if (end == NULL) {
        abort();
    }

    args.data = p;
    args.len = (size_t) (end - p);

    again = *q;
    again.filter.any = false;
    again.filter.category.len = 0;
    again.cursor.set = false;
    again.store_used = 0;

    if (scc_query_args(&again, &fuzz_conf, args, &err) != SCC_OK
        || again.limit != q->limit
        || again.filter.any != q->filter.any
        || !scc_str_eq(again.filter.category, q->filter.category)
        || !scc_str_eq(again.bbox, q->bbox)
        || again.cursor.set != q->cursor.set)
    {
        abort();
    }
}


static void
fuzz_error(const scc_err_t *err)
{
    size_t  i;

    if (err->field.len > SCC_ID_MAX || err->text[0] == '\0') {
        abort();
    }

    for (i = 0; err->text[i]; i++) {
        if (err->text[i] < ' ' || err->text[i] > '~') {
            abort();
        }
    }
}


/* From wherever on Earth, the search ends and asks for cells that exist. */

static void
fuzz_nearby(const scc_query_t *q)
{
    size_t        n, total;
    uint32_t      keys[64];
    scc_nearby_t  nb;

    scc_nearby_init(&nb, q);

    total = 0;

    do {
        n = scc_nearby_next(&nb, keys, 64);
        total += n;
    } while (n && total < 2000);

    if (total == 0) {
        abort();
    }
}


static void
fuzz_query(const scc_query_t *q)
{
    size_t              n;
    unsigned            i;
    uint8_t             block[128], id[SCC_ID_MAX];
    uint32_t            keys[256];
    uint64_t            count;
    scc_buf_t           b;
    scc_cursor_t        c;
    const scc_area_t   *a;

    switch (q->route) {

    case SCC_ROUTE_PLACES:
        a = &q->area;

        if (a->n > 2 || q->limit == 0 || q->limit > fuzz_conf.limit_max) {
            abort();
        }

        for (i = 0; i < a->n; i++) {
            if (a->box[i].w > a->box[i].e || a->box[i].s > a->box[i].n
                || a->box[i].w < -SCC_LON_MAX || a->box[i].e > SCC_LON_MAX
                || a->box[i].s < -SCC_LAT_MAX || a->box[i].n > SCC_LAT_MAX)
            {
                abort();
            }
        }

        count = scc_area_cells(a);
        n = scc_area_keys(a, keys, 256);

        if ((count > 256) ? n != SIZE_MAX : n != count) {
            abort();
        }

        if (q->cursor.set) {
            scc_buf_fixed(&b, block, sizeof(block));
            scc_cursor_write(&b, q->cursor.cell, q->cursor.id);

            if (b.error
                || scc_cursor_parse(scc_buf_get(&b), id, &c) != SCC_OK
                || c.cell != q->cursor.cell
                || !scc_str_eq(c.id, q->cursor.id))
            {
                abort();
            }
        }

        break;

    case SCC_ROUTE_PLACE:

        if (q->id.len == 0 || q->id.len > SCC_ID_MAX
            || !scc_utf8_valid(q->id))
        {
            abort();
        }

        break;

    case SCC_ROUTE_NEARBY:

        if (q->k == 0 || q->k > SCC_NEARBY_K_MAX || q->radius == 0
            || q->radius > SCC_NEARBY_RADIUS_MAX
            || q->lon < -SCC_LON_MAX || q->lon > SCC_LON_MAX
            || q->lat < -SCC_LAT_MAX || q->lat > SCC_LAT_MAX)
        {
            abort();
        }

        fuzz_nearby(q);

        break;

    case SCC_ROUTE_CELLS:
    case SCC_ROUTE_TILE:

        /* below z 13 a tile is of aggregates, which no cell holds */

        if (q->z >= 13 && scc_cells_keys(&q->cells, keys, 256) == SIZE_MAX) {
            abort();
        }

        break;

    case SCC_ROUTE_OGC_ITEM:

        if (q->id.len == 0 || q->id.len > SCC_ID_MAX
            || !scc_utf8_valid(q->id))
        {
            abort();
        }

        break;

    case SCC_ROUTE_CONTRIBUTION:    /* its id is 16 bytes, any */
    case SCC_ROUTE_CONTRIBUTIONS:
    case SCC_ROUTE_TILEJSON:
    case SCC_ROUTE_EXPORT:
    case SCC_ROUTE_EXPORT_ABOUT:
        break;

    default:

        if (!q->ogc || q->route < SCC_ROUTE_OGC_LANDING
            || q->route > SCC_ROUTE_OGC_TILESET)
        {
            abort();
        }
    }
}
