
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_geo.h"
#include "scc_quest.h"


#define SCC_HILBERT_BITS  24
#define SCC_HILBERT_SIDE  ((uint64_t) 1 << SCC_HILBERT_BITS)
#define SCC_HILBERT_WORLD 3600000000ULL         /* e7 */


uint64_t
scc_hilbert(int32_t lon, int32_t lat)
{
    uint64_t  x, y, t, d, side, right, up;

    x = (uint64_t) ((int64_t) lon + SCC_LON_MAX) * SCC_HILBERT_SIDE
        / (SCC_HILBERT_WORLD + 1);
    y = (uint64_t) ((int64_t) lat + SCC_LON_MAX) * SCC_HILBERT_SIDE
        / (SCC_HILBERT_WORLD + 1);

    for (d = 0, side = SCC_HILBERT_SIDE / 2; side > 0; side /= 2) {
        right = (x & side) > 0;
        up = (y & side) > 0;

        d += side * side * ((3 * right) ^ up);

        /* the curve within a quarter is turned */

        if (!up) {
            if (right) {
                x = SCC_HILBERT_SIDE - 1 - x;
                y = SCC_HILBERT_SIDE - 1 - y;
            }

            t = x;
            x = y;
            y = t;
        }
    }

    return d;
}


void
scc_buf_html(scc_buf_t *b, scc_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {

        switch (s.data[i]) {

        case '<':
            scc_buf_text(b, "&lt;");
            break;

        case '>':
            scc_buf_text(b, "&gt;");
            break;

        case '&':
            scc_buf_text(b, "&amp;");
            break;

        case '"':
            scc_buf_text(b, "&quot;");
            break;

        case '\'':
            scc_buf_text(b, "&#39;");
            break;

        case 0xe2:

            /* U+202A to U+202E, U+2066 to U+2069 */

            if (s.len - i > 2
                && ((s.data[i + 1] == 0x80 && s.data[i + 2] >= 0xaa
                     && s.data[i + 2] <= 0xae)
                    || (s.data[i + 1] == 0x81 && s.data[i + 2] >= 0xa6
                        && s.data[i + 2] <= 0xa9)))
            {
                scc_buf_text(b, "&#xfffd;");
                i += 2;
                break;
            }

            scc_buf_byte(b, s.data[i]);
            break;

        default:
            scc_buf_byte(b, s.data[i]);
        }
    }
}
