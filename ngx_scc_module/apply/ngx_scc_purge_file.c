
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_purge_file.h"


/* "1 4711 uuid/epoch/system\n": version, transaction id, the store */

#define NGX_SCC_PURGE_LINE  (NGX_SCC_PURGE_IDENTITY + NGX_INT64_LEN + 8)


void
ngx_scc_purge_read(u_char *file, ngx_scc_purge_mark_t *mark)
{
    u_char    *p, *last, buf[NGX_SCC_PURGE_LINE];
    off_t      since;
    ssize_t    n;
    ngx_fd_t   fd;

    fd = ngx_open_file(file, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        return;
    }

    n = ngx_read_fd(fd, buf, sizeof(buf));

    (void) ngx_close_file(fd);

    if (n < 4 || buf[0] != '1' || buf[1] != ' ' || buf[n - 1] != LF) {
        return;
    }

    last = buf + n - 1;
    p = ngx_strlchr(buf + 2, last, ' ');

    if (p == NULL || last - p - 1 > NGX_SCC_PURGE_IDENTITY) {
        return;
    }

    since = ngx_atoof(buf + 2, p - buf - 2);

    if (since <= 0) {
        return;
    }

    p++;

    mark->since = (uint64_t) since;
    mark->identity_len = last - p;
    ngx_memcpy(mark->identity, p, last - p);
}


ngx_int_t
ngx_scc_purge_write(u_char *file, u_char *tmp,
    const ngx_scc_purge_mark_t *mark)
{
    u_char    *p, buf[NGX_SCC_PURGE_LINE];
    ssize_t    n;
    ngx_fd_t   fd;

    p = ngx_sprintf(buf, "1 %uL %*s\n", mark->since, mark->identity_len,
                    mark->identity);

    fd = ngx_open_file(tmp, NGX_FILE_WRONLY, NGX_FILE_TRUNCATE,
                       NGX_FILE_DEFAULT_ACCESS);

    if (fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    n = ngx_write_fd(fd, buf, p - buf);

    if (ngx_close_file(fd) == NGX_FILE_ERROR || n != p - buf) {
        return NGX_ERROR;
    }

    return (ngx_rename_file(tmp, file) == NGX_FILE_ERROR) ? NGX_ERROR
                                                          : NGX_OK;
}
