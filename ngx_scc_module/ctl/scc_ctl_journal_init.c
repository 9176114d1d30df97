
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

#include "scc_contribution.h"
#include "scc_ctl_disk.h"
#include "scc_ctl_journal.h"


#define SCC_CTL_UUID  37                /* with a newline */


static int scc_ctl_init_dir(const char *dir);
static int scc_ctl_init_segments(char *dir, const uint8_t store[16]);
static int scc_ctl_init_write(const char *dir, const uint8_t store[16]);
static int scc_ctl_init_parent(const char *dir, const char *parent);
static int scc_ctl_init_own(const char *dir, int fd);
static int scc_ctl_init_owner(const char *dir);
static int scc_ctl_init_sync(const char *dir);
static void scc_ctl_init_uuid(char text[SCC_CTL_UUID + 1],
    const uint8_t id[16]);


int
scc_ctl_journal_init(char *dir, const uint8_t store[16])
{
    int          rc;
    char         text[SCC_CTL_UUID + 1], other[SCC_CTL_UUID + 1];
    uint8_t      found[16];
    struct stat  st;

    scc_ctl_init_uuid(text, store);

    if (scc_ctl_init_dir(dir) != 0) {
        return SCC_CTL_FAILED;
    }

    rc = scc_ctl_journal_store(dir, found);

    if (rc < 0) {
        return SCC_CTL_FAILED;
    }

    if (rc == 0 && memcmp(found, store, 16) != 0) {
        scc_ctl_init_uuid(other, found);
        scc_ctl_error("\"%s\" is a journal of store %.36s, not of %.36s; name "
                      "another directory, or the other store", dir, other,
                      text);
        return SCC_CTL_FAILED;
    }

    if (rc == 0) {
        printf("already initialised: \"%s\", journal of store %.36s\n", dir,
               text);
        return (scc_ctl_init_owner(dir) == 0 && scc_ctl_init_sync(dir) == 0)
               ? SCC_CTL_OK : SCC_CTL_FAILED;
    }

    if (scc_ctl_init_segments(dir, store) != 0
        || scc_ctl_init_write(dir, store) != 0)
    {
        return SCC_CTL_FAILED;
    }

    printf("new journal \"%s\" of store %.36s\n", dir, text);

    if (stat(dir, &st) == 0 && st.st_uid == 0) {
        printf("it belongs to root; if nginx's workers do not run as root, "
               "give it to\ntheir user: chown -R USER \"%s\"\n", dir);
    }

    return SCC_CTL_OK;
}


static int
scc_ctl_init_dir(const char *dir)
{
    int           rc;
    char         *parent, *slash;
    struct stat   st;

    if (mkdir(dir, 0700) == 0) {

        parent = strdup(dir);
        if (parent == NULL) {
            scc_ctl_error("out of memory");
            return -1;
        }

        /* the new name has to survive as well */

        for (slash = parent + strlen(parent);
             slash > parent + 1 && slash[-1] == '/';
             slash--)
        {
            slash[-1] = '\0';
        }

        slash = strrchr(parent, '/');

        if (slash != NULL) {
            slash[slash == parent] = '\0';
        }

        rc = scc_ctl_init_parent(dir, slash != NULL ? parent : ".");
        free(parent);

        return rc;
    }

    if (errno != EEXIST) {
        scc_ctl_error("cannot create directory \"%s\": %s", dir,
                      strerror(errno));
        return -1;
    }

    if (stat(dir, &st) != 0) {
        scc_ctl_error("cannot read \"%s\": %s", dir, strerror(errno));
        return -1;
    }

    if (!S_ISDIR(st.st_mode)) {
        scc_ctl_error("\"%s\" is no directory; name one", dir);
        return -1;
    }

    if (st.st_mode & 077) {
        scc_ctl_error("\"%s\" is open to others (mode %04o), but "
                      "contributions are personal data; chmod 700 it, or "
                      "name a directory that is to be made", dir,
                      (unsigned) st.st_mode & 07777);
        return -1;
    }

    return 0;
}


/* DIR/store may have been lost; its segments still say whose they are. */

static int
scc_ctl_init_segments(char *dir, const uint8_t store[16])
{
    int                 rc;
    char                text[SCC_CTL_UUID + 1];
    size_t              i;
    scc_ctl_journal_t   j;
    scc_ctl_segment_t  *s;

    rc = scc_ctl_journal_list(&j, 1, &dir);

    for (i = 0; rc == 0 && i < j.n; i++) {
        s = &j.segments[i];

        if (scc_ctl_segment_load(s) < 0) {
            rc = -1;

        } else if (s->known && memcmp(s->head.store, store, 16) != 0) {
            scc_ctl_init_uuid(text, s->head.store);
            scc_ctl_error("\"%s\" is a segment of store %.36s; name another "
                          "directory, or that store", s->path, text);
            rc = -1;
        }

        scc_ctl_segment_unload(s);
    }

    scc_ctl_journal_free(&j);

    return rc;
}


/* Whole, or not there: written beside, synced, then linked to its name. */

static int
scc_ctl_init_write(const char *dir, const uint8_t store[16])
{
    int          fd, rc;
    char        *path, *tmp, text[SCC_CTL_UUID + 1];
    const char  *what;

    scc_ctl_init_uuid(text, store);

    if (asprintf(&path, "%s/store", dir) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    if (asprintf(&tmp, "%s.%ld", path, (long) getpid()) == -1) {
        scc_ctl_error("out of memory");
        free(path);
        return -1;
    }

    rc = -1;
    what = "create";
    fd = open(tmp, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    if (fd != -1) {
        what = "write";

        if (scc_ctl_init_own(dir, fd) == 0
            && write(fd, text, SCC_CTL_UUID) == SCC_CTL_UUID
            && fsync(fd) == 0)
        {
            what = "name";
            rc = link(tmp, path);
        }
    }

    if (rc != 0) {
        scc_ctl_error("cannot %s \"%s\": %s", what, path, strerror(errno));
    }

    if (fd != -1) {
        (void) close(fd);
        (void) unlink(tmp);
    }

    if (rc == 0) {
        rc = scc_ctl_init_sync(dir);
    }

    free(path);
    free(tmp);

    return rc;
}


/*
 * A directory that root makes is for the one in whose directory it is made,
 * and not for whoever may make names there.
 */

static int
scc_ctl_init_parent(const char *dir, const char *parent)
{
    struct stat  st;

    if (geteuid() == 0
        && stat(parent, &st) == 0
        && st.st_uid != 0
        && !(st.st_mode & (S_IWGRP|S_IWOTH))
        && lchown(dir, st.st_uid, st.st_gid) != 0)
    {
        scc_ctl_error("cannot give \"%s\" to the owner of \"%s\": %s", dir,
                      parent, strerror(errno));
        return -1;
    }

    return scc_ctl_init_sync(parent);
}


/* What root makes in a directory is its owner's. */

static int
scc_ctl_init_own(const char *dir, int fd)
{
    struct stat  st, now;

    if (geteuid() != 0) {
        return 0;
    }

    if (stat(dir, &st) != 0 || fstat(fd, &now) != 0) {
        return -1;
    }

    if (now.st_uid == st.st_uid && now.st_gid == st.st_gid) {
        return 0;
    }

    return fchown(fd, st.st_uid, st.st_gid);
}


/*
 * DIR/store of an earlier run may still be root's.  Its name is its owner's
 * to change: no link is followed, and no file that has another name given
 * away.
 */

static int
scc_ctl_init_owner(const char *dir)
{
    int           fd, rc;
    char         *path;
    struct stat   st;

    if (geteuid() != 0) {
        return 0;
    }

    if (asprintf(&path, "%s/store", dir) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    rc = -1;
    fd = open(path, O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);

    if (fd != -1 && fstat(fd, &st) == 0) {

        if (!S_ISREG(st.st_mode)
            || st.st_nlink != 1
            || (scc_ctl_init_own(dir, fd) == 0 && fsync(fd) == 0))
        {
            rc = 0;
        }
    }

    if (rc != 0) {
        scc_ctl_error("cannot give \"%s\" to the owner of \"%s\": %s", path,
                      dir, strerror(errno));
    }

    if (fd != -1) {
        (void) close(fd);
    }

    free(path);

    return rc;
}


static int
scc_ctl_init_sync(const char *dir)
{
    int  rc;

    rc = scc_ctl_disk_sync_dir(dir);

    if (rc != 0) {
        scc_ctl_error("cannot sync directory \"%s\": %s", dir,
                      strerror(errno));
    }

    return rc;
}


static void
scc_ctl_init_uuid(char text[SCC_CTL_UUID + 1], const uint8_t id[16])
{
    scc_buf_t  b;

    scc_buf_fixed(&b, text, SCC_CTL_UUID + 1);
    scc_uuid_write(&b, id);
    scc_buf_byte(&b, '\n');
    scc_buf_byte(&b, '\0');
}
