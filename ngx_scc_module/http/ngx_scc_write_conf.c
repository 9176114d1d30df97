
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


/* Beside a body a record holds an id, a name, a key and a header. */
#define NGX_SCC_RECORD_REST  4096

#define NGX_SCC_APPLY_TIMEOUT  30000        /* ms */
#define NGX_SCC_AUDIT_TIMEOUT  5000         /* ms */
#define NGX_SCC_AUDIT_IDLE     50           /* ms */

/* In a segment beside the largest batch. */
#define NGX_SCC_SEGMENT_REST  (NGX_SCC_JOURNAL_ROOM + 2 * SCC_JOURNAL_BLOCK)


static ngx_int_t ngx_scc_conf_journal_dir(ngx_conf_t *cf,
    ngx_str_t *value, ngx_str_t *dir);
static ngx_thread_pool_t *ngx_scc_conf_pool(ngx_conf_t *cf,
    ngx_scc_main_conf_t *smcf);


ngx_int_t
ngx_scc_write_create_conf(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf)
{
    /*
     * set by ngx_pcalloc():
     *
     *     smcf->journal.n_dirs = 0;
     *     smcf->queue.addr, user, password, db = none;
     *     smcf->pending = NULL;
     */

    smcf->journal.segment_size = NGX_CONF_UNSET;
    smcf->journal.pending_max = NGX_CONF_UNSET_SIZE;
    smcf->caps.strict = NGX_CONF_UNSET_UINT;
    smcf->caps.interval = NGX_CONF_UNSET_MSEC;
    smcf->caps.offsite = NGX_CONF_UNSET;
    smcf->contribution_max = NGX_CONF_UNSET_SIZE;

    smcf->queue.connections = 1;
    smcf->queue.pending_max = 4096;
    smcf->queue.connect_timeout = 500;
    smcf->queue.timeout = 2000;
    smcf->queue.backoff_min = 50;
    smcf->queue.backoff_max = 2000;

    return NGX_OK;
}


char *
ngx_scc_write_init_conf(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf)
{
    ngx_scc_journal_conf_t  *journal;

    journal = &smcf->journal;

    ngx_conf_init_value(journal->segment_size, 16 * 1024 * 1024);
    ngx_conf_init_size_value(journal->pending_max, 8 * 1024 * 1024);
    ngx_conf_init_size_value(smcf->contribution_max, 256 * 1024);
    ngx_conf_init_uint_value(smcf->caps.strict, 1);
    ngx_conf_init_msec_value(smcf->caps.interval, 30000);
    ngx_conf_init_value(smcf->caps.offsite, 0);

    /* a batch begins and ends at a block, and so does a segment */

    journal->segment_size -= journal->segment_size % SCC_JOURNAL_BLOCK;

    if (smcf->contribution_max == 0
        || smcf->contribution_max > SCC_JOURNAL_RECORD_MAX
                                    - NGX_SCC_RECORD_REST)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"scc_contribution_max\" must be 1 to %d bytes",
                           SCC_JOURNAL_RECORD_MAX - NGX_SCC_RECORD_REST);
        return NGX_CONF_ERROR;
    }

    if (journal->pending_max < smcf->contribution_max + NGX_SCC_RECORD_REST
        || journal->pending_max > SCC_JOURNAL_BATCH_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"scc_journal_pending\" must be %uz (one "
                           "contribution of \"scc_contribution_max\") to %d "
                           "bytes",
                           smcf->contribution_max + NGX_SCC_RECORD_REST,
                           SCC_JOURNAL_BATCH_MAX);
        return NGX_CONF_ERROR;
    }

    if (journal->segment_size < (off_t) journal->pending_max
                                + NGX_SCC_SEGMENT_REST
        || journal->segment_size > (off_t) 1024 * 1024 * 1024)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"scc_journal_segment\" must be %uz (one batch of "
                           "\"scc_journal_pending\") to %d bytes",
                           journal->pending_max + NGX_SCC_SEGMENT_REST,
                           1024 * 1024 * 1024);
        return NGX_CONF_ERROR;
    }

    if (journal->n_dirs == 0) {
        return NGX_CONF_OK;
    }

    if (journal->pool == NULL) {
        journal->pool = ngx_scc_conf_pool(cf, smcf);

        if (journal->pool == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    journal->pending = smcf->pending;

    smcf->forward_conf.journal = journal;
    smcf->forward_conf.queue = &smcf->queue;
    smcf->forward_conf.pending = smcf->pending;

    return ngx_scc_audit_init_conf(cf, smcf);
}


/* The helper's connections: a batch may take longer than a page. */

char *
ngx_scc_apply_init_conf(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf)
{
    char  *error;

    if (smcf->journal.n_dirs == 0) {
        return NULL;
    }

    smcf->apply_pg = smcf->pg;
    smcf->apply_pg.connections = 2;
    smcf->apply_pg.queue = 2;
    smcf->apply_pg.timeout = ngx_max(smcf->pg.timeout, NGX_SCC_APPLY_TIMEOUT);

    smcf->applier_conf.pg = &smcf->apply_pg;
    smcf->applier_conf.queue = &smcf->queue;
    smcf->applier_conf.journal = &smcf->journal;
    smcf->applier_conf.pending = smcf->pending;

    smcf->auditor_conf.caps = &smcf->caps;
    smcf->auditor_conf.queue = &smcf->queue;
    smcf->auditor_conf.pg = smcf->pg;
    smcf->auditor_conf.pg.connections = 1;
    smcf->auditor_conf.pg.queue = 1;
    smcf->auditor_conf.pg.timeout = ngx_max(smcf->pg.timeout,
                                            NGX_SCC_AUDIT_TIMEOUT);

    /* what its role overrides is seen in a new session only */

    smcf->auditor_conf.pg.idle = NGX_SCC_AUDIT_IDLE;

    error = ngx_scc_pg_conninfo(cf, &smcf->auditor_conf.pg);

    return (error != NULL) ? error
                           : ngx_scc_pg_conninfo(cf, &smcf->apply_pg);
}


/* scc_journal directory [directory]; only its name is looked at here */

char *
ngx_scc_conf_journal(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_scc_main_conf_t *smcf = conf;

    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_scc_journal_conf_t  *journal;

    journal = &smcf->journal;

    if (journal->n_dirs != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_scc_conf_journal_dir(cf, &value[i], &journal->dirs[i - 1])
            != NGX_OK)
        {
            return "needs the names of one or two directories";
        }
    }

    journal->n_dirs = cf->args->nelts - 1;

    if (journal->n_dirs == 2
        && journal->dirs[0].len == journal->dirs[1].len
        && ngx_strncmp(journal->dirs[0].data, journal->dirs[1].data,
                       journal->dirs[0].len) == 0)
    {
        return "has the same directory twice; the second is for a copy on "
               "another disk";
    }

    smcf->journal_file = cf->conf_file->file.name.data;
    smcf->journal_line = cf->conf_file->line;

    smcf->pending = ngx_scc_pending_add(cf, NGX_SCC_PENDING_SIZE,
                                        &ngx_scc_module);

    return (smcf->pending != NULL) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* The pool is added here, so that nginx names this line if there is none. */

char *
ngx_scc_conf_journal_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_scc_main_conf_t *smcf = conf;

    ngx_str_t  *value;

    if (smcf->journal.pool != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "needs the name of a \"thread_pool\"";
    }

    smcf->journal_pool = value[1];
    smcf->journal.pool = ngx_thread_pool_add(cf, &smcf->journal_pool);

    return (smcf->journal.pool != NULL) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_scc_conf_journal_dir(ngx_conf_t *cf, ngx_str_t *value, ngx_str_t *dir)
{
    ngx_str_t  name;

    name = *value;

    if (name.len == 0) {
        return NGX_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, &name, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    while (name.len > 1 && name.data[name.len - 1] == '/') {
        name.len--;
    }

    dir->len = name.len;
    dir->data = ngx_pnalloc(cf->pool, name.len + 1);
    if (dir->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(dir->data, name.data, name.len);
    dir->data[name.len] = '\0';

    return NGX_OK;
}


/* The pool "scc", as if asked for on the line of "scc_journal". */

static ngx_thread_pool_t *
ngx_scc_conf_pool(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf)
{
    ngx_conf_t       copy;
    ngx_conf_file_t  file;

    ngx_scc_conf_at_journal(cf, smcf, &copy, &file);

    ngx_str_set(&smcf->journal_pool, "scc");

    return ngx_thread_pool_add(&copy, &smcf->journal_pool);
}
