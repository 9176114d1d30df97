
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "ngx_scc_contribute.h"
#include "ngx_scc_store.h"


/*
 * Who may take a contribution back: its own contributor, and moderators.
 * The store decides in the end, whatever order events come in: here those
 * are refused early of whom it is known.
 */

#define NGX_SCC_RIGHT_TIME  250         /* ms for the ledger to say whose */


static ngx_int_t ngx_scc_contribute_moderate(ngx_scc_contribute_t *c);
static ngx_int_t ngx_scc_contribute_stranger(ngx_scc_contribute_t *c);
static void ngx_scc_contribute_owner(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result);


ngx_int_t
ngx_scc_contribute_right(ngx_scc_contribute_t *c)
{
    u_char                    id[16];
    ngx_str_t                 text;
    ngx_scc_pg_status_t       status;
    ngx_scc_pending_entry_t   entry;

    switch (c->body.kind) {

    case SCC_KIND_REMOVE:
    case SCC_KIND_REINSTATE:
        return ngx_scc_contribute_moderate(c);

    case SCC_KIND_RETRACT:
    case SCC_KIND_RESTORE:
        break;

    default:
        return NGX_DECLINED;
    }

    if (scc_uuid_parse(c->body.target, id) != SCC_OK) {
        return NGX_DECLINED;
    }

    if (ngx_scc_pending_find(c->smcf->pending, id, &entry) == NGX_OK) {
        return (entry.sender
                == ngx_scc_pending_sender(&c->record.contributor_id))
               ? NGX_DECLINED : ngx_scc_contribute_stranger(c);
    }

    if (!ngx_scc_pg_ready(c->smcf->pg_pool)) {
        return NGX_DECLINED;
    }

    text.len = c->body.target.len;
    text.data = (u_char *) c->body.target.data;

    c->pg_call = ngx_scc_pg_query(c->smcf->pg_pool, &ngx_scc_store_event,
                                  &text, ngx_scc_contribute_owner, c,
                                  &status);
    if (c->pg_call == NULL) {
        return NGX_DECLINED;
    }

    c->step = NGX_SCC_STEP_RIGHT;

    return ngx_scc_contribute_until(c, ngx_current_msec
                                       + NGX_SCC_RIGHT_TIME);
}


static ngx_int_t
ngx_scc_contribute_moderate(ngx_scc_contribute_t *c)
{
    ngx_str_t  value;

    if (c->slcf->moderator != NULL) {

        if (ngx_http_complex_value(c->request, c->slcf->moderator, &value)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (value.len != 0 && (value.len != 1 || value.data[0] != '0')) {
            return NGX_DECLINED;
        }
    }

    return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_RIGHT,
                                     NGX_HTTP_FORBIDDEN,
                                     "only moderators remove and reinstate "
                                     "contributions; \"retract\" takes back "
                                     "your own, \"report\" tells of others'",
                                     NULL);
}


static ngx_int_t
ngx_scc_contribute_stranger(ngx_scc_contribute_t *c)
{
    return ngx_scc_contribute_reject(c, NGX_SCC_REJECT_RIGHT,
                                     NGX_HTTP_FORBIDDEN,
                                     "the contribution is somebody else's: "
                                     "only its contributor takes it back; "
                                     "send a \"report\"", NULL);
}


/* Unknown, or no answer: the store will judge when it has both. */

static void
ngx_scc_contribute_owner(void *data, ngx_scc_pg_status_t status,
    ngx_scc_pg_result_t *result)
{
    ngx_scc_contribute_t *c = data;

    ngx_str_t  owner;

    c->pg_call = NULL;

    if (status == NGX_SCC_PG_OK
        && ngx_scc_pg_value(result, 0, 2, &owner) == NGX_OK
        && (owner.len != c->record.contributor_id.len
            || ngx_memcmp(owner.data, c->record.contributor_id.data,
                          owner.len)
               != 0))
    {
        ngx_scc_contribute_finish(c, ngx_scc_contribute_stranger(c));
        return;
    }

    ngx_scc_contribute_finish(c, ngx_scc_contribute_start(c));
}
