
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "scc_ctl_progress.h"
#include "scc_ctl_spawn.h"


static int scc_ctl_spawn_input(scc_str_t in);
static pid_t scc_ctl_spawn_fork(const char *command, int in, int out);
static scc_ctl_spawn_rc_t scc_ctl_spawn_listen(scc_ctl_spawn_t *sp, int out,
    EVP_MD_CTX *md, uint64_t end);
static scc_ctl_spawn_rc_t scc_ctl_spawn_wait(scc_ctl_spawn_t *sp, pid_t pid,
    uint64_t end);


static uint8_t  scc_ctl_spawn_text[SCC_CTL_SPAWN_TEXT];


scc_ctl_spawn_rc_t
scc_ctl_spawn(scc_ctl_spawn_t *sp)
{
    int                 in, out[2];
    pid_t               pid;
    uint64_t            end;
    unsigned            len;
    EVP_MD_CTX         *md;
    scc_ctl_spawn_rc_t  rc;

    md = EVP_MD_CTX_new();

    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(md);
        errno = ENOMEM;
        return SCC_CTL_SPAWN_ERROR;
    }

    in = scc_ctl_spawn_input(sp->in);

    if (in == -1 || pipe2(out, O_CLOEXEC) != 0) {
        EVP_MD_CTX_free(md);

        if (in != -1) {
            (void) close(in);
        }

        return SCC_CTL_SPAWN_ERROR;
    }

    sp->size = 0;
    sp->text.data = scc_ctl_spawn_text;
    sp->text.len = 0;

    end = scc_ctl_now() + sp->timeout;
    pid = scc_ctl_spawn_fork(sp->command, in, out[1]);

    (void) close(in);
    (void) close(out[1]);

    if (pid == -1) {
        (void) close(out[0]);
        EVP_MD_CTX_free(md);
        return SCC_CTL_SPAWN_ERROR;
    }

    rc = scc_ctl_spawn_listen(sp, out[0], md, end);
    (void) close(out[0]);

    if (rc != SCC_CTL_SPAWN_DONE) {
        (void) kill(-pid, SIGKILL);
        end = scc_ctl_now() + sp->timeout;
        (void) scc_ctl_spawn_wait(sp, pid, end);

    } else {
        rc = scc_ctl_spawn_wait(sp, pid, end);
    }

    /* nobody whom it left behind works on */

    (void) kill(-pid, SIGKILL);

    if (EVP_DigestFinal_ex(md, sp->digest, &len) != 1 || len != 32) {
        errno = ENOSYS;
        rc = SCC_CTL_SPAWN_ERROR;
    }

    EVP_MD_CTX_free(md);

    return rc;
}


static int
scc_ctl_spawn_input(scc_str_t in)
{
    int      fd;
    size_t   done;
    ssize_t  n;

    fd = memfd_create("object", MFD_CLOEXEC);

    for (done = 0; fd != -1 && done < in.len; done += (size_t) n) {
        n = write(fd, in.data + done, in.len - done);

        if (n == -1) {
            (void) close(fd);
            return -1;
        }
    }

    if (fd != -1) {
        (void) lseek(fd, 0, SEEK_SET);
    }

    return fd;
}


static pid_t
scc_ctl_spawn_fork(const char *command, int in, int out)
{
    pid_t     pid, parent;
    sigset_t  none;

    parent = getpid();
    pid = fork();

    if (pid != 0) {
        if (pid > 0) {
            (void) setpgid(pid, pid);
        }

        return pid;
    }

    (void) setpgid(0, 0);
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);

    if (getppid() != parent) {
        _exit(127);                     /* it died before that */
    }

    sigemptyset(&none);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);
    (void) signal(SIGPIPE, SIG_DFL);

    if (dup2(in, STDIN_FILENO) == -1 || dup2(out, STDOUT_FILENO) == -1) {
        _exit(127);
    }

    execl("/bin/sh", "sh", "-c", command, (char *) NULL);
    _exit(127);
}


static scc_ctl_spawn_rc_t
scc_ctl_spawn_listen(scc_ctl_spawn_t *sp, int out, EVP_MD_CTX *md,
    uint64_t end)
{
    int            n, left;
    size_t         room;
    ssize_t        got;
    uint8_t        piece[65536];
    uint64_t       now;
    struct pollfd  pfd;

    for ( ;; ) {
        now = scc_ctl_now();

        if (now >= end) {
            return SCC_CTL_SPAWN_LATE;
        }

        left = (end - now) / 1000000 < 1000
               ? (int) ((end - now) / 1000000) + 1 : 1000;

        pfd.fd = out;
        pfd.events = POLLIN;

        n = poll(&pfd, 1, left);

        if (n == 0 || (n == -1 && errno == EINTR)) {
            continue;
        }

        got = (n == -1) ? -1 : read(out, piece, sizeof(piece));

        if (got == -1 && errno == EINTR) {
            continue;
        }

        if (got == -1) {
            return SCC_CTL_SPAWN_ERROR;
        }

        if (got == 0) {
            return SCC_CTL_SPAWN_DONE;
        }

        sp->size += (uint64_t) got;

        if (sp->sha256) {
            (void) EVP_DigestUpdate(md, piece, (size_t) got);
            continue;
        }

        room = SCC_CTL_SPAWN_TEXT - sp->text.len;

        if (room > (size_t) got) {
            room = (size_t) got;
        }

        memcpy(scc_ctl_spawn_text + sp->text.len, piece, room);
        sp->text.len += room;
    }
}


/* Its output is closed; it may still be at work. */

static scc_ctl_spawn_rc_t
scc_ctl_spawn_wait(scc_ctl_spawn_t *sp, pid_t pid, uint64_t end)
{
    int    status;
    bool   late;
    pid_t  rc;

    late = false;

    for ( ;; ) {
        rc = waitpid(pid, &status, late ? 0 : WNOHANG);

        if (rc == pid) {
            break;
        }

        if (rc == -1 && errno != EINTR) {
            return SCC_CTL_SPAWN_ERROR;
        }

        if (rc == 0 && scc_ctl_now() >= end) {
            (void) kill(-pid, SIGKILL);
            late = true;

        } else if (rc == 0) {
            (void) usleep(1000);
        }
    }

    sp->code = WIFEXITED(status) ? WEXITSTATUS(status)
                                 : 128 + WTERMSIG(status);

    return late ? SCC_CTL_SPAWN_LATE
           : sp->code == 0 ? SCC_CTL_SPAWN_DONE : SCC_CTL_SPAWN_EXIT;
}
