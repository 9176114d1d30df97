
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_place.h"


#define SCC_LEVEL_INPUTS  4


static unsigned scc_level_known(const scc_place_t *place,
    const scc_tri_t *in);
static unsigned scc_level_part(scc_stair_t stair, scc_tri_t slope);


unsigned
scc_place_level(const scc_place_t *place)
{
    unsigned   i, mask, unknown, level, first;
    scc_tri_t  in[SCC_LEVEL_INPUTS], filled[SCC_LEVEL_INPUTS];

    if (!place->registered) {
        return SCC_LEVEL_UNKNOWN;
    }

    in[0] = place->first_floor;
    in[1] = place->slope;
    in[2] = place->building_slope;
    in[3] = place->elevator;

    unknown = 0;

    for (i = 0; i < SCC_LEVEL_INPUTS; i++) {
        if (in[i] == SCC_UNKNOWN) {
            unknown |= 1u << i;
        }
    }

    /* every way to fill in the unknown inputs: the masks that are subsets */

    first = SCC_LEVEL_UNKNOWN;
    mask = unknown;

    for ( ;; ) {

        for (i = 0; i < SCC_LEVEL_INPUTS; i++) {
            filled[i] = in[i];

            if (unknown & 1u << i) {
                filled[i] = (mask & 1u << i) ? SCC_YES : SCC_NO;
            }
        }

        level = scc_level_known(place, filled);

        if (level == SCC_LEVEL_UNKNOWN) {
            return SCC_LEVEL_UNKNOWN;
        }

        if (mask == unknown) {
            first = level;

        } else if (level != first) {
            return SCC_LEVEL_UNKNOWN;
        }

        if (mask == 0) {
            return first;
        }

        mask = (mask - 1) & unknown;
    }
}


static unsigned
scc_level_known(const scc_place_t *place, const scc_tri_t *in)
{
    unsigned  i, part[3], max, n, threes;

    part[0] = scc_level_part(place->stair, in[1]);

    if (in[0] == SCC_YES) {
        return part[0];
    }

    if (!place->building_registered) {
        return SCC_LEVEL_UNKNOWN;
    }

    if (in[3] != SCC_YES) {
        return 5;
    }

    /* the way to the elevator has no slope of its own on record */

    part[1] = scc_level_part(place->entrance_stair, in[2]);
    part[2] = scc_level_part(place->elevator_stair, in[2]);

    max = 0;
    n = 0;
    threes = 0;

    for (i = 0; i < 3; i++) {

        if (part[i] == SCC_LEVEL_UNKNOWN) {
            continue;
        }

        n++;
        threes += (part[i] == 3);

        if (part[i] > max) {
            max = part[i];
        }
    }

    if (n == 0) {
        return SCC_LEVEL_UNKNOWN;
    }

    if (max == 3 && threes > 1) {
        return 4;
    }

    return max;
}


static unsigned
scc_level_part(scc_stair_t stair, scc_tri_t slope)
{
    if (slope == SCC_YES) {
        return (stair == SCC_STAIR_NONE) ? 0 : 1;
    }

    switch (stair) {

    case SCC_STAIR_NONE:
        return 0;

    case SCC_STAIR_ONE:
        return 2;

    case SCC_STAIR_TWO_TO_FIVE:
        return 3;

    case SCC_STAIR_OVER_SIX:
        return 5;

    case SCC_STAIR_UNDEFINED:
        break;
    }

    return SCC_LEVEL_UNKNOWN;
}
