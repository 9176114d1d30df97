
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_borrow.h"


ngx_connection_t *
ngx_scc_borrow(ngx_socket_t fd, ngx_event_handler_pt handler, void *data,
    ngx_log_t *log)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(fd, log);

    if (c == NULL) {
        return NULL;
    }

    c->data = data;
    c->log = log;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    c->read->handler = handler;
    c->read->log = log;
    c->write->handler = handler;
    c->write->log = log;

    return c;
}


ngx_int_t
ngx_scc_borrow_watch(ngx_event_t *ev, ngx_int_t event, ngx_uint_t on)
{
    if ((on != 0) == ev->active) {
        return NGX_OK;
    }

    return on ? ngx_add_event(ev, event, NGX_LEVEL_EVENT)
              : ngx_del_event(ev, event, 0);
}


void
ngx_scc_borrow_return(ngx_connection_t *c, ngx_uint_t flags)
{
    if (c->read->active) {
        (void) ngx_del_event(c->read, NGX_READ_EVENT, flags);
    }

    if (c->write->active) {
        (void) ngx_del_event(c->write, NGX_WRITE_EVENT, flags);
    }

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    c->read->closed = 1;
    c->write->closed = 1;

    /* free looks the number up, then events still queued must not find it */

    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;
}
