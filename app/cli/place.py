"""Where a command works: the settings, with a data folder that can be written."""

from pathlib import Path

from app.configure import settings_from
from app.preflight import check_data_folder
from app.settings import Settings


def settings_in(folder: Path | None) -> Settings:
    """The settings with this data folder, if one is named. Raises `ConfigurationError`."""
    settings = settings_from(data=folder)
    check_data_folder(settings.data)
    return settings
