
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include "scc_gzip.h"


#define SCC_ACCEPT_FULL  1000           /* q=1 in thousandths */
#define SCC_ACCEPT_NONE  (-1)           /* not said */


static scc_str_t scc_accept_until(scc_str_t *rest, uint8_t end);
static scc_str_t scc_accept_trim(scc_str_t s);
static int scc_accept_weight(scc_str_t params);
static bool scc_accept_is(scc_str_t s, const char *name, size_t len);

#define scc_accept_named(s, name)                                             \
    scc_accept_is(s, name, sizeof(name) - 1)


bool
scc_gzip_accepted(scc_str_t value)
{
    int        q, gzip, any, identity;
    scc_str_t  item, coding;

    gzip = any = identity = SCC_ACCEPT_NONE;

    while (value.len != 0) {
        item = scc_accept_until(&value, ',');
        coding = scc_accept_trim(scc_accept_until(&item, ';'));
        q = scc_accept_weight(item);

        if (scc_accept_named(coding, "gzip")
            || scc_accept_named(coding, "x-gzip"))
        {
            gzip = (q > gzip) ? q : gzip;

        } else if (scc_accept_named(coding, "*")) {
            any = q;

        } else if (scc_accept_named(coding, "identity")) {
            identity = q;
        }
    }

    /* identity is not asked for by "*", only not forbidden */

    gzip = (gzip == SCC_ACCEPT_NONE) ? any : gzip;

    return gzip > 0 && gzip >= identity;
}


static scc_str_t
scc_accept_until(scc_str_t *rest, uint8_t end)
{
    size_t     n;
    scc_str_t  part;

    for (n = 0; n < rest->len && rest->data[n] != end; n++) { /* void */ }

    part.data = rest->data;
    part.len = n;

    n += (n < rest->len);

    rest->data += n;
    rest->len -= n;

    return part;
}


static scc_str_t
scc_accept_trim(scc_str_t s)
{
    while (s.len != 0 && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len != 0
           && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
    {
        s.len--;
    }

    return s;
}


/* The weight among the parameters, in thousandths; what is not one is 0:
   a coding that is not clearly wanted is not sent. */

static int
scc_accept_weight(scc_str_t params)
{
    int        q, unit;
    size_t     i;
    scc_str_t  param;

    while (params.len != 0) {
        param = scc_accept_trim(scc_accept_until(&params, ';'));

        if (param.len < 2 || (param.data[0] | 0x20) != 'q'
            || param.data[1] != '=')
        {
            continue;
        }

        if (param.len < 3 || param.len > 7
            || (param.data[2] != '0' && param.data[2] != '1')
            || (param.len > 3 && param.data[3] != '.'))
        {
            return 0;
        }

        q = (param.data[2] - '0') * SCC_ACCEPT_FULL;
        unit = SCC_ACCEPT_FULL / 10;

        for (i = 4; i < param.len; i++) {
            if (param.data[i] < '0' || param.data[i] > '9') {
                return 0;
            }

            q += (param.data[i] - '0') * unit;
            unit /= 10;
        }

        return (q <= SCC_ACCEPT_FULL) ? q : 0;
    }

    return SCC_ACCEPT_FULL;
}


static bool
scc_accept_is(scc_str_t s, const char *name, size_t len)
{
    size_t   i;
    uint8_t  c;

    for (i = 0; i < s.len && i < len; i++) {
        c = s.data[i];
        c = (uint8_t) ((c >= 'A' && c <= 'Z') ? c | 0x20 : c);

        if (c != (uint8_t) name[i]) {
            return false;
        }
    }

    return s.len == len;
}
