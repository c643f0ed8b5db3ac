"""Structured logs: JSON in production, coloured lines on a terminal; phone numbers are masked in both.

The masking sits in the last step before rendering and covers the standard library's loggers too, so that a library's
message or a traceback cannot leak a number either.
"""

import logging
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.masking import mask
from app.settings import Settings


def mask_phones(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace the middle of every phone number in the event by stars."""
    return {key: _masked(value) for key, value in event.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    if value is None or isinstance(value, int | float):
        return value
    return mask(str(value))


def configure(settings: Settings) -> None:
    """Send all logging of this process through structlog to stderr."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderers: list[Processor] = [structlog.processors.format_exc_info, mask_phones]
    renderers.append(structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # RQ says two lines a job at INFO, gunicorn one a start; what matters to us is in our own lines.
    for name in ("rq", "rq.worker", "rq.queue", "urllib3", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def get_logger(name: str) -> Any:
    """A structured logger; bind ids to it, never texts or keys."""
    return structlog.stdlib.get_logger(name)
