
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_blob.h"
#include "scc_tile.h"


/*
 * Opens any bytes as a cell blob, as they are and with a true checksum (no
 * random input has one), then reads all that an opened blob offers.
 *
 * Input that starts with a line "blob" is text: lines "id|category|name"
 * are places of a blob to build, lines "@offset=byte", in hexadecimal,
 * change a byte of it.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_any(const uint8_t *data, size_t size);
static void fuzz_text(scc_str_t text);
static void fuzz_place(scc_blob_builder_t *bb, scc_str_t line);
static void fuzz_patch(scc_buf_t *b, scc_str_t line);
static bool fuzz_line(scc_str_t *text, uint8_t end, scc_str_t *line);
static void fuzz_open(const uint8_t *p, size_t size);
static void fuzz_view(const scc_blob_t *blob);
static void fuzz_tile(const scc_blob_t *blob);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scc_str_t  text;

    if (size > 5 && memcmp(data, "blob\n", 5) == 0) {
        text.data = data + 5;
        text.len = size - 5;
        fuzz_text(text);

    } else {
        fuzz_any(data, size);
    }

    return 0;
}


/* Copies, so that a read beyond the end is seen. */

static void
fuzz_any(const uint8_t *data, size_t size)
{
    uint8_t   *copy, zero[4] = { 0 };
    uint32_t   crc;
    unsigned   i;

    copy = malloc(size ? size : 1);

    if (copy == NULL) {
        return;
    }

    if (size) {
        memcpy(copy, data, size);
    }

    fuzz_open(copy, size);

    if (size >= SCC_BLOB_HEADER) {
        crc = scc_crc32c(0, copy + 40, 20);
        crc = scc_crc32c(crc, zero, 4);
        crc = scc_crc32c(crc, copy + SCC_BLOB_HEADER,
                         size - SCC_BLOB_HEADER);

        for (i = 0; i < 4; i++) {
            copy[60 + i] = (uint8_t) (crc >> (8 * i));
        }

        fuzz_open(copy, size);
    }

    free(copy);
}


static void
fuzz_text(scc_str_t text)
{
    scc_str_t           rest, line;
    scc_buf_t           out;
    scc_blob_builder_t  bb;

    scc_blob_builder_init(&bb);
    scc_blob_begin(&bb);
    scc_buf_heap(&out, 0);

    rest = text;

    while (fuzz_line(&rest, '\n', &line)) {
        if (line.len && line.data[0] != '@') {
            fuzz_place(&bb, line);
        }
    }

    if (scc_blob_finish(&bb, 7, &out) != SCC_OK) {
        abort();
    }

    rest = text;

    while (fuzz_line(&rest, '\n', &line)) {
        if (line.len && line.data[0] == '@') {
            fuzz_patch(&out, line);
        }
    }

    fuzz_any(out.start, out.used);

    scc_buf_free(&out);
    scc_blob_builder_free(&bb);
}


/* A place out of order is refused, which is as well. */

static void
fuzz_place(scc_blob_builder_t *bb, scc_str_t line)
{
    scc_place_t  p;

    memset(&p, 0, sizeof(scc_place_t));

    (void) fuzz_line(&line, '|', &p.id);
    (void) fuzz_line(&line, '|', &p.category);
    (void) fuzz_line(&line, '|', &p.name);

    p.registered = p.name.len & 1;
    p.first_floor = SCC_YES;
    p.stair = (scc_stair_t) (p.name.len % 5);
    p.slope = (p.name.len & 2) ? SCC_UNKNOWN : SCC_NO;
    p.lon = ((int32_t) (p.name.len % 7) - 3) * 600000000;
    p.lat = ((int32_t) (p.category.len % 7) - 3) * 300000000;

    (void) scc_blob_add(bb, &p);
}


static void
fuzz_patch(scc_buf_t *b, scc_str_t line)
{
    char           text[32];
    unsigned long  at, value;
    char          *end;

    if (line.len >= sizeof(text)) {
        return;
    }

    memcpy(text, line.data, line.len);
    text[line.len] = '\0';

    at = strtoul(text + 1, &end, 16);
    value = (*end == '=') ? strtoul(end + 1, NULL, 16) : 0;

    if (at < b->used) {
        b->start[at] = (uint8_t) value;
    }
}


static bool
fuzz_line(scc_str_t *text, uint8_t end, scc_str_t *line)
{
    size_t  n;

    for (n = 0; n < text->len && text->data[n] != end; n++) { /* void */ }

    line->data = text->data;
    line->len = n;

    if (text->len == 0) {
        return false;
    }

    n += (n < text->len);
    text->data += n;
    text->len -= n;

    return true;
}


static void
fuzz_open(const uint8_t *p, size_t size)
{
    uint8_t           sum;
    size_t            j;
    uint32_t          i;
    scc_str_t         bytes;
    scc_blob_t        blob;
    scc_blob_entry_t  e;

    bytes.data = p;
    bytes.len = size;

    if (scc_blob_open(bytes, &blob) != SCC_OK) {
        return;
    }

    sum = 0;

    for (i = 0; i < blob.n; i++) {
        scc_blob_entry(&blob, i, &e);

        for (j = 0; j < e.frag.len; j++) {
            sum ^= e.frag.data[j];
        }

        if (scc_blob_after(&blob, e.id) != i + 1) {
            abort();
        }

        if (e.cat != SCC_BLOB_NO_CAT && e.cat >= blob.n_cat) {
            abort();
        }
    }

    bytes.len = 1;
    bytes.data = &sum;

    if (blob.n_cat) {
        (void) scc_blob_cat(&blob, bytes);
    }

    fuzz_view(&blob);
    fuzz_tile(&blob);
}


/* The cell on a page, cut by a box, a filter and a limit. */

static void
fuzz_view(const scc_blob_t *blob)
{
    uint8_t          *out;
    scc_err_t         err;
    scc_view_t        v;
    scc_query_t       q;
    scc_view_cell_t   cell;

    static const scc_query_conf_t  conf = { 3, 10, 256 };
    static const scc_str_t  path = scc_string("places");
    static const scc_str_t  args = scc_string("bbox=-100,-80,100,80"
                                              "&category=A&cursor=AQAAAABh");

    if (scc_query_path(&q, &conf, path, &err) != SCC_OK
        || scc_query_args(&q, &conf, args, &err) != SCC_OK)
    {
        abort();
    }

    q.filter.any = blob->n & 1;

    if (!q.filter.any) {
        q.filter.category.len = 0;
    }

    cell.key = 0;
    cell.blob = *blob;

    v.q = &q;
    v.cells = &cell;
    v.n_cells = 1;

    if (scc_view_measure(&v) != SCC_OK) {
        abort();
    }

    out = malloc(v.size);

    if (out == NULL) {
        return;
    }

    if (scc_view_write(&v, out) != out + v.size || v.returned > q.limit) {
        abort();
    }

    free(out);
}


/* The cell as a vector tile: refused, or a layer with all its features. */

static void
fuzz_tile(const scc_blob_t *blob)
{
    scc_rc_t          rc;
    scc_buf_t         out;
    scc_mvt_t         mvt;
    scc_view_cell_t   cell;

    static const scc_tile_t  tile = { 16, 32768, 32768 };

    cell.key = 0;
    cell.blob = *blob;

    scc_mvt_init(&mvt);
    scc_buf_heap(&out, 0);

    rc = scc_tile_places(&mvt, &tile, &cell, 1, &out);

    if (rc == SCC_OK && (mvt.n != blob->n || out.used < 15)) {
        abort();
    }

    scc_buf_free(&out);
    scc_mvt_free(&mvt);
}
