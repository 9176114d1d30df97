
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_test.h"

#include "scc_test_body.h"


static void
test_place_accessibility(void **state)
{
    static const test_case_t  cases[] = {

        /* an old client's */

        { OLD, "", "" },
        { OLD, ",'floors':null,'isStairOnlyOption':null,"
          "'stairHeightLevel':null,'entranceDoorTypes':null", "" },
        { OLD, ",'isFirstFloor':true", "" },
        { OLD, ",'isFirstFloor':false,'comment':'','imageUrls':[]", "" },
        { OLD, ",'isFirstFloor':'true'", "isFirstFloor: must be true or" },
        { ACCESS, ",'stairInfo':'ONE','hasSlope':false", "" },

        /* one of the four makes it a new client's */

        { OLD, ",'floors':[1]",
          "entranceDoorTypes: is required with floors" },
        { OLD, ",'floors':[]",
          "floors: must be a list of 1 to 220 floors\n"
          "entranceDoorTypes: is required with floors" },
        { OLD, ",'entranceDoorTypes':['ETC']",
          "floors: is required with entranceDoorTypes" },
        { OLD, ",'isStairOnlyOption':false",
          "floors: is required with\nentranceDoorTypes: is required with" },
        { ACCESS, ",'stairInfo':'ONE','hasSlope':true,"
          "'stairHeightLevel':'THUMB'",
          "floors: is required with\nentranceDoorTypes: is required with" },
        { NEW, "", "" },
        { NEW, ",'isStairOnlyOption':true", "" },
        { NEW, ",'isStairOnlyOption':1", "isStairOnlyOption: must be true" },

        /* stairs */

        { ACCESS, ",'stairInfo':'one','hasSlope':true",
          "stairInfo: " STAIRS },
        { ACCESS, ",'stairInfo':'','hasSlope':true", "stairInfo: " STAIRS },
        { ACCESS, ",'stairInfo':1,'hasSlope':true", "stairInfo: " STAIRS },
        { ACCESS, ",'stairInfo':'UNDEFINED','hasSlope':false", "" },
        { ACCESS, ",'stairInfo':'TWO_TO_FIVE','hasSlope':false", "" },
        { ACCESS, ",'stairInfo':'OVER_SIX','hasSlope':false", "" },
        { ACCESS, ",'stairInfo':'NONE','hasSlope':0",
          "hasSlope: must be true or false" },
        { NEW, ",'stairHeightLevel':null", "" },
        { NEW, ",'stairHeightLevel':'THUMB'",
          "stairHeightLevel: is only for stairInfo ONE" },
        { NEW, ",'stairHeightLevel':'KNEE'", "stairHeightLevel: " HEIGHTS },
        { ACCESS, ",'floors':[1],'entranceDoorTypes':['None'],"
          "'hasSlope':true,'stairInfo':'ONE'",
          "stairHeightLevel: is required when stairInfo is ONE: " HEIGHTS },
        { ACCESS, ",'floors':[1],'entranceDoorTypes':['None'],"
          "'hasSlope':true,'stairInfo':'ONE','stairHeightLevel':null,'x':1",
          "stairHeightLevel: is required when stairInfo is ONE: " HEIGHTS
          "\nx: is not a field" },
        { ACCESS, ",'floors':[1],'entranceDoorTypes':['None'],"
          "'hasSlope':true,'stairInfo':'ONE','stairHeightLevel':'LOW'",
          "stairHeightLevel: " HEIGHTS },
        { ACCESS, ",'stairHeightLevel':'HALF_THUMB','floors':[1],"
          "'entranceDoorTypes':['None'],'hasSlope':true,'stairInfo':'ONE'",
          "" },
        { ACCESS, ",'floors':[1],'entranceDoorTypes':['None'],"
          "'hasSlope':true,'stairInfo':'?','stairHeightLevel':'THUMB'",
          "stairInfo: " STAIRS },
        { ACCESS, ",'floors':[1],'entranceDoorTypes':['None'],"
          "'hasSlope':true,'stairHeightLevel':'THUMB'",
          "stairInfo: is required: " STAIRS },

        /* floors */

        { FLOORS, ",'floors':[-1]", "" },
        { FLOORS, ",'floors':[-20,-1,1,2,200]", "" },
        { FLOORS, ",'floors':[-21,201,0,-0]",
          "floors[0]: from -20 to 200\nfloors[1]: from -20 to 200\n"
          "floors[2]: not 0: the ground floor is 1\nfloors[3]: not 0" },
        { FLOORS, ",'floors':[1.0,1e0,1.5]",
          "floors[0]: a whole number\nfloors[1]: a whole number\n"
          "floors[2]: a whole number" },
        { FLOORS, ",'floors':['1',null,true,[1],{'a':1},99999999999]",
          "floors[0]: a whole number\nfloors[1]: a whole number\n"
          "floors[2]: a whole number\nfloors[3]: a whole number\n"
          "floors[4]: a whole number\nfloors[5]: a whole number" },
        { FLOORS, ",'floors':[1,2,1,2]",
          "floors[2]: is in the list already\n"
          "floors[3]: is in the list already" },
        { FLOORS, ",'floors':1", "floors: must be a list of 1 to 220" },
        { FLOORS, ",'floors':'1'", "floors: must be a list of 1 to 220" },
        { FLOORS, ",'floors':{'1':1}", "floors: must be a list of 1 to" },
        { FLOORS, "", "floors: is required with entranceDoorTypes, "
          "isStairOnlyOption or stairHeightLevel: must be a list" },

        { DOORS, ",'entranceDoorTypes':['ETC']", "" },
        { "{'kind':'place_accessibility','placeId':'p','stairInfo':'NONE',"
          "'hasSlope':true,'entranceDoorTypes':['ETC'],'floors':[1,2]%}", "",
          "isStairOnlyOption: is required with more than one floor: must be "
          "true or false" },
        { "{'kind':'place_accessibility','placeId':'p','stairInfo':'NONE',"
          "'hasSlope':true,'entranceDoorTypes':['ETC'],'floors':[1,2]%}",
          ",'isStairOnlyOption':null,'x':1",
          "isStairOnlyOption: is required with more than one floor\nx: is" },
        { "{'kind':'place_accessibility','placeId':'p','stairInfo':'NONE',"
          "'hasSlope':true,'entranceDoorTypes':['ETC'],'floors':[1,2]%}",
          ",'isStairOnlyOption':'?'",
          "isStairOnlyOption: must be true or false" },
        { "{'kind':'place_accessibility','placeId':'p','stairInfo':'NONE',"
          "'hasSlope':true,'entranceDoorTypes':['ETC'],'floors':[1,2]%}",
          ",'isStairOnlyOption':true", "" },

        { NEW, ",'isFirstFloor':true", "" },
        { NEW, ",'isFirstFloor':null", "" },
        { NEW, ",'isFirstFloor':false",
          "isFirstFloor: is false, but floors is [1]" },
        { FLOORS, ",'floors':[2],'isFirstFloor':false", "" },
        { FLOORS, ",'floors':[1,2],'isFirstFloor':false", "" },
        { FLOORS, ",'isFirstFloor':true,'floors':[2]",
          "isFirstFloor: is true, but floors is not [1]" },
        { FLOORS, ",'isFirstFloor':true,'floors':[1,2]",
          "isFirstFloor: is true, but floors is not [1]" },
        { FLOORS, ",'isFirstFloor':true,'floors':[0]",
          "floors[0]: must be a whole number" },

        /* doors */

        { DOORS, ",'entranceDoorTypes':['None']", "" },
        { DOORS, ",'entranceDoorTypes':['Hinged','Sliding','Revolving',"
          "'Automatic','ETC']", "" },
        { DOORS, ",'entranceDoorTypes':[]",
          "entranceDoorTypes: must be a list of 1 to 6 of" },
        { DOORS, ",'entranceDoorTypes':['None','Hinged']",
          "entranceDoorTypes: None only alone" },
        { DOORS, ",'entranceDoorTypes':['Hinged','None']",
          "entranceDoorTypes: None only alone" },
        { DOORS, ",'entranceDoorTypes':['ETC','Hinged','ETC']",
          "entranceDoorTypes[2]: is in the list already" },
        { DOORS, ",'entranceDoorTypes':['hinged',1,null,'']",
          "entranceDoorTypes[0]: must be one of None, Hinged, Sliding, "
          "Revolving, Automatic, ETC\nentranceDoorTypes[1]: must be one\n"
          "entranceDoorTypes[2]: must be one\n"
          "entranceDoorTypes[3]: must be one" },
        { DOORS, ",'entranceDoorTypes':'Hinged'",
          "entranceDoorTypes: must be a list of 1 to 6 of" },
        { DOORS, ",'entranceDoorTypes':['Hinged','Sliding','Revolving',"
          "'Automatic','ETC','None','x','y']",
          "entranceDoorTypes: must be a list of 1 to 6 of" },
    };

    (void) state;

    test_all(cases, scc_test_items(cases));
}


static void
test_place_accessibility_more(void **state)
{
    static const test_case_t  cases[] = {
        { NEW, ",'comment':'\\n\\t ','imageUrls':['https://x/1.jpg']", "" },
        { NEW, ",'comment':null,'imageUrls':null", "" },
        { NEW, ",'comment':1,'imageUrls':'https://x'",
          "comment: at most 2000 characters\n"
          "imageUrls: must be a list of at most 20 URLs" },

        /* of 2026 */

        { NEW, ",'isStandaloneBuilding':true,"
          "'doorDirectionType':'INSIDE_BUILDING','features':['a','a'],"
          "'entranceComment':'c','floorMovingMethodTypes':['UNKNOWN',"
          "'PLACE_ELEVATOR','PLACE_STAIRS','PLACE_ESCALATOR',"
          "'BUILDING_ELEVATOR','BUILDING_STAIRS','BUILDING_ESCALATOR'],"
          "'floorMovingMethodComment':'','floorMovingElevatorAccessibility':"
          "{'imageUrls':['http://x'],'stairInfo':'ONE',"
          "'stairHeightLevel':'THUMB','hasSlope':false},"
          "'floorMovingElevatorComment':''", "" },
        { NEW, ",'isStandaloneBuilding':null,'doorDirectionType':null,"
          "'features':null,'entranceComment':null,"
          "'floorMovingMethodTypes':null,'floorMovingMethodComment':null,"
          "'floorMovingElevatorAccessibility':null,"
          "'floorMovingElevatorComment':null", "" },
        { NEW, ",'doorDirectionType':'OUTSIDE_BUILDING','features':[],"
          "'floorMovingMethodTypes':[],"
          "'floorMovingElevatorAccessibility':{}", "" },
        { NEW, ",'isStandaloneBuilding':1,'doorDirectionType':'ETC',"
          "'features':[1,''],'entranceComment':[],"
          "'floorMovingMethodTypes':['STAIRS','UNKNOWN','UNKNOWN'],"
          "'floorMovingMethodComment':1,"
          "'floorMovingElevatorAccessibility':{'imageUrls':['x'],"
          "'stairInfo':'x','stairHeightLevel':'x','hasSlope':'x'},"
          "'floorMovingElevatorComment':{}",
          "isStandaloneBuilding: must be true or false\n"
          "doorDirectionType: must be one of OUTSIDE_BUILDING, "
          "INSIDE_BUILDING\n"
          "features[0]: must be a string of 1 to 64 bytes\n"
          "features[1]: must be a string of 1 to 64 bytes\n"
          "entranceComment: at most 2000 characters\n"
          "floorMovingMethodTypes[0]: must be one of PLACE_ELEVATOR, "
          "PLACE_STAIRS, PLACE_ESCALATOR, BUILDING_ELEVATOR, "
          "BUILDING_STAIRS, BUILDING_ESCALATOR, UNKNOWN\n"
          "floorMovingMethodTypes[2]: is in the list already\n"
          "floorMovingMethodComment: at most 2000 characters\n"
          "floorMovingElevatorAccessibility.imageUrls[0]: must be an "
          "https:// or http:// URL\n"
          "floorMovingElevatorAccessibility.stairInfo: " STAIRS "\n"
          "floorMovingElevatorAccessibility.stairHeightLevel: " HEIGHTS "\n"
          "floorMovingElevatorAccessibility.hasSlope: must be true or\n"
          "floorMovingElevatorComment: at most 2000 characters" },
        { NEW, ",'floorMovingElevatorAccessibility':{'stairInfo':'ONE'}",
          "floorMovingElevatorAccessibility.stairHeightLevel: is required "
          "when stairInfo is ONE: " HEIGHTS },
        { NEW, ",'floorMovingElevatorAccessibility':"
          "{'stairHeightLevel':'THUMB'}",
          "floorMovingElevatorAccessibility.stairHeightLevel: is only for "
          "stairInfo ONE" },
        { NEW, ",'floorMovingElevatorAccessibility':[]",
          "floorMovingElevatorAccessibility: must be an object as {" },
        { NEW, ",'floorMovingMethodTypes':'UNKNOWN','features':'a'",
          "floorMovingMethodTypes: must be a list of at most 7 of\n"
          "features: must be a list of at most 64 strings" },

        /* recovered after a loss */

        { NEW, ",'recoveredFrom':'photo','confidence':0.25,"
          "'originalTime':'2023-04-30T12:00:00Z',"
          "'observedAt':'2023-06-01T00:00:00.5+09:00'", "" },
        { NEW, ",'recoveredFrom':'sheet','confidence':0", "" },
        { NEW, ",'recoveredFrom':'revisit','confidence':1", "" },
        { NEW, ",'recoveredFrom':null,'confidence':null,"
          "'originalTime':null,'observedAt':null", "" },
        { NEW, ",'recoveredFrom':'memory','confidence':1.000000000000001,"
          "'originalTime':'yesterday','observedAt':1",
          "recoveredFrom: must be one of photo, sheet, revisit\n"
          "confidence: must be a number from 0 to 1\n"
          "originalTime: must be an RFC 3339 time\n"
          "observedAt: must be an RFC 3339 time" },
        { NEW, ",'confidence':-0.000000000000001",
          "confidence: must be a number from 0 to 1" },
        { NEW, ",'recoveredFrom':'photo','confidence':-0.0e-9", "" },
        { NEW, ",'confidence':0.5,'recoverer':'u7','observedAt':"
          "'2023-06-01T00:00:00Z','originalTime':'2023-04-30T12:00:00Z'",
          "confidence: is only for what was recovered: give recoveredFrom\n"
          "recoverer: is only for what was recovered\n"
          "originalTime: is only for what was recovered" },
        { NEW, ",'recoveredFrom':null,'recoverer':'u7'",
          "recoverer: is only for what was recovered" },
        { NEW, ",'recoveredFrom':'x','recoverer':'u7'",
          "recoveredFrom: must be one of photo, sheet, revisit" },
        { NEW, ",'recoveredFrom':'photo','recoverer':''",
          "recoverer: must be a string of 1 to 64 bytes" },
        { NEW, ",'confidence':'1'", "confidence: must be a number" },
        { BFULL, ",'recoveredFrom':'photo','confidence':1.0,"
          "'recoverer':'u7',"
          "'originalTime':'2023-04-30T12:00:00Z',"
          "'observedAt':'2023-06-01T00:00:00Z'", "" },
        { BFULL, ",'recoverer':'u7'",
          "recoverer: is only for what was recovered" },
        { BFULL, ",'recoveredFrom':'','confidence':2,"
          "'originalTime':'','observedAt':''",
          "recoveredFrom: must be one\nconfidence: must be a number\n"
          "originalTime: must be an RFC\nobservedAt: must be an RFC" },
        { PLACE, ",'recoveredFrom':'photo'",
          "recoveredFrom: is not a field of place" },
    };

    (void) state;

    test_all(cases, scc_test_items(cases));
}


static void
test_building_accessibility(void **state)
{
    static const test_case_t  cases[] = {
        { BFULL, "", "" },
        { BFULL, ",'entranceDoorTypes':['None'],'comment':'c',"
          "'imageUrls':['https://x/']", "" },
        { BFULL, ",'entranceDoorTypes':null,'comment':null,"
          "'imageUrls':null,'doorDirectionType':null,"
          "'doorDirectionEtcComment':null,'entranceStairHeightLevel':null,"
          "'elevatorStairHeightLevel':null", "" },
        { BFULL, ",'entranceDoorTypes':[]",
          "entranceDoorTypes: must be a list of 1 to 6 of" },
        { BFULL, ",'entranceDoorTypes':['None','ETC']",
          "entranceDoorTypes: None only alone" },
        { BFULL, ",'floors':[1]", "floors: is not a field of "
          "building_accessibility; these are: kind, id, buildingId" },

        { BFULL, ",'entranceStairHeightLevel':'THUMB',"
          "'elevatorStairHeightLevel':'THUMB'",
          "entranceStairHeightLevel: is only for entranceStairInfo ONE\n"
          "elevatorStairHeightLevel: is only for elevatorStairInfo ONE" },
        { BACCESS, ",'entranceStairInfo':'ONE','hasSlope':false,"
          "'hasElevator':true,'elevatorStairInfo':'ONE'",
          "entranceStairHeightLevel: is required when entranceStairInfo is "
          "ONE: " HEIGHTS "\n"
          "elevatorStairHeightLevel: is required when elevatorStairInfo is "
          "ONE: " HEIGHTS },
        { BACCESS, ",'entranceStairInfo':'ONE','hasSlope':false,"
          "'entranceStairHeightLevel':'HALF_THUMB','hasElevator':true,"
          "'elevatorStairHeightLevel':'OVER_THUMB',"
          "'elevatorStairInfo':'ONE'", "" },
        { BACCESS, ",'entranceStairInfo':'x','hasSlope':'x',"
          "'hasElevator':'x','elevatorStairInfo':'x',"
          "'entranceStairHeightLevel':'x','elevatorStairHeightLevel':'x'",
          "entranceStairInfo: " STAIRS "\nhasSlope: must be true or false\n"
          "hasElevator: must be true or false\n"
          "elevatorStairInfo: " STAIRS "\n"
          "entranceStairHeightLevel: " HEIGHTS "\n"
          "elevatorStairHeightLevel: " HEIGHTS },

        { ELEVATOR, ",'hasElevator':false,'elevatorStairInfo':'UNDEFINED'",
          "" },
        { ELEVATOR, ",'hasElevator':true,'elevatorStairInfo':'OVER_SIX'",
          "" },
        { ELEVATOR, ",'hasElevator':false,'elevatorStairInfo':'NONE'",
          "elevatorStairInfo: must be UNDEFINED when hasElevator is false" },
        { ELEVATOR, ",'elevatorStairInfo':'UNDEFINED','hasElevator':true",
          "elevatorStairInfo: must be one of NONE, ONE, TWO_TO_FIVE, "
          "OVER_SIX when hasElevator is true" },
        { ELEVATOR, ",'hasElevator':null,'elevatorStairInfo':'UNDEFINED'",
          "hasElevator: is required: must be true or false" },
        { ELEVATOR, ",'hasElevator':false", "elevatorStairInfo: is requ" },

        { BFULL, ",'doorDirectionType':'ROAD_DIRECTION'", "" },
        { BFULL, ",'doorDirectionType':'PARKING_DIRECTION'", "" },
        { BFULL, ",'doorDirectionType':'ETC'",
          "doorDirectionEtcComment: is required when doorDirectionType is "
          "ETC: must be a string of 1 to 2000 characters" },
        { BFULL, ",'doorDirectionType':'ETC','doorDirectionEtcComment':'c'",
          "" },
        { BFULL, ",'doorDirectionType':'ETC','doorDirectionEtcComment':' '",
          "doorDirectionEtcComment: not only of blanks" },
        { BFULL, ",'doorDirectionType':'ROAD_DIRECTION',"
          "'doorDirectionEtcComment':'c'",
          "doorDirectionEtcComment: is only for doorDirectionType ETC" },
        { BFULL, ",'doorDirectionEtcComment':'c'",
          "doorDirectionEtcComment: is only for doorDirectionType ETC" },
        { BFULL, ",'doorDirectionType':'OUTSIDE_BUILDING'",
          "doorDirectionType: must be one of ROAD_DIRECTION, "
          "PARKING_DIRECTION, ETC" },
    };

    (void) state;

    test_all(cases, scc_test_items(cases));
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(test_place_accessibility),
        cmocka_unit_test(test_place_accessibility_more),
        cmocka_unit_test(test_building_accessibility),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
