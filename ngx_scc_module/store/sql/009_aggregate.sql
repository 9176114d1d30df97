--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- Numbers of places, for maps of whole cities and countries: rolled up from
-- scc.cell by nginx's helper, after the fact, so that writers of one town
-- never wait for a row of the whole country.
--

SET ROLE scc_owner;


-- A square is a tile of zoom 9..15; squares of 16 are scc.cell itself.  quad
-- is x and y interleaved, y's bits above x's: the parent's is quad >> 2, and
-- the 256 squares of a tile four zooms above are one range.

CREATE TABLE scc.aggregate (
    z             smallint NOT NULL CHECK (z BETWEEN 9 AND 15),
    quad          bigint NOT NULL CHECK (quad BETWEEN 0 AND 1073741823),
    n             bigint NOT NULL,
    n_registered  bigint NOT NULL,
    n_unknown     bigint NOT NULL,
    n_level0      bigint NOT NULL,
    n_level1      bigint NOT NULL,
    n_level2      bigint NOT NULL,
    n_level3      bigint NOT NULL,
    n_level4      bigint NOT NULL,
    n_level5      bigint NOT NULL,
    sum_lon       bigint NOT NULL,
    sum_lat       bigint NOT NULL,

    PRIMARY KEY (z, quad)
) WITH (fillfactor = 70);


-- How far the roll-up has come.  Without a row nothing is known: delete it
-- to have everything rolled up anew.  horizon: where the next one begins; at:
-- every change that was committed before is counted; transaction ids mean
-- nothing in another cluster than system_identifier's.

CREATE TABLE scc.rollup (
    only_row           bool PRIMARY KEY DEFAULT true CHECK (only_row),
    system_identifier  bigint NOT NULL,
    horizon            xid8 NOT NULL,
    at                 timestamptz NOT NULL
);

CREATE TRIGGER refuse
    BEFORE DELETE OR TRUNCATE ON scc.aggregate
    FOR EACH STATEMENT EXECUTE FUNCTION scc.refuse(
        'missing squares would be shown as empty; to have all of them made '
        'anew, delete from scc.rollup');


CREATE FUNCTION scc.quad(x bigint, y bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((x4 | (x4 << 1)) & 1431655765)
           | (((y4 | (y4 << 1)) & 1431655765) << 1)
    FROM (SELECT (x3 | (x3 << 2)) & 858993459 AS x4,
              (y3 | (y3 << 2)) & 858993459 AS y4
          FROM (SELECT (x2 | (x2 << 4)) & 252645135 AS x3,
                    (y2 | (y2 << 4)) & 252645135 AS y3
                FROM (SELECT (x | (x << 8)) & 16711935 AS x2,
                          (y | (y << 8)) & 16711935 AS y2) a) b) c
$$;


-- Recomputes the squares over all cells that changed since the last time,
-- from the cells up.  A change that is not visible yet is of a transaction
-- not older than this horizon, so the next call finds it, however long that
-- transaction ran.  The number of squares that changed; NULL: another
-- session is at it.

CREATE FUNCTION scc.roll_up() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    squares  bigint[];
    level    int;
    got      bigint;
    total    bigint := 0;
    cluster  bigint;
    began    timestamptz;
    since    xid8;
    next     xid8;
BEGIN
    IF current_setting('transaction_isolation')
       NOT IN ('read committed', 'read uncommitted')
    THEN
        RAISE EXCEPTION 'transaction isolation is "%": scc.roll_up() must '
            'see what the last one left; start the transaction with BEGIN '
            'ISOLATION LEVEL READ COMMITTED',
            current_setting('transaction_isolation')
            USING ERRCODE = 'invalid_transaction_state';
    END IF;

    IF NOT pg_try_advisory_xact_lock(5456707, 2) THEN       -- "SCC"
        RETURN NULL;
    END IF;

    -- both before the cells are read, each of which has a newer snapshot

    began := clock_timestamp();
    next := pg_snapshot_xmin(pg_current_snapshot());

    SELECT system_identifier INTO cluster FROM pg_control_system();

    SELECT r.horizon INTO since FROM scc.rollup r
    WHERE r.system_identifier = cluster AND r.horizon <= next;

    since := coalesce(since, '0');

    SELECT array_agg(DISTINCT ((c.cell >> 17) << 16)
                              | ((c.cell & 65535) >> 1))
    INTO squares
    FROM scc.cell c WHERE c.changed_xid >= since;

    IF squares IS NOT NULL THEN

        INSERT INTO scc.aggregate AS a (z, quad, n, n_registered, n_unknown,
            n_level0, n_level1, n_level2, n_level3, n_level4, n_level5,
            sum_lon, sum_lat)
        SELECT 15, scc.quad(s.k >> 16, s.k & 65535) AS quad,
            sum(c.n), sum(c.n_registered), sum(c.n_unknown),
            sum(c.n_level0), sum(c.n_level1), sum(c.n_level2),
            sum(c.n_level3), sum(c.n_level4), sum(c.n_level5),
            sum(c.sum_lon), sum(c.sum_lat)
        FROM unnest(squares) s(k)
        CROSS JOIN (VALUES (0), (1), (65536), (65537)) d(k)
        JOIN scc.cell c
            ON c.cell = ((s.k >> 16) << 17) + ((s.k & 65535) << 1) + d.k
        GROUP BY s.k
        ORDER BY quad
        ON CONFLICT (z, quad) DO UPDATE SET
            n = excluded.n, n_registered = excluded.n_registered,
            n_unknown = excluded.n_unknown, n_level0 = excluded.n_level0,
            n_level1 = excluded.n_level1, n_level2 = excluded.n_level2,
            n_level3 = excluded.n_level3, n_level4 = excluded.n_level4,
            n_level5 = excluded.n_level5, sum_lon = excluded.sum_lon,
            sum_lat = excluded.sum_lat
        WHERE a IS DISTINCT FROM excluded;

        GET DIAGNOSTICS total = ROW_COUNT;

        SELECT array_agg(DISTINCT scc.quad(s.k >> 16, s.k & 65535) >> 2)
        INTO squares FROM unnest(squares) s(k);

        FOR level IN REVERSE 14 .. 9 LOOP

            INSERT INTO scc.aggregate AS a (z, quad, n, n_registered,
                n_unknown, n_level0, n_level1, n_level2, n_level3, n_level4,
                n_level5, sum_lon, sum_lat)
            SELECT level, s.quad, sum(c.n), sum(c.n_registered),
                sum(c.n_unknown), sum(c.n_level0), sum(c.n_level1),
                sum(c.n_level2), sum(c.n_level3), sum(c.n_level4),
                sum(c.n_level5), sum(c.sum_lon), sum(c.sum_lat)
            FROM unnest(squares) s(quad)
            JOIN scc.aggregate c ON c.z = level + 1
                AND c.quad BETWEEN s.quad << 2 AND (s.quad << 2) + 3
            GROUP BY s.quad
            ORDER BY s.quad
            ON CONFLICT (z, quad) DO UPDATE SET
                n = excluded.n, n_registered = excluded.n_registered,
                n_unknown = excluded.n_unknown, n_level0 = excluded.n_level0,
                n_level1 = excluded.n_level1, n_level2 = excluded.n_level2,
                n_level3 = excluded.n_level3, n_level4 = excluded.n_level4,
                n_level5 = excluded.n_level5, sum_lon = excluded.sum_lon,
                sum_lat = excluded.sum_lat
            WHERE a IS DISTINCT FROM excluded;

            GET DIAGNOSTICS got = ROW_COUNT;
            total := total + got;

            SELECT array_agg(DISTINCT s.quad >> 2) INTO squares
            FROM unnest(squares) s(quad);
        END LOOP;
    END IF;

    INSERT INTO scc.rollup AS r (system_identifier, horizon, at)
    VALUES (cluster, next, began)
    ON CONFLICT (only_row) DO UPDATE SET
        system_identifier = excluded.system_identifier,
        horizon = excluded.horizon, at = excluded.at;

    RETURN total;
END
$$;


-- Squares that do not say what scc.cell says: after a roll-up, with nobody
-- writing, none.

CREATE VIEW scc.aggregate_drift AS
SELECT z, quad, a.n, t.n AS n_true
FROM scc.aggregate a
FULL JOIN (SELECT l.z::smallint AS z,
               scc.quad(c.cell >> 16, c.cell & 65535) >> 2 * (16 - l.z)
                   AS quad,
               sum(c.n) AS n, sum(c.n_registered) AS n_registered,
               sum(c.n_unknown) AS n_unknown, sum(c.n_level0) AS n_level0,
               sum(c.n_level1) AS n_level1, sum(c.n_level2) AS n_level2,
               sum(c.n_level3) AS n_level3, sum(c.n_level4) AS n_level4,
               sum(c.n_level5) AS n_level5, sum(c.sum_lon) AS sum_lon,
               sum(c.sum_lat) AS sum_lat
           FROM scc.cell c CROSS JOIN generate_series(9, 15) l(z)
           GROUP BY 1, 2) t USING (z, quad)
WHERE (coalesce(a.n, 0), coalesce(a.n_registered, 0),
       coalesce(a.n_unknown, 0), coalesce(a.n_level0, 0),
       coalesce(a.n_level1, 0), coalesce(a.n_level2, 0),
       coalesce(a.n_level3, 0), coalesce(a.n_level4, 0),
       coalesce(a.n_level5, 0), coalesce(a.sum_lon, 0),
       coalesce(a.sum_lat, 0))
      <>
      (coalesce(t.n, 0), coalesce(t.n_registered, 0),
       coalesce(t.n_unknown, 0), coalesce(t.n_level0, 0),
       coalesce(t.n_level1, 0), coalesce(t.n_level2, 0),
       coalesce(t.n_level3, 0), coalesce(t.n_level4, 0),
       coalesce(t.n_level5, 0), coalesce(t.sum_lon, 0),
       coalesce(t.sum_lat, 0));


GRANT SELECT ON scc.aggregate, scc.rollup, scc.aggregate_drift TO scc_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scc.quad(bigint, bigint), scc.roll_up() TO scc_app;

RESET ROLE;
