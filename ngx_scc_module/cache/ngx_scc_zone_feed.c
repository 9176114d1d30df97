
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_scc_zone_int.h"


/*
 * What the feed does to the zone.  The order of its steps, and what each
 * is for, is in README.md and checked by tests/model.
 */

#define NGX_SCC_ZONE_CHANGES  64        /* under one lock */


void
ngx_scc_zone_round(ngx_scc_zone_t *zone, ngx_scc_zone_round_t *round)
{
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;

    ngx_scc_zone_lock(zone);

    round->began = ngx_scc_zone_now();
    round->epoch = sh->epoch;
    round->silence = sh->silence;
    round->since = sh->since;
    round->told = sh->told;

    ngx_scc_zone_unlock(zone);
}


ngx_int_t
ngx_scc_zone_identify(ngx_scc_zone_t *zone, ngx_scc_zone_round_t *round,
    ngx_str_t *identity)
{
    ngx_int_t               rc;
    ngx_scc_zone_shared_t  *sh;

    if (identity->len > NGX_SCC_ZONE_IDENTITY) {
        return NGX_DECLINED;
    }

    sh = zone->sh;
    rc = NGX_OK;

    ngx_scc_zone_lock(zone);

    if (round->epoch != sh->epoch) {
        rc = NGX_DECLINED;

    } else if (identity->len != sh->identity_len
               || ngx_memcmp(identity->data, sh->identity, identity->len)
                  != 0)
    {
        /* versions and transaction ids compare only within one store */

        rc = (sh->identity_len == 0) ? NGX_OK : NGX_DECLINED;

        ngx_memcpy(sh->identity, identity->data, identity->len);
        sh->identity_len = identity->len;

        ngx_scc_zone_move(sh);

        sh->since = 0;
        sh->fresh_until = 0;
        sh->told = 0;
        sh->silence++;
        sh->epoch++;

        round->epoch = sh->epoch;
        round->silence = sh->silence;
        round->told = 0;
    }

    ngx_scc_zone_unlock(zone);

    return rc;
}


void
ngx_scc_zone_change(ngx_scc_zone_t *zone, ngx_scc_zone_round_t *round,
    const ngx_scc_zone_change_t *changes, ngx_uint_t n, ngx_uint_t told)
{
    ngx_uint_t              i, end;
    ngx_scc_zone_entry_t   *e;
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;

    i = 0;

    while (i < n) {
        end = ngx_min(n, i + NGX_SCC_ZONE_CHANGES);

        ngx_scc_zone_lock(zone);

        ngx_scc_zone_move(sh);

        if (i == 0 && !told) {

            if (round->silence == sh->silence) {
                round->silence++;
            }

            sh->silence++;
            sh->told = 0;
        }

        for ( /* void */ ; i < end; i++) {

            sh->gens[ngx_scc_zone_hash(changes[i].cell) & sh->gens_mask]++;

            e = ngx_scc_zone_find(sh, changes[i].cell);

            if (e != NULL && !e->old && e->blob.ver < changes[i].ver) {
                e->old = 1;
                e->until = sh->fresh_until;
                sh->stat.marked++;
            }
        }

        ngx_scc_zone_unlock(zone);
    }
}


void
ngx_scc_zone_vouch(ngx_scc_zone_t *zone, ngx_scc_zone_round_t *round,
    uint64_t next, ngx_msec_t bound)
{
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;

    ngx_scc_zone_lock(zone);

    if (round->epoch == sh->epoch) {
        sh->since = next;
        sh->fresh_until = ngx_max(sh->fresh_until, round->began + bound);
        sh->bound = bound;
    }

    ngx_scc_zone_unlock(zone);
}


void
ngx_scc_zone_told(ngx_scc_zone_t *zone, ngx_scc_zone_round_t *round)
{
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;

    ngx_scc_zone_lock(zone);

    /* unless a change has gone past Redis since the round began */

    if (round->epoch == sh->epoch && round->silence == sh->silence) {
        sh->told = 1;
    }

    ngx_scc_zone_unlock(zone);
}


void
ngx_scc_zone_untold(ngx_scc_zone_t *zone)
{
    ngx_scc_zone_lock(zone);

    zone->sh->told = 0;
    zone->sh->silence++;

    ngx_scc_zone_unlock(zone);
}


void
ngx_scc_zone_reap(ngx_scc_zone_t *zone)
{
    ngx_pid_t               pid;
    ngx_uint_t              i;
    ngx_scc_zone_shared_t  *sh;

    sh = zone->sh;

    for (i = 0; i < NGX_SCC_ZONE_PROCS; i++) {
        pid = sh->procs[i];

        if (pid == 0 || kill(pid, 0) == 0 || ngx_errno != ESRCH) {
            continue;
        }

        ngx_scc_zone_lock(zone);

        if (sh->procs[i] == pid) {
            ngx_scc_zone_sweep(sh, i);
            sh->procs[i] = 0;
        }

        ngx_scc_zone_unlock(zone);
    }
}
