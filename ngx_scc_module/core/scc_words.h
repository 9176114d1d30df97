
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_WORDS_H_INCLUDED_
#define _SCC_WORDS_H_INCLUDED_


#include "scc.h"


/*
 * Strings, each once, numbered from 0 in the order they came: a table from
 * ids to what an array of the user's knows of them.  All zeros at first.
 */

typedef struct {
    scc_str_t      *list;           /* owned; they never move */
    uint32_t        n;
    uint32_t        size;
    uint32_t       *slots;          /* numbers + 1; 0: free */
    uint32_t        n_slots;        /* a power of two */
} scc_words_t;

#define SCC_WORD_NONE  UINT32_MAX


/* The string's number, added if it is new; NONE without memory. */
uint32_t scc_words_add(scc_words_t *w, scc_str_t s);

/* NONE if it is not there. */
uint32_t scc_words_find(const scc_words_t *w, scc_str_t s);

void scc_words_free(scc_words_t *w);


#endif /* _SCC_WORDS_H_INCLUDED_ */
