
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_ROW_H_INCLUDED_
#define _SCC_ROW_H_INCLUDED_


#include "scc_import.h"
#include "scc_osm.h"


/*
 * The second half of an import: one row's fields, as text, into bodies or a
 * rejection.  Where they come from, CSV or GeoJSON, is scc_import.c's.
 */

typedef enum {
    SCC_FIELD_ID = 0,
    SCC_FIELD_NAME,
    SCC_FIELD_CATEGORY,
    SCC_FIELD_LNG,
    SCC_FIELD_LAT,
    SCC_FIELD_ADDRESS,
    SCC_FIELD_SOURCE,
    SCC_FIELD_EXTRA,
    SCC_FIELD_WHEELCHAIR,
    SCC_FIELD_IS_CLOSED,
    SCC_FIELD_SYNTHETIC,
    SCC_FIELD_IS_FIRST_FLOOR,
    SCC_FIELD_FLOORS,
    SCC_FIELD_IS_STAIR_ONLY_OPTION,
    SCC_FIELD_STAIR_INFO,
    SCC_FIELD_STAIR_HEIGHT_LEVEL,
    SCC_FIELD_HAS_SLOPE,
    SCC_FIELD_ENTRANCE_DOOR_TYPES,
    SCC_FIELD_BUILDING_ID,
    SCC_FIELD_BUILDING_NAME,
    SCC_FIELD_BUILDING_ADDRESS,
    SCC_FIELD_BUILDING_ENTRANCE_STAIR_INFO,
    SCC_FIELD_BUILDING_ENTRANCE_STAIR_HEIGHT_LEVEL,
    SCC_FIELD_BUILDING_HAS_SLOPE,
    SCC_FIELD_BUILDING_HAS_ELEVATOR,
    SCC_FIELD_BUILDING_ELEVATOR_STAIR_INFO,
    SCC_FIELD_BUILDING_ELEVATOR_STAIR_HEIGHT_LEVEL,
    SCC_FIELD_CONTRIBUTOR_ID,
    SCC_FIELD_CONTRIBUTOR_NAME,
    SCC_FIELDS
} scc_field_t;


typedef struct {
    scc_str_t             value[SCC_FIELDS];    /* empty: not given */

    bool                  point;        /* lon and lat are given in e7 and
                                           not as text; extra is checked */
    int64_t               lon;
    int64_t               lat;

    const scc_osm_tag_t  *tags;         /* OSM tags; NULL: made of extra,
                                           wheelchair and category if the
                                           source or the id is OSM's */
    size_t                n_tags;
} scc_fields_t;


/* A tag made of "extra": places in the text, which may still move. */

typedef struct {
    size_t                key;
    size_t                key_len;
    size_t                value;
    size_t                value_len;
} scc_row_tag_t;


typedef struct {
    bool                  bounded;
    scc_area_t            bounds;
    scc_buf_t             out;          /* the bodies, one after another */
    scc_buf_t             tags;         /* of scc_row_tag_t */
    scc_buf_t             text;         /* of the tags */
    scc_buf_t             osm;          /* the tags as scc_osm_tag_t */
} scc_row_t;


void scc_row_init(scc_row_t *r);
void scc_row_free(scc_row_t *r);

scc_str_t scc_field_name(scc_field_t field);

/* The field of that name, or SCC_FIELDS. */
scc_field_t scc_field_find(scc_str_t name);

/*
 * Fills all of the row but its line and number; its strings live until the
 * next call and as long as the fields.  ERROR: no memory.
 */
scc_rc_t scc_row_build(scc_row_t *r, const scc_fields_t *f,
    scc_import_row_t *row);

/*
 * The accessibility bodies of a row (scc_row_access.c): from its SCC
 * fields, or from OSM tags where it has none.  DECLINED: the row is a
 * rejection now.
 */
scc_rc_t scc_row_access(scc_row_t *r, const scc_fields_t *f,
    scc_import_row_t *row);
scc_rc_t scc_row_building_access(scc_row_t *r, const scc_fields_t *f,
    scc_import_row_t *row);


/* Turns the row into a rejection; returns DECLINED. */
scc_rc_t scc_row_reject(scc_import_row_t *row, scc_reject_t reject,
    scc_str_t field, const char *text);

/* The same, with the field's value before the text. */
scc_rc_t scc_row_bad(const scc_fields_t *f, scc_field_t field,
    scc_reject_t reject, const char *text, scc_import_row_t *row);

/* What was written to r->out since the last body is one. */
void scc_row_body(scc_row_t *r, scc_import_row_t *row,
    scc_import_kind_t kind, scc_str_t target);

/* A member after the first one; nothing if empty or unknown. */
void scc_row_text(scc_buf_t *b, const char *name, scc_str_t value);
void scc_row_bool(scc_buf_t *b, const char *name, scc_tri_t tri);

scc_rc_t scc_row_tri(const scc_fields_t *f, scc_field_t field,
    scc_tri_t *tri, scc_import_row_t *row);

bool scc_row_is(scc_str_t s, const char *text);

/* Bytes for a person: printable ASCII, '?' for others, cut to the size with
   "..."; NUL-terminated.  Returns dst. */
char *scc_row_show(char *dst, size_t size, scc_str_t s);


#endif /* _SCC_ROW_H_INCLUDED_ */
