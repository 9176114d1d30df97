
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scc_ctl_disk.h"
#include "scc_ctl_journal.h"
#include "scc_ctl_progress.h"
#include "scc_ctl_ship.h"


#define SCC_CTL_SHIP_FILE_MAX   (1024UL * 1024 * 1024)
#define SCC_CTL_SHIP_SECOND     1000000000ULL
#define SCC_CTL_SHIP_BACKOFF    60          /* s, at most */


static int scc_ctl_ship_segment(scc_ctl_ship_t *sh,
    scc_ctl_ship_file_t *file);
static int scc_ctl_ship_sealed(scc_ctl_ship_t *sh, scc_ctl_ship_file_t *file,
    const scc_ctl_segment_t *s, const struct stat *st);
static int scc_ctl_ship_put_sealed(scc_ctl_ship_t *sh, const char *object,
    scc_str_t bytes, const uint8_t sha256[32]);
static int scc_ctl_ship_drop_tail(scc_ctl_ship_t *sh,
    const scc_ctl_ship_file_t *file, bool own);
static int scc_ctl_ship_tail(scc_ctl_ship_t *sh, scc_ctl_ship_file_t *file,
    const scc_ctl_segment_t *s);
static int scc_ctl_ship_damaged(scc_ctl_ship_t *sh,
    scc_ctl_ship_file_t *file, const scc_ctl_segment_t *s);
static int scc_ctl_ship_other(scc_ctl_ship_t *sh, scc_ctl_ship_file_t *file);
static uint64_t scc_ctl_ship_oldest(const scc_ctl_segment_t *s,
    uint64_t pos);
static const scc_ctl_ship_file_t *scc_ctl_ship_twin(const scc_ctl_ship_t *sh,
    const scc_ctl_ship_file_t *file);
static void scc_ctl_ship_object(const scc_ctl_ship_t *sh,
    const scc_ctl_ship_file_t *file, bool own, const char *suffix,
    char object[512]);
static int scc_ctl_ship_path(const scc_ctl_ship_t *sh,
    const scc_ctl_ship_file_t *file, const char *suffix, char path[4096]);
static bool scc_ctl_ship_marked(const scc_ctl_ship_t *sh,
    const scc_ctl_mark_t *mark);
static bool scc_ctl_ship_same(const scc_ctl_ship_file_t *file,
    const struct stat *st);
static void scc_ctl_ship_seen(scc_ctl_ship_file_t *file,
    const struct stat *st);


void
scc_ctl_ship_file(scc_ctl_ship_t *sh, scc_ctl_ship_file_t *file)
{
    int       rc;
    unsigned  shift;
    uint64_t  now, pause;

    now = scc_ctl_now();

    if (file->retry > now) {
        return;
    }

    rc = file->segment ? scc_ctl_ship_segment(sh, file)
                       : scc_ctl_ship_other(sh, file);

    if (rc == 0) {
        file->failing = false;
        file->failures = 0;
        return;
    }

    /* 1 s, doubling, and a random half of it */

    shift = file->failures < 6 ? file->failures : 6;
    pause = 1ULL << shift;

    if (pause > SCC_CTL_SHIP_BACKOFF) {
        pause = SCC_CTL_SHIP_BACKOFF;
    }

    pause *= SCC_CTL_SHIP_SECOND;
    pause -= scc_ctl_ship_wall() / 1000 % (pause / 2);

    file->failing = true;
    file->failures++;
    file->whole = false;
    file->retry = scc_ctl_now() + pause;
}


uint64_t
scc_ctl_ship_wall(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (uint64_t) ts.tv_sec * SCC_CTL_SHIP_SECOND + (uint64_t) ts.tv_nsec;
}


bool
scc_ctl_ship_before(const scc_ctl_ship_t *sh, const scc_ctl_ship_file_t *file)
{
    char            path[4096];
    scc_ctl_mark_t  mark;

    return file->segment && scc_ctl_ship_path(sh, file, ".seg", path) == 0
           && scc_ctl_mark_read(path, SCC_CTL_MARK_SHIPPED, &mark) == 0
           && scc_ctl_ship_marked(sh, &mark);
}


static int
scc_ctl_ship_segment(scc_ctl_ship_t *sh, scc_ctl_ship_file_t *file)
{
    int                rc;
    bool               seg;
    char               path[4096];
    struct stat        st;
    scc_ctl_mark_t     mark;
    scc_ctl_segment_t  s;

    seg = true;

    if (scc_ctl_ship_path(sh, file, ".seg", path) != 0) {
        return -1;
    }

    if (stat(path, &st) != 0) {
        seg = false;

        if (scc_ctl_ship_path(sh, file, ".open", path) != 0) {
            return -1;
        }

        if (stat(path, &st) != 0) {
            file->whole = true;         /* gone; if it was sealed just now,
                                           the next round finds it */
            return 0;
        }
    }

    if (scc_ctl_ship_same(file, &st)) {
        return 0;
    }

    if (seg
        && scc_ctl_mark_read(path, SCC_CTL_MARK_SHIPPED, &mark) == 0
        && scc_ctl_mark_fits(&mark, &st) && scc_ctl_ship_marked(sh, &mark))
    {
        scc_ctl_ship_seen(file, &st);
        memcpy(file->sha256, mark.sha256, 32);
        file->pos = mark.size;
        file->oldest = 0;
        sh->known = true;
        return 0;
    }

    memset(&s, 0, sizeof(scc_ctl_segment_t));

    s.path = path;
    s.name = strrchr(path, '/') + 1;
    s.journal = sh->dirs[file->dir].path;
    s.seg = seg;

    rc = scc_ctl_segment_load(&s);

    if (rc != 0) {
        return rc > 0 ? 0 : -1;
    }

    /* sealed meanwhile: in the next round */

    if (s.seg != seg) {
        scc_ctl_segment_unload(&s);
        file->whole = false;
        return 0;
    }

    if (s.known && memcmp(s.head.store, sh->dirs[file->dir].store, 16) != 0) {
        scc_ctl_error("\"%s\" is of another store than DIR/store says; it is "
                      "not shipped: move it away from here, do not delete "
                      "it", path);
        rc = -1;

    } else {
        file->oldest = scc_ctl_ship_oldest(&s, file->pos);

        rc = s.state == SCC_CTL_SEGMENT_SEALED && s.seg
             ? scc_ctl_ship_sealed(sh, file, &s, &st)
             : s.seg && s.state == SCC_CTL_SEGMENT_DAMAGED
             ? scc_ctl_ship_damaged(sh, file, &s)
             : scc_ctl_ship_tail(sh, file, &s);
    }

    scc_ctl_segment_unload(&s);

    return rc;
}


static int
scc_ctl_ship_sealed(scc_ctl_ship_t *sh, scc_ctl_ship_file_t *file,
    const scc_ctl_segment_t *s, const struct stat *st)
{
    bool                        there;
    scc_ctl_mark_t              mark;
    const scc_ctl_ship_file_t  *twin;

    memset(&mark, 0, sizeof(scc_ctl_mark_t));

    /* erase may have put another file there meanwhile: then the mark does
       not fit it, and it is shipped again */

    scc_ctl_mark_stat(&mark, st);
    mark.size = s->bytes.len;
    mark.records = s->chain.records;

    if (scc_ctl_sha256(s->bytes.data, s->bytes.len, mark.sha256) != 0) {
        return -1;
    }

    if (sh->dry_run) {
        printf("would ship %s: %llu records, %zu bytes\n", s->path,
               (unsigned long long) s->chain.records, s->bytes.len);
        return 0;
    }

    twin = scc_ctl_ship_twin(sh, file);

    there = twin != NULL && twin->whole && twin->pos == s->bytes.len
            && memcmp(twin->sha256, mark.sha256, 32) == 0;

    scc_ctl_ship_object(sh, file, twin != NULL && !there, ".seg",
                        mark.object);

    if (!there
        && (scc_ctl_ship_put_sealed(sh, mark.object, s->bytes, mark.sha256)
            != 0
            || scc_ctl_ship_drop_tail(sh, file, false) != 0))
    {
        return -1;
    }

    if (twin != NULL && scc_ctl_ship_drop_tail(sh, file, true) != 0) {
        return -1;
    }

    mark.at = scc_ctl_ship_wall() / SCC_CTL_SHIP_SECOND;
    memcpy(mark.to, sh->to, strlen(sh->to) + 1);

    if (scc_ctl_mark_write(s->path, SCC_CTL_MARK_SHIPPED, &mark) != 0) {
        return -1;
    }

    memcpy(file->sha256, mark.sha256, 32);
    file->pos = s->bytes.len;
    file->oldest = 0;
    scc_ctl_ship_seen(file, st);

    if (!there) {
        sh->segments++;
        printf("shipped %s: %llu records, %zu bytes\n", mark.object,
               (unsigned long long) s->chain.records, s->bytes.len);
        (void) fflush(stdout);
    }

    return 0;
}


/* The segment, and beside it its digest as sha256sum prints it. */

static int
scc_ctl_ship_put_sealed(scc_ctl_ship_t *sh, const char *object,
    scc_str_t bytes, const uint8_t sha256[32])
{
    int        rc;
    char       name[512 + sizeof(".sha256")], hex[65];
    uint8_t    digest[32];
    scc_buf_t  b;

    if (scc_ctl_remote_put(&sh->remote, object, bytes, sha256) != 0) {
        return -1;
    }

    scc_ctl_hex(hex, sha256);
    snprintf(name, sizeof(name), "%s.sha256", object);

    scc_buf_heap(&b, 0);
    scc_buf_text(&b, hex);
    scc_buf_text(&b, "  ");
    scc_buf_text(&b, strrchr(object, '/') + 1);
    scc_buf_text(&b, "\n");

    rc = (!b.error && scc_ctl_sha256(b.start, b.used, digest) == 0)
         ? scc_ctl_remote_put(&sh->remote, name, scc_buf_get(&b), digest)
         : -1;

    scc_buf_free(&b);

    if (rc != 0) {
        return -1;
    }

    sh->known = true;
    sh->bytes += bytes.len;
    sh->verified = scc_ctl_ship_wall() / SCC_CTL_SHIP_SECOND;

    return 0;
}


/* The tail of what is sealed now: it may have names that this has lost. */

static int
scc_ctl_ship_drop_tail(scc_ctl_ship_t *sh, const scc_ctl_ship_file_t *file,
    bool own)
{
    char  object[512];

    if (own && sh->remote.dir == NULL && !file->own) {
        return 0;
    }

    scc_ctl_ship_object(sh, file, own, ".open", object);

    return scc_ctl_remote_drop(&sh->remote, object);
}


/* To the last valid batch.  What is behind it was promised to nobody yet. */

static int
scc_ctl_ship_tail(scc_ctl_ship_t *sh, scc_ctl_ship_file_t *file,
    const scc_ctl_segment_t *s)
{
    char                        object[512];
    uint8_t                     sha256[32];
    scc_str_t                   bytes;
    const scc_ctl_ship_file_t  *twin;

    file->whole = true;
    file->size = 0;                     /* it is looked at in each round */

    if (!s->known || s->chain.records == 0 || s->pos <= file->pos) {

        if (s->state == SCC_CTL_SEGMENT_DAMAGED) {
            scc_ctl_error("\"%s\" is damaged at byte %zu: what is in front "
                          "of that is off-site, what may be behind it is "
                          "not; see \"sccctl journal verify\"", s->path,
                          s->pos);
            return -1;
        }

        return 0;
    }

    if (sh->dry_run) {
        printf("would ship %s: %llu records, %zu bytes so far\n", s->path,
               (unsigned long long) s->chain.records, s->pos);
        return 0;
    }

    twin = scc_ctl_ship_twin(sh, file);

    if (twin != NULL && twin->whole) {
        file->oldest = 0;
        return 0;
    }

    bytes.data = s->bytes.data;
    bytes.len = s->pos;

    scc_ctl_ship_object(sh, file, twin != NULL, ".open", object);

    if (scc_ctl_sha256(bytes.data, bytes.len, sha256) != 0
        || scc_ctl_remote_put(&sh->remote, object, bytes, sha256) != 0)
    {
        return -1;
    }

    sh->known = true;
    sh->tails++;
    sh->bytes += bytes.len;
    sh->verified = scc_ctl_ship_wall() / SCC_CTL_SHIP_SECOND;

    file->pos = s->pos;
    file->oldest = 0;
    file->own |= (twin != NULL);

    return 0;
}


/* As it is, under a name that is no segment's: for who repairs it. */

static int
scc_ctl_ship_damaged(scc_ctl_ship_t *sh, scc_ctl_ship_file_t *file,
    const scc_ctl_segment_t *s)
{
    char     object[512];
    uint8_t  sha256[32];

    scc_ctl_error("\"%s\" is damaged at byte %zu: its bytes go off-site as "
                  "%s.damaged, and it is not marked as shipped; see "
                  "\"sccctl journal verify\"", s->path, s->pos, file->name);

    if (sh->dry_run) {
        return -1;
    }

    scc_ctl_ship_object(sh, file, file->dir > 0, ".damaged", object);

    if (scc_ctl_sha256(s->bytes.data, s->bytes.len, sha256) == 0) {
        (void) scc_ctl_remote_put(&sh->remote, object, s->bytes, sha256);
    }

    return -1;
}


/* Numbers, anchor, roster: whole, whenever they have changed. */

static int
scc_ctl_ship_other(scc_ctl_ship_t *sh, scc_ctl_ship_file_t *file)
{
    int                         rc;
    bool                        same;
    char                        path[4096], object[512];
    uint8_t                     sha256[32];
    scc_buf_t                   b;
    struct stat                 st;
    const scc_ctl_ship_file_t  *twin;

    if (scc_ctl_ship_path(sh, file, "", path) != 0) {
        return -1;
    }

    if (stat(path, &st) != 0 || scc_ctl_ship_same(file, &st)) {
        file->whole = true;
        return 0;
    }

    if (sh->dry_run) {
        printf("would ship %s: %llu bytes\n", path,
               (unsigned long long) st.st_size);
        return 0;
    }

    scc_buf_heap(&b, 0);

    rc = scc_ctl_disk_read(path, SCC_CTL_SHIP_FILE_MAX, &b);

    if (rc < 0) {
        scc_ctl_error("cannot read \"%s\": %s", path, strerror(errno));

    } else if (rc == 0) {
        rc = scc_ctl_sha256(b.start, b.used, sha256);
    }

    if (rc == 0) {
        twin = scc_ctl_ship_twin(sh, file);

        same = twin != NULL && twin->whole
               && memcmp(twin->sha256, sha256, 32) == 0;

        scc_ctl_ship_object(sh, file, twin != NULL, "", object);

        if (!same) {
            rc = scc_ctl_remote_put(&sh->remote, object, scc_buf_get(&b),
                                    sha256);
        }

        if (rc == 0 && !same) {
            sh->known = true;
            sh->others++;
            sh->bytes += b.used;
            sh->verified = scc_ctl_ship_wall() / SCC_CTL_SHIP_SECOND;
        }
    }

    if (rc == 0) {
        memcpy(file->sha256, sha256, 32);
        scc_ctl_ship_seen(file, &st);

        /* a second for each megabyte: it is sent whole each time */

        file->retry = scc_ctl_now()
                      + (b.used >> 20) * SCC_CTL_SHIP_SECOND;
    }

    scc_buf_free(&b);

    return rc < 0 ? -1 : 0;
}


/* When the first record behind "pos" was received. */

static uint64_t
scc_ctl_ship_oldest(const scc_ctl_segment_t *s, uint64_t pos)
{
    size_t            begin, size;
    scc_scan_t        scan;
    scc_record_t      r;
    scc_scan_batch_t  batch;

    if (scc_scan_begin(&scan, s->bytes) != SCC_OK) {
        return 0;
    }

    for ( ;; ) {
        begin = scan.pos;

        if (scc_scan_next(&scan, &batch) != SCC_OK) {
            return 0;
        }

        if (begin >= pos
            && scc_record_read(batch.records, &r, &size) == SCC_OK)
        {
            return r.received;
        }
    }
}


/* The same file in a directory named before: the journal's second copy. */

static const scc_ctl_ship_file_t *
scc_ctl_ship_twin(const scc_ctl_ship_t *sh, const scc_ctl_ship_file_t *file)
{
    size_t  i;

    for (i = 0; file->dir > 0 && i < sh->n; i++) {
        if (sh->files[i].dir < file->dir && sh->files[i].seen
            && sh->files[i].segment == file->segment
            && strcmp(sh->files[i].name, file->name) == 0)
        {
            return &sh->files[i];
        }
    }

    return NULL;
}


/* STORE/HOST/NAME; what differs from the first directory's: STORE/HOST.2/ */

static void
scc_ctl_ship_object(const scc_ctl_ship_t *sh, const scc_ctl_ship_file_t *file,
    bool own, const char *suffix, char object[512])
{
    if (own) {
        snprintf(object, 512, "%s/%.64s.%u/%.255s%s", sh->uuid, sh->host,
                 file->dir + 1, file->name, suffix);

    } else {
        snprintf(object, 512, "%s/%.64s/%.255s%s", sh->uuid, sh->host,
                 file->name, suffix);
    }
}


static int
scc_ctl_ship_path(const scc_ctl_ship_t *sh, const scc_ctl_ship_file_t *file,
    const char *suffix, char path[4096])
{
    if (snprintf(path, 4096, "%s/%s%s", sh->dirs[file->dir].path, file->name,
                 suffix)
        >= 4096)
    {
        scc_ctl_error("the name of \"%s\" is too long", file->name);
        return -1;
    }

    return 0;
}


/* It was shipped to where we ship to. */

static bool
scc_ctl_ship_marked(const scc_ctl_ship_t *sh, const scc_ctl_mark_t *mark)
{
    int   len;
    char  folder[128];

    len = snprintf(folder, sizeof(folder), "%s/%.64s", sh->uuid, sh->host);

    return strcmp(mark->to, sh->to) == 0
           && strncmp(mark->object, folder, (size_t) len) == 0
           && (mark->object[len] == '/' || mark->object[len] == '.');
}


static bool
scc_ctl_ship_same(const scc_ctl_ship_file_t *file, const struct stat *st)
{
    scc_ctl_mark_t  now;

    scc_ctl_mark_stat(&now, st);

    return file->whole && file->size != 0 && file->inode == now.inode
           && file->mtime == now.mtime
           && file->size == (uint64_t) st->st_size;
}


static void
scc_ctl_ship_seen(scc_ctl_ship_file_t *file, const struct stat *st)
{
    scc_ctl_mark_t  now;

    scc_ctl_mark_stat(&now, st);

    file->whole = true;
    file->inode = now.inode;
    file->mtime = now.mtime;
    file->size = (uint64_t) st->st_size;
}
