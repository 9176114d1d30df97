
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CSV_H_INCLUDED_
#define _SCC_CSV_H_INCLUDED_


#include "scc_buf.h"


/*
 * CSV as RFC 4180 has it, pushed in pieces of any size: fields in quotes
 * with doubled quotes and newlines inside, lines ending in CRLF or LF, a
 * last line without one, a UTF-8 byte order mark skipped.  Empty lines are
 * skipped.  Bytes are passed as they are: what is text is the user's matter.
 * Memory is one record, whatever the file's size.
 */

#define SCC_CSV_FIELDS_MAX  256
#define SCC_CSV_RECORD_MAX  (1024 * 1024)   /* bytes of all its fields */


typedef struct scc_csv_s  scc_csv_t;


/*
 * One record; fields are valid during the call.  "line" (from 1) is where
 * the record starts.  Anything but OK stops the parse and is returned by
 * scc_csv_feed().
 */
typedef scc_rc_t (*scc_csv_record_pt)(void *ctx, uint64_t line,
    const scc_str_t *field, size_t n);


/* NULL if there is no memory. */
scc_csv_t *scc_csv_create(scc_csv_record_pt record, void *ctx);
void scc_csv_free(scc_csv_t *csv);

/*
 * The next bytes; then, once, the end.  DECLINED: err says the line and
 * what is wrong (a quote inside a field or never closed, too many fields,
 * a record too large); ERROR: no memory; else what the callback returned.
 * After any of these the parser only repeats it.
 */
scc_rc_t scc_csv_feed(scc_csv_t *csv, const void *data, size_t len,
    scc_err_t *err);
scc_rc_t scc_csv_end(scc_csv_t *csv, scc_err_t *err);

/*
 * A cell to be written, quoted where it has to be.  What a spreadsheet would
 * take for a formula begins with an apostrophe; bytes that are no UTF-8 are
 * written as \xHH.
 */
void scc_csv_cell(scc_buf_t *b, scc_str_t s);


#endif /* _SCC_CSV_H_INCLUDED_ */
