"""Checks text files: one newline at the end, no trailing blanks, no conflict markers, no huge file.

Usage: python .ci/check_text.py [FILE...]   (all files that git tracks when none is named)
"""

import subprocess
import sys
from pathlib import Path

MAX_BYTES = 8 * 1024 * 1024
BINARY = {".png", ".jpg", ".safetensors", ".gz", ".npy", ".parquet", ".tar", ".npz", ".webp"}
MARKERS = ("<" * 7 + " ", ">" * 7 + " ")


def problems(path: Path) -> list[str]:
    """Returns what is wrong with one file, in words."""
    if path.stat().st_size > MAX_BYTES:
        return [f"{path}: larger than {MAX_BYTES} bytes"]
    if path.suffix in BINARY:
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return [f"{path}: is not UTF-8 text"]
    found = []
    if text and (not text.endswith("\n") or text.endswith("\n\n")):
        found.append(f"{path}: does not end with exactly one newline")
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip() and path.suffix != ".md":
            found.append(f"{path}:{number}: trailing blanks")
        if line.startswith(MARKERS):
            found.append(f"{path}:{number}: conflict marker")
    return found


def main() -> int:
    """Prints every problem; returns 1 when there is one."""
    names = sys.argv[1:] or subprocess.check_output(["git", "ls-files"], text=True).splitlines()
    paths = [Path(name) for name in names]
    found = [line for path in paths if path.is_file() for line in problems(path)]
    print("\n".join(found) if found else f"text files: {len(paths)} looked at, nothing wrong")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
