
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_walk.h"
#include "ngx_scc_adopt.h"
#include "ngx_scc_disk.h"


#define NGX_SCC_WALK_AGE     2          /* s; what is younger in a live
                                           segment the queue has */
#define NGX_SCC_WALK_WINDOW  (4 * 1024 * 1024)      /* read at once */
#define NGX_SCC_WALK_ITEMS   500        /* are enough for one turn */
#define NGX_SCC_WALK_KEEP    (8 * 1024 * 1024)      /* of memory */


static ngx_int_t ngx_scc_walk_begin(ngx_scc_walk_t *w, ngx_fd_t fd);
static ngx_int_t ngx_scc_walk_fill(ngx_scc_walk_t *w, ngx_fd_t fd,
    size_t size);
static ngx_int_t ngx_scc_walk_scan(ngx_scc_walk_t *w, size_t end,
    size_t size);
static ngx_int_t ngx_scc_walk_salvage(ngx_scc_walk_t *w, ngx_fd_t fd,
    size_t size);
static ssize_t ngx_scc_walk_pread(ngx_scc_walk_t *w, ngx_fd_t fd, size_t pos,
    size_t size);
static ngx_uint_t ngx_scc_walk_young(ngx_scc_walk_t *w,
    scc_scan_batch_t *batch);
static ngx_int_t ngx_scc_walk_items(ngx_scc_walk_t *w, scc_scan_t *scan,
    scc_scan_batch_t *batch);
static void ngx_scc_walk_mark(ngx_scc_walk_t *w);
static void ngx_scc_walk_trim(ngx_scc_walk_t *w, size_t keep);
static const char *ngx_scc_walk_path(ngx_scc_walk_t *w, const char *suffix);


void
ngx_scc_walk_init(ngx_scc_walk_t *w, ngx_scc_apply_t *apply)
{
    ngx_memzero(w, sizeof(ngx_scc_walk_t));

    w->apply = apply;

    ngx_queue_init(&w->units);
}


void
ngx_scc_walk_destroy(ngx_scc_walk_t *w)
{
    ngx_queue_t     *q;
    ngx_scc_unit_t  *unit;

    while (!ngx_queue_empty(&w->units)) {
        q = ngx_queue_head(&w->units);
        unit = ngx_queue_data(q, ngx_scc_unit_t, queue);
        ngx_scc_walk_forget(unit);
    }

    ngx_scc_walk_trim(w, 0);
}


void
ngx_scc_walk_end(ngx_scc_walk_t *w)
{
    w->unit = NULL;
    w->n_items = 0;

    ngx_scc_walk_trim(w, NGX_SCC_WALK_KEEP);
}


ngx_int_t
ngx_scc_walk_next(ngx_scc_walk_t *w)
{
    ngx_queue_t  *q;

    q = (w->unit == NULL) ? ngx_queue_head(&w->units)
                          : ngx_queue_next(&w->unit->queue);

    if (q == ngx_queue_sentinel(&w->units)) {
        return NGX_DONE;
    }

    w->unit = ngx_queue_data(q, ngx_scc_unit_t, queue);

    return NGX_OK;
}


ngx_int_t
ngx_scc_walk_read(ngx_scc_walk_t *w)
{
    ngx_fd_t          fd;
    ngx_int_t         rc;
    struct stat       st;
    ngx_scc_unit_t   *unit;

    unit = w->unit;

    w->n_items = 0;
    w->ended = 0;

    if (unit->over || unit->rests) {
        return NGX_DONE;
    }

    if (!unit->sealed && !unit->damaged && !unit->adopted) {
        unit->adopted = 1;

        switch (ngx_scc_adopt((char *) w->apply->journal->dirs[unit->dir].data,
                              unit->base, w->apply->log))
        {
        case NGX_OK:
            unit->sealed = 1;
            break;

        case NGX_DECLINED:
            unit->damaged = 1;
            break;

        case NGX_DONE:
            unit->over = 1;
            return NGX_DONE;

        default:
            break;
        }
    }

    fd = open(ngx_scc_walk_path(w, unit->sealed ? ".seg" : ".open"),
              O_RDONLY|O_CLOEXEC);

    if (fd == NGX_INVALID_FILE) {

        if (ngx_errno != NGX_ENOENT) {
            ngx_log_error(NGX_LOG_ERR, w->apply->log, ngx_errno,
                          "scc: journal segment %s cannot be opened; what "
                          "the queue loses of it is not found again",
                          ngx_scc_walk_path(w, ""));
        }

        return NGX_ERROR;
    }

    if (fstat(fd, &st) == -1) {
        rc = NGX_ERROR;
        goto done;
    }

    if (unit->begun && unit->ino != st.st_ino) {
        unit->begun = 0;
    }

    unit->ino = st.st_ino;

    if (!unit->begun && !unit->damaged) {
        rc = ngx_scc_walk_begin(w, fd);

        if (rc != NGX_OK) {
            goto done;
        }
    }

    rc = unit->damaged
         ? ngx_scc_walk_salvage(w, fd, (size_t) st.st_size)
         : ngx_scc_walk_fill(w, fd, (size_t) st.st_size);

done:

    (void) close(fd);

    return rc;
}


/* The store has all that was read of the unit. */

void
ngx_scc_walk_taken(ngx_scc_walk_t *w)
{
    ngx_scc_unit_t  *unit;

    unit = w->unit;

    if (w->ended) {
        unit->over = (unit->sealed || unit->damaged);
        unit->rests = !unit->over;      /* sealed, but not yet renamed */

        if (unit->sealed && !unit->damaged) {
            ngx_scc_walk_mark(w);
        }

    } else if (!unit->damaged) {
        unit->scan = w->scan;
    }

    w->n_items = 0;
}


void
ngx_scc_walk_forget(ngx_scc_unit_t *unit)
{
    ngx_queue_remove(&unit->queue);
    ngx_free(unit);
}


static ngx_int_t
ngx_scc_walk_begin(ngx_scc_walk_t *w, ngx_fd_t fd)
{
    ssize_t           n;
    scc_str_t         bytes;
    ngx_scc_unit_t   *unit;

    unit = w->unit;

    n = ngx_scc_walk_pread(w, fd, 0, SCC_JOURNAL_BLOCK);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    bytes.len = (size_t) n;
    bytes.data = w->window;

    if (scc_scan_begin(&unit->scan, bytes) != SCC_OK) {

        if (!unit->sealed) {
            return NGX_DONE;            /* it is just being made */
        }

        unit->damaged = 1;

        return NGX_OK;
    }

    if (ngx_memcmp(unit->scan.segment.store, w->apply->store, 16) != 0) {
        unit->over = 1;

        ngx_log_error(NGX_LOG_ERR, w->apply->log, 0,
                      "scc: journal segment %s belongs to another store: it "
                      "is left alone; move it to that store's journal",
                      ngx_scc_walk_path(w, ""));

        return NGX_DONE;
    }

    unit->begun = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_scc_walk_fill(ngx_scc_walk_t *w, ngx_fd_t fd, size_t size)
{
    size_t            pos, want;
    ssize_t           n;
    ngx_int_t         rc;
    ngx_scc_unit_t   *unit;

    static const u_char  zeros[SCC_JOURNAL_BATCH];

    unit = w->unit;
    pos = unit->scan.pos;

    if (!unit->sealed) {

        /* a segment's unwritten part is zeros */

        n = ngx_scc_walk_pread(w, fd, pos, SCC_JOURNAL_BATCH);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n < SCC_JOURNAL_BATCH
            || ngx_memcmp(w->window, zeros, SCC_JOURNAL_BATCH) == 0)
        {
            return NGX_DONE;
        }
    }

    want = NGX_SCC_WALK_WINDOW;

    for ( ;; ) {

        if (pos > size) {
            pos = size;
        }

        if (want > size - pos) {
            want = size - pos;
        }

        n = ngx_scc_walk_pread(w, fd, pos, want);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if ((size_t) n < want) {
            size = pos + (size_t) n;    /* it was sealed a moment ago */
        }

        rc = ngx_scc_walk_scan(w, pos + (size_t) n, size);

        if (rc != NGX_AGAIN) {
            return rc;
        }

        /* a batch that is larger than the window */

        want *= 4;
    }
}


/* The window holds the unit's bytes from its pos up to "end". */

static ngx_int_t
ngx_scc_walk_scan(ngx_scc_walk_t *w, size_t end, size_t size)
{
    scc_scan_t         scan, before;
    ngx_scc_unit_t    *unit;
    scc_scan_batch_t   batch;

    unit = w->unit;

    scan = unit->scan;
    scan.end = SCC_END_NONE;
    scan.bytes.len = end;

    /* the scanner looks at nothing before its pos */

    scan.bytes.data = (const uint8_t *) ((uintptr_t) w->window - scan.pos);

    while (w->n_items < NGX_SCC_WALK_ITEMS) {
        before = scan;

        if (scc_scan_next(&scan, &batch) == SCC_OK) {

            if (!unit->sealed && ngx_scc_walk_young(w, &batch)) {
                scan = before;
                break;
            }

            if (ngx_scc_walk_items(w, &scan, &batch) != NGX_OK) {
                return NGX_ERROR;
            }

            continue;
        }

        if (scan.end == SCC_END_SEALED) {
            w->ended = 1;
            break;
        }

        if (end < size && before.pos == unit->scan.pos) {
            return NGX_AGAIN;
        }

        if (end == size && unit->sealed && before.pos == unit->scan.pos) {
            unit->damaged = 1;
        }

        scan = before;
        break;
    }

    if (unit->damaged) {
        return NGX_OK;                  /* salvaged next */
    }

    w->scan = scan;
    w->scan.end = SCC_END_NONE;

    return (w->n_items != 0 || w->ended) ? NGX_OK : NGX_DONE;
}


/* All that can still be read, at once. */

static ngx_int_t
ngx_scc_walk_salvage(ngx_scc_walk_t *w, ngx_fd_t fd, size_t size)
{
    ssize_t            n;
    scc_str_t          bytes;
    scc_scan_t         scan;
    scc_scan_batch_t   batch;

    n = ngx_scc_walk_pread(w, fd, 0, size);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    bytes.len = (size_t) n;
    bytes.data = w->window;

    if (scc_scan_begin(&scan, bytes) == SCC_OK) {

        while (scc_scan_next(&scan, &batch) == SCC_OK) {
            if (ngx_scc_walk_items(w, &scan, &batch) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    w->ended = 1;

    if (scan.end == SCC_END_CLEAN || scan.end == SCC_END_SEALED) {
        w->unit->damaged = 0;
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_ERR, w->apply->log, 0,
                  "scc: journal segment %s is damaged at byte %uz: what can "
                  "still be read is applied; keep the file, and look for the "
                  "rest in its copies", ngx_scc_walk_path(w, ""),
                  scan.pos);

    while (scc_scan_salvage(&scan, &batch) == SCC_OK) {
        if (ngx_scc_walk_items(w, &scan, &batch) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ssize_t
ngx_scc_walk_pread(ngx_scc_walk_t *w, ngx_fd_t fd, size_t pos,
    size_t size)
{
    size_t    done;
    ssize_t   n;

    if (w->window_size < size) {

        if (w->window != NULL) {
            ngx_free(w->window);
        }

        w->window_size = 0;
        w->window = ngx_alloc(size, w->apply->log);

        if (w->window == NULL) {
            return NGX_ERROR;
        }

        w->window_size = size;
    }

    done = 0;

    while (done < size) {
        n = pread(fd, w->window + done, size - done, (off_t) (pos + done));

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            ngx_log_error(NGX_LOG_ERR, w->apply->log, ngx_errno,
                          "scc: journal segment %s cannot be read at byte "
                          "%uz; what the queue loses of it is not found "
                          "again", ngx_scc_walk_path(w, ""), pos + done);
            return NGX_ERROR;
        }

        if (n == 0) {
            break;
        }

        done += (size_t) n;
    }

    return (ssize_t) done;
}


/*
 * The queue has it.  Not so when all is read, for a store that went back: of
 * what was applied to it before, the queue has nothing.
 */

static ngx_uint_t
ngx_scc_walk_young(ngx_scc_walk_t *w, scc_scan_batch_t *batch)
{
    size_t         size;
    uint64_t       now, received;
    scc_str_t      bytes;
    scc_record_t   record;

    now = (uint64_t) time(NULL);
    bytes = batch->records;

    while (scc_record_read(bytes, &record, &size) == SCC_OK) {

        received = record.received / 1000000000;

        /* of the future only if the clock went back */

        if (w->all ? received > w->since
                   : received + NGX_SCC_WALK_AGE > now
                     && received <= now + NGX_SCC_WALK_AGE)
        {
            return 1;
        }

        bytes.data += size;
        bytes.len -= size;
    }

    return 0;
}


static ngx_int_t
ngx_scc_walk_items(ngx_scc_walk_t *w, scc_scan_t *scan,
    scc_scan_batch_t *batch)
{
    size_t           size;
    uint64_t         wall;
    scc_str_t        bytes;
    ngx_scc_item_t  *item;

    bytes = batch->records;

    while (bytes.len != 0) {

        item = ngx_scc_apply_room(w->items, w->n_items, &w->items_size,
                                  sizeof(ngx_scc_item_t), w->apply->log);
        if (item == NULL) {
            return NGX_ERROR;
        }

        w->items = item;
        item = &w->items[w->n_items];

        ngx_memzero(item, sizeof(ngx_scc_item_t));

        if (scc_record_read(bytes, &item->record, &size) != SCC_OK) {
            break;                      /* never: the scanner has read it */
        }

        item->raw.len = size;
        item->raw.data = (u_char *) bytes.data;
        item->has_segment = 1;
        ngx_memcpy(item->segment, scan->segment.segment, 16);

        w->n_items++;

        bytes.data += size;
        bytes.len -= size;
    }

    /* a clock that was wrong is not made anybody else's */

    wall = (uint64_t) time(NULL) * 1000;

    if (w->apply->pending != NULL
        && batch->last_hlc >> 16 < wall + 24 * 3600 * 1000)
    {
        ngx_scc_pending_hlc_seen(w->apply->pending, batch->last_hlc);
    }

    return NGX_OK;
}


/* Only the name counts; should it be lost, the segment is read once more. */

static void
ngx_scc_walk_mark(ngx_scc_walk_t *w)
{
    ngx_fd_t  fd;

    fd = open(ngx_scc_walk_path(w, ".applied"),
              O_WRONLY|O_CREAT|O_CLOEXEC, 0600);

    if (fd == NGX_INVALID_FILE
        || ngx_scc_disk_sync_dir((char *)
               w->apply->journal->dirs[w->unit->dir].data)
           != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, w->apply->log, ngx_errno,
                      "scc: journal segment %s cannot be marked as applied; "
                      "it will be read again when nginx starts",
                      ngx_scc_walk_path(w, ""));
    }

    if (fd != NGX_INVALID_FILE) {
        (void) close(fd);
    }
}


/* What one large segment needed is not kept for ever. */

static void
ngx_scc_walk_trim(ngx_scc_walk_t *w, size_t keep)
{
    if (w->window_size > keep) {
        ngx_free(w->window);
        w->window = NULL;
        w->window_size = 0;
    }

    if (w->items_size * sizeof(ngx_scc_item_t) > keep) {
        ngx_free(w->items);
        w->items = NULL;
        w->items_size = 0;
    }
}


/* Valid until the next call. */

static const char *
ngx_scc_walk_path(ngx_scc_walk_t *w, const char *suffix)
{
    static char  path[NGX_MAX_PATH];

    (void) ngx_snprintf((u_char *) path, NGX_MAX_PATH, "%V/%s%s%Z",
                        &w->apply->journal->dirs[w->unit->dir],
                        w->unit->base, suffix);

    path[NGX_MAX_PATH - 1] = '\0';

    return path;
}
