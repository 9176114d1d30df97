
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_NUMBER_H_INCLUDED_
#define _SCC_NUMBER_H_INCLUDED_


#include "scc_buf.h"


/*
 * Numbers that the store gave, as a journal's directory keeps them: files
 * NAME.numbers of lines, each by itself,
 *
 *     numbers STORE CRC               the first one: whose they are
 *     contributor NUMBER ID CRC
 *     place NUMBER ID CRC
 *
 * STORE is a UUID, ID percent-encoded as in a URL; CRC is crc32c, 8 hex
 * digits, of what is before the blank in front of it.  A file is only added
 * to; what its last write left unfinished is no line.
 */

#define SCC_NUMBER_SUFFIX  ".numbers"
#define SCC_NUMBER_LINE    256          /* no line is longer */


typedef enum {
    SCC_NUMBER_CONTRIBUTOR = 0,         /* the order of who conquered */
    SCC_NUMBER_PLACE,                   /* the order of what was conquered */
} scc_number_kind_t;

#define SCC_NUMBER_KINDS  2


typedef struct {
    scc_number_kind_t   kind;
    uint64_t            number;         /* from 1, fits bigint */
    size_t              len;            /* 1 to SCC_ID_MAX */
    uint8_t             id[SCC_ID_MAX];
} scc_number_t;


scc_str_t scc_number_kind_name(scc_number_kind_t kind);
scc_rc_t scc_number_kind_parse(scc_str_t name, scc_number_kind_t *kind);

/* Lines, with their newline. */
void scc_number_head(scc_buf_t *b, const uint8_t store[16]);
void scc_number_write(scc_buf_t *b, const scc_number_t *n);

/* A line without its newline; DECLINED: it is none, or was damaged. */
scc_rc_t scc_number_head_read(scc_str_t line, uint8_t store[16]);
scc_rc_t scc_number_read(scc_str_t line, scc_number_t *n);


#endif /* _SCC_NUMBER_H_INCLUDED_ */
