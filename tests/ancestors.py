"""The processes above a process, on Linux."""

from pathlib import Path


def ancestors(pid: int) -> list[int]:
    """Its parent, the parent of that, and so on."""
    found = []
    while pid > 1:
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
        found.append(pid)
    return found
