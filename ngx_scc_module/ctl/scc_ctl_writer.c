
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "scc_contribution.h"
#include "scc_ctl_disk.h"
#include "scc_ctl_segment.h"
#include "scc_ctl_writer.h"


#define SCC_CTL_WRITER_SEGMENT  (16 * 1024 * 1024)
#define SCC_CTL_WRITER_BATCH    (4 * 1024 * 1024)   /* of records */


struct scc_ctl_writer_s {
    char                 *dir;
    char                 *path;         /* of the segment's .open file */
    int                   fd;           /* -1: no segment */
    off_t                 pos;
    off_t                 size;         /* preallocated */
    uint8_t               id[16];
    scc_chain_t           chain;

    uint8_t               store[16];
    uint8_t               writer[16];
    uint8_t               previous[16];
    uint32_t              previous_chain;
    uint64_t              number;
    uint64_t              last_hlc;     /* synced */
    char                  host[SCC_JOURNAL_HOST_MAX + 1];

    scc_buf_t             records;      /* header, records, padding */
    scc_buf_t             seal;
    scc_batch_t           batch;
};


static int scc_ctl_writer_store(const char *dir, const uint8_t store[16]);
static int scc_ctl_writer_put(scc_ctl_writer_t *w, bool again);
static int scc_ctl_writer_create(scc_ctl_writer_t *w, size_t batch);
static int scc_ctl_writer_head(scc_ctl_writer_t *w, uint64_t created);
static int scc_ctl_writer_file(scc_ctl_writer_t *w, const uint8_t *block);
static int scc_ctl_writer_owner(const scc_ctl_writer_t *w);
static int scc_ctl_writer_append(scc_ctl_writer_t *w, const scc_buf_t *b);
static int scc_ctl_writer_seal(scc_ctl_writer_t *w);
static void scc_ctl_writer_leave(scc_ctl_writer_t *w);
static int scc_ctl_writer_pwrite(int fd, const uint8_t *p, size_t size,
    off_t offset);


scc_ctl_writer_t *
scc_ctl_writer_open(const char *dir, const uint8_t store[16])
{
    scc_ctl_writer_t  *w;

    if (scc_ctl_writer_store(dir, store) != 0) {
        return NULL;
    }

    w = calloc(1, sizeof(scc_ctl_writer_t));

    if (w == NULL) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    w->fd = -1;
    memcpy(w->store, store, 16);

    scc_buf_heap(&w->records, 0);
    scc_buf_heap(&w->seal, 0);
    scc_batch_begin(&w->batch, &w->records);

    w->dir = strdup(dir);

    if (w->dir == NULL) {
        scc_ctl_error("out of memory");
        (void) scc_ctl_writer_close(w);
        return NULL;
    }

    if (getrandom(w->writer, 16, 0) != 16) {
        scc_ctl_error("the kernel gives no random bytes");
        (void) scc_ctl_writer_close(w);
        return NULL;
    }

    if (gethostname(w->host, sizeof(w->host) - 1) != 0) {
        w->host[0] = '\0';
    }

    return w;
}


bool
scc_ctl_writer_fits(const scc_ctl_writer_t *w, const scc_record_t *r)
{
    return w->batch.n == 0
           || w->records.used + scc_record_size(r) <= SCC_CTL_WRITER_BATCH;
}


void
scc_ctl_writer_add(scc_ctl_writer_t *w, const scc_record_t *r)
{
    scc_record_write(&w->records, r);
    scc_batch_add(&w->batch, r);
}


const uint8_t *
scc_ctl_writer_sync(scc_ctl_writer_t *w)
{
    int  err;

    if (w->records.error) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    err = scc_ctl_writer_put(w, false);

    if (err != 0 && w->fd != -1) {
        scc_ctl_error("the journal in \"%s\" could not be written: %s; trying "
                      "once more with a new segment, check the disk", w->dir,
                      strerror(err));

        scc_ctl_writer_leave(w);
        err = scc_ctl_writer_put(w, true);
    }

    if (err != 0) {
        scc_ctl_error("the journal in \"%s\" cannot be written: %s; make "
                      "room or repair the disk, and run this again", w->dir,
                      strerror(err));

        scc_ctl_writer_leave(w);
        return NULL;
    }

    w->last_hlc = w->batch.last_hlc;
    scc_batch_begin(&w->batch, &w->records);

    return w->id;
}


int
scc_ctl_writer_close(scc_ctl_writer_t *w)
{
    int  err;

    if (w == NULL) {
        return 0;
    }

    err = scc_ctl_writer_seal(w);

    if (err != 0) {
        scc_ctl_error("\"%s\" could not be sealed: %s; it holds all that was "
                      "written to it, and nginx will seal it; check the disk",
                      w->path, strerror(err));
    }

    scc_ctl_writer_leave(w);

    scc_buf_free(&w->records);
    scc_buf_free(&w->seal);
    free(w->path);
    free(w->dir);
    free(w);

    return err != 0 ? -1 : 0;
}


static int
scc_ctl_writer_store(const char *dir, const uint8_t store[16])
{
    int      rc;
    uint8_t  found[16];

    rc = scc_ctl_journal_store(dir, found);

    if (rc < 0) {
        return -1;
    }

    if (rc > 0) {
        scc_ctl_error("\"%s\" is no journal; make it one with \"sccctl "
                      "journal init %s\"", dir, dir);
        return -1;
    }

    if (memcmp(found, store, 16) != 0) {
        scc_ctl_error("\"%s\" is the journal of another store; name this "
                      "store's, or check SCC_PG", dir);
        return -1;
    }

    return 0;
}


/* 0, or the errno for which the segment has to be left. */

static int
scc_ctl_writer_put(scc_ctl_writer_t *w, bool again)
{
    int          err;
    scc_rc_t     rc;
    scc_chain_t  chain;

    /* room for the batch as a whole, and for a seal */

    if (w->fd != -1
        && w->pos + (off_t) w->records.used + 2 * SCC_JOURNAL_BLOCK > w->size)
    {
        err = scc_ctl_writer_seal(w);

        if (err != 0) {
            scc_ctl_error("\"%s\" could not be sealed: %s; nginx will do it, "
                          "check the disk", w->path, strerror(err));
        }

        scc_ctl_writer_leave(w);
    }

    if (w->fd == -1) {
        err = scc_ctl_writer_create(w, w->records.used);

        if (err != 0) {
            return err;
        }
    }

    chain = w->chain;

    rc = again ? scc_batch_move(&w->batch, &chain)
               : scc_batch_finish(&w->batch, &chain);

    if (rc != SCC_OK) {
        return ENOMEM;
    }

    err = scc_ctl_writer_append(w, &w->records);

    if (err == 0) {
        w->chain = chain;
    }

    return err;
}


static int
scc_ctl_writer_create(scc_ctl_writer_t *w, size_t batch)
{
    int              err;
    char            *path;
    uint64_t         created;
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    created = (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;

    if (asprintf(&path, "%s/%016llx-%08x-%04x.open", w->dir,
                 (unsigned long long) created / 1000000,
                 (unsigned) getpid(), (unsigned) (w->number & 0xffff))
        == -1)
    {
        return ENOMEM;
    }

    free(w->path);
    w->path = path;
    w->size = SCC_CTL_WRITER_SEGMENT;

    if ((off_t) batch + 4 * SCC_JOURNAL_BLOCK > w->size) {
        w->size = ((off_t) batch / SCC_JOURNAL_BLOCK + 4) * SCC_JOURNAL_BLOCK;
    }

    w->fd = open(path, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    if (w->fd == -1) {
        return errno;
    }

    err = scc_ctl_writer_head(w, created);

    if (err != 0) {

        /* nothing relies on it yet */

        (void) unlink(path);
        (void) close(w->fd);
        w->fd = -1;

        return err;
    }

    w->number++;

    return 0;
}


static int
scc_ctl_writer_head(scc_ctl_writer_t *w, uint64_t created)
{
    int            err;
    uint8_t        block[SCC_JOURNAL_BLOCK];
    uint32_t       chain;
    scc_segment_t  head;

    memset(&head, 0, sizeof(scc_segment_t));

    if (getrandom(head.segment, 16, 0) != 16) {
        return errno;
    }

    memcpy(head.writer, w->writer, 16);
    memcpy(head.store, w->store, 16);
    memcpy(head.previous, w->previous, 16);

    head.previous_chain = w->previous_chain;
    head.number = w->number;
    head.created = created;
    head.last_hlc = w->last_hlc;
    head.host.data = (const uint8_t *) w->host;
    head.host.len = strlen(w->host);

    chain = scc_segment_write(block, &head);

    err = scc_ctl_writer_file(w, block);

    if (err != 0) {
        return err;
    }

    w->pos = SCC_JOURNAL_BLOCK;
    memcpy(w->id, head.segment, 16);
    scc_chain_begin(&w->chain, &head, chain);

    return 0;
}


/* Locked before it has anything in it, with its room taken at once. */

static int
scc_ctl_writer_file(scc_ctl_writer_t *w, const uint8_t *block)
{
    int  err;

    if (flock(w->fd, LOCK_EX|LOCK_NB) == -1) {
        return errno;
    }

    err = scc_ctl_writer_owner(w);

    if (err != 0) {
        return err;
    }

    do {
        err = posix_fallocate(w->fd, 0, w->size);
    } while (err == EINTR);

    if (err != 0) {
        return err;
    }

    err = scc_ctl_writer_pwrite(w->fd, block, SCC_JOURNAL_BLOCK, 0);

    if (err != 0) {
        return err;
    }

    if (fsync(w->fd) == -1) {
        return errno;
    }

    return scc_ctl_disk_sync_dir(w->dir) == 0 ? 0 : errno;
}


/* Root's import must not leave what nginx's workers cannot read. */

static int
scc_ctl_writer_owner(const scc_ctl_writer_t *w)
{
    struct stat  st;

    if (geteuid() != 0) {
        return 0;
    }

    if (stat(w->dir, &st) == -1
        || fchown(w->fd, st.st_uid, st.st_gid) == -1)
    {
        return errno;
    }

    return 0;
}


static int
scc_ctl_writer_append(scc_ctl_writer_t *w, const scc_buf_t *b)
{
    int          err;
    struct stat  st;

    err = scc_ctl_writer_pwrite(w->fd, b->start, b->used, w->pos);

    if (err != 0) {
        return err;
    }

    if (fdatasync(w->fd) == -1) {
        return errno;
    }

    /* what was removed under us is durable for nobody */

    if (fstat(w->fd, &st) == -1) {
        return errno;
    }

    if (st.st_nlink == 0) {
        return ENOENT;
    }

    w->pos += (off_t) b->used;

    return 0;
}


/* Of a segment that never failed. */

static int
scc_ctl_writer_seal(scc_ctl_writer_t *w)
{
    int          err;
    char        *path;
    size_t       len;
    scc_chain_t  chain;

    if (w->fd == -1) {
        return 0;
    }

    chain = w->chain;

    if (scc_batch_seal(&w->seal, &chain) != SCC_OK) {
        return ENOMEM;
    }

    err = scc_ctl_writer_append(w, &w->seal);

    if (err != 0) {
        return err;
    }

    /* the preallocated rest holds nothing */

    if (ftruncate(w->fd, w->pos) == -1 || fsync(w->fd) == -1) {
        return errno;
    }

    path = strdup(w->path);

    if (path == NULL) {
        return ENOMEM;
    }

    len = strlen(path) - (sizeof("open") - 1);
    memcpy(path + len, "seg", sizeof("seg"));

    err = (scc_ctl_disk_rename(w->path, path) == 0) ? 0 : errno;
    free(path);

    return err;
}


/* The lock goes with the descriptor. */

static void
scc_ctl_writer_leave(scc_ctl_writer_t *w)
{
    if (w->fd != -1) {
        memcpy(w->previous, w->id, 16);
        w->previous_chain = w->chain.chain;

        (void) close(w->fd);
        w->fd = -1;
    }
}


static int
scc_ctl_writer_pwrite(int fd, const uint8_t *p, size_t size, off_t offset)
{
    ssize_t  n;

    while (size != 0) {
        n = pwrite(fd, p, size, offset);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            return errno;
        }

        if (n == 0) {
            return ENOSPC;
        }

        p += n;
        size -= (size_t) n;
        offset += n;
    }

    return 0;
}
