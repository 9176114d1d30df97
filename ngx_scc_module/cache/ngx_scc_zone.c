
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_zone_int.h"

#include <sys/random.h>


#define NGX_SCC_ZONE_BATCH  64          /* cells looked up under one lock */
#define NGX_SCC_ZONE_MOVE   1000        /* ms between two moves of an entry */


static ngx_int_t ngx_scc_zone_init(ngx_shm_zone_t *shm_zone, void *old);
static void ngx_scc_zone_layout(ngx_scc_zone_shared_t *sh, u_char *p,
    size_t size);
static uint64_t ngx_scc_zone_magic(void);
static ngx_int_t ngx_scc_zone_claim_one(ngx_scc_zone_shared_t *sh,
    uint32_t key, uint64_t now, ngx_msec_t life);
static ngx_uint_t ngx_scc_zone_claimed(ngx_scc_zone_claim_t *claim,
    uint64_t now);
static ngx_scc_zone_entry_t *ngx_scc_zone_room(ngx_scc_zone_t *zone,
    size_t len);
static void ngx_scc_zone_fill(ngx_scc_zone_entry_t *e, scc_str_t bytes,
    const scc_blob_t *blob);
static ngx_uint_t ngx_scc_zone_late(ngx_scc_zone_shared_t *sh, uint32_t key,
    const ngx_scc_zone_note_t *note, uint32_t gen, ngx_uint_t from_redis,
    uint64_t ver);


ngx_scc_zone_t *
ngx_scc_zone_add(ngx_conf_t *cf, ngx_str_t *name, size_t size, void *module)
{
    ngx_scc_zone_t  *zone;

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_scc_zone_t));
    if (zone == NULL) {
        return NULL;
    }

    zone->shm_zone = ngx_shared_memory_add(cf, name, size, module);
    if (zone->shm_zone == NULL) {
        return NULL;
    }

    if (zone->shm_zone->data != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the shared memory zone \"%V\" is already used; "
                           "give it another name", name);
        return NULL;
    }

    zone->module = module;
    zone->log = &cf->cycle->new_log;

    zone->shm_zone->init = ngx_scc_zone_init;
    zone->shm_zone->data = zone;

    return zone;
}


/*
 * nginx keeps a zone over a reload if name, size and tag are the same, and
 * compares the tag only.
 */

void
ngx_scc_zone_tag(ngx_scc_zone_t *zone, const ngx_str_t *parts, ngx_uint_t n)
{
    uint64_t    tag;
    ngx_uint_t  i, k;

    tag = (uint64_t) (uintptr_t) zone->module ^ ngx_scc_zone_magic();

    for (i = 0; i < n; i++) {
        tag = (tag ^ parts[i].len) * UINT64_C(0x100000001b3);

        for (k = 0; k < parts[i].len; k++) {
            tag = (tag ^ parts[i].data[k]) * UINT64_C(0x100000001b3);
        }
    }

    zone->shm_zone->tag = (void *) (uintptr_t) (tag | 1);
}


ngx_int_t
ngx_scc_zone_join(ngx_scc_zone_t *zone, ngx_log_t *log)
{
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;
    zone->log = log;

    if (ngx_process_slot < 0 || ngx_process_slot >= NGX_SCC_ZONE_PROCS) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "scc: zone \"%V\" is for %d processes at once; this one "
                      "goes without", &zone->shm_zone->shm.name,
                      NGX_SCC_ZONE_PROCS);
        return NGX_DECLINED;
    }

    zone->slot = ngx_process_slot;

    if (zone->pins == NULL) {
        zone->pins = ngx_calloc(sh->units * sizeof(uint32_t), log);
        if (zone->pins == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_scc_zone_lock(zone);

    /* nginx gives a slot again only when its process is gone */

    if (sh->procs[zone->slot] != 0 && sh->procs[zone->slot] != ngx_pid) {
        ngx_scc_zone_sweep(sh, zone->slot);
    }

    sh->procs[zone->slot] = ngx_pid;

    ngx_scc_zone_unlock(zone);

    zone->joined = 1;

    return NGX_OK;
}


void
ngx_scc_zone_leave(ngx_scc_zone_t *zone)
{
    if (!zone->joined) {
        return;
    }

    ngx_scc_zone_lock(zone);

    ngx_scc_zone_sweep(zone->sh, zone->slot);
    zone->sh->procs[zone->slot] = 0;

    ngx_scc_zone_unlock(zone);

    zone->joined = 0;
}


uint64_t
ngx_scc_zone_now(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}


void
ngx_scc_zone_stat(ngx_scc_zone_t *zone, ngx_scc_zone_stat_t *stat)
{
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;

    *stat = sh->stat;

    stat->size = (ngx_uint_t) sh->units * NGX_SCC_ZONE_UNIT;
    stat->free = (ngx_uint_t) sh->units_free * NGX_SCC_ZONE_UNIT;
    stat->epoch = sh->epoch;
    stat->moves = (ngx_uint_t) sh->moves;
}


void
ngx_scc_zone_stale(ngx_scc_zone_t *zone, ngx_uint_t n)
{
    ngx_scc_zone_lock(zone);
    zone->sh->stat.stale += n;
    ngx_scc_zone_unlock(zone);
}


void
ngx_scc_zone_get(ngx_scc_zone_t *zone, const uint32_t *keys, ngx_uint_t n,
    ngx_scc_zone_note_t *note, ngx_scc_zone_item_t *items)
{
    uint64_t                now;
    uint32_t                hash;
    ngx_uint_t              i, k, end, hits, vouched;
    ngx_scc_zone_item_t    *item;
    ngx_scc_zone_claim_t   *claim;
    ngx_scc_zone_entry_t   *e;
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;
    i = 0;
    hits = 0;

    do {
        end = ngx_min(n, i + NGX_SCC_ZONE_BATCH);

        ngx_scc_zone_lock(zone);

        /* not the event loop's time: it may be as old as a stopped process */

        now = ngx_scc_zone_now();
        vouched = (now < sh->fresh_until);

        if (i == 0) {
            note->epoch = sh->epoch;
            note->moves = sh->moves;
            note->taken = now;
            note->told = sh->told;
        }

        for ( /* void */ ; i < end; i++) {
            item = &items[i];
            hash = ngx_scc_zone_hash(keys[i]);

            ngx_memzero(item, sizeof(ngx_scc_zone_item_t));

            item->gen = sh->gens[hash & sh->gens_mask];

            e = ngx_scc_zone_find(sh, keys[i]);

            if (e != NULL && e->epoch == sh->epoch) {

                ngx_scc_zone_pin(zone, e);
                item->entry = e;

                if (now - e->used >= NGX_SCC_ZONE_MOVE) {
                    e->used = now;
                    ngx_queue_remove(&e->queue);
                    ngx_queue_insert_head(&sh->lru, &e->queue);
                }

                if (!e->old && vouched) {
                    item->fresh = 1;
                    hits++;
                    continue;
                }

                item->bearable = (e->old && now < e->until);
                item->young = (e->old && vouched
                               && now < e->taken + sh->bound);
            }

            sh->stat.misses++;

            for (k = 0; k < NGX_SCC_ZONE_WAYS; k++) {
                claim = &sh->claims[(hash + k) & sh->claims_mask];

                if (claim->key == keys[i] && ngx_scc_zone_claimed(claim, now))
                {
                    item->claimed = 1;
                }
            }
        }

        ngx_scc_zone_unlock(zone);

    } while (i < n);

    ngx_scc_zone_again(zone, hits);
}


ngx_uint_t
ngx_scc_zone_unmoved(ngx_scc_zone_t *zone, uint64_t moves)
{
    return ngx_scc_zone_epoch(zone) != 0
           && __atomic_load_n(&zone->sh->moves, __ATOMIC_SEQ_CST) == moves;
}


void
ngx_scc_zone_again(ngx_scc_zone_t *zone, ngx_uint_t n)
{
    (void) __atomic_fetch_add(&zone->sh->stat.hits, n, __ATOMIC_RELAXED);
}


uint64_t
ngx_scc_zone_epoch(ngx_scc_zone_t *zone)
{
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;

    return (ngx_scc_zone_now()
            < __atomic_load_n(&sh->fresh_until, __ATOMIC_ACQUIRE))
           ? __atomic_load_n(&sh->epoch, __ATOMIC_ACQUIRE) : 0;
}


/* Of another store, too, and after it was adopted, times do not count. */

uint64_t
ngx_scc_zone_clock(ngx_scc_zone_t *zone)
{
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;

    return sh->clock + __atomic_load_n(&sh->epoch, __ATOMIC_ACQUIRE);
}


ngx_uint_t
ngx_scc_zone_young(ngx_scc_zone_t *zone, uint64_t clock, uint64_t taken)
{
    return clock == ngx_scc_zone_clock(zone)
           && ngx_scc_zone_epoch(zone) != 0
           && ngx_scc_zone_now()
              < taken + __atomic_load_n(&zone->sh->bound, __ATOMIC_RELAXED);
}


/* Its first pin, by this process, is made with the mutex. */

void
ngx_scc_zone_pin(ngx_scc_zone_t *zone, ngx_scc_zone_entry_t *entry)
{
    if (zone->pins[entry->unit]++ == 0) {
        (void) __atomic_or_fetch(&entry->pins[zone->slot / 64],
                                 (uint64_t) 1 << zone->slot % 64,
                                 __ATOMIC_ACQUIRE);
    }
}


/* Without the mutex: who wants the memory looks at the pins. */

void
ngx_scc_zone_unpin(ngx_scc_zone_t *zone, ngx_scc_zone_entry_t *entry)
{
    if (--zone->pins[entry->unit] == 0) {
        (void) __atomic_and_fetch(&entry->pins[zone->slot / 64],
                                  ~((uint64_t) 1 << zone->slot % 64),
                                  __ATOMIC_RELEASE);
    }
}


const scc_blob_t *
ngx_scc_zone_blob(ngx_scc_zone_entry_t *entry)
{
    return &entry->blob;
}


const scc_gzip_slice_t *
ngx_scc_zone_gzip(ngx_scc_zone_entry_t *entry)
{
    return (entry->gzip.data != NULL) ? &entry->gzip : NULL;
}


void
ngx_scc_zone_note(ngx_scc_zone_t *zone, uint32_t key,
    ngx_scc_zone_note_t *note, uint32_t *gen)
{
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;

    ngx_scc_zone_lock(zone);

    note->epoch = sh->epoch;
    note->taken = ngx_scc_zone_now();
    note->told = sh->told;
    *gen = sh->gens[ngx_scc_zone_hash(key) & sh->gens_mask];

    ngx_scc_zone_unlock(zone);
}


/*
 * Long blobs are not copied under the mutex: the room is taken first, then
 * filled, then shown.
 */

void
ngx_scc_zone_put(ngx_scc_zone_t *zone, uint32_t key,
    const ngx_scc_zone_note_t *note, uint32_t gen, ngx_uint_t from_redis,
    scc_str_t bytes, const scc_blob_t *blob)
{
    ngx_scc_zone_entry_t   *e, *other;
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;
    e = NULL;

    ngx_scc_zone_lock(zone);

    if (ngx_scc_zone_late(sh, key, note, gen, from_redis, blob->ver)) {
        sh->stat.dropped++;

    } else {
        e = ngx_scc_zone_room(zone, bytes.len);
    }

    ngx_scc_zone_unlock(zone);

    if (e == NULL) {
        return;
    }

    e->key = key;
    e->epoch = note->epoch;
    e->taken = from_redis ? 0 : note->taken;

    ngx_scc_zone_fill(e, bytes, blob);

    ngx_scc_zone_lock(zone);

    ngx_scc_zone_unpin(zone, e);

    if (ngx_scc_zone_late(sh, key, note, gen, from_redis, blob->ver)) {
        sh->stat.dropped++;
        ngx_scc_zone_free(sh, e);

    } else {
        other = ngx_scc_zone_find(sh, key);

        /* of a copy that was marked, or that nobody had, no answer is kept */

        if ((other != NULL) ? !other->old : ngx_scc_zone_lost(sh, key)) {
            ngx_scc_zone_move(sh);
        }

        if (other != NULL) {
            ngx_scc_zone_detach(sh, other);
        }

        ngx_scc_zone_attach(sh, e, ngx_scc_zone_now());

        sh->stat.inserts++;
    }

    ngx_scc_zone_unlock(zone);
}


void
ngx_scc_zone_put_gzip(ngx_scc_zone_t *zone, ngx_scc_zone_entry_t *entry,
    const scc_gzip_slice_t *slice)
{
    u_char                 *p;
    scc_str_t               bytes;
    ngx_scc_zone_entry_t   *e;
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;
    e = NULL;

    ngx_scc_zone_lock(zone);

    if (entry->state == NGX_SCC_ZONE_LIVE && !entry->old
        && entry->gzip.data == NULL)
    {
        e = ngx_scc_zone_room(zone, entry->len + slice->len);
    }

    ngx_scc_zone_unlock(zone);

    if (e == NULL) {
        return;
    }

    bytes.len = entry->len;
    bytes.data = (u_char *) entry + NGX_SCC_ZONE_HEADER;

    e->key = entry->key;
    e->epoch = entry->epoch;
    e->taken = entry->taken;

    ngx_scc_zone_fill(e, bytes, &entry->blob);

    p = (u_char *) e + NGX_SCC_ZONE_HEADER + bytes.len;
    ngx_memcpy(p, slice->data, slice->len);

    e->gzip = *slice;
    e->gzip.data = p;

    ngx_scc_zone_lock(zone);

    ngx_scc_zone_unpin(zone, e);

    /* what is in the table and not marked is as good as it was */

    if (entry->state == NGX_SCC_ZONE_LIVE && !entry->old) {
        ngx_scc_zone_detach(sh, entry);
        ngx_scc_zone_attach(sh, e, ngx_scc_zone_now());

    } else {
        ngx_scc_zone_free(sh, e);
    }

    ngx_scc_zone_unlock(zone);
}


void
ngx_scc_zone_claim(ngx_scc_zone_t *zone, const uint32_t *keys, ngx_uint_t n,
    ngx_msec_t life, ngx_int_t *rcs)
{
    uint64_t    now;
    ngx_uint_t  i;

    ngx_scc_zone_lock(zone);

    now = ngx_scc_zone_now();

    for (i = 0; i < n; i++) {

        /* nobody would believe what the other one brings */

        rcs[i] = (now < zone->sh->fresh_until)
                 ? ngx_scc_zone_claim_one(zone->sh, keys[i], now, life)
                 : NGX_DECLINED;
    }

    ngx_scc_zone_unlock(zone);
}


void
ngx_scc_zone_release(ngx_scc_zone_t *zone, uint32_t key)
{
    ngx_uint_t              i;
    ngx_scc_zone_claim_t   *claim;
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;

    ngx_scc_zone_lock(zone);

    for (i = 0; i < NGX_SCC_ZONE_WAYS; i++) {
        claim = &sh->claims[(ngx_scc_zone_hash(key) + i) & sh->claims_mask];

        if (claim->key == key && claim->pid == ngx_pid) {
            claim->pid = 0;
        }
    }

    ngx_scc_zone_unlock(zone);
}


void
ngx_scc_zone_lock(ngx_scc_zone_t *zone)
{
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;

    ngx_shmtx_lock(&zone->shpool->mutex);

    /* the master unlocks for a process that died with the mutex */

    if (__atomic_load_n(&sh->busy, __ATOMIC_ACQUIRE) != 0) {
        ngx_log_error(NGX_LOG_WARN, zone->log, 0,
                      "scc: process %uL died while it changed zone \"%V\"; "
                      "the zone is put in order", sh->busy,
                      &zone->shm_zone->shm.name);

        ngx_scc_zone_move(sh);
        ngx_scc_zone_repair(sh);
    }

    __atomic_store_n(&sh->busy, (uint64_t) ngx_pid, __ATOMIC_SEQ_CST);
}


void
ngx_scc_zone_unlock(ngx_scc_zone_t *zone)
{
    __atomic_store_n(&zone->sh->busy, 0, __ATOMIC_SEQ_CST);

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/*
 * On a reload it runs in the master while workers use the memory, and the
 * reload may still fail: what is there is not touched.
 */

static ngx_int_t
ngx_scc_zone_init(ngx_shm_zone_t *shm_zone, void *old)
{
    ngx_scc_zone_t *zone = shm_zone->data;
    ngx_scc_zone_t *previous = old;

    size_t                  size;
    ngx_scc_zone_shared_t  *sh;

    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    /* some versions of nginx show the old data with new memory */

    if (previous != NULL && previous->shpool == zone->shpool) {
        zone->sh = previous->sh;
        zone->pins = previous->pins;
        return NGX_OK;
    }

    if (shm_zone->shm.exists) {
        zone->sh = zone->shpool->data;
        return NGX_OK;
    }

    zone->shpool->log_nomem = 0;

    /* all of it in one piece; its pages are not touched before their use */

    size = zone->shpool->pfree * ngx_pagesize;

    sh = ngx_slab_alloc(zone->shpool, size);
    if (sh == NULL) {
        return NGX_ERROR;
    }

    ngx_scc_zone_layout(sh, (u_char *) sh, size);

    if (getrandom(&sh->clock, sizeof(sh->clock), 0) != sizeof(sh->clock)) {
        ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, ngx_errno,
                      "scc: getrandom() failed");
        return NGX_ERROR;
    }

    zone->shpool->data = sh;
    zone->sh = sh;

    return NGX_OK;
}


static void
ngx_scc_zone_layout(ngx_scc_zone_shared_t *sh, u_char *p, size_t size)
{
    size_t    rest;
    u_char   *end;
    uint32_t  n;

    end = p + size;

    ngx_memzero(sh, sizeof(ngx_scc_zone_shared_t));

    p += ngx_align(sizeof(ngx_scc_zone_shared_t), NGX_SCC_ZONE_UNIT);

    /* powers of two that grow with the zone, up to a point */

    for (n = 256; n < 65536 && n * 256 < size; n *= 2) { /* void */ }

    sh->claims = (ngx_scc_zone_claim_t *) p;
    sh->claims_mask = ngx_min(n, 4096) / 4 - 1;
    p += (sh->claims_mask + 1) * sizeof(ngx_scc_zone_claim_t);

    sh->gens = (uint32_t *) p;
    sh->gens_mask = n - 1;
    p += n * sizeof(uint32_t);

    sh->lost = (uint32_t *) p;
    p += n * sizeof(uint32_t);

    for (n = 64; (size_t) n * 4096 < size; n *= 2) { /* void */ }

    sh->buckets = (ngx_scc_zone_entry_t **) p;
    sh->buckets_mask = n - 1;
    p += n * sizeof(ngx_scc_zone_entry_t *);

    ngx_memzero((u_char *) sh->claims, p - (u_char *) sh->claims);

    /* per unit its owner, its order, and itself */

    rest = end - p - NGX_SCC_ZONE_UNIT;

    sh->units = (uint32_t) (rest / (sizeof(uint32_t) + 1 + NGX_SCC_ZONE_UNIT));

    sh->owner = (uint32_t *) p;
    p += sh->units * sizeof(uint32_t);
    ngx_memzero(sh->owner, p - (u_char *) sh->owner);

    sh->order = p;
    p += sh->units;

    sh->data = ngx_align_ptr(p, NGX_SCC_ZONE_UNIT);

    ngx_queue_init(&sh->lru);
    ngx_queue_init(&sh->detached);

    ngx_scc_zone_room_init(sh);
    ngx_scc_zone_room_put(sh, 0, sh->units);

    sh->epoch = 1;
    sh->moves = 1;
    sh->magic = ngx_scc_zone_magic();
}


/* Part of the tag: another layout never meets this memory. */

static uint64_t
ngx_scc_zone_magic(void)
{
    return UINT64_C(0x73636331) ^ (uint64_t) sizeof(ngx_scc_zone_shared_t)
                                  << 48
                                ^ (uint64_t) sizeof(ngx_scc_zone_entry_t)
                                  << 32;
}


static ngx_int_t
ngx_scc_zone_claim_one(ngx_scc_zone_shared_t *sh, uint32_t key,
    uint64_t now, ngx_msec_t life)
{
    ngx_uint_t             i;
    ngx_scc_zone_claim_t  *claim, *unused;

    unused = NULL;

    for (i = 0; i < NGX_SCC_ZONE_WAYS; i++) {
        claim = &sh->claims[(ngx_scc_zone_hash(key) + i) & sh->claims_mask];

        if (!ngx_scc_zone_claimed(claim, now)) {
            unused = claim;

        } else if (claim->key == key) {
            return NGX_BUSY;
        }
    }

    if (unused == NULL) {
        return NGX_DECLINED;
    }

    unused->key = key;
    unused->pid = ngx_pid;
    unused->until = now + life;

    return NGX_OK;
}


static ngx_uint_t
ngx_scc_zone_claimed(ngx_scc_zone_claim_t *claim, uint64_t now)
{
    return claim->pid != 0
           && now < claim->until
           && (claim->pid == ngx_pid
               || kill(claim->pid, 0) == 0
               || ngx_errno != ESRCH);
}


/* Pinned, for so many bytes; the mutex is held. */

static ngx_scc_zone_entry_t *
ngx_scc_zone_room(ngx_scc_zone_t *zone, size_t len)
{
    size_t                  units;
    ngx_scc_zone_entry_t   *e;
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;

    units = (NGX_SCC_ZONE_HEADER + len + NGX_SCC_ZONE_UNIT - 1)
            / NGX_SCC_ZONE_UNIT;

    e = (units <= sh->units / 4) ? ngx_scc_zone_make(sh, (uint32_t) units)
                                 : NULL;

    if (e != NULL) {
        ngx_scc_zone_pin(zone, e);

    } else {
        sh->stat.refused++;
    }

    return e;
}


static void
ngx_scc_zone_fill(ngx_scc_zone_entry_t *e, scc_str_t bytes,
    const scc_blob_t *blob)
{
    u_char  *p;

    p = (u_char *) e + NGX_SCC_ZONE_HEADER;
    ngx_memcpy(p, bytes.data, bytes.len);

    e->len = bytes.len;

    e->blob = *blob;
    e->blob.index = p + (blob->index - bytes.data);
    e->blob.cats = p + (blob->cats - bytes.data);
    e->blob.ids = p + (blob->ids - bytes.data);
    e->blob.frags.data = p + (blob->frags.data - bytes.data);
}


/* Something was heard since the note, or a copy as good is there. */

static ngx_uint_t
ngx_scc_zone_late(ngx_scc_zone_shared_t *sh, uint32_t key,
    const ngx_scc_zone_note_t *note, uint32_t gen, ngx_uint_t from_redis,
    uint64_t ver)
{
    ngx_scc_zone_entry_t  *e;

    if (note->epoch != sh->epoch
        || gen != sh->gens[ngx_scc_zone_hash(key) & sh->gens_mask])
    {
        return 1;
    }

    if (from_redis && !note->told) {
        return 1;
    }

    e = ngx_scc_zone_find(sh, key);

    return e != NULL && e->epoch == sh->epoch && !e->old
           && e->blob.ver >= ver;
}
