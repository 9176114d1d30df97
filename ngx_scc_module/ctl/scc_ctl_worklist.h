
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_WORKLIST_H_INCLUDED_
#define _SCC_CTL_WORKLIST_H_INCLUDED_


#include "scc_buf.h"
#include "scc_ctl_pg.h"


/* One thing to do: a photo to make a record of, or a place. */

typedef struct {
    bool                photo;
    bool                indoor;         /* a photo can tell */
    unsigned            quest;          /* of the field: from 1 */
    unsigned            nr;             /* in its quest, or indoors: from 1 */
    bool                located;
    int32_t             lon;            /* e7 */
    int32_t             lat;
    uint64_t            curve;

    /* cells of the results; empty where there is nothing */
    scc_str_t           id;             /* of the place; may be empty */
    scc_str_t           name;
    scc_str_t           address;
    scc_str_t           reasons;        /* joined by "," */
    scc_str_t           photos;         /* joined by newlines */
    scc_str_t           taken;
    scc_str_t           uploader;
    scc_str_t           cluster;
    scc_str_t           type;
    scc_str_t           together;
    scc_str_t           near;
    scc_str_t           near_json;
} scc_ctl_work_t;


typedef struct {
    scc_ctl_work_t     *list;           /* indoors first, then quests */
    size_t              n;
    size_t              indoor;         /* how many of them */
    unsigned            quests;
    char                at[32];         /* of the snapshot */
} scc_ctl_worklist_t;

#define SCC_CTL_QUEST  30               /* places for a person */


void scc_ctl_worklist_csv(scc_buf_t *b, const scc_ctl_worklist_t *wl);
void scc_ctl_worklist_geojson(scc_buf_t *b, const scc_ctl_worklist_t *wl);

/* One file to print, in Korean. */
void scc_ctl_worklist_html(scc_buf_t *b, const scc_ctl_worklist_t *wl);


#endif /* _SCC_CTL_WORKLIST_H_INCLUDED_ */
