
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_JSON_OBJECT_H_INCLUDED_
#define _SCC_JSON_OBJECT_H_INCLUDED_


#include "scc_json.h"


/*
 * Checks that the text is one JSON object that jsonb takes, no deeper than
 * 32, and passes its members whose value is a string or a number (text, as
 * it is written) to "member", which may be NULL.  DECLINED with err->text
 * if it is not; ERROR: no memory.
 */

typedef scc_rc_t (*scc_json_member_pt)(void *ctx, scc_str_t key,
    scc_str_t value);

scc_rc_t scc_json_object(scc_str_t text, scc_json_member_pt member,
    void *ctx, scc_err_t *err);


#endif /* _SCC_JSON_OBJECT_H_INCLUDED_ */
