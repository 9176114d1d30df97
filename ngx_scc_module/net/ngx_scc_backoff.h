
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_BACKOFF_H_INCLUDED_
#define _NGX_SCC_BACKOFF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * How long to leave a server alone after a failure: min, 2 min, 4 min ...
 * up to max, less a random part of up to a half, so that many processes do
 * not come back together.  A server that was up for less than max goes on
 * where it was: one that takes connections and drops them is still backed
 * off from.
 */

typedef struct {
    ngx_msec_t       min;               /* milliseconds, >= 1 */
    ngx_msec_t       max;               /* milliseconds, >= min */
    ngx_msec_t       up_since;
    ngx_uint_t       failures;          /* in a row */
    unsigned         up:1;
} ngx_scc_backoff_t;


void ngx_scc_backoff_init(ngx_scc_backoff_t *b, ngx_msec_t min,
    ngx_msec_t max);

/* The server is up from now on. */
void ngx_scc_backoff_up(ngx_scc_backoff_t *b);

/* It failed: milliseconds to wait, max / 2 <= wait <= max in the end. */
ngx_msec_t ngx_scc_backoff_down(ngx_scc_backoff_t *b);


/*
 * What a pool has logged about its server being down: each reason once in a
 * burst, and nothing more often than once a second.
 */

#define NGX_SCC_TROUBLE_TEXT  160

typedef struct {
    ngx_msec_t       at;                /* of the last report */
    char             text[NGX_SCC_TROUBLE_TEXT];
    unsigned         on:1;              /* reported, and not over yet */
    unsigned         seen:1;            /* "at" is set */
} ngx_scc_trouble_t;


/* True if text, a NUL-terminated reason, is to be logged. */
ngx_uint_t ngx_scc_trouble(ngx_scc_trouble_t *t, const char *text);

/* True if the end of trouble is to be logged. */
ngx_uint_t ngx_scc_trouble_over(ngx_scc_trouble_t *t);


/* Log text from a server: its first line, printable ASCII, cut to size;
   always NUL-terminated.  Returns dst. */
char *ngx_scc_net_text(char *dst, size_t size, const char *src, size_t len);


/* The object an event is embedded in.  The event's data cannot tell: debug
   logs take it for a connection, so it points to a dumb one. */

#define ngx_scc_event_owner(ev, type, field)                                  \
    ((type *) ((u_char *) (ev) - offsetof(type, field)))


#endif /* _NGX_SCC_BACKOFF_H_INCLUDED_ */
