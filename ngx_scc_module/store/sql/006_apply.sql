--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- The one way in: scc.contribute(), and what an applier asks beside it.
--

SET ROLE scc_owner;


-- Whether a name was erased from a body, which then is another than the one
-- that journals and clients may still have.

CREATE FUNCTION scc.erased(kind text, body text) RETURNS bool
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN kind = 'contributor'
                THEN NOT body::jsonb ? 'displayName' END
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

    -- What was emptied is not begun anew, so that it stays to be seen.

    IF scc.hollow() IS DISTINCT FROM 0 THEN
        RAISE EXCEPTION 'this store has lost rows (scc.hollow() is %): '
            'nothing is added to it; restore or rebuild it', scc.hollow()
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;

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
                    AND scc.erased(l.kind, l.body) IS NOT TRUE
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

CREATE FUNCTION scc.apply(event_id uuid[], hlc bigint[],
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
        AND (l.body_sha256 = u.body_sha256 OR scc.erased(l.kind, l.body))
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


-- Numbers that no journal has yet, and those behind what the caller's own has
-- ("after", by kind), in their order; up to "most" of each kind.  After the
-- store went back "kept" is lower than what a journal has: these are told
-- again.

CREATE FUNCTION scc.numbers_due(most int, kinds text[] DEFAULT '{}',
    after bigint[] DEFAULT '{}', OUT kind text, OUT number bigint,
    OUT id text) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $$
    SELECT c.kind, n.number, n.id
    FROM (SELECT k.kind, k.value, least(k.kept, u.after) AS kept
          FROM scc.counter k
          LEFT JOIN unnest(numbers_due.kinds, numbers_due.after)
              AS u(kind, after) ON u.kind COLLATE "C" = k.kind) c
    CROSS JOIN LATERAL (SELECT s.number, s.id
                        FROM scc.number s
                        WHERE s.kind = c.kind AND s.number > c.kept
                        ORDER BY s.number
                        LIMIT numbers_due.most) n
    WHERE c.kept < c.value
    ORDER BY c.kind, n.number
$$;


-- A journal has them up to these.

CREATE FUNCTION scc.numbers_kept(kind text[], number bigint[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $$
    UPDATE scc.counter c
    SET kept = greatest(c.kept, least(c.value, k.number))
    FROM unnest(numbers_kept.kind, numbers_kept.number) AS k(kind, number)
    WHERE c.kind = k.kind COLLATE "C"
$$;


-- Numbers of a store that was lost, or went back, before its events come
-- again.  A number is put in where it is free and its owner has none; of two
-- lines that contradict each other the first counts.  What the store says
-- otherwise is kept as a doubt.  Counters rise beyond all of them, so that
-- none is ever given to somebody else.

CREATE FUNCTION scc.numbers_restore(kind text[], number bigint[], id text[],
    OUT given bigint, OUT doubtful bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    kinds    text[];
    numbers  bigint[];
    ids      text[];
BEGIN
    given := 0;
    doubtful := 0;

    -- most are there, which is seen without the lock

    SELECT array_agg(u.kind ORDER BY u.i), array_agg(u.number ORDER BY u.i),
           array_agg(u.id ORDER BY u.i)
        INTO kinds, numbers, ids
        FROM unnest(numbers_restore.kind, numbers_restore.number,
                    numbers_restore.id) WITH ORDINALITY
            AS u(kind, number, id, i)
        LEFT JOIN LATERAL (SELECT n.number FROM scc.number n
                           WHERE n.kind = u.kind COLLATE "C"
                               AND n.id = u.id COLLATE "C"
                           LIMIT 1) n
            ON true
        WHERE n.number IS DISTINCT FROM u.number;

    IF kinds IS NULL THEN
        RETURN;
    END IF;

    PERFORM scc.write_lock();

    INSERT INTO scc.number (kind, number, id)
    SELECT u.kind, u.number, u.id
    FROM unnest(kinds, numbers, ids) WITH ORDINALITY
        AS u(kind, number, id, i)
    ORDER BY u.i
    ON CONFLICT DO NOTHING;

    GET DIAGNOSTICS given = ROW_COUNT;

    -- in an empty store all that there is came from journals

    UPDATE scc.counter c
    SET value = greatest(c.value, m.number),
        kept = CASE WHEN EXISTS (SELECT FROM scc.contribution) THEN c.kept
               ELSE greatest(c.value, m.number) END
    FROM (SELECT u.kind COLLATE "C" AS kind, max(u.number) AS number
          FROM unnest(kinds, numbers) AS u(kind, number)
          GROUP BY 1) m
    WHERE c.kind = m.kind;

    INSERT INTO scc.number_doubt (kind, number, id)
    SELECT u.kind, u.number, u.id
    FROM unnest(kinds, numbers, ids) AS u(kind, number, id)
    LEFT JOIN LATERAL (SELECT n.number FROM scc.number n
                       WHERE n.kind = u.kind COLLATE "C"
                           AND n.id = u.id COLLATE "C"
                       LIMIT 1) n
        ON true
    WHERE n.number IS DISTINCT FROM u.number
    ON CONFLICT DO NOTHING;

    GET DIAGNOSTICS doubtful = ROW_COUNT;
END
$$;


REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    scc.contribute(uuid[], bigint[], text[], text[], text[], text[],
        timestamptz[], uuid[], text[]),
    scc.apply(uuid[], bigint[], text[], text[], text[], text[],
        timestamptz[], uuid, text[]),
    scc.missing(uuid[], bytea[]), scc.erased(text, text),
    scc.bury(uuid, uuid, text, text, bytea),
    scc.resolve(bigint, bytea),
    scc.numbers_due(int, text[], bigint[]),
    scc.numbers_kept(text[], bigint[]),
    scc.numbers_restore(text[], bigint[], text[])
    TO scc_app;

RESET ROLE;
