
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_cache.h"


/*
 * The protocol's four steps as scripts of one key each (README.md has the
 * states and what goes wrong without each guard).  They read and patch the
 * header only; offsets are those of core/scc_blob.h, one-based in Lua's
 * string functions.  What is no entry of ours is removed: the key is ours.
 */

#define NGX_SCC_LEASE_HEADER                                                  \
    "local h = redis.pcall('GETRANGE', KEYS[1], 0, 63)\n"                     \
    "if type(h) ~= 'string'"                                                  \
    " or (#h > 0 and (#h < 64 or h:sub(1, 5) ~= 'SCCC\\1')) then\n"           \
    "  redis.call('DEL', KEYS[1])\n"                                          \
    "  h = ''\n"                                                              \
    "end\n"                                                                   \
    "local state = h:byte(6)\n"


/* ARGV: token, lease ms, blank header */

static const char  ngx_scc_lease_acquire_lua[] =
    NGX_SCC_LEASE_HEADER
    "if state == 1 then\n"
    "  return 2\n"
    "end\n"
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "local lease = ARGV[1] .. struct.pack('<I8', now + ARGV[2])\n"
    "if h == '' then\n"
    "  local b = ARGV[3]\n"
    "  redis.call('SET', KEYS[1], b:sub(1, 24) .. lease .. b:sub(41),"
    " 'PX', ARGV[2] + 1000)\n"
    "  return 1\n"
    "end\n"
    "if state == 2 and struct.unpack('<I8', h, 33) > now then\n"
    "  return 0\n"
    "end\n"
    "redis.call('SETRANGE', KEYS[1], 5, '\\2')\n"
    "redis.call('SETRANGE', KEYS[1], 24, lease)\n"
    "if h:byte(7) % 2 == 0 then\n"
    "  redis.call('PEXPIRE', KEYS[1], ARGV[2] + 1000)\n"
    "end\n"
    "return 1\n";


/* ARGV: token, entry, life ms */

static const char  ngx_scc_lease_fill_lua[] =
    NGX_SCC_LEASE_HEADER
    "if state ~= 2 or h:sub(25, 32) ~= ARGV[1] then\n"
    "  return 0\n"
    "end\n"
    "local ver = struct.unpack('<I8', ARGV[2], 9)\n"
    "if ver < struct.unpack('<I8', h, 17) then\n"
    "  redis.call('SETRANGE', KEYS[1], 5, '\\3')\n"
    "  return 0\n"
    "end\n"
    "redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])\n"
    "return 1\n";


/*
 * ARGV: version.  A server that is out of memory refuses to patch, but not
 * to delete, and losing an entry is always safe.
 */

static const char  ngx_scc_lease_change_lua[] =
    NGX_SCC_LEASE_HEADER
    "if h == '' then\n"
    "  return 0\n"
    "end\n"
    "local ver = tonumber(ARGV[1])\n"
    "if struct.unpack('<I8', h, state == 1 and 9 or 17) >= ver then\n"
    "  return 0\n"
    "end\n"
    "local to = state == 1 and 3 or state\n"
    "local r = redis.pcall('SETRANGE', KEYS[1], 5, string.char(to)"
    " .. h:sub(7, 16) .. struct.pack('<I8', ver))\n"
    "if type(r) == 'table' then\n"
    "  redis.call('DEL', KEYS[1])\n"
    "end\n"
    "return 1\n";


/* ARGV: token */

static const char  ngx_scc_lease_release_lua[] =
    NGX_SCC_LEASE_HEADER
    "if state ~= 2 or h:sub(25, 32) ~= ARGV[1] then\n"
    "  return 0\n"
    "end\n"
    "if h:byte(7) % 2 == 0 then\n"
    "  redis.call('DEL', KEYS[1])\n"
    "else\n"
    "  redis.call('SETRANGE', KEYS[1], 5, '\\3')\n"
    "end\n"
    "return 1\n";


static void ngx_scc_lease_script(ngx_scc_redis_script_t *script, char *name,
    const char *text);
static ngx_scc_redis_call_t *ngx_scc_lease_eval(ngx_scc_cache_t *cache,
    ngx_scc_redis_script_t *script, uint32_t key, ngx_uint_t argc,
    ngx_str_t *argv, ngx_scc_redis_handler_pt handler, void *data);
static void ngx_scc_lease_token(u_char *p, uint64_t token);
static void ngx_scc_lease_done(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply);


void
ngx_scc_lease_init(ngx_scc_cache_t *cache)
{
    scc_blob_blank(cache->blank);

    ngx_scc_lease_script(&cache->scripts.lease, "lease",
                         ngx_scc_lease_acquire_lua);
    ngx_scc_lease_script(&cache->scripts.fill, "fill",
                         ngx_scc_lease_fill_lua);
    ngx_scc_lease_script(&cache->scripts.change, "change",
                         ngx_scc_lease_change_lua);
    ngx_scc_lease_script(&cache->scripts.release, "release",
                         ngx_scc_lease_release_lua);
}


ngx_int_t
ngx_scc_lease_register(ngx_scc_cache_t *cache)
{
    ngx_scc_lease_scripts_t  *s;

    s = &cache->scripts;

    if (ngx_scc_redis_script(cache->redis, &s->lease) != NGX_OK
        || ngx_scc_redis_script(cache->redis, &s->fill) != NGX_OK
        || ngx_scc_redis_script(cache->redis, &s->change) != NGX_OK
        || ngx_scc_redis_script(cache->redis, &s->release) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_scc_redis_call_t *
ngx_scc_lease_acquire(ngx_scc_cache_t *cache, uint32_t key, uint64_t token,
    ngx_scc_redis_handler_pt handler, void *data)
{
    u_char     bytes[8], msec[NGX_INT64_LEN];
    ngx_str_t  argv[3];

    ngx_scc_lease_token(bytes, token);

    argv[0].len = 8;
    argv[0].data = bytes;

    argv[1].data = msec;
    argv[1].len = ngx_sprintf(msec, "%M", cache->conf->lease_time) - msec;

    argv[2].len = SCC_BLOB_HEADER;
    argv[2].data = cache->blank;

    return ngx_scc_lease_eval(cache, &cache->scripts.lease, key, 3, argv,
                              handler, data);
}


/* Nobody waits for this: the answer has the bytes already. */

void
ngx_scc_lease_fill(ngx_scc_cache_t *cache, uint32_t key, uint64_t token,
    scc_str_t blob)
{
    u_char     bytes[8], ttl[NGX_INT64_LEN];
    ngx_str_t  argv[3];

    ngx_scc_lease_token(bytes, token);

    argv[0].len = 8;
    argv[0].data = bytes;

    argv[1].len = blob.len;
    argv[1].data = (u_char *) blob.data;

    argv[2].data = ttl;
    argv[2].len = ngx_scc_cache_ttl(cache, ttl) - ttl;

    (void) ngx_scc_lease_eval(cache, &cache->scripts.fill, key, 3, argv,
                              ngx_scc_lease_done, cache);
}


void
ngx_scc_lease_release(ngx_scc_cache_t *cache, uint32_t key, uint64_t token)
{
    u_char     bytes[8];
    ngx_str_t  argv[1];

    ngx_scc_lease_token(bytes, token);

    argv[0].len = 8;
    argv[0].data = bytes;

    (void) ngx_scc_lease_eval(cache, &cache->scripts.release, key, 1, argv,
                              ngx_scc_lease_done, cache);
}


ngx_scc_redis_call_t *
ngx_scc_cache_change(ngx_scc_cache_t *cache, uint32_t key, uint64_t ver,
    ngx_scc_redis_handler_pt handler, void *data)
{
    u_char     number[NGX_INT64_LEN];
    ngx_str_t  argv[1];

    argv[0].data = number;
    argv[0].len = ngx_sprintf(number, "%uL", ver) - number;

    return ngx_scc_lease_eval(cache, &cache->scripts.change, key, 1, argv,
                              handler, data);
}


static void
ngx_scc_lease_script(ngx_scc_redis_script_t *script, char *name,
    const char *text)
{
    script->name.len = ngx_strlen(name);
    script->name.data = (u_char *) name;

    script->text.len = ngx_strlen(text);
    script->text.data = (u_char *) text;
}


static ngx_scc_redis_call_t *
ngx_scc_lease_eval(ngx_scc_cache_t *cache, ngx_scc_redis_script_t *script,
    uint32_t key, ngx_uint_t argc, ngx_str_t *argv,
    ngx_scc_redis_handler_pt handler, void *data)
{
    u_char     buf[NGX_SCC_CACHE_KEY_LEN];
    ngx_str_t  name;

    name.data = buf;
    name.len = ngx_scc_cache_key(cache, buf, key) - buf;

    return ngx_scc_redis_eval(cache->redis, script, &name, argc, argv, 0,
                              handler, data);
}


static void
ngx_scc_lease_token(u_char *p, uint64_t token)
{
    ngx_uint_t  i;

    for (i = 0; i < 8; i++) {
        *p++ = (u_char) (token >> 8 * i);
    }
}


static void
ngx_scc_lease_done(void *data, ngx_scc_redis_status_t status,
    ngx_scc_redis_reply_t *reply)
{
    ngx_scc_cache_t *cache = data;

    ngx_str_t        text;

    if (status != NGX_SCC_REDIS_OK
        || ngx_scc_reply_type(reply) != NGX_SCC_REPLY_ERROR)
    {
        return;
    }

    text = ngx_scc_reply_str(reply);

    ngx_log_error(NGX_LOG_WARN, cache->log, 0,
                  "scc: redis did not take a cell: \"%V\"; answers go on "
                  "from the store", &text);
}
