
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_numbers_read.h"

#include <dirent.h>


#define NGX_SCC_NUMBERS_WINDOW  32768       /* bytes, read at once */


static ngx_int_t ngx_scc_numbers_read_list(ngx_scc_numbers_read_t *r);
static ngx_int_t ngx_scc_numbers_read_name(ngx_scc_numbers_read_t *r,
    const char *name);
static int ngx_libc_cdecl ngx_scc_numbers_read_compare(const void *one,
    const void *two);
static void ngx_scc_numbers_read_next_dir(ngx_scc_numbers_read_t *r);
static void ngx_scc_numbers_read_open(ngx_scc_numbers_read_t *r);
static void ngx_scc_numbers_read_close(ngx_scc_numbers_read_t *r);
static void ngx_scc_numbers_read_fill(ngx_scc_numbers_read_t *r);
static void ngx_scc_numbers_read_lines(ngx_scc_numbers_read_t *r);
static ngx_int_t ngx_scc_numbers_read_line(ngx_scc_numbers_read_t *r,
    scc_str_t line);
static void ngx_scc_numbers_read_trouble(ngx_scc_numbers_read_t *r,
    const char *path);


void
ngx_scc_numbers_read_init(ngx_scc_numbers_read_t *r, ngx_scc_apply_t *apply)
{
    ngx_memzero(r, sizeof(ngx_scc_numbers_read_t));

    r->apply = apply;
    r->fd = NGX_INVALID_FILE;
}


ngx_int_t
ngx_scc_numbers_read_begin(ngx_scc_numbers_read_t *r)
{
    ngx_scc_numbers_read_end(r);

    r->pool = ngx_create_pool(16384, r->apply->log);
    if (r->pool == NULL) {
        return NGX_ERROR;
    }

    r->window = ngx_pnalloc(r->pool, NGX_SCC_NUMBERS_WINDOW);
    r->numbers = ngx_palloc(r->pool,
                            NGX_SCC_NUMBERS_PIECE * sizeof(scc_number_t));

    if (r->window == NULL || r->numbers == NULL
        || ngx_array_init(&r->names, r->pool, 64, sizeof(char *)) != NGX_OK)
    {
        ngx_scc_numbers_read_end(r);
        return NGX_ERROR;
    }

    ngx_memzero(r->last, sizeof(r->last));
    r->unreadable = 0;
    r->whole = 0;
    r->dir = 0;
    r->listed = 0;
    r->trouble = 0;

    return NGX_OK;
}


void
ngx_scc_numbers_read_end(ngx_scc_numbers_read_t *r)
{
    ngx_scc_numbers_read_close(r);

    if (r->pool != NULL) {
        ngx_destroy_pool(r->pool);
        r->pool = NULL;
    }

    r->n = 0;
}


/* One call of the kernel at most, or one directory's list. */

ngx_int_t
ngx_scc_numbers_read(ngx_scc_numbers_read_t *r)
{
    r->n = 0;

    if (r->dir == r->apply->journal->n_dirs) {
        ngx_scc_numbers_read_end(r);
        return NGX_DONE;
    }

    if (!r->listed) {
        r->file = 0;

        if (ngx_scc_numbers_read_list(r) != NGX_OK) {
            ngx_scc_numbers_read_trouble(r,
                (char *) r->apply->journal->dirs[r->dir].data);
            ngx_scc_numbers_read_next_dir(r);
            return NGX_OK;
        }

        r->listed = 1;

        return NGX_OK;
    }

    if (r->fd == NGX_INVALID_FILE) {

        if (r->file == r->names.nelts) {
            ngx_scc_numbers_read_next_dir(r);
            return NGX_OK;
        }

        ngx_scc_numbers_read_open(r);

        return NGX_OK;
    }

    ngx_scc_numbers_read_lines(r);

    if (r->n == 0 && r->fd != NGX_INVALID_FILE) {
        ngx_scc_numbers_read_fill(r);
        ngx_scc_numbers_read_lines(r);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_scc_numbers_read_list(ngx_scc_numbers_read_t *r)
{
    DIR            *d;
    ngx_int_t       rc;
    ngx_err_t       err;
    struct dirent  *de;

    r->names.nelts = 0;

    d = opendir((char *) r->apply->journal->dirs[r->dir].data);

    if (d == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_OK;
    ngx_set_errno(0);

    while (rc == NGX_OK && (de = readdir(d)) != NULL) {
        rc = ngx_scc_numbers_read_name(r, de->d_name);
        ngx_set_errno(0);
    }

    err = ngx_errno;

    (void) closedir(d);

    if (err) {
        ngx_set_errno(err);
        return NGX_ERROR;
    }

    /* every time, and on every host that has the same, in the same order */

    if (rc == NGX_OK && r->names.nelts > 1) {
        ngx_qsort(r->names.elts, r->names.nelts, sizeof(char *),
                  ngx_scc_numbers_read_compare);
    }

    return rc;
}


static ngx_int_t
ngx_scc_numbers_read_name(ngx_scc_numbers_read_t *r, const char *name)
{
    char       **element, *path;
    size_t       len;
    ngx_str_t   *dir;

    len = ngx_strlen(name);

    if (len < sizeof(SCC_NUMBER_SUFFIX) - 1
        || ngx_strcmp(name + len - (sizeof(SCC_NUMBER_SUFFIX) - 1),
                      SCC_NUMBER_SUFFIX)
           != 0)
    {
        return NGX_OK;
    }

    dir = &r->apply->journal->dirs[r->dir];

    path = ngx_pnalloc(r->pool, dir->len + 1 + len + 1);
    element = ngx_array_push(&r->names);

    if (path == NULL || element == NULL) {
        return NGX_ERROR;
    }

    *ngx_sprintf((u_char *) path, "%V/%s", dir, name) = '\0';
    *element = path;

    return NGX_OK;
}


static int ngx_libc_cdecl
ngx_scc_numbers_read_compare(const void *one, const void *two)
{
    return ngx_strcmp(*(char *const *) one, *(char *const *) two);
}


static void
ngx_scc_numbers_read_next_dir(ngx_scc_numbers_read_t *r)
{
    if (!r->trouble) {
        r->whole++;
    }

    r->dir++;
    r->listed = 0;
    r->trouble = 0;
}


static void
ngx_scc_numbers_read_open(ngx_scc_numbers_read_t *r)
{
    char  *path;

    path = ((char **) r->names.elts)[r->file];

    r->fd = open(path, O_RDONLY|O_CLOEXEC);

    if (r->fd == NGX_INVALID_FILE) {
        ngx_scc_numbers_read_trouble(r, path);
        r->file++;
        return;
    }

    r->from = 0;
    r->to = 0;
    r->headed = 0;
    r->skip = 0;
}


/* What has no newline at the end was being written, and promised to nobody. */

static void
ngx_scc_numbers_read_close(ngx_scc_numbers_read_t *r)
{
    if (r->fd != NGX_INVALID_FILE) {
        (void) close(r->fd);
        r->fd = NGX_INVALID_FILE;
        r->file++;
    }
}


static void
ngx_scc_numbers_read_fill(ngx_scc_numbers_read_t *r)
{
    ssize_t  n;

    ngx_memmove(r->window, r->window + r->from, r->to - r->from);
    r->to -= r->from;
    r->from = 0;

    /* no line is that long */

    if (r->to == NGX_SCC_NUMBERS_WINDOW) {
        r->to = 0;
        r->skip = 1;
    }

    for ( ;; ) {
        n = read(r->fd, r->window + r->to, NGX_SCC_NUMBERS_WINDOW - r->to);

        if (n != -1 || ngx_errno != NGX_EINTR) {
            break;
        }
    }

    if (n == -1) {
        ngx_scc_numbers_read_trouble(r, ((char **) r->names.elts)[r->file]);
    }

    if (n <= 0) {
        ngx_scc_numbers_read_close(r);
        return;
    }

    r->to += (size_t) n;
}


static void
ngx_scc_numbers_read_lines(ngx_scc_numbers_read_t *r)
{
    u_char     *lf;
    scc_str_t   line;

    while (r->fd != NGX_INVALID_FILE && r->n < NGX_SCC_NUMBERS_PIECE) {
        lf = memchr(r->window + r->from, LF, r->to - r->from);

        if (lf == NULL) {
            return;
        }

        line.data = r->window + r->from;
        line.len = lf - line.data;

        r->from = lf + 1 - r->window;

        if (r->skip) {
            r->skip = 0;
            r->unreadable++;
            continue;
        }

        if (ngx_scc_numbers_read_line(r, line) != NGX_OK) {
            ngx_scc_numbers_read_close(r);
            return;
        }
    }
}


/* NGX_DECLINED: the file is of another store. */

static ngx_int_t
ngx_scc_numbers_read_line(ngx_scc_numbers_read_t *r, scc_str_t line)
{
    u_char         store[16];
    uint64_t      *last;
    scc_str_t      id;
    scc_number_t  *number;

    if (!r->headed) {
        r->headed = 1;

        if (scc_number_head_read(line, store) == SCC_OK) {
            return ngx_memcmp(store, r->apply->store, 16) == 0
                   ? NGX_OK : NGX_DECLINED;
        }
    }

    number = &r->numbers[r->n];

    if (scc_number_read(line, number) != SCC_OK) {
        r->unreadable++;
        return NGX_OK;
    }

    id.len = number->len;
    id.data = number->id;

    /* the store has no such id */

    if (!scc_utf8_valid(id) || memchr(id.data, '\0', id.len) != NULL) {
        r->unreadable++;
        return NGX_OK;
    }

    last = &r->last[r->dir][number->kind];
    *last = ngx_max(*last, number->number);

    r->n++;

    return NGX_OK;
}


static void
ngx_scc_numbers_read_trouble(ngx_scc_numbers_read_t *r, const char *path)
{
    r->trouble = 1;

    if (!r->told) {
        r->told = 1;
        ngx_log_error(NGX_LOG_ERR, r->apply->log, ngx_errno,
                      "scc: the order numbers in \"%s\" cannot be read; they "
                      "are tried again every second: give it to nginx's "
                      "user, or check the disk", path);
    }
}
