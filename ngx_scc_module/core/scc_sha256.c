
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


/* The functions that cannot fail: EVP's may, for want of memory, and an id
   made of a digest that is not one would collide with others. */

#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/sha.h>

#include "scc_contribution.h"


static void scc_sha256_add(SHA256_CTX *sha, scc_str_t bytes);


void
scc_sha256(uint8_t out[32], scc_str_t bytes)
{
    SHA256_CTX  sha;

    (void) SHA256_Init(&sha);
    scc_sha256_add(&sha, bytes);
    (void) SHA256_Final(out, &sha);
}


void
scc_event_id_of_key(uint8_t id[16], const uint8_t store[16],
    scc_str_t contributor, scc_str_t key)
{
    uint8_t     digest[32];
    scc_str_t   part;
    SHA256_CTX  sha;

    static const scc_str_t  between = { 5, (const uint8_t *) "\0key" };

    part.len = 16;
    part.data = store;

    (void) SHA256_Init(&sha);

    scc_sha256_add(&sha, part);
    scc_sha256_add(&sha, contributor);
    scc_sha256_add(&sha, between);
    scc_sha256_add(&sha, key);

    (void) SHA256_Final(digest, &sha);

    scc_uuid_v8(id, digest);
}


static void
scc_sha256_add(SHA256_CTX *sha, scc_str_t bytes)
{
    if (bytes.len > 0) {
        (void) SHA256_Update(sha, bytes.data, bytes.len);
    }
}
