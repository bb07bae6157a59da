"""The templates of pages, compiled once in each process.

To compile the template of a report takes longer than to render it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2
    from jinja2.bccache import Bucket


def environment(package: str, directory: str, **options: Any) -> jinja2.Environment:
    """An environment of its own for the templates in a directory of a package.

    Every text is escaped, and a name that the template does not get is an error.

    Args:
        package: the package: ``swn_torture.report``.
        directory: its directory with the templates.
        options: further options of the environment.
    """
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader(package, directory),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        bytecode_cache=_compiled(),
        **options,
    )


@functools.cache
def _compiled() -> jinja2.BytecodeCache:
    """The code of all templates that this process has compiled."""
    import jinja2

    class Compiled(jinja2.BytecodeCache):
        def __init__(self) -> None:
            self._code: dict[tuple[str, str], bytes] = {}

        def load_bytecode(self, bucket: Bucket) -> None:
            # The key is of the name and the file of a template, the checksum of its source.
            code = self._code.get((bucket.key, bucket.checksum))
            if code is not None:
                bucket.bytecode_from_string(code)

        def dump_bytecode(self, bucket: Bucket) -> None:
            self._code[bucket.key, bucket.checksum] = bucket.bytecode_to_string()

    return Compiled()
