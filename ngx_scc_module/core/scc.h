
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_H_INCLUDED_
#define _SCC_H_INCLUDED_


/*
 * The base of core: C11, no nginx, no I/O, no clock.  Memory comes from the
 * caller.  Strings are counted bytes, not NUL-terminated, not owned unless
 * a header says so.  Functions return an scc_rc_t; nothing aborts on input.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


typedef enum {
    SCC_OK = 0,
    SCC_ERROR = -1,         /* no memory, or a size limit reached */
    SCC_AGAIN = -2,         /* more input is needed */
    SCC_DONE = -4,          /* nothing is left */
    SCC_DECLINED = -5,      /* the input is not valid; see the scc_err_t */
} scc_rc_t;


typedef struct {
    size_t          len;
    const uint8_t  *data;
} scc_str_t;

#define scc_string(text)  { sizeof(text) - 1, (const uint8_t *) (text) }
#define scc_null_string   { 0, NULL }


/* What a person reads when input is refused: field, fault and cure. */

#define SCC_ERR_TEXT  256

typedef struct {
    scc_str_t       field;              /* points into input or static */
    char            text[SCC_ERR_TEXT]; /* NUL-terminated UTF-8, no input
                                           bytes beyond printable ASCII */
} scc_err_t;


/* P7: unknown is a value of its own, never "no". */

typedef enum {
    SCC_UNKNOWN = -1,
    SCC_NO = 0,
    SCC_YES = 1,
} scc_tri_t;


#define SCC_ID_MAX          64          /* bytes of UTF-8 */
#define SCC_NAME_MAX        512
#define SCC_CATEGORY_MAX    64
#define SCC_ADDRESS_MAX     512


/* -1, 0 or 1: unsigned bytes, then length; PostgreSQL's COLLATE "C". */

int scc_str_cmp(scc_str_t a, scc_str_t b);

bool scc_str_eq(scc_str_t a, scc_str_t b);

/* Without the blanks and tabs at both ends. */

scc_str_t scc_str_trim(scc_str_t s);

/* Takes the prefix off; false: it is not there. */

bool scc_str_skip(scc_str_t *s, const char *prefix);

/* A copy of its own, from malloc(), also of no bytes; ERROR: no memory. */

scc_rc_t scc_str_copy(scc_str_t *to, scc_str_t s);

/* Of bytes from malloc(), or of zeros. */

void scc_str_free(scc_str_t *s);

/* Well-formed UTF-8 (RFC 3629): no overlong, no surrogates, <= U+10FFFF. */

bool scc_utf8_valid(scc_str_t s);

/* Length of the well-formed UTF-8 sequence that starts at p, of the n > 0
   bytes there; 0 if it is not well-formed. */
size_t scc_utf8_seq(const uint8_t *p, size_t n);

/* Sets both parts; of "field" only the first SCC_ID_MAX bytes are kept. */
void scc_err_set(scc_err_t *err, scc_str_t field, const char *text);


#endif /* _SCC_H_INCLUDED_ */
