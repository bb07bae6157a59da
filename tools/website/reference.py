"""Pages from the code: options of the reference, commands, ambiguities, known targets, results.json."""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import json
import typing
from importlib import resources
from typing import TYPE_CHECKING, Any

import click

from swn_torture.cli import main
from swn_torture.report.matrix import Matrix
from swn_torture.server.state.options import Options
from swn_torture.spec import load_catalogue
from tools.website.known import targets
from tools.website.markdown import plain
from tools.website.sections import requirement_link, word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from swn_torture.report.comparison import CauseView


def reference_pages() -> Iterator[tuple[str, str]]:
    """The pages: path and Markdown."""
    yield "reference-options.md", "\n".join(_options()) + "\n"
    yield "commands.md", "\n".join(_commands()) + "\n"
    yield "ambiguities.md", "\n".join(_ambiguities()) + "\n"
    yield "known-targets.md", "\n".join(_targets()) + "\n"
    yield "results-schema.md", "\n".join(_schema()) + "\n"


def option_texts() -> dict[str, str]:
    """The text of each option of the reference: the string that follows its field."""
    (body,) = ast.parse(inspect.getsource(Options)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
        ):
            found[field.target.id] = str(ast.literal_eval(text.value))
    return found


def _options() -> Iterator[str]:
    ambiguities = {name: amb for amb, names in Options.fields_by_ambiguity().items() for name in names}
    texts = option_texts()
    types = typing.get_type_hints(Options)
    yield "# Options of the reference"
    yield ""
    yield (
        "Where the specification leaves a choice, the reference has an option. "
        "`swn-torture serve --option NAME=VALUE` sets one; a value is written as in TOML, a code by its name."
    )
    for field in dataclasses.fields(Options):
        yield ""
        yield f"## {field.name} {{#{field.name}}}"
        yield ""
        yield _with_code(texts[field.name])
        yield ""
        yield f"- values: {plain(_values(types[field.name]))}"
        yield f"- default: {_default(field.default)}"
        if field.name in ambiguities:
            number = ambiguities[field.name]
            yield f"- decides [{number}](ambiguities.md#{number})"


def _with_code(text: str) -> str:
    """Text as Markdown; what is between backticks is code."""
    return "".join(
        f"`{part}`" if number % 2 else plain(f"x{part}x")[1:-1] for number, part in enumerate(text.split("`"))
    )


def _default(value: object) -> str:
    """The default of an option, as a reader writes it."""
    if value is None:
        return "none (the option is left out)"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{getattr(value, 'name', value)}`"


def _values(kind: Any) -> str:
    """The values of a type, as a reader writes them."""
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(map(str, typing.get_args(kind)))
    if typing.get_origin(kind) is tuple:
        return f"a list of: {_values(typing.get_args(kind)[0])}"
    inner = [each for each in typing.get_args(kind) if each is not type(None)]
    if inner:
        return f"{_values(inner[0])}, or none"
    if isinstance(kind, enum.EnumMeta):
        names = [str(name) for name in kind.__members__]
        return " or ".join(names) if len(names) < 12 else f"a code of {kind.__name__}, such as {names[1]}"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return words[kind]


def _commands() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "What `--help` of each command says."
    yield from _command(main, "swn-torture", None)


def _command(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent, max_content_width=100, terminal_width=100)
    path = context.command_path
    yield ""
    yield f"## {path} {{#{path.replace(' ', '-')}}}"
    yield ""
    yield "```text"
    yield command.get_help(context)
    yield "```"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from _command(found, child, context)


def _ambiguities() -> Iterator[str]:
    rows = {row.id: row for row in Matrix.of([target.results for target in targets()]).choices}
    options = Options.fields_by_ambiguity()
    yield "# Where the specification leaves a choice"
    yield ""
    yield (
        "The suite accepts every allowed reading and records which one a target follows. A reading that is "
        'marked "no reading of the text" contradicts it, and cases fail it.'
    )
    for amb in load_catalogue().ambiguities.values():
        yield ""
        yield f"## {amb.id}: {plain(amb.topic)} {{#{amb.id}}}"
        yield ""
        yield plain(amb.text)
        yield ""
        yield from (f"- {plain(reading)}" for reading in amb.readings)
        yield ""
        yield f"Requirements: {', '.join(requirement_link(name, up='') for name in amb.requirements)}."
        names = options.get(amb.id, ())
        if names:
            yield ""
            listed = ", ".join(f"[`{name}`](reference-options.md#{name})" for name in names)
            yield f"Options of the reference: {listed}."
        if amb.id in rows:
            yield ""
            yield "| target | what it does |"
            yield "| --- | --- |"
            for target, observed in zip(targets(), rows[amb.id].observed, strict=True):
                said = "<br>".join(plain(text) for text, _ in observed[:6])
                more = f"<br>and {len(observed) - 6} more" if len(observed) > 6 else ""
                yield f"| {plain(target.name)} | {said or 'not seen'}{more} |"


def _targets() -> Iterator[str]:
    yield "# Known targets"
    yield ""
    yield "The published results. [The matrix](matrix.html) compares them, with the evidence of each verdict."
    for target in targets():
        results = target.results
        yield ""
        yield f"## {plain(results.target.title or target.name)} {{#{target.name}}}"
        yield ""
        counts = results.summary.requirements
        said = ", ".join(f"{counts.get(each, 0)} {word(each)}" for each in counts)
        yield f"Run of {results.run.started[:10]}, {len(results.cases)} cases. Requirements: {said}."
        causes = [cause for cause in (results.comparison.causes if results.comparison else ()) if cause.cases]
        for cause in causes:
            yield ""
            yield from _cause(cause)


def _cause(cause: CauseView) -> Iterator[str]:
    yield f"### {plain(cause.title)}"
    yield ""
    yield plain(cause.reason)
    if cause.bug:
        yield f" [Reported]({cause.bug})."
    yield ""
    bases = list(dict.fromkeys(case.partition("[")[0] for case in cause.cases))
    yield f"Shown by {', '.join(f'[`{base}`](cases/{base}.md)' for base in bases)}."


def _schema() -> Iterator[str]:
    text = resources.files("swn_torture.report").joinpath("results.schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    yield "# results.json, member by member"
    yield ""
    yield plain(schema["description"])
    yield ""
    yield "Generated from `swn_torture/report/results.schema.json` (JSON Schema 2020-12)."
    yield from _object("The file", {**schema, "description": "One JSON object."})
    for name, each in schema["$defs"].items():
        yield from _object(name, each)


def _object(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield f"## {name}"
    yield ""
    if "description" in schema:
        yield plain(schema["description"])
        yield ""
    if "properties" not in schema:
        yield f"- {_type(schema)}"
        return
    required = set(schema.get("required", ()))
    yield "| member | type | meaning |"
    yield "| --- | --- | --- |"
    for member, each in schema["properties"].items():
        always = "" if member in required else " (may be absent)"
        yield f"| `{member}` | {_type(each)}{always} | {plain(each.get('description', ''))} |"
        for inner, part in each.get("properties", {}).items():
            yield f"| `{member}.{inner}` | {_type(part)} | {plain(part.get('description', ''))} |"


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(each)}`" for each in schema["enum"])
    kind = schema.get("type", "")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    return kind or " or ".join(_type(each) for each in schema.get("oneOf", schema.get("anyOf", ()))) or "any"
