
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_keys.h"

#include <string.h>

#include "scc_etag.h"


#define SCC_KEY_SEED  0x5343432d4b657921ULL


static uint64_t scc_keys_count(const scc_cells_t *cells, unsigned n,
    unsigned z);
static uint8_t *scc_key_tile(uint8_t *p, unsigned z, uint32_t x, uint32_t y);


uint8_t *
scc_key_cell(uint8_t *p, unsigned z, uint32_t cell)
{
    unsigned  shift;

    shift = SCC_CELL_Z - z;

    return scc_key_tile(p, z, scc_cell_key_x(cell) >> shift,
                        scc_cell_key_y(cell) >> shift);
}


uint8_t *
scc_key_place(uint8_t *p, scc_str_t id)
{
    size_t    i;
    uint8_t   c;
    uint64_t  hash;

    *p++ = 'p';
    *p++ = '-';

    for (i = 0; i < id.len; i++) {
        c = id.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'))
        {
            break;
        }
    }

    if (i == id.len) {
        memcpy(p, id.data, id.len);

        return p + id.len;
    }

    hash = scc_etag_bytes(SCC_KEY_SEED, id);

    *p++ = '~';

    return scc_etag_digits(p, hash);
}


uint8_t *
scc_keys_area(uint8_t *p, const scc_cells_t *cells, unsigned n)
{
    bool      first;
    uint32_t  x, y;
    unsigned  i, z, shift;

    z = SCC_KEY_Z_FINE;

    if (scc_keys_count(cells, n, z) > SCC_KEYS_AREA) {
        z = SCC_KEY_Z_COARSE;

        if (scc_keys_count(cells, n, z) > SCC_KEYS_AREA) {
            return p;
        }
    }

    shift = SCC_CELL_Z - z;
    first = true;

    for (i = 0; i < n; i++) {
        for (x = cells[i].x0 >> shift; x <= cells[i].x1 >> shift; x++) {
            for (y = cells[i].y0 >> shift; y <= cells[i].y1 >> shift; y++) {

                if (!first) {
                    *p++ = ' ';
                }

                first = false;
                p = scc_key_tile(p, z, x, y);
            }
        }
    }

    return p;
}


static uint64_t
scc_keys_count(const scc_cells_t *cells, unsigned n, unsigned z)
{
    uint64_t  count;
    unsigned  i, shift;

    shift = SCC_CELL_Z - z;
    count = 0;

    for (i = 0; i < n; i++) {
        count += (uint64_t) ((cells[i].x1 >> shift)
                             - (cells[i].x0 >> shift) + 1)
                 * ((cells[i].y1 >> shift) - (cells[i].y0 >> shift) + 1);
    }

    return count;
}


static uint8_t *
scc_key_tile(uint8_t *p, unsigned z, uint32_t x, uint32_t y)
{
    scc_buf_t  b;

    scc_buf_fixed(&b, p, SCC_KEY_MAX);

    scc_buf_byte(&b, 'c');
    scc_buf_uint(&b, z);
    scc_buf_byte(&b, '-');
    scc_buf_uint(&b, x);
    scc_buf_byte(&b, '-');
    scc_buf_uint(&b, y);

    return p + b.used;
}
