
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_NET_TEST_H_INCLUDED_
#define _NGX_SCC_NET_TEST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_scc_redis.h"
#include "ngx_scc_pg.h"


typedef struct {
    ngx_scc_redis_conf_t     redis;
    ngx_scc_pg_conf_t        pg;
    ngx_array_t              scripts;   /* ngx_scc_redis_script_t * */
    ngx_array_t              stmts;     /* ngx_scc_pg_stmt_t * */
} ngx_scc_net_main_conf_t;


void *ngx_scc_net_create_main_conf(ngx_conf_t *cf);
char *ngx_scc_net_init_main_conf(ngx_conf_t *cf, void *conf);
char *ngx_scc_net_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_net_script(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_net_pg(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_scc_net_statement(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_SCC_NET_TEST_H_INCLUDED_ */
