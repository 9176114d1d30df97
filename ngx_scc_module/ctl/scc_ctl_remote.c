
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scc_ctl_disk.h"
#include "scc_ctl_remote.h"
#include "scc_ctl_spawn.h"


static char *scc_ctl_remote_path(const scc_ctl_remote_t *r,
    const char *object);
static int scc_ctl_remote_folders(const scc_ctl_remote_t *r, char *path);
static int scc_ctl_remote_place(const scc_ctl_remote_t *r,
    const char *object, scc_str_t bytes, const uint8_t sha256[32]);
static int scc_ctl_remote_run(const scc_ctl_remote_t *r, const char *command,
    const char *object, scc_str_t in, uint64_t size,
    const uint8_t sha256[32], scc_ctl_spawn_t *sp);
static int scc_ctl_remote_printed(scc_str_t text, uint8_t sha256[32]);


int
scc_ctl_remote_init(scc_ctl_remote_t *r, const char *command,
    const char *dir, const char *put, const char *get, const char *sum,
    const char *timeout, bool write)
{
    memset(r, 0, sizeof(scc_ctl_remote_t));

    r->dir = dir;
    r->put = put;
    r->get = get;
    r->sum = sum;
    r->timeout = 300ULL * 1000000000;

    if (timeout != NULL && scc_ctl_duration(timeout, &r->timeout) != 0) {
        scc_ctl_usage(command, "\"%s\" is no time: write 30s, 5m or 2h",
                      timeout);
        return -1;
    }

    if (dir != NULL ? (put != NULL || get != NULL || sum != NULL)
                    : (put == NULL && get == NULL && sum == NULL))
    {
        scc_ctl_usage(command, "say where the copies are: --to DIR%s, not "
                      "both", write ? ", or --command" : ", or --get or "
                      "--sum");
        return -1;
    }

    if (dir == NULL && write && put == NULL) {
        scc_ctl_usage(command, "--get and --sum only read: how is a copy "
                      "sent?  --command CMD");
        return -1;
    }

    if (dir == NULL && (get == NULL) == (sum == NULL)) {
        scc_ctl_usage(command, "a copy is believed when it was read back: "
                      "give one of --get CMD (writes the object's bytes) "
                      "and --sum CMD (writes their SHA-256)");
        return -1;
    }

    return 0;
}


int
scc_ctl_remote_put(const scc_ctl_remote_t *r, const char *object,
    scc_str_t bytes, const uint8_t sha256[32])
{
    int              rc;
    uint8_t          digest[32];
    scc_ctl_spawn_t  sp;

    if (r->dir != NULL) {
        return scc_ctl_remote_place(r, object, bytes, sha256);
    }

    memset(&sp, 0, sizeof(scc_ctl_spawn_t));

    if (scc_ctl_remote_run(r, r->put, object, bytes, bytes.len, sha256, &sp)
        != 0)
    {
        return -1;
    }

    rc = scc_ctl_remote_sum(r, object, bytes.len, sha256, digest);

    if (rc == 0 && memcmp(digest, sha256, 32) != 0) {
        scc_ctl_error("\"%s\" was sent, but what comes back is something "
                      "else; is the upload cut off, or --command and %s not "
                      "about the same place?", object,
                      r->get != NULL ? "--get" : "--sum");
        return -1;
    }

    return rc == 0 ? 0 : -1;
}


int
scc_ctl_remote_sum(const scc_ctl_remote_t *r, const char *object,
    uint64_t size, const uint8_t expected[32], uint8_t sha256[32])
{
    int              rc;
    char            *path;
    scc_str_t        none = scc_null_string;
    scc_ctl_spawn_t  sp;

    if (r->dir != NULL) {
        path = scc_ctl_remote_path(r, object);
        rc = (path != NULL) ? scc_ctl_disk_sum(path, sha256) : -1;

        if (rc < 0 && path != NULL) {
            scc_ctl_error("cannot read \"%s\": %s", path, strerror(errno));
        }

        free(path);

        return rc;
    }

    memset(&sp, 0, sizeof(scc_ctl_spawn_t));

    if (r->get != NULL) {
        sp.sha256 = true;

        rc = scc_ctl_remote_run(r, r->get, object, none, size, expected,
                                &sp);
        memcpy(sha256, sp.digest, 32);

        return rc;
    }

    rc = scc_ctl_remote_run(r, r->sum, object, none, size, expected, &sp);

    if (rc == 0 && scc_ctl_remote_printed(sp.text, sha256) != 0) {
        scc_ctl_error("--sum did not write a SHA-256 in hexadecimal for "
                      "\"%s\"", object);
        rc = -1;
    }

    return rc;
}


int
scc_ctl_remote_drop(const scc_ctl_remote_t *r, const char *object)
{
    int        rc;
    char      *path;
    uint8_t    sha256[32];
    scc_str_t  none = scc_null_string;

    if (r->dir == NULL) {
        return scc_ctl_sha256("", 0, sha256) == 0
               ? scc_ctl_remote_put(r, object, none, sha256) : -1;
    }

    path = scc_ctl_remote_path(r, object);
    if (path == NULL) {
        return -1;
    }

    rc = 0;

    if (unlink(path) != 0 && errno != ENOENT) {
        scc_ctl_error("cannot remove \"%s\": %s", path, strerror(errno));
        rc = -1;
    }

    free(path);

    return rc;
}


int
scc_ctl_remote_there(const scc_ctl_remote_t *r, const char *object,
    bool known)
{
    int          rc;
    char        *path;
    struct stat  st;

    if (r->dir == NULL) {
        return 0;
    }

    if (stat(r->dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
        scc_ctl_error("\"%s\" is no directory; make it, or mount what should "
                      "be there", r->dir);
        return -1;
    }

    path = scc_ctl_remote_path(r, object);
    if (path == NULL) {
        return -1;
    }

    rc = 0;

    if (known && stat(path, &st) != 0) {
        scc_ctl_error("\"%s\" is not there, although copies were shipped to "
                      "\"%s\" before: is it mounted?  Where it is a new "
                      "place, make this folder first", path, r->dir);
        rc = -1;
    }

    free(path);

    return rc;
}


bool
scc_ctl_remote_same(const scc_ctl_remote_t *r, const struct stat *st)
{
    struct stat  dir;

    return r->dir != NULL && stat(r->dir, &dir) == 0
           && dir.st_dev == st->st_dev;
}


static char *
scc_ctl_remote_path(const scc_ctl_remote_t *r, const char *object)
{
    char  *path;

    if (asprintf(&path, "%s/%s", r->dir, object) == -1) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    return path;
}


/* Each folder's name is safe before anything is said to be in it. */

static int
scc_ctl_remote_folders(const scc_ctl_remote_t *r, char *path)
{
    char  *p;

    for (p = path + strlen(r->dir) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';

        if (mkdir(path, 0700) == 0) {
            if (scc_ctl_disk_sync_folder(path) != 0) {
                scc_ctl_error("cannot sync the folder of \"%s\": %s", path,
                              strerror(errno));
                *p = '/';
                return -1;
            }

        } else if (errno != EEXIST) {
            scc_ctl_error("cannot make the directory \"%s\": %s", path,
                          strerror(errno));
            *p = '/';
            return -1;
        }

        *p = '/';
    }

    return 0;
}


/* Read back before it has its name: what is there under it is whole. */

static int
scc_ctl_remote_place(const scc_ctl_remote_t *r, const char *object,
    scc_str_t bytes, const uint8_t sha256[32])
{
    int      rc;
    char    *path, *tmp;
    uint8_t  digest[32];

    tmp = NULL;
    path = scc_ctl_remote_path(r, object);

    if (path == NULL || scc_ctl_remote_folders(r, path) != 0) {
        free(path);
        return -1;
    }

    rc = -1;
    tmp = scc_ctl_disk_temp(path, bytes);

    if (tmp == NULL) {
        scc_ctl_error("cannot write beside \"%s\": %s", path,
                      strerror(errno));

    } else if (scc_ctl_disk_sum(tmp, digest) != 0) {
        scc_ctl_error("cannot read \"%s\" back: %s", tmp, strerror(errno));

    } else if (memcmp(digest, sha256, 32) != 0) {
        scc_ctl_error("\"%s\" was written, but what is read back is "
                      "something else: is its disk failing?", tmp);

    } else if (scc_ctl_disk_rename(tmp, path) != 0) {
        scc_ctl_error("cannot give \"%s\" its name: %s", path,
                      strerror(errno));

    } else {
        rc = 0;
    }

    if (rc != 0 && tmp != NULL) {
        (void) unlink(tmp);
    }

    free(tmp);
    free(path);

    return rc;
}


static int
scc_ctl_remote_run(const scc_ctl_remote_t *r, const char *command,
    const char *object, scc_str_t in, uint64_t size,
    const uint8_t sha256[32], scc_ctl_spawn_t *sp)
{
    char  hex[65], number[24];

    scc_ctl_hex(hex, sha256);
    snprintf(number, sizeof(number), "%llu", (unsigned long long) size);

    if (setenv("SCC_OBJECT", object, 1) != 0
        || setenv("SCC_SIZE", number, 1) != 0
        || setenv("SCC_SHA256", hex, 1) != 0)
    {
        scc_ctl_error("out of memory");
        return -1;
    }

    sp->command = command;
    sp->in = in;
    sp->timeout = r->timeout;

    switch (scc_ctl_spawn(sp)) {

    case SCC_CTL_SPAWN_DONE:
        return 0;

    case SCC_CTL_SPAWN_EXIT:
        scc_ctl_error("%s ended with %d for \"%s\"; what it says is above",
                      command == r->put ? "--command"
                      : command == r->get ? "--get" : "--sum",
                      sp->code, object);
        return -1;

    case SCC_CTL_SPAWN_LATE:
        scc_ctl_error("%s took more than %llu s for \"%s\" and was stopped; "
                      "is the other side reachable?  (--timeout)",
                      command == r->put ? "--command"
                      : command == r->get ? "--get" : "--sum",
                      (unsigned long long) (r->timeout / 1000000000), object);
        return -1;

    default:
        scc_ctl_error("cannot run a command for \"%s\": %s", object,
                      strerror(errno));
        return -1;
    }
}


static int
scc_ctl_remote_printed(scc_str_t text, uint8_t sha256[32])
{
    size_t   i;
    uint8_t  c;

    memset(sha256, 0, 32);

    for (i = 0; i < 64; i++) {
        c = (i < text.len) ? text.data[i] : 'x';

        c = (uint8_t) (c >= '0' && c <= '9' ? c - '0'
                       : c >= 'a' && c <= 'f' ? c - 'a' + 10
                       : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16);

        if (c == 16) {
            return -1;
        }

        sha256[i / 2] = (uint8_t) (sha256[i / 2] << 4 | c);
    }

    return 0;
}
