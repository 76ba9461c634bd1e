"""`gaia top`: how far a run is, from its page."""

import json
import time
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

from gaia.io.destination import RECORD, own_file
from gaia.io.tell import tell
from gaia.runner.progress import Progress

_EVERY = 0.5
_PATIENCE = 10.0


def top(where: str) -> int:
    """Shows how far a run is until it ends, as the run itself does on a terminal.

    Args:
        where: The address of the run's page, such as `http://127.0.0.1:8080`, or its port.

    Returns:
        0 when the run has finished; 1 if it has failed, or there is none.
    """
    page = _page(where)
    try:
        return _top(page)
    except (AttributeError, KeyError, TypeError):
        tell(f"gaia: what {page} tells is not understood; is it of another version of Gaia?")
        return 1


def _top(page: str) -> int:
    shown = Progress(after=0.0)
    last: dict[str, Any] | None = None
    try:
        while last is None or last["phase"] == "running":
            if last is not None:
                time.sleep(_EVERY)
            try:
                last = _read(page)
            except (OSError, HTTPException, ValueError) as error:
                if last is None:
                    tell(f"gaia: no run is shown at {page}: {error}")
                    return 1
                # Its page ends with it; what it has left tells how.
                last = _record(last) or last | {"phase": "gone"}
            shown.see(last)
    finally:
        if last is not None:
            shown.end(last)
    if last["phase"] == "done":
        return 0
    if last["phase"] == "gone":
        tell(f"gaia: the run at {page} is gone, and has not finished")
    else:
        why = last.get("errors") or [{"text": "it was stopped"}]
        tell(f"gaia: the run has failed: {why[-1]['text']}")
    return 1


def _page(where: str) -> str:
    """Where a run's state is.

    >>> _page("8080"), _page("localhost:80/"), _page("http://10.0.0.7:8080")
    ('http://127.0.0.1:8080/status.json', 'http://localhost:80/status.json', \
'http://10.0.0.7:8080/status.json')
    """
    url = f"http://127.0.0.1:{where}" if where.isdigit() else where
    url = url if "://" in url else f"http://{url}"
    return url if urlsplit(url).path.endswith(".json") else f"{url.rstrip('/')}/status.json"


def _read(page: str) -> dict[str, Any]:
    # A run of this machine is not behind a proxy.
    with build_opener(ProxyHandler({})).open(page, timeout=_PATIENCE) as answer:
        status = json.load(answer)
    if not isinstance(status, dict) or not {"phase", "elapsed", "stages"} <= status.keys():
        raise ValueError("expected the status of a run, got something else")
    return status


def _record(last: dict[str, Any]) -> dict[str, Any] | None:
    """What a run of this machine has left when it finished; None where there is no such thing."""
    place = last["settings"]["dest_dir"]
    if "://" in place:
        return None
    try:
        with open(own_file(place, RECORD)) as file:
            record: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return None
    return record if record.get("started") == last["started"] else None
