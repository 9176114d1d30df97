--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- The one way in: scc.apply().
--

SET ROLE scc_owner;


-- Bodies as they come over the wire, names included; what else a body holds
-- stays in the ledger.

CREATE TYPE scc.location_body AS (lng numeric, lat numeric);

CREATE TYPE scc.place_body AS (
    "placeId" text, name text, location scc.location_body, category text,
    address text, "buildingId" text, source text, "isClosed" bool,
    synthetic bool, extra jsonb);

CREATE TYPE scc.building_body AS (
    "buildingId" text, name text, address text, location scc.location_body);

CREATE TYPE scc.place_accessibility_body AS (
    "placeId" text, "stairInfo" text, "isFirstFloor" bool, floors int[],
    "isStairOnlyOption" bool, "stairHeightLevel" text, "hasSlope" bool,
    "entranceDoorTypes" text[], "imageUrls" text[]);

CREATE TYPE scc.building_accessibility_body AS (
    "buildingId" text, "entranceStairInfo" text, "hasElevator" bool,
    "hasSlope" bool, "entranceStairHeightLevel" text,
    "entranceDoorTypes" text[], "elevatorStairInfo" text,
    "elevatorStairHeightLevel" text, "imageUrls" text[]);

CREATE TYPE scc.contributor_body AS (
    "contributorId" text, "displayName" text);


-- Adds events to the ledger and folds the new ones.  Returns how many were
-- new.  Arrays are of equal length and have been checked by scc.apply().

CREATE FUNCTION scc.fold(event_id uuid[], hlc bigint[], kind text[],
    contributor_id text[], contributor_name text[], idem_key text[],
    received_at timestamptz[], segment_id uuid, body text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    doc    jsonb[];
    fresh  uuid[];
    ids    uuid[] := fold.event_id;
    hlcs   bigint[] := fold.hlc;
    kinds  text[] := fold.kind;
    cids   text[] := fold.contributor_id;
    names  text[] := fold.contributor_name;
    won    bigint;
    lost   text[];
BEGIN
    doc := ARRAY(SELECT b::jsonb FROM unnest(fold.body) AS u(b));

    WITH added AS (
        INSERT INTO scc.contribution (event_id, hlc, received_at, segment_id,
            kind, target, contributor_id, contributor_name, idem_key,
            body_sha256, body)
        SELECT u.event_id, u.hlc, u.received_at, fold.segment_id, u.kind,
            CASE WHEN u.kind IN ('place', 'place_accessibility')
                 THEN u.doc ->> 'placeId'
                 WHEN u.kind IN ('building', 'building_accessibility')
                 THEN u.doc ->> 'buildingId'
                 ELSE u.doc ->> 'contributorId' END,
            u.contributor_id, u.contributor_name, u.idem_key,
            sha256(convert_to(u.body, 'UTF8')), u.body
        FROM unnest(fold.event_id, fold.hlc, fold.kind, fold.contributor_id,
                 fold.contributor_name, fold.idem_key, fold.received_at,
                 fold.body, doc)
             AS u(event_id, hlc, kind, contributor_id, contributor_name,
                 idem_key, received_at, body, doc)
        ORDER BY u.event_id
        ON CONFLICT DO NOTHING
        RETURNING event_id)
    SELECT array_agg(event_id) INTO fresh FROM added;

    IF fresh IS NULL THEN
        RETURN 0;
    END IF;

    -- A window instead of a join: its cost does not hang on an estimate.

    IF cardinality(fresh) < cardinality(ids) THEN
        SELECT array_agg(w.event_id), array_agg(w.hlc), array_agg(w.kind),
               array_agg(w.contributor_id), array_agg(w.contributor_name),
               array_agg(w.doc)
            INTO ids, hlcs, kinds, cids, names, doc
            FROM (SELECT u.*, bool_or(u.hlc IS NULL)
                             OVER (PARTITION BY u.event_id) AS is_new
                  FROM (SELECT * FROM unnest(ids, hlcs, kinds, cids, names,
                                             doc)
                            AS e(event_id, hlc, kind, contributor_id,
                                 contributor_name, doc)
                        UNION ALL
                        SELECT f, NULL, NULL, NULL, NULL, NULL
                            FROM unnest(fresh) AS n(f)) u) w
            WHERE w.is_new AND w.hlc IS NOT NULL;
    END IF;

    -- Of names given at the same hlc the greater wins: any order, one result.

    INSERT INTO scc.contributor AS c (id, display_name, hlc)
    SELECT DISTINCT ON (g.id) g.id, g.name, g.hlc
    FROM (SELECT s.id, s.name,
              CASE WHEN s.name IS NOT NULL THEN max(s.hlc) END AS hlc
          FROM (SELECT u.contributor_id COLLATE "C" AS id,
                    u.name COLLATE "C" AS name, u.hlc
                FROM unnest(hlcs, cids, names)
                    AS u(hlc, contributor_id, name)
                UNION ALL
                SELECT u.doc ->> 'contributorId', u.doc ->> 'displayName',
                    u.hlc
                FROM unnest(hlcs, kinds, doc) AS u(hlc, kind, doc)
                WHERE u.kind = 'contributor') s
          GROUP BY s.id, s.name) g
    ORDER BY g.id, g.name IS NULL, g.hlc DESC, g.name DESC
    ON CONFLICT (id) DO UPDATE SET
        display_name = excluded.display_name,
        hlc = excluded.hlc
    WHERE excluded.hlc IS NOT NULL
        AND (c.hlc IS NULL OR (c.hlc, c.display_name)
                              < (excluded.hlc, excluded.display_name));

    IF 'building' = ANY (kinds) THEN
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
        WHERE (t.hlc, t.event_id) < (excluded.hlc, excluded.event_id);
    END IF;

    IF 'building_accessibility' = ANY (kinds) THEN
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
        WHERE (t.hlc, t.event_id) < (excluded.hlc, excluded.event_id);

        -- Who comes too late is a contributor all the same, and pages say so.

        GET DIAGNOSTICS won = ROW_COUNT;

        IF won < cardinality(array_positions(kinds, 'building_accessibility'))
        THEN
            SELECT array_agg(p.id) INTO lost
                FROM unnest(ids, kinds, doc) AS e(event_id, kind, doc)
                JOIN scc.building_accessibility t
                    ON t.building_id = (e.doc ->> 'buildingId') COLLATE "C"
                JOIN scc.place p ON p.building_id = t.building_id
                WHERE e.kind = 'building_accessibility'
                    AND t.event_id <> e.event_id;
        END IF;
    END IF;

    IF 'place_accessibility' = ANY (kinds) THEN
        INSERT INTO scc.place_accessibility AS t (place_id, floors,
            is_first_floor, is_stair_only_option, stair_info,
            stair_height_level, has_slope, entrance_door_types, image_urls,
            contributor_id, hlc, event_id)
        SELECT (p.b)."placeId", (p.b).floors, (p.b)."isFirstFloor",
            (p.b)."isStairOnlyOption", (p.b)."stairInfo",
            (p.b)."stairHeightLevel", (p.b)."hasSlope",
            (p.b)."entranceDoorTypes", (p.b)."imageUrls",
            p.contributor_id, p.hlc, p.event_id
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
            event_id = excluded.event_id
        WHERE (t.hlc, t.event_id) < (excluded.hlc, excluded.event_id);

        GET DIAGNOSTICS won = ROW_COUNT;

        IF won < cardinality(array_positions(kinds, 'place_accessibility'))
        THEN
            SELECT array_cat(lost, array_agg(t.place_id)) INTO lost
                FROM unnest(ids, kinds, doc) AS e(event_id, kind, doc)
                JOIN scc.place_accessibility t
                    ON t.place_id = (e.doc ->> 'placeId') COLLATE "C"
                WHERE e.kind = 'place_accessibility'
                    AND t.event_id <> e.event_id;
        END IF;
    END IF;

    IF 'place' = ANY (kinds) THEN
        INSERT INTO scc.place AS t (id, name, category, address, source,
            extra, building_id, synthetic, is_closed, lon_e7, lat_e7, hlc,
            event_id, registered, level)
        SELECT (p.b)."placeId", (p.b).name, (p.b).category, (p.b).address,
            (p.b).source, (p.b).extra, (p.b)."buildingId",
            coalesce((p.b).synthetic, false),
            coalesce((p.b)."isClosed", false),
            round(((p.b).location).lng * 10000000)::int,
            round(((p.b).location).lat * 10000000)::int,
            p.hlc, p.event_id,

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
        WHERE (t.hlc, t.event_id) < (excluded.hlc, excluded.event_id);
    END IF;

    IF lost IS NOT NULL THEN
        PERFORM scc.place_touch(lost);
    END IF;

    RETURN cardinality(fresh);
END
$$;


-- What is wrong with a body, or NULL.  Asked only after a batch failed, so
-- that the message can name the field.

CREATE FUNCTION scc.body_fault(kind text, body text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stairs   text[] := ARRAY['UNDEFINED', 'NONE', 'ONE', 'TWO_TO_FIVE',
                             'OVER_SIX'];
    heights  text[] := ARRAY['HALF_THUMB', 'THUMB', 'OVER_THUMB'];
    doors    text[] := ARRAY['None', 'Hinged', 'Sliding', 'Revolving',
                             'Automatic', 'ETC'];
    doc      jsonb;
    val      jsonb;
    f        record;
BEGIN
    IF kind IS NULL OR kind NOT IN ('place', 'building',
        'place_accessibility', 'building_accessibility', 'contributor')
    THEN
        RETURN format('kind %L is unknown; use place, building, '
            'place_accessibility, building_accessibility or contributor',
            kind);
    END IF;

    BEGIN
        doc := body::jsonb;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
        RETURN 'body is not valid JSON: ' || SQLERRM;
    END;

    IF doc IS NULL OR jsonb_typeof(doc) <> 'object' THEN
        RETURN 'body is not a JSON object';
    END IF;

    FOR f IN
        SELECT t.field, t.type, t.required, t.allowed
        FROM (VALUES
            ('place', 'placeId', 'id', true, NULL::text[]),
            ('place', 'name', 'string 512', true, NULL),
            ('place', 'location', 'location', true, NULL),
            ('place', 'category', 'string 64', false, NULL),
            ('place', 'address', 'string 512', false, NULL),
            ('place', 'buildingId', 'id', false, NULL),
            ('place', 'source', 'string', false, NULL),
            ('place', 'isClosed', 'boolean', false, NULL),
            ('place', 'synthetic', 'boolean', false, NULL),
            ('place', 'extra', 'object', false, NULL),
            ('building', 'buildingId', 'id', true, NULL),
            ('building', 'name', 'string 512', false, NULL),
            ('building', 'address', 'string 512', false, NULL),
            ('building', 'location', 'location', false, NULL),
            ('place_accessibility', 'placeId', 'id', true, NULL),
            ('place_accessibility', 'stairInfo', 'string', true, stairs),
            ('place_accessibility', 'isFirstFloor', 'boolean', false, NULL),
            ('place_accessibility', 'floors', 'integers', false, NULL),
            ('place_accessibility', 'isStairOnlyOption', 'boolean', false,
             NULL),
            ('place_accessibility', 'stairHeightLevel', 'string', false,
             heights),
            ('place_accessibility', 'hasSlope', 'boolean', false, NULL),
            ('place_accessibility', 'entranceDoorTypes', 'strings', false,
             doors),
            ('place_accessibility', 'imageUrls', 'strings', false, NULL),
            ('building_accessibility', 'buildingId', 'id', true, NULL),
            ('building_accessibility', 'entranceStairInfo', 'string', true,
             stairs),
            ('building_accessibility', 'hasElevator', 'boolean', false,
             NULL),
            ('building_accessibility', 'hasSlope', 'boolean', false, NULL),
            ('building_accessibility', 'entranceStairHeightLevel', 'string',
             false, heights),
            ('building_accessibility', 'entranceDoorTypes', 'strings',
             false, doors),
            ('building_accessibility', 'elevatorStairInfo', 'string', true,
             stairs),
            ('building_accessibility', 'elevatorStairHeightLevel', 'string',
             false, heights),
            ('building_accessibility', 'imageUrls', 'strings', false, NULL),
            ('contributor', 'contributorId', 'id', true, NULL),
            ('contributor', 'displayName', 'string 512', false, NULL))
            AS t(kind, field, type, required, allowed)
        WHERE t.kind = body_fault.kind
    LOOP
        val := doc -> f.field;

        IF val IS NULL OR val = 'null' THEN
            IF f.required THEN
                RETURN format('field "%s" is missing', f.field);
            END IF;
            CONTINUE;
        END IF;

        CASE split_part(f.type, ' ', 1)
        WHEN 'id' THEN
            IF jsonb_typeof(val) <> 'string'
               OR octet_length(val #>> '{}') NOT BETWEEN 1 AND 64
            THEN
                RETURN format('field "%s" must be a string of 1 to 64 bytes',
                              f.field);
            END IF;

        WHEN 'string' THEN
            IF jsonb_typeof(val) <> 'string' THEN
                RETURN format('field "%s" must be a string', f.field);
            END IF;

            IF f.allowed IS NOT NULL AND val #>> '{}' <> ALL (f.allowed) THEN
                RETURN format('field "%s" is %s; use one of %s', f.field,
                    left(val::text, 80), array_to_string(f.allowed, ', '));
            END IF;

            IF f.type <> 'string' AND octet_length(val #>> '{}')
               > split_part(f.type, ' ', 2)::int
            THEN
                RETURN format('field "%s" is longer than %s bytes', f.field,
                    split_part(f.type, ' ', 2));
            END IF;

        WHEN 'boolean', 'object' THEN
            IF jsonb_typeof(val) <> f.type THEN
                RETURN format('field "%s" must be JSON %s', f.field,
                              f.type);
            END IF;

        WHEN 'location' THEN
            IF jsonb_typeof(val) <> 'object'
               OR jsonb_typeof(val -> 'lng') IS DISTINCT FROM 'number'
               OR jsonb_typeof(val -> 'lat') IS DISTINCT FROM 'number'
            THEN
                RETURN format('field "%s" must be {"lng": number, "lat": '
                    'number}', f.field);
            END IF;

            IF abs(round((val -> 'lng')::numeric, 7)) > 180
               OR abs(round((val -> 'lat')::numeric, 7)) > 90
            THEN
                RETURN format('field "%s" is not on earth; lng must be '
                    'within 180, lat within 90 degrees', f.field);
            END IF;

        WHEN 'strings' THEN
            IF jsonb_typeof(val) <> 'array'
               OR jsonb_path_exists(val, 'strict $[*] ? (@.type() '
                                         '<> "string")')
            THEN
                RETURN format('field "%s" must be an array of strings',
                              f.field);
            END IF;

            IF f.allowed IS NOT NULL AND NOT f.allowed
               @> ARRAY(SELECT jsonb_array_elements_text(val))
            THEN
                RETURN format('field "%s" is %s; use only %s', f.field,
                    left(val::text, 80), array_to_string(f.allowed, ', '));
            END IF;

        WHEN 'integers' THEN
            IF jsonb_typeof(val) <> 'array'
               OR jsonb_path_exists(val, 'strict $[*] ? (@.type() '
                                         '<> "number")')
            THEN
                RETURN format('field "%s" must be an array of integers',
                              f.field);
            END IF;
        END CASE;
    END LOOP;

    RETURN NULL;
END
$$;


-- Applies contributions, in any order, any number of times: only events that
-- the ledger does not have are added and folded, per target the greatest
-- (hlc, event_id) wins as a whole document.  An event whose id, or whose
-- contributor's idempotency key, is known counts as old.
--
-- A bad event fails the whole call with an SQLSTATE of class 22 or 23; the
-- message names the event and the field, DETAIL is the event's id alone.

CREATE FUNCTION scc.apply(event_id uuid[], hlc bigint[], kind text[],
    contributor_id text[], contributor_name text[], idem_key text[],
    received_at timestamptz[], segment_id uuid, body text[],
    OUT events_new bigint, OUT events_old bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n        int := coalesce(cardinality(apply.event_id), 0);
    fault    text;
    state    text;
    message  text;
BEGIN
    IF coalesce(cardinality(apply.hlc), 0) <> n
       OR coalesce(cardinality(apply.kind), 0) <> n
       OR coalesce(cardinality(apply.contributor_id), 0) <> n
       OR coalesce(cardinality(apply.contributor_name), 0) <> n
       OR coalesce(cardinality(apply.idem_key), 0) <> n
       OR coalesce(cardinality(apply.received_at), 0) <> n
       OR coalesce(cardinality(apply.body), 0) <> n
    THEN
        RAISE EXCEPTION 'scc.apply: the arrays differ in length; pass one '
            'element per event in each'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    events_new := 0;
    events_old := 0;

    IF n = 0 THEN
        RETURN;
    END IF;

    PERFORM scc.write_lock();

    BEGIN
        events_new := scc.fold(apply.event_id, apply.hlc, apply.kind,
            apply.contributor_id, apply.contributor_name, apply.idem_key,
            apply.received_at, apply.segment_id, apply.body);
        events_old := n - events_new;
        RETURN;

    EXCEPTION WHEN data_exception OR integrity_constraint_violation
                   OR program_limit_exceeded
    THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE,
                                message = MESSAGE_TEXT;
    END;

    -- The batch is undone.  Find the first event that is bad by itself.

    FOR i IN 1 .. n LOOP
        IF apply.event_id[i] IS NULL THEN
            RAISE EXCEPTION 'scc.apply: event_id[%] is NULL', i
                USING ERRCODE = 'not_null_violation';
        END IF;

        fault := scc.body_fault(apply.kind[i], apply.body[i]);

        IF fault IS NOT NULL THEN
            RAISE EXCEPTION 'event %: %', apply.event_id[i], fault
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = apply.event_id[i]::text;
        END IF;

        BEGIN
            PERFORM scc.fold(apply.event_id[i:i], apply.hlc[i:i],
                apply.kind[i:i], apply.contributor_id[i:i],
                apply.contributor_name[i:i], apply.idem_key[i:i],
                apply.received_at[i:i], apply.segment_id, apply.body[i:i]);

        EXCEPTION
        WHEN data_exception OR integrity_constraint_violation THEN
            RAISE EXCEPTION 'event %: %', apply.event_id[i], SQLERRM
                USING ERRCODE = SQLSTATE,
                      DETAIL = apply.event_id[i]::text;

        WHEN program_limit_exceeded THEN
            -- the event's fault, though class 54 says "try again"
            RAISE EXCEPTION 'event %: %', apply.event_id[i], SQLERRM
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = apply.event_id[i]::text;
        END;
    END LOOP;

    RAISE EXCEPTION 'scc.apply: a batch of % events failed although each '
        'can be applied alone: %', n, message USING ERRCODE = state;
END
$$;


REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scc.apply(uuid[], bigint[], text[], text[],
    text[], text[], timestamptz[], uuid, text[]) TO scc_app;

RESET ROLE;
