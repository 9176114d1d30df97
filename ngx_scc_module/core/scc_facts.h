
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_FACTS_H_INCLUDED_
#define _SCC_FACTS_H_INCLUDED_


#include "scc_geo.h"


/* What a body says of whom, of what, where and when, for those who read
   ledgers and journals without a store. */

typedef enum {
    SCC_FACT_PLACE = 0,             /* placeId */
    SCC_FACT_BUILDING,              /* buildingId */
    SCC_FACT_EVENT,                 /* eventId */
    SCC_FACT_NAME,                  /* displayName */
    SCC_FACT_CONTRIBUTOR,           /* contributorId */
    SCC_FACT_RECOVERED,             /* recoveredFrom */
    SCC_FACT_ORIGINAL,              /* originalTime */
    SCC_FACT_OBSERVED,              /* observedAt */
    SCC_FACT_TAKEN,                 /* takenAt */
} scc_fact_t;

#define SCC_FACTS  (SCC_FACT_TAKEN + 1)


typedef struct {
    scc_str_t   text[SCC_FACTS];    /* data NULL: not a string that jsonb
                                       takes, or of more than 512 bytes;
                                       points into store: do not copy */
    bool        located;            /* "location", within the world */
    int32_t     lon;                /* e7 */
    int32_t     lat;
    uint8_t     store[SCC_FACTS][SCC_NAME_MAX];
} scc_facts_t;


/* Of a body that is no JSON object there are none.  ERROR: no memory. */
scc_rc_t scc_facts_read(scc_facts_t *f, scc_str_t body);

/* When a contribution was made: what it says, or else its clock; msec. */
int64_t scc_facts_time(const scc_facts_t *f, uint64_t hlc);


#endif /* _SCC_FACTS_H_INCLUDED_ */
