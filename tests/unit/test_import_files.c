
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_import.h"
#include "scc_json_object.h"


#define DATA  "../../../shared/data"


/* The data directory's file, or NULL: then the test is skipped. */

static FILE *
data_open(const char *name)
{
    char         path[4096], here[2048], *slash;
    FILE        *file;
    const char  *dir;

    dir = getenv("SCC_TEST_DATA");

    if (dir == NULL) {
        (void) snprintf(here, sizeof(here) - sizeof(DATA), "%s", __FILE__);
        slash = strrchr(here, '/');
        (void) snprintf(slash ? slash + 1 : here, sizeof(DATA), "%s", DATA);
        dir = here;
    }

    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);

    file = fopen(path, "rb");

    if (file == NULL) {
        print_message("skipped: no %s; set SCC_TEST_DATA\n", path);
    }

    return file;
}


/* Every row is rejected, with just the reason that the row itself names. */

typedef struct {
    uint64_t  rows;
    char      line[4096];
    FILE     *file;
} dirty_t;


static scc_rc_t
dirty_row(void *ctx, const scc_import_row_t *row)
{
    char      *p;
    dirty_t   *dirty = ctx;
    scc_str_t  reason;

    assert_non_null(fgets(dirty->line, sizeof(dirty->line), dirty->file));

    dirty->rows++;
    assert_int_equal(row->row, dirty->rows);
    assert_int_equal(row->line, dirty->rows + 1);
    assert_true(row->id.len > 0);

    reason = scc_reject_name(row->reject);

    /* "...,source,reason,extra", and no comma in what comes before extra's
       JSON but in quoted fields: the reason is looked for with its commas */

    for (p = dirty->line; (p = strstr(p, (const char *) reason.data)); p++) {

        if (p[-1] == ',' && p[reason.len] == ',') {
            return SCC_OK;
        }
    }

    fail_msg("line %d: %s for %s", (int) row->line,
             (const char *) reason.data, dirty->line);

    return SCC_ERROR;
}


static void
test_dirty_rows(void **state)
{
    char               block[4096];
    size_t             n;
    FILE              *file;
    dirty_t            dirty;
    scc_err_t          err;
    scc_import_t      *im;
    scc_import_conf_t  conf;

    (void) state;

    file = data_open("kr_dirty_rows_A.csv");
    if (file == NULL) {
        skip();
    }

    memset(&dirty, 0, sizeof(dirty));
    dirty.file = data_open("kr_dirty_rows_A.csv");
    assert_non_null(dirty.file);
    assert_non_null(fgets(dirty.line, sizeof(dirty.line), dirty.file));

    conf.format = SCC_IMPORT_AUTO;
    conf.map = S("lng=lng_raw,lat=lat_raw");
    conf.bounds = S("124,33,132,39");

    im = scc_import_create(&conf, dirty_row, &dirty, &err);
    assert_non_null(im);

    while ((n = fread(block, 1, sizeof(block), file)) > 0) {
        assert_int_equal(scc_import_feed(im, block, n, &err), SCC_OK);
    }

    assert_int_equal(scc_import_end(im, &err), SCC_OK);
    assert_str(scc_import_ignored(im), "reason");
    assert_int_equal(dirty.rows, 1540);

    scc_import_free(im);
    (void) fclose(dirty.file);
    (void) fclose(file);
}


/* The shipped sample: nothing is rejected, and its objects' tags count. */

typedef struct {
    uint64_t  rows;
    uint64_t  bodies[SCC_IMPORT_BODIES];
    uint64_t  bytes;
} sample_t;


static scc_rc_t
sample_row(void *ctx, const scc_import_row_t *row)
{
    unsigned   i;
    sample_t  *sample = ctx;
    scc_err_t  err;

    if (row->reject) {
        fail_msg("line %d: %s", (int) row->line, row->text);
    }

    sample->rows++;

    for (i = 0; i < row->n; i++) {
        sample->bodies[row->body[i].kind]++;
        sample->bytes += row->body[i].body.len;

        assert_int_equal(scc_json_object(row->body[i].body, NULL, NULL,
                                         &err), SCC_OK);
    }

    return SCC_OK;
}


static void
sample_import(const char *name, size_t piece, sample_t *sample)
{
    FILE              *file;
    size_t             n;
    uint8_t            block[4096];
    scc_err_t          err;
    scc_import_t      *im;
    scc_import_conf_t  conf;

    file = data_open(name);
    if (file == NULL) {
        skip();
    }

    memset(&conf, 0, sizeof(conf));
    memset(sample, 0, sizeof(sample_t));

    im = scc_import_create(&conf, sample_row, sample, &err);
    assert_non_null(im);

    while ((n = fread(block, 1, piece, file)) > 0) {

        if (scc_import_feed(im, block, n, &err) != SCC_OK) {
            fail_msg("%s: %s", name, err.text);
        }
    }

    if (scc_import_end(im, &err) != SCC_OK) {
        fail_msg("%s: %s", name, err.text);
    }

    scc_import_free(im);
    (void) fclose(file);
}


static void
test_sample_geojson(void **state)
{
    sample_t  one, two;

    (void) state;

    sample_import("osm_accessibility_A.geojson", 4096, &one);

    assert_int_equal(one.rows, 3722);
    assert_int_equal(one.bodies[SCC_IMPORT_PLACE], 3722);
    assert_int_equal(one.bodies[SCC_IMPORT_BUILDING], 0);

    /* 866 wheelchair=yes, 638 step_count, some ramps and doors, and some
       of these on one object */

    assert_in_range(one.bodies[SCC_IMPORT_PLACE_ACCESSIBILITY], 1400, 1600);

    sample_import("osm_accessibility_A.geojson", 13, &two);
    assert_memory_equal(&one, &two, sizeof(one));
}


static void
test_sample_csv(void **state)
{
    sample_t  one, two;

    (void) state;

    sample_import("osm_pois_A.csv", 4096, &one);

    /* 397 with wheelchair=yes, and no other tag that counts */

    assert_int_equal(one.bodies[SCC_IMPORT_PLACE], 4248);
    assert_int_equal(one.bodies[SCC_IMPORT_PLACE_ACCESSIBILITY], 397);

    sample_import("osm_pois_A.csv", 13, &two);
    assert_memory_equal(&one, &two, sizeof(one));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_dirty_rows),
        cmocka_unit_test(test_sample_geojson),
        cmocka_unit_test(test_sample_csv),
    };

    return cmocka_run_group_tests_name("import files", tests, NULL, NULL);
}
