
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_redis_int.h"

/* hiredis.h needs it and does not say so */
#include <sys/time.h>
#include <hiredis/hiredis.h>


/* What a reader may keep between replies; a bigger buffer is freed. */

#define NGX_SCC_REDIS_READER_KEEP  (128 * 1024)


void *
ngx_scc_redis_reader_create(void)
{
    redisReader  *reader;

    reader = redisReaderCreate();

    if (reader != NULL) {
        reader->maxbuf = NGX_SCC_REDIS_READER_KEEP;
    }

    return reader;
}


void
ngx_scc_redis_reader_free(void *reader)
{
    redisReaderFree(reader);
}


ngx_int_t
ngx_scc_redis_reader_feed(void *reader, u_char *buf, size_t len)
{
    return redisReaderFeed(reader, (char *) buf, len) == REDIS_OK
           ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_scc_redis_reader_next(void *reader, ngx_scc_redis_reply_t **reply,
    const char **err)
{
    void  *r;

    if (redisReaderGetReply(reader, &r) != REDIS_OK) {
        *err = ((redisReader *) reader)->errstr;
        return NGX_ERROR;
    }

    if (r == NULL) {
        return NGX_AGAIN;
    }

    *reply = r;

    return NGX_OK;
}


void
ngx_scc_redis_reply_free(ngx_scc_redis_reply_t *reply)
{
    freeReplyObject(reply);
}


ngx_uint_t
ngx_scc_redis_reply_is(ngx_scc_redis_reply_t *reply, const char *error)
{
    size_t     len;
    ngx_str_t  text;

    if (ngx_scc_reply_type(reply) != NGX_SCC_REPLY_ERROR) {
        return 0;
    }

    text = ngx_scc_reply_str(reply);
    len = ngx_strlen(error);

    return text.len >= len && ngx_strncmp(text.data, error, len) == 0
           && (text.len == len || text.data[len] == ' ');
}


ngx_scc_reply_type_t
ngx_scc_reply_type(ngx_scc_redis_reply_t *reply)
{
    switch (((redisReply *) reply)->type) {

    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return NGX_SCC_REPLY_STRING;

    case REDIS_REPLY_INTEGER:
        return NGX_SCC_REPLY_INTEGER;

    case REDIS_REPLY_ARRAY:
        return NGX_SCC_REPLY_ARRAY;

    case REDIS_REPLY_ERROR:
        return NGX_SCC_REPLY_ERROR;

    default:
        return NGX_SCC_REPLY_NIL;
    }
}


ngx_str_t
ngx_scc_reply_str(ngx_scc_redis_reply_t *reply)
{
    ngx_str_t    str;
    redisReply  *r;

    r = (redisReply *) reply;

    switch (r->type) {

    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        str.len = (size_t) r->len;
        str.data = (u_char *) r->str;
        break;

    default:
        ngx_str_null(&str);
    }

    return str;
}


int64_t
ngx_scc_reply_integer(ngx_scc_redis_reply_t *reply)
{
    redisReply  *r;

    r = (redisReply *) reply;

    return r->type == REDIS_REPLY_INTEGER ? (int64_t) r->integer : 0;
}


ngx_uint_t
ngx_scc_reply_elements(ngx_scc_redis_reply_t *reply)
{
    redisReply  *r;

    r = (redisReply *) reply;

    return r->type == REDIS_REPLY_ARRAY ? (ngx_uint_t) r->elements : 0;
}


ngx_scc_redis_reply_t *
ngx_scc_reply_element(ngx_scc_redis_reply_t *reply, ngx_uint_t i)
{
    redisReply  *r;

    r = (redisReply *) reply;

    if (i >= ngx_scc_reply_elements(reply)) {
        return NULL;
    }

    return (ngx_scc_redis_reply_t *) r->element[i];
}
