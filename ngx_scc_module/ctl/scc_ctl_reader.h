
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_READER_H_INCLUDED_
#define _SCC_CTL_READER_H_INCLUDED_


#include <sys/types.h>

#include "scc_ctl.h"


/*
 * A file, or standard input where the name is "-", plain or gzip: gzip is
 * known by its first bytes, whatever the name says; several members one
 * after another are one file.  Memory is constant.
 */

typedef struct scc_ctl_reader_s  scc_ctl_reader_t;


/* NULL after saying why. */
scc_ctl_reader_t *scc_ctl_reader_open(const char *name);
void scc_ctl_reader_close(scc_ctl_reader_t *r);

/*
 * The next piece, valid until the next call: *len bytes at *data; 0 at the
 * end.  -1 after saying why: unreadable, gzip data damaged or cut off.
 */
int scc_ctl_reader_next(scc_ctl_reader_t *r, const uint8_t **data,
    size_t *len);

/* Bytes taken from the file so far, as stored, and its size; the size is
   0 where it is not known (a pipe). */
uint64_t scc_ctl_reader_offset(const scc_ctl_reader_t *r);
uint64_t scc_ctl_reader_size(const scc_ctl_reader_t *r);

int scc_ctl_reader_fd(const scc_ctl_reader_t *r);

/*
 * A whole file into a parser: pieces, then once, with len 0, the end.  What
 * it returns is said if it is not OK: err->text, or that there is no memory.
 * -1 then, or if the file cannot be read.
 */
typedef scc_rc_t (*scc_ctl_feed_pt)(void *ctx, const void *data, size_t len,
    scc_err_t *err);

int scc_ctl_reader_feed(const char *name, scc_ctl_feed_pt feed, void *ctx);


#endif /* _SCC_CTL_READER_H_INCLUDED_ */
