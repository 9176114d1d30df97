
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "scc_ctl_disk.h"


#define SCC_CTL_DISK_ALIGN  4096
#define SCC_CTL_DISK_PIECE  (1024 * 1024)


static int scc_ctl_disk_owner(int fd, const char *path);
static int scc_ctl_disk_digest(const char *path, int flags,
    uint8_t sha256[32]);


char *
scc_ctl_disk_temp(const char *path, scc_str_t bytes)
{
    int    fd, saved;
    char  *tmp;

    if (asprintf(&tmp, "%s.tmp-XXXXXX", path) == -1) {
        return NULL;
    }

    fd = mkostemp(tmp, O_CLOEXEC);

    if (fd == -1) {
        free(tmp);
        return NULL;
    }

    if (scc_ctl_disk_put(fd, bytes) == 0
        && scc_ctl_disk_owner(fd, path) == 0
        && fsync(fd) == 0)
    {
        if (close(fd) == 0) {
            return tmp;
        }

        fd = -1;
    }

    saved = errno;

    if (fd != -1) {
        (void) close(fd);
    }

    (void) unlink(tmp);
    free(tmp);

    errno = saved;

    return NULL;
}


int
scc_ctl_disk_rename(const char *from, const char *to)
{
    return rename(from, to) == 0 ? scc_ctl_disk_sync_folder(to) : -1;
}


int
scc_ctl_disk_write(const char *path, scc_str_t bytes)
{
    int    rc, saved;
    char  *tmp;

    tmp = scc_ctl_disk_temp(path, bytes);
    if (tmp == NULL) {
        return -1;
    }

    rc = scc_ctl_disk_rename(tmp, path);

    if (rc != 0) {
        saved = errno;
        (void) unlink(tmp);
        errno = saved;
    }

    free(tmp);

    return rc;
}


int
scc_ctl_disk_put(int fd, scc_str_t bytes)
{
    size_t   done;
    ssize_t  n;

    for (done = 0; done < bytes.len; done += (size_t) n) {
        n = write(fd, bytes.data + done, bytes.len - done);

        if (n == 0) {
            errno = ENOSPC;
            return -1;
        }

        if (n == -1) {
            if (errno != EINTR) {
                return -1;
            }

            n = 0;
        }
    }

    return 0;
}


int
scc_ctl_disk_sync_dir(const char *dir)
{
    int  fd, rc, saved;

    fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return -1;
    }

    rc = fsync(fd);
    saved = errno;
    (void) close(fd);
    errno = saved;

    return rc;
}


int
scc_ctl_disk_sync_folder(const char *path)
{
    int          rc, saved;
    char        *folder;
    const char  *slash;

    slash = strrchr(path, '/');

    folder = (slash == NULL) ? strdup(".")
             : strndup(path, slash == path ? 1 : (size_t) (slash - path));

    if (folder == NULL) {
        return -1;
    }

    rc = scc_ctl_disk_sync_dir(folder);
    saved = errno;
    free(folder);
    errno = saved;

    return rc;
}


int
scc_ctl_disk_list(const char *dir,
    int (*each)(void *data, const char *dir, const char *name), void *data)
{
    int             rc;
    DIR            *d;
    struct dirent  *entry;

    rc = 0;
    d = opendir(dir);

    while (d != NULL && rc == 0) {
        errno = 0;
        entry = readdir(d);

        if (entry == NULL) {
            break;
        }

        rc = each(data, dir, entry->d_name);
    }

    if (rc == 0 && errno != 0) {
        scc_ctl_error("cannot read directory \"%s\": %s", dir,
                      strerror(errno));
        rc = -1;
    }

    if (d != NULL) {
        (void) closedir(d);
    }

    return rc;
}


int
scc_ctl_disk_sum(const char *path, uint8_t sha256[32])
{
    int  rc;

    rc = scc_ctl_disk_digest(path, O_DIRECT, sha256);

    if (rc == -1 && errno == EINVAL) {
        rc = scc_ctl_disk_digest(path, 0, sha256);
    }

    return rc;
}


int
scc_ctl_disk_read(const char *path, size_t max, scc_buf_t *b)
{
    int       fd, rc, saved;
    ssize_t   n;
    uint8_t   piece[4096];

    scc_buf_reset(b);

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return errno == ENOENT ? 1 : -1;
    }

    for ( ;; ) {
        n = read(fd, piece, sizeof(piece));

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n <= 0) {
            rc = (n == 0) ? 0 : -1;
            break;
        }

        if (b->used + (size_t) n > max) {
            errno = EFBIG;
            rc = -1;
            break;
        }

        scc_buf_mem(b, piece, (size_t) n);

        if (b->error) {
            errno = ENOMEM;
            rc = -1;
            break;
        }
    }

    saved = errno;
    (void) close(fd);
    errno = saved;

    return rc;
}


/* Root writes into the folders of those who run nginx. */

static int
scc_ctl_disk_owner(int fd, const char *path)
{
    int          rc;
    char        *folder;
    const char  *slash;
    struct stat  st;

    if (geteuid() != 0) {
        return 0;
    }

    slash = strrchr(path, '/');

    folder = (slash == NULL) ? strdup(".")
             : strndup(path, slash == path ? 1 : (size_t) (slash - path));

    if (folder == NULL) {
        return -1;
    }

    rc = stat(folder, &st);
    free(folder);

    return rc == 0 ? fchown(fd, st.st_uid, st.st_gid) : -1;
}


static int
scc_ctl_disk_digest(const char *path, int flags, uint8_t sha256[32])
{
    int          fd, rc, saved;
    void        *piece;
    ssize_t      n;
    unsigned     len;
    EVP_MD_CTX  *md;

    fd = open(path, O_RDONLY | O_CLOEXEC | flags);

    if (fd == -1) {
        return errno == ENOENT ? 1 : -1;
    }

    if (flags == 0) {
        (void) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    }

    rc = -1;
    piece = NULL;
    md = EVP_MD_CTX_new();

    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1
        || posix_memalign(&piece, SCC_CTL_DISK_ALIGN, SCC_CTL_DISK_PIECE)
           != 0)
    {
        errno = ENOMEM;
        goto done;
    }

    for ( ;; ) {
        n = read(fd, piece, SCC_CTL_DISK_PIECE);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            goto done;
        }

        if (n == 0) {
            break;
        }

        (void) EVP_DigestUpdate(md, piece, (size_t) n);
    }

    if (EVP_DigestFinal_ex(md, sha256, &len) == 1 && len == 32) {
        rc = 0;

    } else {
        errno = ENOSYS;
    }

done:

    saved = errno;
    EVP_MD_CTX_free(md);
    free(piece);
    (void) close(fd);
    errno = saved;

    return rc;
}
