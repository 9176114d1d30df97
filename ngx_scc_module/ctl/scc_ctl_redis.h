
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_REDIS_H_INCLUDED_
#define _SCC_CTL_REDIS_H_INCLUDED_


#include <hiredis/hiredis.h>

#include "scc_ctl.h"


#define SCC_CTL_QUEUE_OPT                                                    \
    { "queue", "ADDRESS", "the queue's Redis, as \"scc_queue\" names it:\n"  \
                          "\"unix:/path\" or \"host:port [user=name]\n"      \
                          "[password_file=file] [db=number]\"" }

#define SCC_CTL_REDIS_OPT                                                    \
    { "redis", "ADDRESS", "the cache's Redis, as \"scc_redis\" names it" }


/*
 * A connection to a Redis server, with deadlines: 5 s to connect, 30 s for
 * an answer.  "address" is what nginx's scc_redis and scc_queue take, as one
 * string; "option" names it in messages.  The message never shows a
 * password.  NULL after saying what is wrong; redisFree() ends it.
 */
redisContext *scc_ctl_redis_connect(const char *option, const char *address);

/*
 * Sends a command and waits for its answer, which is the caller's:
 * freeReplyObject().  NULL after saying "what: server's message", of an
 * error reply too.
 */
redisReply *scc_ctl_redis_ask(redisContext *redis, const char *what, int argc,
    const char **argv, const size_t *lens);


#endif /* _SCC_CTL_REDIS_H_INCLUDED_ */
