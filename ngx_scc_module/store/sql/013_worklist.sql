--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- What people have still to do: photos that nobody made a record of, and
-- places of which something is missing or doubtful.  For "sccctl worklist";
-- both read everything.
--

SET ROLE scc_owner;


-- About how far apart two positions are, in metres; within a town.

CREATE FUNCTION scc.metres(lon_a int, lat_a int, lon_b int, lat_b int)
    RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT round(sqrt(((lon_a::float8 - lon_b)
                       * cos(radians(lat_a::float8 / 1e7))) ^ 2
                      + (lat_a::float8 - lat_b) ^ 2) * 0.011131949)::int
$$;


-- Photos without a record: no record names it, and what it shows has none.
-- "cluster": photos of one uploader with no pause of more than ten minutes;
-- "together": places that others of them show; "near": the three nearest
-- places within 150 metres, where nobody said which one it is.

CREATE FUNCTION scc.work_photos(OUT id text, OUT object_key text,
    OUT taken_at text, OUT uploader text, OUT cluster bigint,
    OUT image_type text, OUT place_id text, OUT name text, OUT lon_e7 int,
    OUT lat_e7 int, OUT together text, OUT near text, OUT near_json text)
    RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = on SET enable_hashjoin = on AS $$
    WITH named AS (
        SELECT DISTINCT regexp_replace(u.url, '^.*/', '') AS name
        FROM (SELECT unnest(a.image_urls) AS url
              FROM scc.place_accessibility a
              UNION ALL
              SELECT unnest(b.image_urls)
              FROM scc.building_accessibility b) u),
    paused AS (
        SELECT p.*, (coalesce(p.taken_at - lag(p.taken_at) OVER w
                              > interval '10 minutes', true))::int AS first
        FROM scc.photo p
        WINDOW w AS (PARTITION BY p.uploader ORDER BY p.taken_at, p.id)),
    numbered AS (
        SELECT p.*, sum(p.first) OVER (ORDER BY p.uploader, p.taken_at, p.id)
            AS cluster
        FROM paused p),
    grouped AS (
        SELECT p.*, array_agg(p.place_id)
                        FILTER (WHERE p.place_id IS NOT NULL)
                        OVER (PARTITION BY p.cluster) AS places
        FROM numbered p)
    SELECT p.id, p.object_key, scc.json_time(p.taken_at), p.uploader,
        p.cluster, p.image_type, p.place_id, s.name,
        coalesce(p.lon_e7, s.lon_e7), coalesce(p.lat_e7, s.lat_e7),
        t.names, n.names, coalesce(n.list, '[]')
    FROM grouped p
    LEFT JOIN scc.place s ON s.id = p.place_id
    LEFT JOIN LATERAL (
        SELECT string_agg(DISTINCT q.name || ' (' || q.id || ')', '; ')
            AS names
        FROM scc.place q
        WHERE p.place_id IS NULL AND q.id = ANY (p.places)) t ON true
    LEFT JOIN LATERAL (
        SELECT string_agg(c.name || ' (' || c.id || ', ' || c.metres || ' m)',
                          '; ' ORDER BY c.metres, c.id) AS names,
            json_agg(json_build_object('id', c.id, 'name', c.name, 'metres',
                                       c.metres)
                     ORDER BY c.metres, c.id)::text AS list
        FROM (SELECT q.id, q.name, scc.metres(p.lon_e7, p.lat_e7, q.lon_e7,
                                              q.lat_e7) AS metres
              FROM generate_series(-1, 1) x CROSS JOIN generate_series(-1, 1) y
              JOIN scc.place q ON q.cell
                  = scc.cell_of(p.lon_e7, p.lat_e7) + (x << 16) + y
              WHERE p.place_id IS NULL AND p.lon_e7 IS NOT NULL
                  AND NOT q.is_closed
                  AND scc.metres(p.lon_e7, p.lat_e7, q.lon_e7, q.lat_e7)
                      <= 150
              ORDER BY metres, q.id
              LIMIT 3) c) n ON true
    WHERE NOT EXISTS (SELECT FROM named m
                      WHERE m.name = regexp_replace(p.object_key, '^.*/', ''))
        AND NOT (p.image_type IS NULL AND p.place_id IS NOT NULL
                 AND EXISTS (SELECT FROM scc.place_accessibility a
                             WHERE a.place_id = p.place_id))
        AND NOT ((p.image_type IS NOT NULL OR p.place_id IS NULL)
                 AND EXISTS (SELECT FROM scc.building_accessibility b
                             WHERE b.building_id = coalesce(p.building_id,
                                                            s.building_id)))
    ORDER BY p.uploader, p.taken_at, p.id
$$;


-- Places that were recorded once and whose record is gone, has gaps, or is
-- believed by less than "below".  "photos" can be looked at indoors.

CREATE FUNCTION scc.work_places(below numeric, OUT id text, OUT name text,
    OUT address text, OUT lon_e7 int, OUT lat_e7 int, OUT reasons text[],
    OUT photos text[]) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = on SET enable_hashjoin = on AS $$
    SELECT p.id, p.name, p.address, p.lon_e7, p.lat_e7, r.reasons, f.photos
    FROM scc.place p
    LEFT JOIN scc.place_accessibility a ON a.place_id = p.id
    LEFT JOIN scc.building_accessibility b ON b.building_id = p.building_id
    CROSS JOIN LATERAL (
        SELECT coalesce(a.image_urls, '{}')
            || ARRAY(SELECT h.object_key FROM scc.photo h
                     WHERE h.place_id = p.id ORDER BY h.taken_at, h.id
                     LIMIT 20) AS own) o
    CROSS JOIN LATERAL (
        SELECT o.own || coalesce(b.image_urls, '{}')
            || ARRAY(SELECT h.object_key FROM scc.photo h
                     WHERE h.building_id = p.building_id
                         AND h.place_id IS DISTINCT FROM p.id
                     ORDER BY h.taken_at, h.id LIMIT 20) AS photos) f
    CROSS JOIN LATERAL (
        SELECT array_remove(ARRAY[
            CASE WHEN a.place_id IS NULL THEN 'record_missing' END,
            CASE WHEN a.stair_info = 'UNDEFINED' THEN 'stairs_unknown' END,
            CASE WHEN a.place_id IS NOT NULL AND a.is_first_floor IS NULL
                 THEN 'first_floor_unknown' END,
            CASE WHEN a.place_id IS NOT NULL AND a.is_first_floor IS NOT TRUE
                      AND b.building_id IS NULL THEN 'building_missing' END,
            CASE WHEN a.place_id IS NOT NULL AND p.level IS NULL
                 THEN 'level_unknown' END,
            CASE WHEN a.recovered_from IS NULL THEN NULL
                 WHEN a.confidence < below THEN 'confidence_low'
                 WHEN a.confidence IS NULL AND a.recovered_from <> 'revisit'
                 THEN 'confidence_unknown' END,
            CASE WHEN b.recovered_from IS NOT NULL AND b.confidence < below
                 THEN 'building_confidence_low' END,
            CASE WHEN a.place_id IS NOT NULL AND cardinality(o.own) = 0
                 THEN 'photo_missing' END], NULL) AS reasons) r
    WHERE NOT p.is_closed
        AND cardinality(r.reasons) > 0
        AND (a.place_id IS NOT NULL
             OR EXISTS (SELECT FROM scc.number n
                        WHERE n.kind = 'place' AND n.id = p.id))
    ORDER BY p.id
$$;


REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scc.metres(int, int, int, int), scc.work_photos(),
    scc.work_places(numeric) TO scc_app;

RESET ROLE;
