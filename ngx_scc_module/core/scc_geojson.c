
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_geojson.h"
#include "scc_geometry.h"
#include "scc_json.h"


#define SCC_GEOJSON_BUF_MAX  (64 * 1024 * 1024)


/* What an object or array of the file is. */

typedef enum {
    GEOJSON_SKIP = 0,
    GEOJSON_FEATURE,            /* or what may turn out to be one */
    GEOJSON_FEATURES,           /* the array of a collection */
    GEOJSON_PROPS,
    GEOJSON_NESTED,             /* in a property */
    GEOJSON_GEOMETRY,           /* the geometry and all inside */
} scc_geojson_kind_t;


typedef enum {
    GEOJSON_OTHER = 0,
    GEOJSON_TYPE,
    GEOJSON_ID,
    GEOJSON_PROPERTIES,
    GEOJSON_GEOM,
    GEOJSON_MEMBERS,
} scc_geojson_member_t;


/* Places in buffers that may still move. */

typedef struct {
    size_t                 key;
    size_t                 key_len;
    size_t                 value;
    size_t                 value_len;
    bool                   nested;      /* the value is in "extra" */
    bool                   null;
} scc_geojson_prop_t;


struct scc_geojson_s {
    scc_geojson_feature_pt  feature;
    void                  *ctx;
    scc_json_t            *json;
    scc_geometry_t        *geometry;

    unsigned               depth;
    uint8_t                kind[SCC_GEOJSON_DEPTH_MAX + 1];
    bool                   collection;  /* the outermost object is one */

    /* the feature being read */

    bool                   open;
    bool                   typed;
    bool                   large;
    bool                   unsound;
    uint64_t               seq;
    uint64_t               line;
    uint64_t               start;
    scc_geojson_member_t   member;

    bool                   id_set;
    scc_buf_t              id;
    scc_buf_t              at_id;       /* properties["@id"] */

    size_t                 n_props;
    scc_geojson_prop_t     props[SCC_GEOJSON_PROPS_MAX];
    scc_osm_tag_t          out[SCC_GEOJSON_PROPS_MAX];
    scc_buf_t              text;        /* keys and values */
    scc_buf_t              extra;
    bool                   comma;       /* before the next value of it */

    bool                   own;
    scc_err_t              err;
};


static void scc_geojson_begin(scc_geojson_t *g);
static scc_rc_t scc_geojson_finish(scc_geojson_t *g);
static scc_feature_fault_t scc_geojson_fault(scc_geojson_t *g);
static scc_rc_t scc_geojson_stray(scc_geojson_t *g);
static void scc_geojson_weigh(scc_geojson_t *g);
static scc_rc_t scc_geojson_open(scc_geojson_t *g, bool object);
static scc_rc_t scc_geojson_close(scc_geojson_t *g, bool object);
static scc_rc_t scc_geojson_scalar(scc_geojson_t *g, scc_str_t text,
    scc_geometry_event_t event, bool sound);
static void scc_geojson_member(scc_geojson_t *g, scc_str_t key);
static void scc_geojson_prop(scc_geojson_t *g, scc_str_t key);
static void scc_geojson_value(scc_geojson_t *g, scc_str_t text,
    scc_geometry_event_t event);
static void scc_geojson_write(scc_geojson_t *g, scc_str_t text,
    scc_geometry_event_t event);
static scc_str_t scc_geojson_slice(const scc_buf_t *b, size_t from,
    size_t len);
static bool scc_geojson_is(scc_str_t value, const char *text);

static scc_rc_t scc_geojson_on_null(void *ctx);
static scc_rc_t scc_geojson_on_boolean(void *ctx, bool value);
static scc_rc_t scc_geojson_on_number(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_geojson_on_string(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_geojson_on_key(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_geojson_on_object(void *ctx);
static scc_rc_t scc_geojson_on_object_end(void *ctx);
static scc_rc_t scc_geojson_on_array(void *ctx);
static scc_rc_t scc_geojson_on_array_end(void *ctx);


static const scc_json_events_t  scc_geojson_events = {
    scc_geojson_on_null,
    scc_geojson_on_boolean,
    scc_geojson_on_number,
    scc_geojson_on_string,
    scc_geojson_on_key,
    scc_geojson_on_object,
    scc_geojson_on_object_end,
    scc_geojson_on_array,
    scc_geojson_on_array_end
};


static const scc_json_limits_t  scc_geojson_limits = {
    SCC_GEOJSON_DEPTH_MAX, SCC_GEOJSON_FEATURE_MAX, true, true
};


scc_geojson_t *
scc_geojson_create(scc_geojson_feature_pt feature, void *ctx)
{
    scc_geojson_t  *g;

    g = calloc(1, sizeof(scc_geojson_t));
    if (g == NULL) {
        return NULL;
    }

    g->feature = feature;
    g->ctx = ctx;

    scc_buf_heap(&g->id, SCC_GEOJSON_BUF_MAX);
    scc_buf_heap(&g->at_id, SCC_GEOJSON_BUF_MAX);
    scc_buf_heap(&g->text, SCC_GEOJSON_BUF_MAX);
    scc_buf_heap(&g->extra, SCC_GEOJSON_BUF_MAX);

    g->geometry = scc_geometry_create();
    g->json = scc_json_create(&scc_geojson_events, g, &scc_geojson_limits);

    if (g->geometry == NULL || g->json == NULL) {
        scc_geojson_free(g);
        return NULL;
    }

    return g;
}


void
scc_geojson_free(scc_geojson_t *g)
{
    if (g == NULL) {
        return;
    }

    scc_json_free(g->json);
    scc_geometry_free(g->geometry);

    scc_buf_free(&g->id);
    scc_buf_free(&g->at_id);
    scc_buf_free(&g->text);
    scc_buf_free(&g->extra);

    free(g);
}


scc_rc_t
scc_geojson_feed(scc_geojson_t *g, const void *data, size_t len,
    scc_err_t *err)
{
    scc_rc_t  rc;

    rc = scc_json_feed(g->json, data, len, err);

    if (rc != SCC_OK && g->own) {
        *err = g->err;
    }

    return rc;
}


scc_rc_t
scc_geojson_end(scc_geojson_t *g, scc_err_t *err)
{
    scc_rc_t  rc;

    rc = scc_json_end(g->json, err);

    if (rc != SCC_OK && g->own) {
        *err = g->err;
    }

    return rc;
}


static void
scc_geojson_begin(scc_geojson_t *g)
{
    g->open = true;
    g->typed = false;
    g->large = false;
    g->unsound = false;
    g->seq++;
    g->line = scc_json_line(g->json);
    g->start = scc_json_offset(g->json);

    g->id_set = false;
    g->n_props = 0;

    scc_buf_reset(&g->id);
    scc_buf_reset(&g->at_id);
    scc_buf_reset(&g->text);
    scc_buf_reset(&g->extra);

    scc_geometry_reset(g->geometry);
}


static scc_rc_t
scc_geojson_finish(scc_geojson_t *g)
{
    size_t               i, n;
    scc_feature_t        f;
    scc_geojson_prop_t  *prop;

    g->open = false;

    if (g->extra.used == 0) {
        scc_buf_text(&g->extra, "{}");
    }

    if (g->id.error || g->at_id.error || g->text.error || g->extra.error
        || scc_geometry_failed(g->geometry))
    {
        return SCC_ERROR;
    }

    memset(&f, 0, sizeof(scc_feature_t));

    f.seq = g->seq;
    f.line = g->line;
    f.fault = scc_geojson_fault(g);
    f.id = scc_buf_get(g->id_set ? &g->id : &g->at_id);
    f.extra = scc_buf_get(&g->extra);

    if (f.fault == SCC_FEATURE_OK || f.fault == SCC_FEATURE_BAD_TEXT) {
        (void) scc_geometry_point(g->geometry, &f.lon, &f.lat);
    }

    n = 0;

    for (i = 0; i < g->n_props; i++) {
        prop = &g->props[i];

        if (prop->null) {
            continue;
        }

        g->out[n].key = scc_geojson_slice(&g->text, prop->key,
                                          prop->key_len);
        g->out[n].value = scc_geojson_slice(prop->nested ? &g->extra
                                                         : &g->text,
                                            prop->value, prop->value_len);
        n++;
    }

    f.props = g->out;
    f.n_props = n;

    if (f.fault == SCC_FEATURE_TOO_LARGE) {
        f.n_props = 0;
        f.extra.data = (const uint8_t *) "{}";
        f.extra.len = 2;
    }

    return g->feature(g->ctx, &f);
}


static scc_feature_fault_t
scc_geojson_fault(scc_geojson_t *g)
{
    int64_t  lon, lat;

    if (!g->typed) {
        return SCC_FEATURE_NOT_ONE;
    }

    if (g->large) {
        return SCC_FEATURE_TOO_LARGE;
    }

    if (g->unsound) {
        return SCC_FEATURE_BAD_TEXT;
    }

    return scc_geometry_point(g->geometry, &lon, &lat);
}


/* A value where a feature should be. */

static scc_rc_t
scc_geojson_stray(scc_geojson_t *g)
{
    if (g->depth == 0) {
        g->own = true;
        g->err.field.len = 0;

        (void) snprintf(g->err.text, SCC_ERR_TEXT,
                        "line %llu: neither a FeatureCollection nor a "
                        "Feature; GeoJSON is expected",
                        (unsigned long long) scc_json_line(g->json));

        return SCC_DECLINED;
    }

    scc_geojson_begin(g);

    return scc_geojson_finish(g);
}


static void
scc_geojson_weigh(scc_geojson_t *g)
{
    if (g->open && !g->large
        && scc_json_offset(g->json) - g->start > SCC_GEOJSON_FEATURE_MAX)
    {
        g->large = true;
    }
}


static scc_rc_t
scc_geojson_open(scc_geojson_t *g, bool object)
{
    scc_rc_t             rc;
    scc_str_t            none = scc_null_string;
    scc_geojson_kind_t   kind;

    rc = SCC_OK;
    kind = GEOJSON_SKIP;

    scc_geojson_weigh(g);

    if (g->depth == 0) {

        if (!object) {
            return scc_geojson_stray(g);
        }

        g->collection = false;
        kind = GEOJSON_FEATURE;
        scc_geojson_begin(g);

    } else {

        switch (g->kind[g->depth]) {

        case GEOJSON_FEATURE:

            if (g->member == GEOJSON_MEMBERS && g->depth == 1 && !object) {

                /* what was read of the outermost object is not a feature */

                if (!g->collection) {
                    g->collection = true;
                    g->open = false;
                    g->seq--;
                }

                kind = GEOJSON_FEATURES;

            } else if (!g->open || g->large) {
                break;

            } else if (g->member == GEOJSON_PROPERTIES && object) {
                kind = GEOJSON_PROPS;
                g->n_props = 0;
                g->comma = false;
                scc_buf_reset(&g->text);
                scc_buf_reset(&g->extra);
                scc_buf_byte(&g->extra, '{');

            } else if (g->member == GEOJSON_GEOM) {
                kind = GEOJSON_GEOMETRY;
                scc_geometry_reset(g->geometry);
                scc_geometry_event(g->geometry,
                                   object ? SCC_GEOMETRY_OBJECT
                                          : SCC_GEOMETRY_ARRAY, none);
            }

            break;

        case GEOJSON_FEATURES:

            if (object) {
                kind = GEOJSON_FEATURE;
                scc_geojson_begin(g);

            } else {
                rc = scc_geojson_stray(g);
            }

            break;

        case GEOJSON_PROPS:
        case GEOJSON_NESTED:

            kind = GEOJSON_NESTED;

            if (g->large) {
                break;
            }

            if (g->comma) {
                scc_buf_byte(&g->extra, ',');
            }

            if (g->kind[g->depth] == GEOJSON_PROPS && g->n_props > 0) {
                g->props[g->n_props - 1].value = g->extra.used;
            }

            scc_buf_byte(&g->extra, object ? '{' : '[');
            g->comma = false;

            break;

        case GEOJSON_GEOMETRY:

            kind = GEOJSON_GEOMETRY;

            if (!g->large) {
                scc_geometry_event(g->geometry,
                                   object ? SCC_GEOMETRY_OBJECT
                                          : SCC_GEOMETRY_ARRAY, none);
            }

            break;

        default:
            break;
        }
    }

    g->kind[++g->depth] = (uint8_t) kind;

    return rc;
}


static scc_rc_t
scc_geojson_close(scc_geojson_t *g, bool object)
{
    scc_str_t            none = scc_null_string;
    scc_geojson_kind_t   kind;
    scc_geojson_prop_t  *prop;

    scc_geojson_weigh(g);

    kind = g->kind[g->depth--];

    switch (kind) {

    case GEOJSON_FEATURE:
        return g->open ? scc_geojson_finish(g) : SCC_OK;

    case GEOJSON_PROPS:
        scc_buf_byte(&g->extra, '}');
        break;

    case GEOJSON_NESTED:

        if (g->large) {
            break;
        }

        scc_buf_byte(&g->extra, object ? '}' : ']');
        g->comma = true;

        if (g->kind[g->depth] == GEOJSON_PROPS && g->n_props > 0) {
            prop = &g->props[g->n_props - 1];
            prop->nested = true;
            prop->null = false;
            prop->value_len = g->extra.used - prop->value;
        }

        break;

    case GEOJSON_GEOMETRY:

        if (!g->large) {
            scc_geometry_event(g->geometry,
                               object ? SCC_GEOMETRY_OBJECT_END
                                      : SCC_GEOMETRY_ARRAY_END, none);
        }

        break;

    default:
        break;
    }

    return SCC_OK;
}


static scc_rc_t
scc_geojson_scalar(scc_geojson_t *g, scc_str_t text,
    scc_geometry_event_t event, bool sound)
{
    scc_geojson_weigh(g);

    if (g->depth == 0) {
        return scc_geojson_stray(g);
    }

    switch (g->kind[g->depth]) {

    case GEOJSON_FEATURES:
        return scc_geojson_stray(g);

    case GEOJSON_FEATURE:

        if (!g->open) {
            break;
        }

        if (g->member == GEOJSON_TYPE) {
            g->typed = sound && event == SCC_GEOMETRY_STRING
                       && scc_geojson_is(text, "Feature");

        } else if (g->member == GEOJSON_GEOM) {
            scc_geometry_reset(g->geometry);
            scc_geometry_event(g->geometry, event, text);

        } else if (g->member == GEOJSON_ID
                   && (event == SCC_GEOMETRY_STRING
                       || event == SCC_GEOMETRY_NUMBER))
        {
            g->unsound = g->unsound || !sound;
            g->id_set = true;

            scc_buf_reset(&g->id);
            scc_buf_str(&g->id, text);
        }

        break;

    case GEOJSON_PROPS:
    case GEOJSON_NESTED:

        if (g->large) {
            break;
        }

        g->unsound = g->unsound || !sound;

        if (g->unsound) {
            break;
        }

        if (g->kind[g->depth] == GEOJSON_PROPS) {
            scc_geojson_value(g, text, event);
        }

        scc_geojson_write(g, text, event);

        break;

    case GEOJSON_GEOMETRY:

        if (!g->large) {
            scc_geometry_event(g->geometry, event, text);
        }

        break;

    default:
        break;
    }

    return SCC_OK;
}


static void
scc_geojson_member(scc_geojson_t *g, scc_str_t key)
{
    static const struct {
        const char            *name;
        scc_geojson_member_t   member;
    } *m, members[] = {
        { "type", GEOJSON_TYPE },
        { "id", GEOJSON_ID },
        { "properties", GEOJSON_PROPERTIES },
        { "geometry", GEOJSON_GEOM },
        { "features", GEOJSON_MEMBERS },
        { NULL, GEOJSON_OTHER }
    };

    for (m = members; m->name; m++) {

        if (scc_geojson_is(key, m->name)) {
            break;
        }
    }

    g->member = m->member;
}


static void
scc_geojson_prop(scc_geojson_t *g, scc_str_t key)
{
    scc_geojson_prop_t  *prop;

    if (g->n_props == SCC_GEOJSON_PROPS_MAX) {
        g->large = true;
        return;
    }

    prop = &g->props[g->n_props++];

    prop->key = g->text.used;
    prop->key_len = key.len;
    prop->value = 0;
    prop->value_len = 0;
    prop->nested = false;
    prop->null = true;

    scc_buf_str(&g->text, key);
}


static void
scc_geojson_value(scc_geojson_t *g, scc_str_t text,
    scc_geometry_event_t event)
{
    scc_str_t            key;
    scc_geojson_prop_t  *prop;

    if (g->n_props == 0 || event == SCC_GEOMETRY_NULL || g->text.error) {
        return;
    }

    prop = &g->props[g->n_props - 1];

    prop->null = false;
    prop->value = g->text.used;
    prop->value_len = text.len;

    key = scc_geojson_slice(&g->text, prop->key, prop->key_len);

    if (scc_geojson_is(key, "@id")) {
        scc_buf_reset(&g->at_id);
        scc_buf_str(&g->at_id, text);
    }

    scc_buf_str(&g->text, text);
}


static void
scc_geojson_write(scc_geojson_t *g, scc_str_t text,
    scc_geometry_event_t event)
{
    if (g->comma) {
        scc_buf_byte(&g->extra, ',');
    }

    if (event == SCC_GEOMETRY_STRING) {
        scc_buf_json(&g->extra, text);

    } else {
        scc_buf_str(&g->extra, text);
    }

    g->comma = true;
}


static scc_str_t
scc_geojson_slice(const scc_buf_t *b, size_t from, size_t len)
{
    scc_str_t  s = scc_string("");

    if (len > 0) {
        s.len = len;
        s.data = b->start + from;
    }

    return s;
}


static bool
scc_geojson_is(scc_str_t value, const char *text)
{
    size_t  len;

    len = strlen(text);

    return value.len == len && memcmp(value.data, text, len) == 0;
}


static scc_rc_t
scc_geojson_on_null(void *ctx)
{
    scc_str_t  text = scc_string("null");

    return scc_geojson_scalar(ctx, text, SCC_GEOMETRY_NULL, true);
}


static scc_rc_t
scc_geojson_on_boolean(void *ctx, bool value)
{
    scc_str_t  yes = scc_string("true"), no = scc_string("false");

    return scc_geojson_scalar(ctx, value ? yes : no, SCC_GEOMETRY_OTHER,
                              true);
}


static scc_rc_t
scc_geojson_on_number(void *ctx, scc_str_t text, bool sound)
{
    return scc_geojson_scalar(ctx, text, SCC_GEOMETRY_NUMBER, sound);
}


static scc_rc_t
scc_geojson_on_string(void *ctx, scc_str_t text, bool sound)
{
    return scc_geojson_scalar(ctx, text, SCC_GEOMETRY_STRING, sound);
}


static scc_rc_t
scc_geojson_on_key(void *ctx, scc_str_t text, bool sound)
{
    scc_geojson_t  *g = ctx;

    scc_geojson_weigh(g);

    switch (g->kind[g->depth]) {

    case GEOJSON_FEATURE:
        scc_geojson_member(g, text);
        break;

    case GEOJSON_PROPS:
    case GEOJSON_NESTED:

        g->unsound = g->unsound || !sound;

        if (g->large || g->unsound) {
            break;
        }

        if (g->kind[g->depth] == GEOJSON_PROPS) {
            scc_geojson_prop(g, text);
        }

        scc_geojson_write(g, text, SCC_GEOMETRY_STRING);
        scc_buf_byte(&g->extra, ':');
        g->comma = false;

        break;

    case GEOJSON_GEOMETRY:

        if (!g->large) {
            scc_geometry_event(g->geometry, SCC_GEOMETRY_KEY, text);
        }

        break;

    default:
        break;
    }

    return SCC_OK;
}


static scc_rc_t
scc_geojson_on_object(void *ctx)
{
    return scc_geojson_open(ctx, true);
}


static scc_rc_t
scc_geojson_on_object_end(void *ctx)
{
    return scc_geojson_close(ctx, true);
}


static scc_rc_t
scc_geojson_on_array(void *ctx)
{
    return scc_geojson_open(ctx, false);
}


static scc_rc_t
scc_geojson_on_array_end(void *ctx)
{
    return scc_geojson_close(ctx, false);
}
