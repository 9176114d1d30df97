
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_ack.h"


static ngx_int_t ngx_scc_ack_send(ngx_scc_ack_t *ack, ngx_uint_t argc,
    const ngx_str_t *argv);
static void ngx_scc_ack_answer(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);


/*
 * XDEL first: between the two a crash leaves an acknowledgement to make, not
 * an entry that nobody will ever look at.
 */

ngx_int_t
ngx_scc_ack(ngx_scc_ack_t *ack, ngx_scc_entries_t *e)
{
    ngx_int_t    rc;
    ngx_str_t   *argv;
    ngx_uint_t   i;

    ngx_scc_entries_trim(e);

    argv = ngx_alloc((e->n_ids + 3) * sizeof(ngx_str_t), ack->log);

    if (argv == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < e->n_ids; i++) {
        argv[3 + i].len = e->ids[i].len;
        argv[3 + i].data = e->ids[i].data;
    }

    ngx_str_set(&argv[1], "XDEL");
    argv[2] = *ack->stream;

    rc = ngx_scc_ack_send(ack, 2 + e->n_ids, &argv[1]);

    if (rc == NGX_OK) {
        ngx_str_set(&argv[0], "XACK");
        argv[1] = *ack->stream;
        argv[2] = *ack->group;

        rc = ngx_scc_ack_send(ack, 3 + e->n_ids, argv);
    }

    ngx_free(argv);

    return rc;
}


static ngx_int_t
ngx_scc_ack_send(ngx_scc_ack_t *ack, ngx_uint_t argc, const ngx_str_t *argv)
{
    if (ngx_scc_redis_command(ack->queue, argc, argv, ack->timeout,
                              ngx_scc_ack_answer, ack)
        == NULL)
    {
        return NGX_ERROR;
    }

    ack->answers++;

    return NGX_OK;
}


/* To entries of a queue that was emptied meanwhile the answer is 0. */

static void
ngx_scc_ack_answer(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_ack_t *ack = data;

    ack->answers--;

    ack->handler(ack->data, status != NGX_SCC_REDIS_OK
                            || ngx_scc_reply_type(reply)
                               == NGX_SCC_REPLY_ERROR);
}
