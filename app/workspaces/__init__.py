"""Tenants: workspaces, their API keys, users and senders."""
