
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_RULES_H_INCLUDED_
#define _SCC_RULES_H_INCLUDED_


#include "scc_contribution.h"


/*
 * What a contribution's body may hold, as tables: a kind has rules, one per
 * member; a rule names a type; a type says what values it takes.  Rules
 * between members are a function per kind.  Private to
 * scc_contribution.c, scc_rules.c, scc_types.c and scc_faults.c.
 */

#define SCC_RULES_MAX  32               /* members of an object */


typedef struct scc_type_s     scc_type_t;
typedef struct scc_rules_s    scc_rules_t;
typedef struct scc_members_s  scc_members_t;


typedef enum {
    SCC_JSON_NULL = 0,
    SCC_JSON_BOOLEAN,
    SCC_JSON_NUMBER,
    SCC_JSON_STRING,
    SCC_JSON_LIST,
    SCC_JSON_OBJECT,
} scc_json_type_t;


/* False if the text of a string or number is not taken; else *value may be
   set: a number, or which of the names it is. */

typedef bool (*scc_type_check_pt)(const scc_type_t *type, scc_str_t text,
    int64_t *value);


struct scc_type_s {
    scc_json_type_t     json;
    const char         *allowed;        /* NULL: made of the names */
    scc_type_check_pt   check;          /* NULL: any is taken */
    int64_t             min;            /* of a string's length, a number, */
    int64_t             max;            /* or a list's items */
    const scc_str_t    *names;          /* of an enumeration */
    const scc_type_t   *item;           /* of a list */
    bool                unique;         /* no item twice: item's max - min, or
                                           names, are less than 256 */
    bool                alone;          /* the first name excludes others */
    const scc_rules_t  *fields;         /* of an object; NULL: any */
};


typedef enum {
    SCC_RULE_PLAIN = 0,
    SCC_RULE_ID,                        /* the event's id */
    SCC_RULE_TARGET,
    SCC_RULE_DIGEST,                    /* its SHA-256 is the target */
} scc_rule_use_t;


typedef struct {
    scc_str_t           name;
    const scc_type_t   *type;
    bool                required;
    scc_rule_use_t      use;
} scc_rule_t;


struct scc_rules_s {
    const char         *name;           /* of the kind or the object */
    const scc_rule_t   *rule;
    unsigned            n;
    void              (*between)(const scc_members_t *m);
};


/* An object's members, as far as they have been read. */

typedef enum {
    SCC_MEMBER_ABSENT = 0,
    SCC_MEMBER_NULL,
    SCC_MEMBER_BAD,                     /* has a fault, or is being read */
    SCC_MEMBER_GOOD,
} scc_member_state_t;


typedef struct {
    scc_member_state_t  state;
    uint32_t            pos;            /* in the body's order */
    uint32_t            count;          /* of a list */
    int64_t             value;          /* of a scalar, or a list's first */
} scc_member_t;


typedef struct scc_fault_list_s  scc_fault_list_t;

struct scc_members_s {
    const scc_rules_t    *rules;
    const scc_members_t  *in;           /* the object this one is a member of,
                                           or NULL */
    unsigned              at;           /* the member being read; rules->n:
                                           none of the rules' */
    scc_fault_list_t     *faults;
    scc_member_t          member[SCC_RULES_MAX];
};


/* The rules of a kind; NULL if it is none. */
const scc_rules_t *scc_rules_of(scc_kind_t kind);


/* "must be ..." */
void scc_type_allowed(scc_buf_t *b, const scc_type_t *type);

extern const scc_type_t  scc_type_any;          /* any object */
extern const scc_type_t  scc_type_boolean;
extern const scc_type_t  scc_type_kind;         /* any string */
extern const scc_type_t  scc_type_id;
extern const scc_type_t  scc_type_name;
extern const scc_type_t  scc_type_label;
extern const scc_type_t  scc_type_line;
extern const scc_type_t  scc_type_key;
extern const scc_type_t  scc_type_size;
extern const scc_type_t  scc_type_sha256;
extern const scc_type_t  scc_type_image_of;
extern const scc_type_t  scc_type_nickname;
extern const scc_type_t  scc_type_text;
extern const scc_type_t  scc_type_comment;
extern const scc_type_t  scc_type_images;
extern const scc_type_t  scc_type_features;
extern const scc_type_t  scc_type_time;
extern const scc_type_t  scc_type_share;
extern const scc_type_t  scc_type_lng;
extern const scc_type_t  scc_type_lat;
extern const scc_type_t  scc_type_floors;
extern const scc_type_t  scc_type_uuid;
extern const scc_type_t  scc_type_uuid7;
extern const scc_type_t  scc_type_stair;        /* value: scc_stair_t */
extern const scc_type_t  scc_type_height;
extern const scc_type_t  scc_type_doors;
extern const scc_type_t  scc_type_place_door;
extern const scc_type_t  scc_type_building_door;
extern const scc_type_t  scc_type_moving;
extern const scc_type_t  scc_type_recovered;
extern const scc_type_t  scc_type_reason;

#define SCC_BUILDING_DOOR_ETC  2                /* of the building_door */


/*
 * Faults, kept in the order of "pos" whatever order they are found in; when
 * there are too many the last ones are dropped.
 */

struct scc_fault_list_s {
    scc_faults_t         *faults;
    uint32_t              pos[SCC_FAULTS_MAX];
};

#define SCC_FAULT_NO_ITEM  UINT32_MAX

void scc_faults_begin(scc_fault_list_t *list, scc_faults_t *faults);

/* The only fault, of the body as a whole (field "") or of one member;
   "more" follows the text. */
void scc_fault_only(scc_faults_t *faults, const char *field,
    const char *text, const char *more);

/* "must be one of" all the kinds. */
void scc_fault_kind(scc_faults_t *faults);

/* A fault of the member (and its item) being read: text, or what its type
   allows if text is NULL. */
void scc_fault_at(const scc_members_t *m, uint32_t pos, uint32_t item,
    const char *text);

/* A member that no rule knows. */
void scc_fault_unknown(const scc_members_t *m, uint32_t pos,
    scc_str_t name);

/* A member that is missing or null: "is required", when, what is allowed. */
void scc_fault_missing(const scc_members_t *m, unsigned i,
    const char *when);

/* A member that has a good value by itself, but not beside the others. */
void scc_fault_between(const scc_members_t *m, unsigned i,
    const char *text);


static inline bool
scc_member_given(const scc_members_t *m, unsigned i)
{
    return m->member[i].state >= SCC_MEMBER_BAD;
}


static inline bool
scc_member_good(const scc_members_t *m, unsigned i)
{
    return m->member[i].state == SCC_MEMBER_GOOD;
}


#endif /* _SCC_RULES_H_INCLUDED_ */
