
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdlib.h>
#include <string.h>

#include "scc_contribution.h"
#include "scc_json_object.h"


/*
 * A contribution's body.  What is taken must be JSON that the store takes,
 * with a target that fits; what is not must have faults a person can read.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_faults(const scc_faults_t *faults);
static void fuzz_text(const char *text, size_t size);
static void fuzz_taken(const scc_contribution_t *c, scc_str_t body);


static const scc_contribution_conf_t  fuzz_conf = { 16384, 16 };


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t             *copy;
    scc_rc_t             rc;
    scc_str_t            body;
    scc_faults_t         faults;
    scc_contribution_t   c;

    copy = malloc(size ? size : 1);

    if (copy == NULL) {
        return 0;
    }

    if (size) {
        memcpy(copy, data, size);
    }

    body.len = size;
    body.data = copy;

    memset(&c, 0xee, sizeof(scc_contribution_t));
    memset(&faults, 0xee, sizeof(scc_faults_t));

    rc = scc_contribution_parse(&c, &fuzz_conf, body, &faults);

    switch (rc) {

    case SCC_OK:

        if (faults.n != 0 || faults.more) {
            abort();
        }

        fuzz_taken(&c, body);
        break;

    case SCC_DECLINED:
        fuzz_faults(&faults);
        break;

    default:
        abort();
    }

    free(copy);

    return 0;
}


static void
fuzz_faults(const scc_faults_t *faults)
{
    unsigned   i;
    scc_buf_t  b;
    scc_err_t  err;

    if (faults->n == 0 || faults->n > SCC_FAULTS_MAX
        || (faults->more && faults->n != SCC_FAULTS_MAX))
    {
        abort();
    }

    for (i = 0; i < faults->n; i++) {
        fuzz_text(faults->fault[i].field, sizeof(faults->fault[i].field));
        fuzz_text(faults->fault[i].text, sizeof(faults->fault[i].text));

        if (faults->fault[i].text[0] == '\0'
            || (faults->fault[i].field[0] == '\0' && faults->n > 1))
        {
            abort();
        }
    }

    scc_buf_heap(&b, 0);
    scc_buf_byte(&b, '{');
    scc_faults_write(&b, faults);
    scc_buf_byte(&b, '}');

    if (b.error
        || scc_json_object(scc_buf_get(&b), NULL, NULL, &err) != SCC_OK)
    {
        abort();
    }

    scc_buf_free(&b);
}


static void
fuzz_text(const char *text, size_t size)
{
    size_t  i;

    for (i = 0; i < size && text[i]; i++) {

        if (text[i] < ' ' || text[i] > '~') {
            abort();
        }
    }

    if (i == size) {
        abort();
    }
}


static void
fuzz_taken(const scc_contribution_t *c, scc_str_t body)
{
    bool        sender;
    scc_err_t   err;
    scc_kind_t  kind;

    if (body.len > fuzz_conf.max_size
        || scc_kind_parse(scc_kind_name(c->kind), &kind) != SCC_OK
        || kind != c->kind
        || memchr(body.data, '\v', body.len)
        || memchr(body.data, '\f', body.len)
        || scc_json_object(body, NULL, NULL, &err) != SCC_OK)
    {
        abort();
    }

    sender = kind == SCC_KIND_CONTRIBUTOR || kind == SCC_KIND_ERASE;

    if ((c->target.len == 0) != sender || c->target.len > SCC_ID_MAX
        || !scc_utf8_valid(c->target)
        || (c->target.len > 0 && memchr(c->target.data, 0, c->target.len)))
    {
        abort();
    }

    if (c->has_id && !scc_uuid_is_v7(c->id)) {
        abort();
    }
}
