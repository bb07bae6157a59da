"""swn-torture: the conformance torture-test suite for the Service Witness Protocol (MS-SWN)."""

__version__ = "0.1.0"
