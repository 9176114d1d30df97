
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_season.h"
#include "scc_time.h"


enum {
    SCC_SEASON_SEASON = 0,
    SCC_SEASON_CHAPTER,
    SCC_SEASON_FROM,
    SCC_SEASON_TO,
    SCC_SEASON_AREA,
    SCC_SEASON_PEOPLE,
};


struct scc_seasons_s {
    scc_sheet_t    *sheet;
    int64_t         zone;           /* msec */
    scc_season_t   *list;
    size_t          n;
    size_t          size;
    bool            boxed;
    scc_err_t       err;            /* of the row that was refused */
    bool            refused;
};


static scc_rc_t scc_season_row(void *ctx, uint64_t line,
    const scc_str_t *cell);
static scc_rc_t scc_season_fill(scc_seasons_t *s, scc_season_t *z,
    uint64_t line, const scc_str_t *cell);
static scc_rc_t scc_season_days(scc_seasons_t *s, scc_season_t *z,
    uint64_t line, const scc_str_t *cell);
static scc_rc_t scc_season_area(scc_seasons_t *s, scc_season_t *z,
    uint64_t line, scc_str_t text);
static bool scc_season_corner(scc_season_t *z, scc_str_t text);
static scc_rc_t scc_season_people(scc_season_t *z, scc_str_t text);
static bool scc_season_next(scc_str_t *text, scc_str_t *part);
static bool scc_season_inside(const scc_season_t *z, int32_t lon,
    int32_t lat);
static scc_rc_t scc_season_refuse(scc_seasons_t *s, uint64_t line,
    const char *text);
static scc_rc_t scc_season_said(scc_seasons_t *s, scc_rc_t rc,
    scc_err_t *err);
static void scc_season_free(scc_season_t *z);


static const scc_sheet_column_t  scc_season_columns[] = {
    { "season", "시즌", true },
    { "chapter", "지부", false },
    { "from", "시작일", false },
    { "to", "종료일", false },
    { "area", "영역", false },
    { "contributors", "정복자", false },
    { NULL, NULL, false }
};


scc_seasons_t *
scc_seasons_create(int64_t zone)
{
    scc_seasons_t  *s;

    s = calloc(1, sizeof(scc_seasons_t));

    if (s == NULL) {
        return NULL;
    }

    s->zone = zone * 60000;
    s->sheet = scc_sheet_create(scc_season_columns, scc_season_row, s);

    if (s->sheet == NULL) {
        free(s);
        return NULL;
    }

    return s;
}


void
scc_seasons_free(scc_seasons_t *s)
{
    size_t  i;

    if (s == NULL) {
        return;
    }

    for (i = 0; i < s->n; i++) {
        scc_season_free(&s->list[i]);
    }

    scc_sheet_free(s->sheet);
    free(s->list);
    free(s);
}


scc_rc_t
scc_seasons_feed(scc_seasons_t *s, const void *data, size_t len,
    scc_err_t *err)
{
    return scc_season_said(s, scc_sheet_feed(s->sheet, data, len, err), err);
}


scc_rc_t
scc_seasons_end(scc_seasons_t *s, scc_err_t *err)
{
    return scc_season_said(s, scc_sheet_end(s->sheet, err), err);
}


size_t
scc_seasons_n(const scc_seasons_t *s)
{
    return s->n;
}


const scc_season_t *
scc_seasons_get(const scc_seasons_t *s, size_t i)
{
    return &s->list[i];
}


bool
scc_seasons_boxed(const scc_seasons_t *s)
{
    return s->boxed;
}


size_t
scc_seasons_find(const scc_seasons_t *s, scc_str_t contributor, int64_t msec,
    bool known, int32_t lon, int32_t lat)
{
    size_t               i;
    const scc_season_t  *z;

    for (i = 0; i < s->n; i++) {
        z = &s->list[i];

        if (msec < z->from || msec >= z->to) {
            continue;
        }

        if (z->people.n > 0
            && scc_words_find(&z->people, contributor) == SCC_WORD_NONE)
        {
            continue;
        }

        if (z->boxed && (!known || !scc_season_inside(z, lon, lat))) {
            continue;
        }

        break;
    }

    return i;
}


static scc_rc_t
scc_season_row(void *ctx, uint64_t line, const scc_str_t *cell)
{
    size_t          size;
    scc_rc_t        rc;
    scc_season_t   *list;
    scc_seasons_t  *s = ctx;

    if (s->n == SCC_SEASONS_MAX) {
        return scc_season_refuse(s, line, "more than 4096 rows");
    }

    if (s->n == s->size) {
        size = s->size ? 2 * s->size : 16;
        list = realloc(s->list, size * sizeof(scc_season_t));

        if (list == NULL) {
            return SCC_ERROR;
        }

        s->list = list;
        s->size = size;
    }

    memset(&s->list[s->n], 0, sizeof(scc_season_t));

    rc = scc_season_fill(s, &s->list[s->n], line, cell);

    if (rc != SCC_OK) {
        scc_season_free(&s->list[s->n]);
        return rc;
    }

    s->boxed = s->boxed || s->list[s->n].boxed;
    s->n++;

    return SCC_OK;
}


static scc_rc_t
scc_season_fill(scc_seasons_t *s, scc_season_t *z, uint64_t line,
    const scc_str_t *cell)
{
    scc_rc_t   rc;
    scc_str_t  season, chapter;

    season = scc_str_trim(cell[SCC_SEASON_SEASON]);
    chapter = scc_str_trim(cell[SCC_SEASON_CHAPTER]);

    if (season.len == 0 || season.len > SCC_NAME_MAX
        || !scc_utf8_valid(season))
    {
        return scc_season_refuse(s, line, "\"season\" must have 1 to 512 "
                                 "bytes of UTF-8");
    }

    if (chapter.len > SCC_NAME_MAX || !scc_utf8_valid(chapter)) {
        return scc_season_refuse(s, line, "\"chapter\" must have at most 512 "
                                 "bytes of UTF-8");
    }

    if (scc_str_copy(&z->season, season) != SCC_OK
        || scc_str_copy(&z->chapter, chapter) != SCC_OK)
    {
        return SCC_ERROR;
    }

    rc = scc_season_days(s, z, line, cell);

    if (rc == SCC_OK) {
        rc = scc_season_area(s, z, line, cell[SCC_SEASON_AREA]);
    }

    if (rc == SCC_OK) {
        rc = scc_season_people(z, cell[SCC_SEASON_PEOPLE]);
    }

    return rc;
}


static scc_rc_t
scc_season_days(scc_seasons_t *s, scc_season_t *z, uint64_t line,
    const scc_str_t *cell)
{
    int64_t    day;
    scc_str_t  text;

    z->from = INT64_MIN;
    z->to = INT64_MAX;

    text = scc_str_trim(cell[SCC_SEASON_FROM]);

    if (text.len > 0) {
        if (scc_day_parse(text, false, &day) != SCC_OK) {
            return scc_season_refuse(s, line, "\"from\" must be a day as "
                                     "2023-03-01");
        }

        z->from = day * SCC_DAY_MSEC - s->zone;
    }

    text = scc_str_trim(cell[SCC_SEASON_TO]);

    if (text.len > 0) {
        if (scc_day_parse(text, false, &day) != SCC_OK) {
            return scc_season_refuse(s, line, "\"to\" must be a day as "
                                     "2023-05-31");
        }

        z->to = (day + 1) * SCC_DAY_MSEC - s->zone;
    }

    if (z->to <= z->from) {
        return scc_season_refuse(s, line, "\"to\" is before \"from\"");
    }

    return SCC_OK;
}


static scc_rc_t
scc_season_area(scc_seasons_t *s, scc_season_t *z, uint64_t line,
    scc_str_t text)
{
    scc_err_t  err;
    scc_str_t  part;

    text = scc_str_trim(text);

    if (text.len == 0) {
        return SCC_OK;
    }

    z->boxed = true;

    if (memchr(text.data, '/', text.len) == NULL) {

        if (scc_area_parse(text, &z->box, &err) != SCC_OK) {
            return scc_season_refuse(s, line, "\"area\" must be west,south,"
                                     "east,north in degrees, or corners as "
                                     "127.0/37.5;127.1/37.5;127.1/37.6");
        }

        return SCC_OK;
    }

    z->corner = malloc(SCC_CORNERS_MAX * sizeof(scc_pos_t));

    if (z->corner == NULL) {
        return SCC_ERROR;
    }

    while (scc_season_next(&text, &part)) {

        if (!scc_season_corner(z, part)) {
            return scc_season_refuse(s, line, "\"area\" must have 3 to 4096 "
                                     "corners as 127.0/37.5;127.1/37.5;"
                                     "127.1/37.6");
        }
    }

    if (z->n_corners < 3) {
        return scc_season_refuse(s, line, "\"area\" needs at least three "
                                 "corners, lng/lat each");
    }

    return SCC_OK;
}


static bool
scc_season_corner(scc_season_t *z, scc_str_t text)
{
    int64_t         lon, lat;
    scc_str_t       x, y;
    const uint8_t  *slash;

    slash = memchr(text.data, '/', text.len);

    if (slash == NULL || z->n_corners == SCC_CORNERS_MAX) {
        return false;
    }

    x.data = text.data;
    x.len = (size_t) (slash - text.data);
    y.data = slash + 1;
    y.len = text.len - x.len - 1;

    if (scc_e7_parse(scc_str_trim(x), SCC_E7_NEAREST, &lon) != SCC_OK
        || scc_e7_parse(scc_str_trim(y), SCC_E7_NEAREST, &lat) != SCC_OK
        || lon < -SCC_LON_MAX || lon > SCC_LON_MAX
        || lat < -SCC_LAT_MAX || lat > SCC_LAT_MAX)
    {
        return false;
    }

    z->corner[z->n_corners].x = (double) lon;
    z->corner[z->n_corners].y = (double) lat;
    z->n_corners++;

    return true;
}


static scc_rc_t
scc_season_people(scc_season_t *z, scc_str_t text)
{
    scc_str_t  part;

    while (scc_season_next(&text, &part)) {
        if (scc_words_add(&z->people, part) == SCC_WORD_NONE) {
            return SCC_ERROR;
        }
    }

    return SCC_OK;
}


/* The next of a list that is not empty. */

static bool
scc_season_next(scc_str_t *text, scc_str_t *part)
{
    size_t  i;

    do {
        if (text->len == 0) {
            return false;
        }

        for (i = 0; i < text->len; i++) {
            if (text->data[i] == ';' || text->data[i] == '\n'
                || (text->data[i] == ',' && i + 1 < text->len
                    && text->data[i + 1] == ','))
            {
                break;
            }
        }

        part->data = text->data;
        part->len = i;
        *part = scc_str_trim(*part);

        if (i < text->len) {
            i += text->data[i] == ',' ? 2 : 1;
        }

        text->data += i;
        text->len -= i;

    } while (part->len == 0);

    return true;
}


static bool
scc_season_inside(const scc_season_t *z, int32_t lon, int32_t lat)
{
    size_t       end;
    scc_pos_t    pos;
    scc_rings_t  rings;

    if (z->corner == NULL) {
        return scc_area_has(&z->box, lon, lat);
    }

    end = z->n_corners;

    rings.pos = z->corner;
    rings.start = 0;
    rings.end = &end;
    rings.n = 1;

    pos.x = (double) lon;
    pos.y = (double) lat;

    return scc_point_inside(&rings, pos);
}


static scc_rc_t
scc_season_refuse(scc_seasons_t *s, uint64_t line, const char *text)
{
    scc_buf_t  b;

    scc_buf_fixed(&b, s->err.text, sizeof(s->err.text) - 1);
    scc_buf_text(&b, "line ");
    scc_buf_uint(&b, line);
    scc_buf_text(&b, ": ");
    scc_buf_text(&b, text);

    s->err.text[b.used] = '\0';
    s->refused = true;

    return SCC_DECLINED;
}


static scc_rc_t
scc_season_said(scc_seasons_t *s, scc_rc_t rc, scc_err_t *err)
{
    if (rc == SCC_DECLINED && s->refused) {
        *err = s->err;
    }

    return rc;
}


static void
scc_season_free(scc_season_t *z)
{
    scc_str_free(&z->season);
    scc_str_free(&z->chapter);
    free(z->corner);

    scc_words_free(&z->people);
}
