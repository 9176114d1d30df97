
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_scc_backoff.h"
#include "ngx_scc_purge.h"
#include "ngx_scc_purge_file.h"
#include "ngx_scc_store.h"
#include "scc_keys.h"


/*
 * A round: ask the store for what has changed since the horizon, wait until
 * the origin's own caches know of it too, send the keys, and only then move
 * the horizon.  A purge that comes while the edge is fetching finds nothing,
 * and the old answer is kept after it; so every round's keys are sent again
 * after a while.  The horizon that is kept in a file is that of the oldest
 * round whose second time is not over: whatever ends this process, nothing
 * is purged less than once.
 *
 * One call at a time.  While the edge does not answer, nothing is asked for:
 * what waits is at most one round and some repetitions, and all the rest is
 * the horizon.  What is more than a round may hold is one purge of everything.
 */

#define NGX_SCC_PURGE_INTERVAL   500        /* ms between looks */
#define NGX_SCC_PURGE_AGAIN      3000       /* ms: longer than a fetch */
#define NGX_SCC_PURGE_ALL_PAUSE  5000       /* ms between purges of all */
#define NGX_SCC_PURGE_SAVE       10000      /* ms, of an idle horizon */

#define NGX_SCC_PURGE_CELLS      1024       /* of a round */
#define NGX_SCC_PURGE_PLACES     512
#define NGX_SCC_PURGE_WAITING    (256 * 1024)   /* bytes of keys */

/* of a header with keys, or with the secret */
#define NGX_SCC_PURGE_HEADER     8192

#define NGX_SCC_PURGE_CONNECT    2000
#define NGX_SCC_PURGE_TIMEOUT    10000
#define NGX_SCC_PURGE_RETRY_MIN  500
#define NGX_SCC_PURGE_RETRY_MAX  30000

#define NGX_SCC_PURGE_FILE       "/purge-"


typedef struct {
    uint32_t                  cell;
    uint64_t                  ver;
} ngx_scc_purge_cell_t;


/* Keys on their way: now, or again. */

typedef struct {
    ngx_queue_t               queue;
    ngx_msec_t                due;
    uint64_t                  since;        /* the horizon before them */
    size_t                    len;
    unsigned                  all:1;        /* the one key of everything */
    u_char                    keys[1];      /* joined by blanks */
} ngx_scc_purge_keys_t;


struct ngx_scc_purge_s {
    ngx_scc_purge_conf_t     *conf;
    ngx_scc_pg_pool_t        *pg;
    ngx_scc_curl_t           *curl;
    ngx_log_t                *log;
    ngx_event_t               timer;
    ngx_connection_t          dumb;         /* for the timer's debug log */
    ngx_scc_backoff_t         backoff;
    ngx_scc_trouble_t         trouble;
    ngx_scc_trouble_t         silent;       /* the store */

    ngx_scc_purge_mark_t      mark;

    /* what the last round purged, if the horizon could not move past it */
    ngx_scc_purge_cell_t     *seen;
    ngx_uint_t                n_seen;
    uint64_t                  seen_sum;     /* of a purge of everything */
    ngx_msec_t                all_at;
    unsigned                  all:1;        /* seen_sum is set */

    /* the round */
    uint64_t                  next;
    ngx_scc_purge_keys_t     *round;

    ngx_queue_t               waiting;      /* keys to be sent again */
    size_t                    waiting_size;

    /* the call */
    ngx_scc_purge_keys_t     *sending;
    size_t                    sent;         /* bytes of its keys */
    size_t                    sent_next;
    ngx_uint_t                n_sent;

    u_char                   *file;
    u_char                   *file_tmp;
    uint64_t                  saved;
    ngx_msec_t                saved_at;

    ngx_scc_purge_stat_t     *stat;
};


static void ngx_scc_purge_timer(ngx_event_t *ev);
static void ngx_scc_purge_look(ngx_scc_purge_t *purge);
static void ngx_scc_purge_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_purge_take(ngx_scc_purge_t *purge,
    ngx_scc_pg_result_t *result);
static ngx_int_t ngx_scc_purge_rows(ngx_scc_purge_t *purge,
    ngx_scc_pg_result_t *result);
static ngx_uint_t ngx_scc_purge_tiles(uint32_t *cells, ngx_uint_t n,
    ngx_uint_t z);
static int ngx_libc_cdecl ngx_scc_purge_cmp(const void *one,
    const void *two);
static ngx_uint_t ngx_scc_purge_known(ngx_scc_purge_t *purge, ngx_uint_t *at,
    ngx_scc_purge_cell_t *cell);
static ngx_scc_purge_keys_t *ngx_scc_purge_all(ngx_scc_purge_t *purge);
static void ngx_scc_purge_send(ngx_scc_purge_t *purge);
static void ngx_scc_purge_answer(void *data, ngx_uint_t status,
    const char *error);
static void ngx_scc_purge_sent(ngx_scc_purge_t *purge);
static ngx_scc_purge_keys_t *ngx_scc_purge_keys(ngx_scc_purge_t *purge,
    u_char *keys, size_t len);
static u_char *ngx_scc_purge_blank(u_char *p, u_char *start);
static void ngx_scc_purge_drop(ngx_scc_purge_t *purge,
    ngx_scc_purge_keys_t *keys);
static void ngx_scc_purge_save(ngx_scc_purge_t *purge, ngx_uint_t now);


ngx_scc_purge_t *
ngx_scc_purge_create(ngx_cycle_t *cycle, ngx_scc_purge_conf_t *conf,
    ngx_scc_pg_pool_t *pg, ngx_scc_curl_t *curl, ngx_str_t *state,
    ngx_scc_purge_stat_t *stat)
{
    u_char           *p;
    size_t            len;
    ngx_scc_purge_t  *purge;

    purge = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_purge_t));
    if (purge == NULL) {
        return NULL;
    }

    purge->conf = conf;
    purge->pg = pg;
    purge->curl = curl;
    purge->stat = stat;
    purge->log = cycle->log;

    ngx_queue_init(&purge->waiting);
    ngx_scc_backoff_init(&purge->backoff, NGX_SCC_PURGE_RETRY_MIN,
                         NGX_SCC_PURGE_RETRY_MAX);

    /* one file for each edge */

    len = state->len + sizeof(NGX_SCC_PURGE_FILE "01234567");

    p = ngx_pnalloc(cycle->pool, len + len + sizeof(".tmp") - 1);
    if (p == NULL) {
        return NULL;
    }

    purge->file = p;
    p = ngx_sprintf(p, "%V" NGX_SCC_PURGE_FILE "%08xD%Z", state,
                    ngx_crc32_long(conf->url.data, conf->url.len));

    purge->file_tmp = p;
    (void) ngx_sprintf(p, "%s.tmp%Z", purge->file);

    ngx_scc_purge_read(purge->file, &purge->mark);
    purge->saved = purge->mark.since;

    purge->dumb.fd = (ngx_socket_t) -1;
    purge->timer.data = &purge->dumb;
    purge->timer.log = cycle->log;
    purge->timer.handler = ngx_scc_purge_timer;
    purge->timer.cancelable = 1;

    ngx_add_timer(&purge->timer, 1);

    return purge;
}


void
ngx_scc_purge_destroy(ngx_scc_purge_t *purge)
{
    ngx_queue_t  *q;

    if (purge->timer.timer_set) {
        ngx_del_timer(&purge->timer);
    }

    if (purge->round != NULL) {
        ngx_free(purge->round);
    }

    while (!ngx_queue_empty(&purge->waiting)) {
        q = ngx_queue_head(&purge->waiting);
        ngx_scc_purge_drop(purge, ngx_queue_data(q, ngx_scc_purge_keys_t,
                                                 queue));
    }

    if (purge->seen != NULL) {
        ngx_free(purge->seen);
    }
}


static void
ngx_scc_purge_timer(ngx_event_t *ev)
{
    ngx_scc_purge_t       *purge;
    ngx_scc_purge_keys_t  *keys;

    purge = ngx_scc_event_owner(ev, ngx_scc_purge_t, timer);

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    if (purge->sending != NULL) {
        ngx_scc_purge_send(purge);
        return;
    }

    if (purge->round != NULL) {
        purge->sending = purge->round;
        ngx_scc_purge_send(purge);
        return;
    }

    if (!ngx_queue_empty(&purge->waiting)) {
        keys = ngx_queue_data(ngx_queue_head(&purge->waiting),
                              ngx_scc_purge_keys_t, queue);

        if ((ngx_msec_int_t) (ngx_current_msec - keys->due) >= 0) {
            purge->sending = keys;
            ngx_scc_purge_send(purge);
            return;
        }
    }

    ngx_scc_purge_look(purge);
}


static void
ngx_scc_purge_look(ngx_scc_purge_t *purge)
{
    u_char               *p, text[3 * NGX_INT64_LEN];
    ngx_str_t             values[3];
    ngx_scc_pg_status_t   status;

    p = text;

    values[0].data = p;
    values[0].len = NGX_SCC_PG_NULL;

    if (purge->mark.since != 0) {
        p = ngx_sprintf(p, "%uL", purge->mark.since);
        values[0].len = p - values[0].data;
    }

    values[1].data = p;
    p = ngx_sprintf(p, "%d", NGX_SCC_PURGE_CELLS);
    values[1].len = p - values[1].data;

    values[2].data = p;
    p = ngx_sprintf(p, "%d", NGX_SCC_PURGE_PLACES);
    values[2].len = p - values[2].data;

    if (ngx_scc_pg_query(purge->pg, &ngx_scc_store_purge, values,
                         ngx_scc_purge_handler, purge, &status)
        == NULL)
    {
        ngx_add_timer(&purge->timer, NGX_SCC_PURGE_INTERVAL);
    }
}


static void
ngx_scc_purge_handler(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_purge_t *purge = data;

    ngx_msec_t  delay;

    delay = NGX_SCC_PURGE_INTERVAL;

    if (status != NGX_SCC_PG_OK) {

        if (ngx_scc_trouble(&purge->silent, "silent")) {
            ngx_log_error(NGX_LOG_ERR, purge->log, 0,
                          "scc: the store does not say what to purge (%s); "
                          "answers at \"%V\" may be old until it does",
                          (status == NGX_SCC_PG_FAILED)
                              ? ngx_scc_pg_sqlstate(result) : "no answer",
                          &purge->conf->name);
        }

    } else if (ngx_scc_purge_take(purge, result) == NGX_OK) {

        (void) ngx_scc_trouble_over(&purge->silent);

        if (purge->round != NULL) {
            delay = ngx_max(purge->conf->wait, 1);

        } else {
            purge->mark.since = purge->next;
            ngx_scc_purge_save(purge, 0);
        }
    }

    ngx_add_timer(&purge->timer, delay);
}


/* NGX_OK: there is a round to send, or nothing is new. */

static ngx_int_t
ngx_scc_purge_take(ngx_scc_purge_t *purge, ngx_scc_pg_result_t *result)
{
    uint64_t    n, sum;
    ngx_str_t   identity;

    if (ngx_scc_pg_rows(result) == 0
        || ngx_scc_pg_value(result, 0, 0, &identity) != NGX_OK
        || identity.len > NGX_SCC_PURGE_IDENTITY
        || ngx_scc_store_number(result, 0, 1, &purge->next) != NGX_OK
        || ngx_scc_store_number(result, 0, 2, &n) != NGX_OK
        || ngx_scc_store_number(result, 0, 3, &sum) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, purge->log, 0,
                      "scc: the store has no identity; run \"sccctl init\"");
        return NGX_ERROR;
    }

    /* a horizon is of one store, and not ahead of it; without one, anything
       may have changed */

    if (identity.len != purge->mark.identity_len
        || purge->next < purge->mark.since
        || ngx_memcmp(identity.data, purge->mark.identity, identity.len) != 0)
    {
        ngx_memcpy(purge->mark.identity, identity.data, identity.len);
        purge->mark.identity_len = identity.len;
        purge->mark.since = 0;
    }

    if (purge->mark.since == 0) {
        purge->round = ngx_scc_purge_all(purge);
        return (purge->round != NULL) ? NGX_OK : NGX_ERROR;
    }

    if (n == 0) {
        purge->all = 0;
        purge->n_seen = 0;
        return NGX_OK;
    }

    /* a row per cell, and the others per place */

    if (n <= NGX_SCC_PURGE_CELLS
        && ngx_scc_pg_rows(result) - n < NGX_SCC_PURGE_PLACES)
    {
        purge->all = 0;
        return ngx_scc_purge_rows(purge, result);
    }

    /* versions only rise: the same sum over the same cells is the same */

    if (purge->all && purge->seen_sum == sum) {
        return NGX_OK;
    }

    if (purge->all
        && ngx_current_msec - purge->all_at < NGX_SCC_PURGE_ALL_PAUSE)
    {
        return NGX_DECLINED;
    }

    purge->round = ngx_scc_purge_all(purge);

    if (purge->round == NULL) {
        return NGX_ERROR;
    }

    purge->n_seen = 0;
    purge->all = 1;
    purge->all_at = ngx_current_msec;
    purge->seen_sum = sum;

    return NGX_OK;
}


/*
 * While a long transaction holds the horizon, every look shows the same
 * cells again: those that were purged at this version are left out.
 */

static ngx_int_t
ngx_scc_purge_rows(ngx_scc_purge_t *purge, ngx_scc_pg_result_t *result)
{
    u_char                *p, *text_keys;
    uint32_t              *tiles;
    uint64_t               n;
    scc_str_t              id;
    ngx_str_t              text;
    ngx_uint_t             i, z, at, rows, n_cells, n_tiles, left, skip;
    ngx_scc_purge_cell_t  *cells, *cell;

    static const ngx_uint_t  zooms[] = { SCC_KEY_Z_FINE, SCC_KEY_Z_COARSE };

    rows = ngx_scc_pg_rows(result);

    cells = ngx_alloc(rows * sizeof(ngx_scc_purge_cell_t), purge->log);
    tiles = ngx_alloc(rows * sizeof(uint32_t), purge->log);
    text_keys = ngx_alloc(2 * rows * (SCC_KEY_MAX + 1), purge->log);

    if (cells == NULL || tiles == NULL || text_keys == NULL) {
        goto failed;
    }

    /* a place has one key, a cell two at most */

    p = text_keys;

    at = 0;
    skip = 0;
    n_cells = 0;
    n_tiles = 0;

    for (i = 0; i < rows; i++) {

        if (ngx_scc_pg_value(result, i, 6, &text) == NGX_OK) {

            if (!skip) {
                id.len = text.len;
                id.data = text.data;

                p = ngx_scc_purge_blank(p, text_keys);
                p = scc_key_place(p, id);
            }

            continue;
        }

        cell = &cells[n_cells];

        if (ngx_scc_store_number(result, i, 4, &n) != NGX_OK
            || n > NGX_MAX_UINT32_VALUE
            || ngx_scc_store_number(result, i, 5, &cell->ver) != NGX_OK)
        {
            goto failed;
        }

        cell->cell = (uint32_t) n;
        n_cells++;

        skip = ngx_scc_purge_known(purge, &at, cell);

        if (!skip) {
            tiles[n_tiles++] = cell->cell;
        }
    }

    for (z = 0; z < sizeof(zooms) / sizeof(zooms[0]); z++) {
        left = ngx_scc_purge_tiles(tiles, n_tiles, zooms[z]);

        for (i = 0; i < left; i++) {
            p = ngx_scc_purge_blank(p, text_keys);
            p = scc_key_cell(p, zooms[z], tiles[i]);
        }

        n_tiles = left;
    }

    if (p != text_keys) {
        purge->round = ngx_scc_purge_keys(purge, text_keys, p - text_keys);

        if (purge->round == NULL) {
            goto failed;
        }
    }

    ngx_free(tiles);
    ngx_free(text_keys);

    if (purge->seen != NULL) {
        ngx_free(purge->seen);
    }

    purge->seen = cells;
    purge->n_seen = n_cells;

    return NGX_OK;

failed:

    if (cells != NULL) {
        ngx_free(cells);
    }

    if (tiles != NULL) {
        ngx_free(tiles);
    }

    if (text_keys != NULL) {
        ngx_free(text_keys);
    }

    return NGX_ERROR;
}


/* Both lists are in the order of cells. */

static ngx_uint_t
ngx_scc_purge_known(ngx_scc_purge_t *purge, ngx_uint_t *at,
    ngx_scc_purge_cell_t *cell)
{
    while (*at < purge->n_seen && purge->seen[*at].cell < cell->cell) {
        (*at)++;
    }

    return *at < purge->n_seen && purge->seen[*at].cell == cell->cell
           && purge->seen[*at].ver == cell->ver;
}


/* One cell of each tile of z is left; returns how many. */

static ngx_uint_t
ngx_scc_purge_tiles(uint32_t *cells, ngx_uint_t n, ngx_uint_t z)
{
    uint32_t    low;
    ngx_uint_t  i, left;

    low = (1u << (SCC_CELL_Z - z)) - 1;

    for (i = 0; i < n; i++) {
        cells[i] &= ~(low << 16 | low);
    }

    ngx_qsort(cells, n, sizeof(uint32_t), ngx_scc_purge_cmp);

    left = 0;

    for (i = 0; i < n; i++) {
        if (left == 0 || cells[i] != cells[left - 1]) {
            cells[left++] = cells[i];
        }
    }

    return left;
}


static int ngx_libc_cdecl
ngx_scc_purge_cmp(const void *one, const void *two)
{
    uint32_t  a, b;

    a = *(const uint32_t *) one;
    b = *(const uint32_t *) two;

    return (a > b) - (a < b);
}


/* The key that every answer has. */

static ngx_scc_purge_keys_t *
ngx_scc_purge_all(ngx_scc_purge_t *purge)
{
    ngx_scc_purge_keys_t  *keys;

    static u_char  all[] = SCC_KEY_ALL;

    keys = ngx_scc_purge_keys(purge, all, sizeof(all) - 1);

    if (keys != NULL) {
        keys->all = 1;
    }

    return keys;
}


static void
ngx_scc_purge_send(ngx_scc_purge_t *purge)
{
    u_char                  *p, *end, *last;
    u_char                   keys[NGX_SCC_PURGE_HEADER];
    u_char                   secret[NGX_SCC_PURGE_HEADER];
    const char              *headers[3];
    ngx_scc_curl_request_t   request;

    p = purge->sending->keys + purge->sent;
    last = purge->sending->keys + purge->sending->len;
    purge->n_sent = 0;

    for (end = p; end < last; end++) {
        if (*end == ' ' && ++purge->n_sent == NGX_SCC_PURGE_KEYS) {
            break;
        }
    }

    if (end == last) {
        purge->n_sent++;
    }

    purge->sent_next = end - purge->sending->keys + (end < last);

    (void) ngx_sprintf(keys, "Surrogate-Key: %*s%Z", (size_t) (end - p), p);

    headers[0] = (char *) keys;
    headers[1] = "Fastly-Soft-Purge: 1";

    ngx_memzero(&request, sizeof(ngx_scc_curl_request_t));

    request.url = (char *) purge->conf->url.data;
    request.headers = headers;
    request.n_headers = 2;
    request.connect_timeout = NGX_SCC_PURGE_CONNECT;
    request.timeout = NGX_SCC_PURGE_TIMEOUT;

    if (purge->conf->key.len != 0) {
        (void) ngx_sprintf(secret, "Fastly-Key: %V%Z", &purge->conf->key);
        headers[request.n_headers++] = (char *) secret;
    }

    if (ngx_scc_curl_post(purge->curl, &request, ngx_scc_purge_answer, purge)
        == NULL)
    {
        ngx_add_timer(&purge->timer, ngx_scc_backoff_down(&purge->backoff));
    }

    ngx_explicit_memzero(secret, sizeof(secret));
}


static void
ngx_scc_purge_answer(void *data, ngx_uint_t status, const char *error)
{
    ngx_scc_purge_t *purge = data;

    char        text[NGX_SCC_TROUBLE_TEXT], number[] = "status 000";
    ngx_msec_t  delay;

    if (status >= 200 && status < 300) {
        (void) ngx_atomic_fetch_add(&purge->stat->calls, 1);
        (void) ngx_atomic_fetch_add(&purge->stat->keys, purge->n_sent);

        purge->sent = purge->sent_next;

        ngx_scc_backoff_up(&purge->backoff);

        if (ngx_scc_trouble_over(&purge->trouble)) {
            ngx_log_error(NGX_LOG_NOTICE, purge->log, 0,
                          "scc: \"%V\" takes purges again",
                          &purge->conf->name);
        }

        if (purge->sent < purge->sending->len) {
            ngx_scc_purge_send(purge);

        } else {
            ngx_scc_purge_sent(purge);
        }

        return;
    }

    (void) ngx_atomic_fetch_add(&purge->stat->failures, 1);

    delay = ngx_scc_backoff_down(&purge->backoff);

    if (status != 0) {
        (void) ngx_sprintf((u_char *) number, "status %ui%Z", status % 1000);
        error = number;
    }

    (void) ngx_scc_net_text(text, sizeof(text), error, ngx_strlen(error));

    if (ngx_scc_trouble(&purge->trouble, text)) {
        ngx_log_error(NGX_LOG_ERR, purge->log, 0,
                      "scc: \"%V\" did not take a purge (%s), its answers "
                      "may be old; trying again until it does",
                      &purge->conf->name, text);
    }

    ngx_add_timer(&purge->timer, delay);
}


/* All its keys are sent: for the first time, or again. */

static void
ngx_scc_purge_sent(ngx_scc_purge_t *purge)
{
    uint64_t               since;
    ngx_queue_t           *q;
    ngx_scc_purge_keys_t  *keys, *old;

    keys = purge->sending;

    purge->sending = NULL;
    purge->sent = 0;

    if (keys->all) {
        (void) ngx_atomic_fetch_add(&purge->stat->everything, 1);
    }

    if (keys != purge->round) {
        ngx_scc_purge_drop(purge, keys);
        ngx_scc_purge_save(purge, 1);
        ngx_add_timer(&purge->timer, 1);
        return;
    }

    since = purge->mark.since;

    purge->round = NULL;
    purge->mark.since = purge->next;

    /* everything again has all of them, and what is too much with them */

    if (keys->all || purge->waiting_size + keys->len > NGX_SCC_PURGE_WAITING)
    {
        while (!ngx_queue_empty(&purge->waiting)) {
            q = ngx_queue_head(&purge->waiting);
            old = ngx_queue_data(q, ngx_scc_purge_keys_t, queue);

            since = ngx_min(since, old->since);

            ngx_scc_purge_drop(purge, old);
        }

        if (!keys->all) {
            ngx_free(keys);
            keys = ngx_scc_purge_all(purge);
        }
    }

    if (keys != NULL) {
        keys->since = since;
        keys->due = ngx_current_msec + NGX_SCC_PURGE_AGAIN;

        ngx_queue_insert_tail(&purge->waiting, &keys->queue);
        purge->waiting_size += keys->len;

    } else {
        purge->mark.since = since;
    }

    ngx_scc_purge_save(purge, 1);

    ngx_add_timer(&purge->timer, 1);
}


static ngx_scc_purge_keys_t *
ngx_scc_purge_keys(ngx_scc_purge_t *purge, u_char *keys, size_t len)
{
    ngx_scc_purge_keys_t  *k;

    k = ngx_alloc(offsetof(ngx_scc_purge_keys_t, keys) + len, purge->log);

    if (k == NULL) {
        return NULL;
    }

    ngx_memzero(k, offsetof(ngx_scc_purge_keys_t, keys));

    k->len = len;
    ngx_memcpy(k->keys, keys, len);

    return k;
}


static u_char *
ngx_scc_purge_blank(u_char *p, u_char *start)
{
    if (p != start) {
        *p++ = ' ';
    }

    return p;
}


static void
ngx_scc_purge_drop(ngx_scc_purge_t *purge, ngx_scc_purge_keys_t *keys)
{
    ngx_queue_remove(&keys->queue);
    purge->waiting_size -= keys->len;

    ngx_free(keys);
}


/* Losing it, or its newest state, costs a purge too many. */

static void
ngx_scc_purge_save(ngx_scc_purge_t *purge, ngx_uint_t now)
{
    ngx_queue_t           *q;
    ngx_scc_purge_keys_t  *oldest;
    ngx_scc_purge_mark_t   mark;

    mark = purge->mark;

    if (!ngx_queue_empty(&purge->waiting)) {
        q = ngx_queue_head(&purge->waiting);
        oldest = ngx_queue_data(q, ngx_scc_purge_keys_t, queue);
        mark.since = oldest->since;
    }

    /* the first purge of everything is not over: there is none yet */

    if (mark.since == 0 || mark.since == purge->saved
        || (!now
            && ngx_current_msec - purge->saved_at < NGX_SCC_PURGE_SAVE))
    {
        return;
    }

    purge->saved_at = ngx_current_msec;

    if (ngx_scc_purge_write(purge->file, purge->file_tmp, &mark) == NGX_OK) {
        purge->saved = mark.since;
        return;
    }

    ngx_log_error(NGX_LOG_ERR, purge->log, ngx_errno,
                  "scc: cannot write \"%s\"; after a restart more is purged "
                  "than has changed", purge->file_tmp);
}
