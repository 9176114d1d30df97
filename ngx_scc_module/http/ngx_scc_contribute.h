
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_CONTRIBUTE_H_INCLUDED_
#define _NGX_SCC_CONTRIBUTE_H_INCLUDED_


#include "ngx_scc_http.h"


/* What POST contributions shares between its files. */

typedef enum {
    NGX_SCC_STEP_RIGHT = 0,             /* the ledger is asked whose it is */
    NGX_SCC_STEP_LOOK,                  /* the ledger is asked first */
    NGX_SCC_STEP_WRITE,                 /* not durable yet */
    NGX_SCC_STEP_WAIT,                  /* durable; more is asked for */
} ngx_scc_step_t;


typedef struct ngx_scc_contribute_s {
    ngx_http_request_t        *request;
    ngx_scc_ctx_t             *ctx;
    ngx_scc_main_conf_t       *smcf;
    ngx_scc_loc_conf_t        *slcf;

    scc_record_t               record;
    scc_contribution_t         body;

    ngx_scc_step_t             step;
    ngx_msec_t                 ack_end;     /* of journal and queue */
    ngx_msec_t                 wait_end;    /* of applied */
    ngx_msec_t                 wait;        /* asked for; 0: none */
    ngx_uint_t                 prefer;      /* "wait" in seconds, if asked */

    ngx_event_t                timer;
    ngx_event_t                poll;
    ngx_msec_t                 pause;       /* of poll */
    ngx_msec_t                 ask_pause;   /* between questions */
    ngx_msec_t                 ask_next;

    ngx_scc_letter_t          *letter;
    ngx_scc_pg_call_t         *pg_call;

    unsigned                   preferred:1;
    unsigned                   given:1;     /* the id is the client's */
    unsigned                   repeated:1;
    unsigned                   waiting:1;   /* NGX_AGAIN was returned */
    unsigned                   queue_done:1;
    unsigned                   dead:1;
} ngx_scc_contribute_t;


/* All that can be judged without the body.  NGX_DECLINED: go on; else the
   rc of an answer that was sent. */
ngx_int_t ngx_scc_contribute_head(ngx_scc_contribute_t *c);

/*
 * Whether the sender may say this, for those who take back.  NGX_DECLINED:
 * go on; NGX_AGAIN: start() is called when it is known; else the rc of an
 * answer that was sent.
 */
ngx_int_t ngx_scc_contribute_right(ngx_scc_contribute_t *c);

/* Looks for it, or writes it; NGX_AGAIN, or the rc of an answer. */
ngx_int_t ngx_scc_contribute_start(ngx_scc_contribute_t *c);

/* NGX_AGAIN; the step's time is over at "end". */
ngx_int_t ngx_scc_contribute_until(ngx_scc_contribute_t *c, ngx_msec_t end);

/* Ends the request with rc; does nothing while there is more to wait for. */
void ngx_scc_contribute_finish(ngx_scc_contribute_t *c, ngx_int_t rc);

/* Counts, and answers what the client has to change. */
ngx_int_t ngx_scc_contribute_reject(ngx_scc_contribute_t *c,
    ngx_scc_reject_t reason, ngx_uint_t status, const char *detail,
    const char *parameter);

/* 422: the id was used for another body, or by somebody else. */
ngx_int_t ngx_scc_contribute_conflict(ngx_scc_contribute_t *c);

/* 503; status: REFUSED or UNKNOWN. */
ngx_int_t ngx_scc_contribute_refuse(ngx_scc_contribute_t *c,
    ngx_scc_told_status_t status, const char *detail);

/* 201 or 202, with what is in ctx->told. */
ngx_int_t ngx_scc_contribute_answer(ngx_scc_contribute_t *c,
    ngx_uint_t status);


#endif /* _NGX_SCC_CONTRIBUTE_H_INCLUDED_ */
