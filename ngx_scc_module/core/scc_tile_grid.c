
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_tile_grid.h"

#include <string.h>


#define SCC_GRID_AT_Z       5
#define SCC_GRID_AT_N       6
#define SCC_GRID_AT_X       8
#define SCC_GRID_AT_Y       12
#define SCC_GRID_AT_AS_OF   16
#define SCC_GRID_AT_READ    24
#define SCC_GRID_AT_CRC     32
#define SCC_GRID_AT_ZERO    36


typedef enum {
    SCC_GRID_N = 0,
    SCC_GRID_LEVEL0,
    SCC_GRID_UNKNOWN = SCC_GRID_LEVEL0 + SCC_LEVEL_MAX + 1,
    SCC_GRID_UNREGISTERED,
    SCC_GRID_KEYS,
} scc_grid_key_t;


static int32_t scc_grid_average(int64_t sum, uint32_t n);
static void scc_grid_values(const scc_square_t *s,
    uint32_t values[SCC_GRID_KEYS]);
static uint32_t scc_grid_crc(const uint8_t *p, size_t len);


static const scc_str_t  scc_grid_layer = scc_string("aggregates");

static const scc_str_t  scc_grid_keys[SCC_GRID_KEYS] = {
    scc_string("n"),
    scc_string("level0"),
    scc_string("level1"),
    scc_string("level2"),
    scc_string("level3"),
    scc_string("level4"),
    scc_string("level5"),
    scc_string("unknown"),
    scc_string("unregistered"),
};

static const uint8_t  scc_grid_magic[] = {
    'S', 'C', 'C', 'T', SCC_GRID_FORMAT
};


bool
scc_square_valid(const scc_square_t *s)
{
    int64_t   n;
    uint64_t  sum;
    unsigned  i;

    sum = s->unknown;

    for (i = 0; i <= SCC_LEVEL_MAX; i++) {
        sum += s->level[i];
    }

    n = s->n;

    return s->i < SCC_GRID_MAX
           && n != 0 && sum == s->n && s->registered <= s->n
           && s->sum_lon >= -n * SCC_LON_MAX && s->sum_lon <= n * SCC_LON_MAX
           && s->sum_lat >= -n * SCC_LAT_MAX && s->sum_lat <= n * SCC_LAT_MAX;
}


void
scc_square_centroid(const scc_square_t *s, int32_t *lon, int32_t *lat)
{
    *lon = scc_grid_average(s->sum_lon, s->n);
    *lat = scc_grid_average(s->sum_lat, s->n);
}


void
scc_square_tile(const scc_tile_t *tile, unsigned i, scc_tile_t *square)
{
    unsigned  bit;

    square->z = tile->z + SCC_GRID_ZOOM;
    square->x = tile->x << SCC_GRID_ZOOM;
    square->y = tile->y << SCC_GRID_ZOOM;

    for (bit = 0; bit < SCC_GRID_ZOOM; bit++) {
        square->x |= (i >> (2 * bit) & 1) << bit;
        square->y |= (i >> (2 * bit + 1) & 1) << bit;
    }
}


scc_rc_t
scc_grid_mvt(scc_mvt_t *m, const scc_grid_t *grid, scc_buf_t *out)
{
    int32_t              lon, lat;
    uint32_t             i, key, x, y, values[SCC_GRID_KEYS];
    scc_tile_t           square;
    const scc_square_t  *s;

    scc_mvt_begin(m, &scc_grid_layer, scc_grid_keys, SCC_GRID_KEYS);

    for (i = 0; i < grid->n; i++) {
        s = &grid->squares[i];

        scc_square_centroid(s, &lon, &lat);
        scc_tile_point(&grid->tile, lon, lat, &x, &y);
        scc_square_tile(&grid->tile, s->i, &square);

        scc_mvt_feature(m, scc_cell_key(square.x, square.y), x, y);

        scc_grid_values(s, values);

        for (key = 0; key < SCC_GRID_KEYS; key++) {
            scc_mvt_tag_uint(m, key, values[key]);
        }

        scc_mvt_feature_end(m);
    }

    return scc_mvt_finish(m, out);
}


void
scc_grid_json(scc_buf_t *b, const scc_grid_t *grid)
{
    int32_t              lon, lat;
    uint32_t             i, key, values[SCC_GRID_KEYS];
    scc_tile_t           square;
    const scc_square_t  *s;

    scc_buf_text(b, "{\"type\":\"FeatureCollection\",\"numberMatched\":");
    scc_buf_uint(b, grid->n);
    scc_buf_text(b, ",\"numberReturned\":");
    scc_buf_uint(b, grid->n);
    scc_buf_text(b, ",\"features\":[");

    for (i = 0; i < grid->n; i++) {
        s = &grid->squares[i];

        scc_square_centroid(s, &lon, &lat);
        scc_square_tile(&grid->tile, s->i, &square);

        if (i) {
            scc_buf_byte(b, ',');
        }

        scc_buf_text(b, "{\"type\":\"Feature\",\"id\":");
        scc_buf_uint(b, scc_cell_key(square.x, square.y));
        scc_buf_text(b, ",\"geometry\":{\"type\":\"Point\","
                        "\"coordinates\":[");
        scc_buf_e7(b, lon);
        scc_buf_byte(b, ',');
        scc_buf_e7(b, lat);
        scc_buf_text(b, "]},\"properties\":{");

        scc_grid_values(s, values);

        for (key = 0; key < SCC_GRID_KEYS; key++) {
            scc_buf_text(b, key ? ",\"" : "\"");
            scc_buf_str(b, scc_grid_keys[key]);
            scc_buf_text(b, "\":");
            scc_buf_uint(b, values[key]);
        }

        scc_buf_text(b, "}}");
    }

    scc_buf_text(b, "]}");
}


void
scc_grid_write(scc_buf_t *b, const scc_grid_t *grid)
{
    size_t               start;
    uint8_t             *p;
    uint32_t             i, crc;
    unsigned             level;
    const scc_square_t  *s;

    static const uint8_t  zero[3];

    start = b->used;

    scc_buf_mem(b, scc_grid_magic, sizeof(scc_grid_magic));
    scc_buf_byte(b, (uint8_t) grid->tile.z);
    scc_buf_le16(b, (uint16_t) grid->n);
    scc_buf_le32(b, grid->tile.x);
    scc_buf_le32(b, grid->tile.y);
    scc_buf_le64(b, grid->as_of);
    scc_buf_le64(b, grid->read);
    scc_buf_le32(b, 0);
    scc_buf_le32(b, 0);

    for (i = 0; i < grid->n; i++) {
        s = &grid->squares[i];

        scc_buf_byte(b, (uint8_t) s->i);
        scc_buf_mem(b, zero, sizeof(zero));
        scc_buf_le32(b, s->n);
        scc_buf_le32(b, s->registered);
        scc_buf_le32(b, s->unknown);

        for (level = 0; level <= SCC_LEVEL_MAX; level++) {
            scc_buf_le32(b, s->level[level]);
        }

        scc_buf_le64(b, (uint64_t) s->sum_lon);
        scc_buf_le64(b, (uint64_t) s->sum_lat);
    }

    if (b->error) {
        return;
    }

    p = b->start + start;
    crc = scc_grid_crc(p, b->used - start);

    p[SCC_GRID_AT_CRC] = (uint8_t) crc;
    p[SCC_GRID_AT_CRC + 1] = (uint8_t) (crc >> 8);
    p[SCC_GRID_AT_CRC + 2] = (uint8_t) (crc >> 16);
    p[SCC_GRID_AT_CRC + 3] = (uint8_t) (crc >> 24);
}


scc_rc_t
scc_grid_open(scc_str_t bytes, const scc_tile_t *tile, scc_grid_t *grid)
{
    uint32_t         i;
    unsigned         level;
    scc_square_t    *s;
    const uint8_t   *p;

    p = bytes.data;

    if (bytes.len < SCC_GRID_HEADER
        || memcmp(p, scc_grid_magic, sizeof(scc_grid_magic)) != 0
        || p[SCC_GRID_AT_Z] != tile->z
        || scc_le32(p + SCC_GRID_AT_X) != tile->x
        || scc_le32(p + SCC_GRID_AT_Y) != tile->y
        || scc_le32(p + SCC_GRID_AT_ZERO) != 0)
    {
        return SCC_DECLINED;
    }

    grid->tile = *tile;
    grid->n = scc_le16(p + SCC_GRID_AT_N);
    grid->as_of = scc_le64(p + SCC_GRID_AT_AS_OF);
    grid->read = scc_le64(p + SCC_GRID_AT_READ);

    if (grid->n > SCC_GRID_MAX
        || bytes.len != SCC_GRID_HEADER + (size_t) grid->n * SCC_GRID_ENTRY
        || scc_le32(p + SCC_GRID_AT_CRC) != scc_grid_crc(p, bytes.len))
    {
        return SCC_DECLINED;
    }

    p += SCC_GRID_HEADER;

    for (i = 0; i < grid->n; i++) {
        s = &grid->squares[i];

        s->i = p[0];
        s->n = scc_le32(p + 4);
        s->registered = scc_le32(p + 8);
        s->unknown = scc_le32(p + 12);

        for (level = 0; level <= SCC_LEVEL_MAX; level++) {
            s->level[level] = scc_le32(p + 16 + 4 * level);
        }

        s->sum_lon = (int64_t) scc_le64(p + 40);
        s->sum_lat = (int64_t) scc_le64(p + 48);

        if (p[1] || p[2] || p[3] || !scc_square_valid(s)
            || (i && s->i <= s[-1].i))
        {
            return SCC_DECLINED;
        }

        p += SCC_GRID_ENTRY;
    }

    return SCC_OK;
}


static int32_t
scc_grid_average(int64_t sum, uint32_t n)
{
    int64_t  half;

    half = n / 2;

    return (int32_t) ((sum < 0 ? sum - half : sum + half) / (int64_t) n);
}


static void
scc_grid_values(const scc_square_t *s, uint32_t values[SCC_GRID_KEYS])
{
    unsigned  level;

    values[SCC_GRID_N] = s->n;

    for (level = 0; level <= SCC_LEVEL_MAX; level++) {
        values[SCC_GRID_LEVEL0 + level] = s->level[level];
    }

    values[SCC_GRID_UNKNOWN] = s->unknown;
    values[SCC_GRID_UNREGISTERED] = s->n - s->registered;
}


static uint32_t
scc_grid_crc(const uint8_t *p, size_t len)
{
    uint32_t  crc;

    static const uint8_t  zero[4];

    crc = scc_crc32c(0, p, SCC_GRID_AT_CRC);
    crc = scc_crc32c(crc, zero, sizeof(zero));

    return scc_crc32c(crc, p + SCC_GRID_AT_ZERO, len - SCC_GRID_AT_ZERO);
}
