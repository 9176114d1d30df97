
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"
#include "scc_probe.h"


#define NGX_SCC_AUDIT_LINE     1024     /* bytes of a finding */
#define NGX_SCC_OFFSITE_LIMIT  3600     /* s */


static ngx_int_t ngx_scc_audit_findings(ngx_conf_t *cf, scc_report_t *r,
    ngx_uint_t strict);


char *
ngx_scc_conf_allow_fs(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_scc_main_conf_t *smcf = conf;

    unsigned     fs;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (smcf->caps.allow != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        fs = scc_audit_fs((char *) value[i].data);

        if (fs == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is no file system that \"%V\" can "
                               "allow; these are overlay, nfs, cifs, fuse, "
                               "9p", &value[i], &cmd->name);
            return NGX_CONF_ERROR;
        }

        smcf->caps.allow |= fs;
    }

    return NGX_CONF_OK;
}


char *
ngx_scc_conf_offsite(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_scc_main_conf_t *smcf = conf;

    ngx_str_t  *value;

    if (smcf->caps.offsite != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0 && cf->args->nelts == 2) {
        smcf->caps.offsite = 0;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "required") != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value in \"%V\": it is \"off\", or "
                           "\"required\" and a time", &cmd->name);
        return NGX_CONF_ERROR;
    }

    smcf->caps.offsite = NGX_SCC_OFFSITE_LIMIT;

    if (cf->args->nelts == 3) {
        smcf->caps.offsite = ngx_parse_time(&value[2], 1);

        if (smcf->caps.offsite == (time_t) NGX_ERROR
            || smcf->caps.offsite == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is no time for \"%V\": at least a "
                               "second, as in 10m", &value[2], &cmd->name);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/*
 * Only looks: "nginx -t" asks no backend and touches no journal.  A journal
 * that is not there yet is no error: nginx starts, reads are served, and
 * contributions refused.
 */

char *
ngx_scc_audit_init_conf(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf)
{
    ngx_int_t             rc;
    ngx_conf_t            copy;
    scc_report_t         *r;
    ngx_core_conf_t      *ccf;
    ngx_conf_file_t       file;
    scc_audit_journal_t  *j;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);

    smcf->caps.journal = &smcf->journal;
    smcf->caps.pending = smcf->pending;
    smcf->caps.workers = (ccf->worker_processes != NGX_CONF_UNSET)
                         ? (ngx_uint_t) ccf->worker_processes : 1;

    r = ngx_alloc(sizeof(scc_report_t), cf->log);
    j = ngx_calloc(sizeof(scc_audit_journal_t), cf->log);

    if (r == NULL || j == NULL) {
        ngx_free(r);
        ngx_free(j);
        return NGX_CONF_ERROR;
    }

    ngx_scc_caps_facts(&smcf->caps, j);

    /* "user" may come after "http"; the helper knows it in the end */

    if (geteuid() == 0) {
        j->worker_known = (ccf->user != (ngx_uid_t) NGX_CONF_UNSET_UINT);
        j->worker = (uint32_t) ccf->user;
    }

    scc_probe_look(j);

    scc_audit_begin(r);
    scc_audit_journal_look(r, j);

    ngx_scc_conf_at_journal(cf, smcf, &copy, &file);

    rc = ngx_scc_audit_findings(&copy, r, smcf->caps.strict);

    ngx_free(r);
    ngx_free(j);

    return (rc == NGX_OK) ? NGX_CONF_OK : NGX_CONF_ERROR;
}


void
ngx_scc_conf_at_journal(ngx_conf_t *cf, ngx_scc_main_conf_t *smcf,
    ngx_conf_t *copy, ngx_conf_file_t *file)
{
    *copy = *cf;
    *file = *cf->conf_file;

    file->file.name.data = smcf->journal_file;
    file->file.name.len = ngx_strlen(smcf->journal_file);
    file->line = smcf->journal_line;
    copy->conf_file = file;
}


/* All are told, not only the first. */

static ngx_int_t
ngx_scc_audit_findings(ngx_conf_t *cf, scc_report_t *r, ngx_uint_t strict)
{
    u_char                   line[NGX_SCC_AUDIT_LINE];
    ngx_int_t                rc;
    scc_buf_t                b;
    ngx_str_t                text;
    ngx_uint_t               i, refused;
    scc_finding_t           *f;
    const scc_audit_rule_t  *rule;

    rc = NGX_OK;

    for (i = 0; i < r->n; i++) {
        f = &r->finding[i];
        rule = scc_audit_rule(f->code);

        refused = (strict && rule->level == SCC_AUDIT_REFUSE);

        scc_buf_fixed(&b, line, sizeof(line));
        scc_audit_text(&b, f, rule->finding);
        scc_buf_text(&b, ": ");
        scc_audit_text(&b, f, rule->consequence);
        scc_buf_text(&b, "; to change: ");
        scc_audit_text(&b, f, rule->change);

        if (refused) {
            scc_buf_text(&b, " (or \"scc_audit warn\", to start all the "
                             "same)");
            rc = NGX_ERROR;
        }

        text.len = b.used;
        text.data = line;

        ngx_conf_log_error(refused ? NGX_LOG_EMERG : NGX_LOG_WARN, cf, 0,
                           "scc: audit %s: %V", rule->id, &text);
    }

    return rc;
}
