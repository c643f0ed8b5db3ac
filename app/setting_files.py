"""Settings from files: secrets as Docker and Kubernetes mount them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from app.errors import SettingsError


class NamedFileSource(PydanticBaseSettingsSource):
    """Reads ``NAME`` from the file that ``NAME_FILE`` points at, be that set in the environment or in ``.env``."""

    def __init__(self, settings_cls: type[BaseSettings], dotenv: Mapping[str, str | None]) -> None:
        super().__init__(settings_cls)
        self._dotenv = dotenv

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The stripped content of the file, or None where ``NAME_FILE`` is not set."""
        path = os.environ.get(f"{field_name.upper()}_FILE") or self._dotenv.get(f"{field_name}_file")
        return (Path(path).read_text(encoding="utf-8").strip() or None) if path else None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """All values that were found."""
        found: dict[str, Any] = {}
        for name, field in self.settings_cls.model_fields.items():
            try:
                value = self.get_field_value(field, name)[0]
            except OSError as error:
                raise SettingsError([f"{name.upper()}_FILE: {error.strerror}: {error.filename}"]) from error
            if value is not None:
                found[name] = value
        return found
