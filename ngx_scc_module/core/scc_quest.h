
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_QUEST_H_INCLUDED_
#define _SCC_QUEST_H_INCLUDED_


#include "scc_buf.h"


/* What a list of places for people needs. */

/*
 * Where a position (e7) comes on Hilbert's curve through a square of 360
 * degrees, in steps of 2 m: in this order neighbours in the list are
 * neighbours on the ground.
 */
uint64_t scc_hilbert(int32_t lon, int32_t lat);

/* Text within HTML, or within a quoted attribute.  What turns the direction
   of the text behind it becomes U+FFFD. */
void scc_buf_html(scc_buf_t *b, scc_str_t s);


#endif /* _SCC_QUEST_H_INCLUDED_ */
