"""What a run leaves of itself: `_gaia/run.json`, and the same as a page, `_gaia/report.html`."""

import json
from contextlib import suppress

from gaia.io.destination import RECORD, REPORT, Destination
from gaia.io.stores import explain
from gaia.io.tell import tell
from gaia.runner.page import drawing_of, page
from gaia.runner.status import Status


def leave(place: Destination, status: Status, resume: str | None = None) -> None:
    """Writes both. `resume` is what a run that goes on with this one has to know; without, what the
    last good run has left for it stays.

    If they cannot be written it tells so: what became of the tables is to be seen, and not this.
    """
    try:
        _write(place, status, _kept(place.read_record()) if resume is None else resume)
    except Exception as error:
        tell(f"gaia: {explain(error, 'write the report to', place.url)}")


def _write(place: Destination, status: Status, resume: str | None) -> None:
    import msgspec

    snapshot = status.snapshot()
    content = snapshot if resume is None else snapshot | {"resume": resume}
    # The encoder takes any text, such as a file's name that is no Unicode; the formatter is fast.
    indented = msgspec.json.format(json.dumps(content).encode(), indent=1)
    place.write_own(RECORD, indented + b"\n")
    place.write_own(REPORT, page(json.dumps(snapshot), drawing_of(status.plan)))


def _kept(record: bytes) -> str | None:
    with suppress(ValueError, AttributeError, RecursionError):
        kept = json.loads(record).get("resume")
        return kept if isinstance(kept, str) else None
    return None
