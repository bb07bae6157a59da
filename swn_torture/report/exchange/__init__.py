"""The octets that a case exchanged with the target, prepared for reports.

records       records of a transcript, and their assembly into PDUs (frames)
pdu_fields    the octets of a DCE/RPC PDU, named field by field; never raises, whatever the octets are
stub_fields   the stub data of witness calls by the names of the IDL
calls         the requests and binds of an exchange, each with its answer
right_answer  a conforming answer to the request of a finding, or why there is none
right_response, right_bind, right_fault  the answer to a request, to a bind, to what deserves a fault
wrong_fields  the fields of a PDU that are wrong: those that a page marks
hexdump       octets as lines of offset, hexadecimal and text
trace         an exchange as text: a full trace, and lines that two runs of a case can be compared by
segments      TCP segments in IP packets
captures      packet captures (pcapng) synthesised from the records, or of real frames
takeovers     packets that tell that an address moved, or that a connection was reset
"""
