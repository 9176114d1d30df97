
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_watch.h"
#include "scc_contribution.h"

#include <dirent.h>


#define NGX_SCC_SAMPLE_SEGMENTS  4
#define NGX_SCC_SAMPLE_EACH      (NGX_SCC_SAMPLE_IDS / NGX_SCC_SAMPLE_SEGMENTS)
#define NGX_SCC_SAMPLE_BATCH     (1024 * 1024)      /* larger ones are left */
#define NGX_SCC_SAMPLE_NAME      100


/* One of all names that were seen, each with the same chance. */

typedef struct {
    char         name[NGX_SCC_SAMPLE_NAME];
    ngx_uint_t   seen;
} ngx_scc_sample_pick_t;


/* One of a segment's batches. */

typedef struct {
    off_t        pos;
    size_t       size;
    ngx_uint_t   seen;
} ngx_scc_sample_batch_t;


static void ngx_scc_sample_list(const ngx_str_t *dir,
    ngx_scc_sample_pick_t *picks);
static void ngx_scc_sample_segment(const ngx_str_t *dir, const char *base,
    scc_buf_t *b, ngx_uint_t *n, ngx_log_t *log);
static void ngx_scc_sample_batches(ngx_fd_t fd,
    ngx_scc_sample_batch_t *batches);
static void ngx_scc_sample_read(ngx_fd_t fd,
    const ngx_scc_sample_batch_t *batch, scc_buf_t *b, ngx_uint_t *n,
    ngx_uint_t *left, ngx_log_t *log);
static void ngx_scc_sample_records(scc_str_t records, scc_buf_t *b,
    ngx_uint_t *n, ngx_uint_t *left);


ngx_uint_t
ngx_scc_sample_ids(const ngx_scc_journal_conf_t *journal, ngx_str_t *ids,
    ngx_log_t *log)
{
    scc_buf_t              b;
    ngx_uint_t             i, n;
    const ngx_str_t       *dir;
    ngx_scc_sample_pick_t  picks[NGX_SCC_SAMPLE_SEGMENTS];

    n = 0;

    scc_buf_fixed(&b, ids->data, NGX_SCC_SAMPLE_LEN);
    scc_buf_byte(&b, '{');

    if (journal->n_dirs != 0) {
        ngx_memzero(picks, sizeof(picks));

        dir = &journal->dirs[(ngx_uint_t) ngx_random() % journal->n_dirs];

        ngx_scc_sample_list(dir, picks);

        for (i = 0; i < NGX_SCC_SAMPLE_SEGMENTS; i++) {
            if (picks[i].seen != 0) {
                ngx_scc_sample_segment(dir, picks[i].name, &b, &n, log);
            }
        }
    }

    scc_buf_byte(&b, '}');

    ids->len = b.used;

    return n;
}


/* Each name is offered to one of the picks. */

static void
ngx_scc_sample_list(const ngx_str_t *dir, ngx_scc_sample_pick_t *picks)
{
    DIR                    *d;
    char                   *dot;
    size_t                  len;
    struct dirent          *de;
    ngx_scc_sample_pick_t  *pick;

    d = opendir((char *) dir->data);

    if (d == NULL) {
        return;
    }

    while ((de = readdir(d)) != NULL) {
        dot = strrchr(de->d_name, '.');

        if (dot == NULL || ngx_strcmp(dot, ".applied") != 0) {
            continue;
        }

        len = (size_t) (dot - de->d_name);

        if (len >= NGX_SCC_SAMPLE_NAME) {
            continue;
        }

        pick = &picks[(ngx_uint_t) ngx_random() % NGX_SCC_SAMPLE_SEGMENTS];

        if ((ngx_uint_t) ngx_random() % ++pick->seen == 0) {
            ngx_memcpy(pick->name, de->d_name, len);
            pick->name[len] = '\0';
        }
    }

    (void) closedir(d);
}


/* A batch may hold one record only: as many of them as are needed. */

static void
ngx_scc_sample_segment(const ngx_str_t *dir, const char *base, scc_buf_t *b,
    ngx_uint_t *n, ngx_log_t *log)
{
    u_char                   path[NGX_MAX_PATH];
    ngx_fd_t                 fd;
    ngx_uint_t               i, left;
    ngx_scc_sample_batch_t   batches[NGX_SCC_SAMPLE_EACH];

    *ngx_snprintf(path, sizeof(path) - 1, "%V/%s.seg", dir, base) = '\0';

    fd = open((char *) path, O_RDONLY|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {
        return;                         /* it was just pruned */
    }

    ngx_memzero(batches, sizeof(batches));

    ngx_scc_sample_batches(fd, batches);

    left = NGX_SCC_SAMPLE_EACH;

    for (i = 0; i < NGX_SCC_SAMPLE_EACH && left != 0; i++) {
        if (batches[i].seen != 0) {
            ngx_scc_sample_read(fd, &batches[i], b, n, &left, log);
        }
    }

    (void) close(fd);
}


/* Each batch is offered to one of the picks. */

static void
ngx_scc_sample_batches(ngx_fd_t fd, ngx_scc_sample_batch_t *batches)
{
    off_t                    pos;
    size_t                   len;
    u_char                   block[SCC_JOURNAL_BLOCK];
    uint32_t                 chain;
    scc_segment_t            segment;
    scc_scan_batch_t         batch;
    ngx_scc_sample_batch_t  *pick;

    if (pread(fd, block, SCC_JOURNAL_BLOCK, 0) != SCC_JOURNAL_BLOCK
        || scc_segment_read(block, &segment, &chain) != SCC_OK)
    {
        return;
    }

    pos = SCC_JOURNAL_BLOCK;

    while (pread(fd, block, SCC_JOURNAL_BATCH, pos) == SCC_JOURNAL_BATCH
           && scc_scan_peek(&segment, block, &batch, &len) == SCC_OK
           && batch.n != 0)
    {
        pick = &batches[(ngx_uint_t) ngx_random() % NGX_SCC_SAMPLE_EACH];

        if (len <= NGX_SCC_SAMPLE_BATCH
            && (ngx_uint_t) ngx_random() % ++pick->seen == 0)
        {
            pick->pos = pos;
            pick->size = len;
        }

        pos += (off_t) len;
    }
}


static void
ngx_scc_sample_read(ngx_fd_t fd, const ngx_scc_sample_batch_t *batch,
    scc_buf_t *b, ngx_uint_t *n, ngx_uint_t *left, ngx_log_t *log)
{
    u_char     *p;
    scc_str_t   records;

    p = ngx_alloc(batch->size, log);

    if (p == NULL) {
        return;
    }

    if (pread(fd, p, batch->size, batch->pos) == (ssize_t) batch->size) {
        records.data = p + SCC_JOURNAL_BATCH;
        records.len = batch->size - SCC_JOURNAL_BATCH;

        ngx_scc_sample_records(records, b, n, left);
    }

    ngx_free(p);
}


static void
ngx_scc_sample_records(scc_str_t records, scc_buf_t *b, ngx_uint_t *n,
    ngx_uint_t *left)
{
    size_t        size;
    scc_rc_t      rc;
    scc_record_t  record;

    for ( /* void */ ; *left != 0; (*left)--) {
        rc = scc_record_read(records, &record, &size);

        if (size == 0) {
            return;
        }

        if (rc == SCC_OK) {

            if ((*n)++ != 0) {
                scc_buf_byte(b, ',');
            }

            scc_uuid_write(b, record.event_id);
        }

        records.data += size;
        records.len -= size;
    }
}
