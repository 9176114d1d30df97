
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_params.h"


#define SCC_PARAMS_EPOCH  946684800     /* 2000-01-01 in Unix seconds */


static void scc_params_be32(scc_buf_t *b, uint32_t n);
static void scc_params_be64(scc_buf_t *b, uint64_t n);


void
scc_params_array(scc_buf_t *b, uint32_t type, size_t n, bool nulls)
{
    /* an empty array has no dimension */

    scc_params_be32(b, n != 0);
    scc_params_be32(b, nulls);
    scc_params_be32(b, type);

    if (n != 0) {
        scc_params_be32(b, (uint32_t) n);
        scc_params_be32(b, 1);
    }
}


void
scc_params_mem(scc_buf_t *b, const void *p, size_t len)
{
    scc_params_be32(b, (uint32_t) len);
    scc_buf_mem(b, p, len);
}


void
scc_params_str(scc_buf_t *b, scc_str_t s)
{
    scc_params_mem(b, s.data, s.len);
}


void
scc_params_null(scc_buf_t *b)
{
    scc_params_be32(b, UINT32_MAX);
}


void
scc_params_null_if_empty(scc_buf_t *b, scc_str_t s)
{
    if (s.len != 0) {
        scc_params_str(b, s);

    } else {
        scc_params_null(b);
    }
}


void
scc_params_int8(scc_buf_t *b, uint64_t n)
{
    scc_params_be32(b, 8);
    scc_params_be64(b, n);
}


void
scc_params_time(scc_buf_t *b, uint64_t ns)
{
    scc_params_int8(b, ns / 1000 - (uint64_t) SCC_PARAMS_EPOCH * 1000000);
}


static void
scc_params_be32(scc_buf_t *b, uint32_t n)
{
    uint8_t  *p;

    p = scc_buf_reserve(b, 4);

    if (p != NULL) {
        p[0] = (uint8_t) (n >> 24);
        p[1] = (uint8_t) (n >> 16);
        p[2] = (uint8_t) (n >> 8);
        p[3] = (uint8_t) n;
    }
}


static void
scc_params_be64(scc_buf_t *b, uint64_t n)
{
    scc_params_be32(b, (uint32_t) (n >> 32));
    scc_params_be32(b, (uint32_t) n);
}
