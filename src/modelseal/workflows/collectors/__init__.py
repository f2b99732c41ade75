# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""One collector a kind of evidence; `ALL` is what `publish` attaches."""

from modelseal.workflows.collect import Collector
from modelseal.workflows.collectors.bom import collect_bom
from modelseal.workflows.collectors.compatibility import collect_compatibility
from modelseal.workflows.collectors.data import collect_data
from modelseal.workflows.collectors.dependencies import collect_dependencies
from modelseal.workflows.collectors.provenance import collect_provenance
from modelseal.workflows.collectors.scan import collect_scan

ALL: tuple[Collector, ...] = (
    collect_provenance,
    collect_data,
    collect_dependencies,
    collect_compatibility,
    collect_bom,
    collect_scan,
)
