
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_TEST_MVT_H_INCLUDED_
#define _SCC_TEST_MVT_H_INCLUDED_


#include "scc_test.h"


/*
 * A reader of one tile with one layer of points, as strict as the
 * specification (MVT 2.1) lets it be: every field known, once, in order, of
 * its type; every index in range; keys and values distinct and used.
 */

#define TEST_MVT_KEYS  16


typedef struct {
    uint8_t             type;           /* 1 string, 5 uint, 7 bool */
    scc_str_t           str;
    uint64_t            n;
} test_value_t;


typedef struct {
    uint64_t            id;
    int64_t             x;
    int64_t             y;
    const test_value_t *tag[TEST_MVT_KEYS];     /* by key; NULL: absent */
} test_feature_t;


typedef struct {
    scc_str_t           name;
    size_t              n_keys;
    scc_str_t           keys[TEST_MVT_KEYS];
    size_t              n_values;
    test_value_t       *values;
    size_t              n;
    test_feature_t     *features;
} test_layer_t;


static inline uint64_t
test_mvt_varint(scc_str_t *s)
{
    uint64_t  n;
    unsigned  shift;

    n = 0;

    for (shift = 0; /* void */ ; shift += 7) {
        assert_true(s->len > 0);
        assert_true(shift < 64);

        n |= (uint64_t) (*s->data & 0x7f) << shift;

        s->len--;

        if (!(*s->data++ & 0x80)) {

            /* no longer than it must be */

            assert_true(shift == 0 || s->data[-1] != 0);
            return n;
        }
    }
}


static inline scc_str_t
test_mvt_bytes(scc_str_t *s)
{
    uint64_t   n;
    scc_str_t  part;

    n = test_mvt_varint(s);
    assert_true(n <= s->len);

    part.data = s->data;
    part.len = (size_t) n;

    s->data += n;
    s->len -= (size_t) n;

    return part;
}


/* The field's content if it is the next one. */

static inline bool
test_mvt_next(scc_str_t *s, unsigned field, unsigned type)
{
    scc_str_t  rest;

    if (s->len == 0) {
        return false;
    }

    rest = *s;

    if (test_mvt_varint(&rest) != (field << 3 | type)) {
        return false;
    }

    *s = rest;

    return true;
}


static inline void
test_mvt_value(scc_str_t s, test_value_t *v)
{
    memset(v, 0, sizeof(test_value_t));

    if (test_mvt_next(&s, 1, 2)) {
        v->type = 1;
        v->str = test_mvt_bytes(&s);
        assert_true(scc_utf8_valid(v->str));

    } else if (test_mvt_next(&s, 5, 0)) {
        v->type = 5;
        v->n = test_mvt_varint(&s);

    } else {
        assert_true(test_mvt_next(&s, 7, 0));
        v->type = 7;
        v->n = test_mvt_varint(&s);
        assert_true(v->n <= 1);
    }

    assert_int_equal(s.len, 0);
}


static inline void
test_mvt_feature(scc_str_t s, test_feature_t *f, const test_layer_t *layer,
    bool *used)
{
    size_t     i;
    int64_t    n[2];
    uint64_t   key, value, zigzag;
    scc_str_t  part;

    memset(f, 0, sizeof(test_feature_t));

    assert_true(test_mvt_next(&s, 1, 0));
    f->id = test_mvt_varint(&s);
    assert_true(f->id < (uint64_t) 1 << 53);

    if (test_mvt_next(&s, 2, 2)) {
        part = test_mvt_bytes(&s);
        assert_true(part.len > 0);

        while (part.len) {
            key = test_mvt_varint(&part);
            value = test_mvt_varint(&part);

            assert_true(key < layer->n_keys);
            assert_true(value < layer->n_values);
            assert_null(f->tag[key]);

            f->tag[key] = &layer->values[value];
            used[value] = true;
        }
    }

    assert_true(test_mvt_next(&s, 3, 0));
    assert_int_equal(test_mvt_varint(&s), 1);

    assert_true(test_mvt_next(&s, 4, 2));
    part = test_mvt_bytes(&s);
    assert_int_equal(s.len, 0);

    assert_int_equal(test_mvt_varint(&part), 9);

    for (i = 0; i < 2; i++) {
        zigzag = test_mvt_varint(&part);
        n[i] = (int64_t) (zigzag >> 1) ^ -(int64_t) (zigzag & 1);
        assert_true(n[i] >= 0 && n[i] < 4096);
    }

    assert_int_equal(part.len, 0);

    f->x = n[0];
    f->y = n[1];
}


/* The layer borrows the bytes; free values and features. */

static inline void
test_mvt_read(scc_str_t tile, test_layer_t *layer)
{
    bool          *used;
    size_t         i, j;
    scc_str_t      s, rest, v;
    test_value_t  *a, *b;

    memset(layer, 0, sizeof(test_layer_t));

    assert_true(test_mvt_next(&tile, 3, 2));
    s = test_mvt_bytes(&tile);
    assert_int_equal(tile.len, 0);

    assert_true(test_mvt_next(&s, 1, 2));
    layer->name = test_mvt_bytes(&s);

    assert_true(test_mvt_next(&s, 15, 0));
    assert_int_equal(test_mvt_varint(&s), 2);
    assert_true(test_mvt_next(&s, 5, 0));
    assert_int_equal(test_mvt_varint(&s), 4096);

    rest = s;

    while (test_mvt_next(&rest, 2, 2)) {
        (void) test_mvt_bytes(&rest);
        layer->n++;
    }

    while (test_mvt_next(&rest, 3, 2)) {
        assert_true(layer->n_keys < TEST_MVT_KEYS);
        layer->keys[layer->n_keys++] = test_mvt_bytes(&rest);
    }

    v = rest;

    while (test_mvt_next(&rest, 4, 2)) {
        (void) test_mvt_bytes(&rest);
        layer->n_values++;
    }

    assert_int_equal(rest.len, 0);

    layer->values = calloc(layer->n_values + 1, sizeof(test_value_t));
    layer->features = calloc(layer->n + 1, sizeof(test_feature_t));
    used = calloc(layer->n_values + 1, sizeof(bool));
    assert_true(layer->values && layer->features && used);

    for (i = 0; test_mvt_next(&v, 4, 2); i++) {
        test_mvt_value(test_mvt_bytes(&v), &layer->values[i]);
    }

    for (i = 0; test_mvt_next(&s, 2, 2); i++) {
        test_mvt_feature(test_mvt_bytes(&s), &layer->features[i], layer,
                         used);
    }

    for (i = 0; i < layer->n_keys; i++) {
        for (j = 0; j < i; j++) {
            assert_false(scc_str_eq(layer->keys[i], layer->keys[j]));
        }
    }

    for (i = 0; i < layer->n_values; i++) {
        a = &layer->values[i];
        assert_true(used[i]);

        for (j = 0; j < i; j++) {
            b = &layer->values[j];
            assert_false(a->type == b->type && a->n == b->n
                         && scc_str_eq(a->str, b->str));
        }
    }

    free(used);
}


static inline void
test_mvt_free(test_layer_t *layer)
{
    free(layer->values);
    free(layer->features);
}


#endif /* _SCC_TEST_MVT_H_INCLUDED_ */
