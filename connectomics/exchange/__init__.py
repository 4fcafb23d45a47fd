"""Public datasets: downloaded, unpacked, and made what the tutorials read."""

from __future__ import annotations

from connectomics.exchange.cremi import CREMI
from connectomics.exchange.em_r50 import EM_R50
from connectomics.exchange.obtain import obtain
from connectomics.exchange.records import Account, Dataset, Material, RemoteFile
from connectomics.exchange.vnc import VNC

DATASETS = {dataset.name: dataset for dataset in (EM_R50, CREMI, VNC)}

__all__ = [
    "CREMI",
    "DATASETS",
    "EM_R50",
    "VNC",
    "Account",
    "Dataset",
    "Material",
    "RemoteFile",
    "obtain",
]
