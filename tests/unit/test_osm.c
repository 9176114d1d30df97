
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_osm.h"


#define README  "../../ngx_scc_module/core/README.md"

#define TAGS_MAX  8


static scc_osm_access_t
access_of(const scc_osm_tag_t *tags, size_t n)
{
    scc_osm_access_t  access;

    /* garbage before: every field must be set */

    memset(&access, 0x5a, sizeof(access));
    scc_osm_access(tags, n, &access);

    return access;
}


/* "`a=b` `c=d`" */

static size_t
parse_tags(char *cell, scc_osm_tag_t *tags)
{
    char    *p, *end, *equals;
    size_t   n;

    n = 0;

    for (p = strchr(cell, '`'); p; p = strchr(end + 1, '`')) {
        end = strchr(p + 1, '`');
        assert_non_null(end);
        *end = '\0';

        equals = strchr(p, '=');
        assert_non_null(equals);
        assert_true(n < TAGS_MAX);

        tags[n].key = scc_test_str(p + 1, (size_t) (equals - p) - 1);
        tags[n].value = scc_test_z(equals + 1);
        n++;
    }

    return n;
}


static scc_tri_t
parse_tri(const char *cell)
{
    if (strcmp(cell, "`true`") == 0) {
        return SCC_YES;
    }

    if (strcmp(cell, "`false`") == 0) {
        return SCC_NO;
    }

    assert_string_equal(cell, "unknown");

    return SCC_UNKNOWN;
}


static scc_stair_t
parse_stair(const char *cell)
{
    size_t       len;
    scc_stair_t  stair;

    if (strcmp(cell, "unknown") == 0) {
        return SCC_STAIR_UNDEFINED;
    }

    len = strlen(cell);
    assert_true(len > 2);
    assert_int_equal(scc_stair_parse(scc_test_str(cell + 1, len - 2), &stair),
                     SCC_OK);

    return stair;
}


/* The documented table is what the code does, row by row. */

static void
test_readme_table(void **state)
{
    char              path[4096], line[1024], copy[1024], *cell[5], *p, *slash;
    FILE             *file;
    bool              inside;
    size_t            i, n, rows;
    scc_osm_tag_t     tags[TAGS_MAX];
    scc_osm_access_t  access;

    (void) state;

    (void) snprintf(path, sizeof(path), "%s", __FILE__);
    slash = strrchr(path, '/');
    (void) snprintf(slash ? slash + 1 : path,
                    sizeof(path) - (slash ? (size_t) (slash + 1 - path) : 0),
                    "%s", README);

    file = fopen(path, "r");
    assert_non_null(file);

    rows = 0;
    inside = false;

    while (fgets(line, sizeof(line), file)) {

        if (strncmp(line, "| tags |", 8) == 0) {
            inside = true;
            assert_non_null(fgets(line, sizeof(line), file));
            continue;
        }

        if (!inside) {
            continue;
        }

        if (line[0] != '|') {
            break;
        }

        memcpy(copy, line, sizeof(copy));
        p = line + 1;

        for (i = 0; i < 5; i++) {
            cell[i] = p + 1;
            p = strchr(p, '|');
            assert_non_null(p);
            p[-1] = '\0';
            p++;
        }

        n = parse_tags(cell[0], tags);
        assert_true(n > 0);

        access = access_of(tags, n);

        if (access.stair != parse_stair(cell[1])
            || access.slope != parse_tri(cell[2])
            || access.first_floor != parse_tri(cell[3])
            || access.automatic_door
               != (strcmp(cell[4], "`Automatic`") == 0))
        {
            fail_msg("the code differs from the table: %s", copy);
        }

        /* the order of tags does not matter */

        for (i = 0; i < n / 2; i++) {
            scc_osm_tag_t  swap = tags[i];

            tags[i] = tags[n - 1 - i];
            tags[n - 1 - i] = swap;
        }

        access = access_of(tags, n);

        assert_int_equal(access.stair, parse_stair(cell[1]));
        assert_int_equal(access.slope, parse_tri(cell[2]));

        rows++;
    }

    (void) fclose(file);

    assert_true(rows >= 60);
}


static void
test_known(void **state)
{
    size_t            i;
    scc_osm_tag_t     tag;
    scc_osm_access_t  access;

    static const struct {
        const char  *key;
        const char  *value;
        bool         known;
    } rows[] = {
        { "step_count", "0", true },
        { "step_count", "1000000", false },
        { "step_count", "", false },
        { "wheelchair", "yes", true },
        { "wheelchair", "YES", false },
        { "wheelchair", "limited", false },
        { "ramp", "no", true },
        { "automatic_door", "motion", true },
        { "highway", "steps", false },
        { "level", "0", false },
        { "", "", false },
    };

    (void) state;

    for (i = 0; i < scc_test_items(rows); i++) {
        tag.key = scc_test_z(rows[i].key);
        tag.value = scc_test_z(rows[i].value);

        access = access_of(&tag, 1);
        assert_int_equal(scc_osm_access_known(&access), rows[i].known);
    }

    access = access_of(NULL, 0);
    assert_false(scc_osm_access_known(&access));
    assert_int_equal(access.first_floor, SCC_UNKNOWN);
}


static void
test_levels(void **state)
{
    size_t            i;
    scc_osm_tag_t     tags[2];
    scc_osm_access_t  access;

    static const struct {
        const char  *level;
        scc_tri_t    first_floor;
    } rows[] = {
        { "0", SCC_YES }, { "-0", SCC_YES }, { "00", SCC_YES },
        { "1", SCC_NO }, { "-2", SCC_NO }, { "12", SCC_NO },
        { "10", SCC_NO }, { "100000000000000000000", SCC_NO },
        { "-", SCC_UNKNOWN }, { "--1", SCC_UNKNOWN }, { "+1", SCC_UNKNOWN },
        { "0;1", SCC_UNKNOWN }, { "0-1", SCC_UNKNOWN }, { "G", SCC_UNKNOWN },
        { " 0", SCC_UNKNOWN }, { "0,5", SCC_UNKNOWN },
        { "", SCC_YES },                /* as if absent: the street's */
    };

    (void) state;

    tags[0].key = S("highway");
    tags[0].value = S("bus_stop");
    tags[1].key = S("level");

    for (i = 0; i < scc_test_items(rows); i++) {
        tags[1].value = scc_test_z(rows[i].level);
        access = access_of(tags, 2);
        assert_int_equal(access.first_floor, rows[i].first_floor);
    }
}


static void
test_category(void **state)
{
    const scc_osm_tag_t  *found;
    const scc_osm_tag_t   tags[] = {
        { S("name"), S("Zoo") },
        { S("building"), S("yes") },
        { S("railway"), S("halt") },
        { S("public_transport"), S("stop_position") },
        { S("tourism"), S("zoo") },
        { S("amenity"), S("no") },
        { S("shop"), S("") },
    };

    (void) state;

    found = scc_osm_category(tags, scc_test_items(tags));
    assert_non_null(found);
    assert_str(found->key, "tourism");

    found = scc_osm_category(tags, 4);
    assert_non_null(found);
    assert_str(found->key, "public_transport");

    found = scc_osm_category(tags, 2);
    assert_non_null(found);
    assert_str(found->value, "yes");

    assert_null(scc_osm_category(tags, 1));
    assert_null(scc_osm_category(NULL, 0));
}


static void
test_ids(void **state)
{
    size_t  i;

    static const char *const  good[] = {
        "node/1", "way/0", "relation/99999999999999999999"
    };

    static const char *const  bad[] = {
        "", "node", "node/", "node/1a", "node/-1", "Node/1", "way/1/2",
        "area/1", "toilet_kr:1", "relation/ 1"
    };

    (void) state;

    for (i = 0; i < scc_test_items(good); i++) {
        assert_true(scc_osm_id(scc_test_z(good[i])));
    }

    for (i = 0; i < scc_test_items(bad); i++) {
        assert_false(scc_osm_id(scc_test_z(bad[i])));
    }
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_readme_table),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_category),
        cmocka_unit_test(test_ids),
    };

    return cmocka_run_group_tests_name("osm", tests, NULL, NULL);
}
