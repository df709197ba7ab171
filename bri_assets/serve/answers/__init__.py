"""The way of every read and search over HTTP and MCP: what can be asked, how it looks, the cache before the store.

``cache.Answers`` is the door. What does not belong here: routes (``serve.api``) and tools (``serve.mcp``).
"""
