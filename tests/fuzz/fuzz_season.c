
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "fuzz_feed.h"
#include "scc_facts.h"
#include "scc_season.h"
#include "scc_time.h"


/*
 * The first byte is the size of pieces; the rest is a seasons file, and a
 * body, too.  A seasons file in pieces gives the same rows, and the same
 * refusal, as in one; times that are taken are written as they were read.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static scc_rc_t fuzz_piece(void *to, const uint8_t *p, size_t n,
    scc_err_t *err);
static scc_rc_t fuzz_seasons(scc_seasons_t *s, const uint8_t *p, size_t size,
    size_t piece, scc_err_t *err);
static void fuzz_same(const scc_seasons_t *s, const scc_seasons_t *t);
static void fuzz_time(scc_str_t text);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t           i;
    scc_rc_t         rc;
    scc_str_t        text;
    scc_err_t        one, two;
    scc_facts_t     *facts;
    scc_seasons_t   *s, *t;

    if (size == 0) {
        return 0;
    }

    s = scc_seasons_create(540);
    t = scc_seasons_create(540);
    facts = malloc(sizeof(scc_facts_t));

    if (s == NULL || t == NULL || facts == NULL) {
        abort();
    }

    rc = fuzz_seasons(s, data + 1, size - 1, size, &one);

    if (fuzz_seasons(t, data + 1, size - 1, data[0] % 17 + 1u, &two) != rc
        || strcmp(one.text, two.text) != 0)
    {
        abort();
    }

    fuzz_same(s, t);

    text.data = data + 1;
    text.len = size - 1;

    fuzz_time(text);

    if (scc_facts_read(facts, text) != SCC_OK) {
        abort();
    }

    for (i = 0; i < SCC_FACTS; i++) {
        if (facts->text[i].len > SCC_NAME_MAX
            || !scc_utf8_valid(facts->text[i]))
        {
            abort();
        }

        if (facts->text[i].data != NULL) {
            fuzz_time(facts->text[i]);
        }
    }

    (void) scc_facts_time(facts, 1);

    free(facts);
    scc_seasons_free(s);
    scc_seasons_free(t);

    return 0;
}


static scc_rc_t
fuzz_piece(void *to, const uint8_t *p, size_t n, scc_err_t *err)
{
    return scc_seasons_feed(to, p, n, err);
}


static scc_rc_t
fuzz_seasons(scc_seasons_t *s, const uint8_t *p, size_t size, size_t piece,
    scc_err_t *err)
{
    scc_rc_t  rc;

    rc = fuzz_feed(fuzz_piece, s, p, size, piece, err);

    return rc == SCC_OK ? scc_seasons_end(s, err) : rc;
}


static void
fuzz_same(const scc_seasons_t *s, const scc_seasons_t *t)
{
    size_t               i;
    const scc_season_t  *a, *b;

    if (scc_seasons_n(s) != scc_seasons_n(t)) {
        abort();
    }

    for (i = 0; i < scc_seasons_n(s); i++) {
        a = scc_seasons_get(s, i);
        b = scc_seasons_get(t, i);

        if (!scc_str_eq(a->season, b->season)
            || !scc_str_eq(a->chapter, b->chapter)
            || a->from != b->from || a->to != b->to
            || a->boxed != b->boxed || a->n_corners != b->n_corners
            || a->people.n != b->people.n || a->season.len == 0
            || a->from >= a->to)
        {
            abort();
        }

        (void) scc_seasons_find(s, a->chapter, a->from, true, 1270000000,
                                375000000);
    }
}


static void
fuzz_time(scc_str_t text)
{
    int64_t    msec, again;
    uint8_t    block[32];
    scc_buf_t  b;

    if (scc_time_parse(text, &msec) != SCC_OK) {
        return;
    }

    scc_buf_fixed(&b, block, sizeof(block));
    scc_time_write(&b, msec);

    /* an offset can push it over the edge of what is taken */

    if (b.error
        || (scc_time_parse(scc_buf_get(&b), &again) == SCC_OK
            && again != msec))
    {
        abort();
    }
}
