
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_SEASON_H_INCLUDED_
#define _SCC_SEASON_H_INCLUDED_


#include "scc_geo.h"
#include "scc_point.h"
#include "scc_sheet.h"
#include "scc_words.h"


/*
 * Which season and chapter a contribution belongs to.  No event says it;
 * people do, in a CSV with a row per chapter of a season:
 *
 *   season        as it is called: required
 *   chapter       may be empty: the whole season
 *   from, to      days, both included; empty: open
 *   area          west,south,east,north; or a polygon, lng/lat of its
 *                 corners joined by ";" (or by ",,"); empty: anywhere
 *   contributors  ids joined by ";": members, or the accounts that stand for
 *                 a chapter; empty: anybody
 *
 * A contribution belongs to the first row of which everything that is given
 * holds; where its place is not known, to none with an area.
 */

typedef struct {
    scc_str_t       season;         /* owned, as the others */
    scc_str_t       chapter;
    int64_t         from;           /* msec, included */
    int64_t         to;             /* excluded */
    bool            boxed;
    scc_area_t      box;
    scc_pos_t      *corner;         /* of a polygon, or NULL */
    size_t          n_corners;
    scc_words_t     people;
} scc_season_t;

typedef struct scc_seasons_s  scc_seasons_t;

#define SCC_SEASONS_MAX  4096
#define SCC_CORNERS_MAX  4096


/* Days begin "zone" minutes before UTC's.  NULL if there is no memory. */
scc_seasons_t *scc_seasons_create(int64_t zone);
void scc_seasons_free(scc_seasons_t *s);

/* The next bytes; then, once, the end.  DECLINED: err->text says line,
   column and fault. */
scc_rc_t scc_seasons_feed(scc_seasons_t *s, const void *data, size_t len,
    scc_err_t *err);
scc_rc_t scc_seasons_end(scc_seasons_t *s, scc_err_t *err);

size_t scc_seasons_n(const scc_seasons_t *s);
const scc_season_t *scc_seasons_get(const scc_seasons_t *s, size_t i);

/* True if a row asks where a contribution's place is. */
bool scc_seasons_boxed(const scc_seasons_t *s);

/* The row's number; scc_seasons_n(): none.  lon, lat in e7, if known. */
size_t scc_seasons_find(const scc_seasons_t *s, scc_str_t contributor,
    int64_t msec, bool known, int32_t lon, int32_t lat);


#endif /* _SCC_SEASON_H_INCLUDED_ */
