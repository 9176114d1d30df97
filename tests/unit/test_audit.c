
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_audit.h"


static scc_report_t         report;
static scc_audit_journal_t  journal;
static scc_audit_queue_t    queue;
static scc_audit_store_t    store;


/* The ids that were found, in order: "J1 J3". */

static const char *
ids(void)
{
    size_t       used;
    unsigned     i;

    static char  text[256];

    for (i = 0, used = 0; i < report.n; i++) {
        used += (size_t) snprintf(text + used, sizeof(text) - used, "%s%s",
                                  i ? " " : "",
                                  scc_audit_rule(report.finding[i].code)->id);
    }

    text[used] = '\0';

    return text;
}


/* A journal with which nothing is wrong. */

static void
good_journal(void)
{
    unsigned          i;
    scc_audit_dir_t  *d;

    memset(&journal, 0, sizeof(journal));

    journal.n = 2;
    journal.worker_known = true;
    journal.worker = 33;
    journal.segment = 16;
    journal.need = 100;
    journal.need_files = 3;

    for (i = 0; i < 2; i++) {
        d = &journal.dirs[i];

        d->dir = i ? "/b" : "/a";
        strcpy(d->path, i ? "/b" : "/a");
        d->fs_type = 0xef53;
        strcpy(d->options, "rw,relatime,rw");
        d->owner = 33;
        d->mode = 0700;
        d->dev = 7 + i;
        d->ino = 70 + i;
        d->bytes = 100000;
        d->bytes_free = 90000;
        d->files = 1000;
        d->files_free = 900;
        d->probed = true;
        d->sync_usec = 110;
        d->syncs = 20;
    }
}


static void
judge_journal(void)
{
    scc_audit_begin(&report);
    scc_audit_journal(&report, &journal);
}


#define BOTH  (SCC_CAP_JOURNAL|SCC_CAP_COPY)


static void
test_journal(void **state)
{
    size_t             i;
    scc_audit_dir_t   *d;

    static const struct {
        int           what;
        const char   *ids;
        unsigned      caps;
    } cases[] = {
        { 0, "", BOTH },
        { 1, "J1", SCC_CAP_JOURNAL },       /* the other one is good */
        { 2, "J1", SCC_CAP_JOURNAL },
        { 3, "J1", SCC_CAP_JOURNAL },
        { 4, "J1", SCC_CAP_JOURNAL },
        { 5, "", BOTH },                    /* vouched for */
        { 6, "J2", SCC_CAP_JOURNAL },
        { 7, "J2", SCC_CAP_JOURNAL },
        { 31, "J2", BOTH },
        { 8, "J3", BOTH },
        { 9, "J3", BOTH },
        { 10, "J3", BOTH },
        { 11, "J4", SCC_CAP_JOURNAL },
        { 29, "J4", SCC_CAP_JOURNAL },      /* a block is missing */
        { 30, "", BOTH },                   /* fast, and on the disk */
        { 12, "J4", BOTH },
        { 13, "J5", 0 },
        { 14, "J5", BOTH },
        { 15, "J6", SCC_CAP_JOURNAL },
        { 16, "J6", SCC_CAP_JOURNAL },
        { 17, "J7", SCC_CAP_JOURNAL },
        { 18, "J8", BOTH },
        { 19, "J8", BOTH },
        { 20, "J8", BOTH },
        { 21, "J9", BOTH },
        { 22, "J10", BOTH },
        { 23, "", SCC_CAP_JOURNAL },        /* not tried: not proven */
        { 24, "J7", BOTH },
        { 25, "J7", BOTH },
        { 26, "J8 J8", 0 },
        { 27, "J8", BOTH },
        { 28, "J1 J1", 0 },
    };

    (void) state;

    for (i = 0; i < scc_test_items(cases); i++) {
        good_journal();
        d = &journal.dirs[0];

        switch (cases[i].what) {
        case 1: d->fs_type = 0x01021994; break;
        case 2: d->fs_type = 0x794c7630; break;
        case 3: d->fs_type = 0x794c7630; journal.allow = SCC_FS_OVERLAY;
            break;
        case 4: d->fs_type = 0x6969; break;
        case 5: d->fs_type = 0x6969; journal.allow = SCC_FS_NFS; break;
        case 6: strcpy(d->options, "rw,relatime,ro"); break;
        case 7: strcpy(d->options, "rw,data=writeback,barrier"); break;
        case 8: strcpy(d->path, "/tmp/a"); break;
        case 9: d->owner = 0; break;
        case 10: d->mode = 0750; break;
        case 11: d->sync_usec = 1; break;
        case 12: d->sync_usec = 60000; break;
        case 13: strcpy(journal.preload, "libeatmydata"); break;
        case 14: strcpy(journal.preload, "libfaketime"); break;
        case 15: strcpy(d->error, "No such file"); break;
        case 16: strcpy(d->failed, "rename: Read-only"); break;
        case 17: journal.dirs[1].dev = d->dev; break;
        case 18: d->bytes_free = 99; break;
        case 19: d->bytes_free = 10000; break;
        case 20: d->files_free = 1; break;
        case 21: journal.known_ino[0] = 71; journal.known_dev[0] = 7; break;
        case 22: strcpy(d->disk, "vda"); break;
        case 23: d->probed = false; break;
        case 24: journal.queue_dev = d->dev; break;
        case 25: journal.store_dev = d->dev; break;
        case 26: journal.limited = true; journal.limit = 15; break;
        case 27: d->bytes_free = 25000; break;
        case 29: d->sync_usec = 9; d->disk_blocks = 19; break;
        case 30: d->sync_usec = 9; d->disk_blocks = 20; break;
        case 31: strcpy(d->bare, "sdb"); break;
        case 28: d->fs_type = journal.dirs[1].fs_type = 0x858458f6; break;
        default: break;
        }

        judge_journal();

        if (strcmp(ids(), cases[i].ids) != 0
            || scc_audit_caps(&report) != cases[i].caps)
        {
            fail_msg("case %d: \"%s\", caps %x", cases[i].what, ids(),
                     scc_audit_caps(&report));
        }
    }

    /* of those with one id, the one that says it best */

    good_journal();
    journal.dirs[0].fs_type = 0x01021994;
    judge_journal();
    assert_int_equal(report.finding[0].code, SCC_AUDIT_J1_VOLATILE);

    good_journal();
    journal.dirs[0].bytes_free = 99;
    judge_journal();
    assert_int_equal(report.finding[0].code, SCC_AUDIT_J8_ROOM);
}


/* Looking alone proves nothing. */

static void
test_look(void **state)
{
    (void) state;

    good_journal();
    journal.dirs[0].mode = 0777;
    journal.dirs[1].fs_type = 0x01021994;

    scc_audit_begin(&report);
    scc_audit_journal_look(&report, &journal);

    assert_str(scc_test_z(ids()), "J3 J1");
    assert_int_equal(scc_audit_caps(&report), 0);
    assert_int_equal(scc_audit_rule(report.finding[0].code)->level,
                     SCC_AUDIT_REFUSE);
}


static void
test_mount(void **state)
{
    size_t           i;
    scc_audit_dir_t  d;

    static const char  mounts[] =
        "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n"
        "30 27 0:25 / /a\\040b ro,nosuid shared:2 master:1 - tmpfs none ro\n"
        "31 27 0:26 / /data rw - ext4 /dev/vdb rw,nobarrier\n"
        "32 27 0:26 / /data rw - xfs /dev/vdc rw\n"
        "33 27 0:26 / /data/x rw - overlay none rw,volatile\n"
        "bad line\n34";

    static const struct {
        const char  *path, *fs, *options;
    } cases[] = {
        { "/var/lib", "ext4", "rw,relatime,rw,discard" },
        { "/a b/c", "tmpfs", "ro,nosuid,ro" },
        { "/a bc", "ext4", "rw,relatime,rw,discard" },
        { "/data", "xfs", "rw,rw" },
        { "/data/x/y", "overlay", "rw,rw,volatile" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(cases); i++) {
        memset(&d, 0, sizeof(d));
        strcpy(d.path, cases[i].path);

        scc_audit_mount(&d, scc_test_z(mounts));

        assert_str(scc_test_z(d.fs), cases[i].fs);
        assert_str(scc_test_z(d.options), cases[i].options);
    }
}


static void
test_maps(void **state)
{
    char  names[SCC_AUDIT_TEXT] = "";

    (void) state;

    scc_audit_maps(names, scc_test_z("7f0 r-xp 00 fe:00 1  /usr/lib/libc.so\n"
                                     "7f1 r-xp 00 /x/libeatmydata.so.1\n"
                                     "7f2 r-xp 00 /x/libeatmydata.so.1\n"
                                     "7f3 r-xp 00 /f/libfaketime.so.1\n"));

    assert_str(scc_test_z(names), "libeatmydata, libfaketime");
}


static const char  info[] =
    "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n"
    "config_file:/etc/redis.conf\r\nloading:0\r\naof_enabled:1\r\n"
    "aof_last_write_status:ok\r\naof_last_bgrewrite_status:ok\r\n"
    "role:master\r\nconnected_slaves:0\r\n";


static void
config(const char *name, const char *value)
{
    scc_audit_config(&queue, scc_test_z(name), scc_test_z(value));
}


static void
good_queue(void)
{
    memset(&queue, 0, sizeof(queue));

    queue.name = "q";
    scc_audit_info(&queue, scc_test_z(info));

    config("appendonly", "yes");
    config("appendfsync", "always");
    config("no-appendfsync-on-rewrite", "no");
    config("aof-load-truncated", "no");
    config("maxmemory", "1000");
    config("maxmemory-policy", "noeviction");
    config("min-replicas-to-write", "0");
    config("dir", "/var/lib/redis");
    config("appenddirname", "appendonlydir");
    config("appendfilename", "appendonly.aof");

    queue.canary_usec = 220;
    queue.stream = true;
    queue.group = true;
    queue.length = 3;
    strcpy(queue.last_id, "20-1");
    strcpy(queue.known_last_id, "20-1");
    queue.added = queue.known_added = 9;
    queue.files = queue.file = true;
    strcpy(queue.file_name, "appendonly.aof.1.incr.aof");
    strcpy(queue.known_file, "appendonly.aof.1.incr.aof");
    strcpy(queue.known_run_id, "abc");
    queue.file_ino = queue.known_ino = 4;
}


static void
test_queue(void **state)
{
    size_t  i;

    static const struct {
        int           what;
        const char   *ids;
        unsigned      caps;
    } cases[] = {
        { 0, "", SCC_CAP_QUEUE },
        { 1, "R1", 0 },
        { 2, "R2", 0 },
        { 3, "R2", 0 },
        { 4, "R2", 0 },
        { 5, "R2", 0 },
        { 6, "R2", 0 },
        { 7, "R2", SCC_CAP_QUEUE },
        { 8, "R2", 0 },
        { 9, "R3", SCC_CAP_QUEUE },
        { 10, "R4", 0 },
        { 11, "R4", SCC_CAP_QUEUE },
        { 12, "R5", SCC_CAP_QUEUE },
        { 13, "R5", SCC_CAP_QUEUE },
        { 14, "R5", SCC_CAP_QUEUE },
        { 15, "R6", 0 },
        { 16, "R6", 0 },
        { 17, "", SCC_CAP_QUEUE },
        { 18, "", SCC_CAP_QUEUE },
        { 19, "R2 R7", 0 },
        { 20, "R1", 0 },
        { 21, "R1", 0 },
        { 22, "R1", SCC_CAP_QUEUE },
        { 23, "R1", SCC_CAP_QUEUE },
        { 24, "", SCC_CAP_QUEUE },
        { 25, "R2", SCC_CAP_QUEUE },
        { 26, "R6", 0 },
        { 27, "R6", 0 },
        { 28, "", SCC_CAP_QUEUE },          /* not its container's */
    };

    (void) state;

    for (i = 0; i < scc_test_items(cases); i++) {
        good_queue();

        switch (cases[i].what) {
        case 1: queue.info = false; break;
        case 2: queue.config = false; break;
        case 3: config("appendonly", "no"); break;
        case 4: config("appendfsync", "everysec"); break;
        case 5: config("no-appendfsync-on-rewrite", "yes"); break;
        case 6: config("maxmemory-policy", "allkeys-lru"); break;
        case 7: config("aof-load-truncated", "yes"); break;
        case 8: strcpy(queue.replicas, "2"); break;
        case 9: queue.canary_usec = 23; break;
        case 10: strcpy(queue.role, "slave"); break;
        case 11: scc_audit_may(&queue, 0); scc_audit_may(&queue, 6); break;
        case 12: strcpy(queue.last_id, "9-7"); break;
        case 13: queue.last_id[0] = '\0'; break;
        case 14: queue.group = false; break;
        case 15: queue.file = false; break;
        case 16: queue.file_ino = 5; break;
        case 17: queue.file_ino = 5; strcpy(queue.run_id, "def"); break;
        case 18: queue.file_ino = 5;
            strcpy(queue.file_name, "appendonly.aof.2.incr.aof");
            break;
        case 19: config("maxmemory-policy", "allkeys-lru");
            strcpy(queue.cache_run_id, "abc");
            break;
        case 20: strcpy(queue.aof_write, "err"); break;
        case 21: strcpy(queue.loading, "1"); break;
        case 22: strcpy(queue.version, "6.2.1"); break;
        case 23: queue.config_file[0] = '\0'; break;
        case 24: strcpy(queue.replicas, "2");
            config("min-replicas-to-write", "1");
            break;
        case 25: config("maxmemory-policy", "volatile-lru");
            config("maxmemory", "0");
            break;
        case 26: queue.fs_type = 0x794c7630; break;
        case 27: queue.fs_type = 0x01021994; break;
        case 28: queue.fs_type = 0x6969; break;
        default: break;
        }

        scc_audit_begin(&report);
        scc_audit_queue(&report, &queue);

        if (strcmp(ids(), cases[i].ids) != 0
            || scc_audit_caps(&report) != cases[i].caps)
        {
            fail_msg("case %d: \"%s\", caps %x", cases[i].what, ids(),
                     scc_audit_caps(&report));
        }
    }

    good_queue();
    scc_audit_may(&queue, 0);
    scc_audit_may(&queue, 6);

    assert_str(scc_test_z(queue.rights), "FLUSHALL, XGROUP DESTROY");
}


static void
row(const char *name, const char *value)
{
    scc_audit_store_set(&store, scc_test_z(name), scc_test_z(value));
}


static void
good_store(void)
{
    scc_audit_store_begin(&store);

    store.name = "pg";

    row("fsync", "on");
    row("full_page_writes", "on");
    row("data_sync_retry", "off");
    row("zero_damaged_pages", "off");
    row("ignore_checksum_failure", "off");
    row("synchronous_commit", "on");
    row("commit_source", "default");
    row("wal_level", "replica");
    row("archive_mode", "on");
    row("archive_command", "pgbackrest archive-push %p");
    row("data_checksums", "on");
    row("role", "scc_app");
    row("database", "scc");
    row("archive_age", "100");
    row("archive_behind", "0");
    row("backup", "3600");
    row("full", "604800");
    row("verify", "604800");
    row("drill", "86400");
}


static void
test_store(void **state)
{
    size_t  i;

    static const struct {
        const char   *name, *value;
        const char   *ids;
        unsigned      caps;
    } cases[] = {
        { "", "", "", SCC_CAP_APPLY|SCC_CAP_DELETE },
        { "fsync", "off", "P1", 0 },
        { "full_page_writes", "off", "P1", 0 },
        { "data_sync_retry", "on", "P1", 0 },
        { "zero_damaged_pages", "on", "P1", 0 },
        { "ignore_checksum_failure", "on", "P1", 0 },
        { "synchronous_commit", "off", "P1", SCC_CAP_APPLY|SCC_CAP_DELETE },
        { "wal_level", "minimal", "P2", SCC_CAP_APPLY },
        { "archive_mode", "off", "P2", SCC_CAP_APPLY },
        { "archive_command", "/bin/true", "P2", SCC_CAP_APPLY },
        { "archive_command", "", "P2", SCC_CAP_APPLY },
        { "archive_failing", "true", "P3", SCC_CAP_APPLY },
        { "archive_behind", "3", "", SCC_CAP_APPLY|SCC_CAP_DELETE },
        { "data_checksums", "off", "P4", SCC_CAP_APPLY|SCC_CAP_DELETE },
        { "checksum_failures", "2", "P4", SCC_CAP_APPLY },
        { "backup", "93601", "P5", SCC_CAP_APPLY },
        { "full", "604801", "P5", SCC_CAP_APPLY },
        { "verify", "604801", "P5", SCC_CAP_APPLY },
        { "archive_command", "pgbackrest --archive-push-queue-max=1GB "
          "archive-push %p", "P2", SCC_CAP_APPLY },
        { "drill", "3024001", "P6", SCC_CAP_APPLY },
        { "recovery", "true", "P7", 0 },
        { "synchronous_standby_names", "s1", "P7", SCC_CAP_DELETE },
    };

    (void) state;

    for (i = 0; i < scc_test_items(cases); i++) {
        good_store();
        row(cases[i].name, cases[i].value);

        scc_audit_begin(&report);
        scc_audit_store(&report, &store);

        if (strcmp(ids(), cases[i].ids) != 0
            || scc_audit_caps(&report) != cases[i].caps)
        {
            fail_msg("%s = %s: \"%s\", caps %x", cases[i].name,
                     cases[i].value, ids(), scc_audit_caps(&report));
        }
    }

    good_store();
    row("archive_behind", "3");
    row("archive_age", "3700");

    scc_audit_begin(&report);
    scc_audit_store(&report, &store);
    assert_str(scc_test_z(ids()), "P3");

    good_store();
    row("backup", "200000");
    row("full", "691200");

    scc_audit_begin(&report);
    scc_audit_store(&report, &store);
    assert_str(scc_test_z(ids()), "P5");
    assert_str(scc_test_z(report.finding[0].seen),
               "the last one: 2 days, the last full one: 8 days");

    good_store();
    store.fs_type = 0x794c7630;

    scc_audit_begin(&report);
    scc_audit_store(&report, &store);
    assert_str(scc_test_z(ids()), "P1");
    assert_int_equal(scc_audit_caps(&report), 0);

    /* what does not answer, or hides its settings, proves nothing */

    scc_audit_store_begin(&store);
    store.name = "pg";
    row("fsync", "on");

    scc_audit_begin(&report);
    scc_audit_store(&report, &store);
    assert_str(scc_test_z(ids()), "P1");
    assert_int_equal(scc_audit_caps(&report), 0);

    strcpy(store.error, "no answer");

    scc_audit_begin(&report);
    scc_audit_store(&report, &store);
    assert_str(scc_test_z(ids()), "P1");
    assert_int_equal(scc_audit_caps(&report), 0);
}


static void
test_cure(void **state)
{
    size_t     i;
    uint8_t    text[512];
    scc_buf_t  b;

    static const struct {
        const char  *source, *text;
    } cases[] = {
        { "user", "ALTER ROLE scc_app RESET synchronous_commit" },
        { "database", "ALTER DATABASE scc RESET synchronous_commit" },
        { "database user",
          "ALTER ROLE scc_app IN DATABASE scc RESET synchronous_commit" },
        { "configuration file",
          "synchronous_commit = on  (postgresql.conf)" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(cases); i++) {
        good_store();
        row("synchronous_commit", "off");
        row("commit_source", cases[i].source);

        scc_audit_begin(&report);
        scc_audit_store(&report, &store);

        scc_buf_fixed(&b, text, sizeof(text));
        scc_audit_text(&b, &report.finding[0],
                       scc_audit_rule(report.finding[0].code)->change);

        assert_str(scc_buf_get(&b), cases[i].text);
    }
}


static void
test_copy(void **state)
{
    scc_audit_copy_t  c;

    (void) state;

    memset(&c, 0, sizeof(c));
    c.dir = "/a";

    scc_audit_begin(&report);
    scc_audit_copy(&report, &c);
    assert_str(scc_test_z(ids()), "");

    c.known = true;
    scc_audit_copy(&report, &c);
    assert_str(scc_test_z(ids()), "O1");
    assert_int_equal(report.finding[0].code, SCC_AUDIT_O1_NONE);

    c.ever = true;
    scc_audit_begin(&report);
    scc_audit_copy(&report, &c);
    assert_str(scc_test_z(ids()), "");

    c.sealed = 1;
    c.oldest = 61;
    scc_audit_copy(&report, &c);
    assert_int_equal(report.finding[0].code, SCC_AUDIT_O1_LATE);

    c.sealed = 0;
    c.tail = 3600;
    scc_audit_copy(&report, &c);
    assert_int_equal(report.n, 2);
    assert_int_equal(scc_audit_caps(&report), 0);
}


/* scc_offsite required: proven only by a copy that is young enough. */

static void
test_copy_required(void **state)
{
    size_t            i;
    scc_audit_copy_t  c;

    static const struct {
        bool               known, ever;
        uint64_t           sealed, oldest, tail;
        bool               proven;
        int                code;
    } cases[] = {
        { false, false, 0, 0, UINT64_MAX, false, SCC_AUDIT_O1_REQUIRED },
        { false, true, 0, 0, 5, false, SCC_AUDIT_O1_REQUIRED },
        { true, false, 0, 0, UINT64_MAX, false, SCC_AUDIT_O1_REQUIRED },
        { true, true, 0, 0, UINT64_MAX, false, SCC_AUDIT_O1_REQUIRED },
        { true, true, 0, 0, 5, true, -1 },
        { true, true, 0, 0, 600, true, SCC_AUDIT_O1_LATE },
        { true, true, 0, 0, 601, false, SCC_AUDIT_O1_REQUIRED },
        { true, true, 1, 601, 5, false, SCC_AUDIT_O1_REQUIRED },
        { true, true, 1, 61, 601, false, SCC_AUDIT_O1_REQUIRED },
        { true, true, 1, 600, 5, true, SCC_AUDIT_O1_LATE },
    };

    (void) state;

    for (i = 0; i < scc_test_items(cases); i++) {
        memset(&c, 0, sizeof(c));

        c.dir = "/a";
        c.limit = 600;
        c.known = cases[i].known;
        c.ever = cases[i].ever;
        c.sealed = cases[i].sealed;
        c.oldest = cases[i].oldest;
        c.tail = cases[i].tail;

        scc_audit_begin(&report);
        scc_audit_copy(&report, &c);

        if (((scc_audit_caps(&report) & SCC_CAP_OFFSITE) != 0)
            != cases[i].proven
            || report.n != (cases[i].code != -1)
            || (report.n && (int) report.finding[0].code != cases[i].code))
        {
            fail_msg("case %zu: \"%s\"", i, ids());
        }
    }
}


/* Texts that are too long are cut, findings that are too many dropped. */

static void
test_bounds(void **state)
{
    char        text[1000];
    uint8_t     json[4096];
    unsigned    i;
    scc_buf_t   b;

    (void) state;

    memset(text, '"', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';

    scc_audit_begin(&report);

    for (i = 0; i < SCC_AUDIT_N; i++) {
        scc_audit_add(&report, (scc_audit_code_t) i, text, text, text);
    }

    assert_int_equal(report.n, SCC_AUDIT_MAX);
    assert_int_equal(strlen(report.finding[0].subject), SCC_AUDIT_TEXT - 1);
    assert_int_equal(strlen(report.finding[0].cure), SCC_AUDIT_CURE - 1);
    assert_int_equal(scc_audit_caps(&report), 0);

    for (i = 0; i < report.n; i++) {
        scc_buf_fixed(&b, json, sizeof(json));
        scc_audit_json(&b, &report.finding[i]);
        assert_false(b.error);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_look),
        cmocka_unit_test(test_mount),
        cmocka_unit_test(test_maps),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_store),
        cmocka_unit_test(test_cure),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_copy_required),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
