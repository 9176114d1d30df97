
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "fuzz_feed.h"
#include "scc_geojson.h"
#include "scc_json_object.h"


/*
 * The first byte is the size of pieces; the rest is GeoJSON.  In one piece
 * and in many it must give the same features, and "extra" of a sound one is
 * an object that the store takes.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static scc_rc_t fuzz_piece(void *to, const uint8_t *p, size_t n,
    scc_err_t *err);
static scc_rc_t fuzz_parse(scc_buf_t *log, const uint8_t *p, size_t size,
    size_t piece, scc_err_t *err);
static scc_rc_t fuzz_feature(void *ctx, const scc_feature_t *f);


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
        || !scc_str_eq(scc_buf_get(&whole), scc_buf_get(&parts)))
    {
        abort();
    }

    if (rc != SCC_OK && (err.text[0] == '\0' || err2.text[0] == '\0')) {
        abort();
    }

    scc_buf_free(&whole);
    scc_buf_free(&parts);

    return 0;
}


static scc_rc_t
fuzz_piece(void *to, const uint8_t *p, size_t n, scc_err_t *err)
{
    return scc_geojson_feed(to, p, n, err);
}


static scc_rc_t
fuzz_parse(scc_buf_t *log, const uint8_t *p, size_t size, size_t piece,
    scc_err_t *err)
{
    scc_rc_t        rc;
    scc_geojson_t  *g;

    g = scc_geojson_create(fuzz_feature, log);
    if (g == NULL) {
        abort();
    }

    rc = fuzz_feed(fuzz_piece, g, p, size, piece, err);

    if (rc == SCC_OK) {
        rc = scc_geojson_end(g, err);
    }

    scc_geojson_free(g);

    return rc;
}


static scc_rc_t
fuzz_feature(void *ctx, const scc_feature_t *f)
{
    size_t      i;
    scc_err_t   err;
    scc_buf_t  *log = ctx;

    scc_buf_uint(log, f->seq);
    scc_buf_byte(log, ' ');
    scc_buf_uint(log, f->line);
    scc_buf_byte(log, ' ');
    scc_buf_uint(log, f->fault);
    scc_buf_byte(log, ' ');
    scc_buf_int(log, f->lon);
    scc_buf_byte(log, ' ');
    scc_buf_int(log, f->lat);
    scc_buf_byte(log, ' ');
    scc_buf_str(log, f->id);

    for (i = 0; i < f->n_props; i++) {
        scc_buf_str(log, f->props[i].key);
        scc_buf_byte(log, '=');
        scc_buf_str(log, f->props[i].value);
    }

    scc_buf_str(log, f->extra);
    scc_buf_byte(log, '\n');

    if (f->fault != SCC_FEATURE_OK) {
        return SCC_OK;
    }

    /* "extra" may nest deeper than a file's own may */

    if (scc_json_object(f->extra, NULL, NULL, &err) != SCC_OK
        && strstr(err.text, "too deep") == NULL)
    {
        abort();
    }

    return SCC_OK;
}
