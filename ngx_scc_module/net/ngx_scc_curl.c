
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include <curl/curl.h>

#include "ngx_scc_backoff.h"
#include "ngx_scc_borrow.h"
#include "ngx_scc_curl.h"


struct ngx_scc_curl_s {
    CURLM                    *multi;
    ngx_log_t                *log;
    ngx_event_t               timer;
    ngx_connection_t          dumb;         /* for the timer's debug log */
    ngx_queue_t               calls;
};


struct ngx_scc_curl_call_s {
    ngx_queue_t               queue;
    ngx_scc_curl_t           *curl;
    CURL                     *easy;
    struct curl_slist        *headers;
    ngx_scc_curl_handler_pt   handler;
    void                     *data;
    char                      error[CURL_ERROR_SIZE];
};


static int ngx_scc_curl_socket(CURL *easy, curl_socket_t fd, int what,
    void *data, void *socket);
static ngx_connection_t *ngx_scc_curl_connection(ngx_scc_curl_t *curl,
    curl_socket_t fd);
static int ngx_scc_curl_set_timer(CURLM *multi, long timeout, void *data);
static void ngx_scc_curl_timer(ngx_event_t *ev);
static void ngx_scc_curl_event(ngx_event_t *ev);
static void ngx_scc_curl_act(ngx_scc_curl_t *curl, curl_socket_t fd,
    int events);
static void ngx_scc_curl_done(ngx_scc_curl_t *curl);
static size_t ngx_scc_curl_discard(char *p, size_t size, size_t n,
    void *data);
static void ngx_scc_curl_free(ngx_scc_curl_call_t *call);


ngx_scc_curl_t *
ngx_scc_curl_create(ngx_cycle_t *cycle)
{
    ngx_scc_curl_t  *curl;

    curl = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_curl_t));
    if (curl == NULL) {
        return NULL;
    }

    /* again in the same process does nothing */

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "scc: curl_global_init() failed");
        return NULL;
    }

    curl->log = cycle->log;
    ngx_queue_init(&curl->calls);

    curl->dumb.fd = (ngx_socket_t) -1;
    curl->timer.data = &curl->dumb;
    curl->timer.log = cycle->log;
    curl->timer.handler = ngx_scc_curl_timer;
    curl->timer.cancelable = 1;

    curl->multi = curl_multi_init();

    if (curl->multi == NULL) {
        return NULL;
    }

    if (curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION,
                          ngx_scc_curl_socket)
        || curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl)
        || curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION,
                             ngx_scc_curl_set_timer)
        || curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl))
    {
        ngx_scc_curl_destroy(curl);
        return NULL;
    }

    return curl;
}


void
ngx_scc_curl_destroy(ngx_scc_curl_t *curl)
{
    while (!ngx_queue_empty(&curl->calls)) {
        ngx_scc_curl_free(ngx_queue_data(ngx_queue_head(&curl->calls),
                                         ngx_scc_curl_call_t, queue));
    }

    (void) curl_multi_cleanup(curl->multi);

    if (curl->timer.timer_set) {
        ngx_del_timer(&curl->timer);
    }
}


ngx_scc_curl_call_t *
ngx_scc_curl_post(ngx_scc_curl_t *curl, const ngx_scc_curl_request_t *request,
    ngx_scc_curl_handler_pt handler, void *data)
{
    CURL                 *easy;
    ngx_uint_t            i;
    struct curl_slist    *list;
    ngx_scc_curl_call_t  *call;

    call = ngx_calloc(sizeof(ngx_scc_curl_call_t), curl->log);
    if (call == NULL) {
        return NULL;
    }

    ngx_queue_insert_tail(&curl->calls, &call->queue);

    call->curl = curl;
    call->handler = handler;
    call->data = data;

    /* no waiting for "100 Continue": there is no body */

    call->headers = curl_slist_append(NULL, "Expect:");

    if (call->headers == NULL) {
        goto failed;
    }

    for (i = 0; i < request->n_headers; i++) {
        list = curl_slist_append(call->headers, request->headers[i]);

        if (list == NULL) {
            goto failed;
        }
    }

    easy = curl_easy_init();
    call->easy = easy;

    if (easy == NULL
        || curl_easy_setopt(easy, CURLOPT_URL, request->url)
        || curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        || curl_easy_setopt(easy, CURLOPT_POST, 1L)
        || curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "")
        || curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L)
        || curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers)
        || curl_easy_setopt(easy, CURLOPT_USERAGENT, "ngx_scc_module")
        || curl_easy_setopt(easy, CURLOPT_PROXY, "")
        || curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L)
        || curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                            (long) request->connect_timeout)
        || curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                            (long) request->timeout)
        || curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION,
                            ngx_scc_curl_discard)
        || curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error)
        || curl_easy_setopt(easy, CURLOPT_PRIVATE, call)
        || curl_multi_add_handle(curl->multi, easy))
    {
        goto failed;
    }

    return call;

failed:

    ngx_scc_curl_free(call);

    return NULL;
}


ngx_uint_t
ngx_scc_curl_url(const char *text)
{
    char        *scheme;
    CURLU       *u;
    ngx_uint_t   good;

    good = 0;
    u = curl_url();

    if (u == NULL) {
        return 0;
    }

    if (curl_url_set(u, CURLUPART_URL, text, CURLU_DISALLOW_USER) == CURLUE_OK
        && curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK)
    {
        good = ngx_strcmp(scheme, "http") == 0
               || ngx_strcmp(scheme, "https") == 0;

        curl_free(scheme);
    }

    curl_url_cleanup(u);

    return good;
}


/* What libcurl wants to know of a socket.  It closes its sockets itself, and
   not before it has said so here. */

static int
ngx_scc_curl_socket(CURL *easy, curl_socket_t fd, int what, void *data,
    void *socket)
{
    ngx_scc_curl_t *curl = data;
    ngx_connection_t *c = socket;

    if (what == CURL_POLL_REMOVE) {

        if (c != NULL) {
            (void) curl_multi_assign(curl->multi, fd, NULL);
            ngx_scc_borrow_return(c, 0);
        }

        return 0;
    }

    if (c == NULL) {
        c = ngx_scc_curl_connection(curl, fd);

        if (c == NULL) {
            return -1;
        }
    }

    if (ngx_scc_borrow_watch(c->read, NGX_READ_EVENT, what & CURL_POLL_IN)
        != NGX_OK
        || ngx_scc_borrow_watch(c->write, NGX_WRITE_EVENT,
                                what & CURL_POLL_OUT)
           != NGX_OK)
    {
        return -1;
    }

    return 0;
}


static ngx_connection_t *
ngx_scc_curl_connection(ngx_scc_curl_t *curl, curl_socket_t fd)
{
    ngx_connection_t  *c;

    c = ngx_scc_borrow(fd, ngx_scc_curl_event, curl, curl->log);

    if (c == NULL) {
        return NULL;
    }

    if (curl_multi_assign(curl->multi, fd, c) != CURLM_OK) {
        ngx_scc_borrow_return(c, 0);
        return NULL;
    }

    return c;
}


static int
ngx_scc_curl_set_timer(CURLM *multi, long timeout, void *data)
{
    ngx_scc_curl_t *curl = data;

    if (curl->timer.timer_set) {
        ngx_del_timer(&curl->timer);
    }

    if (timeout >= 0) {
        ngx_add_timer(&curl->timer, ngx_max((ngx_msec_t) timeout, 1));
    }

    return 0;
}


static void
ngx_scc_curl_timer(ngx_event_t *ev)
{
    ngx_scc_curl_act(ngx_scc_event_owner(ev, ngx_scc_curl_t, timer),
                     CURL_SOCKET_TIMEOUT, 0);
}


static void
ngx_scc_curl_event(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    ngx_scc_curl_act(c->data, c->fd,
                     ev->write ? CURL_CSELECT_OUT : CURL_CSELECT_IN);
}


static void
ngx_scc_curl_act(ngx_scc_curl_t *curl, curl_socket_t fd, int events)
{
    int  running;

    (void) curl_multi_socket_action(curl->multi, fd, events, &running);

    ngx_scc_curl_done(curl);
}


static void
ngx_scc_curl_done(ngx_scc_curl_t *curl)
{
    int                       left;
    long                      status;
    void                     *data;
    char                      error[CURL_ERROR_SIZE];
    CURLMsg                  *msg;
    CURLcode                  code;
    ngx_scc_curl_call_t      *call;
    ngx_scc_curl_handler_pt   handler;

    while ((msg = curl_multi_info_read(curl->multi, &left)) != NULL) {

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        code = msg->data.result;

        (void) curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &call);

        status = 0;
        error[0] = '\0';

        if (code == CURLE_OK) {
            (void) curl_easy_getinfo(msg->easy_handle,
                                     CURLINFO_RESPONSE_CODE, &status);

        } else {
            (void) ngx_cpystrn((u_char *) error,
                               (u_char *) (call->error[0]
                                           ? call->error
                                           : curl_easy_strerror(code)),
                               sizeof(error));
        }

        handler = call->handler;
        data = call->data;

        ngx_scc_curl_free(call);

        handler(data, (ngx_uint_t) status, error);
    }
}


static size_t
ngx_scc_curl_discard(char *p, size_t size, size_t n, void *data)
{
    return size * n;
}


static void
ngx_scc_curl_free(ngx_scc_curl_call_t *call)
{
    ngx_queue_remove(&call->queue);

    if (call->easy != NULL) {
        (void) curl_multi_remove_handle(call->curl->multi, call->easy);
        curl_easy_cleanup(call->easy);
    }

    curl_slist_free_all(call->headers);

    ngx_free(call);
}
