"""The API that agents speak: REST below ``/v1``, and what every request has in common.

What does not belong here: MCP (``serve.mcp``) and what is answered (``store``, ``search``).
"""
