
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "scc_contribution.h"
#include "scc_ctl_journal.h"
#include "scc_ctl_pg.h"


#define SCC_CTL_DAY  sizeof("2026-11-23")


/* Records of one kind on one day. */

typedef struct {
    char                day[SCC_CTL_DAY];
    unsigned            kind;
    uint64_t            n;
} scc_ctl_count_t;


typedef struct {
    scc_ctl_count_t    *counts;
    size_t              n;
    uint64_t            segments[SCC_CTL_SEGMENT_DAMAGED + 1];
    uint64_t            records;
    uint64_t            pending;    /* of these in .open */
    uint64_t            bytes;
    uint64_t            first_hlc;
    uint64_t            last_hlc;
} scc_ctl_stat_t;


static int scc_ctl_journal(const scc_ctl_args_t *args);
static int scc_ctl_journal_make(const scc_ctl_args_t *args);
static int scc_ctl_journal_names(const scc_ctl_args_t *args);
static int scc_ctl_journal_identity(const char *option, uint8_t store[16]);
static int scc_ctl_stat_read(scc_ctl_stat_t *st, scc_ctl_segment_t *s);
static int scc_ctl_stat_count(scc_ctl_stat_t *st, const char *day,
    unsigned kind);
static int scc_ctl_count_cmp(const void *a, const void *b);


enum {
    SCC_CTL_JOURNAL_STORE = 0,
    SCC_CTL_JOURNAL_PG,
};

static const scc_ctl_opt_t  scc_ctl_journal_opts[] = {
    { "store", "UUID", "init: the store's UUID, instead of asking it" },
    SCC_CTL_PG_OPT,
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_journal_cmd = {
    "journal", "ls|cat|verify|stat|init|erase DIR...",
    "look into journals, check them, make one, or erase names in it",
    "A journal is a directory of segments, where nginx keeps what it has\n"
    "acknowledged.  Only erase changes a segment, and nginx may be "
    "running.\nInstead of DIR, ls, cat, verify and stat also take segments' "
    "files.\n\n"
    "  ls       a line per segment: state, records, time of the first and "
    "of the\n           last, bytes, name, UUID.  States: sealed; live, "
    "nginx writes to it;\n           open, nginx will seal it; torn, its "
    "last write was never finished\n           nor acknowledged; unused; "
    "damaged\n"
    "  cat      a line of JSON per record; of a damaged segment, all "
    "records that\n           are whole\n"
    "  verify   reads everything, says what is damaged, where, and what to "
    "do;\n           exit code 1 if anything is\n"
    "  stat     records by day and kind, segments by state\n"
    "  init     makes DIR a journal of the store: creates it with mode 0700 "
    "and\n           writes DIR/store; refuses a journal of another store\n"
    "  erase    of contributors that the store has erased: their names and "
    "keys in\n           sealed segments that were applied; run it from "
    "time to time\n\n"
    "A segment that is in two directories, as nginx keeps a synced copy, "
    "counts\nonce for cat and stat, by the better file.\n",
    scc_ctl_journal_opts, scc_ctl_journal
};


static const struct {
    const char  *name;
    int        (*handler)(scc_ctl_journal_t *j);
} scc_ctl_journal_parts[] = {
    { "ls", scc_ctl_journal_ls },
    { "cat", scc_ctl_journal_cat },
    { "verify", scc_ctl_journal_verify },
    { "stat", scc_ctl_journal_stat },
    { NULL, NULL }
};


static int
scc_ctl_journal(const scc_ctl_args_t *args)
{
    int                 i, rc;
    scc_ctl_journal_t   j;

    if (args->argc == 0) {
        return scc_ctl_usage("journal", "say what to do: ls, cat, verify, "
                             "stat, init or erase");
    }

    if (args->argc == 1) {
        return scc_ctl_usage("journal", "name the journal's directory: "
                             "sccctl journal %s DIR", args->argv[0]);
    }

    if (strcmp(args->argv[0], "init") == 0) {
        return scc_ctl_journal_make(args);
    }

    if (strcmp(args->argv[0], "erase") == 0
        && args->opt[SCC_CTL_JOURNAL_STORE] == NULL)
    {
        return scc_ctl_journal_names(args);
    }

    if (args->opt[SCC_CTL_JOURNAL_STORE] != NULL
        || args->opt[SCC_CTL_JOURNAL_PG] != NULL)
    {
        return scc_ctl_usage("journal", "--store and --pg are options of "
                             "init, and --pg of erase");
    }

    for (i = 0; scc_ctl_journal_parts[i].name != NULL; i++) {

        if (strcmp(args->argv[0], scc_ctl_journal_parts[i].name) != 0) {
            continue;
        }

        rc = SCC_CTL_FAILED;

        if (scc_ctl_journal_list(&j, args->argc - 1, args->argv + 1) == 0
            && scc_ctl_journal_look(&j) == 0)
        {
            rc = scc_ctl_journal_parts[i].handler(&j);
        }

        scc_ctl_journal_free(&j);

        return rc;
    }

    return scc_ctl_usage("journal", "there is no \"%s\"; it is ls, cat, "
                         "verify, stat, init or erase", args->argv[0]);
}


static int
scc_ctl_journal_names(const scc_ctl_args_t *args)
{
    int                 rc;
    const char         *conninfo;
    scc_ctl_journal_t   j;

    conninfo = scc_ctl_pg_conninfo("journal", args->opt[SCC_CTL_JOURNAL_PG]);

    if (conninfo == NULL) {
        return SCC_CTL_USAGE;
    }

    rc = SCC_CTL_FAILED;

    if (scc_ctl_journal_list(&j, args->argc - 1, args->argv + 1) == 0) {
        rc = scc_ctl_journal_erase(&j, conninfo);
    }

    scc_ctl_journal_free(&j);

    return rc;
}


int
scc_ctl_journal_ls(scc_ctl_journal_t *j)
{
    char                next[SCC_CTL_TIME], first[SCC_CTL_TIME];
    size_t              i, k;
    uint8_t             id[16];
    uint8_t             text[36];
    scc_buf_t           b;
    scc_ctl_segment_t  *s;

    if (j->n == 0) {
        printf("no segment\n");
        return SCC_CTL_OK;
    }

    printf("%-8s %9s  %-24s  %-24s  %10s  %s\n", "STATE", "RECORDS", "FIRST",
           "LAST", "BYTES", "NAME, SEGMENT");

    for (i = 0, k = j->n; i < j->n; i++) {
        s = &j->segments[i];

        if (j->n_journals > 1
            && (k == j->n
                || strcmp(j->segments[k].journal, s->journal) != 0))
        {
            printf("%s:\n", *s->journal != '\0' ? s->journal : "files");
            k = i;
        }

        memcpy(id, s->head.segment, 16);
        scc_buf_fixed(&b, text, sizeof(text));
        scc_uuid_write(&b, id);

        printf("%-8s %9llu  %-24s  %-24s  %10zu  %s  %.*s\n",
               scc_ctl_segment_word(s->state),
               (unsigned long long) s->chain.records,
               scc_ctl_hlc(first, s->chain.first_hlc),
               scc_ctl_hlc(next, s->chain.last_hlc), s->size, s->name,
               s->known ? 36 : 1, s->known ? (char *) text : "-");
    }

    return SCC_CTL_OK;
}


int
scc_ctl_journal_stat(scc_ctl_journal_t *j)
{
    char             first[SCC_CTL_TIME], last[SCC_CTL_TIME];
    size_t           i;
    unsigned         state;
    scc_str_t        name;
    scc_ctl_stat_t   st;

    memset(&st, 0, sizeof(scc_ctl_stat_t));
    st.first_hlc = UINT64_MAX;

    for (i = 0; i < j->n; i++) {

        if (!j->segments[i].copy
            && scc_ctl_stat_read(&st, &j->segments[i]) != 0)
        {
            free(st.counts);
            return SCC_CTL_FAILED;
        }
    }

    if (st.n > 1) {
        qsort(st.counts, st.n, sizeof(scc_ctl_count_t), scc_ctl_count_cmp);
    }

    for (i = 0; i < st.n; i++) {
        name = scc_kind_name((scc_kind_t) st.counts[i].kind);

        printf("%-10s  %-22.*s  %9llu\n", st.counts[i].day,
               name.len != 0 ? (int) name.len : 10,
               name.len != 0 ? (const char *) name.data : "unreadable",
               (unsigned long long) st.counts[i].n);
    }

    free(st.counts);

    printf("%llu records from %s to %s, %llu of them not yet sealed\n",
           (unsigned long long) st.records,
           scc_ctl_hlc(first, st.records != 0 ? st.first_hlc : 0),
           scc_ctl_hlc(last, st.last_hlc), (unsigned long long) st.pending);

    printf("%llu bytes; segments:", (unsigned long long) st.bytes);

    for (state = 0; state <= SCC_CTL_SEGMENT_DAMAGED; state++) {
        printf("%s %llu %s", state != 0 ? "," : "",
               (unsigned long long) st.segments[state],
               scc_ctl_segment_word((scc_ctl_segment_state_t) state));
    }

    putchar('\n');

    return SCC_CTL_OK;
}


void
scc_ctl_record_begin(scc_ctl_record_t *cr, const scc_ctl_segment_t *s)
{
    memset(cr, 0, sizeof(scc_ctl_record_t));

    (void) scc_scan_begin(&cr->scan, s->bytes);
}


bool
scc_ctl_record_next(scc_ctl_record_t *cr)
{
    size_t  size;

    while (cr->left.len == 0) {

        if (!cr->salvaged) {
            cr->salvaged = (scc_scan_next(&cr->scan, &cr->batch) != SCC_OK);
        }

        if (cr->salvaged
            && (cr->scan.end != SCC_END_CORRUPT
                || scc_scan_salvage(&cr->scan, &cr->batch) != SCC_OK))
        {
            return false;
        }

        cr->left = cr->batch.records;
    }

    cr->bytes = cr->left;
    cr->readable = (scc_record_read(cr->left, &cr->r, &size) == SCC_OK);

    /* batches are only taken if their records' frames add up; this is one
       whose own crc is wrong within a true batch */

    if (size == 0) {
        size = cr->left.len;
    }

    cr->bytes.len = size;
    cr->left.data += size;
    cr->left.len -= size;

    return true;
}


const char *
scc_ctl_time(char text[SCC_CTL_TIME], uint64_t ns, unsigned decimals)
{
    time_t     sec;
    size_t     n;
    unsigned   rest;
    struct tm  tm;

    sec = (time_t) (ns / 1000000000);
    rest = (unsigned) (ns % 1000000000);

    if (ns == 0 || gmtime_r(&sec, &tm) == NULL) {
        return "-";
    }

    n = strftime(text, SCC_CTL_TIME, "%Y-%m-%dT%H:%M:%S", &tm);

    snprintf(text + n, SCC_CTL_TIME - n, decimals == 9 ? ".%09uZ" : ".%03uZ",
             decimals == 9 ? rest : rest / 1000000);

    return text;
}


const char *
scc_ctl_hlc(char text[SCC_CTL_TIME], uint64_t hlc)
{
    uint64_t  msec;

    msec = hlc >> 16;

    return scc_ctl_time(text, msec > UINT64_MAX / 1000000 ? 0
                                                          : msec * 1000000,
                        3);
}


static int
scc_ctl_journal_make(const scc_ctl_args_t *args)
{
    int          i;
    uint8_t      store[16];
    scc_str_t    text;
    const char  *option, *conninfo;

    option = args->opt[SCC_CTL_JOURNAL_STORE];
    conninfo = args->opt[SCC_CTL_JOURNAL_PG];

    if (option != NULL && conninfo != NULL) {
        return scc_ctl_usage("journal", "give --store or --pg, not both");
    }

    if (option != NULL) {
        text.data = (const uint8_t *) option;
        text.len = strlen(option);

        if (scc_uuid_parse(text, store) != SCC_OK) {
            return scc_ctl_usage("journal", "\"%s\" is not a UUID; take the "
                                 "one that \"sccctl init\" prints", option);
        }

    } else if (scc_ctl_pg_conninfo("journal", conninfo) == NULL) {
        return SCC_CTL_USAGE;

    } else if (scc_ctl_journal_identity(conninfo, store) != 0) {
        return SCC_CTL_FAILED;
    }

    for (i = 1; i < args->argc; i++) {
        if (scc_ctl_journal_init(args->argv[i], store) != SCC_CTL_OK) {
            return SCC_CTL_FAILED;
        }
    }

    return SCC_CTL_OK;
}


static int
scc_ctl_journal_identity(const char *option, uint8_t store[16])
{
    int              rc;
    PGconn          *pg;
    PGresult        *res;
    scc_str_t        text;
    scc_ctl_store_t  what;

    pg = scc_ctl_pg_connect(scc_ctl_pg_conninfo("journal", option), false);
    if (pg == NULL) {
        return -1;
    }

    rc = -1;
    res = NULL;

    if (scc_ctl_pg_store(pg, &what) != 0) {
        goto done;
    }

    if (what == SCC_CTL_STORE_OURS) {
        res = scc_ctl_pg_exec(pg, "reading scc.identity",
                              "SELECT store_uuid FROM scc.identity");
        if (res == NULL) {
            goto done;
        }
    }

    if (res == NULL || PQntuples(res) != 1) {
        scc_ctl_error("database \"%s\" has no store; create it with "
                      "\"sccctl init\"", PQdb(pg));
        goto done;
    }

    text.data = (const uint8_t *) PQgetvalue(res, 0, 0);
    text.len = (size_t) PQgetlength(res, 0, 0);

    if (scc_uuid_parse(text, store) != SCC_OK) {
        scc_ctl_error("scc.identity has no UUID");
        goto done;
    }

    rc = 0;

done:

    PQclear(res);
    PQfinish(pg);

    return rc;
}


static int
scc_ctl_stat_read(scc_ctl_stat_t *st, scc_ctl_segment_t *s)
{
    int               rc;
    char              time[SCC_CTL_TIME], day[SCC_CTL_DAY];
    scc_ctl_record_t  cr;

    rc = scc_ctl_segment_load(s);

    if (rc != 0) {
        return rc < 0 ? -1 : 0;
    }

    st->segments[s->state]++;
    st->bytes += s->size;

    scc_ctl_record_begin(&cr, s);

    while (rc == 0 && scc_ctl_record_next(&cr)) {

        st->records++;
        st->pending += !s->seg;

        if (!cr.readable) {
            rc = scc_ctl_stat_count(st, "-", 0);
            continue;
        }

        if (cr.r.hlc < st->first_hlc) {
            st->first_hlc = cr.r.hlc;
        }

        if (cr.r.hlc > st->last_hlc) {
            st->last_hlc = cr.r.hlc;
        }

        snprintf(day, sizeof(day), "%.*s", (int) sizeof(day) - 1,
                 scc_ctl_hlc(time, cr.r.hlc));

        rc = scc_ctl_stat_count(st, day, cr.r.kind);
    }

    scc_ctl_segment_unload(s);

    return rc;
}


static int
scc_ctl_stat_count(scc_ctl_stat_t *st, const char *day, unsigned kind)
{
    size_t            i;
    scc_ctl_count_t  *c;

    /* the last added is the likeliest */

    for (i = st->n; i > 0; i--) {
        c = &st->counts[i - 1];

        if (c->kind == kind && strcmp(c->day, day) == 0) {
            c->n++;
            return 0;
        }
    }

    c = realloc(st->counts, (st->n + 1) * sizeof(scc_ctl_count_t));
    if (c == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    st->counts = c;
    c += st->n++;

    memset(c, 0, sizeof(scc_ctl_count_t));
    memcpy(c->day, day, strlen(day));
    c->kind = kind;
    c->n = 1;

    return 0;
}


static int
scc_ctl_count_cmp(const void *a, const void *b)
{
    int                     rc;
    const scc_ctl_count_t  *x, *y;

    x = a;
    y = b;

    rc = strcmp(x->day, y->day);

    return rc != 0 ? rc : (x->kind > y->kind) - (x->kind < y->kind);
}
