
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_pending.h"
#include "scc_blob.h"


/*
 * Buckets of a few entries each, found by bits of the event id, without
 * pointers: a process killed in the middle of a change leaves at most one
 * entry wrong, never a broken list.
 */

#define NGX_SCC_PENDING_WAYS  16

#define NGX_SCC_PENDING_DAY   (24 * 60 * 60 * 1000)     /* ms */
#define NGX_SCC_PENDING_END   (((uint64_t) 1 << 47) - 1)


static ngx_int_t ngx_scc_pending_init(ngx_shm_zone_t *zone, void *old);
static uint64_t ngx_scc_pending_magic(void);
static uint64_t ngx_scc_pending_time(ngx_scc_pending_t *pending,
    uint64_t msec, bool *suspect);
static ngx_scc_pending_entry_t *ngx_scc_pending_bucket(
    ngx_scc_pending_shared_t *sh, const u_char *id);
static ngx_scc_pending_entry_t *ngx_scc_pending_lookup(
    ngx_scc_pending_shared_t *sh, const u_char *id);
static ngx_scc_pending_entry_t *ngx_scc_pending_room(
    ngx_scc_pending_shared_t *sh, const u_char *id);


ngx_scc_pending_t *
ngx_scc_pending_add(ngx_conf_t *cf, size_t size, void *tag)
{
    ngx_str_t           name;
    ngx_shm_zone_t     *zone;
    ngx_scc_pending_t  *pending;

    pending = ngx_pcalloc(cf->pool, sizeof(ngx_scc_pending_t));
    if (pending == NULL) {
        return NULL;
    }

    ngx_str_set(&name, "scc_pending");

    zone = ngx_shared_memory_add(cf, &name, size, tag);
    if (zone == NULL) {
        return NULL;
    }

    zone->init = ngx_scc_pending_init;
    zone->data = pending;

    return pending;
}


ngx_int_t
ngx_scc_pending_find(ngx_scc_pending_t *pending, const u_char *id,
    ngx_scc_pending_entry_t *entry)
{
    ngx_scc_pending_entry_t  *e;

    ngx_shmtx_lock(&pending->shpool->mutex);

    e = ngx_scc_pending_lookup(pending->sh, id);

    if (e != NULL) {
        *entry = *e;
    }

    ngx_shmtx_unlock(&pending->shpool->mutex);

    return (e != NULL) ? NGX_OK : NGX_DECLINED;
}


void
ngx_scc_pending_put(ngx_scc_pending_t *pending,
    const ngx_scc_pending_entry_t *entry)
{
    ngx_scc_pending_entry_t  *e;

    ngx_shmtx_lock(&pending->shpool->mutex);

    e = ngx_scc_pending_lookup(pending->sh, entry->id);

    if (e == NULL) {
        e = ngx_scc_pending_room(pending->sh, entry->id);

        *e = *entry;
        e->time = (uint32_t) ngx_time();

    } else if (e->state < entry->state) {
        e->state = entry->state;
        e->time = (uint32_t) ngx_time();
    }

    ngx_shmtx_unlock(&pending->shpool->mutex);
}


void
ngx_scc_pending_raise(ngx_scc_pending_t *pending, const u_char *id,
    ngx_scc_pending_state_t state)
{
    ngx_scc_pending_entry_t  *e;

    ngx_shmtx_lock(&pending->shpool->mutex);

    e = ngx_scc_pending_lookup(pending->sh, id);

    if (e != NULL && e->state < (uint32_t) state) {
        e->state = state;
        e->time = (uint32_t) ngx_time();
    }

    ngx_shmtx_unlock(&pending->shpool->mutex);
}


void
ngx_scc_pending_drop(ngx_scc_pending_t *pending, const u_char *id)
{
    ngx_scc_pending_entry_t  *e;

    ngx_shmtx_lock(&pending->shpool->mutex);

    e = ngx_scc_pending_lookup(pending->sh, id);

    if (e != NULL && e->state == NGX_SCC_PENDING_WRITING) {
        e->state = NGX_SCC_PENDING_NONE;
    }

    ngx_shmtx_unlock(&pending->shpool->mutex);
}


uint32_t
ngx_scc_pending_sender(const scc_str_t *contributor_id)
{
    return scc_crc32c(0, contributor_id->data, contributor_id->len);
}


/*
 * Without the lock: a process may die holding it, but not half a word.  The
 * last hlc says nothing about the clock: nobody may have contributed since
 * yesterday.
 */

uint64_t
ngx_scc_pending_hlc(ngx_scc_pending_t *pending, uint64_t msec,
    bool *suspect)
{
    bool      end;
    uint64_t  last, next;

    msec = ngx_scc_pending_time(pending, ngx_min(msec, NGX_SCC_PENDING_END),
                                suspect);

    last = __atomic_load_n(&pending->sh->hlc, __ATOMIC_RELAXED);

    do {
        next = scc_hlc_next((last >> 16 < msec) ? (msec - 1) << 16 : last,
                            msec, &end);

    } while (!__atomic_compare_exchange_n(&pending->sh->hlc, &last, next, 0,
                                          __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));

    return next;
}


void
ngx_scc_pending_hlc_seen(ngx_scc_pending_t *pending, uint64_t hlc)
{
    uint64_t  last;

    last = __atomic_load_n(&pending->sh->hlc, __ATOMIC_RELAXED);

    while (last < hlc) {

        if (__atomic_compare_exchange_n(&pending->sh->hlc, &last, hlc, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        {
            return;
        }
    }
}


/*
 * On a reload it runs in the master while workers use the memory, and the
 * reload may still fail: what is there is not touched.
 */

static ngx_int_t
ngx_scc_pending_init(ngx_shm_zone_t *zone, void *old)
{
    ngx_scc_pending_t *pending = zone->data;
    ngx_scc_pending_t *previous = old;

    size_t                     size;
    ngx_uint_t                 n;
    ngx_scc_pending_shared_t  *sh;

    if (previous != NULL) {

        if (previous->sh->magic != ngx_scc_pending_magic()) {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "scc: shared memory \"%V\" is of another version "
                          "of the module; restart nginx, a reload is not "
                          "enough", &zone->shm.name);
            return NGX_ERROR;
        }

        *pending = *previous;

        return NGX_OK;
    }

    pending->shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        pending->sh = pending->shpool->data;
        return NGX_OK;
    }

    /* nearly all of it in one piece; the rest is the slab's own */

    size = zone->shm.size - zone->shm.size / 32 - 4 * ngx_pagesize;

    sh = ngx_slab_calloc(pending->shpool, size);
    if (sh == NULL) {
        return NGX_ERROR;
    }

    n = (size - sizeof(ngx_scc_pending_shared_t))
        / (NGX_SCC_PENDING_WAYS * sizeof(ngx_scc_pending_entry_t));

    sh->magic = ngx_scc_pending_magic();
    sh->buckets = n;

    pending->shpool->data = sh;
    pending->sh = sh;

    return NGX_OK;
}


static uint64_t
ngx_scc_pending_magic(void)
{
    return 0x7363630000000001 ^ (uint64_t) sizeof(ngx_scc_pending_entry_t)
                                << 32
                              ^ (uint64_t) sizeof(ngx_scc_pending_shared_t)
                                << 8;
}


/* The wall clock, or what it should be. */

static uint64_t
ngx_scc_pending_time(ngx_scc_pending_t *pending, uint64_t msec,
    bool *suspect)
{
    int64_t          boot, clock;
    struct timespec  now;

    *suspect = false;

    (void) clock_gettime(CLOCK_BOOTTIME, &now);

    boot = (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
    clock = __atomic_load_n(&pending->sh->clock, __ATOMIC_RELAXED);

    if (clock != 0
        && (int64_t) msec - boot > clock + NGX_SCC_PENDING_DAY)
    {
        *suspect = true;
        return (uint64_t) (boot + clock);
    }

    __atomic_store_n(&pending->sh->clock, (int64_t) msec - boot,
                     __ATOMIC_RELAXED);

    return msec;
}


/* The last bytes: random in a version 7, a digest's in a version 8. */

static ngx_scc_pending_entry_t *
ngx_scc_pending_bucket(ngx_scc_pending_shared_t *sh, const u_char *id)
{
    uint64_t  hash;

    ngx_memcpy(&hash, id + 8, sizeof(hash));

    hash *= 0x9e3779b97f4a7c15;

    return &sh->entries[(ngx_uint_t) (hash >> 32) % sh->buckets
                        * NGX_SCC_PENDING_WAYS];
}


static ngx_scc_pending_entry_t *
ngx_scc_pending_lookup(ngx_scc_pending_shared_t *sh, const u_char *id)
{
    ngx_uint_t                i;
    ngx_scc_pending_entry_t  *e;

    e = ngx_scc_pending_bucket(sh, id);

    for (i = 0; i < NGX_SCC_PENDING_WAYS; i++) {
        if (e[i].state != NGX_SCC_PENDING_NONE
            && ngx_memcmp(e[i].id, id, 16) == 0)
        {
            return &e[i];
        }
    }

    return NULL;
}


/* What the ledger knows goes first, then what is oldest. */

static ngx_scc_pending_entry_t *
ngx_scc_pending_room(ngx_scc_pending_shared_t *sh, const u_char *id)
{
    ngx_uint_t                i, known, best_known;
    ngx_scc_pending_entry_t  *e, *best;

    e = ngx_scc_pending_bucket(sh, id);
    best = NULL;
    best_known = 0;

    for (i = 0; i < NGX_SCC_PENDING_WAYS; i++) {

        if (e[i].state == NGX_SCC_PENDING_NONE) {
            return &e[i];
        }

        known = (e[i].state >= NGX_SCC_PENDING_APPLIED);

        if (best == NULL || known > best_known
            || (known == best_known
                && (int32_t) (e[i].time - best->time) < 0))
        {
            best = &e[i];
            best_known = known;
        }
    }

    if (!best_known) {
        (void) ngx_atomic_fetch_add(&sh->stat.forgotten, 1);
    }

    return best;
}
