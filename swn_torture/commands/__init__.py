"""The subcommands of ``swn-torture``, one module for each. ``swn_torture.cli`` imports one when it is called.

Testing a target
    run            run the suite against a target and write the reports
    repro          run a case of a report again, and compare with the report
    report         write the reports again, from results or from a journal
    baseline       compare results with what a target is known to do; write one, show one
    gate           a Samba lab, the suite, the comparison with a baseline: one command for CI
    selftest       the suite as a test of Samba's own selftest
    lab            a Samba/CTDB cluster on this machine, as a target
    init, doctor   write the profile of a server; what stands between this machine and a run

A cluster and its clients
    serve          run the reference cluster
    cluster        change the cluster of a target: disable, fail, recover, move
    client         call the witness service of a server
    swarm          thousands of witness clients, on Locust
    time_to_know   how soon clients know that a node failed

Looking things up
    explain        what a requirement, ambiguity, case, fault or error code is
    requirements   list and search the catalogue; which cases reached which requirement
    faults, unusual  list the faults of the reference cluster, and the unusual servers that it can be

Parts of one of them
    run_resumed    what ``run --resume`` goes on from
    progress, waiting  what ``run`` shows while it runs
    github         what ``run --github`` prints for a job of GitHub
    gate_run, gate_baseline  the steps of ``gate samba``; the baseline that it writes of an unchanged build
    report_issue, report_matrix  a finding as a text for a bug report; several targets on one page
    client_shares  what ``client shares`` shows
    watching       what ``client watch`` and ``cluster list --watch`` show
    witness_clients  ``cluster list`` and ``cluster drain``

Shared by them
    errors         how a command ends with an explanation and an exit code
    options        the options that name reports, made from the table of formats
    samba          the options of commands that start a lab with a Samba of the user
    controllers    an action with the controller of a target, and how it is undone
    terminal       the way of every text of a target to the terminal
    complete       names that the shell completes
"""
