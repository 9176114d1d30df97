
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "scc_contribution.h"
#include "scc_ctl_disk.h"
#include "scc_ctl_segment.h"


#define SCC_CTL_UUID        36
#define SCC_CTL_LOOK_AGAIN  50000       /* us */


static int scc_ctl_journal_name(void *data, const char *dir,
    const char *name);
static int scc_ctl_journal_add(scc_ctl_journal_t *j, const char *journal,
    const char *path);
static int scc_ctl_segment_cmp(const void *a, const void *b);
static int scc_ctl_segment_open(scc_ctl_segment_t *s);
static int scc_ctl_segment_read(scc_ctl_segment_t *s, int fd, size_t size);
static void scc_ctl_segment_judge(scc_ctl_segment_t *s, bool live);
static bool scc_ctl_segment_live(const struct stat *st);
static int scc_ctl_segment_quality(const scc_ctl_segment_t *s);


const char *
scc_ctl_segment_word(scc_ctl_segment_state_t state)
{
    static const char *const  words[] = {
        "sealed", "live", "open", "torn", "unused", "damaged"
    };

    return words[state];
}


int
scc_ctl_journal_list(scc_ctl_journal_t *j, int n, char **paths)
{
    int          i;
    char        *dir;
    size_t       len;
    struct stat  st;

    memset(j, 0, sizeof(scc_ctl_journal_t));

    j->journals = calloc((size_t) n, sizeof(char *));
    if (j->journals == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    for (i = 0; i < n; i++) {

        if (stat(paths[i], &st) != 0) {
            scc_ctl_error("cannot read \"%s\": %s", paths[i],
                          strerror(errno));
            return -1;
        }

        if (!S_ISDIR(st.st_mode)) {
            if (scc_ctl_journal_add(j, "", paths[i]) != 0) {
                return -1;
            }

            continue;
        }

        dir = strdup(paths[i]);
        if (dir == NULL) {
            scc_ctl_error("out of memory");
            return -1;
        }

        for (len = strlen(dir); len > 1 && dir[len - 1] == '/'; len--) {
            dir[len - 1] = '\0';
        }

        j->journals[j->n_journals++] = dir;

        if (scc_ctl_disk_list(dir, scc_ctl_journal_name, j) != 0) {
            return -1;
        }
    }

    if (j->n > 1) {
        qsort(j->segments, j->n, sizeof(scc_ctl_segment_t),
              scc_ctl_segment_cmp);
    }

    return 0;
}


void
scc_ctl_journal_free(scc_ctl_journal_t *j)
{
    size_t  i;

    for (i = 0; i < j->n; i++) {
        scc_ctl_segment_unload(&j->segments[i]);
        free(j->segments[i].path);
    }

    for (i = 0; i < j->n_journals; i++) {
        free(j->journals[i]);
    }

    free(j->segments);
    free(j->journals);

    memset(j, 0, sizeof(scc_ctl_journal_t));
}


int
scc_ctl_journal_look(scc_ctl_journal_t *j)
{
    int                 rc;
    size_t              i, k;
    scc_ctl_segment_t  *s, *t;

    for (i = 0, k = 0; i < j->n; i++) {
        s = &j->segments[i];
        rc = scc_ctl_segment_load(s);

        if (rc < 0) {
            return -1;
        }

        scc_ctl_segment_unload(s);

        if (rc > 0) {
            free(s->path);
            continue;
        }

        j->segments[k++] = *s;
    }

    j->n = k;

    for (i = 0; i < j->n; i++) {
        s = &j->segments[i];

        for (k = 0; k < j->n && s->known && !s->copy; k++) {
            t = &j->segments[k];

            if (k == i || !t->known || t->copy
                || memcmp(s->head.segment, t->head.segment, 16) != 0)
            {
                continue;
            }

            /* of two damaged ones each may have what the other lost */

            s->copy = scc_ctl_segment_quality(t) > 0
                      && scc_ctl_segment_quality(t)
                         >= scc_ctl_segment_quality(s);
        }
    }

    return 0;
}


/* A name may change while one looks: from .open to .seg. */

int
scc_ctl_segment_load(scc_ctl_segment_t *s)
{
    int          fd, rc;
    bool         live, again;
    size_t       pos;
    struct stat  st;

    pos = 0;
    again = false;

    for ( ;; ) {
        fd = scc_ctl_segment_open(s);

        if (fd == -1) {
            if (errno == ENOENT) {
                return 1;
            }

            scc_ctl_error("cannot open \"%s\": %s", s->path,
                          strerror(errno));
            return -1;
        }

        if (fstat(fd, &st) != 0) {
            scc_ctl_error("cannot read \"%s\": %s", s->path,
                          strerror(errno));
            (void) close(fd);
            return -1;
        }

        /* asked first: what its writer wrote before it let go is seen */

        live = scc_ctl_segment_live(&st);

        rc = scc_ctl_segment_read(s, fd, (size_t) st.st_size);
        (void) close(fd);

        if (rc != 0) {
            return -1;
        }

        scc_ctl_segment_judge(s, live);

        if (s->state < SCC_CTL_SEGMENT_TORN) {
            return 0;
        }

        /* it may be written, sealed or adopted under our eyes */

        if (again) {

            if (live && s->pos != pos) {
                s->state = SCC_CTL_SEGMENT_LIVE;
            }

            return 0;
        }

        again = true;
        pos = s->pos;
        scc_ctl_segment_unload(s);

        (void) usleep(SCC_CTL_LOOK_AGAIN);
    }
}


void
scc_ctl_segment_unload(scc_ctl_segment_t *s)
{
    free(s->block);

    s->block = NULL;
    s->bytes.data = NULL;
    s->bytes.len = 0;
}


int
scc_ctl_journal_store(const char *dir, uint8_t store[16])
{
    int        fd;
    char      *path, text[SCC_CTL_UUID];
    ssize_t    n;
    scc_str_t  uuid;

    if (asprintf(&path, "%s/store", dir) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd == -1 && errno == ENOENT) {
        free(path);
        return 1;
    }

    n = (fd == -1) ? -1 : read(fd, text, sizeof(text));

    if (n == -1) {
        scc_ctl_error("cannot read \"%s\": %s", path, strerror(errno));

    } else {
        uuid.data = (const uint8_t *) text;
        uuid.len = (size_t) n;

        if (scc_uuid_parse(uuid, store) != SCC_OK) {
            scc_ctl_error("\"%s\" has no UUID in it; put the store's there "
                          "(SELECT store_uuid FROM scc.identity)", path);
            n = -1;
        }
    }

    if (fd != -1) {
        (void) close(fd);
    }

    free(path);

    return n == -1 ? -1 : 0;
}


/* 16 hexadecimal digits, 8, 4. */

bool
scc_ctl_segment_name(const char *name)
{
    size_t  i;

    for (i = 0; i < 30; i++) {

        if (i == 16 || i == 25) {
            if (name[i] != '-') {
                return false;
            }

        } else if (name[i] == '\0'
                   || strchr("0123456789abcdef", name[i]) == NULL)
        {
            return false;
        }
    }

    return strcmp(name + i, ".open") == 0 || strcmp(name + i, ".seg") == 0;
}


static int
scc_ctl_journal_name(void *data, const char *dir, const char *name)
{
    int    rc;
    char  *path;

    if (!scc_ctl_segment_name(name)) {
        return 0;
    }

    if (asprintf(&path, "%s/%s", dir, name) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    rc = scc_ctl_journal_add(data, dir, path);

    free(path);

    return rc;
}


static int
scc_ctl_journal_add(scc_ctl_journal_t *j, const char *journal,
    const char *path)
{
    size_t              size, len;
    const char         *slash;
    scc_ctl_segment_t  *s;

    if (j->n == j->size) {
        size = j->size ? 2 * j->size : 64;
        s = realloc(j->segments, size * sizeof(scc_ctl_segment_t));

        if (s == NULL) {
            scc_ctl_error("out of memory");
            return -1;
        }

        j->segments = s;
        j->size = size;
    }

    s = &j->segments[j->n];
    memset(s, 0, sizeof(scc_ctl_segment_t));

    s->path = strdup(path);
    if (s->path == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    slash = strrchr(s->path, '/');
    s->name = slash != NULL ? slash + 1 : s->path;
    s->journal = journal;

    len = strlen(s->name);
    s->seg = len > 4 && strcmp(s->name + len - 4, ".seg") == 0;

    j->n++;

    return 0;
}


static int
scc_ctl_segment_cmp(const void *a, const void *b)
{
    int                       rc;
    const scc_ctl_segment_t  *s, *t;

    s = a;
    t = b;

    rc = strcmp(s->journal, t->journal);

    return rc != 0 ? rc : strcmp(s->name, t->name);
}


static int
scc_ctl_segment_open(scc_ctl_segment_t *s)
{
    int     fd;
    size_t  len;

    fd = open(s->path, O_RDONLY|O_CLOEXEC);

    if (fd != -1 || errno != ENOENT || s->seg) {
        return fd;
    }

    len = strlen(s->path);

    if (len < 5 || strcmp(s->path + len - 5, ".open") != 0) {
        return fd;
    }

    memcpy(s->path + len - 4, "seg", sizeof("seg"));

    fd = open(s->path, O_RDONLY|O_CLOEXEC);
    s->seg = (fd != -1);

    return fd;
}


/* Read, not mapped: sealing cuts the file's end off. */

static int
scc_ctl_segment_read(scc_ctl_segment_t *s, int fd, size_t size)
{
    size_t    used;
    ssize_t   n;
    uint8_t  *p;

    p = malloc(size != 0 ? size : 1);
    if (p == NULL) {
        scc_ctl_error("out of memory for \"%s\" (%zu bytes)", s->path, size);
        return -1;
    }

    for (used = 0; used < size; used += (size_t) n) {
        n = pread(fd, p + used, size - used, (off_t) used);

        if (n == -1 && errno == EINTR) {
            n = 0;
            continue;
        }

        if (n == -1) {
            scc_ctl_error("cannot read \"%s\" at %zu: %s", s->path, used,
                          strerror(errno));
            free(p);
            return -1;
        }

        if (n == 0) {
            break;
        }
    }

    s->block = p;
    s->bytes.data = p;
    s->bytes.len = used;
    s->size = used;

    return 0;
}


static void
scc_ctl_segment_judge(scc_ctl_segment_t *s, bool live)
{
    scc_scan_t        scan;
    scc_scan_batch_t  batch;

    s->known = (scc_scan_begin(&scan, s->bytes) == SCC_OK);

    for (s->batches = 0; scc_scan_next(&scan, &batch) == SCC_OK;
         s->batches++)
    {
        /* void */
    }

    s->end = scan.end;
    s->head = scan.segment;
    s->chain = scan.chain;
    s->pos = scan.pos;
    s->erased = s->known && scc_segment_erased(s->bytes.data);

    if (scan.end == SCC_END_SEALED) {
        s->state = SCC_CTL_SEGMENT_SEALED;

    } else if (scan.end == SCC_END_CORRUPT || s->seg) {
        s->state = SCC_CTL_SEGMENT_DAMAGED;

    } else if (live) {
        s->state = SCC_CTL_SEGMENT_LIVE;

    } else if (!s->known) {
        s->state = SCC_CTL_SEGMENT_UNUSED;

    } else {
        s->state = scan.end == SCC_END_TORN ? SCC_CTL_SEGMENT_TORN
                                            : SCC_CTL_SEGMENT_OPEN;
    }
}


/*
 * Looked up, not tried: to take the lock, even for a moment, could make a
 * writer believe that its segment has another one.
 */

static bool
scc_ctl_segment_live(const struct stat *st)
{
    bool   found;
    char   line[256], file[64];
    FILE  *f;

    /* "1: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF" */

    snprintf(file, sizeof(file), " %02x:%02x:%llu ", major(st->st_dev),
             minor(st->st_dev), (unsigned long long) st->st_ino);

    f = fopen("/proc/locks", "re");
    if (f == NULL) {
        return false;
    }

    found = false;

    while (!found && fgets(line, sizeof(line), f) != NULL) {
        found = strstr(line, " FLOCK ") != NULL
                && strstr(line, " WRITE ") != NULL
                && strstr(line, file) != NULL;
    }

    (void) fclose(f);

    return found;
}


static int
scc_ctl_segment_quality(const scc_ctl_segment_t *s)
{
    if (s->state == SCC_CTL_SEGMENT_DAMAGED) {
        return 0;
    }

    return s->end == SCC_END_SEALED ? INT32_MAX
           : s->batches < INT32_MAX - 1 ? (int) s->batches + 1
                                        : INT32_MAX - 1;
}
