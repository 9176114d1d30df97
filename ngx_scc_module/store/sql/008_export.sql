--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- Open data: places and how to get in.  Nothing of who recorded it, no
-- comments, no images, no "extra": what is not here cannot leak.
--

SET ROLE scc_owner;


-- Columns as core's scc_export_row() takes them: by position.

CREATE VIEW scc.export AS
SELECT p.id, p.name, p.category, p.address, p.lon_e7, p.lat_e7,
    a.place_id IS NOT NULL AS registered,
    a.is_first_floor,
    array_to_string(a.floors, ';') AS floors,
    a.is_stair_only_option, a.stair_info, a.stair_height_level, a.has_slope,
    array_to_string(a.entrance_door_types, ';') AS entrance_door_types,
    p.building_id,
    b.building_id IS NOT NULL AS building_registered,
    b.entrance_stair_info, b.entrance_stair_height_level,
    array_to_string(b.entrance_door_types, ';')
        AS building_entrance_door_types,
    b.has_slope AS building_has_slope,
    b.has_elevator, b.elevator_stair_info, b.elevator_stair_height_level,
    p.source, p.synthetic,
    scc.json_time(greatest(p.updated_at, a.updated_at, b.updated_at))
        AS updated_at
FROM scc.place p
LEFT JOIN scc.place_accessibility a ON a.place_id = p.id
LEFT JOIN scc.building_accessibility b ON b.building_id = p.building_id
WHERE NOT p.is_closed;


-- The next places by id.  An id never changes, as a cell does when a place's
-- coordinates are put right: a place that is there from the first page to
-- the last one is in exactly one of them.

CREATE FUNCTION scc.export_page(after text, max_rows int)
RETURNS SETOF scc.export
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET enable_bitmapscan = off
SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT e.*
    FROM scc.export e
    WHERE e.id > export_page.after COLLATE "C"
    ORDER BY e.id
    LIMIT export_page.max_rows;
END
$$;


GRANT SELECT ON scc.export TO scc_app;
REVOKE EXECUTE ON FUNCTION scc.export_page(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scc.export_page(text, int) TO scc_app;

RESET ROLE;
