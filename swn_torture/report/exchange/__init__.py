"""The octets that a case exchanged with the target, prepared for reports.

records       records of a transcript, and their assembly into PDUs (frames)
pdu_fields    the octets of a DCE/RPC PDU, named field by field; never raises, whatever the octets are
hexdump       octets as lines of offset, hexadecimal and text
captures      packet captures (pcapng) synthesised from the records
"""
