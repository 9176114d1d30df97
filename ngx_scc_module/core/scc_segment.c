
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_journal_int.h"

#include <string.h>

#include "scc_blob.h"


#define SCC_SEGMENT_AT_MAGIC     0
#define SCC_SEGMENT_AT_FORMAT    8
#define SCC_SEGMENT_AT_SCHEMA    10
#define SCC_SEGMENT_AT_CRC       12
#define SCC_SEGMENT_AT_SEGMENT   16
#define SCC_SEGMENT_AT_WRITER    32
#define SCC_SEGMENT_AT_STORE     48
#define SCC_SEGMENT_AT_NUMBER    64
#define SCC_SEGMENT_AT_CREATED   72
#define SCC_SEGMENT_AT_LAST_HLC  80
#define SCC_SEGMENT_AT_PREVIOUS  88
#define SCC_SEGMENT_AT_CHAIN     104
#define SCC_SEGMENT_AT_HOST_LEN  108
#define SCC_SEGMENT_AT_HOST      112
#define SCC_SEGMENT_AT_ERASED    (SCC_SEGMENT_AT_HOST + SCC_JOURNAL_HOST_MAX)


static uint32_t scc_segment_crc(const uint8_t *block);


static const uint8_t  scc_segment_magic[8] = {
    'S', 'C', 'C', 'J', '0', '0', '0', '1'
};


uint32_t
scc_segment_write(uint8_t block[SCC_JOURNAL_BLOCK], const scc_segment_t *s)
{
    size_t    n;
    uint32_t  crc;

    n = s->host.len < SCC_JOURNAL_HOST_MAX ? s->host.len
                                           : SCC_JOURNAL_HOST_MAX;

    memset(block, 0, SCC_JOURNAL_BLOCK);
    memcpy(block + SCC_SEGMENT_AT_MAGIC, scc_segment_magic, 8);

    scc_put16(block + SCC_SEGMENT_AT_FORMAT, SCC_JOURNAL_FORMAT);
    scc_put16(block + SCC_SEGMENT_AT_SCHEMA, SCC_JOURNAL_SCHEMA);

    memcpy(block + SCC_SEGMENT_AT_SEGMENT, s->segment, 16);
    memcpy(block + SCC_SEGMENT_AT_WRITER, s->writer, 16);
    memcpy(block + SCC_SEGMENT_AT_STORE, s->store, 16);

    scc_put64(block + SCC_SEGMENT_AT_NUMBER, s->number);
    scc_put64(block + SCC_SEGMENT_AT_CREATED, s->created);
    scc_put64(block + SCC_SEGMENT_AT_LAST_HLC, s->last_hlc);

    memcpy(block + SCC_SEGMENT_AT_PREVIOUS, s->previous, 16);

    scc_put32(block + SCC_SEGMENT_AT_CHAIN, s->previous_chain);
    scc_put32(block + SCC_SEGMENT_AT_HOST_LEN, (uint32_t) n);

    if (n) {
        memcpy(block + SCC_SEGMENT_AT_HOST, s->host.data, n);
    }

    crc = scc_segment_crc(block);
    scc_put32(block + SCC_SEGMENT_AT_CRC, crc);

    return crc;
}


scc_rc_t
scc_segment_read(const uint8_t block[SCC_JOURNAL_BLOCK], scc_segment_t *s,
    uint32_t *chain)
{
    uint32_t  crc;

    crc = scc_le32(block + SCC_SEGMENT_AT_CRC);

    if (memcmp(block, scc_segment_magic, 8) != 0
        || scc_le16(block + SCC_SEGMENT_AT_FORMAT) != SCC_JOURNAL_FORMAT
        || crc != scc_segment_crc(block)
        || scc_le32(block + SCC_SEGMENT_AT_HOST_LEN) > SCC_JOURNAL_HOST_MAX)
    {
        return SCC_DECLINED;
    }

    memcpy(s->segment, block + SCC_SEGMENT_AT_SEGMENT, 16);
    memcpy(s->writer, block + SCC_SEGMENT_AT_WRITER, 16);
    memcpy(s->store, block + SCC_SEGMENT_AT_STORE, 16);

    s->number = scc_le64(block + SCC_SEGMENT_AT_NUMBER);
    s->created = scc_le64(block + SCC_SEGMENT_AT_CREATED);
    s->last_hlc = scc_le64(block + SCC_SEGMENT_AT_LAST_HLC);

    memcpy(s->previous, block + SCC_SEGMENT_AT_PREVIOUS, 16);

    s->previous_chain = scc_le32(block + SCC_SEGMENT_AT_CHAIN);
    s->host.len = scc_le32(block + SCC_SEGMENT_AT_HOST_LEN);
    s->host.data = block + SCC_SEGMENT_AT_HOST;

    *chain = crc;

    return SCC_OK;
}


uint32_t
scc_segment_erase(uint8_t block[SCC_JOURNAL_BLOCK])
{
    uint32_t  crc;

    scc_put32(block + SCC_SEGMENT_AT_ERASED, 1);

    crc = scc_segment_crc(block);
    scc_put32(block + SCC_SEGMENT_AT_CRC, crc);

    return crc;
}


bool
scc_segment_erased(const uint8_t block[SCC_JOURNAL_BLOCK])
{
    return scc_le32(block + SCC_SEGMENT_AT_ERASED) == 1;
}


static uint32_t
scc_segment_crc(const uint8_t *block)
{
    uint32_t  crc;

    static const uint8_t  zero[4];

    crc = scc_crc32c(0, block, SCC_SEGMENT_AT_CRC);
    crc = scc_crc32c(crc, zero, 4);

    return scc_crc32c(crc, block + SCC_SEGMENT_AT_CRC + 4,
                      SCC_JOURNAL_BLOCK - SCC_SEGMENT_AT_CRC - 4);
}
