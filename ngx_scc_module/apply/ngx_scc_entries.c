
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_entries.h"


#define NGX_SCC_ENTRIES_BYTES  (8 * 1024 * 1024)    /* wished, of a batch */


static ngx_int_t ngx_scc_entries_one(ngx_scc_entries_t *e,
    ngx_scc_redis_reply_t *entry);
static ngx_int_t ngx_scc_entries_read(ngx_scc_entries_t *e,
    ngx_scc_entry_id_t *id, u_char *p);
static void ngx_scc_entries_pace(ngx_scc_entries_t *e);


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
    }

    if (e->ids != NULL) {
        ngx_free(e->ids);
    }

    e->items = NULL;
    e->items_size = 0;
    e->ids = NULL;
    e->ids_size = 0;
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

    for (i = 0; i < e->n_ids; i++) {

        if (ngx_scc_entries_read(e, &e->ids[i], p) != NGX_OK) {
            return NGX_ERROR;
        }

        p += e->ids[i].bytes;
    }

    ngx_scc_entries_pace(e);

    return NGX_OK;
}


/* [id, [name, value, ...]]; removed ones have no fields. */

static ngx_int_t
ngx_scc_entries_one(ngx_scc_entries_t *e,
    ngx_scc_redis_reply_t *entry)
{
    size_t                   before;
    ngx_str_t                id, key, value;
    ngx_uint_t               i;
    ngx_scc_entry_id_t      *to;
    ngx_scc_redis_reply_t   *fields;

    if (ngx_scc_reply_elements(entry) < 2) {
        return NGX_OK;
    }

    id = ngx_scc_reply_str(ngx_scc_reply_element(entry, 0));
    fields = ngx_scc_reply_element(entry, 1);

    if (id.len == 0 || id.len > NGX_SCC_ENTRY_ID) {
        return NGX_OK;
    }

    to = ngx_scc_apply_room(e->ids, e->n_ids, &e->ids_size,
                            sizeof(ngx_scc_entry_id_t), e->log);
    if (to == NULL) {
        return NGX_ERROR;
    }

    e->ids = to;
    to = &e->ids[e->n_ids++];

    ngx_memzero(to, sizeof(ngx_scc_entry_id_t));
    ngx_memcpy(to->data, id.data, id.len);
    to->len = id.len;

    before = e->bytes.used;

    for (i = 0; i + 1 < ngx_scc_reply_elements(fields); i += 2) {
        key = ngx_scc_reply_str(ngx_scc_reply_element(fields, i));
        value = ngx_scc_reply_str(ngx_scc_reply_element(fields, i + 1));

        if (ngx_scc_entries_is(&key, "r") && !to->records) {
            to->records = 1;
            scc_buf_mem(&e->bytes, value.data, value.len);

        } else if (ngx_scc_entries_is(&key, "s") && value.len == 16) {
            ngx_memcpy(to->segment, value.data, 16);
            to->has_segment = 1;
        }
    }

    to->some = (ngx_scc_reply_elements(fields) != 0);

    if (!to->records) {

        /* not ours: kept as it is, for whoever wonders */

        for (i = 0; i < ngx_scc_reply_elements(fields); i++) {
            value = ngx_scc_reply_str(ngx_scc_reply_element(fields, i));

            if (value.len != 0) {
                scc_buf_mem(&e->bytes, value.data, value.len);
            }

            scc_buf_byte(&e->bytes, '\n');
        }
    }

    to->bytes = e->bytes.used - before;

    return NGX_OK;
}


/* Behind what is no record nothing can be read: it is one bad item. */

static ngx_int_t
ngx_scc_entries_read(ngx_scc_entries_t *e, ngx_scc_entry_id_t *id, u_char *p)
{
    size_t           size;
    scc_str_t        left;
    ngx_scc_item_t  *item;

    if (!id->some) {
        return NGX_OK;
    }

    left.len = id->bytes;
    left.data = p;

    do {
        item = ngx_scc_apply_room(e->items, e->n_items, &e->items_size,
                                  sizeof(ngx_scc_item_t), e->log);
        if (item == NULL) {
            return NGX_ERROR;
        }

        e->items = item;
        item = &e->items[e->n_items++];

        ngx_memzero(item, sizeof(ngx_scc_item_t));
        ngx_memcpy(item->segment, id->segment, 16);
        item->has_segment = id->has_segment;

        if (!id->records
            || scc_record_read(left, &item->record, &size) != SCC_OK)
        {
            item->bad = 1;
            size = left.len;
        }

        item->raw.data = (u_char *) left.data;
        item->raw.len = size;

        left.data += size;
        left.len -= size;

    } while (left.len != 0);

    return NGX_OK;
}


/*
 * Few large entries, or many small ones: a batch is to be as large as one
 * statement takes, less an eighth, since entries differ.  More only if there
 * were more, and not more than twice as many at once.
 */

static void
ngx_scc_entries_pace(ngx_scc_entries_t *e)
{
    uint64_t  count, bytes;

    if (e->n_items == 0) {
        return;
    }

    count = (uint64_t) e->n_ids * (NGX_SCC_SETTLE_ITEMS / 8 * 7) / e->n_items;
    bytes = (uint64_t) e->n_ids * NGX_SCC_ENTRIES_BYTES
            / (e->bytes.used + 1);

    count = ngx_min(count, bytes);

    if (count > e->count && e->n_ids < e->count) {
        return;
    }

    count = ngx_min(count, 2 * e->count);

    e->count = ngx_max(ngx_min(count, NGX_SCC_ENTRIES_MAX), 1);
}


ngx_uint_t
ngx_scc_entries_is(ngx_str_t *text, const char *word)
{
    size_t  len;

    len = ngx_strlen(word);

    return text->len >= len && ngx_strncmp(text->data, word, len) == 0
           && (text->len == len || text->data[len] == ' ');
}
