"""The subcommands of ``swn-torture``, one module for each. ``swn_torture.cli`` imports one when it is called.

Testing a target
    run            run the suite against a target and write the reports
    repro          run a case of a report again, and compare with the report
    report         write the reports again, from results or from a journal
    lab            a Samba/CTDB cluster on this machine, as a target

A cluster and its clients
    serve          run the reference cluster
    cluster        change the cluster of a target: disable, fail, recover, move
    client         call the witness service of a server

Looking things up
    explain        what a requirement, ambiguity, case, fault or error code is
    requirements   list and search the catalogue; which cases reached which requirement
    faults         list the faults of the reference cluster

Shared by them
    errors         how a command ends with an explanation and an exit code
    options        the options that name reports, made from the table of formats
    client_shares  what ``client shares`` shows
    watching       what ``client watch`` and ``cluster list --watch`` show
    progress       what ``run`` shows while it runs
"""
