
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_blob.h"
#include "scc_page.h"


static uint32_t scc_page_crc(scc_str_t bytes);
static uint64_t scc_page_get(const uint8_t *p, size_t n);


void
scc_page_write(scc_buf_t *b, const scc_page_t *page)
{
    size_t     start;
    uint32_t   crc;
    scc_str_t  bytes;

    start = b->used;

    scc_buf_mem(b, "SCCP", 4);
    scc_buf_le32(b, SCC_PAGE_FORMAT);
    scc_buf_le32(b, page->cell);
    scc_buf_le32(b, 0);
    scc_buf_le64(b, page->ver);
    scc_buf_le64(b, page->rev);
    scc_buf_le64(b, page->clock);
    scc_buf_le64(b, page->taken);
    scc_buf_str(b, page->json);

    if (b->error) {
        return;
    }

    bytes.len = b->used - start;
    bytes.data = b->start + start;

    crc = scc_page_crc(bytes);

    b->start[start + 12] = (uint8_t) crc;
    b->start[start + 13] = (uint8_t) (crc >> 8);
    b->start[start + 14] = (uint8_t) (crc >> 16);
    b->start[start + 15] = (uint8_t) (crc >> 24);
}


scc_rc_t
scc_page_open(scc_str_t bytes, scc_page_t *page)
{
    if (bytes.len < SCC_PAGE_HEADER
        || memcmp(bytes.data, "SCCP", 4) != 0
        || scc_page_get(bytes.data + 4, 4) != SCC_PAGE_FORMAT
        || scc_page_get(bytes.data + 12, 4) != scc_page_crc(bytes))
    {
        return SCC_DECLINED;
    }

    page->cell = (uint32_t) scc_page_get(bytes.data + 8, 4);
    page->ver = scc_page_get(bytes.data + 16, 8);
    page->rev = scc_page_get(bytes.data + 24, 8);
    page->clock = scc_page_get(bytes.data + 32, 8);
    page->taken = scc_page_get(bytes.data + 40, 8);
    page->json.len = bytes.len - SCC_PAGE_HEADER;
    page->json.data = bytes.data + SCC_PAGE_HEADER;

    return SCC_OK;
}


static uint32_t
scc_page_crc(scc_str_t bytes)
{
    uint32_t              crc;
    static const uint8_t  zero[4];

    crc = scc_crc32c(0, bytes.data, 12);
    crc = scc_crc32c(crc, zero, 4);

    return scc_crc32c(crc, bytes.data + 16, bytes.len - 16);
}


static uint64_t
scc_page_get(const uint8_t *p, size_t n)
{
    uint64_t  value;

    for (value = 0; n != 0; n--) {
        value = value << 8 | p[n - 1];
    }

    return value;
}
