"""Credentials, which what a run leaves of itself does not repeat: in URLs, and on command lines."""

import re
from collections.abc import Iterable, Iterator

HIDDEN = "***"
_SECRET = (
    r"[\w.-]*(?:signature|secret|token|credential|password|passwd|passphrase|api[_-]?key)[\w.-]*"
)
# A user's name with a password, or alone where it stands for one. In abfss://container@account it
# does not.
_USER = re.compile(r"(:///?)[^\s/@:'\"]*:[^\s/'\"]*@|(\bhttps?://)[^\s/'\"]+@", re.IGNORECASE)
_PARAMETER = re.compile(rf"([?&](?:{_SECRET}|sig)=)[^\s&#'\"]+", re.IGNORECASE)
_FLAG = re.compile(rf"(--?{_SECRET})(=.*)?", re.IGNORECASE | re.DOTALL)


def hidden(text: str) -> str:
    """The text without the credentials of the URLs in it.

    >>> hidden("cannot read https://me:1234@host/a.txt?v=1&X-Goog-Signature=5678&x=2")
    'cannot read https://***@host/a.txt?v=1&X-Goog-Signature=***&x=2'
    >>> hidden("abfss://container@account.dfs.core.windows.net/part-?.txt")
    'abfss://container@account.dfs.core.windows.net/part-?.txt'
    """
    if "://" not in text:
        return text
    text = _USER.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}@", text)
    return _PARAMETER.sub(rf"\1{HIDDEN}", text)


def command(arguments: Iterable[str]) -> Iterator[str]:
    """A command line without credentials: neither in URLs, nor of flags that are called so.

    >>> list(command(["job.py", "--api-key", "1234", "--token=5678", "--workers", "2"]))
    ['job.py', '--api-key', '***', '--token=***', '--workers', '2']
    """
    follows = False
    for argument in arguments:
        flag = _FLAG.fullmatch(argument)
        if follows and not argument.startswith("-"):
            yield HIDDEN
        elif flag is not None and flag[2] is not None:
            yield f"{flag[1]}={HIDDEN}"
        else:
            yield hidden(argument)
        follows = flag is not None and flag[2] is None
