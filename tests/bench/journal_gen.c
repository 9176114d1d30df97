
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


/*
 * journal_gen DIR STORE N SEED
 *
 * A journal of N contributions as two workers of nginx would have written
 * them: sealed segments of 16 MiB, batches of 1 to 64 records.  20,000 places
 * and 2,000 contributors however large N is; the same arguments give the
 * same records.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_contribution.h"
#include "scc_journal.h"


#define PLACES        20000
#define BUILDINGS     5000
#define CONTRIBUTORS  2000
#define WRITERS       2
#define SEGMENT       (16 * 1024 * 1024)
#define BEGIN         1764000000000ULL      /* ms since 1970 */


typedef struct {
    FILE           *file;
    scc_segment_t   head;
    scc_chain_t     chain;
    scc_batch_t     batch;
    scc_buf_t       b;
    size_t          size;
    uint64_t        left;           /* records of the batch */
} writer_t;


static uint64_t  state;


static uint64_t
any(void)
{
    uint64_t  z;

    z = (state += 0x9e3779b97f4a7c15ULL);       /* SplitMix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;

    return z ^ (z >> 31);
}


static uint64_t
below(uint64_t n)
{
    return any() % n;
}


static void
check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}


static void
fill(uint8_t *p, size_t n)
{
    uint64_t  r;

    for ( ; n > 0; p += 8, n -= 8) {
        r = any();
        memcpy(p, &r, 8);
    }
}


static void
out(writer_t *w)
{
    check(!w->b.error
          && fwrite(w->b.start, 1, w->b.used, w->file) == w->b.used,
          "write");
    w->size += w->b.used;
}


static void
begin(writer_t *w, const char *dir, unsigned k, uint64_t msec)
{
    char      path[4096];
    uint8_t   block[SCC_JOURNAL_BLOCK];
    uint32_t  chain;

    fill(w->head.segment, 16);
    w->head.created = msec * 1000000;

    snprintf(path, sizeof(path), "%s/%016llx-%08x-%04x.seg", dir,
             (unsigned long long) msec, 1000 + k,
             (unsigned) w->head.number & 0xffff);

    w->file = fopen(path, "wb");
    check(w->file != NULL, path);

    chain = scc_segment_write(block, &w->head);
    scc_chain_begin(&w->chain, &w->head, chain);

    check(fwrite(block, 1, sizeof(block), w->file) == sizeof(block), path);
    w->size = sizeof(block);
    w->left = 0;
}


static void
seal(writer_t *w)
{
    if (w->left > 0) {
        check(scc_batch_finish(&w->batch, &w->chain) == SCC_OK, "batch");
        out(w);
    }

    memcpy(w->head.previous, w->head.segment, 16);
    w->head.previous_chain = w->chain.chain;
    w->head.last_hlc = w->chain.last_hlc;
    w->head.number++;

    check(scc_batch_seal(&w->b, &w->chain) == SCC_OK, "seal");
    out(w);
    check(fclose(w->file) == 0, "close");
    w->file = NULL;
}


static const char *
contribution(char *body, size_t size, uint64_t i, scc_record_t *r,
    char target[64])
{
    uint64_t  dice;

    static const char *const  stairs[] = { "NONE", "ONE", "TWO_TO_FIVE",
                                           "OVER_SIX" };

    snprintf(target, 64, "place-%06llu",
             (unsigned long long) (i < PLACES ? i : below(PLACES)));

    dice = (i < PLACES) ? 100 : below(100);

    if (dice == 100) {
        r->kind = SCC_KIND_PLACE;
        snprintf(body, size, "{\"placeId\":\"%s\",\"name\":\"계단 없는 가게 "
                 "%llu\",\"location\":{\"lng\":%llu.%07llu,\"lat\":37.%07llu}"
                 ",\"category\":\"CAFE\",\"buildingId\":\"b-%llu\","
                 "\"address\":\"서울특별시 강남구 테헤란로 %llu\"}", target,
                 (unsigned long long) i, (unsigned long long) 126 + below(2),
                 (unsigned long long) below(10000000),
                 (unsigned long long) below(10000000),
                 (unsigned long long) below(BUILDINGS),
                 (unsigned long long) below(500));

    } else if (dice < 60) {
        r->kind = SCC_KIND_PLACE_ACCESSIBILITY;
        snprintf(body, size, "{\"placeId\":\"%s\",\"stairInfo\":\"%s\",%s"
                 "\"floors\":[1],\"isFirstFloor\":true,\"hasSlope\":%s,"
                 "\"entranceDoorTypes\":[\"Hinged\"],\"imageUrls\":"
                 "[\"https://img.example.org/2026/%llu.jpg\"]}", target,
                 stairs[dice % 4],
                 dice % 4 == 1 ? "\"stairHeightLevel\":\"THUMB\"," : "",
                 dice % 3 == 0 ? "true" : "false", (unsigned long long) i);

    } else if (dice < 80) {
        r->kind = SCC_KIND_BUILDING_ACCESSIBILITY;
        snprintf(target, 64, "b-%llu", (unsigned long long) below(BUILDINGS));
        snprintf(body, size, "{\"buildingId\":\"%s\",\"entranceStairInfo\":"
                 "\"NONE\",\"hasElevator\":true,\"elevatorStairInfo\":"
                 "\"NONE\",\"hasSlope\":false,\"entranceDoorTypes\":"
                 "[\"Sliding\"],\"imageUrls\":[\"https://img.example.org/"
                 "b/%llu.jpg\"]}", target, (unsigned long long) i);

    } else if (dice < 92) {
        r->kind = SCC_KIND_COMMENT;
        snprintf(body, size, "{\"placeId\":\"%s\",\"comment\":\"입구에 "
                 "경사로가 있어요 %llu\"}", target, (unsigned long long) i);

    } else if (dice < 97) {
        r->kind = SCC_KIND_REPORT;
        snprintf(body, size, "{\"placeId\":\"%s\",\"reason\":\"CLOSED\"}",
                 target);

    } else {
        r->kind = SCC_KIND_CONTRIBUTOR;
        snprintf(body, size, "{\"displayName\":\"새 이름 %llu\"}",
                 (unsigned long long) i);
        target[0] = '\0';
    }

    return body;
}


int
main(int argc, char **argv)
{
    char          body[1024], target[64], id[64], name[64];
    uint64_t      i, n, hlc, msec;
    unsigned      k, who;
    scc_str_t     store;
    writer_t      writers[WRITERS], *w;
    scc_record_t  r;

    if (argc != 5) {
        fprintf(stderr, "usage: journal_gen DIR STORE N SEED\n");
        return 2;
    }

    n = strtoull(argv[3], NULL, 10);
    state = strtoull(argv[4], NULL, 10);
    memset(writers, 0, sizeof(writers));
    msec = BEGIN;
    hlc = 0;

    for (k = 0; k < WRITERS; k++) {
        w = &writers[k];
        scc_buf_heap(&w->b, 0);
        fill(w->head.writer, 16);

        store.data = (const uint8_t *) argv[2];
        store.len = strlen(argv[2]);
        check(scc_uuid_parse(store, w->head.store) == SCC_OK, "store");

        store.data = (const uint8_t *) "bench";
        store.len = 5;
        w->head.host = store;
    }

    for (i = 0; i < n; i++) {
        w = &writers[below(WRITERS)];
        msec += below(3);

        if (w->file == NULL) {
            begin(w, argv[1], (unsigned) (w - writers), msec);
        }

        if (w->left == 0) {
            scc_batch_begin(&w->batch, &w->b);
            w->left = 1 + below(64);
        }

        memset(&r, 0, sizeof(scc_record_t));

        hlc = scc_hlc_next(hlc, msec);
        r.hlc = hlc;
        r.received = msec * 1000000;
        fill(r.event_id, 16);
        r.event_id[6] = (uint8_t) (0x70 | (r.event_id[6] & 15));
        r.event_id[8] = (uint8_t) (0x80 | (r.event_id[8] & 63));

        r.body.data = (const uint8_t *) contribution(body, sizeof(body), i,
                                                     &r, target);
        r.body.len = strlen(body);
        scc_sha256(r.sha256, r.body);

        who = (unsigned) below(CONTRIBUTORS);
        snprintf(id, sizeof(id), "volunteer-%u", who);
        snprintf(name, sizeof(name), "용감한 토끼 %u", who);

        r.contributor_id.data = (const uint8_t *) id;
        r.contributor_id.len = strlen(id);
        r.contributor_name.data = (const uint8_t *) name;
        r.contributor_name.len = strlen(name);

        if (r.kind == SCC_KIND_CONTRIBUTOR) {
            memcpy(target, id, strlen(id) + 1);
        }

        r.target.data = (const uint8_t *) target;
        r.target.len = strlen(target);

        scc_record_write(&w->b, &r);
        scc_batch_add(&w->batch, &r);

        if (--w->left == 0) {
            check(scc_batch_finish(&w->batch, &w->chain) == SCC_OK, "batch");
            out(w);

            if (w->size > SEGMENT - 128 * 1024) {
                seal(w);
            }
        }
    }

    for (k = 0; k < WRITERS; k++) {
        if (writers[k].file != NULL) {
            seal(&writers[k]);
        }

        scc_buf_free(&writers[k].b);
    }

    return 0;
}
