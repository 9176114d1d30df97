
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


/*
 * Preloaded into nginx by the fault tests: the disk, the clock and the
 * moment of death are what a shared page of memory says (shim.py).  Only
 * descriptors of files below the path named there are touched.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>


#undef pwrite
#undef open
#undef posix_fallocate
#undef ftruncate


enum {
    OP_PWRITE = 0,
    OP_FDATASYNC,
    OP_FSYNC,
    OP_FALLOCATE,
    OP_OPEN,
    OP_RENAME,
    OP_FTRUNCATE,
    OP_UNLINK,
    OPS
};

enum { MODE_PLAIN = 0, MODE_SHORT, MODE_SHORT_ERROR, MODE_LOSE };
enum { KILL_BEFORE = 1, KILL_AFTER, KILL_ANSWER };

#define FDS  4096


typedef struct {
    _Atomic int32_t   left;             /* calls until it fails, from 1;
                                           0: never */
    int32_t           err;
    int32_t           mode;
    _Atomic uint32_t  calls;
    _Atomic uint32_t  hits;
    _Atomic int32_t   count;
} op_t;

typedef struct {
    char              magic[8];
    char              pad[8];
    op_t              op[OPS];
    _Atomic uint32_t  delay;
    _Atomic uint32_t  nosync;
    _Atomic uint32_t  resynced;
    _Atomic uint32_t  killed;
    _Atomic int64_t   clock;
    _Atomic uint32_t  kill;
    _Atomic int32_t   skip;             /* so many times first */
    char              pattern[64];
    char              path[128];
    char              title[64];
    _Atomic uint32_t  names;            /* 1: keep what became of names;
                                           2: and sync no directory */
    _Atomic uint32_t  again;            /* a sync that fails is asked again,
                                           and believed */
} page_t;

_Static_assert(sizeof(op_t) == 24, "as in shim.py");
_Static_assert(offsetof(page_t, delay) == 16 + 24 * OPS, "as in shim.py");
_Static_assert(offsetof(page_t, pattern) == 16 + 24 * OPS + 32,
               "as in shim.py");
_Static_assert(offsetof(page_t, names) == 16 + 24 * OPS + 288,
               "as in shim.py");

typedef struct {
    off_t             offset;           /* of the last write */
    size_t            size;
    int               failed;           /* a sync of it failed */
    int               error;            /* of the next write */
    int               asked;            /* the pattern was sent on it */
} fd_t;


uint32_t scc_shim_crc32c(const uint8_t *p, size_t size);
static void shim_begin(void) __attribute__((constructor));

static page_t       *page;
static fd_t          fds[FDS];
static char          names[512];        /* file of what became of names */

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static int (*real_fallocate)(int, off_t, off_t);
static int (*real_open)(const char *, int, ...);
static int (*real_rename)(const char *, const char *);
static int (*real_ftruncate)(int, off_t);
static int (*real_unlink)(const char *);
static int (*real_close)(int);
static int (*real_gettimeofday)(struct timeval *, void *);
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static ssize_t (*real_send)(int, const void *, size_t, int);
static ssize_t (*real_recv)(int, void *, size_t, int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);


static void
shim_begin(void)
{
    int          fd;
    void        *p;
    const char  *name;

    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fallocate = dlsym(RTLD_NEXT, "posix_fallocate64");
    real_open = dlsym(RTLD_NEXT, "open64");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_close = dlsym(RTLD_NEXT, "close");
    real_gettimeofday = dlsym(RTLD_NEXT, "gettimeofday");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_send = dlsym(RTLD_NEXT, "send");
    real_recv = dlsym(RTLD_NEXT, "recv");
    real_write = dlsym(RTLD_NEXT, "write");
    real_read = dlsym(RTLD_NEXT, "read");
    real_writev = dlsym(RTLD_NEXT, "writev");

    name = getenv("SCC_SHIM");

    if (name == NULL) {
        return;
    }

    fd = real_open(name, O_RDWR|O_CLOEXEC);

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    real_close(fd);

    if (p != MAP_FAILED && memcmp(p, "SCCSHIM1", 8) == 0) {
        snprintf(names, sizeof(names), "%s.names", name);
        page = p;
    }
}


static int
below(const char *path)
{
    size_t  n;

    n = strlen(page->path);

    return n != 0 && strncmp(path, page->path, n) == 0;
}


static int
ours(int fd)
{
    char     name[64], path[512];
    ssize_t  n;

    if (page == NULL || fd < 0 || fd >= FDS) {
        return 0;
    }

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    n = readlink(name, path, sizeof(path) - 1);

    if (n <= 0) {
        return 0;
    }

    path[n] = '\0';

    return below(path);
}


/* Counts the call; the errno if it has to fail. */

static int
due(int i)
{
    op_t     *op;
    int32_t   left;

    op = &page->op[i];
    atomic_fetch_add(&op->calls, 1);

    left = atomic_load(&op->left);

    while (left > 1) {
        if (atomic_compare_exchange_weak(&op->left, &left, left - 1)) {
            return 0;
        }
    }

    if (left != 1 || atomic_fetch_sub(&op->count, 1) <= 0) {
        return 0;
    }

    atomic_fetch_add(&op->hits, 1);

    return op->err;
}


/*
 * What becomes of names, a line each: "C path", "R from to", and "S size"
 * when a directory was synced: what was in this file before byte "size" is
 * durable.  Without the latter POSIX promises none of it, whatever the file
 * system of the day does.
 */

static void
note(const char *op, const char *a, const char *b)
{
    int   fd, n;
    char  line[1200];

    if (page->names == 0) {
        return;
    }

    n = snprintf(line, sizeof(line), "%s %s %s\n", op, a, b);
    fd = real_open(names, O_WRONLY|O_APPEND|O_CLOEXEC);

    if (fd == -1) {
        return;
    }

    if (n < 0 || real_write(fd, line, (size_t) n) != n) {
        abort();
    }

    real_close(fd);
}


static int
sync_names(int fd)
{
    int          rc;
    char         size[32];
    struct stat  st;

    if (page->names == 2) {
        return 0;
    }

    if (stat(names, &st) == -1) {
        abort();
    }

    rc = real_fsync(fd);

    if (rc == 0) {
        snprintf(size, sizeof(size), "%lld", (long long) st.st_size);
        note("S", size, "");
    }

    return rc;
}


static int
directory(int fd)
{
    struct stat  st;

    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}


ssize_t
pwrite64(int fd, const void *p, size_t size, off_t offset)
{
    int      err, mode;
    ssize_t  n;

    if (!ours(fd)) {
        return real_pwrite(fd, p, size, offset);
    }

    if (fds[fd].error) {
        errno = fds[fd].error;
        fds[fd].error = 0;
        return -1;
    }

    err = due(OP_PWRITE);
    mode = page->op[OP_PWRITE].mode;

    if (err && mode == MODE_PLAIN) {
        errno = err;
        return -1;
    }

    if (err && size > 1) {
        size /= 2;

        if (mode == MODE_SHORT_ERROR) {
            fds[fd].error = err;
        }
    }

    n = real_pwrite(fd, p, size, offset);

    if (n > 0) {
        fds[fd].offset = offset;
        fds[fd].size = (size_t) n;
    }

    return n;
}


ssize_t
pwrite(int fd, const void *p, size_t size, off_t offset)
{
    return pwrite64(fd, p, size, offset);
}


/* As the kernel does it: what was written is dropped, and marked clean. */

static void
lose(int fd)
{
    size_t  n, size;
    char    zeros[4096];

    memset(zeros, 0, sizeof(zeros));
    size = fds[fd].size / 2;

    while (size) {
        n = size < sizeof(zeros) ? size : sizeof(zeros);

        if (real_pwrite(fd, zeros, n, fds[fd].offset) != (ssize_t) n) {
            return;
        }

        fds[fd].offset += (off_t) n;
        size -= n;
    }
}


static int
sync_with(int fd, int i, int (*real)(int))
{
    int  err;

    if (!ours(fd)) {
        return real(fd);
    }

    if (fds[fd].failed) {
        atomic_fetch_add(&page->resynced, 1);
        return 0;
    }

    err = due(i);

    if (err) {
        fds[fd].failed = 1;

        if (page->op[i].mode == MODE_LOSE) {
            lose(fd);
        }

        errno = err;
        return -1;
    }

    if (page->delay && i == OP_FDATASYNC) {
        usleep(page->delay);
    }

    if (page->nosync) {
        return 0;
    }

    if (page->names && directory(fd)) {
        return sync_names(fd);
    }

    err = real(fd);

    if (err == -1 && page->again) {
        atomic_fetch_add(&page->resynced, 1);
        err = real(fd);
    }

    return err;
}


int
fdatasync(int fd)
{
    return sync_with(fd, OP_FDATASYNC, real_fdatasync);
}


int
fsync(int fd)
{
    return sync_with(fd, OP_FSYNC, real_fsync);
}


int
posix_fallocate64(int fd, off_t offset, off_t size)
{
    int  err;

    err = ours(fd) ? due(OP_FALLOCATE) : 0;

    return err ? err : real_fallocate(fd, offset, size);
}


int
posix_fallocate(int fd, off_t offset, off_t size)
{
    return posix_fallocate64(fd, offset, size);
}


int
open64(const char *path, int flags, ...)
{
    int      fd, err;
    mode_t   mode;
    va_list  args;

    mode = 0;

    if (flags & (O_CREAT|O_TMPFILE)) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }

    if (page == NULL || !(flags & O_CREAT) || !below(path)) {
        return real_open(path, flags, mode);
    }

    err = due(OP_OPEN);

    if (err) {
        errno = err;
        return -1;
    }

    fd = real_open(path, flags, mode);

    if (fd != -1) {
        note("C", path, "");
    }

    return fd;
}


int
open(const char *path, int flags, ...)
{
    mode_t   mode;
    va_list  args;

    mode = 0;

    if (flags & (O_CREAT|O_TMPFILE)) {
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }

    return open64(path, flags, mode);
}


int
rename(const char *from, const char *to)
{
    int  rc, err;

    if (page == NULL || !below(from)) {
        return real_rename(from, to);
    }

    err = due(OP_RENAME);

    if (err) {
        errno = err;
        return -1;
    }

    rc = real_rename(from, to);

    if (rc == 0) {
        note("R", from, to);
    }

    return rc;
}


int
ftruncate64(int fd, off_t size)
{
    int  err;

    err = ours(fd) ? due(OP_FTRUNCATE) : 0;

    if (err) {
        errno = err;
        return -1;
    }

    return real_ftruncate(fd, size);
}


int
ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}


int
unlink(const char *path)
{
    int  err;

    err = (page && below(path)) ? due(OP_UNLINK) : 0;

    if (err) {
        errno = err;
        return -1;
    }

    return real_unlink(path);
}


int
close(int fd)
{
    if (fd >= 0 && fd < FDS) {
        memset(&fds[fd], 0, sizeof(fd_t));
    }

    return real_close(fd);
}


/* The clock */

int
gettimeofday(struct timeval *tv, void *zone)
{
    int      rc;
    int64_t  ns;

    rc = real_gettimeofday(tv, zone);

    if (rc == 0 && page && page->clock) {
        ns = ((int64_t) tv->tv_sec * 1000000 + tv->tv_usec) * 1000
             + page->clock;
        tv->tv_sec = ns / 1000000000;
        tv->tv_usec = ns % 1000000000 / 1000;
    }

    return rc;
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int      rc;
    int64_t  ns;

    rc = real_clock_gettime(id, ts);

    if (rc == 0 && page && page->clock
        && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
    {
        ns = (int64_t) ts->tv_sec * 1000000000 + ts->tv_nsec + page->clock;
        ts->tv_sec = ns / 1000000000;
        ts->tv_nsec = ns % 1000000000;
    }

    return rc;
}


time_t
time(time_t *t)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    if (t) {
        *t = ts.tv_sec;
    }

    return ts.tv_sec;
}


/* Death at a moment of a conversation */

static int
has(const void *p, size_t size)
{
    return memmem(p, size, page->pattern, strlen(page->pattern)) != NULL;
}


static int
titled(void)
{
    int      fd;
    char     text[512];
    ssize_t  n;

    if (page->title[0] == '\0') {
        return 1;
    }

    fd = real_open("/proc/self/cmdline", O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return 0;
    }

    n = real_read(fd, text, sizeof(text));
    real_close(fd);

    return n > 0 && memmem(text, (size_t) n, page->title,
                           strlen(page->title)) != NULL;
}


static void
die(void)
{
    uint32_t  armed;

    armed = atomic_exchange(&page->kill, 0);

    if (armed) {
        atomic_fetch_add(&page->killed, 1);
        kill(getpid(), SIGKILL);
    }
}


/* 0: not the moment */

static uint32_t
moment(int fd, const void *p, size_t size)
{
    uint32_t  when;

    if (page == NULL || fd < 0 || fd >= FDS) {
        return 0;
    }

    when = page->kill;

    if (when == 0 || !has(p, size) || !titled()
        || atomic_fetch_sub(&page->skip, 1) > 0)
    {
        return 0;
    }

    if (when == KILL_BEFORE) {
        die();
    }

    fds[fd].asked = 1;

    return when;
}


static void
answered(int fd, ssize_t n)
{
    if (page && n > 0 && fd >= 0 && fd < FDS && fds[fd].asked
        && page->kill == KILL_ANSWER)
    {
        die();
    }
}


ssize_t
send(int fd, const void *p, size_t size, int flags)
{
    ssize_t   n;
    uint32_t  when;

    when = moment(fd, p, size);
    n = real_send(fd, p, size, flags);

    if (when == KILL_AFTER && n > 0) {
        die();
    }

    return n;
}


ssize_t
write(int fd, const void *p, size_t size)
{
    ssize_t   n;
    uint32_t  when;

    when = moment(fd, p, size);
    n = real_write(fd, p, size);

    if (when == KILL_AFTER && n > 0) {
        die();
    }

    return n;
}


ssize_t
writev(int fd, const struct iovec *iov, int count)
{
    int       i;
    ssize_t   n;
    uint32_t  when;

    when = 0;

    for (i = 0; i < count && when == 0; i++) {
        when = moment(fd, iov[i].iov_base, iov[i].iov_len);
    }

    n = real_writev(fd, iov, count);

    if (when == KILL_AFTER && n > 0) {
        die();
    }

    return n;
}


ssize_t
recv(int fd, void *p, size_t size, int flags)
{
    ssize_t  n;

    n = real_recv(fd, p, size, flags);
    answered(fd, n);

    return n;
}


ssize_t
read(int fd, void *p, size_t size)
{
    ssize_t  n;

    n = real_read(fd, p, size);
    answered(fd, n);

    return n;
}


/* The tests' own checksum of the journal. */

uint32_t
scc_shim_crc32c(const uint8_t *p, size_t size)
{
    int              k;
    uint32_t         c, i;
    static uint32_t  table[256];

    if (table[1] == 0) {
        for (i = 0; i < 256; i++) {
            c = i;

            for (k = 0; k < 8; k++) {
                c = (c & 1) ? c >> 1 ^ 0x82f63b78 : c >> 1;
            }

            table[i] = c;
        }
    }

    c = 0xffffffff;

    while (size--) {
        c = c >> 8 ^ table[(c ^ *p++) & 0xff];
    }

    return ~c;
}
