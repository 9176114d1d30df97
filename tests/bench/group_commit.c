
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


/*
 * group_commit FILE WRITERS SECONDS
 *
 * What a disk gives to group commit and nothing else: threads that each wait
 * for a record of 512 bytes to be on the disk, and one that writes and syncs
 * all that have gathered.  Prints records per second.
 */

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>


#define RECORD  512
#define BLOCK   4096
#define FILE_SIZE  (256 * 1024 * 1024)


static pthread_mutex_t  mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t   work = PTHREAD_COND_INITIALIZER;
static pthread_cond_t   done[2] = { PTHREAD_COND_INITIALIZER,
                                    PTHREAD_COND_INITIALIZER };
static uint64_t         gathering = 1;      /* number of the next batch */
static uint64_t         synced;             /* of the last durable one */
static unsigned         waiting;            /* in the next batch */
static int              end;


static double
now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static void *
writer(void *data)
{
    uint64_t   batch;
    uint64_t  *n = data;

    (void) pthread_mutex_lock(&mutex);

    while (!end) {
        batch = gathering;
        waiting++;

        (void) pthread_cond_signal(&work);

        while (synced < batch) {
            (void) pthread_cond_wait(&done[batch % 2], &mutex);
        }

        (*n)++;
    }

    (void) pthread_mutex_unlock(&mutex);

    return NULL;
}


/* Runs until nobody waits after the end. */

static void
flush(int fd)
{
    off_t         pos;
    size_t        size;
    uint64_t      batch;
    static char  *buf;

    buf = calloc(1, FILE_SIZE / 16);
    pos = 0;

    if (buf == NULL) {
        exit(1);
    }

    (void) pthread_mutex_lock(&mutex);

    for ( ;; ) {

        while (waiting == 0 && !end) {
            (void) pthread_cond_wait(&work, &mutex);
        }

        if (waiting == 0) {
            break;
        }

        size = (waiting * RECORD + BLOCK - 1) / BLOCK * BLOCK;
        batch = gathering++;
        waiting = 0;

        (void) pthread_mutex_unlock(&mutex);

        if (pos + (off_t) size > FILE_SIZE) {
            pos = 0;
        }

        if (pwrite(fd, buf, size, pos) != (ssize_t) size
            || fdatasync(fd) == -1)
        {
            perror("group_commit");
            exit(1);
        }

        pos += (off_t) size;

        (void) pthread_mutex_lock(&mutex);

        synced = batch;
        (void) pthread_cond_broadcast(&done[batch % 2]);
    }

    (void) pthread_mutex_unlock(&mutex);
}


static void *
stop(void *data)
{
    usleep((useconds_t) (*(double *) data * 1e6));

    (void) pthread_mutex_lock(&mutex);
    end = 1;
    (void) pthread_cond_signal(&work);
    (void) pthread_mutex_unlock(&mutex);

    return NULL;
}


int
main(int argc, char **argv)
{
    int         fd, i, n;
    double      seconds, start;
    uint64_t   *counts, total;
    pthread_t   thread, *threads;

    if (argc != 4) {
        fprintf(stderr, "usage: group_commit FILE WRITERS SECONDS\n");
        return 2;
    }

    n = atoi(argv[2]);
    seconds = atof(argv[3]);
    fd = open(argv[1], O_RDWR|O_CREAT|O_TRUNC, 0600);
    counts = calloc((size_t) n, sizeof(uint64_t));
    threads = calloc((size_t) n, sizeof(pthread_t));

    if (n < 1 || fd == -1 || counts == NULL || threads == NULL
        || posix_fallocate(fd, 0, FILE_SIZE) != 0 || fsync(fd) == -1)
    {
        perror("group_commit");
        return 1;
    }

    start = now();

    for (i = 0; i < n; i++) {
        if (pthread_create(&threads[i], NULL, writer, &counts[i]) != 0) {
            return 1;
        }
    }

    if (pthread_create(&thread, NULL, stop, &seconds) != 0) {
        return 1;
    }

    flush(fd);

    seconds = now() - start;
    total = 0;

    for (i = 0; i < n; i++) {
        (void) pthread_join(threads[i], NULL);
        total += counts[i];
    }

    (void) unlink(argv[1]);

    printf("%.0f\n", (double) total / seconds);

    return 0;
}
