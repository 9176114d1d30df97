
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_contribution.h"
#include "scc_query.h"

#include <stdio.h>
#include <string.h>


#define SCC_ROUTE_Z_MIN  5              /* of tiles */


static scc_rc_t scc_route_place(scc_query_t *q, scc_str_t id,
    scc_err_t *err);
static scc_rc_t scc_route_cells(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t rest, scc_err_t *err);
static scc_rc_t scc_route_tile(scc_query_t *q, scc_str_t rest,
    scc_err_t *err);
static scc_rc_t scc_route_contribution(scc_query_t *q, scc_str_t id,
    scc_err_t *err);
static bool scc_route_digits(scc_str_t *path, scc_str_t *digits);
static scc_rc_t scc_route_number(scc_str_t digits, const char *field,
    uint32_t max, uint32_t *n, scc_err_t *err);
static scc_rc_t scc_route_error(scc_err_t *err, const char *field,
    const char *text);
static int scc_hex(uint8_t c);


scc_rc_t
scc_query_path(scc_query_t *q, const scc_query_conf_t *conf, scc_str_t path,
    scc_err_t *err)
{
    scc_str_t  rest;

    static const scc_str_t  none = scc_null_string;
    static const scc_str_t  places = scc_string("places");
    static const scc_str_t  nearby = scc_string("nearby");
    static const scc_str_t  tilejson = scc_string("tiles.json");
    static const scc_str_t  contributions = scc_string("contributions");
    static const scc_str_t  export = scc_string("export.geojsonl");
    static const scc_str_t  about = scc_string("export.json");

    /* not store[]: it is large, and every byte is written before it is read */

    memset(q, 0, offsetof(scc_query_t, store));

    q->store_used = 0;
    q->route = SCC_ROUTE_NONE;
    q->filter.level_max = SCC_LEVEL_UNKNOWN;
    q->filter.registered = SCC_UNKNOWN;
    q->filter.slope = SCC_UNKNOWN;
    q->limit = conf->limit;

    if (scc_str_eq(path, places)) {
        q->route = SCC_ROUTE_PLACES;
        return SCC_OK;
    }

    if (scc_str_eq(path, nearby)) {
        q->route = SCC_ROUTE_NEARBY;
        q->k = SCC_NEARBY_K;
        q->radius = SCC_NEARBY_RADIUS;
        return SCC_OK;
    }

    if (scc_str_eq(path, tilejson)) {
        q->route = SCC_ROUTE_TILEJSON;
        q->z = SCC_CELL_Z;
        return SCC_OK;
    }

    if (scc_str_eq(path, contributions)) {
        q->route = SCC_ROUTE_CONTRIBUTIONS;
        return SCC_OK;
    }

    if (scc_str_eq(path, export)) {
        q->route = SCC_ROUTE_EXPORT;
        return SCC_OK;
    }

    if (scc_str_eq(path, about)) {
        q->route = SCC_ROUTE_EXPORT_ABOUT;
        return SCC_OK;
    }

    rest = path;

    if (scc_str_skip(&rest, "places/")) {
        return scc_route_place(q, rest, err);
    }

    if (scc_str_skip(&rest, "cells/")) {
        return scc_route_cells(q, conf, rest, err);
    }

    if (scc_str_skip(&rest, "tiles/")) {
        return scc_route_tile(q, rest, err);
    }

    if (scc_str_skip(&rest, "contributions/")) {
        return scc_route_contribution(q, rest, err);
    }

    scc_err_set(err, none, "there is no such address");

    return SCC_DECLINED;
}


size_t
scc_urldecode(scc_str_t src, bool plus, uint8_t *dst, size_t n)
{
    int      hi, lo;
    size_t   i, used;
    uint8_t  c;

    used = 0;

    for (i = 0; i < src.len; i++) {
        c = src.data[i];

        if (c == '%') {

            if (src.len - i < 3) {
                return SIZE_MAX;
            }

            hi = scc_hex(src.data[i + 1]);
            lo = scc_hex(src.data[i + 2]);

            if (hi < 0 || lo < 0) {
                return SIZE_MAX;
            }

            c = (uint8_t) (hi << 4 | lo);
            i += 2;

        } else if (c == '+' && plus) {
            c = ' ';
        }

        if (used == n) {
            return SIZE_MAX;
        }

        dst[used++] = c;
    }

    return used;
}


static scc_rc_t
scc_route_place(scc_query_t *q, scc_str_t id, scc_err_t *err)
{
    size_t  n;

    q->route = SCC_ROUTE_PLACE;

    n = scc_urldecode(id, false, q->store, SCC_ID_MAX);

    if (n == SIZE_MAX || n == 0) {
        goto invalid;
    }

    q->id.data = q->store;
    q->id.len = n;
    q->store_used = n;

    if (!scc_utf8_valid(q->id) || memchr(q->id.data, 0, n)) {
        goto invalid;
    }

    return SCC_OK;

invalid:

    return scc_route_error(err, "id", "must be 1 to 64 bytes of UTF-8, "
                           "percent-encoded");
}


static scc_rc_t
scc_route_cells(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t rest, scc_err_t *err)
{
    char          text[SCC_ERR_TEXT];
    unsigned      i;
    uint32_t      n[4];
    scc_str_t     z, part[4];
    scc_cells_t  *cells;

    static const scc_str_t  sixteen = scc_string("16");
    static const char *const  names[] = { "x0", "x1", "y0", "y1" };

    if (!scc_route_digits(&rest, &z)
        || !scc_str_skip(&rest, "/")
        || !scc_route_digits(&rest, &part[0])
        || !scc_str_skip(&rest, "-")
        || !scc_route_digits(&rest, &part[1])
        || !scc_str_skip(&rest, "/")
        || !scc_route_digits(&rest, &part[2])
        || !scc_str_skip(&rest, "-")
        || !scc_route_digits(&rest, &part[3])
        || !scc_str_skip(&rest, ".json")
        || rest.len)
    {
        return scc_route_error(err, "", "there is no such address; "
                               "cells are cells/16/x0-x1/y0-y1.json");
    }

    q->route = SCC_ROUTE_CELLS;

    if (!scc_str_eq(z, sixteen)) {
        return scc_route_error(err, "z", "must be 16");
    }

    for (i = 0; i < 4; i++) {
        if (scc_route_number(part[i], names[i], SCC_CELL_SIDE - 1, &n[i],
                             err)
            != SCC_OK)
        {
            return SCC_DECLINED;
        }
    }

    for (i = 0; i < 4; i += 2) {
        if (n[i] > n[i + 1]) {
            (void) snprintf(text, sizeof(text), "must not be above %s",
                            names[i + 1]);
            return scc_route_error(err, names[i], text);
        }
    }

    cells = &q->cells;

    cells->x0 = n[0];
    cells->x1 = n[1];
    cells->y0 = n[2];
    cells->y1 = n[3];

    if (scc_cells_count(cells) > conf->cells_max) {
        (void) snprintf(text, sizeof(text), "at most %u cells in one "
                        "request; ask for a smaller rectangle",
                        (unsigned) conf->cells_max);
        return scc_route_error(err, "cells", text);
    }

    return SCC_OK;
}


static scc_rc_t
scc_route_tile(scc_query_t *q, scc_str_t rest, scc_err_t *err)
{
    uint32_t   zoom;
    scc_str_t  z, x, y;

    if (!scc_route_digits(&rest, &z)
        || !scc_str_skip(&rest, "/")
        || !scc_route_digits(&rest, &x)
        || !scc_str_skip(&rest, "/")
        || !scc_route_digits(&rest, &y)
        || !(scc_str_skip(&rest, ".json")
             || (q->mvt = scc_str_skip(&rest, ".mvt")))
        || rest.len)
    {
        return scc_route_error(err, "", "there is no such address; "
                               "tiles are tiles/z/x/y.mvt and "
                               "tiles/z/x/y.json");
    }

    q->route = SCC_ROUTE_TILE;

    if (scc_route_number(z, "z", SCC_CELL_Z, &zoom, err) != SCC_OK
        || zoom < SCC_ROUTE_Z_MIN)
    {
        return scc_route_error(err, "z", "must be 5..16");
    }

    q->z = zoom;

    if (scc_route_number(x, "x", (1u << zoom) - 1, &q->x, err) != SCC_OK
        || scc_route_number(y, "y", (1u << zoom) - 1, &q->y, err) != SCC_OK)
    {
        return SCC_DECLINED;
    }

    scc_tile_cells(zoom, q->x, q->y, &q->cells);

    return SCC_OK;
}


static scc_rc_t
scc_route_contribution(scc_query_t *q, scc_str_t id, scc_err_t *err)
{
    q->route = SCC_ROUTE_CONTRIBUTION;

    if (scc_uuid_parse(id, q->event) != SCC_OK) {
        return scc_route_error(err, "id", "must be a UUID of 36 characters, "
                               "as in the answer to the contribution");
    }

    return SCC_OK;
}


static bool
scc_route_digits(scc_str_t *path, scc_str_t *digits)
{
    size_t  n;

    for (n = 0; n < path->len; n++) {
        if (path->data[n] < '0' || path->data[n] > '9') {
            break;
        }
    }

    digits->data = path->data;
    digits->len = n;

    path->data += n;
    path->len -= n;

    return n != 0;
}


/* Only the canonical form is taken, so that one object has one address. */

static scc_rc_t
scc_route_number(scc_str_t digits, const char *field, uint32_t max,
    uint32_t *n, scc_err_t *err)
{
    char      text[SCC_ERR_TEXT];
    size_t    i;
    uint32_t  value;

    value = 0;

    if (digits.len > 5 || (digits.len > 1 && digits.data[0] == '0')) {
        goto invalid;
    }

    for (i = 0; i < digits.len; i++) {
        value = value * 10 + (uint32_t) (digits.data[i] - '0');
    }

    if (value > max) {
        goto invalid;
    }

    *n = value;

    return SCC_OK;

invalid:

    (void) snprintf(text, sizeof(text), "must be 0..%u, without leading "
                    "zeros", (unsigned) max);

    return scc_route_error(err, field, text);
}


static scc_rc_t
scc_route_error(scc_err_t *err, const char *field, const char *text)
{
    scc_str_t  name;

    name.len = strlen(field);
    name.data = (const uint8_t *) field;

    scc_err_set(err, name, text);

    return SCC_DECLINED;
}


static int
scc_hex(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }

    return -1;
}
