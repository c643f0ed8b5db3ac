"""The routes about a workspace itself."""
