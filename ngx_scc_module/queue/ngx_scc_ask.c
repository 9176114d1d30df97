
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_ask.h"


#define NGX_SCC_ASK_CANARIES  5
#define NGX_SCC_ASK_WORDS     8


typedef enum {
    NGX_SCC_ASK_USER = 0,
    NGX_SCC_ASK_RIGHT,
    NGX_SCC_ASK_CANARY,
    NGX_SCC_ASK_STREAM,
    NGX_SCC_ASK_GROUPS,
    NGX_SCC_ASK_END,
} ngx_scc_ask_step_t;


static void ngx_scc_ask_send(ngx_scc_ask_t *ask,
    ngx_scc_redis_handler_pt handler, const char *const *words);
static void ngx_scc_ask_info(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_ask_config(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_ask_answered(ngx_scc_ask_t *ask,
    ngx_scc_redis_status_t status);
static void ngx_scc_ask_step(ngx_scc_ask_t *ask);
static void ngx_scc_ask_right(ngx_scc_ask_t *ask);
static void ngx_scc_ask_reply(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_ask_canary(ngx_scc_ask_t *ask);
static void ngx_scc_ask_stream(ngx_scc_ask_t *ask,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_ask_groups(ngx_scc_ask_t *ask,
    ngx_scc_redis_reply_t *reply);
static void ngx_scc_ask_why(ngx_scc_ask_t *ask, ngx_scc_redis_reply_t *reply);
static scc_str_t ngx_scc_ask_str(ngx_scc_redis_reply_t *reply);


/* One pattern each: Redis takes several since 7.0 only.  All are asked if
   "full", else the few that decide. */

static const char  *const ngx_scc_ask_configs[] = {
    "*append*", "maxmemory*", "min-replicas-to-write",
    "aof-load-truncated", "dir"
};

#define NGX_SCC_ASK_CONFIGS_FEW  3
#define NGX_SCC_ASK_CONFIGS                                                   \
    (sizeof(ngx_scc_ask_configs) / sizeof(ngx_scc_ask_configs[0]))

static const char  *const ngx_scc_ask_infos[] = { "INFO", NULL };
static const char  *const ngx_scc_ask_whoami[] = { "ACL", "WHOAMI", NULL };
static const char  *const ngx_scc_ask_stream_words[] = {
    "XINFO", "STREAM", "scc:queue", NULL
};
static const char  *const ngx_scc_ask_groups_words[] = {
    "XINFO", "GROUPS", "scc:queue", NULL
};
static const char  *const ngx_scc_ask_canary_words[] = {
    "XADD", "scc:canary", "MAXLEN", "1", "*", "t", "1", NULL
};


ngx_int_t
ngx_scc_ask(ngx_scc_ask_t *ask)
{
    ngx_uint_t   i, n;
    const char  *words[4];

    ask->incarnation = ngx_scc_redis_incarnation(ask->pool);
    ask->lost = 0;
    ask->waiting = 0;
    ask->step = ask->full ? NGX_SCC_ASK_USER : NGX_SCC_ASK_END;

    ngx_scc_ask_send(ask, ngx_scc_ask_info, ngx_scc_ask_infos);

    n = ask->full ? NGX_SCC_ASK_CONFIGS : NGX_SCC_ASK_CONFIGS_FEW;

    for (i = 0; i < n; i++) {
        words[0] = "CONFIG";
        words[1] = "GET";
        words[2] = ngx_scc_ask_configs[i];
        words[3] = NULL;

        ngx_scc_ask_send(ask, ngx_scc_ask_config, words);
    }

    return (ask->waiting != 0) ? NGX_OK : NGX_DECLINED;
}


static void
ngx_scc_ask_send(ngx_scc_ask_t *ask, ngx_scc_redis_handler_pt handler,
    const char *const *words)
{
    ngx_str_t   argv[NGX_SCC_ASK_WORDS];
    ngx_uint_t  n;

    for (n = 0; n < NGX_SCC_ASK_WORDS && words[n] != NULL; n++) {
        argv[n].data = (u_char *) words[n];
        argv[n].len = ngx_strlen(words[n]);
    }

    if (ngx_scc_redis_command(ask->pool, n, argv, 0, handler, ask) != NULL) {
        ask->waiting++;

    } else {
        ask->lost = 1;
    }
}


static void
ngx_scc_ask_info(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_ask_t *ask = data;

    if (status == NGX_SCC_REDIS_OK) {

        if (ngx_scc_reply_type(reply) == NGX_SCC_REPLY_STRING) {
            scc_audit_info(&ask->facts, ngx_scc_ask_str(reply));

        } else {
            ngx_scc_ask_why(ask, reply);
        }
    }

    ngx_scc_ask_answered(ask, status);
}


static void
ngx_scc_ask_config(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_ask_t *ask = data;

    ngx_uint_t  i;

    if (status == NGX_SCC_REDIS_OK) {

        if (ngx_scc_reply_type(reply) != NGX_SCC_REPLY_ARRAY) {
            ngx_scc_ask_why(ask, reply);

        } else {
            for (i = 0; i + 1 < ngx_scc_reply_elements(reply); i += 2) {
                scc_audit_config(&ask->facts,
                    ngx_scc_ask_str(ngx_scc_reply_element(reply, i)),
                    ngx_scc_ask_str(ngx_scc_reply_element(reply, i + 1)));
            }
        }
    }

    ngx_scc_ask_answered(ask, status);
}


static void
ngx_scc_ask_answered(ngx_scc_ask_t *ask, ngx_scc_redis_status_t status)
{
    if (status != NGX_SCC_REDIS_OK) {
        ask->lost = 1;
    }

    if (--ask->waiting == 0) {
        ngx_scc_ask_step(ask);
    }
}


/* One after the other: an entry's time is its own only if it is alone. */

static void
ngx_scc_ask_step(ngx_scc_ask_t *ask)
{
    if (ask->incarnation != ngx_scc_redis_incarnation(ask->pool)) {
        ask->lost = 1;
    }

    while (!ask->lost) {

        switch (ask->step) {

        case NGX_SCC_ASK_USER:
            ask->right = 0;
            ask->facts.rights[0] = '\0';
            ngx_scc_ask_send(ask, ngx_scc_ask_reply, ngx_scc_ask_whoami);
            break;

        case NGX_SCC_ASK_RIGHT:
            ngx_scc_ask_right(ask);
            break;

        case NGX_SCC_ASK_CANARY:
            (void) clock_gettime(CLOCK_MONOTONIC, &ask->sent);
            ngx_scc_ask_send(ask, ngx_scc_ask_reply,
                             ngx_scc_ask_canary_words);
            break;

        case NGX_SCC_ASK_STREAM:
            ngx_scc_ask_send(ask, ngx_scc_ask_reply,
                             ngx_scc_ask_stream_words);
            break;

        case NGX_SCC_ASK_GROUPS:
            ngx_scc_ask_send(ask, ngx_scc_ask_reply,
                             ngx_scc_ask_groups_words);
            break;

        default: /* NGX_SCC_ASK_END */
            ask->handler(ask);
            return;
        }

        if (ask->waiting != 0) {
            return;
        }
    }

    ask->handler(ask);
}


static void
ngx_scc_ask_right(ngx_scc_ask_t *ask)
{
    unsigned     n;
    const char  *words[NGX_SCC_ASK_WORDS];

    n = scc_audit_right((unsigned) ask->right, words + 3);

    if (n == 0) {
        ask->step = NGX_SCC_ASK_CANARY;
        ask->right = 0;
        return;
    }

    words[0] = "ACL";
    words[1] = "DRYRUN";
    words[2] = ask->user;
    words[3 + n] = NULL;

    ngx_scc_ask_send(ask, ngx_scc_ask_reply, words);
}


static void
ngx_scc_ask_reply(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_ask_t *ask = data;

    ngx_str_t   text;
    ngx_uint_t  good;

    if (status != NGX_SCC_REDIS_OK) {
        ngx_scc_ask_answered(ask, status);
        return;
    }

    good = (ngx_scc_reply_type(reply) != NGX_SCC_REPLY_ERROR);

    switch (ask->step) {

    case NGX_SCC_ASK_USER:
        text = ngx_scc_reply_str(reply);

        /* who may not ask who he is, may not do the rest either */

        if (good && text.len < sizeof(ask->user)) {
            *ngx_cpymem(ask->user, text.data, text.len) = '\0';
            ask->step = NGX_SCC_ASK_RIGHT;

        } else {
            ask->step = NGX_SCC_ASK_CANARY;
        }

        ask->right = 0;
        break;

    case NGX_SCC_ASK_RIGHT:
        text = ngx_scc_reply_str(reply);

        if (good && text.len == 2 && ngx_strncmp(text.data, "OK", 2) == 0) {
            scc_audit_may(&ask->facts, (unsigned) ask->right);
        }

        ask->right++;
        break;

    case NGX_SCC_ASK_CANARY:

        if (good) {
            ngx_scc_ask_canary(ask);

        } else {
            ask->step = NGX_SCC_ASK_STREAM;
        }

        break;

    case NGX_SCC_ASK_STREAM:
        ngx_scc_ask_stream(ask, reply);
        ask->step = NGX_SCC_ASK_GROUPS;
        break;

    default: /* NGX_SCC_ASK_GROUPS */
        ngx_scc_ask_groups(ask, reply);
        ask->step = NGX_SCC_ASK_END;
    }

    ngx_scc_ask_answered(ask, status);
}


/* The median; what else this process does meanwhile only adds to it. */

static void
ngx_scc_ask_canary(ngx_scc_ask_t *ask)
{
    uint32_t         usec;
    ngx_uint_t       i;
    struct timespec  now;

    (void) clock_gettime(CLOCK_MONOTONIC, &now);

    usec = (uint32_t) ((now.tv_sec - ask->sent.tv_sec) * 1000000
                       + (now.tv_nsec - ask->sent.tv_nsec) / 1000);

    for (i = ask->right; i > 0 && ask->canaries[i - 1] > usec; i--) {
        ask->canaries[i] = ask->canaries[i - 1];
    }

    ask->canaries[i] = usec;

    if (++ask->right == NGX_SCC_ASK_CANARIES) {
        ask->facts.canary_usec = ask->canaries[NGX_SCC_ASK_CANARIES / 2];
        ask->step = NGX_SCC_ASK_STREAM;
    }
}


/* "no such key" is an answer, too. */

static void
ngx_scc_ask_stream(ngx_scc_ask_t *ask, ngx_scc_redis_reply_t *reply)
{
    u_char                  number[NGX_INT64_LEN];
    scc_str_t               value;
    ngx_str_t               text;
    ngx_uint_t              i;
    ngx_scc_redis_reply_t  *element;

    ask->facts.last_id[0] = '\0';
    ask->facts.added = 0;
    ask->facts.length = 0;

    if (ngx_scc_reply_type(reply) == NGX_SCC_REPLY_ERROR) {
        text = ngx_scc_reply_str(reply);
        ask->facts.stream = (ngx_strnstr(text.data, "no such key", text.len)
                             != NULL);
        return;
    }

    ask->facts.stream = 1;

    for (i = 0; i + 1 < ngx_scc_reply_elements(reply); i += 2) {
        element = ngx_scc_reply_element(reply, i + 1);

        if (ngx_scc_reply_type(element) == NGX_SCC_REPLY_INTEGER) {
            value.data = number;
            value.len = ngx_sprintf(number, "%L",
                                    ngx_scc_reply_integer(element)) - number;

        } else {
            value = ngx_scc_ask_str(element);
        }

        scc_audit_stream(&ask->facts,
                         ngx_scc_ask_str(ngx_scc_reply_element(reply, i)),
                         value);
    }
}


static void
ngx_scc_ask_groups(ngx_scc_ask_t *ask, ngx_scc_redis_reply_t *reply)
{
    ngx_str_t               key, name;
    ngx_uint_t              i, k;
    ngx_scc_redis_reply_t  *group;

    ask->facts.group = 0;

    if (ngx_scc_reply_type(reply) != NGX_SCC_REPLY_ARRAY) {
        return;
    }

    for (i = 0; i < ngx_scc_reply_elements(reply); i++) {
        group = ngx_scc_reply_element(reply, i);

        for (k = 0; k + 1 < ngx_scc_reply_elements(group); k += 2) {
            key = ngx_scc_reply_str(ngx_scc_reply_element(group, k));
            name = ngx_scc_reply_str(ngx_scc_reply_element(group, k + 1));

            if (key.len == 4 && ngx_strncmp(key.data, "name", 4) == 0
                && name.len == 5 && ngx_strncmp(name.data, "apply", 5) == 0)
            {
                ask->facts.group = 1;
            }
        }
    }
}


/* What a server says may be long, or no text: its first words are enough. */

static void
ngx_scc_ask_why(ngx_scc_ask_t *ask, ngx_scc_redis_reply_t *reply)
{
    size_t      i, len;
    ngx_str_t   text;

    text = ngx_scc_reply_str(reply);
    len = ngx_min(text.len, sizeof(ask->facts.why) - 1);

    for (i = 0; i < len; i++) {
        ask->facts.why[i] = (text.data[i] >= ' ' && text.data[i] < 0x7f)
                            ? (char) text.data[i] : '?';
    }

    ask->facts.why[len] = '\0';
}


static scc_str_t
ngx_scc_ask_str(ngx_scc_redis_reply_t *reply)
{
    scc_str_t  s;
    ngx_str_t  text;

    text = ngx_scc_reply_str(reply);

    s.len = text.len;
    s.data = text.data;

    return s;
}
