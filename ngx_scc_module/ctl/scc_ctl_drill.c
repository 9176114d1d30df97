
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scc_contribution.h"
#include "scc_ctl_cluster.h"
#include "scc_ctl_disk.h"
#include "scc_ctl_drill.h"
#include "scc_ctl_stamp.h"


typedef struct {
    scc_ctl_drill_t    *drill;
    const char         *store;              /* NULL: any */
    unsigned            n;
} scc_ctl_drill_look_t;


static int scc_ctl_drill(const scc_ctl_args_t *args);
static int scc_ctl_drill_store(scc_ctl_drill_t *d, const char *from,
    const char *store);
static int scc_ctl_drill_dry(scc_ctl_drill_t *d);
static int scc_ctl_drill_name(void *data, const char *dir, const char *name);
static int scc_ctl_drill_run(scc_ctl_drill_t *d, const scc_ctl_args_t *args,
    const char *live);
static int scc_ctl_drill_child(scc_ctl_drill_t *d, const char *live);
static int scc_ctl_drill_stamp(const scc_ctl_drill_t *d,
    const scc_ctl_args_t *args, const char *live);
static int scc_ctl_drill_write(const char *dir, const char *name,
    scc_str_t text);
static void scc_ctl_drill_signals(void);
static void scc_ctl_drill_stop(int signo);


enum {
    SCC_CTL_DRILL_FROM = 0,
    SCC_CTL_DRILL_PG,
    SCC_CTL_DRILL_STORE,
    SCC_CTL_DRILL_REPORT,
    SCC_CTL_DRILL_JOURNAL,
    SCC_CTL_DRILL_TEMP,
    SCC_CTL_DRILL_BINDIR,
    SCC_CTL_DRILL_KEEP,
    SCC_CTL_DRILL_DRY_RUN,
};

static const scc_ctl_opt_t  scc_ctl_drill_opts[] = {
    { "from", "DEST", "where \"sccctl ship\" keeps its copies" },
    { "pg", "CONNINFO", "compare with this store too, and stamp it" },
    { "store", "UUID", "which one, where DEST has several" },
    { "report", "FILE", "write the result there, as JSON" },
    { "journal", "DIR", "stamp this journal: DIR/drilled" },
    { "temp", "DIR", "where to make the database (default: TMPDIR, or "
                     "/var/tmp)" },
    { "bindir", "DIR", "where initdb and postgres are" },
    { "keep", NULL, "leave the database's files there" },
    { "dry-run", NULL, "only read the copies, and compare their digests" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_drill_cmd = {
    "drill", "--from DEST",
    "restore the copies into a database to throw away, and compare",
    "A copy that was never restored is no copy.  Makes a PostgreSQL of its "
    "own in a\nnew directory, with a socket in there; fills it from the "
    "copies that \"sccctl\nship\" keeps, and from nothing else; looks every "
    "record up in it; says how long\nit took, how much memory, and what the "
    "copies lack; and removes it.  With --pg\nthe live store is compared "
    "event by event, and what it has more is the loss\nthere would be.\n\n"
    "A drill that found nothing wrong is written down in DEST/STORE/"
    "drill.json, with\n--pg in the store and with --journal in DIR/drilled: "
    "prune and the audit want a\nrecent one.\n",
    scc_ctl_drill_opts, scc_ctl_drill
};


static volatile sig_atomic_t  scc_ctl_drill_worker;
static volatile sig_atomic_t  scc_ctl_drill_stopped;


static int
scc_ctl_drill(const scc_ctl_args_t *args)
{
    int               rc;
    void             *p;
    const char       *live;
    scc_ctl_drill_t  *d;

    if (args->opt[SCC_CTL_DRILL_FROM] == NULL) {
        return scc_ctl_usage("drill", "where are the copies?  --from DEST");
    }

    if (args->argc > 0) {
        return scc_ctl_usage("drill", "it takes no argument, but \"%s\" was "
                             "given", args->argv[0]);
    }

    live = args->opt[SCC_CTL_DRILL_PG];

    if (live != NULL && scc_ctl_pg_conninfo("drill", live) == NULL) {
        return SCC_CTL_USAGE;
    }

    p = mmap(NULL, sizeof(scc_ctl_drill_t), PROT_READ|PROT_WRITE,
             MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        scc_ctl_error("out of memory");
        return SCC_CTL_FAILED;
    }

    d = p;
    d->compare = (live != NULL);
    d->began = (uint64_t) time(NULL);

    if (scc_ctl_drill_store(d, args->opt[SCC_CTL_DRILL_FROM],
                            args->opt[SCC_CTL_DRILL_STORE])
        != 0)
    {
        rc = SCC_CTL_FAILED;

    } else if (args->opt[SCC_CTL_DRILL_DRY_RUN] != NULL) {
        rc = scc_ctl_drill_dry(d);

    } else {
        rc = scc_ctl_drill_run(d, args, live);
    }

    (void) munmap(p, sizeof(scc_ctl_drill_t));

    return rc;
}


/* DEST/STORE, or DEST itself where that is it. */

static int
scc_ctl_drill_store(scc_ctl_drill_t *d, const char *from, const char *store)
{
    scc_ctl_drill_look_t  look;

    look.drill = d;
    look.store = store;
    look.n = 0;

    if (scc_ctl_disk_list(from, scc_ctl_drill_name, &look) != 0) {
        return -1;
    }

    if (look.n == 1) {
        return 0;
    }

    if (look.n > 1) {
        scc_ctl_error("\"%s\" has copies of %u stores; say which one with "
                      "--store", from, look.n);
    } else {
        scc_ctl_error("\"%s\" has no copies%s; it should be what \"sccctl "
                      "ship --to\" was given", from,
                      store != NULL ? " of this store" : "");
    }

    return -1;
}


static int
scc_ctl_drill_name(void *data, const char *dir, const char *name)
{
    scc_ctl_drill_look_t *look = data;

    uint8_t    uuid[16];
    scc_str_t  text;

    text.data = (const uint8_t *) name;
    text.len = strlen(name);

    if (text.len == 36 && scc_uuid_parse(text, uuid) == SCC_OK
        && (look->store == NULL || strcasecmp(name, look->store) == 0))
    {
        memcpy(look->drill->uuid, name, 37);
        snprintf(look->drill->dest, sizeof(look->drill->dest), "%s/%s", dir,
                 name);
        look->n++;
    }

    return 0;
}


/* What would be restored; whether it can be, only a drill shows. */

static int
scc_ctl_drill_dry(scc_ctl_drill_t *d)
{
    int     rc;
    char   *hosts[SCC_CTL_DRILL_HOSTS];
    size_t  i;

    memset(hosts, 0, sizeof(hosts));

    rc = scc_ctl_drill_objects(d, hosts);

    for (i = 0; i < SCC_CTL_DRILL_HOSTS; i++) {
        free(hosts[i]);
    }

    if (rc != 0) {
        return SCC_CTL_FAILED;
    }

    printf("dry run: %llu hosts, %llu segments, %llu tails, %llu bytes, "
           "%llu findings; nothing was restored or stamped\n",
           (unsigned long long) d->hosts, (unsigned long long) d->objects,
           (unsigned long long) d->tails, (unsigned long long) d->bytes,
           (unsigned long long) d->findings);

    return d->findings == 0 ? SCC_CTL_OK : SCC_CTL_FINDINGS;
}


static int
scc_ctl_drill_run(scc_ctl_drill_t *d, const scc_ctl_args_t *args,
    const char *live)
{
    int                rc;
    bool               keep;
    const char        *under;
    struct rusage      ru;
    scc_ctl_cluster_t  cluster;

    under = args->opt[SCC_CTL_DRILL_TEMP];

    if (under == NULL) {
        under = getenv("TMPDIR");
    }

    if (under == NULL || *under == '\0') {
        under = "/var/tmp";
    }

    keep = args->opt[SCC_CTL_DRILL_KEEP] != NULL;

    scc_ctl_drill_signals();

    rc = scc_ctl_cluster_start(&cluster, under,
                               args->opt[SCC_CTL_DRILL_BINDIR]);

    if (rc == 0 && !scc_ctl_drill_stopped) {
        memcpy(d->conninfo, cluster.conninfo, sizeof(d->conninfo));
        rc = scc_ctl_drill_child(d, live);
    }

    scc_ctl_cluster_stop(&cluster, keep);

    if (scc_ctl_drill_stopped) {
        scc_ctl_error("stopped; the database is removed");
        return SCC_CTL_FAILED;
    }

    if (rc != 0 || !d->done) {
        return SCC_CTL_FAILED;
    }

    if (getrusage(RUSAGE_CHILDREN, &ru) == 0
        && (uint64_t) ru.ru_maxrss > d->peak)
    {
        d->server = (uint64_t) ru.ru_maxrss;
    }

    d->total = difftime(time(NULL), (time_t) d->began);

    scc_ctl_drill_print(d);

    if (keep) {
        printf("the database is in \"%s/data\"\n", cluster.dir);
    }

    if (scc_ctl_drill_stamp(d, args, live) != 0) {
        return SCC_CTL_FAILED;
    }

    return d->findings == 0 ? SCC_CTL_OK : SCC_CTL_FINDINGS;
}


/* A process of its own: whatever becomes of it, this one tidies up. */

static int
scc_ctl_drill_child(scc_ctl_drill_t *d, const char *live)
{
    int    rc, status;
    pid_t  pid;

    (void) fflush(NULL);

    pid = fork();

    if (pid == -1) {
        scc_ctl_error("cannot start a process: %s", strerror(errno));
        return -1;
    }

    if (pid == 0) {
        (void) signal(SIGHUP, SIG_DFL);
        (void) signal(SIGINT, SIG_IGN);
        (void) signal(SIGTERM, SIG_DFL);
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);

        rc = scc_ctl_drill_work(d, live);
        (void) fflush(NULL);
        _exit(rc == 0 ? 0 : 1);
    }

    scc_ctl_drill_worker = pid;

    if (scc_ctl_drill_stopped) {
        (void) kill(pid, SIGKILL);
    }

    while (waitpid(pid, &status, 0) == -1) {
        if (errno != EINTR) {
            return -1;
        }
    }

    scc_ctl_drill_worker = 0;

    if (WIFSIGNALED(status) && !scc_ctl_drill_stopped) {
        scc_ctl_error("the drill was killed by signal %d; is there enough "
                      "memory?", WTERMSIG(status));
    }

    return status == 0 ? 0 : -1;
}


/* Only of a drill that found nothing: the report says of the others. */

static int
scc_ctl_drill_stamp(const scc_ctl_drill_t *d, const scc_ctl_args_t *args,
    const char *live)
{
    int          rc;
    scc_buf_t    b;
    const char  *report, *journal;

    report = args->opt[SCC_CTL_DRILL_REPORT];
    journal = args->opt[SCC_CTL_DRILL_JOURNAL];

    scc_buf_heap(&b, 0);
    scc_ctl_drill_json(d, &b);

    rc = b.error ? -1 : 0;

    if (rc == 0 && report != NULL
        && scc_ctl_disk_write(report, scc_buf_get(&b)) != 0)
    {
        scc_ctl_error("cannot write \"%s\": %s", report, strerror(errno));
        rc = -1;
    }

    if (rc == 0 && d->findings == 0) {
        rc = scc_ctl_drill_write(d->dest, SCC_CTL_DRILL_STAMP,
                                 scc_buf_get(&b));

        if (rc == 0 && journal != NULL) {
            rc = scc_ctl_drill_write(journal, SCC_CTL_DRILL_MARK,
                                     scc_buf_get(&b));
        }
    }

    if (rc == 0 && live != NULL) {
        rc = scc_ctl_stamp_add(live, "drill", d->began, d->findings == 0,
                               scc_buf_get(&b));
    }

    scc_buf_free(&b);

    return rc;
}


static int
scc_ctl_drill_write(const char *dir, const char *name, scc_str_t text)
{
    int   rc;
    char  path[4200];

    snprintf(path, sizeof(path), "%.4095s/%s", dir, name);

    rc = scc_ctl_disk_write(path, text);

    if (rc != 0) {
        scc_ctl_error("cannot write \"%s\": %s", path, strerror(errno));
    }

    return rc;
}


static void
scc_ctl_drill_signals(void)
{
    size_t            i;
    struct sigaction  sa;

    static const int  signals[] = { SIGHUP, SIGINT, SIGTERM };

    memset(&sa, 0, sizeof(struct sigaction));
    sigemptyset(&sa.sa_mask);
    sa.sa_handler = scc_ctl_drill_stop;

    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        (void) sigaction(signals[i], &sa, NULL);
    }
}


static void
scc_ctl_drill_stop(int signo)
{
    (void) signo;
    scc_ctl_drill_stopped = 1;

    if (scc_ctl_drill_worker > 0) {
        (void) kill(scc_ctl_drill_worker, SIGKILL);
    }
}
