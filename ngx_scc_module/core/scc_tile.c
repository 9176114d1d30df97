
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_tile.h"

#include <math.h>
#include <string.h>


/* What invalid UTF-8 becomes is three times as long. */

#define SCC_TILE_NAME_MAX  (3 * SCC_NAME_MAX)

#define SCC_TILE_UNITS     12           /* 2^12 = SCC_MVT_EXTENT */
#define SCC_TILE_PI        3.14159265358979323846

#define scc_tile_skip_text(s, text)                                           \
    scc_tile_skip(s, text, sizeof(text) - 1)


typedef enum {
    SCC_TILE_ID = 0,
    SCC_TILE_NAME,
    SCC_TILE_CATEGORY,
    SCC_TILE_LEVEL,
    SCC_TILE_REGISTERED,
    SCC_TILE_SLOPE,
    SCC_TILE_KEYS,
} scc_tile_key_t;


/*
 * The projection around one latitude, as a polynomial.  Within a cell's
 * height, and not near the poles, it is right to 1e-4 of a unit: the next
 * term is less.
 */

#define SCC_TILE_NEAR      60000        /* e7; a cell has 54932 at most */
#define SCC_TILE_NEAR_LAT  850000000

typedef struct {
    int32_t     lat;
    double      y;                      /* units from the tile's edge */
    double      d[3];                   /* and per e7, its square, cube */
} scc_tile_row_t;


static uint32_t scc_tile_x(const scc_tile_t *tile, int32_t lon);
static double scc_tile_y(const scc_tile_t *tile, int32_t lat);
static uint32_t scc_tile_unit(double y);
static void scc_tile_row(scc_tile_row_t *row, const scc_tile_t *tile,
    int32_t lat);
static uint32_t scc_tile_row_y(const scc_tile_row_t *row,
    const scc_tile_t *tile, int32_t lat);
static scc_rc_t scc_tile_place(scc_mvt_t *m, const scc_tile_t *tile,
    const scc_tile_row_t *row, const scc_blob_t *blob,
    const scc_blob_entry_t *e);
static scc_rc_t scc_tile_name(scc_str_t frag, uint8_t *block,
    scc_str_t *name);
static bool scc_tile_skip(scc_str_t *s, const char *text, size_t n);
static scc_rc_t scc_tile_unescape(const uint8_t **from, const uint8_t *end,
    uint8_t **to);


static const scc_str_t  scc_tile_layer = scc_string("places");

static const scc_str_t  scc_tile_keys[SCC_TILE_KEYS] = {
    scc_string("id"),
    scc_string("name"),
    scc_string("category"),
    scc_string("level"),
    scc_string("registered"),
    scc_string("hasSlope"),
};


void
scc_tile_point(const scc_tile_t *tile, int32_t lon, int32_t lat,
    uint32_t *x, uint32_t *y)
{
    *x = scc_tile_x(tile, lon);
    *y = scc_tile_unit(scc_tile_y(tile, lat));
}


uint64_t
scc_tile_id(scc_str_t id)
{
    size_t    i;
    uint64_t  hash;

    hash = 14695981039346656037u;

    for (i = 0; i < id.len; i++) {
        hash = (hash ^ id.data[i]) * 1099511628211u;
    }

    return (hash >> 53) ^ (hash & (((uint64_t) 1 << 53) - 1));
}


scc_rc_t
scc_tile_places(scc_mvt_t *m, const scc_tile_t *tile,
    const scc_view_cell_t *cells, size_t n, scc_buf_t *out)
{
    size_t             i;
    uint32_t           j;
    scc_rc_t           rc;
    scc_tile_row_t     row;
    scc_blob_entry_t   e;
    const scc_blob_t  *blob;

    scc_mvt_begin(m, &scc_tile_layer, scc_tile_keys, SCC_TILE_KEYS);

    for (i = 0; i < n; i++) {
        blob = &cells[i].blob;

        for (j = 0; j < blob->n; j++) {
            scc_blob_entry(blob, j, &e);

            if (j == 0) {
                scc_tile_row(&row, tile, e.lat);
            }

            rc = scc_tile_place(m, tile, &row, blob, &e);

            if (rc != SCC_OK) {
                return rc;
            }
        }
    }

    return scc_mvt_finish(m, out);
}


static uint32_t
scc_tile_x(const scc_tile_t *tile, int32_t lon)
{
    int64_t  n;

    n = ((int64_t) lon + SCC_LON_MAX) << (tile->z + SCC_TILE_UNITS);
    n = (n + SCC_LON_MAX) / (2 * (int64_t) SCC_LON_MAX)
        - ((int64_t) tile->x << SCC_TILE_UNITS);

    return (n < 0) ? 0
           : (n >= SCC_MVT_EXTENT) ? SCC_MVT_EXTENT - 1 : (uint32_t) n;
}


static double
scc_tile_y(const scc_tile_t *tile, int32_t lat)
{
    double  units;

    units = (double) ((uint64_t) 1 << (tile->z + SCC_TILE_UNITS))
            / SCC_CELL_SIDE;

    return scc_cell_yf(lat) * units
           - (double) ((uint64_t) tile->y << SCC_TILE_UNITS);
}


static uint32_t
scc_tile_unit(double y)
{
    if (!(y > 0)) {
        return 0;
    }

    return (y >= SCC_MVT_EXTENT - 1) ? SCC_MVT_EXTENT - 1
                                     : (uint32_t) (y + 0.5);
}


static void
scc_tile_row(scc_tile_row_t *row, const scc_tile_t *tile, int32_t lat)
{
    double  e7, sec, tg, units;

    row->lat = lat;
    row->y = scc_tile_y(tile, lat);

    /* asinh(tan(lat)) and its derivatives: sec, sec tan, sec (1 + 2 tan^2) */

    e7 = SCC_TILE_PI / 180e7;
    tg = tan(lat * e7);
    sec = sqrt(1 + tg * tg);
    units = -(double) ((uint64_t) 1 << (tile->z + SCC_TILE_UNITS))
            / (2 * SCC_TILE_PI);

    row->d[0] = units * sec * e7;
    row->d[1] = units * sec * tg * e7 * e7 / 2;
    row->d[2] = units * sec * (1 + 2 * tg * tg) * e7 * e7 * e7 / 6;
}


static uint32_t
scc_tile_row_y(const scc_tile_row_t *row, const scc_tile_t *tile,
    int32_t lat)
{
    double   d;
    int64_t  far;

    far = (int64_t) lat - row->lat;

    if (far < -SCC_TILE_NEAR || far > SCC_TILE_NEAR
        || lat < -SCC_TILE_NEAR_LAT || lat > SCC_TILE_NEAR_LAT)
    {
        return scc_tile_unit(scc_tile_y(tile, lat));
    }

    d = (double) far;

    return scc_tile_unit(row->y + d * (row->d[0]
                                       + d * (row->d[1] + d * row->d[2])));
}


static scc_rc_t
scc_tile_place(scc_mvt_t *m, const scc_tile_t *tile,
    const scc_tile_row_t *row, const scc_blob_t *blob,
    const scc_blob_entry_t *e)
{
    uint8_t    block[SCC_TILE_NAME_MAX];
    unsigned   level;
    scc_str_t  name;

    if (scc_tile_name(e->frag, block, &name) != SCC_OK) {
        return SCC_DECLINED;
    }

    scc_mvt_feature(m, scc_tile_id(e->id), scc_tile_x(tile, e->lon),
                    scc_tile_row_y(row, tile, e->lat));

    scc_mvt_tag_str(m, SCC_TILE_ID, e->id);
    scc_mvt_tag_str(m, SCC_TILE_NAME, name);

    if (e->cat != SCC_BLOB_NO_CAT) {
        scc_mvt_tag_str(m, SCC_TILE_CATEGORY,
                        scc_blob_category(blob, e->cat));
    }

    level = e->flags & SCC_FLAG_LEVEL;

    if (level <= SCC_LEVEL_MAX) {
        scc_mvt_tag_uint(m, SCC_TILE_LEVEL, level);
    }

    scc_mvt_tag_bool(m, SCC_TILE_REGISTERED, e->flags & SCC_FLAG_REGISTERED);

    if (e->flags & (SCC_FLAG_SLOPE_YES | SCC_FLAG_SLOPE_NO)) {
        scc_mvt_tag_bool(m, SCC_TILE_SLOPE, e->flags & SCC_FLAG_SLOPE_YES);
    }

    scc_mvt_feature_end(m);

    return SCC_OK;
}


/*
 * The name in a fragment, which only scc_place_feature() writes: what comes
 * before it is known byte by byte but for the id and the coordinates.  In
 * the fragment itself where nothing is escaped, else in the block.
 */

static scc_rc_t
scc_tile_name(scc_str_t frag, uint8_t *block, scc_str_t *name)
{
    uint8_t        *to;
    const uint8_t  *p, *end;

    if (!scc_tile_skip_text(&frag, "{\"type\":\"Feature\",\"id\":\"")) {
        return SCC_DECLINED;
    }

    end = frag.data + frag.len;

    for (p = frag.data; p < end && *p != '"'; p++) {
        if (*p == '\\' && ++p == end) {
            return SCC_DECLINED;
        }
    }

    frag.data = p;
    frag.len = (size_t) (end - p);

    if (!scc_tile_skip_text(&frag, "\",\"geometry\":{\"type\":\"Point\","
                                   "\"coordinates\":["))
    {
        return SCC_DECLINED;
    }

    for (p = frag.data; p < end && *p != ']'; p++) { /* void */ }

    frag.data = p;
    frag.len = (size_t) (end - p);

    if (!scc_tile_skip_text(&frag, "]},\"properties\":{\"name\":\"")) {
        return SCC_DECLINED;
    }

    for (p = frag.data; p < end && *p != '"' && *p != '\\'; p++) {
        /* void */
    }

    if (p == end || p - frag.data > SCC_TILE_NAME_MAX) {
        return SCC_DECLINED;
    }

    name->data = frag.data;
    name->len = (size_t) (p - frag.data);

    if (*p == '"') {
        return SCC_OK;
    }

    memcpy(block, name->data, name->len);

    to = block + name->len;

    while (p < end && *p != '"') {

        /* an escape becomes three bytes at most */

        if (block + SCC_TILE_NAME_MAX - to < 3) {
            return SCC_DECLINED;
        }

        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }

        if (scc_tile_unescape(&p, end, &to) != SCC_OK) {
            return SCC_DECLINED;
        }
    }

    if (p == end) {
        return SCC_DECLINED;
    }

    name->data = block;
    name->len = (size_t) (to - block);

    return SCC_OK;
}


static bool
scc_tile_skip(scc_str_t *s, const char *text, size_t n)
{
    if (s->len < n || memcmp(s->data, text, n) != 0) {
        return false;
    }

    s->data += n;
    s->len -= n;

    return true;
}


/* One escape, as scc_buf_json() writes them: \u only for other controls. */

static scc_rc_t
scc_tile_unescape(const uint8_t **from, const uint8_t *end, uint8_t **to)
{
    size_t          i;
    uint8_t         c;
    uint32_t        code;
    const uint8_t  *p;

    static const char  names[] = "\"\\nrt";
    static const char  codes[] = "\"\\\n\r\t";

    p = *from + 1;

    if (p == end) {
        return SCC_DECLINED;
    }

    for (i = 0; i < sizeof(names) - 1; i++) {
        if (*p == (uint8_t) names[i]) {
            *(*to)++ = (uint8_t) codes[i];
            *from = p + 1;
            return SCC_OK;
        }
    }

    if (*p != 'u' || end - p < 5) {
        return SCC_DECLINED;
    }

    code = 0;

    for (i = 1; i <= 4; i++) {
        c = p[i];

        if (c >= '0' && c <= '9') {
            c = (uint8_t) (c - '0');

        } else if (c >= 'a' && c <= 'f') {
            c = (uint8_t) (c - 'a' + 10);

        } else {
            return SCC_DECLINED;
        }

        code = code << 4 | c;
    }

    if (code >= 0x80) {
        return SCC_DECLINED;
    }

    *(*to)++ = (uint8_t) code;
    *from = p + 5;

    return SCC_OK;
}
