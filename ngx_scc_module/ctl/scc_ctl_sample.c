
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "scc_buf.h"
#include "scc_ctl.h"
#include "scc_ctl_names.h"


/*
 * The output must be the same bytes on every machine: the generator is
 * written here, all arithmetic is on integers, and places come one after
 * another, so that a longer sample begins with the shorter one.
 */

#define SCC_CTL_STREETS       200           /* of a district */
#define SCC_CTL_HOUSES        96            /* of a street */

#define SCC_CTL_WEST          1267600000
#define SCC_CTL_EAST          1271800000
#define SCC_CTL_SOUTH         374200000
#define SCC_CTL_NORTH         377000000

/* At Seoul's latitude 1 cm is 0.9 e7 of latitude, 1.133 of longitude. */

#define scc_ctl_cm_lat(cm)    ((cm) * 900 / 1000)
#define scc_ctl_cm_lon(cm)    ((cm) * 1133 / 1000)

#define SCC_CTL_HEADER                                                       \
    "id,name,category,lng,lat,address,building_id,source,synthetic,"         \
    "stair_info,stair_height_level,has_slope,is_first_floor,floors,"         \
    "is_stair_only_option,entrance_door_types,"                              \
    "building_entrance_stair_info,building_entrance_stair_height_level,"     \
    "building_has_slope,building_has_elevator,"                              \
    "building_elevator_stair_info,building_elevator_stair_height_level,"     \
    "contributor_id,contributor_name\n"


typedef struct {
    uint64_t            s[4];
} scc_ctl_rng_t;


typedef struct {
    int64_t             lon;
    int64_t             lat;
    int32_t             dx;         /* direction, 1/1024 */
    int32_t             dy;
    uint32_t            houses;
} scc_ctl_street_t;


typedef struct {
    uint32_t            district;
    uint32_t            street;
    uint32_t            house;
    uint32_t            storeys;
    int64_t             lon;
    int64_t             lat;
    bool                elevator;
    bool                registered; /* has an accessibility record */
} scc_ctl_building_t;


typedef struct {
    uint64_t            seed;
    scc_ctl_rng_t       rng;
    uint32_t            district_weights;
    uint32_t            category_weights;
    scc_ctl_street_t   *streets;
    uint8_t            *written;    /* bit per building: its record is out */
    scc_buf_t           buf;
} scc_ctl_sample_t;


static int scc_ctl_sample(const scc_ctl_args_t *args);
static int scc_ctl_sample_write(scc_ctl_sample_t *sm, uint64_t places,
    FILE *out);
static void scc_ctl_sample_streets(scc_ctl_sample_t *sm);
static int scc_ctl_sample_place(scc_ctl_sample_t *sm, uint64_t n);
static void scc_ctl_sample_building(scc_ctl_sample_t *sm,
    scc_ctl_building_t *b);
static int scc_ctl_sample_address(scc_ctl_sample_t *sm,
    const scc_ctl_building_t *b);
static void scc_ctl_sample_name(scc_ctl_sample_t *sm,
    const scc_ctl_category_t *category, const scc_ctl_district_t *district);
static bool scc_ctl_sample_place_access(scc_ctl_sample_t *sm,
    const scc_ctl_building_t *b);
static bool scc_ctl_sample_building_access(scc_ctl_sample_t *sm,
    const scc_ctl_building_t *b);
static void scc_ctl_sample_stair(scc_ctl_sample_t *sm, const uint32_t *of100,
    const char **stair, const char **height);
static const char *scc_ctl_sample_doors(scc_ctl_sample_t *sm);
static void scc_ctl_sample_cell(scc_buf_t *b, const char *text, size_t len);
static void scc_ctl_rng_init(scc_ctl_rng_t *rng, uint64_t seed);
static uint64_t scc_ctl_rng_next(scc_ctl_rng_t *rng);
static uint32_t scc_ctl_rng_below(scc_ctl_rng_t *rng, uint32_t n);
static int64_t scc_ctl_rng_gauss(scc_ctl_rng_t *rng, uint32_t spread);
static uint64_t scc_ctl_mix(uint64_t x);
static int64_t scc_ctl_clamp(int64_t v, int64_t min, int64_t max);


enum {
    SCC_CTL_SAMPLE_PLACES = 0,
    SCC_CTL_SAMPLE_SEED,
    SCC_CTL_SAMPLE_OUT,
};

static const scc_ctl_opt_t  scc_ctl_sample_opts[] = {
    { "places", "N", "how many places, 0 to 100000000" },
    { "seed", "S", "any number; the same seed gives the same bytes" },
    { "out", "FILE", "write there instead of standard output" },
    { NULL, NULL, NULL }
};

const scc_ctl_cmd_t  scc_ctl_sample_cmd = {
    "sample", NULL,
    "write synthetic places of Seoul as CSV",
    "Writes places with Seoul's density, Korean names and, for a part of "
    "them,\naccessibility records, as CSV for \"sccctl import\".  All of it "
    "is invented and\nmarked: ids are synthetic:SEED:N, the column "
    "\"synthetic\" is true.  The bytes\ndepend on --seed alone, and a "
    "longer sample begins with the shorter one.\n"
    "Both --places and --seed are required.\n",
    scc_ctl_sample_opts, scc_ctl_sample
};


static const char *const  scc_ctl_stairs[] = {
    "NONE", "ONE", "TWO_TO_FIVE", "OVER_SIX", "UNDEFINED"
};

/* Of 100: none, one, two to five, over six; the rest is undefined. */

static const uint32_t  scc_ctl_shop_stairs[4] = { 38, 26, 22, 12 };
static const uint32_t  scc_ctl_entrance_stairs[4] = { 42, 24, 22, 11 };
static const uint32_t  scc_ctl_elevator_stairs[4] = { 66, 14, 14, 6 };

/* Sixteen directions around the circle, 1/1024. */

static const int16_t  scc_ctl_compass[16][2] = {
    { 1024, 0 }, { 946, 392 }, { 724, 724 }, { 392, 946 },
    { 0, 1024 }, { -392, 946 }, { -724, 724 }, { -946, 392 },
    { -1024, 0 }, { -946, -392 }, { -724, -724 }, { -392, -946 },
    { 0, -1024 }, { 392, -946 }, { 724, -724 }, { 946, -392 },
};


static int
scc_ctl_sample(const scc_ctl_args_t *args)
{
    int                rc;
    FILE              *out;
    uint64_t           places;
    const char        *path;
    scc_ctl_sample_t   sm;

    memset(&sm, 0, sizeof(scc_ctl_sample_t));

    if (args->opt[SCC_CTL_SAMPLE_PLACES] == NULL
        || args->opt[SCC_CTL_SAMPLE_SEED] == NULL)
    {
        return scc_ctl_usage("sample", "--places N and --seed S are both "
                             "required");
    }

    if (scc_ctl_number(args->opt[SCC_CTL_SAMPLE_PLACES], 0, 100000000,
                       &places)
        != 0)
    {
        return scc_ctl_usage("sample", "--places: \"%s\" is not a number "
                             "from 0 to 100000000",
                             args->opt[SCC_CTL_SAMPLE_PLACES]);
    }

    if (scc_ctl_number(args->opt[SCC_CTL_SAMPLE_SEED], 0, UINT64_MAX,
                       &sm.seed)
        != 0)
    {
        return scc_ctl_usage("sample", "--seed: \"%s\" is not a number from "
                             "0 to 18446744073709551615",
                             args->opt[SCC_CTL_SAMPLE_SEED]);
    }

    path = args->opt[SCC_CTL_SAMPLE_OUT];
    out = stdout;

    if (path != NULL) {
        out = fopen(path, "wb");

        if (out == NULL) {
            scc_ctl_error("--out: cannot create \"%s\": %s", path,
                          strerror(errno));
            return SCC_CTL_FAILED;
        }
    }

    rc = scc_ctl_sample_write(&sm, places, out);

    if (fflush(out) != 0 || ferror(out)) {
        scc_ctl_error("cannot write to %s: %s",
                      path != NULL ? path : "standard output",
                      strerror(errno));
        rc = SCC_CTL_FAILED;
    }

    if (path != NULL && fclose(out) != 0 && rc == SCC_CTL_OK) {
        scc_ctl_error("cannot write to %s: %s", path, strerror(errno));
        rc = SCC_CTL_FAILED;
    }

    scc_buf_free(&sm.buf);
    free(sm.streets);
    free(sm.written);

    return rc;
}


static int
scc_ctl_sample_write(scc_ctl_sample_t *sm, uint64_t places, FILE *out)
{
    size_t    streets;
    uint32_t  i;
    uint64_t  n;

    scc_buf_heap(&sm->buf, 0);

    streets = (size_t) scc_ctl_districts_n * SCC_CTL_STREETS;

    sm->streets = calloc(streets, sizeof(scc_ctl_street_t));
    sm->written = calloc(streets, SCC_CTL_HOUSES / 8);

    if (sm->streets == NULL || sm->written == NULL) {
        scc_ctl_error("out of memory");
        return SCC_CTL_FAILED;
    }

    for (i = 0; i < scc_ctl_districts_n; i++) {
        sm->district_weights += scc_ctl_districts[i].weight;
    }

    for (i = 0; i < scc_ctl_categories_n; i++) {
        sm->category_weights += scc_ctl_categories[i].weight;
    }

    scc_ctl_sample_streets(sm);
    scc_ctl_rng_init(&sm->rng, sm->seed);

    scc_buf_text(&sm->buf, SCC_CTL_HEADER);

    for (n = 1; n <= places; n++) {

        if (scc_ctl_sample_place(sm, n) != 0) {
            return SCC_CTL_FAILED;
        }

        if (sm->buf.used < 64 * 1024) {
            continue;
        }

        if (fwrite(sm->buf.start, 1, sm->buf.used, out) != sm->buf.used) {
            return SCC_CTL_FAILED;
        }

        scc_buf_reset(&sm->buf);
    }

    if (sm->buf.error) {
        scc_ctl_error("out of memory");
        return SCC_CTL_FAILED;
    }

    return fwrite(sm->buf.start, 1, sm->buf.used, out) == sm->buf.used
           ? SCC_CTL_OK : SCC_CTL_FAILED;
}


static void
scc_ctl_sample_streets(scc_ctl_sample_t *sm)
{
    uint32_t                   d, s, way;
    scc_ctl_rng_t              rng;
    scc_ctl_street_t          *street;
    const scc_ctl_district_t  *district;

    for (d = 0; d < scc_ctl_districts_n; d++) {

        district = &scc_ctl_districts[d];

        for (s = 0; s < SCC_CTL_STREETS; s++) {

            street = &sm->streets[d * SCC_CTL_STREETS + s];

            scc_ctl_rng_init(&rng, scc_ctl_mix(sm->seed
                                               ^ scc_ctl_mix(d * 1000 + s)));

            street->lon = scc_ctl_clamp(district->lon
                                  + scc_ctl_rng_gauss(&rng, district->spread),
                                  SCC_CTL_WEST + 120000,
                                  SCC_CTL_EAST - 120000);
            street->lat = scc_ctl_clamp(district->lat
                                  + scc_ctl_rng_gauss(&rng, district->spread),
                                  SCC_CTL_SOUTH + 120000,
                                  SCC_CTL_NORTH - 120000);

            way = scc_ctl_rng_below(&rng, 16);
            street->dx = scc_ctl_compass[way][0];
            street->dy = scc_ctl_compass[way][1];
            street->houses = 24 + scc_ctl_rng_below(&rng,
                                                    SCC_CTL_HOUSES - 23);
        }
    }
}


static int
scc_ctl_sample_place(scc_ctl_sample_t *sm, uint64_t n)
{
    bool                       place, building;
    int64_t                    lon, lat;
    uint32_t                   i, r;
    scc_buf_t                 *b;
    scc_ctl_building_t         at;
    const scc_ctl_category_t  *category;

    b = &sm->buf;

    scc_ctl_sample_building(sm, &at);

    r = scc_ctl_rng_below(&sm->rng, sm->category_weights);

    for (i = 0; r >= scc_ctl_categories[i].weight; i++) {
        r -= scc_ctl_categories[i].weight;
    }

    category = &scc_ctl_categories[i];

    /* Most places stand on their building's point, as geocoders put them. */

    lon = at.lon;
    lat = at.lat;

    if (scc_ctl_rng_below(&sm->rng, 100) >= 70) {
        lon += (int64_t) scc_ctl_rng_below(&sm->rng, 1401) - 700;
        lat += (int64_t) scc_ctl_rng_below(&sm->rng, 1101) - 550;
    }

    scc_buf_text(b, "synthetic:");
    scc_buf_uint(b, sm->seed);
    scc_buf_byte(b, ':');
    scc_buf_uint(b, n);
    scc_buf_byte(b, ',');
    scc_ctl_sample_name(sm, category, &scc_ctl_districts[at.district]);
    scc_buf_byte(b, ',');
    scc_buf_text(b, category->name);
    scc_buf_byte(b, ',');
    scc_buf_e7(b, (int32_t) lon);
    scc_buf_byte(b, ',');
    scc_buf_e7(b, (int32_t) lat);
    scc_buf_byte(b, ',');

    if (scc_ctl_sample_address(sm, &at) != 0) {
        return -1;
    }

    scc_buf_text(b, ",synthetic,true,");

    place = scc_ctl_sample_place_access(sm, &at);
    scc_buf_byte(b, ',');
    building = scc_ctl_sample_building_access(sm, &at);
    scc_buf_byte(b, ',');

    r = scc_ctl_rng_below(&sm->rng, SCC_CTL_MOODS);
    i = scc_ctl_rng_below(&sm->rng, SCC_CTL_ANIMALS);

    if (place || building) {
        scc_buf_text(b, "synthetic-");
        scc_buf_uint(b, r * SCC_CTL_ANIMALS + i + 1);
        scc_buf_byte(b, ',');
        scc_buf_text(b, scc_ctl_moods[r]);
        scc_buf_byte(b, ' ');
        scc_buf_text(b, scc_ctl_animals[i]);

    } else {
        scc_buf_byte(b, ',');
    }

    scc_buf_byte(b, '\n');

    return 0;
}


/* A building: what is fixed about it depends on where it stands, not on
   the place that asks. */

static void
scc_ctl_sample_building(scc_ctl_sample_t *sm, scc_ctl_building_t *at)
{
    int64_t            along, aside;
    uint32_t           r, d;
    scc_ctl_rng_t      rng;
    scc_ctl_street_t  *street;

    r = scc_ctl_rng_below(&sm->rng, sm->district_weights);

    for (d = 0; r >= scc_ctl_districts[d].weight; d++) {
        r -= scc_ctl_districts[d].weight;
    }

    at->district = d;

    if (scc_ctl_rng_below(&sm->rng, 100) < 5) {

        /* One of six large buildings, full of shops. */

        at->street = scc_ctl_rng_below(&sm->rng, 6);
        at->house = 0;

    } else {

        /* The product of two draws: a few streets are busy. */

        r = scc_ctl_rng_below(&sm->rng, SCC_CTL_STREETS);
        at->street = r * (scc_ctl_rng_below(&sm->rng, SCC_CTL_STREETS) + 1)
                     / SCC_CTL_STREETS;

        street = &sm->streets[d * SCC_CTL_STREETS + at->street];
        at->house = scc_ctl_rng_below(&sm->rng, street->houses);
    }

    street = &sm->streets[d * SCC_CTL_STREETS + at->street];

    scc_ctl_rng_init(&rng, scc_ctl_mix(sm->seed
                     ^ scc_ctl_mix(((uint64_t) d * SCC_CTL_STREETS
                                    + at->street) * SCC_CTL_HOUSES
                                   + at->house + 1000000)));

    /* Plots of about 14 m, on both sides of an 18 m street. */

    along = ((int64_t) (at->house / 2) - street->houses / 4) * 2800
            + scc_ctl_rng_below(&rng, 600);
    aside = ((at->house & 1) ? 900 : -900)
            + (int64_t) scc_ctl_rng_below(&rng, 300) - 150;

    at->lon = scc_ctl_clamp(street->lon
                            + scc_ctl_cm_lon((along * street->dx
                                              - aside * street->dy) / 1024),
                            SCC_CTL_WEST + 1000, SCC_CTL_EAST - 1000);
    at->lat = scc_ctl_clamp(street->lat
                            + scc_ctl_cm_lat((along * street->dy
                                              + aside * street->dx) / 1024),
                            SCC_CTL_SOUTH + 1000, SCC_CTL_NORTH - 1000);

    at->storeys = 1 + scc_ctl_rng_below(&rng, 4)
                  + scc_ctl_rng_below(&rng, 4);

    if (at->house == 0 && at->street < 6) {
        at->storeys += 4;
    }

    at->elevator = at->storeys > 4 && scc_ctl_rng_below(&rng, 100) < 80;
    at->registered = scc_ctl_rng_below(&rng, 100) < 35;
}


/* "address,building_id"; the id is SCC's: base64 of the address' SHA-256. */

static int
scc_ctl_sample_address(scc_ctl_sample_t *sm, const scc_ctl_building_t *at)
{
    size_t                     start, len;
    uint8_t                    digest[32], id[48];
    uint32_t                   lane;
    scc_buf_t                 *b;
    const char                *road;
    const scc_ctl_district_t  *district;

    b = &sm->buf;
    start = b->used;
    district = &scc_ctl_districts[at->district];
    lane = at->street / SCC_CTL_ROADS;

    road = district->roads[at->street % SCC_CTL_ROADS];
    len = strlen(road);

    /* A lane of Insadong-gil is "Insadong 2-gil": no "gil" twice. */

    if (lane > 0 && len > 3 && memcmp(road + len - 3, "길", 3) == 0) {
        len -= 3;
    }

    scc_buf_text(b, "서울특별시 ");
    scc_buf_text(b, district->name);
    scc_buf_byte(b, ' ');
    scc_buf_mem(b, road, len);

    if (lane > 0) {
        scc_buf_uint(b, lane);
        scc_buf_text(b, "길");
    }

    scc_buf_byte(b, ' ');
    scc_buf_uint(b, at->house + 1);

    if (at->house % 5 == 4) {
        scc_buf_byte(b, '-');
        scc_buf_uint(b, 1 + at->house % 7);
    }

    if (b->error) {
        scc_ctl_error("out of memory");
        return -1;
    }

    if (scc_ctl_sha256(b->start + start, b->used - start, digest) != 0) {
        return -1;
    }

    EVP_EncodeBlock(id, digest, sizeof(digest));

    scc_buf_byte(b, ',');
    scc_buf_mem(b, id, 36);

    return 0;
}


static void
scc_ctl_sample_name(scc_ctl_sample_t *sm, const scc_ctl_category_t *category,
    const scc_ctl_district_t *district)
{
    char      name[128];
    int       len;
    uint32_t  front, back, backs, branch;

    for (backs = 0; backs < SCC_CTL_BACKS && category->backs[backs] != NULL;
         backs++)
    {
        /* void */
    }

    front = scc_ctl_rng_below(&sm->rng, scc_ctl_fronts_n);
    back = scc_ctl_rng_below(&sm->rng, backs);
    branch = scc_ctl_rng_below(&sm->rng, SCC_CTL_BRANCHES);

    if (scc_ctl_rng_below(&sm->rng, 100) < category->branch) {
        len = snprintf(name, sizeof(name), "%s %s %s",
                       scc_ctl_fronts[front], category->backs[back],
                       district->branches[branch]);
    } else {
        len = snprintf(name, sizeof(name), "%s %s", scc_ctl_fronts[front],
                       category->backs[back]);
    }

    scc_ctl_sample_cell(&sm->buf, name, (size_t) len);
}


/* stair_info ... entrance_door_types; true if there is a record. */

static bool
scc_ctl_sample_place_access(scc_ctl_sample_t *sm,
    const scc_ctl_building_t *at)
{
    int           floor, top;
    uint32_t      r;
    scc_buf_t    *b;
    const char   *stair, *height;

    b = &sm->buf;

    if (scc_ctl_rng_below(&sm->rng, 100) >= 45) {
        scc_buf_text(b, ",,,,,,");
        return false;
    }

    scc_ctl_sample_stair(sm, scc_ctl_shop_stairs, &stair, &height);

    r = scc_ctl_rng_below(&sm->rng, 100);
    floor = (r < 64) ? 1
            : (r < 74) ? -1
            : 1 + (int) scc_ctl_rng_below(&sm->rng, at->storeys);

    top = floor;

    if (floor > 0 && (uint32_t) floor < at->storeys
        && scc_ctl_rng_below(&sm->rng, 100) < 18)
    {
        top = floor + 1;
    }

    scc_buf_text(b, stair);
    scc_buf_byte(b, ',');
    scc_buf_text(b, height);
    scc_buf_byte(b, ',');

    /* Some forms leave the slope open; it stays unknown. */

    r = scc_ctl_rng_below(&sm->rng, 100);
    scc_buf_text(b, r < 4 ? "" : r < 22 ? "true" : "false");
    scc_buf_byte(b, ',');

    scc_buf_text(b, floor == 1 ? "true," : "false,");

    if (top > floor) {
        scc_buf_int(b, floor);
        scc_buf_byte(b, ';');
        scc_buf_int(b, top);
    } else {
        scc_buf_int(b, floor);
    }

    scc_buf_byte(b, ',');

    if (top > floor) {
        scc_buf_text(b, at->elevator ? "false" : "true");
    }

    scc_buf_byte(b, ',');
    scc_buf_text(b, scc_ctl_sample_doors(sm));

    return true;
}


/* building_entrance_stair_info ...: with the first place of a building only,
   a record is one person's contribution. */

static bool
scc_ctl_sample_building_access(scc_ctl_sample_t *sm,
    const scc_ctl_building_t *at)
{
    size_t        n;
    uint32_t      r;
    scc_buf_t    *b;
    const char   *stair, *height;

    b = &sm->buf;
    n = ((size_t) at->district * SCC_CTL_STREETS + at->street)
        * SCC_CTL_HOUSES + at->house;

    if (!at->registered || (sm->written[n / 8] & (1 << (n % 8)))) {
        scc_buf_text(b, ",,,,,");
        return false;
    }

    sm->written[n / 8] |= (uint8_t) (1 << (n % 8));

    scc_ctl_sample_stair(sm, scc_ctl_entrance_stairs, &stair, &height);

    scc_buf_text(b, stair);
    scc_buf_byte(b, ',');
    scc_buf_text(b, height);
    scc_buf_byte(b, ',');

    r = scc_ctl_rng_below(&sm->rng, 100);
    scc_buf_text(b, r < 4 ? "" : r < 26 ? "true" : "false");

    if (at->elevator) {

        do {
            scc_ctl_sample_stair(sm, scc_ctl_elevator_stairs, &stair,
                                 &height);
        } while (strcmp(stair, "UNDEFINED") == 0);

        scc_buf_text(b, ",true,");
        scc_buf_text(b, stair);
        scc_buf_byte(b, ',');
        scc_buf_text(b, height);

    } else {
        scc_buf_text(b, ",false,UNDEFINED,");
    }

    return true;
}


static void
scc_ctl_sample_stair(scc_ctl_sample_t *sm, const uint32_t *of100,
    const char **stair, const char **height)
{
    uint32_t                  i, r;
    static const char *const  heights[] = { "HALF_THUMB", "THUMB",
                                            "OVER_THUMB" };

    r = scc_ctl_rng_below(&sm->rng, 100);

    for (i = 0; i < 4 && r >= of100[i]; i++) {
        r -= of100[i];
    }

    *stair = scc_ctl_stairs[i];
    *height = (i == 1) ? heights[scc_ctl_rng_below(&sm->rng, 3)] : "";
}


static const char *
scc_ctl_sample_doors(scc_ctl_sample_t *sm)
{
    uint32_t  r;

    r = scc_ctl_rng_below(&sm->rng, 100);

    return r < 50 ? "Hinged"
           : r < 66 ? "Sliding"
           : r < 84 ? "Automatic"
           : r < 91 ? "Hinged;Automatic"
           : r < 96 ? "None"
           : r < 98 ? "Revolving" : "ETC";
}


static void
scc_ctl_sample_cell(scc_buf_t *b, const char *text, size_t len)
{
    size_t  i;

    if (memchr(text, ',', len) == NULL && memchr(text, '"', len) == NULL) {
        scc_buf_mem(b, text, len);
        return;
    }

    scc_buf_byte(b, '"');

    for (i = 0; i < len; i++) {
        if (text[i] == '"') {
            scc_buf_byte(b, '"');
        }

        scc_buf_byte(b, (uint8_t) text[i]);
    }

    scc_buf_byte(b, '"');
}


/* xoshiro256** (Blackman and Vigna), its state filled by SplitMix64. */

static void
scc_ctl_rng_init(scc_ctl_rng_t *rng, uint64_t seed)
{
    unsigned  i;

    for (i = 0; i < 4; i++) {
        rng->s[i] = scc_ctl_mix(seed + i * UINT64_C(0x9e3779b97f4a7c15));
    }
}


static uint64_t
scc_ctl_rng_next(scc_ctl_rng_t *rng)
{
    uint64_t   x, t, *s;

    s = rng->s;

    x = s[1] * 5;
    x = (x << 7 | x >> 57) * 9;

    t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;

    return x;
}


static uint32_t
scc_ctl_rng_below(scc_ctl_rng_t *rng, uint32_t n)
{
    return (uint32_t) ((scc_ctl_rng_next(rng) >> 32) * n >> 32);
}


/* The sum of twelve uniforms has variance one and needs no libm. */

static int64_t
scc_ctl_rng_gauss(scc_ctl_rng_t *rng, uint32_t spread)
{
    int64_t   sum;
    unsigned  i;

    sum = -6 * 65536;

    for (i = 0; i < 12; i++) {
        sum += scc_ctl_rng_below(rng, 65536);
    }

    return sum * (int64_t) spread / 65536;
}


static uint64_t
scc_ctl_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);

    return x ^ x >> 31;
}


static int64_t
scc_ctl_clamp(int64_t v, int64_t min, int64_t max)
{
    return v < min ? min : v > max ? max : v;
}
