"""The worker process of a chaos run. It accepts simulated time, which no setting of the worker allows."""

import asyncio
import gc
import os

from adapters.settings import load_worker_settings
from worker import serve

if __name__ == "__main__":
    try:
        asyncio.run(serve(load_worker_settings(os.environ), allow_simulation=True))
    finally:
        gc.collect()  # as worker.py does
