
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_SHEET_H_INCLUDED_
#define _SCC_SHEET_H_INCLUDED_


#include "scc_csv.h"


/*
 * A CSV whose first record names its columns, as spreadsheets save it.
 * Columns are found by name or alias, ASCII letters of either case, blanks
 * around them left out; other columns are passed over, a cell that is not
 * there is empty.
 */

#define SCC_SHEET_COLUMNS_MAX  16

typedef struct {
    const char     *name;
    const char     *alias;          /* NULL: none */
    bool            required;
} scc_sheet_column_t;               /* a list ends with name NULL */

typedef struct scc_sheet_s  scc_sheet_t;


/* A row after the head: a cell per column of the list, as they are written,
   valid during the call.  Anything but OK stops, and is what feed returns. */

typedef scc_rc_t (*scc_sheet_row_pt)(void *ctx, uint64_t line,
    const scc_str_t *cell);


/* NULL if there is no memory.  The list is borrowed. */
scc_sheet_t *scc_sheet_create(const scc_sheet_column_t *columns,
    scc_sheet_row_pt row, void *ctx);
void scc_sheet_free(scc_sheet_t *sheet);

/*
 * The next bytes; then, once, the end.  DECLINED: err says what is wrong
 * with the CSV or its head; else as scc_csv_feed().
 */
scc_rc_t scc_sheet_feed(scc_sheet_t *sheet, const void *data, size_t len,
    scc_err_t *err);
scc_rc_t scc_sheet_end(scc_sheet_t *sheet, scc_err_t *err);

/* Which column of the list has this name or alias; past the last: none. */
size_t scc_sheet_column(const scc_sheet_column_t *columns, scc_str_t name);


#endif /* _SCC_SHEET_H_INCLUDED_ */
