
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "scc_ctl_digest.h"


static int scc_ctl_digest_part(PGconn *pg, const char *const *queries,
    uint8_t sha256[32]);
static int scc_ctl_digest_copy(PGconn *pg, EVP_MD_CTX *md,
    const char *query);


static const char *const  scc_ctl_digest_ledger[] = {
    "SELECT event_id, hlc, received_at, segment_id, schema_ver, kind, target,"
    " contributor_id, contributor_name, idem_key, body_sha256, body"
    " FROM scc.contribution ORDER BY hlc, event_id",
    NULL
};

static const char *const  scc_ctl_digest_places[] = {
    "SELECT id, name, category, address, source, extra, building_id,"
    " synthetic, is_closed, registered, level, lon_e7, lat_e7, hlc, event_id"
    " FROM scc.place ORDER BY id",
    "SELECT place_id, floors, is_first_floor, is_stair_only_option,"
    " stair_info, stair_height_level, has_slope, entrance_door_types,"
    " image_urls, recovered_from, confidence, recoverer, original_time,"
    " contributor_id, as_of, hlc, event_id"
    " FROM scc.place_accessibility ORDER BY place_id",
    "SELECT id, name, address, lon_e7, lat_e7, contributor_id, hlc, event_id"
    " FROM scc.building ORDER BY id",
    "SELECT building_id, entrance_stair_info, entrance_stair_height_level,"
    " entrance_door_types, has_slope, has_elevator, elevator_stair_info,"
    " elevator_stair_height_level, image_urls, recovered_from, confidence,"
    " recoverer, original_time, contributor_id, as_of, hlc, event_id"
    " FROM scc.building_accessibility ORDER BY building_id",
    "SELECT event_id, place_id, building_id, comment, contributor_id, hlc"
    " FROM scc.comment ORDER BY event_id",
    "SELECT event_id, place_id, reason, detail, contributor_id, hlc"
    " FROM scc.report ORDER BY event_id",
    "SELECT id, object_key, size, sha256, taken_at, lon_e7, lat_e7, place_id,"
    " building_id, image_type, uploader, contributor_id, hlc, event_id"
    " FROM scc.photo ORDER BY id",
    "SELECT number, id FROM scc.number WHERE kind = 'place' ORDER BY number",
    NULL
};

static const char *const  scc_ctl_digest_roster[] = {
    "SELECT c.id, c.display_name, c.hlc, n.number, c.erased_hlc"
    " FROM scc.contributor c"
    " LEFT JOIN scc.number n ON n.kind = 'contributor' AND n.id = c.id"
    " ORDER BY c.id",
    NULL
};


int
scc_ctl_digest(PGconn *pg, scc_ctl_digest_t *d)
{
    int  i, rc;

    static const char *const *const  parts[SCC_CTL_DIGEST_PARTS] = {
        scc_ctl_digest_ledger, scc_ctl_digest_places, scc_ctl_digest_roster
    };

    rc = scc_ctl_pg_do(pg, "beginning to read", "BEGIN ISOLATION LEVEL"
                       " REPEATABLE READ READ ONLY;"
                       " SET LOCAL timezone = 'UTC';"
                       " SET LOCAL datestyle = 'ISO, YMD';"
                       " SET LOCAL enable_seqscan = on");

    for (i = 0; i < SCC_CTL_DIGEST_PARTS && rc == 0; i++) {
        rc = scc_ctl_digest_part(pg, parts[i], d->sha256[i]);
    }

    return rc == 0 ? scc_ctl_pg_do(pg, "ending to read", "COMMIT") : -1;
}


void
scc_ctl_digest_print(const scc_ctl_digest_t *d)
{
    int   i;
    char  hex[65];

    for (i = 0; i < SCC_CTL_DIGEST_PARTS; i++) {
        scc_ctl_hex(hex, d->sha256[i]);
        printf("%s sha256 %s\n",
               scc_ctl_digest_name((scc_ctl_digest_part_t) i), hex);
    }
}


const char *
scc_ctl_digest_name(scc_ctl_digest_part_t part)
{
    static const char *const  names[] = { "ledger", "places", "roster" };

    return names[part];
}


static int
scc_ctl_digest_part(PGconn *pg, const char *const *queries,
    uint8_t sha256[32])
{
    int          i, rc;
    unsigned     n;
    EVP_MD_CTX  *md;

    md = EVP_MD_CTX_new();

    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
        scc_ctl_error("libcrypto cannot compute SHA-256");
        EVP_MD_CTX_free(md);
        return -1;
    }

    rc = 0;

    for (i = 0; rc == 0 && queries[i] != NULL; i++) {
        rc = scc_ctl_digest_copy(pg, md, queries[i]);
    }

    if (rc == 0 && EVP_DigestFinal_ex(md, sha256, &n) != 1) {
        scc_ctl_error("libcrypto cannot compute SHA-256");
        rc = -1;
    }

    EVP_MD_CTX_free(md);

    return rc;
}


static int
scc_ctl_digest_copy(PGconn *pg, EVP_MD_CTX *md, const char *query)
{
    int        n;
    char      *text;
    PGresult  *res;

    if (asprintf(&text, "COPY (%s) TO STDOUT", query) == -1) {
        scc_ctl_error("out of memory");
        return -1;
    }

    res = PQexec(pg, text);
    free(text);

    if (PQresultStatus(res) != PGRES_COPY_OUT) {
        scc_ctl_error("reading the store: %s", scc_ctl_pg_message(pg, res));
        PQclear(res);
        return -1;
    }

    PQclear(res);

    while ((n = PQgetCopyData(pg, &text, 0)) > 0) {
        (void) EVP_DigestUpdate(md, text, (size_t) n);
        PQfreemem(text);
    }

    res = PQgetResult(pg);

    if (n != -1 || PQresultStatus(res) != PGRES_COMMAND_OK) {
        scc_ctl_error("reading the store: %s", scc_ctl_pg_message(pg, res));
        PQclear(res);
        return -1;
    }

    PQclear(res);
    PQclear(PQgetResult(pg));

    return 0;
}
