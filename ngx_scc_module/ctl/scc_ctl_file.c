
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scc_ctl_disk.h"
#include "scc_ctl_file.h"


static int scc_ctl_file_temp(scc_ctl_file_t *f);
static int scc_ctl_file_fault(scc_ctl_file_t *f);
static void scc_ctl_file_signals(void);
static void scc_ctl_file_killed(int signo);


/* What a signal has to remove, or "". */

static char  scc_ctl_file_half[4096];


int
scc_ctl_file_open(scc_ctl_file_t *f, const char *path)
{
    f->path = path;
    f->temp = NULL;

    if (path == NULL) {
        f->file = stdout;
        return 0;
    }

    return scc_ctl_file_temp(f);
}


int
scc_ctl_file_write(scc_ctl_file_t *f, const void *p, size_t len)
{
    if (len == 0 || fwrite(p, 1, len, f->file) == len) {
        return 0;
    }

    return scc_ctl_file_fault(f);
}


int
scc_ctl_file_commit(scc_ctl_file_t *f)
{
    int  rc;

    if (fflush(f->file) != 0) {
        return scc_ctl_file_fault(f);
    }

    if (f->path == NULL) {
        return 0;
    }

    if (fsync(fileno(f->file)) != 0) {
        return scc_ctl_file_fault(f);
    }

    rc = fclose(f->file);
    f->file = NULL;

    if (rc != 0) {
        return scc_ctl_file_fault(f);
    }

    if (rename(f->temp, f->path) != 0) {
        scc_ctl_error("cannot rename \"%s\" to \"%s\": %s", f->temp, f->path,
                      strerror(errno));
        return -1;
    }

    scc_ctl_file_half[0] = '\0';

    free(f->temp);
    f->temp = NULL;

    /* the new name is safe when its folder is */

    if (scc_ctl_disk_sync_folder(f->path) != 0) {
        scc_ctl_error("cannot sync the folder of \"%s\": %s", f->path,
                      strerror(errno));
        return -1;
    }

    return 0;
}


void
scc_ctl_file_abort(scc_ctl_file_t *f)
{
    if (f->path == NULL) {
        return;
    }

    if (f->file != NULL) {
        (void) fclose(f->file);
        f->file = NULL;
    }

    if (f->temp != NULL) {
        (void) unlink(f->temp);
        scc_ctl_file_half[0] = '\0';

        free(f->temp);
        f->temp = NULL;
    }
}


static int
scc_ctl_file_temp(scc_ctl_file_t *f)
{
    int     fd;
    mode_t  mask;

    if (asprintf(&f->temp, "%s.XXXXXX", f->path) == -1) {
        scc_ctl_error("out of memory");
        f->temp = NULL;
        return -1;
    }

    if (strlen(f->temp) >= sizeof(scc_ctl_file_half)) {
        scc_ctl_error("the name \"%.64s...\" is too long", f->path);
        goto failed;
    }

    scc_ctl_file_signals();

    fd = mkstemp(f->temp);

    if (fd == -1) {
        scc_ctl_error("cannot create a file beside \"%s\": %s", f->path,
                      strerror(errno));
        goto failed;
    }

    memcpy(scc_ctl_file_half, f->temp, strlen(f->temp) + 1);

    /* what umask would have given */

    mask = umask(0);
    (void) umask(mask);

    if (fchmod(fd, 0666 & ~mask) != 0
        || (f->file = fdopen(fd, "wb")) == NULL)
    {
        scc_ctl_error("cannot write \"%s\": %s", f->temp, strerror(errno));
        (void) close(fd);
        (void) unlink(f->temp);
        scc_ctl_file_half[0] = '\0';
        goto failed;
    }

    return 0;

failed:

    free(f->temp);
    f->temp = NULL;

    return -1;
}


static int
scc_ctl_file_fault(scc_ctl_file_t *f)
{
    scc_ctl_error("cannot write %s%s%s: %s",
                  f->path != NULL ? "\"" : "",
                  f->path != NULL ? f->path : "to standard output",
                  f->path != NULL ? "\"" : "", strerror(errno));

    return -1;
}


static void
scc_ctl_file_signals(void)
{
    size_t            i;
    struct sigaction  sa, old;

    static const int  signals[] = { SIGHUP, SIGINT, SIGTERM };

    memset(&sa, 0, sizeof(struct sigaction));
    sigemptyset(&sa.sa_mask);
    sa.sa_handler = scc_ctl_file_killed;
    sa.sa_flags = (int) SA_RESETHAND;

    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {

        /* nohup stays nohup */

        if (sigaction(signals[i], NULL, &old) == 0
            && old.sa_handler != SIG_IGN)
        {
            (void) sigaction(signals[i], &sa, NULL);
        }
    }
}


static void
scc_ctl_file_killed(int signo)
{
    if (scc_ctl_file_half[0] != '\0') {
        (void) unlink(scc_ctl_file_half);
    }

    (void) raise(signo);
}
