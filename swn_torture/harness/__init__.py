"""The harness: what runs a case, from the collected test function to the result in a report.

Cases never import it; they use the fixtures of ``swn_torture.plugin`` and the names of
``swn_torture.casekit``.

One session
    session        which target profile and which fault the session uses; where its results are kept
    selection      which of the collected cases run, and in what order
    case_map       every case of the suite by id, collected without a run; renamed and unknown ids
    narrowing      which modules can have the cases that are asked for, so that no others are collected
    recorder       takes the results as they arrive and writes the reports at the end
    resume         what is kept of a run that stopped, when another goes on from its journal
    interrupts     SIGTERM: the cluster is restored and the reports are written
    persons        a run in which a person changes the cluster: one action serves many cases
    allure_results what Allure's page shows of each case, rewritten when the run has ended
    allure_config  what Allure reads beside the results: the target, the groups of findings

The target
    live_target    the running target of a test process, and its variants
    variants       variants that are instances of a lab: started early, removed at the end of the run
    locks          who may use a live target at which time: shared, or one case alone
    preflight      first calls to a target: what it offers, contradicts and violates, why it cannot be used
    unusable       the reports about a target that cannot be used
    first_look     the lower rungs of the ladder as the first calls show them
    sharing        hands what was learned from one process of a run to the others
    description    the target as reports describe it

One case
    case_run       runs one case: event loop, connections, controller, time limit, restoring the target
    case_ends      how a case ends, apart from all its checks being met
    attempts       runs a case again whose result says nothing
    packets        the packets of all nodes of a lab, kept for a case that changes it and has a finding
    hangs          processes of a server that hang, found and ended by the controller of the target
    rung_gate      which cases are not run because a method that they depend on serves no client
    case_result    the result of a case, from the pytest report of its set-up, call or tear-down
"""
