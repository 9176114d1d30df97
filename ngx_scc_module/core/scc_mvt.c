
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_mvt.h"

#include <string.h>


/* Protocol buffers: field << 3 | wire type; 0 varint, 2 bytes. */

#define SCC_MVT_TILE_LAYER       (3 << 3 | 2)

#define SCC_MVT_LAYER_NAME       (1 << 3 | 2)
#define SCC_MVT_LAYER_FEATURE    (2 << 3 | 2)
#define SCC_MVT_LAYER_KEY        (3 << 3 | 2)
#define SCC_MVT_LAYER_VALUE      (4 << 3 | 2)
#define SCC_MVT_LAYER_EXTENT     (5 << 3 | 0)
#define SCC_MVT_LAYER_VERSION    (15 << 3 | 0)

#define SCC_MVT_FEATURE_ID       (1 << 3 | 0)
#define SCC_MVT_FEATURE_TAGS     (2 << 3 | 2)
#define SCC_MVT_FEATURE_TYPE     (3 << 3 | 0)
#define SCC_MVT_FEATURE_GEOMETRY (4 << 3 | 2)

#define SCC_MVT_VALUE_STRING     (1 << 3 | 2)
#define SCC_MVT_VALUE_UINT       (5 << 3 | 0)
#define SCC_MVT_VALUE_BOOL       (7 << 3 | 0)

#define SCC_MVT_POINT            1
#define SCC_MVT_MOVE_TO_ONE      (1 << 3 | 1)

#define SCC_MVT_VARINT           10         /* bytes of a uint64, at most */
#define SCC_MVT_SLOTS            256        /* to begin with */

/* first[]: integers 0..253, then false and true */
#define SCC_MVT_FIRST_BOOL       254

/* all of a feature: its length, id, tags, type, geometry */
#define SCC_MVT_FEATURE                                                       \
    (2 * SCC_MVT_VARINT + 2 * SCC_MVT_TAGS_MAX * 5 + 32)


/* A value written: where it lies in "values", with its header. */

typedef struct {
    uint32_t    hash;
    uint32_t    at;
    uint32_t    len;
    uint32_t    index;
    uint32_t    round;              /* another than the layer's: free */
} scc_mvt_slot_t;


static void scc_mvt_tag(scc_mvt_t *m, uint32_t key, uint32_t value);
static uint32_t scc_mvt_string(scc_mvt_t *m, scc_str_t s);
static uint32_t scc_mvt_number(scc_mvt_t *m, uint8_t field, uint64_t n);
static uint32_t scc_mvt_value(scc_mvt_t *m, const uint8_t *head,
    size_t head_len, scc_str_t s);
static bool scc_mvt_grow(scc_mvt_t *m);
static uint32_t scc_mvt_hash(const uint8_t *head, size_t head_len,
    scc_str_t s);
static uint8_t *scc_mvt_varint(uint8_t *p, uint64_t n);
static size_t scc_mvt_varint_size(uint64_t n);
static void scc_mvt_bytes(scc_buf_t *b, uint8_t field, scc_str_t s);


void
scc_mvt_init(scc_mvt_t *m)
{
    memset(m, 0, sizeof(scc_mvt_t));

    scc_buf_heap(&m->features, SCC_MVT_LAYER_MAX);
    scc_buf_heap(&m->values, SCC_MVT_LAYER_MAX);
    scc_buf_heap(&m->slots, 0);
    scc_buf_heap(&m->spare, 0);
}


void
scc_mvt_free(scc_mvt_t *m)
{
    scc_buf_free(&m->features);
    scc_buf_free(&m->values);
    scc_buf_free(&m->slots);
    scc_buf_free(&m->spare);
}


void
scc_mvt_begin(scc_mvt_t *m, const scc_str_t *name, const scc_str_t *keys,
    uint32_t n_keys)
{
    scc_buf_reset(&m->features);
    scc_buf_reset(&m->values);

    memset(m->first, 0, sizeof(m->first));

    /* slots of earlier layers are free: a small layer after a large one
       does not pay for clearing them */

    if (++m->round == 0) {
        m->n_slots = 0;
        m->round = 1;
    }

    m->name = name;
    m->keys = keys;
    m->n_keys = n_keys;
    m->n = 0;
    m->n_tags = 0;
    m->n_values = 0;
    m->error = (n_keys > SCC_MVT_TAGS_MAX);
}


void
scc_mvt_feature(scc_mvt_t *m, uint64_t id, uint32_t x, uint32_t y)
{
    if (x >= SCC_MVT_EXTENT || y >= SCC_MVT_EXTENT) {
        m->error = true;
    }

    m->id = id;
    m->x = x;
    m->y = y;
    m->n_tags = 0;
}


void
scc_mvt_tag_str(scc_mvt_t *m, uint32_t key, scc_str_t value)
{
    scc_mvt_tag(m, key, scc_mvt_string(m, value));
}


void
scc_mvt_tag_uint(scc_mvt_t *m, uint32_t key, uint64_t value)
{
    uint32_t  index, *first;

    if (value >= SCC_MVT_FIRST_BOOL) {
        index = scc_mvt_number(m, SCC_MVT_VALUE_UINT, value);

    } else {
        first = &m->first[value];

        if (*first == 0) {
            *first = scc_mvt_number(m, SCC_MVT_VALUE_UINT, value) + 1;
        }

        index = *first - 1;
    }

    scc_mvt_tag(m, key, index);
}


void
scc_mvt_tag_bool(scc_mvt_t *m, uint32_t key, bool value)
{
    uint32_t  *first;

    first = &m->first[SCC_MVT_FIRST_BOOL + value];

    if (*first == 0) {
        *first = scc_mvt_number(m, SCC_MVT_VALUE_BOOL, value) + 1;
    }

    scc_mvt_tag(m, key, *first - 1);
}


void
scc_mvt_feature_end(scc_mvt_t *m)
{
    size_t     tags, size;
    uint8_t   *p, block[SCC_MVT_FEATURE];
    uint32_t   i, x, y;

    if (m->error) {
        return;
    }

    /* zigzag: both are >= 0 */

    x = 2 * m->x;
    y = 2 * m->y;

    tags = 0;

    for (i = 0; i < 2 * m->n_tags; i++) {
        tags += scc_mvt_varint_size(m->tags[i]);
    }

    size = 1 + scc_mvt_varint_size(m->id)
           + (tags ? 1 + scc_mvt_varint_size(tags) + tags : 0)
           + 2
           + 2 + 1 + scc_mvt_varint_size(x) + scc_mvt_varint_size(y);

    p = block;

    *p++ = SCC_MVT_LAYER_FEATURE;
    p = scc_mvt_varint(p, size);

    *p++ = SCC_MVT_FEATURE_ID;
    p = scc_mvt_varint(p, m->id);

    if (tags) {
        *p++ = SCC_MVT_FEATURE_TAGS;
        p = scc_mvt_varint(p, tags);

        for (i = 0; i < 2 * m->n_tags; i++) {
            p = scc_mvt_varint(p, m->tags[i]);
        }
    }

    *p++ = SCC_MVT_FEATURE_TYPE;
    *p++ = SCC_MVT_POINT;

    *p++ = SCC_MVT_FEATURE_GEOMETRY;
    *p++ = (uint8_t) (1 + scc_mvt_varint_size(x) + scc_mvt_varint_size(y));
    *p++ = SCC_MVT_MOVE_TO_ONE;
    p = scc_mvt_varint(p, x);
    p = scc_mvt_varint(p, y);

    scc_buf_mem(&m->features, block, (size_t) (p - block));

    m->n++;
}


scc_rc_t
scc_mvt_finish(scc_mvt_t *m, scc_buf_t *out)
{
    size_t      size, total;
    uint8_t     head[3 + 2 * SCC_MVT_VARINT], *p, *block;
    uint32_t    i;
    scc_buf_t   b;

    if (m->error || m->features.error || m->values.error) {
        return SCC_ERROR;
    }

    p = head;

    *p++ = SCC_MVT_LAYER_VERSION;
    *p++ = 2;
    *p++ = SCC_MVT_LAYER_EXTENT;
    p = scc_mvt_varint(p, SCC_MVT_EXTENT);

    size = 1 + scc_mvt_varint_size(m->name->len) + m->name->len
           + (size_t) (p - head) + m->features.used + m->values.used;

    for (i = 0; m->n && i < m->n_keys; i++) {
        size += 1 + scc_mvt_varint_size(m->keys[i].len) + m->keys[i].len;
    }

    if (size > SCC_MVT_LAYER_MAX) {
        return SCC_ERROR;
    }

    /* all at once: "out" grows no further than it must */

    total = 1 + scc_mvt_varint_size(size) + size;

    block = scc_buf_reserve(out, total);

    if (block == NULL) {
        return SCC_ERROR;
    }

    scc_buf_fixed(&b, block, total);

    scc_buf_byte(&b, SCC_MVT_TILE_LAYER);
    (void) scc_mvt_varint(scc_buf_reserve(&b, scc_mvt_varint_size(size)),
                          size);
    scc_mvt_bytes(&b, SCC_MVT_LAYER_NAME, *m->name);
    scc_buf_mem(&b, head, (size_t) (p - head));
    scc_buf_str(&b, scc_buf_get(&m->features));

    for (i = 0; m->n && i < m->n_keys; i++) {
        scc_mvt_bytes(&b, SCC_MVT_LAYER_KEY, m->keys[i]);
    }

    scc_buf_str(&b, scc_buf_get(&m->values));

    return b.error ? SCC_ERROR : SCC_OK;
}


static void
scc_mvt_tag(scc_mvt_t *m, uint32_t key, uint32_t value)
{
    if (key >= m->n_keys || m->n_tags == SCC_MVT_TAGS_MAX) {
        m->error = true;
        return;
    }

    m->tags[2 * m->n_tags] = key;
    m->tags[2 * m->n_tags + 1] = value;
    m->n_tags++;
}


static uint32_t
scc_mvt_string(scc_mvt_t *m, scc_str_t s)
{
    uint8_t  head[1 + SCC_MVT_VARINT], *p;

    p = head;

    *p++ = SCC_MVT_VALUE_STRING;
    p = scc_mvt_varint(p, s.len);

    return scc_mvt_value(m, head, (size_t) (p - head), s);
}


static uint32_t
scc_mvt_number(scc_mvt_t *m, uint8_t field, uint64_t n)
{
    uint8_t  head[1 + SCC_MVT_VARINT], *p;

    static const scc_str_t  none = scc_null_string;

    p = head;

    *p++ = field;
    p = scc_mvt_varint(p, n);

    return scc_mvt_value(m, head, (size_t) (p - head), none);
}


/* The index of a value, head and s together being its message. */

static uint32_t
scc_mvt_value(scc_mvt_t *m, const uint8_t *head, size_t head_len,
    scc_str_t s)
{
    size_t           len;
    uint8_t         *p;
    uint32_t         hash, i;
    scc_mvt_slot_t  *slots, *slot;

    len = head_len + s.len;

    if (m->error || len > SCC_MVT_LAYER_MAX
        || (m->n_values >= m->n_slots / 2 && !scc_mvt_grow(m)))
    {
        m->error = true;
        return 0;
    }

    hash = scc_mvt_hash(head, head_len, s);
    slots = (scc_mvt_slot_t *) (void *) m->slots.start;

    for (i = hash; /* void */ ; i++) {
        slot = &slots[i & (m->n_slots - 1)];

        if (slot->round != m->round) {
            break;
        }

        if (slot->hash == hash && slot->len == len
            && memcmp(m->values.start + slot->at, head, head_len) == 0
            && (s.len == 0
                || memcmp(m->values.start + slot->at + head_len, s.data,
                          s.len) == 0))
        {
            return slot->index;
        }
    }

    scc_buf_byte(&m->values, SCC_MVT_LAYER_VALUE);

    p = scc_buf_reserve(&m->values, scc_mvt_varint_size(len));

    if (p == NULL) {
        m->error = true;
        return 0;
    }

    (void) scc_mvt_varint(p, len);

    slot->hash = hash;
    slot->at = (uint32_t) m->values.used;
    slot->len = (uint32_t) len;
    slot->index = m->n_values++;
    slot->round = m->round;

    scc_buf_mem(&m->values, head, head_len);
    scc_buf_str(&m->values, s);

    return slot->index;
}


/* Twice the slots; false if there is no memory. */

static bool
scc_mvt_grow(scc_mvt_t *m)
{
    uint32_t         i, j, n;
    scc_buf_t        old;
    scc_mvt_slot_t  *from, *to;

    n = m->n_slots ? 2 * m->n_slots : SCC_MVT_SLOTS;

    scc_buf_reset(&m->spare);

    if (n > SCC_MVT_LAYER_MAX
        || scc_buf_reserve(&m->spare, n * sizeof(scc_mvt_slot_t)) == NULL)
    {
        return false;
    }

    from = (scc_mvt_slot_t *) (void *) m->slots.start;
    to = (scc_mvt_slot_t *) (void *) m->spare.start;

    memset(to, 0, n * sizeof(scc_mvt_slot_t));

    for (i = 0; i < m->n_slots; i++) {

        if (from[i].round != m->round) {
            continue;
        }

        for (j = from[i].hash & (n - 1); to[j].round; j = (j + 1) & (n - 1))
        {
            /* void */
        }

        to[j] = from[i];
    }

    old = m->slots;
    m->slots = m->spare;
    m->spare = old;
    m->n_slots = n;

    return true;
}


/* FNV-1a, 32 bits. */

static uint32_t
scc_mvt_hash(const uint8_t *head, size_t head_len, scc_str_t s)
{
    size_t    i;
    uint32_t  hash;

    hash = 2166136261u;

    for (i = 0; i < head_len; i++) {
        hash = (hash ^ head[i]) * 16777619u;
    }

    for (i = 0; i < s.len; i++) {
        hash = (hash ^ s.data[i]) * 16777619u;
    }

    return hash;
}


/* Writes at p unless it is NULL. */

static uint8_t *
scc_mvt_varint(uint8_t *p, uint64_t n)
{
    if (p == NULL) {
        return NULL;
    }

    while (n > 0x7f) {
        *p++ = (uint8_t) (n | 0x80);
        n >>= 7;
    }

    *p++ = (uint8_t) n;

    return p;
}


static size_t
scc_mvt_varint_size(uint64_t n)
{
    size_t  size;

    for (size = 1; n > 0x7f; size++) {
        n >>= 7;
    }

    return size;
}


static void
scc_mvt_bytes(scc_buf_t *b, uint8_t field, scc_str_t s)
{
    scc_buf_byte(b, field);
    (void) scc_mvt_varint(scc_buf_reserve(b, scc_mvt_varint_size(s.len)),
                          s.len);
    scc_buf_str(b, s);
}
