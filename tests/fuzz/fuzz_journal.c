
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_blob.h"
#include "scc_journal.h"


/*
 * Any bytes as a segment: scanned, then salvaged, and all records read.
 *
 * No random input has true checksums or reaches a second block.  Input that
 * begins with a line "segment" is text: a segment is built, a line a step.
 *
 *   r N   a record whose body has N % 4096 bytes; its kind is N / 4096
 *   b     writes the records since the last as a batch
 *   s     a seal
 *   z N   N % 16 blocks of zeros
 *   o N   the next x, y and w are at byte N
 *   x N   xor a byte with N
 *   y N   N zeros
 *   w     the header there gets true checksums
 *   c N   cuts N bytes off the end
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_build(scc_buf_t *b, const uint8_t *p, const uint8_t *end);
static bool fuzz_step(const uint8_t **p, const uint8_t *end, uint8_t *what,
    uint32_t *arg);
static void fuzz_record(scc_buf_t *b, scc_batch_t *batch, uint32_t arg,
    uint64_t number);
static void fuzz_header(scc_buf_t *b, size_t at);
static void fuzz_scan(scc_str_t bytes);
static void fuzz_records(scc_str_t records, uint32_t n);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t    *copy;
    scc_buf_t   b;
    scc_str_t   bytes;

    if (size > 8 && memcmp(data, "segment\n", 8) == 0) {
        scc_buf_heap(&b, 256 * 1024);
        fuzz_build(&b, data + 8, data + size);
        bytes = scc_buf_get(&b);

    } else {
        memset(&b, 0, sizeof(scc_buf_t));
        bytes.data = data;
        bytes.len = size;
    }

    /* a copy, so that a read beyond the end is seen */

    copy = malloc(bytes.len ? bytes.len : 1);

    if (copy) {
        if (bytes.len) {
            memcpy(copy, bytes.data, bytes.len);
        }

        bytes.data = copy;
        fuzz_scan(bytes);
        free(copy);
    }

    scc_buf_free(&b);

    return 0;
}


static void
fuzz_build(scc_buf_t *b, const uint8_t *p, const uint8_t *end)
{
    size_t          at, n;
    uint8_t        *to, what;
    uint32_t        chain, arg;
    uint64_t        number;
    scc_buf_t       one;
    scc_batch_t     batch;
    scc_chain_t     c;
    scc_segment_t   s;

    memset(&s, 0, sizeof(scc_segment_t));
    memset(s.segment, 0xa5, 16);

    to = scc_buf_reserve(b, SCC_JOURNAL_BLOCK);

    if (to == NULL) {
        return;
    }

    chain = scc_segment_write(to, &s);
    scc_chain_begin(&c, &s, chain);

    at = 0;
    number = 0;
    scc_buf_heap(&one, 1024 * 1024);
    scc_batch_begin(&batch, &one);

    while (fuzz_step(&p, end, &what, &arg)) {

        switch (what) {

        case 'r':
            fuzz_record(&one, &batch, arg, ++number);
            break;

        case 'b':
            if (scc_batch_finish(&batch, &c) == SCC_OK) {
                scc_buf_str(b, scc_buf_get(&one));
            }

            scc_batch_begin(&batch, &one);
            break;

        case 's':
            if (scc_batch_seal(&one, &c) == SCC_OK) {
                scc_buf_str(b, scc_buf_get(&one));
            }

            scc_batch_begin(&batch, &one);
            break;

        case 'z':
            n = (size_t) (arg % 16) * SCC_JOURNAL_BLOCK;
            to = scc_buf_reserve(b, n);

            if (to) {
                memset(to, 0, n);
            }

            break;

        case 'o':
            at = arg;
            break;

        case 'x':
            if (at < b->used) {
                b->start[at] ^= (uint8_t) arg;
            }

            break;

        case 'y':
            if (at < b->used) {
                n = b->used - at;
                memset(b->start + at, 0, arg < n ? arg : n);
            }

            break;

        case 'w':
            fuzz_header(b, at);
            break;

        case 'c':
            b->used -= arg < b->used ? arg : b->used;
            break;
        }
    }

    scc_buf_free(&one);
}


static bool
fuzz_step(const uint8_t **p, const uint8_t *end, uint8_t *what,
    uint32_t *arg)
{
    const uint8_t  *at;

    at = *p;

    if (at == end) {
        return false;
    }

    *what = *at++;
    *arg = 0;

    for ( ; at < end && *at != '\n'; at++) {
        if (*at >= '0' && *at <= '9') {
            *arg = *arg * 10 + (*at - (uint32_t) '0');
        }
    }

    *p = at + (at < end);

    return true;
}


static void
fuzz_record(scc_buf_t *b, scc_batch_t *batch, uint32_t arg, uint64_t number)
{
    char          body[4096];
    scc_record_t  r;

    static const scc_str_t  id = scc_string("c-1");

    memset(&r, 0, sizeof(scc_record_t));
    memset(body, 'x', sizeof(body));
    memset(r.sha256, 7, 32);

    r.kind = (scc_kind_t) (1 + (arg >> 12) % 10);
    r.hlc = number;
    r.event_id[0] = (uint8_t) number;
    r.event_id[8] = 8;
    r.contributor_id = id;
    r.body.data = (const uint8_t *) body;
    r.body.len = arg & 0xfff;

    scc_record_write(b, &r);
    scc_batch_add(batch, &r);
}


static void
fuzz_header(scc_buf_t *b, size_t at)
{
    size_t     len, left;
    uint8_t   *p;
    uint32_t   crc;

    if (at > b->used || b->used - at < SCC_JOURNAL_BATCH) {
        return;
    }

    p = b->start + at;
    left = b->used - at - SCC_JOURNAL_BATCH;
    len = scc_le32(p + 28);

    if (len <= left) {
        crc = scc_crc32c(0, p + SCC_JOURNAL_BATCH, len);
        memcpy(p + 48, &crc, 4);
    }

    crc = scc_crc32c(0, p, 56);
    memcpy(p + 56, &crc, 4);
}


static void
fuzz_scan(scc_str_t bytes)
{
    size_t            pos;
    uint64_t          records;
    scc_rc_t          rc;
    scc_scan_t        s;
    scc_scan_batch_t  batch;

    records = 0;
    rc = scc_scan_begin(&s, bytes);

    if ((rc == SCC_OK) != (s.end == SCC_END_NONE)) {
        abort();
    }

    for (pos = s.pos; scc_scan_next(&s, &batch) == SCC_OK; pos = s.pos) {

        if (s.pos <= pos || s.pos > bytes.len || batch.n == 0
            || s.pos % SCC_JOURNAL_BLOCK != 0)
        {
            abort();
        }

        records += batch.n;
        fuzz_records(batch.records, batch.n);
    }

    if (s.end == SCC_END_NONE || (rc == SCC_OK && records
                                                  != s.chain.records))
    {
        abort();
    }

    for (pos = s.pos; scc_scan_salvage(&s, &batch) == SCC_OK; pos = s.pos) {

        if (s.end == SCC_END_CLEAN || s.end == SCC_END_SEALED
            || s.pos <= pos || s.pos > bytes.len)
        {
            abort();
        }

        fuzz_records(batch.records, batch.n);
    }
}


/* Frames hold, whatever the records are. */

static void
fuzz_records(scc_str_t records, uint32_t n)
{
    size_t        size;
    scc_buf_t     b;
    scc_record_t  r;

    scc_buf_heap(&b, 0);

    for ( ; records.len && n; n--) {

        if (scc_record_read(records, &r, &size) != SCC_OK) {

            if (size == 0) {
                break;
            }

        } else {
            /* what was read can be written, and is the same */

            scc_buf_reset(&b);
            scc_record_write(&b, &r);

            if (b.error || b.used != size
                || memcmp(b.start, records.data, size) != 0)
            {
                abort();
            }
        }

        records.data += size;
        records.len -= size;
    }

    scc_buf_free(&b);
}
