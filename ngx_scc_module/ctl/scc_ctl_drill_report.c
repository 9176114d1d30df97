
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <string.h>

#include "scc_ctl_drill.h"


static void scc_ctl_drill_number(scc_buf_t *b, const char *name, uint64_t n);
static void scc_ctl_drill_seconds(scc_buf_t *b, const char *name,
    double seconds);


void
scc_ctl_drill_print(const scc_ctl_drill_t *d)
{
    char                  when[SCC_CTL_TIME];
    double                rate;
    const scc_ctl_live_t  *l;

    l = &d->live;
    rate = d->rebuilt.seconds > 0
           ? (double) d->rebuilt.records / d->rebuilt.seconds : 0;

    printf("copies      hosts %llu, segments %llu, tails %llu, bytes %s\n",
           (unsigned long long) d->hosts, (unsigned long long) d->objects,
           (unsigned long long) d->tails, scc_ctl_grouped(d->bytes));

    printf("restored    records %s, events %s, dead letters %llu\n",
           scc_ctl_grouped(d->rebuilt.records),
           scc_ctl_grouped(d->rebuilt.events),
           (unsigned long long) d->rebuilt.dead);

    printf("compared    every record: %s in the ledger, %llu dead letters, "
           "%llu missing, %llu differ\n",
           scc_ctl_grouped(d->compared.ledger + d->compared.repeats),
           (unsigned long long) d->compared.dead,
           (unsigned long long) d->compared.missing + d->compared.coming,
           (unsigned long long) d->compared.other);

    printf("newest      %s, %.1f s before the drill began\n",
           scc_ctl_time(when, d->newest * 1000000, 3),
           d->newest < d->began * 1000
           ? (double) (d->began * 1000 - d->newest) / 1000 : 0.0);

    if (d->compare) {
        printf("live store  equal %s; %llu only there (the loss, had it "
               "happened), %llu only in the copies, %llu differ\n",
               scc_ctl_grouped(l->both), (unsigned long long) l->only_live,
               (unsigned long long) l->only_copy,
               (unsigned long long) l->differ);

        if (l->only_live + l->only_copy + l->differ == 0 && d->parts == 0) {
            printf("live store  ledger, places and roster are equal\n");
        }
    }

    printf("time        %.0f s: objects %.1f, schema %.1f, restoring %.1f, "
           "comparing %.1f; %s records/s\n", d->total, d->check, d->init,
           d->rebuild, d->look, scc_ctl_grouped((uint64_t) rate));

    printf("memory      sccctl %s KiB at most", scc_ctl_grouped(d->peak));

    if (d->server > 0) {
        printf(", a server process %s KiB", scc_ctl_grouped(d->server));
    }

    printf("\nfindings    %llu%s\n", (unsigned long long) d->findings,
           d->findings == 0 ? ": the copies are enough" : "; see FOUND "
           "above");
}


void
scc_ctl_drill_json(const scc_ctl_drill_t *d, scc_buf_t *b)
{
    int   i;
    char  hex[65], when[SCC_CTL_TIME];

    scc_buf_text(b, "{\"store\":\"");
    scc_buf_text(b, d->uuid);
    scc_buf_text(b, "\",\"time\":\"");
    scc_buf_text(b, scc_ctl_time(when, d->began * 1000000000, 3));
    scc_buf_byte(b, '"');

    scc_ctl_drill_number(b, "began", d->began);
    scc_ctl_drill_number(b, "findings", d->findings);
    scc_ctl_drill_number(b, "hosts", d->hosts);
    scc_ctl_drill_number(b, "segments", d->objects);
    scc_ctl_drill_number(b, "tails", d->tails);
    scc_ctl_drill_number(b, "bytes", d->bytes);
    scc_ctl_drill_number(b, "records", d->rebuilt.records);
    scc_ctl_drill_number(b, "events", d->rebuilt.events);
    scc_ctl_drill_number(b, "deadLetters", d->rebuilt.dead);
    scc_ctl_drill_number(b, "missing", d->compared.missing
                                       + d->compared.coming);
    scc_ctl_drill_number(b, "differ", d->compared.other);
    scc_ctl_drill_number(b, "newestMs", d->newest);

    if (d->compare) {
        scc_ctl_drill_number(b, "liveEqual", d->live.both);
        scc_ctl_drill_number(b, "lost", d->live.only_live);
        scc_ctl_drill_number(b, "lostOldestMs", d->live.oldest);
        scc_ctl_drill_number(b, "onlyCopies", d->live.only_copy);
        scc_ctl_drill_number(b, "liveDiffer", d->live.differ);
    }

    for (i = 0; i < SCC_CTL_DIGEST_PARTS; i++) {
        scc_ctl_hex(hex, d->rebuilt.digest.sha256[i]);
        scc_buf_text(b, ",\"");
        scc_buf_text(b, scc_ctl_digest_name((scc_ctl_digest_part_t) i));
        scc_buf_text(b, "\":\"");
        scc_buf_text(b, hex);
        scc_buf_byte(b, '"');
    }

    scc_ctl_drill_seconds(b, "objectsSeconds", d->check);
    scc_ctl_drill_seconds(b, "schemaSeconds", d->init);
    scc_ctl_drill_seconds(b, "restoringSeconds", d->rebuilt.seconds);
    scc_ctl_drill_seconds(b, "comparingSeconds", d->look);
    scc_ctl_drill_seconds(b, "totalSeconds", d->total);
    scc_ctl_drill_number(b, "peakKiB", d->peak);
    scc_ctl_drill_number(b, "serverPeakKiB", d->server);

    scc_buf_text(b, "}\n");
}


static void
scc_ctl_drill_number(scc_buf_t *b, const char *name, uint64_t n)
{
    scc_buf_text(b, ",\"");
    scc_buf_text(b, name);
    scc_buf_text(b, "\":");
    scc_buf_uint(b, n);
}


static void
scc_ctl_drill_seconds(scc_buf_t *b, const char *name, double seconds)
{
    char  text[32];

    snprintf(text, sizeof(text), "\":%.2f", seconds);

    scc_buf_text(b, ",\"");
    scc_buf_text(b, name);
    scc_buf_text(b, text);
}
