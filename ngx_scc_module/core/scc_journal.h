
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_JOURNAL_H_INCLUDED_
#define _SCC_JOURNAL_H_INCLUDED_


#include "scc_buf.h"


/*
 * The journal's format "SCCJ", version 1.  Little-endian.  A segment is
 * block 0, then batches, each padded with zeros to whole blocks of 4096
 * bytes, so that a block once acknowledged is never written again; then, if
 * it was sealed, one batch of type SEAL.  A preallocated rest is zeros.
 *
 * Block 0:
 *     0  8  "SCCJ0001"
 *     8  2  format, 1     10 2 schema version of the records, 1
 *    12  4  crc32c of the block, with this field as 0
 *    16 16  segment       32 16 writer       48 16 store
 *    64  8  number of the segment in its writer's life, from 0
 *    72  8  created, ns of the wall clock
 *    80  8  last hlc before this segment
 *    88 16  the writer's previous segment, zeros if none
 *   104  4  that segment's last chain
 *   108  4  length of the host's name, <= 128     112 the name, zeros
 *   240  4  1 if names were erased from its records since it was sealed: its
 *           chain is another one than the next segment knows
 *
 * Batch header, 64 bytes:
 *     0  4  "SCCB"         4  4  type: 1 RECORDS, 2 SEAL
 *     8  8  number of the batch in its segment, from 0
 *    16  8  salt: the segment's first 8 bytes
 *    24  4  records       28  4  bytes of records
 *    32  8  first hlc     40  8  last hlc
 *    48  4  crc32c of the records' bytes
 *    52  4  chain: crc32c of (previous chain, header's bytes 0..51); the
 *           first batch's previous chain is block 0's crc32c
 *    56  4  crc32c of the header's bytes 0..55
 *    60  4  0
 *
 * Record, padded to 8:
 *     0  4  length with this header, without padding
 *     4  4  crc32c of bytes 8..length
 *     8  2  schema version  10 1 kind  11 1 flags
 *    12  2  length of idempotency key     14 2 of target
 *    16  2  of contributor id             18 2 of contributor's name
 *    20  4  of body
 *    24  8  hlc            32  8  received, ns of the wall clock
 *    40 16  event id       56 32  sha256 of the body
 *    88     key, target, contributor id, name, body
 *
 * SEAL's payload, 64 bytes: records u64, first hlc u64, last hlc u64, xor of
 * the event ids 16, batches u64, 16 zeros.
 */

#define SCC_JOURNAL_BLOCK        4096
#define SCC_JOURNAL_BATCH        64
#define SCC_JOURNAL_RECORD       88
#define SCC_JOURNAL_FORMAT       1
#define SCC_JOURNAL_SCHEMA       1
#define SCC_JOURNAL_HOST_MAX     128
#define SCC_JOURNAL_KEY_MAX      255
#define SCC_JOURNAL_RECORD_MAX   (1024 * 1024)      /* of one record */
#define SCC_JOURNAL_BATCH_MAX    (16 * 1024 * 1024) /* of a batch's records */


/* Kinds on disk and in the queue; never renumbered. */

typedef enum {
    SCC_KIND_PLACE = 1,
    SCC_KIND_PLACE_ACCESSIBILITY = 2,
    SCC_KIND_BUILDING = 3,
    SCC_KIND_BUILDING_ACCESSIBILITY = 4,
    SCC_KIND_COMMENT = 5,
    SCC_KIND_REPORT = 6,
    SCC_KIND_RETRACT = 7,
    SCC_KIND_RESTORE = 8,
    SCC_KIND_CONTRIBUTOR = 9,
    SCC_KIND_ERASE = 10,
    SCC_KIND_REMOVE = 11,
    SCC_KIND_REINSTATE = 12,
    SCC_KIND_PHOTO = 13,
} scc_kind_t;

#define SCC_KIND_LAST  SCC_KIND_PHOTO

scc_str_t scc_kind_name(scc_kind_t kind);       /* "place_accessibility" */
scc_rc_t scc_kind_parse(scc_str_t name, scc_kind_t *kind);


/*
 * segment must be random, and no time in it: its first 8 bytes are the salt
 * by which a batch is known to belong here.
 */

typedef struct {
    uint8_t         segment[16];
    uint8_t         writer[16];
    uint8_t         store[16];
    uint64_t        number;
    uint64_t        created;        /* ns */
    uint64_t        last_hlc;
    uint8_t         previous[16];
    uint32_t        previous_chain;
    scc_str_t       host;
} scc_segment_t;


typedef struct {
    scc_kind_t      kind;
    uint64_t        hlc;
    uint64_t        received;       /* ns */
    uint8_t         event_id[16];
    uint8_t         sha256[32];     /* of body */
    scc_str_t       key;            /* idempotency key, may be empty */
    scc_str_t       target;
    scc_str_t       contributor_id;
    scc_str_t       contributor_name;
    scc_str_t       body;
} scc_record_t;


/* Block 0.  Returns the block's crc32c: the first chain.  Of a longer host
   the first SCC_JOURNAL_HOST_MAX bytes are kept. */
uint32_t scc_segment_write(uint8_t block[SCC_JOURNAL_BLOCK],
    const scc_segment_t *s);

/* Marks a block 0 as that of a segment from which names were erased.
   Returns the block's crc32c, as write() does. */
uint32_t scc_segment_erase(uint8_t block[SCC_JOURNAL_BLOCK]);

/* Of a valid block 0. */
bool scc_segment_erased(const uint8_t block[SCC_JOURNAL_BLOCK]);

/* DECLINED if it is no valid block 0 of format 1.  host points into the
   block. */
scc_rc_t scc_segment_read(const uint8_t block[SCC_JOURNAL_BLOCK],
    scc_segment_t *s, uint32_t *chain);


/*
 * Bytes that a record takes, padding included; 0 if it could not be read
 * again: no such kind, a key of more than SCC_JOURNAL_KEY_MAX bytes, target
 * or contributor id of more than SCC_ID_MAX, name of more than SCC_NAME_MAX,
 * one of these not UTF-8 or with a NUL, all of it beyond
 * SCC_JOURNAL_RECORD_MAX.
 */
size_t scc_record_size(const scc_record_t *r);

/* Appends it (to a batch, or alone as the queue carries it).  A record
   without a size sets b->error: ask scc_record_size() first. */
void scc_record_write(scc_buf_t *b, const scc_record_t *r);

/*
 * The record at the start of bytes; *size with padding.  Every length, the
 * crc, the padding and what scc_record_size() asks for are checked; strings
 * point into bytes.  DECLINED with *size > 0: whole and undamaged, but of a
 * schema, kind or content that this program does not know; the next record
 * is *size bytes on.
 */
scc_rc_t scc_record_read(scc_str_t bytes, scc_record_t *r, size_t *size);


/* A writer's or reader's place in a segment, between two batches. */

typedef struct {
    uint8_t         salt[8];
    uint64_t        next;           /* number of the next batch */
    uint32_t        chain;
    uint64_t        records;        /* totals so far, for the seal */
    uint64_t        first_hlc;
    uint64_t        last_hlc;
    uint8_t         ids[16];        /* xor of event ids */
} scc_chain_t;

void scc_chain_begin(scc_chain_t *c, const scc_segment_t *s, uint32_t chain);

/*
 * Writing: begin() empties the buffer and reserves the header; records are
 * appended with scc_record_write() and counted with add(); finish() fills
 * in header and padding and moves the chain; the buffer is then what has to
 * be written.  A batch that failed to reach the disk is written again
 * elsewhere from its records: scc_batch_move().
 *
 * finish(), move() and seal() return ERROR, and leave the chain as it was,
 * if the buffer has an error, nothing was added, or the records take more
 * than SCC_JOURNAL_BATCH_MAX.
 *
 * What the reader's verdicts rest on: a batch is written only after the one
 * before it was synced, on bytes that were zeros.
 */

typedef struct {
    scc_buf_t      *b;
    uint32_t        n;
    uint64_t        first_hlc;
    uint64_t        last_hlc;
    uint8_t         ids[16];
} scc_batch_t;

void scc_batch_begin(scc_batch_t *batch, scc_buf_t *b);
void scc_batch_add(scc_batch_t *batch, const scc_record_t *r);
scc_rc_t scc_batch_finish(scc_batch_t *batch, scc_chain_t *c);

/* The same records, finished for another segment's chain; it does not matter
   whether they were finished before. */
scc_rc_t scc_batch_move(scc_batch_t *batch, scc_chain_t *c);

/* A whole SEAL batch, in a buffer that is emptied first. */
scc_rc_t scc_batch_seal(scc_buf_t *b, scc_chain_t *c);


/*
 * Reading, over a view of the segment's bytes (mapped or read whole; the
 * file may end anywhere).  next() walks batch by batch:
 *
 *   OK        a valid batch of records: batch is set
 *   DONE      the end: end says which
 *
 * The end of a segment:
 *   CLEAN     zeros, or the end of the file at a batch boundary
 *   SEALED    a valid SEAL, and nothing but zeros after it
 *   TORN      bytes that are no valid batch, as an interrupted write leaves
 *             them: no later batch of this segment after them, and a hole
 *             (zeros, or the file's end) where bytes of the batch belong.
 *             The tail was never acknowledged
 *   CORRUPT   anything else: an invalid batch with later ones after it, or
 *             one that is all there, so that it was damaged after it was
 *             written.  Nothing may be truncated.  salvage() goes on.
 *
 * While its writer lives, what is behind a segment's last valid batch says
 * nothing: look again later.
 */

typedef enum {
    SCC_END_NONE = 0,
    SCC_END_CLEAN,
    SCC_END_SEALED,
    SCC_END_TORN,
    SCC_END_CORRUPT,
} scc_segment_end_t;

typedef struct {
    scc_str_t           bytes;          /* the segment */
    scc_segment_t       segment;
    scc_chain_t         chain;
    size_t              pos;            /* after the last valid batch, until
                                           salvage moves on */
    scc_segment_end_t   end;
} scc_scan_t;

typedef struct {
    uint64_t            number;
    uint32_t            n;
    uint64_t            first_hlc;
    uint64_t            last_hlc;
    scc_str_t           records;
} scc_scan_batch_t;

/*
 * DECLINED if block 0 is invalid.  end is then CLEAN (no bytes but zeros) or
 * TORN (nothing behind it): the segment was never used; or CORRUPT: batches
 * may follow, salvage() finds them, and of segment only the salt is known.
 */
scc_rc_t scc_scan_begin(scc_scan_t *s, scc_str_t bytes);
scc_rc_t scc_scan_next(scc_scan_t *s, scc_scan_batch_t *batch);

/*
 * The header alone of a batch of segment "s", true to its own crc, else
 * DECLINED: *size is what the batch takes, in whole blocks.  Of a SEAL, n is
 * 0 and the hlc are those of the whole segment.  records is not set.
 */
scc_rc_t scc_scan_peek(const scc_segment_t *s,
    const uint8_t header[SCC_JOURNAL_BATCH], scc_scan_batch_t *batch,
    size_t *size);

/*
 * After CORRUPT, or after TORN where more is known to be acknowledged than
 * was found: the next valid batch beyond the damage, by its own header, salt
 * and payload crc (its chain cannot be checked), and single records where a
 * batch's payload or header is damaged.  OK with batch set (number as found,
 * or that of the last header seen; records may be one salvaged record), or
 * DONE.  A record may come twice; its event id tells.
 */
scc_rc_t scc_scan_salvage(scc_scan_t *s, scc_scan_batch_t *batch);


#endif /* _SCC_JOURNAL_H_INCLUDED_ */
