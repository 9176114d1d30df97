
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_cell.h"

#include <math.h>


#define SCC_CELL_LAST  (SCC_CELL_SIDE - 1)
#define SCC_CELL_LAT   851000000        /* beyond the projection */
#define SCC_PI         3.14159265358979323846

/*
 * How far apart two honest ways to compute y in doubles may be, with a wide
 * margin: they differ by less than 1e-9 of a cell (1e-4 e7 units).
 */

#define SCC_CELL_SLACK   1e-6           /* of a cell */
#define SCC_CELL_SLACK7  0.1            /* of an e7 unit */


static uint32_t scc_cell_row(double y);
static double scc_cell_edge(uint32_t y);
static int32_t scc_cell_west(uint32_t x);
static int32_t scc_cell_east(uint32_t x);
static int32_t scc_cell_south(uint32_t y);
static int32_t scc_cell_north(uint32_t y);
static void scc_area_columns(const scc_area_t *area, scc_cells_t *part);
static size_t scc_cells_write(const scc_cells_t *cells, uint32_t *keys);


uint32_t
scc_cell_x(int32_t lon)
{
    int64_t  x;

    x = ((int64_t) lon + SCC_LON_MAX) * SCC_CELL_SIDE
        / (2 * (int64_t) SCC_LON_MAX);

    if (x < 0) {
        return 0;
    }

    return (x > SCC_CELL_LAST) ? SCC_CELL_LAST : (uint32_t) x;
}


uint32_t
scc_cell_y(int32_t lat)
{
    return scc_cell_row(scc_cell_yf(lat));
}


double
scc_cell_yf(int32_t lat)
{
    double  rad;

    if (lat >= SCC_CELL_LAT) {
        return 0;
    }

    if (lat <= -SCC_CELL_LAT) {
        return SCC_CELL_SIDE;
    }

    rad = lat * (SCC_PI / 180e7);

    return (0.5 - asinh(tan(rad)) / (2 * SCC_PI)) * SCC_CELL_SIDE;
}


void
scc_cell_cover(const scc_box_t *box, scc_cells_t *cells)
{
    cells->x0 = scc_cell_x(box->w);
    cells->x1 = scc_cell_x(box->e);
    cells->y0 = scc_cell_row(scc_cell_yf(box->n) - SCC_CELL_SLACK);
    cells->y1 = scc_cell_row(scc_cell_yf(box->s) + SCC_CELL_SLACK);
}


bool
scc_cell_core(const scc_box_t *box, scc_cells_t *cells)
{
    int64_t  x0, x1, y0, y1;

    x0 = scc_cell_x(box->w);
    x1 = scc_cell_x(box->e);
    y0 = scc_cell_y(box->n);
    y1 = scc_cell_y(box->s);

    if (scc_cell_west((uint32_t) x0) < box->w) {
        x0++;
    }

    if (scc_cell_east((uint32_t) x1) > box->e) {
        x1--;
    }

    /* the row found in doubles may be one off, hence the loops */

    while (y0 <= y1 && scc_cell_north((uint32_t) y0) > box->n) {
        y0++;
    }

    while (y1 >= y0 && scc_cell_south((uint32_t) y1) < box->s) {
        y1--;
    }

    if (x0 > x1 || y0 > y1) {
        return false;
    }

    cells->x0 = (uint32_t) x0;
    cells->x1 = (uint32_t) x1;
    cells->y0 = (uint32_t) y0;
    cells->y1 = (uint32_t) y1;

    return true;
}


bool
scc_cell_inside(uint32_t key, const scc_area_t *area)
{
    unsigned     i;
    uint32_t     x, y;
    scc_cells_t  core;

    x = scc_cell_key_x(key);
    y = scc_cell_key_y(key);

    for (i = 0; i < area->n; i++) {
        if (scc_cell_core(&area->box[i], &core)
            && x >= core.x0 && x <= core.x1 && y >= core.y0 && y <= core.y1)
        {
            return true;
        }
    }

    return false;
}


void
scc_cell_box(uint32_t key, scc_box_t *box)
{
    uint32_t  x, y;

    x = scc_cell_key_x(key);
    y = scc_cell_key_y(key);

    box->w = scc_cell_west(x);
    box->s = scc_cell_south(y);
    box->e = scc_cell_east(x);
    box->n = scc_cell_north(y);
}


uint64_t
scc_area_cells(const scc_area_t *area)
{
    uint64_t     count;
    scc_cells_t  part[2];

    if (area->n == 0) {
        return 0;
    }

    scc_area_columns(area, part);

    count = scc_cells_count(&part[0]);

    if (area->n > 1 && part[1].x0 <= part[1].x1) {
        count += scc_cells_count(&part[1]);
    }

    return count;
}


size_t
scc_area_keys(const scc_area_t *area, uint32_t *keys, size_t max)
{
    size_t       n;
    scc_cells_t  part[2];

    if (area->n == 0) {
        return 0;
    }

    if (scc_area_cells(area) > max) {
        return SIZE_MAX;
    }

    scc_area_columns(area, part);

    n = scc_cells_write(&part[0], keys);

    if (area->n > 1 && part[1].x0 <= part[1].x1) {
        n += scc_cells_write(&part[1], keys + n);
    }

    return n;
}


size_t
scc_cells_keys(const scc_cells_t *cells, uint32_t *keys, size_t max)
{
    if (scc_cells_count(cells) > max) {
        return SIZE_MAX;
    }

    return scc_cells_write(cells, keys);
}


void
scc_tile_cells(unsigned z, uint32_t x, uint32_t y, scc_cells_t *cells)
{
    unsigned  shift;

    shift = SCC_CELL_Z - z;

    cells->x0 = x << shift;
    cells->y0 = y << shift;
    cells->x1 = cells->x0 + (1u << shift) - 1;
    cells->y1 = cells->y0 + (1u << shift) - 1;
}


/*
 * The covers of an area's boxes without the columns they share: the second
 * box lies east of the first and has the same latitudes.
 */

static void
scc_area_columns(const scc_area_t *area, scc_cells_t *part)
{
    scc_cell_cover(&area->box[0], &part[0]);

    if (area->n < 2) {
        return;
    }

    scc_cell_cover(&area->box[1], &part[1]);

    if (part[1].x0 <= part[0].x1) {
        part[1].x0 = part[0].x1 + 1;
    }
}


static size_t
scc_cells_write(const scc_cells_t *cells, uint32_t *keys)
{
    size_t    n;
    uint32_t  x, y;

    n = 0;

    for (x = cells->x0; x <= cells->x1; x++) {
        for (y = cells->y0; y <= cells->y1; y++) {
            keys[n++] = scc_cell_key(x, y);
        }
    }

    return n;
}


static uint32_t
scc_cell_row(double y)
{
    if (!(y > 0)) {
        return 0;
    }

    return (y >= SCC_CELL_LAST) ? SCC_CELL_LAST : (uint32_t) y;
}


/* The northern edge of row y in e7 units. */

static double
scc_cell_edge(uint32_t y)
{
    return atan(sinh(SCC_PI * (1 - 2.0 * y / SCC_CELL_SIDE)))
           * (180e7 / SCC_PI);
}


/* The outermost coordinates that a place of the column or row may have. */

static int32_t
scc_cell_west(uint32_t x)
{
    int64_t  n;

    n = (int64_t) x * 2 * SCC_LON_MAX;

    return (int32_t) ((n + SCC_CELL_SIDE - 1) / SCC_CELL_SIDE - SCC_LON_MAX);
}


static int32_t
scc_cell_east(uint32_t x)
{
    return (x == SCC_CELL_LAST) ? SCC_LON_MAX : scc_cell_west(x + 1) - 1;
}


static int32_t
scc_cell_south(uint32_t y)
{
    if (y == SCC_CELL_LAST) {
        return -SCC_LAT_MAX;
    }

    return (int32_t) ceil(scc_cell_edge(y + 1) - SCC_CELL_SLACK7);
}


static int32_t
scc_cell_north(uint32_t y)
{
    if (y == 0) {
        return SCC_LAT_MAX;
    }

    return (int32_t) floor(scc_cell_edge(y) + SCC_CELL_SLACK7);
}
