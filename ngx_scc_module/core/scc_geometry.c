
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_geo.h"
#include "scc_geometry.h"
#include "scc_point.h"


#define SCC_GEOMETRY_BUF_MAX  (64 * 1024 * 1024)
#define SCC_GEOMETRY_DEPTH    SCC_GEOJSON_DEPTH_MAX
#define SCC_GEOMETRY_EMPTY    (-1)      /* height of an array without any */


typedef enum {
    GEOMETRY_SKIP = 0,
    GEOMETRY_OBJECT,
    GEOMETRY_PARTS,                     /* the array of a collection */
    GEOMETRY_COORDS,
} scc_geometry_kind_t;


typedef enum {
    GEOMETRY_OTHER = 0,
    GEOMETRY_TYPE,
    GEOMETRY_COORDINATES,
    GEOMETRY_GEOMETRIES,
} scc_geometry_member_t;


/*
 * "height" is how far an array of coordinates is from its numbers: 0 is a
 * position, 1 a line or ring, 2 a polygon, 3 several.  It is known when the
 * array ends, so a geometry's type may come after its coordinates.
 */

typedef enum {
    GEOMETRY_UNKNOWN = 0,
    GEOMETRY_POINT,
    GEOMETRY_MULTI_POINT,
    GEOMETRY_LINE,
    GEOMETRY_MULTI_LINE,
    GEOMETRY_POLYGON,
    GEOMETRY_MULTI_POLYGON,
    GEOMETRY_COLLECTION,
} scc_geometry_type_t;


struct scc_geometry_s {
    unsigned               depth;
    uint8_t                kind[SCC_GEOMETRY_DEPTH + 1];
    scc_geometry_member_t  member;

    /* the innermost geometry that has coordinates */

    scc_geometry_type_t    type[SCC_GEOMETRY_DEPTH + 1];    /* by depth */
    int                    height[SCC_GEOMETRY_DEPTH + 1];
    int                    top;         /* height of all coordinates */
    unsigned               numbers;
    int64_t                xy[2];
    bool                   bad_shape;
    bool                   bad_number;

    scc_buf_t              pos;         /* of scc_pos_t */
    scc_buf_t              rings;       /* of size_t, ends in pos */
    scc_buf_t              parts;       /* of size_t, ends in rings */
    scc_buf_t              work;

    bool                   found;
    int64_t                lon;
    int64_t                lat;
    scc_feature_fault_t    fault;
};


static void scc_geometry_open(scc_geometry_t *g, bool object);
static void scc_geometry_close(scc_geometry_t *g);
static void scc_geometry_clear(scc_geometry_t *g);
static void scc_geometry_member(scc_geometry_t *g, scc_str_t key);
static scc_geometry_type_t scc_geometry_type(scc_str_t name);
static void scc_geometry_number(scc_geometry_t *g, scc_str_t text);
static void scc_geometry_coords_end(scc_geometry_t *g);
static void scc_geometry_finish(scc_geometry_t *g, scc_geometry_type_t type);
static void scc_geometry_longest(scc_geometry_t *g, scc_pos_t *point);
static void scc_geometry_largest(scc_geometry_t *g, scc_pos_t *point);
static void scc_geometry_push(scc_buf_t *b, size_t n);
static bool scc_geometry_is(scc_str_t value, const char *text);


static const int  scc_geometry_heights[] = {
    0,
    0,      /* Point */
    1,
    1,      /* LineString */
    2,
    2,      /* Polygon */
    3,
    0
};


scc_geometry_t *
scc_geometry_create(void)
{
    scc_geometry_t  *g;

    g = calloc(1, sizeof(scc_geometry_t));
    if (g == NULL) {
        return NULL;
    }

    scc_buf_heap(&g->pos, SCC_GEOMETRY_BUF_MAX);
    scc_buf_heap(&g->rings, SCC_GEOMETRY_BUF_MAX);
    scc_buf_heap(&g->parts, SCC_GEOMETRY_BUF_MAX);
    scc_buf_heap(&g->work, SCC_GEOMETRY_BUF_MAX);

    scc_geometry_reset(g);

    return g;
}


void
scc_geometry_free(scc_geometry_t *g)
{
    if (g == NULL) {
        return;
    }

    scc_buf_free(&g->pos);
    scc_buf_free(&g->rings);
    scc_buf_free(&g->parts);
    scc_buf_free(&g->work);

    free(g);
}


void
scc_geometry_reset(scc_geometry_t *g)
{
    g->depth = 0;
    g->member = GEOMETRY_OTHER;
    g->found = false;
    g->lon = 0;
    g->lat = 0;
    g->fault = SCC_FEATURE_NO_POINT;

    scc_geometry_clear(g);
    scc_buf_reset(&g->work);
}


void
scc_geometry_event(scc_geometry_t *g, scc_geometry_event_t event,
    scc_str_t text)
{
    switch (event) {

    case SCC_GEOMETRY_OBJECT:
        scc_geometry_open(g, true);
        return;

    case SCC_GEOMETRY_ARRAY:
        scc_geometry_open(g, false);
        return;

    case SCC_GEOMETRY_OBJECT_END:
    case SCC_GEOMETRY_ARRAY_END:
        scc_geometry_close(g);
        return;

    case SCC_GEOMETRY_KEY:

        if (g->depth > 0 && g->kind[g->depth] == GEOMETRY_OBJECT) {
            scc_geometry_member(g, text);
        }

        return;

    default:
        break;
    }

    if (g->depth == 0) {

        if (event != SCC_GEOMETRY_NULL) {
            g->fault = SCC_FEATURE_BAD_GEOMETRY;
        }

        return;
    }

    switch (g->kind[g->depth]) {

    case GEOMETRY_OBJECT:

        if (g->member == GEOMETRY_TYPE && event == SCC_GEOMETRY_STRING) {
            g->type[g->depth] = scc_geometry_type(text);

        } else if (g->member == GEOMETRY_COORDINATES
                   && event != SCC_GEOMETRY_NULL)
        {
            g->bad_shape = true;
        }

        break;

    case GEOMETRY_COORDS:

        if (event == SCC_GEOMETRY_NUMBER) {
            scc_geometry_number(g, text);

        } else {
            g->bad_number = true;
        }

        break;

    default:
        break;
    }
}


scc_feature_fault_t
scc_geometry_point(const scc_geometry_t *g, int64_t *lon, int64_t *lat)
{
    *lon = g->lon;
    *lat = g->lat;

    return g->found ? SCC_FEATURE_OK : g->fault;
}


bool
scc_geometry_failed(const scc_geometry_t *g)
{
    return g->pos.error || g->rings.error || g->parts.error || g->work.error;
}


static void
scc_geometry_open(scc_geometry_t *g, bool object)
{
    scc_geometry_kind_t  kind;

    if (g->depth == SCC_GEOMETRY_DEPTH) {
        return;                             /* JSON's own limit is less */
    }

    kind = GEOMETRY_SKIP;

    if (g->depth == 0) {

        if (object) {
            kind = GEOMETRY_OBJECT;

        } else {
            g->fault = SCC_FEATURE_BAD_GEOMETRY;
        }

    } else {

        switch (g->kind[g->depth]) {

        case GEOMETRY_OBJECT:

            if (g->member == GEOMETRY_COORDINATES && !object) {
                scc_geometry_clear(g);
                kind = GEOMETRY_COORDS;

            } else if (g->member == GEOMETRY_COORDINATES) {
                g->bad_shape = true;

            } else if (g->member == GEOMETRY_GEOMETRIES && !object) {
                kind = GEOMETRY_PARTS;
            }

            break;

        case GEOMETRY_PARTS:

            if (object) {
                kind = GEOMETRY_OBJECT;
            }

            break;

        case GEOMETRY_COORDS:

            kind = GEOMETRY_COORDS;

            if (object || g->numbers > 0) {
                g->bad_shape = true;
            }

            break;

        default:
            break;
        }
    }

    g->depth++;
    g->kind[g->depth] = (uint8_t) kind;
    g->height[g->depth] = SCC_GEOMETRY_EMPTY;

    if (kind == GEOMETRY_OBJECT) {
        g->type[g->depth] = GEOMETRY_UNKNOWN;
        scc_geometry_clear(g);
    }
}


static void
scc_geometry_close(scc_geometry_t *g)
{
    if (g->depth == 0) {
        return;
    }

    switch (g->kind[g->depth]) {

    case GEOMETRY_COORDS:
        scc_geometry_coords_end(g);
        break;

    case GEOMETRY_OBJECT:

        if (!g->found) {
            scc_geometry_finish(g, g->type[g->depth]);
        }

        break;

    default:
        break;
    }

    g->depth--;
}


static void
scc_geometry_clear(scc_geometry_t *g)
{
    g->top = SCC_GEOMETRY_EMPTY;
    g->numbers = 0;
    g->bad_shape = false;
    g->bad_number = false;

    scc_buf_reset(&g->pos);
    scc_buf_reset(&g->rings);
    scc_buf_reset(&g->parts);
}


static void
scc_geometry_member(scc_geometry_t *g, scc_str_t key)
{
    if (scc_geometry_is(key, "type")) {
        g->member = GEOMETRY_TYPE;

    } else if (scc_geometry_is(key, "coordinates")) {
        g->member = GEOMETRY_COORDINATES;

    } else if (scc_geometry_is(key, "geometries")) {
        g->member = GEOMETRY_GEOMETRIES;

    } else {
        g->member = GEOMETRY_OTHER;
    }
}


static scc_geometry_type_t
scc_geometry_type(scc_str_t name)
{
    static const struct {
        const char           *name;
        scc_geometry_type_t   type;
    } *t, types[] = {
        { "Point", GEOMETRY_POINT },
        { "MultiPoint", GEOMETRY_MULTI_POINT },
        { "LineString", GEOMETRY_LINE },
        { "MultiLineString", GEOMETRY_MULTI_LINE },
        { "Polygon", GEOMETRY_POLYGON },
        { "MultiPolygon", GEOMETRY_MULTI_POLYGON },
        { "GeometryCollection", GEOMETRY_COLLECTION },
        { NULL, GEOMETRY_UNKNOWN }
    };

    for (t = types; t->name; t++) {

        if (scc_geometry_is(name, t->name)) {
            break;
        }
    }

    return t->type;
}


static void
scc_geometry_number(scc_geometry_t *g, scc_str_t text)
{
    int64_t  e7;

    if (g->height[g->depth] > 0) {
        g->bad_shape = true;
        return;
    }

    g->height[g->depth] = 0;

    if (g->numbers < 2) {

        /* JSON's grammar leaves but one way to be refused: too large */

        if (scc_e7_parse(text, SCC_E7_NEAREST, &e7) != SCC_OK) {
            e7 = (text.data[0] == '-') ? -SCC_GEOJSON_FAR : SCC_GEOJSON_FAR;
        }

        g->xy[g->numbers] = e7;
    }

    g->numbers++;
}


static void
scc_geometry_coords_end(scc_geometry_t *g)
{
    int        height;
    uint8_t   *p;
    scc_pos_t  pos;

    height = g->height[g->depth];

    switch (height) {

    case SCC_GEOMETRY_EMPTY:
        break;

    case 0:

        if (g->numbers < 2) {
            g->bad_shape = true;
            g->numbers = 0;
            break;
        }

        pos.x = (double) g->xy[0];
        pos.y = (double) g->xy[1];

        p = scc_buf_reserve(&g->pos, sizeof(scc_pos_t));

        if (p) {
            memcpy(p, &pos, sizeof(scc_pos_t));
        }

        g->numbers = 0;
        break;

    case 1:
        scc_geometry_push(&g->rings, g->pos.used / sizeof(scc_pos_t));
        break;

    case 2:
        scc_geometry_push(&g->parts, g->rings.used / sizeof(size_t));
        break;

    case 3:
        break;

    default:
        g->bad_shape = true;
        break;
    }

    if (g->kind[g->depth - 1] != GEOMETRY_COORDS) {
        g->top = height;
        return;
    }

    if (height == SCC_GEOMETRY_EMPTY) {
        return;
    }

    if (g->height[g->depth - 1] == SCC_GEOMETRY_EMPTY) {
        g->height[g->depth - 1] = height + 1;

    } else if (g->height[g->depth - 1] != height + 1) {
        g->bad_shape = true;
    }
}


static void
scc_geometry_finish(scc_geometry_t *g, scc_geometry_type_t type)
{
    scc_pos_t  point;

    if (type == GEOMETRY_COLLECTION) {
        return;
    }

    if (type != GEOMETRY_UNKNOWN && g->bad_number) {
        g->fault = SCC_FEATURE_BAD_NUMBER;
        return;
    }

    if (type == GEOMETRY_UNKNOWN || g->bad_shape) {
        g->fault = SCC_FEATURE_BAD_GEOMETRY;
        return;
    }

    if (g->top == SCC_GEOMETRY_EMPTY || g->pos.used == 0) {
        g->fault = SCC_FEATURE_NO_POINT;
        return;
    }

    if (g->top != scc_geometry_heights[type]) {
        g->fault = SCC_FEATURE_BAD_GEOMETRY;
        return;
    }

    if (scc_geometry_failed(g)) {
        return;
    }

    switch (type) {

    case GEOMETRY_LINE:
    case GEOMETRY_MULTI_LINE:
        scc_geometry_longest(g, &point);
        break;

    case GEOMETRY_POLYGON:
    case GEOMETRY_MULTI_POLYGON:
        scc_geometry_largest(g, &point);
        break;

    default:
        memcpy(&point, g->pos.start, sizeof(scc_pos_t));
        break;
    }

    g->found = true;
    g->lon = (int64_t) point.x;
    g->lat = (int64_t) point.y;
}


static void
scc_geometry_longest(scc_geometry_t *g, scc_pos_t *point)
{
    size_t            i, n, from, best, best_n;
    double            length, longest;
    const size_t     *end;
    const scc_pos_t  *pos;

    end = (const size_t *) (const void *) g->rings.start;
    pos = (const scc_pos_t *) (const void *) g->pos.start;

    from = 0;
    best = 0;
    best_n = 0;
    longest = -1;
    n = g->rings.used / sizeof(size_t);

    for (i = 0; i < n; i++) {
        length = scc_point_length(pos + from, end[i] - from);

        if (length > longest) {
            longest = length;
            best = from;
            best_n = end[i] - from;
        }

        from = end[i];
    }

    scc_point_line(pos + best, best_n, point);
}


static void
scc_geometry_largest(scc_geometry_t *g, scc_pos_t *point)
{
    size_t         i, n, from, start;
    double         area, largest;
    scc_rings_t    rings, best;
    const size_t  *ring_end, *part_end;

    ring_end = (const size_t *) (const void *) g->rings.start;
    part_end = (const size_t *) (const void *) g->parts.start;

    memset(&best, 0, sizeof(scc_rings_t));

    from = 0;
    start = 0;
    largest = 0;
    n = g->parts.used / sizeof(size_t);

    for (i = 0; i < n; i++) {
        rings.pos = (const scc_pos_t *) (const void *) g->pos.start;
        rings.start = start;
        rings.end = ring_end + from;
        rings.n = part_end[i] - from;

        area = scc_point_area(&rings);

        if (best.n == 0 || area > largest) {
            largest = area;
            best = rings;
        }

        from = part_end[i];
        start = ring_end[from - 1];
    }

    (void) scc_point_polygon(&best, &g->work, point);
}


static void
scc_geometry_push(scc_buf_t *b, size_t n)
{
    uint8_t  *p;

    p = scc_buf_reserve(b, sizeof(size_t));

    if (p) {
        memcpy(p, &n, sizeof(size_t));
    }
}


static bool
scc_geometry_is(scc_str_t value, const char *text)
{
    size_t  len;

    len = strlen(text);

    return value.len == len && memcmp(value.data, text, len) == 0;
}
