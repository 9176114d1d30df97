
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_disk.h"
#include "scc_contribution.h"


#define NGX_SCC_DISK_UUID  36


ngx_int_t
ngx_scc_disk_write(ngx_fd_t fd, const u_char *p, size_t size, off_t offset)
{
    ssize_t  n;

    while (size != 0) {
        n = pwrite(fd, p, size, offset);

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            return NGX_ERROR;
        }

        if (n == 0) {
            ngx_set_errno(NGX_ENOSPC);
            return NGX_ERROR;
        }

        p += n;
        size -= (size_t) n;
        offset += n;
    }

    return NGX_OK;
}


ngx_int_t
ngx_scc_disk_sync_dir(const char *dir)
{
    int        fd;
    ngx_err_t  err;

    fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return NGX_ERROR;
    }

    err = (fsync(fd) == -1) ? ngx_errno : 0;

    (void) close(fd);

    if (err) {
        ngx_set_errno(err);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_scc_disk_store(const ngx_str_t *dir, u_char store[16])
{
    u_char     path[NGX_MAX_PATH], text[NGX_SCC_DISK_UUID];
    ssize_t    n;
    ngx_fd_t   fd;
    scc_str_t  s;

    *ngx_snprintf(path, sizeof(path) - 1, "%V/store", dir) = '\0';

    fd = ngx_open_file(path, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, text, sizeof(text));

    (void) ngx_close_file(fd);

    s.len = sizeof(text);
    s.data = text;

    return (n == (ssize_t) sizeof(text)
            && scc_uuid_parse(s, store) == SCC_OK) ? NGX_OK : NGX_ERROR;
}
