--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- The places nearest to a position, where cells are not enough.
--

SET ROLE scc_owner;


-- All places that may be among the k nearest within a radius, and few more;
-- who asks measures the distance and sorts (core/scc_nearby.h).  The radius
-- lies in the cell columns [x0, x1], [x2, x3] (the second is for a radius
-- that crosses the antimeridian, else empty: from > to) and rows [y0, y1].
-- A degree is nowhere in it shorter than lo_lon and lo_lat say, nor longer
-- than hi_lon and hi_lat, in picometres per 1e-7 degree; so a place is not
-- nearer than "lo" and not farther than "hi", in square metres, and a place
-- whose lo is above the k-th hi is not among the nearest.  A filter that is
-- NULL passes everything.

CREATE FUNCTION scc.nearby(lon int, lat int, x0 bigint, x1 bigint,
    x2 bigint, x3 bigint, y0 bigint, y1 bigint, lo_lon bigint, lo_lat bigint,
    hi_lon bigint, hi_lat bigint, radius int, k int, level_max int,
    registered bool, has_slope bool, category text)
RETURNS SETOF scc.feature
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    most  float8 := (nearby.radius + 1)::float8 * (nearby.radius + 1);
BEGIN
    RETURN QUERY
    WITH near AS MATERIALIZED (
        SELECT p.id, m.lo, m.hi
        FROM (SELECT generate_series(nearby.x0, nearby.x1)
              UNION ALL
              SELECT generate_series(nearby.x2, nearby.x3)) s(x)
        CROSS JOIN LATERAL (
            SELECT c.cell
            FROM scc.cell c
            WHERE c.cell BETWEEN s.x << 16 | nearby.y0
                             AND s.x << 16 | nearby.y1
                AND c.n > 0
                AND (nearby.registered IS NULL
                     OR nearby.registered AND c.n_registered > 0
                     OR NOT nearby.registered AND c.n_registered < c.n)
                AND (nearby.level_max IS NULL OR c.n > c.n_unknown)
                AND (nearby.has_slope IS NULL OR c.n_registered > 0)
            OFFSET 0) c
        CROSS JOIN LATERAL (
            SELECT p.id, p.lon_e7, p.lat_e7
            FROM scc.place p
            WHERE p.cell = c.cell
                AND NOT p.is_closed
                AND (nearby.level_max IS NULL OR p.level <= nearby.level_max)
                AND (nearby.registered IS NULL
                     OR p.registered = nearby.registered)
                AND (nearby.category IS NULL
                     OR p.category = nearby.category)
                AND (nearby.has_slope IS NULL OR EXISTS (
                        SELECT FROM scc.place_accessibility a
                        WHERE a.place_id = p.id
                            AND a.has_slope = nearby.has_slope))
            OFFSET 0) p
        CROSS JOIN LATERAL (
            SELECT abs(p.lon_e7::bigint - nearby.lon) AS x,
                abs(p.lat_e7 - nearby.lat) AS y
            OFFSET 0) d
        CROSS JOIN LATERAL (
            SELECT least(d.x, 3600000000 - d.x)::float8 * 1e-12 AS x,
                d.y::float8 * 1e-12 AS y
            OFFSET 0) e
        CROSS JOIN LATERAL (
            SELECT (e.x * nearby.lo_lon) ^ 2 + (e.y * nearby.lo_lat) ^ 2 AS lo,
                (e.x * nearby.hi_lon) ^ 2 + (e.y * nearby.hi_lat) ^ 2 AS hi
            OFFSET 0) m
        WHERE m.lo <= most)
    SELECT f.*
    FROM near n
    JOIN scc.feature f ON f.id = n.id
    WHERE n.lo <= coalesce((SELECT h.hi * (1 + 1e-9) + 1e-4
                            FROM near h ORDER BY h.hi
                            OFFSET nearby.k - 1 LIMIT 1), most);
END
$$;


REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scc.nearby(int, int, bigint, bigint, bigint,
    bigint, bigint, bigint, bigint, bigint, bigint, bigint, int, int, int,
    bool, bool, text) TO scc_app;

RESET ROLE;
