
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "scc_contribution.h"
#include "scc_ctl_disk.h"
#include "scc_ctl_progress.h"
#include "scc_ctl_ship.h"
#include "scc_number.h"


#define SCC_CTL_SHIP_STATUS  "shipped"
#define SCC_CTL_SHIP_ONCE    3              /* rounds of --once */
#define SCC_CTL_SHIP_SECOND  1000000000ULL
#define SCC_CTL_SHIP_ROSTER  (35 * 86400)   /* s */


typedef struct {
    uint64_t            lag;                /* ns */
    uint64_t            pending;
    uint64_t            failing;
} scc_ctl_ship_state_t;


typedef struct {
    scc_ctl_ship_t     *ship;
    unsigned            dir;
    size_t              known;
} scc_ctl_ship_look_t;


typedef struct {
    scc_ctl_ship_t     *ship;
    const char         *folder;
    char                oldest[32];         /* that stays */
} scc_ctl_ship_sweep_t;


static int scc_ctl_ship(const scc_ctl_args_t *args);
static int scc_ctl_ship_dirs(scc_ctl_ship_t *sh, const scc_ctl_args_t *args);
static int scc_ctl_ship_host(scc_ctl_ship_t *sh, const char *option,
    char host[256]);
static int scc_ctl_ship_run(scc_ctl_ship_t *sh, uint64_t interval,
    bool once);
static int scc_ctl_ship_round(scc_ctl_ship_t *sh,
    scc_ctl_ship_state_t *state);
static int scc_ctl_ship_scan(scc_ctl_ship_t *sh, unsigned dir, size_t known);
static int scc_ctl_ship_found(void *data, const char *path,
    const char *name);
static bool scc_ctl_ship_wanted(const char *name, bool *segment,
    size_t *len);
static void scc_ctl_ship_forget(scc_ctl_ship_t *sh);
static void scc_ctl_ship_sweep(scc_ctl_ship_t *sh, const char *folder);
static int scc_ctl_ship_swept(void *data, const char *path,
    const char *name);
static void scc_ctl_ship_status(const scc_ctl_ship_t *sh,
    const scc_ctl_ship_state_t *state, uint64_t interval);
static void scc_ctl_ship_device(const scc_ctl_ship_t *sh);
static int scc_ctl_ship_cmp(const void *a, const void *b);
static void scc_ctl_ship_signals(sigset_t *waiting);
static void scc_ctl_ship_stop(int signo);
static void scc_ctl_ship_free(scc_ctl_ship_t *sh);


enum {
    SCC_CTL_SHIP_TO = 0,
    SCC_CTL_SHIP_COMMAND,
    SCC_CTL_SHIP_GET,
    SCC_CTL_SHIP_SUM,
    SCC_CTL_SHIP_INTERVAL,
    SCC_CTL_SHIP_TIMEOUT,
    SCC_CTL_SHIP_HOST,
    SCC_CTL_SHIP_RUN_ONCE,
    SCC_CTL_SHIP_DRY_RUN,
};

static const scc_ctl_opt_t  scc_ctl_ship_opts[] = {
    { "to", "DIR", "a directory, on another machine's disk" },
    { "command", "CMD", "or a command that stores its standard input as\n"
                        "$SCC_OBJECT" },
    { "get", "CMD", "and one that writes the bytes of $SCC_OBJECT" },
    { "sum", "CMD", "or one that writes their SHA-256, computed there" },
    { "interval", "TIME", "between two looks at the journals (default: 5s)" },
    { "timeout", "TIME", "of a command (default: 5m)" },
    { "host", "NAME", "the folder's name (default: this host's)" },
    { "once", NULL, "end when all is off-site, or after three attempts" },
    { "dry-run", NULL, "say what would be shipped" },
    { NULL, NULL, NULL }
};


const scc_ctl_cmd_t  scc_ctl_ship_cmd = {
    "ship", "DIR...",
    "keep a copy of journals somewhere else, seconds behind",
    "Copies sealed segments, and every few seconds what the open ones have "
    "so far,\nto another place: with numbers, roster snapshots, anchor and "
    "store beside them.\nA copy counts when it was read back and has the "
    "right SHA-256; then NAME.shipped\nstands beside the segment.  What fails "
    "is tried again, forever or, with --once,\nthree times.  DIR/shipped was "
    "written when everything was last off-site.\n\n"
    "The copies of a journal are in DEST/STORE/HOST, which is a journal "
    "again:\n\"sccctl rebuild --journal\" and \"sccctl drill\" read it.  Keep "
    "them under another\naccount than this machine's: they are what is left "
    "when it is not.\n",
    scc_ctl_ship_opts, scc_ctl_ship
};


static volatile sig_atomic_t  scc_ctl_ship_stopped;


static int
scc_ctl_ship(const scc_ctl_args_t *args)
{
    int             rc;
    char            host[256];
    uint64_t        interval;
    scc_ctl_ship_t  sh;

    memset(&sh, 0, sizeof(scc_ctl_ship_t));

    if (args->argc == 0) {
        return scc_ctl_usage("ship", "name the journal's directory");
    }

    interval = 5 * SCC_CTL_SHIP_SECOND;

    if (args->opt[SCC_CTL_SHIP_INTERVAL] != NULL
        && (scc_ctl_duration(args->opt[SCC_CTL_SHIP_INTERVAL], &interval)
            != 0
            || interval == 0))
    {
        return scc_ctl_usage("ship", "\"%s\" is no interval: write 5s or 1m",
                             args->opt[SCC_CTL_SHIP_INTERVAL]);
    }

    if (scc_ctl_remote_init(&sh.remote, "ship", args->opt[SCC_CTL_SHIP_TO],
                            args->opt[SCC_CTL_SHIP_COMMAND],
                            args->opt[SCC_CTL_SHIP_GET],
                            args->opt[SCC_CTL_SHIP_SUM],
                            args->opt[SCC_CTL_SHIP_TIMEOUT], true)
        != 0
        || scc_ctl_ship_host(&sh, args->opt[SCC_CTL_SHIP_HOST], host) != 0)
    {
        return SCC_CTL_USAGE;
    }

    sh.dry_run = args->opt[SCC_CTL_SHIP_DRY_RUN] != NULL;

    rc = scc_ctl_ship_dirs(&sh, args);

    rc = (rc == 0)
         ? scc_ctl_ship_run(&sh, interval, sh.dry_run
                            || args->opt[SCC_CTL_SHIP_RUN_ONCE] != NULL)
         : SCC_CTL_FAILED;

    scc_ctl_ship_free(&sh);

    return rc;
}


static int
scc_ctl_ship_dirs(scc_ctl_ship_t *sh, const scc_ctl_args_t *args)
{
    int                  i;
    char                *real;
    scc_buf_t            b;
    scc_ctl_ship_dir_t  *dir;

    sh->dirs = calloc((size_t) args->argc, sizeof(scc_ctl_ship_dir_t));
    if (sh->dirs == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    for (i = 0; i < args->argc; i++) {
        dir = &sh->dirs[i];
        dir->path = realpath(args->argv[i], NULL);

        if (dir->path == NULL) {
            scc_ctl_error("cannot read \"%s\": %s", args->argv[i],
                          strerror(errno));
            return -1;
        }

        sh->n_dirs++;

        switch (scc_ctl_journal_store(dir->path, dir->store)) {

        case 0:
            break;

        case 1:
            scc_ctl_error("\"%s\" belongs to no store; run \"sccctl journal "
                          "init\"", dir->path);
            return -1;

        default:
            return -1;
        }

        if (memcmp(dir->store, sh->dirs[0].store, 16) != 0) {
            scc_ctl_error("\"%s\" and \"%s\" are of two stores; ship them by "
                          "two processes", sh->dirs[0].path, dir->path);
            return -1;
        }
    }

    scc_buf_fixed(&b, sh->uuid, sizeof(sh->uuid));
    scc_uuid_write(&b, sh->dirs[0].store);
    scc_buf_byte(&b, '\0');

    if (sh->remote.dir == NULL) {
        return 0;
    }

    if (scc_ctl_remote_there(&sh->remote, "", false) != 0) {
        return -1;
    }

    real = realpath(sh->remote.dir, NULL);

    if (real == NULL || strlen(real) >= sizeof(sh->to)) {
        scc_ctl_error("cannot use \"%s\": %s", sh->remote.dir,
                      real == NULL ? strerror(errno) : "its name is too "
                      "long");
        free(real);
        return -1;
    }

    memcpy(sh->to, real, strlen(real) + 1);
    free(real);

    sh->remote.dir = sh->to;

    scc_ctl_ship_device(sh);

    return 0;
}


static int
scc_ctl_ship_host(scc_ctl_ship_t *sh, const char *option, char host[256])
{
    sh->host = option;

    if (option == NULL) {
        if (gethostname(host, 255) != 0) {
            scc_ctl_error("this host has no name: %s", strerror(errno));
            return -1;
        }

        host[255] = '\0';
        sh->host = host;
    }

    if (sh->host[0] == '\0' || sh->host[0] == '.' || strlen(sh->host) > 64
        || strspn(sh->host, "abcdefghijklmnopqrstuvwxyz"
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
           != strlen(sh->host))
    {
        scc_ctl_usage("ship", "\"%s\" cannot be a folder's name; give one of "
                      "letters, digits, \".\", \"-\" and \"_\" with --host",
                      sh->host);
        return -1;
    }

    return 0;
}


static int
scc_ctl_ship_run(scc_ctl_ship_t *sh, uint64_t interval, bool once)
{
    bool                  shown;
    sigset_t              waiting;
    unsigned              round;
    uint64_t              pause;
    struct timespec       ts;
    scc_ctl_ship_state_t  state;

    scc_ctl_ship_signals(&waiting);
    shown = isatty(STDERR_FILENO);

    round = 0;

    for ( ;; ) {
        round++;

        if (scc_ctl_ship_round(sh, &state) != 0 && round == 1) {
            return SCC_CTL_FAILED;
        }

        if (!sh->dry_run) {
            scc_ctl_ship_status(sh, &state, interval);
        }

        if (shown) {
            fprintf(stderr, "\r\033[Klag %.1f s, %llu pending, %llu failing",
                    (double) state.lag / 1e9,
                    (unsigned long long) state.pending,
                    (unsigned long long) state.failing);
        }

        if (scc_ctl_ship_stopped || sh->dry_run
            || (once && (state.pending == 0 || round == SCC_CTL_SHIP_ONCE)))
        {
            break;
        }

        pause = once ? round * SCC_CTL_SHIP_SECOND : interval;

        ts.tv_sec = (time_t) (pause / SCC_CTL_SHIP_SECOND);
        ts.tv_nsec = (long) (pause % SCC_CTL_SHIP_SECOND);

        /* a signal that came before is still blocked, and wakes this */

        if (ppoll(NULL, 0, &ts, &waiting) != 0 && scc_ctl_ship_stopped) {
            (void) scc_ctl_ship_round(sh, &state);
            scc_ctl_ship_status(sh, &state, interval);
            break;
        }
    }

    if (shown) {
        fputs("\r\033[K", stderr);
    }

    if (sh->dry_run) {
        printf("dry run: nothing was shipped\n");
        return SCC_CTL_OK;
    }

    printf("segments %llu, tails %llu, other files %llu, bytes %llu; pending "
           "%llu, failing %llu, lag %.1f s\n",
           (unsigned long long) sh->segments, (unsigned long long) sh->tails,
           (unsigned long long) sh->others, (unsigned long long) sh->bytes,
           (unsigned long long) state.pending,
           (unsigned long long) state.failing, (double) state.lag / 1e9);

    return state.pending == 0 ? SCC_CTL_OK : SCC_CTL_FINDINGS;
}


static int
scc_ctl_ship_round(scc_ctl_ship_t *sh, scc_ctl_ship_state_t *state)
{
    char                  folder[128];
    size_t                i, known;
    unsigned              dir;
    uint64_t              now, age;
    scc_ctl_ship_file_t  *file;

    for (i = 0; i < sh->n; i++) {
        sh->files[i].seen = false;
    }

    known = sh->n;

    for (dir = 0; dir < sh->n_dirs; dir++) {
        if (scc_ctl_ship_scan(sh, dir, known) != 0) {
            memset(state, 0, sizeof(scc_ctl_ship_state_t));
            state->pending = 1;
            state->failing = 1;
            return -1;
        }
    }

    scc_ctl_ship_forget(sh);

    /* all of a directory in front of those of the next one */

    if (sh->n > 1) {
        qsort(sh->files, sh->n, sizeof(scc_ctl_ship_file_t),
              scc_ctl_ship_cmp);
    }

    for (i = 0; i < sh->n && !sh->known; i++) {
        sh->known = scc_ctl_ship_before(sh, &sh->files[i]);
    }

    snprintf(folder, sizeof(folder), "%s/%.64s", sh->uuid, sh->host);

    if (!sh->dry_run
        && scc_ctl_remote_there(&sh->remote, folder, sh->known) != 0)
    {
        for (i = 0; i < sh->n; i++) {
            sh->files[i].whole = false;
            sh->files[i].failing = true;
        }

    } else {
        for (i = 0; i < sh->n; i++) {
            scc_ctl_ship_file(sh, &sh->files[i]);
        }

        scc_ctl_ship_sweep(sh, folder);
    }

    memset(state, 0, sizeof(scc_ctl_ship_state_t));
    now = scc_ctl_ship_wall();

    for (i = 0; i < sh->n; i++) {
        file = &sh->files[i];

        state->pending += !file->whole;
        state->failing += file->failing;

        /* a record of a clock that went back is not of the future */

        age = (file->oldest != 0 && file->oldest < now) ? now - file->oldest
                                                        : 0;

        if (age > state->lag) {
            state->lag = age;
        }
    }

    return 0;
}


static int
scc_ctl_ship_scan(scc_ctl_ship_t *sh, unsigned dir, size_t known)
{
    scc_ctl_ship_look_t  look;

    look.ship = sh;
    look.dir = dir;
    look.known = known;

    return scc_ctl_disk_list(sh->dirs[dir].path, scc_ctl_ship_found, &look);
}


/* The first "known" entries are in order. */

static int
scc_ctl_ship_found(void *data, const char *path, const char *name)
{
    scc_ctl_ship_look_t *look = data;

    char                   copy[256];
    bool                   segment;
    size_t                 i, len, size;
    scc_ctl_ship_t        *sh;
    scc_ctl_ship_file_t    key, *file;

    (void) path;

    sh = look->ship;

    if (!scc_ctl_ship_wanted(name, &segment, &len)) {
        return 0;
    }

    memset(&key, 0, sizeof(scc_ctl_ship_file_t));
    memcpy(copy, name, len);
    copy[len] = '\0';
    key.name = copy;
    key.dir = look->dir;

    file = look->known
           ? bsearch(&key, sh->files, look->known,
                     sizeof(scc_ctl_ship_file_t), scc_ctl_ship_cmp)
           : NULL;

    /* .open and .seg of one segment, while it gets its name */

    for (i = look->known; file == NULL && segment && i < sh->n; i++) {
        if (scc_ctl_ship_cmp(&key, &sh->files[i]) == 0) {
            file = &sh->files[i];
        }
    }

    if (file != NULL) {
        file->seen = true;
        return 0;
    }

    if (sh->n == sh->size) {
        size = sh->size ? 2 * sh->size : 64;
        file = realloc(sh->files, size * sizeof(scc_ctl_ship_file_t));

        if (file == NULL) {
            scc_ctl_error("out of memory");
            return -1;
        }

        sh->files = file;
        sh->size = size;
    }

    file = &sh->files[sh->n];
    *file = key;

    file->name = strdup(copy);
    file->segment = segment;
    file->seen = true;

    if (file->name == NULL) {
        scc_ctl_error("out of memory");
        return -1;
    }

    sh->n++;

    return 0;
}


static bool
scc_ctl_ship_wanted(const char *name, bool *segment, size_t *len)
{
    size_t       size;
    const char  *dot;

    size = strlen(name);

    *len = size;
    *segment = scc_ctl_segment_name(name);

    if (size > 255) {
        return false;
    }

    if (*segment) {
        *len = strcspn(name, ".");
        return true;
    }

    dot = strrchr(name, '.');

    return strcmp(name, "store") == 0 || strcmp(name, "anchor") == 0
           || (dot != NULL && strcmp(dot, SCC_NUMBER_SUFFIX) == 0)
           || (strncmp(name, "roster-", 7) == 0 && dot != NULL
               && strcmp(dot, ".json") == 0);
}


static void
scc_ctl_ship_forget(scc_ctl_ship_t *sh)
{
    size_t  i, k;

    for (i = 0, k = 0; i < sh->n; i++) {

        if (!sh->files[i].seen) {
            free(sh->files[i].name);
            continue;
        }

        sh->files[k++] = sh->files[i];
    }

    sh->n = k;
}


/*
 * Snapshots of the roster have names that may have been erased since: those
 * of more than 35 days leave, as they did here, while there is a younger one
 * here.  What commands have stored expires by its store's own rules.
 */

static void
scc_ctl_ship_sweep(scc_ctl_ship_t *sh, const char *folder)
{
    char                  path[4400];
    bool                  here;
    size_t                i;
    time_t                since;
    struct tm             tm;
    scc_ctl_ship_sweep_t  sw;

    since = (time_t) (scc_ctl_ship_wall() / SCC_CTL_SHIP_SECOND)
            - SCC_CTL_SHIP_ROSTER;

    if (sh->dry_run || sh->remote.dir == NULL
        || gmtime_r(&since, &tm) == NULL
        || strftime(sw.oldest, sizeof(sw.oldest), "roster-%Y%m%d", &tm) == 0)
    {
        return;
    }

    for (i = 0, here = false; i < sh->n && !here; i++) {
        here = !sh->files[i].segment && sh->files[i].whole
               && strncmp(sh->files[i].name, "roster-", 7) == 0
               && strcmp(sh->files[i].name, sw.oldest) >= 0;
    }

    if (here) {
        sw.ship = sh;
        sw.folder = folder;

        snprintf(path, sizeof(path), "%s/%s", sh->remote.dir, folder);
        (void) scc_ctl_disk_list(path, scc_ctl_ship_swept, &sw);
    }
}


static int
scc_ctl_ship_swept(void *data, const char *path, const char *name)
{
    scc_ctl_ship_sweep_t *sw = data;

    char  object[512];

    (void) path;

    if (strlen(name) != sizeof("roster-YYYYMMDD.json") - 1
        || strncmp(name, "roster-", 7) != 0
        || strspn(name + 7, "0123456789") != 8
        || strcmp(name, sw->oldest) >= 0)
    {
        return 0;
    }

    snprintf(object, sizeof(object), "%.120s/%.64s", sw->folder, name);

    if (scc_ctl_remote_drop(&sw->ship->remote, object) == 0) {
        printf("removed %s: it is older than 35 days\n", object);
    }

    return 0;
}


/* Written only when everything is off-site: its age says since when that is
   not so. */

static void
scc_ctl_ship_status(const scc_ctl_ship_t *sh,
    const scc_ctl_ship_state_t *state, uint64_t interval)
{
    char         path[4096];
    unsigned     i;
    scc_buf_t    b;
    struct stat  st;

    if (state->pending != 0 || state->failing != 0) {
        return;
    }

    for (i = 0; i < sh->n_dirs; i++) {
        scc_buf_heap(&b, 0);

        scc_buf_text(&b, "{\"version\":1,\"at\":");
        scc_buf_uint(&b, scc_ctl_ship_wall() / SCC_CTL_SHIP_SECOND);
        scc_buf_text(&b, ",\"interval\":");
        scc_buf_uint(&b, interval / SCC_CTL_SHIP_SECOND);
        scc_buf_text(&b, ",\"lagMs\":");
        scc_buf_uint(&b, state->lag / 1000000);
        scc_buf_text(&b, ",\"pending\":0,\"failing\":0,\"lastVerified\":");
        scc_buf_uint(&b, sh->verified);
        scc_buf_text(&b, ",\"sameDevice\":");
        scc_buf_text(&b, stat(sh->dirs[i].path, &st) == 0
                         && scc_ctl_remote_same(&sh->remote, &st)
                         ? "true}\n" : "false}\n");

        if (snprintf(path, sizeof(path), "%s/" SCC_CTL_SHIP_STATUS,
                     sh->dirs[i].path)
            >= (int) sizeof(path)
            || b.error || scc_ctl_disk_write(path, scc_buf_get(&b)) != 0)
        {
            scc_ctl_error("cannot write \"%s\": %s", path, strerror(errno));
        }

        scc_buf_free(&b);
    }
}


static void
scc_ctl_ship_device(const scc_ctl_ship_t *sh)
{
    unsigned     i;
    struct stat  st;

    for (i = 0; i < sh->n_dirs; i++) {
        if (stat(sh->dirs[i].path, &st) == 0
            && scc_ctl_remote_same(&sh->remote, &st))
        {
            scc_ctl_error("note: \"%s\" and \"%s\" are on one device; when "
                          "that is lost, both are", sh->dirs[i].path,
                          sh->remote.dir);
        }
    }
}


static int
scc_ctl_ship_cmp(const void *a, const void *b)
{
    const scc_ctl_ship_file_t  *x, *y;

    x = a;
    y = b;

    return x->dir != y->dir ? (x->dir < y->dir ? -1 : 1)
                            : strcmp(x->name, y->name);
}


/* Blocked but while waiting: what is being sent is finished. */

static void
scc_ctl_ship_signals(sigset_t *waiting)
{
    size_t            i;
    sigset_t          block;
    struct sigaction  sa;

    static const int  signals[] = { SIGHUP, SIGINT, SIGTERM };

    memset(&sa, 0, sizeof(struct sigaction));
    sigemptyset(&sa.sa_mask);
    sa.sa_handler = scc_ctl_ship_stop;

    sigemptyset(&block);

    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        (void) sigaction(signals[i], &sa, NULL);
        (void) sigaddset(&block, signals[i]);
    }

    (void) sigprocmask(SIG_BLOCK, &block, waiting);
    (void) signal(SIGPIPE, SIG_IGN);
}


static void
scc_ctl_ship_stop(int signo)
{
    (void) signo;
    scc_ctl_ship_stopped = 1;
}


static void
scc_ctl_ship_free(scc_ctl_ship_t *sh)
{
    size_t    i;
    unsigned  k;

    for (i = 0; i < sh->n; i++) {
        free(sh->files[i].name);
    }

    for (k = 0; k < sh->n_dirs; k++) {
        free(sh->dirs[k].path);
    }

    free(sh->files);
    free(sh->dirs);
}
