
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_scc_watch.h"
#include "ngx_scc_anchor.h"
#include "ngx_scc_backoff.h"
#include "ngx_scc_disk.h"
#include "ngx_scc_store.h"
#include "ngx_scc_sweep.h"


#define NGX_SCC_WATCH_TICK    100       /* ms; who asks waits this long */
#define NGX_SCC_WATCH_SOON    1000      /* between looks, while anything is
                                           wrong */
#define NGX_SCC_WATCH_KEEP    10000     /* between anchors */
#define NGX_SCC_WATCH_REDIS   2000      /* how long the first verdict waits
                                           for what Redis knows */
#define NGX_SCC_WATCH_CELLS   "1024"    /* whose places are counted */


struct ngx_scc_watch_s {
    ngx_scc_watch_conf_t    *conf;
    ngx_scc_guard_t         *guard;
    ngx_scc_cache_t         *cache;
    ngx_scc_applier_t       *applier;
    ngx_scc_redis_pool_t    *redis;
    ngx_scc_sweep_t         *sweep;
    ngx_log_t               *log;
    ngx_str_t                host;

    ngx_event_t              timer;
    ngx_connection_t         dumb;
    ngx_msec_t               began;

    /* the look at the store */
    ngx_msec_t               looked;        /* when it began */
    ngx_uint_t               asked;         /* heard, up to */
    int64_t                  after;         /* cells are counted behind it */
    ngx_uint_t               sampled;       /* events asked for */
    ngx_uint_t               known;         /* the anchor is set: */
    scc_anchor_t             anchor;        /* what was known then */
    uint64_t                 hlc;           /* younger events are counted; */
    uint64_t                 younger;       /* so many there are */

    /* what is kept */
    ngx_msec_t               kept;
    ngx_msec_t               swept;
    scc_anchor_t             last;
    scc_verdict_t            said;

    unsigned                 looking:1;
    unsigned                 looked_once:1;
    unsigned                 counting:1;    /* they were asked for */
    unsigned                 counted:1;
    unsigned                 decided:1;     /* so there is something to keep */
    unsigned                 waits:1;       /* said: rewound, and not whole */
    unsigned                 redis_asked:1;
    unsigned                 redis_known:1;
    unsigned                 to_redis:1;    /* the text has yet to go there */
    unsigned                 to_store:1;
    unsigned                 keeping:1;     /* it is on its way to Redis */
    unsigned                 storing:1;     /* and to the store */

    ngx_msec_t               tried;
    size_t                   len;
    u_char                   text[SCC_ANCHOR_MAX];
};


static void ngx_scc_watch_timer(ngx_event_t *ev);
static void ngx_scc_watch_redis(ngx_scc_watch_t *watch);
static void ngx_scc_watch_redis_handler(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static ngx_uint_t ngx_scc_watch_due(ngx_scc_watch_t *watch);
static void ngx_scc_watch_look(ngx_scc_watch_t *watch);
static void ngx_scc_watch_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static scc_seen_t ngx_scc_watch_seen(ngx_scc_watch_t *watch,
    ngx_scc_pg_status_t status, ngx_scc_pg_result_t *result,
    scc_witness_t *w, scc_sample_t *sample);
static void ngx_scc_watch_anchors(ngx_scc_watch_t *watch,
    ngx_scc_pg_result_t *result);
static void ngx_scc_watch_anchor(ngx_scc_watch_t *watch, scc_str_t text);
static ngx_uint_t ngx_scc_watch_merge(ngx_scc_watch_t *watch,
    const scc_anchor_t *anchor);
static void ngx_scc_watch_decide(ngx_scc_watch_t *watch, scc_seen_t seen,
    const scc_witness_t *w, const scc_sample_t *sample);
static ngx_uint_t ngx_scc_watch_whole(ngx_scc_watch_t *watch,
    const scc_anchor_t *anchor, const scc_witness_t *w);
static void ngx_scc_watch_say(ngx_scc_watch_t *watch, scc_verdict_t v,
    ngx_uint_t restart);
static void ngx_scc_watch_keep(ngx_scc_watch_t *watch);
static void ngx_scc_watch_send(ngx_scc_watch_t *watch);
static void ngx_scc_watch_keep_redis(ngx_scc_watch_t *watch, ngx_str_t *text);
static void ngx_scc_watch_keep_store(ngx_scc_watch_t *watch, ngx_str_t *text);
static void ngx_scc_watch_kept_redis(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);
static void ngx_scc_watch_kept_store(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static void ngx_scc_watch_swept(void *data, ngx_int_t rc);


/* What to do, by reason; a person reads it in the log. */

static const char  *ngx_scc_watch_advice[SCC_GUARD_REASONS] = {
    "",
    "cached copies are answered, contributions are taken",
    "the journal is replayed into it; until it is whole nothing is answered "
        "from it",
    "the journal is replayed into it; until it is whole nothing is answered "
        "from it",
    "it has no store, or an empty one: bring the old database back, which is "
        "recognised by itself, or \"sccctl init --store\", \"sccctl rebuild\" "
        "and \"sccctl adopt\"; if this nginx is newer than the store, "
        "\"sccctl migrate\"",
    "it is another store than before: bring the old database back, which is "
        "recognised by itself, or \"sccctl rebuild\" and \"sccctl adopt\"",
    "rows are missing: bring the old database back, which is recognised by "
        "itself, or \"sccctl rebuild\" into a new one and \"sccctl adopt\"",
    "it is a rebuilt store that nobody has adopted: when the rebuild is done "
        "and verified, \"sccctl adopt\"",
};


ngx_scc_watch_t *
ngx_scc_watch_create(ngx_cycle_t *cycle, ngx_scc_watch_conf_t *conf,
    ngx_scc_guard_t *guard, ngx_scc_cache_t *cache,
    ngx_scc_applier_t *applier)
{
    ngx_scc_watch_t  *watch;

    watch = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_watch_t));
    if (watch == NULL) {
        return NULL;
    }

    watch->conf = conf;
    watch->guard = guard;
    watch->cache = cache;
    watch->applier = applier;
    watch->log = cycle->log;
    watch->host = cycle->hostname;
    watch->after = -1;
    watch->began = ngx_current_msec;
    watch->asked = guard->sh->asked;
    watch->said.state = (scc_guard_state_t) guard->sh->state;
    watch->said.reason = (scc_guard_reason_t) guard->sh->reason;

    if (conf->redis->addr.sockaddr != NULL) {
        watch->redis = ngx_scc_redis_pool_create(cycle, conf->redis);
        if (watch->redis == NULL) {
            return NULL;
        }
    }

    watch->sweep = ngx_scc_sweep_create(cycle, cache, ngx_scc_watch_swept,
                                        watch);
    if (watch->sweep == NULL) {
        return NULL;
    }

    watch->dumb.fd = (ngx_socket_t) -1;
    watch->timer.data = &watch->dumb;
    watch->timer.log = cycle->log;
    watch->timer.handler = ngx_scc_watch_timer;
    watch->timer.cancelable = 1;

    ngx_add_timer(&watch->timer, 1);

    return watch;
}


void
ngx_scc_watch_destroy(ngx_scc_watch_t *watch)
{
    if (watch->timer.timer_set) {
        ngx_del_timer(&watch->timer);
    }

    if (watch->redis != NULL) {
        ngx_scc_redis_pool_destroy(watch->redis);
    }
}


static void
ngx_scc_watch_timer(ngx_event_t *ev)
{
    ngx_scc_watch_t  *watch;

    watch = ngx_scc_event_owner(ev, ngx_scc_watch_t, timer);

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    ngx_scc_watch_redis(watch);

    if (ngx_scc_watch_due(watch)) {
        ngx_scc_watch_look(watch);
    }

    ngx_scc_watch_keep(watch);
    ngx_scc_watch_send(watch);

    /* what cannot be written again is not to fade away meanwhile */

    if (!scc_guard_open(ngx_scc_guard_state(watch->guard))
        && (watch->swept == 0
            || ngx_current_msec - watch->swept
               >= (ngx_msec_t) watch->cache->conf->ttl * 1000 / 8)
        && ngx_scc_sweep(watch->sweep, NGX_SCC_SWEEP_KEEP) == NGX_OK)
    {
        watch->swept = ngx_current_msec;
    }

    ngx_add_timer(ev, NGX_SCC_WATCH_TICK);
}


/* Once after the start: what Redis knows of the store. */

static void
ngx_scc_watch_redis(ngx_scc_watch_t *watch)
{
    ngx_str_t  argv[2];

    if (watch->redis_known) {
        return;
    }

    if (watch->redis == NULL
        || ngx_current_msec - watch->began >= NGX_SCC_WATCH_REDIS)
    {
        watch->redis_known = 1;
        return;
    }

    if (watch->redis_asked || !ngx_scc_redis_ready(watch->redis)) {
        return;
    }

    ngx_str_set(&argv[0], "GET");
    ngx_str_set(&argv[1], SCC_ANCHOR_KEY);

    if (ngx_scc_redis_command(watch->redis, 2, argv, 0,
                              ngx_scc_watch_redis_handler, watch)
        != NULL)
    {
        watch->redis_asked = 1;
    }
}


static void
ngx_scc_watch_redis_handler(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_watch_t *watch = data;

    ngx_str_t  value;
    scc_str_t  text;

    watch->redis_known = 1;

    if (status == NGX_SCC_REDIS_OK
        && ngx_scc_reply_type(reply) == NGX_SCC_REPLY_STRING)
    {
        value = ngx_scc_reply_str(reply);

        text.len = value.len;
        text.data = value.data;

        ngx_scc_watch_anchor(watch, text);
    }
}


static ngx_uint_t
ngx_scc_watch_due(ngx_scc_watch_t *watch)
{
    ngx_msec_t         interval;
    scc_guard_state_t  state;

    if (watch->looking || !watch->redis_known) {
        return 0;
    }

    if (!watch->looked_once || watch->asked != watch->guard->sh->asked) {
        return 1;
    }

    state = ngx_scc_guard_state(watch->guard);

    interval = (state == SCC_GUARD_HEALTHY)
               ? watch->conf->interval
               : ngx_min(watch->conf->interval, NGX_SCC_WATCH_SOON);

    return ngx_current_msec - watch->looked >= interval;
}


static void
ngx_scc_watch_look(ngx_scc_watch_t *watch)
{
    u_char               ids[NGX_SCC_SAMPLE_LEN], after[NGX_INT64_LEN];
    uint64_t             doubt;
    ngx_uint_t           i;
    scc_anchor_t         anchor;
    u_char               hlc[NGX_INT64_LEN];
    ngx_str_t            values[4];
    ngx_scc_pg_status_t  status;

    watch->asked = watch->guard->sh->asked;
    watch->looked = ngx_current_msec;
    watch->looked_once = 1;

    /* a person's word, "sccctl adopt", comes as a file */

    for (i = 0; i < watch->guard->n_dirs; i++) {
        if (ngx_scc_anchor_read(&watch->guard->dirs[i], &anchor,
                                     watch->log)
            == NGX_OK)
        {
            (void) ngx_scc_watch_merge(watch, &anchor);
        }
    }

    /* while the store answers others may hear of more than it will say */

    watch->known = (ngx_scc_guard_get(watch->guard, &watch->anchor)
                    == NGX_OK);

    /* one that was doubted is counted first */

    doubt = watch->guard->sh->doubt;
    watch->guard->sh->doubt = 0;

    if (doubt > 1) {
        watch->after = (int64_t) doubt - 2;
    }

    values[0].data = ids;
    watch->sampled = ngx_scc_sample_ids(watch->conf->journal, &values[0],
                                        watch->log);

    values[1].data = after;
    values[1].len = ngx_sprintf(after, "%L", watch->after) - after;

    ngx_str_set(&values[2], NGX_SCC_WATCH_CELLS);

    watch->counting = (ngx_scc_guard_get(watch->guard, &anchor) == NGX_OK
                       && anchor.verdict.state == SCC_GUARD_REWOUND
                       && !ngx_scc_guard_begun(watch->guard));
    watch->hlc = anchor.high.hlc;

    values[3].data = hlc;
    values[3].len = watch->counting
                    ? (size_t) (ngx_sprintf(hlc, "%uL", watch->hlc) - hlc)
                    : NGX_SCC_PG_NULL;

    if (ngx_scc_pg_query(watch->cache->pg, &ngx_scc_store_check, values,
                         ngx_scc_watch_handler, watch, &status)
        == NULL)
    {
        ngx_scc_watch_handler(watch, status, NULL);
        return;
    }

    watch->looking = 1;
}


static void
ngx_scc_watch_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_watch_t *watch = data;

    scc_seen_t      seen;
    scc_sample_t    sample;
    scc_witness_t   w;

    watch->looking = 0;

    (void) ngx_atomic_fetch_add(&watch->guard->sh->checks, 1);

    seen = ngx_scc_watch_seen(watch, status, result, &w, &sample);

    ngx_scc_watch_decide(watch, seen, &w, &sample);
}


static scc_seen_t
ngx_scc_watch_seen(ngx_scc_watch_t *watch, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result, scc_witness_t *w, scc_sample_t *sample)
{
    uint64_t     n;
    ngx_str_t    text;
    scc_str_t    word;
    const char  *state;

    if (status == NGX_SCC_PG_FAILED) {
        state = ngx_scc_pg_sqlstate(result);

        return (ngx_strncmp(state, "42", 2) == 0
                || ngx_strncmp(state, "3D", 2) == 0
                || ngx_strncmp(state, "3F", 2) == 0)
               ? SCC_SEEN_NO_STORE : SCC_SEEN_SILENCE;
    }

    if (status != NGX_SCC_PG_OK) {
        return watch->guard->absent ? SCC_SEEN_NO_STORE : SCC_SEEN_SILENCE;
    }

    watch->guard->absent = 0;

    if (ngx_scc_pg_value(result, 0, 0, &text) != NGX_OK) {
        return SCC_SEEN_NO_STORE;
    }

    word.len = text.len;
    word.data = text.data;

    if (scc_witness_parse(word, w) != SCC_OK) {
        return SCC_SEEN_NO_STORE;
    }

    ngx_memzero(sample, sizeof(scc_sample_t));

    if (ngx_scc_store_number(result, 0, 1, &n) == NGX_OK) {
        sample->events = (uint32_t) watch->sampled;
        sample->events_there = (uint32_t) n;
    }

    if (ngx_scc_store_number(result, 0, 3, &sample->rows) != NGX_OK
        || ngx_scc_store_number(result, 0, 4, &sample->rows_there) != NGX_OK)
    {
        sample->rows = 0;
        sample->rows_there = 0;
    }

    watch->counted = (watch->counting
                      && ngx_scc_store_number(result, 0, 6, &watch->younger)
                         == NGX_OK);

    /* from the beginning again, or on */

    watch->after = (ngx_scc_store_number(result, 0, 2, &n) == NGX_OK)
                   ? (int64_t) n : -1;

    ngx_scc_watch_anchors(watch, result);

    return SCC_SEEN_WITNESS;
}


/* A line each, of all hosts; of another store they say nothing. */

static void
ngx_scc_watch_anchors(ngx_scc_watch_t *watch, ngx_scc_pg_result_t *result)
{
    u_char     *p, *end, *lf;
    ngx_str_t   text;
    scc_str_t   line;

    if (ngx_scc_pg_value(result, 0, 5, &text) != NGX_OK) {
        return;
    }

    end = text.data + text.len;

    for (p = text.data; p < end; p = lf + 1) {
        lf = ngx_strlchr(p, end, LF);

        if (lf == NULL) {
            lf = end;
        }

        line.len = lf - p;
        line.data = p;

        ngx_scc_watch_anchor(watch, line);
    }
}


static void
ngx_scc_watch_anchor(ngx_scc_watch_t *watch, scc_str_t text)
{
    scc_anchor_t  anchor;

    if (scc_anchor_read(text, &anchor) != SCC_OK
        || !ngx_scc_watch_merge(watch, &anchor))
    {
        return;
    }

    if (watch->known) {
        (void) scc_anchor_merge(&watch->anchor, &anchor);

    } else {
        watch->anchor = anchor;
        watch->known = 1;
    }
}


/* Where the journal names its store, only that one's anchors count. */

static ngx_uint_t
ngx_scc_watch_merge(ngx_scc_watch_t *watch, const scc_anchor_t *anchor)
{
    u_char  store[16];

    if (ngx_scc_anchor_journal(watch->guard, store) == NGX_OK
        && ngx_memcmp(store, anchor->high.store, 16) != 0)
    {
        return 0;
    }

    (void) ngx_scc_guard_merge(watch->guard, anchor);

    return 1;
}


static void
ngx_scc_watch_decide(ngx_scc_watch_t *watch, scc_seen_t seen,
    const scc_witness_t *w, const scc_sample_t *sample)
{
    u_char             journal[16];
    ngx_uint_t         due, restart;
    scc_anchor_t       anchor;
    scc_verdict_t      v, before;
    ngx_scc_guard_t   *guard;

    guard = watch->guard;

    (void) ngx_scc_guard_get(guard, &anchor);
    before = anchor.verdict;

    /* before a pass is over it is not known what is to be there */

    due = ngx_scc_guard_begun(guard);

    v = scc_guard_judge(watch->known ? &watch->anchor.high : NULL, before,
            ngx_scc_anchor_journal(guard, journal) == NGX_OK ? journal : NULL,
            seen, w, due ? NULL : sample);

    restart = 0;

    if (v.state == SCC_GUARD_BOOTSTRAP) {
        v.state = SCC_GUARD_HEALTHY;

    } else if (v.state == SCC_GUARD_REWOUND
               || (before.state == SCC_GUARD_REWOUND
                   && v.state == SCC_GUARD_HEALTHY))
    {
        restart = ngx_scc_watch_whole(watch, &anchor, w);

        if (restart) {
            v.state = SCC_GUARD_HEALTHY;
            v.reason = SCC_GUARD_NONE;

        } else if (v.state == SCC_GUARD_HEALTHY) {
            v = before;
        }
    }

    watch->decided = 1;

    ngx_scc_guard_set(guard, v, (seen == SCC_SEEN_WITNESS) ? w : NULL,
                      restart);

    if (v.state != watch->said.state || v.reason != watch->said.reason) {
        ngx_scc_watch_say(watch, v, restart);
    }

    if (v.state == SCC_GUARD_REWOUND && watch->applier != NULL
        && ngx_scc_guard_begun(guard))
    {
        ngx_scc_applier_replay(watch->applier);
    }
}


/*
 * Rewound: this host's journal was replayed, and the ledger has come as far
 * as it once was.  What people contribute meanwhile does not make up for what
 * is missing: it is younger than all that was known.
 */

static ngx_uint_t
ngx_scc_watch_whole(ngx_scc_watch_t *watch, const scc_anchor_t *anchor,
    const scc_witness_t *w)
{
    uint64_t  events;

    if (watch->applier != NULL && ngx_scc_guard_begun(watch->guard)) {
        return 0;
    }

    if (!watch->counted || watch->hlc != anchor->high.hlc) {
        ngx_scc_guard_ask(watch->guard);
        return 0;
    }

    events = w->events - ngx_min(w->events, watch->younger);

    if (events >= anchor->high.events
        && w->removals >= anchor->high.removals
        && w->hlc >= anchor->high.hlc)
    {
        return 1;
    }

    if (!watch->waits && anchor->verdict.state == SCC_GUARD_REWOUND) {
        watch->waits = 1;
        ngx_log_error(NGX_LOG_CRIT, watch->log, 0,
                      "scc: this host's journal has been replayed, but the "
                      "store has %uL of %uL contributions: the others are in "
                      "other hosts' journals, or in none; when all hosts are "
                      "up and it stays so, \"sccctl verify\", then \"sccctl "
                      "adopt\"", events, anchor->high.events);
    }

    return 0;
}


static void
ngx_scc_watch_say(ngx_scc_watch_t *watch, scc_verdict_t v,
    ngx_uint_t restart)
{
    scc_str_t   state, reason;
    ngx_uint_t  n, level;

    state = scc_guard_state_name(v.state);
    reason = scc_guard_reason_name(v.reason);

    if (v.state == SCC_GUARD_HEALTHY) {
        n = watch->guard->sh->replayed;

        if (restart) {
            ngx_log_error(NGX_LOG_NOTICE, watch->log, 0,
                          "scc: the store is whole again: %ui contributions "
                          "were re-applied from this host's journal", n);

        } else if (watch->said.state != SCC_GUARD_BOOTSTRAP) {
            ngx_log_error(NGX_LOG_NOTICE, watch->log, 0,
                          "scc: the store is believed again");
        }

    } else {
        level = (v.state == SCC_GUARD_STALE) ? NGX_LOG_ERR : NGX_LOG_CRIT;

        ngx_log_error(level, watch->log, 0,
                      "scc: the store is in state %*s (%*s): %s", state.len,
                      state.data, reason.len, reason.data,
                      ngx_scc_watch_advice[v.reason]);
    }

    watch->said = v;
    watch->waits = 0;
    watch->swept = 0;
}


/* About every 10 s if there is something new, and with each verdict. */

static void
ngx_scc_watch_keep(ngx_scc_watch_t *watch)
{
    uint64_t        now;
    u_char          store[16];
    scc_buf_t       b;
    ngx_uint_t      i;
    ngx_msec_t      pause;
    ngx_time_t     *tp;
    scc_anchor_t    anchor, other;
    scc_verdict_t  *v;

    if (!watch->decided
        || ngx_scc_guard_get(watch->guard, &anchor) != NGX_OK)
    {
        return;
    }

    v = &watch->last.verdict;
    pause = ngx_min(NGX_SCC_WATCH_KEEP, 10 * watch->conf->interval);

    if (watch->last.written != 0
        && v->state == anchor.verdict.state
        && v->reason == anchor.verdict.reason
        && anchor.high.epoch == watch->last.high.epoch
        && anchor.life == watch->last.life
        && (ngx_current_msec - watch->kept < pause
            || ngx_memcmp(&anchor.high, &watch->last.high,
                          sizeof(scc_witness_t))
               == 0))
    {
        return;
    }

    tp = ngx_timeofday();
    now = (uint64_t) tp->sec * 1000 + tp->msec;

    anchor.written = now;

    scc_buf_fixed(&b, watch->text, SCC_ANCHOR_MAX);
    scc_anchor_write(&b, &anchor);

    if (b.error) {
        return;
    }

    watch->last = anchor;
    watch->kept = ngx_current_msec;

    for (i = 0; i < watch->guard->n_dirs; i++) {

        if (i < watch->guard->n_journal
            && ngx_scc_disk_store(&watch->guard->dirs[i], store) == NGX_OK
            && ngx_memcmp(store, anchor.high.store, 16) != 0)
        {
            /* what is known of that store is not to be lost */
            continue;
        }

        /* a person may have written one a moment ago */

        if (ngx_scc_anchor_read(&watch->guard->dirs[i], &other,
                                     watch->log)
            == NGX_OK
            && other.high.epoch > anchor.high.epoch
            && ngx_memcmp(other.high.store, anchor.high.store, 16) == 0)
        {
            (void) ngx_scc_watch_merge(watch, &other);
            ngx_scc_guard_ask(watch->guard);
            continue;
        }

        (void) ngx_scc_anchor_write(&watch->guard->dirs[i],
                                         scc_buf_get(&b), watch->log);
    }

    watch->len = b.used - 1;
    watch->to_redis = 1;
    watch->to_store = 1;
    watch->tried = ngx_current_msec - NGX_SCC_WATCH_SOON;
}


/* Those may not be there now. */

static void
ngx_scc_watch_send(ngx_scc_watch_t *watch)
{
    ngx_str_t  text;

    if ((!watch->to_redis && !watch->to_store)
        || ngx_current_msec - watch->tried < NGX_SCC_WATCH_SOON)
    {
        return;
    }

    watch->tried = ngx_current_msec;

    text.len = watch->len;
    text.data = watch->text;

    ngx_scc_watch_keep_redis(watch, &text);
    ngx_scc_watch_keep_store(watch, &text);
}


static void
ngx_scc_watch_keep_redis(ngx_scc_watch_t *watch, ngx_str_t *text)
{
    ngx_str_t  argv[3];

    if (!watch->to_redis || watch->redis == NULL || !watch->redis_known
        || watch->keeping || !ngx_scc_redis_ready(watch->redis))
    {
        return;
    }

    ngx_str_set(&argv[0], "SET");
    ngx_str_set(&argv[1], SCC_ANCHOR_KEY);
    argv[2] = *text;

    watch->keeping = (ngx_scc_redis_command(watch->redis, 3, argv, 0,
                                            ngx_scc_watch_kept_redis, watch)
                      != NULL);
}


static void
ngx_scc_watch_keep_store(ngx_scc_watch_t *watch, ngx_str_t *text)
{
    ngx_str_t            values[2];
    ngx_scc_pg_status_t  status;

    if (!watch->to_store || watch->storing
        || ngx_scc_guard_state(watch->guard) != SCC_GUARD_HEALTHY)
    {
        return;
    }

    values[0] = watch->host;
    values[1] = *text;

    watch->storing = (ngx_scc_pg_query(watch->cache->pg, &ngx_scc_store_keep,
                                       values, ngx_scc_watch_kept_store,
                                       watch, &status)
                      != NULL);
}


static void
ngx_scc_watch_kept_redis(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_watch_t *watch = data;

    watch->keeping = 0;
    watch->to_redis = (status != NGX_SCC_REDIS_OK);
}


/* A standby takes none: the other places have it, and it is not asked again
   before there is something new. */

static void
ngx_scc_watch_kept_store(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_watch_t *watch = data;

    watch->storing = 0;
    watch->to_store = (status != NGX_SCC_PG_OK
                       && status != NGX_SCC_PG_FAILED);
}


static void
ngx_scc_watch_swept(void *data, ngx_int_t rc)
{
    ngx_scc_watch_t *watch = data;

    if (rc != NGX_OK) {
        watch->swept = ngx_current_msec - watch->cache->conf->ttl * 1000 / 8
                       + NGX_SCC_WATCH_KEEP;
    }
}
