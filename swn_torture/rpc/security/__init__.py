"""Authentication, access checks, signatures, padding and verification trailers."""
