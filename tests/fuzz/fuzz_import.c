
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "fuzz_feed.h"
#include "scc_buf.h"
#include "scc_import.h"
#include "scc_json_object.h"


/*
 * The first byte chooses the map and the bounds, the second the size of
 * pieces; the rest is a file.  In one piece and in many it must give the
 * same rows, and every body is JSON that the store takes.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static scc_rc_t fuzz_piece(void *to, const uint8_t *p, size_t n,
    scc_err_t *err);
static scc_rc_t fuzz_import(scc_buf_t *log, unsigned choice,
    const uint8_t *p, size_t size, size_t piece);
static scc_rc_t fuzz_row(void *ctx, const scc_import_row_t *row);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scc_rc_t   rc;
    scc_buf_t  whole, parts;

    if (size < 2) {
        return 0;
    }

    scc_buf_heap(&whole, 0);
    scc_buf_heap(&parts, 0);

    rc = fuzz_import(&whole, data[0], data + 2, size - 2, size);

    if (fuzz_import(&parts, data[0], data + 2, size - 2, data[1] % 17 + 1u)
        != rc
        || !scc_str_eq(scc_buf_get(&whole), scc_buf_get(&parts)))
    {
        abort();
    }

    scc_buf_free(&whole);
    scc_buf_free(&parts);

    return 0;
}


static scc_rc_t
fuzz_piece(void *to, const uint8_t *p, size_t n, scc_err_t *err)
{
    return scc_import_feed(to, p, n, err);
}


static scc_rc_t
fuzz_import(scc_buf_t *log, unsigned choice, const uint8_t *p, size_t size,
    size_t piece)
{
    scc_rc_t            rc;
    scc_str_t           map, bounds;
    scc_err_t           err;
    scc_import_t       *im;
    scc_import_conf_t   conf;

    static const char *const  maps[] = {
        "", "id=a,lng=b,lat=c,name=d", "wheelchair=w,extra=e", "lng=lat"
    };

    static const char *const  boxes[] = {
        "", "124,33,132,39", "170,-10,-170,10", "0,0,0,0"
    };

    map.data = (const uint8_t *) maps[choice & 3];
    map.len = strlen(maps[choice & 3]);

    bounds.data = (const uint8_t *) boxes[choice >> 2 & 3];
    bounds.len = strlen(boxes[choice >> 2 & 3]);

    conf.format = SCC_IMPORT_AUTO;
    conf.map = map;
    conf.bounds = bounds;

    im = scc_import_create(&conf, fuzz_row, log, &err);
    if (im == NULL) {
        abort();
    }

    rc = fuzz_feed(fuzz_piece, im, p, size, piece, &err);

    if (rc == SCC_OK) {
        rc = scc_import_end(im, &err);
    }

    if (rc != SCC_OK && err.text[0] == '\0') {
        abort();
    }

    scc_buf_str(log, scc_import_ignored(im));
    scc_import_free(im);

    return rc;
}


static scc_rc_t
fuzz_row(void *ctx, const scc_import_row_t *row)
{
    unsigned    i;
    scc_err_t   err;
    scc_buf_t  *log = ctx;

    scc_buf_uint(log, row->line);
    scc_buf_byte(log, ' ');
    scc_buf_str(log, scc_reject_name(row->reject));
    scc_buf_byte(log, ' ');
    scc_buf_str(log, row->field);
    scc_buf_text(log, row->text);

    if ((row->n == 0) != (row->reject != SCC_REJECT_NONE)
        || row->n > SCC_IMPORT_BODIES
        || (row->reject && (row->field.len == 0 || row->text[0] == '\0')))
    {
        abort();
    }

    for (i = 0; i < row->n; i++) {
        scc_buf_str(log, row->body[i].body);

        if (row->body[i].target.len == 0
            || row->body[i].target.len > SCC_ID_MAX
            || !scc_utf8_valid(row->body[i].target))
        {
            abort();
        }

        if (scc_json_object(row->body[i].body, NULL, NULL, &err) != SCC_OK
            && strstr(err.text, "too deep") == NULL)
        {
            abort();
        }
    }

    scc_buf_byte(log, '\n');

    return SCC_OK;
}
