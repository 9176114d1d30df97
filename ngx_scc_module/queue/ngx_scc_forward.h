
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_FORWARD_H_INCLUDED_
#define _NGX_SCC_FORWARD_H_INCLUDED_


#include "ngx_scc_journal.h"
#include "ngx_scc_pending.h"
#include "ngx_scc_redis.h"


/*
 * A record's way from a request: into the journal, then, once it is
 * durable, into the queue, whether the request still waits or not.  What
 * the queue does not take is found in the journal by the helper.
 */

typedef struct ngx_scc_forward_s  ngx_scc_forward_t;
typedef struct ngx_scc_letter_s   ngx_scc_letter_t;


/* What a letter's handler is told, in this order. */

typedef enum {
    NGX_SCC_LETTER_FAILED = 0,          /* not durable, and the end */
    NGX_SCC_LETTER_JOURNALED,           /* durable; one more will come */
    NGX_SCC_LETTER_SYNCED,              /* in the queue, and on its disk */
    NGX_SCC_LETTER_QUEUED,              /* in the queue; its disk: unknown */
    NGX_SCC_LETTER_UNQUEUED,            /* the queue has not taken it */
} ngx_scc_letter_event_t;

typedef void (*ngx_scc_letter_pt)(void *data, ngx_scc_letter_event_t event);


typedef struct {
    ngx_scc_journal_conf_t  *journal;
    ngx_scc_redis_conf_t    *queue;     /* no address: there is none */
    ngx_scc_pending_t       *pending;
} ngx_scc_forward_conf_t;


/* One per worker, on its cycle. */
ngx_scc_forward_t *ngx_scc_forward_create(ngx_cycle_t *cycle,
    ngx_scc_forward_conf_t *conf);
void ngx_scc_forward_destroy(ngx_scc_forward_t *forward);

/* As ngx_scc_journal_store(). */
const u_char *ngx_scc_forward_store(ngx_scc_forward_t *forward);

/*
 * Copies the record, whose hlc is set; given: its id is the client's, who
 * may send it again at any moment.  NGX_AGAIN: *letter is set, and its
 * handler is called, never from within; it is gone after the last event.
 * Others as ngx_scc_journal_append().
 */
ngx_int_t ngx_scc_forward_send(ngx_scc_forward_t *forward,
    scc_record_t *record, ngx_uint_t given, ngx_scc_letter_pt handler,
    void *data, ngx_scc_letter_t **letter);

/* The handler will not be called any more; the record goes its way. */
void ngx_scc_forward_leave(ngx_scc_letter_t *letter);


#endif /* _NGX_SCC_FORWARD_H_INCLUDED_ */
