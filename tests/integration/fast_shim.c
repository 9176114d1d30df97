
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


/*
 * LD_PRELOAD for the tests of J4: the monotonic clock is a thousand times
 * slower, so that every sync seems to take no time.  SCC_FAST=lie: and
 * fdatasync() does nothing.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>


int
clock_gettime(clockid_t id, struct timespec *now)
{
    int        rc;
    long long  ns;

    static int  (*real)(clockid_t, struct timespec *);

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "clock_gettime");
    }

    rc = real(id, now);

    if (rc == 0 && id == CLOCK_MONOTONIC) {
        ns = (now->tv_sec * 1000000000LL + now->tv_nsec) / 1000;
        now->tv_sec = (time_t) (ns / 1000000000);
        now->tv_nsec = (long) (ns % 1000000000);
    }

    return rc;
}


int
fdatasync(int fd)
{
    const char  *how;

    static int  (*real)(int);

    how = getenv("SCC_FAST");

    if (how != NULL && strcmp(how, "lie") == 0) {
        return 0;
    }

    if (real == NULL) {
        *(void **) &real = dlsym(RTLD_NEXT, "fdatasync");
    }

    return real(fd);
}
