
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_columns.h"
#include "scc_geojson.h"


#define SCC_IMPORT_BUF_MAX   (16 * 1024 * 1024)
#define SCC_IMPORT_PREFIX    64


struct scc_import_s {
    scc_import_format_t  format;
    scc_import_row_pt    callback;
    void                *ctx;

    scc_csv_t           *csv;
    scc_geojson_t       *geojson;

    unsigned             prefix_len;    /* held until the format is known */
    uint8_t              prefix[SCC_IMPORT_PREFIX];

    bool                 header;
    scc_columns_t        columns;

    uint64_t             rows;
    scc_row_t            row;
    scc_buf_t            address;
    scc_buf_t            category;
    scc_fields_t         fields;
    scc_import_row_t     out;

    scc_rc_t             rc;
    scc_err_t            err;
};


static scc_rc_t scc_import_open(scc_import_t *im,
    scc_import_format_t format);
static scc_rc_t scc_import_push(scc_import_t *im, const void *data,
    size_t len);
static scc_rc_t scc_import_result(scc_import_t *im, scc_err_t *err);

static scc_rc_t scc_import_record(void *ctx, uint64_t line,
    const scc_str_t *value, size_t n);
static scc_rc_t scc_import_feature(void *ctx, const scc_feature_t *f);
static void scc_import_osm_address(scc_import_t *im,
    const scc_feature_t *f);
static bool scc_import_fault(scc_import_t *im, scc_feature_fault_t fault);
static scc_rc_t scc_import_emit(scc_import_t *im);
static scc_str_t scc_import_prop(const scc_feature_t *f, const char *key);
static scc_rc_t scc_import_refuse(scc_import_t *im, scc_str_t field,
    const char *text);


static const scc_str_t  scc_rejects[] = {
    scc_string("none"),
    scc_string("missing"),
    scc_string("not_a_number"),
    scc_string("swapped"),
    scc_string("out_of_range"),
    scc_string("bad_id"),
    scc_string("bad_name"),
    scc_string("bad_value"),
    scc_string("bad_json"),
    scc_string("bad_geometry"),
    scc_string("too_large")
};


scc_import_t *
scc_import_create(const scc_import_conf_t *conf, scc_import_row_pt row,
    void *ctx, scc_err_t *err)
{
    scc_str_t      bounds = scc_string("bounds");
    scc_import_t  *im;

    err->field.len = 0;
    err->field.data = NULL;

    im = calloc(1, sizeof(scc_import_t));
    if (im == NULL) {
        (void) snprintf(err->text, SCC_ERR_TEXT, "out of memory");
        return NULL;
    }

    im->callback = row;
    im->ctx = ctx;

    scc_row_init(&im->row);
    scc_columns_init(&im->columns);
    scc_buf_heap(&im->address, SCC_IMPORT_BUF_MAX);
    scc_buf_heap(&im->category, SCC_IMPORT_BUF_MAX);

    if (conf->bounds.len > 0) {
        im->row.bounded = true;

        if (scc_area_parse(conf->bounds, &im->row.bounds, err) != SCC_OK) {
            err->field = bounds;
            scc_import_free(im);
            return NULL;
        }

        if (im->row.bounds.n == 0) {
            err->field = bounds;
            (void) snprintf(err->text, SCC_ERR_TEXT,
                            "holds no point; the order is "
                            "west,south,east,north");
            scc_import_free(im);
            return NULL;
        }
    }

    if (scc_columns_map(&im->columns, conf->map, err) != SCC_OK) {
        scc_import_free(im);
        return NULL;
    }

    if (scc_import_open(im, conf->format) != SCC_OK) {
        *err = im->err;
        scc_import_free(im);
        return NULL;
    }

    return im;
}


void
scc_import_free(scc_import_t *im)
{
    if (im == NULL) {
        return;
    }

    scc_csv_free(im->csv);
    scc_geojson_free(im->geojson);

    scc_row_free(&im->row);
    scc_columns_free(&im->columns);
    scc_buf_free(&im->address);
    scc_buf_free(&im->category);

    free(im);
}


scc_rc_t
scc_import_feed(scc_import_t *im, const void *data, size_t len,
    scc_err_t *err)
{
    uint8_t         ch;
    const uint8_t  *p, *last;

    if (len == 0) {
        return scc_import_result(im, err);
    }

    p = data;
    last = p + len;

    while (im->rc == SCC_OK && im->format == SCC_IMPORT_AUTO && p < last) {
        ch = *p;

        if (im->prefix_len < SCC_IMPORT_PREFIX
            && (ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n'
                || ch == 0xef || ch == 0xbb || ch == 0xbf))
        {
            im->prefix[im->prefix_len++] = ch;
            p++;
            continue;
        }

        im->rc = scc_import_open(im, ch == '{' || ch == '['
                                     ? SCC_IMPORT_GEOJSON : SCC_IMPORT_CSV);

        if (im->rc == SCC_OK) {
            im->rc = scc_import_push(im, im->prefix, im->prefix_len);
        }
    }

    if (im->rc == SCC_OK && p < last) {
        im->rc = scc_import_push(im, p, (size_t) (last - p));
    }

    return scc_import_result(im, err);
}


scc_rc_t
scc_import_end(scc_import_t *im, scc_err_t *err)
{
    scc_str_t  none = scc_null_string;

    if (im->rc == SCC_OK && im->format == SCC_IMPORT_AUTO) {
        im->rc = scc_import_refuse(im, none, "the file is empty; a CSV "
                                   "starts with a line of column names");
    }

    if (im->rc != SCC_OK) {
        return scc_import_result(im, err);
    }

    im->rc = scc_import_push(im, NULL, 0);

    if (im->rc == SCC_OK && im->csv && !im->header) {
        im->rc = scc_import_refuse(im, none, "the file is empty; a CSV "
                                   "starts with a line of column names");
    }

    return scc_import_result(im, err);
}


const char *
scc_import_field(unsigned i)
{
    return (const char *) scc_field_name((scc_field_t) i).data;
}


scc_str_t
scc_import_ignored(const scc_import_t *im)
{
    return scc_buf_get(&im->columns.ignored);
}


scc_str_t
scc_reject_name(scc_reject_t reject)
{
    return scc_rejects[reject < SCC_REJECTS ? reject : SCC_REJECT_NONE];
}


static scc_rc_t
scc_import_open(scc_import_t *im, scc_import_format_t format)
{
    scc_str_t  map = scc_string("map"), none = scc_null_string;

    im->format = format;

    if (format == SCC_IMPORT_CSV) {
        im->csv = scc_csv_create(scc_import_record, im);

    } else if (format == SCC_IMPORT_GEOJSON) {

        if (im->columns.map.used > 0) {
            im->rc = scc_import_refuse(im, map, "maps columns of a CSV file; "
                                       "this is GeoJSON, leave it out");
            return im->rc;
        }

        im->geojson = scc_geojson_create(scc_import_feature, im);
    }

    if (format != SCC_IMPORT_AUTO && im->csv == NULL && im->geojson == NULL)
    {
        (void) scc_import_refuse(im, none, "out of memory");
        im->rc = SCC_ERROR;
    }

    return im->rc;
}


/* Without data: the end. */

static scc_rc_t
scc_import_push(scc_import_t *im, const void *data, size_t len)
{
    scc_rc_t   rc;
    scc_err_t  err;

    err.field.len = 0;
    err.field.data = NULL;
    err.text[0] = '\0';

    if (im->format == SCC_IMPORT_GEOJSON) {
        rc = data ? scc_geojson_feed(im->geojson, data, len, &err)
                  : scc_geojson_end(im->geojson, &err);

    } else {
        rc = data ? scc_csv_feed(im->csv, data, len, &err)
                  : scc_csv_end(im->csv, &err);
    }

    /* empty if it was a callback that stopped, which left its own */

    if (rc != SCC_OK && err.text[0] != '\0') {
        im->err = err;
    }

    return rc;
}


static scc_rc_t
scc_import_result(scc_import_t *im, scc_err_t *err)
{
    if (im->rc != SCC_OK) {
        *err = im->err;

        if (im->rc == SCC_ERROR && err->text[0] == '\0') {
            (void) snprintf(err->text, SCC_ERR_TEXT, "out of memory");
        }
    }

    return im->rc;
}


static scc_rc_t
scc_import_record(void *ctx, uint64_t line, const scc_str_t *value, size_t n)
{
    scc_rc_t       rc;
    scc_import_t  *im = ctx;

    if (!im->header) {
        im->header = true;

        return scc_columns_header(&im->columns, line, value, n, &im->err);
    }

    memset(&im->fields, 0, sizeof(scc_fields_t));
    memset(&im->out, 0, sizeof(scc_import_row_t));

    im->out.line = line;
    im->out.row = ++im->rows;

    rc = scc_columns_fields(&im->columns, value, n, &im->fields, &im->out);

    if (rc == SCC_DECLINED) {
        return im->callback(im->ctx, &im->out);
    }

    return rc == SCC_OK ? scc_import_emit(im) : rc;
}


static scc_rc_t
scc_import_feature(void *ctx, const scc_feature_t *f)
{
    bool                  osm;
    scc_str_t            *value, source = scc_string("osm");
    scc_import_t         *im = ctx;
    const scc_osm_tag_t  *category;

    memset(&im->fields, 0, sizeof(scc_fields_t));
    memset(&im->out, 0, sizeof(scc_import_row_t));

    im->out.line = f->line;
    im->out.row = f->seq;
    im->out.id = f->id;

    if (scc_import_fault(im, f->fault)) {
        return im->callback(im->ctx, &im->out);
    }

    im->fields.point = true;
    im->fields.lon = f->lon;
    im->fields.lat = f->lat;

    value = im->fields.value;

    value[SCC_FIELD_ID] = f->id;
    value[SCC_FIELD_NAME] = scc_import_prop(f, "name");
    value[SCC_FIELD_EXTRA] = f->extra;

    scc_buf_reset(&im->address);
    scc_buf_reset(&im->category);

    osm = scc_osm_id(f->id);

    if (osm) {
        value[SCC_FIELD_SOURCE] = source;

        im->fields.tags = f->props;
        im->fields.n_tags = f->n_props;

    } else {
        value[SCC_FIELD_CATEGORY] = scc_import_prop(f, "category");
        value[SCC_FIELD_ADDRESS] = scc_import_prop(f, "address");
    }

    if (value[SCC_FIELD_ADDRESS].len == 0) {
        scc_import_osm_address(im, f);
    }

    category = scc_osm_category(f->props, f->n_props);

    /* a category that does not fit is still in "extra" */

    if (value[SCC_FIELD_CATEGORY].len == 0 && category
        && category->key.len + 1 + category->value.len <= SCC_CATEGORY_MAX)
    {
        scc_buf_str(&im->category, category->key);
        scc_buf_byte(&im->category, '=');
        scc_buf_str(&im->category, category->value);

        value[SCC_FIELD_CATEGORY] = scc_buf_get(&im->category);
    }

    if (im->address.error || im->category.error) {
        return SCC_ERROR;
    }

    return scc_import_emit(im);
}


/* "Bergheimer Straße 147 69115 Heidelberg" */

static void
scc_import_osm_address(scc_import_t *im, const scc_feature_t *f)
{
    unsigned   i;
    scc_str_t  part;

    static const char * const  keys[] = {
        "addr:street", "addr:housenumber", "addr:postcode", "addr:city", NULL
    };

    for (i = 0; keys[i]; i++) {
        part = scc_import_prop(f, keys[i]);

        if (part.len == 0
            || im->address.used + 1 + part.len > SCC_ADDRESS_MAX)
        {
            continue;
        }

        if (im->address.used > 0) {
            scc_buf_byte(&im->address, ' ');
        }

        scc_buf_str(&im->address, part);
    }

    im->fields.value[SCC_FIELD_ADDRESS] = scc_buf_get(&im->address);
}


static bool
scc_import_fault(scc_import_t *im, scc_feature_fault_t fault)
{
    scc_str_t  field;

    static const struct {
        scc_reject_t   reject;
        scc_str_t      field;
        const char    *text;
    } faults[] = {
        { SCC_REJECT_NONE, scc_null_string, "" },
        { SCC_REJECT_BAD_JSON, scc_string("type"),
          "is not an object of type Feature; leave it out" },
        { SCC_REJECT_MISSING, scc_string("geometry"),
          "is null or empty; every place needs a point, line or polygon" },
        { SCC_REJECT_BAD_GEOMETRY, scc_string("geometry"),
          "has an unknown type, or coordinates nested in another way than "
          "its type's; see RFC 7946" },
        { SCC_REJECT_NOT_A_NUMBER, scc_string("coordinates"),
          "are not all numbers; write degrees as 126.97" },
        { SCC_REJECT_BAD_JSON, scc_string("properties"),
          "or id hold invalid UTF-8, \\u0000, half of a surrogate pair or a "
          "number out of all range; correct them" },
        { SCC_REJECT_TOO_LARGE, scc_string("feature"),
          "is larger than 4 MiB or has more than 1024 properties; make its "
          "geometry simpler" }
    };

    if (fault == SCC_FEATURE_OK) {
        return false;
    }

    field = faults[fault].field;

    (void) scc_row_reject(&im->out, faults[fault].reject, field,
                          faults[fault].text);
    return true;
}


static scc_rc_t
scc_import_emit(scc_import_t *im)
{
    scc_rc_t  rc;

    rc = scc_row_build(&im->row, &im->fields, &im->out);

    if (rc != SCC_OK) {
        return rc;
    }

    return im->callback(im->ctx, &im->out);
}


static scc_str_t
scc_import_prop(const scc_feature_t *f, const char *key)
{
    size_t     i;
    scc_str_t  none = scc_null_string;

    for (i = 0; i < f->n_props; i++) {

        if (scc_row_is(f->props[i].key, key)) {
            return f->props[i].value;
        }
    }

    return none;
}


static scc_rc_t
scc_import_refuse(scc_import_t *im, scc_str_t field, const char *text)
{
    im->err.field = field;

    (void) snprintf(im->err.text, SCC_ERR_TEXT, "%s", text);

    return SCC_DECLINED;
}
