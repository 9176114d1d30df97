
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_journal_int.h"

#include <string.h>

#include "scc_blob.h"


static void scc_batch_header(uint8_t *p, scc_chain_t *c, uint32_t type,
    uint32_t n, uint64_t first_hlc, uint64_t last_hlc, size_t len);


void
scc_chain_begin(scc_chain_t *c, const scc_segment_t *s, uint32_t chain)
{
    memset(c, 0, sizeof(scc_chain_t));
    memcpy(c->salt, s->segment, sizeof(c->salt));

    c->chain = chain;
}


void
scc_batch_begin(scc_batch_t *batch, scc_buf_t *b)
{
    uint8_t  *p;

    memset(batch, 0, sizeof(scc_batch_t));

    batch->b = b;

    scc_buf_reset(b);
    p = scc_buf_reserve(b, SCC_JOURNAL_BATCH);

    if (p) {
        memset(p, 0, SCC_JOURNAL_BATCH);
    }
}


void
scc_batch_add(scc_batch_t *batch, const scc_record_t *r)
{
    if (batch->n == 0 || r->hlc < batch->first_hlc) {
        batch->first_hlc = r->hlc;
    }

    if (r->hlc > batch->last_hlc) {
        batch->last_hlc = r->hlc;
    }

    scc_id_xor(batch->ids, r->event_id);
    batch->n++;
}


scc_rc_t
scc_batch_finish(scc_batch_t *batch, scc_chain_t *c)
{
    size_t      len, padding;
    uint8_t    *p;
    scc_buf_t  *b;

    b = batch->b;

    if (b->error || batch->n == 0) {
        return SCC_ERROR;
    }

    len = b->used - SCC_JOURNAL_BATCH;

    if (len > SCC_JOURNAL_BATCH_MAX) {
        b->error = true;
        return SCC_ERROR;
    }

    padding = scc_journal_align(b->used, SCC_JOURNAL_BLOCK) - b->used;

    if (padding) {
        p = scc_buf_reserve(b, padding);

        if (p == NULL) {
            return SCC_ERROR;
        }

        memset(p, 0, padding);
    }

    scc_batch_header(b->start, c, SCC_BATCH_RECORDS, batch->n,
                     batch->first_hlc, batch->last_hlc, len);

    scc_chain_count(c, batch->n, batch->first_hlc, batch->last_hlc,
                    batch->ids);

    return SCC_OK;
}


/* Padding is all that finish() adds; the header is written anew. */

scc_rc_t
scc_batch_move(scc_batch_t *batch, scc_chain_t *c)
{
    size_t      len;
    scc_buf_t  *b;

    b = batch->b;

    if (!b->error && b->used >= SCC_JOURNAL_BATCH) {
        len = scc_le32(b->start + SCC_BATCH_AT_LEN);

        if (len) {
            b->used = SCC_JOURNAL_BATCH + len;
        }
    }

    return scc_batch_finish(batch, c);
}


scc_rc_t
scc_batch_seal(scc_buf_t *b, scc_chain_t *c)
{
    uint8_t  *p;

    scc_buf_reset(b);

    p = scc_buf_reserve(b, SCC_JOURNAL_BLOCK);

    if (p == NULL) {
        return SCC_ERROR;
    }

    memset(p, 0, SCC_JOURNAL_BLOCK);

    scc_chain_seal(c, p + SCC_JOURNAL_BATCH);
    scc_batch_header(p, c, SCC_BATCH_SEAL, 0, c->first_hlc, c->last_hlc,
                     SCC_BATCH_SEAL_SIZE);

    return SCC_OK;
}


uint32_t
scc_chain_step(uint32_t chain, const uint8_t *header)
{
    uint8_t  previous[4];

    scc_put32(previous, chain);

    return scc_crc32c(scc_crc32c(0, previous, 4), header,
                      SCC_BATCH_AT_CHAIN);
}


void
scc_chain_count(scc_chain_t *c, uint32_t n, uint64_t first_hlc,
    uint64_t last_hlc, const uint8_t ids[16])
{
    if (c->records == 0 || first_hlc < c->first_hlc) {
        c->first_hlc = first_hlc;
    }

    if (last_hlc > c->last_hlc) {
        c->last_hlc = last_hlc;
    }

    scc_id_xor(c->ids, ids);
    c->records += n;
}


void
scc_chain_seal(const scc_chain_t *c, uint8_t p[SCC_BATCH_SEAL_SIZE])
{
    memset(p, 0, SCC_BATCH_SEAL_SIZE);

    scc_put64(p + SCC_SEAL_AT_RECORDS, c->records);
    scc_put64(p + SCC_SEAL_AT_FIRST, c->first_hlc);
    scc_put64(p + SCC_SEAL_AT_LAST, c->last_hlc);
    memcpy(p + SCC_SEAL_AT_IDS, c->ids, 16);
    scc_put64(p + SCC_SEAL_AT_BATCHES, c->next);
}


static void
scc_batch_header(uint8_t *p, scc_chain_t *c, uint32_t type, uint32_t n,
    uint64_t first_hlc, uint64_t last_hlc, size_t len)
{
    memcpy(p + SCC_BATCH_AT_MAGIC, "SCCB", 4);
    scc_put32(p + SCC_BATCH_AT_TYPE, type);
    scc_put64(p + SCC_BATCH_AT_NUMBER, c->next);
    memcpy(p + SCC_BATCH_AT_SALT, c->salt, sizeof(c->salt));
    scc_put32(p + SCC_BATCH_AT_N, n);
    scc_put32(p + SCC_BATCH_AT_LEN, (uint32_t) len);
    scc_put64(p + SCC_BATCH_AT_FIRST, first_hlc);
    scc_put64(p + SCC_BATCH_AT_LAST, last_hlc);
    scc_put32(p + SCC_BATCH_AT_CRC,
              scc_crc32c(0, p + SCC_JOURNAL_BATCH, len));

    c->chain = scc_chain_step(c->chain, p);
    c->next++;

    scc_put32(p + SCC_BATCH_AT_CHAIN, c->chain);
    scc_put32(p + SCC_BATCH_AT_HEADER,
              scc_crc32c(0, p, SCC_BATCH_AT_HEADER));
    scc_put32(p + SCC_BATCH_AT_ZERO, 0);
}
