--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- The one way in again, for every kind of contribution: scc.contribute(),
-- and what an applier asks beside it.
--

SET ROLE scc_owner;


-- Adds events to the ledger and folds the new ones.  Returns how many were
-- new.  Arrays are of equal length and have been checked by the caller.

DROP FUNCTION scc.fold(uuid[], bigint[], text[], text[], text[], text[],
    timestamptz[], uuid, text[]);

CREATE FUNCTION scc.fold(event_id uuid[], hlc bigint[], kind text[],
    contributor_id text[], contributor_name text[], idem_key text[],
    received_at timestamptz[], segment_id uuid[], body text[])
    RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan SET work_mem = '64MB' AS $$
#variable_conflict use_column
DECLARE
    doc      jsonb[];
    fresh    uuid[];
    ids      uuid[] := fold.event_id;
    hlcs     bigint[] := fold.hlc;
    kinds    text[] := fold.kind;
    cids     text[] := fold.contributor_id;
    names    text[] := fold.contributor_name;
    hidden   uuid[];
    about    uuid[];
    base     bigint;
    won      bigint;
    part     text[];
    lost     text[];
    renamed  text[];
    closed   text[];
    e        record;
BEGIN
    doc := ARRAY(SELECT b::jsonb FROM unnest(fold.body) AS u(b));

    WITH added AS (
        INSERT INTO scc.contribution (event_id, hlc, received_at, segment_id,
            kind, target, contributor_id, contributor_name, idem_key,
            body_sha256, body)
        SELECT u.event_id, u.hlc, u.received_at, u.segment_id, u.kind,
            CASE WHEN u.kind IN ('place', 'place_accessibility', 'report')
                 THEN u.doc ->> 'placeId'
                 WHEN u.kind IN ('building', 'building_accessibility')
                 THEN u.doc ->> 'buildingId'
                 WHEN u.kind = 'comment'
                 THEN coalesce(u.doc ->> 'placeId', u.doc ->> 'buildingId')
                 WHEN u.kind IN ('retract', 'restore')
                 THEN (u.doc ->> 'eventId')::uuid::text
                 WHEN u.kind = 'contributor'
                 THEN coalesce(u.doc ->> 'contributorId', u.contributor_id)
                 WHEN u.kind = 'erase'
                 THEN u.contributor_id END,
            u.contributor_id, u.contributor_name, u.idem_key,
            sha256(convert_to(u.body, 'UTF8')), u.body
        FROM unnest(fold.event_id, fold.hlc, fold.kind, fold.contributor_id,
                 fold.contributor_name, fold.idem_key, fold.received_at,
                 fold.segment_id, fold.body, doc) WITH ORDINALITY
             AS u(event_id, hlc, kind, contributor_id, contributor_name,
                 idem_key, received_at, segment_id, body, doc, i)
        ORDER BY u.event_id, u.i
        ON CONFLICT DO NOTHING
        RETURNING event_id)
    SELECT array_agg(event_id) INTO fresh FROM added;

    IF fresh IS NULL THEN
        RETURN 0;
    END IF;

    -- A window instead of a join: its cost does not hang on an estimate.
    -- Of an event that is here twice the one that was added comes first.

    IF cardinality(fresh) < cardinality(ids) THEN
        SELECT array_agg(w.event_id), array_agg(w.hlc), array_agg(w.kind),
               array_agg(w.contributor_id), array_agg(w.contributor_name),
               array_agg(w.doc)
            INTO ids, hlcs, kinds, cids, names, doc
            FROM (SELECT u.*, bool_or(u.i = 0) OVER k AS is_new,
                      row_number() OVER (k ORDER BY u.i) AS n
                  FROM (SELECT * FROM unnest(ids, hlcs, kinds, cids, names,
                                             doc)
                            WITH ORDINALITY
                            AS e(event_id, hlc, kind, contributor_id,
                                 contributor_name, doc, i)
                        UNION ALL
                        SELECT f, NULL, NULL, NULL, NULL, NULL, 0
                            FROM unnest(fresh) AS n(f)) u
                  WINDOW k AS (PARTITION BY u.event_id)) w
            WHERE w.is_new AND w.n = 2;
    END IF;

    -- Corrections first, so that events of this batch know of them.

    IF kinds && ARRAY['retract', 'restore'] THEN
        WITH said AS (
            INSERT INTO scc.retraction AS t (event_id, retracted, hlc,
                by_event)
            SELECT DISTINCT ON (u.about) u.about, u.kind = 'retract', u.hlc,
                u.event_id
            FROM (SELECT c.*, (c.doc ->> 'eventId')::uuid AS about
                  FROM unnest(ids, hlcs, kinds, doc)
                      AS c(event_id, hlc, kind, doc)
                  WHERE c.kind IN ('retract', 'restore') OFFSET 0) u
            ORDER BY u.about, u.hlc DESC, u.event_id DESC
            ON CONFLICT (event_id) DO UPDATE SET
                retracted = excluded.retracted,
                hlc = excluded.hlc,
                by_event = excluded.by_event
            WHERE (t.hlc, t.by_event) < (excluded.hlc, excluded.by_event)
            RETURNING t.event_id)
        SELECT array_agg(event_id) INTO about FROM said;
    END IF;

    IF EXISTS (SELECT FROM scc.retraction) THEN
        SELECT array_agg(u.id) INTO hidden
            FROM unnest(ids) AS u(id)
            JOIN scc.retraction r ON r.event_id = u.id
            WHERE r.retracted;
    END IF;

    -- Of names given at the same hlc the greater wins: any order, one result.

    INSERT INTO scc.contributor AS c (id, display_name, hlc)
    SELECT DISTINCT ON (g.id) g.id, g.name, g.hlc
    FROM (SELECT s.id, s.name,
              CASE WHEN s.name IS NOT NULL THEN max(s.hlc) END AS hlc
          FROM (SELECT u.contributor_id COLLATE "C" AS id,
                    CASE WHEN u.kind <> 'contributor' OR hidden IS NULL
                              OR u.event_id <> ALL (hidden)
                         THEN u.name COLLATE "C" END AS name, u.hlc
                FROM unnest(ids, hlcs, kinds, cids, names)
                    AS u(event_id, hlc, kind, contributor_id, name)
                UNION ALL
                SELECT coalesce(u.doc ->> 'contributorId', u.contributor_id),
                    CASE WHEN hidden IS NULL OR u.event_id <> ALL (hidden)
                         THEN u.doc ->> 'displayName' END, u.hlc
                FROM unnest(ids, hlcs, kinds, cids, doc)
                    AS u(event_id, hlc, kind, contributor_id, doc)
                WHERE u.kind = 'contributor') s
          GROUP BY s.id, s.name) g
    ORDER BY g.id, g.name IS NULL, g.hlc DESC, g.name DESC
    ON CONFLICT (id) DO UPDATE SET
        display_name = excluded.display_name,
        hlc = excluded.hlc
    WHERE excluded.hlc > coalesce(c.erased_hlc, -1)
        AND (c.hlc IS NULL OR (c.hlc, c.display_name)
                              < (excluded.hlc, excluded.display_name));

    IF 'erase' = ANY (kinds) THEN
        UPDATE scc.contributor c
        SET erased_hlc = n.hlc,
            display_name = CASE WHEN c.hlc > n.hlc THEN c.display_name END,
            hlc = CASE WHEN c.hlc > n.hlc THEN c.hlc END
        FROM (SELECT u.contributor_id, max(u.hlc) AS hlc
              FROM unnest(hlcs, kinds, cids) AS u(hlc, kind, contributor_id)
              WHERE u.kind = 'erase'
              GROUP BY u.contributor_id) n
        WHERE c.id = n.contributor_id COLLATE "C"
            AND n.hlc > coalesce(c.erased_hlc, -1);
    END IF;

    IF EXISTS (SELECT FROM scc.contributor WHERE erased_hlc IS NOT NULL) THEN
        FOR e IN
            SELECT c.id, c.erased_hlc
            FROM (SELECT u.id COLLATE "C" AS id, min(u.hlc) AS hlc
                  FROM (SELECT v.contributor_id AS id, v.hlc
                        FROM unnest(hlcs, cids) AS v(hlc, contributor_id)
                        UNION ALL
                        SELECT v.doc ->> 'contributorId', v.hlc
                        FROM unnest(hlcs, kinds, doc) AS v(hlc, kind, doc)
                        WHERE v.kind = 'contributor') u
                  GROUP BY u.id) s
            JOIN scc.contributor c ON c.id = s.id
            WHERE s.hlc <= c.erased_hlc
        LOOP
            PERFORM scc.erase(e.id, e.erased_hlc);
        END LOOP;
    END IF;

    -- Who conquers for the first time gets the next order number.

    IF kinds && ARRAY['place_accessibility', 'building_accessibility'] THEN
        SELECT array_agg(c.id) INTO part
            FROM (SELECT DISTINCT u.contributor_id COLLATE "C" AS id
                  FROM unnest(kinds, cids) AS u(kind, contributor_id)
                  WHERE u.kind IN ('place_accessibility',
                                   'building_accessibility')) s
            JOIN scc.contributor c ON c.id = s.id
            WHERE c.order_no IS NULL;

        IF part IS NOT NULL THEN
            SELECT value INTO base FROM scc.counter
                WHERE name = 'contributor';

            UPDATE scc.contributor c
            SET order_no = base + n.i
            FROM (SELECT f.id, row_number() OVER (ORDER BY f.hlc, f.event_id)
                      AS i
                  FROM (SELECT DISTINCT ON (u.contributor_id)
                            u.contributor_id AS id, u.hlc, u.event_id
                        FROM unnest(ids, hlcs, kinds, cids)
                            AS u(event_id, hlc, kind, contributor_id)
                        WHERE u.kind IN ('place_accessibility',
                                         'building_accessibility')
                            AND u.contributor_id = ANY (part)
                        ORDER BY u.contributor_id, u.hlc, u.event_id) f) n
            WHERE c.id = n.id COLLATE "C";

            UPDATE scc.counter SET value = base + cardinality(part)
                WHERE name = 'contributor';
        END IF;
    END IF;

    -- Retracted before it came: kept, and shown when it is restored.

    IF hidden IS NOT NULL THEN
        FOR e IN
            SELECT u.event_id, scc.body_fault(u.kind, u.doc::text) AS fault
            FROM unnest(ids, kinds, doc) AS u(event_id, kind, doc)
            WHERE u.event_id = ANY (hidden)
        LOOP
            IF e.fault IS NOT NULL THEN
                RAISE EXCEPTION 'event %: %', e.event_id, e.fault
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
        END LOOP;

        SELECT array_agg(u.event_id), array_agg(u.hlc), array_agg(u.kind),
               array_agg(u.contributor_id), array_agg(u.doc)
            INTO ids, hlcs, kinds, cids, doc
            FROM unnest(ids, hlcs, kinds, cids, doc)
                AS u(event_id, hlc, kind, contributor_id, doc)
            WHERE u.event_id <> ALL (hidden);
    END IF;

    IF about IS NOT NULL THEN
        WITH gone AS (
            DELETE FROM scc.report t USING scc.retraction r
            WHERE t.event_id = ANY (about) AND r.event_id = t.event_id
                AND r.retracted
            RETURNING t.place_id, t.reason)
        SELECT array_agg(place_id) INTO closed FROM gone
            WHERE reason = 'CLOSED';

        DELETE FROM scc.comment t USING scc.retraction r
        WHERE t.event_id = ANY (about) AND r.event_id = t.event_id
            AND r.retracted;

        FOR e IN
            SELECT DISTINCT l.kind, l.target
            FROM unnest(about) AS a(id)
            JOIN scc.contribution l ON l.event_id = a.id
            WHERE l.kind IN ('place', 'building', 'place_accessibility',
                             'building_accessibility')
            ORDER BY l.kind, l.target
        LOOP
            PERFORM scc.refold(e.kind, e.target);
        END LOOP;

        -- pages list who contributed; names are folded by themselves

        SELECT array_agg(l.target) INTO lost
            FROM unnest(about) AS a(id)
            JOIN scc.contribution l ON l.event_id = a.id
            WHERE l.kind = 'place_accessibility';

        SELECT array_agg(p.id) INTO part
            FROM unnest(about) AS a(id)
            JOIN scc.contribution l ON l.event_id = a.id
            JOIN scc.place p ON p.building_id = l.target
            WHERE l.kind = 'building_accessibility';

        lost := array_cat(lost, part);

        SELECT array_agg(n.id) INTO renamed
            FROM (SELECT l.target AS id
                  FROM unnest(about) AS a(id)
                  JOIN scc.contribution l ON l.event_id = a.id
                  WHERE l.kind = 'contributor'
                  UNION
                  SELECT l.contributor_id
                  FROM unnest(about) AS a(id)
                  JOIN scc.contribution l ON l.event_id = a.id
                  WHERE l.kind = 'contributor') n;

        IF renamed IS NOT NULL THEN
            PERFORM scc.rename(renamed);
        END IF;

        -- what has a row of its own comes back as if it came now

        SELECT array_cat(ids, array_agg(l.event_id)),
               array_cat(hlcs, array_agg(l.hlc)),
               array_cat(kinds, array_agg(l.kind COLLATE "default")),
               array_cat(cids, array_agg(l.contributor_id
                                         COLLATE "default")),
               array_cat(doc, array_agg(l.body::jsonb))
            INTO ids, hlcs, kinds, cids, doc
            FROM unnest(about) AS a(id)
            JOIN scc.contribution l ON l.event_id = a.id
            JOIN scc.retraction r ON r.event_id = a.id
            WHERE NOT r.retracted AND l.kind IN ('comment', 'report')
                AND l.event_id <> ALL (fresh);
    END IF;

    IF 'comment' = ANY (kinds) THEN
        PERFORM scc.project_comment(ids, hlcs, kinds, cids, doc);
    END IF;

    IF 'report' = ANY (kinds) THEN
        PERFORM scc.project_report(ids, hlcs, kinds, cids, doc);

        SELECT array_agg(u.doc ->> 'placeId') INTO part
            FROM unnest(kinds, doc) AS u(kind, doc)
            WHERE u.kind = 'report' AND u.doc ->> 'reason' = 'CLOSED';

        closed := array_cat(closed, part);
    END IF;

    IF 'building' = ANY (kinds) THEN
        PERFORM scc.project_building(ids, hlcs, kinds, cids, doc, false);
    END IF;

    -- Who comes too late is a contributor all the same, and pages say so.

    IF 'building_accessibility' = ANY (kinds) THEN
        won := scc.project_building_accessibility(ids, hlcs, kinds, cids,
                                                  doc, false);

        IF won < cardinality(array_positions(kinds, 'building_accessibility'))
        THEN
            SELECT array_agg(p.id) INTO part
                FROM unnest(ids, kinds, doc) AS e(event_id, kind, doc)
                JOIN scc.building_accessibility t
                    ON t.building_id = (e.doc ->> 'buildingId') COLLATE "C"
                JOIN scc.place p ON p.building_id = t.building_id
                WHERE e.kind = 'building_accessibility'
                    AND t.event_id <> e.event_id;

            lost := array_cat(lost, part);
        END IF;
    END IF;

    IF 'place_accessibility' = ANY (kinds) THEN
        won := scc.project_place_accessibility(ids, hlcs, kinds, cids, doc,
                                               false);

        IF won < cardinality(array_positions(kinds, 'place_accessibility'))
        THEN
            SELECT array_agg(t.place_id) INTO part
                FROM unnest(ids, kinds, doc) AS e(event_id, kind, doc)
                JOIN scc.place_accessibility t
                    ON t.place_id = (e.doc ->> 'placeId') COLLATE "C"
                WHERE e.kind = 'place_accessibility'
                    AND t.event_id <> e.event_id;

            lost := array_cat(lost, part);
        END IF;
    END IF;

    IF 'place' = ANY (kinds) THEN
        PERFORM scc.project_place(ids, hlcs, kinds, doc, false);
    END IF;

    IF closed IS NOT NULL THEN
        PERFORM scc.reclose(closed);
    END IF;

    IF lost IS NOT NULL THEN
        PERFORM scc.place_touch(lost);
    END IF;

    RETURN cardinality(fresh);
END
$$;


-- What is wrong with a body, or NULL.  Asked only after a batch failed, so
-- that the message can name the field.

CREATE OR REPLACE FUNCTION scc.body_fault(kind text, body text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stairs   text[] := ARRAY['UNDEFINED', 'NONE', 'ONE', 'TWO_TO_FIVE',
                             'OVER_SIX'];
    heights  text[] := ARRAY['HALF_THUMB', 'THUMB', 'OVER_THUMB'];
    doors    text[] := ARRAY['None', 'Hinged', 'Sliding', 'Revolving',
                             'Automatic', 'ETC'];
    reasons  text[] := ARRAY['INACCURATE_INFO', 'CLOSED', 'BAD_USER'];
    doc      jsonb;
    val      jsonb;
    f        record;
BEGIN
    IF kind IS NULL OR kind NOT IN ('place', 'building',
        'place_accessibility', 'building_accessibility', 'comment', 'report',
        'retract', 'restore', 'contributor', 'erase')
    THEN
        RETURN format('kind %L is unknown; use place, building, '
            'place_accessibility, building_accessibility, comment, report, '
            'retract, restore, contributor or erase', kind);
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
            ('comment', 'placeId', 'id', false, NULL),
            ('comment', 'buildingId', 'id', false, NULL),
            ('comment', 'comment', 'string', true, NULL),
            ('report', 'placeId', 'id', true, NULL),
            ('report', 'reason', 'string', true, reasons),
            ('report', 'detail', 'string', false, NULL),
            ('retract', 'eventId', 'uuid', true, NULL),
            ('restore', 'eventId', 'uuid', true, NULL),
            ('contributor', 'contributorId', 'id', false, NULL),
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

        WHEN 'uuid' THEN
            IF jsonb_typeof(val) <> 'string' OR val #>> '{}' !~*
               '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$'
            THEN
                RETURN format('field "%s" must be the id of an event, '
                              'a UUID', f.field);
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

    IF kind = 'comment' AND num_nonnulls(doc ->> 'placeId',
                                         doc ->> 'buildingId') <> 1
    THEN
        RETURN 'field "placeId" or "buildingId" must be given, not both';
    END IF;

    RETURN NULL;
END
$$;


-- Applies contributions of any kind, in any order, any number of times: only
-- events that the ledger does not have are added and folded, per target the
-- greatest (hlc, event_id) that is not retracted wins as a whole document.
-- An event whose id, or whose contributor's idempotency key, is known counts
-- as old; "mismatched" are the positions, from 1, of those old ones whose id
-- or key the ledger has with another body.
--
-- A bad event fails the whole call with an SQLSTATE of class 22 or 23; the
-- message names the event and the field, DETAIL is the event's id alone.

CREATE FUNCTION scc.contribute(event_id uuid[], hlc bigint[], kind text[],
    contributor_id text[], contributor_name text[], idem_key text[],
    received_at timestamptz[], segment_id uuid[], body text[],
    OUT events_new bigint, OUT events_old bigint, OUT mismatched int[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $$
DECLARE
    n        int := coalesce(cardinality(contribute.event_id), 0);
    fault    text;
    state    text;
    message  text;
BEGIN
    IF coalesce(cardinality(contribute.hlc), 0) <> n
       OR coalesce(cardinality(contribute.kind), 0) <> n
       OR coalesce(cardinality(contribute.contributor_id), 0) <> n
       OR coalesce(cardinality(contribute.contributor_name), 0) <> n
       OR coalesce(cardinality(contribute.idem_key), 0) <> n
       OR coalesce(cardinality(contribute.received_at), 0) <> n
       OR coalesce(cardinality(contribute.segment_id), 0) <> n
       OR coalesce(cardinality(contribute.body), 0) <> n
    THEN
        RAISE EXCEPTION 'the arrays of events differ in length; pass one '
            'element per event in each'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    events_new := 0;
    events_old := 0;
    mismatched := '{}';

    IF n = 0 THEN
        RETURN;
    END IF;

    PERFORM scc.write_lock();

    BEGIN
        events_new := scc.fold(contribute.event_id, contribute.hlc,
            contribute.kind, contribute.contributor_id,
            contribute.contributor_name, contribute.idem_key,
            contribute.received_at, contribute.segment_id, contribute.body);
        events_old := n - events_new;

        IF events_old > 0 THEN
            mismatched := ARRAY(
                SELECT u.i::int
                FROM unnest(contribute.event_id, contribute.body)
                    WITH ORDINALITY AS u(event_id, body, i)
                LEFT JOIN scc.contribution l ON l.event_id = u.event_id
                WHERE l.body_sha256
                    IS DISTINCT FROM sha256(convert_to(u.body, 'UTF8'))
                ORDER BY u.i);
        END IF;

        RETURN;

    EXCEPTION WHEN data_exception OR integrity_constraint_violation
                   OR program_limit_exceeded
    THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE,
                                message = MESSAGE_TEXT;
    END;

    -- The batch is undone.  Find the first event that is bad by itself.

    FOR i IN 1 .. n LOOP
        IF contribute.event_id[i] IS NULL THEN
            RAISE EXCEPTION 'event_id[%] is NULL', i
                USING ERRCODE = 'not_null_violation';
        END IF;

        fault := scc.body_fault(contribute.kind[i], contribute.body[i]);

        IF fault IS NOT NULL THEN
            RAISE EXCEPTION 'event %: %', contribute.event_id[i], fault
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = contribute.event_id[i]::text;
        END IF;

        BEGIN
            PERFORM scc.fold(contribute.event_id[i:i], contribute.hlc[i:i],
                contribute.kind[i:i], contribute.contributor_id[i:i],
                contribute.contributor_name[i:i], contribute.idem_key[i:i],
                contribute.received_at[i:i], contribute.segment_id[i:i],
                contribute.body[i:i]);

        EXCEPTION
        WHEN data_exception OR integrity_constraint_violation THEN
            RAISE EXCEPTION 'event %: %', contribute.event_id[i], SQLERRM
                USING ERRCODE = SQLSTATE,
                      DETAIL = contribute.event_id[i]::text;

        WHEN program_limit_exceeded THEN
            -- the event's fault, though class 54 says "try again"
            RAISE EXCEPTION 'event %: %', contribute.event_id[i], SQLERRM
                USING ERRCODE = 'invalid_parameter_value',
                      DETAIL = contribute.event_id[i]::text;
        END;
    END LOOP;

    RAISE EXCEPTION 'a batch of % events failed although each can be applied '
        'alone: %', n, message USING ERRCODE = state;
END
$$;


-- The same for events of one segment, or none.

CREATE OR REPLACE FUNCTION scc.apply(event_id uuid[], hlc bigint[],
    kind text[], contributor_id text[], contributor_name text[],
    idem_key text[], received_at timestamptz[], segment_id uuid, body text[],
    OUT events_new bigint, OUT events_old bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT c.events_new, c.events_old INTO events_new, events_old
        FROM scc.contribute(apply.event_id, apply.hlc, apply.kind,
            apply.contributor_id, apply.contributor_name, apply.idem_key,
            apply.received_at,
            array_fill(apply.segment_id,
                       ARRAY[coalesce(cardinality(apply.event_id), 0)]),
            apply.body) c;
END
$$;


-- Which of these events are not in the ledger with this body: positions from
-- 1, and whether the event is a dead letter.

CREATE FUNCTION scc.missing(event_id uuid[], body_sha256 bytea[],
    OUT i int, OUT dead bool) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off AS $$
    SELECT u.i::int, EXISTS (SELECT FROM scc.dead_letter d
                             WHERE d.event_id = u.event_id)
    FROM unnest(missing.event_id, missing.body_sha256) WITH ORDINALITY
        AS u(event_id, body_sha256, i)
    LEFT JOIN scc.contribution l ON l.event_id = u.event_id
        AND l.body_sha256 = u.body_sha256
    WHERE l.event_id IS NULL
    ORDER BY u.i
$$;


-- Keeps what cannot be applied, once, however often it is told; of who was
-- erased only that there was something.

CREATE FUNCTION scc.bury(event_id uuid, segment_id uuid, reason text,
    sqlstate text, raw bytea) RETURNS bool
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(5456707, 2);

    IF EXISTS (SELECT FROM scc.letter_sender(bury.raw) s
               JOIN scc.contributor c
                   ON c.id = s.contributor_id COLLATE "C"
               WHERE s.hlc <= c.erased_hlc)
    THEN
        bury.raw := '';
        bury.reason := 'erased';
    END IF;

    IF EXISTS (SELECT FROM scc.dead_letter d
               WHERE d.event_id = bury.event_id AND d.raw = bury.raw)
    THEN
        RETURN false;
    END IF;

    INSERT INTO scc.dead_letter (event_id, segment_id, reason, sqlstate, raw)
    VALUES (bury.event_id, bury.segment_id, bury.reason, bury.sqlstate,
            bury.raw);

    RETURN true;
END
$$;


REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    scc.contribute(uuid[], bigint[], text[], text[], text[], text[],
        timestamptz[], uuid[], text[]),
    scc.missing(uuid[], bytea[]),
    scc.bury(uuid, uuid, text, text, bytea)
    TO scc_app;

RESET ROLE;
