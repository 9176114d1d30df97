
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scc_ctl_disk.h"
#include "scc_ctl_numbers.h"


#define SCC_CTL_NUMBERS_BATCH      10000
#define SCC_CTL_NUMBERS_OID_INT8S  1016
#define SCC_CTL_NUMBERS_OID_TEXTS  1009


typedef struct {
    scc_ctl_numbers_t  *numbers;
    const uint8_t      *store;
} scc_ctl_numbers_look_t;


static int scc_ctl_numbers_name(void *data, const char *dir,
    const char *name);
static int scc_ctl_numbers_file(scc_ctl_numbers_t *ns, const char *path,
    const uint8_t *store);
static int scc_ctl_numbers_add(scc_ctl_numbers_t *ns, const scc_number_t *n);
static int scc_ctl_numbers_cmp(const void *a, const void *b);
static int scc_ctl_numbers_send(const scc_number_t *list, size_t n,
    scc_ctl_apply_t *a, scc_buf_t p[3]);
static void scc_ctl_numbers_quote(scc_buf_t *p, scc_str_t text);


int
scc_ctl_numbers_read(scc_ctl_numbers_t *ns, const char *dir,
    const uint8_t *store)
{
    scc_ctl_numbers_look_t  look;

    look.numbers = ns;
    look.store = store;

    return scc_ctl_disk_list(dir, scc_ctl_numbers_name, &look);
}


static int
scc_ctl_numbers_name(void *data, const char *dir, const char *name)
{
    scc_ctl_numbers_look_t *look = data;

    int          rc;
    char        *path;
    const char  *dot;

    dot = strrchr(name, '.');

    if (dot == NULL || strcmp(dot, SCC_NUMBER_SUFFIX) != 0) {
        return 0;
    }

    if (asprintf(&path, "%s/%s", dir, name) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    rc = scc_ctl_numbers_file(look->numbers, path, look->store);

    free(path);

    return rc;
}


/* What has no newline was being written, and promised to nobody. */

static int
scc_ctl_numbers_file(scc_ctl_numbers_t *ns, const char *path,
    const uint8_t *store)
{
    int           rc;
    FILE         *f;
    char         *text;
    size_t        size;
    bool          first;
    ssize_t       len;
    uint8_t       owner[16];
    scc_str_t     line;
    scc_number_t  n;

    f = fopen(path, "re");

    if (f == NULL) {
        scc_ctl_error("cannot open \"%s\": %s", path, strerror(errno));
        return -1;
    }

    text = NULL;
    size = 0;
    first = true;
    rc = 0;

    while (rc == 0 && (len = getline(&text, &size, f)) > 0) {

        if (text[len - 1] != '\n') {
            break;
        }

        line.data = (const uint8_t *) text;
        line.len = (size_t) len - 1;

        if (first && scc_number_head_read(line, owner) == SCC_OK) {
            first = false;

            if (store != NULL && memcmp(owner, store, 16) != 0) {
                fprintf(stderr, "note  %s: of another store, left out\n",
                        path);
                break;
            }

            continue;
        }

        first = false;

        if (scc_number_read(line, &n) == SCC_OK) {
            rc = scc_ctl_numbers_add(ns, &n);

        } else {
            ns->unreadable++;
        }
    }

    if (rc == 0 && ferror(f)) {
        scc_ctl_error("cannot read \"%s\": %s", path, strerror(errno));
        rc = -1;
    }

    free(text);
    (void) fclose(f);

    return rc;
}


static int
scc_ctl_numbers_add(scc_ctl_numbers_t *ns, const scc_number_t *n)
{
    size_t         size;
    scc_number_t  *list;

    if (ns->n == ns->size) {
        size = ns->size ? 2 * ns->size : 1024;
        list = realloc(ns->list, size * sizeof(scc_number_t));

        if (list == NULL) {
            scc_ctl_error("out of memory");
            return -1;
        }

        ns->list = list;
        ns->size = size;
    }

    ns->list[ns->n++] = *n;

    return 0;
}


void
scc_ctl_numbers_sort(scc_ctl_numbers_t *ns)
{
    size_t               i, k;
    const scc_number_t  *n;

    if (ns->n > 1) {
        qsort(ns->list, ns->n, sizeof(scc_number_t), scc_ctl_numbers_cmp);
    }

    ns->doubtful = 0;
    memset(ns->counts, 0, sizeof(ns->counts));

    for (i = 0, k = 0; i < ns->n; i++) {
        n = &ns->list[i];

        if (k > 0 && scc_ctl_numbers_cmp(&ns->list[k - 1], n) == 0) {
            continue;
        }

        if (k > 0 && ns->list[k - 1].kind == n->kind
            && ns->list[k - 1].number == n->number)
        {
            ns->doubtful++;
            continue;
        }

        ns->counts[n->kind]++;
        ns->list[k++] = *n;
    }

    ns->n = k;
}


static int
scc_ctl_numbers_cmp(const void *a, const void *b)
{
    const scc_number_t  *x, *y;

    x = a;
    y = b;

    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }

    if (x->number != y->number) {
        return x->number < y->number ? -1 : 1;
    }

    if (x->len != y->len) {
        return x->len < y->len ? -1 : 1;
    }

    return memcmp(x->id, y->id, x->len);
}


int
scc_ctl_numbers_restore(const scc_ctl_numbers_t *ns, scc_ctl_apply_t *a)
{
    int        rc;
    size_t     i, k, n;
    scc_buf_t  p[3];

    for (k = 0; k < 3; k++) {
        scc_buf_heap(&p[k], 0);
    }

    rc = 0;

    for (i = 0; i < ns->n && rc == 0; i += n) {
        n = ns->n - i;

        if (n > SCC_CTL_NUMBERS_BATCH) {
            n = SCC_CTL_NUMBERS_BATCH;
        }

        rc = scc_ctl_numbers_send(&ns->list[i], n, a, p);
    }

    for (k = 0; k < 3; k++) {
        scc_buf_free(&p[k]);
    }

    return rc;
}


static int
scc_ctl_numbers_send(const scc_number_t *list, size_t n, scc_ctl_apply_t *a,
    scc_buf_t p[3])
{
    size_t         i, k;
    PGresult      *res;
    scc_str_t      id;

    scc_ctl_ask_t  ask = {
        "restoring numbers",
        "SELECT scc.numbers_restore($1, $2, $3)", 3,
        { SCC_CTL_NUMBERS_OID_TEXTS, SCC_CTL_NUMBERS_OID_INT8S,
          SCC_CTL_NUMBERS_OID_TEXTS }, { NULL }, { 0 }, { 0 }
    };

    for (k = 0; k < 3; k++) {
        scc_buf_reset(&p[k]);
    }

    for (i = 0; i < n; i++) {
        id.len = list[i].len;
        id.data = list[i].id;

        for (k = 0; k < 3; k++) {
            scc_buf_byte(&p[k], i ? ',' : '{');
        }

        scc_buf_str(&p[0], scc_number_kind_name(list[i].kind));
        scc_buf_uint(&p[1], list[i].number);
        scc_ctl_numbers_quote(&p[2], id);
    }

    for (k = 0; k < 3; k++) {
        scc_buf_byte(&p[k], '}');
        scc_buf_byte(&p[k], '\0');

        if (p[k].error) {
            scc_ctl_error("out of memory");
            return -1;
        }

        ask.values[k] = (const char *) p[k].start;
    }

    res = scc_ctl_apply_ask(a, &ask);

    if (res == NULL) {
        return -1;
    }

    PQclear(res);

    return 0;
}


static void
scc_ctl_numbers_quote(scc_buf_t *p, scc_str_t text)
{
    size_t  i;

    scc_buf_byte(p, '"');

    for (i = 0; i < text.len; i++) {

        if (text.data[i] == '"' || text.data[i] == '\\') {
            scc_buf_byte(p, '\\');
        }

        scc_buf_byte(p, text.data[i]);
    }

    scc_buf_byte(p, '"');
}


void
scc_ctl_numbers_free(scc_ctl_numbers_t *ns)
{
    free(ns->list);
    memset(ns, 0, sizeof(scc_ctl_numbers_t));
}
