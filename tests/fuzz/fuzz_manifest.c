
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "fuzz_feed.h"
#include "scc_contribution.h"
#include "scc_manifest.h"


/*
 * The first byte is the size of pieces; the rest is a manifest.  In one
 * piece and in many it must give the same rows; what is taken is a photo's
 * body that a post would be taken with, too.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static scc_rc_t fuzz_piece(void *to, const uint8_t *p, size_t n,
    scc_err_t *err);
static scc_rc_t fuzz_parse(scc_buf_t *log, const uint8_t *p, size_t size,
    size_t piece, scc_err_t *err);
static scc_rc_t fuzz_row(void *ctx, const scc_manifest_row_t *row);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scc_rc_t   rc;
    scc_err_t  err, err2;
    scc_buf_t  whole, parts;

    if (size == 0) {
        return 0;
    }

    scc_buf_heap(&whole, 0);
    scc_buf_heap(&parts, 0);

    rc = fuzz_parse(&whole, data + 1, size - 1, size, &err);

    if (fuzz_parse(&parts, data + 1, size - 1, data[0] % 17 + 1u, &err2) != rc
        || !scc_str_eq(scc_buf_get(&whole), scc_buf_get(&parts))
        || strcmp(err.text, err2.text) != 0)
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
    return scc_manifest_feed(to, p, n, err);
}


static scc_rc_t
fuzz_parse(scc_buf_t *log, const uint8_t *p, size_t size, size_t piece,
    scc_err_t *err)
{
    scc_rc_t         rc;
    scc_manifest_t  *m;

    m = scc_manifest_create(fuzz_row, log);
    if (m == NULL) {
        abort();
    }

    rc = fuzz_feed(fuzz_piece, m, p, size, piece, err);

    if (rc == SCC_OK) {
        rc = scc_manifest_end(m, err);
    }

    scc_manifest_free(m);

    return rc;
}


static scc_rc_t
fuzz_row(void *ctx, const scc_manifest_row_t *row)
{
    scc_buf_t           *log = ctx;
    scc_faults_t         faults;
    scc_contribution_t   c;

    static const scc_contribution_conf_t  conf = { 1 << 20, 8 };

    scc_buf_uint(log, row->line);
    scc_buf_str(log, row->key);
    scc_buf_str(log, row->body);
    scc_buf_str(log, row->field);
    scc_buf_text(log, row->text);
    scc_buf_byte(log, '\n');

    if (row->reject != SCC_REJECT_NONE) {

        if (row->body.len > 0 || row->text[0] == '\0'
            || scc_reject_name(row->reject).len == 0)
        {
            abort();
        }

        return SCC_OK;
    }

    if (scc_contribution_parse(&c, &conf, row->body, &faults) != SCC_OK
        || c.kind != SCC_KIND_PHOTO || row->target.len != 64
        || !scc_str_eq(c.target, row->target))
    {
        abort();
    }

    return SCC_OK;
}
