
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_POINT_H_INCLUDED_
#define _SCC_POINT_H_INCLUDED_


#include "scc_buf.h"


/*
 * One point that stands for a line or a polygon on a map.  Positions are
 * whole numbers of e7 units in doubles, |x| and |y| below 2^35; so are the
 * points that come out.
 */

typedef struct {
    double      x;
    double      y;
} scc_pos_t;


/*
 * A polygon's rings, one after another in "pos": ring i ends before
 * end[i]; the first starts at "start".  The first is the outer one.  A
 * ring's last position may or may not repeat its first.
 */

typedef struct {
    const scc_pos_t  *pos;
    size_t            start;
    const size_t     *end;
    size_t            n;
} scc_rings_t;


/* Length and area, as they weigh on the ground, for comparing parts. */
double scc_point_length(const scc_pos_t *pos, size_t n);
double scc_point_area(const scc_rings_t *rings);

/* The point half way along a line of n > 0 positions. */
void scc_point_line(const scc_pos_t *pos, size_t n, scc_pos_t *point);

/*
 * A point inside a polygon whose outer ring has at least one position: its
 * centroid, if inside; else the middle of the widest inside interval of a
 * horizontal line through the polygon's middle.  A polygon too thin to have
 * an inside on the e7 grid gives the point half way along its outer ring.
 * "work" is scratch.  ERROR: no memory.
 */
scc_rc_t scc_point_polygon(const scc_rings_t *rings, scc_buf_t *work,
    scc_pos_t *point);

/* True if the point is inside (even-odd over all rings). */
bool scc_point_inside(const scc_rings_t *rings, scc_pos_t point);


#endif /* _SCC_POINT_H_INCLUDED_ */
