
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


/*
 * LD_PRELOAD for the tests: fsync() and fdatasync() of segments, with faults
 * on demand.  The directory in SCC_SHIM says which:
 *
 *     fail-once   the next sync fails with EIO, and takes the file away
 *     fail        every sync fails with EIO
 *     stop        syncs wait while it is there
 *     wall        the wall clock is three days ahead
 *     boot        so is the time since boot: the machine was idle
 *     list        of a directory only the first names can be read, then EIO
 *
 * Each sync is a line of SCC_SHIM/log: pid, call, path, result.
 */

#define _GNU_SOURCE

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


#define SHIM_AHEAD  (3 * 24 * 60 * 60)      /* seconds */
#define SHIM_NAMES  3


static void shim_start(void) __attribute__((constructor));
static int shim_unreadable(void);
static int shim_sync(int fd, const char *call);
static int shim_is_segment(int fd, char *path, size_t size);
static int shim_there(const char *name, int take);
static void shim_log(const char *call, const char *path, int rc);


static char  shim_dir[3072];


int
fsync(int fd)
{
    return shim_sync(fd, "fsync");
}


int
fdatasync(int fd)
{
    return shim_sync(fd, "fdatasync");
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  (*real)(clockid_t, struct timespec *);
    int  rc;

    *(void **) &real = dlsym(RTLD_NEXT, "clock_gettime");

    rc = real(id, ts);

    if (rc == 0
        && ((id == CLOCK_REALTIME && shim_there("wall", 0))
            || (id == CLOCK_BOOTTIME && shim_there("boot", 0))))
    {
        ts->tv_sec += SHIM_AHEAD;
    }

    return rc;
}


int
gettimeofday(struct timeval *tv, void *tz)
{
    struct timespec  ts;

    (void) tz;

    if (clock_gettime(CLOCK_REALTIME, &ts) == -1) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}


struct dirent *
readdir(DIR *d)
{
    struct dirent  *(*real)(DIR *);

    *(void **) &real = dlsym(RTLD_NEXT, "readdir");

    return shim_unreadable() ? NULL : real(d);
}


struct dirent64 *
readdir64(DIR *d)
{
    struct dirent64  *(*real)(DIR *);

    *(void **) &real = dlsym(RTLD_NEXT, "readdir64");

    return shim_unreadable() ? NULL : real(d);
}


/* nginx clears its environment before it does anything of interest. */

static void
shim_start(void)
{
    const char  *dir;

    dir = getenv("SCC_SHIM");

    if (dir != NULL) {
        (void) snprintf(shim_dir, sizeof(shim_dir), "%s", dir);
    }
}


static int
shim_unreadable(void)
{
    int  err;

    static int  n;

    err = errno;

    if (shim_there("list", 0) && ++n > SHIM_NAMES) {
        errno = EIO;
        return 1;
    }

    errno = err;

    return 0;
}


static int
shim_sync(int fd, const char *call)
{
    int          (*real)(int);
    int            rc, err;
    char           path[4096];

    *(void **) &real = dlsym(RTLD_NEXT, call);

    if (shim_dir[0] == '\0' || !shim_is_segment(fd, path, sizeof(path))) {
        return real(fd);
    }

    while (shim_there("stop", 0)) {
        (void) usleep(1000);
    }

    if (shim_there("fail-once", 1) || shim_there("fail", 0)) {
        shim_log(call, path, -1);
        errno = EIO;
        return -1;
    }

    rc = real(fd);
    err = errno;

    shim_log(call, path, rc);
    errno = err;

    return rc;
}


static int
shim_is_segment(int fd, char *path, size_t size)
{
    char     link[64];
    ssize_t  n;

    (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);

    n = readlink(link, path, size - 1);

    if (n <= 0) {
        return 0;
    }

    path[n] = '\0';

    return strstr(path, ".open") != NULL;
}


static int
shim_there(const char *name, int take)
{
    char  path[4096];

    if (shim_dir[0] == '\0') {
        return 0;
    }

    (void) snprintf(path, sizeof(path), "%s/%s", shim_dir, name);

    return (take ? unlink(path) : access(path, F_OK)) == 0;
}


static void
shim_log(const char *call, const char *path, int rc)
{
    int      fd, n;
    char     log[4096], line[4200];
    ssize_t  done;

    (void) snprintf(log, sizeof(log), "%s/log", shim_dir);

    n = snprintf(line, sizeof(line), "%d %s %s %d\n", (int) getpid(), call,
                 path, rc);

    fd = open(log, O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0666);

    if (fd != -1) {
        done = write(fd, line, (size_t) n);
        (void) done;
        (void) close(fd);
    }
}
