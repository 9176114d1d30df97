
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_GEOJSON_H_INCLUDED_
#define _SCC_GEOJSON_H_INCLUDED_


#include "scc_osm.h"


/*
 * GeoJSON (RFC 7946), pushed in pieces of any size: FeatureCollections, and
 * Features one after another (newline-delimited).  Memory is one feature:
 * nothing of an earlier one is kept.
 */

#define SCC_GEOJSON_FEATURE_MAX  (4 * 1024 * 1024)  /* bytes of JSON */
#define SCC_GEOJSON_DEPTH_MAX    64
#define SCC_GEOJSON_PROPS_MAX    1024
#define SCC_GEOJSON_FAR          20000000000LL


/* What is wrong with one feature; the rest of the file can be read. */

typedef enum {
    SCC_FEATURE_OK = 0,
    SCC_FEATURE_NOT_ONE,            /* not an object of type Feature */
    SCC_FEATURE_NO_POINT,           /* no geometry, or an empty one */
    SCC_FEATURE_BAD_GEOMETRY,       /* of unknown type or wrong shape */
    SCC_FEATURE_BAD_NUMBER,         /* a coordinate that is no coordinate */
    SCC_FEATURE_BAD_TEXT,           /* id or properties jsonb cannot take:
                                       see "sound" in scc_json.h */
    SCC_FEATURE_TOO_LARGE,          /* its JSON, or too many properties */
} scc_feature_fault_t;


/* Everything in it is valid during the call only. */

typedef struct {
    uint64_t            seq;        /* from 1 */
    uint64_t            line;       /* from 1, where the feature starts */
    scc_feature_fault_t fault;
    scc_str_t           id;         /* id, else properties["@id"], else
                                       empty; a number as it is written */
    int64_t             lon;        /* the representative point, e7; not */
    int64_t             lat;        /* checked against the world (beyond
                                       1000 degrees: SCC_GEOJSON_FAR); 0 if
                                       the fault is about the geometry */
    const scc_osm_tag_t *props;     /* in the order of the file, without
                                       null ones; the text of strings,
                                       numbers and booleans, the JSON of
                                       arrays and objects */
    size_t              n_props;
    scc_str_t           extra;      /* properties as one JSON object, "{}"
                                       if there are none */
} scc_feature_t;


typedef struct scc_geojson_s  scc_geojson_t;


/* Anything but OK stops the parse and is returned by scc_geojson_feed(). */

typedef scc_rc_t (*scc_geojson_feature_pt)(void *ctx,
    const scc_feature_t *feature);


/* NULL if there is no memory. */
scc_geojson_t *scc_geojson_create(scc_geojson_feature_pt feature, void *ctx);
void scc_geojson_free(scc_geojson_t *g);

/*
 * The next bytes; then, once, the end.  DECLINED: err says the line and
 * what is wrong (malformed JSON, nested too deep, no object); ERROR: no
 * memory; else what the callback returned.  After any of these the parser
 * only repeats it.
 */
scc_rc_t scc_geojson_feed(scc_geojson_t *g, const void *data, size_t len,
    scc_err_t *err);
scc_rc_t scc_geojson_end(scc_geojson_t *g, scc_err_t *err);


#endif /* _SCC_GEOJSON_H_INCLUDED_ */
