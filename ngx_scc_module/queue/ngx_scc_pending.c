
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

/* ms; what is younger a pass over the journal leaves to the queue */
#define NGX_SCC_PENDING_YOUNG  3000

/* ms, after somebody was seen waiting */
#define NGX_SCC_PENDING_HURRY  200


static ngx_int_t ngx_scc_pending_init(ngx_shm_zone_t *zone, void *old);
static uint64_t ngx_scc_pending_magic(void);
static void ngx_scc_pending_clock(scc_clock_t *to, scc_clock_t *from);
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


/*
 * Without the lock: an entry that changes meanwhile is counted by its old or
 * its new state.
 */

void
ngx_scc_pending_count(ngx_scc_pending_t *pending)
{
    uint64_t                  oldest, msec;
    ngx_uint_t                i, n, count;
    ngx_scc_pending_entry_t  *e;

    e = pending->sh->entries;
    n = pending->sh->buckets * NGX_SCC_PENDING_WAYS;
    count = 0;
    oldest = 0;

    for (i = 0; i < n; i++) {

        if (e[i].state >= NGX_SCC_PENDING_JOURNALED
            && e[i].state < NGX_SCC_PENDING_DEAD)
        {
            count++;
            msec = e[i].hlc >> 16;

            if (oldest == 0 || msec < oldest) {
                oldest = msec;
            }
        }
    }

    pending->sh->stat.oldest = (ngx_atomic_uint_t) oldest;
    pending->sh->stat.pending = count;
}


void
ngx_scc_pending_passed(ngx_scc_pending_t *pending, uint64_t boot)
{
    __atomic_store_n(&pending->sh->passed, boot, __ATOMIC_RELAXED);
}


ngx_uint_t
ngx_scc_pending_sure(ngx_scc_pending_t *pending)
{
    uint64_t  lost, passed;

    lost = __atomic_load_n(&pending->sh->lost, __ATOMIC_RELAXED);
    passed = __atomic_load_n(&pending->sh->passed, __ATOMIC_RELAXED);

    return passed > lost + NGX_SCC_PENDING_YOUNG;
}


void
ngx_scc_pending_hurry(ngx_scc_pending_t *pending)
{
    __atomic_store_n(&pending->sh->hurry, ngx_scc_pending_boot(),
                     __ATOMIC_RELAXED);
}


ngx_uint_t
ngx_scc_pending_hurried(ngx_scc_pending_t *pending)
{
    int64_t  age;

    if (pending == NULL) {
        return 0;
    }

    age = (int64_t) (ngx_scc_pending_boot()
                     - __atomic_load_n(&pending->sh->hurry,
                                       __ATOMIC_RELAXED));

    return age < NGX_SCC_PENDING_HURRY;
}


uint64_t
ngx_scc_pending_boot(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_BOOTTIME, &now);

    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}


uint32_t
ngx_scc_pending_sender(const scc_str_t *contributor_id)
{
    return scc_crc32c(0, contributor_id->data, contributor_id->len);
}


/*
 * Without the lock: a process may die holding it, but not half a word.  Two
 * who judge the clock at once come to the same.
 */

uint64_t
ngx_scc_pending_hlc(ngx_scc_pending_t *pending, uint64_t msec,
    scc_doubt_t *doubt, int64_t *off)
{
    uint64_t     last, next, at;
    scc_clock_t  clock, before;

    last = __atomic_load_n(&pending->sh->hlc, __ATOMIC_RELAXED);

    ngx_scc_pending_clock(&clock, &pending->sh->clock);
    before = clock;

    *doubt = scc_clock_read(&clock, msec, ngx_scc_pending_boot(), last, &at);
    *off = (int64_t) (msec - at) / 1000;

    if (clock.wall != before.wall) {
        __atomic_store_n(&pending->sh->clock.wall, clock.wall,
                         __ATOMIC_RELAXED);
    }

    if (clock.guess != before.guess) {
        __atomic_store_n(&pending->sh->clock.guess, clock.guess,
                         __ATOMIC_RELAXED);
    }

    do {
        next = scc_hlc_next(last, at);

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


void
ngx_scc_pending_set_store(ngx_scc_pending_t *pending, uint64_t msec)
{
    __atomic_store_n(&pending->sh->clock.store,
                     (int64_t) (msec - ngx_scc_pending_boot()),
                     __ATOMIC_RELAXED);
}


uint64_t
ngx_scc_pending_store(ngx_scc_pending_t *pending)
{
    int64_t  store;

    store = __atomic_load_n(&pending->sh->clock.store, __ATOMIC_RELAXED);

    return store ? (uint64_t) store + ngx_scc_pending_boot() : 0;
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
    sh->lost = ngx_scc_pending_boot();
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


static void
ngx_scc_pending_clock(scc_clock_t *to, scc_clock_t *from)
{
    to->wall = __atomic_load_n(&from->wall, __ATOMIC_RELAXED);
    to->store = __atomic_load_n(&from->store, __ATOMIC_RELAXED);
    to->guess = __atomic_load_n(&from->guess, __ATOMIC_RELAXED);
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

        __atomic_store_n(&sh->lost, ngx_scc_pending_boot(),
                         __ATOMIC_RELAXED);
    }

    return best;
}
