
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_ROSTER_INT_H_INCLUDED_
#define _SCC_ROSTER_INT_H_INCLUDED_


#include "scc_facts.h"
#include "scc_roster.h"


/* Private to scc_roster.c and scc_roster_end.c. */

/* Arrays that run beside a table of words. */

typedef struct {
    void           *list;
    size_t          n;              /* elements there is room for */
} scc_beside_t;


typedef struct {
    scc_person_t    p;
    bool            erased;
    uint64_t        erased_hlc;
    bool            there;          /* has an event that is newer */
    bool            conquered;
    uint64_t        first_hlc;      /* first conquest, taken back or not */
    uint8_t         first_id[16];
    uint64_t        name_hlc;
    uint32_t        name;           /* of the newest */
} scc_who_t;

typedef struct {
    uint32_t        who;
    scc_spelling_t  s;
} scc_name_t;

typedef struct {
    bool            located;
    int32_t         lon;
    int32_t         lat;
    uint64_t        hlc;
    uint8_t         id[16];
    uint32_t        building;       /* the one it is in; NONE */
} scc_thing_t;

typedef struct {
    bool            hidden;
    uint64_t        hlc;
    uint8_t         id[16];
} scc_said_t;

typedef struct {
    uint32_t        who;
    uint32_t        thing;
    unsigned        kind;           /* scc_tally_kind_t */
    bool            located;        /* by itself, as a photo */
    int32_t         lon;
    int32_t         lat;
    size_t          season;
    int64_t         msec;
    uint64_t        hlc;
    uint8_t         id[16];
} scc_deed_t;


struct scc_roster_s {
    const scc_seasons_t  *seasons;
    scc_words_t           people;
    scc_words_t           spellings;    /* person's number, name */
    scc_words_t           things;       /* 'p' or 'b', id */
    scc_words_t           words;        /* event id, who said it */
    scc_beside_t          who;          /* scc_who_t */
    scc_beside_t          names;        /* scc_name_t */
    scc_beside_t          where;        /* scc_thing_t */
    scc_beside_t          said;         /* scc_said_t */
    scc_deed_t           *deeds;
    size_t                n_deeds;
    size_t                size;
    scc_tally_t          *tallies;      /* of all people */
    scc_spelling_t       *sorted;
    uint32_t             *order;        /* people that are listed */
    size_t                n;
    uint64_t              erased;
    uint64_t              top;
    scc_facts_t           facts;
};


#define scc_who(r, i)    (&((scc_who_t *) (r)->who.list)[i])
#define scc_name(r, i)   (&((scc_name_t *) (r)->names.list)[i])
#define scc_thing(r, i)  (&((scc_thing_t *) (r)->where.list)[i])
#define scc_word(r, i)   (&((scc_said_t *) (r)->said.list)[i])


/* True if an event counts for nothing. */
bool scc_roster_hidden(const scc_roster_t *r, const uint8_t id[16],
    scc_str_t contributor);

/* By (hlc, id). */
bool scc_roster_newer(uint64_t hlc, const uint8_t id[16], uint64_t than_hlc,
    const uint8_t than_id[16]);


#endif /* _SCC_ROSTER_INT_H_INCLUDED_ */
