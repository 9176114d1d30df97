
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_zone_int.h"


/*
 * Buddies: a free run of 2^k units begins at a multiple of 2^k, and joins
 * its neighbour of the same size when that is free too.  A run that was
 * asked for is cut to its length, and what is left of the power of two is
 * free again, so that a cell costs half a unit of waste on average.  Both
 * directions take a number of steps that grows with the logarithm of the
 * zone; nginx's slab would walk its list of free pages.
 */


/* In the first bytes of a free run. */

typedef struct {
    uint32_t                 prev;          /* unit + 1; 0: none */
    uint32_t                 next;
} ngx_scc_zone_link_t;


static void ngx_scc_zone_room_push(ngx_scc_zone_shared_t *sh, uint32_t unit,
    ngx_uint_t order);
static void ngx_scc_zone_room_unlink(ngx_scc_zone_shared_t *sh,
    uint32_t unit);
static void ngx_scc_zone_room_join(ngx_scc_zone_shared_t *sh, uint32_t unit,
    ngx_uint_t order);


#define ngx_scc_zone_link(sh, unit)                                           \
    ((ngx_scc_zone_link_t *)                                                  \
         ((sh)->data + (size_t) (unit) * NGX_SCC_ZONE_UNIT))


void
ngx_scc_zone_room_init(ngx_scc_zone_shared_t *sh)
{
    ngx_memzero(sh->free, sizeof(sh->free));
    ngx_memset(sh->order, NGX_SCC_ZONE_NONE, sh->units);

    sh->units_free = 0;
}


ngx_uint_t
ngx_scc_zone_room_order(uint32_t units)
{
    return (units <= 1) ? 0 : 32 - (ngx_uint_t) __builtin_clz(units - 1);
}


uint32_t
ngx_scc_zone_room_get(ngx_scc_zone_shared_t *sh, uint32_t units)
{
    uint32_t    unit;
    ngx_uint_t  want, order;

    want = ngx_scc_zone_room_order(units);

    for (order = want; /* void */ ; order++) {

        if (order >= NGX_SCC_ZONE_ORDERS) {
            return sh->units;
        }

        if (sh->free[order]) {
            break;
        }
    }

    unit = sh->free[order] - 1;

    ngx_scc_zone_room_unlink(sh, unit);

    sh->units_free -= (uint32_t) 1 << order;

    while (order > want) {
        order--;
        ngx_scc_zone_room_push(sh, unit + ((uint32_t) 1 << order), order);
        sh->units_free += (uint32_t) 1 << order;
    }

    if (units < (uint32_t) 1 << order) {
        ngx_scc_zone_room_put(sh, unit + units,
                              ((uint32_t) 1 << order) - units);
    }

    return unit;
}


void
ngx_scc_zone_room_put(ngx_scc_zone_shared_t *sh, uint32_t unit,
    uint32_t units)
{
    ngx_uint_t  order, most;

    sh->units_free += units;

    while (units) {
        order = 31 - (ngx_uint_t) __builtin_clz(units);

        if (unit) {
            most = (ngx_uint_t) __builtin_ctz(unit);
            order = ngx_min(order, most);
        }

        ngx_scc_zone_room_join(sh, unit, order);

        unit += (uint32_t) 1 << order;
        units -= (uint32_t) 1 << order;
    }
}


static void
ngx_scc_zone_room_push(ngx_scc_zone_shared_t *sh, uint32_t unit,
    ngx_uint_t order)
{
    ngx_scc_zone_link_t  *link;

    link = ngx_scc_zone_link(sh, unit);

    link->prev = 0;
    link->next = sh->free[order];

    if (link->next) {
        ngx_scc_zone_link(sh, link->next - 1)->prev = unit + 1;
    }

    sh->free[order] = unit + 1;
    sh->order[unit] = (u_char) order;
}


static void
ngx_scc_zone_room_unlink(ngx_scc_zone_shared_t *sh, uint32_t unit)
{
    ngx_scc_zone_link_t  *link;

    link = ngx_scc_zone_link(sh, unit);

    if (link->prev) {
        ngx_scc_zone_link(sh, link->prev - 1)->next = link->next;

    } else {
        sh->free[sh->order[unit]] = link->next;
    }

    if (link->next) {
        ngx_scc_zone_link(sh, link->next - 1)->prev = link->prev;
    }

    sh->order[unit] = NGX_SCC_ZONE_NONE;
}


static void
ngx_scc_zone_room_join(ngx_scc_zone_shared_t *sh, uint32_t unit,
    ngx_uint_t order)
{
    uint32_t  buddy;

    for ( ;; ) {
        buddy = unit ^ (uint32_t) 1 << order;

        if (buddy >= sh->units || sh->order[buddy] != order) {
            break;
        }

        ngx_scc_zone_room_unlink(sh, buddy);

        unit = ngx_min(unit, buddy);
        order++;
    }

    ngx_scc_zone_room_push(sh, unit, order);
}
