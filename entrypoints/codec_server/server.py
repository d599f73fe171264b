"""The codec server process."""

import asyncio
import signal

from adapters.settings import HostPort
from adapters.temporal.encryption_keys import Keyring
from adapters.temporal.payload_codec import AesGcmPayloadCodec
from entrypoints.codec_server.app import codec_app
from entrypoints.codec_server.authentication import AllowAll
from entrypoints.codec_server.settings import CodecSettings
from entrypoints.http.metrics import HttpMetrics, metrics_served
from entrypoints.http.server import HttpServer, bind_socket

_ADDRESS = "WORKSUB_CODEC_ADDRESS"
_METRICS_ADDRESS = "WORKSUB_CODEC_METRICS_ADDRESS"
_DRAIN_SECONDS = 5


async def serve(settings: CodecSettings, namespace: str) -> None:
    """Run until SIGTERM or SIGINT, then finish the requests in progress. Raises `SettingsError`."""
    metrics = HttpMetrics("codec")
    app = codec_app(
        AesGcmPayloadCodec(settings.keyring),
        namespace=namespace,
        origin=settings.origin,
        authenticator=settings.authenticator,
        allow_encode=settings.allow_encode,
        metrics=metrics,
    )
    server = HttpServer(app, drain_seconds=_DRAIN_SECONDS)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    with bind_socket(settings.address, _ADDRESS) as opened:
        async with metrics_served(settings.metrics_address, _METRICS_ADDRESS, metrics):
            await server.serve(sockets=[opened])


async def serve_here(address: HostPort, keyring: Keyring, *, namespace: str, origin: str) -> None:
    """Decode and encode without authentication, for `worksub dev`, until the task is cancelled."""
    app = codec_app(
        AesGcmPayloadCodec(keyring),
        namespace=namespace,
        origin=origin,
        authenticator=AllowAll(),
        allow_encode=True,
    )
    with bind_socket(address, _ADDRESS) as opened:
        await HttpServer(app, drain_seconds=_DRAIN_SECONDS).serve(sockets=[opened])
