
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stddef.h>
#include <string.h>

#include "scc_audit.h"


#define SCC_AUDIT_CANARY  50        /* us of an XADD: less is a lie */


/* What an answer has, and where it is kept. */

typedef struct {
    const char         *name;
    size_t              offset;
    size_t              size;
} scc_audit_key_t;


static void scc_audit_word(scc_audit_queue_t *q, const scc_audit_key_t *keys,
    scc_str_t name, scc_str_t value);
static void scc_audit_queue_state(scc_report_t *r,
    const scc_audit_queue_t *q);
static void scc_audit_queue_settings(scc_report_t *r,
    const scc_audit_queue_t *q);
static void scc_audit_queue_stream(scc_report_t *r,
    const scc_audit_queue_t *q);
static void scc_audit_queue_file(scc_report_t *r, const scc_audit_queue_t *q);
static bool scc_audit_id_less(const char *a, const char *b);
static uint64_t scc_audit_digits(const char **p);
static bool scc_audit_bad(const char *have, const char *want);


#define scc_audit_key(name, field)                                           \
    { name, offsetof(scc_audit_queue_t, field),                              \
      sizeof(((scc_audit_queue_t *) 0)->field) }

static const scc_audit_key_t  scc_audit_infos[] = {
    scc_audit_key("redis_version", version),
    scc_audit_key("run_id", run_id),
    scc_audit_key("config_file", config_file),
    scc_audit_key("loading", loading),
    scc_audit_key("aof_enabled", aof_enabled),
    scc_audit_key("aof_last_write_status", aof_write),
    scc_audit_key("aof_last_bgrewrite_status", aof_rewrite),
    scc_audit_key("connected_slaves", replicas),
    scc_audit_key("role", role),
    { NULL, 0, 0 }
};

static const scc_audit_key_t  scc_audit_configs[] = {
    scc_audit_key("appendonly", appendonly),
    scc_audit_key("appendfsync", appendfsync),
    scc_audit_key("no-appendfsync-on-rewrite", no_sync_on_rewrite),
    scc_audit_key("aof-load-truncated", load_truncated),
    scc_audit_key("maxmemory", maxmemory),
    scc_audit_key("maxmemory-policy", policy),
    scc_audit_key("min-replicas-to-write", min_replicas),
    scc_audit_key("dir", dir),
    scc_audit_key("appenddirname", aof_dir),
    scc_audit_key("appendfilename", aof_name),
    { NULL, 0, 0 }
};


static const char  *const scc_audit_rights[][4] = {
    { "FLUSHALL", NULL, NULL, NULL },
    { "FLUSHDB", NULL, NULL, NULL },
    { "DEBUG", "SLEEP", "0", NULL },
    { "CONFIG", "SET", "maxmemory", "0" },
    { "DEL", "scc:queue", NULL, NULL },
    { "XTRIM", "scc:queue", "MAXLEN", "0" },
    { "XGROUP", "DESTROY", "scc:queue", "apply" },
};


void
scc_audit_info(scc_audit_queue_t *q, scc_str_t info)
{
    size_t     n, colon;
    scc_str_t  name, value;

    while (info.len != 0) {

        for (n = 0, colon = 0;
             n < info.len && info.data[n] != '\r' && info.data[n] != '\n';
             n++)
        {
            if (colon == 0 && info.data[n] == ':') {
                colon = n;
            }
        }

        if (colon != 0) {
            name.data = info.data;
            name.len = colon;
            value.data = info.data + colon + 1;
            value.len = n - colon - 1;

            scc_audit_word(q, scc_audit_infos, name, value);
        }

        n += (n < info.len);

        info.data += n;
        info.len -= n;
    }

    q->info = (q->run_id[0] != '\0' && q->aof_enabled[0] != '\0');
}


void
scc_audit_config(scc_audit_queue_t *q, scc_str_t name, scc_str_t value)
{
    scc_audit_word(q, scc_audit_configs, name, value);

    q->config = (q->appendonly[0] != '\0' && q->appendfsync[0] != '\0'
                 && q->no_sync_on_rewrite[0] != '\0'
                 && q->policy[0] != '\0');
}


/* XINFO STREAM's pairs; numbers as text. */

void
scc_audit_stream(scc_audit_queue_t *q, scc_str_t name, scc_str_t value)
{
    char                    text[SCC_AUDIT_WORD];
    const char             *p;
    const scc_audit_key_t   keys[] = {
        scc_audit_key("last-generated-id", last_id),
        { NULL, 0, 0 }
    };

    scc_audit_word(q, keys, name, value);

    if (value.len == 0 || value.len >= sizeof(text)) {
        return;
    }

    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    p = text;

    if (name.len == 13 && memcmp(name.data, "entries-added", 13) == 0) {
        q->added = scc_audit_digits(&p);

    } else if (name.len == 6 && memcmp(name.data, "length", 6) == 0) {
        q->length = scc_audit_digits(&p);
    }
}


unsigned
scc_audit_right(unsigned i, const char *words[4])
{
    unsigned  n;

    if (i >= sizeof(scc_audit_rights) / sizeof(scc_audit_rights[0])) {
        return 0;
    }

    for (n = 0; n < 4 && scc_audit_rights[i][n] != NULL; n++) {
        words[n] = scc_audit_rights[i][n];
    }

    return n;
}


void
scc_audit_may(scc_audit_queue_t *q, unsigned i)
{
    const char  *const *words;

    if (i >= sizeof(scc_audit_rights) / sizeof(scc_audit_rights[0])) {
        return;
    }

    words = scc_audit_rights[i];

    scc_audit_cat(q->rights, sizeof(q->rights),
                  q->rights[0] != '\0' ? ", " : "");
    scc_audit_cat(q->rights, sizeof(q->rights), words[0]);

    /* the part of it that it is named by */

    if (strcmp(words[0], "CONFIG") == 0 || strcmp(words[0], "XGROUP") == 0) {
        scc_audit_cat(q->rights, sizeof(q->rights), " ");
        scc_audit_cat(q->rights, sizeof(q->rights), words[1]);
    }
}


void
scc_audit_queue_look(scc_report_t *r, const scc_audit_queue_t *q)
{
    if (!q->info) {
        scc_audit_add(r, SCC_AUDIT_R1_SILENT, q->name,
                      q->why[0] != '\0' ? q->why : "no answer", NULL);
        return;
    }

    scc_audit_queue_state(r, q);

    if (!q->config) {
        scc_audit_add(r, SCC_AUDIT_R2_HIDDEN, q->name,
                      q->why[0] != '\0' ? q->why : "no answer", NULL);
        return;
    }

    scc_audit_queue_settings(r, q);

    r->caps |= SCC_CAP_QUEUE;
}


void
scc_audit_queue(scc_report_t *r, const scc_audit_queue_t *q)
{
    char  text[SCC_AUDIT_TEXT];

    scc_audit_queue_look(r, q);

    if (!q->info) {
        return;
    }

    if (q->canary_usec != 0 && q->canary_usec < SCC_AUDIT_CANARY
        && strcmp(q->appendfsync, "always") == 0)
    {
        text[0] = '\0';
        scc_audit_cat_uint(text, sizeof(text), q->canary_usec);
        scc_audit_add(r, SCC_AUDIT_R3, q->name, text, NULL);
    }

    if (q->rights[0] != '\0') {
        scc_audit_add(r, SCC_AUDIT_R4_RIGHTS, q->name, q->rights, NULL);
    }

    scc_audit_queue_stream(r, q);
    scc_audit_queue_file(r, q);

    if (q->cache_run_id[0] != '\0'
        && strcmp(q->cache_run_id, q->run_id) == 0
        && scc_audit_bad(q->policy, "noeviction"))
    {
        scc_audit_add(r, SCC_AUDIT_R7, q->name, q->policy, NULL);
    }
}


static void
scc_audit_queue_state(scc_report_t *r, const scc_audit_queue_t *q)
{
    if (q->version[0] != '\0' && q->version[1] == '.'
        && q->version[0] < '7')
    {
        scc_audit_add(r, SCC_AUDIT_R1_VERSION, q->name, q->version, NULL);
    }

    if (scc_audit_bad(q->loading, "0")) {
        scc_audit_add(r, SCC_AUDIT_R1_LOADING, q->name, NULL, NULL);
    }

    if (scc_audit_bad(q->aof_write, "ok")) {
        scc_audit_add(r, SCC_AUDIT_R1_FAILED, q->name,
                      "aof_last_write_status", NULL);
    }

    if (scc_audit_bad(q->aof_rewrite, "ok")) {
        scc_audit_add(r, SCC_AUDIT_R1_FAILED, q->name,
                      "aof_last_bgrewrite_status", NULL);
    }

    if (q->config_file[0] == '\0') {
        scc_audit_add(r, SCC_AUDIT_R1_FILE, q->name, NULL, NULL);
    }

    if (scc_audit_bad(q->role, "master")) {
        scc_audit_add(r, SCC_AUDIT_R4_ROLE, q->name, q->role, NULL);
    }
}


static void
scc_audit_queue_settings(scc_report_t *r, const scc_audit_queue_t *q)
{
    if (scc_audit_bad(q->appendonly, "yes")
        || scc_audit_bad(q->aof_enabled, "1"))
    {
        scc_audit_add(r, SCC_AUDIT_R2_OFF, q->name, q->appendonly, NULL);
    }

    if (scc_audit_bad(q->appendfsync, "always")) {
        scc_audit_add(r, SCC_AUDIT_R2_SYNC, q->name, q->appendfsync, NULL);
    }

    if (scc_audit_bad(q->no_sync_on_rewrite, "no")) {
        scc_audit_add(r, SCC_AUDIT_R2_REWRITE, q->name,
                      q->no_sync_on_rewrite, NULL);
    }

    if (strcmp(q->load_truncated, "yes") == 0) {
        scc_audit_add(r, SCC_AUDIT_R2_TRUNCATED, q->name, NULL, NULL);
    }

    if (scc_audit_bad(q->policy, "noeviction")) {
        scc_audit_add(r, scc_audit_bad(q->maxmemory, "0")
                         ? SCC_AUDIT_R2_EVICT : SCC_AUDIT_R2_POLICY,
                      q->name, q->policy, NULL);
    }

    if (q->replicas[0] != '\0' && strcmp(q->replicas, "0") != 0
        && strcmp(q->min_replicas, "0") == 0)
    {
        scc_audit_add(r, SCC_AUDIT_R2_REPLICAS, q->name, q->replicas, NULL);
    }
}


/* Ids and counts of a stream never go back, unless it is another one. */

static void
scc_audit_queue_stream(scc_report_t *r, const scc_audit_queue_t *q)
{
    if (!q->stream) {
        return;
    }

    if (q->known_last_id[0] != '\0'
        && (q->last_id[0] == '\0'
            || scc_audit_id_less(q->last_id, q->known_last_id)
            || (q->added != 0 && q->added < q->known_added)))
    {
        scc_audit_add(r, SCC_AUDIT_R5_LOST, q->name, q->known_last_id, NULL);
    }

    if (q->length != 0 && !q->group) {
        scc_audit_add(r, SCC_AUDIT_R5_GROUP, q->name, NULL, NULL);
    }
}


static void
scc_audit_queue_file(scc_report_t *r, const scc_audit_queue_t *q)
{
    const char  *fs;

    if (!q->files || scc_audit_bad(q->appendonly, "yes")) {
        return;
    }

    if (!q->file) {
        scc_audit_add(r, SCC_AUDIT_R6_GONE, q->name, q->dir, NULL);
        return;
    }

    fs = scc_audit_volatile(q->fs_type);

    if (fs != NULL) {
        scc_audit_add(r, SCC_AUDIT_R6_VOLATILE, q->name, fs, NULL);
    }

    if (q->known_ino != 0 && q->known_ino != q->file_ino
        && strcmp(q->known_file, q->file_name) == 0
        && strcmp(q->known_run_id, q->run_id) == 0)
    {
        scc_audit_add(r, SCC_AUDIT_R6_OTHER, q->name, q->file_name, NULL);
    }
}


static void
scc_audit_word(scc_audit_queue_t *q, const scc_audit_key_t *keys,
    scc_str_t name, scc_str_t value)
{
    char    *to;
    size_t   len;

    for ( /* void */ ; keys->name != NULL; keys++) {

        if (strlen(keys->name) != name.len
            || memcmp(keys->name, name.data, name.len) != 0)
        {
            continue;
        }

        to = (char *) q + keys->offset;
        len = value.len < keys->size ? value.len : keys->size - 1;

        if (len != 0) {
            memcpy(to, value.data, len);
        }

        to[len] = '\0';

        return;
    }
}


/* MS-SEQUENCE */

static bool
scc_audit_id_less(const char *a, const char *b)
{
    uint64_t  x, y;

    x = scc_audit_digits(&a);
    y = scc_audit_digits(&b);

    if (x != y) {
        return x < y;
    }

    a += (*a == '-');
    b += (*b == '-');

    return scc_audit_digits(&a) < scc_audit_digits(&b);
}


static uint64_t
scc_audit_digits(const char **p)
{
    uint64_t  n;

    for (n = 0; **p >= '0' && **p <= '9'; (*p)++) {
        n = n * 10 + (uint64_t) (**p - '0');
    }

    return n;
}


static bool
scc_audit_bad(const char *have, const char *want)
{
    return strcmp(have, want) != 0;
}
