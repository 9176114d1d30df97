
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_EXPORT_H_INCLUDED_
#define _SCC_EXPORT_H_INCLUDED_


#include "scc_place.h"


/*
 * Open data: a place with all that is known of how to get in, and nothing
 * of who recorded it.  No contributor, comment, image or "extra" is here,
 * nor may one be added: names and faces stay in the store.
 */

typedef struct {
    scc_place_t     place;
    scc_str_t       building_id;        /* empty: none */
    scc_str_t       floors;             /* "-1;1;2"; empty: unknown */
    scc_tri_t       stair_only;
    scc_str_t       doors;              /* "Hinged;ETC"; empty: unknown */
    scc_height_t    entrance_height;    /* of the building's stairs */
    scc_height_t    elevator_height;
    scc_str_t       building_doors;
    scc_str_t       source;             /* may be empty */
    bool            synthetic;
    scc_str_t       updated_at;         /* RFC 3339, of the whole place */
} scc_export_t;


/*
 * A row of the store's scc.export, whose columns are texts in this order
 * (data NULL: SQL's NULL).  Strings are borrowed.  DECLINED if no place can
 * be like that.
 */

#define SCC_EXPORT_COLUMNS  26

scc_rc_t scc_export_row(const scc_str_t *column, scc_export_t *e);

/*
 * A GeoJSON Feature: scc_place_feature() with the properties "buildingId",
 * "floors", "isStairOnlyOption", "entranceDoorTypes",
 * "buildingEntranceStairHeightLevel", "buildingEntranceDoorTypes",
 * "buildingElevatorStairHeightLevel", "source", "synthetic", "updatedAt".
 * Unknown is null.
 */
void scc_export_feature(scc_buf_t *b, const scc_export_t *e);

/*
 * CSV (RFC 4180, but lines end in LF), in the columns that an import reads,
 * and level, registered, building_registered, building_entrance_door_types,
 * updated_at.  Unknown is empty; a record without stairs says UNDEFINED.
 */
void scc_export_csv_head(scc_buf_t *b);
void scc_export_csv(scc_buf_t *b, const scc_export_t *e);

/* The head's names, comma-separated. */
extern const char  scc_export_csv_names[];


#endif /* _SCC_EXPORT_H_INCLUDED_ */
