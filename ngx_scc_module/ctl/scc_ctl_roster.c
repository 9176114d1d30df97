
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_contribution.h"
#include "scc_ctl_file.h"
#include "scc_ctl_reader.h"
#include "scc_ctl_roster.h"
#include "scc_time.h"


/* What the first pass of the fold needs, and the bodies of the second. */

#define scc_kind_bit(kind)  (1u << SCC_KIND_##kind)

#define SCC_CTL_ROSTER_LEARN                                                  \
    (scc_kind_bit(PLACE_ACCESSIBILITY) | scc_kind_bit(BUILDING_ACCESSIBILITY) \
     | scc_kind_bit(COMMENT) | scc_kind_bit(REPORT) | scc_kind_bit(RETRACT)   \
     | scc_kind_bit(RESTORE) | scc_kind_bit(REMOVE) | scc_kind_bit(REINSTATE) \
     | scc_kind_bit(ERASE) | scc_kind_bit(PHOTO))

#define SCC_CTL_ROSTER_WHERE                                                  \
    (scc_kind_bit(PLACE) | scc_kind_bit(BUILDING))


static int scc_ctl_roster(const scc_ctl_args_t *args);
static int scc_ctl_roster_conf(scc_ctl_roster_t *ro,
    const scc_ctl_args_t *args);
static int scc_ctl_roster_seasons(scc_ctl_roster_t *ro, const char *path);
static scc_rc_t scc_ctl_roster_feed(void *ctx, const void *data,
    size_t len, scc_err_t *err);
static int scc_ctl_roster_known(const scc_ctl_roster_t *ro);
static int scc_ctl_roster_source(scc_ctl_events_t *ev,
    const scc_ctl_args_t *args, int first);
static int scc_ctl_roster_fold(scc_ctl_roster_t *ro, scc_ctl_events_t *ev);
static int scc_ctl_roster_learn(void *ctx, const scc_roster_event_t *e);
static int scc_ctl_roster_tell(void *ctx, const scc_roster_event_t *e);
static int scc_ctl_roster_memory(scc_rc_t rc);


enum {
    SCC_CTL_ROSTER_PG = 0,
    SCC_CTL_ROSTER_JOURNAL,
    SCC_CTL_ROSTER_SALVAGE,
    SCC_CTL_ROSTER_SEASONS,
    SCC_CTL_ROSTER_ZONE,
    SCC_CTL_ROSTER_SEASON,
    SCC_CTL_ROSTER_CHAPTER,
    SCC_CTL_ROSTER_FORMAT,
    SCC_CTL_ROSTER_NAMES,
    SCC_CTL_ROSTER_OUTPUT,
    SCC_CTL_ROSTER_TO,
    SCC_CTL_ROSTER_FEWER,
    SCC_CTL_ROSTER_DRY_RUN,
};

static const scc_ctl_opt_t  scc_ctl_roster_opts[] = {
    SCC_CTL_PG_OPT,
    { "journal", "DIR", "read journals instead of a store; more of them may "
                        "follow as\narguments" },
    { "salvage", NULL, "go on where segments are damaged, with what is "
                       "whole" },
    { "seasons", "FILE", "CSV of seasons and chapters: season, chapter, "
                         "from, to, area,\ncontributors; see below" },
    { "utc-offset", "OFFSET", "of the days in it (default: +09:00)" },
    { "season", "NAME", "export, reconcile: only who contributed in this "
                        "season" },
    { "chapter", "NAME", "the same of a chapter" },
    { "format", "FORMAT", "export, reconcile: csv (default) or json" },
    { "names", NULL, "export: CSV with a row for every spelling of a name" },
    { "output", "FILE", "write there instead of standard output; the file is "
                        "replaced\nwhen the new one is whole and on disk" },
    { "to", "DIR", "snapshot: where it is kept" },
    { "believe-fewer", NULL, "snapshot: even if the roster shrank since the "
                             "last one" },
    { "dry-run", NULL, "snapshot: say what would be written and deleted" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_roster_cmd = {
    "roster", "export|reconcile SHEET|digest|snapshot [DIR...]",
    "who contributed: every name as it was typed, numbers, counts",
    "Reads a store, or journals alone; the same contributions give the same "
    "bytes.\nWho was erased is not in it.\n\n"
    "  export     everybody: order number, id, names, contributions, by "
    "season and\n             chapter\n"
    "  reconcile  against a sign-up list: a CSV with a column \"name\" "
    "(or 이름), and\n             maybe \"id\" (아이디); who signed up and "
    "conquered (both), who has no\n             record (no_record), who did "
    "not sign up (not_signed_up); names that\n             look alike are "
    "suggestions.  It changes nothing; exit code 3 if there\n             is "
    "anybody not in both\n"
    "  digest     SHA-256 of the roster\n"
    "  snapshot   writes DIR/roster-YYYYMMDD.json, then deletes those of more "
    "than 35\n             days ago.  Exit code 4, and nothing is done, if "
    "fewer people or\n             numbers are known than the last one had: "
    "look at the store first\n\n"
    "No contribution says its season: the seasons file does.  A row is a "
    "chapter of a\nseason (or, without one, the season): days from and to, an "
    "area as\nwest,south,east,north or as corners lng/lat;lng/lat;..., and "
    "contributors' ids\njoined by \";\".  What is left out holds for all.  A "
    "contribution counts in the\nfirst row that fits it, by the time it was "
    "made; an account that stands for a\nchapter is a row with its id "
    "alone.\n",
    scc_ctl_roster_opts, scc_ctl_roster
};


static int
scc_ctl_roster(const scc_ctl_args_t *args)
{
    int                rc, first;
    const char        *part;
    scc_ctl_events_t   ev;
    scc_ctl_roster_t   ro;

    memset(&ro, 0, sizeof(scc_ctl_roster_t));

    part = args->argc > 0 ? args->argv[0] : "";
    first = strcmp(part, "reconcile") == 0 ? 2 : 1;

    if (strcmp(part, "export") != 0 && strcmp(part, "digest") != 0
        && strcmp(part, "snapshot") != 0 && strcmp(part, "reconcile") != 0)
    {
        return scc_ctl_usage("roster", "say what to do: export, reconcile, "
                             "digest or snapshot");
    }

    if (args->argc < first) {
        return scc_ctl_usage("roster", "name the sign-up list: sccctl roster "
                             "reconcile SHEET.csv");
    }

    rc = scc_ctl_roster_conf(&ro, args);

    if (rc == SCC_CTL_OK && strcmp(part, "snapshot") == 0 && ro.to == NULL) {
        rc = scc_ctl_usage("roster", "say where snapshots are kept: --to "
                           "DIR");
    }

    if (rc != SCC_CTL_OK) {
        scc_seasons_free(ro.seasons);
        return rc;
    }

    rc = scc_ctl_roster_source(&ev, args, first);

    if (rc == SCC_CTL_OK) {
        rc = scc_ctl_roster_fold(&ro, &ev);

        if (rc == SCC_CTL_OK && strcmp(part, "export") == 0) {
            rc = scc_ctl_roster_export(&ro);

        } else if (rc == SCC_CTL_OK && strcmp(part, "digest") == 0) {
            rc = scc_ctl_roster_digest(&ro);

        } else if (rc == SCC_CTL_OK && strcmp(part, "snapshot") == 0) {
            rc = scc_ctl_roster_snapshot(&ro);

        } else if (rc == SCC_CTL_OK) {
            rc = scc_ctl_roster_reconcile(&ro, args->argv[1]);
        }
    }

    scc_ctl_events_free(&ev);
    scc_roster_free(ro.roster);
    scc_seasons_free(ro.seasons);

    return rc;
}


void
scc_ctl_roster_write(scc_buf_t *b, const scc_ctl_roster_t *ro, bool seasons)
{
    size_t     i, n;
    uint8_t    digest[32];
    scc_buf_t  work;

    static const char  hex[] = "0123456789abcdef";

    scc_buf_heap(&work, 0);
    scc_roster_digest(ro->roster, &work, digest);

    if (work.error) {
        b->error = true;
    }

    scc_buf_free(&work);

    n = scc_roster_n(ro->roster);

    scc_buf_text(b, "{\"store\":\"");
    scc_uuid_write(b, ro->store);
    scc_buf_text(b, "\",\"contributors\":");
    scc_buf_uint(b, n);
    scc_buf_text(b, ",\"erased\":");
    scc_buf_uint(b, scc_roster_erased(ro->roster));
    scc_buf_text(b, ",\"order\":");
    scc_buf_uint(b, scc_roster_top(ro->roster));
    scc_buf_text(b, ",\"sha256\":\"");

    for (i = 0; i < 32; i++) {
        scc_buf_byte(b, (uint8_t) hex[digest[i] >> 4]);
        scc_buf_byte(b, (uint8_t) hex[digest[i] & 15]);
    }

    scc_buf_text(b, "\",\"roster\":[");

    for (i = 0; i < n; i++) {
        scc_buf_text(b, i ? ",\n" : "\n");
        scc_roster_json(b, ro->roster, i, seasons);
    }

    scc_buf_text(b, "\n]}\n");
}


bool
scc_ctl_roster_asked(const scc_ctl_roster_t *ro, size_t season)
{
    scc_str_t            s, c;
    const scc_season_t  *z;

    if (ro->season == NULL && ro->chapter == NULL) {
        return true;
    }

    if (ro->seasons == NULL || season >= scc_seasons_n(ro->seasons)) {
        return false;
    }

    z = scc_seasons_get(ro->seasons, season);

    s.data = (const uint8_t *) ro->season;
    s.len = ro->season != NULL ? strlen(ro->season) : 0;
    c.data = (const uint8_t *) ro->chapter;
    c.len = ro->chapter != NULL ? strlen(ro->chapter) : 0;

    return (ro->season == NULL || scc_str_eq(z->season, s))
           && (ro->chapter == NULL || scc_str_eq(z->chapter, c));
}


int
scc_ctl_roster_put(const char *path, const scc_buf_t *b)
{
    scc_ctl_file_t  f;

    if (b->error) {
        scc_ctl_error("out of memory");
        return -1;
    }

    if (scc_ctl_file_open(&f, path) != 0) {
        return -1;
    }

    if (scc_ctl_file_write(&f, b->start, b->used) != 0
        || scc_ctl_file_commit(&f) != 0)
    {
        scc_ctl_file_abort(&f);
        return -1;
    }

    return 0;
}


int
scc_ctl_roster_export(const scc_ctl_roster_t *ro)
{
    int                  rc;
    size_t               i, k;
    scc_buf_t            b;
    const scc_person_t  *p;

    scc_buf_heap(&b, 0);

    if (ro->json) {
        scc_ctl_roster_write(&b, ro, ro->seasons != NULL);

    } else {
        scc_buf_text(&b, SCC_CTL_BOM);

        if (ro->names) {
            scc_roster_names_head(&b);

        } else {
            scc_roster_csv_head(&b);
        }

        for (i = 0; i < scc_roster_n(ro->roster); i++) {
            p = scc_roster_get(ro->roster, i);

            for (k = 0; k < p->n_tallies; k++) {
                if (scc_ctl_roster_asked(ro, p->tallies[k].season)) {
                    break;
                }
            }

            if (k == p->n_tallies
                && (ro->season != NULL || ro->chapter != NULL))
            {
                continue;
            }

            if (ro->names) {
                scc_roster_names(&b, ro->roster, i);

            } else {
                scc_roster_csv(&b, ro->roster, i);
            }
        }
    }

    rc = scc_ctl_roster_put(ro->output, &b);

    scc_buf_free(&b);

    return rc == 0 ? SCC_CTL_OK : SCC_CTL_FAILED;
}


int
scc_ctl_roster_digest(const scc_ctl_roster_t *ro)
{
    size_t     i;
    uint8_t    digest[32];
    scc_buf_t  work;

    scc_buf_heap(&work, 0);
    scc_roster_digest(ro->roster, &work, digest);

    if (work.error) {
        scc_ctl_error("out of memory");
        scc_buf_free(&work);
        return SCC_CTL_FAILED;
    }

    scc_buf_free(&work);

    printf("sha256 ");

    for (i = 0; i < 32; i++) {
        printf("%02x", digest[i]);
    }

    printf(", contributors %zu, erased %llu, greatest number %llu\n",
           scc_roster_n(ro->roster),
           (unsigned long long) scc_roster_erased(ro->roster),
           (unsigned long long) scc_roster_top(ro->roster));

    return SCC_CTL_OK;
}


static int
scc_ctl_roster_conf(scc_ctl_roster_t *ro, const scc_ctl_args_t *args)
{
    int          rc;
    scc_str_t    text;
    const char  *value;

    ro->names = args->opt[SCC_CTL_ROSTER_NAMES] != NULL;
    ro->dry_run = args->opt[SCC_CTL_ROSTER_DRY_RUN] != NULL;
    ro->fewer = args->opt[SCC_CTL_ROSTER_FEWER] != NULL;
    ro->season = args->opt[SCC_CTL_ROSTER_SEASON];
    ro->chapter = args->opt[SCC_CTL_ROSTER_CHAPTER];
    ro->output = args->opt[SCC_CTL_ROSTER_OUTPUT];
    ro->to = args->opt[SCC_CTL_ROSTER_TO];

    value = args->opt[SCC_CTL_ROSTER_FORMAT];
    ro->json = value != NULL && strcmp(value, "json") == 0;

    if (value != NULL && !ro->json && strcmp(value, "csv") != 0) {
        return scc_ctl_usage("roster", "--format %s is neither csv nor json",
                             value);
    }

    value = args->opt[SCC_CTL_ROSTER_ZONE];
    value = value != NULL ? value : "+09:00";

    text.data = (const uint8_t *) value;
    text.len = strlen(value);

    if (scc_zone_parse(text, &ro->zone) != SCC_OK) {
        return scc_ctl_usage("roster", "--utc-offset: \"%s\" is none as "
                             "+09:00", value);
    }

    if ((ro->season != NULL || ro->chapter != NULL)
        && args->opt[SCC_CTL_ROSTER_SEASONS] == NULL)
    {
        return scc_ctl_usage("roster", "--season and --chapter need the "
                             "seasons file: --seasons FILE");
    }

    if (args->opt[SCC_CTL_ROSTER_SEASONS] == NULL) {
        return SCC_CTL_OK;
    }

    rc = scc_ctl_roster_seasons(ro, args->opt[SCC_CTL_ROSTER_SEASONS]);

    return rc == 0 ? scc_ctl_roster_known(ro) : SCC_CTL_FAILED;
}


static int
scc_ctl_roster_seasons(scc_ctl_roster_t *ro, const char *path)
{
    ro->seasons = scc_seasons_create(ro->zone);

    if (ro->seasons == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    return scc_ctl_reader_feed(path, scc_ctl_roster_feed, ro->seasons);
}


static scc_rc_t
scc_ctl_roster_feed(void *ctx, const void *data, size_t len, scc_err_t *err)
{
    return len > 0 ? scc_seasons_feed(ctx, data, len, err)
                   : scc_seasons_end(ctx, err);
}


/* A season that was misspelt would be one without anybody. */

static int
scc_ctl_roster_known(const scc_ctl_roster_t *ro)
{
    size_t  i;

    for (i = 0; i < scc_seasons_n(ro->seasons); i++) {
        if (scc_ctl_roster_asked(ro, i)) {
            return SCC_CTL_OK;
        }
    }

    return scc_ctl_usage("roster", "the seasons file has no row of season "
                         "\"%s\", chapter \"%s\"",
                         ro->season != NULL ? ro->season : "",
                         ro->chapter != NULL ? ro->chapter : "");
}


static int
scc_ctl_roster_source(scc_ctl_events_t *ev, const scc_ctl_args_t *args,
    int first)
{
    int           i, n, rc;
    bool          salvage;
    char        **dirs;
    const char   *conninfo, *dir;

    memset(ev, 0, sizeof(scc_ctl_events_t));

    dir = args->opt[SCC_CTL_ROSTER_JOURNAL];
    salvage = args->opt[SCC_CTL_ROSTER_SALVAGE] != NULL;

    if (dir == NULL) {

        if (args->argc > first) {
            return scc_ctl_usage("roster", "\"%s\": journals follow --journal "
                                 "DIR", args->argv[first]);
        }

        conninfo = scc_ctl_pg_conninfo("roster",
                                       args->opt[SCC_CTL_ROSTER_PG]);
        if (conninfo == NULL) {
            return SCC_CTL_USAGE;
        }

        return scc_ctl_events_open(ev, conninfo, 0, NULL, salvage) == 0
               ? SCC_CTL_OK : SCC_CTL_FAILED;
    }

    if (args->opt[SCC_CTL_ROSTER_PG] != NULL) {
        return scc_ctl_usage("roster", "give --pg or --journal, not both");
    }

    dirs = calloc((size_t) args->argc + 1, sizeof(char *));

    if (dirs == NULL || (dirs[0] = strdup(dir)) == NULL) {
        scc_ctl_error("out of memory");
        free(dirs);
        return SCC_CTL_FAILED;
    }

    n = 1;

    for (i = first; i < args->argc; i++) {
        dirs[n++] = args->argv[i];
    }

    rc = scc_ctl_events_open(ev, NULL, n, dirs, salvage);

    free(dirs[0]);
    free(dirs);

    return rc == 0 ? SCC_CTL_OK : SCC_CTL_FAILED;
}


static int
scc_ctl_roster_fold(scc_ctl_roster_t *ro, scc_ctl_events_t *ev)
{
    unsigned  bodies;

    memcpy(ro->store, ev->store, 16);

    ro->roster = scc_roster_create(ro->seasons);

    if (ro->roster == NULL) {
        scc_ctl_error("out of memory");
        return SCC_CTL_FAILED;
    }

    bodies = scc_kind_bit(CONTRIBUTOR);

    if (ro->seasons != NULL && scc_seasons_boxed(ro->seasons)) {
        bodies |= SCC_CTL_ROSTER_WHERE;
    }

    if (scc_ctl_events_read(ev, SCC_CTL_ROSTER_LEARN, SCC_CTL_ROSTER_LEARN,
                            scc_ctl_roster_learn, ro->roster)
            != 0
        || scc_ctl_events_read(ev, ~0u, bodies, scc_ctl_roster_tell,
                               ro->roster)
            != 0
        || scc_ctl_events_numbers(ev, ro->roster) != 0
        || scc_ctl_roster_memory(scc_roster_end(ro->roster)) != 0)
    {
        return SCC_CTL_FAILED;
    }

    if (ev->unreadable > 0) {
        scc_ctl_error("%llu records are of a newer program and not in this "
                      "roster: take that program",
                      (unsigned long long) ev->unreadable);
        return SCC_CTL_FAILED;
    }

    return SCC_CTL_OK;
}


static int
scc_ctl_roster_learn(void *ctx, const scc_roster_event_t *e)
{
    return scc_ctl_roster_memory(scc_roster_learn(ctx, e));
}


static int
scc_ctl_roster_tell(void *ctx, const scc_roster_event_t *e)
{
    return scc_ctl_roster_memory(scc_roster_tell(ctx, e));
}


static int
scc_ctl_roster_memory(scc_rc_t rc)
{
    if (rc == SCC_OK) {
        return 0;
    }

    scc_ctl_error("out of memory");

    return -1;
}
