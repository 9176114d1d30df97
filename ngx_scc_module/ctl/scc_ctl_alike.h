
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _SCC_CTL_ALIKE_H_INCLUDED_
#define _SCC_CTL_ALIKE_H_INCLUDED_


#include "scc_buf.h"


/*
 * Names as keys to compare by, appended to b; the names themselves stay as
 * they were typed.  The same name: Unicode's NFC, without blanks at its
 * ends.  Alike: NFKC with case folded, without any blank; so full-width
 * letters, decomposed Hangul and "Kim " are alike.  What is not UTF-8 is
 * its own key.
 */
void scc_ctl_alike_same(scc_buf_t *b, scc_str_t name);
void scc_ctl_alike_key(scc_buf_t *b, scc_str_t name);


#endif /* _SCC_CTL_ALIKE_H_INCLUDED_ */
