
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_BORROW_H_INCLUDED_
#define _NGX_SCC_BORROW_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


/*
 * nginx's events for a descriptor that a library owns: it opened it, and
 * closes it by itself.
 */

/* A connection around the descriptor, whose events call the handler; NULL:
   there is none left. */
ngx_connection_t *ngx_scc_borrow(ngx_socket_t fd,
    ngx_event_handler_pt handler, void *data, ngx_log_t *log);

/* NGX_READ_EVENT or NGX_WRITE_EVENT, on or off.  Level-triggered: libraries
   read once per call and leave the rest. */
ngx_int_t ngx_scc_borrow_watch(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t on);

/* Before the library closes the descriptor; or after it, with
   NGX_CLOSE_EVENT in flags, when epoll has forgotten it. */
void ngx_scc_borrow_return(ngx_connection_t *c, ngx_uint_t flags);


#endif /* _NGX_SCC_BORROW_H_INCLUDED_ */
