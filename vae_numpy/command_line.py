"""The command line of every level: a dataclass becomes the options, an error becomes one line and exit code 2."""

import contextlib
import dataclasses
import io
import itertools
import os
import sys
from collections.abc import Callable
from typing import Any

import tyro


def run(prog: str, configuration: Any, main: Callable[[Any], None], args: list[str] | None = None) -> None:
    """Parse the arguments into `configuration` (a dataclass, or a union of them: subcommands) and call main with it.

    What the user can mend (a bad value, a missing or damaged file, a full disk) ends with one line on stderr and exit
    code 2; Ctrl-C ends with 130. Anything else is a bug and keeps its traceback.
    """
    try:
        main(_parse(prog, configuration, args))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (ValueError, OSError) as error:
        _stop(prog, " ".join(str(error).split()), 2)
    except KeyboardInterrupt as interrupt:
        _stop(prog, str(interrupt) or "interrupted", 130)


def spelled(prog: str, config: Any) -> str:
    """The command that gives this configuration: the options that differ from their defaults."""
    words = [prog]
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value != field.default:
            value = " ".join(map(str, value)) if isinstance(value, tuple) else value
            option = field.name.replace("_", "-")
            words.append(f"--{option} {value}" if not isinstance(value, bool) else f"--{option if value else 'no-' + option}")
    return " ".join(words)


def _parse(prog: str, configuration: Any, args: list[str] | None) -> Any:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(configuration, prog=prog, args=args)
    except SystemExit as stop:
        if stop.code == 0:  # --help
            raise
    # tyro draws a box: a title, the message, a rule, and help. The message is what one line has room for.
    texts = [line.strip(" │|+-─━╭╮╰╯") for line in said.getvalue().splitlines()[1:]]
    message = itertools.takewhile(bool, itertools.dropwhile(lambda text: not text, texts))
    raise ValueError(f"{' '.join(message)} (see {prog} --help)")


def _stop(prog: str, message: str, code: int) -> None:
    print(f"{prog}: {message}", file=sys.stderr)
    sys.exit(code)
