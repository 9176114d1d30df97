
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
#include "scc_manifest.h"


typedef struct {
    const char             *input;      /* the manifest in hand */
    scc_ctl_reader_t       *reader;
    scc_manifest_t         *manifest;
    scc_ctl_intake_t       *intake;     /* NULL in a dry run */
    scc_ctl_rejects_t       rejects;
    scc_ctl_progress_t      progress;
    uint64_t                rows;
    uint64_t                rejected;
    uint64_t                reasons[SCC_REJECTS];
    bool                    said;       /* why it stopped is on stderr */
} scc_ctl_photos_t;


static int scc_ctl_photos(const scc_ctl_args_t *args);
static int scc_ctl_photos_begin(scc_ctl_photos_t *ph,
    const scc_ctl_args_t *args);
static int scc_ctl_photos_file(scc_ctl_photos_t *ph, const char *input);
static int scc_ctl_photos_pump(scc_ctl_photos_t *ph);
static scc_rc_t scc_ctl_photos_row(void *ctx, const scc_manifest_row_t *row);
static int scc_ctl_photos_refused(void *ctx, uint64_t line, scc_str_t id,
    const char *message);
static void scc_ctl_photos_totals(const scc_ctl_photos_t *ph);


enum {
    SCC_CTL_PHOTOS_PG = 0,
    SCC_CTL_PHOTOS_JOURNAL,
    SCC_CTL_PHOTOS_NO_JOURNAL,
    SCC_CTL_PHOTOS_REJECTS,
    SCC_CTL_PHOTOS_CONTRIBUTOR,
    SCC_CTL_PHOTOS_NAME,
    SCC_CTL_PHOTOS_DRY_RUN,
    SCC_CTL_PHOTOS_QUIET,
};

static const scc_ctl_opt_t  scc_ctl_photos_opts[] = {
    SCC_CTL_PG_OPT,
    { "journal", "DIR", "the store's journal, in which all is written "
                        "first\n(default: the environment's SCC_JOURNAL)" },
    { "no-journal", NULL, "write to the store only, which then cannot be "
                          "rebuilt" },
    { "rejects", "FILE", "where rejected rows are written (default: "
                         "rejects-NAME.csv in\nthe current directory); "
                         "only created if there is one" },
    { "contributor", "ID", "who says it (default: import)" },
    { "name", "TEXT", "that contributor's display name (default: Import)" },
    { "dry-run", NULL, "read and check everything, write nothing to the "
                       "store" },
    { "quiet", NULL, "no progress, no totals" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_photos_cmd = {
    "photos", "import MANIFEST...",
    "tell the store which photos there are, and what they show",
    "A manifest lists the objects of a photos' store: CSV with a header, or "
    "an object of\nJSON per line, plain or gzip; \"-\" is standard input.  "
    "Its columns:\n\n"
    "  objectKey, size, sha256   required\n"
    "  takenAt                   RFC 3339; may be left out where the "
    "object's name\n                            begins with yyyyMMddHHmmss_ "
    "(UTC)\n"
    "  lng, lat                  where it was taken, if known\n"
    "  placeId, buildingId       what it shows, if known\n"
    "  imageType                 Entrance or Elevator; empty: the place\n"
    "  uploader                  the contributor's id, never a name\n\n"
    "Rows that cannot be taken are written to the rejects file with line, "
    "field and\nreason.  Importing the same manifest again changes nothing; "
    "a row with more in it\nreplaces what was known of its object.  What to "
    "do with photos then, \"sccctl\nworklist\" says.\n",
    scc_ctl_photos_opts, scc_ctl_photos
};


static int
scc_ctl_photos(const scc_ctl_args_t *args)
{
    int               i, rc;
    bool              quiet;
    scc_ctl_photos_t  ph;

    memset(&ph, 0, sizeof(scc_ctl_photos_t));

    if (args->argc == 0 || strcmp(args->argv[0], "import") != 0) {
        return scc_ctl_usage("photos", "say what to do: import MANIFEST");
    }

    if (args->argc == 1) {
        return scc_ctl_usage("photos", "no manifest named; \"-\" is standard "
                             "input");
    }

    rc = scc_ctl_photos_begin(&ph, args);

    if (rc != SCC_CTL_OK) {
        return rc;
    }

    quiet = args->opt[SCC_CTL_PHOTOS_QUIET] != NULL;

    scc_ctl_rejects_init(&ph.rejects, args->opt[SCC_CTL_PHOTOS_REJECTS]);
    scc_ctl_progress_init(&ph.progress, quiet);

    for (i = 1; i < args->argc && rc == SCC_CTL_OK; i++) {
        rc = scc_ctl_photos_file(&ph, args->argv[i]);
    }

    scc_ctl_progress_clear(&ph.progress);

    if (!quiet && (rc == SCC_CTL_OK || ph.rows > 0)) {
        scc_ctl_photos_totals(&ph);
    }

    if (rc == SCC_CTL_OK && ph.rejected > 0) {
        rc = SCC_CTL_REJECTS;
    }

    scc_ctl_rejects_free(&ph.rejects);
    scc_ctl_intake_free(ph.intake);

    return rc;
}


static int
scc_ctl_photos_begin(scc_ctl_photos_t *ph, const scc_ctl_args_t *args)
{
    int                     rc;
    bool                    dry;
    scc_ctl_intake_conf_t   ic;
    scc_ctl_intake_opts_t   opts;

    memset(&ic, 0, sizeof(scc_ctl_intake_conf_t));
    memset(&opts, 0, sizeof(scc_ctl_intake_opts_t));

    dry = args->opt[SCC_CTL_PHOTOS_DRY_RUN] != NULL;

    opts.journal = args->opt[SCC_CTL_PHOTOS_JOURNAL];
    opts.no_journal = args->opt[SCC_CTL_PHOTOS_NO_JOURNAL];
    opts.contributor = args->opt[SCC_CTL_PHOTOS_CONTRIBUTOR];
    opts.name = args->opt[SCC_CTL_PHOTOS_NAME];

    rc = scc_ctl_intake_conf(&ic, "photos", &opts, !dry);

    if (rc != SCC_CTL_OK || dry) {
        return rc;
    }

    ic.conninfo = scc_ctl_pg_conninfo("photos",
                                      args->opt[SCC_CTL_PHOTOS_PG]);
    if (ic.conninfo == NULL) {
        return SCC_CTL_USAGE;
    }

    ic.refused = scc_ctl_photos_refused;
    ic.ctx = ph;

    ph->intake = scc_ctl_intake_create(&ic);

    return ph->intake != NULL ? SCC_CTL_OK : SCC_CTL_FAILED;
}


static int
scc_ctl_photos_file(scc_ctl_photos_t *ph, const char *input)
{
    int  rc;

    ph->input = input;
    ph->said = false;

    ph->reader = scc_ctl_reader_open(input);
    if (ph->reader == NULL) {
        return SCC_CTL_FAILED;
    }

    ph->manifest = scc_manifest_create(scc_ctl_photos_row, ph);

    rc = SCC_CTL_FAILED;

    if (ph->manifest == NULL) {
        scc_ctl_error("out of memory");

    } else if (scc_ctl_rejects_begin(&ph->rejects, input,
                                     scc_ctl_reader_fd(ph->reader))
               == 0)
    {
        rc = scc_ctl_photos_pump(ph);
    }

    if (scc_ctl_rejects_end(&ph->rejects) != 0) {
        rc = SCC_CTL_FAILED;
    }

    scc_manifest_free(ph->manifest);
    scc_ctl_reader_close(ph->reader);

    return rc;
}


/* What was read before a fault in the file is good, and goes in. */

static int
scc_ctl_photos_pump(scc_ctl_photos_t *ph)
{
    size_t          len;
    scc_rc_t        rc;
    scc_err_t       err;
    const uint8_t  *data;

    memset(&err, 0, sizeof(scc_err_t));

    do {
        if (scc_ctl_reader_next(ph->reader, &data, &len) != 0) {
            return SCC_CTL_FAILED;
        }

        rc = len > 0 ? scc_manifest_feed(ph->manifest, data, len, &err)
                     : scc_manifest_end(ph->manifest, &err);

        scc_ctl_progress_update(&ph->progress, ph->input,
                                scc_ctl_reader_offset(ph->reader),
                                scc_ctl_reader_size(ph->reader), ph->rows);

    } while (rc == SCC_OK && len > 0);

    if (rc != SCC_OK && !ph->said) {
        scc_ctl_progress_clear(&ph->progress);
        scc_ctl_error("%s: %s", ph->input,
                      err.text[0] != '\0' ? err.text : "out of memory");
    }

    if (ph->intake != NULL && (rc == SCC_OK || rc == SCC_DECLINED)
        && scc_ctl_intake_flush(ph->intake) != 0)
    {
        return SCC_CTL_FAILED;
    }

    return rc == SCC_OK ? SCC_CTL_OK : SCC_CTL_FAILED;
}


static scc_rc_t
scc_ctl_photos_row(void *ctx, const scc_manifest_row_t *row)
{
    scc_import_row_t   r;
    scc_ctl_photos_t  *ph = ctx;

    static const scc_str_t  kind = scc_string("photo");

    ph->rows++;

    if (row->reject != SCC_REJECT_NONE) {
        ph->rejected++;
        ph->reasons[row->reject]++;

        if (scc_ctl_rejects_add(&ph->rejects, ph->input, row->line, row->key,
                                row->field, scc_reject_name(row->reject),
                                row->text)
            != 0)
        {
            ph->said = true;
            return SCC_ERROR;
        }

        return SCC_OK;
    }

    if (ph->intake == NULL) {
        return SCC_OK;
    }

    memset(&r, 0, sizeof(scc_import_row_t));

    r.line = row->line;
    r.row = ph->rows;
    r.id = row->key;
    r.n = 1;
    r.body[0].kind_name = kind;
    r.body[0].target = row->target;
    r.body[0].body = row->body;

    if (scc_ctl_intake_row(ph->intake, &r) != 0) {
        ph->said = true;
        return SCC_ERROR;
    }

    return SCC_OK;
}


static int
scc_ctl_photos_refused(void *ctx, uint64_t line, scc_str_t id,
    const char *message)
{
    scc_ctl_photos_t  *ph = ctx;

    static const scc_str_t  field = scc_null_string;
    static const scc_str_t  reason = scc_string("refused_by_store");

    ph->rejected++;

    return scc_ctl_rejects_add(&ph->rejects, ph->input, line, id, field,
                               reason, message);
}


static void
scc_ctl_photos_totals(const scc_ctl_photos_t *ph)
{
    size_t                        i;
    scc_str_t                     name;
    const scc_ctl_apply_stats_t  *stats;

    printf("rows %llu, rejected %llu", (unsigned long long) ph->rows,
           (unsigned long long) ph->rejected);

    for (i = 0; i < SCC_REJECTS; i++) {
        if (ph->reasons[i] > 0) {
            name = scc_reject_name((scc_reject_t) i);
            printf(", %.*s %llu", (int) name.len, (const char *) name.data,
                   (unsigned long long) ph->reasons[i]);
        }
    }

    for (i = 0; i < ph->rejects.n_created; i++) {
        printf("%s %s", i > 0 ? "," : "; see", ph->rejects.created[i]);
    }

    if (ph->intake == NULL) {
        printf("\ndry run: nothing was written to the store\n");
        return;
    }

    stats = scc_ctl_intake_stats(ph->intake);

    printf("\n%llu new, %llu unchanged (already there), %llu journaled\n",
           (unsigned long long) stats->events_new,
           (unsigned long long) stats->events_old,
           (unsigned long long) scc_ctl_intake_journaled(ph->intake));
}
