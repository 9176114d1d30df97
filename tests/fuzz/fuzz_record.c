
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_blob.h"
#include "scc_journal.h"


/*
 * Any bytes as the record that the queue carries, as they are and with a
 * true checksum over the length they claim.  What is read can be written
 * again, and is the same.
 *
 * Input that starts with a line "record" is text: the next line is
 * "kind|key|target|contributor|name|body", kind a letter from "a"; lines
 * "@offset=byte", in hexadecimal, change a byte of what is written.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_bytes(const uint8_t *data, size_t size);
static void fuzz_text(scc_str_t text);
static scc_str_t fuzz_part(scc_str_t *text, uint8_t end);
static void fuzz_patch(scc_buf_t *b, scc_str_t line);
static void fuzz_read(scc_str_t bytes);
static bool fuzz_one(scc_str_t *bytes);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scc_str_t  text;

    if (size > 7 && memcmp(data, "record\n", 7) == 0) {
        text.data = data + 7;
        text.len = size - 7;
        fuzz_text(text);

    } else {
        fuzz_bytes(data, size);
    }

    return 0;
}


/* Copies, so that a read beyond the end is seen. */

static void
fuzz_bytes(const uint8_t *data, size_t size)
{
    size_t      len;
    uint8_t    *copy;
    uint32_t    crc;
    unsigned    i;
    scc_str_t   bytes;

    copy = malloc(size ? size : 1);

    if (copy == NULL) {
        return;
    }

    if (size) {
        memcpy(copy, data, size);
    }

    bytes.data = copy;
    bytes.len = size;

    fuzz_read(bytes);

    if (size >= SCC_JOURNAL_RECORD) {
        len = scc_le32(copy);

        if (len >= SCC_JOURNAL_RECORD && len <= size) {
            crc = scc_crc32c(0, copy + 8, len - 8);

            for (i = 0; i < 4; i++) {
                copy[4 + i] = (uint8_t) (crc >> (8 * i));
            }

            fuzz_read(bytes);
        }
    }

    free(copy);
}


static void
fuzz_text(scc_str_t text)
{
    size_t        size;
    scc_buf_t     b;
    scc_str_t     line, kind;
    scc_record_t  r, again;

    line = fuzz_part(&text, '\n');
    kind = fuzz_part(&line, '|');

    memset(&r, 0, sizeof(scc_record_t));
    r.kind = (scc_kind_t) (kind.len ? kind.data[0] - 'a' + 1 : 0);
    r.key = fuzz_part(&line, '|');
    r.target = fuzz_part(&line, '|');
    r.contributor_id = fuzz_part(&line, '|');
    r.contributor_name = fuzz_part(&line, '|');
    r.body = line;

    scc_buf_heap(&b, 0);
    scc_record_write(&b, &r);

    if (b.error != (scc_record_size(&r) == 0)) {
        abort();
    }

    if (!b.error) {

        if (scc_record_read(scc_buf_get(&b), &again, &size) != SCC_OK
            || size != b.used || again.kind != r.kind
            || !scc_str_eq(again.key, r.key)
            || !scc_str_eq(again.contributor_name, r.contributor_name)
            || !scc_str_eq(again.body, r.body))
        {
            abort();
        }

        while (text.len) {
            fuzz_patch(&b, fuzz_part(&text, '\n'));
        }

        fuzz_bytes(b.start, b.used);
    }

    scc_buf_free(&b);
}


static scc_str_t
fuzz_part(scc_str_t *text, uint8_t end)
{
    size_t     n;
    scc_str_t  part;

    for (n = 0; n < text->len && text->data[n] != end; n++) { /* void */ }

    part.data = text->data;
    part.len = n;

    n += (n < text->len);
    text->data += n;
    text->len -= n;

    return part;
}


static void
fuzz_patch(scc_buf_t *b, scc_str_t line)
{
    char      text[32], *end;
    size_t    offset;
    unsigned  byte;

    if (line.len < 2 || line.len >= sizeof(text) || line.data[0] != '@') {
        return;
    }

    memcpy(text, line.data + 1, line.len - 1);
    text[line.len - 1] = '\0';

    offset = strtoul(text, &end, 16);

    if (*end != '=' || offset >= b->used) {
        return;
    }

    byte = (unsigned) strtoul(end + 1, NULL, 16);
    b->start[offset] = (uint8_t) byte;
}


/* One after the other, as in an entry of the queue. */

static void
fuzz_read(scc_str_t bytes)
{
    bool  more;

    do {
        more = fuzz_one(&bytes);
    } while (more);
}


static bool
fuzz_one(scc_str_t *bytes)
{
    size_t        size;
    scc_rc_t      rc;
    scc_buf_t     b;
    scc_record_t  r;

    rc = scc_record_read(*bytes, &r, &size);

    if (size > bytes->len || size % 8 != 0) {
        abort();
    }

    if (rc != SCC_OK) {
        return false;
    }

    if (scc_record_size(&r) != size || scc_kind_name(r.kind).len == 0) {
        abort();
    }

    scc_buf_heap(&b, 0);
    scc_record_write(&b, &r);

    if (b.error || b.used != size
        || memcmp(b.start, bytes->data, size) != 0)
    {
        abort();
    }

    scc_buf_free(&b);

    bytes->data += size;
    bytes->len -= size;

    return true;
}
