
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_contribution.h"
#include "scc_roster.h"
#include "scc_time.h"


static void scc_roster_tally(scc_buf_t *b, const scc_tally_t *t);
static void scc_roster_member(scc_buf_t *b, const char *key, scc_str_t s);
static void scc_roster_moment(scc_buf_t *b, const char *key, int64_t msec);
static void scc_roster_cell(scc_buf_t *b, scc_str_t s);
static void scc_roster_cells(scc_buf_t *b, const scc_person_t *p);
static bool scc_roster_season(const scc_roster_t *r, const scc_tally_t *t,
    scc_str_t *season, scc_str_t *chapter);


static const char *const  scc_roster_kinds[SCC_TALLY_KINDS] = {
    "places", "buildings", "comments", "reports", "photos"
};


void
scc_roster_json(scc_buf_t *b, const scc_roster_t *r, size_t i, bool seasons)
{
    size_t               k;
    scc_str_t            season, chapter;
    const scc_person_t  *p;

    p = scc_roster_get(r, i);

    scc_buf_text(b, "{\"order\":");

    if (p->order > 0) {
        scc_buf_uint(b, p->order);

    } else {
        scc_buf_text(b, "null");
    }

    scc_roster_member(b, ",\"id\":", p->id);
    scc_roster_member(b, ",\"name\":", p->name);

    scc_buf_text(b, ",\"names\":[");

    for (k = 0; k < p->n_spellings; k++) {
        scc_roster_member(b, k ? ",{\"name\":" : "{\"name\":",
                          p->spellings[k].name);
        scc_roster_moment(b, ",\"first\":", p->spellings[k].first);
        scc_roster_moment(b, ",\"last\":", p->spellings[k].last);
        scc_buf_byte(b, '}');
    }

    scc_buf_byte(b, ']');
    scc_roster_moment(b, ",\"first\":", p->first);
    scc_roster_moment(b, ",\"last\":", p->last);
    scc_roster_tally(b, &p->all);

    if (seasons) {
        scc_buf_text(b, ",\"seasons\":[");

        for (k = 0; k < p->n_tallies; k++) {
            (void) scc_roster_season(r, &p->tallies[k], &season, &chapter);

            scc_roster_member(b, k ? ",{\"season\":" : "{\"season\":",
                              season);
            scc_roster_member(b, ",\"chapter\":", chapter);
            scc_roster_moment(b, ",\"first\":", p->tallies[k].first);
            scc_roster_moment(b, ",\"last\":", p->tallies[k].last);
            scc_roster_tally(b, &p->tallies[k]);
            scc_buf_byte(b, '}');
        }

        scc_buf_byte(b, ']');
    }

    scc_buf_byte(b, '}');
}


void
scc_roster_digest(const scc_roster_t *r, scc_buf_t *work, uint8_t out[32])
{
    size_t  i;

    scc_buf_reset(work);

    for (i = 0; i < scc_roster_n(r); i++) {
        scc_roster_json(work, r, i, false);
        scc_buf_byte(work, '\n');
    }

    scc_sha256(out, scc_buf_get(work));
}


void
scc_roster_csv_head(scc_buf_t *b)
{
    unsigned  k;

    scc_buf_text(b, "order,id,name,season,chapter,first,last");

    for (k = 0; k < SCC_TALLY_KINDS; k++) {
        scc_buf_byte(b, ',');
        scc_buf_text(b, scc_roster_kinds[k]);
    }

    scc_buf_text(b, "\r\n");
}


void
scc_roster_csv(scc_buf_t *b, const scc_roster_t *r, size_t i)
{
    size_t               k;
    unsigned             kind;
    scc_str_t            season, chapter;
    scc_tally_t          none;
    const scc_tally_t   *t;
    const scc_person_t  *p;

    p = scc_roster_get(r, i);
    none = p->all;
    none.season = scc_roster_of(r) ? scc_seasons_n(scc_roster_of(r)) : 0;

    /* who only gave a name is in it, too */

    for (k = 0; k == 0 || k < p->n_tallies; k++) {
        t = p->n_tallies > 0 ? &p->tallies[k] : &none;

        (void) scc_roster_season(r, t, &season, &chapter);

        scc_roster_cells(b, p);
        scc_roster_cell(b, season);
        scc_roster_cell(b, chapter);
        scc_buf_byte(b, ',');

        if (p->n_tallies > 0) {
            scc_time_write(b, t->first);
        }

        scc_buf_byte(b, ',');

        if (p->n_tallies > 0) {
            scc_time_write(b, t->last);
        }

        for (kind = 0; kind < SCC_TALLY_KINDS; kind++) {
            scc_buf_byte(b, ',');
            scc_buf_uint(b, t->n[kind]);
        }

        scc_buf_text(b, "\r\n");
    }
}


void
scc_roster_names_head(scc_buf_t *b)
{
    scc_buf_text(b, "order,id,name,spelling,first,last\r\n");
}


void
scc_roster_names(scc_buf_t *b, const scc_roster_t *r, size_t i)
{
    size_t               k;
    const scc_person_t  *p;

    p = scc_roster_get(r, i);

    for (k = 0; k < p->n_spellings; k++) {
        scc_roster_cells(b, p);
        scc_roster_cell(b, p->spellings[k].name);
        scc_buf_byte(b, ',');
        scc_time_write(b, p->spellings[k].first);
        scc_buf_byte(b, ',');
        scc_time_write(b, p->spellings[k].last);
        scc_buf_text(b, "\r\n");
    }
}


static void
scc_roster_tally(scc_buf_t *b, const scc_tally_t *t)
{
    unsigned  k;

    for (k = 0; k < SCC_TALLY_KINDS; k++) {
        scc_buf_text(b, ",\"");
        scc_buf_text(b, scc_roster_kinds[k]);
        scc_buf_text(b, "\":");
        scc_buf_uint(b, t->n[k]);
    }
}


static void
scc_roster_member(scc_buf_t *b, const char *key, scc_str_t s)
{
    scc_buf_text(b, key);
    scc_buf_json(b, s);
}


static void
scc_roster_moment(scc_buf_t *b, const char *key, int64_t msec)
{
    scc_buf_text(b, key);
    scc_buf_byte(b, '"');
    scc_time_write(b, msec);
    scc_buf_byte(b, '"');
}


static void
scc_roster_cells(scc_buf_t *b, const scc_person_t *p)
{
    if (p->order > 0) {
        scc_buf_uint(b, p->order);
    }

    scc_roster_cell(b, p->id);
    scc_roster_cell(b, p->name);
}


static void
scc_roster_cell(scc_buf_t *b, scc_str_t s)
{
    scc_buf_byte(b, ',');
    scc_csv_cell(b, s);
}


static bool
scc_roster_season(const scc_roster_t *r, const scc_tally_t *t,
    scc_str_t *season, scc_str_t *chapter)
{
    const scc_seasons_t  *s;

    s = scc_roster_of(r);

    season->len = 0;
    season->data = NULL;
    *chapter = *season;

    if (s == NULL || t->season >= scc_seasons_n(s)) {
        return false;
    }

    *season = scc_seasons_get(s, t->season)->season;
    *chapter = scc_seasons_get(s, t->season)->chapter;

    return true;
}
