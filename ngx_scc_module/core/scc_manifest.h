
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_MANIFEST_H_INCLUDED_
#define _SCC_MANIFEST_H_INCLUDED_


#include "scc_import.h"
#include "scc_sheet.h"


/*
 * A list of the objects in a photos' store, pushed in pieces of any size,
 * into rows of bodies of the kind "photo", or rejections.  CSV with a head,
 * or an object of JSON per line; which one, its first character says.
 * Columns, and members, in either case:
 *
 *   objectKey (key), size, sha256       required
 *   takenAt (time)                      required, unless the key's name
 *                                       begins with yyyyMMddHHmmss_, UTC
 *   lng, lat (lon)                      both or none
 *   placeId (place), buildingId (building), imageType (type), uploader
 *
 * The same row gives the same bytes.
 */

#define SCC_MANIFEST_LINE_MAX  65536        /* of JSON, bytes */


/* Valid during the call.  line from 1; rejected: no body, and the import's
   field, reason and text. */

typedef struct {
    uint64_t            line;
    scc_str_t           key;            /* as given; may be empty */
    scc_str_t           target;
    scc_str_t           body;

    scc_reject_t        reject;         /* NONE: there is a body */
    scc_str_t           field;
    char                text[SCC_ERR_TEXT];
} scc_manifest_row_t;

/* Anything but OK stops, and is what feed returns. */

typedef scc_rc_t (*scc_manifest_row_pt)(void *ctx,
    const scc_manifest_row_t *row);


typedef struct scc_manifest_s  scc_manifest_t;

/* NULL if there is no memory. */
scc_manifest_t *scc_manifest_create(scc_manifest_row_pt row, void *ctx);
void scc_manifest_free(scc_manifest_t *m);

/* The next bytes; then, once, the end.  DECLINED: err->text says why the
   file cannot be read on; ERROR: no memory. */
scc_rc_t scc_manifest_feed(scc_manifest_t *m, const void *data, size_t len,
    scc_err_t *err);
scc_rc_t scc_manifest_end(scc_manifest_t *m, scc_err_t *err);


#endif /* _SCC_MANIFEST_H_INCLUDED_ */
