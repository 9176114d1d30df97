
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


/* mkstemp() */

#define _GNU_SOURCE

#include "scc_test.h"

#include <unistd.h>

#include <zlib.h>

#include "scc_gzip.h"


#define MAX_PIECES  4096


/* What a join should inflate to, and what it made. */

typedef struct {
    scc_buf_t         own;
    scc_buf_t         plain;
    scc_buf_t         bytes;
    scc_gzip_join_t   join;
    scc_gzip_piece_t  pieces[MAX_PIECES];
} joined_t;


static joined_t  joined;


static void
join_begin(void)
{
    scc_buf_heap(&joined.own, 0);
    scc_buf_heap(&joined.plain, 0);
    scc_buf_heap(&joined.bytes, 0);

    scc_gzip_join_begin(&joined.join, &joined.own, joined.pieces,
                        MAX_PIECES);
}


static void
join_text(scc_str_t text)
{
    scc_gzip_join_text(&joined.join, text);
    scc_buf_str(&joined.plain, text);
}


static void
join_slice(const scc_gzip_slice_t *slice, scc_str_t text)
{
    scc_gzip_join_slice(&joined.join, slice);
    scc_buf_str(&joined.plain, text);
}


/* Ends it, puts the pieces together and inflates them. */

static void
join_check(void)
{
    int               rc;
    size_t            i;
    uint8_t          *out;
    z_stream          z;
    scc_gzip_piece_t *p;

    assert_int_equal(scc_gzip_join_end(&joined.join), SCC_OK);

    for (i = 0; i < joined.join.n; i++) {
        p = &joined.pieces[i];

        assert_true(p->len > 0);
        assert_true((p->data == NULL) == (p->slice == NULL));

        scc_buf_mem(&joined.bytes,
                    p->data ? p->data : joined.own.start + p->at, p->len);
    }

    assert_false(joined.bytes.error || joined.plain.error);
    assert_int_equal(joined.bytes.used, joined.join.len);

    memset(&z, 0, sizeof(z));
    assert_int_equal(inflateInit2(&z, 31), Z_OK);

    out = malloc(joined.plain.used + 1);
    assert_non_null(out);

    z.next_in = joined.bytes.start;
    z.avail_in = (uInt) joined.bytes.used;
    z.next_out = out;
    z.avail_out = (uInt) joined.plain.used + 1;

    rc = inflate(&z, Z_FINISH);

    /* the end, with CRC-32 and ISIZE as they should be, and nothing after */

    assert_int_equal(rc, Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    assert_int_equal(z.total_out, joined.plain.used);

    if (joined.plain.used) {
        assert_memory_equal(out, joined.plain.start, joined.plain.used);
    }

    free(out);
    (void) inflateEnd(&z);
}


static void
join_free(void)
{
    scc_buf_free(&joined.own);
    scc_buf_free(&joined.plain);
    scc_buf_free(&joined.bytes);
}


static uint8_t *
make_slice(scc_gzip_deflater_t *d, scc_str_t text, scc_gzip_slice_t *slice)
{
    size_t    room;
    uint8_t  *out;

    room = scc_gzip_bound(text.len);

    out = malloc(room);
    assert_non_null(out);

    assert_int_equal(scc_gzip_slice(d, text, out, room, slice), SCC_OK);
    assert_int_equal(slice->size, text.len);
    assert_int_equal(slice->crc,
                     text.len ? crc32_z(0, text.data, text.len) : 0);

    return out;
}


/* Text that repeats itself, text that does not, and in between. */

static void
make_text(uint64_t *seed, uint8_t *p, size_t n)
{
    size_t    i;
    uint64_t  kind;

    kind = scc_test_random(seed) % 3;

    for (i = 0; i < n; i++) {
        p[i] = (kind == 0) ? (uint8_t) scc_test_random(seed)
               : (kind == 1) ? (uint8_t) "{\"name\":null},"[i % 14]
               : (uint8_t) ('a' + scc_test_random(seed) % 4);
    }
}


static void
test_empty(void **state)
{
    uint8_t               out[64];
    scc_gzip_slice_t      slice;
    scc_gzip_deflater_t  *d;

    (void) state;

    join_begin();
    join_check();
    assert_int_equal(joined.join.n, 1);
    assert_int_equal(joined.join.len, 20);
    join_free();

    d = scc_gzip_deflater_create(6);
    assert_non_null(d);

    assert_int_equal(scc_gzip_slice(d, S(""), out, sizeof(out), &slice),
                     SCC_OK);
    assert_int_equal(slice.size, 0);
    assert_int_equal(slice.len, 0);

    join_begin();
    join_slice(&slice, S(""));
    join_text(S(""));
    join_check();
    assert_int_equal(joined.join.len, 20);
    join_free();

    scc_gzip_deflater_free(d);
    scc_gzip_deflater_free(NULL);
}


static void
test_one_byte(void **state)
{
    int                   level;
    uint8_t              *out;
    scc_gzip_slice_t      slice;
    scc_gzip_deflater_t  *d;

    (void) state;

    join_begin();
    join_text(S("x"));
    join_check();
    join_free();

    for (level = SCC_GZIP_LEVEL_MIN; level <= SCC_GZIP_LEVEL_MAX; level++) {
        d = scc_gzip_deflater_create(level);
        assert_non_null(d);

        out = make_slice(d, S("x"), &slice);

        join_begin();
        join_slice(&slice, S("x"));
        join_check();
        join_free();

        join_begin();
        join_slice(&slice, S("x"));
        join_text(S(","));
        join_slice(&slice, S("x"));
        join_slice(&slice, S("x"));
        join_text(S("]"));
        join_text(S("}"));
        join_check();

        /* header; three slices; between the first two; the end */

        assert_int_equal(joined.join.n, 7);
        assert_ptr_equal(joined.pieces[1].slice, &slice);
        assert_int_equal(joined.pieces[2].len, 5);
        assert_int_equal(joined.pieces[4].len, 4);
        assert_int_equal(joined.pieces[6].len, 4 + 2 + 10);
        join_free();

        free(out);
        scc_gzip_deflater_free(d);
    }
}


/* Texts around what one stored block holds, whole and in parts. */

static void
test_stored(void **state)
{
    size_t       i, n, cut;
    uint8_t     *text;
    uint64_t     seed;

    static const size_t  sizes[] = {
        65534, 65535, 65536, 131069, 131070, 131071, 200000
    };

    (void) state;

    seed = 3;

    text = malloc(200000);
    assert_non_null(text);

    make_text(&seed, text, 200000);

    for (i = 0; i < scc_test_items(sizes); i++) {
        n = sizes[i];

        join_begin();
        join_text(scc_test_str((char *) text, n));
        join_check();
        assert_int_equal(joined.join.len, 20 + n + (n + 65534) / 65535 * 5);
        join_free();

        cut = (size_t) scc_test_range(&seed, 1, (int64_t) n - 1);

        join_begin();
        join_text(scc_test_str((char *) text, cut));
        join_text(scc_test_str((char *) text + cut, n - cut));
        join_check();
        assert_int_equal(joined.join.len, 20 + n + (n + 65534) / 65535 * 5);
        join_free();
    }

    free(text);
}


/* Random texts and slices of all levels and sizes, in random order. */

static void
test_random(void **state)
{
    int                   round;
    size_t                i, n, len, from;
    uint8_t              *text, *out[40];
    uint64_t              seed;
    scc_str_t             s[40];
    scc_gzip_slice_t      slices[40];
    scc_gzip_deflater_t  *d;

    (void) state;

    seed = 5;

    text = malloc(400000);
    assert_non_null(text);

    for (round = 0; round < 60; round++) {
        d = scc_gzip_deflater_create((int) scc_test_range(&seed, 1, 9));
        assert_non_null(d);

        make_text(&seed, text, 400000);

        for (i = 0; i < 40; i++) {
            len = (size_t) scc_test_range(&seed, 0, 16);
            len = (size_t) scc_test_range(&seed, 0, 1 << len);
            from = (size_t) scc_test_range(&seed, 0,
                                           (int64_t) (400000 - len));

            s[i] = scc_test_str((char *) text + from, len);
            out[i] = make_slice(d, s[i], &slices[i]);
        }

        join_begin();

        for (n = 0; n < 200; n++) {
            i = scc_test_random(&seed) % 40;

            if (scc_test_random(&seed) % 3) {
                join_slice(&slices[i], s[i]);

            } else {
                join_text(scc_test_str((char *) s[i].data, s[i].len % 99));
            }
        }

        join_check();
        join_free();

        for (i = 0; i < 40; i++) {
            free(out[i]);
        }

        scc_gzip_deflater_free(d);
    }

    free(text);
}


/* A slice of several texts is the slice of all of them. */

static void
test_pieces(void **state)
{
    uint8_t               a[256], b[256];
    scc_str_t             text;
    scc_gzip_slice_t      one, many;
    scc_gzip_deflater_t  *d;

    (void) state;

    text = S("{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}");

    d = scc_gzip_deflater_create(6);
    assert_non_null(d);

    assert_int_equal(scc_gzip_slice(d, text, a, sizeof(a), &one), SCC_OK);

    scc_gzip_slice_begin(d, b, sizeof(b));
    scc_gzip_slice_add(d, scc_test_str((char *) text.data, 10));
    scc_gzip_slice_add(d, S(""));
    scc_gzip_slice_add(d, scc_test_str((char *) text.data + 10,
                                       text.len - 10));
    assert_int_equal(scc_gzip_slice_end(d, &many), SCC_OK);

    assert_int_equal(one.size, many.size);
    assert_int_equal(one.crc, many.crc);
    assert_int_equal(one.op, many.op);
    assert_int_equal(one.len, many.len);
    assert_memory_equal(one.data, many.data, one.len);

    scc_gzip_deflater_free(d);
}


/* However little room there is: an error, never a byte outside, and the
   deflater is as good as new. */

static void
test_room(void **state)
{
    size_t                n, room, need;
    uint8_t              *out, text[300];
    uint64_t              seed;
    scc_str_t             s;
    scc_gzip_slice_t      slice;
    scc_gzip_deflater_t  *d;

    (void) state;

    d = scc_gzip_deflater_create(1);
    assert_non_null(d);

    seed = 9;

    for (n = 1; n <= sizeof(text); n += 13) {
        make_text(&seed, text, n);
        s = scc_test_str((char *) text, n);

        need = 0;

        for (room = 0; room <= scc_gzip_bound(n); room++) {
            out = malloc(room ? room : 1);
            assert_non_null(out);

            if (scc_gzip_slice(d, s, out, room, &slice) == SCC_OK) {
                need = need ? need : room;

                join_begin();
                join_slice(&slice, s);
                join_check();
                join_free();

            } else {
                assert_int_equal(need, 0);
                assert_int_equal(slice.size, 0);
            }

            free(out);
        }

        assert_int_not_equal(need, 0);
    }

    scc_gzip_deflater_free(d);
}


static void
test_pieces_max(void **state)
{
    uint8_t               out[64];
    scc_buf_t             own;
    scc_gzip_join_t       j;
    scc_gzip_piece_t      pieces[3];
    scc_gzip_slice_t      slice;
    scc_gzip_deflater_t  *d;

    (void) state;

    d = scc_gzip_deflater_create(6);
    assert_non_null(d);

    assert_int_equal(scc_gzip_slice(d, S("a"), out, sizeof(out), &slice),
                     SCC_OK);

    scc_buf_heap(&own, 0);

    scc_gzip_join_begin(&j, &own, pieces, 3);
    scc_gzip_join_slice(&j, &slice);
    assert_int_equal(scc_gzip_join_end(&j), SCC_OK);

    scc_buf_reset(&own);

    scc_gzip_join_begin(&j, &own, pieces, 3);
    scc_gzip_join_slice(&j, &slice);
    scc_gzip_join_slice(&j, &slice);
    assert_int_equal(scc_gzip_join_end(&j), SCC_ERROR);

    scc_buf_free(&own);

    /* own bytes without room */

    scc_buf_fixed(&own, out, 12);

    scc_gzip_join_begin(&j, &own, pieces, 3);
    scc_gzip_join_text(&j, S("a text that is too long"));
    assert_int_equal(scc_gzip_join_end(&j), SCC_ERROR);

    scc_gzip_deflater_free(d);
}


/* ISIZE is modulo 2^32, and the CRC of 6 GiB is right: of zeros, whose CRC
   zlib can combine from one slice's, by doubling. */

static void
test_size(void **state)
{
    size_t                i, n;
    uint8_t              *zeros, *out, *end;
    uint32_t              crc, isize;
    scc_str_t             text;
    scc_gzip_slice_t      slice;
    scc_gzip_deflater_t  *d;

    (void) state;

    n = 4 * 1024 * 1024;

    zeros = calloc(1, n);
    assert_non_null(zeros);

    text = scc_test_str((char *) zeros, n);

    d = scc_gzip_deflater_create(1);
    assert_non_null(d);

    out = make_slice(d, text, &slice);

    join_begin();
    crc = 0;

    for (i = 0; i < 1536; i++) {
        scc_gzip_join_slice(&joined.join, &slice);

        crc = (uint32_t) crc32_combine(crc, slice.crc, (z_off_t) n);
    }

    assert_int_equal(scc_gzip_join_end(&joined.join), SCC_OK);

    end = joined.own.start + joined.own.used - 8;
    isize = (uint32_t) end[4] | (uint32_t) end[5] << 8
            | (uint32_t) end[6] << 16 | (uint32_t) end[7] << 24;

    assert_int_equal(isize, (uint32_t) (1536ULL * n & UINT32_MAX));
    assert_int_equal(isize, 2147483648U);
    assert_int_equal((uint32_t) end[0] | (uint32_t) end[1] << 8
                     | (uint32_t) end[2] << 16 | (uint32_t) end[3] << 24,
                     crc);

    join_free();
    free(zeros);
    free(out);
    scc_gzip_deflater_free(d);
}


/* By other programs than this one. */

static void
test_other_readers(void **state)
{
    FILE                 *f;
    char                  gz[] = "/tmp/scc-gzip-XXXXXX", plain[64],
                          command[512];
    int                   fd;
    size_t                i;
    uint8_t              *out;
    scc_gzip_slice_t      slice;
    scc_gzip_deflater_t  *d;

    static const char *const  readers[] = {
        "gzip -t < $1",
        "zcat < $1 | cmp - $2",
        "/usr/bin/python3 -c 'import gzip, sys\n"
        "a, b = (open(x, \"rb\").read() for x in sys.argv[1:])\n"
        "assert gzip.decompress(a) == b' $1 $2",
    };

    (void) state;

    d = scc_gzip_deflater_create(6);
    assert_non_null(d);

    out = make_slice(d, S("{\"a\":1},{\"a\":1}"), &slice);

    join_begin();
    join_text(S("{\"features\":["));

    for (i = 0; i < 300; i++) {
        join_slice(&slice, S("{\"a\":1},{\"a\":1}"));
        join_text(S(","));
    }

    join_text(S("null]}"));
    join_check();

    fd = mkstemp(gz);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, joined.bytes.start, joined.bytes.used),
                     joined.bytes.used);
    (void) close(fd);

    (void) snprintf(plain, sizeof(plain), "%s.plain", gz);

    f = fopen(plain, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(joined.plain.start, 1, joined.plain.used, f),
                     joined.plain.used);
    (void) fclose(f);

    for (i = 0; i < scc_test_items(readers); i++) {
        (void) snprintf(command, sizeof(command), "set -- %s %s; %s", gz,
                        plain, readers[i]);
        assert_int_equal(system(command), 0);
    }

    (void) unlink(gz);
    (void) unlink(plain);

    join_free();
    free(out);
    scc_gzip_deflater_free(d);
}


static void
test_accepted(void **state)
{
    size_t  i;

    static const struct {
        const char  *value;
        bool         accepted;
    } cases[] = {
        { "gzip", true },
        { "gzip, deflate, br, zstd", true },
        { "deflate,GZip", true },
        { "x-gzip", true },
        { "*", true },
        { "br;q=1.0, gzip;q=0.8, *;q=0.1", true },
        { "gzip;q=0.001", true },
        { "gzip ; q=1", true },
        { "gzip;Q=0.5", true },
        { "gzip;level=9;q=1.000", true },
        { "\tgzip\t", true },
        { ", ,gzip", true },
        { "identity;q=0.5, gzip", true },
        { "identity;q=0, *", true },
        { "gzip;q=0, x-gzip", true },

        { "", false },
        { "identity", false },
        { "deflate, br", false },
        { "gzip;q=0", false },
        { "gzip;q=0.0", false },
        { "gzip;q=0.000", false },
        { "gzip;q=0, *", false },
        { "*;q=0", false },
        { "identity, gzip;q=0.5", false },
        { "gzipped", false },
        { "xgzip", false },
        { "gzi", false },
        { "gzip;q=", false },
        { "gzip;q=2", false },
        { "gzip;q=1.001", false },
        { "gzip;q=-1", false },
        { "gzip;q=0.0001", false },
        { "gzip;q=x", false },
        { "gzip;q=0,5", false },
    };

    (void) state;

    for (i = 0; i < scc_test_items(cases); i++) {
        if (scc_gzip_accepted(scc_test_z(cases[i].value))
            != cases[i].accepted)
        {
            fail_msg("Accept-Encoding: %s", cases[i].value);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_one_byte),
        cmocka_unit_test(test_stored),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_pieces_max),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_other_readers),
        cmocka_unit_test(test_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
