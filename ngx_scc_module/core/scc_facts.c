
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_facts.h"
#include "scc_json.h"
#include "scc_time.h"


#define SCC_FACTS_LNG   SCC_FACTS
#define SCC_FACTS_LAT   (SCC_FACTS + 1)
#define SCC_FACTS_NONE  (SCC_FACTS + 2)


typedef struct {
    scc_facts_t    *f;
    unsigned        depth;
    bool            here;           /* in "location", at depth 2 */
    bool            next;           /* the object that comes is it */
    unsigned        at;             /* what the value that comes is */
    bool            known[2];
    int64_t         e7[2];
} scc_facts_ctx_t;


static scc_rc_t scc_facts_null(void *ctx);
static scc_rc_t scc_facts_boolean(void *ctx, bool value);
static scc_rc_t scc_facts_number(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_facts_string(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_facts_key(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_facts_object(void *ctx);
static scc_rc_t scc_facts_array(void *ctx);
static scc_rc_t scc_facts_close(void *ctx);


static const scc_str_t  scc_facts_keys[SCC_FACTS] = {
    scc_string("placeId"),
    scc_string("buildingId"),
    scc_string("eventId"),
    scc_string("displayName"),
    scc_string("contributorId"),
    scc_string("recoveredFrom"),
    scc_string("originalTime"),
    scc_string("observedAt"),
    scc_string("takenAt")
};

static const scc_json_events_t  scc_facts_events = {
    scc_facts_null,
    scc_facts_boolean,
    scc_facts_number,
    scc_facts_string,
    scc_facts_key,
    scc_facts_object,
    scc_facts_close,
    scc_facts_array,
    scc_facts_close
};


scc_rc_t
scc_facts_read(scc_facts_t *f, scc_str_t body)
{
    scc_rc_t           rc;
    scc_err_t          err;
    scc_json_t        *j;
    scc_facts_ctx_t    c;

    static const scc_json_limits_t  limits = {
        32, 1024 * 1024, false, false
    };

    memset(f->text, 0, sizeof(f->text));
    memset(&c, 0, sizeof(scc_facts_ctx_t));

    f->located = false;
    c.f = f;
    c.at = SCC_FACTS_NONE;

    j = scc_json_create(&scc_facts_events, &c, &limits);

    if (j == NULL) {
        return SCC_ERROR;
    }

    rc = scc_json_feed(j, body.data, body.len, &err);

    if (rc == SCC_OK) {
        rc = scc_json_end(j, &err);
    }

    scc_json_free(j);

    if (rc == SCC_ERROR) {
        return SCC_ERROR;
    }

    if (rc != SCC_OK) {
        memset(f->text, 0, sizeof(f->text));
        return SCC_OK;
    }

    if (c.known[0] && c.known[1]
        && c.e7[0] >= -SCC_LON_MAX && c.e7[0] <= SCC_LON_MAX
        && c.e7[1] >= -SCC_LAT_MAX && c.e7[1] <= SCC_LAT_MAX)
    {
        f->located = true;
        f->lon = (int32_t) c.e7[0];
        f->lat = (int32_t) c.e7[1];
    }

    return SCC_OK;
}


int64_t
scc_facts_time(const scc_facts_t *f, uint64_t hlc)
{
    size_t   i;
    int64_t  msec;

    static const scc_fact_t  facts[] = {
        SCC_FACT_ORIGINAL, SCC_FACT_TAKEN, SCC_FACT_OBSERVED
    };

    for (i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {

        if (f->text[facts[i]].data != NULL
            && scc_time_parse(f->text[facts[i]], &msec) == SCC_OK)
        {
            return msec;
        }
    }

    return (int64_t) (hlc >> 16);
}


static scc_rc_t
scc_facts_null(void *ctx)
{
    scc_facts_ctx_t  *c = ctx;

    c->at = SCC_FACTS_NONE;
    c->next = false;

    return SCC_OK;
}


static scc_rc_t
scc_facts_boolean(void *ctx, bool value)
{
    (void) value;

    return scc_facts_null(ctx);
}


static scc_rc_t
scc_facts_number(void *ctx, scc_str_t text, bool sound)
{
    unsigned          i;
    scc_facts_ctx_t  *c = ctx;

    if (sound && (c->at == SCC_FACTS_LNG || c->at == SCC_FACTS_LAT)) {
        i = c->at - SCC_FACTS_LNG;
        c->known[i] = scc_e7_parse(text, SCC_E7_NEAREST, &c->e7[i])
                      == SCC_OK;
    }

    return scc_facts_null(ctx);
}


static scc_rc_t
scc_facts_string(void *ctx, scc_str_t text, bool sound)
{
    scc_str_t        *fact;
    scc_facts_ctx_t  *c = ctx;

    if (sound && c->at < SCC_FACTS && text.len <= SCC_NAME_MAX) {
        fact = &c->f->text[c->at];
        fact->data = c->f->store[c->at];
        fact->len = text.len;

        if (text.len > 0) {
            memcpy(c->f->store[c->at], text.data, text.len);
        }
    }

    return scc_facts_null(ctx);
}


static scc_rc_t
scc_facts_key(void *ctx, scc_str_t text, bool sound)
{
    scc_facts_ctx_t  *c = ctx;

    static const scc_str_t  location = scc_string("location");
    static const scc_str_t  lng = scc_string("lng");
    static const scc_str_t  lat = scc_string("lat");

    c->at = SCC_FACTS_NONE;
    c->next = false;

    if (!sound) {
        return SCC_OK;
    }

    if (c->depth == 1) {
        c->next = scc_str_eq(text, location);

        for (c->at = 0; c->at < SCC_FACTS; c->at++) {

            if (scc_str_eq(text, scc_facts_keys[c->at])) {
                return SCC_OK;
            }
        }

        c->at = SCC_FACTS_NONE;
    }

    if (c->depth == 2 && c->here) {

        if (scc_str_eq(text, lng)) {
            c->at = SCC_FACTS_LNG;
        }

        if (scc_str_eq(text, lat)) {
            c->at = SCC_FACTS_LAT;
        }
    }

    return SCC_OK;
}


static scc_rc_t
scc_facts_object(void *ctx)
{
    bool              here;
    scc_facts_ctx_t  *c = ctx;

    here = c->next;

    c->depth++;

    if (c->depth == 2) {
        c->here = here;
    }

    return scc_facts_null(ctx);
}


static scc_rc_t
scc_facts_array(void *ctx)
{
    scc_facts_ctx_t  *c = ctx;

    if (c->depth == 0) {
        return SCC_DECLINED;
    }

    c->next = false;

    return scc_facts_object(ctx);
}


static scc_rc_t
scc_facts_close(void *ctx)
{
    scc_facts_ctx_t  *c = ctx;

    c->depth--;

    return scc_facts_null(ctx);
}
