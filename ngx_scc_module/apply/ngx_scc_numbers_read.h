
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_NUMBERS_READ_H_INCLUDED_
#define _NGX_SCC_NUMBERS_READ_H_INCLUDED_


#include "ngx_scc_settle.h"
#include "scc_number.h"


/*
 * All numbers that this host's journal has (core/scc_number.h), read piece
 * by piece, a bounded one at each turn.
 */

#define NGX_SCC_NUMBERS_PIECE  1000     /* lines, at most */


typedef struct {
    ngx_scc_apply_t       *apply;

    /* the piece */
    scc_number_t          *numbers;
    ngx_uint_t             n;

    /* of all directories so far; a damaged line is one that is not there */
    uint64_t               last[NGX_SCC_JOURNAL_DIRS][SCC_NUMBER_KINDS];
    ngx_uint_t             unreadable;      /* lines */
    ngx_uint_t             whole;           /* directories read to the end */

    /* private */
    ngx_pool_t            *pool;            /* NULL: nothing is being read */
    ngx_array_t            names;           /* of files, char * */
    ngx_uint_t             dir;
    ngx_uint_t             file;
    ngx_fd_t               fd;
    u_char                *window;
    size_t                 from;
    size_t                 to;
    unsigned               listed:1;        /* names are those of dir */
    unsigned               headed:1;        /* the file's first line was read */
    unsigned               skip:1;          /* up to the next newline */
    unsigned               trouble:1;       /* in this directory */
    unsigned               told:1;          /* of trouble, in the log */
} ngx_scc_numbers_read_t;


void ngx_scc_numbers_read_init(ngx_scc_numbers_read_t *r,
    ngx_scc_apply_t *apply);

/* From the beginning; NGX_ERROR: no memory. */
ngx_int_t ngx_scc_numbers_read_begin(ngx_scc_numbers_read_t *r);

/*
 * The next piece; it may be empty.  NGX_DONE: there is no further one, and
 * the memory is freed.  A directory that cannot be read is left out: "whole"
 * does not count it, and the log says so once.
 */
ngx_int_t ngx_scc_numbers_read(ngx_scc_numbers_read_t *r);

void ngx_scc_numbers_read_end(ngx_scc_numbers_read_t *r);


#endif /* _NGX_SCC_NUMBERS_READ_H_INCLUDED_ */
