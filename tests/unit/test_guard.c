
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_anchor.h"


#define TEST_UUID   "0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0f"
#define TEST_OTHER  "0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e10"


/* What the known store is: every case changes some of it. */

#define TEST_KNOWN  " 2 7000000000000000001 3 1/20 1000 5 400 50 9000 0"


typedef struct {
    const char          *name;
    const char          *seen;          /* NULL: silence; "": no store */
    scc_guard_state_t    state;
    scc_guard_reason_t   reason;
} test_case_t;


static const test_case_t  test_cases[] = {
    { "the same", TEST_UUID TEST_KNOWN, SCC_GUARD_HEALTHY, SCC_GUARD_NONE },
    { "more", TEST_UUID " 2 7000000000000000001 3 1/21 1001 5 401 51 9001 0",
      SCC_GUARD_HEALTHY, SCC_GUARD_NONE },
    { "silence", NULL, SCC_GUARD_STALE, SCC_GUARD_SILENT },
    { "no tables", "", SCC_GUARD_QUARANTINE, SCC_GUARD_EMPTY },

    { "another store", TEST_OTHER TEST_KNOWN,
      SCC_GUARD_QUARANTINE, SCC_GUARD_FOREIGN },
    { "another cluster",
      TEST_UUID " 2 7000000000000000002 3 1/20 1000 5 400 50 9000 0",
      SCC_GUARD_QUARANTINE, SCC_GUARD_FOREIGN },
    { "an earlier epoch",
      TEST_UUID " 1 7000000000000000001 3 1/20 1000 5 400 50 9000 0",
      SCC_GUARD_QUARANTINE, SCC_GUARD_FOREIGN },
    { "a later epoch, of another cluster and with less",
      TEST_UUID " 3 7000000000000000002 1 0/20 900 4 300 40 8000 0",
      SCC_GUARD_QUARANTINE, SCC_GUARD_UNADOPTED },
    { "a later epoch, with more",
      TEST_UUID " 3 7000000000000000001 3 1/30 1100 6 500 60 9900 0",
      SCC_GUARD_QUARANTINE, SCC_GUARD_UNADOPTED },

    { "fewer events",
      TEST_UUID " 2 7000000000000000001 3 1/21 999 5 400 50 9000 0",
      SCC_GUARD_REWOUND, SCC_GUARD_BEHIND },
    { "as many, but older ones",
      TEST_UUID " 2 7000000000000000001 3 1/21 1000 5 400 50 8999 0",
      SCC_GUARD_REWOUND, SCC_GUARD_BEHIND },
    { "fewer removals",
      TEST_UUID " 2 7000000000000000001 3 1/21 1000 4 400 50 9000 0",
      SCC_GUARD_REWOUND, SCC_GUARD_BEHIND },
    { "the log goes back",
      TEST_UUID " 2 7000000000000000001 3 1/1F 1000 5 400 50 9000 0",
      SCC_GUARD_REWOUND, SCC_GUARD_LOG },
    { "an earlier timeline",
      TEST_UUID " 2 7000000000000000001 2 1/21 1000 5 400 50 9000 0",
      SCC_GUARD_REWOUND, SCC_GUARD_LOG },
    { "a later timeline, whose log begins earlier",
      TEST_UUID " 2 7000000000000000001 4 1/1F 1000 5 400 50 9000 0",
      SCC_GUARD_HEALTHY, SCC_GUARD_NONE },
    { "a late standby",
      TEST_UUID " 2 7000000000000000001 3 - 900 4 300 40 8000 0",
      SCC_GUARD_HEALTHY, SCC_GUARD_NONE },
    { "an empty standby",
      TEST_UUID " 2 7000000000000000001 3 - 0 0 0 0 0 0",
      SCC_GUARD_QUARANTINE, SCC_GUARD_EMPTY },

    { "empty", TEST_UUID " 2 7000000000000000001 3 1/21 0 0 0 0 0 0",
      SCC_GUARD_QUARANTINE, SCC_GUARD_EMPTY },
    { "ledger and places hollow",
      TEST_UUID " 2 7000000000000000001 3 1/21 1000 5 400 50 9000 3",
      SCC_GUARD_QUARANTINE, SCC_GUARD_EMPTY },
    { "places hollow",
      TEST_UUID " 2 7000000000000000001 3 1/21 1000 5 400 50 9000 2",
      SCC_GUARD_QUARANTINE, SCC_GUARD_PARTIAL },
    { "another table hollow, and rewound",
      TEST_UUID " 2 7000000000000000001 3 1/19 900 5 400 50 9000 32",
      SCC_GUARD_QUARANTINE, SCC_GUARD_PARTIAL },

    { "20 places gone by hand",
      TEST_UUID " 2 7000000000000000001 3 1/21 1000 5 380 50 9000 0",
      SCC_GUARD_HEALTHY, SCC_GUARD_NONE },
    { "21 places gone",
      TEST_UUID " 2 7000000000000000001 3 1/21 1000 5 379 50 9000 0",
      SCC_GUARD_QUARANTINE, SCC_GUARD_PARTIAL },
    { "100 places gone, 90 were removed",
      TEST_UUID " 2 7000000000000000001 3 1/21 1100 95 300 50 9900 0",
      SCC_GUARD_HEALTHY, SCC_GUARD_NONE },
    { "100 places gone, 70 were removed",
      TEST_UUID " 2 7000000000000000001 3 1/21 1100 75 300 50 9900 0",
      SCC_GUARD_QUARANTINE, SCC_GUARD_PARTIAL },
    { "21 contributors gone",
      TEST_UUID " 2 7000000000000000001 3 1/21 1000 5 400 29 9000 0",
      SCC_GUARD_QUARANTINE, SCC_GUARD_PARTIAL }
};


static scc_str_t
test_str(const char *text)
{
    scc_str_t  s = { strlen(text), (const uint8_t *) text };

    return s;
}


static scc_witness_t
test_witness(const char *text)
{
    scc_witness_t  w;

    assert_int_equal(scc_witness_parse(test_str(text), &w), SCC_OK);

    return w;
}


static void
test_judge(void **state)
{
    unsigned            i;
    scc_seen_t          seen;
    scc_verdict_t       v, before;
    scc_witness_t       known, w;
    const test_case_t  *c;

    (void) state;

    known = test_witness(TEST_UUID TEST_KNOWN);

    before.state = SCC_GUARD_HEALTHY;
    before.reason = SCC_GUARD_NONE;

    for (i = 0; i < sizeof(test_cases) / sizeof(test_cases[0]); i++) {
        c = &test_cases[i];

        seen = SCC_SEEN_WITNESS;
        memset(&w, 0, sizeof(w));

        if (c->seen == NULL) {
            seen = SCC_SEEN_SILENCE;

        } else if (c->seen[0] == '\0') {
            seen = SCC_SEEN_NO_STORE;

        } else {
            w = test_witness(c->seen);
        }

        v = scc_guard_judge(&known, before, known.store, seen, &w, NULL);

        if (v.state != c->state || v.reason != c->reason) {
            fail_msg("%s: %d %d", c->name, (int) v.state, (int) v.reason);
        }
    }
}


static void
test_unknown(void **state)
{
    scc_verdict_t  v, before;
    scc_witness_t  w, other;

    (void) state;

    before.state = SCC_GUARD_BOOTSTRAP;
    before.reason = SCC_GUARD_NONE;

    w = test_witness(TEST_UUID TEST_KNOWN);
    other = test_witness(TEST_OTHER TEST_KNOWN);

    v = scc_guard_judge(NULL, before, NULL, SCC_SEEN_WITNESS, &w, NULL);
    assert_int_equal(v.state, SCC_GUARD_BOOTSTRAP);

    v = scc_guard_judge(NULL, before, w.store, SCC_SEEN_WITNESS, &w, NULL);
    assert_int_equal(v.state, SCC_GUARD_BOOTSTRAP);

    v = scc_guard_judge(NULL, before, w.store, SCC_SEEN_WITNESS, &other,
                        NULL);
    assert_int_equal(v.state, SCC_GUARD_QUARANTINE);
    assert_int_equal(v.reason, SCC_GUARD_FOREIGN);

    v = scc_guard_judge(NULL, before, NULL, SCC_SEEN_NO_STORE, NULL, NULL);
    assert_int_equal(v.reason, SCC_GUARD_EMPTY);

    w.hollow = SCC_GUARD_HOLLOW_PLACE;
    v = scc_guard_judge(NULL, before, NULL, SCC_SEEN_WITNESS, &w, NULL);
    assert_int_equal(v.reason, SCC_GUARD_PARTIAL);

    /* silence betters nothing */

    before.state = SCC_GUARD_QUARANTINE;
    before.reason = SCC_GUARD_FOREIGN;

    v = scc_guard_judge(&w, before, NULL, SCC_SEEN_SILENCE, NULL, NULL);
    assert_int_equal(v.state, SCC_GUARD_QUARANTINE);
    assert_int_equal(v.reason, SCC_GUARD_FOREIGN);

    before.state = SCC_GUARD_REWOUND;

    v = scc_guard_judge(&w, before, NULL, SCC_SEEN_SILENCE, NULL, NULL);
    assert_int_equal(v.state, SCC_GUARD_REWOUND);
}


static void
test_sample(void **state)
{
    unsigned       i;
    scc_sample_t   s;
    scc_verdict_t  v, before;
    scc_witness_t  w;

    static const struct {
        scc_sample_t         sample;
        scc_guard_reason_t   reason;
    } cases[] = {
        { { 0, 0, 0, 0 }, SCC_GUARD_NONE },
        { { 32, 32, 1000, 1000 }, SCC_GUARD_NONE },
        { { 32, 31, 1000, 1000 }, SCC_GUARD_PARTIAL },
        { { 1, 0, 0, 0 }, SCC_GUARD_PARTIAL },
        { { 32, 32, 1000, 1005 }, SCC_GUARD_NONE },
        { { 32, 32, 1000, 980 }, SCC_GUARD_NONE },
        { { 32, 32, 1000, 979 }, SCC_GUARD_PARTIAL },
        { { 32, 32, 10000, 9900 }, SCC_GUARD_NONE },
        { { 32, 32, 10000, 9899 }, SCC_GUARD_PARTIAL }
    };

    (void) state;

    before.state = SCC_GUARD_HEALTHY;
    before.reason = SCC_GUARD_NONE;

    w = test_witness(TEST_UUID TEST_KNOWN);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = cases[i].sample;
        v = scc_guard_judge(&w, before, NULL, SCC_SEEN_WITNESS, &w, &s);
        assert_int_equal(v.reason, cases[i].reason);
    }
}


static void
test_parse(void **state)
{
    unsigned       i;
    scc_witness_t  w;

    static const char  *bad[] = {
        "",
        TEST_UUID,
        TEST_UUID " 2 1 3 1/20 1000 5 400 50 9000",
        TEST_UUID " 2 1 3 1/20 1000 5 400 50 9000 0 ",
        TEST_UUID " 2 1 3 1/20 1000 5 400 50 9000 0 1",
        TEST_UUID " 0 1 3 1/20 1000 5 400 50 9000 0",
        TEST_UUID " 2 1 3 1/ 1000 5 400 50 9000 0",
        TEST_UUID " 2 1 3 120 1000 5 400 50 9000 0",
        TEST_UUID " 2 1 3 1/2/3 1000 5 400 50 9000 0",
        TEST_UUID " 2 1 3 1/123456789 1000 5 400 50 9000 0",
        TEST_UUID " 2 1 3 1/20 -1 5 400 50 9000 0",
        TEST_UUID " 2 1 3 1/20 01 5 400 50 9000 0",
        TEST_UUID " 2 1 3 1/20  5 400 50 9000 0",
        TEST_UUID " 2 18446744073709551616 3 1/20 1 5 400 50 9000 0",
        TEST_UUID " 2 1 3 1/20 9223372036854775808 5 400 50 9000 0",
        "198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0f 2 1 3 1/20 1 5 400 50 9000 0"
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(scc_witness_parse(test_str(bad[i]), &w),
                         SCC_DECLINED);
    }

    w = test_witness(TEST_UUID " 2 18446744073709551615 3 FFFFFFFF/A 1000 5"
                     " 400 50 9223372036854775807 63");

    assert_int_equal(w.store[0], 0x01);
    assert_int_equal(w.epoch, 2);
    assert_true(w.system == UINT64_MAX);
    assert_int_equal(w.timeline, 3);
    assert_true(w.lsn == 0xffffffff0000000a);
    assert_int_equal(w.events, 1000);
    assert_int_equal(w.removals, 5);
    assert_int_equal(w.places, 400);
    assert_int_equal(w.contributors, 50);
    assert_true(w.hlc == INT64_MAX);
    assert_int_equal(w.hollow, 63);
}


static void
test_names(void **state)
{
    unsigned            i;
    scc_guard_state_t   s;
    scc_guard_reason_t  r;

    (void) state;

    for (i = 0; i < SCC_GUARD_STATES; i++) {
        assert_int_equal(scc_guard_state_parse(scc_guard_state_name(
                             (scc_guard_state_t) i), &s), SCC_OK);
        assert_int_equal(s, i);
    }

    for (i = 0; i < SCC_GUARD_REASONS; i++) {
        assert_int_equal(scc_guard_reason_parse(scc_guard_reason_name(
                             (scc_guard_reason_t) i), &r), SCC_OK);
        assert_int_equal(r, i);
    }

    assert_int_equal(scc_guard_state_parse(test_str("well"), &s),
                     SCC_DECLINED);
    assert_int_equal(scc_guard_reason_parse(test_str(""), &r), SCC_DECLINED);

    assert_true(scc_guard_open(SCC_GUARD_STALE));
    assert_false(scc_guard_open(SCC_GUARD_REWOUND));
    assert_false(scc_guard_open(SCC_GUARD_QUARANTINE));
}


static scc_anchor_t
test_anchor(const char *witness)
{
    scc_anchor_t  a;

    memset(&a, 0, sizeof(a));

    a.high = test_witness(witness);
    a.verdict.state = SCC_GUARD_QUARANTINE;
    a.verdict.reason = SCC_GUARD_PARTIAL;
    a.since = 1700000000000;
    a.written = 1700000000123;
    a.life = 7;

    return a;
}


static scc_str_t
test_encode(const scc_anchor_t *a, uint8_t *block)
{
    scc_buf_t  b;

    scc_buf_fixed(&b, block, SCC_ANCHOR_MAX);
    scc_anchor_write(&b, a);
    assert_false(b.error);

    return scc_buf_get(&b);
}


static void
test_round(void **state)
{
    size_t        i;
    uint8_t       block[SCC_ANCHOR_MAX], copy[SCC_ANCHOR_MAX];
    unsigned      bit;
    scc_str_t     text, damaged;
    scc_anchor_t  a, b;

    (void) state;

    a = test_anchor(TEST_UUID " 2147483647 18446744073709551615 4294967295"
                    " FFFFFFFF/FFFFFFFF 9223372036854775807"
                    " 9223372036854775807 9223372036854775807"
                    " 9223372036854775807 9223372036854775807 0");
    a.life = UINT32_MAX;
    a.since = INT64_MAX;
    a.written = INT64_MAX;

    text = test_encode(&a, block);
    assert_int_equal(block[text.len - 1], '\n');

    assert_int_equal(scc_anchor_read(text, &b), SCC_OK);
    assert_memory_equal(&a, &b, sizeof(a));

    text.len--;
    assert_int_equal(scc_anchor_read(text, &b), SCC_OK);

    /* every cut and every flipped bit is noticed */

    damaged.data = copy;

    for (i = 0; i < text.len; i++) {
        damaged.len = i;
        memcpy(copy, block, text.len);
        assert_int_equal(scc_anchor_read(damaged, &b), SCC_DECLINED);

        damaged.len = text.len;

        for (bit = 0; bit < 8; bit++) {
            copy[i] = (uint8_t) (block[i] ^ 1u << bit);
            assert_int_equal(scc_anchor_read(damaged, &b), SCC_DECLINED);
        }
    }
}


static void
test_merge(void **state)
{
    scc_anchor_t  a, b;

    (void) state;

    /* all counters at their highest, whichever comes first */

    a = test_anchor(TEST_UUID " 2 1 3 1/20 1000 5 400 50 9000 0");
    b = test_anchor(TEST_UUID " 2 1 3 1/10 1100 5 390 60 8000 0");
    b.written++;
    b.verdict.state = SCC_GUARD_HEALTHY;

    assert_int_equal(scc_anchor_merge(&a, &b), SCC_OK);
    assert_int_equal(a.high.lsn, 0x100000020);
    assert_int_equal(a.high.events, 1100);
    assert_int_equal(a.high.places, 400);
    assert_int_equal(a.high.contributors, 60);
    assert_int_equal(a.high.hlc, 9000);
    assert_int_equal(a.verdict.state, SCC_GUARD_HEALTHY);

    /* places are those of who knows of more removals */

    a = test_anchor(TEST_UUID " 2 1 3 1/20 1000 5 400 50 9000 0");
    b = test_anchor(TEST_UUID " 2 1 3 1/30 1100 9 396 60 9100 0");
    assert_int_equal(scc_anchor_merge(&a, &b), SCC_OK);
    assert_int_equal(a.high.places, 396);

    b = test_anchor(TEST_UUID " 2 1 3 1/20 1000 5 400 50 9000 0");
    assert_int_equal(scc_anchor_merge(&a, &b), SCC_OK);
    assert_int_equal(a.high.places, 396);

    /* a later timeline has its own log */

    b = test_anchor(TEST_UUID " 2 1 4 1/25 1000 5 400 50 9000 0");
    assert_int_equal(scc_anchor_merge(&a, &b), SCC_OK);
    assert_int_equal(a.high.timeline, 4);
    assert_int_equal(a.high.lsn, 0x100000025);

    /* a longer life, then a later epoch, count alone */

    b = test_anchor(TEST_UUID " 2 1 4 1/1 900 5 300 40 8000 0");
    b.life = 8;
    assert_int_equal(scc_anchor_merge(&a, &b), SCC_OK);
    assert_int_equal(a.high.events, 900);
    assert_int_equal(a.life, 8);

    b = test_anchor(TEST_UUID " 3 9 1 0/1 10 0 3 4 80 0");
    b.life = 0;
    assert_int_equal(scc_anchor_merge(&a, &b), SCC_OK);
    assert_int_equal(a.high.epoch, 3);
    assert_int_equal(a.high.events, 10);
    assert_int_equal(a.life, 0);

    b = test_anchor(TEST_UUID " 2 1 4 1/20 1000 5 400 50 9000 0");
    assert_int_equal(scc_anchor_merge(&a, &b), SCC_OK);
    assert_int_equal(a.high.events, 10);

    b = test_anchor(TEST_OTHER " 9 1 4 1/20 1000 5 400 50 9000 0");
    assert_int_equal(scc_anchor_merge(&a, &b), SCC_DECLINED);
    assert_int_equal(a.high.epoch, 3);
}


static void
test_raise(void **state)
{
    scc_anchor_t   a;
    scc_witness_t  w;

    (void) state;

    a = test_anchor(TEST_UUID " 2 1 3 1/20 1000 5 400 50 9000 0");

    /* three were removed, ten are gone: seven are still missed */

    w = test_witness(TEST_UUID " 2 1 3 1/30 1010 8 390 51 9100 0");
    scc_anchor_raise(&a, &w);
    assert_int_equal(a.high.events, 1010);
    assert_int_equal(a.high.removals, 8);
    assert_int_equal(a.high.places, 397);
    assert_int_equal(a.high.contributors, 51);
    assert_int_equal(a.life, 7);

    /* a statement that took longer, a standby */

    w = test_witness(TEST_UUID " 2 1 3 1/25 1005 7 395 50 9050 0");
    scc_anchor_raise(&a, &w);
    w = test_witness(TEST_UUID " 2 1 3 - 1005 7 395 50 9050 0");
    scc_anchor_raise(&a, &w);
    assert_int_equal(a.high.events, 1010);
    assert_int_equal(a.high.places, 397);
    assert_int_equal(a.high.lsn, 0x100000030);

    /* promoted */

    w = test_witness(TEST_UUID " 2 1 4 1/28 1010 8 397 51 9100 0");
    scc_anchor_raise(&a, &w);
    assert_int_equal(a.high.timeline, 4);
    assert_int_equal(a.high.lsn, 0x100000028);

    /* rewound, and all replayed */

    w = test_witness(TEST_UUID " 2 1 4 1/5 1010 8 397 51 9100 0");
    scc_anchor_restart(&a, &w);
    assert_int_equal(a.high.lsn, 0x100000005);
    assert_int_equal(a.high.events, 1010);
    assert_int_equal(a.life, 8);

    /* adopted */

    w = test_witness(TEST_UUID " 3 2 1 0/5 900 8 300 40 8000 0");
    scc_anchor_raise(&a, &w);
    assert_memory_equal(&a.high, &w, sizeof(w));
    assert_int_equal(a.life, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_raise)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
