
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_place.h"


static void scc_place_text(scc_buf_t *b, const char *key, scc_str_t value);
static void scc_place_tri(scc_buf_t *b, const char *key, scc_tri_t value);
static void scc_place_stair(scc_buf_t *b, const char *key,
    scc_stair_t value);


static const scc_str_t  scc_stair_names[] = {
    scc_string("UNDEFINED"),
    scc_string("NONE"),
    scc_string("ONE"),
    scc_string("TWO_TO_FIVE"),
    scc_string("OVER_SIX"),
};

static const scc_str_t  scc_height_names[] = {
    scc_null_string,
    scc_string("HALF_THUMB"),
    scc_string("THUMB"),
    scc_string("OVER_THUMB"),
};

#define scc_nitems(a)  (sizeof(a) / sizeof((a)[0]))


scc_str_t
scc_stair_name(scc_stair_t stair)
{
    if ((unsigned) stair >= scc_nitems(scc_stair_names)) {
        stair = SCC_STAIR_UNDEFINED;
    }

    return scc_stair_names[stair];
}


scc_str_t
scc_height_name(scc_height_t height)
{
    if ((unsigned) height >= scc_nitems(scc_height_names)) {
        height = SCC_HEIGHT_UNKNOWN;
    }

    return scc_height_names[height];
}


scc_rc_t
scc_stair_parse(scc_str_t name, scc_stair_t *stair)
{
    unsigned  i;

    for (i = 0; i < scc_nitems(scc_stair_names); i++) {
        if (scc_str_eq(name, scc_stair_names[i])) {
            *stair = (scc_stair_t) i;
            return SCC_OK;
        }
    }

    return SCC_DECLINED;
}


scc_rc_t
scc_height_parse(scc_str_t name, scc_height_t *height)
{
    unsigned  i;

    for (i = 0; i < scc_nitems(scc_height_names); i++) {
        if (scc_str_eq(name, scc_height_names[i])) {
            *height = (scc_height_t) i;
            return SCC_OK;
        }
    }

    return SCC_DECLINED;
}


void
scc_place_feature(scc_buf_t *b, const scc_place_t *place)
{
    scc_place_feature_open(b, place);
    scc_buf_text(b, "}}");
}


void
scc_place_feature_open(scc_buf_t *b, const scc_place_t *place)
{
    unsigned   level;
    scc_str_t  height;

    scc_buf_text(b, "{\"type\":\"Feature\",\"id\":");
    scc_buf_json(b, place->id);

    scc_buf_text(b, ",\"geometry\":{\"type\":\"Point\",\"coordinates\":[");
    scc_buf_e7(b, place->lon);
    scc_buf_byte(b, ',');
    scc_buf_e7(b, place->lat);

    scc_buf_text(b, "]},\"properties\":{\"name\":");
    scc_buf_json(b, place->name);
    scc_place_text(b, ",\"category\":", place->category);
    scc_place_text(b, ",\"address\":", place->address);

    level = scc_place_level(place);

    scc_buf_text(b, ",\"level\":");

    if (level <= SCC_LEVEL_MAX) {
        scc_buf_uint(b, level);

    } else {
        scc_buf_text(b, "null");
    }

    scc_place_tri(b, ",\"registered\":",
                  place->registered ? SCC_YES : SCC_NO);
    scc_place_stair(b, ",\"stairInfo\":", place->stair);

    height = scc_height_name(place->height);
    scc_place_text(b, ",\"stairHeightLevel\":", height);

    scc_place_tri(b, ",\"hasSlope\":", place->slope);
    scc_place_tri(b, ",\"isFirstFloor\":", place->first_floor);

    scc_place_tri(b, ",\"buildingRegistered\":",
                  place->building_registered ? SCC_YES : SCC_NO);
    scc_place_stair(b, ",\"buildingEntranceStairInfo\":",
                    place->entrance_stair);
    scc_place_tri(b, ",\"buildingHasSlope\":", place->building_slope);
    scc_place_tri(b, ",\"buildingHasElevator\":", place->elevator);
    scc_place_stair(b, ",\"buildingElevatorStairInfo\":",
                    place->elevator_stair);
}


uint16_t
scc_place_flags(const scc_place_t *place)
{
    unsigned  flags;

    flags = scc_place_level(place);

    if (place->registered) {
        flags |= SCC_FLAG_REGISTERED;
    }

    if (place->slope == SCC_YES) {
        flags |= SCC_FLAG_SLOPE_YES;

    } else if (place->slope == SCC_NO) {
        flags |= SCC_FLAG_SLOPE_NO;
    }

    return (uint16_t) flags;
}


static void
scc_place_text(scc_buf_t *b, const char *key, scc_str_t value)
{
    scc_buf_text(b, key);

    if (value.len == 0) {
        scc_buf_text(b, "null");
        return;
    }

    scc_buf_json(b, value);
}


static void
scc_place_tri(scc_buf_t *b, const char *key, scc_tri_t value)
{
    scc_buf_text(b, key);

    switch (value) {

    case SCC_YES:
        scc_buf_text(b, "true");
        break;

    case SCC_NO:
        scc_buf_text(b, "false");
        break;

    default:
        scc_buf_text(b, "null");
    }
}


static void
scc_place_stair(scc_buf_t *b, const char *key, scc_stair_t value)
{
    scc_str_t  name;

    if (value == SCC_STAIR_UNDEFINED) {
        scc_str_t  none = scc_null_string;

        scc_place_text(b, key, none);
        return;
    }

    name = scc_stair_name(value);
    scc_place_text(b, key, name);
}
