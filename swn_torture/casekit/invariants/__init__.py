"""Rules of the wire that hold in every case, on every PDU that the target sends.

The harness reads the transcript of each case when the case has ended. No case has to ask for it:

- ``conversation``: what was sent and received on one connection, PDU by PDU.
- ``headers``: the rules on the fields that every PDU has.
- ``bodies``: the rules on the fields of one PDU type.
- ``trailers``: the rules on the sec_trailer.
- ``choices``: what the text leaves open, recorded for each case.
- ``table``: all rules, one row for each field and PDU type.
- ``judging``: applies the table to the transcripts of a case.
"""
