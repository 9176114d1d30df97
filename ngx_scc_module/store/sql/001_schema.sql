--
-- Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
--
-- Roles, schema, tables, guards, rights.  Run by "sccctl init|migrate" as
-- an administrator, one transaction per file; never by nginx.
--


DO $$
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'database %: its encoding is %, but must be UTF8; '
            'create it with ENCODING ''UTF8'' TEMPLATE template0',
            current_database(), current_setting('server_encoding');
    END IF;

    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'scc_owner') THEN
        CREATE ROLE scc_owner NOLOGIN;
    END IF;

    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'scc_app') THEN
        CREATE ROLE scc_app LOGIN;
    END IF;
END
$$;

CREATE EXTENSION IF NOT EXISTS postgis;

CREATE SCHEMA scc AUTHORIZATION scc_owner;
GRANT USAGE ON SCHEMA scc TO scc_app;

-- PostGIS may have been installed in a schema of its own.

SELECT set_config('search_path', quote_ident(n.nspname), true)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'postgis';

SET ROLE scc_owner;


CREATE TABLE scc.migration (
    version     int PRIMARY KEY,
    name        text NOT NULL,
    sha256      text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);


-- Who this store is.  Written once by "sccctl init": nothing else invents
-- an identity, so that an empty store is never taken for the real one.

CREATE TABLE scc.identity (
    store_uuid  uuid NOT NULL,
    epoch       int NOT NULL DEFAULT 1 CHECK (epoch >= 1),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    only_row    bool PRIMARY KEY DEFAULT true CHECK (only_row)
);


-- The ledger: every contribution once, as received, for ever.  Fields that
-- the projections need are read from the body when it is folded.

CREATE TABLE scc.contribution (
    event_id          uuid PRIMARY KEY,
    hlc               bigint NOT NULL,
    received_at       timestamptz NOT NULL,
    applied_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    segment_id        uuid,
    schema_ver        smallint NOT NULL DEFAULT 1,
    kind              text NOT NULL COLLATE "C",
    target            text NOT NULL COLLATE "C",
    contributor_id    text NOT NULL COLLATE "C",
    contributor_name  text,
    idem_key          text COLLATE "C",
    body_sha256       bytea NOT NULL,
    body              text NOT NULL,

    CONSTRAINT contribution_kind CHECK (kind IN ('place', 'building',
        'place_accessibility', 'building_accessibility', 'comment', 'report',
        'retract', 'restore', 'contributor', 'erase', 'remove',
        'reinstate', 'photo')),
    CONSTRAINT contribution_hlc CHECK (hlc >= 0),
    CONSTRAINT contribution_target
        CHECK (octet_length(target) BETWEEN 1 AND 64),
    CONSTRAINT contribution_contributor_id
        CHECK (octet_length(contributor_id) BETWEEN 1 AND 64),
    CONSTRAINT contribution_contributor_name
        CHECK (octet_length(contributor_name) <= 512),
    CONSTRAINT contribution_idem_key CHECK (octet_length(idem_key) <= 512),
    CONSTRAINT contribution_body CHECK (json_typeof(body::json) = 'object'),
    CONSTRAINT contribution_body_sha256
        CHECK (octet_length(body_sha256) = 32)
);

CREATE UNIQUE INDEX contribution_idem
    ON scc.contribution (contributor_id, idem_key)
    WHERE idem_key IS NOT NULL;

-- What was said of a target, by whom, in order: who conquered a place, and
-- what counts when the newest word is retracted.  One index for all kinds: two
-- with conditions cost every event both conditions.

CREATE INDEX contribution_target
    ON scc.contribution (target, contributor_id, hlc);

-- How many are new: asked of a store that went back.  Next to nothing to keep.

CREATE INDEX contribution_hlc ON scc.contribution USING brin (hlc);

-- What a contributor conquered, in order; and the names that came with
-- contributions, asked when they are erased.  One index: few have no name.

CREATE INDEX contribution_roster ON scc.contribution (contributor_id, hlc)
    WHERE kind IN ('place_accessibility', 'building_accessibility')
        OR contributor_name IS NOT NULL;


-- Projections.  No foreign keys between them: events come in any order.
-- hlc, event_id: of the contribution that the row is folded from; as_of: the
-- time by which it was chosen, see scc.as_of().
-- In yes/no columns NULL is "unknown" and never means "no".

CREATE TABLE scc.place (
    id           text COLLATE "C" PRIMARY KEY,
    name         text NOT NULL,
    category     text COLLATE "C",
    address      text,
    source       text,
    extra        jsonb,
    building_id  text COLLATE "C",
    synthetic    bool NOT NULL DEFAULT false,
    is_closed    bool NOT NULL DEFAULT false,

    -- derived, kept by triggers
    registered   bool NOT NULL DEFAULT false,
    level        smallint,

    lon_e7       int NOT NULL,
    lat_e7       int NOT NULL,
    rev          bigint NOT NULL DEFAULT 1,
    hlc          bigint NOT NULL DEFAULT 0,
    event_id     uuid NOT NULL
                     DEFAULT '00000000-0000-0000-0000-000000000000',
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),

    -- scc.cell_of() written out: an expression costs less than a call
    cell         bigint NOT NULL GENERATED ALWAYS AS (
                     (least((lon_e7::bigint + 1800000000) * 65536
                            / 3600000000, 65535) << 16)
                     | least(greatest(floor((1 - asinh(tan(radians(
                           lat_e7::float8 / 1e7))) / pi()) * 32768), 0),
                           65535)::bigint
                 ) STORED,
    geom         geometry(Point, 4326) NOT NULL GENERATED ALWAYS AS (
                     ST_SetSRID(ST_MakePoint(lon_e7::float8 / 1e7,
                                             lat_e7::float8 / 1e7), 4326)
                 ) STORED,

    CONSTRAINT place_id CHECK (octet_length(id) BETWEEN 1 AND 64),
    CONSTRAINT place_name CHECK (octet_length(name) <= 512),
    CONSTRAINT place_category CHECK (octet_length(category) <= 64),
    CONSTRAINT place_address CHECK (octet_length(address) <= 512),
    CONSTRAINT place_building_id
        CHECK (octet_length(building_id) BETWEEN 1 AND 64),
    CONSTRAINT place_extra CHECK (jsonb_typeof(extra) = 'object'),
    CONSTRAINT place_lon_e7 CHECK (lon_e7 BETWEEN -1800000000
                                              AND 1800000000),
    CONSTRAINT place_lat_e7 CHECK (lat_e7 BETWEEN -900000000 AND 900000000),
    CONSTRAINT place_level CHECK (level BETWEEN 0 AND 5)
) WITH (fillfactor = 70);               -- room for level and rev to change

CREATE INDEX place_cell ON scc.place (cell, id);
CREATE INDEX place_geom ON scc.place USING gist (geom);
CREATE INDEX place_category ON scc.place (category, cell, id)
    WHERE category IS NOT NULL;
CREATE INDEX place_building ON scc.place (building_id)
    WHERE building_id IS NOT NULL;


CREATE TABLE scc.building (
    id              text COLLATE "C" PRIMARY KEY,
    name            text,
    address         text,
    lon_e7          int,
    lat_e7          int,
    contributor_id  text COLLATE "C",
    hlc             bigint NOT NULL DEFAULT 0,
    event_id        uuid NOT NULL
                        DEFAULT '00000000-0000-0000-0000-000000000000',
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT building_id CHECK (octet_length(id) BETWEEN 1 AND 64),
    CONSTRAINT building_name CHECK (octet_length(name) <= 512),
    CONSTRAINT building_address CHECK (octet_length(address) <= 512),
    CONSTRAINT building_location CHECK ((lon_e7 IS NULL) = (lat_e7 IS NULL)),
    CONSTRAINT building_lon_e7 CHECK (lon_e7 BETWEEN -1800000000
                                                 AND 1800000000),
    CONSTRAINT building_lat_e7 CHECK (lat_e7 BETWEEN -900000000
                                                 AND 900000000)
);


CREATE TABLE scc.place_accessibility (
    place_id              text COLLATE "C" PRIMARY KEY,
    floors                int[],
    is_first_floor        bool,
    is_stair_only_option  bool,
    stair_info            text NOT NULL COLLATE "C",
    stair_height_level    text COLLATE "C",
    has_slope             bool,
    entrance_door_types   text[],
    image_urls            text[],
    recovered_from        text COLLATE "C",
    confidence            numeric,
    recoverer             text COLLATE "C",
    original_time         timestamptz,
    contributor_id        text COLLATE "C",
    as_of                 bigint NOT NULL DEFAULT 0,
    hlc                   bigint NOT NULL DEFAULT 0,
    event_id              uuid NOT NULL
                              DEFAULT '00000000-0000-0000-0000-000000000000',
    updated_at            timestamptz NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT place_accessibility_place_id
        CHECK (octet_length(place_id) BETWEEN 1 AND 64),
    CONSTRAINT place_accessibility_stair_info
        CHECK (stair_info IN ('UNDEFINED', 'NONE', 'ONE', 'TWO_TO_FIVE',
                              'OVER_SIX')),
    CONSTRAINT place_accessibility_recovered_from
        CHECK (recovered_from IN ('photo', 'sheet', 'revisit')),
    CONSTRAINT place_accessibility_confidence
        CHECK (confidence BETWEEN 0 AND 1),
    CONSTRAINT place_accessibility_original_time
        CHECK (original_time BETWEEN '1899-12-30 00:00:00+00'
                                 AND '3000-01-02 00:00:00+00'),
    CONSTRAINT place_accessibility_recoverer
        CHECK (octet_length(recoverer) BETWEEN 1 AND 64),
    CONSTRAINT place_accessibility_stair_height_level
        CHECK (stair_height_level IN ('HALF_THUMB', 'THUMB', 'OVER_THUMB')),
    CONSTRAINT place_accessibility_entrance_door_types
        CHECK (entrance_door_types <@ ARRAY['None', 'Hinged', 'Sliding',
                                            'Revolving', 'Automatic', 'ETC'])
);


CREATE TABLE scc.building_accessibility (
    building_id                  text COLLATE "C" PRIMARY KEY,
    entrance_stair_info          text NOT NULL COLLATE "C",
    entrance_stair_height_level  text COLLATE "C",
    entrance_door_types          text[],
    has_slope                    bool,
    has_elevator                 bool,
    elevator_stair_info          text NOT NULL COLLATE "C",
    elevator_stair_height_level  text COLLATE "C",
    image_urls                   text[],
    recovered_from               text COLLATE "C",
    confidence                   numeric,
    recoverer                    text COLLATE "C",
    original_time                timestamptz,
    contributor_id               text COLLATE "C",
    as_of                        bigint NOT NULL DEFAULT 0,
    hlc                          bigint NOT NULL DEFAULT 0,
    event_id                     uuid NOT NULL
                              DEFAULT '00000000-0000-0000-0000-000000000000',
    updated_at                   timestamptz NOT NULL
                                     DEFAULT clock_timestamp(),

    CONSTRAINT building_accessibility_building_id
        CHECK (octet_length(building_id) BETWEEN 1 AND 64),
    CONSTRAINT building_accessibility_recovered_from
        CHECK (recovered_from IN ('photo', 'sheet', 'revisit')),
    CONSTRAINT building_accessibility_confidence
        CHECK (confidence BETWEEN 0 AND 1),
    CONSTRAINT building_accessibility_original_time
        CHECK (original_time BETWEEN '1899-12-30 00:00:00+00'
                                 AND '3000-01-02 00:00:00+00'),
    CONSTRAINT building_accessibility_recoverer
        CHECK (octet_length(recoverer) BETWEEN 1 AND 64),
    CONSTRAINT building_accessibility_entrance_stair_info
        CHECK (entrance_stair_info IN ('UNDEFINED', 'NONE', 'ONE',
                                       'TWO_TO_FIVE', 'OVER_SIX')),
    CONSTRAINT building_accessibility_entrance_stair_height_level
        CHECK (entrance_stair_height_level IN ('HALF_THUMB', 'THUMB',
                                               'OVER_THUMB')),
    CONSTRAINT building_accessibility_elevator_stair_info
        CHECK (elevator_stair_info IN ('UNDEFINED', 'NONE', 'ONE',
                                       'TWO_TO_FIVE', 'OVER_SIX')),
    CONSTRAINT building_accessibility_elevator_stair_height_level
        CHECK (elevator_stair_height_level IN ('HALF_THUMB', 'THUMB',
                                               'OVER_THUMB')),
    CONSTRAINT building_accessibility_entrance_door_types
        CHECK (entrance_door_types <@ ARRAY['None', 'Hinged', 'Sliding',
                                            'Revolving', 'Automatic', 'ETC'])
);


-- Photos in an object store, and what people said they show.  id: the
-- SHA-256 of the key, which is the target of what is said of it.

CREATE TABLE scc.photo (
    id              text COLLATE "C" PRIMARY KEY,
    object_key      text NOT NULL COLLATE "C",
    size            bigint NOT NULL,
    sha256          text NOT NULL COLLATE "C",
    taken_at        timestamptz NOT NULL,
    lon_e7          int,
    lat_e7          int,
    place_id        text COLLATE "C",
    building_id     text COLLATE "C",
    image_type      text COLLATE "C",
    uploader        text NOT NULL COLLATE "C",
    contributor_id  text NOT NULL COLLATE "C",
    hlc             bigint NOT NULL,
    event_id        uuid NOT NULL,

    CONSTRAINT photo_id CHECK (octet_length(id) = 64),
    CONSTRAINT photo_object_key
        CHECK (octet_length(object_key) BETWEEN 1 AND 1024),
    CONSTRAINT photo_size CHECK (size BETWEEN 1 AND 1000000000000),
    CONSTRAINT photo_sha256 CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT photo_taken_at
        CHECK (taken_at BETWEEN '1899-12-30 00:00:00+00'
                            AND '3000-01-02 00:00:00+00'),
    CONSTRAINT photo_location CHECK ((lon_e7 IS NULL) = (lat_e7 IS NULL)),
    CONSTRAINT photo_lon_e7 CHECK (lon_e7 BETWEEN -1800000000
                                              AND 1800000000),
    CONSTRAINT photo_lat_e7 CHECK (lat_e7 BETWEEN -900000000
                                              AND 900000000),
    CONSTRAINT photo_place_id CHECK (octet_length(place_id) BETWEEN 1
                                                                AND 64),
    CONSTRAINT photo_building_id
        CHECK (octet_length(building_id) BETWEEN 1 AND 64),
    CONSTRAINT photo_image_type
        CHECK (image_type IN ('Entrance', 'Elevator')),
    CONSTRAINT photo_uploader
        CHECK (octet_length(uploader) BETWEEN 1 AND 64)
);

CREATE INDEX photo_place ON scc.photo (place_id)
    WHERE place_id IS NOT NULL;
CREATE INDEX photo_building ON scc.photo (building_id)
    WHERE building_id IS NOT NULL;


-- hlc: of the newest contribution that gave a name; NULL while none did.
-- Names not newer than erased_hlc are gone.

CREATE TABLE scc.contributor (
    id            text COLLATE "C" PRIMARY KEY,
    display_name  text COLLATE "C",
    hlc           bigint,
    erased_hlc    bigint,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT contributor_id CHECK (octet_length(id) BETWEEN 1 AND 64),
    CONSTRAINT contributor_display_name
        CHECK (octet_length(display_name) <= 512)
);

CREATE INDEX contributor_erased ON scc.contributor (id)
    WHERE erased_hlc IS NOT NULL;


-- The newest word of each contributor (retract, restore), and of all
-- moderators together (remove, reinstate; "said_by" is empty), on each event,
-- known already or not.  Whose word counts, scc.hidden() says.

CREATE TABLE scc.retraction (
    event_id   uuid NOT NULL,
    said_by    text NOT NULL COLLATE "C",
    retracted  bool NOT NULL,
    hlc        bigint NOT NULL,
    by_event   uuid NOT NULL,

    PRIMARY KEY (event_id, said_by)
);


-- Events that are not retracted, a row each.

CREATE TABLE scc.comment (
    event_id        uuid PRIMARY KEY,
    place_id        text COLLATE "C",
    building_id     text COLLATE "C",
    comment         text NOT NULL,
    contributor_id  text NOT NULL COLLATE "C",
    hlc             bigint NOT NULL,

    CONSTRAINT comment_of_one CHECK (num_nonnulls(place_id, building_id) = 1)
);

CREATE INDEX comment_place ON scc.comment (place_id, hlc)
    WHERE place_id IS NOT NULL;
CREATE INDEX comment_building ON scc.comment (building_id, hlc)
    WHERE building_id IS NOT NULL;

CREATE TABLE scc.report (
    event_id        uuid PRIMARY KEY,
    place_id        text NOT NULL COLLATE "C",
    reason          text NOT NULL COLLATE "C",
    detail          text,
    contributor_id  text NOT NULL COLLATE "C",
    hlc             bigint NOT NULL,

    CONSTRAINT report_reason
        CHECK (reason IN ('INACCURATE_INFO', 'CLOSED', 'BAD_USER'))
);

CREATE INDEX report_closed ON scc.report (place_id, hlc, event_id)
    WHERE reason = 'CLOSED';


-- Numbers that are given once and never again: a contributor's order, a
-- place's registration.  They rise by one, in the order of commits; up to
-- "kept" some journal has them too.  Written under scc.write_lock().

CREATE TABLE scc.number (
    kind    text NOT NULL COLLATE "C",
    number  bigint NOT NULL,
    id      text NOT NULL COLLATE "C",

    PRIMARY KEY (kind, id),
    CONSTRAINT number_once UNIQUE (kind, number),
    CONSTRAINT number_kind CHECK (kind IN ('contributor', 'place')),
    CONSTRAINT number_number CHECK (number > 0)
);

CREATE TABLE scc.counter (
    kind   text COLLATE "C" PRIMARY KEY,
    value  bigint NOT NULL DEFAULT 0,
    kept   bigint NOT NULL DEFAULT 0,

    CONSTRAINT counter_kept CHECK (kept BETWEEN 0 AND value)
);

INSERT INTO scc.counter (kind) VALUES ('contributor'), ('place');


-- What a journal says of a number that the store contradicts: it is another's
-- here, or its owner has another one.  A person's to judge; the store's own
-- word counts.

CREATE TABLE scc.number_doubt (
    kind    text NOT NULL COLLATE "C",
    number  bigint NOT NULL,
    id      text NOT NULL COLLATE "C",
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),

    PRIMARY KEY (kind, number, id)
);


-- Places whose pages showed the name of somebody who was erased, and when
-- that was: copies of these pages are removed.

CREATE TABLE scc.forgotten (
    place_id  text COLLATE "C" PRIMARY KEY,
    xid       xid8 NOT NULL DEFAULT pg_current_xact_id()
);

CREATE INDEX forgotten_xid ON scc.forgotten (xid);


-- The revision that a place had when it was removed: it goes on from there.

CREATE TABLE scc.removed (
    id   text COLLATE "C" PRIMARY KEY,
    rev  bigint NOT NULL
);


-- The unit of caching.  Kept by triggers on scc.place; counts are of places
-- that are not closed; n_unknown: those without a level.  ver rises with any
-- change to what a feature or a page of the cell's places shows, closed ones
-- included.  It never falls: the row stays when the last place goes.

CREATE TABLE scc.cell (
    cell          bigint PRIMARY KEY
                      CHECK (cell BETWEEN 0 AND 4294967295),
    ver           bigint NOT NULL,
    n             int NOT NULL,
    n_registered  int NOT NULL,
    n_unknown     int NOT NULL,
    n_level0      int NOT NULL,
    n_level1      int NOT NULL,
    n_level2      int NOT NULL,
    n_level3      int NOT NULL,
    n_level4      int NOT NULL,
    n_level5      int NOT NULL,
    sum_lon       bigint NOT NULL,
    sum_lat       bigint NOT NULL,
    changed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_xid   xid8 NOT NULL DEFAULT pg_current_xact_id()
) WITH (fillfactor = 70);

CREATE INDEX cell_changed_xid ON scc.cell (changed_xid);


-- Contributions that could not be applied, until somebody looks.

CREATE TABLE scc.dead_letter (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     uuid,
    segment_id   uuid,
    reason       text NOT NULL,
    sqlstate     text COLLATE "C",
    raw          bytea NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at  timestamptz                -- applied after all
);

CREATE INDEX dead_letter_event ON scc.dead_letter (event_id);
CREATE INDEX dead_letter_open ON scc.dead_letter (id)
    WHERE resolved_at IS NULL;


-- Guards.  They stop the owner and superusers too: who means it, disables
-- the trigger first, by name.

CREATE FUNCTION scc.refuse() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of %.%: refused, %', TG_OP, TG_TABLE_SCHEMA,
        TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- The ledger only grows, but who wants to be forgotten is: names and keys
-- become NULL, a contributor event loses the name in its body, and has the
-- digest of what is left.

CREATE FUNCTION scc.nameless(body text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (body::jsonb - 'displayName')::text
$$;

CREATE FUNCTION scc.refuse_but_erasure() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.event_id, NEW.hlc, NEW.received_at, NEW.applied_at,
        NEW.segment_id, NEW.schema_ver, NEW.kind, NEW.target,
        NEW.contributor_id)
       IS NOT DISTINCT FROM
       (OLD.event_id, OLD.hlc, OLD.received_at, OLD.applied_at,
        OLD.segment_id, OLD.schema_ver, OLD.kind, OLD.target,
        OLD.contributor_id)
       AND (NEW.contributor_name IS NULL
            OR NEW.contributor_name = OLD.contributor_name)
       AND (NEW.idem_key IS NULL OR NEW.idem_key = OLD.idem_key)
       AND ((NEW.body, NEW.body_sha256) = (OLD.body, OLD.body_sha256)
            OR OLD.kind = 'contributor'
               AND NEW.body = scc.nameless(OLD.body)
               AND NEW.body_sha256
                   = sha256(convert_to(NEW.body, 'UTF8')))
       AND (NEW.contributor_name, NEW.idem_key, NEW.body)
           IS DISTINCT FROM (OLD.contributor_name, OLD.idem_key, OLD.body)
    THEN
        RETURN NEW;
    END IF;

    RAISE EXCEPTION 'UPDATE of scc.contribution: refused, the ledger only '
        'grows; a correction is a new contribution'
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER refuse
    BEFORE DELETE OR TRUNCATE ON scc.contribution
    FOR EACH STATEMENT EXECUTE FUNCTION scc.refuse(
        'the ledger only grows; a correction is a new contribution');

CREATE TRIGGER refuse_update
    BEFORE UPDATE ON scc.contribution
    FOR EACH ROW EXECUTE FUNCTION scc.refuse_but_erasure();

CREATE TRIGGER refuse
    BEFORE DELETE OR TRUNCATE ON scc.identity
    FOR EACH STATEMENT EXECUTE FUNCTION scc.refuse(
        'a store keeps its identity for life');

CREATE TRIGGER refuse
    BEFORE DELETE OR TRUNCATE ON scc.cell
    FOR EACH STATEMENT EXECUTE FUNCTION scc.refuse(
        'cell versions must never fall');

CREATE TRIGGER refuse_fall
    BEFORE UPDATE ON scc.cell
    FOR EACH ROW WHEN (NEW.ver < OLD.ver OR NEW.cell <> OLD.cell)
    EXECUTE FUNCTION scc.refuse('cell versions must never fall');

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['place', 'building', 'place_accessibility',
                             'building_accessibility', 'contributor',
                             'photo', 'retraction', 'comment', 'report',
                             'number', 'counter', 'number_doubt',
                             'forgotten', 'removed', 'dead_letter',
                             'migration']
    LOOP
        EXECUTE format('CREATE TRIGGER refuse BEFORE TRUNCATE ON scc.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION scc.refuse(%L)', t,
            'nothing here is ever emptied; delete single rows if you must');
    END LOOP;
END
$$;


-- scc_app reads everything and changes nothing but through scc.apply().

ALTER DEFAULT PRIVILEGES FOR ROLE scc_owner IN SCHEMA scc
    GRANT SELECT ON TABLES TO scc_app;
ALTER DEFAULT PRIVILEGES FOR ROLE scc_owner
    REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

GRANT SELECT ON ALL TABLES IN SCHEMA scc TO scc_app;
GRANT INSERT ON scc.dead_letter TO scc_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scc FROM PUBLIC;

RESET ROLE;


-- A store that was just filled has no statistics, and the planner would then
-- read whole tables to show one street.  Every statement of scc_app reads by
-- key; so plans that pay only on small tables are ruled out for it.

DO $$
DECLARE
    s  text;
BEGIN
    FOREACH s IN ARRAY ARRAY['enable_seqscan', 'enable_hashjoin',
                             'enable_mergejoin', 'jit']
    LOOP
        EXECUTE format('ALTER ROLE scc_app IN DATABASE %I SET %I = off',
                       current_database(), s);
    END LOOP;
END
$$;
