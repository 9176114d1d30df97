
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CONTRIBUTION_H_INCLUDED_
#define _SCC_CONTRIBUTION_H_INCLUDED_


#include "scc_journal.h"


/*
 * A contribution's body, checked completely before it is acknowledged:
 * every rule that needs no database.  All faulty fields are reported at
 * once.
 */

#define SCC_FAULTS_MAX  32
#define SCC_FAULT_TEXT  512

typedef struct {
    char            field[64];          /* "floors[2]", "location.lng"; NUL-
                                           terminated, printable ASCII */
    char            text[SCC_FAULT_TEXT];   /* wrong, and allowed */
} scc_fault_t;

typedef struct {
    unsigned        n;
    bool            more;               /* there were more than fit */
    scc_fault_t     fault[SCC_FAULTS_MAX];
} scc_faults_t;


typedef struct {
    size_t          max_size;           /* bytes of a body */
    unsigned        max_depth;
} scc_contribution_conf_t;


typedef struct {
    scc_kind_t      kind;
    bool            has_id;             /* "id" was a valid UUIDv7 */
    uint8_t         id[16];
    scc_str_t       target;             /* placeId, buildingId, eventId (in
                                           lower case), the SHA-256 of an
                                           objectKey in hex; empty: the
                                           sender is the target.  In store:
                                           do not copy this structure */
    uint8_t         store[128];
} scc_contribution_t;


/*
 * DECLINED: faults says what; a body that is no JSON object has one fault
 * with an empty field.  ERROR: no memory.
 */
scc_rc_t scc_contribution_parse(scc_contribution_t *c,
    const scc_contribution_conf_t *conf, scc_str_t body,
    scc_faults_t *faults);


/* {"type":...,"title":...,"status":...,"detail":...,"errors":[
   {"field":...,"detail":...}]} members of a problem document: appends the
   "errors" array. */
void scc_faults_write(scc_buf_t *b, const scc_faults_t *faults);


/* UUIDs (RFC 9562): canonical text of 36 characters. */
scc_rc_t scc_uuid_parse(scc_str_t text, uint8_t id[16]);
void scc_uuid_write(scc_buf_t *b, const uint8_t id[16]);
bool scc_uuid_is_v7(const uint8_t id[16]);

/* Version 7 from milliseconds and 10 random bytes. */
void scc_uuid_v7(uint8_t id[16], uint64_t msec, const uint8_t random[10]);

/* Version 8 from the first 16 bytes of a SHA-256. */
void scc_uuid_v8(uint8_t id[16], const uint8_t sha256[32]);

/* The id that an Idempotency-Key stands for, on every worker and host:
   SHA-256(store, contributor, 0, "key", 0, key). */
void scc_event_id_of_key(uint8_t id[16], const uint8_t store[16],
    scc_str_t contributor, scc_str_t key);

void scc_sha256(uint8_t out[32], scc_str_t bytes);


/*
 * Hybrid logical clock: milliseconds << 16 | counter.  The next value after
 * "last" at "msec", which scc_clock_read() has judged; never goes back.
 * Fits PostgreSQL's bigint.
 */
uint64_t scc_hlc_next(uint64_t last, uint64_t msec);


/*
 * What a host knows of the time, as milliseconds less those since its boot;
 * 0: not known.  All zeros at first.
 */

typedef struct {
    int64_t         wall;           /* its clock, when last believed */
    int64_t         store;          /* the store's, when last asked */
    int64_t         guess;          /* while its clock is not believed */
} scc_clock_t;

typedef enum {
    SCC_DOUBT_NONE = 0,
    SCC_DOUBT_STORE,                /* a minute ahead of the store's clock */
    SCC_DOUBT_JUMP,                 /* ahead of all that is known */
} scc_doubt_t;

/*
 * Sets *msec to the time by which an hlc is taken at clock "wall",
 * milliseconds, "boot" since boot, with "last" the greatest hlc known (0:
 * none).  A clock that is late is believed: the hlc goes on from last.  One
 * that is ahead is not,
 *
 *   by a minute of the store's clock: that one is followed;
 *   by a day of where it has to be since it was last believed, or, if it
 *   never was or was itself behind "last", by a month of last: the time
 *   since then is counted from there.  If the store's clock is no nearer,
 *   by a year of last.
 *
 * A store's clock a day behind last is not asked.  While nothing is known
 * everything is believed.
 */
scc_doubt_t scc_clock_read(scc_clock_t *c, uint64_t wall, uint64_t boot,
    uint64_t last, uint64_t *msec);


#endif /* _SCC_CONTRIBUTION_H_INCLUDED_ */
