
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scc_point.h"


#define SCC_POINT_RADIAN  (3.14159265358979323846 / 180.0 / 1e7)


static bool scc_point_centroid(const scc_rings_t *rings, scc_pos_t *point);
static scc_rc_t scc_point_scan(const scc_rings_t *rings, scc_buf_t *work,
    scc_pos_t *point, bool *found);
static double scc_point_scan_y(const scc_rings_t *rings);
static bool scc_point_round(const scc_rings_t *rings, double x, double y,
    scc_pos_t *point);
static int scc_point_cmp(const void *one, const void *two);


double
scc_point_length(const scc_pos_t *pos, size_t n)
{
    size_t  i;
    double  length, shrink;

    if (n == 0) {
        return 0;
    }

    length = 0;
    shrink = cos(pos[0].y * SCC_POINT_RADIAN);

    for (i = 1; i < n; i++) {
        length += hypot((pos[i].x - pos[i - 1].x) * shrink,
                        pos[i].y - pos[i - 1].y);
    }

    return length;
}


double
scc_point_area(const scc_rings_t *rings)
{
    double     area, sum;
    size_t     i, k, from, last;
    scc_pos_t  o, a, b;

    if (rings->n == 0 || rings->end[0] == rings->start) {
        return 0;
    }

    area = 0;
    from = rings->start;
    o = rings->pos[from];

    for (i = 0; i < rings->n; i++) {
        sum = 0;
        last = rings->end[i];

        for (k = from; k < last; k++) {
            a = rings->pos[k];
            b = rings->pos[k + 1 < last ? k + 1 : from];
            sum += (a.x - o.x) * (b.y - o.y) - (b.x - o.x) * (a.y - o.y);
        }

        area += (i == 0) ? fabs(sum) : -fabs(sum);
        from = last;
    }

    return area / 2 * cos(o.y * SCC_POINT_RADIAN);
}


void
scc_point_line(const scc_pos_t *pos, size_t n, scc_pos_t *point)
{
    size_t  i;
    double  left, step, shrink, share;

    left = scc_point_length(pos, n) / 2;
    shrink = cos(pos[0].y * SCC_POINT_RADIAN);

    for (i = 1; i < n; i++) {
        step = hypot((pos[i].x - pos[i - 1].x) * shrink,
                     pos[i].y - pos[i - 1].y);

        if (step > 0 && step >= left) {
            share = left / step;

            point->x = round(pos[i - 1].x
                             + (pos[i].x - pos[i - 1].x) * share);
            point->y = round(pos[i - 1].y
                             + (pos[i].y - pos[i - 1].y) * share);
            return;
        }

        left -= step;
    }

    *point = pos[n / 2];
}


scc_rc_t
scc_point_polygon(const scc_rings_t *rings, scc_buf_t *work,
    scc_pos_t *point)
{
    bool       found;
    scc_rc_t   rc;
    scc_pos_t  c;

    if (scc_point_centroid(rings, &c)
        && scc_point_round(rings, c.x, c.y, point))
    {
        return SCC_OK;
    }

    rc = scc_point_scan(rings, work, point, &found);

    if (rc != SCC_OK || found) {
        return rc;
    }

    scc_point_line(rings->pos + rings->start, rings->end[0] - rings->start,
                   point);

    return SCC_OK;
}


bool
scc_point_inside(const scc_rings_t *rings, scc_pos_t p)
{
    bool       inside;
    size_t     i, k, from, last;
    double     x;
    scc_pos_t  a, b;

    inside = false;
    from = rings->start;

    for (i = 0; i < rings->n; i++) {
        last = rings->end[i];

        for (k = from; k < last; k++) {
            a = rings->pos[k];
            b = rings->pos[k + 1 < last ? k + 1 : from];

            if ((a.y > p.y) == (b.y > p.y)) {
                continue;
            }

            x = a.x + (p.y - a.y) / (b.y - a.y) * (b.x - a.x);

            if (x == p.x) {
                return false;
            }

            if (x > p.x) {
                inside = !inside;
            }
        }

        from = last;
    }

    return inside;
}


static bool
scc_point_centroid(const scc_rings_t *rings, scc_pos_t *point)
{
    double     area, sum, x, y, sx, sy, cross, sign;
    size_t     i, k, from, last;
    scc_pos_t  o, a, b;

    area = 0;
    x = 0;
    y = 0;

    from = rings->start;
    o = rings->pos[from];

    for (i = 0; i < rings->n; i++) {
        sum = 0;
        sx = 0;
        sy = 0;
        last = rings->end[i];

        for (k = from; k < last; k++) {
            a = rings->pos[k];
            b = rings->pos[k + 1 < last ? k + 1 : from];

            /* around one of its points: the products stay exact enough */

            a.x -= o.x;
            a.y -= o.y;
            b.x -= o.x;
            b.y -= o.y;

            cross = a.x * b.y - b.x * a.y;

            sum += cross;
            sx += (a.x + b.x) * cross;
            sy += (a.y + b.y) * cross;
        }

        /* holes count against it, whichever way they wind */

        sign = (sum < 0) ? -1 : 1;
        sign = (i == 0) ? sign : -sign;

        area += sign * sum;
        x += sign * sx;
        y += sign * sy;

        from = last;
    }

    if (area <= 0) {
        return false;
    }

    point->x = o.x + x / area / 3;
    point->y = o.y + y / area / 3;

    return true;
}


static scc_rc_t
scc_point_scan(const scc_rings_t *rings, scc_buf_t *work, scc_pos_t *point,
    bool *found)
{
    double     y, x, wide, *cut;
    size_t     i, k, n, from, last;
    uint8_t   *p;
    scc_pos_t  a, b, best;

    *found = false;

    scc_buf_reset(work);

    y = scc_point_scan_y(rings);
    from = rings->start;

    for (i = 0; i < rings->n; i++) {
        last = rings->end[i];

        for (k = from; k < last; k++) {
            a = rings->pos[k];
            b = rings->pos[k + 1 < last ? k + 1 : from];

            if ((a.y > y) == (b.y > y)) {
                continue;
            }

            x = a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x);

            p = scc_buf_reserve(work, sizeof(double));
            if (p == NULL) {
                return SCC_ERROR;
            }

            memcpy(p, &x, sizeof(double));
        }

        from = last;
    }

    n = work->used / sizeof(double);

    if (n < 2) {
        return SCC_OK;
    }

    cut = (double *) (void *) work->start;

    qsort(cut, n, sizeof(double), scc_point_cmp);

    wide = 0;
    best.x = 0;

    for (i = 0; i + 1 < n; i += 2) {

        if (cut[i + 1] - cut[i] > wide) {
            wide = cut[i + 1] - cut[i];
            best.x = cut[i] + wide / 2;
        }
    }

    *found = wide > 0 && scc_point_round(rings, best.x, y, point);

    return SCC_OK;
}


/*
 * Half way between the vertices next to the polygon's middle, above and
 * below: a line through a vertex may touch the polygon in just that.
 */

static double
scc_point_scan_y(const scc_rings_t *rings)
{
    size_t  k, last;
    double  y, low, high, middle;

    last = rings->end[rings->n - 1];

    low = rings->pos[rings->start].y;
    high = low;

    for (k = rings->start; k < last; k++) {
        y = rings->pos[k].y;
        low = (y < low) ? y : low;
        high = (y > high) ? y : high;
    }

    middle = low + (high - low) / 2;

    for (k = rings->start; k < last; k++) {
        y = rings->pos[k].y;

        if (y <= middle) {
            low = (y > low) ? y : low;

        } else {
            high = (y < high) ? y : high;
        }
    }

    return low + (high - low) / 2;
}


/* The e7 grid's points around (x, y), the nearest first, that are inside. */

static bool
scc_point_round(const scc_rings_t *rings, double x, double y,
    scc_pos_t *point)
{
    unsigned   i;
    scc_pos_t  p;

    for (i = 0; i < 5; i++) {

        if (i == 0) {
            p.x = round(x);
            p.y = round(y);

        } else {
            p.x = (i & 1) ? floor(x) : ceil(x);
            p.y = (i & 2) ? floor(y) : ceil(y);
        }

        if (scc_point_inside(rings, p)) {
            *point = p;
            return true;
        }
    }

    return false;
}


static int
scc_point_cmp(const void *one, const void *two)
{
    double  a, b;

    memcpy(&a, one, sizeof(double));
    memcpy(&b, two, sizeof(double));

    return (a > b) - (a < b);
}
