
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_JSON_H_INCLUDED_
#define _SCC_JSON_H_INCLUDED_


#include "scc.h"


/*
 * JSON (RFC 8259), pushed in pieces of any size, as events; the only user
 * of yajl.  Memory is one token and the nesting.
 */

typedef struct scc_json_s  scc_json_t;


/*
 * Anything but OK stops the parse and is returned by scc_json_feed().
 * Strings are decoded, valid during the call.  "sound" is false for what
 * PostgreSQL's jsonb does not take: text that is not UTF-8, holds U+0000 or
 * half of a surrogate pair (its bytes are then not to be used); a number of
 * more than 256 bytes or with an exponent beyond +-400.
 */

typedef struct {
    scc_rc_t  (*null)(void *ctx);
    scc_rc_t  (*boolean)(void *ctx, bool value);
    scc_rc_t  (*number)(void *ctx, scc_str_t text, bool sound);
    scc_rc_t  (*string)(void *ctx, scc_str_t text, bool sound);
    scc_rc_t  (*key)(void *ctx, scc_str_t text, bool sound);
    scc_rc_t  (*object)(void *ctx);
    scc_rc_t  (*object_end)(void *ctx);
    scc_rc_t  (*array)(void *ctx);
    scc_rc_t  (*array_end)(void *ctx);
} scc_json_events_t;                    /* all of them are set */


typedef struct {
    unsigned    depth_max;
    size_t      token_max;              /* bytes, and within 64 KiB more */
    bool        many;                   /* values one after another, not
                                           just one */
    bool        mark;                   /* a byte order mark may come first;
                                           jsonb does not take it */
} scc_json_limits_t;


/* NULL if there is no memory. */
scc_json_t *scc_json_create(const scc_json_events_t *events, void *ctx,
    const scc_json_limits_t *limits);
void scc_json_free(scc_json_t *j);

/*
 * The next bytes; then, once, the end.  DECLINED: err says line and byte
 * (both from 1) and what is wrong; ERROR: no memory; else what an event
 * returned, err is then left alone.  After any of these the parser only
 * repeats it.
 */
scc_rc_t scc_json_feed(scc_json_t *j, const void *data, size_t len,
    scc_err_t *err);
scc_rc_t scc_json_end(scc_json_t *j, scc_err_t *err);

/* In an event: bytes up to and with its token; the line it ends in. */
uint64_t scc_json_offset(const scc_json_t *j);
uint64_t scc_json_line(scc_json_t *j);


#endif /* _SCC_JSON_H_INCLUDED_ */
