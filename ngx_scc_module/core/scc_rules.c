
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_place.h"
#include "scc_rules.h"


/* The members that the rules between members look at. */

enum {
    ELEVATOR_STAIR = 1,
    ELEVATOR_HEIGHT,
};

enum {
    PLACE_ACCESS_STAIR = 3,
    PLACE_ACCESS_HEIGHT,
    PLACE_ACCESS_SLOPE,
    PLACE_ACCESS_FLOORS,
    PLACE_ACCESS_STAIR_ONLY,
    PLACE_ACCESS_FIRST_FLOOR,
    PLACE_ACCESS_DOORS,
    PLACE_ACCESS_RECOVERED = 21,
};

enum {
    BUILDING_ACCESS_ENTRANCE_STAIR = 3,
    BUILDING_ACCESS_ENTRANCE_HEIGHT,
    BUILDING_ACCESS_SLOPE,
    BUILDING_ACCESS_ELEVATOR,
    BUILDING_ACCESS_ELEVATOR_STAIR,
    BUILDING_ACCESS_ELEVATOR_HEIGHT,
    BUILDING_ACCESS_DOORS,
    BUILDING_ACCESS_DIRECTION,
    BUILDING_ACCESS_DIRECTION_ETC,
    BUILDING_ACCESS_RECOVERED = 15,
};

enum {
    COMMENT_PLACE = 2,
    COMMENT_BUILDING,
};


static void scc_rules_between_elevator(const scc_members_t *m);
static void scc_rules_between_place_access(const scc_members_t *m);
static void scc_rules_between_building_access(const scc_members_t *m);
static void scc_rules_between_comment(const scc_members_t *m);
static void scc_rules_recovered(const scc_members_t *m, unsigned i);
static void scc_rules_only_with(const scc_members_t *m, unsigned i,
    unsigned other, int64_t value, bool required, const char *when,
    const char *without);


#define scc_nitems(a)      (sizeof(a) / sizeof((a)[0]))

#define scc_rule(name, type)                                                  \
    { scc_string(name), &scc_type_##type, false, SCC_RULE_PLAIN }

#define scc_rule_required(name, type)                                         \
    { scc_string(name), &scc_type_##type, true, SCC_RULE_PLAIN }

#define scc_rule_target(name, type, required)                                 \
    { scc_string(name), &scc_type_##type, required, SCC_RULE_TARGET }

#define scc_rules_common                                                      \
    scc_rule_required("kind", kind),                                          \
    { scc_string("id"), &scc_type_uuid7, false, SCC_RULE_ID }

#define scc_rules_recovery                                                    \
    scc_rule("observedAt", time),                                             \
    scc_rule("recoveredFrom", recovered),                                     \
    scc_rule("confidence", share),                                            \
    scc_rule("originalTime", time),                                           \
    scc_rule("recoverer", id)


static const scc_rule_t  scc_location_list[] = {
    scc_rule_required("lng", lng),
    scc_rule_required("lat", lat),
};

static const scc_rules_t  scc_location = {
    "location", scc_location_list, scc_nitems(scc_location_list), NULL
};

static const scc_type_t  scc_type_location = {
    .json = SCC_JSON_OBJECT,
    .allowed = "must be an object as {\"lng\":126.978,\"lat\":37.5665}",
    .fields = &scc_location,
};


static const scc_rule_t  scc_elevator_list[] = {
    scc_rule("imageUrls", images),
    scc_rule("stairInfo", stair),
    scc_rule("stairHeightLevel", height),
    scc_rule("hasSlope", boolean),
};

static const scc_rules_t  scc_elevator = {
    "floorMovingElevatorAccessibility", scc_elevator_list,
    scc_nitems(scc_elevator_list), scc_rules_between_elevator
};

static const scc_type_t  scc_type_elevator = {
    .json = SCC_JSON_OBJECT,
    .allowed = "must be an object as {\"stairInfo\":\"NONE\","
               "\"hasSlope\":false}",
    .fields = &scc_elevator,
};


static const scc_rule_t  scc_place_list[] = {
    scc_rules_common,
    scc_rule_target("placeId", id, true),
    scc_rule_required("name", name),
    scc_rule_required("location", location),
    scc_rule("category", label),
    scc_rule("address", line),
    scc_rule("buildingId", id),
    scc_rule("source", label),
    scc_rule("isClosed", boolean),
    scc_rule("synthetic", boolean),
    scc_rule("extra", any),
};

static const scc_rule_t  scc_place_access_list[] = {
    scc_rules_common,
    scc_rule_target("placeId", id, true),
    scc_rule_required("stairInfo", stair),
    scc_rule("stairHeightLevel", height),
    scc_rule_required("hasSlope", boolean),
    scc_rule("floors", floors),
    scc_rule("isStairOnlyOption", boolean),
    scc_rule("isFirstFloor", boolean),
    scc_rule("entranceDoorTypes", doors),
    scc_rule("imageUrls", images),
    scc_rule("comment", text),
    scc_rule("isStandaloneBuilding", boolean),
    scc_rule("doorDirectionType", place_door),
    scc_rule("features", features),
    scc_rule("entranceComment", text),
    scc_rule("floorMovingMethodTypes", moving),
    scc_rule("floorMovingMethodComment", text),
    scc_rule("floorMovingElevatorAccessibility", elevator),
    scc_rule("floorMovingElevatorComment", text),
    scc_rules_recovery,
};

static const scc_rule_t  scc_building_list[] = {
    scc_rules_common,
    scc_rule_target("buildingId", id, true),
    scc_rule("name", line),
    scc_rule("address", line),
    scc_rule("location", location),
};

static const scc_rule_t  scc_building_access_list[] = {
    scc_rules_common,
    scc_rule_target("buildingId", id, true),
    scc_rule_required("entranceStairInfo", stair),
    scc_rule("entranceStairHeightLevel", height),
    scc_rule_required("hasSlope", boolean),
    scc_rule_required("hasElevator", boolean),
    scc_rule_required("elevatorStairInfo", stair),
    scc_rule("elevatorStairHeightLevel", height),
    scc_rule("entranceDoorTypes", doors),
    scc_rule("doorDirectionType", building_door),
    scc_rule("doorDirectionEtcComment", comment),
    scc_rule("imageUrls", images),
    scc_rule("comment", text),
    scc_rules_recovery,
};

static const scc_rule_t  scc_comment_list[] = {
    scc_rules_common,
    scc_rule_target("placeId", id, false),
    scc_rule_target("buildingId", id, false),
    scc_rule_required("comment", comment),
};

static const scc_rule_t  scc_report_list[] = {
    scc_rules_common,
    scc_rule_target("placeId", id, true),
    scc_rule_required("reason", reason),
    scc_rule("detail", text),
};

/* of retract, restore, remove and reinstate */

static const scc_rule_t  scc_event_list[] = {
    scc_rules_common,
    scc_rule_target("eventId", uuid, true),
};

static const scc_rule_t  scc_contributor_list[] = {
    scc_rules_common,
    scc_rule_required("displayName", nickname),
};

static const scc_rule_t  scc_erase_list[] = {
    scc_rules_common,
};

static const scc_rule_t  scc_photo_list[] = {
    scc_rules_common,
    { scc_string("objectKey"), &scc_type_key, true, SCC_RULE_DIGEST },
    scc_rule_required("size", size),
    scc_rule_required("sha256", sha256),
    scc_rule_required("takenAt", time),
    scc_rule("location", location),
    scc_rule("placeId", id),
    scc_rule("buildingId", id),
    scc_rule("imageType", image_of),
    scc_rule("uploader", id),
};


#define scc_rules_kind(name, list, between)                                   \
    { name, scc_##list##_list, scc_nitems(scc_##list##_list), between }

static const scc_rules_t  scc_kinds[] = {
    [SCC_KIND_PLACE] = scc_rules_kind("place", place, NULL),
    [SCC_KIND_PLACE_ACCESSIBILITY] =
        scc_rules_kind("place_accessibility", place_access,
                       scc_rules_between_place_access),
    [SCC_KIND_BUILDING] = scc_rules_kind("building", building, NULL),
    [SCC_KIND_BUILDING_ACCESSIBILITY] =
        scc_rules_kind("building_accessibility", building_access,
                       scc_rules_between_building_access),
    [SCC_KIND_COMMENT] = scc_rules_kind("comment", comment,
                                        scc_rules_between_comment),
    [SCC_KIND_REPORT] = scc_rules_kind("report", report, NULL),
    [SCC_KIND_RETRACT] = scc_rules_kind("retract", event, NULL),
    [SCC_KIND_RESTORE] = scc_rules_kind("restore", event, NULL),
    [SCC_KIND_CONTRIBUTOR] = scc_rules_kind("contributor", contributor,
                                            NULL),
    [SCC_KIND_ERASE] = scc_rules_kind("erase", erase, NULL),
    [SCC_KIND_REMOVE] = scc_rules_kind("remove", event, NULL),
    [SCC_KIND_REINSTATE] = scc_rules_kind("reinstate", event, NULL),
    [SCC_KIND_PHOTO] = scc_rules_kind("photo", photo, NULL),
};


const scc_rules_t *
scc_rules_of(scc_kind_t kind)
{
    if ((size_t) kind >= scc_nitems(scc_kinds)
        || scc_kinds[kind].rule == NULL)
    {
        return NULL;
    }

    return &scc_kinds[kind];
}


static void
scc_rules_between_elevator(const scc_members_t *m)
{
    scc_rules_only_with(m, ELEVATOR_HEIGHT, ELEVATOR_STAIR, SCC_STAIR_ONE,
                        true, " when stairInfo is ONE",
                        "is only for stairInfo ONE: leave it out, or "
                        "correct stairInfo");
}


/*
 * A record without floors, isStairOnlyOption, stairHeightLevel and
 * entranceDoorTypes is one of an old client, which did not ask for them.
 */

static void
scc_rules_between_place_access(const scc_members_t *m)
{
    bool  complete, first, only_first;

    scc_rules_recovered(m, PLACE_ACCESS_RECOVERED);

    complete = scc_member_given(m, PLACE_ACCESS_FLOORS)
               || scc_member_given(m, PLACE_ACCESS_STAIR_ONLY)
               || scc_member_given(m, PLACE_ACCESS_HEIGHT)
               || scc_member_given(m, PLACE_ACCESS_DOORS);

    scc_rules_only_with(m, PLACE_ACCESS_HEIGHT, PLACE_ACCESS_STAIR,
                        SCC_STAIR_ONE, complete, " when stairInfo is ONE",
                        "is only for stairInfo ONE: leave it out, or "
                        "correct stairInfo");

    if (complete && !scc_member_given(m, PLACE_ACCESS_FLOORS)) {
        scc_fault_missing(m, PLACE_ACCESS_FLOORS,
                          " with entranceDoorTypes, isStairOnlyOption or "
                          "stairHeightLevel");
    }

    if (complete && !scc_member_given(m, PLACE_ACCESS_DOORS)) {
        scc_fault_missing(m, PLACE_ACCESS_DOORS,
                          " with floors, isStairOnlyOption or "
                          "stairHeightLevel");
    }

    if (!scc_member_good(m, PLACE_ACCESS_FLOORS)) {
        return;
    }

    if (m->member[PLACE_ACCESS_FLOORS].count > 1
        && !scc_member_given(m, PLACE_ACCESS_STAIR_ONLY))
    {
        scc_fault_missing(m, PLACE_ACCESS_STAIR_ONLY,
                          " with more than one floor");
    }

    if (!scc_member_good(m, PLACE_ACCESS_FIRST_FLOOR)) {
        return;
    }

    only_first = m->member[PLACE_ACCESS_FLOORS].count == 1
                 && m->member[PLACE_ACCESS_FLOORS].value == 1;

    first = m->member[PLACE_ACCESS_FIRST_FLOOR].value != 0;

    if (first && !only_first) {
        scc_fault_between(m, PLACE_ACCESS_FIRST_FLOOR,
                          "is true, but floors is not [1]: correct one, or "
                          "leave isFirstFloor out");
    }

    if (!first && only_first) {
        scc_fault_between(m, PLACE_ACCESS_FIRST_FLOOR,
                          "is false, but floors is [1]: correct one, or "
                          "leave isFirstFloor out");
    }
}


static void
scc_rules_between_building_access(const scc_members_t *m)
{
    bool  elevator, stair;

    scc_rules_recovered(m, BUILDING_ACCESS_RECOVERED);

    scc_rules_only_with(m, BUILDING_ACCESS_ENTRANCE_HEIGHT,
                        BUILDING_ACCESS_ENTRANCE_STAIR, SCC_STAIR_ONE, true,
                        " when entranceStairInfo is ONE",
                        "is only for entranceStairInfo ONE: leave it out, "
                        "or correct entranceStairInfo");

    scc_rules_only_with(m, BUILDING_ACCESS_ELEVATOR_HEIGHT,
                        BUILDING_ACCESS_ELEVATOR_STAIR, SCC_STAIR_ONE, true,
                        " when elevatorStairInfo is ONE",
                        "is only for elevatorStairInfo ONE: leave it out, "
                        "or correct elevatorStairInfo");

    scc_rules_only_with(m, BUILDING_ACCESS_DIRECTION_ETC,
                        BUILDING_ACCESS_DIRECTION, SCC_BUILDING_DOOR_ETC,
                        true, " when doorDirectionType is ETC",
                        "is only for doorDirectionType ETC: leave it out, "
                        "or correct doorDirectionType");

    if (!scc_member_good(m, BUILDING_ACCESS_ELEVATOR)
        || !scc_member_good(m, BUILDING_ACCESS_ELEVATOR_STAIR))
    {
        return;
    }

    elevator = m->member[BUILDING_ACCESS_ELEVATOR].value != 0;
    stair = m->member[BUILDING_ACCESS_ELEVATOR_STAIR].value
            != SCC_STAIR_UNDEFINED;

    if (elevator && !stair) {
        scc_fault_between(m, BUILDING_ACCESS_ELEVATOR_STAIR,
                          "must be one of NONE, ONE, TWO_TO_FIVE, OVER_SIX "
                          "when hasElevator is true");
    }

    if (!elevator && stair) {
        scc_fault_between(m, BUILDING_ACCESS_ELEVATOR_STAIR,
                          "must be UNDEFINED when hasElevator is false");
    }
}


static void
scc_rules_between_comment(const scc_members_t *m)
{
    bool  place, building;

    place = scc_member_given(m, COMMENT_PLACE);
    building = scc_member_given(m, COMMENT_BUILDING);

    if (!place && !building) {
        scc_fault_missing(m, COMMENT_PLACE, ", or else buildingId");
    }

    if (place && building) {
        scc_fault_between(m, m->member[COMMENT_PLACE].pos
                             < m->member[COMMENT_BUILDING].pos
                             ? COMMENT_BUILDING : COMMENT_PLACE,
                          "is one too many: give either placeId or "
                          "buildingId");
    }
}


/* What follows recoveredFrom, member i, is said of what was recovered. */

static void
scc_rules_recovered(const scc_members_t *m, unsigned i)
{
    unsigned  k;

    if (scc_member_given(m, i)) {
        return;
    }

    for (k = i + 1; k < m->rules->n; k++) {

        if (scc_member_good(m, k)) {
            scc_fault_between(m, k, "is only for what was recovered: give "
                              "recoveredFrom, or leave it out");
        }
    }
}


/*
 * Member i is there if, and only if, the other one has that value.  Nothing
 * is said if the other one has a fault of its own.
 */

static void
scc_rules_only_with(const scc_members_t *m, unsigned i, unsigned other,
    int64_t value, bool required, const char *when, const char *without)
{
    bool  with;

    if (!scc_member_good(m, other)
        && (scc_member_given(m, other) || m->rules->rule[other].required))
    {
        return;
    }

    with = scc_member_good(m, other) && m->member[other].value == value;

    if (with && required && !scc_member_given(m, i)) {
        scc_fault_missing(m, i, when);
    }

    if (!with && scc_member_good(m, i)) {
        scc_fault_between(m, i, without);
    }
}
