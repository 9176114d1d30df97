
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_http.h"


/*
 * Finished answers, in any coding, kept by this worker: one for each URL,
 * location and coding, the newest.  It can be old, never wrong: before it is
 * sent, either the cells' versions have given its hash again, or nothing in
 * the zone has moved since they did, which is one look whatever the number
 * of cells.  An entry without a body answers conditions only.
 */

#define NGX_SCC_ANSWER_COPY  65536      /* longer ones that were not dear to
                                           make are sent from their cells */
#define NGX_SCC_ANSWER_LOOK  1000       /* ms; then its cells are looked up,
                                           so that they stay in the zone */


typedef struct {
    ngx_rbtree_node_t          node;            /* by URL, coding, query */
    ngx_queue_t                queue;           /* the last used comes first */
    ngx_uint_t                 refs;            /* the memo's own included */

    ngx_scc_loc_conf_t        *slcf;
    ngx_str_t                 *type;
    uint64_t                   query;           /* scc_etag_query() */
    uint64_t                   hash;            /* of the ETag */
    uint64_t                   moves;           /* of the zone, then; or 0 */
    ngx_msec_t                 looked;          /* its cells, last */
    uint64_t                   epoch;           /* aggregates: the zone's */
    time_t                     until;           /* too: when they are old */
    time_t                     as_of;           /* too */
    size_t                     size;            /* of the text */
    ngx_uint_t                 n_cells;
    ngx_uint_t                 n_features;
    scc_etag_kind_t            kind;
    scc_coding_t               coding;

    ngx_uint_t                 whole;           /* it has a body */
    size_t                     uri_len;
    size_t                     len;
    u_char                     data[1];         /* URL, then the body */
} ngx_scc_answer_t;

#define ngx_scc_answer_size(uri_len, len)                                     \
    (offsetof(ngx_scc_answer_t, data) + (uri_len) + (len))


struct ngx_scc_answers_s {
    size_t                     max;
    size_t                     used;
    uint64_t                   seed;
    ngx_rbtree_t               tree;
    ngx_rbtree_node_t          sentinel;
    ngx_queue_t                queue;
};


/* What an answer is found by. */

typedef struct {
    ngx_rbtree_key_t           key;
    ngx_scc_loc_conf_t        *slcf;
    uint64_t                   query;
    scc_coding_t               coding;
    ngx_str_t                  uri[2];
} ngx_scc_answer_key_t;


static ngx_uint_t ngx_scc_answer_fresh(ngx_scc_main_conf_t *smcf,
    ngx_scc_answer_t *answer);
static void ngx_scc_answer_look(ngx_scc_ctx_t *ctx,
    ngx_scc_answer_t *answer);
static void ngx_scc_answer_key(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    scc_coding_t coding, ngx_scc_answer_key_t *key);
static ngx_scc_answer_t *ngx_scc_answer_find(ngx_scc_answers_t *answers,
    ngx_scc_answer_key_t *key);
static ngx_scc_answer_t *ngx_scc_answer_add(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_scc_answer_key_t *key, ngx_uint_t whole,
    size_t len);
static void ngx_scc_answer_drop(ngx_scc_answers_t *answers,
    ngx_scc_answer_t *answer);
static ngx_int_t ngx_scc_answer_send(ngx_http_request_t *r,
    ngx_scc_ctx_t *ctx, ngx_scc_answer_t *answer);
static ngx_int_t ngx_scc_answer_pin(ngx_http_request_t *r,
    ngx_scc_answer_t *answer);
static void ngx_scc_answer_unpin(void *data);


ngx_scc_answers_t *
ngx_scc_answers_create(ngx_cycle_t *cycle, size_t size)
{
    ngx_scc_answers_t  *answers;

    answers = ngx_pcalloc(cycle->pool, sizeof(ngx_scc_answers_t));
    if (answers == NULL) {
        return NULL;
    }

    answers->max = size;
    answers->seed = (uint64_t) ngx_random() << 32 ^ (uint64_t) ngx_random();

    ngx_rbtree_init(&answers->tree, &answers->sentinel,
                    ngx_rbtree_insert_value);
    ngx_queue_init(&answers->queue);

    return answers;
}


void
ngx_scc_answers_destroy(ngx_scc_answers_t *answers)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&answers->queue)) {
        q = ngx_queue_head(&answers->queue);
        ngx_scc_answer_drop(answers,
                            ngx_queue_data(q, ngx_scc_answer_t, queue));
    }
}


ngx_int_t
ngx_scc_answer_hot(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_int_t              rc;
    scc_coding_t           coding;
    ngx_scc_answer_t      *answer;
    ngx_scc_loc_conf_t    *slcf;
    ngx_scc_main_conf_t   *smcf;
    ngx_scc_answer_key_t   key;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);
    slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);

    if (smcf->cells->zone == NULL) {
        return NGX_DECLINED;
    }

    coding = (slcf->gzip && ngx_scc_gzip_wanted(r)) ? SCC_CODING_GZIP
                                                    : SCC_CODING_IDENTITY;

    ngx_scc_answer_key(r, ctx, coding, &key);

    answer = ngx_scc_answer_find(smcf->answers, &key);

    if (answer == NULL && coding == SCC_CODING_GZIP) {
        ngx_scc_answer_key(r, ctx, SCC_CODING_IDENTITY, &key);

        answer = ngx_scc_answer_find(smcf->answers, &key);

        if (answer != NULL && answer->size >= NGX_SCC_GZIP_MIN) {
            return NGX_DECLINED;
        }
    }

    if (answer == NULL || !ngx_scc_answer_fresh(smcf, answer)) {
        return NGX_DECLINED;
    }

    ctx->n_cells = answer->n_cells;
    ctx->as_of = answer->as_of;
    ctx->status = NGX_SCC_CACHE_HIT;
    ctx->zone = 1;

    rc = ngx_scc_validate(r, ctx, answer->kind, answer->hash, answer->size);

    if (rc == NGX_DECLINED) {

        if (!answer->whole) {
            ctx->status = NGX_SCC_CACHE_NONE;
            ctx->zone = 0;
            ctx->as_of = 0;
            ctx->validated = 0;
            return NGX_DECLINED;
        }

        rc = ngx_scc_answer_send(r, ctx, answer);
    }

    ngx_scc_zone_again(smcf->cells->zone, answer->n_cells);

    return rc;
}


ngx_int_t
ngx_scc_answer_kept(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_scc_answer_t      *answer;
    ngx_scc_main_conf_t   *smcf;
    ngx_scc_answer_key_t   key;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    ngx_scc_answer_key(r, ctx, ctx->coding, &key);

    answer = ngx_scc_answer_find(smcf->answers, &key);

    if (answer == NULL || !answer->whole || answer->hash != ctx->hash) {
        return NGX_DECLINED;
    }

    ngx_scc_answer_look(ctx, answer);

    return ngx_scc_answer_send(r, ctx, answer);
}


u_char *
ngx_scc_answer_room(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, size_t len)
{
    ngx_scc_answer_t      *answer;
    ngx_scc_main_conf_t   *smcf;
    ngx_scc_answer_key_t   key;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    ngx_scc_answer_key(r, ctx, ctx->coding, &key);

    answer = ngx_scc_answer_add(r, ctx, &key, 1, len);
    if (answer == NULL) {
        return NULL;
    }

    if (ngx_scc_answer_pin(r, answer) != NGX_OK) {
        ngx_scc_answer_drop(smcf->answers, answer);
        return NULL;
    }

    answer->type = type;

    return answer->data + answer->uri_len;
}


u_char *
ngx_scc_answer_copy(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_str_t *type, size_t len)
{
    ngx_scc_main_conf_t   *smcf;
    ngx_scc_answer_key_t   key;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    ngx_scc_answer_key(r, ctx, ctx->coding, &key);

    if (len <= NGX_SCC_ANSWER_COPY
        && ngx_scc_answer_find(smcf->answers, &key) != NULL)
    {
        return ngx_scc_answer_room(r, ctx, type, len);
    }

    ngx_scc_answer_note(r, ctx);

    return NULL;
}


void
ngx_scc_answer_note(ngx_http_request_t *r, ngx_scc_ctx_t *ctx)
{
    ngx_scc_answer_t      *answer;
    ngx_scc_main_conf_t   *smcf;
    ngx_scc_answer_key_t   key;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    ngx_scc_answer_key(r, ctx, ctx->coding, &key);

    answer = ngx_scc_answer_find(smcf->answers, &key);

    if (answer != NULL && answer->hash == ctx->hash) {
        ngx_scc_answer_look(ctx, answer);

    } else {
        (void) ngx_scc_answer_add(r, ctx, &key, 0, 0);
    }
}


static ngx_uint_t
ngx_scc_answer_fresh(ngx_scc_main_conf_t *smcf, ngx_scc_answer_t *answer)
{
    if (answer->until != 0) {
        return ngx_time() < answer->until
               && ngx_scc_zone_epoch(smcf->cells->zone) == answer->epoch;
    }

    if (answer->moves == 0
        || ngx_current_msec - answer->looked >= NGX_SCC_ANSWER_LOOK)
    {
        return 0;
    }

    return ngx_scc_zone_unmoved(smcf->cells->zone, answer->moves);
}


/* It was the answer at the lookup that ctx tells of. */

static void
ngx_scc_answer_look(ngx_scc_ctx_t *ctx, ngx_scc_answer_t *answer)
{
    answer->moves = ctx->cells.moves;
    answer->looked = ngx_current_msec;
    answer->epoch = ctx->epoch;
    answer->until = ctx->until;
    answer->as_of = ctx->as_of;
    answer->n_cells = ctx->n_cells;
}


/* What was asked for, whole: a hash alone can be made to collide. */

static void
ngx_scc_answer_key(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    scc_coding_t coding, ngx_scc_answer_key_t *key)
{
    uint64_t              hash;
    scc_str_t             s;
    ngx_uint_t            i;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    if (r->internal) {
        key->uri[0] = r->uri;
        key->uri[1] = r->args;

    } else {
        key->uri[0] = r->unparsed_uri;
        ngx_str_null(&key->uri[1]);
    }

    key->slcf = ngx_http_get_module_loc_conf(r, ngx_scc_module);
    key->query = scc_etag_query(&ctx->query);
    key->coding = coding;

    hash = scc_etag_word(smcf->answers->seed, key->query);
    hash = scc_etag_word(hash, (uint64_t) coding);

    for (i = 0; i < 2; i++) {
        s.data = key->uri[i].data;
        s.len = key->uri[i].len;
        hash = scc_etag_bytes(hash, s);
    }

    key->key = (ngx_rbtree_key_t) hash;
}


static ngx_scc_answer_t *
ngx_scc_answer_find(ngx_scc_answers_t *answers, ngx_scc_answer_key_t *key)
{
    ngx_rbtree_node_t  *node;
    ngx_scc_answer_t   *answer;

    node = answers->tree.root;

    while (node != &answers->sentinel) {

        if (key->key != node->key) {
            node = (key->key < node->key) ? node->left : node->right;
            continue;
        }

        answer = (ngx_scc_answer_t *) node;

        if (answer->slcf == key->slcf
            && answer->query == key->query
            && answer->coding == key->coding
            && answer->uri_len == key->uri[0].len + key->uri[1].len
            && ngx_memcmp(answer->data, key->uri[0].data, key->uri[0].len)
               == 0
            && (key->uri[1].len == 0
                || ngx_memcmp(answer->data + key->uri[0].len,
                              key->uri[1].data, key->uri[1].len)
                   == 0))
        {
            ngx_queue_remove(&answer->queue);
            ngx_queue_insert_head(&answers->queue, &answer->queue);

            return answer;
        }

        node = node->right;
    }

    return NULL;
}


/* In place of the one that was there; NULL: it is not to be kept. */

static ngx_scc_answer_t *
ngx_scc_answer_add(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_scc_answer_key_t *key, ngx_uint_t whole, size_t len)
{
    u_char               *p;
    size_t                size;
    ngx_queue_t          *q;
    ngx_scc_answer_t     *answer;
    ngx_scc_answers_t    *answers;
    ngx_scc_main_conf_t  *smcf;

    smcf = ngx_http_get_module_main_conf(r, ngx_scc_module);

    answers = smcf->answers;

    answer = ngx_scc_answer_find(answers, key);

    if (answer != NULL) {
        ngx_scc_answer_drop(answers, answer);
    }

    size = ngx_scc_answer_size(key->uri[0].len + key->uri[1].len, len);

    /* one answer does not push out all others */

    if (size > answers->max / 4) {
        return NULL;
    }

    while (answers->used + size > answers->max) {
        q = ngx_queue_last(&answers->queue);
        ngx_scc_answer_drop(answers,
                            ngx_queue_data(q, ngx_scc_answer_t, queue));
    }

    answer = ngx_alloc(size, ngx_cycle->log);
    if (answer == NULL) {
        return NULL;
    }

    answers->used += size;

    ngx_memzero(answer, offsetof(ngx_scc_answer_t, data));

    answer->refs = 1;
    answer->slcf = key->slcf;
    answer->query = key->query;
    answer->hash = ctx->hash;
    answer->size = ctx->size;
    answer->n_features = ctx->n_features;
    answer->kind = ctx->kind;
    answer->coding = key->coding;
    answer->whole = whole;
    answer->uri_len = key->uri[0].len + key->uri[1].len;
    answer->len = len;

    ngx_scc_answer_look(ctx, answer);

    p = ngx_cpymem(answer->data, key->uri[0].data, key->uri[0].len);

    if (key->uri[1].len != 0) {
        ngx_memcpy(p, key->uri[1].data, key->uri[1].len);
    }

    answer->node.key = key->key;
    ngx_rbtree_insert(&answers->tree, &answer->node);
    ngx_queue_insert_head(&answers->queue, &answer->queue);

    return answer;
}


/* One that is being sent goes on. */

static void
ngx_scc_answer_drop(ngx_scc_answers_t *answers, ngx_scc_answer_t *answer)
{
    answers->used -= ngx_scc_answer_size(answer->uri_len, answer->len);

    ngx_queue_remove(&answer->queue);
    ngx_rbtree_delete(&answers->tree, &answer->node);

    ngx_scc_answer_unpin(answer);
}


static ngx_int_t
ngx_scc_answer_send(ngx_http_request_t *r, ngx_scc_ctx_t *ctx,
    ngx_scc_answer_t *answer)
{
    if (ngx_scc_answer_pin(r, answer) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->n_features = answer->n_features;

    return ngx_scc_send_coded(r, ctx, answer->type,
                              answer->data + answer->uri_len, answer->len);
}


static ngx_int_t
ngx_scc_answer_pin(ngx_http_request_t *r, ngx_scc_answer_t *answer)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_scc_answer_unpin;
    cln->data = answer;

    answer->refs++;

    return NGX_OK;
}


static void
ngx_scc_answer_unpin(void *data)
{
    ngx_scc_answer_t *answer = data;

    if (--answer->refs == 0) {
        ngx_free(answer);
    }
}
