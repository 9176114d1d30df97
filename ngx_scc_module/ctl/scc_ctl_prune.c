
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "scc_anchor.h"
#include "scc_ctl_disk.h"
#include "scc_ctl_prune.h"
#include "scc_ctl_store.h"


#define SCC_CTL_PRUNE_CLOCK   60            /* s apart, at most */
#define SCC_CTL_PRUNE_ANCHOR  600           /* s old, at most */
#define SCC_CTL_PRUNE_DAYS7   (7 * 86400)


typedef struct {
    uint64_t            deleted;
    uint64_t            young;
    uint64_t            refused;
    uint64_t            emptied;
} scc_ctl_prune_count_t;


typedef struct {
    const scc_ctl_prune_t  *prune;
    scc_ctl_prune_count_t  *count;
} scc_ctl_prune_empty_t;


static int scc_ctl_prune(const scc_ctl_args_t *args);
static int scc_ctl_prune_may(scc_ctl_prune_t *pr, int n, char **dirs);
static int scc_ctl_prune_store(scc_ctl_prune_t *pr, int64_t *events,
    int64_t *epoch);
static int scc_ctl_prune_anchor(const scc_ctl_prune_t *pr, const char *dir,
    int64_t events, int64_t epoch);
static int scc_ctl_prune_all(scc_ctl_prune_t *pr, int n, char **dirs,
    scc_ctl_prune_count_t *count);
static void scc_ctl_prune_print(const scc_ctl_prune_t *pr,
    const scc_ctl_segment_t *s, const scc_ctl_prune_verdict_t *v);
static int scc_ctl_prune_away(const scc_ctl_prune_t *pr,
    const scc_ctl_segment_t *s, const scc_ctl_prune_verdict_t *v);
static int scc_ctl_prune_trash(void *data, const char *dir,
    const char *name);
static int scc_ctl_prune_empty(const scc_ctl_prune_t *pr, const char *path,
    scc_ctl_prune_count_t *count);


enum {
    SCC_CTL_PRUNE_PG = 0,
    SCC_CTL_PRUNE_KEEP,
    SCC_CTL_PRUNE_TO,
    SCC_CTL_PRUNE_GET,
    SCC_CTL_PRUNE_SUM,
    SCC_CTL_PRUNE_TIMEOUT,
    SCC_CTL_PRUNE_DRY_RUN,
};

static const scc_ctl_opt_t  scc_ctl_prune_opts[] = {
    SCC_CTL_PG_OPT,
    { "keep", "TIME", "how old a segment has to be (default: 90d)" },
    { "to", "DIR", "where the copies are (default: as NAME.shipped says)" },
    { "get", "CMD", "or a command that writes the bytes of $SCC_OBJECT" },
    { "sum", "CMD", "or one that writes their SHA-256, computed there" },
    { "timeout", "TIME", "of a command (default: 5m)" },
    { "dry-run", NULL, "judge all segments by all rules, delete nothing" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_prune_cmd = {
    "prune", "DIR...",
    "delete segments that nobody can need any more",
    "Deletes a sealed segment only if all of this holds:\n\n"
    "  age      its newest record is older than --keep\n"
    "  sealed   and whole, of this store\n"
    "  disk     read past the page cache it is the same\n"
    "  applied  every record of it is in the ledger; its dead letters are "
    "resolved\n"
    "  offsite  its copy was read again, now, and has its SHA-256\n"
    "  backup   a backup of the store, or a drill, began after it was "
    "applied\n\n"
    "and nothing at all unless the guard's anchor in DIR says healthy, and "
    "the clocks\nof this host and of the store agree.  A deleted segment is "
    "NAME.trash-TIME for\nseven days; NAME.pruned says for ever where its "
    "copy is.  Keeping everything\ncosts little; nobody has to run this.\n",
    scc_ctl_prune_opts, scc_ctl_prune
};


static int
scc_ctl_prune(const scc_ctl_args_t *args)
{
    int                     rc;
    uint64_t                keep;
    const char             *conninfo;
    scc_ctl_prune_t         pr;
    scc_ctl_prune_count_t   count;

    memset(&pr, 0, sizeof(scc_ctl_prune_t));
    memset(&count, 0, sizeof(scc_ctl_prune_count_t));

    if (args->argc == 0) {
        return scc_ctl_usage("prune", "name the journal's directory");
    }

    keep = 90ULL * 86400 * 1000000000;

    if (args->opt[SCC_CTL_PRUNE_KEEP] != NULL
        && scc_ctl_duration(args->opt[SCC_CTL_PRUNE_KEEP], &keep) != 0)
    {
        return scc_ctl_usage("prune", "\"%s\" is no time: write 90d",
                             args->opt[SCC_CTL_PRUNE_KEEP]);
    }

    pr.keep = keep / 1000000000;
    pr.dry_run = args->opt[SCC_CTL_PRUNE_DRY_RUN] != NULL;
    pr.quick = !pr.dry_run;

    pr.named = args->opt[SCC_CTL_PRUNE_TO] != NULL
               || args->opt[SCC_CTL_PRUNE_GET] != NULL
               || args->opt[SCC_CTL_PRUNE_SUM] != NULL;

    if (pr.named
        && scc_ctl_remote_init(&pr.remote, "prune",
                               args->opt[SCC_CTL_PRUNE_TO], NULL,
                               args->opt[SCC_CTL_PRUNE_GET],
                               args->opt[SCC_CTL_PRUNE_SUM],
                               args->opt[SCC_CTL_PRUNE_TIMEOUT], false)
           != 0)
    {
        return SCC_CTL_USAGE;
    }

    conninfo = scc_ctl_pg_conninfo("prune", args->opt[SCC_CTL_PRUNE_PG]);

    if (conninfo == NULL) {
        return SCC_CTL_USAGE;
    }

    pr.pg = scc_ctl_store_connect(conninfo, false, pr.store);

    if (pr.pg == NULL) {
        return SCC_CTL_FAILED;
    }

    rc = scc_ctl_prune_may(&pr, args->argc, args->argv);

    if (rc == 0) {
        rc = scc_ctl_prune_all(&pr, args->argc, args->argv, &count);
    }

    PQfinish(pr.pg);

    if (rc != 0) {
        return rc < 0 ? SCC_CTL_FAILED : SCC_CTL_FORBIDDEN;
    }

    printf("%s %llu, kept %llu because of their age, %llu for another "
           "reason; emptied from the trash %llu\n",
           pr.dry_run ? "would delete" : "deleted",
           (unsigned long long) count.deleted,
           (unsigned long long) count.young,
           (unsigned long long) count.refused,
           (unsigned long long) count.emptied);

    return count.refused == 0 ? SCC_CTL_OK : SCC_CTL_FORBIDDEN;
}


/* What must hold before any segment is looked at: 1 after saying what does
   not. */

static int
scc_ctl_prune_may(scc_ctl_prune_t *pr, int n, char **dirs)
{
    int      i, rc;
    uint8_t  store[16];
    int64_t  events, epoch;

    rc = scc_ctl_prune_store(pr, &events, &epoch);

    for (i = 0; i < n && rc == 0; i++) {

        switch (scc_ctl_journal_store(dirs[i], store)) {

        case 0:
            break;

        case 1:
            scc_ctl_error("refused: \"%s\" belongs to no store", dirs[i]);
            return 1;

        default:
            return -1;
        }

        if (memcmp(store, pr->store, 16) != 0) {
            scc_ctl_error("refused: \"%s\" is of another store than --pg",
                          dirs[i]);
            return 1;
        }

        rc = scc_ctl_prune_anchor(pr, dirs[i], events, epoch);
    }

    return rc;
}


static int
scc_ctl_prune_store(scc_ctl_prune_t *pr, int64_t *events, int64_t *epoch)
{
    int64_t  now, there, safe;

    now = (int64_t) time(NULL);

    if (scc_ctl_pg_number(pr->pg, "asking for the time", "SELECT floor("
                          "extract(epoch FROM clock_timestamp()))::bigint",
                          &there)
        != 0
        || scc_ctl_pg_number(pr->pg, "asking for settings", "SELECT ("
                             "current_setting('fsync') = 'on' AND"
                             " current_setting('full_page_writes') = 'on' AND"
                             " NOT pg_is_in_recovery())::int", &safe)
           != 0
        || scc_ctl_pg_number(pr->pg, "counting the ledger", "SELECT count(*)"
                             " FROM scc.contribution", events)
           != 0
        || scc_ctl_pg_number(pr->pg, "reading the identity", "SELECT epoch"
                             " FROM scc.identity", epoch)
           != 0)
    {
        return -1;
    }

    if (now - there > SCC_CTL_PRUNE_CLOCK || there - now > SCC_CTL_PRUNE_CLOCK)
    {
        scc_ctl_error("refused: this host's clock and the store's are %lld s "
                      "apart, so nobody knows how old a segment is; put them "
                      "right first", (long long) llabs(now - there));
        return 1;
    }

    if (!safe) {
        scc_ctl_error("refused: the store runs without fsync or "
                      "full_page_writes, or is a standby: what it has may be "
                      "gone with the power; see \"sccctl doctor\"");
        return 1;
    }

    pr->now = (uint64_t) (now < there ? now : there);

    return 0;
}


static int
scc_ctl_prune_anchor(const scc_ctl_prune_t *pr, const char *dir,
    int64_t events, int64_t epoch)
{
    int            rc;
    char           path[4096];
    uint64_t       written;
    scc_str_t      state;
    scc_buf_t      b;
    scc_anchor_t   a;

    snprintf(path, sizeof(path), "%.4000s/" SCC_ANCHOR_FILE, dir);

    scc_buf_heap(&b, 0);

    rc = scc_ctl_disk_read(path, SCC_ANCHOR_MAX, &b);

    if (rc < 0) {
        scc_ctl_error("cannot read \"%s\": %s", path, strerror(errno));

    } else if (rc > 0 || scc_anchor_read(scc_buf_get(&b), &a) != SCC_OK) {
        scc_ctl_error("refused: \"%s\" is not there or damaged: nothing says "
                      "that the store is what it was; nginx writes it when "
                      "it runs with this journal", path);
        rc = 1;
    }

    scc_buf_free(&b);

    if (rc != 0) {
        return rc;
    }

    written = a.written / 1000;

    if (memcmp(a.high.store, pr->store, 16) != 0
        || (int64_t) a.high.epoch != epoch)
    {
        scc_ctl_error("refused: \"%s\" is of another store or epoch", path);
        return 1;
    }

    if (a.verdict.state != SCC_GUARD_HEALTHY) {
        state = scc_guard_state_name(a.verdict.state);
        scc_ctl_error("refused: the guard says \"%.*s\"; nothing is deleted "
                      "before it says \"healthy\"", (int) state.len,
                      (const char *) state.data);
        return 1;
    }

    if (written + SCC_CTL_PRUNE_ANCHOR < pr->now
        || written > pr->now + SCC_CTL_PRUNE_CLOCK)
    {
        scc_ctl_error("refused: \"%s\" was written %lld s ago: does nginx "
                      "run with this journal?", path,
                      (long long) pr->now - (long long) written);
        return 1;
    }

    if ((uint64_t) events < a.high.events) {
        scc_ctl_error("refused: the ledger has %lld events, but had %llu: it "
                      "has lost some; see \"sccctl verify\"",
                      (long long) events,
                      (unsigned long long) a.high.events);
        return 1;
    }

    return 0;
}


static int
scc_ctl_prune_all(scc_ctl_prune_t *pr, int n, char **dirs,
    scc_ctl_prune_count_t *count)
{
    int                       i, rc;
    size_t                    k;
    scc_ctl_journal_t         j;
    scc_ctl_segment_t        *s;
    scc_ctl_prune_empty_t     em;
    scc_ctl_prune_verdict_t   v;

    em.prune = pr;
    em.count = count;

    rc = scc_ctl_journal_list(&j, n, dirs);

    for (k = 0; k < j.n && rc == 0; k++) {
        s = &j.segments[k];
        rc = scc_ctl_prune_judge(pr, s, &v);

        if (rc != 0) {
            rc = (rc > 0) ? 0 : -1;
            continue;
        }

        scc_ctl_prune_print(pr, s, &v);

        if (!v.holds[SCC_CTL_PRUNE_AGE]) {
            count->young++;

        } else if (!v.all) {
            count->refused++;

        } else {
            rc = scc_ctl_prune_away(pr, s, &v);
            count->deleted += (rc == 0);
        }
    }

    scc_ctl_journal_free(&j);

    for (i = 0; i < n && rc == 0; i++) {
        rc = scc_ctl_disk_list(dirs[i], scc_ctl_prune_trash, &em);
    }

    return rc;
}


static void
scc_ctl_prune_print(const scc_ctl_prune_t *pr, const scc_ctl_segment_t *s,
    const scc_ctl_prune_verdict_t *v)
{
    unsigned     i;
    const char  *name;

    if (pr->quick && !v->holds[SCC_CTL_PRUNE_AGE]) {
        return;
    }

    printf("%-6s  %s ", v->all ? "delete" : "keep", s->path);

    for (i = 0; i < SCC_CTL_PRUNE_RULES; i++) {
        name = scc_ctl_prune_rule_name((scc_ctl_prune_rule_t) i);

        printf(" %s=%s", name, !v->looked[i] ? "-"
                               : v->holds[i] ? "yes" : "no");
    }

    putchar('\n');

    for (i = 0; i < SCC_CTL_PRUNE_RULES; i++) {
        if (v->looked[i] && !v->holds[i]) {
            name = scc_ctl_prune_rule_name((scc_ctl_prune_rule_t) i);
            printf("        %s: %s\n", name, v->why[i]);
        }
    }
}


/* Where its copy is, is written down first. */

static int
scc_ctl_prune_away(const scc_ctl_prune_t *pr, const scc_ctl_segment_t *s,
    const scc_ctl_prune_verdict_t *v)
{
    int    rc;
    char  *trash, suffix[40];

    if (pr->dry_run) {
        return 0;
    }

    if (scc_ctl_mark_write(s->path, SCC_CTL_MARK_PRUNED, &v->mark) != 0) {
        return -1;
    }

    snprintf(suffix, sizeof(suffix), SCC_CTL_PRUNE_TRASH "%llu",
             (unsigned long long) pr->now);

    trash = scc_ctl_mark_path(s->path, suffix);
    if (trash == NULL) {
        return -1;
    }

    rc = scc_ctl_disk_rename(s->path, trash);

    if (rc != 0) {
        scc_ctl_error("cannot rename \"%s\": %s", s->path, strerror(errno));
    }

    free(trash);

    return rc;
}


static int
scc_ctl_prune_trash(void *data, const char *dir, const char *name)
{
    scc_ctl_prune_empty_t *em = data;

    int          rc;
    char        *path;
    uint64_t     since;
    const char  *dot;

    dot = strchr(name, '.');

    if (dot == NULL
        || strncmp(dot, SCC_CTL_PRUNE_TRASH, sizeof(SCC_CTL_PRUNE_TRASH) - 1)
           != 0
        || scc_ctl_number(dot + sizeof(SCC_CTL_PRUNE_TRASH) - 1, 0,
                          UINT64_MAX / 2, &since)
           != 0
        || since + SCC_CTL_PRUNE_DAYS7 > em->prune->now)
    {
        return 0;
    }

    if (asprintf(&path, "%s/%s", dir, name) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    rc = scc_ctl_prune_empty(em->prune, path, em->count);
    free(path);

    return rc;
}


/* Its copy is looked at once more: this is the last one here. */

static int
scc_ctl_prune_empty(const scc_ctl_prune_t *pr, const char *path,
    scc_ctl_prune_count_t *count)
{
    int              rc;
    char             why[192], *mark;
    size_t           i;
    scc_ctl_mark_t   m;

    static const char *const  suffixes[] = { SCC_CTL_MARK_SHIPPED,
                                             ".applied" };

    why[0] = '\0';
    rc = scc_ctl_mark_read(path, SCC_CTL_MARK_PRUNED, &m);

    if (rc == 0) {
        rc = scc_ctl_prune_offsite(pr, &m, why);
    }

    if (rc < 0) {
        return -1;
    }

    if (rc > 0) {
        printf("keep    %s\n        %s; to have it back, rename it to .seg\n",
               path, why[0] != '\0' ? why : "nothing says where its copy is");
        count->refused++;
        return 0;
    }

    printf("empty   %s\n", path);
    count->emptied++;

    if (pr->dry_run) {
        return 0;
    }

    if (unlink(path) != 0) {
        scc_ctl_error("cannot remove \"%s\": %s", path, strerror(errno));
        return -1;
    }

    for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        mark = scc_ctl_mark_path(path, suffixes[i]);

        if (mark != NULL) {
            (void) unlink(mark);
        }

        free(mark);
    }

    return 0;
}
