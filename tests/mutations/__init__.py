"""Mistakes planted on purpose: each must be caught by `bench verify`, in every framework where it makes sense."""
