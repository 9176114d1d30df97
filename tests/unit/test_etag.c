
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_etag.h"
#include "scc_keys.h"


static uint64_t
query_hash(const char *path, const char *args)
{
    scc_err_t    err;
    scc_query_t  q;

    static const scc_query_conf_t  conf = { 100, 1000, 256 };

    assert_int_equal(scc_query_path(&q, &conf, scc_test_z(path), &err),
                     SCC_OK);
    assert_int_equal(scc_query_args(&q, &conf, scc_test_z(args), &err),
                     SCC_OK);

    return scc_etag_query(&q);
}


static void
test_write(void **state)
{
    size_t    i;
    uint8_t   b[SCC_ETAG_LEN + 1];

    static const struct {
        uint64_t      hash;
        scc_coding_t  coding;
        const char   *text;
    } cases[] = {
        { 0, SCC_CODING_IDENTITY, "\"v1-0000000000000-i\"" },
        { 31, SCC_CODING_GZIP, "\"v1-000000000000z-g\"" },
        { 32, SCC_CODING_GZIP, "\"v1-0000000000010-g\"" },
        { UINT64_MAX, SCC_CODING_IDENTITY, "\"v1-fzzzzzzzzzzzz-i\"" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(cases); i++) {
        b[SCC_ETAG_LEN] = 0xa5;

        assert_ptr_equal(scc_etag_write(b, SCC_ETAG_CELLS, cases[i].hash,
                                        cases[i].coding),
                         b + SCC_ETAG_LEN);
        assert_str(scc_test_str((char *) b, SCC_ETAG_LEN), cases[i].text);
        assert_int_equal(b[SCC_ETAG_LEN], 0xa5);
    }

    (void) scc_etag_write(b, SCC_ETAG_BYTES, 0, SCC_CODING_GZIP);
    assert_str(scc_test_str((char *) b, SCC_ETAG_LEN),
               "\"b1-0000000000000-g\"");
}


/* Everything that was asked for counts. */

static void
test_query(void **state)
{
    size_t    i, k;
    uint64_t  hash[32];

    static const struct {
        const char  *path;
        const char  *args;
    } cases[] = {
        { "cells/16/10-12/20-22.json", "" },
        { "cells/16/10-12/20-23.json", "" },
        { "cells/16/11-12/20-22.json", "" },
        { "tiles/16/10/20.json", "" },
        { "tiles/15/10/20.json", "" },
        { "tiles/15/10/20.mvt", "" },
        { "places", "bbox=1,2,3,4" },
        { "places", "bbox=1,2,3,4.0" },
        { "places", "bbox=1,2,3,5" },
        { "places", "bbox=3,2,1,4" },
        { "places", "bbox=1,2,3,4&limit=99" },
        { "places", "bbox=1,2,3,4&level_max=0" },
        { "places", "bbox=1,2,3,4&level_max=1" },
        { "places", "bbox=1,2,3,4&registered=true" },
        { "places", "bbox=1,2,3,4&registered=false" },
        { "places", "bbox=1,2,3,4&has_slope=true" },
        { "places", "bbox=1,2,3,4&has_slope=false" },
        { "places", "bbox=1,2,3,4&category=A" },
        { "places", "bbox=1,2,3,4&category=B" },
        { "places", "bbox=1,2,3,4&category=AB" },
        { "places", "bbox=1,2,3,4&cursor=AQAAAABh" },
        { "places", "bbox=1,2,3,4&cursor=AQAAAABi" },
        { "places", "bbox=1,2,3,4&cursor=AQAAAAFh" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(cases); i++) {
        hash[i] = query_hash(cases[i].path, cases[i].args);

        assert_int_equal(hash[i], query_hash(cases[i].path, cases[i].args));

        for (k = 0; k < i; k++) {
            if (hash[k] == hash[i]) {
                fail_msg("%s?%s is as %s?%s", cases[i].path, cases[i].args,
                         cases[k].path, cases[k].args);
            }
        }
    }

    /* as any other order of parameters */

    assert_int_equal(query_hash("places", "bbox=1,2,3,4&limit=9"
                                "&category=A"),
                     query_hash("places", "category=A&limit=9"
                                "&bbox=1%2C2,3,4"));
}


static void
test_cells(void **state)
{
    size_t           i;
    uint64_t         hash;
    scc_view_cell_t  cells[3], other[3];

    (void) state;

    memset(cells, 0, sizeof(cells));

    for (i = 0; i < 3; i++) {
        cells[i].key = (uint32_t) (100 + i);
        cells[i].blob.ver = 7;
        cells[i].blob.crc = (uint32_t) (11 * i);
    }

    hash = scc_etag_cells(1, cells, 3);

    assert_int_equal(scc_etag_cells(1, cells, 3), hash);
    assert_int_not_equal(scc_etag_cells(2, cells, 3), hash);
    assert_int_not_equal(scc_etag_cells(1, cells, 2), hash);
    assert_int_not_equal(scc_etag_cells(1, cells, 0),
                         scc_etag_cells(2, cells, 0));

    for (i = 0; i < 3; i++) {
        memcpy(other, cells, sizeof(cells));
        other[i].blob.ver++;
        assert_int_not_equal(scc_etag_cells(1, other, 3), hash);

        memcpy(other, cells, sizeof(cells));
        other[i].blob.crc ^= 0x80000000;
        assert_int_not_equal(scc_etag_cells(1, other, 3), hash);

        memcpy(other, cells, sizeof(cells));
        other[i].key += 0x10000;
        assert_int_not_equal(scc_etag_cells(1, other, 3), hash);
    }

    /* what a reader, a lease or a change do to a header is no change of
       the body */

    memcpy(other, cells, sizeof(cells));
    other[1].blob.state = SCC_BLOB_STALE;
    other[1].blob.floor = 9;
    other[1].blob.lease = 9;
    assert_int_equal(scc_etag_cells(1, other, 3), hash);
}


static void
test_bytes(void **state)
{
    size_t    n, i, k;
    uint8_t   b[40];
    uint64_t  hash[40];

    (void) state;

    memset(b, 0, sizeof(b));

    for (n = 0; n < 40; n++) {
        hash[n] = scc_etag_bytes(0, scc_test_str((char *) b, n));

        for (k = 0; k < n; k++) {
            assert_int_not_equal(hash[k], hash[n]);
        }

        for (i = 0; i < n; i++) {
            b[i] = 1;
            assert_int_not_equal(scc_etag_bytes(0, scc_test_str((char *) b,
                                                                n)),
                                 hash[n]);
            b[i] = 0;
        }
    }
}


/* A million versions of one cell, no hash twice in a table of 2^40. */

static int
compare(const void *a, const void *b)
{
    uint64_t  x, y;

    x = *(const uint64_t *) a;
    y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}


static void
test_spread(void **state)
{
    size_t            i, n, same;
    uint64_t         *all;
    scc_view_cell_t   cell;

    (void) state;

    n = 1000000;
    same = 0;

    all = malloc(n * sizeof(uint64_t));
    assert_non_null(all);

    memset(&cell, 0, sizeof(cell));

    for (i = 0; i < n; i++) {
        cell.blob.ver = i;
        all[i] = scc_etag_cells(0, &cell, 1);
    }

    qsort(all, n, sizeof(uint64_t), compare);

    for (i = 1; i < n; i++) {
        assert_true(all[i - 1] != all[i]);
        same += (all[i - 1] >> 24 == all[i] >> 24);
    }

    /* n^2 / 2^41 is 0.45: of the first 40 bits hardly any are the same */

    assert_true(same < 8);

    free(all);
}


static void
test_match(void **state)
{
    size_t  i;

    static const struct {
        const char  *list;
        bool         weak;
        bool         strong;
    } cases[] = {
        { "\"a\"", true, true },
        { "W/\"a\"", true, false },
        { "*", true, true },
        { " * ", true, true },
        { "\"b\", \"a\"", true, true },
        { "\"b\",\"a\"", true, true },
        { "W/\"b\", W/\"a\"", true, false },
        { "W/\"a\", \"a\"", true, true },
        { ", ,\"a\"", true, true },
        { "\"b,\", \"a\"", true, true },
        { "\"\", \"a\"", true, true },
        { "\t\"a\"\t", true, true },
        { "\"\xea\xb3\x84\", \"a\"", true, true },

        { "", false, false },
        { "\"b\"", false, false },
        { "a", false, false },
        { "\"a", false, false },
        { "a\"", false, false },
        { "\"A\"", false, false },
        { "\"a \"", false, false },
        { "\"ab\"", false, false },
        { "\"\"", false, false },
        { "w/\"a\"", false, false },
        { "W \"a\"", false, false },
        { "W/", false, false },
        { "W", false, false },
        { "\"b\", *", false, false },
        { "*, \"b\"", false, false },
        { "**", false, false },
        { "b, \"a\"", false, false },
        { "\"b\" \"a\"", false, false },
        { "\"b\"\"a\"", false, false },
        { "\"b\" \x7f, \"a\"", false, false },
    };

    (void) state;

    for (i = 0; i < scc_test_items(cases); i++) {
        if (scc_etag_match(scc_test_z(cases[i].list), S("\"a\""), true)
            != cases[i].weak
            || scc_etag_match(scc_test_z(cases[i].list), S("\"a\""), false)
               != cases[i].strong)
        {
            fail_msg("list: %s", cases[i].list);
        }
    }
}


static void
test_keys(void **state)
{
    size_t    i;
    uint8_t   b[SCC_KEYS_AREA * (SCC_KEY_MAX + 1)], *end;
    uint8_t   longest[SCC_ID_MAX];

    static const struct {
        scc_cells_t   cells[2];
        unsigned      n;
        const char   *keys;
    } cases[] = {
        { { { 55888, 55888, 25388, 25388 } }, 1, "c14-13972-6347" },
        { { { 0, 3, 0, 3 } }, 1, "c14-0-0" },
        { { { 3, 4, 3, 4 } }, 1, "c14-0-0 c14-0-1 c14-1-0 c14-1-1" },
        { { { 0, 11, 0, 11 } }, 1,
          "c14-0-0 c14-0-1 c14-0-2 c14-1-0 c14-1-1 c14-1-2 "
          "c14-2-0 c14-2-1 c14-2-2" },
        { { { 0, 12, 0, 11 } }, 1, "c11-0-0" },
        { { { 0, 32, 0, 11 } }, 1, "c11-0-0 c11-1-0" },
        { { { 65535, 65535, 8, 9 }, { 0, 0, 8, 9 } }, 2,
          "c14-16383-2 c14-0-2" },
        { { { 65535, 65535, 0, 255 } }, 1,
          "c11-2047-0 c11-2047-1 c11-2047-2 c11-2047-3 c11-2047-4 "
          "c11-2047-5 c11-2047-6 c11-2047-7" },
        { { { 0, 32 * 3 - 1, 0, 32 * 3 } }, 1, "" },
        { { { 0, 65535, 0, 65535 } }, 1, "" },
    };

    static const struct {
        const char  *id;
        const char  *key;
    } places[] = {
        { "a", "p-a" },
        { "AZaz09._-", "p-AZaz09._-" },
    };

    static const char *const  odd[] = {
        "node/1", "a b", "a,b", "\xea\xb3\x84", "a:b", "~", "a~b", "a\nb"
    };

    (void) state;

    for (i = 0; i < scc_test_items(cases); i++) {
        end = scc_keys_area(b, cases[i].cells, cases[i].n);
        assert_str(scc_test_str((char *) b, (size_t) (end - b)),
                   cases[i].keys);
    }

    end = scc_key_cell(b, SCC_KEY_Z_COARSE, scc_cell_key(55888, 25388));
    assert_str(scc_test_str((char *) b, (size_t) (end - b)),
               "c11-1746-793");

    for (i = 0; i < scc_test_items(places); i++) {
        end = scc_key_place(b, scc_test_z(places[i].id));
        assert_str(scc_test_str((char *) b, (size_t) (end - b)),
                   places[i].key);
    }

    memset(longest, 'x', sizeof(longest));
    end = scc_key_place(b, scc_test_str((char *) longest, SCC_ID_MAX));
    assert_int_equal(end - b, SCC_KEY_MAX);

    for (i = 0; i < scc_test_items(odd); i++) {
        end = scc_key_place(b, scc_test_z(odd[i]));
        assert_int_equal(end - b, 3 + SCC_ETAG_DIGITS);
        assert_memory_equal(b, "p-~", 3);
        assert_int_equal(strspn((char *) b + 3, "0123456789"
                                "abcdefghjkmnpqrstvwxyz")
                         >= SCC_ETAG_DIGITS, 1);
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
