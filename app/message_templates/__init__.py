"""Texts with merge fields: stored per workspace, kind and channel, and rendered when they are sent."""
