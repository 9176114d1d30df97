
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_ROSTER_H_INCLUDED_
#define _SCC_ROSTER_H_INCLUDED_


#include "scc_journal.h"
#include "scc_season.h"


/*
 * The roster (정복자 명단), folded from events alone, wherever they come
 * from: the same events in any order, each any number of times, give the
 * same roster.
 *
 *   r = scc_roster_create(seasons);
 *   for every event: scc_roster_learn(r, &e);
 *   for every event: scc_roster_tell(r, &e);
 *   for every number that was given: scc_roster_number(r, id, n);
 *   scc_roster_end(r);
 *
 * Contributions that were taken back or removed count nothing (as in
 * scc.hidden()).  What is not newer than its contributor's erasure does not
 * exist; who has nothing newer is not in the roster, and is only counted.
 * All but scc_roster_end() cost a look-up; memory is a person, name or
 * contribution each, whatever else the events are about.
 */

typedef struct scc_roster_s  scc_roster_t;


typedef struct {
    scc_kind_t      kind;
    uint64_t        hlc;
    const uint8_t  *event_id;
    scc_str_t       contributor_id;
    scc_str_t       contributor_name;   /* empty: none came with it */
    scc_str_t       body;
} scc_roster_event_t;


typedef struct {
    scc_str_t       name;           /* as it was typed */
    int64_t         first;          /* msec, by the event's clock */
    int64_t         last;
} scc_spelling_t;


/* Contributions of one season and chapter, or all; first, last: when they
   were made, scc_facts_time(). */

typedef enum {
    SCC_TALLY_PLACES = 0,           /* place_accessibility */
    SCC_TALLY_BUILDINGS,            /* building_accessibility */
    SCC_TALLY_COMMENTS,
    SCC_TALLY_REPORTS,
    SCC_TALLY_PHOTOS,
} scc_tally_kind_t;

#define SCC_TALLY_KINDS  (SCC_TALLY_PHOTOS + 1)

typedef struct {
    size_t          season;         /* row; scc_seasons_n(): of none */
    uint64_t        n[SCC_TALLY_KINDS];
    int64_t         first;
    int64_t         last;
} scc_tally_t;


typedef struct {
    scc_str_t               id;
    uint64_t                order;      /* n-th conqueror; 0: of nothing */
    scc_str_t               name;       /* the newest; may be empty */
    const scc_spelling_t   *spellings;  /* by name */
    size_t                  n_spellings;
    int64_t                 first;      /* event of any kind, msec */
    int64_t                 last;
    scc_tally_t             all;
    const scc_tally_t      *tallies;    /* by season */
    size_t                  n_tallies;
} scc_person_t;


/* Seasons may be NULL; borrowed.  NULL if there is no memory. */
scc_roster_t *scc_roster_create(const scc_seasons_t *seasons);
void scc_roster_free(scc_roster_t *r);

/* ERROR: no memory. */
scc_rc_t scc_roster_learn(scc_roster_t *r, const scc_roster_event_t *e);
scc_rc_t scc_roster_tell(scc_roster_t *r, const scc_roster_event_t *e);
scc_rc_t scc_roster_number(scc_roster_t *r, scc_str_t id, uint64_t number);

/* Who conquered and has no number gets the next one, by the time of the
   first conquest, as a rebuild gives it. */
scc_rc_t scc_roster_end(scc_roster_t *r);

/* By order, who conquered nothing last, by id. */
size_t scc_roster_n(const scc_roster_t *r);
const scc_person_t *scc_roster_get(const scc_roster_t *r, size_t i);

uint64_t scc_roster_erased(const scc_roster_t *r);
uint64_t scc_roster_top(const scc_roster_t *r);     /* greatest number */


/* What it was created with, or NULL. */
const scc_seasons_t *scc_roster_of(const scc_roster_t *r);

/*
 * One person as an object of JSON, without a newline; with what was counted
 * by season where "seasons" is set.  The digest is the SHA-256 of these
 * without, each with a newline.
 */
void scc_roster_json(scc_buf_t *b, const scc_roster_t *r, size_t i,
    bool seasons);
void scc_roster_digest(const scc_roster_t *r, scc_buf_t *work,
    uint8_t out[32]);

/* CSV: a row per person, season and chapter; or a row per spelling. */
void scc_roster_csv_head(scc_buf_t *b);
void scc_roster_csv(scc_buf_t *b, const scc_roster_t *r, size_t i);
void scc_roster_names_head(scc_buf_t *b);
void scc_roster_names(scc_buf_t *b, const scc_roster_t *r, size_t i);


#endif /* _SCC_ROSTER_H_INCLUDED_ */
