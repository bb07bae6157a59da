"""The state machine of a witness server (MS-SWN 3.1), without I/O.

State and look-ups:

- `options`: `Options`, the server's choices where MS-SWN leaves one.
- `clock`: the clock that every timer reads; `FakeClock` for tests.
- `names`: comparison of names and addresses; `NetNames`, the names of the cluster.
- `shares`: `ShareTable`, the shares and their types.
- `interfaces`: `InterfaceTable`, the InterfaceList (3.1.1.2).
- `registrations`: `RegistrationList`, the WitnessRegistrationList (3.1.1.3), and `Selection`.

Rules:

- `registration_checks`: the checks of Register and RegisterEx, in their order (3.1.4.2, 3.1.4.5).
- `responses`: the response of an AsyncNotify, from the pending items (3.1.4.4).
- `methods`: `WitnessMethods`, the six methods (3.1.4).
- `service`: `WitnessService`, the methods with timers (3.1.5) and events (3.1.6). This is the class to use.
"""
