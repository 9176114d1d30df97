
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "scc_probe.h"


#define SCC_PROBE_BLOCK  4096
#define SCC_PROBE_ROUNDS 16             /* of fast syncs: see below */
#define SCC_PROBE_FILE   (1024 * 1024)   /* bytes read of one of /proc */
#define SCC_PROBE_LEFT   3600           /* seconds; no trial takes so long */


static void scc_probe_dir(scc_audit_dir_t *d, scc_str_t mounts);
static void scc_probe_disk(scc_audit_dir_t *d);
static void scc_probe_bare(scc_audit_dir_t *d, const char *disk);
static void scc_probe_dir_try(scc_audit_dir_t *d, unsigned limit);
static void scc_probe_tidy(const char *dir);
static const char *scc_probe_steps(scc_audit_dir_t *d, const char *path,
    const char *to, unsigned limit);
static const char *scc_probe_syncs(scc_audit_dir_t *d, int fd, char *block,
    unsigned limit);
static uint64_t scc_probe_written(uint64_t dev);
static const char *scc_probe_read_back(const char *path, const char *block);
static uint64_t scc_probe_usec(void);
static int scc_probe_order(const void *a, const void *b);
static scc_str_t scc_probe_read(const char *path);
static const char *scc_probe_name(DIR *d, bool *whole);
static bool scc_probe_ends(const char *name, const char *end);


void
scc_probe_look(scc_audit_journal_t *j)
{
    unsigned       i;
    scc_str_t      text;
    struct rlimit  limit;

    text = scc_probe_read("/proc/self/mountinfo");

    for (i = 0; i < j->n; i++) {
        scc_probe_dir(&j->dirs[i], text);
    }

    free((void *) text.data);

    text = scc_probe_read("/proc/self/maps");

    scc_audit_maps(j->preload, text);

    free((void *) text.data);

    if (getrlimit(RLIMIT_FSIZE, &limit) == 0
        && limit.rlim_cur != RLIM_INFINITY)
    {
        j->limited = true;
        j->limit = limit.rlim_cur;
    }
}


void
scc_probe_try(scc_audit_journal_t *j, unsigned limit)
{
    unsigned  i;

    scc_probe_look(j);

    for (i = 0; i < j->n; i++) {
        if (j->dirs[i].error[0] == '\0') {
            scc_probe_dir_try(&j->dirs[i], limit);
        }
    }
}


uint64_t
scc_probe_dev(const char *dir)
{
    struct stat  st;

    return (stat(dir, &st) == 0) ? (uint64_t) st.st_dev : 0;
}


uint64_t
scc_probe_fs(const char *dir)
{
    struct statfs  fs;

    return (statfs(dir, &fs) == 0) ? (uint64_t) (uint32_t) fs.f_type : 0;
}


/* Redis 7 keeps a manifest and files in a directory; before, one file. */

void
scc_probe_queue(scc_audit_queue_t *q)
{
    int          rc;
    DIR         *d;
    char         path[2 * SCC_AUDIT_TEXT];
    bool         whole;
    size_t       len, size;
    struct stat  st;
    const char  *name;

    q->files = false;
    q->file = false;
    q->file_name[0] = '\0';
    q->file_ino = 0;
    q->fs_type = 0;

    if (q->dir[0] == '\0' || q->aof_name[0] == '\0') {
        return;
    }

    q->fs_type = scc_probe_fs(q->dir);

    if (q->aof_dir[0] == '\0') {
        snprintf(path, sizeof(path), "%s/%s", q->dir, q->aof_name);

        rc = stat(path, &st);

        if (rc != 0 && errno != ENOENT) {
            return;
        }

        q->files = true;
        q->file = (rc == 0);

        if (q->file) {
            memcpy(q->file_name, q->aof_name, sizeof(q->aof_name));
            q->file_ino = st.st_ino;
        }

        return;
    }

    snprintf(path, sizeof(path), "%s/%s", q->dir, q->aof_dir);

    d = opendir(path);

    if (d == NULL) {

        /* the data directory itself has to be there to say that */

        q->files = (errno == ENOENT && stat(q->dir, &st) == 0);
        return;
    }

    len = strlen(q->aof_name);

    while ((name = scc_probe_name(d, &whole)) != NULL) {
        size = strlen(name) + 1;

        if (strncmp(name, q->aof_name, len) != 0
            || !scc_probe_ends(name, ".incr.aof")
            || size > sizeof(q->file_name)
            || fstatat(dirfd(d), name, &st, 0) != 0
            || st.st_ino < q->file_ino)
        {
            continue;
        }

        q->file = true;
        q->file_ino = st.st_ino;
        memcpy(q->file_name, name, size);
    }

    /* of half a list it would look as if the file were another one */

    q->files = whole;

    (void) closedir(d);
}


uint64_t
scc_probe_age(const char *path)
{
    time_t       now;
    struct stat  st;

    if (stat(path, &st) != 0) {
        return UINT64_MAX;
    }

    now = time(NULL);

    return (now > st.st_mtime) ? (uint64_t) (now - st.st_mtime) : 0;
}


/* NAME.seg is sealed; NAME.shipped says that it is elsewhere, too. */

void
scc_probe_copy(scc_audit_copy_t *c)
{
    DIR         *d;
    char         path[SCC_AUDIT_PATH + 16], mark[256];
    size_t       len;
    time_t       now;
    struct stat  st;
    const char  *name;

    snprintf(path, sizeof(path), "%s/shipped", c->dir);

    c->tail = scc_probe_age(path);
    c->ever = (c->tail != UINT64_MAX);

    d = opendir(c->dir);

    if (d == NULL) {
        return;
    }

    now = time(NULL);

    while ((name = scc_probe_name(d, &c->known)) != NULL) {
        len = strlen(name);

        if (!scc_probe_ends(name, ".seg") || len > sizeof(mark) - 16) {
            continue;
        }

        memcpy(mark, name, len - 4);
        memcpy(mark + len - 4, ".shipped", sizeof(".shipped"));

        if (fstatat(dirfd(d), mark, &st, 0) == 0) {
            c->ever = true;
            continue;
        }

        if (fstatat(dirfd(d), name, &st, 0) != 0) {
            continue;
        }

        c->sealed++;

        if (now > st.st_mtime
            && (uint64_t) (now - st.st_mtime) > c->oldest)
        {
            c->oldest = (uint64_t) (now - st.st_mtime);
        }
    }

    (void) closedir(d);
}


static void
scc_probe_dir(scc_audit_dir_t *d, scc_str_t mounts)
{
    char            *path;
    struct stat      st;
    struct statfs    fs;
    struct statvfs   vfs;

    path = realpath(d->dir, NULL);

    if (path == NULL || stat(path, &st) != 0 || statfs(path, &fs) != 0
        || statvfs(path, &vfs) != 0)
    {
        scc_audit_cat(d->error, sizeof(d->error), strerror(errno));
        free(path);
        return;
    }

    if (!S_ISDIR(st.st_mode) || strlen(path) >= sizeof(d->path)) {
        scc_audit_cat(d->error, sizeof(d->error),
                      strerror(S_ISDIR(st.st_mode) ? ENAMETOOLONG : ENOTDIR));
        free(path);
        return;
    }

    snprintf(d->path, sizeof(d->path), "%s", path);
    free(path);

    d->fs_type = (uint32_t) fs.f_type;
    d->owner = st.st_uid;
    d->mode = st.st_mode & 07777;
    d->dev = st.st_dev;
    d->ino = st.st_ino;

    /* as df counts: without what is root's */

    d->bytes_free = (uint64_t) vfs.f_bavail * vfs.f_frsize;
    d->bytes = (uint64_t) (vfs.f_blocks - vfs.f_bfree + vfs.f_bavail)
               * vfs.f_frsize;
    d->files = vfs.f_files;
    d->files_free = vfs.f_favail;

    scc_audit_mount(d, mounts);

    scc_probe_disk(d);
}


/* Of a partition the queue is its disk's. */

static void
scc_probe_disk(scc_audit_dir_t *d)
{
    char        path[128], link[512];
    char       *name;
    ssize_t     n;
    unsigned    i;
    scc_str_t   text;

    static const char  *const queues[] = { "queue", "../queue" };

    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(d->dev),
             minor(d->dev));

    n = readlink(path, link, sizeof(link) - 1);

    if (n <= 0) {
        return;
    }

    link[n] = '\0';

    name = strrchr(link, '/') + 1;

    scc_probe_bare(d, name);

    if (strstr(link, "/virtio") == NULL) {
        return;
    }

    for (i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/write_cache",
                 major(d->dev), minor(d->dev), queues[i]);

        text = scc_probe_read(path);

        if (text.len != 0) {

            if (strncmp((const char *) text.data, "write through", 13) == 0) {
                snprintf(d->disk, sizeof(d->disk), "%.60s", name);
            }

            free((void *) text.data);
            return;
        }

        free((void *) text.data);
    }
}


/* The kernel's Documentation/ABI/testing/sysfs-fs-ext4 names the folder; of
   an ext4 without a journal the task reads "<none>". */

static void
scc_probe_bare(scc_audit_dir_t *d, const char *disk)
{
    char       path[128];
    scc_str_t  text;

    if (strcmp(d->fs, "ext4") != 0) {
        return;
    }

    snprintf(path, sizeof(path), "/sys/fs/ext4/%.60s/journal_task", disk);

    text = scc_probe_read(path);

    if (text.len != 0 && strncmp((const char *) text.data, "<none>", 6) == 0)
    {
        snprintf(d->bare, sizeof(d->bare), "%.60s", disk);
    }

    free((void *) text.data);
}


static void
scc_probe_dir_try(scc_audit_dir_t *d, unsigned limit)
{
    char         path[SCC_AUDIT_PATH + 64], to[SCC_AUDIT_PATH + 64];
    const char  *step;

    snprintf(path, sizeof(path), "%s/.probe-%ld", d->path, (long) getpid());
    snprintf(to, sizeof(to), "%s/.probed-%ld", d->path, (long) getpid());

    d->probed = true;

    scc_probe_tidy(d->path);

    step = scc_probe_steps(d, path, to, limit);

    if (step != NULL) {
        scc_audit_cat(d->failed, sizeof(d->failed), step);
        scc_audit_cat(d->failed, sizeof(d->failed), ": ");
        scc_audit_cat(d->failed, sizeof(d->failed), strerror(errno));

        (void) unlink(path);
        (void) unlink(to);
    }
}


/* A process that ends in the middle of its trial leaves the file behind. */

static void
scc_probe_tidy(const char *dir)
{
    DIR         *d;
    bool         whole;
    size_t       n;
    time_t       now;
    const char  *name;
    struct stat  st;

    d = opendir(dir);

    if (d == NULL) {
        return;
    }

    now = time(NULL);

    while ((name = scc_probe_name(d, &whole)) != NULL) {
        n = strncmp(name, ".probe-", 7) == 0 ? 7
            : strncmp(name, ".probed-", 8) == 0 ? 8 : 0;

        if (n != 0
            && name[n] != '\0'
            && name[n + strspn(name + n, "0123456789")] == '\0'
            && fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) == 0
            && S_ISREG(st.st_mode)
            && st.st_size <= SCC_PROBE_BLOCK
            && now - st.st_mtime > SCC_PROBE_LEFT)
        {
            (void) unlinkat(dirfd(d), name, 0);
        }
    }

    (void) closedir(d);
}


/* The name of the step that failed, and errno; NULL: all went well. */

static const char *
scc_probe_steps(scc_audit_dir_t *d, const char *path, const char *to,
    unsigned limit)
{
    int          fd, error;
    char         block[SCC_PROBE_BLOCK];
    unsigned     i;
    const char  *step;

    (void) unlink(path);

    fd = open(path, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    if (fd == -1) {
        return "create";
    }

    /* others write to the disk, too: each of many rounds must be counted */

    i = 0;

    do {
        step = scc_probe_syncs(d, fd, block, limit);

    } while (step == NULL && d->sync_usec < SCC_AUDIT_SYNC_FAST
             && d->disk_blocks >= d->syncs && ++i < SCC_PROBE_ROUNDS);

    if (step == NULL && fsync(fd) != 0) {
        step = "fsync";
    }

    error = errno;
    (void) close(fd);
    errno = error;

    if (step != NULL) {
        return step;
    }

    if (rename(path, to) != 0) {
        return "rename";
    }

    fd = open(d->path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return "open directory";
    }

    step = (fsync(fd) != 0) ? "fsync directory" : NULL;

    error = errno;
    (void) close(fd);
    errno = error;

    if (step == NULL) {
        step = scc_probe_read_back(to, block);
    }

    if (step == NULL && unlink(to) != 0) {
        step = "unlink";
    }

    return step;
}


static const char *
scc_probe_syncs(scc_audit_dir_t *d, int fd, char *block, unsigned limit)
{
    ssize_t   size;
    uint32_t  times[SCC_AUDIT_SYNCS];
    uint64_t  begin, from, to, written;
    unsigned  n;

    memset(times, 0, sizeof(times));
    written = scc_probe_written(d->dev);
    begin = scc_probe_usec();

    for (n = 0; n < SCC_AUDIT_SYNCS; n++) {

        /* what is read back must be of this time */

        from = scc_probe_usec();

        memset(block, (int) ('a' + n), SCC_PROBE_BLOCK);
        memcpy(block, &from, sizeof(from));

        size = pwrite(fd, block, SCC_PROBE_BLOCK, 0);

        if (size != SCC_PROBE_BLOCK) {
            errno = (size >= 0) ? ENOSPC : errno;
            return "write";
        }

        from = scc_probe_usec();

        if (fdatasync(fd) != 0) {
            return "fdatasync";
        }

        to = scc_probe_usec();

        times[n] = (uint32_t) (to - from);

        if (to - begin > (uint64_t) limit * 1000) {
            n++;
            break;
        }
    }

    d->syncs = n;
    d->disk_blocks = scc_probe_written(d->dev) - written;

    qsort(times, n, sizeof(times[0]), scc_probe_order);

    d->sync_usec = times[n / 2];

    return NULL;
}


/* Blocks that the disk, or partition, has taken; 0: it does not count.  The
   kernel's Documentation/block/stat.rst: the 7th number, of 512 bytes. */

static uint64_t
scc_probe_written(uint64_t dev)
{
    int          i;
    char         path[64], *p;
    uint64_t     sectors;
    scc_str_t    text;

    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(dev),
             minor(dev));

    text = scc_probe_read(path);

    p = (char *) text.data;
    sectors = 0;

    for (i = 0; i < 7 && p != NULL; i++) {
        sectors = strtoull(p, &p, 10);
    }

    free((void *) text.data);

    return sectors / (SCC_PROBE_BLOCK / 512);
}


/* From the disk, where the file system can read past its cache. */

static const char *
scc_probe_read_back(const char *path, const char *block)
{
    int       fd, error;
    void     *p;
    ssize_t   n;

    if (posix_memalign(&p, SCC_PROBE_BLOCK, SCC_PROBE_BLOCK) != 0) {
        errno = ENOMEM;
        return "read back";
    }

    fd = open(path, O_RDONLY|O_DIRECT|O_CLOEXEC);

    if (fd == -1 && errno == EINVAL) {
        fd = open(path, O_RDONLY|O_CLOEXEC);
    }

    if (fd == -1) {
        error = errno;
        free(p);
        errno = error;
        return "read back";
    }

    n = pread(fd, p, SCC_PROBE_BLOCK, 0);

    error = (n == -1) ? errno
            : (n != SCC_PROBE_BLOCK || memcmp(p, block, SCC_PROBE_BLOCK) != 0)
              ? EIO : 0;

    (void) close(fd);
    free(p);

    errno = error;

    return (error != 0) ? "read back" : NULL;
}


static uint64_t
scc_probe_usec(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}


static int
scc_probe_order(const void *a, const void *b)
{
    uint32_t  x, y;

    x = *(const uint32_t *) a;
    y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}


/* malloc()ed; NULL and 0: it cannot be read. */

static scc_str_t
scc_probe_read(const char *path)
{
    int         fd;
    char       *p;
    ssize_t     n;
    scc_str_t   text;

    text.len = 0;
    text.data = NULL;

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return text;
    }

    p = malloc(SCC_PROBE_FILE + 1);

    if (p != NULL) {

        do {
            n = read(fd, p + text.len, SCC_PROBE_FILE - text.len);
            text.len += (n > 0) ? (size_t) n : 0;

        } while (n > 0 && text.len < SCC_PROBE_FILE);

        p[text.len] = '\0';
        text.data = (const uint8_t *) p;
    }

    (void) close(fd);

    return text;
}


/* The next name; NULL: there is none, or, and then the list is not whole,
   it cannot be read. */

static const char *
scc_probe_name(DIR *d, bool *whole)
{
    struct dirent  *e;

    errno = 0;
    e = readdir(d);

    *whole = (e != NULL || errno == 0);

    return (e != NULL) ? e->d_name : NULL;
}


static bool
scc_probe_ends(const char *name, const char *end)
{
    size_t  n, len;

    n = strlen(name);
    len = strlen(end);

    return n > len && strcmp(name + n - len, end) == 0;
}
