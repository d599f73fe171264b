"""The worker process of a chaos run. It accepts simulated time, which no setting of the worker allows."""

import asyncio
import gc
import os

from adapters.worker_settings import WorkerSettings
from worker import serve

if __name__ == "__main__":
    try:
        asyncio.run(serve(WorkerSettings.load(os.environ), allow_simulation=True))
    finally:
        gc.collect()  # as worker.py does
