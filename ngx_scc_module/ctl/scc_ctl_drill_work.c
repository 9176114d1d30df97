
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "scc_ctl_disk.h"
#include "scc_ctl_drill.h"


#define SCC_CTL_DRILL_LATE   60000          /* ms behind the live store */
#define SCC_CTL_DRILL_EPOCH  "2"


typedef struct {
    scc_ctl_drill_t    *drill;
    char              **hosts;              /* of SCC_CTL_DRILL_HOSTS */
} scc_ctl_drill_hosts_t;


static int scc_ctl_drill_host(void *data, const char *dir, const char *name);
static int scc_ctl_drill_file(void *data, const char *dir, const char *name);
static int scc_ctl_drill_object(scc_ctl_drill_t *d, const char *path);
static int scc_ctl_drill_init(scc_ctl_drill_t *d);
static int scc_ctl_drill_records(scc_ctl_drill_t *d, char **hosts,
    PGconn *pg, const uint8_t store[16]);
static int scc_ctl_drill_erased(scc_ctl_drill_t *d, PGconn *pg);
static int scc_ctl_drill_live(scc_ctl_drill_t *d, const char *conninfo,
    PGconn *copy, const uint8_t store[16]);
static void scc_ctl_drill_found(scc_ctl_drill_t *d, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static double scc_ctl_drill_lap(uint64_t *since);


int
scc_ctl_drill_work(scc_ctl_drill_t *d, const char *live)
{
    int                      rc;
    char                    *hosts[SCC_CTL_DRILL_HOSTS];
    size_t                   i;
    PGconn                  *pg;
    uint8_t                  store[16];
    uint64_t                 since;
    struct rusage            ru;
    scc_ctl_rebuild_conf_t   conf;

    memset(hosts, 0, sizeof(hosts));
    since = scc_ctl_now();

    rc = scc_ctl_drill_objects(d, hosts);
    d->check = scc_ctl_drill_lap(&since);

    if (rc == 0) {
        rc = scc_ctl_drill_init(d);
        d->init = scc_ctl_drill_lap(&since);
    }

    if (rc == 0) {
        memset(&conf, 0, sizeof(scc_ctl_rebuild_conf_t));

        conf.conninfo = d->conninfo;
        conf.dirs = hosts;
        conf.n_dirs = (int) d->hosts;

        rc = scc_ctl_rebuild_run(&conf, &d->rebuilt);
        d->rebuild = scc_ctl_drill_lap(&since);
    }

    pg = (rc == 0) ? scc_ctl_store_connect(d->conninfo, false, store) : NULL;

    if (pg == NULL
        || scc_ctl_drill_records(d, hosts, pg, store) != 0
        || scc_ctl_drill_erased(d, pg) != 0
        || (live != NULL && scc_ctl_drill_live(d, live, pg, store) != 0))
    {
        rc = -1;
    }

    d->look = scc_ctl_drill_lap(&since);

    PQfinish(pg);

    for (i = 0; i < SCC_CTL_DRILL_HOSTS; i++) {
        free(hosts[i]);
    }

    if (getrusage(RUSAGE_SELF, &ru) == 0) {
        d->peak = (uint64_t) ru.ru_maxrss;
    }

    d->done = (rc == 0);

    return rc;
}


int
scc_ctl_drill_objects(scc_ctl_drill_t *d, char *hosts[SCC_CTL_DRILL_HOSTS])
{
    scc_ctl_drill_hosts_t  look;

    look.drill = d;
    look.hosts = hosts;

    if (scc_ctl_disk_list(d->dest, scc_ctl_drill_host, &look) != 0) {
        return -1;
    }

    if (d->objects + d->tails == 0) {
        scc_ctl_error("there is no segment in \"%s\"", d->dest);
        return -1;
    }

    return 0;
}


static int
scc_ctl_drill_host(void *data, const char *dir, const char *name)
{
    scc_ctl_drill_hosts_t *look = data;

    char             *path;
    struct stat       st;
    scc_ctl_drill_t  *d;

    d = look->drill;

    if (name[0] == '.') {
        return 0;
    }

    if (asprintf(&path, "%s/%s", dir, name) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        free(path);
        return 0;
    }

    if (d->hosts == SCC_CTL_DRILL_HOSTS) {
        scc_ctl_error("\"%s\" has more than %d folders", dir,
                      SCC_CTL_DRILL_HOSTS);
        free(path);
        return -1;
    }

    look->hosts[d->hosts++] = path;

    return scc_ctl_disk_list(path, scc_ctl_drill_file, d);
}


static int
scc_ctl_drill_file(void *data, const char *dir, const char *name)
{
    scc_ctl_drill_t *d = data;

    int          rc;
    char        *path;
    size_t       len;
    struct stat  st;

    len = strlen(name);

    if (len > 8 && strcmp(name + len - 8, ".damaged") == 0) {
        scc_ctl_drill_found(d, "%s/%s: shipped as damaged; \"sccctl journal "
                            "cat\" prints what is whole", dir, name);
        return 0;
    }

    if (!scc_ctl_segment_name(name)) {
        return 0;
    }

    if (asprintf(&path, "%s/%s", dir, name) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    rc = 0;

    if (stat(path, &st) != 0) {
        scc_ctl_error("cannot look at \"%s\": %s", path, strerror(errno));
        rc = -1;

    } else {
        d->bytes += (uint64_t) st.st_size;

        if (strcmp(name + len - 4, ".seg") != 0) {
            d->tails += (st.st_size > 0);

        } else {
            d->objects++;
            rc = scc_ctl_drill_object(d, path);
        }
    }

    free(path);

    return rc;
}


static int
scc_ctl_drill_object(scc_ctl_drill_t *d, const char *path)
{
    int        rc;
    char       hex[65], *beside;
    uint8_t    sha256[32];
    scc_buf_t  b;

    if (scc_ctl_disk_sum(path, sha256) != 0) {
        scc_ctl_error("cannot read \"%s\": %s", path, strerror(errno));
        return -1;
    }

    if (asprintf(&beside, "%s.sha256", path) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    scc_ctl_hex(hex, sha256);
    scc_buf_heap(&b, 0);

    rc = scc_ctl_disk_read(beside, 4096, &b);

    if (rc != 0) {
        scc_ctl_drill_found(d, "%s: its digest is not beside it; ship it "
                            "again (remove the .shipped of its journal)",
                            path);

    } else if (b.used < 64 || memcmp(b.start, hex, 64) != 0) {
        scc_ctl_drill_found(d, "%s: it is not what was shipped: it has the "
                            "SHA-256 %s; ship it again (remove the .shipped "
                            "of its journal), and look at that disk", path,
                            hex);
    }

    scc_buf_free(&b);
    free(beside);

    return 0;
}


/* What init says of each migration is not said here. */

static int
scc_ctl_drill_init(scc_ctl_drill_t *d)
{
    int             rc, out, null;
    scc_ctl_args_t  args;

    memset(&args, 0, sizeof(scc_ctl_args_t));

    args.opt[0] = d->conninfo;
    args.opt[1] = d->uuid;
    args.opt[2] = SCC_CTL_DRILL_EPOCH;

    (void) fflush(stdout);

    out = dup(STDOUT_FILENO);
    null = open("/dev/null", O_WRONLY|O_CLOEXEC);

    if (out == -1 || null == -1 || dup2(null, STDOUT_FILENO) == -1) {
        scc_ctl_error("cannot silence init: %s", strerror(errno));
        return -1;
    }

    rc = scc_ctl_init_cmd.handler(&args);

    (void) fflush(stdout);
    (void) dup2(out, STDOUT_FILENO);
    (void) close(out);
    (void) close(null);

    return rc == SCC_CTL_OK ? 0 : -1;
}


/* Every record of the copies is in what was restored, or a dead letter. */

static int
scc_ctl_drill_records(scc_ctl_drill_t *d, char **hosts, PGconn *pg,
    const uint8_t store[16])
{
    int                  rc;
    int64_t              newest;
    scc_ctl_journal_t    j;
    scc_ctl_progress_t   progress;
    scc_ctl_compare_t   *c;

    c = &d->compared;
    scc_ctl_progress_init(&progress, false);

    rc = scc_ctl_journal_list(&j, (int) d->hosts, hosts);

    if (rc == 0) {
        rc = scc_ctl_journal_look(&j);
    }

    if (rc == 0) {
        rc = scc_ctl_compare_journals(c, &j, pg, store, &progress);
    }

    scc_ctl_journal_free(&j);

    if (rc != 0
        || scc_ctl_pg_number(pg, "asking for the newest", "SELECT coalesce("
                             "(extract(epoch FROM max(received_at)) * 1000)"
                             "::bigint, 0) FROM scc.contribution", &newest)
           != 0)
    {
        return -1;
    }

    d->newest = (uint64_t) newest;

    if (c->missing + c->other + c->coming > 0) {
        scc_ctl_drill_found(d, "of %llu records %llu are not in the restored "
                            "store, %llu with another body; please report "
                            "this", (unsigned long long) c->records,
                            (unsigned long long) c->missing + c->coming,
                            (unsigned long long) c->other);
    }

    if (c->unreadable > 0) {
        scc_ctl_drill_found(d, "%llu records are of a version that this "
                            "program does not know",
                            (unsigned long long) c->unreadable);
    }

    return 0;
}


static int
scc_ctl_drill_erased(scc_ctl_drill_t *d, PGconn *pg)
{
    int64_t  n;

    if (scc_ctl_pg_number(pg, "looking for erased names",
                          "SELECT count(*) FROM scc.contribution l"
                          " JOIN scc.contributor c ON c.id = l.contributor_id"
                          " WHERE l.hlc <= c.erased_hlc"
                          "  AND (l.contributor_name IS NOT NULL"
                          "   OR l.idem_key IS NOT NULL)", &n)
        != 0)
    {
        return -1;
    }

    d->names = (uint64_t) n;

    if (n > 0) {
        scc_ctl_drill_found(d, "%lld events of erased contributors have "
                            "names in the restored store; please report "
                            "this", (long long) n);
    }

    return 0;
}


static int
scc_ctl_drill_live(scc_ctl_drill_t *d, const char *conninfo, PGconn *copy,
    const uint8_t store[16])
{
    int               i, rc;
    PGconn           *pg;
    uint8_t           other[16];
    scc_ctl_live_t   *l;
    scc_ctl_digest_t  digest;

    l = &d->live;
    pg = scc_ctl_store_connect(conninfo, false, other);

    if (pg == NULL) {
        return -1;
    }

    rc = -1;

    if (memcmp(store, other, 16) != 0) {
        scc_ctl_error("the store of --pg is another one than the copies'");

    } else if (scc_ctl_live_compare(pg, copy, l) == 0) {
        rc = 0;
    }

    if (rc == 0 && l->only_live + l->only_copy + l->differ == 0) {
        rc = scc_ctl_digest(pg, &digest);

        for (i = 0; i < SCC_CTL_DIGEST_PARTS && rc == 0; i++) {
            if (memcmp(digest.sha256[i], d->rebuilt.digest.sha256[i], 32)
                != 0)
            {
                d->parts++;
                scc_ctl_drill_found(d, "the %s are not what the live store "
                                    "has; \"sccctl verify\" may say which "
                                    "of both is wrong",
                                    scc_ctl_digest_name(
                                        (scc_ctl_digest_part_t) i));
            }
        }
    }

    PQfinish(pg);

    if (rc != 0) {
        return -1;
    }

    if (l->only_live > 0
        && l->oldest + SCC_CTL_DRILL_LATE < d->began * 1000)
    {
        scc_ctl_drill_found(d, "%llu contributions of the live store are not "
                            "in the copies, the oldest %.0f s old: is "
                            "\"sccctl ship\" running on every host, and are "
                            "imports' journals shipped?",
                            (unsigned long long) l->only_live,
                            (double) (d->began * 1000 - l->oldest) / 1000);
    }

    if (l->only_copy > 0) {
        scc_ctl_drill_found(d, "%llu contributions of the copies are not in "
                            "the live store: has it lost some?  See \"sccctl "
                            "verify\"", (unsigned long long) l->only_copy);
    }

    if (l->differ > 0) {
        scc_ctl_drill_found(d, "%llu contributions have another body in the "
                            "live store",
                            (unsigned long long) l->differ);
    }

    return 0;
}


static void
scc_ctl_drill_found(scc_ctl_drill_t *d, const char *fmt, ...)
{
    va_list  args;

    d->findings++;

    fputs("FOUND ", stdout);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    putchar('\n');
}


static double
scc_ctl_drill_lap(uint64_t *since)
{
    double    seconds;
    uint64_t  now;

    now = scc_ctl_now();
    seconds = (double) (now - *since) / 1e9;
    *since = now;

    return seconds;
}
