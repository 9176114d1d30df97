
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_BUF_H_INCLUDED_
#define _SCC_BUF_H_INCLUDED_


#include "scc.h"


/*
 * A growing byte buffer with a sticky error: writers never check an append,
 * the user checks "error" once at the end.  "grow" returns a block of at
 * least "size" bytes holding the first "used" bytes of "old" (as realloc
 * does), or NULL; it owns the memory, the buffer only borrows it.  With
 * "grow" NULL the buffer writes into the fixed block it was given.
 */

typedef struct scc_buf_s  scc_buf_t;

typedef void *(*scc_buf_grow_pt)(void *ctx, void *old, size_t used,
    size_t size);

struct scc_buf_s {
    uint8_t          *start;
    size_t            used;
    size_t            size;
    size_t            max_size;     /* 0: no limit */
    scc_buf_grow_pt   grow;
    void             *ctx;
    bool              error;        /* nothing is appended after it is set */
};


/* A buffer over a caller's block; never grows. */
void scc_buf_fixed(scc_buf_t *b, void *block, size_t size);

/* A buffer that grows through "grow"; empty, allocates on first append. */
void scc_buf_init(scc_buf_t *b, scc_buf_grow_pt grow, void *ctx,
    size_t max_size);

/* A buffer on malloc/free; scc_buf_free() releases it. */
void scc_buf_heap(scc_buf_t *b, size_t max_size);
void scc_buf_free(scc_buf_t *b);

/* Forgets the content, keeps the memory, clears the error. */
void scc_buf_reset(scc_buf_t *b);

/* Room for n bytes at the end, counted as used; NULL after an error. */
uint8_t *scc_buf_reserve(scc_buf_t *b, size_t n);

void scc_buf_mem(scc_buf_t *b, const void *p, size_t n);
void scc_buf_str(scc_buf_t *b, scc_str_t s);
void scc_buf_text(scc_buf_t *b, const char *text);
void scc_buf_byte(scc_buf_t *b, uint8_t c);
void scc_buf_uint(scc_buf_t *b, uint64_t n);
void scc_buf_int(scc_buf_t *b, int64_t n);

/* A coordinate in 1e-7 degrees as a decimal: at most 7 decimals, no
   trailing zeros, "-0" never: 1269725780 -> 126.972578. */
void scc_buf_e7(scc_buf_t *b, int32_t e7);

/* A JSON string with its quotes (RFC 8259): escapes '"', '\\' and controls;
   bytes that are not UTF-8 become U+FFFD each. */
void scc_buf_json(scc_buf_t *b, scc_str_t s);

/* Percent-encoding for a query value: all but RFC 3986 unreserved. */
void scc_buf_urlencode(scc_buf_t *b, scc_str_t s);

/* Little-endian integers. */
void scc_buf_le16(scc_buf_t *b, uint16_t n);
void scc_buf_le32(scc_buf_t *b, uint32_t n);
void scc_buf_le64(scc_buf_t *b, uint64_t n);


static inline uint16_t
scc_le16(const uint8_t *p)
{
    return (uint16_t) (p[0] | p[1] << 8);
}


static inline uint32_t
scc_le32(const uint8_t *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}


static inline uint64_t
scc_le64(const uint8_t *p)
{
    return scc_le32(p) | (uint64_t) scc_le32(p + 4) << 32;
}


static inline scc_str_t
scc_buf_get(const scc_buf_t *b)
{
    scc_str_t  s = { b->used, b->start };

    return s;
}


#endif /* _SCC_BUF_H_INCLUDED_ */
