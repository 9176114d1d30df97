
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_JOURNAL_INT_H_INCLUDED_
#define _SCC_JOURNAL_INT_H_INCLUDED_


#include "scc_journal.h"


/* What the files of the journal share: offsets, and the chain's step. */

#define SCC_BATCH_RECORDS     1
#define SCC_BATCH_SEAL        2
#define SCC_BATCH_SEAL_SIZE   64

#define SCC_BATCH_AT_MAGIC    0
#define SCC_BATCH_AT_TYPE     4
#define SCC_BATCH_AT_NUMBER   8
#define SCC_BATCH_AT_SALT     16
#define SCC_BATCH_AT_N        24
#define SCC_BATCH_AT_LEN      28
#define SCC_BATCH_AT_FIRST    32
#define SCC_BATCH_AT_LAST     40
#define SCC_BATCH_AT_CRC      48
#define SCC_BATCH_AT_CHAIN    52
#define SCC_BATCH_AT_HEADER   56
#define SCC_BATCH_AT_ZERO     60

#define SCC_SEAL_AT_RECORDS   0
#define SCC_SEAL_AT_FIRST     8
#define SCC_SEAL_AT_LAST      16
#define SCC_SEAL_AT_IDS       24
#define SCC_SEAL_AT_BATCHES   40

#define SCC_RECORD_AT_LEN     0
#define SCC_RECORD_AT_CRC     4
#define SCC_RECORD_AT_SCHEMA  8
#define SCC_RECORD_AT_KIND    10
#define SCC_RECORD_AT_FLAGS   11
#define SCC_RECORD_AT_KEY     12
#define SCC_RECORD_AT_TARGET  14
#define SCC_RECORD_AT_ID      16
#define SCC_RECORD_AT_NAME    18
#define SCC_RECORD_AT_BODY    20
#define SCC_RECORD_AT_HLC     24
#define SCC_RECORD_AT_TIME    32
#define SCC_RECORD_AT_EVENT   40
#define SCC_RECORD_AT_SHA256  56

#define SCC_RECORD_ALIGN      8

#define scc_journal_align(n, to)  (((n) + (to) - 1) & ~((size_t) (to) - 1))


/* The chain after a batch with this header, whose bytes up to
   SCC_BATCH_AT_CHAIN are final. */
uint32_t scc_chain_step(uint32_t chain, const uint8_t *header);

/* Counts a batch of n records; ids is the xor of their event ids. */
void scc_chain_count(scc_chain_t *c, uint32_t n, uint64_t first_hlc,
    uint64_t last_hlc, const uint8_t ids[16]);

/* SEAL's payload. */
void scc_chain_seal(const scc_chain_t *c, uint8_t p[SCC_BATCH_SEAL_SIZE]);


static inline void
scc_put16(uint8_t *p, uint16_t n)
{
    p[0] = (uint8_t) n;
    p[1] = (uint8_t) (n >> 8);
}


static inline void
scc_put32(uint8_t *p, uint32_t n)
{
    scc_put16(p, (uint16_t) n);
    scc_put16(p + 2, (uint16_t) (n >> 16));
}


static inline void
scc_put64(uint8_t *p, uint64_t n)
{
    scc_put32(p, (uint32_t) n);
    scc_put32(p + 4, (uint32_t) (n >> 32));
}


static inline void
scc_id_xor(uint8_t *ids, const uint8_t *id)
{
    unsigned  i;

    for (i = 0; i < 16; i++) {
        ids[i] ^= id[i];
    }
}


#endif /* _SCC_JOURNAL_INT_H_INCLUDED_ */
