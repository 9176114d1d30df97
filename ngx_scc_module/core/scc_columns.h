
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_COLUMNS_H_INCLUDED_
#define _SCC_COLUMNS_H_INCLUDED_


#include "scc_csv.h"
#include "scc_row.h"


/*
 * Which column of a CSV file is which import field, by its header and by
 * --map.  Columns that are no field are collected into a JSON object, the
 * row's "extra", if the file has no "extra" column; else they are ignored.
 */

typedef struct {
    scc_buf_t     map;                          /* a copy */
    scc_str_t     mapped[SCC_FIELDS];           /* in map; empty: by name */

    size_t        n;
    unsigned      column[SCC_CSV_FIELDS_MAX];   /* a field, or more */
    size_t        name_end[SCC_CSV_FIELDS_MAX];
    scc_buf_t     names;                        /* of collected columns */
    scc_buf_t     ignored;                      /* names joined by ", " */

    scc_buf_t     extra;
} scc_columns_t;


void scc_columns_init(scc_columns_t *c);
void scc_columns_free(scc_columns_t *c);

/* "field=column,..."; may be empty.  DECLINED: err names the bad part. */
scc_rc_t scc_columns_map(scc_columns_t *c, scc_str_t map, scc_err_t *err);

/*
 * The header.  DECLINED: a required or mapped column is missing, mapped
 * twice or there twice; err names it and what exists.
 */
scc_rc_t scc_columns_header(scc_columns_t *c, uint64_t line,
    const scc_str_t *name, size_t n, scc_err_t *err);

/*
 * A record's values as fields.  DECLINED: the row is a rejection; ERROR: no
 * memory.
 */
scc_rc_t scc_columns_fields(scc_columns_t *c, const scc_str_t *value,
    size_t n, scc_fields_t *fields, scc_import_row_t *row);


#endif /* _SCC_COLUMNS_H_INCLUDED_ */
