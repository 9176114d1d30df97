
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "scc_contribution.h"
#include "scc_ctl_pg.h"


#define SCC_CTL_PG_MIN   140000

#define SCC_CTL_LOCK     "7165354801"       /* any number, always this one */


typedef struct {
    PGconn             *pg;
    int                 applied;    /* the first "applied" are in the store */
    int                 done;       /* in this run */
    const char         *store;      /* the identity asked for, or NULL */
    const char         *epoch;
} scc_ctl_schema_t;


static int scc_ctl_init(const scc_ctl_args_t *args);
static int scc_ctl_migrate(const scc_ctl_args_t *args);
static PGconn *scc_ctl_schema_connect(const char *command,
    const char *option);
static int scc_ctl_schema_server(PGconn *pg);
static int scc_ctl_schema_lock(PGconn *pg);
static int scc_ctl_schema_load(scc_ctl_schema_t *sc, scc_ctl_store_t store);
static int scc_ctl_schema_compare(const char *version, const char *name,
    const char *sha256, int n);
static int scc_ctl_schema_run(scc_ctl_schema_t *sc);
static int scc_ctl_schema_apply(PGconn *pg, const scc_ctl_sql_t *sql);
static int scc_ctl_schema_digest(const scc_ctl_sql_t *sql, char hex[65]);
static int scc_ctl_init_store(scc_ctl_schema_t *sc,
    const scc_ctl_args_t *args);
static int scc_ctl_identity(scc_ctl_schema_t *sc);
static int scc_ctl_identity_write(scc_ctl_schema_t *sc, const char *uuid,
    const char *epoch);
static int scc_ctl_uuid(char text[37]);


enum {
    SCC_CTL_INIT_PG = 0,
    SCC_CTL_INIT_STORE,
    SCC_CTL_INIT_EPOCH,
};

enum {
    SCC_CTL_MIGRATE_DRY_RUN = 1,
};

static const scc_ctl_opt_t  scc_ctl_init_opts[] = {
    SCC_CTL_PG_OPT,
    { "store", "UUID", "give an empty store the identity of one that was "
                       "lost, to\nrebuild it from its journals" },
    { "epoch", "N", "with --store: one more than the lost store's (default: "
                    "2)" },
    { NULL, NULL, NULL }
};

static const scc_ctl_opt_t  scc_ctl_migrate_opts[] = {
    SCC_CTL_PG_OPT,
    { "dry-run", NULL, "only list what would be applied" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_init_cmd = {
    "init", NULL,
    "create the store in an empty database",
    "Creates schema scc, the roles scc_owner and scc_app and the store's "
    "identity in\nthe database named by --pg.  Needs PostgreSQL 14 or "
    "newer with PostGIS, a\nUTF-8 database and an account that may create "
    "roles (a superuser where PostGIS\nis not yet created in the "
    "database).  Run again, it completes what is missing\nand changes "
    "nothing else; it never drops or empties anything.\n",
    scc_ctl_init_opts, scc_ctl_init
};


const scc_ctl_cmd_t  scc_ctl_migrate_cmd = {
    "migrate", NULL,
    "bring the store's schema up to this program",
    "Applies the migrations the store does not have yet, in order, each in "
    "one\ntransaction.  Refuses if one that was applied is not the one in "
    "this program,\nor if the store is newer.  It never drops or empties "
    "anything.\n",
    scc_ctl_migrate_opts, scc_ctl_migrate
};


static int
scc_ctl_init(const scc_ctl_args_t *args)
{
    int               rc;
    scc_ctl_store_t   store;
    scc_ctl_schema_t  sc;

    memset(&sc, 0, sizeof(scc_ctl_schema_t));

    if (scc_ctl_init_store(&sc, args) != SCC_CTL_OK
        || scc_ctl_pg_conninfo("init", args->opt[SCC_CTL_INIT_PG]) == NULL)
    {
        return SCC_CTL_USAGE;
    }

    sc.pg = scc_ctl_schema_connect("init", args->opt[SCC_CTL_INIT_PG]);
    if (sc.pg == NULL) {
        return SCC_CTL_FAILED;
    }

    rc = SCC_CTL_FAILED;

    if (scc_ctl_schema_server(sc.pg) == 0
        && scc_ctl_schema_lock(sc.pg) == 0
        && scc_ctl_pg_store(sc.pg, &store) == 0
        && scc_ctl_schema_load(&sc, store) == 0
        && scc_ctl_schema_run(&sc) == 0
        && scc_ctl_identity(&sc) == 0)
    {
        rc = SCC_CTL_OK;
    }

    PQfinish(sc.pg);

    return rc;
}


static int
scc_ctl_migrate(const scc_ctl_args_t *args)
{
    int               i, rc;
    scc_ctl_store_t   store;
    scc_ctl_schema_t  sc;

    memset(&sc, 0, sizeof(scc_ctl_schema_t));

    if (scc_ctl_pg_conninfo("migrate", args->opt[SCC_CTL_INIT_PG]) == NULL) {
        return SCC_CTL_USAGE;
    }

    sc.pg = scc_ctl_schema_connect("migrate", args->opt[SCC_CTL_INIT_PG]);
    if (sc.pg == NULL) {
        return SCC_CTL_FAILED;
    }

    rc = SCC_CTL_FAILED;

    if (scc_ctl_pg_store(sc.pg, &store) != 0) {
        goto done;
    }

    if (store == SCC_CTL_STORE_NONE) {
        scc_ctl_error("database \"%s\" has no store; create it with "
                      "\"sccctl init\"", PQdb(sc.pg));
        goto done;
    }

    if (args->opt[SCC_CTL_MIGRATE_DRY_RUN] != NULL) {

        if (scc_ctl_schema_load(&sc, store) != 0) {
            goto done;
        }

        for (i = sc.applied; i < (int) scc_ctl_sql_n; i++) {
            printf("would apply %s\n", scc_ctl_sql[i].name);
        }

        if (sc.applied == (int) scc_ctl_sql_n) {
            printf("nothing to apply: the schema is at %s\n",
                   scc_ctl_sql[sc.applied - 1].name);
        }

        rc = SCC_CTL_OK;
        goto done;
    }

    if (scc_ctl_schema_server(sc.pg) != 0
        || scc_ctl_schema_lock(sc.pg) != 0
        || scc_ctl_schema_load(&sc, store) != 0
        || scc_ctl_schema_run(&sc) != 0)
    {
        goto done;
    }

    if (sc.done == 0) {
        printf("nothing to apply: the schema is at %s\n",
               scc_ctl_sql[sc.applied - 1].name);
    }

    rc = SCC_CTL_OK;

done:

    PQfinish(sc.pg);

    return rc;
}


static PGconn *
scc_ctl_schema_connect(const char *command, const char *option)
{
    const char  *conninfo;

    conninfo = scc_ctl_pg_conninfo(command, option);

    return (conninfo != NULL) ? scc_ctl_pg_connect(conninfo, false) : NULL;
}


static int
scc_ctl_schema_server(PGconn *pg)
{
    int64_t  n;

    if (PQserverVersion(pg) < SCC_CTL_PG_MIN) {
        scc_ctl_error("the server is PostgreSQL %s, but 14 or newer is "
                      "needed", PQparameterStatus(pg, "server_version"));
        return -1;
    }

    if (scc_ctl_pg_number(pg, "reading the server's state",
                          "SELECT CASE WHEN pg_is_in_recovery() THEN 1"
                          " ELSE 0 END", &n)
        != 0)
    {
        return -1;
    }

    if (n != 0) {
        scc_ctl_error("the server is a standby and cannot be written; "
                      "name its primary");
        return -1;
    }

    if (strcmp(PQparameterStatus(pg, "server_encoding"), "UTF8") != 0) {
        scc_ctl_error("database \"%s\" has encoding %s, but UTF8 is needed; "
                      "create one with: CREATE DATABASE ... ENCODING 'UTF8' "
                      "TEMPLATE template0", PQdb(pg),
                      PQparameterStatus(pg, "server_encoding"));
        return -1;
    }

    /* 0: not installed on the host; 1: may not create it; 2: fine. */

    if (scc_ctl_pg_number(pg, "looking for PostGIS",
                          "SELECT CASE"
                          " WHEN EXISTS (SELECT FROM pg_extension"
                          "   WHERE extname = 'postgis') THEN 2"
                          " WHEN NOT EXISTS (SELECT"
                          "   FROM pg_available_extensions"
                          "   WHERE name = 'postgis') THEN 0"
                          " WHEN (SELECT rolsuper FROM pg_roles"
                          "   WHERE rolname = current_user) THEN 2"
                          " WHEN EXISTS (SELECT"
                          "   FROM pg_available_extension_versions"
                          "   WHERE name = 'postgis' AND trusted) THEN 2"
                          " ELSE 1 END", &n)
        != 0)
    {
        return -1;
    }

    if (n == 0) {
        scc_ctl_error("the server has no PostGIS; install it on the "
                      "server's host (Debian: apt install "
                      "postgresql-%d-postgis-3) and run this again",
                      PQserverVersion(pg) / 10000);
        return -1;
    }

    if (n == 1) {
        scc_ctl_error("PostGIS is not created in database \"%s\" and role "
                      "\"%s\" may not do it; let a superuser run \"CREATE "
                      "EXTENSION postgis\" there, and run this again",
                      PQdb(pg), PQuser(pg));
        return -1;
    }

    return 0;
}


/* One at a time; released with the connection. */

static int
scc_ctl_schema_lock(PGconn *pg)
{
    int64_t  got;

    if (scc_ctl_pg_number(pg, "taking the migration lock",
                          "SELECT CASE WHEN pg_try_advisory_lock("
                          SCC_CTL_LOCK ") THEN 1 ELSE 0 END", &got)
        != 0)
    {
        return -1;
    }

    if (got) {
        return 0;
    }

    scc_ctl_error("another sccctl works on the schema; waiting for it");

    return scc_ctl_pg_do(pg, "waiting for the migration lock",
                         "SELECT pg_advisory_lock(" SCC_CTL_LOCK ")");
}


/* What was applied, compared with what is embedded. */

static int
scc_ctl_schema_load(scc_ctl_schema_t *sc, scc_ctl_store_t store)
{
    int        i, n;
    PGresult  *res;

    if (store == SCC_CTL_STORE_NONE) {
        return 0;
    }

    if (store == SCC_CTL_STORE_FOREIGN) {
        scc_ctl_error("database \"%s\" has a schema \"scc\" that is not "
                      "ours: it has no table scc.migration; use another "
                      "database, or rename that schema", PQdb(sc->pg));
        return -1;
    }

    res = scc_ctl_pg_exec(sc->pg, "reading scc.migration",
                          "SELECT version, name, sha256 FROM scc.migration"
                          " ORDER BY version");
    if (res == NULL) {
        return -1;
    }

    n = PQntuples(res);

    for (i = 0; i < n; i++) {
        if (scc_ctl_schema_compare(PQgetvalue(res, i, 0),
                                   PQgetvalue(res, i, 1),
                                   PQgetvalue(res, i, 2), i)
            != 0)
        {
            PQclear(res);
            return -1;
        }
    }

    PQclear(res);
    sc->applied = n;

    return 0;
}


static int
scc_ctl_schema_compare(const char *version, const char *name,
    const char *sha256, int n)
{
    char  hex[65];

    if (n >= (int) scc_ctl_sql_n) {
        scc_ctl_error("the store has migration %s (%s), which this program "
                      "does not know; use a newer sccctl", version, name);
        return -1;
    }

    if (strtol(version, NULL, 10) != scc_ctl_sql[n].version) {
        scc_ctl_error("the store misses migration %s but has %s (%s); it "
                      "was changed by hand, put the row back into "
                      "scc.migration", scc_ctl_sql[n].name, version, name);
        return -1;
    }

    if (scc_ctl_schema_digest(&scc_ctl_sql[n], hex) != 0) {
        return -1;
    }

    if (strcmp(hex, sha256) != 0) {
        scc_ctl_error("migration %s was applied to this store with other "
                      "contents (%.12s..., here %.12s...); applied "
                      "migrations never change: use the sccctl the store "
                      "was made with, or a newer one", name, sha256, hex);
        return -1;
    }

    return 0;
}


static int
scc_ctl_schema_run(scc_ctl_schema_t *sc)
{
    int  i;

    for (i = sc->applied; i < (int) scc_ctl_sql_n; i++) {

        if (scc_ctl_schema_apply(sc->pg, &scc_ctl_sql[i]) != 0) {
            scc_ctl_error("migration %s was undone%s", scc_ctl_sql[i].name,
                          i > 0 ? "; the ones before it stay" : "");
            return -1;
        }

        sc->done++;
        printf("applied %s\n", scc_ctl_sql[i].name);
        fflush(stdout);
    }

    sc->applied = i;

    return 0;
}


static int
scc_ctl_schema_apply(PGconn *pg, const scc_ctl_sql_t *sql)
{
    bool         denied;
    char         version[16], hex[65];
    PGresult    *res;
    const char  *params[3];

    if (scc_ctl_schema_digest(sql, hex) != 0) {
        return -1;
    }

    snprintf(version, sizeof(version), "%d", sql->version);

    params[0] = version;
    params[1] = sql->name;
    params[2] = hex;

    if (scc_ctl_pg_do(pg, sql->name, "BEGIN") != 0) {
        return -1;
    }

    res = PQexec(pg, sql->text);

    if (PQresultStatus(res) != PGRES_COMMAND_OK
        && PQresultStatus(res) != PGRES_TUPLES_OK)
    {
        denied = strcmp(scc_ctl_pg_sqlstate(res), "42501") == 0;

        scc_ctl_error("%s: %s [%s]%s", sql->name,
                      scc_ctl_pg_message(pg, res), scc_ctl_pg_sqlstate(res),
                      denied ? "; connect as a superuser, or as a role that "
                               "may create roles and schemas" : "");
        PQclear(res);
        PQclear(PQexec(pg, "ROLLBACK"));
        return -1;
    }

    PQclear(res);

    if (PQtransactionStatus(pg) != PQTRANS_INTRANS) {
        scc_ctl_error("%s: the migration ends its transaction itself",
                      sql->name);
        return -1;
    }

    res = scc_ctl_pg_query(pg, sql->name,
                           "INSERT INTO scc.migration"
                           " (version, name, sha256) VALUES ($1, $2, $3)",
                           3, params);
    if (res == NULL) {
        PQclear(PQexec(pg, "ROLLBACK"));
        return -1;
    }

    PQclear(res);

    return scc_ctl_pg_do(pg, sql->name, "COMMIT");
}


static int
scc_ctl_schema_digest(const scc_ctl_sql_t *sql, char hex[65])
{
    int      i;
    uint8_t  digest[32];

    if (scc_ctl_sha256(sql->text, sql->len, digest) != 0) {
        return -1;
    }

    for (i = 0; i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }

    return 0;
}


static int
scc_ctl_init_store(scc_ctl_schema_t *sc, const scc_ctl_args_t *args)
{
    uint8_t    uuid[16];
    uint64_t   n;
    scc_str_t  text;

    sc->store = args->opt[SCC_CTL_INIT_STORE];
    sc->epoch = args->opt[SCC_CTL_INIT_EPOCH];

    if (sc->store == NULL) {
        return sc->epoch == NULL ? SCC_CTL_OK
                                 : scc_ctl_usage("init", "--epoch goes with "
                                                 "--store UUID");
    }

    text.data = (const uint8_t *) sc->store;
    text.len = strlen(sc->store);

    if (scc_uuid_parse(text, uuid) != SCC_OK) {
        return scc_ctl_usage("init", "--store: \"%s\" is not a UUID; take "
                             "the one in the journal's file \"store\"",
                             sc->store);
    }

    if (sc->epoch == NULL) {
        sc->epoch = "2";

    } else if (scc_ctl_number(sc->epoch, 1, INT32_MAX, &n) != 0) {
        return scc_ctl_usage("init", "--epoch: \"%s\" is not a number from "
                             "1 on", sc->epoch);
    }

    return SCC_CTL_OK;
}


static int
scc_ctl_identity(scc_ctl_schema_t *sc)
{
    int          fresh, same;
    char         uuid[37];
    int64_t      ledger;
    PGresult    *res;

    res = scc_ctl_pg_exec(sc->pg, "reading scc.identity",
                          "SELECT store_uuid, epoch FROM scc.identity");
    if (res == NULL) {
        return -1;
    }

    fresh = (PQntuples(res) == 0);

    same = !fresh
           && (sc->store == NULL
               || (strcasecmp(sc->store, PQgetvalue(res, 0, 0)) == 0
                   && strtol(sc->epoch, NULL, 10)
                      == strtol(PQgetvalue(res, 0, 1), NULL, 10)));

    if (same) {
        printf("%s %s, epoch %s\n",
               sc->done > 0 ? "store" : "already initialised: store",
               PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1));
        PQclear(res);
        return 0;
    }

    PQclear(res);

    if (scc_ctl_pg_number(sc->pg, "reading the ledger",
                          "SELECT (EXISTS (SELECT FROM scc.contribution)"
                          " OR EXISTS (SELECT FROM scc.dead_letter))::int",
                          &ledger)
        != 0)
    {
        return -1;
    }

    if (ledger != 0 && fresh) {
        scc_ctl_error("the store has contributions but no identity; it is "
                      "not given a new one: put the row of scc.identity "
                      "back from a backup");
        return -1;
    }

    if (ledger != 0) {
        scc_ctl_error("the store has contributions and an identity of its "
                      "own, which it keeps; --store is for an empty one");
        return -1;
    }

    if (sc->store != NULL) {
        return scc_ctl_identity_write(sc, sc->store, sc->epoch);
    }

    if (scc_ctl_uuid(uuid) != 0) {
        return -1;
    }

    return scc_ctl_identity_write(sc, uuid, "1");
}


static int
scc_ctl_identity_write(scc_ctl_schema_t *sc, const char *uuid,
    const char *epoch)
{
    PGresult    *res;
    const char  *params[2];

    params[0] = uuid;
    params[1] = epoch;

    res = scc_ctl_pg_query(sc->pg, "writing scc.identity",
                           "INSERT INTO scc.identity (store_uuid, epoch)"
                           " VALUES ($1, $2) ON CONFLICT (only_row) DO UPDATE"
                           " SET store_uuid = excluded.store_uuid,"
                           " epoch = excluded.epoch", 2, params);
    if (res == NULL) {
        return -1;
    }

    PQclear(res);
    printf("new store %s, epoch %s\n", uuid, epoch);

    return 0;
}


/* A random UUID, version 4. */

static int
scc_ctl_uuid(char text[37])
{
    uint8_t  b[16];

    if (getrandom(b, sizeof(b), 0) != (ssize_t) sizeof(b)) {
        scc_ctl_error("the kernel gives no random bytes");
        return -1;
    }

    b[6] = (uint8_t) ((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t) ((b[8] & 0x3f) | 0x80);

    snprintf(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
             "%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5],
             b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);

    return 0;
}
