
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_contribution.h"
#include "scc_ctl_compare.h"
#include "scc_ctl_disk.h"
#include "scc_ctl_prune.h"


#define SCC_CTL_PRUNE_WHY  192


static void scc_ctl_prune_says(scc_ctl_prune_verdict_t *v,
    scc_ctl_prune_rule_t rule, bool holds, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void scc_ctl_prune_age(const scc_ctl_prune_t *pr,
    const scc_ctl_segment_t *s, scc_ctl_prune_verdict_t *v);
static int scc_ctl_prune_disk(const scc_ctl_segment_t *s,
    const uint8_t sha256[32], scc_ctl_prune_verdict_t *v);
static int scc_ctl_prune_copy(const scc_ctl_prune_t *pr,
    const scc_ctl_segment_t *s, const uint8_t sha256[32],
    scc_ctl_prune_verdict_t *v);
static int scc_ctl_prune_applied(const scc_ctl_prune_t *pr,
    const scc_ctl_segment_t *s, scc_ctl_prune_verdict_t *v);
static int scc_ctl_prune_backup(const scc_ctl_prune_t *pr,
    const scc_ctl_segment_t *s, scc_ctl_prune_verdict_t *v);


const char *
scc_ctl_prune_rule_name(scc_ctl_prune_rule_t rule)
{
    static const char *const  names[] = {
        "age", "sealed", "disk", "applied", "offsite", "backup"
    };

    return names[rule];
}


int
scc_ctl_prune_judge(scc_ctl_prune_t *pr, scc_ctl_segment_t *s,
    scc_ctl_prune_verdict_t *v)
{
    int       rc;
    unsigned  i;
    uint8_t   sha256[32];

    memset(v, 0, sizeof(scc_ctl_prune_verdict_t));

    rc = scc_ctl_segment_load(s);

    if (rc != 0) {
        return rc;
    }

    scc_ctl_prune_age(pr, s, v);

    if (pr->quick && !v->holds[SCC_CTL_PRUNE_AGE]) {
        scc_ctl_segment_unload(s);
        return 0;
    }

    scc_ctl_prune_says(v, SCC_CTL_PRUNE_SEALED,
                       s->seg && s->state == SCC_CTL_SEGMENT_SEALED
                       && memcmp(s->head.store, pr->store, 16) == 0,
                       s->seg && s->state == SCC_CTL_SEGMENT_SEALED
                       ? "it is of another store" : "it is %s",
                       scc_ctl_segment_word(s->state));

    if (v->holds[SCC_CTL_PRUNE_SEALED]) {
        rc = scc_ctl_sha256(s->bytes.data, s->bytes.len, sha256);

        if (rc == 0) {
            rc = scc_ctl_prune_disk(s, sha256, v);
        }

        if (rc == 0) {
            rc = scc_ctl_prune_copy(pr, s, sha256, v);
        }
    }

    scc_ctl_segment_unload(s);

    if (rc == 0 && v->holds[SCC_CTL_PRUNE_SEALED]) {
        rc = scc_ctl_prune_applied(pr, s, v);

        if (rc == 0) {
            rc = scc_ctl_prune_backup(pr, s, v);
        }
    }

    v->all = true;

    for (i = 0; i < SCC_CTL_PRUNE_RULES; i++) {
        v->all &= v->looked[i] && v->holds[i];
    }

    return rc < 0 ? -1 : 0;
}


int
scc_ctl_prune_offsite(const scc_ctl_prune_t *pr, const scc_ctl_mark_t *m,
    char why[192])
{
    int               rc;
    uint8_t           sha256[32];
    scc_ctl_remote_t  remote;

    remote = pr->remote;

    if (!pr->named) {
        if (m->to[0] == '\0') {
            snprintf(why, SCC_CTL_PRUNE_WHY, "it was shipped by a command: "
                     "give --get or --sum");
            return 1;
        }

        remote.dir = m->to;
    }

    rc = scc_ctl_remote_sum(&remote, m->object, m->size, m->sha256, sha256);

    if (rc == 0 && memcmp(sha256, m->sha256, 32) == 0) {
        return 0;
    }

    snprintf(why, SCC_CTL_PRUNE_WHY, "%s",
             rc > 0 ? "the copy is not there"
             : rc < 0 ? "the copy cannot be read"
                      : "the copy has another SHA-256");
    return 1;
}


static void
scc_ctl_prune_says(scc_ctl_prune_verdict_t *v, scc_ctl_prune_rule_t rule,
    bool holds, const char *fmt, ...)
{
    va_list  args;

    v->looked[rule] = true;
    v->holds[rule] = holds;

    if (holds) {
        return;
    }

    va_start(args, fmt);
    vsnprintf(v->why[rule], SCC_CTL_PRUNE_WHY, fmt, args);
    va_end(args);
}


/* By the newest record, and by when the segment was begun. */

static void
scc_ctl_prune_age(const scc_ctl_prune_t *pr, const scc_ctl_segment_t *s,
    scc_ctl_prune_verdict_t *v)
{
    uint64_t  newest, age;

    newest = (s->chain.last_hlc >> 16) / 1000;

    if (s->head.created / 1000000000 > newest) {
        newest = s->head.created / 1000000000;
    }

    age = pr->now > newest ? pr->now - newest : 0;

    scc_ctl_prune_says(v, SCC_CTL_PRUNE_AGE, age >= pr->keep,
                       "it is %llu of %llu days old",
                       (unsigned long long) age / 86400,
                       (unsigned long long) pr->keep / 86400);
}


/* What was just read may be the page cache's. */

static int
scc_ctl_prune_disk(const scc_ctl_segment_t *s, const uint8_t sha256[32],
    scc_ctl_prune_verdict_t *v)
{
    int      rc;
    uint8_t  digest[32];

    rc = scc_ctl_disk_sum(s->path, digest);

    if (rc < 0) {
        scc_ctl_error("cannot read \"%s\": %s", s->path, strerror(errno));
        return -1;
    }

    scc_ctl_prune_says(v, SCC_CTL_PRUNE_DISK,
                       rc == 0 && memcmp(digest, sha256, 32) == 0,
                       "the disk has other bytes than the page cache");
    return 0;
}


static int
scc_ctl_prune_copy(const scc_ctl_prune_t *pr, const scc_ctl_segment_t *s,
    const uint8_t sha256[32], scc_ctl_prune_verdict_t *v)
{
    int   rc;
    char  why[SCC_CTL_PRUNE_WHY];

    rc = scc_ctl_mark_read(s->path, SCC_CTL_MARK_SHIPPED, &v->mark);

    if (rc < 0) {
        return -1;
    }

    if (rc > 0) {
        scc_ctl_prune_says(v, SCC_CTL_PRUNE_OFFSITE, false, "it was never "
                           "shipped");
        return 0;
    }

    if (memcmp(v->mark.sha256, sha256, 32) != 0) {
        scc_ctl_prune_says(v, SCC_CTL_PRUNE_OFFSITE, false, "it is not what "
                           "was shipped; \"sccctl ship\" will ship it again");
        return 0;
    }

    rc = scc_ctl_prune_offsite(pr, &v->mark, why);

    if (rc >= 0) {
        scc_ctl_prune_says(v, SCC_CTL_PRUNE_OFFSITE, rc == 0, "%s", why);
    }

    return rc < 0 ? -1 : 0;
}


/* Every record by itself: a count would not see one for another. */

static int
scc_ctl_prune_applied(const scc_ctl_prune_t *pr, const scc_ctl_segment_t *s,
    scc_ctl_prune_verdict_t *v)
{
    int                  rc;
    char                *paths[1], text[37];
    int64_t              open;
    scc_buf_t            b;
    PGresult            *res;
    const char          *params[1];
    scc_ctl_journal_t    j;
    scc_ctl_compare_t    c;
    scc_ctl_progress_t   progress;

    paths[0] = s->path;
    scc_ctl_progress_init(&progress, true);

    rc = scc_ctl_journal_list(&j, 1, paths);

    if (rc == 0) {
        rc = scc_ctl_journal_look(&j);
    }

    if (rc == 0) {
        rc = scc_ctl_compare_journals(&c, &j, pr->pg, pr->store, &progress);
    }

    scc_ctl_journal_free(&j);

    if (rc != 0) {
        return -1;
    }

    scc_buf_fixed(&b, text, sizeof(text));
    scc_uuid_write(&b, s->head.segment);
    scc_buf_byte(&b, '\0');

    params[0] = text;

    res = scc_ctl_pg_query(pr->pg, "counting dead letters",
                           "SELECT count(*) FROM scc.dead_letter"
                           " WHERE segment_id = $1::uuid"
                           "  AND resolved_at IS NULL", 1, params);
    if (res == NULL) {
        return -1;
    }

    open = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);

    if (c.missing + c.coming + c.other + c.unreadable > 0) {
        scc_ctl_prune_says(v, SCC_CTL_PRUNE_APPLIED, false, "of %llu records "
                           "%llu are not in the ledger, %llu with another "
                           "body, %llu unreadable",
                           (unsigned long long) c.records,
                           (unsigned long long) c.missing + c.coming,
                           (unsigned long long) c.other,
                           (unsigned long long) c.unreadable);

    } else if (c.records != s->chain.records) {
        scc_ctl_prune_says(v, SCC_CTL_PRUNE_APPLIED, false, "%llu of its "
                           "%llu records were read",
                           (unsigned long long) c.records,
                           (unsigned long long) s->chain.records);

    } else {
        scc_ctl_prune_says(v, SCC_CTL_PRUNE_APPLIED, open == 0, "%lld dead "
                           "letters are not resolved; see \"sccctl "
                           "dead-letter ls\"", (long long) open);
    }

    return 0;
}


/* A backup that began after the last of it was committed; or a drill that
   also began after it was off-site. */

static int
scc_ctl_prune_backup(const scc_ctl_prune_t *pr, const scc_ctl_segment_t *s,
    scc_ctl_prune_verdict_t *v)
{
    char         text[37], at[24];
    scc_buf_t    b;
    PGresult    *res;
    const char  *params[2];

    scc_buf_fixed(&b, text, sizeof(text));
    scc_uuid_write(&b, s->head.segment);
    scc_buf_byte(&b, '\0');

    snprintf(at, sizeof(at), "%llu", (unsigned long long) v->mark.at);

    params[0] = text;
    params[1] = at;

    res = scc_ctl_pg_query(pr->pg, "looking for a backup",
                           "SELECT EXISTS (SELECT FROM scc.stamp t"
                           " WHERE t.ok AND t.began <= clock_timestamp()"
                           "  AND (t.kind IN ('backup', 'full')"
                           "   OR t.kind = 'drill'"
                           "   AND t.began > to_timestamp($2::bigint))"
                           "  AND t.began > (SELECT coalesce("
                           "   max(l.applied_at) FILTER (WHERE l.segment_id"
                           "    = $1::uuid), max(l.applied_at),"
                           "   '-infinity') FROM scc.contribution l))",
                           2, params);
    if (res == NULL) {
        return -1;
    }

    scc_ctl_prune_says(v, SCC_CTL_PRUNE_BACKUP,
                       *PQgetvalue(res, 0, 0) == 't', "no backup of the "
                       "store and no drill began after it was applied and "
                       "shipped");
    PQclear(res);

    return 0;
}
