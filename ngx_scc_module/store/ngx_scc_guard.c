
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_guard.h"


/* What a statement remembers of the moment when it was sent: its snapshot
   is not older. */

typedef struct {
    ngx_uint_t                 known;
    scc_witness_t              high;
} ngx_scc_guard_note_t;


static ngx_int_t ngx_scc_guard_init(ngx_shm_zone_t *zone, void *old);
static ngx_int_t ngx_scc_guard_pass(void *data, ngx_scc_pg_class_t class);
static ngx_uint_t ngx_scc_guard_answered(void *data);
static void ngx_scc_guard_note(void *data, void *note);
static ngx_int_t ngx_scc_guard_judge(void *data, const void *note,
    ngx_str_t *word);
static void ngx_scc_guard_refused(void *data, const char *sqlstate);
static void ngx_scc_guard_close(ngx_scc_guard_t *guard,
    scc_verdict_t verdict);
static void ngx_scc_guard_verdict(ngx_scc_guard_t *guard,
    scc_verdict_t verdict);
static void ngx_scc_guard_want(ngx_scc_guard_shared_t *sh);
static uint64_t ngx_scc_guard_now(void);


_Static_assert(sizeof(ngx_scc_guard_note_t) <= NGX_SCC_PG_NOTE,
               "a note is larger than its room");


ngx_scc_guard_t *
ngx_scc_guard_add(ngx_conf_t *cf, void *tag)
{
    ngx_str_t         name;
    ngx_shm_zone_t   *zone;
    ngx_scc_guard_t  *guard;

    guard = ngx_pcalloc(cf->pool, sizeof(ngx_scc_guard_t));
    if (guard == NULL) {
        return NULL;
    }

    guard->gate.data = guard;
    guard->gate.pass = ngx_scc_guard_pass;
    guard->gate.answered = ngx_scc_guard_answered;
    guard->gate.note = ngx_scc_guard_note;
    guard->gate.judge = ngx_scc_guard_judge;
    guard->gate.refused = ngx_scc_guard_refused;

    ngx_str_set(&name, "scc_guard");

    zone = ngx_shared_memory_add(cf, &name, 8 * ngx_pagesize, tag);
    if (zone == NULL) {
        return NULL;
    }

    zone->init = ngx_scc_guard_init;
    zone->data = guard;

    return guard;
}


void
ngx_scc_guard_dir(ngx_scc_guard_t *guard, ngx_str_t *dir, ngx_uint_t journal)
{
    guard->dirs[guard->n_dirs++] = *dir;
    guard->n_journal += journal;
}


void
ngx_scc_guard_pool(ngx_scc_guard_t *guard, ngx_scc_pg_pool_t *pool,
    ngx_log_t *log)
{
    if (guard != NULL) {
        guard->log = log;
        ngx_scc_pg_pool_gate(pool, &guard->gate);
    }
}


void
ngx_scc_guard_doubt(ngx_scc_guard_t *guard, uint32_t cell)
{
    if (guard != NULL) {
        guard->sh->doubt = (uint64_t) cell + 1;
        ngx_scc_guard_ask(guard);
    }
}


void
ngx_scc_guard_ask(ngx_scc_guard_t *guard)
{
    (void) ngx_atomic_fetch_add(&guard->sh->asked, 1);
}


ngx_int_t
ngx_scc_guard_get(ngx_scc_guard_t *guard, scc_anchor_t *anchor)
{
    ngx_uint_t  known;

    ngx_shmtx_lock(&guard->shpool->mutex);

    *anchor = guard->sh->anchor;
    known = guard->sh->known;

    ngx_shmtx_unlock(&guard->shpool->mutex);

    return known ? NGX_OK : NGX_DECLINED;
}


ngx_uint_t
ngx_scc_guard_begun(ngx_scc_guard_t *guard)
{
    return (guard != NULL && guard->sh->wanted != guard->sh->passed)
           ? guard->sh->wanted : 0;
}


void
ngx_scc_guard_passed(ngx_scc_guard_t *guard, ngx_uint_t pass)
{
    guard->sh->passed = pass;
    ngx_scc_guard_ask(guard);
}


void
ngx_scc_guard_found(ngx_scc_guard_t *guard, ngx_uint_t found)
{
    (void) ngx_atomic_fetch_add(&guard->sh->replayed, found);
}


ngx_uint_t
ngx_scc_guard_unnumbered(ngx_scc_guard_t *guard)
{
    return (guard != NULL && guard->sh->wanted != guard->sh->numbered)
           ? guard->sh->wanted : 0;
}


void
ngx_scc_guard_numbered(ngx_scc_guard_t *guard, ngx_uint_t pass)
{
    guard->sh->numbered = pass;
}


/* One that is known to have gone back is filled from where it is. */

void
ngx_scc_guard_floor(ngx_scc_guard_t *guard, ngx_scc_guard_floor_t *floor)
{
    ngx_scc_guard_shared_t  *sh;

    ngx_memzero(floor, sizeof(ngx_scc_guard_floor_t));

    if (guard == NULL) {
        return;
    }

    sh = guard->sh;

    ngx_shmtx_lock(&guard->shpool->mutex);

    floor->wanted = sh->wanted;
    floor->events = sh->floor;

    if (sh->known && sh->state != SCC_GUARD_REWOUND) {
        floor->events = ngx_max(floor->events, sh->anchor.high.events);
    }

    ngx_shmtx_unlock(&guard->shpool->mutex);
}


void
ngx_scc_guard_raise(ngx_scc_guard_t *guard,
    const ngx_scc_guard_floor_t *floor, uint64_t events, uint64_t hlc)
{
    ngx_scc_guard_shared_t  *sh;

    if (guard == NULL) {
        return;
    }

    sh = guard->sh;

    ngx_shmtx_lock(&guard->shpool->mutex);

    if (sh->wanted == floor->wanted && events > sh->floor) {
        sh->floor = events;
        sh->floor_hlc = ngx_max(sh->floor_hlc, hlc);
    }

    ngx_shmtx_unlock(&guard->shpool->mutex);
}


/*
 * What writers know becomes what the helper judges by.  Of one that is being
 * filled again and goes back once more, all begins anew.
 */

void
ngx_scc_guard_behind(ngx_scc_guard_t *guard,
    const ngx_scc_guard_floor_t *floor)
{
    scc_witness_t           *high;
    ngx_scc_guard_shared_t  *sh;

    if (guard == NULL) {
        return;
    }

    sh = guard->sh;
    high = &sh->anchor.high;

    ngx_shmtx_lock(&guard->shpool->mutex);

    if (sh->wanted == floor->wanted) {

        if (sh->state == SCC_GUARD_REWOUND) {
            ngx_scc_guard_want(sh);

        } else if (sh->known && sh->floor > high->events) {
            high->events = sh->floor;
            high->hlc = ngx_max(high->hlc, sh->floor_hlc);
        }
    }

    ngx_shmtx_unlock(&guard->shpool->mutex);

    ngx_scc_guard_ask(guard);
}


/* The verdict is this host's own, of now. */

ngx_int_t
ngx_scc_guard_merge(ngx_scc_guard_t *guard, const scc_anchor_t *anchor)
{
    scc_rc_t       rc;
    uint32_t       epoch;
    scc_anchor_t  *own, copy;

    copy = *anchor;
    copy.written = 0;
    rc = SCC_OK;


    ngx_shmtx_lock(&guard->shpool->mutex);

    own = &guard->sh->anchor;

    if (guard->sh->known) {
        epoch = own->high.epoch;
        rc = scc_anchor_merge(own, &copy);

        if (own->high.epoch != epoch) {
            ngx_scc_guard_want(guard->sh);
        }

    } else {
        own->high = copy.high;
        own->life = copy.life;
        guard->sh->known = 1;
    }

    ngx_shmtx_unlock(&guard->shpool->mutex);

    return (rc == SCC_OK) ? NGX_OK : NGX_DECLINED;
}


void
ngx_scc_guard_set(ngx_scc_guard_t *guard, scc_verdict_t verdict,
    const scc_witness_t *w, ngx_uint_t restart)
{
    scc_anchor_t  *anchor;

    ngx_shmtx_lock(&guard->shpool->mutex);

    anchor = &guard->sh->anchor;

    if (w != NULL && verdict.state == SCC_GUARD_HEALTHY) {

        if (!guard->sh->known) {
            anchor->high = *w;
            anchor->high.hollow = 0;
            guard->sh->known = 1;

        } else if (restart) {
            scc_anchor_restart(anchor, w);

        } else {
            scc_anchor_raise(anchor, w);
        }
    }

    ngx_scc_guard_verdict(guard, verdict);

    ngx_shmtx_unlock(&guard->shpool->mutex);
}


ngx_str_t *
ngx_scc_guard_identity(ngx_scc_guard_t *guard, ngx_str_t *identity,
    ngx_str_t *text, u_char buf[NGX_SCC_GUARD_IDENTITY])
{
    scc_anchor_t  anchor;

    if (guard == NULL
        || ngx_scc_guard_get(guard, &anchor) != NGX_OK
        || anchor.life == 0
        || identity->len + 1 + NGX_INT32_LEN > NGX_SCC_GUARD_IDENTITY)
    {
        return identity;
    }

    text->data = buf;
    text->len = ngx_sprintf(buf, "%V/%uD", identity, anchor.life) - buf;

    return text;
}


static ngx_int_t
ngx_scc_guard_init(ngx_shm_zone_t *zone, void *old)
{
    ngx_scc_guard_t *guard = zone->data, *before = old;

    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    guard->shpool = shpool;
    guard->log = zone->shm.log;

    if (before != NULL) {
        guard->sh = before->sh;
        return NGX_OK;
    }

    if (zone->shm.exists) {
        guard->sh = shpool->data;
        return NGX_OK;
    }

    guard->sh = ngx_slab_calloc(shpool, sizeof(ngx_scc_guard_shared_t));
    if (guard->sh == NULL) {
        return NGX_ERROR;
    }

    shpool->data = guard->sh;

    return NGX_OK;
}


static ngx_int_t
ngx_scc_guard_pass(void *data, ngx_scc_pg_class_t class)
{
    ngx_scc_guard_t *guard = data;

    scc_guard_state_t  state;

    state = ngx_scc_guard_state(guard);

    return (scc_guard_open(state)
            || (class == NGX_SCC_PG_WRITE && state == SCC_GUARD_REWOUND))
           ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
ngx_scc_guard_answered(void *data)
{
    ngx_scc_guard_t *guard = data;

    return guard->sh->opened;
}


static void
ngx_scc_guard_note(void *data, void *note)
{
    ngx_scc_guard_t *guard = data;
    ngx_scc_guard_note_t *n = note;

    ngx_shmtx_lock(&guard->shpool->mutex);

    n->known = guard->sh->known;
    n->high = guard->sh->anchor.high;

    ngx_shmtx_unlock(&guard->shpool->mutex);
}


/*
 * Of a store of which nothing is known an answer is believed if the journal
 * names it, or it holds anything: that there is nothing may be said when the
 * helper has looked for anchors everywhere.
 */

static ngx_int_t
ngx_scc_guard_judge(void *data, const void *note, ngx_str_t *word)
{
    ngx_scc_guard_t *guard = data;
    const ngx_scc_guard_note_t *n = note;

    scc_str_t                text;
    scc_verdict_t            verdict, before;
    scc_witness_t            w;
    ngx_scc_guard_shared_t  *sh;

    sh = guard->sh;

    text.len = word->len;
    text.data = word->data;

    before.state = SCC_GUARD_HEALTHY;
    before.reason = SCC_GUARD_NONE;

    if (scc_witness_parse(text, &w) == SCC_OK) {
        verdict = scc_guard_judge(n->known ? &n->high : NULL, before,
                                  sh->has_journal ? sh->journal : NULL,
                                  SCC_SEEN_WITNESS, &w, NULL);

    } else {
        verdict = scc_guard_judge(NULL, before, NULL, SCC_SEEN_NO_STORE,
                                  NULL, NULL);
    }

    if (verdict.state == SCC_GUARD_BOOTSTRAP) {

        if (sh->has_journal || w.events != 0 || w.places != 0) {
            return NGX_OK;
        }

        ngx_scc_guard_ask(guard);

    } else if (verdict.state != SCC_GUARD_HEALTHY) {
        ngx_scc_guard_close(guard, verdict);

    } else {

        /* somebody else's may have been worse meanwhile */

        ngx_shmtx_lock(&guard->shpool->mutex);

        if (scc_guard_open(sh->state)) {
            scc_anchor_raise(&sh->anchor, &w);
            ngx_shmtx_unlock(&guard->shpool->mutex);
            return NGX_OK;
        }

        ngx_shmtx_unlock(&guard->shpool->mutex);
    }

    (void) ngx_atomic_fetch_add(&sh->refused, 1);

    return NGX_DECLINED;
}


/* A schema or table of ours that is not there, or no right to it: whether the
   store is gone, the helper finds out.  A database or role: only connecting
   tells. */

static void
ngx_scc_guard_refused(void *data, const char *sqlstate)
{
    ngx_scc_guard_t *guard = data;

    if (ngx_strncmp(sqlstate, "3D", 2) == 0
        || ngx_strncmp(sqlstate, "28", 2) == 0)
    {
        guard->absent = 1;

    } else if (ngx_strncmp(sqlstate, "42", 2) != 0
               && ngx_strncmp(sqlstate, "3F", 2) != 0)
    {
        return;
    }

    ngx_scc_guard_ask(guard);
}


static void
ngx_scc_guard_close(ngx_scc_guard_t *guard, scc_verdict_t verdict)
{
    ngx_uint_t  closed;
    scc_str_t   name;

    ngx_shmtx_lock(&guard->shpool->mutex);

    closed = scc_guard_open(guard->sh->state);

    if (closed) {
        ngx_scc_guard_verdict(guard, verdict);
    }

    ngx_shmtx_unlock(&guard->shpool->mutex);

    ngx_scc_guard_ask(guard);

    if (closed) {
        name = scc_guard_reason_name(verdict.reason);

        ngx_log_error(NGX_LOG_CRIT, guard->log, 0,
                      "scc: the store has answered as one that is not to be "
                      "believed (%*s): nothing is answered from it until "
                      "the helper process has looked at it", name.len,
                      name.data);
    }
}


/* Under the lock. */

static void
ngx_scc_guard_verdict(ngx_scc_guard_t *guard, scc_verdict_t verdict)
{
    scc_anchor_t            *anchor;
    ngx_scc_guard_shared_t  *sh;

    sh = guard->sh;
    anchor = &sh->anchor;

    if (anchor->verdict.state == verdict.state
        && anchor->verdict.reason == verdict.reason)
    {
        return;
    }

    if (verdict.state == SCC_GUARD_REWOUND
        && anchor->verdict.state != SCC_GUARD_REWOUND)
    {
        ngx_scc_guard_want(sh);
    }

    if (verdict.state == SCC_GUARD_HEALTHY) {
        sh->opened++;
    }

    /* since when it is not believed, for whatever reason */

    if (scc_guard_open(anchor->verdict.state)
        || scc_guard_open(verdict.state))
    {
        anchor->since = ngx_scc_guard_now();
    }

    anchor->verdict = verdict;

    sh->reason = verdict.reason;
    ngx_memory_barrier();
    sh->state = verdict.state;
}


/* Under the lock.  An epoch's ledger may be smaller than the last one's. */

static void
ngx_scc_guard_want(ngx_scc_guard_shared_t *sh)
{
    sh->wanted++;
    sh->replayed = 0;
    sh->floor = 0;
    sh->floor_hlc = 0;
}


static uint64_t
ngx_scc_guard_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}
