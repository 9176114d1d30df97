
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_blob.h"

#include <string.h>


#define SCC_BLOB_FLAG_BODY  0x01

/* Offsets in the header and in an index entry. */

#define SCC_BLOB_AT_STATE   5
#define SCC_BLOB_AT_FLAGS   6
#define SCC_BLOB_AT_ZERO    7
#define SCC_BLOB_AT_VER     8
#define SCC_BLOB_AT_FLOOR   16
#define SCC_BLOB_AT_LEASE   24
#define SCC_BLOB_AT_END     32
#define SCC_BLOB_AT_N       40
#define SCC_BLOB_AT_N_CAT   44
#define SCC_BLOB_AT_IDS     48
#define SCC_BLOB_AT_CATS    52
#define SCC_BLOB_AT_FRAGS   56
#define SCC_BLOB_AT_CRC     60

#define SCC_ENTRY_LON       0
#define SCC_ENTRY_LAT       4
#define SCC_ENTRY_FRAG      8
#define SCC_ENTRY_FRAG_LEN  12
#define SCC_ENTRY_ID        16
#define SCC_ENTRY_ID_LEN    20
#define SCC_ENTRY_CAT       22
#define SCC_ENTRY_FLAGS     24
#define SCC_ENTRY_ZERO      26


static uint32_t scc_blob_crc(const uint8_t *p, size_t len);
static bool scc_blob_index_valid(const scc_blob_t *blob, size_t ids_len);
static bool scc_blob_cats_valid(const scc_blob_t *blob, size_t cats_len);
static scc_rc_t scc_blob_builder_cat(scc_blob_builder_t *bb, scc_str_t cat,
    uint16_t *number);


static const uint8_t  scc_blob_magic[] = {
    'S', 'C', 'C', 'C', SCC_BLOB_FORMAT
};


scc_rc_t
scc_blob_open(scc_str_t bytes, scc_blob_t *blob)
{
    size_t          n, ids_len, cats_len;
    uint64_t        total;
    const uint8_t  *p;

    p = bytes.data;

    if (bytes.len < SCC_BLOB_HEADER || bytes.len > SCC_BLOB_MAX
        || memcmp(p, scc_blob_magic, sizeof(scc_blob_magic)) != 0
        || p[SCC_BLOB_AT_STATE] < SCC_BLOB_VAL
        || p[SCC_BLOB_AT_STATE] > SCC_BLOB_STALE
        || (p[SCC_BLOB_AT_FLAGS] & ~SCC_BLOB_FLAG_BODY)
        || p[SCC_BLOB_AT_ZERO] != 0)
    {
        return SCC_DECLINED;
    }

    memset(blob, 0, sizeof(scc_blob_t));

    blob->state = (scc_blob_state_t) p[SCC_BLOB_AT_STATE];
    blob->body = p[SCC_BLOB_AT_FLAGS] & SCC_BLOB_FLAG_BODY;
    blob->ver = scc_le64(p + SCC_BLOB_AT_VER);
    blob->floor = scc_le64(p + SCC_BLOB_AT_FLOOR);
    blob->lease = scc_le64(p + SCC_BLOB_AT_LEASE);
    blob->lease_end = scc_le64(p + SCC_BLOB_AT_END);

    blob->index = p + SCC_BLOB_HEADER;
    blob->cats = blob->index;
    blob->ids = blob->index;
    blob->frags.data = blob->index;

    if (!blob->body) {

        /* what a body-less header says of a body is not looked at */

        return (bytes.len == SCC_BLOB_HEADER
                && blob->state != SCC_BLOB_VAL) ? SCC_OK : SCC_DECLINED;
    }

    blob->n = scc_le32(p + SCC_BLOB_AT_N);
    blob->n_cat = scc_le32(p + SCC_BLOB_AT_N_CAT);
    blob->crc = scc_le32(p + SCC_BLOB_AT_CRC);
    blob->frags.len = scc_le32(p + SCC_BLOB_AT_FRAGS);
    ids_len = scc_le32(p + SCC_BLOB_AT_IDS);
    cats_len = scc_le32(p + SCC_BLOB_AT_CATS);

    total = SCC_BLOB_HEADER + (uint64_t) blob->n * SCC_BLOB_ENTRY + ids_len
            + cats_len + blob->frags.len;

    if (total != bytes.len
        || scc_le32(p + SCC_BLOB_AT_CRC) != scc_blob_crc(p, bytes.len))
    {
        return SCC_DECLINED;
    }

    n = (size_t) blob->n * SCC_BLOB_ENTRY;

    blob->cats = blob->index + n;
    blob->ids = blob->cats + cats_len;
    blob->frags.data = blob->ids + ids_len;

    if (!scc_blob_cats_valid(blob, cats_len)
        || !scc_blob_index_valid(blob, ids_len))
    {
        return SCC_DECLINED;
    }

    return SCC_OK;
}


void
scc_blob_entry(const scc_blob_t *blob, uint32_t i, scc_blob_entry_t *entry)
{
    const uint8_t  *p;

    p = blob->index + (size_t) i * SCC_BLOB_ENTRY;

    entry->lon = (int32_t) scc_le32(p + SCC_ENTRY_LON);
    entry->lat = (int32_t) scc_le32(p + SCC_ENTRY_LAT);
    entry->frag.data = blob->frags.data + scc_le32(p + SCC_ENTRY_FRAG);
    entry->frag.len = scc_le32(p + SCC_ENTRY_FRAG_LEN);
    entry->id.data = blob->ids + scc_le32(p + SCC_ENTRY_ID);
    entry->id.len = scc_le16(p + SCC_ENTRY_ID_LEN);
    entry->cat = scc_le16(p + SCC_ENTRY_CAT);
    entry->flags = scc_le16(p + SCC_ENTRY_FLAGS);
}


uint16_t
scc_blob_cat(const scc_blob_t *blob, scc_str_t category)
{
    uint32_t        i;
    scc_str_t       cat;
    const uint8_t  *p;

    p = blob->cats;

    for (i = 0; i < blob->n_cat; i++) {
        cat.len = *p;
        cat.data = p + 1;

        if (scc_str_eq(cat, category)) {
            return (uint16_t) i;
        }

        p += 1 + cat.len;
    }

    return SCC_BLOB_NO_CAT;
}


scc_str_t
scc_blob_category(const scc_blob_t *blob, uint16_t cat)
{
    scc_str_t       s;
    const uint8_t  *p;

    for (p = blob->cats; cat; cat--) {
        p += 1 + (size_t) *p;
    }

    s.len = *p;
    s.data = p + 1;

    return s;
}


uint32_t
scc_blob_after(const scc_blob_t *blob, scc_str_t id)
{
    uint32_t          lo, hi, mid;
    scc_blob_entry_t  entry;

    lo = 0;
    hi = blob->n;

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;

        scc_blob_entry(blob, mid, &entry);

        if (scc_str_cmp(entry.id, id) > 0) {
            hi = mid;

        } else {
            lo = mid + 1;
        }
    }

    return lo;
}


void
scc_blob_blank(uint8_t header[SCC_BLOB_HEADER])
{
    memset(header, 0, SCC_BLOB_HEADER);
    memcpy(header, scc_blob_magic, sizeof(scc_blob_magic));

    header[SCC_BLOB_AT_STATE] = SCC_BLOB_LEASE;
}


void
scc_blob_builder_init(scc_blob_builder_t *bb)
{
    memset(bb, 0, sizeof(scc_blob_builder_t));

    scc_buf_heap(&bb->index, SCC_BLOB_MAX);
    scc_buf_heap(&bb->cats, SCC_BLOB_MAX);
    scc_buf_heap(&bb->ids, SCC_BLOB_MAX);
    scc_buf_heap(&bb->frags, SCC_BLOB_MAX);
}


void
scc_blob_builder_free(scc_blob_builder_t *bb)
{
    scc_buf_free(&bb->index);
    scc_buf_free(&bb->cats);
    scc_buf_free(&bb->ids);
    scc_buf_free(&bb->frags);

    scc_blob_begin(bb);
}


void
scc_blob_begin(scc_blob_builder_t *bb)
{
    static const scc_str_t  none = scc_null_string;

    scc_buf_reset(&bb->index);
    scc_buf_reset(&bb->cats);
    scc_buf_reset(&bb->ids);
    scc_buf_reset(&bb->frags);

    bb->n = 0;
    bb->n_cat = 0;
    bb->last_id = none;
}


scc_rc_t
scc_blob_add(scc_blob_builder_t *bb, const scc_place_t *place)
{
    size_t    frag, id;
    uint16_t  cat;

    if (place->id.len == 0 || place->id.len > SCC_ID_MAX
        || place->category.len > SCC_CATEGORY_MAX
        || place->lon < -SCC_LON_MAX || place->lon > SCC_LON_MAX
        || place->lat < -SCC_LAT_MAX || place->lat > SCC_LAT_MAX
        || (bb->n && scc_str_cmp(place->id, bb->last_id) <= 0))
    {
        return SCC_DECLINED;
    }

    if (scc_blob_builder_cat(bb, place->category, &cat) != SCC_OK) {
        return SCC_ERROR;
    }

    if (bb->n) {
        scc_buf_byte(&bb->frags, ',');
    }

    frag = bb->frags.used;
    id = bb->ids.used;

    scc_place_feature(&bb->frags, place);
    scc_buf_str(&bb->ids, place->id);

    scc_buf_le32(&bb->index, (uint32_t) place->lon);
    scc_buf_le32(&bb->index, (uint32_t) place->lat);
    scc_buf_le32(&bb->index, (uint32_t) frag);
    scc_buf_le32(&bb->index, (uint32_t) (bb->frags.used - frag));
    scc_buf_le32(&bb->index, (uint32_t) id);
    scc_buf_le16(&bb->index, (uint16_t) place->id.len);
    scc_buf_le16(&bb->index, cat);
    scc_buf_le16(&bb->index, scc_place_flags(place));
    scc_buf_le16(&bb->index, 0);

    if (bb->frags.error || bb->ids.error || bb->index.error) {
        return SCC_ERROR;
    }

    bb->last_id.data = bb->ids.start + id;
    bb->last_id.len = place->id.len;
    bb->n++;

    return SCC_OK;
}


scc_rc_t
scc_blob_finish(scc_blob_builder_t *bb, uint64_t ver, scc_buf_t *out)
{
    size_t    start, size;
    uint8_t  *p;
    uint32_t  crc;

    static const uint8_t  head[] = { SCC_BLOB_VAL, SCC_BLOB_FLAG_BODY, 0 };

    if (bb->index.error || bb->cats.error || bb->ids.error
        || bb->frags.error)
    {
        return SCC_ERROR;
    }

    size = SCC_BLOB_HEADER + bb->index.used + bb->cats.used + bb->ids.used
           + bb->frags.used;

    if (size > SCC_BLOB_MAX) {
        return SCC_ERROR;
    }

    start = out->used;

    scc_buf_mem(out, scc_blob_magic, sizeof(scc_blob_magic));
    scc_buf_mem(out, head, sizeof(head));
    scc_buf_le64(out, ver);
    scc_buf_le64(out, ver);
    scc_buf_le64(out, 0);
    scc_buf_le64(out, 0);
    scc_buf_le32(out, bb->n);
    scc_buf_le32(out, bb->n_cat);
    scc_buf_le32(out, (uint32_t) bb->ids.used);
    scc_buf_le32(out, (uint32_t) bb->cats.used);
    scc_buf_le32(out, (uint32_t) bb->frags.used);
    scc_buf_le32(out, 0);
    scc_buf_str(out, scc_buf_get(&bb->index));
    scc_buf_str(out, scc_buf_get(&bb->cats));
    scc_buf_str(out, scc_buf_get(&bb->ids));
    scc_buf_str(out, scc_buf_get(&bb->frags));

    if (out->error) {
        return SCC_ERROR;
    }

    p = out->start + start;
    crc = scc_blob_crc(p, size);

    p[SCC_BLOB_AT_CRC] = (uint8_t) crc;
    p[SCC_BLOB_AT_CRC + 1] = (uint8_t) (crc >> 8);
    p[SCC_BLOB_AT_CRC + 2] = (uint8_t) (crc >> 16);
    p[SCC_BLOB_AT_CRC + 3] = (uint8_t) (crc >> 24);

    return SCC_OK;
}


static uint32_t
scc_blob_crc(const uint8_t *p, size_t len)
{
    uint32_t  crc;

    static const uint8_t  zero[SCC_BLOB_HEADER - SCC_BLOB_AT_CRC];

    crc = scc_crc32c(0, p + SCC_BLOB_AT_N, SCC_BLOB_AT_CRC - SCC_BLOB_AT_N);
    crc = scc_crc32c(crc, zero, sizeof(zero));

    return scc_crc32c(crc, p + SCC_BLOB_HEADER, len - SCC_BLOB_HEADER);
}


static bool
scc_blob_cats_valid(const scc_blob_t *blob, size_t cats_len)
{
    uint32_t        i;
    const uint8_t  *p, *end;

    if (blob->n_cat > SCC_BLOB_NO_CAT) {
        return false;
    }

    p = blob->cats;
    end = p + cats_len;

    for (i = 0; i < blob->n_cat; i++) {

        if (p == end || *p == 0 || *p > SCC_CATEGORY_MAX
            || (size_t) (end - p) < 1 + (size_t) *p)
        {
            return false;
        }

        p += 1 + (size_t) *p;
    }

    return p == end;
}


/* Ids and fragments lie one after the other and fill their parts. */

static bool
scc_blob_index_valid(const scc_blob_t *blob, size_t ids_len)
{
    size_t          id, frag, id_len, frag_len;
    uint32_t        i;
    scc_str_t       last, this;
    const uint8_t  *p;

    id = 0;
    frag = 0;
    p = blob->index;

    last.data = blob->ids;
    last.len = 0;

    for (i = 0; i < blob->n; i++) {

        if (i) {
            if (frag >= blob->frags.len || blob->frags.data[frag] != ',') {
                return false;
            }

            frag++;
        }

        frag_len = scc_le32(p + SCC_ENTRY_FRAG_LEN);
        id_len = scc_le16(p + SCC_ENTRY_ID_LEN);

        if (scc_le32(p + SCC_ENTRY_FRAG) != frag
            || frag_len == 0 || frag_len > blob->frags.len - frag
            || scc_le32(p + SCC_ENTRY_ID) != id
            || id_len == 0 || id_len > SCC_ID_MAX || id_len > ids_len - id
            || scc_le16(p + SCC_ENTRY_ZERO) != 0)
        {
            return false;
        }

        if (scc_le16(p + SCC_ENTRY_CAT) >= blob->n_cat
            && scc_le16(p + SCC_ENTRY_CAT) != SCC_BLOB_NO_CAT)
        {
            return false;
        }

        this.data = blob->ids + id;
        this.len = id_len;

        if (scc_str_cmp(last, this) >= 0) {
            return false;
        }

        last = this;
        id += id_len;
        frag += frag_len;
        p += SCC_BLOB_ENTRY;
    }

    return id == ids_len && frag == blob->frags.len;
}


static scc_rc_t
scc_blob_builder_cat(scc_blob_builder_t *bb, scc_str_t cat,
    uint16_t *number)
{
    scc_blob_t  blob;

    if (cat.len == 0) {
        *number = SCC_BLOB_NO_CAT;
        return SCC_OK;
    }

    blob.cats = bb->cats.start;
    blob.n_cat = bb->n_cat;

    *number = scc_blob_cat(&blob, cat);

    if (*number != SCC_BLOB_NO_CAT) {
        return SCC_OK;
    }

    if (bb->n_cat == SCC_BLOB_NO_CAT) {
        return SCC_ERROR;
    }

    scc_buf_byte(&bb->cats, (uint8_t) cat.len);
    scc_buf_str(&bb->cats, cat);

    if (bb->cats.error) {
        return SCC_ERROR;
    }

    *number = (uint16_t) bb->n_cat++;

    return SCC_OK;
}
