
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_geo.h"

#include <string.h>


#define SCC_E7_TEXT   64
#define SCC_E7_LIMIT  10000000000LL         /* 1000 degrees */
#define SCC_E7_FAR    1000000000000000LL    /* where exponents saturate */

#define SCC_LON_CIRCLE  (2 * (int64_t) SCC_LON_MAX)
#define SCC_LON_WRAP    (3 * (int64_t) SCC_LON_MAX)


/*
 * A number as sign and 0.d1d2d3... * 10^point in units of 1e-7 degrees,
 * d1 and the last digit not 0; n = 0 is zero.
 */

typedef struct {
    bool            neg;
    unsigned        n;
    int64_t         point;
    uint8_t         digits[SCC_E7_TEXT];
} scc_decimal_t;


static scc_rc_t scc_decimal_parse(scc_str_t text, scc_decimal_t *d);
static scc_rc_t scc_decimal_e7(const scc_decimal_t *d, scc_e7_round_t round,
    int64_t *e7);
static int scc_decimal_cmp(const scc_decimal_t *a, const scc_decimal_t *b);
static scc_rc_t scc_area_numbers(scc_str_t text, scc_decimal_t *edge);
static void scc_area_circle(scc_area_t *area, int64_t w, int64_t e,
    const scc_box_t *lat);
static scc_rc_t scc_area_error(scc_err_t *err, const char *text);


scc_rc_t
scc_e7_parse(scc_str_t text, scc_e7_round_t round, int64_t *e7)
{
    scc_decimal_t  d;

    if (scc_decimal_parse(text, &d) != SCC_OK) {
        return SCC_DECLINED;
    }

    return scc_decimal_e7(&d, round, e7);
}


scc_rc_t
scc_area_parse(scc_str_t text, scc_area_t *area, scc_err_t *err)
{
    int            i;
    bool           crosses;
    int64_t        up[4], down[4], w, s, e, n;
    scc_box_t      box;
    scc_decimal_t  edge[4];

    area->n = 0;

    if (scc_area_numbers(text, edge) != SCC_OK) {
        return scc_area_error(err, "must be four numbers in degrees: "
                              "west,south,east,north");
    }

    for (i = 0; i < 4; i++) {

        if (scc_decimal_e7(&edge[i], SCC_E7_CEIL, &up[i]) != SCC_OK
            || scc_decimal_e7(&edge[i], SCC_E7_FLOOR, &down[i]) != SCC_OK)
        {
            return scc_area_error(err, "has a number beyond 1000; longitudes "
                                  "may be -540..540, latitudes are -90..90");
        }
    }

    for (i = 0; i < 4; i += 2) {
        if (up[i] > SCC_LON_WRAP || down[i] < -SCC_LON_WRAP) {
            return scc_area_error(err, "has a longitude beyond 540; "
                                  "give degrees within -180..180");
        }
    }

    if (scc_decimal_cmp(&edge[1], &edge[3]) > 0) {
        return scc_area_error(err, "has its south beyond its north; "
                              "the order is west,south,east,north");
    }

    crosses = (scc_decimal_cmp(&edge[0], &edge[2]) > 0);

    if (crosses && (up[0] > SCC_LON_MAX || down[2] < -SCC_LON_MAX)) {
        return scc_area_error(err, "has its west beyond its east; only a box "
                              "within -180..180 may cross the "
                              "antimeridian so");
    }

    w = up[0];
    s = up[1];
    e = down[2];
    n = down[3];

    if (s < -SCC_LAT_MAX) {
        s = -SCC_LAT_MAX;
    }

    if (n > SCC_LAT_MAX) {
        n = SCC_LAT_MAX;
    }

    if (s > n) {
        return SCC_OK;
    }

    box.s = (int32_t) s;
    box.n = (int32_t) n;

    if (crosses) {
        box.w = -SCC_LON_MAX;
        box.e = (int32_t) e;
        area->box[0] = box;

        box.w = (int32_t) w;
        box.e = SCC_LON_MAX;
        area->box[1] = box;

        area->n = 2;

        return SCC_OK;
    }

    if (w > e) {
        return SCC_OK;
    }

    if (w >= -SCC_LON_MAX && e <= SCC_LON_MAX) {
        box.w = (int32_t) w;
        box.e = (int32_t) e;
        area->box[0] = box;
        area->n = 1;

        return SCC_OK;
    }

    scc_area_circle(area, w, e, &box);

    return SCC_OK;
}


/*
 * [w, e], partly outside of the world, turned into it.  Where it holds the
 * antimeridian it holds both of its names, -180 and 180; since it is less
 * than the circle it holds it once, so there are at most two parts.
 */

static void
scc_area_circle(scc_area_t *area, int64_t w, int64_t e,
    const scc_box_t *lat)
{
    int64_t    turn, lo, hi;
    scc_box_t  box;

    box = *lat;

    if (e - w >= SCC_LON_CIRCLE - 1) {
        box.w = -SCC_LON_MAX;
        box.e = SCC_LON_MAX;
        area->box[0] = box;
        area->n = 1;
        return;
    }

    /* from the east, so that the part that starts at -180 comes first */

    for (turn = 2 * SCC_LON_CIRCLE;
         turn >= -2 * SCC_LON_CIRCLE && area->n < 2;
         turn -= SCC_LON_CIRCLE)
    {
        lo = w - turn;
        hi = e - turn;

        if (lo < -SCC_LON_MAX) {
            lo = -SCC_LON_MAX;
        }

        if (hi > SCC_LON_MAX) {
            hi = SCC_LON_MAX;
        }

        if (lo > hi) {
            continue;
        }

        box.w = (int32_t) lo;
        box.e = (int32_t) hi;
        area->box[area->n++] = box;
    }
}


/* Four numbers, or six of which the third and the last are heights. */

static scc_rc_t
scc_area_numbers(scc_str_t text, scc_decimal_t *edge)
{
    size_t         i, start;
    unsigned       n;
    scc_str_t      part;
    scc_decimal_t  number[6];

    n = 0;
    start = 0;

    for (i = 0; i <= text.len; i++) {

        if (i < text.len && text.data[i] != ',') {
            continue;
        }

        if (n == 6) {
            return SCC_DECLINED;
        }

        part.data = text.data + start;
        part.len = i - start;

        if (part.len == 0 || scc_decimal_parse(part, &number[n]) != SCC_OK) {
            return SCC_DECLINED;
        }

        n++;
        start = i + 1;
    }

    if (n != 4 && n != 6) {
        return SCC_DECLINED;
    }

    edge[0] = number[0];
    edge[1] = number[1];
    edge[2] = number[n / 2];
    edge[3] = number[n / 2 + 1];

    return SCC_OK;
}


static scc_rc_t
scc_decimal_parse(scc_str_t text, scc_decimal_t *d)
{
    bool            neg;
    size_t          before, after;
    int64_t         exp;
    const uint8_t  *p, *end;

    if (text.len == 0 || text.len > SCC_E7_TEXT) {
        return SCC_DECLINED;
    }

    p = text.data;
    end = p + text.len;

    d->neg = false;
    d->n = 0;
    d->point = 0;

    if (*p == '+' || *p == '-') {
        d->neg = (*p == '-');
        p++;
    }

    before = 0;
    after = 0;

    for ( ; p < end && *p >= '0' && *p <= '9'; p++) {
        before++;

        if (d->n || *p != '0') {
            d->digits[d->n++] = *p;
            d->point++;
        }
    }

    if (before == 0) {
        return SCC_DECLINED;
    }

    if (p < end && *p == '.') {

        for (p++; p < end && *p >= '0' && *p <= '9'; p++) {
            after++;

            if (d->n || *p != '0') {
                d->digits[d->n++] = *p;

            } else {
                d->point--;
            }
        }

        if (after == 0) {
            return SCC_DECLINED;
        }
    }

    exp = 0;

    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        neg = false;

        if (p < end && (*p == '+' || *p == '-')) {
            neg = (*p == '-');
            p++;
        }

        if (p == end) {
            return SCC_DECLINED;
        }

        for ( ; p < end && *p >= '0' && *p <= '9'; p++) {
            if (exp < SCC_E7_FAR) {
                exp = exp * 10 + (*p - '0');
            }
        }

        if (neg) {
            exp = -exp;
        }
    }

    if (p != end) {
        return SCC_DECLINED;
    }

    while (d->n && d->digits[d->n - 1] == '0') {
        d->n--;
    }

    if (d->n == 0) {
        d->neg = false;
        d->point = 0;
        return SCC_OK;
    }

    d->point += exp + 7;

    return SCC_OK;
}


static scc_rc_t
scc_decimal_e7(const scc_decimal_t *d, scc_e7_round_t round, int64_t *e7)
{
    bool     rest, half, up;
    int64_t  i, n, m;

    n = d->n;

    if (d->point > 11) {
        return SCC_DECLINED;
    }

    m = 0;

    for (i = 0; i < d->point; i++) {
        m = m * 10 + ((i < n) ? d->digits[i] - '0' : 0);
    }

    rest = (n > 0 && n > d->point);
    half = (rest && d->point >= 0 && d->digits[d->point] >= '5');

    if (m > SCC_E7_LIMIT || (m == SCC_E7_LIMIT && rest)) {
        return SCC_DECLINED;
    }

    switch (round) {

    case SCC_E7_FLOOR:
        up = (rest && d->neg);
        break;

    case SCC_E7_CEIL:
        up = (rest && !d->neg);
        break;

    default:
        up = half;
    }

    m += up;

    *e7 = d->neg ? -m : m;

    return SCC_OK;
}


static int
scc_decimal_cmp(const scc_decimal_t *a, const scc_decimal_t *b)
{
    int        rc;
    scc_str_t  da, db;

    if (a->neg != b->neg) {
        return a->neg ? -1 : 1;
    }

    if (a->n == 0 || b->n == 0) {
        rc = (a->n != 0) - (b->n != 0);

    } else if (a->point != b->point) {
        rc = (a->point < b->point) ? -1 : 1;

    } else {
        da.data = a->digits;
        da.len = a->n;
        db.data = b->digits;
        db.len = b->n;

        rc = scc_str_cmp(da, db);
    }

    return a->neg ? -rc : rc;
}


static scc_rc_t
scc_area_error(scc_err_t *err, const char *text)
{
    static const scc_str_t  field = scc_string("bbox");

    scc_err_set(err, field, text);

    return SCC_DECLINED;
}
