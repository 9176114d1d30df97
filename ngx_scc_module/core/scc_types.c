
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_geo.h"
#include "scc_rules.h"


#define SCC_TEXT_MAX      2000              /* characters */
#define SCC_URL_MAX       512
#define SCC_ITEM_DIGITS   4
#define SCC_DEGREE        10000000          /* e7 */
#define SCC_KEY_MAX       1024              /* as object stores have it */
#define SCC_SIZE_MAX      1000000000000     /* of a photo, bytes */
#define SCC_SIZE_DIGITS   13

#define scc_nitems(a)     (sizeof(a) / sizeof((a)[0]))


typedef struct {
    uint32_t  first;
    uint32_t  last;
} scc_blank_t;


static bool scc_check_line(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_nickname(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_text(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_comment(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_url(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_name(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_floor(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_size(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_sha256(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_degrees(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_share(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_time(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_uuid(const scc_type_t *type, scc_str_t text,
    int64_t *value);
static bool scc_check_uuid7(const scc_type_t *type, scc_str_t text,
    int64_t *value);

static bool scc_text_control(const uint8_t *p);
static bool scc_text_blank(scc_str_t text);
static uint32_t scc_text_code(const uint8_t *p, size_t n);
static bool scc_time_number(const uint8_t **p, unsigned digits,
    unsigned min, unsigned max, unsigned *n);
static bool scc_time_date(const uint8_t **p);
static bool scc_time_clock(const uint8_t **p);
static bool scc_time_zone(const uint8_t **p);


/* What shows nothing: a name of these would be no name. */

static const scc_blank_t  scc_blanks[] = {
    { 0x0009, 0x000d },
    { 0x0020, 0x0020 },
    { 0x0085, 0x0085 },
    { 0x00a0, 0x00a0 },
    { 0x00ad, 0x00ad },
    { 0x034f, 0x034f },
    { 0x061c, 0x061c },
    { 0x115f, 0x1160 },             /* Hangul fillers */
    { 0x1680, 0x1680 },
    { 0x17b4, 0x17b5 },
    { 0x180b, 0x180f },
    { 0x2000, 0x200f },
    { 0x2028, 0x202f },
    { 0x205f, 0x206f },
    { 0x2800, 0x2800 },
    { 0x3000, 0x3000 },
    { 0x3164, 0x3164 },
    { 0xfe00, 0xfe0f },
    { 0xfeff, 0xfeff },
    { 0xffa0, 0xffa0 },
};


static const scc_str_t  scc_stair_list[] = {
    scc_string("UNDEFINED"), scc_string("NONE"), scc_string("ONE"),
    scc_string("TWO_TO_FIVE"), scc_string("OVER_SIX"), scc_null_string
};

static const scc_str_t  scc_height_list[] = {
    scc_string("HALF_THUMB"), scc_string("THUMB"), scc_string("OVER_THUMB"),
    scc_null_string
};

static const scc_str_t  scc_door_list[] = {
    scc_string("None"), scc_string("Hinged"), scc_string("Sliding"),
    scc_string("Revolving"), scc_string("Automatic"), scc_string("ETC"),
    scc_null_string
};

static const scc_str_t  scc_place_door_list[] = {
    scc_string("OUTSIDE_BUILDING"), scc_string("INSIDE_BUILDING"),
    scc_null_string
};

static const scc_str_t  scc_building_door_list[] = {
    scc_string("ROAD_DIRECTION"), scc_string("PARKING_DIRECTION"),
    scc_string("ETC"), scc_null_string
};

static const scc_str_t  scc_moving_list[] = {
    scc_string("PLACE_ELEVATOR"), scc_string("PLACE_STAIRS"),
    scc_string("PLACE_ESCALATOR"), scc_string("BUILDING_ELEVATOR"),
    scc_string("BUILDING_STAIRS"), scc_string("BUILDING_ESCALATOR"),
    scc_string("UNKNOWN"), scc_null_string
};

static const scc_str_t  scc_recovered_list[] = {
    scc_string("photo"), scc_string("sheet"), scc_string("revisit"),
    scc_null_string
};

static const scc_str_t  scc_image_list[] = {
    scc_string("Entrance"), scc_string("Elevator"), scc_null_string
};

static const scc_str_t  scc_reason_list[] = {
    scc_string("INACCURATE_INFO"), scc_string("CLOSED"),
    scc_string("BAD_USER"), scc_null_string
};


const scc_type_t  scc_type_any = {
    .json = SCC_JSON_OBJECT,
    .allowed = "must be an object, in UTF-8, without \\u0000, half of a "
               "surrogate pair or a number out of all range",
};

const scc_type_t  scc_type_boolean = {
    .json = SCC_JSON_BOOLEAN,
    .allowed = "must be true or false",
};

const scc_type_t  scc_type_kind = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a kind of contribution",
};

const scc_type_t  scc_type_id = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a string of 1 to 64 bytes without control "
               "characters",
    .check = scc_check_line,
    .min = 1,
    .max = SCC_ID_MAX,
};

const scc_type_t  scc_type_name = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a string of 1 to 512 bytes without control "
               "characters",
    .check = scc_check_line,
    .min = 1,
    .max = SCC_NAME_MAX,
};

const scc_type_t  scc_type_label = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a string of at most 64 bytes without control "
               "characters",
    .check = scc_check_line,
    .max = SCC_CATEGORY_MAX,
};

const scc_type_t  scc_type_line = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a string of at most 512 bytes without control "
               "characters",
    .check = scc_check_line,
    .max = SCC_ADDRESS_MAX,
};

const scc_type_t  scc_type_key = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a string of 1 to 1024 bytes without control "
               "characters",
    .check = scc_check_line,
    .min = 1,
    .max = SCC_KEY_MAX,
};

const scc_type_t  scc_type_size = {
    .json = SCC_JSON_NUMBER,
    .allowed = "must be a whole number of bytes, from 1 to 1000000000000",
    .check = scc_check_size,
    .min = 1,
    .max = SCC_SIZE_MAX,
};

const scc_type_t  scc_type_sha256 = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a SHA-256: 64 hex digits in lower case",
    .check = scc_check_sha256,
};

const scc_type_t  scc_type_image_of = {
    .json = SCC_JSON_STRING,
    .check = scc_check_name,
    .names = scc_image_list,
};

const scc_type_t  scc_type_nickname = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a string of 1 to 512 bytes, not only of blanks, "
               "without control characters",
    .check = scc_check_nickname,
    .min = 1,
    .max = SCC_NAME_MAX,
};

const scc_type_t  scc_type_text = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a string of at most 2000 characters; of control "
               "characters only tabs and line ends",
    .check = scc_check_text,
    .max = SCC_TEXT_MAX,
};

const scc_type_t  scc_type_comment = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a string of 1 to 2000 characters, not only of "
               "blanks; of control characters only tabs and line ends",
    .check = scc_check_comment,
    .min = 1,
    .max = SCC_TEXT_MAX,
};

static const scc_type_t  scc_type_image = {
    .json = SCC_JSON_STRING,
    .allowed = "must be an https:// or http:// URL of at most 512 bytes "
               "without blanks",
    .check = scc_check_url,
    .max = SCC_URL_MAX,
};

const scc_type_t  scc_type_images = {
    .json = SCC_JSON_LIST,
    .allowed = "must be a list of at most 20 URLs",
    .max = 20,
    .item = &scc_type_image,
};

static const scc_type_t  scc_type_feature = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a string of 1 to 64 bytes without control "
               "characters",
    .check = scc_check_line,
    .min = 1,
    .max = 64,
};

const scc_type_t  scc_type_features = {
    .json = SCC_JSON_LIST,
    .allowed = "must be a list of at most 64 strings",
    .max = 64,
    .item = &scc_type_feature,
};

const scc_type_t  scc_type_time = {
    .json = SCC_JSON_STRING,
    .allowed = "must be an RFC 3339 time with its offset, from 1900 to "
               "2999, as 2026-05-01T09:30:00+09:00",
    .check = scc_check_time,
};

const scc_type_t  scc_type_share = {
    .json = SCC_JSON_NUMBER,
    .allowed = "must be a number from 0 to 1",
    .check = scc_check_share,
};

const scc_type_t  scc_type_lng = {
    .json = SCC_JSON_NUMBER,
    .allowed = "must be a number from -180 to 180, in degrees",
    .check = scc_check_degrees,
    .max = SCC_LON_MAX,
};

const scc_type_t  scc_type_lat = {
    .json = SCC_JSON_NUMBER,
    .allowed = "must be a number from -90 to 90, in degrees",
    .check = scc_check_degrees,
    .max = SCC_LAT_MAX,
};

static const scc_type_t  scc_type_floor = {
    .json = SCC_JSON_NUMBER,
    .allowed = "must be a whole number from -20 to 200, and not 0: the "
               "ground floor is 1, the first basement -1",
    .check = scc_check_floor,
    .min = -20,
    .max = 200,
};

const scc_type_t  scc_type_floors = {
    .json = SCC_JSON_LIST,
    .allowed = "must be a list of 1 to 220 floors, none of them twice, as "
               "[1,2]: the ground floor is 1, the first basement -1",
    .min = 1,
    .max = 220,
    .item = &scc_type_floor,
    .unique = true,
};

const scc_type_t  scc_type_uuid = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a UUID, as 0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0f",
    .check = scc_check_uuid,
};

const scc_type_t  scc_type_uuid7 = {
    .json = SCC_JSON_STRING,
    .allowed = "must be a UUID of version 7, as "
               "0198c0de-7d4e-7c3a-9f21-5b6a7c8d9e0f",
    .check = scc_check_uuid7,
};

const scc_type_t  scc_type_stair = {
    .json = SCC_JSON_STRING,
    .check = scc_check_name,
    .names = scc_stair_list,
};

const scc_type_t  scc_type_height = {
    .json = SCC_JSON_STRING,
    .check = scc_check_name,
    .names = scc_height_list,
};

static const scc_type_t  scc_type_door = {
    .json = SCC_JSON_STRING,
    .check = scc_check_name,
    .names = scc_door_list,
};

const scc_type_t  scc_type_doors = {
    .json = SCC_JSON_LIST,
    .allowed = "must be a list of 1 to 6 of None, Hinged, Sliding, "
               "Revolving, Automatic, ETC, none of them twice, None only "
               "alone",
    .min = 1,
    .max = 6,
    .item = &scc_type_door,
    .unique = true,
    .alone = true,
};

const scc_type_t  scc_type_place_door = {
    .json = SCC_JSON_STRING,
    .check = scc_check_name,
    .names = scc_place_door_list,
};

const scc_type_t  scc_type_building_door = {
    .json = SCC_JSON_STRING,
    .check = scc_check_name,
    .names = scc_building_door_list,
};

static const scc_type_t  scc_type_moving_method = {
    .json = SCC_JSON_STRING,
    .check = scc_check_name,
    .names = scc_moving_list,
};

const scc_type_t  scc_type_moving = {
    .json = SCC_JSON_LIST,
    .allowed = "must be a list of at most 7 of PLACE_ELEVATOR, "
               "PLACE_STAIRS, PLACE_ESCALATOR, BUILDING_ELEVATOR, "
               "BUILDING_STAIRS, BUILDING_ESCALATOR, UNKNOWN, none of them "
               "twice",
    .max = 7,
    .item = &scc_type_moving_method,
    .unique = true,
};

const scc_type_t  scc_type_recovered = {
    .json = SCC_JSON_STRING,
    .check = scc_check_name,
    .names = scc_recovered_list,
};

const scc_type_t  scc_type_reason = {
    .json = SCC_JSON_STRING,
    .check = scc_check_name,
    .names = scc_reason_list,
};


void
scc_type_allowed(scc_buf_t *b, const scc_type_t *type)
{
    unsigned  i;

    if (type->allowed) {
        scc_buf_text(b, type->allowed);
        return;
    }

    scc_buf_text(b, "must be one of ");

    for (i = 0; type->names[i].len > 0; i++) {
        scc_buf_text(b, i ? ", " : "");
        scc_buf_str(b, type->names[i]);
    }
}


static bool
scc_check_line(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    size_t  i;

    (void) value;

    if ((int64_t) text.len < type->min || (int64_t) text.len > type->max) {
        return false;
    }

    for (i = 0; i < text.len; i++) {

        if (scc_text_control(text.data + i)) {
            return false;
        }
    }

    return true;
}


static bool
scc_check_nickname(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    return scc_check_line(type, text, value) && !scc_text_blank(text);
}


static bool
scc_check_text(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    size_t   i;
    int64_t  n;
    uint8_t  ch;

    (void) value;

    n = 0;

    for (i = 0; i < text.len; i++) {
        ch = text.data[i];

        n += (ch & 0xc0) != 0x80;

        if (ch != '\t' && ch != '\n' && ch != '\r'
            && scc_text_control(text.data + i))
        {
            return false;
        }
    }

    return n >= type->min && n <= type->max;
}


static bool
scc_check_comment(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    return scc_check_text(type, text, value) && !scc_text_blank(text);
}


static bool
scc_check_url(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    size_t   i, n;
    uint8_t  ch;

    static const char  scheme[] = "https://";

    (void) value;

    if ((int64_t) text.len > type->max) {
        return false;
    }

    n = 0;

    for (i = 0; scheme[i]; i++) {

        if (scheme[i] == 's' && n < text.len && text.data[n] == ':') {
            continue;
        }

        if (n == text.len) {
            return false;
        }

        ch = text.data[n++];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (ch != (uint8_t) scheme[i]) {
            return false;
        }
    }

    /* a host's first character */

    if (n == text.len || memchr("/?#:@.-", text.data[n], 7)) {
        return false;
    }

    for (i = n; i < text.len; i++) {
        ch = text.data[i];

        if (ch == ' ' || ch == '"' || ch == '<' || ch == '>' || ch == '\\'
            || scc_text_control(text.data + i))
        {
            return false;
        }
    }

    return true;
}


static bool
scc_check_name(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    unsigned  i;

    for (i = 0; type->names[i].len > 0; i++) {

        if (scc_str_eq(text, type->names[i])) {
            *value = i;
            return true;
        }
    }

    return false;
}


/* Digits only: PostgreSQL takes neither 1.0 nor 1e0 for an integer. */

static bool
scc_check_floor(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    size_t   i;
    bool     minus;
    int64_t  n;

    n = 0;
    minus = text.len > 0 && text.data[0] == '-';

    if (text.len > SCC_ITEM_DIGITS) {
        return false;
    }

    for (i = minus; i < text.len; i++) {

        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }

        n = n * 10 + (text.data[i] - '0');
    }

    if (minus) {
        n = -n;
    }

    *value = n;

    return n != 0 && n >= type->min && n <= type->max;
}


static bool
scc_check_degrees(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    return scc_e7_parse(text, SCC_E7_NEAREST, value) == SCC_OK
           && *value >= -type->max && *value <= type->max;
}


static bool
scc_check_size(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    size_t  i;

    if (text.len > SCC_SIZE_DIGITS) {
        return false;
    }

    for (i = 0, *value = 0; i < text.len; i++) {

        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }

        *value = *value * 10 + (text.data[i] - '0');
    }

    return *value >= type->min && *value <= type->max;
}


static bool
scc_check_sha256(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    size_t   i;
    uint8_t  c;

    (void) type;
    (void) value;

    for (i = 0; i < text.len; i++) {
        c = text.data[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) {
            return false;
        }
    }

    return text.len == 64;
}


static bool
scc_check_share(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    int64_t  floor, ceil;

    (void) type;
    (void) value;

    return scc_e7_parse(text, SCC_E7_FLOOR, &floor) == SCC_OK
           && scc_e7_parse(text, SCC_E7_CEIL, &ceil) == SCC_OK
           && floor >= 0 && ceil <= SCC_DEGREE;
}


/*
 * RFC 3339, as far as PostgreSQL takes it too: offsets below 16 hours, no
 * fraction of a leap second.  Other centuries are mistakes.
 */

static bool
scc_check_time(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    const uint8_t  *p;

    uint8_t  copy[40];

    (void) type;
    (void) value;

    /* with a NUL at its end no length needs a look before a character */

    if (text.len >= sizeof(copy)) {
        return false;
    }

    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }

    copy[text.len] = '\0';

    p = copy;

    if (!scc_time_date(&p) || (*p != 'T' && *p != 't')) {
        return false;
    }

    p++;

    return scc_time_clock(&p) && scc_time_zone(&p) && p == copy + text.len;
}


static bool
scc_check_uuid(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    uint8_t  id[16];

    (void) type;
    (void) value;

    return scc_uuid_parse(text, id) == SCC_OK;
}


static bool
scc_check_uuid7(const scc_type_t *type, scc_str_t text, int64_t *value)
{
    uint8_t  id[16];

    (void) type;
    (void) value;

    return scc_uuid_parse(text, id) == SCC_OK && scc_uuid_is_v7(id);
}


/* U+0000..1F, U+7F, U+80..9F, in text that is UTF-8. */

static bool
scc_text_control(const uint8_t *p)
{
    return *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0);
}


static bool
scc_text_blank(scc_str_t text)
{
    size_t    i, n, k;
    uint32_t  code;

    for (i = 0; i < text.len; i += n) {

        n = scc_utf8_seq(text.data + i, text.len - i);

        if (n == 0) {
            return false;
        }

        code = scc_text_code(text.data + i, n);

        for (k = 0; k < scc_nitems(scc_blanks); k++) {

            if (code >= scc_blanks[k].first && code <= scc_blanks[k].last) {
                break;
            }
        }

        if (k == scc_nitems(scc_blanks)) {
            return false;
        }
    }

    return true;
}


static uint32_t
scc_text_code(const uint8_t *p, size_t n)
{
    size_t    i;
    uint32_t  code;

    if (n == 1) {
        return p[0];
    }

    code = p[0] & (0xffu >> (n + 1));

    for (i = 1; i < n; i++) {
        code = code << 6 | (p[i] & 0x3fu);
    }

    return code;
}


static bool
scc_time_number(const uint8_t **p, unsigned digits, unsigned min,
    unsigned max, unsigned *n)
{
    *n = 0;

    while (digits-- > 0) {

        if (**p < '0' || **p > '9') {
            return false;
        }

        *n = *n * 10 + (unsigned) (*(*p)++ - '0');
    }

    return *n >= min && *n <= max;
}


static bool
scc_time_date(const uint8_t **p)
{
    unsigned  year, month, day, max;

    if (!scc_time_number(p, 4, 1900, 2999, &year) || *(*p)++ != '-'
        || !scc_time_number(p, 2, 1, 12, &month) || *(*p)++ != '-')
    {
        return false;
    }

    if (month == 2) {
        max = (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) ? 29
                                                                     : 28;

    } else {
        max = (month == 4 || month == 6 || month == 9 || month == 11) ? 30
                                                                      : 31;
    }

    return scc_time_number(p, 2, 1, max, &day);
}


static bool
scc_time_clock(const uint8_t **p)
{
    unsigned        n;
    const uint8_t  *point;

    /* 60 is a leap second */

    if (!scc_time_number(p, 2, 0, 23, &n) || *(*p)++ != ':'
        || !scc_time_number(p, 2, 0, 59, &n) || *(*p)++ != ':'
        || !scc_time_number(p, 2, 0, 60, &n))
    {
        return false;
    }

    if (**p != '.' || n == 60) {
        return true;
    }

    point = (*p)++;

    while (**p >= '0' && **p <= '9') {
        (*p)++;
    }

    return *p > point + 1;
}


static bool
scc_time_zone(const uint8_t **p)
{
    unsigned  n;
    uint8_t   sign;

    sign = *(*p)++;

    if (sign == 'Z' || sign == 'z') {
        return true;
    }

    return (sign == '+' || sign == '-')
           && scc_time_number(p, 2, 0, 15, &n) && *(*p)++ == ':'
           && scc_time_number(p, 2, 0, 59, &n);
}
