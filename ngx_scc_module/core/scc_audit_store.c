
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stddef.h>
#include <string.h>

#include "scc_audit.h"


#define SCC_AUDIT_HOUR    ((uint64_t) 3600)
#define SCC_AUDIT_BACKUP  (26 * SCC_AUDIT_HOUR)
#define SCC_AUDIT_WEEK    (7 * 24 * SCC_AUDIT_HOUR)
#define SCC_AUDIT_DRILL   (35 * 24 * SCC_AUDIT_HOUR)
#define SCC_AUDIT_BEHIND  2         /* segments of WAL, and an hour */
#define SCC_AUDIT_LAG     60        /* seconds, of the copy elsewhere */

typedef enum {
    SCC_AUDIT_AS_WORD = 0,
    SCC_AUDIT_AS_BOOL,
    SCC_AUDIT_AS_NUMBER,
} scc_audit_as_t;


typedef struct {
    const char         *name;
    size_t              offset;
    size_t              size;
    scc_audit_as_t      as;
    bool                setting;
} scc_audit_row_t;


/* What a setting must be; data may be lost where it is not. */

typedef struct {
    const char         *name;
    size_t              offset;
    const char         *want;
} scc_audit_must_t;


static void scc_audit_store_p1(scc_report_t *r, const scc_audit_store_t *s);
static void scc_audit_store_commit(scc_report_t *r,
    const scc_audit_store_t *s);
static void scc_audit_store_archive(scc_report_t *r,
    const scc_audit_store_t *s);
static void scc_audit_store_copies(scc_report_t *r,
    const scc_audit_store_t *s);
static void scc_audit_say(char *to, size_t size, const char *a,
    const char *b, const char *c);
static void scc_audit_ago(char text[SCC_AUDIT_TEXT], const char *what,
    uint64_t seconds);


/* All of it may be read by every role; what may not is left out. */

const char  scc_audit_store_sql[] =
    "SELECT name, setting FROM pg_settings WHERE name IN ('fsync',"
    " 'full_page_writes', 'synchronous_commit', 'wal_level', 'archive_mode',"
    " 'archive_command', 'archive_library', 'data_checksums',"
    " 'data_sync_retry', 'zero_damaged_pages', 'ignore_checksum_failure',"
    " 'synchronous_standby_names', 'data_directory')"
    " UNION ALL SELECT 'commit_source', source FROM pg_settings"
    " WHERE name = 'synchronous_commit'"
    " UNION ALL SELECT 'role', current_user"
    " UNION ALL SELECT 'database', current_database()"
    " UNION ALL SELECT 'local', (inet_server_addr() IS NULL"
    " OR inet_server_addr() = inet_client_addr())::text"
    " UNION ALL SELECT 'stamps', (to_regclass('scc.stamp') IS NOT NULL)::text"
    " UNION ALL SELECT 'recovery', pg_is_in_recovery()::text"
    " UNION ALL SELECT 'connected', count(*)::text FROM pg_stat_replication"
    " UNION ALL SELECT 'checksum_failures',"
    " coalesce(sum(checksum_failures), 0)::text FROM pg_stat_database"
    " UNION ALL SELECT 'archive_failing', (last_failed_time"
    " > coalesce(last_archived_time, '-infinity'))::text"
    " FROM pg_stat_archiver"
    " UNION ALL SELECT 'archive_age', floor(greatest(0, extract(epoch FROM"
    " clock_timestamp() - coalesce(last_archived_time, stats_reset))))::text"
    " FROM pg_stat_archiver"
    " UNION ALL SELECT 'archive_behind', greatest(0, floor(pg_wal_lsn_diff("
    "CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn() END,"
    " '0/0') / w.size) - 1"
    " - ('x' || substr(a.last_archived_wal, 9, 8))::bit(32)::bigint"
    " * (4294967296 / w.size)"
    " - ('x' || substr(a.last_archived_wal, 17, 8))::bit(32)::bigint)::text"
    " FROM pg_stat_archiver a, (SELECT setting::bigint AS size"
    " FROM pg_settings WHERE name = 'wal_segment_size') w"
    " WHERE a.last_archived_wal ~ '^[0-9A-F]{24}'";


const char  scc_audit_stamp_sql[] =
    "SELECT k.kind, floor(greatest(0, extract(epoch FROM clock_timestamp()"
    " - max(s.finished))))::text FROM scc.stamp s CROSS JOIN LATERAL unnest("
    "CASE s.kind WHEN 'full' THEN ARRAY['full', 'backup']"
    " ELSE ARRAY[s.kind] END) AS k(kind) WHERE s.ok GROUP BY k.kind";


#define scc_audit_row(name, as, field, setting)                              \
    { name, offsetof(scc_audit_store_t, field),                              \
      sizeof(((scc_audit_store_t *) 0)->field), as, setting }

static const scc_audit_row_t  scc_audit_rows[] = {
    scc_audit_row("fsync", SCC_AUDIT_AS_WORD, fsync, true),
    scc_audit_row("full_page_writes", SCC_AUDIT_AS_WORD, full_page_writes,
                  true),
    scc_audit_row("data_sync_retry", SCC_AUDIT_AS_WORD, data_sync_retry,
                  true),
    scc_audit_row("zero_damaged_pages", SCC_AUDIT_AS_WORD,
                  zero_damaged_pages, true),
    scc_audit_row("ignore_checksum_failure", SCC_AUDIT_AS_WORD,
                  ignore_checksums, true),
    scc_audit_row("synchronous_commit", SCC_AUDIT_AS_WORD, commit, true),
    scc_audit_row("commit_source", SCC_AUDIT_AS_WORD, commit_source, false),
    scc_audit_row("wal_level", SCC_AUDIT_AS_WORD, wal_level, true),
    scc_audit_row("archive_mode", SCC_AUDIT_AS_WORD, archive_mode, true),
    scc_audit_row("archive_command", SCC_AUDIT_AS_WORD, archive_command,
                  false),
    scc_audit_row("archive_library", SCC_AUDIT_AS_WORD, archive_library,
                  false),
    scc_audit_row("data_checksums", SCC_AUDIT_AS_WORD, checksums, true),
    scc_audit_row("synchronous_standby_names", SCC_AUDIT_AS_WORD, standbys,
                  false),
    scc_audit_row("data_directory", SCC_AUDIT_AS_WORD, directory, false),
    scc_audit_row("role", SCC_AUDIT_AS_WORD, role, false),
    scc_audit_row("database", SCC_AUDIT_AS_WORD, database, false),
    scc_audit_row("local", SCC_AUDIT_AS_BOOL, local, false),
    scc_audit_row("stamps", SCC_AUDIT_AS_BOOL, stamps, false),
    scc_audit_row("recovery", SCC_AUDIT_AS_BOOL, recovery, false),
    scc_audit_row("archive_failing", SCC_AUDIT_AS_BOOL, archive_failing,
                  false),
    scc_audit_row("archive_age", SCC_AUDIT_AS_NUMBER, archive_age, false),
    scc_audit_row("archive_behind", SCC_AUDIT_AS_NUMBER, archive_behind,
                  false),
    scc_audit_row("checksum_failures", SCC_AUDIT_AS_NUMBER,
                  checksum_failures, false),
    scc_audit_row("connected", SCC_AUDIT_AS_NUMBER, connected, false),
    scc_audit_row("backup", SCC_AUDIT_AS_NUMBER, backup_age, false),
    scc_audit_row("full", SCC_AUDIT_AS_NUMBER, full_age, false),
    scc_audit_row("verify", SCC_AUDIT_AS_NUMBER, verify_age, false),
    scc_audit_row("drill", SCC_AUDIT_AS_NUMBER, drill_age, false),
    { NULL, 0, 0, SCC_AUDIT_AS_WORD, false }
};

#define SCC_AUDIT_SETTINGS  9       /* of these, that every server has */


#define scc_audit_must(name, field, want)                                    \
    { name, offsetof(scc_audit_store_t, field), want }

static const scc_audit_must_t  scc_audit_musts[] = {
    scc_audit_must("fsync", fsync, "on"),
    scc_audit_must("full_page_writes", full_page_writes, "on"),
    scc_audit_must("data_sync_retry", data_sync_retry, "off"),
    scc_audit_must("zero_damaged_pages", zero_damaged_pages, "off"),
    scc_audit_must("ignore_checksum_failure", ignore_checksums, "off"),
    { NULL, 0, NULL }
};


static const char  *const scc_audit_nothing[] = {
    "", "(disabled)", "true", "/bin/true", "/usr/bin/true", ":", NULL
};


void
scc_audit_store_begin(scc_audit_store_t *s)
{
    memset(s, 0, sizeof(scc_audit_store_t));

    s->backup_age = UINT64_MAX;
    s->full_age = UINT64_MAX;
    s->verify_age = UINT64_MAX;
    s->drill_age = UINT64_MAX;
}


void
scc_audit_store_set(scc_audit_store_t *s, scc_str_t name, scc_str_t value)
{
    char                   *to;
    size_t                  i, len;
    uint64_t                n;
    const scc_audit_row_t  *row;

    for (row = scc_audit_rows; row->name != NULL; row++) {
        if (strlen(row->name) == name.len
            && memcmp(row->name, name.data, name.len) == 0)
        {
            break;
        }
    }

    if (row->name == NULL) {
        return;
    }

    s->settings += row->setting;
    to = (char *) s + row->offset;

    switch (row->as) {

    case SCC_AUDIT_AS_WORD:
        len = value.len < row->size ? value.len : row->size - 1;

        if (len != 0) {
            memcpy(to, value.data, len);
        }

        to[len] = '\0';
        return;

    case SCC_AUDIT_AS_BOOL:
        *(bool *) to = (value.len != 0 && value.data[0] == 't');
        return;

    default: /* SCC_AUDIT_AS_NUMBER */

        for (n = 0, i = 0;
             i < value.len && i < 18
             && value.data[i] >= '0' && value.data[i] <= '9';
             i++)
        {
            n = n * 10 + (uint64_t) (value.data[i] - '0');
        }

        if (i != 0) {
            memcpy(to, &n, sizeof(n));
        }
    }
}


void
scc_audit_store(scc_report_t *r, const scc_audit_store_t *s)
{
    const char  *fs;

    if (s->error[0] != '\0') {
        scc_audit_add(r, SCC_AUDIT_P1_SILENT, s->name, s->error, NULL);
        return;
    }

    if (s->settings < SCC_AUDIT_SETTINGS) {
        scc_audit_add(r, SCC_AUDIT_P1_HIDDEN, s->name, NULL, s->role);
        return;
    }

    scc_audit_store_p1(r, s);
    scc_audit_store_commit(r, s);
    scc_audit_store_archive(r, s);
    scc_audit_store_copies(r, s);

    fs = scc_audit_volatile(s->fs_type);

    if (fs != NULL) {
        scc_audit_add(r, SCC_AUDIT_P1_VOLATILE, s->name, fs, NULL);
    }

    if (s->recovery) {
        scc_audit_add(r, SCC_AUDIT_P7_STANDBY, s->name, NULL, NULL);

    } else if (s->standbys[0] != '\0' && s->connected == 0) {
        scc_audit_add(r, SCC_AUDIT_P7_ALONE, s->name, s->standbys, NULL);
    }

    r->caps |= SCC_CAP_APPLY|SCC_CAP_DELETE;
}


static void
scc_audit_store_p1(scc_report_t *r, const scc_audit_store_t *s)
{
    char                     seen[SCC_AUDIT_TEXT], cure[SCC_AUDIT_CURE];
    const char              *have;
    const scc_audit_must_t  *must;

    for (must = scc_audit_musts; must->name != NULL; must++) {
        have = (const char *) s + must->offset;

        if (strcmp(have, must->want) == 0) {
            continue;
        }

        scc_audit_say(seen, sizeof(seen), must->name, " = ", have);
        scc_audit_say(cure, sizeof(cure), must->name, " = ", must->want);

        scc_audit_add(r, SCC_AUDIT_P1_SETTING, s->name, seen, cure);
    }
}


/* Where the role, or its database, overrides what the server's file says. */

static void
scc_audit_store_commit(scc_report_t *r, const scc_audit_store_t *s)
{
    bool  role, database;
    char  cure[SCC_AUDIT_CURE];

    if (strcmp(s->commit, "off") != 0
        && (strcmp(s->commit, "local") != 0 || s->standbys[0] == '\0'))
    {
        return;
    }

    role = scc_audit_has_word(s->commit_source, "user");
    database = scc_audit_has_word(s->commit_source, "database");

    if (role || database) {
        scc_audit_say(cure, sizeof(cure), "ALTER ",
                      role ? "ROLE " : "DATABASE ",
                      role ? s->role : s->database);

        if (role && database) {
            scc_audit_cat(cure, sizeof(cure), " IN DATABASE ");
            scc_audit_cat(cure, sizeof(cure), s->database);
        }

        scc_audit_cat(cure, sizeof(cure), " RESET synchronous_commit");

    } else {
        scc_audit_say(cure, sizeof(cure), "synchronous_commit = on",
                      "  (postgresql.conf)", "");
    }

    scc_audit_add(r, SCC_AUDIT_P1_COMMIT, s->name, s->commit, cure);
}


static void
scc_audit_store_archive(scc_report_t *r, const scc_audit_store_t *s)
{
    char    seen[SCC_AUDIT_TEXT];
    size_t  i;

    seen[0] = '\0';

    if (strcmp(s->wal_level, "minimal") == 0) {
        scc_audit_say(seen, sizeof(seen), "wal_level = minimal", "", "");

    } else if (strcmp(s->archive_mode, "off") == 0) {
        scc_audit_say(seen, sizeof(seen), "archive_mode = off", "", "");

    } else if (scc_audit_has_word(s->archive_command,
                                  "archive-push-queue-max"))
    {

        /* pgbackrest says then that it has archived what it throws away */

        scc_audit_say(seen, sizeof(seen), "archive-push-queue-max lets it "
                      "drop some", "", "");

    } else if (s->archive_library[0] == '\0') {

        for (i = 0; scc_audit_nothing[i] != NULL; i++) {
            if (strcmp(s->archive_command, scc_audit_nothing[i]) == 0) {
                scc_audit_say(seen, sizeof(seen), "archive_command = '",
                              s->archive_command, "'");
                break;
            }
        }
    }

    if (seen[0] != '\0') {
        scc_audit_add(r, SCC_AUDIT_P2, s->name, seen, NULL);
        return;
    }

    if (s->archive_failing) {
        scc_audit_ago(seen, "", s->archive_age);
        scc_audit_add(r, SCC_AUDIT_P3_FAILED, s->name, seen, NULL);

    } else if (s->archive_behind > SCC_AUDIT_BEHIND
               && s->archive_age > SCC_AUDIT_HOUR)
    {
        scc_audit_cat_uint(seen, sizeof(seen), s->archive_behind);
        scc_audit_add(r, SCC_AUDIT_P3_BEHIND, s->name, seen, NULL);
    }
}


static void
scc_audit_store_copies(scc_report_t *r, const scc_audit_store_t *s)
{
    char    seen[SCC_AUDIT_TEXT], part[SCC_AUDIT_TEXT];
    size_t  i;

    const struct {
        uint64_t     age, limit;
        const char  *what;
    } backups[] = {
        { s->backup_age, SCC_AUDIT_BACKUP, "the last one: " },
        { s->full_age, SCC_AUDIT_WEEK, "the last full one: " },
        { s->verify_age, SCC_AUDIT_WEEK, "the last that was verified: " },
    };

    if (strcmp(s->checksums, "off") == 0) {
        scc_audit_add(r, SCC_AUDIT_P4_OFF, s->name, NULL, NULL);
    }

    if (s->checksum_failures != 0) {
        seen[0] = '\0';
        scc_audit_cat_uint(seen, sizeof(seen), s->checksum_failures);
        scc_audit_add(r, SCC_AUDIT_P4_FAILED, s->name, seen, NULL);
    }

    seen[0] = '\0';

    for (i = 0; i < sizeof(backups) / sizeof(backups[0]); i++) {

        if (backups[i].age > backups[i].limit) {
            scc_audit_ago(part, backups[i].what, backups[i].age);
            scc_audit_cat(seen, sizeof(seen), seen[0] != '\0' ? ", " : "");
            scc_audit_cat(seen, sizeof(seen), part);
        }
    }

    if (seen[0] != '\0') {
        scc_audit_add(r, SCC_AUDIT_P5, s->name, seen, NULL);
    }

    if (s->drill_age > SCC_AUDIT_DRILL) {
        scc_audit_ago(seen, "the last time: ", s->drill_age);
        scc_audit_add(r, SCC_AUDIT_P6, s->name, seen, NULL);
    }
}


void
scc_audit_copy(scc_report_t *r, const scc_audit_copy_t *c)
{
    bool      required;
    char      seen[SCC_AUDIT_TEXT];
    uint64_t  lag;

    if (!c->known) {

        if (c->limit != 0) {
            scc_audit_add(r, SCC_AUDIT_O1_REQUIRED, c->dir,
                          "its directory cannot be read", NULL);
        }

        return;
    }

    lag = UINT64_MAX;

    scc_audit_say(seen, sizeof(seen), "there is none", "", "");

    if (c->ever && c->sealed != 0 && c->oldest > SCC_AUDIT_LAG) {
        lag = c->oldest;
        scc_audit_ago(seen, "a segment waits for ", lag);

    } else if (c->ever) {
        lag = c->tail;
        scc_audit_ago(seen, "the last whole round: ", lag);
    }

    /* of both, what is later */

    required = c->limit != 0
               && (!c->ever || c->tail > c->limit
                   || (c->sealed != 0 && c->oldest > c->limit));

    if (c->limit != 0) {
        r->caps |= SCC_CAP_OFFSITE;
    }

    if (required) {
        scc_audit_add(r, SCC_AUDIT_O1_REQUIRED, c->dir, seen, NULL);

    } else if (!c->ever) {
        scc_audit_add(r, SCC_AUDIT_O1_NONE, c->dir, NULL, NULL);

    } else if (lag > SCC_AUDIT_LAG) {
        scc_audit_add(r, SCC_AUDIT_O1_LATE, c->dir, seen, NULL);
    }
}


static void
scc_audit_say(char *to, size_t size, const char *a, const char *b,
    const char *c)
{
    to[0] = '\0';

    scc_audit_cat(to, size, a);
    scc_audit_cat(to, size, b);
    scc_audit_cat(to, size, c);
}


/* In the largest unit that says enough; of a wait or of a past. */

static void
scc_audit_ago(char text[SCC_AUDIT_TEXT], const char *what, uint64_t seconds)
{
    text[0] = '\0';
    scc_audit_cat(text, SCC_AUDIT_TEXT, what);

    if (seconds == UINT64_MAX) {
        scc_audit_cat(text, SCC_AUDIT_TEXT, "never");

    } else if (seconds < 2 * SCC_AUDIT_HOUR) {
        scc_audit_cat_uint(text, SCC_AUDIT_TEXT, seconds);
        scc_audit_cat(text, SCC_AUDIT_TEXT, " s");

    } else if (seconds < 48 * SCC_AUDIT_HOUR) {
        scc_audit_cat_uint(text, SCC_AUDIT_TEXT, seconds / SCC_AUDIT_HOUR);
        scc_audit_cat(text, SCC_AUDIT_TEXT, " h");

    } else {
        scc_audit_cat_uint(text, SCC_AUDIT_TEXT,
                           seconds / (24 * SCC_AUDIT_HOUR));
        scc_audit_cat(text, SCC_AUDIT_TEXT, " days");
    }
}
