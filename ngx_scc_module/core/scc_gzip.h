
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_GZIP_H_INCLUDED_
#define _SCC_GZIP_H_INCLUDED_


#include "scc_buf.h"


/*
 * gzip answers that are joined, not compressed: what does not change is
 * deflated once, as a slice, and an answer is one member (RFC 1952) of
 * slices and of small text between them, which is stored (RFC 1951, 3.2.4).
 *
 *   header | 00 LEN NLEN text | slice | LEN NLEN "," | slice | ...
 *          | LEN NLEN text | 03 00 | CRC-32 | ISIZE
 *
 * A slice refers to nothing before its first byte.  Its last bits are the
 * header of a stored block, on a byte boundary: LEN, NLEN and the text that
 * follows it are the joiner's, so text between two slices costs four bytes.
 * "03 00" is the last block, with nothing in it.  The same texts and slices
 * in the same order are always the same bytes.
 */

typedef struct {
    const uint8_t      *data;       /* borrowed */
    size_t              len;
    uint64_t            size;       /* of what it inflates to; 0: empty */
    uint32_t            crc;        /* CRC-32 of that (RFC 1952, 8) */
    uint32_t            op;         /* zlib's crc32_combine_gen(size) */
} scc_gzip_slice_t;


/*
 * A slice has to begin anew: the first feature costs some 300 bytes, each
 * one after it some 50.  So only cells of so many features have a slice of
 * their own, at this level; neighbours with less are deflated together when
 * they are sent.
 */

#define SCC_GZIP_SLICE_N      32
#define SCC_GZIP_SLICE_LEVEL  6


/*
 * Makes slices.  About 270 KB of malloc(), used again from slice to slice.
 */

typedef struct scc_gzip_deflater_s  scc_gzip_deflater_t;

#define SCC_GZIP_LEVEL_MIN  1
#define SCC_GZIP_LEVEL_MAX  9

/* level: of zlib; NULL if there is no memory. */
scc_gzip_deflater_t *scc_gzip_deflater_create(int level);
void scc_gzip_deflater_free(scc_gzip_deflater_t *d);

/* The room that a slice of "size" bytes of text needs at most. */
size_t scc_gzip_bound(size_t size);

/*
 * A slice of one text, or of several: begin, add as often as needed, end.
 * It is written to out[room] and borrows it.  ERROR if room is too small;
 * after begin() the slice before is left as it is.
 */
scc_rc_t scc_gzip_slice(scc_gzip_deflater_t *d, scc_str_t text,
    uint8_t *out, size_t room, scc_gzip_slice_t *slice);

void scc_gzip_slice_begin(scc_gzip_deflater_t *d, uint8_t *out,
    size_t room);
void scc_gzip_slice_add(scc_gzip_deflater_t *d, scc_str_t text);
scc_rc_t scc_gzip_slice_end(scc_gzip_deflater_t *d,
    scc_gzip_slice_t *slice);


/*
 * Joins.  What it writes goes to "own"; slices are not copied.  The result
 * is a list of pieces, in order, to be sent one after the other.  A join of
 * n slices has at most 2n + 1 pieces.
 */

typedef struct {
    const uint8_t      *data;       /* of a slice; NULL: own->start + at */
    size_t              at;
    size_t              len;
    const scc_gzip_slice_t  *slice; /* as it was given; NULL: own bytes */
} scc_gzip_piece_t;


typedef struct {
    scc_buf_t          *own;
    scc_gzip_piece_t   *pieces;
    size_t              n;
    uint64_t            len;        /* of all pieces */

    /* private */
    size_t              max;
    size_t              from;       /* where the next own piece begins */
    size_t              stored;     /* of LEN, if "in_text" */
    uint64_t            size;       /* before compression */
    uint32_t            crc;
    bool                in_text;    /* own ends with a stored block */
    bool                open;       /* a stored block waits for its LEN */
    bool                error;
} scc_gzip_join_t;


void scc_gzip_join_begin(scc_gzip_join_t *j, scc_buf_t *own,
    scc_gzip_piece_t *pieces, size_t max);
void scc_gzip_join_text(scc_gzip_join_t *j, scc_str_t text);
void scc_gzip_join_slice(scc_gzip_join_t *j, const scc_gzip_slice_t *slice);

/* ERROR if there were more than "max" pieces or "own" has an error. */
scc_rc_t scc_gzip_join_end(scc_gzip_join_t *j);


/*
 * Accept-Encoding (RFC 9110, 12.5.3): true if gzip may be sent and is not
 * less wanted than no coding.  An empty value takes none.
 */
bool scc_gzip_accepted(scc_str_t value);


#endif /* _SCC_GZIP_H_INCLUDED_ */
