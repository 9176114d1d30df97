
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_last.h"

#include <dirent.h>


#define NGX_SCC_LAST_SEALED  64         /* the newest, by name */
#define NGX_SCC_LAST_NAME    100


typedef struct {
    char         names[NGX_SCC_LAST_SEALED][NGX_SCC_LAST_NAME];
    ngx_uint_t   n;
} ngx_scc_last_t;


static void ngx_scc_last_keep(ngx_scc_last_t *last, const char *name);
static uint64_t ngx_scc_last_file(const ngx_str_t *dir, const char *name,
    ngx_uint_t sealed, ngx_log_t *log);
static uint64_t ngx_scc_last_read(ngx_fd_t fd, ngx_uint_t sealed);
static ngx_int_t ngx_scc_last_pread(ngx_fd_t fd, u_char *p, size_t size,
    off_t pos);


uint64_t
ngx_scc_last_hlc(const ngx_str_t *dir, ngx_log_t *log)
{
    DIR             *d;
    char            *dot;
    uint64_t         hlc, n;
    ngx_uint_t       i;
    struct dirent   *de;
    ngx_scc_last_t  *last;

    d = opendir((char *) dir->data);

    if (d == NULL) {
        return 0;                       /* the journal says what is wrong */
    }

    last = ngx_calloc(sizeof(ngx_scc_last_t), log);

    hlc = 0;

    while (last != NULL) {
        ngx_set_errno(0);
        de = readdir(d);

        if (de == NULL) {
            break;
        }

        dot = strrchr(de->d_name, '.');

        if (dot == NULL || ngx_strlen(de->d_name) >= NGX_SCC_LAST_NAME) {
            continue;
        }

        if (ngx_strcmp(dot, ".open") == 0) {
            n = ngx_scc_last_file(dir, de->d_name, 0, log);
            hlc = ngx_max(hlc, n);

        } else if (ngx_strcmp(dot, ".seg") == 0) {
            ngx_scc_last_keep(last, de->d_name);
        }
    }

    if (last != NULL && ngx_errno != 0) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "scc: journal directory %V cannot be read to its end; "
                      "if the clock was put back, new contributions may lose "
                      "to those in it", dir);
    }

    (void) closedir(d);

    if (last != NULL) {

        for (i = 0; i < last->n; i++) {
            n = ngx_scc_last_file(dir, last->names[i], 1, log);
            hlc = ngx_max(hlc, n);
        }

        ngx_free(last);
    }

    return hlc;
}


/* In order, the oldest first; names begin with the time, in hexadecimal. */

static void
ngx_scc_last_keep(ngx_scc_last_t *last, const char *name)
{
    ngx_uint_t  at;

    for (at = last->n; at != 0; at--) {
        if (strcmp(last->names[at - 1], name) < 0) {
            break;
        }
    }

    if (last->n == NGX_SCC_LAST_SEALED) {

        if (at == 0) {
            return;
        }

        at--;
        ngx_memmove(last->names[0], last->names[1],
                    at * NGX_SCC_LAST_NAME);

    } else {
        ngx_memmove(last->names[at + 1], last->names[at],
                    (last->n - at) * NGX_SCC_LAST_NAME);
        last->n++;
    }

    (void) ngx_cpystrn((u_char *) last->names[at], (u_char *) name,
                       NGX_SCC_LAST_NAME);
}


static uint64_t
ngx_scc_last_file(const ngx_str_t *dir, const char *name, ngx_uint_t sealed,
    ngx_log_t *log)
{
    u_char    path[NGX_MAX_PATH];
    ngx_fd_t  fd;
    uint64_t  hlc;

    *ngx_snprintf(path, sizeof(path) - 1, "%V/%s", dir, name) = '\0';

    fd = open((char *) path, O_RDONLY|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {

        if (ngx_errno != NGX_ENOENT) {
            ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                          "scc: journal segment %s cannot be read; if the "
                          "clock was put back, new contributions may lose "
                          "to those in it", path);
        }

        return 0;
    }

    hlc = ngx_scc_last_read(fd, sealed);

    (void) close(fd);

    return hlc;
}


/* Of a sealed segment the last block is the seal, which has the sum. */

static uint64_t
ngx_scc_last_read(ngx_fd_t fd, ngx_uint_t sealed)
{
    off_t              pos;
    size_t             size;
    u_char             block[SCC_JOURNAL_BLOCK];
    u_char             header[SCC_JOURNAL_BATCH];
    uint32_t           chain;
    uint64_t           hlc;
    struct stat        st;
    scc_segment_t      segment;
    scc_scan_batch_t   batch;

    if (ngx_scc_last_pread(fd, block, sizeof(block), 0) != NGX_OK
        || scc_segment_read(block, &segment, &chain) != SCC_OK)
    {
        return 0;
    }

    hlc = segment.last_hlc;

    if (sealed
        && fstat(fd, &st) == 0
        && st.st_size >= 2 * SCC_JOURNAL_BLOCK
        && ngx_scc_last_pread(fd, header, sizeof(header),
                              st.st_size - SCC_JOURNAL_BLOCK)
           == NGX_OK
        && scc_scan_peek(&segment, header, &batch, &size) == SCC_OK
        && batch.n == 0)
    {
        return ngx_max(hlc, batch.last_hlc);
    }

    pos = SCC_JOURNAL_BLOCK;

    while (ngx_scc_last_pread(fd, header, sizeof(header), pos) == NGX_OK
           && scc_scan_peek(&segment, header, &batch, &size) == SCC_OK)
    {
        hlc = ngx_max(hlc, batch.last_hlc);
        pos += (off_t) size;
    }

    return hlc;
}


static ngx_int_t
ngx_scc_last_pread(ngx_fd_t fd, u_char *p, size_t size, off_t pos)
{
    ssize_t  n;

    while (size != 0) {
        n = pread(fd, p, size, pos);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0) {
            return NGX_ERROR;
        }

        p += n;
        pos += n;
        size -= (size_t) n;
    }

    return NGX_OK;
}
