"""Times of layers add up, memory is what was held."""

import mmap
import time

import pytest
import torch
from torch import nn

from unseen.priors.costs import layer_costs, peak_memory


class Sleeper(nn.Module):
    def __init__(self, seconds, *inner):
        super().__init__()
        self.seconds, self.inner = seconds, nn.ModuleList(inner)

    def forward(self, x):
        time.sleep(self.seconds)
        for module in self.inner:
            x = module(x)
        return x


def test_a_layers_time_leaves_out_the_layers_inside():
    network = Sleeper(0.05, Sleeper(0.2), nn.Linear(4, 4), Sleeper(0.1))
    began = time.perf_counter()
    with layer_costs(network) as costs:
        network(torch.zeros(2, 4))
        network(torch.zeros(2, 4))
    whole = time.perf_counter() - began
    by_name = {c.name: c for c in costs}
    assert [c.name for c in costs][:3] == ["inner.0", "inner.2", ""]
    assert by_name[""].calls == 2 and 0.1 <= by_name[""].seconds < 0.2
    assert by_name["inner.0"].seconds >= 0.4
    assert sum(c.seconds for c in costs) <= whole
    linear = by_name["inner.1"]
    assert (linear.kind, linear.parameter_bytes, linear.output_bytes) == ("Linear", 80, 32)
    assert "inner" not in by_name  # never ran
    assert not network._forward_hooks and not network._forward_pre_hooks


def test_peak_memory_sees_what_is_gone_again():
    with peak_memory(torch.device("cpu")) as before:
        time.sleep(0.02)
    # pages of its own: an allocator may hand out some that freed tensors left resident
    with peak_memory(torch.device("cpu")) as during, mmap.mmap(-1, 100 << 20) as held:
        held.write(b"1" * (100 << 20))
        time.sleep(0.1)
    if before.bytes is None:
        pytest.skip("this system does not tell")
    assert during.bytes - before.bytes > 80 << 20


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_peak_memory_on_a_gpu():
    with peak_memory(torch.device("cuda")) as peak:
        del_me = torch.ones(100 << 18, device="cuda")
        del del_me
    assert peak.bytes >= 100 << 20
