"""`facefleet serve`: the status page, the health check and the metrics."""

import click

from core.log import set_up_logging
from core.settings import Settings
from scripts.common import Invocation, command


@command("serve", example="facefleet serve --port 8080")
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, help="Port to listen on.")
def serve(invocation: Invocation, host: str, port: int) -> None:
    """Serve the status page (/), the health check (/health) and Prometheus metrics (/metrics) over HTTP."""
    import uvicorn

    from db.clock import LedgerClock
    from db.engine import Database
    from web.app import make_app
    from workers.doorbell import Doorbell
    from workers.embedded import find_redis_url

    settings = Settings.from_env()
    set_up_logging("web", settings.log_level)
    database = Database.from_settings(settings)
    doorbell = Doorbell(find_redis_url(settings))
    try:
        uvicorn.run(
            make_app(database, doorbell, settings, LedgerClock(database)), host=host, port=port, log_config=None
        )
    finally:
        doorbell.close()
        database.close()
