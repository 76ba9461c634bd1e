"""results.svg, from what was measured: a bar for every system, in seconds, Gaia's in colour."""

from html import escape

from results import JobOutcome, Outcome, Results
from suite import SUITE

WIDTH, LABELS, NUMBERS = 860, 230, 70
BAR, GAP, HEADING, SPACE = 18, 6, 34, 22
LONGEST = 6.0  # a bar longer than that of the best peer so many times is cut

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.heading { font-weight: 600; font-size: 15px }
.gaia { fill: #d9480f }
.other { fill: #adb5bd }
.cut { stroke: #ffffff; stroke-width: 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .gaia { fill: #ff7b39 }
  .other { fill: #5c6570 }
  .cut { stroke: #0d1117 }
}
"""


def draw(results: Results) -> str:
    titles = {job.name: job.title for job in SUITE}
    parts, y = [], 0
    for job in results.jobs:
        bars = [outcome for outcome in job.measured if not outcome.system.extra]
        if not bars:
            continue
        y += SPACE
        parts.append(f'<text class="heading" x="0" y="{y + 15}">{titles[job.name]}, seconds</text>')
        y += HEADING
        scale = (WIDTH - LABELS - NUMBERS) / _longest(job, bars)
        for outcome in bars:
            parts.append(_bar(outcome, y, scale))
            y += BAR + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + SPACE}" '
        f'width="{WIDTH}" height="{y + SPACE}" role="img" aria-label="Seconds of every job">\n'
        f"<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _longest(job: JobOutcome, bars: list[Outcome]) -> float:
    longest = max(outcome.best for outcome in bars)
    peer = job.best_peer(bars[0])
    return min(longest, LONGEST * peer.best) if peer else longest


def _bar(outcome: Outcome, y: int, scale: float) -> str:
    room = WIDTH - LABELS - NUMBERS
    length = min(outcome.best * scale, room)
    kind = "gaia" if outcome.is_gaia else "other"
    title = escape(outcome.system.title)
    seconds = f"{outcome.best:.{1 if outcome.best >= 10 else 2}f}"
    middle = y + BAR - 5
    cut = ""
    if outcome.best * scale > room + 1:
        x = LABELS + room - 24
        cut = f'<path class="cut" d="M{x} {y + BAR + 1} l8 {-BAR - 2} m6 0 l-8 {BAR + 2}"/>'
    return (
        f'<text x="{LABELS - 10}" y="{middle}" text-anchor="end">{title}</text>'
        f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
        f'{cut}<text x="{LABELS + length + 8:.1f}" y="{middle}">{seconds}</text>'
    )
