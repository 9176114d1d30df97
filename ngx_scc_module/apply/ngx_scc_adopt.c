
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_adopt.h"
#include "ngx_scc_disk.h"
#include "scc_journal.h"

#include <sys/file.h>


/* Between its creation and its lock a file belongs to nobody: seconds. */

#define NGX_SCC_ADOPT_AGE  5


typedef struct {
    const char       *dir;
    const char       *base;
    ngx_log_t        *log;
    char              path[NGX_MAX_PATH];
    ngx_fd_t          fd;
    size_t            size;
    u_char           *bytes;
} ngx_scc_adopt_t;


static ngx_int_t ngx_scc_adopt_name(ngx_scc_adopt_t *a, char *path,
    const char *suffix);
static ngx_int_t ngx_scc_adopt_lock(ngx_scc_adopt_t *a);
static ngx_int_t ngx_scc_adopt_read(ngx_scc_adopt_t *a);
static ngx_int_t ngx_scc_adopt_fill(ngx_scc_adopt_t *a, ngx_fd_t fd,
    size_t size);
static ngx_int_t ngx_scc_adopt_judge(ngx_scc_adopt_t *a);
static ngx_int_t ngx_scc_adopt_empty(ngx_scc_adopt_t *a, scc_scan_t *scan);
static ngx_int_t ngx_scc_adopt_copy(ngx_scc_adopt_t *a);
static ngx_int_t ngx_scc_adopt_seal(ngx_scc_adopt_t *a, scc_scan_t *scan);
static ngx_int_t ngx_scc_adopt_rename(ngx_scc_adopt_t *a,
    const char *suffix);
static ngx_int_t ngx_scc_adopt_failed(ngx_scc_adopt_t *a, const char *what);


ngx_int_t
ngx_scc_adopt(const char *dir, const char *base, ngx_log_t *log)
{
    ngx_int_t         rc;
    ngx_scc_adopt_t   a;

    ngx_memzero(&a, sizeof(ngx_scc_adopt_t));

    a.dir = dir;
    a.base = base;
    a.log = log;

    if (ngx_scc_adopt_name(&a, a.path, ".open") != NGX_OK) {
        return NGX_ERROR;
    }

    a.fd = open(a.path, O_RDWR|O_CLOEXEC);

    if (a.fd == NGX_INVALID_FILE) {

        /* sealed, or adopted, a moment ago */

        return (ngx_errno == NGX_ENOENT)
               ? NGX_BUSY : ngx_scc_adopt_failed(&a, "open()");
    }

    rc = ngx_scc_adopt_lock(&a);

    if (rc == NGX_OK) {
        rc = ngx_scc_adopt_read(&a);
    }

    if (rc == NGX_OK) {
        rc = ngx_scc_adopt_judge(&a);
    }

    if (a.bytes != NULL) {
        ngx_free(a.bytes);
    }

    (void) close(a.fd);

    return rc;
}


static ngx_int_t
ngx_scc_adopt_name(ngx_scc_adopt_t *a, char *path, const char *suffix)
{
    if (ngx_strlen(a->dir) + 1 + ngx_strlen(a->base) + ngx_strlen(suffix)
        >= NGX_MAX_PATH)
    {
        ngx_set_errno(NGX_ENAMETOOLONG);
        return ngx_scc_adopt_failed(a, "a name");
    }

    *ngx_sprintf((u_char *) path, "%s/%s%s", a->dir, a->base, suffix) = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_scc_adopt_lock(ngx_scc_adopt_t *a)
{
    struct stat  st, named;

    if (fstat(a->fd, &st) == -1) {
        return ngx_scc_adopt_failed(a, "fstat()");
    }

    if (time(NULL) - st.st_ctime < NGX_SCC_ADOPT_AGE
        && time(NULL) >= st.st_ctime)
    {
        return NGX_BUSY;
    }

    if (flock(a->fd, LOCK_EX|LOCK_NB) == -1) {
        return (ngx_errno == EWOULDBLOCK)
               ? NGX_BUSY : ngx_scc_adopt_failed(a, "flock()");
    }

    /* who had the lock may have renamed the file before it was ours */

    if (stat(a->path, &named) == -1 || named.st_ino != st.st_ino
        || named.st_dev != st.st_dev)
    {
        return NGX_BUSY;
    }

    if (fstat(a->fd, &st) == -1) {
        return ngx_scc_adopt_failed(a, "fstat()");
    }

    a->size = (size_t) st.st_size;

    return NGX_OK;
}


/*
 * From the disk, not from memory: after a failed sync the kernel may hold
 * pages that are on no disk, and call them clean.
 */

static ngx_int_t
ngx_scc_adopt_read(ngx_scc_adopt_t *a)
{
    size_t     size;
    ngx_fd_t   fd;
    ngx_int_t  rc;

    size = (a->size / SCC_JOURNAL_BLOCK + 1) * SCC_JOURNAL_BLOCK;

    a->bytes = ngx_memalign(SCC_JOURNAL_BLOCK, size, a->log);
    if (a->bytes == NULL) {
        return NGX_ERROR;
    }

    fd = open(a->path, O_RDONLY|O_DIRECT|O_CLOEXEC);

    if (fd != NGX_INVALID_FILE) {
        rc = ngx_scc_adopt_fill(a, fd, size);

        (void) close(fd);

        if (rc == NGX_OK) {
            return NGX_OK;
        }
    }

    /* not every filesystem has it */

    return (ngx_scc_adopt_fill(a, a->fd, size) == NGX_OK)
           ? NGX_OK : ngx_scc_adopt_failed(a, "pread()");
}


static ngx_int_t
ngx_scc_adopt_fill(ngx_scc_adopt_t *a, ngx_fd_t fd, size_t size)
{
    size_t   done;
    ssize_t  n;

    done = 0;

    while (done < size) {
        n = pread(fd, a->bytes + done, size - done, (off_t) done);

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            return NGX_ERROR;
        }

        done += (size_t) n;

        /* the end, and an O_DIRECT read cannot begin within a block */

        if (n == 0 || done % SCC_JOURNAL_BLOCK != 0) {
            break;
        }
    }

    a->size = done;

    return NGX_OK;
}


static ngx_int_t
ngx_scc_adopt_judge(ngx_scc_adopt_t *a)
{
    scc_str_t         bytes;
    scc_scan_t        scan;
    scc_scan_batch_t  batch;

    bytes.len = a->size;
    bytes.data = a->bytes;

    if (scc_scan_begin(&scan, bytes) != SCC_OK) {
        return (scan.end == SCC_END_CORRUPT)
               ? NGX_DECLINED : ngx_scc_adopt_empty(a, &scan);
    }

    while (scc_scan_next(&scan, &batch) == SCC_OK) { /* void */ }

    switch (scan.end) {

    case SCC_END_SEALED:
        break;

    case SCC_END_TORN:

        if (ngx_scc_adopt_copy(a) != NGX_OK) {
            return NGX_ERROR;
        }

        /* fall through */

    case SCC_END_CLEAN:

        if (ngx_scc_adopt_seal(a, &scan) != NGX_OK) {
            return NGX_ERROR;
        }

        break;

    default:
        return NGX_DECLINED;
    }

    if (ngx_scc_adopt_rename(a, ".seg") != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_NOTICE, a->log, 0,
                  "scc: journal segment %s was left by its writer%s; it is "
                  "sealed now", a->path,
                  (scan.end == SCC_END_TORN)
                  ? ", in the middle of a batch that nobody was promised (a "
                    "copy is beside it, .broken)" : "");

    return NGX_OK;
}


/* Its writer died before block 0 was there, so before any promise. */

static ngx_int_t
ngx_scc_adopt_empty(ngx_scc_adopt_t *a, scc_scan_t *scan)
{
    if (scan->end == SCC_END_TORN) {
        return (ngx_scc_adopt_rename(a, ".broken") == NGX_OK) ? NGX_DONE
                                                              : NGX_ERROR;
    }

    if (unlink(a->path) == -1) {
        return ngx_scc_adopt_failed(a, "unlink()");
    }

    return NGX_DONE;
}


static ngx_int_t
ngx_scc_adopt_copy(ngx_scc_adopt_t *a)
{
    char       path[NGX_MAX_PATH];
    ngx_fd_t   fd;
    ngx_int_t  rc;

    if (ngx_scc_adopt_name(a, path, ".broken") != NGX_OK) {
        return NGX_ERROR;
    }

    fd = open(path, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600);

    if (fd == -1) {
        return ngx_scc_adopt_failed(a, "the copy's open()");
    }

    rc = ngx_scc_disk_write(fd, a->bytes, a->size, 0);

    if (rc != NGX_OK
        || fsync(fd) == -1
        || ngx_scc_disk_sync_dir(a->dir) != NGX_OK)
    {
        rc = ngx_scc_adopt_failed(a, "the copy");
    }

    (void) close(fd);

    return rc;
}


/* The torn tail goes first, durably: a seal is never followed by rubbish. */

static ngx_int_t
ngx_scc_adopt_seal(ngx_scc_adopt_t *a, scc_scan_t *scan)
{
    u_char     block[SCC_JOURNAL_BLOCK];
    scc_buf_t  b;

    scc_buf_fixed(&b, block, sizeof(block));

    if (scc_batch_seal(&b, &scan->chain) != SCC_OK) {
        ngx_set_errno(NGX_ENOMEM);
        return ngx_scc_adopt_failed(a, "a seal");
    }

    if (ftruncate(a->fd, (off_t) scan->pos) == -1
        || fsync(a->fd) == -1
        || ngx_scc_disk_write(a->fd, b.start, b.used, (off_t) scan->pos)
           != NGX_OK
        || fsync(a->fd) == -1)
    {
        return ngx_scc_adopt_failed(a, "sealing");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_scc_adopt_rename(ngx_scc_adopt_t *a, const char *suffix)
{
    char  path[NGX_MAX_PATH];

    if (ngx_scc_adopt_name(a, path, suffix) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rename(a->path, path) == -1
        || ngx_scc_disk_sync_dir(a->dir) != NGX_OK)
    {
        return ngx_scc_adopt_failed(a, "rename()");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_scc_adopt_failed(ngx_scc_adopt_t *a, const char *what)
{
    ngx_log_error(NGX_LOG_ERR, a->log, ngx_errno,
                  "scc: journal segment %s/%s, left by its writer, could not "
                  "be finished: %s failed; its records are applied all the "
                  "same, check the disk", a->dir, a->base, what);

    return NGX_ERROR;
}
