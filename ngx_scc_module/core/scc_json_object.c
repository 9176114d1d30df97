
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_json_object.h"


typedef struct {
    unsigned              depth;
    scc_json_member_pt    member;
    void                 *ctx;
    bool                  sound;
    bool                  object;
    size_t                key_size;
    size_t                key_len;
    uint8_t              *key;
    uint8_t               block[256];
} scc_json_object_t;


static scc_rc_t scc_json_object_null(void *ctx);
static scc_rc_t scc_json_object_boolean(void *ctx, bool value);
static scc_rc_t scc_json_object_scalar(void *ctx, scc_str_t text,
    bool sound);
static scc_rc_t scc_json_object_key(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_json_object_open(void *ctx);
static scc_rc_t scc_json_object_array(void *ctx);
static scc_rc_t scc_json_object_close(void *ctx);


static const scc_json_events_t  scc_json_object_events = {
    scc_json_object_null,
    scc_json_object_boolean,
    scc_json_object_scalar,
    scc_json_object_scalar,
    scc_json_object_key,
    scc_json_object_open,
    scc_json_object_close,
    scc_json_object_array,
    scc_json_object_close
};


static const scc_json_limits_t  scc_json_object_limits = {
    32, 1024 * 1024, false, false
};


scc_rc_t
scc_json_object(scc_str_t text, scc_json_member_pt member, void *ctx,
    scc_err_t *err)
{
    scc_rc_t           rc;
    scc_json_t        *j;
    scc_json_object_t  o;

    o.depth = 0;
    o.member = member;
    o.ctx = ctx;
    o.sound = true;
    o.object = true;
    o.key = o.block;
    o.key_size = sizeof(o.block);
    o.key_len = 0;

    j = scc_json_create(&scc_json_object_events, &o,
                        &scc_json_object_limits);
    if (j == NULL) {
        (void) snprintf(err->text, SCC_ERR_TEXT, "out of memory");
        return SCC_ERROR;
    }

    rc = scc_json_feed(j, text.data, text.len, err);

    if (rc == SCC_OK) {
        rc = scc_json_end(j, err);
    }

    if (rc == SCC_DECLINED && !o.object) {
        (void) snprintf(err->text, SCC_ERR_TEXT,
                        "is not a JSON object; write {\"key\":\"value\"}");

    } else if (rc == SCC_DECLINED && !o.sound) {
        (void) snprintf(err->text, SCC_ERR_TEXT,
                        "holds invalid UTF-8, \\u0000, half of a surrogate "
                        "pair or a number out of all range");
    }

    scc_json_free(j);

    if (o.key != o.block) {
        free(o.key);
    }

    return rc;
}


static scc_rc_t
scc_json_object_null(void *ctx)
{
    scc_json_object_t  *o = ctx;

    o->object = o->depth > 0;

    return o->object ? SCC_OK : SCC_DECLINED;
}


static scc_rc_t
scc_json_object_boolean(void *ctx, bool value)
{
    (void) value;

    return scc_json_object_null(ctx);
}


static scc_rc_t
scc_json_object_scalar(void *ctx, scc_str_t text, bool sound)
{
    scc_str_t           key;
    scc_json_object_t  *o = ctx;

    o->object = o->depth > 0;
    o->sound = sound;

    if (!o->object || !sound) {
        return SCC_DECLINED;
    }

    if (o->depth > 1 || o->member == NULL) {
        return SCC_OK;
    }

    key.len = o->key_len;
    key.data = o->key;

    return o->member(o->ctx, key, text);
}


static scc_rc_t
scc_json_object_key(void *ctx, scc_str_t text, bool sound)
{
    uint8_t            *key;
    scc_json_object_t  *o = ctx;

    o->sound = sound;

    if (!sound) {
        return SCC_DECLINED;
    }

    if (o->depth > 1 || o->member == NULL) {
        return SCC_OK;
    }

    if (text.len > o->key_size) {
        key = malloc(text.len);
        if (key == NULL) {
            return SCC_ERROR;
        }

        if (o->key != o->block) {
            free(o->key);
        }

        o->key = key;
        o->key_size = text.len;
    }

    o->key_len = text.len;

    if (text.len > 0) {
        memcpy(o->key, text.data, text.len);
    }

    return SCC_OK;
}


static scc_rc_t
scc_json_object_open(void *ctx)
{
    scc_json_object_t  *o = ctx;

    o->depth++;

    return SCC_OK;
}


static scc_rc_t
scc_json_object_array(void *ctx)
{
    scc_json_object_t  *o = ctx;

    o->object = o->depth > 0;
    o->depth++;

    return o->object ? SCC_OK : SCC_DECLINED;
}


static scc_rc_t
scc_json_object_close(void *ctx)
{
    scc_json_object_t  *o = ctx;

    o->depth--;

    return SCC_OK;
}
