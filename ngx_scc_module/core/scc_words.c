
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_words.h"


#define SCC_WORDS_SLOTS  1024


static uint32_t scc_words_slot(const scc_words_t *w, scc_str_t s);
static scc_rc_t scc_words_room(scc_words_t *w);


uint32_t
scc_words_add(scc_words_t *w, scc_str_t s)
{
    uint32_t  slot, found;

    found = scc_words_find(w, s);

    if (found != SCC_WORD_NONE) {
        return found;
    }

    if (scc_words_room(w) != SCC_OK) {
        return SCC_WORD_NONE;
    }

    if (scc_str_copy(&w->list[w->n], s) != SCC_OK) {
        return SCC_WORD_NONE;
    }

    slot = scc_words_slot(w, s);
    w->slots[slot] = w->n + 1;

    return w->n++;
}


uint32_t
scc_words_find(const scc_words_t *w, scc_str_t s)
{
    if (w->n_slots == 0) {
        return SCC_WORD_NONE;
    }

    /* a free slot's 0 becomes NONE */

    return w->slots[scc_words_slot(w, s)] - 1;
}


void
scc_words_free(scc_words_t *w)
{
    uint32_t  i;

    for (i = 0; i < w->n; i++) {
        scc_str_free(&w->list[i]);
    }

    free(w->list);
    free(w->slots);

    memset(w, 0, sizeof(scc_words_t));
}


/* Where the string is, or belongs (FNV-1a). */

static uint32_t
scc_words_slot(const scc_words_t *w, scc_str_t s)
{
    size_t    i;
    uint32_t  hash, slot;

    hash = 2166136261u;

    for (i = 0; i < s.len; i++) {
        hash = (hash ^ s.data[i]) * 16777619u;
    }

    hash ^= hash >> 15;

    for (slot = hash & (w->n_slots - 1);
         w->slots[slot] != 0
         && !scc_str_eq(w->list[w->slots[slot] - 1], s);
         slot = (slot + 1) & (w->n_slots - 1))
    {
        /* void */
    }

    return slot;
}


static scc_rc_t
scc_words_room(scc_words_t *w)
{
    uint32_t    i, size, *slots;
    scc_str_t  *list;

    if (w->n == w->size) {

        if (w->size > UINT32_MAX / 4) {
            return SCC_ERROR;
        }

        size = w->size ? 2 * w->size : SCC_WORDS_SLOTS / 2;
        list = realloc(w->list, size * sizeof(scc_str_t));

        if (list == NULL) {
            return SCC_ERROR;
        }

        w->list = list;
        w->size = size;
    }

    if (w->n < w->n_slots / 2) {
        return SCC_OK;
    }

    size = w->n_slots ? 2 * w->n_slots : SCC_WORDS_SLOTS;
    slots = calloc(size, sizeof(uint32_t));

    if (slots == NULL) {
        return SCC_ERROR;
    }

    free(w->slots);

    w->slots = slots;
    w->n_slots = size;

    for (i = 0; i < w->n; i++) {
        w->slots[scc_words_slot(w, w->list[i])] = i + 1;
    }

    return SCC_OK;
}
