
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_csv.h"


typedef enum {
    CSV_FIELD = 0,              /* at the start of a field */
    CSV_PLAIN,
    CSV_PLAIN_CR,
    CSV_QUOTED,
    CSV_QUOTE,                  /* after a quote inside quotes */
    CSV_QUOTE_CR,
} scc_csv_state_t;


struct scc_csv_s {
    scc_csv_record_pt  record;
    void              *ctx;

    scc_csv_state_t    state;
    unsigned           bom;             /* bytes of it seen; 3: past it */
    uint64_t           line;
    uint64_t           start;           /* line of the record */

    size_t             n;
    size_t             end[SCC_CSV_FIELDS_MAX];
    bool               quoted;          /* the record has a quoted field */
    scc_buf_t          bytes;           /* fields, one after another */

    scc_rc_t           rc;
    scc_err_t          err;
};


static scc_rc_t scc_csv_parse(scc_csv_t *csv, const uint8_t *p,
    const uint8_t *last);
static scc_rc_t scc_csv_field_end(scc_csv_t *csv);
static scc_rc_t scc_csv_record_end(scc_csv_t *csv);
static scc_rc_t scc_csv_append(scc_csv_t *csv, const uint8_t *p, size_t n);
static scc_rc_t scc_csv_refuse(scc_csv_t *csv, uint64_t line,
    const char *text);


static const uint8_t  scc_csv_bom[] = { 0xef, 0xbb, 0xbf };


scc_csv_t *
scc_csv_create(scc_csv_record_pt record, void *ctx)
{
    scc_csv_t  *csv;

    csv = calloc(1, sizeof(scc_csv_t));
    if (csv == NULL) {
        return NULL;
    }

    csv->record = record;
    csv->ctx = ctx;
    csv->line = 1;
    csv->start = 1;

    scc_buf_heap(&csv->bytes, 2 * SCC_CSV_RECORD_MAX);

    return csv;
}


void
scc_csv_free(scc_csv_t *csv)
{
    if (csv == NULL) {
        return;
    }

    scc_buf_free(&csv->bytes);
    free(csv);
}


scc_rc_t
scc_csv_feed(scc_csv_t *csv, const void *data, size_t len, scc_err_t *err)
{
    unsigned        seen;
    const uint8_t  *p, *last;

    if (len == 0) {
        return csv->rc;
    }

    p = data;
    last = p + len;

    while (csv->rc == SCC_OK && csv->bom < 3 && p < last) {

        if (*p == scc_csv_bom[csv->bom]) {
            csv->bom++;
            p++;
            continue;
        }

        seen = csv->bom;
        csv->bom = 3;

        csv->rc = scc_csv_parse(csv, scc_csv_bom, scc_csv_bom + seen);
    }

    if (csv->rc == SCC_OK) {
        csv->rc = scc_csv_parse(csv, p, last);
    }

    if (csv->rc != SCC_OK) {
        *err = csv->err;
    }

    return csv->rc;
}


scc_rc_t
scc_csv_end(scc_csv_t *csv, scc_err_t *err)
{
    unsigned  seen;

    if (csv->rc == SCC_OK && csv->bom < 3) {
        seen = csv->bom;
        csv->bom = 3;
        csv->rc = scc_csv_parse(csv, scc_csv_bom, scc_csv_bom + seen);
    }

    if (csv->rc == SCC_OK) {

        switch (csv->state) {

        case CSV_QUOTED:
            csv->rc = scc_csv_refuse(csv, csv->start,
                                     "the record starting here has a quoted "
                                     "field that is never closed; close it "
                                     "with a '\"'");
            break;

        case CSV_PLAIN_CR:
        case CSV_QUOTE_CR:
        case CSV_QUOTE:
        case CSV_PLAIN:
            csv->rc = scc_csv_record_end(csv);
            break;

        case CSV_FIELD:
            if (csv->n > 0) {
                csv->rc = scc_csv_record_end(csv);
            }
            break;
        }
    }

    if (csv->rc != SCC_OK) {
        *err = csv->err;
        return csv->rc;
    }

    /* nothing may follow */

    csv->state = CSV_FIELD;

    return SCC_OK;
}


void
scc_csv_cell(scc_buf_t *b, scc_str_t s)
{
    bool         quote, utf8;
    size_t       i;
    uint8_t      c;
    static char  hex[] = "0123456789abcdef";

    quote = false;
    utf8 = scc_utf8_valid(s);

    for (i = 0; i < s.len; i++) {
        c = s.data[i];
        quote |= c == ',' || c == '"' || c == '\n' || c == '\r';
    }

    if (quote) {
        scc_buf_byte(b, '"');
    }

    if (s.len > 0
        && (s.data[0] == '=' || s.data[0] == '+' || s.data[0] == '-'
            || s.data[0] == '@' || s.data[0] == '\t' || s.data[0] == '\r'))
    {
        scc_buf_byte(b, '\'');
    }

    for (i = 0; i < s.len; i++) {
        c = s.data[i];

        if (c == '"') {
            scc_buf_text(b, "\"\"");

        } else if (c == '\0' || (c >= 0x80 && !utf8)) {
            scc_buf_text(b, "\\x");
            scc_buf_byte(b, (uint8_t) hex[c >> 4]);
            scc_buf_byte(b, (uint8_t) hex[c & 15]);

        } else {
            scc_buf_byte(b, c);
        }
    }

    if (quote) {
        scc_buf_byte(b, '"');
    }
}


static scc_rc_t
scc_csv_parse(scc_csv_t *csv, const uint8_t *p, const uint8_t *last)
{
    uint8_t         ch;
    scc_rc_t        rc;
    const uint8_t  *q;

    rc = SCC_OK;

    while (p < last) {
        ch = *p;

        switch (csv->state) {

        case CSV_FIELD:

            if (ch == '"') {
                csv->quoted = true;
                csv->state = CSV_QUOTED;
                p++;
                break;
            }

            csv->state = CSV_PLAIN;

            /* fall through */

        case CSV_PLAIN:

            for (q = p; q < last; q++) {
                ch = *q;

                if (ch == ',' || ch == '\n' || ch == '\r' || ch == '"') {
                    break;
                }
            }

            rc = scc_csv_append(csv, p, (size_t) (q - p));
            p = q;

            if (rc != SCC_OK || p == last) {
                break;
            }

            p++;

            if (ch == ',') {
                rc = scc_csv_field_end(csv);

            } else if (ch == '\n') {
                csv->line++;
                rc = scc_csv_record_end(csv);

            } else if (ch == '\r') {
                csv->state = CSV_PLAIN_CR;

            } else {
                rc = scc_csv_refuse(csv, csv->line,
                                    "a quote inside a field that does not "
                                    "start with one; quote the whole field "
                                    "and double the quotes in it");
            }

            break;

        case CSV_PLAIN_CR:

            /* a carriage return alone is a byte of the field */

            if (ch == '\n') {
                p++;
                csv->line++;
                rc = scc_csv_record_end(csv);
                break;
            }

            csv->state = CSV_PLAIN;
            rc = scc_csv_append(csv, (const uint8_t *) "\r", 1);
            break;

        case CSV_QUOTED:

            for (q = p; q < last && *q != '"'; q++) {
                csv->line += (*q == '\n');
            }

            rc = scc_csv_append(csv, p, (size_t) (q - p));
            p = q;

            if (rc == SCC_OK && p < last) {
                p++;
                csv->state = CSV_QUOTE;
            }

            break;

        case CSV_QUOTE:

            p++;

            if (ch == '"') {
                csv->state = CSV_QUOTED;
                rc = scc_csv_append(csv, &ch, 1);

            } else if (ch == ',') {
                rc = scc_csv_field_end(csv);

            } else if (ch == '\n') {
                csv->line++;
                rc = scc_csv_record_end(csv);

            } else if (ch == '\r') {
                csv->state = CSV_QUOTE_CR;

            } else {
                rc = scc_csv_refuse(csv, csv->line,
                                    "text after the closing quote of a "
                                    "field; double the quotes inside it");
            }

            break;

        case CSV_QUOTE_CR:

            if (ch != '\n') {
                rc = scc_csv_refuse(csv, csv->line,
                                    "a carriage return after a closing "
                                    "quote and no newline; end lines with "
                                    "LF or CRLF");
                break;
            }

            p++;
            csv->line++;
            rc = scc_csv_record_end(csv);
            break;
        }

        if (rc != SCC_OK) {
            return rc;
        }
    }

    return SCC_OK;
}


static scc_rc_t
scc_csv_field_end(scc_csv_t *csv)
{
    if (csv->n == SCC_CSV_FIELDS_MAX - 1) {
        return scc_csv_refuse(csv, csv->start,
                              "more than 256 fields in one record; is the "
                              "separator a comma?");
    }

    csv->end[csv->n++] = csv->bytes.used;
    csv->state = CSV_FIELD;

    return SCC_OK;
}


static scc_rc_t
scc_csv_record_end(scc_csv_t *csv)
{
    size_t     i, from;
    scc_rc_t   rc;
    scc_str_t  field[SCC_CSV_FIELDS_MAX];

    csv->end[csv->n++] = csv->bytes.used;

    rc = SCC_OK;

    if (csv->n > 1 || csv->bytes.used > 0 || csv->quoted) {
        from = 0;

        for (i = 0; i < csv->n; i++) {
            field[i].len = csv->end[i] - from;
            field[i].data = field[i].len ? csv->bytes.start + from
                                         : (const uint8_t *) "";
            from = csv->end[i];
        }

        rc = csv->record(csv->ctx, csv->start, field, csv->n);
    }

    csv->n = 0;
    csv->quoted = false;
    csv->state = CSV_FIELD;
    csv->start = csv->line;
    scc_buf_reset(&csv->bytes);

    return rc;
}


static scc_rc_t
scc_csv_append(scc_csv_t *csv, const uint8_t *p, size_t n)
{
    if (n > SCC_CSV_RECORD_MAX - csv->bytes.used) {
        return scc_csv_refuse(csv, csv->start,
                              "the record starting here is larger than "
                              "1 MiB; is a quote missing?");
    }

    scc_buf_mem(&csv->bytes, p, n);

    if (csv->bytes.error) {
        (void) scc_csv_refuse(csv, csv->start, "out of memory");
        return SCC_ERROR;
    }

    return SCC_OK;
}


static scc_rc_t
scc_csv_refuse(scc_csv_t *csv, uint64_t line, const char *text)
{
    csv->err.field.len = 0;
    csv->err.field.data = NULL;

    (void) snprintf(csv->err.text, SCC_ERR_TEXT, "line %llu: %s",
                    (unsigned long long) line, text);

    return SCC_DECLINED;
}
