"""Immutable domain types shared by all packages. Imports no other package of the project."""
