"""The API does what its description says, whatever is sent."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from serving import config

from unseen.serve.app import create_app
from unseen.serve.server import Server

schemathesis = pytest.importorskip("schemathesis")


@pytest.fixture(scope="module")
def description(tmp_path_factory):
    # nothing runs: what is submitted waits
    many = config(tmp_path_factory.mktemp("serve"), queued=10**6, queued_per_client=10**6, kept_per_client=10**6)
    with Server.opened(many) as server:
        yield schemathesis.openapi.from_asgi("/openapi.json", create_app(server))


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_every_reply_is_as_described(description, mode):
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    asked = 0
    for found in description.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy(generation_mode=GenerationMode[mode]))
        @settings(max_examples=25, suppress_health_check=list(HealthCheck))
        def check(case):
            # what a submission needs depends on its kind and on the bytes of its files, which no schema can say
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        try:
            check()
            asked += 1
        except Unsatisfiable:  # nothing can be wrong about a request without parameters
            assert mode == "NEGATIVE"
    assert asked >= 5
