
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_PARAMS_H_INCLUDED_
#define _SCC_PARAMS_H_INCLUDED_


#include "scc_buf.h"


/*
 * Parameters of a statement in PostgreSQL's binary form: arrays of one
 * dimension, from element 1, so that there is nothing to escape and nothing
 * to parse.  Begin an array, then append as many elements as were promised;
 * what does not fit is an error of the buffer.
 */


/* Fixed oids of PostgreSQL's catalogue. */

#define SCC_OID_BYTEA   17
#define SCC_OID_INT8    20
#define SCC_OID_TEXT    25
#define SCC_OID_TIME    1184            /* timestamptz */
#define SCC_OID_UUID    2950

#define SCC_OID_BYTEAS  1001            /* arrays of them */
#define SCC_OID_TEXTS   1009
#define SCC_OID_INT8S   1016
#define SCC_OID_TIMES   1185
#define SCC_OID_UUIDS   2951


/* type: of the elements; nulls: whether there may be some. */
void scc_params_array(scc_buf_t *b, uint32_t type, size_t n, bool nulls);

/* An element: text, bytea, or the 16 bytes of a uuid. */
void scc_params_mem(scc_buf_t *b, const void *p, size_t len);
void scc_params_str(scc_buf_t *b, scc_str_t s);

void scc_params_null(scc_buf_t *b);

/* NULL if it is empty. */
void scc_params_null_if_empty(scc_buf_t *b, scc_str_t s);

/* bigint; beyond it, negative. */
void scc_params_int8(scc_buf_t *b, uint64_t n);

/* timestamptz of Unix nanoseconds, cut to microseconds. */
void scc_params_time(scc_buf_t *b, uint64_t ns);


#endif /* _SCC_PARAMS_H_INCLUDED_ */
