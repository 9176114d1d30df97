
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_PAGE_H_INCLUDED_
#define _SCC_PAGE_H_INCLUDED_


#include "scc_buf.h"


/*
 * A place's document as the cache keeps it, format 3.  Little-endian.
 *
 *   0  4  magic "SCCP"
 *   4  4  format, 3
 *   8  4  cell that held the place when the document was read
 *  12  4  crc32c of all other bytes, those of this field as 0
 *  16  8  version of that cell in the same snapshot
 *  24  8  the document's revision
 *  32  8  whose clock the next one is by; 0: none
 *  40  8  when the store was asked for it, ms
 *  48     the JSON document
 *
 * Every change of a document raises the version of the place's cell, so the
 * document is current exactly as long as that cell's version is: it needs
 * no lease of its own.
 */

#define SCC_PAGE_HEADER  48
#define SCC_PAGE_FORMAT  3


typedef struct {
    uint32_t        cell;
    uint64_t        ver;
    uint64_t        rev;
    uint64_t        clock;
    uint64_t        taken;
    scc_str_t       json;       /* borrows the bytes it was opened on */
} scc_page_t;


void scc_page_write(scc_buf_t *b, const scc_page_t *page);

/* DECLINED if anything is wrong; the caller then treats it as absent. */
scc_rc_t scc_page_open(scc_str_t bytes, scc_page_t *page);


#endif /* _SCC_PAGE_H_INCLUDED_ */
