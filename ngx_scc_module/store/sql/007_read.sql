--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- What readers see: features of the map, and the page of one place.
--

SET ROLE scc_owner;


CREATE VIEW scc.feature AS
SELECT p.cell, p.id, p.name, p.category, p.address, p.lon_e7, p.lat_e7,
    a.place_id IS NOT NULL AS registered,
    a.is_first_floor, a.stair_info, a.stair_height_level, a.has_slope,
    b.building_id IS NOT NULL AS building_registered,
    b.has_slope AS building_has_slope,
    b.has_elevator AS building_has_elevator,
    b.entrance_stair_info AS building_entrance_stair_info,
    b.elevator_stair_info AS building_elevator_stair_info,
    p.level
FROM scc.place p
LEFT JOIN scc.place_accessibility a ON a.place_id = p.id
LEFT JOIN scc.building_accessibility b ON b.building_id = p.building_id
WHERE NOT p.is_closed;


-- One page of a box too large for the cache, in the order (cell, id), after
-- (after_cell, after_id).  The box is one or two ranges of cell columns
-- [x0, x1], [x2, x3] and of longitudes [w0, e0], [w1, e1] (the second is for
-- boxes that cross the antimeridian, else empty: from > to), one of rows and
-- latitudes.  A filter that is NULL passes everything.
--
-- Cells are walked one by one until the page is full: no single statement
-- stops early for certain, whatever the planner guesses.

CREATE FUNCTION scc.wide_page(x0 bigint, x1 bigint, x2 bigint, x3 bigint,
    y0 bigint, y1 bigint, w0 int, e0 int, w1 int, e1 int, s int, n int,
    after_cell bigint, after_id text, level_max int, registered bool,
    has_slope bool, category text, max_rows int) RETURNS SETOF scc.feature
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off
SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    k     bigint;
    got   int;
    room  int := wide_page.max_rows;
BEGIN
    IF wide_page.category IS NOT NULL THEN

        -- cells do not count categories; an index of their own has them in
        -- the page's order

        RETURN QUERY
        SELECT f.*
        FROM scc.feature f
        WHERE f.category = wide_page.category
            AND (f.cell, f.id) > (wide_page.after_cell, wide_page.after_id)
            AND f.cell <= (greatest(wide_page.x1, wide_page.x3) << 16 | 65535)
            AND (f.lon_e7 BETWEEN wide_page.w0 AND wide_page.e0
                 OR f.lon_e7 BETWEEN wide_page.w1 AND wide_page.e1)
            AND f.lat_e7 BETWEEN wide_page.s AND wide_page.n
            AND (wide_page.level_max IS NULL
                 OR f.level <= wide_page.level_max)
            AND (wide_page.registered IS NULL
                 OR f.registered = wide_page.registered)
            AND (wide_page.has_slope IS NULL
                 OR f.has_slope = wide_page.has_slope)
        ORDER BY f.cell, f.id
        LIMIT room;

        RETURN;
    END IF;

    FOR k IN
        SELECT c.cell
        FROM scc.cell c
        WHERE c.cell BETWEEN greatest(wide_page.after_cell,
                       least(wide_page.x0, CASE WHEN wide_page.x2
                           <= wide_page.x3 THEN wide_page.x2 END) << 16)
                   AND (greatest(wide_page.x1, wide_page.x3) << 16 | 65535)
            AND (c.cell >> 16 BETWEEN wide_page.x0 AND wide_page.x1
                 OR c.cell >> 16 BETWEEN wide_page.x2 AND wide_page.x3)
            AND c.cell & 65535 BETWEEN wide_page.y0 AND wide_page.y1
            AND c.n > 0
            AND (wide_page.registered IS NULL
                 OR wide_page.registered AND c.n_registered > 0
                 OR NOT wide_page.registered AND c.n_registered < c.n)
            AND (wide_page.has_slope IS NULL OR c.n_registered > 0)
            AND (wide_page.level_max IS NULL OR c.n_level0
                 + CASE WHEN wide_page.level_max > 0 THEN c.n_level1 ELSE 0 END
                 + CASE WHEN wide_page.level_max > 1 THEN c.n_level2 ELSE 0 END
                 + CASE WHEN wide_page.level_max > 2 THEN c.n_level3 ELSE 0 END
                 + CASE WHEN wide_page.level_max > 3 THEN c.n_level4 ELSE 0 END
                 + CASE WHEN wide_page.level_max > 4 THEN c.n_level5 ELSE 0 END
                 > 0)
        ORDER BY c.cell
    LOOP
        EXIT WHEN room <= 0;

        RETURN QUERY
        SELECT f.*
        FROM scc.feature f
        WHERE f.cell = k
            AND f.id > CASE WHEN k = wide_page.after_cell
                            THEN wide_page.after_id ELSE '' END
            AND (f.lon_e7 BETWEEN wide_page.w0 AND wide_page.e0
                 OR f.lon_e7 BETWEEN wide_page.w1 AND wide_page.e1)
            AND f.lat_e7 BETWEEN wide_page.s AND wide_page.n
            AND (wide_page.level_max IS NULL
                 OR f.level <= wide_page.level_max)
            AND (wide_page.registered IS NULL
                 OR f.registered = wide_page.registered)
            AND (wide_page.has_slope IS NULL
                 OR f.has_slope = wide_page.has_slope)
        ORDER BY f.id
        LIMIT room;

        GET DIAGNOSTICS got = ROW_COUNT;
        room := room - got;
    END LOOP;
END
$$;


CREATE FUNCTION scc.json_time(t timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

CREATE FUNCTION scc.json_location(lon_e7 int, lat_e7 int) RETURNS json
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN lon_e7 IS NOT NULL AND lat_e7 IS NOT NULL
        THEN ('{"lng":' || trim_scale(lon_e7::numeric / 10000000)
              || ',"lat":' || trim_scale(lat_e7::numeric / 10000000)
              || '}')::json END
$$;


-- One place with all that is known about it, as JSON text; NULL if there is
-- no such place.  Who was retracted has contributed nothing.  Who contributed
-- is asked a probe of contribution_target each, from one to the next: what
-- they said since then, which may be thousands, is not read.  A bitmap, which
-- is what a store without statistics would plan, has no order: each probe
-- would read all that comes after it.

CREATE FUNCTION scc.place_page(id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
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
                        (SELECT n.number FROM scc.number n
                         WHERE n.kind = 'place' AND n.id = p.id)
                            AS "registeredUserOrder",
                        (SELECT row_to_json(y) FROM (
                            SELECT a.contributor_id AS id,
                                (SELECT c.display_name
                                 FROM scc.contributor c
                                 WHERE c.id = a.contributor_id) AS name
                            WHERE a.contributor_id IS NOT NULL) y)
                            AS contributor,
                        (SELECT row_to_json(y) FROM (
                            SELECT a.recovered_from AS "from",
                                a.confidence,
                                coalesce(a.recoverer, a.contributor_id)
                                    AS recoverer,
                                scc.json_time(a.original_time)
                                    AS "originalTime"
                            WHERE a.recovered_from IS NOT NULL) y)
                            AS recovered,
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
                        (SELECT row_to_json(y) FROM (
                            SELECT b.recovered_from AS "from",
                                b.confidence,
                                coalesce(b.recoverer, b.contributor_id)
                                    AS recoverer,
                                scc.json_time(b.original_time)
                                    AS "originalTime"
                            WHERE b.recovered_from IS NOT NULL) y)
                            AS recovered,
                        scc.json_time(b.updated_at) AS "updatedAt"
                    FROM scc.building_accessibility b
                    WHERE b.building_id = p.building_id) x)
                    AS "buildingAccessibility",

                (SELECT coalesce(json_agg(row_to_json(x)), '[]') FROM (
                    WITH RECURSIVE first (target, kind, id, hlc) AS (
                        VALUES (p.id, 'place_accessibility',
                                '' COLLATE "C", 0::bigint),
                            (p.building_id, 'building_accessibility',
                                '' COLLATE "C", 0::bigint)
                        UNION ALL
                        SELECT f.target, f.kind, l.contributor_id, l.hlc
                        FROM first f
                        CROSS JOIN LATERAL (
                            SELECT l.contributor_id, l.hlc
                            FROM scc.contribution l
                            WHERE l.target = f.target
                                AND l.contributor_id > f.id
                                AND l.kind = f.kind
                                AND NOT EXISTS (        -- scc.hidden()
                                    SELECT FROM scc.retraction r
                                    WHERE r.event_id = l.event_id
                                        AND r.retracted
                                        AND r.said_by
                                            IN ('', l.contributor_id))
                            ORDER BY l.contributor_id, l.hlc
                            LIMIT 1) l)
                    SELECT o.id, c.display_name AS name,
                        n.number AS "order"
                    FROM (SELECT f.id, min(f.hlc) AS hlc
                          FROM first f
                          WHERE f.id <> ''
                          GROUP BY f.id) o
                    LEFT JOIN scc.contributor c ON c.id = o.id
                    LEFT JOIN scc.number n
                        ON n.kind = 'contributor' AND n.id = o.id
                    ORDER BY o.hlc, o.id) x) AS contributors

            FROM scc.place p
            WHERE p.id = place_page.id COLLATE "C") page);
END
$$;


GRANT SELECT ON scc.feature TO scc_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scc.place_page(text), scc.hidden(uuid, text),
    scc.json_time(timestamptz),
    scc.json_location(int, int),
    scc.wide_page(bigint, bigint, bigint, bigint, bigint, bigint, int, int,
        int, int, int, int, bigint, text, int, bool, bool, text, int)
    TO scc_app;

RESET ROLE;
