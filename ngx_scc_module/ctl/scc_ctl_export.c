
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_buf.h"
#include "scc_ctl_file.h"
#include "scc_ctl_store.h"
#include "scc_export.h"


#define SCC_CTL_EXPORT_PAGE  "5000"         /* rows asked for at once */


typedef enum {
    SCC_CTL_EXPORT_GEOJSON = 0,
    SCC_CTL_EXPORT_GEOJSONL,
    SCC_CTL_EXPORT_CSV,
} scc_ctl_export_format_t;


typedef struct {
    PGconn                   *pg;
    scc_ctl_export_format_t   format;
    const char               *license;      /* NULL: not said */
    const char               *attribution;
    const char               *output;       /* NULL: standard output */
    char                      at[32];       /* of the snapshot */
    char                      store[64];
    uint64_t                  places;
    scc_ctl_file_t            file;
    scc_buf_t                 buf;
} scc_ctl_export_t;


static int scc_ctl_export(const scc_ctl_args_t *args);
static int scc_ctl_export_format(const scc_ctl_args_t *args,
    scc_ctl_export_format_t *format);
static int scc_ctl_export_run(scc_ctl_export_t *ex);
static int scc_ctl_export_begin(scc_ctl_export_t *ex);
static int scc_ctl_export_pages(scc_ctl_export_t *ex);
static int scc_ctl_export_rows(scc_ctl_export_t *ex, const PGresult *res);
static int scc_ctl_export_head(scc_ctl_export_t *ex);
static int scc_ctl_export_tail(scc_ctl_export_t *ex);
static int scc_ctl_export_about(scc_ctl_export_t *ex);
static void scc_ctl_export_column(scc_buf_t *b, const char *name,
    size_t len);
static void scc_ctl_export_member(scc_buf_t *b, const char *key,
    const char *value);
static int scc_ctl_export_flush(scc_ctl_export_t *ex);


enum {
    SCC_CTL_EXPORT_OPT_PG = 0,
    SCC_CTL_EXPORT_OPT_FORMAT,
    SCC_CTL_EXPORT_OPT_OUTPUT,
    SCC_CTL_EXPORT_OPT_LICENSE,
    SCC_CTL_EXPORT_OPT_ATTRIBUTION,
    SCC_CTL_EXPORT_OPT_QUIET,
};

static const scc_ctl_opt_t  scc_ctl_export_opts[] = {
    SCC_CTL_PG_OPT,
    { "format", "FORMAT", "geojson, geojsonl (a Feature per line) or csv" },
    { "output", "FILE", "write there instead of standard output; the file is "
                        "replaced\nwhen the new one is whole and on disk" },
    { "license", "URL", "the license of the data, written into the file" },
    { "attribution", "TEXT", "who is to be named, written into the file" },
    { "quiet", NULL, "do not print how many places there were" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_export_cmd = {
    "export", NULL,
    "write all places as open data: GeoJSON or CSV",
    "Writes all places that are not closed, by id, with all that is known of "
    "how to\nget in, as they were at one moment; memory does not grow with "
    "their number.\nThere are no contributors, comments or images in it: no "
    "personal data.\n\n"
    "GeoJSON says license, attribution, time and store itself.  CSV has no "
    "place for\nthem: beside FILE they are written to FILE-metadata.json "
    "(W3C's CSV on the Web),\nwith a name and a type for each column.  Its "
    "columns are those that import reads.\n",
    scc_ctl_export_opts, scc_ctl_export
};


static const char *const  scc_ctl_export_formats[] = {
    "geojson", "geojsonl", "csv", NULL
};


static int
scc_ctl_export(const scc_ctl_args_t *args)
{
    int                rc;
    uint8_t            uuid[16];
    const char        *conninfo;
    scc_ctl_export_t   ex;

    memset(&ex, 0, sizeof(scc_ctl_export_t));

    rc = scc_ctl_export_format(args, &ex.format);
    if (rc != SCC_CTL_OK) {
        return rc;
    }

    ex.output = args->opt[SCC_CTL_EXPORT_OPT_OUTPUT];
    ex.license = args->opt[SCC_CTL_EXPORT_OPT_LICENSE];
    ex.attribution = args->opt[SCC_CTL_EXPORT_OPT_ATTRIBUTION];

    if (ex.output != NULL
        && (*ex.output == '\0' || strcmp(ex.output, "-") == 0))
    {
        ex.output = NULL;
    }

    if (ex.output == NULL && ex.format != SCC_CTL_EXPORT_GEOJSON
        && (ex.license != NULL || ex.attribution != NULL))
    {
        return scc_ctl_usage("export", "%s on standard output has no place "
                             "for --license and --attribution; name a file "
                             "with --output, or take --format geojson",
                             scc_ctl_export_formats[ex.format]);
    }

    conninfo = scc_ctl_pg_conninfo("export",
                                   args->opt[SCC_CTL_EXPORT_OPT_PG]);
    if (conninfo == NULL) {
        return SCC_CTL_USAGE;
    }

    ex.pg = scc_ctl_store_connect(conninfo, false, uuid);
    if (ex.pg == NULL) {
        return SCC_CTL_FAILED;
    }

    scc_buf_heap(&ex.buf, 0);

    rc = scc_ctl_export_run(&ex);

    scc_buf_free(&ex.buf);
    PQfinish(ex.pg);

    if (rc == SCC_CTL_OK && ex.output != NULL
        && args->opt[SCC_CTL_EXPORT_OPT_QUIET] == NULL)
    {
        printf("%llu places as of %s in %s\n",
               (unsigned long long) ex.places, ex.at, ex.output);
    }

    return rc;
}


static int
scc_ctl_export_format(const scc_ctl_args_t *args,
    scc_ctl_export_format_t *format)
{
    int          i;
    const char  *name;

    name = args->opt[SCC_CTL_EXPORT_OPT_FORMAT];

    if (name == NULL) {
        return scc_ctl_usage("export", "say which format: --format geojson, "
                             "geojsonl or csv");
    }

    for (i = 0; scc_ctl_export_formats[i] != NULL; i++) {
        if (strcmp(name, scc_ctl_export_formats[i]) == 0) {
            *format = (scc_ctl_export_format_t) i;
            return SCC_CTL_OK;
        }
    }

    return scc_ctl_usage("export", "--format %s is none of geojson, geojsonl "
                         "and csv", name);
}


static int
scc_ctl_export_run(scc_ctl_export_t *ex)
{
    if (scc_ctl_export_begin(ex) != 0
        || scc_ctl_file_open(&ex->file, ex->output) != 0)
    {
        return SCC_CTL_FAILED;
    }

    if (scc_ctl_export_head(ex) != 0
        || scc_ctl_export_pages(ex) != 0
        || scc_ctl_export_tail(ex) != 0
        || scc_ctl_file_commit(&ex->file) != 0)
    {
        scc_ctl_file_abort(&ex->file);
        return SCC_CTL_FAILED;
    }

    if (ex->output != NULL && ex->format != SCC_CTL_EXPORT_GEOJSON) {
        return scc_ctl_export_about(ex);
    }

    return SCC_CTL_OK;
}


/* One snapshot for all pages: what was there at one moment, and nothing
   twice.  It ends with the connection. */

static int
scc_ctl_export_begin(scc_ctl_export_t *ex)
{
    PGresult  *res;

    if (scc_ctl_pg_do(ex->pg, "beginning the export",
                      "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        != 0)
    {
        return -1;
    }

    res = scc_ctl_pg_exec(ex->pg, "reading the store's identity",
                          "SELECT store_uuid || '/' || epoch,"
                          " scc.json_time(now()) FROM scc.identity");
    if (res == NULL) {
        return -1;
    }

    snprintf(ex->store, sizeof(ex->store), "%s", PQgetvalue(res, 0, 0));
    snprintf(ex->at, sizeof(ex->at), "%s", PQgetvalue(res, 0, 1));

    PQclear(res);

    return 0;
}


static int
scc_ctl_export_pages(scc_ctl_export_t *ex)
{
    int          rc, n;
    char         after[SCC_ID_MAX + 1];
    PGresult    *res;
    const char  *params[2];

    after[0] = '\0';
    params[0] = after;
    params[1] = SCC_CTL_EXPORT_PAGE;

    do {
        res = scc_ctl_pg_query(ex->pg, "reading places",
                               "SELECT * FROM scc.export_page($1, $2::int)",
                               2, params);
        if (res == NULL) {
            return -1;
        }

        n = PQntuples(res);

        if (n > 0) {
            snprintf(after, sizeof(after), "%s", PQgetvalue(res, n - 1, 0));
        }

        rc = scc_ctl_export_rows(ex, res);

        PQclear(res);

    } while (rc == 0 && n > 0);

    return rc;
}


static int
scc_ctl_export_rows(scc_ctl_export_t *ex, const PGresult *res)
{
    int           i, k, n;
    scc_str_t     column[SCC_EXPORT_COLUMNS];
    scc_export_t  e;

    if (PQnfields(res) != SCC_EXPORT_COLUMNS) {
        scc_ctl_error("scc.export has other columns than this program "
                      "reads; run \"sccctl migrate\"");
        return -1;
    }

    n = PQntuples(res);

    for (i = 0; i < n; i++) {

        for (k = 0; k < SCC_EXPORT_COLUMNS; k++) {
            column[k].len = (size_t) PQgetlength(res, i, k);
            column[k].data = PQgetisnull(res, i, k)
                             ? NULL : (const uint8_t *) PQgetvalue(res, i, k);
        }

        if (scc_export_row(column, &e) != SCC_OK) {
            scc_ctl_error("the place \"%s\" cannot be exported: the store "
                          "holds a value that no place has; look at it in "
                          "scc.export", PQgetvalue(res, i, 0));
            return -1;
        }

        if (ex->format == SCC_CTL_EXPORT_CSV) {
            scc_export_csv(&ex->buf, &e);

        } else {
            if (ex->format == SCC_CTL_EXPORT_GEOJSON) {
                scc_buf_text(&ex->buf, ex->places ? ",\n" : "\n");
            }

            scc_export_feature(&ex->buf, &e);

            if (ex->format == SCC_CTL_EXPORT_GEOJSONL) {
                scc_buf_byte(&ex->buf, '\n');
            }
        }

        ex->places++;
    }

    return scc_ctl_export_flush(ex);
}


static int
scc_ctl_export_head(scc_ctl_export_t *ex)
{
    scc_buf_t  *b;

    b = &ex->buf;

    if (ex->format == SCC_CTL_EXPORT_CSV) {
        scc_export_csv_head(b);
    }

    if (ex->format == SCC_CTL_EXPORT_GEOJSON) {
        scc_buf_text(b, "{\"type\":\"FeatureCollection\"");
        scc_ctl_export_member(b, ",\"license\":", ex->license);
        scc_ctl_export_member(b, ",\"attribution\":", ex->attribution);
        scc_ctl_export_member(b, ",\"timeStamp\":", ex->at);
        scc_ctl_export_member(b, ",\"store\":", ex->store);
        scc_buf_text(b, ",\"features\":[");
    }

    return scc_ctl_export_flush(ex);
}


static int
scc_ctl_export_tail(scc_ctl_export_t *ex)
{
    if (ex->format == SCC_CTL_EXPORT_GEOJSON) {
        scc_buf_text(&ex->buf, "\n],\"numberReturned\":");
        scc_buf_uint(&ex->buf, ex->places);
        scc_buf_text(&ex->buf, "}\n");
    }

    return scc_ctl_export_flush(ex);
}


/* FILE-metadata.json: CSV on the Web finds it by its name. */

static int
scc_ctl_export_about(scc_ctl_export_t *ex)
{
    int          rc;
    char        *path;
    size_t       len;
    scc_buf_t   *b;
    const char  *name, *p;

    if (asprintf(&path, "%s-metadata.json", ex->output) == -1) {
        scc_ctl_error("out of memory");
        return SCC_CTL_FAILED;
    }

    name = strrchr(ex->output, '/');
    name = (name != NULL) ? name + 1 : ex->output;

    b = &ex->buf;

    scc_buf_text(b, "{\"@context\":\"http://www.w3.org/ns/csvw\"");
    scc_ctl_export_member(b, ",\n \"url\":", name);
    scc_buf_text(b, ",\n \"dc:title\":\"Places and how to get in\"");
    scc_ctl_export_member(b, ",\n \"dc:license\":", ex->license);
    scc_ctl_export_member(b, ",\n \"dc:rights\":", ex->attribution);
    scc_ctl_export_member(b, ",\n \"dc:modified\":", ex->at);
    scc_ctl_export_member(b, ",\n \"dc:source\":", ex->store);
    scc_buf_text(b, ",\n \"dc:extent\":\"");
    scc_buf_uint(b, ex->places);
    scc_buf_text(b, " places\"");

    if (ex->format == SCC_CTL_EXPORT_CSV) {
        scc_buf_text(b, ",\n \"tableSchema\":{\"primaryKey\":\"id\","
                        "\"columns\":[");

        for (p = scc_export_csv_names; /* void */; p += len + 1) {
            len = strcspn(p, ",");

            scc_ctl_export_column(b, p, len);

            if (p[len] == '\0') {
                break;
            }

            scc_buf_byte(b, ',');
        }

        scc_buf_text(b, "]}");
    }

    scc_buf_text(b, "}\n");

    rc = scc_ctl_file_open(&ex->file, path);

    if (rc == 0
        && (scc_ctl_export_flush(ex) != 0
            || scc_ctl_file_commit(&ex->file) != 0))
    {
        scc_ctl_file_abort(&ex->file);
        rc = -1;
    }

    free(path);

    return (rc == 0) ? SCC_CTL_OK : SCC_CTL_FAILED;
}


static void
scc_ctl_export_column(scc_buf_t *b, const char *name, size_t len)
{
    size_t       i;
    const char  *type;
    scc_str_t    s = { len, (const uint8_t *) name };

    static const struct {
        const char  *column;
        const char  *type;
    } types[] = {
        { "lng", "decimal" },
        { "lat", "decimal" },
        { "synthetic", "boolean" },
        { "level", "integer" },
        { "registered", "boolean" },
        { "has_slope", "boolean" },
        { "is_first_floor", "boolean" },
        { "is_stair_only_option", "boolean" },
        { "building_registered", "boolean" },
        { "building_has_slope", "boolean" },
        { "building_has_elevator", "boolean" },
        { "updated_at", "dateTime" },
    };

    type = "string";

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strlen(types[i].column) == len
            && memcmp(types[i].column, name, len) == 0)
        {
            type = types[i].type;
        }
    }

    scc_buf_text(b, "\n  {\"name\":");
    scc_buf_json(b, s);
    scc_buf_text(b, ",\"datatype\":\"");
    scc_buf_text(b, type);
    scc_buf_byte(b, '"');

    /* lists, as an import reads them */

    if ((len == 6 && memcmp(name, "floors", 6) == 0)
        || (len > 10 && memcmp(name + len - 10, "door_types", 10) == 0))
    {
        scc_buf_text(b, ",\"separator\":\";\"");
    }

    scc_buf_byte(b, '}');
}


static void
scc_ctl_export_member(scc_buf_t *b, const char *key, const char *value)
{
    scc_str_t  s;

    if (value == NULL) {
        return;
    }

    s.len = strlen(value);
    s.data = (const uint8_t *) value;

    scc_buf_text(b, key);
    scc_buf_json(b, s);
}


static int
scc_ctl_export_flush(scc_ctl_export_t *ex)
{
    int  rc;

    if (ex->buf.error) {
        scc_ctl_error("out of memory");
        return -1;
    }

    rc = scc_ctl_file_write(&ex->file, ex->buf.start, ex->buf.used);

    scc_buf_reset(&ex->buf);

    return rc;
}
