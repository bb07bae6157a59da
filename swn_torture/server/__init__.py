"""The reference witness cluster: a conforming MS-SWN 14.0 server that does as it is told.

Two storeys. The state machine has no I/O and takes its time from a clock that is passed in: `options`,
`names`, `shares`, `interfaces`, `registrations`, `admission`, `responses`, and on top of them `methods` and
`service`. The cluster puts it on the network: `endpoint`, `node`, `cluster`, with `admin`, `embedded` and
`serve` as ways in. What it serves `beside` witness when asked to, ClusAPI (`clusapi`) and shares (`smb`,
`srvsvc`, `file_service`), has `dispatch` for its calls.
"""
