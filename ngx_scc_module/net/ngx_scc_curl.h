
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_CURL_H_INCLUDED_
#define _NGX_SCC_CURL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * HTTP requests to others, for the helper process: libcurl's multi interface
 * driven by nginx events; the only user of libcurl.  Names are resolved by a
 * thread of libcurl's; nothing blocks.
 */

typedef struct ngx_scc_curl_s       ngx_scc_curl_t;
typedef struct ngx_scc_curl_call_s  ngx_scc_curl_call_t;


typedef struct {
    const char      *url;               /* http or https */
    const char     **headers;           /* "Name: value" */
    ngx_uint_t       n_headers;
    ngx_msec_t       connect_timeout;
    ngx_msec_t       timeout;           /* of all of it */
} ngx_scc_curl_request_t;


/* status: of the answer, or 0: there was none, and error says why.  The
   answer's body is not kept.  The call is over. */
typedef void (*ngx_scc_curl_handler_pt)(void *data, ngx_uint_t status,
    const char *error);


ngx_scc_curl_t *ngx_scc_curl_create(ngx_cycle_t *cycle);

/* Handlers of calls that still run are not called. */
void ngx_scc_curl_destroy(ngx_scc_curl_t *curl);

/*
 * POST without a body; all strings are copied.  NULL if out of memory, and
 * the handler is never called; else it is called once, never from within
 * this function.
 */
ngx_scc_curl_call_t *ngx_scc_curl_post(ngx_scc_curl_t *curl,
    const ngx_scc_curl_request_t *request, ngx_scc_curl_handler_pt handler,
    void *data);

/* True if text is a URL that a request may have. */
ngx_uint_t ngx_scc_curl_url(const char *text);


#endif /* _NGX_SCC_CURL_H_INCLUDED_ */
