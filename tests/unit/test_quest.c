
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_geo.h"
#include "scc_quest.h"


/* Of a coarse grid, each step of the curve is to a neighbour. */

static void
test_curve(void **state)
{
    int       x, y, at[256], k, dx, dy;
    uint64_t  d;

    (void) state;

    memset(at, -1, sizeof(at));

    for (x = 0; x < 16; x++) {
        for (y = 4; y < 12; y++) {
            d = scc_hilbert((int32_t) (-1800000000LL + x * 225000000LL
                                       + 112500000),
                            (int32_t) (-1800000000LL + y * 225000000LL
                                       + 112500000))
                >> 40;
            assert_true(d < 256);
            assert_int_equal(at[d], -1);
            at[d] = x * 16 + y;
        }
    }

    for (k = 1; k < 256; k++) {

        if (at[k] < 0 || at[k - 1] < 0) {
            continue;
        }

        dx = at[k] / 16 - at[k - 1] / 16;
        dy = at[k] % 16 - at[k - 1] % 16;
        assert_int_equal(dx * dx + dy * dy, 1);
    }

    /* the corners of the world, and 2 m */

    (void) scc_hilbert(SCC_LON_MAX, SCC_LAT_MAX);
    (void) scc_hilbert(-SCC_LON_MAX, -SCC_LAT_MAX);
    assert_true(scc_hilbert(1270000000, 375000000)
                != scc_hilbert(1270000300, 375000000));
    assert_true(scc_hilbert(1270000000, 375000000)
                == scc_hilbert(1270000001, 375000000));
}


static void
test_html(void **state)
{
    uint8_t    text[128];
    scc_buf_t  b;

    (void) state;

    scc_buf_fixed(&b, text, sizeof(text) - 1);
    scc_buf_html(&b, S("<a href=\"x\">&'한</a>"
                        "\u202e\u2069\u2030\xe2"));
    text[b.used] = '\0';

    assert_string_equal((char *) text, "&lt;a href=&quot;x&quot;&gt;&amp;"
                        "&#39;한&lt;/a&gt;&#xfffd;&#xfffd;\u2030\xe2");
}


int
main(void)
{
    static const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_curve),
        cmocka_unit_test(test_html),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
