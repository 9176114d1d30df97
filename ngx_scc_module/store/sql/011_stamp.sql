--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- Backups and drills that this store knows of.  Whoever makes backups says
-- so when one is finished:
--
--     SELECT scc.stamp_add('full', TIMESTAMPTZ '...began...', true, 'where')
--
-- 'backup' if it is not a full one; 'verify' when all of them were read again
-- and found good.  "sccctl drill" does it itself.  No segment of a journal is
-- deleted that no backup or drill covers.
--

SET ROLE scc_owner;

CREATE TABLE scc.stamp (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind      text NOT NULL CHECK (kind IN ('backup', 'full', 'verify',
                                             'drill')),
    began     timestamptz NOT NULL,     -- what was committed before is in it
    finished  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ok        bool NOT NULL,
    note      text NOT NULL DEFAULT '',
    CHECK (began <= finished + interval '1 hour')
);

CREATE INDEX stamp_kind ON scc.stamp (kind, finished);

CREATE TRIGGER refuse BEFORE TRUNCATE ON scc.stamp
    FOR EACH STATEMENT EXECUTE FUNCTION scc.refuse(
        'nothing here is ever emptied; delete single rows if you must');

CREATE FUNCTION scc.stamp_add(kind text, began timestamptz, ok bool,
    note text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO scc.stamp (kind, began, ok, note)
    VALUES (stamp_add.kind, stamp_add.began, stamp_add.ok,
            left(coalesce(stamp_add.note, ''), 4096))
$$;


REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;
GRANT SELECT ON scc.stamp TO scc_app;
GRANT EXECUTE ON FUNCTION scc.stamp_add(text, timestamptz, bool, text)
    TO scc_app;

RESET ROLE;
