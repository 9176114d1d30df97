
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_consumers.h"
#include "ngx_scc_entries.h"


#define NGX_SCC_CONSUMERS_SILENT   500      /* ms, of one that has ended */
#define NGX_SCC_CONSUMERS_RETIRED  300000   /* ms, silent and nothing owed */


typedef struct {
    ngx_str_t   name;
    int64_t     pending;
    int64_t     idle;
} ngx_scc_consumer_t;


static void ngx_scc_consumers_read(ngx_scc_consumer_t *one,
    ngx_scc_redis_reply_t *reply);
static ngx_pid_t ngx_scc_consumers_pid(ngx_scc_consumers_t *c,
    ngx_str_t *name);
static ngx_uint_t ngx_scc_consumers_lives(ngx_pid_t pid);
static void ngx_scc_consumers_remove(ngx_scc_consumers_t *c, ngx_str_t *name);


ngx_int_t
ngx_scc_consumers_init(ngx_scc_consumers_t *c, ngx_cycle_t *cycle)
{
    u_char      *p;
    ngx_time_t  *tp;

    c->size = cycle->hostname.len + 2 * NGX_INT64_LEN + 2;

    p = ngx_pnalloc(cycle->pool, 2 * c->size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    tp = ngx_timeofday();

    c->own.data = p;
    c->own.len = ngx_sprintf(p, "%V:%P:%T", &cycle->hostname, ngx_pid,
                             tp->sec) - p;

    c->host = cycle->hostname.len + 1;

    c->gone.data = p + c->size;

    return NGX_OK;
}


void
ngx_scc_consumers_ask(ngx_scc_consumers_t *c, ngx_str_t argv[4])
{
    ngx_str_set(&argv[0], "XINFO");
    ngx_str_set(&argv[1], "CONSUMERS");
    argv[2] = *c->stream;
    argv[3] = *c->group;
}


/*
 * Where a process cannot be seen (another container that has this host's
 * name), one that lives is hardly ever silent: what is taken from it all the
 * same is applied twice, which does no harm.
 */

void
ngx_scc_consumers_look(ngx_scc_consumers_t *c, ngx_scc_redis_reply_t *reply)
{
    ngx_pid_t            pid;
    ngx_uint_t           i;
    ngx_scc_consumer_t   one;

    c->gone.len = 0;
    c->near = 0;

    for (i = 0; i < ngx_scc_reply_elements(reply); i++) {
        ngx_scc_consumers_read(&one, ngx_scc_reply_element(reply, i));

        if (one.pending == 0 && one.idle >= NGX_SCC_CONSUMERS_RETIRED
            && one.name.len != 0)
        {
            ngx_scc_consumers_remove(c, &one.name);
            continue;
        }

        pid = ngx_scc_consumers_pid(c, &one.name);

        if (pid == NGX_INVALID_PID) {
            continue;
        }

        if (ngx_scc_consumers_lives(pid)) {
            c->near = 1;
            continue;
        }

        if (one.pending <= 0) {
            continue;
        }

        if (one.idle < NGX_SCC_CONSUMERS_SILENT) {
            c->near = 1;
            continue;
        }

        c->gone.len = one.name.len;
        ngx_memcpy(c->gone.data, one.name.data, one.name.len);
    }
}


static void
ngx_scc_consumers_read(ngx_scc_consumer_t *one, ngx_scc_redis_reply_t *reply)
{
    ngx_str_t               key;
    ngx_uint_t              i;
    ngx_scc_redis_reply_t  *value;

    one->pending = -1;
    one->idle = -1;
    ngx_str_null(&one->name);

    for (i = 0; i + 1 < ngx_scc_reply_elements(reply); i += 2) {
        key = ngx_scc_reply_str(ngx_scc_reply_element(reply, i));
        value = ngx_scc_reply_element(reply, i + 1);

        if (ngx_scc_entries_is(&key, "name")) {
            one->name = ngx_scc_reply_str(value);

        } else if (ngx_scc_entries_is(&key, "pending")) {
            one->pending = ngx_scc_reply_integer(value);

        } else if (ngx_scc_entries_is(&key, "idle")) {
            one->idle = ngx_scc_reply_integer(value);
        }
    }
}


/* Of another helper of this host; else NGX_INVALID_PID. */

static ngx_pid_t
ngx_scc_consumers_pid(ngx_scc_consumers_t *c, ngx_str_t *name)
{
    u_char     *p, *last, *colon;
    ngx_int_t   pid;

    if (name->len <= c->host || name->len > c->size
        || ngx_memcmp(name->data, c->own.data, c->host) != 0
        || (name->len == c->own.len
            && ngx_memcmp(name->data, c->own.data, name->len) == 0))
    {
        return NGX_INVALID_PID;
    }

    p = name->data + c->host;
    last = name->data + name->len;

    colon = ngx_strlchr(p, last, ':');

    if (colon == NULL) {
        return NGX_INVALID_PID;
    }

    pid = ngx_atoi(p, colon - p);

    return (pid > 0) ? (ngx_pid_t) pid : NGX_INVALID_PID;
}


/* Another name with this process's pid is of one that was before. */

static ngx_uint_t
ngx_scc_consumers_lives(ngx_pid_t pid)
{
    return pid != ngx_pid && (kill(pid, 0) == 0 || ngx_errno != NGX_ESRCH);
}


static void
ngx_scc_consumers_remove(ngx_scc_consumers_t *c, ngx_str_t *name)
{
    ngx_str_t  argv[5];

    ngx_str_set(&argv[0], "XGROUP");
    ngx_str_set(&argv[1], "DELCONSUMER");
    argv[2] = *c->stream;
    argv[3] = *c->group;
    argv[4] = *name;

    (void) ngx_scc_redis_command(c->queue, 5, argv, c->timeout,
                                 ngx_scc_redis_ignore, NULL);
}
