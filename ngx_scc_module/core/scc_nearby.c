
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_nearby.h"

#include <math.h>
#include <string.h>


#define SCC_PI            3.14159265358979323846
#define SCC_RAD           (SCC_PI / 180e7)          /* of an e7 unit */
#define SCC_CIRCLE        (2 * (int64_t) SCC_LON_MAX)

/* WGS 84 */
#define SCC_WGS84_A       6378137.0
#define SCC_WGS84_F       (1 / 298.257223563)
#define SCC_WGS84_B       (SCC_WGS84_A * (1 - SCC_WGS84_F))
#define SCC_WGS84_E2      (SCC_WGS84_F * (2 - SCC_WGS84_F))

#define SCC_UM            1e6                       /* in a metre */

/* The bounds' own rounding, and more: a part, and micrometres. */
#define SCC_NEARBY_PART   1e-9
#define SCC_NEARBY_SLACK  10.0

/* lambda is exact to less than a nanometre, which takes six rounds */
#define SCC_VINCENTY_EPS     1e-16
#define SCC_VINCENTY_ROUNDS  32

#define SCC_FRAG_TAIL     "}}"


static void scc_nearby_bounds(scc_nearby_t *nb, double *south,
    double *north);
static void scc_nearby_cover(scc_nearby_t *nb, double south, double north);
static bool scc_nearby_step(scc_nearby_t *nb);
static uint32_t scc_nearby_key(const scc_nearby_t *nb, int32_t dx,
    int32_t dy);
static double scc_nearby_beyond(const scc_nearby_t *nb);
static double scc_nearby_reach(const scc_nearby_t *nb, uint32_t key);
static double scc_nearby_apart(const scc_nearby_t *nb, int64_t dlon,
    int64_t dlat);
static int64_t scc_nearby_dlon(int64_t west, int64_t east);
static void scc_nearby_insert(scc_nearby_t *nb, const scc_nearby_hit_t *hit);
static double scc_nearby_least(double a, double b);
static double scc_nearby_meridian(double sin_lat);
static double scc_nearby_parallel(double lat);
static void scc_nearby_reduced(int32_t lat, double *sin_u, double *cos_u);


void
scc_nearby_init(scc_nearby_t *nb, const scc_query_t *q)
{
    double  south, north;

    memset(nb, 0, sizeof(scc_nearby_t));

    nb->q = q;
    nb->bound = (uint64_t) q->radius * (uint64_t) SCC_UM;

    scc_nearby_reduced(q->lat, &nb->sin_u, &nb->cos_u);
    scc_nearby_bounds(nb, &south, &north);
    scc_nearby_cover(nb, south, north);

    nb->inner = -1;
    nb->outer = -1;
    nb->dx = 1;
}


size_t
scc_nearby_next(scc_nearby_t *nb, uint32_t *keys, size_t max)
{
    size_t    n, i;
    int32_t   x1, y0, y1;
    uint32_t  key;

    n = 0;

    for ( ;; ) {
        x1 = (nb->outer < nb->east) ? nb->outer : nb->east;
        y0 = -((nb->outer < nb->north) ? nb->outer : nb->north);
        y1 = (nb->outer < nb->south) ? nb->outer : nb->south;

        for ( /* void */ ; nb->dx <= x1; nb->dx++, nb->dy = y0) {

            for ( /* void */ ; nb->dy <= y1; nb->dy++) {

                if (nb->dx >= -nb->inner && nb->dx <= nb->inner
                    && nb->dy >= -nb->inner && nb->dy <= nb->inner)
                {
                    nb->dy = nb->inner;
                    continue;
                }

                key = scc_nearby_key(nb, nb->dx, nb->dy);

                if (scc_nearby_reach(nb, key) > (double) nb->bound) {
                    continue;
                }

                if (n == max) {
                    return n;
                }

                /* a step that crosses the antimeridian is out of order */

                for (i = n++; i && keys[i - 1] > key; i--) {
                    keys[i] = keys[i - 1];
                }

                keys[i] = key;
            }
        }

        /* what these hold may end the search */

        if (n || !scc_nearby_step(nb)) {
            return n;
        }
    }
}


void
scc_nearby_cell(scc_nearby_t *nb, const scc_blob_t *blob)
{
    uint16_t             cat;
    uint32_t             i;
    scc_blob_entry_t     e;
    const scc_filter_t  *filter;

    filter = &nb->q->filter;

    cat = filter->category.len ? scc_blob_cat(blob, filter->category)
                               : SCC_BLOB_NO_CAT;

    for (i = 0; i < blob->n; i++) {
        scc_blob_entry(blob, i, &e);

        if (!filter->any || scc_filter_pass(filter, e.flags, e.cat, cat)) {
            scc_nearby_place(nb, e.lon, e.lat, e.id, e.frag);
        }
    }
}


void
scc_nearby_place(scc_nearby_t *nb, int32_t lon, int32_t lat, scc_str_t id,
    scc_str_t frag)
{
    int64_t           dlon;
    scc_nearby_hit_t  hit;

    dlon = scc_nearby_dlon(nb->q->lon, lon);

    if (scc_nearby_apart(nb, dlon, (int64_t) lat - nb->q->lat)
        > (double) nb->bound)
    {
        return;
    }

    hit.distance = scc_nearby_distance(nb, lon, lat);

    if (hit.distance > nb->bound) {
        return;
    }

    hit.id = id;
    hit.frag = frag;
    hit.kept = false;

    scc_nearby_insert(nb, &hit);
}


scc_rc_t
scc_nearby_keep(scc_nearby_t *nb, scc_buf_grow_pt grow, void *ctx)
{
    uint8_t           *p;
    uint32_t           i;
    scc_nearby_hit_t  *hit;

    for (i = 0; i < nb->n; i++) {
        hit = &nb->hits[i];

        if (hit->kept) {
            continue;
        }

        p = grow(ctx, NULL, 0, hit->id.len + hit->frag.len);

        if (p == NULL) {
            return SCC_ERROR;
        }

        memcpy(p, hit->id.data, hit->id.len);
        hit->id.data = p;

        p += hit->id.len;

        memcpy(p, hit->frag.data, hit->frag.len);
        hit->frag.data = p;

        hit->kept = true;
    }

    return SCC_OK;
}


uint64_t
scc_nearby_distance(const scc_nearby_t *nb, int32_t lon, int32_t lat)
{
    double    l, lambda, last, sin_u, cos_u, sin_l, cos_l, sin_s, cos_s, s;
    double    sin_a, cos2_a, cos_m, c, u2, a, b, t;
    unsigned  i;

    /* the same for places as far to the west as to the east */

    l = (double) scc_nearby_dlon(nb->q->lon, lon) * SCC_RAD;

    scc_nearby_reduced(lat, &sin_u, &cos_u);

    lambda = l;

    for (i = 0; /* void */ ; i++) {
        sin_l = sin(lambda);
        cos_l = cos(lambda);

        sin_s = hypot(cos_u * sin_l,
                      nb->cos_u * sin_u - nb->sin_u * cos_u * cos_l);

        if (!(sin_s > 0)) {
            return 0;
        }

        cos_s = nb->sin_u * sin_u + nb->cos_u * cos_u * cos_l;
        s = atan2(sin_s, cos_s);

        sin_a = nb->cos_u * cos_u * sin_l / sin_s;
        cos2_a = 1 - sin_a * sin_a;

        cos_m = (cos2_a > 0) ? cos_s - 2 * nb->sin_u * sin_u / cos2_a : 0;

        c = SCC_WGS84_F / 16 * cos2_a
            * (4 + SCC_WGS84_F * (4 - 3 * cos2_a));

        if (i == SCC_VINCENTY_ROUNDS) {
            break;
        }

        last = lambda;

        lambda = l + (1 - c) * SCC_WGS84_F * sin_a
                     * (s + c * sin_s
                        * (cos_m + c * cos_s * (2 * cos_m * cos_m - 1)));

        if (fabs(lambda - last) <= SCC_VINCENTY_EPS) {
            break;
        }
    }

    u2 = cos2_a * (SCC_WGS84_A * SCC_WGS84_A - SCC_WGS84_B * SCC_WGS84_B)
         / (SCC_WGS84_B * SCC_WGS84_B);

    a = 1 + u2 / 16384 * (4096 + u2 * (-768 + u2 * (320 - 175 * u2)));
    b = u2 / 1024 * (256 + u2 * (-128 + u2 * (74 - 47 * u2)));

    t = b * sin_s
        * (cos_m + b / 4 * (cos_s * (2 * cos_m * cos_m - 1)
                            - b / 6 * cos_m * (4 * sin_s * sin_s - 3)
                              * (4 * cos_m * cos_m - 3)));

    return (uint64_t) (SCC_WGS84_B * a * (s - t) * SCC_UM + 0.5);
}


void
scc_nearby_write(const scc_nearby_t *nb, scc_buf_t *b)
{
    uint32_t                 i;
    uint64_t                 tenths;
    scc_str_t                frag;
    const scc_nearby_hit_t  *hit;

    scc_buf_text(b, "{\"type\":\"FeatureCollection\",\"numberReturned\":");
    scc_buf_uint(b, nb->n);
    scc_buf_text(b, ",\"features\":[");

    for (i = 0; i < nb->n; i++) {
        hit = &nb->hits[i];

        if (i) {
            scc_buf_byte(b, ',');
        }

        /* a Feature ends with its properties, of which there are some */

        frag = hit->frag;
        frag.len -= sizeof(SCC_FRAG_TAIL) - 1;

        scc_buf_str(b, frag);
        scc_buf_text(b, ",\"distance\":");

        tenths = (hit->distance + 50000) / 100000;

        scc_buf_uint(b, tenths / 10);
        scc_buf_byte(b, '.');
        scc_buf_uint(b, tenths % 10);
        scc_buf_text(b, SCC_FRAG_TAIL);
    }

    scc_buf_text(b, "]}");
}


/* The edges are of the band that the radius spans, in e7 units. */

static void
scc_nearby_bounds(scc_nearby_t *nb, double *south, double *north)
{
    double  delta, least, most;

    /* meridians are most curved on the equator; a metre is no harm */

    delta = (nb->q->radius + 1) / (scc_nearby_meridian(0) * SCC_RAD);

    *south = nb->q->lat - delta;
    *north = nb->q->lat + delta;

    least = scc_nearby_least(fabs(*south), fabs(*north));
    most = (fabs(*south) > fabs(*north)) ? fabs(*south) : fabs(*north);

    if (*south <= 0 && *north >= 0) {
        least = 0;
    }

    if (most >= SCC_LAT_MAX) {
        most = SCC_LAT_MAX;
        nb->lo_lon = 0;

    } else {
        nb->lo_lon = scc_nearby_parallel(most * SCC_RAD) * SCC_RAD;
    }

    nb->lo_lat = scc_nearby_meridian(sin(least * SCC_RAD)) * SCC_RAD;
    nb->hi_lon = scc_nearby_parallel(least * SCC_RAD) * SCC_RAD;
    nb->hi_lat = scc_nearby_meridian(sin(most * SCC_RAD)) * SCC_RAD;
}


static void
scc_nearby_cover(scc_nearby_t *nb, double south, double north)
{
    double        columns;
    int32_t       half;
    int64_t       w, e;
    scc_box_t     box;
    scc_cells_t   rows;
    scc_cells_t  *c;

    box.w = nb->q->lon;
    box.e = nb->q->lon;
    box.s = (south <= -SCC_LAT_MAX) ? -SCC_LAT_MAX : (int32_t) floor(south);
    box.n = (north >= SCC_LAT_MAX) ? SCC_LAT_MAX : (int32_t) ceil(north);

    scc_cell_cover(&box, &rows);

    nb->x = rows.x0;
    nb->y = scc_cell_y(nb->q->lat);
    nb->north = (int32_t) (nb->y - rows.y0);
    nb->south = (int32_t) (rows.y1 - nb->y);

    /* a place on the antimeridian has two names, one cell east or west */

    columns = HUGE_VAL;

    if (nb->lo_lon > 0) {
        columns = (nb->q->radius + 1) / (nb->lo_lon * (double) SCC_CIRCLE)
                  * SCC_CELL_SIDE;
    }

    half = SCC_CELL_SIDE / 2;

    if (columns >= half - 2) {
        nb->west = half;
        nb->east = half - 1;

    } else {
        nb->west = (int32_t) columns + 1;
        nb->east = nb->west;
    }

    w = (int64_t) nb->x - nb->west;
    e = (int64_t) nb->x + nb->east;

    c = nb->cover;
    nb->n_cover = 1;

    c[0] = rows;
    c[0].x0 = (w < 0) ? 0 : (uint32_t) w;
    c[0].x1 = (e >= SCC_CELL_SIDE) ? SCC_CELL_SIDE - 1 : (uint32_t) e;

    if (w < 0) {
        nb->n_cover = 2;
        c[1] = rows;
        c[1].x0 = (uint32_t) (w + SCC_CELL_SIDE);
        c[1].x1 = SCC_CELL_SIDE - 1;

    } else if (e >= SCC_CELL_SIDE) {
        nb->n_cover = 2;
        c[1] = c[0];
        c[0].x0 = 0;
        c[0].x1 = (uint32_t) (e - SCC_CELL_SIDE);
    }
}


/* The next rings, if places there could matter. */

static bool
scc_nearby_step(scc_nearby_t *nb)
{
    if (nb->outer >= nb->west && nb->outer >= nb->east
        && nb->outer >= nb->north && nb->outer >= nb->south)
    {
        return false;
    }

    if (nb->outer >= 0 && scc_nearby_beyond(nb) > (double) nb->bound) {
        return false;
    }

    nb->inner = nb->outer;
    nb->outer = (nb->outer < 0) ? 1 : 2 * nb->outer + 1;

    nb->dx = -((nb->outer < nb->west) ? nb->outer : nb->west);
    nb->dy = -((nb->outer < nb->north) ? nb->outer : nb->north);

    return true;
}


static uint32_t
scc_nearby_key(const scc_nearby_t *nb, int32_t dx, int32_t dy)
{
    uint32_t  x, y;

    x = (nb->x + (uint32_t) (dx + SCC_CELL_SIDE)) % SCC_CELL_SIDE;
    y = (uint32_t) ((int32_t) nb->y + dy);

    return scc_cell_key(x, y);
}


/* No place outside the rings so far is nearer than this. */

static double
scc_nearby_beyond(const scc_nearby_t *nb)
{
    double     least;
    int32_t    out;
    scc_box_t  box;

    out = nb->outer + 1;
    least = HUGE_VAL;

    if (out <= nb->west) {
        scc_cell_box(scc_nearby_key(nb, -out, 0), &box);
        least = scc_nearby_least(least, scc_nearby_apart(nb,
                                 scc_nearby_dlon(nb->q->lon, box.e), 0));
    }

    if (out <= nb->east) {
        scc_cell_box(scc_nearby_key(nb, out, 0), &box);
        least = scc_nearby_least(least, scc_nearby_apart(nb,
                                 scc_nearby_dlon(nb->q->lon, box.w), 0));
    }

    if (out <= nb->north) {
        scc_cell_box(scc_nearby_key(nb, 0, -out), &box);
        least = scc_nearby_least(least, scc_nearby_apart(nb, 0,
                                 (int64_t) box.s - nb->q->lat));
    }

    if (out <= nb->south) {
        scc_cell_box(scc_nearby_key(nb, 0, out), &box);
        least = scc_nearby_least(least, scc_nearby_apart(nb, 0,
                                 (int64_t) nb->q->lat - box.n));
    }

    return least;
}


/* No place of the cell is nearer than this. */

static double
scc_nearby_reach(const scc_nearby_t *nb, uint32_t key)
{
    int64_t    dlon, dlat, lon, lat;
    scc_box_t  box;

    scc_cell_box(key, &box);

    lon = nb->q->lon;
    lat = nb->q->lat;

    dlon = 0;
    dlat = 0;

    if (lon < box.w || lon > box.e) {
        dlon = scc_nearby_dlon(lon, box.w);

        if (dlon > scc_nearby_dlon(lon, box.e)) {
            dlon = scc_nearby_dlon(lon, box.e);
        }
    }

    if (lat < box.s) {
        dlat = box.s - lat;

    } else if (lat > box.n) {
        dlat = lat - box.n;
    }

    return scc_nearby_apart(nb, dlon, dlat);
}


/* The bound from below, in micrometres. */

static double
scc_nearby_apart(const scc_nearby_t *nb, int64_t dlon, int64_t dlat)
{
    double  x, y;

    x = (double) dlon * nb->lo_lon;
    y = (double) dlat * nb->lo_lat;

    return sqrt(x * x + y * y) * (SCC_UM * (1 - SCC_NEARBY_PART))
           - SCC_NEARBY_SLACK;
}


/* Around the world the shorter way, 0..180e7. */

static int64_t
scc_nearby_dlon(int64_t west, int64_t east)
{
    int64_t  d;

    d = (west > east) ? west - east : east - west;

    return (d > SCC_CIRCLE / 2) ? SCC_CIRCLE - d : d;
}


/*
 * The cells of a view are not of one moment: a place that moves may be seen
 * in two of them.  It counts once, where it is nearer.
 */

static void
scc_nearby_insert(scc_nearby_t *nb, const scc_nearby_hit_t *hit)
{
    uint32_t  i, last;

    last = nb->n;

    for (i = 0; i < nb->n; i++) {
        if (scc_str_eq(nb->hits[i].id, hit->id)) {

            if (nb->hits[i].distance <= hit->distance) {
                return;
            }

            last = i;
            break;
        }
    }

    if (last == nb->n) {

        if (nb->n < nb->q->k) {
            nb->n++;

        } else {
            last--;

            if (nb->hits[last].distance == hit->distance
                && scc_str_cmp(nb->hits[last].id, hit->id) < 0)
            {
                return;
            }
        }
    }

    for (i = last; i; i--) {

        if (nb->hits[i - 1].distance < hit->distance
            || (nb->hits[i - 1].distance == hit->distance
                && scc_str_cmp(nb->hits[i - 1].id, hit->id) < 0))
        {
            break;
        }

        nb->hits[i] = nb->hits[i - 1];
    }

    nb->hits[i] = *hit;

    if (nb->n == nb->q->k) {
        nb->bound = nb->hits[nb->n - 1].distance;
    }
}


static double
scc_nearby_least(double a, double b)
{
    return (a < b) ? a : b;
}


/* Radius of curvature along the meridian, metres. */

static double
scc_nearby_meridian(double sin_lat)
{
    double  w;

    w = 1 - SCC_WGS84_E2 * sin_lat * sin_lat;

    return SCC_WGS84_A * (1 - SCC_WGS84_E2) / (w * sqrt(w));
}


/* Radius of the circle of latitude. */

static double
scc_nearby_parallel(double lat)
{
    double  s;

    s = sin(lat);

    return SCC_WGS84_A * cos(lat) / sqrt(1 - SCC_WGS84_E2 * s * s);
}


static void
scc_nearby_reduced(int32_t lat, double *sin_u, double *cos_u)
{
    double  t;

    t = (1 - SCC_WGS84_F) * tan(lat * SCC_RAD);

    *cos_u = 1 / sqrt(1 + t * t);
    *sin_u = t * *cos_u;
}
