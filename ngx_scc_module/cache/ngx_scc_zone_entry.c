
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_zone_int.h"


#define NGX_SCC_ZONE_VICTIMS  32
#define NGX_SCC_ZONE_BURIED   32


static void ngx_scc_zone_bury(ngx_scc_zone_shared_t *sh);
static ngx_uint_t ngx_scc_zone_evict(ngx_scc_zone_shared_t *sh,
    ngx_uint_t order);
static ngx_uint_t ngx_scc_zone_clear(ngx_scc_zone_shared_t *sh,
    uint32_t unit, ngx_uint_t order);
static ngx_uint_t ngx_scc_zone_whole(ngx_scc_zone_shared_t *sh,
    uint32_t unit);


ngx_uint_t
ngx_scc_zone_pinned(const ngx_scc_zone_entry_t *e)
{
    uint64_t    pins;
    ngx_uint_t  i;

    pins = 0;

    for (i = 0; i < NGX_SCC_ZONE_WORDS; i++) {
        pins |= __atomic_load_n(&e->pins[i], __ATOMIC_ACQUIRE);
    }

    return pins != 0;
}


ngx_scc_zone_entry_t *
ngx_scc_zone_find(ngx_scc_zone_shared_t *sh, uint32_t key)
{
    ngx_scc_zone_entry_t  *e;

    e = sh->buckets[ngx_scc_zone_hash(key) & sh->buckets_mask];

    while (e != NULL && e->key != key) {
        e = e->next;
    }

    return e;
}


void
ngx_scc_zone_attach(ngx_scc_zone_shared_t *sh, ngx_scc_zone_entry_t *e,
    uint64_t now)
{
    ngx_scc_zone_entry_t  **bucket;

    bucket = &sh->buckets[ngx_scc_zone_hash(e->key) & sh->buckets_mask];

    e->next = *bucket;
    e->used = now;
    e->state = NGX_SCC_ZONE_LIVE;

    *bucket = e;

    ngx_queue_insert_head(&sh->lru, &e->queue);

    sh->stat.entries++;
}


void
ngx_scc_zone_detach(ngx_scc_zone_shared_t *sh, ngx_scc_zone_entry_t *e)
{
    ngx_scc_zone_entry_t  **p;

    p = &sh->buckets[ngx_scc_zone_hash(e->key) & sh->buckets_mask];

    while (*p != e) {
        p = &(*p)->next;
    }

    *p = e->next;

    ngx_queue_remove(&e->queue);

    sh->stat.entries--;

    e->state = NGX_SCC_ZONE_DETACHED;
    ngx_queue_insert_tail(&sh->detached, &e->queue);

    if (!ngx_scc_zone_pinned(e)) {
        ngx_scc_zone_free(sh, e);
    }
}


/*
 * An entry must be one run, so what is used last cannot go one by one until
 * there is room somewhere: of the oldest entries the first is taken whose
 * neighbourhood, a block of the size that is needed, is not pinned, and all
 * of that block goes.
 */

ngx_scc_zone_entry_t *
ngx_scc_zone_make(ngx_scc_zone_shared_t *sh, uint32_t units)
{
    uint32_t               i, unit;
    ngx_scc_zone_entry_t  *e;

    ngx_scc_zone_bury(sh);

    unit = ngx_scc_zone_room_get(sh, units);

    if (unit == sh->units) {

        if (!ngx_scc_zone_evict(sh, ngx_scc_zone_room_order(units))) {
            return NULL;
        }

        unit = ngx_scc_zone_room_get(sh, units);

        if (unit == sh->units) {
            return NULL;
        }
    }

    e = ngx_scc_zone_entry(sh, unit);

    ngx_memzero(e, sizeof(ngx_scc_zone_entry_t));

    e->unit = unit;
    e->units = units;
    e->state = NGX_SCC_ZONE_FILLING;

    for (i = 0; i < units; i++) {
        sh->owner[unit + i] = unit + 1;
    }

    return e;
}


/* FILLING or DETACHED, and nobody pins it. */

void
ngx_scc_zone_free(ngx_scc_zone_shared_t *sh, ngx_scc_zone_entry_t *e)
{
    uint32_t  i, unit, units;

    unit = e->unit;
    units = e->units;

    if (e->state == NGX_SCC_ZONE_DETACHED) {
        ngx_queue_remove(&e->queue);
    }

    e->state = NGX_SCC_ZONE_FREE;

    for (i = 0; i < units; i++) {
        sh->owner[unit + i] = 0;
    }

    ngx_scc_zone_room_put(sh, unit, units);
}


void
ngx_scc_zone_sweep(ngx_scc_zone_shared_t *sh, ngx_uint_t slot)
{
    uint32_t               unit, units;
    ngx_scc_zone_entry_t  *e;

    for (unit = 0; unit < sh->units; unit += units) {

        if (sh->owner[unit] == 0) {
            units = 1;
            continue;
        }

        e = ngx_scc_zone_entry(sh, unit);
        units = e->units;

        (void) __atomic_and_fetch(&e->pins[slot / 64],
                                  ~((uint64_t) 1 << slot % 64),
                                  __ATOMIC_RELEASE);

        if (e->state != NGX_SCC_ZONE_LIVE && !ngx_scc_zone_pinned(e)) {
            ngx_scc_zone_free(sh, e);
        }
    }
}


/*
 * A process died while it changed the zone.  What it changed was not pinned
 * by others: entries that are whole stay, all else is made again.
 */

void
ngx_scc_zone_repair(ngx_scc_zone_shared_t *sh)
{
    uint32_t               unit, from;
    ngx_scc_zone_entry_t  *e;

    ngx_scc_zone_room_init(sh);

    ngx_memzero(sh->buckets,
                (sh->buckets_mask + 1) * sizeof(ngx_scc_zone_entry_t *));

    ngx_queue_init(&sh->lru);
    ngx_queue_init(&sh->detached);

    sh->stat.entries = 0;

    unit = 0;

    while (unit < sh->units) {

        if (!ngx_scc_zone_whole(sh, unit)) {
            sh->owner[unit++] = 0;
            continue;
        }

        e = ngx_scc_zone_entry(sh, unit);
        unit += e->units;

        if (e->state == NGX_SCC_ZONE_LIVE) {

            if (ngx_scc_zone_find(sh, e->key) == NULL) {
                ngx_scc_zone_attach(sh, e, e->used);
                continue;
            }

            e->state = NGX_SCC_ZONE_DETACHED;
        }

        if (e->state == NGX_SCC_ZONE_DETACHED) {
            ngx_queue_insert_tail(&sh->detached, &e->queue);
        }
    }

    unit = 0;

    while (unit < sh->units) {

        if (sh->owner[unit] != 0) {
            unit += ngx_scc_zone_entry(sh, unit)->units;
            continue;
        }

        from = unit;

        while (unit < sh->units && sh->owner[unit] == 0) {
            unit++;
        }

        ngx_scc_zone_room_put(sh, from, unit - from);
    }

    sh->stat.repairs++;
}


/* Some of the detached ones that nobody pins any more. */

static void
ngx_scc_zone_bury(ngx_scc_zone_shared_t *sh)
{
    ngx_uint_t             i;
    ngx_queue_t           *q;
    ngx_scc_zone_entry_t  *e;

    for (i = 0; i < NGX_SCC_ZONE_BURIED; i++) {

        if (ngx_queue_empty(&sh->detached)) {
            return;
        }

        q = ngx_queue_head(&sh->detached);
        e = ngx_queue_data(q, ngx_scc_zone_entry_t, queue);

        if (ngx_scc_zone_pinned(e)) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&sh->detached, q);
            continue;
        }

        ngx_scc_zone_free(sh, e);
    }
}


static ngx_uint_t
ngx_scc_zone_evict(ngx_scc_zone_shared_t *sh, ngx_uint_t order)
{
    ngx_uint_t             i;
    ngx_queue_t           *q, *prev;
    ngx_scc_zone_entry_t  *e;

    q = ngx_queue_last(&sh->lru);

    for (i = 0;
         i < NGX_SCC_ZONE_VICTIMS && q != ngx_queue_sentinel(&sh->lru);
         i++, q = prev)
    {
        prev = ngx_queue_prev(q);
        e = ngx_queue_data(q, ngx_scc_zone_entry_t, queue);

        if (ngx_scc_zone_pinned(e)) {
            ngx_queue_remove(q);
            ngx_queue_insert_head(&sh->lru, q);
            continue;
        }

        if (ngx_scc_zone_clear(sh, e->unit, order)) {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_scc_zone_clear(ngx_scc_zone_shared_t *sh, uint32_t unit,
    ngx_uint_t order)
{
    uint32_t               u, end;
    ngx_scc_zone_entry_t  *e;

    unit &= ~(((uint32_t) 1 << order) - 1);
    end = unit + ((uint32_t) 1 << order);

    if (end > sh->units) {
        return 0;
    }

    u = unit;

    while (u < end) {

        if (sh->owner[u] == 0) {
            u++;
            continue;
        }

        e = ngx_scc_zone_entry(sh, sh->owner[u] - 1);

        if (ngx_scc_zone_pinned(e)) {
            return 0;
        }

        u = e->unit + e->units;
    }

    for (u = unit; u < end; u++) {

        if (sh->owner[u] == 0) {
            continue;
        }

        e = ngx_scc_zone_entry(sh, sh->owner[u] - 1);

        if (e->state == NGX_SCC_ZONE_LIVE) {
            sh->stat.evictions++;

            if (!e->old) {
                sh->lost[ngx_scc_zone_hash(e->key) & sh->gens_mask] =
                                                      (uint32_t) sh->moves;
            }

            ngx_scc_zone_detach(sh, e);

        } else {
            ngx_scc_zone_free(sh, e);
        }
    }

    return 1;
}


static ngx_uint_t
ngx_scc_zone_whole(ngx_scc_zone_shared_t *sh, uint32_t unit)
{
    uint32_t               i;
    ngx_scc_zone_entry_t  *e;

    if (sh->owner[unit] != unit + 1) {
        return 0;
    }

    e = ngx_scc_zone_entry(sh, unit);

    if (e->unit != unit
        || e->units == 0
        || e->units > sh->units - unit
        || e->state == NGX_SCC_ZONE_FREE
        || e->state > NGX_SCC_ZONE_DETACHED)
    {
        return 0;
    }

    for (i = 1; i < e->units; i++) {
        if (sh->owner[unit + i] != unit + 1) {
            return 0;
        }
    }

    return 1;
}
