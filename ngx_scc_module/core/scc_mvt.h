
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_MVT_H_INCLUDED_
#define _SCC_MVT_H_INCLUDED_


#include "scc_buf.h"


/*
 * A writer of one layer of points, Mapbox Vector Tile 2.1:
 *
 *   layer    name, version 2, extent, features, keys, values
 *   feature  id, tags, type POINT, one MoveTo of one point
 *
 * Fields come in that order, always: the same features give the same bytes,
 * and a layer without features is its first line alone.  Keys are given at
 * the beginning, their index is the caller's; equal values are written once,
 * whatever key they are for.
 *
 * A tile is the concatenation of its layers; finish() appends one.
 */

#define SCC_MVT_EXTENT     4096
#define SCC_MVT_TAGS_MAX   16           /* per feature */
#define SCC_MVT_LAYER_MAX  (64 * 1024 * 1024)


typedef struct {
    const scc_str_t    *name;
    const scc_str_t    *keys;           /* each once; 1..SCC_MVT_TAGS_MAX */
    uint32_t            n_keys;

    uint32_t            n;              /* features */
    uint64_t            id;             /* of the feature being made */
    uint32_t            x;
    uint32_t            y;
    uint32_t            n_tags;
    uint32_t            tags[2 * SCC_MVT_TAGS_MAX];

    uint32_t            n_values;
    uint32_t            n_slots;        /* a power of two, or 0 */
    uint32_t            round;          /* of this layer */
    uint32_t            first[256];     /* slots of small integers and
                                           booleans: index + 1 */
    scc_buf_t           features;
    scc_buf_t           values;
    scc_buf_t           slots;
    scc_buf_t           spare;
    bool                error;
} scc_mvt_t;


/* The writer's buffers live on malloc and are reused from layer to layer
   until free. */
void scc_mvt_init(scc_mvt_t *m);
void scc_mvt_free(scc_mvt_t *m);

/* name and keys are borrowed until finish. */
void scc_mvt_begin(scc_mvt_t *m, const scc_str_t *name,
    const scc_str_t *keys, uint32_t n_keys);

/* A feature: its id, its point in [0, SCC_MVT_EXTENT); then its tags, each
   key at most once; then its end.  Errors are sticky, finish tells. */
void scc_mvt_feature(scc_mvt_t *m, uint64_t id, uint32_t x, uint32_t y);
void scc_mvt_tag_str(scc_mvt_t *m, uint32_t key, scc_str_t value);
void scc_mvt_tag_uint(scc_mvt_t *m, uint32_t key, uint64_t value);
void scc_mvt_tag_bool(scc_mvt_t *m, uint32_t key, bool value);
void scc_mvt_feature_end(scc_mvt_t *m);

/* ERROR: no memory, a layer beyond SCC_MVT_LAYER_MAX, a point outside the
   extent, a key that was not given, too many tags. */
scc_rc_t scc_mvt_finish(scc_mvt_t *m, scc_buf_t *out);


#endif /* _SCC_MVT_H_INCLUDED_ */
