
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_ctl_intake.h"
#include "scc_ctl_progress.h"
#include "scc_ctl_reader.h"
#include "scc_ctl_rejects.h"



typedef struct {
    uint64_t                files;
    uint64_t                rows;
    uint64_t                kinds[SCC_IMPORT_BODIES];
    uint64_t                rejected;
    uint64_t                reasons[SCC_REJECTS];
} scc_ctl_totals_t;


typedef struct {
    scc_import_conf_t       conf;
    scc_import_format_t     format;     /* --format, or AUTO */
    const char             *input;      /* the file in hand */
    scc_import_t           *import;
    scc_ctl_reader_t       *reader;
    scc_ctl_intake_t       *intake;     /* NULL in a dry run */
    scc_ctl_rejects_t       rejects;
    scc_ctl_progress_t      progress;
    scc_ctl_totals_t        totals;
    bool                    quiet;
    bool                    said;       /* why it stopped is on stderr */
} scc_ctl_load_t;


static int scc_ctl_import(const scc_ctl_args_t *args);
static int scc_ctl_import_conf(scc_ctl_load_t *ld,
    scc_ctl_intake_conf_t *ic, const scc_ctl_args_t *args);
static int scc_ctl_import_check(scc_ctl_load_t *ld);
static int scc_ctl_import_file(scc_ctl_load_t *ld, const char *input);
static int scc_ctl_import_pump(scc_ctl_load_t *ld);
static void scc_ctl_import_ignored(scc_ctl_load_t *ld);
static scc_import_format_t scc_ctl_import_format(const char *name);
static scc_rc_t scc_ctl_import_row(void *ctx, const scc_import_row_t *row);
static int scc_ctl_import_refused(void *ctx, uint64_t line, scc_str_t id,
    const char *message);
static void scc_ctl_import_totals(const scc_ctl_load_t *ld);
static void scc_ctl_import_rejected(const scc_ctl_load_t *ld);
static scc_str_t scc_ctl_str(const char *text);


enum {
    SCC_CTL_IMPORT_PG = 0,
    SCC_CTL_IMPORT_JOURNAL,
    SCC_CTL_IMPORT_NO_JOURNAL,
    SCC_CTL_IMPORT_MAP,
    SCC_CTL_IMPORT_BOUNDS,
    SCC_CTL_IMPORT_FORMAT,
    SCC_CTL_IMPORT_REJECTS,
    SCC_CTL_IMPORT_CONTRIBUTOR,
    SCC_CTL_IMPORT_NAME,
    SCC_CTL_IMPORT_BATCH,
    SCC_CTL_IMPORT_DRY_RUN,
    SCC_CTL_IMPORT_QUIET,
};

static const scc_ctl_opt_t  scc_ctl_import_opts[] = {
    SCC_CTL_PG_OPT,
    { "journal", "DIR", "the store's journal, in which all is written "
                        "first\n(default: the environment's SCC_JOURNAL)" },
    { "no-journal", NULL, "write to the store only, which then cannot be "
                          "rebuilt" },
    { "map", "FIELD=COL,...", "take a field from a column of another name" },
    { "bounds", "W,S,E,N", "reject places outside of this box" },
    { "format", "FORMAT", "csv or geojson (default: the file's name, else "
                          "its beginning)" },
    { "rejects", "FILE", "where rejected rows are written (default: "
                         "rejects-NAME.csv in\nthe current directory); "
                         "only created if there is one" },
    { "contributor", "ID", "contributor of rows that name none (default: "
                           "import)" },
    { "name", "TEXT", "that contributor's display name (default: Import)" },
    { "batch", "N", "events in one transaction (default: 5000)" },
    { "dry-run", NULL, "read and check everything, write nothing to the "
                       "store" },
    { "quiet", NULL, "no progress, no totals" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_import_cmd = {
    "import", "FILE...",
    "put places and accessibility records from files into the store",
    "Reads CSV (with a header) and GeoJSON, plain or gzip; \"-\" is "
    "standard input.\nCSV needs the columns id, name, lng and lat.  Rows "
    "that cannot be taken are\nwritten to the rejects file with line, "
    "field and reason; the others are imported.\nImporting the same file "
    "again changes nothing, so an interrupted import is\nsimply run "
    "again.\n\n"
    "What the store does not have yet is written to the journal first, into "
    "segments\nof the import's own, so that \"sccctl rebuild\" brings it "
    "back.  Make a journal with\n\"sccctl journal init DIR\"; only for a "
    "store to throw away say --no-journal.\n",
    scc_ctl_import_opts, scc_ctl_import
};


/* As rows have them. */

static const scc_kind_t  scc_ctl_import_kinds[SCC_IMPORT_BODIES] = {
    SCC_KIND_PLACE, SCC_KIND_BUILDING, SCC_KIND_PLACE_ACCESSIBILITY,
    SCC_KIND_BUILDING_ACCESSIBILITY
};


static int
scc_ctl_import(const scc_ctl_args_t *args)
{
    int                     i, rc;
    scc_ctl_load_t          ld;
    scc_ctl_intake_conf_t   ic;

    memset(&ld, 0, sizeof(scc_ctl_load_t));
    memset(&ic, 0, sizeof(scc_ctl_intake_conf_t));

    rc = scc_ctl_import_conf(&ld, &ic, args);
    if (rc != SCC_CTL_OK) {
        return rc;
    }

    if (args->opt[SCC_CTL_IMPORT_DRY_RUN] == NULL) {

        ic.conninfo = scc_ctl_pg_conninfo("import",
                                          args->opt[SCC_CTL_IMPORT_PG]);
        if (ic.conninfo == NULL) {
            return SCC_CTL_USAGE;
        }

        ld.intake = scc_ctl_intake_create(&ic);
        if (ld.intake == NULL) {
            return SCC_CTL_FAILED;
        }
    }

    scc_ctl_rejects_init(&ld.rejects, args->opt[SCC_CTL_IMPORT_REJECTS]);
    scc_ctl_progress_init(&ld.progress, ld.quiet);

    rc = SCC_CTL_OK;

    for (i = 0; i < args->argc && rc == SCC_CTL_OK; i++) {
        rc = scc_ctl_import_file(&ld, args->argv[i]);
    }

    scc_ctl_progress_clear(&ld.progress);

    if (!ld.quiet && (rc == SCC_CTL_OK || ld.totals.rows > 0)) {
        scc_ctl_import_totals(&ld);
    }

    if (rc == SCC_CTL_OK && ld.totals.rejected > 0) {
        rc = SCC_CTL_REJECTS;
    }

    scc_ctl_rejects_free(&ld.rejects);
    scc_ctl_intake_free(ld.intake);

    return rc;
}


static int
scc_ctl_import_conf(scc_ctl_load_t *ld, scc_ctl_intake_conf_t *ic,
    const scc_ctl_args_t *args)
{
    int                     rc;
    const char             *value;
    scc_ctl_intake_opts_t   opts;

    if (args->argc == 0) {
        return scc_ctl_usage("import", "no file named; \"-\" is standard "
                             "input");
    }

    ld->quiet = args->opt[SCC_CTL_IMPORT_QUIET] != NULL;
    ld->conf.map = scc_ctl_str(args->opt[SCC_CTL_IMPORT_MAP]);
    ld->conf.bounds = scc_ctl_str(args->opt[SCC_CTL_IMPORT_BOUNDS]);

    value = args->opt[SCC_CTL_IMPORT_FORMAT];

    if (value != NULL) {
        if (strcmp(value, "csv") == 0) {
            ld->format = SCC_IMPORT_CSV;

        } else if (strcmp(value, "geojson") == 0) {
            ld->format = SCC_IMPORT_GEOJSON;

        } else {
            return scc_ctl_usage("import", "--format: \"%s\" is neither "
                                 "\"csv\" nor \"geojson\"", value);
        }
    }

    opts.journal = args->opt[SCC_CTL_IMPORT_JOURNAL];
    opts.no_journal = args->opt[SCC_CTL_IMPORT_NO_JOURNAL];
    opts.contributor = args->opt[SCC_CTL_IMPORT_CONTRIBUTOR];
    opts.name = args->opt[SCC_CTL_IMPORT_NAME];
    opts.batch = args->opt[SCC_CTL_IMPORT_BATCH];

    rc = scc_ctl_intake_conf(ic, "import", &opts,
                             args->opt[SCC_CTL_IMPORT_DRY_RUN] == NULL);

    if (rc != SCC_CTL_OK) {
        return rc;
    }

    ic->refused = scc_ctl_import_refused;
    ic->ctx = ld;

    return scc_ctl_import_check(ld);
}


/* --map and --bounds are judged before anything is opened. */

static int
scc_ctl_import_check(scc_ctl_load_t *ld)
{
    scc_err_t      err;
    scc_import_t  *import;

    memset(&err, 0, sizeof(scc_err_t));

    import = scc_import_create(&ld->conf, scc_ctl_import_row, ld, &err);

    if (import == NULL) {
        return scc_ctl_usage("import", "%.*s%s%s", (int) err.field.len,
                             (const char *) err.field.data,
                             err.field.len > 0 ? ": " : "", err.text);
    }

    scc_import_free(import);

    return SCC_CTL_OK;
}


static int
scc_ctl_import_file(scc_ctl_load_t *ld, const char *input)
{
    int        rc;
    scc_err_t  err;

    rc = SCC_CTL_FAILED;
    memset(&err, 0, sizeof(scc_err_t));

    ld->input = input;
    ld->said = false;

    ld->reader = scc_ctl_reader_open(input);
    if (ld->reader == NULL) {
        return SCC_CTL_FAILED;
    }

    ld->conf.format = (ld->format != SCC_IMPORT_AUTO)
                      ? ld->format : scc_ctl_import_format(input);

    ld->import = scc_import_create(&ld->conf, scc_ctl_import_row, ld, &err);

    if (ld->import == NULL) {
        scc_ctl_error("%s", err.text);

    } else if (scc_ctl_rejects_begin(&ld->rejects, input,
                                     scc_ctl_reader_fd(ld->reader))
               == 0)
    {
        rc = scc_ctl_import_pump(ld);
    }

    if (scc_ctl_rejects_end(&ld->rejects) != 0) {
        rc = SCC_CTL_FAILED;
    }

    scc_import_free(ld->import);
    scc_ctl_reader_close(ld->reader);

    ld->import = NULL;
    ld->reader = NULL;

    return rc;
}


static int
scc_ctl_import_pump(scc_ctl_load_t *ld)
{
    int             bad;
    size_t          len;
    scc_rc_t        rc;
    scc_err_t       err;
    const uint8_t  *data;

    memset(&err, 0, sizeof(scc_err_t));
    rc = SCC_OK;

    for ( ;; ) {

        bad = scc_ctl_reader_next(ld->reader, &data, &len);

        if (bad) {
            ld->said = true;
            break;
        }

        rc = (len > 0) ? scc_import_feed(ld->import, data, len, &err)
                       : scc_import_end(ld->import, &err);

        if (rc != SCC_OK || len == 0) {
            break;
        }

        scc_ctl_progress_update(&ld->progress, ld->input,
                                scc_ctl_reader_offset(ld->reader),
                                scc_ctl_reader_size(ld->reader),
                                ld->totals.rows);
    }

    if (rc != SCC_OK) {
        bad = 1;

        if (!ld->said) {
            scc_ctl_progress_clear(&ld->progress);
            scc_ctl_error("%s: %s", ld->input,
                          err.text[0] != '\0' ? err.text : "out of memory");
        }
    }

    /* What was read before a fault in the file is good, and goes in. */

    if (ld->intake != NULL && (!bad || rc == SCC_DECLINED || rc == SCC_OK)
        && scc_ctl_intake_flush(ld->intake) != 0)
    {
        return SCC_CTL_FAILED;
    }

    if (bad) {
        return SCC_CTL_FAILED;
    }

    scc_ctl_import_ignored(ld);
    ld->totals.files++;

    return SCC_CTL_OK;
}


static void
scc_ctl_import_ignored(scc_ctl_load_t *ld)
{
    scc_str_t  names;

    names = scc_import_ignored(ld->import);

    if (names.len > 0 && !ld->quiet) {
        scc_ctl_progress_clear(&ld->progress);
        scc_ctl_error("%s: columns that were not imported: %.*s", ld->input,
                      (int) names.len, (const char *) names.data);
    }
}


static scc_import_format_t
scc_ctl_import_format(const char *name)
{
    size_t  i, len, n;

    static const struct {
        const char           *end;
        scc_import_format_t   format;
    } ends[] = {
        { ".csv", SCC_IMPORT_CSV },
        { ".geojson", SCC_IMPORT_GEOJSON },
        { ".json", SCC_IMPORT_GEOJSON },
    };

    len = strlen(name);

    if (len > 3 && strcmp(name + len - 3, ".gz") == 0) {
        len -= 3;
    }

    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        n = strlen(ends[i].end);

        if (len > n && strncasecmp(name + len - n, ends[i].end, n) == 0) {
            return ends[i].format;
        }
    }

    return SCC_IMPORT_AUTO;
}


static scc_rc_t
scc_ctl_import_row(void *ctx, const scc_import_row_t *row)
{
    unsigned         i;
    scc_ctl_load_t  *ld = ctx;

    ld->totals.rows++;

    if (row->reject != SCC_REJECT_NONE) {
        ld->totals.rejected++;
        ld->totals.reasons[row->reject]++;

        if (scc_ctl_rejects_add(&ld->rejects, ld->input, row->line, row->id,
                                row->field, scc_reject_name(row->reject),
                                row->text)
            != 0)
        {
            ld->said = true;
            return SCC_ERROR;
        }

        return SCC_OK;
    }

    if (ld->intake == NULL) {
        for (i = 0; i < row->n; i++) {
            ld->totals.kinds[row->body[i].kind]++;
        }

        return SCC_OK;
    }

    if (scc_ctl_intake_row(ld->intake, row) != 0) {
        ld->said = true;
        return SCC_ERROR;
    }

    return SCC_OK;
}


static int
scc_ctl_import_refused(void *ctx, uint64_t line, scc_str_t id,
    const char *message)
{
    scc_ctl_load_t    *ld = ctx;
    static scc_str_t   field = scc_null_string;
    static scc_str_t   reason = scc_string("refused_by_store");

    ld->totals.rejected++;

    return scc_ctl_rejects_add(&ld->rejects, ld->input, line, id, field,
                               reason, message);
}


static void
scc_ctl_import_totals(const scc_ctl_load_t *ld)
{
    double                        seconds;
    size_t                        i;
    uint64_t                      kinds[SCC_IMPORT_BODIES];
    scc_str_t                     name;
    const scc_ctl_apply_stats_t  *stats;

    seconds = (double) (scc_ctl_now() - ld->progress.start) / 1e9;
    stats = ld->intake != NULL ? scc_ctl_intake_stats(ld->intake) : NULL;

    for (i = 0; i < SCC_IMPORT_BODIES; i++) {
        kinds[i] = stats != NULL ? stats->kinds[scc_ctl_import_kinds[i]]
                                 : ld->totals.kinds[i];
    }

    printf("files %llu, rows %llu, places %llu, rejected %llu\n",
           (unsigned long long) ld->totals.files,
           (unsigned long long) ld->totals.rows,
           (unsigned long long) kinds[SCC_IMPORT_PLACE],
           (unsigned long long) ld->totals.rejected);

    printf("records: ");

    for (i = 0; i < SCC_IMPORT_BODIES; i++) {
        name = scc_kind_name(scc_ctl_import_kinds[i]);

        printf("%s%.*s %llu", i > 0 ? ", " : "", (int) name.len,
               (const char *) name.data, (unsigned long long) kinds[i]);
    }

    if (stats != NULL) {
        printf("\n%llu new, %llu unchanged (already there), %llu journaled\n",
               (unsigned long long) stats->events_new,
               (unsigned long long) stats->events_old,
               (unsigned long long) scc_ctl_intake_journaled(ld->intake));
    } else {
        printf("\ndry run: nothing was written to the store\n");
    }

    if (ld->totals.rejected > 0) {
        scc_ctl_import_rejected(ld);
    }

    printf("%.2f s, %.0f rows/s\n", seconds,
           (double) ld->totals.rows / seconds);
}


static void
scc_ctl_import_rejected(const scc_ctl_load_t *ld)
{
    size_t     i;
    uint64_t   refused;
    scc_str_t  name;

    refused = ld->intake != NULL ? scc_ctl_intake_refused(ld->intake) : 0;

    printf("rejected:");

    for (i = 0; i < SCC_REJECTS; i++) {
        if (ld->totals.reasons[i] > 0) {
            name = scc_reject_name((scc_reject_t) i);
            printf(" %.*s %llu", (int) name.len, (const char *) name.data,
                   (unsigned long long) ld->totals.reasons[i]);
        }
    }

    if (refused > 0) {
        printf(" refused_by_store %llu", (unsigned long long) refused);
    }

    for (i = 0; i < ld->rejects.n_created; i++) {
        printf("%s %s", i > 0 ? "," : "; see", ld->rejects.created[i]);
    }

    putchar('\n');
}


static scc_str_t
scc_ctl_str(const char *text)
{
    scc_str_t  s = scc_null_string;

    if (text != NULL) {
        s.len = strlen(text);
        s.data = (const uint8_t *) text;
    }

    return s;
}
