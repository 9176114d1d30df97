
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_segment.h"
#include "ngx_scc_disk.h"

#include <linux/magic.h>
#include <sys/file.h>
#include <sys/vfs.h>


#define NGX_SCC_SEGMENT_AHEAD  (256 * 1024)     /* zeros, at a time */
#define NGX_SCC_SEGMENT_ZEROS  (64 * 1024)


static ngx_uint_t ngx_scc_segment_in_place(ngx_fd_t fd);
static ngx_int_t ngx_scc_segment_ahead(ngx_scc_segment_t *s, off_t end);
static ngx_err_t ngx_scc_segment_file(ngx_scc_segment_t *s, off_t size);
static ngx_err_t ngx_scc_segment_take(ngx_scc_segment_t *s, off_t size);
static ngx_err_t ngx_scc_segment_allocate(ngx_fd_t fd, off_t size);
static ngx_err_t ngx_scc_segment_sync_dir(const char *path, size_t dir_len);
static ngx_err_t ngx_scc_segment_dir(ngx_scc_segment_t *s, struct stat *st);


ngx_err_t
ngx_scc_segment_create(ngx_scc_segment_t *s, const char *dir,
    const char *name, off_t size, const scc_segment_t *head,
    ngx_uint_t *reserve)
{
    u_char       *last, block[SCC_JOURNAL_BLOCK];
    uint32_t      chain;
    ngx_err_t     err;
    struct stat   st;

    ngx_memzero(s, sizeof(ngx_scc_segment_t));
    s->fd = NGX_INVALID_FILE;

    s->dir_len = ngx_strlen(dir);

    if (s->dir_len + 1 + ngx_strlen(name) + sizeof(".open") > NGX_MAX_PATH) {
        return NGX_ENAMETOOLONG;
    }

    last = ngx_sprintf((u_char *) s->path, "%s/%s.open", dir, name);
    *last = '\0';

    err = ngx_scc_segment_file(s, size);

    if (err == NGX_ENOSPC || err == EDQUOT) {

        if (ngx_scc_segment_take(s, size) != 0) {
            return err;
        }

        *reserve = 1;

    } else if (err) {
        return err;
    }

    chain = scc_segment_write(block, head);

    err = 0;

    if (ngx_scc_disk_write(s->fd, block, SCC_JOURNAL_BLOCK, 0) != NGX_OK
        || fsync(s->fd) == -1)
    {
        err = ngx_errno;
    }

    if (err == 0) {
        err = ngx_scc_segment_sync_dir(s->path, s->dir_len);
    }

    if (err == 0) {
        err = ngx_scc_segment_dir(s, &st);
    }

    if (err) {

        /* nothing was ever acknowledged from it */

        ngx_scc_segment_remove(s);

        return err;
    }

    s->pos = SCC_JOURNAL_BLOCK;
    s->size = size;
    s->zeros = ngx_scc_segment_in_place(s->fd) ? s->pos : size;
    s->dir_dev = st.st_dev;
    s->dir_ino = st.st_ino;
    ngx_memcpy(s->id, head->segment, 16);

    scc_chain_begin(&s->chain, head, chain);

    return 0;
}


void
ngx_scc_segment_reserve(const char *dir, off_t size)
{
    char      path[NGX_MAX_PATH];
    u_char   *last;
    ngx_fd_t  fd;

    last = ngx_snprintf((u_char *) path, sizeof(path) - 1, "%s/%s", dir,
                        NGX_SCC_SEGMENT_RESERVE);
    *last = '\0';

    fd = open(path, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    if (fd == NGX_INVALID_FILE) {
        return;                 /* it is there, or cannot be */
    }

    if (ngx_scc_segment_allocate(fd, size) != 0) {
        (void) unlink(path);
    }

    (void) close(fd);
}


ngx_err_t
ngx_scc_segment_append(ngx_scc_segment_t *s, const u_char *p, size_t size)
{
    off_t        end;
    ngx_err_t    err;
    struct stat  st;

    err = 0;
    end = s->pos + (off_t) size;

    if ((end > s->zeros && ngx_scc_segment_ahead(s, end) != NGX_OK)
        || ngx_scc_disk_write(s->fd, p, size, s->pos) != NGX_OK
        || fdatasync(s->fd) == -1)
    {
        err = ngx_errno;
    }

    /* what was removed or moved under us is durable for nobody */

    if (err == 0
        && (fstat(s->fd, &st) == -1 || st.st_nlink == 0
            || ngx_scc_segment_dir(s, &st) != 0
            || st.st_dev != s->dir_dev || st.st_ino != s->dir_ino))
    {
        err = NGX_ENOENT;
    }

    if (err) {
        s->failed = 1;
        return err;
    }

    s->pos = end;

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


void
ngx_scc_segment_remove(ngx_scc_segment_t *s)
{
    if (s->fd != NGX_INVALID_FILE) {
        (void) unlink(s->path);
        ngx_scc_segment_close(s);
    }
}


/*
 * Elsewhere a block that is written again may need room of its own, which
 * nobody has taken (btrfs).
 */

static ngx_uint_t
ngx_scc_segment_in_place(ngx_fd_t fd)
{
    struct statfs  st;

    return fstatfs(fd, &st) == 0 && st.f_type == EXT4_SUPER_MAGIC;
}


/*
 * A sync of blocks that were allocated but never written also writes that
 * they now are.  With zeros ahead of the end it is so for one batch in many;
 * they are synced with it, and never lie where anything was written.
 */

static ngx_int_t
ngx_scc_segment_ahead(ngx_scc_segment_t *s, off_t end)
{
    off_t   to;
    size_t  n;

    static u_char  zeros[NGX_SCC_SEGMENT_ZEROS];

    to = ngx_min(end + NGX_SCC_SEGMENT_AHEAD, s->size);

    for (s->zeros = end; s->zeros < to; s->zeros += (off_t) n) {
        n = (size_t) ngx_min(to - s->zeros, (off_t) sizeof(zeros));

        if (ngx_scc_disk_write(s->fd, zeros, n, s->zeros) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Room is taken now, so that a full disk is met before a batch is. */

static ngx_err_t
ngx_scc_segment_file(ngx_scc_segment_t *s, off_t size)
{
    ngx_err_t  err;

    s->fd = open(s->path, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    if (s->fd == NGX_INVALID_FILE) {
        return ngx_errno;
    }

    err = (flock(s->fd, LOCK_EX|LOCK_NB) == -1) ? ngx_errno : 0;

    if (err == 0) {
        err = ngx_scc_segment_allocate(s->fd, size);
    }

    if (err) {
        ngx_scc_segment_remove(s);
    }

    return err;
}


/* Another process may still be making the reserve: its room is checked. */

static ngx_err_t
ngx_scc_segment_take(ngx_scc_segment_t *s, off_t size)
{
    char       path[NGX_MAX_PATH];
    u_char    *last;
    ngx_err_t  err;

    last = ngx_snprintf((u_char *) path, sizeof(path) - 1, "%*s/%s",
                        s->dir_len, s->path, NGX_SCC_SEGMENT_RESERVE);
    *last = '\0';

    /* locked before it has the name by which orphans are known */

    s->fd = open(path, O_RDWR|O_CLOEXEC);

    if (s->fd == NGX_INVALID_FILE) {
        return ngx_errno;
    }

    if (flock(s->fd, LOCK_EX|LOCK_NB) == -1) {
        err = ngx_errno;
        ngx_scc_segment_close(s);
        return err;
    }

    if (rename(path, s->path) == -1) {
        err = ngx_errno;
        ngx_scc_segment_close(s);
        return err;
    }

    err = ngx_scc_segment_allocate(s->fd, size);

    if (err) {
        ngx_scc_segment_remove(s);
    }

    return err;
}


static ngx_err_t
ngx_scc_segment_allocate(ngx_fd_t fd, off_t size)
{
    int  rc;

    do {
        rc = posix_fallocate(fd, 0, size);
    } while (rc == NGX_EINTR);

    return rc;
}


static ngx_err_t
ngx_scc_segment_sync_dir(const char *path, size_t dir_len)
{
    char  dir[NGX_MAX_PATH];

    ngx_memcpy(dir, path, dir_len);
    dir[dir_len] = '\0';

    return (ngx_scc_disk_sync_dir(dir) == NGX_OK) ? 0 : ngx_errno;
}


/* What has the directory's name now. */

static ngx_err_t
ngx_scc_segment_dir(ngx_scc_segment_t *s, struct stat *st)
{
    char  dir[NGX_MAX_PATH];

    ngx_memcpy(dir, s->path, s->dir_len);
    dir[s->dir_len] = '\0';

    return (stat(dir, st) == -1) ? ngx_errno : 0;
}
