"""The protocol stubs that the Pulumi SDK ships, loaded without loading the SDK: that alone would cost a quarter second.

`load()` must run before anything imports `pulumi`, and only in the provider's own process: it leaves hollow packages
`pulumi`, `pulumi.runtime` and `pulumi.runtime.proto` behind, which hold nothing but the stubs.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

PACKAGES = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


def load() -> None:
    """Make `pulumi.runtime.proto.*` importable; does nothing where the SDK is loaded already."""
    if "pulumi" in sys.modules:
        return
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the stand-in command provider needs the Python package pulumi; run: pip install pulumi")
    root = Path(next(iter(spec.submodule_search_locations)))
    for name in PACKAGES:
        hollow = ModuleType(name)
        hollow.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = hollow
