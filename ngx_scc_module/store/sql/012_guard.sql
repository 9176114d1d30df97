--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- What the store says of itself with every answer, so that an empty, foreign
-- or older one is noticed by who reads it (core/scc_guard.h).
--

SET ROLE scc_owner;


-- How many rows there are, kept by triggers: by the writers' own transaction,
-- and so true in every snapshot.  A table that lost its rows in any other way
-- contradicts it.  hlc: the greatest of the ledger; removals: the events that
-- take a place away.

CREATE TABLE scc.tally (
    events                    bigint NOT NULL,
    removals                  bigint NOT NULL,
    hlc                       bigint NOT NULL,
    places                    bigint NOT NULL,
    place_accessibilities     bigint NOT NULL,
    buildings                 bigint NOT NULL,
    building_accessibilities  bigint NOT NULL,
    contributors              bigint NOT NULL,
    only_row                  bool PRIMARY KEY DEFAULT true CHECK (only_row)
) WITH (fillfactor = 10);               -- it changes all the time

INSERT INTO scc.tally
SELECT l.n, l.removals, l.hlc,
    (SELECT count(*) FROM scc.place),
    (SELECT count(*) FROM scc.place_accessibility),
    (SELECT count(*) FROM scc.building),
    (SELECT count(*) FROM scc.building_accessibility),
    (SELECT count(*) FROM scc.contributor)
FROM (SELECT count(*) AS n,
          count(*) FILTER (WHERE kind IN ('retract', 'remove')) AS removals,
          coalesce(max(hlc), 0) AS hlc
      FROM scc.contribution) l;


CREATE FUNCTION scc.tally_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE scc.tally t
    SET events = t.events + w.n, removals = t.removals + w.removals,
        hlc = greatest(t.hlc, w.hlc)
    FROM (SELECT count(*) AS n,
              count(*) FILTER (WHERE kind IN ('retract', 'remove'))
                  AS removals,
              max(hlc) AS hlc
          FROM new_rows) w
    WHERE w.n > 0;

    RETURN NULL;
END
$$;

CREATE FUNCTION scc.tally_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    d  bigint;
BEGIN
    IF TG_OP = 'INSERT' THEN
        d := (SELECT count(*) FROM new_rows);
    ELSE
        d := (SELECT -count(*) FROM old_rows);
    END IF;

    IF d <> 0 THEN
        UPDATE scc.tally t
        SET places = t.places
                + CASE TG_TABLE_NAME WHEN 'place' THEN d ELSE 0 END,
            place_accessibilities = t.place_accessibilities
                + CASE TG_TABLE_NAME WHEN 'place_accessibility'
                  THEN d ELSE 0 END,
            buildings = t.buildings
                + CASE TG_TABLE_NAME WHEN 'building' THEN d ELSE 0 END,
            building_accessibilities = t.building_accessibilities
                + CASE TG_TABLE_NAME WHEN 'building_accessibility'
                  THEN d ELSE 0 END,
            contributors = t.contributors
                + CASE TG_TABLE_NAME WHEN 'contributor' THEN d ELSE 0 END;
    END IF;

    RETURN NULL;
END
$$;

CREATE TRIGGER tally AFTER INSERT ON scc.contribution
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION scc.tally_events();

DO $$
DECLARE
    t  text;
BEGIN
    FOREACH t IN ARRAY ARRAY['place', 'place_accessibility', 'building',
                             'building_accessibility', 'contributor']
    LOOP
        EXECUTE format('CREATE TRIGGER tally AFTER INSERT ON scc.%I '
            'REFERENCING NEW TABLE AS new_rows '
            'FOR EACH STATEMENT EXECUTE FUNCTION scc.tally_rows()', t);
        EXECUTE format('CREATE TRIGGER tally_deleted AFTER DELETE ON scc.%I '
            'REFERENCING OLD TABLE AS old_rows '
            'FOR EACH STATEMENT EXECUTE FUNCTION scc.tally_rows()', t);
    END LOOP;
END
$$;

CREATE TRIGGER refuse
    BEFORE DELETE OR TRUNCATE ON scc.tally
    FOR EACH STATEMENT EXECUTE FUNCTION scc.refuse(
        'the tally is what tells a store that lost its rows');


-- A bit per table without any row that the counters say is not empty.  By
-- the smallest key: an index whose dead rows nobody piles up.

CREATE FUNCTION scc.hollow() RETURNS int
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT CASE WHEN t.events > 0
                    AND (SELECT event_id FROM scc.contribution
                         ORDER BY event_id LIMIT 1) IS NULL
               THEN 1 ELSE 0 END
            + CASE WHEN t.places > 0
                    AND (SELECT id FROM scc.place
                         ORDER BY id LIMIT 1) IS NULL
              THEN 2 ELSE 0 END
            + CASE WHEN t.place_accessibilities > 0
                    AND (SELECT place_id FROM scc.place_accessibility
                         ORDER BY place_id LIMIT 1) IS NULL
              THEN 4 ELSE 0 END
            + CASE WHEN t.buildings > 0
                    AND (SELECT id FROM scc.building
                         ORDER BY id LIMIT 1) IS NULL
              THEN 8 ELSE 0 END
            + CASE WHEN t.building_accessibilities > 0
                    AND (SELECT building_id FROM scc.building_accessibility
                         ORDER BY building_id LIMIT 1) IS NULL
              THEN 16 ELSE 0 END
            + CASE WHEN t.contributors > 0
                    AND (SELECT id FROM scc.contributor
                         ORDER BY id LIMIT 1) IS NULL
              THEN 32 ELSE 0 END
            + CASE WHEN t.places > 0
                    AND (SELECT cell FROM scc.cell
                         ORDER BY cell LIMIT 1) IS NULL
              THEN 64 ELSE 0 END
            + CASE WHEN EXISTS (SELECT FROM scc.counter WHERE value > 0)
                    AND (SELECT number FROM scc.number
                         ORDER BY kind, number LIMIT 1) IS NULL
              THEN 128 ELSE 0 END
        FROM scc.tally t);
END
$$;


-- The witness, as text (core/scc_guard.h), or NULL where there is no identity
-- or tally: a column of every statement that answers from the store, in its
-- snapshot.  plpgsql keeps the plan, which costs more than the rest.  A
-- TRUNCATE that comes after the snapshot is seen too: it waits for who has
-- looked at the table, and who looks after it finds nothing.

CREATE FUNCTION scc.witness() RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    master  bool := NOT pg_is_in_recovery();
BEGIN
    RETURN (
        SELECT concat_ws(' ', i.store_uuid, i.epoch, s.system_identifier,
            CASE WHEN master
                 THEN ('x' || left(pg_walfile_name(
                          pg_current_wal_flush_lsn()), 8))::bit(32)::int
                 ELSE (SELECT c.timeline_id FROM pg_control_checkpoint() c)
                 END,
            CASE WHEN master THEN pg_current_wal_flush_lsn()::text
                 ELSE '-' END,
            t.events, t.removals, t.places, t.contributors, t.hlc,
            scc.hollow())
        FROM scc.identity i CROSS JOIN scc.tally t
            CROSS JOIN pg_control_system() s);
END
$$;


-- Anchors (core/scc_anchor.h), one of each host of nginx: one of the places
-- where it is kept how far this store had come.

CREATE TABLE scc.anchor (
    host  text COLLATE "C" PRIMARY KEY
              CHECK (octet_length(host) BETWEEN 1 AND 256),
    body  text NOT NULL CHECK (octet_length(body) <= 1024),
    at    timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

GRANT INSERT, UPDATE ON scc.anchor TO scc_app;

CREATE TRIGGER refuse
    BEFORE TRUNCATE ON scc.anchor
    FOR EACH STATEMENT EXECUTE FUNCTION scc.refuse(
        'anchors are what tells a store that went back');


-- Whether the ledger says that there is this place, and the projection does
-- not.  Asked of places that are not there, before anybody is told so.

CREATE FUNCTION scc.place_lost(id text) RETURNS bool
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $$
    SELECT NOT EXISTS (SELECT FROM scc.place p
                       WHERE p.id = place_lost.id COLLATE "C")
        AND NOT EXISTS (SELECT FROM scc.removed r
                        WHERE r.id = place_lost.id COLLATE "C")
        AND EXISTS (SELECT FROM scc.contribution l
                    WHERE l.target = place_lost.id COLLATE "C"
                        AND l.kind = 'place'
                        AND NOT scc.hidden(l.event_id, l.contributor_id))
$$;


-- How many places some cells count, and how many there are.  Cells after
-- "after" in the order of their key, from the beginning again at the end.

CREATE FUNCTION scc.cells_sample(after bigint, most int,
    OUT last bigint, OUT due bigint, OUT there bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off AS $$
    SELECT CASE WHEN count(*) < cells_sample.most THEN -1
                ELSE max(s.cell) END,
        coalesce(sum(s.n), 0)::bigint, coalesce(sum(s.there), 0)::bigint
    FROM (SELECT c.cell, c.n,
              least(c.n, (SELECT count(*) FROM scc.place p
                          WHERE p.cell = c.cell AND NOT p.is_closed))
                  AS there
          FROM scc.cell c
          WHERE c.cell > cells_sample.after
          ORDER BY c.cell
          LIMIT cells_sample.most) s
$$;


REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scc.hollow(), scc.witness(), scc.place_lost(text),
    scc.cells_sample(bigint, int)
    TO scc_app;

RESET ROLE;
