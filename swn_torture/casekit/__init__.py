'''The vocabulary that cases are written with. Cases import from here and from nothing below.

A case is an async test function: it sends something to the target, and checks what the target does against
requirements of the catalogue::

    from swn_torture.casekit import Spec, case, outcome_of, returns
    from swn_torture.casekit.protocol import Win32
    from swn_torture.casekit.witness import Witness

    @case("SWN-3.1.4.2-null-netname", syntaxes="both")
    async def test_null_net_name(witness: Witness, spec: Spec) -> None:
        """Register with a NULL NetName returns ERROR_INVALID_PARAMETER (0x57)."""
        client = await witness.connect()
        address = await witness.address_of(0)

        outcome = await outcome_of(client.start(witness.registration(net_name=None, ip_address=address)))

        spec("SWN-3.1.4.2-null-netname").allows(outcome, returns(Win32.ERROR_INVALID_PARAMETER))

What every case uses, offered by this package itself:

- ``case``: the ``@case`` mark, the needs of one parameter, the id and the title of a case.
- ``checks``: ``Spec``, the ``spec`` fixture: checks against requirements, and choices of the target.
- ``outcome``: ``Outcome``: how a call ended, and how a case says which outcomes it allows.

The other fixtures, and what decides whether a case can run:

- ``witness``: ``Witness``, the ``witness`` fixture: ready-made requests.
- ``connections``: its connections to the target.
- ``needs``: the names in ``@case(needs=...)``: what a target must have for a case.
- ``facts``: what the target has shown before the first case: authentication services, limits.
- ``known``: what earlier cases found out about the answers of the target; ``NotTestable``.

What keeps the findings right:

- ``blame``: which requirement an error of an exchange violates, whatever the case was about.
- ``ordinary_calls``: whether an ordinary call fails in the same way as the unusual one of a case.
- ``shown``: values as text for a report.

Names from the rooms below, offered to cases:

- ``protocol``: messages, constants and codec of the witness protocol, transfer syntaxes, Win32 codes.
- ``transport``: DCE/RPC connections, PDUs, authentication levels, fault statuses.
- ``endpoint_mapper``: the endpoint mapper and the remote management interface.
- ``verification_trailer``: the verification trailer of a request.
- ``cluster``: the controller of the cluster, the ``cluster`` fixture.

Rooms inside this one:

- ``raw``: reads received stub data without the codec, so that a case can say which field is wrong.
- ``steps``: what many cases do: connect, register, listen, disable a node, wait.
- ``rules``: checks that many cases make of one notification.
- ``invariants``: rules of the wire that the harness checks in every case, on every PDU of the target.

And ``impacket_view``: what impacket's client sees of the same target.
'''

from swn_torture.casekit.case import also_needs, case
from swn_torture.casekit.checks import CaseStopped, Rule, Spec
from swn_torture.casekit.outcome import CLOSED, SILENCE, SUCCESS, Outcome, faults, outcome_of, returns

__all__ = [
    "CLOSED",
    "SILENCE",
    "SUCCESS",
    "CaseStopped",
    "Outcome",
    "Rule",
    "Spec",
    "also_needs",
    "case",
    "faults",
    "outcome_of",
    "returns",
]
