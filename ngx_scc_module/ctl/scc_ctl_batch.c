
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_ctl_batch.h"
#include "scc_params.h"


#define SCC_CTL_BATCH_BYTES   (8 * 1024 * 1024)


static scc_ctl_slice_t scc_ctl_batch_text(scc_ctl_batch_t *b, scc_str_t s);


int
scc_ctl_batch_init(scc_ctl_batch_t *b, size_t max)
{
    memset(b, 0, sizeof(scc_ctl_batch_t));

    scc_buf_heap(&b->text, 0);

    b->max = max;
    b->rows = calloc(max, sizeof(scc_ctl_row_t));
    b->events = calloc(max + SCC_CTL_ROW_EVENTS, sizeof(scc_ctl_event_t));

    return (b->rows != NULL && b->events != NULL) ? 0 : -1;
}


void
scc_ctl_batch_free(scc_ctl_batch_t *b)
{
    free(b->rows);
    free(b->events);
    scc_buf_free(&b->text);
}


void
scc_ctl_batch_reset(scc_ctl_batch_t *b)
{
    b->n_rows = 0;
    b->n_events = 0;
    scc_buf_reset(&b->text);
}


bool
scc_ctl_batch_full(const scc_ctl_batch_t *b)
{
    return b->n_rows >= b->max || b->n_events >= b->max
           || b->text.used >= SCC_CTL_BATCH_BYTES;
}


scc_ctl_row_t *
scc_ctl_batch_row(scc_ctl_batch_t *b, uint64_t line, scc_str_t id)
{
    scc_ctl_row_t  *row;

    row = &b->rows[b->n_rows++];

    row->line = line;
    row->id = scc_ctl_batch_text(b, id);
    row->first = b->n_events;
    row->n = 0;

    return row;
}


scc_ctl_event_t *
scc_ctl_batch_event(scc_ctl_batch_t *b, const scc_record_t *r)
{
    scc_ctl_event_t  *ev;

    ev = &b->events[b->n_events++];
    b->rows[b->n_rows - 1].n++;

    memcpy(ev->id, r->event_id, 16);
    memcpy(ev->sha256, r->sha256, 32);

    ev->kind = r->kind;
    ev->hlc = r->hlc;
    ev->received = r->received;
    ev->key = scc_ctl_batch_text(b, r->key);
    ev->target = scc_ctl_batch_text(b, r->target);
    ev->contributor_id = scc_ctl_batch_text(b, r->contributor_id);
    ev->contributor_name = scc_ctl_batch_text(b, r->contributor_name);
    ev->body = scc_ctl_batch_text(b, r->body);
    ev->journaled = false;
    ev->letter = 0;

    return ev;
}


void
scc_ctl_batch_drop(scc_ctl_batch_t *b)
{
    b->n_rows--;
    b->n_events = b->rows[b->n_rows].first;
}


scc_str_t
scc_ctl_batch_str(const scc_ctl_batch_t *b, scc_ctl_slice_t s)
{
    scc_str_t  str = { s.len, b->text.start + s.start };

    return str;
}


void
scc_ctl_batch_record(const scc_ctl_batch_t *b, const scc_ctl_event_t *ev,
    scc_record_t *r)
{
    r->kind = ev->kind;
    r->hlc = ev->hlc;
    r->received = ev->received;

    memcpy(r->event_id, ev->id, 16);
    memcpy(r->sha256, ev->sha256, 32);

    r->key = scc_ctl_batch_str(b, ev->key);
    r->target = scc_ctl_batch_str(b, ev->target);
    r->contributor_id = scc_ctl_batch_str(b, ev->contributor_id);
    r->contributor_name = scc_ctl_batch_str(b, ev->contributor_name);
    r->body = scc_ctl_batch_str(b, ev->body);
}


size_t
scc_ctl_batch_events(const scc_ctl_batch_t *b, size_t from, size_t to,
    scc_ctl_event_t **first)
{
    *first = b->events + b->rows[from].first;

    return b->rows[to - 1].first + b->rows[to - 1].n - b->rows[from].first;
}


void
scc_ctl_params_init(scc_ctl_params_t *ps)
{
    size_t  i;

    for (i = 0; i < SCC_CTL_PARAMS; i++) {
        scc_buf_heap(&ps->p[i], 0);
    }
}


void
scc_ctl_params_free(scc_ctl_params_t *ps)
{
    size_t  i;

    for (i = 0; i < SCC_CTL_PARAMS; i++) {
        scc_buf_free(&ps->p[i]);
    }
}


int
scc_ctl_params_fill(scc_ctl_params_t *ps, const scc_ctl_batch_t *b,
    size_t from, size_t to)
{
    size_t            i, n;
    scc_buf_t        *p;
    scc_ctl_event_t  *ev;

    p = ps->p;

    for (i = 0; i < SCC_CTL_PARAMS; i++) {
        scc_buf_reset(&p[i]);
    }

    n = scc_ctl_batch_events(b, from, to, &ev);

    scc_ctl_params_ids(&p[0], ev, n);

    scc_params_array(&p[1], SCC_OID_INT8, n, false);
    scc_params_array(&p[2], SCC_OID_TEXT, n, false);
    scc_params_array(&p[3], SCC_OID_TEXT, n, false);
    scc_params_array(&p[4], SCC_OID_TEXT, n, true);
    scc_params_array(&p[5], SCC_OID_TEXT, n, true);
    scc_params_array(&p[6], SCC_OID_TIME, n, false);
    scc_params_array(&p[7], SCC_OID_UUID, n, true);
    scc_params_array(&p[8], SCC_OID_TEXT, n, false);

    for (i = 0; i < n; i++, ev++) {

        scc_params_int8(&p[1], ev->hlc);

        scc_params_str(&p[2], scc_kind_name(ev->kind));
        scc_params_str(&p[3], scc_ctl_batch_str(b, ev->contributor_id));
        scc_params_null_if_empty(&p[4],
                                 scc_ctl_batch_str(b, ev->contributor_name));
        scc_params_null_if_empty(&p[5], scc_ctl_batch_str(b, ev->key));
        scc_params_time(&p[6], ev->received);

        if (ev->journaled) {
            scc_params_mem(&p[7], ev->segment, 16);
        } else {
            scc_params_null(&p[7]);
        }

        scc_params_str(&p[8], scc_ctl_batch_str(b, ev->body));
    }

    for (i = 0; i < SCC_CTL_PARAMS; i++) {
        if (p[i].error) {
            return -1;
        }
    }

    return 0;
}


int
scc_ctl_params_send(const scc_ctl_params_t *ps, PGconn *pg)
{
    int               i, lengths[SCC_CTL_PARAMS], formats[SCC_CTL_PARAMS];
    const char       *values[SCC_CTL_PARAMS];

    static const Oid  types[SCC_CTL_PARAMS] = {
        SCC_OID_UUIDS, SCC_OID_INT8S, SCC_OID_TEXTS,
        SCC_OID_TEXTS, SCC_OID_TEXTS, SCC_OID_TEXTS,
        SCC_OID_TIMES, SCC_OID_UUIDS, SCC_OID_TEXTS
    };

    for (i = 0; i < SCC_CTL_PARAMS; i++) {
        values[i] = (const char *) ps->p[i].start;
        lengths[i] = (int) ps->p[i].used;
        formats[i] = 1;
    }

    return PQsendQueryParams(pg, "SELECT events_new, events_old, mismatched"
                             " FROM scc.contribute($1, $2, $3, $4, $5, $6,"
                             " $7, $8, $9)", SCC_CTL_PARAMS, types, values,
                             lengths, formats, 0);
}


void
scc_ctl_params_ids(scc_buf_t *p, const scc_ctl_event_t *ev, size_t n)
{
    size_t  i;

    scc_params_array(p, SCC_OID_UUID, n, false);

    for (i = 0; i < n; i++) {
        scc_params_mem(p, ev[i].id, 16);
    }
}


void
scc_ctl_params_digests(scc_buf_t *p, const scc_ctl_event_t *ev, size_t n)
{
    size_t  i;

    scc_params_array(p, SCC_OID_BYTEA, n, false);

    for (i = 0; i < n; i++) {
        scc_params_mem(p, ev[i].sha256, 32);
    }
}


static scc_ctl_slice_t
scc_ctl_batch_text(scc_ctl_batch_t *b, scc_str_t s)
{
    scc_ctl_slice_t  slice = { b->text.used, s.len };

    scc_buf_str(&b->text, s);

    return slice;
}
