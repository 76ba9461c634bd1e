"""Resume: what of an earlier run still holds, stage by stage, and what has to be done anew."""

import base64
import json
import zlib
from contextlib import suppress

import attrs
import cloudpickle

from gaia.errors import GaiaError
from gaia.io.destination import Destination
from gaia.io.folder import Folder
from gaia.io.manifest import read_manifest
from gaia.io.tell import tell
from gaia.pipeline.plan import Stage
from gaia.pipeline.travel import dumps
from gaia.runner import journal
from gaia.runner.identity import Identity
from gaia.runner.journal import Began, Committed, Finished, Half, Journal, Past, Planned
from gaia.runner.task import Task, TaskReport

# So many tasks stand in one entry of the journal.
_PLANNED = 10_000


@attrs.define
class Resume:
    """The journal of this run, and what an earlier one has left, if it is to be used."""

    place: Destination
    work: Folder
    past: Past
    kept: Journal
    resuming: bool
    # What is done by now: for the record of this run.
    done: list[Committed] = attrs.field(factory=list)
    # Whether there is anything that another run could go on with.
    worth_keeping: bool = False

    def finished(self, stage: Stage, identity: Identity) -> Committed | None:
        """What the stage has told, if it was done before, as it is now."""
        found = self.past.committed.get(stage.name)
        if not self.resuming or found is None:
            return None
        why = self._why_not(stage, found, identity)
        if why:
            self.say(f"`{stage.name}` is done anew: {why}")
            return None
        self.say(f"`{stage.name}` is finished, and skipped")
        self.done.append(found)
        return found

    def _why_not(self, stage: Stage, found: Committed, identity: Identity) -> str:
        if difference := found.identity.difference(identity):
            return f"{difference} has changed"
        for table in stage.tables():
            folder, store = self.place.source(table.name)
            try:
                there = read_manifest(folder, store)
            except GaiaError as error:
                return str(error)
            if there != found.manifests.get(table.name):
                return f"table `{table.name}` was written by another run since"
        return ""

    def begin(
        self, stage: Stage, identity: Identity, tasks: list[Task], folder: str
    ) -> tuple[list[Task], list[TaskReport], str]:
        """Begins a stage, or goes on with it.

        Returns:
            Its tasks, the reports of those that have finished, and the folder of all bundles, by
            its name in `work`.
        """
        half = self.past.half.get(stage.name) if self.resuming else None
        if half is not None and half.whole:
            difference = half.began.identity.difference(identity)
            if not difference and self.work.exists(half.began.folder):
                return self._go_on(half)
            self.say(f"`{stage.name}` is done anew: {difference or 'its files'} has changed")
        self.work.make(folder)
        self.kept.write(Began(stage.name, identity, len(tasks), folder))
        for start in range(0, len(tasks), _PLANNED):
            self.kept.write(Planned(stage.name, tasks[start : start + _PLANNED]))
        return tasks, [], folder

    def _go_on(self, half: Half) -> tuple[list[Task], list[TaskReport], str]:
        began = half.began
        sizes = self.work.sizes(began.folder)
        # A commit that was cut off may have made a bundle a shard, and written the seek table
        # behind it. Without any record, there is no file.
        whole = [
            report
            for report in half.reports.values()
            if all(sizes.get(bundle.name, 0) >= bundle.size for bundle in report.bundles)
        ]
        kept = {bundle.name.partition("/")[0] for report in whole for bundle in report.bundles}
        self.work.clear(began.folder, kept)
        self.say(f"`{began.stage}`: {len(whole)} of {began.tasks} tasks are finished, and skipped")
        self.worth_keeping = self.worth_keeping or bool(whole)
        return half.tasks, whole, began.folder

    def task_done(self, stage: Stage, report: TaskReport) -> None:
        """A task has finished: it need not be done again."""
        self.kept.write(Finished(stage.name, report))
        self.worth_keeping = True

    def stage_done(self, committed: Committed) -> None:
        """All tables of a stage are in their places."""
        self.kept.write(committed)
        self.done.append(committed)
        self.worth_keeping = True

    def packed(self) -> str:
        """What is done, as text for the run's record."""
        return base64.b64encode(zlib.compress(dumps(self.done))).decode()

    def say(self, text: str) -> None:
        """Tells the user what is skipped and what is not."""
        tell(f"gaia: resume: {text}")


def open_resume(place: Destination, work: Folder, resuming: bool) -> Resume:
    """Reads what an earlier run has left, if this one is to go on with it."""
    past = Past()
    if resuming:
        for committed in _last_run(place):
            past.add(committed)
        later = journal.read_journal(work)
        past.committed.update(later.committed)
        past.half = later.half
        if not past.committed and not past.half:
            tell(f"gaia: resume: there is nothing to go on with in {place.url}")
    return Resume(place, work, past, journal.open_journal(work), resuming)


def tell_of_unfinished(work: Folder) -> None:
    """Tells of what an earlier run has left that did not end, if this one throws it away."""
    past = Past()
    # A journal of another version, or of classes that are no more, is of no use to anyone.
    with suppress(Exception):
        past = journal.read_journal(work)
    parts = [f"`{name}` was finished" for name in past.committed]
    parts += [
        f"{len(half.reports)} of {half.began.tasks} tasks of `{name}` were finished"
        for name, half in past.half.items()
        if half.reports
    ]
    if parts:
        tell(
            f"gaia: an unfinished run was here ({', '.join(parts)}); resume=True would have gone "
            "on with it"
        )


def _last_run(place: Destination) -> list[Committed]:
    """The stages of the last run that came to its end."""
    # A record of another version, or of classes that are no more, is of no use here.
    with suppress(Exception):
        content = json.loads(place.read_record())
        found: list[Committed] = cloudpickle.loads(
            zlib.decompress(base64.b64decode(content["resume"]))
        )
        return found
    return []
