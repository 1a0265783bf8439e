"""Whose job is next."""

from hypothesis import given
from hypothesis import strategies as st

from unseen.serve.fairness import fair_order


def test_a_hundred_jobs_do_not_stand_before_anothers_first():
    waiting = [(f"a{k}", "a") for k in range(100)] + [("b0", "b"), ("c0", "c")]
    order = fair_order(waiting, {}, {})
    assert order[:3] == ["a0", "b0", "c0"] and order[3:] == [f"a{k}" for k in range(1, 100)]
    assert fair_order(waiting, {"a": 1}, {})[:2] == ["b0", "c0"]
    assert fair_order(waiting, {}, {"a": 5.0, "b": 9.0, "c": 1.0})[:3] == ["c0", "a0", "b0"]


@given(
    clients=st.lists(st.sampled_from("abcd"), max_size=30),
    running=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5)),
    served=st.dictionaries(st.sampled_from("abcd"), st.floats(0, 100)),
)
def test_everybodys_jobs_stay_in_order_and_shares_stay_even(clients, running, served):
    waiting = [(f"{client}{k}", client) for k, client in enumerate(clients)]
    order = fair_order(waiting, running, served)
    assert sorted(order) == sorted(job for job, _ in waiting)
    for client in "abcd":
        assert [job for job in order if job[0] == client] == [job for job, whose in waiting if whose == client]
    load, left = {c: running.get(c, 0) for c in "abcd"}, {c: clients.count(c) for c in "abcd"}
    for job in order:
        assert load[job[0]] == min(load[c] for c in "abcd" if left[c])
        load[job[0]] += 1
        left[job[0]] -= 1
