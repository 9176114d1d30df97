
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_BLOB_H_INCLUDED_
#define _SCC_BLOB_H_INCLUDED_


#include "scc_geo.h"
#include "scc_place.h"


/*
 * A cell blob, as Redis and L1 keep it, format 1.  Little-endian.
 *
 *   0  4  magic "SCCC"
 *   4  1  format, 1
 *   5  1  state: 1 VAL, 2 LEASE, 3 STALE
 *   6  1  flags: bit 0, there is a body (in VAL always)
 *   7  1  0
 *   8  8  ver: of scc.cell when the body was read, 0 where it has no row
 *  16  8  floor: no fill below this version is taken
 *  24  8  lease: token of the one who may fill, 0 if none
 *  32  8  lease end, milliseconds of the cache server's clock
 *  40  4  n: features
 *  44  4  n_cat: categories
 *  48  4  ids_len
 *  52  4  cats_len
 *  56  4  frags_len
 *  60  4  crc32c of all bytes from 40 to the end, with this field as 0
 *  64     index: n entries of 28 bytes, by id ascending (bytes)
 *           0 4 lon e7   4 4 lat e7
 *           8 4 fragment offset   12 4 fragment length
 *          16 4 id offset   20 2 id length
 *          22 2 category number, 0xffff if none   24 2 flags   26 2 0
 *         cats: per category one length byte and its bytes
 *         ids: raw bytes of the ids, in order
 *         frags: GeoJSON Features, in order, joined by ',' so that a whole
 *         cell is one slice
 *
 * The scripts of cache/ change only bytes 4..39: a body is never touched
 * in place, so its checksum stays true.  A header without a body ends at 64.
 */

#define SCC_BLOB_HEADER    64
#define SCC_BLOB_ENTRY     28
#define SCC_BLOB_FORMAT    1
#define SCC_BLOB_NO_CAT    0xffff
#define SCC_BLOB_MAX       (64 * 1024 * 1024)

typedef enum {
    SCC_BLOB_VAL = 1,
    SCC_BLOB_LEASE = 2,
    SCC_BLOB_STALE = 3,
} scc_blob_state_t;


typedef struct {
    scc_blob_state_t    state;
    bool                body;
    uint64_t            ver;
    uint64_t            floor;
    uint64_t            lease;
    uint64_t            lease_end;
    uint32_t            n;
    uint32_t            n_cat;
    uint32_t            crc;        /* of the body, as in its header */
    const uint8_t      *index;
    const uint8_t      *cats;
    const uint8_t      *ids;
    scc_str_t           frags;
} scc_blob_t;                       /* borrows the bytes it was opened on */


typedef struct {
    int32_t             lon;
    int32_t             lat;
    uint16_t            flags;
    uint16_t            cat;
    scc_str_t           id;
    scc_str_t           frag;
} scc_blob_entry_t;


/*
 * Opens and checks bytes from a cache: every length, offset, order and the
 * checksum, before anything is used.  DECLINED if any is wrong; the caller
 * then treats the entry as absent.
 */
scc_rc_t scc_blob_open(scc_str_t bytes, scc_blob_t *blob);

/* Entry i < n of an opened blob; cannot fail. */
void scc_blob_entry(const scc_blob_t *blob, uint32_t i,
    scc_blob_entry_t *entry);

/* The number of a category in this blob, or SCC_BLOB_NO_CAT; the category
   of a number < n_cat. */
uint16_t scc_blob_cat(const scc_blob_t *blob, scc_str_t category);
scc_str_t scc_blob_category(const scc_blob_t *blob, uint16_t cat);

/* The first entry whose id is > id; n if there is none. */
uint32_t scc_blob_after(const scc_blob_t *blob, scc_str_t id);


/* The header of a LEASE without a body, token and end still 0. */
void scc_blob_blank(uint8_t header[SCC_BLOB_HEADER]);


/*
 * Building: add places in ascending order of id, then append the blob to
 * "out" as a VAL whose version and floor are ver.  begin resets; the
 * builder's buffers live on malloc and are reused from cell to cell until
 * scc_blob_builder_free().  ERROR when memory or SCC_BLOB_MAX is exceeded;
 * DECLINED from add when the ids are out of order, or an id, category or
 * coordinate is out of range.
 */

typedef struct {
    uint32_t            n;
    uint32_t            n_cat;
    scc_buf_t           index;
    scc_buf_t           cats;
    scc_buf_t           ids;
    scc_buf_t           frags;
    scc_str_t           last_id;
} scc_blob_builder_t;

void scc_blob_builder_init(scc_blob_builder_t *bb);
void scc_blob_builder_free(scc_blob_builder_t *bb);
void scc_blob_begin(scc_blob_builder_t *bb);
scc_rc_t scc_blob_add(scc_blob_builder_t *bb, const scc_place_t *place);
scc_rc_t scc_blob_finish(scc_blob_builder_t *bb, uint64_t ver,
    scc_buf_t *out);


/* CRC-32C (Castagnoli; RFC 3720, B.4), SSE4.2 where present.  Start at 0;
   pass the last result to go on. */
uint32_t scc_crc32c(uint32_t crc, const void *p, size_t n);


#endif /* _SCC_BLOB_H_INCLUDED_ */
