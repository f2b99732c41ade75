# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""explain: what is attached, who signed it, and what other tools would make of it."""

import typer

from modelseal.cli.cache_options import CacheDir, NoCache, OfflineReading
from modelseal.cli.flags import with_flags
from modelseal.cli.options import NO_FLAGS, Output, OutputFormat, ReferenceArgument, RegistryFlags
from modelseal.cli.trust_options import (
    NOBODY,
    VerifyingFlags,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)


@with_flags
def explain(
    reference: ReferenceArgument,
    whom: VerifyingFlags = NOBODY,
    offline: OfflineReading = False,
    cache: CacheDir = None,
    no_cache: NoCache = False,
    registry: RegistryFlags = NO_FLAGS,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Explain all that is attached to REF. Tells, too, whether cosign and others would accept it.

    Says of each statement what it is, who signed it, when, what was checked, and what failed and
    why; then what cosign, model_signing, Kyverno and policy-controller would do, with the reason
    and what to do about it. Without anybody to believe, it tells what is merely claimed. It
    decides nothing: exit 0 when it could be explained.

    \b
    Example:
      modelseal explain ghcr.io/acme/fraud:1.4.0
      modelseal explain ghcr.io/acme/fraud:1.4.0 --key release.key.pub
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.cache_options import chosen_cache
    from modelseal.cli.render import explanation as render
    from modelseal.cli.settings import settings
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows import explain as workflow
    from modelseal.workflows.explain_trust import believed_by
    from modelseal.workflows.predict import predict
    from modelseal.workflows.services import system_clock
    from modelseal.workflows.wiring import name_of, open_reading_store

    json_wanted = answering(output)
    chosen = settings(
        trust=whom,
        offline=offline,
        cache=chosen_cache(cache, none=no_cache),
        registry=registry,
    )
    target = parse_reference(reference)
    believed = believed_by(chosen)
    store = open_reading_store(target.location, chosen)
    found = workflow.explain(name_of(target), believed, store=store, clock=system_clock)
    predictions = predict(found, reference)
    if json_wanted:
        answer_json(render.as_json(found, predictions, reference))
    else:
        answer_text(render.as_text(found, predictions, reference))
