"""A plan as nodes and edges, for whatever draws it; and as a flowchart of Mermaid's.

Nodes have ids by which a page finds them again: `stage-1`, `stage-1-step-2`, `table-NAME`.
"""

from collections.abc import Iterator

import attrs

from gaia.pipeline.explain import did, head, written
from gaia.pipeline.plan import Branch, Plan, Stage


@attrs.frozen
class Step:
    """A step of a stage, `depth` steps behind its read or join, with the tables that it writes."""

    id: str
    name: str
    text: str
    depth: int
    tables: tuple[str, ...]


@attrs.frozen
class StageBox:
    """A stage: its read or join, and the steps behind that. `layer` is how many stages have to be
    done before it, one after the other."""

    id: str
    number: int
    name: str
    layer: int
    steps: tuple[Step, ...]


@attrs.frozen
class Sheet:
    """A table, and the stage that writes it."""

    id: str
    name: str
    text: str
    stage: str


@attrs.frozen
class Edge:
    """What goes from one node to another: from a step to a table, or from a table to a join."""

    source: str
    target: str
    text: str = ""


@attrs.frozen
class Drawing:
    """All that is drawn of a pipeline."""

    pipeline: str
    stages: tuple[StageBox, ...]
    tables: tuple[Sheet, ...]
    edges: tuple[Edge, ...]


def drawn(plan: Plan) -> Drawing:
    """The nodes and edges of a plan."""
    stages: list[StageBox] = []
    sheets: list[Sheet] = []
    edges: list[Edge] = []
    layers: dict[str, int] = {}
    for number, stage in enumerate(plan.stages, 1):
        id = f"stage-{number}"
        layer = max((layers[entry.table] + 1 for entry in stage.inputs), default=0)
        steps = tuple(_steps(stage, id))
        stages.append(StageBox(id, number, stage.name, layer, steps))
        layers |= {table.name: layer for table in stage.tables()}
        sheets += [
            Sheet(_table(table.name), table.name, written(table), id) for table in stage.tables()
        ]
        for entry in stage.inputs:
            edges.append(Edge(_table(entry.table), steps[0].id, entry.handler or ""))
        edges += [Edge(step.id, _table(name)) for step in steps for name in step.tables]
    return Drawing(plan.pipeline, tuple(stages), tuple(sheets), tuple(edges))


def to_mermaid(drawing: Drawing) -> str:
    """The text of a flowchart."""
    # Ids of Mermaid's must not hold what it takes for an arrow or a word of its own.
    ids: dict[str, str] = {}
    lines = ["flowchart TB"]
    for stage in drawing.stages:
        lines.append(
            f'  subgraph stage{stage.number}["stage {stage.number}: {_quoted(stage.name)}"]'
        )
        last: list[str] = []
        for number, step in enumerate(stage.steps, 1):
            ids[step.id] = f"stage{stage.number}_step{number}"
            lines.append(f'    {ids[step.id]}["{_quoted(step.text)}"]')
            if step.depth:
                lines.append(f"    {last[step.depth - 1]} --> {ids[step.id]}")
            last[step.depth :] = [ids[step.id]]
        lines.append("  end")
    for number, table in enumerate(drawing.tables, 1):
        ids[table.id] = f"table{number}"
        lines.append(f'  table{number}[("{_quoted(table.name)}<br>{_quoted(table.text)}")]')
    for edge in drawing.edges:
        text = f'|"{_quoted(edge.text)}"|' if edge.text else ""
        lines.append(f"  {ids[edge.source]} -->{text} {ids[edge.target]}")
    return "\n".join(lines)


def printable(text: str) -> str:
    """The text with a blank for each character that cannot be shown, or stand in XML.

    >>> printable("a\\tb\\x00c")
    'a b c'
    """
    return "".join(char if char.isprintable() else " " for char in text)


def _table(name: str) -> str:
    return f"table-{name}"


def _steps(stage: Stage, id: str) -> Iterator[Step]:
    letters = tuple(table.name for table in stage.letters)
    for number, (branch, depth) in enumerate(_walk(stage.root, 0), 1):
        tables = tuple(table.name for table in branch.tables)
        yield Step(
            f"{id}-step-{number}",
            branch.name,
            did(branch) if depth else head(stage),
            depth,
            tables if depth else tables + letters,
        )


def _walk(branch: Branch, depth: int) -> Iterator[tuple[Branch, int]]:
    yield branch, depth
    for child in branch.branches:
        yield from _walk(child, depth + 1)


def _quoted(text: str) -> str:
    """A text inside of quotes: Mermaid takes what stands in `#...;` for a character's number."""
    return "".join(f"#{ord(char)};" if char in '"<>&#;`\\' else char for char in printable(text))
