
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scc_contribution.h"
#include "scc_ctl_verify.h"


#define SCC_CTL_VERIFY_STREAM  "scc:queue"
#define SCC_CTL_VERIFY_PAGE    "500"
#define SCC_CTL_VERIFY_LATE    "60"         /* seconds in the queue */
#define SCC_CTL_VERIFY_ID      64


typedef struct {
    PGconn                   *pg;
    const scc_ctl_journal_t  *j;
    char                      next[SCC_CTL_VERIFY_ID];
    int64_t                   now;
    uint64_t                  records;
    uint64_t                  unreadable;
    uint64_t                  other;        /* another body in the ledger */
    uint64_t                  waiting;
    uint64_t                  late;
    uint64_t                  foreign;      /* of a segment not named */
    int64_t                   oldest;       /* seconds */
    scc_buf_t                 ids;
    scc_buf_t                 bodies;
    scc_buf_t                 ages;
} scc_ctl_walk_t;


static int scc_ctl_verify_page(scc_ctl_walk_t *w, redisContext *redis);
static void scc_ctl_verify_entry(scc_ctl_walk_t *w, redisReply *entry);
static void scc_ctl_verify_record(scc_ctl_walk_t *w, const scc_record_t *r);
static bool scc_ctl_verify_segment(const scc_ctl_walk_t *w, scc_str_t id);
static int scc_ctl_verify_lookup(scc_ctl_walk_t *w);


int
scc_ctl_verify_queue(redisContext *redis, PGconn *pg,
    const scc_ctl_journal_t *j, uint64_t *found)
{
    int             rc;
    scc_ctl_walk_t  w;

    memset(&w, 0, sizeof(scc_ctl_walk_t));

    w.pg = pg;
    w.j = j;
    w.now = (int64_t) time(NULL);
    strcpy(w.next, "-");

    scc_buf_heap(&w.ids, 0);
    scc_buf_heap(&w.bodies, 0);
    scc_buf_heap(&w.ages, 0);

    do {
        rc = scc_ctl_verify_page(&w, redis);
    } while (rc > 0);

    scc_buf_free(&w.ids);
    scc_buf_free(&w.bodies);
    scc_buf_free(&w.ages);

    if (rc < 0) {
        return -1;
    }

    printf("queue      records %llu, waiting %llu (oldest %lld s), unreadable "
           "%llu, with another body %llu\n",
           (unsigned long long) w.records, (unsigned long long) w.waiting,
           (long long) w.oldest, (unsigned long long) w.unreadable,
           (unsigned long long) w.other);

    if (w.late > 0) {
        printf("DIFFERS %llu records wait for more than a minute: is nginx's "
               "helper running, and the store up?\n",
               (unsigned long long) w.late);
    }

    if (w.foreign > 0) {
        printf("note       %llu of these are from journals that were not "
               "named\n", (unsigned long long) w.foreign);
    }

    *found += w.late + w.unreadable + w.other;

    return 0;
}


/* 1: there may be more. */

static int
scc_ctl_verify_page(scc_ctl_walk_t *w, redisContext *redis)
{
    size_t       i;
    redisReply  *reply, *id;
    const char  *argv[] = { "XRANGE", SCC_CTL_VERIFY_STREAM, w->next, "+",
                            "COUNT", SCC_CTL_VERIFY_PAGE };

    reply = scc_ctl_redis_ask(redis, "reading the queue", 6, argv, NULL);

    if (reply == NULL) {
        return -1;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
        freeReplyObject(reply);
        return 0;
    }

    scc_buf_reset(&w->ids);
    scc_buf_reset(&w->bodies);
    scc_buf_reset(&w->ages);

    for (i = 0; i < reply->elements; i++) {
        scc_ctl_verify_entry(w, reply->element[i]);
    }

    id = reply->element[reply->elements - 1];
    id = id->elements == 2 ? id->element[0] : NULL;

    if (id == NULL || id->type != REDIS_REPLY_STRING
        || (size_t) id->len + 2 > sizeof(w->next))
    {
        scc_ctl_error("reading the queue: Redis sent no stream");
        freeReplyObject(reply);
        return -1;
    }

    snprintf(w->next, sizeof(w->next), "(%s", id->str);
    freeReplyObject(reply);

    return scc_ctl_verify_lookup(w) == 0 ? 1 : -1;
}


static void
scc_ctl_verify_entry(scc_ctl_walk_t *w, redisReply *entry)
{
    size_t         i, size;
    scc_str_t      raw, segment;
    redisReply    *fields, *name, *value;
    scc_record_t   r;

    raw.len = 0;
    raw.data = NULL;
    segment = raw;

    fields = entry->elements == 2 ? entry->element[1] : NULL;

    for (i = 0; fields != NULL && i + 1 < fields->elements; i += 2) {
        name = fields->element[i];
        value = fields->element[i + 1];

        if (name->type == REDIS_REPLY_STRING && name->len == 1
            && value->type == REDIS_REPLY_STRING)
        {
            if (name->str[0] == 'r') {
                raw.len = (size_t) value->len;
                raw.data = (const uint8_t *) value->str;

            } else if (name->str[0] == 's') {
                segment.len = (size_t) value->len;
                segment.data = (const uint8_t *) value->str;
            }
        }
    }

    /* the records of a batch, one or more */

    do {
        w->records++;

        if (raw.len == 0 || scc_record_read(raw, &r, &size) != SCC_OK) {
            w->unreadable++;
            return;
        }

        if (!scc_ctl_verify_segment(w, segment)) {
            w->foreign++;
        }

        scc_ctl_verify_record(w, &r);

        raw.data += size;
        raw.len -= size;

    } while (raw.len != 0);
}


static void
scc_ctl_verify_record(scc_ctl_walk_t *w, const scc_record_t *r)
{
    size_t  k;

    static const char  hex[] = "0123456789abcdef";

    scc_buf_byte(&w->ids, w->ids.used == 0 ? '{' : ',');
    scc_uuid_write(&w->ids, r->event_id);

    scc_buf_text(&w->bodies, w->bodies.used == 0 ? "{\"\\\\x" : ",\"\\\\x");

    for (k = 0; k < 32; k++) {
        scc_buf_byte(&w->bodies, (uint8_t) hex[r->sha256[k] >> 4]);
        scc_buf_byte(&w->bodies, (uint8_t) hex[r->sha256[k] & 15]);
    }

    scc_buf_byte(&w->bodies, '"');

    scc_buf_byte(&w->ages, w->ages.used == 0 ? '{' : ',');
    scc_buf_int(&w->ages, w->now - (int64_t) (r->received / 1000000000));
}


static bool
scc_ctl_verify_segment(const scc_ctl_walk_t *w, scc_str_t id)
{
    size_t  i;

    if (w->j == NULL || id.len != 16) {
        return w->j == NULL;
    }

    for (i = 0; i < w->j->n; i++) {
        if (w->j->segments[i].known
            && memcmp(w->j->segments[i].head.segment, id.data, 16) == 0)
        {
            return true;
        }
    }

    return false;
}


static int
scc_ctl_verify_lookup(scc_ctl_walk_t *w)
{
    int64_t      oldest;
    PGresult    *res;
    const char  *params[4];

    if (w->ids.used == 0) {
        return 0;
    }

    scc_buf_mem(&w->ids, "}", 2);
    scc_buf_mem(&w->bodies, "}", 2);
    scc_buf_mem(&w->ages, "}", 2);

    if (w->ids.error || w->bodies.error || w->ages.error) {
        scc_ctl_error("out of memory");
        return -1;
    }

    params[0] = (const char *) w->ids.start;
    params[1] = (const char *) w->bodies.start;
    params[2] = (const char *) w->ages.start;
    params[3] = SCC_CTL_VERIFY_LATE;

    res = scc_ctl_pg_query(w->pg, "looking the queue up in the ledger",
                           "SELECT count(*) FILTER (WHERE NOT m.there"
                           "  AND NOT m.dead),"
                           " count(*) FILTER (WHERE NOT m.there"
                           "  AND NOT m.dead AND m.age > $4::int),"
                           " count(*) FILTER (WHERE m.there AND NOT m.same"
                           "  AND NOT m.dead),"
                           " coalesce(max(m.age) FILTER (WHERE NOT m.there"
                           "  AND NOT m.dead), 0)"
                           " FROM (SELECT u.age,"
                           "  l.event_id IS NOT NULL AS there,"
                           "  coalesce(l.body_sha256 = u.sha256"
                           "   OR scc.erased(l.kind, l.body), false) AS same,"
                           "  EXISTS (SELECT FROM scc.dead_letter d"
                           "   WHERE d.event_id = u.event_id) AS dead"
                           "  FROM unnest($1::uuid[], $2::bytea[],"
                           "   $3::bigint[]) AS u(event_id, sha256, age)"
                           "  LEFT JOIN scc.contribution l"
                           "   ON l.event_id = u.event_id) m",
                           4, params);
    if (res == NULL) {
        return -1;
    }

    w->waiting += strtoull(PQgetvalue(res, 0, 0), NULL, 10);
    w->late += strtoull(PQgetvalue(res, 0, 1), NULL, 10);
    w->other += strtoull(PQgetvalue(res, 0, 2), NULL, 10);
    oldest = strtoll(PQgetvalue(res, 0, 3), NULL, 10);

    if (oldest > w->oldest) {
        w->oldest = oldest;
    }

    PQclear(res);

    return 0;
}
