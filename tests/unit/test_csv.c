
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_csv.h"


typedef struct {
    scc_buf_t   seen;           /* "1:a|b\n" for each record */
    size_t      records;
    size_t      stop;           /* the record to refuse; 0: none */
    size_t      fields;
    size_t      longest;
} record_log_t;


static scc_rc_t
log_record(void *ctx, uint64_t line, const scc_str_t *field, size_t n)
{
    size_t         i;
    record_log_t  *log = ctx;

    log->records++;
    log->fields = n;

    scc_buf_uint(&log->seen, line);
    scc_buf_byte(&log->seen, ':');

    for (i = 0; i < n; i++) {

        if (i) {
            scc_buf_byte(&log->seen, '|');
        }

        if (field[i].len > log->longest) {
            log->longest = field[i].len;
        }

        scc_buf_str(&log->seen, field[i]);
    }

    scc_buf_byte(&log->seen, '\n');

    return log->records == log->stop ? SCC_DONE : SCC_OK;
}


static void
log_init(record_log_t *log)
{
    memset(log, 0, sizeof(record_log_t));
    scc_buf_heap(&log->seen, 0);
}


static scc_rc_t
parse(record_log_t *log, scc_str_t text, size_t piece, scc_err_t *err)
{
    size_t      n;
    uint8_t    *copy;
    scc_rc_t    rc;
    scc_csv_t  *csv;

    csv = scc_csv_create(log_record, log);
    assert_non_null(csv);

    rc = SCC_OK;
    memset(err, 0, sizeof(scc_err_t));

    while (rc == SCC_OK && text.len > 0) {
        n = (text.len < piece) ? text.len : piece;

        /* a block of just that size: a read past it is seen by ASan */

        copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, text.data, n);

        rc = scc_csv_feed(csv, copy, n, err);

        free(copy);

        text.data += n;
        text.len -= n;
    }

    if (rc == SCC_OK) {
        rc = scc_csv_end(csv, err);

    } else {
        assert_int_equal(scc_csv_feed(csv, "a", 1, err), rc);
        assert_int_equal(scc_csv_end(csv, err), rc);
    }

    scc_csv_free(csv);

    return rc;
}


static void
test_records(void **state)
{
    size_t        i, piece;
    scc_err_t     err;
    record_log_t  log;

    static const struct {
        const char  *text;
        const char  *seen;
    } good[] = {
        { "", "" },
        { "a", "1:a\n" },
        { "a,b\n", "1:a|b\n" },
        { "a,b\r\nc,d\r\n", "1:a|b\n2:c|d\n" },
        { "a,b\nc,d", "1:a|b\n2:c|d\n" },
        { "\xef\xbb\xbf" "a,b\n", "1:a|b\n" },
        { "\xef\xbb\xbf", "" },
        { "\xef\xbb" "a", "1:\xef\xbb" "a\n" },
        { "\xef", "1:\xef\n" },
        { "\xef\xbb\xbf\"a\"\n", "1:a\n" },
        { "a\xef\xbb\xbf\n", "1:a\xef\xbb\xbf\n" },
        { ",\n", "1:|\n" },
        { ",", "1:|\n" },
        { "a,", "1:a|\n" },
        { "\n\na\n\n", "3:a\n" },
        { "\r\n\r\na\r\n", "3:a\n" },
        { "\"\"\n", "1:\n" },
        { "\"\"", "1:\n" },
        { "\"a,b\",c\n", "1:a,b|c\n" },
        { "\"a\"\"b\"\n", "1:a\"b\n" },
        { "\"\"\"\"\n", "1:\"\n" },
        { "\"\"\"\"", "1:\"\n" },
        { "\"a\nb\",c\nd,e\n", "1:a\nb|c\n3:d|e\n" },
        { "\"a\r\n\r\nb\",c\r\nd\r\n", "1:a\r\n\r\nb|c\n4:d\n" },
        { "\"a\"\r\nb\n", "1:a\n2:b\n" },
        { "\"a\"\r", "1:a\n" },
        { "a\rb,c\r\rd\n", "1:a\rb|c\r\rd\n" },
        { "a\r", "1:a\n" },
        { " a , b \n", "1: a | b \n" },
        { "=SUM(A1),<b>&'\n", "1:=SUM(A1)|<b>&'\n" },
        { "서울,\"역, 1\"\n", "1:서울|역, 1\n" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(good); i++) {

        for (piece = 1; piece < 9; piece++) {
            log_init(&log);

            assert_int_equal(parse(&log, scc_test_z(good[i].text), piece,
                                   &err), SCC_OK);
            assert_str(scc_buf_get(&log.seen), good[i].seen);

            scc_buf_free(&log.seen);
        }
    }
}


static void
test_refused(void **state)
{
    size_t        i, piece;
    scc_err_t     err;
    record_log_t  log;

    static const struct {
        const char  *text;
        const char  *begin;
        const char  *word;
    } bad[] = {
        { "a\nb\"c\n", "line 2: ", "quote" },
        { "a\n\nb,c\"\n", "line 3: ", "quote" },
        { "a\n\"b\"c\n", "line 2: ", "closing" },
        { "\"a\nb\"c\n", "line 2: ", "closing" },
        { "\"a\" ,b\n", "line 1: ", "closing" },
        { "a\nb,\"c\nd\n", "line 2: ", "never closed" },
        { "\"", "line 1: ", "never closed" },
        { "\"a\"\rb\n", "line 1: ", "carriage return" },
    };

    (void) state;

    for (i = 0; i < scc_test_items(bad); i++) {

        for (piece = 1; piece < 9; piece++) {
            log_init(&log);

            assert_int_equal(parse(&log, scc_test_z(bad[i].text), piece,
                                   &err), SCC_DECLINED);
            assert_memory_equal(err.text, bad[i].begin,
                                strlen(bad[i].begin));
            assert_non_null(strstr(err.text, bad[i].word));

            scc_buf_free(&log.seen);
        }
    }
}


static void
test_nul_bytes(void **state)
{
    scc_err_t     err;
    record_log_t  log;

    (void) state;

    log_init(&log);

    assert_int_equal(parse(&log, S("a\0b,\0\n\"\0\"\n"), 2, &err), SCC_OK);
    assert_int_equal(log.seen.used, 12);
    assert_memory_equal(log.seen.start, "1:a\0b|\0\n2:\0\n", 12);

    scc_buf_free(&log.seen);
}


static void
test_limits(void **state)
{
    size_t        i;
    scc_buf_t     text;
    scc_err_t     err;
    record_log_t  log;

    (void) state;

    scc_buf_heap(&text, 0);
    log_init(&log);

    /* 256 fields fit, one more does not */

    for (i = 0; i < 255; i++) {
        scc_buf_text(&text, "x,");
    }

    scc_buf_text(&text, "y\n");

    assert_int_equal(parse(&log, scc_buf_get(&text), 1000, &err), SCC_OK);
    assert_int_equal(log.fields, 256);

    text.used -= 1;
    scc_buf_text(&text, ",z\n");

    assert_int_equal(parse(&log, scc_buf_get(&text), 1000, &err),
                     SCC_DECLINED);
    assert_memory_equal(err.text, "line 1: more than 256", 21);

    /* 1 MiB fits, one byte more does not, quoted or plain */

    for (i = 0; i < 2; i++) {
        scc_buf_reset(&text);
        scc_buf_text(&text, i ? "a\n\"" : "a\n");

        while (text.used < SCC_CSV_RECORD_MAX + (i ? 3 : 2)) {
            scc_buf_byte(&text, 'x');
        }

        if (i) {
            scc_buf_byte(&text, '"');
        }

        assert_int_equal(parse(&log, scc_buf_get(&text), 65536, &err),
                         SCC_OK);
        assert_int_equal(log.longest, SCC_CSV_RECORD_MAX);

        text.used -= i;
        scc_buf_text(&text, i ? "x\"" : "x");

        assert_int_equal(parse(&log, scc_buf_get(&text), 65536, &err),
                         SCC_DECLINED);
        assert_memory_equal(err.text, "line 2: ", 8);
        assert_non_null(strstr(err.text, "1 MiB"));
    }

    scc_buf_free(&text);
    scc_buf_free(&log.seen);
}


static void
test_stopped(void **state)
{
    scc_err_t     err;
    record_log_t  log;

    (void) state;

    log_init(&log);
    log.stop = 2;

    assert_int_equal(parse(&log, S("a\nb\nc\n"), 100, &err), SCC_DONE);
    assert_int_equal(log.records, 2);

    /* also where the last record has no newline */

    log.stop = 4;

    assert_int_equal(parse(&log, S("a\nb"), 1, &err), SCC_DONE);
    assert_int_equal(log.records, 4);

    scc_buf_free(&log.seen);
}


/* What is written with quotes is read as it was, in any pieces. */

static void
test_round_trip(void **state)
{
    size_t        i, k, n, fields;
    uint64_t      seed;
    scc_buf_t     text, want;
    scc_err_t     err;
    record_log_t  log;

    static const char  bytes[] = "ab,\"\n\r ;\0\xff";

    (void) state;

    seed = 20230501;

    scc_buf_heap(&text, 0);
    scc_buf_heap(&want, 0);

    for (i = 0; i < 2000; i++) {
        scc_buf_reset(&text);
        scc_buf_reset(&want);
        scc_buf_text(&want, "1:");

        fields = (size_t) scc_test_range(&seed, 1, 5);

        for (k = 0; k < fields; k++) {

            scc_buf_text(&text, k ? ",\"" : "\"");
            scc_buf_text(&want, k ? "|" : "");

            for (n = (size_t) scc_test_range(&seed, 0, 6); n; n--) {
                uint8_t  ch;

                ch = (uint8_t) bytes[scc_test_range(&seed, 0,
                                                    sizeof(bytes) - 2)];

                if (ch == '"') {
                    scc_buf_byte(&text, '"');
                }

                scc_buf_byte(&text, ch);
                scc_buf_byte(&want, ch);
            }

            scc_buf_byte(&text, '"');
        }

        scc_buf_text(&text, (i & 1) ? "\r\n" : "\n");
        scc_buf_byte(&want, '\n');

        log_init(&log);

        assert_int_equal(parse(&log, scc_buf_get(&text),
                               (size_t) scc_test_range(&seed, 1, 9), &err),
                         SCC_OK);
        assert_int_equal(log.seen.used, want.used);
        assert_memory_equal(log.seen.start, want.start, want.used);

        scc_buf_free(&log.seen);
    }

    scc_buf_free(&text);
    scc_buf_free(&want);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
