
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#include <string.h>

#include "scc_contribution.h"
#include "scc_guard.h"


/* What may be missing without being called a loss: a person's DELETE. */

#define SCC_GUARD_SLACK_ROWS     20
#define SCC_GUARD_SLACK_PERCENT  1


typedef struct {
    const uint8_t  *p;
    const uint8_t  *end;
    bool            bad;
} scc_guard_words_t;


static scc_verdict_t scc_guard_compare(const scc_witness_t *known,
    const scc_witness_t *w, const scc_sample_t *sample);
static bool scc_guard_hollow(const scc_witness_t *w,
    scc_guard_reason_t *reason);
static bool scc_guard_behind(const scc_witness_t *known,
    const scc_witness_t *w, scc_guard_reason_t *reason);
static bool scc_guard_partial(const scc_witness_t *known,
    const scc_witness_t *w, const scc_sample_t *sample);
static bool scc_guard_lost(uint64_t due, uint64_t there);
static scc_verdict_t scc_guard_verdict(scc_guard_reason_t reason);
static scc_str_t scc_guard_word(scc_guard_words_t *words);
static uint64_t scc_guard_number(scc_guard_words_t *words, uint64_t max);
static uint64_t scc_guard_position(scc_guard_words_t *words);
static int scc_guard_digit(uint8_t c);


static const scc_str_t  scc_guard_states[SCC_GUARD_STATES] = {
    scc_string("bootstrap"),
    scc_string("healthy"),
    scc_string("stale"),
    scc_string("rewound"),
    scc_string("quarantine")
};

static const scc_str_t  scc_guard_reasons[SCC_GUARD_REASONS] = {
    scc_string("none"),
    scc_string("silent"),
    scc_string("behind"),
    scc_string("log"),
    scc_string("empty"),
    scc_string("foreign"),
    scc_string("partial"),
    scc_string("unadopted")
};


/* Which state each reason is of. */

static const scc_guard_state_t  scc_guard_of[SCC_GUARD_REASONS] = {
    SCC_GUARD_HEALTHY,
    SCC_GUARD_STALE,
    SCC_GUARD_REWOUND,
    SCC_GUARD_REWOUND,
    SCC_GUARD_QUARANTINE,
    SCC_GUARD_QUARANTINE,
    SCC_GUARD_QUARANTINE,
    SCC_GUARD_QUARANTINE
};


scc_rc_t
scc_witness_parse(scc_str_t text, scc_witness_t *w)
{
    scc_guard_words_t  words;

    if (text.len == 0 || text.len > SCC_WITNESS_MAX) {
        return SCC_DECLINED;
    }

    memset(w, 0, sizeof(scc_witness_t));

    words.p = text.data;
    words.end = text.data + text.len;
    words.bad = false;

    if (scc_uuid_parse(scc_guard_word(&words), w->store) != SCC_OK) {
        return SCC_DECLINED;
    }

    w->epoch = (uint32_t) scc_guard_number(&words, INT32_MAX);
    w->system = scc_guard_number(&words, UINT64_MAX);
    w->timeline = (uint32_t) scc_guard_number(&words, UINT32_MAX);
    w->lsn = scc_guard_position(&words);
    w->events = scc_guard_number(&words, INT64_MAX);
    w->removals = scc_guard_number(&words, INT64_MAX);
    w->places = scc_guard_number(&words, INT64_MAX);
    w->contributors = scc_guard_number(&words, INT64_MAX);
    w->hlc = scc_guard_number(&words, INT64_MAX);
    w->hollow = (uint32_t) scc_guard_number(&words, INT32_MAX);

    if (words.bad || words.p != NULL || w->epoch == 0) {
        return SCC_DECLINED;
    }

    return SCC_OK;
}


scc_verdict_t
scc_guard_judge(const scc_witness_t *known, scc_verdict_t before,
    const uint8_t *journal, scc_seen_t seen, const scc_witness_t *w,
    const scc_sample_t *sample)
{
    scc_verdict_t       v;
    scc_guard_reason_t  reason;

    switch (seen) {

    case SCC_SEEN_SILENCE:
        return scc_guard_open(before.state)
               ? scc_guard_verdict(SCC_GUARD_SILENT) : before;

    case SCC_SEEN_NO_STORE:
        return scc_guard_verdict(SCC_GUARD_EMPTY);

    case SCC_SEEN_WITNESS:
        break;
    }

    if (journal != NULL && memcmp(w->store, journal, 16) != 0) {
        return scc_guard_verdict(SCC_GUARD_FOREIGN);
    }

    if (known != NULL) {
        return scc_guard_compare(known, w, sample);
    }

    if (scc_guard_hollow(w, &reason)) {
        return scc_guard_verdict(reason);
    }

    v.state = SCC_GUARD_BOOTSTRAP;
    v.reason = SCC_GUARD_NONE;

    return v;
}


bool
scc_guard_open(scc_guard_state_t state)
{
    return state < SCC_GUARD_REWOUND;
}


scc_str_t
scc_guard_state_name(scc_guard_state_t state)
{
    return scc_guard_states[state];
}


scc_str_t
scc_guard_reason_name(scc_guard_reason_t reason)
{
    return scc_guard_reasons[reason];
}


scc_rc_t
scc_guard_state_parse(scc_str_t name, scc_guard_state_t *state)
{
    unsigned  i;

    for (i = 0; i < SCC_GUARD_STATES; i++) {
        if (scc_str_eq(name, scc_guard_states[i])) {
            *state = (scc_guard_state_t) i;
            return SCC_OK;
        }
    }

    return SCC_DECLINED;
}


scc_rc_t
scc_guard_reason_parse(scc_str_t name, scc_guard_reason_t *reason)
{
    unsigned  i;

    for (i = 0; i < SCC_GUARD_REASONS; i++) {
        if (scc_str_eq(name, scc_guard_reasons[i])) {
            *reason = (scc_guard_reason_t) i;
            return SCC_OK;
        }
    }

    return SCC_DECLINED;
}


scc_rc_t
scc_guard_decimal(scc_str_t text, uint64_t max, uint64_t *n)
{
    size_t    i;
    uint64_t  digit, value;

    if (text.len == 0 || (text.len > 1 && text.data[0] == '0')) {
        return SCC_DECLINED;
    }

    value = 0;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] < '0' || text.data[i] > '9') {
            return SCC_DECLINED;
        }

        digit = (uint64_t) (text.data[i] - '0');

        if (digit > max || value > (max - digit) / 10) {
            return SCC_DECLINED;
        }

        value = value * 10 + digit;
    }

    *n = value;

    return SCC_OK;
}


scc_rc_t
scc_guard_lsn(scc_str_t text, uint64_t *lsn)
{
    int       digit;
    size_t    i, n;
    uint64_t  part, high;

    part = 0;
    high = 0;
    n = 0;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] == '/' && n != 0 && i == n) {
            high = part;
            part = 0;
            n = 0;
            continue;
        }

        digit = scc_guard_digit(text.data[i]);

        if (digit < 0 || ++n > 8) {
            return SCC_DECLINED;
        }

        part = part << 4 | (uint64_t) digit;
    }

    if (n == 0 || n == text.len) {
        return SCC_DECLINED;
    }

    *lsn = high << 32 | part;

    return SCC_OK;
}


/*
 * What cannot be undone by replaying comes first, but for a loss that is
 * seen in numbers only: a store that went back has lost that too.
 */

static scc_verdict_t
scc_guard_compare(const scc_witness_t *known, const scc_witness_t *w,
    const scc_sample_t *sample)
{
    scc_guard_reason_t  reason;

    if (memcmp(w->store, known->store, 16) != 0 || w->epoch < known->epoch) {
        return scc_guard_verdict(SCC_GUARD_FOREIGN);
    }

    /* one that is being rebuilt is not complete before a person says so, by
       an anchor of its epoch */

    if (w->epoch > known->epoch) {
        return scc_guard_verdict(SCC_GUARD_UNADOPTED);
    }

    if (w->system != known->system) {
        return scc_guard_verdict(SCC_GUARD_FOREIGN);
    }

    if (scc_guard_hollow(w, &reason)) {
        return scc_guard_verdict(reason);
    }

    if (w->events == 0 && known->events != 0) {
        return scc_guard_verdict(SCC_GUARD_EMPTY);
    }

    if (scc_guard_behind(known, w, &reason)) {
        return scc_guard_verdict(reason);
    }

    return scc_guard_verdict(scc_guard_partial(known, w, sample)
                             ? SCC_GUARD_PARTIAL : SCC_GUARD_NONE);
}


/* The store's own counters know of rows, and a table has none at all. */

static bool
scc_guard_hollow(const scc_witness_t *w, scc_guard_reason_t *reason)
{
    uint32_t  both;

    both = SCC_GUARD_HOLLOW_LEDGER | SCC_GUARD_HOLLOW_PLACE;

    *reason = (w->hollow & both) == both ? SCC_GUARD_EMPTY
                                         : SCC_GUARD_PARTIAL;

    return w->hollow != 0;
}


/* A standby may be late: of its counters nothing follows. */

static bool
scc_guard_behind(const scc_witness_t *known, const scc_witness_t *w,
    scc_guard_reason_t *reason)
{
    if (w->lsn == 0) {
        return false;
    }

    if (w->events < known->events || w->removals < known->removals
        || w->hlc < known->hlc)
    {
        *reason = SCC_GUARD_BEHIND;
        return true;
    }

    *reason = SCC_GUARD_LOG;

    return w->timeline < known->timeline
           || (w->timeline == known->timeline && w->lsn < known->lsn);
}


static bool
scc_guard_partial(const scc_witness_t *known, const scc_witness_t *w,
    const scc_sample_t *sample)
{
    uint64_t  places, removed;

    if (sample != NULL
        && (sample->events_there < sample->events
            || scc_guard_lost(sample->rows, sample->rows_there)))
    {
        return true;
    }

    if (w->lsn == 0) {
        return false;
    }

    removed = w->removals - known->removals;
    places = known->places > removed ? known->places - removed : 0;

    return scc_guard_lost(places, w->places)
           || scc_guard_lost(known->contributors, w->contributors);
}


static bool
scc_guard_lost(uint64_t due, uint64_t there)
{
    uint64_t  lost;

    if (there >= due) {
        return false;
    }

    lost = due - there;

    return lost > SCC_GUARD_SLACK_ROWS
           && lost > due / 100 * SCC_GUARD_SLACK_PERCENT;
}


static scc_verdict_t
scc_guard_verdict(scc_guard_reason_t reason)
{
    scc_verdict_t  v;

    v.state = scc_guard_of[reason];
    v.reason = reason;

    return v;
}


/* The next word; "p" is NULL behind the last one. */

static scc_str_t
scc_guard_word(scc_guard_words_t *words)
{
    scc_str_t       word = scc_null_string;
    const uint8_t  *blank;

    if (words->p == NULL) {
        words->bad = true;
        return word;
    }

    blank = memchr(words->p, ' ', (size_t) (words->end - words->p));

    word.data = words->p;

    if (blank == NULL) {
        word.len = (size_t) (words->end - words->p);
        words->p = NULL;

    } else {
        word.len = (size_t) (blank - words->p);
        words->p = blank + 1;
    }

    return word;
}


static uint64_t
scc_guard_number(scc_guard_words_t *words, uint64_t max)
{
    uint64_t   n;
    scc_str_t  word;

    word = scc_guard_word(words);

    if (scc_guard_decimal(word, max, &n) != SCC_OK) {
        words->bad = true;
        return 0;
    }

    return n;
}


static uint64_t
scc_guard_position(scc_guard_words_t *words)
{
    uint64_t   lsn;
    scc_str_t  word;

    word = scc_guard_word(words);

    if (word.len == 1 && word.data[0] == '-') {
        return 0;
    }

    if (scc_guard_lsn(word, &lsn) != SCC_OK) {
        words->bad = true;
        return 0;
    }

    return lsn;
}


static int
scc_guard_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}
