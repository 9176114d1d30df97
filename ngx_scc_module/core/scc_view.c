
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_ogc.h"
#include "scc_view.h"

#include <string.h>


/* all of a head: a bbox of 512 bytes and three short values, encoded; twice
   where the facade has its links */

#define SCC_VIEW_HEAD  (4096 + SCC_OGC_LINKS)

#define SCC_VIEW_TAIL  "]}"


/* What decides over the features of a view, made once per pass. */

typedef struct {
    const scc_view_t   *view;
    bool                all;            /* no area, filter, cursor, limit */
    uint64_t            limit;
    unsigned            n_core;
    scc_cells_t         core[2];
} scc_view_pass_t;


/* What the cells give so far, counted, and given to "part" if it is set. */

typedef struct {
    uint64_t            matched;
    uint64_t            returned;
    size_t              size;           /* of all slices and commas so far */
    size_t              cell;           /* index */
    scc_view_part_pt    part;
    void               *data;
    uint32_t            last;
    bool                more;
} scc_view_sum_t;


static void scc_view_pass(scc_view_pass_t *pass, const scc_view_t *v);
static void scc_view_cell(const scc_view_pass_t *pass,
    const scc_view_cell_t *cell, scc_view_sum_t *sum);
static void scc_view_cell_each(const scc_view_pass_t *pass,
    const scc_view_cell_t *cell, uint32_t from, scc_view_sum_t *sum);
static void scc_view_slice(const scc_blob_t *blob, uint32_t from,
    uint32_t to, scc_view_sum_t *sum);
static void scc_view_text(scc_view_sum_t *sum, const void *p, size_t len);
static void scc_view_copy(void *data, const scc_view_part_t *part);
static void scc_view_next(scc_buf_t *b, const scc_query_t *q,
    const scc_cursor_t *next);
static void scc_view_cursor(const scc_view_t *v, scc_cursor_t *next);


scc_rc_t
scc_view_measure(scc_view_t *v)
{
    size_t            i;
    uint8_t           block[SCC_VIEW_HEAD];
    uint64_t          before;
    scc_buf_t         head;
    scc_cursor_t      next;
    scc_view_sum_t    sum;
    scc_view_pass_t   pass;
    scc_blob_entry_t  entry;

    scc_view_pass(&pass, v);

    memset(&sum, 0, sizeof(scc_view_sum_t));

    v->last_cell = 0;
    v->last_id.len = 0;
    v->last_id.data = NULL;

    for (i = 0; i < v->n_cells; i++) {
        before = sum.returned;

        scc_view_cell(&pass, &v->cells[i], &sum);

        if (sum.size > SIZE_MAX / 4) {
            return SCC_ERROR;
        }

        if (sum.returned > before) {
            scc_blob_entry(&v->cells[i].blob, sum.last, &entry);
            v->last_cell = v->cells[i].key;
            v->last_id = entry.id;
        }
    }

    v->matched = sum.matched;
    v->returned = sum.returned;
    v->more = sum.more;

    scc_view_cursor(v, &next);

    scc_buf_fixed(&head, block, sizeof(block));
    scc_view_head(&head, v->q, v->matched, v->returned, &next);
    scc_view_tail(&head);

    if (head.error) {
        return SCC_ERROR;
    }

    v->size = head.used + sum.size;

    return SCC_OK;
}


uint8_t *
scc_view_write(const scc_view_t *v, uint8_t *p)
{
    scc_view_parts(v, scc_view_copy, &p);

    return p;
}


void
scc_view_parts(const scc_view_t *v, scc_view_part_pt part, void *data)
{
    uint8_t          block[SCC_VIEW_HEAD];
    scc_buf_t        head;
    scc_cursor_t     next;
    scc_view_sum_t   sum;
    scc_view_pass_t  pass;

    scc_view_pass(&pass, v);
    scc_view_cursor(v, &next);

    memset(&sum, 0, sizeof(scc_view_sum_t));

    sum.part = part;
    sum.data = data;

    /* measure() has seen that it fits */

    scc_buf_fixed(&head, block, sizeof(block));
    scc_view_head(&head, v->q, v->matched, v->returned, &next);
    scc_view_text(&sum, block, head.used);

    for ( /* void */ ; sum.cell < v->n_cells; sum.cell++) {

        if (sum.returned == v->returned) {
            break;
        }

        scc_view_cell(&pass, &v->cells[sum.cell], &sum);
    }

    scc_view_text(&sum, SCC_VIEW_TAIL, sizeof(SCC_VIEW_TAIL) - 1);
}


void
scc_view_head(scc_buf_t *b, const scc_query_t *q, uint64_t matched,
    uint64_t returned, const scc_cursor_t *next)
{
    scc_buf_text(b, "{\"type\":\"FeatureCollection\",");

    if (matched != UINT64_MAX) {
        scc_buf_text(b, "\"numberMatched\":");
        scc_buf_uint(b, matched);
        scc_buf_byte(b, ',');
    }

    scc_buf_text(b, "\"numberReturned\":");
    scc_buf_uint(b, returned);

    if (q->route == SCC_ROUTE_PLACES) {
        scc_buf_text(b, ",\"links\":[");

        if (q->ogc) {
            scc_ogc_links(b, q, next);

        } else if (next && next->set) {
            scc_view_next(b, q, next);
        }

        scc_buf_byte(b, ']');
    }

    scc_buf_text(b, ",\"features\":[");
}


void
scc_view_tail(scc_buf_t *b)
{
    scc_buf_text(b, SCC_VIEW_TAIL);
}


static void
scc_view_pass(scc_view_pass_t *pass, const scc_view_t *v)
{
    unsigned            i;
    const scc_query_t  *q;

    q = v->q;

    pass->view = v;
    pass->all = (q->route != SCC_ROUTE_PLACES);
    pass->limit = pass->all ? UINT64_MAX : q->limit;
    pass->n_core = 0;

    if (pass->all || q->filter.any) {
        return;
    }

    for (i = 0; i < q->area.n; i++) {
        if (scc_cell_core(&q->area.box[i], &pass->core[pass->n_core])) {
            pass->n_core++;
        }
    }
}


static void
scc_view_cell(const scc_view_pass_t *pass, const scc_view_cell_t *cell,
    scc_view_sum_t *sum)
{
    bool                 whole;
    uint32_t             x, y, n, from, take;
    unsigned             i;
    const scc_cells_t   *core;
    const scc_cursor_t  *cursor;

    n = cell->blob.n;

    if (n == 0) {
        return;
    }

    x = scc_cell_key_x(cell->key);
    y = scc_cell_key_y(cell->key);

    whole = pass->all;

    for (i = 0; i < pass->n_core; i++) {
        core = &pass->core[i];

        if (x >= core->x0 && x <= core->x1 && y >= core->y0 && y <= core->y1)
        {
            whole = true;
        }
    }

    from = 0;
    cursor = &pass->view->q->cursor;

    if (cursor->set && !pass->all) {

        if (cell->key < cursor->cell) {
            from = n;

        } else if (cell->key == cursor->cell) {
            from = scc_blob_after(&cell->blob, cursor->id);
        }
    }

    if (!whole) {
        scc_view_cell_each(pass, cell, from, sum);
        return;
    }

    sum->matched += n;

    take = n - from;

    if (take > pass->limit - sum->returned) {
        take = (uint32_t) (pass->limit - sum->returned);
        sum->more = true;
    }

    if (take) {
        scc_view_slice(&cell->blob, from, from + take, sum);
    }
}


static void
scc_view_cell_each(const scc_view_pass_t *pass, const scc_view_cell_t *cell,
    uint32_t from, scc_view_sum_t *sum)
{
    uint16_t              cat;
    uint32_t              i, run, taken;
    uint64_t              room;
    scc_blob_entry_t      e;
    const scc_blob_t     *blob;
    const scc_area_t     *area;
    const scc_filter_t   *filter;

    blob = &cell->blob;
    area = &pass->view->q->area;
    filter = &pass->view->q->filter;

    cat = filter->category.len ? scc_blob_cat(blob, filter->category)
                               : SCC_BLOB_NO_CAT;
    room = pass->limit - sum->returned;
    taken = 0;
    run = 0;

    /* "run" features that end before i are taken but not yet copied */

    for (i = 0; i < blob->n; i++) {
        scc_blob_entry(blob, i, &e);

        if (!scc_area_has(area, e.lon, e.lat)
            || (filter->any
                && !scc_filter_pass(filter, e.flags, e.cat, cat)))
        {
            goto gap;
        }

        sum->matched++;

        if (i < from) {
            continue;
        }

        if (taken < room) {
            taken++;
            run++;
            continue;
        }

        sum->more = true;

    gap:

        if (run) {
            scc_view_slice(blob, i - run, i, sum);
            run = 0;
        }
    }

    if (run) {
        scc_view_slice(blob, i - run, i, sum);
    }
}


/* Features from <= i < to, with the commas that join them in the blob. */

static void
scc_view_slice(const scc_blob_t *blob, uint32_t from, uint32_t to,
    scc_view_sum_t *sum)
{
    size_t            size;
    scc_blob_entry_t  first, last;
    scc_view_part_t   part;

    scc_blob_entry(blob, from, &first);
    scc_blob_entry(blob, to - 1, &last);

    size = (size_t) (last.frag.data + last.frag.len - first.frag.data);

    if (sum->returned) {
        sum->size++;

        if (sum->part) {
            scc_view_text(sum, ",", 1);
        }
    }

    if (sum->part) {
        part.bytes.data = first.frag.data;
        part.bytes.len = size;
        part.cell = sum->cell;
        part.whole = (to - from == blob->n);

        sum->part(sum->data, &part);
    }

    sum->size += size;
    sum->returned += to - from;
    sum->last = to - 1;
}


static void
scc_view_text(scc_view_sum_t *sum, const void *p, size_t len)
{
    scc_view_part_t  part;

    part.bytes.data = p;
    part.bytes.len = len;
    part.cell = SCC_VIEW_NO_CELL;
    part.whole = false;

    sum->part(sum->data, &part);
}


static void
scc_view_copy(void *data, const scc_view_part_t *part)
{
    uint8_t  **p = data;

    memcpy(*p, part->bytes.data, part->bytes.len);
    *p += part->bytes.len;
}


static void
scc_view_cursor(const scc_view_t *v, scc_cursor_t *next)
{
    next->set = v->more;
    next->cell = v->last_cell;
    next->id = v->last_id;
}


static void
scc_view_next(scc_buf_t *b, const scc_query_t *q, const scc_cursor_t *next)
{
    scc_buf_text(b, "{\"rel\":\"next\",\"type\":\"application/geo+json\","
                 "\"href\":\"places?bbox=");
    scc_buf_urlencode(b, q->bbox);
    scc_buf_text(b, "&limit=");
    scc_buf_uint(b, q->limit);

    scc_filter_write(b, &q->filter);
    scc_buf_text(b, "&cursor=");
    scc_cursor_write(b, next->cell, next->id);
    scc_buf_text(b, "\"}");
}
