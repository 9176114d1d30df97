
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "scc_ctl_roster.h"
#include "scc_json_object.h"
#include "scc_time.h"


/*
 * The roster of a night, beside those of the nights before.  It is believed
 * only if it knows no fewer than the newest of them: people and erased ones
 * together never get fewer, nor does the greatest number fall.  Those of
 * more than SCC_CTL_SNAPSHOT_DAYS days ago are deleted when today's is on
 * disk, so that erased people are gone from all of them by then.  Of a
 * refused one the same, but for the newest of those there are: it knows
 * whom the older ones know, and a roster that was lost never costs it.
 */

#define SCC_CTL_SNAPSHOT_DAYS  35
#define SCC_CTL_SNAPSHOT_NAME  sizeof("roster-20261123.json")


typedef struct {
    const char         *dir;
    int64_t             today;
    int64_t             newest;         /* before today; 0: none */
    int64_t            *old;            /* days to be deleted */
    size_t              n_old;
    uint64_t            people;         /* of the newest, with the erased */
    uint64_t            order;
    bool                known;
} scc_ctl_snapshot_t;


static int scc_ctl_snapshot_look(scc_ctl_snapshot_t *sn);
static int scc_ctl_snapshot_last(scc_ctl_snapshot_t *sn);
static scc_rc_t scc_ctl_snapshot_member(void *ctx, scc_str_t key,
    scc_str_t value);
static int scc_ctl_snapshot_refused(const scc_ctl_roster_t *ro,
    scc_ctl_snapshot_t *sn, uint64_t people);
static int scc_ctl_snapshot_delete(const scc_ctl_snapshot_t *sn);
static bool scc_ctl_snapshot_day(const char *name, int64_t *day);
static char *scc_ctl_snapshot_path(const char *dir, int64_t day);


int
scc_ctl_roster_snapshot(const scc_ctl_roster_t *ro)
{
    int                  rc;
    char                *path;
    uint64_t             people;
    scc_buf_t            b;
    scc_ctl_snapshot_t   sn;

    memset(&sn, 0, sizeof(scc_ctl_snapshot_t));

    sn.dir = ro->to;
    sn.today = ((int64_t) time(NULL) + ro->zone * 60) / 86400;

    if (scc_ctl_snapshot_look(&sn) != 0
        || (sn.newest != 0 && scc_ctl_snapshot_last(&sn) != 0))
    {
        free(sn.old);
        return SCC_CTL_FAILED;
    }

    people = scc_roster_n(ro->roster) + scc_roster_erased(ro->roster);

    if (sn.known && !ro->fewer
        && (people < sn.people || scc_roster_top(ro->roster) < sn.order))
    {
        rc = scc_ctl_snapshot_refused(ro, &sn, people);
        free(sn.old);
        return rc;
    }

    path = scc_ctl_snapshot_path(sn.dir, sn.today);

    if (path == NULL) {
        free(sn.old);
        return SCC_CTL_FAILED;
    }

    scc_buf_heap(&b, 0);
    scc_ctl_roster_write(&b, ro, false);

    rc = 0;

    if (!ro->dry_run) {
        rc = scc_ctl_roster_put(path, &b);

        if (rc == 0) {
            rc = scc_ctl_snapshot_delete(&sn);
        }
    }

    if (rc == 0) {
        printf("%s%s: %zu contributors, %zu older snapshots deleted\n",
               ro->dry_run ? "dry run: " : "", path,
               scc_roster_n(ro->roster), sn.n_old);
    }

    scc_buf_free(&b);
    free(path);
    free(sn.old);

    return rc == 0 ? SCC_CTL_OK : SCC_CTL_FAILED;
}


static int
scc_ctl_snapshot_look(scc_ctl_snapshot_t *sn)
{
    DIR            *d;
    int64_t         day, *old;
    struct dirent  *de;

    d = opendir(sn->dir);

    if (d == NULL) {
        scc_ctl_error("cannot read \"%s\": %s; make the directory for "
                      "snapshots first", sn->dir, strerror(errno));
        return -1;
    }

    while ((de = readdir(d)) != NULL) {

        if (!scc_ctl_snapshot_day(de->d_name, &day)) {
            continue;
        }

        if (day <= sn->today && (sn->newest == 0 || day > sn->newest)) {
            sn->newest = day;
        }

        if (day >= sn->today - SCC_CTL_SNAPSHOT_DAYS) {
            continue;
        }

        old = realloc(sn->old, (sn->n_old + 1) * sizeof(int64_t));

        if (old == NULL) {
            scc_ctl_error("out of memory");
            (void) closedir(d);
            return -1;
        }

        sn->old = old;
        sn->old[sn->n_old++] = day;
    }

    (void) closedir(d);

    return 0;
}


/* What the newest one says of itself, in its first line. */

static int
scc_ctl_snapshot_last(scc_ctl_snapshot_t *sn)
{
    char       *path, *line, *end;
    FILE       *f;
    size_t      size;
    ssize_t     len;
    scc_str_t   text;
    scc_err_t   err;
    scc_buf_t   b;

    path = scc_ctl_snapshot_path(sn->dir, sn->newest);
    if (path == NULL) {
        return -1;
    }

    f = fopen(path, "re");

    if (f == NULL) {
        scc_ctl_error("cannot open \"%s\": %s", path, strerror(errno));
        free(path);
        return -1;
    }

    line = NULL;
    size = 0;
    len = getline(&line, &size, f);
    (void) fclose(f);

    end = len > 0 ? strstr(line, ",\"roster\":[") : NULL;

    scc_buf_heap(&b, 0);

    if (end != NULL) {
        scc_buf_mem(&b, line, (size_t) (end - line));
        scc_buf_byte(&b, '}');
        text = scc_buf_get(&b);

        if (!b.error
            && scc_json_object(text, scc_ctl_snapshot_member, sn, &err)
               == SCC_OK)
        {
            sn->known = true;
        }
    }

    if (!sn->known) {
        scc_ctl_error("\"%s\" is no snapshot of a roster; look at it, and "
                      "move it away", path);
    }

    scc_buf_free(&b);
    free(line);
    free(path);

    return sn->known ? 0 : -1;
}


static scc_rc_t
scc_ctl_snapshot_member(void *ctx, scc_str_t key, scc_str_t value)
{
    char                 text[24];
    uint64_t             n;
    scc_ctl_snapshot_t  *sn = ctx;

    static const scc_str_t  contributors = scc_string("contributors");
    static const scc_str_t  erased = scc_string("erased");
    static const scc_str_t  order = scc_string("order");

    if (value.len >= sizeof(text)) {
        return SCC_OK;
    }

    memcpy(text, value.data, value.len);
    text[value.len] = '\0';

    if (scc_ctl_number(text, 0, UINT64_MAX / 4, &n) != 0) {
        return SCC_OK;
    }

    if (scc_str_eq(key, contributors) || scc_str_eq(key, erased)) {
        sn->people += n;
    }

    if (scc_str_eq(key, order)) {
        sn->order = n;
    }

    return SCC_OK;
}


/* However long it takes until somebody looks, what is old does not stay. */

static int
scc_ctl_snapshot_refused(const scc_ctl_roster_t *ro, scc_ctl_snapshot_t *sn,
    uint64_t people)
{
    size_t  i, n;

    for (i = 0, n = 0; i < sn->n_old; i++) {
        if (sn->old[i] != sn->newest) {
            sn->old[n++] = sn->old[i];
        }
    }

    sn->n_old = n;

    if (!ro->dry_run && scc_ctl_snapshot_delete(sn) != 0) {
        return SCC_CTL_FAILED;
    }

    scc_ctl_error("refused: this roster has %" PRIu64 " people (erased ones "
                  "included) and numbers to %" PRIu64 ", the last snapshot "
                  "%" PRIu64 " and %" PRIu64 ": is this the right store, and "
                  "all of it?  Nothing was written; %zu snapshots older than "
                  "%d days were %sdeleted.  If it is, say --believe-fewer",
                  people, scc_roster_top(ro->roster), sn->people, sn->order,
                  n, SCC_CTL_SNAPSHOT_DAYS,
                  ro->dry_run ? "not (dry run) " : "");

    if (sn->newest < sn->today - SCC_CTL_SNAPSHOT_DAYS) {
        scc_ctl_error("the last snapshot is %" PRId64 " days old, and has the "
                      "names of people who were erased since",
                      sn->today - sn->newest);
    }

    return SCC_CTL_FORBIDDEN;
}


static int
scc_ctl_snapshot_delete(const scc_ctl_snapshot_t *sn)
{
    int      fd, rc;
    char    *path;
    size_t   i;

    for (i = 0; i < sn->n_old; i++) {
        path = scc_ctl_snapshot_path(sn->dir, sn->old[i]);

        if (path == NULL) {
            return -1;
        }

        rc = unlink(path);

        if (rc != 0 && errno != ENOENT) {
            scc_ctl_error("cannot delete \"%s\": %s; it may hold names of "
                          "people who were erased", path, strerror(errno));
            free(path);
            return -1;
        }

        free(path);
    }

    if (sn->n_old == 0) {
        return 0;
    }

    fd = open(sn->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = fd != -1 ? fsync(fd) : -1;

    if (rc != 0) {
        scc_ctl_error("cannot sync the folder \"%s\": %s", sn->dir,
                      strerror(errno));
    }

    if (fd != -1) {
        (void) close(fd);
    }

    return rc;
}


/* Only what is named exactly so is ours. */

static bool
scc_ctl_snapshot_day(const char *name, int64_t *day)
{
    scc_str_t  text;

    if (strlen(name) != SCC_CTL_SNAPSHOT_NAME - 1
        || strncmp(name, "roster-", 7) != 0
        || strcmp(name + 15, ".json") != 0)
    {
        return false;
    }

    text.data = (const uint8_t *) name + 7;
    text.len = 8;

    return scc_day_parse(text, true, day) == SCC_OK;
}


static char *
scc_ctl_snapshot_path(const char *dir, int64_t day)
{
    char       *path;
    char        text[16];
    scc_buf_t   b;

    scc_buf_fixed(&b, text, sizeof(text) - 1);
    scc_day_write(&b, true, day);
    text[b.used] = '\0';

    if (asprintf(&path, "%s/roster-%s.json", dir, text) == -1) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    return path;
}
