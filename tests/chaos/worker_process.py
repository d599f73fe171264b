"""A worker as operators run it, but for lives whose time is simulated, which no setting allows."""

import asyncio
import gc
import os

from adapters.settings import settings_from
from worker import serve

if __name__ == "__main__":
    try:
        asyncio.run(serve(settings_from(os.environ), allow_simulation=True))
    finally:
        gc.collect()  # as worker.py does
