
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_osm.h"


typedef struct {
    scc_str_t          key;
    const scc_str_t   *values;      /* NULL: any value */
} scc_osm_rule_t;


static scc_str_t scc_osm_get(const scc_osm_tag_t *tags, size_t n,
    const char *key);
static scc_stair_t scc_osm_stair(const scc_osm_tag_t *tags, size_t n,
    scc_tri_t slope);
static scc_stair_t scc_osm_steps(scc_str_t value);
static scc_tri_t scc_osm_slope(const scc_osm_tag_t *tags, size_t n);
static scc_tri_t scc_osm_first_floor(const scc_osm_tag_t *tags, size_t n);
static bool scc_osm_street(const scc_osm_tag_t *tags, size_t n);
static bool scc_osm_is(scc_str_t value, const char *text);
static bool scc_osm_in(scc_str_t value, const scc_str_t *values);


/* Objects that are a part of the street: one is on the ground at them. */

static const scc_str_t  scc_osm_railway[] = {
    scc_string("platform"), scc_string("tram_stop"), scc_string("crossing"),
    scc_string("level_crossing"), scc_null_string
};

static const scc_str_t  scc_osm_transport[] = {
    scc_string("platform"), scc_string("stop_position"), scc_null_string
};

static const scc_str_t  scc_osm_leisure[] = {
    scc_string("park"), scc_string("playground"), scc_string("garden"),
    scc_null_string
};

static const scc_str_t  scc_osm_amenity[] = {
    scc_string("parking"), scc_string("bench"),
    scc_string("bicycle_parking"), scc_string("parking_space"),
    scc_null_string
};

static const scc_osm_rule_t  scc_osm_streets[] = {
    { scc_string("highway"), NULL },
    { scc_string("railway"), scc_osm_railway },
    { scc_string("public_transport"), scc_osm_transport },
    { scc_string("leisure"), scc_osm_leisure },
    { scc_string("amenity"), scc_osm_amenity },
    { scc_null_string, NULL }
};


static const scc_str_t  scc_osm_automatic[] = {
    scc_string("yes"), scc_string("button"), scc_string("motion"),
    scc_null_string
};


/* The most telling first: a hotel's parking is a parking. */

static const char * const  scc_osm_categories[] = {
    "amenity", "shop", "tourism", "leisure", "public_transport", "railway",
    "highway", "office", "craft", "historic", "healthcare", "building",
    "aeroway", "emergency", "sport", "man_made", "natural", "landuse",
    "place", NULL
};


void
scc_osm_access(const scc_osm_tag_t *tags, size_t n, scc_osm_access_t *access)
{
    access->slope = scc_osm_slope(tags, n);
    access->stair = scc_osm_stair(tags, n, access->slope);
    access->first_floor = scc_osm_first_floor(tags, n);
    access->automatic_door = scc_osm_in(scc_osm_get(tags, n,
                                                    "automatic_door"),
                                        scc_osm_automatic);
}


const scc_osm_tag_t *
scc_osm_category(const scc_osm_tag_t *tags, size_t n)
{
    size_t              i;
    const char * const *key;

    for (key = scc_osm_categories; *key; key++) {

        for (i = 0; i < n; i++) {

            if (scc_osm_is(tags[i].key, *key) && tags[i].value.len > 0
                && !scc_osm_is(tags[i].value, "no"))
            {
                return &tags[i];
            }
        }
    }

    return NULL;
}


bool
scc_osm_id(scc_str_t id)
{
    size_t                   i, len;
    const char * const      *type;
    static const char * const  types[] = { "node/", "way/", "relation/",
                                           NULL };

    for (type = types; *type; type++) {
        len = strlen(*type);

        if (id.len <= len || memcmp(id.data, *type, len) != 0) {
            continue;
        }

        for (i = len; i < id.len; i++) {

            if (id.data[i] < '0' || id.data[i] > '9') {
                return false;
            }
        }

        return true;
    }

    return false;
}


static scc_str_t
scc_osm_get(const scc_osm_tag_t *tags, size_t n, const char *key)
{
    size_t     i;
    scc_str_t  none = scc_null_string;

    for (i = 0; i < n; i++) {

        if (scc_osm_is(tags[i].key, key)) {
            return tags[i].value;
        }
    }

    return none;
}


static scc_stair_t
scc_osm_stair(const scc_osm_tag_t *tags, size_t n, scc_tri_t slope)
{
    bool         accessible;
    scc_str_t    steps, wheelchair;
    scc_stair_t  stair;

    wheelchair = scc_osm_get(tags, n, "wheelchair");

    accessible = scc_osm_is(wheelchair, "yes")
                 || scc_osm_is(wheelchair, "designated");

    steps = scc_osm_get(tags, n, "step_count");

    if (steps.len == 0) {
        steps = scc_osm_get(tags, n, "entrance:step_count");
    }

    if (steps.len == 0) {
        return accessible ? SCC_STAIR_NONE : SCC_STAIR_UNDEFINED;
    }

    stair = scc_osm_steps(steps);

    /* steps, no ramp and yet accessible: one of them is wrong */

    if (accessible && stair != SCC_STAIR_NONE && slope != SCC_YES) {
        return SCC_STAIR_UNDEFINED;
    }

    return stair;
}


static scc_stair_t
scc_osm_steps(scc_str_t value)
{
    size_t    i;
    unsigned  n;

    if (value.len > 6) {
        return SCC_STAIR_UNDEFINED;
    }

    n = 0;

    for (i = 0; i < value.len; i++) {

        if (value.data[i] < '0' || value.data[i] > '9') {
            return SCC_STAIR_UNDEFINED;
        }

        n = n * 10 + (unsigned) (value.data[i] - '0');
    }

    if (n == 0) {
        return SCC_STAIR_NONE;
    }

    if (n == 1) {
        return SCC_STAIR_ONE;
    }

    return n <= 5 ? SCC_STAIR_TWO_TO_FIVE : SCC_STAIR_OVER_SIX;
}


static scc_tri_t
scc_osm_slope(const scc_osm_tag_t *tags, size_t n)
{
    scc_str_t  ramp, wheelchair;

    wheelchair = scc_osm_get(tags, n, "ramp:wheelchair");

    if (wheelchair.len > 0) {

        if (scc_osm_is(wheelchair, "yes")) {
            return SCC_YES;
        }

        return scc_osm_is(wheelchair, "no") ? SCC_NO : SCC_UNKNOWN;
    }

    ramp = scc_osm_get(tags, n, "ramp");

    if (scc_osm_is(ramp, "no")) {
        return SCC_NO;
    }

    if (!scc_osm_is(ramp, "yes")) {
        return SCC_UNKNOWN;
    }

    /* "ramp=yes" may mean just the rails for these */

    if (scc_osm_is(scc_osm_get(tags, n, "ramp:stroller"), "yes")
        || scc_osm_is(scc_osm_get(tags, n, "ramp:bicycle"), "yes")
        || scc_osm_is(scc_osm_get(tags, n, "ramp:luggage"), "yes"))
    {
        return SCC_UNKNOWN;
    }

    return SCC_YES;
}


static scc_tri_t
scc_osm_first_floor(const scc_osm_tag_t *tags, size_t n)
{
    bool       zero;
    size_t     i;
    scc_str_t  level;

    level = scc_osm_get(tags, n, "level");

    if (level.len == 0) {
        return scc_osm_street(tags, n) ? SCC_YES : SCC_UNKNOWN;
    }

    i = (level.len > 1 && level.data[0] == '-') ? 1 : 0;
    zero = true;

    for (/* void */; i < level.len; i++) {

        if (level.data[i] < '0' || level.data[i] > '9') {
            return SCC_UNKNOWN;
        }

        zero = zero && level.data[i] == '0';
    }

    return zero ? SCC_YES : SCC_NO;
}


static bool
scc_osm_street(const scc_osm_tag_t *tags, size_t n)
{
    size_t                 i;
    const scc_osm_rule_t  *rule;

    for (i = 0; i < n; i++) {

        for (rule = scc_osm_streets; rule->key.len; rule++) {

            if (!scc_str_eq(tags[i].key, rule->key)) {
                continue;
            }

            if (rule->values ? scc_osm_in(tags[i].value, rule->values)
                             : tags[i].value.len > 0
                               && !scc_osm_is(tags[i].value, "no"))
            {
                return true;
            }
        }
    }

    return false;
}


static bool
scc_osm_is(scc_str_t value, const char *text)
{
    size_t  len;

    len = strlen(text);

    return value.len == len && memcmp(value.data, text, len) == 0;
}


static bool
scc_osm_in(scc_str_t value, const scc_str_t *values)
{
    for (/* void */; values->len; values++) {

        if (scc_str_eq(value, *values)) {
            return true;
        }
    }

    return false;
}
