
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "scc_ctl_progress.h"


#define SCC_CTL_PROGRESS_BAR    24
#define SCC_CTL_PROGRESS_EVERY  100000000   /* ns */


static void scc_ctl_progress_eta(char *text, size_t size, uint64_t ns,
    uint64_t done, uint64_t total);


void
scc_ctl_progress_init(scc_ctl_progress_t *p, bool quiet)
{
    memset(p, 0, sizeof(scc_ctl_progress_t));

    p->on = !quiet && isatty(STDERR_FILENO);
    p->start = scc_ctl_now();
    p->last = p->start;
}


void
scc_ctl_progress_update(scc_ctl_progress_t *p, const char *label,
    uint64_t done, uint64_t total, uint64_t rows)
{
    int             width, len;
    char            line[512], bar[SCC_CTL_PROGRESS_BAR + 1], eta[32];
    double          seconds;
    uint64_t        now;
    unsigned        percent;
    struct winsize  ws;

    if (!p->on) {
        return;
    }

    now = scc_ctl_now();

    if (now - p->last < SCC_CTL_PROGRESS_EVERY) {
        return;
    }

    p->last = now;
    seconds = (double) (now - p->start) / 1e9;

    width = (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
            ? ws.ws_col : 80;

    if (total > 0) {
        percent = (done >= total) ? 100 : (unsigned) (done * 100 / total);

        memset(bar, '.', SCC_CTL_PROGRESS_BAR);
        memset(bar, '#', percent * SCC_CTL_PROGRESS_BAR / 100);
        bar[SCC_CTL_PROGRESS_BAR] = '\0';

        scc_ctl_progress_eta(eta, sizeof(eta), now - p->start, done, total);

        len = snprintf(line, sizeof(line),
                       "[%s] %3u%%  %s rows  %s/s  %s  %s", bar, percent,
                       scc_ctl_grouped(rows),
                       scc_ctl_grouped((uint64_t) ((double) rows / seconds)),
                       eta, label);

    } else {
        len = snprintf(line, sizeof(line), "%s MB  %s rows  %s/s  %s",
                       scc_ctl_grouped(done / 1000000),
                       scc_ctl_grouped(rows),
                       scc_ctl_grouped((uint64_t) ((double) rows / seconds)),
                       label);
    }

    if (len > (int) sizeof(line) - 1) {
        len = (int) sizeof(line) - 1;
    }

    if (len > width - 1) {

        /* Never inside a UTF-8 character. */

        for (len = width - 1; len > 0 && (line[len] & 0xc0) == 0x80; len--) {
            /* void */
        }
    }

    fprintf(stderr, "\r\033[K%.*s", len, line);
    fflush(stderr);

    p->drawn = true;
}


void
scc_ctl_progress_clear(scc_ctl_progress_t *p)
{
    if (p->drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        p->drawn = false;
    }
}


uint64_t
scc_ctl_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


const char *
scc_ctl_grouped(uint64_t n)
{
    char             *p;
    unsigned          digits;
    static char       buf[8][32];
    static unsigned   next;

    next = (next + 1) % 8;

    p = buf[next] + sizeof(buf[0]) - 1;
    *p = '\0';
    digits = 0;

    do {
        if (digits > 0 && digits % 3 == 0) {
            *--p = ',';
        }

        *--p = (char) ('0' + n % 10);
        n /= 10;
        digits++;
    } while (n > 0);

    return p;
}


static void
scc_ctl_progress_eta(char *text, size_t size, uint64_t ns, uint64_t done,
    uint64_t total)
{
    double    left;
    unsigned  s;

    if (done == 0 || done > total) {
        snprintf(text, size, "ETA --:--");
        return;
    }

    left = (double) ns * (double) (total - done) / (double) done / 1e9;

    if (left > 359999) {
        snprintf(text, size, "ETA --:--");
        return;
    }

    s = (unsigned) left;

    if (s >= 3600) {
        snprintf(text, size, "ETA %u:%02u:%02u", s / 3600, s / 60 % 60,
                 s % 60);
    } else {
        snprintf(text, size, "ETA %u:%02u", s / 60, s % 60);
    }
}
