
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_ogc.h"


/* A 200 of a schema, and the problem for the rest. */

#define SCC_API_ANSWER(type, text, schema)                                   \
    "\"responses\":{\"200\":{\"description\":\"" text "\",\"content\":{\""   \
    type "\":{\"schema\":" schema "}}},"                                     \
    "\"default\":{\"$ref\":\"#/components/responses/Problem\"}}"

#define SCC_API_REF(schema)                                                  \
    "{\"$ref\":\"#/components/schemas/" schema "\"}"

#define SCC_API_PARAM(name)                                                  \
    "{\"$ref\":\"#/components/parameters/" name "\"}"

#define SCC_API_LINKS                                                        \
    "\"links\":{\"type\":\"array\",\"items\":" SCC_API_REF("link") "}"

#define SCC_API_GET(path, id, text, answer)                                  \
    "\"" path "\":{\"get\":{\"operationId\":\"" id "\",\"summary\":\""       \
    text "\",\"parameters\":[" SCC_API_PARAM("f") "]," answer "}}"

#define SCC_API_PART(name)                                                   \
    "{\"name\":\"" name "\",\"in\":\"path\",\"required\":true,"              \
    "\"schema\":{\"type\":\"integer\",\"minimum\":0}}"

#define SCC_API_QUERY(key, name, text, schema)                               \
    "\"" key "\":{\"name\":\"" name "\",\"in\":\"query\",\"description\":\"" \
    text "\",\"required\":false,\"schema\":" schema ",\"style\":\"form\","   \
    "\"explode\":false}"


static const char  scc_api_head[] =
    "{\"openapi\":\"3.0.3\",\"info\":{\"title\":\"Stair map\","
    "\"description\":\"Places, and whether a wheelchair can get in. What is "
    "not known is null, which is not no.\",\"version\":\"1.0.0\"";


static const char  scc_api_paths[] =
    "\"paths\":{"

    SCC_API_GET("/", "getLandingPage", "The landing page",
        SCC_API_ANSWER("application/json", "Links to the parts of the API",
                       SCC_API_REF("landingPage"))) ","

    SCC_API_GET("/conformance", "getConformance",
        "What the API conforms to",
        SCC_API_ANSWER("application/json", "Conformance classes",
                       SCC_API_REF("conformance"))) ","

    SCC_API_GET("/api", "getApi", "This document",
        SCC_API_ANSWER("application/vnd.oai.openapi+json;version=3.0",
                       "OpenAPI 3.0", "{\"type\":\"object\"}")) ","

    SCC_API_GET("/collections", "getCollections", "The collections",
        SCC_API_ANSWER("application/json", "All collections, which is one",
                       SCC_API_REF("collections"))) ","

    SCC_API_GET("/collections/places", "describePlaces", "The collection",
        SCC_API_ANSWER("application/json", "What it holds and where",
                       SCC_API_REF("collection"))) ","

    "\"/collections/places/items\":{\"get\":{\"operationId\":\"getPlaces\","
    "\"summary\":\"Places, page by page\",\"parameters\":["
    SCC_API_PARAM("bbox") "," SCC_API_PARAM("limit") ","
    SCC_API_PARAM("datetime") "," SCC_API_PARAM("cursor") ","
    SCC_API_PARAM("level_max") "," SCC_API_PARAM("registered") ","
    SCC_API_PARAM("has_slope") "," SCC_API_PARAM("category") ","
    SCC_API_PARAM("f") "],"
    SCC_API_ANSWER("application/geo+json", "A page; follow the next link",
                   SCC_API_REF("featureCollection")) "}},"

    "\"/collections/places/items/{featureId}\":{\"get\":{\"operationId\":"
    "\"getPlace\",\"summary\":\"One place\",\"parameters\":[{\"name\":"
    "\"featureId\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":"
    "\"string\"}}," SCC_API_PARAM("f") "],"
    SCC_API_ANSWER("application/geo+json", "The place",
                   SCC_API_REF("feature")) "}},"

    SCC_API_GET("/tiles", "dataset.vector.getTileSetsList", "The tilesets",
        SCC_API_ANSWER("application/json", "All tilesets, which is one",
                       "{\"type\":\"object\"}")) ","

    SCC_API_GET("/tiles/WebMercatorQuad", "dataset.vector.getTileSet",
        "The tileset",
        SCC_API_ANSWER("application/json", "Where its tiles are",
                       "{\"type\":\"object\"}")) ","

    "\"/tiles/WebMercatorQuad/{tileMatrix}/{tileRow}/{tileCol}\":{\"get\":{"
    "\"operationId\":\"dataset.vector.getTile\",\"summary\":\"A vector "
    "tile\",\"parameters\":[{\"name\":\"tileMatrix\",\"in\":\"path\","
    "\"required\":true,\"schema\":{\"type\":\"string\"}},"
    SCC_API_PART("tileRow") "," SCC_API_PART("tileCol") "],"
    SCC_API_ANSWER("application/vnd.mapbox-vector-tile", "The tile",
                   "{\"type\":\"string\",\"format\":\"binary\"}") "}}"

    "}";


static const char  scc_api_parameters[] =
    "\"parameters\":{"

    SCC_API_QUERY("bbox", "bbox",
        "West, south, east, north in degrees (CRS84); of six numbers the "
        "heights are ignored; west > east crosses the antimeridian",
        "{\"type\":\"array\",\"minItems\":4,\"maxItems\":6,"
        "\"items\":{\"type\":\"number\"}}") ","

    SCC_API_QUERY("datetime", "datetime",
        "An instant or an interval of RFC 3339; places have no time, so "
        "each of them is in all of them", "{\"type\":\"string\"}") ","

    SCC_API_QUERY("cursor", "cursor",
        "Where a page begins; from the link to it",
        "{\"type\":\"string\"}") ","

    SCC_API_QUERY("level_max", "level_max",
        "The access level is known, and not above this",
        "{\"type\":\"integer\",\"minimum\":0,\"maximum\":5}") ","

    SCC_API_QUERY("registered", "registered",
        "An accessibility record exists, or not",
        "{\"type\":\"boolean\"}") ","

    SCC_API_QUERY("has_slope", "has_slope",
        "A ramp is recorded, or recorded as absent",
        "{\"type\":\"boolean\"}") ","

    SCC_API_QUERY("category", "category", "Exactly this category",
        "{\"type\":\"string\",\"minLength\":1,\"maxLength\":64}") ","

    SCC_API_QUERY("f", "f", "The format; there is one",
        "{\"type\":\"string\",\"enum\":[\"json\"],\"default\":\"json\"}") ","

    "\"limit\":{\"name\":\"limit\",\"in\":\"query\",\"description\":\"Places "
    "of a page at most; more than the maximum is the maximum\",\"required\":"
    "false,\"style\":\"form\",\"explode\":false,\"schema\":{\"type\":"
    "\"integer\",\"minimum\":1,\"maximum\":";


static const char  scc_api_schemas[] =
    "\"responses\":{\"Problem\":{\"description\":\"What is wrong (RFC 9457): "
    "400 names the parameter, 404, 503 with Retry-After\",\"content\":{"
    "\"application/problem+json\":{\"schema\":" SCC_API_REF("problem")
    "}}}},"

    "\"schemas\":{"

    "\"problem\":{\"type\":\"object\",\"required\":[\"title\",\"status\"],"
    "\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":"
    "\"string\"},\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":"
    "\"string\"},\"parameter\":{\"type\":\"string\"}}},"

    "\"link\":{\"type\":\"object\",\"required\":[\"href\",\"rel\"],"
    "\"properties\":{\"href\":{\"type\":\"string\"},\"rel\":{\"type\":"
    "\"string\"},\"type\":{\"type\":\"string\"},\"title\":{\"type\":"
    "\"string\"},\"templated\":{\"type\":\"boolean\"}}},"

    "\"landingPage\":{\"type\":\"object\",\"required\":[\"links\"],"
    "\"properties\":{\"title\":{\"type\":\"string\"},\"description\":{"
    "\"type\":\"string\"},\"attribution\":{\"type\":\"string\"},"
    SCC_API_LINKS "}},"

    "\"conformance\":{\"type\":\"object\",\"required\":[\"conformsTo\"],"
    "\"properties\":{\"conformsTo\":{\"type\":\"array\",\"items\":{\"type\":"
    "\"string\"}}}},"

    "\"collections\":{\"type\":\"object\",\"required\":[\"links\","
    "\"collections\"],\"properties\":{" SCC_API_LINKS ",\"collections\":{"
    "\"type\":\"array\",\"items\":" SCC_API_REF("collection") "}}},"

    "\"collection\":{\"type\":\"object\",\"required\":[\"id\",\"links\"],"
    "\"properties\":{\"id\":{\"type\":\"string\"},\"title\":{\"type\":"
    "\"string\"},\"description\":{\"type\":\"string\"},\"attribution\":{"
    "\"type\":\"string\"},\"itemType\":{\"type\":\"string\",\"default\":"
    "\"feature\"},\"crs\":{\"type\":\"array\",\"items\":{\"type\":\"string\""
    "}},\"extent\":{\"type\":\"object\",\"properties\":{\"spatial\":{"
    "\"type\":\"object\",\"properties\":{\"bbox\":{\"type\":\"array\","
    "\"minItems\":1,\"items\":{\"type\":\"array\",\"minItems\":4,"
    "\"maxItems\":6,\"items\":{\"type\":\"number\"}}},\"crs\":{\"type\":"
    "\"string\"}}}}}," SCC_API_LINKS "}},"

    "\"featureCollection\":{\"type\":\"object\",\"required\":[\"type\","
    "\"features\"],\"properties\":{\"type\":{\"type\":\"string\",\"enum\":["
    "\"FeatureCollection\"]},\"numberMatched\":{\"type\":\"integer\","
    "\"minimum\":0},\"numberReturned\":{\"type\":\"integer\",\"minimum\":0},"
    SCC_API_LINKS ",\"features\":{\"type\":\"array\",\"items\":"
    SCC_API_REF("feature") "}}},"

    "\"feature\":{\"type\":\"object\",\"required\":[\"type\",\"id\","
    "\"geometry\",\"properties\"],\"properties\":{\"type\":{\"type\":"
    "\"string\",\"enum\":[\"Feature\"]},\"id\":{\"type\":\"string\"},"
    "\"geometry\":{\"type\":\"object\",\"required\":[\"type\","
    "\"coordinates\"],\"properties\":{\"type\":{\"type\":\"string\","
    "\"enum\":[\"Point\"]},\"coordinates\":{\"type\":\"array\",\"minItems\":"
    "2,\"maxItems\":2,\"items\":{\"type\":\"number\"}}}},\"properties\":"
    SCC_API_REF("place") "," SCC_API_LINKS "}},"

    "\"stairs\":{\"type\":\"string\",\"nullable\":true,\"enum\":[\"NONE\","
    "\"ONE\",\"TWO_TO_FIVE\",\"OVER_SIX\",null]},"

    "\"unknown\":{\"type\":\"boolean\",\"nullable\":true},"

    "\"place\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":"
    "\"string\"},\"category\":{\"type\":\"string\",\"nullable\":true},"
    "\"address\":{\"type\":\"string\",\"nullable\":true},\"level\":{"
    "\"type\":\"integer\",\"nullable\":true,\"minimum\":0,\"maximum\":5,"
    "\"description\":\"0: no obstacle; null: not known\"},\"registered\":{"
    "\"type\":\"boolean\"},\"stairInfo\":" SCC_API_REF("stairs") ","
    "\"stairHeightLevel\":{\"type\":\"string\",\"nullable\":true,\"enum\":["
    "\"HALF_THUMB\",\"THUMB\",\"OVER_THUMB\",null]},\"hasSlope\":"
    SCC_API_REF("unknown") ",\"isFirstFloor\":" SCC_API_REF("unknown") ","
    "\"buildingRegistered\":{\"type\":\"boolean\"},"
    "\"buildingEntranceStairInfo\":" SCC_API_REF("stairs") ","
    "\"buildingHasSlope\":" SCC_API_REF("unknown") ","
    "\"buildingHasElevator\":" SCC_API_REF("unknown") ","
    "\"buildingElevatorStairInfo\":" SCC_API_REF("stairs") "}}"

    "}}}";


void
scc_ogc_api(scc_buf_t *b, const scc_ogc_conf_t *conf)
{
    scc_buf_text(b, scc_api_head);

    if (conf->license.len != 0) {
        scc_buf_text(b, ",\"license\":{\"name\":\"License\",\"url\":");
        scc_buf_json(b, conf->license);
        scc_buf_byte(b, '}');
    }

    scc_buf_text(b, "},\"servers\":[{\"url\":\"");

    /* paths begin with the '/' that the base ends with */

    scc_buf_mem(b, conf->base.data, conf->base.len ? conf->base.len - 1 : 0);

    scc_buf_text(b, "\"}],");
    scc_buf_text(b, scc_api_paths);
    scc_buf_text(b, ",\"components\":{");
    scc_buf_text(b, scc_api_parameters);
    scc_buf_uint(b, conf->limit_max);
    scc_buf_text(b, ",\"default\":");
    scc_buf_uint(b, conf->limit);
    scc_buf_text(b, "}}},");
    scc_buf_text(b, scc_api_schemas);
}
