
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_json.h"
#include "scc_rules.h"


#define SCC_OBJECTS_MAX  2              /* one within another */
#define SCC_ITEMS_MAX    256            /* values of a unique item */


/* The kind is looked for first: it may stand anywhere. */

typedef struct {
    unsigned             depth;
    bool                 object;
    bool                 here;          /* the value of "kind" comes */
    bool                 seen;
    scc_kind_t           kind;          /* 0: not found */
} scc_find_kind_t;


typedef struct {
    scc_contribution_t  *c;
    scc_fault_list_t     list;

    uint32_t             pos;           /* members and items so far */
    unsigned             skip;          /* arrays and objects open in a value
                                           that is not looked into */

    unsigned             n;             /* objects open */
    scc_members_t        object[SCC_OBJECTS_MAX];

    const scc_type_t    *items;         /* the list being read, or NULL */
    uint32_t             item;          /* items of it so far */
    uint64_t             had[SCC_ITEMS_MAX / 64];
    bool                 first;         /* it has the type's first name */
} scc_body_t;


static scc_rc_t scc_body_kind(scc_str_t body, const scc_json_limits_t *limits,
    scc_contribution_t *c, scc_faults_t *faults);
static scc_rc_t scc_body_rules(scc_str_t body,
    const scc_json_limits_t *limits, scc_contribution_t *c,
    scc_faults_t *faults);
static scc_rc_t scc_body_feed(scc_str_t body, const scc_json_events_t *events,
    void *ctx, const scc_json_limits_t *limits, scc_err_t *err);

static scc_rc_t scc_find_null(void *ctx);
static scc_rc_t scc_find_boolean(void *ctx, bool value);
static scc_rc_t scc_find_number(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_find_string(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_find_key(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_find_object(void *ctx);
static scc_rc_t scc_find_array(void *ctx);
static scc_rc_t scc_find_close(void *ctx);

static scc_rc_t scc_body_null(void *ctx);
static scc_rc_t scc_body_boolean(void *ctx, bool value);
static scc_rc_t scc_body_number(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_body_string(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_body_key(void *ctx, scc_str_t text, bool sound);
static scc_rc_t scc_body_object(void *ctx);
static scc_rc_t scc_body_object_end(void *ctx);
static scc_rc_t scc_body_array(void *ctx);
static scc_rc_t scc_body_array_end(void *ctx);

static void scc_body_value(scc_body_t *p, scc_json_type_t json,
    scc_str_t text, bool sound, int64_t value);
static void scc_body_item(scc_body_t *p, scc_json_type_t json,
    scc_str_t text, bool sound);
static const scc_type_t *scc_body_open(scc_body_t *p, scc_json_type_t json);
static void scc_body_bad(scc_body_t *p);
static void scc_body_bad_item(scc_body_t *p, const char *text);
static void scc_body_members(scc_body_t *p, const scc_rules_t *rules);
static void scc_body_keep(scc_body_t *p, const scc_rule_t *rule,
    scc_str_t text);


static const scc_json_events_t  scc_find_events = {
    scc_find_null,
    scc_find_boolean,
    scc_find_number,
    scc_find_string,
    scc_find_key,
    scc_find_object,
    scc_find_close,
    scc_find_array,
    scc_find_close
};


static const scc_json_events_t  scc_body_events = {
    scc_body_null,
    scc_body_boolean,
    scc_body_number,
    scc_body_string,
    scc_body_key,
    scc_body_object,
    scc_body_object_end,
    scc_body_array,
    scc_body_array_end
};


scc_rc_t
scc_contribution_parse(scc_contribution_t *c,
    const scc_contribution_conf_t *conf, scc_str_t body,
    scc_faults_t *faults)
{
    scc_rc_t           rc;
    scc_buf_t          b;
    scc_json_limits_t  limits;

    uint8_t  number[24];

    memset(c, 0, sizeof(scc_contribution_t));
    c->target.data = c->store;

    faults->n = 0;
    faults->more = false;

    if (body.len == 0) {
        scc_fault_only(faults, "", "is empty; send a JSON object", "");
        return SCC_DECLINED;
    }

    if (body.len > conf->max_size) {
        scc_buf_fixed(&b, number, sizeof(number) - 1);
        scc_buf_uint(&b, conf->max_size);
        number[b.used] = '\0';

        scc_fault_only(faults, "", "is too large: the limit in bytes is ",
                       (char *) number);
        return SCC_DECLINED;
    }

    limits.depth_max = conf->max_depth;
    limits.token_max = conf->max_size;
    limits.many = false;
    limits.mark = false;

    rc = scc_body_kind(body, &limits, c, faults);

    if (rc != SCC_OK) {
        return rc;
    }

    return scc_body_rules(body, &limits, c, faults);
}


static scc_rc_t
scc_body_kind(scc_str_t body, const scc_json_limits_t *limits,
    scc_contribution_t *c, scc_faults_t *faults)
{
    scc_rc_t         rc;
    scc_err_t        err;
    scc_find_kind_t  find;

    memset(&find, 0, sizeof(scc_find_kind_t));
    find.object = true;

    rc = scc_body_feed(body, &scc_find_events, &find, limits, &err);

    switch (rc) {

    case SCC_DONE:
        c->kind = find.kind;
        return SCC_OK;

    case SCC_OK:
        scc_fault_kind(faults);
        return SCC_DECLINED;

    case SCC_DECLINED:

        if (!find.object) {
            scc_fault_only(faults, "", "must be a JSON object, as "
                           "{\"kind\":\"comment\",\"placeId\":\"26338954\","
                           "\"comment\":\"...\"}", "");

        } else {
            scc_fault_only(faults, "", "cannot be read as JSON: ", err.text);
        }

        return SCC_DECLINED;

    default:
        return SCC_ERROR;
    }
}


static scc_rc_t
scc_body_rules(scc_str_t body, const scc_json_limits_t *limits,
    scc_contribution_t *c, scc_faults_t *faults)
{
    scc_rc_t    rc;
    scc_err_t   err;
    scc_body_t  p;

    p.c = c;
    p.pos = 0;
    p.skip = 0;
    p.n = 0;
    p.items = NULL;

    scc_faults_begin(&p.list, faults);

    rc = scc_body_feed(body, &scc_body_events, &p, limits, &err);

    if (rc == SCC_DECLINED) {
        scc_fault_only(faults, "", "cannot be read as JSON: ", err.text);
        return SCC_DECLINED;
    }

    if (rc != SCC_OK) {
        return SCC_ERROR;
    }

    return faults->n ? SCC_DECLINED : SCC_OK;
}


static scc_rc_t
scc_body_feed(scc_str_t body, const scc_json_events_t *events, void *ctx,
    const scc_json_limits_t *limits, scc_err_t *err)
{
    scc_rc_t     rc;
    scc_json_t  *j;

    j = scc_json_create(events, ctx, limits);
    if (j == NULL) {
        return SCC_ERROR;
    }

    rc = scc_json_feed(j, body.data, body.len, err);

    if (rc == SCC_OK) {
        rc = scc_json_end(j, err);
    }

    scc_json_free(j);

    return rc;
}


static scc_rc_t
scc_find_null(void *ctx)
{
    scc_find_kind_t  *find = ctx;

    find->object = find->depth > 0;
    find->here = false;

    return find->object ? SCC_OK : SCC_DECLINED;
}


static scc_rc_t
scc_find_boolean(void *ctx, bool value)
{
    (void) value;

    return scc_find_null(ctx);
}


static scc_rc_t
scc_find_number(void *ctx, scc_str_t text, bool sound)
{
    (void) text;
    (void) sound;

    return scc_find_null(ctx);
}


static scc_rc_t
scc_find_string(void *ctx, scc_str_t text, bool sound)
{
    scc_find_kind_t  *find = ctx;

    if (find->here && sound && scc_kind_parse(text, &find->kind) == SCC_OK
        && scc_rules_of(find->kind))
    {
        return SCC_DONE;
    }

    return scc_find_null(ctx);
}


static scc_rc_t
scc_find_key(void *ctx, scc_str_t text, bool sound)
{
    scc_find_kind_t  *find = ctx;

    static const scc_str_t  kind = scc_string("kind");

    find->here = find->depth == 1 && !find->seen && sound
                 && scc_str_eq(text, kind);

    find->seen = find->seen || find->here;

    return SCC_OK;
}


static scc_rc_t
scc_find_object(void *ctx)
{
    scc_find_kind_t  *find = ctx;

    find->depth++;
    find->here = false;

    return SCC_OK;
}


static scc_rc_t
scc_find_array(void *ctx)
{
    scc_find_kind_t  *find = ctx;

    find->object = find->depth > 0;
    find->depth++;
    find->here = false;

    return find->object ? SCC_OK : SCC_DECLINED;
}


static scc_rc_t
scc_find_close(void *ctx)
{
    scc_find_kind_t  *find = ctx;

    find->depth--;

    return SCC_OK;
}


static scc_rc_t
scc_body_null(void *ctx)
{
    scc_str_t    text;
    scc_body_t  *p = ctx;

    text.len = 0;
    text.data = NULL;

    scc_body_value(p, SCC_JSON_NULL, text, true, 0);

    return SCC_OK;
}


static scc_rc_t
scc_body_boolean(void *ctx, bool value)
{
    scc_str_t    text;
    scc_body_t  *p = ctx;

    text.len = 0;
    text.data = NULL;

    scc_body_value(p, SCC_JSON_BOOLEAN, text, true, value);

    return SCC_OK;
}


static scc_rc_t
scc_body_number(void *ctx, scc_str_t text, bool sound)
{
    scc_body_t  *p = ctx;

    scc_body_value(p, SCC_JSON_NUMBER, text, sound, 0);

    return SCC_OK;
}


static scc_rc_t
scc_body_string(void *ctx, scc_str_t text, bool sound)
{
    scc_body_t  *p = ctx;

    scc_body_value(p, SCC_JSON_STRING, text, sound, 0);

    return SCC_OK;
}


static scc_rc_t
scc_body_key(void *ctx, scc_str_t text, bool sound)
{
    unsigned        i;
    scc_body_t     *p = ctx;
    scc_members_t  *m;

    static const scc_str_t  unsound = scc_string("?");

    m = &p->object[p->n - 1];

    if (p->skip) {

        if (!sound) {
            scc_body_bad(p);
        }

        return SCC_OK;
    }

    p->pos++;

    for (i = 0; i < m->rules->n; i++) {

        if (scc_str_eq(text, m->rules->rule[i].name)) {
            break;
        }
    }

    if (!sound || i == m->rules->n) {
        m->at = m->rules->n;
        scc_fault_unknown(m, p->pos, sound ? text : unsound);
        return SCC_OK;
    }

    m->at = i;

    if (m->member[i].state != SCC_MEMBER_ABSENT) {
        scc_fault_at(m, p->pos, SCC_FAULT_NO_ITEM,
                     "is there more than once: give it once");
        m->at = m->rules->n;
        return SCC_OK;
    }

    m->member[i].state = SCC_MEMBER_BAD;
    m->member[i].pos = p->pos;

    return SCC_OK;
}


static scc_rc_t
scc_body_object(void *ctx)
{
    scc_body_t        *p = ctx;
    const scc_type_t  *type;

    if (p->n == 0) {
        scc_body_members(p, scc_rules_of(p->c->kind));
        return SCC_OK;
    }

    type = scc_body_open(p, SCC_JSON_OBJECT);

    if (type && type->fields) {
        scc_body_members(p, type->fields);

    } else {
        p->skip++;
    }

    return SCC_OK;
}


static scc_rc_t
scc_body_object_end(void *ctx)
{
    unsigned        i;
    scc_body_t     *p = ctx;
    scc_members_t  *m;

    if (p->skip) {
        p->skip--;
        return SCC_OK;
    }

    m = &p->object[--p->n];

    for (i = 0; i < m->rules->n; i++) {

        if (m->rules->rule[i].required
            && m->member[i].state == SCC_MEMBER_ABSENT)
        {
            scc_fault_missing(m, i, "");
        }
    }

    if (m->rules->between) {
        m->rules->between(m);
    }

    return SCC_OK;
}


static scc_rc_t
scc_body_array(void *ctx)
{
    scc_body_t        *p = ctx;
    const scc_type_t  *type;

    type = scc_body_open(p, SCC_JSON_LIST);

    if (type == NULL) {
        p->skip++;
        return SCC_OK;
    }

    p->items = type;
    p->item = 0;
    p->first = false;
    memset(p->had, 0, sizeof(p->had));

    return SCC_OK;
}


static scc_rc_t
scc_body_array_end(void *ctx)
{
    scc_body_t        *p = ctx;
    scc_members_t     *m;
    const scc_type_t  *type;

    if (p->skip) {
        p->skip--;
        return SCC_OK;
    }

    m = &p->object[p->n - 1];
    type = p->items;

    p->items = NULL;
    m->member[m->at].count = p->item;

    if (p->item < type->min || p->item > type->max
        || (type->alone && p->first && p->item > 1))
    {
        m->member[m->at].state = SCC_MEMBER_BAD;
        scc_fault_at(m, m->member[m->at].pos, SCC_FAULT_NO_ITEM, NULL);
    }

    return SCC_OK;
}


static void
scc_body_value(scc_body_t *p, scc_json_type_t json, scc_str_t text,
    bool sound, int64_t value)
{
    scc_member_t      *member;
    scc_members_t     *m;
    const scc_rule_t  *rule;

    if (p->skip) {

        if (!sound) {
            scc_body_bad(p);
        }

        return;
    }

    if (p->items) {
        scc_body_item(p, json, text, sound);
        return;
    }

    m = &p->object[p->n - 1];

    if (m->at == m->rules->n) {
        return;
    }

    rule = &m->rules->rule[m->at];
    member = &m->member[m->at];

    if (json == SCC_JSON_NULL) {
        member->state = SCC_MEMBER_NULL;

        if (rule->required) {
            scc_fault_missing(m, m->at, "");
        }

        return;
    }

    member->value = value;

    if (json != rule->type->json || !sound
        || (rule->type->check
            && !rule->type->check(rule->type, text, &member->value)))
    {
        scc_fault_at(m, member->pos, SCC_FAULT_NO_ITEM,
                     sound ? NULL : "must be UTF-8 without \\u0000 and half "
                                    "of a surrogate pair");
        return;
    }

    member->state = SCC_MEMBER_GOOD;

    scc_body_keep(p, rule, text);
}


static void
scc_body_item(scc_body_t *p, scc_json_type_t json, scc_str_t text,
    bool sound)
{
    int64_t            value;
    uint64_t           bit, *had;
    scc_member_t      *member;
    scc_members_t     *m;
    const scc_type_t  *type;

    m = &p->object[p->n - 1];
    member = &m->member[m->at];

    p->pos++;
    p->item++;

    /* of a list that is too long only that is said of the rest */

    if (p->item > p->items->max) {
        member->state = SCC_MEMBER_BAD;
        return;
    }

    value = 0;
    type = p->items->item;

    if (json != type->json || !sound
        || (type->check && !type->check(type, text, &value)))
    {
        scc_body_bad_item(p, sound ? NULL
                                   : "must be UTF-8 without \\u0000 and "
                                     "half of a surrogate pair");
        return;
    }

    if (p->item == 1) {
        member->value = value;
    }

    p->first = p->first || value == 0;

    if (!p->items->unique) {
        return;
    }

    had = &p->had[(value - type->min) / 64];
    bit = (uint64_t) 1 << (value - type->min) % 64;

    if (*had & bit) {
        scc_body_bad_item(p, "is in the list already: give it once");
    }

    *had |= bit;
}


/*
 * The type of the member that an object or a list begins, if it may; the
 * member is good, until something in it is not.
 */

static const scc_type_t *
scc_body_open(scc_body_t *p, scc_json_type_t json)
{
    scc_str_t          text;
    scc_members_t     *m;
    const scc_type_t  *type;

    if (p->skip) {
        return NULL;
    }

    m = &p->object[p->n - 1];

    if (m->at == m->rules->n) {
        return NULL;
    }

    type = m->rules->rule[m->at].type;

    if (p->items || json != type->json) {
        text.len = 0;
        text.data = NULL;

        scc_body_value(p, json, text, true, 0);
        return NULL;
    }

    m->member[m->at].state = SCC_MEMBER_GOOD;

    return type;
}


/* What the member holds, where it is not looked into, jsonb does not take;
   unless the member has a fault already. */

static void
scc_body_bad(scc_body_t *p)
{
    scc_members_t  *m;

    m = &p->object[p->n - 1];

    if (m->at == m->rules->n
        || m->member[m->at].state != SCC_MEMBER_GOOD)
    {
        return;
    }

    m->member[m->at].state = SCC_MEMBER_BAD;

    scc_fault_at(m, m->member[m->at].pos, SCC_FAULT_NO_ITEM, NULL);
}


static void
scc_body_bad_item(scc_body_t *p, const char *text)
{
    scc_members_t  *m;

    m = &p->object[p->n - 1];
    m->member[m->at].state = SCC_MEMBER_BAD;

    scc_fault_at(m, p->pos, p->item - 1, text);
}


static void
scc_body_members(scc_body_t *p, const scc_rules_t *rules)
{
    scc_members_t  *m;

    m = &p->object[p->n];

    m->rules = rules;
    m->in = p->n ? m - 1 : NULL;
    m->at = rules->n;
    m->faults = &p->list;

    memset(m->member, 0, rules->n * sizeof(scc_member_t));

    p->n++;
}


static void
scc_body_keep(scc_body_t *p, const scc_rule_t *rule, scc_str_t text)
{
    size_t               i;
    uint8_t              id[32];
    scc_buf_t            b;
    scc_contribution_t  *c;

    static const uint8_t  hex[] = "0123456789abcdef";

    c = p->c;

    if (rule->use == SCC_RULE_ID) {
        c->has_id = scc_uuid_parse(text, c->id) == SCC_OK;
    }

    if (rule->use != SCC_RULE_TARGET && rule->use != SCC_RULE_DIGEST) {
        return;
    }

    scc_buf_fixed(&b, c->store, sizeof(c->store));

    /* keys may be longer than ids, events have one spelling */

    if (rule->use == SCC_RULE_DIGEST) {
        scc_sha256(id, text);

        for (i = 0; i < 32; i++) {
            scc_buf_byte(&b, hex[id[i] >> 4]);
            scc_buf_byte(&b, hex[id[i] & 15]);
        }

    } else if (rule->type == &scc_type_uuid
               && scc_uuid_parse(text, id) == SCC_OK)
    {
        scc_uuid_write(&b, id);

    } else {
        scc_buf_str(&b, text);
    }

    c->target = scc_buf_get(&b);
}
