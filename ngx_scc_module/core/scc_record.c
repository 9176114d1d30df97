
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_journal_int.h"

#include <string.h>

#include "scc_blob.h"


#define SCC_KINDS  (sizeof(scc_kinds) / sizeof(scc_kinds[0]))


static bool scc_record_text(scc_str_t text, size_t max);
static scc_str_t scc_record_part(const uint8_t **p, size_t len);


/* By number. */

static const scc_str_t  scc_kinds[] = {
    scc_null_string,
    scc_string("place"),
    scc_string("place_accessibility"),
    scc_string("building"),
    scc_string("building_accessibility"),
    scc_string("comment"),
    scc_string("report"),
    scc_string("retract"),
    scc_string("restore"),
    scc_string("contributor"),
    scc_string("erase"),
    scc_string("remove"),
    scc_string("reinstate"),
    scc_string("photo")
};


scc_str_t
scc_kind_name(scc_kind_t kind)
{
    return scc_kinds[(unsigned) kind < SCC_KINDS ? (unsigned) kind : 0];
}


scc_rc_t
scc_kind_parse(scc_str_t name, scc_kind_t *kind)
{
    unsigned  i;

    for (i = 1; i < SCC_KINDS; i++) {
        if (scc_str_eq(name, scc_kinds[i])) {
            *kind = (scc_kind_t) i;
            return SCC_OK;
        }
    }

    return SCC_DECLINED;
}


size_t
scc_record_size(const scc_record_t *r)
{
    size_t  size;

    if ((unsigned) r->kind < 1 || (unsigned) r->kind >= SCC_KINDS
        || !scc_record_text(r->key, SCC_JOURNAL_KEY_MAX)
        || !scc_record_text(r->target, SCC_ID_MAX)
        || !scc_record_text(r->contributor_id, SCC_ID_MAX)
        || !scc_record_text(r->contributor_name, SCC_NAME_MAX)
        || r->body.len > SCC_JOURNAL_RECORD_MAX)
    {
        return 0;
    }

    size = SCC_JOURNAL_RECORD + r->key.len + r->target.len
           + r->contributor_id.len + r->contributor_name.len + r->body.len;

    if (size > SCC_JOURNAL_RECORD_MAX) {
        return 0;
    }

    return scc_journal_align(size, SCC_RECORD_ALIGN);
}


void
scc_record_write(scc_buf_t *b, const scc_record_t *r)
{
    size_t    size, len;
    uint8_t  *p, *to;
    unsigned  i;

    const scc_str_t  parts[] = {
        r->key, r->target, r->contributor_id, r->contributor_name, r->body
    };

    size = scc_record_size(r);

    if (size == 0) {
        b->error = true;
        return;
    }

    p = scc_buf_reserve(b, size);

    if (p == NULL) {
        return;
    }

    to = p + SCC_JOURNAL_RECORD;

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].len) {
            memcpy(to, parts[i].data, parts[i].len);
            to += parts[i].len;
        }
    }

    len = (size_t) (to - p);
    memset(to, 0, size - len);

    scc_put32(p + SCC_RECORD_AT_LEN, (uint32_t) len);
    scc_put16(p + SCC_RECORD_AT_SCHEMA, SCC_JOURNAL_SCHEMA);
    p[SCC_RECORD_AT_KIND] = (uint8_t) r->kind;
    p[SCC_RECORD_AT_FLAGS] = 0;
    scc_put16(p + SCC_RECORD_AT_KEY, (uint16_t) r->key.len);
    scc_put16(p + SCC_RECORD_AT_TARGET, (uint16_t) r->target.len);
    scc_put16(p + SCC_RECORD_AT_ID, (uint16_t) r->contributor_id.len);
    scc_put16(p + SCC_RECORD_AT_NAME, (uint16_t) r->contributor_name.len);
    scc_put32(p + SCC_RECORD_AT_BODY, (uint32_t) r->body.len);
    scc_put64(p + SCC_RECORD_AT_HLC, r->hlc);
    scc_put64(p + SCC_RECORD_AT_TIME, r->received);
    memcpy(p + SCC_RECORD_AT_EVENT, r->event_id, 16);
    memcpy(p + SCC_RECORD_AT_SHA256, r->sha256, 32);

    scc_put32(p + SCC_RECORD_AT_CRC,
              scc_crc32c(0, p + SCC_RECORD_AT_SCHEMA,
                         len - SCC_RECORD_AT_SCHEMA));
}


/* The crc comes after the lengths: salvage tries many places. */

scc_rc_t
scc_record_read(scc_str_t bytes, scc_record_t *r, size_t *size)
{
    size_t          len, padded, sum, i;
    const uint8_t  *p;

    *size = 0;
    p = bytes.data;

    if (bytes.len < SCC_JOURNAL_RECORD) {
        return SCC_DECLINED;
    }

    len = scc_le32(p + SCC_RECORD_AT_LEN);

    if (len < SCC_JOURNAL_RECORD || len > SCC_JOURNAL_RECORD_MAX) {
        return SCC_DECLINED;
    }

    padded = scc_journal_align(len, SCC_RECORD_ALIGN);

    if (padded > bytes.len) {
        return SCC_DECLINED;
    }

    r->key.len = scc_le16(p + SCC_RECORD_AT_KEY);
    r->target.len = scc_le16(p + SCC_RECORD_AT_TARGET);
    r->contributor_id.len = scc_le16(p + SCC_RECORD_AT_ID);
    r->contributor_name.len = scc_le16(p + SCC_RECORD_AT_NAME);
    r->body.len = scc_le32(p + SCC_RECORD_AT_BODY);

    if (r->body.len > len) {
        return SCC_DECLINED;
    }

    sum = SCC_JOURNAL_RECORD + r->key.len + r->target.len
          + r->contributor_id.len + r->contributor_name.len + r->body.len;

    if (sum != len
        || scc_le32(p + SCC_RECORD_AT_CRC)
           != scc_crc32c(0, p + SCC_RECORD_AT_SCHEMA,
                         len - SCC_RECORD_AT_SCHEMA))
    {
        return SCC_DECLINED;
    }

    for (i = len; i < padded; i++) {
        if (p[i] != 0) {
            return SCC_DECLINED;
        }
    }

    *size = padded;

    r->kind = (scc_kind_t) p[SCC_RECORD_AT_KIND];
    r->hlc = scc_le64(p + SCC_RECORD_AT_HLC);
    r->received = scc_le64(p + SCC_RECORD_AT_TIME);
    memcpy(r->event_id, p + SCC_RECORD_AT_EVENT, 16);
    memcpy(r->sha256, p + SCC_RECORD_AT_SHA256, 32);

    if (scc_le16(p + SCC_RECORD_AT_SCHEMA) != SCC_JOURNAL_SCHEMA
        || p[SCC_RECORD_AT_FLAGS] != 0)
    {
        return SCC_DECLINED;
    }

    p += SCC_JOURNAL_RECORD;

    r->key = scc_record_part(&p, r->key.len);
    r->target = scc_record_part(&p, r->target.len);
    r->contributor_id = scc_record_part(&p, r->contributor_id.len);
    r->contributor_name = scc_record_part(&p, r->contributor_name.len);
    r->body = scc_record_part(&p, r->body.len);

    /* kind, limits and text: what could not have been written */

    return scc_record_size(r) == padded ? SCC_OK : SCC_DECLINED;
}


/* A NUL would end the text where it becomes a C string. */

static bool
scc_record_text(scc_str_t text, size_t max)
{
    if (text.len == 0) {
        return true;
    }

    return text.len <= max && memchr(text.data, 0, text.len) == NULL
           && scc_utf8_valid(text);
}


static scc_str_t
scc_record_part(const uint8_t **p, size_t len)
{
    scc_str_t  part = { len, *p };

    *p += len;

    return part;
}
