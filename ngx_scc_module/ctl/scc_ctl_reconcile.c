
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_ctl_alike.h"
#include "scc_ctl_reader.h"
#include "scc_ctl_roster.h"


/*
 * A sign-up list against the roster.  Who is meant, an id says, or a name
 * that is the same; a name that only looks alike is a suggestion for people
 * to decide.
 */

typedef struct {
    uint64_t            line;
    scc_str_t           name;       /* owned, with what follows */
    scc_str_t           id;
    scc_str_t           chapter;
} scc_ctl_signup_t;

/* People by a key: those of key i begin at first[i]. */

typedef struct {
    scc_words_t         keys;
    uint32_t           *first;      /* link + 1 */
    uint32_t           *person;     /* of a link */
    uint32_t           *next;
    uint32_t            n;
    uint32_t            size;
    uint32_t            n_first;
} scc_ctl_index_t;

typedef struct {
    const scc_ctl_roster_t  *ro;
    scc_ctl_signup_t    *list;
    size_t               n;
    size_t               size;
    scc_words_t          ids;
    scc_ctl_index_t      same;
    scc_ctl_index_t      alike;
    bool                *met;           /* people who signed up */
    scc_buf_t            key;
    scc_buf_t            out;
    scc_buf_t            hints;
    uint64_t             counts[3];
} scc_ctl_reconcile_t;

typedef enum {
    SCC_CTL_BOTH = 0,
    SCC_CTL_NO_RECORD,
    SCC_CTL_NOT_SIGNED_UP,
} scc_ctl_met_t;


static int scc_ctl_reconcile_read(scc_ctl_reconcile_t *r, const char *path);
static scc_rc_t scc_ctl_reconcile_feed(void *ctx, const void *data,
    size_t len, scc_err_t *err);
static scc_rc_t scc_ctl_reconcile_signup(void *ctx, uint64_t line,
    const scc_str_t *cell);
static int scc_ctl_reconcile_index(scc_ctl_reconcile_t *r);
static int scc_ctl_index_add(scc_ctl_index_t *ix, scc_str_t key,
    uint32_t person);
static uint32_t scc_ctl_index_find(const scc_ctl_index_t *ix, scc_str_t key);
static void scc_ctl_reconcile_one(scc_ctl_reconcile_t *r,
    scc_ctl_signup_t *s);
static void scc_ctl_reconcile_rest(scc_ctl_reconcile_t *r);
static void scc_ctl_reconcile_hints(scc_ctl_reconcile_t *r, scc_str_t name);
static uint64_t scc_ctl_reconcile_conquests(const scc_ctl_reconcile_t *r,
    uint32_t person);
static void scc_ctl_reconcile_row(scc_ctl_reconcile_t *r,
    scc_ctl_met_t met, const scc_ctl_signup_t *s, uint32_t person);
static void scc_ctl_reconcile_cell(scc_ctl_reconcile_t *r, const char *key,
    scc_str_t s);
static void scc_ctl_reconcile_number(scc_ctl_reconcile_t *r,
    const char *key, uint64_t n);
static void scc_ctl_index_free(scc_ctl_index_t *ix);


enum {
    SCC_CTL_SIGNUP_NAME = 0,
    SCC_CTL_SIGNUP_ID,
    SCC_CTL_SIGNUP_CHAPTER,
};

static const scc_sheet_column_t  scc_ctl_signup_columns[] = {
    { "name", "이름", true },
    { "id", "아이디", false },
    { "chapter", "지부", false },
    { NULL, NULL, false }
};

static const char *const  scc_ctl_met_names[] = {
    "both", "no_record", "not_signed_up"
};


int
scc_ctl_roster_reconcile(const scc_ctl_roster_t *ro, const char *sheet)
{
    int                   rc;
    size_t                i;
    scc_ctl_reconcile_t   r;

    memset(&r, 0, sizeof(scc_ctl_reconcile_t));

    r.ro = ro;

    scc_buf_heap(&r.key, 0);
    scc_buf_heap(&r.out, 0);
    scc_buf_heap(&r.hints, 0);

    rc = -1;

    if (scc_ctl_reconcile_read(&r, sheet) == 0
        && scc_ctl_reconcile_index(&r) == 0)
    {
        scc_buf_text(&r.out, ro->json ? "[" : SCC_CTL_BOM
                     "status,line,name,chapter,id,order,roster_name,"
                     "contributions,alike\r\n");

        for (i = 0; i < r.n; i++) {
            scc_ctl_reconcile_one(&r, &r.list[i]);
        }

        scc_ctl_reconcile_rest(&r);

        scc_buf_text(&r.out, ro->json ? "\n]\n" : "");
        r.out.error |= r.key.error || r.hints.error;

        rc = scc_ctl_roster_put(ro->output, &r.out);
    }

    if (rc == 0) {
        fprintf(stderr, "both %llu, signed up without a record %llu, "
                "conquered without signing up %llu\n",
                (unsigned long long) r.counts[SCC_CTL_BOTH],
                (unsigned long long) r.counts[SCC_CTL_NO_RECORD],
                (unsigned long long) r.counts[SCC_CTL_NOT_SIGNED_UP]);

        rc = r.counts[SCC_CTL_NO_RECORD] + r.counts[SCC_CTL_NOT_SIGNED_UP]
             ? SCC_CTL_FINDINGS : SCC_CTL_OK;

    } else {
        rc = SCC_CTL_FAILED;
    }

    for (i = 0; i < r.n; i++) {
        scc_str_free(&r.list[i].name);
    }

    scc_buf_free(&r.key);
    scc_buf_free(&r.out);
    scc_buf_free(&r.hints);
    scc_words_free(&r.ids);
    scc_ctl_index_free(&r.same);
    scc_ctl_index_free(&r.alike);
    free(r.list);
    free(r.met);

    return rc;
}


static int
scc_ctl_reconcile_read(scc_ctl_reconcile_t *r, const char *path)
{
    int           rc;
    scc_sheet_t  *sheet;

    sheet = scc_sheet_create(scc_ctl_signup_columns,
                             scc_ctl_reconcile_signup, r);

    if (sheet == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    rc = scc_ctl_reader_feed(path, scc_ctl_reconcile_feed, sheet);

    scc_sheet_free(sheet);

    return rc;
}


static scc_rc_t
scc_ctl_reconcile_feed(void *ctx, const void *data, size_t len,
    scc_err_t *err)
{
    return len > 0 ? scc_sheet_feed(ctx, data, len, err)
                   : scc_sheet_end(ctx, err);
}


static scc_rc_t
scc_ctl_reconcile_signup(void *ctx, uint64_t line, const scc_str_t *cell)
{
    size_t                i, size;
    uint8_t              *data;
    scc_ctl_signup_t     *s;
    scc_ctl_reconcile_t  *r = ctx;

    if (cell[SCC_CTL_SIGNUP_NAME].len == 0
        && cell[SCC_CTL_SIGNUP_ID].len == 0)
    {
        return SCC_OK;
    }

    if (r->n == r->size) {
        size = r->size ? 2 * r->size : 256;
        s = realloc(r->list, size * sizeof(scc_ctl_signup_t));

        if (s == NULL) {
            return SCC_ERROR;
        }

        r->list = s;
        r->size = size;
    }

    s = &r->list[r->n];

    memset(s, 0, sizeof(scc_ctl_signup_t));
    s->line = line;

    for (size = 1, i = 0; i < 3; i++) {
        size += cell[i].len;
    }

    data = malloc(size);

    if (data == NULL) {
        return SCC_ERROR;
    }

    s->name.data = data;
    s->name.len = cell[SCC_CTL_SIGNUP_NAME].len;
    s->id.data = s->name.data + s->name.len;
    s->id.len = cell[SCC_CTL_SIGNUP_ID].len;
    s->chapter.data = s->id.data + s->id.len;
    s->chapter.len = cell[SCC_CTL_SIGNUP_CHAPTER].len;

    for (i = 0; i < 3; i++) {

        if (cell[i].len > 0) {
            memcpy(data, cell[i].data, cell[i].len);
        }

        data += cell[i].len;
    }

    r->n++;

    return SCC_OK;
}


static int
scc_ctl_reconcile_index(scc_ctl_reconcile_t *r)
{
    size_t               i, k, n;
    const scc_person_t  *p;

    n = scc_roster_n(r->ro->roster);

    r->met = calloc(n + 1, sizeof(bool));

    if (r->met == NULL) {
        goto failed;
    }

    for (i = 0; i < n; i++) {
        p = scc_roster_get(r->ro->roster, i);

        if (scc_words_add(&r->ids, p->id) != i) {
            goto failed;
        }

        for (k = 0; k < p->n_spellings; k++) {

            scc_buf_reset(&r->key);
            scc_ctl_alike_same(&r->key, p->spellings[k].name);

            if (r->key.error
                || scc_ctl_index_add(&r->same, scc_buf_get(&r->key),
                                     (uint32_t) i)
                   != 0)
            {
                goto failed;
            }

            scc_buf_reset(&r->key);
            scc_ctl_alike_key(&r->key, p->spellings[k].name);

            if (r->key.error
                || scc_ctl_index_add(&r->alike, scc_buf_get(&r->key),
                                     (uint32_t) i)
                   != 0)
            {
                goto failed;
            }
        }
    }

    return 0;

failed:

    scc_ctl_error("out of memory");

    return -1;
}


static int
scc_ctl_index_add(scc_ctl_index_t *ix, scc_str_t key, uint32_t person)
{
    uint32_t  i, size, *p;

    if (ix->n == ix->size) {
        size = ix->size ? 2 * ix->size : 256;

        p = realloc(ix->person, size * sizeof(uint32_t));
        if (p == NULL) {
            return -1;
        }

        ix->person = p;

        p = realloc(ix->next, size * sizeof(uint32_t));
        if (p == NULL) {
            return -1;
        }

        ix->next = p;

        /* never more keys than links */

        p = realloc(ix->first, size * sizeof(uint32_t));
        if (p == NULL) {
            return -1;
        }

        ix->first = p;
        ix->size = size;
    }

    i = scc_words_add(&ix->keys, key);

    if (i == SCC_WORD_NONE) {
        return -1;
    }

    if (i == ix->n_first) {
        ix->first[ix->n_first++] = 0;
    }

    /* spellings of one person may be the same name */

    if (ix->first[i] > 0 && ix->person[ix->first[i] - 1] == person) {
        return 0;
    }

    ix->person[ix->n] = person;
    ix->next[ix->n] = ix->first[i];
    ix->first[i] = ++ix->n;

    return 0;
}


static uint32_t
scc_ctl_index_find(const scc_ctl_index_t *ix, scc_str_t key)
{
    uint32_t  i;

    i = scc_words_find(&ix->keys, key);

    return i == SCC_WORD_NONE ? 0 : ix->first[i];
}


/* Everybody who may be meant is said to have signed up; who has conquered is
   named first. */

static void
scc_ctl_reconcile_one(scc_ctl_reconcile_t *r, scc_ctl_signup_t *s)
{
    bool       conquered;
    uint32_t   link, who, n;
    scc_str_t  id;

    id = scc_str_trim(s->id);
    scc_buf_reset(&r->hints);

    who = id.len > 0 ? scc_words_find(&r->ids, id) : SCC_WORD_NONE;

    if (who != SCC_WORD_NONE) {
        r->met[who] = true;

        scc_ctl_reconcile_row(r, scc_ctl_reconcile_conquests(r, who)
                              ? SCC_CTL_BOTH : SCC_CTL_NO_RECORD, s, who);
        return;
    }

    scc_buf_reset(&r->key);
    scc_ctl_alike_same(&r->key, s->name);

    link = r->key.used > 0
           ? scc_ctl_index_find(&r->same, scc_buf_get(&r->key)) : 0;

    for (n = 0, conquered = false; link > 0; link = r->same.next[link - 1]) {
        who = r->same.person[link - 1];
        r->met[who] = true;
        n++;

        if (scc_ctl_reconcile_conquests(r, who)) {
            conquered = true;
            scc_ctl_reconcile_row(r, SCC_CTL_BOTH, s, who);
        }
    }

    if (conquered) {
        return;
    }

    if (n == 0) {
        scc_ctl_reconcile_hints(r, s->name);
    }

    scc_ctl_reconcile_row(r, SCC_CTL_NO_RECORD, s, n == 1 ? who
                                                          : SCC_WORD_NONE);
}


static void
scc_ctl_reconcile_rest(scc_ctl_reconcile_t *r)
{
    size_t  i;

    scc_buf_reset(&r->hints);

    for (i = 0; i < scc_roster_n(r->ro->roster); i++) {

        if (!r->met[i] && scc_ctl_reconcile_conquests(r, (uint32_t) i)) {
            scc_ctl_reconcile_row(r, SCC_CTL_NOT_SIGNED_UP, NULL,
                                  (uint32_t) i);
        }
    }
}


/* Ids of those whose name looks alike, in hints. */

static void
scc_ctl_reconcile_hints(scc_ctl_reconcile_t *r, scc_str_t name)
{
    uint32_t             link;
    const scc_person_t  *p;

    scc_buf_reset(&r->key);
    scc_ctl_alike_key(&r->key, name);

    if (r->key.used == 0) {
        return;
    }

    link = scc_ctl_index_find(&r->alike, scc_buf_get(&r->key));

    for (/* void */; link > 0; link = r->alike.next[link - 1]) {
        p = scc_roster_get(r->ro->roster, r->alike.person[link - 1]);

        if (r->ro->json) {
            scc_buf_text(&r->hints, r->hints.used ? ",{\"id\":"
                                                  : "{\"id\":");
            scc_buf_json(&r->hints, p->id);
            scc_buf_text(&r->hints, ",\"name\":");
            scc_buf_json(&r->hints, p->name);
            scc_buf_byte(&r->hints, '}');
            continue;
        }

        scc_buf_text(&r->hints, r->hints.used ? "; " : "");
        scc_buf_str(&r->hints, p->name);
        scc_buf_text(&r->hints, " (");
        scc_buf_str(&r->hints, p->id);
        scc_buf_byte(&r->hints, ')');
    }
}


/* Places and buildings, of the season that was asked for. */

static uint64_t
scc_ctl_reconcile_conquests(const scc_ctl_reconcile_t *r, uint32_t person)
{
    size_t               k;
    uint64_t             n;
    const scc_tally_t   *t;
    const scc_person_t  *p;

    p = scc_roster_get(r->ro->roster, person);

    for (n = 0, k = 0; k < p->n_tallies; k++) {
        t = &p->tallies[k];

        if (scc_ctl_roster_asked(r->ro, t->season)) {
            n += t->n[SCC_TALLY_PLACES] + t->n[SCC_TALLY_BUILDINGS];
        }
    }

    return n;
}


static void
scc_ctl_reconcile_row(scc_ctl_reconcile_t *r, scc_ctl_met_t met,
    const scc_ctl_signup_t *s, uint32_t person)
{
    bool                 json;
    uint64_t             n;
    scc_str_t            status, none;
    const scc_person_t  *p;

    json = r->ro->json;
    r->counts[met]++;

    status.data = (const uint8_t *) scc_ctl_met_names[met];
    status.len = strlen(scc_ctl_met_names[met]);
    none.data = (const uint8_t *) "";
    none.len = 0;

    p = person != SCC_WORD_NONE ? scc_roster_get(r->ro->roster, person)
                                : NULL;

    n = r->counts[0] + r->counts[1] + r->counts[2];

    scc_buf_text(&r->out, !json ? "" : n > 1 ? ",\n{" : "\n{");
    scc_ctl_reconcile_cell(r, "\"status\":", status);
    scc_ctl_reconcile_number(r, ",\"line\":", s != NULL ? s->line : 0);
    scc_ctl_reconcile_cell(r, ",\"name\":", s != NULL ? s->name : none);
    scc_ctl_reconcile_cell(r, ",\"chapter\":", s != NULL ? s->chapter
                                                          : none);
    scc_ctl_reconcile_cell(r, ",\"id\":", p != NULL ? p->id
                                          : s != NULL ? s->id : none);
    scc_ctl_reconcile_number(r, ",\"order\":", p != NULL ? p->order : 0);
    scc_ctl_reconcile_cell(r, ",\"roster_name\":", p != NULL ? p->name
                                                             : none);
    scc_ctl_reconcile_number(r, ",\"contributions\":",
                             p != NULL
                             ? scc_ctl_reconcile_conquests(r, person) : 0);

    if (json) {
        scc_buf_text(&r->out, ",\"alike\":[");
        scc_buf_str(&r->out, scc_buf_get(&r->hints));
        scc_buf_text(&r->out, "]}");
        return;
    }

    scc_csv_cell(&r->out, scc_buf_get(&r->hints));
    scc_buf_text(&r->out, "\r\n");
}


static void
scc_ctl_reconcile_cell(scc_ctl_reconcile_t *r, const char *key, scc_str_t s)
{
    if (r->ro->json) {
        scc_buf_text(&r->out, key);
        scc_buf_json(&r->out, s);
        return;
    }

    scc_csv_cell(&r->out, s);
    scc_buf_byte(&r->out, ',');
}


static void
scc_ctl_reconcile_number(scc_ctl_reconcile_t *r, const char *key, uint64_t n)
{
    if (r->ro->json) {
        scc_buf_text(&r->out, key);
    }

    if (n > 0) {
        scc_buf_uint(&r->out, n);

    } else if (r->ro->json) {
        scc_buf_text(&r->out, "null");
    }

    if (!r->ro->json) {
        scc_buf_byte(&r->out, ',');
    }
}


static void
scc_ctl_index_free(scc_ctl_index_t *ix)
{
    scc_words_free(&ix->keys);
    free(ix->first);
    free(ix->person);
    free(ix->next);
}
