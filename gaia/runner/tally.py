"""What the tasks of a stage have told, summed up as it comes: of many tasks, little is kept."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from typing import Any

import attrs

from gaia.io.bundle import Bundle
from gaia.io.grouped import Shipped
from gaia.pipeline.plan import Stage
from gaia.runner.skips import Skipped, added, forgiving
from gaia.runner.task import ParseError, TaskReport

_SHOWN_ERRORS = 5


@attrs.define
class Tally:
    """The sum of the reports of some tasks, given by their numbers.

    Frequency maps are summed in the order of the tasks, so that the order of their keys does not
    depend on which task ends first.
    """

    _order: deque[int]
    counters: Counter[str] = attrs.field(factory=Counter)
    freq_maps: dict[str, Counter[Any]] = attrs.field(factory=lambda: defaultdict(Counter))
    _bundles: dict[str, list[tuple[int, Bundle | Shipped]]] = attrs.field(
        factory=lambda: defaultdict(list)
    )
    _waiting: dict[int, dict[str, Counter[Any]]] = attrs.field(factory=dict)
    # Of these, the order of the tasks counts.
    _failures: dict[int, TaskReport] = attrs.field(factory=dict)

    def add(self, report: TaskReport) -> None:
        """Adds what a task has told."""
        self.counters.update(report.counters)
        self._waiting[report.task] = report.freq_maps
        while self._order and self._order[0] in self._waiting:
            for name, counts in self._waiting.pop(self._order.popleft()).items():
                self.freq_maps[name].update(counts)
        for bundle in report.bundles:
            self._bundles[bundle.table].append((report.task, bundle))
        if report.parse_errors or report.skipped:
            self._failures[report.task] = attrs.evolve(report, counters={}, freq_maps={})

    def bundles(self, table: str) -> list[Bundle | Shipped]:
        """The bundles of a table, in the order of the tasks."""
        return [bundle for _, bundle in sorted(self._bundles[table], key=lambda found: found[0])]

    def parse_errors(self) -> tuple[ParseError, ...]:
        """The first that failed to parse."""
        errors = [error for report in self._in_order() for error in report.parse_errors]
        return tuple(errors[:_SHOWN_ERRORS])

    def skipped(self, stage: Stage) -> dict[str, Skipped]:
        """What was left out, by step."""
        total: dict[str, Skipped] = {}
        for report in self._in_order():
            total = added(total, report.skipped, forgiving(stage))
        return total

    def _in_order(self) -> Iterable[TaskReport]:
        return (self._failures[task] for task in sorted(self._failures))
