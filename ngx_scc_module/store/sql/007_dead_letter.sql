--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- Dead letters that were applied after all stay, and say so.
--

SET ROLE scc_owner;


ALTER TABLE scc.dead_letter ADD COLUMN resolved_at timestamptz;

CREATE INDEX dead_letter_open ON scc.dead_letter (id)
    WHERE resolved_at IS NULL;


-- Resolved is a letter whose event is in the ledger, with the body that the
-- letter has.  Returns whether it is.

CREATE FUNCTION scc.resolve(letter bigint, body_sha256 bytea) RETURNS bool
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $$
BEGIN
    UPDATE scc.dead_letter d
    SET resolved_at = coalesce(d.resolved_at, clock_timestamp())
    FROM scc.contribution l
    WHERE d.id = resolve.letter
        AND l.event_id = d.event_id
        AND l.body_sha256 = resolve.body_sha256;

    RETURN FOUND;
END
$$;


REVOKE EXECUTE ON FUNCTION scc.resolve(bigint, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scc.resolve(bigint, bytea) TO scc_app;

RESET ROLE;
