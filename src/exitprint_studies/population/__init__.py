"""Networks declared, found again by what they depend on, and made: here, in several processes or on a cluster."""
