
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_contribute.h"


#define NGX_SCC_WAIT_MAX  30            /* seconds of "Prefer: wait" */


static ngx_int_t ngx_scc_contribute_args(ngx_scc_contribute_t *c);
static ngx_int_t ngx_scc_contribute_sender(ngx_scc_contribute_t *c);
static ngx_int_t ngx_scc_contribute_value(ngx_scc_contribute_t *c,
    ngx_http_complex_value_t *value, scc_str_t *text);
static ngx_int_t ngx_scc_contribute_type(ngx_scc_contribute_t *c);
static ngx_int_t ngx_scc_contribute_length(ngx_scc_contribute_t *c);
static ngx_int_t ngx_scc_contribute_key(ngx_scc_contribute_t *c);
static ngx_int_t ngx_scc_contribute_key_text(ngx_pool_t *pool,
    ngx_str_t *value, scc_str_t *key);
static void ngx_scc_contribute_prefer(ngx_scc_contribute_t *c);
static void ngx_scc_contribute_wait(ngx_scc_contribute_t *c, u_char *p,
    u_char *end);
static ngx_table_elt_t *ngx_scc_next_header(ngx_http_request_t *r,
    ngx_list_part_t **part, ngx_uint_t *i, const char *name);


ngx_int_t
ngx_scc_contribute_head(ngx_scc_contribute_t *c)
{
    ngx_int_t  rc;

    rc = ngx_scc_contribute_args(c);

    if (rc == NGX_DECLINED) {
        rc = ngx_scc_contribute_sender(c);
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_scc_contribute_type(c);
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_scc_contribute_length(c);
    }

    if (rc == NGX_DECLINED) {
        rc = ngx_scc_contribute_key(c);
    }

    if (rc == NGX_DECLINED) {
        ngx_scc_contribute_prefer(c);
    }

    return rc;
}


/*
 * The body, if it was not read, is thrown away.  A client who waits for
 * "100 Continue" is not asked for it any more, and may then send it or not:
 * the connection cannot be used again.
 */

ngx_int_t
ngx_scc_contribute_reject(ngx_scc_contribute_t *c, ngx_scc_reject_t reason,
    ngx_uint_t status, const char *detail, const char *parameter)
{
    ngx_int_t            rc;
    scc_str_t            s;
    ngx_http_request_t  *r;

    r = c->request;

    (void) ngx_atomic_fetch_add(&c->smcf->pending->sh->stat.rejected[reason],
                                1);

    c->ctx->told.status = NGX_SCC_TOLD_REJECTED;

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "scc: contribution rejected with %ui: %s", status, detail);

    if (r->request_body == NULL) {

        if (r->headers_in.expect != NULL && !r->expect_tested) {
            r->expect_tested = 1;
            r->keepalive = 0;
        }

        if (status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
            r->keepalive = 0;
        }

        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (parameter == NULL) {
        return ngx_scc_problem(r, c->ctx, status, detail, NULL);
    }

    s.len = ngx_strlen(parameter);
    s.data = (const uint8_t *) parameter;

    return ngx_scc_problem(r, c->ctx, status, detail, &s);
}


static ngx_int_t
ngx_scc_contribute_args(ngx_scc_contribute_t *c)
{
    char        name[SCC_ID_MAX + 1];
    scc_err_t   err;
    scc_str_t   args;

    args.len = c->request->args.len;
    args.data = c->request->args.data;

    if (scc_query_args(&c->ctx->query, &c->slcf->query, args, &err)
        == SCC_OK)
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(name, err.field.data, ngx_min(err.field.len, SCC_ID_MAX));
    name[ngx_min(err.field.len, SCC_ID_MAX)] = '\0';

    return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_KEY,
                                     NGX_HTTP_BAD_REQUEST, err.text, name);
}


static ngx_int_t
ngx_scc_contribute_sender(ngx_scc_contribute_t *c)
{
    scc_record_t  *record;

    record = &c->record;

    if (ngx_scc_contribute_value(c, c->slcf->contributor,
                                 &record->contributor_id)
        != NGX_OK
        || ngx_scc_contribute_value(c, c->slcf->contributor_name,
                                    &record->contributor_name)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (record->contributor_id.len == 0) {

        if (ngx_scc_header(c->request, "WWW-Authenticate",
                           "Bearer realm=\"contributions\"")
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_CONTRIBUTOR,
                                         NGX_HTTP_UNAUTHORIZED,
                                         "who contributes is not known; log "
                                         "in and try again", NULL);
    }

    if (record->contributor_id.len > SCC_ID_MAX
        || !scc_utf8_valid(record->contributor_id)
        || ngx_strlchr((u_char *) record->contributor_id.data,
                       (u_char *) record->contributor_id.data
                       + record->contributor_id.len, '\0')
           != NULL)
    {
        return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_CONTRIBUTOR,
                                         NGX_HTTP_BAD_REQUEST,
                                         "the contributor's id must be 1 to "
                                         "64 bytes of UTF-8", "contributor");
    }

    if (record->contributor_name.len > SCC_NAME_MAX
        || !scc_utf8_valid(record->contributor_name)
        || ngx_strlchr((u_char *) record->contributor_name.data,
                       (u_char *) record->contributor_name.data
                       + record->contributor_name.len, '\0')
           != NULL)
    {
        return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_CONTRIBUTOR,
                                         NGX_HTTP_BAD_REQUEST,
                                         "the contributor's name must be at "
                                         "most 512 bytes of UTF-8",
                                         "contributor_name");
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_scc_contribute_value(ngx_scc_contribute_t *c,
    ngx_http_complex_value_t *value, scc_str_t *text)
{
    ngx_str_t  s;

    text->len = 0;
    text->data = (const uint8_t *) "";

    if (value == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(c->request, value, &s) != NGX_OK) {
        return NGX_ERROR;
    }

    if (s.len != 0) {
        text->len = s.len;
        text->data = s.data;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_scc_contribute_type(ngx_scc_contribute_t *c)
{
    size_t               len;
    ngx_str_t           *type;
    ngx_uint_t           i;
    ngx_list_part_t     *part;
    ngx_table_elt_t     *h;
    ngx_http_request_t  *r;

    static const size_t  json = sizeof("application/json") - 1;

    r = c->request;
    part = NULL;
    i = 0;

    while ((h = ngx_scc_next_header(r, &part, &i, "content-encoding"))
           != NULL)
    {
        if (h->value.len == sizeof("identity") - 1
            && ngx_strncasecmp(h->value.data, (u_char *) "identity",
                               h->value.len)
               == 0)
        {
            continue;
        }

        if (ngx_scc_header(r, "Accept-Encoding", "identity") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_TYPE,
                                         NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                         "the body must not be compressed: "
                                         "send it without Content-Encoding",
                                         "Content-Encoding");
    }

    if (r->headers_in.content_type != NULL) {
        type = &r->headers_in.content_type->value;

        if (type->len >= json
            && ngx_strncasecmp(type->data, (u_char *) "application/json",
                               json)
               == 0)
        {
            for (len = json; len < type->len; len++) {
                if (type->data[len] != ' ' && type->data[len] != '\t') {
                    break;
                }
            }

            if (len == type->len || type->data[len] == ';') {
                return NGX_DECLINED;
            }
        }
    }

    if (ngx_scc_header(r, "Accept-Post", "application/json") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_TYPE,
                                     NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                     "a contribution is JSON: send it with "
                                     "Content-Type: application/json",
                                     "Content-Type");
}


static ngx_int_t
ngx_scc_contribute_length(ngx_scc_contribute_t *c)
{
    ngx_http_request_t  *r;

    r = c->request;

    if (r->headers_in.content_length_n < 0 && !r->headers_in.chunked) {
        return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_SIZE,
                                         NGX_HTTP_LENGTH_REQUIRED,
                                         "the request has no body: send one "
                                         "with its Content-Length, or in "
                                         "chunks", NULL);
    }

    if (r->headers_in.content_length_n > (off_t) c->smcf->contribution_max) {
        return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_SIZE,
                                         NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                         "the contribution is larger than "
                                         "this server takes", NULL);
    }

    return NGX_DECLINED;
}


/* draft-ietf-httpapi-idempotency-key-header-07: a string in quotes; a bare
   token is taken too. */

static ngx_int_t
ngx_scc_contribute_key(ngx_scc_contribute_t *c)
{
    ngx_int_t         rc;
    scc_str_t        *key;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    key = &c->record.key;

    key->len = 0;
    key->data = (const uint8_t *) "";

    part = NULL;
    i = 0;

    while ((h = ngx_scc_next_header(c->request, &part, &i,
                                    "idempotency-key"))
           != NULL)
    {
        rc = (key->len != 0)
             ? NGX_DECLINED
             : ngx_scc_contribute_key_text(c->request->pool, &h->value, key);

        if (rc == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc != NGX_OK) {
            return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_KEY,
                                             NGX_HTTP_BAD_REQUEST,
                                             "must be given once, as 1 to "
                                             "255 printable ASCII characters "
                                             "in double quotes",
                                             "Idempotency-Key");
        }
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_scc_contribute_key_text(ngx_pool_t *pool, ngx_str_t *value,
    scc_str_t *key)
{
    u_char   *p, *end, *to;
    ngx_uint_t  quoted;

    p = value->data;
    end = p + value->len;

    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }

    while (p < end && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }

    quoted = (end - p >= 2 && *p == '"' && end[-1] == '"');

    if (quoted) {
        p++;
        end--;
    }

    to = ngx_pnalloc(pool, (size_t) (end - p) + 1);
    if (to == NULL) {
        return NGX_ERROR;
    }

    key->data = to;

    for ( /* void */ ; p < end; p++) {

        if (*p < (quoted ? 0x20 : 0x21) || *p > 0x7e || *p == '"') {
            return NGX_DECLINED;
        }

        if (*p == '\\') {
            p++;

            if (!quoted || p == end || (*p != '"' && *p != '\\')) {
                return NGX_DECLINED;
            }

        } else if (!quoted && (*p == ',' || *p == ';')) {
            return NGX_DECLINED;
        }

        *to++ = *p;
    }

    key->len = (size_t) (to - key->data);

    return (key->len != 0 && key->len <= SCC_JOURNAL_KEY_MAX)
           ? NGX_OK : NGX_DECLINED;
}


/* RFC 7240: what is not understood is not answered with an error. */

static void
ngx_scc_contribute_prefer(ngx_scc_contribute_t *c)
{
    u_char           *p, *end, *comma;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    part = NULL;
    i = 0;

    while ((h = ngx_scc_next_header(c->request, &part, &i, "prefer"))
           != NULL)
    {
        p = h->value.data;
        end = p + h->value.len;

        while (p < end) {
            comma = ngx_strlchr(p, end, ',');

            if (comma == NULL) {
                comma = end;
            }

            ngx_scc_contribute_wait(c, p, comma);

            p = comma + 1;
        }
    }
}


static void
ngx_scc_contribute_wait(ngx_scc_contribute_t *c, u_char *p, u_char *end)
{
    ngx_int_t   n;
    ngx_uint_t  quoted;

    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }

    if (c->preferred
        || end - p < 6
        || ngx_strncasecmp(p, (u_char *) "wait", 4) != 0)
    {
        return;
    }

    p += 4;

    while (p < end && (*p == ' ' || *p == '=')) {
        p++;
    }

    quoted = (p < end && *p == '"');
    p += quoted;

    n = 0;

    if (p == end || *p < '0' || *p > '9') {
        return;
    }

    while (p < end && *p >= '0' && *p <= '9') {
        n = ngx_min(n * 10 + (*p - '0'), NGX_SCC_WAIT_MAX);
        p++;
    }

    p += (quoted && p < end && *p == '"');

    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }

    if (p == end || *p == ';') {
        c->preferred = 1;
        c->prefer = (ngx_uint_t) n;
    }
}


/* The next header of this name, in lower case; part: NULL at first. */

static ngx_table_elt_t *
ngx_scc_next_header(ngx_http_request_t *r, ngx_list_part_t **part,
    ngx_uint_t *i, const char *name)
{
    size_t            len;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    if (*part == NULL) {
        *part = &r->headers_in.headers.part;
    }

    for ( ;; ) {

        if (*i >= (*part)->nelts) {

            if ((*part)->next == NULL) {
                return NULL;
            }

            *part = (*part)->next;
            *i = 0;
            continue;
        }

        h = (ngx_table_elt_t *) (*part)->elts + (*i)++;

        if (h->key.len == len
            && ngx_strncasecmp(h->key.data, (u_char *) name, len) == 0)
        {
            return h;
        }
    }
}
