
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_numbers.h"
#include "ngx_scc_backoff.h"
#include "ngx_scc_disk.h"
#include "ngx_scc_store.h"
#include "scc_contribution.h"

#include <sys/random.h>


#define NGX_SCC_NUMBERS_LOOK   200          /* ms; asks if events came */
#define NGX_SCC_NUMBERS_ASK    1000         /* ms; others apply events too */
#define NGX_SCC_NUMBERS_AGAIN  5000         /* ms, after a failure */
#define NGX_SCC_NUMBERS_MOST   1000         /* of a kind, in an answer */
#define NGX_SCC_NUMBERS_UUID   36

#define NGX_SCC_NUMBERS_NAME   (sizeof("/") - 1 + 16                          \
                                + sizeof(SCC_NUMBER_SUFFIX))


/* Of each helper its own: nobody else writes to it. */

typedef struct {
    ngx_fd_t              fd;
    char                  path[NGX_MAX_PATH];
} ngx_scc_numbers_file_t;


struct ngx_scc_numbers_s {
    ngx_scc_apply_t         *apply;
    ngx_event_t              timer;
    ngx_connection_t         dumb;
    uint64_t                 applied;       /* when it was last asked */
    ngx_msec_t               asked;
    scc_buf_t                lines;
    uint64_t                 has[SCC_NUMBER_KINDS];     /* every directory */
    uint64_t                 last[SCC_NUMBER_KINDS];    /* and these lines */
    uint64_t                 events;        /* that the store had then */
    ngx_uint_t               more;          /* unsigned  more:1; */
    ngx_uint_t               told;          /* unsigned  told:1; of trouble */
    ngx_scc_numbers_file_t   files[NGX_SCC_JOURNAL_DIRS];
};


static void ngx_scc_numbers_timer(ngx_event_t *ev);
static void ngx_scc_numbers_ask(ngx_scc_numbers_t *n);
static void ngx_scc_numbers_due(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static void ngx_scc_numbers_line(ngx_scc_numbers_t *n,
    ngx_scc_pg_result_t *result, ngx_uint_t row);
static ngx_int_t ngx_scc_numbers_keep(ngx_scc_numbers_t *n);
static ngx_int_t ngx_scc_numbers_open(ngx_scc_numbers_t *n, ngx_uint_t dir);
static ngx_int_t ngx_scc_numbers_append(ngx_scc_numbers_file_t *file,
    const u_char *p, size_t size);
static void ngx_scc_numbers_close(ngx_scc_numbers_file_t *file);
static void ngx_scc_numbers_kept(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);


ngx_scc_numbers_t *
ngx_scc_numbers_create(ngx_cycle_t *cycle, ngx_scc_apply_t *apply)
{
    ngx_uint_t          i;
    ngx_scc_numbers_t  *n;

    n = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_numbers_t));
    if (n == NULL) {
        return NULL;
    }

    n->apply = apply;
    n->applied = (uint64_t) -1;

    scc_buf_heap(&n->lines, 0);

    for (i = 0; i < NGX_SCC_JOURNAL_DIRS; i++) {
        n->files[i].fd = NGX_INVALID_FILE;
    }

    n->dumb.fd = (ngx_socket_t) -1;
    n->timer.data = &n->dumb;
    n->timer.log = apply->log;
    n->timer.handler = ngx_scc_numbers_timer;
    n->timer.cancelable = 1;

    return n;
}


void
ngx_scc_numbers_begin(ngx_scc_numbers_t *n,
    const uint64_t has[SCC_NUMBER_KINDS])
{
    ngx_memcpy(n->has, has, sizeof(n->has));

    ngx_add_timer(&n->timer, NGX_SCC_NUMBERS_LOOK);
}


void
ngx_scc_numbers_destroy(ngx_scc_numbers_t *n)
{
    ngx_uint_t  i;

    if (n->timer.timer_set) {
        ngx_del_timer(&n->timer);
    }

    for (i = 0; i < NGX_SCC_JOURNAL_DIRS; i++) {
        ngx_scc_numbers_close(&n->files[i]);
    }

    scc_buf_free(&n->lines);
}


static void
ngx_scc_numbers_timer(ngx_event_t *ev)
{
    ngx_scc_numbers_t  *n;

    n = ngx_scc_event_owner(ev, ngx_scc_numbers_t, timer);

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    if (!n->apply->have_store
        || (n->applied == n->apply->stat.applied
            && ngx_current_msec - n->asked < NGX_SCC_NUMBERS_ASK))
    {
        ngx_add_timer(&n->timer, NGX_SCC_NUMBERS_LOOK);
        return;
    }

    n->applied = n->apply->stat.applied;
    n->asked = ngx_current_msec;

    ngx_scc_numbers_ask(n);
}


static void
ngx_scc_numbers_ask(ngx_scc_numbers_t *n)
{
    u_char               uuid[NGX_SCC_NUMBERS_UUID];
    u_char               most[NGX_INT_T_LEN];
    u_char               text[SCC_NUMBER_KINDS][NGX_INT64_LEN];
    scc_buf_t            b;
    ngx_uint_t           i;
    ngx_str_t            values[NGX_SCC_STORE_NUMBERS_PARAMS];
    ngx_scc_pg_status_t  status;

    scc_buf_fixed(&b, uuid, sizeof(uuid));
    scc_uuid_write(&b, n->apply->store);

    values[0].len = ngx_sprintf(most, "%d", NGX_SCC_NUMBERS_MOST) - most;
    values[0].data = most;
    values[1].len = b.used;
    values[1].data = uuid;

    for (i = 0; i < SCC_NUMBER_KINDS; i++) {
        values[2 + i].data = text[i];
        values[2 + i].len = ngx_sprintf(text[i], "%uL", n->has[i]) - text[i];
    }

    if (ngx_scc_pg_query(n->apply->pg, &ngx_scc_store_numbers, values,
                         ngx_scc_numbers_due, n, &status)
        == NULL)
    {
        ngx_add_timer(&n->timer, NGX_SCC_NUMBERS_AGAIN);
    }
}


/* A store that does not answer is the applier's to talk about. */

static void
ngx_scc_numbers_due(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_numbers_t *n = data;

    u_char               text[SCC_NUMBER_KINDS][NGX_INT64_LEN];
    u_char               uuid[NGX_SCC_NUMBERS_UUID];
    u_char               events[NGX_INT64_LEN];
    scc_buf_t            b;
    ngx_str_t            values[NGX_SCC_STORE_NUMBERS_KEPT_PARAMS];
    ngx_uint_t           i;
    ngx_scc_pg_status_t  sent;

    if (status != NGX_SCC_PG_OK || ngx_scc_pg_rows(result) == 0
        || ngx_scc_store_number(result, 0, 3, &n->events) != NGX_OK)
    {
        ngx_add_timer(&n->timer, NGX_SCC_NUMBERS_AGAIN);
        return;
    }

    scc_buf_reset(&n->lines);
    ngx_memzero(n->last, sizeof(n->last));

    n->more = (ngx_scc_pg_rows(result) >= NGX_SCC_NUMBERS_MOST);

    for (i = 0; i < ngx_scc_pg_rows(result); i++) {
        ngx_scc_numbers_line(n, result, i);
    }

    if (n->lines.used == 0) {
        ngx_add_timer(&n->timer, NGX_SCC_NUMBERS_LOOK);
        return;
    }

    if (n->lines.error || ngx_scc_numbers_keep(n) != NGX_OK) {
        ngx_add_timer(&n->timer, NGX_SCC_NUMBERS_AGAIN);
        return;
    }

    for (i = 0; i < SCC_NUMBER_KINDS; i++) {
        n->has[i] = ngx_max(n->has[i], n->last[i]);
        values[i].data = text[i];
        values[i].len = ngx_sprintf(text[i], "%uL", n->last[i]) - text[i];
    }

    scc_buf_fixed(&b, uuid, sizeof(uuid));
    scc_uuid_write(&b, n->apply->store);

    values[i].data = uuid;
    values[i++].len = b.used;

    values[i].data = events;
    values[i].len = ngx_sprintf(events, "%uL", n->events) - events;

    if (ngx_scc_pg_query(n->apply->pg, &ngx_scc_store_numbers_kept, values,
                         ngx_scc_numbers_kept, n, &sent)
        == NULL)
    {
        ngx_add_timer(&n->timer, NGX_SCC_NUMBERS_AGAIN);
    }
}


static void
ngx_scc_numbers_line(ngx_scc_numbers_t *n, ngx_scc_pg_result_t *result,
    ngx_uint_t row)
{
    off_t         number;
    scc_str_t     name;
    ngx_str_t     kind, text, id;
    scc_number_t  line;

    if (ngx_scc_pg_value(result, row, 0, &kind) != NGX_OK
        || ngx_scc_pg_value(result, row, 1, &text) != NGX_OK
        || ngx_scc_pg_value(result, row, 2, &id) != NGX_OK)
    {
        return;
    }

    name.len = kind.len;
    name.data = kind.data;

    number = ngx_atoof(text.data, text.len);

    if (scc_number_kind_parse(name, &line.kind) != SCC_OK || number <= 0
        || id.len == 0 || id.len > SCC_ID_MAX)
    {
        return;
    }

    line.number = (uint64_t) number;
    line.len = id.len;
    ngx_memcpy(line.id, id.data, id.len);

    scc_number_write(&n->lines, &line);

    n->last[line.kind] = line.number;
}


/*
 * Into every directory.  After an error the file is never touched again: a
 * later sync would call pages clean that are on no disk.
 */

static ngx_int_t
ngx_scc_numbers_keep(ngx_scc_numbers_t *n)
{
    ngx_err_t                err;
    ngx_uint_t               i;
    ngx_scc_numbers_file_t  *file;

    for (i = 0; i < n->apply->journal->n_dirs; i++) {
        file = &n->files[i];

        if (file->fd == NGX_INVALID_FILE
            && ngx_scc_numbers_open(n, i) != NGX_OK)
        {
            goto failed;
        }

        if (ngx_scc_numbers_append(file, n->lines.start, n->lines.used)
            != NGX_OK)
        {
            goto failed;
        }
    }

    n->told = 0;

    return NGX_OK;

failed:

    err = ngx_errno;

    ngx_scc_numbers_close(&n->files[i]);

    if (!n->told) {
        n->told = 1;
        ngx_log_error(NGX_LOG_ERR, n->apply->log, err,
                      "scc: the order numbers of places and contributors "
                      "cannot be kept in the journal's directory \"%V\"; a "
                      "store rebuilt now might number the last of them "
                      "otherwise: check the disk",
                      &n->apply->journal->dirs[i]);
    }

    return NGX_ERROR;
}


static ngx_int_t
ngx_scc_numbers_open(ngx_scc_numbers_t *n, ngx_uint_t dir)
{
    u_char                   head[SCC_NUMBER_LINE];
    uint64_t                 id;
    scc_buf_t                b;
    ngx_str_t               *path;
    ngx_scc_numbers_file_t  *file;

    file = &n->files[dir];
    path = &n->apply->journal->dirs[dir];

    if (path->len + NGX_SCC_NUMBERS_NAME > NGX_MAX_PATH) {
        ngx_set_errno(NGX_ENAMETOOLONG);
        return NGX_ERROR;
    }

    if (getrandom(&id, sizeof(id), 0) != (ssize_t) sizeof(id)) {
        return NGX_ERROR;
    }

    *ngx_sprintf((u_char *) file->path, "%V/%016xL%s", path, id,
                 SCC_NUMBER_SUFFIX) = '\0';

    file->fd = open(file->path, O_WRONLY|O_CREAT|O_EXCL|O_APPEND|O_CLOEXEC,
                    0600);

    if (file->fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    scc_buf_fixed(&b, head, sizeof(head));
    scc_number_head(&b, n->apply->store);

    if (ngx_scc_numbers_append(file, b.start, b.used) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_scc_disk_sync_dir((char *) path->data);
}


static ngx_int_t
ngx_scc_numbers_append(ngx_scc_numbers_file_t *file, const u_char *p,
    size_t size)
{
    ssize_t      n;
    struct stat  st;

    while (size != 0) {
        n = write(file->fd, p, size);

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            return NGX_ERROR;
        }

        p += n;
        size -= (size_t) n;
    }

    if (fdatasync(file->fd) == -1 || fstat(file->fd, &st) == -1) {
        return NGX_ERROR;
    }

    /* somebody removed it under us */

    if (st.st_nlink == 0) {
        ngx_set_errno(NGX_ENOENT);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_scc_numbers_close(ngx_scc_numbers_file_t *file)
{
    if (file->fd != NGX_INVALID_FILE) {
        (void) close(file->fd);
        file->fd = NGX_INVALID_FILE;
    }
}


/* If this is lost they are kept twice. */

static void
ngx_scc_numbers_kept(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_numbers_t *n = data;

    if (status != NGX_SCC_PG_OK || ngx_scc_pg_rows(result) == 0) {
        ngx_add_timer(&n->timer, NGX_SCC_NUMBERS_AGAIN);
        return;
    }

    if (n->more) {
        ngx_scc_numbers_ask(n);
        return;
    }

    ngx_add_timer(&n->timer, NGX_SCC_NUMBERS_LOOK);
}
