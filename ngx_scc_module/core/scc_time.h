
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_TIME_H_INCLUDED_
#define _SCC_TIME_H_INCLUDED_


#include "scc_buf.h"


/* Times are milliseconds since 1970, UTC; days count from 1970-01-01. */

#define SCC_DAY_MSEC  86400000


/*
 * RFC 3339, as bodies have it (see scc_type_time): a fraction of a
 * millisecond is cut off, a leap second is the next second.  DECLINED if it
 * is none, or not of 1900 to 2999.
 */
scc_rc_t scc_time_parse(scc_str_t text, int64_t *msec);

/* "2026-11-23T01:02:03.456Z"; of years outside of 0 to 9999 nothing. */
void scc_time_write(scc_buf_t *b, int64_t msec);

/* "2026-11-23", and with "compact" "20261123"; a day that exists, of 1900 to
   2999.  DECLINED if it is none. */
scc_rc_t scc_day_parse(scc_str_t text, bool compact, int64_t *day);
void scc_day_write(scc_buf_t *b, bool compact, int64_t day);

/* "+09:00", "-03:30" or "Z", below 16 hours: minutes. */
scc_rc_t scc_zone_parse(scc_str_t text, int64_t *minutes);


#endif /* _SCC_TIME_H_INCLUDED_ */
