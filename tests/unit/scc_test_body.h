
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_TEST_BODY_H_INCLUDED_
#define _SCC_TEST_BODY_H_INCLUDED_


#include "scc_test.h"

#include "scc_contribution.h"


/* Bodies are written with ' for ", and % stands for what a test adds. */

#define PLACE         "{'kind':'place','placeId':'p','name':'n'," LOC "%}"
#define LOC           "'location':{'lng':127,'lat':37.5}"
#define ACCESS        "{'kind':'place_accessibility','placeId':'p'%}"
#define OLD           "{'kind':'place_accessibility','placeId':'p',"          \
                      "'stairInfo':'NONE','hasSlope':true%}"
#define NEW           "{'kind':'place_accessibility','placeId':'p',"          \
                      "'stairInfo':'NONE','hasSlope':true,'floors':[1],"      \
                      "'entranceDoorTypes':['Hinged']%}"
#define DOORS         "{'kind':'place_accessibility','placeId':'p',"          \
                      "'stairInfo':'NONE','hasSlope':true,'floors':[1]%}"
#define FLOORS        "{'kind':'place_accessibility','placeId':'p',"          \
                      "'stairInfo':'NONE','hasSlope':true,"                   \
                      "'entranceDoorTypes':['Hinged'],"                       \
                      "'isStairOnlyOption':false%}"
#define BUILDING      "{'kind':'building','buildingId':'a/b+='%}"
#define BACCESS       "{'kind':'building_accessibility','buildingId':'b'%}"
#define BFULL         "{'kind':'building_accessibility','buildingId':'b',"    \
                      "'entranceStairInfo':'NONE','hasSlope':false,"          \
                      "'hasElevator':true,'elevatorStairInfo':'NONE'%}"
#define ELEVATOR      "{'kind':'building_accessibility','buildingId':'b',"    \
                      "'entranceStairInfo':'NONE','hasSlope':false%}"
#define COMMENT       "{'kind':'comment'%}"
#define REPORT        "{'kind':'report','placeId':'p'%}"
#define HEX64         "0123456789abcdef0123456789abcdef"                       \
                      "0123456789abcdef0123456789abcdef"
#define PHOTO         "{'kind':'photo','objectKey':'k','size':1,'sha256':'"    \
                      HEX64 "','takenAt':'2023-05-01T00:00:00Z'%}"

#define STAIRS        "must be one of UNDEFINED, NONE, ONE, TWO_TO_FIVE, "    \
                      "OVER_SIX"
#define HEIGHTS       "must be one of HALF_THUMB, THUMB, OVER_THUMB"
#define UUID7         "0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0f"
#define UUID4         "0198c0de-7d4e-4c3a-9f21-5b6a7c8d9e0f"


/* faults: "field: part of the text" one after another, in order; empty: the
   body is good. */

typedef struct {
    const char  *body;
    const char  *add;
    const char  *faults;
} test_case_t;


static const scc_contribution_conf_t  test_conf = { 65536, 16 };


static inline char *
test_body(const char *body, const char *add)
{
    char        *text, *p;
    const char  *s;

    text = malloc(strlen(body) + strlen(add) + 1);
    assert_non_null(text);

    s = strchr(body, '%');

    if (s) {
        memcpy(text, body, (size_t) (s - body));
        p = text + (s - body);
        memcpy(p, add, strlen(add));
        memcpy(p + strlen(add), s + 1, strlen(s));

    } else {
        memcpy(text, body, strlen(body) + 1);
    }

    for (p = text; *p; p++) {
        if (*p == '\'') {
            *p = '"';
        }
    }

    return text;
}


static inline void
test_faults(const char *text, const scc_faults_t *faults, const char *want)
{
    char         line[512];
    size_t       n;
    unsigned     i;
    const char  *end, *part;

    for (i = 0; *want; i++) {
        end = strchr(want, '\n');
        n = end ? (size_t) (end - want) : strlen(want);

        assert_true(n < sizeof(line));
        memcpy(line, want, n);
        line[n] = '\0';
        want += n + (end != NULL);

        if (i >= faults->n) {
            fail_msg("%s\nno fault \"%s\"", text, line);
        }

        part = strstr(line, ": ");
        assert_non_null(part);

        n = (size_t) (part - line);
        part += 2;

        if (strlen(faults->fault[i].field) != n
            || memcmp(faults->fault[i].field, line, n) != 0
            || strstr(faults->fault[i].text, part) == NULL)
        {
            fail_msg("%s\nhave \"%s: %s\"\nwant \"%s\"", text,
                     faults->fault[i].field, faults->fault[i].text, line);
        }
    }

    if (i < faults->n) {
        fail_msg("%s\nhave \"%s: %s\"", text, faults->fault[i].field,
                 faults->fault[i].text);
    }
}


static inline void
test_one(const test_case_t *t)
{
    char                *text;
    scc_rc_t             rc;
    scc_faults_t         faults;
    scc_contribution_t   c;

    text = test_body(t->body, t->add);

    memset(&c, 0xee, sizeof(c));
    memset(&faults, 0xee, sizeof(faults));

    rc = scc_contribution_parse(&c, &test_conf, scc_test_z(text), &faults);

    test_faults(text, &faults, t->faults);
    assert_int_equal(rc, t->faults[0] ? SCC_DECLINED : SCC_OK);
    assert_false(faults.more);

    free(text);
}


static inline void
test_all(const test_case_t *t, size_t n)
{
    while (n-- > 0) {
        test_one(t++);
    }
}


#endif /* _SCC_TEST_BODY_H_INCLUDED_ */
