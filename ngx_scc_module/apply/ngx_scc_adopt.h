
/*
 * Copyright (C) Stair Crusher Club and the ngx_scc_module contributors
 */


#ifndef _NGX_SCC_ADOPT_H_INCLUDED_
#define _NGX_SCC_ADOPT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A segment whose writer died is finished in its place.  It blocks for as
 * long as the disk takes; that is rare.
 *
 * NGX_OK        it is sealed now, and called base.seg
 * NGX_BUSY      its writer lives, or it is just being made
 * NGX_DONE      it held nothing, and is out of the way
 * NGX_DECLINED  acknowledged data in it is damaged: it is left as it is
 * NGX_ERROR     the disk failed, which was logged; it is left as it is
 *
 * A tail that was being written when the writer died is cut off, after the
 * whole file was copied to base.broken.
 */
ngx_int_t ngx_scc_adopt(const char *dir, const char *base, ngx_log_t *log);


#endif /* _NGX_SCC_ADOPT_H_INCLUDED_ */
