"""The command line of every level: a dataclass becomes the options, an error becomes one line and an exit code."""

import contextlib
import dataclasses
import difflib
import errno
import io
import itertools
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from typing import Any, cast, get_args

import tyro

RIGHTS = "; choose another file or folder, or change its rights"
ADVICE = {
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.EROFS: RIGHTS,
    errno.ENOSPC: "; free some space, or choose another disk",
}
LONGEST = 300  # characters; a longer text from a file is cut at this length
BROKEN_PIPE = 141  # 128 + SIGPIPE: the exit code that a shell shows if a broken pipe stopped the program
# On the CPU, torch has no special error for a number or a tensor that is too large. Only the message shows the cause
TOO_LARGE = re.compile("out of memory|allocate memory|not enough memory|Overflow when|overflowed")


def run(prog: str, configuration: Any, main: Callable[[Any], None], args: list[str] | None = None) -> None:
    """Parse the arguments into `configuration`, and call main with it. `configuration` is a dataclass; or, if there are
    subcommands, a union of dataclasses, one for each.

    An error that the user can repair (a bad value, a missing or damaged file, a full disk, not enough memory) gives one line
    on stderr and exit code 2. Ctrl-C gives exit code 130. Any other error is a bug and keeps its traceback.

    If standard output fails, main goes on and saves its results. Then the exit code is 2, because the output is incomplete.
    If the reader of a pipe ends (`| head`), the exit code is 141, as for other programs.
    """
    words = sys.argv[1:] if args is None else args
    with _standard_streams() as (out, _):
        try:
            ended = None
            try:
                main(_parse(prog, configuration, words))
            except SystemExit as stop:  # --help exits with code 0
                ended = stop
            out.flush()
            if out.failed and not (ended and ended.code):
                raise OSError(f"standard output is incomplete ({_said(out.failed)})" + "; files were saved" * (ended is None))
            if ended:
                raise ended
        except BrokenPipeError:
            _discard(out.stream)
            sys.exit(BROKEN_PIPE)
        except (ValueError, OSError) as error:
            _stop(prog, _said(error) + ADVICE.get(getattr(error, "errno", None) or 0, ""), 2)
        except (MemoryError, OverflowError, RuntimeError, TypeError) as error:
            if isinstance(error, RuntimeError | TypeError) and not TOO_LARGE.search(str(error)):
                raise
            _stop(prog, f"too large for this machine: {str(error).partition('Exception raised from')[0]}", 2)
        except KeyboardInterrupt as interrupt:
            _stop(prog, str(interrupt) or "interrupted", 130)


def command_of(prog: str, config: Any) -> str:
    """The command that gives this configuration: the options that differ from their defaults, quoted for a shell."""
    words = [prog]
    for field in dataclasses.fields(config):
        value, option = getattr(config, field.name), field.name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):  # a flag: --x or --no-x
            words.append(f"--{option if value else 'no-' + option}")
        else:
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{option}", *(shlex.quote(str(v)) for v in values)]
    return " ".join(words)


def shown(text: object, longest: int = LONGEST) -> str:
    """A text from a file, safe to show in a terminal or a picture: one line, no control characters, limited in length."""
    head = str(text)[: 4 * longest]  # a file may hold megabytes
    line = " ".join("".join(c if c.isprintable() else " " for c in head).split())
    return line if len(line) <= longest and len(head) == len(str(text)) else f"{line[:longest]}..."


class _Stream:
    """A standard stream whose failure does not stop the program: after the first failed write, text is dropped.

    A broken pipe is a request to stop: its error is raised. A character that is not in the terminal's encoding
    becomes a question mark. Each line is written immediately, also into a pipe.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.failed: Exception | None = None
        if isinstance(self.stream, io.TextIOWrapper):
            self.stream.reconfigure(errors="replace", line_buffering=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write the text, or drop it if the stream has failed."""
        self._attempt(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, unless the stream has failed."""
        self._attempt(self.stream.flush)

    def _attempt(self, action: Callable[[], Any]) -> None:
        if self.failed:
            return
        try:
            action()
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:  # ValueError: the stream was closed
            self.failed = error
            _discard(self.stream)


@contextlib.contextmanager
def _standard_streams() -> Iterator[tuple[_Stream, _Stream]]:
    """Standard output and error as `_Stream`s."""
    with open(os.devnull, "w") as nowhere:  # Python's streams are None if they were closed before the start
        out, error = _Stream(sys.stdout or nowhere), _Stream(sys.stderr or nowhere)
        with contextlib.redirect_stdout(cast(Any, out)), contextlib.redirect_stderr(cast(Any, error)):
            yield out, error


def _discard(stream: Any) -> None:
    """Point a failed stream at os.devnull, so that Python's own flush at exit does not fail."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _parse(prog: str, configuration: Any, args: list[str]) -> Any:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return _small_ints(tyro.cli(configuration, prog=prog, args=args, config=(tyro.conf.DisallowNone,)))
    except SystemExit as stop:
        if stop.code == 0:  # --help
            raise
    kinds = [getattr(kind, "__origin__", kind) for kind in get_args(configuration)]  # none, if there are no subcommands
    commands = [kind.__name__.lower() for kind in kinds]
    command = f" {args[0]}" if args and args[0] in commands else ""
    raise ValueError(f"{_message(said.getvalue())}{_nearest(said.getvalue())} (see {prog}{command} --help)")


def _message(said: str) -> str:
    """The message in tyro's box, in one line. The box holds a title, the message, a horizontal line, and help."""
    texts = [line.strip(" │|+-─━╭╮╰╯") for line in said.splitlines()[1:]]
    message = " ".join(itertools.takewhile(bool, itertools.dropwhile(lambda text: not text, texts)))
    if wrong := re.match(r"Error parsing --(\S+): .*?('.*')", message):  # the help shows the option's type: "epochs INT"
        kinds = [text.removeprefix(wrong[1]) for text in texts if text.startswith(f"{wrong[1]} ")]
        return f"--{wrong[1]} is {wrong[2]}: expected{kinds[0]}"
    return re.sub(r"'None', |, 'None'(?=\))", "", message)  # None is the default, not a choice


def _nearest(said: str) -> str:
    """The known command or option that is nearest to the mistyped one, from tyro's message; "" if none is near."""
    found = re.search(r"Unrecognized options: ([\w-]+)(.*)", said, re.DOTALL)
    if not found:
        return ""
    mistyped, known = found[1], re.findall(r"(?<![\w-])-*[a-z][\w-]+", found[2])
    near = difflib.get_close_matches(mistyped, [word for word in known if word.startswith("--") == mistyped.startswith("--")], 1)
    return f"; did you mean {near[0]}?" if near else ""


def _small_ints(config: Any) -> Any:
    """Refuse an int that does not fit in 64 bits. Arrays and tensors refuse it too, but do not name the option."""
    for name, value in vars(config).items():
        if dataclasses.is_dataclass(value):  # a group of options
            _small_ints(value)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int) and not -(2**63) <= number < 2**63:
                raise ValueError(f"--{name.replace('_', '-')} is {number}: expected a whole number from -2^63 to 2^63 - 1")
    return config


def _said(error: Exception) -> str:
    """An error's text. An error of the operating system is shown without its number: "x.png: Permission denied"."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _stop(prog: str, message: str, code: int) -> None:
    print(f"{prog}: {shown(message, 1000)}", file=sys.stderr)
    sys.exit(code)
