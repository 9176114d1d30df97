
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_rules.h"


/* of a member's name that no rule knows */
#define SCC_FAULT_NAME     30

/* missing members come after all that are there */
#define SCC_FAULT_MISSING  0x80000000u


static scc_fault_t *scc_fault_slot(scc_fault_list_t *list, uint32_t pos);
static void scc_fault_field(scc_fault_t *fault, const scc_members_t *m,
    scc_str_t name, uint32_t item);
static void scc_fault_print(scc_buf_t *b, scc_str_t s);
static void scc_fault_open(scc_buf_t *b, scc_fault_t *fault);
static void scc_fault_close(scc_buf_t *b);


void
scc_faults_begin(scc_fault_list_t *list, scc_faults_t *faults)
{
    faults->n = 0;
    faults->more = false;

    list->faults = faults;
}


void
scc_fault_only(scc_faults_t *faults, const char *field, const char *text,
    const char *more)
{
    scc_buf_t     b;
    scc_str_t     s;
    scc_fault_t  *fault;

    faults->n = 1;
    faults->more = false;

    fault = &faults->fault[0];

    scc_buf_fixed(&b, fault->field, sizeof(fault->field) - 1);
    scc_buf_text(&b, field);
    scc_fault_close(&b);

    scc_fault_open(&b, fault);
    scc_buf_text(&b, text);

    s.len = strlen(more);
    s.data = (const uint8_t *) more;

    scc_fault_print(&b, s);
    scc_fault_close(&b);
}


void
scc_fault_kind(scc_faults_t *faults)
{
    unsigned      i;
    scc_buf_t     b;

    scc_fault_only(faults, "kind", "", "");

    scc_fault_open(&b, &faults->fault[0]);
    scc_buf_text(&b, "must be one of ");

    for (i = SCC_KIND_PLACE; i <= SCC_KIND_LAST; i++) {
        scc_buf_text(&b, (i > SCC_KIND_PLACE) ? ", " : "");
        scc_buf_str(&b, scc_kind_name((scc_kind_t) i));
    }

    scc_fault_close(&b);
}


void
scc_fault_at(const scc_members_t *m, uint32_t pos, uint32_t item,
    const char *text)
{
    scc_buf_t          b;
    scc_fault_t       *fault;
    const scc_rule_t  *rule;
    const scc_type_t  *type;

    fault = scc_fault_slot(m->faults, pos);

    if (fault == NULL) {
        return;
    }

    rule = &m->rules->rule[m->at];
    type = (item == SCC_FAULT_NO_ITEM) ? rule->type : rule->type->item;

    scc_fault_field(fault, m, rule->name, item);
    scc_fault_open(&b, fault);

    if (text) {
        scc_buf_text(&b, text);

    } else {
        scc_type_allowed(&b, type);
    }

    scc_fault_close(&b);
}


void
scc_fault_unknown(const scc_members_t *m, uint32_t pos, scc_str_t name)
{
    uint8_t       cut[SCC_FAULT_NAME];
    unsigned      i;
    scc_buf_t     b;
    scc_fault_t  *fault;

    fault = scc_fault_slot(m->faults, pos);

    if (fault == NULL) {
        return;
    }

    if (name.len > SCC_FAULT_NAME) {
        scc_buf_fixed(&b, cut, sizeof(cut));
        name.len = SCC_FAULT_NAME - 3;
        scc_buf_str(&b, name);
        scc_buf_text(&b, "...");
        name = scc_buf_get(&b);
    }

    scc_fault_field(fault, m, name, SCC_FAULT_NO_ITEM);
    scc_fault_open(&b, fault);

    scc_buf_text(&b, "is not a field of ");
    scc_buf_text(&b, m->rules->name);
    scc_buf_text(&b, "; these are: ");

    for (i = 0; i < m->rules->n; i++) {
        scc_buf_text(&b, i ? ", " : "");
        scc_buf_str(&b, m->rules->rule[i].name);
    }

    scc_fault_close(&b);
}


void
scc_fault_missing(const scc_members_t *m, unsigned i, const char *when)
{
    uint32_t           pos;
    scc_buf_t          b;
    scc_fault_t       *fault;
    const scc_rule_t  *rule;

    rule = &m->rules->rule[i];

    if (m->member[i].state == SCC_MEMBER_NULL) {
        pos = m->member[i].pos;

    } else if (m->in) {
        pos = SCC_FAULT_MISSING + m->in->at * SCC_RULES_MAX + i;

    } else {
        pos = SCC_FAULT_MISSING + i * SCC_RULES_MAX;
    }

    fault = scc_fault_slot(m->faults, pos);

    if (fault == NULL) {
        return;
    }

    scc_fault_field(fault, m, rule->name, SCC_FAULT_NO_ITEM);
    scc_fault_open(&b, fault);

    scc_buf_text(&b, "is required");
    scc_buf_text(&b, when);
    scc_buf_text(&b, ": ");
    scc_type_allowed(&b, rule->type);

    scc_fault_close(&b);
}


void
scc_fault_between(const scc_members_t *m, unsigned i, const char *text)
{
    scc_buf_t     b;
    scc_fault_t  *fault;

    fault = scc_fault_slot(m->faults, m->member[i].pos);

    if (fault == NULL) {
        return;
    }

    scc_fault_field(fault, m, m->rules->rule[i].name, SCC_FAULT_NO_ITEM);
    scc_fault_open(&b, fault);
    scc_buf_text(&b, text);
    scc_fault_close(&b);
}


void
scc_faults_write(scc_buf_t *b, const scc_faults_t *faults)
{
    unsigned            i;
    scc_str_t           s;
    const scc_fault_t  *fault;

    scc_buf_text(b, "\"errors\":[");

    for (i = 0; i < faults->n; i++) {
        fault = &faults->fault[i];

        scc_buf_text(b, i ? ",{\"field\":" : "{\"field\":");

        s.data = (const uint8_t *) fault->field;
        s.len = strlen(fault->field);
        scc_buf_json(b, s);

        scc_buf_text(b, ",\"detail\":");

        s.data = (const uint8_t *) fault->text;
        s.len = strlen(fault->text);
        scc_buf_json(b, s);

        scc_buf_byte(b, '}');
    }

    if (faults->more) {
        scc_buf_text(b, ",{\"field\":\"\",\"detail\":\"has more faults than "
                     "these; correct these first\"}");
    }

    scc_buf_byte(b, ']');
}


/*
 * Room for a fault behind those of the same or an earlier position; the
 * last one gives way.
 */

static scc_fault_t *
scc_fault_slot(scc_fault_list_t *list, uint32_t pos)
{
    unsigned       i;
    scc_faults_t  *faults;

    faults = list->faults;

    if (faults->n == SCC_FAULTS_MAX) {
        faults->more = true;

        if (pos >= list->pos[SCC_FAULTS_MAX - 1]) {
            return NULL;
        }

        faults->n--;
    }

    for (i = faults->n; i > 0 && list->pos[i - 1] > pos; i--) {
        list->pos[i] = list->pos[i - 1];
        faults->fault[i] = faults->fault[i - 1];
    }

    list->pos[i] = pos;
    faults->n++;

    return &faults->fault[i];
}


static void
scc_fault_field(scc_fault_t *fault, const scc_members_t *m, scc_str_t name,
    uint32_t item)
{
    scc_buf_t  b;

    scc_buf_fixed(&b, fault->field, sizeof(fault->field) - 1);

    if (m->in) {
        scc_buf_str(&b, m->in->rules->rule[m->in->at].name);
        scc_buf_byte(&b, '.');
    }

    if (name.len == 0) {
        scc_buf_text(&b, "(empty)");

    } else {
        scc_fault_print(&b, name);
    }

    if (item != SCC_FAULT_NO_ITEM) {
        scc_buf_byte(&b, '[');
        scc_buf_uint(&b, item);
        scc_buf_byte(&b, ']');
    }

    scc_fault_close(&b);
}


static void
scc_fault_print(scc_buf_t *b, scc_str_t s)
{
    size_t   i;
    uint8_t  ch;

    for (i = 0; i < s.len; i++) {
        ch = s.data[i];
        scc_buf_byte(b, (ch < ' ' || ch > '~') ? '?' : ch);
    }
}


static void
scc_fault_open(scc_buf_t *b, scc_fault_t *fault)
{
    scc_buf_fixed(b, fault->text, sizeof(fault->text) - 1);
}


/* The block is one byte longer than the buffer knows. */

static void
scc_fault_close(scc_buf_t *b)
{
    b->start[b->used] = '\0';
}
