"""Line plots as SVG text, readable on light and on dark pages."""

import html
import math

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 80, 150, 44, 52
COLORS = ("#2f6fde", "#d9622b", "#2a9d6f", "#9b59b6")

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #333; }
.title { font-weight: 600; font-size: 14px; }
.grid { stroke: #8884; }
@media (prefers-color-scheme: dark) { text { fill: #ddd; } }
"""


def lines(title, x_label, series, log_x=True, log_y=False):
    """One line for each of the series, which are points by name."""
    points = [point for line in series.values() for point in line]
    x_of, x_ticks = axis([x for x, _ in points], log_x, LEFT, WIDTH - RIGHT)
    y_of, y_ticks = axis([y for _, y in points], log_y, HEIGHT - BOTTOM, TOP, from_zero=not log_y)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
        text(12, 20, title, "start", "title"), text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_label)]
    for tick in y_ticks:
        y = y_of(tick)
        out.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        out.append(text(LEFT - 8, y + 4, short(tick), "end"))
    for tick in x_ticks if log_x else sorted({x for x, _ in points}):
        x = x_of(tick)
        out.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}"/>')
        out.append(text(x, HEIGHT - BOTTOM + 20, short(tick)))
    for color, (name, line) in zip(COLORS, series.items()):
        places = [(x_of(x), y_of(y)) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        out += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in places]
        out.append(text(places[-1][0] + 10, places[-1][1] + 4, name, "start"))
    return "\n".join([*out, "</svg>"]) + "\n"


def text(x, y, content, anchor="middle", kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{html.escape(content)}</text>'


def axis(values, is_log, start, end, from_zero=False):
    """A function from values to pixels, and where to put ticks."""
    low, high = min(values), max(values)
    if is_log:
        low, high = math.floor(math.log10(low)), max(math.ceil(math.log10(high)), math.floor(math.log10(low)) + 1)
        return (
            lambda value: start + (end - start) * (math.log10(value) - low) / (high - low),
            [10**power for power in range(low, high + 1)])
    low = 0 if from_zero else low
    step = 10 ** math.floor(math.log10((high - low) or 1))
    step = next(step * part for part in (0.2, 0.5, 1, 2) if (high - low) / (step * part) <= 6)
    high = step * math.ceil(high / step) if from_zero else high
    ticks = [low + step * number for number in range(math.floor((high - low) / step + 1e-9) + 1)]
    return lambda value: start + (end - start) * (value - low) / ((high - low) or 1), ticks


def short(value):
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
