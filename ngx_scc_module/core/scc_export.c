
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_export.h"

#include <string.h>


/* Of scc.export. */

enum {
    SCC_EXPORT_ID = 0,
    SCC_EXPORT_NAME,
    SCC_EXPORT_CATEGORY,
    SCC_EXPORT_ADDRESS,
    SCC_EXPORT_LON,
    SCC_EXPORT_LAT,
    SCC_EXPORT_REGISTERED,
    SCC_EXPORT_FIRST_FLOOR,
    SCC_EXPORT_FLOORS,
    SCC_EXPORT_STAIR_ONLY,
    SCC_EXPORT_STAIR,
    SCC_EXPORT_HEIGHT,
    SCC_EXPORT_SLOPE,
    SCC_EXPORT_DOORS,
    SCC_EXPORT_BUILDING_ID,
    SCC_EXPORT_BUILDING_REGISTERED,
    SCC_EXPORT_ENTRANCE_STAIR,
    SCC_EXPORT_ENTRANCE_HEIGHT,
    SCC_EXPORT_BUILDING_DOORS,
    SCC_EXPORT_BUILDING_SLOPE,
    SCC_EXPORT_ELEVATOR,
    SCC_EXPORT_ELEVATOR_STAIR,
    SCC_EXPORT_ELEVATOR_HEIGHT,
    SCC_EXPORT_SOURCE,
    SCC_EXPORT_SYNTHETIC,
    SCC_EXPORT_UPDATED_AT,
};


static scc_rc_t scc_export_flag(scc_str_t text, bool *flag);
static scc_rc_t scc_export_tri(scc_str_t text, scc_tri_t *tri);
static scc_rc_t scc_export_stair(scc_str_t text, scc_stair_t *stair);
static scc_rc_t scc_export_e7(scc_str_t text, int32_t max, int32_t *e7);
static bool scc_export_item(scc_str_t *list, scc_str_t *item);
static bool scc_export_integers(scc_str_t list);
static void scc_export_text(scc_buf_t *b, const char *key, scc_str_t value);
static void scc_export_bool(scc_buf_t *b, const char *key, scc_tri_t value);
static void scc_export_list(scc_buf_t *b, const char *key, scc_str_t list,
    bool numbers);
static void scc_export_cell(scc_buf_t *b, scc_str_t s);
static void scc_export_cell_tri(scc_buf_t *b, scc_tri_t value);
static scc_str_t scc_export_cell_stair(bool registered, scc_stair_t stair);


const char  scc_export_csv_names[] =
    "id,name,category,lng,lat,address,building_id,source,synthetic,"
    "level,registered,stair_info,stair_height_level,has_slope,"
    "is_first_floor,floors,is_stair_only_option,entrance_door_types,"
    "building_registered,building_entrance_stair_info,"
    "building_entrance_stair_height_level,building_entrance_door_types,"
    "building_has_slope,building_has_elevator,building_elevator_stair_info,"
    "building_elevator_stair_height_level,updated_at";


scc_rc_t
scc_export_row(const scc_str_t *column, scc_export_t *e)
{
    scc_place_t  *p;

    memset(e, 0, sizeof(scc_export_t));

    p = &e->place;

    p->id = column[SCC_EXPORT_ID];
    p->name = column[SCC_EXPORT_NAME];
    p->category = column[SCC_EXPORT_CATEGORY];
    p->address = column[SCC_EXPORT_ADDRESS];

    e->floors = column[SCC_EXPORT_FLOORS];
    e->doors = column[SCC_EXPORT_DOORS];
    e->building_id = column[SCC_EXPORT_BUILDING_ID];
    e->building_doors = column[SCC_EXPORT_BUILDING_DOORS];
    e->source = column[SCC_EXPORT_SOURCE];
    e->updated_at = column[SCC_EXPORT_UPDATED_AT];

    if (p->id.len == 0
        || p->id.len > SCC_ID_MAX
        || e->updated_at.len == 0
        || !scc_export_integers(e->floors)
        || scc_export_e7(column[SCC_EXPORT_LON], 1800000000, &p->lon)
           != SCC_OK
        || scc_export_e7(column[SCC_EXPORT_LAT], 900000000, &p->lat)
           != SCC_OK
        || scc_export_flag(column[SCC_EXPORT_REGISTERED], &p->registered)
           != SCC_OK
        || scc_export_flag(column[SCC_EXPORT_BUILDING_REGISTERED],
                           &p->building_registered)
           != SCC_OK
        || scc_export_flag(column[SCC_EXPORT_SYNTHETIC], &e->synthetic)
           != SCC_OK)
    {
        return SCC_DECLINED;
    }

    if (scc_export_tri(column[SCC_EXPORT_FIRST_FLOOR], &p->first_floor)
        != SCC_OK
        || scc_export_tri(column[SCC_EXPORT_STAIR_ONLY], &e->stair_only)
           != SCC_OK
        || scc_export_tri(column[SCC_EXPORT_SLOPE], &p->slope) != SCC_OK
        || scc_export_tri(column[SCC_EXPORT_BUILDING_SLOPE],
                          &p->building_slope)
           != SCC_OK
        || scc_export_tri(column[SCC_EXPORT_ELEVATOR], &p->elevator)
           != SCC_OK)
    {
        return SCC_DECLINED;
    }

    if (scc_export_stair(column[SCC_EXPORT_STAIR], &p->stair) != SCC_OK
        || scc_export_stair(column[SCC_EXPORT_ENTRANCE_STAIR],
                            &p->entrance_stair)
           != SCC_OK
        || scc_export_stair(column[SCC_EXPORT_ELEVATOR_STAIR],
                            &p->elevator_stair)
           != SCC_OK
        || scc_height_parse(column[SCC_EXPORT_HEIGHT], &p->height) != SCC_OK
        || scc_height_parse(column[SCC_EXPORT_ENTRANCE_HEIGHT],
                            &e->entrance_height)
           != SCC_OK
        || scc_height_parse(column[SCC_EXPORT_ELEVATOR_HEIGHT],
                            &e->elevator_height)
           != SCC_OK)
    {
        return SCC_DECLINED;
    }

    return SCC_OK;
}


void
scc_export_feature(scc_buf_t *b, const scc_export_t *e)
{
    scc_place_feature_open(b, &e->place);

    scc_export_text(b, ",\"buildingId\":", e->building_id);
    scc_export_list(b, ",\"floors\":", e->floors, true);
    scc_export_bool(b, ",\"isStairOnlyOption\":", e->stair_only);
    scc_export_list(b, ",\"entranceDoorTypes\":", e->doors, false);
    scc_export_text(b, ",\"buildingEntranceStairHeightLevel\":",
                    scc_height_name(e->entrance_height));
    scc_export_list(b, ",\"buildingEntranceDoorTypes\":", e->building_doors,
                    false);
    scc_export_text(b, ",\"buildingElevatorStairHeightLevel\":",
                    scc_height_name(e->elevator_height));
    scc_export_text(b, ",\"source\":", e->source);
    scc_export_bool(b, ",\"synthetic\":", e->synthetic ? SCC_YES : SCC_NO);
    scc_export_text(b, ",\"updatedAt\":", e->updated_at);

    scc_buf_text(b, "}}");
}


void
scc_export_csv_head(scc_buf_t *b)
{
    scc_buf_text(b, scc_export_csv_names);
    scc_buf_byte(b, '\n');
}


void
scc_export_csv(scc_buf_t *b, const scc_export_t *e)
{
    unsigned            level;
    const scc_place_t  *p;

    p = &e->place;

    scc_export_cell(b, p->id);
    scc_buf_byte(b, ',');
    scc_export_cell(b, p->name);
    scc_buf_byte(b, ',');
    scc_export_cell(b, p->category);
    scc_buf_byte(b, ',');
    scc_buf_e7(b, p->lon);
    scc_buf_byte(b, ',');
    scc_buf_e7(b, p->lat);
    scc_buf_byte(b, ',');
    scc_export_cell(b, p->address);
    scc_buf_byte(b, ',');
    scc_export_cell(b, e->building_id);
    scc_buf_byte(b, ',');
    scc_export_cell(b, e->source);
    scc_export_cell_tri(b, e->synthetic ? SCC_YES : SCC_NO);
    scc_buf_byte(b, ',');

    level = scc_place_level(p);

    if (level <= SCC_LEVEL_MAX) {
        scc_buf_uint(b, level);
    }

    scc_export_cell_tri(b, p->registered ? SCC_YES : SCC_NO);
    scc_buf_byte(b, ',');
    scc_buf_str(b, scc_export_cell_stair(p->registered, p->stair));
    scc_buf_byte(b, ',');
    scc_buf_str(b, scc_height_name(p->height));
    scc_export_cell_tri(b, p->slope);
    scc_export_cell_tri(b, p->first_floor);
    scc_buf_byte(b, ',');
    scc_export_cell(b, e->floors);
    scc_export_cell_tri(b, e->stair_only);
    scc_buf_byte(b, ',');
    scc_export_cell(b, e->doors);

    scc_export_cell_tri(b, p->building_registered ? SCC_YES : SCC_NO);
    scc_buf_byte(b, ',');
    scc_buf_str(b, scc_export_cell_stair(p->building_registered,
                                         p->entrance_stair));
    scc_buf_byte(b, ',');
    scc_buf_str(b, scc_height_name(e->entrance_height));
    scc_buf_byte(b, ',');
    scc_export_cell(b, e->building_doors);
    scc_export_cell_tri(b, p->building_slope);
    scc_export_cell_tri(b, p->elevator);
    scc_buf_byte(b, ',');
    scc_buf_str(b, scc_export_cell_stair(p->building_registered,
                                         p->elevator_stair));
    scc_buf_byte(b, ',');
    scc_buf_str(b, scc_height_name(e->elevator_height));
    scc_buf_byte(b, ',');
    scc_buf_str(b, e->updated_at);
    scc_buf_byte(b, '\n');
}


static scc_rc_t
scc_export_flag(scc_str_t text, bool *flag)
{
    scc_tri_t  tri;

    if (scc_export_tri(text, &tri) != SCC_OK || tri == SCC_UNKNOWN) {
        return SCC_DECLINED;
    }

    *flag = (tri == SCC_YES);

    return SCC_OK;
}


static scc_rc_t
scc_export_tri(scc_str_t text, scc_tri_t *tri)
{
    if (text.data == NULL) {
        *tri = SCC_UNKNOWN;
        return SCC_OK;
    }

    if (text.len != 1 || (text.data[0] != 't' && text.data[0] != 'f')) {
        return SCC_DECLINED;
    }

    *tri = (text.data[0] == 't') ? SCC_YES : SCC_NO;

    return SCC_OK;
}


static scc_rc_t
scc_export_stair(scc_str_t text, scc_stair_t *stair)
{
    if (text.data == NULL) {
        *stair = SCC_STAIR_UNDEFINED;
        return SCC_OK;
    }

    return scc_stair_parse(text, stair);
}


static scc_rc_t
scc_export_e7(scc_str_t text, int32_t max, int32_t *e7)
{
    size_t   i;
    int64_t  n;

    i = (text.len > 1 && text.data[0] == '-') ? 1 : 0;

    if (text.len == i || text.len - i > 10) {
        return SCC_DECLINED;
    }

    for (n = 0; i < text.len; i++) {

        if (text.data[i] < '0' || text.data[i] > '9') {
            return SCC_DECLINED;
        }

        n = n * 10 + (text.data[i] - '0');
    }

    if (n > max) {
        return SCC_DECLINED;
    }

    *e7 = (int32_t) (text.data[0] == '-' ? -n : n);

    return SCC_OK;
}


/* Takes the next item off a list separated by ';'; false after the last. */

static bool
scc_export_item(scc_str_t *list, scc_str_t *item)
{
    const uint8_t  *end;

    if (list->len == 0) {
        return false;
    }

    end = memchr(list->data, ';', list->len);

    item->data = list->data;
    item->len = (end != NULL) ? (size_t) (end - list->data) : list->len;

    list->data += item->len + (end != NULL);
    list->len -= item->len + (end != NULL);

    return true;
}


static bool
scc_export_integers(scc_str_t list)
{
    size_t     i;
    scc_str_t  item;

    while (scc_export_item(&list, &item)) {
        i = (item.len > 1 && item.data[0] == '-') ? 1 : 0;

        /* JSON has no leading zeros */

        if (item.len == 0 || (item.len - i > 1 && item.data[i] == '0')) {
            return false;
        }

        for ( /* void */ ; i < item.len; i++) {
            if (item.data[i] < '0' || item.data[i] > '9') {
                return false;
            }
        }
    }

    return true;
}


static void
scc_export_text(scc_buf_t *b, const char *key, scc_str_t value)
{
    scc_buf_text(b, key);

    if (value.len != 0) {
        scc_buf_json(b, value);

    } else {
        scc_buf_text(b, "null");
    }
}


static void
scc_export_bool(scc_buf_t *b, const char *key, scc_tri_t value)
{
    scc_buf_text(b, key);
    scc_buf_text(b, (value == SCC_YES) ? "true"
                    : (value == SCC_NO) ? "false" : "null");
}


static void
scc_export_list(scc_buf_t *b, const char *key, scc_str_t list, bool numbers)
{
    char       lead;
    scc_str_t  item;

    scc_buf_text(b, key);

    if (list.len == 0) {
        scc_buf_text(b, "null");
        return;
    }

    lead = '[';

    while (scc_export_item(&list, &item)) {
        scc_buf_byte(b, (uint8_t) lead);
        lead = ',';

        if (numbers) {
            scc_buf_str(b, item);

        } else {
            scc_buf_json(b, item);
        }
    }

    scc_buf_byte(b, ']');
}


static void
scc_export_cell(scc_buf_t *b, scc_str_t s)
{
    size_t   i;
    uint8_t  c;

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (c == ',' || c == '"' || c == '\n' || c == '\r') {
            break;
        }
    }

    if (i == s.len) {
        scc_buf_str(b, s);
        return;
    }

    scc_buf_byte(b, '"');

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (c == '"') {
            scc_buf_byte(b, '"');
        }

        scc_buf_byte(b, c);
    }

    scc_buf_byte(b, '"');
}


static void
scc_export_cell_tri(scc_buf_t *b, scc_tri_t value)
{
    scc_buf_text(b, (value == SCC_YES) ? ",true"
                    : (value == SCC_NO) ? ",false" : ",");
}


/* UNDEFINED: there is a record, which an import has to make again. */

static scc_str_t
scc_export_cell_stair(bool registered, scc_stair_t stair)
{
    static const scc_str_t  none = scc_null_string;

    return registered ? scc_stair_name(stair) : none;
}
