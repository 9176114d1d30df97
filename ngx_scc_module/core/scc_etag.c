
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_etag.h"

#include <string.h>


#define SCC_ETAG_SEED  0x5343432d45546167ULL


static uint64_t scc_etag_filter(uint64_t hash, const scc_filter_t *f);
static bool scc_etag_char(uint8_t c);


uint64_t
scc_etag_query(const scc_query_t *q)
{
    unsigned            i;
    uint64_t            h;
    const scc_cells_t  *c;

    h = scc_etag_word(SCC_ETAG_SEED, (uint64_t) q->route << 1 | q->ogc);

    if (q->ogc) {
        h = scc_etag_bytes(h, q->base);
    }

    if (q->route != SCC_ROUTE_PLACES) {
        c = &q->cells;

        h = scc_etag_word(h, (uint64_t) q->z << 1 | q->mvt);
        h = scc_etag_word(h, (uint64_t) c->x0 << 32 | c->x1);

        return scc_etag_word(h, (uint64_t) c->y0 << 32 | c->y1);
    }

    for (i = 0; i < q->area.n; i++) {
        h = scc_etag_word(h, (uint64_t) (uint32_t) q->area.box[i].w << 32
                             | (uint32_t) q->area.box[i].e);
        h = scc_etag_word(h, (uint64_t) (uint32_t) q->area.box[i].s << 32
                             | (uint32_t) q->area.box[i].n);
    }

    /* a link repeats the box as it was written */

    h = scc_etag_bytes(h, q->bbox);
    h = scc_etag_filter(h, &q->filter);
    h = scc_etag_word(h, (uint64_t) q->limit << 1 | q->cursor.set);

    if (q->cursor.set) {
        h = scc_etag_word(h, q->cursor.cell);
        h = scc_etag_bytes(h, q->cursor.id);
    }

    return h;
}


/* The finalizer of MurmurHash3 in the constants of D. Stafford's "Mix13":
   each of its steps can be undone. */

uint64_t
scc_etag_word(uint64_t hash, uint64_t word)
{
    hash ^= word;

    hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9ULL;
    hash = (hash ^ hash >> 27) * 0x94d049bb133111ebULL;

    return (hash ^ hash >> 31) + SCC_ETAG_SEED;
}


uint64_t
scc_etag_bytes(uint64_t hash, scc_str_t bytes)
{
    size_t   i, n;
    uint8_t  last[8] = { 0 };

    n = bytes.len / 8 * 8;

    for (i = 0; i < n; i += 8) {
        hash = scc_etag_word(hash, scc_le64(bytes.data + i));
    }

    if (n < bytes.len) {
        memcpy(last, bytes.data + n, bytes.len - n);
        hash = scc_etag_word(hash, scc_le64(last));
    }

    return scc_etag_word(hash, bytes.len);
}


uint64_t
scc_etag_cells(uint64_t hash, const scc_view_cell_t *cells, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        hash = scc_etag_word(hash, cells[i].blob.ver);
        hash = scc_etag_word(hash, (uint64_t) cells[i].key << 32
                                   | cells[i].blob.crc);
    }

    return scc_etag_word(hash, n);
}


uint8_t *
scc_etag_digits(uint8_t *p, uint64_t hash)
{
    unsigned  i;

    static const uint8_t  digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

    for (i = SCC_ETAG_DIGITS; i-- != 0; /* void */) {
        *p++ = digits[hash >> (5 * i) & 31];
    }

    return p;
}


uint8_t *
scc_etag_write(uint8_t *p, scc_etag_kind_t kind, uint64_t hash,
    scc_coding_t coding)
{
    *p++ = '"';
    *p++ = (uint8_t) kind;
    *p++ = SCC_ETAG_FORMAT;
    *p++ = '-';

    p = scc_etag_digits(p, hash);

    *p++ = '-';
    *p++ = (uint8_t) coding;
    *p++ = '"';

    return p;
}


bool
scc_etag_match(scc_str_t list, scc_str_t etag, bool weak)
{
    bool            w;
    const uint8_t  *p, *end, *tag;

    p = list.data;
    end = p + list.len;

    for ( ;; ) {

        while (p < end && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        if (p == end) {
            return false;
        }

        if (*p == '*') {

            /* only as the whole value */

            for (tag = list.data; tag < p; tag++) {
                if (*tag != ' ' && *tag != '\t') {
                    return false;
                }
            }

            for (p++; p < end && (*p == ' ' || *p == '\t'); p++) {
                /* void */
            }

            return p == end;
        }

        w = (end - p > 2 && p[0] == 'W' && p[1] == '/');

        if (w) {
            p += 2;
        }

        tag = p;

        if (*p++ != '"') {
            return false;
        }

        while (p < end && scc_etag_char(*p)) {
            p++;
        }

        if (p == end || *p++ != '"') {
            return false;
        }

        if ((weak || !w)
            && (size_t) (p - tag) == etag.len
            && memcmp(tag, etag.data, etag.len) == 0)
        {
            return true;
        }

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        if (p < end && *p != ',') {
            return false;
        }
    }
}


static uint64_t
scc_etag_filter(uint64_t hash, const scc_filter_t *f)
{
    if (!f->any) {
        return hash;
    }

    hash = scc_etag_word(hash, (uint64_t) f->level_max << 16
                               | (uint64_t) (f->registered + 1) << 8
                               | (uint64_t) (f->slope + 1));

    return scc_etag_bytes(hash, f->category);
}


/* etagc (RFC 9110, 8.8.3) */

static bool
scc_etag_char(uint8_t c)
{
    return c == 0x21 || (c >= 0x23 && c != 0x7f);
}
