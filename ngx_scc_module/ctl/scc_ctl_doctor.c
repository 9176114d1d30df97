
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scc_ctl_look.h"
#include "scc_probe.h"


#define SCC_CTL_DOCTOR_SYNCS    2000            /* ms in a directory */
#define SCC_CTL_DOCTOR_SEGMENT  (16u << 20)     /* nginx's default */
#define SCC_CTL_DOCTOR_NEED     5               /* segments, two workers */


/* What was named, and what was found. */

typedef struct {
    const char           *dirs[SCC_AUDIT_DIRS];
    unsigned              n_dirs;
    const char           *queue_at;
    const char           *cache_at;
    const char           *pg;               /* connection string */
    bool                  worker_known;
    uid_t                 worker;
    bool                  colour;

    scc_audit_journal_t   journal;
    scc_audit_queue_t     queue;
    scc_audit_store_t     store;
    scc_audit_copy_t      copy;
    scc_report_t          report;
} scc_ctl_doctor_t;


static int scc_ctl_doctor(const scc_ctl_args_t *args);
static int scc_ctl_doctor_named(scc_ctl_doctor_t *d,
    const scc_ctl_args_t *args);
static const char *scc_ctl_doctor_option(const char *option,
    const char *name);
static void scc_ctl_doctor_look(scc_ctl_doctor_t *d);
static void scc_ctl_doctor_copies(scc_ctl_doctor_t *d);
static void scc_ctl_doctor_print(const scc_ctl_doctor_t *d);
static void scc_ctl_doctor_finding(const scc_ctl_doctor_t *d,
    const scc_finding_t *f);
static void scc_ctl_doctor_caps(const scc_ctl_doctor_t *d);
static int scc_ctl_doctor_json(const scc_ctl_doctor_t *d);
static unsigned scc_ctl_doctor_disks(const scc_ctl_doctor_t *d);


enum {
    SCC_CTL_DOCTOR_PG = 0,
    SCC_CTL_DOCTOR_JOURNAL,
    SCC_CTL_DOCTOR_QUEUE,
    SCC_CTL_DOCTOR_REDIS,
    SCC_CTL_DOCTOR_USER,
    SCC_CTL_DOCTOR_JSON,
};

static const scc_ctl_opt_t  scc_ctl_doctor_opts[] = {
    { "pg", "CONNINFO", "the store, as \"scc_postgres\" names it: with the\n"
                        "role that nginx has (default: SCC_PG)" },
    { "journal", "DIR", "the journal's directory; a second one may follow as\n"
                        "an argument (default: SCC_JOURNAL)" },
    { "queue", "ADDRESS", "the queue's Redis, as \"scc_queue\" names it\n"
                          "(default: SCC_QUEUE)" },
    { "redis", "ADDRESS", "the cache's Redis, as \"scc_redis\" names it\n"
                          "(default: SCC_CACHE)" },
    { "user", "NAME", "nginx's user: the journal has to be his" },
    { "json", NULL, "print one JSON object" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_doctor_cmd = {
    "doctor", "[DIR]",
    "say what is not durable, and the line to change",
    "The audit that nginx makes by itself, by hand: is what is acknowledged "
    "kept by\njournal, queue and store, and are there copies?  Changes "
    "nothing: it writes,\nsyncs and removes a file of its own in each "
    "directory, and one entry in the\nstream \"scc:canary\".  What is not "
    "named is not looked at.  Run it as nginx's user,\nor as root.\n",
    scc_ctl_doctor_opts, scc_ctl_doctor
};


static int
scc_ctl_doctor(const scc_ctl_args_t *args)
{
    int                rc;
    scc_ctl_doctor_t  *d;

    d = calloc(1, sizeof(scc_ctl_doctor_t));

    if (d == NULL) {
        scc_ctl_error("out of memory");
        return SCC_CTL_FAILED;
    }

    rc = scc_ctl_doctor_named(d, args);

    if (rc == SCC_CTL_OK) {
        scc_ctl_doctor_look(d);

        if (args->opt[SCC_CTL_DOCTOR_JSON] != NULL) {
            rc = scc_ctl_doctor_json(d);

        } else {
            scc_ctl_doctor_print(d);
        }
    }

    if (rc == SCC_CTL_OK && d->report.n != 0) {
        rc = SCC_CTL_FINDINGS;
    }

    free(d);

    return rc;
}


static int
scc_ctl_doctor_named(scc_ctl_doctor_t *d, const scc_ctl_args_t *args)
{
    int             i;
    const char     *dir, *user;
    struct passwd  *pw;

    dir = scc_ctl_doctor_option(args->opt[SCC_CTL_DOCTOR_JOURNAL],
                                "SCC_JOURNAL");

    if (dir != NULL) {
        d->dirs[d->n_dirs++] = dir;
    }

    for (i = 0; i < args->argc; i++) {
        if (d->n_dirs == SCC_AUDIT_DIRS) {
            return scc_ctl_usage("doctor", "a journal has two directories at "
                                 "most; look at others one by one");
        }

        d->dirs[d->n_dirs++] = args->argv[i];
    }

    d->queue_at = scc_ctl_doctor_option(args->opt[SCC_CTL_DOCTOR_QUEUE],
                                        "SCC_QUEUE");
    d->cache_at = scc_ctl_doctor_option(args->opt[SCC_CTL_DOCTOR_REDIS],
                                        "SCC_CACHE");

    if (scc_ctl_doctor_option(args->opt[SCC_CTL_DOCTOR_PG], "SCC_PG")
        != NULL)
    {
        d->pg = scc_ctl_pg_conninfo("doctor", args->opt[SCC_CTL_DOCTOR_PG]);

        if (d->pg == NULL) {
            return SCC_CTL_USAGE;
        }
    }

    if (d->n_dirs == 0 && d->queue_at == NULL && d->pg == NULL) {
        return scc_ctl_usage("doctor", "nothing to look at; name --journal, "
                             "--queue or --pg");
    }

    user = args->opt[SCC_CTL_DOCTOR_USER];

    if (user != NULL) {
        pw = getpwnam(user);

        if (pw == NULL) {
            return scc_ctl_usage("doctor", "there is no user \"%s\"; name "
                                 "the one of nginx's \"user\" directive",
                                 user);
        }

        d->worker_known = true;
        d->worker = pw->pw_uid;

    } else if (geteuid() != 0) {
        d->worker_known = true;
        d->worker = geteuid();
    }

    d->colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;

    return SCC_CTL_OK;
}


static const char *
scc_ctl_doctor_option(const char *option, const char *name)
{
    const char  *value;

    value = (option != NULL) ? option : getenv(name);

    return (value != NULL && *value != '\0') ? value : NULL;
}


static void
scc_ctl_doctor_look(scc_ctl_doctor_t *d)
{
    unsigned              i;
    scc_audit_journal_t  *j;

    scc_audit_begin(&d->report);
    scc_audit_store_begin(&d->store);

    if (d->queue_at != NULL) {
        d->queue.name = d->queue_at;
        scc_ctl_look_queue(&d->queue, d->queue_at, d->cache_at);
    }

    if (d->pg != NULL) {
        d->store.name = "of --pg";
        scc_ctl_look_store(&d->store, d->pg);
    }

    if (d->n_dirs != 0) {
        j = &d->journal;

        j->n = d->n_dirs;
        j->worker_known = d->worker_known;
        j->worker = (uint32_t) d->worker;
        j->segment = SCC_CTL_DOCTOR_SEGMENT;
        j->need = SCC_CTL_DOCTOR_NEED * j->segment;
        j->need_files = SCC_CTL_DOCTOR_NEED;

        for (i = 0; i < d->n_dirs; i++) {
            j->dirs[i].dir = d->dirs[i];
        }

        if (d->queue.files) {
            j->queue_dev = scc_probe_dev(d->queue.dir);
        }

        if (d->store.local && d->store.directory[0] != '\0') {
            j->store_dev = scc_probe_dev(d->store.directory);
            d->store.fs_type = scc_probe_fs(d->store.directory);
        }

        scc_probe_try(j, SCC_CTL_DOCTOR_SYNCS);
        scc_audit_journal(&d->report, j);

        scc_ctl_doctor_copies(d);
    }

    if (d->queue_at != NULL) {
        scc_audit_queue(&d->report, &d->queue);
    }

    if (d->pg != NULL) {
        scc_audit_store(&d->report, &d->store);
    }

    if (d->n_dirs != 0) {
        scc_audit_copy(&d->report, &d->copy);
    }
}


/* What "sccctl ship" and "sccctl drill" leave beside the segments. */

static void
scc_ctl_doctor_copies(scc_ctl_doctor_t *d)
{
    char      path[SCC_AUDIT_PATH];
    uint64_t  age;

    d->copy.dir = d->dirs[0];
    scc_probe_copy(&d->copy);

    snprintf(path, sizeof(path), "%s/drilled", d->dirs[0]);

    age = scc_probe_age(path);

    if (age < d->store.drill_age) {
        d->store.drill_age = age;
    }
}


static void
scc_ctl_doctor_print(const scc_ctl_doctor_t *d)
{
    unsigned  i, alarms;

    alarms = 0;

    for (i = 0; i < d->report.n; i++) {
        scc_ctl_doctor_finding(d, &d->report.finding[i]);

        alarms += scc_audit_rule(d->report.finding[i].code)->level
                  != SCC_AUDIT_WARN;
    }

    if (d->n_dirs == 0) {
        printf("not looked at: the journal (--journal)\n");
    }

    if (d->queue_at == NULL) {
        printf("not looked at: the queue (--queue)\n");
    }

    if (d->pg == NULL) {
        printf("not looked at: the store (--pg)\n");
    }

    scc_ctl_doctor_caps(d);

    if (d->report.n == 0) {
        printf("no findings\n");

    } else {
        printf("%u findings: %u alarms, %u warnings\n", d->report.n, alarms,
               d->report.n - alarms);
    }
}


static void
scc_ctl_doctor_finding(const scc_ctl_doctor_t *d, const scc_finding_t *f)
{
    uint8_t                  line[1024];
    unsigned                 i;
    scc_buf_t                b;
    const char              *texts[3];
    const scc_audit_rule_t  *rule;

    static const char  *const begins[] = { "", "      ", "      change: " };

    rule = scc_audit_rule(f->code);

    printf("%s%-4s%s  ",
           !d->colour ? "" : rule->level == SCC_AUDIT_WARN ? "\033[33m"
                                                           : "\033[31m",
           rule->id, d->colour ? "\033[0m" : "");

    texts[0] = rule->finding;
    texts[1] = rule->consequence;
    texts[2] = rule->change;

    for (i = 0; i < 3; i++) {
        scc_buf_fixed(&b, line, sizeof(line));
        scc_audit_text(&b, f, texts[i]);

        printf("%s%.*s\n", begins[i], (int) b.used, (char *) b.start);
    }

    putchar('\n');
}


static void
scc_ctl_doctor_caps(const scc_ctl_doctor_t *d)
{
    unsigned  caps;

    caps = scc_audit_caps(&d->report);

    printf("what may be said: journal=%u, queue=%d, applied=%d; journals may "
           "%sbe deleted\n", scc_ctl_doctor_disks(d),
           (caps & SCC_CAP_QUEUE) != 0, (caps & SCC_CAP_APPLY) != 0,
           (caps & SCC_CAP_DELETE) != 0 ? "" : "not ");
}


static int
scc_ctl_doctor_json(const scc_ctl_doctor_t *d)
{
    int        rc;
    unsigned   i, caps;
    scc_buf_t  b;

    scc_buf_heap(&b, 0);

    caps = scc_audit_caps(&d->report);

    scc_buf_text(&b, "{\"journal\":");
    scc_buf_uint(&b, scc_ctl_doctor_disks(d));
    scc_buf_text(&b, ",\"queue\":");
    scc_buf_uint(&b, (caps & SCC_CAP_QUEUE) != 0);
    scc_buf_text(&b, ",\"applied\":");
    scc_buf_uint(&b, (caps & SCC_CAP_APPLY) != 0);
    scc_buf_text(&b, ",\"delete\":");
    scc_buf_uint(&b, (caps & SCC_CAP_DELETE) != 0);
    scc_buf_text(&b, ",\"findings\":[");

    for (i = 0; i < d->report.n; i++) {
        scc_buf_text(&b, i ? "," : "");
        scc_audit_json(&b, &d->report.finding[i]);
    }

    scc_buf_text(&b, "]}\n");

    rc = SCC_CTL_OK;

    if (b.error) {
        scc_ctl_error("out of memory");
        rc = SCC_CTL_FAILED;

    } else {
        fwrite(b.start, 1, b.used, stdout);
    }

    scc_buf_free(&b);

    return rc;
}


static unsigned
scc_ctl_doctor_disks(const scc_ctl_doctor_t *d)
{
    unsigned  caps;

    caps = scc_audit_caps(&d->report);

    return (caps & SCC_CAP_JOURNAL) == 0 ? 0
           : (caps & SCC_CAP_COPY) == 0 ? 1 : 2;
}
