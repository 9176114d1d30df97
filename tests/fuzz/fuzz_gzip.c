
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "scc_etag.h"
#include "scc_gzip.h"


/*
 * The input as a program: each byte below says what becomes of the next
 * bytes of the input, as text, as a slice, or as the slice before once
 * more.  What is joined must inflate to what went in.  The headers' readers
 * get the whole input.
 */

#define FUZZ_PIECES  1024
#define FUZZ_SLICES  256

typedef struct {
    scc_gzip_slice_t  slice;
    uint8_t          *out;
    scc_str_t         text;
} fuzz_slice_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_inflate(const scc_gzip_join_t *j, const scc_buf_t *plain);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                i, n, len, made;
    scc_str_t             text;
    scc_buf_t             own, plain;
    fuzz_slice_t          slices[FUZZ_SLICES];
    scc_gzip_join_t       j;
    scc_gzip_piece_t      pieces[FUZZ_PIECES];
    scc_gzip_deflater_t  *d;

    static const scc_str_t  etag = scc_string("\"v1-0000000000000-g\"");

    text.data = data;
    text.len = size;

    (void) scc_gzip_accepted(text);

    if (scc_etag_match(text, etag, false) && !scc_etag_match(text, etag,
                                                             true))
    {
        abort();
    }

    if (size == 0) {
        return 0;
    }

    d = scc_gzip_deflater_create(data[0] % 9 + 1);
    if (d == NULL) {
        return 0;
    }

    scc_buf_heap(&own, 0);
    scc_buf_heap(&plain, 0);

    made = 0;

    scc_gzip_join_begin(&j, &own, pieces, FUZZ_PIECES);

    for (i = 1; i < size; i += len) {
        len = data[i] >> 2;
        n = size - i - 1;

        /* sometimes long */

        if (len > 60) {
            len = n;
        }

        len = (len < n) ? len : n;

        text.data = data + i + 1;
        text.len = len;
        len++;

        switch (data[i] & 3) {

        case 0:
        case 1:
            if (made == FUZZ_SLICES) {
                continue;
            }

            n = scc_gzip_bound(text.len);
            slices[made].text = text;
            slices[made].out = malloc(n);

            if (slices[made].out == NULL
                || scc_gzip_slice(d, text, slices[made].out, n,
                                  &slices[made].slice)
                   != SCC_OK)
            {
                abort();
            }

            made++;

            /* fall through */

        case 2:
            if (made != 0) {
                text = slices[made - 1].text;
                scc_gzip_join_slice(&j, &slices[made - 1].slice);
                scc_buf_str(&plain, text);
            }

            break;

        default:
            scc_gzip_join_text(&j, text);
            scc_buf_str(&plain, text);
        }
    }

    if (scc_gzip_join_end(&j) == SCC_OK) {
        fuzz_inflate(&j, &plain);
    }

    while (made != 0) {
        free(slices[--made].out);
    }

    scc_buf_free(&own);
    scc_buf_free(&plain);
    scc_gzip_deflater_free(d);

    return 0;
}


static void
fuzz_inflate(const scc_gzip_join_t *j, const scc_buf_t *plain)
{
    size_t     i;
    uint8_t   *out;
    z_stream   z;
    scc_buf_t  whole;

    scc_buf_heap(&whole, 0);

    for (i = 0; i < j->n; i++) {
        scc_buf_mem(&whole, j->pieces[i].data ? j->pieces[i].data
                            : j->own->start + j->pieces[i].at,
                    j->pieces[i].len);
    }

    if (whole.used != j->len) {
        abort();
    }

    memset(&z, 0, sizeof(z));

    out = malloc(plain->used + 1);

    if (out == NULL || inflateInit2(&z, 31) != Z_OK) {
        abort();
    }

    z.next_in = whole.start;
    z.avail_in = (uInt) whole.used;
    z.next_out = out;
    z.avail_out = (uInt) plain->used + 1;

    if (inflate(&z, Z_FINISH) != Z_STREAM_END
        || z.avail_in != 0
        || z.total_out != plain->used
        || (plain->used && memcmp(out, plain->start, plain->used) != 0))
    {
        abort();
    }

    (void) inflateEnd(&z);
    free(out);
    scc_buf_free(&whole);
}
