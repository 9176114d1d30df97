
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_contribution.h"
#include "scc_json_object.h"
#include "scc_manifest.h"
#include "scc_time.h"


enum {
    SCC_PHOTO_KEY = 0,
    SCC_PHOTO_SIZE,
    SCC_PHOTO_SHA256,
    SCC_PHOTO_TAKEN,
    SCC_PHOTO_LNG,
    SCC_PHOTO_LAT,
    SCC_PHOTO_PLACE,
    SCC_PHOTO_BUILDING,
    SCC_PHOTO_TYPE,
    SCC_PHOTO_UPLOADER,
};

#define SCC_PHOTO_CELLS   (SCC_PHOTO_UPLOADER + 1)
#define SCC_PHOTO_STAMP   14            /* yyyyMMddHHmmss */

typedef enum {
    SCC_MANIFEST_UNKNOWN = 0,
    SCC_MANIFEST_CSV,
    SCC_MANIFEST_JSON,
} scc_manifest_format_t;


struct scc_manifest_s {
    scc_manifest_row_pt     row;
    void                   *ctx;
    scc_manifest_format_t   format;
    scc_sheet_t            *sheet;
    scc_buf_t               text;       /* of a line */
    bool                    long_line;
    uint64_t                line;
    scc_buf_t               body;
    scc_buf_t               cells;      /* of a line, one after another */
    size_t                  at[SCC_PHOTO_CELLS];
    size_t                  len[SCC_PHOTO_CELLS];
    scc_contribution_t      c;
    scc_faults_t            faults;
};


static scc_rc_t scc_manifest_as(scc_manifest_t *m, const uint8_t *p,
    size_t len, scc_err_t *err);
static scc_rc_t scc_manifest_lines(scc_manifest_t *m, const uint8_t *p,
    size_t len);
static scc_rc_t scc_manifest_line(scc_manifest_t *m);
static scc_rc_t scc_manifest_member(void *ctx, scc_str_t key,
    scc_str_t value);
static scc_rc_t scc_manifest_cells(void *ctx, uint64_t line,
    const scc_str_t *cell);
static bool scc_manifest_body(scc_manifest_t *m, scc_manifest_row_t *row,
    const scc_str_t *cell);
static bool scc_manifest_where(scc_manifest_t *m, scc_manifest_row_t *row,
    const scc_str_t *cell);
static void scc_manifest_taken(scc_manifest_t *m, const scc_str_t *cell);
static bool scc_manifest_stamp(scc_str_t key, uint8_t time[20]);
static scc_rc_t scc_manifest_judge(scc_manifest_t *m,
    scc_manifest_row_t *row);
static void scc_manifest_string(scc_manifest_t *m, const char *name,
    scc_str_t s);
static bool scc_manifest_refuse(scc_manifest_row_t *row, scc_reject_t reject,
    const char *field, const char *text);


static const scc_sheet_column_t  scc_manifest_columns[] = {
    { "objectkey", "key", true },
    { "size", "bytes", true },
    { "sha256", "hash", true },
    { "takenat", "time", false },
    { "lng", "lon", false },
    { "lat", NULL, false },
    { "placeid", "place", false },
    { "buildingid", "building", false },
    { "imagetype", "type", false },
    { "uploader", NULL, false },
    { NULL, NULL, false }
};

static const scc_contribution_conf_t  scc_manifest_conf = { 65536, 4 };


scc_manifest_t *
scc_manifest_create(scc_manifest_row_pt row, void *ctx)
{
    scc_manifest_t  *m;

    m = calloc(1, sizeof(scc_manifest_t));

    if (m == NULL) {
        return NULL;
    }

    m->row = row;
    m->ctx = ctx;
    m->sheet = scc_sheet_create(scc_manifest_columns, scc_manifest_cells, m);

    if (m->sheet == NULL) {
        free(m);
        return NULL;
    }

    scc_buf_heap(&m->text, 0);
    scc_buf_heap(&m->body, 0);
    scc_buf_heap(&m->cells, 0);

    return m;
}


void
scc_manifest_free(scc_manifest_t *m)
{
    if (m == NULL) {
        return;
    }

    scc_sheet_free(m->sheet);
    scc_buf_free(&m->text);
    scc_buf_free(&m->body);
    scc_buf_free(&m->cells);
    free(m);
}


scc_rc_t
scc_manifest_feed(scc_manifest_t *m, const void *data, size_t len,
    scc_err_t *err)
{
    size_t                 i;
    scc_rc_t               rc;
    scc_buf_t              kept;
    const uint8_t         *p;
    scc_manifest_format_t  before;

    p = data;
    before = m->format;

    /* a byte order mark and blanks say nothing; CSV must have all of it */

    for (i = 0; i < len && m->format == SCC_MANIFEST_UNKNOWN; i++) {

        if (p[i] == '{') {
            m->format = SCC_MANIFEST_JSON;

        } else if (p[i] != ' ' && p[i] != '\n' && p[i] != '\r'
                   && p[i] != '\t' && p[i] != 0xef && p[i] != 0xbb
                   && p[i] != 0xbf)
        {
            m->format = SCC_MANIFEST_CSV;
        }
    }

    if (m->format == SCC_MANIFEST_UNKNOWN) {
        scc_buf_mem(&m->text, p, len);
        return m->text.error ? SCC_ERROR : SCC_OK;
    }

    if (before == SCC_MANIFEST_UNKNOWN && m->text.used > 0) {

        /* from here on it holds the line that is not whole yet */

        kept = m->text;
        scc_buf_heap(&m->text, 0);

        rc = scc_manifest_as(m, kept.start, kept.used, err);

        scc_buf_free(&kept);

        if (rc != SCC_OK) {
            return rc;
        }
    }

    return scc_manifest_as(m, p, len, err);
}


scc_rc_t
scc_manifest_end(scc_manifest_t *m, scc_err_t *err)
{
    if (m->format != SCC_MANIFEST_JSON) {
        return scc_sheet_end(m->sheet, err);
    }

    return m->text.used > 0 || m->long_line ? scc_manifest_line(m) : SCC_OK;
}


static scc_rc_t
scc_manifest_as(scc_manifest_t *m, const uint8_t *p, size_t len,
    scc_err_t *err)
{
    return (m->format == SCC_MANIFEST_JSON)
           ? scc_manifest_lines(m, p, len)
           : scc_sheet_feed(m->sheet, p, len, err);
}


static scc_rc_t
scc_manifest_lines(scc_manifest_t *m, const uint8_t *p, size_t len)
{
    size_t          n;
    scc_rc_t        rc;
    const uint8_t  *end;

    while (len > 0) {
        end = memchr(p, '\n', len);
        n = end != NULL ? (size_t) (end - p) : len;

        if (m->text.used + n > SCC_MANIFEST_LINE_MAX) {
            m->long_line = true;
            scc_buf_reset(&m->text);

        } else if (!m->long_line) {
            scc_buf_mem(&m->text, p, n);
        }

        if (m->text.error) {
            return SCC_ERROR;
        }

        if (end == NULL) {
            return SCC_OK;
        }

        rc = scc_manifest_line(m);

        if (rc != SCC_OK) {
            return rc;
        }

        p += n + 1;
        len -= n + 1;
    }

    return SCC_OK;
}


static scc_rc_t
scc_manifest_line(scc_manifest_t *m)
{
    size_t              i;
    scc_rc_t            rc;
    scc_str_t           text, cell[SCC_PHOTO_CELLS];
    scc_err_t           err;
    scc_manifest_row_t  row;

    m->line++;

    memset(&row, 0, sizeof(scc_manifest_row_t));
    row.line = m->line;

    text = scc_buf_get(&m->text);

    if (m->line == 1) {
        (void) scc_str_skip(&text, "\xef\xbb\xbf");
    }

    if (text.len > 0 && text.data[text.len - 1] == '\r') {
        text.len--;
    }

    text = scc_str_trim(text);

    if (m->long_line) {
        m->long_line = false;
        (void) scc_manifest_refuse(&row, SCC_REJECT_TOO_LARGE, "",
                                   "the line has more than 65536 bytes");

        return m->row(m->ctx, &row);
    }

    if (text.len == 0) {
        scc_buf_reset(&m->text);
        return SCC_OK;
    }

    memset(m->len, 0, sizeof(m->len));
    scc_buf_reset(&m->cells);

    rc = scc_json_object(text, scc_manifest_member, m, &err);

    scc_buf_reset(&m->text);

    if (rc == SCC_ERROR || m->cells.error) {
        return SCC_ERROR;
    }

    if (rc != SCC_OK) {
        (void) scc_manifest_refuse(&row, SCC_REJECT_BAD_JSON, "", err.text);
        return m->row(m->ctx, &row);
    }

    for (i = 0; i < SCC_PHOTO_CELLS; i++) {
        cell[i].data = m->len[i] > 0 ? m->cells.start + m->at[i]
                                     : (const uint8_t *) "";
        cell[i].len = m->len[i];
    }

    return scc_manifest_cells(m, m->line, cell);
}


static scc_rc_t
scc_manifest_member(void *ctx, scc_str_t key, scc_str_t value)
{
    size_t           i;
    scc_manifest_t  *m = ctx;

    i = scc_sheet_column(scc_manifest_columns, key);

    if (i < SCC_PHOTO_CELLS) {
        m->at[i] = m->cells.used;
        m->len[i] = value.len;
        scc_buf_str(&m->cells, value);
    }

    return SCC_OK;
}


static scc_rc_t
scc_manifest_cells(void *ctx, uint64_t line, const scc_str_t *cell)
{
    size_t              i;
    scc_rc_t            rc;
    scc_str_t           trimmed[SCC_PHOTO_CELLS];
    scc_manifest_t     *m = ctx;
    scc_manifest_row_t  row;

    memset(&row, 0, sizeof(scc_manifest_row_t));

    /* a key may have blanks: it is what it is */

    for (i = 0; i < SCC_PHOTO_CELLS; i++) {
        trimmed[i] = i == SCC_PHOTO_KEY ? cell[i] : scc_str_trim(cell[i]);
    }

    row.line = line;
    row.key = cell[SCC_PHOTO_KEY];

    if (!scc_manifest_body(m, &row, trimmed)) {
        return m->row(m->ctx, &row);
    }

    if (m->body.error) {
        return SCC_ERROR;
    }

    rc = scc_manifest_judge(m, &row);

    return rc == SCC_OK ? m->row(m->ctx, &row) : rc;
}


static bool
scc_manifest_body(scc_manifest_t *m, scc_manifest_row_t *row,
    const scc_str_t *cell)
{
    size_t    i;
    uint8_t   c, sha256[64];
    int64_t   n;

    scc_buf_reset(&m->body);
    scc_buf_text(&m->body, "{\"kind\":\"photo\"");
    scc_manifest_string(m, ",\"objectKey\":", cell[SCC_PHOTO_KEY]);

    if (cell[SCC_PHOTO_SIZE].len > 0) {

        for (i = 0, n = 0; i < cell[SCC_PHOTO_SIZE].len; i++) {
            c = cell[SCC_PHOTO_SIZE].data[i];

            if (c < '0' || c > '9' || n > INT64_MAX / 16) {
                return scc_manifest_refuse(row, SCC_REJECT_NOT_A_NUMBER,
                                           "size", "size must be a whole "
                                           "number of bytes");
            }

            n = n * 10 + (c - '0');
        }

        scc_buf_text(&m->body, ",\"size\":");
        scc_buf_int(&m->body, n);
    }

    /* one spelling of a digest: the same row is the same event */

    if (cell[SCC_PHOTO_SHA256].len == sizeof(sha256)) {

        for (i = 0; i < sizeof(sha256); i++) {
            c = cell[SCC_PHOTO_SHA256].data[i];
            sha256[i] = c >= 'A' && c <= 'F' ? (uint8_t) (c | 0x20) : c;
        }

        scc_buf_text(&m->body, ",\"sha256\":");
        scc_buf_json(&m->body, (scc_str_t) { sizeof(sha256), sha256 });

    } else {
        scc_manifest_string(m, ",\"sha256\":", cell[SCC_PHOTO_SHA256]);
    }

    scc_manifest_taken(m, cell);

    if (!scc_manifest_where(m, row, cell)) {
        return false;
    }

    scc_manifest_string(m, ",\"placeId\":", cell[SCC_PHOTO_PLACE]);
    scc_manifest_string(m, ",\"buildingId\":", cell[SCC_PHOTO_BUILDING]);
    scc_manifest_string(m, ",\"imageType\":", cell[SCC_PHOTO_TYPE]);
    scc_manifest_string(m, ",\"uploader\":", cell[SCC_PHOTO_UPLOADER]);
    scc_buf_byte(&m->body, '}');

    for (i = 0; i < SCC_PHOTO_CELLS; i++) {

        if (!scc_utf8_valid(cell[i])) {
            return scc_manifest_refuse(row, SCC_REJECT_BAD_VALUE,
                                       scc_manifest_columns[i].name,
                                       "it is not UTF-8");
        }
    }

    return true;
}


static bool
scc_manifest_where(scc_manifest_t *m, scc_manifest_row_t *row,
    const scc_str_t *cell)
{
    int64_t    lng, lat;
    scc_str_t  x, y;

    x = cell[SCC_PHOTO_LNG];
    y = cell[SCC_PHOTO_LAT];

    if (x.len == 0 && y.len == 0) {
        return true;
    }

    if (x.len == 0 || y.len == 0) {
        return scc_manifest_refuse(row, SCC_REJECT_MISSING,
                                   x.len == 0 ? "lng" : "lat",
                                   "a position has lng and lat; give both, "
                                   "or none");
    }

    if (scc_e7_parse(x, SCC_E7_NEAREST, &lng) != SCC_OK) {
        return scc_manifest_refuse(row, SCC_REJECT_NOT_A_NUMBER, "lng",
                                   "lng must be a number, in degrees");
    }

    if (scc_e7_parse(y, SCC_E7_NEAREST, &lat) != SCC_OK) {
        return scc_manifest_refuse(row, SCC_REJECT_NOT_A_NUMBER, "lat",
                                   "lat must be a number, in degrees");
    }

    if (lng < -SCC_LON_MAX || lng > SCC_LON_MAX
        || lat < -SCC_LAT_MAX || lat > SCC_LAT_MAX)
    {
        if (lat >= -SCC_LON_MAX && lat <= SCC_LON_MAX
            && lng >= -SCC_LAT_MAX && lng <= SCC_LAT_MAX)
        {
            return scc_manifest_refuse(row, SCC_REJECT_SWAPPED, "lat",
                                       "lng and lat look exchanged");
        }

        return scc_manifest_refuse(row, SCC_REJECT_OUT_OF_RANGE, "lng",
                                   "the position is not on earth");
    }

    scc_buf_text(&m->body, ",\"location\":{\"lng\":");
    scc_buf_e7(&m->body, (int32_t) lng);
    scc_buf_text(&m->body, ",\"lat\":");
    scc_buf_e7(&m->body, (int32_t) lat);
    scc_buf_byte(&m->body, '}');

    return true;
}


static void
scc_manifest_taken(scc_manifest_t *m, const scc_str_t *cell)
{
    uint8_t    time[20];
    scc_str_t  text;

    text = cell[SCC_PHOTO_TAKEN];

    if (text.len == 0 && scc_manifest_stamp(cell[SCC_PHOTO_KEY], time)) {
        text.data = time;
        text.len = sizeof(time);
    }

    scc_manifest_string(m, ",\"takenAt\":", text);
}


/* The time in an object's name, as the app gives it. */

static bool
scc_manifest_stamp(scc_str_t key, uint8_t time[20])
{
    size_t      i, k, start;
    int64_t     msec;
    scc_str_t   text;

    static const char  form[] = "dddd-dd-ddTdd:dd:ddZ";

    for (start = key.len; start > 0 && key.data[start - 1] != '/'; start--) {
        /* void */
    }

    if (key.len - start <= SCC_PHOTO_STAMP
        || key.data[start + SCC_PHOTO_STAMP] != '_')
    {
        return false;
    }

    for (i = 0, k = start; i < 20; i++) {
        time[i] = form[i] == 'd' ? key.data[k++] : (uint8_t) form[i];
    }

    text.data = time;
    text.len = 20;

    return scc_time_parse(text, &msec) == SCC_OK;
}


/* By the rules of the kind, as if it had been posted. */

static scc_rc_t
scc_manifest_judge(scc_manifest_t *m, scc_manifest_row_t *row)
{
    size_t              len;
    scc_rc_t            rc;
    scc_buf_t           b;
    const scc_fault_t  *f;

    row->body = scc_buf_get(&m->body);

    rc = scc_contribution_parse(&m->c, &scc_manifest_conf, row->body,
                                &m->faults);
    if (rc == SCC_ERROR) {
        return SCC_ERROR;
    }

    if (rc == SCC_OK) {
        row->target = m->c.target;
        return SCC_OK;
    }

    f = &m->faults.fault[0];

    row->body.len = 0;
    row->reject = strncmp(f->text, "is required", 11) == 0
                  ? SCC_REJECT_MISSING : SCC_REJECT_BAD_VALUE;
    row->field.data = (const uint8_t *) f->field;
    row->field.len = strlen(f->field);

    scc_buf_fixed(&b, row->text, sizeof(row->text) - 1);
    scc_buf_text(&b, f->field);
    scc_buf_byte(&b, ' ');

    len = strlen(f->text);

    if (len > sizeof(row->text) - 1 - b.used) {
        len = sizeof(row->text) - 1 - b.used;
    }

    scc_buf_mem(&b, f->text, len);
    row->text[b.used] = '\0';

    return SCC_OK;
}


static void
scc_manifest_string(scc_manifest_t *m, const char *name, scc_str_t s)
{
    if (s.len > 0) {
        scc_buf_text(&m->body, name);
        scc_buf_json(&m->body, s);
    }
}


static bool
scc_manifest_refuse(scc_manifest_row_t *row, scc_reject_t reject,
    const char *field, const char *text)
{
    size_t  n;

    row->reject = reject;
    row->field.data = (const uint8_t *) field;
    row->field.len = strlen(field);

    n = strlen(text);

    if (n >= sizeof(row->text)) {
        n = sizeof(row->text) - 1;
    }

    memcpy(row->text, text, n);
    row->text[n] = '\0';

    return false;
}
