
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <string.h>

#include "scc_columns.h"


#define SCC_COLUMNS_BUF_MAX  (64 * 1024 * 1024)

/* what a column is that is no field */
#define SCC_COLUMN_EXTRA     SCC_FIELDS
#define SCC_COLUMN_IGNORED   (SCC_FIELDS + 1)


static scc_rc_t scc_columns_find(scc_columns_t *c, uint64_t line,
    const scc_str_t *name, scc_field_t field, scc_err_t *err);
static scc_rc_t scc_columns_none(scc_columns_t *c, uint64_t line,
    const scc_str_t *name, scc_field_t field, scc_err_t *err);
static scc_rc_t scc_columns_others(scc_columns_t *c, const scc_str_t *name);
static scc_rc_t scc_columns_collect(scc_columns_t *c, size_t i,
    scc_str_t value, scc_import_row_t *row);
static scc_str_t scc_columns_wanted(const scc_columns_t *c,
    scc_field_t field);
static const char *scc_columns_text(unsigned field);


void
scc_columns_init(scc_columns_t *c)
{
    memset(c, 0, sizeof(scc_columns_t));

    scc_buf_heap(&c->map, SCC_COLUMNS_BUF_MAX);
    scc_buf_heap(&c->names, SCC_COLUMNS_BUF_MAX);
    scc_buf_heap(&c->ignored, SCC_COLUMNS_BUF_MAX);
    scc_buf_heap(&c->extra, SCC_COLUMNS_BUF_MAX);
}


void
scc_columns_free(scc_columns_t *c)
{
    scc_buf_free(&c->map);
    scc_buf_free(&c->names);
    scc_buf_free(&c->ignored);
    scc_buf_free(&c->extra);
}


scc_rc_t
scc_columns_map(scc_columns_t *c, scc_str_t map, scc_err_t *err)
{
    char         show[65];
    size_t       i, from;
    scc_str_t    name, itself = scc_string("map");
    scc_field_t  field;

    err->field = itself;
    err->text[0] = '\0';

    scc_buf_str(&c->map, map);

    if (c->map.error) {
        (void) snprintf(err->text, SCC_ERR_TEXT, "out of memory");
        return SCC_ERROR;
    }

    map = scc_buf_get(&c->map);

    for (from = 0; from < map.len; from = i + 1) {

        name.data = map.data + from;

        for (i = from; i < map.len; i++) {

            if (map.data[i] == '=' || map.data[i] == ',') {
                break;
            }
        }

        name.len = i - from;

        if (i == map.len || map.data[i] == ',') {
            (void) snprintf(err->text, SCC_ERR_TEXT,
                            "\"%s\" has no '='; write field=column,...",
                            scc_row_show(show, sizeof(show), name));
            return SCC_DECLINED;
        }

        field = scc_field_find(scc_str_trim(name));

        if (field == SCC_FIELDS) {
            (void) snprintf(err->text, SCC_ERR_TEXT,
                            "\"%s\" is not a field; fields are id, name, "
                            "lng, lat, category, address, source, extra, "
                            "stair_info, has_slope, ...",
                            scc_row_show(show, sizeof(show), name));
            return SCC_DECLINED;
        }

        from = i + 1;
        name.data = map.data + from;

        for (i = from; i < map.len && map.data[i] != ','; i++) {
            /* void */
        }

        name.len = i - from;
        name = scc_str_trim(name);

        if (name.len == 0 || c->mapped[field].len > 0) {
            (void) snprintf(err->text, SCC_ERR_TEXT, "field %s %s",
                            scc_columns_text(field),
                            name.len ? "is mapped twice; leave one out"
                                     : "has no column after its '='");
            return SCC_DECLINED;
        }

        c->mapped[field] = name;
    }

    return SCC_OK;
}


scc_rc_t
scc_columns_header(scc_columns_t *c, uint64_t line, const scc_str_t *name,
    size_t n, scc_err_t *err)
{
    bool       mapped;
    size_t     i;
    unsigned   pass, field;
    scc_rc_t   rc;

    c->n = n;
    err->field.len = 0;
    err->field.data = NULL;

    for (i = 0; i < n; i++) {
        c->column[i] = SCC_COLUMN_EXTRA;

        if (!scc_utf8_valid(name[i])
            || (name[i].len && memchr(name[i].data, '\0', name[i].len)))
        {
            (void) snprintf(err->text, SCC_ERR_TEXT,
                            "line %llu: the name of column %zu is not UTF-8 "
                            "text without NUL; save the file as UTF-8",
                            (unsigned long long) line, i + 1);
            return SCC_DECLINED;
        }
    }

    /* what the map names comes first: those columns lose their own meaning */

    for (pass = 0; pass < 2; pass++) {

        for (field = 0; field < SCC_FIELDS; field++) {
            mapped = c->mapped[field].len > 0;

            if (mapped != (pass == 0)) {
                continue;
            }

            rc = scc_columns_find(c, line, name, (scc_field_t) field, err);

            if (rc != SCC_OK) {
                return rc;
            }
        }
    }

    return scc_columns_others(c, name);
}


scc_rc_t
scc_columns_fields(scc_columns_t *c, const scc_str_t *value, size_t n,
    scc_fields_t *fields, scc_import_row_t *row)
{
    char       text[SCC_ERR_TEXT];
    size_t     i;
    scc_rc_t   rc;
    scc_str_t  columns = scc_string("columns");

    scc_buf_reset(&c->extra);

    for (i = 0; i < n && i < c->n; i++) {

        if (c->column[i] < SCC_FIELDS) {
            fields->value[c->column[i]] = value[i];
        }
    }

    row->id = fields->value[SCC_FIELD_ID];

    if (n != c->n) {
        (void) snprintf(text, sizeof(text),
                        "the row has %zu, the header %zu; is a comma or a "
                        "quote missing?", n, c->n);

        return scc_row_reject(row, SCC_REJECT_BAD_VALUE, columns, text);
    }

    for (i = 0; i < n; i++) {

        if (c->column[i] == SCC_COLUMN_EXTRA && value[i].len > 0) {
            rc = scc_columns_collect(c, i, value[i], row);

            if (rc != SCC_OK) {
                return rc;
            }
        }
    }

    if (c->extra.used > 0) {
        scc_buf_byte(&c->extra, '}');
        fields->value[SCC_FIELD_EXTRA] = scc_buf_get(&c->extra);
    }

    return c->extra.error ? SCC_ERROR : SCC_OK;
}


static scc_rc_t
scc_columns_find(scc_columns_t *c, uint64_t line, const scc_str_t *name,
    scc_field_t field, scc_err_t *err)
{
    bool       found;
    char       show[65];
    size_t     i;
    scc_str_t  wanted;

    found = false;
    wanted = scc_columns_wanted(c, field);

    for (i = 0; i < c->n; i++) {

        if (!scc_str_eq(scc_str_trim(name[i]), wanted)) {
            continue;
        }

        if (c->column[i] < SCC_FIELDS) {

            /* another field is mapped to the column of this name */

            if (c->mapped[field].len == 0) {
                continue;
            }

            err->field = scc_field_name(field);

            (void) snprintf(err->text, SCC_ERR_TEXT,
                            "column \"%s\" is mapped to both %s and %s; map "
                            "it to one",
                            scc_row_show(show, sizeof(show), wanted),
                            scc_columns_text(c->column[i]),
                            scc_columns_text(field));
            return SCC_DECLINED;
        }

        if (found) {
            err->field = scc_field_name(field);

            (void) snprintf(err->text, SCC_ERR_TEXT,
                            "line %llu: there are two columns \"%s\"; "
                            "rename one", (unsigned long long) line,
                            scc_row_show(show, sizeof(show), wanted));
            return SCC_DECLINED;
        }

        c->column[i] = field;
        found = true;
    }

    if (found) {
        return SCC_OK;
    }

    if (c->mapped[field].len || field == SCC_FIELD_ID
        || field == SCC_FIELD_NAME || field == SCC_FIELD_LNG
        || field == SCC_FIELD_LAT)
    {
        return scc_columns_none(c, line, name, field, err);
    }

    return SCC_OK;
}


static scc_rc_t
scc_columns_none(scc_columns_t *c, uint64_t line, const scc_str_t *name,
    scc_field_t field, scc_err_t *err)
{
    int     used;
    char    show[49];
    size_t  i, len;

    err->field = scc_field_name(field);

    used = snprintf(err->text, SCC_ERR_TEXT,
                    "line %llu: no column \"%s\"; map one with %s=column; "
                    "there are: ", (unsigned long long) line,
                    scc_row_show(show, sizeof(show),
                                 scc_columns_wanted(c, field)),
                    scc_columns_text(field));

    len = (size_t) used;

    for (i = 0; i < c->n && len < SCC_ERR_TEXT; i++) {
        used = snprintf(err->text + len, SCC_ERR_TEXT - len, "%s%s",
                        i ? ", " : "",
                        scc_row_show(show, sizeof(show), name[i]));

        len += (size_t) used;
    }

    if (len >= SCC_ERR_TEXT) {
        memcpy(err->text + SCC_ERR_TEXT - 4, "...", 4);
    }

    return SCC_DECLINED;
}


/*
 * The columns that are no field.  They cannot be merged into an "extra" of
 * the file's own, which is kept byte by byte.
 */

static scc_rc_t
scc_columns_others(scc_columns_t *c, const scc_str_t *name)
{
    bool       extra;
    size_t     i;
    scc_str_t  key;

    extra = false;

    for (i = 0; i < c->n; i++) {
        extra = extra || c->column[i] == SCC_FIELD_EXTRA;
    }

    for (i = 0; i < c->n; i++) {
        key = scc_str_trim(name[i]);

        /* it has no field in a body, but OSM's rules know it in "extra" */

        if (c->column[i] == SCC_FIELD_WHEELCHAIR && !extra) {
            c->column[i] = SCC_COLUMN_EXTRA;
            key = scc_field_name(SCC_FIELD_WHEELCHAIR);
        }

        if (c->column[i] == SCC_COLUMN_EXTRA && extra) {
            c->column[i] = SCC_COLUMN_IGNORED;

            if (c->ignored.used > 0) {
                scc_buf_text(&c->ignored, ", ");
            }

            scc_buf_str(&c->ignored, key);

        } else if (c->column[i] == SCC_COLUMN_EXTRA && key.len == 0) {
            scc_buf_text(&c->names, "column ");
            scc_buf_uint(&c->names, i + 1);

        } else if (c->column[i] == SCC_COLUMN_EXTRA) {
            scc_buf_str(&c->names, key);
        }

        c->name_end[i] = c->names.used;
    }

    return c->names.error || c->ignored.error ? SCC_ERROR : SCC_OK;
}


static scc_rc_t
scc_columns_collect(scc_columns_t *c, size_t i, scc_str_t value,
    scc_import_row_t *row)
{
    size_t     from;
    scc_str_t  name;

    from = i ? c->name_end[i - 1] : 0;

    name.len = c->name_end[i] - from;
    name.data = c->names.start + from;

    if (memchr(value.data, '\0', value.len) || !scc_utf8_valid(value)) {
        return scc_row_reject(row, SCC_REJECT_BAD_VALUE, name,
                              "is not UTF-8 text without NUL; save the file "
                              "as UTF-8");
    }

    scc_buf_byte(&c->extra, c->extra.used ? ',' : '{');
    scc_buf_json(&c->extra, name);
    scc_buf_byte(&c->extra, ':');
    scc_buf_json(&c->extra, value);

    return SCC_OK;
}


static scc_str_t
scc_columns_wanted(const scc_columns_t *c, scc_field_t field)
{
    return c->mapped[field].len ? c->mapped[field] : scc_field_name(field);
}


static const char *
scc_columns_text(unsigned field)
{
    return (const char *) scc_field_name((scc_field_t) field).data;
}
