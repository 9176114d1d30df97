
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_PLACE_H_INCLUDED_
#define _SCC_PLACE_H_INCLUDED_


#include "scc_buf.h"


/* SCC's own enumerations; the names are the wire's and the store's. */

typedef enum {
    SCC_STAIR_UNDEFINED = 0,
    SCC_STAIR_NONE,
    SCC_STAIR_ONE,
    SCC_STAIR_TWO_TO_FIVE,
    SCC_STAIR_OVER_SIX,
} scc_stair_t;

typedef enum {
    SCC_HEIGHT_UNKNOWN = 0,
    SCC_HEIGHT_HALF_THUMB,
    SCC_HEIGHT_THUMB,
    SCC_HEIGHT_OVER_THUMB,
} scc_height_t;

/* SCC_HEIGHT_UNKNOWN's name is the empty string. */
scc_str_t scc_stair_name(scc_stair_t stair);
scc_str_t scc_height_name(scc_height_t height);
scc_rc_t scc_stair_parse(scc_str_t name, scc_stair_t *stair);
scc_rc_t scc_height_parse(scc_str_t name, scc_height_t *height);


#define SCC_LEVEL_UNKNOWN   7
#define SCC_LEVEL_MAX       5
#define SCC_LEVEL_VERSION   1


/*
 * What a map feature shows of a place, and all that its level depends on.
 * "registered" is: an accessibility record exists.  Fields of a record that
 * does not exist are unknown.
 */

typedef struct {
    scc_str_t       id;                     /* 1..SCC_ID_MAX bytes */
    scc_str_t       name;                   /* may be empty */
    scc_str_t       category;               /* may be empty */
    scc_str_t       address;                /* may be empty */
    int32_t         lon;                    /* e7 */
    int32_t         lat;

    bool            registered;
    scc_tri_t       first_floor;
    scc_stair_t     stair;
    scc_height_t    height;
    scc_tri_t       slope;

    bool            building_registered;
    scc_tri_t       building_slope;
    scc_tri_t       elevator;
    scc_stair_t     entrance_stair;
    scc_stair_t     elevator_stair;
} scc_place_t;


/*
 * The access level (접근레벨), version 1: 0 (no obstacle) .. 5, or
 * SCC_LEVEL_UNKNOWN.  SCC's AccessibilityScore of August 2025, with one
 * rule added for unknown inputs (P7): the level is known only if every way
 * to fill in the unknown yes/no inputs gives the same level.  The store's
 * scc.level() is the same function; a test compares them over all inputs.
 */
unsigned scc_place_level(const scc_place_t *place);


/*
 * Appends a GeoJSON Feature (RFC 7946):
 * {"type":"Feature","id":...,"geometry":{"type":"Point","coordinates":
 * [lon,lat]},"properties":{"name":...,"category":...,"address":...,
 * "level":0..5|null,"registered":bool,"stairInfo":...|null,
 * "stairHeightLevel":...|null,"hasSlope":bool|null,"isFirstFloor":bool|null,
 * "buildingRegistered":bool,"buildingEntranceStairInfo":...|null,
 * "buildingHasSlope":bool|null,"buildingHasElevator":bool|null,
 * "buildingElevatorStairInfo":...|null}}
 * Unknown is null: also stair UNDEFINED; empty category or address too.
 */
void scc_place_feature(scc_buf_t *b, const scc_place_t *place);

/* The same without its last "}}": more properties may follow. */
void scc_place_feature_open(scc_buf_t *b, const scc_place_t *place);


/* The bits by which features are filtered without reading their JSON. */

#define SCC_FLAG_LEVEL        0x0007        /* 0..5, 7 unknown */
#define SCC_FLAG_REGISTERED   0x0008
#define SCC_FLAG_SLOPE_YES    0x0010        /* neither bit: unknown */
#define SCC_FLAG_SLOPE_NO     0x0020

uint16_t scc_place_flags(const scc_place_t *place);


#endif /* _SCC_PLACE_H_INCLUDED_ */
