
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scc_ctl_batch.h"


#define SCC_CTL_BATCH_BYTES   (8 * 1024 * 1024)

#define SCC_CTL_PG_EPOCH      946684800     /* 2000-01-01 in Unix seconds */

/* Fixed oids of PostgreSQL's catalogue. */

#define SCC_CTL_OID_INT8      20
#define SCC_CTL_OID_TEXT      25
#define SCC_CTL_OID_TEXTS     1009
#define SCC_CTL_OID_INT8S     1016
#define SCC_CTL_OID_TIME      1184
#define SCC_CTL_OID_TIMES     1185
#define SCC_CTL_OID_UUID      2950
#define SCC_CTL_OID_UUIDS     2951


static void scc_ctl_params_head(scc_buf_t *p, uint32_t type, size_t n,
    bool nulls);
static void scc_ctl_params_text(scc_buf_t *p, const scc_ctl_batch_t *b,
    scc_ctl_slice_t s);
static void scc_ctl_params_null(scc_buf_t *p);
static void scc_ctl_params_be32(scc_buf_t *p, uint32_t n);
static void scc_ctl_params_be64(scc_buf_t *p, uint64_t n);


int
scc_ctl_batch_init(scc_ctl_batch_t *b, size_t max)
{
    memset(b, 0, sizeof(scc_ctl_batch_t));

    scc_buf_heap(&b->text, 0);

    b->max = max;
    b->rows = calloc(max, sizeof(scc_ctl_row_t));
    b->events = calloc(max + SCC_IMPORT_BODIES, sizeof(scc_ctl_event_t));

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


scc_ctl_slice_t
scc_ctl_batch_text(scc_ctl_batch_t *b, scc_str_t s)
{
    scc_ctl_slice_t  slice = { b->text.used, s.len };

    scc_buf_str(&b->text, s);

    return slice;
}


scc_str_t
scc_ctl_batch_str(const scc_ctl_batch_t *b, scc_ctl_slice_t s)
{
    scc_str_t  str = { s.len, b->text.start + s.start };

    return str;
}


size_t
scc_ctl_batch_events(const scc_ctl_batch_t *b, size_t from, size_t to,
    const scc_ctl_event_t **first)
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
    size_t                  i, n;
    uint64_t                now;
    scc_buf_t              *p;
    struct timespec         ts;
    const scc_ctl_event_t  *ev;

    p = ps->p;

    for (i = 0; i < SCC_CTL_PARAMS; i++) {
        scc_buf_reset(&p[i]);
    }

    clock_gettime(CLOCK_REALTIME, &ts);
    now = (uint64_t) (ts.tv_sec - SCC_CTL_PG_EPOCH) * 1000000
          + (uint64_t) ts.tv_nsec / 1000;

    n = scc_ctl_batch_events(b, from, to, &ev);

    scc_ctl_params_head(&p[0], SCC_CTL_OID_UUID, n, false);
    scc_ctl_params_head(&p[1], SCC_CTL_OID_INT8, n, false);
    scc_ctl_params_head(&p[2], SCC_CTL_OID_TEXT, n, false);
    scc_ctl_params_head(&p[3], SCC_CTL_OID_TEXT, n, false);
    scc_ctl_params_head(&p[4], SCC_CTL_OID_TEXT, n, true);
    scc_ctl_params_head(&p[5], SCC_CTL_OID_TEXT, n, true);
    scc_ctl_params_head(&p[6], SCC_CTL_OID_TIME, n, false);
    scc_ctl_params_head(&p[8], SCC_CTL_OID_TEXT, n, false);

    for (i = 0; i < n; i++, ev++) {

        scc_ctl_params_be32(&p[0], 16);
        scc_buf_mem(&p[0], ev->id, 16);

        scc_ctl_params_be32(&p[1], 8);
        scc_ctl_params_be64(&p[1], ev->hlc);

        scc_ctl_params_text(&p[2], b, ev->kind_name);
        scc_ctl_params_text(&p[3], b, ev->contributor_id);

        if (ev->contributor_name.len > 0) {
            scc_ctl_params_text(&p[4], b, ev->contributor_name);
        } else {
            scc_ctl_params_null(&p[4]);
        }

        scc_ctl_params_null(&p[5]);             /* idem_key */

        scc_ctl_params_be32(&p[6], 8);
        scc_ctl_params_be64(&p[6], now);

        scc_ctl_params_text(&p[8], b, ev->body);
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
        SCC_CTL_OID_UUIDS, SCC_CTL_OID_INT8S, SCC_CTL_OID_TEXTS,
        SCC_CTL_OID_TEXTS, SCC_CTL_OID_TEXTS, SCC_CTL_OID_TEXTS,
        SCC_CTL_OID_TIMES, SCC_CTL_OID_UUID, SCC_CTL_OID_TEXTS
    };

    for (i = 0; i < SCC_CTL_PARAMS; i++) {
        values[i] = (ps->p[i].used > 0) ? (const char *) ps->p[i].start
                                        : NULL;
        lengths[i] = (int) ps->p[i].used;
        formats[i] = 1;
    }

    return PQsendQueryParams(pg, "SELECT events_new, events_old"
                             " FROM scc.apply($1, $2, $3, $4, $5, $6, $7,"
                             " $8, $9)", SCC_CTL_PARAMS, types, values,
                             lengths, formats, 0);
}


/* One dimension, from element 1. */

static void
scc_ctl_params_head(scc_buf_t *p, uint32_t type, size_t n, bool nulls)
{
    scc_ctl_params_be32(p, 1);
    scc_ctl_params_be32(p, nulls);
    scc_ctl_params_be32(p, type);
    scc_ctl_params_be32(p, (uint32_t) n);
    scc_ctl_params_be32(p, 1);
}


static void
scc_ctl_params_text(scc_buf_t *p, const scc_ctl_batch_t *b,
    scc_ctl_slice_t s)
{
    scc_ctl_params_be32(p, (uint32_t) s.len);
    scc_buf_str(p, scc_ctl_batch_str(b, s));
}


static void
scc_ctl_params_null(scc_buf_t *p)
{
    scc_ctl_params_be32(p, UINT32_MAX);
}


static void
scc_ctl_params_be32(scc_buf_t *p, uint32_t n)
{
    uint8_t  b[4] = { (uint8_t) (n >> 24), (uint8_t) (n >> 16),
                      (uint8_t) (n >> 8), (uint8_t) n };

    scc_buf_mem(p, b, 4);
}


static void
scc_ctl_params_be64(scc_buf_t *p, uint64_t n)
{
    scc_ctl_params_be32(p, (uint32_t) (n >> 32));
    scc_ctl_params_be32(p, (uint32_t) n);
}
