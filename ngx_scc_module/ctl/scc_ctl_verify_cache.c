
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scc_blob.h"
#include "scc_ctl_verify.h"
#include "scc_export.h"


#define SCC_CTL_VERIFY_CELLS   64           /* compared at once */
#define SCC_CTL_VERIFY_KEY     64
#define SCC_CTL_VERIFY_KEPT    10000        /* looked at again */
#define SCC_CTL_VERIFY_SHOWN   20
#define SCC_CTL_VERIFY_TRIES   3
#define SCC_CTL_VERIFY_PAUSE   2            /* the feed's interval and more */


typedef struct {
    redisContext         *redis;
    PGconn               *pg;
    scc_ctl_progress_t   *progress;
    uint64_t              generation;
    size_t                prefix;           /* of a cell's key */
    scc_ctl_pages_t      *pages;

    uint32_t             *cells;            /* of a batch */
    size_t                n;
    uint32_t             *again;
    size_t                n_again;
    bool                  last;             /* try: say what differs */

    uint64_t              looked;
    uint64_t              current;          /* VAL */
    uint64_t              old;              /* STALE, LEASE: nobody believes */
    uint64_t              damaged;
    uint64_t              differ;

    scc_blob_builder_t    builder;
    scc_buf_t             blob;
    scc_buf_t             ids;
} scc_ctl_cells_t;


static int scc_ctl_cells_identity(scc_ctl_cells_t *cc, uint64_t *found);
static int scc_ctl_cells_owner(scc_ctl_cells_t *cc, bool last);
static int scc_ctl_cells_scan(scc_ctl_cells_t *cc);
static int scc_ctl_cells_listed(scc_ctl_cells_t *cc, const redisReply *key);
static void scc_ctl_cells_name(const scc_ctl_cells_t *cc, uint32_t cell,
    char name[SCC_CTL_VERIFY_KEY]);
static int scc_ctl_cells_key(const scc_ctl_cells_t *cc, const char *key,
    uint32_t *cell);
static int scc_ctl_cells_compare(scc_ctl_cells_t *cc);
static PGresult *scc_ctl_cells_ask(scc_ctl_cells_t *cc);
static int scc_ctl_cells_build(scc_ctl_cells_t *cc, const PGresult *res,
    int *row, uint32_t cell);
static void scc_ctl_cells_judge(scc_ctl_cells_t *cc, uint32_t cell,
    const redisReply *copy);
static int scc_ctl_cells_cmp(const void *a, const void *b);


int
scc_ctl_verify_cache(redisContext *redis, PGconn *pg, uint64_t generation,
    scc_ctl_progress_t *progress, uint64_t *found)
{
    int              rc;
    size_t           i, n;
    unsigned         tries;
    scc_ctl_cells_t  cc;

    memset(&cc, 0, sizeof(scc_ctl_cells_t));

    cc.redis = redis;
    cc.pg = pg;
    cc.progress = progress;
    cc.generation = generation;
    cc.prefix = (size_t) snprintf(NULL, 0, "scc:c:%llu:",
                                  (unsigned long long) generation);
    cc.pages = scc_ctl_pages_open(redis, pg, generation);
    cc.cells = calloc(SCC_CTL_VERIFY_CELLS, sizeof(uint32_t));
    cc.again = calloc(SCC_CTL_VERIFY_KEPT, sizeof(uint32_t));

    scc_blob_builder_init(&cc.builder);
    scc_buf_heap(&cc.blob, 0);
    scc_buf_heap(&cc.ids, 0);

    rc = -1;

    if (cc.pages == NULL) {
        goto done;
    }

    if (cc.cells == NULL || cc.again == NULL) {
        scc_ctl_error("out of memory");
        goto done;
    }

    if (scc_ctl_cells_identity(&cc, found) != 0
        || scc_ctl_cells_scan(&cc) != 0)
    {
        goto done;
    }

    /* the feed tells of changes a moment later: what still differs then */

    for (tries = 1; cc.n_again > 0 && tries <= SCC_CTL_VERIFY_TRIES; tries++)
    {
        sleep(SCC_CTL_VERIFY_PAUSE);

        cc.last = (tries == SCC_CTL_VERIFY_TRIES);
        n = cc.n_again;
        cc.n_again = 0;

        for (i = 0; i < n; i++) {
            cc.cells[cc.n++] = cc.again[i];

            if ((cc.n == SCC_CTL_VERIFY_CELLS || i == n - 1)
                && scc_ctl_cells_compare(&cc) != 0)
            {
                goto done;
            }
        }
    }

    scc_ctl_progress_clear(progress);

    printf("cache      cells %llu, current %llu, old or being filled %llu, "
           "damaged %llu\n",
           (unsigned long long) cc.looked, (unsigned long long) cc.current,
           (unsigned long long) cc.old, (unsigned long long) cc.damaged);
    printf("cache      current cells that are not what the store says: "
           "%llu\n", (unsigned long long) cc.differ);

    *found += cc.differ + cc.damaged;

    rc = scc_ctl_pages_end(cc.pages, found);

done:

    scc_ctl_pages_free(cc.pages);

    scc_blob_builder_free(&cc.builder);
    scc_buf_free(&cc.blob);
    scc_buf_free(&cc.ids);
    free(cc.cells);
    free(cc.again);

    return rc;
}


/* After an adoption nginx throws the copies away by itself, soon. */

static int
scc_ctl_cells_identity(scc_ctl_cells_t *cc, uint64_t *found)
{
    int       rc;
    unsigned  tries;

    for (tries = 0; tries < SCC_CTL_VERIFY_TRIES; tries++) {
        rc = scc_ctl_cells_owner(cc, tries == SCC_CTL_VERIFY_TRIES - 1);

        if (rc <= 0) {
            return rc;
        }

        sleep(SCC_CTL_VERIFY_PAUSE);
    }

    (*found)++;

    return 0;
}


/*
 * scc:i:GENERATION: the store that the copies are of; 1: of another one.
 * What follows is the store's life, which nginx counts: it begins anew when
 * a store that went back has been replayed into.
 */

static int
scc_ctl_cells_owner(scc_ctl_cells_t *cc, bool last)
{
    int          rc;
    char         key[SCC_CTL_VERIFY_KEY];
    size_t       len;
    PGresult    *res;
    redisReply  *reply;
    const char  *argv[2];

    res = scc_ctl_pg_exec(cc->pg, "reading the store's identity",
                          "SELECT i.store_uuid || '/' || i.epoch || '/'"
                          " || s.system_identifier"
                          " FROM scc.identity i, pg_control_system() s");
    if (res == NULL) {
        return -1;
    }

    snprintf(key, sizeof(key), "scc:i:%llu",
             (unsigned long long) cc->generation);

    argv[0] = "GET";
    argv[1] = key;

    reply = scc_ctl_redis_ask(cc->redis, "reading the cache's identity", 2,
                              argv, NULL);
    rc = -1;

    if (reply != NULL) {
        len = PQntuples(res) == 1 ? strlen(PQgetvalue(res, 0, 0)) : 0;

        rc = reply->type == REDIS_REPLY_STRING && len != 0
             && (strncmp(reply->str, PQgetvalue(res, 0, 0), len) != 0
                 || (reply->str[len] != '\0' && reply->str[len] != '/'));

        if (rc && last) {
            printf("DIFFERS the cache's copies are of store %s, this one is "
                   "%s: if this store is\n        the right one, raise "
                   "scc_cache_generation on all hosts\n", reply->str,
                   PQgetvalue(res, 0, 0));
        }

        freeReplyObject(reply);
    }

    PQclear(res);

    return rc;
}


static int
scc_ctl_cells_scan(scc_ctl_cells_t *cc)
{
    char         pattern[SCC_CTL_VERIFY_KEY], cursor[24];
    size_t       i;
    redisReply  *reply, *keys;
    const char  *argv[] = { "SCAN", cursor, "MATCH", pattern, "COUNT",
                            "1000" };

    snprintf(pattern, sizeof(pattern), "scc:[cp]:%llu:*",
             (unsigned long long) cc->generation);
    strcpy(cursor, "0");

    do {
        reply = scc_ctl_redis_ask(cc->redis, "listing the cache", 6, argv,
                                  NULL);
        if (reply == NULL) {
            return -1;
        }

        keys = (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
               ? reply->element[1] : NULL;

        if (keys == NULL || keys->type != REDIS_REPLY_ARRAY
            || reply->element[0]->len >= sizeof(cursor))
        {
            scc_ctl_error("listing the cache: Redis sent no list");
            freeReplyObject(reply);
            return -1;
        }

        snprintf(cursor, sizeof(cursor), "%s", reply->element[0]->str);

        for (i = 0; i < keys->elements; i++) {
            if (keys->element[i]->type == REDIS_REPLY_STRING
                && scc_ctl_cells_listed(cc, keys->element[i]) != 0)
            {
                freeReplyObject(reply);
                return -1;
            }
        }

        freeReplyObject(reply);

        scc_ctl_progress_update(cc->progress, "cache", 0, 0, cc->looked);

    } while (strcmp(cursor, "0") != 0);

    return cc->n > 0 ? scc_ctl_cells_compare(cc) : 0;
}


static int
scc_ctl_cells_listed(scc_ctl_cells_t *cc, const redisReply *key)
{
    uint32_t  cell;

    if (key->len > 4 && key->str[4] == 'p') {
        return scc_ctl_pages_add(cc->pages, key->str, (size_t) key->len);
    }

    if (scc_ctl_cells_key(cc, key->str, &cell) != 0) {
        return 0;
    }

    cc->cells[cc->n++] = cell;

    return cc->n < SCC_CTL_VERIFY_CELLS ? 0 : scc_ctl_cells_compare(cc);
}


static void
scc_ctl_cells_name(const scc_ctl_cells_t *cc, uint32_t cell,
    char name[SCC_CTL_VERIFY_KEY])
{
    snprintf(name, SCC_CTL_VERIFY_KEY, "scc:c:%llu:%u:%u",
             (unsigned long long) cc->generation, cell >> 16, cell & 65535);
}


/* What a cell's number makes of it again is the key. */

static int
scc_ctl_cells_key(const scc_ctl_cells_t *cc, const char *key, uint32_t *cell)
{
    char           want[SCC_CTL_VERIFY_KEY], *end;
    unsigned long  x, y;

    if (strlen(key) < cc->prefix) {
        return -1;
    }

    x = strtoul(key + cc->prefix, &end, 10);
    y = *end == ':' ? strtoul(end + 1, &end, 10) : ULONG_MAX;

    if (x > 65535 || y > 65535) {
        return -1;
    }

    *cell = (uint32_t) (x << 16 | y);

    scc_ctl_cells_name(cc, *cell, want);

    return strcmp(want, key) == 0 ? 0 : -1;
}


/* The store is asked first: a copy that was filled from it since, is newer
   and is looked at again. */

static int
scc_ctl_cells_compare(scc_ctl_cells_t *cc)
{
    int          row, rc;
    char         keys[SCC_CTL_VERIFY_CELLS][SCC_CTL_VERIFY_KEY];
    size_t       i, n;
    PGresult    *res;
    redisReply  *reply;
    const char  *argv[SCC_CTL_VERIFY_CELLS + 1];

    qsort(cc->cells, cc->n, sizeof(uint32_t), scc_ctl_cells_cmp);

    res = scc_ctl_cells_ask(cc);

    if (res == NULL) {
        return -1;
    }

    argv[0] = "MGET";

    for (i = 0; i < cc->n; i++) {
        scc_ctl_cells_name(cc, cc->cells[i], keys[i]);
        argv[i + 1] = keys[i];
    }

    n = cc->n;
    cc->n = 0;

    reply = scc_ctl_redis_ask(cc->redis, "reading the cache", (int) n + 1,
                              argv, NULL);

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY
        || reply->elements != n)
    {
        if (reply != NULL) {
            scc_ctl_error("reading the cache: Redis sent no list");
            freeReplyObject(reply);
        }

        PQclear(res);
        return -1;
    }

    row = 0;
    rc = 0;

    for (i = 0; i < n && rc == 0; i++) {
        rc = scc_ctl_cells_build(cc, res, &row, cc->cells[i]);

        if (rc == 0) {
            scc_ctl_cells_judge(cc, cc->cells[i], reply->element[i]);
        }
    }

    freeReplyObject(reply);
    PQclear(res);

    return rc;
}


static PGresult *
scc_ctl_cells_ask(scc_ctl_cells_t *cc)
{
    size_t       i;
    const char  *params[1];

    scc_buf_reset(&cc->ids);

    for (i = 0; i < cc->n; i++) {
        scc_buf_byte(&cc->ids, i == 0 ? '{' : ',');
        scc_buf_uint(&cc->ids, cc->cells[i]);
    }

    scc_buf_mem(&cc->ids, "}", 2);

    if (cc->ids.error) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    params[0] = (const char *) cc->ids.start;

    return scc_ctl_pg_query(cc->pg, "reading cells",
                            "SELECT k.cell, coalesce(c.ver, 0), e.*"
                            " FROM unnest($1::bigint[]) AS k(cell)"
                            " LEFT JOIN scc.cell c ON c.cell = k.cell"
                            " LEFT JOIN LATERAL (SELECT x.* FROM scc.place p"
                            "  JOIN scc.export x ON x.id = p.id"
                            "  WHERE p.cell = k.cell) e ON true"
                            " ORDER BY k.cell, e.id", 1, params);
}


/* The cell as a fill would write it, in cc->blob. */

static int
scc_ctl_cells_build(scc_ctl_cells_t *cc, const PGresult *res, int *row,
    uint32_t cell)
{
    int           k;
    uint64_t      ver;
    scc_str_t     column[SCC_EXPORT_COLUMNS];
    scc_export_t  e;

    scc_blob_begin(&cc->builder);
    ver = 0;

    for ( /* void */ ; *row < PQntuples(res); (*row)++) {

        if (strtoull(PQgetvalue(res, *row, 0), NULL, 10) != cell) {
            break;
        }

        ver = strtoull(PQgetvalue(res, *row, 1), NULL, 10);

        if (PQgetisnull(res, *row, 2)) {
            continue;
        }

        for (k = 0; k < SCC_EXPORT_COLUMNS; k++) {
            column[k].len = (size_t) PQgetlength(res, *row, k + 2);
            column[k].data = PQgetisnull(res, *row, k + 2)
                             ? NULL
                             : (const uint8_t *) PQgetvalue(res, *row, k + 2);
        }

        if (scc_export_row(column, &e) != SCC_OK
            || scc_blob_add(&cc->builder, &e.place) != SCC_OK)
        {
            scc_ctl_error("the place \"%s\" holds a value that no place has; "
                          "look at it in scc.export",
                          PQgetvalue(res, *row, 2));
            return -1;
        }
    }

    scc_buf_reset(&cc->blob);

    if (scc_blob_finish(&cc->builder, ver, &cc->blob) != SCC_OK
        || cc->blob.error)
    {
        scc_ctl_error("out of memory");
        return -1;
    }

    return 0;
}


static void
scc_ctl_cells_judge(scc_ctl_cells_t *cc, uint32_t cell,
    const redisReply *copy)
{
    scc_str_t   bytes;
    scc_blob_t  have, want;

    /* evicted meanwhile? */

    if (copy->type != REDIS_REPLY_STRING) {
        return;
    }

    bytes.len = (size_t) copy->len;
    bytes.data = (const uint8_t *) copy->str;

    cc->looked++;

    if (scc_blob_open(bytes, &have) != SCC_OK) {
        cc->damaged++;
        printf("DIFFERS cell %u/%u is damaged in the cache; nginx will throw "
               "it away when it is read\n", cell >> 16, cell & 65535);
        return;
    }

    if (have.state != SCC_BLOB_VAL) {
        cc->old++;
        return;
    }

    if (scc_blob_open(scc_buf_get(&cc->blob), &want) == SCC_OK
        && have.ver == want.ver && have.n == want.n && have.crc == want.crc
        && bytes.len == cc->blob.used
        && memcmp(bytes.data + SCC_BLOB_HEADER,
                  cc->blob.start + SCC_BLOB_HEADER,
                  bytes.len - SCC_BLOB_HEADER)
           == 0)
    {
        cc->current++;
        return;
    }

    if (!cc->last && cc->n_again < SCC_CTL_VERIFY_KEPT) {
        cc->again[cc->n_again++] = cell;
        cc->looked--;
        return;
    }

    if (cc->differ++ < SCC_CTL_VERIFY_SHOWN) {
        printf("DIFFERS cell %u/%u: version %llu with %u places in the "
               "cache, %llu with %u in the store\n", cell >> 16, cell & 65535,
               (unsigned long long) have.ver, have.n,
               (unsigned long long) want.ver, want.n);
    }
}


static int
scc_ctl_cells_cmp(const void *a, const void *b)
{
    const uint32_t  *x, *y;

    x = a;
    y = b;

    return (*x > *y) - (*x < *y);
}
