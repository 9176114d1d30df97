
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "scc_contribution.h"
#include "scc_ctl_journal.h"


static int scc_ctl_cat_segment(scc_buf_t *b, const scc_ctl_segment_t *s);
static void scc_ctl_cat_record(scc_buf_t *b, const scc_ctl_record_t *cr,
    const scc_ctl_segment_t *s);
static void scc_ctl_cat_member(scc_buf_t *b, const char *name,
    scc_str_t value);
static void scc_ctl_cat_id(scc_buf_t *b, const char *name,
    const uint8_t id[16]);
static void scc_ctl_cat_raw(scc_buf_t *b, scc_str_t bytes);


int
scc_ctl_journal_cat(scc_ctl_journal_t *j)
{
    int                 rc;
    size_t              i;
    bool                damaged;
    scc_buf_t           b;
    scc_ctl_segment_t  *s;

    rc = SCC_CTL_OK;
    damaged = false;
    scc_buf_heap(&b, 0);

    for (i = 0; i < j->n && rc == SCC_CTL_OK; i++) {
        s = &j->segments[i];

        if (s->copy) {
            continue;
        }

        switch (scc_ctl_segment_load(s)) {

        case 0:
            rc = scc_ctl_cat_segment(&b, s);
            break;

        case 1:
            continue;

        default:
            rc = SCC_CTL_FAILED;
            continue;
        }

        if (s->state == SCC_CTL_SEGMENT_DAMAGED) {
            damaged = true;
            scc_ctl_error("\"%s\" is damaged: what is whole was printed; "
                          "see: sccctl journal verify", s->path);
        }

        scc_ctl_segment_unload(s);
    }

    scc_buf_free(&b);

    return damaged ? SCC_CTL_FAILED : rc;
}


static int
scc_ctl_cat_segment(scc_buf_t *b, const scc_ctl_segment_t *s)
{
    scc_ctl_record_t  cr;

    scc_ctl_record_begin(&cr, s);

    while (scc_ctl_record_next(&cr)) {
        scc_buf_reset(b);
        scc_ctl_cat_record(b, &cr, s);

        if (b->error) {
            scc_ctl_error("out of memory");
            return SCC_CTL_FAILED;
        }

        if (fwrite(b->start, 1, b->used, stdout) != b->used) {
            scc_ctl_error("cannot write to standard output");
            return SCC_CTL_FAILED;
        }
    }

    return SCC_CTL_OK;
}


/* The body is text within the line: its bytes, as they were received. */

static void
scc_ctl_cat_record(scc_buf_t *b, const scc_ctl_record_t *cr,
    const scc_ctl_segment_t *s)
{
    char                 time[SCC_CTL_TIME];
    unsigned             i;
    const scc_record_t  *r;

    static const char  hex[] = "0123456789abcdef";

    r = &cr->r;

    scc_buf_byte(b, '{');

    if (cr->readable) {
        scc_ctl_cat_id(b, "eventId", r->event_id);
        scc_ctl_cat_member(b, ",\"kind\":", scc_kind_name(r->kind));

        /* as text: it is beyond what JSON's readers take for a number */

        scc_buf_text(b, ",\"hlc\":\"");
        scc_buf_uint(b, r->hlc);
        scc_buf_text(b, "\",\"time\":\"");
        scc_buf_text(b, scc_ctl_hlc(time, r->hlc));
        scc_buf_text(b, "\",\"received\":\"");
        scc_buf_text(b, scc_ctl_time(time, r->received, 9));
        scc_buf_byte(b, '"');

        scc_ctl_cat_member(b, ",\"target\":", r->target);
        scc_ctl_cat_member(b, ",\"contributorId\":", r->contributor_id);
        scc_ctl_cat_member(b, ",\"contributorName\":",
                           r->contributor_name);
        scc_ctl_cat_member(b, ",\"key\":", r->key);

        scc_buf_text(b, ",\"sha256\":\"");

        for (i = 0; i < 32; i++) {
            scc_buf_byte(b, (uint8_t) hex[r->sha256[i] >> 4]);
            scc_buf_byte(b, (uint8_t) hex[r->sha256[i] & 15]);
        }

        scc_buf_text(b, "\",");

    } else {
        scc_ctl_cat_raw(b, cr->bytes);
        scc_buf_byte(b, ',');
    }

    if (s->known) {
        scc_ctl_cat_id(b, "segment", s->head.segment);
        scc_buf_byte(b, ',');
    }

    scc_buf_text(b, "\"batch\":");
    scc_buf_uint(b, cr->batch.number);

    if (cr->salvaged) {
        scc_buf_text(b, ",\"salvaged\":true");
    }

    if (cr->readable) {
        scc_ctl_cat_member(b, ",\"body\":", r->body);
    }

    scc_buf_text(b, "}\n");
}


static void
scc_ctl_cat_member(scc_buf_t *b, const char *name, scc_str_t value)
{
    scc_buf_text(b, name);
    scc_buf_json(b, value);
}


static void
scc_ctl_cat_id(scc_buf_t *b, const char *name, const uint8_t id[16])
{
    scc_buf_byte(b, '"');
    scc_buf_text(b, name);
    scc_buf_text(b, "\":\"");
    scc_uuid_write(b, id);
    scc_buf_byte(b, '"');
}


/* A record of another program's schema or kind, in base64. */

static void
scc_ctl_cat_raw(scc_buf_t *b, scc_str_t bytes)
{
    size_t    n;
    uint8_t  *to;

    scc_buf_text(b, "\"raw\":\"");

    n = 4 * ((bytes.len + 2) / 3);
    to = scc_buf_reserve(b, n + 1);

    if (to != NULL) {
        (void) EVP_EncodeBlock(to, bytes.data, (int) bytes.len);
        to[n] = '"';
    }
}
