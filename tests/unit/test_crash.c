
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test_disk.h"


/* One worker's segment, from creation to its seal. */

static void
test_life(log_t *log, unsigned file, unsigned first, size_t prealloc,
    unsigned bad)
{
    writer_t  w;

    writer_create(&w, log, file, prealloc, bad);
    writer_append(&w, first, 1, 40);
    writer_append(&w, first + 1, 4, 200);
    writer_append(&w, first + 5, 9, 900);

    if (bad & BAD_PIPELINE) {
        log_op(log, OP_SYNC, file);
    }

    writer_seal(&w);
    writer_free(&w);
}


/* A torn segment, as found, is cut, sealed and renamed by who adopts it. */

static void
test_adoption(log_t *log, uint64_t sectors, bool synced)
{
    size_t       pos, i;
    uint8_t     *torn;
    writer_t     w;
    scc_batch_t  batch;
    scc_chain_t  chain;

    writer_create(&w, log, 0, DISK_SEGMENT, 0);
    writer_append(&w, 0, 4, 200);

    pos = w.pos;
    chain = w.chain;
    writer_batch(&w, &batch, 4, 9, 900);
    torn = log->ops[log->n - 1].data;

    for (i = 0; i < w.buf.used / DISK_SECTOR; i++) {
        if (!(sectors & 1ULL << i)) {
            memset(torn + i * DISK_SECTOR, 0, DISK_SECTOR);
        }
    }

    log_op(log, OP_SYNC, 0);            /* the machine was off */

    log_op(log, OP_SIZE, 0)->at = pos;

    if (synced) {
        log_op(log, OP_SYNC, 0);
    }

    w.pos = pos;
    w.chain = chain;
    w.prealloc = 0;
    writer_seal(&w);
    writer_free(&w);
}


static void
test_one(void **state)
{
    log_t  log;

    (void) state;

    log.n = 0;
    test_life(&log, 0, 0, DISK_SEGMENT, 0);
    disk_run("a segment's life, preallocated", &log);
    assert_int_equal(disk_wrong, 0);

    test_life(&log, 0, 0, 0, 0);
    disk_run("a segment's life, a file that grows", &log);
    assert_int_equal(disk_wrong, 0);
}


/* The next segment is prepared while the last is written. */

static void
test_rotation(void **state)
{
    log_t     log;
    writer_t  a, b;

    (void) state;

    log.n = 0;
    writer_create(&a, &log, 0, DISK_SEGMENT, 0);
    writer_append(&a, 0, 3, 300);
    writer_append(&a, 3, 6, 1000);
    writer_seal(&a);
    writer_create(&b, &log, 1, DISK_SEGMENT, 0);
    writer_append(&b, 9, 2, 100);
    writer_append(&b, 11, 6, 900);
    writer_seal(&b);
    writer_free(&a);
    writer_free(&b);

    disk_run("rotation", &log);
    assert_int_equal(disk_wrong, 0);
}


/* Workers share a directory, and nothing else. */

static void
test_workers(void **state)
{
    log_t     a, b, c, ab, all;
    uint64_t  seed;
    unsigned  round;

    (void) state;

    seed = 3;

    for (round = 0; round < 4; round++) {
        a.n = b.n = c.n = ab.n = all.n = 0;

        test_life(&a, 0, 0, DISK_SEGMENT, 0);
        test_life(&b, 1, 20, round & 1 ? 0 : DISK_SEGMENT, 0);
        test_life(&c, 2, 40, DISK_SEGMENT, 0);

        log_merge(&ab, &a, &b, &seed);
        log_merge(&all, &ab, &c, &seed);
        log_free(&a);
        log_free(&b);
        log_free(&c);
        log_free(&ab);

        disk_run("three workers at once", &all);
        assert_int_equal(disk_wrong, 0);
    }
}


static void
test_sync_fails(void **state)
{
    log_t     log;
    writer_t  w;

    (void) state;

    log.n = 0;
    writer_create(&w, &log, 0, DISK_SEGMENT, 0);
    writer_append(&w, 0, 3, 300);
    writer_move(&w, 1, 3, 5, 900);
    writer_append(&w, 8, 3, 300);
    writer_move(&w, 2, 11, 1, 60);
    writer_append(&w, 12, 3, 300);
    writer_seal(&w);
    writer_free(&w);

    disk_run("syncs fail, batches move", &log);
    assert_int_equal(disk_wrong, 0);
}


static void
test_adopt(void **state)
{
    log_t     log;
    unsigned  i;

    static const uint64_t  sectors[] = {
        0x000001, 0xfffffe, 0xffff00, 0x00ffff, 0x555555, 0xff00ff
    };

    (void) state;

    log.n = 0;

    for (i = 0; i < scc_test_items(sectors); i++) {
        test_adoption(&log, sectors[i], true);
        disk_run("a torn segment is adopted", &log);
        assert_int_equal(disk_wrong, 0);
    }
}


/* Writers that do it wrong are found out: the states are not too tame. */

static void
test_bad_writers(void **state)
{
    log_t     log;
    size_t    i;
    writer_t  w;

    static const struct {
        const char  *what;
        unsigned     bad;
    } bad[] = {
        { "wrong: acknowledges before the sync", BAD_ACK_FIRST },
        { "wrong: does not sync the directory", BAD_NO_DIR },
        { "wrong: renames before the sync", BAD_RENAME },
        { "wrong: writes on before the sync", BAD_PIPELINE },
        { "wrong: zeros over the last batch", BAD_ZEROS },
    };

    (void) state;

    log.n = 0;

    for (i = 0; i < scc_test_items(bad); i++) {
        test_life(&log, 0, 0, DISK_SEGMENT, bad[i].bad);
        disk_run(bad[i].what, &log);
        assert_int_not_equal(disk_wrong, 0);
    }

    writer_create(&w, &log, 0, DISK_SEGMENT, BAD_SYNC_AGAIN);
    writer_append(&w, 0, 3, 300);
    writer_move(&w, 1, 3, 5, 900);
    writer_append(&w, 8, 3, 300);
    writer_free(&w);

    disk_run("wrong: syncs again after a failure", &log);
    assert_int_not_equal(disk_wrong, 0);

    test_adoption(&log, 0xffff00, false);
    disk_run("wrong: seals before the cut is synced", &log);
    assert_int_not_equal(disk_wrong, 0);
}


static void
test_enough(void **state)
{
    (void) state;

    print_message("%llu states in all, %llu with a torn segment\n",
                  (unsigned long long) disk_states,
                  (unsigned long long) disk_torn);

    assert_true(disk_states >= 10000);
    assert_true(disk_torn >= 1000);
}


static int
test_setup(void **state)
{
    unsigned  i;

    (void) state;

    for (i = 0; i < DISK_RECORDS; i++) {
        scc_buf_heap(&disk_records[i], 0);
    }

    return 0;
}


static int
test_teardown(void **state)
{
    unsigned  i;

    (void) state;

    for (i = 0; i < DISK_RECORDS; i++) {
        scc_buf_free(&disk_records[i]);
    }

    return 0;
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_sync_fails),
        cmocka_unit_test(test_adopt),
        cmocka_unit_test(test_enough),
        cmocka_unit_test(test_bad_writers),
    };

    return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
