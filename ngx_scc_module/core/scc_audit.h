
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_AUDIT_H_INCLUDED_
#define _SCC_AUDIT_H_INCLUDED_


#include "scc_buf.h"


/*
 * The durability audit: facts in, findings out.  nginx collects the facts of
 * its journal, queue and store, sccctl doctor collects the same by hand; what
 * they mean is judged here, once.  Facts are plain structs that begin as
 * zeros, which say "not known"; what is not known is never taken for good.
 */

/* What may be promised; a bit is set only where it is proven. */

#define SCC_CAP_JOURNAL  0x01u      /* synced: on the journal's disk */
#define SCC_CAP_COPY     0x02u      /* its two directories: on two disks */
#define SCC_CAP_QUEUE    0x04u      /* answered by the queue: on its disk */
#define SCC_CAP_APPLY    0x08u      /* committed by the store: on its disk */
#define SCC_CAP_DELETE   0x10u      /* the store's copies are such that the
                                       journal may be deleted */
#define SCC_CAP_OFFSITE  0x20u      /* the copy elsewhere is as young as it
                                       must be */

typedef enum {
    SCC_AUDIT_WARN = 0,             /* to be known */
    SCC_AUDIT_ALARM,                /* to be mended */
    SCC_AUDIT_REFUSE,               /* a configuration error if strict */
} scc_audit_level_t;

/* In the order of the table in scc_audit.c. */

typedef enum {
    SCC_AUDIT_J1_VOLATILE = 0,
    SCC_AUDIT_J1_OVERLAY,
    SCC_AUDIT_J1_ALLOWED,
    SCC_AUDIT_J1_REMOTE,
    SCC_AUDIT_J2,
    SCC_AUDIT_J2_BARE,
    SCC_AUDIT_J3_PLACE,
    SCC_AUDIT_J3_OWNER,
    SCC_AUDIT_J3_MODE,
    SCC_AUDIT_J4_FAST,
    SCC_AUDIT_J4_SLOW,
    SCC_AUDIT_J5_SYNC,
    SCC_AUDIT_J5_TIME,
    SCC_AUDIT_J6_LOOK,
    SCC_AUDIT_J6_PROBE,
    SCC_AUDIT_J7_COPY,
    SCC_AUDIT_J7_QUEUE,
    SCC_AUDIT_J7_STORE,
    SCC_AUDIT_J8_ROOM,
    SCC_AUDIT_J8_FULL,
    SCC_AUDIT_J8_FILLING,
    SCC_AUDIT_J8_LIMIT,
    SCC_AUDIT_J9,
    SCC_AUDIT_J10,
    SCC_AUDIT_R1_SILENT,
    SCC_AUDIT_R1_VERSION,
    SCC_AUDIT_R1_LOADING,
    SCC_AUDIT_R1_FAILED,
    SCC_AUDIT_R1_FILE,
    SCC_AUDIT_R2_HIDDEN,
    SCC_AUDIT_R2_OFF,
    SCC_AUDIT_R2_SYNC,
    SCC_AUDIT_R2_REWRITE,
    SCC_AUDIT_R2_TRUNCATED,
    SCC_AUDIT_R2_EVICT,
    SCC_AUDIT_R2_POLICY,
    SCC_AUDIT_R2_REPLICAS,
    SCC_AUDIT_R3,
    SCC_AUDIT_R4_ROLE,
    SCC_AUDIT_R4_RIGHTS,
    SCC_AUDIT_R5_LOST,
    SCC_AUDIT_R5_GROUP,
    SCC_AUDIT_R6_VOLATILE,
    SCC_AUDIT_R6_GONE,
    SCC_AUDIT_R6_OTHER,
    SCC_AUDIT_R7,
    SCC_AUDIT_P1_SILENT,
    SCC_AUDIT_P1_HIDDEN,
    SCC_AUDIT_P1_SETTING,
    SCC_AUDIT_P1_COMMIT,
    SCC_AUDIT_P1_VOLATILE,
    SCC_AUDIT_P2,
    SCC_AUDIT_P3_FAILED,
    SCC_AUDIT_P3_BEHIND,
    SCC_AUDIT_P4_OFF,
    SCC_AUDIT_P4_FAILED,
    SCC_AUDIT_P5,
    SCC_AUDIT_P6,
    SCC_AUDIT_P7_STANDBY,
    SCC_AUDIT_P7_ALONE,
    SCC_AUDIT_O1_NONE,
    SCC_AUDIT_O1_LATE,
    SCC_AUDIT_O1_REQUIRED,
    SCC_AUDIT_N
} scc_audit_code_t;


typedef struct {
    const char         *id;         /* "J1" */
    scc_audit_level_t   level;
    unsigned            takes;      /* SCC_CAP_... */
    const char         *finding;    /* $s, $v and $c are filled in */
    const char         *consequence;
    const char         *change;     /* what to do, as exact as can be */
} scc_audit_rule_t;

const scc_audit_rule_t *scc_audit_rule(scc_audit_code_t code);

/* "warning", "alarm", "refused" */
const char *scc_audit_level_name(scc_audit_level_t level);


#define SCC_AUDIT_TEXT  160
#define SCC_AUDIT_CURE  96
#define SCC_AUDIT_MAX   40          /* findings at a time; more are dropped */

typedef struct {
    scc_audit_code_t    code;
    char                subject[SCC_AUDIT_TEXT];    /* $s: what; NUL at end */
    char                seen[SCC_AUDIT_TEXT];       /* $v */
    char                cure[SCC_AUDIT_CURE];       /* $c */
} scc_finding_t;


typedef struct {
    unsigned            caps;       /* see scc_audit_caps() */
    unsigned            taken;
    unsigned            n;
    scc_finding_t       finding[SCC_AUDIT_MAX];
} scc_report_t;


void scc_audit_begin(scc_report_t *r);

/* NULL: empty; what is too long is cut. */
void scc_audit_add(scc_report_t *r, scc_audit_code_t code,
    const char *subject, const char *seen, const char *cure);

/* What was judged, and not taken by any finding. */
unsigned scc_audit_caps(const scc_report_t *r);

/* The same code and subject. */
bool scc_audit_same(const scc_finding_t *a, const scc_finding_t *b);

/* Which of them "r" has: the number, from 0; SCC_AUDIT_MAX: none. */
unsigned scc_audit_find(const scc_report_t *r, const scc_finding_t *f);

/* There is any of that code. */
bool scc_audit_has(const scc_report_t *r, scc_audit_code_t code);

/* A text of the rule, with what was found filled in. */
void scc_audit_text(scc_buf_t *b, const scc_finding_t *f, const char *text);

/* {"id":"J1","level":"alarm","finding":...,"consequence":...,"change":...} */
void scc_audit_json(scc_buf_t *b, const scc_finding_t *f);


/* For those who judge and collect: appends, and cuts what does not fit. */
void scc_audit_cat(char *to, size_t size, const char *text);
void scc_audit_cat_uint(char *to, size_t size, uint64_t n);
bool scc_audit_has_word(const char *text, const char *word);


/* J: a journal's directories. */

#define SCC_AUDIT_DIRS   2
#define SCC_AUDIT_SYNCS  20         /* of J4; their median counts */
#define SCC_AUDIT_SYNC_FAST  20     /* us; a sync that takes less wants
                                       another proof than that it returned */
#define SCC_AUDIT_PATH   4096

/* File systems that a person may vouch for, bits of "allow". */

#define SCC_FS_OVERLAY  0x01u
#define SCC_FS_NFS      0x02u
#define SCC_FS_CIFS     0x04u
#define SCC_FS_FUSE     0x08u
#define SCC_FS_9P       0x10u

unsigned scc_audit_fs(const char *name);    /* the bit; 0: there is none */

/* Its name, if what is on it goes with its memory or its container. */
const char *scc_audit_volatile(uint64_t fs_type);


typedef struct {
    const char         *dir;        /* as configured */
    char                error[SCC_AUDIT_TEXT];  /* it cannot be looked at:
                                                   nothing else is known */
    char                path[SCC_AUDIT_PATH];       /* real path */
    uint64_t            fs_type;    /* f_type of statfs() */
    char                fs[32];     /* its name in mountinfo */
    char                options[512];               /* of mount and disk */
    uint32_t            owner;
    uint32_t            mode;       /* & 07777 */
    uint64_t            dev, ino;
    uint64_t            bytes, bytes_free, files, files_free;
    char                disk[64];   /* a virtual disk without a flush */
    char                bare[64];   /* a disk whose ext4 has no journal */

    /* what was written and read back; not by "nginx -t" */
    bool                probed;
    uint32_t            sync_usec;
    uint32_t            syncs;      /* of a block each, that were tried */
    uint64_t            disk_blocks;    /* that its disk counted meanwhile;
                                           0: none, or it counts nothing */
    char                failed[SCC_AUDIT_TEXT]; /* "": nothing */
} scc_audit_dir_t;


typedef struct {
    unsigned            n;
    scc_audit_dir_t     dirs[SCC_AUDIT_DIRS];
    bool                worker_known;
    uint32_t            worker;     /* user id of the workers */
    unsigned            allow;      /* SCC_FS_... */
    char                preload[SCC_AUDIT_TEXT];    /* names found in maps */
    bool                limited;    /* RLIMIT_FSIZE */
    uint64_t            limit;
    uint64_t            segment;    /* bytes of one */
    uint64_t            need;       /* bytes that must be free */
    uint64_t            need_files;

    /* of an earlier look; 0: none.  And the other copies', if local. */
    uint64_t            known_dev[SCC_AUDIT_DIRS];
    uint64_t            known_ino[SCC_AUDIT_DIRS];
    uint64_t            queue_dev, store_dev;
} scc_audit_journal_t;

/* Only what can be seen without writing; no capability comes of it. */
void scc_audit_journal_look(scc_report_t *r, const scc_audit_journal_t *j);
void scc_audit_journal(scc_report_t *r, const scc_audit_journal_t *j);

/* The options of mountinfo's last mount on "path", and its type. */
void scc_audit_mount(scc_audit_dir_t *d, scc_str_t mountinfo);

/* The names of the libraries in /proc/self/maps that J5 is about, added to
   those that "names" has. */
void scc_audit_maps(char names[SCC_AUDIT_TEXT], scc_str_t maps);


/* R: the queue. */

#define SCC_AUDIT_WORD  64

typedef struct {
    const char         *name;       /* its address, for people */
    bool                info;       /* INFO has answered */
    bool                config;     /* CONFIG GET has answered */
    char                why[SCC_AUDIT_TEXT];        /* it has not */
    char                version[SCC_AUDIT_WORD];
    char                run_id[SCC_AUDIT_WORD];
    char                config_file[SCC_AUDIT_TEXT];
    char                loading[SCC_AUDIT_WORD];
    char                aof_enabled[SCC_AUDIT_WORD];
    char                aof_write[SCC_AUDIT_WORD];
    char                aof_rewrite[SCC_AUDIT_WORD];
    char                replicas[SCC_AUDIT_WORD];
    char                role[SCC_AUDIT_WORD];

    char                appendonly[SCC_AUDIT_WORD];
    char                appendfsync[SCC_AUDIT_WORD];
    char                no_sync_on_rewrite[SCC_AUDIT_WORD];
    char                load_truncated[SCC_AUDIT_WORD];
    char                maxmemory[SCC_AUDIT_WORD];
    char                policy[SCC_AUDIT_WORD];
    char                min_replicas[SCC_AUDIT_WORD];
    char                dir[SCC_AUDIT_TEXT];
    char                aof_dir[SCC_AUDIT_WORD];
    char                aof_name[SCC_AUDIT_WORD];

    char                rights[SCC_AUDIT_TEXT];     /* that it should lack */
    uint32_t            canary_usec;                /* of an XADD; 0: none */

    /* the stream, as it was seen last and now; "" and 0: not seen */
    bool                stream;     /* it was asked */
    bool                group;
    char                last_id[SCC_AUDIT_WORD];
    uint64_t            added;
    uint64_t            length;
    char                known_run_id[SCC_AUDIT_WORD];
    char                known_last_id[SCC_AUDIT_WORD];
    uint64_t            known_added;

    /* its files, where they are local and may be looked at */
    bool                files;      /* they were looked at */
    bool                file;       /* the one it appends to is there */
    char                file_name[SCC_AUDIT_TEXT];
    uint64_t            file_ino;
    uint64_t            fs_type;    /* f_type of statfs(); 0: not known */
    char                known_file[SCC_AUDIT_TEXT];
    uint64_t            known_ino;

    /* the cache's server; "": none, or not known */
    char                cache_run_id[SCC_AUDIT_WORD];
} scc_audit_queue_t;

/* The part that every process asks which adds to it: what takes
   SCC_CAP_QUEUE away by its settings and state alone (R1, R2, R4). */
void scc_audit_queue_look(scc_report_t *r, const scc_audit_queue_t *q);
void scc_audit_queue(scc_report_t *r, const scc_audit_queue_t *q);

/* Answers, line by line and pair by pair; what is not wanted is ignored. */
void scc_audit_info(scc_audit_queue_t *q, scc_str_t info);
void scc_audit_config(scc_audit_queue_t *q, scc_str_t name, scc_str_t value);
void scc_audit_stream(scc_audit_queue_t *q, scc_str_t name, scc_str_t value);

/* Words of the i-th command that nobody should be able to give; 0: no more.
   And: "user" may give it. */
unsigned scc_audit_right(unsigned i, const char *words[4]);
void scc_audit_may(scc_audit_queue_t *q, unsigned i);


/* P: the store, by the rows (name, value) of one statement. */

typedef struct {
    const char         *name;       /* for people */
    char                error[SCC_AUDIT_TEXT];      /* no answer; "": none */
    unsigned            settings;   /* of pg_settings, that came */
    char                fsync[SCC_AUDIT_WORD];
    char                full_page_writes[SCC_AUDIT_WORD];
    char                data_sync_retry[SCC_AUDIT_WORD];
    char                zero_damaged_pages[SCC_AUDIT_WORD];
    char                ignore_checksums[SCC_AUDIT_WORD];
    char                commit[SCC_AUDIT_WORD];
    char                commit_source[SCC_AUDIT_WORD];
    char                role[SCC_AUDIT_WORD];
    char                database[SCC_AUDIT_WORD];
    char                wal_level[SCC_AUDIT_WORD];
    char                archive_mode[SCC_AUDIT_WORD];
    char                archive_command[SCC_AUDIT_TEXT];
    char                archive_library[SCC_AUDIT_WORD];
    char                checksums[SCC_AUDIT_WORD];
    char                standbys[SCC_AUDIT_WORD];   /* ..._standby_names */
    char                directory[SCC_AUDIT_TEXT];  /* "": not told */
    bool                local;
    uint64_t            fs_type;    /* of its directory; 0: not known */
    bool                stamps;     /* the second statement can be asked */
    bool                recovery;
    bool                archive_failing;
    uint64_t            archive_age;                /* seconds, of the last */
    uint64_t            archive_behind;             /* segments of WAL */
    uint64_t            checksum_failures;
    uint64_t            connected;                  /* standbys */

    /* seconds since; UINT64_MAX: never, or not known */
    uint64_t            backup_age;                 /* of any */
    uint64_t            full_age;
    uint64_t            verify_age;                 /* one was read again */
    uint64_t            drill_age;
} scc_audit_store_t;

void scc_audit_store_begin(scc_audit_store_t *s);
void scc_audit_store_set(scc_audit_store_t *s, scc_str_t name,
    scc_str_t value);
void scc_audit_store(scc_report_t *r, const scc_audit_store_t *s);

/* Without parameters; rows of (name, value). */
extern const char  scc_audit_store_sql[];
extern const char  scc_audit_stamp_sql[];


/* O: the copy elsewhere. */

typedef struct {
    const char         *dir;        /* the journal's first */
    bool                known;      /* the directory was read to its end */
    bool                ever;       /* a mark was seen */
    uint64_t            sealed;     /* segments without a mark */
    uint64_t            oldest;     /* seconds, of these */
    uint64_t            tail;       /* seconds, of the tail's last copy */
    uint64_t            limit;      /* seconds; later than that nothing may be
                                       taken; 0: it may */
} scc_audit_copy_t;

void scc_audit_copy(scc_report_t *r, const scc_audit_copy_t *c);


#endif /* _SCC_AUDIT_H_INCLUDED_ */
