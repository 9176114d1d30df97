
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_anchor.h"
#include "scc_blob.h"


/*
 * Any bytes as an anchor, as they are and with a true checksum behind them,
 * and as a witness.  What is read can be written again, and is the same.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_read(scc_str_t text);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char           crc[sizeof(",\"crc\":\"01234567\"}")];
    size_t         len;
    uint8_t       *copy;
    uint32_t       sum;
    unsigned       i;
    scc_str_t      text;
    scc_witness_t  w;

    static const char  hex[] = "0123456789abcdef";

    if (size > 2 * SCC_ANCHOR_MAX) {
        return 0;
    }

    /* copies, so that a read beyond the end is seen */

    len = sizeof(crc) - 1;
    copy = malloc(size + len);

    if (copy == NULL) {
        return 0;
    }

    if (size > 0) {
        memcpy(copy, data, size);
    }

    memcpy(crc, ",\"crc\":\"00000000\"}", sizeof(crc));
    sum = scc_crc32c(0, copy, size);

    for (i = 0; i < 8; i++) {
        crc[8 + i] = hex[sum >> (28 - 4 * i) & 15];
    }

    memcpy(copy + size, crc, len);

    text.data = copy;
    text.len = size + len;
    fuzz_read(text);
    free(copy);

    copy = malloc(size > 0 ? size : 1);

    if (copy == NULL) {
        return 0;
    }

    if (size > 0) {
        memcpy(copy, data, size);
    }

    text.data = copy;
    text.len = size;
    fuzz_read(text);
    (void) scc_witness_parse(text, &w);
    free(copy);

    return 0;
}


static void
fuzz_read(scc_str_t text)
{
    uint8_t       block[SCC_ANCHOR_MAX];
    scc_buf_t     b;
    scc_anchor_t  a, again;

    if (scc_anchor_read(text, &a) != SCC_OK) {
        return;
    }

    scc_buf_fixed(&b, block, sizeof(block));
    scc_anchor_write(&b, &a);

    if (b.error
        || scc_anchor_read(scc_buf_get(&b), &again) != SCC_OK
        || memcmp(&a, &again, sizeof(a)) != 0)
    {
        abort();
    }
}
