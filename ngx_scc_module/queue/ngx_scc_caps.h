
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_CAPS_H_INCLUDED_
#define _NGX_SCC_CAPS_H_INCLUDED_


#include "ngx_scc_pending.h"
#include "scc_audit.h"


/*
 * What may be promised to contributors.  The helper's audit
 * (apply/ngx_scc_auditor.h) writes it to the zone; workers read it before
 * they say anything.  What is not proven, or was so too long ago, is not
 * said.
 */

typedef struct {
    ngx_uint_t               strict;    /* scc_audit */
    ngx_msec_t               interval;
    ngx_uint_t               allow;     /* SCC_FS_... */
    time_t                   offsite;   /* how late the copy elsewhere may
                                           be; 0: as it likes */
    ngx_scc_journal_conf_t  *journal;
    ngx_scc_pending_t       *pending;
    ngx_uint_t               workers;

    /* of this process */
    uint64_t                 key;
    unsigned                 own;       /* what it has tried by itself */
} ngx_scc_caps_conf_t;


/* Before a worker takes anything: tries the journal, unless another process
   has tried it by the same directives.  Blocks, for a second at most. */
void ngx_scc_caps_start(ngx_scc_caps_conf_t *conf, ngx_log_t *log);

/* SCC_CAP_... that are proven now.  SCC_CAP_QUEUE is not among them: each
   worker asks the queue by itself (ngx_scc_caps_queue()). */
unsigned ngx_scc_caps(ngx_scc_caps_conf_t *conf);

/* On how many disks a record is, once it is in the journal. */
ngx_uint_t ngx_scc_caps_copies(ngx_scc_caps_conf_t *conf);

/* Why no contribution is taken now, for who sent one; NULL: it is. */
const char *ngx_scc_caps_refused(ngx_scc_caps_conf_t *conf);

/* The helper, who asks more, has not found the queue wanting. */
ngx_uint_t ngx_scc_caps_queue(ngx_scc_pending_t *pending);

/* Something is not as it was: the helper is to look at once. */
void ngx_scc_caps_doubt(ngx_scc_pending_t *pending);

/* What the configuration says; the names of directories stay its own. */
void ngx_scc_caps_facts(ngx_scc_caps_conf_t *conf, scc_audit_journal_t *j);


#endif /* _NGX_SCC_CAPS_H_INCLUDED_ */
