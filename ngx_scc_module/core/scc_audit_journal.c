
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_audit.h"


#define SCC_AUDIT_SLOW  50000       /* us: more is slow */
#define SCC_AUDIT_FULL  85          /* per cent */
#define SCC_AUDIT_NEAR  70


/* statfs(2), linux/magic.h */

typedef struct {
    uint64_t          type;
    const char       *name;
    unsigned          allow;        /* 0: nobody can vouch for it */
} scc_audit_fs_t;


static void scc_audit_dir_look(scc_report_t *r, const scc_audit_journal_t *j,
    const scc_audit_dir_t *d);
static void scc_audit_dir_fs(scc_report_t *r, const scc_audit_journal_t *j,
    const scc_audit_dir_t *d);
static void scc_audit_dir_mount(scc_report_t *r, const scc_audit_dir_t *d);
static void scc_audit_dir_place(scc_report_t *r, const scc_audit_journal_t *j,
    const scc_audit_dir_t *d);
static void scc_audit_dir_probe(scc_report_t *r, const scc_audit_dir_t *d);
static void scc_audit_dir_room(scc_report_t *r, const scc_audit_journal_t *j,
    const scc_audit_dir_t *d);
static void scc_audit_preload(scc_report_t *r, const scc_audit_journal_t *j);
static void scc_audit_disks(scc_report_t *r, const scc_audit_journal_t *j);
static bool scc_audit_under(const char *path, const char *dir);
static bool scc_audit_option(const char *options, const char *name);
static size_t scc_audit_field(scc_str_t *line, char *to, size_t size);
static void scc_audit_count(char text[SCC_AUDIT_TEXT], uint64_t n);
static void scc_audit_octal(char text[SCC_AUDIT_TEXT], uint32_t mode);


static const scc_audit_fs_t  scc_audit_file_systems[] = {
    { 0x01021994, "tmpfs", 0 },
    { 0x858458f6, "ramfs", 0 },
    { 0x794c7630, "overlay", SCC_FS_OVERLAY },
    { 0x6969, "nfs", SCC_FS_NFS },
    { 0xff534d42, "cifs", SCC_FS_CIFS },
    { 0xfe534d42, "cifs", SCC_FS_CIFS },
    { 0x65735546, "fuse", SCC_FS_FUSE },
    { 0x01021997, "9p", SCC_FS_9P },
    { 0, NULL, 0 }
};


static const char  *const scc_audit_options[] = {
    "ro", "nobarrier", "barrier=0", "data=writeback", "volatile", NULL
};


static const char  *const scc_audit_places[] = {
    "/tmp", "/var/tmp", "/run", "/dev/shm", NULL
};


static const char  *const scc_audit_libraries[] = {
    "libeatmydata", "libfiu", "libfaketime", NULL
};


unsigned
scc_audit_fs(const char *name)
{
    size_t  i;

    for (i = 0; scc_audit_file_systems[i].name != NULL; i++) {
        if (strcmp(scc_audit_file_systems[i].name, name) == 0) {
            return scc_audit_file_systems[i].allow;
        }
    }

    return 0;
}


const char *
scc_audit_volatile(uint64_t fs_type)
{
    const scc_audit_fs_t  *fs;

    for (fs = scc_audit_file_systems; fs->name != NULL; fs++) {
        if (fs->type == fs_type
            && (fs->allow == 0 || fs->allow == SCC_FS_OVERLAY))
        {
            return fs->name;
        }
    }

    return NULL;
}


void
scc_audit_journal_look(scc_report_t *r, const scc_audit_journal_t *j)
{
    unsigned  i;

    for (i = 0; i < j->n; i++) {
        scc_audit_dir_look(r, j, &j->dirs[i]);
    }

    scc_audit_preload(r, j);
    scc_audit_disks(r, j);
}


/* Of two directories one may be good: that is one copy. */

void
scc_audit_journal(scc_report_t *r, const scc_audit_journal_t *j)
{
    unsigned                i, good, taken;
    const scc_audit_dir_t  *d;

    good = 0;

    for (i = 0; i < j->n; i++) {
        d = &j->dirs[i];

        taken = r->taken;
        r->taken = 0;

        scc_audit_dir_look(r, j, d);

        if (d->error[0] == '\0') {
            scc_audit_dir_probe(r, d);
            scc_audit_dir_room(r, j, d);

            if (j->known_ino[i] != 0
                && (j->known_ino[i] != d->ino || j->known_dev[i] != d->dev))
            {
                scc_audit_add(r, SCC_AUDIT_J9, d->dir, NULL, NULL);
            }
        }

        good += d->probed && (r->taken & SCC_CAP_JOURNAL) == 0;

        r->taken = taken | (r->taken & ~SCC_CAP_JOURNAL);
    }

    scc_audit_preload(r, j);
    scc_audit_disks(r, j);

    if (r->taken & SCC_CAP_JOURNAL) {
        good = 0;
    }

    r->caps |= (good > 0 ? SCC_CAP_JOURNAL : 0u)
               | (good > 1 ? SCC_CAP_COPY : 0u);
}


static void
scc_audit_dir_look(scc_report_t *r, const scc_audit_journal_t *j,
    const scc_audit_dir_t *d)
{
    if (d->error[0] != '\0') {
        scc_audit_add(r, SCC_AUDIT_J6_LOOK, d->dir, d->error, NULL);
        return;
    }

    scc_audit_dir_fs(r, j, d);
    scc_audit_dir_mount(r, d);
    scc_audit_dir_place(r, j, d);

    if (d->disk[0] != '\0') {
        scc_audit_add(r, SCC_AUDIT_J10, d->dir, d->disk, NULL);
    }
}


static void
scc_audit_dir_fs(scc_report_t *r, const scc_audit_journal_t *j,
    const scc_audit_dir_t *d)
{
    const scc_audit_fs_t  *fs;

    for (fs = scc_audit_file_systems; fs->name != NULL; fs++) {
        if (fs->type == d->fs_type) {
            break;
        }
    }

    if (fs->name == NULL) {
        return;
    }

    if (fs->allow == 0) {
        scc_audit_add(r, SCC_AUDIT_J1_VOLATILE, d->dir, fs->name, NULL);

    } else if (fs->allow == SCC_FS_OVERLAY) {
        scc_audit_add(r, (j->allow & SCC_FS_OVERLAY) ? SCC_AUDIT_J1_ALLOWED
                                                     : SCC_AUDIT_J1_OVERLAY,
                      d->dir, NULL, NULL);

    } else if ((j->allow & fs->allow) == 0) {
        scc_audit_add(r, SCC_AUDIT_J1_REMOTE, d->dir, fs->name, fs->name);
    }
}


static void
scc_audit_dir_mount(scc_report_t *r, const scc_audit_dir_t *d)
{
    size_t  i;

    for (i = 0; scc_audit_options[i] != NULL; i++) {
        if (scc_audit_option(d->options, scc_audit_options[i])) {
            scc_audit_add(r, SCC_AUDIT_J2, d->dir, scc_audit_options[i],
                          NULL);
        }
    }

    if (d->bare[0] != '\0') {
        scc_audit_add(r, SCC_AUDIT_J2_BARE, d->dir, d->bare, NULL);
    }
}


static void
scc_audit_dir_place(scc_report_t *r, const scc_audit_journal_t *j,
    const scc_audit_dir_t *d)
{
    char    text[SCC_AUDIT_TEXT], cure[SCC_AUDIT_TEXT];
    size_t  i;

    for (i = 0; scc_audit_places[i] != NULL; i++) {
        if (scc_audit_under(d->path, scc_audit_places[i])) {
            scc_audit_add(r, SCC_AUDIT_J3_PLACE, d->dir, scc_audit_places[i],
                          NULL);
        }
    }

    if (j->worker_known && d->owner != j->worker) {
        scc_audit_count(text, d->owner);
        scc_audit_count(cure, j->worker);
        scc_audit_add(r, SCC_AUDIT_J3_OWNER, d->dir, text, cure);
    }

    if ((d->mode & 0777) != 0700) {
        scc_audit_octal(text, d->mode & 0777);
        scc_audit_add(r, SCC_AUDIT_J3_MODE, d->dir, text, NULL);
    }
}


static void
scc_audit_dir_probe(scc_report_t *r, const scc_audit_dir_t *d)
{
    char  text[SCC_AUDIT_TEXT];

    if (!d->probed) {
        return;
    }

    if (d->failed[0] != '\0') {
        scc_audit_add(r, SCC_AUDIT_J6_PROBE, d->dir, d->failed, NULL);
        return;
    }

    /* a disk whose power is protected may be that fast, but then it has been
       written to, and has counted it */

    if (d->sync_usec < SCC_AUDIT_SYNC_FAST && d->disk_blocks < d->syncs) {
        scc_audit_count(text, d->sync_usec);
        scc_audit_add(r, SCC_AUDIT_J4_FAST, d->dir, text, NULL);

    } else if (d->sync_usec > SCC_AUDIT_SLOW) {
        scc_audit_count(text, d->sync_usec / 1000);
        scc_audit_add(r, SCC_AUDIT_J4_SLOW, d->dir, text, NULL);
    }
}


static void
scc_audit_dir_room(scc_report_t *r, const scc_audit_journal_t *j,
    const scc_audit_dir_t *d)
{
    char      text[SCC_AUDIT_TEXT];
    uint64_t  full, files;

    if (j->limited && j->limit < j->segment) {
        scc_audit_count(text, j->limit);
        scc_audit_add(r, SCC_AUDIT_J8_LIMIT, d->dir, text, NULL);
    }

    if (d->bytes == 0) {
        return;
    }

    if (d->bytes_free < j->need) {
        scc_audit_count(text, d->bytes_free);
        scc_audit_cat(text, sizeof(text), " bytes are free");
        scc_audit_add(r, SCC_AUDIT_J8_ROOM, d->dir, text, NULL);
        return;
    }

    if (d->files != 0 && d->files_free < j->need_files) {
        scc_audit_count(text, d->files_free);
        scc_audit_cat(text, sizeof(text), " inodes are free");
        scc_audit_add(r, SCC_AUDIT_J8_ROOM, d->dir, text, NULL);
        return;
    }

    full = 100 - d->bytes_free / (d->bytes / 100 + 1);
    files = (d->files != 0) ? 100 - d->files_free / (d->files / 100 + 1) : 0;

    if (files > full) {
        full = files;
    }

    if (full >= SCC_AUDIT_NEAR) {
        scc_audit_count(text, full);
        scc_audit_add(r, full >= SCC_AUDIT_FULL ? SCC_AUDIT_J8_FULL
                                                : SCC_AUDIT_J8_FILLING,
                      d->dir, text, NULL);
    }
}


static void
scc_audit_preload(scc_report_t *r, const scc_audit_journal_t *j)
{
    if (scc_audit_has_word(j->preload, "libeatmydata")
        || scc_audit_has_word(j->preload, "libfiu"))
    {
        scc_audit_add(r, SCC_AUDIT_J5_SYNC, "", j->preload, NULL);
    }

    if (scc_audit_has_word(j->preload, "libfaketime")) {
        scc_audit_add(r, SCC_AUDIT_J5_TIME, "", j->preload, NULL);
    }
}


static void
scc_audit_disks(scc_report_t *r, const scc_audit_journal_t *j)
{
    const scc_audit_dir_t  *d;

    d = j->dirs;

    if (d->error[0] != '\0') {
        return;
    }

    if (j->n == 2 && d[1].error[0] == '\0' && d[0].dev == d[1].dev) {
        scc_audit_add(r, SCC_AUDIT_J7_COPY, d[0].dir, d[1].dir, NULL);
    }

    if (j->queue_dev != 0 && j->queue_dev == d->dev) {
        scc_audit_add(r, SCC_AUDIT_J7_QUEUE, d->dir, NULL, NULL);
    }

    if (j->store_dev != 0 && j->store_dev == d->dev) {
        scc_audit_add(r, SCC_AUDIT_J7_STORE, d->dir, NULL, NULL);
    }
}


/*
 * proc(5): ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG...] - TYPE SOURCE
 * OPTIONS.  Of mounts on one point the last hides the others.
 */

void
scc_audit_mount(scc_audit_dir_t *d, scc_str_t mountinfo)
{
    char        point[SCC_AUDIT_PATH], word[sizeof(d->options)];
    char        fs[sizeof(d->fs)], options[sizeof(d->options)];
    size_t      len, best, used, i;
    scc_str_t   line, rest;

    best = 0;
    rest = mountinfo;

    while (rest.len != 0) {
        for (len = 0; len < rest.len && rest.data[len] != '\n'; len++) {
            /* void */
        }

        line.data = rest.data;
        line.len = len;

        rest.data += (len < rest.len) ? len + 1 : len;
        rest.len -= (len < rest.len) ? len + 1 : len;

        for (i = 0; i < 4; i++) {
            (void) scc_audit_field(&line, word, sizeof(word));
        }

        len = scc_audit_field(&line, point, sizeof(point));
        used = scc_audit_field(&line, options, sizeof(options));

        if (len < best || !scc_audit_under(d->path, point)) {
            continue;
        }

        while (scc_audit_field(&line, word, sizeof(word)) != 0
               && strcmp(word, "-") != 0)
        {
            /* void */
        }

        (void) scc_audit_field(&line, fs, sizeof(fs));
        (void) scc_audit_field(&line, word, sizeof(word));

        len = scc_audit_field(&line, word, sizeof(word));

        if (used + 1 + len < sizeof(options)) {
            options[used] = ',';
            memcpy(options + used + 1, word, len + 1);
        }

        best = strlen(point);
        memcpy(d->fs, fs, sizeof(fs));
        memcpy(d->options, options, sizeof(options));
    }
}


void
scc_audit_maps(char names[SCC_AUDIT_TEXT], scc_str_t maps)
{
    size_t  i, n, len;

    for (i = 0; scc_audit_libraries[i] != NULL; i++) {

        if (scc_audit_has_word(names, scc_audit_libraries[i])) {
            continue;
        }

        len = strlen(scc_audit_libraries[i]);

        for (n = 0; n + len < maps.len; n++) {

            if (maps.data[n] != '/'
                || memcmp(maps.data + n + 1, scc_audit_libraries[i], len)
                   != 0)
            {
                continue;
            }

            scc_audit_cat(names, SCC_AUDIT_TEXT,
                          names[0] != '\0' ? ", " : "");
            scc_audit_cat(names, SCC_AUDIT_TEXT, scc_audit_libraries[i]);
            break;
        }
    }
}


static bool
scc_audit_under(const char *path, const char *dir)
{
    size_t  len;

    len = strlen(dir);

    if (len == 1 && dir[0] == '/') {
        return path[0] == '/';
    }

    return len != 0 && strncmp(path, dir, len) == 0
           && (path[len] == '/' || path[len] == '\0');
}


/* One of "a,b=c,d". */

static bool
scc_audit_option(const char *options, const char *name)
{
    size_t       len, n;
    const char  *comma;

    len = strlen(name);

    for ( ;; ) {
        comma = strchr(options, ',');
        n = (comma != NULL) ? (size_t) (comma - options) : strlen(options);

        if (n == len && memcmp(options, name, n) == 0) {
            return true;
        }

        if (comma == NULL) {
            return false;
        }

        options = comma + 1;
    }
}


/* The next word, "\040" and the like undone; what is too long is cut. */

static size_t
scc_audit_field(scc_str_t *line, char *to, size_t size)
{
    size_t         n, i;
    unsigned       c;
    const uint8_t  *p;

    for (n = 0; n < line->len && line->data[n] == ' '; n++) {
        /* void */
    }

    i = 0;

    while (n < line->len && line->data[n] != ' ') {
        p = line->data + n;
        c = *p;
        n++;

        if (c == '\\' && n + 3 <= line->len
            && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7'
            && p[3] >= '0' && p[3] <= '7')
        {
            c = (unsigned) (p[1] - '0') << 6 | (unsigned) (p[2] - '0') << 3
                | (unsigned) (p[3] - '0');
            n += 3;
        }

        if (i + 1 < size) {
            to[i++] = (char) c;
        }
    }

    to[i] = '\0';

    line->data += n;
    line->len -= n;

    return i;
}


static void
scc_audit_count(char text[SCC_AUDIT_TEXT], uint64_t n)
{
    text[0] = '\0';
    scc_audit_cat_uint(text, SCC_AUDIT_TEXT, n);
}


static void
scc_audit_octal(char text[SCC_AUDIT_TEXT], uint32_t mode)
{
    text[0] = '0';
    text[1] = (char) ('0' + (mode >> 6 & 7));
    text[2] = (char) ('0' + (mode >> 3 & 7));
    text[3] = (char) ('0' + (mode & 7));
    text[4] = '\0';
}
