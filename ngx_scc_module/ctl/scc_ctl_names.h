
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_NAMES_H_INCLUDED_
#define _SCC_CTL_NAMES_H_INCLUDED_


#include <stdint.h>


/*
 * The words of the synthetic sample.  Districts and roads are Seoul's, so
 * that a map of them looks like one; shops, clinics and people are invented.
 * The order of everything here is part of "sccctl sample"'s output: add at
 * the end of a release only, and change the digest in the tests.
 */

#define SCC_CTL_ROADS     6
#define SCC_CTL_BRANCHES  4
#define SCC_CTL_BACKS     12

typedef struct {
    const char         *name;
    int32_t             lon;                /* e7 */
    int32_t             lat;
    uint32_t            spread;             /* e7, one standard deviation */
    uint32_t            weight;
    const char         *roads[SCC_CTL_ROADS];
    const char         *branches[SCC_CTL_BRANCHES];
} scc_ctl_district_t;

typedef struct {
    const char         *name;               /* SCC's PlaceCategory */
    uint32_t            weight;
    uint32_t            branch;             /* of 100: named after a part
                                               of town */
    const char         *backs[SCC_CTL_BACKS];   /* kinds; NULL ends */
} scc_ctl_category_t;


extern const scc_ctl_district_t  scc_ctl_districts[];
extern const uint32_t            scc_ctl_districts_n;

extern const scc_ctl_category_t  scc_ctl_categories[];
extern const uint32_t            scc_ctl_categories_n;

extern const char *const         scc_ctl_fronts[];
extern const uint32_t            scc_ctl_fronts_n;

/* A nickname is one of each: 20 x 10 of them. */

#define SCC_CTL_MOODS    20
#define SCC_CTL_ANIMALS  10

extern const char *const         scc_ctl_moods[SCC_CTL_MOODS];
extern const char *const         scc_ctl_animals[SCC_CTL_ANIMALS];


#endif /* _SCC_CTL_NAMES_H_INCLUDED_ */
