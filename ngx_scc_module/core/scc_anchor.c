
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_anchor.h"
#include "scc_blob.h"
#include "scc_contribution.h"
#include "scc_json_object.h"


#define SCC_ANCHOR_VERSION  1
#define SCC_ANCHOR_TAIL     (sizeof(",\"crc\":\"01234567\"}") - 1)


typedef enum {
    SCC_ANCHOR_NUMBER = 0,
    SCC_ANCHOR_NUMBER32,
    SCC_ANCHOR_QUOTED,                  /* a number as a string */
    SCC_ANCHOR_LSN,
    SCC_ANCHOR_UUID,
    SCC_ANCHOR_STATE,
    SCC_ANCHOR_REASON,
} scc_anchor_type_t;


typedef struct {
    scc_str_t           name;
    scc_anchor_type_t   type;
    size_t              offset;         /* in scc_anchor_t */
} scc_anchor_member_t;


typedef struct {
    scc_anchor_t       *anchor;
    uint64_t            version;
    uint32_t            seen;           /* a bit per member */
} scc_anchor_reader_t;


static void scc_anchor_value(scc_buf_t *b, const scc_anchor_member_t *m,
    const void *value);
static void scc_anchor_lsn(scc_buf_t *b, uint64_t lsn);
static void scc_anchor_hex(scc_buf_t *b, uint32_t n, bool all);
static scc_rc_t scc_anchor_crc(scc_str_t *text);
static scc_rc_t scc_anchor_take(void *ctx, scc_str_t key, scc_str_t value);
static scc_rc_t scc_anchor_parse(const scc_anchor_member_t *m,
    scc_str_t text, void *value);
static uint64_t scc_anchor_max(uint64_t a, uint64_t b);


static const scc_str_t  scc_anchor_name = scc_string("anchor");

#define SCC_ANCHOR_AT(member)  offsetof(scc_anchor_t, member)

static const scc_anchor_member_t  scc_anchor_members[] = {
    { scc_string("store"), SCC_ANCHOR_UUID, SCC_ANCHOR_AT(high.store) },
    { scc_string("epoch"), SCC_ANCHOR_NUMBER32, SCC_ANCHOR_AT(high.epoch) },
    { scc_string("life"), SCC_ANCHOR_NUMBER32, SCC_ANCHOR_AT(life) },
    { scc_string("system"), SCC_ANCHOR_QUOTED, SCC_ANCHOR_AT(high.system) },
    { scc_string("timeline"), SCC_ANCHOR_NUMBER32,
      SCC_ANCHOR_AT(high.timeline) },
    { scc_string("lsn"), SCC_ANCHOR_LSN, SCC_ANCHOR_AT(high.lsn) },
    { scc_string("events"), SCC_ANCHOR_NUMBER, SCC_ANCHOR_AT(high.events) },
    { scc_string("removals"), SCC_ANCHOR_NUMBER,
      SCC_ANCHOR_AT(high.removals) },
    { scc_string("places"), SCC_ANCHOR_NUMBER, SCC_ANCHOR_AT(high.places) },
    { scc_string("contributors"), SCC_ANCHOR_NUMBER,
      SCC_ANCHOR_AT(high.contributors) },
    { scc_string("hlc"), SCC_ANCHOR_QUOTED, SCC_ANCHOR_AT(high.hlc) },
    { scc_string("state"), SCC_ANCHOR_STATE, SCC_ANCHOR_AT(verdict.state) },
    { scc_string("reason"), SCC_ANCHOR_REASON,
      SCC_ANCHOR_AT(verdict.reason) },
    { scc_string("sinceMs"), SCC_ANCHOR_NUMBER, SCC_ANCHOR_AT(since) },
    { scc_string("writtenMs"), SCC_ANCHOR_NUMBER, SCC_ANCHOR_AT(written) }
};

#define SCC_ANCHOR_MEMBERS                                                    \
    (sizeof(scc_anchor_members) / sizeof(scc_anchor_members[0]))


void
scc_anchor_write(scc_buf_t *b, const scc_anchor_t *a)
{
    size_t                      start;
    uint32_t                    crc;
    unsigned                    i;
    const scc_anchor_member_t  *m;

    start = b->used;

    scc_buf_text(b, "{\"anchor\":");
    scc_buf_uint(b, SCC_ANCHOR_VERSION);

    for (i = 0; i < SCC_ANCHOR_MEMBERS; i++) {
        m = &scc_anchor_members[i];

        scc_buf_text(b, ",\"");
        scc_buf_str(b, m->name);
        scc_buf_text(b, "\":");
        scc_anchor_value(b, m, (const uint8_t *) a + m->offset);
    }

    if (b->error) {
        return;
    }

    crc = scc_crc32c(0, b->start + start, b->used - start);

    scc_buf_text(b, ",\"crc\":\"");
    scc_anchor_hex(b, crc, true);
    scc_buf_text(b, "\"}\n");
}


scc_rc_t
scc_anchor_read(scc_str_t text, scc_anchor_t *a)
{
    scc_rc_t             rc;
    scc_err_t            err;
    scc_anchor_reader_t  reader;

    if (text.len > SCC_ANCHOR_MAX || scc_anchor_crc(&text) != SCC_OK) {
        return SCC_DECLINED;
    }

    memset(a, 0, sizeof(scc_anchor_t));

    reader.anchor = a;
    reader.version = 0;
    reader.seen = 0;

    rc = scc_json_object(text, scc_anchor_take, &reader, &err);

    if (rc != SCC_OK) {
        return rc;
    }

    if (reader.version != SCC_ANCHOR_VERSION
        || reader.seen != ((uint32_t) 1 << SCC_ANCHOR_MEMBERS) - 1
        || a->high.epoch == 0)
    {
        return SCC_DECLINED;
    }

    return SCC_OK;
}


scc_rc_t
scc_anchor_merge(scc_anchor_t *a, const scc_anchor_t *b)
{
    scc_anchor_t    m;
    scc_witness_t  *high;

    if (memcmp(a->high.store, b->high.store, 16) != 0) {
        return SCC_DECLINED;
    }

    m = *a;

    if (b->high.epoch > a->high.epoch
        || (b->high.epoch == a->high.epoch && b->life > a->life))
    {
        m = *b;

    } else if (b->high.epoch == a->high.epoch && b->life == a->life) {
        high = &m.high;

        if (b->high.timeline > high->timeline) {
            high->timeline = b->high.timeline;
            high->lsn = b->high.lsn;

        } else if (b->high.timeline == high->timeline) {
            high->lsn = scc_anchor_max(high->lsn, b->high.lsn);
        }

        /* of two that know of equally many removals the higher counts */

        if (b->high.removals > high->removals) {
            high->places = b->high.places;

        } else if (b->high.removals == high->removals) {
            high->places = scc_anchor_max(high->places, b->high.places);
        }

        high->events = scc_anchor_max(high->events, b->high.events);
        high->removals = scc_anchor_max(high->removals, b->high.removals);
        high->contributors = scc_anchor_max(high->contributors,
                                            b->high.contributors);
        high->hlc = scc_anchor_max(high->hlc, b->high.hlc);
    }

    m.verdict = b->written > a->written ? b->verdict : a->verdict;
    m.since = b->written > a->written ? b->since : a->since;
    m.written = scc_anchor_max(a->written, b->written);

    *a = m;

    return SCC_OK;
}


void
scc_anchor_raise(scc_anchor_t *a, const scc_witness_t *w)
{
    uint64_t        removed, places;
    scc_witness_t  *high;

    high = &a->high;

    if (w->epoch != high->epoch
        || memcmp(w->store, high->store, 16) != 0)
    {
        *high = *w;
        high->hollow = 0;
        a->life = 0;
        return;
    }

    if (w->lsn != 0) {
        high->lsn = (w->timeline > high->timeline)
                    ? w->lsn : scc_anchor_max(high->lsn, w->lsn);
        high->timeline = (uint32_t) scc_anchor_max(high->timeline,
                                                   w->timeline);
    }

    if (w->removals >= high->removals) {
        removed = w->removals - high->removals;
        places = high->places > removed ? high->places - removed : 0;

        high->places = scc_anchor_max(places, w->places);
        high->removals = w->removals;
    }

    high->events = scc_anchor_max(high->events, w->events);
    high->contributors = scc_anchor_max(high->contributors, w->contributors);
    high->hlc = scc_anchor_max(high->hlc, w->hlc);
}


void
scc_anchor_restart(scc_anchor_t *a, const scc_witness_t *w)
{
    scc_anchor_raise(a, w);

    a->high.timeline = w->timeline;
    a->high.lsn = w->lsn;
    a->life++;
}


static void
scc_anchor_value(scc_buf_t *b, const scc_anchor_member_t *m,
    const void *value)
{
    switch (m->type) {

    case SCC_ANCHOR_NUMBER:
        scc_buf_uint(b, *(const uint64_t *) value);
        return;

    case SCC_ANCHOR_NUMBER32:
        scc_buf_uint(b, *(const uint32_t *) value);
        return;

    default:
        break;
    }

    scc_buf_byte(b, '"');

    switch (m->type) {

    case SCC_ANCHOR_QUOTED:
        scc_buf_uint(b, *(const uint64_t *) value);
        break;

    case SCC_ANCHOR_LSN:
        scc_anchor_lsn(b, *(const uint64_t *) value);
        break;

    case SCC_ANCHOR_UUID:
        scc_uuid_write(b, value);
        break;

    case SCC_ANCHOR_STATE:
        scc_buf_str(b, scc_guard_state_name(
                           *(const scc_guard_state_t *) value));
        break;

    default:
        scc_buf_str(b, scc_guard_reason_name(
                           *(const scc_guard_reason_t *) value));
        break;
    }

    scc_buf_byte(b, '"');
}


static void
scc_anchor_lsn(scc_buf_t *b, uint64_t lsn)
{
    scc_anchor_hex(b, (uint32_t) (lsn >> 32), false);
    scc_buf_byte(b, '/');
    scc_anchor_hex(b, (uint32_t) lsn, false);
}


/* As PostgreSQL writes it, in capitals; all: eight small digits. */

static void
scc_anchor_hex(scc_buf_t *b, uint32_t n, bool all)
{
    int          shift;
    const char  *digits;

    digits = all ? "0123456789abcdef" : "0123456789ABCDEF";

    for (shift = 28; shift >= 0; shift -= 4) {

        if (all || shift == 0 || n >> shift != 0) {
            scc_buf_byte(b, (uint8_t) digits[n >> shift & 15]);
        }
    }
}


/* Cuts the newline; the crc, which is to be the last member, is right. */

static scc_rc_t
scc_anchor_crc(scc_str_t *text)
{
    size_t     len;
    uint8_t    block[SCC_ANCHOR_TAIL];
    scc_buf_t  tail;

    if (text->len > 0 && text->data[text->len - 1] == '\n') {
        text->len--;
    }

    if (text->len <= SCC_ANCHOR_TAIL) {
        return SCC_DECLINED;
    }

    len = text->len - SCC_ANCHOR_TAIL;

    scc_buf_fixed(&tail, block, sizeof(block));
    scc_buf_text(&tail, ",\"crc\":\"");
    scc_anchor_hex(&tail, scc_crc32c(0, text->data, len), true);
    scc_buf_text(&tail, "\"}");

    return memcmp(text->data + len, block, SCC_ANCHOR_TAIL) == 0
           ? SCC_OK : SCC_DECLINED;
}


static scc_rc_t
scc_anchor_take(void *ctx, scc_str_t key, scc_str_t value)
{
    unsigned              i;
    scc_anchor_reader_t  *reader = ctx;

    const scc_anchor_member_t  *m;

    if (scc_str_eq(key, scc_anchor_name)) {
        return scc_guard_decimal(value, UINT32_MAX, &reader->version);
    }

    for (i = 0; i < SCC_ANCHOR_MEMBERS; i++) {
        m = &scc_anchor_members[i];

        if (!scc_str_eq(key, m->name)) {
            continue;
        }

        reader->seen |= (uint32_t) 1 << i;

        return scc_anchor_parse(m, value,
                                (uint8_t *) reader->anchor + m->offset);
    }

    return SCC_OK;
}


static scc_rc_t
scc_anchor_parse(const scc_anchor_member_t *m, scc_str_t text, void *value)
{
    uint64_t  n;

    switch (m->type) {

    case SCC_ANCHOR_NUMBER:
        return scc_guard_decimal(text, INT64_MAX, value);

    case SCC_ANCHOR_QUOTED:
        return scc_guard_decimal(text, UINT64_MAX, value);

    case SCC_ANCHOR_LSN:
        return scc_guard_lsn(text, value);

    case SCC_ANCHOR_UUID:
        return scc_uuid_parse(text, value);

    case SCC_ANCHOR_STATE:
        return scc_guard_state_parse(text, value);

    case SCC_ANCHOR_REASON:
        return scc_guard_reason_parse(text, value);

    default:
        break;
    }

    if (scc_guard_decimal(text, UINT32_MAX, &n) != SCC_OK) {
        return SCC_DECLINED;
    }

    *(uint32_t *) value = (uint32_t) n;

    return SCC_OK;
}


static uint64_t
scc_anchor_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}
