
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_contribution.h"
#include "scc_ctl_journal.h"


/* A segment that another one names as the one before it. */

typedef struct {
    const scc_ctl_segment_t  *by;
    bool                      found;    /* its end, as "by" knows it */
} scc_ctl_link_t;


typedef struct {
    scc_ctl_journal_t        *j;
    uint64_t                  records;
    uint64_t                  faults;
    scc_ctl_link_t           *links;    /* of one segment */
    size_t                    n_links;
} scc_ctl_verify_t;


static int scc_ctl_verify_journal(scc_ctl_verify_t *v, const char *dir);
static int scc_ctl_verify_segment(scc_ctl_verify_t *v,
    scc_ctl_segment_t *s);
static void scc_ctl_verify_links(scc_ctl_verify_t *v,
    const scc_ctl_segment_t *s);
static void scc_ctl_verify_link(scc_ctl_verify_t *v, uint32_t chain);
static int scc_ctl_verify_records(scc_ctl_verify_t *v,
    const scc_ctl_segment_t *s);
static void scc_ctl_verify_damage(scc_ctl_verify_t *v,
    const scc_ctl_segment_t *s);
static const char *scc_ctl_verify_twin(const scc_ctl_verify_t *v,
    const scc_ctl_segment_t *s);
static void scc_ctl_verify_fault(scc_ctl_verify_t *v,
    const scc_ctl_segment_t *s, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void scc_ctl_verify_note(const char *where, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));


int
scc_ctl_journal_verify(scc_ctl_journal_t *j)
{
    int               rc;
    size_t            i;
    scc_ctl_verify_t  v;

    memset(&v, 0, sizeof(scc_ctl_verify_t));
    v.j = j;

    v.links = calloc(j->n + 1, sizeof(scc_ctl_link_t));
    if (v.links == NULL) {
        scc_ctl_error("out of memory");
        return SCC_CTL_FAILED;
    }

    rc = 0;

    for (i = 0; i < j->n_journals && rc == 0; i++) {
        rc = scc_ctl_verify_journal(&v, j->journals[i]);
    }

    for (i = 0; i < j->n && rc == 0; i++) {
        rc = scc_ctl_verify_segment(&v, &j->segments[i]);
        scc_ctl_segment_unload(&j->segments[i]);
    }

    free(v.links);

    if (rc != 0) {
        return SCC_CTL_FAILED;
    }

    printf("%zu segments, %llu records: ", j->n,
           (unsigned long long) v.records);

    if (v.faults == 0) {
        printf("no damage\n");
        return SCC_CTL_OK;
    }

    printf("%llu faults\n", (unsigned long long) v.faults);

    return SCC_CTL_FAILED;
}


/* Whose the journal is, and whose its segments are. */

static int
scc_ctl_verify_journal(scc_ctl_verify_t *v, const char *dir)
{
    int                       rc;
    size_t                    i;
    uint8_t                   store[16];
    const scc_ctl_segment_t  *s;

    rc = scc_ctl_journal_store(dir, store);

    if (rc < 0) {
        return -1;
    }

    if (rc > 0) {
        scc_ctl_verify_note(dir, "it belongs to no store: nginx takes no "
                            "contribution here; run \"sccctl journal init\"");
        return 0;
    }

    for (i = 0; i < v->j->n; i++) {
        s = &v->j->segments[i];

        if (strcmp(s->journal, dir) == 0 && s->known
            && memcmp(s->head.store, store, 16) != 0)
        {
            scc_ctl_verify_fault(v, s, "it is of another store than "
                                 "DIR/store says; move it away from here, "
                                 "do not delete it");
        }
    }

    return 0;
}


static int
scc_ctl_verify_segment(scc_ctl_verify_t *v, scc_ctl_segment_t *s)
{
    int     rc;
    size_t  i;

    rc = scc_ctl_segment_load(s);

    if (rc != 0) {
        return rc < 0 ? -1 : 0;
    }

    switch (s->state) {

    case SCC_CTL_SEGMENT_DAMAGED:
        scc_ctl_verify_damage(v, s);
        break;

    case SCC_CTL_SEGMENT_TORN:
        scc_ctl_verify_note(s->path, "its last write, at byte %zu, was never "
                            "finished nor acknowledged; nginx will cut it "
                            "off", s->pos);
        break;

    case SCC_CTL_SEGMENT_OPEN:
        scc_ctl_verify_note(s->path, "its writer has ended; nginx will seal "
                            "it");
        break;

    case SCC_CTL_SEGMENT_UNUSED:
        scc_ctl_verify_note(s->path, "nothing was ever written to it");
        break;

    default:
        break;
    }

    scc_ctl_verify_links(v, s);

    if (scc_ctl_verify_records(v, s) != 0) {
        return -1;
    }

    for (i = 0; i < v->n_links && s->state != SCC_CTL_SEGMENT_DAMAGED; i++) {

        if (v->links[i].found) {
            continue;
        }

        scc_ctl_verify_fault(v, s, "its end is missing from byte %zu on: "
                             "when its writer went on in \"%s\", more had "
                             "been acknowledged%s%s", s->pos,
                             v->links[i].by->name,
                             scc_ctl_verify_twin(v, s) != NULL
                             ? "; there may be more in " : "; look for it in "
                             "the second directory, the queue, the ledger "
                             "and backups",
                             scc_ctl_verify_twin(v, s) != NULL
                             ? scc_ctl_verify_twin(v, s) : "");
    }

    return 0;
}


/*
 * The next segment of the same writer holds the chain as it was when this
 * one was left: a lost end cannot be seen in the segment itself.
 */

static void
scc_ctl_verify_links(scc_ctl_verify_t *v, const scc_ctl_segment_t *s)
{
    size_t                    i;
    const scc_ctl_segment_t  *t;

    v->n_links = 0;

    for (i = 0; i < v->j->n && s->known; i++) {
        t = &v->j->segments[i];

        if (t != s && t->known && !t->copy
            && memcmp(t->head.previous, s->head.segment, 16) == 0)
        {
            /* it was whole when names were erased, and its chain is new */

            v->links[v->n_links].by = t;
            v->links[v->n_links++].found = s->erased;
        }
    }
}


static void
scc_ctl_verify_link(scc_ctl_verify_t *v, uint32_t chain)
{
    size_t  i;

    for (i = 0; i < v->n_links; i++) {
        if (v->links[i].by->head.previous_chain == chain) {
            v->links[i].found = true;
        }
    }
}


/* What the scan does not look at: each record by itself. */

static int
scc_ctl_verify_records(scc_ctl_verify_t *v, const scc_ctl_segment_t *s)
{
    size_t            at;
    uint8_t           digest[32];
    uint64_t          salvaged;
    scc_ctl_record_t  cr;

    salvaged = 0;
    scc_ctl_record_begin(&cr, s);
    scc_ctl_verify_link(v, cr.scan.chain.chain);

    while (scc_ctl_record_next(&cr)) {

        at = (size_t) (cr.bytes.data - s->bytes.data);
        salvaged += cr.salvaged;
        v->records++;

        scc_ctl_verify_link(v, cr.scan.chain.chain);

        if (!cr.readable) {
            scc_ctl_verify_fault(v, s, "the record at byte %zu is of a kind "
                                 "or schema that this program does not "
                                 "know; use a newer sccctl", at);
            continue;
        }

        if (scc_ctl_sha256(cr.r.body.data, cr.r.body.len, digest) != 0) {
            return -1;
        }

        if (memcmp(digest, cr.r.sha256, 32) != 0) {
            scc_ctl_verify_fault(v, s, "the record at byte %zu was written "
                                 "with a digest that is not its body's; "
                                 "please report this", at);
        }

        if (cr.r.hlc < cr.batch.first_hlc || cr.r.hlc > cr.batch.last_hlc) {
            scc_ctl_verify_fault(v, s, "the record at byte %zu is out of its "
                                 "batch's time; please report this", at);
        }
    }

    scc_ctl_verify_link(v, cr.scan.chain.chain);

    if (s->state == SCC_CTL_SEGMENT_DAMAGED) {
        printf("    whole are %llu records in front of the damage and %llu "
               "behind it\n", (unsigned long long) s->chain.records,
               (unsigned long long) salvaged);
    }

    return 0;
}


static void
scc_ctl_verify_damage(scc_ctl_verify_t *v, const scc_ctl_segment_t *s)
{
    const char  *twin;

    twin = scc_ctl_verify_twin(v, s);

    if (!s->known && s->end == SCC_END_CORRUPT) {
        scc_ctl_verify_fault(v, s, "its first block is damaged");

    } else if (s->end == SCC_END_CORRUPT) {
        scc_ctl_verify_fault(v, s, "damaged at byte %zu, batch %llu", s->pos,
                             (unsigned long long) s->batches);

    } else {
        scc_ctl_verify_fault(v, s, "it is named as sealed, but has no seal: "
                             "its end is missing from byte %zu on", s->pos);
    }

    printf("    keep the file, and look at the disk%s%s\n",
           twin != NULL ? "; all of it is in "
                        : "; \"sccctl journal cat\" prints what is whole; "
                          "look for the rest in the second directory, the "
                          "queue, the ledger and backups",
           twin != NULL ? twin : "");
}


/* Another file of the same segment, undamaged and with more in it. */

static const char *
scc_ctl_verify_twin(const scc_ctl_verify_t *v, const scc_ctl_segment_t *s)
{
    size_t                    i, len;
    const scc_ctl_segment_t  *t;

    /* without block 0, the name tells */

    len = strcspn(s->name, ".");

    for (i = 0; i < v->j->n; i++) {
        t = &v->j->segments[i];

        if (t == s || !t->known || t->state == SCC_CTL_SEGMENT_DAMAGED
            || t->chain.records < s->chain.records)
        {
            continue;
        }

        if (s->known ? memcmp(s->head.segment, t->head.segment, 16) == 0
                     : strncmp(s->name, t->name, len) == 0)
        {
            return t->path;
        }
    }

    return NULL;
}


static void
scc_ctl_verify_fault(scc_ctl_verify_t *v, const scc_ctl_segment_t *s,
    const char *fmt, ...)
{
    va_list  args;

    v->faults++;

    printf("FAULT %s: ", s->path);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    putchar('\n');
}


static void
scc_ctl_verify_note(const char *where, const char *fmt, ...)
{
    va_list  args;

    printf("note  %s: ", where);

    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);

    putchar('\n');
}
