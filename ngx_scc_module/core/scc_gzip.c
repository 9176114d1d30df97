
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_gzip.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>


#define SCC_GZIP_PIECE   (1u << 30)     /* zlib counts in unsigned int */
#define SCC_GZIP_STORED  65535          /* a stored block's LEN at most */

/* LEN 0 and its complement: what deflate() writes last when it is told to
   end on a byte boundary, and what a joiner writes without text. */

static const uint8_t  scc_gzip_nothing[4] = { 0, 0, 0xff, 0xff };


struct scc_gzip_deflater_s {
    z_stream            z;
    uint8_t            *out;
    uint64_t            size;
    uint32_t            crc;
    bool                error;
};


static void scc_gzip_run(scc_gzip_deflater_t *d, const uint8_t *p,
    size_t n, int flush);
static void scc_gzip_own(scc_gzip_join_t *j, const void *p, size_t n);
static void scc_gzip_close(scc_gzip_join_t *j);
static void scc_gzip_piece(scc_gzip_join_t *j, const uint8_t *data,
    size_t at, size_t len, const scc_gzip_slice_t *slice);
static void scc_gzip_put(uint8_t *p, uint32_t value, unsigned n);


scc_gzip_deflater_t *
scc_gzip_deflater_create(int level)
{
    scc_gzip_deflater_t  *d;

    d = calloc(1, sizeof(scc_gzip_deflater_t));
    if (d == NULL) {
        return NULL;
    }

    if (deflateInit2(&d->z, level, Z_DEFLATED, -MAX_WBITS, 8,
                     Z_DEFAULT_STRATEGY)
        != Z_OK)
    {
        free(d);
        return NULL;
    }

    return d;
}


void
scc_gzip_deflater_free(scc_gzip_deflater_t *d)
{
    if (d != NULL) {
        (void) deflateEnd(&d->z);
        free(d);
    }
}


/* As zlib's deflateBound() for any settings, and what ends a slice. */

size_t
scc_gzip_bound(size_t size)
{
    return size + (size >> 3) + (size >> 6) + 32;
}


scc_rc_t
scc_gzip_slice(scc_gzip_deflater_t *d, scc_str_t text, uint8_t *out,
    size_t room, scc_gzip_slice_t *slice)
{
    scc_gzip_slice_begin(d, out, room);
    scc_gzip_slice_add(d, text);

    return scc_gzip_slice_end(d, slice);
}


void
scc_gzip_slice_begin(scc_gzip_deflater_t *d, uint8_t *out, size_t room)
{
    d->error = (deflateReset(&d->z) != Z_OK || room > UINT32_MAX);

    d->out = out;
    d->size = 0;
    d->crc = 0;

    d->z.next_out = out;
    d->z.avail_out = (uInt) room;
}


void
scc_gzip_slice_add(scc_gzip_deflater_t *d, scc_str_t text)
{
    if (d->error || text.len == 0) {
        return;
    }

    d->crc = (uint32_t) crc32_z(d->crc, text.data, text.len);
    d->size += text.len;

    scc_gzip_run(d, text.data, text.len, Z_NO_FLUSH);
}


scc_rc_t
scc_gzip_slice_end(scc_gzip_deflater_t *d, scc_gzip_slice_t *slice)
{
    size_t  len;

    memset(slice, 0, sizeof(scc_gzip_slice_t));

    if (d->size == 0) {
        return d->error ? SCC_ERROR : SCC_OK;
    }

    scc_gzip_run(d, NULL, 0, Z_SYNC_FLUSH);

    /* with room left, all is written (zlib.h, deflate()) */

    if (d->error || d->z.avail_out == 0) {
        return SCC_ERROR;
    }

    len = (size_t) (d->z.next_out - d->out);

    if (len < sizeof(scc_gzip_nothing)
        || memcmp(d->z.next_out - sizeof(scc_gzip_nothing), scc_gzip_nothing,
                  sizeof(scc_gzip_nothing))
           != 0)
    {
        return SCC_ERROR;
    }

    slice->data = d->out;
    slice->len = len - sizeof(scc_gzip_nothing);
    slice->size = d->size;
    slice->crc = d->crc;
    slice->op = (uint32_t) crc32_combine_gen((z_off_t) d->size);

    return SCC_OK;
}


void
scc_gzip_join_begin(scc_gzip_join_t *j, scc_buf_t *own,
    scc_gzip_piece_t *pieces, size_t max)
{
    /* deflate, no flags, no time, no level, Unix: always the same bytes */

    static const uint8_t  header[10] = {
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3
    };

    memset(j, 0, sizeof(scc_gzip_join_t));

    j->own = own;
    j->pieces = pieces;
    j->max = max;
    j->from = own->used;

    scc_gzip_own(j, header, sizeof(header));
}


void
scc_gzip_join_text(scc_gzip_join_t *j, scc_str_t text)
{
    size_t    n, have;
    uint8_t  *len;

    if (text.len == 0) {
        return;
    }

    j->crc = (uint32_t) crc32_z(j->crc, text.data, text.len);
    j->size += text.len;

    while (text.len != 0 && !j->own->error) {
        have = j->in_text ? j->own->used - j->stored - 4 : SCC_GZIP_STORED;

        if (have == SCC_GZIP_STORED) {
            if (!j->open) {
                scc_buf_byte(j->own, 0);
            }

            j->open = false;
            j->in_text = true;
            j->stored = j->own->used;
            have = 0;

            scc_gzip_own(j, scc_gzip_nothing, sizeof(scc_gzip_nothing));
        }

        n = SCC_GZIP_STORED - have;

        if (n > text.len) {
            n = text.len;
        }

        scc_gzip_own(j, text.data, n);

        if (j->own->error) {
            return;
        }

        len = j->own->start + j->stored;

        scc_gzip_put(len, (uint32_t) (have + n), 2);
        scc_gzip_put(len + 2, ~(uint32_t) (have + n), 2);

        text.data += n;
        text.len -= n;
    }
}


void
scc_gzip_join_slice(scc_gzip_join_t *j, const scc_gzip_slice_t *slice)
{
    if (slice->size == 0) {
        return;
    }

    scc_gzip_close(j);

    scc_gzip_piece(j, NULL, j->from, j->own->used - j->from, NULL);
    scc_gzip_piece(j, slice->data, 0, slice->len, slice);

    j->from = j->own->used;
    j->open = true;

    j->crc = (uint32_t) crc32_combine_op(j->crc, slice->crc, slice->op);
    j->size += slice->size;
}


scc_rc_t
scc_gzip_join_end(scc_gzip_join_t *j)
{
    uint8_t  tail[10];

    scc_gzip_close(j);

    tail[0] = 3;
    tail[1] = 0;

    scc_gzip_put(tail + 2, j->crc, 4);
    scc_gzip_put(tail + 6, (uint32_t) (j->size & UINT32_MAX), 4);

    scc_gzip_own(j, tail, sizeof(tail));

    scc_gzip_piece(j, NULL, j->from, j->own->used - j->from, NULL);

    return (j->error || j->own->error) ? SCC_ERROR : SCC_OK;
}


static void
scc_gzip_run(scc_gzip_deflater_t *d, const uint8_t *p, size_t n, int flush)
{
    uInt  piece;

    do {
        piece = (n < SCC_GZIP_PIECE) ? (uInt) n : SCC_GZIP_PIECE;

        d->z.next_in = (z_const Bytef *) p;
        d->z.avail_in = piece;

        if (deflate(&d->z, flush) != Z_OK || d->z.avail_in != 0) {
            d->error = true;
            return;
        }

        p += piece;
        n -= piece;

    } while (n != 0);
}


static void
scc_gzip_own(scc_gzip_join_t *j, const void *p, size_t n)
{
    scc_buf_mem(j->own, p, n);
}


/* The stream stands on a byte boundary, between two blocks. */

static void
scc_gzip_close(scc_gzip_join_t *j)
{
    if (j->open) {
        scc_gzip_own(j, scc_gzip_nothing, sizeof(scc_gzip_nothing));
    }

    j->open = false;
    j->in_text = false;
}


static void
scc_gzip_piece(scc_gzip_join_t *j, const uint8_t *data, size_t at,
    size_t len, const scc_gzip_slice_t *slice)
{
    scc_gzip_piece_t  *piece;

    if (len == 0) {
        return;
    }

    if (j->n == j->max) {
        j->error = true;
        return;
    }

    piece = &j->pieces[j->n++];

    piece->data = data;
    piece->at = at;
    piece->len = len;
    piece->slice = slice;

    j->len += len;
}


static void
scc_gzip_put(uint8_t *p, uint32_t value, unsigned n)
{
    while (n--) {
        *p++ = (uint8_t) (value & 0xff);
        value >>= 8;
    }
}
