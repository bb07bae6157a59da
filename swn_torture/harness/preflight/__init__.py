"""The preflight: what a target shows before the first case, and why it cannot be used if it cannot.

It also warms up the target: it calls every node, one connection after the other, until each has answered.

    patience        how long it waits, and what for
    mapping         what an endpoint mapper says about the witness endpoint
    logon           one attempt to log on and to call, with one service at one level
    tickets         whether there is a Kerberos ticket for the target
    defects         what stops every client before its first call
    findings        what the target violates, as results of the run
    nodes           everything that one node shows
    methods         an ordinary call of each method
    framing         requests in several fragments and TCP segments
    registering     the first registrations: the NetName, and a limit of registrations
    shares          the shares, by SMB or the server service
    tree_connect    the capabilities of the shares by SMB dialect
    share_warnings  whether SMB, server service and witness service say the same about the shares
    contradictions  warnings: the profile says one thing, and the target shows another
    trouble         why a run cannot begin
    learning        all of it, for a target that runs

The facts are ``swn_torture.casekit.facts.TargetFacts``.
"""
