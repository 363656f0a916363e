from .data import ImageData, Images, image_data, load_data
from .errors import ExitprintError
from .fingerprints import (
    ContrastMethod,
    Fingerprint,
    PaperMethod,
    Verdict,
    contrast_fingerprint,
    load_fingerprint,
    measure_t_n,
    paper_fingerprint,
    save_fingerprint,
    verify,
)
from .networks import ExitPolicy, MultiExitNetwork, architecture, exit_costs, load_network, save_network
from .stealing import steal
from .suspects import (
    Answer,
    CallableSuspect,
    CostModel,
    InProcess,
    Suspect,
    SuspectOptions,
    TryAgain,
    open_suspect,
)
from .timing import estimate_exits, inquire
from .training import MultiExitClassifier, calibrated_policy, recipe, train_network

__all__ = [
    "Answer",
    "CallableSuspect",
    "ContrastMethod",
    "CostModel",
    "ExitPolicy",
    "ExitprintError",
    "Fingerprint",
    "ImageData",
    "Images",
    "InProcess",
    "MultiExitClassifier",
    "MultiExitNetwork",
    "PaperMethod",
    "Suspect",
    "SuspectOptions",
    "TryAgain",
    "Verdict",
    "architecture",
    "calibrated_policy",
    "contrast_fingerprint",
    "estimate_exits",
    "exit_costs",
    "image_data",
    "inquire",
    "load_data",
    "load_fingerprint",
    "load_network",
    "measure_t_n",
    "open_suspect",
    "paper_fingerprint",
    "recipe",
    "save_fingerprint",
    "save_network",
    "steal",
    "train_network",
    "verify",
]
