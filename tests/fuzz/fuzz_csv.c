
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "fuzz_feed.h"
#include "scc_csv.h"


/*
 * The first byte is the size of pieces; the rest is a CSV.  In one piece
 * and in many it must give the same records, and the same refusal.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static scc_rc_t fuzz_piece(void *to, const uint8_t *p, size_t n,
    scc_err_t *err);
static scc_rc_t fuzz_parse(scc_buf_t *log, const uint8_t *p, size_t size,
    size_t piece, scc_err_t *err);
static scc_rc_t fuzz_record(void *ctx, uint64_t line, const scc_str_t *field,
    size_t n);


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
    return scc_csv_feed(to, p, n, err);
}


static scc_rc_t
fuzz_parse(scc_buf_t *log, const uint8_t *p, size_t size, size_t piece,
    scc_err_t *err)
{
    scc_rc_t    rc;
    scc_csv_t  *csv;

    csv = scc_csv_create(fuzz_record, log);
    if (csv == NULL) {
        abort();
    }

    rc = fuzz_feed(fuzz_piece, csv, p, size, piece, err);

    if (rc == SCC_OK) {
        rc = scc_csv_end(csv, err);
    }

    scc_csv_free(csv);

    return rc;
}


static scc_rc_t
fuzz_record(void *ctx, uint64_t line, const scc_str_t *field, size_t n)
{
    size_t      i;
    scc_buf_t  *log = ctx;

    if (n == 0 || n > SCC_CSV_FIELDS_MAX) {
        abort();
    }

    scc_buf_uint(log, line);

    for (i = 0; i < n; i++) {
        scc_buf_byte(log, 0xff);
        scc_buf_str(log, field[i]);
    }

    scc_buf_byte(log, '\n');

    return SCC_OK;
}
