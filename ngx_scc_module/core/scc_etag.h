
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_ETAG_H_INCLUDED_
#define _SCC_ETAG_H_INCLUDED_


#include "scc_view.h"


/*
 * Strong validators (RFC 9110, 8.8.3), one per content coding:
 *
 *   "v1-00jhq3zk8w5xe-g"     from the versions of cells
 *   "b1-7d0v1m2nq4s6t-i"     from the bytes of a body
 *     |      |        coding: i identity, g gzip
 *     |      64 bits, 13 digits of Crockford's base32
 *     kind and SCC_ETAG_FORMAT
 *
 * A cell gives its key, its version and the checksum of its body: the
 * checksum, because a store that was rebuilt or rewound may give a number
 * again.  Each step of the hash is a bijection of what it adds, so two
 * states that differ in one word never have the same one.
 */

/* Another number when the same cells are written in another way. */
#define SCC_ETAG_FORMAT  '1'

#define SCC_ETAG_LEN     (sizeof("\"v1-0000000000000-g\"") - 1)

typedef enum {
    SCC_ETAG_CELLS = 'v',
    SCC_ETAG_BYTES = 'b',
} scc_etag_kind_t;

typedef enum {
    SCC_CODING_IDENTITY = 'i',
    SCC_CODING_GZIP = 'g',
} scc_coding_t;


/* What was asked for: route, area or cells, filter, page. */
uint64_t scc_etag_query(const scc_query_t *q);

/* Goes on from "hash". */
uint64_t scc_etag_word(uint64_t hash, uint64_t word);
uint64_t scc_etag_bytes(uint64_t hash, scc_str_t bytes);
uint64_t scc_etag_cells(uint64_t hash, const scc_view_cell_t *cells,
    size_t n);

/* The hash as SCC_ETAG_DIGITS digits; returns the end. */
#define SCC_ETAG_DIGITS  13
uint8_t *scc_etag_digits(uint8_t *p, uint64_t hash);

/* Writes SCC_ETAG_LEN bytes, quotes included; returns the end. */
uint8_t *scc_etag_write(uint8_t *p, scc_etag_kind_t kind, uint64_t hash,
    scc_coding_t coding);


/*
 * If-None-Match (weak) and If-Match (strong comparison, RFC 9110, 8.8.3.2):
 * true if the list has the etag, or is "*".  Reading stops where the list
 * is not well-formed.
 */
bool scc_etag_match(scc_str_t list, scc_str_t etag, bool weak);


#endif /* _SCC_ETAG_H_INCLUDED_ */
