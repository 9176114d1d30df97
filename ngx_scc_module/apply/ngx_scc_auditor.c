
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_auditor.h"
#include "ngx_scc_ask.h"
#include "ngx_scc_backoff.h"
#include "scc_probe.h"

#include <pthread.h>


#define NGX_SCC_AUDITOR_TICK    100     /* ms between looks for a reason */
#define NGX_SCC_AUDITOR_WAIT    3000    /* ms for a queue to be connected */
#define NGX_SCC_AUDITOR_THREAD  10      /* ms between looks at the thread */
#define NGX_SCC_AUDITOR_SYNCS   2000    /* ms, of the syncs in a directory */
#define NGX_SCC_AUDITOR_LINE    1024    /* bytes of a finding in the log */


/*
 * What the thread reads and writes: its own while it runs, and as long as
 * it lives; nginx's threads belong to workers only, and a disk may hang.
 */

typedef struct {
    scc_audit_journal_t      journal;
    scc_audit_queue_t        queue;
    scc_audit_copy_t         copy;
    uint64_t                 drill_age;
    char                     store_dir[SCC_AUDIT_TEXT];
    uint64_t                 store_fs;
    ngx_uint_t               local_queue;
    ngx_uint_t               done;
} ngx_scc_auditor_job_t;


struct ngx_scc_auditor_s {
    ngx_scc_auditor_conf_t  *conf;
    ngx_scc_audit_shared_t  *sh;
    ngx_slab_pool_t         *shpool;
    ngx_scc_redis_pool_t    *queue;     /* NULL: there is none */
    ngx_scc_redis_pool_t    *cache;
    ngx_scc_pg_pool_t       *pg;
    ngx_log_t               *log;
    ngx_event_t              timer;
    ngx_connection_t         dumb;

    ngx_uint_t               busy;
    ngx_uint_t               audited;       /* once, at least */
    ngx_msec_t               begun;
    ngx_uint_t               incarnation;   /* of the queue, last asked */
    ngx_msec_t               waited;        /* for the queue; 0: no */

    ngx_scc_ask_t            ask;
    scc_audit_store_t        store;
    scc_audit_queue_t        facts;         /* of the queue, this time */
    ngx_scc_auditor_job_t   *job;           /* the thread's */
    scc_report_t             report;
    char                     queue_name[SCC_AUDIT_TEXT];
    char                     store_name[SCC_AUDIT_TEXT];
};


static void ngx_scc_auditor_timer(ngx_event_t *ev);
static ngx_uint_t ngx_scc_auditor_due(ngx_scc_auditor_t *a);
static void ngx_scc_auditor_begin(ngx_scc_auditor_t *a);
static void ngx_scc_auditor_queue(ngx_scc_auditor_t *a);
static void ngx_scc_auditor_asked(ngx_scc_ask_t *ask);
static void ngx_scc_auditor_store(ngx_scc_auditor_t *a);
static void ngx_scc_auditor_stored(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static void ngx_scc_auditor_stamped(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static void ngx_scc_auditor_rows(ngx_scc_auditor_t *a,
    ngx_scc_pg_result_t *result);
static void ngx_scc_auditor_why(ngx_scc_auditor_t *a,
    ngx_scc_pg_status_t status, ngx_scc_pg_result_t *result);
static void ngx_scc_auditor_journal(ngx_scc_auditor_t *a);
static void *ngx_scc_auditor_thread(void *data);
static void ngx_scc_auditor_judge(ngx_scc_auditor_t *a);
static void ngx_scc_auditor_keep(ngx_scc_auditor_t *a);
static void ngx_scc_auditor_publish(ngx_scc_auditor_t *a);
static void ngx_scc_auditor_tell(ngx_scc_auditor_t *a, scc_finding_t *f,
    ngx_uint_t gone);
static void ngx_scc_auditor_sum(ngx_scc_auditor_t *a);
static void ngx_scc_auditor_name(char to[SCC_AUDIT_TEXT], ngx_str_t *from);


static const ngx_scc_pg_stmt_t  ngx_scc_auditor_settings = {
    "scc_audit_1", scc_audit_store_sql, 0, NGX_SCC_PG_FREE
};

static const ngx_scc_pg_stmt_t  ngx_scc_auditor_stamps = {
    "scc_audit_2", scc_audit_stamp_sql, 0, NGX_SCC_PG_FREE
};


ngx_scc_auditor_t *
ngx_scc_auditor_create(ngx_cycle_t *cycle, ngx_scc_auditor_conf_t *conf,
    ngx_scc_redis_pool_t *cache)
{
    ngx_scc_auditor_t  *a;

    a = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_auditor_t));
    if (a == NULL) {
        return NULL;
    }

    a->conf = conf;
    a->sh = &conf->caps->pending->sh->audit;
    a->shpool = conf->caps->pending->shpool;
    a->cache = cache;
    a->log = cycle->log;

    ngx_scc_auditor_name(a->store_name, &conf->pg.name);

    a->pg = ngx_scc_pg_pool_create(cycle, &conf->pg);
    if (a->pg == NULL) {
        return NULL;
    }

    if (conf->queue->addr.sockaddr != NULL) {
        ngx_scc_auditor_name(a->queue_name, &conf->queue->addr.name);

        a->queue = ngx_scc_redis_pool_create(cycle, conf->queue);
        if (a->queue == NULL) {
            return NULL;
        }

        a->ask.pool = a->queue;
        a->ask.handler = ngx_scc_auditor_asked;
        a->ask.data = a;
        a->ask.full = 1;
    }

    /* a new process looks at once, whatever the last one has found */

    ngx_scc_caps_doubt(conf->caps->pending);

    a->dumb.fd = (ngx_socket_t) -1;
    a->timer.data = &a->dumb;
    a->timer.log = cycle->log;
    a->timer.handler = ngx_scc_auditor_timer;
    a->timer.cancelable = 1;

    ngx_add_timer(&a->timer, 1);

    return a;
}


void
ngx_scc_auditor_destroy(ngx_scc_auditor_t *a)
{
    if (a->timer.timer_set) {
        ngx_del_timer(&a->timer);
    }

    if (a->queue != NULL) {
        ngx_scc_redis_pool_destroy(a->queue);
    }

    ngx_scc_pg_pool_destroy(a->pg);

    /* a job that runs is its thread's, until the process ends */
}


static void
ngx_scc_auditor_timer(ngx_event_t *ev)
{
    ngx_scc_auditor_t  *a;

    a = ngx_scc_event_owner(ev, ngx_scc_auditor_t, timer);

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    if (a->job != NULL) {

        if (!__atomic_load_n(&a->job->done, __ATOMIC_ACQUIRE)) {
            ngx_add_timer(ev, NGX_SCC_AUDITOR_THREAD);
            return;
        }

        ngx_scc_auditor_judge(a);

    } else if (!a->busy && ngx_scc_auditor_due(a)) {
        ngx_scc_auditor_begin(a);
    }

    if (!ev->timer_set) {
        ngx_add_timer(ev, NGX_SCC_AUDITOR_TICK);
    }
}


static ngx_uint_t
ngx_scc_auditor_due(ngx_scc_auditor_t *a)
{
    if (a->queue != NULL
        && ngx_scc_redis_incarnation(a->queue) != a->incarnation)
    {
        return 1;
    }

    return __atomic_load_n(&a->sh->again, __ATOMIC_RELAXED)
           || ngx_current_msec - a->begun >= a->conf->caps->interval;
}


static void
ngx_scc_auditor_begin(ngx_scc_auditor_t *a)
{
    /* at a start the connection to the queue is being made */

    if (a->queue != NULL && !ngx_scc_redis_ready(a->queue)) {

        if (a->waited == 0) {
            a->waited = ngx_current_msec;
        }

        if (ngx_current_msec - a->waited
            < ngx_min(NGX_SCC_AUDITOR_WAIT, a->conf->queue->connect_timeout))
        {
            ngx_add_timer(&a->timer, NGX_SCC_AUDITOR_THREAD);
            return;
        }
    }

    a->busy = 1;
    a->begun = ngx_current_msec;
    a->waited = 0;

    __atomic_store_n(&a->sh->again, 0, __ATOMIC_RELAXED);

    ngx_scc_auditor_queue(a);
}


static void
ngx_scc_auditor_queue(ngx_scc_auditor_t *a)
{
    scc_audit_queue_t  *q;

    q = &a->ask.facts;

    ngx_memzero(q, sizeof(scc_audit_queue_t));
    q->name = a->queue_name;

    if (a->queue == NULL) {
        ngx_scc_auditor_store(a);
        return;
    }

    a->incarnation = ngx_scc_redis_incarnation(a->queue);

    ngx_memcpy(q->known_run_id, a->sh->known_run_id, SCC_AUDIT_WORD);
    ngx_memcpy(q->known_last_id, a->sh->known_last_id, SCC_AUDIT_WORD);
    ngx_memcpy(q->known_file, a->sh->known_file, SCC_AUDIT_TEXT);
    q->known_added = a->sh->known_added;
    q->known_ino = a->sh->known_file_ino;

    if (ngx_scc_ask(&a->ask) != NGX_OK) {
        ngx_scc_auditor_store(a);
    }
}


static void
ngx_scc_auditor_asked(ngx_scc_ask_t *ask)
{
    ngx_str_t           id;
    ngx_scc_auditor_t  *a;

    a = ask->data;

    if (ask->lost) {
        ask->facts.info = 0;
    }

    if (a->cache != NULL) {
        id = ngx_scc_redis_run_id(a->cache);

        if (id.len > 1 && id.len < SCC_AUDIT_WORD) {
            ngx_memcpy(ask->facts.cache_run_id, id.data, id.len);
        }
    }

    ngx_scc_auditor_store(a);
}


static void
ngx_scc_auditor_store(ngx_scc_auditor_t *a)
{
    ngx_scc_pg_status_t  status;

    scc_audit_store_begin(&a->store);
    a->store.name = a->store_name;

    if (ngx_scc_pg_query(a->pg, &ngx_scc_auditor_settings, NULL,
                         ngx_scc_auditor_stored, a, &status)
        == NULL)
    {
        ngx_scc_auditor_why(a, status, NULL);
        ngx_scc_auditor_journal(a);
    }
}


static void
ngx_scc_auditor_stored(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_auditor_t *a = data;

    if (status != NGX_SCC_PG_OK) {
        ngx_scc_auditor_why(a, status, result);
        ngx_scc_auditor_journal(a);
        return;
    }

    ngx_scc_auditor_rows(a, result);

    if (!a->store.stamps
        || ngx_scc_pg_query(a->pg, &ngx_scc_auditor_stamps, NULL,
                            ngx_scc_auditor_stamped, a, &status)
           == NULL)
    {
        ngx_scc_auditor_journal(a);
    }
}


static void
ngx_scc_auditor_stamped(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_auditor_t *a = data;

    if (status == NGX_SCC_PG_OK) {
        ngx_scc_auditor_rows(a, result);
    }

    ngx_scc_auditor_journal(a);
}


static void
ngx_scc_auditor_rows(ngx_scc_auditor_t *a, ngx_scc_pg_result_t *result)
{
    ngx_str_t   text[2];
    scc_str_t   name, value;
    ngx_uint_t  i;

    for (i = 0; i < ngx_scc_pg_rows(result); i++) {

        if (ngx_scc_pg_value(result, i, 0, &text[0]) != NGX_OK
            || ngx_scc_pg_value(result, i, 1, &text[1]) != NGX_OK)
        {
            continue;
        }

        name.len = text[0].len;
        name.data = text[0].data;
        value.len = text[1].len;
        value.data = text[1].data;

        scc_audit_store_set(&a->store, name, value);
    }
}


static void
ngx_scc_auditor_why(ngx_scc_auditor_t *a, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    (void) ngx_snprintf((u_char *) a->store.error, SCC_AUDIT_TEXT - 1,
                        (status == NGX_SCC_PG_FAILED) ? "SQLSTATE %s%Z"
                        : (status == NGX_SCC_PG_TIMEOUT)
                          ? "it takes too long%Z" : "no answer%Z",
                        (status == NGX_SCC_PG_FAILED)
                        ? ngx_scc_pg_sqlstate(result) : "");
}


/* The disk, in a thread: a sync may take long, or for ever. */

static void
ngx_scc_auditor_journal(ngx_scc_auditor_t *a)
{
    int                     rc;
    sigset_t                all, old;
    pthread_t               thread;
    ngx_uint_t              i;
    pthread_attr_t          attr;
    ngx_scc_caps_conf_t    *caps;
    ngx_scc_auditor_job_t  *job;

    caps = a->conf->caps;
    a->facts = a->ask.facts;

    job = ngx_calloc(sizeof(ngx_scc_auditor_job_t), a->log);
    if (job == NULL) {
        a->busy = 0;
        return;
    }

    ngx_scc_caps_facts(caps, &job->journal);

    if (a->sh->known_key == caps->key) {
        for (i = 0; i < caps->journal->n_dirs; i++) {
            job->journal.known_dev[i] = a->sh->known_dev[i];
            job->journal.known_ino[i] = a->sh->known_ino[i];
        }
    }

    job->queue = a->facts;
    job->copy.dir = (char *) caps->journal->dirs[0].data;
    job->copy.limit = (uint64_t) caps->offsite;
    job->local_queue = (a->queue != NULL
                        && a->conf->queue->addr.sockaddr->sa_family
                           == AF_UNIX);

    if (a->store.local) {
        ngx_memcpy(job->store_dir, a->store.directory, SCC_AUDIT_TEXT);
    }

    a->job = job;

    /* its process's signals are the event loop's */

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &old);

    rc = pthread_attr_init(&attr);

    if (rc == 0) {
        (void) pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);

        rc = pthread_create(&thread, &attr, ngx_scc_auditor_thread, job);

        (void) pthread_attr_destroy(&attr);
    }

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (rc != 0) {
        ngx_log_error(NGX_LOG_ERR, a->log, rc,
                      "scc: no thread for the durability audit, nothing is "
                      "proven; look at the limits of processes and memory");

        ngx_free(job);
        a->job = NULL;
        a->busy = 0;
        return;
    }

    if (a->timer.timer_set) {
        ngx_del_timer(&a->timer);
    }

    ngx_add_timer(&a->timer, NGX_SCC_AUDITOR_THREAD);
}


static void *
ngx_scc_auditor_thread(void *data)
{
    ngx_scc_auditor_job_t *job = data;

    u_char  path[NGX_MAX_PATH];

    if (job->local_queue) {
        scc_probe_queue(&job->queue);
        job->journal.queue_dev = scc_probe_dev(job->queue.dir);
    }

    if (job->store_dir[0] != '\0') {
        job->journal.store_dev = scc_probe_dev(job->store_dir);
        job->store_fs = scc_probe_fs(job->store_dir);
    }

    scc_probe_try(&job->journal, NGX_SCC_AUDITOR_SYNCS);
    scc_probe_copy(&job->copy);

    *ngx_snprintf(path, sizeof(path) - 1, "%s/drilled", job->copy.dir) = '\0';

    job->drill_age = scc_probe_age((char *) path);

    __atomic_store_n(&job->done, 1, __ATOMIC_RELEASE);

    return NULL;
}


static void
ngx_scc_auditor_judge(ngx_scc_auditor_t *a)
{
    ngx_scc_auditor_job_t  *job;

    job = a->job;

    a->store.drill_age = ngx_min(a->store.drill_age, job->drill_age);
    a->store.fs_type = job->store_fs;

    scc_audit_begin(&a->report);
    scc_audit_journal(&a->report, &job->journal);

    if (a->queue != NULL) {

        /* this process is about to make it */

        job->queue.group |= !a->audited;

        scc_audit_queue(&a->report, &job->queue);
    }

    scc_audit_store(&a->report, &a->store);
    scc_audit_copy(&a->report, &job->copy);

    ngx_scc_auditor_keep(a);
    ngx_scc_auditor_publish(a);

    ngx_free(job);

    a->job = NULL;
    a->busy = 0;
    a->audited = 1;
}


/* For the next look.  What was moved away is told once. */

static void
ngx_scc_auditor_keep(ngx_scc_auditor_t *a)
{
    ngx_uint_t               i;
    scc_audit_queue_t       *q;
    scc_audit_journal_t     *j;
    ngx_scc_audit_shared_t  *sh;

    sh = a->sh;
    j = &a->job->journal;
    q = &a->job->queue;

    sh->known_key = a->conf->caps->key;

    for (i = 0; i < j->n; i++) {
        if (j->dirs[i].error[0] == '\0') {
            sh->known_dev[i] = j->dirs[i].dev;
            sh->known_ino[i] = j->dirs[i].ino;
        }
    }

    if (q->stream) {
        ngx_memcpy(sh->known_last_id, q->last_id, SCC_AUDIT_WORD);
        sh->known_added = q->added;
    }

    if (q->info) {
        ngx_memcpy(sh->known_run_id, q->run_id, SCC_AUDIT_WORD);
    }

    if (q->files && q->file
        && !scc_audit_has(&a->report, SCC_AUDIT_R6_OTHER))
    {
        ngx_memcpy(sh->known_file, q->file_name, SCC_AUDIT_TEXT);
        sh->known_file_ino = q->file_ino;
    }
}


static void
ngx_scc_auditor_publish(ngx_scc_auditor_t *a)
{
    uint64_t                 now, before, caps;
    ngx_uint_t               i;
    scc_report_t            *old;
    ngx_scc_audit_shared_t  *sh;

    sh = a->sh;
    old = &sh->report;

    /* nobody but a helper writes it */

    for (i = 0; i < a->report.n; i++) {
        if (scc_audit_find(old, &a->report.finding[i]) == SCC_AUDIT_MAX) {
            ngx_scc_auditor_tell(a, &a->report.finding[i], 0);
        }
    }

    for (i = 0; i < old->n; i++) {
        if (scc_audit_find(&a->report, &old->finding[i]) == SCC_AUDIT_MAX) {
            ngx_scc_auditor_tell(a, &old->finding[i], 1);
        }
    }

    now = ngx_scc_pending_boot();
    caps = scc_audit_caps(&a->report);
    before = sh->caps;

    ngx_shmtx_lock(&a->shpool->mutex);
    ngx_memcpy(&sh->report, &a->report, sizeof(scc_report_t));
    ngx_shmtx_unlock(&a->shpool->mutex);

    __atomic_store_n(&sh->caps, caps, __ATOMIC_RELAXED);
    __atomic_store_n(&sh->journal, now, __ATOMIC_RELAXED);
    __atomic_store_n(&sh->queue, (a->queue != NULL) ? now : 0,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&sh->store, now, __ATOMIC_RELAXED);
    __atomic_store_n(&sh->key, a->conf->caps->key, __ATOMIC_RELEASE);

    if (sh->audits++ == 0 || before != caps) {
        ngx_scc_auditor_sum(a);
    }
}


static void
ngx_scc_auditor_tell(ngx_scc_auditor_t *a, scc_finding_t *f, ngx_uint_t gone)
{
    u_char                   line[NGX_SCC_AUDITOR_LINE];
    scc_buf_t                b;
    ngx_uint_t               level;
    ngx_str_t                text;
    const scc_audit_rule_t  *rule;

    rule = scc_audit_rule(f->code);

    scc_buf_fixed(&b, line, sizeof(line));
    scc_audit_text(&b, f, rule->finding);

    if (!gone) {
        scc_buf_text(&b, ": ");
        scc_audit_text(&b, f, rule->consequence);
        scc_buf_text(&b, "; to change: ");
        scc_audit_text(&b, f, rule->change);
    }

    text.len = b.used;
    text.data = line;

    level = gone ? NGX_LOG_NOTICE
                 : (rule->level == SCC_AUDIT_WARN) ? NGX_LOG_WARN
                                                   : NGX_LOG_CRIT;

    ngx_log_error(level, a->log, 0, gone ? "scc: audit %s is over: %V"
                                  : "scc: audit %s: %V", rule->id, &text);
}


static void
ngx_scc_auditor_sum(ngx_scc_auditor_t *a)
{
    uint64_t    caps;
    ngx_uint_t  journal, level;

    caps = a->sh->caps;

    journal = (caps & SCC_CAP_JOURNAL) == 0 ? 0
              : (caps & SCC_CAP_COPY) == 0
                ? 1 : a->conf->caps->journal->n_dirs;

    level = journal ? NGX_LOG_NOTICE : NGX_LOG_CRIT;

    ngx_log_error(level, a->log, 0,
                  "scc: the durability audit has %ui findings; what may be "
                  "said is journal=%ui, queue=%d, applied=%d",
                  (ngx_uint_t) a->report.n, journal,
                  (caps & SCC_CAP_QUEUE) ? 1 : 0,
                  (caps & SCC_CAP_APPLY) ? 1 : 0);
}


static void
ngx_scc_auditor_name(char to[SCC_AUDIT_TEXT], ngx_str_t *from)
{
    size_t  len;

    len = ngx_min(from->len, SCC_AUDIT_TEXT - 1);

    ngx_memcpy(to, from->data, len);
    to[len] = '\0';
}
