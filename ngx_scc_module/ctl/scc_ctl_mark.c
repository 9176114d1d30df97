
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_ctl_disk.h"
#include "scc_ctl_journal.h"
#include "scc_ctl_mark.h"
#include "scc_json_object.h"


#define SCC_CTL_MARK_MAX  16384


static scc_rc_t scc_ctl_mark_member(void *ctx, scc_str_t key,
    scc_str_t value);
static scc_rc_t scc_ctl_mark_text(char *to, size_t size, scc_str_t value);
static scc_rc_t scc_ctl_mark_number(uint64_t *to, scc_str_t value);
static bool scc_ctl_mark_is(scc_str_t key, const char *name);


int
scc_ctl_mark_read(const char *path, const char *suffix, scc_ctl_mark_t *m)
{
    int        rc;
    char      *file;
    scc_buf_t  b;
    scc_err_t  err;

    memset(m, 0, sizeof(scc_ctl_mark_t));

    file = scc_ctl_mark_path(path, suffix);
    if (file == NULL) {
        return -1;
    }

    scc_buf_heap(&b, 0);

    rc = scc_ctl_disk_read(file, SCC_CTL_MARK_MAX, &b);

    if (rc < 0) {
        scc_ctl_error("cannot read \"%s\": %s", file, strerror(errno));

    } else if (rc == 0
               && (scc_json_object(scc_buf_get(&b), scc_ctl_mark_member, m,
                                   &err)
                   != SCC_OK || m->object[0] == '\0' || m->size == 0))
    {
        rc = 1;
    }

    scc_buf_free(&b);
    free(file);

    return rc;
}


int
scc_ctl_mark_write(const char *path, const char *suffix,
    const scc_ctl_mark_t *m)
{
    int        rc;
    char      *file, hex[65], time[SCC_CTL_TIME];
    scc_buf_t  b;
    scc_str_t  text;

    file = scc_ctl_mark_path(path, suffix);
    if (file == NULL) {
        return -1;
    }

    scc_ctl_hex(hex, m->sha256);
    scc_buf_heap(&b, 0);

    scc_buf_text(&b, "{\"sha256\":\"");
    scc_buf_text(&b, hex);
    scc_buf_text(&b, "\",\"size\":");
    scc_buf_uint(&b, m->size);
    scc_buf_text(&b, ",\"records\":");
    scc_buf_uint(&b, m->records);
    scc_buf_text(&b, ",\"object\":");
    text.data = (const uint8_t *) m->object;
    text.len = strlen(m->object);
    scc_buf_json(&b, text);
    scc_buf_text(&b, ",\"to\":");
    text.data = (const uint8_t *) m->to;
    text.len = strlen(m->to);
    scc_buf_json(&b, text);
    scc_buf_text(&b, ",\"at\":");
    scc_buf_uint(&b, m->at);
    scc_buf_text(&b, ",\"time\":\"");
    scc_buf_text(&b, scc_ctl_time(time, m->at * 1000000000, 3));
    scc_buf_text(&b, "\",\"inode\":");
    scc_buf_uint(&b, m->inode);
    scc_buf_text(&b, ",\"mtime\":");
    scc_buf_uint(&b, m->mtime);
    scc_buf_text(&b, "}\n");

    rc = b.error ? -1 : scc_ctl_disk_write(file, scc_buf_get(&b));

    if (rc != 0) {
        scc_ctl_error("cannot write \"%s\": %s", file,
                      b.error ? "out of memory" : strerror(errno));
    }

    scc_buf_free(&b);
    free(file);

    return rc;
}


char *
scc_ctl_mark_path(const char *path, const char *suffix)
{
    int          len;
    char        *file;
    const char  *name;

    name = strrchr(path, '/');
    name = (name != NULL) ? name + 1 : path;
    len = (int) (name - path) + (int) strcspn(name, ".");

    if (asprintf(&file, "%.*s%s", len, path, suffix) == -1) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    return file;
}


bool
scc_ctl_mark_fits(const scc_ctl_mark_t *m, const struct stat *st)
{
    scc_ctl_mark_t  now;

    scc_ctl_mark_stat(&now, st);

    return now.inode == m->inode && now.mtime == m->mtime
           && (uint64_t) st->st_size == m->size;
}


void
scc_ctl_mark_stat(scc_ctl_mark_t *m, const struct stat *st)
{
    m->inode = (uint64_t) st->st_ino;
    m->mtime = (uint64_t) st->st_mtim.tv_sec * 1000000000
               + (uint64_t) st->st_mtim.tv_nsec;
}


static scc_rc_t
scc_ctl_mark_member(void *ctx, scc_str_t key, scc_str_t value)
{
    size_t           i;
    char             hex[65], digits[65];
    scc_ctl_mark_t  *m = ctx;

    if (scc_ctl_mark_is(key, "sha256")) {

        if (scc_ctl_mark_text(digits, sizeof(digits), value) != SCC_OK
            || value.len != 64)
        {
            return SCC_DECLINED;
        }

        for (i = 0; i < 32; i++) {
            memcpy(hex, &digits[2 * i], 2);
            hex[2] = '\0';
            m->sha256[i] = (uint8_t) strtoul(hex, NULL, 16);
        }

        scc_ctl_hex(hex, m->sha256);

        return strcmp(hex, digits) == 0 ? SCC_OK : SCC_DECLINED;
    }

    if (scc_ctl_mark_is(key, "object")) {
        return scc_ctl_mark_text(m->object, sizeof(m->object), value);
    }

    if (scc_ctl_mark_is(key, "to")) {
        return scc_ctl_mark_text(m->to, sizeof(m->to), value);
    }

    return scc_ctl_mark_is(key, "size")
           ? scc_ctl_mark_number(&m->size, value)
           : scc_ctl_mark_is(key, "records")
           ? scc_ctl_mark_number(&m->records, value)
           : scc_ctl_mark_is(key, "at")
           ? scc_ctl_mark_number(&m->at, value)
           : scc_ctl_mark_is(key, "inode")
           ? scc_ctl_mark_number(&m->inode, value)
           : scc_ctl_mark_is(key, "mtime")
           ? scc_ctl_mark_number(&m->mtime, value) : SCC_OK;
}


static scc_rc_t
scc_ctl_mark_text(char *to, size_t size, scc_str_t value)
{
    if (value.len >= size) {
        return SCC_DECLINED;
    }

    memcpy(to, value.data, value.len);
    to[value.len] = '\0';

    return SCC_OK;
}


static scc_rc_t
scc_ctl_mark_number(uint64_t *to, scc_str_t value)
{
    char  text[24];

    if (scc_ctl_mark_text(text, sizeof(text), value) != SCC_OK
        || scc_ctl_number(text, 0, UINT64_MAX, to) != 0)
    {
        return SCC_DECLINED;
    }

    return SCC_OK;
}


static bool
scc_ctl_mark_is(scc_str_t key, const char *name)
{
    return key.len == strlen(name) && memcmp(key.data, name, key.len) == 0;
}
