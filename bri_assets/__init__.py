"""BRI assets: uploaded videos as data that an agent can trust.

Importing this package does nothing but name its version; `bri_assets.definitions` is what Dagster loads and
`bri_assets.cli` is the `bri` command.
"""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("bri-assets")
