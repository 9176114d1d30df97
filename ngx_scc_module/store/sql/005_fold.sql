--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- The fold: events into the ledger, and what they change.
--

SET ROLE scc_owner;


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
    SET body = scc.nameless(l.body),
        body_sha256 = sha256(convert_to(scc.nameless(l.body), 'UTF8'))
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


-- Whether any of these has no number yet: most have, which is cheaper to see
-- without an order.  LIMIT keeps the join a look-up by key: a plain one may
-- read all numbers for each event.

CREATE FUNCTION scc.unnumbered(kind text, ids text[]) RETURNS bool
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN EXISTS (SELECT
                   FROM (SELECT DISTINCT e.id COLLATE "C" AS id
                         FROM (SELECT unnest(ids) AS id) e) u
                   LEFT JOIN LATERAL (SELECT n.id FROM scc.number n
                                      WHERE n.kind = unnumbered.kind
                                                     COLLATE "C"
                                          AND n.id = u.id
                                      LIMIT 1) n
                       ON true
                   WHERE n.id IS NULL);
END
$$;


-- Gives the next numbers to those that have none, by the first of these
-- events about each.  It does not matter how events that come by (hlc,
-- event_id) are cut into batches.

CREATE FUNCTION scc.give_numbers(kind text, targets text[], hlcs bigint[],
    ids uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    base   bigint;
    given  bigint;
BEGIN
    SELECT value INTO base FROM scc.counter c
        WHERE c.kind = give_numbers.kind COLLATE "C";

    INSERT INTO scc.number (kind, number, id)
    SELECT give_numbers.kind,
        base + row_number() OVER (ORDER BY f.hlc, f.event_id), f.id
    FROM (SELECT DISTINCT ON (u.id) u.*
          FROM (SELECT e.id COLLATE "C" AS id, e.hlc, e.event_id
                FROM unnest(targets, hlcs, ids) AS e(id, hlc, event_id)) u
          ORDER BY u.id, u.hlc, u.event_id) f
    LEFT JOIN LATERAL (SELECT n.id FROM scc.number n
                       WHERE n.kind = give_numbers.kind COLLATE "C"
                           AND n.id = f.id
                       LIMIT 1) n
        ON true
    WHERE n.id IS NULL;

    GET DIAGNOSTICS given = ROW_COUNT;

    UPDATE scc.counter c SET value = base + given
        WHERE c.kind = give_numbers.kind COLLATE "C";
END
$$;


-- Adds events to the ledger and folds the new ones.  Returns how many were
-- new.  Arrays are of equal length and have been checked by the caller.

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
    ids      ALIAS FOR $1;              -- which an assignment would copy
    hlcs     ALIAS FOR $2;
    kinds    ALIAS FOR $3;
    cids     ALIAS FOR $4;
    names    ALIAS FOR $5;
    bodies   ALIAS FOR $9;
    targets  text[];
    fresh    uuid[];
    hidden   uuid[];
    about    uuid[];
    won      bigint;
    part     text[];
    lost     text[];
    renamed  text[];
    closed   text[];
    e        record;
BEGIN
    -- unnest() in the list of columns keeps nothing; in FROM, every column
    -- of every row once

    targets := ARRAY(
        SELECT CASE
            WHEN u.kind IN ('place', 'place_accessibility', 'report')
            THEN u.doc ->> 'placeId'
            WHEN u.kind IN ('building', 'building_accessibility')
            THEN u.doc ->> 'buildingId'
            WHEN u.kind = 'comment'
            THEN coalesce(u.doc ->> 'placeId', u.doc ->> 'buildingId')
            WHEN u.kind IN ('retract', 'restore', 'remove', 'reinstate')
            THEN (u.doc ->> 'eventId')::uuid::text
            WHEN u.kind = 'contributor'
            THEN coalesce(u.doc ->> 'contributorId', u.contributor_id)
            WHEN u.kind = 'photo'
            THEN encode(sha256(convert_to(u.doc ->> 'objectKey', 'UTF8')),
                        'hex')
            WHEN u.kind = 'erase'
            THEN u.contributor_id END
        FROM (SELECT e.kind, e.contributor_id, e.body::jsonb AS doc
              FROM (SELECT unnest(kinds) AS kind,
                        unnest(cids) AS contributor_id,
                        unnest(bodies) AS body) e
              OFFSET 0) u);

    -- As a rule all are new.  To be ready for others at every row costs a
    -- sixth of all that is done here; so that is for the second try.

    BEGIN
        INSERT INTO scc.contribution (event_id, hlc, received_at, segment_id,
            kind, target, contributor_id, contributor_name, idem_key,
            body_sha256, body)
        SELECT e.event_id, e.hlc, e.received_at, e.segment_id, e.kind,
            e.target, e.contributor_id, e.contributor_name, e.idem_key,
            sha256(convert_to(e.body, 'UTF8')), e.body
        FROM (SELECT unnest(ids) AS event_id, unnest(hlcs) AS hlc,
                  unnest(fold.received_at) AS received_at,
                  unnest(fold.segment_id) AS segment_id,
                  unnest(kinds) AS kind, unnest(targets) AS target,
                  unnest(cids) AS contributor_id,
                  unnest(names) AS contributor_name,
                  unnest(fold.idem_key) AS idem_key,
                  unnest(bodies) AS body) e;

        fresh := ids;

    EXCEPTION WHEN unique_violation THEN

        WITH added AS (
            INSERT INTO scc.contribution (event_id, hlc, received_at,
                segment_id, kind, target, contributor_id, contributor_name,
                idem_key, body_sha256, body)
            SELECT e.event_id, e.hlc, e.received_at, e.segment_id, e.kind,
                e.target, e.contributor_id, e.contributor_name, e.idem_key,
                sha256(convert_to(e.body, 'UTF8')), e.body
            FROM (SELECT unnest(ids) AS event_id, unnest(hlcs) AS hlc,
                      unnest(fold.received_at) AS received_at,
                      unnest(fold.segment_id) AS segment_id,
                      unnest(kinds) AS kind, unnest(targets) AS target,
                      unnest(cids) AS contributor_id,
                      unnest(names) AS contributor_name,
                      unnest(fold.idem_key) AS idem_key,
                      unnest(bodies) AS body) e
            ON CONFLICT DO NOTHING
            RETURNING event_id)
        SELECT array_agg(event_id) INTO fresh FROM added;
    END;

    IF fresh IS NULL THEN
        RETURN 0;
    END IF;

    IF cardinality(fresh) < cardinality(ids) THEN
        SELECT array_agg(l.event_id), array_agg(l.hlc), array_agg(l.kind),
               array_agg(l.contributor_id), array_agg(l.contributor_name),
               array_agg(l.target), array_agg(l.body)
            INTO ids, hlcs, kinds, cids, names, targets, bodies
            FROM unnest(fresh) AS f(id)
            JOIN scc.contribution l ON l.event_id = f.id;
    END IF;

    -- Corrections first, so that events of this batch know of them.

    IF kinds && ARRAY['retract', 'restore', 'remove', 'reinstate'] THEN
        WITH said AS (
            INSERT INTO scc.retraction AS t (event_id, said_by, retracted,
                hlc, by_event)
            SELECT DISTINCT ON (u.about, u.said_by) u.about, u.said_by,
                u.kind IN ('retract', 'remove'), u.hlc, u.event_id
            FROM (SELECT c.*, c.target::uuid AS about,
                      CASE WHEN c.kind IN ('retract', 'restore')
                           THEN c.contributor_id ELSE '' END COLLATE "C"
                          AS said_by
                  FROM unnest(ids, hlcs, kinds, cids, targets)
                      AS c(event_id, hlc, kind, contributor_id, target)
                  WHERE c.kind IN ('retract', 'restore', 'remove',
                                   'reinstate') OFFSET 0) u
            ORDER BY u.about, u.said_by, u.hlc DESC, u.event_id DESC
            ON CONFLICT (event_id, said_by) DO UPDATE SET
                retracted = excluded.retracted,
                hlc = excluded.hlc,
                by_event = excluded.by_event
            WHERE (t.hlc, t.by_event) < (excluded.hlc, excluded.by_event)
            RETURNING t.event_id, t.said_by)
        SELECT array_agg(DISTINCT s.event_id) INTO about
            FROM said s
            JOIN scc.contribution l ON l.event_id = s.event_id
            WHERE s.said_by IN ('', l.contributor_id);
    END IF;

    IF EXISTS (SELECT FROM scc.retraction) THEN
        SELECT array_agg(u.id) INTO hidden
            FROM unnest(ids, cids) AS u(id, contributor_id)
            WHERE EXISTS (SELECT FROM scc.retraction r  -- scc.hidden()
                          WHERE r.event_id = u.id AND r.retracted
                              AND r.said_by IN ('', u.contributor_id));
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
                FROM (SELECT unnest(ids) AS event_id, unnest(hlcs) AS hlc,
                          unnest(kinds) AS kind,
                          unnest(cids) AS contributor_id,
                          unnest(names) AS name) u
                UNION ALL
                SELECT u.target,
                    CASE WHEN hidden IS NULL OR u.event_id <> ALL (hidden)
                         THEN u.body::jsonb ->> 'displayName' END, u.hlc
                FROM unnest(ids, hlcs, kinds, targets, bodies)
                    AS u(event_id, hlc, kind, target, body)
                WHERE 'contributor' = ANY (kinds)       -- seldom
                    AND u.kind = 'contributor') s
          GROUP BY s.id, s.name) g
    ORDER BY g.id, g.name IS NULL, g.hlc DESC, g.name DESC
    ON CONFLICT (id) DO UPDATE SET
        display_name = excluded.display_name,
        hlc = excluded.hlc
    WHERE excluded.hlc > coalesce(c.erased_hlc, -1)
        AND (c.hlc IS NULL OR (c.hlc, c.display_name)
                              < (excluded.hlc, excluded.display_name));

    IF 'erase' = ANY (kinds) THEN
        WITH erased AS (
            UPDATE scc.contributor c
            SET erased_hlc = n.hlc,
                display_name = CASE WHEN c.hlc > n.hlc
                                    THEN c.display_name END,
                hlc = CASE WHEN c.hlc > n.hlc THEN c.hlc END
            FROM (SELECT u.contributor_id, max(u.hlc) AS hlc
                  FROM unnest(hlcs, kinds, cids)
                      AS u(hlc, kind, contributor_id)
                  WHERE u.kind = 'erase'
                  GROUP BY u.contributor_id) n
            WHERE c.id = n.contributor_id COLLATE "C"
                AND n.hlc > coalesce(c.erased_hlc, -1)
            RETURNING c.id)
        SELECT array_agg(id) INTO part FROM erased;

        IF part IS NOT NULL THEN
            INSERT INTO scc.forgotten (place_id)
            SELECT id FROM scc.places_of(part) AS p(id)
            ON CONFLICT (place_id) DO UPDATE SET xid = excluded.xid;
        END IF;
    END IF;

    IF EXISTS (SELECT FROM scc.contributor WHERE erased_hlc IS NOT NULL) THEN
        FOR e IN
            SELECT c.id, c.erased_hlc
            FROM (SELECT u.id COLLATE "C" AS id, min(u.hlc) AS hlc
                  FROM (SELECT v.contributor_id AS id, v.hlc
                        FROM unnest(hlcs, cids) AS v(hlc, contributor_id)
                        UNION ALL
                        SELECT v.target, v.hlc
                        FROM unnest(hlcs, kinds, targets)
                            AS v(hlc, kind, target)
                        WHERE v.kind = 'contributor') u
                  GROUP BY u.id) s
            JOIN scc.contributor c ON c.id = s.id
            WHERE s.hlc <= c.erased_hlc
        LOOP
            PERFORM scc.erase(e.id, e.erased_hlc);
        END LOOP;
    END IF;

    -- Who conquers, and what is conquered, for the first time gets the next
    -- number, be it retracted or not.

    IF kinds && ARRAY['place_accessibility', 'building_accessibility']
       AND scc.unnumbered('contributor', cids)
    THEN
        PERFORM scc.give_numbers('contributor', array_agg(u.contributor_id),
                                 array_agg(u.hlc), array_agg(u.event_id))
            FROM (SELECT unnest(ids) AS event_id, unnest(hlcs) AS hlc,
                      unnest(kinds) AS kind,
                      unnest(cids) AS contributor_id) u
            WHERE u.kind IN ('place_accessibility',
                             'building_accessibility');
    END IF;

    IF 'place_accessibility' = ANY (kinds)
       AND scc.unnumbered('place', targets)
    THEN
        PERFORM scc.give_numbers('place', array_agg(u.target),
                                 array_agg(u.hlc), array_agg(u.event_id))
            FROM (SELECT unnest(ids) AS event_id, unnest(hlcs) AS hlc,
                      unnest(kinds) AS kind, unnest(targets) AS target) u
            WHERE u.kind = 'place_accessibility';
    END IF;

    -- Retracted before it came: kept, and shown when it is restored.

    IF hidden IS NOT NULL THEN
        FOR e IN
            SELECT u.event_id, scc.body_fault(u.kind, u.body) AS fault
            FROM unnest(ids, kinds, bodies) AS u(event_id, kind, body)
            WHERE u.event_id = ANY (hidden)
        LOOP
            IF e.fault IS NOT NULL THEN
                RAISE EXCEPTION 'event %: %', e.event_id, e.fault
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
        END LOOP;

        SELECT array_agg(u.event_id), array_agg(u.hlc), array_agg(u.kind),
               array_agg(u.contributor_id), array_agg(u.target),
               array_agg(u.body)
            INTO ids, hlcs, kinds, cids, targets, bodies
            FROM unnest(ids, hlcs, kinds, cids, targets, bodies)
                AS u(event_id, hlc, kind, contributor_id, target, body)
            WHERE u.event_id <> ALL (hidden);
    END IF;

    IF about IS NOT NULL THEN
        WITH gone AS (
            DELETE FROM scc.report t
            WHERE t.event_id = ANY (about)
                AND scc.hidden(t.event_id, t.contributor_id)
            RETURNING t.place_id, t.reason)
        SELECT array_agg(place_id) INTO closed FROM gone
            WHERE reason = 'CLOSED';

        DELETE FROM scc.comment t
        WHERE t.event_id = ANY (about)
            AND scc.hidden(t.event_id, t.contributor_id);

        FOR e IN
            SELECT DISTINCT l.kind, l.target
            FROM unnest(about) AS a(id)
            JOIN scc.contribution l ON l.event_id = a.id
            WHERE l.kind IN ('place', 'building', 'place_accessibility',
                             'building_accessibility', 'photo')
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
               array_cat(targets, array_agg(l.target COLLATE "default")),
               array_cat(bodies, array_agg(l.body))
            INTO ids, hlcs, kinds, cids, targets, bodies
            FROM unnest(about) AS a(id)
            JOIN scc.contribution l ON l.event_id = a.id
            WHERE l.kind IN ('comment', 'report')
                AND NOT scc.hidden(l.event_id, l.contributor_id)
                AND l.event_id <> ALL (fresh);
    END IF;

    IF 'comment' = ANY (kinds) THEN
        PERFORM scc.project_comment(ids, hlcs, kinds, cids, bodies);
    END IF;

    IF 'report' = ANY (kinds) THEN
        PERFORM scc.project_report(ids, hlcs, kinds, cids, bodies);

        SELECT array_agg(u.target) INTO part
            FROM unnest(kinds, targets, bodies) AS u(kind, target, body)
            WHERE u.kind = 'report'
                AND u.body::jsonb ->> 'reason' = 'CLOSED';

        closed := array_cat(closed, part);
    END IF;

    IF 'photo' = ANY (kinds) THEN
        PERFORM scc.project_photo(ids, hlcs, kinds, cids, targets, bodies,
                                  false);
    END IF;

    IF 'building' = ANY (kinds) THEN
        PERFORM scc.project_building(ids, hlcs, kinds, cids, targets,
                                     bodies, false);
    END IF;

    -- Who comes too late is a contributor all the same, and pages say so.

    IF 'building_accessibility' = ANY (kinds) THEN
        won := scc.project_building_accessibility(ids, hlcs, kinds, cids,
                                                  targets, bodies, false);

        IF won < cardinality(array_positions(kinds, 'building_accessibility'))
        THEN
            SELECT array_agg(p.id) INTO part
                FROM unnest(ids, kinds, targets)
                    AS e(event_id, kind, target)
                JOIN scc.building_accessibility t
                    ON t.building_id = e.target COLLATE "C"
                JOIN scc.place p ON p.building_id = t.building_id
                WHERE e.kind = 'building_accessibility'
                    AND t.event_id <> e.event_id;

            lost := array_cat(lost, part);
        END IF;
    END IF;

    IF 'place_accessibility' = ANY (kinds) THEN
        part := scc.project_place_accessibility(ids, hlcs, kinds, cids,
                                                targets, bodies, false);
        lost := array_cat(lost, part);
    END IF;

    IF 'place' = ANY (kinds) THEN
        PERFORM scc.project_place(ids, hlcs, kinds, cids, targets, bodies,
                                  false);
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


-- What the projections do not say as the ledger does: none, ever.  It folds
-- the whole ledger again, so it is for "sccctl verify", not for requests.

CREATE VIEW scc.counted AS
SELECT l.*
FROM scc.contribution l
WHERE NOT EXISTS (SELECT FROM scc.retraction r
                  WHERE r.event_id = l.event_id AND r.retracted
                      AND r.said_by IN ('', l.contributor_id));

-- Bodies are read only of what won: others may be bad, and nobody noticed.

CREATE VIEW scc.newest AS
SELECT w.*
FROM (SELECT DISTINCT ON (l.kind, l.target) l.kind, l.target, l.as_of,
          l.hlc, l.event_id, l.contributor_id, l.body
      FROM (SELECT c.*, CASE WHEN c.kind IN ('place', 'building', 'photo')
                             THEN c.hlc
                             ELSE scc.as_of(c.hlc, c.body::jsonb) END
                AS as_of
            FROM scc.counted c
            WHERE c.kind IN ('place', 'building', 'place_accessibility',
                             'building_accessibility', 'photo')) l
      ORDER BY l.kind, l.target, l.as_of DESC, l.hlc DESC, l.event_id DESC) w;

CREATE VIEW scc.fold_drift AS
SELECT d.kind, d.target,
    CASE WHEN d.unknown THEN 'the ledger does not know it'
         WHEN d.missing THEN 'missing'
         ELSE 'another than the ledger says' END AS why
FROM (
    SELECT 'place' AS kind, coalesce(e.target, t.id) AS target,
        e.target IS NULL AS unknown, t.id IS NULL AS missing, e.body
    FROM (SELECT n.*,
              jsonb_populate_record(NULL::scc.place_body, n.body::jsonb) AS b
          FROM scc.newest n WHERE n.kind = 'place' OFFSET 0) e
    FULL JOIN scc.place t ON t.id = e.target
    LEFT JOIN scc.place_accessibility a ON a.place_id = t.id
    LEFT JOIN scc.building_accessibility ba ON ba.building_id = t.building_id
    WHERE (t.name, t.category, t.address, t.source, t.extra, t.building_id,
           t.synthetic, t.lon_e7, t.lat_e7, t.hlc, t.event_id)
          IS DISTINCT FROM
          ((e.b).name, (e.b).category, (e.b).address, (e.b).source,
           (e.b).extra, (e.b)."buildingId",
           coalesce((e.b).synthetic, false),
           round(((e.b).location).lng * 10000000)::int,
           round(((e.b).location).lat * 10000000)::int, e.hlc, e.event_id)
        OR t.is_closed IS DISTINCT FROM
           (coalesce((e.b)."isClosed", false)
            OR EXISTS (SELECT FROM scc.report c
                       WHERE c.place_id = e.target AND c.reason = 'CLOSED'
                           AND (c.hlc, c.event_id) > (e.hlc, e.event_id)))
        OR t.registered IS DISTINCT FROM (a.place_id IS NOT NULL)
        OR t.level IS DISTINCT FROM
           CASE WHEN a.place_id IS NOT NULL THEN
               scc.level(true, a.is_first_floor, a.stair_info, a.has_slope,
                   ba.building_id IS NOT NULL, ba.has_slope,
                   ba.has_elevator, ba.entrance_stair_info,
                   ba.elevator_stair_info) END
    UNION ALL
    SELECT 'building', coalesce(e.target, t.id), e.target IS NULL,
        t.id IS NULL, e.body
    FROM (SELECT n.*,
              jsonb_populate_record(NULL::scc.building_body, n.body::jsonb)
                  AS b
          FROM scc.newest n WHERE n.kind = 'building' OFFSET 0) e
    FULL JOIN scc.building t ON t.id = e.target
    WHERE (t.name, t.address, t.lon_e7, t.lat_e7, t.contributor_id, t.hlc,
           t.event_id)
          IS DISTINCT FROM
          ((e.b).name, (e.b).address,
           round(((e.b).location).lng * 10000000)::int,
           round(((e.b).location).lat * 10000000)::int, e.contributor_id,
           e.hlc, e.event_id)
    UNION ALL
    SELECT 'place_accessibility', coalesce(e.target, t.place_id),
        e.target IS NULL, t.place_id IS NULL, e.body
    FROM (SELECT n.*,
              jsonb_populate_record(NULL::scc.place_accessibility_body,
                                    n.body::jsonb) AS b
          FROM scc.newest n WHERE n.kind = 'place_accessibility'
          OFFSET 0) e
    FULL JOIN scc.place_accessibility t ON t.place_id = e.target
    WHERE (t.floors, t.is_first_floor, t.is_stair_only_option, t.stair_info,
           t.stair_height_level, t.has_slope, t.entrance_door_types,
           t.image_urls, t.recovered_from, t.confidence, t.recoverer,
           t.original_time, t.contributor_id, t.as_of, t.hlc, t.event_id)
          IS DISTINCT FROM
          ((e.b).floors, (e.b)."isFirstFloor", (e.b)."isStairOnlyOption",
           (e.b)."stairInfo", (e.b)."stairHeightLevel", (e.b)."hasSlope",
           (e.b)."entranceDoorTypes", (e.b)."imageUrls",
           (e.b)."recoveredFrom", (e.b).confidence, (e.b).recoverer,
           (e.b)."originalTime", e.contributor_id, e.as_of, e.hlc,
           e.event_id)
    UNION ALL
    SELECT 'building_accessibility', coalesce(e.target, t.building_id),
        e.target IS NULL, t.building_id IS NULL, e.body
    FROM (SELECT n.*,
              jsonb_populate_record(NULL::scc.building_accessibility_body,
                                    n.body::jsonb) AS b
          FROM scc.newest n WHERE n.kind = 'building_accessibility'
          OFFSET 0) e
    FULL JOIN scc.building_accessibility t ON t.building_id = e.target
    WHERE (t.entrance_stair_info, t.entrance_stair_height_level,
           t.entrance_door_types, t.has_slope, t.has_elevator,
           t.elevator_stair_info, t.elevator_stair_height_level,
           t.image_urls, t.recovered_from, t.confidence, t.recoverer,
           t.original_time, t.contributor_id, t.as_of, t.hlc, t.event_id)
          IS DISTINCT FROM
          ((e.b)."entranceStairInfo", (e.b)."entranceStairHeightLevel",
           (e.b)."entranceDoorTypes", (e.b)."hasSlope",
           (e.b)."hasElevator", (e.b)."elevatorStairInfo",
           (e.b)."elevatorStairHeightLevel", (e.b)."imageUrls",
           (e.b)."recoveredFrom", (e.b).confidence, (e.b).recoverer,
           (e.b)."originalTime", e.contributor_id, e.as_of, e.hlc,
           e.event_id)
    UNION ALL
    SELECT 'photo', coalesce(e.target, t.id), e.target IS NULL,
        t.id IS NULL, e.body
    FROM (SELECT n.*,
              jsonb_populate_record(NULL::scc.photo_body, n.body::jsonb) AS b
          FROM scc.newest n WHERE n.kind = 'photo' OFFSET 0) e
    FULL JOIN scc.photo t ON t.id = e.target
    WHERE (t.object_key, t.size, t.sha256, t.taken_at, t.lon_e7, t.lat_e7,
           t.place_id, t.building_id, t.image_type, t.uploader,
           t.contributor_id, t.hlc, t.event_id)
          IS DISTINCT FROM
          ((e.b)."objectKey", (e.b).size, (e.b).sha256, (e.b)."takenAt",
           round(((e.b).location).lng * 10000000)::int,
           round(((e.b).location).lat * 10000000)::int, (e.b)."placeId",
           (e.b)."buildingId", (e.b)."imageType",
           coalesce((e.b).uploader, e.contributor_id), e.contributor_id,
           e.hlc, e.event_id)
) d
WHERE d.body IS NULL OR scc.body_fault(d.kind, d.body) IS NULL
UNION ALL
SELECT 'comment', coalesce(e.event_id, t.event_id)::text,
    CASE WHEN e.event_id IS NULL THEN 'the ledger does not know it'
         WHEN t.event_id IS NULL THEN 'missing'
         ELSE 'another than the ledger says' END
FROM (SELECT l.*, l.body::jsonb AS b FROM scc.counted l
      WHERE l.kind = 'comment' OFFSET 0) e
FULL JOIN scc.comment t ON t.event_id = e.event_id
WHERE (t.place_id, t.building_id, t.comment, t.contributor_id, t.hlc)
      IS DISTINCT FROM
      (e.b ->> 'placeId', e.b ->> 'buildingId', e.b ->> 'comment',
       e.contributor_id, e.hlc)
UNION ALL
SELECT 'report', coalesce(e.event_id, t.event_id)::text,
    CASE WHEN e.event_id IS NULL THEN 'the ledger does not know it'
         WHEN t.event_id IS NULL THEN 'missing'
         ELSE 'another than the ledger says' END
FROM (SELECT l.*, l.body::jsonb AS b FROM scc.counted l
      WHERE l.kind = 'report' OFFSET 0) e
FULL JOIN scc.report t ON t.event_id = e.event_id
WHERE (t.place_id, t.reason, t.detail, t.contributor_id, t.hlc)
      IS DISTINCT FROM
      (e.b ->> 'placeId', e.b ->> 'reason', e.b ->> 'detail',
       e.contributor_id, e.hlc)
UNION ALL
SELECT 'retraction', coalesce(e.about, t.event_id)::text,
    CASE WHEN e.about IS NULL THEN 'the ledger does not know it'
         WHEN t.event_id IS NULL THEN 'missing'
         ELSE 'another than the ledger says' END
FROM (SELECT DISTINCT ON (w.about, w.said_by) w.*
      FROM (SELECT l.target::uuid AS about, l.hlc, l.event_id,
                l.kind IN ('retract', 'remove') AS retracted,
                CASE WHEN l.kind IN ('retract', 'restore')
                     THEN l.contributor_id ELSE '' END COLLATE "C"
                    AS said_by
            FROM scc.contribution l
            WHERE l.kind IN ('retract', 'restore', 'remove', 'reinstate')
            OFFSET 0) w
      ORDER BY w.about, w.said_by, w.hlc DESC, w.event_id DESC) e
FULL JOIN scc.retraction t
    ON t.event_id = e.about AND t.said_by = e.said_by
WHERE (t.retracted, t.hlc, t.by_event)
      IS DISTINCT FROM (e.retracted, e.hlc, e.event_id)
UNION ALL
SELECT 'contributor', coalesce(e.id, t.id),
    CASE WHEN e.id IS NULL THEN 'the ledger does not know it'
         WHEN t.id IS NULL THEN 'missing'
         ELSE 'another than the ledger says' END
FROM (SELECT i.id, n.name, n.hlc, x.hlc AS erased_hlc
      FROM (SELECT contributor_id AS id FROM scc.contribution
            UNION
            SELECT target FROM scc.contribution
                WHERE kind = 'contributor') i
      LEFT JOIN (SELECT DISTINCT ON (w.id) w.id, w.name, w.hlc
                 FROM (SELECT l.contributor_id AS id,
                           l.contributor_name COLLATE "C" AS name, l.hlc
                       FROM scc.contribution l
                       WHERE l.contributor_name IS NOT NULL
                           AND l.kind <> 'contributor'
                       UNION ALL
                       SELECT l.contributor_id, l.contributor_name, l.hlc
                       FROM scc.counted l
                       WHERE l.contributor_name IS NOT NULL
                           AND l.kind = 'contributor'
                       UNION ALL
                       SELECT l.target, l.body::jsonb ->> 'displayName',
                           l.hlc
                       FROM scc.counted l
                       WHERE l.kind = 'contributor'
                           AND l.body::jsonb ->> 'displayName'
                               IS NOT NULL) w
                 ORDER BY w.id, w.hlc DESC, w.name COLLATE "C" DESC) n
          ON n.id = i.id
      LEFT JOIN (SELECT contributor_id AS id, max(hlc) AS hlc
                 FROM scc.contribution WHERE kind = 'erase'
                 GROUP BY contributor_id) x ON x.id = i.id) e
FULL JOIN scc.contributor t ON t.id = e.id
WHERE (t.display_name, t.hlc, t.erased_hlc)
      IS DISTINCT FROM (e.name, e.hlc, e.erased_hlc)
   OR t.id IS NULL OR e.id IS NULL
UNION ALL
SELECT 'number', e.kind || ' ' || e.id, 'missing'
FROM (SELECT DISTINCT 'contributor' AS kind, contributor_id AS id
      FROM scc.contribution
      WHERE kind IN ('place_accessibility', 'building_accessibility')
      UNION ALL
      SELECT DISTINCT 'place', target FROM scc.contribution
      WHERE kind = 'place_accessibility') e
LEFT JOIN scc.number t ON t.kind = e.kind AND t.id = e.id
WHERE t.id IS NULL;


REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scc.body_fault(text, text),
    scc.as_of(bigint, jsonb)
    TO scc_app;

RESET ROLE;
