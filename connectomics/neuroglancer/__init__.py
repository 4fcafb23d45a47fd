"""Neuroglancer's own formats, as bytes and plain arrays: what the viewer reads and links to.

https://neuroglancer-docs.web.app/datasource/precomputed
"""
