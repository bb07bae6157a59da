"""Reports: the results of a run as values, the verdicts on them, and the formats they are written in.

The room knows the requirement catalogue and nothing about the tests. Import from the module that holds a
name; this package itself imports nothing, so that every pytest run can load the table of formats. jinja2 and
scapy are imported by the functions that use them.

Results
    model         Check, Choice, CaseResult, TargetInfo, Run: plain values with a JSON form
    results       Results: all cases of one run against one target, and the verdicts computed from them
    verdict       the only module that decides: a check, a case, a requirement, a target
    finding       Finding: one failed check with its rule, and its plain text lines

Formats
    formats       the table of formats; it drives every option, file name and file
    json_report   JSON (``results.schema.json`` is the schema), and reading it back
    junit         JUnit XML
    html          one HTML page, from the template, the style and the script in ``page/``
    page_data     what the script of the page shows: passed cases, requirements without a failed check
    templates     the templates of pages, compiled once in each process
    text          lines for a terminal or a log
    matrix        the results of several targets side by side on one page
    issue         a finding as Markdown for a bug report

Files
    write         writes the files that the user asked for, and the packet captures
    journal       one line for each case while a run goes on, so that a crash loses at most one case
    exchange/     octets that were sent and received: PDUs, their fields, hex dumps, packet captures
"""
