
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_journal_int.h"

#include <string.h>

#include "scc_blob.h"


/*
 * What one device writes at once is at least this long and so aligned.  A
 * batch never has as many zeros in a row, so where a write was cut short,
 * such a line of zeros is left.
 */

#define SCC_SCAN_LINE  64


typedef struct {
    uint32_t        type;
    uint32_t        n;
    uint64_t        number;
    uint64_t        first_hlc;
    uint64_t        last_hlc;
    size_t          len;            /* of the payload */
    size_t          size;           /* in whole blocks */
    const uint8_t  *p;
} scc_scan_header_t;


static scc_segment_end_t scc_scan_no_segment(scc_scan_t *s);
static bool scc_scan_batch(scc_scan_t *s, const scc_scan_header_t *h);
static scc_segment_end_t scc_scan_end(const scc_scan_t *s);
static bool scc_scan_later(const scc_scan_t *s);
static bool scc_scan_hole(const uint8_t *p, size_t len);
static bool scc_scan_header(const scc_scan_t *s, size_t pos,
    scc_scan_header_t *h);
static bool scc_scan_payload(const scc_scan_t *s,
    const scc_scan_header_t *h);
static bool scc_scan_walk(const scc_scan_header_t *h, uint8_t ids[16]);
static void scc_scan_set(scc_scan_batch_t *batch,
    const scc_scan_header_t *h);
static bool scc_scan_zeros(const uint8_t *p, size_t len);


scc_rc_t
scc_scan_begin(scc_scan_t *s, scc_str_t bytes)
{
    uint32_t  chain;

    memset(s, 0, sizeof(scc_scan_t));
    s->bytes = bytes;

    if (bytes.len < SCC_JOURNAL_BLOCK
        || scc_segment_read(bytes.data, &s->segment, &chain) != SCC_OK)
    {
        s->end = scc_scan_no_segment(s);
        return SCC_DECLINED;
    }

    scc_chain_begin(&s->chain, &s->segment, chain);
    s->pos = SCC_JOURNAL_BLOCK;

    return SCC_OK;
}


scc_rc_t
scc_scan_next(scc_scan_t *s, scc_scan_batch_t *batch)
{
    size_t             after;
    scc_scan_header_t  h;

    if (s->end != SCC_END_NONE) {
        return SCC_DONE;
    }

    if (!scc_scan_header(s, s->pos, &h) || !scc_scan_batch(s, &h)) {
        s->end = scc_scan_end(s);
        return SCC_DONE;
    }

    s->pos += h.size;

    if (h.type == SCC_BATCH_SEAL) {
        after = s->bytes.len - s->pos;
        s->end = scc_scan_zeros(s->bytes.data + s->pos, after)
                 ? SCC_END_SEALED : SCC_END_CORRUPT;
        return SCC_DONE;
    }

    scc_scan_set(batch, &h);

    return SCC_OK;
}


scc_rc_t
scc_scan_peek(const scc_segment_t *s, const uint8_t header[SCC_JOURNAL_BATCH],
    scc_scan_batch_t *batch, size_t *size)
{
    scc_scan_t         scan;
    scc_scan_header_t  h;

    memset(&scan, 0, sizeof(scc_scan_t));

    scan.bytes.data = header;
    scan.bytes.len = SCC_JOURNAL_BATCH;

    scc_chain_begin(&scan.chain, s, 0);

    if (!scc_scan_header(&scan, 0, &h)) {
        return SCC_DECLINED;
    }

    scc_scan_set(batch, &h);

    batch->records.data = NULL;
    batch->records.len = 0;
    *size = h.size;

    return SCC_OK;
}


scc_rc_t
scc_scan_salvage(scc_scan_t *s, scc_scan_batch_t *batch)
{
    size_t             left, size;
    uint8_t            ids[16];
    scc_str_t          bytes;
    scc_record_t       r;
    scc_scan_header_t  h;

    if (s->end != SCC_END_CORRUPT && s->end != SCC_END_TORN) {
        return SCC_DONE;
    }

    /* batches where blocks begin, and records wherever they are found */

    while (s->pos < s->bytes.len) {
        bytes.data = s->bytes.data + s->pos;
        bytes.len = left = s->bytes.len - s->pos;

        if (s->pos % SCC_JOURNAL_BLOCK == 0) {

            if (left >= SCC_JOURNAL_BLOCK
                && scc_scan_zeros(bytes.data, SCC_JOURNAL_BLOCK))
            {
                s->pos += SCC_JOURNAL_BLOCK;
                continue;
            }

            if (scc_scan_header(s, s->pos, &h)
                && h.number >= s->chain.next)
            {
                s->chain.next = h.number + 1;

                if (scc_scan_payload(s, &h)
                    && (h.type == SCC_BATCH_SEAL || scc_scan_walk(&h, ids)))
                {
                    s->pos += h.size < left ? h.size : left;

                    if (h.type == SCC_BATCH_SEAL) {
                        continue;
                    }

                    scc_scan_set(batch, &h);

                    return SCC_OK;
                }

                s->pos += SCC_JOURNAL_BATCH;
                continue;
            }
        }

        if (scc_record_read(bytes, &r, &size) == SCC_OK) {
            batch->number = s->chain.next ? s->chain.next - 1 : 0;
            batch->n = 1;
            batch->first_hlc = r.hlc;
            batch->last_hlc = r.hlc;
            batch->records.data = bytes.data;
            batch->records.len = size;

            s->pos += size;

            return SCC_OK;
        }

        s->pos += left < SCC_RECORD_ALIGN ? left : SCC_RECORD_ALIGN;
    }

    return SCC_DONE;
}


/*
 * Without block 0 nothing was acknowledged, as long as nothing was written
 * behind it.  If something was, the salt is taken from the first header.
 */

static scc_segment_end_t
scc_scan_no_segment(scc_scan_t *s)
{
    size_t             pos;
    scc_str_t          b;
    scc_scan_header_t  h;

    b = s->bytes;

    if (scc_scan_zeros(b.data, b.len)) {
        return SCC_END_CLEAN;
    }

    if (b.len <= SCC_JOURNAL_BLOCK
        || scc_scan_zeros(b.data + SCC_JOURNAL_BLOCK,
                          b.len - SCC_JOURNAL_BLOCK))
    {
        return SCC_END_TORN;
    }

    for (pos = SCC_JOURNAL_BLOCK; b.len - pos >= SCC_JOURNAL_BATCH;
         pos += SCC_JOURNAL_BLOCK)
    {
        memcpy(s->chain.salt, b.data + pos + SCC_BATCH_AT_SALT,
               sizeof(s->chain.salt));

        if (scc_scan_header(s, pos, &h)) {
            memcpy(s->segment.segment, s->chain.salt,
                   sizeof(s->chain.salt));
            break;
        }

        if (b.len - pos < SCC_JOURNAL_BLOCK) {
            break;
        }
    }

    s->pos = SCC_JOURNAL_BLOCK;

    return SCC_END_CORRUPT;
}


/* The batch at pos, checked completely; moves the chain. */

static bool
scc_scan_batch(scc_scan_t *s, const scc_scan_header_t *h)
{
    size_t    used;
    uint8_t   ids[16], seal[SCC_BATCH_SEAL_SIZE];
    uint32_t  chain;

    used = SCC_JOURNAL_BATCH + h->len;
    chain = scc_chain_step(s->chain.chain, h->p);

    if (h->number != s->chain.next
        || h->size > s->bytes.len - s->pos
        || chain != scc_le32(h->p + SCC_BATCH_AT_CHAIN)
        || !scc_scan_payload(s, h)
        || !scc_scan_zeros(h->p + used, h->size - used))
    {
        return false;
    }

    if (h->type == SCC_BATCH_SEAL) {
        scc_chain_seal(&s->chain, seal);

        if (memcmp(seal, h->p + SCC_JOURNAL_BATCH, sizeof(seal)) != 0) {
            return false;
        }

    } else {

        if (!scc_scan_walk(h, ids)) {
            return false;
        }

        scc_chain_count(&s->chain, h->n, h->first_hlc, h->last_hlc, ids);
    }

    s->chain.chain = chain;
    s->chain.next++;

    return true;
}


/*
 * What ends here, where there is no valid batch.  A batch is written only
 * after the one before it was synced.  So the one that was being written,
 * and nobody was promised, has nothing behind it and has a hole: zeros, or
 * the file's end, where its bytes should be.  All else is damage.
 */

static scc_segment_end_t
scc_scan_end(const scc_scan_t *s)
{
    size_t             left, len;
    const uint8_t     *p;
    scc_scan_header_t  h;

    p = s->bytes.data + s->pos;
    left = s->bytes.len - s->pos;

    if (scc_scan_zeros(p, left)) {
        return SCC_END_CLEAN;
    }

    if (scc_scan_later(s)) {
        return SCC_END_CORRUPT;
    }

    if (left < SCC_JOURNAL_BLOCK) {
        return SCC_END_TORN;
    }

    if (scc_scan_header(s, s->pos, &h)) {

        if (h.number != s->chain.next) {
            return SCC_END_CORRUPT;
        }

        if (h.size > left) {
            return SCC_END_TORN;
        }

        if (!scc_scan_zeros(p + h.size, left - h.size)) {
            return SCC_END_CORRUPT;
        }

        len = SCC_JOURNAL_BATCH + h.len;

    } else {

        /* its length is unknown, but every batch has these bytes */

        len = 2 * SCC_JOURNAL_BATCH;
    }

    return scc_scan_hole(p, len) ? SCC_END_TORN : SCC_END_CORRUPT;
}


/* A header of a later batch proves that this one was acknowledged. */

static bool
scc_scan_later(const scc_scan_t *s)
{
    size_t             pos;
    scc_scan_header_t  h;

    for (pos = s->pos; pos < s->bytes.len; pos += SCC_JOURNAL_BLOCK) {

        if (scc_scan_header(s, pos, &h) && h.number > s->chain.next) {
            return true;
        }

        if (s->bytes.len - pos < SCC_JOURNAL_BLOCK) {
            break;
        }
    }

    return false;
}


static bool
scc_scan_hole(const uint8_t *p, size_t len)
{
    size_t  n;

    while (len) {
        n = len < SCC_SCAN_LINE ? len : SCC_SCAN_LINE;

        if (scc_scan_zeros(p, n)) {
            return true;
        }

        p += n;
        len -= n;
    }

    return false;
}


/* A batch header of this segment, true to its own crc. */

static bool
scc_scan_header(const scc_scan_t *s, size_t pos, scc_scan_header_t *h)
{
    const uint8_t  *p;

    if (pos > s->bytes.len || s->bytes.len - pos < SCC_JOURNAL_BATCH) {
        return false;
    }

    p = s->bytes.data + pos;

    if (memcmp(p + SCC_BATCH_AT_MAGIC, "SCCB", 4) != 0
        || memcmp(p + SCC_BATCH_AT_SALT, s->chain.salt,
                  sizeof(s->chain.salt)) != 0
        || scc_le32(p + SCC_BATCH_AT_ZERO) != 0
        || scc_le32(p + SCC_BATCH_AT_HEADER)
           != scc_crc32c(0, p, SCC_BATCH_AT_HEADER))
    {
        return false;
    }

    h->p = p;
    h->type = scc_le32(p + SCC_BATCH_AT_TYPE);
    h->number = scc_le64(p + SCC_BATCH_AT_NUMBER);
    h->n = scc_le32(p + SCC_BATCH_AT_N);
    h->len = scc_le32(p + SCC_BATCH_AT_LEN);
    h->first_hlc = scc_le64(p + SCC_BATCH_AT_FIRST);
    h->last_hlc = scc_le64(p + SCC_BATCH_AT_LAST);

    switch (h->type) {

    case SCC_BATCH_RECORDS:

        if (h->n == 0 || h->len > SCC_JOURNAL_BATCH_MAX
            || h->len / SCC_JOURNAL_RECORD < h->n
            || h->len % SCC_RECORD_ALIGN != 0)
        {
            return false;
        }

        break;

    case SCC_BATCH_SEAL:

        if (h->n != 0 || h->len != SCC_BATCH_SEAL_SIZE) {
            return false;
        }

        break;

    default:
        return false;
    }

    h->size = scc_journal_align(SCC_JOURNAL_BATCH + h->len,
                                SCC_JOURNAL_BLOCK);

    return true;
}


static bool
scc_scan_payload(const scc_scan_t *s, const scc_scan_header_t *h)
{
    size_t  left;

    left = s->bytes.len - (size_t) (h->p - s->bytes.data)
           - SCC_JOURNAL_BATCH;

    return h->len <= left
           && scc_le32(h->p + SCC_BATCH_AT_CRC)
              == scc_crc32c(0, h->p + SCC_JOURNAL_BATCH, h->len);
}


/* The frames of the records, and the xor of their event ids. */

static bool
scc_scan_walk(const scc_scan_header_t *h, uint8_t ids[16])
{
    size_t          len, size;
    uint32_t        n;
    const uint8_t  *p;

    memset(ids, 0, 16);

    p = h->p + SCC_JOURNAL_BATCH;
    len = h->len;

    for (n = 0; len; n++) {

        if (len < SCC_JOURNAL_RECORD) {
            return false;
        }

        size = scc_le32(p + SCC_RECORD_AT_LEN);

        if (size < SCC_JOURNAL_RECORD || size > SCC_JOURNAL_RECORD_MAX) {
            return false;
        }

        size = scc_journal_align(size, SCC_RECORD_ALIGN);

        if (size > len) {
            return false;
        }

        scc_id_xor(ids, p + SCC_RECORD_AT_EVENT);

        p += size;
        len -= size;
    }

    return n == h->n;
}


static void
scc_scan_set(scc_scan_batch_t *batch, const scc_scan_header_t *h)
{
    batch->number = h->number;
    batch->n = h->n;
    batch->first_hlc = h->first_hlc;
    batch->last_hlc = h->last_hlc;
    batch->records.data = h->p + SCC_JOURNAL_BATCH;
    batch->records.len = h->len;
}


static bool
scc_scan_zeros(const uint8_t *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}
