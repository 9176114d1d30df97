#!/usr/bin/python3

# Copyright (C) Stair Crusher Club and the ngx_scc_module contributors

"""The house style where no tool checks it.

style.py FILE...    C, SQL, shell, Python, make, Markdown, by their names
"""

import re
import sys
import unicodedata

OWNER = "Copyright (C) Stair Crusher Club and the ngx_scc_module contributors"
HEADER = f"\n/*\n * {OWNER}\n */\n\n\n"
LINES = 900
COLUMNS = 80

FUNCTION = re.compile(r"^[a-z_]\w*\(.*")
COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/', re.S)


def width(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1
               for c in line)


def common(path, text):
    lines = text.split("\n")
    tabs = path.endswith(("Makefile", ".md", ".txt"))

    if lines[-1] != "" or len(lines) > 1 and lines[-2] == "":
        yield len(lines), "the file must end with one newline"

    for n, line in enumerate(lines, 1):
        if "\t" in line and not tabs:
            yield n, "a tab"
        if line != line.rstrip():
            yield n, "blanks at the end"
        if "\r" in line:
            yield n, "a carriage return"
        if not path.endswith(".md") \
           and width(line.expandtabs(8)) > COLUMNS:
            yield n, f"{width(line.expandtabs(8))} columns, {COLUMNS} fit"

    if not path.endswith(".md") and len(lines) - 1 > LINES:
        yield len(lines), f"{len(lines) - 1} lines, {LINES} are enough"

    if not path.endswith((".md", ".py")) and OWNER not in text:
        yield 1, "no copyright line"


def c(path, text):
    if not text.startswith(HEADER):
        yield 1, "the file must begin with the copyright comment"

    if path.endswith(".h"):
        name = re.sub(r"\W", "_", path.rsplit("/", 1)[-1]).upper()
        for line in f"#ifndef _{name}_INCLUDED_", \
                    f"#define _{name}_INCLUDED_", \
                    f"#endif /* _{name}_INCLUDED_ */":
            if f"\n{line}\n" not in text:
                yield 1, f"no line \"{line}\""

    # comments and strings keep their lines and lose their text
    def blank(match):
        return re.sub(r"[^\n]", "x" if match[0][0] == '"' else " ", match[0])

    bare = COMMENT.sub(blank, text)
    lines = bare.split("\n")
    depth = 0

    for n, line in enumerate(lines, 1):
        indent = len(line) - len(line.lstrip())

        if "//" in line:
            yield n, "a // comment"

        # a line that opens or ends a statement sits on a multiple of 4
        if re.match(r" +(if|for|while|switch|do|return|break|continue|goto)\b",
                    line) and indent % 4 and "#define" not in line:
            yield n, "the indent is no multiple of 4"

        if re.match(r" *\} *$", line) and indent % 4:
            yield n, "the brace's indent is no multiple of 4"

        if re.match(r"\s*(if|for|while|switch)\(", line):
            yield n, "no blank before the parenthesis"

        if re.match(r"\s+else\b", line):
            yield n, "else belongs after the brace"

        if re.match(r"\s*(if|for|while) .*[^{;\\,(&|]$", line) \
           and line.count("(") == line.count(")") and n < len(lines) \
           and not re.match(r"\s*([{&|+*/?:<>=-]|$)", lines[n]):
            yield n, "a statement without braces"

        # two blank lines before a function, its type on a line of its own
        if depth == 0 and FUNCTION.match(line) and n > 2:
            k = n - 1
            while k < len(lines) and not re.search(r"[;{]", lines[k]) \
                  and lines[k].strip():
                k += 1
            defines = k < len(lines) and lines[k].startswith("{")

            if defines and not re.match(r"\w[\w *]*$", lines[n - 2]):
                yield n, "the return type belongs on a line of its own"
            elif defines:
                above = text.split("\n")[:n - 2]
                while above and above[-1].startswith(("#", "static", "__")):
                    above.pop()
                blanks = 0
                while above and not above[-1]:
                    above.pop()
                    blanks += 1
                if above and blanks < 2 and path.endswith(".c") \
                   and not above[-1].endswith("*/"):
                    yield n, "two blank lines belong before a function"

        depth += line.count("{") - line.count("}")


def check(path):
    with open(path, encoding="utf-8", newline="") as f:
        text = f.read()

    checks = [common]
    if path.endswith((".c", ".h")):
        checks.append(c)

    faults = [fault for one in checks for fault in one(path, text)]
    for line, fault in sorted(faults):
        print(f"{path}:{line}: {fault}")
    return not faults


def main():
    results = [check(path) for path in sys.argv[1:]]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
