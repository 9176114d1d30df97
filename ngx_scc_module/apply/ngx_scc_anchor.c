
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_anchor.h"
#include "ngx_scc_disk.h"


ngx_int_t
ngx_scc_anchor_read(const ngx_str_t *dir, scc_anchor_t *anchor,
    ngx_log_t *log)
{
    u_char     path[NGX_MAX_PATH], buf[SCC_ANCHOR_MAX + 1];
    ssize_t    n;
    ngx_fd_t   fd;
    scc_str_t  text;

    *ngx_snprintf(path, sizeof(path) - 1, "%V/" SCC_ANCHOR_FILE, dir) = '\0';

    fd = ngx_open_file(path, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {

        if (ngx_errno != NGX_ENOENT) {
            ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                          "scc: anchor \"%s\" cannot be opened; give it to "
                          "nginx's user", path);
        }

        return NGX_DECLINED;
    }

    n = ngx_read_fd(fd, buf, sizeof(buf));

    (void) ngx_close_file(fd);

    text.len = (n > 0) ? (size_t) n : 0;
    text.data = buf;

    if (scc_anchor_read(text, anchor) != SCC_OK) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "scc: anchor \"%s\" is damaged and left out of "
                      "account; another one, or the next that is written, "
                      "takes its place", path);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_int_t
ngx_scc_anchor_write(const ngx_str_t *dir, scc_str_t text, ngx_log_t *log)
{
    u_char     path[NGX_MAX_PATH], tmp[NGX_MAX_PATH];
    ngx_int_t  rc;
    ngx_fd_t   fd;

    *ngx_snprintf(path, sizeof(path) - 1, "%V/" SCC_ANCHOR_FILE, dir) = '\0';
    *ngx_snprintf(tmp, sizeof(tmp) - 1, "%V/" SCC_ANCHOR_FILE ".%P.tmp", dir,
                  ngx_pid) = '\0';

    fd = ngx_open_file(tmp, NGX_FILE_WRONLY, NGX_FILE_TRUNCATE,
                       NGX_FILE_DEFAULT_ACCESS);

    if (fd != NGX_INVALID_FILE) {
        rc = ngx_scc_disk_write(fd, text.data, text.len, 0);

        if (rc == NGX_OK && fsync(fd) == -1) {
            rc = NGX_ERROR;
        }

        if (ngx_close_file(fd) != NGX_FILE_ERROR
            && rc == NGX_OK
            && ngx_rename_file(tmp, path) != NGX_FILE_ERROR
            && ngx_scc_disk_sync_dir((char *) dir->data) == NGX_OK)
        {
            return NGX_OK;
        }
    }

    ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                  "scc: anchor \"%s\" could not be written; after the next "
                  "start less is known of the store; look at the disk", path);

    (void) ngx_delete_file(tmp);

    return NGX_ERROR;
}


/* A store that was not believed is not, until it is looked at. */

void
ngx_scc_anchor_load(ngx_scc_guard_t *guard, ngx_log_t *log)
{
    ngx_uint_t               i;
    scc_anchor_t             anchor, all;
    ngx_scc_guard_shared_t  *sh;

    sh = guard->sh;

    if (sh->loaded) {
        return;
    }

    sh->loaded = 1;
    sh->has_journal = (ngx_scc_anchor_journal(guard, sh->journal) == NGX_OK);

    for (i = 0; i < guard->n_dirs; i++) {

        if (ngx_scc_anchor_read(&guard->dirs[i], &anchor, log) != NGX_OK) {
            continue;
        }

        if (sh->has_journal
            && ngx_memcmp(anchor.high.store, sh->journal, 16) != 0)
        {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "scc: the anchor in \"%V\" is not of the store "
                          "that the journal belongs to, and is left out of "
                          "account; remove it", &guard->dirs[i]);
            continue;
        }

        if (!sh->known) {
            all = anchor;
            sh->known = 1;

        } else if (scc_anchor_merge(&all, &anchor) != SCC_OK) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "scc: the anchor in \"%V\" is of another store "
                          "than that in \"%V\", and is left out of account; "
                          "remove the one that is wrong", &guard->dirs[i],
                          &guard->dirs[0]);
        }
    }

    if (!sh->known) {
        return;
    }

    sh->anchor = all;

    if (all.verdict.state == SCC_GUARD_STALE) {
        sh->anchor.verdict.state = SCC_GUARD_HEALTHY;
        sh->anchor.verdict.reason = SCC_GUARD_NONE;
    }

    sh->state = sh->anchor.verdict.state;
    sh->reason = sh->anchor.verdict.reason;
    sh->wanted = (sh->state == SCC_GUARD_REWOUND);
}


ngx_int_t
ngx_scc_anchor_journal(ngx_scc_guard_t *guard, u_char store[16])
{
    return (guard->n_journal != 0
            && ngx_scc_disk_store(&guard->dirs[0], store) == NGX_OK)
           ? NGX_OK : NGX_DECLINED;
}
