
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_entries.h"


#define NGX_SCC_ENTRIES_BYTES  (4 * 1024 * 1024)    /* wished, of a batch */


static ngx_int_t ngx_scc_entries_one(ngx_scc_entries_t *e,
    ngx_scc_redis_reply_t *entry);
static ngx_int_t ngx_scc_entries_room(ngx_scc_entries_t *e);


void
ngx_scc_entries_init(ngx_scc_entries_t *e, ngx_log_t *log)
{
    ngx_memzero(e, sizeof(ngx_scc_entries_t));

    e->log = log;
    e->count = NGX_SCC_ENTRIES_FIRST;

    scc_buf_heap(&e->bytes, 0);
}


void
ngx_scc_entries_free(ngx_scc_entries_t *e)
{
    scc_buf_free(&e->bytes);

    if (e->items != NULL) {
        ngx_free(e->items);
        ngx_free(e->ids);
    }

    e->items = NULL;
    e->ids = NULL;
    e->size = 0;
}


void
ngx_scc_entries_trim(ngx_scc_entries_t *e)
{
    if (e->bytes.size > 2 * NGX_SCC_ENTRIES_BYTES) {
        scc_buf_free(&e->bytes);
    }
}


/* Copies entries; the reply is gone after the handler. */

ngx_int_t
ngx_scc_entries_take(ngx_scc_entries_t *e, ngx_scc_redis_reply_t *entries)
{
    u_char      *p;
    size_t       size;
    ngx_uint_t   i;

    e->n_items = 0;
    e->n_ids = 0;

    scc_buf_reset(&e->bytes);

    if (entries == NULL) {
        return NGX_OK;
    }

    for (i = 0; i < ngx_scc_reply_elements(entries); i++) {

        if (ngx_scc_entries_one(e, ngx_scc_reply_element(entries, i))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (e->bytes.error) {
        scc_buf_free(&e->bytes);
        return NGX_ERROR;
    }

    /* the buffer does not move any more */

    p = e->bytes.start;

    for (i = 0; i < e->n_items; i++) {
        scc_str_t  raw = { e->items[i].raw.len, p };

        e->items[i].raw.data = p;
        p += raw.len;

        e->items[i].bad = (scc_record_read(raw, &e->items[i].record, &size)
                           != SCC_OK || size != raw.len);
    }

    /* few large ones, or many small ones */

    if (e->bytes.used > NGX_SCC_ENTRIES_BYTES) {
        e->count = ngx_max(e->count / 2, 1);

    } else if (e->bytes.used < NGX_SCC_ENTRIES_BYTES / 4) {
        e->count = ngx_min(2 * e->count, NGX_SCC_ENTRIES_MAX);
    }

    return NGX_OK;
}


/* [id, [name, value, ...]]; removed ones have no fields. */

static ngx_int_t
ngx_scc_entries_one(ngx_scc_entries_t *e,
    ngx_scc_redis_reply_t *entry)
{
    size_t                   before;
    ngx_str_t                id, key, value;
    ngx_uint_t               i, found;
    ngx_scc_item_t          *item;
    ngx_scc_redis_reply_t   *fields;

    if (ngx_scc_reply_elements(entry) < 2) {
        return NGX_OK;
    }

    id = ngx_scc_reply_str(ngx_scc_reply_element(entry, 0));
    fields = ngx_scc_reply_element(entry, 1);

    if (id.len == 0 || id.len > NGX_SCC_ENTRY_ID) {
        return NGX_OK;
    }

    if (ngx_scc_entries_room(e) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(e->ids[e->n_ids].data, id.data, id.len);
    e->ids[e->n_ids].len = id.len;
    e->n_ids++;

    if (ngx_scc_reply_elements(fields) == 0) {
        return NGX_OK;
    }

    item = &e->items[e->n_items++];
    ngx_memzero(item, sizeof(ngx_scc_item_t));

    before = e->bytes.used;
    found = 0;

    for (i = 0; i + 1 < ngx_scc_reply_elements(fields); i += 2) {
        key = ngx_scc_reply_str(ngx_scc_reply_element(fields, i));
        value = ngx_scc_reply_str(ngx_scc_reply_element(fields, i + 1));

        if (ngx_scc_entries_is(&key, "r") && !found) {
            found = 1;
            scc_buf_mem(&e->bytes, value.data, value.len);

        } else if (ngx_scc_entries_is(&key, "s") && value.len == 16) {
            ngx_memcpy(item->segment, value.data, 16);
            item->has_segment = 1;
        }
    }

    if (!found) {

        /* not ours: kept as it is, for whoever wonders */

        for (i = 0; i < ngx_scc_reply_elements(fields); i++) {
            value = ngx_scc_reply_str(ngx_scc_reply_element(fields, i));

            if (value.len != 0) {
                scc_buf_mem(&e->bytes, value.data, value.len);
            }

            scc_buf_byte(&e->bytes, '\n');
        }
    }

    item->raw.len = e->bytes.used - before;

    return NGX_OK;
}


static ngx_int_t
ngx_scc_entries_room(ngx_scc_entries_t *e)
{
    ngx_uint_t           n;
    ngx_scc_item_t      *items;
    ngx_scc_entry_id_t  *ids;

    if (e->n_ids < e->size) {
        return NGX_OK;
    }

    n = e->size ? 2 * e->size : NGX_SCC_ENTRIES_FIRST;

    items = ngx_alloc(n * sizeof(ngx_scc_item_t), e->log);
    ids = ngx_alloc(n * sizeof(ngx_scc_entry_id_t), e->log);

    if (items == NULL || ids == NULL) {

        if (items != NULL) {
            ngx_free(items);
        }

        if (ids != NULL) {
            ngx_free(ids);
        }

        return NGX_ERROR;
    }

    if (e->items != NULL) {
        ngx_memcpy(items, e->items, e->n_items * sizeof(ngx_scc_item_t));
        ngx_memcpy(ids, e->ids, e->n_ids * sizeof(ngx_scc_entry_id_t));

        ngx_free(e->items);
        ngx_free(e->ids);
    }

    e->items = items;
    e->ids = ids;
    e->size = n;

    return NGX_OK;
}


ngx_uint_t
ngx_scc_entries_is(ngx_str_t *text, const char *word)
{
    size_t  len;

    len = ngx_strlen(word);

    return text->len >= len && ngx_strncmp(text->data, word, len) == 0
           && (text->len == len || text->data[len] == ' ');
}
