"""One command line of a profile, and how its placeholders are filled in.

Without a shell a value is (part of) one argument, whatever it contains. With ``shell = true``, and after a
program that passes its arguments to a shell on another machine (ssh), each value is quoted for that shell.
"""

# A wrong setting is a ValueError, whatever is wrong with it.
# ruff: noqa: TRY004

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Self

from swn_torture.control.runner import PROGRAMS_WITH_REMOTE_SHELL, CommandFailed, Output, run
from swn_torture.control.shared import check_known_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\{([a-z_]+)\}")
_KEYS: Final = ("run", "shell", "timeout", "exit_codes")
_EXAMPLE: Final = 'as in ["/opt/cluster/ctl", "disable", "{node}"]'


@dataclass(frozen=True, slots=True)
class Command:
    """A command with placeholders.

    Attributes:
        words: its words; a tuple of words is left out where one of its placeholders has no value. With
            `shell`, one word: the text for the shell.
        shell: whether a shell (/bin/sh) runs it.
        timeout: seconds that it may take.
        exit_codes: those that mean success.
        prefix: the words before it, without placeholders; not before the text for a shell. If they lead
            through a shell on another machine (ssh), the words of the command arrive there unchanged.
    """

    words: tuple[str | tuple[str, ...], ...]
    shell: bool
    timeout: float
    exit_codes: frozenset[int]
    prefix: tuple[str, ...] = ()

    @classmethod
    def from_setting(
        cls,
        value: Any,
        where: str,
        *,
        timeout: float,
        prefix: tuple[str, ...] = (),
        required: Sequence[str] = (),
        optional: Sequence[str] = (),
    ) -> Self:
        """Make a command from a list of words, or from a table with the key ``run``.

        Args:
            value: of the profile.
            where: the key, for errors.
            timeout: of a command that names none.
            prefix: as the attribute.
            required: the placeholders that always have a value.
            optional: the placeholders that may have none. They can only be in an inner list of words.

        Raises:
            ValueError: it is not a command, or has a placeholder that has no value here; the text says how to
                mend it.
        """
        table = value if isinstance(value, dict) else {"run": value}
        check_known_keys({k: v for k, v in table.items() if k not in _OUTPUT_KEYS}, _KEYS)
        shell = table.get("shell", False)
        words = _shell_text(table, where) if shell is True else _words(table.get("run"), where)
        seconds, codes = _seconds(table.get("timeout", timeout), where), _codes(table, where)
        command = cls(words, shell is True, seconds, codes, () if shell is True else prefix)
        command._check_placeholders(where, required, optional)
        return command

    def _check_placeholders(self, where: str, required: Sequence[str], optional: Sequence[str]) -> None:
        known = ", ".join(f"{{{name}}}" for name in (*required, *optional)) or "none"
        for word in self.words:
            inner = isinstance(word, tuple)
            for name in _names(word):
                if name in required or (name in optional and (inner or self.shell)):
                    continue
                if name in optional:
                    raise ValueError(
                        f"{where}: {{{name}}} does not always have a value; put the words that need it into "
                        f'an inner list, as in ["--option", "{{{name}}}"]'
                    )
                raise ValueError(
                    f"{where}: unknown placeholder {{{name}}}; known: {known}. "
                    f"For the text itself write {{{{{name}}}}}"
                )

    @property
    def placeholders(self) -> frozenset[str]:
        """The names of its placeholders."""
        return frozenset(name for word in self.words for name in _names(word))

    def argv(self, values: Mapping[str, str | None]) -> list[str]:
        """Return the command line.

        Args:
            values: placeholder -> value; None where there is no value.
        """
        if self.shell:
            text = self.words[0]
            assert isinstance(text, str)
            return ["/bin/sh", "-c", _fill(text, {k: shlex.quote(v or "") for k, v in values.items()})]
        filled: list[str] = []
        remote = _remote(self.prefix)
        quote = False
        for word in self.words:
            group = word if isinstance(word, tuple) else (word,)
            if isinstance(word, tuple) and any(values.get(name) is None for name in _names(word)):
                continue
            given = {k: shlex.quote(v) if quote else v for k, v in values.items() if v is not None}
            filled += [_fill(each, given) for each in group]
            # Also after `sudo` or `timeout 10`: whatever follows ssh reaches a shell.
            quote |= not remote and _remote(group)
        return [*self.prefix, shlex.join(filled)] if remote else [*self.prefix, *filled]

    async def run(self, values: Mapping[str, str | None], *, check: bool = True) -> Output:
        """Run it on this machine, and return when it has ended.

        Args:
            values: as for `argv`.
            check: whether an exit code that is not one of `exit_codes` is an error.

        Raises:
            CommandFailed: it cannot start, exceeds its time-out, or `check` fails.
        """
        argv = self.argv(values)
        output = await run(argv, timeout=self.timeout, check=False)
        if check and not self.succeeded(output):
            raise CommandFailed(argv, output.code, output.errors or output.text)
        return output

    def succeeded(self, output: Output) -> bool:
        """Whether the exit code means success."""
        return output.code in self.exit_codes


#: Keys of the same table that belong to the output of the command (`output.Shown`).
_OUTPUT_KEYS: Final = frozenset({"json", "fields", "lines", "states"})


def _words(value: Any, where: str) -> tuple[str | tuple[str, ...], ...]:
    if isinstance(value, str):
        raise ValueError(
            f"{where} must be a list of words, {_EXAMPLE}; "
            "for a text that a shell runs, write { run = ..., shell = true }"
        )
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        raise ValueError(f"{where} must be a list of words, {_EXAMPLE}, not {value!r}")
    words: list[str | tuple[str, ...]] = []
    for word in value:
        if isinstance(word, list) and all(isinstance(each, str) for each in word):
            words.append(tuple(word))
        elif isinstance(word, str):
            words.append(word)
        else:
            raise ValueError(f"{where}: {word!r} is not a word; write numbers in quotation marks")
    return tuple(words)


def _shell_text(table: Mapping[str, Any], where: str) -> tuple[str]:
    text = table.get("run")
    if not isinstance(text, str):
        raise ValueError(f"{where} has shell = true, so run must be the text for the shell, not {text!r}")
    return (text,)


def _seconds(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ValueError(f"{where}: timeout must be a number of seconds, not {value!r}")
    return float(value)


def _codes(table: Mapping[str, Any], where: str) -> frozenset[int]:
    codes = table.get("exit_codes", [0])
    if not isinstance(codes, list) or not codes or not all(type(code) is int for code in codes):
        raise ValueError(f"{where}: exit_codes must be a list of integers, not {codes!r}")
    return frozenset(codes)


def _remote(words: Sequence[str]) -> bool:
    return any(PurePath(word).name in PROGRAMS_WITH_REMOTE_SHELL for word in words)


def _names(word: str | tuple[str, ...]) -> list[str]:
    words = (word,) if isinstance(word, str) else word
    return [match[1] for each in words for match in _PLACEHOLDER.finditer(each) if match[1]]


def _fill(text: str, values: Mapping[str, str | None]) -> str:
    """Replace the placeholders once: a value that looks like a placeholder stays as it is."""

    def replaced(match: re.Match[str]) -> str:
        return (values.get(match[1]) or "") if match[1] else match[0][0]

    return _PLACEHOLDER.sub(replaced, text)
