"""The config as types: every key there is, what it may hold and what it is by default."""

from __future__ import annotations

from connectomics.config.schema.base import FileName, NamedSection, PathText, Section
from connectomics.config.schema.data import (
    DataloaderSection,
    DataSection,
    ImageTransformSection,
    LabelTransformSection,
    PhantomSection,
    RejectSamplingSection,
    SplitSection,
)
from connectomics.config.schema.model import (
    LossSection,
    LossTermSection,
    ModelSection,
    RSUNetSection,
)
from connectomics.config.schema.system import ExecutorSection, JobSection, SystemSection
from connectomics.config.schema.testing import (
    ChannelActivationSection,
    DecodingSection,
    EvaluationSection,
    InferenceSection,
    ScoringSection,
    TestTimeAugmentationSection,
    WindowSection,
)
from connectomics.config.schema.training import (
    EMASection,
    MonitorSection,
    OptimizationSection,
)
from connectomics.config.schema.tuning import ChoicesSection, RangeSection, TuneSection


class Config(Section):
    """One run, with its stage's refinements merged in."""

    experiment_name: FileName = "synapses"
    description: str = ""
    save_path: PathText = ""
    system: SystemSection = SystemSection()
    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    optimization: OptimizationSection = OptimizationSection()
    monitor: MonitorSection = MonitorSection()
    inference: InferenceSection = InferenceSection()
    decoding: DecodingSection = DecodingSection()
    evaluation: EvaluationSection = EvaluationSection()
    tune: TuneSection = TuneSection()


__all__ = [
    "ChannelActivationSection",
    "ChoicesSection",
    "Config",
    "DataSection",
    "DataloaderSection",
    "DecodingSection",
    "EMASection",
    "EvaluationSection",
    "ExecutorSection",
    "ImageTransformSection",
    "InferenceSection",
    "JobSection",
    "LabelTransformSection",
    "LossSection",
    "LossTermSection",
    "ModelSection",
    "MonitorSection",
    "NamedSection",
    "OptimizationSection",
    "PhantomSection",
    "RSUNetSection",
    "RangeSection",
    "RejectSamplingSection",
    "ScoringSection",
    "Section",
    "SplitSection",
    "SystemSection",
    "TestTimeAugmentationSection",
    "TuneSection",
    "WindowSection",
]
