
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_roster_int.h"


static scc_rc_t scc_roster_orders(scc_roster_t *r);
static void scc_roster_houses(scc_roster_t *r);
static void scc_roster_seasons(scc_roster_t *r);
static scc_rc_t scc_roster_count(scc_roster_t *r);
static void scc_roster_add(scc_tally_t *t, const scc_deed_t *d);
static scc_rc_t scc_roster_spell(scc_roster_t *r);
static scc_rc_t scc_roster_sort(scc_roster_t *r);
static int scc_deed_cmp_id(const void *a, const void *b);
static int scc_deed_cmp_who(const void *a, const void *b);
static int scc_name_cmp(const void *a, const void *b);
static int scc_person_cmp(const void *a, const void *b);
static int scc_first_cmp(const void *a, const void *b);


scc_rc_t
scc_roster_end(scc_roster_t *r)
{
    size_t       i, k;
    scc_deed_t  *d;

    /* each event once: of an id that came twice the first one counts, as in
       the ledger */

    if (r->n_deeds > 1) {
        qsort(r->deeds, r->n_deeds, sizeof(scc_deed_t), scc_deed_cmp_id);
    }

    for (i = 0, k = 0; i < r->n_deeds; i++) {
        d = &r->deeds[i];

        if (k > 0 && memcmp(r->deeds[k - 1].id, d->id, 16) == 0) {
            continue;
        }

        r->deeds[k++] = *d;
    }

    r->n_deeds = k;

    if (scc_roster_orders(r) != SCC_OK) {
        return SCC_ERROR;
    }

    for (i = 0, k = 0; i < r->n_deeds; i++) {
        d = &r->deeds[i];

        if ((scc_who(r, d->who)->erased
             && d->hlc <= scc_who(r, d->who)->erased_hlc)
            || scc_roster_hidden(r, d->id, r->people.list[d->who]))
        {
            continue;
        }

        r->deeds[k++] = *d;
    }

    r->n_deeds = k;

    scc_roster_houses(r);
    scc_roster_seasons(r);

    if (scc_roster_count(r) != SCC_OK || scc_roster_spell(r) != SCC_OK) {
        return SCC_ERROR;
    }

    return scc_roster_sort(r);
}


/* Numbers for those who have none: after all that were given. */

static scc_rc_t
scc_roster_orders(scc_roster_t *r)
{
    size_t        i, n;
    scc_who_t    *w, **list;
    scc_deed_t   *d;

    for (i = 0; i < r->n_deeds; i++) {
        d = &r->deeds[i];
        w = scc_who(r, d->who);

        if (d->kind != SCC_TALLY_PLACES && d->kind != SCC_TALLY_BUILDINGS) {
            continue;
        }

        if (!w->conquered
            || scc_roster_newer(w->first_hlc, w->first_id, d->hlc, d->id))
        {
            w->first_hlc = d->hlc;
            memcpy(w->first_id, d->id, 16);
        }

        w->conquered = true;
    }

    list = malloc((r->people.n + 1) * sizeof(scc_who_t *));

    if (list == NULL) {
        return SCC_ERROR;
    }

    for (i = 0, n = 0; i < r->people.n; i++) {
        w = scc_who(r, i);

        if (w->conquered && w->p.order == 0) {
            list[n++] = w;
        }
    }

    if (n > 1) {
        qsort(list, n, sizeof(scc_who_t *), scc_first_cmp);
    }

    for (i = 0; i < n; i++) {
        list[i]->p.order = ++r->top;
    }

    free(list);

    return SCC_OK;
}


/* A building whose position nobody gave is where a place in it is: that of
   the least id. */

static void
scc_roster_houses(scc_roster_t *r)
{
    uint32_t      i, house;
    scc_thing_t  *t, *h;
    scc_words_t  *things;

    things = &r->things;

    for (i = 0; i < things->n; i++) {
        t = scc_thing(r, i);

        if (things->list[i].data[0] != 'p' || !t->located
            || t->building == SCC_WORD_NONE)
        {
            continue;
        }

        h = scc_thing(r, t->building);

        if (h->located) {
            continue;
        }

        house = h->building;

        if (house == SCC_WORD_NONE
            || scc_str_cmp(things->list[i], things->list[house]) < 0)
        {
            h->building = i;
            h->lon = t->lon;
            h->lat = t->lat;
        }
    }
}


static void
scc_roster_seasons(scc_roster_t *r)
{
    bool          known;
    size_t        i;
    scc_deed_t   *d;
    scc_thing_t  *t;

    for (i = 0; i < r->n_deeds; i++) {
        d = &r->deeds[i];
        d->season = 0;

        if (r->seasons == NULL) {
            continue;
        }

        t = scc_thing(r, d->thing);

        known = t->located
                || (r->things.list[d->thing].data[0] == 'b'
                    && t->building != SCC_WORD_NONE);

        d->season = scc_seasons_find(r->seasons, r->people.list[d->who],
                                     d->msec, d->located || known,
                                     d->located ? d->lon : t->lon,
                                     d->located ? d->lat : t->lat);
    }
}


static scc_rc_t
scc_roster_count(scc_roster_t *r)
{
    size_t         i, n;
    scc_who_t     *w;
    scc_deed_t    *d;
    scc_tally_t   *t;

    if (r->n_deeds == 0) {
        return SCC_OK;
    }

    qsort(r->deeds, r->n_deeds, sizeof(scc_deed_t), scc_deed_cmp_who);

    r->tallies = calloc(r->n_deeds, sizeof(scc_tally_t));

    if (r->tallies == NULL) {
        return SCC_ERROR;
    }

    for (i = 0, n = 0; i < r->n_deeds; i++) {
        d = &r->deeds[i];
        w = scc_who(r, d->who);

        if (i == 0 || d[-1].who != d->who || d[-1].season != d->season) {
            t = &r->tallies[n++];
            t->season = d->season;

            if (w->p.n_tallies++ == 0) {
                w->p.tallies = t;
            }
        }

        scc_roster_add(&r->tallies[n - 1], d);
        scc_roster_add(&w->p.all, d);
    }

    return SCC_OK;
}


static void
scc_roster_add(scc_tally_t *t, const scc_deed_t *d)
{
    unsigned  i;
    uint64_t  n;

    for (i = 0, n = 0; i < SCC_TALLY_KINDS; i++) {
        n += t->n[i];
    }

    if (n == 0 || d->msec < t->first) {
        t->first = d->msec;
    }

    if (n == 0 || d->msec > t->last) {
        t->last = d->msec;
    }

    t->n[d->kind]++;
}


static scc_rc_t
scc_roster_spell(scc_roster_t *r)
{
    size_t       i;
    scc_who_t   *w;
    scc_name_t  *s;

    if (r->spellings.n == 0) {
        return SCC_OK;
    }

    qsort(r->names.list, r->spellings.n, sizeof(scc_name_t), scc_name_cmp);

    r->sorted = malloc(r->spellings.n * sizeof(scc_spelling_t));

    if (r->sorted == NULL) {
        return SCC_ERROR;
    }

    for (i = 0; i < r->spellings.n; i++) {
        s = scc_name(r, i);
        w = scc_who(r, s->who);

        r->sorted[i] = s->s;

        if (w->p.n_spellings++ == 0) {
            w->p.spellings = &r->sorted[i];
        }
    }

    return SCC_OK;
}


static scc_rc_t
scc_roster_sort(scc_roster_t *r)
{
    uint32_t    i;
    size_t      k, n;
    scc_who_t  *w, **list;

    r->order = malloc((r->people.n + 1) * sizeof(uint32_t));
    list = malloc((r->people.n + 1) * sizeof(scc_who_t *));

    if (r->order == NULL || list == NULL) {
        free(list);
        return SCC_ERROR;
    }

    for (i = 0, n = 0; i < r->people.n; i++) {
        w = scc_who(r, i);

        if (w->there) {
            list[n++] = w;

        } else if (w->erased) {
            r->erased++;
        }
    }

    if (n > 1) {
        qsort(list, n, sizeof(scc_who_t *), scc_person_cmp);
    }

    for (k = 0; k < n; k++) {
        r->order[k] = (uint32_t) (list[k] - scc_who(r, 0));
    }

    r->n = n;

    free(list);

    return SCC_OK;
}


static int
scc_deed_cmp_id(const void *a, const void *b)
{
    int                rc;
    const scc_deed_t  *x, *y;

    x = a;
    y = b;

    rc = memcmp(x->id, y->id, 16);

    return rc != 0 ? rc : (x->hlc > y->hlc) - (x->hlc < y->hlc);
}


static int
scc_deed_cmp_who(const void *a, const void *b)
{
    const scc_deed_t  *x, *y;

    x = a;
    y = b;

    if (x->who != y->who) {
        return x->who < y->who ? -1 : 1;
    }

    return (x->season > y->season) - (x->season < y->season);
}


static int
scc_name_cmp(const void *a, const void *b)
{
    const scc_name_t  *x, *y;

    x = a;
    y = b;

    if (x->who != y->who) {
        return x->who < y->who ? -1 : 1;
    }

    return scc_str_cmp(x->s.name, y->s.name);
}


static int
scc_person_cmp(const void *a, const void *b)
{
    uint64_t          i, k;
    const scc_who_t  *x, *y;

    x = *(scc_who_t *const *) a;
    y = *(scc_who_t *const *) b;

    /* 0 is the greatest */

    i = x->p.order - 1;
    k = y->p.order - 1;

    if (i != k) {
        return i < k ? -1 : 1;
    }

    return scc_str_cmp(x->p.id, y->p.id);
}


static int
scc_first_cmp(const void *a, const void *b)
{
    const scc_who_t  *x, *y;

    x = *(scc_who_t *const *) a;
    y = *(scc_who_t *const *) b;

    if (x->first_hlc != y->first_hlc) {
        return x->first_hlc < y->first_hlc ? -1 : 1;
    }

    return memcmp(x->first_id, y->first_id, 16);
}
