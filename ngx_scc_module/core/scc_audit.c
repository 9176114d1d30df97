
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_audit.h"


#define SCC_AUDIT_KEEP    SCC_CAP_JOURNAL
#define SCC_AUDIT_STORE   (SCC_CAP_APPLY|SCC_CAP_DELETE)


static const scc_audit_rule_t  scc_audit_rules[] = {

    { "J1", SCC_AUDIT_REFUSE, SCC_AUDIT_KEEP,
      "the journal $s is on $v",
      "all that it holds is gone when the host stops",
      "scc_journal /var/lib/scc/journal;  (a directory on a disk)" },

    { "J1", SCC_AUDIT_REFUSE, SCC_AUDIT_KEEP,
      "the journal $s is on an overlay file system",
      "it goes when its container is removed",
      "scc_journal DIR;  (on a volume, or a disk of the host)" },

    { "J1", SCC_AUDIT_ALARM, SCC_AUDIT_KEEP,
      "the journal $s is on an overlay file system, as "
      "\"scc_journal_allow_fs\" permits",
      "it goes when its container is removed: it is not durable, and no "
      "answer says so",
      "scc_journal DIR;  (on a volume, or a disk of the host)" },

    { "J1", SCC_AUDIT_REFUSE, SCC_AUDIT_KEEP,
      "the journal $s is on $v",
      "whether it keeps what it has synced is not known here",
      "scc_journal DIR;  (on a disk of this host), or, if its server does "
      "keep it: scc_journal_allow_fs $c;" },

    { "J2", SCC_AUDIT_REFUSE, SCC_AUDIT_KEEP,
      "the file system of the journal $s is mounted with \"$v\"",
      "what is synced may be lost in a power cut, or nothing can be "
      "written",
      "/etc/fstab: take \"$v\" out of its options, then: mount -o remount" },

    { "J2", SCC_AUDIT_WARN, 0,
      "the ext4 of the journal $s (on $v) has no journal of its own",
      "an inode that cannot be written is told to nobody: on a failing disk "
      "what is synced may be lost",
      "unmount it, then: tune2fs -O has_journal /dev/$v, e2fsck -f /dev/$v" },

    { "J3", SCC_AUDIT_REFUSE, 0,
      "the journal $s lies under $v",
      "that is emptied at a reboot, or by a timer",
      "scc_journal /var/lib/scc/journal;" },

    { "J3", SCC_AUDIT_REFUSE, 0,
      "the journal $s belongs to user id $v, the workers are $c",
      "they cannot write there, or somebody else can take it away",
      "chown -R $c $s" },

    { "J3", SCC_AUDIT_REFUSE, 0,
      "the journal $s has mode $v",
      "others can read who contributed, or remove segments",
      "chmod 700 $s" },

    { "J4", SCC_AUDIT_ALARM, SCC_AUDIT_KEEP,
      "a sync of the journal $s takes $v us, and its disk has not counted "
      "what was written",
      "what is synced is not on it",
      "take away what makes a sync a lie: a library in LD_PRELOAD, a disk in "
      "memory; a disk that is that fast must count: 1 in queue/iostats of it "
      "in /sys/block" },

    { "J4", SCC_AUDIT_WARN, 0,
      "a sync of the journal $s takes $v ms",
      "every contribution waits for one",
      "scc_journal DIR;  (on a faster disk, or one with less to do)" },

    { "J5", SCC_AUDIT_REFUSE, SCC_AUDIT_KEEP,
      "$v is loaded into this process",
      "its syncs may do nothing, or fail at will",
      "take it out of LD_PRELOAD and /etc/ld.so.preload" },

    { "J5", SCC_AUDIT_REFUSE, 0,
      "$v is loaded into this process",
      "its clock is not the host's, and orders contributions wrongly",
      "take it out of LD_PRELOAD and /etc/ld.so.preload" },

    { "J6", SCC_AUDIT_ALARM, SCC_AUDIT_KEEP,
      "the journal $s cannot be looked at: $v",
      "contributions cannot be kept there",
      "sccctl journal init $s, and give it to the workers' user" },

    { "J6", SCC_AUDIT_ALARM, SCC_AUDIT_KEEP,
      "a file in the journal $s could not be made, synced, renamed, read "
      "back from the disk and removed: $v",
      "contributions cannot be kept there",
      "look for its disk in dmesg; free or repair it, or: scc_journal DIR;" },

    { "J7", SCC_AUDIT_WARN, SCC_CAP_COPY,
      "the journal's directories $s and $v are on one disk",
      "it can take both with it; journal=1 is said",
      "scc_journal DIR DIR;  (the second on another disk)" },

    { "J7", SCC_AUDIT_WARN, 0,
      "the queue's files are on the disk of the journal $s",
      "one disk's end takes both",
      "dir DIR  (redis.conf, on another disk)" },

    { "J7", SCC_AUDIT_WARN, 0,
      "the store's files are on the disk of the journal $s",
      "one disk's end takes both, and then only copies elsewhere are left",
      "scc_journal DIR;  (on another disk)" },

    { "J8", SCC_AUDIT_ALARM, 0,
      "the disk of the journal $s has no room for the next segments: $v",
      "contributions will soon be refused",
      "make room; sccctl prune removes what is safe elsewhere" },

    { "J8", SCC_AUDIT_ALARM, 0,
      "the disk of the journal $s is full to $v %",
      "contributions will be refused when it is full",
      "make room; sccctl prune removes what is safe elsewhere" },

    { "J8", SCC_AUDIT_WARN, 0,
      "the disk of the journal $s is full to $v %",
      "contributions will be refused when it is full",
      "make room; sccctl prune removes what is safe elsewhere" },

    { "J8", SCC_AUDIT_ALARM, SCC_AUDIT_KEEP,
      "files may be no larger than $v bytes here, a segment of $s is larger",
      "no segment can be made, contributions are refused",
      "LimitFSIZE=infinity  (nginx.service), or: ulimit -f unlimited" },

    { "J9", SCC_AUDIT_ALARM, 0,
      "the journal $s is another directory than before",
      "somebody has moved or removed it while it was in use",
      "find the old one, and put its segments back: sccctl journal ls" },

    { "J10", SCC_AUDIT_WARN, 0,
      "the virtual disk of the journal $s ($v) offers no flush",
      "the host below may keep in memory what it calls written",
      "have its cache mode set to \"none\" or \"writeback\" with flush, or: "
      "scc_journal DIR DIR;  (two disks)" },

    { "R1", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the queue $s does not say how it is: $v",
      "whether it keeps what it takes cannot be seen; queue=1 will not be "
      "said",
      "start it, or: ACL SETUSER USER +info" },

    { "R1", SCC_AUDIT_WARN, 0,
      "the queue $s is Redis $v",
      "it cannot say what its users may do",
      "upgrade it to Redis 7, or a server compatible with that" },

    { "R1", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the queue $s is loading its data",
      "it takes nothing meanwhile; queue=1 will not be said",
      "wait; its log says how far it is" },

    { "R1", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the queue $s has failed to write its file: $v",
      "what it takes may be lost; queue=1 will not be said",
      "look at its log and its disk; then: CONFIG SET appendonly no, "
      "CONFIG SET appendonly yes" },

    { "R1", SCC_AUDIT_WARN, 0,
      "the queue $s runs without a configuration file",
      "what was set by CONFIG SET is gone at its next start",
      "redis-server FILE, with all of its settings in it" },

    { "R2", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the queue $s does not show its settings: $v",
      "whether it keeps what it takes cannot be seen; queue=1 will not be "
      "said",
      "ACL SETUSER USER +config|get, and no rename-command CONFIG" },

    { "R2", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the queue $s has \"appendonly $v\"",
      "it loses what it has taken; queue=1 will not be said",
      "CONFIG SET appendonly yes; wait for aof_rewrite_in_progress:0; only "
      "then \"appendonly yes\" in its file (the file alone and a restart "
      "would start it empty)" },

    { "R2", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the queue $s has \"appendfsync $v\"",
      "it answers before it syncs; queue=1 will not be said",
      "CONFIG SET appendfsync always, and the same in its file" },

    { "R2", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the queue $s has \"no-appendfsync-on-rewrite $v\"",
      "it does not sync while it rewrites its file; queue=1 will not be "
      "said",
      "CONFIG SET no-appendfsync-on-rewrite no, and the same in its file" },

    { "R2", SCC_AUDIT_WARN, 0,
      "the queue $s has \"aof-load-truncated yes\"",
      "it starts from a damaged file without a word",
      "CONFIG SET aof-load-truncated no, and the same in its file" },

    { "R2", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the queue $s has \"maxmemory-policy $v\" and a maxmemory",
      "it may evict what it has taken; queue=1 will not be said",
      "CONFIG SET maxmemory-policy noeviction, and the same in its file" },

    { "R2", SCC_AUDIT_WARN, 0,
      "the queue $s has \"maxmemory-policy $v\"",
      "it would evict what it has taken, had it a maxmemory",
      "CONFIG SET maxmemory-policy noeviction, and the same in its file" },

    { "R2", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the queue $s has replicas ($v), and waits for none",
      "a failover loses what it has taken; queue=1 will not be said",
      "CONFIG SET min-replicas-to-write 1, and the same in its file" },

    { "R3", SCC_AUDIT_WARN, 0,
      "the queue $s adds an entry in $v us, with \"appendfsync always\"",
      "no disk is that fast: its sync may be a lie",
      "look for libeatmydata in its environment, and at its disk" },

    { "R4", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the queue $s is a $v",
      "it takes nothing, or not for long; queue=1 will not be said",
      "scc_queue ADDRESS;  (of the master)" },

    { "R4", SCC_AUDIT_WARN, 0,
      "the user of the queue $s may $v",
      "one wrong command empties it",
      "ACL SETUSER scc on >PASSWORD ~scc:* +@all -@dangerous -@admin +info "
      "+role +config|get -del -unlink -xtrim -xgroup|destroy -rename" },

    { "R5", SCC_AUDIT_ALARM, 0,
      "the queue $s has lost entries: it was at $v",
      "what they held is brought from the journal to the store",
      "find out who emptied or replaced it; its log says when it started" },

    { "R5", SCC_AUDIT_WARN, 0,
      "the stream of the queue $s has entries, and no group \"apply\"",
      "nobody takes them to the store",
      "start nginx, whose helper makes the group; see its error log" },

    { "R6", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the files of the queue $s are on $v",
      "they go when the machine or the container does; queue=1 will not be "
      "said",
      "dir DIR  (redis.conf, on a disk of the host)" },

    { "R6", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the file of the queue $s is not in $v",
      "it was removed under it: at its next start it is empty; queue=1 will "
      "not be said",
      "BGREWRITEAOF  (it writes a new one), and find out who removed it" },

    { "R6", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "the file of the queue $s is another one than before: $v",
      "it writes to one that has no name; queue=1 will not be said",
      "BGREWRITEAOF  (it writes a new one), and find out who replaced it" },

    { "R7", SCC_AUDIT_ALARM, SCC_CAP_QUEUE,
      "cache and queue $s are one server, with \"maxmemory-policy $v\"",
      "the cache pushes the queue out; queue=1 will not be said",
      "scc_queue ADDRESS;  (a server of its own: redis-server@queue)" },

    { "P1", SCC_AUDIT_ALARM, SCC_AUDIT_STORE,
      "the store $s does not say how it is: $v",
      "whether it keeps what it takes cannot be seen; applied=1 will not be "
      "said",
      "start it; scc_postgres must name it" },

    { "P1", SCC_AUDIT_ALARM, SCC_AUDIT_STORE,
      "the store $s does not show its settings",
      "whether it keeps what it takes cannot be seen; applied=1 will not be "
      "said",
      "GRANT pg_read_all_settings TO $c" },

    { "P1", SCC_AUDIT_ALARM, SCC_AUDIT_STORE,
      "the store $s has \"$v\"",
      "what it has committed may be lost or damaged; applied=1 will not be "
      "said, and no journal may be deleted",
      "$c  (postgresql.conf, then restart; look for the same in ALTER ROLE "
      "and ALTER DATABASE)" },

    { "P1", SCC_AUDIT_WARN, 0,
      "the store $s has \"synchronous_commit = $v\" for its role",
      "nginx sets it for each of its own transactions; what else writes as "
      "this role may lose what it was told",
      "$c" },

    { "P1", SCC_AUDIT_ALARM, SCC_AUDIT_STORE,
      "the files of the store $s are on $v",
      "they go when the machine or the container does; applied=1 will not be "
      "said, and no journal may be deleted",
      "data_directory = 'DIR'  (postgresql.conf, on a disk of the host)" },

    { "P2", SCC_AUDIT_ALARM, SCC_CAP_DELETE,
      "the store $s keeps no archive of its WAL: $v",
      "it cannot be brought back to a moment; no journal may be deleted",
      "archive_mode = on, archive_command = 'pgbackrest --stanza=scc "
      "archive-push %p'  (postgresql.conf)" },

    { "P3", SCC_AUDIT_ALARM, SCC_CAP_DELETE,
      "the store $s fails to archive its WAL; it last did $v ago",
      "copies of it end there, and its disk fills",
      "look at its log, and run its archive_command by hand" },

    { "P3", SCC_AUDIT_ALARM, SCC_CAP_DELETE,
      "the archive of the store $s is behind by $v segments of WAL",
      "copies of it end there",
      "look at its log; archive_timeout = 60s  (postgresql.conf)" },

    { "P4", SCC_AUDIT_WARN, 0,
      "the store $s has no checksums",
      "damage on its disk is not noticed",
      "pg_checksums --enable -D DIR  (while it is stopped)" },

    { "P4", SCC_AUDIT_ALARM, SCC_CAP_DELETE,
      "the store $s has found $v damaged pages",
      "its disk loses data; no journal may be deleted",
      "take a copy of it now, then look at its disk and its log" },

    { "P5", SCC_AUDIT_ALARM, SCC_CAP_DELETE,
      "the backups of the store $s are not recent enough: $v",
      "no journal may be deleted",
      "SELECT scc.stamp_add('full', STARTED, true, 'where');  (at the end of "
      "a full backup, every week; 'backup' of another, every day; 'verify' "
      "when pgbackrest verify has read them, every week)" },

    { "P6", SCC_AUDIT_ALARM, SCC_CAP_DELETE,
      "no copy of the store $s has been restored to try it: $v",
      "a backup that was never restored does not count; no journal may be "
      "deleted",
      "sccctl drill --journal DIR  (every month)" },

    { "P7", SCC_AUDIT_ALARM, SCC_AUDIT_STORE,
      "the store $s is a standby",
      "it takes no contributions; applied=1 will not be said",
      "scc_postgres \"host=PRIMARY target_session_attrs=read-write ...\";" },

    { "P7", SCC_AUDIT_ALARM, SCC_CAP_APPLY,
      "the store $s is to wait for \"$v\", and no standby is connected",
      "commits hang, or are not on two hosts; applied=1 will not be said",
      "start the standby, or: synchronous_standby_names = ''" },

    { "O1", SCC_AUDIT_WARN, SCC_CAP_DELETE,
      "the journal $s is not copied to another place",
      "what this host's end takes with it is gone",
      "sccctl ship --journal $s --to DEST" },

    { "O1", SCC_AUDIT_ALARM, SCC_CAP_DELETE,
      "the copy elsewhere of the journal $s is late: $v",
      "what this host's end takes with it is gone",
      "see that sccctl ship runs, and what it says" },

    { "O1", SCC_AUDIT_ALARM, SCC_CAP_DELETE|SCC_CAP_OFFSITE,
      "the copy elsewhere of the journal $s is later than scc_offsite "
      "permits: $v",
      "contributions are refused",
      "see that sccctl ship --journal $s --to DEST runs, and what it says" },
};


const scc_audit_rule_t *
scc_audit_rule(scc_audit_code_t code)
{
    _Static_assert(sizeof(scc_audit_rules) / sizeof(scc_audit_rules[0])
                   == SCC_AUDIT_N, "a rule for each code");

    return &scc_audit_rules[(unsigned) code < SCC_AUDIT_N ? code : 0];
}


const char *
scc_audit_level_name(scc_audit_level_t level)
{
    return (level == SCC_AUDIT_WARN) ? "warning"
           : (level == SCC_AUDIT_ALARM) ? "alarm" : "refused";
}


void
scc_audit_begin(scc_report_t *r)
{
    r->caps = 0;
    r->taken = 0;
    r->n = 0;
}


void
scc_audit_add(scc_report_t *r, scc_audit_code_t code, const char *subject,
    const char *seen, const char *cure)
{
    scc_finding_t  *f;

    r->taken |= scc_audit_rule(code)->takes;

    if (r->n == SCC_AUDIT_MAX) {
        return;
    }

    f = &r->finding[r->n++];

    f->code = code;

    f->subject[0] = '\0';
    scc_audit_cat(f->subject, sizeof(f->subject),
                  subject != NULL ? subject : "");

    f->seen[0] = '\0';
    scc_audit_cat(f->seen, sizeof(f->seen), seen != NULL ? seen : "");

    f->cure[0] = '\0';
    scc_audit_cat(f->cure, sizeof(f->cure), cure != NULL ? cure : "");
}


unsigned
scc_audit_caps(const scc_report_t *r)
{
    return r->caps & ~r->taken;
}


bool
scc_audit_same(const scc_finding_t *a, const scc_finding_t *b)
{
    return a->code == b->code && strcmp(a->subject, b->subject) == 0;
}


unsigned
scc_audit_find(const scc_report_t *r, const scc_finding_t *f)
{
    unsigned  i;

    for (i = 0; i < r->n; i++) {
        if (scc_audit_same(&r->finding[i], f)) {
            return i;
        }
    }

    return SCC_AUDIT_MAX;
}


bool
scc_audit_has(const scc_report_t *r, scc_audit_code_t code)
{
    unsigned  i;

    for (i = 0; i < r->n; i++) {
        if (r->finding[i].code == code) {
            return true;
        }
    }

    return false;
}


void
scc_audit_text(scc_buf_t *b, const scc_finding_t *f, const char *text)
{
    const char  *from;

    for (from = text; *text != '\0'; text++) {

        if (text[0] != '$'
            || (text[1] != 's' && text[1] != 'v' && text[1] != 'c'))
        {
            continue;
        }

        scc_buf_mem(b, from, (size_t) (text - from));
        text++;

        scc_buf_text(b, *text == 's' ? f->subject
                        : *text == 'v' ? f->seen : f->cure);
        from = text + 1;
    }

    scc_buf_mem(b, from, (size_t) (text - from));
}


void
scc_audit_json(scc_buf_t *b, const scc_finding_t *f)
{
    size_t                   i;
    uint8_t                  text[SCC_AUDIT_TEXT * 3 + 512];
    scc_buf_t                t;
    const char              *parts[3];
    const scc_audit_rule_t  *rule;

    static const char  *const names[] = { "finding", "consequence",
                                          "change" };

    rule = scc_audit_rule(f->code);

    parts[0] = rule->finding;
    parts[1] = rule->consequence;
    parts[2] = rule->change;

    scc_buf_text(b, "{\"id\":\"");
    scc_buf_text(b, rule->id);
    scc_buf_text(b, "\",\"level\":\"");
    scc_buf_text(b, scc_audit_level_name(rule->level));
    scc_buf_byte(b, '"');

    for (i = 0; i < 3; i++) {
        scc_buf_text(b, ",\"");
        scc_buf_text(b, names[i]);
        scc_buf_text(b, "\":");

        scc_buf_fixed(&t, text, sizeof(text));
        scc_audit_text(&t, f, parts[i]);
        scc_buf_json(b, scc_buf_get(&t));
    }

    scc_buf_byte(b, '}');
}


void
scc_audit_cat(char *to, size_t size, const char *text)
{
    size_t  used, len;

    used = strlen(to);
    len = strlen(text);

    if (len > size - 1 - used) {
        len = size - 1 - used;
    }

    memcpy(to + used, text, len);
    to[used + len] = '\0';
}


void
scc_audit_cat_uint(char *to, size_t size, uint64_t n)
{
    char       text[24];
    scc_buf_t  b;

    scc_buf_fixed(&b, text, sizeof(text) - 1);
    scc_buf_uint(&b, n);

    text[b.used] = '\0';

    scc_audit_cat(to, size, text);
}


bool
scc_audit_has_word(const char *text, const char *word)
{
    size_t  len;

    for (len = strlen(word); *text != '\0'; text++) {
        if (strncmp(text, word, len) == 0) {
            return true;
        }
    }

    return false;
}
