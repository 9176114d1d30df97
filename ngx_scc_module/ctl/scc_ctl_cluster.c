
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scc_ctl_cluster.h"
#include "scc_ctl_pg.h"
#include "scc_ctl_progress.h"


#define SCC_CTL_CLUSTER_LIMIT   120000000000ULL     /* ns, for each step */
#define SCC_CTL_CLUSTER_SOCKET  100
#define SCC_CTL_CLUSTER_OLDEST  14


static int scc_ctl_cluster_user(scc_ctl_cluster_t *c);
static int scc_ctl_cluster_programs(scc_ctl_cluster_t *c, const char *bin);
static int scc_ctl_cluster_dir(scc_ctl_cluster_t *c, const char *under);
static int scc_ctl_cluster_init(scc_ctl_cluster_t *c);
static int scc_ctl_cluster_create(scc_ctl_cluster_t *c);
static pid_t scc_ctl_cluster_run(const scc_ctl_cluster_t *c,
    const char *program, const char *const *args);
static int scc_ctl_cluster_wait(pid_t pid, int *status);
static void scc_ctl_cluster_log(const scc_ctl_cluster_t *c);
static int scc_ctl_cluster_remove(const char *path, const struct stat *st,
    int flag, struct FTW *ftw);


int
scc_ctl_cluster_start(scc_ctl_cluster_t *c, const char *under,
    const char *bin)
{
    char  data[300], socket[300];

    memset(c, 0, sizeof(scc_ctl_cluster_t));

    if (scc_ctl_cluster_user(c) != 0
        || scc_ctl_cluster_programs(c, bin) != 0
        || scc_ctl_cluster_dir(c, under) != 0
        || scc_ctl_cluster_init(c) != 0)
    {
        return -1;
    }

    snprintf(data, sizeof(data), "%s/data", c->dir);
    snprintf(socket, sizeof(socket), "unix_socket_directories=%s", c->dir);

    /* it is thrown away: nothing has to survive */

    const char *const  args[] = {
        "-D", data, "-c", socket, "-c", "listen_addresses=",
        "-c", "fsync=off", "-c", "full_page_writes=off",
        "-c", "wal_level=minimal", "-c", "max_wal_senders=0",
        "-c", "max_wal_size=4GB", "-c", "shared_buffers=256MB",
        "-c", "autovacuum=on", "-c", "jit=off",
        "-c", "max_connections=10", "-c", "log_min_messages=warning",
        NULL
    };

    c->pid = scc_ctl_cluster_run(c, "postgres", args);

    if (c->pid == -1) {
        scc_ctl_error("cannot start PostgreSQL: %s", strerror(errno));
        return -1;
    }

    return scc_ctl_cluster_create(c);
}


void
scc_ctl_cluster_stop(scc_ctl_cluster_t *c, bool keep)
{
    int  status;

    if (c->pid > 0) {
        (void) kill(c->pid, keep ? SIGINT : SIGQUIT);

        if (scc_ctl_cluster_wait(c->pid, &status) != 0) {
            scc_ctl_error("PostgreSQL in \"%s\" does not end and is killed",
                          c->dir);
        }

        c->pid = 0;
    }

    if (c->dir[0] == '\0' || keep) {
        return;
    }

    if (nftw(c->dir, scc_ctl_cluster_remove, 16, FTW_DEPTH|FTW_PHYS) != 0) {
        scc_ctl_error("cannot remove \"%s\": %s; remove it by hand", c->dir,
                      strerror(errno));
    }

    c->dir[0] = '\0';
}


static int
scc_ctl_cluster_user(scc_ctl_cluster_t *c)
{
    struct passwd  *pw;

    c->uid = geteuid();
    c->gid = getegid();

    if (c->uid != 0) {
        return 0;
    }

    pw = getpwnam("postgres");

    if (pw == NULL) {
        scc_ctl_error("PostgreSQL does not run as root, and there is no "
                      "user \"postgres\"; run this as another user");
        return -1;
    }

    c->uid = pw->pw_uid;
    c->gid = pw->pw_gid;

    return 0;
}


/* Debian has them beside each other, a directory for each version. */

static int
scc_ctl_cluster_programs(scc_ctl_cluster_t *c, const char *bin)
{
    DIR            *d;
    char            path[512];
    long            version, best;
    struct dirent  *entry;

    static const char  base[] = "/usr/lib/postgresql";

    if (bin != NULL) {
        snprintf(c->bin, sizeof(c->bin), "%s", bin);

    } else {
        d = opendir(base);
        best = SCC_CTL_CLUSTER_OLDEST - 1;

        while (d != NULL && (entry = readdir(d)) != NULL) {
            version = strtol(entry->d_name, NULL, 10);

            if (version <= best || version > 999) {
                continue;
            }

            snprintf(path, sizeof(path), "%s/%ld/bin/initdb", base, version);

            if (access(path, X_OK) == 0) {
                best = version;
                snprintf(c->bin, sizeof(c->bin), "%s/%ld/bin", base,
                         version);
            }
        }

        if (d != NULL) {
            (void) closedir(d);
        }
    }

    snprintf(path, sizeof(path), "%s/initdb", c->bin);

    if (access(path, X_OK) != 0) {
        scc_ctl_error("initdb of PostgreSQL %d or newer was not found in "
                      "\"%s\"; say where it is with --bindir",
                      SCC_CTL_CLUSTER_OLDEST,
                      c->bin[0] != '\0' ? c->bin : base);
        return -1;
    }

    return 0;
}


static int
scc_ctl_cluster_dir(scc_ctl_cluster_t *c, const char *under)
{
    char  dir[sizeof(c->dir)];

    if (snprintf(dir, sizeof(dir), "%s/sccctl-drill-XXXXXX", under)
        > SCC_CTL_CLUSTER_SOCKET - (int) sizeof("/.s.PGSQL.5432"))
    {
        scc_ctl_error("the name \"%s\" is too long for a socket; choose "
                      "another place with --temp", under);
        return -1;
    }

    if (mkdtemp(dir) == NULL) {
        scc_ctl_error("cannot make a directory in \"%s\": %s", under,
                      strerror(errno));
        return -1;
    }

    memcpy(c->dir, dir, sizeof(dir));

    if (chown(c->dir, c->uid, c->gid) != 0) {
        scc_ctl_error("cannot give \"%s\" to PostgreSQL's user: %s", c->dir,
                      strerror(errno));
        return -1;
    }

    snprintf(c->conninfo, sizeof(c->conninfo), "host=%s port=5432 "
             "user=postgres dbname=scc", c->dir);

    return 0;
}


static int
scc_ctl_cluster_init(scc_ctl_cluster_t *c)
{
    int    status;
    char   data[300];
    pid_t  pid;

    snprintf(data, sizeof(data), "%s/data", c->dir);

    const char *const  args[] = {
        "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
        "--locale=C.UTF-8", "--no-sync", NULL
    };

    pid = scc_ctl_cluster_run(c, "initdb", args);

    if (pid == -1) {
        scc_ctl_error("cannot run initdb: %s", strerror(errno));
        return -1;
    }

    if (scc_ctl_cluster_wait(pid, &status) != 0 || status != 0) {
        scc_ctl_error("initdb failed:");
        scc_ctl_cluster_log(c);
        return -1;
    }

    return 0;
}


static int
scc_ctl_cluster_create(scc_ctl_cluster_t *c)
{
    int        rc, status;
    char       conninfo[sizeof(c->conninfo)];
    PGconn    *pg;
    uint64_t   end;

    snprintf(conninfo, sizeof(conninfo), "host=%s port=5432 user=postgres "
             "dbname=postgres connect_timeout=10", c->dir);

    end = scc_ctl_now() + SCC_CTL_CLUSTER_LIMIT;

    for ( ;; ) {
        pg = scc_ctl_pg_connect(conninfo, true);

        if (pg != NULL) {
            break;
        }

        if (waitpid(c->pid, &status, WNOHANG) == c->pid) {
            c->pid = 0;
            end = 0;
        }

        if (scc_ctl_now() > end) {
            scc_ctl_error("PostgreSQL does not start:");
            scc_ctl_cluster_log(c);
            return -1;
        }

        (void) usleep(20000);
    }

    rc = scc_ctl_pg_do(pg, "creating the database", "CREATE DATABASE scc");

    PQfinish(pg);

    return rc;
}


static pid_t
scc_ctl_cluster_run(const scc_ctl_cluster_t *c, const char *program,
    const char *const *args)
{
    int          log;
    char         path[300], file[300];
    pid_t        pid;
    size_t       i;
    sigset_t     none;
    const char  *argv[40];

    snprintf(path, sizeof(path), "%s/%s", c->bin, program);
    snprintf(file, sizeof(file), "%s/log", c->dir);

    argv[0] = path;

    for (i = 0; args[i] != NULL; i++) {
        argv[i + 1] = args[i];
    }

    argv[i + 1] = NULL;

    (void) fflush(NULL);

    pid = fork();

    if (pid != 0) {
        return pid;
    }

    /* a terminal's Ctrl-C is for the parent, which then ends this */

    (void) setpgid(0, 0);

    if (geteuid() == 0
        && (setgroups(0, NULL) != 0 || setgid(c->gid) != 0
            || setuid(c->uid) != 0))
    {
        _exit(127);
    }

    (void) prctl(PR_SET_PDEATHSIG, SIGQUIT);

    sigemptyset(&none);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);

    log = open(file, O_WRONLY|O_CREAT|O_APPEND, 0600);

    if (chdir(c->dir) != 0 || log == -1 || dup2(log, 1) == -1
        || dup2(log, 2) == -1)
    {
        _exit(127);
    }

    (void) close(0);
    (void) open("/dev/null", O_RDONLY);

    execv(path, (char *const *) argv);
    _exit(127);
}


static int
scc_ctl_cluster_wait(pid_t pid, int *status)
{
    pid_t     rc;
    uint64_t  end;

    end = scc_ctl_now() + SCC_CTL_CLUSTER_LIMIT;

    for ( ;; ) {
        rc = waitpid(pid, status, WNOHANG);

        if (rc == pid) {
            return 0;
        }

        if (rc == -1 && errno != EINTR) {
            return -1;
        }

        if (scc_ctl_now() > end) {
            (void) kill(pid, SIGKILL);
            (void) waitpid(pid, status, 0);
            return -1;
        }

        (void) usleep(10000);
    }
}


static void
scc_ctl_cluster_log(const scc_ctl_cluster_t *c)
{
    char   line[1024];
    FILE  *f;

    snprintf(line, sizeof(line), "%s/log", c->dir);

    f = fopen(line, "re");
    if (f == NULL) {
        return;
    }

    while (fgets(line, sizeof(line), f) != NULL) {
        fputs(line, stderr);
    }

    (void) fclose(f);
}


static int
scc_ctl_cluster_remove(const char *path, const struct stat *st, int flag,
    struct FTW *ftw)
{
    (void) st;
    (void) flag;
    (void) ftw;

    return remove(path);
}
