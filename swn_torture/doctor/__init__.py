"""The doctor: what stands between this machine and a run, link by link, and how to mend the first broken one.

    links       one link as a value, and a list of them
    network     names, addresses, ports, endpoint mappers
    service     binds, authentication, interface list, methods; whether the nodes agree
    clocks      the clock of a node, from its NTLM challenge
    cluster     the controller, with and without disturbing the cluster; shares; programs
    shares      capabilities of the shares by SMB dialect, compared with the witness service
    examine     all of it, in this order
    new_profile asks a server for what a profile says, and writes one

It judges nothing: whether an answer conforms is for the cases.
"""
