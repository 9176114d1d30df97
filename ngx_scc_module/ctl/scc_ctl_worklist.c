
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_ctl_file.h"
#include "scc_ctl_store.h"
#include "scc_ctl_worklist.h"
#include "scc_geo.h"
#include "scc_quest.h"


typedef enum {
    SCC_CTL_WORK_ALL = 0,
    SCC_CTL_WORK_PHOTOS,
    SCC_CTL_WORK_RECORDS,
    SCC_CTL_WORK_PARTIAL,
    SCC_CTL_WORK_CONFIDENCE,
    SCC_CTL_WORK_FIELD,
} scc_ctl_work_kind_t;


static int scc_ctl_worklist(const scc_ctl_args_t *args);
static int scc_ctl_worklist_kind(const char *name,
    scc_ctl_work_kind_t *kind);
static int scc_ctl_worklist_run(scc_ctl_worklist_t *wl, PGconn *pg,
    scc_ctl_work_kind_t kind, const char *below, const char *format,
    const char *output);
static int scc_ctl_worklist_photos(scc_ctl_worklist_t *wl,
    const PGresult *res);
static int scc_ctl_worklist_places(scc_ctl_worklist_t *wl,
    const PGresult *res, scc_ctl_work_kind_t kind);
static bool scc_ctl_worklist_wants(scc_ctl_work_kind_t kind,
    scc_str_t reasons, bool indoor);
static bool scc_ctl_worklist_has(scc_str_t reasons, const char *const *any);
static scc_ctl_work_t *scc_ctl_worklist_add(scc_ctl_worklist_t *wl);
static void scc_ctl_worklist_where(scc_ctl_work_t *w, const PGresult *res,
    int row, int lon, int lat);
static void scc_ctl_worklist_sort(scc_ctl_worklist_t *wl);
static int scc_ctl_work_cmp(const void *a, const void *b);


enum {
    SCC_CTL_WORKLIST_PG = 0,
    SCC_CTL_WORKLIST_KIND,
    SCC_CTL_WORKLIST_FORMAT,
    SCC_CTL_WORKLIST_BELOW,
    SCC_CTL_WORKLIST_OUTPUT,
};

static const scc_ctl_opt_t  scc_ctl_worklist_opts[] = {
    SCC_CTL_PG_OPT,
    { "kind", "KIND", "photos-without-record, records-without-photo, "
                      "partial,\nlow-confidence or field (default: all of "
                      "the work there is)" },
    { "format", "FORMAT", "csv, geojson, or html to print" },
    { "below", "N", "a recovered record with less confidence is low "
                    "(default: 0.7)" },
    { "output", "FILE", "write there instead of standard output; the file is "
                        "replaced\nwhen the new one is whole and on disk" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_worklist_cmd = {
    "worklist", NULL,
    "what people have still to record: indoors from photos, then outdoors",
    "Lists what is missing, indoor work first: what a photo can tell.  What "
    "is left is\na list for the field, in an order in which neighbours are "
    "near each other, cut\ninto quests of 30 places, one for a person.\n\n"
    "  photos-without-record  no record names the photo, and what it shows "
    "has none;\n                         with the places near it, and those "
    "of photos that were\n                         taken with it\n"
    "  records-without-photo  nothing can be checked indoors\n"
    "  partial                the record is gone, stairs, first floor or "
    "building are\n                         unknown, and so the level\n"
    "  low-confidence         recovered, but not for sure\n"
    "  field                  of these, what no photo can tell\n\n"
    "HTML is one file with Korean labels, for A4.  It says uploaders' ids, "
    "no names.\n",
    scc_ctl_worklist_opts, scc_ctl_worklist
};


static const char *const  scc_ctl_work_kinds[] = {
    "all", "photos-without-record", "records-without-photo", "partial",
    "low-confidence", "field", NULL
};

static const char *const  scc_ctl_work_partial[] = {
    "record_missing", "stairs_unknown", "first_floor_unknown",
    "building_missing", "level_unknown", NULL
};

static const char *const  scc_ctl_work_doubtful[] = {
    "confidence_low", "confidence_unknown", "building_confidence_low", NULL
};

static const char *const  scc_ctl_work_photo[] = { "photo_missing", NULL };


static int
scc_ctl_worklist(const scc_ctl_args_t *args)
{
    int                   rc;
    PGconn               *pg;
    int64_t               share;
    uint8_t               uuid[16];
    scc_str_t             text;
    const char           *conninfo, *format, *below;
    scc_ctl_worklist_t    wl;
    scc_ctl_work_kind_t   kind;

    memset(&wl, 0, sizeof(scc_ctl_worklist_t));

    if (scc_ctl_worklist_kind(args->opt[SCC_CTL_WORKLIST_KIND], &kind) != 0) {
        return SCC_CTL_USAGE;
    }

    format = args->opt[SCC_CTL_WORKLIST_FORMAT];

    if (format == NULL
        || (strcmp(format, "csv") != 0 && strcmp(format, "geojson") != 0
            && strcmp(format, "html") != 0))
    {
        return scc_ctl_usage("worklist", "say which format: --format csv, "
                             "geojson or html");
    }

    below = args->opt[SCC_CTL_WORKLIST_BELOW];
    below = below != NULL ? below : "0.7";

    text.data = (const uint8_t *) below;
    text.len = strlen(below);

    if (scc_e7_parse(text, SCC_E7_NEAREST, &share) != SCC_OK
        || share < 0 || share > 10000000)
    {
        return scc_ctl_usage("worklist", "--below: \"%s\" is not a number "
                             "from 0 to 1", below);
    }

    conninfo = scc_ctl_pg_conninfo("worklist",
                                   args->opt[SCC_CTL_WORKLIST_PG]);
    if (conninfo == NULL) {
        return SCC_CTL_USAGE;
    }

    pg = scc_ctl_store_connect(conninfo, false, uuid);

    if (pg == NULL) {
        return SCC_CTL_FAILED;
    }

    rc = scc_ctl_worklist_run(&wl, pg, kind, below, format,
                              args->opt[SCC_CTL_WORKLIST_OUTPUT]);
    PQfinish(pg);
    free(wl.list);

    return rc == 0 ? SCC_CTL_OK : SCC_CTL_FAILED;
}


static int
scc_ctl_worklist_kind(const char *name, scc_ctl_work_kind_t *kind)
{
    int  i;

    *kind = SCC_CTL_WORK_ALL;

    for (i = 0; name != NULL && scc_ctl_work_kinds[i] != NULL; i++) {

        if (strcmp(name, scc_ctl_work_kinds[i]) == 0) {
            *kind = (scc_ctl_work_kind_t) i;
            return 0;
        }
    }

    if (name == NULL) {
        return 0;
    }

    (void) scc_ctl_usage("worklist", "--kind %s is none of "
                         "photos-without-record, records-without-photo, "
                         "partial, low-confidence and field", name);
    return -1;
}


static int
scc_ctl_worklist_run(scc_ctl_worklist_t *wl, PGconn *pg,
    scc_ctl_work_kind_t kind, const char *below, const char *format,
    const char *output)
{
    int              rc;
    PGresult        *at, *photos, *places;
    scc_buf_t        b;
    const char      *params[1];
    scc_ctl_file_t   f;

    photos = NULL;
    places = NULL;
    params[0] = below;
    rc = -1;

    if (scc_ctl_pg_do(pg, "beginning to read", "BEGIN ISOLATION LEVEL"
                      " REPEATABLE READ READ ONLY")
        != 0)
    {
        return -1;
    }

    at = scc_ctl_pg_exec(pg, "asking for the time",
                         "SELECT scc.json_time(now())");

    if (at != NULL
        && (kind == SCC_CTL_WORK_ALL || kind == SCC_CTL_WORK_PHOTOS))
    {
        photos = scc_ctl_pg_exec(pg, "looking for photos without a record",
                                 "SELECT * FROM scc.work_photos()");
    }

    if (at != NULL && kind != SCC_CTL_WORK_PHOTOS) {
        places = scc_ctl_pg_query(pg, "looking for places with gaps",
                                  "SELECT id, name, address, lon_e7, lat_e7,"
                                  " array_to_string(reasons, ','),"
                                  " array_to_string(photos, E'\\n')"
                                  " FROM scc.work_places($1::numeric)", 1,
                                  params);
    }

    scc_buf_heap(&b, 0);

    if ((photos == NULL && places == NULL)
        || (kind == SCC_CTL_WORK_ALL && (photos == NULL || places == NULL))
        || (photos != NULL && scc_ctl_worklist_photos(wl, photos) != 0)
        || (places != NULL && scc_ctl_worklist_places(wl, places, kind) != 0))
    {
        goto done;
    }

    snprintf(wl->at, sizeof(wl->at), "%s", PQgetvalue(at, 0, 0));

    scc_ctl_worklist_sort(wl);

    if (*format == 'c') {
        scc_ctl_worklist_csv(&b, wl);

    } else if (*format == 'g') {
        scc_ctl_worklist_geojson(&b, wl);

    } else {
        scc_ctl_worklist_html(&b, wl);
    }

    if (b.error) {
        scc_ctl_error("out of memory");
        goto done;
    }

    if (scc_ctl_file_open(&f, output) != 0) {
        goto done;
    }

    rc = 0;

    if (scc_ctl_file_write(&f, b.start, b.used) != 0
        || scc_ctl_file_commit(&f) != 0)
    {
        scc_ctl_file_abort(&f);
        rc = -1;
    }

    if (rc == 0 && output != NULL) {
        printf("indoors %zu, in the field %zu in %u quests\n", wl->indoor,
               wl->n - wl->indoor, wl->quests);
    }

done:

    scc_buf_free(&b);
    PQclear(photos);
    PQclear(places);
    PQclear(at);

    return rc;
}


static int
scc_ctl_worklist_photos(scc_ctl_worklist_t *wl, const PGresult *res)
{
    int              row;
    scc_ctl_work_t  *w;

    static const scc_str_t  reason = scc_string("record_missing");

    for (row = 0; row < PQntuples(res); row++) {
        w = scc_ctl_worklist_add(wl);

        if (w == NULL) {
            return -1;
        }

        w->photo = true;
        w->indoor = true;
        w->reasons = reason;
        w->photos = scc_ctl_pg_cell(res, row, 1);
        w->taken = scc_ctl_pg_cell(res, row, 2);
        w->uploader = scc_ctl_pg_cell(res, row, 3);
        w->cluster = scc_ctl_pg_cell(res, row, 4);
        w->type = scc_ctl_pg_cell(res, row, 5);
        w->id = scc_ctl_pg_cell(res, row, 6);
        w->name = scc_ctl_pg_cell(res, row, 7);
        w->together = scc_ctl_pg_cell(res, row, 10);
        w->near = scc_ctl_pg_cell(res, row, 11);
        w->near_json = scc_ctl_pg_cell(res, row, 12);

        scc_ctl_worklist_where(w, res, row, 8, 9);
    }

    return 0;
}


static int
scc_ctl_worklist_places(scc_ctl_worklist_t *wl, const PGresult *res,
    scc_ctl_work_kind_t kind)
{
    int              row;
    bool             indoor;
    scc_str_t        reasons;
    scc_ctl_work_t  *w;

    for (row = 0; row < PQntuples(res); row++) {
        reasons = scc_ctl_pg_cell(res, row, 5);
        indoor = PQgetlength(res, row, 6) > 0;

        if (!scc_ctl_worklist_wants(kind, reasons, indoor)) {
            continue;
        }

        w = scc_ctl_worklist_add(wl);

        if (w == NULL) {
            return -1;
        }

        w->indoor = indoor;
        w->id = scc_ctl_pg_cell(res, row, 0);
        w->name = scc_ctl_pg_cell(res, row, 1);
        w->address = scc_ctl_pg_cell(res, row, 2);
        w->reasons = reasons;
        w->photos = scc_ctl_pg_cell(res, row, 6);

        scc_ctl_worklist_where(w, res, row, 3, 4);
    }

    return 0;
}


/* That a record has no photo is no reason to go there, unless asked for. */

static bool
scc_ctl_worklist_wants(scc_ctl_work_kind_t kind, scc_str_t reasons,
    bool indoor)
{
    bool  partial, doubtful;

    partial = scc_ctl_worklist_has(reasons, scc_ctl_work_partial);
    doubtful = scc_ctl_worklist_has(reasons, scc_ctl_work_doubtful);

    switch (kind) {

    case SCC_CTL_WORK_RECORDS:
        return scc_ctl_worklist_has(reasons, scc_ctl_work_photo);

    case SCC_CTL_WORK_PARTIAL:
        return partial;

    case SCC_CTL_WORK_CONFIDENCE:
        return doubtful;

    case SCC_CTL_WORK_FIELD:
        return !indoor && (partial || doubtful);

    default:
        return partial || doubtful;
    }
}


static bool
scc_ctl_worklist_has(scc_str_t reasons, const char *const *any)
{
    size_t     i, k, start;
    scc_str_t  part, word;

    for (i = 0, start = 0; i <= reasons.len; i++) {

        if (i < reasons.len && reasons.data[i] != ',') {
            continue;
        }

        part.data = reasons.data + start;
        part.len = i - start;
        start = i + 1;

        for (k = 0; any[k] != NULL; k++) {
            word.data = (const uint8_t *) any[k];
            word.len = strlen(any[k]);

            if (scc_str_eq(part, word)) {
                return true;
            }
        }
    }

    return false;
}


static scc_ctl_work_t *
scc_ctl_worklist_add(scc_ctl_worklist_t *wl)
{
    size_t           size;
    scc_ctl_work_t  *list;

    /* full at every power of two */

    if ((wl->n & (wl->n - 1)) == 0) {
        size = wl->n > 0 ? 2 * wl->n : 1;
        list = realloc(wl->list, size * sizeof(scc_ctl_work_t));

        if (list == NULL) {
            scc_ctl_error("out of memory");
            return NULL;
        }

        wl->list = list;
    }

    memset(&wl->list[wl->n], 0, sizeof(scc_ctl_work_t));

    return &wl->list[wl->n++];
}


static void
scc_ctl_worklist_where(scc_ctl_work_t *w, const PGresult *res, int row,
    int lon, int lat)
{
    if (PQgetisnull(res, row, lon) || PQgetisnull(res, row, lat)) {
        return;
    }

    w->located = true;
    w->lon = (int32_t) strtol(PQgetvalue(res, row, lon), NULL, 10);
    w->lat = (int32_t) strtol(PQgetvalue(res, row, lat), NULL, 10);
    w->curve = scc_hilbert(w->lon, w->lat);
}


static void
scc_ctl_worklist_sort(scc_ctl_worklist_t *wl)
{
    size_t           i;
    scc_ctl_work_t  *w;

    if (wl->n > 1) {
        qsort(wl->list, wl->n, sizeof(scc_ctl_work_t), scc_ctl_work_cmp);
    }

    for (i = 0; i < wl->n; i++) {
        w = &wl->list[i];

        if (w->indoor) {
            w->nr = (unsigned) ++wl->indoor;
            continue;
        }

        w->quest = (unsigned) ((i - wl->indoor) / SCC_CTL_QUEST) + 1;
        w->nr = (unsigned) ((i - wl->indoor) % SCC_CTL_QUEST) + 1;
        wl->quests = w->quest;
    }
}


/* Photos as they were taken; places along the curve. */

static int
scc_ctl_work_cmp(const void *a, const void *b)
{
    int                    rc;
    const scc_ctl_work_t  *x, *y;

    x = a;
    y = b;

    if (x->indoor != y->indoor) {
        return x->indoor ? -1 : 1;
    }

    if (x->photo != y->photo) {
        return x->photo ? -1 : 1;
    }

    if (x->photo) {
        rc = scc_str_cmp(x->uploader, y->uploader);
        rc = rc != 0 ? rc : scc_str_cmp(x->taken, y->taken);

        return rc != 0 ? rc : scc_str_cmp(x->photos, y->photos);
    }

    if (x->curve != y->curve) {
        return x->curve < y->curve ? -1 : 1;
    }

    return scc_str_cmp(x->id, y->id);
}
