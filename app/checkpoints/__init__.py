"""Checkpoints: file formats, manifests, verification, loading, export and import."""
