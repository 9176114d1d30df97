
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "scc_ctl.h"


#define SCC_CTL_WORD_MAX  64


static int scc_ctl_version(const scc_ctl_args_t *args);
static int scc_ctl_help(const scc_ctl_args_t *args);
static int scc_ctl_run(const scc_ctl_cmd_t *cmd, int argc, char **argv);
static int scc_ctl_option(const scc_ctl_cmd_t *cmd, scc_ctl_args_t *args,
    int argc, char **argv, int *i);
static const scc_ctl_cmd_t *scc_ctl_find(const char *name);
static int scc_ctl_unknown_command(const char *name);
static const char *scc_ctl_near_option(const scc_ctl_cmd_t *cmd,
    const char *name, size_t len);
static const char *scc_ctl_near_command(const char *name);
static size_t scc_ctl_distance(const char *a, size_t n, const char *b);
static void scc_ctl_print_usage(FILE *f);
static void scc_ctl_print_help(const scc_ctl_cmd_t *cmd);


static const scc_ctl_opt_t  scc_ctl_no_opts[] = {
    { NULL, NULL, NULL }
};


static const scc_ctl_cmd_t  scc_ctl_version_cmd = {
    "version", NULL,
    "print the version and the schema this program carries",
    "Prints the program's version and the newest migration in it.\n",
    scc_ctl_no_opts, scc_ctl_version
};


static const scc_ctl_cmd_t  scc_ctl_help_cmd = {
    "help", "[COMMAND]",
    "say what a command does and which options it has",
    "Without COMMAND, lists the commands.\n",
    scc_ctl_no_opts, scc_ctl_help
};


static const scc_ctl_cmd_t  *scc_ctl_commands[] = {
    &scc_ctl_init_cmd,
    &scc_ctl_migrate_cmd,
    &scc_ctl_import_cmd,
    &scc_ctl_export_cmd,
    &scc_ctl_sample_cmd,
    &scc_ctl_journal_cmd,
    &scc_ctl_rebuild_cmd,
    &scc_ctl_ship_cmd,
    &scc_ctl_doctor_cmd,
    &scc_ctl_verify_cmd,
    &scc_ctl_drill_cmd,
    &scc_ctl_prune_cmd,
    &scc_ctl_adopt_cmd,
    &scc_ctl_dead_cmd,
    &scc_ctl_roster_cmd,
    &scc_ctl_photos_cmd,
    &scc_ctl_worklist_cmd,
    &scc_ctl_version_cmd,
    &scc_ctl_help_cmd,
    NULL
};


int
main(int argc, char **argv)
{
    const char           *name;
    const scc_ctl_cmd_t  *cmd;

#ifdef M_MMAP_THRESHOLD

    /* what segments took goes back when they are done with: the library
       would raise this, and keep holes between them */

    (void) mallopt(M_MMAP_THRESHOLD, 1024 * 1024);

#endif

    if (argc < 2) {
        scc_ctl_print_usage(stderr);
        return SCC_CTL_USAGE;
    }

    name = argv[1];

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = "help";
    }

    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        name = "version";
    }

    cmd = scc_ctl_find(name);
    if (cmd == NULL) {
        return scc_ctl_unknown_command(name);
    }

    return scc_ctl_run(cmd, argc - 2, argv + 2);
}


void
scc_ctl_error(const char *fmt, ...)
{
    va_list  args;

    /* A progress line may stand there. */

    fputs(isatty(STDERR_FILENO) ? "\r\033[Ksccctl: " : "sccctl: ", stderr);

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    fputc('\n', stderr);
}


int
scc_ctl_usage(const char *command, const char *fmt, ...)
{
    va_list  args;

    fprintf(stderr, "sccctl: %s: ", command);

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    fprintf(stderr, "\nsee: sccctl help %s\n", command);

    return SCC_CTL_USAGE;
}


int
scc_ctl_number(const char *text, uint64_t min, uint64_t max, uint64_t *n)
{
    uint64_t  v;

    if (*text == '\0') {
        return -1;
    }

    for (v = 0; *text != '\0'; text++) {

        if (*text < '0' || *text > '9') {
            return -1;
        }

        if (v > (UINT64_MAX - (uint64_t) (*text - '0')) / 10) {
            return -1;
        }

        v = v * 10 + (uint64_t) (*text - '0');
    }

    if (v < min || v > max) {
        return -1;
    }

    *n = v;

    return 0;
}


int
scc_ctl_sha256(const void *p, size_t len, uint8_t out[32])
{
    unsigned  n;

    if (EVP_Digest(p, len, out, &n, EVP_sha256(), NULL) != 1 || n != 32) {
        scc_ctl_error("libcrypto cannot compute SHA-256; is its "
                      "configuration or FIPS module broken?");
        return -1;
    }

    return 0;
}


void
scc_ctl_hex(char text[65], const uint8_t sha256[32])
{
    size_t  i;

    for (i = 0; i < 32; i++) {
        snprintf(&text[2 * i], 3, "%02x", sha256[i]);
    }
}


int
scc_ctl_unhex(uint8_t sha256[32], const char *text)
{
    char    byte[3];
    size_t  i;

    if (strspn(text, "0123456789abcdefABCDEF") < 64) {
        return -1;
    }

    byte[2] = '\0';

    for (i = 0; i < 32; i++) {
        memcpy(byte, &text[2 * i], 2);
        sha256[i] = (uint8_t) strtoul(byte, NULL, 16);
    }

    return 0;
}


int
scc_ctl_duration(const char *text, uint64_t *ns)
{
    char        number[16];
    size_t      len, unit;
    uint64_t    n;

    static const char      units[] = "smhd";
    static const uint64_t  seconds[] = { 1, 60, 3600, 86400 };

    len = strspn(text, "0123456789");

    if (len == 0 || len >= sizeof(number) || text[len] == '\0'
        || strchr(units, text[len]) == NULL || text[len + 1] != '\0')
    {
        return -1;
    }

    memcpy(number, text, len);
    number[len] = '\0';
    unit = (size_t) (strchr(units, text[len]) - units);

    if (scc_ctl_number(number, 0, UINT64_MAX / 1000000000 / seconds[unit],
                       &n)
        != 0)
    {
        return -1;
    }

    *ns = n * seconds[unit] * 1000000000;

    return 0;
}


static int
scc_ctl_version(const scc_ctl_args_t *args)
{
    (void) args;

    printf("sccctl %s", SCC_CTL_VERSION);

    if (scc_ctl_sql_n > 0) {
        printf(", schema %d (%s)", scc_ctl_sql[scc_ctl_sql_n - 1].version,
               scc_ctl_sql[scc_ctl_sql_n - 1].name);
    }

    putchar('\n');

    return SCC_CTL_OK;
}


static int
scc_ctl_help(const scc_ctl_args_t *args)
{
    const scc_ctl_cmd_t  *cmd;

    if (args->argc == 0) {
        scc_ctl_print_usage(stdout);
        return SCC_CTL_OK;
    }

    cmd = scc_ctl_find(args->argv[0]);
    if (cmd == NULL) {
        return scc_ctl_unknown_command(args->argv[0]);
    }

    scc_ctl_print_help(cmd);

    return SCC_CTL_OK;
}


static int
scc_ctl_run(const scc_ctl_cmd_t *cmd, int argc, char **argv)
{
    int              i, rc;
    char           **operand;
    scc_ctl_args_t   args;

    memset(&args, 0, sizeof(scc_ctl_args_t));

    operand = calloc((size_t) argc + 1, sizeof(char *));
    if (operand == NULL) {
        scc_ctl_error("out of memory");
        return SCC_CTL_FAILED;
    }

    args.argv = operand;

    for (i = 0; i < argc; i++) {

        if (strcmp(argv[i], "--") == 0) {
            for (i++; i < argc; i++) {
                operand[args.argc++] = argv[i];
            }
            break;
        }

        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            operand[args.argc++] = argv[i];
            continue;
        }

        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            scc_ctl_print_help(cmd);
            free(operand);
            return SCC_CTL_OK;
        }

        rc = scc_ctl_option(cmd, &args, argc, argv, &i);
        if (rc != SCC_CTL_OK) {
            free(operand);
            return rc;
        }
    }

    if (cmd->operands == NULL && args.argc > 0) {
        rc = scc_ctl_usage(cmd->name, "it takes no argument, but \"%s\" was "
                           "given", operand[0]);

    } else {
        rc = cmd->handler(&args);
    }

    free(operand);

    if (rc == SCC_CTL_OK && fflush(stdout) != 0) {
        scc_ctl_error("cannot write to standard output");
        rc = SCC_CTL_FAILED;
    }

    return rc;
}


static int
scc_ctl_option(const scc_ctl_cmd_t *cmd, scc_ctl_args_t *args, int argc,
    char **argv, int *i)
{
    size_t                n, len;
    const char           *arg, *value, *near;
    const scc_ctl_opt_t  *opt;

    arg = argv[*i];

    if (arg[1] != '-') {
        return scc_ctl_usage(cmd->name, "unknown option \"%s\"; options "
                             "begin with two dashes", arg);
    }

    len = strcspn(arg, "=");
    value = (arg[len] == '=') ? arg + len + 1 : NULL;

    for (n = 0; cmd->opts[n].name != NULL; n++) {

        opt = &cmd->opts[n];

        if (strlen(opt->name) != len - 2
            || memcmp(opt->name, arg + 2, len - 2) != 0)
        {
            continue;
        }

        if (args->opt[n] != NULL) {
            return scc_ctl_usage(cmd->name, "option --%s is given twice",
                                 opt->name);
        }

        if (opt->arg == NULL) {
            if (value != NULL) {
                return scc_ctl_usage(cmd->name, "option --%s takes no "
                                     "value", opt->name);
            }

            args->opt[n] = "";
            return SCC_CTL_OK;
        }

        if (value == NULL) {
            if (*i + 1 >= argc) {
                return scc_ctl_usage(cmd->name, "option --%s needs a value: "
                                     "--%s %s", opt->name, opt->name,
                                     opt->arg);
            }

            value = argv[++(*i)];
        }

        args->opt[n] = value;
        return SCC_CTL_OK;
    }

    near = scc_ctl_near_option(cmd, arg + 2, len - 2);

    if (near != NULL) {
        return scc_ctl_usage(cmd->name, "unknown option \"%.*s\"; did you "
                             "mean \"--%s\"?", (int) len, arg, near);
    }

    return scc_ctl_usage(cmd->name, "unknown option \"%.*s\"", (int) len,
                         arg);
}


static const scc_ctl_cmd_t *
scc_ctl_find(const char *name)
{
    size_t  i;

    for (i = 0; scc_ctl_commands[i] != NULL; i++) {
        if (strcmp(scc_ctl_commands[i]->name, name) == 0) {
            return scc_ctl_commands[i];
        }
    }

    return NULL;
}


static int
scc_ctl_unknown_command(const char *name)
{
    const char  *near;

    near = scc_ctl_near_command(name);

    if (near != NULL) {
        scc_ctl_error("unknown command \"%s\"; did you mean \"%s\"?", name,
                      near);
    } else {
        scc_ctl_error("unknown command \"%s\"", name);
    }

    fputs("see: sccctl help\n", stderr);

    return SCC_CTL_USAGE;
}


static const char *
scc_ctl_near_option(const scc_ctl_cmd_t *cmd, const char *name, size_t len)
{
    size_t       i, d, best;
    const char  *near;

    near = NULL;
    best = len / 3 + 2;

    for (i = 0; cmd->opts[i].name != NULL; i++) {
        d = scc_ctl_distance(name, len, cmd->opts[i].name);

        if (d < best) {
            best = d;
            near = cmd->opts[i].name;
        }
    }

    return near;
}


static const char *
scc_ctl_near_command(const char *name)
{
    size_t       i, d, best;
    const char  *near;

    near = NULL;
    best = strlen(name) / 3 + 2;

    for (i = 0; scc_ctl_commands[i] != NULL; i++) {
        d = scc_ctl_distance(name, strlen(name), scc_ctl_commands[i]->name);

        if (d < best) {
            best = d;
            near = scc_ctl_commands[i]->name;
        }
    }

    return near;
}


/* Levenshtein's distance; SIZE_MAX for words nobody meant. */

static size_t
scc_ctl_distance(const char *a, size_t n, const char *b)
{
    size_t  i, j, m, diagonal, up, cost, row[SCC_CTL_WORD_MAX + 1];

    m = strlen(b);

    if (n > SCC_CTL_WORD_MAX || m > SCC_CTL_WORD_MAX) {
        return SIZE_MAX;
    }

    for (j = 0; j <= m; j++) {
        row[j] = j;
    }

    for (i = 1; i <= n; i++) {
        diagonal = row[0];
        row[0] = i;

        for (j = 1; j <= m; j++) {
            up = row[j];
            cost = diagonal + (a[i - 1] != b[j - 1]);

            if (up + 1 < cost) {
                cost = up + 1;
            }

            if (row[j - 1] + 1 < cost) {
                cost = row[j - 1] + 1;
            }

            row[j] = cost;
            diagonal = up;
        }
    }

    return row[m];
}


static void
scc_ctl_print_usage(FILE *f)
{
    size_t  i;

    fputs("usage: sccctl COMMAND [OPTION]... [ARGUMENT]...\n\n"
          "The command-line tool of ngx_scc_module: sets the store up and "
          "fills it.\n\n"
          "commands:\n", f);

    for (i = 0; scc_ctl_commands[i] != NULL; i++) {
        fprintf(f, "  %-11s  %s\n", scc_ctl_commands[i]->name,
                scc_ctl_commands[i]->summary);
    }

    fputs("\n"
          "environment:\n"
          "  SCC_PG       PostgreSQL connection string or URI, the default of "
          "--pg;\n"
          "               keep passwords out of it: use a password file "
          "(PGPASSFILE)\n"
          "  SCC_JOURNAL  the store's journal, the default of --journal\n"
          "\n"
          "exit codes:\n"
          "  0  done\n"
          "  1  failed; the message says why\n"
          "  2  wrong usage; nothing was done\n"
          "  3  finished, but: rows were rejected, or something differs\n"
          "  4  refused: it would not be safe; nothing was done\n"
          "\n"
          "see: sccctl help COMMAND\n", f);
}


static void
scc_ctl_print_help(const scc_ctl_cmd_t *cmd)
{
    char                  head[SCC_CTL_WORD_MAX];
    const char           *p, *end;
    const scc_ctl_opt_t  *opt;

    printf("usage: sccctl %s%s%s%s\n\n%s", cmd->name,
           cmd->opts[0].name != NULL ? " [OPTION]..." : "",
           cmd->operands != NULL ? " " : "",
           cmd->operands != NULL ? cmd->operands : "", cmd->help);

    if (cmd->opts[0].name != NULL) {
        printf("\noptions:\n");
    }

    for (opt = cmd->opts; opt->name != NULL; opt++) {

        snprintf(head, sizeof(head), "--%s%s%s", opt->name,
                 opt->arg != NULL ? " " : "",
                 opt->arg != NULL ? opt->arg : "");

        for (p = opt->help; p != NULL; p = (*end != '\0') ? end + 1 : NULL) {
            end = p + strcspn(p, "\n");
            printf("  %-20s  %.*s\n", p == opt->help ? head : "",
                   (int) (end - p), p);
        }
    }

    printf("\nexit codes: 0 done, 1 failed, 2 wrong usage%s\n",
           cmd == &scc_ctl_import_cmd ? ", 3 finished with rejects"
           : cmd == &scc_ctl_doctor_cmd ? ", 3 there are findings"
           : cmd == &scc_ctl_verify_cmd ? ", 3 something differs"
           : cmd == &scc_ctl_ship_cmd ? ", 3 something is not off-site"
           : cmd == &scc_ctl_drill_cmd ? ", 3 something was found"
           : cmd == &scc_ctl_prune_cmd ? ", 4 a rule says no"
           : cmd == &scc_ctl_adopt_cmd ? ", 4 refused" : "");
}
