
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_contribution.h"
#include "scc_roster_int.h"


static scc_rc_t scc_roster_deed(scc_roster_t *r, const scc_roster_event_t *e,
    unsigned kind);
static scc_rc_t scc_roster_word(scc_roster_t *r,
    const scc_roster_event_t *e);
static scc_rc_t scc_roster_place(scc_roster_t *r,
    const scc_roster_event_t *e);
static scc_rc_t scc_roster_name(scc_roster_t *r, uint32_t who,
    scc_str_t name, uint64_t hlc);
static void scc_roster_seen(scc_who_t *w, uint64_t hlc);
static bool scc_roster_said(const scc_roster_t *r, const uint8_t id[16],
    scc_str_t by);
static uint32_t scc_roster_who(scc_roster_t *r, scc_str_t id);
static uint32_t scc_roster_thing(scc_roster_t *r, char kind, scc_str_t id,
    bool add);
static scc_rc_t scc_roster_room(scc_beside_t *b, uint32_t n, size_t size);


static const scc_str_t  scc_roster_all = scc_null_string;


scc_roster_t *
scc_roster_create(const scc_seasons_t *seasons)
{
    scc_roster_t  *r;

    r = calloc(1, sizeof(scc_roster_t));

    if (r != NULL) {
        r->seasons = seasons;
    }

    return r;
}


void
scc_roster_free(scc_roster_t *r)
{
    if (r == NULL) {
        return;
    }

    scc_words_free(&r->people);
    scc_words_free(&r->spellings);
    scc_words_free(&r->things);
    scc_words_free(&r->words);

    free(r->who.list);
    free(r->names.list);
    free(r->where.list);
    free(r->said.list);
    free(r->deeds);
    free(r->tallies);
    free(r->sorted);
    free(r->order);
    free(r);
}


scc_rc_t
scc_roster_learn(scc_roster_t *r, const scc_roster_event_t *e)
{
    uint32_t    who;
    scc_who_t  *w;

    switch (e->kind) {

    case SCC_KIND_PLACE_ACCESSIBILITY:
        return scc_roster_deed(r, e, SCC_TALLY_PLACES);

    case SCC_KIND_BUILDING_ACCESSIBILITY:
        return scc_roster_deed(r, e, SCC_TALLY_BUILDINGS);

    case SCC_KIND_COMMENT:
        return scc_roster_deed(r, e, SCC_TALLY_COMMENTS);

    case SCC_KIND_REPORT:
        return scc_roster_deed(r, e, SCC_TALLY_REPORTS);

    case SCC_KIND_PHOTO:
        return scc_roster_deed(r, e, SCC_TALLY_PHOTOS);

    case SCC_KIND_RETRACT:
    case SCC_KIND_RESTORE:
    case SCC_KIND_REMOVE:
    case SCC_KIND_REINSTATE:
        return scc_roster_word(r, e);

    case SCC_KIND_ERASE:
        who = scc_roster_who(r, e->contributor_id);

        if (who == SCC_WORD_NONE) {
            return SCC_ERROR;
        }

        w = scc_who(r, who);

        if (!w->erased || e->hlc > w->erased_hlc) {
            w->erased = true;
            w->erased_hlc = e->hlc;
        }

        return SCC_OK;

    default:
        return SCC_OK;
    }
}


scc_rc_t
scc_roster_tell(scc_roster_t *r, const scc_roster_event_t *e)
{
    bool       hidden;
    uint32_t   who;
    scc_str_t  target, name;

    who = scc_roster_who(r, e->contributor_id);

    if (who == SCC_WORD_NONE) {
        return SCC_ERROR;
    }

    scc_roster_seen(scc_who(r, who), e->hlc);

    hidden = e->kind == SCC_KIND_CONTRIBUTOR
             && scc_roster_hidden(r, e->event_id, e->contributor_id);

    if (e->contributor_name.len > 0 && !hidden
        && scc_roster_name(r, who, e->contributor_name, e->hlc) != SCC_OK)
    {
        return SCC_ERROR;
    }

    switch (e->kind) {

    case SCC_KIND_PLACE:
    case SCC_KIND_BUILDING:
        return scc_roster_place(r, e);

    case SCC_KIND_CONTRIBUTOR:
        break;

    default:
        return SCC_OK;
    }

    if (scc_facts_read(&r->facts, e->body) != SCC_OK) {
        return SCC_ERROR;
    }

    target = r->facts.text[SCC_FACT_CONTRIBUTOR];
    name = r->facts.text[SCC_FACT_NAME];

    if (target.len > 0) {
        who = scc_roster_who(r, target);

        if (who == SCC_WORD_NONE) {
            return SCC_ERROR;
        }

        scc_roster_seen(scc_who(r, who), e->hlc);
    }

    if (name.len == 0 || hidden) {
        return SCC_OK;
    }

    return scc_roster_name(r, who, name, e->hlc);
}


scc_rc_t
scc_roster_number(scc_roster_t *r, scc_str_t id, uint64_t number)
{
    uint32_t  who;

    who = scc_words_find(&r->people, id);

    if (who != SCC_WORD_NONE) {
        scc_who(r, who)->p.order = number;
    }

    if (number > r->top) {
        r->top = number;
    }

    return SCC_OK;
}


size_t
scc_roster_n(const scc_roster_t *r)
{
    return r->n;
}


const scc_person_t *
scc_roster_get(const scc_roster_t *r, size_t i)
{
    return &scc_who(r, r->order[i])->p;
}


uint64_t
scc_roster_erased(const scc_roster_t *r)
{
    return r->erased;
}


uint64_t
scc_roster_top(const scc_roster_t *r)
{
    return r->top;
}


const scc_seasons_t *
scc_roster_of(const scc_roster_t *r)
{
    return r->seasons;
}


static scc_rc_t
scc_roster_deed(scc_roster_t *r, const scc_roster_event_t *e, unsigned kind)
{
    bool         place;
    size_t       size;
    scc_deed_t  *d;

    if (scc_facts_read(&r->facts, e->body) != SCC_OK) {
        return SCC_ERROR;
    }

    if (r->n_deeds == r->size) {
        size = r->size ? 2 * r->size : 1024;
        d = realloc(r->deeds, size * sizeof(scc_deed_t));

        if (d == NULL) {
            return SCC_ERROR;
        }

        r->deeds = d;
        r->size = size;
    }

    place = r->facts.text[SCC_FACT_PLACE].len > 0;

    d = &r->deeds[r->n_deeds];

    d->who = scc_roster_who(r, e->contributor_id);
    d->thing = scc_roster_thing(r, place ? 'p' : 'b',
                                r->facts.text[place ? SCC_FACT_PLACE
                                                    : SCC_FACT_BUILDING],
                                true);

    if (d->who == SCC_WORD_NONE || d->thing == SCC_WORD_NONE) {
        return SCC_ERROR;
    }

    d->kind = kind;
    d->located = r->facts.located;
    d->lon = r->facts.lon;
    d->lat = r->facts.lat;
    d->msec = scc_facts_time(&r->facts, e->hlc);
    d->hlc = e->hlc;
    memcpy(d->id, e->event_id, 16);

    r->n_deeds++;

    return SCC_OK;
}


/* What was said of an event: the newest word of each counts. */

static scc_rc_t
scc_roster_word(scc_roster_t *r, const scc_roster_event_t *e)
{
    bool         known, own;
    uint8_t      key[16 + SCC_ID_MAX];
    uint32_t     i, n;
    scc_str_t    text;
    scc_said_t  *s;

    if (scc_facts_read(&r->facts, e->body) != SCC_OK) {
        return SCC_ERROR;
    }

    if (scc_uuid_parse(r->facts.text[SCC_FACT_EVENT], key) != SCC_OK
        || e->contributor_id.len > SCC_ID_MAX)
    {
        return SCC_OK;
    }

    own = e->kind == SCC_KIND_RETRACT || e->kind == SCC_KIND_RESTORE;

    text.data = key;
    text.len = 16;

    if (own) {
        memcpy(key + 16, e->contributor_id.data, e->contributor_id.len);
        text.len += e->contributor_id.len;
    }

    n = r->words.n;
    i = scc_words_add(&r->words, text);

    if (i == SCC_WORD_NONE
        || scc_roster_room(&r->said, r->words.n, sizeof(scc_said_t))
           != SCC_OK)
    {
        return SCC_ERROR;
    }

    s = scc_word(r, i);
    known = i < n;

    if (known && !scc_roster_newer(e->hlc, e->event_id, s->hlc, s->id)) {
        return SCC_OK;
    }

    s->hidden = e->kind == SCC_KIND_RETRACT || e->kind == SCC_KIND_REMOVE;
    s->hlc = e->hlc;
    memcpy(s->id, e->event_id, 16);

    return SCC_OK;
}


/* Where a thing is that somebody contributed to, if seasons ask. */

static scc_rc_t
scc_roster_place(scc_roster_t *r, const scc_roster_event_t *e)
{
    bool          place;
    uint32_t      i;
    scc_str_t     id, house;
    scc_thing_t  *t;

    if (r->seasons == NULL || !scc_seasons_boxed(r->seasons)) {
        return SCC_OK;
    }

    if (scc_facts_read(&r->facts, e->body) != SCC_OK) {
        return SCC_ERROR;
    }

    place = e->kind == SCC_KIND_PLACE;
    id = r->facts.text[place ? SCC_FACT_PLACE : SCC_FACT_BUILDING];
    house = r->facts.text[SCC_FACT_BUILDING];

    i = scc_roster_thing(r, place ? 'p' : 'b', id, false);

    if (i == SCC_WORD_NONE
        || scc_roster_hidden(r, e->event_id, e->contributor_id))
    {
        return SCC_OK;
    }

    t = scc_thing(r, i);

    if (t->hlc > 0 && !scc_roster_newer(e->hlc, e->event_id, t->hlc, t->id))
    {
        return SCC_OK;
    }

    t->located = r->facts.located;
    t->lon = r->facts.lon;
    t->lat = r->facts.lat;
    t->hlc = e->hlc;
    memcpy(t->id, e->event_id, 16);

    t->building = (place && house.len > 0)
                  ? scc_roster_thing(r, 'b', house, false) : SCC_WORD_NONE;

    return SCC_OK;
}


static scc_rc_t
scc_roster_name(scc_roster_t *r, uint32_t who, scc_str_t name, uint64_t hlc)
{
    int64_t      msec;
    uint8_t      key[4 + SCC_NAME_MAX];
    uint32_t     i, n;
    scc_str_t    text;
    scc_who_t   *w;
    scc_name_t  *s;

    w = scc_who(r, who);

    if ((w->erased && hlc <= w->erased_hlc) || name.len > SCC_NAME_MAX) {
        return SCC_OK;
    }

    memcpy(key, &who, 4);
    memcpy(key + 4, name.data, name.len);

    text.data = key;
    text.len = 4 + name.len;

    n = r->spellings.n;
    i = scc_words_add(&r->spellings, text);

    if (i == SCC_WORD_NONE
        || scc_roster_room(&r->names, r->spellings.n, sizeof(scc_name_t))
           != SCC_OK)
    {
        return SCC_ERROR;
    }

    s = scc_name(r, i);
    msec = (int64_t) (hlc >> 16);

    if (i == n) {
        s->who = who;
        s->s.name.data = r->spellings.list[i].data + 4;
        s->s.name.len = name.len;
        s->s.first = msec;
        s->s.last = msec;
    }

    if (msec < s->s.first) {
        s->s.first = msec;
    }

    if (msec > s->s.last) {
        s->s.last = msec;
    }

    /* of names given at the same time the greater one, as the store has it */

    if (w->name == SCC_WORD_NONE || hlc > w->name_hlc
        || (hlc == w->name_hlc && scc_str_cmp(s->s.name, w->p.name) > 0))
    {
        w->name = i;
        w->name_hlc = hlc;
        w->p.name = s->s.name;
    }

    return SCC_OK;
}


static void
scc_roster_seen(scc_who_t *w, uint64_t hlc)
{
    int64_t  msec;

    if (w->erased && hlc <= w->erased_hlc) {
        return;
    }

    msec = (int64_t) (hlc >> 16);

    if (!w->there || msec < w->p.first) {
        w->p.first = msec;
    }

    if (!w->there || msec > w->p.last) {
        w->p.last = msec;
    }

    w->there = true;
}


bool
scc_roster_hidden(const scc_roster_t *r, const uint8_t id[16],
    scc_str_t contributor)
{
    return scc_roster_said(r, id, contributor)
           || scc_roster_said(r, id, scc_roster_all);
}


static bool
scc_roster_said(const scc_roster_t *r, const uint8_t id[16], scc_str_t by)
{
    uint8_t    key[16 + SCC_ID_MAX];
    uint32_t   i;
    scc_str_t  text;

    if (by.len > SCC_ID_MAX) {
        return false;
    }

    memcpy(key, id, 16);

    if (by.len > 0) {
        memcpy(key + 16, by.data, by.len);
    }

    text.data = key;
    text.len = 16 + by.len;

    i = scc_words_find(&r->words, text);

    return i != SCC_WORD_NONE && scc_word(r, i)->hidden;
}


static uint32_t
scc_roster_who(scc_roster_t *r, scc_str_t id)
{
    uint32_t  i, n;

    n = r->people.n;
    i = scc_words_add(&r->people, id);

    if (i == SCC_WORD_NONE
        || scc_roster_room(&r->who, r->people.n, sizeof(scc_who_t))
           != SCC_OK)
    {
        return SCC_WORD_NONE;
    }

    if (i == n) {
        scc_who(r, i)->name = SCC_WORD_NONE;
        scc_who(r, i)->p.id = r->people.list[i];
    }

    return i;
}


static uint32_t
scc_roster_thing(scc_roster_t *r, char kind, scc_str_t id, bool add)
{
    uint8_t    key[1 + SCC_NAME_MAX];
    uint32_t   i, n;
    scc_str_t  text;

    key[0] = (uint8_t) kind;

    if (id.len > 0) {
        memcpy(key + 1, id.data, id.len);
    }

    text.data = key;
    text.len = 1 + id.len;

    if (!add) {
        return scc_words_find(&r->things, text);
    }

    n = r->things.n;
    i = scc_words_add(&r->things, text);

    if (i == SCC_WORD_NONE
        || scc_roster_room(&r->where, r->things.n, sizeof(scc_thing_t))
           != SCC_OK)
    {
        return SCC_WORD_NONE;
    }

    if (i == n) {
        scc_thing(r, i)->building = SCC_WORD_NONE;
    }

    return i;
}


/* Room for n elements, new ones zeros. */

static scc_rc_t
scc_roster_room(scc_beside_t *b, uint32_t n, size_t size)
{
    void    *list;
    size_t   more;

    if (n <= b->n) {
        return SCC_OK;
    }

    more = b->n ? 2 * b->n : 512;
    list = realloc(b->list, more * size);

    if (list == NULL) {
        return SCC_ERROR;
    }

    memset((uint8_t *) list + b->n * size, 0, (more - b->n) * size);

    b->list = list;
    b->n = more;

    return SCC_OK;
}


bool
scc_roster_newer(uint64_t hlc, const uint8_t id[16], uint64_t than_hlc,
    const uint8_t than_id[16])
{
    return hlc > than_hlc
           || (hlc == than_hlc && memcmp(id, than_id, 16) > 0);
}
