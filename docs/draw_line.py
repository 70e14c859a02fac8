"""Draws the picture of the line, docs/line.svg.  Usage: python docs/draw_line.py"""

from html import escape
from pathlib import Path

WIDTH, HEIGHT = 1060, 356
BOXES = [
    # x, y, width, title, what lies on disk, kind
    (20, 30, 150, "pool", "image-text pairs", "data"),
    (20, 150, 150, "concepts", "your class names", "data"),
    (220, 30, 170, "embed + index", "faiss, image and text keys", "stage"),
    (220, 150, 170, "query + search", "T2I, T2T", "stage"),
    (440, 90, 170, "retrieved set", "shards + data card", "data"),
    (440, 220, 170, "CLIP", "open_clip weights", "data"),
    (660, 90, 170, "customize", "gated blocks, trained", "stage"),
    (660, 220, 170, "gate scale", "read from validation", "stage"),
]
TASKS = ["zero-shot classification", "GT-box accuracy", "open-vocab. detection", "segmentation"]
ARROWS = [
    "M170 57 H220",
    "M170 177 H220",
    "M305 84 V150",
    "M390 177 H415 V117 H440",
    "M610 117 H660",
    "M610 247 H635 V130 H660",
    "M745 144 V220",
    "M830 117 H870",
]
FILLS = {"data": ("#ffffff", "#c3ccd6"), "stage": ("#e2efed", "#0f766e")}


def box(x: int, y: int, width: int, title: str, text: str, kind: str) -> str:
    """One box with a title and a line of text."""
    fill, line = FILLS[kind]
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="54" rx="7" fill="{fill}" stroke="{line}" '
        f'stroke-width="1.4"/><text x="{x + width / 2}" y="{y + 23}" class="t">{escape(title)}'
        f'</text><text x="{x + width / 2}" y="{y + 42}" class="s">{escape(text)}</text>'
    )


def picture() -> str:
    """The whole SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="The line of react_mm">',
        "<style>text{font-family:Inter,Segoe UI,Helvetica,Arial,sans-serif;text-anchor:middle}"
        ".t{font-size:15px;font-weight:600;fill:#1f2933}.s{font-size:12px;fill:#5b6875}"
        ".k{font-size:13px;fill:#1f2933}</style>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#6b7785"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="#f6f8fa"/>',
    ]
    arrow = '<path d="{}" fill="none" stroke="#6b7785" stroke-width="1.5" marker-end="url(#a)"/>'
    parts += [arrow.format(path) for path in ARROWS]
    parts += [box(*entry) for entry in BOXES]
    for row, task in enumerate(TASKS):
        y = 40 + 48 * row
        parts.append(
            f'<rect x="870" y="{y}" width="172" height="36" rx="18" fill="#fff" stroke="#d08a2e" '
            f'stroke-width="1.4"/><text x="956" y="{y + 23}" class="k">{escape(task)}</text>'
        )
    parts.append(
        '<rect x="20" y="300" width="1022" height="36" rx="7" fill="#1f2933"/><text x="531" '
        'y="323" style="fill:#fff;font-size:14px">before / after table: base, recommended recipe, '
        "published recipe, random control</text>"
    )
    parts.append(arrow.format("M956 220 V300"))
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("line.svg").write_text(picture(), encoding="utf-8")
