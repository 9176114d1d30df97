#!/usr/bin/python3

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""clang-format's check, without what it cannot say in nginx's style.

format.py FILE...

A file is compared with what clang-format makes of it, blanks and line ends
counting as one.  CLANG_FORMAT names the program.
"""

import os
import re
import subprocess
import sys

CLANG_FORMAT = os.environ.get("CLANG_FORMAT", "clang-format")

# nginx's way where clang-format has no option; both sides lose the blank
SAME = [
    (re.compile(r" \\(?= |$)"), ""),
    (re.compile(r"for \( (?=;|/\*)"), "for ("),
    (re.compile(r"for \(;; \)"), "for (;;)"),
    (re.compile(r"\*/ ; "), "*/; "),
    (re.compile(r"(_t\)|#define \w+(\(\w+\))?) ?\{"), r"\1{"),
    (re.compile(r"(?<=\*) (?=[\w*])"), ""),
    (re.compile(r"(?<=&) (?=\w)"), ""),
    (re.compile(r"(?<=\) -) (?=\w)"), ""),
    (re.compile(r"(__attribute__|vector_size|target) \((\( ?)?"), r"\1(\2"),
    (re.compile(r"(?<=[A-Z_]) ?\| ?(?=[A-Z_])"), "|"),
    (re.compile(r"(?<=\]) (?=\.\w)"), ""),
]


def words(text):
    """The text in one line, and the line number of each character."""
    out, numbers, line = [], [], 1

    for part in re.findall(r"\s+|\S+", text):
        if part.isspace():
            line += part.count("\n")
            part = " "
        out.append(part)
        numbers += [line] * len(part)

    return "".join(out), numbers


def plain(text):
    for pattern, by in SAME:
        text = pattern.sub(by, text)
    return text


def check(path):
    with open(path, encoding="utf-8") as f:
        have = f.read()

    want = subprocess.run([CLANG_FORMAT, "--style=file", path], text=True,
                          check=True, stdout=subprocess.PIPE).stdout

    a, b = plain(words(have)[0]), plain(words(want)[0])
    if a == b:
        return True

    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y),
              min(len(a), len(b)))
    start = max(at - 30, 0)
    print(f"{path}: clang-format wants other spacing:\n"
          f"    have: {a[start:at + 30]}\n    want: {b[start:at + 30]}")
    return False


def main():
    results = [check(path) for path in sys.argv[1:]]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
