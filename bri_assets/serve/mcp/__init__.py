"""What an agent asks over MCP (Model Context Protocol): tools over the reads, the search and the memory.

What does not belong here: the reads themselves (``store.queries``, ``search``) and REST (``serve.api``).
"""

from bri_assets.serve.mcp.server import build_mcp

__all__ = ["build_mcp"]
