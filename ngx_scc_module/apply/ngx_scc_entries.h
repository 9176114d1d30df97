
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_ENTRIES_H_INCLUDED_
#define _NGX_SCC_ENTRIES_H_INCLUDED_


#include "ngx_scc_redis.h"
#include "ngx_scc_settle.h"


/* Entries of the queue, copied from an answer of Redis, as items: an entry
   has the records of a journal's batch, one or more. */

#define NGX_SCC_ENTRIES_FIRST  200      /* asked for at once, at first */
#define NGX_SCC_ENTRIES_MAX    8000     /* and while they are small */
#define NGX_SCC_ENTRY_ID       48       /* bytes */


typedef struct {
    u_char                  data[NGX_SCC_ENTRY_ID];
    size_t                  len;

    /* private */
    size_t                  bytes;      /* of what it has */
    u_char                  segment[16];
    unsigned                has_segment:1;
    unsigned                records:1;  /* they should be records */
    unsigned                some:1;     /* it was not removed */
} ngx_scc_entry_id_t;


typedef struct {
    ngx_log_t              *log;
    ngx_scc_item_t         *items;
    ngx_uint_t              n_items;
    ngx_scc_entry_id_t     *ids;        /* of all, those without items too */
    ngx_uint_t              n_ids;
    ngx_uint_t              count;      /* to ask for: few large ones, or
                                           many small ones */

    /* private */
    ngx_uint_t              items_size;
    ngx_uint_t              ids_size;
    scc_buf_t               bytes;
} ngx_scc_entries_t;


void ngx_scc_entries_init(ngx_scc_entries_t *e, ngx_log_t *log);
void ngx_scc_entries_free(ngx_scc_entries_t *e);

/* Of an answer's list of entries, which may be NULL.  NGX_ERROR: no memory
   for them. */
ngx_int_t ngx_scc_entries_take(ngx_scc_entries_t *e,
    ngx_scc_redis_reply_t *entries);

/* The items are not needed any more; the ids are. */
void ngx_scc_entries_trim(ngx_scc_entries_t *e);

/* True if the text is the word, or begins with it and a blank. */
ngx_uint_t ngx_scc_entries_is(ngx_str_t *text, const char *word);


#endif /* _NGX_SCC_ENTRIES_H_INCLUDED_ */
