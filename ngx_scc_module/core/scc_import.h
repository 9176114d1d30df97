
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_IMPORT_H_INCLUDED_
#define _SCC_IMPORT_H_INCLUDED_


#include "scc_geo.h"


/*
 * A file of places, CSV or GeoJSON, pushed in pieces of any size, into rows
 * of bodies as the ledger takes them.  A row is a place with what the file
 * says of its building and of both accessibilities, or a rejection.
 *
 *   im = scc_import_create(&conf, row, ctx, &err);
 *   while (there is more) scc_import_feed(im, data, len, &err);
 *   scc_import_end(im, &err);
 *   scc_import_free(im);
 *
 * The same input gives the same bytes of bodies, so that importing a file
 * again changes nothing.
 */

typedef enum {
    SCC_IMPORT_AUTO = 0,        /* '{' or '[' first: GeoJSON; else CSV */
    SCC_IMPORT_CSV,
    SCC_IMPORT_GEOJSON,
} scc_import_format_t;


typedef struct {
    scc_import_format_t format;
    scc_str_t           map;    /* "field=column,...", of CSV; may be empty */
    scc_str_t           bounds; /* "w,s,e,n"; empty: the world */
} scc_import_conf_t;            /* strings are copied */


/* Why a row is rejected; the names are those of the rejects file. */

typedef enum {
    SCC_REJECT_NONE = 0,
    SCC_REJECT_MISSING,         /* "missing"       an id, lng or lat */
    SCC_REJECT_NOT_A_NUMBER,    /* "not_a_number"  lng or lat */
    SCC_REJECT_SWAPPED,         /* "swapped"       right when exchanged */
    SCC_REJECT_OUT_OF_RANGE,    /* "out_of_range"  of the world or bounds */
    SCC_REJECT_BAD_ID,          /* "bad_id"        too long or not UTF-8 */
    SCC_REJECT_BAD_NAME,        /* "bad_name"      too long or not UTF-8 */
    SCC_REJECT_BAD_VALUE,       /* "bad_value"     any other field */
    SCC_REJECT_BAD_JSON,        /* "bad_json"      extra; not a Feature */
    SCC_REJECT_BAD_GEOMETRY,    /* "bad_geometry"  of a feature */
    SCC_REJECT_TOO_LARGE,       /* "too_large"     a feature */
} scc_reject_t;

#define SCC_REJECTS  (SCC_REJECT_TOO_LARGE + 1)

scc_str_t scc_reject_name(scc_reject_t reject);


/* The order in which a row's bodies come. */

typedef enum {
    SCC_IMPORT_PLACE = 0,
    SCC_IMPORT_BUILDING,
    SCC_IMPORT_PLACE_ACCESSIBILITY,
    SCC_IMPORT_BUILDING_ACCESSIBILITY,
} scc_import_kind_t;

#define SCC_IMPORT_BODIES  4


typedef struct {
    scc_import_kind_t   kind;
    scc_str_t           kind_name;      /* "place", "building", ... */
    scc_str_t           target;         /* the place's or building's id */
    scc_str_t           body;           /* a JSON object, valid UTF-8, no
                                           \u0000, taken by PostgreSQL */
} scc_import_body_t;


/* Everything in it is valid during the call only. */

typedef struct {
    uint64_t            line;           /* from 1, where the row starts */
    uint64_t            row;            /* from 1, without the header */
    scc_str_t           id;             /* as given, maybe invalid; may be
                                           empty in a rejected row */
    scc_reject_t        reject;         /* NONE: there are bodies */

    unsigned            n;              /* bodies, the place first; 0 if
                                           rejected */
    scc_import_body_t   body[SCC_IMPORT_BODIES];
    scc_str_t           contributor_id;     /* empty: the file names none */
    scc_str_t           contributor_name;   /* may be empty */

    scc_str_t           field;          /* rejected: the import field, as
                                           "lng" or "stair_info" */
    char                text[SCC_ERR_TEXT]; /* rejected: problem and cure */
} scc_import_row_t;


/* Anything but OK stops the import and is returned by scc_import_feed(). */

typedef scc_rc_t (*scc_import_row_pt)(void *ctx,
    const scc_import_row_t *row);


typedef struct scc_import_s  scc_import_t;


/*
 * NULL with err: no memory (err->text says so), bounds that are no box, a
 * map that is not "field=column,..." or names an unknown field.
 */
scc_import_t *scc_import_create(const scc_import_conf_t *conf,
    scc_import_row_pt row, void *ctx, scc_err_t *err);
void scc_import_free(scc_import_t *im);

/*
 * The next bytes; then, once, the end.  DECLINED: the file cannot be read
 * on, err->text says the line and why (broken CSV or JSON; a required
 * column missing, one mapped twice: then it lists what exists); ERROR: no
 * memory; else what the callback returned.
 */
scc_rc_t scc_import_feed(scc_import_t *im, const void *data, size_t len,
    scc_err_t *err);
scc_rc_t scc_import_end(scc_import_t *im, scc_err_t *err);

/* The names of the import fields, for help texts; NULL past the last. */
const char *scc_import_field(unsigned i);

/*
 * Columns whose values are not imported: those that are no field while the
 * file has an "extra" of its own (without one they are collected into it).
 * Names joined by ", "; empty if none.  Known after the header.
 */
scc_str_t scc_import_ignored(const scc_import_t *im);


#endif /* _SCC_IMPORT_H_INCLUDED_ */
