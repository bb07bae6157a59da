"""Half-made servers: the reference with parts left out or spoiled, like a new server in its first days.

A fault (`faults`) is one small defect of a complete server, to show that a case finds it. A half-made server
lacks much, or is broken at its root, to show what the suite says then: few findings, a small page, and what
comes next.

registry   what a half-made server is
servers    the servers, by subject
library    all of them by name
gallery    runs `swn-torture run` on them, and writes docs/half-made-servers.md
"""
