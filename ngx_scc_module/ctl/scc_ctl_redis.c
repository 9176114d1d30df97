
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>

#include "scc_ctl_redis.h"


#define SCC_CTL_REDIS_PORT     6379
#define SCC_CTL_REDIS_CONNECT  5            /* seconds */
#define SCC_CTL_REDIS_ANSWER   30

#define SCC_CTL_REDIS_SECRET   512          /* bytes of a password */


typedef struct {
    char               *text;               /* cut into words */
    char               *path;               /* of a unix socket */
    char               *host;
    uint64_t            port;
    char               *user;
    uint64_t            db;
    char                password[SCC_CTL_REDIS_SECRET];
} scc_ctl_redis_address_t;


static int scc_ctl_redis_parse(scc_ctl_redis_address_t *a,
    const char *option, const char *address);
static int scc_ctl_redis_place(scc_ctl_redis_address_t *a, char *word);
static int scc_ctl_redis_password(scc_ctl_redis_address_t *a,
    const char *option, const char *path);
static redisContext *scc_ctl_redis_open(const scc_ctl_redis_address_t *a,
    const char *option);
static int scc_ctl_redis_hello(redisContext *redis,
    const scc_ctl_redis_address_t *a);


redisContext *
scc_ctl_redis_connect(const char *option, const char *address)
{
    redisContext             *redis;
    scc_ctl_redis_address_t   a;

    memset(&a, 0, sizeof(scc_ctl_redis_address_t));

    a.port = SCC_CTL_REDIS_PORT;
    redis = NULL;

    if (scc_ctl_redis_parse(&a, option, address) == 0) {
        redis = scc_ctl_redis_open(&a, option);

        if (redis != NULL && scc_ctl_redis_hello(redis, &a) != 0) {
            redisFree(redis);
            redis = NULL;
        }
    }

    explicit_bzero(a.password, sizeof(a.password));
    free(a.text);

    return redis;
}


redisReply *
scc_ctl_redis_ask(redisContext *redis, const char *what, int argc,
    const char **argv, const size_t *lens)
{
    redisReply  *reply;

    reply = redisCommandArgv(redis, argc, argv, lens);

    if (reply == NULL) {
        scc_ctl_error("%s: Redis gave no answer: %s; is it still running?",
                      what, redis->err == REDIS_ERR_IO ? strerror(errno)
                                                       : redis->errstr);
        return NULL;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        scc_ctl_error("%s: Redis says \"%s\"", what, reply->str);
        freeReplyObject(reply);
        return NULL;
    }

    return reply;
}


static int
scc_ctl_redis_parse(scc_ctl_redis_address_t *a, const char *option,
    const char *address)
{
    char  *word, *next;

    a->text = strdup(address);

    if (a->text == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    word = strtok_r(a->text, " \t", &next);

    if (word == NULL || scc_ctl_redis_place(a, word) != 0) {
        scc_ctl_error("the value of --%s is no address; write "
                      "\"unix:/path\" or \"host:port\", as in nginx's "
                      "configuration", option);
        return -1;
    }

    while ((word = strtok_r(NULL, " \t", &next)) != NULL) {

        if (strncmp(word, "user=", 5) == 0) {
            a->user = word + 5;

        } else if (strncmp(word, "password_file=", 14) == 0) {
            if (scc_ctl_redis_password(a, option, word + 14) != 0) {
                return -1;
            }

        } else if (strncmp(word, "db=", 3) != 0
                   || scc_ctl_number(word + 3, 0, INT32_MAX, &a->db) != 0)
        {
            scc_ctl_error("--%s: after the address only user=, "
                          "password_file= and db=NUMBER may follow", option);
            return -1;
        }
    }

    if (a->user != NULL && a->password[0] == '\0') {
        scc_ctl_error("--%s: \"user=\" needs \"password_file=\"", option);
        return -1;
    }

    return 0;
}


static int
scc_ctl_redis_place(scc_ctl_redis_address_t *a, char *word)
{
    char  *colon;

    if (strncmp(word, "unix:", 5) == 0) {
        a->path = word + 5;
        return a->path[0] == '/' ? 0 : -1;
    }

    a->host = word;

    /* [::1]:6379 */

    if (word[0] == '[') {
        a->host = word + 1;
        colon = strchr(a->host, ']');

        if (colon == NULL) {
            return -1;
        }

        *colon++ = '\0';

        if (*colon == '\0') {
            return 0;
        }

    } else {
        colon = strchr(word, ':');

        if (colon == NULL) {
            return 0;
        }
    }

    if (*colon != ':') {
        return -1;
    }

    *colon++ = '\0';

    if (a->host[0] == '\0') {
        return -1;
    }

    return scc_ctl_number(colon, 1, 65535, &a->port);
}


/* Without the line's end, as nginx reads it. */

static int
scc_ctl_redis_password(scc_ctl_redis_address_t *a, const char *option,
    const char *path)
{
    FILE    *f;
    size_t   n;

    f = fopen(path, "re");

    if (f == NULL) {
        scc_ctl_error("--%s: cannot read the password file \"%s\": %s",
                      option, path, strerror(errno));
        return -1;
    }

    n = fread(a->password, 1, sizeof(a->password), f);
    fclose(f);

    while (n > 0 && n < sizeof(a->password)
           && (a->password[n - 1] == '\n' || a->password[n - 1] == '\r'))
    {
        n--;
    }

    if (n == 0 || n == sizeof(a->password)) {
        scc_ctl_error("--%s: the password file \"%s\" is empty or too long",
                      option, path);
        return -1;
    }

    a->password[n] = '\0';

    return 0;
}


static redisContext *
scc_ctl_redis_open(const scc_ctl_redis_address_t *a, const char *option)
{
    redisContext    *redis;
    struct timeval   connect = { SCC_CTL_REDIS_CONNECT, 0 };
    struct timeval   answer = { SCC_CTL_REDIS_ANSWER, 0 };

    if (a->path != NULL) {
        redis = redisConnectUnixWithTimeout(a->path, connect);

    } else {
        redis = redisConnectWithTimeout(a->host, (int) a->port, connect);
    }

    if (redis == NULL) {
        scc_ctl_error("out of memory");
        return NULL;
    }

    if (redis->err || redisSetTimeout(redis, answer) != REDIS_OK) {
        scc_ctl_error("cannot connect to the Redis of --%s: %s; is it "
                      "running, and is this its address?", option,
                      redis->errstr);
        redisFree(redis);
        return NULL;
    }

    return redis;
}


static int
scc_ctl_redis_hello(redisContext *redis, const scc_ctl_redis_address_t *a)
{
    int           argc;
    char          db[24];
    redisReply   *reply;
    const char   *argv[3];

    if (a->password[0] != '\0') {
        argc = 0;
        argv[argc++] = "AUTH";

        if (a->user != NULL) {
            argv[argc++] = a->user;
        }

        argv[argc++] = a->password;

        reply = scc_ctl_redis_ask(redis, "logging in", argc, argv, NULL);

        if (reply == NULL) {
            return -1;
        }

        freeReplyObject(reply);
    }

    if (a->db != 0) {
        snprintf(db, sizeof(db), "%llu", (unsigned long long) a->db);

        argv[0] = "SELECT";
        argv[1] = db;

        reply = scc_ctl_redis_ask(redis, "selecting the database", 2, argv,
                                  NULL);
        if (reply == NULL) {
            return -1;
        }

        freeReplyObject(reply);
    }

    return 0;
}
