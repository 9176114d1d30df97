--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- Bodies as they come over the wire: their types, and what is wrong with one.
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
    "entranceDoorTypes" text[], "imageUrls" text[], "recoveredFrom" text,
    confidence numeric, recoverer text, "originalTime" timestamptz);

CREATE TYPE scc.building_accessibility_body AS (
    "buildingId" text, "entranceStairInfo" text, "hasElevator" bool,
    "hasSlope" bool, "entranceStairHeightLevel" text,
    "entranceDoorTypes" text[], "elevatorStairInfo" text,
    "elevatorStairHeightLevel" text, "imageUrls" text[],
    "recoveredFrom" text, confidence numeric, recoverer text,
    "originalTime" timestamptz);

CREATE TYPE scc.contributor_body AS (
    "contributorId" text, "displayName" text);

CREATE TYPE scc.comment_body AS (
    "placeId" text, "buildingId" text, comment text);

CREATE TYPE scc.photo_body AS (
    "objectKey" text, size bigint, sha256 text, "takenAt" timestamptz,
    location scc.location_body, "placeId" text, "buildingId" text,
    "imageType" text, uploader text);

CREATE TYPE scc.report_body AS ("placeId" text, reason text, detail text);


-- The time by which a body competes for its target; hybrid logical clock.
-- What was re-entered from a photo or a sheet is as old as the record that
-- was lost, or older than any other if nobody knows; a revisit is as new as
-- it says.

CREATE FUNCTION scc.as_of(hlc bigint, doc jsonb) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN doc ->> 'recoveredFrom' IN ('photo', 'sheet')
        THEN greatest(0, least(hlc, floor(extract(epoch FROM least(
                 greatest((doc ->> 'originalTime')::timestamptz,
                          '1900-01-01 00:00:00+00'),
                 '3000-01-01 00:00:00+00')) * 1000)::bigint << 16))
        ELSE hlc END
$$;

-- The same of a body as text, which is seldom such a one; "\u" because names
-- of fields may be written so too.  strpos() takes five times as long as
-- LIKE to find that two characters are nowhere.

CREATE FUNCTION scc.as_of(hlc bigint, body text) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN strpos(body, 'recoveredFrom') > 0
                     OR body COLLATE "C" LIKE '%\\u%'
        THEN scc.as_of(hlc, body::jsonb) ELSE hlc END
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
    reasons  text[] := ARRAY['INACCURATE_INFO', 'CLOSED', 'BAD_USER'];
    sources  text[] := ARRAY['photo', 'sheet', 'revisit'];
    images   text[] := ARRAY['Entrance', 'Elevator'];
    doc      jsonb;
    val      jsonb;
    f        record;
BEGIN
    IF kind IS NULL OR kind NOT IN ('place', 'building',
        'place_accessibility', 'building_accessibility', 'comment', 'report',
        'retract', 'restore', 'contributor', 'erase', 'remove',
        'reinstate', 'photo')
    THEN
        RETURN format('kind %L is unknown; use place, building, '
            'place_accessibility, building_accessibility, comment, report, '
            'retract, restore, contributor, erase, remove, reinstate or '
            'photo',
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
            ('place_accessibility', 'recoveredFrom', 'string', false,
             sources),
            ('place_accessibility', 'confidence', 'share', false, NULL),
            ('place_accessibility', 'recoverer', 'id', false, NULL),
            ('place_accessibility', 'originalTime', 'time', false, NULL),
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
            ('building_accessibility', 'recoveredFrom', 'string', false,
             sources),
            ('building_accessibility', 'confidence', 'share', false, NULL),
            ('building_accessibility', 'recoverer', 'id', false, NULL),
            ('building_accessibility', 'originalTime', 'time', false, NULL),
            ('comment', 'placeId', 'id', false, NULL),
            ('comment', 'buildingId', 'id', false, NULL),
            ('comment', 'comment', 'string', true, NULL),
            ('report', 'placeId', 'id', true, NULL),
            ('report', 'reason', 'string', true, reasons),
            ('report', 'detail', 'string', false, NULL),
            ('retract', 'eventId', 'uuid', true, NULL),
            ('restore', 'eventId', 'uuid', true, NULL),
            ('remove', 'eventId', 'uuid', true, NULL),
            ('reinstate', 'eventId', 'uuid', true, NULL),
            ('photo', 'objectKey', 'key', true, NULL),
            ('photo', 'size', 'size', true, NULL),
            ('photo', 'sha256', 'sha256', true, NULL),
            ('photo', 'takenAt', 'time', true, NULL),
            ('photo', 'location', 'location', false, NULL),
            ('photo', 'placeId', 'id', false, NULL),
            ('photo', 'buildingId', 'id', false, NULL),
            ('photo', 'imageType', 'string', false, images),
            ('photo', 'uploader', 'id', false, NULL),
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

        WHEN 'key' THEN
            IF jsonb_typeof(val) <> 'string'
               OR octet_length(val #>> '{}') NOT BETWEEN 1 AND 1024
            THEN
                RETURN format('field "%s" must be a string of 1 to 1024 '
                              'bytes', f.field);
            END IF;

        WHEN 'size' THEN
            IF jsonb_typeof(val) <> 'number' OR val::text !~ '^[0-9]{1,13}$'
            THEN
                RETURN format('field "%s" must be a whole number of bytes',
                              f.field);
            END IF;

        WHEN 'sha256' THEN
            IF jsonb_typeof(val) <> 'string'
               OR val #>> '{}' !~ '^[0-9a-f]{64}$'
            THEN
                RETURN format('field "%s" must be a SHA-256: 64 hex digits '
                              'in lower case', f.field);
            END IF;

        WHEN 'share' THEN
            IF jsonb_typeof(val) <> 'number'
               OR val::numeric NOT BETWEEN 0 AND 1
            THEN
                RETURN format('field "%s" must be a number from 0 to 1',
                              f.field);
            END IF;

        WHEN 'time' THEN
            IF jsonb_typeof(val) <> 'string' OR val #>> '{}' !~*
               ('^(19|2[0-9])[0-9]{2}-[0-9]{2}-[0-9]{2}t[0-9]{2}:[0-9]{2}:'
                || '[0-9]{2}([.][0-9]+)?(z|[+-][0-9]{2}:[0-9]{2})$')
            THEN
                RETURN format('field "%s" must be an RFC 3339 time from '
                              '1900 to 2999', f.field);
            END IF;

            BEGIN
                PERFORM (val #>> '{}')::timestamptz;
            EXCEPTION WHEN data_exception THEN
                RETURN format('field "%s" is no time: %s', f.field, SQLERRM);
            END;

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


REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;

RESET ROLE;
