
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_TEST_JOURNAL_H_INCLUDED_
#define _SCC_TEST_JOURNAL_H_INCLUDED_


#include "scc_test.h"

#include "scc_blob.h"
#include "scc_journal.h"


/* Journals whose every record is known by its number. */

#define SCC_TEST_BODY_MAX  8192


/* The number is in the event id, the hlc and the body. */

static inline void
scc_test_record(scc_record_t *r, uint64_t number, size_t body_len,
    char body[SCC_TEST_BODY_MAX])
{
    int       len;
    size_t    i;
    uint64_t  seed;

    memset(r, 0, sizeof(scc_record_t));

    len = snprintf(body, SCC_TEST_BODY_MAX, "{\"placeId\":\"p%llu\",\"x\":\"",
                   (unsigned long long) number);

    for (i = (size_t) len; i + 2 < body_len; i++) {
        body[i] = (char) ('a' + (i + number) % 26);
    }

    body[i++] = '"';
    body[i++] = '}';

    r->kind = (scc_kind_t) (1 + number % 10);
    r->hlc = 1000 + number;
    r->received = 1700000000000000000ULL + number;
    r->key = number % 3 ? S("key") : S("");
    r->target = S("p1");
    r->contributor_id = S("c-1");
    r->contributor_name = S("용감한 토끼");
    r->body = scc_test_str(body, i);

    for (i = 0; i < 8; i++) {
        r->event_id[i] = (uint8_t) (number >> (8 * i));
    }

    seed = number + 1;

    for (i = 8; i < 16; i++) {
        r->event_id[i] = (uint8_t) (scc_test_random(&seed) | 1);
    }

    for (i = 0; i < 32; i++) {
        r->sha256[i] = (uint8_t) (scc_test_random(&seed) | 1);
    }
}


static inline uint64_t
scc_test_number(const scc_record_t *r)
{
    return scc_le64(r->event_id);
}


static inline void
scc_test_segment(scc_segment_t *s, uint64_t number)
{
    uint64_t  seed;
    unsigned  i;

    memset(s, 0, sizeof(scc_segment_t));
    seed = number + 77;

    for (i = 0; i < 16; i++) {
        s->segment[i] = (uint8_t) scc_test_random(&seed);
        s->writer[i] = 'w';
        s->store[i] = 's';
    }

    s->number = number;
    s->created = 1700000000000000000ULL;
    s->last_hlc = 999;
    s->host = S("journal.test");
}


/* n records from "first" on, as one batch. */

static inline void
scc_test_batch(scc_buf_t *b, scc_chain_t *c, uint64_t first, unsigned n,
    size_t body_len)
{
    char          body[SCC_TEST_BODY_MAX];
    unsigned      i;
    scc_batch_t   batch;
    scc_record_t  r;

    scc_batch_begin(&batch, b);

    for (i = 0; i < n; i++) {
        scc_test_record(&r, first + i, body_len, body);
        scc_record_write(b, &r);
        scc_batch_add(&batch, &r);
    }

    assert_int_equal(scc_batch_finish(&batch, c), SCC_OK);
    assert_int_equal(b->used % SCC_JOURNAL_BLOCK, 0);
}


#endif /* _SCC_TEST_JOURNAL_H_INCLUDED_ */
