
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_PROBE_H_INCLUDED_
#define _SCC_PROBE_H_INCLUDED_


#include "scc_audit.h"


/*
 * The facts of a journal that only its disk can tell, for the audit
 * (core/scc_audit.h).  The one file with I/O that both nginx and sccctl are
 * built from.  All calls block: in nginx they belong to a thread, or to a
 * process that serves nobody yet.
 */

/* What can be seen without writing; j->n and the directories' names are set.
   Nothing is changed. */
void scc_probe_look(scc_audit_journal_t *j);

/*
 * The same, and what has to be tried: a file of its own (".probe-PID") is
 * written, synced, renamed, read back and removed in each directory; one that
 * another process left more than an hour ago is removed.  Takes twenty syncs,
 * or "limit" milliseconds and one sync.
 */
void scc_probe_try(scc_audit_journal_t *j, unsigned limit);

/* The number of the disk of a local directory; 0: not to be seen. */
uint64_t scc_probe_dev(const char *dir);

/* Its file system, as scc_audit_dir_t's fs_type; 0: not to be seen. */
uint64_t scc_probe_fs(const char *dir);

/* Looks for the file a local Redis appends to; q->dir and the names of its
   files are known.  q->files stays false where it may not look. */
void scc_probe_queue(scc_audit_queue_t *q);

/* Seconds since the file was changed; UINT64_MAX: it is not there. */
uint64_t scc_probe_age(const char *path);

/* The marks of "sccctl ship" in c->dir. */
void scc_probe_copy(scc_audit_copy_t *c);


#endif /* _SCC_PROBE_H_INCLUDED_ */
