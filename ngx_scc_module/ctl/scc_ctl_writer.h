
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_WRITER_H_INCLUDED_
#define _SCC_CTL_WRITER_H_INCLUDED_


#include "scc_ctl.h"
#include "scc_journal.h"


/*
 * A journal's writer, beside nginx's workers and by their rules: segments of
 * its own, preallocated, locked while it lives; a batch is written after the
 * one before it was synced; a descriptor that failed is never synced again,
 * its batch goes to a new segment.
 */

typedef struct scc_ctl_writer_s  scc_ctl_writer_t;


/*
 * NULL after saying why not: DIR/store is not there, or names another store.
 * Nothing is created before the first sync().
 */
scc_ctl_writer_t *scc_ctl_writer_open(const char *dir,
    const uint8_t store[16]);

/* False if the record has to wait for the next batch: sync() first. */
bool scc_ctl_writer_fits(const scc_ctl_writer_t *w, const scc_record_t *r);

/* Adds a record that has a scc_record_size(); what it says is copied. */
void scc_ctl_writer_add(scc_ctl_writer_t *w, const scc_record_t *r);

/*
 * Writes and syncs what was added.  Returns the segment's UUID, valid until
 * the next call; NULL after saying why: then nothing of it is in the journal
 * for sure, and nothing more can be written.
 */
const uint8_t *scc_ctl_writer_sync(scc_ctl_writer_t *w);

/* Seals the last segment; what was not synced is dropped.  -1 and a message
   if it cannot be sealed: what was synced is in it all the same.  Takes
   NULL. */
int scc_ctl_writer_close(scc_ctl_writer_t *w);


#endif /* _SCC_CTL_WRITER_H_INCLUDED_ */
