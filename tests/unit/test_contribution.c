
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_json_object.h"
#include "scc_rules.h"
#include "scc_test_body.h"


#define README  "../../ngx_scc_module/core/README.md"
#define CELLS   5


static void
test_syntax(void **state)
{
    static const test_case_t  cases[] = {
        { "", "", ": is empty" },
        { " ", "", ": cannot be read as JSON" },
        { "{", "", ": cannot be read as JSON" },
        { "{}", "", "kind: must be one of place, place_accessibility, "
          "building, building_accessibility, comment, report, retract, "
          "restore, contributor, erase, remove, reinstate" },
        { "[]", "", ": must be a JSON object" },
        { "[{'kind':'erase'}]", "", ": must be a JSON object" },
        { "1", "", ": must be a JSON object" },
        { "'erase'", "", ": must be a JSON object" },
        { "null", "", ": must be a JSON object" },
        { "true", "", ": must be a JSON object" },
        { "{'kind':'erase'", "", ": cannot be read as JSON" },
        { "{'kind':'erase'}x", "", ": cannot be read as JSON" },
        { "{'kind':'erase'}{}", "", ": cannot be read as JSON" },
        { "{'kind':'erase'}'x", "", ": cannot be read as JSON: line 1, byte "
          "18: a string is not closed" },
        { "{'kind':'erase'}'}'", "", ": cannot be read as JSON" },
        { "{'kind':'erase',}", "", ": cannot be read as JSON" },
        { "{'kind':'erase','x':1,'y':}", "", ": cannot be read as JSON" },
        { "{'kind':'erase','x':01}", "", ": cannot be read as JSON" },
        { "{'kind':'erase','x':NaN}", "", ": cannot be read as JSON" },
        { "{'kind':'erase','x':'\\q'}", "", ": cannot be read as JSON" },
        { "{'kind':'erase'}/**/", "", ": cannot be read as JSON" },
        { "{'kind':'erase','x':'\n'}", "", ": cannot be read as JSON" },
        { "{'kind':\v'erase'}", "", ": line 1, byte 8: a vertical tab" },
        { "{'kind':'erase'}\n\f", "", ": line 2, byte 17: a vertical tab" },
        { "{'kind':'erase','x':'\v'}", "", ": cannot be read as JSON" },
        { "\xef\xbb\xbf{'kind':'erase'}", "", ": byte order mark" },
        { " \t\r\n{ 'kind' : 'erase' } \n", "", "" },
        { "{'\\u006bind':'\\u0065rase'}", "", "" },

        { "{'kind':'Erase'}", "", "kind: must be one of" },
        { "{'kind':null}", "", "kind: must be one of" },
        { "{'kind':1}", "", "kind: must be one of" },
        { "{'kind':['erase']}", "", "kind: must be one of" },
        { "{'kind':{'kind':'erase'}}", "", "kind: must be one of" },
        { "{'kinds':'erase','x':{'kind':'erase'}}", "",
          "kind: must be one of" },
        { "{'kind':'x','kind':'erase'}", "", "kind: must be one of" },
        { "{'kind':'erase','kind':'erase'}", "",
          "kind: more than once" },
        { "{'kind':'erase','kind':null}", "", "kind: more than once" },
        { "{'x':1,'kind':'erase','kind':'x'}", "",
          "x: is not a field of erase; these are: kind, id\n"
          "kind: more than once" },

        { "{'kind':'erase','id':'" UUID7 "'}", "", "" },
        { "{'kind':'erase','id':null}", "", "" },
        { "{'kind':'erase','id':'" UUID4 "'}", "",
          "id: must be a UUID of version 7" },
        { "{'kind':'erase','id':'x'}", "", "id: must be a UUID of version" },
        { "{'kind':'erase','id':7}", "", "id: must be a UUID of version 7" },
        { "{'id':'x','kind':'erase','id':'" UUID7 "'}", "",
          "id: must be a UUID\nid: more than once" },
    };

    (void) state;

    test_all(cases, scc_test_items(cases));
}


static void
test_members(void **state)
{
    static const test_case_t  cases[] = {
        { "{'kind':'erase','\\u0000':1}", "", "?: is not a field" },
        { "{'kind':'erase','\xff':1}", "", "?: is not a field" },
        { "{'kind':'erase','':1}", "", "(empty): is not a field" },
        { "{'kind':'erase','ab\\nc\xea\xb0\x80" "d':1}", "",
          "ab?c???d: is not a field" },
        { "{'kind':'erase','123456789012345678901234567890':1}", "",
          "123456789012345678901234567890: is not a field" },
        { "{'kind':'erase','1234567890123456789012345678901':1}", "",
          "123456789012345678901234567...: is not a field" },
        { "{'kind':'erase','x':[[{'kind':1}]],'y':{'z':[1,'a',null]}}", "",
          "x: is not a field of erase\ny: is not a field of erase" },
        { "{'kind':'erase','placeId':'p'}", "",
          "placeId: is not a field of erase; these are: kind, id" },
        { PLACE, ",'location':null", "location: more than once" },
        { PLACE, ",'name':'m'", "name: more than once" },
        { PLACE, ",'category':null,'category':'c'",
          "category: more than once" },
        { PLACE, ",'category':'c','category':1",
          "category: more than once" },
        { "{'kind':'place','placeId':'p','name':'n','location':{'lng':1,"
          "'lng':1,'lat':1,'alt':1}}", "",
          "location.lng: more than once\n"
          "location.alt: is not a field of location; these are: lng, lat" },
        { NEW, ",'floorMovingElevatorAccessibility':"
          "{'1234567890123456789012345678901':1}",
          "floorMovingElevatorAccessibility.123456789012345678901234567...: "
          "is not a field of floorMovingElevatorAccessibility" },

        /* in the body's order, then what is missing in the rules' order */

        { "{'stairInfo':'x','floors':[0],'kind':'place_accessibility',"
          "'nonsense':1,'hasSlope':'no'}", "",
          "stairInfo: " STAIRS "\n"
          "floors[0]: must be a whole number\n"
          "nonsense: is not a field of place_accessibility\n"
          "hasSlope: must be true or false\n"
          "placeId: is required: must be a string of 1 to 64 bytes\n"
          "entranceDoorTypes: is required with floors, isStairOnlyOption or "
          "stairHeightLevel: must be a list" },
        { "{'location':{},'kind':'place','name':''}", "",
          "name: must be a string of 1 to 512 bytes\n"
          "placeId: is required: must be a string of 1 to 64 bytes\n"
          "location.lng: is required: must be a number\n"
          "location.lat: is required: must be a number" },
        { "{'kind':'place'}", "",
          "placeId: is required\nname: is required\n"
          "location: is required: must be an object as {" },
        { ACCESS, "", "stairInfo: is required: " STAIRS "\n"
          "hasSlope: is required: must be true or false" },
        { BACCESS, "",
          "entranceStairInfo: is required: " STAIRS "\n"
          "hasSlope: is required: must be true or false\n"
          "hasElevator: is required: must be true or false\n"
          "elevatorStairInfo: is required: " STAIRS },

        /* null is missing, where it stands */

        { ACCESS, ",'hasSlope':null,'x':0",
          "hasSlope: is required: must be true or false\n"
          "x: is not a field\nstairInfo: is required" },
        { "{'kind':'place','placeId':null,'name':null,'location':null}", "",
          "placeId: is required\nname: is required\n"
          "location: is required" },
    };

    (void) state;

    test_all(cases, scc_test_items(cases));
}


static void
test_place(void **state)
{
    static const test_case_t  cases[] = {
        { PLACE, "", "" },
        { PLACE, ",'category':'CAFE','address':'a','buildingId':'b/+=',"
          "'source':'s','isClosed':false,'synthetic':true,'extra':{}", "" },
        { PLACE, ",'category':null,'address':null,'buildingId':null,"
          "'source':null,'isClosed':null,'synthetic':null,'extra':null",
          "" },
        { PLACE, ",'category':'','address':'','source':''", "" },
        { PLACE, ",'buildingId':''", "buildingId: 1 to 64 bytes" },
        { PLACE, ",'category':1", "category: at most 64 bytes" },
        { PLACE, ",'address':[]", "address: at most 512 bytes" },
        { PLACE, ",'source':{}", "source: at most 64 bytes" },
        { PLACE, ",'isClosed':'true'", "isClosed: must be true or false" },
        { PLACE, ",'isClosed':1", "isClosed: must be true or false" },
        { PLACE, ",'synthetic':0", "synthetic: must be true or false" },
        { PLACE, ",'extra':[]", "extra: must be an object" },
        { PLACE, ",'extra':'{}'", "extra: must be an object" },
        { PLACE, ",'extra':{'a':{'a':[1,'x',null,true,{}]},'a':1e300}", "" },
        { PLACE, ",'extra':{'a':'\\u0000'},'x':1",
          "extra: must be an object, in UTF-8\nx: is not" },
        { PLACE, ",'extra':{'a':'\\ud800','b':['\\u0000']}",
          "extra: must be an object, in UTF-8" },
        { PLACE, ",'extra':{'\xff':1}", "extra: must be an object, in" },
        { PLACE, ",'extra':{'a':{'b':[1e500]}}", "extra: out of all range" },

        { "{'kind':'place','placeId':'p','name':'n'%}",
          ",'location':{'lng':-180,'lat':90.0}", "" },
        { "{'kind':'place','placeId':'p','name':'n'%}",
          ",'location':{'lat':-9e1,'lng':1.8E+2}", "" },
        { "{'kind':'place','placeId':'p','name':'n'%}",
          ",'location':{'lng':180.00000004,'lat':-90.00000004}", "" },
        { "{'kind':'place','placeId':'p','name':'n'%}",
          ",'location':{'lng':180.00000005,'lat':-90.00000005}",
          "location.lng: must be a number from -180 to 180\n"
          "location.lat: must be a number from -90 to 90" },
        { "{'kind':'place','placeId':'p','name':'n'%}",
          ",'location':{'lng':-1e300,'lat':1e500}",
          "location.lng: must be a number\nlocation.lat: must be" },
        { "{'kind':'place','placeId':'p','name':'n'%}",
          ",'location':{'lng':'127','lat':null}",
          "location.lng: must be a number\n"
          "location.lat: is required: must be a number" },
        { "{'kind':'place','placeId':'p','name':'n'%}",
          ",'location':{'lng':[1],'lat':{'lat':1}}",
          "location.lng: must be a number\nlocation.lat: must be a num" },
        { "{'kind':'place','placeId':'p','name':'n'%}",
          ",'location':[127,37]", "location: must be an object as {" },
        { "{'kind':'place','placeId':'p','name':'n'%}",
          ",'location':'127,37'", "location: must be an object as {" },

        { BUILDING, "", "" },
        { BUILDING, ",'name':'','address':'','location':{'lng':1,'lat':2}",
          "" },
        { BUILDING, ",'name':null,'address':null,'location':null", "" },
        { BUILDING, ",'location':{'lng':1}", "location.lat: is required" },
        { BUILDING, ",'name':7,'address':false",
          "name: must be a string\naddress: must be a string" },
        { BUILDING, ",'category':'c'", "category: is not a field of "
          "building; these are: kind, id, buildingId, name, address, "
          "location" },
    };

    (void) state;

    test_all(cases, scc_test_items(cases));
}


static void
test_others(void **state)
{
    static const test_case_t  cases[] = {
        { COMMENT, ",'placeId':'p','comment':'c'", "" },
        { COMMENT, ",'comment':'c','buildingId':'b'", "" },
        { COMMENT, ",'comment':'c','buildingId':'b','placeId':null", "" },
        { COMMENT, ",'comment':'c','buildingId':'b','placeId':'p'",
          "placeId: is one too many: give either placeId or buildingId" },
        { COMMENT, ",'placeId':'p','buildingId':'b','comment':'c'",
          "buildingId: is one too many" },
        { COMMENT, ",'comment':'c'",
          "placeId: is required, or else buildingId: must be a string" },
        { COMMENT, ",'placeId':null,'comment':'c','buildingId':null,'x':1",
          "placeId: is required, or else buildingId\nx: is not a field" },
        { COMMENT, ",'placeId':'','comment':'c'", "placeId: must be" },
        { COMMENT, ",'placeId':'p'", "comment: is required: must be a" },
        { COMMENT, ",'placeId':'p','comment':''", "comment: not only of" },
        { COMMENT, ",'placeId':'p','comment':null", "comment: is required" },

        { REPORT, ",'reason':'INACCURATE_INFO'", "" },
        { REPORT, ",'reason':'CLOSED','detail':null", "" },
        { REPORT, ",'reason':'BAD_USER','detail':''", "" },
        { REPORT, ",'reason':'Closed','detail':1",
          "reason: must be one of INACCURATE_INFO, CLOSED, BAD_USER\n"
          "detail: must be a string of at most 2000 characters" },
        { REPORT, "", "reason: is required: must be one of" },
        { "{'kind':'report','reason':'CLOSED'}", "",
          "placeId: is required" },

        { PHOTO, "", "" },
        { PHOTO, ",'location':{'lng':127,'lat':37.5},'placeId':'p',"
          "'buildingId':'b','imageType':'Entrance','uploader':'u'", "" },
        { PHOTO, ",'imageType':'Toilet','uploader':'','name':'n'",
          "imageType: must be one of Entrance, Elevator\n"
          "uploader: must be a string of 1 to 64 bytes\n"
          "name: is not a field of photo" },
        { "{'kind':'photo','objectKey':'','size':1.0,'sha256':'" HEX64 "0',"
          "'takenAt':'now'}", "",
          "objectKey: must be a string of 1 to 1024 bytes\n"
          "size: must be a whole number of bytes\n"
          "sha256: must be a SHA-256: 64 hex\n"
          "takenAt: must be an RFC 3339 time" },
        { "{'kind':'photo','size':0}", "",
          "size: must be a whole number of bytes\n"
          "objectKey: is required\nsha256: is required\n"
          "takenAt: is required" },

        { "{'kind':'retract','eventId':'" UUID7 "'}", "", "" },
        { "{'kind':'restore','eventId':'" UUID4 "'}", "", "" },
        { "{'kind':'retract','eventId':'0198c0de'}", "",
          "eventId: must be a UUID, as 0198c0de-" },
        { "{'kind':'retract'}", "", "eventId: is required: must be a UUID" },
        { "{'kind':'restore'}", "", "eventId: is required: must be a UUID" },
        { "{'kind':'restore','eventId':1,'placeId':'p'}", "",
          "eventId: must be a UUID\nplaceId: is not a field of restore; "
          "these are: kind, id, eventId" },

        { "{'kind':'contributor','displayName':'n'}", "", "" },
        { "{'kind':'contributor','displayName':' \\u3164'}", "",
          "displayName: not only of blanks" },
        { "{'kind':'contributor','displayName':''}", "",
          "displayName: must be a string of 1 to 512 bytes" },
        { "{'kind':'contributor'}", "", "displayName: is required: must" },
        { "{'kind':'contributor','contributorId':'c','displayName':'n'}", "",
          "contributorId: is not a field of contributor; these are: kind, "
          "id, displayName" },

        { "{'kind':'erase'}", "", "" },
        { "{'kind':'erase','contributorId':'c'}", "",
          "contributorId: is not a field of erase; these are: kind, id" },
    };

    (void) state;

    test_all(cases, scc_test_items(cases));
}


static void
test_result(void **state)
{
    char                *text;
    size_t               i;
    uint8_t              id[16];
    scc_faults_t         faults;
    scc_contribution_t   c;

    static const struct {
        const char  *body;
        scc_kind_t   kind;
        const char  *target;
    } cases[] = {
        { PLACE, SCC_KIND_PLACE, "p" },
        { OLD, SCC_KIND_PLACE_ACCESSIBILITY, "p" },
        { BUILDING, SCC_KIND_BUILDING, "a/b+=" },
        { BFULL, SCC_KIND_BUILDING_ACCESSIBILITY, "b" },
        { "{'kind':'comment','placeId':'\\uacc4\\ub2e8','comment':'c'%}",
          SCC_KIND_COMMENT, "계단" },
        { "{'comment':'c','placeId':null,'buildingId':'b','kind':'comment'%}",
          SCC_KIND_COMMENT, "b" },
        { "{'kind':'report','placeId':'p','reason':'CLOSED'%}",
          SCC_KIND_REPORT, "p" },
        { "{'kind':'retract','eventId':'0198C0DE-7D4E-4C3A-9F21-5B6A7C8D9E0F'"
          "%}", SCC_KIND_RETRACT, UUID4 },
        { "{'kind':'restore','eventId':'" UUID4 "'%}", SCC_KIND_RESTORE,
          UUID4 },
        { "{'kind':'contributor','displayName':'n'%}", SCC_KIND_CONTRIBUTOR,
          "" },
        { "{'kind':'erase'%}", SCC_KIND_ERASE, "" },
    };

    (void) state;

    assert_int_equal(scc_uuid_parse(S(UUID7), id), SCC_OK);

    for (i = 0; i < scc_test_items(cases); i++) {
        text = test_body(cases[i].body, "");
        memset(&c, 0xee, sizeof(c));
        assert_int_equal(scc_contribution_parse(&c, &test_conf,
                                                scc_test_z(text), &faults),
                         SCC_OK);
        free(text);

        assert_int_equal(c.kind, cases[i].kind);
        assert_str(c.target, cases[i].target);
        assert_false(c.has_id);

        text = test_body(cases[i].body, ",'id':'" UUID7 "'");
        memset(&c, 0xee, sizeof(c));
        assert_int_equal(scc_contribution_parse(&c, &test_conf,
                                                scc_test_z(text), &faults),
                         SCC_OK);
        free(text);

        assert_str(c.target, cases[i].target);
        assert_true(c.has_id);
        assert_memory_equal(c.id, id, 16);
    }
}


static void
test_limits(void **state)
{
    char                *text;
    scc_faults_t         faults;
    scc_contribution_t   c;

    static const scc_contribution_conf_t  size = { 15, 16 };
    static const scc_contribution_conf_t  depth = { 65536, 3 };

    (void) state;

    text = test_body("{'kind':'erase'}", "");

    assert_int_equal(scc_contribution_parse(&c, &size, scc_test_z(text),
                                            &faults), SCC_DECLINED);
    test_faults(text, &faults, ": is too large: the limit in bytes is 15");

    assert_int_equal(scc_contribution_parse(&c, &size,
                                            scc_test_str(text, 15),
                                            &faults), SCC_DECLINED);
    test_faults(text, &faults, ": cannot be read as JSON");

    free(text);

    text = test_body(PLACE, ",'extra':{'a':[1]}");
    assert_int_equal(scc_contribution_parse(&c, &depth, scc_test_z(text),
                                            &faults), SCC_OK);
    free(text);

    text = test_body(PLACE, ",'x':1,'extra':{'a':[[1]]}");
    assert_int_equal(scc_contribution_parse(&c, &depth, scc_test_z(text),
                                            &faults), SCC_DECLINED);
    test_faults(text, &faults, ": nested too deep");
    free(text);
}


/* Of too many faults the first of the body are told. */

static void
test_many(void **state)
{
    char                 text[4096], field[16];
    size_t               n;
    unsigned             i;
    scc_faults_t         faults;
    scc_contribution_t   c;

    (void) state;

    n = (size_t) snprintf(text, sizeof(text), "{\"kind\":\"building_"
                          "accessibility\",\"hasElevator\":true,"
                          "\"elevatorStairInfo\":\"UNDEFINED\"");

    for (i = 0; i < 31; i++) {
        n += (size_t) snprintf(text + n, sizeof(text) - n, ",\"x%u\":%u", i,
                               i);
    }

    text[n] = '}';

    /* 1 between, 31 unknown, 3 missing */

    assert_int_equal(scc_contribution_parse(&c, &test_conf,
                                            scc_test_str(text, n + 1),
                                            &faults), SCC_DECLINED);
    assert_int_equal(faults.n, SCC_FAULTS_MAX);
    assert_true(faults.more);
    assert_string_equal(faults.fault[0].field, "elevatorStairInfo");
    assert_string_equal(faults.fault[31].field, "x30");

    n += (size_t) snprintf(text + n, sizeof(text) - n, ",\"x31\":1}");

    assert_int_equal(scc_contribution_parse(&c, &test_conf,
                                            scc_test_str(text, n),
                                            &faults), SCC_DECLINED);
    assert_int_equal(faults.n, SCC_FAULTS_MAX);
    assert_true(faults.more);
    assert_string_equal(faults.fault[0].field, "elevatorStairInfo");

    for (i = 0; i < 31; i++) {
        (void) snprintf(field, sizeof(field), "x%u", i);
        assert_string_equal(faults.fault[i + 1].field, field);
    }
}


static scc_rc_t
test_member(void *ctx, scc_str_t key, scc_str_t value)
{
    (void) ctx;
    (void) key;
    (void) value;

    return SCC_OK;
}


static void
test_write(void **state)
{
    char                *text;
    scc_buf_t            b;
    scc_err_t            err;
    scc_faults_t         faults;
    scc_contribution_t   c;

    (void) state;

    text = test_body("{'kind':'erase','a\\'b\\\\':1,'kind':1}", "");
    assert_int_equal(scc_contribution_parse(&c, &test_conf, scc_test_z(text),
                                            &faults), SCC_DECLINED);
    free(text);

    scc_buf_heap(&b, 0);
    scc_faults_write(&b, &faults);
    assert_str(scc_buf_get(&b),
               "\"errors\":[{\"field\":\"a\\\"b\\\\\",\"detail\":\"is not a "
               "field of erase; these are: kind, id\"},{\"field\":\"kind\","
               "\"detail\":\"is there more than once: give it once\"}]");

    scc_buf_reset(&b);
    faults.n = 0;
    scc_faults_write(&b, &faults);
    assert_str(scc_buf_get(&b), "\"errors\":[]");

    scc_buf_reset(&b);
    scc_buf_byte(&b, '{');
    faults.n = 1;
    faults.more = true;
    scc_faults_write(&b, &faults);
    scc_buf_byte(&b, '}');
    assert_false(b.error);
    assert_int_equal(scc_json_object(scc_buf_get(&b), test_member, NULL,
                                     &err), SCC_OK);
    assert_non_null(strstr((char *) b.start, "more faults"));

    scc_buf_free(&b);
}


/* One row of the README's tables: field, type, required, rule, error. */

static void
test_row(char *line, const scc_rules_t *rules, unsigned *i)
{
    char               text[600], *cell[CELLS], *p, *end;
    bool               item;
    unsigned           n;
    scc_buf_t          b;
    scc_str_t          name;
    scc_faults_t       faults;
    const scc_type_t  *type;

    p = line;

    for (n = 0; n < CELLS; n++) {
        assert_memory_equal(p, "| ", 2);
        cell[n] = p + 2;
        end = strstr(cell[n], " |");
        assert_non_null(end);
        *end = '\0';
        p = end + 1;
    }

    name = scc_test_z(cell[0]);
    assert_true(name.len > 2);
    name.data++;
    name.len -= 2;

    item = name.data[name.len - 1] == ']';

    if (item) {
        name.len -= 2;

    } else {
        (*i)++;
    }

    assert_in_range(*i, 1, rules->n);

    if (!scc_str_eq(name, rules->rule[*i - 1].name)) {
        fail_msg("%s: %s is not where it is in the rules", rules->name,
                 cell[0]);
    }

    type = rules->rule[*i - 1].type;

    if (!item) {
        assert_int_equal(strcmp(cell[2], "yes") == 0,
                         rules->rule[*i - 1].required);
    }

    assert_true(strlen(cell[3]) > 0);

    scc_buf_fixed(&b, text, sizeof(text) - 1);
    scc_type_allowed(&b, item ? type->item : type);
    text[b.used] = '\0';

    if (type == &scc_type_kind) {
        scc_fault_kind(&faults);
        assert_string_equal(cell[4], faults.fault[0].text);

    } else {
        assert_string_equal(cell[4], text);
    }
}


static void
test_readme(void **state)
{
    char                path[4096], line[2048], *p;
    FILE               *file;
    bool                inside;
    unsigned            i, kinds;
    scc_kind_t          kind;
    const scc_rules_t  *rules, *outer;

    (void) state;

    (void) snprintf(path, sizeof(path), "%s", __FILE__);
    p = strrchr(path, '/');
    p = p ? p + 1 : path;
    (void) snprintf(p, sizeof(path) - (size_t) (p - path), "%s", README);

    file = fopen(path, "r");
    assert_non_null(file);

    i = 0;
    kinds = 0;
    inside = false;
    outer = NULL;
    rules = NULL;

    while (fgets(line, sizeof(line), file)) {

        p = strchr(line, '\n');
        assert_non_null(p);
        *p = '\0';

        if (strcmp(line, "## Contributions") == 0) {
            inside = true;
            outer = scc_rules_of(SCC_KIND_ERASE);
            rules = outer;
            continue;
        }

        if (!inside) {
            continue;
        }

        if (strncmp(line, "| `", 3) == 0) {
            test_row(line, rules, &i);
            continue;
        }

        if (strncmp(line, "## ", 3) == 0) {
            break;
        }

        if (strncmp(line, "### ", 4) == 0) {
            assert_int_equal(i, rules->n);

            assert_int_equal(scc_kind_parse(scc_test_z(line + 4), &kind),
                             SCC_OK);
            outer = scc_rules_of(kind);
            rules = outer;
            kinds++;

            /* kind and id have a table of their own */

            i = 2;
            continue;
        }

        if (strncmp(line, "Its `", 5) == 0) {
            assert_int_equal(i, rules->n);

            p = strchr(line + 5, '`');
            assert_non_null(p);

            for (i = 0; i < outer->n; i++) {

                if (scc_str_eq(outer->rule[i].name,
                               scc_test_str(line + 5,
                                            (size_t) (p - line - 5))))
                {
                    break;
                }
            }

            assert_true(i < outer->n);
            rules = outer->rule[i].type->fields;
            assert_non_null(rules);
            i = 0;
        }
    }

    (void) fclose(file);

    assert_non_null(rules);
    assert_int_equal(i, rules->n);
    assert_int_equal(kinds, SCC_KIND_LAST);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_result),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_readme),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
