#!/usr/bin/python3

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""core/ does no I/O and reads no clock: what it may call is listed here.

calls.py libscc.a
"""

import re
import subprocess
import sys

ALLOWED = re.compile(r"""^(
    scc_\w+ | yajl_\w+
  | mem(cpy|move|set|cmp|chr) | str(len|cmp|ncmp|chr|rchr)
  | __(mem|str)\w+_chk | __v?snprintf_chk | v?snprintf
  | malloc | calloc | realloc | free | qsort | bsearch
  | ceill? | floorl? | l?l?round | fabs | fmod | hypot | sqrt | pow | exp | log
  | sin | sincos | sinh | asinh | cos | tan | tanh | atan | atan2 | isfinite
  | SHA256_(Init|Update|Final) | deflate(Init2_|Reset|End)? | crc32_\w+
  | __cpu_(model|indicator_init) | __stack_chk_fail | _GLOBAL_OFFSET_TABLE_
)$""", re.X)


def main():
    text = subprocess.run(["nm", "-u", sys.argv[1]], text=True, check=True,
                          stdout=subprocess.PIPE).stdout
    names = set(re.findall(r"^ +[Uw] (\w+)$", text, re.M))
    if not names:
        sys.exit(f"{sys.argv[1]}: nm shows no names")

    bad = sorted(name for name in names if not ALLOWED.match(name))
    if bad:
        sys.exit("core calls what it must not: " + " ".join(bad))


if __name__ == "__main__":
    main()
