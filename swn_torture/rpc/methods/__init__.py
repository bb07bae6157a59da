"""The methods of the witness interface, one module each, and their parameters (MS-SWN 3.1.4)."""
