"""What a run leaves of itself: `_gaia/run.json`, and the same as a page, `_gaia/report.html`."""

import json
from contextlib import suppress
from typing import Any

from gaia.io.destination import RECORD, REPORT, Destination
from gaia.io.stores import explain
from gaia.io.tell import tell
from gaia.runner.status import Status


def leave(place: Destination, status: Status, resume: str | None) -> None:
    """Writes both. `resume` is what a run that goes on with this one has to know. That the
    page cannot be written is told, and makes no good run a failed one.

    Raises:
        OSError: The record cannot be written; or whatever else the client of a store raises.
    """
    import msgspec

    from gaia.runner.page import drawing_of, page

    snapshot = status.snapshot()
    content: dict[str, Any] = snapshot if resume is None else snapshot | {"resume": resume}
    # The encoder takes any text, such as a file's name that is no Unicode; the formatter is fast.
    indented = msgspec.json.format(json.dumps(content).encode(), indent=1)
    place.write_own(RECORD, indented + b"\n")
    try:
        place.write_own(REPORT, page(json.dumps(snapshot), drawing_of(status.plan)))
    except Exception as error:
        _tell(error, place)


def leave_failed(place: Destination, status: Status) -> None:
    """Writes both for a run that has failed. What the last good run has left for one that resumes
    stays. If they cannot be written it tells so; how the run failed is to be seen, and not this."""
    try:
        leave(place, status, _kept(place.read_record()))
    except Exception as error:
        _tell(error, place)


def _tell(error: Exception, place: Destination) -> None:
    tell(f"gaia: {explain(error, 'write the report to', place.url)}")


def _kept(record: bytes) -> str | None:
    with suppress(ValueError, AttributeError, RecursionError):
        kept = json.loads(record).get("resume")
        return kept if isinstance(kept, str) else None
    return None
