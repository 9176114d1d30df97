--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- What follows from other rows: a place's level, its revision, and its
-- cell's version and counts.  All of it is kept by triggers, so that SQL
-- typed by hand keeps it right too.
--

SET ROLE scc_owner;


CREATE FUNCTION scc.cell_of(lon_e7 int, lat_e7 int) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (least((lon_e7::bigint + 1800000000) * 65536 / 3600000000, 65535)
            << 16)
           | least(greatest(floor((1 - asinh(tan(radians(
                 lat_e7::float8 / 1e7))) / pi()) * 32768), 0), 65535)::bigint
$$;


-- One flight of stairs, with or without a slope beside it.  Slope unknown:
-- known only if it makes no difference.

CREATE FUNCTION scc.level_part(stair text, slope bool) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN stair = 'NONE' THEN 0
                WHEN slope THEN 1
                WHEN slope IS NULL THEN NULL
                WHEN stair = 'ONE' THEN 2
                WHEN stair = 'TWO_TO_FIVE' THEN 3
                WHEN stair = 'OVER_SIX' THEN 5 END
$$;

-- The parts of one way in: the worst counts, two of 3 are worse than one.

CREATE FUNCTION scc.level_way(a int, b int, c int) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE greatest(a, b, c)
           WHEN 3 THEN CASE WHEN (a IS NOT DISTINCT FROM 3)::int
                                 + (b IS NOT DISTINCT FROM 3)::int
                                 + (c IS NOT DISTINCT FROM 3)::int > 1
                            THEN 4 ELSE 3 END
           ELSE greatest(a, b, c) END
$$;


-- The access level, version 1; the same function as core's
-- scc_place_level().  NULL is "unknown", in and out: the level is known only
-- if every way to fill in the unknown yes/no inputs gives the same one.

CREATE FUNCTION scc.level(registered bool, is_first_floor bool,
    stair_info text, has_slope bool, building_registered bool,
    building_has_slope bool, building_has_elevator bool,
    building_entrance_stair_info text, building_elevator_stair_info text)
    RETURNS smallint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    street  int;
    upstairs  int;
    s  bool;
    b  bool;
    v  int;
    first  bool := true;
BEGIN
    IF registered IS NOT TRUE THEN
        RETURN NULL;
    END IF;

    IF is_first_floor IS NOT FALSE THEN
        street := scc.level_part(stair_info, has_slope);

        IF is_first_floor OR street IS NULL THEN
            RETURN street;
        END IF;
    END IF;

    IF building_registered IS NOT TRUE THEN
        RETURN NULL;
    END IF;

    IF building_has_elevator IS FALSE THEN
        upstairs := 5;

    ELSIF has_slope IS NOT NULL AND building_has_slope IS NOT NULL THEN
        upstairs := scc.level_way(
            scc.level_part(stair_info, has_slope),
            scc.level_part(building_entrance_stair_info, building_has_slope),
            scc.level_part(building_elevator_stair_info,
                           building_has_slope));

    ELSE
        FOREACH s IN ARRAY ARRAY[coalesce(has_slope, true),
                                 coalesce(has_slope, false)]
        LOOP
            FOREACH b IN ARRAY ARRAY[coalesce(building_has_slope, true),
                                     coalesce(building_has_slope, false)]
            LOOP
                v := scc.level_way(
                    scc.level_part(stair_info, s),
                    scc.level_part(building_entrance_stair_info, b),
                    scc.level_part(building_elevator_stair_info, b));

                IF v IS NULL OR (NOT first AND v <> upstairs) THEN
                    RETURN NULL;
                END IF;

                upstairs := v;
                first := false;
            END LOOP;
        END LOOP;
    END IF;

    IF building_has_elevator IS NULL AND upstairs IS DISTINCT FROM 5 THEN
        RETURN NULL;
    END IF;

    IF is_first_floor IS NULL AND upstairs IS DISTINCT FROM street THEN
        RETURN NULL;
    END IF;

    RETURN upstairs;
END
$$;


-- Writers take turns, from their first statement to their commit.  So a
-- cell's versions are in commit order, a place and its accessibility that
-- arrive in two sessions at once still meet, and nobody deadlocks.  A
-- snapshot older than the lock would miss what was written while waiting.

CREATE FUNCTION scc.write_lock() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation')
       NOT IN ('read committed', 'read uncommitted')
    THEN
        RAISE EXCEPTION 'transaction isolation is "%": the store''s '
            'derived columns need READ COMMITTED; start the transaction '
            'with BEGIN ISOLATION LEVEL READ COMMITTED',
            current_setting('transaction_isolation')
            USING ERRCODE = 'invalid_transaction_state';
    END IF;

    PERFORM pg_advisory_xact_lock(5456707, 1);          -- "SCC"
END
$$;

CREATE FUNCTION scc.take_turn() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM scc.write_lock();
    RETURN NULL;
END
$$;


-- A place's revision: +1 whenever its document changes.  What changes
-- nothing is not written; accessibility triggers touch rev to say "changed".

CREATE FUNCTION scc.place_revise() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.rev = OLD.rev
       AND (OLD.id, OLD.name, OLD.category, OLD.address, OLD.source, OLD.extra,
        OLD.building_id, OLD.synthetic, OLD.is_closed, OLD.registered,
        OLD.level, OLD.lon_e7, OLD.lat_e7, OLD.hlc, OLD.event_id,
        OLD.created_at)
       IS NOT DISTINCT FROM
       (NEW.id, NEW.name, NEW.category, NEW.address, NEW.source, NEW.extra,
        NEW.building_id, NEW.synthetic, NEW.is_closed, NEW.registered,
        NEW.level, NEW.lon_e7, NEW.lat_e7, NEW.hlc, NEW.event_id,
        NEW.created_at)
    THEN
        RETURN NULL;
    END IF;

    NEW.rev := OLD.rev + 1;
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;


-- The other projections only remember when; the trigger before it
-- has dropped what changes nothing.

CREATE FUNCTION scc.stamp() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;


-- The functions below run once per statement on its transition tables.
-- Their plans are cached while the tables grow, so that joins that pay only
-- on small tables are ruled out; jit would compile what the rules price up.

-- The places whose accessibility, building, or building's accessibility
-- changed: level and registration anew, and a new revision in any case.

CREATE FUNCTION scc.place_touch(ids text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM set_config('scc.touching', 'on', true);

    UPDATE scc.place p
    SET rev = p.rev + 1,
        (registered, level) = (
            SELECT a.place_id IS NOT NULL,
                CASE WHEN a.place_id IS NOT NULL THEN
                    scc.level(true, a.is_first_floor, a.stair_info,
                        a.has_slope, b.building_id IS NOT NULL, b.has_slope,
                        b.has_elevator, b.entrance_stair_info,
                        b.elevator_stair_info) END
            FROM (SELECT) one
            LEFT JOIN scc.place_accessibility a ON a.place_id = p.id
            LEFT JOIN scc.building_accessibility b
                ON b.building_id = p.building_id)
    FROM unnest(ids) AS i(id)
    WHERE p.id = i.id COLLATE "C";

    PERFORM set_config('scc.touching', '', true);
END
$$;


-- A place that came to its cell (sign 1) or went from it (-1), as it was; 0
-- for a closed one, which counts nowhere but whose page has changed.

CREATE TYPE scc.cell_change AS (cell bigint, sign int, registered bool,
    level smallint, lon_e7 int, lat_e7 int);

CREATE FUNCTION scc.cells_add(changes scc.cell_change[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    INSERT INTO scc.cell AS c (cell, ver, n, n_registered, n_unknown,
        n_level0, n_level1, n_level2, n_level3, n_level4, n_level5,
        sum_lon, sum_lat)
    SELECT r.cell, 1, sum(r.sign),
        coalesce(sum(r.sign) FILTER (WHERE r.registered), 0),
        coalesce(sum(r.sign) FILTER (WHERE r.level IS NULL), 0),
        coalesce(sum(r.sign) FILTER (WHERE r.level = 0), 0),
        coalesce(sum(r.sign) FILTER (WHERE r.level = 1), 0),
        coalesce(sum(r.sign) FILTER (WHERE r.level = 2), 0),
        coalesce(sum(r.sign) FILTER (WHERE r.level = 3), 0),
        coalesce(sum(r.sign) FILTER (WHERE r.level = 4), 0),
        coalesce(sum(r.sign) FILTER (WHERE r.level = 5), 0),
        sum(r.sign * r.lon_e7::bigint), sum(r.sign * r.lat_e7::bigint)
    FROM unnest(changes) r
    GROUP BY r.cell
    ORDER BY r.cell
    ON CONFLICT (cell) DO UPDATE SET
        ver = c.ver + 1,
        n = c.n + excluded.n,
        n_registered = c.n_registered + excluded.n_registered,
        n_unknown = c.n_unknown + excluded.n_unknown,
        n_level0 = c.n_level0 + excluded.n_level0,
        n_level1 = c.n_level1 + excluded.n_level1,
        n_level2 = c.n_level2 + excluded.n_level2,
        n_level3 = c.n_level3 + excluded.n_level3,
        n_level4 = c.n_level4 + excluded.n_level4,
        n_level5 = c.n_level5 + excluded.n_level5,
        sum_lon = c.sum_lon + excluded.sum_lon,
        sum_lat = c.sum_lat + excluded.sum_lat,
        changed_at = excluded.changed_at,
        changed_xid = excluded.changed_xid;
END
$$;


-- The few places whose level is not what it should be (inserted after their
-- accessibility, moved to another building, typed by hand) are touched,
-- which comes back to the trigger once.

CREATE TYPE scc.place_state AS (id text, registered bool, level smallint,
    building_id text);

CREATE FUNCTION scc.places_check(states scc.place_state[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ids  text[];
BEGIN
    SELECT array_agg(s.id) INTO ids
    FROM (SELECT r.id, r.registered, r.level,
              a.place_id IS NOT NULL AS registered_now,
              CASE WHEN a.place_id IS NOT NULL THEN
                  scc.level(true, a.is_first_floor, a.stair_info,
                      a.has_slope, b.building_id IS NOT NULL, b.has_slope,
                      b.has_elevator, b.entrance_stair_info,
                      b.elevator_stair_info) END AS level_now
          FROM unnest(states) r
          LEFT JOIN scc.place_accessibility a
              ON a.place_id = r.id COLLATE "C"
          LEFT JOIN scc.building_accessibility b
              ON b.building_id = r.building_id COLLATE "C"
          OFFSET 0) s
    WHERE s.registered <> s.registered_now
        OR s.level IS DISTINCT FROM s.level_now;

    IF ids IS NOT NULL THEN
        PERFORM scc.place_touch(ids);
    END IF;
END
$$;


-- Cells count what came and what went; then levels are checked.

CREATE FUNCTION scc.place_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changes  scc.cell_change[];
BEGIN
    IF TG_OP <> 'INSERT' THEN
        changes := ARRAY(SELECT ROW(o.cell, -(NOT o.is_closed)::int,
            o.registered, o.level, o.lon_e7, o.lat_e7)::scc.cell_change
            FROM old_rows o);
    END IF;

    IF TG_OP <> 'DELETE' THEN
        changes := changes || ARRAY(SELECT ROW(w.cell,
            (NOT w.is_closed)::int, w.registered, w.level, w.lon_e7,
            w.lat_e7)::scc.cell_change FROM new_rows w);
    END IF;

    IF cardinality(changes) = 0 THEN
        RETURN NULL;
    END IF;

    PERFORM scc.cells_add(changes);

    IF TG_OP <> 'DELETE'
       AND current_setting('scc.touching', true) IS DISTINCT FROM 'on'
    THEN                                    -- not by scc.place_touch()
        PERFORM scc.places_check(ARRAY(SELECT ROW(w.id, w.registered,
            w.level, w.building_id)::scc.place_state FROM new_rows w));
    END IF;

    RETURN NULL;
END
$$;


CREATE FUNCTION scc.place_accessibility_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ids  text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(place_id) INTO ids FROM new_rows;

    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(place_id) INTO ids FROM old_rows;

    ELSE
        SELECT array_agg(place_id) INTO ids
            FROM (SELECT place_id FROM old_rows
                  UNION SELECT place_id FROM new_rows) r;
    END IF;

    IF ids IS NOT NULL THEN
        PERFORM scc.place_touch(ids);
    END IF;

    RETURN NULL;
END
$$;


-- For scc.building and scc.building_accessibility; the argument names the
-- column of the building's id.

CREATE FUNCTION scc.building_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    buildings  text[];
    ids        text[];
BEGIN
    IF TG_TABLE_NAME = 'building' THEN
        IF TG_OP = 'INSERT' THEN
            SELECT array_agg(id) INTO buildings FROM new_rows;

        ELSIF TG_OP = 'DELETE' THEN
            SELECT array_agg(id) INTO buildings FROM old_rows;

        ELSE
            SELECT array_agg(id) INTO buildings
                FROM (SELECT id FROM old_rows
                      UNION SELECT id FROM new_rows) r;
        END IF;

    ELSE
        IF TG_OP = 'INSERT' THEN
            SELECT array_agg(building_id) INTO buildings FROM new_rows;

        ELSIF TG_OP = 'DELETE' THEN
            SELECT array_agg(building_id) INTO buildings FROM old_rows;

        ELSE
            SELECT array_agg(building_id) INTO buildings
                FROM (SELECT building_id FROM old_rows
                      UNION SELECT building_id FROM new_rows) r;
        END IF;
    END IF;

    IF buildings IS NULL THEN
        RETURN NULL;
    END IF;

    SELECT array_agg(p.id) INTO ids
        FROM unnest(buildings) AS b(id)
        JOIN scc.place p ON p.building_id = b.id COLLATE "C";

    IF ids IS NOT NULL THEN
        PERFORM scc.place_touch(ids);
    END IF;

    RETURN NULL;
END
$$;


-- The places whose pages show these contributors, or did before something
-- was retracted.

CREATE FUNCTION scc.places_of(contributors text[]) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off AS $$
    SELECT l.target
    FROM unnest(contributors) AS c(id)
    JOIN scc.contribution l ON l.contributor_id = c.id COLLATE "C"
    WHERE l.kind = 'place_accessibility'
    UNION
    SELECT p.id
    FROM unnest(contributors) AS c(id)
    JOIN scc.contribution l ON l.contributor_id = c.id COLLATE "C"
    JOIN scc.place p ON p.building_id = l.target
    WHERE l.kind = 'building_accessibility'
$$;


-- Pages show contributors by name: a new name is a change of all of theirs.

CREATE FUNCTION scc.contributor_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    contributors  text[];
    ids           text[];
BEGIN
    SELECT array_agg(r.id) INTO contributors
        FROM (SELECT id, display_name FROM new_rows
              EXCEPT SELECT id, display_name FROM old_rows) r;

    IF contributors IS NULL THEN
        RETURN NULL;
    END IF;

    SELECT array_agg(p.id) INTO ids
        FROM scc.places_of(contributors) AS p(id);

    IF ids IS NOT NULL THEN
        PERFORM scc.place_touch(ids);
    END IF;

    RETURN NULL;
END
$$;


-- A place that returns goes on counting.

CREATE FUNCTION scc.keep_rev() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO scc.removed AS r (id, rev)
    SELECT o.id, o.rev FROM old_rows o
    ON CONFLICT (id) DO UPDATE SET rev = greatest(r.rev, excluded.rev);

    RETURN NULL;
END
$$;


-- Names give the order within one moment: alphabetical.

CREATE TRIGGER revise BEFORE UPDATE ON scc.place
    FOR EACH ROW EXECUTE FUNCTION scc.place_revise();

CREATE TRIGGER inserted AFTER INSERT ON scc.place
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION scc.place_changed();

CREATE TRIGGER updated AFTER UPDATE ON scc.place
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION scc.place_changed();

CREATE TRIGGER deleted AFTER DELETE ON scc.place
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION scc.place_changed();

CREATE TRIGGER deleted_rev AFTER DELETE ON scc.place
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION scc.keep_rev();

CREATE TRIGGER revise_1 BEFORE UPDATE ON scc.contributor
    FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();

CREATE TRIGGER revise_2 BEFORE UPDATE ON scc.contributor
    FOR EACH ROW EXECUTE FUNCTION scc.stamp();

CREATE TRIGGER updated AFTER UPDATE ON scc.contributor
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION scc.contributor_changed();

DO $$
DECLARE
    t  text;
    f  text;
BEGIN
    FOREACH t IN ARRAY ARRAY['place', 'building', 'place_accessibility',
                             'building_accessibility', 'contributor',
                             'photo']
    LOOP
        EXECUTE format('CREATE TRIGGER take_turn '
            'BEFORE INSERT OR UPDATE OR DELETE ON scc.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION scc.take_turn()', t);
    END LOOP;

    FOREACH t IN ARRAY ARRAY['building', 'place_accessibility',
                             'building_accessibility']
    LOOP
        f := CASE t WHEN 'place_accessibility'
                  THEN 'scc.place_accessibility_changed()'
                  ELSE 'scc.building_changed()' END;

        EXECUTE format('CREATE TRIGGER revise_1 BEFORE UPDATE ON scc.%I '
            'FOR EACH ROW EXECUTE FUNCTION '
            'suppress_redundant_updates_trigger()', t);
        EXECUTE format('CREATE TRIGGER revise_2 BEFORE UPDATE ON scc.%I '
            'FOR EACH ROW EXECUTE FUNCTION scc.stamp()', t);
        EXECUTE format('CREATE TRIGGER inserted AFTER INSERT ON scc.%I '
            'REFERENCING NEW TABLE AS new_rows '
            'FOR EACH STATEMENT EXECUTE FUNCTION %s', t, f);
        EXECUTE format('CREATE TRIGGER updated AFTER UPDATE ON scc.%I '
            'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
            'FOR EACH STATEMENT EXECUTE FUNCTION %s', t, f);
        EXECUTE format('CREATE TRIGGER deleted AFTER DELETE ON scc.%I '
            'REFERENCING OLD TABLE AS old_rows '
            'FOR EACH STATEMENT EXECUTE FUNCTION %s', t, f);
    END LOOP;
END
$$;


-- Cells whose row does not say what scc.place says: none, ever.

CREATE VIEW scc.cell_drift AS
SELECT cell, c.n, t.n AS n_true
FROM (SELECT cell, n, n_registered, n_unknown, n_level0, n_level1, n_level2,
             n_level3, n_level4, n_level5, sum_lon, sum_lat
      FROM scc.cell) c
FULL JOIN (SELECT cell, count(*) AS n,
               count(*) FILTER (WHERE registered) AS n_registered,
               count(*) - count(level) AS n_unknown,
               count(*) FILTER (WHERE level = 0) AS n_level0,
               count(*) FILTER (WHERE level = 1) AS n_level1,
               count(*) FILTER (WHERE level = 2) AS n_level2,
               count(*) FILTER (WHERE level = 3) AS n_level3,
               count(*) FILTER (WHERE level = 4) AS n_level4,
               count(*) FILTER (WHERE level = 5) AS n_level5,
               sum(lon_e7) AS sum_lon, sum(lat_e7) AS sum_lat
           FROM scc.place WHERE NOT is_closed GROUP BY cell) t USING (cell)
WHERE (coalesce(c.n, 0), coalesce(c.n_registered, 0),
       coalesce(c.n_unknown, 0), coalesce(c.n_level0, 0),
       coalesce(c.n_level1, 0), coalesce(c.n_level2, 0),
       coalesce(c.n_level3, 0), coalesce(c.n_level4, 0),
       coalesce(c.n_level5, 0), coalesce(c.sum_lon, 0),
       coalesce(c.sum_lat, 0))
      <>
      (coalesce(t.n, 0), coalesce(t.n_registered, 0),
       coalesce(t.n_unknown, 0), coalesce(t.n_level0, 0),
       coalesce(t.n_level1, 0), coalesce(t.n_level2, 0),
       coalesce(t.n_level3, 0), coalesce(t.n_level4, 0),
       coalesce(t.n_level5, 0), coalesce(t.sum_lon, 0),
       coalesce(t.sum_lat, 0));


REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scc.cell_of(int, int),
    scc.level_part(text, bool), scc.level_way(int, int, int),
    scc.level(bool, bool, text, bool, bool, bool, bool, text, text)
    TO scc_app;

RESET ROLE;
