
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_scc_fill.h"


static void ngx_scc_fill_look(ngx_scc_fill_t *fill);
static void ngx_scc_fill_poll_end(ngx_scc_fill_t *fill);
static ngx_int_t ngx_scc_fill_poll_mget(ngx_scc_fill_t *fill);
static void ngx_scc_fill_poll_handler(void *data,
    ngx_scc_redis_status_t status, ngx_scc_redis_reply_t *reply);


void
ngx_scc_fill_poll(ngx_event_t *ev)
{
    ngx_connection_t *dumb = ev->data;

    ngx_uint_t        late;
    ngx_scc_fill_t   *fill;

    fill = (ngx_scc_fill_t *)
               ((u_char *) dumb - offsetof(ngx_scc_fill_t, dumb));

    if (ngx_scc_fill_count(fill, NGX_SCC_FLIGHT_WAIT)) {
        ngx_scc_fill_look(fill);
    }

    if (ngx_scc_fill_count(fill, NGX_SCC_FLIGHT_POLL) == 0) {
        ngx_scc_fill_go_on(fill);
        return;
    }

    /* the reply to the last look may have waited behind others': the last
       one begins when the time is over */

    late = (ngx_msec_int_t) (ngx_current_msec - fill->poll_end) >= 0;

    if (fill->late || ngx_scc_fill_poll_mget(fill) != NGX_OK) {
        ngx_scc_fill_poll_end(fill);
        ngx_scc_fill_go_on(fill);
        return;
    }

    fill->late = late;
}


/*
 * Has the other process of this host brought them?  If it gave up, or the
 * zone has not kept them, Redis decides who is next.
 */

static void
ngx_scc_fill_look(ngx_scc_fill_t *fill)
{
    uint32_t              key;
    ngx_uint_t            i, over;
    ngx_scc_zone_t       *zone;
    ngx_scc_flight_t     *flight;
    ngx_scc_zone_item_t   item;
    ngx_scc_zone_note_t   note;

    zone = fill->cache->zone;
    over = (ngx_msec_int_t) (ngx_current_msec - fill->wait_end) >= 0;

    for (i = 0; i < fill->n; i++) {
        flight = &fill->flights[i];

        if (flight->state != NGX_SCC_FLIGHT_WAIT) {
            continue;
        }

        key = (uint32_t) flight->node.key;

        ngx_scc_zone_get(zone, &key, 1, &note, &item);

        if (item.fresh) {
            ngx_scc_flight_done(flight, ngx_scc_zone_blob(item.entry),
                                item.entry, NGX_SCC_FROM_ZONE);

        } else if (!item.claimed || over) {
            ngx_scc_flight_start(flight);
        }

        if (item.entry != NULL) {
            ngx_scc_zone_unpin(zone, item.entry);
        }
    }
}


/* Waited long enough: the rest is read without being filled. */

static void
ngx_scc_fill_poll_end(ngx_scc_fill_t *fill)
{
    ngx_uint_t  i;

    for (i = 0; i < fill->n; i++) {
        if (fill->flights[i].state == NGX_SCC_FLIGHT_POLL) {
            fill->flights[i].state = NGX_SCC_FLIGHT_READ;
        }
    }
}


static ngx_int_t
ngx_scc_fill_poll_mget(ngx_scc_fill_t *fill)
{
    u_char             *p;
    ngx_str_t          *argv;
    ngx_uint_t          i, n;
    ngx_scc_cache_t    *cache;
    ngx_scc_flight_t   *flight;

    cache = fill->cache;
    n = ngx_scc_fill_count(fill, NGX_SCC_FLIGHT_POLL);

    argv = ngx_palloc(fill->pool, (n + 1) * sizeof(ngx_str_t));
    p = ngx_pnalloc(fill->pool, n * NGX_SCC_CACHE_KEY_LEN);

    if (argv == NULL || p == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&argv[0], "MGET");
    n = 1;

    for (i = 0; i < fill->n; i++) {
        flight = &fill->flights[i];

        if (flight->state == NGX_SCC_FLIGHT_POLL) {
            argv[n].data = p;
            p = ngx_scc_cache_key(cache, p, (uint32_t) flight->node.key);
            argv[n].len = p - argv[n].data;
            n++;
        }
    }

    if (ngx_scc_redis_command(cache->redis, n, argv, 0,
                              ngx_scc_fill_poll_handler, fill)
        == NULL)
    {
        return NGX_ERROR;
    }

    fill->polling = 1;

    return NGX_OK;
}


static void
ngx_scc_fill_poll_handler(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_fill_t *fill = data;

    u_char                 *copy;
    ngx_str_t               bytes;
    scc_str_t               s;
    ngx_uint_t              i, n;
    scc_blob_t              blob;
    ngx_scc_flight_t       *flight;
    ngx_scc_redis_reply_t  *element;

    fill->polling = 0;

    if (status != NGX_SCC_REDIS_OK
        || ngx_scc_reply_type(reply) != NGX_SCC_REPLY_ARRAY)
    {
        ngx_scc_fill_poll_end(fill);
        ngx_scc_fill_go_on(fill);
        return;
    }

    /* nothing leaves POLL while the command runs: the order is the same */

    n = 0;

    for (i = 0; i < fill->n; i++) {
        flight = &fill->flights[i];

        if (flight->state != NGX_SCC_FLIGHT_POLL
            || n == ngx_scc_reply_elements(reply))
        {
            continue;
        }

        element = ngx_scc_reply_element(reply, n++);

        if (ngx_scc_reply_type(element) != NGX_SCC_REPLY_STRING) {
            continue;
        }

        bytes = ngx_scc_reply_str(element);

        s.len = bytes.len;
        s.data = bytes.data;

        if (scc_blob_open(s, &blob) != SCC_OK
            || blob.state != SCC_BLOB_VAL)
        {
            continue;
        }

        copy = ngx_pnalloc(fill->pool, s.len);
        if (copy == NULL) {
            continue;
        }

        ngx_memcpy(copy, s.data, s.len);
        s.data = copy;

        if (scc_blob_open(s, &blob) == SCC_OK) {
            ngx_scc_flight_done(flight, &blob, NULL, NGX_SCC_FROM_REDIS);
        }
    }

    ngx_scc_fill_go_on(fill);
}
