
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scc_ctl_look.h"
#include "scc_probe.h"


#define SCC_CTL_LOOK_WORDS     8
#define SCC_CTL_LOOK_CANARIES  5


static redisReply *scc_ctl_look_ask(redisContext *redis,
    const char *const *words);
static void scc_ctl_look_info(redisContext *redis, scc_audit_queue_t *q);
static void scc_ctl_look_config(redisContext *redis, scc_audit_queue_t *q);
static void scc_ctl_look_rights(redisContext *redis, scc_audit_queue_t *q);
static void scc_ctl_look_canary(redisContext *redis, scc_audit_queue_t *q);
static void scc_ctl_look_stream(redisContext *redis, scc_audit_queue_t *q);
static void scc_ctl_look_group(const redisReply *group,
    scc_audit_queue_t *q);
static bool scc_ctl_look_is(const redisReply *reply, const char *text);
static scc_str_t scc_ctl_look_str(const redisReply *reply);
static int scc_ctl_look_rows(PGconn *pg, scc_audit_store_t *s,
    const char *text);
static int scc_ctl_look_order(const void *a, const void *b);


static const char  *const scc_ctl_look_configs[] = {
    "*append*", "maxmemory*", "min-replicas-to-write",
    "aof-load-truncated", "dir", NULL
};


void
scc_ctl_look_queue(scc_audit_queue_t *q, const char *address,
    const char *cache)
{
    redisContext       *redis;
    scc_audit_queue_t  *other;

    redis = scc_ctl_redis_connect("queue", address);

    if (redis == NULL) {
        return;
    }

    scc_ctl_look_info(redis, q);
    scc_ctl_look_config(redis, q);

    if (q->info) {
        scc_ctl_look_rights(redis, q);
        scc_ctl_look_canary(redis, q);
        scc_ctl_look_stream(redis, q);

        if (redis->connection_type == REDIS_CONN_UNIX) {
            scc_probe_queue(q);
        }
    }

    redisFree(redis);

    if (cache == NULL) {
        return;
    }

    redis = scc_ctl_redis_connect("redis", cache);
    other = calloc(1, sizeof(scc_audit_queue_t));

    if (redis != NULL && other != NULL) {
        scc_ctl_look_info(redis, other);
        memcpy(q->cache_run_id, other->run_id, sizeof(q->cache_run_id));
    }

    free(other);

    if (redis != NULL) {
        redisFree(redis);
    }
}


/* The second statement is asked where its table is. */

void
scc_ctl_look_store(scc_audit_store_t *s, const char *conninfo)
{
    PGconn  *pg;

    pg = scc_ctl_pg_connect(conninfo, false);

    if (pg == NULL) {
        scc_audit_cat(s->error, sizeof(s->error), "no answer");
        return;
    }

    if (scc_ctl_look_rows(pg, s, scc_audit_store_sql) != 0) {
        scc_audit_cat(s->error, sizeof(s->error), "it refuses to answer");

    } else if (s->stamps) {
        (void) scc_ctl_look_rows(pg, s, scc_audit_stamp_sql);
    }

    PQfinish(pg);
}


static redisReply *
scc_ctl_look_ask(redisContext *redis, const char *const *words)
{
    int          n;
    const char  *argv[SCC_CTL_LOOK_WORDS];

    for (n = 0; n < SCC_CTL_LOOK_WORDS && words[n] != NULL; n++) {
        argv[n] = words[n];
    }

    return redisCommandArgv(redis, n, argv, NULL);
}


static void
scc_ctl_look_info(redisContext *redis, scc_audit_queue_t *q)
{
    redisReply  *reply;

    static const char  *const words[] = { "INFO", NULL };

    reply = scc_ctl_look_ask(redis, words);

    if (reply == NULL) {
        return;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        scc_audit_cat(q->why, sizeof(q->why), reply->str);

    } else {
        scc_audit_info(q, scc_ctl_look_str(reply));
    }

    freeReplyObject(reply);
}


static void
scc_ctl_look_config(redisContext *redis, scc_audit_queue_t *q)
{
    size_t        i, k;
    const char   *words[] = { "CONFIG", "GET", NULL, NULL };
    redisReply   *reply;

    for (i = 0; scc_ctl_look_configs[i] != NULL; i++) {
        words[2] = scc_ctl_look_configs[i];

        reply = scc_ctl_look_ask(redis, words);

        if (reply == NULL) {
            return;
        }

        if (reply->type == REDIS_REPLY_ERROR && q->why[0] == '\0') {
            scc_audit_cat(q->why, sizeof(q->why), reply->str);
        }

        for (k = 0; k + 1 < reply->elements; k += 2) {
            scc_audit_config(q, scc_ctl_look_str(reply->element[k]),
                             scc_ctl_look_str(reply->element[k + 1]));
        }

        freeReplyObject(reply);
    }
}


static void
scc_ctl_look_rights(redisContext *redis, scc_audit_queue_t *q)
{
    unsigned     i, n;
    redisReply  *who, *reply;
    const char  *words[SCC_CTL_LOOK_WORDS];

    static const char  *const whoami[] = { "ACL", "WHOAMI", NULL };

    who = scc_ctl_look_ask(redis, whoami);

    if (who == NULL) {
        return;
    }

    words[0] = "ACL";
    words[1] = "DRYRUN";
    words[2] = who->str;

    for (i = 0; who->type == REDIS_REPLY_STRING; i++) {
        n = scc_audit_right(i, words + 3);

        if (n == 0) {
            break;
        }

        words[3 + n] = NULL;

        reply = scc_ctl_look_ask(redis, words);

        if (reply == NULL) {
            break;
        }

        if (scc_ctl_look_is(reply, "OK")) {
            scc_audit_may(q, i);
        }

        freeReplyObject(reply);
    }

    freeReplyObject(who);
}


static void
scc_ctl_look_canary(redisContext *redis, scc_audit_queue_t *q)
{
    int               type;
    uint32_t          times[SCC_CTL_LOOK_CANARIES];
    unsigned          i;
    redisReply       *reply;
    struct timespec   from, to;

    static const char  *const words[] = {
        "XADD", "scc:canary", "MAXLEN", "1", "*", "t", "1", NULL
    };

    for (i = 0; i < SCC_CTL_LOOK_CANARIES; i++) {
        (void) clock_gettime(CLOCK_MONOTONIC, &from);

        reply = scc_ctl_look_ask(redis, words);

        (void) clock_gettime(CLOCK_MONOTONIC, &to);

        if (reply == NULL) {
            return;
        }

        type = reply->type;
        freeReplyObject(reply);

        if (type == REDIS_REPLY_ERROR) {
            return;
        }

        times[i] = (uint32_t) ((to.tv_sec - from.tv_sec) * 1000000
                               + (to.tv_nsec - from.tv_nsec) / 1000);
    }

    qsort(times, SCC_CTL_LOOK_CANARIES, sizeof(times[0]),
          scc_ctl_look_order);

    q->canary_usec = times[SCC_CTL_LOOK_CANARIES / 2];
}


static void
scc_ctl_look_stream(redisContext *redis, scc_audit_queue_t *q)
{
    size_t       i;
    redisReply  *reply;

    static const char  *const stream[] = {
        "XINFO", "STREAM", "scc:queue", NULL
    };

    static const char  *const groups[] = {
        "XINFO", "GROUPS", "scc:queue", NULL
    };

    reply = scc_ctl_look_ask(redis, stream);

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        freeReplyObject(reply);
        return;
    }

    q->stream = true;

    for (i = 0; i + 1 < reply->elements; i += 2) {
        if (scc_ctl_look_is(reply->element[i], "length")
            && reply->element[i + 1]->type == REDIS_REPLY_INTEGER)
        {
            q->length = (uint64_t) reply->element[i + 1]->integer;
        }
    }

    freeReplyObject(reply);

    reply = scc_ctl_look_ask(redis, groups);

    for (i = 0; reply != NULL && i < reply->elements; i++) {
        scc_ctl_look_group(reply->element[i], q);
    }

    freeReplyObject(reply);
}


static void
scc_ctl_look_group(const redisReply *group, scc_audit_queue_t *q)
{
    size_t  i;

    for (i = 0; i + 1 < group->elements; i += 2) {
        if (scc_ctl_look_is(group->element[i], "name")
            && scc_ctl_look_is(group->element[i + 1], "apply"))
        {
            q->group = true;
        }
    }
}


static bool
scc_ctl_look_is(const redisReply *reply, const char *text)
{
    return (reply->type == REDIS_REPLY_STRING
            || reply->type == REDIS_REPLY_STATUS)
           && reply->len == strlen(text)
           && memcmp(reply->str, text, reply->len) == 0;
}


static scc_str_t
scc_ctl_look_str(const redisReply *reply)
{
    scc_str_t  s = scc_null_string;

    if (reply->str != NULL) {
        s.len = reply->len;
        s.data = (const uint8_t *) reply->str;
    }

    return s;
}


static int
scc_ctl_look_rows(PGconn *pg, scc_audit_store_t *s, const char *text)
{
    int         i;
    PGresult   *res;
    scc_str_t   name, value;

    res = scc_ctl_pg_exec(pg, "looking at the store's settings", text);

    if (res == NULL) {
        return -1;
    }

    for (i = 0; i < PQntuples(res); i++) {

        if (PQgetisnull(res, i, 0) || PQgetisnull(res, i, 1)) {
            continue;
        }

        name.len = (size_t) PQgetlength(res, i, 0);
        name.data = (const uint8_t *) PQgetvalue(res, i, 0);
        value.len = (size_t) PQgetlength(res, i, 1);
        value.data = (const uint8_t *) PQgetvalue(res, i, 1);

        scc_audit_store_set(s, name, value);
    }

    PQclear(res);

    return 0;
}


static int
scc_ctl_look_order(const void *a, const void *b)
{
    uint32_t  x, y;

    x = *(const uint32_t *) a;
    y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}
