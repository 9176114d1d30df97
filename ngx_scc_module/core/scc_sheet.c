
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_sheet.h"


struct scc_sheet_s {
    scc_csv_t                  *csv;
    const scc_sheet_column_t   *columns;
    size_t                      n;
    scc_sheet_row_pt            row;
    void                       *ctx;
    bool                        head;       /* was read */
    size_t                      at[SCC_SHEET_COLUMNS_MAX];  /* + 1; 0: none */
    const char                 *wrong;      /* with the head */
    const char                 *column;
};


static scc_rc_t scc_sheet_record(void *ctx, uint64_t line,
    const scc_str_t *field, size_t n);
static scc_rc_t scc_sheet_head(scc_sheet_t *sheet, const scc_str_t *field,
    size_t n);
static scc_rc_t scc_sheet_said(scc_sheet_t *sheet, scc_rc_t rc,
    scc_err_t *err);
static bool scc_sheet_same(scc_str_t s, const char *name);


scc_sheet_t *
scc_sheet_create(const scc_sheet_column_t *columns, scc_sheet_row_pt row,
    void *ctx)
{
    scc_sheet_t  *sheet;

    sheet = calloc(1, sizeof(scc_sheet_t));

    if (sheet == NULL) {
        return NULL;
    }

    sheet->columns = columns;
    sheet->row = row;
    sheet->ctx = ctx;

    while (sheet->n < SCC_SHEET_COLUMNS_MAX
           && columns[sheet->n].name != NULL)
    {
        sheet->n++;
    }

    sheet->csv = scc_csv_create(scc_sheet_record, sheet);

    if (sheet->csv == NULL) {
        free(sheet);
        return NULL;
    }

    return sheet;
}


void
scc_sheet_free(scc_sheet_t *sheet)
{
    if (sheet != NULL) {
        scc_csv_free(sheet->csv);
        free(sheet);
    }
}


scc_rc_t
scc_sheet_feed(scc_sheet_t *sheet, const void *data, size_t len,
    scc_err_t *err)
{
    return scc_sheet_said(sheet, scc_csv_feed(sheet->csv, data, len, err),
                          err);
}


scc_rc_t
scc_sheet_end(scc_sheet_t *sheet, scc_err_t *err)
{
    scc_rc_t  rc;

    rc = scc_sheet_said(sheet, scc_csv_end(sheet->csv, err), err);

    if (rc == SCC_OK && !sheet->head) {
        sheet->wrong = "is not there: the file is empty; the first line "
                       "names the columns";
        sheet->column = sheet->columns[0].name;

        return scc_sheet_said(sheet, SCC_DECLINED, err);
    }

    return rc;
}


size_t
scc_sheet_column(const scc_sheet_column_t *columns, scc_str_t name)
{
    size_t  i;

    for (i = 0; columns[i].name != NULL; i++) {

        if (scc_sheet_same(name, columns[i].name)
            || (columns[i].alias != NULL
                && scc_sheet_same(name, columns[i].alias)))
        {
            break;
        }
    }

    return i;
}


static scc_rc_t
scc_sheet_record(void *ctx, uint64_t line, const scc_str_t *field, size_t n)
{
    size_t        i;
    scc_str_t     cell[SCC_SHEET_COLUMNS_MAX];
    scc_sheet_t  *sheet = ctx;

    static const scc_str_t  empty = { 0, (const uint8_t *) "" };

    if (!sheet->head) {
        return scc_sheet_head(sheet, field, n);
    }

    for (i = 0; i < sheet->n; i++) {
        cell[i] = sheet->at[i] > 0 && sheet->at[i] <= n
                  ? field[sheet->at[i] - 1] : empty;
    }

    return sheet->row(sheet->ctx, line, cell);
}


static scc_rc_t
scc_sheet_head(scc_sheet_t *sheet, const scc_str_t *field, size_t n)
{
    size_t  i, k;

    for (k = 0; k < n; k++) {
        i = scc_sheet_column(sheet->columns, field[k]);

        if (i >= sheet->n) {
            continue;
        }

        if (sheet->at[i] > 0) {
            sheet->wrong = "is there twice; rename one of the columns";
            sheet->column = sheet->columns[i].name;
            return SCC_DECLINED;
        }

        sheet->at[i] = k + 1;
    }

    for (i = 0; i < sheet->n; i++) {

        if (sheet->columns[i].required && sheet->at[i] == 0) {
            sheet->wrong = "is no column of it; the first line names the "
                           "columns";
            sheet->column = sheet->columns[i].name;
            return SCC_DECLINED;
        }
    }

    sheet->head = true;

    return SCC_OK;
}


static scc_rc_t
scc_sheet_said(scc_sheet_t *sheet, scc_rc_t rc, scc_err_t *err)
{
    size_t  len;

    if (rc == SCC_DECLINED && sheet->wrong != NULL) {
        len = strlen(sheet->column);

        err->field.len = len;
        err->field.data = (const uint8_t *) sheet->column;

        memcpy(err->text, "\"", 1);
        memcpy(err->text + 1, sheet->column, len);
        memcpy(err->text + 1 + len, "\" ", 2);
        memcpy(err->text + 3 + len, sheet->wrong, strlen(sheet->wrong) + 1);
    }

    return rc;
}


static bool
scc_sheet_same(scc_str_t s, const char *name)
{
    size_t   i;
    uint8_t  c;

    s = scc_str_trim(s);

    if (s.len != strlen(name)) {
        return false;
    }

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (c >= 'A' && c <= 'Z') {
            c = (uint8_t) (c | 0x20);
        }

        if (c != (uint8_t) name[i]) {
            return false;
        }
    }

    return true;
}
