
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_ogc.h"

#include <string.h>


/* six numbers and five commas fit, each number as long as may be */

#define SCC_BBOX_TEXT   512
#define SCC_VALUE_TEXT  256


#define SCC_PLACES      scc_query_route(SCC_ROUTE_PLACES)
#define SCC_PLACE       scc_query_route(SCC_ROUTE_PLACE)
#define SCC_NEARBY      scc_query_route(SCC_ROUTE_NEARBY)

#define scc_query_route(route)  (1u << (route))

/* of the facade, where the route alone does not say it */

#define SCC_OGC_ITEMS   (1u << 30)
#define SCC_OGC_OTHER   (1u << 31)

#define SCC_PAGES       (SCC_PLACES|SCC_OGC_ITEMS)
#define SCC_FILTERS     (SCC_PAGES|SCC_NEARBY)


typedef struct scc_param_s  scc_param_t;

struct scc_param_s {
    unsigned         routes;        /* bits of scc_query_route() */
    scc_str_t        name;
    scc_rc_t       (*set)(scc_query_t *q, const scc_query_conf_t *conf,
                       scc_str_t value, scc_err_t *err);
    size_t           size;          /* of the decoded value, at most */
    const char      *fault;         /* static text, or set() fills err */
};


static unsigned scc_query_routes(const scc_query_t *q);
static const char *scc_query_unknown(unsigned routes);
static const scc_param_t *scc_query_param(unsigned routes,
    scc_str_t name);
static scc_rc_t scc_query_bbox(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_limit(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_cursor(scc_query_t *q,
    const scc_query_conf_t *conf, scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_level_max(scc_query_t *q,
    const scc_query_conf_t *conf, scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_registered(scc_query_t *q,
    const scc_query_conf_t *conf, scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_has_slope(scc_query_t *q,
    const scc_query_conf_t *conf, scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_category(scc_query_t *q,
    const scc_query_conf_t *conf, scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_rev(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_lng(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_lat(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_k(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_radius(scc_query_t *q,
    const scc_query_conf_t *conf, scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_degrees(scc_str_t value, int32_t max, int32_t *e7);
static scc_rc_t scc_query_datetime(scc_query_t *q,
    const scc_query_conf_t *conf, scc_str_t value, scc_err_t *err);
static scc_rc_t scc_query_format(scc_query_t *q,
    const scc_query_conf_t *conf, scc_str_t value, scc_err_t *err);
static uint64_t scc_query_number(scc_str_t value, uint64_t max);
static scc_rc_t scc_query_bool(scc_query_t *q, scc_str_t value,
    scc_tri_t *filter);
static uint8_t *scc_query_store(scc_query_t *q, scc_str_t s);


static const scc_param_t  scc_params[] = {

    { SCC_PAGES, scc_string("bbox"), scc_query_bbox,
      SCC_BBOX_TEXT,
      "must be four numbers in degrees: west,south,east,north" },

    { SCC_PAGES, scc_string("limit"), scc_query_limit,
      SCC_VALUE_TEXT,
      "must be a whole number, 1 or more" },

    { SCC_PAGES, scc_string("cursor"), scc_query_cursor,
      SCC_VALUE_TEXT,
      "is not a cursor of this server; follow the \"next\" link of a page" },

    { SCC_FILTERS, scc_string("level_max"), scc_query_level_max,
      SCC_VALUE_TEXT,
      "must be 0..5" },

    { SCC_FILTERS, scc_string("registered"), scc_query_registered,
      SCC_VALUE_TEXT,
      "must be true or false" },

    { SCC_FILTERS, scc_string("has_slope"), scc_query_has_slope,
      SCC_VALUE_TEXT,
      "must be true or false" },

    { SCC_FILTERS, scc_string("category"), scc_query_category,
      SCC_CATEGORY_MAX,
      "must be 1 to 64 bytes of UTF-8" },

    { SCC_PLACE, scc_string("rev"), scc_query_rev,
      SCC_VALUE_TEXT,
      "must be a whole number, 1 or more" },

    { SCC_NEARBY, scc_string("lng"), scc_query_lng,
      SCC_VALUE_TEXT,
      "must be degrees, -180..180" },

    { SCC_NEARBY, scc_string("lat"), scc_query_lat,
      SCC_VALUE_TEXT,
      "must be degrees, -90..90" },

    { SCC_NEARBY, scc_string("k"), scc_query_k,
      SCC_VALUE_TEXT,
      "must be a whole number, 1..50" },

    { SCC_NEARBY, scc_string("radius"), scc_query_radius,
      SCC_VALUE_TEXT,
      "must be whole metres, 1..5000" },

    { SCC_OGC_ITEMS, scc_string("datetime"), scc_query_datetime,
      SCC_VALUE_TEXT,
      "must be a time or an interval of RFC 3339: 2026-11-23T00:00:00Z/.." },

    { SCC_OGC_ITEMS|SCC_OGC_OTHER, scc_string("f"), scc_query_format,
      SCC_VALUE_TEXT,
      "must be json; there is no other format" },
};

#define SCC_PARAMS  (sizeof(scc_params) / sizeof(scc_params[0]))


scc_rc_t
scc_query_args(scc_query_t *q, const scc_query_conf_t *conf, scc_str_t args,
    scc_err_t *err)
{
    size_t              i, start, eq, n;
    uint8_t             decoded[SCC_BBOX_TEXT];
    unsigned            seen, bit, routes;
    scc_str_t           name, value;
    const scc_param_t  *param;

    seen = 0;
    start = 0;
    routes = scc_query_routes(q);

    for (i = 0; args.len && i <= args.len; i++) {

        if (i < args.len && args.data[i] != '&') {
            continue;
        }

        for (eq = start; eq < i && args.data[eq] != '='; eq++) { /* void */ }

        name.data = args.data + start;
        name.len = eq - start;

        value.data = args.data + eq + (eq < i);
        value.len = i - eq - (eq < i);

        start = i + 1;

        param = scc_query_param(routes, name);

        if (param == NULL) {
            scc_err_set(err, name, scc_query_unknown(routes));
            return SCC_DECLINED;
        }

        bit = 1u << (param - scc_params);

        if (seen & bit) {
            scc_err_set(err, param->name, "given twice; give it once");
            return SCC_DECLINED;
        }

        seen |= bit;

        n = scc_urldecode(value, true, decoded, param->size);

        /* a setter with a better word than the general one replaces it */

        scc_err_set(err, param->name, param->fault);

        if (n == SIZE_MAX) {
            return SCC_DECLINED;
        }

        value.data = decoded;
        value.len = n;

        if (param->set(q, conf, value, err) != SCC_OK) {
            return SCC_DECLINED;
        }
    }

    if (routes == SCC_PLACES && !(seen & 1)) {
        scc_err_set(err, scc_params[0].name, "is required: "
                    "west,south,east,north in degrees");
        return SCC_DECLINED;
    }

    if (q->route != SCC_ROUTE_NEARBY) {
        return SCC_OK;
    }

    for (i = 0; i < SCC_PARAMS; i++) {
        if ((scc_params[i].set == scc_query_lng
             || scc_params[i].set == scc_query_lat)
            && !(seen & 1u << i))
        {
            scc_err_set(err, scc_params[i].name, "is required: the "
                        "position's lng and lat in degrees");
            return SCC_DECLINED;
        }
    }

    return SCC_OK;
}


void
scc_filter_write(scc_buf_t *b, const scc_filter_t *f)
{
    if (f->level_max != SCC_LEVEL_UNKNOWN) {
        scc_buf_text(b, "&level_max=");
        scc_buf_uint(b, f->level_max);
    }

    if (f->registered != SCC_UNKNOWN) {
        scc_buf_text(b, (f->registered == SCC_YES) ? "&registered=true"
                                                   : "&registered=false");
    }

    if (f->slope != SCC_UNKNOWN) {
        scc_buf_text(b, (f->slope == SCC_YES) ? "&has_slope=true"
                                              : "&has_slope=false");
    }

    if (f->category.len) {
        scc_buf_text(b, "&category=");
        scc_buf_urlencode(b, f->category);
    }
}


bool
scc_filter_pass(const scc_filter_t *f, uint16_t flags, uint16_t has,
    uint16_t cat)
{
    unsigned  level;

    if (f->level_max != SCC_LEVEL_UNKNOWN) {
        level = flags & SCC_FLAG_LEVEL;

        if (level > SCC_LEVEL_MAX || level > f->level_max) {
            return false;
        }
    }

    if (f->registered != SCC_UNKNOWN
        && (f->registered == SCC_YES) != !!(flags & SCC_FLAG_REGISTERED))
    {
        return false;
    }

    if (f->slope != SCC_UNKNOWN
        && !(flags & (f->slope == SCC_YES ? SCC_FLAG_SLOPE_YES
                                          : SCC_FLAG_SLOPE_NO)))
    {
        return false;
    }

    return f->category.len == 0 || (has == cat && cat != UINT16_MAX);
}


static unsigned
scc_query_routes(const scc_query_t *q)
{
    if (!q->ogc) {
        return scc_query_route(q->route);
    }

    switch (q->route) {

    case SCC_ROUTE_PLACES:
        return SCC_OGC_ITEMS;

    case SCC_ROUTE_TILE:
        return 0;

    default:
        return SCC_OGC_OTHER;
    }
}


static const char *
scc_query_unknown(unsigned routes)
{
    switch (routes) {

    case SCC_OGC_ITEMS:
        return "unknown parameter; allowed: bbox, limit, datetime, cursor, "
               "level_max, registered, has_slope, category, f";

    case SCC_OGC_OTHER:
        return "unknown parameter; allowed: f";

    case SCC_PLACES:
        return "unknown parameter; allowed: bbox, limit, cursor, level_max, "
               "registered, has_slope, category";

    case SCC_NEARBY:
        return "unknown parameter; allowed: lng, lat, k, radius, level_max, "
               "registered, has_slope, category";

    case SCC_PLACE:
        return "unknown parameter; allowed: rev";

    default:
        return "unknown parameter; this address takes none";
    }
}


static const scc_param_t *
scc_query_param(unsigned routes, scc_str_t name)
{
    size_t     i, n;
    uint8_t    decoded[16];
    scc_str_t  s;

    n = scc_urldecode(name, true, decoded, sizeof(decoded));

    if (n == SIZE_MAX) {
        return NULL;
    }

    s.data = decoded;
    s.len = n;

    for (i = 0; i < SCC_PARAMS; i++) {
        if ((scc_params[i].routes & routes)
            && scc_str_eq(s, scc_params[i].name))
        {
            return &scc_params[i];
        }
    }

    return NULL;
}


static scc_rc_t
scc_query_bbox(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err)
{
    uint8_t   *p;
    scc_rc_t   rc;

    (void) conf;

    rc = scc_area_parse(value, &q->area, err);

    if (rc != SCC_OK) {
        return rc;
    }

    p = scc_query_store(q, value);

    if (p == NULL) {
        return SCC_DECLINED;
    }

    q->bbox.data = p;
    q->bbox.len = value.len;

    return SCC_OK;
}


static scc_rc_t
scc_query_limit(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err)
{
    uint64_t  n;

    (void) err;

    n = scc_query_number(value, UINT32_MAX);

    if (n == 0) {
        return SCC_DECLINED;
    }

    q->limit = (n > conf->limit_max) ? conf->limit_max : (uint32_t) n;

    return SCC_OK;
}


static scc_rc_t
scc_query_cursor(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err)
{
    uint8_t       id[SCC_ID_MAX];
    scc_cursor_t  cursor;

    (void) conf;
    (void) err;

    if (scc_cursor_parse(value, id, &cursor) != SCC_OK) {
        return SCC_DECLINED;
    }

    cursor.id.data = scc_query_store(q, cursor.id);

    if (cursor.id.data == NULL) {
        return SCC_DECLINED;
    }

    q->cursor = cursor;

    return SCC_OK;
}


static scc_rc_t
scc_query_level_max(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err)
{
    (void) conf;
    (void) err;

    if (value.len != 1 || value.data[0] < '0'
        || value.data[0] > '0' + SCC_LEVEL_MAX)
    {
        return SCC_DECLINED;
    }

    q->filter.any = true;
    q->filter.level_max = (uint8_t) (value.data[0] - '0');

    return SCC_OK;
}


static scc_rc_t
scc_query_registered(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err)
{
    (void) conf;
    (void) err;

    return scc_query_bool(q, value, &q->filter.registered);
}


static scc_rc_t
scc_query_has_slope(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err)
{
    (void) conf;
    (void) err;

    return scc_query_bool(q, value, &q->filter.slope);
}


static scc_rc_t
scc_query_category(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err)
{
    uint8_t  *p;

    (void) conf;
    (void) err;

    if (value.len == 0 || !scc_utf8_valid(value)
        || memchr(value.data, 0, value.len))
    {
        return SCC_DECLINED;
    }

    p = scc_query_store(q, value);

    if (p == NULL) {
        return SCC_DECLINED;
    }

    q->filter.any = true;
    q->filter.category.data = p;
    q->filter.category.len = value.len;

    return SCC_OK;
}


static scc_rc_t
scc_query_rev(scc_query_t *q, const scc_query_conf_t *conf, scc_str_t value,
    scc_err_t *err)
{
    (void) conf;
    (void) err;

    q->rev = scc_query_number(value, INT64_MAX);

    return q->rev ? SCC_OK : SCC_DECLINED;
}


static scc_rc_t
scc_query_lng(scc_query_t *q, const scc_query_conf_t *conf, scc_str_t value,
    scc_err_t *err)
{
    (void) conf;
    (void) err;

    return scc_query_degrees(value, SCC_LON_MAX, &q->lon);
}


static scc_rc_t
scc_query_lat(scc_query_t *q, const scc_query_conf_t *conf, scc_str_t value,
    scc_err_t *err)
{
    (void) conf;
    (void) err;

    return scc_query_degrees(value, SCC_LAT_MAX, &q->lat);
}


static scc_rc_t
scc_query_k(scc_query_t *q, const scc_query_conf_t *conf, scc_str_t value,
    scc_err_t *err)
{
    uint64_t  n;

    (void) conf;
    (void) err;

    n = scc_query_number(value, UINT32_MAX);

    if (n == 0 || n > SCC_NEARBY_K_MAX) {
        return SCC_DECLINED;
    }

    q->k = (uint32_t) n;

    return SCC_OK;
}


static scc_rc_t
scc_query_radius(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err)
{
    uint64_t  n;

    (void) conf;
    (void) err;

    n = scc_query_number(value, UINT32_MAX);

    if (n == 0 || n > SCC_NEARBY_RADIUS_MAX) {
        return SCC_DECLINED;
    }

    q->radius = (uint32_t) n;

    return SCC_OK;
}


static scc_rc_t
scc_query_degrees(scc_str_t value, int32_t max, int32_t *e7)
{
    int64_t  n;

    if (scc_e7_parse(value, SCC_E7_NEAREST, &n) != SCC_OK
        || n < -(int64_t) max || n > max)
    {
        return SCC_DECLINED;
    }

    *e7 = (int32_t) n;

    return SCC_OK;
}


/* A place has no time of its own, so it is in every time (17-069r4,
   7.15.4): what is asked is checked and changes nothing. */

static scc_rc_t
scc_query_datetime(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err)
{
    (void) q;
    (void) conf;
    (void) err;

    return scc_ogc_datetime(value) ? SCC_OK : SCC_DECLINED;
}


static scc_rc_t
scc_query_format(scc_query_t *q, const scc_query_conf_t *conf,
    scc_str_t value, scc_err_t *err)
{
    static const scc_str_t  json = scc_string("json");

    (void) q;
    (void) conf;
    (void) err;

    return scc_str_eq(value, json) ? SCC_OK : SCC_DECLINED;
}


/* More than max is max; 0 if it is no number. */

static uint64_t
scc_query_number(scc_str_t value, uint64_t max)
{
    size_t    i;
    uint64_t  n, digit;

    n = 0;

    for (i = 0; i < value.len; i++) {

        if (value.data[i] < '0' || value.data[i] > '9') {
            return 0;
        }

        digit = (uint64_t) (value.data[i] - '0');
        n = (n > (max - digit) / 10) ? max : n * 10 + digit;
    }

    return n;
}


static scc_rc_t
scc_query_bool(scc_query_t *q, scc_str_t value, scc_tri_t *filter)
{
    static const scc_str_t  yes = scc_string("true");
    static const scc_str_t  no = scc_string("false");

    if (scc_str_eq(value, yes)) {
        *filter = SCC_YES;

    } else if (scc_str_eq(value, no)) {
        *filter = SCC_NO;

    } else {
        return SCC_DECLINED;
    }

    q->filter.any = true;

    return SCC_OK;
}


static uint8_t *
scc_query_store(scc_query_t *q, scc_str_t s)
{
    uint8_t  *p;

    if (s.len > sizeof(q->store) - q->store_used) {
        return NULL;
    }

    p = q->store + q->store_used;
    memcpy(p, s.data, s.len);
    q->store_used += s.len;

    return p;
}
