--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- Contributions of every kind: comments, reports, corrections of earlier
-- contributions, erasure of a contributor; order numbers.
--

SET ROLE scc_owner;


ALTER TABLE scc.contribution
    DROP CONSTRAINT contribution_kind,
    ADD CONSTRAINT contribution_kind CHECK (kind IN ('place', 'building',
        'place_accessibility', 'building_accessibility', 'comment', 'report',
        'retract', 'restore', 'contributor', 'erase'));

-- What was said of a target: asked when the newest word is retracted.

CREATE INDEX contribution_about ON scc.contribution (target)
    WHERE kind IN ('place', 'building', 'contributor');

-- The names that came with contributions: asked when they are erased.

CREATE INDEX contribution_named ON scc.contribution (contributor_id)
    WHERE contributor_name IS NOT NULL;


-- The newest retract or restore of each event, known already or not.

CREATE TABLE scc.retraction (
    event_id   uuid PRIMARY KEY,
    retracted  bool NOT NULL,
    hlc        bigint NOT NULL,
    by_event   uuid NOT NULL
);


-- Events that are not retracted, a row each.

CREATE TABLE scc.comment (
    event_id        uuid PRIMARY KEY,
    place_id        text COLLATE "C",
    building_id     text COLLATE "C",
    comment         text NOT NULL,
    contributor_id  text NOT NULL COLLATE "C",
    hlc             bigint NOT NULL,

    CONSTRAINT comment_of_one CHECK (num_nonnulls(place_id, building_id) = 1)
);

CREATE INDEX comment_place ON scc.comment (place_id, hlc)
    WHERE place_id IS NOT NULL;
CREATE INDEX comment_building ON scc.comment (building_id, hlc)
    WHERE building_id IS NOT NULL;

CREATE TABLE scc.report (
    event_id        uuid PRIMARY KEY,
    place_id        text NOT NULL COLLATE "C",
    reason          text NOT NULL COLLATE "C",
    detail          text,
    contributor_id  text NOT NULL COLLATE "C",
    hlc             bigint NOT NULL,

    CONSTRAINT report_reason
        CHECK (reason IN ('INACCURATE_INFO', 'CLOSED', 'BAD_USER'))
);

CREATE INDEX report_closed ON scc.report (place_id, hlc, event_id)
    WHERE reason = 'CLOSED';


-- Numbers that only rise, written under scc.write_lock().  A contributor's
-- order and a place's registration are given once and never again; what a
-- removed row had is kept for its return.

CREATE TABLE scc.counter (
    name   text COLLATE "C" PRIMARY KEY,
    value  bigint NOT NULL
);

CREATE TABLE scc.removed (
    kind    text NOT NULL COLLATE "C",
    id      text NOT NULL COLLATE "C",
    number  bigint NOT NULL,            -- revision, or registration number
    PRIMARY KEY (id, kind)
);

ALTER TABLE scc.contributor
    ADD COLUMN order_no bigint UNIQUE,
    ADD COLUMN erased_hlc bigint;       -- names not newer than it are gone

CREATE INDEX contributor_erased ON scc.contributor (id)
    WHERE erased_hlc IS NOT NULL;

ALTER TABLE scc.place_accessibility ADD COLUMN registration_no bigint;

ALTER TABLE scc.contributor DISABLE TRIGGER USER;
ALTER TABLE scc.place_accessibility DISABLE TRIGGER USER;

UPDATE scc.contributor c
SET order_no = n.order_no
FROM (SELECT f.contributor_id,
          row_number() OVER (ORDER BY f.hlc, f.event_id) AS order_no
      FROM (SELECT DISTINCT ON (l.contributor_id)
                l.contributor_id, l.hlc, l.event_id
            FROM scc.contribution l
            WHERE l.kind IN ('place_accessibility', 'building_accessibility')
            ORDER BY l.contributor_id, l.hlc, l.event_id) f) n
WHERE c.id = n.contributor_id;

UPDATE scc.place_accessibility a
SET registration_no = n.registration_no
FROM (SELECT t.place_id,
          row_number() OVER (ORDER BY f.hlc, t.place_id) AS registration_no
      FROM scc.place_accessibility t
      LEFT JOIN (SELECT l.target, min(l.hlc) AS hlc
                 FROM scc.contribution l
                 WHERE l.kind = 'place_accessibility'
                 GROUP BY l.target) f ON f.target = t.place_id) n
WHERE a.place_id = n.place_id;

ALTER TABLE scc.contributor ENABLE TRIGGER USER;
ALTER TABLE scc.place_accessibility ENABLE TRIGGER USER;

INSERT INTO scc.counter (name, value)
SELECT 'contributor', coalesce(max(order_no), 0) FROM scc.contributor
UNION ALL
SELECT 'registration', coalesce(max(registration_no), 0)
    FROM scc.place_accessibility;


CREATE FUNCTION scc.keep_number() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_TABLE_NAME = 'place' THEN
        INSERT INTO scc.removed AS r (kind, id, number)
        SELECT 'place', o.id, o.rev FROM old_rows o
        ON CONFLICT (id, kind) DO UPDATE
            SET number = greatest(r.number, excluded.number);

    ELSE
        INSERT INTO scc.removed AS r (kind, id, number)
        SELECT 'place_accessibility', o.place_id, o.registration_no
        FROM old_rows o WHERE o.registration_no IS NOT NULL
        ON CONFLICT (id, kind) DO NOTHING;
    END IF;

    RETURN NULL;
END
$$;

CREATE TRIGGER deleted_number AFTER DELETE ON scc.place
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION scc.keep_number();

CREATE TRIGGER deleted_number AFTER DELETE ON scc.place_accessibility
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION scc.keep_number();


-- The ledger only grows, but who wants to be forgotten is: names and keys
-- become NULL, a contributor event loses the name in its body.  Its
-- body_sha256 stays that of the bytes received.

CREATE FUNCTION scc.nameless(body text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (body::jsonb - 'displayName')::text
$$;

CREATE FUNCTION scc.refuse_but_erasure() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.event_id, NEW.hlc, NEW.received_at, NEW.applied_at,
        NEW.segment_id, NEW.schema_ver, NEW.kind, NEW.target,
        NEW.contributor_id, NEW.body_sha256)
       IS NOT DISTINCT FROM
       (OLD.event_id, OLD.hlc, OLD.received_at, OLD.applied_at,
        OLD.segment_id, OLD.schema_ver, OLD.kind, OLD.target,
        OLD.contributor_id, OLD.body_sha256)
       AND (NEW.contributor_name IS NULL
            OR NEW.contributor_name = OLD.contributor_name)
       AND (NEW.idem_key IS NULL OR NEW.idem_key = OLD.idem_key)
       AND (NEW.body = OLD.body
            OR OLD.kind = 'contributor'
               AND NEW.body = scc.nameless(OLD.body))
       AND (NEW.contributor_name, NEW.idem_key, NEW.body)
           IS DISTINCT FROM (OLD.contributor_name, OLD.idem_key, OLD.body)
    THEN
        RETURN NEW;
    END IF;

    RAISE EXCEPTION 'UPDATE of scc.contribution: refused, the ledger only '
        'grows; a correction is a new contribution'
        USING ERRCODE = 'insufficient_privilege';
END
$$;

DROP TRIGGER refuse ON scc.contribution;

CREATE TRIGGER refuse
    BEFORE DELETE OR TRUNCATE ON scc.contribution
    FOR EACH STATEMENT EXECUTE FUNCTION scc.refuse(
        'the ledger only grows; a correction is a new contribution');

CREATE TRIGGER refuse_update
    BEFORE UPDATE ON scc.contribution
    FOR EACH ROW EXECUTE FUNCTION scc.refuse_but_erasure();

-- A dead letter's record (core/scc_journal.h): whose it is.  NULL if it is
-- none.

CREATE FUNCTION scc.letter_sender(raw bytea, OUT contributor_id text,
    OUT hlc bigint)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    start  int;
    len    int;
BEGIN
    IF length(raw) < 88 THEN
        RETURN;
    END IF;

    start := 88 + get_byte(raw, 12) + (get_byte(raw, 13) << 8)
                + get_byte(raw, 14) + (get_byte(raw, 15) << 8);
    len := get_byte(raw, 16) + (get_byte(raw, 17) << 8);

    IF start + len > length(raw) THEN
        RETURN;
    END IF;

    contributor_id := convert_from(substr(raw, start + 1, len), 'UTF8');
    hlc := 0;

    FOR i IN REVERSE 31 .. 24 LOOP
        hlc := hlc << 8 | get_byte(raw, i);
    END LOOP;

EXCEPTION WHEN data_exception THEN
    contributor_id := NULL;
END
$$;

CREATE FUNCTION scc.erase(contributor_id text, until bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    UPDATE scc.contribution l
    SET body = scc.nameless(l.body)
    WHERE l.target = erase.contributor_id COLLATE "C"
        AND l.kind = 'contributor' AND l.hlc <= erase.until
        AND l.body::jsonb ? 'displayName';

    UPDATE scc.contribution l SET contributor_name = NULL, idem_key = NULL
    WHERE l.contributor_id = erase.contributor_id COLLATE "C"
        AND l.contributor_name IS NOT NULL AND l.hlc <= erase.until;

    UPDATE scc.contribution l SET contributor_name = NULL, idem_key = NULL
    WHERE l.contributor_id = erase.contributor_id COLLATE "C"
        AND l.idem_key IS NOT NULL AND l.hlc <= erase.until;

    UPDATE scc.dead_letter d SET raw = '', reason = 'erased'
    FROM scc.dead_letter o CROSS JOIN LATERAL scc.letter_sender(o.raw) s
    WHERE d.id = o.id AND s.contributor_id = erase.contributor_id
        AND s.hlc <= erase.until;
END
$$;


-- The projections' writers.  Arrays hold an event per element, kinds mixed;
-- each writer takes its own kind.  With "force" the event replaces what is
-- there, though it be older: what was there is retracted.

CREATE TYPE scc.comment_body AS (
    "placeId" text, "buildingId" text, comment text);

CREATE TYPE scc.report_body AS ("placeId" text, reason text, detail text);


CREATE FUNCTION scc.project_building(ids uuid[], hlcs bigint[],
    kinds text[], cids text[], doc jsonb[], force bool) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan SET work_mem = '64MB' AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO scc.building AS t (id, name, address, lon_e7, lat_e7,
        contributor_id, hlc, event_id)
    SELECT (p.b)."buildingId", (p.b).name, (p.b).address,
        round(((p.b).location).lng * 10000000)::int,
        round(((p.b).location).lat * 10000000)::int,
        p.contributor_id, p.hlc, p.event_id
    FROM (SELECT jsonb_populate_record(NULL::scc.building_body, w.doc)
              AS b, w.contributor_id, w.hlc, w.event_id
          FROM (SELECT DISTINCT ON (u.target) u.*
                FROM (SELECT e.*, (e.doc ->> 'buildingId') COLLATE "C"
                          AS target
                      FROM unnest(ids, hlcs, kinds, cids, doc)
                          AS e(event_id, hlc, kind, contributor_id, doc)
                      WHERE e.kind = 'building') u
                ORDER BY u.target, u.hlc DESC, u.event_id DESC) w
          OFFSET 0) p
    ON CONFLICT (id) DO UPDATE SET
        name = excluded.name,
        address = excluded.address,
        lon_e7 = excluded.lon_e7,
        lat_e7 = excluded.lat_e7,
        contributor_id = excluded.contributor_id,
        hlc = excluded.hlc,
        event_id = excluded.event_id
    WHERE force OR (t.hlc, t.event_id) < (excluded.hlc, excluded.event_id);
END
$$;


-- Returns how many rows were written.

CREATE FUNCTION scc.project_building_accessibility(ids uuid[],
    hlcs bigint[], kinds text[], cids text[], doc jsonb[], force bool)
    RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    won  bigint;
BEGIN
    INSERT INTO scc.building_accessibility AS t (building_id,
        entrance_stair_info, entrance_stair_height_level,
        entrance_door_types, has_slope, has_elevator,
        elevator_stair_info, elevator_stair_height_level, image_urls,
        contributor_id, hlc, event_id)
    SELECT (p.b)."buildingId", (p.b)."entranceStairInfo",
        (p.b)."entranceStairHeightLevel", (p.b)."entranceDoorTypes",
        (p.b)."hasSlope", (p.b)."hasElevator",
        (p.b)."elevatorStairInfo", (p.b)."elevatorStairHeightLevel",
        (p.b)."imageUrls", p.contributor_id, p.hlc, p.event_id
    FROM (SELECT jsonb_populate_record(
                     NULL::scc.building_accessibility_body, w.doc) AS b,
              w.contributor_id, w.hlc, w.event_id
          FROM (SELECT DISTINCT ON (u.target) u.*
                FROM (SELECT e.*, (e.doc ->> 'buildingId') COLLATE "C"
                          AS target
                      FROM unnest(ids, hlcs, kinds, cids, doc)
                          AS e(event_id, hlc, kind, contributor_id, doc)
                      WHERE e.kind = 'building_accessibility') u
                ORDER BY u.target, u.hlc DESC, u.event_id DESC) w
          OFFSET 0) p
    ON CONFLICT (building_id) DO UPDATE SET
        entrance_stair_info = excluded.entrance_stair_info,
        entrance_stair_height_level =
            excluded.entrance_stair_height_level,
        entrance_door_types = excluded.entrance_door_types,
        has_slope = excluded.has_slope,
        has_elevator = excluded.has_elevator,
        elevator_stair_info = excluded.elevator_stair_info,
        elevator_stair_height_level =
            excluded.elevator_stair_height_level,
        image_urls = excluded.image_urls,
        contributor_id = excluded.contributor_id,
        hlc = excluded.hlc,
        event_id = excluded.event_id
    WHERE force OR (t.hlc, t.event_id) < (excluded.hlc, excluded.event_id);

    GET DIAGNOSTICS won = ROW_COUNT;
    RETURN won;
END
$$;


-- As above.  A place that had none gets the next registration number.

CREATE FUNCTION scc.project_place_accessibility(ids uuid[], hlcs bigint[],
    kinds text[], cids text[], doc jsonb[], force bool) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    base  bigint;
    top   bigint;
    won   bigint;
BEGIN
    SELECT value INTO base FROM scc.counter WHERE name = 'registration';

    WITH written AS (
        INSERT INTO scc.place_accessibility AS t (place_id, floors,
            is_first_floor, is_stair_only_option, stair_info,
            stair_height_level, has_slope, entrance_door_types, image_urls,
            contributor_id, hlc, event_id, registration_no)
        SELECT (p.b)."placeId", (p.b).floors, (p.b)."isFirstFloor",
            (p.b)."isStairOnlyOption", (p.b)."stairInfo",
            (p.b)."stairHeightLevel", (p.b)."hasSlope",
            (p.b)."entranceDoorTypes", (p.b)."imageUrls",
            p.contributor_id, p.hlc, p.event_id,
            coalesce(a.registration_no, r.number, base + count(*)
                FILTER (WHERE coalesce(a.registration_no, r.number) IS NULL)
                OVER (ORDER BY p.hlc, p.event_id))
        FROM (SELECT jsonb_populate_record(
                         NULL::scc.place_accessibility_body, w.doc) AS b,
                  w.contributor_id, w.hlc, w.event_id
              FROM (SELECT DISTINCT ON (u.target) u.*
                    FROM (SELECT e.*, (e.doc ->> 'placeId') COLLATE "C"
                              AS target
                          FROM unnest(ids, hlcs, kinds, cids, doc)
                              AS e(event_id, hlc, kind, contributor_id, doc)
                          WHERE e.kind = 'place_accessibility') u
                    ORDER BY u.target, u.hlc DESC, u.event_id DESC) w
              OFFSET 0) p
        LEFT JOIN scc.place_accessibility a ON a.place_id = (p.b)."placeId"
        LEFT JOIN scc.removed r ON r.id = (p.b)."placeId"
            AND r.kind = 'place_accessibility'
        ON CONFLICT (place_id) DO UPDATE SET
            floors = excluded.floors,
            is_first_floor = excluded.is_first_floor,
            is_stair_only_option = excluded.is_stair_only_option,
            stair_info = excluded.stair_info,
            stair_height_level = excluded.stair_height_level,
            has_slope = excluded.has_slope,
            entrance_door_types = excluded.entrance_door_types,
            image_urls = excluded.image_urls,
            contributor_id = excluded.contributor_id,
            hlc = excluded.hlc,
            event_id = excluded.event_id,
            registration_no = excluded.registration_no
        WHERE force
            OR (t.hlc, t.event_id) < (excluded.hlc, excluded.event_id)
        RETURNING t.registration_no)
    SELECT count(*), max(registration_no) INTO won, top FROM written;

    IF top > base THEN
        UPDATE scc.counter SET value = top WHERE name = 'registration';
    END IF;

    RETURN won;
END
$$;


-- A place is closed if its document says so, or a report newer than that.

CREATE FUNCTION scc.project_place(ids uuid[], hlcs bigint[], kinds text[],
    doc jsonb[], force bool) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan SET work_mem = '64MB' AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO scc.place AS t (id, name, category, address, source,
        extra, building_id, synthetic, is_closed, lon_e7, lat_e7, hlc,
        event_id, rev, registered, level)
    SELECT (p.b)."placeId", (p.b).name, (p.b).category, (p.b).address,
        (p.b).source, (p.b).extra, (p.b)."buildingId",
        coalesce((p.b).synthetic, false),
        coalesce((p.b)."isClosed", false)
            OR EXISTS (SELECT FROM scc.report c
                       WHERE c.place_id = (p.b)."placeId"
                           AND c.reason = 'CLOSED'
                           AND (c.hlc, c.event_id) > (p.hlc, p.event_id)),
        round(((p.b).location).lng * 10000000)::int,
        round(((p.b).location).lat * 10000000)::int,
        p.hlc, p.event_id, coalesce(r.number, 0) + 1,

        -- known already if the accessibility came first or with it
        a.place_id IS NOT NULL,
        CASE WHEN a.place_id IS NOT NULL THEN
            scc.level(true, a.is_first_floor, a.stair_info, a.has_slope,
                b.building_id IS NOT NULL, b.has_slope, b.has_elevator,
                b.entrance_stair_info, b.elevator_stair_info) END
    FROM (SELECT jsonb_populate_record(NULL::scc.place_body, w.doc)
              AS b, w.hlc, w.event_id
          FROM (SELECT DISTINCT ON (u.target) u.*
                FROM (SELECT e.*, (e.doc ->> 'placeId') COLLATE "C"
                          AS target
                      FROM unnest(ids, hlcs, kinds, doc)
                          AS e(event_id, hlc, kind, doc)
                      WHERE e.kind = 'place') u
                ORDER BY u.target, u.hlc DESC, u.event_id DESC) w
          OFFSET 0) p
    LEFT JOIN scc.place_accessibility a ON a.place_id = (p.b)."placeId"
    LEFT JOIN scc.building_accessibility b
        ON b.building_id = (p.b)."buildingId"
    LEFT JOIN scc.removed r ON r.id = (p.b)."placeId" AND r.kind = 'place'
    ON CONFLICT (id) DO UPDATE SET
        name = excluded.name,
        category = excluded.category,
        address = excluded.address,
        source = excluded.source,
        extra = excluded.extra,
        building_id = excluded.building_id,
        synthetic = excluded.synthetic,
        is_closed = excluded.is_closed,
        lon_e7 = excluded.lon_e7,
        lat_e7 = excluded.lat_e7,
        registered = excluded.registered,
        level = excluded.level,
        hlc = excluded.hlc,
        event_id = excluded.event_id
    WHERE force OR (t.hlc, t.event_id) < (excluded.hlc, excluded.event_id);
END
$$;


CREATE FUNCTION scc.project_comment(ids uuid[], hlcs bigint[], kinds text[],
    cids text[], doc jsonb[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO scc.comment (event_id, place_id, building_id, comment,
        contributor_id, hlc)
    SELECT p.event_id, (p.b)."placeId", (p.b)."buildingId", (p.b).comment,
        p.contributor_id, p.hlc
    FROM (SELECT jsonb_populate_record(NULL::scc.comment_body, e.doc) AS b,
              e.*
          FROM unnest(ids, hlcs, kinds, cids, doc)
              AS e(event_id, hlc, kind, contributor_id, doc)
          WHERE e.kind = 'comment' OFFSET 0) p
    ON CONFLICT (event_id) DO NOTHING;
END
$$;


CREATE FUNCTION scc.project_report(ids uuid[], hlcs bigint[], kinds text[],
    cids text[], doc jsonb[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO scc.report (event_id, place_id, reason, detail,
        contributor_id, hlc)
    SELECT p.event_id, (p.b)."placeId", (p.b).reason, (p.b).detail,
        p.contributor_id, p.hlc
    FROM (SELECT jsonb_populate_record(NULL::scc.report_body, e.doc) AS b,
              e.*
          FROM unnest(ids, hlcs, kinds, cids, doc)
              AS e(event_id, hlc, kind, contributor_id, doc)
          WHERE e.kind = 'report' OFFSET 0) p
    ON CONFLICT (event_id) DO NOTHING;
END
$$;


-- Reports on these places came or went.

CREATE FUNCTION scc.reclose(ids text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    UPDATE scc.place p
    SET is_closed = coalesce((SELECT (l.body::jsonb ->> 'isClosed')::bool
                              FROM scc.contribution l
                              WHERE l.event_id = p.event_id), false)
        OR EXISTS (SELECT FROM scc.report c
                   WHERE c.place_id = p.id AND c.reason = 'CLOSED'
                       AND (c.hlc, c.event_id) > (p.hlc, p.event_id))
    FROM unnest(ids) AS i(id)
    WHERE p.id = i.id COLLATE "C";
END
$$;


-- The newest event about a target that is not retracted becomes what is
-- shown; if there is none, nothing is.

CREATE FUNCTION scc.refold(kind text, target text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    e  record;
BEGIN
    FOR e IN
        SELECT l.event_id, l.hlc, l.contributor_id, l.body
        FROM (SELECT c.*
              FROM scc.contribution c
              WHERE c.target = refold.target COLLATE "C"
                  AND c.kind = refold.kind COLLATE "C"
                  AND c.kind IN ('place', 'building', 'contributor')
              UNION ALL
              SELECT c.*
              FROM scc.contribution c
              WHERE c.target = refold.target COLLATE "C"
                  AND c.kind = refold.kind COLLATE "C"
                  AND c.kind IN ('place_accessibility',
                                 'building_accessibility')) l
        LEFT JOIN scc.retraction r ON r.event_id = l.event_id
        WHERE r.retracted IS NOT TRUE
        ORDER BY l.hlc DESC, l.event_id DESC
    LOOP
        BEGIN
            CASE refold.kind
            WHEN 'place' THEN
                PERFORM scc.project_place(ARRAY[e.event_id], ARRAY[e.hlc],
                    ARRAY[refold.kind], ARRAY[e.body::jsonb], true);
            WHEN 'building' THEN
                PERFORM scc.project_building(ARRAY[e.event_id],
                    ARRAY[e.hlc], ARRAY[refold.kind],
                    ARRAY[e.contributor_id], ARRAY[e.body::jsonb], true);
            WHEN 'place_accessibility' THEN
                PERFORM scc.project_place_accessibility(ARRAY[e.event_id],
                    ARRAY[e.hlc], ARRAY[refold.kind],
                    ARRAY[e.contributor_id], ARRAY[e.body::jsonb], true);
            WHEN 'building_accessibility' THEN
                PERFORM scc.project_building_accessibility(
                    ARRAY[e.event_id], ARRAY[e.hlc], ARRAY[refold.kind],
                    ARRAY[e.contributor_id], ARRAY[e.body::jsonb], true);
            END CASE;
            RETURN;

        -- it lost when it came, so nobody noticed that it is bad
        EXCEPTION WHEN data_exception OR integrity_constraint_violation
                       OR program_limit_exceeded
        THEN
            CONTINUE;
        END;
    END LOOP;

    CASE refold.kind
    WHEN 'place' THEN
        DELETE FROM scc.place WHERE id = refold.target COLLATE "C";
    WHEN 'building' THEN
        DELETE FROM scc.building WHERE id = refold.target COLLATE "C";
    WHEN 'place_accessibility' THEN
        DELETE FROM scc.place_accessibility
            WHERE place_id = refold.target COLLATE "C";
    WHEN 'building_accessibility' THEN
        DELETE FROM scc.building_accessibility
            WHERE building_id = refold.target COLLATE "C";
    END CASE;
END
$$;


-- The newest name that a contributor was given.

CREATE FUNCTION scc.rename(contributors text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    UPDATE scc.contributor c
    SET (display_name, hlc) = (
        SELECT n.name, n.hlc
        FROM (SELECT l.contributor_name COLLATE "C" AS name, l.hlc
              FROM scc.contribution l
              LEFT JOIN scc.retraction r ON r.event_id = l.event_id
              WHERE l.contributor_id = c.id
                  AND l.contributor_name IS NOT NULL
                  AND (l.kind <> 'contributor' OR r.retracted IS NOT TRUE)
              UNION ALL
              SELECT l.body::jsonb ->> 'displayName', l.hlc
              FROM scc.contribution l
              LEFT JOIN scc.retraction r ON r.event_id = l.event_id
              WHERE l.target = c.id AND l.kind = 'contributor'
                  AND l.body::jsonb ->> 'displayName' IS NOT NULL
                  AND r.retracted IS NOT TRUE) n
        ORDER BY n.hlc DESC, n.name DESC
        LIMIT 1)
    FROM unnest(contributors) AS i(id)
    WHERE c.id = i.id COLLATE "C";
END
$$;


-- One place with all that is known about it, as JSON text; NULL if there is
-- no such place.  Who was retracted has contributed nothing.

CREATE OR REPLACE FUNCTION scc.place_page(id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN (
        SELECT row_to_json(page)::text
        FROM (
            SELECT p.id, p.name, p.category, p.address,
                scc.json_location(p.lon_e7, p.lat_e7) AS location,
                p.level, 1 AS "levelVersion", p.is_closed AS "isClosed",
                p.synthetic, p.source, p.extra, p.rev,
                scc.json_time(p.updated_at) AS "updatedAt",

                (SELECT row_to_json(x) FROM (
                    SELECT a.is_first_floor AS "isFirstFloor",
                        nullif(a.stair_info, 'UNDEFINED') AS "stairInfo",
                        a.stair_height_level AS "stairHeightLevel",
                        a.has_slope AS "hasSlope",
                        a.floors,
                        a.is_stair_only_option AS "isStairOnlyOption",
                        a.entrance_door_types AS "entranceDoorTypes",
                        a.image_urls AS "imageUrls",
                        a.registration_no AS "registeredUserOrder",
                        (SELECT row_to_json(y) FROM (
                            SELECT a.contributor_id AS id,
                                (SELECT c.display_name
                                 FROM scc.contributor c
                                 WHERE c.id = a.contributor_id) AS name
                            WHERE a.contributor_id IS NOT NULL) y)
                            AS contributor,
                        scc.json_time(a.updated_at) AS "updatedAt"
                    FROM scc.place_accessibility a
                    WHERE a.place_id = p.id) x) AS accessibility,

                (SELECT row_to_json(x) FROM (
                    SELECT g.id, g.name, g.address,
                        scc.json_location(g.lon_e7, g.lat_e7) AS location
                    FROM scc.building g
                    WHERE g.id = p.building_id) x) AS building,

                (SELECT row_to_json(x) FROM (
                    SELECT nullif(b.entrance_stair_info, 'UNDEFINED')
                            AS "entranceStairInfo",
                        b.entrance_stair_height_level
                            AS "entranceStairHeightLevel",
                        b.entrance_door_types AS "entranceDoorTypes",
                        b.has_slope AS "hasSlope",
                        b.has_elevator AS "hasElevator",
                        nullif(b.elevator_stair_info, 'UNDEFINED')
                            AS "elevatorStairInfo",
                        b.elevator_stair_height_level
                            AS "elevatorStairHeightLevel",
                        b.image_urls AS "imageUrls",
                        (SELECT row_to_json(y) FROM (
                            SELECT b.contributor_id AS id,
                                (SELECT c.display_name
                                 FROM scc.contributor c
                                 WHERE c.id = b.contributor_id) AS name
                            WHERE b.contributor_id IS NOT NULL) y)
                            AS contributor,
                        scc.json_time(b.updated_at) AS "updatedAt"
                    FROM scc.building_accessibility b
                    WHERE b.building_id = p.building_id) x)
                    AS "buildingAccessibility",

                (SELECT coalesce(json_agg(row_to_json(x)), '[]') FROM (
                    SELECT o.id, c.display_name AS name,
                        c.order_no AS "order"
                    FROM (SELECT DISTINCT ON (e.contributor_id)
                              e.contributor_id AS id, e.hlc, e.event_id
                          FROM (SELECT l.contributor_id, l.hlc, l.event_id
                                FROM scc.contribution l
                                WHERE l.target = p.id
                                    AND l.kind = 'place_accessibility'
                                UNION ALL
                                SELECT l.contributor_id, l.hlc, l.event_id
                                FROM scc.contribution l
                                WHERE l.target = p.building_id
                                    AND l.kind = 'building_accessibility') e
                          LEFT JOIN scc.retraction r
                              ON r.event_id = e.event_id
                          WHERE r.retracted IS NOT TRUE
                          ORDER BY e.contributor_id, e.hlc, e.event_id) o
                    LEFT JOIN scc.contributor c ON c.id = o.id
                    ORDER BY o.hlc, o.event_id) x) AS contributors

            FROM scc.place p
            WHERE p.id = place_page.id COLLATE "C") page);
END
$$;


REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;

RESET ROLE;
