"""`gaia completion`: scripts by which shells complete the command line."""

import argparse
from collections.abc import Iterator
from shlex import quote

import attrs

from gaia.cli.command import FINE, Command

_NOTES = """\
subcommands, options, their choices and files are completed. To have that in every shell:

  bash  echo 'source <(gaia completion bash)' >> ~/.bashrc
  zsh   echo 'source <(gaia completion zsh)' >> ~/.zshrc  (behind compinit)
  fish  gaia completion fish > ~/.config/fish/completions/gaia.fish"""


@attrs.frozen
class _Option:
    """An option; what it takes (`value` is "" if nothing), and what of if there are few."""

    names: tuple[str, ...]
    help: str
    value: str
    choices: tuple[str, ...]


@attrs.frozen
class _Described:
    """A subcommand: its options, and what its arguments are; files, if there are no choices."""

    name: str
    help: str
    options: tuple[_Option, ...]
    choices: tuple[str, ...]


def _described(parser: argparse.ArgumentParser) -> tuple[_Described, list[_Described]]:
    """What all commands share, and each of them."""
    subparsers = next(
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    helps = {action.dest: action.help or "" for action in subparsers._choices_actions}
    commands = [
        _command(name, helps[name], command) for name, command in subparsers.choices.items()
    ]
    return _command("", "", parser), commands


def _command(name: str, help: str, parser: argparse.ArgumentParser) -> _Described:
    options = []
    choices: tuple[str, ...] = ()
    for action in parser._actions:
        known = tuple(map(str, action.choices or ()))
        if action.option_strings:
            value = (
                ""
                if action.nargs == 0
                else action.metavar or action.option_strings[0].lstrip("-").upper()
            )
            shown = (action.help or "").replace("%%", "%")
            options.append(_Option(tuple(action.option_strings), shown, str(value), known))
        elif name:
            choices = known
    return _Described(name, help, tuple(options), choices)


def _bash(shared: _Described, commands: list[_Described]) -> Iterator[str]:
    """Where no words come to mind, bash completes files."""
    first = [command.name for command in commands] + _names(shared)
    yield "# bash completion of gaia"
    yield "_gaia() {"
    yield '    local current=${COMP_WORDS[COMP_CWORD]} words=""'
    yield "    local previous=${COMP_WORDS[COMP_CWORD-1]}"
    yield "    if ((COMP_CWORD == 1)); then"
    yield f"        words={quote(' '.join(first))}"
    yield "    else"
    yield '        case "${COMP_WORDS[1]} $previous $current" in'
    for command in commands:
        for option in command.options:
            if option.value:
                patterns = "|".join(f'"{command.name} {name} "*' for name in option.names)
                yield f"        {patterns}) words={quote(' '.join(option.choices))} ;;"
        yield f'        "{command.name} "*" -"*) words={quote(" ".join(_names(command)))} ;;'
        if command.choices:
            yield f'        "{command.name} "*) words={quote(" ".join(command.choices))} ;;'
    yield "        esac"
    yield "    fi"
    yield '    COMPREPLY=($(compgen -W "$words" -- "$current"))'
    yield "}"
    yield "complete -o bashdefault -o default -F _gaia gaia"


def _names(command: _Described) -> list[str]:
    return [name for option in command.options for name in option.names]


def _zsh(shared: _Described, commands: list[_Described]) -> Iterator[str]:
    yield "#compdef gaia"
    yield "_gaia() {"
    yield "    local context state line"
    yield "    typeset -A opt_args"
    yield "    local -a commands=("
    for command in commands:
        yield f"        {quote(f'{command.name}:{command.help}')}"
    yield "    )"
    yield "    _arguments -C \\"
    for option in shared.options:
        yield f"        {_zsh_option(option)} \\"
    yield "        '1:command:->command' '*::argument:->argument'"
    yield "    case $state in"
    yield "    command) _describe command commands ;;"
    yield "    argument)"
    yield "        case $line[1] in"
    for command in commands:
        yield f"        {command.name}) _arguments \\"
        for option in command.options:
            yield f"            {_zsh_option(option)} \\"
        what = f"({' '.join(command.choices)})" if command.choices else "_files"
        yield f"            '*:argument:{what}' ;;"
    yield "        esac ;;"
    yield "    esac"
    yield "}"
    # Sourced, it is registered; in a folder of functions, it is called.
    yield 'if [[ $funcstack[1] == _gaia ]]; then _gaia "$@"; else compdef _gaia gaia; fi'


def _zsh_option(option: _Option) -> str:
    help = option.help.translate({ord(char): f"\\{char}" for char in "[]:\\"})
    takes = ""
    if option.value:
        takes = f":{option.value}:({' '.join(option.choices)})"
    return " ".join(quote(f"*{name}[{help}]{takes}") for name in option.names)


def _fish(shared: _Described, commands: list[_Described]) -> Iterator[str]:
    yield "# fish completion of gaia"
    for option in shared.options:
        yield f"complete -c gaia -n __fish_use_subcommand {_fish_option(option)}"
    for command in commands:
        yield (
            f"complete -c gaia -n __fish_use_subcommand -f -a {command.name} "
            f"-d {_fish_quote(command.help)}"
        )
        here = f"complete -c gaia -n '__fish_seen_subcommand_from {command.name}'"
        for option in command.options:
            yield f"{here} {_fish_option(option)}"
        if command.choices:
            yield f"{here} -f -a {_fish_quote(' '.join(command.choices))}"


def _fish_option(option: _Option) -> str:
    parts = [
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
    ]
    if option.value:
        parts.append(f"-x -a {_fish_quote(' '.join(option.choices))}")
    return " ".join([*parts, f"-d {_fish_quote(option.help)}"])


def _fish_quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=tuple(_SHELLS), help="the shell")


def _completion(given: argparse.Namespace) -> int:
    from gaia.cli import build_parser

    shared, commands = _described(build_parser())
    print("\n".join(_SHELLS[given.shell](shared, commands)))
    return FINE


COMPLETION = Command(
    "completion",
    "print a script by which a shell completes gaia's command line",
    (("source <(gaia completion bash)", "completion in this shell"),),
    _arguments,
    _completion,
    _NOTES,
)
