
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


/*
 * What the audit has found, for metrics: $scc_audit is a list in JSON,
 * $scc_audit_findings how many there are, $scc_audit_j1 and the like how many
 * of one check, $scc_audit_journal (disks), _queue, _applied and _delete (0
 * or 1) what may be said and done, $scc_audit_age seconds since the last.
 */

#define ngx_scc_audit_is(name, text)                                          \
    ((name)->len == sizeof(text) - 1                                          \
     && ngx_strncmp((name)->data, text, sizeof(text) - 1) == 0)


static ngx_int_t ngx_scc_audit_variable_list(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_audit_variable_part(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_scc_audit_count(ngx_scc_main_conf_t *smcf,
    ngx_str_t *name, uint64_t *n);
static ngx_scc_main_conf_t *ngx_scc_audit_conf(ngx_http_request_t *r);
static ngx_int_t ngx_scc_audit_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t n);


static ngx_str_t  ngx_scc_audit_list = ngx_string("scc_audit");
static ngx_str_t  ngx_scc_audit_prefix = ngx_string("scc_audit_");


ngx_int_t
ngx_scc_add_audit_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var;

    var = ngx_http_add_variable(cf, &ngx_scc_audit_list,
                                NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_scc_audit_variable_list;

    var = ngx_http_add_variable(cf, &ngx_scc_audit_prefix,
                                NGX_HTTP_VAR_NOCACHEABLE
                                |NGX_HTTP_VAR_PREFIX);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_scc_audit_variable_part;

    return NGX_OK;
}


static ngx_int_t
ngx_scc_audit_variable_list(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    unsigned              i;
    scc_buf_t             b;
    scc_report_t         *report;
    ngx_scc_pending_t    *pending;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_scc_audit_conf(r);

    if (smcf == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    pending = smcf->pending;

    report = ngx_palloc(r->pool, sizeof(scc_report_t));
    if (report == NULL) {
        return NGX_ERROR;
    }

    ngx_shmtx_lock(&pending->shpool->mutex);
    ngx_memcpy(report, &pending->sh->audit.report, sizeof(scc_report_t));
    ngx_shmtx_unlock(&pending->shpool->mutex);

    scc_buf_init(&b, ngx_scc_pool_grow, r->pool, 0);
    scc_buf_byte(&b, '[');

    for (i = 0; i < report->n; i++) {
        scc_buf_text(&b, i ? "," : "");
        scc_audit_json(&b, &report->finding[i]);
    }

    scc_buf_byte(&b, ']');

    if (b.error) {
        return NGX_ERROR;
    }

    v->len = (unsigned) b.used;
    v->data = b.start;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* By what is behind the prefix. */

static ngx_int_t
ngx_scc_audit_variable_part(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    uint64_t                 n;
    ngx_str_t                name;
    ngx_scc_main_conf_t     *smcf;
    ngx_scc_audit_shared_t  *audit;

    smcf = ngx_scc_audit_conf(r);

    if (smcf == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    audit = &smcf->pending->sh->audit;

    name = *(ngx_str_t *) data;
    name.len -= ngx_scc_audit_prefix.len;
    name.data += ngx_scc_audit_prefix.len;

    n = 0;

    if (ngx_scc_audit_is(&name, "findings")) {
        n = audit->report.n;

    } else if (ngx_scc_audit_is(&name, "journal")) {
        n = ngx_scc_caps_copies(&smcf->caps);

    } else if (ngx_scc_audit_is(&name, "queue")) {
        n = (audit->caps & SCC_CAP_QUEUE) != 0;

    } else if (ngx_scc_audit_is(&name, "applied")) {
        n = (ngx_scc_caps(&smcf->caps) & SCC_CAP_APPLY) != 0;

    } else if (ngx_scc_audit_is(&name, "delete")) {
        n = (audit->caps & SCC_CAP_DELETE) != 0;

    } else if (ngx_scc_audit_is(&name, "age") && audit->store != 0) {
        n = (ngx_scc_pending_boot() - audit->store) / 1000;

    } else if (ngx_scc_audit_count(smcf, &name, &n) != NGX_OK) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_scc_audit_variable_number(r, v, n);
}


/* How many of a check, "j1".  Without the lock: at worst of two audits. */

static ngx_int_t
ngx_scc_audit_count(ngx_scc_main_conf_t *smcf, ngx_str_t *name, uint64_t *n)
{
    size_t             len;
    ngx_int_t          rc;
    ngx_uint_t         i;
    const char        *id;
    scc_report_t      *report;
    scc_audit_code_t   code;

    report = &smcf->pending->sh->audit.report;
    rc = NGX_DECLINED;
    *n = 0;

    for (code = 0; code < SCC_AUDIT_N; code++) {
        id = scc_audit_rule(code)->id;
        len = ngx_strlen(id);

        if (len != name->len
            || ngx_strncasecmp(name->data, (u_char *) id, len) != 0)
        {
            continue;
        }

        rc = NGX_OK;

        for (i = 0; i < report->n && i < SCC_AUDIT_MAX; i++) {
            *n += (report->finding[i].code == code);
        }
    }

    return rc;
}


/* NULL: contributions are not taken here. */

static ngx_scc_main_conf_t *
ngx_scc_audit_conf(ngx_http_request_t *r)
{
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    return (smcf->pending != NULL) ? smcf : NULL;
}


static ngx_int_t
ngx_scc_audit_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t n)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->len = (unsigned) (ngx_sprintf(p, "%uL", n) - p);
    v->data = p;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
