
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "scc_csv.h"
#include "scc_ctl_rejects.h"


static char *scc_ctl_rejects_name(const char *input);
static int scc_ctl_rejects_open(scc_ctl_rejects_t *rj);
static scc_str_t scc_ctl_rejects_text(const char *text);


void
scc_ctl_rejects_init(scc_ctl_rejects_t *rj, const char *given)
{
    memset(rj, 0, sizeof(scc_ctl_rejects_t));

    rj->given = given;
    scc_buf_heap(&rj->buf, 0);
}


void
scc_ctl_rejects_free(scc_ctl_rejects_t *rj)
{
    size_t  i;

    if (rj->file != NULL) {
        fclose(rj->file);
    }

    for (i = 0; i < rj->n_created; i++) {
        free(rj->created[i]);
    }

    free(rj->created);
    free(rj->path);
    scc_buf_free(&rj->buf);
}


int
scc_ctl_rejects_begin(scc_ctl_rejects_t *rj, const char *input, int fd)
{
    struct stat  in, out;

    free(rj->path);

    rj->path = (rj->given != NULL) ? strdup(rj->given)
                                   : scc_ctl_rejects_name(input);
    if (rj->path == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    if (fstat(fd, &in) == 0 && S_ISREG(in.st_mode)
        && stat(rj->path, &out) == 0
        && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
    {
        scc_ctl_error("the rejects file \"%s\" is the input itself; name "
                      "another with --rejects", rj->path);
        return -1;
    }

    return 0;
}


int
scc_ctl_rejects_add(scc_ctl_rejects_t *rj, const char *input, uint64_t line,
    scc_str_t id, scc_str_t field, scc_str_t reason, const char *text)
{
    scc_buf_t  *b;

    if (rj->file == NULL && scc_ctl_rejects_open(rj) != 0) {
        return -1;
    }

    b = &rj->buf;
    scc_buf_reset(b);

    scc_buf_uint(b, line);
    scc_buf_byte(b, ',');
    scc_csv_cell(b, id);
    scc_buf_byte(b, ',');
    scc_csv_cell(b, field);
    scc_buf_byte(b, ',');
    scc_csv_cell(b, reason);
    scc_buf_byte(b, ',');
    scc_csv_cell(b, scc_ctl_rejects_text(text));
    scc_buf_byte(b, ',');
    scc_csv_cell(b, scc_ctl_rejects_text(input));
    scc_buf_byte(b, '\n');

    if (b->error) {
        scc_ctl_error("out of memory");
        return -1;
    }

    if (fwrite(b->start, 1, b->used, rj->file) != b->used) {
        scc_ctl_error("cannot write rejects to \"%s\": %s", rj->path,
                      strerror(errno));
        return -1;
    }

    return 0;
}


int
scc_ctl_rejects_end(scc_ctl_rejects_t *rj)
{
    int  rc;

    if (rj->file == NULL) {
        return 0;
    }

    rc = fclose(rj->file);
    rj->file = NULL;

    if (rc != 0) {
        scc_ctl_error("cannot write rejects to \"%s\": %s", rj->path,
                      strerror(errno));
        return -1;
    }

    return 0;
}


/* "dir/places.csv.gz" -> "rejects-places.csv" */

static char *
scc_ctl_rejects_name(const char *input)
{
    char                     *path;
    size_t                    i, n, len;
    const char               *base;
    static const char *const  ends[] = { ".gz", ".csv", ".geojson",
                                         ".json" };

    base = strrchr(input, '/');
    base = (base != NULL) ? base + 1 : input;

    if (strcmp(base, "-") == 0) {
        base = "stdin";
    }

    len = strlen(base);

    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        n = strlen(ends[i]);

        if (len > n && memcmp(base + len - n, ends[i], n) == 0) {
            len -= n;
        }
    }

    return asprintf(&path, "rejects-%.*s.csv", (int) len, base) == -1
           ? NULL : path;
}


/* A second input of the same name in this run is appended. */

static int
scc_ctl_rejects_open(scc_ctl_rejects_t *rj)
{
    bool    again;
    char  **created;
    size_t  i;

    again = false;

    for (i = 0; i < rj->n_created; i++) {
        again |= strcmp(rj->created[i], rj->path) == 0;
    }

    rj->file = fopen(rj->path, again ? "ab" : "wb");

    if (rj->file == NULL) {
        scc_ctl_error("cannot create the rejects file \"%s\": %s; name "
                      "another with --rejects", rj->path, strerror(errno));
        return -1;
    }

    if (again) {
        return 0;
    }

    created = realloc(rj->created, (rj->n_created + 1) * sizeof(char *));

    if (created == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    rj->created = created;
    created[rj->n_created] = strdup(rj->path);

    if (created[rj->n_created] == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    rj->n_created++;

    fputs("line,id,field,reason,text,file\n", rj->file);

    return 0;
}


static scc_str_t
scc_ctl_rejects_text(const char *text)
{
    scc_str_t  s = { strlen(text), (const uint8_t *) text };

    return s;
}
