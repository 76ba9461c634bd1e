"""What the server of the live page may see of a run."""

import attrs


@attrs.define
class Published:
    """The state of a run as JSON, the drawing of its plan, and whether it is over. Each is replaced
    as a whole, so that another thread can look at any time."""

    content: bytes = b"{}"
    drawing: str = ""
    over: bool = False
