
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_ctl_merge.h"


static bool scc_ctl_merge_skip(const scc_ctl_journal_t *j, size_t i);
static int scc_ctl_merge_open(scc_ctl_merge_t *m);
static void scc_ctl_merge_advance(scc_ctl_merge_t *m);
static void scc_ctl_merge_up(scc_ctl_merge_t *m, size_t i);
static void scc_ctl_merge_down(scc_ctl_merge_t *m, size_t i);
static bool scc_ctl_merge_less(const scc_ctl_source_t *a,
    const scc_ctl_source_t *b);
static bool scc_ctl_merge_seen(scc_ctl_merge_t *m, const scc_record_t *r);
static int scc_ctl_source_cmp(const void *a, const void *b);


int
scc_ctl_merge_init(scc_ctl_merge_t *m, scc_ctl_journal_t *j)
{
    size_t              i;
    scc_ctl_segment_t  *s;

    memset(m, 0, sizeof(scc_ctl_merge_t));

    m->sources = calloc(j->n + 1, sizeof(scc_ctl_source_t));
    m->heap = calloc(j->n + 1, sizeof(scc_ctl_source_t *));

    if (m->sources == NULL || m->heap == NULL) {
        scc_ctl_error("out of memory");
        scc_ctl_merge_free(m);
        return -1;
    }

    for (i = 0; i < j->n; i++) {
        s = &j->segments[i];

        if (!scc_ctl_merge_skip(j, i)) {
            m->sources[m->n].segment = s;
            m->sources[m->n++].first = s->chain.first_hlc;
        }
    }

    if (m->n > 1) {
        qsort(m->sources, m->n, sizeof(scc_ctl_source_t),
              scc_ctl_source_cmp);
    }

    return 0;
}


void
scc_ctl_merge_free(scc_ctl_merge_t *m)
{
    size_t  i;

    for (i = 0; m->sources != NULL && i < m->n; i++) {
        scc_ctl_segment_unload(m->sources[i].segment);
    }

    free(m->sources);
    free(m->heap);

    memset(m, 0, sizeof(scc_ctl_merge_t));
}


int
scc_ctl_merge_next(scc_ctl_merge_t *m, const scc_ctl_source_t **source)
{
    scc_ctl_source_t  *top;

    for ( ;; ) {

        if (m->taken) {
            m->taken = false;
            scc_ctl_merge_advance(m);
        }

        while (m->next < m->n
               && (m->n_heap == 0
                   || m->sources[m->next].first <= m->heap[0]->cr.r.hlc))
        {
            if (scc_ctl_merge_open(m) != 0) {
                return -1;
            }
        }

        if (m->n_heap == 0) {
            return 0;
        }

        top = m->heap[0];
        m->taken = true;

        if (top->cr.readable && scc_ctl_merge_seen(m, &top->cr.r)) {
            m->copies++;
            continue;
        }

        *source = top;

        return 1;
    }
}


/* A sealed segment is complete: no other copy has more. */

static bool
scc_ctl_merge_skip(const scc_ctl_journal_t *j, size_t i)
{
    size_t                    k;
    const scc_ctl_segment_t  *s, *t;

    s = &j->segments[i];

    for (k = 0; k < j->n && s->known; k++) {
        t = &j->segments[k];

        if (k != i && t->known && t->state == SCC_CTL_SEGMENT_SEALED
            && (k < i || s->state != SCC_CTL_SEGMENT_SEALED)
            && memcmp(s->head.segment, t->head.segment, 16) == 0)
        {
            return true;
        }
    }

    return false;
}


static int
scc_ctl_merge_open(scc_ctl_merge_t *m)
{
    int                rc;
    scc_ctl_source_t  *source;

    source = &m->sources[m->next++];
    rc = scc_ctl_segment_load(source->segment);

    if (rc != 0) {
        if (rc > 0) {
            scc_ctl_error("\"%s\" has vanished meanwhile",
                          source->segment->path);
        }

        return -1;
    }

    scc_ctl_record_begin(&source->cr, source->segment);

    if (!scc_ctl_record_next(&source->cr)) {
        scc_ctl_segment_unload(source->segment);
        return 0;
    }

    m->heap[m->n_heap++] = source;
    scc_ctl_merge_up(m, m->n_heap - 1);

    return 0;
}


/* A record that cannot be read comes when the one before it came. */

static void
scc_ctl_merge_advance(scc_ctl_merge_t *m)
{
    uint64_t           hlc;
    scc_ctl_source_t  *top;

    top = m->heap[0];
    hlc = top->cr.r.hlc;

    if (!scc_ctl_record_next(&top->cr)) {
        scc_ctl_segment_unload(top->segment);
        m->heap[0] = m->heap[--m->n_heap];

    } else if (!top->cr.readable) {
        top->cr.r.hlc = hlc;
    }

    scc_ctl_merge_down(m, 0);
}


static void
scc_ctl_merge_up(scc_ctl_merge_t *m, size_t i)
{
    size_t             parent;
    scc_ctl_source_t  *t;

    while (i > 0) {
        parent = (i - 1) / 2;

        if (!scc_ctl_merge_less(m->heap[i], m->heap[parent])) {
            return;
        }

        t = m->heap[i];
        m->heap[i] = m->heap[parent];
        m->heap[parent] = t;
        i = parent;
    }
}


static void
scc_ctl_merge_down(scc_ctl_merge_t *m, size_t i)
{
    size_t             child;
    scc_ctl_source_t  *t;

    for ( ;; ) {
        child = 2 * i + 1;

        if (child >= m->n_heap) {
            return;
        }

        if (child + 1 < m->n_heap
            && scc_ctl_merge_less(m->heap[child + 1], m->heap[child]))
        {
            child++;
        }

        if (!scc_ctl_merge_less(m->heap[child], m->heap[i])) {
            return;
        }

        t = m->heap[i];
        m->heap[i] = m->heap[child];
        m->heap[child] = t;
        i = child;
    }
}


static bool
scc_ctl_merge_less(const scc_ctl_source_t *a, const scc_ctl_source_t *b)
{
    if (a->cr.r.hlc != b->cr.r.hlc) {
        return a->cr.r.hlc < b->cr.r.hlc;
    }

    return memcmp(a->cr.r.event_id, b->cr.r.event_id, 16) < 0;
}


static bool
scc_ctl_merge_seen(scc_ctl_merge_t *m, const scc_record_t *r)
{
    if (m->last_hlc == r->hlc && memcmp(m->last_id, r->event_id, 16) == 0
        && memcmp(m->last_sha256, r->sha256, 32) == 0)
    {
        return true;
    }

    m->last_hlc = r->hlc;
    memcpy(m->last_id, r->event_id, 16);
    memcpy(m->last_sha256, r->sha256, 32);

    return false;
}


static int
scc_ctl_source_cmp(const void *a, const void *b)
{
    const scc_ctl_source_t  *x, *y;

    x = a;
    y = b;

    return (x->first > y->first) - (x->first < y->first);
}
