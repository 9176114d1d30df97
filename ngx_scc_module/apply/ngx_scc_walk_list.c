
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_walk.h"
#include "ngx_scc_disk.h"

#include <dirent.h>


static ngx_int_t ngx_scc_walk_list_dir(ngx_scc_walk_t *w, ngx_uint_t dir);
static int ngx_libc_cdecl ngx_scc_walk_compare(const void *one,
    const void *two);
static ngx_int_t ngx_scc_walk_add(ngx_scc_walk_t *w, ngx_uint_t dir,
    const char *base, size_t len, ngx_uint_t sealed);


/*
 * DIR/store says whose journal this is; a person put it there.  If that is
 * not clear the workers take nothing, and say why.
 */

ngx_int_t
ngx_scc_walk_store(ngx_scc_walk_t *w)
{
    u_char      store[16];
    ngx_uint_t  i;

    if (w->apply->have_store) {
        return NGX_OK;
    }

    for (i = 0; i < w->apply->journal->n_dirs; i++) {

        if (ngx_scc_disk_store(&w->apply->journal->dirs[i],
                               i ? store : w->apply->store)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (i && ngx_memcmp(store, w->apply->store, 16) != 0) {
            return NGX_ERROR;
        }
    }

    w->apply->have_store = 1;

    return NGX_OK;
}


void
ngx_scc_walk_list(ngx_scc_walk_t *w, ngx_uint_t all)
{
    ngx_uint_t       i, sound;
    ngx_queue_t     *q, *next;
    ngx_scc_unit_t  *unit;

    sound = 1;
    w->all = (all != 0);
    w->since = (uint64_t) time(NULL);

    for (q = ngx_queue_head(&w->units);
         q != ngx_queue_sentinel(&w->units);
         q = ngx_queue_next(q))
    {
        unit = ngx_queue_data(q, ngx_scc_unit_t, queue);
        unit->seen = 0;
        unit->adopted = 0;
        unit->rests = 0;

        if (all) {
            unit->over = 0;
            unit->begun = 0;
            unit->damaged = 0;
        }
    }

    for (i = 0; i < w->apply->journal->n_dirs; i++) {
        if (ngx_scc_walk_list_dir(w, i) != NGX_OK) {
            sound = 0;
        }
    }

    w->partial = !sound;

    if (!sound) {
        return;
    }

    for (q = ngx_queue_head(&w->units);
         q != ngx_queue_sentinel(&w->units);
         q = next)
    {
        next = ngx_queue_next(q);
        unit = ngx_queue_data(q, ngx_scc_unit_t, queue);

        if (!unit->seen) {
            ngx_scc_walk_forget(unit);
        }
    }
}


/* In order, a segment's names are together, and .applied is the first. */

static ngx_int_t
ngx_scc_walk_list_dir(ngx_scc_walk_t *w, ngx_uint_t dir)
{
    DIR            *d;
    char           *dot, **names;
    size_t          len, marked;
    ngx_int_t       rc;
    ngx_str_t      *path;
    ngx_uint_t      i;
    ngx_pool_t     *pool;
    ngx_array_t     list;
    struct dirent  *de;

    path = &w->apply->journal->dirs[dir];

    pool = ngx_create_pool(16384, w->apply->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    d = opendir((char *) path->data);

    if (d == NULL) {
        ngx_log_error(NGX_LOG_ERR, w->apply->log, ngx_errno,
                      "scc: the journal's directory \"%V\" cannot be read; "
                      "what the queue loses is not found again", path);
        goto done;
    }

    if (ngx_array_init(&list, pool, 256, sizeof(char *)) != NGX_OK) {
        goto done;
    }

    for ( ;; ) {
        ngx_set_errno(0);
        de = readdir(d);

        if (de == NULL) {
            if (ngx_errno != 0) {
                goto done;
            }

            break;
        }

        dot = strrchr(de->d_name, '.');

        if (dot == NULL
            || dot == de->d_name
            || dot - de->d_name >= NGX_SCC_WALK_NAME
            || (ngx_strcmp(dot, ".open") != 0 && ngx_strcmp(dot, ".seg") != 0
                && ngx_strcmp(dot, ".applied") != 0))
        {
            continue;
        }

        len = ngx_strlen(de->d_name) + 1;

        names = ngx_array_push(&list);
        if (names == NULL) {
            goto done;
        }

        *names = ngx_pnalloc(pool, len);
        if (*names == NULL) {
            goto done;
        }

        ngx_memcpy(*names, de->d_name, len);
    }

    ngx_qsort(list.elts, list.nelts, sizeof(char *),
              ngx_scc_walk_compare);

    names = list.elts;
    marked = list.nelts;

    for (i = 0; i < list.nelts; i++) {
        dot = strrchr(names[i], '.');
        len = (size_t) (dot - names[i]);

        if (ngx_strcmp(dot, ".applied") == 0) {
            marked = i;
            continue;
        }

        if (!w->all && marked < i
            && ngx_strncmp(names[marked], names[i], len + 1) == 0)
        {
            continue;
        }

        if (ngx_scc_walk_add(w, dir, names[i], len,
                                  ngx_strcmp(dot, ".seg") == 0)
            != NGX_OK)
        {
            goto done;
        }
    }

    rc = NGX_OK;

done:

    if (d != NULL) {
        (void) closedir(d);
    }

    ngx_destroy_pool(pool);

    return rc;
}


static int ngx_libc_cdecl
ngx_scc_walk_compare(const void *one, const void *two)
{
    return strcmp(*(char *const *) one, *(char *const *) two);
}


static ngx_int_t
ngx_scc_walk_add(ngx_scc_walk_t *w, ngx_uint_t dir,
    const char *base, size_t len, ngx_uint_t sealed)
{
    ngx_queue_t     *q;
    ngx_scc_unit_t  *unit;

    for (q = ngx_queue_head(&w->units);
         q != ngx_queue_sentinel(&w->units);
         q = ngx_queue_next(q))
    {
        unit = ngx_queue_data(q, ngx_scc_unit_t, queue);

        if (unit->dir == dir
            && ngx_strncmp(unit->base, base, len) == 0
            && unit->base[len] == '\0')
        {
            goto found;
        }
    }

    unit = ngx_calloc(sizeof(ngx_scc_unit_t), w->apply->log);
    if (unit == NULL) {
        return NGX_ERROR;
    }

    unit->dir = dir;
    ngx_memcpy(unit->base, base, len);

    ngx_queue_insert_tail(&w->units, &unit->queue);

found:

    if (sealed && !unit->sealed) {
        unit->over = 0;
    }

    unit->sealed = sealed;
    unit->seen = 1;

    return NGX_OK;
}
