--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- What is shown: the projections, written from the ledger's events.
--

SET ROLE scc_owner;


-- Whether an event counts for nothing: its own contributor took it back, or
-- moderators removed it.  Others' words on it change nothing.

CREATE FUNCTION scc.hidden(event_id uuid, contributor_id text) RETURNS bool
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM scc.retraction r
                   WHERE r.event_id = hidden.event_id AND r.retracted
                       AND r.said_by IN ('', hidden.contributor_id))
$$;


-- The projections' writers.  Arrays hold an event per element, kinds mixed;
-- each writer takes its own kind, and reads the bodies of those that win.
-- With "force" the event replaces what is there, though it be older: what
-- was there is retracted.

CREATE FUNCTION scc.project_building(ids uuid[], hlcs bigint[],
    kinds text[], cids text[], targets text[], bodies text[], force bool)
    RETURNS void
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
    FROM (SELECT jsonb_populate_record(NULL::scc.building_body,
                                       bodies[w.i]::jsonb) AS b,
              w.contributor_id, w.hlc, w.event_id
          FROM (SELECT DISTINCT ON (u.target) u.*
                FROM (SELECT e.event_id, e.hlc, e.contributor_id,
                          e.target COLLATE "C" AS target, e.i
                      FROM (SELECT unnest(ids) AS event_id,
                                unnest(hlcs) AS hlc, unnest(kinds) AS kind,
                                unnest(cids) AS contributor_id,
                                unnest(targets) AS target,
                                generate_subscripts(ids, 1) AS i) e
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
    hlcs bigint[], kinds text[], cids text[], targets text[], bodies text[],
    force bool) RETURNS bigint
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
        recovered_from, confidence, recoverer, original_time,
        contributor_id, as_of, hlc, event_id)
    SELECT (p.b)."buildingId", (p.b)."entranceStairInfo",
        (p.b)."entranceStairHeightLevel", (p.b)."entranceDoorTypes",
        (p.b)."hasSlope", (p.b)."hasElevator",
        (p.b)."elevatorStairInfo", (p.b)."elevatorStairHeightLevel",
        (p.b)."imageUrls", (p.b)."recoveredFrom", (p.b).confidence,
        (p.b).recoverer, (p.b)."originalTime",
        p.contributor_id, p.as_of, p.hlc, p.event_id
    FROM (SELECT jsonb_populate_record(
                     NULL::scc.building_accessibility_body,
                     bodies[w.i]::jsonb) AS b,
              w.contributor_id, w.as_of, w.hlc, w.event_id
          FROM (SELECT DISTINCT ON (u.target) u.*
                FROM (SELECT e.event_id, e.hlc, e.contributor_id,
                          e.target COLLATE "C" AS target, e.i,
                          scc.as_of(e.hlc, e.body) AS as_of
                      FROM (SELECT unnest(ids) AS event_id,
                                unnest(hlcs) AS hlc, unnest(kinds) AS kind,
                                unnest(cids) AS contributor_id,
                                unnest(targets) AS target,
                                unnest(bodies) AS body,
                                generate_subscripts(ids, 1) AS i) e
                      WHERE e.kind = 'building_accessibility') u
                ORDER BY u.target, u.as_of DESC, u.hlc DESC,
                    u.event_id DESC) w
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
        recovered_from = excluded.recovered_from,
        confidence = excluded.confidence,
        recoverer = excluded.recoverer,
        original_time = excluded.original_time,
        contributor_id = excluded.contributor_id,
        as_of = excluded.as_of,
        hlc = excluded.hlc,
        event_id = excluded.event_id
    WHERE force OR (t.as_of, t.hlc, t.event_id)
                   < (excluded.as_of, excluded.hlc, excluded.event_id);

    GET DIAGNOSTICS won = ROW_COUNT;
    RETURN won;
END
$$;


-- Returns the places whose row was not written: there is a newer one.

CREATE FUNCTION scc.project_place_accessibility(ids uuid[], hlcs bigint[],
    kinds text[], cids text[], targets text[], bodies text[], force bool)
    RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    lost  text[];
BEGIN
    WITH newest AS MATERIALIZED (
        SELECT DISTINCT ON (u.target) u.*
        FROM (SELECT e.event_id, e.hlc, e.contributor_id,
                  e.target COLLATE "C" AS target, e.i,
                  scc.as_of(e.hlc, e.body) AS as_of
              FROM (SELECT unnest(ids) AS event_id, unnest(hlcs) AS hlc,
                        unnest(kinds) AS kind,
                        unnest(cids) AS contributor_id,
                        unnest(targets) AS target, unnest(bodies) AS body,
                        generate_subscripts(ids, 1) AS i) e
              WHERE e.kind = 'place_accessibility') u
        ORDER BY u.target, u.as_of DESC, u.hlc DESC, u.event_id DESC),
    written AS (
        INSERT INTO scc.place_accessibility AS t (place_id, floors,
            is_first_floor, is_stair_only_option, stair_info,
            stair_height_level, has_slope, entrance_door_types, image_urls,
            recovered_from, confidence, recoverer, original_time,
            contributor_id, as_of, hlc, event_id)
        SELECT (p.b)."placeId", (p.b).floors, (p.b)."isFirstFloor",
            (p.b)."isStairOnlyOption", (p.b)."stairInfo",
            (p.b)."stairHeightLevel", (p.b)."hasSlope",
            (p.b)."entranceDoorTypes", (p.b)."imageUrls",
            (p.b)."recoveredFrom", (p.b).confidence, (p.b).recoverer,
            (p.b)."originalTime", p.contributor_id, p.as_of, p.hlc,
            p.event_id
        FROM (SELECT jsonb_populate_record(
                         NULL::scc.place_accessibility_body,
                         bodies[w.i]::jsonb) AS b,
                  w.contributor_id, w.as_of, w.hlc, w.event_id
              FROM newest w OFFSET 0) p
        ON CONFLICT (place_id) DO UPDATE SET
            floors = excluded.floors,
            is_first_floor = excluded.is_first_floor,
            is_stair_only_option = excluded.is_stair_only_option,
            stair_info = excluded.stair_info,
            stair_height_level = excluded.stair_height_level,
            has_slope = excluded.has_slope,
            entrance_door_types = excluded.entrance_door_types,
            image_urls = excluded.image_urls,
            recovered_from = excluded.recovered_from,
            confidence = excluded.confidence,
            recoverer = excluded.recoverer,
            original_time = excluded.original_time,
            contributor_id = excluded.contributor_id,
            as_of = excluded.as_of,
            hlc = excluded.hlc,
            event_id = excluded.event_id
        WHERE force
            OR (t.as_of, t.hlc, t.event_id)
               < (excluded.as_of, excluded.hlc, excluded.event_id)
        RETURNING t.place_id)
    SELECT array_agg(r.id) INTO lost
        FROM (SELECT target AS id FROM newest
              EXCEPT SELECT place_id FROM written) r;

    RETURN lost;
END
$$;


-- A place is closed if its document says so, or a report newer than that.

CREATE FUNCTION scc.project_place(ids uuid[], hlcs bigint[], kinds text[],
    cids text[], targets text[], bodies text[], force bool) RETURNS void
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
        p.hlc, p.event_id, coalesce(r.rev, 0) + 1,

        -- known already if the accessibility came first or with it
        a.place_id IS NOT NULL,
        CASE WHEN a.place_id IS NOT NULL THEN
            scc.level(true, a.is_first_floor, a.stair_info, a.has_slope,
                b.building_id IS NOT NULL, b.has_slope, b.has_elevator,
                b.entrance_stair_info, b.elevator_stair_info) END
    FROM (SELECT jsonb_populate_record(NULL::scc.place_body,
                                       bodies[w.i]::jsonb) AS b,
              w.hlc, w.event_id
          FROM (SELECT DISTINCT ON (u.target) u.*
                FROM (SELECT e.event_id, e.hlc, e.contributor_id,
                          e.target COLLATE "C" AS target, e.i
                      FROM (SELECT unnest(ids) AS event_id,
                                unnest(hlcs) AS hlc, unnest(kinds) AS kind,
                                unnest(cids) AS contributor_id,
                                unnest(targets) AS target,
                                generate_subscripts(ids, 1) AS i) e
                      WHERE e.kind = 'place') u
                ORDER BY u.target, u.hlc DESC, u.event_id DESC) w
          OFFSET 0) p
    LEFT JOIN scc.place_accessibility a ON a.place_id = (p.b)."placeId"
    LEFT JOIN scc.building_accessibility b
        ON b.building_id = (p.b)."buildingId"
    LEFT JOIN scc.removed r ON r.id = (p.b)."placeId"
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
    cids text[], bodies text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO scc.comment (event_id, place_id, building_id, comment,
        contributor_id, hlc)
    SELECT p.event_id, (p.b)."placeId", (p.b)."buildingId", (p.b).comment,
        p.contributor_id, p.hlc
    FROM (SELECT jsonb_populate_record(NULL::scc.comment_body,
                                       e.body::jsonb) AS b, e.*
          FROM unnest(ids, hlcs, kinds, cids, bodies)
              AS e(event_id, hlc, kind, contributor_id, body)
          WHERE e.kind = 'comment' OFFSET 0) p
    ON CONFLICT (event_id) DO NOTHING;
END
$$;


CREATE FUNCTION scc.project_report(ids uuid[], hlcs bigint[], kinds text[],
    cids text[], bodies text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO scc.report (event_id, place_id, reason, detail,
        contributor_id, hlc)
    SELECT p.event_id, (p.b)."placeId", (p.b).reason, (p.b).detail,
        p.contributor_id, p.hlc
    FROM (SELECT jsonb_populate_record(NULL::scc.report_body,
                                       e.body::jsonb) AS b, e.*
          FROM unnest(ids, hlcs, kinds, cids, bodies)
              AS e(event_id, hlc, kind, contributor_id, body)
          WHERE e.kind = 'report' OFFSET 0) p
    ON CONFLICT (event_id) DO NOTHING;
END
$$;


CREATE FUNCTION scc.project_photo(ids uuid[], hlcs bigint[], kinds text[],
    cids text[], targets text[], bodies text[], force bool) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan SET work_mem = '64MB' AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO scc.photo AS t (id, object_key, size, sha256, taken_at,
        lon_e7, lat_e7, place_id, building_id, image_type, uploader,
        contributor_id, hlc, event_id)
    SELECT p.target, (p.b)."objectKey", (p.b).size, (p.b).sha256,
        (p.b)."takenAt", round(((p.b).location).lng * 10000000)::int,
        round(((p.b).location).lat * 10000000)::int,
        (p.b)."placeId", (p.b)."buildingId", (p.b)."imageType",
        coalesce((p.b).uploader, p.contributor_id), p.contributor_id, p.hlc,
        p.event_id
    FROM (SELECT jsonb_populate_record(NULL::scc.photo_body,
                                       bodies[w.i]::jsonb) AS b,
              w.contributor_id, w.target, w.hlc, w.event_id
          FROM (SELECT DISTINCT ON (u.target) u.*
                FROM (SELECT e.event_id, e.hlc, e.contributor_id,
                          e.target COLLATE "C" AS target, e.i
                      FROM (SELECT unnest(ids) AS event_id,
                                unnest(hlcs) AS hlc, unnest(kinds) AS kind,
                                unnest(cids) AS contributor_id,
                                unnest(targets) AS target,
                                generate_subscripts(ids, 1) AS i) e
                      WHERE e.kind = 'photo') u
                ORDER BY u.target, u.hlc DESC, u.event_id DESC) w
          OFFSET 0) p
    ON CONFLICT (id) DO UPDATE SET
        size = excluded.size,
        sha256 = excluded.sha256,
        taken_at = excluded.taken_at,
        lon_e7 = excluded.lon_e7,
        lat_e7 = excluded.lat_e7,
        place_id = excluded.place_id,
        building_id = excluded.building_id,
        image_type = excluded.image_type,
        uploader = excluded.uploader,
        contributor_id = excluded.contributor_id,
        hlc = excluded.hlc,
        event_id = excluded.event_id
    WHERE force OR (t.hlc, t.event_id) < (excluded.hlc, excluded.event_id);
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
        FROM (SELECT c.*, c.hlc AS as_of
              FROM scc.contribution c
              WHERE c.target = refold.target COLLATE "C"
                  AND c.kind = refold.kind COLLATE "C"
                  AND c.kind IN ('place', 'building', 'contributor',
                                 'photo')
              UNION ALL
              SELECT c.*, scc.as_of(c.hlc, c.body::jsonb)
              FROM scc.contribution c
              WHERE c.target = refold.target COLLATE "C"
                  AND c.kind = refold.kind COLLATE "C"
                  AND c.kind IN ('place_accessibility',
                                 'building_accessibility')) l
        WHERE NOT scc.hidden(l.event_id, l.contributor_id)
        ORDER BY l.as_of DESC, l.hlc DESC, l.event_id DESC
    LOOP
        BEGIN
            CASE refold.kind
            WHEN 'place' THEN
                PERFORM scc.project_place(ARRAY[e.event_id], ARRAY[e.hlc],
                    ARRAY[refold.kind], ARRAY[e.contributor_id],
                    ARRAY[refold.target], ARRAY[e.body], true);
            WHEN 'building' THEN
                PERFORM scc.project_building(ARRAY[e.event_id],
                    ARRAY[e.hlc], ARRAY[refold.kind],
                    ARRAY[e.contributor_id], ARRAY[refold.target],
                    ARRAY[e.body], true);
            WHEN 'place_accessibility' THEN
                PERFORM scc.project_place_accessibility(ARRAY[e.event_id],
                    ARRAY[e.hlc], ARRAY[refold.kind],
                    ARRAY[e.contributor_id], ARRAY[refold.target],
                    ARRAY[e.body], true);
            WHEN 'photo' THEN
                PERFORM scc.project_photo(ARRAY[e.event_id], ARRAY[e.hlc],
                    ARRAY[refold.kind], ARRAY[e.contributor_id],
                    ARRAY[refold.target], ARRAY[e.body], true);
            WHEN 'building_accessibility' THEN
                PERFORM scc.project_building_accessibility(
                    ARRAY[e.event_id], ARRAY[e.hlc], ARRAY[refold.kind],
                    ARRAY[e.contributor_id], ARRAY[refold.target],
                    ARRAY[e.body], true);
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
    WHEN 'photo' THEN
        DELETE FROM scc.photo WHERE id = refold.target COLLATE "C";
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
              WHERE l.contributor_id = c.id
                  AND l.contributor_name IS NOT NULL
                  AND (l.kind <> 'contributor'
                       OR NOT scc.hidden(l.event_id, l.contributor_id))
              UNION ALL
              SELECT l.body::jsonb ->> 'displayName', l.hlc
              FROM scc.contribution l
              WHERE l.target = c.id AND l.kind = 'contributor'
                  AND l.body::jsonb ->> 'displayName' IS NOT NULL
                  AND NOT scc.hidden(l.event_id, l.contributor_id)) n
        ORDER BY n.hlc DESC, n.name DESC
        LIMIT 1)
    FROM unnest(contributors) AS i(id)
    WHERE c.id = i.id COLLATE "C";
END
$$;


REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;

RESET ROLE;
