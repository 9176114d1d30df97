
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_DISK_H_INCLUDED_
#define _SCC_CTL_DISK_H_INCLUDED_


#include "scc_ctl.h"
#include "scc_buf.h"


/* Files that are whole after a power cut.  These say nothing, but for one:
   errno is set where they fail. */

/*
 * A new file beside "path" with these bytes, synced: its name, on the heap,
 * or NULL.  Its mode is 0600; its owner that of the folder where root writes.
 */
char *scc_ctl_disk_temp(const char *path, scc_str_t bytes);

/* Over what has the name "to", and the folder synced. */
int scc_ctl_disk_rename(const char *from, const char *to);

/* Both. */
int scc_ctl_disk_write(const char *path, scc_str_t bytes);

/* All of it where the file stands; a disk that takes nothing is full. */
int scc_ctl_disk_put(int fd, scc_str_t bytes);

/* A directory's names; those of the folder that "path" is in. */
int scc_ctl_disk_sync_dir(const char *dir);
int scc_ctl_disk_sync_folder(const char *path);

/*
 * Calls "each" with every name in a directory, in any order, until one call
 * returns something else than 0, which is returned then.  A directory that
 * cannot be read to its end is an error, which this one says.
 */
int scc_ctl_disk_list(const char *dir,
    int (*each)(void *data, const char *dir, const char *name), void *data);

/*
 * The digest of what the disk has: read past the page cache, which may hold
 * what a failed sync has not written, or, where the file system cannot do
 * that, after it was told to forget.  1 if there is no file.
 */
int scc_ctl_disk_sum(const char *path, uint8_t sha256[32]);

/* A whole file of at most "max" bytes into a buffer that is emptied first;
   1 if there is none, -1 with EFBIG if it is larger. */
int scc_ctl_disk_read(const char *path, size_t max, scc_buf_t *b);


#endif /* _SCC_CTL_DISK_H_INCLUDED_ */
