"""The stub data of `messages`, NDR32 and NDR64, both directions (MS-SRVS 6).

The information levels consist of the same members in different selections, so a level is a list of members.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from swn_torture.server.companions.srvsvc.messages import (
    ShareCheckRequest,
    ShareCheckResponse,
    ShareEnumRequest,
    ShareEnumResponse,
    ShareGetInfoRequest,
    ShareGetInfoResponse,
    ShareInfo,
)
from swn_torture.stubdata.fields import DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.stubdata.ndr import Reader, Writer

_TEXTS: Final = frozenset({"netname", "remark", "path", "passwd", "servername"})
_NO_DESCRIPTOR: Final = "no_descriptor"
"""shi*_reserved and shi*_security_descriptor: a length of 0 and a null pointer."""

_USES: Final = ("permissions", "max_uses", "current_uses", "path", "passwd")

LEVELS: Final[Mapping[int, tuple[str, ...]]] = {
    0: ("netname",),
    1: ("netname", "type", "remark"),
    2: ("netname", "type", "remark", *_USES),
    501: ("netname", "type", "remark", "flags"),
    502: ("netname", "type", "remark", *_USES, _NO_DESCRIPTOR),
    503: ("netname", "type", "remark", *_USES, "servername", _NO_DESCRIPTOR),
    1005: ("flags",),
}
"""The members of each level, by their names in `ShareInfo`."""

ENUMERATED: Final = frozenset(LEVELS) - {1005}
"""The levels of NetrShareEnum (2.2.4.38)."""


# One share


def _alignment(level: int, wide: int) -> int:
    """Return the alignment of a SHARE_INFO structure: that of its widest member."""
    return 4 if LEVELS[level] == ("flags",) else wide


def write_share(writer: Writer, level: int, share: ShareInfo) -> None:
    """Write the structure without the strings of its pointers; `write_share_texts` writes these."""
    writer.align("shi", _alignment(level, writer.wide))
    for member in LEVELS[level]:
        name = f"shi{level}_{member}"
        if member == _NO_DESCRIPTOR:
            writer.u32(f"shi{level}_reserved", 0)
            writer.pointer(f"shi{level}_security_descriptor", present=False)
        elif member in _TEXTS:
            writer.pointer(name, present=getattr(share, member) is not None)
        else:
            writer.u32(name, getattr(share, member))
    if writer.wide == 8:
        # MS-RPCE 2.2.5.3.4.1: NDR64 pads a structure at its end.
        writer.align("shi_end", _alignment(level, writer.wide))


def write_share_texts(writer: Writer, level: int, share: ShareInfo) -> None:
    """Write the strings of a share, in the order of their pointers."""
    for member in LEVELS[level]:
        if member in _TEXTS and (text := getattr(share, member)) is not None:
            writer.pointee(f"shi{level}_{member}", text)


def read_share(reader: Reader, level: int) -> dict[str, Any]:
    """Read the structure: the numbers, and for each string whether its pointer is not null."""
    reader.align(_alignment(level, reader.wide))
    found: dict[str, Any] = {}
    for member in LEVELS[level]:
        name = f"shi{level}_{member}"
        if member == _NO_DESCRIPTOR:
            length = reader.u32(f"shi{level}_reserved")
            if reader.pointer(f"shi{level}_security_descriptor") or length:
                raise DecodeError(f"shi{level}_security_descriptor", reader.offset, "not supported")
        elif member in _TEXTS:
            found[member] = reader.pointer(name)
        else:
            found[member] = reader.u32(name)
    if reader.wide == 8:
        reader.align(_alignment(level, reader.wide))
    return found


def read_share_texts(reader: Reader, level: int, found: dict[str, Any]) -> ShareInfo:
    """Read the strings of a share and return the complete share."""
    for member in LEVELS[level]:
        if member in _TEXTS:
            found[member] = reader.pointee(f"shi{level}_{member}") if found[member] else None
    return ShareInfo(**found)


# SHARE_ENUM_STRUCT (2.2.4.38): the level, the union's tag (equal to the level), a pointer to a container


def _write_enum_struct(writer: Writer, level: int, shares: tuple[ShareInfo, ...] | None) -> None:
    for name in ("Level", "ShareInfo.tag"):
        writer.align(name, writer.wide)
        writer.u32(name, level)
    if level not in ENUMERATED:
        return  # the union has no arm for this level
    writer.pointer("Container", present=shares is not None)
    if shares is None:
        return
    writer.u32("EntriesRead", len(shares))
    writer.pointer("Buffer", present=bool(shares))
    if not shares:
        return
    writer.count("Buffer.max_count", len(shares))
    for share in shares:
        write_share(writer, level, share)
    for share in shares:
        write_share_texts(writer, level, share)


def _read_enum_struct(reader: Reader) -> tuple[int, tuple[ShareInfo, ...] | None]:
    reader.align(reader.wide)
    level = reader.u32("Level")
    reader.align(reader.wide)
    tag = reader.u32("ShareInfo.tag")
    if tag != level:
        raise DecodeError("ShareInfo.tag", reader.offset - 4, f"{tag}, but Level is {level}")
    if level not in ENUMERATED or not reader.pointer("Container"):
        return level, None
    number = reader.u32("EntriesRead")
    if not reader.pointer("Buffer"):
        return level, ()
    reader.conformance("Buffer", "EntriesRead", number)
    found = [read_share(reader, level) for _ in range(number)]
    return level, tuple(read_share_texts(reader, level, one) for one in found)


def write_enum_request(writer: Writer, message: ShareEnumRequest) -> None:
    """Write the in parameters of NetrShareEnum, with an empty container."""
    writer.string("ServerName", message.server_name)
    _write_enum_struct(writer, message.level, () if message.level in ENUMERATED else None)
    writer.u32("PreferedMaximumLength", message.preferred_maximum_length)
    _write_resume_handle(writer, message.resume_handle)


def read_enum_request(reader: Reader) -> ShareEnumRequest:
    """Read the in parameters of NetrShareEnum."""
    server_name = reader.string("ServerName")
    level, _ = _read_enum_struct(reader)
    return ShareEnumRequest(
        server_name, level, reader.u32("PreferedMaximumLength"), _read_resume_handle(reader)
    )


def write_enum_response(writer: Writer, message: ShareEnumResponse) -> None:
    """Write the out parameters of NetrShareEnum."""
    _write_enum_struct(writer, message.level, message.shares)
    writer.u32("TotalEntries", message.total_entries)
    _write_resume_handle(writer, message.resume_handle)
    writer.u32("ErrorCode", message.result)


def read_enum_response(reader: Reader) -> ShareEnumResponse:
    """Read the out parameters of NetrShareEnum."""
    level, shares = _read_enum_struct(reader)
    total = reader.u32("TotalEntries")
    return ShareEnumResponse(level, shares, total, _read_resume_handle(reader), reader.u32("ErrorCode"))


def _write_resume_handle(writer: Writer, value: int | None) -> None:
    writer.pointer("ResumeHandle", present=value is not None)
    if value is not None:
        writer.u32("ResumeHandle", value)


def _read_resume_handle(reader: Reader) -> int | None:
    return reader.u32("ResumeHandle") if reader.pointer("ResumeHandle") else None


# NetrShareGetInfo


def write_info_request(writer: Writer, message: ShareGetInfoRequest) -> None:
    """Write the in parameters of NetrShareGetInfo."""
    writer.string("ServerName", message.server_name)
    writer.pointee("NetName", message.net_name)
    writer.u32("Level", message.level)


def read_info_request(reader: Reader) -> ShareGetInfoRequest:
    """Read the in parameters of NetrShareGetInfo."""
    return ShareGetInfoRequest(reader.string("ServerName"), reader.pointee("NetName"), reader.u32("Level"))


def write_info_response(writer: Writer, message: ShareGetInfoResponse) -> None:
    """Write the out parameters of NetrShareGetInfo: a union of pointers with the level as its tag."""
    writer.u32("InfoStruct.tag", message.level)
    if message.level in LEVELS:
        writer.pointer("ShareInfo", present=message.share is not None)
    if message.share is not None:
        write_share(writer, message.level, message.share)
        write_share_texts(writer, message.level, message.share)
    writer.u32("ErrorCode", message.result)


def read_info_response(reader: Reader) -> ShareGetInfoResponse:
    """Read the out parameters of NetrShareGetInfo."""
    level = reader.u32("InfoStruct.tag")
    share = None
    if level in LEVELS and reader.pointer("ShareInfo"):
        share = read_share_texts(reader, level, read_share(reader, level))
    return ShareGetInfoResponse(level, share, reader.u32("ErrorCode"))


# NetrShareCheck


def write_check_request(writer: Writer, message: ShareCheckRequest) -> None:
    """Write the in parameters of NetrShareCheck."""
    writer.string("ServerName", message.server_name)
    writer.pointee("Device", message.device)


def read_check_request(reader: Reader) -> ShareCheckRequest:
    """Read the in parameters of NetrShareCheck."""
    return ShareCheckRequest(reader.string("ServerName"), reader.pointee("Device"))


def write_check_response(writer: Writer, message: ShareCheckResponse) -> None:
    """Write the out parameters of NetrShareCheck."""
    writer.u32("Type", message.type)
    writer.u32("ErrorCode", message.result)


def read_check_response(reader: Reader) -> ShareCheckResponse:
    """Read the out parameters of NetrShareCheck."""
    return ShareCheckResponse(reader.u32("Type"), reader.u32("ErrorCode"))
