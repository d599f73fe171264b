"""What this service costs, beside a plain implementation of the same life on Temporal."""
