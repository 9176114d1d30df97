
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_caps.h"
#include "scc_blob.h"
#include "scc_probe.h"


#define NGX_SCC_CAPS_DISKS  (SCC_CAP_JOURNAL|SCC_CAP_COPY|SCC_CAP_OFFSITE)
#define NGX_SCC_CAPS_LIMIT  500         /* ms, of the syncs at a start */
#define NGX_SCC_CAPS_GRACE  30000       /* ms that an audit may take */


static uint64_t ngx_scc_caps_key(ngx_scc_caps_conf_t *conf);
static ngx_uint_t ngx_scc_caps_fresh(ngx_scc_caps_conf_t *conf,
    const uint64_t *at);


void
ngx_scc_caps_start(ngx_scc_caps_conf_t *conf, ngx_log_t *log)
{
    scc_report_t             *r;
    scc_audit_copy_t          copy;
    scc_audit_journal_t      *j;
    ngx_scc_audit_shared_t   *audit;

    conf->key = ngx_scc_caps_key(conf);
    audit = &conf->pending->sh->audit;

    if (__atomic_load_n(&audit->key, __ATOMIC_ACQUIRE) == conf->key) {
        conf->own = (unsigned) __atomic_load_n(&audit->caps,
                                               __ATOMIC_RELAXED)
                    & NGX_SCC_CAPS_DISKS;
        return;
    }

    r = ngx_alloc(sizeof(scc_report_t), log);
    j = ngx_calloc(sizeof(scc_audit_journal_t), log);

    if (r != NULL && j != NULL) {
        ngx_scc_caps_facts(conf, j);
        scc_probe_try(j, NGX_SCC_CAPS_LIMIT);

        scc_audit_begin(r);
        scc_audit_journal(r, j);

        if (conf->offsite != 0) {
            ngx_memzero(&copy, sizeof(scc_audit_copy_t));

            copy.dir = (char *) conf->journal->dirs[0].data;
            copy.limit = (uint64_t) conf->offsite;

            scc_probe_copy(&copy);
            scc_audit_copy(r, &copy);
        }

        conf->own = scc_audit_caps(r) & NGX_SCC_CAPS_DISKS;

        /* the other bits are the helper's, who may be as far */

        (void) __atomic_fetch_and(&audit->caps,
                                  ~(uint64_t) NGX_SCC_CAPS_DISKS,
                                  __ATOMIC_RELAXED);
        (void) __atomic_fetch_or(&audit->caps, conf->own, __ATOMIC_RELAXED);
        __atomic_store_n(&audit->journal, ngx_scc_pending_boot(),
                         __ATOMIC_RELAXED);
        __atomic_store_n(&audit->key, conf->key, __ATOMIC_RELEASE);
    }

    ngx_free(r);
    ngx_free(j);
}


/* A worker of another configuration than the helper's goes by its own. */

unsigned
ngx_scc_caps(ngx_scc_caps_conf_t *conf)
{
    unsigned                 caps, proven;
    ngx_scc_audit_shared_t  *audit;

    audit = &conf->pending->sh->audit;
    proven = (unsigned) __atomic_load_n(&audit->caps, __ATOMIC_RELAXED);
    caps = 0;

    if (ngx_scc_caps_fresh(conf, &audit->store)) {
        caps |= proven & SCC_CAP_APPLY;
    }

    if (__atomic_load_n(&audit->key, __ATOMIC_ACQUIRE) != conf->key) {
        return caps | conf->own;
    }

    if (ngx_scc_caps_fresh(conf, &audit->journal)) {
        caps |= proven & NGX_SCC_CAPS_DISKS;
    }

    return caps;
}


ngx_uint_t
ngx_scc_caps_copies(ngx_scc_caps_conf_t *conf)
{
    unsigned  caps;

    caps = ngx_scc_caps(conf);

    return (caps & SCC_CAP_JOURNAL) == 0 ? 0
           : (caps & SCC_CAP_COPY) == 0 ? 1 : conf->journal->n_dirs;
}


const char *
ngx_scc_caps_refused(ngx_scc_caps_conf_t *conf)
{
    unsigned  caps;

    caps = ngx_scc_caps(conf);

    if (conf->strict && (caps & SCC_CAP_JOURNAL) == 0) {
        return "the journal is not known to be durable, nothing was taken; "
               "try again after Retry-After seconds";
    }

    if (conf->offsite != 0 && (caps & SCC_CAP_OFFSITE) == 0) {
        return "the journal's copy in another place is late, nothing was "
               "taken; try again after Retry-After seconds";
    }

    return NULL;
}


ngx_uint_t
ngx_scc_caps_queue(ngx_scc_pending_t *pending)
{
    ngx_scc_audit_shared_t  *audit;

    audit = &pending->sh->audit;

    return __atomic_load_n(&audit->queue, __ATOMIC_RELAXED) == 0
           || (__atomic_load_n(&audit->caps, __ATOMIC_RELAXED)
               & SCC_CAP_QUEUE);
}


void
ngx_scc_caps_doubt(ngx_scc_pending_t *pending)
{
    __atomic_store_n(&pending->sh->audit.again, 1, __ATOMIC_RELAXED);
}


void
ngx_scc_caps_facts(ngx_scc_caps_conf_t *conf, scc_audit_journal_t *j)
{
    ngx_uint_t  i;

    j->n = (unsigned) conf->journal->n_dirs;

    for (i = 0; i < conf->journal->n_dirs; i++) {
        j->dirs[i].dir = (char *) conf->journal->dirs[i].data;
    }

    j->worker_known = true;
    j->worker = (uint32_t) geteuid();
    j->allow = (unsigned) conf->allow;
    j->segment = (uint64_t) conf->journal->segment_size;

    /* each worker has one open and makes the next; and the reserve */

    j->need = (2 * conf->workers + 1) * j->segment;
    j->need_files = 2 * conf->workers + 1;
}


static uint64_t
ngx_scc_caps_key(ngx_scc_caps_conf_t *conf)
{
    uint32_t                 crc;
    ngx_str_t               *dir;
    ngx_uint_t               i;
    ngx_scc_journal_conf_t  *journal;

    journal = conf->journal;
    crc = 0;

    for (i = 0; i < journal->n_dirs; i++) {
        dir = &journal->dirs[i];
        crc = scc_crc32c(crc, dir->data, dir->len + 1);
    }

    return ((uint64_t) crc << 32)
           ^ ((uint64_t) journal->segment_size << 8)
           ^ ((uint64_t) conf->offsite << 4)
           ^ ((uint64_t) conf->allow << 1) ^ 1;
}


/* An audit that hangs, or a helper that is gone, proves nothing. */

static ngx_uint_t
ngx_scc_caps_fresh(ngx_scc_caps_conf_t *conf, const uint64_t *at)
{
    uint64_t  when;

    when = __atomic_load_n(at, __ATOMIC_RELAXED);

    return when != 0
           && ngx_scc_pending_boot() - when
              <= 2 * conf->interval + NGX_SCC_CAPS_GRACE;
}
