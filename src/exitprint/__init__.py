"""Prove, by its inference time alone, that a deployed multi-exit neural network is a copy of yours.

What can be imported from here stands in the stub beside this file; each name is imported when it is used, so that the
command line answers before torch is there.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
