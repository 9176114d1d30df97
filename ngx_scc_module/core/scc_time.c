
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_time.h"


static bool scc_time_digits(scc_str_t text, size_t at, size_t n,
    int64_t *value);
static bool scc_time_is(scc_str_t text, size_t at, char c);
static int64_t scc_day_of(int64_t year, int64_t month, int64_t day);
static void scc_day_civil(int64_t day, int64_t *year, int64_t *month,
    int64_t *date);
static void scc_time_number(scc_buf_t *b, int64_t n, unsigned digits);


scc_rc_t
scc_time_parse(scc_str_t text, int64_t *msec)
{
    size_t     at;
    int64_t    day, hour, min, sec, zone, scale;
    scc_str_t  part;

    part.data = text.data;
    part.len = 10;

    if (text.len < 20 || text.len > 64
        || scc_day_parse(part, false, &day) != SCC_OK
        || (text.data[10] != 'T' && text.data[10] != 't')
        || !scc_time_digits(text, 11, 2, &hour) || hour > 23
        || !scc_time_is(text, 13, ':')
        || !scc_time_digits(text, 14, 2, &min) || min > 59
        || !scc_time_is(text, 16, ':')
        || !scc_time_digits(text, 17, 2, &sec) || sec > 60)
    {
        return SCC_DECLINED;
    }

    *msec = (hour * 3600 + min * 60 + sec) * 1000;
    at = 19;

    if (text.data[at] == '.') {

        for (at++, scale = 100;
             at < text.len && text.data[at] >= '0' && text.data[at] <= '9';
             at++, scale /= 10)
        {
            *msec += (text.data[at] - '0') * scale;
        }

        if (at == 20) {
            return SCC_DECLINED;
        }
    }

    part.data = text.data + at;
    part.len = text.len - at;

    if (scc_zone_parse(part, &zone) != SCC_OK) {
        return SCC_DECLINED;
    }

    *msec += day * SCC_DAY_MSEC - zone * 60000;

    return SCC_OK;
}


void
scc_time_write(scc_buf_t *b, int64_t msec)
{
    int64_t  day, rest;

    rest = msec % SCC_DAY_MSEC;
    rest += rest < 0 ? SCC_DAY_MSEC : 0;
    day = (msec - rest) / SCC_DAY_MSEC;

    scc_day_write(b, false, day);
    scc_buf_byte(b, 'T');
    scc_time_number(b, rest / 3600000, 2);
    scc_buf_byte(b, ':');
    scc_time_number(b, rest / 60000 % 60, 2);
    scc_buf_byte(b, ':');
    scc_time_number(b, rest / 1000 % 60, 2);
    scc_buf_byte(b, '.');
    scc_time_number(b, rest % 1000, 3);
    scc_buf_byte(b, 'Z');
}


scc_rc_t
scc_day_parse(scc_str_t text, bool compact, int64_t *day)
{
    int64_t  year, month, date, y, m, d;
    size_t   dash;

    dash = compact ? 0 : 1;

    if (text.len != 8 + 2 * dash
        || !scc_time_digits(text, 0, 4, &year)
        || !scc_time_digits(text, 4 + dash, 2, &month)
        || !scc_time_digits(text, 6 + 2 * dash, 2, &date)
        || year < 1900 || year > 2999 || month < 1 || month > 12)
    {
        return SCC_DECLINED;
    }

    if (dash && (!scc_time_is(text, 4, '-') || !scc_time_is(text, 7, '-'))) {
        return SCC_DECLINED;
    }

    *day = scc_day_of(year, month, date);
    scc_day_civil(*day, &y, &m, &d);

    return (y == year && m == month && d == date) ? SCC_OK : SCC_DECLINED;
}


void
scc_day_write(scc_buf_t *b, bool compact, int64_t day)
{
    int64_t  year, month, date;

    scc_day_civil(day, &year, &month, &date);

    if (year < 0 || year > 9999) {
        return;
    }

    scc_time_number(b, year, 4);

    if (!compact) {
        scc_buf_byte(b, '-');
    }

    scc_time_number(b, month, 2);

    if (!compact) {
        scc_buf_byte(b, '-');
    }

    scc_time_number(b, date, 2);
}


scc_rc_t
scc_zone_parse(scc_str_t text, int64_t *minutes)
{
    int64_t  hour, min;

    if (text.len == 1 && (text.data[0] == 'Z' || text.data[0] == 'z')) {
        *minutes = 0;
        return SCC_OK;
    }

    if (text.len != 6 || (text.data[0] != '+' && text.data[0] != '-')
        || !scc_time_digits(text, 1, 2, &hour) || hour > 15
        || !scc_time_is(text, 3, ':')
        || !scc_time_digits(text, 4, 2, &min) || min > 59)
    {
        return SCC_DECLINED;
    }

    *minutes = hour * 60 + min;

    if (text.data[0] == '-') {
        *minutes = -*minutes;
    }

    return SCC_OK;
}


static bool
scc_time_digits(scc_str_t text, size_t at, size_t n, int64_t *value)
{
    if (at + n > text.len) {
        return false;
    }

    for (*value = 0; n > 0; n--, at++) {

        if (text.data[at] < '0' || text.data[at] > '9') {
            return false;
        }

        *value = *value * 10 + (text.data[at] - '0');
    }

    return true;
}


static bool
scc_time_is(scc_str_t text, size_t at, char c)
{
    return at < text.len && text.data[at] == (uint8_t) c;
}


/* The proleptic Gregorian calendar, with years that begin in March: the
   leap day is then a year's last, and months follow one rule. */

static int64_t
scc_day_of(int64_t year, int64_t month, int64_t day)
{
    int64_t  y, m;

    y = month > 2 ? year : year - 1;
    m = month > 2 ? month - 3 : month + 9;

    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1
           - 719468;
}


static void
scc_day_civil(int64_t day, int64_t *year, int64_t *month, int64_t *date)
{
    int64_t  y, rest, m;

    /* a guess that is not too low, then what is left of the year */

    y = (int64_t) ((double) (day + 719468) / 365.2425) + 2;

    do {
        y--;
        rest = day - scc_day_of(y, 3, 1);
    } while (rest < 0);

    m = (5 * rest + 2) / 153;

    *date = rest - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = *month > 2 ? y : y + 1;
}


static void
scc_time_number(scc_buf_t *b, int64_t n, unsigned digits)
{
    unsigned  i;
    int64_t   unit;

    for (unit = 1, i = 1; i < digits; i++) {
        unit *= 10;
    }

    for (/* void */; unit > 0; unit /= 10) {
        scc_buf_byte(b, (uint8_t) ('0' + n / unit % 10));
    }
}
