"""The page that shows a run, from a snapshot of its status: one file that loads nothing.

It stands in a run's report, and the live page is the same with news of the run.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files

import attrs

from gaia.pipeline.drawing import drawn
from gaia.pipeline.plan import Plan
from gaia.pipeline.svg import to_svg
from gaia.runner.credentials import hidden

SELF, NONE = "'self'", "'none'"
# Scripts in the order in which they build on each other.
_SCRIPTS = ("show.js", "time.js", "page.js")


def page(snapshot: str, plan: str, live: bool = False) -> bytes:
    """The page of a run as it is: a snapshot of its status as JSON, and its plan as SVG. With
    `live`, it asks where it came from for what is new.

    >>> html = page('{"pipeline": "</script>", "phase": "done"}', "<svg/>").decode()
    >>> html.count("</script>"), "connect-src 'none'" in html
    (2, True)
    """
    script = _script()
    parts = {
        "LIVE": "true" if live else "false",
        "POLICY": _policy(script, live),
        "STYLE": _asset("page.css"),
        "PLAN": plan,
        # Only texts hold a `<`, which is written in another way, so that none ends the element.
        "SNAPSHOT": snapshot.replace("<", "\\u003c"),
        "SCRIPT": script,
    }
    # Each part once, from the front, so that nothing in a part is taken for the place of another.
    text, shown = _asset("page.html"), []
    for name, part in parts.items():
        before, _, text = text.partition(f"@{name}@")
        shown += [before, part]
    return "".join([*shown, text]).encode()


def drawing_of(plan: Plan) -> str:
    """A plan as SVG, on whose nodes the page puts its counts."""
    drawing = drawn(plan)
    stages = (
        attrs.evolve(
            stage,
            steps=tuple(attrs.evolve(step, text=hidden(step.text)) for step in stage.steps),
        )
        for stage in drawing.stages
    )
    return to_svg(attrs.evolve(drawing, stages=tuple(stages)))


def _policy(script: str, live: bool) -> str:
    """What the page may do: run its own script, and hear from its own server while it is live."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'sha256-{digest}'",
            "style-src 'unsafe-inline'",
            "img-src data:",
            f"connect-src {SELF if live else NONE}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


@cache
def _asset(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    body = "\n".join(map(_asset, _SCRIPTS))
    return f'"use strict";\n(() => {{\n{body}}})();\n'
