"""How faults lay hands on answers: the base of those that change what is said, not what is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from swn_torture.server.endpoint import WitnessEndpoint
from swn_torture.server.methods import RpcFault
from swn_torture.witness.codec import encode
from swn_torture.witness.messages import AnyResponse

if TYPE_CHECKING:
    from swn_torture.dcerpc.interface import ServerCall
    from swn_torture.witness.fields import Wrong

Answer = AnyResponse | RpcFault


class Answers(WitnessEndpoint):
    """A server whose answers pass through `other` before they go out."""

    def answer(self, call: ServerCall, response: Answer) -> None:
        """Answer one call."""
        super().answer(call, self.other(call, response))

    def other(self, call: ServerCall, response: Answer) -> Answer:
        """What to say instead."""
        return response


class Stubs(WitnessEndpoint):
    """A server that writes some fields of its stubs wrongly."""

    def encode(self, call: ServerCall, response: AnyResponse) -> bytes:
        """The stub of a response."""
        order = call.byte_order if self.reply_byte_order == "caller" else "little"
        return encode(response, call.syntax, byte_order=order, wrong=self.wrong(response))

    def wrong(self, response: AnyResponse) -> Wrong | None:
        """What to write instead, by field name (`codec.encode`)."""
        return None


def recode(response: Answer, kind: type, old: int, new: int) -> Answer:
    """A response of this kind with the code `new` where it has `old`; any other as it is."""
    if isinstance(response, RpcFault) or not isinstance(response, kind) or response.result != old:
        return response
    return replace(response, result=new)
