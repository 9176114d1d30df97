
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_row.h"


#define SCC_ROW_FLOOR_DIGITS  3


typedef struct {
    scc_stair_t   stair;
    scc_height_t  height;
} scc_row_stair_t;


static scc_rc_t scc_row_osm(scc_row_t *r, const scc_fields_t *f,
    scc_import_row_t *row);
static scc_rc_t scc_row_stair(const scc_fields_t *f, scc_field_t stair,
    scc_field_t height, scc_row_stair_t *s, scc_import_row_t *row);
static scc_rc_t scc_row_floors(scc_buf_t *b, const scc_fields_t *f,
    scc_import_row_t *row);
static bool scc_row_floor(scc_buf_t *b, scc_str_t item);
static scc_rc_t scc_row_doors(scc_buf_t *b, const scc_fields_t *f,
    scc_import_row_t *row);
static unsigned scc_row_door(scc_str_t item);
static bool scc_row_item(scc_str_t *list, scc_str_t *item);
static bool scc_row_any(const scc_fields_t *f, scc_field_t first,
    scc_field_t last);


/* "None" excludes the others. */

static const char * const  scc_row_door_types[] = {
    "None", "Hinged", "Sliding", "Revolving", "Automatic", "ETC", NULL
};


scc_rc_t
scc_row_access(scc_row_t *r, const scc_fields_t *f, scc_import_row_t *row)
{
    scc_rc_t          rc;
    scc_buf_t        *b;
    scc_tri_t         first_floor, stair_only, slope;
    scc_row_stair_t   s;

    if (!scc_row_any(f, SCC_FIELD_IS_FIRST_FLOOR,
                     SCC_FIELD_ENTRANCE_DOOR_TYPES))
    {
        return scc_row_osm(r, f, row);
    }

    if ((rc = scc_row_tri(f, SCC_FIELD_IS_FIRST_FLOOR, &first_floor, row))
        != SCC_OK
        || (rc = scc_row_tri(f, SCC_FIELD_IS_STAIR_ONLY_OPTION, &stair_only,
                             row)) != SCC_OK
        || (rc = scc_row_tri(f, SCC_FIELD_HAS_SLOPE, &slope, row)) != SCC_OK
        || (rc = scc_row_stair(f, SCC_FIELD_STAIR_INFO,
                               SCC_FIELD_STAIR_HEIGHT_LEVEL, &s, row))
           != SCC_OK)
    {
        return rc;
    }

    b = &r->out;

    scc_buf_text(b, "{\"placeId\":");
    scc_buf_json(b, f->value[SCC_FIELD_ID]);
    scc_row_text(b, "stairInfo", scc_stair_name(s.stair));
    scc_row_bool(b, "isFirstFloor", first_floor);

    rc = scc_row_floors(b, f, row);

    if (rc != SCC_OK) {
        return rc;
    }

    scc_row_bool(b, "isStairOnlyOption", stair_only);
    scc_row_text(b, "stairHeightLevel", scc_height_name(s.height));
    scc_row_bool(b, "hasSlope", slope);

    rc = scc_row_doors(b, f, row);

    if (rc != SCC_OK) {
        return rc;
    }

    scc_buf_byte(b, '}');

    scc_row_body(r, row, SCC_IMPORT_PLACE_ACCESSIBILITY,
                 f->value[SCC_FIELD_ID]);

    return SCC_OK;
}


scc_rc_t
scc_row_building_access(scc_row_t *r, const scc_fields_t *f,
    scc_import_row_t *row)
{
    scc_rc_t          rc;
    scc_buf_t        *b;
    scc_tri_t         slope, elevator;
    scc_row_stair_t   entrance, lift;

    if (!scc_row_any(f, SCC_FIELD_BUILDING_ENTRANCE_STAIR_INFO,
                     SCC_FIELD_BUILDING_ELEVATOR_STAIR_HEIGHT_LEVEL))
    {
        return SCC_OK;
    }

    if ((rc = scc_row_tri(f, SCC_FIELD_BUILDING_HAS_SLOPE, &slope, row))
        != SCC_OK
        || (rc = scc_row_tri(f, SCC_FIELD_BUILDING_HAS_ELEVATOR, &elevator,
                             row)) != SCC_OK
        || (rc = scc_row_stair(f, SCC_FIELD_BUILDING_ENTRANCE_STAIR_INFO,
                             SCC_FIELD_BUILDING_ENTRANCE_STAIR_HEIGHT_LEVEL,
                             &entrance, row)) != SCC_OK
        || (rc = scc_row_stair(f, SCC_FIELD_BUILDING_ELEVATOR_STAIR_INFO,
                             SCC_FIELD_BUILDING_ELEVATOR_STAIR_HEIGHT_LEVEL,
                             &lift, row)) != SCC_OK)
    {
        return rc;
    }

    if (elevator == SCC_NO && lift.stair != SCC_STAIR_UNDEFINED) {
        return scc_row_bad(f, SCC_FIELD_BUILDING_ELEVATOR_STAIR_INFO,
                           SCC_REJECT_BAD_VALUE,
                           "tells of the stairs to an elevator, but "
                           "building_has_elevator is no; correct one", row);
    }

    b = &r->out;

    scc_buf_text(b, "{\"buildingId\":");
    scc_buf_json(b, f->value[SCC_FIELD_BUILDING_ID]);
    scc_row_text(b, "entranceStairInfo", scc_stair_name(entrance.stair));
    scc_row_bool(b, "hasElevator", elevator);
    scc_row_bool(b, "hasSlope", slope);
    scc_row_text(b, "entranceStairHeightLevel",
                 scc_height_name(entrance.height));
    scc_row_text(b, "elevatorStairInfo", scc_stair_name(lift.stair));
    scc_row_text(b, "elevatorStairHeightLevel",
                 scc_height_name(lift.height));
    scc_buf_byte(b, '}');

    scc_row_body(r, row, SCC_IMPORT_BUILDING_ACCESSIBILITY,
                 f->value[SCC_FIELD_BUILDING_ID]);

    return SCC_OK;
}


static scc_rc_t
scc_row_osm(scc_row_t *r, const scc_fields_t *f, scc_import_row_t *row)
{
    size_t             i, n;
    uint8_t           *p;
    scc_buf_t         *b;
    scc_osm_tag_t      tag;
    scc_row_tag_t      at;
    scc_osm_access_t   access;

    if (f->tags) {
        scc_osm_access(f->tags, f->n_tags, &access);

    } else {
        scc_buf_reset(&r->osm);
        n = r->tags.used / sizeof(scc_row_tag_t);

        for (i = 0; i < n; i++) {
            memcpy(&at, r->tags.start + i * sizeof(scc_row_tag_t),
                   sizeof(scc_row_tag_t));

            tag.key.len = at.key_len;
            tag.key.data = r->text.start + at.key;
            tag.value.len = at.value_len;
            tag.value.data = r->text.start + at.value;

            p = scc_buf_reserve(&r->osm, sizeof(scc_osm_tag_t));
            if (p == NULL) {
                return SCC_ERROR;
            }

            memcpy(p, &tag, sizeof(scc_osm_tag_t));
        }

        scc_osm_access((scc_osm_tag_t *) (void *) r->osm.start, n, &access);
    }

    if (!scc_osm_access_known(&access)) {
        return SCC_OK;
    }

    b = &r->out;

    scc_buf_text(b, "{\"placeId\":");
    scc_buf_json(b, f->value[SCC_FIELD_ID]);
    scc_row_text(b, "stairInfo", scc_stair_name(access.stair));
    scc_row_bool(b, "isFirstFloor", access.first_floor);
    scc_row_bool(b, "hasSlope", access.slope);

    if (access.automatic_door) {
        scc_buf_text(b, ",\"entranceDoorTypes\":[\"Automatic\"]");
    }

    scc_buf_byte(b, '}');

    scc_row_body(r, row, SCC_IMPORT_PLACE_ACCESSIBILITY,
                 f->value[SCC_FIELD_ID]);

    return SCC_OK;
}


static scc_rc_t
scc_row_stair(const scc_fields_t *f, scc_field_t stair, scc_field_t height,
    scc_row_stair_t *s, scc_import_row_t *row)
{
    scc_str_t  text;

    s->stair = SCC_STAIR_UNDEFINED;
    s->height = SCC_HEIGHT_UNKNOWN;

    text = scc_str_trim(f->value[stair]);

    if (text.len > 0 && scc_stair_parse(text, &s->stair) != SCC_OK) {
        return scc_row_bad(f, stair, SCC_REJECT_BAD_VALUE,
                           "is not one of UNDEFINED, NONE, ONE, TWO_TO_FIVE, "
                           "OVER_SIX", row);
    }

    text = scc_str_trim(f->value[height]);

    if (text.len == 0) {
        return SCC_OK;
    }

    if (scc_height_parse(text, &s->height) != SCC_OK) {
        return scc_row_bad(f, height, SCC_REJECT_BAD_VALUE,
                           "is not one of HALF_THUMB, THUMB, OVER_THUMB",
                           row);
    }

    if (s->stair != SCC_STAIR_ONE) {
        return scc_row_bad(f, height, SCC_REJECT_BAD_VALUE,
                           "is the height of a single stair; the stair info "
                           "must be ONE, or leave it empty", row);
    }

    return SCC_OK;
}


static scc_rc_t
scc_row_floors(scc_buf_t *b, const scc_fields_t *f, scc_import_row_t *row)
{
    bool       first;
    scc_str_t  list, item;

    first = true;
    list = f->value[SCC_FIELD_FLOORS];

    while (scc_row_item(&list, &item)) {

        scc_buf_text(b, first ? ",\"floors\":[" : ",");
        first = false;

        if (!scc_row_floor(b, item)) {
            return scc_row_bad(f, SCC_FIELD_FLOORS, SCC_REJECT_BAD_VALUE,
                               "is not a list of floors; write whole "
                               "numbers of at most 3 digits as 1;2", row);
        }
    }

    if (!first) {
        scc_buf_byte(b, ']');
    }

    return SCC_OK;
}


static bool
scc_row_floor(scc_buf_t *b, scc_str_t item)
{
    size_t   i, from;
    int64_t  n;

    from = (item.data[0] == '-') ? 1 : 0;

    if (item.len == from || item.len - from > SCC_ROW_FLOOR_DIGITS) {
        return false;
    }

    n = 0;

    for (i = from; i < item.len; i++) {

        if (item.data[i] < '0' || item.data[i] > '9') {
            return false;
        }

        n = n * 10 + (item.data[i] - '0');
    }

    scc_buf_int(b, from ? -n : n);

    return true;
}


static scc_rc_t
scc_row_doors(scc_buf_t *b, const scc_fields_t *f, scc_import_row_t *row)
{
    unsigned   seen, n, type;
    scc_str_t  list, item;

    n = 0;
    seen = 0;
    list = f->value[SCC_FIELD_ENTRANCE_DOOR_TYPES];

    while (scc_row_item(&list, &item)) {

        type = scc_row_door(item);

        if (scc_row_door_types[type] == NULL) {
            return scc_row_bad(f, SCC_FIELD_ENTRANCE_DOOR_TYPES,
                               SCC_REJECT_BAD_VALUE,
                               "is not a list of None, Hinged, Sliding, "
                               "Revolving, Automatic, ETC, separated by ';'",
                               row);
        }

        if (seen & 1u << type || seen & 1 || (type == 0 && n > 0)) {
            return scc_row_bad(f, SCC_FIELD_ENTRANCE_DOOR_TYPES,
                               SCC_REJECT_BAD_VALUE,
                               "names a type twice, or None with another; "
                               "leave one out", row);
        }

        scc_buf_text(b, n ? "," : ",\"entranceDoorTypes\":[");
        scc_buf_json(b, item);

        seen |= 1u << type;
        n++;
    }

    if (n > 0) {
        scc_buf_byte(b, ']');
    }

    return SCC_OK;
}


static unsigned
scc_row_door(scc_str_t item)
{
    unsigned  i;

    for (i = 0; scc_row_door_types[i]; i++) {

        if (scc_row_is(item, scc_row_door_types[i])) {
            break;
        }
    }

    return i;
}


/*
 * Takes the next item that is not empty off a list separated by ';' or,
 * as SCC's own columns are, by ",,"; a single comma does too.
 */

static bool
scc_row_item(scc_str_t *list, scc_str_t *item)
{
    size_t  i;

    while (list->len > 0) {

        for (i = 0; i < list->len; i++) {

            if (list->data[i] == ';' || list->data[i] == ',') {
                break;
            }
        }

        item->len = i;
        item->data = list->data;
        *item = scc_str_trim(*item);

        i += (i < list->len);
        list->data += i;
        list->len -= i;

        if (item->len > 0) {
            return true;
        }
    }

    return false;
}


static bool
scc_row_any(const scc_fields_t *f, scc_field_t first, scc_field_t last)
{
    unsigned  i;

    for (i = first; i <= (unsigned) last; i++) {

        if (scc_str_trim(f->value[i]).len > 0) {
            return true;
        }
    }

    return false;
}
