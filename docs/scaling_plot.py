"""Draws docs/scaling.svg from the table in docs/scaling.md."""
import math
import pathlib

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT, LEFT, TOP, GAP = 360, 240, 60, 30, 90
COLOURS = {("2-D", "aligned"): "#1f77b4", ("3-D", "aligned"): "#17becf",
           ("2-D", "marker"): "#d62728", ("3-D", "marker"): "#ff7f0e"}


def rows():
    for line in (HERE / "scaling.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0].isdigit():
            yield int(cells[0]), (cells[1], cells[2]), float(cells[9]), float(cells[6])


def panel(left, title, column, top_value):
    def x(ranks):
        return left + (math.log10(ranks) - 2) / 4 * WIDTH

    def y(value):
        return TOP + HEIGHT * (1 - value / top_value)

    parts = [f'<text x="{left}" y="{TOP - 10}">{title}</text>',
             f'<path d="M{left} {TOP}V{TOP + HEIGHT}H{left + WIDTH}" fill="none" stroke="black"/>']
    for power in range(2, 7):
        parts.append(f'<text x="{x(10 ** power)}" y="{TOP + HEIGHT + 18}" text-anchor="middle">'
                     f'10<tspan dy="-5" font-size="9">{power}</tspan></text>')
    for step in range(5):
        value = top_value * step / 4
        parts.append(f'<text x="{left - 6}" y="{y(value) + 4}" text-anchor="end">{value:.0f}</text>')
    for kind, colour in COLOURS.items():
        points = [(x(row[0]), y(row[column])) for row in rows() if row[1] == kind]
        parts.append(f'<polyline points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}" '
                     f'fill="none" stroke="{colour}" stroke-width="2"/>')
    return parts


def main():
    second = LEFT + WIDTH + GAP
    parts = panel(LEFT, "time until closed, \u00b5s", 2, 400)
    parts += panel(second, "messages of the busiest rank", 3, 60)
    for i, ((grid, cut), colour) in enumerate(COLOURS.items()):
        parts.append(f'<text x="{LEFT + 130 * i}" y="{TOP + HEIGHT + 45}" fill="{colour}">'
                     f'{grid}, {cut} cut</text>')
    (HERE / "scaling.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{second + WIDTH + 20}" '
        f'height="{TOP + HEIGHT + 60}" font-family="sans-serif" font-size="13">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n',
        encoding="utf-8")


if __name__ == "__main__":
    main()
