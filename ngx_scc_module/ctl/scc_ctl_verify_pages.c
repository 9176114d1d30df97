
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_ctl_verify.h"
#include "scc_page.h"


#define SCC_CTL_PAGES_BATCH    64
#define SCC_CTL_PAGES_SHOWN    20
#define SCC_CTL_PAGES_PREFIX   32


struct scc_ctl_pages_s {
    redisContext         *redis;
    PGconn               *pg;
    char                  prefix[SCC_CTL_PAGES_PREFIX];
    size_t                prefix_len;

    char                  id[SCC_CTL_PAGES_BATCH][SCC_ID_MAX + 1];
    scc_page_t            page[SCC_CTL_PAGES_BATCH];
    size_t                n;

    uint64_t              looked;
    uint64_t              current;          /* of the cell's version */
    uint64_t              old;              /* read anew before it is sent */
    uint64_t              damaged;
    uint64_t              differ;

    scc_buf_t             ids;
    scc_buf_t             cells;
    scc_buf_t             vers;
};


static int scc_ctl_pages_compare(scc_ctl_pages_t *pp);
static redisReply *scc_ctl_pages_get(scc_ctl_pages_t *pp);
static size_t scc_ctl_pages_take(scc_ctl_pages_t *pp,
    const redisReply *reply);
static PGresult *scc_ctl_pages_ask(scc_ctl_pages_t *pp, size_t n);
static void scc_ctl_pages_judge(scc_ctl_pages_t *pp, const PGresult *res,
    int row, size_t i);


scc_ctl_pages_t *
scc_ctl_pages_open(redisContext *redis, PGconn *pg, uint64_t generation)
{
    scc_ctl_pages_t  *pp;

    pp = calloc(1, sizeof(scc_ctl_pages_t));

    if (pp == NULL) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    pp->redis = redis;
    pp->pg = pg;
    pp->prefix_len = (size_t) snprintf(pp->prefix, SCC_CTL_PAGES_PREFIX,
                                       "scc:p:%llu:",
                                       (unsigned long long) generation);

    scc_buf_heap(&pp->ids, 0);
    scc_buf_heap(&pp->cells, 0);
    scc_buf_heap(&pp->vers, 0);

    return pp;
}


void
scc_ctl_pages_free(scc_ctl_pages_t *pp)
{
    if (pp == NULL) {
        return;
    }

    scc_buf_free(&pp->ids);
    scc_buf_free(&pp->cells);
    scc_buf_free(&pp->vers);
    free(pp);
}


int
scc_ctl_pages_add(scc_ctl_pages_t *pp, const char *key, size_t len)
{
    scc_str_t  id;

    if (len <= pp->prefix_len || len - pp->prefix_len > SCC_ID_MAX
        || memcmp(key, pp->prefix, pp->prefix_len) != 0)
    {
        return 0;
    }

    id.data = (const uint8_t *) key + pp->prefix_len;
    id.len = len - pp->prefix_len;

    if (!scc_utf8_valid(id) || memchr(id.data, '\0', id.len) != NULL) {
        return 0;
    }

    memcpy(pp->id[pp->n], id.data, id.len);
    pp->id[pp->n++][id.len] = '\0';

    return pp->n < SCC_CTL_PAGES_BATCH ? 0 : scc_ctl_pages_compare(pp);
}


int
scc_ctl_pages_end(scc_ctl_pages_t *pp, uint64_t *found)
{
    if (pp->n > 0 && scc_ctl_pages_compare(pp) != 0) {
        return -1;
    }

    printf("pages      copies %llu, current %llu, old %llu, damaged %llu\n",
           (unsigned long long) pp->looked,
           (unsigned long long) pp->current, (unsigned long long) pp->old,
           (unsigned long long) pp->damaged);
    printf("pages      current copies that are not what the store says: "
           "%llu\n", (unsigned long long) pp->differ);

    *found += pp->differ + pp->damaged;

    return 0;
}


/* The cache is read first: a page that was current then, and is of the
   version that its cell still has, is what the store says now. */

static int
scc_ctl_pages_compare(scc_ctl_pages_t *pp)
{
    int          row;
    size_t       i, n;
    PGresult    *res;
    redisReply  *reply;

    reply = scc_ctl_pages_get(pp);

    if (reply == NULL) {
        return -1;
    }

    n = scc_ctl_pages_take(pp, reply);
    pp->n = 0;

    if (n == 0) {
        freeReplyObject(reply);
        return 0;
    }

    res = scc_ctl_pages_ask(pp, n);

    if (res == NULL) {
        freeReplyObject(reply);
        return -1;
    }

    for (row = 0; row < PQntuples(res); row++) {
        i = (size_t) strtoul(PQgetvalue(res, row, 0), NULL, 10) - 1;

        if (i < n) {
            scc_ctl_pages_judge(pp, res, row, i);
        }
    }

    PQclear(res);
    freeReplyObject(reply);

    return 0;
}


static redisReply *
scc_ctl_pages_get(scc_ctl_pages_t *pp)
{
    char         keys[SCC_CTL_PAGES_BATCH]
                     [SCC_CTL_PAGES_PREFIX + SCC_ID_MAX];
    size_t       i;
    redisReply  *reply;
    const char  *argv[SCC_CTL_PAGES_BATCH + 1];

    argv[0] = "MGET";

    for (i = 0; i < pp->n; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%s%s", pp->prefix, pp->id[i]);
        argv[i + 1] = keys[i];
    }

    reply = scc_ctl_redis_ask(pp->redis, "reading the cache",
                              (int) pp->n + 1, argv, NULL);

    if (reply != NULL
        && (reply->type != REDIS_REPLY_ARRAY || reply->elements != pp->n))
    {
        scc_ctl_error("reading the cache: Redis sent no list");
        freeReplyObject(reply);
        return NULL;
    }

    return reply;
}


/* How many of the batch are pages: these are at its beginning then, and
   borrow the reply's bytes. */

static size_t
scc_ctl_pages_take(scc_ctl_pages_t *pp, const redisReply *reply)
{
    size_t             i, n;
    scc_str_t          bytes;
    const redisReply  *copy;

    for (i = 0, n = 0; i < pp->n; i++) {
        copy = reply->element[i];

        /* evicted meanwhile? */

        if (copy->type != REDIS_REPLY_STRING) {
            continue;
        }

        pp->looked++;

        bytes.len = (size_t) copy->len;
        bytes.data = (const uint8_t *) copy->str;

        if (scc_page_open(bytes, &pp->page[n]) != SCC_OK) {
            pp->damaged++;
            printf("DIFFERS the page of \"%s\" is damaged in the cache; nginx "
                   "will not use it\n", pp->id[i]);
            continue;
        }

        if (n != i) {
            memcpy(pp->id[n], pp->id[i], sizeof(pp->id[n]));
        }

        n++;
    }

    return n;
}


static PGresult *
scc_ctl_pages_ask(scc_ctl_pages_t *pp, size_t n)
{
    char         comma, hex[3];
    size_t       i;
    const char  *p, *params[3];

    scc_buf_reset(&pp->ids);
    scc_buf_reset(&pp->cells);
    scc_buf_reset(&pp->vers);

    for (i = 0; i < n; i++) {
        comma = i == 0 ? '{' : ',';

        scc_buf_byte(&pp->ids, (uint8_t) comma);
        scc_buf_text(&pp->ids, "\"\\\\x");

        for (p = pp->id[i]; *p != '\0'; p++) {
            snprintf(hex, sizeof(hex), "%02x", (unsigned char) *p);
            scc_buf_text(&pp->ids, hex);
        }

        scc_buf_byte(&pp->ids, '"');

        scc_buf_byte(&pp->cells, (uint8_t) comma);
        scc_buf_uint(&pp->cells, pp->page[i].cell);

        scc_buf_byte(&pp->vers, (uint8_t) comma);
        scc_buf_uint(&pp->vers, pp->page[i].ver);
    }

    scc_buf_mem(&pp->ids, "}", 2);
    scc_buf_mem(&pp->cells, "}", 2);
    scc_buf_mem(&pp->vers, "}", 2);

    if (pp->ids.error || pp->cells.error || pp->vers.error) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    params[0] = (const char *) pp->ids.start;
    params[1] = (const char *) pp->cells.start;
    params[2] = (const char *) pp->vers.start;

    /* a page of an older version is not made again */

    return scc_ctl_pg_query(pp->pg, "reading pages",
                            "SELECT k.n, coalesce(c.ver, 0), p.rev,"
                            " CASE WHEN coalesce(c.ver, 0) = k.ver"
                            "  THEN scc.place_page(p.id) END"
                            " FROM unnest($1::bytea[], $2::bigint[],"
                            "  $3::numeric[]) WITH ORDINALITY"
                            "  AS k(id, cell, ver, n)"
                            " LEFT JOIN scc.cell c ON c.cell = k.cell"
                            " LEFT JOIN scc.place p ON p.cell = k.cell AND"
                            "  p.id = convert_from(k.id, 'UTF8')", 3, params);
}


static void
scc_ctl_pages_judge(scc_ctl_pages_t *pp, const PGresult *res, int row,
    size_t i)
{
    uint64_t           ver, rev;
    const scc_page_t  *page;

    page = &pp->page[i];

    ver = strtoull(PQgetvalue(res, row, 1), NULL, 10);
    rev = strtoull(PQgetvalue(res, row, 2), NULL, 10);

    if (page->ver < ver) {
        pp->old++;
        return;
    }

    if (page->ver == ver && page->rev == rev && !PQgetisnull(res, row, 3)
        && page->json.len == (size_t) PQgetlength(res, row, 3)
        && memcmp(page->json.data, PQgetvalue(res, row, 3), page->json.len)
           == 0)
    {
        pp->current++;
        return;
    }

    if (pp->differ++ < SCC_CTL_PAGES_SHOWN) {
        printf("DIFFERS the page of \"%s\": version %llu, revision %llu in "
               "the cache, %llu and %s in the store\n", pp->id[i],
               (unsigned long long) page->ver,
               (unsigned long long) page->rev, (unsigned long long) ver,
               PQgetisnull(res, row, 2) ? "no such place there"
                                        : PQgetvalue(res, row, 2));
    }
}
