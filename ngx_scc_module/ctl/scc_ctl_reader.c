
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

#include "scc_ctl_reader.h"


#define SCC_CTL_READER_IN   (64 * 1024)
#define SCC_CTL_READER_OUT  (256 * 1024)

#define SCC_CTL_GZIP        (16 + MAX_WBITS)    /* zlib: only gzip */


struct scc_ctl_reader_s {
    const char         *name;
    int                 fd;
    bool                started;
    bool                gzip;
    bool                member;     /* inside a gzip member */
    bool                eof;
    uint64_t            offset;
    uint64_t            size;
    z_stream            z;
    uint8_t             in[SCC_CTL_READER_IN];
    uint8_t             out[SCC_CTL_READER_OUT];
};


static int scc_ctl_reader_start(scc_ctl_reader_t *r);
static int scc_ctl_reader_inflate(scc_ctl_reader_t *r, const uint8_t **data,
    size_t *len);
static int scc_ctl_reader_fill(scc_ctl_reader_t *r, size_t keep);


scc_ctl_reader_t *
scc_ctl_reader_open(const char *name)
{
    struct stat        st;
    scc_ctl_reader_t  *r;

    r = calloc(1, sizeof(scc_ctl_reader_t));
    if (r == NULL) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    r->name = name;
    r->fd = STDIN_FILENO;

    if (strcmp(name, "-") == 0) {
        r->name = "standard input";

    } else {
        r->fd = open(name, O_RDONLY|O_CLOEXEC);

        if (r->fd == -1) {
            scc_ctl_error("%s: cannot open: %s", name, strerror(errno));
            free(r);
            return NULL;
        }
    }

    if (fstat(r->fd, &st) == 0) {

        if (S_ISDIR(st.st_mode)) {
            scc_ctl_error("%s: is a directory; name its files", r->name);
            scc_ctl_reader_close(r);
            return NULL;
        }

        if (S_ISREG(st.st_mode) && st.st_size > 0) {
            r->size = (uint64_t) st.st_size;
        }
    }

    return r;
}


void
scc_ctl_reader_close(scc_ctl_reader_t *r)
{
    if (r == NULL) {
        return;
    }

    if (r->gzip) {
        inflateEnd(&r->z);
    }

    if (r->fd != STDIN_FILENO) {
        close(r->fd);
    }

    free(r);
}


int
scc_ctl_reader_next(scc_ctl_reader_t *r, const uint8_t **data, size_t *len)
{
    if (!r->started && scc_ctl_reader_start(r) != 0) {
        return -1;
    }

    if (r->gzip) {
        return scc_ctl_reader_inflate(r, data, len);
    }

    if (r->z.avail_in == 0 && scc_ctl_reader_fill(r, 0) != 0) {
        return -1;
    }

    *data = r->z.next_in;
    *len = r->z.avail_in;

    r->z.avail_in = 0;

    return 0;
}


uint64_t
scc_ctl_reader_offset(const scc_ctl_reader_t *r)
{
    return r->offset - r->z.avail_in;
}


uint64_t
scc_ctl_reader_size(const scc_ctl_reader_t *r)
{
    return r->size;
}


int
scc_ctl_reader_fd(const scc_ctl_reader_t *r)
{
    return r->fd;
}


int
scc_ctl_reader_feed(const char *name, scc_ctl_feed_pt feed, void *ctx)
{
    int                rc;
    size_t             len;
    scc_rc_t           done;
    scc_err_t          err;
    const uint8_t     *data;
    scc_ctl_reader_t  *r;

    r = scc_ctl_reader_open(name);

    if (r == NULL) {
        return -1;
    }

    memset(&err, 0, sizeof(scc_err_t));

    do {
        rc = scc_ctl_reader_next(r, &data, &len);

        if (rc != 0) {
            break;
        }

        done = feed(ctx, data, len, &err);

        if (done != SCC_OK) {
            scc_ctl_error("%s: %s", name, done == SCC_DECLINED
                          ? err.text : "out of memory");
            rc = -1;
        }

    } while (rc == 0 && len > 0);

    scc_ctl_reader_close(r);

    return rc;
}


static int
scc_ctl_reader_start(scc_ctl_reader_t *r)
{
    r->started = true;

    while (r->z.avail_in < 2 && !r->eof) {
        if (scc_ctl_reader_fill(r, r->z.avail_in) != 0) {
            return -1;
        }
    }

    if (r->z.avail_in < 2 || r->in[0] != 0x1f || r->in[1] != 0x8b) {
        return 0;
    }

    if (inflateInit2(&r->z, SCC_CTL_GZIP) != Z_OK) {
        scc_ctl_error("out of memory");
        return -1;
    }

    r->gzip = true;
    r->member = true;

    return 0;
}


static int
scc_ctl_reader_inflate(scc_ctl_reader_t *r, const uint8_t **data,
    size_t *len)
{
    int  rc;

    r->z.next_out = r->out;
    r->z.avail_out = SCC_CTL_READER_OUT;

    while (r->z.avail_out == SCC_CTL_READER_OUT) {

        if (r->z.avail_in == 0 && scc_ctl_reader_fill(r, 0) != 0) {
            return -1;
        }

        if (r->z.avail_in == 0) {

            if (r->member) {
                scc_ctl_error("%s: the gzip data ends in the middle; is "
                              "the file cut off?", r->name);
                return -1;
            }

            break;
        }

        if (!r->member) {
            if (inflateReset(&r->z) != Z_OK) {
                scc_ctl_error("%s: zlib failed", r->name);
                return -1;
            }

            r->member = true;
        }

        rc = inflate(&r->z, Z_NO_FLUSH);

        if (rc == Z_STREAM_END) {
            r->member = false;
            continue;
        }

        if (rc != Z_OK && rc != Z_BUF_ERROR) {
            scc_ctl_error("%s: the gzip data is damaged near byte %llu: %s",
                          r->name,
                          (unsigned long long) scc_ctl_reader_offset(r),
                          r->z.msg != NULL ? r->z.msg : "zlib failed");
            return -1;
        }
    }

    *data = r->out;
    *len = SCC_CTL_READER_OUT - r->z.avail_out;

    return 0;
}


/* Reads once, behind the "keep" bytes that are there. */

static int
scc_ctl_reader_fill(scc_ctl_reader_t *r, size_t keep)
{
    ssize_t  n;

    r->z.next_in = r->in;
    r->z.avail_in = (uInt) keep;

    if (r->eof) {
        return 0;
    }

    do {
        n = read(r->fd, r->in + keep, SCC_CTL_READER_IN - keep);
    } while (n == -1 && errno == EINTR);

    if (n == -1) {
        scc_ctl_error("%s: cannot read: %s", r->name, strerror(errno));
        return -1;
    }

    if (n == 0) {
        r->eof = true;
        return 0;
    }

    r->z.avail_in += (uInt) n;
    r->offset += (uint64_t) n;

    return 0;
}
