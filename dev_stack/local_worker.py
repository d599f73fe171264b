"""The worker process of the local stack: `worker.py`, which also accepts invoices dated by a test clock."""

import sys

import worker

if __name__ == "__main__":
    sys.exit(worker.main(allow_test_clock_invoices=True))
