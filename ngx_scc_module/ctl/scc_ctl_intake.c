
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "scc_contribution.h"
#include "scc_ctl_dead.h"
#include "scc_ctl_intake.h"
#include "scc_ctl_writer.h"
#include "scc_params.h"


#define SCC_CTL_INTAKE_BATCH      5000
#define SCC_CTL_INTAKE_BATCH_MAX  100000


struct scc_ctl_intake_s {
    scc_ctl_intake_conf_t   conf;
    scc_ctl_apply_t        *apply;
    scc_ctl_writer_t       *writer;         /* NULL: no journal */
    EVP_MD_CTX             *md;
    EVP_MD                 *sha256;
    uint64_t                hlc;
    scc_buf_t               ids;
    scc_buf_t               digests;
    size_t                 *slots;          /* of a batch's events, by id: */
    size_t                  n_slots;        /* 1 + which; a power of two */
    uint64_t                journaled;
    uint64_t                refused;
};


static int scc_ctl_intake_start(scc_ctl_intake_t *in);
static bool scc_ctl_intake_record(scc_ctl_intake_t *in,
    const scc_import_row_t *row, const scc_import_body_t *body,
    scc_record_t *r);
static int scc_ctl_intake_digest(scc_ctl_intake_t *in, uint8_t out[32],
    const scc_str_t *parts, size_t n);
static int scc_ctl_intake_before(void *ctx, scc_ctl_batch_t *b);
static int scc_ctl_intake_missing(scc_ctl_intake_t *in, scc_ctl_batch_t *b,
    size_t *missing, size_t *dead);
static int scc_ctl_intake_letters(scc_ctl_intake_t *in, scc_ctl_batch_t *b);
static int scc_ctl_intake_journal(scc_ctl_intake_t *in, scc_ctl_batch_t *b);
static scc_ctl_event_t *scc_ctl_intake_first(scc_ctl_intake_t *in,
    scc_ctl_batch_t *b, size_t i);
static int scc_ctl_intake_sync(scc_ctl_intake_t *in, scc_ctl_batch_t *b,
    size_t from, size_t to);
static int scc_ctl_intake_refuse(void *ctx, const scc_ctl_batch_t *b,
    const scc_ctl_row_t *row, const scc_ctl_event_t *culprit,
    const char *sqlstate, const char *message);


int
scc_ctl_intake_conf(scc_ctl_intake_conf_t *conf, const char *command,
    const scc_ctl_intake_opts_t *opts, bool needed)
{
    uint64_t     batch;
    const char  *id, *name;

    batch = SCC_CTL_INTAKE_BATCH;

    if (opts->batch != NULL
        && scc_ctl_number(opts->batch, 1, SCC_CTL_INTAKE_BATCH_MAX, &batch)
           != 0)
    {
        return scc_ctl_usage(command, "--batch: \"%s\" is not a number "
                             "from 1 to %d", opts->batch,
                             SCC_CTL_INTAKE_BATCH_MAX);
    }

    id = opts->contributor != NULL ? opts->contributor : "import";
    name = opts->name != NULL ? opts->name : "Import";

    conf->batch = (uint32_t) batch;
    conf->contributor_id.data = (const uint8_t *) id;
    conf->contributor_id.len = strlen(id);
    conf->contributor_name.data = (const uint8_t *) name;
    conf->contributor_name.len = strlen(name);

    if (conf->contributor_id.len == 0
        || conf->contributor_id.len > SCC_ID_MAX
        || !scc_utf8_valid(conf->contributor_id))
    {
        return scc_ctl_usage(command, "--contributor: the id must have 1 "
                             "to %d bytes of UTF-8", SCC_ID_MAX);
    }

    if (conf->contributor_name.len > SCC_NAME_MAX
        || !scc_utf8_valid(conf->contributor_name))
    {
        return scc_ctl_usage(command, "--name: the display name must have "
                             "at most %d bytes of UTF-8", SCC_NAME_MAX);
    }

    conf->journal = opts->journal != NULL ? opts->journal
                                          : getenv("SCC_JOURNAL");

    if (opts->no_journal != NULL) {

        if (opts->journal != NULL) {
            return scc_ctl_usage(command, "give --journal or --no-journal, "
                                 "not both");
        }

        conf->journal = NULL;

        return SCC_CTL_OK;
    }

    if (needed && (conf->journal == NULL || *conf->journal == '\0')) {
        return scc_ctl_usage(command, "no journal named: what is imported "
                             "could not be rebuilt; set SCC_JOURNAL or give "
                             "--journal DIR (\"sccctl journal init DIR\" "
                             "makes one), or, for a store to throw away, "
                             "--no-journal");
    }

    return SCC_CTL_OK;
}


scc_ctl_intake_t *
scc_ctl_intake_create(const scc_ctl_intake_conf_t *conf)
{
    scc_ctl_intake_t  *in;

    in = calloc(1, sizeof(scc_ctl_intake_t));

    if (in == NULL) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    in->conf = *conf;

    scc_buf_heap(&in->ids, 0);
    scc_buf_heap(&in->digests, 0);

    if (scc_ctl_intake_start(in) != 0) {
        scc_ctl_intake_free(in);
        return NULL;
    }

    return in;
}


void
scc_ctl_intake_free(scc_ctl_intake_t *in)
{
    if (in == NULL) {
        return;
    }

    (void) scc_ctl_writer_close(in->writer);

    scc_ctl_apply_free(in->apply);
    scc_buf_free(&in->ids);
    scc_buf_free(&in->digests);
    free(in->slots);
    EVP_MD_CTX_free(in->md);
    EVP_MD_free(in->sha256);
    free(in);
}


int
scc_ctl_intake_row(scc_ctl_intake_t *in, const scc_import_row_t *row)
{
    unsigned          i;
    scc_record_t      r;
    scc_ctl_batch_t  *b;

    b = scc_ctl_apply_batch(in->apply);

    (void) scc_ctl_batch_row(b, row->line, row->id);

    for (i = 0; i < row->n; i++) {

        if (!scc_ctl_intake_record(in, row, &row->body[i], &r)) {
            return -1;
        }

        if (in->writer != NULL && scc_record_size(&r) == 0) {
            scc_ctl_batch_drop(b);
            in->refused++;

            return in->conf.refused(in->conf.ctx, row->line, row->id,
                                    "it is more than a journal takes (1 MiB "
                                    "for a record): shorten it, or import "
                                    "it with --no-journal");
        }

        (void) scc_ctl_batch_event(b, &r);
    }

    return scc_ctl_apply_added(in->apply);
}


int
scc_ctl_intake_flush(scc_ctl_intake_t *in)
{
    return scc_ctl_apply_flush(in->apply);
}


const scc_ctl_apply_stats_t *
scc_ctl_intake_stats(const scc_ctl_intake_t *in)
{
    return scc_ctl_apply_stats(in->apply);
}


uint64_t
scc_ctl_intake_journaled(const scc_ctl_intake_t *in)
{
    return in->journaled;
}


uint64_t
scc_ctl_intake_refused(const scc_ctl_intake_t *in)
{
    return in->refused;
}


static int
scc_ctl_intake_start(scc_ctl_intake_t *in)
{
    scc_ctl_apply_conf_t  ac;

    in->md = EVP_MD_CTX_new();
    in->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);

    if (in->md == NULL || in->sha256 == NULL) {
        scc_ctl_error("libcrypto has no SHA-256; is its configuration or "
                      "FIPS module broken?");
        return -1;
    }

    memset(&ac, 0, sizeof(scc_ctl_apply_conf_t));

    ac.conninfo = in->conf.conninfo;
    ac.batch = in->conf.batch;
    ac.before = scc_ctl_intake_before;
    ac.refused = scc_ctl_intake_refuse;
    ac.ctx = in;

    in->apply = scc_ctl_apply_create(&ac);

    if (in->apply == NULL) {
        return -1;
    }

    if (in->conf.journal == NULL) {
        return 0;
    }

    for (in->n_slots = 16;
         in->n_slots < 2 * ((size_t) ac.batch + SCC_CTL_ROW_EVENTS);
         in->n_slots *= 2)
    {
        /* void */
    }

    in->slots = calloc(in->n_slots, sizeof(size_t));

    if (in->slots == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    in->writer = scc_ctl_writer_open(in->conf.journal,
                                     scc_ctl_apply_store(in->apply));

    return in->writer != NULL ? 0 : -1;
}


static bool
scc_ctl_intake_record(scc_ctl_intake_t *in, const scc_import_row_t *row,
    const scc_import_body_t *body, scc_record_t *r)
{
    uint8_t          digest[32];
    uint64_t         now;
    struct timespec  ts;

    scc_str_t        zero = { 1, (const uint8_t *) "" };
    scc_str_t        parts[8];

    memset(r, 0, sizeof(scc_record_t));

    if (scc_kind_parse(body->kind_name, &r->kind) != SCC_OK) {
        scc_ctl_error("the journal knows no kind \"%.*s\"; please report "
                      "this", (int) body->kind_name.len,
                      (const char *) body->kind_name.data);
        return false;
    }

    r->contributor_id = in->conf.contributor_id;
    r->contributor_name = in->conf.contributor_name;

    if (row->contributor_id.len > 0
        && (body->kind == SCC_IMPORT_PLACE_ACCESSIBILITY
            || body->kind == SCC_IMPORT_BUILDING_ACCESSIBILITY))
    {
        r->contributor_id = row->contributor_id;
        r->contributor_name = row->contributor_name;
    }

    r->target = body->target;
    r->body = body->body;

    parts[0].data = scc_ctl_apply_store(in->apply);
    parts[0].len = 16;
    parts[1] = r->contributor_id;
    parts[2] = zero;
    parts[3] = body->kind_name;
    parts[4] = zero;
    parts[5] = body->target;
    parts[6] = zero;
    parts[7] = body->body;

    if (scc_ctl_intake_digest(in, digest, parts, 8) != 0
        || scc_ctl_intake_digest(in, r->sha256, &body->body, 1) != 0)
    {
        return false;
    }

    scc_uuid_v8(r->event_id, digest);

    /* A hybrid logical clock: milliseconds and a counter, never back. */

    clock_gettime(CLOCK_REALTIME, &ts);

    r->received = (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;

    now = (r->received / 1000000) << 16;
    in->hlc = (now > in->hlc) ? now : in->hlc + 1;
    r->hlc = in->hlc;

    return true;
}


static int
scc_ctl_intake_digest(scc_ctl_intake_t *in, uint8_t out[32],
    const scc_str_t *parts, size_t n)
{
    size_t  i;

    if (EVP_DigestInit_ex(in->md, in->sha256, NULL) != 1) {
        goto failed;
    }

    for (i = 0; i < n; i++) {
        if (EVP_DigestUpdate(in->md, parts[i].data, parts[i].len) != 1) {
            goto failed;
        }
    }

    if (EVP_DigestFinal_ex(in->md, out, NULL) == 1) {
        return 0;
    }

failed:

    scc_ctl_error("libcrypto cannot compute SHA-256");

    return -1;
}


static int
scc_ctl_intake_before(void *ctx, scc_ctl_batch_t *b)
{
    size_t             missing, dead;
    scc_ctl_intake_t  *in = ctx;

    if (in->writer == NULL || b->n_events == 0) {
        return 0;
    }

    if (scc_ctl_intake_missing(in, b, &missing, &dead) != 0
        || (dead > 0 && scc_ctl_intake_letters(in, b) != 0))
    {
        return -1;
    }

    return missing > 0 ? scc_ctl_intake_journal(in, b) : 0;
}


/* What the store does not have is marked as to be journaled. */

static int
scc_ctl_intake_missing(scc_ctl_intake_t *in, scc_ctl_batch_t *b,
    size_t *missing, size_t *dead)
{
    int             i;
    PGresult       *res;
    unsigned long   at;

    scc_ctl_ask_t   ask = {
        "asking which events are new",
        "SELECT m.i, m.dead FROM scc.missing($1, $2) m", 2,
        { SCC_OID_UUIDS, SCC_OID_BYTEAS }, { NULL }, { 0 }, { 1, 1 }
    };

    scc_buf_reset(&in->ids);
    scc_buf_reset(&in->digests);

    scc_ctl_params_ids(&in->ids, b->events, b->n_events);
    scc_ctl_params_digests(&in->digests, b->events, b->n_events);

    if (in->ids.error || in->digests.error) {
        scc_ctl_error("out of memory");
        return -1;
    }

    ask.values[0] = (const char *) in->ids.start;
    ask.values[1] = (const char *) in->digests.start;
    ask.lengths[0] = (int) in->ids.used;
    ask.lengths[1] = (int) in->digests.used;

    res = scc_ctl_apply_ask(in->apply, &ask);

    if (res == NULL) {
        return -1;
    }

    *missing = 0;
    *dead = 0;

    for (i = 0; i < PQntuples(res); i++) {

        if (*PQgetvalue(res, i, 1) == 't') {
            (*dead)++;
            continue;
        }

        at = strtoul(PQgetvalue(res, i, 0), NULL, 10);

        if (at >= 1 && at <= b->n_events) {
            b->events[at - 1].journaled = true;
            (*missing)++;
        }
    }

    PQclear(res);

    return 0;
}


/* A dead letter's event is in a journal already; this is another try. */

static int
scc_ctl_intake_letters(scc_ctl_intake_t *in, scc_ctl_batch_t *b)
{
    int               i;
    scc_str_t         text;
    PGresult         *res;
    unsigned long     at;
    scc_ctl_event_t  *ev;

    scc_ctl_ask_t     ask = {
        "looking for dead letters",
        "SELECT u.i, d.id, d.segment_id"
        " FROM scc.dead_letter d"
        " JOIN unnest($1) WITH ORDINALITY AS u(event_id, i)"
        "   ON u.event_id = d.event_id"
        " WHERE d.resolved_at IS NULL", 1,
        { SCC_OID_UUIDS }, { NULL }, { 0 }, { 1 }
    };

    ask.values[0] = (const char *) in->ids.start;
    ask.lengths[0] = (int) in->ids.used;

    res = scc_ctl_apply_ask(in->apply, &ask);

    if (res == NULL) {
        return -1;
    }

    for (i = 0; i < PQntuples(res); i++) {
        at = strtoul(PQgetvalue(res, i, 0), NULL, 10);

        if (at < 1 || at > b->n_events) {
            continue;
        }

        ev = &b->events[at - 1];
        ev->letter = strtoll(PQgetvalue(res, i, 1), NULL, 10);

        text.data = (const uint8_t *) PQgetvalue(res, i, 2);
        text.len = (size_t) PQgetlength(res, i, 2);

        /* its own segment; never journaled a second time */

        ev->journaled = scc_uuid_parse(text, ev->segment) == SCC_OK;
    }

    PQclear(res);

    return 0;
}


/* An event that is in the batch twice, as a building of many places is, is
   one record. */

static int
scc_ctl_intake_journal(scc_ctl_intake_t *in, scc_ctl_batch_t *b)
{
    size_t            i, from;
    scc_record_t      r;
    scc_ctl_event_t  *ev, *first;

    from = 0;
    memset(in->slots, 0, in->n_slots * sizeof(size_t));

    for (i = 0; i < b->n_events; i++) {
        ev = &b->events[i];

        if (!ev->journaled || ev->letter != 0) {
            continue;
        }

        first = scc_ctl_intake_first(in, b, i);

        if (first != ev) {
            ev->hlc = first->hlc;
            ev->received = first->received;
            continue;
        }

        scc_ctl_batch_record(b, ev, &r);

        if (!scc_ctl_writer_fits(in->writer, &r)) {
            if (scc_ctl_intake_sync(in, b, from, i) != 0) {
                return -1;
            }

            from = i;
        }

        scc_ctl_writer_add(in->writer, &r);
        in->journaled++;
    }

    if (scc_ctl_intake_sync(in, b, from, i) != 0) {
        return -1;
    }

    for (i = 0; i < b->n_events; i++) {
        ev = &b->events[i];

        if (ev->journaled && ev->letter == 0) {
            first = scc_ctl_intake_first(in, b, i);
            memmove(ev->segment, first->segment, 16);
        }
    }

    return 0;
}


/* Ids are digests: any bytes of them spread. */

static scc_ctl_event_t *
scc_ctl_intake_first(scc_ctl_intake_t *in, scc_ctl_batch_t *b, size_t i)
{
    size_t  at;

    memcpy(&at, b->events[i].id, sizeof(at));

    for (at &= in->n_slots - 1; in->slots[at] != 0;
         at = (at + 1) & (in->n_slots - 1))
    {
        if (memcmp(b->events[in->slots[at] - 1].id, b->events[i].id, 16) == 0)
        {
            return &b->events[in->slots[at] - 1];
        }
    }

    in->slots[at] = i + 1;

    return &b->events[i];
}


static int
scc_ctl_intake_sync(scc_ctl_intake_t *in, scc_ctl_batch_t *b, size_t from,
    size_t to)
{
    size_t          i;
    const uint8_t  *segment;

    segment = scc_ctl_writer_sync(in->writer);

    if (segment == NULL) {
        return -1;
    }

    for (i = from; i < to; i++) {
        if (b->events[i].journaled && b->events[i].letter == 0) {
            memcpy(b->events[i].segment, segment, 16);
        }
    }

    return 0;
}


/* The row as a whole: what is journaled is either in the ledger or a dead
   letter, or nginx would apply it behind the importer's back. */

static int
scc_ctl_intake_refuse(void *ctx, const scc_ctl_batch_t *b,
    const scc_ctl_row_t *row, const scc_ctl_event_t *culprit,
    const char *sqlstate, const char *message)
{
    char                    reason[1280];
    size_t                  i;
    scc_ctl_intake_t       *in = ctx;
    const scc_ctl_event_t  *ev;

    snprintf(reason, sizeof(reason), "another record of its row was refused: "
             "%s", message);

    for (i = 0; i < row->n; i++) {
        ev = &b->events[row->first + i];

        if (ev->journaled && ev->letter == 0
            && scc_ctl_dead_bury(in->apply, b, ev, sqlstate,
                                 culprit == NULL || culprit == ev ? message
                                                                  : reason)
               != 0)
        {
            return -1;
        }
    }

    in->refused++;

    return in->conf.refused(in->conf.ctx, row->line,
                            scc_ctl_batch_str(b, row->id), message);
}
