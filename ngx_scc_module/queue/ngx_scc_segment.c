
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_segment.h"

#include <sys/file.h>


static ngx_err_t ngx_scc_segment_write(ngx_fd_t fd, const u_char *p,
    size_t size, off_t offset);
static ngx_err_t ngx_scc_segment_sync_dir(const char *path, size_t dir_len);


ngx_err_t
ngx_scc_segment_create(ngx_scc_segment_t *s, const char *dir,
    const char *name, off_t size, const scc_segment_t *head)
{
    int        rc;
    u_char    *last, block[SCC_JOURNAL_BLOCK];
    uint32_t   chain;
    ngx_err_t  err;

    ngx_memzero(s, sizeof(ngx_scc_segment_t));
    s->fd = NGX_INVALID_FILE;

    s->dir_len = ngx_strlen(dir);

    if (s->dir_len + 1 + ngx_strlen(name) + sizeof(".open") > NGX_MAX_PATH) {
        return NGX_ENAMETOOLONG;
    }

    last = ngx_sprintf((u_char *) s->path, "%s/%s.open", dir, name);
    *last = '\0';

    s->fd = open(s->path, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    if (s->fd == NGX_INVALID_FILE) {
        return ngx_errno;
    }

    if (flock(s->fd, LOCK_EX|LOCK_NB) == -1) {
        err = ngx_errno;
        goto failed;
    }

    /* so that a full disk is met here, where nothing is waiting yet */

    rc = posix_fallocate(s->fd, 0, size);

    if (rc != 0) {
        err = rc;
        goto failed;
    }

    chain = scc_segment_write(block, head);

    err = ngx_scc_segment_write(s->fd, block, SCC_JOURNAL_BLOCK, 0);

    if (err) {
        goto failed;
    }

    if (fsync(s->fd) == -1) {
        err = ngx_errno;
        goto failed;
    }

    err = ngx_scc_segment_sync_dir(s->path, s->dir_len);

    if (err) {
        goto failed;
    }

    s->pos = SCC_JOURNAL_BLOCK;
    s->size = size;
    ngx_memcpy(s->id, head->segment, 16);

    scc_chain_begin(&s->chain, head, chain);

    return 0;

failed:

    /* nothing was ever acknowledged from it */

    (void) unlink(s->path);
    ngx_scc_segment_close(s);

    return err;
}


ngx_err_t
ngx_scc_segment_append(ngx_scc_segment_t *s, const u_char *p, size_t size)
{
    ngx_err_t    err;
    struct stat  st;

    err = ngx_scc_segment_write(s->fd, p, size, s->pos);

    if (err == 0 && fdatasync(s->fd) == -1) {
        err = ngx_errno;
    }

    /* what was removed under us is durable for nobody */

    if (err == 0 && (fstat(s->fd, &st) == -1 || st.st_nlink == 0)) {
        err = NGX_ENOENT;
    }

    if (err) {
        s->failed = 1;
        return err;
    }

    s->pos += (off_t) size;

    return 0;
}


ngx_err_t
ngx_scc_segment_seal(ngx_scc_segment_t *s)
{
    char       path[NGX_MAX_PATH];
    size_t     len;
    u_char     block[SCC_JOURNAL_BLOCK];
    scc_buf_t  b;
    ngx_err_t  err;

    if (s->failed) {
        ngx_scc_segment_close(s);
        return 0;
    }

    scc_buf_fixed(&b, block, sizeof(block));

    if (scc_batch_seal(&b, &s->chain) != SCC_OK) {
        ngx_scc_segment_close(s);
        return NGX_ENOMEM;
    }

    err = ngx_scc_segment_append(s, b.start, b.used);

    if (err) {
        ngx_scc_segment_close(s);
        return err;
    }

    /* the preallocated rest holds nothing */

    if (ftruncate(s->fd, s->pos) == -1 || fsync(s->fd) == -1) {
        err = ngx_errno;
    }

    len = ngx_strlen(s->path) - (sizeof(".open") - 1);

    ngx_memcpy(path, s->path, len);
    ngx_memcpy(path + len, ".seg", sizeof(".seg"));

    if (err == 0 && rename(s->path, path) == -1) {
        err = ngx_errno;
    }

    if (err == 0) {
        err = ngx_scc_segment_sync_dir(path, s->dir_len);
    }

    ngx_scc_segment_close(s);

    return err;
}


void
ngx_scc_segment_close(ngx_scc_segment_t *s)
{
    if (s->fd != NGX_INVALID_FILE) {
        (void) close(s->fd);
        s->fd = NGX_INVALID_FILE;
    }
}


static ngx_err_t
ngx_scc_segment_write(ngx_fd_t fd, const u_char *p, size_t size,
    off_t offset)
{
    ssize_t  n;

    while (size != 0) {
        n = pwrite(fd, p, size, offset);

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            return ngx_errno;
        }

        if (n == 0) {
            return NGX_ENOSPC;
        }

        p += n;
        size -= (size_t) n;
        offset += n;
    }

    return 0;
}


static ngx_err_t
ngx_scc_segment_sync_dir(const char *path, size_t dir_len)
{
    int        fd;
    char       dir[NGX_MAX_PATH];
    ngx_err_t  err;

    ngx_memcpy(dir, path, dir_len);
    dir[dir_len] = '\0';

    fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return ngx_errno;
    }

    err = (fsync(fd) == -1) ? ngx_errno : 0;

    (void) close(fd);

    return err;
}
