"""The TOML reader of the standard library, or its forerunner where Python does not bring it."""

import sys

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["tomllib"]
