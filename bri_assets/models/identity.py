"""What stands in the lineage about the model that made a table.

What does not belong here: how an identity is stored, hashed or compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ModelIdentity"]


@dataclass(frozen=True)
class ModelIdentity:
    """A model, told apart from every other that could have given other rows. All values can be written as JSON.

    Attributes:
        tool: the library that ran the model, by the name under which it is installed.
        tool_version: the installed version of that library.
        model: the model's name; for weights at a local path the name of the file or folder.
        weights_sha256: 64 hexadecimal digits: of the weights' file; of a folder as `weights.folder_sha256` says.
        parameters: everything else that changes rows (threshold, language, device, dtype, …), by name.
    """

    tool: str
    tool_version: str
    model: str
    weights_sha256: str
    parameters: dict[str, Any] = field(default_factory=dict)
