
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <string.h>

#include "scc_json_object.h"
#include "scc_row.h"


#define SCC_ROW_BUF_MAX      (64 * 1024 * 1024)
#define SCC_ROW_SOURCE_MAX   64
#define SCC_ROW_NUMBER_MAX   64
#define SCC_ROW_FAR          20000000000LL


static scc_rc_t scc_row_identity(const scc_fields_t *f,
    scc_import_row_t *row);
static scc_rc_t scc_row_point(scc_row_t *r, const scc_fields_t *f,
    int32_t *lon, int32_t *lat, scc_import_row_t *row);
static scc_rc_t scc_row_number(const scc_fields_t *f, scc_field_t field,
    int64_t *e7, scc_import_row_t *row);
static bool scc_row_far(scc_str_t s);
static size_t scc_row_digits(scc_str_t s, size_t from);
static bool scc_row_within(const scc_row_t *r, int64_t lon, int64_t lat);
static scc_rc_t scc_row_extra(scc_row_t *r, const scc_fields_t *f,
    scc_import_row_t *row);
static void scc_row_category_tag(scc_row_t *r, scc_str_t category);
static scc_rc_t scc_row_tag(void *ctx, scc_str_t key, scc_str_t value);
static scc_rc_t scc_row_place(scc_row_t *r, const scc_fields_t *f,
    int32_t lon, int32_t lat, scc_import_row_t *row);
static scc_rc_t scc_row_building(scc_row_t *r, const scc_fields_t *f,
    scc_import_row_t *row);
static scc_rc_t scc_row_check_id(const scc_fields_t *f, scc_field_t field,
    scc_import_row_t *row);
static scc_rc_t scc_row_check_text(const scc_fields_t *f, scc_field_t field,
    size_t max, scc_reject_t reject, scc_import_row_t *row);


static const scc_str_t  scc_fields[] = {
    scc_string("id"),
    scc_string("name"),
    scc_string("category"),
    scc_string("lng"),
    scc_string("lat"),
    scc_string("address"),
    scc_string("source"),
    scc_string("extra"),
    scc_string("wheelchair"),
    scc_string("is_closed"),
    scc_string("synthetic"),
    scc_string("is_first_floor"),
    scc_string("floors"),
    scc_string("is_stair_only_option"),
    scc_string("stair_info"),
    scc_string("stair_height_level"),
    scc_string("has_slope"),
    scc_string("entrance_door_types"),
    scc_string("building_id"),
    scc_string("building_name"),
    scc_string("building_address"),
    scc_string("building_entrance_stair_info"),
    scc_string("building_entrance_stair_height_level"),
    scc_string("building_has_slope"),
    scc_string("building_has_elevator"),
    scc_string("building_elevator_stair_info"),
    scc_string("building_elevator_stair_height_level"),
    scc_string("contributor_id"),
    scc_string("contributor_name"),
    scc_null_string
};


static const scc_str_t  scc_row_kinds[] = {
    scc_string("place"),
    scc_string("building"),
    scc_string("place_accessibility"),
    scc_string("building_accessibility")
};


void
scc_row_init(scc_row_t *r)
{
    memset(r, 0, sizeof(scc_row_t));

    scc_buf_heap(&r->out, SCC_ROW_BUF_MAX);
    scc_buf_heap(&r->tags, SCC_ROW_BUF_MAX);
    scc_buf_heap(&r->text, SCC_ROW_BUF_MAX);
    scc_buf_heap(&r->osm, SCC_ROW_BUF_MAX);
}


void
scc_row_free(scc_row_t *r)
{
    scc_buf_free(&r->out);
    scc_buf_free(&r->tags);
    scc_buf_free(&r->text);
    scc_buf_free(&r->osm);
}


scc_str_t
scc_field_name(scc_field_t field)
{
    return scc_fields[field < SCC_FIELDS ? field : SCC_FIELDS];
}


scc_field_t
scc_field_find(scc_str_t name)
{
    unsigned  i;

    for (i = 0; i < SCC_FIELDS; i++) {

        if (scc_str_eq(name, scc_fields[i])) {
            break;
        }
    }

    return (scc_field_t) i;
}


scc_rc_t
scc_row_build(scc_row_t *r, const scc_fields_t *f, scc_import_row_t *row)
{
    size_t    from;
    int32_t   lon = 0, lat = 0;
    unsigned  i;
    scc_rc_t  rc;

    scc_buf_reset(&r->out);
    scc_buf_reset(&r->tags);
    scc_buf_reset(&r->text);

    row->id = f->value[SCC_FIELD_ID];
    row->reject = SCC_REJECT_NONE;
    row->n = 0;
    row->field.len = 0;
    row->field.data = NULL;
    row->text[0] = '\0';
    row->contributor_id = f->value[SCC_FIELD_CONTRIBUTOR_ID];
    row->contributor_name = f->value[SCC_FIELD_CONTRIBUTOR_NAME];

    if ((rc = scc_row_identity(f, row)) != SCC_OK
        || (rc = scc_row_point(r, f, &lon, &lat, row)) != SCC_OK
        || (rc = scc_row_place(r, f, lon, lat, row)) != SCC_OK
        || (rc = scc_row_building(r, f, row)) != SCC_OK
        || (rc = scc_row_access(r, f, row)) != SCC_OK
        || (rc = scc_row_building_access(r, f, row)) != SCC_OK)
    {
        row->n = 0;
        row->contributor_id.len = 0;
        row->contributor_name.len = 0;

        return rc == SCC_DECLINED ? SCC_OK : rc;
    }

    if (r->out.error) {
        return SCC_ERROR;
    }

    from = 0;

    for (i = 0; i < row->n; i++) {
        row->body[i].body.data = r->out.start + from;
        from += row->body[i].body.len;
    }

    return SCC_OK;
}


scc_rc_t
scc_row_reject(scc_import_row_t *row, scc_reject_t reject, scc_str_t field,
    const char *text)
{
    row->reject = reject;
    row->n = 0;
    row->field = field;

    (void) snprintf(row->text, SCC_ERR_TEXT, "%s", text);

    return SCC_DECLINED;
}


char *
scc_row_show(char *dst, size_t size, scc_str_t s)
{
    size_t   i, n;
    uint8_t  ch;

    n = (s.len < size) ? s.len : size - 1;

    for (i = 0; i < n; i++) {
        ch = s.data[i];
        dst[i] = (ch >= 0x20 && ch < 0x7f) ? (char) ch : '?';
    }

    dst[n] = '\0';

    if (n < s.len && n >= 3) {
        memcpy(dst + n - 3, "...", 3);
    }

    return dst;
}


scc_rc_t
scc_row_bad(const scc_fields_t *f, scc_field_t field, scc_reject_t reject,
    const char *text, scc_import_row_t *row)
{
    char  all[SCC_ERR_TEXT], value[33];

    (void) snprintf(all, sizeof(all), "\"%s\" %s",
                    scc_row_show(value, sizeof(value), f->value[field]),
                    text);

    return scc_row_reject(row, reject, scc_fields[field], all);
}


void
scc_row_body(scc_row_t *r, scc_import_row_t *row, scc_import_kind_t kind,
    scc_str_t target)
{
    size_t              from;
    unsigned            i;
    scc_import_body_t  *body;

    from = 0;

    for (i = 0; i < row->n; i++) {
        from += row->body[i].body.len;
    }

    body = &row->body[row->n++];

    body->kind = kind;
    body->kind_name = scc_row_kinds[kind];
    body->target = target;
    body->body.len = r->out.used - from;
    body->body.data = NULL;                 /* r->out may still move */
}


void
scc_row_text(scc_buf_t *b, const char *name, scc_str_t value)
{
    if (value.len == 0) {
        return;
    }

    scc_buf_text(b, ",\"");
    scc_buf_text(b, name);
    scc_buf_text(b, "\":");
    scc_buf_json(b, value);
}


void
scc_row_bool(scc_buf_t *b, const char *name, scc_tri_t tri)
{
    if (tri == SCC_UNKNOWN) {
        return;
    }

    scc_buf_text(b, ",\"");
    scc_buf_text(b, name);
    scc_buf_text(b, tri == SCC_YES ? "\":true" : "\":false");
}


scc_rc_t
scc_row_tri(const scc_fields_t *f, scc_field_t field, scc_tri_t *tri,
    scc_import_row_t *row)
{
    unsigned   i, k;
    scc_str_t  s;

    static const struct {
        const char  *word;
        scc_tri_t    tri;
    } words[] = {
        { "true", SCC_YES }, { "false", SCC_NO },
        { "yes", SCC_YES }, { "no", SCC_NO },
        { "t", SCC_YES }, { "f", SCC_NO },
        { "1", SCC_YES }, { "0", SCC_NO },
        { "unknown", SCC_UNKNOWN }, { "null", SCC_UNKNOWN },
        { "", SCC_UNKNOWN }, { NULL, SCC_UNKNOWN }
    };

    s = scc_str_trim(f->value[field]);

    for (i = 0; words[i].word; i++) {

        if (strlen(words[i].word) != s.len) {
            continue;
        }

        for (k = 0; k < s.len; k++) {

            if ((uint8_t) words[i].word[k] != (s.data[k] | 0x20)) {
                break;
            }
        }

        if (k == s.len) {
            *tri = words[i].tri;
            return SCC_OK;
        }
    }

    return scc_row_bad(f, field, SCC_REJECT_BAD_VALUE,
                       "is not yes or no; write true, false, or nothing if "
                       "it is unknown", row);
}


bool
scc_row_is(scc_str_t s, const char *text)
{
    size_t  len;

    len = strlen(text);

    return s.len == len && memcmp(s.data, text, len) == 0;
}


static scc_rc_t
scc_row_identity(const scc_fields_t *f, scc_import_row_t *row)
{
    scc_rc_t  rc;

    if (f->value[SCC_FIELD_ID].len == 0) {
        return scc_row_reject(row, SCC_REJECT_MISSING,
                              scc_fields[SCC_FIELD_ID],
                              "is empty; every place needs an id of its own");
    }

    if ((rc = scc_row_check_id(f, SCC_FIELD_ID, row)) != SCC_OK
        || (rc = scc_row_check_text(f, SCC_FIELD_NAME, SCC_NAME_MAX,
                                    SCC_REJECT_BAD_NAME, row)) != SCC_OK)
    {
        return rc;
    }

    return SCC_OK;
}


static scc_rc_t
scc_row_point(scc_row_t *r, const scc_fields_t *f, int32_t *lon,
    int32_t *lat, scc_import_row_t *row)
{
    bool         lng_in;
    int64_t      x, y;
    scc_rc_t     rc;
    scc_field_t  field;

    x = f->lon;
    y = f->lat;

    if (!f->point
        && ((rc = scc_row_number(f, SCC_FIELD_LNG, &x, row)) != SCC_OK
            || (rc = scc_row_number(f, SCC_FIELD_LAT, &y, row)) != SCC_OK))
    {
        return rc;
    }

    if (scc_row_within(r, x, y)) {
        *lon = (int32_t) x;
        *lat = (int32_t) y;
        return SCC_OK;
    }

    if (scc_row_within(r, y, x)) {
        return scc_row_reject(row, SCC_REJECT_SWAPPED,
                              scc_fields[SCC_FIELD_LNG],
                              "lng and lat are exchanged; write the "
                              "longitude as lng, the latitude as lat");
    }

    lng_in = x >= -SCC_LON_MAX && x <= SCC_LON_MAX;
    field = lng_in ? SCC_FIELD_LAT : SCC_FIELD_LNG;

    if (lng_in && y >= -SCC_LAT_MAX && y <= SCC_LAT_MAX) {
        return scc_row_reject(row, SCC_REJECT_OUT_OF_RANGE,
                              scc_fields[SCC_FIELD_LNG],
                              "the point is outside the bounds; correct lng "
                              "and lat, or widen the bounds");
    }

    return scc_row_reject(row, SCC_REJECT_OUT_OF_RANGE, scc_fields[field],
                          lng_in ? "is beyond -90..90 degrees; correct it"
                                 : "is beyond -180..180 degrees; correct it");
}


static scc_rc_t
scc_row_number(const scc_fields_t *f, scc_field_t field, int64_t *e7,
    scc_import_row_t *row)
{
    scc_str_t  s;

    s = scc_str_trim(f->value[field]);

    if (s.len == 0) {
        return scc_row_reject(row, SCC_REJECT_MISSING, scc_fields[field],
                              "is empty; every place needs a point in "
                              "degrees");
    }

    if (scc_e7_parse(s, SCC_E7_NEAREST, e7) == SCC_OK) {
        return SCC_OK;
    }

    if (scc_row_far(s)) {
        *e7 = SCC_ROW_FAR;
        return SCC_OK;
    }

    return scc_row_bad(f, field, SCC_REJECT_NOT_A_NUMBER,
                       "is not a number; write degrees as 126.97", row);
}


/* A number that was refused, so it is only too large to be a coordinate. */

static bool
scc_row_far(scc_str_t s)
{
    size_t  i, n, m;

    i = (s.data[0] == '-' || s.data[0] == '+') ? 1 : 0;

    n = scc_row_digits(s, i);
    i += n;
    m = 0;

    if (i < s.len && s.data[i] == '.') {
        m = scc_row_digits(s, i + 1);
        i += m + 1;
    }

    if (n + m == 0) {
        return false;
    }

    if (i < s.len && (s.data[i] | 0x20) == 'e') {
        i++;

        if (i < s.len && (s.data[i] == '-' || s.data[i] == '+')) {
            i++;
        }

        n = scc_row_digits(s, i);

        if (n == 0) {
            return false;
        }

        i += n;
    }

    return i == s.len && s.len <= SCC_ROW_NUMBER_MAX;
}


static size_t
scc_row_digits(scc_str_t s, size_t from)
{
    size_t  i;

    for (i = from; i < s.len && s.data[i] >= '0' && s.data[i] <= '9'; i++) {
        /* void */
    }

    return i - from;
}


static bool
scc_row_within(const scc_row_t *r, int64_t lon, int64_t lat)
{
    if (lon < -SCC_LON_MAX || lon > SCC_LON_MAX
        || lat < -SCC_LAT_MAX || lat > SCC_LAT_MAX)
    {
        return false;
    }

    return !r->bounded
           || scc_area_has(&r->bounds, (int32_t) lon, (int32_t) lat);
}


/*
 * Checks "extra"; for OSM's objects collects their tags: those of extra,
 * and the columns that stand for one.
 */

static scc_rc_t
scc_row_extra(scc_row_t *r, const scc_fields_t *f, scc_import_row_t *row)
{
    bool       osm;
    char       text[SCC_ERR_TEXT];
    scc_rc_t   rc;
    scc_str_t  source, extra, value, wheelchair = scc_string("wheelchair");
    scc_err_t  err;

    source = f->value[SCC_FIELD_SOURCE];

    osm = (source.len >= 3 && memcmp(source.data, "osm", 3) == 0)
          || scc_osm_id(f->value[SCC_FIELD_ID]);

    value = scc_str_trim(f->value[SCC_FIELD_WHEELCHAIR]);

    if (osm && value.len > 0) {
        (void) scc_row_tag(r, wheelchair, value);
    }

    extra = f->value[SCC_FIELD_EXTRA];

    if (extra.len > 0) {
        rc = scc_json_object(extra, osm ? scc_row_tag : NULL, r, &err);

        if (rc == SCC_DECLINED) {
            (void) snprintf(text, sizeof(text), "%.200s", err.text);

            return scc_row_reject(row, SCC_REJECT_BAD_JSON,
                                  scc_fields[SCC_FIELD_EXTRA], text);
        }

        if (rc != SCC_OK) {
            return rc;
        }
    }

    if (osm) {
        scc_row_category_tag(r, f->value[SCC_FIELD_CATEGORY]);
    }

    return r->tags.error || r->text.error ? SCC_ERROR : SCC_OK;
}


/* "railway=station" */

static void
scc_row_category_tag(scc_row_t *r, scc_str_t category)
{
    size_t     i;
    scc_str_t  key, value;

    for (i = 0; i < category.len; i++) {

        if (category.data[i] == '=') {
            key.len = i;
            key.data = category.data;

            value.len = category.len - i - 1;
            value.data = category.data + i + 1;

            (void) scc_row_tag(r, key, value);
            return;
        }
    }
}


static scc_rc_t
scc_row_tag(void *ctx, scc_str_t key, scc_str_t value)
{
    uint8_t       *p;
    scc_row_t     *r = ctx;
    scc_row_tag_t  tag;

    tag.key = r->text.used;
    tag.key_len = key.len;
    scc_buf_str(&r->text, key);

    tag.value = r->text.used;
    tag.value_len = value.len;
    scc_buf_str(&r->text, value);

    p = scc_buf_reserve(&r->tags, sizeof(scc_row_tag_t));

    if (p) {
        memcpy(p, &tag, sizeof(scc_row_tag_t));
    }

    return SCC_OK;
}


static scc_rc_t
scc_row_place(scc_row_t *r, const scc_fields_t *f, int32_t lon, int32_t lat,
    scc_import_row_t *row)
{
    scc_rc_t    rc;
    scc_str_t   extra;
    scc_buf_t  *b;
    scc_tri_t   closed, synthetic;

    if ((rc = scc_row_check_text(f, SCC_FIELD_CATEGORY, SCC_CATEGORY_MAX,
                                 SCC_REJECT_BAD_VALUE, row)) != SCC_OK
        || (rc = scc_row_check_text(f, SCC_FIELD_ADDRESS, SCC_ADDRESS_MAX,
                                    SCC_REJECT_BAD_VALUE, row)) != SCC_OK
        || (rc = scc_row_check_text(f, SCC_FIELD_SOURCE, SCC_ROW_SOURCE_MAX,
                                    SCC_REJECT_BAD_VALUE, row)) != SCC_OK
        || (rc = scc_row_check_id(f, SCC_FIELD_BUILDING_ID, row)) != SCC_OK
        || (rc = scc_row_check_id(f, SCC_FIELD_CONTRIBUTOR_ID, row))
           != SCC_OK
        || (rc = scc_row_check_text(f, SCC_FIELD_CONTRIBUTOR_NAME,
                                    SCC_NAME_MAX, SCC_REJECT_BAD_NAME, row))
           != SCC_OK
        || (rc = scc_row_tri(f, SCC_FIELD_IS_CLOSED, &closed, row))
           != SCC_OK
        || (rc = scc_row_tri(f, SCC_FIELD_SYNTHETIC, &synthetic, row))
           != SCC_OK)
    {
        return rc;
    }

    if (row->contributor_name.len > 0 && row->contributor_id.len == 0) {
        return scc_row_reject(row, SCC_REJECT_MISSING,
                              scc_fields[SCC_FIELD_CONTRIBUTOR_ID],
                              "is empty, but there is a contributor_name; "
                              "give both or none");
    }

    if (!f->point) {
        rc = scc_row_extra(r, f, row);

        if (rc != SCC_OK) {
            return rc;
        }
    }

    b = &r->out;

    scc_buf_text(b, "{\"placeId\":");
    scc_buf_json(b, f->value[SCC_FIELD_ID]);
    scc_buf_text(b, ",\"name\":");
    scc_buf_json(b, f->value[SCC_FIELD_NAME]);
    scc_buf_text(b, ",\"location\":{\"lng\":");
    scc_buf_e7(b, lon);
    scc_buf_text(b, ",\"lat\":");
    scc_buf_e7(b, lat);
    scc_buf_byte(b, '}');

    scc_row_text(b, "category", f->value[SCC_FIELD_CATEGORY]);
    scc_row_text(b, "address", f->value[SCC_FIELD_ADDRESS]);
    scc_row_text(b, "buildingId", f->value[SCC_FIELD_BUILDING_ID]);
    scc_row_text(b, "source", f->value[SCC_FIELD_SOURCE]);
    scc_row_bool(b, "isClosed", closed);
    scc_row_bool(b, "synthetic", synthetic);

    extra = f->value[SCC_FIELD_EXTRA];

    if (extra.len > 0 && !scc_row_is(extra, "{}")) {
        scc_buf_text(b, ",\"extra\":");
        scc_buf_str(b, extra);
    }

    scc_buf_byte(b, '}');

    scc_row_body(r, row, SCC_IMPORT_PLACE, f->value[SCC_FIELD_ID]);

    return SCC_OK;
}


static scc_rc_t
scc_row_building(scc_row_t *r, const scc_fields_t *f, scc_import_row_t *row)
{
    unsigned    i;
    scc_rc_t    rc;
    scc_buf_t  *b;

    if (f->value[SCC_FIELD_BUILDING_ID].len == 0) {

        for (i = SCC_FIELD_BUILDING_NAME;
             i <= SCC_FIELD_BUILDING_ELEVATOR_STAIR_HEIGHT_LEVEL;
             i++)
        {
            if (scc_str_trim(f->value[i]).len > 0) {
                return scc_row_reject(row, SCC_REJECT_MISSING,
                                      scc_fields[SCC_FIELD_BUILDING_ID],
                                      "is empty, but the row tells of a "
                                      "building; give it an id");
            }
        }

        return SCC_OK;
    }

    if ((rc = scc_row_check_text(f, SCC_FIELD_BUILDING_NAME, SCC_NAME_MAX,
                                 SCC_REJECT_BAD_NAME, row)) != SCC_OK
        || (rc = scc_row_check_text(f, SCC_FIELD_BUILDING_ADDRESS,
                                    SCC_ADDRESS_MAX, SCC_REJECT_BAD_VALUE,
                                    row)) != SCC_OK)
    {
        return rc;
    }

    b = &r->out;

    scc_buf_text(b, "{\"buildingId\":");
    scc_buf_json(b, f->value[SCC_FIELD_BUILDING_ID]);
    scc_row_text(b, "name", f->value[SCC_FIELD_BUILDING_NAME]);
    scc_row_text(b, "address", f->value[SCC_FIELD_BUILDING_ADDRESS]);
    scc_buf_byte(b, '}');

    scc_row_body(r, row, SCC_IMPORT_BUILDING,
                 f->value[SCC_FIELD_BUILDING_ID]);

    return SCC_OK;
}


static scc_rc_t
scc_row_check_id(const scc_fields_t *f, scc_field_t field,
    scc_import_row_t *row)
{
    scc_str_t  s;

    s = f->value[field];

    if (s.len > SCC_ID_MAX) {
        return scc_row_bad(f, field, SCC_REJECT_BAD_ID,
                           "is longer than 64 bytes; shorten it", row);
    }

    if (s.len > 0 && (memchr(s.data, '\0', s.len) || !scc_utf8_valid(s))) {
        return scc_row_bad(f, field, SCC_REJECT_BAD_ID,
                           "is not UTF-8 text without NUL; save the file as "
                           "UTF-8", row);
    }

    return SCC_OK;
}


static scc_rc_t
scc_row_check_text(const scc_fields_t *f, scc_field_t field, size_t max,
    scc_reject_t reject, scc_import_row_t *row)
{
    char       text[64];
    scc_str_t  s;

    s = f->value[field];

    if (s.len > max) {
        (void) snprintf(text, sizeof(text),
                        "is longer than %zu bytes; shorten it", max);

        return scc_row_bad(f, field, reject, text, row);
    }

    if (s.len > 0 && (memchr(s.data, '\0', s.len) || !scc_utf8_valid(s))) {
        return scc_row_bad(f, field, reject,
                           "is not UTF-8 text without NUL; save the file as "
                           "UTF-8", row);
    }

    return SCC_OK;
}
