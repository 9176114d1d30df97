
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test_journal.h"


static void
test_kinds(void **state)
{
    unsigned    i;
    scc_kind_t  kind;

    static const char *const  names[] = {
        "place", "place_accessibility", "building", "building_accessibility",
        "comment", "report", "retract", "restore", "contributor", "erase",
        "remove", "reinstate", "photo"
    };

    (void) state;

    for (i = 0; i < scc_test_items(names); i++) {
        assert_str(scc_kind_name((scc_kind_t) (i + 1)), names[i]);
        assert_int_equal(scc_kind_parse(scc_test_z(names[i]), &kind),
                         SCC_OK);
        assert_int_equal(kind, i + 1);
    }

    assert_int_equal(scc_kind_name((scc_kind_t) 0).len, 0);
    assert_int_equal(scc_kind_name((scc_kind_t) 14).len, 0);
    assert_int_equal(scc_kind_name((scc_kind_t) -1).len, 0);

    assert_int_equal(scc_kind_parse(S(""), &kind), SCC_DECLINED);
    assert_int_equal(scc_kind_parse(S("plac"), &kind), SCC_DECLINED);
    assert_int_equal(scc_kind_parse(S("Place"), &kind), SCC_DECLINED);
    assert_int_equal(scc_kind_parse(S("place\0"), &kind), SCC_DECLINED);
}


static void
test_block_0(void **state)
{
    char           host[200];
    size_t         i;
    uint8_t        block[SCC_JOURNAL_BLOCK], zero[4] = { 0 };
    uint32_t       chain, crc;
    scc_segment_t  s, t;

    (void) state;

    scc_test_segment(&s, 0x0102030405060708ULL);

    s.last_hlc = 5;
    memset(s.previous, 'p', 16);
    s.previous_chain = 0xaabbccdd;

    chain = scc_segment_write(block, &s);

    assert_memory_equal(block, "SCCJ0001\x01\0\x01\0", 12);
    assert_int_equal(scc_le32(block + 12), chain);
    assert_memory_equal(block + 16, s.segment, 16);
    assert_memory_equal(block + 32, s.writer, 16);
    assert_memory_equal(block + 48, s.store, 16);
    assert_memory_equal(block + 64, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    assert_int_equal(scc_le64(block + 72), s.created);
    assert_int_equal(scc_le64(block + 80), 5);
    assert_memory_equal(block + 88, s.previous, 16);
    assert_memory_equal(block + 104, "\xdd\xcc\xbb\xaa", 4);
    assert_int_equal(scc_le32(block + 108), 12);
    assert_memory_equal(block + 112, "journal.test", 12);

    for (i = 124; i < sizeof(block); i++) {
        assert_int_equal(block[i], 0);
    }

    crc = scc_crc32c(0, block, 12);
    crc = scc_crc32c(crc, zero, 4);
    crc = scc_crc32c(crc, block + 16, sizeof(block) - 16);
    assert_int_equal(crc, chain);

    memset(&t, 0, sizeof(scc_segment_t));
    assert_int_equal(scc_segment_read(block, &t, &crc), SCC_OK);
    assert_int_equal(crc, chain);
    assert_memory_equal(t.segment, s.segment, 16);
    assert_memory_equal(t.writer, s.writer, 16);
    assert_memory_equal(t.store, s.store, 16);
    assert_memory_equal(t.previous, s.previous, 16);
    assert_int_equal(t.number, s.number);
    assert_int_equal(t.created, s.created);
    assert_int_equal(t.last_hlc, s.last_hlc);
    assert_int_equal(t.previous_chain, s.previous_chain);
    assert_str(t.host, "journal.test");

    for (i = 0; i < sizeof(block) * 8; i++) {
        block[i / 8] ^= (uint8_t) (1 << i % 8);
        assert_int_equal(scc_segment_read(block, &t, &crc), SCC_DECLINED);
        block[i / 8] ^= (uint8_t) (1 << i % 8);
    }

    /* true to its crc, but of another format, or with a wrong length */

    memset(host, 'h', sizeof(host));
    s.host = scc_test_str(host, sizeof(host));
    (void) scc_segment_write(block, &s);
    assert_int_equal(scc_segment_read(block, &t, &crc), SCC_OK);
    assert_int_equal(t.host.len, SCC_JOURNAL_HOST_MAX);

    for (i = 8; i <= 108; i += 100) {
        (void) scc_segment_write(block, &s);
        block[i]++;

        crc = scc_crc32c(0, block, 12);
        crc = scc_crc32c(crc, zero, 4);
        crc = scc_crc32c(crc, block + 16, sizeof(block) - 16);
        memcpy(block + 12, &crc, 4);

        assert_int_equal(scc_segment_read(block, &t, &crc), SCC_DECLINED);
    }
}


static void
test_record(void **state)
{
    char             body[SCC_TEST_BODY_MAX];
    size_t           len, size;
    uint64_t         number;
    scc_buf_t        b;
    scc_str_t        bytes;
    scc_record_t     r, t;
    const uint8_t   *p;

    (void) state;

    scc_buf_heap(&b, 0);

    for (number = 0; number < 300; number++) {
        scc_test_record(&r, number, 30 + number * 7, body);

        scc_buf_reset(&b);
        scc_record_write(&b, &r);
        assert_false(b.error);
        assert_int_equal(b.used % 8, 0);
        assert_int_equal(b.used, scc_record_size(&r));

        p = b.start;
        len = 88 + r.key.len + r.target.len + r.contributor_id.len
              + r.contributor_name.len + r.body.len;

        assert_int_equal(scc_le32(p), len);
        assert_int_equal(scc_le32(p + 4), scc_crc32c(0, p + 8, len - 8));
        assert_int_equal(scc_le16(p + 8), 1);
        assert_int_equal(p[10], 1 + number % 10);
        assert_int_equal(p[11], 0);
        assert_int_equal(scc_le16(p + 12), r.key.len);
        assert_int_equal(scc_le16(p + 14), 2);
        assert_int_equal(scc_le16(p + 16), 3);
        assert_int_equal(scc_le16(p + 18), r.contributor_name.len);
        assert_int_equal(scc_le32(p + 20), r.body.len);
        assert_int_equal(scc_le64(p + 24), 1000 + number);
        assert_int_equal(scc_le64(p + 32), r.received);
        assert_memory_equal(p + 40, r.event_id, 16);
        assert_memory_equal(p + 56, r.sha256, 32);

        /* what follows the record does not matter */

        scc_buf_text(&b, "more");
        bytes = scc_buf_get(&b);

        memset(&t, 0, sizeof(scc_record_t));
        assert_int_equal(scc_record_read(bytes, &t, &size), SCC_OK);
        assert_int_equal(size, b.used - 4);
        assert_int_equal(t.kind, r.kind);
        assert_int_equal(t.hlc, r.hlc);
        assert_int_equal(t.received, r.received);
        assert_memory_equal(t.event_id, r.event_id, 16);
        assert_memory_equal(t.sha256, r.sha256, 32);
        assert_true(scc_str_eq(t.key, r.key));
        assert_true(scc_str_eq(t.target, r.target));
        assert_true(scc_str_eq(t.contributor_id, r.contributor_id));
        assert_true(scc_str_eq(t.contributor_name, r.contributor_name));
        assert_true(scc_str_eq(t.body, r.body));
    }

    scc_buf_free(&b);
}


/* Cut or changed anywhere, it is refused; the copy ends where it ends. */

static void
test_record_damage(void **state)
{
    char          body[SCC_TEST_BODY_MAX];
    size_t        i, size;
    uint8_t      *copy;
    scc_buf_t     b;
    scc_record_t  r, t;

    (void) state;

    scc_buf_heap(&b, 0);
    scc_test_record(&r, 8, 100, body);
    scc_record_write(&b, &r);
    assert_int_not_equal(scc_le32(b.start) % 8, 0);

    for (i = 0; i < b.used; i++) {
        copy = malloc(i + 1);
        assert_non_null(copy);
        memcpy(copy, b.start, i);

        size = 1;
        assert_int_equal(scc_record_read(scc_test_str((char *) copy, i), &t,
                                         &size), SCC_DECLINED);
        assert_int_equal(size, 0);
        free(copy);

        /* the same where the rest is there, but not counted */

        assert_int_equal(scc_record_read(scc_test_str((char *) b.start, i),
                                         &t, &size), SCC_DECLINED);
    }

    for (i = 0; i < b.used * 8; i++) {
        b.start[i / 8] ^= (uint8_t) (1 << i % 8);
        assert_int_equal(scc_record_read(scc_buf_get(&b), &t, &size),
                         SCC_DECLINED);
        assert_int_equal(size, 0);
        b.start[i / 8] ^= (uint8_t) (1 << i % 8);
    }

    assert_int_equal(scc_record_read(scc_buf_get(&b), &t, &size), SCC_OK);

    scc_buf_free(&b);
}


static void
test_record_limits(void **state)
{
    char          body[SCC_TEST_BODY_MAX], *big, text[600];
    size_t        i, j, size;
    scc_buf_t     b;
    scc_record_t  r, t;

    static const size_t  limits[] = { 255, 64, 64, 512 };

    const scc_str_t  texts[] = {
        S(""), S("the most"), S("too much"), S("a\0b"), S("\xff"),
        S("\xea\xb3")
    };

    scc_str_t *const  parts[] = {
        &r.key, &r.target, &r.contributor_id, &r.contributor_name
    };

    (void) state;

    memset(text, 'a', sizeof(text));
    scc_buf_heap(&b, 0);

    for (i = 0; i < 4; i++) {

        for (j = 0; j < 6; j++) {
            scc_test_record(&r, 1, 50, body);
            *parts[i] = texts[j];

            if (j == 1 || j == 2) {
                parts[i]->data = (const uint8_t *) text;
                parts[i]->len = limits[i] + j - 1;
            }

            scc_buf_reset(&b);
            scc_record_write(&b, &r);

            assert_int_equal(b.error, j > 1);
            assert_int_equal(scc_record_size(&r), b.used);

            if (j < 2) {
                assert_int_equal(scc_record_read(scc_buf_get(&b), &t, &size),
                                 SCC_OK);
            }
        }
    }

    for (i = 0; i <= SCC_KIND_LAST + 1; i += SCC_KIND_LAST + 1) {
        scc_test_record(&r, 1, 50, body);
        r.kind = (scc_kind_t) i;
        assert_int_equal(scc_record_size(&r), 0);
    }

    /* all of it: exactly the most, and one byte more */

    big = calloc(1, SCC_JOURNAL_RECORD_MAX);
    assert_non_null(big);
    memset(&r, 0, sizeof(scc_record_t));
    r.kind = SCC_KIND_PLACE;
    r.body = scc_test_str(big, SCC_JOURNAL_RECORD_MAX - 88);
    assert_int_equal(scc_record_size(&r), SCC_JOURNAL_RECORD_MAX);

    scc_buf_reset(&b);
    scc_record_write(&b, &r);
    assert_int_equal(scc_record_read(scc_buf_get(&b), &t, &size), SCC_OK);
    assert_int_equal(size, SCC_JOURNAL_RECORD_MAX);

    r.body.len++;
    assert_int_equal(scc_record_size(&r), 0);
    r.body.len = SIZE_MAX - 8;
    assert_int_equal(scc_record_size(&r), 0);

    free(big);
    scc_buf_free(&b);
}


/* Whole, but not for this program: it can be kept and passed over. */

static void
test_record_unknown(void **state)
{
    char          body[SCC_TEST_BODY_MAX];
    size_t        i, size;
    uint32_t      crc;
    scc_buf_t     b;
    scc_record_t  r, t;

    static const struct {
        size_t    at;
        uint8_t   byte;
    } changes[] = {
        { 8, 2 }, { 9, 1 }, { 10, 0 }, { 10, SCC_KIND_LAST + 1 }, { 11, 1 },
        { 88, 0xff },               /* the target's first byte */
    };

    (void) state;

    scc_buf_heap(&b, 0);
    scc_test_record(&r, 3, 100, body);

    for (i = 0; i < scc_test_items(changes); i++) {
        scc_buf_reset(&b);
        scc_record_write(&b, &r);

        b.start[changes[i].at] = changes[i].byte;
        crc = scc_crc32c(0, b.start + 8, scc_le32(b.start) - 8);
        memcpy(b.start + 4, &crc, 4);

        assert_int_equal(scc_record_read(scc_buf_get(&b), &t, &size),
                         SCC_DECLINED);
        assert_int_equal(size, b.used);
        assert_memory_equal(t.event_id, r.event_id, 16);
    }

    scc_buf_free(&b);
}


static void
test_batch(void **state)
{
    size_t         len;
    uint8_t        ids[16] = { 0 }, block[SCC_JOURNAL_BLOCK], previous[4];
    uint32_t       chain, want;
    unsigned       i, n;
    scc_buf_t      b;
    scc_chain_t    c;
    scc_segment_t  s;
    const uint8_t *p;

    (void) state;

    scc_buf_heap(&b, 0);
    scc_test_segment(&s, 0);
    chain = scc_segment_write(block, &s);
    scc_chain_begin(&c, &s, chain);

    for (i = 0; i < 5; i++) {
        n = 1 + i * 9;
        scc_test_batch(&b, &c, 100 * i, n, 200);
        p = b.start;

        for (len = 64; len < b.used && scc_le32(p + len);
             len += (scc_le32(p + len) + 7) & ~7U)
        {
            for (unsigned j = 0; j < 16; j++) {
                ids[j] ^= p[len + 40 + j];
            }
        }

        assert_int_equal(b.used, (len + 4095) / 4096 * 4096);
        assert_memory_equal(p, "SCCB\x01\0\0\0", 8);
        assert_int_equal(scc_le64(p + 8), i);
        assert_memory_equal(p + 16, s.segment, 8);
        assert_int_equal(scc_le32(p + 24), n);
        assert_int_equal(scc_le32(p + 28), len - 64);
        assert_int_equal(scc_le64(p + 32), 1000 + 100 * i);
        assert_int_equal(scc_le64(p + 40), 1000 + 100 * i + n - 1);
        assert_int_equal(scc_le32(p + 48),
                         scc_crc32c(0, p + 64, len - 64));

        memcpy(previous, &chain, 4);
        want = scc_crc32c(scc_crc32c(0, previous, 4), p, 52);
        assert_int_equal(scc_le32(p + 52), want);
        assert_int_equal(scc_le32(p + 56), scc_crc32c(0, p, 56));
        assert_int_equal(scc_le32(p + 60), 0);
        chain = want;

        for ( ; len < b.used; len++) {
            assert_int_equal(p[len], 0);
        }

        assert_int_equal(c.next, i + 1);
        assert_int_equal(c.chain, chain);
    }

    assert_int_equal(c.records, 95);
    assert_int_equal(c.first_hlc, 1000);
    assert_int_equal(c.last_hlc, 1436);
    assert_memory_equal(c.ids, ids, 16);

    assert_int_equal(scc_batch_seal(&b, &c), SCC_OK);
    p = b.start;

    assert_int_equal(b.used, 4096);
    assert_memory_equal(p, "SCCB\x02\0\0\0", 8);
    assert_int_equal(scc_le64(p + 8), 5);
    assert_int_equal(scc_le32(p + 24), 0);
    assert_int_equal(scc_le32(p + 28), 64);
    assert_int_equal(scc_le64(p + 64), 95);
    assert_int_equal(scc_le64(p + 72), 1000);
    assert_int_equal(scc_le64(p + 80), 1436);
    assert_memory_equal(p + 88, ids, 16);
    assert_int_equal(scc_le64(p + 104), 5);

    for (len = 112; len < 4096; len++) {
        assert_int_equal(p[len], 0);
    }

    assert_int_equal(c.next, 6);
    assert_int_equal(c.chain, scc_le32(p + 52));

    scc_buf_free(&b);
}


static void
test_batch_errors(void **state)
{
    char          body[SCC_TEST_BODY_MAX], *big;
    uint8_t       small[2 * SCC_JOURNAL_BLOCK];
    unsigned      i;
    scc_buf_t     b;
    scc_batch_t   batch;
    scc_chain_t   c, before;
    scc_record_t  r;

    (void) state;

    memset(&c, 7, sizeof(scc_chain_t));
    before = c;

    /* nothing added */

    scc_buf_fixed(&b, small, sizeof(small));
    scc_batch_begin(&batch, &b);
    assert_int_equal(scc_batch_finish(&batch, &c), SCC_ERROR);
    assert_int_equal(scc_batch_move(&batch, &c), SCC_ERROR);

    /* no room for a record, then none for the padding */

    scc_test_record(&r, 1, 5000, body);

    for (i = 5000; i <= 6000; i += 1000) {
        scc_buf_fixed(&b, small, i);
        scc_batch_begin(&batch, &b);
        scc_record_write(&b, &r);
        assert_int_equal(b.error, i == 5000);
        scc_batch_add(&batch, &r);
        assert_int_equal(scc_batch_finish(&batch, &c), SCC_ERROR);
        assert_int_equal(scc_batch_move(&batch, &c), SCC_ERROR);
    }

    scc_buf_fixed(&b, small, SCC_JOURNAL_BLOCK - 1);
    assert_int_equal(scc_batch_seal(&b, &c), SCC_ERROR);

    assert_memory_equal(&c, &before, sizeof(scc_chain_t));

    /* a batch holds 16 records of 1 MiB, and nothing more */

    big = calloc(1, SCC_JOURNAL_RECORD_MAX);
    assert_non_null(big);
    memset(&r, 0, sizeof(scc_record_t));
    r.kind = SCC_KIND_PLACE;

    scc_buf_heap(&b, 0);
    scc_batch_begin(&batch, &b);

    for (i = 0; i < 16; i++) {
        r.body = scc_test_str(big, SCC_JOURNAL_RECORD_MAX - 88);
        scc_record_write(&b, &r);
        scc_batch_add(&batch, &r);
    }

    assert_int_equal(scc_batch_finish(&batch, &c), SCC_OK);
    assert_int_equal(c.next, before.next + 1);
    before = c;

    b.used = SCC_JOURNAL_BATCH + SCC_JOURNAL_BATCH_MAX;
    r.body.len = 0;
    scc_record_write(&b, &r);
    scc_batch_add(&batch, &r);
    assert_int_equal(scc_batch_finish(&batch, &c), SCC_ERROR);
    assert_memory_equal(&c, &before, sizeof(scc_chain_t));

    free(big);
    scc_buf_free(&b);
}


/* Moved, a batch is what it would have been in the other segment. */

static void
test_move(void **state)
{
    char           body[SCC_TEST_BODY_MAX];
    uint8_t        block[SCC_JOURNAL_BLOCK];
    uint32_t       chain;
    unsigned       finished;
    scc_buf_t      moved, plain;
    scc_batch_t    batch;
    scc_chain_t    c[3];
    scc_record_t   r;
    scc_segment_t  s;

    (void) state;

    scc_buf_heap(&moved, 0);
    scc_buf_heap(&plain, 0);

    for (finished = 0; finished < 2; finished++) {

        scc_test_segment(&s, 1);
        chain = scc_segment_write(block, &s);
        scc_chain_begin(&c[0], &s, chain);
        scc_test_batch(&plain, &c[0], 50, 1, 100);

        scc_test_segment(&s, 2);
        chain = scc_segment_write(block, &s);
        scc_chain_begin(&c[1], &s, chain);
        c[2] = c[1];

        scc_test_record(&r, 60, 3000, body);
        scc_batch_begin(&batch, &moved);
        scc_record_write(&moved, &r);
        scc_batch_add(&batch, &r);

        if (finished) {
            assert_int_equal(scc_batch_finish(&batch, &c[0]), SCC_OK);
            assert_int_equal(scc_le64(moved.start + 8), 1);
        }

        assert_int_equal(scc_batch_move(&batch, &c[1]), SCC_OK);

        scc_test_batch(&plain, &c[2], 60, 1, 3000);

        assert_int_equal(moved.used, plain.used);
        assert_memory_equal(moved.start, plain.start, plain.used);
        assert_memory_equal(&c[1], &c[2], sizeof(scc_chain_t));
    }

    scc_buf_free(&moved);
    scc_buf_free(&plain);
}


/* A journal on a disk outlives this program: the format does not change. */

static void
test_format(void **state)
{
    uint8_t        block[SCC_JOURNAL_BLOCK];
    uint32_t       crc, chain;
    scc_buf_t      b;
    scc_chain_t    c;
    scc_segment_t  s;

    (void) state;

    scc_buf_heap(&b, 0);
    scc_test_segment(&s, 3);
    chain = scc_segment_write(block, &s);
    crc = scc_crc32c(0, block, sizeof(block));
    scc_chain_begin(&c, &s, chain);

    scc_test_batch(&b, &c, 1, 20, 300);
    crc = scc_crc32c(crc, b.start, b.used);
    scc_test_batch(&b, &c, 21, 1, 31);
    crc = scc_crc32c(crc, b.start, b.used);
    assert_int_equal(scc_batch_seal(&b, &c), SCC_OK);
    crc = scc_crc32c(crc, b.start, b.used);

    assert_int_equal(crc, 0xe9723e69);

    scc_buf_free(&b);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_block_0),
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_record_damage),
        cmocka_unit_test(test_record_limits),
        cmocka_unit_test(test_record_unknown),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_batch_errors),
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
